//! `nacre config`.

use std::{
    io::{IsTerminal, Read},
    path::Path,
};

use serde_json::json;

use super::{Session, fits, lint, watch::Patience};
use crate::{
    api::{
        Client,
        config::{Config as Stored, Found, Key, Publish as Options, md5_hex},
    },
    args::{Config, ConfigKey, Diff, Publish},
    diff,
    error::{CliError, Outcome},
    output::{Screen, Table, Tone, remark},
    time,
};

/// Largest file that is published: what Nacos takes, three times over.
const LARGEST: u64 = 32 << 20;

pub async fn run(session: &Session, command: Config) -> Outcome {
    match command {
        Config::Get { key } => get(session, &key.into()).await,
        Config::Publish(publish) => self::publish(session, publish).await,
        Config::Lint(asked) => lint::run(session, asked).await,
        Config::Rm { key } => remove(session, &key.into()).await,
        Config::Ls { pattern, group } => list(session, pattern.as_deref(), group.as_deref()).await,
        Config::Watch { data_ids, group, brief, count } => {
            let keys = data_ids.into_iter().map(|data_id| Key { data_id, group: group.clone() }).collect();
            watch(session, keys, brief, count.unwrap_or(u64::MAX)).await
        }
        Config::Diff(diff) => compare(session, diff).await,
        Config::Show { .. } => Ok(()),
    }
}

impl From<ConfigKey> for Key {
    fn from(key: ConfigKey) -> Self {
        Self { data_id: key.data_id, group: key.group }
    }
}

fn named(client: &Client, key: &Key) -> String {
    format!("{} (group {}, namespace {})", key.data_id, key.group, client.namespace_name())
}

async fn existing(client: &Client, key: &Key) -> Outcome<Stored> {
    client
        .config(key)
        .await?
        .ok_or_else(|| CliError::NotFound(format!("there is no configuration {}", named(client, key))))
}

async fn get(Session { client, screen }: &Session, key: &Key) -> Outcome {
    let config = existing(client, key).await?;
    if !screen.json {
        return screen.raw(&config.content);
    }
    screen.value(&json!({
        "dataId": key.data_id,
        "group": key.group,
        "namespace": client.namespace_name(),
        "type": config.kind,
        "md5": config.md5,
        "modified": config.modified.map(time::stamp),
        "content": String::from_utf8_lossy(&config.content),
    }))
}

async fn publish(Session { client, screen }: &Session, publish: Publish) -> Outcome {
    let key: Key = publish.key.into();
    let asked_for_pipe = publish.content.is_none();
    let content = match (publish.content, &publish.file) {
        (Some(content), _) => content,
        (None, Some(file)) => read_text(file)?,
        (None, None) => read_text(Path::new("-"))?,
    };
    if content.is_empty() {
        return Err(CliError::Usage("there is nothing to publish: the content is empty".to_owned()));
    }
    let kind = publish.r#type.or_else(|| kind_of(&key.data_id).map(str::to_owned));
    if let Some(kind) = kind.as_deref().filter(|_| !publish.force) {
        // Nobody can answer where the content came from.
        let piped = publish.file.as_deref().map_or(asked_for_pipe, |file| file == Path::new("-"));
        lint::agree(&key.data_id, kind, &content, !piped).await?;
    }
    let options = Options {
        kind: kind.clone(),
        app: publish.app,
        description: publish.desc,
        tags: publish.tags,
        cas_md5: publish.cas_md5,
    };
    client.publish(&key, &content, &options).await?;
    let md5 = md5_hex(content.as_bytes());
    if screen.json {
        return screen.value(&json!({
            "dataId": key.data_id, "group": key.group, "namespace": client.namespace_name(),
            "type": kind, "bytes": content.len(), "md5": md5,
        }));
    }
    screen.line(&format!("published {}, {} bytes, md5 {md5}", named(client, &key), content.len()))
}

/// The type that the ending of a dataId stands for.
pub(super) fn kind_of(data_id: &str) -> Option<&'static str> {
    let (_, ending) = data_id.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => "yaml",
        "json" => "json",
        "xml" => "xml",
        "properties" => "properties",
        "html" | "htm" => "html",
        "toml" => "toml",
        "txt" | "text" => "text",
        _ => return None,
    })
}

/// The text of a file, or of the standard input for `-`, exactly.
pub(super) fn read_text(path: &Path) -> Outcome<String> {
    let mut bytes = Vec::new();
    let name = if path == Path::new("-") {
        if std::io::stdin().is_terminal() {
            return Err(CliError::Usage("give --file or --content, or pipe the content in".to_owned()));
        }
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)?;
        "the standard input".to_owned()
    } else {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|error| CliError::Usage(format!("{name}: {error}")))?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| CliError::Failed(format!("{name}: {error}")))?;
        name
    };
    if bytes.len() as u64 > LARGEST {
        return Err(CliError::Usage(format!("{name} has more than {} MB, more than any server takes", LARGEST >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        CliError::Usage(format!(
            "{name} is not UTF-8 (byte {}); a configuration is UTF-8 text, anything else would come back changed",
            error.utf8_error().valid_up_to()
        ))
    })
}

async fn remove(Session { client, screen }: &Session, key: &Key) -> Outcome {
    // The server answers alike whether there was something to remove.
    existing(client, key).await?;
    client.remove_config(key).await?;
    if screen.json {
        return screen.value(&json!({
            "dataId": key.data_id, "group": key.group, "namespace": client.namespace_name(), "removed": true,
        }));
    }
    screen.line(&format!("removed {}", named(client, key)))
}

/// What the server stores, by group and data id.
pub(super) async fn stored(client: &Client, pattern: Option<&str>, group: Option<&str>) -> Outcome<Vec<Found>> {
    let asked = match pattern {
        Some(text) if !text.is_empty() && !text.contains('*') => format!("*{text}*"),
        other => other.unwrap_or_default().to_owned(),
    };
    let mut found = client.search(&asked, group.unwrap_or_default()).await?;
    let in_group = |name: &str| group.is_none_or(|g| if g.contains('*') { fits(name, g) } else { name == g });
    found.retain(|row| pattern.is_none_or(|pattern| fits(&row.data_id, pattern)) && in_group(&row.group));
    found.sort_by(|a, b| (&a.group, &a.data_id).cmp(&(&b.group, &b.data_id)));
    Ok(found)
}

async fn list(Session { client, screen }: &Session, pattern: Option<&str>, group: Option<&str>) -> Outcome {
    let found = stored(client, pattern, group).await?;
    if screen.json {
        let rows = found.iter().map(|row| {
            json!({
                "dataId": row.data_id, "group": row.group, "namespace": client.namespace_name(),
                "type": row.kind, "md5": row.md5, "appName": row.app,
            })
        });
        return screen.value(&rows.collect());
    }
    if found.is_empty() {
        remark("nacre: no configurations");
    }
    let mut table = Table::new(&["DATA ID", "GROUP", "TYPE", "APP", "MD5"]);
    for row in found {
        table.row(vec![
            (Tone::Plain, row.data_id),
            (Tone::Plain, row.group),
            (Tone::Plain, row.kind),
            (Tone::Plain, row.app),
            (Tone::Dim, row.md5),
        ]);
    }
    screen.table(&table)
}

/// A watched configuration as it was last seen.
struct Watched {
    key: Key,
    last: Option<Stored>,
}

impl Watched {
    fn md5(&self) -> String {
        self.last.as_ref().map(|config| config.md5.clone()).unwrap_or_default()
    }
}

async fn watch(Session { client, screen }: &Session, keys: Vec<Key>, brief: bool, count: u64) -> Outcome {
    let mut watched = Vec::new();
    for key in keys {
        let last = client.config(&key).await?;
        let state = match &last {
            Some(config) => format!("md5 {}, {} bytes", config.md5, config.content.len()),
            None => "does not exist yet".to_owned(),
        };
        remark(&format!("nacre: watching {}: {state}", named(client, &key)));
        watched.push(Watched { key, last });
    }
    let mut patience = Patience::default();
    let mut seen = 0;
    while seen < count {
        let asked: Vec<(Key, String)> = watched.iter().map(|w| (w.key.clone(), w.md5())).collect();
        let changed = match client.listen(&asked).await {
            Ok(changed) => changed,
            Err(error) => {
                patience.failed(error).await?;
                continue;
            }
        };
        patience.answered();
        let mut stale = !changed.is_empty();
        for watched in watched.iter_mut().filter(|w| changed.contains(&w.key)) {
            let now = match client.config(&watched.key).await {
                Ok(now) => now,
                Err(error) => {
                    patience.failed(error).await?;
                    continue;
                }
            };
            if now.as_ref().map(|c| &c.md5) != watched.last.as_ref().map(|c| &c.md5) {
                stale = false;
                seen += 1;
                show_change(screen, &watched.key, watched.last.as_ref(), now.as_ref(), brief)?;
                watched.last = now;
            }
        }
        if stale {
            // Java servers notify a little before the new content can be read.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

fn show_change(screen: &Screen, key: &Key, old: Option<&Stored>, new: Option<&Stored>, brief: bool) -> Outcome {
    let at = time::stamp(time::now_ms());
    let what = match (old, new) {
        (None, Some(_)) => "published",
        (Some(_), None) => "removed",
        _ => "changed",
    };
    let text = |config: Option<&Stored>| config.map(|c| String::from_utf8_lossy(&c.content).into_owned());
    if screen.json {
        return screen.event(&json!({
            "at": at, "dataId": key.data_id, "group": key.group, "what": what,
            "oldMd5": old.map(|c| &c.md5), "md5": new.map(|c| &c.md5), "type": new.map(|c| &c.kind),
            "content": if brief { None } else { text(new) },
        }));
    }
    let md5 = new.map_or_else(String::new, |c| format!(", md5 {}", c.md5));
    let tone = if new.is_none() { Tone::Bad } else { Tone::Head };
    screen.line(&format!("{} {} {}{md5}", screen.paint(Tone::Dim, &at), screen.paint(tone, what), key.data_id))?;
    if brief {
        return Ok(());
    }
    let (old, new) = (text(old).unwrap_or_default(), text(new).unwrap_or_default());
    write_diff(screen, &diff::unified("before", &old, "after", &new))
}

fn write_diff(screen: &Screen, lines: &[diff::Line]) -> Outcome {
    for line in lines {
        let tone = match line.kind {
            diff::Kind::Header => Tone::Head,
            diff::Kind::Hunk => Tone::Accent,
            diff::Kind::Same => Tone::Plain,
            diff::Kind::Removed => Tone::Bad,
            diff::Kind::Added => Tone::Good,
        };
        screen.line(&screen.paint(tone, &line.text))?;
    }
    Ok(())
}

async fn compare(Session { client, screen }: &Session, diff: Diff) -> Outcome {
    let key: Key = diff.key.into();
    let here = existing(client, &key).await?;
    let (there_name, there) = match &diff.file {
        Some(file) => (file.display().to_string(), read_text(file)?),
        None => {
            let other_key = Key { group: diff.to_group.clone().unwrap_or_else(|| key.group.clone()), ..key.clone() };
            if diff.to_namespace.is_none() && diff.to_server.is_none() && diff.to_group.is_none() {
                return Err(CliError::Usage(
                    "compare with what? give --file, --to-namespace, --to-group or --to-server".to_owned(),
                ));
            }
            let other = client.beside(diff.to_server.clone(), diff.to_namespace.clone());
            let config = existing(&other, &other_key).await?;
            (
                format!("{} at {}", named(&other, &other_key), other.address),
                String::from_utf8_lossy(&config.content).into_owned(),
            )
        }
    };
    let here_text = String::from_utf8_lossy(&here.content).into_owned();
    let lines =
        diff::unified(&format!("{} at {}", named(client, &key), client.address), &here_text, &there_name, &there);
    if screen.json {
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        screen.value(
            &json!({"equal": lines.is_empty(), "md5": here.md5, "otherMd5": md5_hex(there.as_bytes()), "diff": text}),
        )?;
    } else {
        write_diff(screen, &lines)?;
    }
    if lines.is_empty() { Ok(()) } else { Err(CliError::Silent(1)) }
}

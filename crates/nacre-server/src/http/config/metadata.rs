//! The metadata entry of exports: `.metadata.yml`, a list of maps of texts, and the older `.meta.yml` that knows the
//! application only. Both are read and written here; the little of YAML they use is spelled out, nothing more is taken.

use std::fmt::Write;

/// Names of the entries.
pub const NEW: &str = ".metadata.yml";
pub const OLD: &str = ".meta.yml";

/// What the metadata says about one config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    pub data_id: String,
    pub group: String,
    pub config_type: Option<String>,
    pub app_name: Option<String>,
    pub desc: Option<String>,
    /// Comma list.
    pub config_tags: Option<String>,
}

/// Writes `.metadata.yml`: keys in alphabetical order, absent ones left out.
pub fn write(items: &[Item]) -> String {
    if items.is_empty() {
        return "metadata: []\n".to_owned();
    }
    let mut out = String::from("metadata:\n");
    for item in items {
        let members = [
            ("appName", item.app_name.as_deref()),
            ("configTags", item.config_tags.as_deref()),
            ("dataId", Some(&*item.data_id)),
            ("desc", item.desc.as_deref()),
            ("group", Some(&*item.group)),
            ("type", item.config_type.as_deref()),
        ];
        let mut lead = "- ";
        for (name, value) in members {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "{lead}{name}: {}", scalar(value));
                lead = "  ";
            }
        }
    }
    out
}

/// A text as YAML: plain where nothing can be mistaken, else quoted.
fn scalar(text: &str) -> String {
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')) {
        // JSON's texts are YAML's double-quoted ones.
        return serde_json::to_string(text).unwrap_or_default();
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 11] = ["null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", "="];
    let starts_well = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '(' | '$' | '+');
    let numeric =
        text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '_' | ':' | '-' | '+' | 'e' | 'E' | 'x' | 'o'));
    text.starts_with(starts_well)
        && text.trim() == text
        && !text.ends_with(':')
        && !text.contains(": ")
        && !text.contains(" #")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && !(numeric && text.chars().any(|c| c.is_ascii_digit()))
        && !matches!(text, ".inf" | ".nan" | ".")
}

/// Reads `.metadata.yml`; the error says what is wrong and where.
pub fn read(text: &str) -> Result<Vec<Item>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, line)| {
        let trimmed = line.trim();
        !trimmed.is_empty() && !trimmed.starts_with('#') && trimmed != "---"
    });
    let head = lines.next().map(|(_, line)| line.trim_end()).unwrap_or("");
    match head.strip_prefix("metadata:").map(str::trim) {
        Some("[]") => return Ok(Vec::new()),
        Some("") => {}
        _ => return Err("it must begin with 'metadata:'".into()),
    }
    let mut items: Vec<Item> = Vec::new();
    for (number, line) in lines {
        let at = |what: &str| format!("line {}: {what}", number + 1);
        let trimmed = line.trim();
        let member = match trimmed.strip_prefix("- ") {
            Some(member) => {
                items.push(Item::default());
                member.trim_start()
            }
            None if trimmed == "-" => {
                items.push(Item::default());
                continue;
            }
            None => trimmed,
        };
        let item = items.last_mut().ok_or_else(|| at("an item must begin with '- '"))?;
        let (name, value) = member.split_once(':').ok_or_else(|| at("no 'name: value'"))?;
        if !value.is_empty() && !value.starts_with([' ', '\t']) {
            return Err(at("no 'name: value'"));
        }
        let value = unquoted(value.trim()).map_err(|error| at(&error))?;
        match name.trim().trim_matches(['"', '\'']) {
            "dataId" => item.data_id = value.unwrap_or_default(),
            "group" => item.group = value.unwrap_or_default(),
            "type" => item.config_type = value,
            "appName" => item.app_name = value,
            "desc" => item.desc = value,
            "configTags" => item.config_tags = value,
            _ => {}
        }
    }
    if items.is_empty() {
        return Err("it lists nothing".into());
    }
    for item in &items {
        let blank = |text: &str| text.trim().is_empty();
        if blank(&item.data_id) || blank(&item.group) || item.config_type.as_deref().is_none_or(blank) {
            return Err(format!("{}/{}: dataId, group and type must be there", item.group, item.data_id));
        }
    }
    Ok(items)
}

/// The text of a scalar; null is `None`.
fn unquoted(value: &str) -> Result<Option<String>, String> {
    if let Some(rest) = value.strip_prefix('"') {
        let inner = rest.strip_suffix('"').ok_or("a quote does not end")?;
        return double_quoted(inner).map(Some);
    }
    if let Some(rest) = value.strip_prefix('\'') {
        let inner = rest.strip_suffix('\'').ok_or("a quote does not end")?;
        return Ok(Some(inner.replace("''", "'")));
    }
    let plain = value.split(" #").next().unwrap_or("").trim_end();
    match plain {
        "" | "~" | "null" | "Null" | "NULL" => Ok(None),
        _ if plain.starts_with(['[', '{', '&', '*', '!', '|', '>', '%', '@', '`']) => {
            Err(format!("'{plain}' is no plain text"))
        }
        _ => Ok(Some(plain.to_owned())),
    }
}

fn double_quoted(inner: &str) -> Result<String, String> {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('e') => out.push('\u{1b}'),
            Some('N') => out.push('\u{85}'),
            Some(same @ ('"' | '\\' | '/' | ' ')) => out.push(same),
            Some(kind @ ('x' | 'u' | 'U')) => {
                let length = match kind {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = chars.by_ref().take(length).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == length);
                out.push(code.and_then(char::from_u32).ok_or("a broken escape")?);
            }
            _ => return Err("a broken escape".into()),
        }
    }
    Ok(out)
}

/// Writes `.meta.yml`; `None` when no config has an application.
pub fn write_old(items: &[Item]) -> Option<String> {
    let mut out = String::new();
    for item in items {
        if let Some(app) = item.app_name.as_deref().filter(|app| !app.is_empty()) {
            let _ = write!(out, "{}={app}\r\n", old_key(&item.group, &item.data_id));
        }
    }
    if out.is_empty() { None } else { Some(out) }
}

/// How `.meta.yml` names a config: the last dot of the dataId is a tilde.
pub fn old_key(group: &str, data_id: &str) -> String {
    let data_id = match data_id.rsplit_once('.') {
        Some((name, extension)) => format!("{name}~{extension}"),
        None => data_id.to_owned(),
    };
    format!("{group}.{data_id}.app")
}

/// Reads `.meta.yml`: keys as [`old_key`] writes them, and applications.
pub fn read_old(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once('=') {
            Some((key, app)) if !app.contains('=') => Ok((key.to_owned(), app.to_owned())),
            _ => Err(format!("'{line}' is no 'key=application'")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(data_id: &str, app: &str, desc: Option<&str>) -> Item {
        Item {
            data_id: data_id.into(),
            group: "G".into(),
            config_type: Some("yaml".into()),
            app_name: Some(app.into()),
            desc: desc.map(Into::into),
            config_tags: None,
        }
    }

    #[test]
    fn it_is_written_as_the_reference_writes_it() {
        assert_eq!(
            write(&[item("one.yaml", "app1", Some("first")), item("two", "", None)]),
            "metadata:\n- appName: app1\n  dataId: one.yaml\n  desc: first\n  group: G\n  type: yaml\n- appName: ''\n  \
             dataId: two\n  group: G\n  type: yaml\n"
        );
        assert_eq!(write(&[]), "metadata: []\n");
        assert_eq!(scalar("null"), "'null'");
        assert_eq!(scalar("8848"), "'8848'");
        assert_eq!(scalar("a: b"), "'a: b'");
        assert_eq!(scalar("it's"), "it's");
        assert_eq!(scalar("描述 x"), "描述 x");
        assert_eq!(scalar("a\nb"), "\"a\\nb\"");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert!(read("a: [b").unwrap_err().contains("metadata:"));
        assert!(read("metadata:\n").unwrap_err().contains("nothing"));
        assert!(read("metadata:\n- dataId: [x]\n").unwrap_err().contains("line 2"));
        assert!(read("metadata:\n- dataId: x\n  group: g\n").unwrap_err().contains("type"));
        assert!(read("metadata:\n  dataId: x\n").unwrap_err().contains("line 2"));
    }

    #[test]
    fn quotes_comments_and_nulls_are_understood() {
        let text =
            "# made by hand\nmetadata:\n- dataId: 'it''s'\n  group: \"a\\u4e2d\" \n  type: yaml # kind\n  desc: null\n";
        let items = read(text).expect("items");
        assert_eq!((&*items[0].data_id, &*items[0].group, items[0].desc.as_deref()), ("it's", "a中", None));
    }

    #[test]
    fn the_old_form_knows_applications() {
        let items = [item("one.yaml", "app1", None), item("two", "", None), item("a.b.c", "x", None)];
        let text = write_old(&items).expect("text");
        assert_eq!(text, "G.one~yaml.app=app1\r\nG.a.b~c.app=x\r\n");
        assert_eq!(read_old(&text).expect("read")[0], ("G.one~yaml.app".into(), "app1".into()));
        assert!(read_old("nonsense").is_err());
    }

    proptest! {
        #[test]
        fn every_item_reads_back(data_id in "\\PC{1,20}", app in "\\PC{0,12}", desc in ".{0,30}") {
            prop_assume!(!data_id.trim().is_empty());
            let items = vec![item(&data_id, &app, Some(&desc))];
            prop_assert_eq!(read(&write(&items)), Ok(items));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,120}") {
            let _ = read(&text);
            let _ = read_old(&text);
        }
    }
}

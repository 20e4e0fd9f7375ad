//! `nacre config lint`, and the look at a content before it is published.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use nacre_doctor::lint::{Complaint, Weight, complaints};
use serde_json::{Value, json};

use super::{
    Session,
    config::{kind_of, read_text, stored},
};
use crate::{
    api::config::Key,
    args::Lint,
    error::{CliError, Outcome},
    output::{Screen, Tone, remark},
};

/// The types that are looked into.
const KNOWN: [&str; 5] = ["json", "yaml", "yml", "xml", "properties"];

pub async fn run(session: &Session, asked: Lint) -> Outcome {
    let found = if asked.files.is_empty() { of_server(session, &asked).await? } else { of_files(&asked)? };
    let screen = &session.screen;
    if screen.json {
        screen.value(&found.iter().map(|(name, complaint)| value(name, complaint)).collect())?;
    } else {
        for (name, complaint) in &found {
            screen.line(&line(screen, name, complaint))?;
        }
    }
    if found.iter().any(|(_, complaint)| complaint.weight == Weight::Error) {
        return Err(CliError::Silent(1));
    }
    if found.is_empty() && !screen.json {
        remark("nacre: nothing to complain of");
    }
    Ok(())
}

type Named = (String, Complaint);

fn of_files(asked: &Lint) -> Outcome<Vec<Named>> {
    let mut found = Vec::new();
    for path in &asked.files {
        let name = path.display().to_string();
        let kind = asked.r#type.as_deref().or_else(|| kind_of(&name)).filter(|kind| KNOWN.contains(kind));
        let kind =
            kind.ok_or_else(|| CliError::Usage(format!("{name}: say what it is by --type: {}", KNOWN.join(", "))))?;
        let of_file = complaints(kind, &read_text(Path::new(path))?);
        found.extend(of_file.into_iter().map(|complaint| (name.clone(), complaint)));
    }
    Ok(found)
}

/// Everything of a namespace, by the types that were published with it.
async fn of_server(Session { client, .. }: &Session, asked: &Lint) -> Outcome<Vec<Named>> {
    let mut found = Vec::new();
    for row in stored(client, None, asked.group.as_deref()).await? {
        let key = Key { data_id: row.data_id, group: row.group };
        // Gone since the list was made.
        let Some(config) = client.config(&key).await? else { continue };
        let kind = asked.r#type.as_deref().unwrap_or(&config.kind);
        // What came without a type is a text, whatever its name says.
        let kind = if kind == "text" { kind_of(&key.data_id).unwrap_or(kind) } else { kind };
        let name = format!("{}/{}", key.group, key.data_id);
        let of_config = complaints(kind, &String::from_utf8_lossy(&config.content));
        found.extend(of_config.into_iter().map(|complaint| (name.clone(), complaint)));
    }
    Ok(found)
}

fn weight(complaint: &Complaint) -> (Tone, &'static str) {
    match complaint.weight {
        Weight::Error => (Tone::Bad, "error"),
        Weight::Warning => (Tone::Warn, "warning"),
    }
}

/// As compilers write it, so that editors find the place.
fn line(screen: &Screen, name: &str, complaint: &Complaint) -> String {
    let (tone, word) = weight(complaint);
    format!("{name}:{}:{}: {}: {}", complaint.line, complaint.column, screen.paint(tone, word), complaint.what)
}

fn value(name: &str, complaint: &Complaint) -> Value {
    json!({
        "name": name, "line": complaint.line, "column": complaint.column,
        "weight": weight(complaint).1, "what": complaint.what,
    })
}

/// Shows what is wrong with a content that is about to be published; an error needs a yes, for which a person is asked who sits
/// at the terminal.
pub async fn agree(name: &str, kind: &str, content: &str, may_ask: bool) -> Outcome {
    let found = complaints(kind, content);
    let plain = Screen { json: false, colour: false };
    for complaint in &found {
        remark(&line(&plain, name, complaint));
    }
    if found.iter().all(|complaint| complaint.weight == Weight::Warning) {
        return Ok(());
    }
    if may_ask
        && io::stdin().is_terminal()
        && io::stderr().is_terminal()
        && yes("Publish it all the same? [y/N] ").await?
    {
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "not published: {name} is not the {kind} it says it is (--force publishes it as it is)"
    )))
}

/// Whether the answer is yes. It is read by a thread of its own, so that Ctrl-C ends the command while nobody answers.
async fn yes(question: &str) -> Outcome<bool> {
    write!(io::stderr(), "{question}")?;
    let (sender, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().read_line(&mut line);
        let _ = sender.send(line);
    });
    let line = answer.await.unwrap_or_default();
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

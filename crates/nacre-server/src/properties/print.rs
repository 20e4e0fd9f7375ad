//! `nacre server --print-config`: every effective value with its origin.

use std::fmt::Write as _;

use super::{
    known::Effect,
    report::shown,
    resolve::{Effective, Resolved},
    source::Origin,
};

/// One line a key: `key = value`, then where it comes from. Set keys first, then defaults, then keys without effect.
pub fn text(resolved: &Resolved) -> String {
    let mut out = String::new();
    let all = || resolved.effective.values();
    section(&mut out, "Set here, in effect", all().filter(|e| is_set(e) && has_effect(e)));
    section(&mut out, "Set here, without effect", all().filter(|e| is_set(e) && !has_effect(e)));
    section(&mut out, "Defaults", all().filter(|e| !is_set(e) && has_effect(e)));
    out
}

fn is_set(entry: &Effective) -> bool {
    entry.origin != Origin::Default
}

fn has_effect(entry: &Effective) -> bool {
    entry.row.is_some_and(|row| row.effect == Effect::Now)
}

fn section<'a>(out: &mut String, title: &str, entries: impl Iterator<Item = &'a Effective>) {
    let rows: Vec<(String, String)> = entries
        .map(|entry| {
            let mut origin = entry.origin.to_string();
            for (value, from) in &entry.overridden {
                let _ = write!(origin, "; beats {} from {from}", quoted(&shown(&entry.key, value)));
            }
            (format!("{} = {}", entry.key, quoted(&shown(&entry.key, &entry.text))), origin)
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0).min(72);
    let _ = writeln!(out, "{}# {title}", if out.is_empty() { "" } else { "\n" });
    for (left, origin) in rows {
        let _ = writeln!(out, "{left:width$}  # {origin}");
    }
}

/// Text that would be misread stands in quotes: blanks at its ends, control characters.
fn quoted(value: &str) -> String {
    if value.trim() != value || value.chars().any(char::is_control) { format!("{value:?}") } else { value.to_owned() }
}

/// The same as JSON, for programs.
pub fn json(resolved: &Resolved) -> serde_json::Value {
    let list: Vec<serde_json::Value> = resolved
        .effective
        .values()
        .map(|entry| {
            let effect = match entry.row.map(|row| row.effect) {
                Some(Effect::Now) => "now",
                Some(Effect::Later) => "later",
                Some(Effect::Never | Effect::Dead { .. }) => "none",
                None => "unknown",
            };
            let mut item = serde_json::json!({
                "key": entry.key,
                "value": shown(&entry.key, &entry.text),
                "length": entry.text.chars().count(),
                "secret": super::report::is_secret(&entry.key),
                "effect": effect,
                "origin": entry.origin.to_string(),
            });
            if !entry.overridden.is_empty() {
                item["overridden"] = entry
                    .overridden
                    .iter()
                    .map(|(value, from)| serde_json::json!({"value": shown(&entry.key, value), "origin": from.to_string()}))
                    .collect();
            }
            item
        })
        .collect();
    serde_json::json!({
        "home": resolved.home.display().to_string(),
        "properties": list,
        "problems": resolved.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "notes": resolved.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

//! Texts of the config side.

use nacre_config::{GrayRule, Pattern, fuzzy::FuzzyPattern, longpoll};
use nacre_doctor::lint;
use nacre_model::ConfigKey;
use nacre_server::http::params;

/// `Listening-Configs`: what was read is named in the answer, in the caller's spelling.
pub fn listening_configs(data: &[u8]) {
    let Ok(keys) = longpoll::parse(&crate::text(data)) else { return };
    assert!(keys.len() <= longpoll::MAX_KEYS);
    let body = longpoll::changed_body(&keys);
    assert_eq!(body.is_empty(), keys.is_empty());
    assert!(body.trim_end().bytes().all(|byte| byte.is_ascii_graphic()), "the answer is a header's text");
    let decoded = params::decode(body.trim_end().as_bytes());
    let named: Vec<&str> = decoded.split_terminator(longpoll::LINE).collect();
    assert_eq!(named.len(), keys.len());
    for (line, item) in named.iter().zip(&keys) {
        let words: Vec<&str> = line.split(longpoll::WORD).collect();
        let tenant = item.tenant.as_deref().filter(|tenant| !tenant.is_empty());
        let expected: Vec<&str> = [&*item.key.data_id, &*item.key.group].into_iter().chain(tenant).collect();
        assert_eq!(words, expected);
    }
    let _ = longpoll::changed_header_old(&keys);
}

/// The plainest matcher there is: `*` stands for any text.
fn glob(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) if glob(rest, text) => true,
        (Some(('*', _)), Some((_, text))) => glob(pattern, text),
        (Some((g, pattern)), Some((t, text))) => g == t && glob(pattern, text),
        _ => false,
    }
}

/// Patterns of searches and fuzzy watches and the names they are compared with; rules of gray versions.
pub fn search_patterns(data: &[u8]) {
    let (pattern, name) = crate::two(data);
    let (pattern, name) = (crate::text(pattern), crate::text(name));
    let found = Pattern::blur(&pattern).matches(&name);
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    // The naive one takes for ever where there are many stars.
    if !pattern.trim().is_empty() && pattern.matches('*').count() < 5 && name.len() < 60 {
        assert_eq!(found, glob(&chars(&pattern), &chars(&name)), "{pattern:?} {name:?}");
    }
    if let Some(watched) = FuzzyPattern::parse(&pattern) {
        let mut parts = name.split(">>");
        let mut part = || parts.next().unwrap_or_default();
        let _ = watched.matches(&ConfigKey::new(part(), part(), part()));
    }
    if let Ok(rule) = GrayRule::parse(&crate::text(data)) {
        assert_eq!(GrayRule::parse(&rule.to_json()).as_ref(), Ok(&rule), "a stored rule reads back");
    }
}

/// A content behind the line that says its type: where its complaints are, and that JSON is judged as its reader judges it.
pub fn lint(data: &[u8]) {
    let (kind, content) = crate::two(data);
    let (kind, content) = (crate::text(kind), crate::text(content));
    let found = lint::complaints(&kind, &content);
    assert!(found.len() <= lint::MOST);
    // A carriage return alone ends a line of YAML, too.
    let lines = content.split(['\n', '\r']).count();
    for complaint in &found {
        assert!((1..=lines + 1).contains(&complaint.line) && complaint.column >= 1, "{complaint} of {lines} lines");
    }
    if kind == "json" && found.is_empty() {
        let read = serde_json::from_str::<serde_json::Value>(&content).map_err(|error| error.to_string());
        // What is right and cannot be held is nobody's mistake.
        let limits = ["recursion limit", "number out of range"];
        assert!(read.err().is_none_or(|why| limits.iter().any(|limit| why.starts_with(limit))), "a reader refuses it");
    }
}

//! Whether a content is what its type says, before an application finds out at its next start (cases C078, C079, C090). JSON,
//! YAML and XML are read by parsers, properties as Java reads them. What is right is never complained of.

use std::fmt;

mod properties;
mod xml;
mod yaml;

/// Of one content no more are told.
pub const MOST: usize = 20;
const BYTE_ORDER_MARK: char = '\u{feff}';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It cannot be read as its type, or a part of it is not what it seems.
    Error,
    /// Applications may read it otherwise than its author thinks.
    Warning,
}

/// What is wrong with a content, and where: line and column count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub weight: Weight,
    pub line: usize,
    pub column: usize,
    pub what: String,
}

impl Complaint {
    fn error(line: usize, column: usize, what: impl Into<String>) -> Self {
        Self { weight: Weight::Error, line, column, what: what.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// Everything there is to say of a content, in the order of its lines; nothing of types that are not known.
pub fn complaints(config_type: &str, content: &str) -> Vec<Complaint> {
    let unmarked = content.strip_prefix(BYTE_ORDER_MARK);
    let text = unmarked.unwrap_or(content);
    let mut found = match config_type {
        // Readers of JSON and properties take the mark for a part of the text.
        "json" => json(content).into_iter().collect(),
        "properties" => properties::complaints(content),
        "yaml" | "yml" => yaml::complaints(text),
        "xml" => xml::complaint(text).into_iter().collect(),
        _ => Vec::new(),
    };
    if unmarked.is_some() && matches!(config_type, "yaml" | "yml" | "xml" | "text" | "html" | "toml") {
        let what = "begins with a byte order mark (U+FEFF), which some readers take for a part of the text";
        found.insert(0, Complaint { weight: Weight::Warning, ..Complaint::error(1, 1, what) });
    }
    found.truncate(MOST);
    found
}

/// The first thing that applications will fail on.
pub fn complaint(config_type: &str, content: &str) -> Option<Complaint> {
    complaints(config_type, content).into_iter().find(|complaint| complaint.weight == Weight::Error)
}

/// Replacement characters: what is left of bytes that were no UTF-8, when the server or somebody before it read them.
pub fn lost_characters(content: &str) -> Option<String> {
    const LEFT: char = '\u{FFFD}';
    let at = content.find(LEFT)?;
    let count = content[at..].matches(LEFT).count();
    let line = content[..at].matches('\n').count() + 1;
    Some(format!("{count} characters lost (U+FFFD), the first in line {line}"))
}

fn json(content: &str) -> Option<Complaint> {
    if content.starts_with(BYTE_ORDER_MARK) {
        return Some(Complaint::error(1, 1, "begins with a byte order mark (U+FEFF), which JSON does not allow"));
    }
    let error = serde_json::from_str::<serde::de::IgnoredAny>(content).err()?;
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    Some(Complaint::error(error.line(), error.column().max(1), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_were_lost_are_counted() {
        assert_eq!(lost_characters("name: 中文 😀\n"), None);
        let said = lost_characters("a: 1\nname: \u{FFFD}\u{FFFD}\u{FFFD}\n");
        assert_eq!(said.as_deref(), Some("3 characters lost (U+FFFD), the first in line 2"));
    }

    #[test]
    fn what_is_wrong_is_found_with_its_place_c078() {
        for (kind, text, wanted) in [
            ("json", "{\"a\": 1,\n}", "line 2, column 1: key must be a string"),
            ("json", "\u{feff}{}", "line 1, column 1: begins with a byte order mark"),
            ("yaml", "a:\n\tb: 1\n", "line 2, column 1: a tab indents it"),
            ("yaml", "a: 1\nb: 2\na: 3\n", "line 3, column 1: the key `a` is there twice, first in line 1"),
            ("yaml", "a: x\n\ty\n", "line 2, column 1: a tab"),
            ("yaml", "server:\n  port: 1\n  host: a\n  port: 2\n", "line 4, column 3: the key `port` is there twice"),
            ("yaml", "l:\n- {a: 1, \"a\": 2}\n", "line 2, column 10: the key `a`"),
            ("yaml", "a: 1\n    b: 3\nc: 4\n", "line 2, column 6: mapping values are not allowed"),
            ("yaml", "a: \"x\nb: 2\n", "line "),
            ("yaml", "a: *nobody\n", "unknown anchor"),
            ("yaml", "a: @x\n", "line 1, column 4"),
            ("yaml", "name：x\nport: 1\n", "full-width colon (：) in line 1"),
            ("properties", "a=1\nb=\\u12\n", "line 2, column 3: Malformed \\uxxxx encoding"),
            ("properties", "\u{feff}a=1\n", "line 1, column 1: the first key begins with a byte order mark"),
            ("xml", "<a>\n<b></a>", "line 2, column 4: expected 'b' tag, not 'a'"),
            ("xml", "<a><b/>", "line 1, column"),
            ("xml", "<a b=c/>", "line 1, column 6"),
            ("xml", "just text", "line 1, column 1"),
        ] {
            let found = complaint(kind, text).map(|complaint| complaint.to_string()).unwrap_or_default();
            assert!(found.contains(wanted), "{kind} {text}: {found}");
        }
    }

    #[test]
    fn what_is_right_is_left_alone_c079() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        for (kind, text) in [
            ("json", "{\"a\": [1, 2]}"),
            ("json", deep.as_str()),
            ("yaml", "a: &x\n  k: 1\nb:\n  <<: *x\n---\na: 2\n# c\nt: |\n  x:\n  \ttab\nf: {a: 1,\n b: 2}\n"),
            ("yaml", "a: \"folded \\\n\tb\"\n"),
            ("yaml", "k: >-\n  a: 1\n  a: 2\nl:\n- a: 1\n- a: 2\n"),
            ("yaml", "1: a\n\"1\": b\ntrue: a\n'true': b\n"),
            ("yaml", "? [a, b]\n: 1\n? [a, b]\n: 2\n"),
            (
                "yaml",
                "# 中文注释：对\nbase: &base\n  a: 1\nmore:\n  <<: *base\n  text: \"one\\\n    two\"\n  q: 'it''s'\n---\nsecond: doc\n",
            ),
            ("yaml", ""),
            ("yaml", "title: 说明：是\n"),
            ("properties", "a=c:\\\\users\n# \\u1\nb=\\u4e2d\n"),
            ("xml", "<?xml version=\"1.0\"?><!-- <x> --><a b=\"c\"><c/><![CDATA[<z>]]></a>"),
            ("xml", "<beans:a><b x:y=\"1\"/></beans:a>"),
            ("xml", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"),
            ("text", "{"),
        ] {
            assert_eq!(complaints(kind, text), [], "{kind} {text}");
        }
    }

    #[test]
    fn comments_are_right_in_any_number() {
        for tab in ["", "# \t\n"] {
            let many = tab.to_owned() + &"# c\n".repeat(500);
            for text in [
                format!("a:\n{many}- x\n{many}b:\n{many}  c: 1\n{many}"),
                format!("- a\n{many}-\n{many}  - b\n{many}- c: 1\n"),
            ] {
                assert_eq!(complaints("yaml", &text), [], "{tab:?}");
            }
        }
    }

    #[test]
    fn a_byte_order_mark_is_a_warning_where_readers_skip_it_c090() {
        let found = complaints("yaml", "\u{feff}a: 1\na: 2\n");
        let weights: Vec<_> = found.iter().map(|complaint| (complaint.weight, complaint.line)).collect();
        assert_eq!(weights, [(Weight::Warning, 1), (Weight::Error, 2)]);
        assert_eq!(complaints("xml", "\u{feff}<a/>").len(), 1);
        assert_eq!(complaint("xml", "\u{feff}<a/>"), None);
    }

    #[test]
    fn tabs_that_only_javas_reader_refuses_are_warnings() {
        for (text, place) in [
            ("a: 1\n\t\nb: 2\n", Some((2, 1))),
            ("a: 1\n\t# c\nb: 2\n", Some((2, 1))),
            ("a: {b: 1,\n\tc: 2}\n", Some((2, 1))),
            ("-\ta: 1\n", Some((1, 2))),
            ("a: \"x\"\t# c\n", Some((1, 7))),
            ("a: x\t# c\ty\nb: 'a\tb'\nc: |\n  x\ty\n  \tz\n# \t\n", None),
            ("a: x y\t\n", None),
        ] {
            let found = complaints("yaml", text);
            let places: Vec<_> = found.iter().map(|complaint| (complaint.line, complaint.column)).collect();
            assert_eq!(places, place.into_iter().collect::<Vec<_>>(), "{text:?}");
            assert_eq!(complaint("yaml", text), None, "{text:?}");
        }
    }

    #[test]
    fn hostile_contents_cost_no_stack_and_few_words() {
        let deep = 100_000;
        assert_eq!(complaint("yaml", &"[".repeat(deep)), None, "deeper than the parser goes");
        let nested: String = (0..2_000).map(|at| " ".repeat(at) + "a:\n").collect();
        assert_eq!(complaints("yaml", &nested), []);
        assert!(complaint("xml", &"<a>".repeat(deep)).is_some());
        assert!(complaint("json", &"[".repeat(deep)).is_some());
        assert_eq!(complaints("yaml", &"a: 1\n".repeat(deep)).len(), MOST);
    }
}

//! The metadata entry of exports: `.metadata.yml`, a list of maps of texts, and the older `.meta.yml` that knows the
//! application only. Both are read and written here: a text that is written has one line, one that is read may have any
//! form YAML has for it (the reference folds long ones, people write by hand).

use std::fmt::Write;

use granit_parser::{Event, Options, Parser, ScalarStyle, StrInput};

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

/// A text as YAML on one line: plain where nothing can be mistaken, else quoted.
fn scalar(text: &str) -> String {
    if !text.chars().all(is_printable) {
        return escaped(text);
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// What stands for itself in quotes, for every reader of YAML.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{10000}'.. => true,
        '\u{e000}'..='\u{fffd}' => c != '\u{feff}',
        _ => false,
    }
}

/// In double quotes, where everything can be written.
fn escaped(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if is_printable(c) => out.push(c),
            // None of them lies beyond four digits.
            _ => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
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

/// Reads `.metadata.yml`; the error says what is wrong and where. Names that nobody knows are passed over.
pub fn read(text: &str) -> Result<Vec<Item>, String> {
    // The reference's YAML is that of 1.1, where these end lines, and it lets byte order marks pass.
    let text = text.replace(['\u{85}', '\u{2028}', '\u{2029}'], "\n").replace('\u{feff}', "");
    let mut reader = Reader::new(&text);
    let items = reader.items()?;
    reader.rest()?;
    for item in &items {
        let blank = |text: &str| text.trim().is_empty();
        if blank(&item.data_id) || blank(&item.group) || item.config_type.as_deref().is_none_or(blank) {
            return Err(format!("{}/{}: dataId, group and type must be there", item.group, item.data_id));
        }
    }
    Ok(items)
}

/// Walks through the events of a YAML text.
struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Of the last event, from 1.
    line: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let mut options = Options::default();
        options.set_emit_comments(false);
        Self { parser: Parser::new_from_str_with_options(text, options), line: 1 }
    }

    /// `None` behind the last event.
    fn next(&mut self) -> Result<Option<Event<'a>>, String> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(Some(event))
            }
            Some(Err(error)) => {
                self.line = error.marker().line().max(1);
                Err(self.at(&error.info()))
            }
        }
    }

    fn at(&self, what: &str) -> String {
        format!("line {}: {what}", self.line)
    }

    /// The list below `metadata`, which comes first.
    fn items(&mut self) -> Result<Vec<Item>, String> {
        const HEAD: &str = "it must begin with 'metadata:'";
        let mut first = self.next()?;
        while matches!(first, Some(Event::StreamStart | Event::DocumentStart(..))) {
            first = self.next()?;
        }
        if !matches!(first, Some(Event::MappingStart(..))) {
            return Err(HEAD.into());
        }
        match self.next()? {
            Some(Event::Scalar(name, ..)) if name == "metadata" => {}
            _ => return Err(HEAD.into()),
        }
        match self.next()? {
            Some(Event::SequenceStart(..)) => {}
            Some(Event::Scalar(value, ..)) if is_null(&value) => return Err("it lists nothing".into()),
            _ => return Err(self.at("an item must begin with '- '")),
        }
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Some(Event::MappingStart(..)) => items.push(self.item()?),
                Some(Event::SequenceEnd) => return Ok(items),
                _ => return Err(self.at("an item is lines of 'name: value'")),
            }
        }
    }

    fn item(&mut self) -> Result<Item, String> {
        let mut item = Item::default();
        loop {
            let name = match self.next()? {
                Some(Event::Scalar(name, ..)) => name,
                Some(Event::MappingEnd) => return Ok(item),
                _ => return Err(self.at("no 'name: value'")),
            };
            let value = match self.next()? {
                Some(Event::Scalar(value, style, ..)) if style == ScalarStyle::Plain && is_null(&value) => None,
                Some(Event::Scalar(value, ..)) => Some(value.into_owned()),
                _ => return Err(self.at(&format!("'{name}' is no text"))),
            };
            match &*name {
                "dataId" => item.data_id = value.unwrap_or_default(),
                "group" => item.group = value.unwrap_or_default(),
                "type" => item.config_type = value,
                "appName" => item.app_name = value,
                "desc" => item.desc = value,
                "configTags" => item.config_tags = value,
                _ => {}
            }
        }
    }

    /// What stands behind the list is not looked at, but must be YAML.
    fn rest(&mut self) -> Result<(), String> {
        while self.next()?.is_some() {}
        Ok(())
    }
}

/// The words of a value that is none, without quotes.
fn is_null(plain: &str) -> bool {
    matches!(plain, "" | "~" | "null" | "Null" | "NULL")
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

    /// Recorded: SnakeYAML breaks a long text at its blanks, and a text of several lines between them.
    #[test]
    fn texts_that_the_reference_folds_are_read() {
        for (value, want) in [
            ("a description of more than\n    eighty letters", "a description of more than eighty letters"),
            ("'it''s: a\n    b'", "it's: a b"),
            ("'one\n\n    two'", "one\ntwo"),
            ("\"a\\u2028\\\n    \\ b\"", "a\u{2028} b"),
            ("|-\n    one\n    two", "one\ntwo"),
            (">-\n    one\n    two", "one two"),
            ("|2-\n\u{2028}    one", "\none"),
            ("\u{feff}pasted", "pasted"),
        ] {
            let text = format!("metadata:\n- dataId: d\n  desc: {value}\n  group: G\n  type: text\n");
            let items = read(&text).expect(value);
            assert_eq!((items[0].desc.as_deref(), &*items[0].group), (Some(want), "G"), "{value}");
        }
        let flow = "{metadata: [{dataId: d, group: G, type: text, more: 1}]}";
        assert_eq!(read(flow).expect("flow").len(), 1);
    }

    #[test]
    fn what_no_yaml_may_hold_is_escaped() {
        assert_eq!(scalar("\u{7f}\u{85}\u{feff}\u{ffff}\"\\🦀"), "\"\\u007f\\u0085\\ufeff\\uffff\\\"\\\\🦀\"");
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

//! What goes to the screen: tables for people, JSON for programs, colours only where they are wanted.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::{args::Colour, error::Outcome};

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    pub json: bool,
    pub colour: bool,
}

/// What a piece of text means; the colour follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Dim,
    Head,
    Good,
    Bad,
    Warn,
    Accent,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Head => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Warn => "\x1b[33m",
            Self::Accent => "\x1b[36m",
        }
    }
}

impl Screen {
    pub fn new(json: bool, colour: Colour) -> Self {
        Self { json, colour: wants_colour(colour, &io::stdout()) }
    }

    /// Text in a tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour && tone != Tone::Plain { format!("{}{text}\x1b[0m", tone.code()) } else { text.to_owned() }
    }

    pub fn line(&self, text: &str) -> Outcome {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// Bytes as they are, nothing added.
    pub fn raw(&self, bytes: &[u8]) -> Outcome {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// A value, indented when a person may be reading.
    pub fn value(&self, value: &Value) -> Outcome {
        self.line(&format!("{value:#}"))
    }

    /// One line of a stream of values.
    pub fn event(&self, value: &Value) -> Outcome {
        self.line(&value.to_string())
    }

    pub fn table(&self, table: &Table) -> Outcome {
        self.raw(table.render(self).as_bytes())
    }
}

/// A remark beside the result; never on the standard output.
pub fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether `stream` gets colours.
pub fn wants_colour(colour: Colour, stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            stream.is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Rows under a heading; columns are as wide as their widest cell.
#[derive(Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<(Tone, String)>>,
}

impl Table {
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<(Tone, String)>) {
        debug_assert_eq!(cells.len(), self.head.len());
        self.rows.push(cells.into_iter().map(|(tone, text)| (tone, printable(&text))).collect());
    }

    fn render(&self, screen: &Screen) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut widths: Vec<usize> = self.head.iter().map(|text| width(text)).collect();
        for row in &self.rows {
            for (widest, (_, text)) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(text));
            }
        }
        let head: Vec<(Tone, String)> = self.head.iter().map(|text| (Tone::Head, (*text).to_owned())).collect();
        let mut out = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            for (n, ((tone, text), widest)) in row.iter().zip(&widths).enumerate() {
                out.push_str(&screen.paint(*tone, text));
                if n + 1 < row.len() {
                    out.extend(std::iter::repeat_n(' ', widest - width(text) + 2));
                }
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
        out
    }
}

/// Columns that a terminal gives to the text: two for East Asian wide characters and emoji.
pub fn width(text: &str) -> usize {
    let wide = |c: char| {
        matches!(u32::from(c), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF
            | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
    };
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

/// Control characters of what a server sent must not reach a terminal.
pub fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
    } else {
        text.to_owned()
    }
}

/// At most `limit` characters, with an ellipsis where something was left off.
pub fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(vec![(Tone::Plain, "a".into()), (Tone::Good, "ok".into())]);
        table.row(vec![(Tone::Plain, "中文长".into()), (Tone::Plain, String::new())]);
        let screen = Screen { json: false, colour: false };
        assert_eq!(table.render(&screen), "NAME    STATE\na       ok\n中文长\n");
        let coloured = Screen { json: false, colour: true };
        assert!(table.render(&coloured).contains("\x1b[32mok\x1b[0m"));
    }

    #[test]
    fn an_empty_table_is_nothing() {
        assert_eq!(Table::new(&["A"]).render(&Screen { json: false, colour: false }), "");
    }

    #[test]
    fn escape_sequences_of_a_server_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\n"), "a\u{FFFD}[31mb\u{FFFD}");
        assert_eq!(shortened("abcdef", 4), "abc…");
    }
}

//! YAML: what the grammar forbids, and keys that are there twice, which Spring's reader refuses.

use std::{borrow::Cow, collections::HashMap, fmt::Write};

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span};

use super::{Complaint, MOST, Weight};

pub fn complaints(content: &str) -> Vec<Complaint> {
    let mut walk = Walk { taken: content.contains('\t').then(Vec::new), ..Walk::default() };
    let mut options = Options::default();
    // Comments are asked for where tabs are, in any number: how many may follow each other is no rule of YAML.
    options.set_emit_comments(walk.taken.is_some());
    options.max_buffered_comment_events = usize::MAX;
    for event in Parser::new_from_str_with_options(content, options) {
        match event {
            Ok((event, span)) => walk.event(event, span),
            Err(error) => {
                // How deep it may go is this parser's own affair.
                if *error.kind() != ErrorKind::RecursionLimitExceeded {
                    walk.found.push(grammar(content, &error));
                }
                break;
            }
        }
        if walk.found.len() >= MOST {
            break;
        }
    }
    if walk.found.is_empty() {
        let taken = walk.taken.unwrap_or_default();
        walk.found.extend(tab_between(content, &taken));
    }
    walk.found
}

/// A key of a mapping. `1` and `"1"` are two: the one is a number.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    text: Cow<'a, str>,
    typed: bool,
}

/// A collection that has not ended.
enum Open<'a> {
    Sequence,
    /// Its keys with their lines; whether a key comes next.
    Mapping {
        keys: HashMap<Key<'a>, usize>,
        key_next: bool,
    },
}

/// Where a text or a comment lies, in characters from the start.
struct Taken {
    start: usize,
    end: usize,
    /// A text without quotes: blanks and tabs behind it belong to it.
    plain: bool,
}

#[derive(Default)]
struct Walk<'a> {
    open: Vec<Open<'a>>,
    found: Vec<Complaint>,
    /// Of a content with tabs.
    taken: Option<Vec<Taken>>,
}

impl<'a> Walk<'a> {
    fn event(&mut self, event: Event<'a>, span: Span) {
        match event {
            Event::Comment(..) => self.take(span, false),
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain;
                self.take(span, plain);
                // What a tag makes of a text is not looked into, and merging twice is no mistake.
                let key =
                    (tag.is_none() && !(plain && text == "<<")).then(|| Key { typed: plain && is_typed(&text), text });
                self.node(key, span);
            }
            Event::Alias(_) => self.node(None, span),
            Event::SequenceStart(..) => {
                self.node(None, span);
                self.open.push(Open::Sequence);
            }
            Event::MappingStart(..) => {
                self.node(None, span);
                self.open.push(Open::Mapping { keys: HashMap::new(), key_next: true });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            _ => {}
        }
    }

    fn take(&mut self, span: Span, plain: bool) {
        if let Some(taken) = &mut self.taken {
            taken.push(Taken { start: span.start.index(), end: span.end.index(), plain });
        }
    }

    /// A node begins, where a key or a value may stand.
    fn node(&mut self, key: Option<Key<'a>>, span: Span) {
        let Some(Open::Mapping { keys, key_next }) = self.open.last_mut() else { return };
        let is_key = std::mem::replace(key_next, !*key_next);
        let Some(key) = key.filter(|_| is_key) else { return };
        let (line, column) = (span.start.line(), span.start.col() + 1);
        if let Some(first) = keys.get(&key) {
            let name: String = key.text.chars().take(60).collect();
            let what = format!("the key `{name}` is there twice, first in line {first}");
            self.found.push(Complaint::error(line, column, what));
        } else {
            keys.insert(key, line);
        }
    }
}

/// Whether a plain text may be read as something else than a text: a number, a truth value, nothing, a date.
fn is_typed(text: &str) -> bool {
    const WORDS: [&str; 9] = ["", "~", "null", "true", "false", "yes", "no", "on", "off"];
    text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// What the parser says, with what people do most often.
fn grammar(content: &str, error: &ScanError) -> Complaint {
    let place = error.marker();
    let (line, column) = (place.line().max(1), place.col() + 1);
    let mut what = error.info();
    if what.contains("tab")
        && let Some((line, column)) = indenting_tab(content, line)
    {
        return Complaint::error(line, column, "a tab indents it, YAML wants blanks");
    }
    if let Some(at) = wide_colon(content, line) {
        let _ = write!(what, "; there is a full-width colon (：) in line {at}, where `: ` may be meant");
    }
    Complaint::error(line, column, what)
}

/// A tab where YAML allows one and SnakeYAML, which Java applications read with, does not: anywhere but in a text, behind one that has
/// no quotes, and in a comment.
fn tab_between(content: &str, taken: &[Taken]) -> Option<Complaint> {
    let (mut line, mut column, mut blanks) = (1, 0, 0);
    let mut taken = taken.iter().peekable();
    let mut before: Option<&Taken> = None;
    for (at, letter) in content.chars().enumerate() {
        column += 1;
        while let Some(next) = taken.next_if(|next| next.end <= at) {
            before = Some(next);
        }
        let inside = taken.peek().is_some_and(|next| next.start <= at);
        match letter {
            '\n' => (line, column) = (line + 1, 0),
            '\t' if !inside && !before.is_some_and(|text| text.plain && text.end >= blanks) => {
                let what =
                    "a tab between texts: YAML allows it here, the reader of Java applications (SnakeYAML) does not";
                return Some(Complaint { weight: Weight::Warning, ..Complaint::error(line, column, what) });
            }
            _ => {}
        }
        if !matches!(letter, ' ' | '\t') {
            blanks = at + 1;
        }
    }
    None
}

/// Line and column of the first tab in an indentation, from that line on: a text that goes on over lines is told where it begins.
fn indenting_tab(content: &str, from: usize) -> Option<(usize, usize)> {
    content.lines().enumerate().skip(from - 1).find_map(|(at, text)| {
        let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
        text.get(..indent)?.find('\t').map(|column| (at + 1, column + 1))
    })
}

/// The line, or the one before, where an input method's `：` stands, which looks like the colon and is a letter.
fn wide_colon(content: &str, line: usize) -> Option<usize> {
    let wide = |text: &str| text.contains('：') && !text.contains(": ") && !text.trim_start().starts_with('#');
    let first = line.saturating_sub(2);
    content
        .lines()
        .enumerate()
        .skip(first)
        .take(line - first)
        .filter(|(_, text)| wide(text))
        .map(|(at, _)| at + 1)
        .last()
}

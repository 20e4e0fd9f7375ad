//! What is known of metrics and codes: a table in two languages, and how questions find their way into it.
//!
//! [`ask`] reads questions, [`scrape`] what a server exports, [`judge`] says whether a value is a problem. The knowledge
//! itself is text, under `table/`, one block an entry:
//!
//! ```text
//! @ name{label="value"} ; another | kind | unit
//! judge: failures
//! see: another_metric
//! en.nacos: what it means in Nacos
//!   (lines that start with a blank go on)
//! en.do: one step; a command stands behind `$ `
//! ```
//!
//! `@` is a metric, `&` what two metrics say together, `%` a code of an answer, `!` a line of a log, a text of an answer or a sentence ([`said`]).

pub mod answer;
pub mod ask;
pub mod judge;
pub mod said;
pub mod scrape;

use std::sync::LazyLock;

use self::{
    ask::{Matcher, Op, Selector},
    judge::Judge,
};

const SOURCES: &[(&str, &str)] = &[
    ("naming", include_str!("table/naming.txt")),
    ("config", include_str!("table/config.txt")),
    ("core", include_str!("table/core.txt")),
    ("machine", include_str!("table/machine.txt")),
    ("own", include_str!("table/own.txt")),
    ("elsewhere", include_str!("table/elsewhere.txt")),
    ("codes", include_str!("table/codes.txt")),
    ("messages", include_str!("table/messages.txt")),
    ("clients", include_str!("table/clients.txt")),
    ("questions", include_str!("table/questions.txt")),
];

/// The language of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    #[default]
    En,
    Zh,
}

impl Lang {
    /// As the environment asks for, by the variables that say so, the strongest first.
    pub fn of_environment() -> Self {
        let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let chosen = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set).unwrap_or_default();
        if chosen.to_ascii_lowercase().starts_with("zh") { Self::Zh } else { Self::En }
    }

    pub const fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }

    pub const fn word(self) -> &'static str {
        self.pick("en", "zh")
    }
}

/// A series, or a family, that an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// A `*` at the end stands for anything.
    pub name: String,
    pub labels: Vec<(String, String)>,
}

impl Head {
    fn is_named(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => self.name == name,
        }
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    /// Whether a sample belongs here; its name may have a summary's ending.
    pub fn covers(&self, sample: &scrape::Sample) -> bool {
        forms(&sample.name).any(|name| self.is_named(name))
            && self.labels.iter().all(|(label, value)| sample.label(label) == Some(value))
    }

    pub fn series(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        if labels.is_empty() { self.name.clone() } else { format!("{}{{{}}}", self.name, labels.join(",")) }
    }
}

/// One block of a source.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub heads: Vec<Head>,
    /// Of a line of a log or a sentence.
    pub phrases: Vec<said::Phrase>,
    /// The head as it is written: of codes, and of pairs.
    pub title: String,
    pub kind: &'static str,
    pub unit: &'static str,
    pub judge: Judge,
    pub see: Vec<&'static str>,
    texts: Vec<(&'static str, String)>,
}

impl Entry {
    /// A text such as `nacos`; `""` when there is none.
    pub fn text(&self, lang: Lang, name: &str) -> &str {
        let wanted = format!("{}.{name}", lang.word());
        self.texts.iter().find(|(key, _)| *key == wanted).map_or("", |(_, text)| text)
    }

    /// What to do, in order.
    pub fn steps(&self, lang: Lang) -> Vec<&str> {
        let wanted = format!("{}.do", lang.word());
        self.texts.iter().filter(|(key, _)| *key == wanted).map(|(_, text)| text.as_str()).collect()
    }
}

/// Everything known.
#[derive(Debug, Default)]
pub struct Table {
    pub metrics: Vec<Entry>,
    pub pairs: Vec<Entry>,
    pub codes: Vec<Entry>,
    pub messages: Vec<Entry>,
    /// Lines that could not be read: none, a test says.
    pub wrong: Vec<String>,
}

/// The table, read once.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::default();
    for (name, text) in SOURCES {
        table.read(name, text);
    }
    table
});

impl Table {
    fn read(&mut self, source: &str, text: &'static str) {
        let mut open: Option<(char, Entry)> = None;
        for (number, line) in text.lines().enumerate() {
            let wrong = || format!("{source}.txt:{}: {line}", number + 1);
            if line.trim().is_empty() || line.starts_with("//") {
                continue;
            }
            if let Some(kind) = line.chars().next().filter(|c| matches!(c, '@' | '&' | '%' | '!')) {
                self.close(open.take());
                match head(kind, line[1..].trim()) {
                    Some(entry) => open = Some((kind, entry)),
                    None => self.wrong.push(wrong()),
                }
                continue;
            }
            let Some((_, entry)) = &mut open else {
                self.wrong.push(wrong());
                continue;
            };
            if line.starts_with(' ') {
                match entry.texts.last_mut() {
                    // Chinese is written without blanks between words.
                    Some((key, text)) => {
                        if !key.starts_with("zh") || text.ends_with(|c: char| c.is_ascii()) {
                            text.push(' ');
                        }
                        text.push_str(line.trim());
                    }
                    None => self.wrong.push(wrong()),
                }
                continue;
            }
            let read = line.split_once(": ").is_some_and(|(key, value)| field(entry, key, value.trim()));
            if !read {
                self.wrong.push(wrong());
            }
        }
        self.close(open);
    }

    fn close(&mut self, entry: Option<(char, Entry)>) {
        match entry {
            Some(('@', entry)) => self.metrics.push(entry),
            Some(('&', entry)) => self.pairs.push(entry),
            Some(('!', entry)) => self.messages.push(entry),
            Some((_, entry)) => self.codes.push(entry),
            None => {}
        }
    }

    /// The name of a metric that a word stands for, with the labels it implies. `alone`: the word is the whole question, so
    /// that also a short one (`disk`) is meant.
    pub fn known(&self, word: &str, alone: bool) -> Option<(String, Vec<Matcher>)> {
        let heads = || self.metrics.iter().flat_map(|entry| &entry.heads);
        // Families of any name are for names, not for words of a sentence.
        let is_name = |name: &str| {
            heads().any(|head| head.is_named(name) && (!head.name.ends_with('*') || name.len() > head.name.len()))
        };
        if forms(word).any(is_name) {
            return Some((word.to_owned(), Vec::new()));
        }
        // Micrometer's own spelling of a meter, `jvm.memory.used`, before an exposition adds units and kinds.
        let plain = word.replace('.', "_");
        let endings = ["", "_total", "_seconds", "_bytes", "_seconds_total"];
        if let Some(name) = endings.iter().map(|ending| format!("{plain}{ending}")).find(|name| is_name(name)) {
            return Some((name, Vec::new()));
        }
        // A rule's name: `job:nacos_exception_total:rate5m`.
        if let Some(name) = word.split(':').filter(|_| word.contains(':')).find(|part| is_name(part)) {
            return Some((name.to_owned(), Vec::new()));
        }
        let camel = word.chars().any(|c| c.is_ascii_uppercase()) && word.chars().any(|c| c.is_ascii_lowercase());
        let snake = word.contains('_');
        if !camel && !snake && !alone {
            return None;
        }
        let names = || heads().filter_map(|head| Some((head, head.label("name")?)));
        let (head, value) = spellings(word).find_map(|word| names().find(|(_, name)| same(name, &word)))?;
        // Short names are words of sentences as well: `Disk`, `Nacos`.
        if !alone && value.chars().all(|c| c.is_ascii_lowercase()) {
            return None;
        }
        Some((head.name.clone(), vec![Matcher { label: "name".to_owned(), op: Op::Is, value: value.to_owned() }]))
    }

    /// The metric's names that a pattern means: `{__name__=~"nacos_.*"}`.
    pub fn named(&self, pattern: &Matcher) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for head in self.metrics.iter().flat_map(|entry| &entry.heads) {
            if pattern.accepts(&head.name) && !head.name.ends_with('*') && !names.contains(&head.name) {
                names.push(head.name.clone());
            }
        }
        names
    }

    /// Values of labels as the table spells them: `LeaderSendBeatFailed`, `leader_send_beat_failed`.
    pub fn respell(&self, selector: &mut Selector) {
        if !self.find(selector).is_empty() {
            return;
        }
        for n in 0..selector.matchers.len() {
            if let Some(value) = self.respelt(&selector.name, &selector.matchers[n]) {
                selector.matchers[n].value = value;
            }
        }
    }

    /// The value of a label as the table spells it, where only the spelling differs.
    fn respelt(&self, name: &str, matcher: &Matcher) -> Option<String> {
        let heads = self.metrics.iter().flat_map(|entry| &entry.heads);
        let values = heads.filter(|head| forms(name).any(|name| head.is_named(name)));
        let mut values = values.filter_map(|head| head.label(&matcher.label));
        let value = values.find(|value| spellings(&matcher.value).any(|word| same(value, &word)))?;
        (value != matcher.value).then(|| value.to_owned())
    }

    /// Entries that a selector may mean.
    pub fn find(&self, selector: &Selector) -> Vec<&Entry> {
        let means = |head: &Head| {
            forms(&selector.name).any(|name| head.is_named(name)) && selector.fits(|label| head.label(label))
        };
        self.metrics.iter().filter(|entry| entry.heads.iter().any(means)).collect()
    }

    /// Series close to a question that none is known for.
    pub fn near(&self, question: &str) -> Vec<String> {
        let question = question.to_ascii_lowercase();
        let words: Vec<&str> = question.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
        let likeness = |name: &str| {
            let name = name.to_ascii_lowercase();
            let of = |word: &&str| {
                let (short, long) = if word.len() < name.len() { (*word, &*name) } else { (&*name, *word) };
                let common = word.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
                if short.len() >= 6 && long.contains(short) { 10 + short.len() } else { common }
            };
            words.iter().map(of).max().unwrap_or(0)
        };
        let heads = self.metrics.iter().flat_map(|entry| &entry.heads);
        let mut near: Vec<(usize, String)> = heads
            .map(|head| (likeness(&head.name) + head.label("name").map_or(0, |name| 2 * likeness(name)), head.series()))
            .filter(|(likeness, _)| *likeness >= 8)
            .collect();
        near.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        near.into_iter().take(5).map(|(_, series)| series).collect()
    }

    /// The entries of a code: one number can mean several things.
    pub fn code(&self, code: &str) -> Vec<&Entry> {
        self.codes.iter().filter(|entry| entry.title == code).collect()
    }

    /// What these selectors say together.
    pub fn together(&self, selectors: &[Selector]) -> Vec<&Entry> {
        let asked = |head: &Head| {
            selectors.iter().any(|selector| {
                forms(&selector.name).any(|name| head.is_named(name))
                    && head.labels.iter().all(|(label, value)| {
                        selector.matchers.iter().any(|m| m.label == *label && m.op != Op::IsNot && m.accepts(value))
                    })
            })
        };
        self.pairs.iter().filter(|pair| pair.heads.iter().all(asked)).collect()
    }
}

/// Whether two names differ in capitals and underscores only.
fn same(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.replace(['_', '-', '.'], "").to_ascii_lowercase();
    plain(a) == plain(b)
}

/// A word, and what is left of it without what Java code puts around a metric: `getLeaderSendBeatFailedException`,
/// `getIpCountMonitor`.
fn spellings(word: &str) -> impl Iterator<Item = String> {
    let bare = word.strip_prefix("get").unwrap_or(word);
    let ends = ["", "Exception", "Monitor", "Count", "Gauge", "Counter"];
    let short: Vec<String> = ends.iter().filter_map(|end| bare.strip_suffix(end).map(str::to_owned)).collect();
    std::iter::once(word.to_owned()).chain(short)
}

/// A name, and what is left of it without the endings of summaries and histograms.
pub fn forms(name: &str) -> impl Iterator<Item = &str> {
    let short = ["_count", "_sum", "_max", "_bucket"].iter().find_map(|ending| name.strip_suffix(ending));
    std::iter::once(name).chain(short)
}

fn head(kind: char, line: &'static str) -> Option<Entry> {
    let mut parts = line.split(" | ").map(str::trim);
    let title = parts.next()?;
    let mut entry = Entry { title: title.to_owned(), ..Entry::default() };
    entry.kind = parts.next().unwrap_or_default();
    entry.unit = parts.next().unwrap_or_default();
    if kind == '!' {
        entry.phrases = title.split(" ; ").map(said::Phrase::read).collect();
    } else if kind != '%' {
        for text in title.split(if kind == '&' { " + " } else { " ; " }) {
            let (name, labels) = text.trim().split_once('{').map_or((text.trim(), ""), |(name, rest)| (name, rest));
            let mut head = Head { name: name.to_owned(), labels: Vec::new() };
            for pair in labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once('=')?;
                head.labels.push((label.to_owned(), value.trim_matches('"').to_owned()));
            }
            entry.heads.push(head);
        }
        if kind == '@' && entry.kind.is_empty() {
            return None;
        }
    }
    Some(entry)
}

/// One line of an entry; whether it means something.
fn field(entry: &mut Entry, key: &'static str, value: &'static str) -> bool {
    match key {
        "judge" => match Judge::parse(value) {
            Some(judge) => entry.judge = judge,
            None => return false,
        },
        "see" => entry.see.push(value),
        "en.nacos" | "en.nacre" | "en.normal" | "en.problem" | "en.do" | "en.what" | "zh.nacos" | "zh.nacre"
        | "zh.normal" | "zh.problem" | "zh.do" | "zh.what" => entry.texts.push((key, value.to_owned())),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests;

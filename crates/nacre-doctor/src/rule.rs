//! Rules: a code, its page, and a small pure function that looks at the scene.

use std::sync::OnceLock;

use crate::{
    About, Confidence, Line, Scene, Severity, chinese,
    page::{Facts, Page},
};

/// One rule. Its words are its page's.
pub struct Rule {
    pub code: &'static str,
    pub source: &'static str,
    /// Adds a hit for every subject that has this cause now. Called once a second: it may walk what the memory holds of a
    /// few kinds, and ask the world about single subjects; it must not walk all instances.
    pub look: fn(&Scene<'_>, &mut Hits),
    page: OnceLock<Page>,
}

impl Rule {
    pub const fn new(code: &'static str, source: &'static str, look: fn(&Scene<'_>, &mut Hits)) -> Self {
        Self { code, source, look, page: OnceLock::new() }
    }

    /// # Panics
    /// When the page cannot be read: a mistake of the build, found by the tests of this crate.
    pub fn page(&self) -> &Page {
        self.page.get_or_init(|| Page::parse(self.source).unwrap_or_else(|error| panic!("docs/findings: {error}")))
    }
}

/// `rule!("CODE", look)`: the page is `docs/findings/CODE.md`.
#[macro_export]
macro_rules! rule {
    ($code:literal, $look:expr) => {
        $crate::Rule::new(
            $code,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/findings/", $code, ".md")),
            $look,
        )
    };
}

/// One subject that has the cause.
#[derive(Clone, Debug, Default)]
pub struct Hit {
    pub about: About,
    /// Hits of one rule with the same group are one finding with a count. Usually the service, or whoever is at fault.
    pub group: String,
    pub facts: Facts,
    /// Facts that are words, in Chinese.
    pub chinese: Facts,
    /// What was seen, and when (wall clock, milliseconds).
    pub evidence: Vec<(i64, Line)>,
    pub ruled_out: Vec<Line>,
    pub confidence: Confidence,
    /// Where the page's does not fit this hit.
    pub severity: Option<Severity>,
}

impl Hit {
    /// A finding of its own for every subject; [`Hit::grouped`] changes that.
    pub fn new(about: About) -> Self {
        let group = serde_json::to_string(&about).unwrap_or_default();
        Self { about, group, ..Self::default() }
    }

    pub fn grouped(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// A figure for the texts of the page.
    pub fn fact(mut self, name: &'static str, value: impl ToString) -> Self {
        self.facts.insert(name, value.to_string());
        self
    }

    /// The same for what is not a figure or a name: in English and in Chinese.
    pub fn words(mut self, name: &'static str, en: impl ToString, zh: impl ToString) -> Self {
        self.chinese.insert(name, zh.to_string());
        self.fact(name, en)
    }

    pub fn saw(mut self, at: i64, line: Line) -> Self {
        self.evidence.push((at, line));
        self
    }

    /// An event of the journal as evidence.
    pub fn event(self, event: &nacre_model::Event) -> Self {
        self.saw(event.at, chinese::event(event))
    }

    /// What it is not, and how that is known.
    pub fn not(mut self, line: Line) -> Self {
        self.ruled_out.push(line);
        self
    }

    pub fn confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

/// Hits of one rule in one round.
#[derive(Debug, Default)]
pub struct Hits {
    pub list: Vec<Hit>,
    /// Hits beyond [`Hits::MOST`]: counted, not kept.
    pub more: usize,
}

impl Hits {
    pub const MOST: usize = 5_000;

    pub fn add(&mut self, hit: Hit) {
        if self.list.len() < Self::MOST {
            self.list.push(hit);
        } else {
            self.more += 1;
        }
    }
}

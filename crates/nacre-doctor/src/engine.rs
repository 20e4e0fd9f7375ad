//! Findings over time: they appear, change and clear. One cause of many subjects is one finding with a count.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    About, Evidence, Finding, Line, Scene, Severity,
    page::{Lang, fill},
    rule::{Hit, Hits, Rule},
};

/// Findings kept after they cleared.
const CLEARED: usize = 500;
/// Open findings of one code; further groups are counted in the last one.
const GROUPS: usize = 50;
/// Subjects and evidence shown of one finding.
const SUBJECTS: usize = 10;
const EVIDENCE: usize = 12;
/// A cause that was not seen for this long has cleared, milliseconds.
const HOLD_MS: i64 = 2_500;

/// What a round changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Appeared(Arc<Finding>),
    Cleared(Arc<Finding>),
}

/// The findings that hold now, and those that held.
#[derive(Default)]
pub struct Engine {
    open: BTreeMap<(&'static str, String), Open>,
    cleared: VecDeque<Arc<Found>>,
}

/// A finding in both languages.
#[derive(Debug)]
pub struct Found {
    pub en: Arc<Finding>,
    pub zh: Arc<Finding>,
}

impl Found {
    pub fn of(&self, lang: Lang) -> &Arc<Finding> {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }
}

struct Open {
    since: i64,
    seen: i64,
    found: Arc<Found>,
}

impl Engine {
    /// Runs the rules once and says what changed. To be called every second or so.
    pub fn round(&mut self, rules: impl Iterator<Item = &'static Rule>, scene: &Scene<'_>) -> Vec<Change> {
        let now = scene.now.wall;
        let mut changes = Vec::new();
        for rule in rules {
            let mut hits = Hits::default();
            (rule.look)(scene, &mut hits);
            for (group, hits) in gathered(hits) {
                self.hold(rule, group, &hits, now, &mut changes);
            }
        }
        self.clear(now, &mut changes);
        changes
    }

    fn hold(&mut self, rule: &'static Rule, group: String, hits: &Gathered, now: i64, changes: &mut Vec<Change>) {
        let key = (rule.code, group);
        let since = self.open.get(&key).map(|open| open.since);
        let found = Arc::new(Found {
            en: Arc::new(finding(rule, &key.1, hits, Lang::En, since.unwrap_or(now), now)),
            zh: Arc::new(finding(rule, &key.1, hits, Lang::Zh, since.unwrap_or(now), now)),
        });
        if since.is_none() {
            changes.push(Change::Appeared(Arc::clone(&found.en)));
        }
        self.open.insert(key, Open { since: since.unwrap_or(now), seen: now, found });
    }

    fn clear(&mut self, now: i64, changes: &mut Vec<Change>) {
        // A wall clock that was set back must not keep findings open for ever.
        let over = |open: &Open| now - open.seen > HOLD_MS || open.seen > now + HOLD_MS;
        let gone: Vec<_> = self.open.iter().filter(|(_, open)| over(open)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            let Some(open) = self.open.remove(&key) else { continue };
            let close = |finding: &Finding| Arc::new(Finding { cleared: Some(now), ..finding.clone() });
            let found = Found { en: close(&open.found.en), zh: close(&open.found.zh) };
            changes.push(Change::Cleared(Arc::clone(&found.en)));
            if self.cleared.len() == CLEARED {
                self.cleared.pop_front();
            }
            self.cleared.push_back(Arc::new(found));
        }
    }

    /// The findings that hold, the worst first, then the newest.
    pub fn open(&self) -> Vec<Arc<Found>> {
        let mut all: Vec<_> = self.open.values().map(|open| Arc::clone(&open.found)).collect();
        all.sort_by_key(|found| (std::cmp::Reverse(found.en.severity), -found.en.since));
        all
    }

    /// Those that held, newest first.
    pub fn cleared(&self) -> Vec<Arc<Found>> {
        self.cleared.iter().rev().cloned().collect()
    }
}

/// The hits of one group.
struct Gathered {
    hits: Vec<Hit>,
    count: usize,
}

/// Groups in the order of their first hit; the last takes what is beyond [`GROUPS`].
fn gathered(hits: Hits) -> Vec<(String, Gathered)> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(String, Gathered)> = Vec::new();
    for hit in hits.list {
        let place = match places.get(&hit.group) {
            Some(place) => *place,
            None if groups.len() < GROUPS => {
                places.insert(hit.group.clone(), groups.len());
                groups.push((hit.group.clone(), Gathered { hits: Vec::new(), count: 0 }));
                groups.len() - 1
            }
            None => groups.len() - 1,
        };
        let gathered = &mut groups[place].1;
        gathered.count += 1;
        if gathered.hits.len() < SUBJECTS {
            gathered.hits.push(hit);
        }
    }
    if let Some((_, last)) = groups.last_mut() {
        last.count += hits.more;
    }
    groups
}

fn finding(rule: &'static Rule, group: &str, gathered: &Gathered, lang: Lang, since: i64, now: i64) -> Finding {
    let page = rule.page();
    let words = page.words(lang);
    let first = &gathered.hits[0];
    let facts = match lang {
        Lang::Zh if !first.chinese.is_empty() => {
            let own = first.chinese.iter().map(|(name, value)| (*name, value.clone()));
            &first.facts.clone().into_iter().chain(own).collect()
        }
        _ => &first.facts,
    };
    let text = |text: &str| fill(text, facts);
    let mut seen: Vec<_> = gathered.hits.iter().flat_map(|hit| &hit.evidence).collect();
    seen.sort_by_key(|(at, _)| *at);
    seen.dedup();
    let excess = seen.len().saturating_sub(EVIDENCE);
    let evidence = |(at, line): &(i64, Line)| Evidence { at: *at, text: line.of(lang).to_owned() };
    let severity = gathered.hits.iter().map(|hit| hit.severity.unwrap_or(page.severity)).max();
    Finding {
        id: format!("{}-{:08x}", rule.code, mark(group)),
        code: rule.code.to_owned(),
        severity: severity.unwrap_or(Severity::Info),
        family: page.family.clone(),
        subject: first.about.clone(),
        title: text(&words.title),
        cause: text(&words.cause),
        evidence: seen.into_iter().skip(excess).map(evidence).collect(),
        ruled_out: first.ruled_out.iter().map(|line| line.of(lang).to_owned()).collect(),
        remedy: words.remedy.iter().map(|remedy| text(remedy)).collect(),
        confidence: first.confidence,
        count: gathered.count,
        subjects: gathered.hits.iter().map(|hit| hit.about.clone()).collect::<Vec<About>>(),
        since,
        updated: now,
        cleared: None,
    }
}

fn mark(group: &str) -> u32 {
    group.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

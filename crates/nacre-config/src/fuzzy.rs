//! Fuzzy watch of configs (3.0+): patterns over keys, who watches them, and what they must be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nacre_model::{ConfigKey, ErrorCode, NacosError};
use parking_lot::Mutex;

use crate::{ConfigChange, Configs, Existence, names::group_key_3x};

/// Limits and batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuzzySettings {
    /// `nacos.config.fuzzy.watch.max.pattern.count`.
    pub max_patterns: usize,
    /// `nacos.config.fuzzy.watch.max.pattern.match.config.count`.
    pub max_matches: usize,
    /// `nacos.config.push.batchSize`.
    pub batch: usize,
}

impl Default for FuzzySettings {
    fn default() -> Self {
        Self { max_patterns: 20, max_matches: 500, batch: 20 }
    }
}

/// `<namespace>>><group>>><dataId>`, where group and dataId may be `*`, `x*`, `*x` or `*x*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuzzyPattern {
    namespace: String,
    group: String,
    data_id: String,
}

impl FuzzyPattern {
    /// `None`: not three parts; such a pattern is legal to watch and matches nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(">>");
        let (namespace, group, data_id) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            namespace: nacre_model::key::namespace(namespace).to_owned(),
            group: group.to_owned(),
            data_id: data_id.to_owned(),
        })
    }

    pub fn matches(&self, key: &ConfigKey) -> bool {
        *self.namespace == *key.namespace
            && item_matches(&self.group, &key.group)
            && item_matches(&self.data_id, &key.data_id)
    }
}

/// Of a pattern that begins or ends with a star the others do not count, as its client takes it when it looks again.
fn item_matches(pattern: &str, text: &str) -> bool {
    let bare = pattern.replace('*', "");
    match (pattern.starts_with('*'), pattern.ends_with('*')) {
        (true, true) => text.contains(&bare),
        (true, false) => text.ends_with(&bare),
        (false, true) => text.starts_with(&bare),
        (false, false) => pattern == text,
    }
}

/// What the client lacks, then what it holds too much; the latter not when the matches are cut at the limit.
fn differences(matched: &BTreeSet<ConfigKey>, received: &[String], full: bool) -> Vec<(String, SyncChange)> {
    let matched: BTreeSet<String> = matched.iter().map(group_key_3x).collect();
    let received: BTreeSet<&str> = received.iter().map(String::as_str).collect();
    let lacking = matched.iter().filter(|key| !received.contains(key.as_str()));
    let mut differences: Vec<(String, SyncChange)> = lacking.map(|key| (key.clone(), SyncChange::Add)).collect();
    if !full {
        let extra = received.iter().filter(|key| !matched.contains(**key));
        differences.extend(extra.map(|key| ((*key).to_owned(), SyncChange::Delete)));
    }
    differences
}

/// `ADD_CONFIG` or `DELETE_CONFIG` of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncChange {
    Add,
    Delete,
}

/// What a WATCH is answered and followed by.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// 50310 or 50311; the sync of 50311 is pushed all the same.
    pub error: Option<NacosError>,
    /// Batches to push in order; each is acknowledged on its own.
    pub batches: Vec<Vec<(String, SyncChange)>>,
    /// `FUZZY_WATCH_INIT_NOTIFY` (else `FUZZY_WATCH_DIFF_SYNC_NOTIFY`).
    pub initializing: bool,
}

impl Watched {
    /// Push `FINISH_FUZZY_WATCH_INIT_NOTIFY` once all batches are acknowledged (at once when there are none).
    pub fn finishes(&self) -> bool {
        self.initializing && !self.is_refused()
    }

    /// The pattern was not taken: nothing is pushed.
    pub fn is_refused(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.code == ErrorCode::FUZZY_WATCH_PATTERN_OVER_LIMIT)
    }
}

/// A connection that must get a `ConfigFuzzyWatchChangeNotifyRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuzzyNotice {
    pub connection: Arc<str>,
    /// `dataId+group+namespace`.
    pub group_key: Arc<str>,
    /// `CONFIG_CHANGED`, else `DELETE_CONFIG`.
    pub exists: bool,
}

#[derive(Default)]
struct Watch {
    pattern: Option<FuzzyPattern>,
    matched: BTreeSet<ConfigKey>,
    watchers: BTreeSet<Arc<str>>,
    /// Nobody watched it at the last trim; it goes at the next.
    idle: bool,
}

/// Patterns and their watchers. One lock, taken only by watches and by keys that come or go.
pub struct FuzzyWatch {
    settings: FuzzySettings,
    patterns: Mutex<BTreeMap<Arc<str>, Watch>>,
}

impl Default for FuzzyWatch {
    fn default() -> Self {
        Self::new(FuzzySettings::default())
    }
}

impl FuzzyWatch {
    pub fn new(settings: FuzzySettings) -> Self {
        Self { settings, patterns: Mutex::default() }
    }

    /// A WATCH of `connection`, which says it holds `received` already (group keys).
    pub fn watch(
        &self,
        connection: &Arc<str>,
        pattern: &str,
        received: &[String],
        initializing: bool,
        configs: &Configs,
    ) -> Watched {
        let mut patterns = self.patterns.lock();
        if !patterns.contains_key(pattern) {
            if patterns.len() >= self.settings.max_patterns {
                let error = NacosError::new(
                    500,
                    ErrorCode::FUZZY_WATCH_PATTERN_OVER_LIMIT,
                    ErrorCode::FUZZY_WATCH_PATTERN_OVER_LIMIT.text,
                );
                return Watched { error: Some(error), batches: Vec::new(), initializing };
            }
            // Looked up under the lock: a key that comes meanwhile is either seen here or told by `changed`.
            let parsed = FuzzyPattern::parse(pattern);
            let matched = parsed.as_ref().map(|parsed| self.existing(parsed, configs)).unwrap_or_default();
            let watch = Watch { pattern: parsed, matched, watchers: BTreeSet::new(), idle: false };
            patterns.insert(pattern.into(), watch);
        }
        let Some(watch) = patterns.get_mut(pattern) else {
            return Watched { error: None, batches: Vec::new(), initializing };
        };
        watch.watchers.insert(connection.clone());
        watch.idle = false;
        let full = watch.matched.len() >= self.settings.max_matches;
        let error = full.then(|| {
            NacosError::new(
                500,
                ErrorCode::FUZZY_WATCH_PATTERN_MATCH_COUNT_OVER_LIMIT,
                ErrorCode::FUZZY_WATCH_PATTERN_MATCH_COUNT_OVER_LIMIT.text,
            )
        });
        let differences = differences(&watch.matched, received, full);
        let batches = differences.chunks(self.settings.batch.max(1)).map(<[_]>::to_vec).collect();
        Watched { error, batches, initializing }
    }

    /// Keys that exist and match, at most the limit.
    fn existing(&self, pattern: &FuzzyPattern, configs: &Configs) -> BTreeSet<ConfigKey> {
        let mut matched = BTreeSet::new();
        configs.for_each(|item| {
            if matched.len() < self.settings.max_matches && pattern.matches(&item.key) {
                matched.insert(item.key.clone());
            }
        });
        matched
    }

    /// CANCEL_WATCH. The pattern keeps its place until trimmed.
    pub fn cancel(&self, connection: &str, pattern: &str) {
        if let Some(watch) = self.patterns.lock().get_mut(pattern) {
            watch.watchers.remove(connection);
        }
    }

    /// The connection ended.
    pub fn closed(&self, connection: &str) {
        for watch in self.patterns.lock().values_mut() {
            watch.watchers.remove(connection);
        }
    }

    /// Whom a change concerns: only keys that newly enter or leave what a pattern matches.
    pub fn changed(&self, change: &ConfigChange, configs: &Configs) -> Vec<FuzzyNotice> {
        if change.existence == Existence::Unchanged {
            return Vec::new();
        }
        let mut patterns = self.patterns.lock();
        // The state now, not the one the change tells of: a later change may have been told already.
        let exists = configs.get(&change.key).is_some();
        let mut told: BTreeSet<Arc<str>> = BTreeSet::new();
        for watch in patterns.values_mut() {
            let Some(pattern) = watch.pattern.as_ref().filter(|pattern| pattern.matches(&change.key)) else { continue };
            let news = if exists {
                watch.matched.len() < self.settings.max_matches && watch.matched.insert(change.key.clone())
            } else {
                let full = watch.matched.len() >= self.settings.max_matches;
                let left = watch.matched.remove(&change.key);
                if left && full {
                    // Room again: keys that did not fit take it, untold as in the reference (re-syncs bring them).
                    watch.matched = self.existing(pattern, configs);
                }
                left
            };
            if news {
                told.extend(watch.watchers.iter().cloned());
            }
        }
        let group_key: Arc<str> = group_key_3x(&change.key).into();
        told.into_iter().map(|connection| FuzzyNotice { connection, group_key: group_key.clone(), exists }).collect()
    }

    /// Every 30 s: patterns that nobody watches go, in the second round.
    pub fn trim(&self) {
        self.patterns.lock().retain(|_, watch| {
            let keep = !watch.watchers.is_empty() || !watch.idle;
            watch.idle = watch.watchers.is_empty();
            keep
        });
    }

    /// Watched patterns, also those nobody watches any more.
    pub fn len(&self) -> usize {
        self.patterns.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::Now;
    use proptest::prelude::*;

    use super::*;
    use crate::{ConfigCommand, Publish, Remove, Source};

    fn publish(configs: &Configs, data_id: &str) -> Vec<ConfigChange> {
        let command = ConfigCommand::Publish(Box::new(Publish::new(ConfigKey::new("dev", "G", data_id), "v")));
        configs.apply(command, Now::default()).effects.changed
    }

    fn remove(configs: &Configs, data_id: &str) -> Vec<ConfigChange> {
        let key = ConfigKey::new("dev", "G", data_id);
        let command = Remove { key, target: crate::RemoveTarget::Formal, source: Source::default() };
        configs.apply(ConfigCommand::Remove(command), Now::default()).effects.changed
    }

    fn keys(watched: &Watched) -> Vec<(&str, SyncChange)> {
        watched.batches.iter().flatten().map(|(key, change)| (key.as_str(), *change)).collect()
    }

    #[test]
    fn patterns_match_as_in_the_reference() {
        let key = ConfigKey::new("dev", "GA", "alpha.yaml");
        for pattern in [
            "dev>>*>>*",
            "dev>>GA>>*",
            "dev>>*>>*.yaml",
            "dev>>G*>>*a.*",
            "dev>>*>>*pha*",
            "dev>>GA>>alpha.yaml",
            "dev>>**>>*al*pha*",
            "dev>>***>>*ya*ml",
            "dev>>G**>>al*pha*",
        ] {
            assert!(FuzzyPattern::parse(pattern).unwrap().matches(&key), "{pattern}");
        }
        for pattern in ["dev>>*>>*a*.*l*", "dev>>*>>al*yaml", "dev>>ga>>*", "prod>>*>>*", "dev>>>>*", "dev>>*>>"] {
            assert!(!FuzzyPattern::parse(pattern).unwrap().matches(&key), "{pattern}");
        }
        for malformed in ["", "justone", "dev>>G"] {
            assert_eq!(FuzzyPattern::parse(malformed), None);
        }
        assert!(FuzzyPattern::parse(">>*>>*").unwrap().matches(&ConfigKey::new("", "g", "d")), "blank is public");
    }

    #[test]
    fn a_watch_is_answered_with_what_the_client_lacks_and_holds_too_much() {
        let configs = Configs::default();
        for id in ["app0", "app1", "app2", "zzz"] {
            publish(&configs, id);
        }
        let fuzzy = FuzzyWatch::default();
        let connection: Arc<str> = "c1".into();
        let watched =
            fuzzy.watch(&connection, "dev>>G>>app*", &["app0+G+dev".into(), "gone+G+dev".into()], true, &configs);
        assert_eq!(
            keys(&watched),
            [("app1+G+dev", SyncChange::Add), ("app2+G+dev", SyncChange::Add), ("gone+G+dev", SyncChange::Delete)]
        );
        assert!(watched.finishes());
        let all = ["app0+G+dev".to_owned(), "app1+G+dev".into(), "app2+G+dev".into()];
        let again = fuzzy.watch(&connection, "dev>>G>>app*", &all, false, &configs);
        assert!(again.batches.is_empty() && !again.finishes());
    }

    #[test]
    fn only_keys_that_come_or_go_are_told() {
        let configs = Configs::default();
        let fuzzy = FuzzyWatch::default();
        fuzzy.watch(&"c1".into(), "dev>>G>>app*", &[], true, &configs);
        let tell = |changes: Vec<ConfigChange>| -> Vec<FuzzyNotice> {
            changes.iter().flat_map(|change| fuzzy.changed(change, &configs)).collect()
        };
        let notice = |exists| vec![FuzzyNotice { connection: "c1".into(), group_key: "app9+G+dev".into(), exists }];
        assert_eq!(tell(publish(&configs, "app9")), notice(true));
        let command = Publish::new(ConfigKey::new("dev", "G", "app9"), "v2");
        assert_eq!(tell(configs.apply(ConfigCommand::Publish(Box::new(command)), Now::default()).effects.changed), []);
        assert_eq!(tell(publish(&configs, "other")), []);
        assert_eq!(tell(remove(&configs, "app9")), notice(false));
        fuzzy.cancel("c1", "dev>>G>>app*");
        assert_eq!(tell(publish(&configs, "app10")), []);
    }

    #[test]
    fn a_pattern_without_watchers_keeps_its_place_until_the_second_trim() {
        let configs = Configs::default();
        let fuzzy = FuzzyWatch::new(FuzzySettings { max_patterns: 1, ..FuzzySettings::default() });
        fuzzy.watch(&"c1".into(), "", &[], true, &configs);
        let refused = fuzzy.watch(&"c1".into(), "dev>>*>>*", &[], true, &configs);
        assert!(refused.is_refused() && !refused.finishes());
        assert_eq!(refused.error.map(|error| error.code.code), Some(50310));
        fuzzy.closed("c1");
        fuzzy.trim();
        assert_eq!(fuzzy.len(), 1);
        fuzzy.trim();
        assert!(fuzzy.is_empty());
        assert_eq!(fuzzy.watch(&"c1".into(), "dev>>*>>*", &[], true, &configs).error, None);
    }

    #[test]
    fn matches_over_the_limit_are_cut_and_refilled_untold() {
        let configs = Configs::default();
        let fuzzy = FuzzyWatch::new(FuzzySettings { max_matches: 3, batch: 2, ..FuzzySettings::default() });
        for id in ["a1", "a2", "a3", "a4"] {
            publish(&configs, id);
        }
        let watched = fuzzy.watch(&"c1".into(), "dev>>*>>a*", &["x+G+dev".into()], true, &configs);
        assert_eq!(watched.error.as_ref().map(|error| error.code.code), Some(50311));
        assert_eq!(watched.batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert!(keys(&watched).iter().all(|(_, change)| *change == SyncChange::Add), "no DELETE at the limit");
        assert!(watched.finishes());
        for change in publish(&configs, "a5") {
            assert_eq!(fuzzy.changed(&change, &configs), []);
        }
        let held = keys(&watched)[0].0.split('+').next().unwrap().to_owned();
        for change in remove(&configs, &held) {
            assert_eq!(fuzzy.changed(&change, &configs).len(), 1);
        }
        let again = fuzzy.watch(&"c1".into(), "dev>>*>>a*", &[], false, &configs);
        assert_eq!(keys(&again).len(), 3, "two others took the room");
    }

    proptest! {
        #[test]
        fn any_pattern_is_parsed_and_matched_without_a_panic(pattern in "[a*>é]{0,12}", id in "[a>é]{0,6}") {
            if let Some(pattern) = FuzzyPattern::parse(&pattern) {
                pattern.matches(&ConfigKey::new("a", &id, &id));
            }
        }
    }
}

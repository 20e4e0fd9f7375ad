//! Fuzzy watches: clients that watch patterns of services (spec/grpc.md 10).
//!
//! A pattern's matched set is what its watchers have been told: built from the services that exist when the first
//! watcher comes, then a key enters with a service's first publisher and leaves with its last.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use nacre_model::{ErrorCode, NacosError, ServiceKey};

use crate::{ClientId, FuzzyChange, FuzzySync, FuzzySyncType, FuzzyWatched, Naming};

/// Contexts of one sync message.
const BATCH: usize = 10;

#[derive(Debug)]
pub(crate) struct FuzzyWatches {
    max_patterns: usize,
    max_matches: usize,
    patterns: HashMap<Arc<str>, Watched>,
}

#[derive(Debug)]
struct Watched {
    pattern: Pattern,
    /// `ns@@group@@service`.
    matched: BTreeSet<Arc<str>>,
    watchers: HashSet<ClientId>,
}

/// `namespace>>groupPattern>>servicePattern`; malformed text matches nothing.
#[derive(Debug, PartialEq)]
enum Pattern {
    Malformed,
    Parts { namespace: String, group: Item, service: Item },
}

#[derive(Debug, PartialEq)]
enum Item {
    Any,
    Exact(String),
    Starts(String),
    Ends(String),
    Contains(String),
    /// A star, but neither first nor last.
    Never,
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.split(">>").collect();
        match parts[..] {
            [namespace, group, service] => Self::Parts {
                namespace: nacre_model::key::namespace(namespace).to_owned(),
                group: Item::parse(group),
                service: Item::parse(service),
            },
            _ => Self::Malformed,
        }
    }

    fn matches(&self, key: &ServiceKey) -> bool {
        match self {
            Self::Malformed => false,
            Self::Parts { namespace, group, service } => {
                *namespace == *key.namespace && group.matches(&key.group) && service.matches(&key.name)
            }
        }
    }
}

impl Item {
    fn parse(text: &str) -> Self {
        // Of a pattern that begins or ends with a star the others do not count.
        let bare = text.replace('*', "");
        match (text.starts_with('*'), text.ends_with('*')) {
            (true, true) if bare.is_empty() => Self::Any,
            (true, true) => Self::Contains(bare),
            (true, false) => Self::Ends(bare),
            (false, true) => Self::Starts(bare),
            (false, false) if text.contains('*') => Self::Never,
            (false, false) => Self::Exact(bare),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(word) => text == word,
            Self::Starts(word) => text.starts_with(word.as_str()),
            Self::Ends(word) => text.ends_with(word.as_str()),
            Self::Contains(word) => text.contains(word.as_str()),
            Self::Never => false,
        }
    }
}

impl FuzzyWatches {
    pub fn new(max_patterns: usize, max_matches: usize) -> Self {
        Self { max_patterns, max_matches, patterns: HashMap::new() }
    }

    /// Adds a watcher; `existing` lists the services that exist. `None` when there are too many patterns.
    fn watch(&mut self, client: &ClientId, text: &str, existing: impl FnOnce() -> Vec<ServiceKey>) -> Option<&Watched> {
        if !self.patterns.contains_key(text) {
            if self.patterns.len() >= self.max_patterns {
                return None;
            }
            let pattern = Pattern::parse(text);
            let keys = existing().into_iter().filter(|key| pattern.matches(key));
            let matched = keys.take(self.max_matches).map(|key| key.text().into()).collect();
            self.patterns.insert(text.into(), Watched { pattern, matched, watchers: HashSet::new() });
        }
        let watched = self.patterns.get_mut(text)?;
        watched.watchers.insert(client.clone());
        Some(watched)
    }

    fn cancel(&mut self, client: &ClientId, text: &str) {
        if let Some(watched) = self.patterns.get_mut(text) {
            watched.watchers.remove(client);
            if watched.watchers.is_empty() {
                self.patterns.remove(text);
            }
        }
    }

    /// The client is gone.
    pub fn forget(&mut self, client: &ClientId) {
        self.patterns.retain(|_, watched| {
            watched.watchers.remove(client);
            !watched.watchers.is_empty()
        });
    }

    /// A service has its first publisher.
    pub fn appeared(&mut self, key: &ServiceKey) -> Option<FuzzyChange> {
        let max = self.max_matches;
        self.change(key, true, |matched, text| matched.len() < max && matched.insert(text))
    }

    /// A service lost its last publisher or ceased to exist; true when a full pattern has room now.
    fn vanished(&mut self, key: &ServiceKey) -> (Option<FuzzyChange>, bool) {
        let max = self.max_matches;
        let mut room = false;
        let change = self.change(key, false, |matched, text| {
            let removed = matched.remove(&text);
            room |= removed && matched.len() + 1 == max;
            removed
        });
        (change, room)
    }

    fn change(
        &mut self,
        key: &ServiceKey,
        added: bool,
        mut apply: impl FnMut(&mut BTreeSet<Arc<str>>, Arc<str>) -> bool,
    ) -> Option<FuzzyChange> {
        if self.patterns.is_empty() {
            return None;
        }
        let text: Arc<str> = key.text().into();
        let mut watchers: BTreeSet<ClientId> = BTreeSet::new();
        for watched in self.patterns.values_mut().filter(|watched| watched.pattern.matches(key)) {
            if apply(&mut watched.matched, Arc::clone(&text)) {
                watchers.extend(watched.watchers.iter().cloned());
            }
        }
        if watchers.is_empty() {
            return None;
        }
        Some(FuzzyChange { service: key.clone(), added, watchers: watchers.into_iter().collect() })
    }

    /// Room was made in full patterns: other existing services take it, without notice (as the reference).
    fn refill(&mut self, existing: &[ServiceKey]) {
        let max = self.max_matches;
        for watched in self.patterns.values_mut().filter(|watched| watched.matched.len() + 1 == max) {
            for key in existing.iter().filter(|key| watched.pattern.matches(key)) {
                if watched.matched.len() >= max {
                    break;
                }
                watched.matched.insert(key.text().into());
            }
        }
    }
}

impl Naming {
    /// `WATCH`. `received` are the keys that the client holds already (`ns@@group@@service`).
    pub fn fuzzy_watch(
        &self,
        client: &ClientId,
        pattern: &str,
        received: &[String],
        initializing: bool,
    ) -> FuzzyWatched {
        let max = self.options.fuzzy_max_matches;
        let matched: BTreeSet<Arc<str>> = {
            let mut fuzzy = self.fuzzy.lock();
            let Some(watched) = fuzzy.watch(client, pattern, || self.keys_for_pattern(pattern)) else {
                let error = limit(ErrorCode::FUZZY_WATCH_PATTERN_OVER_LIMIT);
                return FuzzyWatched { error: Some(error), batches: Vec::new(), finish_when_acked: false };
            };
            watched.matched.clone()
        };
        let full = matched.len() >= max;
        let held: HashSet<&str> = received.iter().map(String::as_str).collect();
        let mut contexts: Vec<(Arc<str>, bool)> =
            matched.iter().filter(|key| !held.contains(&***key)).map(|key| (Arc::clone(key), true)).collect();
        if !full {
            let mut gone: Vec<&str> = held.into_iter().filter(|key| !matched.contains(*key)).collect();
            gone.sort_unstable();
            contexts.extend(gone.into_iter().map(|key| (key.into(), false)));
        }
        let pattern: Arc<str> = pattern.into();
        let error = full.then(|| limit(ErrorCode::FUZZY_WATCH_PATTERN_MATCH_COUNT_OVER_LIMIT));
        if contexts.is_empty() {
            let batches = if initializing { vec![FuzzySync::finish(&pattern)] } else { Vec::new() };
            return FuzzyWatched { error, batches, finish_when_acked: false };
        }
        let sync_type = if initializing { FuzzySyncType::Init } else { FuzzySyncType::Diff };
        let total_batch = contexts.len().div_ceil(BATCH);
        let batches = contexts.chunks(BATCH).enumerate().map(|(at, chunk)| FuzzySync {
            sync_type,
            pattern: Arc::clone(&pattern),
            contexts: chunk.to_vec(),
            total_batch,
            current_batch: at + 1,
        });
        FuzzyWatched { error, batches: batches.collect(), finish_when_acked: initializing }
    }

    /// `CANCEL_WATCH`.
    pub fn fuzzy_cancel(&self, client: &ClientId, pattern: &str) {
        self.fuzzy.lock().cancel(client, pattern);
    }

    /// Watchers that must hear that the service has no publisher any more.
    pub(crate) fn fuzzy_vanished(&self, key: &ServiceKey) -> Option<FuzzyChange> {
        let mut fuzzy = self.fuzzy.lock();
        let (change, room) = fuzzy.vanished(key);
        if room {
            let mut others = self.keys_of(&key.namespace);
            others.retain(|other| other != key);
            fuzzy.refill(&others);
        }
        change
    }

    fn keys_for_pattern(&self, pattern: &str) -> Vec<ServiceKey> {
        self.keys_of(nacre_model::key::namespace(pattern.split(">>").next().unwrap_or_default()))
    }

    fn keys_of(&self, namespace: &str) -> Vec<ServiceKey> {
        let index = self.index.read();
        let Some(namespace) = index.namespaces.get(namespace) else { return Vec::new() };
        namespace.all.values().map(|slot| slot.key.clone()).collect()
    }
}

fn limit(code: ErrorCode) -> NacosError {
    NacosError::new(code.code, code, code.text)
}

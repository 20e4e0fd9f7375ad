//! Fuzzy watch of configs (3.0+): patterns over keys, who watches them, and what they must be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nacre_model::{ConfigKey, NacosError};
use parking_lot::Mutex;

use crate::{ConfigChange, Configs};

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

fn item_matches(pattern: &str, text: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == text;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(_), Some(_)) => {
            let inner = &pattern[1..pattern.len() - 1];
            !inner.contains('*') && text.contains(inner)
        }
        (Some(end), None) => !end.contains('*') && text.ends_with(end),
        (None, Some(start)) => !start.contains('*') && text.starts_with(start),
        (None, None) => false,
    }
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
        self.error.as_ref().is_some_and(|error| error.code == nacre_model::ErrorCode::FUZZY_WATCH_PATTERN_OVER_LIMIT)
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
        let _ = (connection, pattern, received, configs);
        Watched { error: None, batches: Vec::new(), initializing }
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
        let _ = (change, configs, self.settings);
        Vec::new()
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

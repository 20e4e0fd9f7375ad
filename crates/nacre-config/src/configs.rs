//! The index of all configs and namespaces in memory: reads take no lock, commands are applied one after another.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use nacre_model::{ConfigKey, Now, PUBLIC};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{
    Asker, CapacityRow, CapacityRules, CapacityScope, CapacityView, ConfigChange, ConfigCommand, ConfigItem, Existence,
    FormalConfig, GrayConfig, KeyRef, Lookup, Namespace, NamespaceEntry, Outcome, namespace, texts::Texts,
};

/// Everything that is durable of configs, as the store loads it.
#[derive(Clone, Debug, Default)]
pub struct ConfigState {
    pub configs: Vec<(ConfigKey, Arc<FormalConfig>)>,
    pub grays: Vec<(ConfigKey, Arc<GrayConfig>)>,
    pub namespaces: Vec<Namespace>,
    pub capacity: Vec<CapacityRow>,
    pub last_ids: LastIds,
}

/// The highest ids ever given, also of rows that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastIds {
    pub config: u64,
    pub gray: u64,
    pub history: u64,
    pub group_capacity: u64,
    pub tenant_capacity: u64,
}

/// What only the applier needs.
#[derive(Default)]
pub(crate) struct Ledger {
    pub last: LastIds,
    /// Formal configs by namespace.
    pub by_namespace: HashMap<Arc<str>, u64>,
    /// Formal configs of the default namespace by group (what group capacity counts).
    pub by_group: HashMap<Arc<str>, u64>,
    pub total: u64,
    pub capacity: BTreeMap<CapacityScope, CapacityRow>,
    pub texts: Texts,
    /// Keys by the likeness of their data ids, in all namespaces and groups.
    pub alike: HashMap<u64, SmallVec<[ConfigKey; 2]>>,
    /// Keys that have gray versions.
    pub gray: BTreeSet<ConfigKey>,
}

impl Ledger {
    /// Keeps the indexes in line with an item that was put, or taken out when nobody is served anything of it.
    pub fn index(&mut self, item: &ConfigItem) {
        let like = nacre_model::key::likeness(&item.key.data_id);
        if !item.is_live() {
            if let Some(alike) = self.alike.get_mut(&like) {
                alike.retain(|key| *key != item.key);
                if alike.is_empty() {
                    self.alike.remove(&like);
                }
            }
        } else {
            let alike = self.alike.entry(like).or_default();
            if !alike.contains(&item.key) {
                alike.push(item.key.clone());
            }
        }
        if item.grays.is_empty() {
            self.gray.remove(&item.key);
        } else {
            self.gray.insert(item.key.clone());
        }
    }

    pub fn usage(&self, scope: &CapacityScope) -> u64 {
        match scope {
            CapacityScope::Cluster => self.total,
            CapacityScope::Group(group) => self.by_group.get(group).copied().unwrap_or(0),
            CapacityScope::Tenant(tenant) => self.by_namespace.get(tenant).copied().unwrap_or(0),
        }
    }

    pub fn count_in(&mut self, key: &ConfigKey) {
        self.total += 1;
        *self.by_namespace.entry(key.namespace.clone()).or_default() += 1;
        if &*key.namespace == PUBLIC {
            *self.by_group.entry(key.group.clone()).or_default() += 1;
        }
    }

    pub fn count_out(&mut self, key: &ConfigKey) {
        self.total = self.total.saturating_sub(1);
        let less = |map: &mut HashMap<Arc<str>, u64>, name: &Arc<str>| {
            if let Some(count) = map.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    map.remove(name);
                }
            }
        };
        less(&mut self.by_namespace, &key.namespace);
        if &*key.namespace == PUBLIC {
            less(&mut self.by_group, &key.group);
        }
    }
}

/// The config core. Cheap to share; see [`Configs::apply`] for changes and [`Configs::query`] for reads.
#[derive(Default)]
pub struct Configs {
    pub(crate) items: papaya::HashMap<ConfigKey, Arc<ConfigItem>>,
    pub(crate) by_id: papaya::HashMap<u64, ConfigKey>,
    pub(crate) namespaces: ArcSwap<BTreeMap<Arc<str>, Namespace>>,
    pub(crate) ledger: Mutex<Ledger>,
}

impl Configs {
    pub fn new(state: ConfigState) -> Self {
        let configs = Self::default();
        configs.restore(state);
        configs
    }

    /// Applies one command that is durable in the log. Deterministic: depends on the state, the command and `now.wall`
    /// (the logged time). Commands must come one after another, in log order.
    pub fn apply(&self, command: ConfigCommand, now: Now) -> Outcome {
        crate::apply::apply(self, command, now)
    }

    /// Replaces everything (start, an installed snapshot, a reload of a database that was edited by hand) and tells
    /// which keys differ from before. Each key changes atomically for readers.
    pub fn restore(&self, state: ConfigState) -> Vec<ConfigChange> {
        let mut ledger = self.ledger.lock();
        let mut next: HashMap<ConfigKey, ConfigItem> = HashMap::with_capacity(state.configs.len());
        let mut fresh = Ledger { last: state.last_ids, ..Ledger::default() };
        for (mut key, mut formal) in state.configs {
            fresh.texts.share_key(&mut key);
            if let Some(formal) = Arc::get_mut(&mut formal) {
                fresh.texts.share_formal(formal);
            }
            fresh.last.config = fresh.last.config.max(formal.id);
            fresh.count_in(&key);
            next.entry(key.clone()).or_insert_with(|| ConfigItem::new(key)).formal = Some(formal);
        }
        for (key, gray) in state.grays {
            fresh.last.gray = fresh.last.gray.max(gray.id);
            let item = next.entry(key.clone()).or_insert_with(|| ConfigItem::new(key));
            *item = item.with_gray(gray);
        }
        for row in state.capacity {
            fresh.capacity.insert(row.scope.clone(), row);
        }
        let mut changes = Vec::new();
        let items = self.items.pin();
        let by_id = self.by_id.pin();
        let gone: Vec<ConfigKey> = items.keys().filter(|key| !next.contains_key(*key)).cloned().collect();
        for key in gone {
            if let Some(old) = items.remove(&key) {
                changes.extend(diff(Some(old), None));
            }
        }
        by_id.clear();
        for (key, item) in next {
            fresh.index(&item);
            let item = Arc::new(item);
            if let Some(formal) = &item.formal {
                by_id.insert(formal.id, key.clone());
            }
            let old = items.get(&key).cloned();
            items.insert(key, item.clone());
            changes.extend(diff(old.as_ref(), Some(&item)));
        }
        self.namespaces.store(Arc::new(state.namespaces.into_iter().map(|ns| (ns.id.clone(), ns)).collect()));
        *ledger = fresh;
        changes.sort_by(|a, b| (&a.key, &a.gray).cmp(&(&b.key, &b.gray)));
        changes
    }

    /// The version this asker is served.
    pub fn query<'k>(&self, key: impl Into<KeyRef<'k>>, asker: &Asker<'_>) -> Lookup {
        match self.items.pin().get(&key.into()) {
            Some(item) => item.select(asker),
            None => Lookup::NotFound,
        }
    }

    /// Does a listener of this asker that holds `md5` hold what it should? The empty md5 is that of "no config".
    pub fn is_current<'k>(&self, key: impl Into<KeyRef<'k>>, asker: &Asker<'_>, md5: &str) -> bool {
        self.query(key, asker).md5() == md5
    }

    /// The highest ids given so far.
    pub fn last_ids(&self) -> LastIds {
        self.ledger.lock().last
    }

    /// All versions of a key, also those that nobody is served.
    pub fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<Arc<ConfigItem>> {
        self.items.pin().get(&key.into()).cloned()
    }

    /// The key of a `config_info.id`.
    pub fn key_of(&self, id: u64) -> Option<ConfigKey> {
        self.by_id.pin().get(&id).cloned()
    }

    /// Formal configs.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Keys whose data ids people take for this one (letter case, blanks), in all namespaces and groups, this one's own
    /// included; at most `most`.
    pub fn alike(&self, data_id: &str, most: usize) -> Vec<ConfigKey> {
        let ledger = self.ledger.lock();
        let found = ledger.alike.get(&nacre_model::key::likeness(data_id));
        found.into_iter().flatten().take(most).cloned().collect()
    }

    /// Configs of the same namespace and group whose data ids are a slip of the pen away, with the number of slips. Walks
    /// items, a bounded number of them: for questions that are asked seldom.
    pub fn slipped(&self, key: &ConfigKey) -> Vec<(usize, ConfigKey)> {
        let items = self.items.pin();
        let walked = items.values().take(nacre_model::limits::NAMES_WALKED as usize);
        let here = walked
            .filter(|item| item.formal.is_some() && item.key.namespace == key.namespace && item.key.group == key.group);
        let near = here
            .filter_map(|item| Some((nacre_model::slip::slips(&key.data_id, &item.key.data_id)?, item.key.clone())));
        near.collect()
    }

    /// Keys that have gray versions, at most `most`.
    pub fn gray_keys(&self, most: usize) -> Vec<ConfigKey> {
        self.ledger.lock().gray.iter().take(most).cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits every item, in no order; items that change meanwhile may be seen in either state.
    pub fn for_each(&self, mut visit: impl FnMut(&Arc<ConfigItem>)) {
        for item in self.items.pin().values() {
            visit(item);
        }
    }

    /// Namespaces as lists show them: the default one first, then by id.
    pub fn namespaces(&self) -> Vec<NamespaceEntry> {
        let created = self.namespaces.load();
        let ledger = self.ledger.lock();
        let entry = |id: Arc<str>, name: Arc<str>, desc: Option<Arc<str>>, is_default: bool| NamespaceEntry {
            config_count: ledger.usage(&CapacityScope::Tenant(id.clone())),
            quota: namespace::DEFAULT_QUOTA,
            id,
            name,
            desc,
            is_default,
        };
        let default = entry(PUBLIC.into(), namespace::DEFAULT_NAME.into(), Some(namespace::DEFAULT_DESC.into()), true);
        std::iter::once(default)
            .chain(created.values().map(|ns| entry(ns.id.clone(), ns.name.clone(), ns.desc.clone(), false)))
            .collect()
    }

    /// One namespace; the default one by any 3.x spelling.
    pub fn namespace(&self, id: &str) -> Option<NamespaceEntry> {
        let id = nacre_model::key::namespace(id);
        self.namespaces().into_iter().find(|entry| &*entry.id == id)
    }

    /// Was it created, or is it the default one?
    pub fn namespace_exists(&self, id: &str) -> bool {
        let id = nacre_model::key::namespace(id);
        id == PUBLIC || self.namespaces.load().contains_key(id)
    }

    /// How many configs a namespace holds, whether or not anybody created it.
    pub fn count_in(&self, namespace: &str) -> u64 {
        let id = nacre_model::key::namespace(namespace);
        self.ledger.lock().usage(&CapacityScope::Tenant(id.into()))
    }

    /// The capacity row of a scope with its real usage; none before somebody asked for it (propose
    /// [`ConfigCommand::SetCapacity`] without values to create it).
    pub fn capacity(&self, scope: &CapacityScope, defaults: &CapacityRules) -> Option<CapacityView> {
        let ledger = self.ledger.lock();
        ledger.capacity.get(scope).map(|row| row.view(ledger.usage(scope), defaults))
    }
}

/// What listeners of a key must hear when `old` becomes `new`.
fn diff(old: Option<&Arc<ConfigItem>>, new: Option<&Arc<ConfigItem>>) -> Vec<ConfigChange> {
    let Some(key) = new.or(old).map(|item| item.key.clone()) else { return Vec::new() };
    let live = |item: Option<&Arc<ConfigItem>>| item.is_some_and(|item| item.is_live());
    let existence = match (live(old), live(new)) {
        (false, true) => Existence::Appeared,
        (true, false) => Existence::Vanished,
        _ => Existence::Unchanged,
    };
    let formal = |item: Option<&Arc<ConfigItem>>| item.and_then(|item| item.formal.clone());
    let mut changes = Vec::new();
    let (before, after) = (formal(old), formal(new));
    if before.as_ref().map(|f| &f.md5) != after.as_ref().map(|f| &f.md5) {
        let modified = after.or(before).map_or(0, |f| f.modified);
        changes.push(ConfigChange { key: key.clone(), gray: None, existence, modified });
    }
    let grays = |item: Option<&Arc<ConfigItem>>| item.map(|item| item.grays.clone()).unwrap_or_default();
    let (before, after) = (grays(old), grays(new));
    let names: std::collections::BTreeSet<&Arc<str>> = before.iter().chain(&after).map(|gray| &gray.name).collect();
    for name in names {
        let find = |grays: &[Arc<GrayConfig>]| grays.iter().find(|gray| &gray.name == name).cloned();
        let (was, is) = (find(&before), find(&after));
        let identity = |gray: &Option<Arc<GrayConfig>>| gray.as_ref().map(|g| (g.md5.clone(), g.rule.clone()));
        if identity(&was) != identity(&is) {
            let modified = is.or(was).map_or(0, |g| g.modified);
            // Only one of the changes of a key tells that it came or went.
            let existence = if changes.is_empty() { existence } else { Existence::Unchanged };
            changes.push(ConfigChange { key: key.clone(), gray: Some(name.clone()), existence, modified });
        }
    }
    changes
}

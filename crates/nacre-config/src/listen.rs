//! Who listens to which config: gRPC connections (one standing list each) and held long polls, in one registry.
//!
//! Both kinds are **registered first and compared afterwards**, and a change is visible in [`Configs`] before
//! [`Listeners::affected`] is asked, so no change falls between.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use nacre_model::{ConfigKey, limits};
use parking_lot::Mutex;

use crate::{AskerBuf, ConfigChange, Configs, ListenKey};

/// Locks per map; a power of two.
const SHARDS: usize = 64;

/// Names one held poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PollId(u64);

/// One key of a batch listen, as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub key: ConfigKey,
    /// The namespace exactly as the client wrote it (`None`: absent or null); answers and pushes echo it.
    pub tenant: Option<Arc<str>>,
    /// Empty: the client holds nothing.
    pub md5: Arc<str>,
}

/// The answer to a batch listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listened {
    /// Positions of the contexts whose md5 is not what this client should hold.
    pub changed: Vec<usize>,
    /// Contexts that were not registered because the connection listens to too many keys.
    pub refused: usize,
}

/// What became of a long poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Answer at once with these.
    Changed(Vec<ListenKey>),
    /// Wait for the handle to be woken or the time to run out, then call [`Listeners::end_poll`].
    Held(PollId),
    /// Too many held polls: 503.
    OverLimit,
}

/// A connection that must get a `ConfigChangeNotifyRequest`: every listener of the key does, whether or not the change
/// concerns the version it is served (as recorded).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub connection: Arc<str>,
    pub key: ConfigKey,
    /// In this connection's own spelling; 3.x leaves the member out when it is blank.
    pub tenant: Option<Arc<str>>,
}

/// Who must hear of changes.
#[derive(Clone, Debug)]
pub struct Affected<P> {
    pub connections: Vec<Notice>,
    /// Polls to answer now, each once and with all its changed keys; they are no longer registered. Only those whose
    /// own content changed.
    pub polls: Vec<(P, Vec<ListenKey>)>,
}

impl<P> Default for Affected<P> {
    fn default() -> Self {
        Self { connections: Vec::new(), polls: Vec::new() }
    }
}

/// Row of a listener query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerView {
    pub key: ConfigKey,
    pub ip: Arc<str>,
    /// As the client wrote it.
    pub tenant: Option<Arc<str>>,
    /// The md5 the client said it holds.
    pub md5: Arc<str>,
    /// `None`: a long poll.
    pub connection: Option<Arc<str>>,
}

struct Standing {
    tenant: Option<Arc<str>>,
    md5: Arc<str>,
    asker: Arc<AskerBuf>,
}

struct Poll<P> {
    keys: Arc<[ListenKey]>,
    asker: Arc<AskerBuf>,
    handle: P,
}

#[derive(Default)]
struct KeyWatchers {
    connections: HashMap<Arc<str>, Standing>,
    polls: HashSet<PollId>,
}

impl KeyWatchers {
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.polls.is_empty()
    }
}

struct Connection {
    ip: Arc<str>,
    keys: HashSet<ConfigKey>,
}

type Shards<K, V> = Box<[Mutex<HashMap<K, V>>]>;

fn shards<K, V>() -> Shards<K, V> {
    (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect()
}

/// The registry. `P` wakes a held poll (whatever the adapter needs, e.g. a channel's sender).
///
/// Lock order: connection or poll shard, then key shard; never two of a kind.
pub struct Listeners<P> {
    hasher: RandomState,
    keys: Shards<ConfigKey, KeyWatchers>,
    connections: Shards<Arc<str>, Connection>,
    polls: Shards<PollId, Poll<P>>,
    next_poll: AtomicU64,
    held: AtomicUsize,
    max_held: usize,
    max_keys: usize,
}

impl<P> Default for Listeners<P> {
    fn default() -> Self {
        Self::new(limits::LONG_POLLS as usize, limits::LISTENED_KEYS as usize)
    }
}

impl<P> Listeners<P> {
    pub fn new(max_held_polls: usize, max_keys_per_connection: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            keys: shards(),
            connections: shards(),
            polls: shards(),
            next_poll: AtomicU64::new(1),
            held: AtomicUsize::new(0),
            max_held: max_held_polls,
            max_keys: max_keys_per_connection,
        }
    }

    fn key_shard(&self, key: &ConfigKey) -> &Mutex<HashMap<ConfigKey, KeyWatchers>> {
        &self.keys[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn connection_shard(&self, connection: &str) -> &Mutex<HashMap<Arc<str>, Connection>> {
        &self.connections[self.hasher.hash_one(connection) as usize % SHARDS]
    }

    fn poll_shard(&self, id: PollId) -> &Mutex<HashMap<PollId, Poll<P>>> {
        &self.polls[id.0 as usize % SHARDS]
    }

    fn watch(&self, key: &ConfigKey, change: impl FnOnce(&mut KeyWatchers)) {
        change(self.key_shard(key).lock().entry(key.clone()).or_default());
    }

    fn unwatch(&self, key: &ConfigKey, change: impl FnOnce(&mut KeyWatchers)) {
        let mut shard = self.key_shard(key).lock();
        if let Some(watchers) = shard.get_mut(key) {
            change(watchers);
            if watchers.is_empty() {
                shard.remove(key);
            }
        }
    }

    /// A connection may listen from now on. Listening on one that was not opened, or was closed, registers nothing,
    /// so that a request in flight cannot outlive its connection.
    pub fn opened(&self, connection: &Arc<str>, ip: &Arc<str>) {
        let entry = Connection { ip: ip.clone(), keys: HashSet::new() };
        self.connection_shard(connection).lock().entry(connection.clone()).or_insert(entry);
    }

    /// Forgets a connection with all it listens to.
    pub fn closed(&self, connection: &str) {
        let mut shard = self.connection_shard(connection).lock();
        if let Some(state) = shard.remove(connection) {
            for key in state.keys {
                self.unwatch(&key, |watchers| {
                    watchers.connections.remove(connection);
                });
            }
        }
    }

    /// Adds keys to what a connection listens to (replacing earlier entries of the same key) and tells which of them
    /// the client does not hold as it should. Duplicate contexts are answered each.
    pub fn listen(
        &self,
        connection: &Arc<str>,
        asker: &Arc<AskerBuf>,
        contexts: &[Listen],
        configs: &Configs,
    ) -> Listened {
        let mut listened = Listened::default();
        {
            let mut shard = self.connection_shard(connection).lock();
            if let Some(state) = shard.get_mut(&**connection) {
                for context in contexts {
                    let known = state.keys.contains(&context.key);
                    if !known && state.keys.len() >= self.max_keys {
                        listened.refused += 1;
                        continue;
                    }
                    let key = self.stand(connection, asker, context);
                    if !known {
                        state.keys.insert(key);
                    }
                }
            }
        }
        let asker = asker.as_asker();
        for (at, context) in contexts.iter().enumerate() {
            if !configs.is_current(&context.key, &asker, &context.md5) {
                listened.changed.push(at);
            }
        }
        listened
    }

    /// Enters a connection among the watchers of a key, sharing the texts that another one wrote already: thousands of
    /// connections listen to the same keys, and texts of their own would be most of what a listened key costs.
    fn stand(&self, connection: &Arc<str>, asker: &Arc<AskerBuf>, context: &Listen) -> ConfigKey {
        let mut shard = self.key_shard(&context.key).lock();
        let key = shard.get_key_value(&context.key).map_or_else(|| context.key.clone(), |(key, _)| key.clone());
        let watchers = shard.entry(key.clone()).or_default();
        let other = watchers.connections.values().next();
        let md5 = other.map(|other| &other.md5).filter(|md5| **md5 == context.md5).unwrap_or(&context.md5).clone();
        let tenant = other.map(|other| &other.tenant).filter(|tenant| **tenant == context.tenant);
        let tenant = tenant.unwrap_or(&context.tenant).clone();
        watchers.connections.insert(connection.clone(), Standing { tenant, md5, asker: asker.clone() });
        key
    }

    /// Takes keys off what a connection listens to.
    pub fn unlisten<'k>(&self, connection: &str, keys: impl IntoIterator<Item = &'k ConfigKey>) {
        let mut shard = self.connection_shard(connection).lock();
        let Some(state) = shard.get_mut(connection) else { return };
        for key in keys {
            if state.keys.remove(key) {
                self.unwatch(key, |watchers| {
                    watchers.connections.remove(connection);
                });
            }
        }
    }

    /// The keys of a poll that differ now, without registering anything (short polls, first polls of new keys).
    pub fn compare(&self, asker: &AskerBuf, keys: &[ListenKey], configs: &Configs) -> Vec<ListenKey> {
        let asker = asker.as_asker();
        keys.iter().filter(|item| !configs.is_current(&item.key, &asker, &item.md5)).cloned().collect()
    }

    /// Holds a long poll unless something differs already. A handle may be woken (through [`Listeners::affected`])
    /// even if this answers [`Polled::Changed`]; the answer here is then as good.
    pub fn poll(&self, asker: AskerBuf, keys: Vec<ListenKey>, handle: P, configs: &Configs) -> Polled {
        if self.held.fetch_add(1, Ordering::Relaxed) >= self.max_held {
            self.held.fetch_sub(1, Ordering::Relaxed);
            let changed = self.compare(&asker, &keys, configs);
            return if changed.is_empty() { Polled::OverLimit } else { Polled::Changed(changed) };
        }
        let id = PollId(self.next_poll.fetch_add(1, Ordering::Relaxed));
        let keys: Arc<[ListenKey]> = keys.into();
        let asker = Arc::new(asker);
        {
            let mut shard = self.poll_shard(id).lock();
            shard.insert(id, Poll { keys: keys.clone(), asker: asker.clone(), handle });
            for item in &*keys {
                self.watch(&item.key, |watchers| {
                    watchers.polls.insert(id);
                });
            }
        }
        let changed = self.compare(&asker, &keys, configs);
        if changed.is_empty() {
            return Polled::Held(id);
        }
        self.end_poll(id);
        Polled::Changed(changed)
    }

    /// Forgets a held poll (answered, timed out, or its client went away). `false`: it was woken before.
    pub fn end_poll(&self, id: PollId) -> bool {
        self.take_poll(id).is_some()
    }

    fn take_poll(&self, id: PollId) -> Option<Poll<P>> {
        let mut shard = self.poll_shard(id).lock();
        let poll = shard.remove(&id)?;
        for item in &*poll.keys {
            self.unwatch(&item.key, |watchers| {
                watchers.polls.remove(&id);
            });
        }
        self.held.fetch_sub(1, Ordering::Relaxed);
        Some(poll)
    }

    /// Whom these changes concern. Ask after the changes are visible in `configs`.
    pub fn affected(&self, changes: &[ConfigChange], configs: &Configs) -> Affected<P> {
        let mut affected = Affected::default();
        let mut seen: HashSet<&ConfigKey> = HashSet::new();
        let mut polls: BTreeMap<PollId, ()> = BTreeMap::new();
        for change in changes {
            if !seen.insert(&change.key) {
                continue;
            }
            let shard = self.key_shard(&change.key).lock();
            let Some(watchers) = shard.get(&change.key) else { continue };
            for (connection, standing) in &watchers.connections {
                affected.connections.push(Notice {
                    connection: connection.clone(),
                    key: change.key.clone(),
                    tenant: standing.tenant.clone(),
                });
            }
            polls.extend(watchers.polls.iter().map(|id| (*id, ())));
        }
        for id in polls.into_keys() {
            if let Some((handle, keys)) = self.wake(id, configs) {
                affected.polls.push((handle, keys));
            }
        }
        affected
    }

    /// Takes the poll out if something of it differs now.
    fn wake(&self, id: PollId, configs: &Configs) -> Option<(P, Vec<ListenKey>)> {
        let (keys, asker) = {
            let shard = self.poll_shard(id).lock();
            let poll = shard.get(&id)?;
            (poll.keys.clone(), poll.asker.clone())
        };
        let changed = self.compare(&asker, &keys, configs);
        if changed.is_empty() {
            return None;
        }
        self.take_poll(id).map(|poll| (poll.handle, changed))
    }

    /// Does anybody listen to it now?
    pub fn is_listened(&self, key: &ConfigKey) -> bool {
        self.key_shard(key).lock().contains_key(key)
    }

    /// Everyone who listens to a config.
    pub fn listeners_of(&self, key: &ConfigKey) -> Vec<ListenerView> {
        let (mut views, polls) = {
            let shard = self.key_shard(key).lock();
            let Some(watchers) = shard.get(key) else { return Vec::new() };
            let views: Vec<ListenerView> = watchers
                .connections
                .iter()
                .map(|(connection, standing)| ListenerView {
                    key: key.clone(),
                    ip: standing.asker.ip.clone(),
                    tenant: standing.tenant.clone(),
                    md5: standing.md5.clone(),
                    connection: Some(connection.clone()),
                })
                .collect();
            (views, watchers.polls.iter().copied().collect::<Vec<_>>())
        };
        for id in polls {
            let shard = self.poll_shard(id).lock();
            if let Some(poll) = shard.get(&id) {
                views.extend(poll.keys.iter().filter(|item| item.key == *key).map(|item| poll_view(poll, item)));
            }
        }
        views
    }

    /// Everything an address listens to. Looks at every listener; meant for operators.
    pub fn listened_by(&self, ip: &str) -> Vec<ListenerView> {
        let mut views = Vec::new();
        let mut wanted: Vec<(Arc<str>, Vec<ConfigKey>)> = Vec::new();
        for shard in &self.connections {
            for (connection, state) in shard.lock().iter().filter(|(_, state)| &*state.ip == ip) {
                wanted.push((connection.clone(), state.keys.iter().cloned().collect()));
            }
        }
        for (connection, keys) in wanted {
            for key in keys {
                let shard = self.key_shard(&key).lock();
                if let Some(standing) = shard.get(&key).and_then(|watchers| watchers.connections.get(&connection)) {
                    views.push(ListenerView {
                        key: key.clone(),
                        ip: ip.into(),
                        tenant: standing.tenant.clone(),
                        md5: standing.md5.clone(),
                        connection: Some(connection.clone()),
                    });
                }
            }
        }
        for shard in &self.polls {
            for poll in shard.lock().values().filter(|poll| &*poll.asker.ip == ip) {
                views.extend(poll.keys.iter().map(|item| poll_view(poll, item)));
            }
        }
        views
    }

    /// Held polls.
    pub fn held_polls(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// gRPC connections that listen to something.
    pub fn listening_connections(&self) -> usize {
        let of = |shard: &Mutex<HashMap<Arc<str>, Connection>>| {
            shard.lock().values().filter(|connection| !connection.keys.is_empty()).count()
        };
        self.connections.iter().map(of).sum()
    }

    /// Registrations of gRPC connections and of held polls, for the gauge `nacos_config_subscriber`.
    pub fn counts(&self) -> (usize, usize) {
        let standing = self.connections.iter().map(|shard| shard.lock().values().map(|c| c.keys.len()).sum::<usize>());
        let polled = self.polls.iter().map(|shard| shard.lock().values().map(|p| p.keys.len()).sum::<usize>());
        (standing.sum(), polled.sum())
    }
}

fn poll_view<P>(poll: &Poll<P>, item: &ListenKey) -> ListenerView {
    ListenerView {
        key: item.key.clone(),
        ip: poll.asker.ip.clone(),
        tenant: item.tenant.as_deref().map(Arc::from),
        md5: item.md5.as_str().into(),
        connection: None,
    }
}

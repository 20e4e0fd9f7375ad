//! Who listens to which config: gRPC connections (one standing list each) and held long polls, in one registry.
//!
//! Both kinds are **registered first and compared afterwards**, and a change is visible in [`Configs`] before
//! [`Listeners::affected`] is asked, so no change falls between.

mod table;

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

use self::table::{ConnectionNo, KeyNo, Keys, Names, Numbers, SHARDS, Said};
use crate::{Asker, AskerBuf, ConfigChange, Configs, ListenKey};

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
    /// The tag of a long poll; that of a connection is the connection's.
    pub tag: Option<Arc<str>>,
}

struct Poll<P> {
    keys: Arc<[ListenKey]>,
    asker: Arc<AskerBuf>,
    handle: P,
}

struct Connection {
    number: ConnectionNo,
    ip: Arc<str>,
    keys: Numbers<KeyNo>,
}

type Shards<K, V> = Box<[Mutex<HashMap<K, V>>]>;

fn shards<K, V>() -> Shards<K, V> {
    (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect()
}

/// The registry. `P` wakes a held poll (whatever the adapter needs, e.g. a channel's sender).
///
/// Lock order: connection or poll shard, then key shard, then names; never two of a kind. A connection's number stands in
/// a key's table only while it has its name, and a key's number in a connection's only while the key is there.
pub struct Listeners<P> {
    hasher: RandomState,
    keys: Keys,
    names: Names,
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
            keys: Keys::default(),
            names: Names::default(),
            connections: shards(),
            polls: shards(),
            next_poll: AtomicU64::new(1),
            held: AtomicUsize::new(0),
            max_held: max_held_polls,
            max_keys: max_keys_per_connection,
        }
    }

    fn connection_shard(&self, connection: &str) -> &Mutex<HashMap<Arc<str>, Connection>> {
        &self.connections[self.hasher.hash_one(connection) as usize % SHARDS]
    }

    fn poll_shard(&self, id: PollId) -> &Mutex<HashMap<PollId, Poll<P>>> {
        &self.polls[id.0 as usize % SHARDS]
    }

    /// A connection may listen from now on. Listening on one that was not opened, or was closed, registers nothing,
    /// so that a request in flight cannot outlive its connection.
    pub fn opened(&self, connection: &Arc<str>, ip: &Arc<str>) {
        let mut shard = self.connection_shard(connection).lock();
        if !shard.contains_key(connection) {
            let number = self.names.enter(connection);
            shard.insert(connection.clone(), Connection { number, ip: ip.clone(), keys: Numbers::default() });
        }
    }

    /// Forgets a connection with all it listens to.
    pub fn closed(&self, connection: &str) {
        let mut shard = self.connection_shard(connection).lock();
        if let Some(state) = shard.remove(connection) {
            for key in state.keys {
                self.keys.change_numbered(key, |watched| watched.leave(state.number));
            }
            self.names.leave(state.number);
        }
    }

    /// Adds keys to what a connection listens to (replacing earlier entries of the same key) and tells which of them
    /// the client does not hold as it should. Duplicate contexts are answered each.
    pub fn listen(&self, connection: &Arc<str>, asker: &Asker<'_>, contexts: &[Listen], configs: &Configs) -> Listened {
        let mut listened = Listened::default();
        {
            let mut shard = self.connection_shard(connection).lock();
            if let Some(state) = shard.get_mut(&**connection) {
                for context in contexts {
                    if state.keys.len() >= self.max_keys && !self.stands(state, &context.key) {
                        listened.refused += 1;
                        continue;
                    }
                    let said = Said { tenant: context.tenant.clone(), md5: context.md5.clone() };
                    let key = self.keys.enter(&context.key, |watched| watched.stand(state.number, &said));
                    state.keys.insert(key);
                }
            }
        }
        for (at, context) in contexts.iter().enumerate() {
            if !configs.is_current(&context.key, asker, &context.md5) {
                listened.changed.push(at);
            }
        }
        listened
    }

    fn stands(&self, connection: &Connection, key: &ConfigKey) -> bool {
        self.keys.number(key).is_some_and(|key| connection.keys.contains(&key))
    }

    /// Takes keys off what a connection listens to.
    pub fn unlisten<'k>(&self, connection: &str, keys: impl IntoIterator<Item = &'k ConfigKey>) {
        let mut shard = self.connection_shard(connection).lock();
        let Some(state) = shard.get_mut(connection) else { return };
        for key in keys {
            if let Some(number) = self.keys.number(key).filter(|number| state.keys.remove(number)) {
                self.keys.change_numbered(number, |watched| watched.leave(state.number));
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
                self.keys.enter(&item.key, |watched| {
                    watched.polls.insert(id);
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
            self.keys.change(&item.key, |watched| {
                watched.polls.remove(&id);
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
            self.keys.look(&change.key, |watched| {
                self.names.with(|name| {
                    let notices = watched.standing().filter_map(|(number, said)| {
                        let (key, tenant) = (change.key.clone(), said?.tenant.clone());
                        Some(Notice { connection: name(number)?, key, tenant })
                    });
                    affected.connections.extend(notices);
                });
                polls.extend(watched.polls.iter().map(|id| (*id, ())));
            });
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
        self.keys.number(key).is_some()
    }

    /// Everyone who listens to a config.
    pub fn listeners_of(&self, key: &ConfigKey) -> Vec<ListenerView> {
        let Some((numbers, polls)) = self.keys.look(key, |watched| {
            let numbers: Vec<(Arc<str>, Said)> = self.names.with(|name| {
                let named = watched.standing().filter_map(|(number, said)| Some((name(number)?, said?.clone())));
                named.collect()
            });
            (numbers, watched.polls.iter().copied().collect::<Vec<_>>())
        }) else {
            return Vec::new();
        };
        let mut views = Vec::with_capacity(numbers.len());
        for (connection, said) in numbers {
            let ip = self.connection_shard(&connection).lock().get(&connection).map(|state| state.ip.clone());
            views.extend(ip.map(|ip| view(key, &ip, &connection, &said)));
        }
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
        let mut wanted: Vec<(Arc<str>, ConnectionNo, Vec<KeyNo>)> = Vec::new();
        for shard in &self.connections {
            for (connection, state) in shard.lock().iter().filter(|(_, state)| &*state.ip == ip) {
                wanted.push((connection.clone(), state.number, state.keys.iter().copied().collect()));
            }
        }
        let ip: Arc<str> = ip.into();
        for (connection, number, keys) in wanted {
            for key in keys {
                let one = self.keys.look_numbered(key, |watched| {
                    let said = watched.said_by(number)?;
                    Some(view(&watched.key, &ip, &connection, said))
                });
                views.extend(one.flatten());
            }
        }
        for shard in &self.polls {
            for poll in shard.lock().values().filter(|poll| poll.asker.ip == ip) {
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

fn view(key: &ConfigKey, ip: &Arc<str>, connection: &Arc<str>, said: &Said) -> ListenerView {
    ListenerView {
        key: key.clone(),
        ip: ip.clone(),
        tenant: said.tenant.clone(),
        md5: said.md5.clone(),
        connection: Some(connection.clone()),
        tag: None,
    }
}

fn poll_view<P>(poll: &Poll<P>, item: &ListenKey) -> ListenerView {
    ListenerView {
        key: item.key.clone(),
        ip: poll.asker.ip.clone(),
        tenant: item.tenant.as_deref().map(Arc::from),
        md5: item.md5.as_str().into(),
        connection: None,
        tag: poll.asker.auto_tag.clone(),
    }
}

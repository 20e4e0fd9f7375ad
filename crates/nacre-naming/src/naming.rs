//! The registry: its parts, and how slots and clients are found, made and dropped.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use arc_swap::ArcSwap;
use nacre_model::{Cause, Event, Histogram, Instance, Label, Now, ServiceKey, Subject, key::likeness};
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::{
    ClientId, Effects, Options, Switches,
    client::{Client, Publication},
    fuzzy::FuzzyWatches,
    quick::Quick,
    slot::{Registered, Slot, SlotState},
    table::Clients,
    wheel::{Timer, UNARMED, Wheel},
};

/// Bounds of [`Naming::beat_gaps`]: around the usual interval of 5 s, a missed beat or two, and the usual time-outs.
const BEAT_GAPS_MS: &[u64] = &[1_000, 2_500, 5_500, 7_500, 10_500, 15_000, 20_000, 30_000, 60_000, 300_000];

/// The registry. All calls take `&self`; keep it in an `Arc`.
#[derive(Debug)]
pub struct Naming {
    pub(crate) options: Options,
    /// `nacos.naming.client.expired.time`, which may change while the server runs.
    client_expired_ms: AtomicU64,
    pub(crate) switches: ArcSwap<Switches>,
    pub(crate) slots: papaya::HashMap<ServiceKey, Arc<Slot>, Quick>,
    pub(crate) clients: Clients,
    /// Services that exist, for lists.
    pub(crate) index: RwLock<Index>,
    pub(crate) wheel: Mutex<Wheel>,
    pub(crate) fuzzy: Mutex<FuzzyWatches>,
    pub(crate) counters: Counters,
    pub(crate) beat_gaps: Histogram,
    /// Order of registrations and services.
    pub(crate) sequence: AtomicU64,
    /// No answer about a service that has no slot had a later `lastRefTime` than this.
    ref_floor: AtomicI64,
    /// Last snowflake: milliseconds << 12 | sequence.
    pub(crate) snowflake: AtomicU64,
    /// Rises with every change that active checks must know of.
    pub(crate) persistent_version: AtomicU64,
    /// Who sends beats where more than one does.
    pub(crate) senders: crate::senders::Senders,
}

/// Services by namespace, in order of creation.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub namespaces: HashMap<Arc<str>, NamespaceIndex>,
    /// By the likeness of their names, in all namespaces and groups.
    pub alike: HashMap<u64, SmallVec<[Arc<Slot>; 1]>>,
    pub len: usize,
}

#[derive(Debug, Default)]
pub(crate) struct NamespaceIndex {
    pub all: BTreeMap<u64, Arc<Slot>>,
    pub groups: HashMap<Arc<str>, BTreeMap<u64, Arc<Slot>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub instances: AtomicUsize,
    pub connection_clients: AtomicUsize,
    pub ephemeral_clients: AtomicUsize,
    pub persistent_clients: AtomicUsize,
    pub connection_subscriptions: AtomicUsize,
    pub udp_subscriptions: AtomicUsize,
    pub connection_publications: AtomicUsize,
    pub http_publications: AtomicUsize,
    pub braked: AtomicUsize,
}

impl Counters {
    fn clients(&self, id: &ClientId) -> &AtomicUsize {
        match id {
            ClientId::Connection(_) => &self.connection_clients,
            ClientId::IpPort { ephemeral: true, .. } => &self.ephemeral_clients,
            ClientId::IpPort { ephemeral: false, .. } => &self.persistent_clients,
        }
    }

    pub fn subscriptions(&self, id: &ClientId) -> &AtomicUsize {
        if id.is_connection() { &self.connection_subscriptions } else { &self.udp_subscriptions }
    }

    pub fn publications(&self, id: &ClientId) -> &AtomicUsize {
        if id.is_connection() { &self.connection_publications } else { &self.http_publications }
    }
}

impl Default for Naming {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Naming {
    pub fn new(options: Options) -> Self {
        Self {
            fuzzy: Mutex::new(FuzzyWatches::new(options.fuzzy_max_patterns, options.fuzzy_max_matches)),
            client_expired_ms: AtomicU64::new(options.client_expired_ms),
            options,
            switches: ArcSwap::default(),
            slots: papaya::HashMap::default(),
            clients: Clients::default(),
            index: RwLock::default(),
            wheel: Mutex::default(),
            counters: Counters::default(),
            beat_gaps: Histogram::new(BEAT_GAPS_MS),
            sequence: AtomicU64::new(0),
            ref_floor: AtomicI64::new(0),
            snowflake: AtomicU64::new(0),
            persistent_version: AtomicU64::new(0),
            senders: crate::senders::Senders::default(),
        }
    }

    /// Silent `ip:port` clients are removed after another time from now on; all of them are looked at within half a minute.
    pub fn set_client_expired(&self, ms: u64) {
        self.client_expired_ms.store(ms, Relaxed);
    }

    pub(crate) fn client_expired_ms(&self) -> u64 {
        self.client_expired_ms.load(Relaxed)
    }

    /// As they were at the start.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Times between two beats of one instance, milliseconds.
    pub fn beat_gaps(&self) -> &Histogram {
        &self.beat_gaps
    }

    pub fn switches(&self) -> Arc<Switches> {
        self.switches.load_full()
    }

    pub(crate) fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn find(&self, key: &ServiceKey) -> Option<Arc<Slot>> {
        self.slots.pin().get(key).cloned()
    }

    /// Runs `f` on the locked slot of `key`, made if there is none; afterwards the slot is dropped if nothing is known
    /// of the service.
    pub(crate) fn with_slot<R>(
        &self,
        key: &ServiceKey,
        now: Now,
        f: impl FnOnce(&Arc<Slot>, &mut SlotState) -> R,
    ) -> R {
        loop {
            let slot = self.find(key).unwrap_or_else(|| {
                // Not `get_or_insert_with`: with it a table that grows is not copied on, and look-ups walk through every
                // table there ever was (papaya 0.2.5).
                let pinned = self.slots.pin();
                let made = pinned.try_insert(key.clone(), Arc::new(Slot::new(key.clone())));
                Arc::clone(made.unwrap_or_else(|taken| taken.current))
            });
            let mut state = slot.state.lock();
            if state.gone {
                continue;
            }
            if state.ref_time == 0 {
                // Later than every answer that said there is no such service.
                state.ref_time = now.wall.max(self.ref_floor.load(SeqCst) + 1);
            }
            let result = f(&slot, &mut state);
            self.sweep(&slot, &mut state);
            return result;
        }
    }

    /// As [`Naming::with_slot`], for a slot that is there.
    pub(crate) fn with_found<R>(&self, key: &ServiceKey, f: impl FnOnce(&Arc<Slot>, &mut SlotState) -> R) -> Option<R> {
        self.with_held(&self.find(key)?, f)
    }

    /// As [`Naming::with_slot`], for a slot in hand. `None` when it has been dropped meanwhile.
    pub(crate) fn with_held<R>(&self, slot: &Arc<Slot>, f: impl FnOnce(&Arc<Slot>, &mut SlotState) -> R) -> Option<R> {
        let mut state = slot.state.lock();
        if state.gone {
            return None;
        }
        let result = f(slot, &mut state);
        self.sweep(slot, &mut state);
        Some(result)
    }

    fn sweep(&self, slot: &Arc<Slot>, state: &mut SlotState) {
        if state.is_idle() && !state.gone {
            state.gone = true;
            self.ref_floor.fetch_max(state.ref_time, SeqCst);
            self.slots.pin().remove(&slot.key);
        }
    }

    /// `lastRefTime` of an answer about a service without slot. `None` when it has one after all.
    pub(crate) fn missing_ref_time(&self, key: &ServiceKey, now: Now) -> Option<i64> {
        let floor = self.ref_floor.fetch_max(now.wall, SeqCst);
        // A slot that is made after this look sees the floor and answers later times.
        self.find(key).is_none().then_some(now.wall.max(floor))
    }

    /// The service's content changed: the snapshot is old, subscribers must hear. Without any nobody is woken.
    pub(crate) fn touch(&self, slot: &Slot, state: &mut SlotState, now: Now, effects: &mut Effects) {
        self.refresh(slot, state, now);
        if !state.subscribers.is_empty() {
            effects.change(&slot.key);
        }
        // The events of this change are the last ones.
        let own = effects.events.iter_mut().rev();
        for event in own.take_while(|e| e.revision == 0 && e.subject.service.as_ref() == Some(&slot.key)) {
            event.revision = state.ref_time;
        }
    }

    /// The service's content changed in a way that is not pushed.
    pub(crate) fn refresh(&self, slot: &Slot, state: &mut SlotState, now: Now) {
        state.ref_time = now.wall.max(state.ref_time + 1);
        // A view is made under the lock that is held here. To empty the place costs more than to look.
        if slot.view.load().is_some() {
            slot.view.store(None);
        }
    }

    /// The service comes into being.
    pub(crate) fn create_service(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        ephemeral: bool,
        by: &str,
        now: Now,
        effects: &mut Effects,
    ) {
        let sequence = self.next();
        state.registered = Some(Registered { ephemeral, sequence });
        state.metadata_expires = None;
        self.refresh(slot, state, now);
        {
            let mut index = self.index.write();
            index.len += 1;
            let namespace = index.namespaces.entry(Arc::clone(&slot.key.namespace)).or_default();
            namespace.all.insert(sequence, Arc::clone(slot));
            namespace.groups.entry(Arc::clone(&slot.key.group)).or_default().insert(sequence, Arc::clone(slot));
            index.alike.entry(likeness(&slot.key.name)).or_default().push(Arc::clone(slot));
        }
        self.await_emptiness(slot, state, now);
        effects.events.push(Event::new(now, Subject::service(&slot.key), Cause::ServiceCreated { by: by.to_owned() }));
    }

    /// The service ceases to exist; subscriptions and metadata stay.
    pub(crate) fn remove_service(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        by: &str,
        now: Now,
        effects: &mut Effects,
    ) {
        let Some(registered) = state.registered.take() else { return };
        self.refresh(slot, state, now);
        {
            let mut index = self.index.write();
            index.len -= 1;
            let like = likeness(&slot.key.name);
            if let Some(alike) = index.alike.get_mut(&like) {
                alike.retain(|other| !Arc::ptr_eq(other, slot));
                if alike.is_empty() {
                    index.alike.remove(&like);
                }
            }
            if let Some(namespace) = index.namespaces.get_mut(&slot.key.namespace) {
                namespace.all.remove(&registered.sequence);
                if let Some(group) = namespace.groups.get_mut(&slot.key.group) {
                    group.remove(&registered.sequence);
                    if group.is_empty() {
                        namespace.groups.remove(&slot.key.group);
                    }
                }
                if namespace.all.is_empty() {
                    index.namespaces.remove(&slot.key.namespace);
                }
            }
        }
        // Watchers that learned of it without a publisher ever having been there.
        effects.fuzzy.extend(self.fuzzy_vanished(&slot.key));
        effects.events.push(Event::new(now, Subject::service(&slot.key), Cause::ServiceRemoved { by: by.to_owned() }));
    }

    /// From now on the service is empty until somebody publishes.
    pub(crate) fn await_emptiness(&self, slot: &Arc<Slot>, state: &mut SlotState, now: Now) {
        state.empty_since = now.mono;
        if self.options.clean_empty_services && !state.empty_armed {
            state.empty_armed = true;
            self.set_timer(now.mono + self.options.empty_service_expired_ms, Timer::Empty(Arc::clone(slot)));
        }
    }

    pub(crate) fn set_timer(&self, deadline: u64, timer: Timer) {
        self.wheel.lock().push(Wheel::bucket(deadline), timer);
    }

    /// Sees to it that the publication is looked at by `deadline`.
    pub(crate) fn arm_beat(&self, publication: &Arc<Publication>, deadline: u64) {
        let bucket = Wheel::bucket(deadline);
        if publication.armed.fetch_min(bucket, Relaxed) > bucket {
            self.wheel.lock().push(bucket, Timer::Beat(Arc::clone(publication)));
        }
    }

    /// Sees to it that the client is looked at by `deadline`.
    pub(crate) fn arm_client(&self, client: &Arc<Client>, deadline: u64) {
        let bucket = Wheel::bucket(deadline);
        if client.armed.fetch_min(bucket, Relaxed) > bucket {
            self.wheel.lock().push(bucket, Timer::Client(Arc::clone(client)));
        }
    }

    /// The client object of `id`, made if there is none.
    pub(crate) fn client_or_new(&self, id: &ClientId, now: Now) -> Arc<Client> {
        if let Some(client) = self.clients.get(id) {
            return client;
        }
        let (client, made) = self.clients.get_or_insert(id, || Client::new(id.clone(), None, now.mono));
        if made {
            self.counters.clients(id).fetch_add(1, Relaxed);
        }
        client
    }

    /// Adds a client; false when its id is taken.
    pub(crate) fn add_client(&self, client: Client) -> bool {
        let id = client.id.clone();
        let (_, added) = self.clients.get_or_insert(&id, || client);
        if added {
            self.counters.clients(&id).fetch_add(1, Relaxed);
        }
        added
    }

    /// Takes a client object out. Its links must have been marked dead.
    pub(crate) fn drop_client(&self, client: &Arc<Client>) {
        if self.clients.remove(client) {
            self.counters.clients(&client.id).fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Naming {
    /// Slots, publications and clients point at each other; this lets go of them.
    fn drop(&mut self) {
        for client in self.clients.all() {
            *client.links.lock() = crate::client::Links::default();
            client.armed.store(UNARMED, Relaxed);
        }
        for slot in self.slots.pin().values() {
            slot.state.lock().publishers.clear();
        }
    }
}

/// `ip:port:cluster` of a service.
pub(crate) fn subject(key: &ServiceKey, instance: &Instance, client: &ClientId) -> Subject {
    Subject {
        service: Some(key.clone()),
        instance: Some(instance.label()),
        client: Some(client.into()),
        ..Subject::default()
    }
}

/// As [`subject`], of an instance that the event shows: its names cost nothing then.
pub(crate) fn subject_shown(key: &ServiceKey, shown: &Arc<Instance>, client: &ClientId) -> Subject {
    let client = match client {
        ClientId::IpPort { ip, port, ephemeral } if *port == shown.port && *ip == shown.ip => {
            Label::client_of(shown, *ephemeral)
        }
        other => other.into(),
    };
    Subject {
        service: Some(key.clone()),
        instance: Some(Label::of_instance(shown)),
        client: Some(client),
        ..Subject::default()
    }
}

//! Slots: everything known about one service key. A slot lives as long as somebody publishes, subscribes or describes
//! the service; whether the *service* exists is `registered`.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwapOption;
use nacre_model::{Instance, Metadata, ServiceKey, instance::preserved};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{
    ClientId, InstanceMetadata, InstanceRef, ServiceMetadata, Snapshot, Subscription,
    client::{ByClient, Entry, Publication},
    quick::{self, Map, Set},
};

#[derive(Debug)]
pub(crate) struct Slot {
    pub key: ServiceKey,
    pub state: Mutex<SlotState>,
    /// The newest snapshot, or nothing when a change made it old.
    pub view: ArcSwapOption<Snapshot>,
}

#[derive(Debug, Default)]
pub(crate) struct SlotState {
    /// Taken out of the registry: whoever holds the slot must look it up again.
    pub gone: bool,
    /// The service exists: its singleton, in Nacos's words.
    pub registered: Option<Registered>,
    /// `lastRefTime` of the newest change.
    pub ref_time: i64,
    pub publishers: Set<ByClient>,
    /// How many addresses connections publish, by hash: HTTP publishers are found by their client id. Whoever finds a hash
    /// here compares the addresses, so a short one will do.
    pub connection_addresses: Map<u32, u32>,
    pub subscribers: Map<ClientId, Arc<Subscription>>,
    /// `subscribers`' keys, shared with pushes until they change.
    pub subscriber_ids: Option<Arc<[ClientId]>>,
    pub metadata: Option<Arc<ServiceMetadata>>,
    /// When the metadata of a cleaned service goes (monotonic).
    pub metadata_expires: Option<u64>,
    /// The operator's layer.
    pub records: Map<InstanceRef, Record>,
    /// Since when nobody publishes (monotonic).
    pub empty_since: u64,
    /// An `Empty` timer is in the wheel.
    pub empty_armed: bool,
    /// A `Protection` timer is in the wheel.
    pub protection_armed: bool,
    /// Protection was on when last looked at.
    pub protected: bool,
    /// Publications that beat once and are silent now.
    pub silent: u32,
    /// Since when the brake holds removals back (monotonic).
    pub brake_since: Option<u64>,
    /// Metadata seen last in this service, to share equal ones.
    recent_metadata: SmallVec<[Arc<Metadata>; 2]>,
    /// Of each of them: where every instance has metadata of its own, this tells so without comparing maps.
    recent_prints: [u8; RECENT],
    recent_clusters: SmallVec<[Arc<str>; 2]>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Registered {
    pub ephemeral: bool,
    /// Rises from service to service: the order of lists.
    pub sequence: u64,
}

/// An operator's record and, once its instance has left, when it goes (monotonic).
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub data: Arc<InstanceMetadata>,
    pub expires: Option<u64>,
}

/// Timers of one instance in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeatRules {
    /// `enableClientBeat` = true: never checked.
    pub unchecked: bool,
    pub timeout: u64,
    pub delete: u64,
    pub interval: Option<u64>,
}

/// How many distinct metadata and cluster names a slot remembers for sharing.
const RECENT: usize = 8;

impl Slot {
    pub fn new(key: ServiceKey) -> Self {
        Self { key, state: Mutex::default(), view: ArcSwapOption::empty() }
    }
}

impl SlotState {
    /// Nothing is known of the service any more.
    pub fn is_idle(&self) -> bool {
        self.registered.is_none()
            && self.publishers.is_empty()
            && self.subscribers.is_empty()
            && self.metadata.is_none()
            && self.records.is_empty()
    }

    /// The entries in order of first registration, each with its publication.
    pub fn ordered(&self) -> Vec<(u64, Arc<Publication>)> {
        let mut all: Vec<_> = self.publishers.iter().map(|p| (p.0.entry.lock().order, Arc::clone(&p.0))).collect();
        all.sort_unstable_by_key(|(order, _)| *order);
        all
    }

    /// Every address once, the latest registration's values, the operator's layer on top.
    pub fn merged(&self) -> Vec<Arc<Instance>> {
        let mut found: Vec<(u64, u64, Arc<Instance>)> = Vec::with_capacity(self.publishers.len());
        for publication in &self.publishers {
            let entry = publication.0.entry.lock();
            let Entry { order, version, .. } = *entry;
            found.extend(entry.instances.iter().map(|instance| (order, version, Arc::clone(instance))));
        }
        found.sort_by_key(|(order, _, _)| *order);
        // Two HTTP publishers never share an address: their ids are the address.
        if !self.connection_addresses.is_empty() && found.len() > 1 {
            found = once_per_address(found);
        }
        found.into_iter().map(|(_, _, instance)| self.overlaid(instance)).collect()
    }

    pub fn overlaid(&self, instance: Arc<Instance>) -> Arc<Instance> {
        if self.records.is_empty() {
            return instance;
        }
        let Some(record) = self.records.get(&reference(&instance)) else { return instance };
        let data = &record.data;
        let mut merged = (*instance).clone();
        merged.weight = data.weight.unwrap_or(merged.weight);
        merged.enabled = data.enabled.unwrap_or(merged.enabled);
        if !data.metadata.is_empty() {
            let mut metadata = (*merged.metadata).clone();
            metadata.extend(data.metadata.iter().map(|(key, value)| (Arc::clone(key), Arc::clone(value))));
            merged.metadata = Arc::new(metadata);
        }
        Arc::new(merged)
    }

    /// The timers in force for an instance: the operator's word before the client's (spec/naming.md 9.2).
    pub fn rules(&self, instance: &Instance) -> BeatRules {
        let record = if self.records.is_empty() { None } else { self.records.get(&reference(instance)) };
        let operator = record.map(|record| &record.data.metadata);
        let number = |key: &str| {
            operator
                .filter(|metadata| metadata.contains_key(key))
                .map_or_else(|| instance.metadata_ms(key), |metadata| nacre_model::instance::metadata_ms(metadata, key))
        };
        let service_word = self.metadata.as_ref().and_then(|m| m.metadata.get(preserved::ENABLE_CLIENT_BEAT));
        let word = operator
            .and_then(|metadata| metadata.get(preserved::ENABLE_CLIENT_BEAT))
            .or_else(|| instance.metadata.get(preserved::ENABLE_CLIENT_BEAT));
        let is_true = |word: Option<&Arc<str>>| word.is_some_and(|word| word.eq_ignore_ascii_case("true"));
        BeatRules {
            unchecked: is_true(service_word) || is_true(word),
            timeout: number(preserved::HEART_BEAT_TIMEOUT).unwrap_or(preserved::DEFAULT_TIMEOUT_MS),
            delete: number(preserved::IP_DELETE_TIMEOUT).unwrap_or(preserved::DEFAULT_DELETE_MS),
            interval: number(preserved::HEART_BEAT_INTERVAL),
        }
    }

    /// Another publication of this address than `own`, whose own addresses are `counted` or not.
    pub fn other_publisher(&self, instance: &Instance, own: &ClientId, counted: bool) -> Option<Arc<Publication>> {
        let same = |publication: &ByClient| {
            publication.0.client.id != *own
                && publication.0.entry.lock().instances.iter().any(|other| same_address(other, instance))
        };
        // All publishers of a service are of its kind, and of an `ip:port` client there is one of each kind.
        if own.is_connection() {
            let id = ClientId::IpPort { ip: Arc::clone(&instance.ip), port: instance.port, ephemeral: true };
            if let Some(found) = self.publishers.get(&id).filter(|publication| same(publication)) {
                return Some(Arc::clone(&found.0));
            }
        }
        if self.connection_addresses.is_empty() {
            return None;
        }
        // Whose address it is shows only a walk, and that is paid only when a connection publishes this address.
        let publishers = *self.connection_addresses.get(&address_hash(instance))?;
        if publishers == u32::from(counted && own.is_connection()) {
            return None;
        }
        let connections = self.publishers.iter().filter(|publication| publication.0.client.id.is_connection());
        connections.into_iter().find(|publication| same(publication)).map(|publication| Arc::clone(&publication.0))
    }

    /// What consumers see at an address: of all who publish it the latest, the operator's layer on top.
    pub fn shown(&self, at: &InstanceRef) -> Option<Arc<Instance>> {
        let mut latest: Option<(u64, Arc<Instance>)> = None;
        let mut look = |publication: &Publication| {
            let entry = publication.entry.lock();
            if latest.as_ref().is_none_or(|(version, _)| *version < entry.version)
                && let Some(found) = entry.instances.iter().find(|instance| is_at(instance, at))
            {
                latest = Some((entry.version, Arc::clone(found)));
            }
        };
        for ephemeral in [true, false] {
            let id = ClientId::IpPort { ip: Arc::clone(&at.ip), port: at.port, ephemeral };
            if let Some(held) = self.publishers.get(&id) {
                look(&held.0);
            }
        }
        if self.connection_addresses.contains_key(&hash_of(&at.ip, at.port, &at.cluster)) {
            self.publishers.iter().filter(|held| held.0.client.id.is_connection()).for_each(|held| look(&held.0));
        }
        latest.map(|(_, instance)| self.overlaid(instance))
    }

    /// Keeps count of the addresses that connections publish.
    pub fn count_addresses(&mut self, client: &ClientId, instances: &[Arc<Instance>], add: bool) {
        if !client.is_connection() {
            return;
        }
        for instance in instances {
            let hash = address_hash(instance);
            if add {
                *self.connection_addresses.entry(hash).or_default() += 1;
            } else if let Some(count) = self.connection_addresses.get_mut(&hash) {
                *count -= 1;
                if *count == 0 {
                    self.connection_addresses.remove(&hash);
                }
            }
        }
    }

    /// Shares text and metadata that other instances of the service have too.
    pub fn intern(&mut self, instance: &mut Instance) {
        if let Some(known) = self.recent_clusters.iter().find(|known| **known == instance.cluster) {
            instance.cluster = Arc::clone(known);
        } else if self.recent_clusters.len() < RECENT {
            self.recent_clusters.push(Arc::clone(&instance.cluster));
        }
        let print = fingerprint(&instance.metadata);
        let mut alike = self.recent_prints.iter().zip(&self.recent_metadata).filter(|(known, _)| **known == print);
        if let Some((_, known)) = alike.find(|(_, known)| **known == instance.metadata) {
            instance.metadata = Arc::clone(known);
            return;
        }
        if self.recent_metadata.len() >= RECENT {
            self.recent_metadata.remove(0);
            self.recent_prints.copy_within(1.., 0);
        }
        self.recent_prints[self.recent_metadata.len()] = print;
        self.recent_metadata.push(Arc::clone(&instance.metadata));
    }

    pub fn subscriber_ids(&mut self) -> Arc<[ClientId]> {
        let subscribers = &self.subscribers;
        Arc::clone(self.subscriber_ids.get_or_insert_with(|| subscribers.keys().cloned().collect()))
    }
}

/// A byte that equal metadata have in common, and different ones seldom.
fn fingerprint(metadata: &Metadata) -> u8 {
    quick::mark(metadata) as u8
}

/// Of entries with the same address the one registered last stays, in its place.
fn once_per_address(found: Vec<(u64, u64, Arc<Instance>)>) -> Vec<(u64, u64, Arc<Instance>)> {
    let mut latest: HashMap<(&str, i32, &str), u64> = HashMap::with_capacity(found.len());
    for (_, version, instance) in &found {
        let newest = latest.entry((&instance.ip, instance.port, &instance.cluster)).or_default();
        *newest = (*newest).max(*version);
    }
    let mut keep: Vec<bool> = Vec::with_capacity(found.len());
    for (_, version, instance) in &found {
        // A batch may name one address twice: then both have the version, and the first stays.
        match latest.entry((&instance.ip, instance.port, &instance.cluster)) {
            std::collections::hash_map::Entry::Occupied(newest) if newest.get() == version => {
                newest.remove();
                keep.push(true);
            }
            _ => keep.push(false),
        }
    }
    found.into_iter().zip(keep).filter_map(|(entry, keep)| keep.then_some(entry)).collect()
}

pub(crate) fn same_address(a: &Instance, b: &Instance) -> bool {
    a.port == b.port && a.ip == b.ip && a.cluster == b.cluster
}

pub(crate) fn reference(instance: &Instance) -> InstanceRef {
    InstanceRef { ip: Arc::clone(&instance.ip), port: instance.port, cluster: Arc::clone(&instance.cluster) }
}

/// Whether the instance has this address.
pub(crate) fn is_at(instance: &Instance, at: &InstanceRef) -> bool {
    instance.port == at.port && instance.ip == at.ip && instance.cluster == at.cluster
}

fn address_hash(instance: &Instance) -> u32 {
    hash_of(&instance.ip, instance.port, &instance.cluster)
}

fn hash_of(ip: &str, port: i32, cluster: &str) -> u32 {
    quick::mark((ip, port, cluster)) as u32
}

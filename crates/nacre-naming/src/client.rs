//! Clients: who publishes and subscribes, and their publications.
//!
//! Lock order: a slot's state, then a client's links, then the wheel. Never two slots or two clients at once.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use nacre_model::{Instance, ServiceKey};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{ClientId, ConnectionInfo, beaters::Rhythm, client_id::AnyId, quick::Set, slot::Slot, wheel::UNARMED};

/// One client object.
#[derive(Debug)]
pub(crate) struct Client {
    pub id: ClientId,
    /// Only of connections.
    pub connection: Option<Box<Connected>>,
    /// Monotonic time of the last registration, beat or poll.
    pub last_updated: AtomicU64,
    /// Bucket of the pending silence check in the wheel, or [`UNARMED`].
    pub armed: AtomicU32,
    pub links: Mutex<Links>,
}

#[derive(Debug)]
pub(crate) struct Connected {
    pub info: Arc<ConnectionInfo>,
    pub since: u64,
}

/// What a client is tied to.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Taken out of the registry: whoever still holds the object must not add to it.
    pub dead: bool,
    pub publications: KeyedSet<Publication>,
    pub subscriptions: Option<Box<KeyedSet<Slot>>>,
}

impl Client {
    pub fn new(id: ClientId, connection: Option<Connected>, now_mono: u64) -> Self {
        Self {
            id,
            connection: connection.map(Box::new),
            last_updated: AtomicU64::new(now_mono),
            armed: AtomicU32::new(UNARMED),
            links: Mutex::default(),
        }
    }
}

impl Links {
    pub fn is_idle(&self) -> bool {
        self.publications.is_empty() && self.subscriptions.is_none()
    }

    pub fn services(&self) -> usize {
        self.publications.len() + self.subscriptions.as_ref().map_or(0, |set| set.len())
    }

    pub fn unsubscribe(&mut self, key: &ServiceKey) {
        if let Some(set) = &mut self.subscriptions {
            set.remove(key);
            if set.is_empty() {
                self.subscriptions = None;
            }
        }
    }
}

/// The one entry of a (client, service). The instances change only under the slot's lock; the atomics are what beats
/// touch without it.
#[derive(Debug)]
pub(crate) struct Publication {
    pub client: Arc<Client>,
    pub slot: Arc<Slot>,
    /// Monotonic time of the last beat or registration.
    pub last_beat: AtomicU64,
    /// Bucket of the pending beat check in the wheel, or [`UNARMED`].
    pub armed: AtomicU32,
    /// `preserved.heart.beat.interval` in force, 0 = the switch's value.
    pub interval: AtomicU32,
    /// Who sent the last beat, as a hash; 0 = nobody yet.
    pub sender: AtomicU32,
    /// Beats in a row that followed the one before at once.
    pub hurried: AtomicU16,
    /// When the beats came.
    pub rhythm: Rhythm,
    flags: AtomicU8,
    pub entry: Mutex<Entry>,
}

#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub instances: Instances,
    /// Rises with every first registration in the registry: the order of lists.
    pub order: u64,
    /// Rises with every registration: of two publishers of one address the later one is shown.
    pub version: u64,
}

/// The instances of an entry: one, or those of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) enum Instances {
    #[default]
    None,
    One(Arc<Instance>),
    Many(Box<Batch>),
}

/// Behind one word: nearly all entries are of one instance and would pay for the second.
#[derive(Clone, Debug)]
pub(crate) struct Batch(Box<[Arc<Instance>]>);

impl From<SmallVec<[Arc<Instance>; 1]>> for Instances {
    fn from(mut list: SmallVec<[Arc<Instance>; 1]>) -> Self {
        match list.len() {
            0 => Self::None,
            1 => list.pop().map_or(Self::None, Self::One),
            _ => Self::Many(Box::new(Batch(list.into_vec().into()))),
        }
    }
}

impl std::ops::Deref for Instances {
    type Target = [Arc<Instance>];

    fn deref(&self) -> &[Arc<Instance>] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => &many.0,
        }
    }
}

impl std::ops::DerefMut for Instances {
    fn deref_mut(&mut self) -> &mut [Arc<Instance>] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => &mut many.0,
        }
    }
}

/// Still published.
pub(crate) const ALIVE: u8 = 1;
/// Its one instance is healthy: a beat has nothing to change.
pub(crate) const HEALTHY: u8 = 2;
/// Has sent a beat since it was registered.
pub(crate) const BEATEN: u8 = 4;
/// A beat's contradiction to its parameters was reported.
pub(crate) const MISMATCH: u8 = 8;
/// Turned unhealthy by silence after having beaten; counted in the slot's `silent`.
pub(crate) const SILENT: u8 = 16;

/// Another address began to send the beats: told twice per registration, so that both are named.
pub(crate) const SENDERS: [u8; 2] = [32, 64];
/// Registered as a batch, if only of one.
pub(crate) const BATCH: u8 = 128;

impl Publication {
    pub fn new(client: &Arc<Client>, slot: &Arc<Slot>, now_mono: u64) -> Self {
        Self {
            client: Arc::clone(client),
            slot: Arc::clone(slot),
            last_beat: AtomicU64::new(now_mono),
            armed: AtomicU32::new(UNARMED),
            interval: AtomicU32::new(0),
            sender: AtomicU32::new(0),
            hurried: AtomicU16::new(0),
            rhythm: Rhythm::default(),
            flags: AtomicU8::new(ALIVE),
            entry: Mutex::default(),
        }
    }

    pub fn has(&self, flags: u8) -> bool {
        self.flags.load(Relaxed) & flags == flags
    }

    /// Sets the flags; true when one of them was not set before.
    pub fn set(&self, flags: u8) -> bool {
        self.flags.fetch_or(flags, Relaxed) & flags != flags
    }

    /// Clears the flags; true when one of them was set before.
    pub fn clear(&self, flags: u8) -> bool {
        self.flags.fetch_and(!flags, Relaxed) & flags != 0
    }

    /// Kept alive by beats: an `ip:port#true` client.
    pub fn beats(&self) -> bool {
        matches!(self.client.id, ClientId::IpPort { ephemeral: true, .. })
    }
}

/// Things that belong to a service.
pub(crate) trait Keyed {
    fn key(&self) -> &ServiceKey;
}

impl Keyed for Publication {
    fn key(&self) -> &ServiceKey {
        &self.slot.key
    }
}

impl Keyed for Slot {
    fn key(&self) -> &ServiceKey {
        &self.key
    }
}

/// A set with one entry per service. One entry costs a word (the usual client), many are hashed.
#[derive(Debug, Default)]
pub(crate) enum KeyedSet<T> {
    #[default]
    None,
    One(Arc<T>),
    Many(Box<Set<ByKey<T>>>),
}

/// An entry of a [`KeyedSet`], found by its key: the key is not kept twice.
#[derive(Debug)]
pub(crate) struct ByKey<T>(Arc<T>);

impl<T: Keyed> PartialEq for ByKey<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl<T: Keyed> Eq for ByKey<T> {}

impl<T: Keyed> Hash for ByKey<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

impl<T: Keyed> std::borrow::Borrow<ServiceKey> for ByKey<T> {
    fn borrow(&self) -> &ServiceKey {
        self.0.key()
    }
}

impl<T: Keyed> KeyedSet<T> {
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, key: &ServiceKey) -> Option<&Arc<T>> {
        match self {
            Self::None => None,
            Self::One(one) => Some(one).filter(|one| one.key() == key),
            Self::Many(many) => many.get(key).map(|held| &held.0),
        }
    }

    /// Adds an entry; its key must not be in the set.
    pub fn insert(&mut self, item: Arc<T>) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(item),
            Self::One(one) => Self::Many(Box::new([one, item].map(ByKey).into_iter().collect())),
            Self::Many(mut many) => {
                many.insert(ByKey(item));
                Self::Many(many)
            }
        };
    }

    pub fn remove(&mut self, key: &ServiceKey) -> Option<Arc<T>> {
        match self {
            Self::Many(many) => {
                let removed = many.take(key).map(|held| held.0);
                if many.is_empty() {
                    *self = Self::None;
                }
                removed
            }
            Self::One(one) if one.key() == key => match std::mem::take(self) {
                Self::One(one) => Some(one),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn items(&self) -> Vec<Arc<T>> {
        match self {
            Self::None => Vec::new(),
            Self::One(one) => vec![Arc::clone(one)],
            Self::Many(many) => many.iter().map(|held| Arc::clone(&held.0)).collect(),
        }
    }
}

/// A client in the registry's table, found by its id or by a borrowed address.
#[derive(Clone, Debug)]
pub(crate) struct ById(pub Arc<Client>);

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl<'a> std::borrow::Borrow<dyn AnyId + 'a> for ById {
    fn borrow(&self) -> &(dyn AnyId + 'a) {
        &self.0.id
    }
}

/// A publication in its slot's set, found by its client.
#[derive(Clone, Debug)]
pub(crate) struct ByClient(pub Arc<Publication>);

impl PartialEq for ByClient {
    fn eq(&self, other: &Self) -> bool {
        self.0.client.id == other.0.client.id
    }
}

impl Eq for ByClient {}

impl Hash for ByClient {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.client.id.hash(state);
    }
}

impl std::borrow::Borrow<ClientId> for ByClient {
    fn borrow(&self) -> &ClientId {
        &self.0.client.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million instances have a million of each. With the counts of its `Arc` and the allocator's word each should fill
    /// a multiple of 16 bytes.
    #[test]
    fn what_every_instance_has_is_small() {
        assert!(size_of::<Publication>() <= 104, "{}", size_of::<Publication>());
        assert!(size_of::<Client>() <= 88, "{}", size_of::<Client>());
        assert!(size_of::<Instance>() <= 72, "{}", size_of::<Instance>());
    }
}

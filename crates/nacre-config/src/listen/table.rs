//! The tables behind [`Listeners`](super::Listeners): names are kept once and numbered, and who listens to what is pairs of
//! numbers. A thousand clients that listen to the same fifty configs are fifty thousand pairs; with names in them they
//! would be most of what the server holds.

use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    sync::Arc,
};

use nacre_model::ConfigKey;
use parking_lot::{Mutex, RwLock};

use super::PollId;

/// Locks per table; a power of two.
pub(super) const SHARDS: usize = 64;
/// Wordings of one key that listeners may share at a time: old and new md5, and namespace spelled in two ways.
const WORDINGS: usize = 4;

/// Hashes numbers that we give ourselves: nobody can choose them to collide.
#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing; the tables look at the topmost bits and at the lowest ones.
        let product = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}

pub(super) type Numbered<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;
pub(super) type Numbers<K> = HashSet<K, BuildHasherDefault<NumberHasher>>;

/// Number of an open connection; given anew once nothing refers to it.
pub(super) type ConnectionNo = u32;
/// Number of a key that somebody listens to; given anew once nobody does.
pub(super) type KeyNo = u32;

/// Values in places that are used again.
struct Slots<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    fn put(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = Some(value);
                place
            }
            None => {
                if self.places.capacity() == 0 {
                    // Most keys have one listener; there are many keys.
                    self.places.reserve_exact(1);
                }
                self.places.push(Some(value));
                (self.places.len() - 1) as u32
            }
        }
    }

    fn take(&mut self, place: u32) -> Option<T> {
        let value = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(value)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn get(&self, place: u32) -> Option<&T> {
        self.places.get(place as usize)?.as_ref()
    }

    fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.places.get_mut(place as usize)?.as_mut()
    }
}

/// The names of open connections by their numbers.
#[derive(Default)]
pub(super) struct Names(RwLock<Slots<Arc<str>>>);

impl Names {
    pub fn enter(&self, name: &Arc<str>) -> ConnectionNo {
        self.0.write().put(Arc::clone(name))
    }

    /// No key may refer to it any more.
    pub fn leave(&self, number: ConnectionNo) {
        self.0.write().take(number);
    }

    /// `look` gets what finds names.
    pub fn with<T>(&self, look: impl FnOnce(&dyn Fn(ConnectionNo) -> Option<Arc<str>>) -> T) -> T {
        let names = self.0.read();
        look(&|number| names.get(number).cloned())
    }
}

/// What a listener says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub tenant: Option<Arc<str>>,
    pub md5: Arc<str>,
}

/// A wording and how many use it, remembering it included.
struct Wording {
    said: Said,
    uses: u32,
}

/// One key with everybody who listens to it.
pub(super) struct Watched {
    pub key: ConfigKey,
    /// Each with the number of its wording.
    connections: Numbered<ConnectionNo, u32>,
    pub polls: Numbers<PollId>,
    wordings: Slots<Wording>,
    /// The numbers of what was said last, in different words.
    lately: Vec<u32>,
}

impl Watched {
    fn new(key: &ConfigKey) -> Self {
        Self {
            key: key.clone(),
            connections: HashMap::default(),
            polls: HashSet::default(),
            wordings: Slots::default(),
            lately: Vec::new(),
        }
    }

    /// The connection listens from now on, or says something else.
    pub fn stand(&mut self, connection: ConnectionNo, said: &Said) {
        let wording = self.wording(said);
        if let Some(old) = self.connections.insert(connection, wording) {
            self.let_go(old);
        }
    }

    pub fn leave(&mut self, connection: ConnectionNo) {
        if let Some(wording) = self.connections.remove(&connection) {
            self.let_go(wording);
        }
    }

    pub fn said_by(&self, connection: ConnectionNo) -> Option<&Said> {
        self.wordings.get(*self.connections.get(&connection)?).map(|wording| &wording.said)
    }

    /// All connections that listen, with what they said.
    pub fn standing(&self) -> impl ExactSizeIterator<Item = (ConnectionNo, Option<&Said>)> {
        self.connections
            .iter()
            .map(|(connection, wording)| (*connection, self.wordings.get(*wording).map(|wording| &wording.said)))
    }

    /// The number of these words, used once more. Listeners share them with those who said the same lately.
    fn wording(&mut self, said: &Said) -> u32 {
        for number in &self.lately {
            if let Some(wording) = self.wordings.get_mut(*number).filter(|wording| wording.said == *said) {
                wording.uses += 1;
                return *number;
            }
        }
        let number = self.wordings.put(Wording { said: said.clone(), uses: 2 });
        if self.lately.len() == WORDINGS {
            let oldest = self.lately.remove(0);
            self.let_go(oldest);
        }
        self.lately.push(number);
        number
    }

    fn let_go(&mut self, number: u32) {
        let Some(wording) = self.wordings.get_mut(number) else { return };
        wording.uses -= 1;
        if wording.uses == 0 {
            self.wordings.take(number);
        }
    }

    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.polls.is_empty()
    }
}

#[derive(Default)]
struct Shard {
    places: HashMap<ConfigKey, u32>,
    watched: Slots<Watched>,
}

impl Shard {
    /// Changes a key and forgets it when nobody is left.
    fn change(&mut self, place: u32, change: impl FnOnce(&mut Watched)) {
        let Some(watched) = self.watched.get_mut(place) else { return };
        change(watched);
        if watched.is_empty()
            && let Some(gone) = self.watched.take(place)
        {
            self.places.remove(&gone.key);
        }
    }
}

/// All keys that somebody listens to. A key's number says its shard and its place therein.
pub(super) struct Keys {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Keys {
    fn shard(&self, key: &ConfigKey) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }

    /// Enters somebody at a key, which is numbered if nobody listened to it.
    pub fn enter(&self, key: &ConfigKey, change: impl FnOnce(&mut Watched)) -> KeyNo {
        let number = self.shard(key);
        let mut shard = self.shards[number].lock();
        let place = match shard.places.get(key) {
            Some(place) => *place,
            None => {
                let place = shard.watched.put(Watched::new(key));
                shard.places.insert(key.clone(), place);
                place
            }
        };
        shard.change(place, change);
        place * SHARDS as u32 + number as u32
    }

    /// Changes who listens to a key.
    pub fn change(&self, key: &ConfigKey, change: impl FnOnce(&mut Watched)) {
        let mut shard = self.shards[self.shard(key)].lock();
        if let Some(place) = shard.places.get(key).copied() {
            shard.change(place, change);
        }
    }

    /// As [`Keys::change`]; the number is that of a key that the caller has entered somebody at.
    pub fn change_numbered(&self, key: KeyNo, change: impl FnOnce(&mut Watched)) {
        self.shards[key as usize % SHARDS].lock().change(key / SHARDS as u32, change);
    }

    /// The number of a key, if somebody listens to it.
    pub fn number(&self, key: &ConfigKey) -> Option<KeyNo> {
        let number = self.shard(key);
        let place = self.shards[number].lock().places.get(key).copied()?;
        Some(place * SHARDS as u32 + number as u32)
    }

    pub fn look<T>(&self, key: &ConfigKey, look: impl FnOnce(&Watched) -> T) -> Option<T> {
        let shard = self.shards[self.shard(key)].lock();
        Some(look(shard.watched.get(*shard.places.get(key)?)?))
    }

    pub fn look_numbered<T>(&self, key: KeyNo, look: impl FnOnce(&Watched) -> T) -> Option<T> {
        let shard = self.shards[key as usize % SHARDS].lock();
        Some(look(shard.watched.get(key / SHARDS as u32)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> ConfigKey {
        ConfigKey::new("", "g", &n.to_string())
    }

    #[test]
    fn a_key_that_nobody_listens_to_is_forgotten_and_its_number_given_anew() {
        let keys = Keys::default();
        let numbers: Vec<KeyNo> =
            (0..1_000).map(|n| keys.enter(&key(n), |watched| assert!(watched.polls.insert(PollId(1))))).collect();
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), 1_000);
        for (n, number) in numbers.iter().enumerate() {
            assert_eq!(keys.number(&key(n)), Some(*number));
            assert_eq!(keys.look_numbered(*number, |watched| watched.key.clone()), Some(key(n)));
            keys.change_numbered(*number, |watched| assert!(watched.polls.remove(&PollId(1))));
            assert_eq!(keys.number(&key(n)), None);
        }
        let again = keys.enter(&key(7), |watched| assert!(watched.polls.insert(PollId(1))));
        assert!(numbers.contains(&again));
        assert_eq!(keys.number(&key(7)), Some(again));
    }

    #[test]
    fn a_key_at_which_nobody_was_entered_is_not_kept() {
        let keys = Keys::default();
        keys.enter(&key(1), |_| ());
        assert_eq!(keys.number(&key(1)), None);
    }

    fn said(md5: &str) -> Said {
        Said { tenant: Some("dev".into()), md5: md5.into() }
    }

    #[test]
    fn listeners_share_their_words_and_words_that_nobody_uses_are_forgotten() {
        let mut watched = Watched::new(&key(1));
        for connection in 0..1_000 {
            watched.stand(connection, &said("old"));
        }
        assert_eq!(watched.wordings.len(), 1);
        for connection in 0..999 {
            watched.stand(connection, &said("new"));
        }
        for n in 0..2 * WORDINGS {
            watched.stand(0, &said(&n.to_string()));
        }
        assert_eq!(watched.said_by(0), Some(&said(&(2 * WORDINGS - 1).to_string())));
        assert_eq!((watched.said_by(1), watched.said_by(999)), (Some(&said("new")), Some(&said("old"))));
        assert_eq!(watched.standing().len(), 1_000);
        assert_eq!(watched.wordings.len(), WORDINGS + 2, "those said lately, and two older ones in use");
        for connection in 0..1_000 {
            watched.leave(connection);
            watched.leave(connection);
        }
        assert_eq!((watched.wordings.len(), watched.said_by(1)), (WORDINGS, None));
    }

    #[test]
    fn numbers_in_a_row_are_spread() {
        let top = |n: u32| {
            let mut hasher = NumberHasher::default();
            hasher.write_u32(n);
            hasher.finish() >> 57
        };
        assert!((0..1_000).map(top).collect::<HashSet<_>>().len() > 100);
    }

    #[test]
    fn a_connections_number_is_given_anew_only_after_it_left() {
        let names = Names::default();
        let (one, two) = (names.enter(&"one".into()), names.enter(&"two".into()));
        names.leave(one);
        let three = names.enter(&"three".into());
        let found = names.with(|name| [name(two), name(three)].map(|name| name.map(|name| name.to_string())));
        assert_eq!(found, [Some("two".to_owned()), Some("three".to_owned())]);
    }
}

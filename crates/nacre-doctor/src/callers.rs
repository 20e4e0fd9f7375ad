//! Who registered or deregistered an instance, where that is not plain: another address than the instance's own, or an
//! agent that is no client of Nacos. Bounded: the older half is let go of when there are too many.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::sightings::Act;

/// Locks, so that registrations seldom wait for each other.
const SHARDS: usize = 16;

/// Calls of which it is known without a lock that they were kept a moment ago.
const KNOWN: usize = 1024;
/// For so long the same call need not be kept again, milliseconds.
const MOMENT: i64 = 1_000;

/// One call for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub act: Act,
    pub address: IpAddr,
    pub agent: Arc<str>,
    /// Wall clock, milliseconds; of calls that are repeated at once, the first in its second.
    pub at: i64,
}

/// One call as it comes in.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub act: Act,
    pub address: IpAddr,
    pub agent: &'a str,
    /// Wall clock, milliseconds.
    pub at: i64,
}

/// The last register and the last deregister call by `ip:port`.
#[derive(Debug)]
pub struct Callers {
    /// Instances of one shard's half.
    most: usize,
    hash: RandomState,
    shards: [Shard; SHARDS],
    /// Marks of what was kept last, by instance and act: who registers again and again writes nothing that all processors read.
    known: Box<[AtomicU64]>,
}

#[derive(Debug, Default)]
struct Shard {
    /// Something was kept here: until then a plain call has nothing to look for.
    used: AtomicBool,
    halves: Mutex<Halves>,
}

impl Shard {
    fn len(&self) -> usize {
        let halves = self.halves.lock();
        halves.young.len() + halves.old.len()
    }
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Place, Calls, RandomState>,
    old: HashMap<Place, Calls, RandomState>,
}

/// The bytes of `ip:port`; what most are needs no memory of its own.
type Place = SmallVec<[u8; 24]>;
/// One of each [`Act`].
type Calls = SmallVec<[Caller; 1]>;

fn place(ip: &str, port: &str) -> Place {
    let mut place = Place::from_slice(ip.as_bytes());
    place.push(b':');
    place.extend_from_slice(port.as_bytes());
    place
}

impl Callers {
    /// For about so many instances.
    pub fn new(most: usize) -> Self {
        Self {
            most: most / 2 / SHARDS,
            hash: RandomState::default(),
            shards: Default::default(),
            known: (0..KNOWN).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Instances of which something is kept.
    pub fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a call if it says something that the instance's address does not; `share` makes the agent's text.
    pub fn note(&self, ip: &str, port: &str, call: Call<'_>, share: impl FnOnce() -> Arc<str>) {
        let plain = call.agent.starts_with("Nacos-") && ip.parse() == Ok(call.address);
        let key = place(ip, port);
        let shard = self.shard(&key);
        if plain && !shard.used.load(Relaxed) {
            return;
        }
        let known = &self.known[self.hash.hash_one((&key, call.act)) as usize % KNOWN];
        if plain {
            // A plain call after a strange one makes that one history.
            let Halves { young, old } = &mut *shard.halves.lock();
            for calls in [young.get_mut(&key), old.get_mut(&key)].into_iter().flatten() {
                calls.retain(|known| known.act != call.act);
            }
            known.store(0, Relaxed);
            return;
        }
        let mark = self.hash.hash_one((&key, call.act, call.address, call.agent, call.at / MOMENT)) | 1;
        if known.load(Relaxed) == mark {
            return;
        }
        let halves = &mut *shard.halves.lock();
        shard.used.store(true, Relaxed);
        known.store(mark, Relaxed);
        if let Some(calls) = halves.young.get_mut(&key) {
            return keep(calls, call, share);
        }
        let mut calls = halves.old.remove(&key).unwrap_or_default();
        keep(&mut calls, call, share);
        halves.young.insert(key, calls);
        if halves.young.len() > self.most {
            halves.old = std::mem::take(&mut halves.young);
        }
    }

    fn shard(&self, key: &Place) -> &Shard {
        &self.shards[self.hash.hash_one(key) as usize % SHARDS]
    }

    /// The last such call for `ip:port`.
    pub fn last(&self, ip: &str, port: i32, act: Act) -> Option<Caller> {
        let key = place(ip, &port.to_string());
        let halves = self.shard(&key).halves.lock();
        let calls = halves.young.get(&key).or_else(|| halves.old.get(&key))?;
        calls.iter().find(|call| call.act == act).cloned()
    }
}

fn keep(calls: &mut Calls, call: Call<'_>, share: impl FnOnce() -> Arc<str>) {
    let Call { act, address, agent, at } = call;
    match calls.iter_mut().find(|known| known.act == act) {
        Some(known) if *known.agent == *agent => (known.address, known.at) = (address, at),
        Some(known) => *known = Caller { act, address, agent: share(), at },
        None => calls.push(Caller { act, address, agent: share(), at }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(callers: &Callers, place: (&str, &str), act: Act, address: [u8; 4], agent: &str) {
        callers.note(place.0, place.1, Call { act, address: address.into(), agent, at: 1 }, || agent.into());
    }

    #[test]
    fn only_what_is_not_plain_is_kept_and_it_is_bounded() {
        let callers = Callers::new(1_000);
        note(&callers, ("10.0.0.1", "80"), Act::Register, [10, 0, 0, 1], "Nacos-Java-Client:v1.4.8");
        assert_eq!(callers.last("10.0.0.1", 80, Act::Register), None);
        note(&callers, ("10.0.0.1", "80"), Act::Register, [10, 0, 0, 1], "curl/8");
        note(&callers, ("10.0.0.1", "80"), Act::Deregister, [10, 0, 0, 9], "Nacos-Java-Client:v1.4.8");
        assert_eq!(callers.last("10.0.0.1", 80, Act::Register).map(|c| c.agent.to_string()).as_deref(), Some("curl/8"));
        assert!(callers.last("10.0.0.1", 80, Act::Deregister).is_some());
        note(&callers, ("10.0.0.1", "80"), Act::Register, [10, 0, 0, 1], "Nacos-Java-Client:v1.4.8");
        assert_eq!(callers.last("10.0.0.1", 80, Act::Register), None);
        note(&callers, ("10.0.0.1", "80"), Act::Register, [10, 0, 0, 1], "curl/8");
        assert!(
            callers.last("10.0.0.1", 80, Act::Register).is_some(),
            "a strange call in the same second after a plain one"
        );
        for port in 0..3_000 {
            note(&callers, ("10.0.0.2", &port.to_string()), Act::Register, [10, 0, 0, 1], "x");
        }
        assert!(callers.len() <= 1_000 + SHARDS);
    }

    #[test]
    fn the_same_call_is_kept_once_a_second_and_another_at_once() {
        let callers = Callers::new(1_000);
        let call = |at, last: u8, agent: &str| {
            let call = Call { act: Act::Register, address: [10, 0, 0, last].into(), agent, at };
            callers.note("10.0.0.1", "80", call, || agent.into());
            callers
                .last("10.0.0.1", 80, Act::Register)
                .map(|kept| (kept.at, kept.address.to_string(), kept.agent.to_string()))
        };
        let kept = |at, address: &str, agent: &str| Some((at, address.to_owned(), agent.to_owned()));
        assert_eq!(call(1_000, 9, "curl"), kept(1_000, "10.0.0.9", "curl"));
        assert_eq!(call(1_999, 9, "curl"), kept(1_000, "10.0.0.9", "curl"));
        assert_eq!(call(2_000, 9, "curl"), kept(2_000, "10.0.0.9", "curl"));
        assert_eq!(call(2_001, 8, "curl"), kept(2_001, "10.0.0.8", "curl"));
        assert_eq!(call(2_002, 9, "curl"), kept(2_002, "10.0.0.9", "curl"));
        assert_eq!(call(2_003, 9, "wget"), kept(2_003, "10.0.0.9", "wget"));
    }
}

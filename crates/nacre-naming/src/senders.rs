//! Who sends the beats of an instance where more than one address does. An ordinary beat leaves no trace here: only a beat
//! from another address than the one before.

use std::{collections::HashMap, sync::Arc};

use nacre_model::{Now, ServiceKey, limits, slip};
use parking_lot::Mutex;

use crate::Naming;

/// Addresses kept of one instance.
const OF_INSTANCE: usize = 4;
/// What was not heard of for this long makes room.
const FORGET_MS: i64 = 120_000;

/// An address that took its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub address: Arc<str>,
    /// How often its beat followed one of another address.
    pub turns: u32,
    /// The first and the last of those turns (wall clock, milliseconds).
    pub first: i64,
    pub last: i64,
}

/// An instance for which several addresses send beats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    pub service: ServiceKey,
    pub ip: Arc<str>,
    pub port: i32,
    /// Between two beats, as the instance was registered.
    pub interval_ms: u64,
    pub senders: Vec<Sender>,
}

/// A client's address and a service.
type Key = (ServiceKey, Arc<str>, i32);

#[derive(Debug, Default)]
pub(crate) struct Senders {
    map: Mutex<HashMap<Key, Contested>>,
}

impl Senders {
    /// The sender of an instance's beat is another one than before.
    pub fn turned(&self, service: &ServiceKey, ip: &str, port: i32, interval_ms: u64, sender: &str, now: Now) {
        let mut map = self.map.lock();
        let key = (service.clone(), Arc::from(ip), port);
        if map.len() >= limits::CONTESTED as usize && !map.contains_key(&key) {
            map.retain(|_, known| known.senders.iter().any(|sender| now.wall - sender.last < FORGET_MS));
            if map.len() >= limits::CONTESTED as usize {
                return;
            }
        }
        let contested = map.entry(key).or_insert_with(|| Contested {
            service: service.clone(),
            ip: ip.into(),
            port,
            interval_ms,
            senders: Vec::new(),
        });
        contested.interval_ms = interval_ms;
        if let Some(known) = contested.senders.iter_mut().find(|known| &*known.address == sender) {
            known.turns = known.turns.saturating_add(1);
            known.last = now.wall;
            return;
        }
        if contested.senders.len() == OF_INSTANCE
            && let Some(oldest) = (0..OF_INSTANCE).min_by_key(|at| contested.senders[*at].last)
        {
            contested.senders.remove(oldest);
        }
        contested.senders.push(Sender { address: sender.into(), turns: 1, first: now.wall, last: now.wall });
    }
}

impl Naming {
    /// Instances for which several addresses took turns in sending beats; few, and bounded.
    pub fn contested(&self) -> Vec<Contested> {
        let mut all: Vec<Contested> =
            self.senders.map.lock().values().filter(|contested| contested.senders.len() > 1).cloned().collect();
        all.sort_by(|a, b| (&a.service, &a.ip, a.port).cmp(&(&b.service, &b.ip, b.port)));
        all
    }

    /// Services whose names people take for this one (letter case, blanks, a group in front), in all namespaces and
    /// groups, this one's own included; at most `most`.
    pub fn services_alike(&self, name: &str, most: usize) -> Vec<ServiceKey> {
        let index = self.index.read();
        let found = index.alike.get(&nacre_model::key::likeness(name));
        found.into_iter().flatten().map(|slot| slot.key.clone()).take(most).collect()
    }

    /// Services of the same namespace and group whose names are a slip of the pen away, with the number of slips. Walks
    /// names, a bounded number of them: for questions that are asked seldom.
    pub fn services_slipped(&self, key: &ServiceKey) -> Vec<(usize, ServiceKey)> {
        let index = self.index.read();
        let walked = index.alike.values().flatten().take(limits::NAMES_WALKED as usize);
        let here = walked.filter(|slot| slot.key.namespace == key.namespace && slot.key.group == key.group);
        here.filter_map(|slot| Some((slip::slips(&key.name, &slot.key.name)?, slot.key.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_that_take_turns_are_known_and_bounded() {
        let naming = Naming::default();
        let key = ServiceKey::new("", "G", "s");
        let mut now = Now::default();
        for n in 0..6 {
            now = now.plus(1_000);
            naming.senders.turned(&key, "10.0.0.1", 80, 5_000, ["a", "b"][n % 2], now);
        }
        let found = naming.contested();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].senders.iter().map(|s| (&*s.address, s.turns)).collect::<Vec<_>>(), [("a", 3), ("b", 3)]);
        for n in 0..2 * limits::CONTESTED as i32 {
            naming.senders.turned(&key, "10.0.0.2", n, 5_000, "a", now);
        }
        assert!(naming.senders.map.lock().len() <= limits::CONTESTED as usize);
        now = now.plus(200_000);
        naming.senders.turned(&key, "10.0.0.3", 1, 5_000, "a", now);
        assert_eq!(naming.senders.map.lock().len(), 1, "the silent make room");
    }
}

//! Who registered or deregistered an instance, where that is not plain: another address than the instance's own, or an
//! agent that is no client of Nacos. Bounded: the older half is let go of when there are too many.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use nacre_model::limits;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::sightings::Act;

/// One call for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub act: Act,
    pub address: IpAddr,
    pub agent: Arc<str>,
    /// Wall clock, milliseconds.
    pub at: i64,
}

/// The last register and the last deregister call by `ip:port`.
#[derive(Debug, Default)]
pub struct Callers {
    halves: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Place, Calls>,
    old: HashMap<Place, Calls>,
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
    /// Keeps a call if it says something that the instance's address does not.
    pub fn note(&self, ip: &str, port: &str, caller: Caller) {
        if caller.agent.starts_with("Nacos-") && ip.parse() == Ok(caller.address) {
            // A plain call after a strange one makes that one history.
            let mut halves = self.halves.lock();
            if !(halves.young.is_empty() && halves.old.is_empty()) {
                let key = place(ip, port);
                let Halves { young, old } = &mut *halves;
                for calls in [young.get_mut(&key), old.get_mut(&key)].into_iter().flatten() {
                    calls.retain(|known| known.act != caller.act);
                }
            }
            return;
        }
        let mut halves = self.halves.lock();
        let key = place(ip, port);
        let mut calls = match halves.young.remove(&key) {
            Some(calls) => calls,
            None => halves.old.remove(&key).unwrap_or_default(),
        };
        calls.retain(|known| known.act != caller.act);
        calls.push(caller);
        halves.young.insert(key, calls);
        if halves.young.len() > limits::CALLERS as usize / 2 {
            halves.old = std::mem::take(&mut halves.young);
        }
    }

    /// The last such call for `ip:port`.
    pub fn last(&self, ip: &str, port: i32, act: Act) -> Option<Caller> {
        let key = place(ip, &port.to_string());
        let halves = self.halves.lock();
        let calls = halves.young.get(&key).or_else(|| halves.old.get(&key))?;
        calls.iter().find(|call| call.act == act).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(act: Act, address: [u8; 4], agent: &str) -> Caller {
        Caller { act, address: address.into(), agent: agent.into(), at: 1 }
    }

    #[test]
    fn only_what_is_not_plain_is_kept_and_it_is_bounded() {
        let callers = Callers::default();
        callers.note("10.0.0.1", "80", call(Act::Register, [10, 0, 0, 1], "Nacos-Java-Client:v1.4.8"));
        assert_eq!(callers.last("10.0.0.1", 80, Act::Register), None);
        callers.note("10.0.0.1", "80", call(Act::Register, [10, 0, 0, 1], "curl/8"));
        callers.note("10.0.0.1", "80", call(Act::Deregister, [10, 0, 0, 9], "Nacos-Java-Client:v1.4.8"));
        assert_eq!(callers.last("10.0.0.1", 80, Act::Register).map(|c| c.agent.to_string()).as_deref(), Some("curl/8"));
        assert!(callers.last("10.0.0.1", 80, Act::Deregister).is_some());
        callers.note("10.0.0.1", "80", call(Act::Register, [10, 0, 0, 1], "Nacos-Java-Client:v1.4.8"));
        assert_eq!(callers.last("10.0.0.1", 80, Act::Register), None);
        for port in 0..3 * limits::CALLERS {
            callers.note("10.0.0.2", &port.to_string(), call(Act::Register, [10, 0, 0, 1], "x"));
        }
        let halves = callers.halves.lock();
        assert!(halves.young.len() + halves.old.len() <= limits::CALLERS as usize + 1);
    }
}

//! Calls that met nothing: paths below another context path than ours, APIs and gRPC requests that this server does not
//! have. Only such a call costs something here.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use nacre_model::{Now, limits};
use parking_lot::Mutex;

/// Calls that were not made again for this long make room.
const FORGET_MS: i64 = 60_000;
/// Longest text that is kept.
const TEXT: usize = 120;

/// What was called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stray {
    /// A known API below this path, which is not the context path.
    Context(Arc<str>),
    /// A method and path of HTTP.
    Http(Arc<str>),
    /// A type of request over gRPC.
    Grpc(Arc<str>),
    /// A method and path of HTTP whose API has other methods, and those.
    Method(Arc<str>, Arc<str>),
}

/// Calls of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    pub stray: Stray,
    pub address: IpAddr,
    pub agent: Arc<str>,
    /// The newest path or request.
    pub what: Arc<str>,
    pub count: u64,
    /// Wall clock, milliseconds.
    pub first: i64,
    pub last: i64,
}

#[derive(Debug, Default)]
pub struct Strays(Mutex<HashMap<(Stray, IpAddr), Called>>);

fn cut(text: &str) -> Arc<str> {
    text.chars().take(TEXT).collect::<String>().into()
}

impl Strays {
    /// A call that is right but for the path before it.
    pub fn context(&self, given: &str, path: &str, address: IpAddr, agent: &str, now: Now) {
        self.note(Stray::Context(cut(given)), cut(path), address, agent, now);
    }

    pub fn http(&self, method: &str, path: &str, address: IpAddr, agent: &str, now: Now) {
        let what = cut(&format!("{method} {path}"));
        self.note(Stray::Http(Arc::clone(&what)), what, address, agent, now);
    }

    /// A call that is right but for its method; `query` says whom it is about.
    #[allow(clippy::too_many_arguments)]
    pub fn method(&self, method: &str, path: &str, query: &str, allowed: &str, address: IpAddr, agent: &str, now: Now) {
        let what = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let stray = Stray::Method(cut(&format!("{method} {path}")), cut(allowed));
        self.note(stray, cut(&what), address, agent, now);
    }

    pub fn grpc(&self, request: &str, address: IpAddr, agent: &str, now: Now) {
        let what = cut(request);
        self.note(Stray::Grpc(Arc::clone(&what)), what, address, agent, now);
    }

    fn note(&self, stray: Stray, what: Arc<str>, address: IpAddr, agent: &str, now: Now) {
        let mut map = self.0.lock();
        if map.len() >= limits::STRAYS as usize {
            map.retain(|_, known| now.wall - known.last < FORGET_MS);
        }
        let key = (stray, address);
        if map.len() >= limits::STRAYS as usize && !map.contains_key(&key) {
            return;
        }
        let called = map.entry(key).or_insert_with_key(|(stray, _)| Called {
            stray: stray.clone(),
            address,
            agent: Arc::default(),
            what: Arc::default(),
            count: 0,
            first: now.wall,
            last: now.wall,
        });
        if now.wall - called.last > FORGET_MS {
            (called.first, called.count) = (now.wall, 0);
        }
        called.count += 1;
        called.last = now.wall;
        called.what = what;
        if *called.agent != *agent {
            called.agent = cut(agent);
        }
    }

    /// Those of the last `within_ms`, in order.
    pub fn recent(&self, now: i64, within_ms: i64) -> Vec<Called> {
        let map = self.0.lock();
        let mut recent: Vec<Called> = map.values().filter(|called| now - called.last <= within_ms).cloned().collect();
        drop(map);
        recent.sort_by(|a, b| (&a.stray, a.address).cmp(&(&b.stray, b.address)));
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_address_and_bounded() {
        let strays = Strays::default();
        let at = |wall| Now { mono: 0, wall };
        strays.context("", "/v1/ns/instance", [10, 0, 0, 1].into(), "a", at(1_000));
        strays.context("", "/v1/ns/instance/list", [10, 0, 0, 1].into(), "a", at(2_000));
        strays.grpc("LockOperationRequest", [10, 0, 0, 1].into(), "a", at(2_000));
        let recent = strays.recent(3_000, 5_000);
        assert_eq!(recent.iter().map(|called| called.count).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(&*recent[0].what, "/v1/ns/instance/list");
        assert!(strays.recent(100_000, 5_000).is_empty());
        for n in 0..2 * limits::STRAYS {
            strays.http("GET", &n.to_string(), [10, 0, 0, 1].into(), "a", at(2_000));
        }
        assert!(strays.0.lock().len() <= limits::STRAYS as usize);
    }
}

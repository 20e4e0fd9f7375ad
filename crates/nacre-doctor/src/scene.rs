//! What rules may look at. Cores are shown as they are; of the server itself only what the traits here name.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use nacre_config::Configs;
use nacre_model::{ConfigKey, Now, ServiceKey, limits};
use nacre_naming::{Census, Naming, Query};
use parking_lot::Mutex;

use crate::{Hit, Memory, Sightings, asked::Sought};

/// One look at the server.
pub struct Scene<'a> {
    pub now: Now,
    pub memory: &'a Memory,
    pub sightings: &'a Sightings,
    pub naming: &'a Naming,
    pub configs: &'a Configs,
    pub server: &'a dyn Server,
    pub desk: &'a Desk,
    /// How long something that happened once is told (`nacre.doctor.told`), milliseconds. Causes that hold look at what
    /// is now instead.
    pub told_ms: i64,
}

/// What rules have worked out and use again, in this round or the next.
#[derive(Debug, Default)]
pub struct Desk {
    census: Mutex<Counted>,
    /// Connections of the process before whose registrations are all back, or were given up in order.
    pub(crate) settled: Mutex<HashSet<Arc<str>>>,
    /// Listeners (config, connection) that say an old md5, and since when (wall clock).
    pub(crate) behind: Mutex<HashMap<(ConfigKey, String), i64>>,
    /// Names that were asked for in vain, with the one that may have been meant, and when that was looked up (wall clock).
    pub(crate) meant: Mutex<HashMap<Sought, (i64, Option<Sought>)>>,
    /// Namespaces that were deleted and are not there again, and when that was (wall clock).
    pub(crate) deleted_namespaces: Mutex<BTreeMap<String, i64>>,
    /// What silent instances were judged to be, by the moment and the last record it was judged with.
    pub(crate) silences: Mutex<Option<(Moment, Arc<Judged>)>>,
}

/// When something was worked out: the time, and the number of the last record there was.
pub(crate) type Moment = (Now, u64);

/// Codes with their hits.
pub(crate) type Judged = Vec<(&'static str, Hit)>;

#[derive(Debug, Default)]
struct Counted {
    at: Option<u64>,
    hosts: HashSet<Arc<str>>,
    census: Arc<Census>,
}

impl Scene<'_> {
    /// Who beats on these addresses. On a large server counted every few seconds, otherwise every time.
    pub fn census(&self, hosts: HashSet<Arc<str>>) -> Arc<Census> {
        let mut counted = self.desk.census.lock();
        let pause = self.naming.metrics().client_count as u64 / 100;
        let young = counted.at.is_some_and(|at| self.now.mono.saturating_sub(at) < pause);
        if !young {
            *counted =
                Counted { at: Some(self.now.mono), census: Arc::new(self.naming.census(&hosts, self.now)), hosts };
        }
        debug_assert!(young || counted.census.hosts.keys().all(|ip| counted.hosts.contains(ip)));
        Arc::clone(&counted.census)
    }

    /// The one name that a slip of the pen may have turned into `sought`; looked up anew after a while.
    pub(crate) fn meant(&self, sought: &Sought) -> Option<Sought> {
        const FRESH_MS: i64 = 10_000;
        let mut known = self.desk.meant.lock();
        if let Some((at, meant)) = known.get(sought)
            && (0..FRESH_MS).contains(&(self.now.wall - at))
        {
            return meant.clone();
        }
        let mut near: Vec<(usize, Sought)> = match sought {
            Sought::Config(key) => {
                self.configs.slipped(key).into_iter().map(|(slips, key)| (slips, Sought::Config(key))).collect()
            }
            Sought::Service(key, _) => {
                let found = self.naming.services_slipped(key).into_iter();
                let has = |key: &ServiceKey| !self.naming.list(key, &Query::default(), self.now).hosts.is_empty();
                let found = found.filter(|(_, key)| has(key));
                found.map(|(slips, key)| (slips, Sought::Service(key, "".into()))).collect()
            }
        };
        near.sort();
        // Two that are equally near: nobody knows which.
        let meant = match &near[..] {
            [(least, _), (next, _), ..] if least == next => None,
            [(_, meant), ..] => Some(meant.clone()),
            [] => None,
        };
        if known.len() >= limits::UNANSWERED as usize {
            known.clear();
        }
        known.insert(sought.clone(), (self.now.wall, meant.clone()));
        meant
    }

    /// Events of a kind that are still told, newest first.
    pub fn told<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a nacre_model::Event> + use<'a> {
        self.memory.kind(kind, self.now.wall, self.told_ms)
    }
}

/// The server around the cores.
pub trait Server {
    fn main_port(&self) -> u16;
    fn grpc_port(&self) -> u16;
    /// Milliseconds since the start.
    fn uptime_ms(&self) -> u64;
    /// The value in force of a property; `""` when there is none.
    fn property(&self, name: &str) -> String;
    /// A registered gRPC connection.
    fn connection(&self, id: &str) -> Option<ConnectionFacts>;
    /// Registered gRPC connections of any of these addresses (as the socket shows it, or as the client says); one walk for all.
    fn connections_among(&self, ips: &HashSet<&str>) -> Vec<ConnectionFacts>;
    /// Configs whose listeners began with another version than the one in force and were told so at once, and when that
    /// was last (wall clock, milliseconds).
    fn told_late(&self) -> Vec<(ConfigKey, i64)>;
    /// Who listens to a config, and the md5 each says it holds; at most `most` of them.
    fn listeners(&self, key: &ConfigKey, most: usize) -> Vec<ListenerFacts>;
    /// Why durable writes are refused now; `None` when they are not.
    fn unwritable(&self) -> Option<String>;
    /// What was said about the settings at the start: `(place, key, text)`.
    fn setting_notes(&self) -> Vec<(String, String, String)>;
    /// Whether a property has another value than its default, and the place that says so.
    fn setting_origin(&self, name: &str) -> Option<String>;
    /// Addresses it serves on.
    fn listens_on(&self) -> Vec<std::net::IpAddr>;
    /// Members of a cluster that are named.
    fn members(&self) -> Vec<String>;
    /// What the process uses, and what it may use.
    fn gauges(&self) -> Gauges;
}

/// Somebody who listens to a config.
#[derive(Clone, Debug, Default)]
pub struct ListenerFacts {
    pub ip: String,
    /// The md5 it said last that it holds.
    pub md5: String,
    /// Its gRPC connection; `None`: a long poll.
    pub connection: Option<String>,
    /// The tag that gray rules compare: its header `Vipserver-Tag`, or the label of its connection.
    pub tag: Option<String>,
}

/// What the process uses; absent where the machine does not say.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Connections of all doors, and how many there is room for.
    pub connections: Option<(u64, u64)>,
    /// Open files, and the limit.
    pub files: Option<(u64, u64)>,
    /// Bytes in memory, and the limit of its control group.
    pub memory: Option<(u64, u64)>,
    /// Bytes free on the disk of the data directory, and its size.
    pub disk: Option<(u64, u64)>,
    /// Share of the processors it may use that it used in the last seconds, 0.0 to 1.0, and how many those are.
    pub cpu: Option<(f64, usize)>,
    /// Share of the last seconds in which its control group was held back for its quota.
    pub throttled: Option<f64>,
    /// Share of the last seconds that the thread of this process that waited longest waited for a processor.
    pub waited: Option<f64>,
    /// The longest that a ready task waited for its turn in the last seconds, milliseconds.
    pub lag_ms: u64,
    /// The longest that one line of the log waited for whoever reads it in the last seconds, milliseconds.
    pub log_ms: u64,
    /// Calls of clients in the last seconds whose answers took long, by kind.
    pub slow: Vec<SlowCall>,
    /// Durable writes that wait for the log, and how many may.
    pub writes: Option<(u64, u64)>,
}

/// Calls of one kind whose answers took longer than a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowCall {
    /// `PUT /v1/ns/instance/beat`, `ConfigQueryRequest`.
    pub kind: String,
    /// It waits for the log: its answer is slow when the disk is.
    pub durable: bool,
    pub count: u64,
    pub longest_ms: u64,
}

/// A registered gRPC connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFacts {
    pub id: String,
    /// As the client says.
    pub client_ip: String,
    /// As the socket shows it.
    pub address: String,
    /// `Nacos-Java-Client:v3.1.0`.
    pub version: String,
    pub module: String,
    pub app: String,
    /// When it was set up (wall clock, milliseconds), and how long it has been silent.
    pub since: i64,
    pub idle_ms: u64,
}

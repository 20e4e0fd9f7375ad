//! Sightings: which address did what and when last, and how often it did what is rare. Written by the adapters with every
//! request, so it costs a look-up and now and then a relaxed store; read by rules that ask "is anything of this client still
//! alive?".

use std::{
    collections::VecDeque,
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use foldhash::quality::RandomState;
use nacre_model::{Now, limits};
use parking_lot::Mutex;

use crate::{
    asked::{Asked, Hands},
    partings::Partings,
    strays::Strays,
};

/// What an address can be seen doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Act {
    Login,
    ConfigRead,
    ConfigListen,
    ConfigPublish,
    ServiceQuery,
    Subscribe,
    Beat,
    Register,
    Deregister,
    /// Administration and console APIs.
    Admin,
    /// Any other HTTP request.
    OtherHttp,
    /// Any other gRPC request.
    OtherGrpc,
    /// A gRPC connection was set up.
    Connect,
    /// A gRPC call over a connection that was never set up: answered 301, or not at all.
    Unregistered,
    /// Turned away before any handler: a limited URL, a server that is not up.
    Refused,
}

impl Act {
    pub const ALL: [Act; 15] = [
        Act::Login,
        Act::ConfigRead,
        Act::ConfigListen,
        Act::ConfigPublish,
        Act::ServiceQuery,
        Act::Subscribe,
        Act::Beat,
        Act::Register,
        Act::Deregister,
        Act::Admin,
        Act::OtherHttp,
        Act::OtherGrpc,
        Act::Connect,
        Act::Unregistered,
        Act::Refused,
    ];

    /// Rare enough to be counted, and worth it.
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Connect | Self::Unregistered | Self::Refused)
    }

    /// The end of "last seen ...".
    pub fn words(self) -> &'static str {
        match self {
            Self::Login => "logging in",
            Self::ConfigRead => "reading configs",
            Self::ConfigListen => "listening to configs",
            Self::ConfigPublish => "publishing configs",
            Self::ServiceQuery => "asking for instance lists",
            Self::Subscribe => "subscribing to services",
            Self::Beat => "sending beats",
            Self::Register => "registering instances",
            Self::Deregister => "deregistering instances",
            Self::Admin => "using administration APIs",
            Self::OtherHttp => "calling other HTTP APIs",
            Self::OtherGrpc => "calling over gRPC",
            Self::Connect => "connecting by gRPC",
            Self::Unregistered => "calling over gRPC without a set-up",
            Self::Refused => "being turned away",
        }
    }
}

/// Characters kept of an agent.
const AGENT: usize = 120;
/// Different agents kept of one address.
const AGENTS: usize = 4;
/// Ends of connections, and addresses that clients claim, kept of one address.
const ENDS: usize = 12;
const CLAIMS: usize = 8;

/// How a connection ended, as far as it says something about the way between us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// FIN or RST came in, or the kernel gave up: not our doing.
    Theirs,
    /// Closed by us: unanswered, over a limit, moved, stopping.
    Ours,
}

/// One registered gRPC connection that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub at: Now,
    pub lived_ms: u64,
    pub how: How,
}

impl Ended {
    /// Monotonic milliseconds of its set-up.
    pub fn began(&self) -> u64 {
        self.at.mono.saturating_sub(self.lived_ms)
    }
}

/// One address.
#[derive(Debug)]
pub struct Source {
    pub address: IpAddr,
    pub first: Now,
    acts: [Seen; Act::ALL.len()],
    last_agent: AtomicU64,
    agents: Mutex<VecDeque<Arc<str>>>,
    /// gRPC connections that are open.
    open: AtomicU32,
    /// The newest ends of connections, newest last.
    ends: Mutex<VecDeque<Ended>>,
    /// Addresses that clients behind this one say they have, where they differ from it; newest last.
    claims: Mutex<VecDeque<Arc<str>>>,
}

#[derive(Debug, Default)]
struct Seen {
    count: AtomicU64,
    /// Monotonic milliseconds.
    last: AtomicU64,
}

impl Source {
    fn new(address: IpAddr, now: Now) -> Self {
        Self {
            address,
            first: now,
            acts: Default::default(),
            last_agent: AtomicU64::new(0),
            agents: Mutex::default(),
            open: AtomicU32::new(0),
            ends: Mutex::default(),
            claims: Mutex::default(),
        }
    }

    /// What everybody does all the time is only timed, and that once a millisecond: a counter that all processors write
    /// costs each of them more than the rest of this together. Whether it was the first time in this millisecond.
    pub fn saw(&self, act: Act, now: Now) -> bool {
        let seen = &self.acts[act as usize];
        let mono = now.mono.max(1);
        let first = seen.last.load(Relaxed) != mono;
        if first {
            seen.last.store(mono, Relaxed);
        }
        if act.is_counted() {
            seen.count.fetch_add(1, Relaxed);
        }
        first
    }

    /// An agent as it is kept here, shared if it was seen lately.
    pub fn shared_agent(&self, agent: &str) -> Arc<str> {
        let agent = agent.char_indices().nth(AGENT).map_or(agent, |(end, _)| &agent[..end]);
        self.agents.lock().iter().find(|known| ***known == *agent).cloned().unwrap_or_else(|| agent.into())
    }

    /// The agent of a request; costs a hash when it is the one of the request before.
    pub fn agent(&self, agent: &str) {
        if agent.is_empty() {
            return;
        }
        let mark = foldhash::fast::FixedState::default().hash_one(agent);
        if self.last_agent.load(Relaxed) == mark {
            return;
        }
        self.last_agent.store(mark, Relaxed);
        let mut agents = self.agents.lock();
        agents.retain(|known| &**known != agent);
        if agents.len() == AGENTS {
            agents.pop_front();
        }
        agents.push_back(agent.chars().take(AGENT).collect::<String>().into());
    }

    pub fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// A connection that [`Source::opened`] counted is over.
    pub fn closed(&self, ended: Ended) {
        let _ = self.open.fetch_update(Relaxed, Relaxed, |open| open.checked_sub(1));
        let mut ends = self.ends.lock();
        if ends.len() == ENDS {
            ends.pop_front();
        }
        ends.push_back(ended);
    }

    /// The last dozen ends of connections, oldest first.
    pub fn ends(&self) -> Vec<Ended> {
        self.ends.lock().iter().copied().collect()
    }

    /// A client that comes from here says that its address is another.
    pub fn claims(&self, address: &str) {
        let mut claims = self.claims.lock();
        if claims.back().is_some_and(|last| **last == *address) {
            return;
        }
        claims.retain(|known| **known != *address);
        if claims.len() == CLAIMS {
            claims.pop_front();
        }
        claims.push_back(address.chars().take(60).collect::<String>().into());
    }

    /// What clients behind this address say theirs is, newest last.
    pub fn claimed(&self) -> Vec<Arc<str>> {
        self.claims.lock().iter().cloned().collect()
    }

    /// gRPC connections (TCP) that are open.
    pub fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    /// How often; of what [`Act::is_counted`].
    pub fn count(&self, act: Act) -> u64 {
        debug_assert!(act.is_counted(), "{act:?} is not counted");
        self.acts[act as usize].count.load(Relaxed)
    }

    /// Milliseconds since it was last seen doing that; `None` when never.
    pub fn ago(&self, act: Act, now: Now) -> Option<u64> {
        let last = self.acts[act as usize].last.load(Relaxed);
        (last != 0).then(|| now.mono.saturating_sub(last))
    }

    /// What it did last, and how long ago.
    pub fn last(&self, now: Now) -> Option<(Act, u64)> {
        Act::ALL.into_iter().filter_map(|act| Some((act, self.ago(act, now)?))).min_by_key(|(_, ago)| *ago)
    }

    /// Newest last.
    pub fn agents(&self) -> Vec<Arc<str>> {
        self.agents.lock().iter().cloned().collect()
    }

    fn last_mono(&self) -> u64 {
        self.acts.iter().map(|seen| seen.last.load(Relaxed)).max().unwrap_or(0)
    }
}

/// All addresses seen.
#[derive(Debug)]
pub struct Sightings {
    pub callers: crate::callers::Callers,
    map: papaya::HashMap<IpAddr, Arc<Source>, RandomState>,
    most: usize,
    count: AtomicUsize,
    /// For addresses beyond the limit until old ones are let go.
    rest: Arc<Source>,
    /// Questions that found nothing.
    pub asked: Asked,
    /// Calls that met nothing.
    pub strays: Strays,
    /// Naming connections that ended.
    pub partings: Partings,
    /// Who edited instances, and who registered them from elsewhere.
    pub hands: Hands,
}

impl Default for Sightings {
    fn default() -> Self {
        Self::new(limits::DOCTOR_SUBJECTS as usize)
    }
}

impl Sightings {
    /// For so many addresses, half as many instances that are called for by others, and a fifth as many connections that
    /// ended.
    pub fn new(subjects: usize) -> Self {
        let nobody = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        Self {
            callers: crate::callers::Callers::new(subjects / 2),
            most: subjects,
            map: papaya::HashMap::with_hasher(RandomState::default()),
            count: AtomicUsize::new(0),
            rest: Arc::new(Source::new(nobody, Now::default())),
            asked: Asked::default(),
            strays: Strays::default(),
            partings: Partings::new(subjects / 5),
            hands: Hands::default(),
        }
    }

    /// The source of an address, made if it was never seen.
    pub fn of(&self, address: IpAddr, now: Now) -> Arc<Source> {
        self.with(address, now, Arc::clone)
    }

    /// As [`Sightings::of`], for a look in passing: sharing it would be written by all processors at once.
    pub fn with<R>(&self, address: IpAddr, now: Now, look: impl FnOnce(&Arc<Source>) -> R) -> R {
        let pinned = self.map.pin();
        if let Some(source) = pinned.get(&address) {
            return look(source);
        }
        if self.count.load(Relaxed) >= self.most {
            return look(&self.rest);
        }
        // Not `get_or_insert_with`: with it a table that grows is not copied on, and look-ups walk through every table there
        // ever was (papaya 0.2.5).
        match pinned.try_insert(address, Arc::new(Source::new(address, now))) {
            Ok(made) => {
                self.count.fetch_add(1, Relaxed);
                look(made)
            }
            Err(taken) => look(taken.current),
        }
    }

    /// As [`Sightings::of`], without making one.
    pub fn get(&self, ip: &str) -> Option<Arc<Source>> {
        self.map.pin().get(&ip.parse::<IpAddr>().ok()?).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Source>> {
        self.map.pin().values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Lets go of the addresses that were silent longest when there are nearly too many, and of none that a connection
    /// holds. To be called now and then.
    pub fn trim(&self) {
        let limit = self.most;
        if self.count.load(Relaxed) < limit - limit / 8 {
            return;
        }
        let pinned = self.map.pin();
        let idle = |source: &&Arc<Source>| Arc::strong_count(source) == 1;
        let mut all: Vec<(u64, IpAddr)> = pinned.values().filter(idle).map(|s| (s.last_mono(), s.address)).collect();
        let drop = all.len().min(limit / 4);
        if drop == 0 {
            return;
        }
        all.select_nth_unstable(drop - 1);
        for (_, address) in &all[..drop] {
            if pinned.remove(address).is_some() {
                self.count.fetch_sub(1, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono: u64) -> Now {
        Now { mono, wall: mono as i64 }
    }

    #[test]
    fn acts_are_counted_and_timed() {
        let sightings = Sightings::default();
        let source = sightings.of([10, 0, 0, 1].into(), at(5));
        source.saw(Act::Beat, at(10));
        source.saw(Act::Beat, at(20));
        source.saw(Act::ConfigListen, at(25));
        source.saw(Act::Connect, at(5));
        source.saw(Act::Connect, at(5));
        assert_eq!(source.count(Act::Connect), 2);
        assert_eq!(source.ago(Act::Beat, at(30)), Some(10));
        assert_eq!(source.ago(Act::Register, at(30)), None);
        assert_eq!(source.last(at(30)), Some((Act::ConfigListen, 5)));
        assert!(sightings.get("10.0.0.2").is_none());
        assert_eq!(sightings.get("10.0.0.1").expect("seen").first, at(5));
    }

    #[test]
    fn every_act_has_its_place() {
        for (index, act) in Act::ALL.into_iter().enumerate() {
            assert_eq!(act as usize, index);
        }
    }

    #[test]
    fn agents_are_few_and_the_newest() {
        let sightings = Sightings::default();
        let source = sightings.of([10, 0, 0, 1].into(), at(5));
        for agent in ["a", "b", "a", "c", "d", "e", "e", ""] {
            source.agent(agent);
        }
        let agents: Vec<_> = source.agents().iter().map(|agent| agent.to_string()).collect();
        assert_eq!(agents, ["a", "c", "d", "e"]);
    }

    #[test]
    fn the_silent_are_forgotten_first_and_nobody_who_is_connected() {
        let limit = 800_u32;
        let sightings = Sightings::new(limit as usize);
        for n in 0..limit {
            let source = sightings.of(std::net::Ipv4Addr::from(0x0a00_0000 + n).into(), at(5));
            source.saw(Act::Beat, at(u64::from(n) + 1));
        }
        let connected = sightings.get("10.0.0.0").expect("seen");
        let rest = sightings.of([11, 0, 0, 1].into(), at(5));
        assert_eq!(rest.address.to_string(), "0.0.0.0", "no place");
        sightings.trim();
        assert_eq!(sightings.len(), (limit - limit / 4) as usize);
        assert!(sightings.get("10.0.0.0").is_some_and(|kept| Arc::ptr_eq(&kept, &connected)), "connected");
        assert!(sightings.get("10.0.0.1").is_none());
        assert_eq!(sightings.of([11, 0, 0, 1].into(), at(5)).address.to_string(), "11.0.0.1");
    }
}

//! What the doctor remembers of the journal: the newest events of every kind, of every instance and of every address.
//! The records are the journal's own, shared; what is kept here is bounded in number and in age.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write,
    hash::{BuildHasher, Hash, Hasher},
    net::IpAddr,
    sync::Arc,
};

use foldhash::quality::RandomState;
use nacre_journal::Record;
use nacre_model::{Event, KINDS, ServiceKey, limits};
use smallvec::SmallVec;

use crate::before::Before;

/// Nothing older is looked at, milliseconds.
pub const HORIZON_MS: i64 = 15 * 60 * 1000;
/// Events kept of one instance, and of one address.
const OF_SUBJECT: usize = 16;
const OF_ADDRESS: usize = 32;
/// Events kept of one kind, whatever is set.
const LEAST_OF_KIND: usize = 200;
const MOST_OF_KIND: usize = 2_000;

/// Everything remembered.
#[derive(Debug)]
pub struct Memory {
    kinds: Vec<VecDeque<Arc<Record>>>,
    /// How many of one kind.
    of_kind: usize,
    instances: Kept,
    addresses: Kept,
    /// Where texts are made that are only looked at.
    scratch: String,
    last: u64,
    /// The process before this one; empty until its journal was read.
    pub before: Before,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(limits::DOCTOR_SUBJECTS as usize)
    }
}

impl Memory {
    /// For so many instances and as many addresses, at least four, and a tenth as many events of a kind; those that were
    /// silent longest are forgotten.
    pub fn new(subjects: usize) -> Self {
        Self {
            kinds: KINDS.iter().map(|_| VecDeque::new()).collect(),
            of_kind: (subjects / 10).clamp(LEAST_OF_KIND, MOST_OF_KIND),
            instances: Kept::new(subjects, OF_SUBJECT),
            addresses: Kept::new(subjects, OF_ADDRESS),
            scratch: String::new(),
            last: 0,
            before: Before::default(),
        }
    }

    /// Of one kind in one round: what is before these is left out, for it would be pushed out by them where events are kept
    /// by kind, and to read it costs a server in a flood what it has no time for.
    pub fn of_a_round(&self) -> usize {
        2 * self.of_kind
    }

    /// Events that are kept by their kind, and the instances and addresses whose events are.
    pub fn kept(&self) -> [usize; 3] {
        [self.kinds.iter().map(VecDeque::len).sum(), self.instances.map.len(), self.addresses.map.len()]
    }

    /// The number of the last record noted: where to go on.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Remembers a record; records come in the order of their numbers.
    pub fn note(&mut self, record: &Arc<Record>) {
        self.last = self.last.max(record.seq);
        let event = &record.event;
        let home = &mut self.kinds[event.cause.ordinal()];
        home.push_back(Arc::clone(record));
        while home.len() > self.of_kind || home.front().is_some_and(|old| old.event.at < event.at - HORIZON_MS) {
            home.pop_front();
        }
        if is_routine(event.cause.kind()) {
            return;
        }
        let subject = &event.subject;
        if let (Some(service), Some(instance)) = (&subject.service, &subject.instance) {
            self.scratch.clear();
            // Writing to a text does not fail.
            let _ = write!(self.scratch, "{instance}");
            let place = self.instances.place(&(service, self.scratch.as_str()));
            self.instances.push(place, record);
        }
        if let Some(client) = &subject.client {
            let place = self.addresses.place(&address_of(client.head()));
            self.addresses.push(place, record);
        }
    }

    /// Goes on after this number: what is between was left out.
    pub fn passed(&mut self, seq: u64) {
        self.last = self.last.max(seq);
    }

    /// Events of a kind within the last `within_ms`, newest first. An unknown kind has none.
    pub fn kind<'a>(&'a self, kind: &str, now: i64, within_ms: i64) -> impl Iterator<Item = &'a Event> + use<'a> {
        let at = KINDS.iter().position(|known| *known == kind);
        debug_assert!(at.is_some(), "no such kind: {kind}");
        newest(at.map(|at| &self.kinds[at]), now - within_ms)
    }

    /// What happened to an instance (`ip:port:cluster`) within the last `within_ms`, newest first.
    pub fn instance<'a>(
        &'a self,
        service: &ServiceKey,
        identity: &str,
        now: i64,
        within_ms: i64,
    ) -> impl Iterator<Item = &'a Event> + use<'a> {
        let (service, identity) = (service.clone(), Arc::<str>::from(identity));
        newest(self.instances.get(&(&service, &*identity)), now - within_ms).filter(move |event| {
            let subject = &event.subject;
            subject.service.as_ref() == Some(&service) && subject.instance_text().is_some_and(|text| *text == *identity)
        })
    }

    /// What clients of an address did or suffered within the last `within_ms`, newest first.
    pub fn address<'a>(&'a self, ip: &str, now: i64, within_ms: i64) -> impl Iterator<Item = &'a Event> + use<'a> {
        let ip = Box::<str>::from(ip);
        newest(self.addresses.get(&&*ip), now - within_ms)
            .filter(move |event| event.subject.client.as_ref().is_some_and(|client| address_of(client.head()) == &*ip))
    }
}

fn newest<'a, R>(records: Option<&'a R>, from: i64) -> impl Iterator<Item = &'a Event> + use<'a, R>
where
    &'a R: IntoIterator<Item = &'a Arc<Record>, IntoIter: DoubleEndedIterator>,
{
    let records = records.into_iter().flat_map(|records| records.into_iter().rev());
    records.map(|record| &record.event).take_while(move |event| event.at >= from)
}

/// Kinds that come with every change and say nothing about a subject's trouble; and what the doctor itself said of it: a
/// rule that asks for the newest event of a subject must not find its own finding there, and clear for it.
fn is_routine(kind: &str) -> bool {
    matches!(
        kind,
        "pushSent"
            | "pushAcked"
            | "listenerNotified"
            | "subscribed"
            | "unsubscribed"
            | "findingAppeared"
            | "findingCleared"
    )
}

/// The address in a client's name: of a connection id `ms_ip_port`, of `ip:port#true`, of `ip:port`, of `ip`.
pub fn address_of(client: &str) -> &str {
    if let Some((_, rest)) = client.split_once('_')
        && let Some((ip, _)) = rest.rsplit_once('_')
    {
        return ip;
    }
    let bare = client.split('#').next().unwrap_or(client);
    if bare.parse::<IpAddr>().is_ok() && !client.contains('#') {
        return bare;
    }
    bare.rsplit_once(':').map_or(bare, |(ip, _)| ip.trim_start_matches('[').trim_end_matches(']'))
}

/// The newest records by the hash of their key; of the keys those that were heard of last. What is read is compared with
/// what was asked for, so two keys of one hash only share their room.
#[derive(Debug)]
struct Kept {
    /// Keys, and records of each.
    most: usize,
    each: usize,
    hash: RandomState,
    map: HashMap<u64, Few, Bare>,
}

type Few = SmallVec<[Arc<Record>; 3]>;

/// A key that is a hash needs no other.
type Bare = std::hash::BuildHasherDefault<Itself>;

#[derive(Debug, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(false, "only numbers are hashed: {bytes:?}");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl Kept {
    fn new(most: usize, each: usize) -> Self {
        Self { most: most.max(4), each, hash: RandomState::default(), map: HashMap::default() }
    }

    fn place(&self, key: &impl Hash) -> u64 {
        self.hash.hash_one(key)
    }

    fn get(&self, key: &impl Hash) -> Option<&Few> {
        self.map.get(&self.place(key))
    }

    fn push(&mut self, place: u64, record: &Arc<Record>) {
        let records = self.map.entry(place).or_default();
        if records.len() == self.each {
            records.remove(0);
        }
        records.push(Arc::clone(record));
        if self.map.len() > self.most {
            self.forget();
        }
    }

    /// Lets go of the quarter that was silent longest.
    fn forget(&mut self) {
        let mut last: Vec<u64> = self.map.values().filter_map(|records| records.last()).map(|r| r.seq).collect();
        let (_, limit, _) = last.select_nth_unstable(self.most / 4);
        let limit = *limit;
        self.map.retain(|_, records| records.last().is_some_and(|record| record.seq > limit));
        self.map.shrink_to(self.most + self.most / 4);
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::{Cause, Event, Subject};

    use super::*;

    fn record(seq: u64, at: i64, subject: Subject, cause: Cause) -> Arc<Record> {
        Arc::new(Record { seq, event: Event::new(nacre_model::Now { mono: 0, wall: at }, subject, cause) })
    }

    #[test]
    fn addresses_are_found_in_every_form_of_a_client() {
        for (client, ip) in [
            ("1700000000000_10.0.0.1_5000", "10.0.0.1"),
            ("1700000000000_fe80::1_5000", "fe80::1"),
            ("10.0.0.1:80#true", "10.0.0.1"),
            ("fe80::1:80#false", "fe80::1"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("[fe80::1]:80", "fe80::1"),
            ("10.0.0.1", "10.0.0.1"),
            ("fe80::1", "fe80::1"),
        ] {
            assert_eq!(address_of(client), ip, "{client}");
        }
    }

    #[test]
    fn what_is_remembered_has_bounds_in_number_and_age() {
        let mut memory = Memory::default();
        for seq in 1..=30_000 {
            let subject = Subject::client(&format!("10.{}.{}.1", seq / 250, seq % 250));
            memory.note(&record(seq, seq as i64, subject, Cause::BrakeOff));
        }
        assert_eq!(memory.last(), 30_000);
        assert_eq!(memory.kind("brakeOff", 30_000, 1_000_000).count(), MOST_OF_KIND);
        assert!(memory.addresses.map.len() <= memory.addresses.most);
        let late = 30_000 + HORIZON_MS + 10;
        memory.note(&record(30_001, late, Subject::default(), Cause::BrakeOff));
        assert_eq!(memory.kind("brakeOff", late, i64::MAX / 2).count(), 1);
    }

    #[test]
    fn of_too_many_subjects_those_heard_of_last_are_known() {
        let mut memory = Memory::new(8);
        for seq in 1..=50 {
            let subject = Subject::client(&format!("10.0.0.{seq}"));
            memory.note(&record(seq, seq as i64, subject, Cause::BrakeOff));
            assert!(memory.addresses.map.len() <= 8);
        }
        assert_eq!(memory.address("10.0.0.50", 50, 100).count(), 1);
        assert_eq!(memory.address("10.0.0.45", 50, 100).count(), 1);
        assert_eq!(memory.address("10.0.0.1", 50, 100).count(), 0);
    }

    #[test]
    fn an_instance_is_found_by_its_own_events_newest_first() {
        let mut memory = Memory::default();
        let key = ServiceKey::new("", "G", "s");
        let about = |ip: &str| Subject::service(&key).with_instance(ip);
        memory.note(&record(1, 10, about("a:1:DEFAULT"), Cause::BeatLate { gap_ms: 1, expected_ms: 1 }));
        memory.note(&record(2, 20, about("a:1:DEFAULT"), Cause::BeatResumed { gap_ms: 1 }));
        memory.note(&record(3, 30, about("b:1:DEFAULT"), Cause::BeatResumed { gap_ms: 1 }));
        let kinds: Vec<_> = memory.instance(&key, "a:1:DEFAULT", 30, 100).map(|event| event.cause.kind()).collect();
        assert_eq!(kinds, ["beatResumed", "beatLate"]);
        assert_eq!(memory.instance(&key, "a:1:DEFAULT", 30, 10).count(), 1);
        let said = Cause::FindingCleared { code: "X".into(), id: "X-1".into(), lasted_ms: 1 };
        memory.note(&record(4, 25, about("a:1:DEFAULT"), said));
        let newest = memory.instance(&key, "a:1:DEFAULT", 30, 100).next().map(|event| event.cause.kind());
        assert_eq!(newest, Some("beatResumed"), "what the doctor said itself is no event of the subject");
    }
}

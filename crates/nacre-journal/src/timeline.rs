//! The past of a service: its list at any moment that the journal remembers, and what happened between two moments.
//!
//! A list of the past begins with one that was kept ([`Disk::rounds`] of them run every now and then) and goes on with the
//! events behind it. Each event says what consumers saw at one address afterwards, and carries the order of changes of its
//! service, so the order in which events were recorded does not matter. What a process that ended had registered for its
//! clients alone (ephemeral instances) ends with it.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use nacre_model::{Cause, ConfigKey, Instance, Now, ServiceKey};

use crate::{
    Disk, Filter, Journal, Record, Work,
    disk::{Entry, Wanted, codec::Part},
    filter::{begins_with_part, instance_matches},
    search::wanted_service,
};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Span {
    pub service: ServiceKey,
    /// Wall clock in ms: the state at `from`, what happened after it up to `to`, and the state at `to`.
    pub from: i64,
    pub to: i64,
    /// `ip`, `ip:port` or `ip:port:cluster`: only this.
    pub instance: Option<String>,
    /// Changes that are told at most; counts and the state at the end are right all the same.
    pub limit: usize,
}

/// Something that happened, and how many instances there were afterwards (disabled ones included).
#[derive(Clone, Debug)]
pub struct Change {
    pub at: i64,
    /// `None`: a process began, and what the one before had registered for its clients was gone.
    pub record: Option<Arc<Record>>,
    pub healthy: usize,
    pub total: usize,
}

/// Why a list of the past may differ from what consumers saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// So many events, the last with this number, did not reach the files.
    NotSaved {
        count: u64,
        last: u64,
    },
    /// Bytes of the files.
    Damaged(u64),
    WorkUsedUp,
    /// Events of a later version.
    LaterVersion(u64),
    MemoryOnly,
    BeforeFirstList,
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSaved { count, last } => write!(f, "{count} events up to number {last} were not saved"),
            Self::Damaged(bytes) => write!(f, "{bytes} bytes of the journal's files are damaged"),
            Self::WorkUsedUp => f.write_str("the work for this question was used up; ask for a shorter span"),
            Self::LaterVersion(count) => write!(f, "{count} events of a later version were passed over"),
            Self::MemoryOnly => f.write_str(
                "the journal is in memory only (nacre.journal.disk.enabled), so the list is made of what that holds",
            ),
            Self::BeforeFirstList => f.write_str(
                "the moment lies before the first list that is kept, so the list is made of what later events tell",
            ),
        }
    }
}

/// The past of a service.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// By address.
    pub start: Vec<Arc<Instance>>,
    pub changes: Vec<Change>,
    pub end: Vec<Arc<Instance>>,
    /// More happened than was asked for: `from` of what follows.
    pub next: Option<i64>,
    /// Why the lists may differ from what consumers saw; empty: they do not.
    pub doubts: Vec<Doubt>,
    /// From this moment on lists are exact, when they are not for the moment asked for.
    pub known_since: Option<i64>,
}

impl Timeline {
    pub fn exact(&self) -> bool {
        self.doubts.is_empty()
    }
}

type Address = (Arc<str>, i32, Arc<str>);
/// Process, order within the service, number.
type Stamp = (usize, i64, u64);

fn address(instance: &Instance) -> Address {
    (Arc::clone(&instance.ip), instance.port, Arc::clone(&instance.cluster))
}

/// `ip:port:cluster` taken apart; IPv6 addresses have colons of their own.
fn address_of(identity: &str) -> Option<Address> {
    let mut parts = identity.rsplitn(3, ':');
    let (cluster, port, ip) = (parts.next()?, parts.next()?, parts.next()?);
    Some((ip.into(), port.parse().ok()?, cluster.into()))
}

/// A list in the making. Of two events of one address the later by stamp counts, whichever comes first.
#[derive(Default)]
struct State {
    known: HashMap<Address, (Stamp, Option<Arc<Instance>>)>,
    healthy: usize,
    total: usize,
}

impl State {
    fn set(&mut self, at: Address, stamp: Stamp, shown: Option<Arc<Instance>>) {
        let count = |shown: &Option<Arc<Instance>>| match shown {
            Some(instance) => (usize::from(instance.healthy), 1),
            None => (0, 0),
        };
        let (healthy, total) = count(&shown);
        let before = match self.known.entry(at) {
            hash_map::Entry::Occupied(mut held) => {
                if held.get().0 > stamp {
                    return;
                }
                count(&held.insert((stamp, shown)).1)
            }
            hash_map::Entry::Vacant(place) => {
                place.insert((stamp, shown));
                (0, 0)
            }
        };
        self.healthy = self.healthy + healthy - before.0;
        self.total = self.total + total - before.1;
    }

    /// A process began: what was registered for clients of the one before is gone.
    fn restarted(&mut self, process: usize) {
        for (stamp, shown) in self.known.values_mut() {
            if stamp.0 < process && shown.as_ref().is_some_and(|instance| instance.ephemeral) {
                self.healthy -= shown.as_ref().map_or(0, |instance| usize::from(instance.healthy));
                self.total -= 1;
                *shown = None;
            }
        }
    }

    fn list(self, instance: Option<&str>) -> Vec<Arc<Instance>> {
        let shown = self.known.into_values().filter_map(|(_, shown)| shown);
        let mut list: Vec<Arc<Instance>> =
            shown.filter(|one| instance.is_none_or(|wanted| begins_with_part(&one.identity(), wanted, b":"))).collect();
        list.sort_by(|a, b| (&a.ip, a.port, &a.cluster).cmp(&(&b.ip, b.port, &b.cluster)));
        list
    }
}

/// Where a list of the past begins.
struct Base {
    /// Events up to this number are contained, and those up to this revision.
    after: u64,
    /// When it was kept.
    at: i64,
    revision: i64,
    instances: Vec<Arc<Instance>>,
    /// What is missing up to this number does no harm.
    sound: u64,
}

impl Span {
    fn filter(&self) -> Filter {
        Filter {
            namespace: Some(self.service.namespace.to_string()),
            group: Some(self.service.group.to_string()),
            service: Some(self.service.name.to_string()),
            oldest_first: true,
            ..Filter::default()
        }
    }

    fn wants(&self, record: &Record) -> bool {
        self.instance.as_deref().is_none_or(|wanted| instance_matches(&record.event, wanted))
    }
}

/// The address an event changed, and what is seen there since.
fn outcome(record: &Record) -> Option<(Address, Option<Arc<Instance>>)> {
    match (&record.event.shown, &*record.event.cause) {
        (Some(instance), _) => Some((address(instance), Some(Arc::clone(instance)))),
        (None, Cause::InstanceRemoved { .. }) => Some((address_of(&record.event.subject.instance_text()?)?, None)),
        (None, _) => None,
    }
}

/// What was seen at an address before its first known event, as far as that tells.
fn before(record: &Record, (ip, port, cluster): &Address) -> Option<Arc<Instance>> {
    let turned = |healthy| {
        let shown = record.event.shown.as_deref()?;
        Some(Arc::new(Instance { healthy, ..shown.clone() }))
    };
    match &*record.event.cause {
        Cause::InstanceRegistered { replaced: false, .. } => None,
        Cause::InstanceHealthy { .. } => turned(false),
        Cause::InstanceUnhealthy { .. } => turned(true),
        _ => Some(record.event.shown.clone().unwrap_or_else(|| {
            let cluster = Arc::clone(cluster);
            Arc::new(Instance { cluster, ..Instance::new(ip, *port) })
        })),
    }
}

impl Journal {
    /// What was there at `span.from`, what happened until `span.to`, what was there then. `present` is the list now: for
    /// what lies before every list that was kept. Blocks where there is a disk.
    pub fn timeline(&self, span: &Span, present: &[Arc<Instance>], now: Now, work: &mut Work) -> Timeline {
        self.keep(now);
        let mut timeline = Timeline::default();
        let base = match self.disk().and_then(|disk| base(disk, span, work)) {
            Some(base) => base,
            None => {
                self.tell_beginning(&mut timeline);
                let instances = self.guessed(span, present, work);
                Base { after: 0, at: i64::MAX, revision: 0, instances, sound: 0 }
            }
        };
        let (after, sound) = (base.after, base.sound);
        let mut fold = Fold::new(span, base, self.disk().map(Disk::starts).unwrap_or_default());
        let filter = Filter { after: Some(after), to: Some(span.to), ..span.filter() };
        self.visit_up(&filter, work, |record| {
            fold.take(record);
            true
        });
        fold.finish(&mut timeline);
        let gaps = self.disk().map(Disk::gaps).unwrap_or_default();
        for gap in gaps.iter().filter(|gap| gap.last > sound && gap.at <= span.to).take(DOUBTS) {
            let count = gap.last - gap.first + 1;
            timeline.doubts.push(Doubt::NotSaved { count, last: gap.last });
        }
        if work.damaged > 0 {
            timeline.doubts.push(Doubt::Damaged(work.damaged));
        }
        if work.exhausted {
            timeline.doubts.push(Doubt::WorkUsedUp);
        }
        if work.unknown > 0 {
            timeline.doubts.push(Doubt::LaterVersion(work.unknown));
        }
        timeline
    }

    fn tell_beginning(&self, timeline: &mut Timeline) {
        let doubt = match self.disk() {
            None => Doubt::MemoryOnly,
            Some(disk) => {
                timeline.known_since = disk.rounds().first().map(|round| round.at);
                Doubt::BeforeFirstList
            }
        };
        timeline.doubts.push(doubt);
    }

    /// The list at the journal's beginning: what later events say of it, and what is there now without any event.
    fn guessed(&self, span: &Span, present: &[Arc<Instance>], work: &mut Work) -> Vec<Arc<Instance>> {
        let mut first: HashMap<Address, Option<Arc<Instance>>> = HashMap::new();
        self.visit_up(&span.filter(), work, |record| {
            if let Some((place, _)) = outcome(&record) {
                first.entry(place.clone()).or_insert_with(|| before(&record, &place));
            }
            true
        });
        let untouched = present.iter().filter(|instance| !first.contains_key(&address(instance))).cloned();
        let mut guessed: Vec<Arc<Instance>> = untouched.collect();
        guessed.extend(first.into_values().flatten());
        guessed
    }
}

/// No event is recorded later than so many others that happened after it.
const LATE: u64 = 1_000;

/// Gaps that are told one by one.
const DOUBTS: usize = 5;

/// The newest list of the service that was kept before the span begins.
fn base(disk: &Disk, span: &Span, work: &mut Work) -> Option<Base> {
    let round = disk.rounds().into_iter().rev().find(|round| round.at <= span.from);
    let wanted = Wanted {
        bases: true,
        no_events: true,
        from: round.map(|round| round.begun_at),
        to: Some(span.from),
        ..wanted_service(&span.service)
    };
    let mut gathered: HashMap<(u64, i64, i64), Vec<Option<Part>>> = HashMap::new();
    let mut found = None;
    disk.walk(&wanted, work, |entry| {
        let Entry::Base { after, at, part } = entry else { return true };
        if part.service != span.service || part.part >= part.parts {
            return true;
        }
        let (key, number) = ((after, at, part.revision), part.part as usize);
        let parts = gathered.entry(key).or_default();
        parts.resize_with(part.parts as usize, || None);
        parts[number] = Some(part);
        if parts.iter().all(Option::is_some) {
            found = Some(key);
        }
        found.is_none()
    });
    if let Some(key) = found {
        let parts = gathered.remove(&key).unwrap_or_default();
        let instances = parts.into_iter().flatten().flat_map(|part| part.instances).collect();
        return Some(Base { after: key.0, at: key.1, revision: key.2, instances, sound: key.0 });
    }
    // A round passed and has no list of it: it had no instances then. Events that were recorded late are sorted in by what
    // happened shortly before.
    let round = round.filter(|_| !work.exhausted)?;
    let after = round.begun.saturating_sub(LATE);
    Some(Base { after, at: round.begun_at, revision: 0, instances: Vec::new(), sound: round.begun })
}

/// From the base on, event by event.
struct Fold<'a> {
    span: &'a Span,
    /// First number and time of each process.
    starts: Vec<(u64, i64)>,
    /// The process of the base, and of the newest event.
    own: usize,
    current: usize,
    revision: i64,
    /// What happened until `from`, and until `to`.
    start: State,
    end: State,
    changes: Vec<Change>,
    next: Option<i64>,
}

impl<'a> Fold<'a> {
    fn new(span: &'a Span, base: Base, starts: Vec<(u64, i64)>) -> Self {
        let own = process_of(&starts, &base);
        let revision = base.revision;
        let (mut start, mut end) = (State::default(), State::default());
        for instance in base.instances {
            start.set(address(&instance), (own, revision, 0), Some(Arc::clone(&instance)));
            end.set(address(&instance), (own, revision, 0), Some(instance));
        }
        Self { span, starts, own, current: own, revision, start, end, changes: Vec::new(), next: None }
    }

    fn take(&mut self, record: Arc<Record>) {
        let process = process(&self.starts, record.seq);
        self.restarts(process);
        let (at, revision) = (record.event.at, record.event.revision);
        let contained = process == self.own && revision > 0 && revision <= self.revision;
        if let Some((place, shown)) = outcome(&record).filter(|_| !contained) {
            let stamp = (process, revision, record.seq);
            if at <= self.span.from {
                self.start.set(place.clone(), stamp, shown.clone());
            }
            self.end.set(place, stamp, shown);
        }
        if at > self.span.from && self.span.wants(&record) {
            self.tell(at, Some(record));
        }
    }

    /// Processes that began up to this one.
    fn restarts(&mut self, upto: usize) {
        while self.current < upto {
            self.current += 1;
            let Some((_, at)) = self.starts.get(self.current - 1).copied() else { return };
            if at <= self.span.from {
                self.start.restarted(self.current);
            }
            if at <= self.span.to {
                self.end.restarted(self.current);
                if at > self.span.from {
                    self.tell(at, None);
                }
            }
        }
    }

    fn tell(&mut self, at: i64, record: Option<Arc<Record>>) {
        if self.changes.len() < self.span.limit {
            self.changes.push(Change { at, record, healthy: self.end.healthy, total: self.end.total });
        } else if self.next.is_none() {
            self.next = self.changes.last().map(|last| last.at);
        }
    }

    fn finish(mut self, timeline: &mut Timeline) {
        self.restarts(self.starts.len());
        timeline.start = self.start.list(self.span.instance.as_deref());
        timeline.end = self.end.list(self.span.instance.as_deref());
        timeline.changes = self.changes;
        timeline.next = self.next;
    }
}

/// The process that kept a list. One that had not recorded anything yet is told from the one before by its time.
fn process_of(starts: &[(u64, i64)], base: &Base) -> usize {
    starts.partition_point(|(first, at)| *first <= base.after || *first == base.after + 1 && *at <= base.at)
}

fn process(starts: &[(u64, i64)], seq: u64) -> usize {
    starts.partition_point(|(first, _)| *first <= seq)
}

/// The past of a configuration.
#[derive(Debug, Default)]
pub struct ConfigTimeline {
    /// The publish or removal in force at `from` and at `to`, as far as the journal remembers.
    pub start: Option<Arc<Record>>,
    pub changes: Vec<Arc<Record>>,
    pub end: Option<Arc<Record>>,
    pub next: Option<i64>,
}

impl Journal {
    /// What happened to a configuration between two moments. Blocks where there is a disk.
    pub fn config_timeline(
        &self,
        key: &ConfigKey,
        from: i64,
        to: i64,
        limit: usize,
        work: &mut Work,
    ) -> ConfigTimeline {
        let own = || Filter {
            namespace: Some(key.namespace.to_string()),
            group: Some(key.group.to_string()),
            data_id: Some(key.data_id.to_string()),
            ..Filter::default()
        };
        let mut timeline = ConfigTimeline::default();
        // Grays come and go beside the version that is in force.
        let kinds = vec!["configPublished".to_owned(), "configRemoved".to_owned()];
        let in_force = |to: i64, work: &mut Work| {
            let filter = Filter { to: Some(to), kinds: kinds.clone(), ..own() };
            self.search(&filter, work).records.into_iter().find(|record| is_formal(record))
        };
        timeline.start = in_force(from, work);
        timeline.end = in_force(to, work);
        let filter = Filter { from: Some(from.saturating_add(1)), to: Some(to), oldest_first: true, limit, ..own() };
        let found = self.search(&filter, work);
        timeline.next = found.next.and(found.records.last().map(|record| record.event.at));
        timeline.changes = found.records;
        timeline
    }
}

fn is_formal(record: &Record) -> bool {
    match &*record.event.cause {
        Cause::ConfigPublished { gray, .. } | Cause::ConfigRemoved { gray, .. } => gray.is_empty(),
        _ => false,
    }
}

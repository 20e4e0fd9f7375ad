//! The ring of events and its counters.
//!
//! One short lock guards the ring: numbers are given inside it, so the order of numbers is the order of the ring and a
//! record is found by its number without searching. Nothing is serialised, formatted, allocated or freed under the lock.

use std::{collections::VecDeque, sync::Arc};

use nacre_model::{Event, KINDS, Now, Subject, limits};
use parking_lot::Mutex;

use crate::{
    Filter,
    disk::{Disk, DiskOptions},
    tail::{Outlet, Tail},
    weight,
};

/// Records examined per hold of the lock by a query: about ten microseconds, for what others wrote last is not at hand.
const BLOCK: usize = 256;
/// Live tails at the same time; each costs work per event.
const TAILS: usize = 64;
/// Removed by age in one call of `record`, so that a quiet night does not end in one long pause.
const AGED_PER_RECORD: usize = 8;

/// One event with its number. Numbers begin at 1 and grow by one; where the journal is kept on disk they go on over
/// restarts (with a leap after a crash) and are never reused.
#[derive(Debug)]
pub struct Record {
    pub seq: u64,
    pub event: Event,
}

/// Bounds of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Approximate memory of all records.
    pub bytes: usize,
    /// Records older than this many ms before the newest are dropped.
    pub age_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: limits::JOURNAL_BYTES as usize, age_ms: 7 * 24 * 3600 * 1000 }
    }
}

/// Counters since the start, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Kind and number of events recorded, for every kind that exists (zeros included), in the order of `KINDS`.
    pub recorded: Vec<(&'static str, u64)>,
    /// Dropped from the old end because the bytes ran out.
    pub evicted_by_bytes: u64,
    /// Dropped from the old end because of their age.
    pub evicted_by_age: u64,
    /// Not delivered to live tails that were too slow.
    pub tail_missed: u64,
    pub tails: usize,
    /// In the journal now.
    pub records: usize,
    pub bytes: usize,
    /// Time of the oldest record kept.
    pub oldest_at: Option<i64>,
}

/// The flight recorder.
pub struct Journal {
    limits: Limits,
    ring: Mutex<Ring>,
    witness: Option<Witness>,
    /// The first number of this process.
    began: u64,
    pub(crate) disk: Option<Disk>,
}

/// Sees every event before it is kept; must not block.
pub type Witness = Box<dyn Fn(&Event) + Send + Sync>;

struct Ring {
    /// Numbers are consecutive: `records[i].seq == records[0].seq + i`.
    records: VecDeque<Held>,
    next: u64,
    bytes: usize,
    newest_at: i64,
    counts: Vec<u64>,
    evicted_by_bytes: u64,
    evicted_by_age: u64,
    tails: Vec<Arc<Outlet>>,
    /// Missed by tails that are gone.
    missed_before: u64,
}

struct Held {
    record: Arc<Record>,
    bytes: u32,
    /// Place in `KINDS`: told without looking at the record.
    kind: u16,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Journal {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ring: Mutex::new(Ring {
                records: VecDeque::new(),
                next: 1,
                bytes: 0,
                newest_at: i64::MIN,
                counts: vec![0; KINDS.len()],
                evicted_by_bytes: 0,
                evicted_by_age: 0,
                tails: Vec::new(),
                missed_before: 0,
            }),
            witness: None,
            began: 1,
            disk: None,
        }
    }

    /// Keeps events on disk as well. Reads what is there: blocks. [`Journal::keep`] must be called every now and then.
    pub fn on_disk(mut self, options: DiskOptions) -> Self {
        let disk = Disk::open(options);
        self.began = disk.first_number();
        self.ring.get_mut().next = self.began;
        self.disk = Some(disk);
        self
    }

    /// The first number that this process gave; what is below was recorded by those before it.
    pub fn began(&self) -> u64 {
        self.began
    }

    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// Saves what is not saved yet, and records what became known of the files. Blocks; to be called every 100 ms or so,
    /// and [`Journal::close`] at the end.
    pub fn keep(&self, now: Now) {
        let Some(disk) = &self.disk else { return };
        disk.round(self, now);
        for cause in disk.take_notes() {
            self.record(Event::new(now, Subject::default(), cause));
        }
    }

    /// Saves the rest. Events after this are not kept.
    pub fn close(&self, now: Now) {
        self.keep(now);
        if let Some(disk) = &self.disk {
            disk.close(self, now);
        }
    }

    /// Shows every event to `witness` as well: how the log hears of them.
    pub fn witnessed(mut self, witness: Witness) -> Self {
        self.witness = Some(witness);
        self
    }

    /// Appends an event and returns its number.
    pub fn record(&self, event: Event) -> u64 {
        if let Some(witness) = &self.witness {
            witness(&event);
        }
        let kind = event.cause.ordinal();
        let at = event.at;
        let bytes = weight::of(&event);
        // Allocated before and freed after the lock; the number is filled in between, while nobody else has the Arc.
        let mut record = Arc::new(Record { seq: 0, event });
        let mut dropped: [Option<Held>; AGED_PER_RECORD] = [const { None }; AGED_PER_RECORD];
        let mut more = Vec::new();
        let seq;
        {
            let mut ring = self.ring.lock();
            seq = ring.next;
            ring.next += 1;
            if let Some(own) = Arc::get_mut(&mut record) {
                own.seq = seq;
            }
            ring.counts[kind] += 1;
            ring.newest_at = ring.newest_at.max(at);
            for tail in &ring.tails {
                tail.offer(&record);
            }
            ring.bytes += bytes as usize;
            ring.records.push_back(Held { record, bytes, kind: kind as u16 });
            ring.evict(self.limits, &mut dropped, &mut more);
        }
        seq
    }

    /// Records that match, newest first (or oldest first when the filter says so), at most `filter.limit`.
    pub fn query(&self, filter: &Filter) -> Vec<Arc<Record>> {
        let mut found = Vec::new();
        self.scan(filter.oldest_first, filter.after, filter.before, |record| {
            if filter.matches(&record.event) {
                found.push(record.clone());
            }
            found.len() < filter.limit
        });
        found
    }

    /// Visits what happened since `from` (wall clock), newest first, and ends at the first older event: of what is
    /// recent, only that is looked at.
    pub fn recent(&self, from: i64, mut visit: impl FnMut(&Record)) {
        self.scan(false, None, None, |record| {
            let wanted = record.event.at >= from;
            if wanted {
                visit(record);
            }
            wanted
        });
    }

    /// Calls `visit` for records with numbers in `(after, before)`, newest or oldest first, until it answers false.
    /// The lock is held for [`BLOCK`] records at a time; records that come or go meanwhile are seen or not.
    pub(crate) fn scan(
        &self,
        oldest_first: bool,
        after: Option<u64>,
        before: Option<u64>,
        mut visit: impl FnMut(&Arc<Record>) -> bool,
    ) {
        let mut low = after.map_or(0, |seq| seq.saturating_add(1));
        let mut high = before.unwrap_or(u64::MAX);
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            self.ring.lock().copy_block(&mut low, &mut high, oldest_first, &mut block);
            if block.is_empty() {
                return;
            }
            for record in block.drain(..) {
                if !visit(&record) {
                    return;
                }
            }
        }
    }

    /// What came after a number, oldest first: of each kind the newest `each` among the next `most` records, and the
    /// number to go on from. A flood of one kind costs its reader no more than that, and hides no other.
    pub fn news(&self, after: u64, most: u64, each: usize) -> (Vec<Arc<Record>>, u64) {
        // Numbers go on over restarts, with a leap after a crash: what is not in memory is no part of the way.
        let Some(first) = self.first_after(after) else { return (Vec::new(), self.last_seq().max(after)) };
        let after = first - 1;
        let last = self.last_seq().min(after.saturating_add(most));
        let (low, mut high) = (after.saturating_add(1), last + 1);
        let mut taken = vec![0; KINDS.len()];
        let mut found = Vec::new();
        while high > low {
            high = self.ring.lock().pick_block(
                low,
                high,
                |kind| {
                    taken[kind] += 1;
                    taken[kind] <= each
                },
                &mut found,
            );
        }
        found.reverse();
        (found, last.max(after))
    }

    /// The next records after a number, oldest first: up to [`BLOCK`] of those that are still here.
    pub(crate) fn copy_after(&self, after: u64, block: &mut Vec<Arc<Record>>) {
        let (mut low, mut high) = (after.saturating_add(1), u64::MAX);
        self.ring.lock().copy_block(&mut low, &mut high, true, block);
    }

    /// The first number behind `after` that is still in memory.
    pub(crate) fn first_after(&self, after: u64) -> Option<u64> {
        let ring = self.ring.lock();
        let first = ring.records.front()?.record.seq.max(after.saturating_add(1));
        (first < ring.next).then_some(first)
    }

    /// A record by its number, while it is kept in memory.
    pub fn get(&self, seq: u64) -> Option<Arc<Record>> {
        let ring = self.ring.lock();
        let first = ring.records.front()?.record.seq;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        ring.records.get(index).map(|held| held.record.clone())
    }

    /// The newest number given, 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.ring.lock().next - 1
    }

    pub fn counts(&self) -> Counts {
        let ring = self.ring.lock();
        Counts {
            recorded: KINDS.iter().copied().zip(ring.counts.iter().copied()).collect(),
            evicted_by_bytes: ring.evicted_by_bytes,
            evicted_by_age: ring.evicted_by_age,
            tail_missed: ring.missed_before + ring.tails.iter().map(|tail| tail.missed_total()).sum::<u64>(),
            tails: ring.tails.len(),
            records: ring.records.len(),
            bytes: ring.bytes,
            oldest_at: ring.records.front().map(|held| held.record.event.at),
        }
    }

    /// A live tail of what matches from now on. At most `capacity` records wait for the reader; what does not fit is
    /// counted and reported to it. `None` when too many tails are open. Dropping the tail ends it.
    pub fn tail(self: &Arc<Self>, filter: Filter, capacity: usize) -> Option<Tail> {
        let mut ring = self.ring.lock();
        if ring.tails.len() >= TAILS {
            return None;
        }
        let outlet = Arc::new(Outlet::new(filter, capacity));
        ring.tails.push(outlet.clone());
        Some(Tail::new(outlet, Arc::clone(self)))
    }

    pub(crate) fn untail(&self, outlet: &Arc<Outlet>) {
        let mut ring = self.ring.lock();
        if let Some(index) = ring.tails.iter().position(|tail| Arc::ptr_eq(tail, outlet)) {
            ring.tails.swap_remove(index);
            ring.missed_before += outlet.missed_total();
        }
    }

    /// Ends every tail: readers get what is queued, then the end. For a stop of the server.
    pub fn close_tails(&self) {
        for tail in &self.ring.lock().tails {
            tail.close();
        }
    }
}

impl Ring {
    /// Drops from the old end until both bounds hold; the newest record always stays.
    fn evict(&mut self, limits: Limits, dropped: &mut [Option<Held>; AGED_PER_RECORD], more: &mut Vec<Held>) {
        let horizon = self.newest_at.saturating_sub(limits.age_ms);
        let mut slot = 0;
        while self.records.len() > 1 {
            let too_big = self.bytes > limits.bytes;
            let too_old = slot < AGED_PER_RECORD && self.records[0].record.event.at < horizon;
            if !too_big && !too_old {
                break;
            }
            let Some(held) = self.records.pop_front() else { break };
            self.bytes -= held.bytes as usize;
            if too_big {
                self.evicted_by_bytes += 1;
            } else {
                self.evicted_by_age += 1;
            }
            match dropped.get_mut(slot) {
                Some(place) => *place = Some(held),
                None => more.push(held),
            }
            slot += 1;
        }
    }

    /// Copies the wanted ones of the last block of numbers in `[low, high)`, newest first; answers what is left below.
    fn pick_block(
        &self,
        low: u64,
        high: u64,
        mut wanted: impl FnMut(usize) -> bool,
        found: &mut Vec<Arc<Record>>,
    ) -> u64 {
        let Some(first) = self.records.front().map(|held| held.record.seq) else { return low };
        let from = low.max(first).max(high.saturating_sub(BLOCK as u64));
        let to = high.min(self.next);
        if from >= to {
            return low;
        }
        let records = self.records.range((from - first) as usize..(to - first) as usize).rev();
        found.extend(records.filter(|held| wanted(usize::from(held.kind))).map(|held| held.record.clone()));
        from
    }

    /// Copies the next block of numbers in `[low, high)` and narrows the range to what is left.
    fn copy_block(&self, low: &mut u64, high: &mut u64, oldest_first: bool, block: &mut Vec<Arc<Record>>) {
        let Some(first) = self.records.front().map(|held| held.record.seq) else { return };
        let from = (*low).max(first);
        let to = (*high).min(self.next);
        if from >= to {
            return;
        }
        let count = (to - from).min(BLOCK as u64);
        let start = if oldest_first { from } else { to - count };
        let index = (start - first) as usize;
        let records = self.records.range(index..index + count as usize).map(|held| held.record.clone());
        block.extend(records);
        if oldest_first {
            *low = start + count;
        } else {
            block.reverse();
            *high = start;
        }
    }
}

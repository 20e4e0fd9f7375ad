//! What readers of the log share with its writer: positions of all entries, the newest entries themselves, figures.

use std::{
    collections::VecDeque,
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use openraft::RaftLogId;
use parking_lot::Mutex;

use super::{files::Meta, open::next_after, record::Seal, segment::Segment};
use crate::{
    FSYNC_BUCKETS_US, Histogram,
    stages::Trail,
    types::{LogEntry, LogId},
};

/// Memory for the newest entries: the engine reads each entry back once, right after it was written. Those of a node that
/// is behind are read from the file.
const CACHE_BYTES: usize = 1024 * 1024;

/// Why the log takes no writes.
#[derive(Clone, Debug)]
pub struct Failure {
    pub since: Instant,
    pub detail: String,
    /// What was being written is certainly not in the log, and nothing speaks against going on when the cause is gone.
    /// Otherwise only a restart, which checks every byte, makes the log usable again.
    pub clean: bool,
}

#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    /// Bytes that are reserved on disk for appends and may be used without asking the writer.
    pub room: AtomicU64,
    /// Entries appended since the log was opened.
    pub appended: AtomicU64,
    /// When the newest entries were flushed.
    pub flushes: Trail,
}

#[derive(Default)]
pub struct State {
    pub segments: VecDeque<Segment>,
    cache: VecDeque<LogEntry>,
    cache_bytes: usize,
    pub meta: Meta,
    pub last: Option<LogId>,
    pub failure: Option<Failure>,
    pub fsync: Histogram,
}

/// Where an entry is to be read from.
pub enum Place {
    Cached(LogEntry),
    OnDisk { file: Arc<File>, seal: Seal, from: u64, to: u64 },
}

impl Shared {
    pub fn new(segments: Vec<Segment>, meta: Meta, last: Option<LogId>) -> Self {
        let state = State { segments: segments.into(), meta, last, ..State::default() };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock())
    }

    pub fn failure(&self) -> Option<Failure> {
        self.state.lock().failure.clone()
    }

    pub fn appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }
}

impl State {
    /// Index the next entry gets.
    pub fn next(&self) -> u64 {
        next_after(self.last)
    }

    /// First index that can be read.
    pub fn first(&self) -> u64 {
        let purged = next_after(self.meta.purged());
        self.segments.front().map_or(purged, |segment| segment.first.max(purged))
    }

    /// Places of the entries in `[from, to)` that exist, in order, at most about `limit` bytes (one entry at least).
    pub fn places(&self, from: u64, to: u64, limit: u64) -> Vec<Place> {
        let (from, to) = (from.max(self.first()), to.min(self.next()));
        let mut places = Vec::new();
        let mut bytes = 0;
        for index in from..to {
            let Some(segment) = self.segment_of(index) else { break };
            let Some((start, end)) = segment.range(index) else { break };
            bytes += end - start;
            if bytes > limit && !places.is_empty() {
                break;
            }
            places.push(match self.cached(index) {
                Some(entry) => Place::Cached(entry.clone()),
                None => Place::OnDisk { file: segment.file.clone(), seal: segment.seal, from: start, to: end },
            });
        }
        places
    }

    fn segment_of(&self, index: u64) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.first <= index);
        self.segments.get(after.checked_sub(1)?)
    }

    fn cached(&self, index: u64) -> Option<&LogEntry> {
        let first = self.cache.front()?.get_log_id().index;
        self.cache.get(usize::try_from(index.checked_sub(first)?).ok()?)
    }

    /// Takes over an entry whose record ends at `end` of the active segment.
    pub fn push(&mut self, entry: LogEntry, start: u64, end: u64) {
        let Some(active) = self.segments.back_mut() else { return };
        active.offsets.push(start);
        active.end = end;
        self.last = Some(*entry.get_log_id());
        self.cache_bytes += (end - start) as usize;
        self.cache.push_back(entry);
        while self.cache_bytes > CACHE_BYTES && self.cache.len() > 1 {
            self.uncache_front();
        }
    }

    fn uncache_front(&mut self) {
        let Some(index) = self.cache.front().map(|entry| entry.get_log_id().index) else { return };
        let size = self.segment_of(index).and_then(|segment| segment.range(index)).map_or(0, |(from, to)| to - from);
        self.cache.pop_front();
        self.cache_bytes = if self.cache.is_empty() { 0 } else { self.cache_bytes.saturating_sub(size as usize) };
    }

    /// Forgets cached entries; for truncation and purge, which are rare.
    pub fn clear_cache(&mut self) {
        self.cache.clear();
        self.cache_bytes = 0;
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end).sum()
    }

    pub fn observe_fsync(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = FSYNC_BUCKETS_US.partition_point(|bound| *bound < micros);
        self.fsync.counts[bucket] += 1;
        self.fsync.sum += took;
        self.fsync.max = self.fsync.max.max(took);
    }
}

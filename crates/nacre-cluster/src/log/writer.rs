//! The one thread that changes the log's files. Everybody else asks it and reads what it published in [`Shared`].

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use nacre_model::Cause;
use openraft::RaftLogId;
use tokio::sync::oneshot;

use super::{
    LogError,
    files::Meta,
    medium::Medium,
    open::next_after,
    record,
    segment::{self, Segment},
    state::{Failure, Shared},
    twin::Twin,
};
use crate::{
    EventSink,
    types::{LogEntry, LogId, Vote, emit},
};

/// Reserved beyond what writes need: the engine's own entries (a new leader's, a change of members) must fit on a disk
/// that ran full.
const SPARE: u64 = 64 * 1024;
/// Space is reserved in steps of this, to ask the file system seldom.
const STEP: u64 = 4 * 1024 * 1024;
/// A disk with less space than this cannot be written: most writes are smaller.
const USUAL: u64 = 1024 * 1024;
/// Written behind the end and cut off again to see whether the disk works.
const PROBE: usize = 4096;

type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// What the writer is asked to do, each answered when it is durable.
pub enum Action {
    /// Makes sure that this many bytes can be appended without asking the disk for space.
    Reserve(u64, Reply<()>),
    Append(Vec<LogEntry>, Reply<()>),
    /// Removes the entries from this index on.
    Truncate(u64, Reply<()>),
    Purge(LogId, Reply<()>),
    Vote(Vote, Reply<()>),
    /// Tries whether the log can be written again after a failure.
    Probe(Reply<()>),
    Stop(Reply<()>),
}

pub struct Writer {
    pub dir: PathBuf,
    pub medium: Arc<dyn Medium>,
    pub shared: Arc<Shared>,
    pub events: EventSink,
    pub segment_bytes: u64,
    pub slow_fsync: Duration,
    pub meta: Meta,
    pub meta_file: Twin,
    pub watermark: Twin,
    /// Held while the log is open.
    pub _lock: File,
    pub active: Option<Active>,
    /// Index of the next entry; everything below is durable.
    pub next: u64,
    pub can_allocate: bool,
}

/// The segment that takes appends.
pub struct Active {
    pub file: Arc<File>,
    pub first: u64,
    pub seal: record::Seal,
    pub end: u64,
    /// Disk space is reserved up to here.
    pub allocated: u64,
    /// Bytes behind `end` may have been written by an append that failed.
    pub dirty: bool,
}

impl Active {
    pub fn of(segment: &Segment) -> Self {
        let (file, first, seal, end) = (segment.file.clone(), segment.first, segment.seal, segment.end);
        Self { file, first, seal, end, allocated: 0, dirty: false }
    }
}

impl Writer {
    pub fn run(mut self, actions: mpsc::Receiver<Action>) {
        while let Ok(action) = actions.recv() {
            match action {
                Action::Reserve(bytes, reply) => answer(reply, self.reserve_for_write(bytes)),
                Action::Append(entries, reply) => answer(reply, self.append(entries)),
                Action::Truncate(from, reply) => answer(reply, self.guarded(|log| log.truncate(from))),
                Action::Purge(upto, reply) => answer(reply, self.guarded(|log| log.purge(upto))),
                Action::Vote(vote, reply) => answer(reply, self.guarded(|log| log.vote(&vote))),
                Action::Probe(reply) => answer(reply, self.check_poison().and_then(|()| self.probe())),
                Action::Stop(reply) => {
                    let result = self.close();
                    // Let go of the lock before anybody hears that the log is closed.
                    drop(self);
                    return answer(reply, result);
                }
            }
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the log was not closed cleanly");
        }
    }

    /// Runs work that leaves the log usable when it fails.
    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<(), LogError> {
        self.check_poison()?;
        work(self).map_err(|error| self.failed(&error, true))
    }

    /// Reserves space for a write. One that is too large for what is left of the disk is refused alone; when not even a
    /// usual one fits, the log is failing, and stays so until [`probe`](Self::probe) finds it well.
    fn reserve_for_write(&mut self, bytes: u64) -> Result<(), LogError> {
        self.check_poison()?;
        if self.shared.failure().is_some() {
            self.probe()?;
        }
        let Err(error) = self.reserve(bytes, SPARE) else { return Ok(()) };
        if bytes > USUAL && self.reserve(USUAL, SPARE).is_ok() {
            return Err(LogError { detail: format!("{}: {error}", self.dir.display()), clean: true });
        }
        Err(self.failed(&error, true))
    }

    fn check_poison(&self) -> Result<(), LogError> {
        match self.shared.failure() {
            Some(failure) if !failure.clean => Err(LogError { detail: failure.detail, clean: true }),
            _ => Ok(()),
        }
    }

    /// One write and one flush for all entries. On a clean error none of them is in the log.
    fn append(&mut self, entries: Vec<LogEntry>) -> Result<(), LogError> {
        self.check_poison()?;
        let mut buffer = Vec::new();
        let mut starts = Vec::with_capacity(entries.len());
        if let Err(error) = self.write(&entries, &mut buffer, &mut starts) {
            return Err(self.failed(&error, true));
        }
        let flushing = self.shared.flushes.is_wanted().then(Instant::now);
        if let Err(error) = self.sync_active() {
            // What a failed fsync left on the disk cannot be known: the kernel may have dropped the pages.
            return Err(self.failed(&error, false));
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        let base = active.end;
        active.end += buffer.len() as u64;
        self.next += entries.len() as u64;
        if let Some(begun) = flushing {
            self.shared.flushes.note(self.next.saturating_sub(1), (begun, Instant::now()));
        }
        if let Err(error) = self.watermark.note(&self.next.to_le_bytes()) {
            tracing::warn!(%error, "the log's watermark was not noted; damage may be noticed less well");
        }
        self.shared.appended.fetch_add(entries.len() as u64, Ordering::AcqRel);
        self.shared.with(|state| {
            let ends = starts.iter().skip(1).copied().chain([buffer.len() as u64]);
            for ((entry, start), end) in entries.into_iter().zip(&starts).zip(ends) {
                state.push(entry, base + start, base + end);
            }
        });
        self.publish_room();
        Ok(())
    }

    fn write(&mut self, entries: &[LogEntry], buffer: &mut Vec<u8>, starts: &mut Vec<u64>) -> io::Result<()> {
        // The engine's test suite begins logs anywhere; a real one begins at 0.
        if cfg!(test) && self.next == 0 && self.active.is_none() {
            self.next = entries.first().map_or(0, |entry| entry.get_log_id().index);
        }
        let expected = self.next;
        for (at, entry) in entries.iter().enumerate() {
            let index = entry.get_log_id().index;
            if index != expected + at as u64 {
                return Err(io::Error::other(format!("entry {index} was given where {expected} belongs")));
            }
        }
        // The seal belongs to the segment, and whether a new one is needed depends on the size: reserve by an estimate
        // that is never too small.
        let estimate = entries.iter().map(estimate).sum();
        self.reserve(estimate, 0)?;
        let Some(active) = &mut self.active else { return Err(io::Error::other("no open segment")) };
        for entry in entries {
            starts.push(buffer.len() as u64);
            record::encode(entry, active.seal, expected, buffer).map_err(io::Error::other)?;
        }
        active.dirty = true;
        self.medium.write_at(&active.file, buffer, active.end)?;
        active.dirty = false;
        Ok(())
    }

    fn sync_active(&mut self) -> io::Result<()> {
        let Some(active) = &self.active else { return Ok(()) };
        let started = Instant::now();
        let result = self.medium.sync(&active.file);
        let took = started.elapsed();
        self.shared.with(|state| state.observe_fsync(took));
        if took >= self.slow_fsync {
            emit(&self.events, Cause::FsyncSlow { ms: took.as_millis() as u64 });
        }
        result
    }

    /// A segment with space for `bytes` and `spare` more, reserved on the disk as far as the file system can promise.
    fn reserve(&mut self, bytes: u64, spare: u64) -> io::Result<()> {
        match self.active.take() {
            None => self.active = Some(self.roll(bytes + spare)?),
            Some(mut active) => {
                let is_full = active.end + bytes > self.segment_bytes && self.next > active.first;
                let result = self.extend(&mut active, bytes + spare, is_full);
                self.active = Some(active);
                result?;
            }
        }
        self.publish_room();
        Ok(())
    }

    /// Makes `active` take `bytes` more; a full one is replaced by a new segment.
    fn extend(&mut self, active: &mut Active, bytes: u64, is_full: bool) -> io::Result<()> {
        if active.dirty {
            self.medium.set_len(&active.file, active.end)?;
            active.dirty = false;
        }
        if !is_full {
            return self.allocate(active, bytes);
        }
        match self.roll(bytes) {
            Ok(next) => {
                let full = std::mem::replace(active, next);
                // Gives reserved space back; a failure only wastes it.
                let _ = self.medium.set_len(&full.file, full.end);
                Ok(())
            }
            // No space for another file: use up what is reserved in this one.
            Err(_) if active.end + bytes <= active.allocated => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn allocate(&mut self, active: &mut Active, bytes: u64) -> io::Result<()> {
        let needed = active.end + bytes;
        if !self.can_allocate || active.allocated >= needed {
            return Ok(());
        }
        let generous = needed.next_multiple_of(STEP);
        let result = match self.medium.allocate(&active.file, generous) {
            Ok(()) => Ok(generous),
            Err(_) => self.medium.allocate(&active.file, needed).map(|()| needed),
        };
        match result {
            Ok(end) => active.allocated = end,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.can_allocate = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Opens the next segment, with space for `bytes`. The one before is durable.
    fn roll(&mut self, bytes: u64) -> io::Result<Active> {
        let segment = Segment::create(&*self.medium, &self.dir, self.next)?;
        let mut active = Active::of(&segment);
        if let Err(error) = self.allocate(&mut active, bytes) {
            self.medium.remove(&segment.path)?;
            return Err(error);
        }
        self.shared.with(|state| state.segments.push_back(segment));
        Ok(active)
    }

    fn publish_room(&self) {
        let room = match &self.active {
            Some(active) if !active.dirty => {
                let in_segment = self.segment_bytes.saturating_sub(active.end);
                let on_disk =
                    if self.can_allocate { active.allocated.saturating_sub(active.end + SPARE) } else { u64::MAX };
                in_segment.min(on_disk)
            }
            _ => 0,
        };
        self.shared.room.store(room, Ordering::Release);
    }

    fn truncate(&mut self, from: u64) -> io::Result<()> {
        if from >= self.next {
            return Ok(());
        }
        // The watermark goes down first: a crash in between must not look like a loss.
        self.watermark.write(&*self.medium, &from.to_le_bytes())?;
        let (removed, kept) = self.shared.with(|state| {
            state.clear_cache();
            let keep = state.segments.partition_point(|segment| segment.first <= from).max(1);
            let removed: Vec<Segment> = state.segments.drain(keep.min(state.segments.len())..).collect();
            if let Some(segment) = state.segments.back_mut() {
                let at = from.saturating_sub(segment.first) as usize;
                if let Some(end) = segment.offsets.get(at).copied() {
                    segment.offsets.truncate(at);
                    segment.end = end;
                }
            }
            (removed, state.segments.back().cloned())
        });
        // From the end, so that a crash in between leaves no hole.
        for segment in removed.iter().rev() {
            self.medium.remove(&segment.path)?;
        }
        self.medium.sync_dir(&self.dir)?;
        self.next = from;
        self.active = kept.as_ref().map(Active::of);
        if let Some(active) = &self.active {
            self.medium.set_len(&active.file, active.end)?;
            self.medium.sync(&active.file)?;
        }
        let last = self.last_id(kept.as_ref())?;
        self.shared.with(|state| state.last = last);
        self.publish_room();
        Ok(())
    }

    fn last_id(&self, segment: Option<&Segment>) -> io::Result<Option<LogId>> {
        let Some(before) = self.next.checked_sub(1) else { return Ok(None) };
        let range = self.shared.with(|state| {
            let holder = state.segments.iter().rev().find(|segment| segment.range(before).is_some());
            holder.or(segment).and_then(|segment| {
                segment.range(before).map(|(from, to)| (segment.file.clone(), segment.seal, from, to))
            })
        });
        match range {
            Some((file, seal, from, to)) => super::read_entry(&file, seal, from, to).map(|entry| Some(entry.log_id)),
            None => Ok(self.meta.purged()),
        }
    }

    /// Notes that everything up to `upto` is not needed any more and deletes the files that hold nothing else.
    fn purge(&mut self, upto: LogId) -> io::Result<()> {
        if self.meta.purged().is_some_and(|purged| purged.index >= upto.index) {
            return Ok(());
        }
        let mut meta = self.meta.clone();
        meta.purged = Some(upto.into());
        self.write_meta(meta)?;
        if upto.index >= self.next {
            self.restart_behind(upto)?;
        }
        let active = self.active.as_ref().map(|active| active.first);
        let removed: Vec<Segment> = self.shared.with(|state| {
            let mut removed = Vec::new();
            while let Some(front) = state.segments.front() {
                if front.next() > upto.index + 1 || Some(front.first) == active {
                    break;
                }
                removed.extend(state.segments.pop_front());
            }
            removed
        });
        for segment in &removed {
            self.medium.remove(&segment.path)?;
        }
        if !removed.is_empty() {
            self.medium.sync_dir(&self.dir)?;
        }
        emit(&self.events, Cause::LogPurged { upto: upto.index });
        Ok(())
    }

    /// The state machine is ahead of the log (it was installed from another node): the log goes on behind it.
    fn restart_behind(&mut self, upto: LogId) -> io::Result<()> {
        self.next = upto.index + 1;
        self.active = None;
        self.shared.with(|state| {
            state.clear_cache();
            state.last = Some(upto);
        });
        self.shared.room.store(0, Ordering::Release);
        self.watermark.write(&*self.medium, &self.next.to_le_bytes())
    }

    fn vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut meta = self.meta.clone();
        meta.set_vote(vote);
        self.write_meta(meta)
    }

    fn write_meta(&mut self, meta: Meta) -> io::Result<()> {
        self.meta_file.write(&*self.medium, &meta.encode())?;
        self.meta = meta.clone();
        self.shared.with(|state| state.meta = meta);
        Ok(())
    }

    /// Whether the disk takes a usual write and a flush again.
    fn probe(&mut self) -> Result<(), LogError> {
        self.try_disk().map_err(|error| self.failed(&error, true))?;
        if let Some(failure) = self.shared.with(|state| state.failure.take()) {
            let failing_ms = failure.since.elapsed().as_millis() as u64;
            emit(&self.events, Cause::WriteRecovered { failing_ms });
        }
        Ok(())
    }

    fn try_disk(&mut self) -> io::Result<()> {
        self.reserve(USUAL, SPARE)?;
        let Some(active) = &mut self.active else { return Ok(()) };
        active.dirty = true;
        self.medium.write_at(&active.file, &[0; PROBE], active.end)?;
        self.medium.set_len(&active.file, active.end)?;
        active.dirty = false;
        self.medium.sync(&active.file)
    }

    fn close(&mut self) -> Result<(), LogError> {
        self.check_poison()?;
        let next = self.next;
        let close = |log: &mut Self| -> io::Result<()> {
            if let Some(active) = &log.active {
                log.medium.set_len(&active.file, active.end)?;
                log.medium.sync(&active.file)?;
            }
            log.watermark.write(&*log.medium, &next.to_le_bytes())
        };
        close(self).map_err(|error| LogError { detail: error.to_string(), clean: true })
    }

    fn failed(&mut self, error: &io::Error, clean: bool) -> LogError {
        let detail = format!("{}: {error}", self.dir.display());
        self.shared.room.store(0, Ordering::Release);
        let is_news = self.shared.with(|state| match &mut state.failure {
            Some(failure) if failure.clean == clean => false,
            Some(failure) => {
                failure.clean &= clean;
                failure.detail.clone_from(&detail);
                !clean
            }
            none => {
                *none = Some(Failure { since: Instant::now(), detail: detail.clone(), clean });
                true
            }
        });
        if is_news && clean {
            emit(&self.events, Cause::WriteFailed { reason: detail.clone() });
        } else if is_news {
            emit(&self.events, Cause::StorePoisoned { reason: format!("flush failed: {detail}") });
        }
        LogError { detail, clean }
    }
}

/// At least the size of the entry's record.
fn estimate(entry: &LogEntry) -> u64 {
    match &entry.payload {
        openraft::EntryPayload::Normal(batch) => {
            record::size_of_commands(batch.commands.len(), batch.commands.iter().map(bytes::Bytes::len).sum())
        }
        openraft::EntryPayload::Blank => record::size_of_commands(0, 0),
        openraft::EntryPayload::Membership(membership) => {
            record::size_of_commands(0, crate::types::encode_membership(None, membership).len())
        }
    }
}

/// Where an opened log goes on.
pub fn next_of(segments: &[Segment], meta: &Meta) -> u64 {
    segments.last().map_or_else(|| next_after(meta.purged()), Segment::next)
}

fn answer<T>(reply: Reply<T>, result: Result<T, LogError>) {
    // Nobody listens when the asker was cancelled; the work is done all the same.
    let _ = reply.send(result);
}

const _: () = assert!(SPARE > segment::HEADER as u64);

//! The log on disk: an openraft log store of our own.
//!
//! Why our own: `hiqlite-wal` 0.15 was tried first. It writes through a memory map of a sparse file, so a full disk ends the
//! process with SIGBUS instead of an error; it checks records only when they are read, so a flipped byte or a deleted file
//! goes unnoticed at start (a deleted segment or metadata file silently starts an emptier log); and one entry must fit into
//! one preallocated file. This room promises the opposite of all three, and a log that does is small.
//!
//! Directory: `lock` (one process at a time), `meta` (vote and purge position, see [`files`]), `watermark` (how many
//! entries are durable), `NNNNNNNNNNNNNNNNNNNN.log` (segments, see [`segment`] and [`record`]).
//!
//! * An append is one write and one `fdatasync`; only then the engine (and so the caller) hears of it.
//! * Space is reserved (`fallocate`) before a write is proposed: a full disk refuses writes, it does not fail them half way.
//! * A failed *write* is cut off again and writes go on once the disk recovers. A failed *flush* stops writes until a
//!   restart: nobody knows what is on the disk then.
//! * [`open`] reads and checks everything, and refuses when something acknowledged is damaged or missing.

mod check;
pub mod files;
pub mod medium;
pub mod open;
mod record;
mod segment;
mod state;
mod store;
mod twin;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use bytes::Bytes;
use nacre_model::Cause;
use tokio::sync::oneshot;

pub use self::{
    check::{CheckedLog, check_log},
    record::size_of_commands,
    state::Failure,
};
use self::{
    medium::Medium,
    open::Opener,
    state::{Place, Shared},
    writer::{Action, Active, Writer},
};
use crate::{
    EventSink, Histogram, Position, Recovery, StartError,
    stages::Trail,
    types::{LogEntry, LogId, emit},
};

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct LogError {
    pub detail: String,
    /// What was asked for has certainly not happened.
    pub clean: bool,
}

/// Settings of a log.
pub struct Options {
    pub dir: PathBuf,
    pub node: u64,
    pub segment_bytes: u64,
    pub slow_fsync: Duration,
    pub recovery: Recovery,
}

/// A handle of the open log; clones share it. The log closes when [`stop`](Self::stop) was called or all are dropped.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
    actions: mpsc::Sender<Action>,
}

/// What was found while opening.
#[derive(Debug, Default)]
pub struct Found {
    pub last_wall: i64,
    pub last: Option<LogId>,
}

/// Figures for metrics.
#[derive(Clone, Debug)]
pub struct Figures {
    pub last: Option<LogId>,
    pub purged: Option<LogId>,
    pub bytes: u64,
    pub files: u64,
    pub fsync: Histogram,
}

impl Log {
    /// Opens and checks the log; `applied` is what the database holds. Blocks.
    pub fn open(
        options: Options,
        applied: Option<Position>,
        medium: Arc<dyn Medium>,
        events: EventSink,
    ) -> Result<(Self, Found), StartError> {
        let Options { dir, node, segment_bytes, slow_fsync, recovery } = options;
        let opened = Opener { dir: &dir, node, recovery, applied, medium: &*medium }.open()?;
        if let Some(cut) = &opened.cut {
            tracing::warn!(file = %cut.path.display(), bytes = cut.bytes, detail = cut.detail, "torn tail cut");
            emit(&events, Cause::LogTailCut { file: cut.path.display().to_string(), bytes: cut.bytes });
        }
        for lost in &opened.lost {
            tracing::error!(lost, "given up as nacre.log.recovery=accept-loss asks for");
            emit(&events, Cause::WriteFailed { reason: format!("given up at start: {lost}") });
        }
        let found = Found { last_wall: opened.last_wall, last: opened.last };
        let next = writer::next_of(&opened.segments, &opened.meta);
        let active = opened.segments.last().map(Active::of);
        let shared = Arc::new(Shared::new(opened.segments, opened.meta.clone(), opened.last));
        let writer = Writer {
            dir: dir.clone(),
            medium,
            shared: shared.clone(),
            events,
            segment_bytes,
            slow_fsync,
            meta: opened.meta,
            meta_file: opened.meta_file,
            watermark: opened.watermark,
            _lock: opened.lock,
            active,
            next,
            can_allocate: true,
        };
        let (actions, inbox) = mpsc::channel();
        std::thread::Builder::new()
            .name("nacre-log".into())
            .spawn(move || writer.run(inbox))
            .map_err(|source| StartError::Io { path: dir, source })?;
        Ok((Self { shared, actions }, found))
    }

    async fn ask<T>(&self, action: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Action) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        let gone = |clean| LogError { detail: "the log is closed".into(), clean };
        self.actions.send(action(reply)).map_err(|_| gone(true))?;
        answer.await.map_err(|_| gone(false))?
    }

    /// Makes sure that a record of `bytes` fits on the disk. Usually one atomic load.
    pub async fn reserve(&self, bytes: u64) -> Result<(), LogError> {
        if bytes <= self.shared.room.load(Ordering::Acquire) {
            return Ok(());
        }
        self.ask(|reply| Action::Reserve(bytes, reply)).await
    }

    /// Tries whether a failing log works again.
    pub async fn probe(&self) -> Result<(), LogError> {
        self.ask(Action::Probe).await
    }

    /// Flushes and closes the files and lets go of the directory.
    pub async fn stop(&self) -> Result<(), LogError> {
        self.ask(Action::Stop).await
    }

    pub fn failure(&self) -> Option<Failure> {
        self.shared.failure()
    }

    /// Entries appended since the log was opened.
    pub fn appended(&self) -> u64 {
        self.shared.appended()
    }

    /// When the newest entries were flushed.
    pub fn flushes(&self) -> &Trail {
        &self.shared.flushes
    }

    pub fn figures(&self) -> Figures {
        self.shared.with(|state| Figures {
            last: state.last,
            purged: state.meta.purged(),
            bytes: state.bytes(),
            files: state.segments.len() as u64,
            fsync: state.fsync.clone(),
        })
    }

    /// Entries in `[from, to)` that exist, in order, at most about `limit` bytes of them.
    async fn read(&self, from: u64, to: u64, limit: u64) -> io::Result<Vec<LogEntry>> {
        let places = self.shared.with(|state| state.places(from, to, limit));
        if places.iter().all(|place| matches!(place, Place::Cached(_))) {
            return places.into_iter().map(load).collect();
        }
        tokio::task::spawn_blocking(move || places.into_iter().map(load).collect())
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

fn load(place: Place) -> io::Result<LogEntry> {
    match place {
        Place::Cached(entry) => Ok(entry),
        Place::OnDisk { file, seal, from, to } => read_entry(&file, seal, from, to),
    }
}

/// Reads and checks the record in `[from, to)`.
fn read_entry(file: &File, seal: record::Seal, from: u64, to: u64) -> io::Result<LogEntry> {
    let mut bytes = vec![0; (to - from) as usize];
    file.read_exact_at(&mut bytes, from)?;
    record::decode(&Bytes::from(bytes), seal).map_err(io::Error::other)
}

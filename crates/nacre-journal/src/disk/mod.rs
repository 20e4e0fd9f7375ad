//! The journal on disk: segments under one directory, bounded by bytes and age, written in batches from the ring.
//!
//! Evidence, not the write road: nothing waits for it, it is synced about once a second, and when the disk is full or slow
//! the oldest events that are not saved yet are given up and counted. Numbers go on over restarts.
//!
//! | file | what |
//! |---|---|
//! | `frame` | the grain: mark, length, sum |
//! | `codec`, `pack` | what frames hold, and the writing of it |
//! | `segment`, `bloom` | one file, and what is known of it without reading it |
//! | `writer` | appending, rotation, retention |
//! | `read` | walking over what is kept, newest or oldest first, within bounds |

mod bloom;
pub(crate) mod codec;
mod frame;
mod pack;
mod read;
mod segment;
mod writer;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use nacre_model::Cause;
use parking_lot::{Mutex, RwLock};

pub use codec::Listed;
pub use read::Work;
pub(crate) use read::{Entry, Wanted};
use segment::Meta;
use writer::Writer;

use crate::lists::Pace;

/// Bounds of the journal on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    pub dir: PathBuf,
    pub bytes: u64,
    /// Segments whose newest event is older than this many ms are removed.
    pub age_ms: i64,
    /// A segment is finished at this size.
    pub segment_bytes: u64,
    /// So much of the filesystem is left to others, or one of so many parts of it if that is less: the journal must not
    /// be what stops durable writes.
    pub spare_bytes: u64,
    pub spare_part: u64,
}

impl DiskOptions {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            dir: dir.into(),
            bytes: nacre_model::limits::JOURNAL_DISK_BYTES,
            age_ms: 7 * 24 * 3600 * 1000,
            segment_bytes: 16 * MIB,
            spare_bytes: 128 * MIB,
            spare_part: 20,
        }
    }

    /// Retention drops whole segments, so there are several even in a small budget.
    fn segment(&self) -> u64 {
        self.segment_bytes.min(self.bytes / 8).max(64 * 1024)
    }
}

/// Numbers of the disk, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounts {
    pub bytes: u64,
    pub segments: u64,
    pub written_events: u64,
    pub written_bytes: u64,
    /// Never saved: the disk was full or slow.
    pub dropped: u64,
    pub failures: u64,
    pub damaged_bytes: u64,
    pub removed_segments: u64,
    /// Writing fails now.
    pub failing: bool,
    /// The last number that is saved.
    pub saved: u64,
    /// Time of the oldest event kept.
    pub oldest_at: Option<i64>,
}

#[derive(Default)]
struct Counters {
    written_events: AtomicU64,
    written_bytes: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
    damaged: AtomicU64,
    removed: AtomicU64,
    saved: AtomicU64,
    failing: AtomicBool,
}

/// Segments as readers see them.
#[derive(Clone, Default)]
struct Shelf {
    /// In order; the last may still grow.
    segments: Vec<Arc<Shelved>>,
    bytes: u64,
}

struct Shelved {
    meta: Meta,
    /// Bytes of the index beside it; 0 while it grows.
    index: u64,
}

/// The journal on disk. Everything here blocks: call it from threads that may.
pub struct Disk {
    options: DiskOptions,
    writer: Mutex<Writer>,
    shelf: RwLock<Shelf>,
    counters: Counters,
    /// What is to be journalled, and which files' damage was told.
    notes: Mutex<Notes>,
    pub(crate) pace: Mutex<Pace>,
}

#[derive(Default)]
struct Notes {
    causes: Vec<Cause>,
    told: Vec<String>,
}

/// Notes that wait to be journalled, and damaged files that are remembered as told.
const NOTES: usize = 64;

impl Disk {
    fn note(&self, cause: Cause) {
        let mut notes = self.notes.lock();
        if notes.causes.len() < NOTES {
            notes.causes.push(cause);
        }
    }

    /// Damage is told once a file.
    fn note_damage(&self, file: &str, bytes: u64) {
        let mut notes = self.notes.lock();
        if notes.told.iter().any(|told| told == file) || notes.told.len() >= NOTES {
            return;
        }
        notes.told.push(file.to_owned());
        self.counters.damaged.fetch_add(bytes, Relaxed);
        if notes.causes.len() < NOTES {
            notes.causes.push(Cause::JournalDamaged { file: file.to_owned(), bytes });
        }
    }

    /// What became known of the files since the last call.
    pub(crate) fn take_notes(&self) -> Vec<Cause> {
        std::mem::take(&mut self.notes.lock().causes)
    }

    pub fn options(&self) -> &DiskOptions {
        &self.options
    }

    pub fn counts(&self) -> DiskCounts {
        let counters = &self.counters;
        let shelf = self.shelf.read();
        DiskCounts {
            bytes: shelf.bytes,
            segments: shelf.segments.len() as u64,
            written_events: counters.written_events.load(Relaxed),
            written_bytes: counters.written_bytes.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            failures: counters.failures.load(Relaxed),
            damaged_bytes: counters.damaged.load(Relaxed),
            removed_segments: counters.removed.load(Relaxed),
            failing: counters.failing.load(Relaxed),
            saved: counters.saved.load(Relaxed),
            oldest_at: shelf.segments.iter().find(|held| held.meta.events > 0).map(|held| held.meta.whole.from),
        }
    }

    /// The last number that is saved.
    pub(crate) fn saved(&self) -> u64 {
        self.counters.saved.load(Relaxed)
    }
}

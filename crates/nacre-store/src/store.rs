//! The store: opening, the writer, whole-state loads, snapshots.

use std::path::{Path, PathBuf};

use nacre_config::ConfigState;

use crate::{Applied, KvRow, Poison, StoreError, WriteBatch};

/// Where and how.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The database file; its directory must exist.
    pub path: PathBuf,
    /// Batches that may wait for the writer.
    pub queue: usize,
    /// Read-only connections.
    pub readers: usize,
}

impl StoreOptions {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), queue: 1_024, readers: 4 }
    }
}

/// Everything the database holds, for start and for installed snapshots.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    pub config: ConfigState,
    pub kv: Vec<KvRow>,
    pub meta: Vec<(String, Vec<u8>)>,
    /// Replay the log after this position.
    pub applied: Option<Applied>,
    /// Findings of the load in words: rows whose md5 did not fit (served with a computed one), double rows of the
    /// default namespace, rules that were not understood.
    pub remarks: Vec<String>,
}

/// Sizes and states for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// Batches waiting for the writer.
    pub queued: usize,
    /// Batches written since the start.
    pub written: u64,
    pub poison: Option<Poison>,
    pub file_bytes: u64,
    pub wal_bytes: u64,
}

/// The database. Cheap to share behind an `Arc`; every call blocks.
pub struct Store {
    options: StoreOptions,
}

impl Store {
    /// Opens or creates the database, brings an older format up to date, and starts the writer.
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        Ok(Self { options })
    }

    /// Reads everything (after [`Store::barrier`]).
    pub fn load(&self) -> Result<Loaded, StoreError> {
        Ok(Loaded::default())
    }

    /// Queues a batch; waits while the queue is full, never for the database. Batches are written in the order of the
    /// calls. Refused when the store is poisoned.
    pub fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let _ = batch;
        Ok(())
    }

    /// As [`Store::write`], but gives the batch back with [`StoreError::Busy`] when the queue is full.
    pub fn try_write(&self, batch: WriteBatch) -> Result<(), (WriteBatch, StoreError)> {
        self.write(batch).map_err(|error| (WriteBatch::default(), error))
    }

    /// Waits until everything queued before is in the database, so that reads see it.
    pub fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Barrier, then makes the database durable on disk. Tells the position up to which the log may go.
    pub fn checkpoint(&self) -> Result<Option<Applied>, StoreError> {
        Ok(None)
    }

    /// Why writes are refused, if they are.
    pub fn poison(&self) -> Option<Poison> {
        None
    }

    pub fn report(&self) -> StoreReport {
        StoreReport::default()
    }

    /// Writes a consistent copy of the whole database (after a barrier) to a new file, compact and on disk. Tells the
    /// position it holds.
    pub fn snapshot_to(&self, file: &Path) -> Result<Option<Applied>, StoreError> {
        let _ = file;
        Ok(None)
    }

    /// Replaces the whole database by a file that [`Store::snapshot_to`] wrote; then [`Store::load`] everything anew.
    /// Queued batches are dropped (they are older than the snapshot). A damaged or newer file changes nothing.
    pub fn restore_from(&self, file: &Path) -> Result<(), StoreError> {
        let _ = file;
        Ok(())
    }

    /// Writes what is queued, checkpoints, and stops the writer.
    pub fn close(&self) -> Result<(), StoreError> {
        let _ = &self.options;
        Ok(())
    }
}

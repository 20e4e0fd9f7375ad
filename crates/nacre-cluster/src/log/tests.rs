//! Accidents: what the log does when files are torn, flipped, missing or mixed up, and when the disk fails under it.

mod accidents;
mod disk;
mod life;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use nacre_model::{Cause, Event};
use openraft::{CommittedLeaderId, EntryPayload, storage::RaftLogStorageExt};
use parking_lot::Mutex;

use super::{
    medium::{
        Disk,
        faulty::{Faults, Faulty},
    },
    *,
};
use crate::types::{Batch, StorageError, wall_clock};

/// A log in a temporary directory, and what it told.
struct Bench {
    dir: tempfile::TempDir,
    medium: Arc<Faulty>,
    events: Arc<Mutex<Vec<Event>>>,
    segment_bytes: u64,
    recovery: Recovery,
    node: u64,
    applied: Option<Position>,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            medium: Arc::default(),
            events: Arc::default(),
            segment_bytes: 1 << 20,
            recovery: Recovery::Strict,
            node: 1,
            applied: None,
        }
    }

    /// A closed log with these entries, each in an append of its own.
    async fn with_entries(indexes: std::ops::Range<u64>, segment_bytes: u64) -> Self {
        let bench = Self { segment_bytes, ..Self::new() };
        let mut log = bench.open().unwrap();
        for index in indexes {
            append(&mut log, [entry(index)]).await.unwrap();
        }
        log.stop().await.unwrap();
        bench
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn segment(&self, first: u64) -> PathBuf {
        self.file(&segment::file_name(first))
    }

    fn segments(&self) -> Vec<u64> {
        let mut firsts: Vec<u64> =
            fs::read_dir(self.path()).unwrap().filter_map(|entry| segment::first_of(&entry.unwrap().path())).collect();
        firsts.sort_unstable();
        firsts
    }

    fn open(&self) -> Result<Log, StartError> {
        self.open_found().map(|(log, _)| log)
    }

    fn open_found(&self) -> Result<(Log, Found), StartError> {
        let options = Options {
            dir: self.path().to_path_buf(),
            node: self.node,
            segment_bytes: self.segment_bytes,
            slow_fsync: Duration::from_secs(3600),
            recovery: self.recovery,
        };
        let events = self.events.clone();
        Log::open(options, self.applied, self.medium.clone(), Arc::new(move |event| events.lock().push(event)))
    }

    /// The refusal, as text.
    fn refusal(&self) -> String {
        match self.open() {
            Ok(_) => panic!("the log opened"),
            Err(error) => error.to_string(),
        }
    }

    fn causes(&self) -> Vec<Cause> {
        self.events.lock().iter().map(|event| (*event.cause).clone()).collect()
    }

    /// Copies the directory, so that one preparation serves many accidents.
    fn copy(&self) -> Self {
        let copy =
            Self { segment_bytes: self.segment_bytes, recovery: self.recovery, applied: self.applied, ..Self::new() };
        for file in fs::read_dir(self.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        copy
    }
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

fn entry(index: u64) -> LogEntry {
    entry_of(1, index, &format!("command {index}"))
}

fn entry_of(term: u64, index: u64, command: &str) -> LogEntry {
    let batch = Batch { wall: index as i64, commands: vec![Bytes::from(command.to_owned())] };
    LogEntry { log_id: id(term, index), payload: EntryPayload::Normal(batch) }
}

async fn append(log: &mut Log, entries: impl IntoIterator<Item = LogEntry> + Send) -> Result<(), StorageError> {
    log.blocking_append(entries.into_iter().collect::<Vec<_>>()).await
}

/// Indexes of all entries that can be read; every one must be the one `entry` makes.
async fn readable(log: &Log) -> Vec<u64> {
    let entries = log.read(0, u64::MAX, u64::MAX).await.unwrap();
    for read in &entries {
        assert_eq!(*read, entry(read.log_id.index));
    }
    entries.iter().map(|entry| entry.log_id.index).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x04;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn extend(path: &Path, bytes: &[u8]) {
    let mut whole = fs::read(path).unwrap();
    whole.extend_from_slice(bytes);
    fs::write(path, whole).unwrap();
}

//! Settings of the write road.

use std::{path::PathBuf, time::Duration};

/// What to do with a log whose acknowledged part is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// Refuse to start and name the file. The default, and the only honest one.
    #[default]
    Strict,
    /// An operator decided to lose what cannot be read: the log is cut before the damage, damaged files are kept beside
    /// it as `*.damaged`.
    AcceptLoss,
}

#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the log; created when missing.
    pub dir: PathBuf,
    /// This node's id in the group.
    pub node: u64,
    /// This node's address as the other nodes see it.
    pub address: String,
    /// Form a group of this one node when the log is empty. False for a node that is going to join a group.
    pub bootstrap: bool,
    /// Writes that may wait; more are refused (`limits::WRITE_QUEUE`).
    pub queue_writes: usize,
    /// Bytes that may wait.
    pub queue_bytes: usize,
    /// Writes in one entry (`limits::WRITE_BATCH`).
    pub batch_writes: usize,
    /// Bytes in one entry. A single command may have more, up to `max_command`.
    pub batch_bytes: usize,
    /// Largest single command.
    pub max_command: usize,
    /// A segment file of the log is closed when it reaches this.
    pub segment_bytes: u64,
    /// Checkpoint the state machine and purge the log after this many entries or bytes, whichever comes first.
    pub checkpoint_entries: u64,
    pub checkpoint_bytes: u64,
    /// Entries kept behind a checkpoint, for followers that lag a little.
    pub keep_entries: u64,
    /// An fsync slower than this is an event.
    pub slow_fsync: Duration,
    pub recovery: Recovery,
}

impl Config {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        use nacre_model::limits;
        Self {
            dir: dir.into(),
            node: 1,
            address: String::new(),
            bootstrap: true,
            queue_writes: limits::WRITE_QUEUE as usize,
            queue_bytes: limits::WRITE_QUEUE_BYTES as usize,
            batch_writes: limits::WRITE_BATCH as usize,
            batch_bytes: limits::WRITE_BATCH_BYTES as usize,
            max_command: limits::WRITE_COMMAND as usize,
            segment_bytes: limits::LOG_SEGMENT,
            checkpoint_entries: limits::LOG_CHECKPOINT_ENTRIES,
            checkpoint_bytes: limits::LOG_CHECKPOINT_BYTES,
            keep_entries: 128,
            slow_fsync: Duration::from_millis(200),
            recovery: Recovery::Strict,
        }
    }
}

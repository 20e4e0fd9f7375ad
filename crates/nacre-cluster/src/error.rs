//! Errors of the write road. A write is *done*, *not done* or *unknown*; callers must be able to tell which.

use std::{path::PathBuf, time::Duration};

use thiserror::Error;

/// Why a write has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WriteError {
    /// The command is not in the log and never will be. Safe to retry.
    #[error("not done: {0}")]
    NotDone(Reason),
    /// The command may or may not have taken effect, now or after a restart. Read before you retry, or retry only what
    /// is idempotent.
    #[error("outcome unknown: {0}")]
    Unknown(Reason),
}

impl WriteError {
    pub fn reason(&self) -> &Reason {
        match self {
            Self::NotDone(reason) | Self::Unknown(reason) => reason,
        }
    }

    /// Whether the command certainly had no effect.
    pub fn is_not_done(&self) -> bool {
        matches!(self, Self::NotDone(_))
    }
}

/// The named reasons. The texts are for operators and end in what to do where there is something to do.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Reason {
    #[error("{limit} writes ({bytes} bytes) already wait for the log; retry later")]
    QueueFull { limit: usize, bytes: usize },
    #[error("the command has {bytes} bytes, more than the {limit} one log entry may carry")]
    TooLarge { bytes: usize, limit: usize },
    #[error("no leader{}", known(.leader))]
    NoLeader { leader: Option<u64> },
    /// The log's disk is full, read-only or failing. Writes work again by themselves once it recovers.
    #[error("the log cannot be written: {detail}")]
    LogUnwritable { detail: String },
    /// The log or the state machine failed in a way only a restart repairs (it replays the log).
    #[error("writes are stopped until a restart: {detail}")]
    Poisoned { detail: String },
    #[error("the state machine failed: {detail}; restart to replay the log")]
    ApplyFailed { detail: String },
    #[error("leadership moved while the write was in flight")]
    LeaderChanged,
    #[error("the server is starting and has not replayed its log yet")]
    Starting,
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Reason {
    /// A stable word for metrics and tests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "queueFull",
            Self::TooLarge { .. } => "tooLarge",
            Self::NoLeader { .. } => "noLeader",
            Self::LogUnwritable { .. } => "logUnwritable",
            Self::Poisoned { .. } => "poisoned",
            Self::ApplyFailed { .. } => "applyFailed",
            Self::LeaderChanged => "leaderChanged",
            Self::Starting => "starting",
            Self::ShuttingDown => "shuttingDown",
        }
    }
}

fn known(leader: &Option<u64>) -> String {
    match leader {
        Some(node) => format!(" here: node {node} leads"),
        None => " is known at the moment".into(),
    }
}

/// Why the write road did not start. Every text names the file and what to do.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("{path} is in use by another process; stop it first (is a second nacre running on this data directory?)")]
    InUse { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// Bytes that were acknowledged are damaged or missing. Refusing is the only honest answer.
    #[error("{path} is damaged: {detail}. {remedy}")]
    Damaged { path: PathBuf, detail: String, remedy: String },
    /// The log and the database do not belong together.
    #[error("{path} and the database do not fit together: {detail}. {remedy}")]
    Mismatch { path: PathBuf, detail: String, remedy: String },
    #[error(
        "{path} was written by a newer version (format {found}, this version reads up to {known}); start that version"
    )]
    NewerFormat { path: PathBuf, found: u32, known: u32 },
    #[error("the state machine failed: {0}")]
    Machine(#[from] crate::MachineError),
    #[error("consensus did not start: {0}")]
    Engine(String),
    #[error("not ready after {0:?}")]
    Timeout(Duration),
}

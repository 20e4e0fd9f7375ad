//! What can go wrong, each with a sentence an operator can act on.

use thiserror::Error;

/// Why the writer stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// In words: the disk is full, the file is read-only, the database is damaged ...
    pub reason: String,
    /// Milliseconds since the epoch are not known here; the order of events is the journal's matter. This counts the
    /// tries since the first failure.
    pub tries: u64,
    /// The writer goes on trying (disk full); otherwise only a restart helps.
    pub retrying: bool,
}

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the database refuses writes: {}", .0.reason)]
    Poisoned(Poison),
    #[error("the write queue is full")]
    Busy,
    #[error("the store is closed")]
    Closed,
    #[error("{0}")]
    Locked(String),
    #[error(
        "the database {path} has format {found}, this nacre knows up to {known}: start the version that wrote it, or \
         restore a backup"
    )]
    TooNew { path: String, found: i64, known: i64 },
    #[error("the database {path} is damaged: {detail}")]
    Damaged { path: String, detail: String },
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
}

//! What can go wrong, each with a sentence an operator can act on.

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why the writer does not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// In words: the disk is full, the file is read-only, the database is damaged ...
    pub reason: String,
    /// Failed tries of the same transaction.
    pub tries: u64,
    /// The writer goes on trying and nothing is lost yet; otherwise only a restart (which replays the log) helps.
    pub retrying: bool,
}

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the database refuses writes: {}", .0.reason)]
    Poisoned(Poison),
    #[error("the store is closed")]
    Closed,
    #[error("{0}")]
    Locked(String),
    #[error(
        "the database {path} has format {found}, this nacre knows up to {known}: start the version that wrote it, or \
         restore a backup"
    )]
    TooNew { path: String, found: i64, known: i64 },
    #[error("the database {path} is damaged ({detail}): move it away and start from a snapshot or a backup")]
    Damaged { path: String, detail: String },
    #[error(
        "the database {path} is damaged ({detail}): restore the data directory from a backup. If another program changed \
         this database while nacre was down, delete {sums}, which holds the checksums of its pages: it is then taken as \
         it is"
    )]
    PagesDiffer { path: String, detail: String, sums: String },
    #[error(
        "{path}, which holds the checksums of the database's pages, is damaged: restore the data directory from a backup, \
         or delete this file: the database {database} is then taken as it is"
    )]
    SumsDamaged { path: String, database: String },
    #[error("the database {path} cannot be opened: {reason}")]
    Open { path: String, reason: String },
    #[error("the database could not be checkpointed: a reader did not finish in time")]
    CheckpointBusy,
    #[error("the statement is not a read-only query")]
    NotAQuery,
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
}

impl StoreError {
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { path: path.display().to_string(), source }
    }

    /// Damage gets its own sentence; everything else stays.
    pub(crate) fn at(self, path: &std::path::Path) -> Self {
        match &self {
            Self::Sqlite(error)
                if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) =>
            {
                Self::Damaged { path: path.display().to_string(), detail: error.to_string() }
            }
            _ => self,
        }
    }

    /// Of a file that somebody handed in and that cannot be read to its end: whatever SQLite says, the file is to blame.
    pub(crate) fn at_file(self, path: &std::path::Path) -> Self {
        match self {
            Self::Sqlite(error) => Self::Damaged { path: path.display().to_string(), detail: error.to_string() },
            other => other,
        }
    }

    /// Errors of SQLite while opening, with the file they are about.
    pub(crate) fn opening(self, path: &std::path::Path) -> Self {
        match &self {
            Self::Sqlite(_) => Self::Open { path: path.display().to_string(), reason: self.diagnosis().0 },
            _ => self,
        }
    }

    /// Why a transaction failed, in words, and whether the same transaction may succeed later.
    pub(crate) fn diagnosis(&self) -> (String, bool) {
        let Self::Sqlite(error) = self else { return (self.to_string(), false) };
        // A failed fsync leaves it unknown what is on disk (its pages may be dropped): only a replay of the log helps.
        const FSYNC: [i32; 2] = [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC];
        let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
        let (what, again) = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => ("the disk is full", true),
            Some(ErrorCode::ReadOnly) => ("the database file is read-only", true),
            Some(ErrorCode::PermissionDenied) => ("no permission for the database file", true),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ("another process locks the database", true),
            Some(ErrorCode::CannotOpen) => ("a database file cannot be opened", true),
            Some(ErrorCode::OutOfMemory) => ("out of memory", true),
            Some(ErrorCode::SystemIoFailure) if FSYNC.contains(&extended) => ("fsync failed", false),
            Some(ErrorCode::SystemIoFailure) => ("the disk does not read or write", true),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ("the database file is damaged", false),
            _ => ("a row was not accepted", false),
        };
        (format!("{what} ({error})"), again)
    }
}

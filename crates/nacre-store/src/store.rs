//! The store: opening, whole-state loads, snapshots and restore. Writing is in `writer.rs`, reading in `read.rs`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nacre_config::ConfigState;
use rusqlite::{Connection, OpenFlags, backup::Backup, config::DbConfig};

use crate::{
    Applied, KvRow, Poison, StoreError, WriteBatch, load,
    pool::{Readers, open_read_only},
    schema,
    sums::Sums,
    writer::{BUSY_TIMEOUT, Writer, Writing, checkpoint},
};

/// What became of the writer, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// A transaction failed; what became of writes stands in the poison.
    Failed(Poison),
    /// The transaction that failed so often was written.
    Recovered { tries: u64 },
}

/// Is told on the writer's thread; must not block.
pub type OnEvent = Arc<dyn Fn(StoreEvent) + Send + Sync>;

/// Where and how.
#[derive(Clone)]
pub struct StoreOptions {
    /// The database file; its directory must exist.
    pub path: PathBuf,
    /// Batches that may wait for the writer.
    pub queue: usize,
    /// Read-only connections.
    pub readers: usize,
    /// Pause between tries of a failed transaction.
    pub retry: Duration,
    /// Hears when the writer begins or ceases to fail.
    pub on_event: OnEvent,
}

impl StoreOptions {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), queue: 1_024, readers: 4, retry: Duration::from_secs(1), on_event: Arc::new(|_| ()) }
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

/// What a snapshot file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub applied: Option<Applied>,
    /// Callers' rows of `nacre_meta` as of that position.
    pub meta: Vec<(String, Vec<u8>)>,
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
    path: PathBuf,
    writer: Writer,
    readers: Readers,
}

impl Store {
    /// Opens or creates the database, brings an older format up to date, and starts the writer.
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let path = options.path;
        let writing = open_writing(&path).map_err(|error| error.at(&path).opening(&path))?;
        let writer = Writer::start(writing, options.queue, options.retry, options.on_event)?;
        Ok(Self { readers: Readers::new(&path, options.readers), writer, path })
    }

    /// Reads everything, and mends the md5 columns that did not fit.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        self.visible()?;
        let load = self.readers.read(load::load)?;
        let wrong = load.wrong_md5;
        if !wrong.is_empty() && self.poison().is_none() {
            self.writer.run(move |writing| {
                let transaction = writing.connection.transaction()?;
                for (id, md5) in wrong {
                    transaction
                        .prepare_cached("UPDATE config_info SET md5 = ?2 WHERE id = ?1")?
                        .execute((i64::try_from(id).unwrap_or(i64::MAX), md5))?;
                }
                Ok(transaction.commit()?)
            })?;
        }
        Ok(load.loaded)
    }

    /// As [`Store::load`], for a database that somebody edited by hand: rows without a namespace get their name first.
    pub fn reload(&self) -> Result<Loaded, StoreError> {
        self.writer.run(|writing| schema::name_default_namespace(&writing.connection, &schema::NAMED_AT_START))?;
        self.load()
    }

    /// Queues a batch; waits while the queue is full, never for the database. Batches are written in the order of the
    /// calls.
    ///
    /// While a failed transaction is tried again ([`Poison::retrying`]), batches that are in the log already are still
    /// queued, so that nothing is lost or reordered; callers stop proposing new ones as soon as [`Store::poison`] says
    /// so. When the queue is full then, the batch is refused and the store is finished until a restart, which replays
    /// the log.
    pub fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.writer.write(batch)
    }

    /// Waits until everything queued before is in the database, so that reads see it.
    pub fn barrier(&self) -> Result<(), StoreError> {
        self.writer.barrier()
    }

    /// For reads: a barrier, but a poisoned store is read as it is.
    pub(crate) fn visible(&self) -> Result<(), StoreError> {
        match self.writer.barrier() {
            Err(StoreError::Poisoned(_)) => Ok(()),
            other => other,
        }
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Barrier, then makes the database durable on disk. Tells the position up to which the log may go.
    pub fn checkpoint(&self) -> Result<Option<Applied>, StoreError> {
        self.writer.run(|writing| {
            checkpoint(writing)?;
            Ok(writing.applied)
        })
    }

    /// Why writes are refused, if they are.
    pub fn poison(&self) -> Option<Poison> {
        self.writer.poison()
    }

    pub fn report(&self) -> StoreReport {
        let (queued, written) = self.writer.counts();
        let size = |path: &Path| std::fs::metadata(path).map(|meta| meta.len()).unwrap_or(0);
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        StoreReport {
            queued,
            written,
            poison: self.poison(),
            file_bytes: size(&self.path),
            wal_bytes: size(Path::new(&wal)),
        }
    }

    /// Writes a consistent copy of the whole database (after a barrier) to a new file, compact and on disk. Writing goes
    /// on meanwhile, so the answer alone says what the file holds.
    pub fn snapshot_to(&self, file: &Path) -> Result<SnapshotInfo, StoreError> {
        self.writer.barrier()?;
        // SQLite takes VACUUM INTO for a write, though the source is only read.
        let source = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        source.busy_timeout(BUSY_TIMEOUT)?;
        keep_wal_on_close(&source, true)?;
        source.execute("VACUUM INTO ?1", [file.to_string_lossy()])?;
        File::open(file).and_then(|copy| copy.sync_all()).map_err(|error| StoreError::io(file, error))?;
        sync_directory_of(file)?;
        let copy = open_read_only(file)?;
        Ok(SnapshotInfo { applied: load::applied(&copy)?, meta: load::meta(&copy)? })
    }

    /// Replaces the whole database by a file that [`Store::snapshot_to`] wrote (of this or an older format); then
    /// [`Store::load`] everything anew. What is queued is written before, and replaced. A damaged or newer file, or one
    /// that cannot be brought to this format, changes nothing.
    pub fn restore_from(&self, file: &Path) -> Result<(), StoreError> {
        let tried = Tried::on(file, &self.path)?;
        self.writer.run(move |writing| {
            {
                let backup = Backup::new(&tried.connection, &mut writing.connection)?;
                backup.run_to_completion(1_000, Duration::ZERO, None)?;
            }
            writing.connection.flush_prepared_statement_cache();
            writing.reread_applied()?;
            checkpoint(writing)
        })
    }

    /// Writes what is queued, checkpoints, and stops the writer. Reads go on.
    pub fn close(&self) -> Result<(), StoreError> {
        self.writer.close();
        match self.poison() {
            Some(poison) => Err(StoreError::Poisoned(poison)),
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(crate) fn on_writer<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Writing) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.run(run)
    }
}

fn open_writing(path: &Path) -> Result<Writing, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let fresh = !path.exists();
    // Left by a process that was killed meanwhile.
    let _ = std::fs::remove_file(Tried::copy_of(path));
    let mut sums = Sums::verify(path)?;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // The format is looked at before anything is changed, the journal mode included.
    if let Some(found) = schema::format(&connection)?.filter(|found| *found > schema::FORMAT) {
        let path = path.display().to_string();
        return Err(StoreError::TooNew { path, found, known: schema::FORMAT });
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // The writer moves the WAL itself, with checksums.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    keep_wal_on_close(&connection, true)?;
    prepare(&mut connection, path)?;
    if fresh {
        sync_directory_of(path)?;
    }
    let applied = load::applied(&connection)?;
    sums.begin()?;
    Ok(Writing { connection, applied, path: path.to_owned(), sums })
}

/// Whether the last connection to close leaves the WAL where it is, instead of moving it into the database behind the
/// checksums' back.
pub(crate) fn keep_wal_on_close(connection: &Connection, keep: bool) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)?;
    Ok(())
}

/// Brings the content of an opened database to what this version reads.
fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    schema::migrate(connection, path)?;
    schema::name_default_namespace(connection, &schema::NAMED_AT_START)
}

/// A copy of a received snapshot, beside the database, with which everything was done that can fail for what is in the file:
/// once its pages are in the database's place it is too late to refuse them. Removed when it is dropped.
struct Tried {
    connection: Connection,
    copy: PathBuf,
}

impl Tried {
    fn on(file: &Path, database: &Path) -> Result<Self, StoreError> {
        let source = open_read_only(file).map_err(|error| error.at_file(file))?;
        check_snapshot(&source, file).map_err(|error| error.at_file(file))?;
        drop(source);
        let copy = Self::copy_of(database);
        let copied = std::fs::copy(file, &copy).map_err(|error| StoreError::io(&copy, error));
        let ready = copied.and_then(|_| Self::made_ready(&copy, file).map_err(|error| error.at_file(file)));
        match ready {
            Ok(connection) => Ok(Self { connection, copy }),
            Err(error) => {
                // Half a copy as well: the disk may be full.
                let _ = std::fs::remove_file(&copy);
                Err(error)
            }
        }
    }

    fn copy_of(database: &Path) -> PathBuf {
        let mut copy = database.to_owned().into_os_string();
        copy.push(".received");
        copy.into()
    }

    fn made_ready(copy: &Path, file: &Path) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(copy, flags)?;
        // Whoever fails here throws the copy away: no file of its own, no flush.
        connection.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        prepare(&mut connection, file)?;
        load::load(&connection)?;
        Ok(connection)
    }
}

impl Drop for Tried {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.copy);
    }
}

fn check_snapshot(source: &Connection, file: &Path) -> Result<(), StoreError> {
    match schema::format(source)? {
        Some(found) if found > schema::FORMAT => {
            return Err(StoreError::TooNew { path: file.display().to_string(), found, known: schema::FORMAT });
        }
        Some(_) => {}
        None => {
            let detail = "it is no snapshot of nacre".to_owned();
            return Err(StoreError::Damaged { path: file.display().to_string(), detail });
        }
    }
    let verdict: String = source.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged { path: file.display().to_string(), detail: verdict });
    }
    check_encoding(file)
}

/// The encoding of a database's texts, a number in its header: 1 is UTF-8. SQLite takes odd ones for it in a file that it opens, and
/// for another in one that takes an open database's place, when it is too late to refuse it.
fn check_encoding(file: &Path) -> Result<(), StoreError> {
    let mut header = [0; 60];
    File::open(file).and_then(|mut file| file.read_exact(&mut header)).map_err(|error| StoreError::io(file, error))?;
    match header {
        [.., 0, 0, 0, 1] => Ok(()),
        [.., a, b, c, d] => {
            let detail = format!("the encoding of its texts is {}, not UTF-8", u32::from_be_bytes([a, b, c, d]));
            Err(StoreError::Damaged { path: file.display().to_string(), detail })
        }
    }
}

/// A new file survives a power cut only with its directory entry.
pub(crate) fn sync_directory_of(file: &Path) -> Result<(), StoreError> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|dir| dir.sync_all()).map_err(|error| StoreError::io(directory, error))
}

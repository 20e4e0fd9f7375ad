//! Between the engine and the [`StateMachine`]: one thread applies, in order, and nothing else does.
//!
//! A thread of its own, because applying may wait for the database's queue and must not hold up the runtime. When the
//! state machine fails or panics it is *poisoned*: nothing is applied any more, and a restart replays the log.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Instant,
};

use bytes::Bytes;
use nacre_model::Cause;
use openraft::{
    AnyError, EntryPayload, OptionalSend, RaftLogId, RaftSnapshotBuilder, Snapshot, StorageIOError,
    storage::RaftStateMachine,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::{
    Applied, Entry, EventSink, MachineError, Position, StateMachine,
    stages::Trail,
    types::{
        LogEntry, LogId, Members, Replies, SnapshotFile, SnapshotMeta, StorageError, Types, decode_membership, emit,
        encode_membership,
    },
};

/// What the applying thread is asked.
enum Job {
    /// The engine of this generation wants these applied.
    Apply(u64, Vec<LogEntry>, oneshot::Sender<Result<Vec<Replies>, MachineError>>),
    Install(u64, PathBuf, Applied, oneshot::Sender<Result<(), MachineError>>),
    /// Entries of engines of older generations are refused from here on.
    Generation(u64, oneshot::Sender<()>),
}

/// Shared by all handles.
pub struct Shared {
    pub machine: Arc<dyn StateMachine>,
    poison: Mutex<Option<String>>,
    /// What is durable in the database without the log.
    checkpoint: Mutex<Applied>,
    applied_entries: AtomicU64,
    applied_bytes: AtomicU64,
    checkpoint_entries: u64,
    checkpoint_bytes: u64,
    /// Told when a checkpoint is due.
    pub due: Notify,
    /// When the newest entries were applied.
    pub trail: Trail,
    events: EventSink,
}

/// One engine's handle of the state machine.
#[derive(Clone)]
pub struct Applier {
    pub shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    generation: u64,
    received_dir: PathBuf,
}

impl Shared {
    pub fn poison(&self) -> Option<String> {
        self.poison.lock().clone()
    }

    fn set_poison(&self, reason: &str) {
        let mut poison = self.poison.lock();
        if poison.is_none() {
            *poison = Some(reason.to_owned());
            drop(poison);
            emit(&self.events, Cause::StorePoisoned { reason: reason.to_owned() });
        }
    }

    pub fn checkpoint(&self) -> Applied {
        self.checkpoint.lock().clone()
    }

    /// Makes everything applied durable in the database. Blocks.
    pub fn take_checkpoint(&self) -> Result<Applied, MachineError> {
        let (entries, bytes) =
            (self.applied_entries.load(Ordering::Acquire), self.applied_bytes.load(Ordering::Acquire));
        let applied = guarded(|| self.machine.checkpoint())?;
        self.applied_entries.fetch_sub(entries, Ordering::AcqRel);
        self.applied_bytes.fetch_sub(bytes, Ordering::AcqRel);
        *self.checkpoint.lock() = applied.clone();
        Ok(applied)
    }

    pub fn is_due(&self) -> bool {
        self.applied_entries.load(Ordering::Acquire) >= self.checkpoint_entries
            || self.applied_bytes.load(Ordering::Acquire) >= self.checkpoint_bytes
    }

    fn count(&self, bytes: usize) {
        self.applied_entries.fetch_add(1, Ordering::AcqRel);
        self.applied_bytes.fetch_add(bytes as u64, Ordering::AcqRel);
        if self.is_due() {
            self.due.notify_one();
        }
    }
}

/// A panic of the state machine is its failure, not ours.
fn guarded<T>(work: impl FnOnce() -> Result<T, MachineError>) -> Result<T, MachineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(MachineError(format!("panic: {text}")))
    })
}

/// What the thread owns.
struct Worker {
    shared: Arc<Shared>,
    generation: u64,
}

impl Worker {
    fn run(mut self, jobs: mpsc::Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Apply(generation, entries, reply) => {
                    let _ = reply.send(self.checked(generation, |worker| worker.apply(entries)));
                }
                Job::Install(generation, from, applied, reply) => {
                    let _ = reply.send(self.checked(generation, |worker| worker.install(&from, applied)));
                }
                Job::Generation(generation, reply) => {
                    self.generation = generation;
                    let _ = reply.send(());
                }
            }
        }
    }

    fn checked<T>(
        &mut self,
        generation: u64,
        work: impl FnOnce(&mut Self) -> Result<T, MachineError>,
    ) -> Result<T, MachineError> {
        if generation != self.generation {
            return Err(MachineError("the engine was restarted".into()));
        }
        if let Some(reason) = self.shared.poison() {
            return Err(MachineError(reason));
        }
        let result = work(self);
        if let Err(error) = &result {
            self.shared.set_poison(&error.0);
        }
        result
    }

    fn apply(&mut self, entries: Vec<LogEntry>) -> Result<Vec<Replies>, MachineError> {
        entries.into_iter().map(|entry| self.apply_one(entry)).collect()
    }

    fn apply_one(&mut self, entry: LogEntry) -> Result<Replies, MachineError> {
        let id = *entry.get_log_id();
        let (wall, commands, membership) = match entry.payload {
            EntryPayload::Blank => (0, Vec::new(), None),
            EntryPayload::Normal(batch) => (batch.wall, batch.commands, None),
            EntryPayload::Membership(members) => (0, Vec::new(), Some(encode_membership(Some(id), &members))),
        };
        let count = commands.len();
        let bytes = commands.iter().map(Bytes::len).sum();
        let entry = Entry { position: id.into(), wall, commands, membership };
        let begun = self.shared.trail.is_wanted().then(Instant::now);
        let replies = guarded(|| self.shared.machine.apply(entry))?;
        if let Some(begun) = begun {
            self.shared.trail.note(id.index, (begun, Instant::now()));
        }
        if replies.len() != count {
            let text = format!("{count} commands of entry {} got {} replies", id.index, replies.len());
            return Err(MachineError(text));
        }
        self.shared.count(bytes);
        Ok(Replies(replies))
    }

    fn install(&mut self, from: &std::path::Path, applied: Applied) -> Result<(), MachineError> {
        guarded(|| self.shared.machine.install(from, applied.clone()))?;
        *self.shared.checkpoint.lock() = applied;
        Ok(())
    }
}

/// Settings of the applying side.
pub struct Policy {
    pub checkpoint_entries: u64,
    pub checkpoint_bytes: u64,
    /// Where states received from other nodes are kept until they are installed.
    pub received_dir: PathBuf,
}

impl Applier {
    /// Starts the applying thread for a state machine that was just opened: what it has applied is durable.
    pub fn start(machine: Arc<dyn StateMachine>, policy: Policy, events: EventSink) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            checkpoint: Mutex::new(machine.applied()),
            machine,
            poison: Mutex::default(),
            applied_entries: AtomicU64::new(0),
            applied_bytes: AtomicU64::new(0),
            checkpoint_entries: policy.checkpoint_entries,
            checkpoint_bytes: policy.checkpoint_bytes,
            due: Notify::new(),
            trail: Trail::default(),
            events,
        });
        let worker = Worker { shared: shared.clone(), generation: 0 };
        let (jobs, inbox) = mpsc::channel();
        std::thread::Builder::new().name("nacre-apply".into()).spawn(move || worker.run(inbox))?;
        Ok(Self { shared, jobs, generation: 0, received_dir: policy.received_dir })
    }

    /// A handle for a new engine. When this returns, nothing of older engines is applied any more.
    pub async fn next_generation(&self) -> Result<Self, MachineError> {
        let generation = self.generation + 1;
        self.ask(|reply| Job::Generation(generation, reply)).await?;
        Ok(Self { generation, ..self.clone() })
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, MachineError> {
        let (reply, answer) = oneshot::channel();
        let gone = || MachineError("the applying thread has ended".into());
        self.jobs.send(job(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    /// The newest checkpoint as the engine's "snapshot".
    fn current_snapshot(&self) -> Result<Option<Snapshot<Types>>, MachineError> {
        let checkpoint = self.shared.checkpoint();
        let Some(position) = checkpoint.position else { return Ok(None) };
        let last_membership = members_of(&checkpoint)?;
        let meta = SnapshotMeta {
            last_log_id: Some(position.into()),
            last_membership,
            snapshot_id: format!("{}-{}-{}", position.term, position.node, position.index),
        };
        Ok(Some(Snapshot { meta, snapshot: Box::default() }))
    }
}

fn members_of(applied: &Applied) -> Result<Members, MachineError> {
    applied
        .membership
        .as_ref()
        .map_or_else(|| Ok(Members::default()), |bytes| decode_membership(bytes).map_err(MachineError))
}

fn any(error: &MachineError) -> AnyError {
    AnyError::error(&error.0)
}

impl RaftStateMachine<Types> for Applier {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Members), StorageError> {
        let applied = self.shared.machine.applied();
        let members = members_of(&applied).map_err(|error| StorageIOError::read_state_machine(any(&error)))?;
        Ok((applied.position.map(LogId::from), members))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Replies>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().collect();
        let Some(last) = entries.last().map(|entry| *entry.get_log_id()) else { return Ok(Vec::new()) };
        let generation = self.generation;
        let answered = self.ask(|reply| Job::Apply(generation, entries, reply)).await;
        answered.and_then(|result| result).map_err(|error| StorageIOError::apply(last, any(&error)).into())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotFile>, StorageError> {
        let path = self.received_dir.join("received.snapshot");
        Ok(Box::new(SnapshotFile { path: Some(path) }))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Box<SnapshotFile>) -> Result<(), StorageError> {
        let failed = |error: &MachineError| {
            StorageError::from(StorageIOError::write_snapshot(Some(meta.signature()), any(error)))
        };
        let path = snapshot.path.ok_or_else(|| failed(&MachineError("the snapshot has no file".into())))?;
        let membership = encode_membership(*meta.last_membership.log_id(), meta.last_membership.membership());
        let applied = Applied { position: meta.last_log_id.map(Position::from), membership: Some(membership) };
        let generation = self.generation;
        let answered = self.ask(|reply| Job::Install(generation, path, applied, reply)).await;
        answered.and_then(|result| result).map_err(|error| failed(&error))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        self.current_snapshot().map_err(|error| StorageIOError::read_snapshot(None, any(&error)).into())
    }
}

/// The checkpoint is taken before the engine is asked to "build", where its failure is no failure of the engine; here
/// it is looked up.
impl RaftSnapshotBuilder<Types> for Applier {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let failed = |error: MachineError| StorageError::from(StorageIOError::read_snapshot(None, any(&error)));
        if let Some(snapshot) = self.current_snapshot().map_err(failed)? {
            return Ok(snapshot);
        }
        let shared = self.shared.clone();
        let taken = tokio::task::spawn_blocking(move || shared.take_checkpoint()).await;
        taken.map_err(|error| MachineError(error.to_string())).and_then(|taken| taken).map_err(failed)?;
        self.current_snapshot().map_err(failed)?.ok_or_else(|| failed(MachineError("nothing is applied yet".into())))
    }
}

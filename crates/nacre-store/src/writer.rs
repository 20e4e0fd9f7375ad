//! The one thread that writes, and the bounded queue in front of it.
//!
//! Batches become transactions in the order of the calls; several that wait share one transaction. A transaction that
//! fails stays at the head and is tried again (disk full) or ends the writer; either way the store says it is poisoned.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rusqlite::{Connection, TransactionBehavior};

use crate::{
    Applied, Poison, StoreError, WriteBatch, load, rows,
    store::{self, OnEvent, StoreEvent},
    sums::Sums,
};

/// Rows that share one transaction at most; bounds how long a commit takes.
const GROUP_ROWS: usize = 4_096;
/// What is queued waits this long for more to share its transaction with, unless somebody waits for it: a transaction costs
/// nearly the same for one publish as for ten, and nobody's acknowledgement depends on it.
const LINGER: Duration = Duration::from_millis(5);
/// A WAL longer than this is moved into the database; after a try that readers were in the way of, this much later.
const WAL_BYTES: u64 = 16 * 1024 * 1024;
const MOVE_AGAIN: Duration = Duration::from_secs(1);
/// How long another connection is waited for.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Work on the writer's connection that is no batch.
pub(crate) type Task = Box<dyn FnOnce(&mut Writing) + Send>;

enum Job {
    Batch(WriteBatch),
    Task(Task),
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Jobs ever queued and done; a job's number is the value of `queued` after it.
    queued: u64,
    done: u64,
    batches_written: u64,
    poison: Option<Poison>,
    closing: bool,
    /// Callers that wait for something queued.
    waiting: usize,
    /// The writer waits for more; whoever only queues a batch need not wake it.
    lingering: bool,
    /// The thread is gone.
    ended: bool,
}

struct Shared {
    state: Mutex<State>,
    /// For the writer: there is work, or it should end.
    work: Condvar,
    /// For callers: something was done, there is room, or the writer failed.
    progress: Condvar,
    capacity: usize,
    retry: Duration,
    on_event: OnEvent,
}

impl Shared {
    /// What is queued should be written now.
    fn is_pressing(&self, state: &State) -> bool {
        state.waiting > 0 || state.closing || state.jobs.len() > self.capacity / 2
    }
}

/// What the thread owns.
pub(crate) struct Writing {
    pub connection: Connection,
    pub applied: Option<Applied>,
    pub path: PathBuf,
    pub sums: Sums,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub fn start(writing: Writing, capacity: usize, retry: Duration, on_event: OnEvent) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            capacity: capacity.max(1),
            retry,
            on_event,
        });
        let path = writing.path.clone();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn({
                let shared = shared.clone();
                move || run(&shared, writing)
            })
            .map_err(|error| StoreError::io(&path, error))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a batch; waits for room.
    pub fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        loop {
            if self.has_room(&mut state)? {
                break;
            }
            self.shared.progress.wait(&mut state);
        }
        self.push(&mut state, Job::Batch(batch));
        Ok(())
    }

    /// May another batch be queued? A batch refused under poison would leave a gap that later ones must not jump, so
    /// from then on only a restart helps.
    fn has_room(&self, state: &mut State) -> Result<bool, StoreError> {
        if state.closing || state.ended && state.poison.is_none() {
            return Err(StoreError::Closed);
        }
        let full = state.jobs.len() >= self.shared.capacity;
        if let Some(poison) = &mut state.poison {
            if full && poison.retrying {
                poison.retrying = false;
                poison.reason.push_str("; too many writes waited for it, restart to replay the log");
                self.shared.work.notify_all();
            }
            if !poison.retrying {
                return Err(StoreError::Poisoned(poison.clone()));
            }
            return Ok(true);
        }
        Ok(!full)
    }

    fn push(&self, state: &mut State, job: Job) {
        state.queued += 1;
        state.jobs.push_back(job);
        if !state.lingering || self.shared.is_pressing(state) {
            self.shared.work.notify_one();
        }
    }

    /// Waits until everything queued so far is in the database.
    pub fn barrier(&self) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        let target = state.queued;
        self.wait_for(&mut state, target)
    }

    fn wait_for(&self, state: &mut MutexGuard<'_, State>, target: u64) -> Result<(), StoreError> {
        state.waiting += 1;
        if state.lingering {
            self.shared.work.notify_one();
        }
        let outcome = loop {
            if state.done >= target {
                break Ok(());
            }
            if let Some(poison) = &state.poison {
                break Err(StoreError::Poisoned(poison.clone()));
            }
            if state.ended {
                break Err(StoreError::Closed);
            }
            self.shared.progress.wait(state);
        };
        state.waiting -= 1;
        outcome
    }

    /// Runs something on the writer's connection, after everything queued before. If the writer fails first, it never
    /// runs.
    pub fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Writing) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = Arc::new(Mutex::new(None));
        let given_up = Arc::new(AtomicBool::new(false));
        let mut state = self.shared.state.lock();
        if let Some(poison) = &state.poison {
            return Err(StoreError::Poisoned(poison.clone()));
        }
        if state.closing || state.ended {
            return Err(StoreError::Closed);
        }
        let job: Task = {
            let (answer, given_up) = (answer.clone(), given_up.clone());
            Box::new(move |writing| {
                if !given_up.load(Ordering::Acquire) {
                    *answer.lock() = Some(task(writing));
                }
            })
        };
        self.push(&mut state, Job::Task(job));
        let target = state.queued;
        if let Err(error) = self.wait_for(&mut state, target) {
            given_up.store(true, Ordering::Release);
            return Err(error);
        }
        drop(state);
        answer.lock().take().unwrap_or(Err(StoreError::Closed))
    }

    pub fn poison(&self) -> Option<Poison> {
        self.shared.state.lock().poison.clone()
    }

    /// Waiting jobs and batches written so far.
    pub fn counts(&self) -> (usize, u64) {
        let state = self.shared.state.lock();
        (state.jobs.len(), state.batches_written)
    }

    /// Lets the writer finish what is queued and end; then waits for it.
    pub fn close(&self) {
        self.shared.state.lock().closing = true;
        self.shared.work.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread was already seen as `ended`.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Marks the end of the thread, however it comes.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        // Batches that were never written are dropped: the log has them.
        state.jobs.clear();
        self.0.progress.notify_all();
    }
}

fn run(shared: &Shared, mut writing: Writing) {
    let _ended = Ended(shared);
    let mut moved_at = None;
    while let Some(work) = next(shared) {
        match work {
            Work::Group(batches) => {
                let count = batches.len() as u64;
                if !write_until_done(shared, &mut writing, &batches) {
                    return;
                }
                let mut state = shared.state.lock();
                // A gap made at the last moment stays: only a restart closes it.
                state.poison = state.poison.take().filter(|poison| !poison.retrying);
                state.done += count;
                state.batches_written += count;
                drop(state);
                shared.progress.notify_all();
                move_long_wal(&mut writing, &mut moved_at);
            }
            Work::Task(task) => {
                task(&mut writing);
                shared.state.lock().done += 1;
            }
        }
        shared.progress.notify_all();
    }
    // The last connection's orderly end leaves one file without a WAL; any other end leaves the WAL to the next start.
    let moved = checkpoint(&mut writing).and_then(|()| store::keep_wal_on_close(&writing.connection, false));
    if let Err(error) = moved {
        tracing::warn!(%error, "the database was closed without a checkpoint; the next start replays its WAL");
    }
    let Writing { connection, mut sums, .. } = writing;
    drop(connection);
    if let Err(error) = sums.end() {
        tracing::warn!(%error, "the database's checksums were not closed");
    }
}

/// Keeps the WAL short. A failure leaves it long, which the next try or a checkpoint that somebody waits for will tell.
fn move_long_wal(writing: &mut Writing, moved_at: &mut Option<Instant>) {
    if moved_at.is_some_and(|at| at.elapsed() < MOVE_AGAIN) || writing.sums.wal_bytes() < WAL_BYTES {
        return;
    }
    *moved_at = Some(Instant::now());
    let waits = |timeout| writing.connection.busy_timeout(timeout);
    let moved = waits(Duration::ZERO).map_err(StoreError::from).and_then(|()| {
        let moved = writing.sums.checkpoint(&writing.connection, false);
        waits(BUSY_TIMEOUT)?;
        moved
    });
    if let Err(error) = moved {
        tracing::warn!(%error, "the database's WAL was not moved");
    }
}

enum Work {
    Group(Vec<WriteBatch>),
    Task(Task),
}

/// Takes the next task, or as many batches as may share a transaction; `None` when it is time to end.
fn next(shared: &Shared) -> Option<Work> {
    let mut state = shared.state.lock();
    while state.jobs.is_empty() {
        if state.closing {
            return None;
        }
        shared.work.wait(&mut state);
    }
    linger(shared, &mut state);
    let mut group = Vec::new();
    let mut rows = 0;
    while rows < GROUP_ROWS {
        match state.jobs.pop_front() {
            Some(Job::Batch(batch)) => {
                rows += batch.ops.len() + batch.kv.len() + 1;
                group.push(batch);
            }
            Some(Job::Task(task)) if group.is_empty() => return Some(Work::Task(task)),
            Some(task @ Job::Task(_)) => {
                state.jobs.push_front(task);
                break;
            }
            None => break,
        }
    }
    // There is room for those who wait.
    shared.progress.notify_all();
    Some(Work::Group(group))
}

fn linger(shared: &Shared, state: &mut MutexGuard<'_, State>) {
    let until = Instant::now() + LINGER;
    state.lingering = true;
    while !shared.is_pressing(state) && !shared.work.wait_until(state, until).timed_out() {}
    state.lingering = false;
}

/// `false`: it will never be done; the store stays poisoned.
fn write_until_done(shared: &Shared, writing: &mut Writing, batches: &[WriteBatch]) -> bool {
    let mut tries = 0;
    loop {
        let Err(error) = write_group(writing, batches) else {
            if tries > 0 {
                tracing::info!(tries, "the database takes writes again");
                (shared.on_event)(StoreEvent::Recovered { tries });
            }
            return true;
        };
        tries += 1;
        let (reason, again) = error.diagnosis();
        if tries == 1 {
            tracing::error!(%reason, retrying = again, "the database refuses writes");
        }
        let poison = {
            let mut state = shared.state.lock();
            // A refused batch has left a gap: going on would lose it.
            let gap = state.poison.as_ref().is_some_and(|poison| !poison.retrying);
            let retrying = again && !gap && !state.closing;
            let poison = match state.poison.take() {
                Some(poison) if gap => poison,
                _ => Poison { reason, tries, retrying },
            };
            state.poison = Some(poison.clone());
            shared.progress.notify_all();
            poison
        };
        if tries == 1 || !poison.retrying {
            (shared.on_event)(StoreEvent::Failed(poison.clone()));
        }
        if !poison.retrying {
            return false;
        }
        let mut state = shared.state.lock();
        let has_gap = |state: &State| state.poison.as_ref().is_some_and(|poison| !poison.retrying);
        if !state.closing && !has_gap(&state) {
            shared.work.wait_for(&mut state, shared.retry);
        }
        if has_gap(&state) {
            let poison = state.poison.clone();
            drop(state);
            if let Some(poison) = poison {
                (shared.on_event)(StoreEvent::Failed(poison));
            }
            return false;
        }
    }
}

fn write_group(writing: &mut Writing, batches: &[WriteBatch]) -> Result<(), StoreError> {
    let transaction = writing.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut applied = writing.applied;
    let mut history = rows::History::default();
    for batch in batches {
        match (batch.applied, applied) {
            (Some(new), Some(old)) if new.index <= old.index => continue,
            (new, old) => applied = new.or(old),
        }
        rows::write(&transaction, batch, &mut history)?;
    }
    history.flush(&transaction)?;
    if let Some(applied) = applied.filter(|_| applied != writing.applied) {
        rows::write_applied(&transaction, applied)?;
    }
    transaction.commit()?;
    writing.sums.committed();
    writing.applied = applied;
    Ok(())
}

/// Moves the WAL into the database file and makes both durable.
pub(crate) fn checkpoint(writing: &mut Writing) -> Result<(), StoreError> {
    if writing.sums.checkpoint(&writing.connection, true)? { Ok(()) } else { Err(StoreError::CheckpointBusy) }
}

impl Writing {
    /// After the file's content was replaced.
    pub fn reread_applied(&mut self) -> Result<(), StoreError> {
        self.applied = load::applied(&self.connection)?;
        Ok(())
    }
}

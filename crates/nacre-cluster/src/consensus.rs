//! The write road's front door, and the tasks behind it.
//!
//! Four tasks: the *proposer* makes entries of waiting writes, the *supervisor* watches the engine and the log and brings
//! both back after the disk recovered, the *checkpointer* keeps the log short; the engine has its own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use nacre_model::{Cause, Event};
use openraft::{BasicNode, Raft, RaftMetrics, ServerState, SnapshotPolicy};
use parking_lot::{Mutex, RwLock};
use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};

use crate::{
    Config, PeerStatus, Readiness, Reason, Role, StartError, StateMachine, Status, WriteError,
    apply::{Applier, Policy},
    log::{
        Log, Options,
        medium::{Disk, Medium},
    },
    peers::{Network, Peers},
    propose::{Group, Intake, Queue},
    types::{Types, emit},
};

/// Receives what happened (leader elected, slow fsync, checkpoint, purge, failures). Called from inside; must not block.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// The supervisor looks at a failing log this often.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// A checkpoint that failed is tried again after this.
const CHECKPOINT_AGAIN: Duration = Duration::from_secs(5);
/// A stop waits this long for writes in flight.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

type Metrics = RaftMetrics<u64, BasicNode>;

/// A running write road. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    log: Log,
    events: EventSink,
    peers: Arc<Peers>,
    queue: Arc<Queue>,
    /// The engine and its handle of the state machine; replaced after a failure of the log that was repaired.
    engine: RwLock<Engine>,
    phase: watch::Sender<Phase>,
    stopping: AtomicBool,
    /// Last log index found at start: readiness waits for it.
    replay_upto: Option<u64>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    proposer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Engine {
    raft: Raft<Types>,
    applier: Applier,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    /// The engine stopped because the log could not be written; the supervisor tries to bring it back.
    Interrupted(String),
    /// Only a restart helps.
    Broken(String),
    Stopped,
}

impl Consensus {
    /// Opens the log, checks every byte of it, starts consensus and begins the replay of what `machine` has not applied
    /// yet. Returns as soon as the engine runs; [`ready`](Self::ready) waits for the replay and a leader.
    pub async fn start(config: Config, machine: Arc<dyn StateMachine>, events: EventSink) -> Result<Self, StartError> {
        Self::start_on(config, machine, events, Arc::new(Disk)).await
    }

    pub(crate) async fn start_on(
        config: Config,
        machine: Arc<dyn StateMachine>,
        events: EventSink,
        medium: Arc<dyn Medium>,
    ) -> Result<Self, StartError> {
        let options = Options {
            dir: config.dir.clone(),
            node: config.node,
            segment_bytes: config.segment_bytes,
            slow_fsync: config.slow_fsync,
            recovery: config.recovery,
        };
        let (applied, sink) = (machine.applied().position, events.clone());
        let opened = tokio::task::spawn_blocking(move || Log::open(options, applied, medium, sink)).await;
        let (log, found) = opened.map_err(|error| StartError::Engine(error.to_string()))??;
        let policy = Policy {
            checkpoint_entries: config.checkpoint_entries,
            checkpoint_bytes: config.checkpoint_bytes,
            received_dir: config.dir.clone(),
        };
        let applier = Applier::start(machine, policy, events.clone())
            .map_err(|source| StartError::Io { path: config.dir.clone(), source })?;
        let (queue, intake) = Queue::new(&config, found.last_wall);
        let peers = Peers::new(events.clone());
        let raft = new_raft(&config, &log, &applier, &peers).await?;
        let inner = Arc::new(Inner {
            config,
            log,
            events,
            peers,
            queue,
            engine: RwLock::new(Engine { raft, applier }),
            phase: watch::Sender::new(Phase::Starting),
            stopping: AtomicBool::new(false),
            replay_upto: found.last.map(|id| id.index),
            tasks: Mutex::default(),
            proposer: Mutex::default(),
        });
        if let Err(error) = inner.form_or_lead().await {
            inner.shut_down().await;
            return Err(error);
        }
        let proposer = tokio::spawn(inner.clone().propose(intake));
        *inner.proposer.lock() = Some(proposer);
        let tasks = [tokio::spawn(inner.clone().supervise()), tokio::spawn(inner.clone().keep_log_short())];
        inner.tasks.lock().extend(tasks);
        Ok(Self { inner })
    }

    /// Waits until the log is replayed and a leader is known.
    pub async fn ready(&self, timeout: Duration) -> Result<(), StartError> {
        let mut phase = self.inner.phase.subscribe();
        let settled = async {
            loop {
                match &*phase.borrow_and_update() {
                    Phase::Ready => return Ok(()),
                    Phase::Broken(reason) => return Err(StartError::Engine(reason.clone())),
                    Phase::Stopped => return Err(StartError::Engine("stopped".into())),
                    Phase::Starting | Phase::Interrupted(_) => {}
                }
                if phase.changed().await.is_err() {
                    return Err(StartError::Engine("stopped".into()));
                }
            }
        };
        tokio::time::timeout(timeout, settled).await.unwrap_or(Err(StartError::Timeout(timeout)))
    }

    /// Writes one command: durable in the log on a quorum, applied in memory, then answered with the state machine's
    /// reply. Dropping the future does not take the command back.
    pub async fn write(&self, command: Bytes) -> Result<Bytes, WriteError> {
        let outcome = match self.inner.refusal().map_or_else(|| self.inner.queue.offer(command), Err) {
            Ok(answer) => answer.await.unwrap_or(Err(WriteError::Unknown(Reason::ShuttingDown))),
            Err(reason) => Err(WriteError::NotDone(reason)),
        };
        self.inner.queue.count(&outcome);
        outcome
    }

    #[cfg(test)]
    pub(crate) fn inner_is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::Acquire)
    }

    pub fn readiness(&self) -> Readiness {
        let inner = &self.inner;
        let phase = inner.phase.borrow().clone();
        let metrics = inner.metrics();
        match phase {
            Phase::Stopped => Readiness::Stopped,
            Phase::Starting => {
                let applied = metrics.last_applied.map(|id| id.index);
                Readiness::Starting { applied, last_log: metrics.last_log_index }
            }
            Phase::Interrupted(reason) | Phase::Broken(reason) => Readiness::Unwritable { reason },
            Phase::Ready => match inner.unwritable(&metrics) {
                Some(reason) => Readiness::Unwritable { reason: reason.to_string() },
                None => Readiness::Ready,
            },
        }
    }

    pub fn status(&self) -> Status {
        let inner = &self.inner;
        let metrics = inner.metrics();
        let figures = inner.log.figures();
        let (queue_writes, queue_bytes) = inner.queue.waiting();
        let applied = metrics.last_applied.map(|id| id.index);
        Status {
            node: inner.config.node,
            role: role(&metrics),
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_log: figures.last.map(|id| id.index),
            committed: committed(&metrics).max(applied),
            applied,
            checkpoint: inner.engine.read().applier.shared.checkpoint().position.map(|position| position.index),
            purged: figures.purged.map(|id| id.index),
            log_bytes: figures.bytes,
            log_files: figures.files,
            queue_writes,
            queue_bytes,
            done: inner.queue.done.load(Ordering::Relaxed),
            not_done: inner.queue.not_done.load(Ordering::Relaxed),
            unknown: inner.queue.unknown.load(Ordering::Relaxed),
            fsync: figures.fsync,
            peers: inner.peer_status(&metrics),
            readiness: self.readiness(),
        }
    }

    /// Checkpoints the state machine and purges the log now (the policy does it by itself; this is for operators,
    /// backups and a clean stop). Answers the index that is covered.
    pub async fn checkpoint(&self) -> Result<Option<u64>, WriteError> {
        self.inner.checkpoint().await.map_err(|detail| WriteError::NotDone(Reason::ApplyFailed { detail }))
    }

    /// Refuses new writes, finishes those in flight, checkpoints, closes the log. Idempotent.
    pub async fn stop(&self) {
        let inner = &self.inner;
        if inner.stopping.swap(true, Ordering::AcqRel) {
            let mut phase = inner.phase.subscribe();
            let _ = phase.wait_for(|phase| *phase == Phase::Stopped).await;
            return;
        }
        inner.queue.close();
        let proposer = inner.proposer.lock().take();
        if let Some(proposer) = proposer
            && tokio::time::timeout(DRAIN_WITHIN, proposer).await.is_err()
        {
            tracing::warn!("writes in flight did not finish in time");
        }
        for task in inner.tasks.lock().drain(..) {
            task.abort();
        }
        if let Err(error) = inner.checkpoint().await {
            tracing::warn!(%error, "no checkpoint at the stop; the next start replays the log");
        }
        inner.shut_down().await;
    }
}

impl Inner {
    fn engine(&self) -> Engine {
        self.engine.read().clone()
    }

    fn metrics(&self) -> Metrics {
        self.engine.read().raft.metrics().borrow().clone()
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let changed = *current != phase && *current != Phase::Stopped;
            if changed {
                *current = phase;
            }
            changed
        });
    }

    /// A group of one is formed in an empty log; one that exists already is led at once instead of after a timeout.
    async fn form_or_lead(&self) -> Result<(), StartError> {
        let raft = self.engine().raft;
        let failed = |error: String| {
            let reason = self.log.failure().map_or(error, |failure| failure.detail);
            StartError::Engine(reason)
        };
        let initialized = raft.is_initialized().await.map_err(|error| failed(error.to_string()))?;
        if !initialized {
            if self.config.bootstrap {
                let node = BasicNode::new(self.config.address.clone());
                let members = BTreeMap::from([(self.config.node, node)]);
                raft.initialize(members).await.map_err(|error| failed(error.to_string()))?;
            }
            return Ok(());
        }
        let metrics = raft.metrics().borrow().clone();
        let alone = metrics.membership_config.membership().voter_ids().eq([self.config.node]);
        if alone && metrics.state != ServerState::Leader {
            raft.trigger().elect().await.map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Why a write is not even queued.
    fn refusal(&self) -> Option<Reason> {
        if self.stopping.load(Ordering::Acquire) {
            return Some(Reason::ShuttingDown);
        }
        match &*self.phase.borrow() {
            Phase::Ready => None,
            Phase::Starting => Some(Reason::Starting),
            Phase::Interrupted(detail) => Some(Reason::LogUnwritable { detail: detail.clone() }),
            Phase::Broken(detail) => Some(Reason::Poisoned { detail: detail.clone() }),
            Phase::Stopped => Some(Reason::ShuttingDown),
        }
    }

    /// Why writes would fail at the moment although the engine runs.
    fn unwritable(&self, metrics: &Metrics) -> Option<Reason> {
        if let Some(detail) = self.engine.read().applier.shared.poison() {
            return Some(Reason::Poisoned { detail });
        }
        if let Some(failure) = self.log.failure() {
            let detail = failure.detail;
            return Some(if failure.clean { Reason::LogUnwritable { detail } } else { Reason::Poisoned { detail } });
        }
        metrics.current_leader.is_none().then_some(Reason::NoLeader { leader: None })
    }

    async fn propose(self: Arc<Self>, mut intake: Intake) {
        while let Some(mut group) = intake.next().await {
            let replies = self.propose_one(&mut group).await;
            group.answer(&self.queue, replies);
        }
    }

    async fn propose_one(&self, group: &mut Group) -> Result<Vec<Bytes>, WriteError> {
        if let Some(reason) = self.refusal().filter(|reason| *reason != Reason::ShuttingDown) {
            return Err(WriteError::NotDone(reason));
        }
        if let Err(error) = self.log.reserve(group.size()).await {
            let detail = error.detail;
            let poisoned = self.log.failure().is_some_and(|failure| !failure.clean);
            let reason = if poisoned { Reason::Poisoned { detail } } else { Reason::LogUnwritable { detail } };
            return Err(WriteError::NotDone(reason));
        }
        let Engine { raft, applier } = self.engine();
        let before = self.log.appended();
        let batch = group.batch(&self.queue);
        let answer = match raft.client_write_ff(batch).await {
            Ok(answer) => answer.await,
            Err(fatal) => return Err(WriteError::NotDone(self.engine_ended(&fatal.to_string()))),
        };
        match answer {
            Ok(Ok(response)) => Ok(response.data.0),
            // Refused without being appended, or appended and overwritten by another leader's entries.
            Ok(Err(error)) if self.log.appended() == before => {
                let leader = error_leader(&error);
                Err(WriteError::NotDone(Reason::NoLeader { leader }))
            }
            Ok(Err(_)) => Err(WriteError::Unknown(Reason::LeaderChanged)),
            // The engine ended with the write in its hands.
            Err(_) => Err(self.lost_write(&applier, before)),
        }
    }

    /// What happened to a write whose engine ended.
    fn lost_write(&self, applier: &Applier, appended_before: u64) -> WriteError {
        if let Some(detail) = applier.shared.poison() {
            return WriteError::Unknown(Reason::ApplyFailed { detail });
        }
        let appended = self.log.appended() != appended_before;
        match self.log.failure() {
            Some(failure) if failure.clean && !appended => {
                WriteError::NotDone(Reason::LogUnwritable { detail: failure.detail })
            }
            Some(failure) => WriteError::Unknown(Reason::Poisoned { detail: failure.detail }),
            None => WriteError::Unknown(self.engine_ended("the engine ended")),
        }
    }

    fn engine_ended(&self, detail: &str) -> Reason {
        if self.stopping.load(Ordering::Acquire) {
            return Reason::ShuttingDown;
        }
        let detail = self.log.failure().map_or_else(|| detail.to_owned(), |failure| failure.detail);
        Reason::LogUnwritable { detail }
    }

    /// Follows the engine: readiness, events, repair.
    async fn supervise(self: Arc<Self>) {
        let mut probe = tokio::time::interval(PROBE_EVERY);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leadership = Leadership::default();
        let mut metrics = self.engine().raft.metrics();
        loop {
            let seen = metrics.borrow_and_update().clone();
            leadership.observe(&seen, &self.events);
            if seen.running_state.is_err() && !self.stopping.load(Ordering::Acquire) {
                if !self.repair(&seen).await {
                    return;
                }
                metrics = self.engine().raft.metrics();
                continue;
            }
            self.observe_readiness(&seen);
            tokio::select! {
                changed = metrics.changed() => {
                    if changed.is_err() && metrics.borrow().running_state.is_ok() {
                        // The engine's task is gone without saying why: it panicked.
                        return self.give_up("consensus ended unexpectedly");
                    }
                }
                _ = probe.tick() => {
                    if self.log.failure().is_some_and(|failure| failure.clean) {
                        let _ = self.log.probe().await;
                    }
                }
            }
        }
    }

    fn observe_readiness(&self, metrics: &Metrics) {
        if *self.phase.borrow() == Phase::Ready {
            return;
        }
        let applied = metrics.last_applied.map(|id| id.index);
        // A new leader's own first entry proves that everything before it is committed.
        let own_entries_applied = metrics.state != ServerState::Leader || applied == metrics.last_log_index;
        if metrics.current_leader.is_some() && applied >= self.replay_upto && own_entries_applied {
            self.set_phase(Phase::Ready);
        }
    }

    fn give_up(&self, reason: &str) {
        self.set_phase(Phase::Broken(reason.to_owned()));
        emit(&self.events, Cause::StorePoisoned { reason: reason.to_owned() });
    }

    /// The engine ended. If only the disk was to blame, waits until it works and starts the engine again.
    /// Answers false when a restart of the process is needed.
    async fn repair(&self, ended: &Metrics) -> bool {
        let cause = ended.running_state.as_ref().err().map_or_else(String::new, ToString::to_string);
        let old = self.engine();
        if let Some(reason) = old.applier.shared.poison() {
            // Its own event was given when it happened.
            self.set_phase(Phase::Broken(reason));
            return false;
        }
        match self.log.failure() {
            Some(failure) if !failure.clean => {
                self.set_phase(Phase::Broken(format!("a flush of the log failed: {}", failure.detail)));
                return false;
            }
            Some(failure) => self.set_phase(Phase::Interrupted(failure.detail)),
            // Repaired meanwhile, by whatever wrote next.
            None if self.log_was_the_cause(ended) => self.set_phase(Phase::Interrupted(cause)),
            None => {
                self.give_up(&cause);
                return false;
            }
        }
        let _ = old.raft.shutdown().await;
        loop {
            match self.restart_engine(&old.applier).await {
                Ok(engine) => {
                    *self.engine.write() = engine;
                    if self.form_or_lead().await.is_ok() {
                        return true;
                    }
                    let _ = self.engine().raft.shutdown().await;
                }
                Err(error) => tracing::debug!(%error, "the write road is still interrupted"),
            }
            if self.log.failure().is_some_and(|failure| !failure.clean) || self.stopping.load(Ordering::Acquire) {
                self.give_up("the log failed again while it was brought back");
                return false;
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    fn log_was_the_cause(&self, ended: &Metrics) -> bool {
        matches!(&ended.running_state, Err(openraft::error::Fatal::StorageError(_)))
    }

    async fn restart_engine(&self, old: &Applier) -> Result<Engine, StartError> {
        self.log.probe().await.map_err(|error| StartError::Engine(error.detail))?;
        let applier = old.next_generation().await?;
        let raft = new_raft(&self.config, &self.log, &applier, &self.peers).await?;
        Ok(Engine { raft, applier })
    }

    async fn keep_log_short(self: Arc<Self>) {
        let shared = self.engine().applier.shared;
        loop {
            if !shared.is_due() {
                shared.due.notified().await;
                continue;
            }
            if self.checkpoint().await.is_err() {
                tokio::time::sleep(CHECKPOINT_AGAIN).await;
            }
        }
    }

    async fn checkpoint(&self) -> Result<Option<u64>, String> {
        let Engine { raft, applier } = self.engine();
        if let Some(reason) = applier.shared.poison() {
            return Err(reason);
        }
        let started = Instant::now();
        let shared = applier.shared.clone();
        let taken = tokio::task::spawn_blocking(move || shared.take_checkpoint()).await;
        let applied = match taken.map_err(|error| error.to_string()).and_then(|taken| taken.map_err(|error| error.0)) {
            Ok(applied) => applied,
            Err(detail) => {
                emit(&self.events, Cause::WriteFailed { reason: format!("no checkpoint of the database: {detail}") });
                return Err(detail);
            }
        };
        let Some(position) = applied.position else { return Ok(None) };
        let ms = started.elapsed().as_millis() as u64;
        emit(&self.events, Cause::SnapshotTaken { index: position.index, ms });
        // The engine learns of it and purges the log behind it, as its settings say.
        if let Err(error) = raft.trigger().snapshot().await {
            tracing::debug!(%error, "the engine has ended; the log is purged after the next start");
        }
        Ok(Some(position.index))
    }

    async fn shut_down(&self) {
        let engine = self.engine();
        let _ = engine.raft.shutdown().await;
        // Nothing of the old engine is applied from here on.
        let _ = engine.applier.next_generation().await;
        if let Err(error) = self.log.stop().await {
            tracing::warn!(%error, "the log was not closed cleanly; the next start checks it");
        }
        self.phase.send_replace(Phase::Stopped);
    }

    fn peer_status(&self, metrics: &Metrics) -> Vec<PeerStatus> {
        let membership = metrics.membership_config.membership();
        let others = membership.nodes().filter(|(id, _)| **id != self.config.node);
        others
            .map(|(id, node)| {
                let failures = self.peers.failures(*id);
                let matched = metrics.replication.as_ref().and_then(|all| all.get(id).copied().flatten());
                PeerStatus {
                    node: *id,
                    address: node.addr.clone(),
                    send_failures: failures.count,
                    last_failure: failures.last,
                    matched: matched.map(|id| id.index),
                }
            })
            .collect()
    }
}

fn error_leader(error: &openraft::error::ClientWriteError<u64, BasicNode>) -> Option<u64> {
    match error {
        openraft::error::ClientWriteError::ForwardToLeader(forward) => forward.leader_id,
        openraft::error::ClientWriteError::ChangeMembershipError(_) => None,
    }
}

async fn new_raft(
    config: &Config,
    log: &Log,
    applier: &Applier,
    peers: &Arc<Peers>,
) -> Result<Raft<Types>, StartError> {
    let settings = openraft::Config {
        cluster_name: "nacre".into(),
        heartbeat_interval: 500,
        election_timeout_min: 1_500,
        election_timeout_max: 3_000,
        // Checkpoints are ours to time; the engine purges behind them.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: config.keep_entries,
        max_payload_entries: 64,
        ..openraft::Config::default()
    };
    let settings = settings.validate().map_err(|error| StartError::Engine(error.to_string()))?;
    let network = Network { peers: peers.clone() };
    Raft::new(config.node, Arc::new(settings), network, log.clone(), applier.clone())
        .await
        .map_err(|error| StartError::Engine(error.to_string()))
}

/// Tells elections and losses of leaders.
#[derive(Default)]
struct Leadership {
    leader: Option<(u64, u64)>,
}

impl Leadership {
    fn observe(&mut self, metrics: &Metrics, events: &EventSink) {
        let now = metrics.current_leader.map(|node| (node, metrics.current_term));
        if now == self.leader {
            return;
        }
        match (self.leader, now) {
            (_, Some((node, term))) => emit(events, Cause::LeaderElected { term, node }),
            (Some((node, term)), None) => {
                let reason = format!("node {node} led term {term}; now in term {}", metrics.current_term);
                emit(events, Cause::LeaderLost { reason });
            }
            (None, None) => {}
        }
        self.leader = now;
    }
}

fn role(metrics: &Metrics) -> Role {
    match (metrics.state, metrics.current_leader) {
        _ if metrics.running_state.is_err() => Role::Electing,
        (ServerState::Leader, _) => Role::Leader,
        (ServerState::Follower | ServerState::Learner, Some(_)) => Role::Follower,
        _ => Role::Electing,
    }
}

/// The index a quorum is known to hold, as far as the leader's figures say.
fn committed(metrics: &Metrics) -> Option<u64> {
    let replication = metrics.replication.as_ref()?;
    let voters: Vec<u64> = metrics.membership_config.membership().voter_ids().collect();
    let mut held: Vec<Option<u64>> = voters
        .iter()
        .map(|id| match replication.get(id) {
            _ if *id == metrics.id => metrics.last_log_index,
            Some(matched) => matched.map(|id| id.index),
            None => None,
        })
        .collect();
    held.sort_unstable_by(|left, right| right.cmp(left));
    held.get(voters.len() / 2).copied().flatten()
}

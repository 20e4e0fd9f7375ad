//! The write road's front door, and the tasks behind it.
//!
//! Four tasks: the *proposer* ([`writes`]) makes entries of waiting writes, the *supervisor* ([`supervise`]) watches the
//! engine and the log and brings both back after the disk recovered, the *checkpointer* ([`checkpoints`]) keeps the log
//! short; the engine ([`engine`]) has its own. [`figures`] says how things stand.

mod checkpoints;
mod engine;
mod figures;
mod supervise;
mod writes;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use nacre_model::Event;
use openraft::{BasicNode, ServerState};
use parking_lot::{Mutex, RwLock};
use tokio::{sync::watch, task::JoinHandle};

use self::engine::{Engine, Metrics, new_raft};
use crate::{
    Config, Reason, Stages, StartError, StateMachine, WriteError,
    apply::{Applier, Policy},
    log::{
        Log, Options,
        medium::{Disk, Medium},
    },
    peers::Peers,
    propose::Queue,
};

/// Receives what happened (leader elected, slow fsync, checkpoint, purge, failures). Called from inside; must not block.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// A stop waits this long for writes in flight.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

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
        self.write_noting(command, None).await
    }

    /// As [`Consensus::write`], and notes in `stages` when the command was where.
    pub async fn write_watched(&self, command: Bytes, stages: &Arc<Stages>) -> Result<Bytes, WriteError> {
        self.inner.log.flushes().want();
        self.inner.engine.read().applier.shared.trail.want();
        self.write_noting(command, Some(Arc::clone(stages))).await
    }

    async fn write_noting(&self, command: Bytes, stages: Option<Arc<Stages>>) -> Result<Bytes, WriteError> {
        let outcome = match self.inner.refusal().map_or_else(|| self.inner.queue.offer(command, stages), Err) {
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
}

//! The supervisor: follows the engine, says when it is ready and who leads, and brings it back after the disk recovered.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nacre_model::Cause;
use openraft::ServerState;
use tokio::time::MissedTickBehavior;

use super::{
    EventSink, Inner, Phase,
    engine::{Engine, Metrics, new_raft},
};
use crate::{StartError, apply::Applier, types::emit};

/// The supervisor looks at a failing log this often.
const PROBE_EVERY: Duration = Duration::from_millis(500);

impl Inner {
    /// Follows the engine: readiness, events, repair.
    pub(super) async fn supervise(self: Arc<Self>) {
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

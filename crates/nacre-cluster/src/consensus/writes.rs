//! From waiting writes to entries of the log: who is refused at once, and what became of a write that failed.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use openraft::BasicNode;

use super::{
    Inner, Phase,
    engine::{Engine, Metrics},
};
use crate::{
    Reason, WriteError,
    apply::Applier,
    propose::{Group, Intake},
};

impl Inner {
    /// Why a write is not even queued.
    pub(super) fn refusal(&self) -> Option<Reason> {
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
    pub(super) fn unwritable(&self, metrics: &Metrics) -> Option<Reason> {
        if let Some(detail) = self.engine.read().applier.shared.poison() {
            return Some(Reason::Poisoned { detail });
        }
        if let Some(failure) = self.log.failure() {
            let detail = failure.detail;
            return Some(if failure.clean { Reason::LogUnwritable { detail } } else { Reason::Poisoned { detail } });
        }
        metrics.current_leader.is_none().then_some(Reason::NoLeader { leader: None })
    }

    pub(super) async fn propose(self: Arc<Self>, mut intake: Intake) {
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
            Ok(Ok(response)) => {
                if !group.watched.is_empty() {
                    self.tell_stages(group, &applier, response.log_id.index);
                }
                Ok(response.data.0)
            }
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

    /// Those who asked hear when their entry was flushed and applied.
    fn tell_stages(&self, group: &Group, applier: &Applier, index: u64) {
        let (flushed, applied) = (self.log.flushes().of(index), applier.shared.trail.of(index));
        for stages in &group.watched {
            stages.note(|seen| {
                (seen.flushed, seen.applied) = (flushed, applied);
                (seen.together, seen.index) = (group.len(), Some(index));
            });
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
}

fn error_leader(error: &openraft::error::ClientWriteError<u64, BasicNode>) -> Option<u64> {
    match error {
        openraft::error::ClientWriteError::ForwardToLeader(forward) => forward.leader_id,
        openraft::error::ClientWriteError::ChangeMembershipError(_) => None,
    }
}

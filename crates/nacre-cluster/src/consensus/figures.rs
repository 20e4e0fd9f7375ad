//! How things stand: for readiness probes, metrics and operators.

use std::sync::atomic::Ordering;

use openraft::ServerState;

use super::{Consensus, Inner, Phase, engine::Metrics};
use crate::{PeerStatus, Readiness, Role, Status};

impl Consensus {
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
}

impl Inner {
    pub(super) fn peer_status(&self, metrics: &Metrics) -> Vec<PeerStatus> {
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

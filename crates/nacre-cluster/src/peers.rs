//! The other nodes: how they are reached, and what fails on the way.
//!
//! A single node has no peers and no transport; the figures exist all the same (and stay at zero), so that
//! `leaderSendBeatFailed` is always exported.

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::Cause;
use openraft::{
    BasicNode, RaftNetwork, RaftNetworkFactory, Snapshot,
    error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};
use parking_lot::Mutex;

use crate::{
    EventSink,
    types::{Types, Vote, emit},
};

/// Failures of one peer since the start.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    pub count: u64,
    pub last: Option<String>,
}

/// What is known about all peers.
pub struct Peers {
    failures: Mutex<BTreeMap<u64, Failures>>,
    events: EventSink,
}

impl Peers {
    pub fn new(events: EventSink) -> Arc<Self> {
        Arc::new(Self { failures: Mutex::default(), events })
    }

    pub fn failures(&self, node: u64) -> Failures {
        self.failures.lock().get(&node).cloned().unwrap_or_default()
    }

    /// Counts a heartbeat or append that did not arrive.
    fn failed(&self, peer: u64, reason: &str) {
        let mut failures = self.failures.lock();
        let entry = failures.entry(peer).or_default();
        entry.count += 1;
        entry.last = Some(reason.to_owned());
        drop(failures);
        emit(&self.events, Cause::LeaderBeatFailed { peer, reason: reason.to_owned() });
    }
}

/// Makes the engine's clients of the other nodes.
pub struct Network {
    pub peers: Arc<Peers>,
}

/// A client of one other node. Without a transport every call fails, is counted and named.
pub struct Peer {
    node: u64,
    peers: Arc<Peers>,
}

#[derive(Debug, thiserror::Error)]
#[error("this node has no transport to other nodes")]
struct NoTransport;

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> Peer {
        Peer { node: target, peers: self.peers.clone() }
    }
}

impl RaftNetwork<Types> for Peer {
    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, BasicNode, RaftError<u64>>> {
        self.peers.failed(self.node, &NoTransport.to_string());
        Err(RPCError::Unreachable(Unreachable::new(&NoTransport)))
    }

    async fn vote(
        &mut self,
        _rpc: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, BasicNode, RaftError<u64>>> {
        Err(RPCError::Unreachable(Unreachable::new(&NoTransport)))
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot<Types>,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        Err(StreamingError::Unreachable(Unreachable::new(&NoTransport)))
    }
}

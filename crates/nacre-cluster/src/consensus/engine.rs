//! The engine (openraft) with our settings, our log, our state machine and our network.

use std::sync::Arc;

use openraft::{BasicNode, Raft, RaftMetrics, SnapshotPolicy};

use crate::{
    Config, StartError,
    apply::Applier,
    log::Log,
    peers::{Network, Peers},
    types::Types,
};

pub(super) type Metrics = RaftMetrics<u64, BasicNode>;

/// A running engine and its handle of the state machine.
#[derive(Clone)]
pub(super) struct Engine {
    pub raft: Raft<Types>,
    pub applier: Applier,
}

pub(super) async fn new_raft(
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

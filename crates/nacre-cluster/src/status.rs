//! What the write road says about itself: readiness, role, figures for metrics.

use std::time::Duration;

/// The node's part in the consensus group, as in `nacos_monitor{name="leaderStatus"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Leader,
    /// Follows a known leader.
    Follower,
    /// No leader known, or an election is going on.
    Electing,
}

impl Role {
    /// 1 leader, 0 follower with a known leader, 2 neither.
    pub fn leader_status(self) -> u8 {
        match self {
            Self::Leader => 1,
            Self::Follower => 0,
            Self::Electing => 2,
        }
    }
}

/// Whether durable writes are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Replayed, a leader is known and the log can be written.
    Ready,
    /// Opening, electing or replaying.
    Starting {
        applied: Option<u64>,
        last_log: Option<u64>,
    },
    /// Reads go on, writes are refused for this reason.
    Unwritable {
        reason: String,
    },
    Stopped,
}

/// One other node of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    pub node: u64,
    pub address: String,
    /// Heartbeats and appends this node failed to deliver to the peer while leading
    /// (`nacos_exception_total{name="leaderSendBeatFailed"}` is the sum over the peers).
    pub send_failures: u64,
    pub last_failure: Option<String>,
    /// Last log index known to be on the peer.
    pub matched: Option<u64>,
}

/// Figures for metrics and `nacre status`; cheap enough to be read at each scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub node: u64,
    pub role: Role,
    pub leader: Option<u64>,
    pub term: u64,
    pub last_log: Option<u64>,
    /// Last committed index (on a single node: durable).
    pub committed: Option<u64>,
    pub applied: Option<u64>,
    /// The log up to here is covered by a checkpoint of the state machine.
    pub checkpoint: Option<u64>,
    pub purged: Option<u64>,
    /// Bytes and files of the log on disk.
    pub log_bytes: u64,
    pub log_files: u64,
    pub queue_writes: usize,
    pub queue_bytes: usize,
    /// Writes done, not done, unknown since the start.
    pub done: u64,
    pub not_done: u64,
    pub unknown: u64,
    pub fsync: Histogram,
    pub peers: Vec<PeerStatus>,
    pub readiness: Readiness,
}

impl Status {
    /// `nacos_exception_total{module="naming",name="leaderSendBeatFailed"}`.
    pub fn leader_send_beat_failed(&self) -> u64 {
        self.peers.iter().map(|peer| peer.send_failures).sum()
    }
}

/// Upper bounds of the fsync histogram's buckets in microseconds; the last bucket has no bound.
pub const FSYNC_BUCKETS_US: [u64; 12] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000];

/// Latencies of the log's fsyncs, Prometheus style but not cumulative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// One count per bound of [`FSYNC_BUCKETS_US`], and one for everything above.
    pub counts: [u64; FSYNC_BUCKETS_US.len() + 1],
    pub sum: Duration,
    pub max: Duration,
}

impl Histogram {
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

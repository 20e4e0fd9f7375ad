//! The write road: proposals, group commit, consensus, the log, checkpoints.
//!
//! What lives here: [`Consensus`], which takes opaque commands, makes them durable (one fsync per batch), has a
//! [`StateMachine`] apply them in order and gives the replies back; the log on disk; the engine (openraft) that makes one
//! node a cluster of one, so that 1 -> 3 nodes is an operation and not a migration.
//!
//! What does not: what a command means.
//!
//! Read first: [`Consensus::write`], [`StateMachine`], [`WriteError`].

mod apply;
mod config;
mod consensus;
mod error;
mod log;
mod machine;
mod peers;
mod propose;
mod stages;
mod status;
#[cfg(test)]
mod tests;
mod types;

pub use config::{Config, Recovery};
pub use consensus::{Consensus, EventSink};
pub use error::{Reason, StartError, WriteError};
pub use log::{CheckedLog, check_log};
pub use machine::{Applied, Entry, MachineError, Position, StateMachine};
pub use stages::{Seen, Stages, Stretch};
pub use status::{FSYNC_BUCKETS_US, Histogram, PeerStatus, Readiness, Role, Status};

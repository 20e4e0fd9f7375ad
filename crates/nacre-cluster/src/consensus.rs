//! The write road's front door.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use nacre_model::Event;

use crate::{Config, Readiness, StartError, StateMachine, Status, WriteError};

/// Receives what happened (leader elected, slow fsync, checkpoint, purge, failures). Called from inside; must not block.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// A running write road. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    _machine: Arc<dyn StateMachine>,
}

impl Consensus {
    /// Opens the log, checks every byte of it, starts consensus and begins the replay of what `machine` has not applied
    /// yet. Returns as soon as the log is open; [`ready`](Self::ready) waits for the replay and a leader.
    pub async fn start(config: Config, machine: Arc<dyn StateMachine>, events: EventSink) -> Result<Self, StartError> {
        let _ = (config, machine, events);
        todo!()
    }

    /// Waits until the log is replayed and a leader is known.
    pub async fn ready(&self, timeout: Duration) -> Result<(), StartError> {
        let _ = timeout;
        todo!()
    }

    /// Writes one command: durable in the log on a quorum, applied in memory, then answered with the state machine's
    /// reply. Dropping the future does not take the command back.
    pub async fn write(&self, command: Bytes) -> Result<Bytes, WriteError> {
        let _ = command;
        todo!()
    }

    pub fn readiness(&self) -> Readiness {
        todo!()
    }

    pub fn status(&self) -> Status {
        todo!()
    }

    /// Checkpoints the state machine and purges the log now (the policy does it by itself; this is for operators,
    /// backups and a clean stop).
    pub async fn checkpoint(&self) -> Result<u64, WriteError> {
        todo!()
    }

    /// Refuses new writes, finishes those in flight, checkpoints, closes the log. Idempotent.
    pub async fn stop(&self) {
        todo!()
    }
}

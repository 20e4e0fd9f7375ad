//! What a connection can be told, how it is spelled, and the rules of acknowledgements.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use futures::task::AtomicWaker;
use nacre_model::{ConfigKey, ServiceKey, limits};

/// Which module's fuzzy watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    Config,
    Naming,
}

/// Something a connection can be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Nobody acknowledges it.
    SetupAck,
    Detection,
    /// A question of ours with an answer somebody waits for.
    Ask(u64),
    Service(ServiceKey),
    Config(ConfigKey),
    /// Batch of a fuzzy watch's sync; 0 is the finish message.
    Sync(Domain, Arc<str>, usize),
    /// A key that came or went under a fuzzy watch.
    Change(Domain, Arc<str>),
}

impl Target {
    /// Is it a change under the fuzzy watches of `domain`?
    pub(super) fn changes(&self, domain: Domain) -> bool {
        matches!(self, Self::Change(of, _) if *of == domain)
    }
}

/// The text of a push but for its `requestId`.
#[derive(Clone, Debug)]
pub struct Load {
    pub type_name: &'static str,
    pub module: &'static str,
    /// Made by [`nacre_wire::grpc::envelope::members`].
    pub members: Bytes,
}

/// A service as it is now for this connection.
#[derive(Clone, Debug)]
pub struct View {
    pub members: Bytes,
    pub empty: bool,
}

/// Times and limits of retries; milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `nacos.naming.push.pushTaskTimeout`.
    pub naming_ack: u64,
    /// `nacos.naming.push.pushTaskRetryDelay`.
    pub naming_retry: u64,
    /// `nacos.config.push.timeout`.
    pub config_ack: u64,
    /// `nacos.config.push.maxRetryTime`.
    pub config_tries: u32,
    /// Time for the answer to a detection.
    pub detection_ack: u64,
    /// Shortest time between two notifications of one config to one client.
    pub config_gap: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            naming_ack: 5_000,
            naming_retry: 1_000,
            config_ack: 3_000,
            config_tries: limits::PUSH_RETRIES_CONFIG as u32,
            detection_ack: 5_000,
            config_gap: 50,
        }
    }
}

impl Rules {
    pub(super) fn is_config(target: &Target) -> bool {
        matches!(target, Target::Config(_) | Target::Sync(Domain::Config, ..) | Target::Change(Domain::Config, _))
    }

    /// How long an acknowledgement may take; `None`: none is expected, or the wait began when it was asked for.
    pub(super) fn ack_limit(&self, target: &Target) -> Option<u64> {
        match target {
            Target::SetupAck | Target::Detection | Target::Ask(_) => None,
            target if Self::is_config(target) => Some(self.config_ack),
            _ => Some(self.naming_ack),
        }
    }

    pub(super) fn retry_after(&self, target: &Target, failed: u32) -> u64 {
        if Self::is_config(target) { 2_000 * u64::from(failed) } else { self.naming_retry }
    }

    pub(super) fn tries(&self, target: &Target) -> u32 {
        if Self::is_config(target) { self.config_tries } else { limits::PUSH_RETRIES_NAMING as u32 }
    }
}

/// The stream that carries the pushes of a connection.
#[derive(Debug, Default)]
pub struct Slot {
    pub waker: AtomicWaker,
    ended: AtomicBool,
    /// The server ended it, not the client.
    cut: AtomicBool,
}

impl Slot {
    /// Completes the stream.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends the stream in an error. A stream that completes is no sign of trouble to every client: the Python SDK then
    /// waits on its dead connection for ever, told "unregistered" by each health check and taking it for good news.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.end();
    }

    pub fn was_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }
}

//! The service instance as a client publishes it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

/// Metadata of instances, services and clusters: text to text.
pub type Metadata = BTreeMap<Arc<str>, Arc<str>>;

/// Metadata keys with a meaning to the server, values in milliseconds (Nacos 2.5.1 PreservedMetadataKeys).
pub mod preserved {
    pub const HEART_BEAT_INTERVAL: &str = "preserved.heart.beat.interval";
    pub const HEART_BEAT_TIMEOUT: &str = "preserved.heart.beat.timeout";
    pub const IP_DELETE_TIMEOUT: &str = "preserved.ip.delete.timeout";
    pub const INSTANCE_ID_GENERATOR: &str = "preserved.instance.id.generator";
    pub const REGISTER_SOURCE: &str = "preserved.register.source";
    /// Not preserved.*, yet read: `true` switches beat checks of the instance off.
    pub const ENABLE_CLIENT_BEAT: &str = "enableClientBeat";

    pub const DEFAULT_INTERVAL_MS: u64 = 5_000;
    pub const DEFAULT_TIMEOUT_MS: u64 = 15_000;
    pub const DEFAULT_DELETE_MS: u64 = 30_000;
}

/// One instance: what its publisher said of it (the client layer), or the merged view that consumers see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// IPv4, IPv6 or host name, exactly as given.
    pub ip: Arc<str>,
    /// 0..=65535; kept wide because gRPC clients may send anything and get it back.
    pub port: i32,
    /// 0.0..=10000.0 over HTTP; unchecked over gRPC (Nacos 2.5.1).
    pub weight: f64,
    pub healthy: bool,
    pub enabled: bool,
    pub ephemeral: bool,
    /// Never blank; [`crate::DEFAULT_CLUSTER`] when the caller names none.
    pub cluster: Arc<str>,
    pub metadata: Metadata,
    /// Shown as `instanceId`; `None` leaves the field out of answers.
    pub instance_id: Option<Arc<str>>,
}

impl Instance {
    /// A healthy, enabled, ephemeral instance of weight 1 in the default cluster.
    pub fn new(ip: &str, port: i32) -> Self {
        Self {
            ip: ip.into(),
            port,
            weight: 1.0,
            healthy: true,
            enabled: true,
            ephemeral: true,
            cluster: crate::DEFAULT_CLUSTER.into(),
            metadata: Metadata::new(),
            instance_id: None,
        }
    }

    /// `ip:port:cluster`, the identity consumers see and operator metadata is kept under.
    pub fn identity(&self) -> String {
        format!("{}:{}:{}", self.ip, self.port, self.cluster)
    }

    /// A metadata value that is a plain non-negative decimal, else `None` (Nacos reads `^\d+$`, else the default).
    pub fn metadata_ms(&self, key: &str) -> Option<u64> {
        let text = self.metadata.get(key)?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        text.parse().ok()
    }

    pub fn beat_interval_ms(&self) -> u64 {
        self.metadata_ms(preserved::HEART_BEAT_INTERVAL).unwrap_or(preserved::DEFAULT_INTERVAL_MS)
    }

    pub fn beat_timeout_ms(&self) -> u64 {
        self.metadata_ms(preserved::HEART_BEAT_TIMEOUT).unwrap_or(preserved::DEFAULT_TIMEOUT_MS)
    }

    pub fn delete_timeout_ms(&self) -> u64 {
        self.metadata_ms(preserved::IP_DELETE_TIMEOUT).unwrap_or(preserved::DEFAULT_DELETE_MS)
    }
}

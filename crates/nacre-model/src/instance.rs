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

/// The `instanceId` of an instance as consumers see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InstanceId {
    /// No id: the field is left out of answers (registrations of HTTP v2 and v3).
    #[default]
    Absent,
    /// `ip#port#cluster#group@@service`, derived when shown: a million of them would cost 80 MB as text.
    Simple,
    /// Text of the client or of another generator.
    Given(GivenId),
}

/// The text of a given id behind one word: most instances have none, and two words would be paid by all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GivenId(Arc<String>);

impl<T: Into<String>> From<T> for GivenId {
    fn from(text: T) -> Self {
        Self(Arc::new(text.into()))
    }
}

impl std::ops::Deref for GivenId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// One instance: what its publisher said of it (the client layer), or the merged view that consumers see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// IPv4, IPv6 or host name, exactly as given.
    pub ip: Arc<str>,
    /// 0..=65535; kept wide because gRPC clients may send anything and get it back.
    pub port: i32,
    /// 0.0..=10000.0 over HTTP; unchecked over gRPC (Nacos 2.5.1).
    #[serde(with = "crate::float")]
    pub weight: f64,
    pub healthy: bool,
    pub enabled: bool,
    pub ephemeral: bool,
    /// Never blank; [`crate::DEFAULT_CLUSTER`] when the caller names none.
    pub cluster: Arc<str>,
    /// Shared: equal metadata of many instances is kept once.
    pub metadata: Arc<Metadata>,
    pub instance_id: InstanceId,
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
            metadata: Arc::new(Metadata::new()),
            instance_id: InstanceId::Absent,
        }
    }

    /// The text of `instanceId` for an instance of the service named `grouped` (`group@@service`); `None` when answers
    /// leave the field out.
    pub fn instance_id_text(&self, grouped: &str) -> Option<String> {
        match &self.instance_id {
            InstanceId::Absent => None,
            InstanceId::Simple => Some(format!("{}#{}#{}#{grouped}", self.ip, self.port, self.cluster)),
            InstanceId::Given(text) => Some((**text).to_owned()),
        }
    }

    /// `ip:port:cluster`, the identity consumers see and operator metadata is kept under.
    pub fn identity(&self) -> String {
        format!("{}:{}:{}", self.ip, self.port, self.cluster)
    }

    /// [`Instance::identity`] for events: nothing is copied.
    pub fn label(&self) -> crate::Label {
        crate::Label::instance(&self.ip, self.port, &self.cluster)
    }

    /// [`metadata_ms`] of this instance.
    pub fn metadata_ms(&self, key: &str) -> Option<u64> {
        metadata_ms(&self.metadata, key)
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

/// Whether any key of a meaning in [`preserved`] may be there; usually none is, and then nobody looks for each.
pub fn has_preserved(metadata: &Metadata) -> bool {
    metadata.keys().any(|key| key.starts_with("preserved."))
}

/// A metadata value that is a plain non-negative decimal, else `None` (Nacos reads `^\d+$`, else the default).
pub fn metadata_ms(metadata: &Metadata, key: &str) -> Option<u64> {
    let text = metadata.get(key)?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shown_as_the_client_or_the_generator_made_them() {
        let mut instance = Instance::new("10.0.0.1", 80);
        assert_eq!(instance.instance_id_text("G@@s"), None);
        instance.instance_id = InstanceId::Simple;
        assert_eq!(instance.instance_id_text("G@@s").as_deref(), Some("10.0.0.1#80#DEFAULT#G@@s"));
        instance.instance_id = InstanceId::Given("my-id".into());
        assert_eq!(instance.instance_id_text("G@@s").as_deref(), Some("my-id"));
    }

    #[test]
    fn timers_fall_back_when_the_value_is_no_plain_number() {
        let mut instance = Instance::new("10.0.0.1", 80);
        for odd in ["", "x1", "-5", "5s", "1.5", "99999999999999999999999"] {
            instance.metadata = Arc::new([(preserved::HEART_BEAT_TIMEOUT.into(), odd.into())].into_iter().collect());
            assert_eq!(instance.beat_timeout_ms(), preserved::DEFAULT_TIMEOUT_MS, "{odd}");
        }
        instance.metadata = Arc::new([(preserved::HEART_BEAT_TIMEOUT.into(), "2000".into())].into_iter().collect());
        assert_eq!(instance.beat_timeout_ms(), 2_000);
    }
}

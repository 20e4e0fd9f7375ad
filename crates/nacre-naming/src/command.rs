//! Durable commands: everything about services that must survive, as values for the write road.
//!
//! Stored in logs: fields may be added (with a default), never renamed, removed or given another meaning.

use std::sync::Arc;

use nacre_model::{Instance, Metadata, NacosError, Row, ServiceKey};
use serde::{Deserialize, Serialize};

use crate::{ClusterMetadata, Effects, Selector, ServiceMetadata};

/// Names one instance of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceRef {
    pub ip: Arc<str>,
    pub port: i32,
    pub cluster: Arc<str>,
}

impl InstanceRef {
    pub fn new(ip: &str, port: i32, cluster: &str) -> Self {
        Self { ip: ip.into(), port, cluster: cluster.into() }
    }
}

/// Of which kind the instances must be that a batch of metadata is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Consistency {
    /// Instances of either kind.
    #[default]
    Any,
    Ephemeral,
    Persist,
}

/// A durable change. Whether it is allowed is decided where it is applied, so that of two concurrent ones only one wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum NamingCommand {
    /// A persistent instance, from HTTP (`ephemeral=false`) or PersistentInstanceRequest.
    RegisterPersistent {
        service: ServiceKey,
        instance: Instance,
    },
    DeregisterPersistent {
        service: ServiceKey,
        ip: Arc<str>,
        port: i32,
    },
    /// The active check came to another opinion. `reason` as in `tcp:unable2connect:`.
    ChangeHealth {
        service: ServiceKey,
        ip: Arc<str>,
        port: i32,
        healthy: bool,
        reason: String,
    },
    /// POST service. `metadata.ephemeral` decides what the service is.
    CreateService {
        service: ServiceKey,
        metadata: ServiceMetadata,
    },
    /// PUT service: threshold, selector and metadata are replaced; kind and clusters stay.
    UpdateService {
        service: ServiceKey,
        protect_threshold: f64,
        selector: Selector,
        metadata: Metadata,
    },
    DeleteService {
        service: ServiceKey,
    },
    UpdateCluster {
        service: ServiceKey,
        cluster: Arc<str>,
        metadata: ClusterMetadata,
    },
    /// PUT instance: the operator's record is replaced. The service must exist, the instance need not. `ephemeral` is
    /// what the request says; it only shows in the refusal's text.
    UpdateInstance {
        service: ServiceKey,
        instance: InstanceRef,
        ephemeral: bool,
        weight: f64,
        enabled: bool,
        metadata: Metadata,
    },
    /// PATCH instance, PUT partial: given fields replace those of the operator's record. The instance must exist.
    PatchInstance {
        service: ServiceKey,
        instance: InstanceRef,
        weight: Option<f64>,
        enabled: Option<bool>,
        metadata: Option<Metadata>,
    },
    /// PUT metadata/batch: keys are merged into the records of the named instances (none named: all).
    UpdateInstanceMetadata {
        service: ServiceKey,
        consistency: Consistency,
        instances: Vec<InstanceRef>,
        metadata: Metadata,
    },
    /// DELETE metadata/batch: keys leave the records of the named instances (none named: all).
    DeleteInstanceMetadata {
        service: ServiceKey,
        consistency: Consistency,
        instances: Vec<InstanceRef>,
        keys: Vec<Arc<str>>,
    },
    /// The cleaner found the operator's record of a departed instance old enough; decided again when applied.
    ExpireInstanceMetadata {
        service: ServiceKey,
        instance: InstanceRef,
    },
    /// The cleaner found metadata of a service that is gone; decided again when applied.
    ExpireServiceMetadata {
        service: ServiceKey,
    },
    /// PUT switches.
    SetSwitch {
        entry: String,
        value: String,
    },
}

impl NamingCommand {
    /// The service it is about.
    pub fn service(&self) -> Option<&ServiceKey> {
        match self {
            Self::RegisterPersistent { service, .. }
            | Self::DeregisterPersistent { service, .. }
            | Self::ChangeHealth { service, .. }
            | Self::CreateService { service, .. }
            | Self::UpdateService { service, .. }
            | Self::DeleteService { service }
            | Self::UpdateCluster { service, .. }
            | Self::UpdateInstance { service, .. }
            | Self::PatchInstance { service, .. }
            | Self::UpdateInstanceMetadata { service, .. }
            | Self::DeleteInstanceMetadata { service, .. }
            | Self::ExpireInstanceMetadata { service, .. }
            | Self::ExpireServiceMetadata { service } => Some(service),
            Self::SetSwitch { .. } => None,
        }
    }
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NamingReply {
    /// `ok`.
    Done,
    /// `updated` of the metadata batch APIs: `ip:port:unknown:cluster:ephemeral|persist`.
    Updated(Vec<String>),
}

/// What applying a command did.
#[derive(Debug)]
#[must_use]
pub struct Applied {
    pub reply: Result<NamingReply, NacosError>,
    pub effects: Effects,
    /// Changes of the durable table; empty when the reply is an error.
    pub rows: Vec<Row>,
}

//! What can be asked over gRPC.

use clap::ValueEnum;

use super::client::Call;
use crate::http::operations::{Batch, Caller, GROUP, NAME};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// Read a configuration.
    ConfigQuery,
    /// Publish a configuration with another content each time; the answer means that it is durable.
    ConfigPublish,
    /// Ask for the instances of a service.
    ServiceQuery,
    /// Register the connection's instance of a service, with other metadata each time.
    Register,
    /// Deregister it; the registration right before is not counted.
    Deregister,
    /// Ask whether the connection is registered: the least that a server can be asked.
    HealthCheck,
}

impl Operation {
    /// Services or configs, and instances of each, unless the command line says otherwise.
    pub const fn subjects(self) -> (u64, u64) {
        match self {
            Self::ConfigQuery | Self::ConfigPublish | Self::HealthCheck => (1_000, 1),
            Self::ServiceQuery => (100, 10),
            Self::Register | Self::Deregister => (700, 10),
        }
    }

    /// Whether it registers what belongs to its connection.
    pub const fn owns(self) -> bool {
        matches!(self, Self::Register | Self::Deregister)
    }

    /// The call before, and the call.
    pub fn calls(self, namespace: &str, size: usize) -> (Option<Call>, Call) {
        match self {
            Self::ConfigQuery => (None, config_query(namespace)),
            Self::ConfigPublish => (None, config_publish(namespace, size)),
            Self::ServiceQuery => (None, service_query(namespace)),
            Self::Register => (None, instance(namespace, "registerInstance")),
            Self::Deregister => {
                (Some(instance(namespace, "registerInstance")), instance(namespace, "deregisterInstance"))
            }
            Self::HealthCheck => (None, Call::new("HealthCheckRequest", "{\"headers\":{},\"module\":\"internal\"}")),
        }
    }

    /// What comes before the first round, before each, and at the end, all over HTTP.
    pub fn batches(self, http: &Caller<'_>, keys: u64, instances: u64, touched: u64) -> [Vec<Batch>; 3] {
        let batch = |call, count| Batch { call, count, patience: Duration::ZERO };
        let shown = Batch { patience: Duration::from_secs(15), ..batch(http.get(), keys) };
        let everybody = keys.saturating_mul(instances);
        match self {
            Self::ConfigQuery => [vec![batch(http.publish(), keys), shown], vec![], vec![batch(http.remove(), keys)]],
            Self::ConfigPublish => [vec![], vec![], vec![batch(http.remove(), keys.min(touched))]],
            Self::ServiceQuery => {
                [vec![], vec![batch(http.register(), everybody)], vec![batch(http.deregister(), everybody)]]
            }
            Self::Register | Self::Deregister | Self::HealthCheck => [vec![], vec![], vec![]],
        }
    }
}

pub fn config_query(namespace: &str) -> Call {
    let tenant = quoted(namespace);
    let json = format!(
        "{{\"headers\":{{\"notify\":\"false\"}},\"dataId\":\"{NAME}\",\"group\":\"{GROUP}\",\"tenant\":{tenant},\"module\":\"config\"}}"
    );
    Call::new("ConfigQueryRequest", &json)
}

pub fn config_publish(namespace: &str, size: usize) -> Call {
    let tenant = quoted(namespace);
    let filling = "x".repeat(size.saturating_sub(17));
    let json = format!(
        "{{\"headers\":{{}},\"dataId\":\"{NAME}\",\"group\":\"{GROUP}\",\"tenant\":{tenant},\"content\":\"seq.{{seq}}.{filling}\",\
         \"additionMap\":{{\"type\":\"text\"}},\"module\":\"config\"}}"
    );
    Call::new("ConfigPublishRequest", &json)
}

pub fn service_query(namespace: &str) -> Call {
    let namespace = quoted(or_public(namespace));
    let json = format!(
        "{{\"headers\":{{}},\"namespace\":{namespace},\"serviceName\":\"{NAME}\",\"groupName\":\"{GROUP}\",\"cluster\":\"\",\
         \"healthyOnly\":false,\"udpPort\":0,\"module\":\"naming\"}}"
    );
    Call::new("ServiceQueryRequest", &json)
}

/// `registerInstance` or `deregisterInstance` of the connection's own instance.
pub fn instance(namespace: &str, kind: &str) -> Call {
    instance_of_weight(namespace, kind, 1)
}

pub fn instance_of_weight(namespace: &str, kind: &str, weight: u64) -> Call {
    let namespace = quoted(or_public(namespace));
    let json = format!(
        "{{\"headers\":{{}},\"namespace\":{namespace},\"serviceName\":\"{NAME}\",\"groupName\":\"{GROUP}\",\"type\":\"{kind}\",\
         \"instance\":{{\"ip\":\"{{host}}\",\"port\":8080,\"weight\":{weight}.0,\"healthy\":true,\"enabled\":true,\"ephemeral\":true,\
         \"clusterName\":\"DEFAULT\",\"metadata\":{{\"seq\":\"{{seq}}\"}}}},\"module\":\"naming\"}}"
    );
    Call::new("InstanceRequest", &json)
}

/// Clients of naming always name the namespace.
pub fn or_public(namespace: &str) -> &str {
    if namespace.is_empty() { "public" } else { namespace }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

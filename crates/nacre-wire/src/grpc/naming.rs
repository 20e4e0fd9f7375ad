//! Module `naming`.

use std::sync::Arc;

use nacre_model::{DEFAULT_CLUSTER, Instance, instance::InstanceId};
use serde::Serialize;

use super::lenient::{List, SharedTexts, Texts, Word, body};

/// `type` of an [`InstanceRequest`].
pub const REGISTER: &str = "registerInstance";
/// `type` of an [`InstanceRequest`].
pub const DEREGISTER: &str = "deregisterInstance";
/// `type` of a [`BatchInstanceRequest`].
pub const BATCH_REGISTER: &str = "batchRegisterInstance";

body! {
    /// An instance as a client sends it. Defaults are those of missing keys; `null` is false or 0.
    InstanceBody {
        instance_id: Option<String> = "instanceId";
        ip: Option<Arc<str>> = "ip";
        port: i32 = "port";
        weight: f64 = "weight", 1.0;
        healthy: bool = "healthy", true;
        enabled: bool = "enabled", true;
        /// Without effect: the request's type decides.
        ephemeral: bool = "ephemeral", true;
        cluster_name: Option<Arc<str>> = "clusterName";
        service_name: Option<String> = "serviceName";
        metadata: SharedTexts = "metadata";
    }
}

impl InstanceBody {
    /// The instance of the model; [`InstanceId::Absent`] unless the client gave an id.
    pub fn to_instance(&self, ephemeral: bool) -> Instance {
        let cluster = self.cluster_name.as_ref().filter(|name| !name.trim().is_empty());
        Instance {
            ip: self.ip.clone().unwrap_or_default(),
            port: self.port,
            // A weight that is no number is none.
            weight: if self.weight.is_nan() { 1.0 } else { self.weight },
            healthy: self.healthy,
            enabled: self.enabled,
            ephemeral,
            cluster: cluster.map_or_else(|| DEFAULT_CLUSTER.into(), Arc::clone),
            metadata: self.metadata.clone().unwrap_or_default(),
            instance_id: match self.instance_id.as_deref() {
                None | Some("") => InstanceId::Absent,
                Some(given) => InstanceId::Given(given.into()),
            },
        }
    }
}

body! {
    /// `InstanceRequest` and `PersistentInstanceRequest`.
    InstanceRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        namespace: Option<String> = "namespace";
        service_name: Option<String> = "serviceName";
        group_name: Option<String> = "groupName";
        kind: Option<String> = "type";
        instance: Option<InstanceBody> = "instance";
    }
}

body! {
    BatchInstanceRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        namespace: Option<String> = "namespace";
        service_name: Option<String> = "serviceName";
        group_name: Option<String> = "groupName";
        kind: Option<String> = "type";
        instances: List<Option<InstanceBody>> = "instances";
    }
}

body! {
    ServiceQueryRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        namespace: Option<String> = "namespace";
        service_name: Option<String> = "serviceName";
        group_name: Option<String> = "groupName";
        cluster: Option<String> = "cluster";
        healthy_only: bool = "healthyOnly";
        /// Without effect, but it must be a number.
        udp_port: i32 = "udpPort";
    }
}

body! {
    ServiceListRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        namespace: Option<String> = "namespace";
        /// Without effect, but it is checked.
        service_name: Option<String> = "serviceName";
        group_name: Option<String> = "groupName";
        page_no: i32 = "pageNo";
        page_size: i32 = "pageSize";
        selector: Word = "selector";
    }
}

body! {
    SubscribeServiceRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        namespace: Option<String> = "namespace";
        service_name: Option<String> = "serviceName";
        group_name: Option<String> = "groupName";
        /// `false` unsubscribes.
        subscribe: bool = "subscribe";
        clusters: Option<String> = "clusters";
    }
}

/// `InstanceResponse` and `BatchInstanceResponse`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InstanceResponse<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceListResponse {
    pub count: usize,
    pub service_names: Vec<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::lenient::parse;

    #[test]
    fn null_flags_are_false_and_missing_ones_true() {
        let read = |text: &str| parse::<InstanceRequest>(text.as_bytes()).unwrap().instance.unwrap();
        let given = read(r#"{"instance":{"ip":"1.1.1.1","port":"8080","enabled":null,"metadata":{"n":5}}}"#);
        assert!(!given.enabled && given.healthy && given.port == 8080);
        let instance = given.to_instance(true);
        assert_eq!(&*instance.metadata["n"], "5");
        assert_eq!(&*instance.cluster, DEFAULT_CLUSTER);
        assert_eq!(instance.instance_id, InstanceId::Absent);
    }

    #[test]
    fn what_a_list_ignores_must_be_texts_all_the_same() {
        let read = |text: &str| parse::<ServiceListRequest>(text.as_bytes()).is_ok();
        assert!(read(r#"{"selector":"{\"type\":\"none\"}","serviceName":5,"requestId":7}"#));
        for text in [r#"{"selector":{"type":"none"}}"#, r#"{"serviceName":{}}"#, r#"{"requestId":[]}"#] {
            assert!(!read(text), "{text}");
        }
    }

    #[test]
    fn an_absent_instance_and_null_are_the_same() {
        for text in ["{}", r#"{"instance":null}"#] {
            assert_eq!(parse::<InstanceRequest>(text.as_bytes()).unwrap().instance, None);
        }
    }
}

//! Module `config`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::lenient::{List, Texts, Word, body};

body! {
    ConfigQueryRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        data_id: Option<String> = "dataId";
        group: Option<String> = "group";
        tenant: Option<String> = "tenant";
        tag: Option<String> = "tag";
    }
}

body! {
    ConfigPublishRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        data_id: Option<String> = "dataId";
        group: Option<String> = "group";
        tenant: Option<String> = "tenant";
        content: Option<String> = "content";
        /// Not blank: publish only over this md5.
        cas_md5: Option<String> = "casMd5";
        /// `tag`, `appName`, `betaIps`, `type`, `src_user`, `encryptedDataKey`, `config_tags`, `desc`, `use`, `effect`,
        /// `schema`; null values count as absent.
        addition_map: Texts = "additionMap";
    }
}

impl ConfigPublishRequest {
    /// One of the additions; `None` when absent.
    pub fn addition(&self, key: &str) -> Option<&str> {
        self.addition_map.as_ref()?.get(key).map(String::as_str)
    }
}

body! {
    ConfigRemoveRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        data_id: Option<String> = "dataId";
        group: Option<String> = "group";
        tenant: Option<String> = "tenant";
        tag: Option<String> = "tag";
    }
}

body! {
    ConfigBatchListenRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        data_id: Word = "dataId";
        group: Word = "group";
        tenant: Word = "tenant";
        /// `false` stops listening.
        listen: bool = "listen", true;
        /// `None` when the client said `null`, which fails.
        contexts: List<Option<ListenContext>> = "configListenContexts", Some(Vec::new());
    }
}

body! {
    /// One listened config. `tenant` is kept as the client spells it: it is echoed byte for byte.
    ListenContext {
        data_id: Option<String> = "dataId";
        group: Option<String> = "group";
        tenant: Option<String> = "tenant";
        md5: Option<String> = "md5";
    }
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigQueryResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_data_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<&'a str>,
    pub last_modified: i64,
    /// Only when a tag matched or was asked for in vain: two SDKs cannot read it otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<&'a str>,
    pub beta: bool,
}

/// An entry of `changedConfigs`, in the client's own spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigChangeBatchListenResponse {
    pub changed_configs: Vec<ChangedConfig>,
}

/// Push: the config changed. `tenant` is absent for a listener that spells the default namespace blank.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigChangeNotifyRequest<'a> {
    pub data_id: &'a str,
    pub group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
}

/// Push: asks a Java client for the state of its listeners.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfigMetricRequest {
    pub metrics_keys: Vec<MetricsKey>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MetricsKey {
    /// `cacheData` or `snapshotData`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// A group key: `dataId+group+tenant`.
    pub key: String,
}

/// Answer of a metrics request, by key, each value a JSON text.
pub type Metrics = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::grpc::{
        Envelope,
        envelope::{answer, push},
        lenient::parse,
    };

    #[test]
    fn absent_contexts_are_empty_and_null_is_told_apart() {
        let read = |text: &str| parse::<ConfigBatchListenRequest>(text.as_bytes()).unwrap();
        assert_eq!(read(r#"{"listen":true}"#).contexts, Some(vec![]));
        assert_eq!(read(r#"{"configListenContexts":null}"#).contexts, None);
        assert_eq!(read(r#"{"configListenContexts":[null]}"#).contexts, Some(vec![None]));
        assert!(read("{}").listen);
    }

    #[test]
    fn a_failed_query_still_has_its_two_constant_fields() {
        let body = answer(&Envelope::fail(300, "config data not exist"), &ConfigQueryResponse::default());
        let want = json!({"resultCode":500,"errorCode":300,"message":"config data not exist","lastModified":0,
            "beta":false,"success":false});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), want);
    }

    #[test]
    fn a_notification_leaves_a_blank_tenant_out() {
        let fields = ConfigChangeNotifyRequest { data_id: "d", group: "g", tenant: None };
        let got: Value = serde_json::from_slice(&push("config", Some(3), &fields)).unwrap();
        assert_eq!(got, json!({"headers":{},"requestId":"3","dataId":"d","group":"g","module":"config"}));
    }
}

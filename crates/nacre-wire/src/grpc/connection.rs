//! Module `internal`: set-up, checks, detection, reset.

use std::collections::BTreeMap;

use serde::Serialize;

use super::lenient::{Anything, Lenient, Texts, Word, body};

body! {
    /// `ConnectionSetupRequest`, the first message of a stream.
    ConnectionSetupRequest {
        client_version: Option<String> = "clientVersion";
        tenant: Option<String> = "tenant";
        /// `None` when the client said `null`: the reference never registers such a connection.
        labels: Texts = "labels", Some(BTreeMap::new());
        /// `Some` when the key is there and not null, even if empty: the client waits for a `SetupAckRequest`.
        ability_table: Abilities = "abilityTable";
    }
}

/// `abilityTable`: presence decides; values are kept for display.
pub type Abilities = Option<BTreeMap<String, Flag>>;

/// One ability, `null` included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Flag(pub bool);

impl<'de> Lenient<'de> for Abilities {
    fn read<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Texts::read(from)?.map(|table| table.into_iter().map(|(name, on)| (name, Flag(on == "true"))).collect()))
    }
}

body! {
    /// `HealthCheckRequest` and every other request whose fields do not matter.
    EmptyRequest {
        headers: Texts = "headers";
        request_id: Word = "requestId";
        any: Anything = "module";
    }
}

body! {
    /// `ServerReloadRequest`, of servers among themselves.
    ServerReloadRequest {
        reload_count: i32 = "reloadCount";
        reload_server: Option<String> = "reloadServer";
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerCheckResponse<'a> {
    pub connection_id: &'a str,
    pub support_ability_negotiation: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetupAckRequest {
    pub ability_table: BTreeMap<&'static str, bool>,
}

/// All three are absent when the client may choose the next server itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectResetRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_port: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::lenient::parse;

    fn setup(text: &str) -> ConnectionSetupRequest {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_empty_ability_table_is_present_and_null_is_not() {
        assert_eq!(setup(r#"{"abilityTable":{}}"#).ability_table, Some(BTreeMap::new()));
        assert_eq!(setup(r#"{"abilityTable":null}"#).ability_table, None);
        assert_eq!(setup("{}").ability_table, None);
        let table = setup(r#"{"abilityTable":{"lock":true,"mcp":false}}"#).ability_table.unwrap();
        assert_eq!((table["lock"], table["mcp"]), (Flag(true), Flag(false)));
    }

    #[test]
    fn absent_labels_are_empty_and_null_is_told_apart() {
        assert_eq!(setup("{}").labels, Some(BTreeMap::new()));
        assert_eq!(setup(r#"{"labels":null}"#).labels, None);
    }

    #[test]
    fn the_rust_sdks_setup_is_read() {
        let text = r#"{"clientVersion":"Nacos-Rust-Client:0.8.3","abilities":{"remoteAbility":{"a":true}},"tenant":"",
            "labels":{"source":"sdk","module":"naming"},"headers":{},"requestId":null}"#;
        let got = setup(text);
        assert_eq!(got.client_version.as_deref(), Some("Nacos-Rust-Client:0.8.3"));
        assert_eq!(got.labels.unwrap()["module"], "naming");
        assert_eq!(got.ability_table, None);
    }
}

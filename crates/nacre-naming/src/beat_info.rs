//! The `beat` parameter of 1.x heartbeats (RsInfo).

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::{Metadata, NacosError, digits};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::metadata::scalar;

/// What a full beat says of its instance. Load figures and unknown members are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire<'a> {
    ip: Option<String>,
    port: Option<serde_json::Value>,
    service_name: Option<String>,
    cluster: Option<String>,
    weight: Option<serde_json::Value>,
    #[serde(borrow)]
    metadata: Option<BTreeMap<Arc<str>, &'a RawValue>>,
    ephemeral: Option<serde_json::Value>,
}

/// A parsed full beat.
#[derive(Clone, Debug, PartialEq)]
pub struct BeatInfo {
    pub ip: String,
    pub port: i32,
    /// As sent, usually grouped; `""` when absent.
    pub service_name: String,
    pub cluster: String,
    /// 0.0 when absent, as in the reference.
    pub weight: f64,
    pub metadata: Arc<Metadata>,
    /// True when absent.
    pub ephemeral: bool,
}

impl BeatInfo {
    /// Reads the JSON. Numbers and booleans may come as text. Anything that is no such object fails with the
    /// reference's deserialisation error (code 101).
    pub fn parse(text: &str) -> Result<Self, NacosError> {
        let broken = || NacosError::runtime(101, "Nacos deserialize for class [RsInfo] failed. ");
        // A sequence would be taken for the fields in order.
        if !text.trim_start().starts_with('{') {
            return Err(broken());
        }
        let wire: Wire = serde_json::from_str(text).map_err(|_| broken())?;
        let port = match &wire.port {
            None | Some(serde_json::Value::Null) => 0,
            Some(value) => integer(value).ok_or_else(broken)?,
        };
        let weight = match &wire.weight {
            None | Some(serde_json::Value::Null) => 0.0,
            Some(value) => decimal(value).ok_or_else(broken)?,
        };
        let ephemeral = match &wire.ephemeral {
            None => true,
            Some(value) => boolean(value).ok_or_else(broken)?,
        };
        let mut metadata = Metadata::new();
        for (key, value) in wire.metadata.unwrap_or_default() {
            metadata.insert(key, scalar(value).ok_or_else(broken)?);
        }
        Ok(Self {
            ip: wire.ip.unwrap_or_default(),
            port,
            service_name: wire.service_name.unwrap_or_default(),
            cluster: wire.cluster.unwrap_or_default(),
            weight,
            metadata: Arc::new(metadata),
            ephemeral,
        })
    }
}

fn integer(value: &serde_json::Value) -> Option<i32> {
    match value {
        serde_json::Value::Number(number) => number.as_i64().and_then(|n| i32::try_from(n).ok()),
        serde_json::Value::String(text) => match text.trim() {
            "" | "null" => Some(0),
            text => digits::plain(text).parse().ok(),
        },
        _ => None,
    }
}

fn decimal(value: &serde_json::Value) -> Option<f64> {
    match value {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.trim().parse::<f64>().ok().filter(|n| n.is_finite()),
        _ => None,
    }
}

/// A primitive boolean of the reference: null is false.
fn boolean(value: &serde_json::Value) -> Option<bool> {
    match value {
        serde_json::Value::Bool(flag) => Some(*flag),
        serde_json::Value::Null => Some(false),
        serde_json::Value::String(text) => match text.trim() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

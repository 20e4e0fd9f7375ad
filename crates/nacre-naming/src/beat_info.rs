//! The `beat` parameter of 1.x heartbeats (RsInfo).

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::{Metadata, NacosError};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{decimal, first_json, scalar, truth, whole};

/// What a full beat says of its instance. Load figures and unknown members are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire<'a> {
    #[serde(borrow)]
    ip: Option<&'a RawValue>,
    port: Option<serde_json::Value>,
    #[serde(borrow)]
    service_name: Option<&'a RawValue>,
    #[serde(borrow)]
    cluster: Option<&'a RawValue>,
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
    /// Reads the JSON. Numbers and booleans may come as text and texts as either; what follows the object is not looked
    /// at. Anything that is no such object fails with the reference's deserialisation error (code 101).
    pub fn parse(text: &str) -> Result<Self, NacosError> {
        let broken = || NacosError::runtime(101, "Nacos deserialize for class [RsInfo] failed. ");
        // A sequence would be taken for the fields in order.
        if !text.trim_start().starts_with('{') {
            return Err(broken());
        }
        let wire: Wire = first_json(text).map_err(|_| broken())?;
        let port = match &wire.port {
            None | Some(serde_json::Value::Null) => 0,
            Some(value) => whole(value).ok_or_else(broken)?,
        };
        let weight = match &wire.weight {
            None | Some(serde_json::Value::Null) => 0.0,
            Some(value) => decimal(value).ok_or_else(broken)?,
        };
        let ephemeral = match &wire.ephemeral {
            None => true,
            Some(value) => truth(value).ok_or_else(broken)?,
        };
        let words = |value: Option<&RawValue>| match value {
            None => Ok(String::new()),
            Some(value) => scalar(value).map(|text| text.to_string()).ok_or_else(broken),
        };
        let mut metadata = Metadata::new();
        let named = wire.metadata.unwrap_or_default();
        for (key, value) in named.into_iter().filter(|(_, value)| value.get() != "null") {
            metadata.insert(key, scalar(value).ok_or_else(broken)?);
        }
        Ok(Self {
            ip: words(wire.ip)?,
            port,
            service_name: words(wire.service_name)?,
            cluster: words(wire.cluster)?,
            weight,
            metadata: Arc::new(metadata),
            ephemeral,
        })
    }
}

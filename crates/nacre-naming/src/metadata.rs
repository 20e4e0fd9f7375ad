//! Metadata of services, clusters and (the operator's layer of) instances, and the parsers of their text forms.

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::{ErrorCode, Metadata, NacosError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Selector,
    lenient::{first_json, scalar, whole},
};

/// What is durable about a service besides persistent instances. A service that only came into being through
/// registration has none, and consumers can tell: no protection, no selector (spec/naming.md 12.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceMetadata {
    pub ephemeral: bool,
    /// 0.0..=1.0 by intention; Nacos accepts and keeps anything.
    #[serde(with = "nacre_model::float")]
    pub protect_threshold: f64,
    pub selector: Selector,
    /// `extendData` in Nacos.
    pub metadata: Metadata,
    pub clusters: BTreeMap<Arc<str>, ClusterMetadata>,
}

impl ServiceMetadata {
    /// What operators set, in words: for the journal, when it goes.
    pub(crate) fn differences(&self) -> String {
        let mut set = Vec::new();
        if self.protect_threshold != 0.0 {
            set.push(format!("protectThreshold {}", self.protect_threshold));
        }
        if self.selector != Selector::default() {
            set.push("a selector".to_owned());
        }
        if !self.metadata.is_empty() {
            set.push(format!("{} metadata", self.metadata.len()));
        }
        let usual = ClusterMetadata::default();
        let clusters: Vec<&str> =
            self.clusters.iter().filter(|(_, it)| **it != usual).map(|(name, _)| &**name).collect();
        if !clusters.is_empty() {
            set.push(format!("settings of {}", clusters.join(", ")));
        }
        set.join(", ")
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterMetadata {
    pub health_checker: HealthChecker,
    /// Port of checks when `use_instance_port` is false.
    pub check_port: i32,
    pub use_instance_port: bool,
    /// `extendData` in Nacos.
    pub metadata: Metadata,
}

impl Default for ClusterMetadata {
    fn default() -> Self {
        Self {
            health_checker: HealthChecker::Tcp,
            check_port: 80,
            use_instance_port: true,
            metadata: Metadata::default(),
        }
    }
}

/// How persistent instances of a cluster are checked (spec/naming.md 10).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "UPPERCASE", rename_all_fields = "camelCase")]
pub enum HealthChecker {
    #[default]
    Tcp,
    Http {
        #[serde(default)]
        path: String,
        /// `k:v|k2:v2`.
        #[serde(default)]
        headers: String,
        #[serde(default = "ok_code")]
        expected_response_code: i32,
    },
    Mysql {
        #[serde(default)]
        user: Option<String>,
        #[serde(default)]
        pwd: Option<String>,
        #[serde(default)]
        cmd: Option<String>,
    },
    /// No probe; an unknown type is kept as this one.
    None,
}

fn ok_code() -> i32 {
    200
}

impl HealthChecker {
    /// Reads a `healthChecker` parameter. Numbers may come as text and texts as numbers, null is the type's nothing (0, no
    /// text). Text that is no JSON object answers with Nacos's status 101 (adapters decide what HTTP status that becomes).
    pub fn parse(text: &str) -> Result<Self, NacosError> {
        let broken = || NacosError::runtime(101, "Nacos deserialize for class [AbstractHealthChecker] failed. ");
        let object: BTreeMap<String, &RawValue> = first_json(text).map_err(|_| broken())?;
        let words = |name: &str| match object.get(name) {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) => scalar(value).map(|text| Some(text.to_string())).ok_or_else(broken),
        };
        Ok(match words("type")?.as_deref() {
            Some("TCP") => Self::Tcp,
            Some("HTTP") => Self::Http {
                path: words("path")?.unwrap_or_default(),
                headers: words("headers")?.unwrap_or_default(),
                expected_response_code: match object.get("expectedResponseCode") {
                    None => ok_code(),
                    Some(code) => serde_json::from_str(code.get()).ok().as_ref().and_then(whole).ok_or_else(broken)?,
                },
            },
            Some("MYSQL") => Self::Mysql { user: words("user")?, pwd: words("pwd")?, cmd: words("cmd")? },
            _ => Self::None,
        })
    }

    /// The `type` word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Http { .. } => "HTTP",
            Self::Mysql { .. } => "MYSQL",
            Self::None => "NONE",
        }
    }
}

/// The operator's record of one instance: weight and enabled win over the client's, metadata keys lie over the client's
/// (spec/naming.md 4). A full update sets both; where an operator only touched metadata they stay `None` and the client
/// keeps its say (the reference fills in 1.0 and true, which silently undoes a client's weight).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InstanceMetadata {
    #[serde(with = "nacre_model::float::option")]
    pub weight: Option<f64>,
    pub enabled: Option<bool>,
    pub metadata: Metadata,
}

/// Reads a `metadata` parameter: a JSON object, or `k=v,k2=v2`; blank and `null` are empty. Numbers and booleans of the
/// JSON form become text, keys of null are as if not named; nested values are refused. As in the reference what follows
/// the object is not looked at, and empty pairs at the end do not count.
pub fn parse_metadata(text: &str) -> Result<Metadata, NacosError> {
    read_metadata(text, |value| value.get() != "null")
}

/// The keys that a `metadata` parameter names, whatever their values.
pub fn parse_metadata_keys(text: &str) -> Result<Vec<Arc<str>>, NacosError> {
    Ok(read_metadata(text, |_| true)?.into_keys().collect())
}

fn read_metadata(text: &str, counts: impl Fn(&RawValue) -> bool) -> Result<Metadata, NacosError> {
    let wrong =
        || NacosError::new(400, ErrorCode::INSTANCE_METADATA_ERROR, format!("metadata format incorrect:{text}"));
    if matches!(text.trim(), "" | "null") {
        return Ok(Metadata::new());
    }
    if let Ok(object) = first_json::<BTreeMap<Arc<str>, &RawValue>>(text) {
        let pairs = object.into_iter().filter(|(_, value)| counts(value));
        return pairs.map(|(key, value)| scalar(value).map(|text| (key, text)).ok_or_else(wrong)).collect();
    }
    let mut pairs: Vec<&str> = text.split(',').collect();
    while pairs.last().is_some_and(|pair| pair.is_empty()) {
        pairs.pop();
    }
    pairs
        .into_iter()
        .map(|pair| match pair.split('=').collect::<Vec<_>>()[..] {
            [key, value] if !value.is_empty() => Ok((key.into(), value.into())),
            _ => Err(wrong()),
        })
        .collect()
}

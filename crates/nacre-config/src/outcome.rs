//! What applying a command yields: the reply for the caller, what others must hear, and rows for the store.

use std::sync::Arc;

use nacre_model::{ConfigKey, ErrorCode, Event, NacosError};
use serde::{Deserialize, Serialize};

use crate::{CapacityRow, FormalConfig, GrayConfig, HistoryRow, Namespace};

/// The result of one command.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub reply: ConfigReply,
    pub effects: ConfigEffects,
    /// In order; together with the applied position they are one transaction.
    pub ops: Vec<StoreOp>,
}

/// What others must hear of.
#[derive(Clone, Debug, Default)]
pub struct ConfigEffects {
    /// To the journal, before anything else.
    pub events: Vec<Event>,
    /// Keys of which some version really changed (md5 or gray rule); republished identical content is not here.
    pub changed: Vec<ConfigChange>,
}

/// One key whose listeners may have to hear. Ask [`crate::Listeners::affected`] and [`crate::FuzzyWatch::changed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub key: ConfigKey,
    /// The gray version that changed; `None` is the formal one.
    pub gray: Option<Arc<str>>,
    /// Did the key as a whole (any version) come or go?
    pub existence: Existence,
    /// Milliseconds.
    pub modified: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existence {
    #[default]
    Unchanged,
    Appeared,
    Vanished,
}

/// The caller's answer. Crosses nodes, so it is serialisable; [`ConfigReply::into_result`] is what adapters use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConfigReply {
    #[default]
    Done,
    Published(Published),
    /// Of a removal that named things: how many existed.
    Removed {
        count: u32,
    },
    Imported(ImportReport),
    Refused(Refusal),
}

impl ConfigReply {
    /// Refusals as Nacos's errors.
    pub fn into_result(self) -> Result<Self, NacosError> {
        match self {
            Self::Refused(refusal) => Err(refusal.into()),
            other => Ok(other),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Published {
    /// `config_info.id`, or `config_info_gray.id` of a gray publish.
    pub id: u64,
    pub md5: Arc<str>,
    pub modified: i64,
    pub created: bool,
}

/// What an import or clone did; the lists hold dataId and group of the items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ImportReport {
    pub succeeded: u32,
    pub skipped: Vec<ConfigKey>,
    pub failed: Vec<ConfigKey>,
    /// Source ids of a clone that do not exist.
    pub unknown: Vec<u64>,
    /// A conflict under ABORT, or a refusal, ended it.
    pub aborted: bool,
    /// The item that was refused for another reason than a conflict, and why; the ones before it stay.
    pub refused: Option<(ConfigKey, Refusal)>,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// The stored md5 is another one.
    CasConflict {
        gray: bool,
        actual: Arc<str>,
    },
    /// `only_if_absent` and it exists.
    AlreadyExists {
        key: ConfigKey,
    },
    /// `UpdateMetadata` of a config that does not exist.
    NotFound,
    GrayOverLimit {
        max: u32,
    },
    GrayRuleInvalid {
        detail: String,
    },
    GrayVersionInvalid,
    NamespaceUnknown {
        id: Arc<str>,
    },
    NamespaceExists {
        id: Arc<str>,
    },
    Capacity {
        what: CapacityLimit,
        key: ConfigKey,
    },
}

/// Which capacity limit a publish hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CapacityLimit {
    Cluster,
    Group,
    Tenant,
    /// Content size, of a new config.
    Size,
    /// Content size, of an existing one (another text in the reference).
    SizeOnUpdate,
}

impl From<Refusal> for NacosError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::CasConflict { gray, .. } => NacosError::new(
                500,
                ErrorCode::RESOURCE_CONFLICT,
                if gray {
                    "Cas publish gray config fail, server md5 may have changed."
                } else {
                    "Cas publish fail, server md5 may have changed."
                },
            ),
            Refusal::AlreadyExists { key } => NacosError::new(
                410,
                ErrorCode::RESOURCE_CONFLICT,
                format!(
                    "config already exist, dataId: {}, group: {}, namespaceId: {}",
                    key.data_id, key.group, key.namespace
                ),
            ),
            Refusal::NotFound => {
                NacosError::not_found(ErrorCode::RESOURCE_NOT_FOUND, "Config not exist, please publish Config first.")
            }
            Refusal::GrayOverLimit { max } => NacosError::new(
                400,
                ErrorCode::CONFIG_GRAY_OVER_MAX_VERSION_COUNT,
                format!("gray config version is over max count :{max}"),
            ),
            Refusal::GrayRuleInvalid { detail } => {
                NacosError::new(400, ErrorCode::CONFIG_GRAY_RULE_FORMAT_INVALID, detail)
            }
            Refusal::GrayVersionInvalid => NacosError::new(
                400,
                ErrorCode::CONFIG_GRAY_VERSION_INVALID,
                ErrorCode::CONFIG_GRAY_VERSION_INVALID.text,
            ),
            Refusal::NamespaceUnknown { id } => NacosError::not_found(
                ErrorCode::NAMESPACE_NOT_EXIST,
                format!("Namespace '{id}' does not exist. Please create the namespace first."),
            ),
            Refusal::NamespaceExists { id } => {
                NacosError::new(400, ErrorCode::NAMESPACE_ALREADY_EXIST, format!("namespaceId [{id}] already exist."))
            }
            Refusal::Capacity { what, key } => {
                let (code, text) = match what {
                    CapacityLimit::Cluster => (5031, "cluster capacity reach quota"),
                    CapacityLimit::Group => (5032, "group capacity reach quota"),
                    CapacityLimit::Tenant => (5033, "tenant capacity reach quota"),
                    CapacityLimit::Size | CapacityLimit::SizeOnUpdate => (5034, "config content size is over limit"),
                };
                let what = if what == CapacityLimit::SizeOnUpdate {
                    "Configuration content size limit exceeded"
                } else {
                    "Configuration limit exceeded"
                };
                NacosError::new(
                    code,
                    ErrorCode { code, text },
                    format!("{what} [group={}, namespaceId={}].", key.group, key.namespace),
                )
            }
        }
    }
}

/// One change of the database. Rows are whole: writing one again changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreOp {
    /// Writes the row of `config_info` (by id) and, when `tags` is set, replaces its tag rows.
    PutConfig {
        key: ConfigKey,
        config: Arc<FormalConfig>,
        replace_tags: bool,
    },
    DeleteConfig {
        id: u64,
    },
    PutGray {
        key: ConfigKey,
        gray: Arc<GrayConfig>,
    },
    DeleteGray {
        id: u64,
    },
    AddHistory(HistoryRow),
    /// Rows modified before this time, milliseconds.
    PurgeHistory {
        before: i64,
    },
    PutNamespace(Namespace),
    DeleteNamespace {
        id: Arc<str>,
    },
    PutCapacity(CapacityRow),
}

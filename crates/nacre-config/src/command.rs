//! Commands of the config core, as they travel the write road (self-describing named maps; every field has a default,
//! so that a newer or older log reads).

use std::sync::Arc;

use nacre_model::ConfigKey;
use serde::{Deserialize, Serialize};

use crate::{ConfigMeta, GrayTarget};

/// A change of durable config state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConfigCommand {
    Publish(Box<Publish>),
    Remove(Remove),
    /// Formal configs by `config_info.id`; unknown ids are skipped.
    RemoveIds(RemoveIds),
    Import(Import),
    Clone(CloneConfigs),
    UpdateMetadata(UpdateMetadata),
    CreateNamespace(NamespaceForm),
    /// Also of an unknown id: done, and nothing changes.
    UpdateNamespace(NamespaceForm),
    /// Only the namespace's row; its configs stay.
    DeleteNamespace {
        id: Arc<str>,
    },
    SetCapacity(SetCapacity),
    PurgeHistory(PurgeHistory),
}

impl ConfigCommand {
    /// The one config it is about.
    pub fn key(&self) -> Option<&ConfigKey> {
        match self {
            Self::Publish(publish) => Some(&publish.key),
            Self::Remove(remove) => Some(&remove.key),
            Self::UpdateMetadata(update) => Some(&update.key),
            _ => None,
        }
    }
}

/// What the proposing node's settings say, carried in the command so that every node decides alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rules {
    /// `nacos.config.gray.version.max.count`.
    pub gray_max: u32,
    /// `isCapacityLimitCheck` with its defaults; `None` is off, as delivered.
    pub capacity: Option<CapacityRules>,
    /// `nacos.core.namespace.validation.enabled`: refuse writes into namespaces nobody created.
    pub namespace_must_exist: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { gray_max: 10, capacity: None, namespace_must_exist: false }
    }
}

/// Defaults for scopes that have no row of their own, or 0 in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CapacityRules {
    pub cluster_quota: u32,
    pub tenant_quota: u32,
    pub group_quota: u32,
    /// Bytes of one config.
    pub max_size: u32,
    /// `initialExpansionPercent`: a scope that is already full when its row is created gets room for this much of the
    /// default quota on top of what it holds.
    pub initial_expansion_percent: u32,
}

impl Default for CapacityRules {
    fn default() -> Self {
        Self {
            cluster_quota: 100_000,
            tenant_quota: 200,
            group_quota: 200,
            max_size: 100 * 1024,
            initial_expansion_percent: 100,
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Source {
    pub user: Option<Arc<str>>,
    pub ip: Arc<str>,
}

/// A publish of the formal version or of a gray one. Checked by [`crate::check`] before it is proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    pub key: ConfigKey,
    pub content: Arc<str>,
    /// Non-blank: only if the stored md5 is exactly this (or the config does not exist).
    #[serde(default)]
    pub cas_md5: Option<String>,
    /// `None`: the formal version.
    #[serde(default)]
    pub gray: Option<GrayTarget>,
    /// Of the formal version; a gray publish takes only `app_name` from it. An empty `app_name` keeps the stored one,
    /// unless `replace_app`; `tags` counts only with `replace_tags`.
    #[serde(default)]
    pub meta: ConfigMeta,
    /// The request named `config_tags` (even empty): replace the tags. Otherwise they stay.
    #[serde(default)]
    pub replace_tags: bool,
    /// The request named an application (even empty): replace it.
    #[serde(default)]
    pub replace_app: bool,
    #[serde(default)]
    pub encrypted_data_key: Arc<str>,
    #[serde(default)]
    pub source: Source,
    /// Refuse when the config exists.
    #[serde(default)]
    pub only_if_absent: bool,
    #[serde(default)]
    pub rules: Rules,
}

impl Publish {
    /// A plain publish of text.
    pub fn new(key: ConfigKey, content: impl Into<Arc<str>>) -> Self {
        Self {
            key,
            content: content.into(),
            cas_md5: None,
            gray: None,
            meta: ConfigMeta { config_type: Some("text".into()), ..ConfigMeta::default() },
            replace_tags: false,
            replace_app: false,
            encrypted_data_key: "".into(),
            source: Source::default(),
            only_if_absent: false,
            rules: Rules::default(),
        }
    }

    /// Takes a `config_tags` parameter: absent keeps the tags, blank clears them.
    pub fn with_tags_param(mut self, config_tags: Option<&str>) -> Self {
        if let Some(text) = config_tags {
            self.replace_tags = true;
            self.meta.tags = split_tags(text);
        }
        self
    }

    /// Takes an `appName` parameter: absent keeps the application, blank clears it.
    pub fn with_app_param(mut self, app_name: Option<&str>) -> Self {
        if let Some(text) = app_name {
            self.replace_app = true;
            self.meta.app_name = if text.trim().is_empty() { "" } else { text }.into();
        }
        self
    }
}

/// The parts of a `config_tags` text, each with its blanks as the reference keeps them; without blank ones and duplicates,
/// in order.
pub fn split_tags(text: &str) -> Vec<Arc<str>> {
    let mut tags: Vec<Arc<str>> = Vec::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        if !tags.iter().any(|tag| &**tag == part) {
            tags.push(part.into());
        }
    }
    tags
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remove {
    pub key: ConfigKey,
    #[serde(default)]
    pub target: RemoveTarget,
    #[serde(default)]
    pub source: Source,
}

/// What a removal removes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RemoveTarget {
    /// The formal version; gray versions stay and go on being served to those they match.
    #[default]
    Formal,
    Beta,
    /// A tag, with or without the prefix `tag_`.
    Tag {
        tag: String,
    },
    /// A gray version by its stored name.
    Gray {
        name: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RemoveIds {
    pub ids: Vec<u64>,
    pub source: Source,
}

/// What to do with an item whose config exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConflictPolicy {
    /// Stop: the first conflict fails, the rest is skipped, what was written stays.
    #[default]
    Abort,
    Skip,
    Overwrite,
}

impl ConflictPolicy {
    /// `ABORT`, `SKIP`, `OVERWRITE`; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "ABORT" => Some(Self::Abort),
            "SKIP" => Some(Self::Skip),
            "OVERWRITE" => Some(Self::Overwrite),
            _ => None,
        }
    }
}

/// Items in order, each with all it carries. `meta.config_type` `None` keeps none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Import {
    pub items: Vec<ImportItem>,
    pub policy: ConflictPolicy,
    pub source: Source,
    pub rules: Rules,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportItem {
    pub key: ConfigKey,
    pub content: Arc<str>,
    #[serde(default)]
    pub meta: ConfigMeta,
    /// The metadata named tags: replace them.
    #[serde(default)]
    pub replace_tags: bool,
    /// The metadata named an application (even empty): replace it.
    #[serde(default)]
    pub replace_app: bool,
    #[serde(default)]
    pub encrypted_data_key: Arc<str>,
}

/// Copies formal configs into a namespace: content, type, appName, desc and data key; not tags, use, effect, schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloneConfigs {
    pub items: Vec<CloneItem>,
    /// Target namespace.
    pub namespace: Arc<str>,
    #[serde(default)]
    pub policy: ConflictPolicy,
    #[serde(default)]
    pub source: Source,
    #[serde(default)]
    pub rules: Rules,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloneItem {
    /// `config_info.id` of the source.
    pub id: u64,
    /// Blank: as the source.
    #[serde(default)]
    pub data_id: String,
    #[serde(default)]
    pub group: String,
}

/// Changes the description or tags of a formal config without a publish (Nacos 3.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateMetadata {
    pub key: ConfigKey,
    /// `None` keeps it.
    #[serde(default)]
    pub desc: Option<Arc<str>>,
    /// `None` keeps them.
    #[serde(default)]
    pub tags: Option<Vec<Arc<str>>>,
    #[serde(default)]
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceForm {
    /// Never blank: the adapter draws a UUID when the caller gave none.
    pub id: Arc<str>,
    pub name: Arc<str>,
    #[serde(default)]
    pub desc: Option<Arc<str>>,
}

/// Whose capacity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CapacityScope {
    /// The row with the empty group.
    Cluster,
    Group(Arc<str>),
    Tenant(Arc<str>),
}

impl CapacityScope {
    /// The scope as its stored row is read back: a namespace in its one spelling, the group without a name as the
    /// cluster. Two spellings of one row would be two rows.
    pub(crate) fn canonical(&self) -> Self {
        match self {
            Self::Group(group) if group.is_empty() => Self::Cluster,
            Self::Tenant(tenant) => Self::Tenant(nacre_model::key::namespace(tenant).into()),
            other => other.clone(),
        }
    }
}

/// Creates the row when it is not there; `None` leaves a value (a plain creation names none).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetCapacity {
    pub scope: CapacityScope,
    #[serde(default)]
    pub quota: Option<i32>,
    #[serde(default)]
    pub max_size: Option<i32>,
    #[serde(default)]
    pub max_aggr_count: Option<i32>,
    #[serde(default)]
    pub max_aggr_size: Option<i32>,
    /// For the quota of a row that is created full.
    #[serde(default)]
    pub defaults: CapacityRules,
}

/// Drops history rows older than this wall-clock time in milliseconds, until none is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeHistory {
    pub before: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_their_blanks() {
        let split = |text| split_tags(text).join("|");
        assert_eq!(split("a, b , ,c,,a,"), "a| b |c");
        assert_eq!(split(" , "), "");
    }
}

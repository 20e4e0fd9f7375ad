//! History rows: what a publish or removal leaves behind, and the JSON of `ext_info`.

use std::sync::Arc;

use nacre_model::ConfigKey;
use serde::Serialize;

use crate::{FormalConfig, GrayConfig};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryOp {
    /// The row holds the new content.
    Insert,
    /// The row holds the old content, with user, address and time of the change.
    Update,
    /// The row holds the removed content.
    Delete,
}

impl HistoryOp {
    pub fn letter(self) -> &'static str {
        match self {
            Self::Insert => "I",
            Self::Update => "U",
            Self::Delete => "D",
        }
    }

    /// Reads a stored letter, blank-padded or not.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "I" => Some(Self::Insert),
            "U" => Some(Self::Update),
            "D" => Some(Self::Delete),
            _ => None,
        }
    }

    /// As the CHAR(10) column of the reference's embedded store shows it in answers.
    pub fn padded(self) -> &'static str {
        match self {
            Self::Insert => "I         ",
            Self::Update => "U         ",
            Self::Delete => "D         ",
        }
    }
}

/// One row of `his_config_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    pub nid: u64,
    /// Id of the config (or of its gray version); the reference's external stores write 0 for inserts.
    pub id: u64,
    pub key: ConfigKey,
    pub app_name: Arc<str>,
    pub content: Arc<str>,
    pub md5: Arc<str>,
    /// Milliseconds of the operation.
    pub created: i64,
    pub modified: i64,
    pub src_user: Option<Arc<str>>,
    pub src_ip: Arc<str>,
    pub op: HistoryOp,
    pub encrypted_data_key: Arc<str>,
    /// Empty: the formal version.
    pub gray_name: Arc<str>,
    /// JSON.
    pub ext_info: Arc<str>,
}

impl HistoryRow {
    pub fn publish_type(&self) -> &'static str {
        if self.gray_name.is_empty() { "formal" } else { "gray" }
    }
}

/// Keys of a formal row's `ext_info`, in the order of the reference; absent values are left out.
#[derive(Serialize)]
struct FormalExt<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    config_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_tags: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_desc: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_use: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_schema: Option<&'a str>,
}

#[derive(Serialize)]
struct GrayExt<'a> {
    gray_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_user: Option<&'a str>,
    gray_rule: String,
}

#[derive(Serialize)]
struct GrayRuleExt<'a> {
    r#type: &'a str,
    expr: &'a str,
    version: &'a str,
    priority: String,
}

/// `ext_info` of a formal row.
pub fn formal_ext(config: &FormalConfig) -> Arc<str> {
    let meta = &config.meta;
    let ext = FormalExt {
        config_type: meta.config_type.as_deref(),
        config_tags: meta.tags_text(),
        src_user: config.source.user.as_deref(),
        c_desc: meta.desc.as_deref(),
        c_use: meta.r#use.as_deref(),
        effect: meta.effect.as_deref(),
        c_schema: meta.schema.as_deref(),
    };
    // Structs of texts always serialise.
    serde_json::to_string(&ext).unwrap_or_default().into()
}

/// `ext_info` of a gray row: the rule as a text inside, its priority as a text inside that.
pub fn gray_ext(gray: &GrayConfig) -> Arc<str> {
    let rule = GrayRuleExt {
        r#type: gray.rule.kind(),
        expr: gray.rule.expr(),
        version: gray.rule.version(),
        priority: gray.rule.priority().to_string(),
    };
    let ext = GrayExt {
        gray_name: &gray.name,
        src_user: gray.src_user.as_deref(),
        gray_rule: serde_json::to_string(&rule).unwrap_or_default(),
    };
    serde_json::to_string(&ext).unwrap_or_default().into()
}

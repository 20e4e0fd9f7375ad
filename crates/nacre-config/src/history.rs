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

/// Keys of a formal row's `ext_info`, in the reference's order: that of an insert, and that of everything else.
const INSERT_ORDER: [usize; 7] = [3, 6, 5, 2, 0, 1, 4];
const OTHER_ORDER: [usize; 7] = [0, 1, 2, 3, 4, 5, 6];

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

/// `ext_info` of a formal row; what is blank is left out.
pub fn formal_ext(config: &FormalConfig, op: HistoryOp) -> Arc<str> {
    let (meta, tags) = (&config.meta, config.meta.tags_text());
    let values = [
        ("type", meta.config_type.as_deref()),
        ("config_tags", tags.as_deref()),
        ("effect", meta.effect.as_deref()),
        ("src_user", config.source.user.as_deref()),
        ("c_desc", meta.desc.as_deref()),
        ("c_use", meta.r#use.as_deref()),
        ("c_schema", meta.schema.as_deref()),
    ];
    let order = if op == HistoryOp::Insert { INSERT_ORDER } else { OTHER_ORDER };
    let mut ext = String::from("{");
    for (name, value) in order.map(|at| values[at]) {
        let Some(value) = value.filter(|value| !value.trim().is_empty()) else { continue };
        let comma = if ext.len() > 1 { "," } else { "" };
        // A text always serialises.
        let value = serde_json::to_string(value).unwrap_or_default();
        ext.extend([comma, "\"", name, "\":", &value]);
    }
    ext.push('}');
    ext.into()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConfigMeta, Source};

    #[test]
    fn an_insert_names_its_extras_in_another_order_than_the_rest() {
        let text = |text: &str| Some(Arc::from(text));
        let meta = ConfigMeta {
            config_type: text("yaml"),
            desc: text("d"),
            r#use: text("u"),
            effect: text("e"),
            schema: text("s"),
            tags: vec!["t1".into(), "t2".into()],
            ..ConfigMeta::default()
        };
        let source = Source { user: text("me"), ..Source::default() };
        let mut config = FormalConfig {
            id: 1,
            content: "c".into(),
            md5: "m".into(),
            meta: Arc::new(meta),
            encrypted_data_key: "".into(),
            created: 0,
            modified: 0,
            source: Arc::new(source),
        };
        assert_eq!(
            &*formal_ext(&config, HistoryOp::Insert),
            r#"{"src_user":"me","c_schema":"s","c_use":"u","effect":"e","type":"yaml","config_tags":"t1,t2","c_desc":"d"}"#
        );
        for op in [HistoryOp::Update, HistoryOp::Delete] {
            assert_eq!(
                &*formal_ext(&config, op),
                r#"{"type":"yaml","config_tags":"t1,t2","effect":"e","src_user":"me","c_desc":"d","c_use":"u","c_schema":"s"}"#
            );
        }
        config.meta = Arc::new(ConfigMeta { config_type: text("text"), desc: text(" "), ..ConfigMeta::default() });
        config.source = Arc::default();
        assert_eq!(&*formal_ext(&config, HistoryOp::Update), r#"{"type":"text"}"#);
    }
}

//! Gray versions: who asks, the rules that pick a version for an asker, and their stored JSON form.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// Labels of a connection: `AppName`, `ClientVersion`, and every set-up label that began with `app_`, without it.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// The label that holds the asker's address.
pub const CLIENT_IP: &str = "ClientIp";
/// The label (and HTTP or gRPC header) that selects a tag version.
pub const VIPSERVER_TAG: &str = "Vipserver-Tag";

/// Name of the gray version of a beta publish.
pub const BETA: &str = "beta";
/// Prefix of the gray name of a tag publish.
pub const TAG_PREFIX: &str = "tag_";
/// Priorities of the reference: beta before tags.
pub const BETA_PRIORITY: i32 = i32::MAX;
pub const TAG_PRIORITY: i32 = i32::MAX - 1;
/// The rule version beta and tag rules are written with.
pub const RULE_VERSION: &str = "1.0.0";

/// Who reads or listens, as far as gray rules look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'a> {
    /// The client's address as the server sees it.
    pub ip: &'a str,
    /// The `tag` a read names: if no version matches, the answer is "no such tag" and not the formal version.
    pub tag: Option<&'a str>,
    /// The header `Vipserver-Tag`: falls back to the formal version.
    pub auto_tag: Option<&'a str>,
    /// Application labels of a gRPC connection; ignored when `tag` is given (Nacos 3.1 `ConfigQueryRequestHandler`).
    pub labels: Option<&'a Labels>,
}

impl<'a> Asker<'a> {
    pub fn ip(ip: &'a str) -> Self {
        Self { ip, ..Self::default() }
    }

    /// The explicit tag, if it is not blank.
    pub fn explicit_tag(&self) -> Option<&'a str> {
        self.tag.filter(|tag| !tag.trim().is_empty())
    }

    fn vipserver_tag(&self) -> Option<&'a str> {
        self.explicit_tag()
            .or(self.auto_tag.filter(|tag| !tag.trim().is_empty()))
            .or_else(|| self.labels.and_then(|labels| labels.get(VIPSERVER_TAG)).map(|value| &**value))
    }
}

/// An [`Asker`] that listeners keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskerBuf {
    pub ip: Arc<str>,
    pub auto_tag: Option<Arc<str>>,
    pub labels: Option<Arc<Labels>>,
}

impl AskerBuf {
    pub fn ip(ip: &str) -> Self {
        Self { ip: ip.into(), auto_tag: None, labels: None }
    }

    pub fn as_asker(&self) -> Asker<'_> {
        Asker { ip: &self.ip, tag: None, auto_tag: self.auto_tag.as_deref(), labels: self.labels.as_deref() }
    }
}

/// The stored form of a rule: `{"type","version","expr","priority"}` in this order. `priority` is read from a number or
/// from its text (history rows hold text).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleJson<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    #[serde(borrow)]
    pub expr: Cow<'a, str>,
    #[serde(deserialize_with = "number_or_text")]
    pub priority: i32,
    /// The version was left behind by the removal of its config and is served to nobody; only rows say so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asleep: bool,
}

fn number_or_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i32),
        Text(String),
    }
    match Either::deserialize(from)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.trim().parse().map_err(serde::de::Error::custom),
    }
}

/// A rule that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrayRule {
    kind: Kind,
    /// As given; shown in answers.
    expr: Arc<str>,
    priority: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Addresses, trimmed.
    Beta(BTreeSet<Arc<str>>),
    Tag,
}

impl GrayRule {
    /// Comma list of addresses. Blanks around addresses do not matter; what is no address matches nobody (accepted, as
    /// in the reference).
    pub fn beta(ips: &str, priority: i32) -> Self {
        let set = ips.split(',').map(str::trim).filter(|ip| !ip.is_empty()).map(Arc::from).collect();
        Self { kind: Kind::Beta(set), expr: ips.into(), priority }
    }

    pub fn tag(tag: &str, priority: i32) -> Self {
        Self { kind: Kind::Tag, expr: tag.into(), priority }
    }

    /// Understands `type`, `version` and `expr`; an unknown type or version is refused with 20012, a bad expression
    /// with 20011 (Nacos 3.1 `GrayRuleManager`).
    pub fn new(kind: &str, version: &str, expr: &str, priority: i32) -> Result<Self, Refusal> {
        if version != RULE_VERSION {
            return Err(Refusal::GrayVersionInvalid);
        }
        match kind {
            "beta" | "tag" if expr.trim().is_empty() => {
                Err(Refusal::GrayRuleInvalid { detail: "blank rule expression".into() })
            }
            "beta" => Ok(Self::beta(expr, priority)),
            "tag" => Ok(Self::tag(expr, priority)),
            _ => Err(Refusal::GrayVersionInvalid),
        }
    }

    /// Reads the form that answers show. Old rows may hold a priority of either spelling.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse_row(text).map(|(rule, _)| rule)
    }

    /// Reads the stored form: the rule, and whether its version sleeps.
    pub fn parse_row(text: &str) -> Result<(Self, bool), Refusal> {
        let json: RuleJson<'_> =
            serde_json::from_str(text).map_err(|error| Refusal::GrayRuleInvalid { detail: error.to_string() })?;
        Ok((Self::new(&json.kind, &json.version, &json.expr, json.priority)?, json.asleep))
    }

    /// The form that answers show, in the reference's field order.
    pub fn to_json(&self) -> String {
        self.to_row(false)
    }

    /// The stored form: as shown, and whether the version sleeps.
    pub fn to_row(&self, asleep: bool) -> String {
        let json = RuleJson {
            kind: self.kind().into(),
            version: RULE_VERSION.into(),
            expr: (&*self.expr).into(),
            priority: self.priority,
            asleep,
        };
        // A struct of texts and a number always serialises.
        serde_json::to_string(&json).unwrap_or_default()
    }

    /// `beta` or `tag`.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Beta(_) => "beta",
            Kind::Tag => "tag",
        }
    }

    pub fn version(&self) -> &'static str {
        RULE_VERSION
    }

    /// Beta: the addresses as given. Tag: the tag.
    pub fn expr(&self) -> &str {
        &self.expr
    }

    pub fn priority(&self) -> i32 {
        self.priority
    }

    pub fn is_beta(&self) -> bool {
        matches!(self.kind, Kind::Beta(_))
    }

    pub fn matches(&self, asker: &Asker<'_>) -> bool {
        match &self.kind {
            Kind::Beta(ips) => ips.contains(asker.ip),
            Kind::Tag => asker.vipserver_tag() == Some(&*self.expr),
        }
    }
}

/// Which version a publish writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GrayTarget {
    /// Comma list of addresses.
    Beta { ips: String },
    /// A tag; stored under the gray name `tag_<tag>`.
    Tag { tag: String },
    /// Any rule by name.
    Rule { name: String, kind: String, version: String, expr: String, priority: i32 },
}

impl GrayTarget {
    /// What the `betaIps` header and the `tag` parameter of a publish mean: beta first, then tag, else formal.
    pub fn from_params(beta_ips: Option<&str>, tag: Option<&str>) -> Option<Self> {
        let filled = |text: &&str| !text.trim().is_empty();
        if let Some(ips) = beta_ips.filter(filled) {
            return Some(Self::Beta { ips: ips.to_owned() });
        }
        tag.filter(filled).map(|tag| Self::Tag { tag: tag.to_owned() })
    }

    /// The name the version is stored under.
    pub fn name(&self) -> String {
        match self {
            Self::Beta { .. } => BETA.to_owned(),
            Self::Tag { tag } => format!("{TAG_PREFIX}{tag}"),
            Self::Rule { name, .. } => name.clone(),
        }
    }

    /// The rule, held to what [`GrayRule::parse`] takes: a version that is accepted can be loaded again.
    pub fn rule(&self) -> Result<GrayRule, Refusal> {
        match self {
            Self::Beta { ips } => GrayRule::new("beta", RULE_VERSION, ips, BETA_PRIORITY),
            Self::Tag { tag } => GrayRule::new("tag", RULE_VERSION, tag, TAG_PRIORITY),
            Self::Rule { kind, version, expr, priority, .. } => GrayRule::new(kind, version, expr, *priority),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rule_is_stored_in_the_references_field_order() {
        let rule = GrayRule::beta("1.1.1.1,2.2.2.2", BETA_PRIORITY);
        assert_eq!(
            rule.to_json(),
            r#"{"type":"beta","version":"1.0.0","expr":"1.1.1.1,2.2.2.2","priority":2147483647}"#
        );
        assert_eq!(GrayRule::parse(&rule.to_json()).unwrap(), rule);
    }

    #[test]
    fn a_row_says_whether_its_version_sleeps() {
        let rule = GrayRule::tag("t", TAG_PRIORITY);
        assert_eq!(rule.to_row(false), rule.to_json());
        for asleep in [false, true] {
            assert_eq!(GrayRule::parse_row(&rule.to_row(asleep)), Ok((rule.clone(), asleep)));
        }
    }

    #[test]
    fn a_priority_written_as_text_is_read() {
        let rule = GrayRule::parse(r#"{"type":"tag","version":"1.0.0","expr":"t","priority":"2147483646"}"#).unwrap();
        assert_eq!(rule, GrayRule::tag("t", TAG_PRIORITY));
    }

    #[test]
    fn blanks_around_beta_addresses_do_not_matter() {
        let rule = GrayRule::beta(" 10.0.0.1 ,10.0.0.2, ", BETA_PRIORITY);
        assert!(rule.matches(&Asker::ip("10.0.0.1")));
        assert!(rule.matches(&Asker::ip("10.0.0.2")));
        assert!(!rule.matches(&Asker::ip("")));
        assert!(!rule.matches(&Asker::ip("10.0.0")));
        assert!(!GrayRule::beta(" , ", BETA_PRIORITY).matches(&Asker::ip("")));
    }

    #[test]
    fn a_tag_is_read_from_the_request_then_the_header_then_the_label() {
        let rule = GrayRule::tag("t1", TAG_PRIORITY);
        let mut labels = Labels::new();
        labels.insert(VIPSERVER_TAG.into(), "t1".into());
        let from_label = Asker { labels: Some(&labels), ..Asker::ip("1") };
        assert!(rule.matches(&from_label));
        assert!(rule.matches(&Asker { auto_tag: Some("t1"), ..Asker::ip("1") }));
        assert!(rule.matches(&Asker { tag: Some("t1"), auto_tag: Some("t2"), ..Asker::ip("1") }));
        assert!(!rule.matches(&Asker { tag: Some("t2"), ..from_label }));
        assert!(rule.matches(&Asker { tag: Some(" "), ..from_label }), "a blank tag is none");
    }

    #[test]
    fn unknown_rules_are_refused_with_their_codes() {
        assert_eq!(GrayRule::new("percent", "1.0.0", "50", 1), Err(Refusal::GrayVersionInvalid));
        assert_eq!(GrayRule::new("beta", "2.0.0", "1.1.1.1", 1), Err(Refusal::GrayVersionInvalid));
        assert!(matches!(GrayRule::new("beta", "1.0.0", "  ", 1), Err(Refusal::GrayRuleInvalid { .. })));
        assert!(matches!(GrayRule::parse("{"), Err(Refusal::GrayRuleInvalid { .. })));
    }

    #[test]
    fn beta_addresses_win_over_a_tag() {
        assert_eq!(
            GrayTarget::from_params(Some("1.1.1.1"), Some("t")),
            Some(GrayTarget::Beta { ips: "1.1.1.1".into() })
        );
        assert_eq!(GrayTarget::from_params(Some(" "), Some("t")).unwrap().name(), "tag_t");
        assert_eq!(GrayTarget::from_params(None, Some("")), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_a_rule_without_a_panic(text in ".{0,80}") {
            let _ = GrayRule::parse(&text);
        }

        #[test]
        fn every_rule_reads_back(expr in "[^,]{1,20}", priority: i32, beta: bool) {
            let kind = if beta { "beta" } else { "tag" };
            if let Ok(rule) = GrayRule::new(kind, RULE_VERSION, &expr, priority) {
                prop_assert_eq!(GrayRule::parse(&rule.to_json()), Ok(rule));
            }
        }
    }
}

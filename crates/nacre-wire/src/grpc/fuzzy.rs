//! Fuzzy watch of both modules: the requests, the pushes and how patterns match.

use serde::Serialize;

use super::lenient::{List, body};

/// `watchType`.
pub const WATCH: &str = "WATCH";
/// `watchType`.
pub const CANCEL_WATCH: &str = "CANCEL_WATCH";
/// `syncType` of a first sync.
pub const INIT: &str = "FUZZY_WATCH_INIT_NOTIFY";
/// `syncType` after the last batch of a first sync.
pub const FINISH: &str = "FINISH_FUZZY_WATCH_INIT_NOTIFY";
/// `syncType` of a later sync.
pub const DIFF: &str = "FUZZY_WATCH_DIFF_SYNC_NOTIFY";
/// `syncType` of a change of one service.
pub const RESOURCE_CHANGED: &str = "FUZZY_WATCH_RESOURCE_CHANGED";

body! {
    /// `ConfigFuzzyWatchRequest` and `NamingFuzzyWatchRequest`.
    FuzzyWatchRequest {
        /// `namespace>>group>>resource`; `None` fails.
        pattern: Option<String> = "groupKeyPattern";
        /// What the client holds already.
        received: List<Option<String>> = "receivedGroupKeys";
        watch_type: Option<String> = "watchType";
        initializing: bool = "initializing";
        namespace: Option<String> = "namespace";
    }
}

/// One entry of a sync: config keys are `groupKey`, services `serviceKey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_key: Option<String>,
    pub changed_type: &'static str,
}

/// `ConfigFuzzyWatchSyncRequest` and `NamingFuzzyWatchSyncRequest`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FuzzyWatchSyncRequest<'a> {
    pub sync_type: &'a str,
    pub group_key_pattern: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contexts: Option<&'a [Context]>,
    pub total_batch: usize,
    pub current_batch: usize,
}

/// `ConfigFuzzyWatchChangeNotifyRequest`: a config came (`CONFIG_CHANGED`) or went (`DELETE_CONFIG`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigFuzzyWatchChangeNotifyRequest<'a> {
    pub group_key: &'a str,
    pub change_type: &'a str,
}

/// `NamingFuzzyWatchChangeNotifyRequest`: a service came (`ADD_SERVICE`) or went (`DELETE_SERVICE`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamingFuzzyWatchChangeNotifyRequest<'a> {
    pub sync_type: &'a str,
    pub service_key: &'a str,
    pub changed_type: &'a str,
}

/// A pattern taken apart; `None` when it is malformed, which matches nothing but is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub namespace: String,
    group: Item,
    resource: Item,
}

impl Pattern {
    /// `namespace>>group>>resource`, a blank namespace being `public`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(">>");
        let (namespace, group, resource) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let namespace = nacre_model::key::namespace(namespace).to_owned();
        Some(Self { namespace, group: Item::parse(group), resource: Item::parse(resource) })
    }

    pub fn matches(&self, namespace: &str, group: &str, resource: &str) -> bool {
        self.namespace == namespace && self.group.matches(group) && self.resource.matches(resource)
    }
}

/// How one part matches: `*` at the ends only; anywhere else it never matches.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    All,
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Never,
}

impl Item {
    fn parse(text: &str) -> Self {
        if !text.contains('*') {
            return Self::Exact(text.to_owned());
        }
        if text == "*" {
            return Self::All;
        }
        let (rest, leading) = text.strip_prefix('*').map_or((text, false), |rest| (rest, true));
        let (rest, trailing) = rest.strip_suffix('*').map_or((rest, false), |rest| (rest, true));
        if rest.contains('*') {
            return Self::Never;
        }
        match (leading, trailing) {
            (true, true) => Self::Contains(rest.to_owned()),
            (true, false) => Self::Suffix(rest.to_owned()),
            (false, true) => Self::Prefix(rest.to_owned()),
            (false, false) => Self::Never,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(exact) => text == exact,
            Self::Prefix(start) => text.starts_with(start.as_str()),
            Self::Suffix(end) => text.ends_with(end.as_str()),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(item: &str, text: &str) -> bool {
        Item::parse(item).matches(text)
    }

    #[test]
    fn stars_match_at_the_ends_only() {
        assert!(matches("*", "anything") && matches("app*", "app.yaml") && matches("*.yaml", "app.yaml"));
        assert!(matches("*pp.*", "app.yaml") && matches("app.yaml", "app.yaml"));
        assert!(!matches("a*yaml", "app.yaml"), "a star in the middle never matches");
        assert!(!matches("App*", "app.yaml"), "case counts");
    }

    #[test]
    fn patterns_have_three_parts_and_a_fixed_namespace() {
        let pattern = Pattern::parse(">>G*>>*a.*").unwrap();
        assert!(pattern.matches("public", "GA", "alpha.json"));
        assert!(!pattern.matches("other", "GA", "alpha.json"));
        for malformed in ["", "justone", "ns>>G", "a>>b>>c>>d"] {
            assert_eq!(Pattern::parse(malformed), None, "{malformed}");
        }
    }
}

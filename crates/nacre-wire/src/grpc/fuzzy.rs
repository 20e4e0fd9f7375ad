//! Fuzzy watch of both modules: the requests and the pushes.

use serde::Serialize;

use super::lenient::{List, Texts, Word, body};

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
        headers: Texts = "headers";
        request_id: Word = "requestId";
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

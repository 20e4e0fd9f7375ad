//! Configs, their history, capacity and listeners, as v1, v2 and v3 show them. Member order is the reference's.

use std::collections::BTreeMap;

use serde::Serialize;

use super::id_text;

/// One hit of the v1 and v2 searches (`ConfigInfo`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigInfo<'a> {
    #[serde(serialize_with = "id_text")]
    pub id: u64,
    pub data_id: &'a str,
    pub group: &'a str,
    /// `None` where the reference does not select it.
    pub content: Option<&'a str>,
    pub md5: Option<&'a str>,
    pub encrypted_data_key: Option<&'a str>,
    pub tenant: &'a str,
    pub app_name: &'a str,
    #[serde(rename = "type")]
    pub config_type: Option<&'a str>,
}

/// A key of a namespace (`ConfigInfoWrapper`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigInfoWrapper<'a> {
    #[serde(flatten)]
    pub info: ConfigInfo<'a>,
    pub last_modified: i64,
}

/// Everything about a config (`show=all`, `ConfigAllInfo`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigAllInfo<'a> {
    #[serde(flatten)]
    pub info: ConfigInfo<'a>,
    #[serde(flatten)]
    pub advance: ConfigAdvance<'a>,
}

/// What a config says about itself besides its content (`catalog`, `ConfigAdvanceInfo`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigAdvance<'a> {
    pub create_time: i64,
    pub modify_time: i64,
    pub create_user: Option<&'a str>,
    pub create_ip: &'a str,
    pub desc: Option<&'a str>,
    pub r#use: Option<&'a str>,
    pub effect: Option<&'a str>,
    /// Only the catalog has it here; elsewhere the type stands before.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub config_type: Option<&'a str>,
    pub schema: Option<&'a str>,
    pub config_tags: Option<&'a str>,
}

/// The beta version (`ConfigInfo4Beta`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigInfo4Beta<'a> {
    #[serde(flatten)]
    pub info: ConfigInfo<'a>,
    pub beta_ips: &'a str,
}

/// A row of history in v1 and v2 (`ConfigHistoryInfo`). `id` is the row's own number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryInfo<'a> {
    #[serde(serialize_with = "id_text")]
    pub id: u64,
    /// Always -1.
    pub last_id: i64,
    pub data_id: &'a str,
    pub group: &'a str,
    pub tenant: &'a str,
    pub app_name: &'a str,
    /// `None` in lists, like the content and the data key.
    pub md5: Option<&'a str>,
    pub content: Option<&'a str>,
    pub src_ip: &'a str,
    pub src_user: Option<&'a str>,
    /// Padded to ten characters.
    pub op_type: &'a str,
    pub publish_type: &'a str,
    pub gray_name: &'a str,
    pub ext_info: &'a str,
    /// ISO 8601 with zone.
    pub created_time: String,
    pub last_modified_time: String,
    pub encrypted_data_key: Option<&'a str>,
}

/// A row of history beside what it became (`ConfigHistoryInfoDetail`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryDetail<'a> {
    /// A number here alone; the rows themselves show theirs as a text.
    pub id: u64,
    pub last_id: i64,
    pub data_id: &'a str,
    pub group: &'a str,
    pub tenant: &'a str,
    pub op_type: &'a str,
    pub publish_type: &'a str,
    pub gray_name: &'a str,
    pub app_name: &'a str,
    pub src_ip: &'a str,
    pub src_user: Option<&'a str>,
    pub original_md5: Option<&'a str>,
    pub original_content: Option<&'a str>,
    pub original_encrypted_data_key: Option<&'a str>,
    pub original_ext_info: Option<&'a str>,
    pub updated_md5: Option<&'a str>,
    pub updated_content: Option<&'a str>,
    pub updated_encrypted_data_key: Option<&'a str>,
    pub update_ext_info: Option<&'a str>,
    pub created_time: String,
    pub last_modified_time: String,
}

/// The common part of everything in v3 (`ConfigBasicInfo`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigBasicInfo<'a> {
    #[serde(serialize_with = "id_text")]
    pub id: u64,
    pub namespace_id: &'a str,
    pub group_name: &'a str,
    pub data_id: &'a str,
    pub md5: Option<&'a str>,
    #[serde(rename = "type")]
    pub config_type: Option<&'a str>,
    pub app_name: &'a str,
    /// Milliseconds; 0 in lists.
    pub create_time: i64,
    pub modify_time: i64,
}

/// `ConfigDetailInfo` of v3.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigDetailInfo<'a> {
    #[serde(flatten)]
    pub basic: ConfigBasicInfo<'a>,
    pub content: &'a str,
    pub desc: Option<&'a str>,
    pub encrypted_data_key: Option<&'a str>,
    pub create_user: Option<&'a str>,
    pub create_ip: Option<&'a str>,
    pub config_tags: Option<&'a str>,
}

/// `ConfigGrayInfo` of v3.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigGrayInfo<'a> {
    #[serde(flatten)]
    pub detail: ConfigDetailInfo<'a>,
    pub gray_name: &'a str,
    pub gray_rule: &'a str,
}

/// `ConfigHistoryBasicInfo` of v3.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryBasic<'a> {
    #[serde(flatten)]
    pub basic: ConfigBasicInfo<'a>,
    pub src_ip: &'a str,
    pub src_user: Option<&'a str>,
    pub op_type: &'a str,
    pub publish_type: &'a str,
}

/// `ConfigHistoryDetailInfo` of v3.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryDetailV3<'a> {
    #[serde(flatten)]
    pub basic: HistoryBasic<'a>,
    pub content: &'a str,
    pub encrypted_data_key: &'a str,
    pub gray_name: &'a str,
    pub ext_info: &'a str,
}

/// What a v3 client reads (`ConfigQueryResponse` as the payload of an HTTP answer).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientRead<'a> {
    pub result_code: i32,
    pub error_code: i32,
    pub message: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub content: &'a str,
    pub encrypted_data_key: Option<&'a str>,
    /// The config type, not a MIME type.
    /// None: a gray version without a formal one.
    pub content_type: Option<&'a str>,
    pub md5: &'a str,
    pub last_modified: i64,
    pub tag: Option<&'a str>,
    pub beta: bool,
    pub success: bool,
}

/// Who listens, in v1 (`GroupkeyListenserStatus`, the reference's own spelling).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenersV1 {
    pub collect_status: i32,
    /// By address or by group key: the md5. `None` when nobody was asked.
    pub lisenters_groupkey_status: Option<BTreeMap<String, String>>,
}

/// Who listens, in v3 (`ConfigListenerInfo`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenersV3 {
    /// `config` or `ip`.
    pub query_type: &'static str,
    pub listeners_status: BTreeMap<String, String>,
}

/// `Capacity`; the scope's own member (`group`, `tenant`, `groupName`, `namespaceId`) follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    #[serde(serialize_with = "id_text")]
    pub id: u64,
    pub quota: i32,
    pub usage: u64,
    pub max_size: i32,
    pub max_aggr_count: i32,
    pub max_aggr_size: i32,
    /// Never filled.
    pub gmt_create: Option<i64>,
    pub gmt_modified: Option<i64>,
}

/// dataId and group of an item in an import's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemName {
    pub data_id: String,
    pub group: String,
}

/// An entry of an uploaded zip that is no config.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unrecognized {
    pub item_name: String,
}

/// What an import or clone did. Empty lists are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportResult {
    pub succ_count: u32,
    pub skip_count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail_data: Vec<ItemName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip_data: Vec<ItemName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unrecognized_count: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unrecognized_data: Vec<Unrecognized>,
}

/// One namespace of any generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceBody<'a> {
    pub namespace: &'a str,
    pub namespace_show_name: &'a str,
    pub namespace_desc: Option<&'a str>,
    pub quota: u32,
    pub config_count: u64,
    #[serde(rename = "type")]
    pub kind: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_texts_and_members_keep_the_references_order() {
        let info = ConfigInfo {
            id: 1_099_728_283_261_472_768,
            data_id: "d",
            group: "g",
            content: Some("c"),
            md5: None,
            encrypted_data_key: None,
            tenant: "",
            app_name: "",
            config_type: Some("yaml"),
        };
        let body = serde_json::to_string(&ConfigInfo4Beta { info, beta_ips: "1.1.1.1" }).expect("json");
        assert_eq!(
            body,
            r#"{"id":"1099728283261472768","dataId":"d","group":"g","content":"c","md5":null,"encryptedDataKey":null,"tenant":"","appName":"","type":"yaml","betaIps":"1.1.1.1"}"#
        );
    }

    #[test]
    fn an_import_that_met_nothing_odd_says_two_numbers() {
        let body = serde_json::to_string(&ImportResult { succ_count: 2, ..Default::default() }).expect("json");
        assert_eq!(body, r#"{"succCount":2,"skipCount":0}"#);
    }
}

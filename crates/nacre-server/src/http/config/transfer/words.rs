//! What the generations say of an import or a clone.

use nacre_config::{ConflictPolicy, ImportReport};
use nacre_model::{ConfigKey, ErrorCode, NacosError};
use nacre_wire::http::config::{ImportResult, ItemName, Unrecognized};
use serde_json::{Value, json};

use super::super::metadata;
use crate::http::{
    Ctx,
    bind::v3_mismatch,
    refuse::Refusal,
    reply::{JSON_UTF8, Reply},
};

/// How a generation says what became of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    V1,
    V3,
    /// The console of 3.x: as its admin API, but for what it says of files.
    Console,
}

/// The result of having found nothing.
pub(super) fn nothing() -> Value {
    json!({ "succCount": 0 })
}

/// Why nothing was done at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoNamespace,
    /// With what is wrong.
    BadMetadata(String),
    /// Nothing to import was found; with what is said of it.
    Empty(Value),
    NothingSelected,
}

impl Words {
    pub(super) fn done(self, what: &str, result: &ImportResult) -> Reply {
        match self {
            Self::V1 => Reply::rest(Some(what), result).typed(JSON_UTF8),
            Self::V3 | Self::Console => Reply::result(result),
        }
    }

    /// HTTP status 200 in both generations.
    pub(super) fn failed(self, failure: Failure) -> Reply {
        let count = nothing();
        let (code, v1, v3, data) = match failure {
            Failure::NoNamespace => {
                let code = if self == Self::V1 { 100_001 } else { ErrorCode::NAMESPACE_NOT_EXIST.code };
                (code, "目标 namespace 不存在".to_owned(), "namespace not exist".to_owned(), count)
            }
            Failure::BadMetadata(detail) => {
                let of = |text: &str| format!("{text}: {} {detail}", metadata::NEW);
                (100_002, of("导入的元数据非法"), of("Imported metadata is invalid"), count)
            }
            Failure::Empty(data) => {
                (100_005, "导入的文件数据为空".to_owned(), "Imported file data is empty".to_owned(), data)
            }
            Failure::NothingSelected => {
                (100_006, "没有选择任何配置".to_owned(), "No configuration selected".to_owned(), count)
            }
        };
        match self {
            Self::V1 => Reply::rest_code(code, Some(&v1), data).typed(JSON_UTF8),
            Self::V3 | Self::Console => Reply::json(&json!({ "code": code, "message": v3, "data": data })),
        }
    }

    pub(super) fn not_in_metadata(self, name: &str) -> String {
        match self {
            Self::V1 | Self::Console => format!("未在元数据中找到: {name}"),
            Self::V3 => format!("Item not found in metadata: {name}"),
        }
    }

    pub(super) fn not_in_file(self, name: &str) -> String {
        match self {
            Self::V1 | Self::Console => format!("未在文件中找到: {name}"),
            Self::V3 => format!("Item not found in file: {name}"),
        }
    }

    pub(super) fn policy(self, ctx: &Ctx) -> Result<ConflictPolicy, Refusal> {
        // Of several the first counts.
        let word = ctx.params.first("policy").filter(|word| !word.trim().is_empty()).unwrap_or("ABORT");
        ConflictPolicy::parse(word.trim()).ok_or_else(|| {
            let detail = format!("No policy {word}: ABORT, SKIP or OVERWRITE");
            match self {
                Self::V1 => NacosError::invalid(format!(
                    "Failed to convert value of type 'java.lang.String' to required type \
                     'com.alibaba.nacos.config.server.model.SameConfigPolicy'; {detail}"
                ))
                .into(),
                Self::V3 | Self::Console => {
                    v3_mismatch("policy", "com.alibaba.nacos.api.config.model.SameConfigPolicy", &detail)
                }
            }
        })
    }
}

/// What became of the items, and what was none.
pub(super) fn result(report: ImportReport, mut odd: Vec<String>) -> ImportResult {
    let names = |keys: Vec<ConfigKey>| -> Vec<ItemName> {
        let name = |key: ConfigKey| ItemName { data_id: key.data_id.to_string(), group: key.group.to_string() };
        keys.into_iter().map(name).collect()
    };
    let mut failed = report.failed;
    if let Some((key, refusal)) = report.refused {
        odd.push(format!("{}/{}: {}", key.group, key.data_id, NacosError::from(refusal).message));
        failed.push(key);
    }
    odd.extend(report.unknown.iter().map(|id| format!("id {id}: not found")));
    ImportResult {
        succ_count: report.succeeded,
        skip_count: u32::try_from(report.skipped.len()).unwrap_or(u32::MAX),
        fail_data: names(failed),
        skip_data: names(report.skipped),
        unrecognized_count: u32::try_from(odd.len()).ok().filter(|count| *count > 0),
        unrecognized_data: odd.into_iter().map(|item_name| Unrecognized { item_name }).collect(),
    }
}

//! Removal by ids, and the module's health.

use std::sync::Arc;

use nacre_config::{ConfigCommand, RemoveIds};
use nacre_model::NacosError;

use super::write;
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{api_missing, ids, not_present, v1_conversion, v3_mismatch},
        refuse::Refusal,
        reply::{JSON_UTF8, Reply},
        table::Answer,
    },
};

/// Ids of one call. More are a mistake.
const IDS: usize = 10_000;

async fn remove(app: &App, ctx: &Ctx, ids: Vec<u64>) -> Result<(), NacosError> {
    if ids.is_empty() {
        return Ok(());
    }
    if ids.len() > IDS {
        return Err(NacosError::invalid(format!("more than {IDS} ids in one call")));
    }
    let source = write::source(ctx, "srcUser");
    app.write_config(ConfigCommand::RemoveIds(RemoveIds { ids, source })).await.map(drop)
}

/// `DELETE /v1/cs/configs?delType=ids`.
pub(super) async fn v1_remove_ids(app: &App, ctx: &Ctx) -> Answer {
    let text = ctx.params.get("ids").ok_or_else(|| Refusal::exception(not_present("ids", "List")))?;
    let ids = ids(text).map_err(|word| v1_conversion("java.util.List", &format!("For input string: \"{word}\"")))?;
    remove(app, ctx, ids).await?;
    Ok(Reply::rest(None, true).typed(JSON_UTF8))
}

/// The ids of a v3 call.
pub(super) fn v3_ids(ctx: &Ctx) -> Result<Vec<u64>, Refusal> {
    let text = ctx.params.get("ids").ok_or_else(|| api_missing("ids", "List"))?;
    ids(text).map_err(|word| v3_mismatch("ids", "java.util.List", &format!("For input string: \"{word}\"")))
}

/// `DELETE /v3/admin/cs/config/batch`, `/v3/console/cs/config/batchDelete`; unknown ids are skipped.
pub(super) async fn v3_remove_ids(app: Arc<App>, ctx: Ctx) -> Answer {
    let ids = v3_ids(&ctx)?;
    remove(&app, &ctx, ids).await?;
    Ok(Reply::result(true))
}

/// `GET /v1/cs/health`.
pub(super) fn v1_health(app: &App, _: &Ctx) -> Answer {
    let text = match app.unwritable() {
        None => "UP".to_owned(),
        Some(reason) => format!("DOWN:{reason}"),
    };
    Ok(Reply::text(text))
}

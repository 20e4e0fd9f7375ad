//! Removal by ids, the module's health, and what the reference offers to operators of its own store.

use std::sync::Arc;

use nacre_config::{ConfigCommand, RemoveIds};
use nacre_model::{ErrorCode, NacosError};
use serde_json::json;

use super::write;
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{api_missing, api_text, ids, not_present, v1_no_ids, v1_text, v3_no_ids},
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
    let source = write::remover(ctx);
    app.write_config(ConfigCommand::RemoveIds(RemoveIds { ids, source })).await.map(drop)
}

/// `DELETE /v1/cs/configs?delType=ids`.
pub(super) async fn v1_remove_ids(app: &App, ctx: &Ctx) -> Answer {
    if ctx.params.first("ids").is_none() {
        return Err(Refusal::exception(not_present("ids", "List")));
    }
    let ids = ids(&ctx.params, "ids").map_err(|value| v1_no_ids(&value))?;
    remove(app, ctx, ids).await?;
    Ok(Reply::rest(None, true).typed(JSON_UTF8))
}

/// The ids of a v3 call.
pub(super) fn v3_ids(ctx: &Ctx) -> Result<Vec<u64>, Refusal> {
    if ctx.params.first("ids").is_none() {
        return Err(api_missing("ids", "List").into());
    }
    ids(&ctx.params, "ids").map_err(|value| v3_no_ids("ids", &value))
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

/// Reads the configurations anew from the database, off the event loop.
async fn reload(app: &Arc<App>) -> Result<u64, String> {
    let state = app.state.clone();
    match tokio::task::spawn_blocking(move || state.reload_configs()).await {
        Ok(reloaded) => reloaded.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// `POST /v1/cs/ops/localCache`.
pub(super) async fn v1_local_cache(app: Arc<App>, _: Ctx) -> Answer {
    reload(&app).await.map_err(NacosError::server)?;
    Ok(Reply::text("200"))
}

/// `POST /v3/admin/cs/ops/localCache`.
pub(super) async fn v3_local_cache(app: Arc<App>, _: Ctx) -> Answer {
    match reload(&app).await {
        Ok(_) => Ok(Reply::result("Local cache updated from store successfully!")),
        Err(reason) => {
            let message = format!("Local cache updated from store failed! {reason}");
            Ok(failure(ErrorCode::SERVER_ERROR.code, &message).status(500))
        }
    }
}

fn failure(code: i32, message: &str) -> Reply {
    Reply::json(&json!({ "code": code, "message": message, "data": null }))
}

/// The store is no Derby, and SQL that somebody sends is never run. Without the property the reference says so first.
fn no_derby(app: &App) -> &'static str {
    if app.live().derby_ops {
        return "The current storage mode is not Derby";
    }
    "Derby ops is disabled, please set `nacos.config.derby.ops.enabled=true` to enabled this feature."
}

/// `GET /v1/cs/ops/derby`.
pub(super) fn v1_derby(app: &App, ctx: &Ctx) -> Answer {
    v1_text(&ctx.params, "sql")?;
    Ok(failure(500, no_derby(app)))
}

/// `GET /v3/admin/cs/ops/derby`.
pub(super) fn v3_derby(app: &App, ctx: &Ctx) -> Answer {
    api_text(&ctx.params, "sql")?;
    Ok(failure(ErrorCode::SERVER_ERROR.code, no_derby(app)))
}

const NOT_EMBEDDED: &str = "Limited to embedded storage mode";

/// An import of SQL is refused, whatever it holds.
fn import(ctx: &Ctx, code: i32) -> Answer {
    let content_type = ctx.header("content-type").unwrap_or("").trim_start().to_ascii_lowercase();
    if !content_type.starts_with("multipart/") {
        return Err(Refusal::exception("Current request is not a multipart request"));
    }
    if ctx.params.upload("file").is_none() {
        return Err(Refusal::exception("Required request part 'file' is not present"));
    }
    Ok(failure(code, NOT_EMBEDDED))
}

/// `POST /v1/cs/ops/data/removal`.
pub(super) fn v1_derby_import(_: &App, ctx: &Ctx) -> Answer {
    import(ctx, 500)
}

/// `POST /v3/admin/cs/ops/derby/import`.
pub(super) fn v3_derby_import(_: &App, ctx: &Ctx) -> Answer {
    import(ctx, ErrorCode::SERVER_ERROR.code)
}

//! `/v2/cs/config`.

use std::sync::Arc;

use nacre_config::{KeyRef, Lookup, check, names};
use nacre_model::{ConfigKey, ErrorCode, NacosError};
use serde_json::json;

use super::{asker, read, write};
use crate::{
    app::App,
    doctor::sighting,
    http::{
        Ctx,
        bind::api_text,
        reply::{JSON_UTF8, Reply},
        table::Answer,
    },
};

/// dataId and group, which must be there and may be empty.
pub(super) fn named(ctx: &Ctx) -> Result<(&str, &str), NacosError> {
    Ok((api_text(&ctx.params, "dataId")?, api_text(&ctx.params, "group")?))
}

/// dataId and group, required and checked; the namespace is looked at first.
fn checked_key(ctx: &Ctx) -> Result<(&str, &str), NacosError> {
    let params = &ctx.params;
    let (data_id, group) = named(ctx)?;
    check::namespace_id(params.get("namespaceId"))?;
    check::key(Some(data_id), Some(group))?;
    Ok((data_id, group))
}

pub(super) fn get(app: &App, ctx: &Ctx) -> Answer {
    let (data_id, group) = checked_key(ctx)?;
    let tag = ctx.params.get("tag");
    check::tag(tag)?;
    app.metrics.config.read.add(ctx.now.wall);
    let ip = ctx.client_ip();
    let key = KeyRef::new(read::namespace(&ctx.params), group, data_id);
    match app.configs.query(key, &asker(ctx, &ip, tag)) {
        Lookup::Found(answer) => {
            Ok(read::headed(Reply::result(&**answer.content()).typed(JSON_UTF8).fixed_type(), &answer))
        }
        Lookup::NotFound | Lookup::TagNotFound => {
            sighting::no_config(app, ctx, key);
            let code = ErrorCode::RESOURCE_NOT_FOUND;
            let body = json!({ "code": code.code, "message": code.text, "data": read::NOT_FOUND });
            let mut reply = Reply::empty(404);
            reply.body = format!("{body}\n").into();
            Ok(reply)
        }
    }
}

pub(super) async fn publish(app: Arc<App>, ctx: Ctx) -> Answer {
    let params = &ctx.params;
    let (data_id, group) = (params.required("dataId")?, params.required("group")?);
    let content = params.required("content")?;
    check::namespace_id(params.get("namespaceId"))?;
    check::key(Some(data_id), Some(group))?;
    write::publish(&app, &ctx, written_key(&ctx, data_id, group), content, &write::V2).await?;
    Ok(Reply::result(true))
}

pub(super) async fn delete(app: Arc<App>, ctx: Ctx) -> Answer {
    let (data_id, group) = checked_key(&ctx)?;
    check::tag(ctx.params.get("tag"))?;
    write::remove(&app, &ctx, written_key(&ctx, data_id, group)).await?;
    Ok(Reply::result(true))
}

pub(super) fn written_key(ctx: &Ctx, data_id: &str, group: &str) -> ConfigKey {
    ConfigKey::new(names::namespace_2x(ctx.params.get("namespaceId").unwrap_or("")), group, data_id)
}

//! `/v1/cs/configs`: one path with many meanings, told apart by a parameter.

use std::sync::Arc;

use nacre_config::{ConfigItem, KeyRef, Lookup, RemoveTarget, SearchMode, Source, check, names};
use nacre_model::ConfigKey;
use nacre_wire::http::config::{ConfigInfo, ConfigInfo4Beta};
use serde_json::Value;

use super::{asker, ops, preset_json, read, search, transfer, write};
use crate::{
    app::App,
    doctor::sighting,
    http::{
        Ctx,
        bind::v1_text,
        reply::{JSON_UTF8, Reply},
        table::Answer,
    },
};

/// What nearly all ask: the content of a config. Nothing of it waits.
pub(super) fn get_at_once(app: &App, ctx: &Ctx) -> Option<Answer> {
    const ANOTHER: [&str; 5] = ["beta", "show", "search", "export", "exportV2"];
    let another = ctx.params.iter().any(|(name, _)| ANOTHER.contains(&name));
    (!another).then(|| content(app, ctx))
}

pub(super) async fn get(app: Arc<App>, ctx: Ctx) -> Answer {
    let is = |name: &str, value: &str| ctx.params.first(name) == Some(value);
    if is("beta", "true") {
        return beta(&app, &ctx);
    }
    if is("show", "all") {
        return search::show_all(&app, &ctx);
    }
    if is("search", "accurate") {
        return search::v1_search(&app, &ctx, SearchMode::Accurate).await;
    }
    if is("search", "blur") {
        return search::v1_search(&app, &ctx, SearchMode::Blur).await;
    }
    if is("export", "true") {
        return transfer::v1_export(&app, &ctx, false).await;
    }
    if is("exportV2", "true") {
        return transfer::v1_export(&app, &ctx, true).await;
    }
    content(&app, &ctx)
}

pub(super) async fn post(app: Arc<App>, ctx: Ctx) -> Answer {
    if ctx.params.first("import") == Some("true") {
        return transfer::v1_import(&app, &ctx).await;
    }
    if ctx.params.first("clone") == Some("true") {
        return transfer::v1_clone(&app, &ctx).await;
    }
    publish(&app, &ctx).await
}

pub(super) async fn delete(app: Arc<App>, ctx: Ctx) -> Answer {
    if ctx.params.first("beta") == Some("true") {
        return stop_beta(&app, &ctx).await;
    }
    if ctx.params.first("delType") == Some("ids") {
        return ops::v1_remove_ids(&app, &ctx).await;
    }
    let (data_id, group) = named(&ctx)?;
    check::tenant(ctx.params.get("tenant"))?;
    check::key(Some(data_id), Some(group))?;
    check::tag(ctx.params.get("tag"))?;
    let key = key_of(&ctx, data_id, group);
    write::remove(&app, &ctx, key).await?;
    Ok(preset_json(&true))
}

/// dataId and group, which every call names; they may be empty.
pub(super) fn named(ctx: &Ctx) -> Result<(&str, &str), crate::http::refuse::Refusal> {
    Ok((v1_text(&ctx.params, "dataId")?, v1_text(&ctx.params, "group")?))
}

/// The key of a config that must be there to be found, or removed: its namespace is what is said.
pub(super) fn key_of(ctx: &Ctx, data_id: &str, group: &str) -> ConfigKey {
    ConfigKey::new(ctx.params.get("tenant").unwrap_or(""), group, data_id)
}

fn content(app: &App, ctx: &Ctx) -> Answer {
    let (data_id, group) = named(ctx)?;
    let tag = ctx.params.get("tag");
    check::tenant(ctx.params.get("tenant"))?;
    check::key(Some(data_id), Some(group))?;
    check::tag(tag)?;
    app.metrics.config.read.add(ctx.now.wall);
    let ip = ctx.client_ip();
    let key = KeyRef::new(read::namespace(&ctx.params), group, data_id);
    match app.configs.query(key, &asker(ctx, &ip, tag)) {
        Lookup::Found(answer) => Ok(read::headed(Reply::text(read::body_of(answer.content())).fixed_type(), &answer)),
        Lookup::NotFound | Lookup::TagNotFound => {
            sighting::no_config(app, ctx, key);
            Ok(Reply::new(JSON_UTF8, format!("{}\n", read::NOT_FOUND)).status(404))
        }
    }
}

async fn publish(app: &App, ctx: &Ctx) -> Answer {
    let (data_id, group) = named(ctx)?;
    let content = v1_text(&ctx.params, "content")?;
    check::tenant(ctx.params.get("tenant"))?;
    check::key(Some(data_id), Some(group))?;
    // Of all calls about one config, only this one takes `null` for the default namespace.
    let key = ConfigKey::new(names::namespace_2x(ctx.params.get("tenant").unwrap_or("")), group, data_id);
    write::publish(app, ctx, key, content, &write::V1).await?;
    Ok(preset_json(&true))
}

fn beta(app: &App, ctx: &Ctx) -> Answer {
    let (data_id, group) = named(ctx)?;
    let item = app.configs.get(KeyRef::from(&key_of(ctx, data_id, group)));
    let data = item.as_deref().and_then(beta_info);
    Ok(Reply::rest(Some("query beta ok"), data.unwrap_or(Value::Null)).typed(JSON_UTF8))
}

fn beta_info(item: &ConfigItem) -> Option<Value> {
    let gray = item.gray(nacre_config::gray::BETA)?;
    let info = ConfigInfo {
        id: gray.id,
        data_id: &item.key.data_id,
        group: &item.key.group,
        content: Some(&gray.content),
        md5: Some(&gray.md5),
        encrypted_data_key: Some(&*gray.encrypted_data_key).filter(|key| !key.is_empty()),
        tenant: names::shown_2x(&item.key.namespace),
        app_name: &gray.app_name,
        // The reference shows none, and who saves the form again loses it (case C045).
        config_type: item.formal.as_ref().and_then(|formal| formal.meta.config_type.as_deref()),
    };
    serde_json::to_value(ConfigInfo4Beta { info, beta_ips: gray.rule.expr() }).ok()
}

async fn stop_beta(app: &App, ctx: &Ctx) -> Answer {
    let (data_id, group) = named(ctx)?;
    let key = key_of(ctx, data_id, group);
    // Named by a parameter of its own, and by no login; nobody is an empty name.
    let user = Some(ctx.params.get("srcUser").unwrap_or("").into());
    let source = Source { user, ..write::remover(ctx) };
    let removed = write::remove_target(app, key, RemoveTarget::Beta, source).await?;
    let reply = match removed {
        0 => Reply::rest_code(500, Some("remove beta data error"), false),
        _ => Reply::rest(Some("stop beta ok"), true),
    };
    Ok(reply.typed(JSON_UTF8))
}

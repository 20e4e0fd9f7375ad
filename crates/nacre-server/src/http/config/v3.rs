//! v3: what clients read over HTTP, and single configs of the admin API and the console.

use std::sync::Arc;

use nacre_config::{
    Asker, ConfigCommand, ConfigItem, FormalConfig, GrayConfig, KeyRef, Lookup, RemoveTarget, UpdateMetadata, check,
    split_tags,
};
use nacre_model::{ConfigKey, ErrorCode, NacosError};
use nacre_wire::http::config::{ClientRead, ConfigBasicInfo, ConfigDetailInfo, ConfigGrayInfo};
use serde_json::{Value, json};

use super::write;
use crate::{
    app::App,
    doctor::sighting,
    http::{Ctx, reply::Reply, table::Answer},
};

/// groupName and dataId of a form, in the order they are missed.
pub(super) fn form_key(ctx: &Ctx) -> Result<(&str, &str), NacosError> {
    let group = ctx.params.required("groupName")?;
    Ok((ctx.params.required("dataId")?, group))
}

/// The key of a form that only has to be found: whatever is named, if it is named. The parameter check stands before it.
fn sought_key(ctx: &Ctx) -> Result<ConfigKey, NacosError> {
    let (data_id, group) = form_key(ctx)?;
    Ok(key_of(ctx, data_id, group))
}

/// As [`form_key`], with the rules of names.
pub(super) fn checked_key(ctx: &Ctx) -> Result<ConfigKey, NacosError> {
    let (data_id, group) = form_key(ctx)?;
    check::namespace_id(ctx.params.get("namespaceId"))?;
    check::key(Some(data_id), Some(group))?;
    Ok(key_of(ctx, data_id, group))
}

pub(super) fn key_of(ctx: &Ctx, data_id: &str, group: &str) -> ConfigKey {
    ConfigKey::new(ctx.params.get("namespaceId").unwrap_or(""), group, data_id)
}

/// `GET /v3/client/cs/config`: 200 whatever it finds, also for names that no config can have (the filter of parameters has
/// seen the first of those sent twice). It looks at the address only; a `tag` is not read.
pub(super) fn client_read(app: &App, ctx: &Ctx) -> Answer {
    let (data_id, group) = form_key(ctx)?;
    app.metrics.config.read.add(ctx.now.wall);
    let key = KeyRef::new(ctx.params.get("namespaceId").unwrap_or(""), group, data_id);
    let Lookup::Found(answer) = app.configs.query(key, &Asker::ip(&ctx.client_ip())) else {
        sighting::no_config(app, ctx, key);
        return Ok(Reply::result_code(ErrorCode::RESOURCE_NOT_FOUND, Value::Null));
    };
    Ok(Reply::result(ClientRead {
        result_code: 200,
        error_code: 0,
        message: None,
        request_id: None,
        content: answer.content(),
        encrypted_data_key: answer.encrypted_data_key(),
        content_type: answer.config_type().or(answer.gray_name().is_none().then_some("text")),
        md5: answer.md5(),
        last_modified: answer.last_modified(),
        tag: answer.tag(),
        beta: answer.is_beta(),
        success: true,
    }))
}

pub(super) async fn publish(app: Arc<App>, ctx: Ctx) -> Answer {
    let (data_id, group) = form_key(&ctx)?;
    let content = ctx.params.required("content")?;
    check::namespace_id(ctx.params.get("namespaceId"))?;
    check::key(Some(data_id), Some(group))?;
    write::publish(&app, &ctx, key_of(&ctx, data_id, group), content, &write::V3).await?;
    Ok(Reply::result(true))
}

pub(super) async fn delete(app: Arc<App>, ctx: Ctx) -> Answer {
    let key = sought_key(&ctx)?;
    check::tag(ctx.params.get("tag"))?;
    write::remove(&app, &ctx, key).await?;
    Ok(Reply::result(true))
}

/// `PUT /v3/admin/cs/config/metadata` of Nacos 3.2: description and tags without a publish; what is not named is kept.
pub(super) async fn update_metadata(app: Arc<App>, ctx: Ctx) -> Answer {
    let key = checked_key(&ctx)?;
    let (desc, tags) = (ctx.params.get("desc"), ctx.params.get("configTags"));
    check::advance(&check::Advance { config_tags: tags, desc, ..check::Advance::default() })?;
    let update = UpdateMetadata {
        key,
        desc: desc.map(Arc::from),
        tags: tags.map(split_tags),
        source: write::source(&ctx, "srcUser"),
    };
    app.write_config(ConfigCommand::UpdateMetadata(update)).await?;
    Ok(Reply::result(true))
}

fn found(app: &App, key: &ConfigKey) -> Option<Value> {
    let item = app.configs.get(KeyRef::from(key))?;
    item.formal.as_ref().map(|formal| detail_body(key, formal))
}

/// The formal config; the console's null when there is none.
pub(super) fn console_detail(app: &App, ctx: &Ctx) -> Answer {
    Ok(Reply::result(found(app, &sought_key(ctx)?)))
}

/// The beta version; the console's null when there is none.
pub(super) fn console_beta(app: &App, ctx: &Ctx) -> Answer {
    Ok(Reply::result(found_beta(app, &sought_key(ctx)?)))
}

/// The formal config, or 404.
pub(super) fn detail(app: &App, ctx: &Ctx) -> Answer {
    match found(app, &sought_key(ctx)?) {
        Some(body) => Ok(Reply::result(body)),
        None => {
            Err(NacosError::not_found(ErrorCode::RESOURCE_NOT_FOUND, "Config not exist, please publish Config first.")
                .into())
        }
    }
}

fn detail_body(key: &ConfigKey, formal: &FormalConfig) -> Value {
    let tags = formal.meta.tags_text();
    json!(ConfigDetailInfo {
        basic: ConfigBasicInfo {
            id: formal.id,
            namespace_id: &key.namespace,
            group_name: &key.group,
            data_id: &key.data_id,
            md5: Some(&formal.md5),
            config_type: formal.meta.config_type.as_deref(),
            app_name: &formal.meta.app_name,
            create_time: formal.created,
            modify_time: formal.modified,
        },
        content: &formal.content,
        desc: formal.meta.desc.as_deref(),
        encrypted_data_key: Some(&formal.encrypted_data_key),
        create_user: formal.source.user.as_deref(),
        create_ip: Some(&formal.source.ip),
        config_tags: tags.as_deref(),
    })
}

/// The beta version, or 404.
pub(super) fn beta(app: &App, ctx: &Ctx) -> Answer {
    match found_beta(app, &sought_key(ctx)?) {
        Some(body) => Ok(Reply::result(body)),
        None => Err(NacosError::not_found(ErrorCode::RESOURCE_NOT_FOUND, "Config is not in beta.").into()),
    }
}

fn found_beta(app: &App, key: &ConfigKey) -> Option<Value> {
    let item: Arc<ConfigItem> = app.configs.get(KeyRef::from(key))?;
    let config_type = item.formal.as_ref().and_then(|formal| formal.meta.config_type.as_deref());
    item.gray(nacre_config::gray::BETA).map(|gray| gray_body(key, gray, config_type))
}

/// A beta has the type of its config, which is what its readers are told; a form that shows none would lose it (case C045).
fn gray_body(key: &ConfigKey, gray: &GrayConfig, config_type: Option<&str>) -> Value {
    json!(ConfigGrayInfo {
        detail: ConfigDetailInfo {
            basic: ConfigBasicInfo {
                id: gray.id,
                namespace_id: &key.namespace,
                group_name: &key.group,
                data_id: &key.data_id,
                md5: Some(&gray.md5),
                config_type,
                app_name: &gray.app_name,
                create_time: 0,
                modify_time: gray.modified,
            },
            content: &gray.content,
            desc: None,
            encrypted_data_key: Some(&*gray.encrypted_data_key).filter(|key| !key.is_empty()),
            create_user: gray.src_user.as_deref(),
            create_ip: None,
            config_tags: None,
        },
        gray_name: &gray.name,
        gray_rule: &gray.rule.to_json(),
    })
}

pub(super) async fn stop_beta(app: Arc<App>, ctx: Ctx) -> Answer {
    stopped(&app, &ctx, ErrorCode::SERVER_ERROR.code, "remove beta data error").await
}

/// The console's, with its own words for a beta that is not there.
pub(super) async fn console_stop_beta(app: Arc<App>, ctx: Ctx) -> Answer {
    stopped(&app, &ctx, 500, "Internal Server Error").await
}

async fn stopped(app: &App, ctx: &Ctx, code: i32, message: &str) -> Answer {
    let key = sought_key(ctx)?;
    match write::remove_target(app, key, RemoveTarget::Beta, write::remover(ctx)).await? {
        0 => Ok(Reply::json(&json!({ "code": code, "message": message, "data": false }))),
        _ => Ok(Reply::result(true)),
    }
}

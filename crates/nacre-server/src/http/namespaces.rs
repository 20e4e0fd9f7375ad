//! Namespaces: v1 and v2 console, v3 admin and v3 console. One list behind all of them; they differ in names of
//! parameters, in the type number of created namespaces, and in how they say no.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use http::Method;
use nacre_config::{ConfigCommand, NamespaceEntry, NamespaceForm, Refusal as Refused, namespace};
use nacre_model::{ErrorCode, NacosError, PUBLIC};
use nacre_wire::http::config::NamespaceBody;

use super::{
    Ctx,
    bind::{api_missing, api_text, v1_text},
    refuse::Refusal,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, GET, Generation, POST, PUT, Row},
};
use crate::{app::App, later, now};

const V1: (Generation, &str, Style) = (Generation::V1, "console", Style::V1Console);
const V2: (Generation, &str, Style) = (Generation::V2, "console", Style::Api);
const ADMIN: (Generation, &str, Style) = (Generation::V3Admin, "core", Style::Api);
const CONSOLE: (Generation, &str, Style) = (Generation::V3Console, "console", Style::Api);
const DELETE: &[Method] = &[Method::DELETE];

/// The order of the rows of a path is the order of its `Allow` header.
pub const ROWS: &[Row] = &[
    Row::new(GET, "/v1/console/namespaces", V1, Auth::None, now!(v1_get)).checked(Check::Console),
    Row::new(POST, "/v1/console/namespaces", V1, Auth::Admin, later!(v1_create)).checked(Check::Console),
    Row::new(PUT, "/v1/console/namespaces", V1, Auth::Admin, later!(v1_change)).checked(Check::Console),
    Row::new(DELETE, "/v1/console/namespaces", V1, Auth::Admin, later!(v1_delete)).checked(Check::Console),
    Row::new(GET, "/v2/console/namespace/list", V2, Auth::None, now!(v2_list)).checked(Check::Console),
    Row::new(GET, "/v2/console/namespace", V2, Auth::Admin, now!(v2_get)).checked(Check::Console),
    Row::new(POST, "/v2/console/namespace", V2, Auth::Admin, later!(v2_create)).checked(Check::Console),
    Row::new(PUT, "/v2/console/namespace", V2, Auth::Admin, later!(v2_change)).checked(Check::Console),
    Row::new(DELETE, "/v2/console/namespace", V2, Auth::Admin, later!(api_delete)).checked(Check::Console),
    Row::new(GET, "/v3/admin/core/namespace/list", ADMIN, Auth::Admin, now!(v3_list)).checked(Check::Off),
    Row::new(GET, "/v3/admin/core/namespace/check", ADMIN, Auth::Admin, now!(v3_check)).checked(Check::Off),
    Row::new(GET, "/v3/admin/core/namespace", ADMIN, Auth::Admin, now!(v3_get)).checked(Check::Off),
    Row::new(PUT, "/v3/admin/core/namespace", ADMIN, Auth::Admin, later!(v3_change)).checked(Check::Off),
    Row::new(POST, "/v3/admin/core/namespace", ADMIN, Auth::Admin, later!(v3_create)).checked(Check::Off),
    Row::new(DELETE, "/v3/admin/core/namespace", ADMIN, Auth::Admin, later!(api_delete)).checked(Check::Off),
    Row::new(GET, "/v3/console/core/namespace/list", CONSOLE, Auth::Read, now!(v3_list)).checked(Check::Console),
    Row::new(GET, "/v3/console/core/namespace/exist", CONSOLE, Auth::Read, now!(console_exist)).checked(Check::Console),
    Row::new(GET, "/v3/console/core/namespace", CONSOLE, Auth::Admin, now!(v3_get)).checked(Check::Console),
    Row::new(POST, "/v3/console/core/namespace", CONSOLE, Auth::Admin, later!(console_create)).checked(Check::Console),
    Row::new(PUT, "/v3/console/core/namespace", CONSOLE, Auth::Admin, later!(console_change)).checked(Check::Console),
    Row::new(DELETE, "/v3/console/core/namespace", CONSOLE, Auth::Admin, later!(api_delete)).checked(Check::Console),
];

/// Longest name and description that `tenant_info` holds.
const NAME: usize = 128;
const DESC: usize = 256;

/// Type numbers of created namespaces.
const CUSTOM_2X: i32 = 2;
const CUSTOM_3X: i32 = 1;

fn body<'a>(entry: &'a NamespaceEntry, shown_as: &'a str, custom: i32) -> NamespaceBody<'a> {
    NamespaceBody {
        namespace: shown_as,
        namespace_show_name: &entry.name,
        namespace_desc: entry.desc.as_deref(),
        quota: entry.quota,
        config_count: entry.config_count,
        kind: if entry.is_default { 0 } else { custom },
    }
}

fn bodies(entries: &[NamespaceEntry], default_as: &'static str, custom: i32) -> Vec<serde_json::Value> {
    let shown = |entry: &NamespaceEntry| {
        let id = if entry.is_default { default_as } else { &entry.id };
        serde_json::json!(body(entry, id, custom))
    };
    entries.iter().map(shown).collect()
}

/// Any name is free in 1.x and 2.x except those taken; the default namespace has no row there.
fn is_created(app: &App, id: &str) -> bool {
    id != PUBLIC && is_plain(id) && app.configs.namespace_exists(id)
}

/// No name has blanks around it.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.trim() == id
}

/// A random id in the form of a UUID (version 4). Unique, not secret.
fn random_id() -> String {
    let word = || RandomState::new().hash_one(0_u8);
    let (high, low) = (word(), word());
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn id_or_random(given: &str) -> String {
    if given.trim().is_empty() { random_id() } else { given.trim().to_owned() }
}

/// Whether the reference's table holds them.
fn fits(name: &str, desc: Option<&str>) -> bool {
    let units = |text: &str| text.encode_utf16().count();
    units(name) <= NAME && desc.is_none_or(|desc| units(desc) <= DESC)
}

/// What does not fit into the table fails as the reference's own insert does.
async fn create(app: &App, id: &str, name: &str, desc: Option<&str>) -> Result<(), NacosError> {
    if !fits(name, desc) {
        return Err(NacosError::runtime(500, "Namespace creation failed"));
    }
    let form = NamespaceForm { id: id.into(), name: name.into(), desc: desc.map(Arc::from) };
    app.write_config(ConfigCommand::CreateNamespace(form)).await.map(drop)
}

/// Done also for ids that nobody created; the default namespace keeps its name.
async fn change(app: &App, id: &str, name: &str, desc: Option<&str>) -> Result<(), NacosError> {
    if namespace::is_default(id) {
        return Ok(());
    }
    if !fits(name, desc) && app.configs.namespace_exists(id) {
        return Err(NacosError::runtime(500, "Namespace update failed"));
    }
    let form = NamespaceForm { id: id.into(), name: name.into(), desc: desc.map(Arc::from) };
    app.write_config(ConfigCommand::UpdateNamespace(form)).await.map(drop)
}

/// Only the namespace goes; its configs and services stay.
async fn delete(app: &App, id: &str) -> Result<(), NacosError> {
    if namespace::is_default(id) {
        return Ok(());
    }
    app.write_config(ConfigCommand::DeleteNamespace { id: id.into() }).await.map(drop)
}

// v1

fn v1_get(app: &App, ctx: &Ctx) -> Answer {
    let params = &ctx.params;
    if params.first("checkNamespaceIdExist") == Some("true") {
        return Ok(Reply::json(&is_created(app, v1_text(params, "customNamespaceId")?)));
    }
    if params.first("show") == Some("all") {
        let id = v1_text(params, "namespaceId")?;
        // 2.x knows its default namespace by the empty id only.
        return match app.configs.namespace(id).filter(|entry| !entry.is_default || id.trim().is_empty()) {
            Some(entry) => Ok(Reply::json(&body(&entry, id, CUSTOM_2X))),
            None => Err(Refusal::exception(namespace::unknown(id).message)),
        };
    }
    Ok(Reply::rest(None, bodies(&app.configs.namespaces(), "", CUSTOM_2X)))
}

async fn v1_create(app: Arc<App>, ctx: Ctx) -> Answer {
    let params = &ctx.params;
    let (id, name) = (id_or_random(v1_text(params, "customNamespaceId")?), v1_text(params, "namespaceName")?);
    let legal = namespace::check_id(&id).is_ok() && namespace::check_name(name).is_ok();
    if !legal || app.configs.namespace_exists(&id) {
        return Ok(Reply::json(&false));
    }
    match create(&app, &id, name, params.get("namespaceDesc")).await {
        Ok(()) => Ok(Reply::json(&true)),
        Err(error) if error.code == ErrorCode::NAMESPACE_ALREADY_EXIST => Ok(Reply::json(&false)),
        Err(error) => Err(error.into()),
    }
}

async fn v1_change(app: Arc<App>, ctx: Ctx) -> Answer {
    let (id, name) = (v1_text(&ctx.params, "namespace")?, v1_text(&ctx.params, "namespaceShowName")?);
    if namespace::check_name(name).is_err() {
        return Ok(Reply::json(&false));
    }
    change(&app, id, name, ctx.params.get("namespaceDesc")).await?;
    Ok(Reply::json(&true))
}

async fn v1_delete(app: Arc<App>, ctx: Ctx) -> Answer {
    delete(&app, v1_text(&ctx.params, "namespaceId")?).await?;
    Ok(Reply::json(&true))
}

// v2

fn v2_list(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(bodies(&app.configs.namespaces(), "", CUSTOM_2X)))
}

fn v2_get(app: &App, ctx: &Ctx) -> Answer {
    get(app, ctx, CUSTOM_2X)
}

async fn v2_create(app: Arc<App>, ctx: Ctx) -> Answer {
    let id = id_or_random(named(&ctx, "namespaceId")?);
    let name = named(&ctx, "namespaceName")?;
    namespace::check_id(&id)?;
    let taken =
        || NacosError::new(400, ErrorCode::ILLEGAL_NAMESPACE, format!("the namespaceId is existed, namespaceId: {id}"));
    if app.configs.namespace_exists(&id) {
        return Err(taken().into());
    }
    namespace::check_name(name)?;
    match create(&app, &id, name, ctx.params.get("namespaceDesc")).await {
        Err(error) if error.code == ErrorCode::NAMESPACE_ALREADY_EXIST => Err(taken().into()),
        other => Ok(other.map(|()| Reply::result(true))?),
    }
}

async fn v2_change(app: Arc<App>, ctx: Ctx) -> Answer {
    changed(&app, &ctx, true).await
}

// v3

fn v3_list(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(bodies(&app.configs.namespaces(), PUBLIC, CUSTOM_3X)))
}

fn v3_get(app: &App, ctx: &Ctx) -> Answer {
    get(app, ctx, CUSTOM_3X)
}

/// How many rows have this id.
fn v3_check(app: &App, ctx: &Ctx) -> Answer {
    Ok(Reply::result(u8::from(is_created(app, api_text(&ctx.params, "namespaceId")?))))
}

async fn v3_create(app: Arc<App>, ctx: Ctx) -> Answer {
    let given = named(&ctx, "namespaceId")?;
    let name = named(&ctx, "namespaceName")?;
    let id = id_or_random(given);
    namespace::check_id(&id)?;
    namespace::check_name(name)?;
    created(&app, &ctx, &id, name).await
}

async fn v3_change(app: Arc<App>, ctx: Ctx) -> Answer {
    changed(&app, &ctx, true).await
}

async fn console_create(app: Arc<App>, ctx: Ctx) -> Answer {
    let given = ctx.params.get("customNamespaceId").unwrap_or("");
    let name = named(&ctx, "namespaceName")?;
    created(&app, &ctx, &id_or_random(given), name).await
}

async fn console_change(app: Arc<App>, ctx: Ctx) -> Answer {
    changed(&app, &ctx, false).await
}

fn console_exist(app: &App, ctx: &Ctx) -> Answer {
    let id = api_text(&ctx.params, "customNamespaceId")?;
    Ok(Reply::result(!id.trim().is_empty() && app.configs.namespace_exists(id)))
}

async fn api_delete(app: Arc<App>, ctx: Ctx) -> Answer {
    delete(&app, api_text(&ctx.params, "namespaceId")?).await?;
    Ok(Reply::result(true))
}

fn get(app: &App, ctx: &Ctx, custom: i32) -> Answer {
    let id = ctx.params.get("namespaceId").ok_or_else(|| api_missing("namespaceId", "String"))?;
    let entry = app.configs.namespace(id).filter(|_| id.trim().is_empty() || is_plain(id));
    let entry = entry.ok_or_else(|| namespace::unknown(id))?;
    Ok(Reply::result(body(&entry, id, custom)))
}

/// A member of a namespace form; it may be empty.
fn named<'a>(ctx: &'a Ctx, name: &str) -> Result<&'a str, NacosError> {
    ctx.params.get(name).ok_or_else(|| {
        NacosError::new(400, ErrorCode::PARAMETER_MISSING, format!("required parameter '{name}' is missing"))
    })
}

async fn created(app: &App, ctx: &Ctx, id: &str, name: &str) -> Answer {
    if id == PUBLIC {
        let text = format!("namespaceId [{id}] is default namespace id and already exist.");
        return Err(NacosError::new(400, ErrorCode::NAMESPACE_ALREADY_EXIST, text).into());
    }
    if app.configs.namespace_exists(id) {
        return Err(NacosError::from(Refused::NamespaceExists { id: id.into() }).into());
    }
    create(app, id, name, ctx.params.get("namespaceDesc")).await?;
    Ok(Reply::result(true))
}

async fn changed(app: &App, ctx: &Ctx, name_rules: bool) -> Answer {
    let id = named(ctx, "namespaceId")?;
    let name = named(ctx, "namespaceName")?;
    if name_rules {
        namespace::check_name(name)?;
    }
    change(app, id, name, ctx.params.get("namespaceDesc")).await?;
    Ok(Reply::result(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_look_like_uuids_and_differ() {
        let id = random_id();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!(namespace::check_id(&id).is_ok());
        assert_ne!(id, random_id());
    }
}

//! History of configs in every generation.

use std::sync::Arc;

use nacre_config::{HistoryOp, HistoryRow, PageRequest, check, names};
use nacre_model::{ConfigKey, ErrorCode, NacosError, limits};
use nacre_store::HistoryPageQuery;
use nacre_wire::http::config::{
    ConfigBasicInfo, ConfigInfo, ConfigInfoWrapper, HistoryBasic, HistoryDetail, HistoryDetailV3, HistoryInfo,
};
use serde_json::{Value, json};

use super::{preset_json, search, v1, v3};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{
            Java, PageForm, api_missing, v1_number, v1_number_opt, v2_number, v2_number_required, v3_number_required,
        },
        dates::iso8601,
        refuse::Refusal,
        reply::{JSON_UTF8, Reply},
        table::Answer,
    },
};

/// Largest page of history.
const MOST: u64 = limits::PAGE_SIZE;

async fn page(
    app: &App,
    key: ConfigKey,
    page_no: u64,
    size: u64,
) -> Result<nacre_config::Page<HistoryRow>, NacosError> {
    let query = HistoryPageQuery { key, page: PageRequest { page_no, page_size: size.min(MOST) } };
    app.query(move |store| store.history_page(&query)).await
}

/// The row of a number, if it belongs to the key.
async fn row(app: &App, nid: i64, key: &ConfigKey) -> Result<Option<HistoryRow>, NacosError> {
    let Ok(nid) = u64::try_from(nid) else { return Ok(None) };
    belonging(app.query(move |store| store.history(nid)).await?, key)
}

/// The newest row of a config's id.
async fn previous(app: &App, id: i64, key: &ConfigKey) -> Result<Option<HistoryRow>, NacosError> {
    let Ok(id) = u64::try_from(id) else { return Ok(None) };
    belonging(app.query(move |store| store.history_previous(id)).await?, key)
}

fn belonging(row: Option<HistoryRow>, key: &ConfigKey) -> Result<Option<HistoryRow>, NacosError> {
    match row {
        Some(row) if row.key != *key => {
            Err(NacosError::new(403, ErrorCode::ACCESS_DENIED, "Please check dataId, group or namespaceId."))
        }
        other => Ok(other),
    }
}

fn absent(what: &str) -> NacosError {
    NacosError::not_found(ErrorCode::RESOURCE_NOT_FOUND, format!("{what} not exist"))
}

// v1 and v2

fn info_2x(row: &HistoryRow, whole: bool) -> HistoryInfo<'_> {
    HistoryInfo {
        id: row.nid,
        last_id: -1,
        data_id: &row.key.data_id,
        group: &row.key.group,
        tenant: names::shown_2x(&row.key.namespace),
        app_name: &row.app_name,
        md5: whole.then_some(&*row.md5),
        content: whole.then_some(&*row.content),
        src_ip: &row.src_ip,
        src_user: row.src_user.as_deref(),
        op_type: row.op.padded(),
        publish_type: row.publish_type(),
        gray_name: &row.gray_name,
        ext_info: &row.ext_info,
        created_time: iso8601(row.created),
        last_modified_time: iso8601(row.modified),
        encrypted_data_key: whole.then_some(&*row.encrypted_data_key),
    }
}

fn page_2x(page: &nacre_config::Page<HistoryRow>) -> Value {
    json!(search::page_body(page, |row| json!(info_2x(row, false))))
}

/// v1 finds out by parameters what is meant; what is absent is an empty answer.
pub(super) async fn v1_history(app: Arc<App>, ctx: Ctx) -> Answer {
    let params = &ctx.params;
    let (data_id, group) = v1::named(&ctx)?;
    let key = v1::key_of(&ctx, data_id, group);
    if params.first("search") != Some("accurate") {
        let nid = v1_number(params, "nid", Java::Long)?;
        return one_v1(row(&app, nid, &key).await);
    }
    let page_no = v1_number_opt(params, "pageNo", Java::Integer)?.unwrap_or(1);
    let page_size = v1_number_opt(params, "pageSize", Java::Integer)?.unwrap_or(100);
    let (Ok(page_no @ 1..), Ok(page_size @ 1..)) = (u64::try_from(page_no), u64::try_from(page_size)) else {
        return Err(NacosError::invalid("pageNo and pageSize must be greater than zero").into());
    };
    Ok(preset_json(&page_2x(&page(&app, key, page_no, page_size).await?)))
}

pub(super) async fn v1_previous(app: Arc<App>, ctx: Ctx) -> Answer {
    let (data_id, group) = v1::named(&ctx)?;
    let key = v1::key_of(&ctx, data_id, group);
    let id = v1_number(&ctx.params, "id", Java::Long)?;
    one_v1(previous(&app, id, &key).await)
}

fn one_v1(found: Result<Option<HistoryRow>, NacosError>) -> Answer {
    match found {
        Ok(Some(row)) => Ok(preset_json(&info_2x(&row, true))),
        Ok(None) => Ok(Reply::new(JSON_UTF8, "")),
        Err(error) if error.code == ErrorCode::ACCESS_DENIED => Ok(Reply::text(error.message).status(403)),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn v1_configs(app: Arc<App>, ctx: Ctx) -> Answer {
    let given = search::tenant(&ctx)?;
    check::tenant(Some(given))?;
    let namespace = names::namespace_2x(given).to_owned();
    Ok(preset_json(&configs_2x(&app, namespace).await?))
}

pub(super) async fn v2_configs(app: Arc<App>, ctx: Ctx) -> Answer {
    let given = ctx.params.get("namespaceId").ok_or_else(|| api_missing("namespaceId", "String"))?;
    check::namespace_id(Some(given))?;
    Ok(Reply::result(configs_2x(&app, names::namespace_2x(given).to_owned()).await?))
}

async fn configs_2x(app: &App, namespace: String) -> Result<Vec<Value>, NacosError> {
    let rows = app.query(move |store| store.configs_of(&namespace)).await?;
    let item = |row: &nacre_store::ConfigRow| {
        json!(ConfigInfoWrapper {
            info: ConfigInfo {
                id: 0,
                data_id: &row.key.data_id,
                group: &row.key.group,
                content: None,
                md5: None,
                encrypted_data_key: None,
                tenant: names::shown_2x(&row.key.namespace),
                app_name: &row.app_name,
                config_type: row.config_type.as_deref(),
            },
            last_modified: row.modified,
        })
    };
    Ok(rows.iter().map(item).collect())
}

// v2: a row that is not there is null.

fn v2_key(ctx: &Ctx) -> Result<ConfigKey, NacosError> {
    let (data_id, group) = super::v2::named(ctx)?;
    Ok(super::v2::written_key(ctx, data_id, group))
}

pub(super) async fn v2_list(app: Arc<App>, ctx: Ctx) -> Answer {
    let key = v2_key(&ctx)?;
    let number = |name: &str, default: i64| -> Result<u64, Refusal> {
        let number = v2_number(&ctx.params, name, Java::Integer)?.unwrap_or(default);
        u64::try_from(number)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| NacosError::invalid("pageNo and pageSize must be greater than zero").into())
    };
    let (page_no, page_size) = (number("pageNo", 1)?, number("pageSize", 100)?);
    Ok(Reply::result(page_2x(&page(&app, key, page_no, page_size).await?)))
}

fn v2_id(ctx: &Ctx, name: &str) -> Result<i64, Refusal> {
    v2_number_required(&ctx.params, name, Java::Long)
}

pub(super) async fn v2_one(app: Arc<App>, ctx: Ctx) -> Answer {
    let key = v2_key(&ctx)?;
    let nid = v2_id(&ctx, "nid")?;
    let row = row(&app, nid, &key).await?;
    Ok(Reply::result(row.as_ref().map(|row| info_2x(row, true))))
}

pub(super) async fn v2_previous(app: Arc<App>, ctx: Ctx) -> Answer {
    let key = v2_key(&ctx)?;
    let id = v2_id(&ctx, "id")?;
    let row = previous(&app, id, &key).await?;
    Ok(Reply::result(row.as_ref().map(|row| info_2x(row, true))))
}

/// A row beside what it became: for an update, the next row of the same version or, when there is none, the version
/// as it is now.
pub(super) async fn v2_detail(app: Arc<App>, ctx: Ctx) -> Answer {
    let key = v2_key(&ctx)?;
    let nid = v2_id(&ctx, "nid")?;
    let row = row(&app, nid, &key).await?;
    let Some(row) = row else { return Ok(Reply::result(Value::Null)) };
    let became = if row.op == HistoryOp::Update { became(&app, &row).await? } else { None };
    let mut detail = HistoryDetail {
        id: row.nid,
        last_id: -1,
        data_id: &row.key.data_id,
        group: &row.key.group,
        tenant: names::shown_2x(&row.key.namespace),
        op_type: row.op.letter(),
        publish_type: row.publish_type(),
        gray_name: &row.gray_name,
        app_name: &row.app_name,
        src_ip: &row.src_ip,
        src_user: row.src_user.as_deref(),
        created_time: iso8601(row.created),
        last_modified_time: iso8601(row.modified),
        ..Default::default()
    };
    if row.op == HistoryOp::Insert {
        detail.updated_md5 = Some(&row.md5);
        detail.updated_content = Some(&row.content);
        detail.updated_encrypted_data_key = Some(&row.encrypted_data_key);
        detail.update_ext_info = Some(&row.ext_info);
        detail.original_md5 = Some("");
        detail.original_content = Some("");
        detail.original_encrypted_data_key = Some("");
        detail.original_ext_info = Some("");
    } else {
        detail.original_md5 = Some(&row.md5);
        detail.original_content = Some(&row.content);
        detail.original_encrypted_data_key = Some(&row.encrypted_data_key);
        detail.original_ext_info = Some(&row.ext_info);
    }
    if let Some(became) = &became {
        detail.updated_md5 = Some(&became.md5);
        detail.updated_content = Some(&became.content);
        detail.updated_encrypted_data_key = Some(&became.encrypted_data_key);
        detail.update_ext_info = became.ext_info.as_deref();
    }
    Ok(Reply::result(detail))
}

/// The version that followed.
struct Became {
    md5: Arc<str>,
    content: Arc<str>,
    encrypted_data_key: Arc<str>,
    ext_info: Option<Arc<str>>,
}

async fn became(app: &App, row: &HistoryRow) -> Result<Option<Became>, NacosError> {
    let of = row.clone();
    if let Some(next) = app.query(move |store| store.history_next(&of)).await? {
        let ext_info = Some(next.ext_info);
        let (md5, content) = (next.md5, next.content);
        return Ok(Some(Became { md5, content, encrypted_data_key: next.encrypted_data_key, ext_info }));
    }
    let Some(item) = app.configs.get(&row.key) else { return Ok(None) };
    if row.gray_name.is_empty() {
        return Ok(item.formal.as_ref().map(|formal| Became {
            md5: formal.md5.clone(),
            content: formal.content.clone(),
            encrypted_data_key: formal.encrypted_data_key.clone(),
            ext_info: Some(nacre_config::history::formal_ext(formal, HistoryOp::Update)),
        }));
    }
    Ok(item.gray(&row.gray_name).map(|gray| Became {
        md5: gray.md5.clone(),
        content: gray.content.clone(),
        encrypted_data_key: gray.encrypted_data_key.clone(),
        ext_info: Some(nacre_config::history::gray_ext(gray)),
    }))
}

// v3

fn basic_v3(row: &HistoryRow, whole: bool) -> HistoryBasic<'_> {
    HistoryBasic {
        basic: ConfigBasicInfo {
            id: row.nid,
            namespace_id: &row.key.namespace,
            group_name: &row.key.group,
            data_id: &row.key.data_id,
            md5: whole.then_some(&*row.md5),
            config_type: None,
            app_name: &row.app_name,
            create_time: row.created,
            modify_time: row.modified,
        },
        src_ip: &row.src_ip,
        src_user: row.src_user.as_deref(),
        op_type: row.op.padded(),
        publish_type: row.publish_type(),
    }
}

fn detail_v3(row: &HistoryRow) -> HistoryDetailV3<'_> {
    HistoryDetailV3 {
        basic: basic_v3(row, true),
        content: &row.content,
        encrypted_data_key: &row.encrypted_data_key,
        gray_name: &row.gray_name,
        ext_info: &row.ext_info,
    }
}

fn v3_key(ctx: &Ctx) -> Result<ConfigKey, NacosError> {
    let (data_id, group) = v3::form_key(ctx)?;
    Ok(v3::key_of(ctx, data_id, group))
}

pub(super) async fn v3_list(app: Arc<App>, ctx: Ctx) -> Answer {
    let numbers = PageForm::read(&ctx.params, 1)?;
    let key = v3_key(&ctx)?;
    let (page_no, page_size) = numbers.validate()?;
    let page = page(&app, key, page_no, page_size).await?;
    Ok(Reply::result(search::page_body(&page, |row| json!(basic_v3(row, false)))))
}

pub(super) async fn v3_one(app: Arc<App>, ctx: Ctx) -> Answer {
    let nid = v3_number_required(&ctx.params, "nid", Java::Long)?;
    let key = v3_key(&ctx)?;
    let row = row(&app, nid, &key).await?;
    let row = row.ok_or_else(|| absent(&format!("certain config history for nid = {nid}")))?;
    Ok(Reply::result(detail_v3(&row)))
}

pub(super) async fn v3_previous(app: Arc<App>, ctx: Ctx) -> Answer {
    let id = v3_number_required(&ctx.params, "id", Java::Long)?;
    let key = v3_key(&ctx)?;
    let row = previous(&app, id, &key).await?;
    let row = row.ok_or_else(|| absent(&format!("previous config history for id = {id}")))?;
    Ok(Reply::result(detail_v3(&row)))
}

pub(super) async fn v3_configs(app: Arc<App>, ctx: Ctx) -> Answer {
    let given = ctx.params.get("namespaceId").ok_or_else(|| api_missing("namespaceId", "String"))?;
    check::namespace_id(Some(given))?;
    let namespace = names::namespace_3x(given).to_owned();
    let rows = app.query(move |store| store.configs_of(&namespace)).await?;
    let item = |row: &nacre_store::ConfigRow| {
        json!(ConfigBasicInfo {
            id: 0,
            namespace_id: &row.key.namespace,
            group_name: &row.key.group,
            data_id: &row.key.data_id,
            md5: None,
            config_type: row.config_type.as_deref(),
            app_name: &row.app_name,
            create_time: 0,
            modify_time: row.modified,
        })
    };
    Ok(Reply::result(rows.iter().map(item).collect::<Vec<_>>()))
}

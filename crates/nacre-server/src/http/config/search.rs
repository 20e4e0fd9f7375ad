//! Searches and lists of every generation, and the whole of one config as 1.x consoles read it.

use std::sync::Arc;

use nacre_config::{ConfigSearch, KeyRef, PageRequest, Pattern, SearchMode, names};
use nacre_model::{ErrorCode, NacosError, PUBLIC};
use nacre_store::ConfigRow;
use nacre_wire::http::{
    PageBody,
    config::{ConfigAdvance, ConfigAllInfo, ConfigBasicInfo, ConfigInfo},
};
use serde_json::{Value, json};

use super::{preset_json, v1};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Java, api_text, page_form, v1_number, v1_text, v2_number_required},
        params::Params,
        refuse::Refusal,
        reply::{JSON_UTF8, Reply},
        table::Answer,
    },
};

/// The reference's own cap of a statement.
const MOST: u64 = 50_000;

/// Comma list of patterns; empty parts do not count, and blanks are part of the others. v1 and v2 take every tag as it is,
/// however they search.
fn patterns(mode: SearchMode, text: &str) -> Vec<Pattern> {
    let pattern = |part: &str| match mode {
        SearchMode::Blur if part.contains('*') => Pattern::Glob(part.to_owned()),
        _ => Pattern::Exact(part.to_owned()),
    };
    if text.trim().is_empty() {
        return Vec::new();
    }
    text.split(',').filter(|part| !part.is_empty()).map(pattern).collect()
}

/// Types, of which none has blanks around it.
fn words(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim_end_matches(' ')).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

async fn page(
    app: &App,
    search: ConfigSearch,
    request: PageRequest,
    with_content: bool,
) -> Result<nacre_config::Page<ConfigRow>, NacosError> {
    app.query(move |store| store.search(&search, request, with_content)).await
}

// v1 and v2

/// `search=accurate|blur`.
pub(super) async fn v1_search(app: &App, ctx: &Ctx, mode: SearchMode) -> Answer {
    let params = &ctx.params;
    let (data_id, group) = v1::named(ctx)?;
    let request = numbers(params, data_id, group)?;
    let tags = patterns(SearchMode::Accurate, params.or("config_tags", ""));
    let tagged = !tags.is_empty();
    let search = ConfigSearch {
        namespace: namespace(mode, params.or("tenant", ""), tenant_2x),
        data_id: Pattern::of(mode, data_id),
        group: Pattern::of(mode, group),
        app_name: Pattern::accurate(params.or("appName", "")),
        tags,
        types: if mode == SearchMode::Blur { words(params.or("types", "")) } else { Vec::new() },
        content: Pattern::Any,
        repeat_per_tag: true,
    };
    if mode == SearchMode::Blur {
        app.metrics.config.fuzzy_search.add(app.clock.now().wall);
    }
    let page = page(app, search, request, true).await?;
    Ok(preset_json(&page_2x(&page, Shown::by(mode, tagged))))
}

/// `GET /v2/cs/config/searchDetail`: v1's names, a filter by content, no envelope.
pub(super) async fn v2_search(app: Arc<App>, ctx: Ctx) -> Answer {
    let params = &ctx.params;
    let (data_id, group) = super::v2::named(&ctx)?;
    let mode = mode(params);
    let content = api_text(params, "config_detail")?;
    let page_no = v2_number_required(params, "pageNo", Java::Int)?;
    let page_size = v2_number_required(params, "pageSize", Java::Int)?;
    // The search waits in a queue, whose end is all that is told of a page that cannot be.
    let full = |_| NacosError::new(503, ErrorCode::SERVER_ERROR, "errCode: 503, errMsg: server limit match. ");
    let request = page_request(page_no, page_size, data_id, group).map_err(full)?;
    let tags = patterns(SearchMode::Accurate, params.or("config_tags", ""));
    let tagged = !tags.is_empty();
    let search = ConfigSearch {
        namespace: namespace(mode, params.or("tenant", ""), tenant_2x),
        data_id: Pattern::of(mode, data_id),
        group: Pattern::of(mode, group),
        app_name: Pattern::accurate(params.or("appName", "")),
        tags,
        types: Vec::new(),
        content: Pattern::of(mode, content),
        repeat_per_tag: true,
    };
    app.metrics.config.fuzzy_search.add(app.clock.now().wall);
    let page = page(&app, search, request, true).await?;
    Ok(Reply::json(&page_2x(&page, Shown::by(mode, tagged))))
}

/// A glob spans namespaces; every spelling of the default one is the default one.
fn namespace(mode: SearchMode, given: &str, exact: impl Fn(&str) -> &str) -> Pattern {
    match mode {
        SearchMode::Blur if given.contains('*') => Pattern::Glob(given.to_owned()),
        _ => Pattern::Exact(exact(given).to_owned()),
    }
}

/// Blanks around it are part of it, and `null` is a name, unlike in a publish.
fn tenant_2x(given: &str) -> &str {
    if given.trim().is_empty() { PUBLIC } else { given }
}

/// By `search`: blur where nothing is said, and any other word is accurate.
fn mode(params: &Params) -> SearchMode {
    if matches!(params.get("search"), None | Some("" | "blur")) { SearchMode::Blur } else { SearchMode::Accurate }
}

/// Page number and size, required, from 1.
fn numbers(params: &Params, data_id: &str, group: &str) -> Result<PageRequest, Refusal> {
    let page_no = v1_number(params, "pageNo", Java::Int)?;
    let page_size = v1_number(params, "pageSize", Java::Int)?;
    page_request(page_no, page_size, data_id, group)
}

fn page_request(page_no: i64, page_size: i64, data_id: &str, group: &str) -> Result<PageRequest, Refusal> {
    match (u64::try_from(page_no), u64::try_from(page_size)) {
        (Ok(page_no @ 1..), Ok(page_size @ 1..)) => Ok(PageRequest { page_no, page_size: page_size.min(MOST) }),
        _ => Err(NacosError::invalid(format!(
            "serialize page error, dataId={data_id}, group={group};caused: pageNo and pageSize must be greater than zero"
        ))
        .into()),
    }
}

#[derive(Clone, Copy)]
struct Shown {
    /// The data key.
    key: bool,
    /// The type.
    kind: bool,
}

impl Shown {
    /// Which members the reference's own statements select depends on the kind of search.
    fn by(mode: SearchMode, tagged: bool) -> Self {
        let blur = mode == SearchMode::Blur;
        Self { key: blur && !tagged, kind: blur || !tagged }
    }
}

fn page_2x(page: &nacre_config::Page<ConfigRow>, shown: Shown) -> PageBody<Value> {
    let item = |row: &ConfigRow| {
        json!(ConfigInfo {
            id: row.id,
            data_id: &row.key.data_id,
            group: &row.key.group,
            content: Some(&row.content),
            md5: None,
            encrypted_data_key: shown.key.then_some(&*row.encrypted_data_key),
            tenant: names::shown_2x(&row.key.namespace),
            app_name: &row.app_name,
            config_type: row.config_type.as_deref().filter(|_| shown.kind),
        })
    };
    page_body(page, item)
}

pub(super) fn page_body<T>(page: &nacre_config::Page<T>, item: impl Fn(&T) -> Value) -> PageBody<Value> {
    PageBody {
        total_count: page.total_count,
        page_number: page.page_number,
        pages_available: page.pages_available,
        page_items: page.items.iter().map(item).collect(),
    }
}

/// `show=all`: everything about one config; absent is an empty answer.
pub(super) fn show_all(app: &App, ctx: &Ctx) -> Answer {
    let (data_id, group) = v1::named(ctx)?;
    nacre_config::check::tenant(ctx.params.get("tenant"))?;
    nacre_config::check::key(Some(data_id), Some(group))?;
    let key = v1::key_of(ctx, data_id, group);
    let Some(formal) = app.configs.get(KeyRef::from(&key)).and_then(|item| item.formal.clone()) else {
        return Ok(Reply::new(JSON_UTF8, ""));
    };
    let tags = formal.meta.tags_text();
    Ok(preset_json(&ConfigAllInfo {
        info: ConfigInfo {
            id: formal.id,
            data_id: &key.data_id,
            group: &key.group,
            content: Some(&formal.content),
            md5: Some(&formal.md5),
            encrypted_data_key: Some(&formal.encrypted_data_key),
            tenant: names::shown_2x(&key.namespace),
            app_name: &formal.meta.app_name,
            config_type: formal.meta.config_type.as_deref(),
        },
        advance: advance(&formal, tags.as_deref(), false),
    }))
}

/// `GET /v1/cs/configs/catalog`: what a config says about itself.
pub(super) fn catalog(app: &App, ctx: &Ctx) -> Answer {
    let (data_id, group) = v1::named(ctx)?;
    let key = v1::key_of(ctx, data_id, group);
    let formal = app.configs.get(KeyRef::from(&key)).and_then(|item| item.formal.clone());
    let data = formal.map(|formal| json!(advance(&formal, formal.meta.tags_text().as_deref(), true)));
    Ok(Reply::rest(None, data).typed(JSON_UTF8))
}

fn advance<'a>(formal: &'a nacre_config::FormalConfig, tags: Option<&'a str>, with_type: bool) -> ConfigAdvance<'a> {
    let meta = &formal.meta;
    ConfigAdvance {
        create_time: formal.created,
        modify_time: formal.modified,
        create_user: formal.source.user.as_deref(),
        create_ip: &formal.source.ip,
        desc: meta.desc.as_deref(),
        r#use: meta.r#use.as_deref(),
        effect: meta.effect.as_deref(),
        config_type: meta.config_type.as_deref().filter(|_| with_type),
        schema: meta.schema.as_deref(),
        config_tags: tags,
    }
}

// v3

/// `GET /v3/admin/cs/config/list`.
pub(super) async fn admin_list(app: Arc<App>, ctx: Ctx) -> Answer {
    let mode = mode(&ctx.params);
    let content = Pattern::of(mode, ctx.params.or("configDetail", ""));
    v3_list(&app, &ctx, mode, content).await
}

/// `GET /v3/console/cs/config/list`: by names, with wildcards.
pub(super) async fn console_list(app: Arc<App>, ctx: Ctx) -> Answer {
    v3_list(&app, &ctx, SearchMode::Blur, Pattern::Any).await
}

/// `GET /v3/console/cs/config/searchDetail`: by content, too.
pub(super) async fn console_search(app: Arc<App>, ctx: Ctx) -> Answer {
    let mode = mode(&ctx.params);
    let content = Pattern::of(mode, ctx.params.or("configDetail", ""));
    v3_list(&app, &ctx, mode, content).await
}

async fn v3_list(app: &App, ctx: &Ctx, mode: SearchMode, content: Pattern) -> Answer {
    let params = &ctx.params;
    let (page_no, page_size) = page_form(params, 1)?;
    let tags = patterns(mode, params.or("configTags", ""));
    let tagged = !tags.is_empty();
    let search = ConfigSearch {
        namespace: namespace(mode, params.or("namespaceId", ""), names::namespace_3x),
        data_id: Pattern::of(mode, params.or("dataId", "")),
        group: Pattern::of(mode, params.or("groupName", "")),
        app_name: Pattern::accurate(params.or("appName", "")),
        tags,
        // An accurate search looks at no type.
        types: if mode == SearchMode::Blur { words(params.or("type", "")) } else { Vec::new() },
        content,
        repeat_per_tag: true,
    };
    app.metrics.config.fuzzy_search.add(app.clock.now().wall);
    let request = PageRequest { page_no, page_size: page_size.min(MOST) };
    let page = page(app, search, request, false).await?;
    Ok(Reply::result(page_body(&page, |row| basic(row, Shown::by(mode, tagged), !tagged))))
}

fn basic(row: &ConfigRow, shown: Shown, with_md5: bool) -> Value {
    json!(ConfigBasicInfo {
        id: row.id,
        namespace_id: &row.key.namespace,
        group_name: &row.key.group,
        data_id: &row.key.data_id,
        md5: with_md5.then_some(&*row.md5),
        config_type: row.config_type.as_deref().filter(|_| shown.kind),
        app_name: &row.app_name,
        create_time: 0,
        modify_time: 0,
    })
}

/// The absent text parameter of a v1 call.
pub(super) fn tenant(ctx: &Ctx) -> Result<&str, Refusal> {
    v1_text(&ctx.params, "tenant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_spans_namespaces_and_only_in_blur_searches() {
        for exact in [tenant_2x, names::namespace_3x] {
            assert_eq!(namespace(SearchMode::Blur, "dev*", exact), Pattern::Glob("dev*".into()));
            assert_eq!(namespace(SearchMode::Accurate, "dev*", exact), Pattern::Exact("dev*".into()));
            for word in ["", "public"] {
                assert_eq!(namespace(SearchMode::Blur, word, exact), Pattern::Exact("public".into()));
            }
        }
        assert_eq!(namespace(SearchMode::Blur, "null", tenant_2x), Pattern::Exact("null".into()));
        assert_eq!(namespace(SearchMode::Blur, " dev ", tenant_2x), Pattern::Exact(" dev ".into()));
    }
}

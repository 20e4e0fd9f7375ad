//! `/v1/ns/service`: create, delete, change, detail, list, names, subscribers, selector types.

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::{DEFAULT_GROUP, Metadata, NacosError, PUBLIC, ServiceKey};
use nacre_naming::{NamingCommand, Page, SELECTOR_TYPES, Selector, ServiceMetadata};
use serde_json::json;

use super::{
    bodies, call,
    read::{Double, V1, check_page, named_key, single},
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Declared, Java},
        params::decode,
        refuse::Refusal,
        reply::{Reply, Style},
        table::{Answer, Auth, DELETE, GET, Generation, POST, PUT, Row},
    },
    later, now,
};

const AREA: (Generation, &str, Style) = (Generation::V1, "naming", Style::V1Naming);

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v1/ns/service", AREA, Auth::Write, later!(create)),
    Row::new(DELETE, "/v1/ns/service", AREA, Auth::Write, later!(remove)),
    Row::new(PUT, "/v1/ns/service", AREA, Auth::Write, later!(change)),
    Row::new(GET, "/v1/ns/service", AREA, Auth::Read, now!(detail)),
    Row::new(GET, "/v1/ns/service/list", AREA, Auth::Read, now!(list)),
    Row::new(GET, "/v1/ns/service/names", AREA, Auth::Read, now!(names)),
    Row::new(GET, "/v1/ns/service/subscribers", AREA, Auth::Read, now!(subscribers)),
    Row::new(GET, "/v1/ns/service/selector/types", AREA, Auth::Read, now!(selector_types)),
];

/// The service of a declared `serviceName`. An empty one is a service without group and name, as in the reference.
fn declared_service(ctx: &Ctx) -> Result<ServiceKey, Refusal> {
    let declared = Declared { params: &ctx.params, generation: Generation::V1 };
    let name = declared.required("serviceName")?;
    let namespace = declared.text("namespaceId", PUBLIC);
    if name.trim().is_empty() {
        return Ok(ServiceKey::new(namespace, "", ""));
    }
    let (group, name) = ServiceKey::split_grouped(name);
    Ok(ServiceKey::new(namespace, group, name))
}

/// A `selector` parameter, which clients encode once more than the rest.
pub fn read_selector(text: Option<&str>) -> Result<Selector, NacosError> {
    Selector::parse(&decode(text.unwrap_or_default().as_bytes()))
}

/// What is refused is told by the service's name; a service without one is refused for that.
async fn write(app: &App, command: NamingCommand, service: &ServiceKey) -> Result<(), NacosError> {
    let written = app.write_naming(command).await;
    written
        .map(drop)
        .map_err(|error| named_key(&service.namespace, &service.group, &service.name).err().unwrap_or(error))
}

async fn create(app: Arc<App>, ctx: Ctx) -> Answer {
    let declared = Declared { params: &ctx.params, generation: Generation::V1 };
    let service = declared_service(&ctx)?;
    let protect_threshold = declared.number::<f64>("protectThreshold", Java::PrimitiveFloat)?.map_or(0.0, single);
    let selector = read_selector(ctx.params.non_blank("selector"))?;
    let metadata = V1::new(&ctx).metadata()?.map(|metadata| Metadata::clone(&metadata)).unwrap_or_default();
    let metadata =
        ServiceMetadata { ephemeral: false, protect_threshold, selector, metadata, clusters: BTreeMap::new() };
    write(&app, NamingCommand::CreateService { service: service.clone(), metadata }, &service).await?;
    Ok(Reply::text("ok"))
}

async fn remove(app: Arc<App>, ctx: Ctx) -> Answer {
    let service = declared_service(&ctx)?;
    write(&app, NamingCommand::DeleteService { service: service.clone() }, &service).await?;
    Ok(Reply::text("ok"))
}

async fn change(app: Arc<App>, ctx: Ctx) -> Answer {
    let read = V1::new(&ctx);
    let service = read.any_service()?;
    // Text that is no number is 0 here.
    let protect_threshold = read.required("protectThreshold")?.parse::<Double>().map_or(0.0, |given| single(given.0));
    let metadata = read.metadata()?.map(|metadata| Metadata::clone(&metadata)).unwrap_or_default();
    let selector = read_selector(read.optional("selector").as_deref())?;
    let command = NamingCommand::UpdateService { service: service.clone(), protect_threshold, selector, metadata };
    write(&app, command, &service).await?;
    Ok(Reply::text("ok"))
}

fn detail(app: &App, ctx: &Ctx) -> Answer {
    let service = declared_service(ctx)?;
    let detail = app.naming.service(&service).map_err(|mut error| {
        if service.name.is_empty() {
            error.message = format!("service not found, namespace: {}, serviceName: ", service.namespace);
        }
        error
    })?;
    Ok(Reply::json(&bodies::service_v1(&detail)))
}

/// A whole number as commons-lang reads it: what is none, or does not fit, is 0.
fn lenient_int(text: &str) -> i64 {
    text.parse::<i32>().unwrap_or(0).into()
}

fn list(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    let number = lenient_int(&read.required("pageNo")?);
    let size = lenient_int(&read.required("pageSize")?);
    let namespace = read.namespace();
    let group = read.or("groupName", DEFAULT_GROUP);
    let found = app.naming.service_names(&namespace, &group, Page::new(number, size.max(0)));
    check_page(number, size, found.total)?;
    Ok(Reply::json(&json!({ "count": found.total, "doms": found.rows })))
}

fn names(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    let namespace = read.optional("namespaceId");
    let keys = app.naming.service_keys(namespace.as_deref(), &read.or("expr", ""));
    let mut by_namespace: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if let Some(namespace) = namespace {
        by_namespace.entry(namespace.into_owned()).or_default();
    }
    let count = keys.len();
    for key in keys {
        by_namespace.entry(key.namespace.to_string()).or_default().push(key.grouped());
    }
    // The odd key is the reference's own since 2.0.
    Ok(Reply::json(&json!({ "META-INF/services": by_namespace, "count": count })))
}

fn subscribers(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    let service = read.any_service()?;
    let page = |name, default: &'static str| lenient_int(&read.or(name, default));
    let page = Page::new(page("pageNo", "1"), page("pageSize", "1000").max(0));
    let all = call::listed(app.naming.subscribers_like(&service.namespace, &service.group, &service.name));
    let shown: Vec<_> = page.slice(&all).iter().map(bodies::subscriber_v1).collect();
    Ok(Reply::json(&json!({ "subscribers": shown, "count": all.len() })))
}

fn selector_types(_: &App, _: &Ctx) -> Answer {
    Ok(Reply::rest(None, SELECTOR_TYPES))
}

//! `/v2/ns/instance` and `/v2/ns/catalog`.

use std::sync::Arc;

use nacre_model::{DEFAULT_CLUSTER, DEFAULT_GROUP, NacosError, PUBLIC, ServiceKey, key::GROUP_SEPARATOR};
use nacre_naming::{InstanceRef, NamingCommand, check_weight, parse_metadata, parse_metadata_keys};
use nacre_wire::naming::InstanceJson;
use serde_json::{Value, json};

use super::{
    bodies,
    call::{self, BatchChange, BeatParams, Poller},
    read::{Double, InstanceForm, cut, form_metadata, form_service, grouped_key, joined_key},
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Declared, Form, Java},
        refuse::Refusal,
        reply::{Reply, Style},
        table::{ANY, Answer, Auth, Check, DELETE, GET, Generation, PATCH, POST, PUT, Row, Step},
    },
    later, now, step,
};

const AREA: (Generation, &str, Style) = (Generation::V2, "naming", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v2/ns/instance", AREA, Auth::Write, step!(register)),
    Row::new(DELETE, "/v2/ns/instance", AREA, Auth::Write, step!(deregister)),
    Row::new(PUT, "/v2/ns/instance", AREA, Auth::Write, later!(update)),
    Row::new(PATCH, "/v2/ns/instance", AREA, Auth::Write, later!(patch)),
    Row::new(GET, "/v2/ns/instance", AREA, Auth::Read, now!(detail)),
    Row::new(GET, "/v2/ns/instance/list", AREA, Auth::Read, now!(list)).checked(Check::List),
    Row::new(PUT, "/v2/ns/instance/beat", AREA, Auth::Write, now!(beat)).checked(Check::Beat),
    Row::new(PUT, "/v2/ns/instance/metadata/batch", AREA, Auth::Write, later!(update_metadata)).checked(Check::Batch),
    Row::new(DELETE, "/v2/ns/instance/metadata/batch", AREA, Auth::Write, later!(delete_metadata))
        .checked(Check::Batch),
    // The reference's check finds no handler by a path that holds a value.
    Row::new(ANY, "/v2/ns/instance/statuses/{key}", AREA, Auth::None, now!(statuses)).checked(Check::Off),
    Row { style: Style::V1Naming, ..Row::new(ANY, "/v2/ns/catalog/instances", AREA, Auth::Read, now!(catalog)) },
];

fn declared(ctx: &Ctx) -> Declared<'_> {
    Declared { params: &ctx.params, generation: Generation::V2 }
}

fn form(app: &App, ctx: &Ctx) -> Result<InstanceForm, Refusal> {
    InstanceForm::read(ctx, Generation::V2, app.naming.switches().default_instance_ephemeral)
}

fn register(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let form = form(app, ctx)?;
    form.check()?;
    call::register(app, ctx, form.service, form.instance, Reply::result("ok"))
}

fn deregister(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let form = form(app, ctx)?;
    call::deregister(app, form.service, &form.instance, Reply::result("ok"))
}

async fn update(app: Arc<App>, ctx: Ctx) -> Answer {
    let form = form(&app, &ctx)?;
    form.check()?;
    call::update(&app, form.service, form.instance).await?;
    Ok(Reply::result("ok"))
}

/// The service of `serviceName` as the calls want it that do not join: grouped already.
fn grouped_service(ctx: &Ctx, name: &str) -> Result<ServiceKey, NacosError> {
    grouped_key(ctx.params.or("namespaceId", PUBLIC), name)
}

async fn patch(app: Arc<App>, ctx: Ctx) -> Answer {
    let declared = declared(&ctx);
    let name = declared.required("serviceName")?;
    let ip = declared.required("ip")?;
    let cluster = declared.text("cluster", DEFAULT_CLUSTER);
    let port: i32 = declared.required_number("port", Java::Integer)?;
    let weight: Double = declared.required_number("weight", Java::Double)?;
    let enabled = declared.required_truth("enabled", Java::Boolean)?;
    let metadata = declared.required("metadata")?;
    let service = grouped_service(&ctx, name)?;
    let metadata = match metadata.trim() {
        "" => None,
        _ => Some(parse_metadata(metadata)?),
    };
    check_weight(weight.0)?;
    // Asked here for the answer; whether it may be done is decided where it is applied.
    app.naming.instance(&service, ip, port, cluster)?;
    let instance = InstanceRef::new(ip, port, cluster);
    let (weight, enabled) = (Some(weight.0), Some(enabled));
    app.write_naming(NamingCommand::PatchInstance { service, instance, weight, enabled, metadata }).await?;
    Ok(Reply::text("ok"))
}

/// Namespace, group and name of declared parameters.
pub fn declared_names(ctx: &Ctx) -> Result<(&str, &str, &str), Refusal> {
    let declared = declared(ctx);
    let name = declared.required("serviceName")?;
    Ok((declared.text("namespaceId", PUBLIC), declared.text("groupName", DEFAULT_GROUP), name))
}

/// The service of declared parameters of calls about instances.
fn declared_service(ctx: &Ctx) -> Result<ServiceKey, Refusal> {
    let (namespace, group, name) = declared_names(ctx)?;
    joined_key(Generation::V2, namespace, group, name)
}

fn detail(app: &App, ctx: &Ctx) -> Answer {
    let declared = declared(ctx);
    declared.required("serviceName")?;
    let ip = declared.required("ip")?;
    let cluster = declared.text("clusterName", DEFAULT_CLUSTER);
    let port: i32 = declared.required_number("port", Java::Integer)?;
    let service = declared_service(ctx)?;
    let instance = app.naming.instance(&service, ip, port, cluster)?;
    let (_, group, name) = declared_names(ctx)?;
    let asked = [group, GROUP_SEPARATOR, name].concat();
    Ok(Reply::result(bodies::instance_detail("serviceName", &asked, &service, &instance)))
}

fn list(app: &App, ctx: &Ctx) -> Answer {
    let declared = declared(ctx);
    let udp_port = declared.number("port", Java::Integer)?.unwrap_or(0);
    let healthy_only = declared.truth("healthyOnly", Java::Boolean)?.unwrap_or(false);
    let service = declared_service(ctx)?;
    let poller = Poller { ip: declared.text("ip", ""), udp_port, app: declared.text("app", "") };
    let view = call::list(app, ctx, &service, declared.text("clusterName", ""), healthy_only, &poller);
    let info = call::service_info(&view);
    let body = [&br#"{"code":0,"message":"success","data":"#[..], &info, b"}"].concat();
    Ok(Reply::json_text(body))
}

fn beat(app: &App, ctx: &Ctx) -> Answer {
    let declared = declared(ctx);
    let name = declared.required("serviceName")?;
    let ip = declared.text("ip", "");
    let cluster = declared.text("clusterName", DEFAULT_CLUSTER);
    let port: i32 = declared.number("port", Java::Integer)?.unwrap_or(0);
    let service = grouped_service(ctx, name)?;
    call::beat(app, ctx, &BeatParams { service: &service, ip, port, cluster })
}

async fn update_metadata(app: Arc<App>, ctx: Ctx) -> Answer {
    metadata_batch(&app, &ctx, Generation::V2, false).await
}

async fn delete_metadata(app: Arc<App>, ctx: Ctx) -> Answer {
    metadata_batch(&app, &ctx, Generation::V2, true).await
}

/// PUT and DELETE metadata/batch of v2 and v3.
pub async fn metadata_batch(app: &App, ctx: &Ctx, generation: Generation, delete: bool) -> Answer {
    let form = Form { params: &ctx.params, generation, name: "instanceMetadataBatchOperationForm" };
    let service = form_service(&form)?;
    let text = form.required("metadata")?;
    let change = if delete {
        BatchChange::Remove(parse_metadata_keys(text)?)
    } else {
        BatchChange::Set(form_metadata(ctx)?.unwrap_or_default())
    };
    let instances = ctx.params.non_blank("instances");
    let updated = call::metadata_batch(app, service, instances, change).await?;
    Ok(Reply::result(json!({ "updated": updated })))
}

fn statuses(app: &App, ctx: &Ctx) -> Answer {
    Ok(Reply::json(&bodies::statuses(app, ctx.path_value("key"))?))
}

fn catalog(app: &App, ctx: &Ctx) -> Answer {
    // The annotated v1 handlers and this one share the words for what is missing.
    let words = Declared { params: &ctx.params, generation: Generation::V1 };
    let name = words.required("serviceName")?;
    let number: i32 = words.required_number("pageNo", Java::Int)?;
    let size: i32 = words.required_number("pageSize", Java::Int)?;
    let healthy_only = words.truth("healthyOnly", Java::Boolean)?;
    let enabled_only = words.truth("enabledOnly", Java::Boolean)?;
    if !name.is_empty() && name.trim_start_matches(GROUP_SEPARATOR).is_empty() {
        return Err(Refusal::exception("Index 1 out of bounds for length 0"));
    }
    // No name is a service without group and name, not one of the default group.
    let (group, bare) = if name.trim().is_empty() { ("", "") } else { ServiceKey::split_grouped(name) };
    let service = ServiceKey::new(words.text("namespaceId", PUBLIC), group, bare);
    let snapshot = app.naming.snapshot(&service);
    let all = snapshot.iter().flat_map(|snapshot| snapshot.instances.iter());
    // Equality, not "at least": `false` shows the unhealthy ones only.
    let shown: Vec<_> = all
        .filter(|i| healthy_only.is_none_or(|wanted| i.healthy == wanted))
        .filter(|i| enabled_only.is_none_or(|wanted| i.enabled == wanted))
        .collect();
    let grouped = service.grouped();
    let mut data = json!({});
    let (size, total) = (i64::from(size), shown.len() as i64);
    let start = (i64::from(number) - 1).saturating_mul(size).max(0);
    if start < total {
        let page = &shown[cut(start, (start + size).min(total))?];
        let page = page.iter().map(|instance| json!(InstanceJson { instance, grouped: &grouped }));
        data["instances"] = Value::Array(page.collect());
    }
    data["count"] = shown.len().into();
    Ok(Reply::result(data))
}

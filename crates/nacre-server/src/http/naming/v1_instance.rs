//! `/v1/ns/instance`: register, deregister, update, patch, detail, list, beat, metadata batch, statuses.

use std::sync::Arc;

use nacre_model::{DEFAULT_CLUSTER, Metadata, ServiceKey};
use nacre_naming::{InstanceRef, NamingCommand, check_instance, parse_metadata_keys};
use serde_json::json;

use super::{
    bodies,
    call::{self, BatchChange, BeatParams, Poller},
    read::{Double, V1, no_number},
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::Declared,
        refuse::Refusal,
        reply::{Reply, Style},
        table::{Answer, Auth, Check, DELETE, GET, Generation, PATCH, POST, PUT, Row, Step},
    },
    later, now, step,
};

pub(super) const AREA: (Generation, &str, Style) = (Generation::V1, "naming", Style::V1Naming);

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v1/ns/instance", AREA, Auth::Write, step!(register)),
    Row::new(DELETE, "/v1/ns/instance", AREA, Auth::Write, step!(deregister)),
    Row::new(PUT, "/v1/ns/instance", AREA, Auth::Write, later!(update)),
    Row::new(PATCH, "/v1/ns/instance", AREA, Auth::Write, later!(patch)),
    Row::new(GET, "/v1/ns/instance", AREA, Auth::Read, now!(detail)),
    Row::new(GET, "/v1/ns/instance/list", AREA, Auth::Read, now!(list)).checked(Check::List),
    Row::new(PUT, "/v1/ns/instance/beat", AREA, Auth::Write, now!(beat)).checked(Check::Beat),
    Row::new(PUT, "/v1/ns/instance/metadata/batch", AREA, Auth::Write, later!(update_metadata)).checked(Check::Batch),
    Row::new(DELETE, "/v1/ns/instance/metadata/batch", AREA, Auth::Write, later!(delete_metadata))
        .checked(Check::Batch),
    Row::new(GET, "/v1/ns/instance/statuses", AREA, Auth::None, now!(statuses)),
];

fn ok() -> Reply {
    Reply::text("ok")
}

pub(super) fn register(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let read = V1::new(ctx);
    let service = read.service()?;
    let mut instance = read.instance(&app.naming)?;
    check_instance(&instance)?;
    instance.instance_id = app.naming.own_id(&instance, &service, ctx.now)?;
    call::register(app, ctx, service, instance, ok())
}

pub(super) fn deregister(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let read = V1::new(ctx);
    let instance = read.instance(&app.naming)?;
    let service = read.service()?;
    call::deregister(app, service, &instance, ok())
}

pub(super) async fn update(app: Arc<App>, ctx: Ctx) -> Answer {
    let read = V1::new(&ctx);
    let service = read.service()?;
    let instance = read.instance(&app.naming)?;
    check_instance(&instance)?;
    call::update(&app, service, instance).await?;
    Ok(ok())
}

pub(super) async fn patch(app: Arc<App>, ctx: Ctx) -> Answer {
    let read = V1::new(&ctx);
    let service = read.service()?;
    let ip = read.required("ip")?;
    let port = read.port()?;
    let cluster = read.optional("clusterName").unwrap_or_else(|| read.or("cluster", DEFAULT_CLUSTER));
    let metadata = read.metadata()?.map(|metadata| Metadata::clone(&metadata));
    let weight = match read.optional("weight") {
        Some(text) => {
            Some(text.parse::<Double>().ok().filter(|weight| weight.0.is_finite()).ok_or_else(|| no_number(&text))?.0)
        }
        None => None,
    };
    let enabled = read.truth("enabled");
    // Asked here for the answer; whether it may be done is decided where it is applied.
    app.naming.instance(&service, &ip, port, &cluster)?;
    let instance = InstanceRef::new(&ip, port, &cluster);
    app.write_naming(NamingCommand::PatchInstance { service, instance, weight, enabled, metadata }).await?;
    Ok(ok())
}

pub(super) fn detail(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    let service = read.service()?;
    let ip = read.required("ip")?;
    let port = read.port()?;
    let cluster = read.or("clusterName", DEFAULT_CLUSTER);
    let instance = app.naming.instance(&service, &ip, port, &cluster)?;
    Ok(Reply::json(&bodies::instance_detail("service", &read.required("serviceName")?, &service, &instance)))
}

pub(super) fn list(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    list_of(app, ctx, &read, &read.service()?)
}

pub(super) fn list_of(app: &App, ctx: &Ctx, read: &V1<'_>, service: &ServiceKey) -> Answer {
    let clusters = read.or("clusters", "");
    let ip = read.or("clientIP", "");
    let udp_port: i32 = read.number("udpPort", 0)?;
    let healthy_only = read.strict_truth("healthyOnly");
    let client_app = read.or("app", "");
    let poller = Poller { ip: &ip, udp_port, app: &client_app };
    let view = call::list(app, ctx, service, &clusters, healthy_only, &poller);
    Ok(Reply::json_text(call::service_info(&view)))
}

pub(super) fn beat(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    let cluster = read.or("clusterName", DEFAULT_CLUSTER);
    let ip = read.or("ip", "");
    let port: i32 = read.number("port", 0)?;
    let service = read.service()?;
    call::beat(app, ctx, &BeatParams { service: &service, ip: &ip, port, cluster: &cluster })
}

pub(super) async fn update_metadata(app: Arc<App>, ctx: Ctx) -> Answer {
    metadata_batch(&app, &ctx, false).await
}

pub(super) async fn delete_metadata(app: Arc<App>, ctx: Ctx) -> Answer {
    metadata_batch(&app, &ctx, true).await
}

async fn metadata_batch(app: &App, ctx: &Ctx, delete: bool) -> Answer {
    let read = V1::new(ctx);
    let service = read.any_service()?;
    let instances = read.optional("instances");
    let text = read.required("metadata")?;
    let change = if delete {
        BatchChange::Remove(parse_metadata_keys(&text)?)
    } else {
        BatchChange::Set(read.metadata()?.unwrap_or_default())
    };
    let updated = call::metadata_batch(app, service, instances.as_deref(), change).await?;
    Ok(Reply::json(&json!({ "updated": updated })))
}

pub(super) fn statuses(app: &App, ctx: &Ctx) -> Answer {
    let key = Declared { params: &ctx.params, generation: Generation::V1 }.required("key")?;
    Ok(Reply::json(&bodies::statuses(app, key)?))
}

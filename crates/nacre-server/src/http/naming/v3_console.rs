//! `/v3/console/ns`: what the console of 3.x asks. Most of it is the admin API by another path.

use std::sync::Arc;

use nacre_model::{DEFAULT_CLUSTER, ErrorCode, NacosError, ServiceKey};
use nacre_naming::Page;
use nacre_wire::naming::InstanceJson;
use serde_json::json;

use super::{
    bodies, call,
    read::{InstanceForm, form_service, service_text},
    v2_service::ServiceForm,
    v3_admin::{
        cluster, create_service, instances_of_cluster, remove_service, selector_types, service_subscribers, services,
    },
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Declared, Form, Java},
        refuse::Refusal,
        reply::{Reply, Style},
        table::{ANY, Answer, Auth, Check, DELETE, GET, Generation, POST, PUT, Row, Step},
    },
    later, now, step,
};

const AREA: (Generation, &str, Style) = (Generation::V3Console, "naming", Style::Api);
const G: Generation = Generation::V3Console;

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v3/console/ns/service", AREA, Auth::Write, later!(create_service)),
    Row::new(DELETE, "/v3/console/ns/service", AREA, Auth::Write, later!(remove_service)),
    Row::new(PUT, "/v3/console/ns/service", AREA, Auth::Write, later!(change)),
    Row::new(GET, "/v3/console/ns/service", AREA, Auth::Read, now!(service)),
    Row::new(GET, "/v3/console/ns/service/list", AREA, Auth::Read, now!(services)),
    Row::new(GET, "/v3/console/ns/service/subscribers", AREA, Auth::Read, now!(service_subscribers)),
    Row::new(GET, "/v3/console/ns/service/selector/types", AREA, Auth::Read, now!(selector_types)),
    Row::new(PUT, "/v3/console/ns/service/cluster", AREA, Auth::Write, later!(cluster)),
    Row::new(ANY, "/v3/console/ns/instance/list", AREA, Auth::Read, now!(list)).checked(Check::List),
    Row::new(PUT, "/v3/console/ns/instance", AREA, Auth::Write, later!(update)),
    Row::new(DELETE, "/v3/console/ns/instance", AREA, Auth::Write, step!(deregister)),
];

fn not_found(service: &ServiceKey) -> NacosError {
    NacosError::new(404, ErrorCode::SERVER_ERROR, format!("service {} is not found!", service.grouped()))
}

async fn change(app: Arc<App>, ctx: Ctx) -> Answer {
    let form = ServiceForm::read(&ctx, G)?;
    if !app.naming.service_exists(&form.service) {
        let text = format!("service {} is not exist.", service_text(&form.service, true));
        return Err(NacosError::new(404, ErrorCode::SERVICE_NOT_EXIST, text).into());
    }
    form.change(&app).await?;
    Ok(Reply::result("ok"))
}

fn service(app: &App, ctx: &Ctx) -> Answer {
    let service = form_service(&Form { params: &ctx.params, generation: G, name: "serviceForm" })?;
    let detail = app.naming.service(&service).map_err(|_| not_found(&service))?;
    Ok(Reply::result(bodies::service_form(&detail, G)))
}

fn list(app: &App, ctx: &Ctx) -> Answer {
    let form = Form { params: &ctx.params, generation: G, name: "instanceListForm" };
    let declared = Declared { params: &ctx.params, generation: G };
    let healthy_only = form.truth("healthyOnly", Java::Boolean)?.unwrap_or(false);
    let number = declared.number::<i32>("pageNo", Java::Int)?.unwrap_or(1);
    let size = declared.number::<i32>("pageSize", Java::Int)?.unwrap_or(100);
    let page = Page::new(number.into(), size.max(0).into());
    let service = form_service(&form)?;
    let hosts = instances_of_cluster(app, &service, form.text("clusterName", DEFAULT_CLUSTER))?;
    let hosts: Vec<_> = hosts.into_iter().filter(|instance| !healthy_only || instance.healthy).collect();
    let grouped = service.grouped();
    let rows = page.slice(&hosts).iter().map(|instance| json!(InstanceJson { instance, grouped: &grouped }));
    Ok(Reply::result(bodies::page(hosts.len(), page, rows.collect())))
}

async fn update(app: Arc<App>, ctx: Ctx) -> Answer {
    let form = InstanceForm::read(&ctx, G, false)?;
    form.check()?;
    call::update(&app, form.service, form.instance).await?;
    Ok(Reply::result("ok"))
}

/// The kind of the instance is looked up when the console does not tell: one click removes it (case C014).
fn deregister(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let told = ctx.params.non_blank("ephemeral").is_some();
    let mut form = InstanceForm::read(ctx, G, false)?;
    let instance = &form.instance;
    if !told && let Ok(held) = app.naming.instance(&form.service, &instance.ip, instance.port, &instance.cluster) {
        form.instance.ephemeral = held.ephemeral;
    }
    call::deregister(app, form.service, &form.instance, Reply::result("ok"))
}

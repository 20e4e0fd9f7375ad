//! `/v3/admin/ns`, and what `/v3/console/ns` asks alike.

use std::sync::Arc;

use nacre_model::{DEFAULT_CLUSTER, ErrorCode, Instance, Metadata, NacosError, PUBLIC, ServiceKey};
use nacre_naming::{ClusterMetadata, HealthChecker, InstanceRef, NamingCommand, SELECTOR_TYPES, check_weight};
use nacre_wire::naming::InstanceJson;
use serde_json::{Value, json};

use super::{
    bodies, call,
    read::{Double, InstanceForm, form_metadata, form_service, page_form},
    v1_catalog::{NULL_CHECKER, cluster_not_found, snapshot_or_404},
    v1_operator::metrics_body,
    v2_instance::metadata_batch,
    v2_service::{ByService, ServiceForm, set_health_form, set_switch_form},
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Declared, Form, Java, field_missing},
        core::own_ip,
        refuse::Refusal,
        reply::{Reply, Style},
        table::{Answer, Auth, Check, DELETE, GET, Generation, POST, PUT, Row, Step},
    },
    later, now, step,
};

const AREA: (Generation, &str, Style) = (Generation::V3Admin, "naming", Style::Api);
const G: Generation = Generation::V3Admin;

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v3/admin/ns/instance", AREA, Auth::Write, step!(register)),
    Row::new(PUT, "/v3/admin/ns/instance", AREA, Auth::Write, later!(update)),
    Row::new(GET, "/v3/admin/ns/instance", AREA, Auth::Write, now!(detail)),
    Row::new(DELETE, "/v3/admin/ns/instance", AREA, Auth::Write, step!(deregister)),
    Row::new(PUT, "/v3/admin/ns/instance/partial", AREA, Auth::Write, later!(partial)),
    Row::new(GET, "/v3/admin/ns/instance/list", AREA, Auth::Read, now!(list)).checked(Check::List),
    Row::new(PUT, "/v3/admin/ns/instance/metadata/batch", AREA, Auth::Write, later!(update_metadata))
        .checked(Check::Batch),
    Row::new(DELETE, "/v3/admin/ns/instance/metadata/batch", AREA, Auth::Write, later!(delete_metadata))
        .checked(Check::Batch),
    Row::new(POST, "/v3/admin/ns/service", AREA, Auth::Write, later!(create_service)),
    Row::new(PUT, "/v3/admin/ns/service", AREA, Auth::Write, later!(change_service)),
    Row::new(GET, "/v3/admin/ns/service", AREA, Auth::Read, now!(service)),
    Row::new(DELETE, "/v3/admin/ns/service", AREA, Auth::Write, later!(remove_service)),
    Row::new(GET, "/v3/admin/ns/service/list", AREA, Auth::Read, now!(services)),
    Row::new(GET, "/v3/admin/ns/service/subscribers", AREA, Auth::Read, now!(service_subscribers)),
    Row::new(GET, "/v3/admin/ns/service/selector/types", AREA, Auth::Read, now!(selector_types)),
    Row::new(PUT, "/v3/admin/ns/cluster", AREA, Auth::Write, later!(cluster)),
    Row::new(PUT, "/v3/admin/ns/health/instance", AREA, Auth::Write, now!(set_health)),
    Row::new(GET, "/v3/admin/ns/health/checkers", AREA, Auth::Write, now!(checkers)),
    Row::new(GET, "/v3/admin/ns/client/list", AREA, Auth::Read, now!(clients)),
    Row::new(GET, "/v3/admin/ns/client", AREA, Auth::Read, now!(client)),
    Row::new(GET, "/v3/admin/ns/client/publish/list", AREA, Auth::Read, now!(client_publications)),
    Row::new(GET, "/v3/admin/ns/client/subscribe/list", AREA, Auth::Read, now!(client_subscriptions)),
    Row::new(GET, "/v3/admin/ns/client/service/publisher/list", AREA, Auth::Read, now!(publishers)),
    Row::new(GET, "/v3/admin/ns/client/service/subscriber/list", AREA, Auth::Read, now!(subscribers)),
    Row::new(GET, "/v3/admin/ns/client/distro", AREA, Auth::Admin, now!(distro)),
    Row::new(GET, "/v3/admin/ns/ops/metrics", AREA, Auth::Admin, now!(metrics)),
    Row::new(GET, "/v3/admin/ns/ops/switches", AREA, Auth::Admin, now!(switches)),
    Row::new(PUT, "/v3/admin/ns/ops/switches", AREA, Auth::Admin, later!(set_switch)),
];

fn ok() -> Reply {
    Reply::result("ok")
}

fn form<'a>(ctx: &'a Ctx, name: &'static str) -> Form<'a> {
    Form { params: &ctx.params, generation: G, name }
}

fn declared(ctx: &Ctx) -> Declared<'_> {
    Declared { params: &ctx.params, generation: G }
}

fn instance_form(app: &App, ctx: &Ctx) -> Result<InstanceForm, Refusal> {
    InstanceForm::read(ctx, G, app.naming.switches().default_instance_ephemeral)
}

// Instances.

fn register(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let form = instance_form(app, ctx)?;
    form.check()?;
    call::register(app, ctx, form.service, form.instance, ok())
}

fn deregister(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let form = instance_form(app, ctx)?;
    call::deregister(app, form.service, &form.instance, ok())
}

async fn update(app: Arc<App>, ctx: Ctx) -> Answer {
    let form = instance_form(&app, &ctx)?;
    form.check()?;
    call::update(&app, form.service, form.instance).await?;
    Ok(ok())
}

async fn partial(app: Arc<App>, ctx: Ctx) -> Answer {
    let InstanceForm { service, instance, metadata } = instance_form(&app, &ctx)?;
    let Instance { weight, enabled, .. } = instance;
    check_weight(weight)?;
    // Asked here for the answer; whether it may be done is decided where it is applied.
    app.naming.instance(&service, &instance.ip, instance.port, &instance.cluster)?;
    let target = InstanceRef::new(&instance.ip, instance.port, &instance.cluster);
    // The form fills in weight and enabled before they can be missing: only metadata stays when not given (3.1).
    let (weight, enabled) = (Some(weight), Some(enabled));
    let metadata = metadata.map(|metadata| Metadata::clone(&metadata));
    app.write_naming(NamingCommand::PatchInstance { service, instance: target, weight, enabled, metadata }).await?;
    Ok(ok())
}

fn detail(app: &App, ctx: &Ctx) -> Answer {
    let InstanceForm { service, instance, .. } = instance_form(app, ctx)?;
    let found = app.naming.instance(&service, &instance.ip, instance.port, &instance.cluster)?;
    Ok(Reply::result(InstanceJson { instance: &found, grouped: &service.grouped() }))
}

fn list(app: &App, ctx: &Ctx) -> Answer {
    let form = form(ctx, "instanceListForm");
    let healthy_only = form.truth("healthyOnly", Java::Boolean)?.unwrap_or(false);
    let service = form_service(&form)?;
    let hosts = instances_of_cluster(app, &service, form.text("clusterName", DEFAULT_CLUSTER))?;
    let hosts: Vec<_> = hosts.into_iter().filter(|instance| !healthy_only || instance.healthy).collect();
    Ok(Reply::result(bodies::Instances { hosts: &hosts, grouped: &service.grouped() }))
}

/// All instances of a cluster, disabled ones included; 404 when the service or the cluster is not there.
pub fn instances_of_cluster(app: &App, service: &ServiceKey, cluster: &str) -> Result<Vec<Arc<Instance>>, NacosError> {
    let snapshot = snapshot_or_404(app, service)?;
    let hosts: Vec<_> = snapshot.instances.iter().filter(|i| *i.cluster == *cluster).cloned().collect();
    if hosts.is_empty() { Err(cluster_not_found(cluster)) } else { Ok(hosts) }
}

async fn update_metadata(app: Arc<App>, ctx: Ctx) -> Answer {
    metadata_batch(&app, &ctx, G, false).await
}

async fn delete_metadata(app: Arc<App>, ctx: Ctx) -> Answer {
    metadata_batch(&app, &ctx, G, true).await
}

// Services.

pub async fn create_service(app: Arc<App>, ctx: Ctx) -> Answer {
    ServiceForm::read(&ctx, G)?.create(&app).await?;
    Ok(ok())
}

async fn change_service(app: Arc<App>, ctx: Ctx) -> Answer {
    ServiceForm::read(&ctx, G)?.change(&app).await?;
    Ok(ok())
}

/// The service of a whole service form: its other members are not used, and must be readable all the same.
pub fn bound_service(ctx: &Ctx) -> Result<ServiceKey, Refusal> {
    let form = form(ctx, "serviceForm");
    form.truth("ephemeral", Java::Boolean)?;
    form.number::<Double>("protectThreshold", Java::Float)?;
    form_service(&form)
}

pub async fn remove_service(app: Arc<App>, ctx: Ctx) -> Answer {
    let service = bound_service(&ctx)?;
    app.write_naming(NamingCommand::DeleteService { service }).await?;
    Ok(ok())
}

fn service(app: &App, ctx: &Ctx) -> Answer {
    let service = bound_service(ctx)?;
    Ok(Reply::result(bodies::service_form(&app.naming.service(&service)?, G)))
}

pub fn services(app: &App, ctx: &Ctx) -> Answer {
    let form = form(ctx, "serviceListForm");
    let with_instances = form.truth("withInstances", Java::PrimitiveBoolean)?.unwrap_or(false);
    let ignore_empty = form.truth("ignoreEmptyService", Java::PrimitiveBoolean)?.unwrap_or(false);
    let page = page_form(&ctx.params, G)?;
    let (name, group) = (form.text("serviceNameParam", ""), form.text("groupNameParam", ""));
    // With their instances, services without any are listed too, as in v1.
    let found =
        app.naming.catalog(form.text("namespaceId", PUBLIC), name, group, ignore_empty && !with_instances, page);
    let show = if with_instances { bodies::summary_with_instances_v3 } else { bodies::summary };
    let rows = found.rows.iter().map(show).collect();
    Ok(Reply::result(bodies::page(found.total, page, rows)))
}

pub fn service_subscribers(app: &App, ctx: &Ctx) -> Answer {
    let form = form(ctx, "aggregationForm");
    form.truth("aggregation", Java::PrimitiveBoolean)?;
    let service = bound_service(ctx)?;
    let page = page_form(&ctx.params, G)?;
    let all = call::listed(app.naming.subscribers(&service));
    let shown = page.slice(&all).iter().map(bodies::subscriber_v3).collect();
    Ok(Reply::result(bodies::page(all.len(), page, shown)))
}

pub fn selector_types(_: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(SELECTOR_TYPES))
}

pub async fn cluster(app: Arc<App>, ctx: Ctx) -> Answer {
    let form = form(&ctx, "updateClusterForm");
    let check_port = form.number::<i32>("checkPort", Java::Integer)?;
    let use_instance_port = form.truth("useInstancePort4Check", Java::Boolean)?;
    let service = form_service(&form)?;
    let cluster = form.required("clusterName")?;
    let check_port = check_port.ok_or_else(|| field_missing("checkPort", Java::Integer))?;
    let use_instance_port = use_instance_port.ok_or_else(|| field_missing("useInstancePort4Check", Java::Boolean))?;
    let checker = form.required("healthChecker")?;
    if checker == NULL_CHECKER.0 {
        return Err(Refusal::exception(NULL_CHECKER.1));
    }
    let metadata = ClusterMetadata {
        check_port,
        use_instance_port,
        health_checker: HealthChecker::parse(checker)?,
        metadata: form_metadata(&ctx)?.map(|metadata| Metadata::clone(&metadata)).unwrap_or_default(),
    };
    if !app.naming.service_exists(&service) {
        let text = format!("service not found groupName: {},serviceName: {}", service.group, service.name);
        return Err(NacosError::new(400, ErrorCode::SERVER_ERROR, text).into());
    }
    app.write_naming(NamingCommand::UpdateCluster { service, cluster: cluster.into(), metadata }).await?;
    Ok(ok())
}

fn set_health(app: &App, ctx: &Ctx) -> Answer {
    set_health_form(app, ctx, G)
}

fn checkers(_: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(bodies::health_checkers()))
}

// Clients.

fn client_id(ctx: &Ctx) -> Result<&str, Refusal> {
    declared(ctx).required("clientId")
}

fn clients(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(bodies::client_ids(app)))
}

fn client(app: &App, ctx: &Ctx) -> Answer {
    let detail = app.naming.client(client_id(ctx)?, app.clock.now())?;
    Ok(Reply::result(bodies::client(&detail, G)))
}

fn client_publications(app: &App, ctx: &Ctx) -> Answer {
    let published = app.naming.client_publications(client_id(ctx)?)?;
    let shown: Vec<_> = published
        .iter()
        .map(|p| bodies::client_service(&p.service, bodies::publisher_v3(p, false), Value::Null))
        .collect();
    Ok(Reply::result(shown))
}

fn client_subscriptions(app: &App, ctx: &Ctx) -> Answer {
    let subscribed = app.naming.client_subscriptions(client_id(ctx)?)?;
    let shown: Vec<_> = subscribed
        .iter()
        .map(|s| bodies::client_service(&s.service, Value::Null, bodies::client_subscriber_v3(s, false)))
        .collect();
    Ok(Reply::result(shown))
}

fn by_service(ctx: &Ctx) -> Result<ByService, Refusal> {
    ByService::read(ctx, form_service(&form(ctx, "serviceForm"))?, G)
}

fn publishers(app: &App, ctx: &Ctx) -> Answer {
    let wanted = by_service(ctx)?;
    let published = app.naming.publishers(&wanted.service);
    let shown: Vec<_> = published
        .iter()
        .filter(|p| wanted.matches(&p.instance.ip, p.instance.port))
        .map(|p| bodies::publisher_v3(p, true))
        .collect();
    Ok(Reply::result(shown))
}

fn subscribers(app: &App, ctx: &Ctx) -> Answer {
    let wanted = by_service(ctx)?;
    let subscribed = app.naming.subscribers(&wanted.service);
    let shown: Vec<_> = subscribed
        .iter()
        .filter(|s| wanted.matches(&s.subscription.ip, s.subscription.port.into()))
        .map(|s| bodies::client_subscriber_v3(s, true))
        .collect();
    Ok(Reply::result(shown))
}

fn distro(app: &App, ctx: &Ctx) -> Answer {
    let declared = declared(ctx);
    declared.required("ip")?;
    declared.required("port")?;
    Ok(Reply::result(responsible_server(app)))
}

/// Who answers for a client: this node, as long as it is alone.
pub fn responsible_server(app: &App) -> Value {
    json!({ "responsibleServer": format!("{}:{}", own_ip(app), app.settings.main_port) })
}

// Operations.

fn metrics(app: &App, ctx: &Ctx) -> Answer {
    let only_status = declared(ctx).truth("onlyStatus", Java::Boolean)?.unwrap_or(true);
    Ok(Reply::result(metrics_body(app, G, only_status)))
}

fn switches(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(app.naming.switches().to_json_v3()))
}

async fn set_switch(app: Arc<App>, ctx: Ctx) -> Answer {
    set_switch_form(&app, &ctx, G).await
}

//! `/v2/ns/service`, `/v2/ns/health`, `/v2/ns/operator` (also spelled `ops`), `/v2/ns/client`.

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::{DEFAULT_CLUSTER, DEFAULT_GROUP, Metadata, NacosError, PUBLIC, ServiceKey};
use nacre_naming::{NamingCommand, Page, ServiceMetadata};
use serde_json::json;

use super::{
    bodies,
    read::{Double, check_page, form_metadata, form_service, named_form_service, named_key, single},
    v1_operator::{apply_switch, metrics_body},
    v1_service::read_selector,
    v2_instance::declared_names,
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Declared, Form, Java, field_missing},
        refuse::Refusal,
        reply::{Reply, Style},
        table::{Answer, Auth, DELETE, GET, Generation, POST, PUT, Row},
    },
    later, now,
};

const AREA: (Generation, &str, Style) = (Generation::V2, "naming", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v2/ns/service", AREA, Auth::Write, later!(create)),
    Row::new(DELETE, "/v2/ns/service", AREA, Auth::Write, later!(remove)),
    Row::new(PUT, "/v2/ns/service", AREA, Auth::Write, later!(change)),
    Row::new(GET, "/v2/ns/service", AREA, Auth::Read, now!(detail)),
    Row::new(GET, "/v2/ns/service/list", AREA, Auth::Read, now!(list)),
    Row::new(PUT, "/v2/ns/health", AREA, Auth::Write, now!(set_health)),
    Row::new(PUT, "/v2/ns/health/instance", AREA, Auth::Write, now!(set_health)),
    Row::new(GET, "/v2/ns/operator/switches", AREA, Auth::None, now!(switches)),
    Row::new(GET, "/v2/ns/ops/switches", AREA, Auth::None, now!(switches)),
    Row::new(PUT, "/v2/ns/operator/switches", AREA, Auth::Admin, later!(set_switch)),
    Row::new(PUT, "/v2/ns/ops/switches", AREA, Auth::Admin, later!(set_switch)),
    Row::new(GET, "/v2/ns/operator/metrics", AREA, Auth::None, now!(metrics)),
    Row::new(GET, "/v2/ns/ops/metrics", AREA, Auth::None, now!(metrics)),
    Row::new(GET, "/v2/ns/client/list", AREA, Auth::Admin, now!(clients)),
    Row::new(GET, "/v2/ns/client", AREA, Auth::Admin, now!(client)),
    Row::new(GET, "/v2/ns/client/publish/list", AREA, Auth::Admin, now!(client_publications)),
    Row::new(GET, "/v2/ns/client/subscribe/list", AREA, Auth::Admin, now!(client_subscriptions)),
    Row::new(GET, "/v2/ns/client/service/publisher/list", AREA, Auth::Admin, now!(publishers)),
    Row::new(GET, "/v2/ns/client/service/subscriber/list", AREA, Auth::Admin, now!(subscribers)),
];

/// The service form of v2 and v3.
pub struct ServiceForm {
    pub service: ServiceKey,
    pub metadata: ServiceMetadata,
}

impl ServiceForm {
    pub fn read(ctx: &Ctx, generation: Generation) -> Result<Self, Refusal> {
        let form = Form { params: &ctx.params, generation, name: "serviceForm" };
        let ephemeral = form.truth("ephemeral", Java::Boolean)?.unwrap_or(false);
        let protect_threshold =
            form.number::<Double>("protectThreshold", Java::Float)?.map_or(0.0, |given| single(given.0));
        let service = named_form_service(&form)?;
        let metadata = form_metadata(ctx)?.map(|metadata| Metadata::clone(&metadata)).unwrap_or_default();
        let selector = read_selector(ctx.params.non_blank("selector"))?;
        let clusters = BTreeMap::new();
        Ok(Self { service, metadata: ServiceMetadata { ephemeral, protect_threshold, selector, metadata, clusters } })
    }

    pub async fn create(self, app: &App) -> Result<(), NacosError> {
        let Self { service, metadata } = self;
        app.write_naming(NamingCommand::CreateService { service, metadata }).await.map(drop)
    }

    pub async fn change(self, app: &App) -> Result<(), NacosError> {
        let ServiceMetadata { protect_threshold, selector, metadata, .. } = self.metadata;
        let service = self.service;
        app.write_naming(NamingCommand::UpdateService { service, protect_threshold, selector, metadata })
            .await
            .map(drop)
    }
}

async fn create(app: Arc<App>, ctx: Ctx) -> Answer {
    ServiceForm::read(&ctx, Generation::V2)?.create(&app).await?;
    Ok(Reply::result("ok"))
}

async fn change(app: Arc<App>, ctx: Ctx) -> Answer {
    ServiceForm::read(&ctx, Generation::V2)?.change(&app).await?;
    Ok(Reply::result("ok"))
}

/// The service of declared parameters, which nobody joins and splits.
fn declared_service(ctx: &Ctx) -> Result<ServiceKey, Refusal> {
    let (namespace, group, name) = declared_names(ctx)?;
    Ok(named_key(namespace, group, name)?)
}

async fn remove(app: Arc<App>, ctx: Ctx) -> Answer {
    let service = declared_service(&ctx)?;
    app.write_naming(NamingCommand::DeleteService { service }).await?;
    Ok(Reply::result("ok"))
}

fn detail(app: &App, ctx: &Ctx) -> Answer {
    let service = declared_service(ctx)?;
    Ok(Reply::result(bodies::service_form(&app.naming.service(&service)?, Generation::V2)))
}

fn list(app: &App, ctx: &Ctx) -> Answer {
    let declared = Declared { params: &ctx.params, generation: Generation::V2 };
    let number: i32 = declared.number("pageNo", Java::Integer)?.unwrap_or(1);
    let size: i32 = declared.number("pageSize", Java::Integer)?.unwrap_or(20);
    let (namespace, group) = (declared.text("namespaceId", PUBLIC), declared.text("groupName", DEFAULT_GROUP));
    let page = Page::new(number.into(), size.clamp(0, 500).into());
    let found = app.naming.service_names(namespace, group, page);
    check_page(number.into(), size.into(), found.total)?;
    Ok(Reply::result(json!({ "count": found.total, "services": found.rows })))
}

fn set_health(app: &App, ctx: &Ctx) -> Answer {
    set_health_form(app, ctx, Generation::V2)
}

/// PUT health of v2 and v3.
pub fn set_health_form(app: &App, ctx: &Ctx, generation: Generation) -> Answer {
    let form = Form { params: &ctx.params, generation, name: "updateHealthForm" };
    let healthy = form.truth("healthy", Java::Boolean)?;
    let port = form.number::<i32>("port", Java::Integer)?;
    healthy.ok_or_else(|| field_missing("healthy", Java::Boolean))?;
    form.required("serviceName")?;
    let ip = form.required("ip")?;
    let port = port.ok_or_else(|| field_missing("port", Java::Integer))?;
    let service = form_service(&form)?;
    app.naming.set_health(&service, ip, port, form.text("clusterName", DEFAULT_CLUSTER))?;
    Ok(Reply::result("ok"))
}

fn switches(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(app.naming.switches().to_json()))
}

async fn set_switch(app: Arc<App>, ctx: Ctx) -> Answer {
    set_switch_form(&app, &ctx, Generation::V2).await
}

/// PUT switches of v2 and v3: whatever is wrong with a value is the server's error there.
pub async fn set_switch_form(app: &App, ctx: &Ctx, generation: Generation) -> Answer {
    let form = Form { params: &ctx.params, generation, name: "updateSwitchForm" };
    let local = form.truth("debug", Java::PrimitiveBoolean)?.unwrap_or(false);
    let (entry, value) = (form.required("entry")?, form.required("value")?);
    match apply_switch(app, entry, value, local).await {
        Ok(()) => Ok(Reply::result("ok")),
        Err(error) if error.status == 500 => Err(Refusal::exception(error.message)),
        Err(error) if error.status == 400 => Err(NacosError::server(error.message).into()),
        Err(error) => Err(error.into()),
    }
}

fn metrics(app: &App, ctx: &Ctx) -> Answer {
    let declared = Declared { params: &ctx.params, generation: Generation::V2 };
    let only_status = declared.truth("onlyStatus", Java::Boolean)?.unwrap_or(true);
    Ok(Reply::result(metrics_body(app, Generation::V2, only_status)))
}

fn client_id(ctx: &Ctx) -> Result<&str, Refusal> {
    Declared { params: &ctx.params, generation: Generation::V2 }.required("clientId")
}

fn clients(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(bodies::client_ids(app)))
}

fn client(app: &App, ctx: &Ctx) -> Answer {
    let detail = app.naming.client(client_id(ctx)?, app.clock.now())?;
    Ok(Reply::result(bodies::client(&detail, Generation::V2)))
}

fn client_publications(app: &App, ctx: &Ctx) -> Answer {
    let published = app.naming.client_publications(client_id(ctx)?)?;
    let shown: Vec<_> = published
        .iter()
        .map(|p| {
            let instance = json!({ "ip": p.instance.ip, "port": p.instance.port, "cluster": p.instance.cluster });
            json!({
                "namespace": p.service.namespace, "group": p.service.group, "serviceName": p.service.name,
                "registeredInstance": instance,
            })
        })
        .collect();
    Ok(Reply::result(shown))
}

fn client_subscriptions(app: &App, ctx: &Ctx) -> Answer {
    let subscribed = app.naming.client_subscriptions(client_id(ctx)?)?;
    let shown: Vec<_> = subscribed
        .iter()
        .map(|s| {
            let info = json!({ "app": s.subscription.app, "agent": s.subscription.agent, "addr": s.address() });
            json!({
                "namespace": s.service.namespace, "group": s.service.group, "serviceName": s.service.name,
                "subscriberInfo": info,
            })
        })
        .collect();
    Ok(Reply::result(shown))
}

/// The service and the optional address filter of the publisher and subscriber lists.
pub struct ByService {
    pub service: ServiceKey,
    ip: Option<String>,
    port: Option<i32>,
}

impl ByService {
    pub fn matches(&self, ip: &str, port: i32) -> bool {
        self.ip.as_deref().is_none_or(|wanted| wanted == ip) && self.port.is_none_or(|wanted| wanted == port)
    }

    pub fn read(ctx: &Ctx, service: ServiceKey, generation: Generation) -> Result<Self, Refusal> {
        let port = Declared { params: &ctx.params, generation }.number("port", Java::Integer)?;
        Ok(Self { service, ip: ctx.params.non_blank("ip").map(str::to_owned), port })
    }

    /// Of v2: whatever is named, blank or not, has its clients.
    fn declared(ctx: &Ctx) -> Result<Self, Refusal> {
        let (namespace, group, name) = declared_names(ctx)?;
        Self::read(ctx, ServiceKey::new(namespace, group, name), Generation::V2)
    }
}

fn publishers(app: &App, ctx: &Ctx) -> Answer {
    let wanted = ByService::declared(ctx)?;
    // Read for its errors only: a service's publishers are of one kind, and found by its name.
    Declared { params: &ctx.params, generation: Generation::V2 }.truth("ephemeral", Java::Boolean)?;
    let published = app.naming.publishers(&wanted.service);
    // The reference shows nothing unless both ip and port are given; here they are what they look like, filters.
    let shown: Vec<_> = published
        .iter()
        .filter(|p| wanted.matches(&p.instance.ip, p.instance.port))
        .map(|p| {
            let (i, id) = (&p.instance, p.client.to_string());
            json!({ "ip": i.ip, "port": i.port, "cluster": i.cluster, "clientId": id })
        })
        .collect();
    Ok(Reply::result(shown))
}

fn subscribers(app: &App, ctx: &Ctx) -> Answer {
    let wanted = ByService::declared(ctx)?;
    let subscribed = app.naming.subscribers(&wanted.service);
    let shown: Vec<_> = subscribed
        .iter()
        .filter(|s| wanted.matches(&s.subscription.ip, s.subscription.port.into()))
        .map(|s| {
            let (id, of) = (s.client.to_string(), &s.subscription);
            json!({ "clientId": id, "ip": of.ip, "port": of.port })
        })
        .collect();
    Ok(Reply::result(shown))
}

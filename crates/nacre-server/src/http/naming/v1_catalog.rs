//! `/v1/ns/catalog` and `/v1/ns/cluster`: what the consoles of 1.x and 2.x ask.

use std::sync::Arc;

use nacre_model::{ErrorCode, Metadata, NacosError, PUBLIC, ServiceKey};
use nacre_naming::{ClusterMetadata, HealthChecker, NamingCommand, Page, Snapshot, lenient::yes};
use serde_json::json;

use super::{
    bodies,
    read::{V1, cut},
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Declared, Java},
        refuse::Refusal,
        reply::{Reply, Style},
        table::{Answer, Auth, GET, Generation, PUT, Row},
    },
    later, now,
};

const AREA: (Generation, &str, Style) = (Generation::V1, "naming", Style::V1Naming);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/v1/ns/catalog/service", AREA, Auth::Read, now!(service)),
    Row::new(GET, "/v1/ns/catalog/services", AREA, Auth::Read, now!(services)),
    Row::new(GET, "/v1/ns/catalog/instances", AREA, Auth::Read, now!(instances)),
    Row::new(PUT, "/v1/ns/cluster", AREA, Auth::Write, later!(cluster)),
];

fn declared(ctx: &Ctx) -> Declared<'_> {
    Declared { params: &ctx.params, generation: Generation::V1 }
}

fn key(ctx: &Ctx) -> Option<ServiceKey> {
    let (group, name) = ServiceKey::split_grouped(ctx.params.non_blank("serviceName")?);
    Some(ServiceKey::new(declared(ctx).text("namespaceId", PUBLIC), group, name))
}

/// The snapshot, or 404 in the catalog's words.
pub fn snapshot_or_404(app: &App, service: &ServiceKey) -> Result<Arc<Snapshot>, NacosError> {
    app.naming.snapshot(service).ok_or_else(|| not_found(&service.grouped()))
}

fn not_found(grouped: &str) -> NacosError {
    NacosError::new(404, ErrorCode::SERVER_ERROR, format!("service {grouped} is not found!"))
}

fn service(app: &App, ctx: &Ctx) -> Answer {
    let Some(service) = key(ctx) else { return Err(not_found("@@").into()) };
    let detail = app.naming.service(&service).map_err(|_| not_found(&service.grouped()))?;
    let clusters: Vec<_> = detail
        .clusters
        .iter()
        .map(|(name, c)| {
            json!({
                "serviceName": service.grouped(), "name": name, "healthChecker": c.health_checker, "defaultPort": 80,
                "defaultCheckPort": c.check_port, "useIPPort4Check": c.use_instance_port, "metadata": c.metadata,
            })
        })
        .collect();
    Ok(Reply::json(&json!({
        "service": {
            "name": service.name, "groupName": service.group, "protectThreshold": detail.protect_threshold,
            "selector": bodies::selector(&detail.selector), "metadata": detail.metadata,
        },
        "clusters": clusters,
    })))
}

fn instances(app: &App, ctx: &Ctx) -> Answer {
    let declared = declared(ctx);
    declared.required("serviceName")?;
    let cluster = declared.required("clusterName")?;
    let number: i32 = declared.required_number("pageNo", Java::Int)?;
    let size: i32 = declared.required_number("pageSize", Java::Int)?;
    let service = key(ctx).unwrap_or_else(|| ServiceKey::new("", "", ""));
    let snapshot = snapshot_or_404(app, &service)?;
    let hosts: Vec<_> = snapshot.instances.iter().filter(|i| *i.cluster == *cluster).cloned().collect();
    if hosts.is_empty() {
        return Err(cluster_not_found(cluster).into());
    }
    // Pages start at 1; page 0 is an empty one here.
    let (number, size, total) = (i64::from(number), i64::from(size), hosts.len() as i64);
    let start = (number - 1).saturating_mul(size).clamp(0, total);
    let page = &hosts[cut(start, number.saturating_mul(size).min(total))?];
    let grouped = service.grouped();
    Ok(Reply::json(&json!({ "list": bodies::Instances { hosts: page, grouped: &grouped }, "count": hosts.len() })))
}

pub fn cluster_not_found(cluster: &str) -> NacosError {
    NacosError::new(404, ErrorCode::SERVER_ERROR, format!("cluster {cluster} is not found!"))
}

fn services(app: &App, ctx: &Ctx) -> Answer {
    let declared = declared(ctx);
    let number = |name: &str| -> Result<i32, Refusal> {
        declared.optional_number(name, Java::Int)?.ok_or_else(|| {
            Refusal::exception(format!(
                "Optional int parameter '{name}' is present but cannot be translated into a null value due to being \
                 declared as a primitive type. Consider declaring it as object wrapper for the corresponding primitive \
                 type."
            ))
        })
    };
    // In the order in which the reference binds them.
    let with_instances = declared.optional_truth("withInstances")?.unwrap_or(false);
    // A page has a row at least, and without a size there is but the first.
    let page = match (number("pageNo")?, number("pageSize")?) {
        (_, ..1) => Page::new(1, 1),
        (number, size) => Page::new(number.into(), size.into()),
    };
    // With their instances, services without any are listed too, whatever `hasIpCount` says.
    let has_ip_count = declared.optional_truth("hasIpCount")?.unwrap_or(false) && !with_instances;
    let params = &ctx.params;
    let (name, group) = (params.or("serviceNameParam", ""), params.or("groupNameParam", ""));
    let namespace = params.or("namespaceId", PUBLIC);
    let mut found = app.naming.catalog(namespace, name, group, has_ip_count, page);
    // Fewer services than a page: the reference shows them all, whatever page was asked for.
    if found.rows.is_empty() && found.total > 0 && (found.total as i64) < page.size {
        found = app.naming.catalog(namespace, name, group, has_ip_count, Page::new(1, page.size));
    }
    if with_instances {
        let rows: Vec<_> = found.rows.iter().map(bodies::summary_with_instances_v1).collect();
        return Ok(Reply::json(&rows));
    }
    let rows: Vec<_> = found.rows.iter().map(bodies::summary).collect();
    Ok(Reply::json(&json!({ "count": found.total, "serviceList": rows })))
}

/// A checker that is `null`, and how the reference stumbles over it.
pub const NULL_CHECKER: (&str, &str) = (
    "null",
    "Cannot invoke \"com.alibaba.nacos.api.naming.pojo.healthcheck.AbstractHealthChecker.getType()\" because \
     \"healthChecker\" is null",
);

async fn cluster(app: Arc<App>, ctx: Ctx) -> Answer {
    let read = V1::new(&ctx);
    let namespace = read.namespace();
    let cluster = read.required("clusterName")?;
    let grouped = read.required("serviceName")?;
    let check_port = read.required("checkPort")?;
    let use_instance_port = read.required("useInstancePort4Check")?;
    let checker = read.required("healthChecker")?;
    if checker == NULL_CHECKER.0 {
        return Err(Refusal::exception(NULL_CHECKER.1));
    }
    let (group, name) = ServiceKey::split_grouped(&grouped);
    let service = ServiceKey::new(&namespace, group, name);
    let metadata = ClusterMetadata {
        check_port: check_port.parse().unwrap_or(0),
        use_instance_port: yes(&use_instance_port),
        health_checker: HealthChecker::parse(&checker)?,
        metadata: read.metadata()?.map(|metadata| Metadata::clone(&metadata)).unwrap_or_default(),
    };
    if !app.naming.service_exists(&service) {
        return Err(NacosError::invalid(format!("service not found:{grouped}")).into());
    }
    app.write_naming(NamingCommand::UpdateCluster { service, cluster: cluster.as_ref().into(), metadata }).await?;
    Ok(Reply::text("ok"))
}

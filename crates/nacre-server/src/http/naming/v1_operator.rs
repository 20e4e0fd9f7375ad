//! `/v1/ns/operator` (also spelled `ops`) and `/v1/ns/health`: metrics, switches, push state, manual health, checkers.

use std::sync::Arc;

use nacre_model::{DEFAULT_CLUSTER, NacosError, Now};
use nacre_naming::NamingCommand;
use serde_json::{Value, json};

use super::{
    bodies,
    gate::server_status,
    read::{V1, single},
    v3_admin::responsible_server,
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Declared, param_required},
        refuse::Refusal,
        reply::{Reply, Style},
        table::{Answer, Auth, GET, Generation, PUT, Row},
    },
    later, now,
};

const AREA: (Generation, &str, Style) = (Generation::V1, "naming", Style::V1Naming);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/v1/ns/operator/metrics", AREA, Auth::None, now!(metrics)),
    Row::new(GET, "/v1/ns/ops/metrics", AREA, Auth::None, now!(metrics)),
    Row::new(GET, "/v1/ns/operator/switches", AREA, Auth::None, now!(switches)),
    Row::new(GET, "/v1/ns/ops/switches", AREA, Auth::None, now!(switches)),
    Row::new(PUT, "/v1/ns/operator/switches", AREA, Auth::Admin, later!(set_switch)),
    Row::new(PUT, "/v1/ns/ops/switches", AREA, Auth::Admin, later!(set_switch)),
    Row::new(GET, "/v1/ns/operator/push/state", AREA, Auth::None, now!(push_state)),
    Row::new(GET, "/v1/ns/ops/push/state", AREA, Auth::None, now!(push_state)),
    Row::new(GET, "/v1/ns/operator/distro/client", AREA, Auth::None, now!(distro_client)),
    Row::new(GET, "/v1/ns/ops/distro/client", AREA, Auth::None, now!(distro_client)),
    Row::new(PUT, "/v1/ns/health", AREA, Auth::Write, now!(set_health)),
    Row::new(PUT, "/v1/ns/health/instance", AREA, Auth::Write, now!(set_health)),
    Row::new(GET, "/v1/ns/health/server", AREA, Auth::None, now!(health_server)),
    Row::new(GET, "/v1/ns/health/checkers", AREA, Auth::None, now!(checkers)),
];

/// What the metrics calls show beyond the status; v1 has one number more than v2, v3 has no figures of the machine.
pub fn metrics_body(app: &App, generation: Generation, only_status: bool) -> Value {
    let status = server_status(app);
    if only_status {
        return json!({ "status": status });
    }
    let m = app.naming.metrics();
    let mut shown = json!({
        "status": status, "serviceCount": m.service_count, "instanceCount": m.instance_count,
        "subscribeCount": m.subscribe_count,
    });
    // This node is responsible for all it holds as long as it is alone. Here a batch counts once.
    if generation == Generation::V1 {
        shown["responsibleInstanceCount"] = (m.http_publish_count + m.connection_publish_count).into();
    }
    shown["clientCount"] = m.client_count.into();
    shown["connectionBasedClientCount"] = m.connection_based_client_count.into();
    shown["ephemeralIpPortClientCount"] = m.ephemeral_ip_port_client_count.into();
    shown["persistentIpPortClientCount"] = m.persistent_ip_port_client_count.into();
    shown["responsibleClientCount"] = m.client_count.into();
    if matches!(generation, Generation::V1 | Generation::V2) {
        let machine = app.machine.read();
        shown["cpu"] = json!(machine.cpu);
        shown["load"] = json!(machine.load);
        shown["mem"] = json!(machine.mem);
    }
    shown
}

fn metrics(app: &App, ctx: &Ctx) -> Answer {
    let only_status = V1::new(ctx).optional("onlyStatus").is_none_or(|text| text.eq_ignore_ascii_case("true"));
    Ok(Reply::json(&metrics_body(app, Generation::V1, only_status)))
}

fn switches(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::json(&app.naming.switches().to_json()))
}

/// Sets one switch: over the write road, or with `local` on this node only.
pub async fn apply_switch(app: &App, entry: &str, value: &str, local: bool) -> Result<(), NacosError> {
    if local {
        let now: Now = app.clock.now();
        let effects = app.naming.set_switch_local(entry, value, now)?;
        app.effects.naming(effects);
        return Ok(());
    }
    // Told here without a write; decided again where it is applied.
    app.naming.switches().as_ref().clone().set(entry, value)?;
    let command = NamingCommand::SetSwitch { entry: entry.to_owned(), value: value.to_owned() };
    app.write_naming(command).await.map(drop)
}

async fn set_switch(app: Arc<App>, ctx: Ctx) -> Answer {
    let declared = Declared { params: &ctx.params, generation: Generation::V1 };
    let local = declared.optional_truth("debug")?.unwrap_or(false);
    let entry = declared.required("entry")?;
    let value = declared.required("value")?;
    match apply_switch(&app, entry, value, local).await {
        Ok(()) => Ok(Reply::text("ok")),
        // An index out of bounds, which the reference does not expect.
        Err(error) if error.status == 500 => Err(Refusal::exception(error.message)),
        Err(error) => Err(error.into()),
    }
}

/// Pushes of today, gRPC and UDP alike. `reset` resets nothing: the counters belong to the metrics.
fn push_state(app: &App, ctx: &Ctx) -> Answer {
    let declared = Declared { params: &ctx.params, generation: Generation::V1 };
    let detail = declared.optional_truth("detail")?.unwrap_or(false);
    let reset = declared.optional_truth("reset")?.unwrap_or(false);
    let (push, now) = (&app.metrics.push, app.clock.now());
    let (total, failed) = (push.total.today(now.wall), push.failed.today(now.wall));
    let succeed = total.saturating_sub(failed);
    let ratio = if total == 0 { json!(0) } else { json!(single(succeed as f64 / total as f64)) };
    let mut shown = json!({ "succeed": succeed, "total": total, "ratio": ratio });
    if detail {
        let millis = |seconds: f64| (seconds * 1e3).round() as i64;
        let count = push.cost.count();
        let average = if count == 0 { -1 } else { millis(push.cost.sum_seconds() / count as f64) };
        let longest = if count == 0 { -1 } else { millis(push.cost.max_seconds(now.mono)) };
        shown["detail"] = json!({ "avgPushCost": average, "maxPushCost": longest });
    }
    shown["reset"] = reset.into();
    Ok(Reply::json(&shown))
}

fn distro_client(app: &App, ctx: &Ctx) -> Answer {
    let declared = Declared { params: &ctx.params, generation: Generation::V1 };
    declared.required("ip")?;
    declared.required("port")?;
    Ok(Reply::json(&responsible_server(app)))
}

fn set_health(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    read.truth("healthy").or_else(|| read.truth("valid")).ok_or_else(|| param_required("healthy"))?;
    let service = read.any_service()?;
    let cluster = read.or("clusterName", DEFAULT_CLUSTER);
    let ip = read.required("ip")?;
    let port = read.port()?;
    app.naming.set_health(&service, &ip, port, &cluster)?;
    Ok(Reply::text("ok"))
}

fn health_server(app: &App, _: &Ctx) -> Answer {
    let (services, port) = (app.naming.metrics().service_count, app.settings.main_port);
    let text = format!("Hello! I am Nacos-Naming and healthy! total services: {services}, local port:{port}");
    Ok(Reply::json(&json!({ "msg": text })))
}

fn checkers(_: &App, _: &Ctx) -> Answer {
    Ok(Reply::json(&bodies::health_checkers()))
}

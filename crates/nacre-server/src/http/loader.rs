//! Connection load and moving gRPC clients to other servers (`core/loader`).

use nacre_config::gray::VIPSERVER_TAG;
use nacre_model::NacosError;
use serde_json::{Map, Value, json};

use super::{
    Ctx,
    bind::{Java, Number, api_missing, not_present, v3_number_required},
    core,
    dates::iso8601,
    refuse::v2_failure,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, GET, Generation, POST, Row},
};
use crate::{app::App, grpc::connections::Connection, now};

const V2: (Generation, &str, Style) = (Generation::V2, "core", Style::Api);
const ADMIN: (Generation, &str, Style) = (Generation::V3Admin, "core", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/v2/core/loader/current", V2, Auth::Admin, now!(v2_current)).checked(Check::Off),
    Row::new(GET, "/v2/core/loader/cluster", V2, Auth::Admin, now!(v2_cluster)).checked(Check::Off),
    Row::new(GET, "/v2/core/loader/reloadCurrent", V2, Auth::Admin, now!(v2_reload_current)).checked(Check::Off),
    Row::new(GET, "/v2/core/loader/reloadClient", V2, Auth::Admin, now!(v2_reload_client)).checked(Check::Off),
    Row::new(GET, "/v2/core/loader/smartReloadCluster", V2, Auth::Admin, now!(v2_smart)).checked(Check::Off),
    Row::new(GET, "/v3/admin/core/loader/current", ADMIN, Auth::Admin, now!(v3_current)).checked(Check::Off),
    Row::new(GET, "/v3/admin/core/loader/cluster", ADMIN, Auth::Admin, now!(v3_cluster)).checked(Check::Off),
    Row::new(POST, "/v3/admin/core/loader/reloadCurrent", ADMIN, Auth::Admin, now!(v3_reload_current))
        .checked(Check::Off),
    Row::new(POST, "/v3/admin/core/loader/reloadClient", ADMIN, Auth::Admin, now!(v3_reload_client))
        .checked(Check::Off),
    Row::new(POST, "/v3/admin/core/loader/smartReloadCluster", ADMIN, Auth::Admin, now!(v3_smart)).checked(Check::Off),
];

/// Registered gRPC connections by id. `namespace` is what the generation calls a client's namespace.
fn current(app: &App, namespace: &str) -> Value {
    let mut all = Map::new();
    app.grpc.connections.for_each(|connection| {
        all.insert(connection.id().to_string(), shown(app, connection, namespace));
    });
    all.into()
}

fn shown(app: &App, connection: &Connection, namespace: &str) -> Value {
    let now = app.clock.now();
    let idle = i64::try_from(connection.idle(now)).unwrap_or(i64::MAX);
    let labels = &connection.labels;
    // What rules of gray versions may look at, as far as the client said it.
    let mut of_app: Map<String, Value> =
        labels.iter().filter_map(|(name, value)| Some((name.strip_prefix("app_")?.to_owned(), json!(value)))).collect();
    of_app.insert("ClientVersion".into(), json!(connection.version));
    of_app.insert("AppName".into(), json!(labels.get("AppName")));
    json!({
        "traced": false,
        "abilityTable": connection.abilities,
        "metaInfo": {
            "connectType": "GRPC",
            "clientIp": connection.client_ip,
            "remoteIp": connection.peer.remote.ip(),
            "remotePort": connection.peer.remote.port(),
            "localPort": connection.peer.local.port(),
            "version": connection.version,
            "connectionId": connection.id(),
            "createTime": iso8601(connection.created.wall),
            "lastActiveTime": now.wall - idle,
            "appName": connection.app,
            namespace: connection.tenant,
            "labels": labels,
            "tag": labels.get(VIPSERVER_TAG),
            "appLabels": of_app,
            "tlsProtected": false,
            "sdkSource": connection.is_sdk(),
            "clusterSource": connection.label("source") == "cluster",
        },
        "connected": true,
        "labels": labels,
        "appLabels": of_app,
    })
}

/// The load of all members; this node is all of them. 2.x wraps a row's figures in `metric`.
fn cluster(app: &App, wrapped: bool) -> Value {
    let (sdk, all) = (app.grpc.connections.sdk_count(), app.grpc.connections.len());
    let machine = app.machine.read();
    let metric = json!({
        "load": machine.load.to_string(),
        "sdkConCount": sdk.to_string(),
        "cpu": machine.cpu.to_string(),
        "conCount": all.to_string(),
    });
    let address = format!("{}:{}", core::own_ip(app), app.settings.main_port);
    let row = if wrapped {
        json!({ "address": address, "metric": metric })
    } else {
        json!({
            "address": address,
            "sdkConCount": sdk,
            "conCount": all,
            "load": metric["load"],
            "cpu": metric["cpu"],
        })
    };
    let threshold = sdk as f64 * 1.1;
    json!({
        "detail": [row],
        "memberCount": 1,
        "metricsCount": 1,
        "completed": true,
        "max": sdk,
        "min": sdk,
        "avg": sdk,
        "threshold": if wrapped { json!(threshold) } else { json!(threshold.to_string()) },
        "total": sdk,
    })
}

/// `ip:port` of the server that clients are told to go to.
fn target(ctx: &Ctx) -> Option<(&str, &str)> {
    ctx.params.non_blank("redirectAddress").and_then(|address| address.trim().rsplit_once(':'))
}

fn v2_current(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::json(&current(app, "tenant")))
}

fn v3_current(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(current(app, "namespaceId")))
}

fn v2_cluster(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::json(&cluster(app, true)))
}

fn v3_cluster(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(cluster(app, false)))
}

fn v2_reload_current(app: &App, ctx: &Ctx) -> Answer {
    let count = match ctx.params.get("count") {
        None => return Ok(v2_failure(&not_present("count", "Integer"))),
        Some(text) if text.trim().is_empty() => {
            let text =
                "Required request parameter 'count' for method parameter type Integer is present but converted to null";
            return Ok(v2_failure(text));
        }
        Some(text) => match text.trim().parse::<i32>() {
            Ok(count) => count,
            Err(_) => {
                let text = format!(
                    "Failed to convert value of type 'java.lang.String' to required type 'java.lang.Integer'; nested \
                     exception is java.lang.NumberFormatException: For input string: \"{text}\";caused: For input \
                     string: \"{text}\""
                );
                return Ok(v2_failure(&text));
            }
        },
    };
    app.grpc.shed(usize::try_from(count).unwrap_or(0), target(ctx));
    Ok(Reply::text("success"))
}

fn v3_reload_current(app: &App, ctx: &Ctx) -> Answer {
    let count = v3_number_required(&ctx.params, "count", Java::Integer)?;
    app.grpc.shed(usize::try_from(count).unwrap_or(0), target(ctx));
    Ok(Reply::result(Value::Null))
}

/// Also of an unknown connection: done.
fn v2_reload_client(app: &App, ctx: &Ctx) -> Answer {
    let Some(id) = ctx.params.get("connectionId") else {
        return Ok(v2_failure(&not_present("connectionId", "String")));
    };
    app.grpc.reload_client(id, target(ctx));
    Ok(Reply::text("success"))
}

fn v3_reload_client(app: &App, ctx: &Ctx) -> Answer {
    let id = ctx.params.get("connectionId").ok_or_else(|| api_missing("connectionId", "String"))?;
    app.grpc.reload_client(id, target(ctx));
    Ok(Reply::result(Value::Null))
}

/// One node has nothing to move; a factor that is no number is refused all the same.
fn factor(given: Option<&str>) -> Result<(), NacosError> {
    given.map_or(Ok(()), |given| f64::read(given.trim()).map(drop).map_err(NacosError::invalid))
}

fn v2_smart(_: &App, ctx: &Ctx) -> Answer {
    match factor(ctx.params.non_blank("loaderFactor")) {
        Ok(()) => Ok(Reply::text("Ok")),
        Err(error) => Ok(Reply::text(format!("caused: {};", error.message)).status(400)),
    }
}

fn v3_smart(_: &App, ctx: &Ctx) -> Answer {
    factor(ctx.params.get("loaderFactor").filter(|given| !given.is_empty()))?;
    Ok(Reply::result(Value::Null))
}

//! Cluster members and their health, as one node knows them; ids given out; labels of the CMDB that is not there.

use nacre_model::{ErrorCode, NacosError};
use serde_json::{Value, json};

use super::{
    Ctx,
    bind::param_required,
    reply::{Reply, Style},
    state,
    table::{Answer, Auth, Check, GET, Generation, Row},
};
use crate::{app::App, now};

const V1: (Generation, &str, Style) = (Generation::V1, "core", Style::V1Console);
const V2: (Generation, &str, Style) = (Generation::V2, "core", Style::Api);
const ADMIN: (Generation, &str, Style) = (Generation::V3Admin, "core", Style::Api);
const CONSOLE: (Generation, &str, Style) = (Generation::V3Console, "core", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/v1/core/cluster/self", V1, Auth::Read, now!(v1_self)).checked(Check::Off),
    Row::new(GET, "/v1/core/cluster/nodes", V1, Auth::Read, now!(v1_nodes)).checked(Check::Off),
    Row::new(GET, "/v1/core/cluster/simple/nodes", V1, Auth::Read, now!(v1_simple_nodes)).checked(Check::Off),
    Row::new(GET, "/v1/core/cluster/health", V1, Auth::Read, now!(v1_health)).checked(Check::Off),
    Row::new(GET, "/v2/core/cluster/node/self", V2, Auth::Admin, now!(self_node)).checked(Check::Off),
    Row::new(GET, "/v2/core/cluster/node/list", V2, Auth::Admin, now!(list)).checked(Check::Off),
    Row::new(GET, "/v2/core/cluster/node/self/health", V2, Auth::Admin, now!(self_health)).checked(Check::Off),
    Row::new(GET, "/v3/admin/core/cluster/node/self", ADMIN, Auth::Admin, now!(self_node)).checked(Check::Off),
    Row::new(GET, "/v3/admin/core/cluster/node/list", ADMIN, Auth::Admin, now!(list)).checked(Check::Off),
    Row::new(GET, "/v3/admin/core/cluster/node/self/health", ADMIN, Auth::Admin, now!(self_health)).checked(Check::Off),
    Row::new(GET, "/v1/core/ops/idInfo", V1, Auth::None, now!(v1_ids)).checked(Check::Off),
    Row::new(GET, "/v2/core/ops/ids", V2, Auth::None, now!(v2_ids)).checked(Check::Off),
    Row::new(GET, "/v3/admin/core/ops/ids", ADMIN, Auth::Admin, now!(v3_ids)).checked(Check::Off),
    Row::new(GET, "/v1/cmdb/ops/label", V1, Auth::None, now!(cmdb_label)).checked(Check::Off),
    Row::new(GET, "/v3/console/core/cluster/nodes", CONSOLE, Auth::Admin, now!(console_nodes)).checked(Check::Off),
];

fn state_word(app: &App) -> &'static str {
    if state::not_ready(app).is_empty() { "UP" } else { "DOWN" }
}

/// This node as `Member` shows it. There is one group of consensus, and it is the node's own.
fn member(app: &App) -> Value {
    let ip = own_ip(app);
    let port = app.settings.main_port;
    let address = format!("{ip}:{port}");
    let raft_port = port.saturating_sub(1_000);
    let raft_address = format!("{ip}:{raft_port}");
    let status = app.consensus.status();
    let leads = status.leader.is_some();
    json!({
        "ip": ip,
        "port": port,
        "state": state_word(app),
        "extendInfo": {
            "lastRefreshTime": app.clock.now().wall,
            "raftMetaData": { "metaDataMap": { "nacre": {
                "leader": leads.then_some(&raft_address),
                "raftGroupMember": [&raft_address],
                "term": status.term,
            } } },
            "raftPort": raft_port.to_string(),
            "readyToUpgrade": true,
            "supportGrayModel": true,
            "version": env!("CARGO_PKG_VERSION"),
        },
        "address": address,
        "failAccessCnt": 0,
        "abilities": {
            "remoteAbility": { "supportRemoteConnection": true, "grpcReportEnabled": true },
            "configAbility": { "supportRemoteMetrics": false },
            "namingAbility": { "supportJraft": true },
        },
        "grpcReportEnabled": true,
    })
}

/// The address that others reach this node by: the one it listens on, or, listening on all, the one of the way out.
pub(crate) fn own_ip(app: &App) -> String {
    let listened = app.settings.listen.first().copied();
    match listened {
        Some(ip) if !ip.is_unspecified() => ip.to_canonical().to_string(),
        _ => way_out().unwrap_or_else(|| "127.0.0.1".to_owned()),
    }
}

/// The local address of the default route. Connecting a UDP socket sends nothing.
fn way_out() -> Option<String> {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

/// The members whose address begins with the keyword, blanks and all; every one for a blank keyword.
fn members(app: &App, keyword: &str) -> Vec<Value> {
    let member = member(app);
    let begins = |address: &str| keyword.trim().is_empty() || address.starts_with(keyword);
    let fits = member["address"].as_str().is_some_and(begins);
    if fits { vec![member] } else { Vec::new() }
}

fn v1_self(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::rest(None, member(app)))
}

fn v1_nodes(app: &App, ctx: &Ctx) -> Answer {
    Ok(Reply::rest(None, members(app, ctx.params.or("keyword", ""))))
}

fn v1_simple_nodes(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::rest(None, vec![member(app)["address"].clone()]))
}

fn v1_health(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::rest(None, state_word(app)))
}

fn self_node(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(member(app)))
}

fn self_health(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(state_word(app)))
}

fn list(app: &App, ctx: &Ctx) -> Answer {
    const STATES: [&str; 5] = ["STARTING", "UP", "SUSPICIOUS", "DOWN", "ISOLATION"];
    let asked = ctx.params.non_blank("state").map(str::to_ascii_uppercase);
    if let Some(state) = &asked
        && !STATES.contains(&&**state)
    {
        let given = ctx.params.or("state", "");
        return Err(NacosError::new(400, ErrorCode::ILLEGAL_STATE, format!("Illegal state: {given}")).into());
    }
    let mut members = members(app, ctx.params.or("address", ""));
    members.retain(|member| asked.as_deref().is_none_or(|state| member["state"] == state));
    Ok(Reply::result(members))
}

fn console_nodes(app: &App, ctx: &Ctx) -> Answer {
    Ok(Reply::result(members(app, ctx.params.or("keyword", ""))))
}

/// The last id given per resource, under the reference's names; what has no ids of its own here stays at 0.
fn last_ids(app: &App) -> [(&'static str, u64); 10] {
    let last = app.configs.last_ids();
    [
        ("config-info-id", last.config),
        ("config-history-id", last.history),
        ("config-history-gray-id", last.history),
        ("config-beta-id", last.gray),
        ("config-tag-relation-id", 0),
        ("app-configdata-relation-subs", 0),
        ("namespace-id", 0),
        ("user-id", 0),
        ("role-id", 0),
        ("permissions_id", 0),
    ]
}

fn id_info(app: &App, id: u64) -> Value {
    json!({ "currentId": id, "workerId": app.naming.options().snowflake_worker })
}

fn v1_ids(app: &App, _: &Ctx) -> Answer {
    let ids: serde_json::Map<String, Value> =
        last_ids(app).into_iter().map(|(resource, id)| (resource.to_owned(), id_info(app, id))).collect();
    Ok(Reply::rest(None, ids))
}

fn listed_ids(app: &App) -> Vec<Value> {
    last_ids(app).into_iter().map(|(resource, id)| json!({ "resource": resource, "info": id_info(app, id) })).collect()
}

fn v2_ids(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::rest(None, listed_ids(app)))
}

fn v3_ids(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(listed_ids(app)))
}

/// Without a CMDB no address has a label.
fn cmdb_label(_: &App, ctx: &Ctx) -> Answer {
    for name in ["entry", "label"] {
        ctx.params.non_blank(name).ok_or_else(|| param_required(name))?;
    }
    Ok(Reply::empty(200))
}

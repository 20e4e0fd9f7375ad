//! Who listens to what, as operators ask it: by config and by address, with the md5 each client said it holds.

use std::collections::BTreeMap;

use nacre_config::{ListenerView, names};
use nacre_model::{ConfigKey, DEFAULT_GROUP};
use nacre_wire::http::config::{ListenersV1, ListenersV3};
use serde_json::json;

use super::{preset_json, v1, v3};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Java, api_text, v1_bool, v1_number_opt, v1_text, v3_bool_bare, v3_form_bool},
        refuse::Refusal,
        reply::Reply,
        table::Answer,
    },
};

/// By address.
fn of_config(app: &App, key: &ConfigKey) -> BTreeMap<String, String> {
    let views = app.listeners.listeners_of(key);
    views.iter().map(|view| (view.ip.to_string(), view.md5.to_string())).collect()
}

/// By group key.
fn of_address(
    app: &App,
    ip: &str,
    wanted: impl Fn(&ListenerView) -> bool,
    key: impl Fn(&ConfigKey) -> String,
) -> BTreeMap<String, String> {
    let views = app.listeners.listened_by(ip);
    views.iter().filter(|view| wanted(view)).map(|view| (key(&view.key), view.md5.to_string())).collect()
}

fn v1_body(times: i64, status: impl FnOnce() -> BTreeMap<String, String>) -> Reply {
    preset_json(&ListenersV1 { collect_status: 200, lisenters_groupkey_status: (times > 0).then(status) })
}

/// How often the nodes are asked: once is enough here, less than once is nobody.
fn sample_time(ctx: &Ctx) -> Result<i64, Refusal> {
    Ok(v1_number_opt(&ctx.params, "sampleTime", Java::Int)?.unwrap_or(1))
}

/// What one node knows itself.
fn v1_own(status: BTreeMap<String, String>) -> Reply {
    preset_json(&json!({ "lisentersGroupkeyStatus": status }))
}

fn group_key_2x(key: &ConfigKey) -> String {
    names::group_key(&key.data_id, &key.group, names::shown_2x(&key.namespace))
}

/// A blank group is the default one.
fn listened_key(ctx: &Ctx) -> Result<ConfigKey, Refusal> {
    let (data_id, group) = v1::named(ctx)?;
    let group = if group.trim().is_empty() { DEFAULT_GROUP } else { group };
    Ok(v1::key_of(ctx, data_id, group))
}

/// `GET /v1/cs/configs/listener`.
pub(super) fn v1_of_config(app: &App, ctx: &Ctx) -> Answer {
    let key = listened_key(ctx)?;
    let times = sample_time(ctx)?;
    Ok(v1_body(times, || of_config(app, &key)))
}

/// `GET /v1/cs/listener`: the default namespace's and those of a namespace that contains the given text, or all.
pub(super) fn v1_of_address(app: &App, ctx: &Ctx) -> Answer {
    let ip = v1_text(&ctx.params, "ip")?;
    let all = v1_bool(&ctx.params, "all")?;
    let times = sample_time(ctx)?;
    let tenant = ctx.params.or("tenant", "");
    let wanted = |view: &ListenerView| {
        let shown = names::shown_2x(&view.key.namespace);
        all || shown.is_empty() || (!tenant.is_empty() && shown.contains(tenant))
    };
    Ok(v1_body(times, || of_address(app, ip, wanted, group_key_2x)))
}

/// `GET /v1/cs/communication/configWatchers` and `watcherConfigs`: the same of this node.
pub(super) fn v1_config_watchers(app: &App, ctx: &Ctx) -> Answer {
    Ok(v1_own(of_config(app, &listened_key(ctx)?)))
}

pub(super) fn v1_watcher_configs(app: &App, ctx: &Ctx) -> Answer {
    Ok(v1_own(of_address(app, v1_text(&ctx.params, "ip")?, |_| true, group_key_2x)))
}

/// `GET /v3/admin/cs/config/listener`.
pub(super) fn v3_of_config(app: &App, ctx: &Ctx) -> Answer {
    // Both forms are read before either is looked at.
    v3_form_bool(&ctx.params, "aggregation", true, 1)?;
    let (data_id, group) = v3::form_key(ctx)?;
    let listeners_status = of_config(app, &v3::key_of(ctx, data_id, group));
    Ok(Reply::result(ListenersV3 { query_type: "config", listeners_status }))
}

/// `GET /v3/admin/cs/listener`: of one namespace (the default one when none is named), or all.
pub(super) fn v3_of_address(app: &App, ctx: &Ctx) -> Answer {
    let ip = api_text(&ctx.params, "ip")?;
    let all = v3_bool_bare(&ctx.params, "all")?;
    v3_form_bool(&ctx.params, "aggregation", true, 1)?;
    let namespace = names::namespace_3x(ctx.params.get("namespaceId").unwrap_or(""));
    let wanted = |view: &ListenerView| all || *view.key.namespace == *namespace;
    let listeners_status = of_address(app, ip, wanted, names::group_key_3x);
    Ok(Reply::result(ListenersV3 { query_type: "ip", listeners_status }))
}

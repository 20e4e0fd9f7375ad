//! What the server says about itself to consoles and probes. Readiness tells the truth: it says no exactly while calls
//! would be refused, and names what is not ready and why.

use http::Method;
use nacre_model::ErrorCode;
use serde_json::{Map, Value, json};

use super::{
    Ctx,
    naming::gate::server_status,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, GET, Generation, Row},
};
use crate::{app::App, now};

const V1: (Generation, &str, Style) = (Generation::V1, "console", Style::V1Console);
const V2: (Generation, &str, Style) = (Generation::V2, "console", Style::Api);
const ADMIN: (Generation, &str, Style) = (Generation::V3Admin, "core", Style::Api);
const CONSOLE: (Generation, &str, Style) = (Generation::V3Console, "console", Style::Api);

pub const ROWS: &[Row] = &[
    probe("/v1/console/server/state", V1, now!(bare_state)),
    probe("/v1/console/server/announcement", V1, now!(v1_announcement)),
    probe("/v1/console/server/guide", V1, now!(v1_guide)),
    probe("/v1/console/health/liveness", V1, now!(v1_liveness)),
    probe("/v1/console/health/readiness", V1, now!(v1_readiness)),
    probe("/v2/console/health/liveness", V2, now!(liveness)),
    probe("/v2/console/health/readiness", V2, now!(readiness)),
    probe("/v3/admin/core/state", ADMIN, now!(state)),
    probe("/v3/admin/core/state/liveness", ADMIN, now!(liveness)),
    probe("/v3/admin/core/state/readiness", ADMIN, now!(readiness)),
    // Where the maintainer client since 3.2 looks for it.
    probe("/v3/admin/core/ops/readiness", ADMIN, now!(readiness)),
    probe("/v3/console/server/state", CONSOLE, now!(bare_state)),
    probe("/v3/console/server/announcement", CONSOLE, now!(announcement)),
    probe("/v3/console/server/guide", CONSOLE, now!(guide)),
    probe("/v3/console/health/liveness", CONSOLE, now!(liveness)),
    probe("/v3/console/health/readiness", CONSOLE, now!(console_readiness)),
];

const fn probe(path: &'static str, area: (Generation, &'static str, Style), handler: super::table::Handler) -> Row {
    const METHODS: &[Method] = GET;
    let check = if matches!(area.0, Generation::V3Admin) { Check::Off } else { Check::Console };
    Row::new(METHODS, path, area, Auth::None, handler).checked(check)
}

/// Why the server is not ready, module by module; empty when it is.
pub fn not_ready(app: &App) -> Vec<(&'static str, String)> {
    let mut failing = Vec::new();
    if app.is_starting() {
        let why = "the log is being replayed".to_owned();
        return vec![("config", why.clone()), ("naming", why)];
    }
    if let Some(reason) = app.unwritable() {
        failing.push(("config", reason));
    }
    // A word that is no status forces none.
    let status = server_status(app);
    if status != "UP" {
        failing.push(("naming", format!("the switch overriddenServerStatus says {status}")));
    }
    failing
}

/// `config and naming not in readiness`, as the reference says it, followed by the reasons.
fn failure(failing: &[(&'static str, String)]) -> String {
    let modules: Vec<&str> = failing.iter().map(|(module, _)| *module).collect();
    let reasons: Vec<String> = failing.iter().map(|(module, reason)| format!("{module}: {reason}")).collect();
    format!("{} not in readiness; {}", modules.join(" and "), reasons.join("; "))
}

fn v1_liveness(_: &App, _: &Ctx) -> Answer {
    Ok(Reply::text("OK"))
}

fn v1_readiness(app: &App, _: &Ctx) -> Answer {
    let failing = not_ready(app);
    if failing.is_empty() {
        return Ok(Reply::text("OK"));
    }
    Ok(Reply::text(failure(&failing)).status(500))
}

fn liveness(_: &App, _: &Ctx) -> Answer {
    Ok(Reply::result("ok"))
}

fn readiness(app: &App, _: &Ctx) -> Answer {
    let failing = not_ready(app);
    if failing.is_empty() {
        return Ok(Reply::result("ok"));
    }
    // The reference answers 200 here; a probe that looks at the status would never take the node out.
    let code = ErrorCode::SERVER_ERROR.code;
    Ok(Reply::json(&json!({ "code": code, "message": failure(&failing), "data": null })).status(500))
}

fn console_readiness(app: &App, ctx: &Ctx) -> Answer {
    readiness(app, ctx)
}

fn bare_state(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::json(&state_map(app)))
}

fn state(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(state_map(app)))
}

/// Every value is a text. Keys that name properties show what is in force.
fn state_map(app: &App) -> Map<String, Value> {
    let props = &app.props;
    let function_mode = Some(props.str("nacos.functionMode")).filter(|mode| !mode.is_empty());
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        map.insert(name.to_owned(), value);
    };
    put("version", env!("CARGO_PKG_VERSION").into());
    put("startup_mode", "standalone".into());
    put("function_mode", function_mode.map_or(Value::Null, Value::from));
    put("server_port", app.settings.main_port.to_string().into());
    // Authentication comes with its own work; until then it is off whatever the properties say.
    put("auth_enabled", "false".into());
    put("auth_admin_request", "false".into());
    put("login_page_enabled", "false".into());
    put("auth_system_type", "nacos".into());
    put("console_ui_enabled", props.bool("nacos.console.ui.enabled").to_string().into());
    put("datasource_platform", "".into());
    put("plugin_datasource_log_enabled", "false".into());
    put("config_retention_days", props.u64("nacos.config.retention.days").to_string().into());
    put("isHealthCheck", "true".into());
    put("maxHealthCheckFailCount", "12".into());
    put("maxContent", app.settings.max_content.to_string().into());
    put("notifyConnectTimeout", props.millis("notifyConnectTimeout").to_string().into());
    put("notifySocketTimeout", props.millis("notifySocketTimeout").to_string().into());
    for switch in ["isManageCapacity", "isCapacityLimitCheck"] {
        put(switch, props.bool(switch).to_string().into());
    }
    let numbers =
        ["defaultClusterQuota", "defaultGroupQuota", "defaultMaxSize", "defaultMaxAggrCount", "defaultMaxAggrSize"];
    for number in numbers {
        put(number, props.u64(number).to_string().into());
    }
    map
}

fn v1_announcement(app: &App, ctx: &Ctx) -> Answer {
    let language = ctx.params.or("language", "zh-CN");
    if language.contains("..") || language.contains(['/', '\\']) {
        return Err(nacre_model::NacosError::invalid("Invalid filename").into());
    }
    Ok(Reply::rest(None, announced(app, language)))
}

fn announcement(app: &App, ctx: &Ctx) -> Answer {
    let language = ctx.params.get("language").filter(|language| !language.is_empty()).unwrap_or("zh-CN");
    if !matches!(language, "zh-CN" | "en-US") {
        let code = ErrorCode::SERVER_ERROR.code;
        let message = format!("Unsupported language: {language}");
        return Ok(Reply::json(&json!({ "code": code, "message": message, "data": null })));
    }
    Ok(Reply::result(announced(app, language)))
}

fn v1_guide(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::rest(None, guided(app)))
}

fn guide(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(guided(app)))
}

/// `conf/announcement_LANGUAGE.conf`, or what there is to say without one.
fn announced(app: &App, language: &str) -> Option<String> {
    let own = match language {
        "zh-CN" => Some("本版本没有鉴权功能：能访问此服务器的人都可以读写，请用 nacre.listen 限制监听地址。"),
        "en-US" => Some(
            "This version has no authentication: whoever reaches this server may read and write; nacre.listen limits it.",
        ),
        _ => None,
    };
    conf_text(app, &format!("announcement_{language}.conf")).or_else(|| own.map(str::to_owned))
}

/// `conf/console-guide.conf`, or what there is to say without one.
fn guided(app: &App) -> Option<String> {
    const OWN: &str =
        "本版本没有控制台，请使用 nacre 命令行。This version has no console; use the command <code>nacre</code>.";
    conf_text(app, "console-guide.conf").or_else(|| Some(OWN.to_owned()))
}

/// A small text that the operator laid into the configuration directory.
fn conf_text(app: &App, file: &str) -> Option<String> {
    const LONGEST: u64 = 64 * 1024;
    let path = app.props.conf_dir().join(file);
    let small = std::fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= LONGEST);
    small.then(|| std::fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_begins_as_the_references_and_names_its_reasons() {
        let failing = [("config", "disk full".to_owned()), ("naming", "switched off".to_owned())];
        assert_eq!(failure(&failing), "config and naming not in readiness; config: disk full; naming: switched off");
    }
}

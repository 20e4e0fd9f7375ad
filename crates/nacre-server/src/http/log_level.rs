//! The level of one log, in every spelling that the reference has for it. Names and levels that nobody knows are answered
//! as done, as the reference does; the journal says that nothing changed.

use http::HeaderMap;
use nacre_model::{Cause, ErrorCode, Event, NacosError, Subject};
use serde_json::Value;

use super::{
    Ctx,
    bind::{Declared, api_text, other_type, v1_text},
    refuse::{Refusal, v2_failure},
    reply::{Reply, Style},
    table::{Answer, Auth, Generation, PUT, Row},
};
use crate::{app::App, logging::Change, now};

const V1_NAMING: (Generation, &str, Style) = (Generation::V1, "naming", Style::V1Naming);
const V1_CONFIG: (Generation, &str, Style) = (Generation::V1, "config", Style::V1Config);
const V1_CORE: (Generation, &str, Style) = (Generation::V1, "core", Style::V1Console);
const V2_CORE: (Generation, &str, Style) = (Generation::V2, "core", Style::Api);
const ADMIN_NAMING: (Generation, &str, Style) = (Generation::V3Admin, "naming", Style::Api);
const ADMIN_CONFIG: (Generation, &str, Style) = (Generation::V3Admin, "config", Style::Api);
const ADMIN_CORE: (Generation, &str, Style) = (Generation::V3Admin, "core", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(PUT, "/v1/ns/operator/log", V1_NAMING, Auth::None, now!(v1_naming)),
    Row::new(PUT, "/v1/ns/ops/log", V1_NAMING, Auth::None, now!(v1_naming)),
    Row::new(PUT, "/v1/cs/ops/log", V1_CONFIG, Auth::Admin, now!(v1_text_answer)),
    Row::new(PUT, "/v1/core/ops/log", V1_CORE, Auth::Admin, now!(v1_text_answer)),
    Row::new(PUT, "/v2/core/ops/log", V2_CORE, Auth::Admin, now!(v2_core)),
    Row::new(PUT, "/v3/admin/ns/ops/log", ADMIN_NAMING, Auth::Admin, now!(v3_naming)),
    Row::new(PUT, "/v3/admin/cs/ops/log", ADMIN_CONFIG, Auth::Admin, now!(v3_config)),
    Row::new(PUT, "/v3/admin/core/ops/log", ADMIN_CORE, Auth::Admin, now!(v3_core)),
];

/// Names and levels in the journal are cut to this length.
const SHOWN: usize = 64;

fn set(app: &App, ctx: &Ctx, name: &str, level: &str) -> Result<(), NacosError> {
    let cut = |text: &str| text.chars().take(SHOWN).collect::<String>();
    let cause = match app.logging.set(name, level).map_err(NacosError::server)? {
        Change::Done(_) => {
            let level = level.trim().to_ascii_uppercase();
            Cause::SettingChanged { key: format!("the level of the log {name}"), value: level, by: ctx.client_ip() }
        }
        Change::Nothing(reason) => Cause::NothingChanged { call: "log".to_owned(), reason: cut(&reason) },
    };
    app.journal.record(Event::new(app.clock.now(), Subject::default(), cause));
    Ok(())
}

fn v1_naming(app: &App, ctx: &Ctx) -> Answer {
    let declared = Declared { params: &ctx.params, generation: Generation::V1 };
    let name = declared.required("logName")?;
    set(app, ctx, name, declared.required("logLevel")?)?;
    Ok(Reply::text("ok"))
}

fn v1_text_answer(app: &App, ctx: &Ctx) -> Answer {
    let name = v1_text(&ctx.params, "logName")?;
    set(app, ctx, name, v1_text(&ctx.params, "logLevel")?)?;
    Ok(Reply::text("200"))
}

fn v3_naming(app: &App, ctx: &Ctx) -> Answer {
    let name = api_text(&ctx.params, "logName")?;
    set(app, ctx, name, api_text(&ctx.params, "logLevel")?)?;
    Ok(Reply::result("ok"))
}

fn v3_config(app: &App, ctx: &Ctx) -> Answer {
    let name = api_text(&ctx.params, "logName")?;
    let level = api_text(&ctx.params, "logLevel")?;
    set(app, ctx, name, level)?;
    Ok(Reply::result(format!("Log level updated successfully! Module: {name}, Log Level: {level}")))
}

/// The JSON body of v2 and v3 core: name and level, or what is wrong with it.
fn body(headers: &HeaderMap, body: &[u8]) -> Result<(String, String), String> {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if body.is_empty() {
        return Err("Required request body is missing".to_owned());
    }
    if essence != "application/json" && !essence.ends_with("+json") {
        // As the reference's framework completes it.
        let charset = if content_type.contains("charset") { "" } else { ";charset=UTF-8" };
        return Err(format!("Content type '{content_type}{charset}' not supported"));
    }
    let request: Value = serde_json::from_slice(body).map_err(|error| format!("JSON parse error: {error}"))?;
    let text = |name: &str| {
        let value = request.get(name).and_then(Value::as_str).map(str::to_owned);
        value.ok_or_else(|| format!("the body has no text '{name}'"))
    };
    Ok((text("logName")?, text("logLevel")?))
}

/// The JSON body of v3. Without a level the log's own stays as it is.
fn v3_body(ctx: &Ctx) -> Result<(String, String), Refusal> {
    const MISSING: &str = "Required request body is missing: public name and level of a log";
    let missing = |text: String| NacosError::new(400, ErrorCode::PARAMETER_MISSING, text);
    if ctx.body.is_empty() {
        return Err(missing(MISSING.to_owned()).into());
    }
    if let Some(other) = other_type(ctx) {
        let text = format!("Content-Type '{other}' is not supported");
        return Err(NacosError::new(400, ErrorCode::MEDIA_TYPE_ERROR, text).into());
    }
    let wrong = |what: &str| missing(format!("JSON parse error: {what}"));
    let request: Value = serde_json::from_slice(&ctx.body).map_err(|error| wrong(&error.to_string()))?;
    let Value::Object(request) = request else {
        return Err(match request {
            Value::Null => missing(MISSING.to_owned()),
            _ => wrong("an object is wanted"),
        }
        .into());
    };
    let text = |name: &str| match request.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(_) | Value::Object(_)) => Err(wrong(&format!("'{name}' is no text"))),
        Some(plain) => Ok(Some(plain.to_string())),
    };
    let (name, level) = (text("logName")?, text("logLevel")?);
    let name = name.ok_or_else(|| Refusal::exception("the body has no text 'logName'"))?;
    Ok((name, level.unwrap_or_default()))
}

fn v2_core(app: &App, ctx: &Ctx) -> Answer {
    match body(&ctx.headers, &ctx.body) {
        Ok((name, level)) => {
            set(app, ctx, &name, &level)?;
            Ok(Reply::rest(None, Value::Null))
        }
        Err(wrong) => Ok(v2_failure(&wrong)),
    }
}

/// The maintainer client sends a form where the reference wants JSON: both are read.
fn v3_core(app: &App, ctx: &Ctx) -> Answer {
    let form =
        ctx.header("content-type").is_some_and(|of| of.trim_start().starts_with("application/x-www-form-urlencoded"));
    let (name, level) = match (ctx.params.get("logName"), ctx.params.get("logLevel")) {
        (Some(name), Some(level)) if form => (name.to_owned(), level.to_owned()),
        _ => v3_body(ctx)?,
    };
    set(app, ctx, &name, &level)?;
    Ok(Reply::result(Value::Null))
}

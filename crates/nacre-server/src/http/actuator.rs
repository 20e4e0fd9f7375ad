//! `/actuator`: health and metrics where monitoring of Nacos looks for them.

use std::sync::Arc;

use nacre_model::NacosError;
use serde_json::json;

use super::{
    Ctx,
    reply::{Reply, Style},
    state,
    table::{Answer, Auth, Check, GET, Generation, Row},
};
use crate::{app::App, later, metrics, now};

const AREA: (Generation, &str, Style) = (Generation::Other, "actuator", Style::V1Console);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/actuator", AREA, Auth::None, now!(links)).checked(Check::Off),
    Row::new(GET, "/actuator/health", AREA, Auth::None, now!(health)).checked(Check::Off),
    Row::new(GET, "/actuator/prometheus", AREA, Auth::None, later!(prometheus)).checked(Check::Off),
];

const TYPE: &str = "application/vnd.spring-boot.actuator.v3+json";

fn links(app: &App, ctx: &Ctx) -> Answer {
    let host = ctx.header("host").unwrap_or("localhost");
    let base = format!("http://{host}{}/actuator", app.settings.context);
    let link = |path: &str| json!({ "href": format!("{base}{path}"), "templated": false });
    let links = json!({ "self": link(""), "health": link("/health"), "prometheus": link("/prometheus") });
    Ok(Reply::json(&json!({ "_links": links })).typed(TYPE))
}

/// 503 while the server is not ready, with each reason.
fn health(app: &App, _: &Ctx) -> Answer {
    let failing = state::not_ready(app);
    if failing.is_empty() {
        return Ok(Reply::json(&json!({ "status": "UP" })).typed(TYPE));
    }
    let components: serde_json::Map<String, serde_json::Value> = failing
        .into_iter()
        .map(|(module, reason)| (module.to_owned(), json!({ "status": "DOWN", "details": { "reason": reason } })))
        .collect();
    Ok(Reply::json(&json!({ "status": "DOWN", "components": components })).typed(TYPE).status(503))
}

/// Off the event loop: it reads files of the kernel and half a minute of the journal.
async fn prometheus(app: Arc<App>, _: Ctx) -> Answer {
    let text = tokio::task::spawn_blocking(move || metrics::exposition(&app)).await;
    let text = text.map_err(|error| NacosError::server(error.to_string()))?;
    Ok(Reply::new(metrics::CONTENT_TYPE, text))
}

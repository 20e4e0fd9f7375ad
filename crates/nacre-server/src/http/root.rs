//! The page at the context path: where the APIs are, for whoever looks for a console.

use super::{
    Ctx,
    refuse::html_escape,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, GET, Generation, Row},
};
use crate::{app::App, now};

const AREA: (Generation, &str, Style) = (Generation::Other, "root", Style::V1Console);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/", AREA, Auth::None, now!(page)).checked(Check::Off),
    Row::new(GET, "/index.html", AREA, Auth::None, now!(page)).checked(Check::Off),
];

/// Links are relative: the server may stand behind a proxy that has another name for it.
const LINKS: &[(&str, &str)] = &[
    ("v3/console/server/state", "state of this server"),
    ("v3/console/health/readiness", "readiness, with the reason when it is not ready"),
    ("actuator/prometheus", "metrics for Prometheus"),
    ("v1/ns/service/list?pageNo=1&pageSize=100", "services"),
    ("v3/admin/diagnosis/events", "what happened last, and why"),
    ("v3/admin/diagnosis/subjects", "whom the journal knows"),
];

fn page(app: &App, _: &Ctx) -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    let context = html_escape(&app.settings.context);
    let links: String = LINKS
        .iter()
        .map(|(path, what)| format!("<li><a href=\"{0}\">{context}/{0}</a>: {what}</li>", html_escape(path)))
        .collect();
    let (port, grpc) = (app.settings.main_port, app.settings.grpc_port);
    Ok(Reply::new(
        "text/html;charset=UTF-8",
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>nacre</title></head><body>\
             <h1>nacre {version}</h1>\
             <p>Service registry and configuration centre for Nacos clients of every generation. This version has no web \
             console; the command <code>nacre</code> does its work (<code>nacre --help</code>).</p>\
             <p>HTTP APIs: <code>{context}/v1</code>, <code>{context}/v2</code> and <code>{context}/v3</code> on port \
             {port}. gRPC: port {grpc}, and port {port} as well.</p><ul>{links}</ul></body></html>\n"
        ),
    ))
}

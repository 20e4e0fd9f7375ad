//! The doctor's answers for AI assistants: an MCP server (streamable HTTP, no sessions), read-only, off by default
//! (`nacre.mcp.enabled`). A tool is a row of the diagnosis API under another name, so both say the same.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Map, Value, json};

use super::{
    Ctx, Found,
    checks::Parsed,
    params::Params,
    refuse::Refusal,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, Generation, POST, Row},
};
use crate::{app::App, later};

const AREA: (Generation, &str, Style) = (Generation::V3Admin, "diagnosis", Style::Api);

pub const ROWS: &[Row] =
    &[Row::new(POST, "/v3/admin/diagnosis/mcp", AREA, Auth::Admin, later!(serve)).checked(Check::Off)];

/// A tool: its name, the row that answers, what it is for, and its parameters with their meaning.
struct Offer {
    name: &'static str,
    path: &'static str,
    what: &'static str,
    params: &'static [(&'static str, &'static str)],
}

const SUBJECT: &str = "Only about this";

const OFFERS: &[Offer] = &[
    Offer {
        name: "overview",
        path: "/v3/admin/diagnosis",
        what: "How this Nacos-compatible server is: uptime, whether it takes writes, counts of findings, and the findings.",
        params: &[("lang", "en or zh")],
    },
    Offer {
        name: "findings",
        path: "/v3/admin/diagnosis/findings",
        what: "What is wrong now, the worst first: each finding names a cause with evidence, what was ruled out, and a remedy. \
               Ask this first when a client sends no heartbeats, an instance is unhealthy or missing, or a config does not arrive.",
        params: &[
            ("code", "A finding's code, e.g. BEAT-GAP-CLIENT-PAUSED"),
            ("severity", "This and worse: info, warning or critical"),
            ("namespaceId", "A namespace's id"),
            ("service", "A service's name"),
            ("instance", "ip:port of an instance"),
            ("address", "An IP address of a client"),
            ("config", "A dataId"),
            ("cleared", "true: also what was wrong and is over"),
            ("lang", "en or zh"),
        ],
    },
    Offer {
        name: "explain",
        path: "/v3/admin/diagnosis/explain",
        what: "What a finding's code means, how it comes about and what to do; without a code, the list of all codes.",
        params: &[("code", "A finding's code"), ("lang", "en or zh")],
    },
    Offer {
        name: "events",
        path: "/v3/admin/diagnosis/events",
        what: "The journal: every transition of instances, clients, pushes and configs with its cause, newest first.",
        params: &[
            ("from", "Since then: 10m, ISO 8601 or epoch milliseconds"),
            ("to", "Until then: epoch milliseconds"),
            ("kind", "Kinds with commas between, e.g. instanceRemoved,beatLate"),
            ("namespaceId", "A namespace's id"),
            ("groupName", "A group"),
            ("service", SUBJECT),
            ("instance", "ip, ip:port or ip:port:cluster"),
            ("client", "A connection id or an address"),
            ("config", "A dataId"),
            ("why", "true with an instance: its story, its clients' coming and going included"),
            ("lang", "en or zh"),
            ("limit", "At most 1000; 100 when absent"),
        ],
    },
    Offer {
        name: "timeline",
        path: "/v3/admin/diagnosis/timeline",
        what: "A service's (or config's) past: its instances at a moment (at), or what happened between two (from, to).",
        params: &[
            ("namespaceId", "A namespace's id"),
            ("groupName", "A group"),
            ("serviceName", "A service's name"),
            ("instance", "ip:port of an instance"),
            ("config", "A dataId"),
            ("from", "10m, ISO 8601 or epoch milliseconds"),
            ("to", "As from"),
            ("at", "As from"),
        ],
    },
    Offer {
        name: "subjects",
        path: "/v3/admin/diagnosis/subjects",
        what: "Which services, instances, clients and configs the journal knows whose name contains a text.",
        params: &[("q", "The text")],
    },
];

/// Answers one MCP message.
async fn serve(app: Arc<App>, ctx: Ctx) -> Answer {
    if !app.props.bool("nacre.mcp.enabled") {
        let message = "MCP is off: nacre.mcp.enabled=true turns it on".to_owned();
        return Err(Refusal::Container { status: 404, message });
    }
    let mut config = StreamableHttpServerConfig::default();
    config.legacy_session_mode = false;
    config.json_response = true;
    config.max_request_body_bytes = app.settings.max_body;
    config.cancellation_token = app.draining.clone();
    // Names a browser could be talked into using for us (DNS rebinding) are refused; those we serve on are not.
    config.allowed_hosts.extend(app.settings.listen.iter().map(ToString::to_string));
    config.allowed_hosts.extend(app.props.list("nacre.mcp.hosts").iter().cloned());
    let offered = app.clone();
    let service = StreamableHttpService::new(
        move || Ok(Assistant(offered.clone())),
        Arc::<NeverSessionManager>::default(),
        config,
    );
    let mut request = Request::new(Full::new(ctx.body));
    *request.method_mut() = ctx.method;
    *request.uri_mut() = ctx.uri;
    *request.headers_mut() = ctx.headers;
    let (parts, body) = service.handle(request).await.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut reply = Reply::empty(parts.status.as_u16());
    reply.content_type = parts.headers.get(http::header::CONTENT_TYPE).cloned();
    reply.body = body;
    Ok(reply)
}

struct Assistant(Arc<App>);

impl ServerHandler for Assistant {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("nacre", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(
            "Explains a Nacos-compatible service registry. Begin with `findings`; follow a subject with `events` and \
             `timeline`. Everything is read-only."
                .to_owned(),
        );
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(OFFERS.iter().map(tool).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(offer) = OFFERS.iter().find(|offer| offer.name == request.name) else {
            return Err(ErrorData::invalid_params(format!("there is no tool {}", request.name), None));
        };
        let params = read(offer, request.arguments.unwrap_or_default())?;
        let headers = context.extensions.get::<http::request::Parts>().map(|parts| parts.headers.clone());
        let (status, body) = ask(&self.0, offer.path, params, headers.unwrap_or_default()).await;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        Ok(match (status, answer.get("data")) {
            (200, Some(data)) => CallToolResult::structured(data.clone()).into(),
            _ => CallToolResult::error(vec![ContentBlock::text(String::from_utf8_lossy(&body).into_owned())]).into(),
        })
    }
}

fn tool(offer: &Offer) -> Tool {
    let properties: Map<String, Value> = offer
        .params
        .iter()
        .map(|(name, what)| ((*name).to_owned(), json!({ "type": "string", "description": what })))
        .collect();
    let schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let schema = schema.as_object().cloned().unwrap_or_default();
    Tool::new(offer.name, offer.what, schema).with_annotations(ToolAnnotations::new().read_only(true))
}

/// Arguments as parameters of the row; numbers and booleans are taken for their text.
fn read(offer: &Offer, arguments: Map<String, Value>) -> Result<Params, ErrorData> {
    let mut params = Params::default();
    for (name, value) in arguments {
        if !offer.params.iter().any(|(known, _)| *known == name) {
            return Err(ErrorData::invalid_params(format!("{} takes no `{name}`", offer.name), None));
        }
        match value {
            Value::Null => {}
            Value::String(text) => params.push(&name, &text),
            other => params.push(&name, &other.to_string()),
        }
    }
    Ok(params)
}

/// What a row answers to a GET with these parameters.
async fn ask(app: &Arc<App>, path: &'static str, params: Params, headers: http::HeaderMap) -> (u16, Bytes) {
    let Found::Row(row, _) = app.router.find(&Method::GET, path) else {
        return (404, Bytes::from_static(b"this version has no such API"));
    };
    let ctx = Ctx {
        method: Method::GET,
        uri: http::Uri::from_static(path),
        forwarded: super::Heard::of(&headers).forwarded,
        headers,
        now: app.clock.now(),
        peer: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        params,
        path: Vec::new(),
        body: Bytes::new(),
        parsed: Parsed::default(),
    };
    let answer = match row.handler {
        super::table::Handler::Now(handler) => handler(app, &ctx),
        super::table::Handler::Step(handler) => match handler(app, &ctx) {
            Ok(step) => step.finish(app).await,
            Err(refusal) => Err(refusal),
        },
        super::table::Handler::Soon(_, handler) | super::table::Handler::Later(handler) => {
            handler(app.clone(), ctx).await
        }
    };
    match answer {
        Ok(reply) => (reply.status, reply.body),
        Err(refusal) => {
            let uri = http::Uri::from_static(path);
            let site = super::refuse::Site { uri: &uri, accept: None, clock: &app.clock, charset_preset: false };
            let reply = refusal.into_reply(row.style, &site);
            (reply.status, reply.body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_a_row_of_the_diagnosis_api() {
        let router = super::super::router::Router::new("/nacos");
        for offer in OFFERS {
            let Found::Row(row, _) = router.find(&Method::GET, offer.path) else {
                panic!("{} answers nobody", offer.name)
            };
            assert_eq!(row.module, "diagnosis");
        }
    }

    #[test]
    fn arguments_that_no_tool_knows_are_refused() {
        let arguments = |text: &str| serde_json::from_str::<Map<String, Value>>(text).expect("json");
        let findings = &OFFERS[1];
        let params = read(findings, arguments(r#"{"cleared":true,"service":"orders","code":null}"#)).expect("known");
        assert_eq!(
            (params.get("cleared"), params.get("service"), params.get("code")),
            (Some("true"), Some("orders"), None)
        );
        assert!(read(findings, arguments(r#"{"sql":"drop"}"#)).is_err());
    }
}

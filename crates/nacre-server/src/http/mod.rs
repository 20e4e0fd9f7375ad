//! The HTTP face: v1, v2 and v3 of Nacos's APIs on the main port, below the context path.
//!
//! `table` declares what exists, `params` and `reply` are how requests are read and answers spelled, this file
//! dispatches. The handlers live in one file per generation and module; each parses, calls one core or service
//! method, and formats.

pub mod params;
pub mod reply;
pub mod router;
pub mod table;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use nacre_model::{NacosError, check, limits::HTTP_BODY};

use self::{
    params::{Params, Upload},
    reply::{Reply, container_error},
    table::{Check, Handler, Row},
};
use crate::app::App;

/// The rows of every module, in no particular order.
pub(crate) const AREAS: &[&[Row]] = &[];

/// One request as handlers see it.
#[derive(Debug)]
pub struct Ctx {
    pub method: Method,
    /// As requested, context path included.
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The socket's other end.
    pub peer: SocketAddr,
    pub params: Params,
    /// Values of `{name}` in the row's path.
    pub path: Vec<(String, String)>,
    /// The raw body (also when it was read as a form).
    pub body: Bytes,
}

impl Ctx {
    /// A header's text; not UTF-8 is absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Who asks: the first of `X-Forwarded-For`, else `X-Real-IP`, else the socket (spec/http-api.md 2).
    pub fn client_ip(&self) -> String {
        let forwarded = self.header("x-forwarded-for").and_then(|list| list.split(',').next()).map(str::trim);
        forwarded
            .filter(|ip| !ip.is_empty())
            .or_else(|| self.header("x-real-ip").map(str::trim).filter(|ip| !ip.is_empty()))
            .map_or_else(|| canonical(self.peer.ip()).to_string(), str::to_owned)
    }

    /// `User-Agent`, or if blank `Client-Version`.
    pub fn agent(&self) -> &str {
        self.header("user-agent")
            .filter(|agent| !agent.trim().is_empty())
            .or_else(|| self.header("client-version"))
            .unwrap_or("")
    }

    pub fn path_value(&self, name: &str) -> &str {
        self.path.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// IPv4 clients of a dual-stack socket are shown as IPv4.
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Answers one request. Never fails: whatever goes wrong has an answer.
pub async fn serve<B>(app: Arc<App>, peer: SocketAddr, request: Request<B>) -> Response<Full<Bytes>>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let origin = request.headers().get(header::ORIGIN).cloned();
    let head = request.method() == Method::HEAD;
    let mut response = answer(app, peer, request).await.into_response();
    if let Some(origin) = origin {
        allow_origin(response.headers_mut(), origin);
    }
    if head {
        let length = response.body().size_hint_exact();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        *response.body_mut() = Full::new(Bytes::new());
    }
    response
}

trait ExactSize {
    fn size_hint_exact(&self) -> u64;
}

impl ExactSize for Full<Bytes> {
    fn size_hint_exact(&self) -> u64 {
        http_body::Body::size_hint(self).lower()
    }
}

async fn answer<B>(app: Arc<App>, peer: SocketAddr, request: Request<B>) -> Reply
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (parts, body) = request.into_parts();
    if let Some(reply) = preflight(&parts.method, &parts.headers) {
        return reply;
    }
    let found = app.router.find(&parts.method, parts.uri.path());
    let (row, path) = match found {
        router::Found::Row(row, path) => (row, path),
        router::Found::WrongMethod { allowed } => {
            return wrong_method(&app, &parts.method, parts.uri.path(), &allowed);
        }
        router::Found::Nothing => return nothing_there(&app, &parts.method, parts.uri.path()),
    };
    let body = match Limited::new(body, HTTP_BODY as usize).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("the body is larger than {HTTP_BODY} bytes (limit HTTP_BODY)");
            return container_error(413, &text, parts.uri.path(), app.clock.now().wall);
        }
        Err(_) => return container_error(400, "the body did not arrive whole", parts.uri.path(), app.clock.now().wall),
    };
    let mut ctx = Ctx {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        peer,
        params: Params::default(),
        path,
        body,
    };
    match dispatch(app, row, &mut ctx).await {
        Ok(reply) => reply,
        Err(error) => reply::error(row.style, &error),
    }
}

async fn dispatch(app: Arc<App>, row: &'static Row, ctx: &mut Ctx) -> table::Answer {
    read_params(ctx).await?;
    if row.check != Check::Off
        && app.settings.param_check
        && let Err(text) = check_params(ctx, row.check)
    {
        return Ok(Reply::text(text)
            .status(400)
            .header("pragma", "no-cache")
            .header("cache-control", "no-cache,no-store"));
    }
    match row.handler {
        Handler::Now(handler) => handler(&app, ctx),
        Handler::Later(handler) => {
            let ctx = std::mem::replace(
                ctx,
                Ctx {
                    method: Method::GET,
                    uri: Uri::default(),
                    headers: HeaderMap::new(),
                    peer: ctx.peer,
                    params: Params::default(),
                    path: Vec::new(),
                    body: Bytes::new(),
                },
            );
            handler(app, ctx).await
        }
    }
}

async fn read_params(ctx: &mut Ctx) -> Result<(), NacosError> {
    if let Some(query) = ctx.uri.query() {
        let query = query.to_owned();
        ctx.params.add_urlencoded(query.as_bytes());
    }
    if ctx.body.is_empty() {
        return Ok(());
    }
    let content_type = ctx.header("content-type").unwrap_or("").to_owned();
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/x-www-form-urlencoded" {
        let body = ctx.body.clone();
        ctx.params.add_urlencoded(&body);
    } else if essence == "multipart/form-data" {
        read_multipart(ctx, &content_type).await?;
    }
    Ok(())
}

async fn read_multipart(ctx: &mut Ctx, content_type: &str) -> Result<(), NacosError> {
    let bad = |error: multer::Error| NacosError::invalid(format!("the multipart body cannot be read: {error}"));
    let boundary = multer::parse_boundary(content_type).map_err(bad)?;
    let body = ctx.body.clone();
    let stream = futures::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut multipart = multer::Multipart::new(stream, boundary);
    while let Some(field) = multipart.next_field().await.map_err(bad)? {
        let name = field.name().unwrap_or("").to_owned();
        match field.file_name().map(str::to_owned) {
            Some(file_name) => {
                let data = field.bytes().await.map_err(bad)?;
                ctx.params.uploads.push(Upload { name, file_name, data });
            }
            None => {
                let data = field.bytes().await.map_err(bad)?;
                ctx.params.push(name, String::from_utf8_lossy(&data).into_owned());
            }
        }
    }
    Ok(())
}

/// The parameter check by the names the reference's extractors accept (spec/http-api.md 7).
fn check_params(ctx: &Ctx, how: Check) -> Result<(), String> {
    let params = &ctx.params;
    let first = |names: &[&str]| names.iter().find_map(|name| params.non_blank(name));
    let service = first(&["serviceName", "serviceNameParam"]);
    let (grouped, bare) = match service.and_then(|name| name.split_once("@@")) {
        Some((group, name)) => (Some(group), Some(name)),
        None => (None, service),
    };
    let metadata = params.non_blank("metadata").and_then(|text| nacre_naming::parse_metadata(text).ok());
    let info = check::ParamInfo {
        namespace: first(&["namespaceId", "tenant", "namespace"]),
        data_id: first(&["dataId"]),
        group: first(&["group", "groupName", "groupNameParam"]).or(grouped.filter(|g| !g.is_empty())),
        service: bare,
        cluster: first(&["clusterName", "cluster"]).filter(|c| !c.contains(',')),
        clusters: first(&["clusters"]).or_else(|| first(&["clusterName"]).filter(|c| c.contains(','))),
        ip: first(&["ip"]),
        port: first(&["port", "checkPort"]),
        metadata: metadata.as_ref(),
        mcp_name: None,
    };
    check::check(&info, check::METADATA_LENGTH)?;
    if how == Check::Beat
        && let Some(beat) = params.non_blank("beat")
        && let Ok(beat) = serde_json::from_str::<serde_json::Value>(beat)
    {
        let text = |name: &str| beat.get(name).and_then(|v| v.as_str()).filter(|v| !v.trim().is_empty());
        let (group, name) = match text("serviceName").and_then(|name| name.split_once("@@")) {
            Some((group, name)) => (Some(group), Some(name)),
            None => (None, text("serviceName")),
        };
        let port = beat.get("port").map(|port| port.to_string());
        let info = check::ParamInfo {
            group,
            service: name,
            cluster: text("cluster"),
            ip: text("ip"),
            port: port.as_deref(),
            ..Default::default()
        };
        check::check(&info, check::METADATA_LENGTH)?;
    }
    Ok(())
}

/// CORS preflight: any origin, all methods and headers (spec/http-api.md 2).
fn preflight(method: &Method, headers: &HeaderMap) -> Option<Reply> {
    if method != Method::OPTIONS || !headers.contains_key("access-control-request-method") {
        return None;
    }
    let asked = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let mut reply = Reply::text(Bytes::new())
        .header("access-control-allow-methods", &asked("access-control-request-method"))
        .header("access-control-allow-headers", &asked("access-control-request-headers"))
        .header("access-control-max-age", "18000");
    reply.content_type = None;
    Some(reply)
}

fn allow_origin(headers: &mut HeaderMap, origin: http::HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, http::HeaderValue::from_static("true"));
    headers.append(header::VARY, http::HeaderValue::from_static("Origin"));
}

fn wrong_method(app: &App, method: &Method, path: &str, allowed: &[Method]) -> Reply {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let wall = app.clock.now().wall;
    container_error(405, &format!("Method '{method}' is not supported."), path, wall).header("allow", &names.join(","))
}

fn nothing_there(app: &App, method: &Method, path: &str) -> Reply {
    if app.router.below_context(path).is_some_and(|inner| inner.starts_with("/v1/ns/")) {
        return Reply::text(format!("no such api:{method}:{path}")).status(501);
    }
    container_error(404, "No message available", path, app.clock.now().wall)
}

//! The HTTP face: v1, v2 and v3 of Nacos's APIs on the main port, below the context path.
//!
//! `table` declares what exists, `params` and `reply` are how requests are read and answers spelled, `refuse` everything
//! that says no, `checks` the parameter check, this file dispatches. The handlers live in one file or folder per
//! generation and module; each parses, calls one core or service method, and formats.

mod accept;
pub mod actuator;
pub mod bind;
pub mod checks;
pub mod config;
pub mod core;
pub mod dates;
pub mod diagnosis;
mod discovery;
pub mod gone;
pub mod loader;
mod log_level;
mod login;
mod mcp;
pub mod multipart;
pub mod namespaces;
pub mod naming;
pub mod params;
mod past;
pub mod refuse;
pub mod reply;
mod root;
pub mod router;
pub mod state;
pub mod table;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use nacre_doctor::sightings::Source;
use nacre_model::{Cause, Event, Now, Subject};

use self::{
    accept::is_readable,
    params::Params,
    refuse::{Refusal, Site},
    reply::{Reply, Style, takes_json},
    router::Found,
    table::{Auth, Check, Generation, Handler, Row},
};
use crate::{app::App, doctor, long_line::LONG_QUERY, metrics};

/// The rows of every module, in no particular order.
pub(crate) const AREAS: &[&[Row]] = &[
    config::ROWS,
    namespaces::ROWS,
    state::ROWS,
    core::ROWS,
    loader::ROWS,
    log_level::ROWS,
    login::ROWS,
    actuator::ROWS,
    diagnosis::ROWS,
    mcp::ROWS,
    past::ROWS,
    discovery::ROWS,
    root::ROWS,
    naming::v1_instance::ROWS,
    naming::v1_api::ROWS,
    naming::v1_service::ROWS,
    naming::v1_operator::ROWS,
    naming::v1_catalog::ROWS,
    naming::v2_instance::ROWS,
    naming::v2_service::ROWS,
    naming::v3_client::ROWS,
    naming::v3_admin::ROWS,
    naming::v3_console::ROWS,
];

/// What proxies say of whom they ask for.
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What a head says to every call, found in one look at its few headers instead of one by one.
#[derive(Default)]
struct Heard {
    origin: Option<HeaderValue>,
    accept: Option<HeaderValue>,
    forwarded: bool,
    /// The query of a long line is among the headers.
    long_query: bool,
}

impl Heard {
    fn of(headers: &HeaderMap) -> Self {
        let mut heard = Self::default();
        for (name, value) in headers {
            if *name == header::ACCEPT {
                heard.accept.get_or_insert_with(|| value.clone());
            } else if *name == header::ORIGIN {
                heard.origin.get_or_insert_with(|| value.clone());
            } else if *name == FORWARDED_FOR || *name == REAL_IP {
                heard.forwarded = true;
            } else if *name == *LONG_QUERY {
                heard.long_query = true;
            }
        }
        heard
    }
}

/// The other end of a connection, kept as long as it is open.
#[derive(Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// What the doctor has seen of the address, once it was looked up.
    pub source: OnceLock<Arc<Source>>,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address, source: OnceLock::new() }
    }
}

/// One request as handlers see it.
#[derive(Debug)]
pub struct Ctx {
    pub method: Method,
    /// As requested, context path included.
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The socket's other end.
    pub peer: SocketAddr,
    /// Somebody between says who asks ([`Ctx::client_ip`]).
    pub forwarded: bool,
    /// When the request was there as a whole: for handlers that answer at once.
    pub now: Now,
    pub params: Params,
    /// Values of `{name}` in the row's path.
    pub path: Vec<(String, String)>,
    /// The raw body (also when it was read as a form).
    pub body: Bytes,
    /// What the parameter check parsed already.
    pub parsed: checks::Parsed,
}

impl Ctx {
    /// A header's text; not UTF-8 is absent.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Who asks: the first of `X-Forwarded-For`, else `X-Real-IP`, else the socket (spec/http-api.md 2).
    pub fn client_ip(&self) -> String {
        if !self.forwarded {
            return address_text(canonical(self.peer.ip()));
        }
        let forwarded = self.header(&FORWARDED_FOR).and_then(|list| list.split(',').next()).map(str::trim);
        forwarded
            .filter(|ip| !ip.is_empty())
            .or_else(|| self.header(&REAL_IP).map(str::trim).filter(|ip| !ip.is_empty()))
            .map_or_else(|| address_text(canonical(self.peer.ip())), str::to_owned)
    }

    /// [`Ctx::client_ip`] as an address; the socket's when that is none.
    pub fn client_address(&self) -> IpAddr {
        let named = self.forwarded.then(|| self.client_ip().parse().ok()).flatten();
        canonical(named.unwrap_or(self.peer.ip()))
    }

    /// `User-Agent`, or if blank `Client-Version`.
    pub fn agent(&self) -> &str {
        self.header(header::USER_AGENT)
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

/// As `to_string`, at a tenth of its cost for IPv4: every read of a config and every beat asks for it.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity(15);
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        let digit = |value: u8| char::from(b'0' + value % 10);
        if octet >= 100 {
            text.push(digit(octet / 100));
        }
        if octet >= 10 {
            text.push(digit(octet / 10));
        }
        text.push(digit(octet));
    }
    text
}

/// Answers one request. Never fails: whatever goes wrong has an answer.
pub async fn serve<B>(app: &Arc<App>, peer: &Peer, request: Request<B>) -> Response<Full<Bytes>>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let heard = Heard::of(request.headers());
    let head = request.method() == Method::HEAD;
    let method = request.method().clone();
    let mut met = Met { row: None, begun: Instant::now(), read: None };
    let inner = request.uri().path().strip_prefix(&*app.settings.context);
    let preset = inner.is_some_and(|inner| refuse::under(inner, "/v1/cs"));
    let shared = inner.is_none_or(is_shared);
    let span = app.traces.as_ref().and_then(|traces| traces.http(peer.address, &request));
    let reply = match &span {
        None => answer(app, peer, request, &heard, &mut met).await,
        // Boxed: nobody else's future grows by it.
        Some(span) => Box::pin(span.within(answer(app, peer, request, &heard, &mut met))).await,
    };
    let reply = reply.negotiated(heard.accept.as_ref(), preset);
    count(app, &met, &method, reply.status);
    if let Some(span) = span {
        span.answered(met.row.map(|row| format!("{}{}", app.settings.context, row.path)), reply.status);
    }
    let mut response = reply.into_response();
    if shared {
        cors(response.headers_mut(), heard.origin);
    }
    if head {
        let length = http_body::Body::size_hint(response.body()).lower();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        *response.body_mut() = Full::new(Bytes::new());
    }
    response
}

/// What is known of a request once it is answered.
struct Met {
    row: Option<&'static Row>,
    begun: Instant,
    /// When its body was there: what came before was its sender's time.
    read: Option<Instant>,
}

/// What a request costs goes to the metrics, under the pattern of its row.
fn count(app: &App, met: &Met, method: &Method, status: u16) {
    let row = met.row;
    let ended = Instant::now();
    let nanos = u64::try_from(ended.saturating_duration_since(met.begun).as_nanos()).unwrap_or(u64::MAX);
    let mono = app.clock.mono_at(ended);
    app.metrics.http(row, method, status, nanos, mono);
    if nanos >= metrics::LONG_NANOS {
        long(app, met, method, ended);
    }
    match row {
        Some(row) if row.module == "config" && row.auth == Auth::Write => {
            app.metrics.config.write_time.record(nanos, mono);
        }
        // A poll's time is its hold.
        Some(row) if row.module == "config" && method == Method::GET => {
            app.metrics.config.read_time.record(nanos, mono);
        }
        _ => {}
    }
}

/// An answer that took long is for the doctor if a client waited for it: not of polls, whose time is their hold, and not
/// what an administrator asked for.
#[cold]
fn long(app: &App, met: &Met, method: &Method, ended: Instant) {
    let of_clients = |row: &&Row| {
        matches!(row.module, "naming" | "config")
            && !matches!(row.generation, Generation::V3Admin | Generation::V3Console)
            && row.auth != Auth::Admin
            && !row.path.ends_with("/listener")
    };
    let Some(row) = met.row.filter(of_clients) else { return };
    let took = ended.saturating_duration_since(met.read.unwrap_or(met.begun));
    let durable = row.auth == Auth::Write && !row.path.ends_with("/beat");
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    app.metrics.slow.note(metrics::method_name(method), row.path, durable, nanos);
}

/// `met` becomes the row that was found, whatever it answers.
async fn answer<B>(app: &Arc<App>, from: &Peer, request: Request<B>, heard: &Heard, met: &mut Met) -> Reply
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (mut parts, body) = request.into_parts();
    let peer = from.address;
    let accept = heard.accept.as_ref().and_then(|value| value.to_str().ok());
    let uri = parts.uri.clone();
    let mut site = Site { uri: &uri, accept, clock: &app.clock, charset_preset: false };
    let Some(inner) = app.router.below_context(uri.path()) else {
        doctor::sighting::stray(app, peer.ip(), &parts);
        return refuse::web_server_page(404);
    };
    if inner.is_empty() {
        return to_context(&parts.headers, &uri);
    }
    if let Some(reply) = refuse::firewall(&parts.method, &site, inner.trim_start_matches('/').starts_with("v3/")) {
        return reply;
    }
    site.charset_preset = refuse::under(inner, "/v1/cs");
    if let Some(reply) = preflight(&parts.method, &parts.headers, inner, &site) {
        return reply;
    }
    let v1_naming = refuse::under(inner, "/v1/ns");
    if v1_naming && let Some(reply) = naming::gate::traffic(app, &parts.method, inner, &uri, &parts.headers) {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        doctor::sighting::refused(app, peer.ip(), agent.unwrap_or(""));
        return reply;
    }
    let (row, path) = match app.router.find(&parts.method, inner) {
        // The naming filters of 1.x and 2.x know no HEAD.
        Found::Row(..) if parts.method == Method::HEAD && v1_naming => {
            return refuse::no_such_api(&parts.method, &site);
        }
        Found::Row(row, path) => (row, path),
        Found::WrongMethod(rows) => {
            doctor::sighting::wrong_method(app, peer.ip(), &parts, inner, rows);
            return refuse::wrong_method(&parts.method, inner, rows, &site);
        }
        Found::Nothing => {
            doctor::sighting::stray(app, peer.ip(), &parts);
            return refuse::nothing_there(&parts.method, inner, &site);
        }
    };
    met.row = Some(row);
    let body = match whole(body, app.settings.max_body).await {
        Ok(body) => body,
        Err(error) if error.is::<LengthLimitError>() => {
            let max = app.settings.max_body;
            let cause = Cause::LimitHit { limit: "nacre.http.max-body".to_owned(), value: max as u64 };
            let subject = Subject::client(&peer.ip().to_canonical().to_string());
            app.journal.record(Event::new(app.clock.now(), subject, cause));
            return site.error(413, &format!("the body is larger than {max} bytes (nacre.http.max-body)"));
        }
        Err(_) => return site.error(400, "the body did not arrive whole"),
    };
    if !body.is_empty() {
        met.read = Some(Instant::now());
    }
    let mut params = Params::default();
    if heard.long_query
        && let Some(query) = parts.headers.remove(&*LONG_QUERY)
    {
        params.add_urlencoded(query.as_bytes());
    }
    let ctx = Ctx {
        method: parts.method,
        uri: parts.uri,
        forwarded: heard.forwarded,
        headers: parts.headers,
        peer,
        now: app.clock.now_at(met.read.unwrap_or(met.begun)),
        params,
        path,
        body,
        parsed: checks::Parsed::default(),
    };
    let reply = match dispatch(app, row, from, ctx).await {
        Ok(reply) => reply,
        Err(refusal) => {
            if let (Refusal::Nacos(error), "config") = (&refusal, row.module) {
                app.metrics.exceptions.note(error);
            }
            // The reference's handler of refusals fails, too, when its `Result` is not accepted.
            if row.style == Style::Api && accept.is_some_and(|accept| !takes_json(accept) && is_readable(accept)) {
                return refusal.into_page(&site, row.generation.is_third());
            }
            refusal.into_reply(row.style, &site)
        }
    };
    let Some(accept) = accept.filter(|_| row.generation != Generation::Other) else { return reply };
    if reply.is_negotiable() && !is_readable(accept) {
        return accept::unreadable(row, &reply, &site);
    }
    if reply.is_acceptable(Some(accept)) {
        return reply;
    }
    accept::not_acceptable(row, &site)
}

async fn whole<B>(body: B, max: usize) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    Ok(Box::pin(Limited::new(body, max).collect()).await?.to_bytes())
}

async fn dispatch(app: &Arc<App>, row: &'static Row, from: &Peer, mut ctx: Ctx) -> table::Answer {
    let watched = naming::refused::is_watched(row);
    let before = prepare(app, row, &mut ctx).await;
    doctor::sighting::http(app, row, from, &ctx);
    if let Some(answer) = before.transpose() {
        if watched {
            naming::refused::note(app, row, naming::refused::measured(&ctx), &answer);
        }
        return answer;
    }
    let answer = match row.handler {
        Handler::Now(handler) => handler(app, &ctx),
        Handler::Step(handler) => match handler(app, &ctx) {
            Ok(step) => step.finish(app).await,
            Err(refusal) => Err(refusal),
        },
        Handler::Soon(handler, _) if let Some(answer) = handler(app, &ctx) => answer,
        Handler::Soon(_, handler) | Handler::Later(handler) => {
            let about = watched.then(|| naming::refused::measured(&ctx));
            let answer = handler(Arc::clone(app), ctx).await;
            if let Some(about) = about {
                naming::refused::note(app, row, about, &answer);
            }
            return answer;
        }
    };
    if naming::refused::is_refusal(&answer) {
        if watched {
            naming::refused::note(app, row, naming::refused::measured(&ctx), &answer);
        }
        doctor::sighting::registration_by_get(app, row, &ctx);
    }
    answer
}

/// Reads the parameters and checks them; an answer here is given instead of the handler's.
async fn prepare(app: &App, row: &'static Row, ctx: &mut Ctx) -> Result<Option<Reply>, Refusal> {
    if multipart::is_without_boundary(ctx.header(header::CONTENT_TYPE).unwrap_or("")) {
        return refuse::no_boundary(row.generation).map(Some);
    }
    read_params(ctx).await?;
    note_broken(app, row, ctx);
    // 2.x binds its forms so, and 3.x all parameters.
    let form = row.generation == Generation::V2 && matches!(ctx.method, Method::POST | Method::PUT);
    if form || row.generation.is_third() {
        ctx.params.take_lists();
    }
    ctx.params.join_repeated();
    let live = app.live();
    live.compatibility.check(&ctx.method, row, &ctx.params)?;
    if row.module == "naming" && row.generation == Generation::V1 {
        naming::gate::group_service_name(&mut ctx.params)?;
        ctx.params.set_repeated_apart();
    }
    // The check is found by the method of the handler, and none is for HEAD.
    if row.check == Check::Off || ctx.method == Method::HEAD || !live.param_check {
        return Ok(None);
    }
    checks::check_params(ctx, row, app.settings.metadata_length)
}

/// A parameter that does not count will be missed, and the answer does not say why it is not there.
fn note_broken(app: &App, row: &Row, ctx: &Ctx) {
    if ctx.params.broken().is_empty() {
        return;
    }
    let names: Vec<String> = ctx.params.broken().iter().map(|name| name.chars().take(40).collect()).collect();
    let reason = format!("a broken escape in {}, which does not count: probably not url-encoded", names.join(", "));
    let cause = Cause::Suspicious { call: format!("reading the parameters of {}", row.path), reason };
    app.journal.record(Event::new(app.clock.now(), Subject::client(&ctx.client_ip()), cause));
}

async fn read_params(ctx: &mut Ctx) -> Result<(), Refusal> {
    if let Some(query) = ctx.uri.query() {
        ctx.params.add_urlencoded(query.as_bytes());
    }
    // A GET has no form, whatever its body says.
    if ctx.body.is_empty() || matches!(ctx.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let content_type = ctx.header("content-type").unwrap_or("").to_owned();
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/x-www-form-urlencoded" {
        ctx.params.add_urlencoded(&ctx.body);
    } else if essence.starts_with("multipart/") {
        // Boxed, as all that few requests wait for: the future of a request is moved about, and all of it.
        Box::pin(multipart::read(&mut ctx.params, &content_type, ctx.body.clone())).await?;
    }
    Ok(())
}

/// The context path without its slash leads to the one with it.
fn to_context(headers: &HeaderMap, uri: &Uri) -> Reply {
    let host =
        headers.get(header::HOST).and_then(|host| host.to_str().ok()).or_else(|| uri.authority().map(|a| a.as_str()));
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("http://{}{}/{query}", host.unwrap_or("localhost"), uri.path());
    Reply::empty(302).header("location", &location)
}

/// Whether pages of other origins may call this path: all of 1.x and 2.x, and the console of 3.x. The main port of 3.x
/// is closed to them.
fn is_shared(inner: &str) -> bool {
    !refuse::under(inner, "/v3") || refuse::under(inner, "/v3/console")
}

/// CORS preflight: any origin, all methods and headers (spec/http-api.md 2) where paths are shared.
fn preflight(method: &Method, headers: &HeaderMap, inner: &str, site: &Site<'_>) -> Option<Reply> {
    if method != Method::OPTIONS {
        return None;
    }
    let asked = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let origin = headers.get(header::ORIGIN)?;
    let wanted = asked("access-control-request-method")?;
    if !is_shared(inner) {
        let own = asked("host").is_some_and(|host| origin.as_bytes() == format!("http://{host}").as_bytes());
        if own {
            return Some(Reply::empty(200).header("allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH"));
        }
        let mut reply = Reply::empty(403);
        reply.body = Bytes::from_static(b"Invalid CORS request");
        return Some(reply);
    }
    let mut reply = Reply::empty(200).header("access-control-allow-methods", &wanted);
    if let Some(wanted) = asked("access-control-request-headers") {
        let names: Vec<&str> = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if !names.is_empty() {
            reply = reply.header("access-control-allow-headers", &names.join(", "));
        }
    }
    if site.charset_preset {
        reply = reply.typed(reply::JSON_UTF8);
    }
    reply.protected = false;
    Some(reply.fixed("access-control-max-age", "18000"))
}

fn cors(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    const VARY: HeaderValue =
        HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    headers.insert(header::VARY, VARY);
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_everywhere() {
        for text in ["0.0.0.0", "9.10.99.100", "127.0.0.1", "255.249.200.101", "::1", "2001:db8::7"] {
            assert_eq!(address_text(text.parse().expect("an address")), text);
        }
    }
}

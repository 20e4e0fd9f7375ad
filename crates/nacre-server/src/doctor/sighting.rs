//! What an address is seen doing, by the row of the request.

use std::{net::IpAddr, sync::Arc};

use http::Method;
use nacre_config::KeyRef;
use nacre_doctor::{
    asked::Sought,
    callers::Call,
    partings::Parting,
    sightings::{Act, Ended, How, Source},
};
use nacre_model::{ConfigKey, Now, ServiceKey, event::Disconnect};

use crate::{
    app::App,
    grpc::connections::Connection,
    http::{
        Ctx, Peer,
        table::{Auth, Generation, Row},
    },
};

/// An HTTP request with its parameters read.
pub fn http(app: &App, row: &Row, from: &Peer, ctx: &Ctx) {
    if !app.doctor.is_on() {
        return;
    }
    let (sightings, now) = (&app.doctor.sightings, ctx.now);
    match from.source.get() {
        Some(source) if !ctx.forwarded => seen(app, row, ctx, source),
        _ => sightings.with(ctx.client_address(), now, |source| {
            seen(app, row, ctx, source);
            // Not of the address that stands for all those beyond the limit.
            if source.address == from.address.ip().to_canonical() {
                let _ = from.source.set(Arc::clone(source));
            }
        }),
    }
    if row.module == "naming" {
        hand(app, row, ctx, now);
    }
    if !ctx.parsed.namespace {
        blank_namespace(app, row, ctx, now);
    }
}

fn seen(app: &App, row: &Row, ctx: &Ctx, source: &Source) {
    let (act, now) = (http_act(row, ctx), ctx.now);
    let first = source.saw(act, now);
    let Some(act) = publishing(act, row, ctx) else {
        // Who asks many times a millisecond has said who it is.
        if first {
            source.agent(ctx.agent());
        }
        return;
    };
    let agent = ctx.agent();
    source.agent(agent);
    if let (Some(ip), Some(port)) = (ctx.params.non_blank("ip"), ctx.params.non_blank("port"))
        && ip.len() + port.len() < 300
    {
        let ip = ip.trim_start_matches('[').trim_end_matches(']');
        let call = Call { act, address: ctx.client_address(), agent, at: now.wall };
        app.doctor.sightings.callers.note(ip, port, call, || source.shared_agent(agent));
    }
}

/// Whether an instance comes or goes by this call; operators register, too.
fn publishing(act: Act, row: &Row, ctx: &Ctx) -> Option<Act> {
    match act {
        Act::Register | Act::Deregister => Some(act),
        Act::Admin if ctx.method == Method::POST && row.module == "naming" && row.path.ends_with("/instance") => {
            Some(Act::Register)
        }
        _ => None,
    }
}

/// A namespace with a blank at an end never is the one that was meant, and the call is refused before its handler sees it.
fn blank_namespace(app: &App, row: &Row, ctx: &Ctx, now: Now) {
    let Some(given) = ctx.params.non_blank("tenant").or_else(|| ctx.params.non_blank("namespaceId")) else { return };
    if given.trim() == given || given.len() > 128 || !matches!(row.module, "naming" | "config") {
        return;
    }
    let about = crate::http::naming::refused::about(ctx);
    let sought = match (about.config, about.service) {
        (Some(key), _) => Sought::Config(ConfigKey::of(given.into(), key.group.clone(), key.data_id.clone())),
        (None, Some(key)) => {
            Sought::Service(ServiceKey::of(given.into(), key.group.clone(), key.name.clone()), "".into())
        }
        (None, None) => return,
    };
    app.doctor.sightings.asked.note(sought, ctx.client_address(), ctx.agent(), false, now);
}

/// Who edits an instance's operator record.
fn hand(app: &App, row: &Row, ctx: &Ctx, now: Now) {
    let edits = matches!(ctx.method, Method::PUT | Method::PATCH);
    if !edits || row.path.ends_with("/beat") || !row.path.contains("/instance") {
        return;
    }
    let about = crate::http::naming::refused::about(ctx);
    if let (Some(service), Some(identity)) = (&about.service, about.instance_text()) {
        app.doctor.sightings.hands.edited(service, &identity, ctx.client_address(), ctx.agent(), now);
    }
}

/// A read of a config found none.
pub fn no_config(app: &App, ctx: &Ctx, key: KeyRef<'_>) {
    if !app.doctor.is_on() {
        return;
    }
    let sought = Sought::Config(key.to_key());
    app.doctor.sightings.asked.note(sought, ctx.client_address(), ctx.agent(), false, app.clock.now());
}

/// A list of a service was empty.
pub fn no_instances(app: &App, ctx: &Ctx, service: &ServiceKey, clusters: &str) {
    if !app.doctor.is_on() {
        return;
    }
    let sought = Sought::Service(service.clone(), clusters.into());
    app.doctor.sightings.asked.note(sought, ctx.client_address(), ctx.agent(), false, app.clock.now());
}

/// The same over gRPC; a subscription stands until it is taken back.
pub fn nothing_found(app: &App, connection: &Connection, sought: Sought, standing: bool) {
    if !app.doctor.is_on() {
        return;
    }
    let named = connection.client_ip.parse::<IpAddr>();
    let address = named.unwrap_or_else(|_| connection.peer.remote.ip()).to_canonical();
    app.doctor.sightings.asked.note(sought, address, &connection.version, standing, app.clock.now());
}

/// A request that was turned away before it was read.
pub fn refused(app: &App, peer: IpAddr, agent: &str) {
    if !app.doctor.is_on() {
        return;
    }
    let now = app.clock.now();
    let source = app.doctor.sightings.of(peer.to_canonical(), now);
    source.saw(Act::Refused, now);
    source.agent(agent);
}

fn agent_of(parts: &http::request::Parts) -> &str {
    parts.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("")
}

/// A request that no row has: below another context path, or of an SDK that expects another server.
pub fn stray(app: &App, peer: IpAddr, parts: &http::request::Parts) {
    if !app.doctor.is_on() {
        return;
    }
    let agent = agent_of(parts);
    let (path, peer, now) = (parts.uri.path(), peer.to_canonical(), app.clock.now());
    let strays = &app.doctor.sightings.strays;
    match app.router.other_context(path) {
        Some(given) => strays.context(given, path, peer, agent, now),
        None if agent.starts_with("Nacos-") => strays.http(parts.method.as_str(), path, peer, agent, now),
        None => {}
    }
}

/// A request whose path has rows, none of its method.
pub fn wrong_method(app: &App, peer: IpAddr, parts: &http::request::Parts, inner: &str, rows: &[&Row]) {
    // What browsers and monitors try is no client's mistake.
    if !app.doctor.is_on() || matches!(parts.method, http::Method::OPTIONS | http::Method::HEAD) {
        return;
    }
    let agent = agent_of(parts);
    let mut allowed: Vec<&str> = rows.iter().flat_map(|row| row.methods).map(http::Method::as_str).collect();
    allowed.sort_unstable();
    allowed.dedup();
    let (query, now) = (parts.uri.query().unwrap_or(""), app.clock.now());
    let strays = &app.doctor.sightings.strays;
    strays.method(parts.method.as_str(), inner, query, &allowed.join(", "), peer.to_canonical(), agent, now);
}

/// A look-up of an instance that is not there, with what only a registration has: its address was typed into a browser, or
/// `curl` sent it without `-X POST` (alibaba/nacos #10949).
pub fn registration_by_get(app: &App, row: &Row, ctx: &Ctx) {
    const OF_REGISTRATIONS: [&str; 5] = ["weight", "healthy", "enabled", "enable", "metadata"];
    let looks_up = ctx.method == Method::GET && row.path.ends_with("/ns/instance");
    if !app.doctor.is_on() || !looks_up || !OF_REGISTRATIONS.iter().any(|name| ctx.params.non_blank(name).is_some()) {
        return;
    }
    let named = ["serviceName", "ip", "port"].map(|name| format!("{name}={}", ctx.params.or(name, "")));
    let (query, now) = (named.join("&"), app.clock.now());
    app.doctor.sightings.strays.method("GET", row.path, &query, "POST", ctx.client_address(), ctx.agent(), now);
}

/// A gRPC request of a type that this server does not have.
pub fn unknown_request(app: &App, peer: IpAddr, agent: &str, request: &str) {
    if !app.doctor.is_on() {
        return;
    }
    app.doctor.sightings.strays.grpc(request, peer.to_canonical(), agent, app.clock.now());
}

fn http_act(row: &Row, ctx: &Ctx) -> Act {
    match (row.module, row.generation, row.auth) {
        (_, Generation::V3Admin | Generation::V3Console, _) | (_, _, Auth::Admin) => Act::Admin,
        ("auth", ..) => Act::Login,
        ("config", _, auth) => match ctx.method {
            _ if row.path.ends_with("/listener") => Act::ConfigListen,
            Method::GET | Method::HEAD => Act::ConfigRead,
            _ if auth == Auth::Write => Act::ConfigPublish,
            _ => Act::OtherHttp,
        },
        ("naming", generation, auth) => naming_act(row.path, generation, auth, ctx),
        _ => Act::OtherHttp,
    }
}

fn naming_act(path: &str, generation: Generation, auth: Auth, ctx: &Ctx) -> Act {
    if path.ends_with("/beat") {
        return Act::Beat;
    }
    if path.ends_with("/instance") && auth == Auth::Write {
        let beat = generation == Generation::V3Client && ctx.params.get("heartBeat") == Some("true");
        return match ctx.method {
            Method::POST if beat => Act::Beat,
            Method::POST => Act::Register,
            Method::DELETE => Act::Deregister,
            _ => Act::OtherHttp,
        };
    }
    if path.ends_with("/list") && auth == Auth::Read { Act::ServiceQuery } else { Act::OtherHttp }
}

/// A unary gRPC request; `source` is its connection's.
pub fn grpc(source: &Source, request: &str, now: Now) {
    source.saw(grpc_act(request), now);
}

fn grpc_act(request: &str) -> Act {
    match request {
        // What keeps a connection alive says nothing about what the client does; most frequent, hence first.
        "HealthCheckRequest" => Act::OtherGrpc,
        "ConfigQueryRequest" => Act::ConfigRead,
        "ConfigBatchListenRequest" | "ConfigFuzzyWatchRequest" => Act::ConfigListen,
        "ConfigPublishRequest" | "ConfigRemoveRequest" => Act::ConfigPublish,
        "ServiceQueryRequest" | "ServiceListRequest" => Act::ServiceQuery,
        "SubscribeServiceRequest" | "NamingFuzzyWatchRequest" => Act::Subscribe,
        "InstanceRequest" | "BatchInstanceRequest" | "PersistentInstanceRequest" => Act::Register,
        _ => Act::OtherGrpc,
    }
}

/// A registered connection is over.
pub fn parted(app: &App, source: &Source, connection: &Connection, cause: &Disconnect) {
    use Disconnect as D;
    let now = app.clock.now();
    if app.doctor.is_on() && connection.is_naming() && *cause != D::ServerShutdown {
        app.doctor.sightings.partings.note(parting(app, connection));
    }
    let how = match cause {
        D::ClosedByClient | D::ResetByPeer | D::StreamEnded | D::Unreachable | D::ProtocolError { .. } => How::Theirs,
        D::DetectionUnanswered { .. }
        | D::OverLimit
        | D::ServerShutdown
        | D::Reloaded
        | D::PushUnacknowledged { .. } => How::Ours,
    };
    source.closed(Ended { at: now, lived_ms: now.mono.saturating_sub(connection.created.mono), how });
}

/// Who it was, for those who come after it. What it asked for matters only of those that published.
fn parting(app: &App, connection: &Connection) -> Parting {
    let id = connection.id();
    let publishes = app.naming.client_publications(id).is_ok_and(|published| !published.is_empty());
    let subscriptions = if publishes { app.naming.client_subscriptions(id).ok() } else { None };
    Parting {
        id: Arc::clone(id),
        agent: Arc::clone(&connection.version),
        app: Arc::clone(&connection.app),
        interests: subscriptions.map(|all| all.iter().map(|subscriber| &subscriber.service).collect()),
    }
}

/// A connection was set up. A client behind a proxy is known by the address it gives as well.
pub fn connected(app: &App, source: &Arc<Source>, claimed: &str, agent: &str, now: Now) {
    source.opened();
    source.saw(Act::Connect, now);
    source.agent(agent);
    if let Ok(claimed) = claimed.parse::<IpAddr>()
        && claimed.to_canonical() != source.address
    {
        source.claims(&claimed.to_canonical().to_string());
        let other = app.doctor.sightings.of(claimed.to_canonical(), now);
        other.saw(Act::Connect, now);
        other.agent(agent);
    }
}

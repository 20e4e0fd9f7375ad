//! The pipeline in front of every handler, in the reference's order (Nacos 3.1 `GrpcRequestAcceptor`): the first step
//! that fails answers, and it matters to clients whether the answer is an `ErrorResponse` (they retry and reconnect) or
//! of the request's own response type (the caller sees it).

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use nacre_doctor::sightings::Act;
use nacre_model::{Cause, ErrorCode, Event, NacosError, Now, Subject, check};
use nacre_wire::grpc::{
    Envelope, Payload,
    connection::ServerCheckResponse,
    envelope::{Nothing, answer as json, answer_members},
    lenient::parse,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    connections::Connection,
    table::{self, Answering, Kind, Row},
    transport::Transport,
};
use crate::{app::App, doctor::sighting};

/// Answers of this code wait for [`SLOW_DOWN`], so that clients that try again at once do not make it worse.
const OVER_THRESHOLD: i32 = 503;
/// Answered to calls over a connection without a set-up.
const UNREGISTERED: i32 = 301;
const SLOW_DOWN: Duration = Duration::from_secs(1);

/// A request on its way to a handler.
pub struct Call<'a> {
    pub app: &'a Arc<App>,
    pub connection: &'a Arc<Connection>,
    pub payload: &'a Payload,
    /// When it came: every reading of the clocks costs about as much as finding a service.
    pub now: Now,
}

impl Call<'_> {
    /// A header: what the metadata says, else the body. Names ignore case.
    pub fn header<'h>(
        &'h self,
        body: Option<&'h std::collections::BTreeMap<String, String>>,
        name: &str,
    ) -> Option<&'h str> {
        let metadata = self.payload.metadata.as_ref().map(|metadata| &metadata.headers);
        let find = |headers: &'h std::collections::BTreeMap<String, String>| {
            headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
        };
        metadata.and_then(find).or_else(|| body.and_then(find))
    }
}

/// What a request type does. [`run`] puts it behind the steps that depend on its body.
pub trait Operation: DeserializeOwned + Send + Sync {
    /// Type name of the answer.
    const RESPONSE: &'static str;
    /// Fields of the answer besides the envelope.
    type Fields: Serialize + Default;

    /// The namespace it is about, as the client wrote it; `None` when it names none.
    fn namespace(&self) -> Option<&str> {
        None
    }

    /// What it is about, for the journal when it is refused.
    fn subject(&self) -> Subject {
        Subject::default()
    }

    /// How large the metadata are that it registers, as their limit counts.
    fn metadata_size(&self) -> usize {
        0
    }

    /// The parameter check of what it says.
    fn check(&self, metadata_length: usize) -> Result<(), String>;

    /// Does it. An error is answered as the reference answers a thrown exception.
    fn run(&self, call: &Call<'_>) -> impl Future<Output = Result<Reply, NacosError>> + Send;
}

/// A handler's answer: envelope and fields as JSON.
#[derive(Debug)]
pub struct Reply {
    body: Bytes,
    /// `errorCode`, for the metrics.
    code: i32,
    /// Why a write was refused.
    reason: Option<String>,
}

impl Reply {
    pub fn new<T: Serialize>(envelope: &Envelope, fields: &T) -> Self {
        Self { body: json(envelope, fields), code: envelope.error_code, reason: None }
    }

    /// Of fields that are JSON text already.
    pub fn ready_made(envelope: &Envelope, members: &[u8]) -> Self {
        Self { body: answer_members(envelope, members), code: envelope.error_code, reason: None }
    }

    /// A success whose whole body was made before.
    pub fn kept(body: Bytes) -> Self {
        Self { body, code: 0, reason: None }
    }

    pub fn ok<T: Serialize>(fields: &T) -> Self {
        Self::new(&Envelope::ok(), fields)
    }

    /// A failure of the request's own response type; other fields have their defaults.
    pub fn typed<T: Serialize + Default>(code: i32, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason: Some(message.clone()), ..Self::new(&Envelope::fail(code, message), &T::default()) }
    }
}

/// What goes back, and its `errorCode`.
pub struct Answered {
    payload: Payload,
    code: i32,
}

fn error_response(envelope: &Envelope) -> Answered {
    Answered { payload: Payload::answer("ErrorResponse", json(envelope, &Nothing {})), code: envelope.error_code }
}

/// Answers one unary call.
pub(super) async fn answer(transport: &Transport, payload: Payload) -> Payload {
    let began = Instant::now();
    let now = transport.app.clock.now_at(began);
    let _under_way = transport.app.metrics.calls.begin();
    let row = table::find(payload.type_name());
    let (app, peer) = (&transport.app, &transport.peer);
    let span = app.traces.as_ref().and_then(|traces| traces.grpc(&peer.id, peer.remote, &payload));
    let Answered { payload, code } = match &span {
        None => pass(transport, row, payload, now).await,
        // Boxed: nobody else's future grows by it.
        Some(span) => Box::pin(span.within(pass(transport, row, payload, now))).await,
    };
    let (name, module) = row.map_or(("unknown", "unknown"), |row| (row.name, row.module));
    if let Some(span) = span {
        span.replied(name, module, code);
    }
    let ended = Instant::now();
    let nanos = ended.saturating_duration_since(began).as_nanos() as u64;
    let mono = app.clock.mono_at(ended);
    if code == UNREGISTERED && transport.connection().is_none() {
        transport.source.saw(Act::Unregistered, now);
    } else if app.doctor.is_on() {
        sighting::grpc(&transport.source, name, now);
    }
    transport.app.metrics.grpc(name, module, code, nanos, mono);
    // Some refusals wait on purpose.
    if code != OVER_THRESHOLD {
        let durable = matches!(name, "ConfigPublishRequest" | "ConfigRemoveRequest" | "PersistentInstanceRequest");
        app.metrics.slow.note("", name, durable, nanos);
    }
    count_config(transport, row, nanos, mono);
    payload
}

/// The reference's own figures of config calls; listening counts as reading.
fn count_config(transport: &Transport, row: Option<&'static Row>, nanos: u64, mono: u64) {
    let figures = &transport.app.metrics.config;
    let wall = || transport.app.clock.now().wall;
    match row.map(|row| row.name) {
        Some("ConfigQueryRequest") => {
            figures.read.add(wall());
            figures.read_time.record(nanos, mono);
        }
        Some("ConfigBatchListenRequest" | "ConfigRemoveRequest") => figures.read.add(wall()),
        Some("ConfigPublishRequest") => {
            figures.published.add(wall());
            figures.write_time.record(nanos, mono);
        }
        _ => {}
    }
}

async fn pass(transport: &Transport, row: Option<&'static Row>, payload: Payload, now: Now) -> Answered {
    let name = payload.type_name();
    if row.is_some_and(|row| matches!(row.kind, Kind::ClusterOnly)) {
        return error_response(&Envelope::fail(502, format!(" invoke {name} from sdk is forbidden")));
    }
    if transport.app.is_starting() {
        return error_response(&Envelope::fail(300, "Server is starting,please try later."));
    }
    let handler = match row.map(|row| &row.kind) {
        Some(Kind::ServerCheck) => {
            let fields = ServerCheckResponse { connection_id: &transport.peer.id, support_ability_negotiation: true };
            let body = json(&Envelope::ok(), &fields);
            return Answered { payload: Payload::answer("ServerCheckResponse", body), code: 0 };
        }
        Some(Kind::Handler(handler)) => handler,
        None if !name.is_empty() => {
            let agent = transport.connection().map_or("", |connection| &*connection.version);
            sighting::unknown_request(&transport.app, transport.peer.remote.ip(), agent, name);
            return error_response(&Envelope::fail(302, "RequestHandler Not Found"));
        }
        Some(Kind::ClusterOnly) | None => return error_response(&Envelope::fail(302, "RequestHandler Not Found")),
    };
    let Some(connection) = transport.connection() else {
        return error_response(&Envelope::fail(UNREGISTERED, "Connection is unregistered."));
    };
    handler(Call { app: &transport.app, connection, payload: &payload, now }).await
}

/// The steps that depend on the body: reading it, noting the client's activity, the parameter check, the handler.
pub(super) fn run<O: Operation>(call: Call<'_>) -> Answering<'_> {
    Box::pin(async move {
        let operation = match parse::<O>(call.payload.json()) {
            Ok(operation) => operation,
            Err(text) => return error_response(&Envelope::fail(502, text)),
        };
        call.connection.touch(call.now);
        if let Some(text) = unknown_namespace(call.app, &operation) {
            refused(&call, operation.subject(), ErrorCode::NAMESPACE_NOT_EXIST.code, &text);
            return typed::<O>(ErrorCode::NAMESPACE_NOT_EXIST.code, text);
        }
        if call.app.live().param_check
            && let Err(text) = operation.check(call.app.settings.metadata_length)
        {
            let message = format!("Param check invalid:{text}");
            let sized = match operation.metadata_size() {
                size if text.starts_with(check::METADATA) => format!("{message} It has {size}."),
                _ => message.clone(),
            };
            refused(&call, operation.subject(), 400, &sized);
            return typed::<O>(400, message);
        }
        match operation.run(&call).await {
            Ok(Reply { body, code, reason }) => {
                if let Some(reason) = reason {
                    refused(&call, operation.subject(), code, &reason);
                }
                if code == OVER_THRESHOLD {
                    tokio::time::sleep(SLOW_DOWN).await;
                }
                Answered { payload: Payload::answer(O::RESPONSE, body), code }
            }
            Err(error) => {
                let message = error.client_text();
                refused(&call, operation.subject(), error.status, &message);
                error_response(&Envelope::thrown(error.status, message))
            }
        }
    })
}

/// A failure of the operation's own response type, before it ran.
fn typed<O: Operation>(code: i32, message: String) -> Answered {
    let body = json(&Envelope::fail(code, message), &O::Fields::default());
    Answered { payload: Payload::answer(O::RESPONSE, body), code }
}

/// With `nacos.core.namespace.validation.enabled`: why a namespace that nobody created is refused (Nacos 3.1).
fn unknown_namespace<O: Operation>(app: &App, operation: &O) -> Option<String> {
    if !app.live().rules.namespace_must_exist {
        return None;
    }
    let namespace = operation.namespace().filter(|name| !app.configs.namespace_exists(name))?;
    Some(format!("Namespace '{namespace}' does not exist. Please create the namespace first."))
}

/// Longest text of a client's that the journal keeps.
const KEPT: usize = 300;

/// As much of a text as the journal keeps.
pub fn short(text: &str) -> String {
    text.chars().take(KEPT).collect()
}

/// What was refused, by whom it was asked, and why: for the journal.
fn refused(call: &Call<'_>, subject: Subject, code: i32, reason: &str) {
    let cause = Cause::Refused { call: call.payload.type_name().to_owned(), code, reason: short(reason) };
    let subject = subject.with_client(call.connection.id());
    call.app.effects.event(Event::new(call.app.clock.now(), subject, cause));
}

/// The default limit, for tests.
#[cfg(test)]
pub(super) const DEFAULT_METADATA: usize = nacre_model::check::METADATA_LENGTH;

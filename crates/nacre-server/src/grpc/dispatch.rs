//! The pipeline in front of every handler, in the reference's order (Nacos 3.1 `GrpcRequestAcceptor`): the first step
//! that fails answers, and it matters to clients whether the answer is an `ErrorResponse` (they retry and reconnect) or
//! of the request's own response type (the caller sees it).

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use nacre_model::{Cause, Event, NacosError, Subject};
use nacre_wire::grpc::{
    Envelope, Payload,
    connection::ServerCheckResponse,
    envelope::{Nothing, answer as json},
    lenient::parse,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    connections::Connection,
    table::{self, Answering, Kind},
    transport::Transport,
};
use crate::app::App;

/// A request on its way to a handler.
pub struct Call<'a> {
    pub app: &'a Arc<App>,
    pub connection: &'a Arc<Connection>,
    pub payload: &'a Payload,
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
pub trait Operation: DeserializeOwned + Send {
    /// Type name of the answer.
    const RESPONSE: &'static str;
    /// Fields of the answer besides the envelope.
    type Fields: Serialize + Default;

    /// The parameter check of what it says.
    fn check(&self, metadata_length: usize) -> Result<(), String>;

    /// Does it. An error is answered as the reference answers a thrown exception.
    fn run(self, call: &Call<'_>) -> impl Future<Output = Result<Reply, NacosError>> + Send;
}

/// A handler's answer: envelope and fields as JSON.
#[derive(Debug)]
pub struct Reply(pub Bytes);

impl Reply {
    pub fn ok<T: Serialize>(fields: &T) -> Self {
        Self(json(&Envelope::ok(), fields))
    }

    /// A failure of the request's own response type; other fields have their defaults.
    pub fn typed<T: Serialize + Default>(code: i32, message: impl Into<String>) -> Self {
        Self(json(&Envelope::fail(code, message), &T::default()))
    }
}

fn error_response(envelope: &Envelope) -> Payload {
    Payload::answer("ErrorResponse", json(envelope, &Nothing {}))
}

/// Answers one unary call.
pub(super) async fn answer(transport: &Transport, payload: Payload) -> Payload {
    let name = payload.type_name();
    let row = table::find(name);
    if row.is_some_and(|row| matches!(row.kind, Kind::ClusterOnly)) {
        return error_response(&Envelope::fail(502, format!(" invoke {name} from sdk is forbidden")));
    }
    if transport.app.is_starting() {
        return error_response(&Envelope::fail(300, "Server is starting,please try later."));
    }
    let handler = match row.map(|row| &row.kind) {
        Some(Kind::ServerCheck) => {
            let fields = ServerCheckResponse { connection_id: &transport.peer.id, support_ability_negotiation: true };
            return Payload::answer("ServerCheckResponse", json(&Envelope::ok(), &fields));
        }
        Some(Kind::Handler(handler)) => handler,
        Some(Kind::ClusterOnly) | None => return error_response(&Envelope::fail(302, "RequestHandler Not Found")),
    };
    let Some(connection) = transport.connection() else {
        return error_response(&Envelope::fail(301, "Connection is unregistered."));
    };
    handler(Call { app: &transport.app, connection, payload: &payload }).await
}

/// The steps that depend on the body: reading it, noting the client's activity, the parameter check, the handler.
pub(super) fn run<O: Operation>(call: Call<'_>) -> Answering<'_> {
    Box::pin(async move {
        let operation = match parse::<O>(call.payload.json()) {
            Ok(operation) => operation,
            Err(text) => return error_response(&Envelope::fail(502, text)),
        };
        let now = call.app.clock.now();
        call.connection.touch(now);
        if call.app.settings.param_check
            && let Err(text) = operation.check(call.app.settings.metadata_length)
        {
            let message = format!("Param check invalid:{text}");
            refused(&call, 400, &message);
            let body = json(&Envelope::fail(400, message), &O::Fields::default());
            return Payload::answer(O::RESPONSE, body);
        }
        match operation.run(&call).await {
            Ok(Reply(body)) => Payload::answer(O::RESPONSE, body),
            Err(error) => {
                let message = error.client_text();
                refused(&call, error.status, &message);
                error_response(&Envelope::thrown(error.status, message))
            }
        }
    })
}

/// What was refused, by whom it was asked, and why: for the journal.
pub(super) fn refused(call: &Call<'_>, code: i32, reason: &str) {
    let cause = Cause::Refused { call: call.payload.type_name().to_owned(), code, reason: reason.to_owned() };
    let subject = Subject::client(call.connection.id());
    call.app.journal.record(Event::new(call.app.clock.now(), subject, cause));
}

/// The default limit, for tests.
#[cfg(test)]
pub(super) const DEFAULT_METADATA: usize = nacre_model::check::METADATA_LENGTH;

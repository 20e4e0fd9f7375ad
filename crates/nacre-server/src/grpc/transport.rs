//! One TCP connection that speaks HTTP/2: the two methods of the protocol, everything else handed to the HTTP face, and
//! what is known about its end. The connection, not a stream, is the client's identity.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use nacre_doctor::sightings::{Act, Source};
use nacre_model::{Cause, event::Disconnect, limits};
use nacre_wire::grpc::{
    Ack, Payload,
    connection::ConnectionSetupRequest,
    lenient::parse,
    payload::{REQUEST_PATH, STREAM_PATH},
};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tonic::{
    Code, Status, Streaming,
    codec::CompressionEncoding,
    server::{Grpc, StreamingService, UnaryService},
};

use super::{
    codec::PayloadCodec,
    connections::{Closer, Connection, Peer},
    dispatch,
    eager::{self, Eager},
    io::{End, HowEnded, Watched},
    outbox::Slot,
    unary::{self, Answer},
};
use crate::{app::App, doctor, http as http_face};

/// HTTP/2 flow control: a client may send this much of one message, and of all, before it must wait for us. Payloads of
/// a megabyte then take one round trip.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
const FRAME: u32 = 64 * 1024;
/// Streams that a client opened and cancelled before we looked at them. Clients with deadlines do that in bursts.
const CANCELLED_STREAMS: usize = 1_000;
/// How long a connection that we close may take for good-byes.
const GOODBYE: Duration = Duration::from_millis(250);
/// A connection that was never set up is closed after this much without a call: it is no client.
const UNREGISTERED: Duration = Duration::from_secs(300);

/// A client's payloads over the limit are journalled this often.
const LARGE_TOLD_EVERY_MS: u64 = 1_000;

type Body = Either<Answer, Either<tonic::body::Body, Full<Bytes>>>;

/// A TCP connection, registered or not.
pub(super) struct Transport {
    pub app: Arc<App>,
    pub peer: Peer,
    /// What its address is seen doing.
    pub source: Arc<Source>,
    pub closer: Arc<Closer>,
    connection: OnceLock<Arc<Connection>>,
    /// Streams opened so far.
    calls: AtomicU64,
    /// Whether a stream was opened: whoever means to be registered opens one first.
    streamed: AtomicBool,
    /// Whether a health check was answered "unregistered" already.
    warned: AtomicBool,
    /// When a payload over the limit was journalled last.
    told_large: AtomicU64,
    /// Held while a set-up is taken, for two streams may say it at once; true once TCP is gone and none is taken.
    over: Mutex<bool>,
}

impl Transport {
    /// The registered connection; `None` before the set-up.
    pub fn connection(&self) -> Option<&Arc<Connection>> {
        self.connection.get()
    }

    /// Whether a client believes that it is registered here although it never was: its HTTP/2 library reconnected by itself
    /// after a restart of the server, say. "Unregistered" is no answer to its health check: the Python SDK takes it for a
    /// server that is starting and waits for ever. A call that fails makes every SDK connect anew.
    fn mistaken(&self, request: &Payload) -> bool {
        request.type_name() == "HealthCheckRequest"
            && self.connection().is_none()
            && !self.streamed.load(Ordering::Relaxed)
            && self.warned.swap(true, Ordering::Relaxed)
    }

    /// Answers a call that came to nothing. What is over the limit is journalled.
    fn failed(&self, status: Status) -> Response<tonic::body::Body> {
        if status.code() == Code::ResourceExhausted {
            let now = self.app.clock.now();
            // A client that tries again at once must not fill the journal.
            let told = self.told_large.swap(now.mono.max(1), Ordering::Relaxed);
            if told == 0 || now.mono > told + LARGE_TOLD_EVERY_MS {
                let value = self.app.grpc.options().max_message as u64;
                let limit = "nacos.remote.server.grpc.sdk.max-inbound-message-size".to_owned();
                self.app.grpc.note(&self.peer.id, Cause::LimitHit { limit, value });
            }
        }
        status.into_http()
    }

    /// The library says OUT_OF_RANGE of a payload over the limit, which nothing of ours does; the protocol's other
    /// implementations say RESOURCE_EXHAUSTED.
    fn exhausted(&self, response: Response<tonic::body::Body>) -> Response<tonic::body::Body> {
        match Status::from_header_map(response.headers()) {
            Some(status) if matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted) => {
                self.failed(Status::resource_exhausted(status.message()))
            }
            _ => response,
        }
    }

    /// Waits until the connection was of no use for [`UNREGISTERED`].
    async fn unused(&self) {
        let mut before = None;
        while self.connection().is_none() {
            let calls = self.calls.load(Ordering::Relaxed);
            if before.replace(calls) == Some(calls) {
                return;
            }
            tokio::time::sleep(UNREGISTERED).await;
        }
        std::future::pending().await
    }
}

/// Serves a connection whose first bytes are HTTP/2's. `prefix` was read ahead (empty when it was peeked at).
pub async fn serve_connection(app: Arc<App>, stream: TcpStream, remote: SocketAddr, prefix: Bytes) {
    let local = stream.local_addr().unwrap_or(remote);
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (remote, local) = (canonical(remote), canonical(local));
    let id = format!("{}_{}_{}", app.clock.now().wall, remote.ip(), remote.port()).into();
    let end = Arc::new(End::default());
    let transport = Arc::new(Transport {
        app: Arc::clone(&app),
        peer: Peer { id, remote, local },
        source: app.doctor.sightings.of(remote.ip(), app.clock.now()),
        closer: Arc::default(),
        connection: OnceLock::new(),
        calls: AtomicU64::new(0),
        streamed: AtomicBool::new(false),
        warned: AtomicBool::new(false),
        told_large: AtomicU64::new(0),
        over: Mutex::default(),
    });
    let service = {
        let transport = Arc::clone(&transport);
        service_fn(move |request| {
            let transport = Arc::clone(&transport);
            // Boxed: hyper keeps room for this future as long as a stream lives, and push streams live for days.
            Box::pin(async move { Ok::<_, Infallible>(route(transport, request).await) })
        })
    };
    let io = TokioIo::new(Watched::new(stream, prefix, Arc::clone(&end)));
    let cause = until_end(&transport, &end, io, service).await;
    *transport.over.lock() = true;
    if let Some(registered) = transport.connection() {
        doctor::sighting::parted(&app, &transport.source, registered, &cause);
        app.grpc.unregister(&app, registered, cause).await;
    }
}

/// Runs HTTP/2 until either side ends it; the socket is closed when this returns.
async fn until_end<S>(transport: &Transport, end: &End, io: TokioIo<Watched<TcpStream>>, service: S) -> Disconnect
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send + 'static,
{
    let props = &transport.app.props;
    let mut connection = pin!(
        http2::Builder::new(Eager)
            .timer(TokioTimer::new())
            .keep_alive_interval(props.duration("nacos.remote.server.grpc.sdk.keep-alive-time"))
            .keep_alive_timeout(props.duration("nacos.remote.server.grpc.sdk.keep-alive-timeout"))
            .max_concurrent_streams(limits::GRPC_STREAMS as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .max_pending_accept_reset_streams(CANCELLED_STREAMS)
            // No gRPC server sends one; see `over_http`.
            .auto_date_header(false)
            .serve_connection(io, service)
    );
    // In a set of its own: looked at when something in it happens, and not with each frame.
    let mut breaks = FuturesUnordered::new();
    breaks.push(async {
        tokio::select! {
            cause = transport.closer.closed() => cause,
            () = transport.app.draining.cancelled() => Disconnect::ServerShutdown,
            () = transport.unused() => Disconnect::ProtocolError { detail: "unused, and never set up".into() },
        }
    });
    let cause = tokio::select! {
        biased;
        ended = connection.as_mut() => return how_it_ended(end.how(), ended),
        cause = breaks.select_next_some() => cause,
    };
    if let Some(registered) = transport.connection() {
        registered.outbox.close();
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(GOODBYE, connection.as_mut()).await;
    cause
}

fn how_it_ended(how: HowEnded, ended: Result<(), hyper::Error>) -> Disconnect {
    match (how, ended) {
        (HowEnded::Reset, _) => Disconnect::ResetByPeer,
        (HowEnded::TimedOut, _) => Disconnect::Unreachable,
        (HowEnded::Fin, _) | (_, Ok(())) => Disconnect::ClosedByClient,
        (HowEnded::Open, Err(error)) if error.is_timeout() => Disconnect::Unreachable,
        (HowEnded::Open, Err(error)) => Disconnect::ProtocolError { detail: error.to_string() },
    }
}

async fn route(transport: Arc<Transport>, request: Request<Incoming>) -> Response<Body> {
    let grpc = || {
        Grpc::new(PayloadCodec)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(transport.app.grpc.options().max_message)
            .max_encoding_message_size(usize::MAX)
    };
    transport.calls.fetch_add(1, Ordering::Relaxed);
    let library = |response| Either::Right(Either::Left(response));
    match request.uri().path() {
        REQUEST_PATH if unary::is_plain(&request) => {
            let limit = transport.app.grpc.options().max_message;
            let answered = match unary::read(request.into_body(), limit).await {
                Ok(payload) => answer(&transport, payload).await,
                Err(status) => Err(status),
            };
            match answered {
                Ok(payload) => unary::answer(&payload).map(Either::Left),
                Err(status) => transport.failed(status).map(library),
            }
        }
        REQUEST_PATH => {
            let unary = Unary(Arc::clone(&transport));
            transport.exhausted(grpc().unary(unary, request).await).map(library)
        }
        STREAM_PATH => {
            let bidi = Bidi(Arc::clone(&transport));
            transport.exhausted(grpc().streaming(bidi, request).await).map(library)
        }
        path if is_grpc(&request) => {
            let status = Status::unimplemented(format!("Method not found: {}", path.trim_start_matches('/')));
            status.into_http::<tonic::body::Body>().map(library)
        }
        _ => {
            let answered = Box::pin(over_http(&transport, request)).await;
            answered.map(|body| Either::Right(Either::Right(body)))
        }
    }
}

/// Answers an HTTP request. Answers of HTTP are dated.
async fn over_http(transport: &Transport, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut answered = http_face::serve(&transport.app, &transport.peer.remote.into(), request).await;
    let date = http_face::dates::http_date(transport.app.clock.now().wall);
    if let Ok(date) = HeaderValue::from_str(&date) {
        answered.headers_mut().entry(header::DATE).or_insert(date);
    }
    answered
}

/// Answers a unary call.
async fn answer(transport: &Transport, request: Payload) -> Result<Payload, Status> {
    if transport.mistaken(&request) {
        transport.source.saw(Act::Unregistered, transport.app.clock.now());
        return Err(Status::unavailable("Connection is unregistered."));
    }
    Ok(dispatch::answer(transport, request).await)
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("application/grpc"))
}

type Later<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

/// `Request/request` of whoever compresses.
struct Unary(Arc<Transport>);

impl UnaryService<Payload> for Unary {
    type Response = Payload;
    type Future = Later<Payload>;

    fn call(&mut self, request: tonic::Request<Payload>) -> Self::Future {
        let transport = Arc::clone(&self.0);
        Box::pin(async move { answer(&transport, request.into_inner()).await.map(tonic::Response::new) })
    }
}

/// `BiRequestStream/requestBiStream`.
struct Bidi(Arc<Transport>);

impl StreamingService<Payload> for Bidi {
    type Response = Payload;
    type ResponseStream = Pushes;
    type Future = Later<Pushes>;

    fn call(&mut self, request: tonic::Request<Streaming<Payload>>) -> Self::Future {
        let transport = Arc::clone(&self.0);
        Box::pin(async move {
            transport.streamed.store(true, Ordering::Relaxed);
            let slot = Arc::new(Slot::default());
            eager::begin(listen(Arc::clone(&transport), Arc::clone(&slot), request.into_inner()));
            Ok(tonic::Response::new(Pushes { transport, slot }))
        })
    }
}

/// Reads what the client sends on its stream until it ends its side.
async fn listen(transport: Arc<Transport>, slot: Arc<Slot>, mut stream: Streaming<Payload>) {
    while let Some(Ok(payload)) = stream.next().await {
        let name = payload.type_name();
        if name == "ConnectionSetupRequest" {
            set_up(&transport, &slot, &payload);
        } else if name.ends_with("Response")
            && let Some(connection) = transport.connection()
            && let Ok(ack) = parse::<Ack>(payload.json())
        {
            let hub = &transport.app.grpc;
            connection.touch(transport.app.clock.now());
            if let Some(id) = ack.id() {
                let outcome = connection.outbox.acked(id, ack, transport.app.clock.now());
                hub.act(connection, outcome);
            }
        }
        // Anything else is dropped without a word, as the reference does.
    }
    slot.end();
}

fn set_up(transport: &Arc<Transport>, slot: &Arc<Slot>, payload: &Payload) {
    let Ok(setup) = parse::<ConnectionSetupRequest>(payload.json()) else { return };
    let hub = &transport.app.grpc;
    if setup.labels.is_none() {
        // The reference fails on it without a word and never registers the connection.
        hub.note(&transport.peer.id, Cause::HandshakeRefused { reason: "the labels are null".into() });
        return;
    }
    let wants_ack = setup.ability_table.is_some();
    let over = transport.over.lock();
    if *over {
        return;
    }
    if let Some(connection) = transport.connection() {
        if connection.outbox.has_other_stream(slot) {
            // An HTTP/2 proxy that puts several clients on one connection looks like this.
            let version = setup.client_version.unwrap_or_default();
            hub.note(&transport.peer.id, Cause::TransportShared { version });
        }
        hub.attach(connection, slot, wants_ack);
        return;
    }
    match hub.register(&transport.app, &transport.peer, setup, payload.client_ip(), &transport.closer) {
        Ok(connection) => {
            // First, so that the stream finds it when it is woken.
            let connection = transport.connection.get_or_init(|| connection);
            let (claimed, agent, now) = (&connection.client_ip, &connection.version, connection.created);
            doctor::sighting::connected(&transport.app, &transport.source, claimed, agent, now);
            hub.attach(connection, slot, wants_ack);
        }
        Err(cause) => transport.closer.close(cause),
    }
}

/// The server's side of the stream: pulls from the connection's outbox whenever HTTP/2 has room.
struct Pushes {
    transport: Arc<Transport>,
    slot: Arc<Slot>,
}

impl Stream for Pushes {
    type Item = Result<Payload, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.slot.waker.register(cx.waker());
        if self.slot.was_cut() {
            return Poll::Ready(Some(Err(Status::unavailable("The server closed the connection."))));
        }
        if self.slot.ended() {
            return Poll::Ready(None);
        }
        let Some(connection) = self.transport.connection() else { return Poll::Pending };
        let app = &self.transport.app;
        let hub = &app.grpc;
        let view = |service: &_| hub.view(connection, service);
        let (sent, outcome) = connection.outbox.next(&self.slot, app.clock.now(), || hub.next_request(), view);
        hub.act(connection, outcome);
        let Some(sent) = sent else { return Poll::Pending };
        hub.leaves(&sent);
        if let Some(event) = sent.event {
            hub.record(event);
        }
        let server = self.transport.peer.local.ip().to_string();
        Poll::Ready(Some(Ok(Payload::push(sent.type_name, &server, sent.body))))
    }
}

impl Drop for Pushes {
    fn drop(&mut self) {
        if let Some(connection) = self.transport.connection() {
            connection.outbox.detach(&self.slot);
        }
    }
}

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
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
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
    Status, Streaming,
    codec::CompressionEncoding,
    server::{Grpc, StreamingService, UnaryService},
};

use super::{
    codec::PayloadCodec,
    connections::{Closer, Connection, Peer},
    dispatch,
    io::{End, HowEnded, Watched},
    outbox::Slot,
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

type Body = Either<tonic::body::Body, Full<Bytes>>;

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

    /// A payload over the limit is RESOURCE_EXHAUSTED in the protocol's other implementations; tonic says OUT_OF_RANGE,
    /// which nothing of ours does.
    fn exhausted<B>(&self, mut response: Response<B>) -> Response<B> {
        if let Some(status) = response.headers_mut().get_mut("grpc-status")
            && status == "11"
        {
            *status = HeaderValue::from_static("8");
            let now = self.app.clock.now();
            // A client that tries again at once must not fill the journal.
            let told = self.told_large.swap(now.mono.max(1), Ordering::Relaxed);
            if told == 0 || now.mono > told + LARGE_TOLD_EVERY_MS {
                let value = self.app.grpc.options().max_message as u64;
                let limit = "nacos.remote.server.grpc.sdk.max-inbound-message-size".to_owned();
                self.app.grpc.note(&self.peer.id, Cause::LimitHit { limit, value });
            }
        }
        response
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
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(props.duration("nacos.remote.server.grpc.sdk.keep-alive-time"))
            .keep_alive_timeout(props.duration("nacos.remote.server.grpc.sdk.keep-alive-timeout"))
            .max_concurrent_streams(limits::GRPC_STREAMS as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .max_pending_accept_reset_streams(CANCELLED_STREAMS)
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
    match request.uri().path() {
        REQUEST_PATH => {
            let unary = Unary(Arc::clone(&transport));
            transport.exhausted(grpc().unary(unary, request).await).map(Either::Left)
        }
        STREAM_PATH => {
            let bidi = Bidi(Arc::clone(&transport));
            transport.exhausted(grpc().streaming(bidi, request).await).map(Either::Left)
        }
        path if is_grpc(&request) => {
            let status = Status::unimplemented(format!("Method not found: {}", path.trim_start_matches('/')));
            status.into_http::<tonic::body::Body>().map(Either::Left)
        }
        _ => {
            let app = Arc::clone(&transport.app);
            Box::pin(http_face::serve(&app, transport.peer.remote, request)).await.map(Either::Right)
        }
    }
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("application/grpc"))
}

type Later<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

/// `Request/request`.
struct Unary(Arc<Transport>);

impl UnaryService<Payload> for Unary {
    type Response = Payload;
    type Future = Later<Payload>;

    fn call(&mut self, request: tonic::Request<Payload>) -> Self::Future {
        let transport = Arc::clone(&self.0);
        Box::pin(async move {
            let request = request.into_inner();
            if transport.mistaken(&request) {
                transport.source.saw(Act::Unregistered, transport.app.clock.now());
                return Err(Status::unavailable("Connection is unregistered."));
            }
            Ok(tonic::Response::new(dispatch::answer(&transport, request).await))
        })
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
            tokio::spawn(listen(Arc::clone(&transport), Arc::clone(&slot), request.into_inner()));
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

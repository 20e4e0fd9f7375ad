//! A whole server in this process, asked over its own faces. What must hold: an answer, no panic of any task, and the
//! server goes on. Callers' text may name addresses to be probed: fuzzing runs where no packet can leave the machine, and
//! elsewhere the server probes and pushes nothing.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header::HeaderName};
use http_body_util::{BodyExt, Full};
use nacre_naming::NamingCommand;
use nacre_server::{
    app::App,
    http as http_face,
    properties::{LoadOptions, load},
    run,
};
use nacre_wire::grpc::{Payload, payload};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    sync::mpsc,
    time::timeout,
};
use tonic::{client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

/// Far longer than any answer takes: what takes this long hangs.
const LONG: Duration = Duration::from_secs(20);
/// After this many inputs the server starts anew on an empty directory: inputs leave configs and services behind.
const INPUTS: u32 = 20_000;

/// Set by `fuzz/fuzz.py` in a network namespace that holds nothing but the loopback device.
const ALONE: &str = "NACRE_FUZZ_ALONE";

struct Served {
    runtime: Runtime,
    app: Arc<App>,
    client: Option<Client>,
    inputs: u32,
    _home: tempfile::TempDir,
}

static SERVED: Mutex<Option<Served>> = Mutex::new(None);

impl Served {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let home = tempfile::Builder::new().prefix("nacre-fuzz-").tempdir().expect("a directory");
        let overrides = [("server.port", "0"), ("nacre.limit.instances", "2000"), ("nacre.journal.memory", "1MB")];
        let overrides = overrides.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let options = LoadOptions { home: Some(home.path().to_owned()), overrides, ..LoadOptions::default() };
        let properties = load(&options).expect("good settings");
        let app = runtime.block_on(run::start(properties)).expect("a server");
        // Where there are others, what callers name is neither probed nor pushed to.
        if std::env::var_os(ALONE).is_none() {
            for entry in ["healthCheckEnabled", "pushEnabled"] {
                let command = NamingCommand::SetSwitch { entry: entry.into(), value: "false".into() };
                runtime.block_on(app.write_naming(command)).expect("a switch");
            }
        }
        Self { runtime, app, client: None, inputs: 0, _home: home }
    }

    fn stop(self) {
        drop(self.client);
        self.runtime.block_on(run::stop(&self.app, "enough was asked"));
        self.runtime.shutdown_timeout(LONG);
    }
}

fn served() -> MutexGuard<'static, Option<Served>> {
    let mut guard = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.as_ref().is_some_and(|served| served.inputs >= INPUTS)
        && let Some(old) = guard.take()
    {
        old.stop();
    }
    guard.get_or_insert_with(Served::start).inputs += 1;
    guard
}

/// Stops the server and removes its directory.
pub fn stop() {
    if let Some(served) = SERVED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        served.stop();
    }
}

/// `METHOD target`, headers, an empty line, the body; `None` when the HTTP library would not hand it on either.
fn request(data: &[u8]) -> Option<Request<Full<Bytes>>> {
    let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &data[..0]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, target) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        request = request.header(name, line[at + 1..].trim_ascii());
    }
    // A poll would be held for as long as it asks.
    let mut request = request.body(Full::new(Bytes::copy_from_slice(body))).ok()?;
    request.headers_mut().insert("long-pulling-timeout-no-hangup", http::HeaderValue::from_static("true"));
    Some(request)
}

/// One HTTP request of any kind.
pub fn http_request(data: &[u8]) {
    let Some(request) = request(data) else { return };
    let bodiless = *request.method() == http::Method::HEAD || request.headers().contains_key(http::header::ACCEPT);
    let guard = served();
    let Some(served) = guard.as_ref() else { return };
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
    let answer = served.runtime.block_on(async {
        let answer = timeout(LONG, http_face::serve(&served.app, &peer.into(), request)).await.expect("no answer");
        let status = answer.status();
        let body = timeout(LONG, answer.into_body().collect()).await.expect("no end of the body");
        (status, body.map(|body| body.to_bytes()).unwrap_or_default())
    });
    // Some refusals are 500 in the reference, with their reason; an empty or anonymous one is a fault, unless the caller
    // takes no form of it.
    assert!(!answer.0.is_server_error() || bodiless || answer.1.len() > 10, "{answer:?}");
    assert!(served.app.unwritable().is_none(), "the server takes no writes any more: {:?}", served.app.unwritable());
}

/// A client that has set up its connection; pushes are acknowledged as they come.
struct Client {
    channel: Channel,
    gone: tokio::task::JoinHandle<()>,
}

impl Client {
    async fn connect(port: u16) -> Self {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("an address");
        let channel = endpoint.connect().await.expect("the server listens");
        let (out, sent) = mpsc::channel(64);
        let setup = r#"{"clientVersion":"fuzz","labels":{"source":"sdk","module":"naming"},"abilityTable":{}}"#;
        let _ = out.send(Payload::answer("ConnectionSetupRequest", Bytes::from_static(setup.as_bytes()))).await;
        let mut grpc = Self::grpc(&channel).await.expect("ready");
        let path = http::uri::PathAndQuery::from_static(payload::STREAM_PATH);
        let codec = ProstCodec::<Payload, Payload>::default();
        let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
        let mut back = grpc.streaming(tonic::Request::new(sent), path, codec).await.expect("a stream").into_inner();
        let first = back.message().await.expect("the stream stands").expect("an answer to the set-up");
        assert_eq!(first.type_name(), "SetupAckRequest");
        let gone = tokio::spawn(async move {
            while let Ok(Some(push)) = back.message().await {
                let id = serde_json::from_slice::<serde_json::Value>(push.json()).unwrap_or_default();
                let ack = serde_json::json!({"resultCode": 200, "requestId": id["requestId"]}).to_string();
                let _ = out.send(Payload::answer("PushAckResponse", Bytes::from(ack))).await;
            }
        });
        Self { channel, gone }
    }

    async fn grpc(channel: &Channel) -> Result<Grpc<Channel>, tonic::transport::Error> {
        let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(64 << 20);
        grpc.ready().await.map(|()| grpc)
    }

    async fn call(&self, payload: Payload) -> Option<Payload> {
        let mut grpc = Self::grpc(&self.channel).await.ok()?;
        let path = http::uri::PathAndQuery::from_static(payload::REQUEST_PATH);
        let codec = ProstCodec::<Payload, Payload>::default();
        grpc.unary(tonic::Request::new(payload), path, codec).await.ok().map(tonic::Response::into_inner)
    }
}

/// A type name, a line feed, and JSON: one call of a client that is set up. The connection stands afterwards.
pub fn grpc_call(data: &[u8]) {
    let (name, body) = crate::two(data);
    let mut guard = served();
    let Some(served) = guard.as_mut() else { return };
    let payload = Payload::answer(&crate::text(name), Bytes::copy_from_slice(body));
    if served.client.as_ref().is_none_or(|client| client.gone.is_finished()) {
        served.client = Some(served.runtime.block_on(Client::connect(served.app.settings.grpc_port)));
    }
    let Some(client) = &served.client else { return };
    let answer = served.runtime.block_on(async { timeout(LONG, client.call(payload)).await.expect("no answer") });
    let answer = answer.expect("the call failed instead of being refused");
    let json: serde_json::Value = serde_json::from_slice(answer.json()).expect("the answer is JSON");
    assert!(json["resultCode"].is_i64() && json["success"].is_boolean(), "{json}");
    assert!(served.app.unwritable().is_none(), "the server takes no writes any more: {:?}", served.app.unwritable());
}

/// Any bytes on the main port, then the end: the server answers or closes, and serves others.
pub fn socket(data: &[u8]) {
    let guard = served();
    let Some(served) = guard.as_ref() else { return };
    let address = SocketAddr::from(([127, 0, 0, 1], served.app.settings.main_port));
    served.runtime.block_on(async {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        // It may close before everything is said.
        let _ = stream.write_all(data).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("neither an answer nor an end");
    });
}

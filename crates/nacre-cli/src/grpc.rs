//! A small gRPC client: HTTP/2 by hyper, one payload a message. It tells apart where a call broke: in the connection, in a
//! proxy that answered instead of the server, in gRPC, or in the answer.

use std::{collections::BTreeMap, convert::Infallible, fmt, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nacre_wire::grpc::{
    Payload,
    payload::{REQUEST_PATH, STREAM_PATH},
};
use prost::Message;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

/// How long an official client waits for an answer.
pub const ANSWER: Duration = Duration::from_secs(3);
/// Largest answer that is read.
const BODY: usize = 16 << 20;
/// Requests of the server that wait to be looked at.
const PUSHES: usize = 256;

/// Where a call broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The connection ended, or is no HTTP/2.
    Connection(String),
    /// HTTP/2 without gRPC: something else than the server answered.
    NotGrpc {
        status: u16,
        server: String,
        content: String,
    },
    /// gRPC's own refusal.
    Status {
        code: u32,
        text: String,
    },
    Late(Duration),
    /// The answer cannot be read.
    Nonsense(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(text) => f.write_str(text),
            Self::NotGrpc { status, server, content } => {
                write!(f, "HTTP/2 answer {status} of type {content:?} instead of gRPC")?;
                if server.is_empty() { Ok(()) } else { write!(f, " from {server}") }
            }
            Self::Status { code, text } => write!(f, "gRPC status {code}: {text}"),
            Self::Late(after) => write!(f, "no answer within {} s", after.as_secs()),
            Self::Nonsense(text) => write!(f, "an answer that cannot be read: {text}"),
        }
    }
}

type Body = BoxBody<Bytes, Infallible>;

/// Why and when a connection ended.
#[derive(Clone, Debug)]
pub struct End {
    pub at: Instant,
    pub why: String,
}

/// A connection to the gRPC port.
pub struct Link {
    sender: http2::SendRequest<Body>,
    authority: String,
    scheme: &'static str,
    /// What every request carries beside its body; the token goes here.
    pub headers: BTreeMap<String, String>,
    ended: watch::Sender<Option<End>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Requests of the server, already acknowledged.
pub type Pushes = mpsc::Receiver<Payload>;

impl Link {
    pub async fn open<S>(stream: S, authority: String, tls: bool) -> Result<Self, Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let opening = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = timeout(ANSWER, opening)
            .await
            .map_err(|_| Broken::Late(ANSWER))?
            .map_err(|error| Broken::Connection(chain(&error)))?;
        let ended = watch::Sender::new(None);
        let told = ended.clone();
        let driver = tokio::spawn(async move {
            let why = match connection.await {
                Ok(()) => "the connection was closed".to_owned(),
                Err(error) => chain(&error),
            };
            end(&told, why);
        });
        let scheme = if tls { "https" } else { "http" };
        Ok(Self { sender, authority, scheme, headers: BTreeMap::new(), ended, tasks: vec![driver] })
    }

    /// How the connection or its stream ended, once it has.
    pub fn end(&self) -> Option<End> {
        self.ended.borrow().clone()
    }

    /// Waits for the end.
    pub async fn ended(&self) -> End {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()) {
            Some(end) => end,
            None => std::future::pending().await,
        }
    }

    /// A unary call.
    pub async fn call(&mut self, type_name: &str, body: &Value) -> Result<Value, Broken> {
        let request = self.request(REQUEST_PATH, Full::new(message(type_name, &self.headers, body)).boxed())?;
        let exchange = async {
            self.sender.ready().await.map_err(|error| Broken::Connection(chain(&error)))?;
            let response =
                self.sender.send_request(request).await.map_err(|error| Broken::Connection(chain(&error)))?;
            let (head, body) = response.into_parts();
            grpc(head.status.as_u16(), &head.headers)?;
            let whole =
                Limited::new(body, BODY).collect().await.map_err(|error| Broken::Connection(error.to_string()))?;
            if let Some(trailers) = whole.trailers() {
                status(trailers)?;
            }
            let whole = whole.to_bytes();
            let payload = whole.get(5..).ok_or_else(|| Broken::Nonsense("there is no message in it".to_owned()))?;
            let payload = Payload::decode(payload).map_err(|error| Broken::Nonsense(error.to_string()))?;
            read(&payload)
        };
        timeout(ANSWER, exchange).await.unwrap_or(Err(Broken::Late(ANSWER)))
    }

    /// Opens the stream of the server's requests with a set-up; every request of the server is acknowledged as an SDK does.
    pub async fn set_up(&mut self, body: &Value) -> Result<Pushes, Broken> {
        let (send, queue) = mpsc::channel::<Bytes>(16);
        let frames = ReceiverStream::new(queue).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        let request = self.request(STREAM_PATH, StreamBody::new(frames).boxed())?;
        send.try_send(message("ConnectionSetupRequest", &self.headers, body))
            .map_err(|_| Broken::Connection("the stream could not be opened".to_owned()))?;
        self.sender.ready().await.map_err(|error| Broken::Connection(chain(&error)))?;
        let answer = self.sender.send_request(request);
        let (pushed, pushes) = mpsc::channel(PUSHES);
        let ended = self.ended.clone();
        self.tasks.push(tokio::spawn(async move {
            let why = match answer.await {
                Ok(response) => listen(response, &send, &pushed).await.to_string(),
                Err(error) => chain(&error),
            };
            end(&ended, why);
        }));
        Ok(pushes)
    }

    fn request(&self, path: &str, body: Body) -> Result<http::Request<Body>, Broken> {
        http::Request::post(format!("{}://{}{path}", self.scheme, self.authority))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, concat!("nacre-doctor/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|error| Broken::Connection(format!("the request cannot be written: {error}")))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn end(ended: &watch::Sender<Option<End>>, why: String) {
    ended.send_if_modified(|end| {
        let first = end.is_none();
        if first {
            *end = Some(End { at: Instant::now(), why });
        }
        first
    });
}

async fn listen(
    response: http::Response<hyper::body::Incoming>,
    answers: &mpsc::Sender<Bytes>,
    pushed: &mpsc::Sender<Payload>,
) -> Broken {
    let (head, mut body) = response.into_parts();
    if let Err(broken) = grpc(head.status.as_u16(), &head.headers) {
        return broken;
    }
    let mut buffer = BytesMut::new();
    loop {
        let frame = match body.frame().await {
            None => return Broken::Connection("the stream of the server's requests was ended".to_owned()),
            Some(Err(error)) => return Broken::Connection(chain(&error)),
            Some(Ok(frame)) => frame,
        };
        if let Some(trailers) = frame.trailers_ref() {
            if let Err(broken) = status(trailers) {
                return broken;
            }
            continue;
        }
        let Ok(data) = frame.into_data() else { continue };
        buffer.extend_from_slice(&data);
        while let Some(size) = buffer.get(1..5).and_then(|size| size.try_into().ok()).map(u32::from_be_bytes) {
            let size = size as usize;
            if size > BODY {
                return Broken::Nonsense("a message of the server is too large".to_owned());
            }
            if buffer.len() < size + 5 {
                break;
            }
            let whole = buffer.split_to(size + 5);
            let payload = match Payload::decode(&whole[5..]) {
                Ok(payload) => payload,
                Err(error) => return Broken::Nonsense(error.to_string()),
            };
            if let Some(base) = payload.type_name().strip_suffix("Request") {
                let asked: Value = serde_json::from_slice(payload.json()).unwrap_or_default();
                let answer =
                    json!({"resultCode": 200, "errorCode": 0, "success": true, "requestId": asked["requestId"]});
                let _ = answers.send(message(&format!("{base}Response"), &BTreeMap::new(), &answer)).await;
            }
            // Nobody may be looking at them.
            let _ = pushed.try_send(payload);
        }
    }
}

/// One gRPC message.
fn message(type_name: &str, headers: &BTreeMap<String, String>, body: &Value) -> Bytes {
    let mut payload = Payload::push(type_name, "", body.to_string().into());
    if let Some(metadata) = &mut payload.metadata {
        metadata.headers = headers.clone();
    }
    let payload = payload.encode_to_vec();
    let mut out = BytesMut::with_capacity(payload.len() + 5);
    out.put_u8(0);
    out.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(&payload);
    out.freeze()
}

/// Whether an answer's head is that of gRPC.
fn grpc(status_code: u16, headers: &HeaderMap) -> Result<(), Broken> {
    let field = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let content = field(header::CONTENT_TYPE);
    if status_code != 200 || !content.starts_with("application/grpc") {
        return Err(Broken::NotGrpc { status: status_code, server: field(header::SERVER), content });
    }
    status(headers)
}

fn status(headers: &HeaderMap) -> Result<(), Broken> {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match field("grpc-status").and_then(|code| code.parse().ok()) {
        None | Some(0) => Ok(()),
        Some(code) => Err(Broken::Status { code, text: field("grpc-message").unwrap_or_default().to_owned() }),
    }
}

/// The JSON of an answer; a refusal of the server's own is one, too.
fn read(payload: &Payload) -> Result<Value, Broken> {
    serde_json::from_slice(payload.json()).map_err(|error| Broken::Nonsense(error.to_string()))
}

/// An error with what caused it: hyper keeps the interesting half inside.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), (*value).parse().unwrap())).collect::<HeaderMap>()
    }

    #[test]
    fn an_answer_that_is_not_grpc_is_told_from_a_refusal() {
        let html = head(&[("content-type", "text/html"), ("server", "nginx")]);
        let page = Broken::NotGrpc { status: 502, server: "nginx".into(), content: "text/html".into() };
        assert_eq!(grpc(502, &html), Err(page));
        let refused = head(&[("content-type", "application/grpc"), ("grpc-status", "14"), ("grpc-message", "no")]);
        assert_eq!(grpc(200, &refused), Err(Broken::Status { code: 14, text: "no".into() }));
        assert_eq!(grpc(200, &head(&[("content-type", "application/grpc+proto")])), Ok(()));
    }

    #[test]
    fn a_message_has_its_length_in_front() {
        let bytes = message("T", &BTreeMap::new(), &json!({}));
        assert_eq!(bytes[0], 0);
        assert_eq!(u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize, bytes.len() - 5);
    }
}

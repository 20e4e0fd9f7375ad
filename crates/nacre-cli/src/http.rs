//! A small HTTP/1.1 client: one connection a request, everything bounded in time and size.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use tokio_rustls::client::TlsStream;

use crate::{
    address::Address,
    error::{CliError, Outcome},
    tls::{Trust, Untrusted},
};

const CONNECT: Duration = Duration::from_secs(5);
/// How long an ordinary answer may take.
pub const ANSWER: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const BODY: usize = 256 << 20;

/// What forms and queries may hold as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Ordered `name=value` pairs.
#[derive(Clone, Debug, Default)]
pub struct Params(String);

impl Params {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.push(name, value.as_bytes());
        self
    }

    /// Adds the pair only when there is a value.
    pub fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(percent_encode(value, ENCODED));
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// Below the context path.
    pub path: &'static str,
    pub query: Params,
    pub form: Option<Params>,
    pub headers: Vec<(&'static str, String)>,
    pub patience: Duration,
}

impl Request {
    pub fn new(method: Method, path: &'static str, query: Params) -> Self {
        Self { method, path, query, form: None, headers: Vec::new(), patience: ANSWER }
    }

    pub fn get(path: &'static str, query: Params) -> Self {
        Self::new(Method::GET, path, query)
    }

    pub fn post(path: &'static str, form: Params) -> Self {
        Self { form: Some(form), ..Self::new(Method::POST, path, Params::default()) }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON, if it is.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Sends one request and reads the whole answer.
pub async fn send(address: &Address, trust: &Trust, request: &Request) -> Outcome<Response> {
    let stream = connect(address).await?;
    if !address.tls {
        return exchange(stream, address, request).await;
    }
    exchange(secured(stream, address, trust).await?, address, request).await
}

async fn exchange<S>(stream: S, address: &Address, request: &Request) -> Outcome<Response>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Kept::over(stream, address.clone()).await?.ask(request).await
}

/// A connection that several requests share, one after the other.
pub struct Kept {
    address: Address,
    sender: SendRequest<Full<Bytes>>,
    driver: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Kept {
    pub async fn open(address: &Address, trust: &Trust) -> Outcome<Self> {
        let stream = connect(address).await?;
        if address.tls {
            return Self::over(secured(stream, address, trust).await?, address.clone()).await;
        }
        Self::over(stream, address.clone()).await
    }

    async fn over<S>(stream: S, address: Address) -> Outcome<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(1 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&address, &error))?;
        Ok(Self { address, sender, driver: tokio::spawn(connection) })
    }

    pub async fn ask(&mut self, request: &Request) -> Outcome<Response> {
        let patience = request.patience;
        let address = &self.address;
        let built = build(address, request)?;
        let exchange = async {
            self.sender.ready().await.map_err(|error| broken(address, &error))?;
            let response = self.sender.send_request(built).await.map_err(|error| broken(address, &error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY)
                .collect()
                .await
                .map_err(|error| unreachable(address, format!("the answer broke off: {error}"), ""))?;
            Ok(Response { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
        };
        timeout(patience, exchange)
            .await
            .unwrap_or_else(|_| Err(unreachable(address, format!("no answer within {} s", patience.as_secs()), "")))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn secured(stream: TcpStream, address: &Address, trust: &Trust) -> Outcome<TlsStream<TcpStream>> {
    timeout(CONNECT, trust.secure(stream, &address.host))
        .await
        .unwrap_or_else(|_| Err(Untrusted::new(format!("no TLS handshake within {} s", CONNECT.as_secs()), "")))
        .map_err(|Untrusted { why, hint }| unreachable(address, why, hint))
}

fn build(address: &Address, request: &Request) -> Outcome<http::Request<Full<Bytes>>> {
    let mut target = format!("{}{}", address.context, request.path);
    if !request.query.0.is_empty() {
        target.push('?');
        target.push_str(&request.query.0);
    }
    let mut builder =
        http::Request::builder().method(&request.method).uri(target).header(header::HOST, address.authority());
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        builder = builder.header(header::USER_AGENT, concat!("Nacre-CLI:v", env!("CARGO_PKG_VERSION")));
    }
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    if request.form.is_some() {
        builder = builder.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded;charset=UTF-8");
    }
    let body = request.form.as_ref().map(|form| Bytes::from(form.0.clone())).unwrap_or_default();
    builder.body(Full::new(body)).map_err(|error| CliError::Failed(format!("the request cannot be written: {error}")))
}

async fn connect(address: &Address) -> Outcome<TcpStream> {
    let start = "is it running? start one with `nacre server`, or name another with --server URL or NACRE_SERVER";
    match timeout(CONNECT, TcpStream::connect((address.host.as_str(), address.port))).await {
        Ok(Ok(stream)) => {
            // The answer is waited for; nothing is gained by holding back the last packet.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) => Err(match error.kind() {
            io::ErrorKind::ConnectionRefused => unreachable(address, "nothing listens there".to_owned(), start),
            io::ErrorKind::PermissionDenied => unreachable(address, "connecting is not permitted".to_owned(), ""),
            _ if address.host.parse::<std::net::IpAddr>().is_err() && error.raw_os_error().is_none() => unreachable(
                address,
                format!("the name {} is not known", address.host),
                "check the spelling in --server",
            ),
            _ => unreachable(address, error.to_string(), start),
        }),
        Err(_) => Err(unreachable(
            address,
            format!("no connection within {} s", CONNECT.as_secs()),
            "a firewall may be dropping packets, or the address belongs to no machine",
        )),
    }
}

fn unreachable(address: &Address, why: String, hint: &str) -> CliError {
    CliError::Unreachable { address: address.to_string(), why, hint: hint.to_owned() }
}

fn broken(address: &Address, error: &hyper::Error) -> CliError {
    let (why, hint) = if error.is_parse() {
        ("the answer is not HTTP", "8848 is the HTTP port; 1000 above it only gRPC is spoken")
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        ("the connection was closed before an answer", "")
    } else {
        return unreachable(address, error.to_string(), "");
    };
    unreachable(address, why.to_owned(), hint)
}

//! The span of a request, from its arrival to its answer, and who is at work in this task: what happens meanwhile is its
//! child or caused by it.

use std::{future::Future, net::SocketAddr, sync::Arc};

use http::{HeaderMap, Method, Request, Version};
use nacre_wire::{
    grpc::Payload,
    otlp::{self, Link, Span, SpanKind},
};
use parking_lot::Mutex;

use super::{Context, Fill, Moment, Traces, span};
use crate::http::canonical;

/// Links of one span.
pub(super) const LINKS: usize = 16;

tokio::task_local! {
    static CURRENT: Arc<Active>;
}

/// A request under way.
pub(super) struct Active {
    pub context: Context,
    pub begun: Moment,
    links: Mutex<Vec<Link>>,
}

impl Active {
    pub fn link(&self, link: Link) {
        let mut links = self.links.lock();
        if links.len() < LINKS {
            links.push(link);
        }
    }
}

/// The request that this task works for, if its trace is taken.
pub(super) fn current() -> Option<Arc<Active>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// See the module's head. When it is dropped without an end, its caller went away.
pub struct Entry {
    traces: Arc<Traces>,
    active: Arc<Active>,
    span: Span,
    ended: bool,
}

impl Traces {
    /// A request came over HTTP; `None` when its trace is not taken.
    pub fn http<B>(self: &Arc<Self>, peer: SocketAddr, request: &Request<B>) -> Option<Entry> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let mut entry = self.enter(header("traceparent"), header("tracestate"))?;
        let span = &mut entry.span;
        span.name = method(request.method()).0.to_owned();
        span.text("http.request.method", method(request.method()).1);
        span.text("url.scheme", "http");
        // Never the query: 1.x clients put contents there.
        span.text("url.path", request.uri().path());
        span.text("network.protocol.name", "http");
        span.text("network.protocol.version", if request.version() == Version::HTTP_2 { "2" } else { "1.1" });
        span.text("user_agent.original", header("user-agent").unwrap_or_default());
        from(span, forwarded(request.headers()), peer);
        Some(entry)
    }

    /// A payload came over gRPC; `None` when its trace is not taken.
    pub fn grpc(self: &Arc<Self>, connection: &str, peer: SocketAddr, payload: &Payload) -> Option<Entry> {
        let headers = payload.metadata.as_ref().map(|metadata| &metadata.headers);
        let header = |name: &str| {
            let found = headers?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let mut entry = self.enter(header("traceparent"), header("tracestate"))?;
        let span = &mut entry.span;
        span.text("rpc.system", "grpc");
        span.text("rpc.service", "Request");
        span.text("nacos.connection.id", connection);
        from(span, None, peer);
        Some(entry)
    }

    fn enter(self: &Arc<Self>, parent: Option<&str>, state: Option<&str>) -> Option<Entry> {
        let parent = parent.and_then(Context::parse);
        let context = self.sampler.begin(parent.as_ref())?;
        let active = Arc::new(Active { context, begun: Moment::now(), links: Mutex::default() });
        let mut span = span("", SpanKind::Server, &context, parent.as_ref());
        span.start_time_unix_nano = active.begun.wall;
        if parent.is_some() {
            span.flags |= otlp::HAS_IS_REMOTE | otlp::IS_REMOTE;
            // The standard's own bound; a longer one is dropped whole.
            span.trace_state = state.filter(|state| state.len() <= 512).unwrap_or_default().to_owned();
        }
        Some(Entry { traces: Arc::clone(self), active, span, ended: false })
    }
}

impl Entry {
    /// Works for this request.
    pub fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(Arc::clone(&self.active), work)
    }

    /// HTTP has its answer. `path` is the endpoint's, context path included; `None` when no endpoint was found.
    pub fn answered(mut self, path: Option<String>, status: u16) {
        if let Some(path) = path {
            self.span.name = format!("{} {path}", self.span.name);
            self.span.text("http.route", &path);
        }
        self.span.int("http.response.status_code", status.into());
        if status >= 500 {
            self.span.failed(&status.to_string(), "");
        }
        self.end();
    }

    /// gRPC has its answer; `code` is the answer's `errorCode`.
    pub fn replied(mut self, name: &'static str, module: &str, code: i32) {
        self.span.name = name.to_owned();
        self.span.text("rpc.method", name);
        self.span.text("nacos.module", module);
        self.span.int("rpc.grpc.status_code", 0);
        self.span.int("nacos.error_code", code.into());
        if code >= 500 {
            self.span.failed(&code.to_string(), "");
        }
        self.end();
    }

    fn end(&mut self) {
        self.ended = true;
        let mut span = std::mem::take(&mut self.span);
        span.links = std::mem::take(&mut *self.active.links.lock());
        span.end_time_unix_nano = self.active.begun.wall_at(std::time::Instant::now());
        self.traces.queue.offer(span);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.ended {
            if self.span.name.is_empty() {
                self.span.name = "Request/request".to_owned();
            }
            self.span.failed("cancelled", "the caller went away before the answer");
            self.end();
        }
    }
}

/// A method as the span's name and as its attribute say it.
fn method(method: &Method) -> (&str, &str) {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"];
    if KNOWN.contains(&method.as_str()) { (method.as_str(), method.as_str()) } else { ("HTTP", "_OTHER") }
}

fn forwarded(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let first = text("x-forwarded-for").and_then(|list| list.split(',').next()).map(str::trim);
    first.filter(|address| !address.is_empty()).or_else(|| text("x-real-ip").map(str::trim))
}

fn from(span: &mut Span, forwarded: Option<&str>, peer: SocketAddr) {
    let address = canonical(peer.ip()).to_string();
    span.text("client.address", forwarded.filter(|address| !address.is_empty()).unwrap_or(&address));
    span.text("network.peer.address", &address);
    span.int("network.peer.port", peer.port().into());
}

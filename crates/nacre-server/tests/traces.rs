//! Traces, as a collector gets them: a server of ours, clients, and a collector that keeps what it is sent.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use common::{LONG, Server, instance};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use nacre_journal::Filter;
use nacre_server::{
    http::serve,
    properties::Properties,
    traces::{Settings, Traces},
};
use nacre_wire::{
    grpc::Payload,
    otlp::{ExportTraceServiceRequest, IS_REMOTE, Span, SpanKind, StatusCode as Verdict, Value},
};
use parking_lot::Mutex;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const PARENT_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_SPAN: &str = "00f067aa0ba902b7";

/// What it was sent, and what it answers next (200 when nothing is said).
#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    resources: Vec<(String, String)>,
    content_types: Vec<String>,
    paths: Vec<String>,
    tries: usize,
    answers: VecDeque<(u16, Option<&'static str>)>,
}

#[derive(Clone)]
struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

impl Collector {
    async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let collector = Self { address: listener.local_addr().unwrap(), kept: Arc::default() };
        let it = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let it = it.clone();
                let service = service_fn(move |request| {
                    let it = it.clone();
                    async move { Ok::<_, hyper::Error>(it.take(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        collector
    }

    async fn take(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut kept = self.kept.lock();
        kept.tries += 1;
        if let Some((status, retry)) = kept.answers.pop_front() {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some(retry) = retry {
                answer.headers_mut().insert("retry-after", retry.parse().unwrap());
            }
            return answer;
        }
        kept.paths.push(parts.uri.path().to_owned());
        kept.content_types.push(parts.headers["content-type"].to_str().unwrap().to_owned());
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        for of_resource in request.resource_spans {
            for pair in of_resource.resource.unwrap().attributes {
                if let Some(Value::Text(value)) = pair.value.and_then(|value| value.value) {
                    kept.resources.push((pair.key, value));
                }
            }
            kept.spans.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        Response::new(Full::default())
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until there is a span of this name, and answers the newest.
    async fn span(&self, name: &str) -> Span {
        eventually(|| self.kept.lock().spans.iter().rev().find(|span| span.name == name).cloned()).await
    }

    fn spans(&self) -> Vec<Span> {
        self.kept.lock().spans.clone()
    }
}

async fn eventually<T>(look: impl Fn() -> Option<T>) -> T {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            if let Some(found) = look() {
                return found;
            }
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it did not happen")
}

/// A datagram may get lost: `look` sends it again.
async fn eventually_async<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
    }
}

async fn traced(collector: &Collector, more: &[(&str, &str)]) -> Server {
    let endpoint = collector.endpoint();
    let own = [("nacre.tracing.otlp.endpoint", &*endpoint), ("nacre.tracing.delay", "10")];
    Server::start(&own.iter().chain(more).copied().collect::<Vec<_>>()).await
}

async fn ask(server: &Server, method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::new())).unwrap();
    serve(&server.app, &SocketAddr::from(([127, 0, 0, 7], 40000)).into(), request).await.status().as_u16()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value(span: &Span, key: &str) -> Option<Value> {
    let mut found = span.attributes.iter().filter(|pair| pair.key == key);
    let pair = found.next()?;
    assert!(found.next().is_none(), "{key} twice in {span:?}");
    pair.value.clone()?.value
}

fn text(span: &Span, key: &str) -> String {
    match value(span, key) {
        Some(Value::Text(text)) => text,
        other => panic!("{key} is {other:?} in {span:?}"),
    }
}

fn int(span: &Span, key: &str) -> i64 {
    match value(span, key) {
        Some(Value::Int(int)) => int,
        other => panic!("{key} is {other:?} in {span:?}"),
    }
}

fn is_error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == i32::from(Verdict::Error))
}

fn kinds(server: &Server) -> Vec<&'static str> {
    let records = server.app.journal.query(&Filter { limit: 10_000, ..Filter::default() });
    records.iter().rev().map(|record| record.event.cause.kind()).filter(|kind| kind.starts_with("traces")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_request_is_a_span_below_its_callers() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[("nacre.tracing.service-name", "registry")]).await;
    let target = "/nacos/v1/ns/instance?serviceName=s&ip=10.0.0.1&port=80";
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "vendor=1"),
        ("user-agent", "Nacos-Java-Client:v1.4.8"),
        ("x-forwarded-for", "203.0.113.9, 10.1.1.1"),
    ];
    assert_eq!(ask(&server, "POST", target, &headers).await, 200);
    let span = collector.span("POST /nacos/v1/ns/instance").await;
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (PARENT_TRACE.into(), PARENT_SPAN.into()));
    assert_eq!((span.span_id.len(), span.kind, &*span.trace_state), (8, SpanKind::Server.into(), "vendor=1"));
    assert_ne!(hex(&span.span_id), PARENT_SPAN);
    assert_eq!(span.flags & (IS_REMOTE | 1), IS_REMOTE | 1);
    assert!(0 < span.start_time_unix_nano && span.start_time_unix_nano <= span.end_time_unix_nano);
    for (key, want) in [
        ("http.request.method", "POST"),
        ("http.route", "/nacos/v1/ns/instance"),
        ("url.path", "/nacos/v1/ns/instance"),
        ("url.scheme", "http"),
        ("client.address", "203.0.113.9"),
        ("network.peer.address", "127.0.0.7"),
        ("user_agent.original", "Nacos-Java-Client:v1.4.8"),
    ] {
        assert_eq!(text(&span, key), want);
    }
    assert_eq!((int(&span, "http.response.status_code"), int(&span, "network.peer.port")), (200, 40_000));
    assert!(!is_error(&span) && value(&span, "error.type").is_none());
    {
        let kept = collector.kept.lock();
        assert!(kept.paths.iter().all(|path| path == "/v1/traces"), "{:?}", kept.paths);
        assert!(kept.content_types.iter().all(|kind| kind == "application/x-protobuf"));
        assert!(kept.resources.contains(&("service.name".into(), "registry".into())), "{:?}", kept.resources);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_caller_a_trace_begins_and_what_no_endpoint_answers_has_no_route() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[]).await;
    assert_eq!(ask(&server, "GET", "/nacos/v1/nothing/here?secret=1", &[("traceparent", "00-broken")]).await, 404);
    let span = collector.span("GET").await;
    assert_eq!((span.trace_id.len(), span.parent_span_id.len()), (16, 0));
    assert_eq!(value(&span, "http.route"), None);
    assert_eq!(text(&span, "url.path"), "/nacos/v1/nothing/here");
    assert!(!is_error(&span), "a 404 is the caller's fault");
    assert!(!format!("{span:?}").contains("secret"), "the query is never told");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_write_shows_its_queue_its_fsync_and_its_application() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[]).await;
    assert_eq!(ask(&server, "POST", "/nacos/v1/cs/configs?dataId=d&group=g&content=c", &[]).await, 200);
    let apply = collector.span("apply").await;
    let root = collector.span("POST /nacos/v1/cs/configs").await;
    let whole = collector.span("durable write").await;
    assert_eq!((whole.parent_span_id.clone(), whole.kind), (root.span_id.clone(), SpanKind::Internal.into()));
    assert_eq!(int(&whole, "nacre.write.batch"), 1);
    assert!(int(&whole, "nacre.write.bytes") > 0 && int(&whole, "nacre.log.index") > 0);
    let parts = [collector.span("write queue").await, collector.span("log fsync").await, apply];
    for part in &parts {
        assert_eq!((&part.trace_id, &part.parent_span_id), (&root.trace_id, &whole.span_id), "{part:?}");
    }
    let moments: Vec<u64> = [root.start_time_unix_nano, whole.start_time_unix_nano]
        .into_iter()
        .chain(parts.iter().flat_map(|part| [part.start_time_unix_nano, part.end_time_unix_nano]))
        .chain([whole.end_time_unix_nano, root.end_time_unix_nano])
        .collect();
    assert!(moments.is_sorted(), "{moments:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_request_is_named_by_its_payload_and_goes_on_with_its_metadata() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[]).await;
    let client = server.client("naming").await;
    let mut payload = Payload::answer("InstanceRequest", instance("registerInstance", "s", 80).to_string().into());
    payload.metadata.as_mut().unwrap().headers.insert("Traceparent".into(), PARENT.into());
    client.send_payload(payload).await.unwrap();
    let span = collector.span("InstanceRequest").await;
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (PARENT_TRACE.into(), PARENT_SPAN.into()));
    assert_eq!((text(&span, "rpc.system"), text(&span, "rpc.method")), ("grpc".into(), "InstanceRequest".into()));
    assert_eq!((text(&span, "nacos.module"), int(&span, "nacos.error_code")), ("naming".into(), 0));
    assert_eq!(text(&span, "nacos.connection.id"), client.id().await);
    client.call("NoSuchRequest", json!({})).await;
    let span = collector.span("unknown").await;
    assert_eq!(int(&span, "nacos.error_code"), 302);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_of_a_change_is_linked_to_who_made_it() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[]).await;
    let mut consumer = server.client("naming").await;
    let provider = server.client("naming").await;
    consumer.subscribe("s").await;
    provider.register("s", 80).await;
    while common::ports(&consumer.take().await) != [80] {}
    let push = collector.span("NotifySubscriberRequest").await;
    let cause = collector.span("InstanceRequest").await;
    assert_eq!((push.links.len(), push.kind), (1, SpanKind::Client.into()), "{push:?}");
    assert_eq!((&push.links[0].trace_id, &push.links[0].span_id), (&cause.trace_id, &cause.span_id));
    assert_ne!(push.trace_id, cause.trace_id);
    assert_eq!((text(&push, "nacos.namespace"), text(&push, "nacos.group")), ("n".into(), "G".into()));
    assert_eq!(text(&push, "nacos.service"), "s");
    assert_eq!(text(&push, "nacos.connection.id"), consumer.id().await);
    assert!(!is_error(&push));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_is_linked_to_the_change_once_it_is_acknowledged() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[]).await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let list = format!("/nacos/v1/ns/instance/list?serviceName=s&udpPort={port}&clientIP=127.0.0.1");
    assert_eq!(ask(&server, "GET", &list, &[("user-agent", "Nacos-Java-Client:v1.4.2")]).await, 200);
    ask(&server, "POST", "/nacos/v1/ns/instance?serviceName=s&ip=192.0.2.1&port=1", &[]).await;
    let mut buffer = vec![0; 65_536];
    let (len, back) = tokio::time::timeout(LONG, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    let packet: serde_json::Value = serde_json::from_slice(&buffer[..len]).unwrap();
    let ack = json!({"type": "push-ack", "lastRefTime": packet["lastRefTime"].to_string(), "data": ""}).to_string();
    let push = eventually_async(async || {
        socket.send_to(ack.as_bytes(), back).await.unwrap();
        collector.spans().into_iter().find(|span| span.name == "udp push")
    });
    let push = tokio::time::timeout(LONG, push).await.unwrap();
    let cause = collector.span("POST /nacos/v1/ns/instance").await;
    assert_eq!((push.links.len(), text(&push, "network.transport")), (1, "udp".into()));
    assert_eq!((&push.links[0].trace_id, &push.links[0].span_id), (&cause.trace_id, &cause.span_id));
    assert_eq!((text(&push, "nacos.service"), int(&push, "network.peer.port")), ("s".into(), port.into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_of_a_config_are_linked_to_its_publish() {
    let collector = Collector::start().await;
    let server = Arc::new(traced(&collector, &[]).await);
    let mut client = server.client("config").await;
    let context = json!({"dataId":"d","group":"g","tenant":"","md5":""});
    client.call("ConfigBatchListenRequest", json!({"listen":true,"configListenContexts":[context]})).await;
    let it = Arc::clone(&server);
    let poll = tokio::spawn(async move {
        let target = "/nacos/v1/cs/configs/listener?Listening-Configs=d%02g%02%01";
        ask(&it, "POST", target, &[("long-pulling-timeout", "60000")]).await
    });
    eventually(|| (server.app.listeners.held_polls() == 1).then_some(())).await;
    assert_eq!(ask(&server, "POST", "/nacos/v1/cs/configs?dataId=d&group=g&content=c", &[]).await, 200);
    assert_eq!(client.take().await.name, "ConfigChangeNotifyRequest");
    assert_eq!(poll.await.unwrap(), 200);
    let cause = collector.span("POST /nacos/v1/cs/configs").await;
    let push = collector.span("ConfigChangeNotifyRequest").await;
    let poll = collector.span("POST /nacos/v1/cs/configs/listener").await;
    assert_eq!(text(&push, "nacos.data_id"), "d");
    for told in [push, poll] {
        assert_eq!(told.links.len(), 1, "{told:?}");
        assert_eq!((&told.links[0].trace_id, &told.links[0].span_id), (&cause.trace_id, &cause.span_id));
    }
    Arc::into_inner(server).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_decide_and_the_ratio_decides_for_the_rest() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[("nacre.tracing.sample-ratio", "0")]).await;
    let left = PARENT.replace("-01", "-00");
    for number in 0..20 {
        ask(&server, "GET", "/nacos/v1/ns/operator/metrics", &[]).await;
        ask(&server, "GET", "/nacos/v1/ns/operator/metrics", &[("traceparent", &left)]).await;
        let publish = format!("/nacos/v1/cs/configs?dataId=d&group=g&content={number}");
        ask(&server, "POST", &publish, &[]).await;
    }
    ask(&server, "GET", "/nacos/v1/ns/operator/metrics", &[("traceparent", PARENT)]).await;
    let span = collector.span("GET /nacos/v1/ns/operator/metrics").await;
    assert_eq!(hex(&span.trace_id), PARENT_TRACE);
    // Sent is what the collector has answered for: the rest is sent again at a stop.
    let traces = server.app.traces.clone().unwrap();
    eventually(|| (traces.counts().0 == 1).then_some(())).await;
    server.stop().await;
    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_leaves_a_span_that_says_so() {
    let collector = Collector::start().await;
    let server = Arc::new(traced(&collector, &[]).await);
    let it = Arc::clone(&server);
    let poll = tokio::spawn(async move {
        let target = "/nacos/v1/cs/configs/listener?Listening-Configs=d%02g%02%01";
        ask(&it, "POST", target, &[("long-pulling-timeout", "60000")]).await
    });
    eventually(|| (server.app.listeners.held_polls() == 1).then_some(())).await;
    poll.abort();
    let span = collector.span("POST").await;
    assert!(is_error(&span));
    assert_eq!(text(&span, "error.type"), "cancelled");
    let _ = poll.await;
    Arc::into_inner(server).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_collector_is_asked_again_and_gets_everything_once() {
    let collector = Collector::start().await;
    collector.kept.lock().answers.extend([(503, Some("0")), (429, None), (502, None), (504, Some("0"))]);
    let server = traced(&collector, &[]).await;
    ask(&server, "GET", "/nacos/v1/ns/operator/metrics", &[]).await;
    collector.span("GET /nacos/v1/ns/operator/metrics").await;
    eventually(|| (kinds(&server) == ["tracesUndelivered", "tracesDelivered"]).then_some(())).await;
    let traces = server.app.traces.clone().unwrap();
    server.stop().await;
    assert_eq!(collector.kept.lock().tries, 5);
    assert_eq!((collector.spans().len(), traces.counts()), (1, (1, 0, 0, 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_refuses_is_counted_and_not_sent_again() {
    let collector = Collector::start().await;
    collector.kept.lock().answers.push_back((400, None));
    let server = traced(&collector, &[]).await;
    ask(&server, "GET", "/nacos/v1/ns/operator/metrics", &[]).await;
    eventually(|| (kinds(&server) == ["tracesUndelivered"]).then_some(())).await;
    let traces = server.app.traces.clone().unwrap();
    server.stop().await;
    assert_eq!((collector.kept.lock().tries, traces.counts()), (1, (0, 0, 1, 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_down_is_told_once_drops_are_counted_and_it_may_come_back() {
    // A port of our own that nobody listens on.
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let down = Collector { address, kept: Arc::default() };
    let server = traced(&down, &[]).await;
    let limit = usize::try_from(nacre_model::limits::TRACE_SPANS).unwrap();
    for _ in 0..limit + 2_000 {
        assert_eq!(ask(&server, "GET", "/nacos/v1/console/server/state", &[]).await, 200);
    }
    eventually(|| (kinds(&server) == ["tracesUndelivered"]).then_some(())).await;
    let (sent, dropped, rejected, waiting) = server.app.traces.as_ref().unwrap().counts();
    assert_eq!((sent, rejected, waiting), (0, 0, limit));
    // One batch at most is out of the queue, and under way.
    assert!((1_000..=2_000).contains(&dropped), "{dropped}");
    let metrics = Request::get("/nacos/actuator/prometheus").body(Full::new(Bytes::new())).unwrap();
    let metrics = serve(&server.app, &SocketAddr::from(([127, 0, 0, 7], 40000)).into(), metrics).await;
    let metrics = String::from_utf8(metrics.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    // The scrape itself is answered before its own span is dropped.
    let line = format!("nacre_trace_spans_total{{outcome=\"dropped\",}} {dropped}.0");
    assert!(metrics.contains(&line), "{line} is not in the metrics");

    let up = Collector::on(TcpListener::bind(address).await.unwrap());
    eventually(|| (up.spans().len() + dropped as usize >= limit + 2_000).then_some(())).await;
    eventually(|| (kinds(&server) == ["tracesUndelivered", "tracesDelivered"]).then_some(())).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_spans_leave_at_the_stop() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[("nacre.tracing.delay", "60000")]).await;
    for _ in 0..3 {
        ask(&server, "GET", "/nacos/v1/console/server/state", &[]).await;
    }
    assert_eq!(collector.spans().len(), 0);
    server.stop().await;
    assert_eq!(collector.spans().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_is_off_and_a_wrong_setting_stops_the_start() {
    let server = Server::start(&[]).await;
    assert!(server.app.traces.is_none());
    assert_eq!(ask(&server, "GET", "/nacos/v1/console/server/state", &[("traceparent", PARENT)]).await, 200);
    let clock = server.app.clock.clone();
    server.stop().await;
    let wrong = Properties::of(&[("nacre.tracing.otlp.endpoint", "ftp://c:4318")]).unwrap();
    let refused = Settings::of(&wrong, |_| None).unwrap_err();
    assert!(refused.contains("ftp://c:4318"), "{refused}");
    let endpoint = ("nacre.tracing.otlp.endpoint", "https://c:4318");
    let wrong = Properties::of(&[endpoint, ("nacre.tracing.otlp.ca-file", "/none/ca.pem")]).unwrap();
    let refused = Traces::of(&wrong, &clock).map(drop).unwrap_err();
    assert!(refused.contains("nacre.tracing.otlp.ca-file") && refused.contains("/none/ca.pem"), "{refused}");
}

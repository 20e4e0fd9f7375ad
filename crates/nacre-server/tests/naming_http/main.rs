//! Naming over HTTP and UDP from the outside: a server in this process, requests handed to its HTTP face.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[path = "../common/mod.rs"]
mod common;
mod reference;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use common::{LONG, Server};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use nacre_server::http::{serve, table};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};

const PEER: &str = "127.0.0.1:40000";

struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text))
    }
}

async fn send(server: &Server, request: Request<Full<Bytes>>) -> Answer {
    let peer: SocketAddr = PEER.parse().unwrap();
    let response = serve(&server.app, &peer.into(), request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, text: String::from_utf8(body.to_vec()).unwrap() }
}

fn encoded(params: &[(&str, &str)]) -> String {
    let all = percent_encoding::NON_ALPHANUMERIC;
    let encode = |text: &str| percent_encoding::utf8_percent_encode(text, all).to_string();
    params.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect::<Vec<_>>().join("&")
}

/// Parameters in the query.
async fn ask(server: &Server, method: &str, path: &str, params: &[(&str, &str)]) -> Answer {
    let uri = format!("/nacos{path}?{}", encoded(params));
    send(server, Request::builder().method(method).uri(uri).body(Full::default()).unwrap()).await
}

/// Parameters in a form.
async fn submit(server: &Server, method: &str, path: &str, params: &[(&str, &str)]) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/nacos{path}"))
        .header("content-type", "application/x-www-form-urlencoded;charset=UTF-8");
    send(server, request.body(Full::new(encoded(params).into())).unwrap()).await
}

async fn register(server: &Server, params: &[(&str, &str)]) {
    let answer = ask(server, "POST", "/v1/ns/instance", params).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "ok"), "{params:?}");
}

async fn hosts(server: &Server, service: &str) -> Vec<Value> {
    let list = ask(server, "GET", "/v1/ns/instance/list", &[("serviceName", service)]).await.json();
    list["hosts"].as_array().unwrap().clone()
}

async fn set_switch(server: &Server, entry: &str, value: &str) {
    let answer = ask(server, "PUT", "/v1/ns/operator/switches", &[("entry", entry), ("value", value)]).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "ok"), "{entry}={value}");
}

/// Waits until `holds` answers true.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while !holds().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it never came true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn light_beats_of_unknown_instances_ask_for_a_registration_and_full_ones_register() {
    let server = Server::start(&[]).await;
    let light = [("serviceName", "DEFAULT_GROUP@@s"), ("ip", "192.0.2.11"), ("port", "80")];
    let unknown = submit(&server, "PUT", "/v1/ns/instance/beat", &light).await;
    assert_eq!(unknown.text, r#"{"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true}"#);
    let beat = r#"{"ip":"192.0.2.11","port":80,"weight":2.0,"serviceName":"DEFAULT_GROUP@@s","cluster":"C","metadata":{"preserved.heart.beat.interval":"3000"}}"#;
    let full = submit(&server, "PUT", "/v1/ns/instance/beat", &[light[0], ("beat", beat)]).await;
    assert_eq!(full.text, r#"{"clientBeatInterval":3000,"code":10200,"lightBeatEnabled":true}"#);
    let known = ask(&server, "PUT", "/v1/ns/instance/beat", &light).await;
    assert_eq!(known.text, r#"{"clientBeatInterval":3000,"code":10200,"lightBeatEnabled":true}"#);
    let hosts = hosts(&server, "s").await;
    assert_eq!(hosts.len(), 1);
    assert_eq!((&hosts[0]["clusterName"], &hosts[0]["weight"]), (&json!("C"), &json!(2.0)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beats_of_every_1_x_client_count_as_they_are_written() {
    let server = Server::start(&[]).await;
    let raw = |body: &'static str| {
        let request = Request::builder().method("PUT").uri("/nacos/v1/ns/instance/beat");
        request.header("content-type", "application/x-www-form-urlencoded").body(Full::new(body.into())).unwrap()
    };
    // Go writes the JSON as it is into the form; Python spells truth with a capital and no cluster as None.
    let go = r#"beat={"ip":"10.0.0.1","port":80,"weight":1,"serviceName":"G@@s","cluster":"","metadata":{"p":"100%"}}&serviceName=G@@s&namespaceId=public"#;
    assert_eq!(send(&server, raw(go)).await.json()["code"], 10200);
    let python = "serviceName=s&ip=10.0.0.2&port=80&clusterName=None&weight=1.0&metadata=&enable=True&healthy=True&ephemeral=True&groupName=G";
    let uri = format!("/nacos/v1/ns/instance?{python}");
    let request = Request::builder().method("POST").uri(uri).body(Full::default()).unwrap();
    assert_eq!(send(&server, request).await.text, "ok");
    let hosts = hosts(&server, "G@@s").await;
    let seen: Vec<_> = hosts.iter().map(|h| (h["ip"].as_str().unwrap(), h["clusterName"].as_str().unwrap())).collect();
    assert_eq!(seen, [("10.0.0.1", "DEFAULT"), ("10.0.0.2", "None")]);
    assert_eq!(hosts[0]["metadata"], json!({"p": "100%"}));
    assert_eq!((&hosts[1]["enabled"], &hosts[1]["ephemeral"]), (&json!(true), &json!(true)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_comes_back_as_it_was_given() {
    let server = Server::start(&[]).await;
    let given = json!({"methods": "a,b", "url": "x=1&y=<z>", "q": "it's \"q\"", "u": "中文😀"});
    let text = given.to_string();
    let base = [("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80")];
    register(&server, &[base[0], base[1], base[2], ("metadata", &text)]).await;
    assert_eq!(hosts(&server, "s").await[0]["metadata"], given);
    let update = submit(&server, "PUT", "/v1/ns/instance", &[base[0], base[1], base[2], ("metadata", &text)]).await;
    assert_eq!(update.text, "ok");
    assert_eq!(hosts(&server, "s").await[0]["metadata"], given);
    register(&server, &[base[0], ("ip", "10.0.0.2"), base[2], ("metadata", "k=v,k2=v2")]).await;
    assert_eq!(hosts(&server, "s").await[1]["metadata"], json!({"k": "v", "k2": "v2"}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipv6_addresses_go_all_the_way() {
    let server = Server::start(&[]).await;
    for ip in ["2001:db8::7", "[2001:db8::8]"] {
        let base = [("serviceName", "DEFAULT_GROUP@@six"), ("ip", ip), ("port", "7001")];
        register(&server, &base).await;
        let detail = ask(&server, "GET", "/v1/ns/instance", &base).await.json();
        assert_eq!(detail["ip"], ip);
        assert_eq!(detail["instanceId"], format!("{ip}#7001#DEFAULT#DEFAULT_GROUP@@six"));
        assert_eq!(ask(&server, "PUT", "/v1/ns/instance/beat", &base).await.json()["code"], 10200);
        let beat = json!({"ip": ip, "port": 7001, "serviceName": "DEFAULT_GROUP@@six"}).to_string();
        let full = submit(&server, "PUT", "/v1/ns/instance/beat", &[base[0], ("beat", &beat)]).await;
        assert_eq!(full.json()["code"], 10200);
        let client = ask(&server, "GET", "/v2/ns/client", &[("clientId", &format!("{ip}:7001#true"))]).await.json();
        assert_eq!((&client["data"]["clientIp"], &client["data"]["clientPort"]), (&json!(ip), &json!("7001")));
        assert_eq!(ask(&server, "DELETE", "/v1/ns/instance", &base).await.text, "ok");
    }
    assert!(hosts(&server, "six").await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deregistering_without_the_kind_leaves_a_persistent_instance() {
    let server = Server::start(&[]).await;
    let base = [("serviceName", "p"), ("ip", "192.0.2.1"), ("port", "80")];
    register(&server, &[base[0], base[1], base[2], ("ephemeral", "false")]).await;
    assert_eq!(ask(&server, "DELETE", "/v1/ns/instance", &base).await.text, "ok");
    assert_eq!(hosts(&server, "p").await.len(), 1);
    let right = [base[0], base[1], base[2], ("ephemeral", "false")];
    assert_eq!(ask(&server, "DELETE", "/v1/ns/instance", &right).await.text, "ok");
    assert!(hosts(&server, "p").await.is_empty());
    // The console's button does not tell the kind and removes all the same.
    register(&server, &[base[0], base[1], base[2], ("ephemeral", "false")]).await;
    assert_eq!(ask(&server, "DELETE", "/v3/console/ns/instance", &base).await.json()["data"], "ok");
    assert!(hosts(&server, "p").await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_lists_page_by_number_and_count_everything() {
    let server = Server::start(&[]).await;
    for name in ["a", "b", "c"] {
        assert_eq!(ask(&server, "POST", "/v1/ns/service", &[("serviceName", name)]).await.text, "ok");
    }
    let list = async |number: &str, size: &str| {
        let answer = ask(&server, "GET", "/v1/ns/service/list", &[("pageNo", number), ("pageSize", size)]).await;
        let body = answer.json();
        assert_eq!(body["count"], 3, "page {number} of {size}");
        body["doms"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("1", "2").await, ["a", "b"]);
    assert_eq!(list("2", "2").await, ["c"]);
    assert!(list("99", "2").await.is_empty());
    assert_eq!(list("0", "2147483647").await.len(), 3, "never a count without names");
    let unknown = ask(&server, "GET", "/v1/ns/service", &[("serviceName", "none")]).await;
    assert_eq!(
        (unknown.status, unknown.text.as_str()),
        (400, "service not found, namespace: public, serviceName: DEFAULT_GROUP@@none")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_opaque_text() {
    let server = Server::start(&[]).await;
    let names = [
        "providers:com.x.S::tcc",
        "providers:com.x.S:1.0.0:",
        "consumers:com.x.S::",
        "order\u{2010}service",
        "UPPER",
        "upper",
    ];
    for name in names {
        register(&server, &[("serviceName", name), ("ip", "10.0.0.1"), ("port", "80")]).await;
        let seen = hosts(&server, name).await;
        assert_eq!(seen[0]["serviceName"], format!("DEFAULT_GROUP@@{name}"));
    }
    let all = ask(&server, "GET", "/v1/ns/service/list", &[("pageNo", "1"), ("pageSize", "100")]).await.json();
    assert_eq!(all["doms"], json!(names));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_limited_by_the_property() {
    for (limit, refused) in [("1024", 1025), ("10240", 10_241)] {
        let server = Server::start(&[("nacos.naming.service.metadata.length", limit)]).await;
        let of = |length: usize| json!({"k": "v".repeat(length - 1)}).to_string();
        let base = [("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80")];
        register(&server, &[base[0], base[1], base[2], ("metadata", &of(refused - 1))]).await;
        let over =
            ask(&server, "POST", "/v1/ns/instance", &[base[0], base[1], base[2], ("metadata", &of(refused))]).await;
        let text = format!("Param 'Metadata' is illegal, the param length should not exceed {limit}.\r\n");
        assert_eq!((over.status, over.text), (400, text));
        // The refusal is on record, with the service, the address and the words.
        let records = server.app.journal.query(&nacre_journal::Filter { limit: 100, ..Default::default() });
        let refused = records.iter().find(|record| record.event.cause.kind() == "refused").unwrap();
        assert_eq!(refused.event.subject.instance_text().as_deref(), Some("10.0.0.1:80:DEFAULT"));
        assert!(format!("{:?}", refused.event.cause).contains("Metadata"));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_read_in_the_encoding_that_the_request_names() {
    let server = Server::start(&[]).await;
    let base = [("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80"), ("encoding", "ISO-8859-1")];
    // The reference takes the UTF-8 bytes of a value for text of that encoding.
    register(&server, &[base[0], base[1], base[2], base[3], ("metadata", r#"{"k":"é"}"#)]).await;
    assert_eq!(hosts(&server, "s").await[0]["metadata"], json!({"k": "Ã©"}));
    let unknown = [base[0], ("ip", "10.0.0.2"), base[2], ("encoding", "nope"), ("metadata", r#"{"k":"é"}"#)];
    register(&server, &unknown).await;
    assert_eq!(hosts(&server, "s").await[1]["metadata"], json!({"k": "é"}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_status_and_limited_urls_hold_v1_naming_back_and_can_be_taken_back() {
    let server = Server::start(&[]).await;
    let list = async || ask(&server, "GET", "/v1/ns/instance/list", &[("serviceName", "s")]).await;
    let base = [("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80")];
    set_switch(&server, "overriddenServerStatus", "DOWN").await;
    let refused = list().await;
    assert_eq!((refused.status, refused.text.as_str()), (503, "server is DOWNnow, please try again later!"));
    set_switch(&server, "overriddenServerStatus", "READ_ONLY").await;
    assert_eq!(list().await.status, 200);
    assert_eq!(ask(&server, "POST", "/v1/ns/instance", &base).await.status, 503);
    set_switch(&server, "overriddenServerStatus", "WRITE_ONLY").await;
    assert_eq!(list().await.status, 503);
    assert_eq!(ask(&server, "POST", "/v1/ns/instance", &base).await.status, 200);
    set_switch(&server, "overriddenServerStatus", "NULL").await;
    assert_eq!(list().await.status, 200);
    set_switch(&server, "limitedUrlMap", "/nacos/v1/ns/instance/list:418,/elsewhere:500").await;
    let limited = list().await;
    assert_eq!((limited.status, limited.text.as_str()), (418, ""));
    assert_eq!(ask(&server, "GET", "/v2/ns/instance/list", &[("serviceName", "s")]).await.status, 200);
    server.stop().await;
}

/// Case C028: whatever is missing or empty, the server answers and nothing else is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_endpoint_minds_missing_or_empty_parameters() {
    const NAMES: [&str; 16] = [
        "serviceName",
        "ip",
        "port",
        "namespaceId",
        "groupName",
        "clusterName",
        "weight",
        "metadata",
        "instances",
        "beat",
        "pageNo",
        "pageSize",
        "selector",
        "healthChecker",
        "clientId",
        "key",
    ];
    let server = Server::start(&[]).await;
    register(&server, &[("serviceName", "kept"), ("ip", "10.0.0.1"), ("port", "80")]).await;
    let naming = || table::rows().filter(|row| row.module == "naming");
    for row in naming() {
        let path = row.path.replace("{key}", "x");
        for method in row.methods.iter().map(Method::as_str) {
            let mut answers = vec![ask(&server, method, &path, &[]).await];
            for name in NAMES {
                for value in ["", "x", "1", "{", "[1]", "{}", "null", "@@", "\u{0}"] {
                    answers.push(ask(&server, method, &path, &[(name, value)]).await);
                }
            }
            let odd = [("serviceName", "s"), ("ip", "1"), ("port", "1"), ("instances", "[null]"), ("metadata", "{}")];
            answers.push(submit(&server, method, &path, &odd).await);
            for answer in answers {
                assert!((100..=599).contains(&answer.status), "{method} {path}: {}", answer.status);
            }
        }
    }
    assert_eq!(hosts(&server, "kept").await.len(), 1);
    server.stop().await;
}

async fn subscribe(server: &Server, service: &str, port: u16) {
    subscribe_from(server, service, port, "127.0.0.1").await;
}

async fn subscribe_from(server: &Server, service: &str, port: u16, ip: &str) {
    let uri = format!("/nacos/v1/ns/instance/list?serviceName={service}&udpPort={port}&clientIP={ip}");
    let request = Request::builder().uri(uri).header("user-agent", "Nacos-Java-Client:v1.4.2");
    let answer = send(server, request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status, 200);
}

/// The next push: its stamp and the service's JSON. Datagrams may be gzipped.
async fn push(socket: &UdpSocket) -> (SocketAddr, u64, Value) {
    let mut buffer = vec![0; 65_536];
    let (len, from) = tokio::time::timeout(LONG, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    let mut datagram = buffer[..len].to_vec();
    if datagram.starts_with(&[0x1F, 0x8B]) {
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&datagram[..]), &mut plain).unwrap();
        assert!(plain.len() >= 1024, "small ones stay plain");
        datagram = plain;
    }
    let packet: Value = serde_json::from_slice(&datagram).unwrap();
    assert_eq!(packet["type"], "dom");
    let stamp = packet["lastRefTime"].as_u64().unwrap();
    assert!(stamp < 1 << 53);
    (from, stamp, serde_json::from_str(packet["data"].as_str().unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_udp_subscriber_hears_of_every_change_and_acknowledges() {
    let server = Server::start(&[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    subscribe(&server, "s", socket.local_addr().unwrap().port()).await;
    register(&server, &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80")]).await;
    let (from, stamp, info) = push(&socket).await;
    assert_eq!((&info["name"], info.get("groupName")), (&json!("DEFAULT_GROUP@@s"), None));
    assert_eq!(info["hosts"][0]["ip"], "10.0.0.1");
    let back = SocketAddr::from(([127, 0, 0, 1], from.port()));
    // Nonsense and foreign stamps acknowledge nothing.
    socket.send_to(b"{\"type\":\"push-ack\",\"lastRefTime\":\"1\",\"data\":\"\"}", back).await.unwrap();
    socket.send_to(b"[[[[", back).await.unwrap();
    let ack = json!({"type": "push-ack", "lastRefTime": stamp.to_string(), "data": ""}).to_string();
    assert_eq!(server.app.udp.pending(), 1);
    socket.send_to(ack.as_bytes(), back).await.unwrap();
    eventually(async || server.app.udp.pending() == 0).await;
    assert_eq!(server.app.metrics.push.cost.count(), 1);

    let many = "m".repeat(900);
    for n in 2..9 {
        let metadata = json!({"m": many}).to_string();
        let ip = format!("10.0.0.{n}");
        register(&server, &[("serviceName", "s"), ("ip", &ip), ("port", "80"), ("metadata", &metadata)]).await;
    }
    loop {
        let (_, newer, info) = push(&socket).await;
        assert!(newer > stamp);
        if info["hosts"].as_array().unwrap().len() == 8 {
            break;
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_instance_going_away_is_pushed_as_an_empty_list() {
    let server = Server::start(&[]).await;
    let base = [("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80")];
    register(&server, &base).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    subscribe(&server, "s", socket.local_addr().unwrap().port()).await;
    // Gone and back at once: no empty list is shown.
    ask(&server, "DELETE", "/v1/ns/instance", &base).await;
    register(&server, &base).await;
    ask(&server, "DELETE", "/v1/ns/instance", &base).await;
    register(&server, &base).await;
    let (_, _, info) = push(&socket).await;
    assert_eq!(info["hosts"].as_array().unwrap().len(), 1);
    let before = info["lastRefTime"].as_i64().unwrap();
    ask(&server, "DELETE", "/v1/ns/instance", &base).await;
    loop {
        let (_, _, info) = push(&socket).await;
        if info["hosts"] == json!([]) {
            assert!(info["lastRefTime"].as_i64().unwrap() > before);
            break;
        }
    }
    server.stop().await;
}

/// Case C008: subscribers that nobody can reach cost one entry each and delay nobody. All of loopback leads to one silent
/// socket, so that each dead subscriber has an address of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_udp_subscribers_do_not_delay_the_living() {
    const DEAD: u32 = 10_000;
    let server = Server::start(&[]).await;
    let silent = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    for n in 1..=DEAD {
        let ip = std::net::Ipv4Addr::from(0x7F01_0000 + n);
        subscribe_from(&server, "s", port, &ip.to_string()).await;
    }
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    subscribe(&server, "s", socket.local_addr().unwrap().port()).await;
    for port in 1..=5 {
        register(&server, &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", &port.to_string())]).await;
        loop {
            let (from, stamp, info) = push(&socket).await;
            let back = SocketAddr::from(([127, 0, 0, 1], from.port()));
            let ack = json!({"type": "push-ack", "lastRefTime": stamp}).to_string();
            socket.send_to(ack.as_bytes(), back).await.unwrap();
            if info["hosts"].as_array().unwrap().len() == port {
                break;
            }
        }
        assert!(server.app.udp.pending() <= DEAD as usize + 1, "one push waits per subscriber and service");
    }
    assert!(server.app.naming.metrics().subscribe_count <= DEAD as usize + 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_two_filters_gets_both_lists_under_their_names() {
    let server = Server::start(&[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    for clusters in ["", "C2"] {
        subscribe(&server, &format!("s&clusters={clusters}"), port).await;
    }
    for (ip, cluster) in [("10.0.0.1", "C1"), ("10.0.0.2", "C2")] {
        register(&server, &[("serviceName", "s"), ("ip", ip), ("port", "80"), ("clusterName", cluster)]).await;
    }
    let (mut all, mut filtered) = (0, 0);
    while (all, filtered) != (2, 1) {
        let (_, _, info) = push(&socket).await;
        let hosts = info["hosts"].as_array().unwrap();
        match info["clusters"].as_str().unwrap() {
            "C2" => {
                assert!(hosts.iter().all(|host| host["clusterName"] == "C2"));
                filtered = hosts.len();
            }
            _ => all = hosts.len(),
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_understand_pushes_are_not_subscribed() {
    let server = Server::start(&[]).await;
    let uri = "/nacos/v1/ns/instance/list?serviceName=s&udpPort=5000&clientIP=127.0.0.1";
    for agent in ["Nacos-Python-Client:v1.0", "curl/8.0"] {
        let request = Request::builder().uri(uri).header("user-agent", agent).body(Full::default()).unwrap();
        assert_eq!(send(&server, request).await.status, 200);
    }
    let all = ask(&server, "GET", "/v1/ns/service/subscribers", &[("serviceName", "s")]).await.json();
    assert_eq!(all["count"], 0);
    subscribe(&server, "s", 5_000).await;
    let all = ask(&server, "GET", "/v1/ns/service/subscribers", &[("serviceName", "s")]).await.json();
    assert_eq!((&all["count"], &all["subscribers"][0]["addrStr"]), (&json!(1), &json!("127.0.0.1:5000")));
    let all = ask(&server, "GET", "/v3/admin/ns/service/subscribers", &[("serviceName", "s")]).await.json();
    assert_eq!(all["data"]["pageItems"][0]["address"], "127.0.0.1:5000");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn persistent_instances_are_checked_and_the_opinion_is_durable() {
    let server = Server::start(&[]).await;
    set_switch(&server, "healthCheckTimes", "1").await;
    set_switch(&server, "tcpHealthParams", r#"{"max":3000,"min":500,"factor":0}"#).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let port_text = port.to_string();
    let base = [("serviceName", "p"), ("ip", "127.0.0.1"), ("port", port_text.as_str()), ("ephemeral", "false")];
    register(&server, &base).await;
    let healthy = async || hosts(&server, "p").await[0]["healthy"] == json!(true);
    eventually(async || !healthy().await).await;
    let kinds = |kind: &str| {
        let filter = nacre_journal::Filter { limit: 1_000, ..Default::default() };
        let records = server.app.journal.query(&filter);
        let found = records.iter().find(|record| record.event.cause.kind() == kind);
        found.map(|record| format!("{:?}", record.event.cause))
    };
    assert!(kinds("instanceUnhealthy").unwrap().contains("tcp:unable2connect:"));
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    eventually(healthy).await;
    assert!(kinds("instanceHealthy").unwrap().contains("tcp:ok+"));
    assert!(server.app.metrics.health.tcp.load(std::sync::atomic::Ordering::Relaxed) >= 2);
    drop(listener);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_v3_read_what_they_do_not_use_and_look_at_what_they_keep() {
    let server = Server::start(&[]).await;
    let base = [("serviceName", "v"), ("ip", "192.0.2.1"), ("port", "80")];
    let heavy = [base[0], base[1], base[2], ("weight", "10001")];
    assert_eq!(submit(&server, "POST", "/v3/admin/ns/instance", &heavy).await.json()["code"], 21001);
    assert_eq!(submit(&server, "POST", "/v3/admin/ns/instance", &base).await.json()["data"], "ok");
    assert_eq!(ask(&server, "GET", "/v3/admin/ns/instance", &heavy).await.status, 200, "nothing is weighed");
    for path in ["/v3/admin/ns/service", "/v3/console/ns/service"] {
        assert_eq!(ask(&server, "GET", path, &[base[0], ("protectThreshold", "abc")]).await.status, 500, "{path}");
    }
    let list = async |more: (&str, &str)| ask(&server, "GET", "/v3/console/ns/instance/list", &[base[0], more]).await;
    assert_eq!(list(("pageSize", "1")).await.json()["data"]["pagesAvailable"], 2, "one more when the last is full");
    assert_eq!(list(("pageSize", "0")).await.json()["message"], "/ by zero");
    assert_eq!(list(("pageSize", "")).await.status, 500);
    assert_eq!(list(("clusterName", "a b")).await.status, 400);
    let posted = ask(&server, "POST", "/v3/console/ns/instance/list", &[base[0], ("clusterName", "a b")]).await;
    assert_eq!(posted.status, 404, "only GET is checked");
    let services = ask(&server, "GET", "/v3/admin/ns/service/list", &[("pageSize", "1")]).await.json();
    assert_eq!(services["data"]["pagesAvailable"], 2);
    assert_eq!(ask(&server, "DELETE", "/v3/client/ns/instance", &heavy).await.json()["data"], "ok");
    server.stop().await;
}

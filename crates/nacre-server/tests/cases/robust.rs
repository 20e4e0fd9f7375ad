//! Whatever is missing, empty, too long or hostile: an answer, and nothing else is lost.

use std::collections::BTreeMap;

use http::Method;
use nacre_server::http::table;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    common::{LONG, Server},
    wire::{encoded, register, send},
};

/// Parameter names of all areas, with a value that fits many of them.
const NAMES: [&str; 30] = [
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
    "dataId",
    "group",
    "tenant",
    "content",
    "search",
    "nid",
    "ids",
    "type",
    "customNamespaceId",
    "namespaceName",
    "Listening-Configs",
    "entry",
    "value",
    "username",
    "policy",
];

/// Every endpoint without parameters, with each alone and with each empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_endpoint_of_any_area_minds_missing_or_empty_parameters_c028() {
    let server = Server::start(&[]).await;
    server.register_http(&[("serviceName", "kept"), ("ip", "192.0.2.1"), ("port", "80")]).await;
    server.done("POST", "/v1/cs/configs", &[("dataId", "kept"), ("group", "G"), ("content", "x")], "true").await;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for row in table::rows() {
        let path = row.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>();
        let path = path.join("/");
        // A poll would be held, and a client told to go elsewhere is no loss but a long answer.
        let held = ["Long-Pulling-Timeout: 1\r\n", "Long-Pulling-Timeout-No-Hangup: true\r\n"].concat();
        for method in row.methods.iter().map(Method::as_str) {
            let mut targets = vec![path.clone()];
            for name in NAMES {
                targets.push(format!("{path}?{name}="));
                targets.push(format!("{path}?{name}=0"));
            }
            for target in targets {
                let answer = send(&server.address(), method, &target, &held, b"").await;
                let at_home = !(500..600).contains(&answer.status) || says_why(&answer.text());
                assert!(at_home, "{method} {target}: {} {}", answer.status, answer.text());
                *statuses.entry(answer.status).or_default() += 1;
            }
        }
    }
    assert!(statuses[&200] > 100 && statuses[&400] > 100, "{statuses:?}");
    let kept = server.get("/v1/cs/configs", &[("dataId", "kept"), ("group", "G")]).await;
    assert_eq!(kept.text(), "x");
    assert_eq!(server.hosts("kept").await.len(), 1);
    server.stop().await;
}

/// Some refusals are 500 in Nacos, with the reason in the body; an empty or anonymous 500 is a fault of ours.
fn says_why(body: &str) -> bool {
    body.len() > 10 && !body.contains("panick")
}

/// gRPC payloads with fields missing, null, of another type, or not JSON at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payload_minds_missing_or_odd_fields_c028() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    register(&client, "kept", json!({"ip": "192.0.2.1", "port": 80})).await;
    let names = [
        "InstanceRequest",
        "PersistentInstanceRequest",
        "BatchInstanceRequest",
        "ServiceListRequest",
        "ServiceQueryRequest",
        "SubscribeServiceRequest",
        "NamingFuzzyWatchRequest",
        "ConfigBatchListenRequest",
        "ConfigPublishRequest",
        "ConfigQueryRequest",
        "ConfigRemoveRequest",
        "ConfigFuzzyWatchRequest",
        "HealthCheckRequest",
        "ServerCheckRequest",
    ];
    let fields = [
        "namespace",
        "serviceName",
        "groupName",
        "type",
        "instance",
        "instances",
        "dataId",
        "group",
        "tenant",
        "content",
        "configListenContexts",
        "pageNo",
        "pageSize",
        "cluster",
        "subscribe",
        "headers",
        "additionMap",
    ];
    let odd =
        [json!(null), json!(""), json!(0), json!(-1), json!(1e300), json!([]), json!({}), json!([null]), json!(true)];
    for name in names {
        for body in [json!({}), json!([]), json!(null), json!("x")] {
            client.call(name, body).await;
        }
        for field in fields {
            for value in &odd {
                let mut body = serde_json::Map::new();
                body.insert(field.to_owned(), value.clone());
                let answer = client.call(name, Value::Object(body)).await;
                assert!(answer.body["resultCode"].is_i64(), "{name} {field}={value}: {answer:?}");
            }
        }
    }
    assert_eq!(server.hosts("kept").await.len(), 1, "the connection stands and keeps its instance");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_over_the_limit_is_refused_with_the_number_and_noted_c085() {
    for (property, limit) in [("1024", 1024), ("10240", 10_240)] {
        let server = Server::start(&[("nacos.naming.service.metadata.length", property)]).await;
        let client = server.client("naming").await;
        let of = |length: usize| json!({"k": "v".repeat(length - 1)});
        let at = |length: usize| json!({"ip": "192.0.2.1", "port": 80, "metadata": of(length)});
        assert_eq!(register(&client, "s", at(limit)).await["resultCode"], 200);
        let refused = register(&client, "s", at(limit + 1)).await;
        let text = format!("Param 'Metadata' is illegal, the param length should not exceed {limit}.");
        assert_eq!(
            (&refused["errorCode"], refused["message"].as_str().unwrap().ends_with(&text)),
            (&json!(400), true),
            "{refused}"
        );
        let batch = json!({"namespace": "", "serviceName": "s", "groupName": "DEFAULT_GROUP",
            "type": "batchRegisterInstance", "instances": [at(1), at(limit + 1)]});
        assert_eq!(client.call("BatchInstanceRequest", batch).await.body["errorCode"], 400);
        let form = of(limit + 1).to_string();
        let params = [("serviceName", "s"), ("ip", "192.0.2.1"), ("port", "80"), ("metadata", &*form)];
        for path in ["/v1/ns/instance", "/v2/ns/instance", "/v3/client/ns/instance"] {
            let answer = server.http("POST", path, &params).await;
            assert!(answer.status == 400 && answer.text().contains(text.trim_end_matches('.')), "{path}: {answer:?}");
        }
        // What was refused is told with its reason, over both roads.
        let told = server.told(&[("kind", "refused")]).await;
        assert!(told.iter().filter(|line| line.contains(&limit.to_string())).count() >= 5, "{told:?}");
        assert_eq!(server.hosts("s").await.len(), 1);
        server.stop().await;
    }
}

/// Python's 1.x client publishes with the content in the query; a proxy in front of it keeps the connection.
#[tokio::test]
async fn every_request_of_a_connection_may_have_a_long_line() {
    let server = Server::start(&[]).await;
    let mut sent = String::new();
    for n in 0..3 {
        let query =
            encoded(&[("dataId", &format!("d{n}")), ("group", "G"), ("content", &n.to_string().repeat(150_000))]);
        sent.push_str(&format!("POST /nacos/v1/cs/configs?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
        // Requests between them have bodies of their own.
        let form = encoded(&[("dataId", "between"), ("group", "G"), ("content", "?x= HTTP/1.1")]);
        let length = form.len();
        sent.push_str(&format!(
            "POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n\r\n{form}"
        ));
    }
    sent.push_str("GET /nacos/v1/cs/configs?dataId=between&group=G HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let exchange = async {
        let (mut read, mut write) = tokio::net::TcpStream::connect(server.address()).await.unwrap().into_split();
        let mut answer = String::new();
        let writing = async { write.write_all(sent.as_bytes()).await.unwrap() };
        let (_, read) = tokio::join!(writing, read.read_to_string(&mut answer));
        read.unwrap();
        answer
    };
    let answer = tokio::time::timeout(LONG, exchange).await.expect("answers");
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 7, "{answer}");
    assert!(answer.ends_with("?x= HTTP/1.1"), "{answer}");
    for n in 0..3 {
        let content = server.http("GET", "/v1/cs/configs", &[("dataId", &*format!("d{n}")), ("group", "G")]).await;
        assert!(content.text() == n.to_string().repeat(150_000), "d{n}");
    }
    server.stop().await;
}

/// What carries the query of a long line inside the server is no door for parameters.
#[tokio::test]
async fn a_header_named_like_the_servers_own_brings_no_parameters() {
    let server = Server::start(&[]).await;
    let headers = "nacre-long-query: dataId=d&group=G&content=c\r\n";
    let answer = send(&server.address(), "POST", "/v1/cs/configs", headers, b"").await;
    // As the reference answers a publish without any.
    assert_eq!((answer.status, answer.text().contains("dataId")), (500, true), "{answer:?}");
    assert_eq!(server.http("GET", "/v1/cs/configs", &[("dataId", "d"), ("group", "G")]).await.status, 404);
    server.stop().await;
}

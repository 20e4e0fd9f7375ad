//! HTTP over a socket of its own, and what the tests ask the server again and again.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::common::{Client, LONG, Server};

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {}", self.head, self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub fn encoded(params: &[(&str, &str)]) -> String {
    let all = percent_encoding::NON_ALPHANUMERIC;
    let encode = |text: &str| percent_encoding::utf8_percent_encode(text, all).to_string();
    params.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect::<Vec<_>>().join("&")
}

/// One request of these bytes below `/nacos`; `headers` are lines that end with CRLF.
pub async fn send(address: &str, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let head = format!(
            "{method} /nacos{target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses before it has read everything may close first.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(LONG, exchange).await.unwrap_or_else(|_| panic!("{method} {target}: no answer"));
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{method} {target}: cut off: {}", String::from_utf8_lossy(&answer)));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

impl Server {
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.app.settings.main_port)
    }

    /// Parameters in the query for GET and DELETE, in a form otherwise.
    pub async fn http(&self, method: &str, path: &str, params: &[(&str, &str)]) -> Answer {
        let params = encoded(params);
        if matches!(method, "GET" | "DELETE") {
            return send(&self.address(), method, &format!("{path}?{params}"), "", b"").await;
        }
        let form = "Content-Type: application/x-www-form-urlencoded;charset=UTF-8\r\n";
        send(&self.address(), method, path, form, params.as_bytes()).await
    }

    pub async fn get(&self, path: &str, params: &[(&str, &str)]) -> Answer {
        self.http("GET", path, params).await
    }

    /// Expects 200 and this text.
    pub async fn done(&self, method: &str, path: &str, params: &[(&str, &str)], text: &str) {
        let answer = self.http(method, path, params).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, text), "{method} {path} {params:?}");
    }

    /// v1.
    pub async fn register_http(&self, params: &[(&str, &str)]) {
        self.done("POST", "/v1/ns/instance", params, "ok").await;
    }

    /// v1: the list as clients get it.
    pub async fn list(&self, service: &str) -> Value {
        self.get("/v1/ns/instance/list", &[("serviceName", service)]).await.json()
    }

    pub async fn hosts(&self, service: &str) -> Vec<Value> {
        self.list(service).await["hosts"].as_array().unwrap().clone()
    }

    /// Events that fit, newest first.
    pub async fn events(&self, params: &[(&str, &str)]) -> Vec<Value> {
        let answer = self.get("/v3/admin/diagnosis/events", params).await.json();
        answer["data"]["events"].as_array().unwrap().clone()
    }

    /// Sentences of the events that fit, newest first.
    pub async fn told(&self, params: &[(&str, &str)]) -> Vec<String> {
        self.events(params).await.iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect()
    }
}

/// Looks again and again until `holds`.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while !holds().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("{what} never came true"));
}

/// An instance of the default namespace and group by gRPC.
pub async fn register(client: &Client, service: &str, instance: Value) -> Value {
    let body = json!({"namespace": "", "serviceName": service, "groupName": "DEFAULT_GROUP", "type": "registerInstance",
        "instance": instance});
    client.call("InstanceRequest", body).await.body
}

/// The list of the default namespace and group by gRPC.
pub async fn query(client: &Client, service: &str) -> Value {
    let body = json!({"namespace": "", "serviceName": service, "groupName": "DEFAULT_GROUP", "cluster": ""});
    client.call("ServiceQueryRequest", body).await.body["serviceInfo"].clone()
}

pub async fn subscribe(client: &Client, service: &str) -> Value {
    let body = json!({"namespace": "", "serviceName": service, "groupName": "DEFAULT_GROUP", "clusters": "",
        "subscribe": true});
    client.call("SubscribeServiceRequest", body).await.body["serviceInfo"].clone()
}

/// `ip:port` of a list's hosts, sorted.
pub fn addresses(info: &Value) -> Vec<String> {
    let hosts = info["hosts"].as_array().unwrap().iter();
    let mut all: Vec<_> = hosts.map(|host| format!("{}:{}", host["ip"].as_str().unwrap(), host["port"])).collect();
    all.sort();
    all
}

//! The MCP server, asked as an assistant does: initialize, tools/list, tools/call.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::net::SocketAddr;

use bytes::Bytes;
use common::Server;
use http::Request;
use http_body_util::{BodyExt, Full};
use nacre_server::http::serve;
use serde_json::{Value, json};

async fn say(server: &Server, host: &str, message: &Value) -> (u16, Value) {
    let request = Request::post("/nacos/v3/admin/diagnosis/mcp")
        .header("host", host)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18")
        .body(Full::new(Bytes::from(message.to_string())))
        .unwrap();
    let response = serve(&server.app, &SocketAddr::from(([127, 0, 0, 1], 40000)).into(), request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
}

fn call(id: u32, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn an_assistant_finds_tools_and_gets_the_answers_of_the_api() {
    let server = Server::start(&[("nacre.mcp.enabled", "true")]).await;
    let hello =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let (status, answer) = say(&server, "127.0.0.1", &call(1, "initialize", &hello)).await;
    assert_eq!((status, &answer["result"]["serverInfo"]["name"]), (200, &json!("nacre")), "{answer}");

    let (_, answer) = say(&server, "127.0.0.1", &call(2, "tools/list", &json!({}))).await;
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(tools.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
    assert!(tools.iter().any(|tool| tool["name"] == "findings"));

    let asked = json!({ "name": "explain", "arguments": { "code": "SERVER-STALLED", "lang": "en" } });
    let (_, answer) = say(&server, "127.0.0.1", &call(3, "tools/call", &asked)).await;
    assert_eq!(answer["result"]["structuredContent"]["code"], "SERVER-STALLED", "{answer}");
    let asked = json!({ "name": "findings", "arguments": {} });
    let (_, answer) = say(&server, "127.0.0.1", &call(4, "tools/call", &asked)).await;
    assert!(answer["result"]["structuredContent"]["findings"].is_array(), "{answer}");
    let asked = json!({ "name": "explain", "arguments": { "code": "NO-SUCH" } });
    let (_, answer) = say(&server, "127.0.0.1", &call(5, "tools/call", &asked)).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let asked = json!({ "name": "publish", "arguments": {} });
    let (_, answer) = say(&server, "127.0.0.1", &call(6, "tools/call", &asked)).await;
    assert!(answer["error"].is_object(), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_foreign_host_name_is_refused_and_off_is_off() {
    let server = Server::start(&[("nacre.mcp.enabled", "true")]).await;
    let (status, _) = say(&server, "evil.example", &call(1, "tools/list", &json!({}))).await;
    assert_eq!(status, 403);
    server.stop().await;
    let server = Server::start(&[]).await;
    let (status, answer) = say(&server, "127.0.0.1", &call(1, "tools/list", &json!({}))).await;
    assert_eq!(status, 404, "{answer}");
    server.stop().await;
}

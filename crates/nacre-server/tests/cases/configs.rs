//! Configs where gRPC and HTTP meet.

use nacre_model::limits;
use serde_json::{Value, json};

use crate::{
    common::{Client, Server},
    wire::send,
};

async fn publish(server: &Server, params: &[(&str, &str)]) {
    server.done("POST", "/v1/cs/configs", params, "true").await;
}

async fn queried(client: &Client, body: Value) -> Value {
    client.call("ConfigQueryRequest", body).await.body
}

/// One config, however a caller spells the default namespace, over every road.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_empty_and_absent_are_one_namespace_on_every_road_c051_c052() {
    let server = Server::start(&[]).await;
    let mut client = server.client("config").await;
    let spellings = [None, Some(""), Some("public")];
    let with = |body: Value, tenant: Option<&str>| {
        let mut body = body;
        if let Some(tenant) = tenant {
            body["tenant"] = tenant.into();
        }
        body
    };
    let mut version = 0;
    let mut md5 = String::new();
    for listened in spellings {
        for published in spellings {
            for by_grpc in [true, false] {
                // Listens in one spelling, publishes in another, reads in all.
                let context = with(json!({"dataId": "d", "group": "G", "md5": md5}), listened);
                let listen = json!({"listen": true, "configListenContexts": [context]});
                let answer = client.call("ConfigBatchListenRequest", listen).await;
                assert_eq!(answer.body["changedConfigs"], json!([]), "{listened:?}");
                version += 1;
                let content = format!("v{version}");
                if by_grpc {
                    let body = with(json!({"dataId": "d", "group": "G", "content": content}), published);
                    assert_eq!(client.call("ConfigPublishRequest", body).await.body["resultCode"], 200);
                } else {
                    let mut form = vec![("dataId", "d"), ("group", "G"), ("content", &*content)];
                    form.extend(published.map(|tenant| ("tenant", tenant)));
                    publish(&server, &form).await;
                }
                let push = client.take().await;
                assert_eq!(push.name, "ConfigChangeNotifyRequest");
                let echoed = push.body.get("tenant").and_then(Value::as_str).filter(|tenant| !tenant.is_empty());
                assert_eq!(echoed, listened.filter(|tenant| !tenant.is_empty()), "{listened:?}");
                for read in spellings {
                    let answer = queried(&client, with(json!({"dataId": "d", "group": "G"}), read)).await;
                    assert_eq!(answer["content"], content, "{published:?} {read:?}");
                    md5 = answer["md5"].as_str().unwrap().to_owned();
                    let mut params = vec![("dataId", "d"), ("group", "G")];
                    params.extend(read.map(|tenant| ("tenant", tenant)));
                    assert_eq!(server.get("/v1/cs/configs", &params).await.text(), content, "{published:?} {read:?}");
                }
            }
        }
    }
    let search = [("search", "blur"), ("dataId", "d"), ("group", "G"), ("pageNo", "1"), ("pageSize", "9")];
    assert_eq!(server.get("/v1/cs/configs", &search).await.json()["totalCount"], 1);
    server.stop().await;
}

/// Letters' case, dots and colons are part of a name over gRPC too, and a wrong name is told by its field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_exact_and_wrong_ones_are_named_over_grpc_c033_c034_c035() {
    let server = Server::start(&[]).await;
    let client = server.client("config").await;
    let long = "x".repeat(255);
    let ids =
        ["seataserver.properties", "seataServer.properties", "DemoService:1.0.0::provider:x", "con", "a.b.", &long];
    for id in ids {
        let body = json!({"dataId": id, "group": "G", "content": format!("content of {id}")});
        assert_eq!(client.call("ConfigPublishRequest", body).await.body["resultCode"], 200, "{id}");
    }
    let remove = json!({"dataId": ids[1], "group": "G"});
    assert_eq!(client.call("ConfigRemoveRequest", remove).await.body["resultCode"], 200);
    for id in ids {
        let answer = queried(&client, json!({"dataId": id, "group": "G"})).await;
        if id == ids[1] {
            assert_eq!(answer["errorCode"], 300, "{answer}");
        } else {
            assert_eq!(answer["content"], format!("content of {id}"));
        }
    }
    for (data_id, group, field) in
        [("d", "*", "group"), ("a/b", "G", "dataId"), ("a*b", "G", "dataId"), ("配置", "G", "dataId")]
    {
        let answer = queried(&client, json!({"dataId": data_id, "group": group})).await;
        assert_eq!(answer["errorCode"], 400, "{answer}");
        let message = answer["message"].as_str().unwrap();
        let other = if field == "group" { "dataId" } else { "group" };
        assert!(message.contains(field) && !message.contains(other), "{message}");
    }
    server.stop().await;
}

/// The rule of a beta changes while its content does not: who gains it and who loses it is told, nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beta_that_moves_is_told_over_grpc_c044_c045() {
    let server = Server::start(&[]).await;
    let mut client = server.client("config").await;
    let full = [
        ("dataId", "d"),
        ("group", "G"),
        ("content", "formal"),
        ("type", "yaml"),
        ("desc", "about"),
        ("config_tags", "a"),
    ];
    publish(&server, &full).await;
    let all = async || server.get("/v1/cs/configs", &[("dataId", "d"), ("group", "G"), ("show", "all")]).await.json();
    let before = all().await;
    let beta = async |ips: &str| {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let headers = format!("{form}betaIps: {ips}\r\n");
        let answer =
            send(&server.address(), "POST", "/v1/cs/configs", &headers, b"dataId=d&group=G&content=beta&type=yaml")
                .await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "true"));
    };
    let listen = async |client: &Client, content: &str| {
        let context = json!({"dataId": "d", "group": "G", "tenant": "", "md5": nacre_config::md5(content).to_string()});
        let body = json!({"listen": true, "configListenContexts": [context]});
        assert_eq!(client.call("ConfigBatchListenRequest", body).await.body["changedConfigs"], json!([]), "{content}");
    };
    let served = async |client: &Client| queried(client, json!({"dataId": "d", "group": "G"})).await["content"].clone();
    // This client is 127.0.0.1.
    beta("192.0.2.71").await;
    listen(&client, "formal").await;
    assert_eq!(served(&client).await, "formal");
    beta("192.0.2.71, 127.0.0.1").await;
    assert_eq!(client.take().await.name, "ConfigChangeNotifyRequest");
    assert_eq!(served(&client).await, "beta");
    listen(&client, "beta").await;
    beta("192.0.2.72").await;
    assert_eq!(client.take().await.name, "ConfigChangeNotifyRequest");
    assert_eq!(served(&client).await, "formal");
    // C045: the formal row knows nothing of it.
    assert_eq!(all().await, before);
    // And its own view shows the type that its readers are told.
    beta("127.0.0.1").await;
    let read = server.get("/v1/cs/configs", &[("dataId", "d"), ("group", "G")]).await;
    assert_eq!((read.text().as_str(), read.header("config-type")), ("beta", Some("yaml")));
    let v1 = server.get("/v1/cs/configs", &[("dataId", "d"), ("group", "G"), ("beta", "true")]).await.json();
    let v3 = server.get("/v3/admin/cs/config/beta", &[("dataId", "d"), ("groupName", "G")]).await.json();
    for shown in [v1, v3] {
        assert_eq!((&shown["data"]["content"], &shown["data"]["type"]), (&json!("beta"), &json!("yaml")), "{shown}");
    }
    let stop = server.http("DELETE", "/v1/cs/configs", &[("dataId", "d"), ("group", "G"), ("beta", "true")]).await;
    assert_eq!(stop.status, 200);
    assert_eq!(all().await, before);
    server.stop().await;
}

const CHARSET: &str = "text/plain;charset=UTF-8";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_the_same_on_every_road_c086_c088_c090_c091() {
    let server = Server::start(&[]).await;
    let client = server.client("config").await;
    let odd = "\u{feff}k: 配置 🦀\r\nnel:\u{85}\r\n  & + % = ; # \u{0}\u{7f}\t end  ".to_owned();
    let of = |bytes: usize| "配".repeat(bytes / 3) + &"x".repeat(bytes % 3);
    let mut previous: Option<String> = None;
    for content in [odd, of(32_767), of(32_768), of(65_536), of(1_000_000)] {
        let body = json!({"dataId": "d", "group": "G", "content": content});
        if previous.is_some() {
            assert_eq!(client.call("ConfigPublishRequest", body).await.body["resultCode"], 200);
        } else {
            publish(&server, &[("dataId", "d"), ("group", "G"), ("content", &content)]).await;
        }
        assert_eq!(queried(&client, json!({"dataId": "d", "group": "G"})).await["content"], content);
        for agent in ["Nacos-Java-Client:v1.3.2", "Nacos-Java-Client:v2.3.0", "curl/8.0"] {
            let headers = format!("User-Agent: {agent}\r\nAccept-Encoding: gzip,deflate,sdch\r\n");
            let answer = send(&server.address(), "GET", "/v1/cs/configs?dataId=d&group=G", &headers, b"").await;
            assert_eq!(answer.header("content-encoding"), None, "{agent}");
            assert!(answer.body == content.as_bytes(), "{agent}: {} bytes", answer.body.len());
            assert_eq!(answer.header("content-type"), Some(CHARSET));
            assert_eq!(answer.header("content-md5"), Some(&*nacre_config::md5(&content).to_string()));
        }
        // The history keeps what was there before.
        if let Some(previous) = previous.replace(content) {
            let list = [("dataId", "d"), ("group", "G"), ("search", "accurate")];
            let list = server.get("/v1/cs/history", &list).await.json();
            let nid = list["pageItems"][0]["id"].as_str().unwrap().to_owned();
            let row = server.get("/v1/cs/history", &[("dataId", "d"), ("group", "G"), ("nid", &nid)]).await.json();
            assert!(row["content"] == *previous, "history of {} bytes", previous.len());
        }
    }
    server.stop().await;
}

/// A multipart form from another tool: quoted boundary, file parts, a charset per part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multipart_forms_of_other_tools_publish_too_c089() {
    let server = Server::start(&[]).await;
    let xml = "<flow><![CDATA[ a < b && c; 流程 ]]></flow>\r\n";
    let body = format!(
        "preamble\r\n--x y\r\ncontent-disposition: form-data; name=dataId\r\n\r\nflow.xml\r\n--x y\r\nContent-Disposition: \
         form-data; name=\"group\"\r\n\r\nG\r\n--x y\r\nContent-Disposition: form-data; name=\"content\"; \
         filename=\"flow.xml\"\r\nContent-Type: text/xml; charset=utf-8\r\n\r\n{xml}\r\n--x y\r\nContent-Disposition: \
         form-data; name=\"type\"\r\n\r\nxml\r\n--x y--\r\n"
    );
    let headers = "Content-Type: multipart/form-data; boundary=\"x y\"\r\n";
    let answer = send(&server.address(), "POST", "/v1/cs/configs", headers, body.as_bytes()).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "true"));
    let read = server.get("/v1/cs/configs", &[("dataId", "flow.xml"), ("group", "G")]).await;
    assert_eq!((read.text().as_str(), read.header("config-type")), (xml, Some("xml")));
    // Cut off in the middle: refused, nothing stored.
    let cut = &body.as_bytes()[..body.len() - 60];
    let answer = send(&server.address(), "POST", "/v1/cs/configs", headers, cut).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert!(u64::try_from(cut.len()).unwrap() < limits::HTTP_BODY);
    server.stop().await;
}

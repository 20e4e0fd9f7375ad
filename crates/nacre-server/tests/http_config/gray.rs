//! Gray versions.

use crate::client::Server;

async fn beta(server: &Server, content: &str, ips: &str) {
    let form = [("dataId", "d"), ("group", "G"), ("content", content)];
    let seen = server.post("/v1/cs/configs").form(&form).header("betaIps", ips).send().await;
    assert_eq!(seen.text(), "true");
}

async fn served(server: &Server, ip: &str) -> String {
    let query = [("dataId", "d"), ("group", "G")];
    server.get("/v1/cs/configs").query(&query).from(ip).send().await.text().to_owned()
}

async fn served_all(server: &Server) -> Vec<String> {
    let mut all = Vec::new();
    for ip in ["192.0.2.71", "192.0.2.72", "192.0.2.73"] {
        all.push(served(server, ip).await);
    }
    all
}

#[tokio::test]
async fn widening_and_moving_a_beta_takes_effect_with_the_same_content_c044() {
    let server = Server::start(&[]).await;
    server.publish("d", "v1").await;
    beta(&server, "v2", "192.0.2.71").await;
    assert_eq!(served_all(&server).await, ["v2", "v1", "v1"]);
    beta(&server, "v2", "192.0.2.71,192.0.2.72").await;
    assert_eq!(served_all(&server).await, ["v2", "v2", "v1"]);
    beta(&server, "v2", "192.0.2.72").await;
    assert_eq!(served_all(&server).await, ["v1", "v2", "v1"]);
    beta(&server, "v2", " 192.0.2.71 , 192.0.2.72").await;
    assert_eq!(served_all(&server).await, ["v2", "v2", "v1"]);
    server.stop().await;
}

#[tokio::test]
async fn a_beta_leaves_the_formal_config_alone_c045() {
    let server = Server::start(&[]).await;
    let form =
        [("dataId", "d"), ("group", "G"), ("content", "v1"), ("type", "yaml"), ("desc", "d"), ("config_tags", "a")];
    server.publish_as(&form).await;
    let query = [("dataId", "d"), ("group", "G"), ("show", "all")];
    let before = server.get("/v1/cs/configs").query(&query).send().await.json();
    beta(&server, "v2", "192.0.2.71").await;
    let seen = server.get("/v1/cs/configs").query(&[("dataId", "d"), ("group", "G")]).from("192.0.2.71").send().await;
    assert_eq!((seen.text(), seen.header("config-type"), seen.header("isBeta")), ("v2", Some("yaml"), Some("true")));
    let stop = server.delete("/v1/cs/configs").query(&[("dataId", "d"), ("group", "G"), ("beta", "true")]);
    assert_eq!(stop.send().await.json()["data"], true);
    let after = server.get("/v1/cs/configs").query(&query).send().await.json();
    assert_eq!(before, after);
    assert_eq!((&after["type"], &after["desc"], &after["configTags"]), (&"yaml".into(), &"d".into(), &"a".into()));
    server.stop().await;
}

#[tokio::test]
async fn a_tag_is_removed_by_its_name() {
    let server = Server::start(&[]).await;
    server.publish("d", "formal").await;
    server.publish_as(&[("dataId", "d"), ("group", "G"), ("content", "blue"), ("tag", "blue")]).await;
    let read = || server.get("/v1/cs/configs").query(&[("dataId", "d"), ("group", "G"), ("tag", "blue")]).send();
    let seen = read().await;
    assert_eq!((seen.text(), seen.header("tag")), ("blue", Some("blue")));
    let query = [("dataId", "d"), ("group", "G"), ("tag", "blue")];
    assert_eq!(server.delete("/v1/cs/configs").query(&query).send().await.text(), "true");
    assert_eq!(read().await.status, 404);
    assert_eq!(server.content("d").await.as_deref(), Ok("formal"));
    server.stop().await;
}

/// As 2.5.1 and 3.1 answer. That a beta sleeps outlives a restart, which wakes it in the reference.
#[tokio::test]
async fn a_beta_falls_asleep_when_its_config_is_removed() {
    let mut server = Server::start(&[]).await;
    server.publish("d", "v1").await;
    beta(&server, "v2", "192.0.2.71").await;
    let query = [("dataId", "d"), ("group", "G")];
    assert_eq!(server.delete("/v1/cs/configs").query(&query).send().await.text(), "true");
    for restarted in [false, true] {
        assert_eq!(served(&server, "192.0.2.71").await, "config data not exist\n", "restarted: {restarted}");
        let shown = [("dataId", "d"), ("group", "G"), ("beta", "true")];
        let shown = server.get("/v1/cs/configs").query(&shown).send().await.json();
        assert_eq!((&shown["data"]["content"], &shown["data"]["type"]), (&"v2".into(), &serde_json::Value::Null));
        let shown = [("dataId", "d"), ("groupName", "G")];
        let shown = server.get("/v3/admin/cs/config/beta").query(&shown).send().await.json();
        assert_eq!(shown["data"]["content"], "v2");
        let rule = r#"{"type":"beta","version":"1.0.0","expr":"192.0.2.71","priority":2147483647}"#;
        assert_eq!(shown["data"]["grayRule"], rule);
        if !restarted {
            server = server.restart().await;
        }
    }
    // Awake without a formal version: of no type.
    beta(&server, "v2", "192.0.2.71").await;
    let read = || server.get("/v3/client/cs/config").query(&[("dataId", "d"), ("groupName", "G")]).from("192.0.2.71");
    let seen = read().send().await.json();
    assert_eq!((&seen["data"]["content"], &seen["data"]["contentType"]), (&"v2".into(), &serde_json::Value::Null));
    assert_eq!(server.delete("/v1/cs/configs").query(&query).send().await.text(), "true");
    server.publish("d", "v3").await;
    assert_eq!(served_all(&server).await, ["v3", "v3", "v3"]);
    beta(&server, "v2", "192.0.2.71").await;
    assert_eq!(served_all(&server).await, ["v2", "v3", "v3"]);
    let page = [("search", "accurate"), ("dataId", "d"), ("group", "G"), ("pageNo", "1"), ("pageSize", "9")];
    let page = server.get("/v1/cs/history").query(&page).send().await.json();
    let ops: Vec<String> = page["pageItems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["opType"].as_str().unwrap().trim(), row["publishType"].as_str().unwrap()))
        .collect();
    assert_eq!(ops, ["U gray", "I formal", "U gray", "D formal", "I gray", "I formal"]);
    let stop = server.delete("/v1/cs/configs").query(&[("dataId", "d"), ("group", "G"), ("beta", "true")]);
    assert_eq!(stop.send().await.json()["data"], true);
    server.stop().await;
}

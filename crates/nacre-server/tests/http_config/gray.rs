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

//! Instances as targets of Prometheus, the paths that only 1.x has, and the pages that say where everything is.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::client::Server;

const SD: (&str, &str) = ("nacos.prometheus.metrics.enabled", "true");

async fn register(server: &Server, form: &[(&str, &str)]) {
    assert_eq!(server.post("/v1/ns/instance").form(form).send().await.text(), "ok", "{form:?}");
}

/// Labels by target.
async fn targets(server: &Server, path: &str) -> BTreeMap<String, Value> {
    let seen = server.get(path).send().await;
    assert_eq!((seen.status, seen.header("content-type")), (200, Some("application/json;charset=UTF-8")), "{path}");
    let all = seen.json();
    all.as_array()
        .unwrap()
        .iter()
        .map(|t| (t["targets"][0].as_str().unwrap().to_owned(), t["labels"].clone()))
        .collect()
}

#[tokio::test]
async fn prometheus_finds_every_instance_of_a_namespace_or_a_service() {
    let server = Server::start(&[SD]).await;
    let form = [("customNamespaceId", "dev"), ("namespaceName", "dev")];
    server.post("/v1/console/namespaces").form(&form).send().await;
    let base = [("serviceName", "web"), ("port", "80"), ("namespaceId", "dev")];
    let with = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
    register(&server, &with(&[("ip", "10.3.0.1"), ("metadata", r#"{"a.b-c":"1","k8s/pod":"p"}"#)])).await;
    register(&server, &with(&[("ip", "10.3.0.2"), ("clusterName", "C1"), ("healthy", "false")])).await;
    register(&server, &with(&[("ip", "10.3.0.3"), ("enabled", "false")])).await;
    register(&server, &[("serviceName", "other"), ("groupName", "G2"), ("ip", "10.4.0.1"), ("port", "81")]).await;

    let dev = targets(&server, "/prometheus/namespaceId/dev").await;
    let default = json!({"__meta_clusterName": "DEFAULT"});
    assert_eq!(dev.keys().collect::<Vec<_>>(), ["10.3.0.1:80", "10.3.0.2:80", "10.3.0.3:80"]);
    assert_eq!(dev["10.3.0.1:80"], json!({"__meta_clusterName": "DEFAULT", "a_b_c": "1", "k8s_pod": "p"}));
    assert_eq!(dev["10.3.0.2:80"], json!({"__meta_clusterName": "C1"}));
    assert_eq!(dev["10.3.0.3:80"], default);
    assert_eq!(targets(&server, "/prometheus/namespaceId/dev/service/web").await, dev);
    for path in ["/prometheus", "/prometheus/"] {
        assert_eq!(targets(&server, path).await.len(), 4, "{path}");
    }
    assert_eq!(targets(&server, "/prometheus/namespaceId/public").await.len(), 1);
    for path in [
        "/prometheus/namespaceId/none",
        "/prometheus/namespaceId/dev/service/none",
        "/prometheus/namespaceId/dev/service/DEFAULT_GROUP@@web",
        "/prometheus/namespaceId/public/service/other",
    ] {
        assert!(targets(&server, path).await.is_empty(), "{path}");
    }
    let seen = server.post("/prometheus").send().await;
    assert_eq!((seen.status, seen.text()), (500, "caused: Request method &#39;POST&#39; not supported;"));
}

#[tokio::test]
async fn discovery_that_nobody_switched_on_is_not_there() {
    let server = Server::start(&[]).await;
    for path in ["/prometheus", "/prometheus/namespaceId/public", "/prometheus/namespaceId/public/service/a"] {
        assert_eq!(server.get(path).send().await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn clients_of_the_first_generation_find_their_paths() {
    let server = Server::start(&[]).await;
    let base = [("serviceName", "old"), ("ip", "10.0.7.1"), ("port", "80"), ("namespaceId", "ns1")];
    let dom = [("dom", "old"), ("namespaceId", "ns1")];
    assert_eq!(server.post("/v1/ns/api").query(&base).send().await.text(), "ok");
    let list = server.get("/v1/ns/api/list").query(&base).send().await.json();
    assert_eq!(list["hosts"][0]["ip"], "10.0.7.1");
    let weight = [&base[..], &[("weight", "3")]].concat();
    assert_eq!(server.ask(Method::PUT, "/v1/ns/api").form(&weight).send().await.text(), "ok");
    assert_eq!(server.get("/v1/ns/api").query(&base).send().await.json()["weight"], 3.0);
    let hosts = |answer: Value| answer["hosts"].as_array().unwrap().len();
    assert_eq!(hosts(server.get("/v1/ns/api/srvIPXT").query(&dom).send().await.json()), 1);
    let grouped = [("dom", "G2@@old"), ("namespaceId", "ns1")];
    assert_eq!(hosts(server.get("/v1/ns/api/srvIPXT").query(&grouped).send().await.json()), 0);
    let missing = server.get("/v1/ns/api/srvIPXT").send().await;
    assert_eq!((missing.status, missing.text()), (400, "Param 'dom' is required."));

    let beat = [&dom[..], &[("beat", r#"{"ip":"10.0.7.1","port":80,"cluster":"DEFAULT"}"#)]].concat();
    assert_eq!(server.get("/v1/ns/api/clientBeat").query(&beat).send().await.json()["code"], 10200);
    // A beat of an instance that is not there brings it, as everywhere.
    let fresh = [("dom", "fresh"), ("beat", r#"{"ip":"10.0.7.9","port":81,"cluster":"C9"}"#)];
    assert_eq!(server.get("/v1/ns/api/clientBeat").query(&fresh).send().await.json()["code"], 10200);
    let doms = server.get("/v1/ns/api/allDomNames").send().await.json();
    assert_eq!(doms, json!({"count": 2, "doms": {"ns1": ["old"], "public": ["fresh"]}}));
    assert_eq!(server.delete("/v1/ns/api").query(&base).send().await.text(), "ok");
    assert_eq!(hosts(server.get("/v1/ns/api/srvIPXT").query(&dom).send().await.json()), 0);
}

#[tokio::test]
async fn whoever_looks_for_a_console_is_told_where_the_apis_are() {
    let server = Server::start(&[]).await;
    let page = server.get("/").send().await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html;charset=UTF-8")));
    assert!(page.text().contains("/nacos/v1") && page.text().contains("no web console"), "{}", page.text());
    // Every link of the page leads somewhere.
    let links: Vec<&str> = page.text().split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() >= 4);
    for link in links {
        let link = format!("/{}", link.replace("&amp;", "&"));
        assert_eq!(server.get(&link).send().await.status, 200, "{link}");
    }
    let announced = |path: &'static str| server.get(path).query(&[("language", "en-US")]).send();
    for path in ["/v1/console/server/announcement", "/v3/console/server/announcement"] {
        assert!(announced(path).await.json()["data"].as_str().unwrap().contains("no authentication"), "{path}");
    }
    std::fs::create_dir_all(server.home().join("conf")).unwrap();
    std::fs::write(server.home().join("conf/announcement_en-US.conf"), "Maintenance at noon.").unwrap();
    assert_eq!(announced("/v3/console/server/announcement").await.json()["data"], "Maintenance at noon.");
    let french = server.get("/v1/console/server/announcement").query(&[("language", "fr")]).send().await;
    assert_eq!(french.json()["data"], Value::Null);
    assert!(server.get("/v3/console/server/guide").send().await.json()["data"].is_string());
}

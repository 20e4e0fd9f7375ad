//! Lists, pages and counts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    common::Server,
    wire::{query, register},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weight_0_is_listed_and_disabled_is_not_c018() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    for (port, more) in [("1", ("weight", "0")), ("2", ("enabled", "false")), ("3", ("weight", "1"))] {
        server.register_http(&[("serviceName", "s"), ("ip", "192.0.2.1"), ("port", port), more]).await;
    }
    let seen = |list: &Value| -> Vec<(u64, f64)> {
        let hosts = list.as_array().unwrap().iter();
        let mut all: Vec<_> =
            hosts.map(|host| (host["port"].as_u64().unwrap(), host["weight"].as_f64().unwrap())).collect();
        all.sort_by_key(|host| host.0);
        all
    };
    let expected = [(1, 0.0), (3, 1.0)];
    assert_eq!(seen(&server.list("s").await["hosts"]), expected);
    assert_eq!(seen(&query(&client, "s").await["hosts"]), expected);
    let v2 = server.get("/v2/ns/instance/list", &[("serviceName", "s")]).await.json();
    assert_eq!(seen(&v2["data"]["hosts"]), expected);
    let v3 = server.get("/v3/client/ns/instance/list", &[("serviceName", "s")]).await.json();
    assert_eq!(seen(&v3["data"]), expected);
    server.stop().await;
}

/// Names and count of one page of a list.
async fn page(server: &Server, path: &str, number: &str, size: &str) -> (u64, Vec<String>) {
    let answer = server.get(path, &[("pageNo", number), ("pageSize", size), ("groupName", "DEFAULT_GROUP")]).await;
    assert_eq!(answer.status, 200, "{path} {number}: {}", answer.text());
    let body = answer.json();
    let body = body.get("data").unwrap_or(&body);
    let (count, names) = match body.get("totalCount") {
        Some(count) => (count, body["pageItems"].as_array().unwrap().iter().map(|item| &item["name"]).collect()),
        None => (
            &body["count"],
            body.get("doms").unwrap_or(&body["services"]).as_array().unwrap().iter().collect::<Vec<_>>(),
        ),
    };
    (count.as_u64().unwrap(), names.iter().map(|name| name.as_str().unwrap().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_beyond_the_end_are_empty_and_page_0_is_the_first_c019_c021() {
    let server = Server::start(&[]).await;
    for name in ["a", "b"] {
        server.register_http(&[("serviceName", name), ("ip", "192.0.2.1"), ("port", "80")]).await;
    }
    for path in ["/v1/ns/service/list", "/v2/ns/service/list", "/v3/admin/ns/service/list"] {
        let mut union = Vec::new();
        for number in ["1", "2"] {
            let (count, names) = page(&server, path, number, "1").await;
            assert_eq!((count, names.len()), (2, 1), "{path} {number}");
            union.extend(names);
        }
        union.sort();
        assert_eq!(union, ["a", "b"], "{path}");
        for number in ["3", "99", "2147483647"] {
            assert_eq!(page(&server, path, number, "1").await, (2, Vec::new()), "{path} {number}");
        }
        let zero =
            server.get(path, &[("pageNo", "0"), ("pageSize", "2147483647"), ("groupName", "DEFAULT_GROUP")]).await;
        assert!(zero.status == 400 || zero.text().contains("\"a\""), "{path}: {}", zero.text());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_counts_everything_while_services_come_c020() {
    let server = Server::start(&[]).await;
    let (client, adder) = (server.client("naming").await, server.client("naming").await);
    for n in 0..120 {
        register(&client, &format!("s{n:03}"), json!({"ip": "192.0.2.1", "port": 80})).await;
    }
    let list = async |number: u32| {
        let body = json!({"namespace": "", "groupName": "DEFAULT_GROUP", "pageNo": number, "pageSize": 50});
        let answer = client.call("ServiceListRequest", body).await.body;
        let names = answer["serviceNames"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        (answer["count"].as_u64().unwrap(), names.collect::<Vec<_>>())
    };
    let mut sizes = Vec::new();
    let mut union = BTreeSet::new();
    for number in 1..=3 {
        let (count, names) = list(number).await;
        assert_eq!(count, 120);
        sizes.push(names.len());
        union.extend(names);
    }
    assert_eq!((sizes, union.len()), (vec![50, 50, 20], 120));
    // Newcomers between the pages hide none of those that were there.
    let mut union = BTreeSet::new();
    for number in 1..=4 {
        union.extend(list(number).await.1);
        for n in 0..5 {
            register(&adder, &format!("a{number}{n}"), json!({"ip": "192.0.2.1", "port": 80})).await;
        }
    }
    assert_eq!(union.iter().filter(|name| name.starts_with('s')).count(), 120);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there_is_an_error_and_its_list_is_empty_c022() {
    let server = Server::start(&[]).await;
    for (path, status) in [("/v1/ns/service", 400), ("/v2/ns/service", 400), ("/v3/admin/ns/service", 400)] {
        let answer = server.get(path, &[("serviceName", "c45-none"), ("groupName", "DEFAULT_GROUP")]).await;
        assert!(answer.status >= 400, "{path}: {}", answer.text());
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().contains("c45-none"), "{path}: {}", answer.text());
    }
    let text = "service not found, namespace: public, serviceName: DEFAULT_GROUP@@c45-none";
    assert!(server.get("/v1/ns/service", &[("serviceName", "c45-none")]).await.text().contains(text));
    let list = server.list("c45-none").await;
    assert_eq!(list["hosts"], json!([]));
    let client = server.client("naming").await;
    assert_eq!(query(&client, "c45-none").await["hosts"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_made_service_lives_as_long_as_the_property_says_c023() {
    let server = Server::start(&[("nacos.naming.clean.empty-service.expired-time", "1500")]).await;
    let kept = Server::start(&[]).await;
    for server in [&server, &kept] {
        server.done("POST", "/v1/ns/service", &[("serviceName", "c47")], "ok").await;
    }
    let there = async |server: &Server| server.get("/v1/ns/service", &[("serviceName", "c47")]).await.status == 200;
    assert!(there(&server).await);
    crate::wire::eventually("cleaned", async || !there(&server).await).await;
    let told = server.told(&[("kind", "serviceRemoved"), ("service", "c47")]).await;
    assert!(told.len() == 1 && told[0].contains("empty"), "{told:?}");
    let events = server.events(&[("service", "c47")]).await;
    let at = |kind: &str| events.iter().find(|event| event["kind"] == kind).unwrap()["at"].as_i64().unwrap();
    assert!(at("serviceRemoved") - at("serviceCreated") >= 1_500);
    assert!(there(&kept).await, "a minute by default");
    server.stop().await;
    kept.stop().await;
}

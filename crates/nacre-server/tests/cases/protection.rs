//! The protection threshold.

use serde_json::{Value, json};

use crate::{
    common::Server,
    wire::{eventually, query, subscribe},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protection_masks_lists_and_pushes_but_not_details_c016() {
    let server = Server::start(&[]).await;
    let mut watcher = server.client("naming").await;
    server.done("POST", "/v1/ns/service", &[("serviceName", "s"), ("protectThreshold", "0")], "ok").await;
    subscribe(&watcher, "s").await;
    for port in ["1", "2"] {
        let down = [("ephemeral", "false"), ("healthy", "false")];
        server.register_http(&[("serviceName", "s"), ("ip", "127.0.0.1"), ("port", port), down[0], down[1]]).await;
    }
    let masked = |list: &Value| {
        let hosts = list["hosts"].as_array().unwrap();
        hosts.len() == 2 && hosts.iter().all(|host| host["healthy"] == true) && list["reachProtectionThreshold"] == true
    };
    let v2 = server.get("/v2/ns/instance/list", &[("serviceName", "s")]).await.json();
    for list in [&server.list("s").await, &query(&watcher, "s").await, &v2["data"]] {
        assert!(masked(list), "{list}");
    }
    loop {
        let push = watcher.take().await.body["serviceInfo"].clone();
        if push["hosts"].as_array().unwrap().len() == 2 {
            assert!(masked(&push), "{push}");
            break;
        }
    }
    let one = [("serviceName", "s"), ("ip", "127.0.0.1"), ("port", "1")];
    assert_eq!(server.get("/v1/ns/instance", &one).await.json()["healthy"], false);
    assert_eq!(server.get("/v2/ns/instance", &one).await.json()["data"]["healthy"], false);
    let catalog = [one[0], ("clusterName", "DEFAULT"), ("pageNo", "1"), ("pageSize", "10")];
    let catalog = server.get("/v1/ns/catalog/instances", &catalog).await.json();
    let seen: Vec<_> = catalog["list"].as_array().unwrap().iter().map(|host| &host["healthy"]).collect();
    assert_eq!(seen, [&json!(false), &json!(false)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threshold_0_masks_when_nobody_is_healthy_unless_told_otherwise_c017() {
    for (switch, masks) in [("true", true), ("false", false)] {
        let server = Server::start(&[("nacre.naming.protection.threshold-zero-masks", switch)]).await;
        for (service, threshold) in [("zero", "0"), ("less", "-1")] {
            let metadata = json!({"preserved.heart.beat.interval": "100", "preserved.heart.beat.timeout": "300",
                "preserved.ip.delete.timeout": "60000"})
            .to_string();
            let instance = [("serviceName", service), ("ip", "192.0.2.1"), ("port", "80"), ("metadata", &*metadata)];
            server.register_http(&instance).await;
            let put = [("serviceName", service), ("protectThreshold", threshold)];
            let changed = server.http("PUT", "/v1/ns/service", &put).await;
            assert_eq!(changed.status, 200, "{}", changed.text());
            let detail = async || server.get("/v1/ns/instance", &instance[..3]).await.json();
            eventually("unhealthy", async || detail().await["healthy"] == false).await;
            let list = server.list(service).await;
            let seen = (&list["hosts"][0]["healthy"], &list["reachProtectionThreshold"]);
            assert_eq!(seen, (&json!(masks), &json!(masks)), "{threshold}");
            if masks {
                let told = async || server.told(&[("kind", "protectionReached"), ("service", service)]).await;
                eventually("it is told", async || !told().await.is_empty()).await;
                assert!(told().await[0].contains("0 of 1"), "{:?}", told().await);
            }
        }
        server.stop().await;
    }
}

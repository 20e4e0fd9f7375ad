//! Who publishes what: one entry an address, one place a name.

use serde_json::{Value, json};

use crate::{
    common::Server,
    wire::{addresses, eventually, query, register, subscribe},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_publishers_of_one_address_are_one_entry_c012() {
    let server = Server::start(&[]).await;
    let mut watcher = server.client("naming").await;
    let at = |weight: u32| json!({"ip": "192.0.2.60", "port": 80, "weight": weight});
    let (a, b) = (server.client("naming").await, server.client("naming").await);
    let (id_a, id_b) = (a.id().await, b.id().await);
    subscribe(&watcher, "s").await;
    register(&a, "s", at(1)).await;
    register(&b, "s", at(100)).await;
    let weights = |list: &Value| -> Vec<f64> {
        list["hosts"].as_array().unwrap().iter().map(|host| host["weight"].as_f64().unwrap()).collect()
    };
    assert_eq!(weights(&server.list("s").await), [100.0]);
    assert_eq!(weights(&query(&watcher, "s").await), [100.0]);
    loop {
        let seen = weights(&watcher.take().await.body["serviceInfo"]);
        assert!(seen.len() <= 1, "{seen:?}");
        if seen == [100.0] {
            break;
        }
    }
    // Both stay visible as clients, and it is told.
    let publishers = server
        .get("/v3/admin/ns/client/service/publisher/list", &[("serviceName", "s"), ("groupName", "DEFAULT_GROUP")])
        .await
        .text();
    assert!(publishers.contains(&id_a) && publishers.contains(&id_b), "{publishers}");
    let shadowed = server.events(&[("kind", "instanceShadowed"), ("service", "s")]).await;
    assert!(!shadowed.is_empty() && shadowed[0].to_string().contains("192.0.2.60:80"), "{shadowed:?}");
    // The same over HTTP is a third publisher of the same address.
    server.register_http(&[("serviceName", "s"), ("ip", "192.0.2.60"), ("port", "80"), ("weight", "7")]).await;
    assert_eq!(weights(&server.list("s").await), [7.0]);
    server.done("DELETE", "/v1/ns/instance", &[("serviceName", "s"), ("ip", "192.0.2.60"), ("port", "80")], "ok").await;
    assert_eq!(weights(&server.list("s").await), [100.0]);
    drop(b);
    eventually("the first one's entry is back", async || weights(&server.list("s").await) == [1.0]).await;
    drop(a);
    eventually("nobody is left", async || server.hosts("s").await.is_empty()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_address_of_a_connection_replaces_the_first_and_a_batch_keeps_all_c013() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    register(&client, "s", json!({"ip": "192.0.2.1", "port": 80})).await;
    register(&client, "s", json!({"ip": "192.0.2.2", "port": 80})).await;
    assert_eq!(addresses(&server.list("s").await), ["192.0.2.2:80"]);
    let told = server.told(&[("kind", "instanceRemoved"), ("instance", "192.0.2.1:80:DEFAULT")]).await;
    assert!(told.len() == 1 && told[0].contains("192.0.2.2:80") && told[0].contains("batch"), "{told:?}");
    let all: Vec<Value> = (1..=3).map(|n| json!({"ip": format!("192.0.2.{n}"), "port": 80})).collect();
    let body = json!({"namespace": "", "serviceName": "s", "groupName": "DEFAULT_GROUP", "type": "batchRegisterInstance",
        "instances": all});
    assert_eq!(client.call("BatchInstanceRequest", body).await.body["resultCode"], 200);
    let all = ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"];
    assert_eq!(addresses(&server.list("s").await), all);
    assert_eq!(addresses(&query(&client, "s").await), all);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deregistration_that_matched_nothing_says_what_is_there_instead_c014() {
    let server = Server::start(&[]).await;
    let base = [("serviceName", "p"), ("ip", "192.0.2.1"), ("port", "80")];
    let persistent = [base[0], base[1], base[2], ("ephemeral", "false")];
    server.register_http(&persistent).await;
    for path in ["/v1/ns/instance", "/v2/ns/instance", "/v3/client/ns/instance"] {
        assert_eq!(server.http("DELETE", path, &base).await.status, 200, "{path}");
        assert_eq!(server.hosts("p").await.len(), 1, "{path}");
    }
    let client = server.client("naming").await;
    let body = json!({"namespace": "", "serviceName": "p", "groupName": "DEFAULT_GROUP", "type": "deregisterInstance",
        "instance": {"ip": "192.0.2.1", "port": 80}});
    assert_eq!(client.call("InstanceRequest", body.clone()).await.body["resultCode"], 200);
    assert_eq!(server.hosts("p").await.len(), 1);
    let told = server.told(&[("kind", "nothingChanged"), ("service", "p")]).await;
    assert_eq!(told.len(), 4, "{told:?}");
    let hint = "persistent instance with the same address";
    assert!(told.iter().filter(|text| text.contains(hint)).count() >= 3, "{told:?}");
    // The right kind removes, whatever the transport.
    assert_eq!(client.call("PersistentInstanceRequest", body).await.body["resultCode"], 200);
    assert!(server.hosts("p").await.is_empty());
    // The other way round: a persistent deregistration leaves an ephemeral one alone.
    let ephemeral = [("serviceName", "e"), base[1], base[2]];
    server.register_http(&ephemeral).await;
    let wrong = [ephemeral[0], base[1], base[2], ("ephemeral", "false")];
    assert_eq!(server.http("DELETE", "/v1/ns/instance", &wrong).await.text(), "ok");
    assert_eq!(server.hosts("e").await.len(), 1);
    assert_eq!(server.told(&[("kind", "nothingChanged"), ("service", "e")]).await.len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_empty_parts_are_three_services_c024() {
    let server = Server::start(&[]).await;
    let mut client = server.client("naming").await;
    let names = ["providers:com.x.S::tcc", "providers:com.x.S:1.0.0:", "consumers:com.x.S::", "order\u{2010}service"];
    for (port, name) in (1..).zip(names) {
        subscribe(&client, name).await;
        assert_eq!(register(&client, name, json!({"ip": "192.0.2.1", "port": port})).await["resultCode"], 200);
        loop {
            let push = client.take().await.body["serviceInfo"].clone();
            if push["name"] == name && push["hosts"].as_array().unwrap().len() == 1 {
                break;
            }
        }
        assert_eq!(addresses(&query(&client, name).await), [format!("192.0.2.1:{port}")]);
        assert_eq!(server.list(name).await["name"], format!("DEFAULT_GROUP@@{name}"));
    }
    let body = json!({"namespace": "", "groupName": "DEFAULT_GROUP", "pageNo": 1, "pageSize": 100});
    let listed = client.call("ServiceListRequest", body).await.body["serviceNames"].clone();
    let mut listed: Vec<&str> = listed.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    listed.sort_unstable();
    let mut expected = names;
    expected.sort_unstable();
    assert_eq!(listed, expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_the_same_over_every_road_c029() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let odd =
        json!({"methods": "a,b", "url": "x=1&y=<z>", "q": "it's \"q\"", "u": "中文😀", "nl": "a\r\nb\\", "e": ""});
    let text = odd.to_string();
    let http = [("serviceName", "s"), ("ip", "192.0.2.1"), ("port", "80"), ("metadata", &*text)];
    register(&client, "s", json!({"ip": "192.0.2.9", "port": 80, "metadata": odd})).await;
    for (method, path) in [
        ("POST", "/v1/ns/instance"),
        ("PUT", "/v1/ns/instance"),
        ("POST", "/v2/ns/instance"),
        ("PUT", "/v2/ns/instance"),
        ("POST", "/v3/client/ns/instance"),
        ("PUT", "/v3/admin/ns/instance"),
    ] {
        assert_eq!(server.http(method, path, &http).await.status, 200, "{path}");
        for list in [server.list("s").await, query(&client, "s").await] {
            let hosts = list["hosts"].as_array().unwrap();
            assert_eq!(hosts.len(), 2, "{method} {path}");
            assert!(hosts.iter().all(|host| host["metadata"] == odd), "{method} {path}: {list}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ipv6_server_serves_ipv6_instances_and_checks_them_c030() {
    if tokio::net::TcpListener::bind("[::1]:0").await.is_err() {
        eprintln!("this machine has no IPv6");
        return;
    }
    let server = Server::start(&[("nacre.listen", "127.0.0.1,::1")]).await;
    let six = format!("[::1]:{}", server.app.settings.main_port);
    let listener = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for (ip, method) in [("::1", "POST"), ("[::1]", "PUT")] {
        let params = [("serviceName", ip), ("ip", ip), ("port", &*port), ("ephemeral", "false"), ("healthy", "false")];
        let target = format!("/v1/ns/instance?{}", crate::wire::encoded(&params));
        assert_eq!(crate::wire::send(&six, "POST", &target, "", b"").await.text(), "ok");
        assert_eq!(crate::wire::send(&six, method, &target, "", b"").await.text(), "ok");
        let base = &params[..3];
        assert_eq!(server.get("/v1/ns/instance", base).await.json()["ip"], ip);
        // The check connects to the address and finds somebody there.
        eventually("checked", async || server.get("/v1/ns/instance", base).await.json()["healthy"] == true).await;
    }
    let client = server.client("naming").await;
    register(&client, "six", json!({"ip": "2001:db8::7", "port": 7001})).await;
    assert_eq!(addresses(&server.list("six").await), ["2001:db8::7:7001"]);
    server.stop().await;
}

//! Heartbeats and the timers that instances bring along.

use serde_json::{Value, json};

use crate::{
    common::Server,
    wire::{eventually, send},
};

/// Short timers, in milliseconds: beat timeout and delete timeout.
fn timers(interval: u32, timeout: u32, delete: u32) -> String {
    json!({"preserved.heart.beat.interval": interval.to_string(), "preserved.heart.beat.timeout": timeout.to_string(),
        "preserved.ip.delete.timeout": delete.to_string()})
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beat_of_nobody_asks_to_register_again_in_every_generation_c001() {
    let server = Server::start(&[]).await;
    let base = [("serviceName", "DEFAULT_GROUP@@c2-svc"), ("ip", "192.0.2.11"), ("port", "80")];
    for path in ["/v1/ns/instance/beat", "/v2/ns/instance/beat"] {
        let unknown = server.http("PUT", path, &base).await;
        assert_eq!(unknown.status, 200);
        let body = unknown.json();
        let body = body.get("data").unwrap_or(&body);
        assert_eq!(*body, json!({"clientBeatInterval": 5000, "code": 20404, "lightBeatEnabled": true}), "{path}");
    }
    let v3 = [("serviceName", "c2-svc"), ("ip", "192.0.2.11"), ("port", "80"), ("heartBeat", "true")];
    let unknown = server.http("POST", "/v3/client/ns/instance", &v3).await.json();
    assert_eq!(unknown["code"], 21003, "{unknown}");
    assert!(server.hosts("c2-svc").await.is_empty(), "a light beat makes nothing");
    let told = server.told(&[("kind", "beatUnknownInstance"), ("service", "c2-svc")]).await;
    assert!(told.len() == 3 && told[0].contains("register again"), "{told:?}");

    let beat = json!({"ip": "192.0.2.11", "port": 80, "serviceName": "DEFAULT_GROUP@@c2-svc"}).to_string();
    let known = server.http("PUT", "/v1/ns/instance/beat", &[base[0], ("beat", &beat)]).await.json();
    assert_eq!(known, json!({"clientBeatInterval": 5000, "code": 10200, "lightBeatEnabled": true}));
    assert_eq!(server.hosts("c2-svc").await.len(), 1);
    for path in ["/v1/ns/instance/beat", "/v2/ns/instance/beat"] {
        let known = server.http("PUT", path, &base).await.json();
        assert_eq!(known.get("data").unwrap_or(&known)["code"], 10200, "{path}");
    }
    assert_eq!(server.http("POST", "/v3/client/ns/instance", &v3).await.json()["code"], 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_in_seconds_are_taken_as_milliseconds_and_told_c005() {
    let server = Server::start(&[]).await;
    let base = [("serviceName", "c7-svc"), ("ip", "192.0.2.7"), ("port", "80")];
    server.register_http(&[base[0], base[1], base[2], ("metadata", &timers(5, 15, 30))]).await;
    let told = server.told(&[("kind", "suspicious"), ("service", "c7-svc")]).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(["5", "15", "30", "milliseconds"].iter().all(|word| told[0].contains(word)), "{}", told[0]);
    // A flood of full beats tells it no more often.
    let metadata: Value = serde_json::from_str(&timers(5, 15, 30)).unwrap();
    let beat = json!({"ip": "192.0.2.7", "port": 80, "serviceName": "c7-svc", "metadata": metadata}).to_string();
    for _ in 0..200 {
        let answer = server.http("PUT", "/v1/ns/instance/beat", &[base[0], ("beat", &beat)]).await.json();
        assert_eq!((&answer["code"], &answer["clientBeatInterval"]), (&json!(10200), &json!(5)));
    }
    let usual = [("serviceName", "calm"), ("ip", "192.0.2.8"), ("port", "80"), ("metadata", &*timers(500, 1500, 3000))];
    server.register_http(&usual).await;
    assert!(server.told(&[("kind", "suspicious"), ("service", "calm")]).await.is_empty());
    server.stop().await;
}

/// While one client floods, every beat of the others is answered and counts; the flood is told with the address it comes from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_beats_is_named_and_costs_no_other_beat_c005() {
    const CALM: usize = 20;
    let server = Server::start(&[]).await;
    let base = [("serviceName", "flood"), ("ip", "192.0.2.7"), ("port", "80")];
    server.register_http(&base).await;
    let ports: Vec<String> = (1..=CALM).map(|port| port.to_string()).collect();
    for port in &ports {
        server.register_http(&[("serviceName", "calm"), ("ip", "192.0.2.8"), ("port", port)]).await;
    }
    let mut answered = 0;
    // A slow machine needs more of them until 200 are close together.
    for _ in 0..50 {
        let flood = async {
            for _ in 0..200 {
                assert_eq!(server.http("PUT", "/v1/ns/instance/beat", &base).await.json()["code"], 10200);
            }
        };
        let others = async {
            for port in &ports {
                let calm = [("serviceName", "calm"), ("ip", "192.0.2.8"), ("port", port.as_str())];
                assert_eq!(server.http("PUT", "/v1/ns/instance/beat", &calm).await.json()["code"], 10200);
                answered += 1;
            }
        };
        tokio::join!(flood, others);
        if !server.told(&[("kind", "suspicious"), ("service", "flood")]).await.is_empty() {
            break;
        }
    }
    let told = server.told(&[("kind", "suspicious"), ("service", "flood")]).await;
    assert!(told[0].contains("200 beats in a row from 127.0.0.1") && told[0].contains("192.0.2.7:80"), "{told:?}");
    assert!(answered >= CALM && server.hosts("calm").await.len() == CALM);
    for kind in ["beatLate", "instanceUnhealthy", "instanceRemoved", "suspicious"] {
        assert!(server.told(&[("kind", kind), ("service", "calm")]).await.is_empty(), "{kind}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_instance_is_unhealthy_first_and_removed_later_with_causes_c006() {
    let server = Server::start(&[]).await;
    let metadata = timers(300, 900, 2_500);
    let base = [("serviceName", "s"), ("ip", "192.0.2.6"), ("port", "80"), ("metadata", &metadata)];
    server.register_http(&base).await;
    // Another one that stays healthy keeps the list unprotected: it takes its time to expire.
    let slow = timers(300, 60_000, 60_000);
    server.register_http(&[base[0], ("ip", "192.0.2.66"), base[2], ("metadata", &slow)]).await;
    let about = async |healthy_only: &str| -> Vec<bool> {
        let list = server.get("/v1/ns/instance/list", &[base[0], ("healthyOnly", healthy_only)]).await.json();
        let hosts = list["hosts"].as_array().unwrap().clone();
        hosts.iter().filter(|host| host["ip"] == "192.0.2.6").map(|host| host["healthy"] == true).collect()
    };
    for _ in 0..3 {
        assert_eq!(server.http("PUT", "/v1/ns/instance/beat", &base[..3]).await.json()["code"], 10200);
    }
    assert_eq!((about("false").await, about("true").await), (vec![true], vec![true]));
    eventually("unhealthy", async || about("false").await == [false]).await;
    assert!(about("true").await.is_empty(), "dropped at the flip");
    eventually("gone", async || about("false").await.is_empty()).await;
    let story = server.events(&[("instance", "192.0.2.6:80:DEFAULT")]).await;
    let mut kinds: Vec<&str> = story.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    kinds.reverse();
    // The doctor says something of it, sooner or later.
    kinds.retain(|kind| !kind.starts_with("finding"));
    assert_eq!(kinds, ["instanceRegistered", "instanceUnhealthy", "instanceRemoved"]);
    let silent = |event: &Value, pointer: &str| {
        event.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{event}"))
    };
    assert!(silent(&story[1], "/cause/silentMs") > 900);
    assert!(silent(&story[0], "/cause/removal/silentMs") > 2_500);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_instance_that_is_dead_goes_all_the_same_c007() {
    let server = Server::start(&[("nacos.naming.clean.expired-metadata.expired-time", "1000")]).await;
    let metadata = timers(300, 800, 3_000);
    let base = [("serviceName", "s"), ("ip", "192.0.2.6"), ("port", "80"), ("metadata", &*metadata)];
    server.register_http(&base).await;
    let catalog = async || {
        let params = [base[0], ("clusterName", "DEFAULT"), ("pageNo", "1"), ("pageSize", "10")];
        let page = server.get("/v1/ns/catalog/instances", &params).await;
        if page.status == 200 { page.json()["list"].as_array().unwrap().clone() } else { Vec::new() }
    };
    eventually("unhealthy", async || catalog().await[0]["healthy"] == false).await;
    server.done("PUT", "/v1/ns/instance", &[base[0], base[1], base[2], base[3], ("enabled", "false")], "ok").await;
    assert_eq!(catalog().await[0]["enabled"], false);
    eventually("removed", async || catalog().await.is_empty()).await;
    // The operator's decision outlives the instance for a while: that is how it holds through restarts of the client.
    server.register_http(&base).await;
    assert_eq!(catalog().await[0]["enabled"], false);
    eventually("removed again", async || catalog().await.is_empty()).await;
    eventually("the record lapses", async || {
        server.register_http(&base).await;
        let enabled = catalog().await[0]["enabled"] == true;
        server.done("DELETE", "/v1/ns/instance", &base[..3], "ok").await;
        if !enabled {
            // Its absence is what the record's age counts from.
            tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        }
        enabled
    })
    .await;
    server.stop().await;
}

/// Bytes that are no beat answer an error and leave the connection and everybody else alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beats_that_nobody_can_read_are_refused_c001() {
    let server = Server::start(&[]).await;
    for beat in ["{", "[]", "null", "\"x\"", "{\"port\":\"x\"}", "{\"ip\":{}}", "%7B", "\u{0}"] {
        let answer = server.http("PUT", "/v1/ns/instance/beat", &[("serviceName", "s"), ("beat", beat)]).await;
        assert!((400..=500).contains(&answer.status) || answer.json()["code"].is_i64(), "{beat}: {answer:?}");
    }
    let raw = send(&server.address(), "PUT", "/v1/ns/instance/beat", "", b"\xff\xfe\x00beat=").await;
    assert!(raw.status >= 400, "{raw:?}");
    assert!(server.hosts("s").await.is_empty());
    server.stop().await;
}

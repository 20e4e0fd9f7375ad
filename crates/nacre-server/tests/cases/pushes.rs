//! Pushes: complete, in order, never misleading.

use serde_json::json;
use tokio::net::UdpSocket;

use crate::{
    common::{LONG, Server},
    wire::{addresses, eventually, query, register, send, subscribe},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_change_to_nobody_is_pushed_with_a_later_stamp_c010() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client("naming").await;
    let (first, second) = (server.client("naming").await, server.client("naming").await);
    register(&first, "s", json!({"ip": "192.0.2.1", "port": 1})).await;
    register(&second, "s", json!({"ip": "192.0.2.1", "port": 2})).await;
    let mut stamp = subscribe(&consumer, "s").await["lastRefTime"].as_i64().unwrap();
    consumer.take().await;
    for (client, left) in [(first, 1), (second, 0)] {
        drop(client);
        loop {
            let push = consumer.take().await.body["serviceInfo"].clone();
            let newer = push["lastRefTime"].as_i64().unwrap();
            assert!(newer > stamp, "{newer} after {stamp}");
            stamp = newer;
            if push["hosts"].as_array().unwrap().len() == left {
                break;
            }
        }
    }
    server.stop().await;
}

/// Leaves and comes back within the time of a restart, over gRPC and over HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_rolling_restarts_never_show_an_empty_list_c011() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client("naming").await;
    let provider = server.client("naming").await;
    register(&provider, "s", json!({"ip": "192.0.2.1", "port": 1})).await;
    subscribe(&consumer, "s").await;
    let address = server.address();
    let rounds = tokio::spawn(async move {
        for port in 2..=51 {
            if port % 2 == 0 {
                let body = json!({"namespace": "", "serviceName": "s", "groupName": "DEFAULT_GROUP",
                    "type": "deregisterInstance", "instance": {"ip": "192.0.2.1", "port": port - 1}});
                provider.call("InstanceRequest", body).await;
                register(&provider, "s", json!({"ip": "192.0.2.1", "port": port})).await;
            } else {
                register(&provider, "s", json!({"ip": "192.0.2.1", "port": port})).await;
            }
            let target = "/v1/ns/instance?serviceName=other&ip=192.0.2.9&port=9";
            send(&address, "POST", target, "", b"").await;
            send(&address, "DELETE", target, "", b"").await;
        }
        provider
    });
    loop {
        let push = consumer.take().await.body["serviceInfo"].clone();
        assert_eq!(push["hosts"].as_array().unwrap().len(), 1, "{push}");
        if addresses(&push) == ["192.0.2.1:51"] {
            break;
        }
    }
    let _provider = rounds.await.unwrap();
    assert_eq!(addresses(&query(&consumer, "s").await), ["192.0.2.1:51"]);
    server.stop().await;
}

const AGENT: &str = "User-Agent: Nacos-Java-Client:v1.4.2\r\n";

async fn hosts_pushed(socket: &UdpSocket) -> usize {
    let mut buffer = vec![0; 65_536];
    let (len, _) = tokio::time::timeout(LONG, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    let packet: serde_json::Value = serde_json::from_slice(&buffer[..len]).unwrap();
    let info: serde_json::Value = serde_json::from_str(packet["data"].as_str().unwrap()).unwrap();
    info["hosts"].as_array().unwrap().len()
}

/// The first push brings the list that was asked for, whatever became of the answer; later polls bring none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_udp_subscription_is_followed_by_a_push() {
    let server = Server::start(&[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    server.register_http(&[("serviceName", "s"), ("ip", "192.0.2.1"), ("port", "1")]).await;
    for name in ["s", "s", "unknown", "s"] {
        let target = format!("/v1/ns/instance/list?serviceName={name}&udpPort={port}&clientIP=127.0.0.1");
        assert_eq!(send(&server.address(), "GET", &target, AGENT, b"").await.status, 200);
    }
    let mut hosts = [hosts_pushed(&socket).await, hosts_pushed(&socket).await];
    hosts.sort_unstable();
    assert_eq!(hosts, [0, 1], "one of each service");
    server.stop().await;
}

/// Every poll renews a UDP subscriber; one that polled only once is dropped, visibly, and a poll brings it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_udp_subscriber_polls_to_stay_c009() {
    let server = Server::start(&[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let poll = async || {
        let target = format!("/v1/ns/instance/list?serviceName=s&udpPort={port}&clientIP=127.0.0.1");
        assert_eq!(send(&server.address(), "GET", &target, AGENT, b"").await.status, 200);
    };
    poll().await;
    server.register_http(&[("serviceName", "s"), ("ip", "192.0.2.1"), ("port", "1")]).await;
    assert_eq!(hosts_pushed(&socket).await, 1);
    let subscribers =
        async || server.get("/v1/ns/service/subscribers", &[("serviceName", "s")]).await.json()["count"].clone();
    assert_eq!(subscribers().await, 1);
    // 30 s of silence without waiting for them: the core is told a later time.
    let mut later = server.app.clock.now();
    later.mono += 70_000;
    server.app.effects.naming(server.app.naming.tick(later));
    eventually("it lapsed", async || subscribers().await == 0).await;
    server.register_http(&[("serviceName", "s"), ("ip", "192.0.2.1"), ("port", "2")]).await;
    poll().await;
    server.register_http(&[("serviceName", "s"), ("ip", "192.0.2.1"), ("port", "3")]).await;
    while hosts_pushed(&socket).await == 0 {}
    assert_eq!(subscribers().await, 1);
    server.stop().await;
}

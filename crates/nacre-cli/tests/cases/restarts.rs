//! The server dies and comes back.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    client::Client,
    node::{self, Node, eventually},
};

fn names(page: &Value) -> BTreeSet<String> {
    page["doms"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn persistent_instances_survive_a_snapshot_kill_9_and_the_cleaner_c015() {
    let home = tempfile::tempdir().unwrap();
    let settings = ["nacre.log.checkpoint-entries=100", "nacos.naming.clean.empty-service.expired-time=1000"];
    let server = Node::start(home.path(), &settings);
    for port in 1..=20 {
        let instance = format!("serviceName=p&ip=192.0.2.1&port={port}&ephemeral=false&healthy=true");
        assert_eq!(server.post("/v1/ns/instance", &instance), "ok");
    }
    let mut writes = 0;
    eventually("a snapshot after them", || {
        writes += 1;
        server.publish("filler", &writes.to_string());
        writes > 100 && !server.events("kind=snapshotTaken").is_empty() && !server.events("kind=logPurged").is_empty()
    });
    let port = server.kill();

    let server = Node::start_on(home.path(), port, &settings);
    assert_eq!(server.hosts("p").len(), 20, "at once");
    assert_eq!(server.metric(r#"nacos_monitor{module="naming",name="ipCount",}"#), 20.0);
    // The cleaner has been here when a service that is empty indeed has gone.
    server.post("/v1/ns/service", "serviceName=empty");
    eventually("the cleaner's visit", || server.events("kind=serviceRemoved&service=empty").len() == 1);
    assert_eq!(server.hosts("p").len(), 20, "and later");
}

/// What one client of the storm knows: whether its registration was acknowledged on a connection that is still open.
struct Provider {
    service: String,
    acknowledged: Option<(Client, String)>,
}

/// Registers until it is acknowledged; starts anew whenever the connection breaks, as SDKs do.
async fn redo(provider: &mut Provider, port: &AtomicU16, attempts: &AtomicUsize) {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    loop {
        pace.tick().await;
        attempts.fetch_add(1, Ordering::Relaxed);
        let Ok(mut client) = Client::dial(port.load(Ordering::Relaxed) + 1000).await else { continue };
        if client.try_introduce("naming").await.is_err() {
            continue;
        }
        let body = json!({"namespace": "", "serviceName": provider.service, "groupName": "G", "type": "registerInstance",
            "instance": {"ip": "192.0.2.1", "port": 80}});
        let Ok(answer) = client.try_call("InstanceRequest", body).await else { continue };
        assert_eq!(answer.body["resultCode"], 200, "{answer:?}");
        let Ok(check) = client.try_call("ServerCheckRequest", json!({})).await else { continue };
        provider.acknowledged = Some((client, check.body["connectionId"].as_str().unwrap().to_owned()));
        return;
    }
}

/// Keeps a provider registered until told to stop.
async fn live(
    mut provider: Provider,
    port: Arc<AtomicU16>,
    attempts: Arc<AtomicUsize>,
    mut stop: watch::Receiver<bool>,
) -> Provider {
    loop {
        redo(&mut provider, &port, &attempts).await;
        let (client, _) = provider.acknowledged.as_mut().unwrap();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return provider,
            () = async { while let Ok(push) = client.try_push().await { client.ack(&push).await } } => {}
        }
    }
}

/// A mass reconnect while the server dies and starts: what was acknowledged on a connection that still stands is listed, at
/// once, and its client is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_registration_is_listed_after_a_mass_reconnect_c025() {
    const PROVIDERS: usize = 200;
    const ROUNDS: usize = 3;
    let home = tempfile::tempdir().unwrap();
    let mut server = Node::start(home.path(), &[]);
    let port = Arc::new(AtomicU16::new(server.port));
    let attempts = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = watch::channel(false);
    let storm: Vec<_> = (0..PROVIDERS)
        .map(|n| Provider { service: format!("s{n}"), acknowledged: None })
        .map(|provider| tokio::spawn(live(provider, port.clone(), attempts.clone(), stopped.clone())))
        .collect();
    let mut seen = 0;
    for _ in 0..ROUNDS {
        // In the middle of the storm, each time.
        seen = tokio::task::block_in_place(|| {
            eventually("half have tried", || attempts.load(Ordering::Relaxed) >= seen + PROVIDERS / 2);
            attempts.load(Ordering::Relaxed)
        });
        // A port of its own each time: on the old one somebody else may listen by now.
        server.kill();
        server = tokio::task::block_in_place(|| Node::start(home.path(), &[]));
        port.store(server.port, Ordering::Relaxed);
    }
    stop.send(true).unwrap();
    let providers = join_all(storm).await;
    let listed = tokio::task::block_in_place(|| {
        names(&server.get("/v1/ns/service/list?groupName=G&pageNo=1&pageSize=1000").json())
    });
    for provider in providers {
        let provider = provider.unwrap();
        let (client, id) = provider.acknowledged.unwrap();
        assert!(listed.contains(&provider.service), "{} is not listed", provider.service);
        let published =
            tokio::task::block_in_place(|| server.get(&format!("/v3/admin/ns/client/publish/list?clientId={id}")));
        assert!(published.body.contains(&format!("\"{}\"", provider.service)), "{}", published.body);
        drop(client);
    }
}

/// While a server with data starts, whoever gets in is served, and whoever asks hears everything or is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_starting_server_refuses_or_knows_everything_c026_c027() {
    let home = tempfile::tempdir().unwrap();
    let server = Node::start(home.path(), &[]);
    for n in 0..10 {
        server.post("/v1/ns/instance", &format!("serviceName=s{n}&ip=192.0.2.1&port=80&ephemeral=false"));
        server.publish(&format!("c{n}"), "kept");
    }
    // Entries to replay make the start longer.
    for n in 0..300 {
        server.publish("filler", &n.to_string());
    }
    let port = server.kill();
    let starting = tokio::task::spawn_blocking({
        let home = home.path().to_owned();
        move || Node::start_on(&home, port, &[])
    });
    let good = Arc::new(AtomicUsize::new(0));
    let askers = (0..2).map(|_| {
        let good = good.clone();
        tokio::task::spawn_blocking(move || {
            eventually("good answers", || {
                let asked = |path: &str| node::call(port, "GET", path, "").ok().filter(|answer| answer.status != 503);
                if let Some(list) = asked("/v1/ns/service/list?pageNo=1&pageSize=100") {
                    assert_eq!((list.status, &list.json()["count"]), (200, &json!(10)), "{}", list.body);
                }
                if let Some(list) = asked("/v1/ns/instance/list?serviceName=s3") {
                    assert_eq!(
                        (list.status, list.json()["hosts"].as_array().unwrap().len()),
                        (200, 1),
                        "{}",
                        list.body
                    );
                }
                match asked("/v1/cs/configs?dataId=c3&group=g") {
                    Some(config) => {
                        assert_eq!((config.status, config.body.as_str()), (200, "kept"));
                        good.fetch_add(1, Ordering::Relaxed) > 50
                    }
                    None => false,
                }
            });
        })
    });
    let clients = (0..3).map(|n| {
        tokio::spawn(async move {
            let mut served = 0;
            while served < 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let Ok(mut client) = Client::dial(port + 1000).await else { continue };
                // The port is the kernel's before it is the server's: a set-up may fail, but not what comes after it.
                if client.try_introduce("naming").await.is_err() {
                    continue;
                }
                let service = format!("e{n}-{served}");
                for (name, body) in [
                    ("InstanceRequest", crate::client::instance("registerInstance", &service, 1)),
                    (
                        "ServiceQueryRequest",
                        json!({"namespace": "", "serviceName": "s3", "groupName": "DEFAULT_GROUP"}),
                    ),
                    (
                        "SubscribeServiceRequest",
                        json!({"namespace": "", "serviceName": "s4", "groupName": "DEFAULT_GROUP",
                        "subscribe": true}),
                    ),
                    ("ConfigQueryRequest", json!({"dataId": "c4", "group": "g"})),
                ] {
                    let answer = client.call(name, body).await;
                    assert_eq!(answer.body["resultCode"], 200, "{answer:?}");
                    if let Some(info) = answer.body.get("serviceInfo") {
                        assert_eq!(info["hosts"].as_array().unwrap().len(), 1, "{answer:?}");
                    }
                }
                served += 1;
            }
        })
    });
    let (askers, clients): (Vec<_>, Vec<_>) = (askers.collect(), clients.collect());
    let _server = starting.await.unwrap();
    for outcome in join_all(askers).await.into_iter().chain(join_all(clients).await) {
        outcome.unwrap();
    }
}

//! The server stands still.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::{
    client::Client,
    node::{self, Done, Node, eventually},
};

const INSTANCES: u16 = 50;
const PAUSE: Duration = Duration::from_secs(8);

fn beat(port: u16, instance: u16) {
    let beat = json!({"ip": "192.0.2.1", "port": instance, "serviceName": "DEFAULT_GROUP@@s", "metadata": {
        "preserved.heart.beat.interval": "500",
        "preserved.heart.beat.timeout": "4000",
        "preserved.ip.delete.timeout": "6000",
    }});
    // Nobody answers while the server stands still; the beater goes on all the same.
    let _ = node::call(port, "PUT", "/v1/ns/instance/beat", &format!("serviceName=s&beat={beat}"));
}

/// Stops the server for longer than every deadline. Beats that wait in its sockets, gRPC clients that were not asked and
/// the beaters themselves must find everything as it was; who is silent after it is still removed.
#[test]
fn the_servers_own_pause_takes_nobody_out_c002() {
    let home = tempfile::tempdir().unwrap();
    let server = Node::start(home.path(), &["nacre.grpc.detection.idle=2000", "nacre.grpc.detection.timeout=1000"]);
    let (port, grpc) = (server.port, server.grpc_port());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lost = std::sync::Arc::new(AtomicBool::new(false));
    let registered = runtime.block_on(async {
        let mut client = Client::dial(grpc).await.unwrap();
        client.introduce("naming").await;
        client.register("s", 9).await;
        let id = client.id().await;
        let lost = lost.clone();
        // Answers whenever it is asked whether it is there.
        tokio::spawn(async move {
            while let Ok(push) = client.try_push().await {
                client.ack(&push).await;
            }
            lost.store(true, Ordering::Release);
        });
        id
    });
    let silent = Mutex::new(Vec::<u16>::new());
    let done = Done::default();
    std::thread::scope(|scope| {
        for beater in 0..5 {
            let (silent, done) = (&silent, &done);
            scope.spawn(move || {
                while !done.yet() {
                    for instance in (1..=INSTANCES).filter(|n| n % 5 == beater) {
                        if !silent.lock().unwrap().contains(&instance) {
                            beat(port, instance);
                        }
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
        }
        let _end = done.guard();
        eventually("all beat", || server.hosts("s").len() == usize::from(INSTANCES));
        server.signal("STOP");
        std::thread::sleep(PAUSE);
        silent.lock().unwrap().push(7);
        server.signal("CONT");

        let removed = || server.events("kind=instanceRemoved");
        eventually("the silent one is removed", || !removed().is_empty());
        let about = |kind: &str| -> Vec<String> {
            let events = server.events(&format!("kind={kind}"));
            events.iter().map(|event| event["subject"]["instance"].to_string()).collect()
        };
        let silenced = |seen: &[String]| seen.iter().all(|subject| subject.contains("192.0.2.1:7:"));
        let (unhealthy, gone) = (about("instanceUnhealthy"), about("instanceRemoved"));
        assert!(unhealthy.len() == 1 && silenced(&unhealthy), "{unhealthy:?}");
        assert!(gone.len() == 1 && silenced(&gone), "{gone:?}");
    });
    let stalls = server.events("kind=serverStalled");
    // A machine under load makes the process miss a second of its own; the pause is told once.
    let stalled = |ms: u64| stalls.iter().filter(|event| event["cause"]["ms"].as_u64().unwrap() >= ms).count();
    assert_eq!(stalled(PAUSE.as_millis() as u64 - 1_500), 1, "{stalls:?}");
    assert!(!lost.load(Ordering::Acquire), "a client that answers was cut off");
    assert!(server.events(&format!("kind=clientDisconnected&client={registered}")).is_empty());
}

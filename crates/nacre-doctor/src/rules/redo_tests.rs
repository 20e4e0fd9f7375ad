use nacre_model::{Instance, event::Disconnect};
use nacre_naming::ClientId;

use super::*;
use crate::{
    before::{Before, Stood},
    rules::connections::tests::{GO, connect, disconnect, id, service},
    testing::Stage,
};

const JAVA: &str = "Nacos-Java-Client:v3.1.0";

/// C095: connected, healthy, publishes nothing.
#[test]
fn c095_a_client_that_came_back_and_publishes_nothing_is_told_with_its_sdk() {
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.7"), GO, &[("c15-svc", "8080")]);
    disconnect(&mut stage, &id(1, "10.0.0.7"), Disconnect::ResetByPeer);
    stage.wait(2_000);
    connect(&mut stage, &id(2, "10.0.0.7"), GO, &[]);
    assert!(stage.codes().is_empty(), "its redo may be under way");
    stage.wait(11_000);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.confidence), ("REDO-LOST", Confidence::High));
    for word in ["10.0.0.7", "c15-svc", GO, "known for it"] {
        assert!(finding.cause.contains(word), "{word}: {}", finding.cause);
    }
    // The redo comes after all.
    let instance = Instance::new("10.0.0.7", 8080);
    let client = ClientId::connection(&id(2, "10.0.0.7"));
    let effects = stage.naming.register(&client, &service("c15-svc"), instance, stage.now).expect("registered");
    effects.events.into_iter().for_each(|event| {
        stage.record(event);
    });
    stage.wait(3_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn a_client_that_never_published_is_not_told_nor_one_that_published_elsewhere() {
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.8"), GO, &[]);
    disconnect(&mut stage, &id(1, "10.0.0.8"), Disconnect::ResetByPeer);
    connect(&mut stage, &id(2, "10.0.0.8"), GO, &[]);
    stage.wait(20_000);
    assert!(stage.codes().is_empty());
    // Two processes of one machine: the publisher died long ago, the consumer reconnects now.
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.9"), GO, &[("a", "1")]);
    connect(&mut stage, &id(2, "10.0.0.9"), GO, &[]);
    disconnect(&mut stage, &id(1, "10.0.0.9"), Disconnect::ResetByPeer);
    stage.wait(70_000);
    disconnect(&mut stage, &id(2, "10.0.0.9"), Disconnect::ResetByPeer);
    connect(&mut stage, &id(3, "10.0.0.9"), GO, &[]);
    stage.wait(20_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn a_client_that_lost_a_part_of_its_redo_is_told_what_is_missing() {
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.7"), GO, &[("a", "1"), ("b", "2")]);
    disconnect(&mut stage, &id(1, "10.0.0.7"), Disconnect::ResetByPeer);
    stage.wait(1_000);
    connect(&mut stage, &id(2, "10.0.0.7"), GO, &[("a", "1")]);
    stage.wait(15_000);
    let finding = stage.only();
    assert_eq!(finding.code, "REDO-LOST");
    assert_eq!(finding.subject.service_name.as_deref(), Some("b"));
    assert!(finding.cause.contains("now publishes 1 instances"), "{}", finding.cause);
}

#[test]
fn in_a_crowd_of_one_address_nobody_is_taken_for_anothers_successor() {
    let mut stage = Stage::default();
    for number in 10..25 {
        connect(&mut stage, &id(number, "10.0.0.7"), GO, &[]);
    }
    connect(&mut stage, &id(1, "10.0.0.7"), GO, &[("a", "1")]);
    disconnect(&mut stage, &id(1, "10.0.0.7"), Disconnect::ResetByPeer);
    stage.wait(1_000);
    connect(&mut stage, &id(2, "10.0.0.7"), GO, &[]);
    stage.wait(15_000);
    assert!(!stage.codes().contains(&"REDO-LOST".to_owned()));
}

#[test]
fn versions_that_lose_their_redo() {
    for agent in ["Nacos-Go-Client:v2.2.5", "Nacos-Go-Client:v2.0.0", "Nacos-Python-Client:v2.0.9"] {
        assert!(known_to_lose_redo(agent).is_some(), "{agent}");
    }
    for agent in [
        "Nacos-Go-Client:v2.3.0",
        "Nacos-Go-Client:v1.1.4",
        "Nacos-Python-Client:v2.0.10",
        "Nacos-Java-Client:v2.0.1",
        "",
    ] {
        assert!(known_to_lose_redo(agent).is_none(), "{agent}");
    }
}

/// A consumer starts on a host where a process of another kind died.
#[test]
fn a_stranger_on_the_host_of_one_that_died_is_not_taken_for_it() {
    // Another version, another application.
    for (version, app) in [(JAVA, "-"), (GO, "till")] {
        let mut stage = Stage::default();
        connect(&mut stage, &id(1, "10.0.0.7"), GO, &[("a", "1")]);
        stage.server.connections[0].app = "shop".into();
        disconnect(&mut stage, &id(1, "10.0.0.7"), Disconnect::ResetByPeer);
        stage.wait(1_000);
        connect(&mut stage, &id(2, "10.0.0.7"), version, &[]);
        stage.server.connections[0].app = app.into();
        stage.wait(40_000);
        assert!(!stage.codes().contains(&"REDO-LOST".to_owned()), "{version} {app}");
    }
    // The same SDK, but it asks for what the other never asked for.
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.7"), GO, &[("a", "1")]);
    disconnect(&mut stage, &id(1, "10.0.0.7"), Disconnect::ResetByPeer);
    stage.wait(1_000);
    connect(&mut stage, &id(2, "10.0.0.7"), GO, &[]);
    subscribe(&mut stage, &id(2, "10.0.0.7"), "b");
    stage.wait(40_000);
    assert!(!stage.codes().contains(&"REDO-LOST".to_owned()));
}

fn subscribe(stage: &mut Stage, client: &str, name: &str) {
    let subscription = nacre_naming::Subscription {
        clusters: "".into(),
        ip: "10.0.0.7".into(),
        port: 0,
        agent: GO.into(),
        app: "-".into(),
    };
    let client = ClientId::connection(client);
    let effects = stage.naming.subscribe(&client, &service(name), subscription, stage.now).expect("subscribed");
    stage.records(effects.1);
}

#[test]
fn where_nothing_tells_a_new_process_from_a_lost_redo_it_is_only_worth_knowing() {
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.7"), JAVA, &[("a", "1")]);
    disconnect(&mut stage, &id(1, "10.0.0.7"), Disconnect::ResetByPeer);
    stage.wait(20_000);
    connect(&mut stage, &id(2, "10.0.0.7"), JAVA, &[]);
    stage.wait(15_000);
    assert!(!stage.codes().contains(&"REDO-LOST".to_owned()), "it may be starting");
    stage.wait(6_000);
    let finding = stage.findings().into_iter().find(|finding| finding.code == "REDO-LOST").expect("told");
    assert_eq!((finding.severity, finding.confidence), (Severity::Info, Confidence::Low));
    // It asks again for what it asked for before: it is the same process.
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.7"), JAVA, &[("a", "1")]);
    subscribe(&mut stage, &id(1, "10.0.0.7"), "b");
    disconnect(&mut stage, &id(1, "10.0.0.7"), Disconnect::ResetByPeer);
    stage.wait(20_000);
    connect(&mut stage, &id(2, "10.0.0.7"), JAVA, &[]);
    subscribe(&mut stage, &id(2, "10.0.0.7"), "b");
    stage.wait(11_000);
    let finding = stage.findings().into_iter().find(|finding| finding.code == "REDO-LOST").expect("told");
    assert_eq!(finding.severity, Severity::Warning);
}

fn stood(client: &str, version: &str, publishes: &[(&str, &str)]) -> Stood {
    let who =
        Parting { id: client.into(), agent: version.into(), app: "".into(), interests: Some(Interests::default()) };
    let published = publishes.iter().map(|(name, instance)| (service(name), (*instance).into())).collect();
    Stood { who, published }
}

/// A server that began a moment ago, after one in which these stood.
fn restarted(stood: Vec<Stood>) -> Stage {
    let mut stage = Stage::default();
    stage.memory.before = Before { ended: stage.now.wall - 2_000, stood };
    stage.server.uptime_ms = 1_000;
    stage
}

fn wait(stage: &mut Stage, ms: u64) {
    stage.wait(ms);
    stage.server.uptime_ms += ms;
}

#[test]
fn a_redo_that_is_lost_over_a_restart_of_the_server_is_told() {
    let mut stage = restarted(vec![
        stood(&id(1, "10.0.0.7"), GO, &[("c15-svc", "10.0.0.7:8080:DEFAULT")]),
        stood(&id(2, "10.0.0.7"), GO, &[]),
        stood(&id(3, "10.0.0.8"), GO, &[("kept", "10.0.0.8:8080:DEFAULT")]),
        stood(&id(4, "10.0.0.9"), GO, &[]),
    ]);
    // Two of that host come back, of whom one only consumed; the others do what they did.
    connect(&mut stage, &id(11, "10.0.0.7"), GO, &[]);
    connect(&mut stage, &id(12, "10.0.0.7"), GO, &[]);
    connect(&mut stage, &id(13, "10.0.0.8"), GO, &[("kept", "8080")]);
    connect(&mut stage, &id(14, "10.0.0.9"), GO, &[]);
    wait(&mut stage, 5_000);
    assert!(stage.codes().is_empty(), "redo may be under way");
    wait(&mut stage, 20_000);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.severity), ("REDO-LOST", Severity::Warning));
    assert!(finding.cause.contains("c15-svc") && finding.cause.contains("10.0.0.7"), "{}", finding.cause);
    assert_eq!(stage.desk.settled.lock().len(), 1, "what is back is not looked at again");
    wait(&mut stage, 15 * 60_000);
    assert!(stage.codes().is_empty(), "the process before is long ago");
}

#[test]
fn after_a_restart_those_that_only_consume_or_are_not_back_are_not_told() {
    // The publisher is not back; the consumer of its host is.
    let mut stage = restarted(vec![
        stood(&id(1, "10.0.0.7"), GO, &[("a", "10.0.0.7:1:DEFAULT")]),
        stood(&id(2, "10.0.0.7"), GO, &[]),
    ]);
    connect(&mut stage, &id(12, "10.0.0.7"), GO, &[]);
    wait(&mut stage, 30_000);
    assert!(stage.codes().is_empty());
    // It came back, registered, and deregistered in order.
    let mut stage = restarted(vec![stood(&id(1, "10.0.0.7"), GO, &[("a", "10.0.0.7:1:DEFAULT")])]);
    let new = id(11, "10.0.0.7");
    connect(&mut stage, &new, GO, &[("a", "1")]);
    let effects = stage.naming.deregister(&ClientId::connection(&new), &service("a"), stage.now).expect("deregistered");
    stage.records(effects);
    wait(&mut stage, 30_000);
    assert!(!stage.codes().contains(&"REDO-LOST".to_owned()));
    // A part is missing: told whatever the SDK.
    let mut stage =
        restarted(vec![stood(&id(1, "10.0.0.7"), JAVA, &[("a", "10.0.0.7:1:DEFAULT"), ("b", "10.0.0.7:2:DEFAULT")])]);
    connect(&mut stage, &new, JAVA, &[("a", "1")]);
    wait(&mut stage, 12_000);
    let finding = stage.only();
    assert_eq!(finding.subject.service_name.as_deref(), Some("b"));
    assert_eq!(finding.confidence, Confidence::High);
}

use nacre_model::{Instance, ServiceKey, Subject};
use nacre_naming::ConnectionInfo;

use super::*;
use crate::{
    Severity,
    partings::Parting,
    scene::ConnectionFacts,
    sightings::{Ended, How},
    testing::Stage,
};

pub(crate) const GO: &str = "Nacos-Go-Client:v2.2.1";

pub(crate) fn service(name: &str) -> ServiceKey {
    ServiceKey::new("", "DEFAULT_GROUP", name)
}

pub(crate) fn id(number: u64, ip: &str) -> String {
    format!("{}_{ip}_{}", 1_700_000_000_000 + number, 5000 + number)
}

/// A naming connection is set up; `publishes` is what it registers.
pub(crate) fn connect(stage: &mut Stage, id: &str, version: &str, publishes: &[(&str, &str)]) {
    let ip = address_of(id).to_owned();
    let info = ConnectionInfo {
        id: id.into(),
        client_ip: ip.as_str().into(),
        client_port: 1,
        version: version.into(),
        app: "unknown".into(),
        connect_type: "GRPC".into(),
        labels: Default::default(),
    };
    let effects = stage.naming.connect(info, stage.now);
    effects.events.into_iter().for_each(|event| {
        stage.record(event);
    });
    for (name, port) in publishes {
        let instance = Instance::new(&ip, port.parse().unwrap());
        let effects =
            stage.naming.register(&ClientId::connection(id), &service(name), instance, stage.now).expect("registered");
        effects.events.into_iter().for_each(|event| {
            stage.record(event);
        });
    }
    let source = stage.sightings.of(ip.parse().unwrap(), stage.now);
    source.opened();
    source.agent(version);
    source.saw(Act::Connect, stage.now);
    let facts = ConnectionFacts {
        id: id.into(),
        client_ip: ip.clone(),
        address: ip,
        version: version.into(),
        module: "naming".into(),
        app: "-".into(),
        since: stage.now.wall,
        idle_ms: 100,
    };
    stage.server.connections.push(facts);
}

pub(crate) fn disconnect(stage: &mut Stage, id: &str, cause: Disconnect) {
    let gone = stage.server.connections.iter().find(|c| c.id == id).expect("connected").clone();
    let since = gone.since;
    let subscriptions = stage.naming.client_subscriptions(id).unwrap_or_default();
    stage.sightings.partings.note(Parting {
        id: id.into(),
        agent: gone.version.into(),
        app: gone.app.into(),
        interests: Some(subscriptions.iter().map(|one| &one.service).collect()),
    });
    stage.server.connections.retain(|connection| connection.id != id);
    let how = match cause {
        Disconnect::ResetByPeer | Disconnect::ClosedByClient => How::Theirs,
        _ => How::Ours,
    };
    let effects = stage.naming.disconnect(&ClientId::connection(id), cause, stage.now);
    effects.events.into_iter().for_each(|event| {
        stage.record(event);
    });
    let source = stage.sightings.of(address_of(id).parse().unwrap(), stage.now);
    source.closed(Ended { at: stage.now, lived_ms: (stage.now.wall - since) as u64, how });
}

#[test]
fn a_killed_client_is_worth_knowing_and_one_that_comes_back_is_not() {
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.7"), GO, &[("a", "1")]);
    stage.wait(60_000);
    disconnect(&mut stage, &id(1, "10.0.0.7"), Disconnect::ClosedByClient);
    assert!(stage.codes().is_empty(), "it may come back");
    stage.wait(6_000);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.severity), ("CLIENT-GONE-WITHOUT-DEREGISTERING", Severity::Info));
    assert!(finding.cause.contains("10.0.0.7:1:DEFAULT of a"), "{}", finding.cause);
    connect(&mut stage, &id(2, "10.0.0.7"), GO, &[("a", "1")]);
    stage.wait(4_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn lives_that_are_all_the_same_are_a_timer_on_the_way() {
    let mut stage = Stage::default();
    for number in 0..5 {
        connect(&mut stage, &id(number, "10.0.0.2"), GO, &[("a", "1")]);
        stage.wait(60_000 + number * 100);
        disconnect(&mut stage, &id(number, "10.0.0.2"), Disconnect::ClosedByClient);
        stage.wait(300);
    }
    connect(&mut stage, &id(9, "10.0.0.2"), GO, &[("a", "1")]);
    let finding = stage.only();
    assert_eq!(finding.code, "CONNECTION-LIFETIME-CONSTANT");
    assert!(finding.cause.contains("10.0.0.2") && finding.cause.contains("1 min"), "{}", finding.cause);
    stage.wait(200_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn a_timetable_is_no_timer_on_the_way() {
    let mut stage = Stage::default();
    for number in 0..6 {
        connect(&mut stage, &id(number, "10.0.0.2"), GO, &[]);
        stage.wait(10_000);
        disconnect(&mut stage, &id(number, "10.0.0.2"), Disconnect::ClosedByClient);
        stage.wait(50_000);
    }
    assert!(stage.codes().is_empty());
}

#[test]
fn a_loop_of_reconnects_is_told_unless_it_is_a_timer() {
    let mut stage = Stage::default();
    for number in 0..7 {
        connect(&mut stage, &id(number, "10.0.0.3"), GO, &[("a", "1")]);
        stage.wait(1_000 + number * 900);
        disconnect(&mut stage, &id(number, "10.0.0.3"), Disconnect::ResetByPeer);
        stage.wait(200);
    }
    connect(&mut stage, &id(9, "10.0.0.3"), GO, &[("a", "1")]);
    let finding = stage.only();
    assert_eq!(finding.code, "CONNECTION-CHURN");
    assert!(finding.cause.contains("7 times") && finding.cause.contains(GO), "{}", finding.cause);
}

#[test]
fn a_frozen_process_is_told_from_a_cut_network() {
    for (delivered, code) in
        [(Some(true), "CLIENT-FROZEN"), (Some(false), "CONNECTION-CUT-SILENTLY"), (None, "CONNECTION-CUT-SILENTLY")]
    {
        let mut stage = Stage::default();
        connect(&mut stage, &id(1, "10.0.0.4"), GO, &[("a", "1")]);
        stage.wait(30_000);
        disconnect(&mut stage, &id(1, "10.0.0.4"), Disconnect::DetectionUnanswered { idle_ms: 18_000, delivered });
        let finding = stage.only();
        assert_eq!(finding.code, code);
        assert!(
            finding.cause.contains("18 s") && finding.cause.contains("10.0.0.4:1:DEFAULT of a"),
            "{}",
            finding.cause
        );
        assert!(finding.cause.contains("is not back"), "{}", finding.cause);
        stage.wait(2_000);
        connect(&mut stage, &id(2, "10.0.0.4"), GO, &[("a", "1")]);
        assert!(stage.only().cause.contains("was back after 2 s"));
    }
}

#[test]
fn a_machine_that_was_seen_meanwhile_was_not_cut_off() {
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.4"), GO, &[]);
    stage.wait(30_000);
    stage.sightings.get("10.0.0.4").expect("seen").saw(Act::ConfigListen, stage.now);
    let silent = Disconnect::DetectionUnanswered { idle_ms: 18_000, delivered: None };
    disconnect(&mut stage, &id(1, "10.0.0.4"), silent);
    assert_eq!(stage.codes(), ["CLIENT-FROZEN"]);
}

/// C013: a second address on one connection replaces the first.
#[test]
fn c013_a_replaced_registration_names_the_first_until_it_is_back() {
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.5"), GO, &[("a", "1"), ("a", "2")]);
    let finding = stage.only();
    assert_eq!(finding.code, "REGISTRATION-REPLACED");
    assert!(finding.cause.contains("10.0.0.5:1:DEFAULT") && finding.cause.contains("10.0.0.5:2:DEFAULT"));
    assert!(finding.remedy[0].contains("batchRegisterInstance"));
    stage.wait(400_000);
    assert_eq!(stage.codes(), ["REGISTRATION-REPLACED"], "it holds as long as that is so");
    disconnect(&mut stage, &id(1, "10.0.0.5"), Disconnect::ClosedByClient);
    stage.wait(3_000);
    assert!(!stage.codes().contains(&"REGISTRATION-REPLACED".to_owned()));
}

/// alibaba/nacos #10831: a single deregistration took a whole batch.
#[test]
fn a_batch_that_went_with_one_of_its_instances_is_told_until_the_rest_is_back() {
    let mut stage = Stage::default();
    connect(&mut stage, &id(1, "10.0.0.5"), GO, &[]);
    let (client, key) = (ClientId::connection(&id(1, "10.0.0.5")), ServiceKey::new("", "G", "batch"));
    let batch = |stage: &mut Stage, ports: &[i32]| {
        let instances = ports.iter().map(|port| Instance::new("10.0.0.5", *port)).collect::<Vec<_>>();
        let effects = stage.naming.register_batch(&client, &key, instances, stage.now).expect("registers");
        effects.events.into_iter().for_each(|event| {
            stage.record(event);
        });
    };
    let leave = |stage: &mut Stage| {
        let effects = stage.naming.deregister(&client, &key, stage.now).expect("leaves");
        effects.events.into_iter().for_each(|event| {
            stage.record(event);
        });
    };
    batch(&mut stage, &[1]);
    leave(&mut stage);
    stage.wait(3_000);
    assert!(stage.codes().is_empty(), "a batch of one is what was named");
    batch(&mut stage, &[1, 2, 3]);
    leave(&mut stage);
    assert!(stage.codes().is_empty(), "it may be on its way out");
    stage.wait(3_000);
    let finding = stage.only();
    assert_eq!(finding.code, "BATCH-DEREGISTERED-WHOLE");
    assert!(finding.cause.contains("10.0.0.5") && finding.cause.contains("all 3"), "{}", finding.cause);
    batch(&mut stage, &[2, 3]);
    stage.wait(5_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn calls_without_a_set_up_are_told_until_there_is_one() {
    let mut stage = Stage::default();
    let source = stage.sightings.of([10, 0, 0, 6].into(), stage.now);
    for _ in 0..3 {
        source.saw(Act::Unregistered, stage.now);
    }
    let refused = Cause::HandshakeRefused { reason: "the labels are null".into() };
    stage.event(Subject::client(&id(1, "10.0.0.6")), refused);
    let finding = stage.only();
    assert_eq!(finding.code, "CONNECTION-NEVER-SET-UP");
    assert!(finding.cause.contains("the labels are null"), "{}", finding.cause);
    stage.wait(1_000);
    source.saw(Act::Connect, stage.now);
    stage.wait(3_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn a_subscriber_that_does_not_acknowledge_is_told_by_name() {
    let mut stage = Stage::default();
    let about = || Subject::service(&service("a")).with_client(&id(1, "10.0.0.6"));
    let failed = |attempt| Cause::PushFailed { reason: "no acknowledgement within 5000 ms".into(), attempt };
    stage.event(about(), failed(1));
    assert!(stage.codes().is_empty(), "once is an accident");
    stage.event(about(), failed(2));
    let finding = stage.only();
    assert_eq!(finding.code, "PUSH-NOT-ACKNOWLEDGED");
    assert!(finding.cause.contains("10.0.0.6") && finding.cause.contains(": a)"), "{}", finding.cause);
    let mut stage = Stage::default();
    stage.event(Subject::client("10.0.0.6:5#true"), failed(1)).event(Subject::client("10.0.0.6:5#true"), failed(2));
    assert!(stage.codes().is_empty(), "UDP has its own");
}

#[test]
fn proxies_and_addresses_that_are_not_unique_are_worth_knowing() {
    let mut stage = Stage::default();
    for host in [1, 2] {
        let source = stage.sightings.of([10, 0, 1, host].into(), stage.now);
        source.opened();
        source.saw(Act::Connect, stage.now);
        source.claims("172.17.0.2");
    }
    let mut codes = stage.codes();
    codes.sort();
    assert_eq!(codes, ["CLIENTS-CLAIM-ONE-ADDRESS", "CONNECTED-THROUGH-PROXY", "CONNECTED-THROUGH-PROXY"]);
    assert!(stage.findings().iter().all(|finding| finding.severity == Severity::Info));
}

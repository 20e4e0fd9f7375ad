use nacre_model::{Cause, Instance, ServiceKey, Subject, event::Removal};
use nacre_naming::{Beat, ClientId, ConnectionInfo, Effects};

use crate::{Severity, memory::address_of, sightings::Act, testing::Stage};

fn take(stage: &mut Stage, effects: Effects) {
    for event in effects.events {
        stage.record(event);
    }
}

fn connect(stage: &mut Stage, id: &str) -> ClientId {
    let info = ConnectionInfo {
        id: id.into(),
        client_ip: address_of(id).into(),
        client_port: 1,
        version: "Nacos-Java-Client:v2.3.2".into(),
        app: "a".into(),
        connect_type: "GRPC".into(),
        labels: Default::default(),
    };
    let effects = stage.naming.connect(info, stage.now);
    take(stage, effects);
    ClientId::connection(id)
}

fn http(stage: &mut Stage, service: &ServiceKey, instance: Instance) {
    let effects = stage.naming.register_http(service, instance, stage.now).expect("registers");
    take(stage, effects);
}

fn beat(stage: &mut Stage, service: &ServiceKey, ip: &str, sender: &str) {
    let beat = Beat { service, ip, port: 80, cluster: "DEFAULT", info: None, sender };
    let (_, effects) = stage.naming.beat(&beat, stage.now).expect("beats");
    take(stage, effects);
}

#[test]
fn two_connections_with_one_address_are_named_until_one_leaves() {
    let mut stage = Stage::default();
    let key = ServiceKey::new("", "G", "c60-svc");
    let (a, b) = (connect(&mut stage, "1700000000000_10.0.0.1_1"), connect(&mut stage, "1700000000001_10.0.0.2_1"));
    for client in [&a, &b] {
        let effects = stage.naming.register(client, &key, Instance::new("192.0.2.60", 80), stage.now).expect("ok");
        take(&mut stage, effects);
    }
    let finding = stage.only();
    assert_eq!(finding.code, "ADDRESS-PUBLISHED-TWICE");
    assert!(finding.cause.contains("two clients publish the same address"), "{}", finding.cause);
    assert!(finding.cause.contains("10.0.0.1_1") && finding.cause.contains("10.0.0.2_1"), "{}", finding.cause);
    let effects = stage.naming.deregister(&b, &key, stage.now).expect("ok");
    take(&mut stage, effects);
    stage.wait(5_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn http_and_grpc_publishers_of_one_address_are_told_apart() {
    let mut stage = Stage::default();
    let key = ServiceKey::new("", "G", "s");
    http(&mut stage, &key, Instance::new("192.0.2.61", 80));
    let a = connect(&mut stage, "1700000000000_192.0.2.61_1");
    let effects = stage.naming.register(&a, &key, Instance::new("192.0.2.61", 80), stage.now).expect("ok");
    take(&mut stage, effects);
    assert_eq!(stage.only().code, "ADDRESS-HTTP-AND-GRPC");
}

#[test]
fn senders_that_take_turns_are_named_and_a_moved_one_is_not() {
    let mut stage = Stage::default();
    let key = ServiceKey::new("", "G", "s");
    for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        http(&mut stage, &key, Instance::new(ip, 80));
    }
    for turn in 0..4 {
        stage.wait(2_500);
        beat(&mut stage, &key, "10.0.0.1", ["10.0.0.1", "10.0.0.99"][turn % 2]);
        beat(&mut stage, &key, "10.0.0.2", ["10.9.0.1", "10.9.0.2"][turn % 2]);
        beat(&mut stage, &key, "10.0.0.3", if turn < 2 { "10.0.0.3" } else { "10.0.0.77" });
    }
    let findings = stage.findings();
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["BEATS-FROM-GHOST", "BEATS-FROM-TWO-SENDERS"]);
    assert!(findings[0].cause.contains("10.0.0.99"), "{}", findings[0].cause);
    assert!(findings[1].cause.contains("10.9.0.1") && findings[1].cause.contains("10.9.0.2"));
    stage.wait(30_000);
    assert!(stage.codes().is_empty(), "over");
}

#[test]
fn a_deregistration_that_missed_its_persistent_twin_is_told() {
    let mut stage = Stage::default();
    let key = ServiceKey::new("", "G", "s");
    let mut instance = Instance::new("192.0.2.9", 80);
    instance.ephemeral = false;
    let command = nacre_naming::NamingCommand::RegisterPersistent { service: key.clone(), instance };
    let applied = stage.naming.apply(&command, stage.now);
    take(&mut stage, applied.effects);
    let effects = stage.naming.deregister_http(&key, "192.0.2.9", 80, stage.now);
    take(&mut stage, effects);
    let finding = stage.only();
    assert_eq!(finding.code, "DEREGISTER-MISSED-PERSISTENT");
    assert!(finding.remedy[0].contains("ephemeral=false") && finding.cause.contains("192.0.2.9:80"));
    let command = nacre_naming::NamingCommand::DeregisterPersistent { service: key, ip: "192.0.2.9".into(), port: 80 };
    let applied = stage.naming.apply(&command, stage.now);
    take(&mut stage, applied.effects);
    stage.wait(5_000);
    assert!(stage.codes().is_empty());
}

/// Somebody registers port 80 of an address over HTTP.
fn called(stage: &Stage, ip: &str, sender: &str) {
    let (address, agent) = (sender.parse().expect("ip"), "x");
    let call = crate::callers::Call { act: Act::Register, address, agent, at: stage.now.wall };
    stage.sightings.callers.note(ip, "80", call, || agent.into());
}

#[test]
fn addresses_that_no_other_host_reaches_are_told_with_who_registered_them() {
    let mut stage = Stage::default();
    let key = ServiceKey::new("", "G", "s");
    for (ip, sender) in [("172.17.0.5", "10.1.1.1"), ("127.0.0.1", "127.0.0.1"), ("10.5.5.5", "10.1.1.2")] {
        called(&stage, ip, sender);
        http(&mut stage, &key, Instance::new(ip, 80));
    }
    let finding = stage.only();
    assert_eq!(finding.code, "REGISTERED-UNREACHABLE-IP");
    assert!(finding.cause.contains("172.17.0.5") && finding.cause.contains("10.1.1.1"), "{}", finding.cause);
}

#[test]
fn one_host_in_two_forms_and_names_that_look_alike_are_told() {
    let mut stage = Stage::default();
    let key = ServiceKey::new("", "G", "s");
    called(&stage, "2001:db8::7", "10.0.0.7");
    http(&mut stage, &key, Instance::new("10.0.0.7", 80));
    http(&mut stage, &key, Instance::new("2001:db8::7", 80));
    assert_eq!(stage.only().code, "HOST-IN-TWO-FORMS");
    let mut stage = Stage::default();
    http(&mut stage, &ServiceKey::new("", "G", "Orders"), Instance::new("10.0.0.7", 80));
    http(&mut stage, &ServiceKey::new("x", "G", "orders"), Instance::new("10.0.0.7", 80));
    assert!(stage.codes().is_empty(), "another namespace");
    http(&mut stage, &ServiceKey::new("", "G", "orders"), Instance::new("10.0.0.8", 80));
    let finding = stage.only();
    assert_eq!(finding.code, "SERVICE-NAMES-ALIKE");
    assert!(finding.cause.contains("`G@@Orders`") && finding.cause.contains("`G@@orders`"), "{}", finding.cause);
}

#[test]
fn a_port_that_changes_with_every_start_is_told_and_several_processes_are_not() {
    let mut stage = Stage::default();
    let key = ServiceKey::new("", "G", "s");
    let about = |port: u16| Subject::service(&key).with_instance(&format!("10.0.0.1:{port}:DEFAULT"));
    let registered = || Cause::InstanceRegistered { how: "http".into(), replaced: false };
    for port in [1000, 2000, 3000] {
        stage.event(about(port), registered());
    }
    assert!(stage.codes().is_empty(), "three processes");
    for port in [1000, 2000] {
        let removal = Removal::BeatExpired { silent_ms: 30_000, limit_ms: 30_000 };
        stage.event(about(port), Cause::InstanceRemoved { removal });
    }
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.severity), ("PORT-CHANGES-EACH-START", Severity::Info));
}

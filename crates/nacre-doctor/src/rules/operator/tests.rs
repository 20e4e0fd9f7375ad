use nacre_model::{Cause, Instance, Metadata, ServiceKey};
use nacre_naming::{
    ClientId, ClusterMetadata, ConnectionInfo, Effects, InstanceRef, NamingCommand, ServiceMetadata, Subscription,
};

use crate::testing::Stage;

fn take(stage: &mut Stage, effects: Effects) {
    effects.events.into_iter().for_each(|event| {
        stage.record(event);
    });
}

fn apply(stage: &mut Stage, command: NamingCommand) {
    let applied = stage.naming.apply(&command, stage.now);
    take(stage, applied.effects);
}

fn key() -> ServiceKey {
    ServiceKey::new("", "G", "s")
}

fn http(stage: &mut Stage, instance: Instance) {
    let effects = stage.naming.register_http(&key(), instance, stage.now).expect("registers");
    take(stage, effects);
}

fn edit(stage: &mut Stage, ip: &str, enabled: bool, weight: f64) {
    let instance = InstanceRef::new(ip, 80, "DEFAULT");
    let metadata = Metadata::new();
    apply(
        stage,
        NamingCommand::UpdateInstance { service: key(), instance, ephemeral: true, weight, enabled, metadata },
    );
}

#[test]
fn what_an_operator_hides_is_told_with_who_and_clears() {
    let mut stage = Stage::default();
    http(&mut stage, Instance::new("10.0.0.1", 80));
    http(&mut stage, Instance::new("10.0.0.2", 80));
    edit(&mut stage, "10.0.0.1", false, 1.0);
    edit(&mut stage, "10.0.0.2", true, 0.0);
    stage.sightings.hands.edited(&key(), "10.0.0.1:80:DEFAULT", [10, 9, 9, 9].into(), "curl/8", stage.now);
    let findings = stage.findings();
    let codes: Vec<_> = findings.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["OPERATOR-DISABLED", "OPERATOR-WEIGHT-ZERO"]);
    assert!(findings[0].cause.contains("10.9.9.9 (curl/8)"), "{}", findings[0].cause);
    edit(&mut stage, "10.0.0.1", true, 1.0);
    edit(&mut stage, "10.0.0.2", true, 2.0);
    stage.wait(5_000);
    assert!(stage.codes().is_empty());
}

/// alibaba/nacos #12713, #13131, #14606: an instance was edited, its application restarted with other metadata, and the old
/// ones stayed.
#[test]
fn metadata_that_an_operators_record_hides_are_told_by_name() {
    let with = |pairs: &[(&str, &str)]| {
        let mut instance = Instance::new("10.0.0.1", 80);
        instance.metadata = std::sync::Arc::new(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        instance
    };
    let record = |stage: &mut Stage, pairs: &[(&str, &str)]| {
        let instance = InstanceRef::new("10.0.0.1", 80, "DEFAULT");
        let metadata = (*with(pairs).metadata).clone();
        let (weight, enabled) = (1.0, true);
        apply(
            stage,
            NamingCommand::UpdateInstance { service: key(), instance, ephemeral: true, weight, enabled, metadata },
        );
    };
    let mut stage = Stage::default();
    http(&mut stage, with(&[("version", "1"), ("zone", "a")]));
    stage.wait(10);
    // Offline and online in a console: the metadata are sent along. And an operator means what he changes.
    record(&mut stage, &[("version", "1"), ("zone", "b")]);
    assert!(stage.codes().is_empty());
    stage.wait(10);
    http(&mut stage, with(&[("version", "1"), ("zone", "a"), ("new", "x")]));
    assert!(stage.codes().is_empty());
    stage.wait(10);
    http(&mut stage, with(&[("version", "2"), ("zone", "a"), ("new", "x")]));
    let finding = stage.only();
    assert_eq!(finding.code, "OPERATOR-METADATA-HIDES");
    assert!(finding.cause.contains("values of version than"), "{}", finding.cause);
    record(&mut stage, &[("zone", "b")]);
    stage.wait(5_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn what_hides_itself_is_told_from_what_an_operator_hides() {
    let mut stage = Stage::default();
    let mut instance = Instance::new("10.0.0.1", 80);
    instance.weight = 0.0;
    http(&mut stage, instance);
    assert_eq!(stage.only().code, "REGISTERED-HIDDEN");
    let mut stage = Stage::default();
    let info = nacre_naming::BeatInfo::parse(r#"{"serviceName":"G@@s","ip":"10.0.0.3","port":80,"cluster":"DEFAULT"}"#);
    let info = info.expect("a beat");
    let key = key();
    let beat = nacre_naming::Beat {
        service: &key,
        ip: "10.0.0.3",
        port: 80,
        cluster: "DEFAULT",
        info: Some(&info),
        sender: "",
    };
    let (_, effects) = stage.naming.beat(&beat, stage.now).expect("beats");
    let weight = effects.events.iter().find_map(|e| e.shown.as_ref()).map(|i| i.weight);
    take(&mut stage, effects);
    if weight == Some(0.0) {
        assert!(stage.codes().contains(&"BEAT-REGISTERED-WEIGHT-ZERO".to_owned()));
    }
}

#[test]
fn masked_instances_are_counted_in_words() {
    for (threshold, code) in [(0.0, "PROTECTION-ZERO-MASKS"), (0.8, "PROTECTION-MASKS")] {
        let mut stage = Stage::default();
        let metadata = ServiceMetadata { protect_threshold: threshold, ephemeral: true, ..Default::default() };
        apply(&mut stage, NamingCommand::CreateService { service: key(), metadata });
        let mut dead = Instance::new("10.0.0.1", 80);
        dead.healthy = false;
        http(&mut stage, dead);
        stage.wait(1_000);
        let effects = stage.naming.tick(stage.now);
        take(&mut stage, effects);
        let finding = stage.only();
        assert_eq!(finding.code, code);
        assert!(finding.cause.contains("protection masks 1 of 1"), "{}", finding.cause);
    }
}

#[test]
fn an_unhealthy_registration_over_a_connection_never_heals_and_is_told() {
    let mut stage = Stage::default();
    let info = ConnectionInfo {
        id: "1700000000000_10.0.0.1_1".into(),
        client_ip: "10.0.0.1".into(),
        client_port: 1,
        version: "Nacos-Go-Client:v2.2.1".into(),
        app: "a".into(),
        connect_type: "GRPC".into(),
        labels: Default::default(),
    };
    let effects = stage.naming.connect(info, stage.now);
    take(&mut stage, effects);
    let client = ClientId::connection("1700000000000_10.0.0.1_1");
    let mut instance = Instance::new("10.0.0.1", 80);
    instance.healthy = false;
    let effects = stage.naming.register(&client, &key(), instance, stage.now).expect("ok");
    take(&mut stage, effects);
    assert_eq!(stage.only().code, "REGISTERED-UNHEALTHY");
    // The same client subscribes, and the last instance goes: it keeps the old list.
    let subscription = Subscription {
        clusters: "".into(),
        ip: "10.0.0.1".into(),
        port: 0,
        agent: "Nacos-Go-Client:v2.2.1".into(),
        app: "a".into(),
    };
    let (_, effects) = stage.naming.subscribe(&client, &key(), subscription, stage.now).expect("ok");
    take(&mut stage, effects);
    let effects = stage.naming.deregister(&client, &key(), stage.now).expect("ok");
    take(&mut stage, effects);
    stage.wait(5_000);
    let finding = stage.only();
    assert_eq!(finding.code, "EMPTY-PUSH-IGNORED");
    assert!(finding.cause.contains("Nacos-Go-Client:v2.2.1"), "{}", finding.cause);
}

#[test]
fn failed_checks_name_checker_port_and_message() {
    for (own_port, code) in [(true, "CHECK-FAILS"), (false, "CHECK-WRONG-PORT")] {
        let mut stage = Stage::default();
        let mut metadata = ServiceMetadata { ephemeral: false, ..Default::default() };
        let cluster = ClusterMetadata { use_instance_port: own_port, ..Default::default() };
        metadata.clusters.insert("DEFAULT".into(), cluster);
        apply(&mut stage, NamingCommand::CreateService { service: key(), metadata });
        let mut instance = Instance::new("10.0.0.1", 8080);
        instance.ephemeral = false;
        apply(&mut stage, NamingCommand::RegisterPersistent { service: key(), instance });
        let reason = "tcp:unable2connect:refused".to_owned();
        apply(
            &mut stage,
            NamingCommand::ChangeHealth {
                service: key(),
                ip: "10.0.0.1".into(),
                port: 8080,
                healthy: false,
                reason: reason.clone(),
            },
        );
        let codes = stage.findings();
        let finding = codes.iter().find(|f| f.code == code).expect(code);
        let port = if own_port { "8080" } else { "80" };
        assert!(finding.cause.contains(&reason) && finding.cause.contains(port), "{}", finding.cause);
    }
}

#[test]
fn subscribers_that_never_acknowledge_are_named_once() {
    let mut stage = Stage::default();
    let about = nacre_model::Subject::service(&key()).with_client("10.0.0.5:4000#true");
    stage.event(about.clone(), Cause::PushGaveUp { attempts: 3 });
    assert!(stage.codes().is_empty(), "whoever does not poll any more is gone");
    let polls = Subscription {
        clusters: "".into(),
        ip: "10.0.0.5".into(),
        port: 4000,
        agent: "Nacos-Java-Client:v1.4.8".into(),
        app: "".into(),
    };
    let _ = stage.naming.subscribe_udp(&key(), polls, stage.now).expect("room");
    stage.event(about, Cause::PushGaveUp { attempts: 3 });
    let finding = stage.only();
    assert_eq!(finding.code, "UDP-PUSH-UNACKED");
    assert!(finding.cause.contains("10.0.0.5:4000"), "{}", finding.cause);
    // Its subscription has not lapsed yet, but it polls no more: its first push may have found nobody.
    stage.now = stage.now.plus(16_000);
    assert_eq!(stage.naming.subscribers(&key()).len(), 1);
    assert!(stage.codes().is_empty());
}

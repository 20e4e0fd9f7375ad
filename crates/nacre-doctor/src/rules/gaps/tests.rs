use nacre_model::{Cause, Instance, Metadata};
use nacre_naming::Beat;

use super::*;
use crate::{Severity, testing::Stage};

fn service() -> ServiceKey {
    ServiceKey::new("", "DEFAULT_GROUP", "orders")
}

fn register(stage: &mut Stage, ip: &str, port: i32, service: &ServiceKey) {
    let effects = stage.naming.register_http(service, Instance::new(ip, port), stage.now).expect("registered");
    stage.records(effects);
}

fn beat(stage: &mut Stage, ip: &str, port: i32, service: &ServiceKey) {
    let beat = Beat { service, ip, port, cluster: "DEFAULT", info: None, sender: ip };
    let (answer, effects) = stage.naming.beat(&beat, stage.now).expect("beat");
    assert!(answer.found() || port == 9);
    stage.records(effects);
}

/// Time passes in steps of a second; `who` beat every five.
fn pass(stage: &mut Stage, seconds: u64, who: &[(&str, i32)]) {
    for _ in 0..seconds {
        stage.wait(1_000);
        if stage.now.mono.is_multiple_of(5_000) {
            who.iter().for_each(|(ip, port)| beat(stage, ip, *port, &service()));
        }
        let effects = stage.naming.tick(stage.now);
        stage.records(effects);
    }
}

const A: (&str, i32) = ("192.0.2.11", 8080);
const B: (&str, i32) = ("192.0.2.11", 8081);
const C: (&str, i32) = ("192.0.2.12", 8080);

fn three() -> Stage {
    let mut stage = Stage::default();
    for (ip, port) in [A, B, C] {
        register(&mut stage, ip, port, &service());
    }
    pass(&mut stage, 15, &[A, B, C]);
    assert!(stage.codes().is_empty(), "{:?}", stage.findings());
    stage
}

#[test]
fn a_client_that_pauses_is_told_from_its_host_and_named_with_its_gaps() {
    let mut stage = three();
    pass(&mut stage, 16, &[B, C]);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.confidence), ("BEAT-GAP-CLIENT-PAUSED", Confidence::High));
    assert_eq!(finding.subject.instance.as_deref(), Some("192.0.2.11:8080:DEFAULT"));
    assert!(finding.cause.contains("5 s, 5 s, 5 s, then 16 s so far"), "{}", finding.cause);
    assert!(finding.cause.contains("192.0.2.11:8081"), "{}", finding.cause);
    assert!(finding.ruled_out.iter().any(|text| text.contains("the host")), "{:?}", finding.ruled_out);
    assert!(finding.ruled_out.iter().any(|text| text.contains("did not stall")), "{:?}", finding.ruled_out);
    // It comes back after a minute, removed meanwhile.
    pass(&mut stage, 44, &[B, C]);
    register(&mut stage, A.0, A.1, &service());
    pass(&mut stage, 5, &[A, B, C]);
    let finding = stage.only();
    assert_eq!(finding.code, "BEAT-GAP-CLIENT-PAUSED");
    assert!(finding.cause.contains("5 s, then 60 s;"), "{}", finding.cause);
    pass(&mut stage, 65, &[A, B, C]);
    assert!(stage.codes().is_empty(), "it clears");
}

#[test]
fn a_process_that_never_comes_back_is_gone() {
    let mut stage = three();
    pass(&mut stage, 32, &[B, C]);
    let finding = stage.only();
    assert_eq!(finding.code, "CLIENT-GONE");
    assert!(finding.cause.contains("is removed now"), "{}", finding.cause);
}

#[test]
fn a_host_is_told_from_a_process_and_a_network_from_a_host() {
    let mut stage = three();
    pass(&mut stage, 16, &[C]);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.count), ("BEAT-GAP-HOST", 2));

    let mut stage = Stage::default();
    let subnet: Vec<String> = (1..=4).map(|n| format!("198.51.100.{n}")).collect();
    let others: Vec<String> = (1..=5).map(|n| format!("203.0.113.{n}")).collect();
    let all: Vec<(&str, i32)> = subnet.iter().chain(&others).map(|ip| (ip.as_str(), 80)).collect();
    all.iter().for_each(|(ip, port)| register(&mut stage, ip, *port, &service()));
    pass(&mut stage, 15, &all);
    pass(&mut stage, 16, &all[4..]);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.count), ("BEAT-GAP-SUBNET", 4));
    assert!(finding.cause.contains("198.51.100.0/24"), "{}", finding.cause);

    let mut stage = three();
    register(&mut stage, "203.0.113.9", 80, &service());
    pass(&mut stage, 15, &[A, B, C, ("203.0.113.9", 80)]);
    pass(&mut stage, 16, &[]);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.severity), ("BEAT-GAP-EVERYBODY", Severity::Critical));
}

#[test]
fn other_requests_of_the_address_tell_a_dead_task_from_a_dead_process() {
    let mut stage = Stage::default();
    register(&mut stage, C.0, C.1, &service());
    pass(&mut stage, 10, &[C]);
    pass(&mut stage, 14, &[]);
    let source = stage.sightings.of([192, 0, 2, 12].into(), stage.now);
    source.saw(Act::ConfigListen, stage.now);
    pass(&mut stage, 2, &[]);
    let finding = stage.only();
    assert_eq!(finding.code, "BEAT-TASK-DEAD");
    assert!(finding.cause.contains("listening to configs"), "{}", finding.cause);
}

#[test]
fn who_never_beat_is_named_with_the_caller() {
    let mut stage = Stage::default();
    register(&mut stage, C.0, C.1, &service());
    let (address, agent) = ([192, 0, 2, 99].into(), "curl/8.5.0");
    let by = crate::callers::Call { act: Act::Register, address, agent, at: stage.now.wall };
    stage.sightings.callers.note(C.0, "8080", by, || agent.into());
    pass(&mut stage, 16, &[]);
    let finding = stage.only();
    assert_eq!(finding.code, "REGISTER-NO-BEATS");
    assert!(finding.cause.contains("192.0.2.99 (curl/8.5.0)"), "{}", finding.cause);
}

#[test]
fn beats_that_end_with_a_second_registration_are_told() {
    let mut stage = three();
    register(&mut stage, A.0, A.1, &service());
    pass(&mut stage, 16, &[B, C]);
    assert_eq!(stage.only().code, "REREGISTER-STOPS-BEATS");
}

#[test]
fn a_stall_of_the_server_and_a_deregistration_blame_nobody() {
    let mut stage = three();
    pass(&mut stage, 14, &[B, C]);
    stage.event(nacre_model::Subject::default(), Cause::ServerStalled { ms: 9_000 });
    pass(&mut stage, 2, &[B, C]);
    assert_eq!(stage.only().code, "SERVER-STALLED");

    let mut stage = three();
    let effects = stage.naming.deregister_http(&service(), A.0, A.1, stage.now);
    stage.records(effects);
    pass(&mut stage, 40, &[B, C]);
    assert!(stage.codes().is_empty(), "{:?}", stage.findings());
}

#[test]
fn timers_that_cannot_be_kept_are_not_blamed_on_the_client() {
    let mut stage = Stage::default();
    let mut instance = Instance::new(C.0, C.1);
    instance.metadata = Arc::new(Metadata::from([
        ("preserved.heart.beat.interval".into(), "15000".into()),
        ("preserved.heart.beat.timeout".into(), "15000".into()),
    ]));
    let effects = stage.naming.register_http(&service(), instance, stage.now).expect("registered");
    stage.records(effects);
    pass(&mut stage, 16, &[]);
    let finding = stage.only();
    assert_eq!(finding.code, "INTERVAL-OVER-TIMEOUT");
    assert!(finding.cause.contains("beats every 15000 ms") && finding.cause.contains("15000 ms"), "{}", finding.cause);
}

#[test]
fn whoever_beats_more_seldom_than_its_timeout_does_not_pause() {
    let mut stage = Stage::default();
    for (ip, port) in [A, C] {
        register(&mut stage, ip, port, &service());
    }
    for _ in 0..3 {
        beat(&mut stage, A.0, A.1, &service());
        pass(&mut stage, 20, &[C]);
        assert!(!stage.codes().contains(&"BEAT-GAP-CLIENT-PAUSED".to_owned()), "{:?}", stage.findings());
    }
    let finding = stage.only();
    assert_eq!(finding.code, "INTERVAL-OVER-TIMEOUT");
    assert!(finding.cause.contains("beats every 20000 ms"), "{}", finding.cause);
}

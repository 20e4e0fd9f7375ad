use super::*;
use crate::{callers::Call, testing::Stage};

fn service() -> ServiceKey {
    ServiceKey::new("", "DEFAULT_GROUP", "orders")
}

fn register(stage: &mut Stage, timers: &[(&str, &str)]) {
    let mut instance = Instance::new("192.0.2.30", 8080);
    instance.metadata = Arc::new(timers.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect());
    let effects = stage.naming.register_http(&service(), instance, stage.now).expect("registered");
    stage.records(effects);
}

fn deregister(stage: &mut Stage) {
    let effects = stage.naming.deregister_http(&service(), "192.0.2.30", 8080, stage.now);
    stage.records(effects);
}

#[test]
fn timers_are_judged_by_their_values() {
    let [interval, timeout, delete] = TIMERS;
    for (timers, code) in [
        (vec![(interval, "5"), (timeout, "15"), (delete, "30")], Some("TIMERS-LOOK-LIKE-SECONDS")),
        (vec![(interval, "15000")], Some("INTERVAL-OVER-TIMEOUT")),
        (vec![(interval, "10000")], Some("TIMEOUT-TOO-SHORT")),
        (vec![(timeout, "12000")], Some("TIMEOUT-TOO-SHORT")),
        (vec![(interval, "1000"), (timeout, "3000"), (delete, "9000")], None),
        (vec![], None),
    ] {
        let mut stage = Stage::default();
        register(&mut stage, &timers);
        assert_eq!(stage.codes(), code.into_iter().collect::<Vec<_>>(), "{timers:?}");
    }
}

#[test]
fn a_client_that_reads_configs_and_never_registers_again_is_told_with_the_removal() {
    let mut stage = Stage::default();
    register(&mut stage, &[]);
    stage.wait(1_000);
    deregister(&mut stage);
    let source = stage.sightings.of([192, 0, 2, 30].into(), stage.now);
    source.agent("Nacos-Java-Client:v1.4.8");
    stage.wait(4 * 60_000);
    assert!(stage.codes().is_empty(), "nothing is heard of it");
    source.saw(Act::ConfigListen, stage.now);
    stage.wait(2_000);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.severity), ("NOT-REGISTERED-SEEN-ALIVE", Severity::Info));
    for told in ["listening to configs", "2 s ago", "no registration attempt", "192.0.2.30:8080", "deregistered"] {
        assert!(finding.cause.contains(told), "{told}: {}", finding.cause);
    }
    source.saw(Act::Register, stage.now);
    register(&mut stage, &[]);
    stage.wait(3_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn a_foreign_deregistration_is_told_when_the_client_goes_on() {
    let mut stage = Stage::default();
    register(&mut stage, &[]);
    let (address, agent) = ([192, 0, 2, 99].into(), "deploy/1");
    let by = Call { act: Act::Deregister, address, agent, at: stage.now.wall };
    stage.sightings.callers.note("192.0.2.30", "8080", by, || agent.into());
    deregister(&mut stage);
    assert!(stage.codes().is_empty(), "perhaps it was meant");
    stage.wait(1_000);
    register(&mut stage, &[]);
    let finding = stage.only();
    assert_eq!(finding.code, "DEREGISTERED-BY-OTHER");
    assert!(finding.cause.contains("192.0.2.99 (deploy/1)"), "{}", finding.cause);
    stage.wait(100_000);
    assert!(!stage.codes().contains(&"DEREGISTERED-BY-OTHER".to_owned()));
}

#[test]
fn the_same_registration_again_and_again_is_a_storm() {
    let mut stage = Stage::default();
    for _ in 0..STORM - 1 {
        register(&mut stage, &[]);
    }
    assert!(stage.codes().is_empty());
    register(&mut stage, &[]);
    assert_eq!(stage.only().code, "REGISTER-STORM");
}

use nacre_model::{Instance, Subject};
use nacre_naming::{Beat, BeatInfo};

use super::{super::refusals::refusal, *};
use crate::testing::Stage;

fn key(namespace: &str) -> ServiceKey {
    ServiceKey::new(namespace, "DEFAULT_GROUP", "orders")
}

fn beat(stage: &mut Stage, service: &ServiceKey, info: Option<&BeatInfo>) -> bool {
    let beat = Beat { service, ip: "10.0.0.1", port: 80, cluster: "DEFAULT", info, sender: "10.0.0.1" };
    let (answer, effects) = stage.naming.beat(&beat, stage.now).expect("beat");
    stage.records(effects);
    answer.found()
}

fn register(stage: &mut Stage, service: &ServiceKey) {
    let effects = stage.naming.register_http(service, Instance::new("10.0.0.1", 80), stage.now).expect("registered");
    stage.records(effects);
}

fn info(service: &str) -> BeatInfo {
    let told = format!(r#"{{"ip":"10.0.0.1","port":80,"weight":1,"cluster":"DEFAULT","serviceName":"{service}"}}"#);
    BeatInfo::parse(&told).expect("beat")
}

#[test]
fn a_beat_that_names_another_service_is_told_until_it_agrees() {
    let mut stage = Stage::default();
    register(&mut stage, &key(""));
    beat(&mut stage, &key(""), Some(&info("other@@orders")));
    let finding = stage.only();
    assert_eq!(finding.code, "BEAT-SERVICE-NAME-WRONG");
    assert!(finding.cause.contains("other@@orders"), "{}", finding.cause);
    stage.wait(5_000);
    beat(&mut stage, &key(""), Some(&info("DEFAULT_GROUP@@orders")));
    assert!(stage.codes().is_empty());
}

#[test]
fn beats_in_another_namespace_are_told_once_the_instance_starves() {
    let mut stage = Stage::default();
    register(&mut stage, &key("prod"));
    stage.wait(1_000);
    assert!(!beat(&mut stage, &key(""), None));
    assert!(stage.codes().is_empty(), "a beat of its own may still come");
    stage.wait(5_500);
    assert!(!beat(&mut stage, &key(""), None));
    let finding = stage.only();
    assert_eq!(finding.code, "BEAT-NAMESPACE-WRONG");
    assert!(finding.cause.contains("prod") && finding.cause.contains("public"), "{}", finding.cause);
}

#[test]
fn one_address_that_beats_in_two_namespaces_is_no_fault() {
    let mut stage = Stage::default();
    for _ in 0..4 {
        stage.wait(5_000);
        for namespace in ["prod", ""] {
            assert!(beat(&mut stage, &key(namespace), Some(&info("DEFAULT_GROUP@@orders"))));
        }
        assert_eq!(stage.codes(), Vec::<String>::new());
    }
}

#[test]
fn an_ignored_20404_is_told_with_the_removal() {
    let mut stage = Stage::default();
    register(&mut stage, &key(""));
    beat(&mut stage, &key(""), None);
    stage.wait(31_000);
    let effects = stage.naming.tick(stage.now);
    stage.records(effects);
    // The silence is history by then.
    stage.wait(61_000);
    for _ in 0..3 {
        stage.wait(5_000);
        assert!(!beat(&mut stage, &key(""), None));
    }
    let finding = stage.only();
    assert_eq!(finding.code, "BEAT-20404-IGNORED");
    assert!(finding.cause.contains("10.0.0.1:80") && finding.cause.contains("removed"), "{}", finding.cause);
    register(&mut stage, &key(""));
    stage.wait(1_000);
    beat(&mut stage, &key(""), None);
    stage.wait(3_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn refusals_are_sorted_by_what_they_say() {
    let refused = |call: &str, code: i32, reason: &str| {
        let cause = Cause::Refused { call: call.into(), code, reason: reason.into() };
        Event::new(crate::testing::START, Subject::client("10.0.0.1"), cause)
    };
    let (register, beat) = ("POST /v1/ns/instance", "PUT /v1/ns/instance/beat");
    for (call, code, reason, found) in [
        (
            register,
            400,
            "Current service x is persistent service, can't register ephemeral instance.",
            "EPHEMERAL-MISMATCH",
        ),
        ("InstanceRequest", 400, "Current service x is persistent service, can't register", "EPHEMERAL-MISMATCH"),
        (register, 410, "{}", "OLD-API-CLOSED"),
        (register, 503, "the limit nacre.limit.instances of 5 is reached", "REGISTER-OVER-LIMIT"),
        (beat, 500, "errMsg: Nacos deserialize for class [x] failed", "BEAT-JSON-BROKEN"),
        (beat, 400, "Param 'serviceName' is required.", "BEAT-PARAMETERS-MISSING"),
        (register, 400, "Param 'serviceName' is required.", "REGISTER-REFUSED"),
    ] {
        assert_eq!(refusal(&refused(call, code, reason)), Some(found), "{call} {reason}");
    }
    assert_eq!(refusal(&refused("DELETE /v1/ns/service", 400, "no")), None);
}

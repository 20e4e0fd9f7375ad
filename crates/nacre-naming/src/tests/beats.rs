use nacre_model::event::Removal;

use super::*;

fn timers(timeout: u64, delete: u64) -> Arc<Metadata> {
    metadata(&[
        ("preserved.heart.beat.interval", "1000"),
        ("preserved.heart.beat.timeout", &timeout.to_string()),
        ("preserved.ip.delete.timeout", &delete.to_string()),
    ])
}

#[test]
fn beat_of_unknown_instance_answers_20404() {
    // C001
    let world = World::new();
    let (answer, effects) = world.light(&key("s"), "192.0.2.11", 80);
    assert_eq!(answer, BeatAnswer { code: 20404, client_beat_interval: 5000, light_beat_enabled: true });
    assert_eq!(kinds(&effects), ["beatUnknownInstance"]);
    assert!(!world.naming.service_exists(&key("s")), "a light beat makes nothing");
}

#[test]
fn full_beat_of_unknown_instance_registers_it() {
    // C001
    let world = World::new();
    let json = r#"{"ip":"192.0.2.11","port":80,"weight":2.0,"serviceName":"G@@s","cluster":"C","metadata":{"k":"v"},
        "scheduled":false,"period":5000,"stopped":false,"load":0.1}"#;
    let (answer, effects) = world.full(&key("s"), json);
    assert_eq!(answer.code, 10200);
    assert_eq!(kinds(&effects), ["beatUnknownInstance", "serviceCreated", "instanceRegistered"]);
    let view = world.list(&key("s"));
    let host = &view.hosts[0];
    assert_eq!((&*host.ip, host.port, host.weight, &*host.cluster), ("192.0.2.11", 80, 2.0, "C"));
    assert_eq!(host.instance_id_text("G@@s").as_deref(), Some("192.0.2.11#80#C#G@@s"));
    assert_eq!(host.metadata, metadata(&[("k", "v")]));
}

#[test]
fn full_beat_without_weight_registers_weight_zero() {
    let world = World::new();
    let _ = world.full(&key("s"), r#"{"ip":"10.0.0.1","port":80}"#);
    assert_eq!(world.list(&key("s")).hosts[0].weight, 0.0);
}

#[test]
fn full_beat_without_address_takes_the_parameters() {
    let world = World::new();
    let info = BeatInfo::parse("{}").expect("JSON");
    let service = key("s");
    let beat = Beat { service: &service, ip: "10.0.0.1", port: 80, cluster: "CP", info: Some(&info), sender: "" };
    let (answer, _) = world.naming.beat(&beat, world.now).expect("answered");
    assert_eq!(answer.code, 10200);
    let view = world.list(&service);
    assert_eq!((&*view.hosts[0].ip, view.hosts[0].port, &*view.hosts[0].cluster), ("10.0.0.1", 80, "CP"));
}

#[test]
fn a_known_instances_beat_changes_nothing_but_its_clock() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let before = world.list(&service).last_ref_time;
    let _ = world.pass(4_000);
    let (answer, effects) = world.light(&service, "10.0.0.1", 80);
    assert!(answer.found() && effects.is_empty());
    let (_, effects) = world.full(&service, r#"{"ip":"10.0.0.1","port":80,"weight":9,"metadata":{"a":"b"}}"#);
    assert!(effects.is_empty(), "another weight and metadata in a beat are ignored");
    assert_eq!(world.list(&service).last_ref_time, before);
    assert_eq!(world.list(&service).hosts[0].weight, 1.0);
}

#[test]
fn beats_find_the_instance_by_service_and_address_alone() {
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let answer = |service: &ServiceKey, ip, port, cluster| {
        world
            .naming
            .beat(&Beat { service, ip, port, cluster, info: None, sender: "" }, world.now)
            .expect("answered")
            .0
            .code
    };
    assert_eq!(answer(&service, "10.0.0.1", 80, "ZZ"), 10200, "the cluster does not matter");
    assert_eq!(answer(&service, "10.0.0.1", 81, ""), 20404);
    assert_eq!(answer(&service, "10.0.0.2", 80, ""), 20404);
    assert_eq!(answer(&key("other"), "10.0.0.1", 80, ""), 20404);
    assert_eq!(answer(&ServiceKey::new("ns", "G", "s"), "10.0.0.1", 80, ""), 20404);
}

#[test]
fn silence_turns_unhealthy_after_15_s_and_removes_after_30_s() {
    // C006
    let mut world = World::new();
    let service = key("s");
    world.watch(&service);
    let _ = world.http(&service, instance("10.0.0.1", 80));
    for _ in 0..4 {
        let _ = world.pass(5_000);
        let _ = world.light(&service, "10.0.0.1", 80);
    }
    let _ = world.pass(15_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"], "the comparison is strict");
    let flip = world.pass(1_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    assert_eq!(kinds(&flip), ["instanceUnhealthy"]);
    assert_eq!(flip.changed, std::slice::from_ref(&service));
    let healthy_only = Query { healthy_only: true, ..Query::default() };
    assert!(world.naming.list(&service, &healthy_only, world.now).hosts.is_empty());
    let _ = world.pass(13_900);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    let gone = world.pass(1_000);
    assert!(world.hosts(&service).is_empty());
    assert_eq!(gone.vanished, std::slice::from_ref(&service));
    match &*gone.events[0].cause {
        Cause::InstanceRemoved { removal: Removal::BeatExpired { silent_ms, limit_ms: 30_000 } } => {
            assert!((30_001..31_000).contains(silent_ms), "{silent_ms}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.light(&service, "10.0.0.1", 80).0.code, 20404);
}

#[test]
fn a_beat_makes_an_unhealthy_instance_healthy_again() {
    let mut world = World::new();
    let service = key("s");
    world.watch(&service);
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.light(&service, "10.0.0.1", 80);
    let _ = world.pass(20_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    let (answer, effects) = world.light(&service, "10.0.0.1", 80);
    assert!(answer.found());
    assert_eq!(kinds(&effects), ["beatResumed", "instanceHealthy"]);
    assert_eq!(effects.changed, std::slice::from_ref(&service));
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
    let _ = world.pass(14_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"], "the clock starts anew");
    let _ = world.pass(2_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
}

#[test]
fn an_instance_registered_unhealthy_becomes_healthy_with_its_first_beat() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, Instance { healthy: false, ..instance("10.0.0.1", 80) });
    let _ = world.pass(5_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    let (_, effects) = world.light(&service, "10.0.0.1", 80);
    assert_eq!(kinds(&effects), ["instanceHealthy"]);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
}

#[test]
fn an_instance_registered_unhealthy_is_removed_on_time() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, Instance { healthy: false, ..instance("10.0.0.1", 80) });
    let effects = world.pass(31_000);
    assert!(world.hosts(&service).is_empty());
    assert_eq!(kinds(&effects), ["instanceRemoved"]);
}

#[test]
fn preserved_metadata_rule_the_timers() {
    let mut world = World::new();
    let service = key("s");
    let short = Instance { metadata: timers(2_000, 60_000), ..instance("10.0.0.1", 80) };
    let vanishing = Instance { metadata: timers(1_500, 2_000), ..instance("10.0.0.2", 80) };
    let _ = world.http(&service, short);
    let _ = world.http(&service, vanishing);
    assert_eq!(world.light(&service, "10.0.0.1", 80).0.client_beat_interval, 1000);
    let _ = world.pass(1_600);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true", "10.0.0.2:80/false"]);
    let _ = world.pass(500);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    let _ = world.pass(57_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    let _ = world.pass(1_200);
    assert!(world.hosts(&service).is_empty());
}

#[test]
fn delete_timeout_below_beat_timeout_removes_directly() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, Instance { metadata: timers(9_000, 3_000), ..instance("10.0.0.1", 80) });
    let effects = world.pass(3_200);
    assert_eq!(kinds(&effects), ["instanceRemoved"]);
}

#[test]
fn values_that_look_like_seconds_are_milliseconds() {
    // C005
    let mut world = World::new();
    let service = key("s");
    let seconds = metadata(&[
        ("preserved.heart.beat.interval", "5"),
        ("preserved.heart.beat.timeout", "15"),
        ("preserved.ip.delete.timeout", "30"),
    ]);
    let _ = world.http(&service, Instance { metadata: seconds, ..instance("10.0.0.1", 80) });
    let effects = world.pass(200);
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::InstanceRemoved { .. })), 1);
    let beat = r#"{"ip":"10.0.0.1","port":80,"metadata":{"preserved.heart.beat.interval":"5"}}"#;
    assert_eq!(world.full(&service, beat).0.client_beat_interval, 5);
}

#[test]
fn a_late_beat_is_told_with_its_gap() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.light(&service, "10.0.0.1", 80);
    let _ = world.pass(5_200);
    assert!(world.light(&service, "10.0.0.1", 80).1.is_empty());
    let _ = world.pass(11_000);
    let (_, effects) = world.light(&service, "10.0.0.1", 80);
    let late = Cause::BeatLate { gap_ms: 11_000, expected_ms: 5_000 };
    assert_eq!(effects.events.iter().map(|e| &*e.cause).collect::<Vec<_>>(), [&late]);
}

#[test]
fn a_beat_naming_another_service_still_counts_for_the_parameters_service() {
    // Causes table B01: a beat without group must not let its instance flap.
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    for round in 0..8 {
        let _ = world.pass(5_000);
        let (answer, effects) = world.full(&service, r#"{"ip":"10.0.0.1","port":80,"serviceName":"s"}"#);
        assert!(answer.found());
        let told =
            count(&effects, |cause| matches!(cause, Cause::BeatMismatch { field, .. } if field == "serviceName"));
        assert_eq!(told, usize::from(round == 0), "told once");
    }
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
}

#[test]
fn a_beat_refreshes_the_service_its_json_names_as_well() {
    let mut world = World::new();
    let (a, b) = (key("a"), key("b"));
    let _ = world.http(&a, instance("10.0.0.1", 80));
    let _ = world.http(&b, instance("10.0.0.1", 80));
    for _ in 0..8 {
        let _ = world.pass(5_000);
        let _ = world.full(&a, r#"{"ip":"10.0.0.1","port":80,"serviceName":"G@@b"}"#);
    }
    assert_eq!(world.hosts(&a), ["10.0.0.1:80/true"]);
    assert_eq!(world.hosts(&b), ["10.0.0.1:80/true"]);
}

#[test]
fn beats_of_a_persistent_service_are_refused_or_not_found() {
    let world = World::new();
    let service = key("p");
    let persistent = Instance { ephemeral: false, ..instance("10.0.0.1", 80) };
    let _ = world.done(NamingCommand::RegisterPersistent { service: service.clone(), instance: persistent });
    assert_eq!(world.light(&service, "10.0.0.1", 80).0.code, 20404);
    let info = BeatInfo::parse(r#"{"ip":"10.0.0.1","port":80}"#).expect("JSON");
    let beat = Beat { service: &service, ip: "", port: 0, cluster: "", info: Some(&info), sender: "" };
    let error = world.naming.beat(&beat, world.now).expect_err("refused");
    assert_eq!(error.status, 400);
    assert_eq!(
        error.client_text(),
        "errCode: 400, errMsg: Current service G@@p is persistent service, can't register ephemeral instance. "
    );
}

#[test]
fn an_ephemeral_false_beat_of_an_unknown_instance_fails_and_makes_nothing() {
    let world = World::new();
    let info = BeatInfo::parse(r#"{"ip":"10.0.0.1","port":80,"ephemeral":false}"#).expect("JSON");
    let service = key("s");
    let beat = Beat { service: &service, ip: "", port: 0, cluster: "", info: Some(&info), sender: "" };
    assert_eq!(world.naming.beat(&beat, world.now).expect_err("refused").status, 500);
    assert!(!world.naming.service_exists(&service));
    assert!(world.naming.client_ids().is_empty());
}

#[test]
fn switches_change_the_advertised_interval_and_light_beats() {
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let set = |entry: &str, value: &str| {
        let _ = world.done(NamingCommand::SetSwitch { entry: entry.into(), value: value.into() });
    };
    set("clientBeatInterval", "7000");
    set("lightBeatEnabled", "false");
    let (answer, _) = world.light(&service, "10.0.0.1", 80);
    assert_eq!(answer, BeatAnswer { code: 10200, client_beat_interval: 7000, light_beat_enabled: false });
}

#[test]
fn an_odd_interval_falls_back_to_the_switch() {
    let world = World::new();
    let service = key("s");
    for odd in ["abc", "0"] {
        let odd = metadata(&[("preserved.heart.beat.interval", odd)]);
        let _ = world.http(&service, Instance { metadata: odd, ..instance("10.0.0.1", 80) });
        assert_eq!(world.light(&service, "10.0.0.1", 80).0.client_beat_interval, 5000);
    }
}

#[test]
fn a_stepping_wall_clock_expires_nobody() {
    // Causes table D03.
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    world.now.wall += 3_600_000;
    assert!(world.pass(1_000).is_empty());
    world.now.wall -= 7_200_000;
    assert!(world.pass(1_000).is_empty());
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
}

#[test]
fn an_unknown_beat_is_told_where_its_address_is_registered() {
    // Causes table B02, B03, B06.
    let world = World::new();
    let _ = world.http(&ServiceKey::new("dev", "G", "s"), instance("10.0.0.1", 80));
    let _ = world.http(&ServiceKey::new("public", "OTHER", "s"), instance("10.0.0.1", 80));
    let _ = world.http(&key("unrelated"), instance("10.0.0.1", 80));
    let (answer, effects) = world.light(&key("s"), "10.0.0.1", 80);
    assert_eq!(answer.code, 20404);
    let told = effects.events.iter().filter_map(|event| match &*event.cause {
        Cause::BeatMismatch { field, expected, got } => Some((field.as_str(), expected.as_str(), got.as_str())),
        _ => None,
    });
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    assert_eq!(told, [("groupName", "OTHER", "G"), ("namespaceId", "dev", "public")]);
    let persistent = NamingCommand::RegisterPersistent { service: key("p"), instance: instance("10.0.0.2", 80) };
    let _ = world.done(persistent);
    let (_, effects) = world.light(&key("p"), "10.0.0.2", 80);
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::BeatMismatch { field, .. } if field == "ephemeral")), 1);
}

#[test]
fn a_flood_of_beats_is_named_with_its_source_and_seldom() {
    // Case C005: a client took milliseconds for seconds.
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let beats = |world: &mut World, times: u64, gap: u64| -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..times {
            world.now = world.now.plus(gap);
            let (ip, sender) = ("10.0.0.1", "10.7.7.7");
            let beat = Beat { service: &service, ip, port: 80, cluster: "", info: None, sender };
            let (_, effects) = world.naming.beat(&beat, world.now).expect("answered");
            told.extend(effects.events.iter().map(|event| match &*event.cause {
                Cause::Suspicious { call, reason } if call == "beat" => reason.clone(),
                other => panic!("{other:?}"),
            }));
        }
        told
    };
    assert!(beats(&mut world, 199, 5).is_empty());
    let told = beats(&mut world, 1, 5);
    assert!(told.len() == 1 && told[0].contains("200 beats in a row from 10.7.7.7"), "{told:?}");
    assert_eq!(beats(&mut world, 100_000, 5).len(), 8, "told at 400, 800 and so on, not for ever");
    assert!(beats(&mut world, 300, 60).is_empty(), "many are not a flood");
    assert!(beats(&mut world, 150, 5).is_empty() && beats(&mut world, 1, 5_000).is_empty());
    assert!(beats(&mut world, 150, 5).is_empty(), "a burst is not a flood");
}

#[test]
fn two_senders_of_one_instance_are_both_named_once() {
    // Causes table E02, E03.
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let mut named = Vec::new();
    for sender in ["10.0.0.1", "10.0.0.1", "10.9.9.9", "10.0.0.1", "10.9.9.9", "10.0.0.1", ""] {
        let beat = Beat { service: &service, ip: "10.0.0.1", port: 80, cluster: "", info: None, sender };
        let (answer, effects) = world.naming.beat(&beat, world.now).expect("answered");
        assert!(answer.found());
        named.extend(effects.events.into_iter().map(|event| event.cause));
    }
    let senders: Vec<_> = named
        .iter()
        .map(|cause| match &**cause {
            Cause::BeatMismatch { field, got, .. } if field == "sender" => got.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(senders, ["10.9.9.9", "10.0.0.1"]);
}

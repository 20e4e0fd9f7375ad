use nacre_model::event::Removal;

use super::*;

fn removed(effects: &Effects) -> usize {
    count(effects, |cause| matches!(cause, Cause::InstanceRemoved { .. }))
}

#[test]
fn an_empty_service_is_cleaned_after_a_minute_and_its_metadata_a_minute_later() {
    // C023
    let mut world = World::new();
    let service = key("s");
    world.create(&service, false, 0.7);
    let _ = world.pass(59_900);
    assert!(world.naming.service_exists(&service));
    let effects = world.pass(300);
    assert!(!world.naming.service_exists(&service));
    match &*effects.events[0].cause {
        Cause::ServiceRemoved { by } => assert!(by.starts_with("cleaner: empty since "), "{by}"),
        other => panic!("{other:?}"),
    }
    assert!(world.list(&service).hosts.is_empty());
    let effects = world.pass(60_100);
    let expected = NamingCommand::ExpireServiceMetadata { service: service.clone() };
    assert_eq!(effects.propose, std::slice::from_ref(&expected));
    let (_, rows) = world.done(expected);
    assert_eq!((rows.len(), rows[0].value.is_none()), (1, true));
    assert!(world.naming.slots.is_empty(), "nothing is left");
    assert!(world.pass(200_000).is_empty());
}

#[test]
fn a_longer_setting_keeps_an_empty_service_longer() {
    // C023
    let mut world = World::with(Options { empty_service_expired_ms: 600_000, ..Options::default() });
    world.create(&key("s"), false, 0.0);
    let _ = world.pass(599_000);
    assert!(world.naming.service_exists(&key("s")));
    let _ = world.pass(2_000);
    assert!(!world.naming.service_exists(&key("s")));
}

#[test]
fn an_empty_service_stays_where_cleaning_is_switched_off() {
    // C081
    let mut world = World::with(Options { clean_empty_services: false, ..Options::default() });
    world.create(&key("s"), false, 0.0);
    let _ = world.pass(3_600_000);
    assert!(world.naming.service_exists(&key("s")));
}

#[test]
fn metadata_come_back_with_a_service_that_returns_in_time() {
    let mut world = World::new();
    let service = key("s");
    world.create(&service, true, 0.7);
    let _ = world.pass(90_000);
    assert!(!world.naming.service_exists(&service));
    assert!(world.naming.service(&service).is_err());
    let _ = world.http(&service, instance("10.0.0.1", 80));
    assert_eq!(world.naming.service(&service).expect("exists").protect_threshold, 0.7);
    let effects = world.pass(15_000);
    assert!(effects.propose.is_empty());
    let stale = world.apply(NamingCommand::ExpireServiceMetadata { service: service.clone() });
    assert!(stale.rows.is_empty(), "decided when applied");
}

#[test]
fn emptiness_counts_from_the_last_departure() {
    let mut world = World::new();
    let service = key("s");
    let client = world.connect("1_a_1");
    let _ = world.grpc(&client, &service, instance("10.0.0.1", 80));
    let _ = world.pass(100_000);
    let _ = world.naming.deregister(&client, &service, world.now).expect("ok");
    let _ = world.pass(50_000);
    let _ = world.grpc(&client, &service, instance("10.0.0.1", 80));
    let _ = world.naming.deregister(&client, &service, world.now).expect("ok");
    let _ = world.pass(50_000);
    assert!(world.naming.service_exists(&service));
    let _ = world.pass(10_200);
    assert!(!world.naming.service_exists(&service));
}

#[test]
fn an_http_client_without_instances_goes_after_30_s() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.61.0.1", 8081));
    let _ = world.pass(5_000);
    let _ = world.naming.deregister_http(&service, "10.61.0.1", 8081, world.now);
    let _ = world.pass(29_000);
    assert!(world.naming.client("10.61.0.1:8081#true", world.now).is_ok());
    let _ = world.pass(2_000);
    assert!(world.naming.client("10.61.0.1:8081#true", world.now).is_err());
    assert_eq!(world.naming.metrics().client_count, 0);
}

#[test]
fn with_expiry_off_a_silent_instance_stays_unhealthy_until_its_client_expires() {
    let mut world = World::with(Options { expire_instance: false, ..Options::default() });
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.pass(179_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    let effects = world.pass(2_000);
    assert!(world.hosts(&service).is_empty());
    let expired = |cause: &Cause| matches!(cause, Cause::InstanceRemoved { removal: Removal::ClientExpired { silent_ms } } if *silent_ms > 180_000);
    assert_eq!(count(&effects, expired), 1);
    assert_eq!(world.naming.metrics().client_count, 0);
}

#[test]
fn a_shorter_expiry_of_clients_takes_hold_of_those_that_are_silent_already() {
    let mut world = World::with(Options { expire_instance: false, ..Options::default() });
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let _ = world.pass(90_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    world.naming.set_client_expired(60_000);
    let effects = world.pass(30_000);
    assert_eq!(removed(&effects), 1);
    assert!(world.hosts(&service).is_empty());
}

#[test]
fn with_checks_off_nothing_turns_unhealthy_and_on_again_everything_is_judged() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let check = |value: &str| NamingCommand::SetSwitch { entry: "check".into(), value: value.into() };
    let _ = world.done(check("false"));
    let _ = world.pass(100_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
    let _ = world.done(check("true"));
    let effects = world.pass(6_000);
    assert_eq!(removed(&effects), 1);
    // Off for good: the client still goes after 180 s.
    let _ = world.http(&service, instance("10.0.0.2", 80));
    let _ = world.done(check("false"));
    let _ = world.pass(186_000);
    assert!(world.hosts(&service).is_empty());
}

#[test]
fn a_delete_timeout_beyond_the_clients_expiry_does_not_keep_the_client() {
    let mut world = World::new();
    let service = key("s");
    let long = metadata(&[("preserved.ip.delete.timeout", "86400000"), ("preserved.heart.beat.timeout", "86400000")]);
    let _ = world.http(&service, Instance { metadata: long, ..instance("10.0.0.1", 80) });
    let _ = world.pass(179_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
    let _ = world.pass(2_000);
    assert!(world.hosts(&service).is_empty());
}

#[test]
fn absurd_timeouts_do_no_harm() {
    let mut world = World::new();
    let service = key("s");
    let absurd = metadata(&[
        ("preserved.heart.beat.timeout", "18446744073709551615"),
        ("preserved.ip.delete.timeout", "18446744073709551615"),
        ("preserved.heart.beat.interval", "18446744073709551615"),
    ]);
    let _ = world.http(&service, Instance { metadata: absurd, ..instance("10.0.0.1", 80) });
    assert_eq!(world.light(&service, "10.0.0.1", 80).0.client_beat_interval, i64::from(u32::MAX));
    let _ = world.pass(60_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
}

/// `n` instances of one service that have beaten.
fn crowd(world: &World, service: &ServiceKey, n: i32) {
    for port in 0..n {
        let _ = world.http(service, instance("10.0.0.1", port));
        let _ = world.light(service, "10.0.0.1", port);
    }
}

#[test]
fn one_to_three_dead_instances_are_removed_on_time() {
    // C002, C006
    for dead in 1..=3 {
        let mut world = World::new();
        let service = key("s");
        crowd(&world, &service, 3);
        let mut gone = Effects::default();
        for _ in 0..7 {
            gone.merge(world.pass(5_000));
            for port in dead..3 {
                let _ = world.light(&service, "10.0.0.1", port);
            }
        }
        assert_eq!(removed(&gone), dead as usize, "{dead} of 3");
    }
}

#[test]
fn one_of_fifty_is_removed_on_time() {
    // C002
    let mut world = World::new();
    let service = key("s");
    crowd(&world, &service, 50);
    let mut effects = Effects::default();
    for _ in 0..7 {
        effects.merge(world.pass(5_000));
        for port in 1..50 {
            let _ = world.light(&service, "10.0.0.1", port);
        }
    }
    assert_eq!((removed(&effects), world.hosts(&service).len()), (1, 49));
}

#[test]
fn the_brake_holds_removals_when_most_of_a_service_falls_silent() {
    let mut world = World::new();
    let hold = world.naming.options().brake.hold_ms;
    let service = key("s");
    crowd(&world, &service, 50);
    let effects = world.pass(40_000);
    assert_eq!(removed(&effects), 0);
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::InstanceUnhealthy { .. })), 50);
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::BrakeOn { expiring: 50, total: 50 })), 1);
    assert_eq!(world.naming.metrics().braked_services, 1);
    // The network is back: beats of instances that are still there count, nothing was lost.
    let mut back = Effects::default();
    for port in 0..40 {
        let (answer, effects) = world.light(&service, "10.0.0.1", port);
        assert!(answer.found());
        back.merge(effects);
    }
    assert_eq!(count(&back, |cause| matches!(cause, Cause::BrakeOff)), 1);
    assert_eq!(world.naming.metrics().braked_services, 0);
    let late = world.pass(6_000);
    assert_eq!(removed(&late), 10, "the others are dead indeed");
    assert!(hold >= 6_000);
}

#[test]
fn instances_that_died_one_after_the_other_are_not_held() {
    let mut world = World::new();
    let service = key("s");
    let slow = metadata(&[("preserved.ip.delete.timeout", "170000")]);
    for port in 0..12 {
        let _ = world.http(&service, Instance { metadata: slow.clone(), ..instance("10.0.0.1", port) });
        let _ = world.light(&service, "10.0.0.1", port);
        let _ = world.pass(10_000);
    }
    let _ = world.pass(55_000);
    assert_eq!(world.hosts(&service).len(), 11, "all are silent by now, yet the first one goes on time");
}

#[test]
fn the_brake_lets_go_after_its_pause() {
    let mut world = World::new();
    let hold = world.naming.options().brake.hold_ms;
    let service = key("s");
    crowd(&world, &service, 50);
    let effects = world.pass(30_000 + hold - 1_000);
    assert_eq!(removed(&effects), 0);
    let effects = world.pass(10_000);
    assert_eq!(removed(&effects), 50);
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::BrakeOff)), 1);
    assert_eq!(world.naming.metrics().braked_services, 0);
}

#[test]
fn the_brake_ignores_small_services_and_instances_that_never_beat_and_can_be_switched_off() {
    let mut world = World::new();
    let small = key("small");
    crowd(&world, &small, world.naming.options().brake.min_instances as i32 - 1);
    let never = key("never");
    for port in 0..100 {
        let _ = world.http(&never, instance("10.0.0.1", port));
    }
    let _ = world.pass(31_000);
    assert!(world.hosts(&small).is_empty() && world.hosts(&never).is_empty());

    let off = BrakeOptions { enabled: false, ..BrakeOptions::default() };
    let mut world = World::with(Options { brake: off, ..Options::default() });
    crowd(&world, &key("s"), 50);
    assert_eq!(removed(&world.pass(31_000)), 50);
}

#[test]
fn protection_is_told_when_it_begins_and_ends() {
    let mut world = World::new();
    let service = key("s");
    let client = world.connect("1_a_1");
    world.create(&service, true, 0.5);
    let register = |healthy: &[bool]| {
        let batch =
            healthy.iter().zip(1..).map(|(healthy, port)| Instance { healthy: *healthy, ..instance("10.0.0.1", port) });
        let _ = world.naming.register_batch(&client, &service, batch.collect(), world.now).expect("ok");
    };
    register(&[true, true]);
    register(&[true, false]);
    let effects = world.pass(1_000);
    let expected = Cause::ProtectionReached { healthy: 1, total: 2, threshold: 0.5 };
    assert_eq!(effects.events.iter().map(|event| &*event.cause).collect::<Vec<_>>(), [&expected]);
    let register = |healthy: &[bool]| {
        let batch =
            healthy.iter().zip(1..).map(|(healthy, port)| Instance { healthy: *healthy, ..instance("10.0.0.1", port) });
        let _ = world.naming.register_batch(&client, &service, batch.collect(), world.now).expect("ok");
    };
    register(&[true, true, true]);
    assert_eq!(kinds(&world.pass(1_000)), ["protectionCleared"]);
}

#[test]
fn a_tick_costs_what_is_due() {
    let mut world = World::new();
    for n in 0..2_000 {
        let _ = world.http(&key(&format!("s{}", n % 50)), instance("10.0.0.1", n));
    }
    let due = |world: &World| -> usize {
        world.naming.wheel.lock().due(world.now.mono, usize::MAX).iter().map(|b| b.1.len()).sum()
    };
    for _ in 0..100 {
        world.now = world.now.plus(100);
        assert_eq!(due(&world), 0, "nothing is due in the first ten seconds");
    }
}

#[test]
fn a_mass_expiry_is_spread_over_ticks_and_complete() {
    let mut world = World::new();
    for n in 0..25_000 {
        let _ = world.http(&key(&format!("s{}", n % 5_000)), instance("10.0.0.1", n));
    }
    world.now = world.now.plus(15_100);
    let first = world.naming.tick(world.now);
    assert_eq!(first.events.len(), 20_000);
    let second = world.naming.tick(world.now);
    assert_eq!(second.events.len(), 5_000);
    assert!(world.naming.tick(world.now).is_empty());
}

#[test]
fn beats_do_not_grow_the_wheel() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let pending = |world: &World| world.naming.wheel.lock().len();
    let before = pending(&world);
    for _ in 0..100 {
        let _ = world.http(&service, instance("10.0.0.1", 80));
        let _ = world.light(&service, "10.0.0.1", 80);
    }
    assert_eq!(pending(&world), before);
    for _ in 0..1_000 {
        let _ = world.pass(1_000);
        let _ = world.light(&service, "10.0.0.1", 80);
    }
    assert!(pending(&world) <= before + 1, "{}", pending(&world));
}

#[test]
fn everything_that_leaves_is_let_go_of() {
    let mut world = World::new();
    let client = world.connect("1_a_1");
    for round in 0..20 {
        for n in 0..20 {
            let service = key(&format!("s{round}-{n}"));
            let _ = world.http(&service, instance("10.0.0.1", n));
            let _ = world.grpc(&client, &service, instance("10.0.0.2", n));
            let _ = world.naming.subscribe(&client, &service, subscription(""), world.now).expect("ok");
            let _ = world.naming.unsubscribe(&client, &service, world.now).expect("ok");
            let _ = world.naming.deregister(&client, &service, world.now).expect("ok");
        }
        let _ = world.pass(10_000);
    }
    let _ = world.pass(400_000);
    assert!(world.naming.slots.is_empty());
    assert_eq!(world.naming.clients.all().len(), 1);
    assert_eq!(world.naming.wheel.lock().len(), 0);
    assert_eq!(world.naming.index.read().namespaces.len(), 0);
    assert_eq!(
        world.naming.metrics(),
        NamingMetrics { client_count: 1, connection_based_client_count: 1, ..Default::default() }
    );
}

use nacre_model::Row;

use super::*;

fn persistent(service: &ServiceKey, port: i32) -> NamingCommand {
    NamingCommand::RegisterPersistent { service: service.clone(), instance: instance("10.0.0.1", port) }
}

fn update_service(service: &ServiceKey, protect_threshold: f64) -> NamingCommand {
    NamingCommand::UpdateService {
        service: service.clone(),
        protect_threshold,
        selector: Selector::None,
        metadata: (*metadata(&[("k", "v")])).clone(),
    }
}

#[test]
fn a_service_is_created_once() {
    let world = World::new();
    let service = key("s");
    world.create(&service, false, 0.0);
    let again = NamingCommand::CreateService { service: service.clone(), metadata: ServiceMetadata::default() };
    let text = "specified service G@@s already exists!".to_owned();
    assert_eq!(world.refused(again), (400, 21007, text.clone()));
    let _ = world.http(&key("e"), instance("10.0.0.1", 1));
    let over = NamingCommand::CreateService { service: key("e"), metadata: ServiceMetadata::default() };
    assert_eq!(world.refused(over).2, "specified service G@@e already exists!");
}

#[test]
fn service_detail_shows_metadata_and_the_clusters_with_instances() {
    let world = World::new();
    let service = key("s");
    world.create(&service, false, 0.0);
    let detail = world.naming.service(&service).expect("exists");
    assert_eq!((detail.ephemeral, detail.protect_threshold, detail.clusters.len()), (false, 0.0, 0));
    let checker = HealthChecker::parse(r#"{"type":"HTTP","path":"/h","headers":"k:v","expectedResponseCode":200}"#);
    let cluster = ClusterMetadata { health_checker: checker.expect("checker"), check_port: 81, ..Default::default() };
    for name in ["CN", "CH"] {
        let (cluster, metadata) = (name.into(), cluster.clone());
        let _ = world.done(NamingCommand::UpdateCluster { service: service.clone(), cluster, metadata });
    }
    let _ = world.done(update_service(&service, 0.4));
    let here = Instance { cluster: "CN".into(), ..instance("10.0.0.1", 80) };
    let _ = world.done(NamingCommand::RegisterPersistent { service: service.clone(), instance: here });
    let detail = world.naming.service(&service).expect("exists");
    assert_eq!(detail.protect_threshold, 0.4);
    assert_eq!(detail.metadata, *metadata(&[("k", "v")]));
    assert_eq!(detail.clusters.keys().map(|name| &**name).collect::<Vec<_>>(), ["CN"], "CH has no instances");
    assert_eq!(detail.clusters["CN"], cluster, "an update of the service keeps its clusters");
}

#[test]
fn services_that_do_not_exist_are_refused_in_the_references_words() {
    let world = World::new();
    let none = key("none");
    let not_found = (400, 21008, "service G@@none not found!".to_owned());
    assert_eq!(world.refused(update_service(&none, 0.5)), not_found);
    assert_eq!(world.refused(NamingCommand::DeleteService { service: none.clone() }), not_found);
    let cluster = NamingCommand::UpdateCluster {
        service: none.clone(),
        cluster: "C".into(),
        metadata: ClusterMetadata::default(),
    };
    assert_eq!(world.refused(cluster), (400, 30000, "service not found:G@@none".to_owned()));
    // A subscription makes a slot, but no service.
    let client = world.connect("1_a_1");
    let _ = world.naming.subscribe(&client, &none, subscription(""), world.now).expect("ok");
    assert_eq!(world.refused(update_service(&none, 0.5)), not_found);
    assert!(world.naming.service(&none).is_err());
}

#[test]
fn only_an_empty_service_can_be_deleted() {
    let world = World::new();
    let service = key("s");
    let client = world.connect("1_a_1");
    world.create(&service, true, 0.5);
    let _ = world.naming.subscribe(&client, &service, subscription(""), world.now).expect("ok");
    let _ = world.grpc(&client, &service, instance("10.0.0.1", 80));
    let delete = NamingCommand::DeleteService { service: service.clone() };
    let text = "Service G@@s is not empty, can't be delete. Please unregister instance first";
    assert_eq!(world.refused(delete.clone()), (400, 21009, text.to_owned()));
    let _ = world.naming.deregister(&client, &service, world.now).expect("ok");
    let (effects, rows) = world.done(delete.clone());
    assert_eq!(kinds(&effects), ["serviceRemoved"]);
    assert!(effects.changed.is_empty(), "no push");
    assert_eq!((rows.len(), rows[0].value.is_none()), (1, true));
    assert!(world.naming.service(&service).is_err());
    assert_eq!(world.refused(delete).1, 21008);
    let effects = world.grpc(&client, &service, instance("10.0.0.1", 80));
    assert_eq!(effects.changed, std::slice::from_ref(&service), "its subscriber is still there");
    assert_eq!(world.naming.service(&service).expect("exists").protect_threshold, 0.0, "made anew, without metadata");
}

#[test]
fn a_service_update_is_not_pushed_but_seen_by_the_next_query() {
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, Instance { healthy: false, ..instance("10.0.0.1", 80) });
    let before = world.list(&service);
    let (effects, rows) = world.done(update_service(&service, 0.5));
    assert!(effects.changed.is_empty() && rows.len() == 1);
    let after = world.list(&service);
    assert!(after.reach_protection_threshold && after.last_ref_time > before.last_ref_time);
    assert!(world.naming.service(&service).expect("exists").ephemeral, "the kind stays");
}

#[test]
fn of_two_concurrent_creations_one_wins() {
    let world = World::new();
    let service = key("s");
    let naming = &world.naming;
    let won: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let (service, now) = (service.clone(), world.now);
                scope.spawn(move || {
                    let metadata = ServiceMetadata { protect_threshold: f64::from(n), ..Default::default() };
                    let applied = naming.apply(&NamingCommand::CreateService { service, metadata }, now);
                    usize::from(applied.reply.is_ok())
                })
            })
            .collect();
        tries.into_iter().map(|one| one.join().expect("no panic")).sum()
    });
    assert_eq!(won, 1);
    assert_eq!(world.naming.metrics().service_count, 1);
}

#[test]
fn persistent_instances_live_without_beats_and_follow_their_checks() {
    let mut world = World::new();
    let service = key("p");
    let (effects, _) = world.done(persistent(&service, 80));
    assert_eq!(kinds(&effects), ["serviceCreated", "instanceRegistered"]);
    let _ = world.pass(400_000);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
    assert!(!world.list(&service).hosts[0].ephemeral);
    let health = |healthy, reason: &str| NamingCommand::ChangeHealth {
        service: service.clone(),
        ip: "10.0.0.1".into(),
        port: 80,
        healthy,
        reason: reason.into(),
    };
    let (effects, rows) = world.done(health(false, "tcp:unable2connect:"));
    assert_eq!(rows.len(), 1);
    let cause =
        Cause::InstanceUnhealthy { cause: "tcp:unable2connect:".into(), silent_ms: 0, beats: 0, gaps: Vec::new() };
    assert_eq!(*effects.events[0].cause, cause);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/false"]);
    let (effects, rows) = world.done(health(false, "tcp:timeout"));
    assert!(effects.is_empty() && rows.is_empty(), "already so");
    let (effects, _) = world.done(health(true, "tcp:ok+"));
    assert_eq!(kinds(&effects), ["instanceHealthy"]);
    let metrics = world.naming.metrics();
    assert_eq!((metrics.persistent_ip_port_client_count, metrics.client_count), (1, 1));
    let gone = NamingCommand::DeregisterPersistent { service: service.clone(), ip: "10.0.0.1".into(), port: 80 };
    let _ = world.done(gone);
    assert_eq!(world.naming.metrics().client_count, 0, "a persistent client without instances is none");
}

#[test]
fn everything_durable_comes_back_after_a_restart() {
    // C015
    let world = World::new();
    let service = key("p");
    let mut table: std::collections::BTreeMap<(String, String), Vec<u8>> = Default::default();
    let mut run = |world: &World, command: NamingCommand| {
        let (_, rows) = world.done(command);
        for Row { kind, key, value } in rows {
            match value {
                Some(value) => table.insert((kind, key), value),
                None => table.remove(&(kind, key)),
            };
        }
    };
    run(&world, NamingCommand::CreateService { service: service.clone(), metadata: ServiceMetadata::default() });
    for port in 1..=20 {
        run(&world, persistent(&service, port));
    }
    run(
        &world,
        NamingCommand::ChangeHealth {
            service: service.clone(),
            ip: "10.0.0.1".into(),
            port: 3,
            healthy: false,
            reason: "tcp:timeout".into(),
        },
    );
    run(&world, NamingCommand::DeregisterPersistent { service: service.clone(), ip: "10.0.0.1".into(), port: 20 });
    run(&world, update_service(&service, 0.5));
    run(
        &world,
        NamingCommand::UpdateInstance {
            service: service.clone(),
            instance: InstanceRef::new("10.0.0.1", 5, "DEFAULT"),
            ephemeral: false,
            weight: 9.0,
            enabled: false,
            metadata: Metadata::new(),
        },
    );
    run(&world, NamingCommand::SetSwitch { entry: "checkTimes".into(), value: "1".into() });
    run(&world, NamingCommand::SetSwitch { entry: "healthCheckTimes".into(), value: "5".into() });
    run(&world, persistent(&ServiceKey::new("ns", "a@@b", "odd\"name"), 1));

    let mut again = World::new();
    let rows = table.into_iter().rev().map(|((kind, key), value)| Row { kind, key, value: Some(value) });
    assert_eq!(rows.len(), 19 + 1 + 1 + 1 + 1);
    let effects = again.naming.restore(rows, again.now).expect("restored");
    assert!(effects.is_empty(), "a start is no news");
    let view = again.naming.snapshot(&service).expect("exists");
    assert_eq!((view.instances.len(), view.healthy_count()), (19, 18));
    assert_eq!(again.naming.metrics().instance_count, 20);
    let edited = again.naming.instance(&service, "10.0.0.1", 5, "DEFAULT").expect("there");
    assert_eq!((edited.weight, edited.enabled), (9.0, false));
    assert_eq!(again.naming.service(&service).expect("exists").protect_threshold, 0.5);
    assert_eq!(again.naming.switches().check_times, 5);
    assert!(again.naming.service_exists(&ServiceKey::new("ns", "a@@b", "odd\"name")));
    let effects = again.pass(400_000);
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::ServiceRemoved { .. })), 0);
    assert_eq!(again.naming.snapshot(&service).expect("exists").instances.len(), 19, "three minutes later too");
}

#[test]
fn an_operators_record_waits_for_its_instance_after_a_restart() {
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let (_, rows) = world.done(NamingCommand::UpdateInstance {
        service: service.clone(),
        instance: InstanceRef::new("10.0.0.1", 80, "DEFAULT"),
        ephemeral: true,
        weight: 1.0,
        enabled: false,
        metadata: Metadata::new(),
    });
    let mut again = World::new();
    assert!(again.naming.restore(rows, again.now).expect("restored").is_empty());
    assert!(!again.naming.service_exists(&service), "a record makes no service");
    assert!(again.pass(120_000).propose.is_empty());
    let _ = again.http(&service, instance("10.0.0.1", 80));
    assert!(again.hosts(&service).is_empty(), "still disabled");
}

#[test]
fn an_installed_snapshot_replaces_what_is_durable_and_leaves_the_rest() {
    let source = World::new();
    let (kept, moved) = (key("kept"), key("moved"));
    let mut rows = Vec::new();
    rows.extend(source.done(persistent(&kept, 1)).1);
    rows.extend(source.done(persistent(&kept, 2)).1);
    rows.extend(source.done(persistent(&moved, 9)).1);
    rows.extend(source.done(update_service(&kept, 0.5)).1);

    let world = World::new();
    let (client, ephemeral) = (world.connect("1_a_1"), key("ephemeral"));
    let _ = world.grpc(&client, &ephemeral, instance("10.0.0.1", 80));
    for service in [&kept, &moved] {
        let _ = world.naming.subscribe(&client, service, subscription(""), world.now).expect("ok");
    }
    for port in [1, 3] {
        let _ = world.done(persistent(&kept, port));
    }
    world.create(&key("unknown there"), false, 0.9);
    let _ = world.done(NamingCommand::UpdateInstance {
        service: kept.clone(),
        instance: InstanceRef::new("10.0.0.1", 1, "DEFAULT"),
        ephemeral: false,
        weight: 1.0,
        enabled: false,
        metadata: Metadata::new(),
    });
    let _ = world.done(NamingCommand::SetSwitch { entry: "healthCheckTimes".into(), value: "9".into() });

    let effects = world.naming.restore(rows.clone(), world.now).expect("installed");
    assert_eq!(world.hosts(&kept), ["10.0.0.1:1/true", "10.0.0.1:2/true"], "3 is gone, 1 enabled again");
    assert_eq!(world.hosts(&moved), ["10.0.0.1:9/true"]);
    assert_eq!(world.hosts(&ephemeral), ["10.0.0.1:80/true"]);
    assert_eq!(world.naming.service(&kept).expect("exists").protect_threshold, 0.5);
    assert_eq!(world.naming.service(&key("unknown there")).expect("empty by now").protect_threshold, 0.0);
    assert_eq!(world.naming.switches().check_times, 3);
    assert!(effects.changed.contains(&kept) && effects.changed.contains(&moved));
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::InstanceRemoved { .. })), 1);
    assert_eq!(world.naming.subscriber_ids(&kept).len(), 1);
    let again = world.naming.restore(rows, world.now).expect("installed");
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn rows_that_cannot_be_read_are_named() {
    let restore = |row: Row| Naming::default().restore([row], Now::default()).expect_err("refused");
    assert!(restore(Row::upsert("naming.service", "[\"a\"]", b"{}".to_vec())).contains("naming.service [\"a\"]: key"));
    let broken = Row::upsert("naming.service", "[\"a\",\"b\",\"c\"]", b"{".to_vec());
    assert!(restore(broken).contains("value"));
    assert!(restore(Row::upsert("naming.other", "x", Vec::new())).contains("naming.other"));
}

#[test]
fn commands_survive_the_logs_encoding_and_take_new_fields_as_absent() {
    let service = key("s");
    let commands = [
        persistent(&service, 80),
        NamingCommand::DeregisterPersistent { service: service.clone(), ip: "a".into(), port: 1 },
        update_service(&service, 0.25),
        NamingCommand::CreateService {
            service: service.clone(),
            metadata: ServiceMetadata {
                selector: Selector::parse(r#"{"type":"label","expression":"CONSUMER.label.A=PROVIDER.label.A"}"#)
                    .expect("selector"),
                clusters: [(
                    "C".into(),
                    ClusterMetadata {
                        health_checker: HealthChecker::Http {
                            path: "/h".into(),
                            headers: String::new(),
                            expected_response_code: 200,
                        },
                        ..Default::default()
                    },
                )]
                .into(),
                ..Default::default()
            },
        },
        NamingCommand::PatchInstance {
            service: service.clone(),
            instance: InstanceRef::new("a", 1, "C"),
            weight: Some(0.5),
            enabled: None,
            metadata: None,
        },
        NamingCommand::SetSwitch { entry: "check".into(), value: "false".into() },
    ];
    for command in commands {
        let bytes = rmp_serde::to_vec_named(&command).expect("encodes");
        assert_eq!(rmp_serde::from_slice::<NamingCommand>(&bytes).expect("decodes"), command);
        let json = serde_json::to_string(&command).expect("encodes");
        assert_eq!(serde_json::from_str::<NamingCommand>(&json).expect("decodes"), command);
    }
    let old = r#"{"createService":{"service":{"namespace":"public","group":"G","name":"s"},
        "metadata":{"ephemeral":true,"fieldOfTomorrow":1}}}"#;
    let NamingCommand::CreateService { metadata, .. } = serde_json::from_str(old).expect("read") else { panic!() };
    assert_eq!(metadata, ServiceMetadata { ephemeral: true, ..Default::default() });
}

#[test]
fn switches_change_by_command_or_for_this_node_only() {
    let world = World::new();
    let set = |entry: &str, value: &str| NamingCommand::SetSwitch { entry: entry.into(), value: value.into() };
    let (effects, rows) = world.done(set("clientBeatInterval", "6000"));
    assert_eq!((kinds(&effects), rows.len()), (vec!["switchChanged"], 1));
    assert_eq!(world.naming.switches().client_beat_interval, 6000);
    assert_eq!(kinds(&world.done(set("nonsense", "1")).0), ["nothingChanged"]);
    assert_eq!(world.refused(set("clientBeatInterval", "x")), (400, 20002, "For input string: \"x\"".into()));
    let effects = world.naming.set_switch_local("clientBeatInterval", "7000", world.now).expect("ok");
    assert_eq!(kinds(&effects), ["switchChanged"]);
    assert_eq!(world.naming.switches().client_beat_interval, 7000);
    assert!(world.naming.set_switch_local("clientBeatInterval", "x", world.now).is_err());
}

#[test]
fn deregistering_elsewhere_what_a_persistent_client_publishes_is_pushed() {
    let world = World::new();
    let (service, other) = (key("s"), key("other"));
    let _ = world.done(persistent(&other, 80));
    world.watch(&service);
    let deregister =
        |port| NamingCommand::DeregisterPersistent { service: service.clone(), ip: "10.0.0.1".into(), port };
    let (effects, rows) = world.done(deregister(80));
    assert_eq!((&effects.changed[..], rows.len()), (&[service.clone()][..], 0));
    assert!(!world.naming.service_exists(&service));
    let (effects, _) = world.done(deregister(81));
    assert!(effects.changed.is_empty(), "nobody knows that client");
}

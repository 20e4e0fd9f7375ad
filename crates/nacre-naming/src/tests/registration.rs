use nacre_model::event::{Disconnect, Removal};

use super::*;

fn closed(world: &World, client: &ClientId) -> Effects {
    world.naming.disconnect(client, Disconnect::ClosedByClient, world.now)
}

#[test]
fn a_registration_is_listed_at_once() {
    // C025
    let world = World::new();
    let service = key("s");
    world.watch(&service);
    let effects = world.http(&service, instance("10.0.0.1", 80));
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
    assert_eq!(effects.changed, std::slice::from_ref(&service));
    assert_eq!(effects.appeared, std::slice::from_ref(&service));
    assert_eq!(kinds(&effects), ["serviceCreated", "instanceRegistered"]);
    let client = world.connect("1_10.0.0.9_5");
    let effects = world.grpc(&client, &service, instance("10.0.0.2", 80));
    assert_eq!(world.hosts(&service).len(), 2);
    assert!(effects.appeared.is_empty());
}

#[test]
fn registering_again_is_a_change_even_if_nothing_differs() {
    let world = World::new();
    let service = key("s");
    world.watch(&service);
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let before = world.list(&service).last_ref_time;
    let effects = world.http(&service, instance("10.0.0.1", 80));
    assert_eq!(effects.changed, std::slice::from_ref(&service));
    assert!(world.list(&service).last_ref_time > before);
    let replaced = Cause::InstanceRegistered { how: "http".into(), replaced: true };
    assert_eq!(*effects.events[0].cause, replaced);
}

#[test]
fn without_subscribers_nobody_is_told_of_changes() {
    let world = World::new();
    let service = key("s");
    assert!(world.http(&service, instance("10.0.0.1", 80)).changed.is_empty());
    world.watch(&service);
    assert_eq!(world.http(&service, instance("10.0.0.1", 81)).changed, std::slice::from_ref(&service));
}

#[test]
fn http_registration_in_another_cluster_replaces_the_first() {
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let effects = world.http(&service, Instance { cluster: "C2".into(), ..instance("10.0.0.1", 80) });
    assert_eq!(kinds(&effects), ["instanceRemoved", "instanceRegistered"]);
    let view = world.list(&service);
    assert_eq!((view.hosts.len(), &*view.hosts[0].cluster), (1, "C2"));
}

#[test]
fn a_second_address_on_one_connection_replaces_the_first() {
    // C013
    let world = World::new();
    let service = key("s");
    let client = world.connect("1_a_1");
    let _ = world.grpc(&client, &service, instance("10.0.0.1", 80));
    let effects = world.grpc(&client, &service, instance("10.0.0.2", 80));
    assert_eq!(world.hosts(&service), ["10.0.0.2:80/true"]);
    let removal = Removal::ReplacedBy { instance: "10.0.0.2:80:DEFAULT".into() };
    assert_eq!(*effects.events[0].cause, Cause::InstanceRemoved { removal });
    assert_eq!(effects.events[0].subject.instance_text().as_deref(), Some("10.0.0.1:80:DEFAULT"));
    let three = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|ip| instance(ip, 80)).to_vec();
    let _ = world.naming.register_batch(&client, &service, three, world.now).expect("batch");
    assert_eq!(world.hosts(&service).len(), 3);
}

#[test]
fn a_batch_replaces_everything_and_an_empty_one_leaves_nothing() {
    let world = World::new();
    let service = key("s");
    world.watch(&service);
    let (a, b) = (world.connect("1_a_1"), world.connect("1_b_1"));
    let batch = |ips: &[&str]| {
        let list = ips.iter().map(|ip| instance(ip, 80)).collect();
        world.naming.register_batch(&a, &service, list, world.now).expect("batch")
    };
    let _ = batch(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    let _ = world.grpc(&b, &service, instance("10.0.0.9", 80));
    let effects = batch(&["10.0.0.2"]);
    assert_eq!(world.hosts(&service), ["10.0.0.2:80/true", "10.0.0.9:80/true"]);
    assert_eq!(kinds(&effects), ["instanceRemoved", "instanceRemoved", "instanceRegistered"]);
    let effects = batch(&[]);
    assert_eq!(effects.changed, std::slice::from_ref(&service));
    assert_eq!(world.hosts(&service), ["10.0.0.9:80/true"]);
    assert_eq!(kinds(&batch(&[])), ["nothingChanged"], "a batch of none over nothing");
    let _ = world.grpc(&a, &service, instance("10.0.0.5", 80));
    let _ = batch(&["10.0.0.6", "10.0.0.7"]);
    assert_eq!(world.hosts(&service).len(), 3, "the batch took the single one's place");
    let _ = world.grpc(&a, &service, instance("10.0.0.8", 80));
    assert_eq!(world.hosts(&service).len(), 2, "and the reverse");
}

#[test]
fn an_empty_batch_is_an_entry_that_makes_and_keeps_the_service() {
    let world = World::new();
    let service = key("s");
    world.watch(&service);
    let client = world.connect("1_a_1");
    let effects = world.naming.register_batch(&client, &service, Vec::new(), world.now).expect("batch");
    assert_eq!(kinds(&effects), ["serviceCreated", "nothingChanged"]);
    assert_eq!((&effects.changed[..], &effects.appeared[..]), (&[service.clone()][..], &[service.clone()][..]));
    assert!(world.naming.service_exists(&service));
    assert!(world.hosts(&service).is_empty());
    let effects = world.naming.deregister(&client, &service, world.now).expect("ok");
    assert_eq!((&effects.changed[..], &effects.vanished[..]), (&[service.clone()][..], &[service.clone()][..]));
}

#[test]
fn deregistering_over_grpc_ignores_the_address() {
    let world = World::new();
    let service = key("s");
    let client = world.connect("1_a_1");
    let batch = vec![instance("10.0.0.1", 80), instance("10.0.0.2", 80)];
    let _ = world.naming.register_batch(&client, &service, batch, world.now).expect("batch");
    let effects = world.naming.deregister(&client, &service, world.now).expect("ok");
    assert!(world.hosts(&service).is_empty());
    assert_eq!(effects.vanished, std::slice::from_ref(&service));
    let again = world.naming.deregister(&client, &service, world.now).expect("ok");
    assert_eq!(kinds(&again), ["nothingChanged"]);
    let unknown = world.naming.deregister(&client, &key("none"), world.now).expect("ok");
    assert_eq!(kinds(&unknown), ["nothingChanged"]);
}

#[test]
fn nobody_removes_another_clients_instance() {
    let world = World::new();
    let service = key("s");
    let (a, b) = (world.connect("1_a_1"), world.connect("1_b_1"));
    let _ = world.grpc(&a, &service, instance("10.0.0.1", 80));
    let _ = world.naming.deregister(&b, &service, world.now).expect("ok");
    let _ = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    assert_eq!(world.hosts(&service), ["10.0.0.1:80/true"]);
}

#[test]
fn a_connections_end_takes_its_instances_along() {
    let mut world = World::new();
    let (s, t) = (key("s"), key("t"));
    let client = world.connect("1_a_1");
    let _ = world.grpc(&client, &s, instance("10.0.0.1", 80));
    let _ = world.grpc(&client, &t, instance("10.0.0.1", 81));
    let _ = world.pass(2_000);
    let effects = closed(&world, &client);
    assert!(world.hosts(&s).is_empty() && world.hosts(&t).is_empty());
    assert_eq!(kinds(&effects), ["clientDisconnected", "instanceRemoved", "instanceRemoved"]);
    let removal = Removal::ConnectionLost { cause: Disconnect::ClosedByClient, lived_ms: 2_000 };
    assert_eq!(*effects.events[1].cause, Cause::InstanceRemoved { removal });
    assert_eq!(effects.vanished.len(), 2);
    assert!(closed(&world, &client).is_empty(), "once is enough");
    assert_eq!(world.naming.metrics(), NamingMetrics { service_count: 2, ..Default::default() });
}

#[test]
fn a_connection_without_a_naming_client_is_told_it_is_disconnected() {
    let world = World::new();
    let service = key("s");
    let unknown = connection("1_x_1");
    let text =
        "errCode: -401, errMsg: Client [1_x_1] connection already disconnect, can't register ephemeral instance. ";
    let register = world.naming.register(&unknown, &service, instance("10.0.0.1", 80), world.now);
    assert_eq!(register.expect_err("refused").client_text(), text);
    let batch = world.naming.register_batch(&unknown, &service, vec![instance("10.0.0.1", 80)], world.now);
    assert_eq!(batch.expect_err("refused").client_text(), text);
    let subscribe = world.naming.subscribe(&unknown, &service, subscription(""), world.now);
    let error = subscribe.expect_err("refused");
    assert_eq!((error.status, error.client_text()), (-401, text.to_owned()));
    assert!(world.naming.deregister(&unknown, &service, world.now).is_ok(), "no such service: nothing to say");
    assert!(!world.naming.service_exists(&service));
}

#[test]
fn the_first_registration_fixes_the_kind_of_a_service() {
    let world = World::new();
    let (p, e) = (key("p"), key("e"));
    let client = world.connect("1_a_1");
    let persistent = |service: &ServiceKey| NamingCommand::RegisterPersistent {
        service: service.clone(),
        instance: instance("10.0.0.5", 80),
    };
    let _ = world.done(persistent(&p));
    let _ = world.grpc(&client, &e, instance("10.0.0.5", 80));
    let single = world.naming.register(&client, &p, instance("10.0.0.5", 80), world.now).expect_err("refused");
    assert_eq!(
        single.client_text(),
        "errCode: 400, errMsg: Current service G@@p is persistent service, can't register ephemeral instance. "
    );
    let batch =
        world.naming.register_batch(&client, &p, vec![instance("10.0.0.5", 80)], world.now).expect_err("refused");
    assert_eq!(
        batch.client_text(),
        "errCode: 400, errMsg: Current service G@@p is persistent service, can't batch register ephemeral instance. "
    );
    let http = world.naming.register_http(&p, instance("10.0.0.5", 80), world.now).expect_err("refused");
    assert_eq!(http.client_text(), single.client_text());
    assert_eq!(
        world.refused(persistent(&e)),
        (
            400,
            30000,
            "errCode: 400, errMsg: Current service G@@e is ephemeral service, can't register persistent instance. "
                .into()
        )
    );
    assert_eq!(world.naming.client_ids().len(), 2, "a refused registration leaves no client behind");
}

#[test]
fn the_services_kind_is_shown_whatever_the_request_said() {
    let world = World::new();
    let client = world.connect("1_a_1");
    let _ = world.grpc(&client, &key("s"), Instance { ephemeral: false, ..instance("10.0.0.1", 80) });
    assert!(world.list(&key("s")).hosts[0].ephemeral);
}

#[test]
fn illegal_instances_are_refused_before_anything_happens() {
    let world = World::new();
    let client = world.connect("1_a_1");
    let service = key("s");
    let beat = "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.";
    let cluster = "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)";
    let interval = |ms: &str| Instance {
        metadata: metadata(&[("preserved.heart.beat.interval", ms)]),
        ..instance("10.0.0.1", 80)
    };
    for (bad, text) in
        [(interval("20000"), beat), (Instance { cluster: "a_b".into(), ..instance("10.0.0.1", 80) }, cluster)]
    {
        for result in [
            world.naming.register(&client, &service, bad.clone(), world.now),
            world.naming.register_http(&service, bad.clone(), world.now),
        ] {
            let error = result.expect_err("refused");
            assert_eq!((error.status, error.code.code, &*error.client_text()), (400, 21004, text));
        }
    }
    assert!(!world.naming.service_exists(&service));
    assert!(world.naming.register_http(&service, interval("15000"), world.now).is_ok(), "equal is allowed");
    assert!(world.naming.register_http(&service, interval("0"), world.now).is_ok());
}

#[test]
fn odd_addresses_are_kept_as_given() {
    // C030
    let world = World::new();
    let service = key("s");
    for ip in ["2001:db8::7", "[2001:db8::8]", "host.name", ""] {
        let _ = world.http(&service, instance(ip, 7001));
        assert!(world.light(&service, ip, 7001).0.found(), "{ip}");
        assert!(world.naming.instance(&service, ip, 7001, "DEFAULT").is_ok(), "{ip}");
        let id = format!("{ip}:7001#true");
        assert_eq!(world.naming.client(&id, world.now).expect("client").id.to_string(), id);
        let effects = world.naming.deregister_http(&service, ip, 7001, world.now);
        assert_eq!(count(&effects, |cause| matches!(cause, Cause::InstanceRemoved { .. })), 1, "{ip}");
    }
}

#[test]
fn service_names_are_opaque() {
    // C024
    let world = World::new();
    for name in ["providers:com.x.S::tcc", "providers:com.x.S:1.0.0:", "consumers:com.x.S::"] {
        let _ = world.http(&key(name), instance("10.0.0.1", 80));
    }
    let names = world.naming.service_names("public", "G", Page::ALL);
    let names: Vec<&str> = names.rows.iter().map(|name| &**name).collect();
    assert_eq!(names, ["providers:com.x.S::tcc", "providers:com.x.S:1.0.0:", "consumers:com.x.S::"]);
}

#[test]
fn one_address_of_two_clients_is_shown_once_with_the_latest_values() {
    // C012
    let world = World::new();
    let service = key("s");
    world.watch(&service);
    let (a, b) = (world.connect("1_a_1"), world.connect("1_b_1"));
    let weighted = |weight| Instance { weight, ..instance("192.0.2.60", 80) };
    let _ = world.grpc(&a, &service, weighted(1.0));
    let effects = world.grpc(&b, &service, weighted(100.0));
    let shadowed = effects.events.iter().find(|event| matches!(*event.cause, Cause::InstanceShadowed { .. }));
    let shadowed = shadowed.expect("told");
    assert_eq!(*shadowed.cause, Cause::InstanceShadowed { by: "1_b_1".into() });
    assert_eq!(shadowed.subject.client_text().as_deref(), Some("1_a_1"));
    let weights = || world.list(&service).hosts.iter().map(|host| host.weight).collect::<Vec<_>>();
    assert_eq!(weights(), [100.0]);
    let publishers = world.naming.publishers(&service);
    assert_eq!(publishers.iter().map(|p| p.client.to_string()).collect::<Vec<_>>(), ["1_a_1", "1_b_1"]);
    let _ = world.grpc(&a, &service, weighted(7.0));
    assert_eq!(weights(), [7.0], "registered last, shown");
    let _ = world.grpc(&b, &service, weighted(100.0));
    let effects = closed(&world, &b);
    assert_eq!(weights(), [7.0]);
    assert_eq!(
        effects.changed,
        std::slice::from_ref(&service),
        "subscribers hear of it although the list may look the same"
    );
    assert!(effects.vanished.is_empty());
    let _ = closed(&world, &a);
    assert!(weights().is_empty());
}

#[test]
fn http_and_grpc_may_publish_one_address() {
    let world = World::new();
    let service = key("s");
    let client = world.connect("1_a_1");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let effects = world.grpc(&client, &service, instance("10.0.0.1", 80));
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::InstanceShadowed { .. })), 1);
    assert_eq!(world.hosts(&service).len(), 1);
    let effects = world.http(&service, instance("10.0.0.1", 80));
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::InstanceShadowed { .. })), 1, "and the reverse");
    let _ = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    assert_eq!(world.hosts(&service).len(), 1);
    let elsewhere = Instance { cluster: "C2".into(), ..instance("10.0.0.1", 80) };
    let effects = world.http(&service, elsewhere);
    assert_eq!(count(&effects, |cause| matches!(cause, Cause::InstanceShadowed { .. })), 0, "another cluster");
    assert_eq!(world.hosts(&service).len(), 2);
}

#[test]
fn an_address_named_twice_in_a_batch_is_shown_once() {
    let world = World::new();
    let client = world.connect("1_a_1");
    let twice = vec![instance("10.0.0.1", 80), instance("10.0.0.1", 80)];
    let _ = world.naming.register_batch(&client, &key("s"), twice, world.now).expect("batch");
    assert_eq!(world.hosts(&key("s")).len(), 1);
}

#[test]
fn deregistering_what_is_not_there_is_ok_and_told() {
    // C014
    let world = World::new();
    let service = key("p");
    let effects = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    assert_eq!(kinds(&effects), ["nothingChanged"]);
    let _ =
        world.done(NamingCommand::RegisterPersistent { service: service.clone(), instance: instance("10.0.0.1", 80) });
    let effects = world.naming.deregister_http(&service, "10.0.0.1", 80, world.now);
    match &effects.events[..] {
        [event] => match &*event.cause {
            Cause::NothingChanged { reason, .. } => {
                assert!(reason.contains("persistent instance with the same address"))
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    assert_eq!(world.hosts(&service).len(), 1);
    let gone = NamingCommand::DeregisterPersistent { service: service.clone(), ip: "10.0.0.1".into(), port: 80 };
    let (_, rows) = world.done(gone.clone());
    assert_eq!(rows.len(), 1);
    assert!(world.hosts(&service).is_empty());
    let (effects, rows) = world.done(gone);
    assert_eq!((kinds(&effects), rows.len()), (vec!["nothingChanged"], 0));
}

#[test]
fn limits_refuse_and_name_themselves() {
    let options = Options { max_instances: 2, max_services_per_client: 2, ..Options::default() };
    let world = World::with(options);
    let client = world.connect("1_a_1");
    let _ = world.grpc(&client, &key("a"), instance("10.0.0.1", 80));
    let _ = world.grpc(&client, &key("b"), instance("10.0.0.1", 80));
    let error = world.naming.register_http(&key("c"), instance("10.0.0.3", 80), world.now).expect_err("full");
    assert_eq!((error.status, error.message.contains("nacre.limit.instances")), (503, true));
    let _ = world.grpc(&client, &key("a"), instance("10.0.0.9", 80));
    let _ = world.naming.deregister(&client, &key("a"), world.now).expect("ok");
    let _ = world.grpc(&client, &key("c"), instance("10.0.0.1", 80));
    let subscribed = world.naming.subscribe(&client, &key("z"), subscription(""), world.now).expect_err("full");
    assert!(subscribed.message.contains("nacre.limit.services-per-client"));
    assert!(!world.naming.service_exists(&key("z")));
}

#[test]
fn a_client_with_many_services_keeps_them_apart() {
    let world = World::new();
    let client = world.connect("1_a_1");
    for n in 0..50 {
        let _ = world.grpc(&client, &key(&format!("s{n}")), instance("10.0.0.1", n));
    }
    assert_eq!(world.naming.client_publications("1_a_1").expect("known").len(), 50);
    for n in (0..50).step_by(2) {
        let _ = world.naming.deregister(&client, &key(&format!("s{n}")), world.now).expect("ok");
    }
    for n in 0..50 {
        assert_eq!(world.hosts(&key(&format!("s{n}"))).len(), usize::from(n % 2 == 1), "s{n}");
    }
    let _ = closed(&world, &client);
    assert_eq!(world.naming.metrics().instance_count, 0);
}

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::*;

fn ports(view: &ServiceView) -> Vec<i32> {
    view.hosts.iter().map(|host| host.port).collect()
}

/// One connection publishing instances (port, cluster, healthy, enabled).
fn publish(world: &World, service: &ServiceKey, list: &[(i32, &str, bool, bool)]) {
    let client = world.connect("1_p_1");
    let batch = list.iter().map(|(port, cluster, healthy, enabled)| Instance {
        cluster: (*cluster).into(),
        healthy: *healthy,
        enabled: *enabled,
        ..instance("10.0.0.1", *port)
    });
    let _ = world.naming.register_batch(&client, service, batch.collect(), world.now).expect("ok");
}

#[test]
fn a_missing_service_is_an_empty_list() {
    // C022
    let world = World::new();
    let view = world.naming.list(&key("none"), &Query { clusters: "c", ..Query::default() }, world.now);
    assert!(view.hosts.is_empty() && !view.exists && !view.reach_protection_threshold);
    assert_eq!((&*view.clusters, view.cache_millis, view.last_ref_time), ("c", 10_000, world.now.wall));
    let error = world.naming.service(&key("none")).expect_err("no such service");
    assert_eq!((error.status, error.code.code), (400, 21008));
    assert_eq!(error.message, "service not found, namespace: public, serviceName: G@@none");
}

#[test]
fn clusters_are_exact_names_in_a_comma_list() {
    let world = World::new();
    let service = key("s");
    publish(&world, &service, &[(1, "C1", true, true), (2, "C2", true, true), (3, "DEFAULT", true, true)]);
    for (clusters, expected) in [
        ("", vec![1, 2, 3]),
        (" ", vec![1, 2, 3]),
        (",", vec![1, 2, 3]),
        ("C1", vec![1]),
        ("C1,C2", vec![1, 2]),
        ("C1, C2", vec![1]),
        ("c1", vec![]),
        ("ZZ,DEFAULT,", vec![3]),
    ] {
        let view = world.naming.list(&service, &Query { clusters, ..Query::default() }, world.now);
        assert_eq!(ports(&view), expected, "{clusters:?}");
        assert_eq!(&*view.clusters, clusters, "echoed as asked");
    }
}

#[test]
fn disabled_instances_are_never_shown_and_weight_0_is() {
    // C018
    let world = World::new();
    let service = key("s");
    let _ = world.http(&service, Instance { weight: 0.0, ..instance("10.0.0.1", 1) });
    let _ = world.http(&service, Instance { enabled: false, ..instance("10.0.0.1", 2) });
    let _ = world.http(&service, instance("10.0.0.1", 3));
    let view = world.list(&service);
    assert_eq!(ports(&view), [1, 3]);
    assert_eq!(view.hosts[0].weight, 0.0);
    let snapshot = world.naming.snapshot(&service).expect("exists");
    assert_eq!(snapshot.instances.len(), 3, "operators see all");
}

#[test]
fn without_metadata_there_is_no_protection() {
    let world = World::new();
    let service = key("s");
    publish(&world, &service, &[(1, "C", false, true), (2, "C", false, true)]);
    let view = world.list(&service);
    assert!(!view.reach_protection_threshold);
    assert!(view.hosts.iter().all(|host| !host.healthy));
}

#[test]
fn protection_shows_all_as_healthy_and_says_so() {
    // C016
    let world = World::new();
    let service = key("s");
    world.create(&service, true, 0.5);
    publish(&world, &service, &[(1, "C", true, true), (2, "C", false, true)]);
    let view = world.list(&service);
    assert!(view.reach_protection_threshold && view.hosts.iter().all(|host| host.healthy), "1/2 <= 0.5");
    assert!(!world.naming.instance(&service, "10.0.0.1", 2, "C").expect("there").healthy, "detail tells the truth");
    let snapshot = world.naming.snapshot(&service).expect("exists");
    assert_eq!(snapshot.healthy_count(), 1);
    publish(&world, &service, &[(1, "C", true, true), (2, "C", false, true), (3, "C", true, true)]);
    let view = world.list(&service);
    assert!(!view.reach_protection_threshold, "2/3 > 0.5");
    assert_eq!(view.hosts.iter().filter(|host| host.healthy).count(), 2);
    let healthy_only = Query { healthy_only: true, ..Query::default() };
    let view = world.naming.list(&service, &healthy_only, world.now);
    assert_eq!((ports(&view), view.reach_protection_threshold), (vec![1, 3], false));
}

#[test]
fn threshold_0_masks_when_all_are_unhealthy_unless_switched_off() {
    // C017
    for threshold in [0.0, -1.0] {
        for (zero_masks, masked) in [(true, true), (false, false)] {
            let world = World::with(Options { protection_zero_masks: zero_masks, ..Options::default() });
            let service = key("s");
            world.create(&service, true, threshold);
            publish(&world, &service, &[(1, "C", false, true)]);
            let view = world.list(&service);
            assert_eq!((view.hosts[0].healthy, view.reach_protection_threshold), (masked, masked), "{threshold}");
        }
    }
}

#[test]
fn threshold_1_protects_always_but_not_of_nothing() {
    let world = World::new();
    let service = key("s");
    world.create(&service, true, 1.0);
    assert!(!world.list(&service).reach_protection_threshold, "0/0 is no share");
    publish(&world, &service, &[(1, "C", true, true), (2, "D", false, false)]);
    assert!(world.list(&service).reach_protection_threshold);
    let healthy_only = Query { healthy_only: true, clusters: "D", ..Query::default() };
    let view = world.naming.list(&service, &healthy_only, world.now);
    assert_eq!((view.hosts.len(), view.reach_protection_threshold), (0, false));
}

#[test]
fn a_label_selector_without_cmdb_keeps_the_full_list() {
    let world = World::new();
    let service = key("s");
    let selector = r#"{"type":"label","expression":"CONSUMER.label.A = PROVIDER.label.A"}"#;
    let metadata = ServiceMetadata {
        ephemeral: true,
        selector: Selector::parse(selector).expect("selector"),
        ..Default::default()
    };
    let _ = world.done(NamingCommand::CreateService { service: service.clone(), metadata });
    publish(&world, &service, &[(1, "C", true, true), (2, "C", true, true)]);
    let query = Query { consumer_ip: "10.9.9.9", ..Query::default() };
    assert_eq!(ports(&world.naming.list(&service, &query, world.now)), [1, 2]);
}

#[test]
fn detail_errors_have_the_references_two_texts() {
    let world = World::new();
    let service = key("s");
    let error = |cluster, port| {
        let error = world.naming.instance(&service, "10.0.0.1", port, cluster).expect_err("none");
        assert_eq!((error.status, error.code.code), (404, 20004));
        error.message
    };
    assert_eq!(error("DEFAULT", 1), "no ips found for cluster DEFAULT in service G@@s");
    let _ = world.http(&service, instance("10.0.0.1", 1));
    assert_eq!(error("ZZ", 1), "no matched ip found!");
    assert_eq!(error("DEFAULT", 2), "no matched ip found!");
}

#[test]
fn last_ref_time_rises_with_every_change_even_within_a_millisecond_and_when_the_clock_steps_back() {
    let mut world = World::new();
    let service = key("s");
    let mut last = world.list(&service).last_ref_time;
    for round in 0..10 {
        let _ = world.http(&service, instance("10.0.0.1", round));
        let view = world.list(&service);
        assert!(view.last_ref_time > last, "round {round}");
        assert_eq!(world.list(&service).last_ref_time, view.last_ref_time, "nothing changed meanwhile");
        last = view.last_ref_time;
        world.now.wall -= 60_000;
    }
    // The service and its slot go and come back.
    let _ = world.pass(200_000);
    assert!(!world.naming.service_exists(&service));
    assert!(world.list(&service).last_ref_time >= last);
    let _ = world.http(&service, instance("10.0.0.1", 1));
    assert!(world.list(&service).last_ref_time > last);
}

#[test]
fn hosts_keep_the_order_of_registration() {
    let world = World::new();
    let service = key("s");
    for port in [5, 3, 9, 1] {
        let _ = world.http(&service, instance("10.0.0.1", port));
    }
    let _ = world.http(&service, instance("10.0.0.1", 5));
    assert_eq!(ports(&world.list(&service)), [5, 3, 9, 1]);
}

#[test]
fn equal_questions_share_one_serialised_answer_until_something_changes() {
    let world = World::new();
    let service = key("s");
    let made = AtomicUsize::new(0);
    let make = |view: &ServiceView| {
        made.fetch_add(1, Ordering::Relaxed);
        Bytes::from(format!("{:?} {}", ports(view), view.clusters))
    };
    let _ = world.http(&service, instance("10.0.0.1", 1));
    let ask = |form, clusters| {
        world.naming.list(&service, &Query { clusters, ..Query::default() }, world.now).serialised(form, make)
    };
    assert_eq!(ask(1, ""), ask(1, ""));
    assert_eq!(made.load(Ordering::Relaxed), 1);
    let _ = (ask(2, ""), ask(1, "DEFAULT"), ask(1, "DEFAULT"));
    assert_eq!(made.load(Ordering::Relaxed), 3, "another form, other clusters");
    let _ = world.http(&service, instance("10.0.0.1", 2));
    assert_eq!(ask(1, ""), Bytes::from("[1, 2] "));
    let _ = world.done(NamingCommand::SetSwitch { entry: "pushCacheMillis".into(), value: "20000".into() });
    let before = made.load(Ordering::Relaxed);
    let _ = ask(1, "");
    assert_eq!(made.load(Ordering::Relaxed), before + 1, "cacheMillis is part of the answer");
}

#[test]
fn service_lists_page_without_gaps_while_services_are_added() {
    // C019, C020, C021
    let world = World::new();
    for n in 0..120 {
        let _ = world.http(&key(&format!("s{n}")), instance("10.0.0.1", n));
    }
    let mut seen = Vec::new();
    // Six services have been added when the third page is asked for.
    for (number, expected) in [(1, 50), (2, 50), (3, 26)] {
        let page = world.naming.service_names("public", "G", Page::new(number, 50));
        assert_eq!(page.rows.len(), expected);
        seen.extend(page.rows.iter().map(|name| name.to_string()));
        // Names that sort before, between and after the others.
        for prefix in ["a", "s5", "z"] {
            let _ = world.http(&key(&format!("{prefix}-{number}")), instance("10.0.0.1", 1));
        }
    }
    assert_eq!(seen.len(), 126);
    seen.retain(|name| name.strip_prefix('s').is_some_and(|number| number.parse::<u32>().is_ok()));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 120, "each of the first ones, once");
    let count = |number, size| {
        let page = world.naming.service_names("public", "G", Page::new(number, size));
        assert_eq!(page.total, 129, "the total, not the page");
        page.rows.len()
    };
    assert_eq!(count(0, i64::MAX), 129, "page 0 is the first page");
    assert_eq!((count(-1, 10), count(99, 50), count(1, 0), count(1, -1)), (10, 0, 0, 0));
    assert_eq!(count(i64::MAX, i64::MAX), 0);
    assert_eq!(world.naming.service_names("public", "ZZ", Page::ALL).total, 0);
    assert_eq!(world.naming.service_names("zz", "G", Page::ALL).total, 0);
}

#[test]
fn the_catalog_counts_and_filters() {
    let world = World::new();
    publish(&world, &key("ca"), &[(1, "CX", true, true), (2, "DEFAULT", false, true), (3, "DEFAULT", true, false)]);
    world.create(&ServiceKey::new("public", "G2", "empty"), true, 0.0);
    let names = |name, group, ignore_empty| {
        let page = world.naming.catalog("public", name, group, ignore_empty, Page::ALL);
        assert_eq!(page.total, page.rows.len());
        page.rows.iter().map(|row| row.service.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("", "", false), ["ca", "empty"]);
    assert_eq!(names("", "", true), ["ca"]);
    assert_eq!(names("ca", "", false), ["ca"]);
    assert_eq!(names("", "G2", false), ["empty"]);
    assert_eq!(names("zzz", "", false), [""; 0]);
    let page = world.naming.catalog("public", "", "", false, Page::new(1, 1));
    assert_eq!((page.total, page.rows.len()), (2, 1));
    let row = &page.rows[0];
    assert_eq!((row.cluster_count, row.ip_count, row.healthy_instance_count, row.trigger_flag), (2, 3, 2, false));
    let empty = &world.naming.catalog("public", "empty", "", false, Page::ALL).rows[0];
    assert_eq!((empty.ip_count, empty.trigger_flag), (0, false), "of nothing there is no share");
    publish(&world, &key("ca"), &[(1, "CX", false, true)]);
    assert!(world.naming.catalog("public", "ca", "", false, Page::ALL).rows[0].trigger_flag, "0/1 <= 0");
}

#[test]
fn service_names_can_be_looked_for_in_all_namespaces() {
    let world = World::new();
    for namespace in ["a", "b"] {
        let _ = world.http(&ServiceKey::new(namespace, "G", "sg"), instance("10.0.0.1", 1));
    }
    let _ = world.http(&ServiceKey::new("b", "G", "other"), instance("10.0.0.1", 1));
    assert_eq!(world.naming.service_keys(None, "sg").len(), 2);
    assert_eq!(world.naming.service_keys(Some("b"), "").len(), 2);
    assert_eq!(world.naming.service_keys(Some("b"), "G@@o"), [ServiceKey::new("b", "G", "other")]);
    assert_eq!(world.naming.namespaces().iter().map(|n| n.to_string()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn clients_are_shown_as_tools_expect() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.61.0.1", 8081));
    let _ = world.connect("1_a_1");
    let ids: Vec<String> = world.naming.client_ids().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["1_a_1", "10.61.0.1:8081#true"]);
    let registered = world.now.wall;
    let _ = world.pass(3_000);
    let client = world.naming.client("10.61.0.1:8081#true", world.now).expect("known");
    assert_eq!((client.ephemeral, client.connection.is_none(), client.last_updated_time), (true, true, registered));
    let published = world.naming.client_publications("10.61.0.1:8081#true").expect("known");
    assert_eq!((published.len(), published[0].instance.port, &published[0].service), (1, 8081, &service));
    assert!(world.naming.client("1_a_1", world.now).expect("known").connection.is_some());
    for id in ["10.61.0.9:1#true", "", "x#y"] {
        for error in [
            world.naming.client(id, world.now).expect_err("unknown"),
            world.naming.client_publications(id).expect_err("unknown"),
            world.naming.client_subscriptions(id).expect_err("unknown"),
        ] {
            assert_eq!((error.status, error.code.code), (404, 20004));
            assert_eq!(error.message, format!("clientId [ {id} ] not exist"));
        }
    }
}

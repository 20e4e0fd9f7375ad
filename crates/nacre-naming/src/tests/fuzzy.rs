use nacre_model::event::Disconnect;

use super::*;

fn texts(contexts: &[(Arc<str>, bool)]) -> Vec<(String, bool)> {
    contexts.iter().map(|(key, added)| (key.to_string(), *added)).collect()
}

fn watch(world: &World, client: &ClientId, pattern: &str, received: &[&str], initializing: bool) -> FuzzyWatched {
    let received: Vec<String> = received.iter().map(|key| (*key).to_owned()).collect();
    world.naming.fuzzy_watch(client, pattern, &received, initializing)
}

#[test]
fn a_new_watcher_is_told_what_exists_and_then_what_changes() {
    let world = World::new();
    let (a, b) = (world.connect("1_a_1"), world.connect("1_b_1"));
    for name in ["app0", "app1", "zzz"] {
        let _ = world.grpc(&b, &key(name), instance("10.0.0.1", 80));
    }
    let watched = watch(&world, &a, "public>>G>>app*", &[], true);
    assert_eq!((watched.error, watched.finish_when_acked, watched.batches.len()), (None, true, 1));
    let batch = &watched.batches[0];
    assert_eq!((batch.sync_type.text(), batch.total_batch, batch.current_batch), ("FUZZY_WATCH_INIT_NOTIFY", 1, 1));
    let expected = [("public@@G@@app0".to_owned(), true), ("public@@G@@app1".to_owned(), true)];
    assert_eq!(texts(&batch.contexts), expected);
    let finish = FuzzySync::finish(&batch.pattern);
    assert_eq!(
        (finish.sync_type.text(), finish.total_batch, finish.current_batch, finish.contexts.len()),
        ("FINISH_FUZZY_WATCH_INIT_NOTIFY", 1, 1, 0)
    );

    let effects = world.grpc(&b, &key("app9"), instance("10.0.0.1", 80));
    assert_eq!(effects.fuzzy, [FuzzyChange { service: key("app9"), added: true, watchers: vec![a.clone()] }]);
    let effects = world.grpc(&b, &key("app9"), Instance { weight: 4.0, ..instance("10.0.0.1", 80) });
    assert!(effects.fuzzy.is_empty(), "an instance's change is no service's");
    let effects = world.naming.deregister(&b, &key("app9"), world.now).expect("ok");
    assert_eq!(effects.fuzzy, [FuzzyChange { service: key("app9"), added: false, watchers: vec![a.clone()] }]);
    let (effects, _) = world.done(NamingCommand::DeleteService { service: key("app9") });
    assert!(effects.fuzzy.is_empty(), "told already");
    assert!(world.grpc(&b, &key("other"), instance("10.0.0.1", 80)).fuzzy.is_empty());
    world.naming.fuzzy_cancel(&a, "public>>G>>app*");
    assert!(world.grpc(&b, &key("app10"), instance("10.0.0.1", 80)).fuzzy.is_empty());
}

#[test]
fn only_the_difference_to_what_the_client_holds_is_told() {
    let world = World::new();
    let (a, b) = (world.connect("1_a_1"), world.connect("1_b_1"));
    for name in ["app0", "app1"] {
        let _ = world.grpc(&b, &key(name), instance("10.0.0.1", 80));
    }
    let held = ["public@@G@@app0", "public@@G@@gone"];
    let watched = watch(&world, &a, "public>>G>>app*", &held, true);
    let expected = [("public@@G@@app1".to_owned(), true), ("public@@G@@gone".to_owned(), false)];
    assert_eq!(texts(&watched.batches[0].contexts), expected);
    let diff = watch(&world, &a, "public>>G>>app*", &held[..1], false);
    assert_eq!((diff.batches[0].sync_type.text(), diff.finish_when_acked), ("FUZZY_WATCH_DIFF_SYNC_NOTIFY", false));
    assert_eq!(texts(&diff.batches[0].contexts), expected[..1]);
    let all = ["public@@G@@app0", "public@@G@@app1"];
    assert!(watch(&world, &a, "public>>G>>app*", &all, false).batches.is_empty());
    let nothing_new = watch(&world, &a, "public>>G>>app*", &all, true);
    assert_eq!(nothing_new.batches, [FuzzySync::finish(&"public>>G>>app*".into())]);
    assert!(!nothing_new.finish_when_acked);
}

#[test]
fn contexts_come_ten_at_a_time() {
    let world = World::new();
    let (a, b) = (world.connect("1_a_1"), world.connect("1_b_1"));
    for n in 0..24 {
        let _ = world.grpc(&b, &key(&format!("app{n}")), instance("10.0.0.1", 80));
    }
    let watched = watch(&world, &a, "public>>*>>*", &[], true);
    let shape: Vec<_> = watched.batches.iter().map(|b| (b.contexts.len(), b.current_batch, b.total_batch)).collect();
    assert_eq!(shape, [(10, 1, 3), (10, 2, 3), (4, 3, 3)]);
}

#[test]
fn patterns_match_as_in_the_reference() {
    let world = World::new();
    let b = world.connect("1_b_1");
    let _ = world.grpc(&b, &ServiceKey::new("", "GROUP", "orders"), instance("10.0.0.1", 80));
    let matches = |pattern: &str| {
        let client = connection(pattern);
        let found = !watch(&world, &client, pattern, &[], false).batches.is_empty();
        world.naming.fuzzy_cancel(&client, pattern);
        found
    };
    for pattern in [
        "public>>GROUP>>orders",
        ">>GROUP>>orders",
        "public>>*>>*",
        "public>>G*>>ord*",
        "public>>*UP>>*ers",
        "public>>*ROU*>>*rde*",
        "public>>**>>orders",
        "public>>***>>*or*der*",
        "public>>G*RO*>>*de*rs",
    ] {
        assert!(matches(pattern), "{pattern}");
    }
    for pattern in [
        "",
        "justone",
        "public>>GROUP",
        "public>>GROUP>>order",
        "public>>G*P>>orders",
        "other>>GROUP>>orders",
        "public>>>>orders",
        "public>>GROUP>>orders>>x",
        "*>>GROUP>>orders",
    ] {
        assert!(!matches(pattern), "{pattern}");
    }
}

#[test]
fn an_odd_pattern_is_finished_at_once() {
    let world = World::new();
    let a = world.connect("1_a_1");
    let watched = watch(&world, &a, "justone", &[], true);
    assert_eq!((watched.error, watched.batches), (None, vec![FuzzySync::finish(&"justone".into())]));
}

#[test]
fn patterns_are_limited_and_free_their_place_when_nobody_watches() {
    let world = World::with(Options { fuzzy_max_patterns: 2, ..Options::default() });
    let (a, b) = (world.connect("1_a_1"), world.connect("1_b_1"));
    for pattern in ["public>>G>>a*", "public>>G>>b*"] {
        assert_eq!(watch(&world, &a, pattern, &[], true).error, None);
    }
    let refused = watch(&world, &b, "public>>G>>c*", &[], true);
    let error = refused.error.expect("full");
    assert_eq!((error.status, &*error.message), (50310, "fuzzy watch pattern over limit"));
    assert!(refused.batches.is_empty());
    assert_eq!(watch(&world, &b, "public>>G>>a*", &[], true).error, None, "a known pattern takes no place");
    let _ = world.naming.disconnect(&a, Disconnect::ClosedByClient, world.now);
    assert_eq!(watch(&world, &b, "public>>G>>c*", &[], true).error, None, "b* was watched by nobody else");
    let effects = world.http(&key("a1"), instance("10.0.0.1", 80));
    assert_eq!(effects.fuzzy[0].watchers, [b]);
}

#[test]
fn a_full_pattern_says_so_ignores_new_keys_and_never_reports_deletions_in_syncs() {
    let world = World::with(Options { fuzzy_max_matches: 3, ..Options::default() });
    let (a, b) = (world.connect("1_a_1"), world.connect("1_b_1"));
    for n in 0..5 {
        let _ = world.grpc(&b, &key(&format!("app{n}")), instance("10.0.0.1", 80));
    }
    let watched = watch(&world, &a, "public>>G>>app*", &["public@@G@@gone"], true);
    let error = watched.error.expect("told");
    assert_eq!((error.status, &*error.message), (50311, "fuzzy watch pattern matched count over limit"));
    assert!(watched.batches[0].contexts.iter().all(|(_, added)| *added) && watched.batches[0].contexts.len() == 3);
    assert!(world.grpc(&b, &key("app9"), instance("10.0.0.1", 80)).fuzzy.is_empty());
    let effects = world.naming.deregister(&b, &key("app0"), world.now).expect("ok");
    assert_eq!(effects.fuzzy.len(), 1);
    let diff = watch(&world, &a, "public>>G>>app*", &["public@@G@@app1", "public@@G@@app2"], false);
    assert_eq!(diff.batches[0].contexts.len(), 1, "another service took the free place");
}

#[test]
fn a_service_watched_while_empty_is_reported_when_it_goes() {
    let mut world = World::new();
    let a = world.connect("1_a_1");
    world.create(&key("app"), false, 0.0);
    assert_eq!(watch(&world, &a, "public>>G>>app", &[], true).batches[0].contexts.len(), 1);
    let effects = world.pass(61_000);
    assert_eq!(effects.fuzzy, [FuzzyChange { service: key("app"), added: false, watchers: vec![a] }]);
}

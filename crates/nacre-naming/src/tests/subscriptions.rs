use nacre_model::event::Disconnect;

use super::*;

fn udp(ip: &str, port: u16) -> Subscription {
    Subscription { ip: ip.into(), port, ..subscription("") }
}

#[test]
fn the_first_subscription_pushes_and_a_second_does_not() {
    let world = World::new();
    let client = world.connect("1_a_1");
    let service = key("s");
    let (view, effects) = world.naming.subscribe(&client, &service, subscription(""), world.now).expect("ok");
    assert!(view.hosts.is_empty() && !view.exists);
    assert_eq!(effects.pushes, [(client.clone(), service.clone())]);
    assert_eq!(kinds(&effects), ["subscribed"]);
    assert!(!world.naming.service_exists(&service), "a subscription makes no service");
    let (_, effects) = world.naming.subscribe(&client, &service, subscription("c1"), world.now).expect("ok");
    assert!(effects.is_empty());
    let (kept, view) = world.naming.push_view(&client, &service, world.now).expect("subscribed");
    assert_eq!((&*kept.clusters, &*view.clusters), ("c1", "c1"), "the newer clusters rule");
}

#[test]
fn pushes_are_filtered_by_the_subscriptions_clusters() {
    let world = World::new();
    let client = world.connect("1_a_1");
    let publisher = world.connect("1_b_1");
    let service = key("s");
    let _ = world.naming.subscribe(&client, &service, subscription("c1"), world.now).expect("ok");
    let batch = vec![
        Instance { cluster: "c1".into(), ..instance("10.0.0.1", 1) },
        Instance { cluster: "c2".into(), ..instance("10.0.0.2", 2) },
    ];
    let _ = world.naming.register_batch(&publisher, &service, batch, world.now).expect("ok");
    assert_eq!(*world.naming.subscriber_ids(&service), [client.clone()][..]);
    let (_, view) = world.naming.push_view(&client, &service, world.now).expect("subscribed");
    assert_eq!(view.hosts.iter().map(|host| host.port).collect::<Vec<_>>(), [1]);
}

#[test]
fn the_push_to_zero_instances_is_later_than_the_one_before() {
    // C010
    let world = World::new();
    let (client, publisher) = (world.connect("1_a_1"), world.connect("1_b_1"));
    let service = key("s");
    let (first, _) = world.naming.subscribe(&client, &service, subscription(""), world.now).expect("ok");
    let _ = world.grpc(&publisher, &service, instance("10.0.0.1", 80));
    let (_, second) = world.naming.push_view(&client, &service, world.now).expect("subscribed");
    let effects = world.naming.disconnect(&publisher, Disconnect::ClosedByClient, world.now);
    assert_eq!(effects.changed, std::slice::from_ref(&service));
    let (_, third) = world.naming.push_view(&client, &service, world.now).expect("subscribed");
    assert_eq!((first.hosts.len(), second.hosts.len(), third.hosts.len()), (0, 1, 0));
    assert!(first.last_ref_time < second.last_ref_time && second.last_ref_time < third.last_ref_time);
}

#[test]
fn unsubscribing_ends_pushes_and_may_be_repeated() {
    let world = World::new();
    let client = world.connect("1_a_1");
    let service = key("s");
    let _ = world.naming.subscribe(&client, &service, subscription(""), world.now).expect("ok");
    let effects = world.naming.unsubscribe(&client, &service, world.now).expect("ok");
    assert_eq!(kinds(&effects), ["unsubscribed"]);
    assert!(world.naming.unsubscribe(&client, &service, world.now).expect("ok").is_empty());
    assert!(world.naming.push_view(&client, &service, world.now).is_none());
    assert_eq!(world.naming.metrics().subscribe_count, 0);
}

#[test]
fn a_connections_end_ends_its_subscriptions() {
    let world = World::new();
    let client = world.connect("1_a_1");
    for name in ["a", "b", "c"] {
        let _ = world.naming.subscribe(&client, &key(name), subscription(""), world.now).expect("ok");
    }
    assert_eq!(world.naming.metrics().connection_subscribe_count, 3);
    let effects = world.naming.disconnect(&client, Disconnect::ResetByPeer, world.now);
    assert_eq!(count(&effects, |cause| *cause == Cause::Unsubscribed), 3);
    assert_eq!(world.naming.metrics().subscribe_count, 0);
    assert!(world.naming.subscriber_ids(&key("a")).is_empty());
}

#[test]
fn a_subscription_outlives_the_service() {
    let mut world = World::new();
    let client = world.connect("1_a_1");
    let service = key("s");
    let _ = world.naming.subscribe(&client, &service, subscription(""), world.now).expect("ok");
    let _ = world.http(&service, instance("10.0.0.1", 80));
    let with = world.list(&service).last_ref_time;
    let _ = world.pass(200_000);
    assert!(!world.naming.service_exists(&service), "expired and cleaned");
    let effects = world.http(&service, instance("10.0.0.1", 80));
    assert_eq!(effects.changed, std::slice::from_ref(&service));
    assert_eq!(world.naming.subscriber_ids(&service).len(), 1);
    assert!(world.list(&service).last_ref_time > with);
}

#[test]
fn a_udp_subscriber_lapses_30_s_after_its_last_poll() {
    // C009
    let mut world = World::new();
    let service = key("s");
    let publisher = world.connect("1_b_1");
    let _ = world.grpc(&publisher, &service, instance("10.0.0.1", 80));
    let id = ClientId::ephemeral("10.99.0.1", 55555);
    let effects = world.naming.subscribe_udp(&service, udp("10.99.0.1", 55555), world.now).expect("ok");
    assert_eq!(effects.pushes, [(id.clone(), service.clone())]);
    let _ = world.pass(10_000);
    assert_eq!(*world.naming.subscriber_ids(&service), [id.clone()][..]);
    let lapsed = world.pass(35_000);
    assert_eq!(kinds(&lapsed), ["unsubscribed"]);
    assert!(world.naming.subscriber_ids(&service).is_empty());
    assert!(world.naming.client("10.99.0.1:55555#true", world.now).is_err());
    let effects = world.naming.subscribe_udp(&service, udp("10.99.0.1", 55555), world.now).expect("ok");
    assert_eq!(effects.pushes.len(), 1, "a new poll subscribes again");
}

#[test]
fn polls_keep_a_udp_subscriber() {
    let mut world = World::new();
    let service = key("s");
    for round in 0..20 {
        let effects = world.naming.subscribe_udp(&service, udp("10.99.0.1", 55555), world.now).expect("ok");
        assert_eq!(effects.pushes.len(), usize::from(round == 0));
        let _ = world.pass(10_000);
    }
    assert_eq!(world.naming.metrics().udp_subscribe_count, 1);
}

#[test]
fn a_udp_subscriber_that_publishes_too_is_one_client() {
    let mut world = World::new();
    let service = key("s");
    let _ = world.http(&service, instance("10.0.0.1", 8080));
    let _ = world.naming.subscribe_udp(&service, udp("10.0.0.1", 8080), world.now).expect("ok");
    assert_eq!(world.naming.client_ids().len(), 1);
    for _ in 0..20 {
        let _ = world.pass(5_000);
        let _ = world.light(&service, "10.0.0.1", 8080);
    }
    assert_eq!(world.hosts(&service), ["10.0.0.1:8080/true"]);
    assert_eq!(world.naming.subscriber_ids(&service).len(), 1, "its beats keep the client");
}

#[test]
fn udp_subscribers_are_limited() {
    let world = World::with(Options { max_udp_subscribers: 2, ..Options::default() });
    for port in [1, 2, 2, 1] {
        let _ = world.naming.subscribe_udp(&key("s"), udp("10.0.0.1", port), world.now).expect("ok");
    }
    let error = world.naming.subscribe_udp(&key("s"), udp("10.0.0.1", 3), world.now).expect_err("full");
    assert!(error.message.contains("nacre.limit.udp-subscribers"));
}

#[test]
fn subscribers_are_listed_exactly_and_by_part_of_the_name() {
    let world = World::new();
    let client = world.connect("1_a_1");
    let _ = world.naming.subscribe(&client, &key("sub-1"), subscription(""), world.now).expect("ok");
    let _ = world.naming.subscribe_udp(&key("sub-2"), udp("10.99.0.1", 55555), world.now).expect("ok");
    let exact = world.naming.subscribers(&key("sub-2"));
    assert_eq!(exact.iter().map(Subscriber::address).collect::<Vec<_>>(), ["10.99.0.1:55555"]);
    let like = world.naming.subscribers_like("public", "G", "sub");
    assert_eq!(like.iter().map(Subscriber::address).collect::<Vec<_>>(), ["10.9.9.9", "10.99.0.1:55555"]);
    assert!(world.naming.subscribers_like("other", "G", "sub").is_empty());
    assert!(world.naming.subscribers_like("public", "G", "zz").is_empty());
    let mine = world.naming.client_subscriptions("1_a_1").expect("known");
    assert_eq!(mine.iter().map(|s| s.service.clone()).collect::<Vec<_>>(), [key("sub-1")]);
}

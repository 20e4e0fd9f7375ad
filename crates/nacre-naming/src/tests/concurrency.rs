//! Many threads at once: no deadlock, no ghost, no lost entry. The histories differ from run to run; what must hold
//! afterwards does not.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use nacre_model::event::Disconnect;

use super::*;

const THREADS: u64 = 8;

/// A small generator: threads must not share one.
fn rolls(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    }
}

/// One random call.
fn act(naming: &Naming, roll: &mut impl FnMut(u64) -> u64, now: Now) {
    let service = key(&format!("s{}", roll(4)));
    let port = roll(6) as i32;
    let client = connection(&format!("1_{}_1", roll(6)));
    match roll(14) {
        0 => {
            let info = ConnectionInfo { id: client.to_string().into(), ..Default::default() };
            let _ = naming.connect(info, now);
        }
        1 => {
            let _ = naming.disconnect(&client, Disconnect::ClosedByClient, now);
        }
        2 | 3 => {
            let _ = naming.register(&client, &service, instance("10.0.0.1", port), now);
        }
        4 => {
            let batch = (0..roll(4)).map(|n| instance("10.0.0.2", n as i32)).collect();
            let _ = naming.register_batch(&client, &service, batch, now);
        }
        5 => {
            let _ = naming.deregister(&client, &service, now);
        }
        6 | 7 => {
            let _ = naming.register_http(&service, instance("10.0.0.3", port), now);
        }
        8 => {
            let _ = naming.deregister_http(&service, "10.0.0.3", port, now);
        }
        9 => {
            let beat = Beat { service: &service, ip: "10.0.0.3", port, cluster: "", info: None, sender: "" };
            let _ = naming.beat(&beat, now);
        }
        10 => {
            let _ = naming.subscribe(&client, &service, subscription(""), now);
        }
        11 => {
            let _ = naming.unsubscribe(&client, &service, now);
        }
        12 => {
            let udp = Subscription { port: port as u16, ip: "10.0.0.3".into(), ..subscription("") };
            let _ = naming.subscribe_udp(&service, udp, now);
        }
        _ => {
            let view = naming.list(&service, &Query::default(), now);
            let mut addresses: Vec<_> = view.hosts.iter().map(|host| host.identity()).collect();
            let shown = addresses.len();
            addresses.sort();
            addresses.dedup();
            assert_eq!(addresses.len(), shown, "an address is shown once");
        }
    }
}

/// What the registry's parts say of each other must agree.
fn audit(naming: &Naming) {
    let mut instances = 0;
    let mut subscriptions = 0;
    for n in 0..4 {
        let service = key(&format!("s{n}"));
        for published in naming.publishers(&service) {
            instances += 1;
            let of_client = naming.client_publications(&published.client.to_string()).expect("no ghost");
            assert!(of_client.iter().any(|own| own.service == service && own.instance == published.instance));
        }
        for subscriber in naming.subscribers(&service) {
            subscriptions += 1;
            let of_client = naming.client_subscriptions(&subscriber.client.to_string()).expect("no ghost");
            assert!(of_client.iter().any(|own| own.service == service));
        }
    }
    let by_client: usize =
        naming.client_ids().iter().map(|id| naming.client_publications(&id.to_string()).expect("known").len()).sum();
    let metrics = naming.metrics();
    assert_eq!((instances, subscriptions), (metrics.instance_count, metrics.subscribe_count));
    assert_eq!(by_client, instances);
    assert_eq!(metrics.client_count, naming.client_ids().len());
}

#[test]
fn racing_calls_leave_no_ghost_and_lose_nothing() {
    let options = Options {
        client_expired_ms: 2_000,
        empty_service_expired_ms: 500,
        expired_metadata_ms: 500,
        ..Options::default()
    };
    let naming = Naming::new(options);
    let clock = AtomicU64::new(1_000);
    let now = || {
        let mono = clock.fetch_add(1, Relaxed);
        Now { mono, wall: 1_700_000_000_000 + mono as i64 }
    };
    for round in 0..20 {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (naming, now) = (&naming, &now);
                scope.spawn(move || {
                    let mut roll = rolls(round * THREADS + thread + 1);
                    for _ in 0..1_500 {
                        act(naming, &mut roll, now());
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..300 {
                    let _ = naming.tick(now());
                }
            });
        });
        audit(&naming);
    }
    for n in 0..6 {
        let _ = naming.disconnect(&connection(&format!("1_{n}_1")), Disconnect::ClosedByClient, now());
    }
    for _ in 0..400 {
        clock.fetch_add(100, Relaxed);
        let _ = naming.tick(now());
    }
    assert_eq!(naming.metrics(), NamingMetrics::default());
    assert!(naming.slots.is_empty() && naming.clients.all().is_empty());
}

#[test]
fn what_was_acknowledged_on_open_connections_is_listed() {
    // C025
    let naming = Naming::default();
    let now = Now { mono: 1, wall: 1_700_000_000_000 };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let naming = &naming;
            scope.spawn(move || {
                for n in 0..250 {
                    let id = format!("1_{thread}-{n}_1");
                    let _ = naming.connect(ConnectionInfo { id: id.as_str().into(), ..Default::default() }, now);
                    let service = key(&format!("s{thread}-{n}"));
                    let client = connection(&id);
                    let _ = naming.register(&client, &service, instance("10.0.0.1", n), now).expect("acknowledged");
                    let view = naming.list(&service, &Query::default(), now);
                    assert_eq!(view.hosts.len(), 1, "read after the acknowledgement");
                }
            });
        }
    });
    assert_eq!(naming.service_names("public", "G", Page::ALL).total, 2_000);
    assert_eq!(naming.metrics().instance_count, 2_000);
}

#[test]
fn readers_see_times_and_contents_move_forward_together() {
    let naming = Naming::default();
    let service = key("s");
    let now = Now { mono: 1, wall: 1_700_000_000_000 };
    thread::scope(|scope| {
        scope.spawn(|| {
            for port in 0..2_000 {
                let _ = naming.register_http(&service, instance("10.0.0.1", port), now);
            }
        });
        for _ in 0..4 {
            scope.spawn(|| {
                let mut last = (0, 0_usize);
                while last.1 < 2_000 {
                    let view = naming.list(&service, &Query::default(), now);
                    let seen = (view.last_ref_time, view.hosts.len());
                    assert!(seen == last || seen.0 > last.0, "{last:?} then {seen:?}");
                    assert!(seen.1 >= last.1, "nothing is forgotten");
                    last = seen;
                }
            });
        }
    });
    assert_eq!(naming.list(&service, &Query::default(), now).hosts.len(), 2_000);
}

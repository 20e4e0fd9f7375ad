//! Recording, bounds, queries, tails and the story of an instance.

use std::{sync::Arc, time::Duration};

use nacre_journal::{Elapsed, Filter, Journal, Limits, Received, Work};
use nacre_model::{
    Cause, ConfigKey, Event, Now, ServiceKey, Subject,
    event::{Disconnect, Removal},
};
use serde_json::json;

fn at(wall: i64) -> Now {
    Now { mono: 0, wall }
}

fn event(wall: i64, subject: Subject, cause: Cause) -> Event {
    Event::new(at(wall), subject, cause)
}

fn orders() -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", "orders")
}

fn instance(identity: &str) -> Subject {
    Subject::service(&orders()).with_instance(identity)
}

fn plain(wall: i64) -> Event {
    event(wall, Subject::default(), Cause::BrakeOff)
}

fn seqs(journal: &Journal, filter: Filter) -> Vec<u64> {
    journal.query(&filter).iter().map(|record| record.seq).collect()
}

#[test]
fn numbers_begin_at_one_and_grow_by_one() {
    let journal = Journal::default();
    assert_eq!(journal.last_seq(), 0);
    assert_eq!((1..=3).map(|wall| journal.record(plain(wall))).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(journal.last_seq(), 3);
    assert_eq!(journal.get(2).unwrap().event.at, 2);
    assert!(journal.get(0).is_none() && journal.get(4).is_none());
}

#[test]
fn concurrent_recorders_get_distinct_numbers_in_ring_order() {
    let journal = Journal::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2_000).map(|wall| journal.record(plain(wall))).sum::<u64>());
        }
    });
    let all = seqs(&journal, Filter { limit: usize::MAX, ..Filter::default() });
    assert_eq!(all, (1..=8_000).rev().collect::<Vec<_>>());
    let oldest_first = seqs(&journal, Filter { limit: usize::MAX, oldest_first: true, ..Filter::default() });
    assert_eq!(oldest_first, (1..=8_000).collect::<Vec<_>>());
}

#[test]
fn what_is_recent_is_visited_newest_first_and_nothing_else() {
    let journal = Journal::default();
    for wall in 1..=3_000 {
        journal.record(plain(wall));
    }
    let mut seen = Vec::new();
    journal.recent(1_500, |record| seen.push(record.seq));
    assert_eq!(seen, (1_500..=3_000).rev().collect::<Vec<_>>());
    journal.recent(3_001, |record| panic!("{record:?}"));
}

#[test]
fn of_a_flood_the_news_are_the_newest_and_the_rare_is_not_hidden() {
    let journal = Journal::default();
    for wall in 1..=3_000 {
        let rare = wall % 1_000 == 7;
        let cause = if rare { Cause::BrakeOff } else { Cause::BeatResumed { gap_ms: 1 } };
        journal.record(event(wall, Subject::default(), cause));
    }
    let news = |after, most, each| {
        let (records, last) = journal.news(after, most, each);
        (records.iter().map(|record| record.seq).collect::<Vec<_>>(), last)
    };
    assert_eq!(news(0, u64::MAX, 2), (vec![1_007, 2_007, 2_999, 3_000], 3_000));
    assert_eq!(news(0, 1_500, 1), (vec![1_007, 1_500], 1_500), "what is beyond comes later");
    assert_eq!(news(2_998, 1_000, 9), (vec![2_999, 3_000], 3_000));
    assert_eq!(news(3_000, 1_000, 9), (vec![], 3_000));
    let small = Journal::new(Limits { bytes: 2_000, age_ms: i64::MAX });
    for wall in 1..=100 {
        small.record(plain(wall));
    }
    let (records, last) = small.news(0, u64::MAX, usize::MAX);
    assert_eq!((records.len(), last), (small.counts().records, 100), "what is gone is left out");
}

#[test]
fn bytes_bound_the_journal_and_evictions_are_counted() {
    let journal = Journal::new(Limits { bytes: 100_000, age_ms: i64::MAX });
    for wall in 0..5_000 {
        journal.record(plain(wall));
    }
    let counts = journal.counts();
    assert!(counts.bytes <= 100_000, "{counts:?}");
    assert!(counts.records > 100);
    assert_eq!(counts.records as u64 + counts.evicted_by_bytes, 5_000);
    assert_eq!(journal.query(&Filter { limit: 1, ..Filter::default() })[0].seq, 5_000);
    assert_eq!(counts.oldest_at, Some(5_000 - counts.records as i64));
}

#[test]
fn one_huge_event_does_not_break_the_bound_for_long() {
    let journal = Journal::new(Limits { bytes: 10_000, age_ms: i64::MAX });
    journal.record(event(1, Subject::default(), Cause::WriteFailed { reason: "x".repeat(50_000) }));
    assert_eq!(journal.counts().records, 1);
    journal.record(plain(2));
    assert_eq!(seqs(&journal, Filter::default()), [2]);
}

#[test]
fn age_bounds_the_journal() {
    let journal = Journal::new(Limits { bytes: usize::MAX, age_ms: 1_000 });
    for wall in [0, 500, 1_400] {
        journal.record(plain(wall));
    }
    assert_eq!(seqs(&journal, Filter::default()), [3, 2]);
    assert_eq!(journal.counts().evicted_by_age, 1);
    // A clock that steps back does not throw anything away.
    journal.record(plain(-50_000));
    assert_eq!(seqs(&journal, Filter::default()), [4, 3, 2]);
}

#[test]
fn counters_know_every_kind_and_survive_eviction() {
    let journal = Journal::new(Limits { bytes: 2_000, age_ms: i64::MAX });
    for wall in 0..100 {
        journal.record(plain(wall));
    }
    journal.record(event(100, Subject::default(), Cause::Subscribed));
    let counts = journal.counts();
    let count = |kind: &str| counts.recorded.iter().find(|(word, _)| *word == kind).map(|(_, count)| *count);
    assert_eq!(count("brakeOff"), Some(100));
    assert_eq!(count("subscribed"), Some(1));
    assert_eq!(count("pushGaveUp"), Some(0));
}

#[test]
fn filters_match_time_kind_and_every_subject_field() {
    let journal = Journal::default();
    let removed = || Cause::InstanceRemoved { removal: Removal::Deregistered };
    journal.record(event(10, instance("10.0.0.1:80:DEFAULT").with_client("10.0.0.1:80#true"), removed())); // 1
    journal.record(event(20, instance("10.0.0.1:8080:A"), Cause::InstanceHealthy { cause: "beat".into() })); // 2
    journal.record(event(30, instance("10.0.0.11:80:DEFAULT"), removed())); // 3
    let other = ServiceKey::new("dev", "G", "orders");
    journal.record(event(40, Subject::service(&other), Cause::ServiceUpdated)); // 4
    let config = ConfigKey::new("dev", "G", "app.yaml");
    journal.record(event(50, Subject::config(&config).with_client("conn-1"), Cause::ListenerStale { md5: "m".into() })); // 5
    journal.record(plain(60)); // 6

    let find = |filter: Filter| seqs(&journal, filter);
    let text = |text: &str| Some(text.to_owned());
    let base = Filter::default;
    assert_eq!(find(base()), [6, 5, 4, 3, 2, 1]);
    assert_eq!(find(Filter { from: Some(20), to: Some(40), ..base() }), [4, 3, 2]);
    assert_eq!(find(Filter { kinds: vec!["INSTANCEremoved".into(), "serviceUpdated".into()], ..base() }), [4, 3, 1]);
    assert_eq!(find(Filter { kinds: vec!["noSuchKind".into()], ..base() }), [] as [u64; 0]);
    assert_eq!(find(Filter { namespace: text("dev"), ..base() }), [5, 4]);
    assert_eq!(find(Filter { namespace: text(""), ..base() }), [3, 2, 1]);
    assert_eq!(find(Filter { group: text("G"), ..base() }), [5, 4]);
    assert_eq!(find(Filter { service: text("orders"), ..base() }), [4, 3, 2, 1]);
    assert_eq!(find(Filter { service: text("G@@orders"), ..base() }), [4]);
    assert_eq!(find(Filter { data_id: text("app.yaml"), ..base() }), [5]);
    assert_eq!(find(Filter { instance: text("10.0.0.1"), ..base() }), [2, 1]);
    assert_eq!(find(Filter { instance: text("10.0.0.1:80"), ..base() }), [1]);
    assert_eq!(find(Filter { instance: text("10.0.0.1:80:DEFAULT"), ..base() }), [1]);
    assert_eq!(find(Filter { instance: text(""), ..base() }), [] as [u64; 0]);
    assert_eq!(find(Filter { client: text("10.0.0.1:80"), ..base() }), [1]);
    assert_eq!(find(Filter { client: text("10.0.0.1:80#true"), ..base() }), [1]);
    assert_eq!(find(Filter { client: text("conn-1"), ..base() }), [5]);
    assert_eq!(find(Filter { client: text("conn"), ..base() }), [] as [u64; 0]);
    assert_eq!(find(Filter { limit: 2, ..base() }), [6, 5]);
    assert_eq!(find(Filter { limit: 2, before: Some(5), ..base() }), [4, 3]);
    assert_eq!(find(Filter { limit: 2, after: Some(1), oldest_first: true, ..base() }), [2, 3]);
    assert_eq!(find(Filter { after: Some(u64::MAX), ..base() }), [] as [u64; 0]);
    assert_eq!(find(Filter { before: Some(0), ..base() }), [] as [u64; 0]);
}

#[test]
fn a_tail_gets_what_matches_from_now_on_in_order() {
    let journal = Arc::new(Journal::default());
    journal.record(plain(1));
    let mut tail = journal.tail(Filter { kinds: vec!["subscribed".into()], ..Filter::default() }, 10).unwrap();
    journal.record(event(2, Subject::default(), Cause::Subscribed));
    journal.record(plain(3));
    journal.record(event(4, Subject::default(), Cause::Subscribed));
    let times: Vec<i64> = std::iter::from_fn(|| tail.try_next())
        .map(|received| match received {
            Received::Record(record) => record.event.at,
            Received::Missed(count) => panic!("missed {count}"),
        })
        .collect();
    assert_eq!(times, [2, 4]);
    assert_eq!(tail.next_within(Duration::ZERO).unwrap_err(), Elapsed);
}

#[test]
fn a_slow_tail_is_told_how_much_it_missed_and_goes_on() {
    let journal = Arc::new(Journal::default());
    let mut tail = journal.tail(Filter::default(), 2).unwrap();
    for wall in 1..=5 {
        journal.record(plain(wall));
    }
    assert!(matches!(tail.try_next(), Some(Received::Record(record)) if record.seq == 1));
    assert!(matches!(tail.try_next(), Some(Received::Record(record)) if record.seq == 2));
    assert!(matches!(tail.try_next(), Some(Received::Missed(3))));
    journal.record(plain(6));
    assert!(matches!(tail.try_next(), Some(Received::Record(record)) if record.seq == 6));
    assert_eq!(journal.counts().tail_missed, 3);
    drop(tail);
    assert_eq!((journal.counts().tails, journal.counts().tail_missed), (0, 3));
}

#[test]
fn a_waiting_thread_is_woken_by_a_record_and_by_the_end() {
    let journal = Arc::new(Journal::default());
    let mut tail = journal.tail(Filter::default(), 10).unwrap();
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        while let Ok(Some(Received::Record(_))) = tail.next_within(Duration::from_secs(60)) {
            seen += 1;
        }
        seen
    });
    journal.record(plain(1));
    journal.record(plain(2));
    journal.close_tails();
    assert_eq!(reader.join().unwrap(), 2);
}

#[test]
fn tails_are_limited() {
    let journal = Arc::new(Journal::default());
    let mut tails: Vec<_> = std::iter::from_fn(|| journal.tail(Filter::default(), 1)).take(1_000).collect();
    assert_eq!(tails.len(), 64);
    tails.pop();
    assert!(journal.tail(Filter::default(), 1).is_some());
}

#[test]
fn why_tells_the_story_of_an_instance_with_its_client() {
    let journal = Journal::default();
    let client = "1700000000000_10.0.0.1_50000";
    let named = || Subject::client(client);
    journal.record(event(
        0,
        named(),
        Cause::ClientConnected {
            version: "Nacos-Java-Client:v2.3.2".into(),
            module: "naming".into(),
            app: String::new(),
        },
    ));
    journal.record(event(
        1_000,
        instance("10.0.0.1:80:DEFAULT").with_client(client),
        Cause::InstanceRegistered { how: "gRPC".into(), replaced: false },
    ));
    journal.record(event(1_500, named(), Cause::Subscribed));
    journal.record(event(1_600, Subject::client("other"), Cause::ClientReset { target: String::new() }));
    journal.record(event(
        184_000,
        instance("10.0.0.1:80:DEFAULT").with_client(client),
        Cause::InstanceRemoved {
            removal: Removal::ConnectionLost { cause: Disconnect::ResetByPeer, lived_ms: 184_000 },
        },
    ));
    journal.record(event(
        184_000,
        named(),
        Cause::ClientDisconnected { cause: Disconnect::ResetByPeer, lived_ms: 184_000 },
    ));

    let texts = |instance: &str, limit| -> Vec<String> {
        journal
            .why(instance, &Filter::default(), at(196_000), limit, &mut Work::default())
            .into_iter()
            .map(|line| line.text)
            .collect()
    };
    let story = [
        "disconnected 12 s ago: connection closed by peer (RST) after 3 min 4 s",
        "removed 12 s ago: connection closed by peer (RST) after 3 min 4 s",
        "registered 3 min 15 s ago: gRPC",
        "connected 3 min 16 s ago: Nacos-Java-Client:v2.3.2 for naming",
    ];
    assert_eq!(texts("10.0.0.1:80", 10), story);
    assert_eq!(texts("10.0.0.1:80", 2), story[..2]);
    assert_eq!(texts("10.0.0.2", 10), [] as [&str; 0]);
    let elsewhere = Filter { service: Some("payments".into()), ..Filter::default() };
    assert!(journal.why("10.0.0.1:80", &elsewhere, at(0), 10, &mut Work::default()).is_empty());
}

#[test]
fn the_json_form_is_stable() {
    let journal = Journal::default();
    let seq = journal.record(event(
        5,
        instance("10.0.0.1:80:DEFAULT").with_client("10.0.0.1:80#true"),
        Cause::InstanceRemoved { removal: Removal::BeatExpired { silent_ms: 31_000, limit_ms: 30_000 } },
    ));
    assert_eq!(
        journal.get(seq).unwrap().json(),
        json!({
            "seq": 1,
            "at": 5,
            "kind": "instanceRemoved",
            "subject": {
                "namespaceId": "public",
                "groupName": "DEFAULT_GROUP",
                "serviceName": "orders",
                "instance": "10.0.0.1:80:DEFAULT",
                "client": "10.0.0.1:80#true",
            },
            "cause": {
                "kind": "instanceRemoved",
                "removal": { "why": "beatExpired", "silentMs": 31_000, "limitMs": 30_000 },
            },
            "text": "instance 10.0.0.1:80:DEFAULT, service DEFAULT_GROUP@@orders in public, \
                     client 10.0.0.1:80#true: removed: no beat for 31 s (limit 30 s)",
        })
    );
    journal.record(event(6, Subject::config(&ConfigKey::new("", "G", "d")), Cause::ListenerNotified { latency_ms: 2 }));
    assert_eq!(
        journal.get(2).unwrap().json()["subject"],
        json!({ "namespaceId": "public", "groupName": "G", "dataId": "d" })
    );
}

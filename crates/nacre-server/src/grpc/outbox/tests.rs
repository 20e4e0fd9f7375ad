use nacre_model::ConfigKey;
use nacre_wire::grpc::lenient::parse;
use serde_json::{Value, json};

use super::*;

/// An outbox with a stream, a clock and a service that tests change by hand.
struct Desk {
    outbox: Outbox,
    stream: Arc<Slot>,
    mono: u64,
    ids: std::cell::Cell<u64>,
    hosts: std::cell::Cell<Option<usize>>,
    events: Vec<Cause>,
    failed: Option<Failure>,
    /// Moments the outbox asked to be woken at.
    armed: std::collections::BTreeSet<u64>,
}

impl Desk {
    fn new() -> Self {
        let outbox = Outbox::new(&"c".into(), &SharedRules::default());
        let stream = Arc::new(Slot::default());
        outbox.attach(&stream);
        Self {
            outbox,
            stream,
            mono: 10_000,
            ids: std::cell::Cell::new(1),
            hosts: std::cell::Cell::new(Some(1)),
            events: Vec::new(),
            failed: None,
            armed: std::collections::BTreeSet::new(),
        }
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, wall: 0 }
    }

    fn act(&mut self, outcome: Outcome) {
        self.events.extend(outcome.events.iter().map(|event| (*event.cause).clone()));
        self.failed = self.failed.take().or(outcome.failed);
        self.armed.extend(outcome.arm);
    }

    fn push(&mut self, target: Target, text: &'static str) {
        let load = Load { type_name: "T", module: "m", members: Bytes::from_static(text.as_bytes()) };
        let outcome = self.outbox.push(target, load, self.now());
        self.act(outcome);
    }

    /// Lets time pass and wakes the outbox whenever it asked for it, as the timers do.
    fn pass(&mut self, ms: u64) {
        let until = self.mono + ms;
        while let Some(due) = self.armed.first().copied().filter(|due| *due <= until) {
            self.armed.pop_first();
            self.mono = self.mono.max(due);
            let outcome = self.outbox.tick(self.now());
            self.act(outcome);
        }
        self.mono = until;
    }

    /// Takes everything that is to be sent now, as (`requestId`, body).
    fn take(&mut self) -> Vec<(u64, Value)> {
        let mut all = Vec::new();
        loop {
            let (sent, outcome) = self.outbox.next(
                &self.stream,
                self.now(),
                || self.ids.replace(self.ids.get() + 1),
                |key| {
                    let count = self.hosts.get()?;
                    let text = format!("\"name\":\"{}\",\"hosts\":{count}", key.name);
                    Some(View { members: text.into(), empty: count == 0 })
                },
            );
            self.act(outcome);
            let Some(sent) = sent else { return all };
            let body: Value = serde_json::from_slice(&sent.body).unwrap();
            let id = body.get("requestId").map_or(0, |id| id.as_str().unwrap().parse().unwrap());
            all.push((id, body));
        }
    }

    /// The one push that is due.
    fn take_one(&mut self) -> (u64, Value) {
        let mut all = self.take();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn ack(&mut self, id: u64) {
        let outcome = self.outbox.acked(id, parse(br#"{"resultCode":200}"#).unwrap(), self.now());
        self.act(outcome);
    }

    fn refuse(&mut self, id: u64) {
        let ack = parse(br#"{"resultCode":500,"errorCode":-500,"message":"no"}"#).unwrap();
        let outcome = self.outbox.acked(id, ack, self.now());
        self.act(outcome);
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.events.iter().map(Cause::kind).collect()
    }
}

fn service(name: &str) -> ServiceKey {
    ServiceKey::new("", "g", name)
}

fn config() -> Target {
    Target::Config(ConfigKey::new("", "g", "d"))
}

fn count(body: &Value) -> u64 {
    body["hosts"].as_u64().unwrap()
}

#[test]
fn a_dirty_service_is_sent_once_with_its_newest_state() {
    let mut desk = Desk::new();
    for hosts in 1..=100 {
        desk.hosts.set(Some(hosts));
        assert_eq!(desk.outbox.mark(&service("s"), false, false, desk.now()), Marked::Queued);
    }
    assert_eq!(desk.outbox.backlog(), 1);
    let (id, body) = desk.take_one();
    assert_eq!(count(&body), 100);
    desk.ack(id);
    desk.pass(60_000);
    assert_eq!(desk.take(), []);
}

#[test]
fn an_unanswered_service_push_comes_again_after_six_seconds_with_the_state_of_then() {
    let mut desk = Desk::new();
    desk.outbox.mark(&service("s"), false, false, desk.now());
    desk.take_one();
    desk.pass(5_000);
    assert_eq!(desk.take(), [], "the acknowledgement is late, the retry waits");
    desk.hosts.set(Some(7));
    desk.pass(1_000);
    let (id, body) = desk.take_one();
    assert_eq!(count(&body), 7);
    desk.ack(id);
    desk.pass(60_000);
    assert_eq!(desk.take(), []);
}

#[test]
fn a_change_does_not_wait_for_an_acknowledgement() {
    let mut desk = Desk::new();
    desk.outbox.mark(&service("s"), false, false, desk.now());
    let (first, _) = desk.take_one();
    desk.hosts.set(Some(2));
    desk.outbox.mark(&service("s"), false, false, desk.now());
    let (second, body) = desk.take_one();
    assert_eq!(count(&body), 2);
    desk.ack(first);
    desk.pass(5_000);
    desk.pass(1_000);
    assert_eq!(desk.take().len(), 1, "the acknowledgement of an earlier push does not count for a later one");
    desk.ack(second);
}

#[test]
fn a_refused_push_is_retried_like_an_unanswered_one() {
    let mut desk = Desk::new();
    desk.outbox.mark(&service("s"), false, false, desk.now());
    let (id, _) = desk.take_one();
    desk.refuse(id);
    assert!(matches!(desk.events.last(), Some(Cause::PushFailed { attempt: 1, .. })));
    desk.pass(999);
    assert_eq!(desk.take(), []);
    desk.pass(1);
    assert_eq!(desk.take().len(), 1);
}

#[test]
fn a_subscriber_that_never_answers_is_named_and_hears_of_the_next_change() {
    let mut desk = Desk::new();
    desk.outbox.mark(&service("s"), false, false, desk.now());
    for _ in 0..limits::PUSH_RETRIES_NAMING {
        desk.take_one();
        desk.pass(5_000);
        desk.pass(1_000);
    }
    assert_eq!(desk.take(), []);
    let attempts = limits::PUSH_RETRIES_NAMING as u32;
    assert!(desk.events.contains(&Cause::PushGaveUp { attempts }));
    assert_eq!(desk.failed, None);
    desk.outbox.mark(&service("s"), false, false, desk.now());
    assert_eq!(desk.take().len(), 1);
}

#[test]
fn an_emptied_list_is_held_until_it_may_go() {
    let mut desk = Desk::new();
    desk.hosts.set(Some(0));
    assert_eq!(desk.outbox.mark(&service("s"), true, false, desk.now()), Marked::Held);
    assert_eq!(desk.take(), []);
    assert_eq!(desk.outbox.mark_empty(&service("s"), desk.now()), Marked::Queued);
    let (_, body) = desk.take_one();
    assert_eq!(count(&body), 0);
    assert_eq!(desk.outbox.mark_empty(&service("s"), desk.now()), Marked::Idle, "it is known already");
    // Unanswered, it comes again although it is empty.
    desk.pass(6_000);
    assert_eq!(count(&desk.take_one().1), 0);
}

#[test]
fn an_empty_list_that_the_client_was_answered_with_is_pushed_without_holding() {
    let mut desk = Desk::new();
    desk.hosts.set(Some(0));
    desk.outbox.answered(&service("s"), true);
    let outcome = desk.outbox.first_push(&service("s"), 50, desk.now());
    desk.act(outcome);
    desk.pass(50);
    let (id, body) = desk.take_one();
    assert_eq!(count(&body), 0);
    desk.ack(id);
    assert_eq!(desk.outbox.mark(&service("s"), true, false, desk.now()), Marked::Queued, "it is known to be empty");
    desk.hosts.set(Some(1));
    let (id, _) = desk.take_one();
    desk.ack(id);
    assert!(desk.outbox.state.lock().chains.is_empty(), "an idle subscription costs nothing");
}

#[test]
fn a_list_that_empties_between_mark_and_send_is_not_sent() {
    let mut desk = Desk::new();
    desk.outbox.mark(&service("s"), false, false, desk.now());
    desk.hosts.set(Some(0));
    assert_eq!(desk.take(), []);
    assert!(desk.outbox.state.lock().chains.is_empty());
}

#[test]
fn the_first_push_waits_for_its_moment_and_changes_until_then_wait_for_it() {
    let mut desk = Desk::new();
    let subscribed = |desk: &mut Desk| {
        let outcome = desk.outbox.first_push(&service("s"), 50, desk.now());
        desk.act(outcome);
    };
    subscribed(&mut desk);
    assert_eq!(desk.outbox.mark(&service("s"), false, false, desk.now()), Marked::Queued);
    assert_eq!(desk.take(), [], "it would overtake the answer");
    desk.pass(50);
    let (id, _) = desk.take_one();
    desk.ack(id);
    desk.outbox.mark(&service("s"), false, false, desk.now());
    let (id, _) = desk.take_one();
    desk.ack(id);
    desk.pass(100);
    assert_eq!(desk.take(), []);

    // Subscribed again while a change waits to be sent.
    desk.outbox.mark(&service("s"), false, false, desk.now());
    subscribed(&mut desk);
    assert_eq!(desk.take(), []);
    desk.pass(50);
    assert_eq!(desk.take().len(), 1);
}

#[test]
fn an_unsubscribed_service_is_forgotten() {
    let mut desk = Desk::new();
    desk.outbox.mark(&service("s"), false, false, desk.now());
    desk.outbox.mark(&service("t"), false, false, desk.now());
    desk.outbox.unsubscribed(&service("s"));
    assert_eq!(desk.take_one().1["name"], "t");

    desk.outbox.mark(&service("u"), false, false, desk.now());
    desk.hosts.set(None);
    assert_eq!(desk.take(), [], "the core says it is not subscribed");
}

#[test]
fn a_config_is_retried_at_growing_intervals_in_one_chain() {
    let mut desk = Desk::new();
    desk.push(config(), "");
    let mut sends = vec![desk.mono];
    desk.take_one();
    while sends.len() < 5 {
        desk.pass(100);
        if !desk.take().is_empty() {
            sends.push(desk.mono);
        }
    }
    let gaps: Vec<u64> = sends.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [5_000, 7_000, 9_000, 11_000]);
}

#[test]
fn a_late_acknowledgement_does_not_stop_the_retry() {
    let mut desk = Desk::new();
    desk.push(config(), "");
    let (id, _) = desk.take_one();
    desk.pass(3_000);
    desk.pass(500);
    desk.ack(id);
    desk.pass(1_500);
    let (id, _) = desk.take_one();
    desk.ack(id);
    desk.pass(60_000);
    assert_eq!(desk.take(), []);
}

#[test]
fn a_client_that_acknowledges_no_config_is_given_up() {
    let mut desk = Desk::new();
    desk.push(config(), "");
    for _ in 0..limits::PUSH_RETRIES_CONFIG {
        desk.take();
        desk.pass(3_000);
        desk.pass(200_000);
    }
    let tries = limits::PUSH_RETRIES_CONFIG as u32;
    assert_eq!(desk.failed, Some(Failure::Unacknowledged { tries }));
    assert!(desk.kinds().contains(&"pushGaveUp"));
}

#[test]
fn a_storm_of_one_config_is_told_every_fifty_milliseconds_and_at_its_end() {
    let mut desk = Desk::new();
    let mut told = 0;
    for _ in 0..200 {
        desk.push(config(), "");
        for (id, _) in desk.take() {
            told += 1;
            desk.ack(id);
        }
        desk.pass(1);
    }
    desk.pass(50);
    told += desk.take().len();
    assert!((4..=6).contains(&told), "{told}");
    assert_eq!(desk.outbox.backlog(), 0);
}

#[test]
fn what_is_over_leaves_nothing_behind() {
    let mut desk = Desk::new();
    desk.push(config(), "");
    desk.push(Target::Change(Domain::Naming, "k".into()), "");
    for (id, _) in desk.take() {
        desk.ack(id);
    }
    desk.pass(100);
    let state = desk.outbox.state.lock();
    assert!(state.chains.is_empty() && state.flights.is_empty() && state.timers.is_empty());
}

#[test]
fn acknowledgements_of_unknown_numbers_are_nobodys() {
    let mut desk = Desk::new();
    desk.push(config(), "");
    desk.take_one();
    desk.ack(999);
    desk.pass(3_000);
    desk.pass(2_000);
    assert_eq!(desk.take().len(), 1);
}

#[test]
fn a_sync_finishes_when_its_last_batch_is_acknowledged() {
    let mut desk = Desk::new();
    let load = |text: &'static str| Load { type_name: "T", module: "m", members: Bytes::from_static(text.as_bytes()) };
    let pattern: Arc<str> = "p".into();
    let batches = vec![load("\"n\":1"), load("\"n\":2")];
    let outcome = desk.outbox.sync(Domain::Naming, &pattern, batches, Some(load("\"n\":0")));
    desk.act(outcome);
    let batches = desk.take();
    assert_eq!(batches.len(), 2);
    desk.ack(batches[1].0);
    assert_eq!(desk.take(), []);
    desk.ack(batches[0].0);
    let (finish, body) = desk.take_one();
    assert_eq!(body, json!({"headers":{},"requestId":"3","n":0,"module":"m"}));
    desk.ack(finish);
    assert!(desk.outbox.state.lock().watches.is_empty());
}

#[test]
fn a_sync_without_batches_is_finished_at_once_or_silent() {
    let mut desk = Desk::new();
    let finish = Load { type_name: "T", module: "m", members: Bytes::new() };
    let outcome = desk.outbox.sync(Domain::Config, &"p".into(), Vec::new(), Some(finish));
    desk.act(outcome);
    desk.take_one();
    let outcome = desk.outbox.sync(Domain::Config, &"q".into(), Vec::new(), None);
    desk.act(outcome);
    assert_eq!(desk.take(), []);
}

#[test]
fn a_new_sync_of_a_pattern_replaces_the_old_one() {
    let mut desk = Desk::new();
    let load = |text: &'static str| Load { type_name: "T", module: "m", members: Bytes::from_static(text.as_bytes()) };
    let pattern: Arc<str> = "p".into();
    for _ in 0..2 {
        let outcome = desk.outbox.sync(Domain::Config, &pattern, vec![load("\"n\":1"), load("\"n\":2")], None);
        desk.act(outcome);
    }
    assert_eq!(desk.take().len(), 2);
    desk.outbox.unwatched(Domain::Config, &pattern);
    desk.pass(60_000);
    assert_eq!(desk.take(), []);
}

#[test]
fn a_detection_that_is_not_answered_fails_even_without_a_stream() {
    let mut desk = Desk::new();
    desk.outbox.detach(&desk.stream.clone());
    desk.push(Target::Detection, "");
    assert!(desk.outbox.is_detecting());
    desk.pass(4_999);
    assert_eq!(desk.failed, None);
    desk.pass(1);
    assert_eq!(desk.failed, Some(Failure::Detection { since: 10_000, refused: false }));
    assert!(!desk.outbox.is_detecting());
}

#[test]
fn an_answered_detection_is_over() {
    let mut desk = Desk::new();
    desk.push(Target::Detection, "");
    let (id, body) = desk.take_one();
    assert_eq!(body, json!({"headers":{},"requestId":"1","module":"m"}));
    desk.ack(id);
    desk.pass(60_000);
    assert_eq!((desk.failed.clone(), desk.outbox.is_detecting()), (None, false));

    desk.push(Target::Detection, "");
    let (id, _) = desk.take_one();
    desk.refuse(id);
    assert!(matches!(desk.failed, Some(Failure::Detection { refused: true, .. })));
}

#[test]
fn a_question_is_answered_or_times_out() {
    let mut desk = Desk::new();
    let load = Load { type_name: "T", module: "m", members: Bytes::new() };
    let (mut answer, outcome) = desk.outbox.ask(load.clone(), 1_000, desk.now());
    desk.act(outcome);
    let (id, _) = desk.take_one();
    desk.ack(id);
    assert!(answer.try_recv().is_ok());
    let (mut answer, outcome) = desk.outbox.ask(load, 1_000, desk.now());
    desk.act(outcome);
    desk.take_one();
    desk.pass(1_000);
    assert!(answer.try_recv().is_err());
}

#[test]
fn the_setup_ack_goes_first_and_has_no_number() {
    let mut desk = Desk::new();
    desk.outbox.mark(&service("s"), false, false, desk.now());
    desk.push(Target::SetupAck, "\"abilityTable\":{}");
    let all = desk.take();
    assert_eq!(all[0].1, json!({"headers":{},"abilityTable":{},"module":"m"}));
    assert_eq!(all.len(), 2);
}

#[test]
fn a_second_stream_takes_over_and_a_lost_one_keeps_what_is_owed() {
    let mut desk = Desk::new();
    let second = Arc::new(Slot::default());
    assert!(desk.outbox.has_other_stream(&second));
    desk.outbox.attach(&second);
    desk.outbox.mark(&service("s"), false, false, desk.now());
    assert_eq!(desk.take(), [], "the first stream gets nothing any more");
    desk.outbox.detach(&desk.stream.clone());
    desk.stream = second;
    assert_eq!(desk.take().len(), 1);
    desk.outbox.detach(&desk.stream.clone());
    desk.outbox.mark(&service("t"), false, false, desk.now());
    assert_eq!(desk.outbox.backlog(), 1);
}

#[test]
fn a_closed_outbox_takes_nothing_and_ends_its_stream() {
    let mut desk = Desk::new();
    desk.outbox.close();
    assert!(desk.stream.ended());
    desk.outbox.mark(&service("s"), false, false, desk.now());
    desk.push(config(), "");
    assert_eq!((desk.take().len(), desk.outbox.backlog()), (0, 0));
}

#[test]
fn the_connection_asks_to_be_woken_at_its_earliest_deadline_only() {
    let desk = Desk::new();
    desk.outbox.mark(&service("s"), false, false, desk.now());
    let (_, outcome) =
        desk.outbox.next(&desk.stream, desk.now(), || 1, |_| Some(View { members: Bytes::new(), empty: false }));
    assert_eq!(outcome.arm, Some(15_000));
    let outcome = desk.outbox.first_push(&service("t"), 50, desk.now());
    assert_eq!(outcome.arm, Some(10_050));
    let outcome = desk.outbox.first_push(&service("u"), 500, desk.now());
    assert_eq!(outcome.arm, None);
}

#[test]
fn a_stream_breaks_when_the_server_closes_and_completes_when_the_client_does() {
    let desk = Desk::new();
    desk.outbox.close();
    assert!(desk.stream.ended() && desk.stream.was_cut());
    let desk = Desk::new();
    desk.stream.end();
    assert!(desk.stream.ended() && !desk.stream.was_cut());
}

/// What of a fuzzy watch is sent, by its texts: `"n"` is a sync, `"c"` a change.
fn told(desk: &mut Desk) -> Vec<(u64, String)> {
    let name = |body: &Value| body.get("n").or(body.get("c")).unwrap().to_string();
    desk.take().iter().map(|(id, body)| (*id, name(body))).collect()
}

fn texts(all: &[(u64, String)]) -> Vec<&str> {
    all.iter().map(|(_, text)| text.as_str()).collect()
}

fn one_batch() -> Vec<Load> {
    vec![Load { type_name: "T", module: "m", members: Bytes::from_static(b"\"n\":1") }]
}

#[test]
fn a_change_that_comes_while_a_sync_is_made_never_overtakes_it() {
    let mut desk = Desk::new();
    let change = |key: &str| Target::Change(Domain::Naming, key.into());
    desk.push(change("before"), "\"c\":1");
    let sync = |desk: &mut Desk, inside: &dyn Fn(&mut Desk)| {
        desk.outbox.state.lock().preparing.push(Domain::Naming);
        inside(desk);
        let outcome = desk.outbox.sync(Domain::Naming, &"p".into(), one_batch(), None);
        desk.act(outcome);
        drop(Watching { outbox: &desk.outbox, domain: Domain::Naming });
    };
    sync(&mut desk, &|desk| {
        desk.push(change("gone"), "\"c\":2");
        desk.push(change("before"), "\"c\":3");
        desk.push(change("gone"), "\"c\":4");
        desk.push(Target::Change(Domain::Config, "gone".into()), "\"c\":5");
    });
    assert_eq!(texts(&told(&mut desk)), ["5", "1", "4", "3"]);
}

#[test]
fn a_change_goes_behind_a_sync_that_waits_even_if_its_key_waited_before() {
    let mut desk = Desk::new();
    let change = Target::Change(Domain::Naming, "key".into());
    desk.push(change.clone(), "\"c\":2");
    let outcome = desk.outbox.sync(Domain::Naming, &"p".into(), one_batch(), None);
    desk.act(outcome);
    desk.push(change, "\"c\":3");
    assert_eq!(texts(&told(&mut desk)), ["1", "3"]);
}

#[test]
fn a_sync_that_is_sent_again_is_followed_by_the_changes_since() {
    let mut desk = Desk::new();
    let outcome = desk.outbox.sync(Domain::Naming, &"p".into(), one_batch(), None);
    desk.act(outcome);
    desk.push(Target::Change(Domain::Naming, "key".into()), "\"c\":2");
    let first = told(&mut desk);
    assert_eq!(texts(&first), ["1", "2"]);
    desk.ack(first[1].0);
    desk.pass(60_000);
    let again = told(&mut desk);
    assert_eq!(texts(&again), ["1", "2"]);
    for (id, _) in again {
        desk.ack(id);
    }
    let state = desk.outbox.state.lock();
    assert!(state.chains.is_empty() && state.watches.is_empty() && state.held.is_empty(), "{state:?}");
}

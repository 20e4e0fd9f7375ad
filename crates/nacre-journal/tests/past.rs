//! Lists of the past equal what consumers saw, whatever happened in between: the registry itself is the model.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::{collections::BTreeMap, sync::Arc};

use nacre_journal::{DiskOptions, Journal, Limits, Listed, Span, Timeline, Work};
use nacre_model::{Cause, Event, Instance, Now, Row, ServiceKey, Subject, event::Disconnect, event::Removal};
use nacre_naming::{Beat, ClientId, ConnectionInfo, Effects, InstanceRef, Naming, NamingCommand, Options};
use proptest::prelude::*;
use tempfile::TempDir;

const SERVICES: usize = 3;
const EPOCH: i64 = 1_700_000_000_000;

fn service(n: u8) -> ServiceKey {
    ServiceKey::new("public", "G", ["orders", "stock", "durable"][usize::from(n) % SERVICES])
}

/// As lists are compared: by address, without ids.
fn plain<'a>(instances: impl IntoIterator<Item = &'a Arc<Instance>>) -> Vec<Instance> {
    let mut list: Vec<Instance> = instances
        .into_iter()
        .map(|instance| Instance { instance_id: Default::default(), ..(**instance).clone() })
        .collect();
    list.sort_by(|a, b| (&a.ip, a.port, &a.cluster).cmp(&(&b.ip, b.port, &b.cluster)));
    list
}

/// A server: registry, journal, durable table, clock, and what was seen after every step.
struct World {
    home: TempDir,
    naming: Naming,
    journal: Journal,
    rows: BTreeMap<(String, String), Row>,
    now: Now,
    seen: Vec<(i64, Vec<Vec<Instance>>)>,
    /// Kept back, to be recorded later than what came after them.
    late: Vec<Event>,
}

impl World {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let journal = open(&home);
        let now = Now { mono: 1_000_000, wall: EPOCH };
        let mut world = Self {
            naming: Naming::new(Options::default()),
            home,
            journal,
            rows: BTreeMap::new(),
            now,
            seen: Vec::new(),
            late: Vec::new(),
        };
        world.list(usize::MAX);
        world
    }

    fn record(&mut self, effects: Effects) {
        for event in effects.events {
            self.journal.record(event);
        }
    }

    /// As two tasks may: the second tells first.
    fn record_late(&mut self, effects: Effects) {
        self.late.extend(effects.events);
    }

    fn apply(&mut self, command: NamingCommand) {
        let applied = self.naming.apply(&command, self.now);
        for row in applied.rows {
            self.rows.insert((row.kind.clone(), row.key.clone()), row);
        }
        self.record(applied.effects);
    }

    fn look(&mut self) {
        let lists = (0..SERVICES as u8)
            .map(|n| self.naming.snapshot(&service(n)).map_or_else(Vec::new, |held| plain(held.instances.iter())))
            .collect();
        self.seen.push((self.now.wall, lists));
    }

    /// A round of lists, or the beginning of one that never ends.
    fn list(&mut self, services: usize) {
        self.journal.keep(self.now);
        let Some(mut round) = self.journal.begin_lists(self.now) else { return };
        for n in 0..SERVICES.min(services) {
            let after = self.journal.last_seq();
            let (lists, _) = self.naming.lists_after("public", 0, 100, 10_000);
            let Some(snapshot) = lists.into_iter().find(|list| list.service == service(n as u8)) else { continue };
            let listed =
                Listed { service: &snapshot.service, revision: snapshot.last_ref_time, instances: &snapshot.instances };
            self.journal.keep_lists(&mut round, &[listed], after, self.now).unwrap();
        }
        if services >= SERVICES {
            self.journal.end_lists(round, self.now).unwrap();
        }
    }

    fn restart(&mut self, orderly: bool) {
        self.tell_late();
        self.journal.keep(self.now);
        if orderly {
            self.journal.close(self.now);
        }
        // The old process's files are closed before the new one looks at them.
        self.journal = Journal::default();
        self.journal = open(&self.home);
        self.naming = Naming::new(Options::default());
        let rows = self.rows.values().filter(|row| row.value.is_some()).cloned();
        let effects = self.naming.restore(rows, self.now).unwrap();
        self.record(effects);
        let started = Event::new(self.now, Subject::default(), Cause::ServerStarted { version: "1".into() });
        self.journal.record(started);
        self.journal.keep(self.now);
    }

    fn tell_late(&mut self) {
        for event in std::mem::take(&mut self.late) {
            self.journal.record(event);
        }
    }

    fn step(&mut self, (what, n, m, ms): (u8, u8, u8, u16)) {
        self.now = self.now.plus(1 + u64::from(ms % 4_000));
        if what % 3 == 0 {
            self.tell_late();
        }
        let orders = service(n % 2);
        let mut instance = Instance::new("10.0.0.1", i32::from(m % 4));
        instance.weight = f64::from(n % 3);
        instance.metadata = Arc::new([("n".into(), n.to_string().into())].into_iter().collect());
        let client = ClientId::connection(&format!("1_10.0.0.{}_1", m % 3));
        let now = self.now;
        match what % 20 {
            0 => {
                let info = ConnectionInfo { id: client.to_string().into(), ..Default::default() };
                let _ = self.naming.connect(info, now);
            }
            1 => {
                let effects = self.naming.disconnect(&client, Disconnect::ClosedByClient, now);
                self.record(effects);
            }
            2..=4 => {
                if let Ok(effects) = self.naming.register(&client, &orders, instance, now) {
                    if ms % 2 == 0 { self.record(effects) } else { self.record_late(effects) }
                }
            }
            5 => {
                // Also one address twice, and none at all.
                let batch =
                    (0..n % 4).map(|k| Instance { port: i32::from(k / 2 + m % 2), ..instance.clone() }).collect();
                if let Ok(effects) = self.naming.register_batch(&client, &orders, batch, now) {
                    self.record(effects);
                }
            }
            6 => {
                if let Ok(effects) = self.naming.deregister(&client, &orders, now) {
                    self.record_late(effects);
                }
            }
            7 | 8 => {
                if let Ok(effects) = self.naming.register_http(&orders, instance, now) {
                    self.record(effects);
                }
            }
            9 => {
                let effects = self.naming.deregister_http(&orders, "10.0.0.1", i32::from(m % 4), now);
                self.record(effects);
            }
            10 => {
                let beat = Beat {
                    service: &orders,
                    ip: "10.0.0.1",
                    port: i32::from(m % 4),
                    cluster: "",
                    info: None,
                    sender: "",
                };
                if let Ok((_, effects)) = self.naming.beat(&beat, now) {
                    self.record(effects);
                }
            }
            11 | 12 => {
                self.now = now.plus(u64::from(ms));
                let effects = self.naming.tick(self.now);
                self.record(effects);
            }
            13 => {
                let (service, instance) = (orders, InstanceRef::new("10.0.0.1", i32::from(m % 4), "DEFAULT"));
                let (weight, enabled) = (f64::from(n % 5), n % 2 == 0);
                let metadata = [("by".into(), "operator".into())].into_iter().collect();
                self.apply(NamingCommand::UpdateInstance {
                    service,
                    instance,
                    ephemeral: true,
                    weight,
                    enabled,
                    metadata,
                });
            }
            14 => {
                instance.ephemeral = false;
                self.apply(NamingCommand::RegisterPersistent { service: service(2), instance });
            }
            15 => {
                let (ip, port) = ("10.0.0.1".into(), i32::from(m % 4));
                self.apply(NamingCommand::DeregisterPersistent { service: service(2), ip, port });
            }
            16 => {
                let (ip, port, healthy) = ("10.0.0.1".into(), i32::from(m % 4), n % 2 == 0);
                let reason = "tcp".into();
                self.apply(NamingCommand::ChangeHealth { service: service(2), ip, port, healthy, reason });
            }
            17 => self.journal.keep(now),
            18 => self.list(usize::from(n)),
            _ if n % 4 == 0 => self.restart(m % 2 == 0),
            _ => {}
        }
        self.look();
    }

    fn at(&self, n: u8, at: i64) -> Timeline {
        let present = self.naming.snapshot(&service(n)).map_or_else(Vec::new, |held| held.instances.to_vec());
        let span = Span { service: service(n), from: at, to: at, instance: None, limit: 10 };
        self.journal.timeline(&span, &present, self.now, &mut Work::default())
    }

    fn check(&mut self) {
        self.tell_late();
        for (at, lists) in &self.seen {
            for n in 0..SERVICES as u8 {
                let past = self.at(n, *at);
                assert!(past.exact(), "{:?}", past.doubts);
                assert_eq!(plain(past.end.iter()), lists[usize::from(n)], "{} at {}", service(n), at - EPOCH);
            }
        }
        self.check_spans();
    }

    fn check_spans(&self) {
        let (Some((from, before)), Some((to, after))) = (self.seen.get(self.seen.len() / 3), self.seen.last()) else {
            return;
        };
        for n in 0..SERVICES as u8 {
            let span = Span { service: service(n), from: *from, to: *to, instance: None, limit: 10_000 };
            let past = self.journal.timeline(&span, &[], self.now, &mut Work::default());
            assert_eq!(plain(past.start.iter()), before[usize::from(n)]);
            assert_eq!(plain(past.end.iter()), after[usize::from(n)]);
            assert!(past.changes.iter().all(|change| change.at > *from && change.at <= *to));
            if let Some(last) = past.changes.last() {
                let healthy = past.end.iter().filter(|instance| instance.healthy).count();
                assert_eq!((last.healthy, last.total), (healthy, past.end.len()));
            }
        }
    }
}

fn open(home: &TempDir) -> Journal {
    let options = DiskOptions { segment_bytes: 64 * 1024, ..DiskOptions::new(home.path()) };
    Journal::new(Limits::default()).on_disk(options)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_moment_is_made_again(steps in prop::collection::vec(any::<(u8, u8, u8, u16)>(), 1..150)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.check();
    }
}

fn orders() -> ServiceKey {
    service(0)
}

fn shown(wall: i64, revision: i64, ip: &str, cause: Cause, instance: Option<Instance>) -> Event {
    let subject = Subject::service(&orders()).with_instance(&format!("{ip}:80:DEFAULT"));
    let mut event = Event::new(Now { mono: 0, wall }, subject, cause).showing(instance.map(Arc::new));
    event.revision = revision;
    event
}

fn registered() -> Cause {
    Cause::InstanceRegistered { how: "http".into(), replaced: false }
}

#[test]
fn a_journal_in_memory_guesses_from_what_it_holds_and_says_so() {
    let journal = Journal::default();
    let instance = |ip: &str, healthy| Instance { healthy, ..Instance::new(ip, 80) };
    let unhealthy = Cause::InstanceUnhealthy { cause: "no beat".into(), silent_ms: 15_000, beats: 3, gaps: Vec::new() };
    journal.record(shown(100, 1, "10.0.0.1", unhealthy, Some(instance("10.0.0.1", false))));
    journal.record(shown(200, 2, "10.0.0.2", registered(), Some(instance("10.0.0.2", true))));
    journal.record(shown(300, 3, "10.0.0.3", Cause::InstanceRemoved { removal: Removal::Deregistered }, None));
    let present = ["10.0.0.1", "10.0.0.2", "10.0.0.4"].map(|ip| Arc::new(instance(ip, ip != "10.0.0.1")));
    let at = |at: i64| {
        let span = Span { service: orders(), from: at, to: at, instance: None, limit: 10 };
        let past = journal.timeline(&span, &present, Now { mono: 0, wall: 400 }, &mut Work::default());
        assert!(!past.exact());
        past.end.iter().map(|one| format!("{} {}", one.ip, one.healthy)).collect::<Vec<_>>()
    };
    assert_eq!(at(50), ["10.0.0.1 true", "10.0.0.3 true", "10.0.0.4 true"]);
    assert_eq!(at(150), ["10.0.0.1 false", "10.0.0.3 true", "10.0.0.4 true"]);
    assert_eq!(at(250), ["10.0.0.1 false", "10.0.0.2 true", "10.0.0.3 true", "10.0.0.4 true"]);
    assert_eq!(at(350), ["10.0.0.1 false", "10.0.0.2 true", "10.0.0.4 true"]);
}

#[test]
fn spans_tell_changes_with_counts_restarts_and_one_instance_alone() {
    let mut world = World::new();
    for (port, ms) in [(1, 10), (2, 20), (3, 30)] {
        world.now = Now { mono: 2_000_000, wall: EPOCH + ms };
        let effects = world.naming.register_http(&orders(), Instance::new("10.0.0.1", port), world.now).unwrap();
        world.record(effects);
    }
    world.now.wall = EPOCH + 40;
    world.restart(false);
    let span = Span { service: orders(), from: EPOCH + 15, to: EPOCH + 50, instance: None, limit: 100 };
    let past = world.journal.timeline(&span, &[], world.now, &mut Work::default());
    assert_eq!((past.start.len(), past.end.len()), (1, 0));
    let told: Vec<(i64, Option<&str>, usize)> = past
        .changes
        .iter()
        .map(|change| {
            let kind = change.record.as_ref().map(|record| record.event.cause.kind());
            (change.at - EPOCH, kind, change.total)
        })
        .collect();
    let kind = Some("instanceRegistered");
    assert_eq!(told, [(20, kind, 2), (30, kind, 3), (40, None, 0)]);
    let one = Span { instance: Some("10.0.0.1:3".into()), to: EPOCH + 35, ..span.clone() };
    let past = world.journal.timeline(&one, &[], world.now, &mut Work::default());
    assert_eq!((past.start.len(), past.changes.len(), past.end.len()), (0, 1, 1));
    let short = Span { limit: 1, ..span };
    let past = world.journal.timeline(&short, &[], world.now, &mut Work::default());
    assert_eq!((past.changes.len(), past.next, past.end.len()), (1, Some(EPOCH + 20), 0));
}

#[test]
fn lost_events_make_lists_doubtful_until_the_next_round() {
    let home = TempDir::new().unwrap();
    let options = DiskOptions::new(home.path().join("journal"));
    let journal = Journal::new(Limits { bytes: 40_000, age_ms: i64::MAX }).on_disk(options);
    let at = |wall: i64| Now { mono: 1_000 + wall as u64, wall };
    let list = |wall: i64| {
        let round = journal.begin_lists(at(wall)).expect("due");
        journal.end_lists(round, at(wall)).unwrap();
    };
    list(1);
    journal.record(shown(2, 2, "10.0.0.1", registered(), Some(Instance::new("10.0.0.1", 80))));
    journal.keep(at(3));
    // More than the ring holds, before it is saved.
    for n in 0..1_000 {
        journal.record(shown(100 + n, 0, "10.0.0.1", Cause::BeatResumed { gap_ms: 1 }, None));
    }
    journal.keep(at(2_000));
    assert!(journal.disk().unwrap().counts().dropped > 0);
    let exact = |moment: i64| {
        let span = Span { service: orders(), from: moment, to: moment, instance: None, limit: 1 };
        journal.timeline(&span, &[], at(50_000), &mut Work::default()).exact()
    };
    assert!(exact(50) && !exact(1_500));
    list(20_000);
    assert!(exact(20_000) && !exact(19_000));
}

#[test]
fn an_event_recorded_after_a_list_that_contains_it_makes_no_ghost() {
    for others in [true, false] {
        let home = TempDir::new().unwrap();
        let journal = open(&home);
        let at = |wall: i64| Now { mono: 1_000 + wall as u64, wall };
        let instance = |ip: &str| Some(Instance::new(ip, 80));
        let mut expected = Vec::new();
        // It came and went, and of its coming is told after the list.
        journal.record(shown(11, 12, "10.0.0.1", Cause::InstanceRemoved { removal: Removal::Deregistered }, None));
        let mut round = journal.begin_lists(at(20)).unwrap();
        if others {
            expected.push(Arc::new(Instance::new("10.0.0.2", 80)));
            let list = Listed { service: &orders(), revision: 15, instances: &expected };
            journal.keep_lists(&mut round, &[list], journal.last_seq(), at(20)).unwrap();
        }
        journal.end_lists(round, at(20)).unwrap();
        journal.record(shown(10, 11, "10.0.0.1", registered(), instance("10.0.0.1")));
        let span = Span { service: orders(), from: 30, to: 30, instance: None, limit: 1 };
        let past = journal.timeline(&span, &[], at(40), &mut Work::default());
        assert_eq!(plain(past.end.iter()), plain(expected.iter()));
    }
}

#[test]
fn subjects_are_found_by_any_part_of_their_name() {
    let mut world = World::new();
    let effects = world.naming.register_http(&orders(), Instance::new("10.0.0.1", 8080), world.now).unwrap();
    world.record(effects);
    world.restart(true);
    let find = |text: &str| world.journal.subjects(text, 10, &mut Work::default());
    let found = find("ORD");
    assert_eq!(found.services[0].who, orders());
    assert!(found.instances.is_empty() && !found.partial);
    let found = find("8080");
    assert_eq!(&*found.instances[0].who.0, "10.0.0.1:8080:DEFAULT");
    assert_eq!(&*found.clients[0].who, "10.0.0.1:8080#true");
    assert!(find("nobody").services.is_empty());
}

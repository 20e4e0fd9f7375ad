//! Who hears of a change: gRPC connections and long polls, with their own spelling, and never too late.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nacre_config::{
    Affected, Asker, AskerBuf, ConfigChange, ConfigCommand, Configs, GrayTarget, Listen, ListenKey, Listeners, Polled,
    Publish, Remove, RemoveTarget, Source, longpoll, md5,
};
use nacre_model::{ConfigKey, Now};

type Registry = Listeners<&'static str>;

fn key(data_id: &str) -> ConfigKey {
    ConfigKey::new("", "G", data_id)
}

fn put(configs: &Configs, publish: Publish) -> Vec<ConfigChange> {
    configs.apply(ConfigCommand::Publish(Box::new(publish)), Now::default()).effects.changed
}

fn text(configs: &Configs, data_id: &str, content: &str) -> Vec<ConfigChange> {
    put(configs, Publish::new(key(data_id), content))
}

fn beta(configs: &Configs, data_id: &str, content: &str, ips: &str) -> Vec<ConfigChange> {
    let gray = Some(GrayTarget::Beta { ips: ips.into() });
    put(configs, Publish { gray, ..Publish::new(key(data_id), content) })
}

fn remove(configs: &Configs, data_id: &str) -> Vec<ConfigChange> {
    let remove = Remove { key: key(data_id), target: RemoveTarget::Formal, source: Source::default() };
    configs.apply(ConfigCommand::Remove(remove), Now::default()).effects.changed
}

fn context(data_id: &str, tenant: Option<&str>, md5: &str) -> Listen {
    Listen { key: ConfigKey::new(tenant.unwrap_or(""), "G", data_id), tenant: tenant.map(Arc::from), md5: md5.into() }
}

fn connect(listeners: &Registry, id: &str, ip: &str) -> (Arc<str>, Arc<AskerBuf>) {
    let id: Arc<str> = id.into();
    listeners.opened(&id, &ip.into());
    (id, Arc::new(AskerBuf::ip(ip)))
}

fn notified<'a>(affected: &'a Affected<&'static str>) -> Vec<(&'a str, Option<&'a str>)> {
    let mut all: Vec<_> =
        affected.connections.iter().map(|notice| (&*notice.connection, notice.tenant.as_deref())).collect();
    all.sort_unstable();
    all
}

fn poll_keys(record: &str) -> Vec<ListenKey> {
    longpoll::parse(&record.replace('|', "\u{2}").replace(';', "\u{1}")).unwrap()
}

#[test]
fn a_batch_listen_answers_what_differs_for_this_client() {
    let configs = Configs::default();
    let listeners = Registry::default();
    text(&configs, "a", "v1");
    beta(&configs, "a", "beta", "10.0.0.1");
    let (one, at_one) = connect(&listeners, "c1", "10.0.0.1");
    let (two, at_two) = connect(&listeners, "c2", "10.0.0.2");
    let contexts = [context("a", None, &md5("v1")), context("none", None, ""), context("none", None, "x")];
    assert_eq!(listeners.listen(&one, &at_one.as_asker(), &contexts, &configs).changed, [0, 2]);
    assert_eq!(listeners.listen(&two, &at_two.as_asker(), &contexts, &configs).changed, [2]);
    let twice = [context("a", None, "x"), context("a", None, "x")];
    assert_eq!(
        listeners.listen(&two, &at_two.as_asker(), &twice, &configs).changed,
        [0, 1],
        "duplicates are answered each"
    );
}

#[test]
fn each_listener_is_told_in_its_own_spelling() {
    let configs = Configs::default();
    let listeners = Registry::default();
    for (id, tenant) in [("blank", Some("")), ("named", Some("public")), ("absent", None), ("other", Some("dev"))] {
        let (connection, asker) = connect(&listeners, id, "10.0.0.1");
        assert!(
            listeners.listen(&connection, &asker.as_asker(), &[context("d", tenant, "")], &configs).changed.is_empty()
        );
    }
    let affected = listeners.affected(&text(&configs, "d", "v1"), &configs);
    assert_eq!(notified(&affected), [("absent", None), ("blank", Some("")), ("named", Some("public"))]);
}

#[test]
fn a_grpc_listener_hears_of_every_change_of_its_key() {
    let configs = Configs::default();
    let listeners = Registry::default();
    text(&configs, "d", "formal");
    beta(&configs, "d", "beta", "10.0.0.1");
    for (id, content) in [("10.0.0.1", "beta"), ("10.0.0.2", "formal")] {
        let (connection, asker) = connect(&listeners, id, id);
        listeners.listen(&connection, &asker.as_asker(), &[context("d", None, &md5(content))], &configs);
    }
    let affected = listeners.affected(&text(&configs, "d", "formal2"), &configs);
    assert_eq!(
        notified(&affected),
        [("10.0.0.1", None), ("10.0.0.2", None)],
        "also of one that is not what it is served"
    );
    assert!(listeners.affected(&text(&configs, "d", "formal2"), &configs).connections.is_empty(), "nothing changed");
}

#[test]
fn a_later_listen_replaces_the_md5_and_an_unlisten_ends_it() {
    let configs = Configs::default();
    let listeners = Registry::default();
    let (connection, asker) = connect(&listeners, "c1", "10.0.0.1");
    let first = [context("a", None, "old"), context("b", None, "")];
    listeners.listen(&connection, &asker.as_asker(), &first, &configs);
    listeners.listen(&connection, &asker.as_asker(), &[context("a", Some("public"), "new")], &configs);
    let views = listeners.listeners_of(&key("a"));
    assert_eq!(views.len(), 1);
    assert_eq!((&*views[0].md5, views[0].tenant.as_deref()), ("new", Some("public")));
    assert_eq!(listeners.listened_by("10.0.0.1").len(), 2);
    listeners.unlisten("c1", [&key("a"), &key("never")]);
    assert!(listeners.affected(&text(&configs, "a", "x"), &configs).connections.is_empty());
    assert_eq!(listeners.affected(&text(&configs, "b", "x"), &configs).connections.len(), 1);
}

#[test]
fn a_closed_connection_leaves_nothing_and_cannot_come_back() {
    let configs = Configs::default();
    let listeners = Registry::default();
    let (connection, asker) = connect(&listeners, "c1", "10.0.0.1");
    listeners.listen(&connection, &asker.as_asker(), &[context("a", None, ""), context("b", None, "")], &configs);
    assert_eq!((listeners.counts(), listeners.listening_connections()), ((2, 0), 1));
    listeners.closed("c1");
    // A request that was in flight: answered, not registered.
    assert_eq!(listeners.listen(&connection, &asker.as_asker(), &[context("a", None, "x")], &configs).changed, [0]);
    assert_eq!((listeners.counts(), listeners.listening_connections()), ((0, 0), 0));
    assert!(listeners.affected(&text(&configs, "a", "x"), &configs).connections.is_empty());
    assert!(listeners.listened_by("10.0.0.1").is_empty());
}

#[test]
fn keys_beyond_the_limit_are_refused_and_counted() {
    let configs = Configs::default();
    let listeners = Registry::new(10, 2);
    let (connection, asker) = connect(&listeners, "c1", "10.0.0.1");
    let three = [context("a", None, ""), context("b", None, ""), context("c", None, "x")];
    let listened = listeners.listen(&connection, &asker.as_asker(), &three, &configs);
    assert_eq!((listened.refused, listened.changed), (1, vec![2]), "it is still answered");
    let again = listeners.listen(&connection, &asker.as_asker(), &three[..2], &configs);
    assert_eq!(again.refused, 0, "known keys may be renewed");
}

#[test]
fn a_poll_is_held_until_its_own_content_changes() {
    let configs = Configs::default();
    let listeners = Registry::default();
    text(&configs, "d", "v1");
    let keys = poll_keys(&format!("d|G|{};e|G|;", md5("v1")));
    let Polled::Held(id) = listeners.poll(AskerBuf::ip("10.0.0.2"), keys, "poll", &configs) else { panic!() };
    assert_eq!(listeners.held_polls(), 1);
    let affected = listeners.affected(&beta(&configs, "d", "beta", "10.0.0.1"), &configs);
    assert!(affected.polls.is_empty(), "a beta for another address does not wake it");
    let affected = listeners.affected(&beta(&configs, "d", "beta", "10.0.0.1,10.0.0.2"), &configs);
    assert_eq!(affected.polls.len(), 1);
    assert_eq!(longpoll::changed_body(&affected.polls[0].1), "d%02G%01\n");
    assert!(!listeners.end_poll(id), "it is gone");
    assert_eq!((listeners.held_polls(), listeners.counts()), (0, (0, 0)));
}

/// Case C041.
#[test]
fn a_poll_that_differs_is_answered_at_once() {
    let configs = Configs::default();
    let listeners = Registry::default();
    text(&configs, "d", "v1");
    let keys = poll_keys("d|G|old;none|G||public;empty|G|d41d8cd98f00b204e9800998ecf8427e;");
    let Polled::Changed(changed) = listeners.poll(AskerBuf::ip("1"), keys, "poll", &configs) else { panic!() };
    assert_eq!(longpoll::changed_body(&changed), "d%02G%01empty%02G%01\n");
    assert_eq!((listeners.held_polls(), listeners.counts()), (0, (0, 0)));
}

/// Case C040.
#[test]
fn every_spelling_of_the_default_namespace_is_held_and_echoed() {
    let configs = Configs::default();
    let listeners = Registry::default();
    text(&configs, "d", "v1");
    let now = md5("v1");
    for (name, record) in
        [("absent", format!("d|G|{now};")), ("empty", format!("d|G|{now}|;")), ("named", format!("d|G|{now}|public;"))]
    {
        let polled = listeners.poll(AskerBuf::ip("1"), poll_keys(&record), name, &configs);
        assert!(matches!(polled, Polled::Held(_)), "{name} must not spin");
    }
    let mut affected = listeners.affected(&text(&configs, "d", "v2"), &configs);
    affected.polls.sort_by_key(|(name, _)| *name);
    let answers: Vec<(&str, String)> =
        affected.polls.iter().map(|(name, keys)| (*name, longpoll::changed_body(keys))).collect();
    let expected = [("absent", "d%02G%01\n"), ("empty", "d%02G%01\n"), ("named", "d%02G%02public%01\n")];
    assert_eq!(answers, expected.map(|(name, body)| (name, body.to_owned())));
}

/// Case C042.
#[test]
fn a_removal_wakes_a_poll_and_the_next_one_is_held_with_the_empty_md5() {
    let configs = Configs::default();
    let listeners = Registry::default();
    text(&configs, "d", "v1");
    let record = format!("d|G|{};", md5("v1"));
    assert!(matches!(listeners.poll(AskerBuf::ip("1"), poll_keys(&record), "first", &configs), Polled::Held(_)));
    assert_eq!(listeners.affected(&remove(&configs, "d"), &configs).polls.len(), 1);
    assert!(matches!(listeners.poll(AskerBuf::ip("1"), poll_keys("d|G|;"), "second", &configs), Polled::Held(_)));
}

#[test]
fn one_answer_names_all_keys_that_changed_together() {
    let configs = Configs::default();
    let listeners = Registry::default();
    listeners.poll(AskerBuf::ip("1"), poll_keys("a|G|;b|G|;c|G|;"), "poll", &configs);
    let mut changes = text(&configs, "a", "x");
    changes.extend(text(&configs, "b", "x"));
    let affected = listeners.affected(&changes, &configs);
    assert_eq!(affected.polls.len(), 1);
    assert_eq!(affected.polls[0].1.len(), 2);
}

#[test]
fn polls_follow_the_tag_of_their_header() {
    let configs = Configs::default();
    let listeners = Registry::default();
    text(&configs, "d", "formal");
    let asker = AskerBuf { auto_tag: Some("t1".into()), ..AskerBuf::ip("1") };
    let keys = || poll_keys(&format!("d|G|{};", md5("formal")));
    assert!(matches!(listeners.poll(asker.clone(), keys(), "tagged", &configs), Polled::Held(_)));
    assert!(matches!(listeners.poll(AskerBuf::ip("1"), keys(), "plain", &configs), Polled::Held(_)));
    let gray = Some(GrayTarget::Tag { tag: "t1".into() });
    let changes = put(&configs, Publish { gray, ..Publish::new(key("d"), "tagged") });
    let affected = listeners.affected(&changes, &configs);
    assert_eq!(affected.polls.iter().map(|(handle, _)| *handle).collect::<Vec<_>>(), ["tagged"]);
    assert!(configs.is_current(&key("d"), &asker.as_asker(), &md5("tagged")));
}

#[test]
fn polls_over_the_limit_are_refused_unless_they_can_be_answered() {
    let configs = Configs::default();
    let listeners = Registry::new(1, 10);
    let Polled::Held(id) = listeners.poll(AskerBuf::ip("1"), poll_keys("a|G|;"), "1", &configs) else { panic!() };
    assert_eq!(listeners.poll(AskerBuf::ip("1"), poll_keys("a|G|;"), "2", &configs), Polled::OverLimit);
    assert!(matches!(listeners.poll(AskerBuf::ip("1"), poll_keys("a|G|x;"), "3", &configs), Polled::Changed(_)));
    assert!(listeners.end_poll(id));
    assert!(matches!(listeners.poll(AskerBuf::ip("1"), poll_keys("a|G|;"), "4", &configs), Polled::Held(_)));
}

/// Case C039.
#[test]
fn listener_queries_see_polls_and_connections() {
    let configs = Configs::default();
    let listeners = Registry::default();
    let (connection, asker) = connect(&listeners, "c1", "10.0.0.1");
    listeners.listen(&connection, &asker.as_asker(), &[context("d", Some("public"), "m1")], &configs);
    listeners.poll(AskerBuf::ip("10.0.0.1"), poll_keys("e|G||dev;"), "poll", &configs);
    listeners.poll(AskerBuf::ip("10.0.0.2"), poll_keys("none|G|;d2|G|;"), "poll", &configs);
    let of = listeners.listeners_of(&key("d"));
    assert_eq!((of.len(), &*of[0].ip, &*of[0].md5, of[0].connection.as_deref()), (1, "10.0.0.1", "m1", Some("c1")));
    let mut by: Vec<String> = listeners.listened_by("10.0.0.1").iter().map(|view| view.key.to_string()).collect();
    by.sort();
    assert_eq!(by, ["d+G+public", "e+G+dev"]);
    assert_eq!(listeners.listeners_of(&key("none")).len(), 1);
    assert!(listeners.listened_by("10.0.0.9").is_empty());
}

/// Case C043: every version is published at the moment at which the pollers register for it. The next version comes only
/// when all hold this one, so a change that falls between comparing and holding leaves its poller waiting for ever.
#[test]
fn no_change_is_lost_between_compare_and_hold() {
    type Handle = std::sync::mpsc::Sender<Vec<ListenKey>>;
    const VERSIONS: usize = 200;
    const POLLERS: usize = 3;
    /// Far longer than any stall of the machine.
    const PATIENCE: Duration = Duration::from_secs(60);
    let configs = Configs::default();
    let listeners: Listeners<Handle> = Listeners::default();
    let start = Barrier::new(POLLERS + 1);
    let lost = AtomicUsize::new(0);
    // Many keys make registering and comparing long, so that changes fall into the middle of it.
    let others: String = (0..500).map(|other| format!("other{other}|G|;")).collect();
    let poll_until = |poller: usize, version: usize, held: &mut String| {
        let wanted = md5(&format!("v{version}"));
        while *held != *wanted {
            let (handle, woken) = std::sync::mpsc::channel();
            let keys = poll_keys(&format!("d|G|{held};{others}"));
            let asker = AskerBuf::ip(&format!("10.0.0.{poller}"));
            if let Polled::Held(_) = listeners.poll(asker, keys, handle, &configs) {
                // Once one was lost nobody waits any more, so that the test ends and says so.
                let patience = if lost.load(Ordering::Relaxed) == 0 { PATIENCE } else { Duration::ZERO };
                match woken.recv_timeout(patience) {
                    Ok(keys) => assert_eq!(&*keys[0].key.data_id, "d"),
                    Err(_) => drop(lost.fetch_add(1, Ordering::Relaxed)),
                }
            }
            *held = configs.query(&key("d"), &Asker::ip("")).md5().to_owned();
        }
    };
    std::thread::scope(|scope| {
        for poller in 0..POLLERS {
            let (start, poll_until) = (&start, &poll_until);
            scope.spawn(move || {
                let mut held = String::new();
                for version in 0..VERSIONS {
                    start.wait();
                    poll_until(poller, version, &mut held);
                }
            });
        }
        for version in 0..VERSIONS {
            start.wait();
            let changes = text(&configs, "d", &format!("v{version}"));
            for (handle, keys) in listeners.affected(&changes, &configs).polls {
                // The poller may have compared and gone on already.
                let _ = handle.send(keys);
            }
        }
    });
    assert_eq!(lost.into_inner(), 0, "changes that no poller was woken for");
    assert_eq!((listeners.held_polls(), listeners.counts()), (0, (0, 0)));
}

//! A publish does not wait for its listeners, and no listener misses what it says.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use nacre_config::{AskerBuf, ConfigCommand, Listen, Polled, Publish, longpoll, md5};
use nacre_model::Now;

use super::*;

/// Nothing here takes long; a test that waits for more has found a change that nobody was told of.
const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    configs: Arc<Configs>,
    listeners: Arc<Listeners<PollHandle>>,
    effects: Arc<Effector>,
}

/// Says which keys its connections were told of, and takes its time: it goes on when it is allowed to.
struct Slow {
    told: Sender<String>,
    go: Mutex<Receiver<()>>,
}

impl Face for Slow {
    fn service_changed(&self, _service: &ServiceKey) {}
    fn push_one(&self, _client: &ClientId, _service: &ServiceKey) {}
    fn config_changed(&self, key: &ConfigKey, notices: &[Notice]) {
        for notice in notices {
            let _ = self.told.send(format!("{} {}", notice.connection, key.data_id));
        }
        let _ = self.go.lock().recv_timeout(PATIENCE);
    }
    fn config_fuzzy(&self, notice: &FuzzyNotice) {
        let _ = self.told.send(format!("{} {} {}", notice.connection, notice.group_key, notice.exists));
    }
}

fn house() -> (House, Receiver<String>, Sender<()>) {
    let (configs, listeners) = (Arc::<Configs>::default(), Arc::new(Listeners::default()));
    let (effects, _) = Effector::new(Arc::default(), configs.clone(), listeners.clone(), Arc::default());
    let ((told, heard), (allow, go)) = (channel(), channel());
    effects.set_faces(vec![Arc::new(Slow { told, go: Mutex::new(go) })]);
    (House { configs, listeners, effects: Arc::new(effects) }, heard, allow)
}

fn key(data_id: &str) -> ConfigKey {
    ConfigKey::new("", "g", data_id)
}

impl House {
    fn publish(&self, data_id: &str, content: &str) {
        let publish = ConfigCommand::Publish(Box::new(Publish::new(key(data_id), content)));
        self.effects.config(self.configs.apply(publish, Now::default()).effects);
    }

    fn listen(&self, connection: &str, data_ids: &[&str]) {
        let connection: Arc<str> = connection.into();
        self.listeners.opened(&connection, &"10.0.0.1".into());
        for data_id in data_ids {
            self.hears(&connection, data_id, "");
        }
    }

    /// Listens and compares; `true`: the client holds another md5 than it should.
    fn hears(&self, connection: &Arc<str>, data_id: &str, md5: &str) -> bool {
        let listen = Listen { key: key(data_id), tenant: None, md5: md5.into() };
        let asker = AskerBuf::ip("10.0.0.1");
        !self.listeners.listen(connection, &asker.as_asker(), &[listen], &self.configs).changed.is_empty()
    }

    /// Serves the notices in a thread of their own, until the test ends.
    fn serve(&self) {
        let effects = self.effects.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(effects.serve_notices(|| {}));
        });
    }
}

fn next(heard: &Receiver<String>) -> String {
    heard.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_change_does_not_wait_for_listeners_that_are_being_told() {
    let (house, heard, allow) = house();
    house.listen("c", &["a", "b"]);
    house.serve();
    house.publish("a", "1");
    assert_eq!(next(&heard), "c a");
    // The face is in the middle of it, and yet these return.
    house.publish("b", "1");
    house.publish("b", "2");
    house.publish("b", "3");
    house.publish("a", "2");
    for _ in 0..3 {
        allow.send(()).unwrap();
    }
    assert_eq!([next(&heard), next(&heard)], ["c b", "c a"], "each key once, in the order of their changes");
    assert!(heard.recv_timeout(Duration::ZERO).is_err());
    assert!(house.effects.notices.is_empty());
}

#[test]
fn the_listener_of_one_key_does_not_wait_for_the_thousands_of_another() {
    let (house, heard, allow) = house();
    for n in 0..10 * TOLD_AT_ONCE {
        house.listen(&format!("c{n}"), &["many"]);
    }
    house.listen("c", &["one"]);
    house.publish("many", "1");
    house.publish("one", "1");
    house.serve();
    for _ in 0..3 {
        allow.send(()).unwrap();
    }
    let before = std::iter::from_fn(|| Some(next(&heard))).take_while(|told| told != "c one").count();
    assert!(before <= 2 * TOLD_AT_ONCE, "{before}");
}

#[test]
fn a_key_that_nobody_listens_to_is_nobodys_business() {
    let (house, ..) = house();
    house.listen("c", &["a"]);
    house.publish("other", "1");
    assert!(house.effects.notices.is_empty());
    house.publish("a", "1");
    assert_eq!(house.effects.notices.len(), 1);
}

#[test]
fn thousands_of_listeners_are_all_told() {
    let (house, heard, allow) = house();
    let connections = 10 * TOLD_AT_ONCE + 1;
    for n in 0..connections {
        house.listen(&format!("c{n}"), &["a"]);
        allow.send(()).unwrap();
    }
    let mut polls = Vec::new();
    for _ in 0..connections {
        let (handle, woken) = oneshot::channel();
        let keys = longpoll::parse("a\u{2}g\u{2}\u{1}").unwrap();
        assert!(matches!(
            house.listeners.poll(AskerBuf::ip("10.0.0.1"), keys, handle, &house.configs),
            Polled::Held(_)
        ));
        polls.push(woken);
    }
    house.serve();
    house.publish("a", "1");
    let mut told: Vec<String> = (0..connections).map(|_| next(&heard)).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), connections);
    for woken in polls {
        assert_eq!(woken.blocking_recv().unwrap().len(), 1);
    }
}

#[test]
fn watchers_of_a_pattern_hear_that_a_key_came_though_it_changed_again_before_they_were_told() {
    let (house, heard, _allow) = house();
    let initializing = true;
    house.effects.config_fuzzy.watch(&"w".into(), "public>>g>>*", &[], initializing, &house.configs);
    house.publish("a", "1");
    house.publish("a", "2");
    house.serve();
    assert_eq!(next(&heard), "w a+g+public true");
}

/// Clients listen with what they hold and fetch when they are told or find that it is old; meanwhile the config changes
/// as fast as it can. Whoever misses the last change waits for ever.
#[test]
fn whoever_listens_and_then_compares_ends_with_the_last_content() {
    const LAST: usize = 3_000;
    let (house, heard, allow) = house();
    let (house, connection) = (Arc::new(house), Arc::<str>::from("c"));
    house.listen(&connection, &[]);
    house.serve();
    let publisher = std::thread::spawn({
        let house = house.clone();
        move || (1..=LAST).for_each(|n| house.publish("a", &n.to_string()))
    });
    for _ in 0..=LAST {
        // One for each time that a listener may be told.
        allow.send(()).unwrap();
    }
    let mut held = String::new();
    while held != md5(&LAST.to_string()).as_ref() {
        if !house.hears(&connection, "a", &held) {
            next(&heard);
        }
        held = house.configs.query(&key("a"), &AskerBuf::ip("10.0.0.1").as_asker()).md5().to_owned();
        house.listeners.unlisten(&connection, [&key("a")]);
    }
    publisher.join().unwrap();
}

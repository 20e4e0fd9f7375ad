//! Histories against a naive store of configs that looks through everything each time: what is served to whom, who hears
//! of a change, and that a state that is loaded again is the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use nacre_config::{
    Asker, AskerBuf, ConfigCommand, ConfigReply, ConfigState, Configs, Existence, GrayTarget, Listen, ListenKey,
    Listeners, Lookup, Polled, Publish, Refusal, Remove, RemoveTarget, Source, md5,
};
use nacre_model::{ConfigKey, Now};

use crate::input::Input;

/// Calls of one history.
const LONGEST: usize = 200;
/// Two spellings of one namespace among them.
const KEYS: [(&str, &str); 4] = [("", "a"), ("public", "b"), ("dev", "a"), ("dev", "A")];
const CONTENTS: [&str; 4] = ["one", "two 🦀", "three\r\n", " "];
const GRAYS: [(&str, &str); 4] = [("beta", "10.0.0.1"), ("beta", "10.0.0.1, 10.0.0.2"), ("tag", "t1"), ("tag", "t2")];
const IPS: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const GRAY_MAX: u32 = 2;

fn key(at: usize) -> ConfigKey {
    ConfigKey::new(KEYS[at].0, "G", KEYS[at].1)
}

/// The md5 of a content; computed once.
fn sum(content: usize) -> &'static str {
    static SUMS: OnceLock<[Arc<str>; 4]> = OnceLock::new();
    &SUMS.get_or_init(|| CONTENTS.map(md5))[content]
}

fn target(at: usize) -> GrayTarget {
    match GRAYS[at] {
        ("beta", ips) => GrayTarget::Beta { ips: ips.into() },
        (_, tag) => GrayTarget::Tag { tag: tag.into() },
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Item {
    formal: Option<usize>,
    /// Name to position in `GRAYS` and in `CONTENTS`.
    grays: BTreeMap<String, (usize, usize)>,
    /// Left behind by the removal of the config.
    asleep: BTreeMap<String, (usize, usize)>,
}

/// What should be, as plainly as can be.
#[derive(Debug, Default)]
struct Model {
    items: BTreeMap<usize, Item>,
    /// Connection (the address is that of the same number) and key: the md5 it said it holds.
    standing: BTreeMap<(usize, usize), String>,
    open: BTreeSet<usize>,
    /// Number of the poll: address, key, md5.
    polls: BTreeMap<usize, (usize, usize, String)>,
}

impl Model {
    /// Beta first, then the formal version. Nobody here has a tag.
    fn served(&self, key: usize, ip: usize) -> Option<usize> {
        let item = self.items.get(&key)?;
        let beta =
            item.grays.get("beta").filter(|(rule, _)| GRAYS[*rule].1.split(", ").any(|listed| listed == IPS[ip]));
        beta.map(|(_, content)| *content).or(item.formal)
    }

    fn served_md5(&self, key: usize, ip: usize) -> String {
        self.served(key, ip).map(|content| sum(content).to_owned()).unwrap_or_default()
    }

    fn exists(&self, key: usize) -> bool {
        self.items.get(&key).is_some_and(|item| item.formal.is_some() || !item.grays.is_empty())
    }
}

struct World {
    configs: Configs,
    listeners: Listeners<usize>,
    now: Now,
    polls: usize,
}

/// Applies a command; everybody who must hear does, and nobody else.
fn apply(
    world: &mut World,
    model: &mut Model,
    at: usize,
    command: ConfigCommand,
    existed: bool,
) -> (ConfigReply, bool) {
    world.now = world.now.plus(1);
    let outcome = world.configs.apply(command, world.now);
    let changed = &outcome.effects.changed;
    for change in changed {
        assert_eq!(change.key, key(at));
        let expected = match (existed, model.exists(at)) {
            (false, true) => Existence::Appeared,
            (true, false) => Existence::Vanished,
            _ => Existence::Unchanged,
        };
        assert_eq!(change.existence, expected);
    }
    let affected = world.listeners.affected(changed, &world.configs);
    let mut told: Vec<String> = affected.connections.iter().map(|notice| notice.connection.to_string()).collect();
    told.sort();
    let mut expected = Vec::new();
    if !changed.is_empty() {
        let listeners = model.standing.keys().filter(|(_, watched)| *watched == at);
        expected.extend(listeners.map(|(connection, _)| format!("c{connection}")));
    }
    assert_eq!(told, expected, "connections that hear of {}", key(at));
    let woken: BTreeSet<usize> = affected.polls.iter().map(|(handle, _)| *handle).collect();
    let mut due = BTreeSet::new();
    if !changed.is_empty() {
        let differs = |(_, (ip, watched, held)): &(&usize, &(usize, usize, String))| {
            *watched == at && *held != model.served_md5(at, *ip)
        };
        due = model.polls.iter().filter(differs).map(|(number, _)| *number).collect();
    }
    assert_eq!(woken, due, "polls that hear of {}", key(at));
    model.polls.retain(|number, _| !due.contains(number));
    let any = !changed.is_empty();
    (outcome.reply, any)
}

fn publish(input: &mut Input<'_>, world: &mut World, model: &mut Model, at: usize) {
    let (content, gray) = (input.below(CONTENTS.len()), input.flag().then(|| input.below(GRAYS.len())));
    let (cas, absent) = (input.below(3), input.below(10) == 9);
    let existed = model.exists(at);
    let item = model.items.entry(at).or_default();
    let name = gray.map(|gray| target(gray).name());
    let stored = match &name {
        None => item.formal,
        Some(name) => item.grays.get(name).or(item.asleep.get(name)).map(|(_, content)| *content),
    };
    let mut publish = Publish::new(key(at), CONTENTS[content]);
    publish.gray = gray.map(target);
    publish.only_if_absent = absent && gray.is_none();
    publish.rules.gray_max = GRAY_MAX;
    publish.cas_md5 = match cas {
        0 => None,
        1 => Some(stored.map_or_else(|| "0".into(), |content| sum(content).to_owned())),
        _ => Some(md5("nobody's content").to_string()),
    };
    let (mut done, mut change, mut refusal) = (false, false, "");
    match (gray, &name) {
        (None, _) | (_, None) => match item.formal {
            Some(_) if absent => refusal = "exists",
            Some(_) if cas == 2 => refusal = "cas",
            old => {
                (done, change) = (true, old != Some(content));
                item.formal = Some(content);
            }
        },
        (Some(gray), Some(name)) => match item.grays.get(name).or(item.asleep.get(name)) {
            Some(_) if cas == 2 => refusal = "cas",
            None if (item.grays.len() + item.asleep.len()) as u32 >= GRAY_MAX => refusal = "full",
            _ => {
                (done, change) = (true, item.grays.get(name) != Some(&(gray, content)));
                item.asleep.remove(name);
                item.grays.insert(name.clone(), (gray, content));
            }
        },
    }
    let (reply, changed) = apply(world, model, at, ConfigCommand::Publish(Box::new(publish)), existed);
    match &reply {
        ConfigReply::Published(_) => assert!(done, "{refusal} was expected"),
        ConfigReply::Refused(Refusal::AlreadyExists { .. }) => assert_eq!(refusal, "exists"),
        ConfigReply::Refused(Refusal::CasConflict { .. }) => assert_eq!(refusal, "cas"),
        ConfigReply::Refused(Refusal::GrayOverLimit { .. }) => assert_eq!(refusal, "full"),
        other => panic!("{other:?}"),
    }
    assert_eq!(changed, change, "{reply:?}");
}

fn remove(input: &mut Input<'_>, world: &mut World, model: &mut Model, at: usize) {
    let gray = input.flag().then(|| input.below(GRAYS.len()));
    let existed = model.exists(at);
    let item = model.items.entry(at).or_default();
    let mut slept = false;
    let (target, gone) = match gray.map(target) {
        // The gray versions fall asleep with the formal one.
        None => {
            let grays = std::mem::take(&mut item.grays);
            let gone = item.formal.take().is_some() || !grays.is_empty();
            item.asleep.extend(grays);
            (RemoveTarget::Formal, gone)
        }
        Some(gray) => {
            let name = gray.name();
            let target = match gray {
                GrayTarget::Beta { .. } => RemoveTarget::Beta,
                _ => RemoveTarget::Tag { tag: name.replace("tag_", "") },
            };
            slept = item.asleep.remove(&name).is_some();
            (target, item.grays.remove(&name).is_some() || slept)
        }
    };
    let remove = Remove { key: key(at), target, source: Source::default() };
    let (reply, changed) = apply(world, model, at, ConfigCommand::Remove(remove), existed);
    assert_eq!(reply, ConfigReply::Removed { count: u32::from(gone) });
    assert_eq!(changed, gone && !slept, "nobody is told of one that sleeps");
}

fn listen(input: &mut Input<'_>, world: &mut World, model: &mut Model, at: usize) {
    let connection = input.below(IPS.len());
    let (id, asker) = (Arc::<str>::from(format!("c{connection}")), Arc::new(AskerBuf::ip(IPS[connection])));
    let held = held(input, model, at, connection);
    match input.below(5) {
        0 => {
            world.listeners.opened(&id, &IPS[connection].into());
            model.open.insert(connection);
        }
        1 => {
            world.listeners.closed(&id);
            model.open.remove(&connection);
            model.standing.retain(|(other, _), _| *other != connection);
        }
        2 => {
            world.listeners.unlisten(&id, [&key(at)]);
            model.standing.remove(&(connection, at));
        }
        _ => {
            let context = Listen { key: key(at), tenant: None, md5: held.as_str().into() };
            let listened = world.listeners.listen(&id, &asker.as_asker(), &[context], &world.configs);
            assert_eq!(listened.changed.len(), usize::from(held != model.served_md5(at, connection)));
            if model.open.contains(&connection) {
                model.standing.insert((connection, at), held);
            }
        }
    }
}

/// What a client says it holds: nothing, what it should, or something else.
fn held(input: &mut Input<'_>, model: &Model, at: usize, ip: usize) -> String {
    match input.below(4) {
        0 => String::new(),
        1 => md5("something else").to_string(),
        _ => model.served_md5(at, ip),
    }
}

fn poll(input: &mut Input<'_>, world: &mut World, model: &mut Model, at: usize) {
    let ip = input.below(IPS.len());
    let md5 = held(input, model, at, ip);
    world.polls += 1;
    let keys = vec![ListenKey { key: key(at), tenant: None, md5: md5.clone() }];
    match world.listeners.poll(AskerBuf::ip(IPS[ip]), keys, world.polls, &world.configs) {
        Polled::Changed(changed) => {
            assert_eq!(changed.len(), 1);
            assert_ne!(md5, model.served_md5(at, ip));
        }
        Polled::Held(_) => {
            assert_eq!(md5, model.served_md5(at, ip));
            model.polls.insert(world.polls, (ip, at, md5));
        }
        Polled::OverLimit => panic!("there is room"),
    }
}

fn compare(world: &World, model: &Model) {
    for at in 0..KEYS.len() {
        for (number, ip) in IPS.iter().enumerate() {
            let lookup = world.configs.query(&key(at), &Asker::ip(ip));
            let content = match &lookup {
                Lookup::Found(answer) => Some(answer.content().to_string()),
                _ => None,
            };
            assert_eq!(content.as_deref(), model.served(at, number).map(|content| CONTENTS[content]), "{}", key(at));
            assert_eq!(*lookup.md5(), *model.served_md5(at, number));
        }
        for tag in ["t1", "t2"] {
            let asker = Asker { auto_tag: Some(tag), ..Asker::ip("10.9.9.9") };
            let lookup = world.configs.query(&key(at), &asker);
            let item = model.items.get(&at);
            let gray = item.and_then(|item| item.grays.get(&format!("tag_{tag}"))).map(|(_, content)| *content);
            let served = gray.or(item.and_then(|item| item.formal)).map(sum);
            assert_eq!(lookup.md5(), served.unwrap_or_default());
        }
        let live = world.configs.get(&key(at)).is_some_and(|item| item.is_live());
        assert_eq!(live, model.exists(at));
        for gray in 0..GRAYS.len() {
            let name = target(gray).name();
            let item = model.items.get(&at);
            let kept =
                item.and_then(|item| item.grays.get(&name).or(item.asleep.get(&name))).map(|(_, content)| *content);
            let shown =
                world.configs.get(&key(at)).and_then(|item| item.gray(&name).map(|gray| gray.content.to_string()));
            assert_eq!(shown.as_deref(), kept.map(|content| CONTENTS[content]), "{name} of {}", key(at));
        }
    }
    assert_eq!(world.configs.len(), model.items.values().filter(|item| item.formal.is_some()).count());
}

/// What is loaded after a restart is what was there before.
fn restart(world: &mut World) {
    let mut state = ConfigState::default();
    world.configs.for_each(|item| {
        state.configs.extend(item.formal.iter().map(|formal| (item.key.clone(), formal.clone())));
        state.grays.extend(item.grays.iter().chain(&item.asleep).map(|gray| (item.key.clone(), gray.clone())));
    });
    // Ids go on behind those that were given.
    let ids =
        state.configs.iter().map(|(_, formal)| formal.id).chain(state.grays.iter().map(|(_, gray)| gray.id)).max();
    state.last_ids.config = ids.unwrap_or(0);
    state.last_ids.gray = ids.unwrap_or(0);
    let changes = world.configs.restore(state);
    assert!(changes.is_empty(), "{changes:?}");
}

/// A history: every call is made on both, and both are compared after each.
pub fn history(data: &[u8]) {
    let mut input = Input::new(data);
    let now = Now { mono: 0, wall: 1_700_000_000_000 };
    let mut world = World { configs: Configs::default(), listeners: Listeners::new(100_000, 100), now, polls: 0 };
    let mut model = Model::default();
    for _ in 0..LONGEST {
        if input.is_empty() {
            return;
        }
        let (kind, at) = (input.below(16), input.below(KEYS.len()));
        match kind {
            0..7 => publish(&mut input, &mut world, &mut model, at),
            7..10 => remove(&mut input, &mut world, &mut model, at),
            10..13 => listen(&mut input, &mut world, &mut model, at),
            13..15 => poll(&mut input, &mut world, &mut model, at),
            _ => restart(&mut world),
        }
        compare(&world, &model);
    }
}

//! Random sequences of commands against the simplest model that can be written: memory, database and model agree after
//! every step and after every restart.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::Rig;
use nacre_config::{
    Asker, ConfigCommand, ConfigReply, Configs, Existence, GrayTarget, Lookup, Publish, Refusal, Remove, RemoveIds,
    RemoveTarget, Source, md5,
};
use nacre_model::ConfigKey;
use nacre_store::{Applied, HistoryPageQuery, WriteBatch};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Cas {
    None,
    /// The md5 that is stored now.
    Right,
    Wrong,
}

#[derive(Clone, Debug)]
enum Step {
    Publish { key: usize, content: usize, gray: Option<usize>, cas: Cas, tags: Option<&'static str>, absent: bool },
    Remove { key: usize, gray: Option<usize> },
    RemoveAll,
    Restart,
    Snapshot,
}

/// Two spellings of one namespace among them.
const KEYS: [(&str, &str); 3] = [("", "a"), ("public", "b"), ("dev", "a")];
const CONTENTS: [&str; 3] = ["one", "two 🦀", "three"];
const GRAYS: [(&str, &str); 4] = [("beta", "10.0.0.1"), ("beta", "10.0.0.1,10.0.0.2"), ("tag", "t1"), ("tag", "t2")];
const GRAY_MAX: u32 = 2;

fn key(at: usize) -> ConfigKey {
    ConfigKey::new(KEYS[at].0, "G", KEYS[at].1)
}

fn target(at: usize) -> GrayTarget {
    match GRAYS[at] {
        ("beta", ips) => GrayTarget::Beta { ips: ips.into() },
        (_, tag) => GrayTarget::Tag { tag: tag.into() },
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelItem {
    formal: Option<(String, String)>,
    /// Name to content and position in GRAYS.
    grays: BTreeMap<String, (String, usize)>,
    /// Left behind by the removal of the config.
    asleep: BTreeMap<String, (String, usize)>,
}

impl ModelItem {
    fn kept(&self, name: &str) -> Option<&(String, usize)> {
        self.grays.get(name).or(self.asleep.get(name))
    }

    fn is_live(&self) -> bool {
        self.formal.is_some() || !self.grays.is_empty()
    }
}

/// What a removal found.
struct Removed {
    existed: bool,
    /// Somebody was served what is gone.
    told: bool,
}

#[derive(Clone, Debug, Default)]
struct Model {
    items: BTreeMap<usize, ModelItem>,
    history: BTreeMap<usize, u64>,
}

/// What a step should do: is it refused, and how does existence change?
#[derive(Debug, PartialEq)]
enum Expected {
    Done { changed: bool },
    Conflict,
    Exists,
    Full,
}

impl Model {
    fn publish(&mut self, step: &Step) -> Expected {
        let Step::Publish { key, content, gray, cas, tags, absent } = step else { unreachable!() };
        let item = self.items.entry(*key).or_default();
        let content = CONTENTS[*content].to_owned();
        let expected = match gray {
            None => match &item.formal {
                Some(_) if *absent => Expected::Exists,
                Some(_) if matches!(cas, Cas::Wrong) => Expected::Conflict,
                old => {
                    let changed = old.as_ref().is_none_or(|(old, _)| *old != content);
                    let kept = old.as_ref().map(|(_, tags)| tags.clone()).unwrap_or_default();
                    item.formal = Some((content, tags.map(str::to_owned).unwrap_or(kept)));
                    Expected::Done { changed }
                }
            },
            Some(gray) => {
                let name = target(*gray).name();
                match item.kept(&name) {
                    Some(_) if matches!(cas, Cas::Wrong) => Expected::Conflict,
                    None if (item.grays.len() + item.asleep.len()) as u32 >= GRAY_MAX => Expected::Full,
                    _ => {
                        let changed = item.grays.get(&name) != Some(&(content.clone(), *gray));
                        item.asleep.remove(&name);
                        item.grays.insert(name, (content, *gray));
                        Expected::Done { changed }
                    }
                }
            }
        };
        if matches!(expected, Expected::Done { .. }) {
            *self.history.entry(*key).or_default() += 1;
        }
        self.clean(*key);
        expected
    }

    fn remove(&mut self, key: usize, gray: Option<usize>) -> Removed {
        let item = self.items.entry(key).or_default();
        let (existed, told, history) = match gray {
            // The gray versions fall asleep with the formal one.
            None => {
                let live = item.is_live();
                item.asleep.append(&mut item.grays);
                (live, live, item.formal.take().is_some())
            }
            Some(gray) => {
                let name = target(gray).name();
                let (served, slept) = (item.grays.remove(&name).is_some(), item.asleep.remove(&name).is_some());
                (served || slept, served, served || slept)
            }
        };
        *self.history.entry(key).or_default() += u64::from(history);
        self.clean(key);
        Removed { existed, told }
    }

    fn clean(&mut self, key: usize) {
        self.items.retain(|at, item| *at != key || *item != ModelItem::default());
    }

    /// Beta first, then the tag, then formal.
    fn served(&self, key: usize, ip: &str, tag: Option<&str>) -> Option<&str> {
        let item = self.items.get(&key)?;
        if let Some((content, at)) = item.grays.get("beta")
            && GRAYS[*at].1.split(',').any(|listed| listed == ip)
        {
            return Some(content);
        }
        if let Some((content, _)) = tag.and_then(|tag| item.grays.get(&format!("tag_{tag}"))) {
            return Some(content);
        }
        item.formal.as_ref().map(|(content, _)| content.as_str())
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..KEYS.len();
    let gray = || proptest::option::weighted(0.4, 0..GRAYS.len());
    let cas = prop_oneof![3 => Just(Cas::None), 1 => Just(Cas::Right), 1 => Just(Cas::Wrong)];
    let tags = proptest::option::of(prop_oneof![Just("x,y"), Just(""), Just("z")]);
    let publish = (key.clone(), 0..CONTENTS.len(), gray(), cas, tags, proptest::bool::weighted(0.1))
        .prop_map(|(key, content, gray, cas, tags, absent)| Step::Publish { key, content, gray, cas, tags, absent });
    let remove = (key, gray()).prop_map(|(key, gray)| Step::Remove { key, gray });
    let step = prop_oneof![
        12 => publish, 4 => remove, 1 => Just(Step::RemoveAll), 1 => Just(Step::Restart), 1 => Just(Step::Snapshot)
    ];
    proptest::collection::vec(step, 1..40)
}

fn command(rig: &Rig, step: &Step) -> ConfigCommand {
    let Step::Publish { key: at, content, gray, cas, tags, absent } = step else { unreachable!() };
    let key = key(*at);
    let gray = gray.map(target);
    let item = rig.configs.get(&key);
    let stored = item.and_then(|item| match &gray {
        None => item.formal.as_ref().map(|formal| formal.md5.to_string()),
        Some(target) => item.gray(&target.name()).map(|gray| gray.md5.to_string()),
    });
    let mut publish = Publish::new(key, CONTENTS[*content]).with_tags_param(*tags);
    publish.gray = gray;
    publish.only_if_absent = *absent;
    publish.rules.gray_max = GRAY_MAX;
    publish.cas_md5 = match cas {
        Cas::None => None,
        Cas::Right => Some(stored.unwrap_or_else(|| "0".into())),
        Cas::Wrong => Some(md5("nobody's content").to_string()),
    };
    ConfigCommand::Publish(Box::new(publish))
}

/// One step on both sides.
fn run(rig: &mut Rig, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    match step {
        Step::Publish { .. } => {
            let command = command(rig, step);
            let expected = model.publish(step);
            let (reply, changed) = apply(rig, command);
            match expected {
                Expected::Done { changed: should } => {
                    prop_assert!(matches!(reply, ConfigReply::Published(_)), "{:?}", reply);
                    prop_assert_eq!(changed, usize::from(should));
                }
                Expected::Conflict => {
                    prop_assert!(matches!(reply, ConfigReply::Refused(Refusal::CasConflict { .. })), "{:?}", reply);
                }
                Expected::Exists => {
                    prop_assert!(matches!(reply, ConfigReply::Refused(Refusal::AlreadyExists { .. })), "{:?}", reply);
                }
                Expected::Full => {
                    prop_assert!(matches!(reply, ConfigReply::Refused(Refusal::GrayOverLimit { .. })), "{:?}", reply);
                }
            }
        }
        Step::Remove { key: at, gray } => {
            let target = match gray.map(target) {
                None => RemoveTarget::Formal,
                Some(GrayTarget::Beta { .. }) => RemoveTarget::Beta,
                Some(other) => RemoveTarget::Tag { tag: other.name().replace("tag_", "") },
            };
            let remove = Remove { key: key(*at), target, source: Source::default() };
            let (reply, changed) = apply(rig, ConfigCommand::Remove(remove));
            let removed = model.remove(*at, *gray);
            prop_assert_eq!(reply, ConfigReply::Removed { count: u32::from(removed.existed) });
            prop_assert_eq!(changed, usize::from(removed.told));
        }
        Step::RemoveAll => {
            let ids = (0..KEYS.len())
                .filter_map(|at| rig.configs.get(&key(at))?.formal.as_ref().map(|formal| formal.id))
                .chain([9_999])
                .collect();
            apply(rig, ConfigCommand::RemoveIds(RemoveIds { ids, source: Source::default() }));
            // Only what has a formal version has an id.
            for at in 0..KEYS.len() {
                if model.items.get(&at).is_some_and(|item| item.formal.is_some()) {
                    model.remove(at, None);
                }
            }
        }
        Step::Restart | Step::Snapshot => {}
    }
    Ok(())
}

/// Applies, writes, and counts the changes, whose existence must agree with the index.
fn apply(rig: &mut Rig, command: ConfigCommand) -> (ConfigReply, usize) {
    rig.index += 1;
    rig.now = rig.now.plus(1);
    let live = |rig: &Rig, key: &ConfigKey| rig.configs.get(key).is_some_and(|item| item.is_live());
    let before: Vec<bool> = (0..KEYS.len()).map(|at| live(rig, &key(at))).collect();
    let outcome = rig.configs.apply(command, rig.now);
    for change in &outcome.effects.changed {
        let at = (0..KEYS.len()).find(|at| key(*at) == change.key).unwrap();
        let expected = match (before[at], live(rig, &change.key)) {
            (false, true) => Existence::Appeared,
            (true, false) => Existence::Vanished,
            _ => Existence::Unchanged,
        };
        assert_eq!(change.existence, expected, "{change:?}");
    }
    let applied = Some(Applied { index: rig.index, term: 1, leader: 1 });
    rig.store.write(WriteBatch { applied, ops: outcome.ops, ..WriteBatch::default() }).unwrap();
    (outcome.reply, outcome.effects.changed.len())
}

fn agree(configs: &Configs, model: &Model) -> Result<(), TestCaseError> {
    for at in 0..KEYS.len() {
        for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            for tag in [None, Some("t1"), Some("t2")] {
                let asker = Asker { auto_tag: tag, ..Asker::ip(ip) };
                let lookup = configs.query(&key(at), &asker);
                let served = model.served(at, ip, tag);
                let content = match &lookup {
                    Lookup::Found(answer) => Some(&**answer.content()),
                    _ => None,
                };
                prop_assert_eq!(content, served, "{} {} {:?}", key(at), ip, tag);
                let expected = served.map(md5);
                prop_assert_eq!(lookup.md5(), expected.as_deref().unwrap_or(""));
            }
        }
        let item = configs.get(&key(at));
        for gray in 0..GRAYS.len() {
            let name = target(gray).name();
            let shown = item.as_ref().and_then(|item| item.gray(&name)).map(|gray| gray.content.to_string());
            let kept = model.items.get(&at).and_then(|item| item.kept(&name)).map(|(content, _)| content.clone());
            prop_assert_eq!(shown, kept, "{} of {}", name, key(at));
        }
        let formal = item.and_then(|item| item.formal.clone());
        let tags = formal.as_ref().map(|formal| formal.meta.tags.join(","));
        let expected = model.items.get(&at).and_then(|item| item.formal.as_ref()).map(|(_, tags)| tags.clone());
        prop_assert_eq!(tags, expected);
    }
    let formals = model.items.values().filter(|item| item.formal.is_some()).count();
    prop_assert_eq!(configs.len(), formals);
    let counted: u64 = configs.namespaces().iter().map(|entry| entry.config_count).sum();
    let in_public = model.items.iter().filter(|(at, item)| KEYS[**at].0 != "dev" && item.formal.is_some()).count();
    prop_assert_eq!(counted as usize, in_public, "dev was never created and is not listed");
    Ok(())
}

/// The database holds exactly what is in memory.
fn stored(rig: &Rig, model: &Model) -> Result<(), TestCaseError> {
    let loaded = rig.store.load().unwrap();
    prop_assert!(loaded.remarks.is_empty(), "{:?}", loaded.remarks);
    prop_assert_eq!(loaded.applied.map_or(0, |applied| applied.index), rig.index);
    let from_disk = Configs::new(loaded.config);
    for at in 0..KEYS.len() {
        prop_assert_eq!(from_disk.get(&key(at)), rig.configs.get(&key(at)));
        let page = nacre_config::PageRequest { page_no: 1, page_size: 500 };
        let history = rig.store.history_page(&HistoryPageQuery { key: key(at), page }).unwrap();
        prop_assert_eq!(history.total_count, model.history.get(&at).copied().unwrap_or(0));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn memory_database_and_model_agree(steps in steps()) {
        let mut rig = Rig::new();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            run(&mut rig, &mut model, step)?;
            agree(&rig.configs, &model)?;
            match step {
                Step::Restart => {
                    stored(&rig, &model)?;
                    rig = rig.restart();
                    agree(&rig.configs, &model)?;
                }
                Step::Snapshot => {
                    let file = rig.dir.path().join(format!("snapshot-{number}.db"));
                    rig.store.snapshot_to(&file).unwrap();
                    rig.store.restore_from(&file).unwrap();
                    let changes = rig.configs.restore(rig.store.load().unwrap().config);
                    prop_assert!(changes.is_empty(), "{:?}", changes);
                    agree(&rig.configs, &model)?;
                }
                _ => {}
            }
        }
        stored(&rig, &model)?;
    }

    /// Two nodes that apply the same log are the same, byte for byte.
    #[test]
    fn applying_is_deterministic(steps in steps()) {
        let mut rig = Rig::new();
        let twin = Configs::new(rig.store.load().unwrap().config);
        for step in &steps {
            if let Step::Publish { .. } = step {
                let command = command(&rig, step);
                rig.now = rig.now.plus(1);
                let one = rig.configs.apply(command.clone(), rig.now);
                let other = twin.apply(command, rig.now);
                prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
            }
        }
    }
}

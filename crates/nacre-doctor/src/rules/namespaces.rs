//! Namespaces that nobody created: a display name where the id is needed, or an id that is nearly right; and those that were
//! deleted with what is in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nacre_config::NamespaceEntry;
use nacre_model::{Cause, ConfigKey, ServiceKey};
use nacre_naming::Snapshot;

use super::identity::{LOOKED_AT, remembered};
use crate::{About, Confidence, Hit, Hits, Line, Rule, Scene, asked::Sought, line, rule};

pub static RULES: [Rule; 3] = [
    rule!("NAMESPACE-DELETED-IN-USE", deleted_in_use),
    rule!("NAMESPACE-IS-NAME", is_name),
    rule!("NAMESPACE-NEARLY-RIGHT", nearly_right),
];

/// What was meant by an unknown namespace.
enum Meant {
    Name(NamespaceEntry),
    Near(NamespaceEntry),
}

/// Nobody created it. With a blank at an end it is refused or taken for the one without, whichever call it is.
fn is_unknown(scene: &Scene<'_>, given: &str) -> bool {
    (given.trim() != given && !given.trim().is_empty()) || !scene.configs.namespace_exists(given)
}

/// An unknown namespace that is somebody's name, or nearly an id or a name.
fn meant(scene: &Scene<'_>, given: &str) -> Option<Meant> {
    if !is_unknown(scene, given) {
        return None;
    }
    let all = scene.configs.namespaces();
    if let Some(named) = all.iter().find(|entry| !entry.is_default && *entry.name == *given) {
        return Some(Meant::Name(named.clone()));
    }
    let folded = given.trim().to_lowercase();
    let near = |text: &str| text.trim().to_lowercase() == folded;
    let found = all.into_iter().find(|entry| near(&entry.id) || (!entry.is_default && near(&entry.name)));
    found.map(Meant::Near)
}

/// Another family's rule need not look into it.
pub(super) fn is_misnamed(scene: &Scene<'_>, given: &str) -> bool {
    meant(scene, given).is_some()
}

/// Who uses a namespace, and for what.
#[derive(Default)]
struct Uses {
    texts: Vec<(i64, Line)>,
    addresses: BTreeSet<String>,
    configs: BTreeSet<ConfigKey>,
    services: BTreeSet<ServiceKey>,
}

fn config(key: &ConfigKey) -> Line {
    line!("config {} of group {}", "配置 {}（分组 {}）", key.data_id, key.group)
}

fn service(key: &ServiceKey) -> Line {
    line!("service {}", "服务 {}", key.grouped())
}

/// Unknown namespaces that were used, with whoever did.
fn used(scene: &Scene<'_>) -> BTreeMap<String, Uses> {
    let mut all: BTreeMap<String, Uses> = BTreeMap::new();
    let unknown = |namespace: &str| is_unknown(scene, namespace);
    for question in scene.sightings.asked.recent(scene.now.wall, scene.told_ms) {
        if all.len() > LOOKED_AT || !unknown(question.sought.namespace()) {
            continue;
        }
        let uses = all.entry(question.sought.namespace().to_owned()).or_default();
        let agent = if question.agent.is_empty() { "?" } else { &question.agent };
        let what = match &question.sought {
            Sought::Config(key) => {
                uses.configs.insert(key.clone());
                config(key)
            }
            Sought::Service(key, _) => {
                uses.services.insert(key.clone());
                service(key)
            }
        };
        let (address, times) = (question.address, question.count);
        let text = line!(
            en: "{address} ({agent}) asked for {} there, {times} times", what.en;
            zh: "{address}（{agent}）在那里查询{}，共 {times} 次", what.zh
        );
        uses.texts.push((question.last, text));
        uses.addresses.insert(question.address.to_string());
    }
    for event in remembered(scene, "instanceRegistered") {
        let Some(key) = event.subject.service.as_ref().filter(|key| unknown(&key.namespace)) else { continue };
        if all.len() > LOOKED_AT || scene.naming.snapshot(key).is_none_or(|s| s.instances.is_empty()) {
            continue;
        }
        let uses = all.entry(key.namespace.to_string()).or_default();
        if uses.services.insert(key.clone()) {
            let who = event.subject.instance.as_deref().unwrap_or("somebody");
            let text = line!("{who} is registered there for {}", "{who} 在那里为 {} 注册", key.grouped());
            uses.texts.push((event.at, text));
            uses.addresses.insert(crate::asked::ip_of(who).to_owned());
        }
    }
    for event in remembered(scene, "configPublished") {
        let Some(key) = event.subject.config.as_ref().filter(|key| unknown(&key.namespace)) else { continue };
        if all.len() > LOOKED_AT || scene.configs.get(key).is_none() {
            continue;
        }
        let uses = all.entry(key.namespace.to_string()).or_default();
        if uses.configs.insert(key.clone()) {
            let who = event.subject.client.as_deref().unwrap_or("somebody");
            let what = config(key);
            let text = line!(en: "{who} published {} there", what.en; zh: "{who} 在那里发布了{}", what.zh);
            uses.texts.push((event.at, text));
            uses.addresses.insert(who.to_owned());
        }
    }
    all
}

fn told(scene: &Scene<'_>, given: &str, uses: &Uses, entry: &NamespaceEntry) -> Hit {
    let mut held = Vec::new();
    for key in &uses.configs {
        let there = ConfigKey::new(&entry.id, &key.group, &key.data_id);
        if scene.configs.get(&there).is_some_and(|item| item.formal.is_some()) {
            held.push(config(key));
        }
    }
    for key in &uses.services {
        if scene.naming.service_exists(&ServiceKey::new(&entry.id, &key.group, &key.name)) {
            held.push(service(key));
        }
    }
    held.truncate(5);
    if held.is_empty() {
        held.push(line!("nothing of what was asked for", "所查询的都没有"));
    }
    let (held, zh_held): (Vec<_>, Vec<_>) = held.into_iter().map(|line| (line.en, line.zh)).unzip();
    let addresses = uses.addresses.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let mut hit = Hit::new(About { namespace_id: Some(given.to_owned()), ..About::default() })
        .fact("given", format!("`{given}`"))
        .fact("id", &entry.id)
        .fact("name", format!("`{}`", entry.name))
        .words("held", held.join(", "), zh_held.join("、"))
        .fact("addresses", addresses)
        .confidence(Confidence::High)
        .not(line!(
            "a namespace that is merely empty: nobody created one with the id `{given}`",
            "只是空的命名空间：没有人创建过 id 为 `{given}` 的命名空间"
        ));
    for (at, text) in uses.texts.iter().take(8) {
        hit = hit.saw(*at, text.clone());
    }
    hit
}

fn is_name(scene: &Scene<'_>, hits: &mut Hits) {
    for (given, uses) in used(scene) {
        if let Some(Meant::Name(entry)) = meant(scene, &given) {
            hits.add(told(scene, &given, &uses, &entry));
        }
    }
}

fn nearly_right(scene: &Scene<'_>, hits: &mut Hits) {
    for (given, uses) in used(scene) {
        if let Some(Meant::Near(entry)) = meant(scene, &given) {
            hits.add(told(scene, &given, &uses, &entry));
        }
    }
}

/// Services of a namespace that are looked at for instances.
const SERVICES: usize = 20;

/// Deleting a namespace deletes its entry and nothing else: its configs are served and its services listed as before, but no
/// console shows them.
fn deleted_in_use(scene: &Scene<'_>, hits: &mut Hits) {
    let mut deleted = scene.desk.deleted_namespaces.lock();
    for event in remembered(scene, "namespaceChanged") {
        if let Cause::NamespaceChanged { id, what } = &*event.cause
            && what == "deleted"
            && (deleted.len() < LOOKED_AT || deleted.contains_key(id))
        {
            let at = deleted.entry(id.clone()).or_insert(event.at);
            *at = event.at.max(*at);
        }
    }
    // Whoever holds nothing is forgotten with the event, so that many deletions leave room for others.
    deleted.retain(|id, at| {
        let configs = scene.configs.count_in(id);
        let (lists, _) = scene.naming.lists_after(id, 0, SERVICES, usize::MAX);
        let in_use = !scene.configs.namespace_exists(id) && (configs > 0 || !lists.is_empty());
        if in_use {
            hits.add(still_used(scene, id, *at, configs, &lists));
        }
        in_use
    });
}

fn still_used(scene: &Scene<'_>, id: &str, at: i64, configs: u64, lists: &[Arc<Snapshot>]) -> Hit {
    let instances: usize = lists.iter().map(|list| list.instances.len()).sum();
    let mut hit = Hit::new(About { namespace_id: Some(id.to_owned()), ..About::default() })
        .fact("id", id)
        .fact("configs", configs)
        .fact("services", lists.len())
        .fact("instances", instances)
        .confidence(Confidence::High)
        .saw(at, line!("namespace {id} was deleted", "命名空间 {id} 被删除"))
        .not(line!(
            "a namespace that nobody ever created: this one was there until it was deleted",
            "从未创建过的命名空间：它一直存在，直到被删除"
        ));
    for list in lists.iter().take(5) {
        let what = service(&list.service);
        let count = list.instances.len();
        hit = hit.saw(
            scene.now.wall,
            line!(en: "{} has {count} instances there", what.en; zh: "{}在那里有 {count} 个实例", what.zh),
        );
    }
    hit
}

#[cfg(test)]
mod tests {
    use nacre_config::{ConfigCommand, NamespaceForm, Publish, Remove, RemoveTarget, Source};
    use nacre_model::Instance;

    use super::*;
    use crate::testing::Stage;

    fn stage() -> Stage {
        let stage = Stage::default();
        let form = NamespaceForm { id: "5f0c-1".into(), name: "test".into(), desc: None };
        stage.configs.apply(ConfigCommand::CreateNamespace(form), stage.now);
        let publish = Publish::new(ConfigKey::new("5f0c-1", "g", "K"), "v");
        stage.configs.apply(ConfigCommand::Publish(Box::new(publish)), stage.now);
        stage
    }

    #[test]
    fn a_name_in_the_place_of_an_id_is_told_with_id_key_and_asker() {
        for (given, code) in [
            ("test", "NAMESPACE-IS-NAME"),
            ("TEST", "NAMESPACE-NEARLY-RIGHT"),
            ("test ", "NAMESPACE-NEARLY-RIGHT"),
            ("5F0C-1", "NAMESPACE-NEARLY-RIGHT"),
            ("5f0c-1 ", "NAMESPACE-NEARLY-RIGHT"),
        ] {
            let mut stage = stage();
            let sought = Sought::Config(ConfigKey::of(given.into(), "g".into(), "K".into()));
            stage.sightings.asked.note(sought, [192, 0, 2, 7].into(), "Nacos-Java-Client:v1.4.8", false, stage.now);
            stage.wait(3_000);
            let finding = stage.only();
            assert_eq!(finding.code, code, "{given}");
            for word in ["5f0c-1", "K", "192.0.2.7", "`test`"] {
                assert!(finding.cause.contains(word), "{word}: {}", finding.cause);
            }
        }
    }

    #[test]
    fn a_deleted_namespace_is_told_as_long_as_it_holds_something() {
        let mut stage = stage();
        let delete = || ConfigCommand::DeleteNamespace { id: "5f0c-1".into() };
        for event in stage.configs.apply(delete(), stage.now).effects.events {
            stage.record(event);
        }
        let service = ServiceKey::new("5f0c-1", "g", "orders");
        let registered =
            stage.naming.register_http(&service, Instance::new("192.0.2.7", 80), stage.now).expect("registers");
        stage.records(registered);
        let finding = stage.only();
        assert_eq!(finding.code, "NAMESPACE-DELETED-IN-USE");
        for word in ["5f0c-1", "1 configs", "1 services", "1 instances"] {
            assert!(finding.cause.contains(word), "{word}: {}", finding.cause);
        }
        let evidence = format!("{:?}", finding.evidence);
        assert!(evidence.contains("5f0c-1 was deleted") && evidence.contains("orders"), "{evidence}");
        // The event itself is forgotten after a while; the namespace is not.
        let told = |stage: &mut Stage| stage.codes().iter().any(|code| code == "NAMESPACE-DELETED-IN-USE");
        stage.wait(3_600_000);
        assert!(told(&mut stage));
        let form = NamespaceForm { id: "5f0c-1".into(), name: "test".into(), desc: None };
        stage.configs.apply(ConfigCommand::CreateNamespace(form), stage.now);
        stage.wait(3_000);
        assert!(!told(&mut stage), "created again");
    }

    #[test]
    fn a_deleted_namespace_that_holds_nothing_is_not_told() {
        let mut stage = stage();
        let key = ConfigKey::new("5f0c-1", "g", "K");
        let remove = Remove { key, target: RemoveTarget::Formal, source: Source::default() };
        stage.configs.apply(ConfigCommand::Remove(remove), stage.now);
        for event in
            stage.configs.apply(ConfigCommand::DeleteNamespace { id: "5f0c-1".into() }, stage.now).effects.events
        {
            stage.record(event);
        }
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn the_right_id_and_a_foreign_word_are_not_told() {
        let mut stage = stage();
        for given in ["5f0c-1", "elsewhere", ""] {
            let sought = Sought::Config(ConfigKey::new(given, "g", "missing"));
            stage.sightings.asked.note(sought, [192, 0, 2, 7].into(), "x", false, stage.now);
        }
        stage.wait(3_000);
        assert!(stage.codes().is_empty());
    }
}

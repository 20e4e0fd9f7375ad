//! Configs that are sought where they are not: another group, another namespace, another spelling.

use nacre_model::ConfigKey;

use super::{configs::about, identity::LOOKED_AT, namespaces::is_misnamed};
use crate::{
    Hit, Hits, Rule, Scene, Severity,
    asked::{Question, Sought},
    line, rule,
};

pub static RULES: [Rule; 4] = [
    rule!("CONFIG-NAME-DIFFERS", name_differs),
    rule!("CONFIG-NAME-MISSPELT", name_misspelt),
    rule!("CONFIG-WRONG-GROUP", wrong_group),
    rule!("CONFIG-WRONG-NAMESPACE", wrong_namespace),
];

/// A read is looked into when it is this old: its publisher may be on its way.
const PATIENCE_MS: i64 = 2_000;
/// ... and by a name that is nearly one that is there, when it is this old.
const SLIP_PATIENCE_MS: i64 = 5_000;

/// The same data id with the other usual extensions: a client reads what its `file-extension` says, and nothing else.
fn other_extensions(key: &ConfigKey) -> Vec<ConfigKey> {
    const KNOWN: [&str; 7] = ["yaml", "yml", "properties", "json", "xml", "toml", "txt"];
    let parts = key.data_id.rsplit_once('.').filter(|(_, extension)| KNOWN.contains(extension));
    let Some((stem, own)) = parts else { return Vec::new() };
    let others = KNOWN.iter().filter(|extension| **extension != own);
    others.map(|extension| ConfigKey::new(&key.namespace, &key.group, &format!("{stem}.{extension}"))).collect()
}

/// A read of a config that is not there.
struct Miss {
    question: Question,
    key: ConfigKey,
    /// What is there, near it.
    near: ConfigKey,
    /// A slip of the pen away.
    slip: bool,
}

/// Reads of configs that are not there, each with the nearest that is.
fn missed(scene: &Scene<'_>) -> Vec<Miss> {
    let mut found = Vec::new();
    for question in scene.sightings.asked.recent(scene.now.wall, scene.told_ms) {
        let Sought::Config(key) = &question.sought else { continue };
        let there = |key: &ConfigKey| scene.configs.get(key).is_some_and(|item| item.formal.is_some());
        if scene.now.wall - question.first < PATIENCE_MS || there(key) || is_misnamed(scene, &key.namespace) {
            continue;
        }
        let others = scene.configs.alike(&key.data_id, 50);
        let home = |other: &&ConfigKey| other.namespace == key.namespace;
        let exact = |other: &&ConfigKey| other.group == key.group && other.data_id == key.data_id;
        let same_name = |other: &&ConfigKey| other.data_id == key.data_id;
        let others: Vec<&ConfigKey> = others.iter().filter(|other| *other != key && there(other)).collect();
        let near = others
            .iter()
            .copied()
            .find(|other| home(other) && same_name(other))
            .or_else(|| others.iter().copied().find(home))
            .or_else(|| others.iter().copied().find(exact))
            // In another group as well: only what is in one place, and was sought in a namespace that nobody created.
            .or_else(|| {
                let [only] = others[..] else { return None };
                (same_name(&only) && !scene.configs.namespace_exists(&key.namespace)).then_some(only)
            });
        let near = near.cloned().or_else(|| other_extensions(key).into_iter().find(there));
        let meant = || {
            let old = scene.now.wall - question.first >= SLIP_PATIENCE_MS;
            match old.then(|| scene.meant(&question.sought))?? {
                Sought::Config(meant) => Some(meant).filter(there),
                Sought::Service(..) => None,
            }
        };
        let (near, slip) = match near {
            Some(near) => (Some(near), false),
            None => (meant(), true),
        };
        if let Some(near) = near {
            found.push(Miss { question: question.clone(), key: key.clone(), near, slip });
        }
        if found.len() == LOOKED_AT {
            break;
        }
    }
    found
}

fn told_miss(question: &Question, key: &ConfigKey, near: &ConfigKey) -> Hit {
    let agent = if question.agent.is_empty() { "?" } else { &question.agent };
    about(key)
        .fact("address", question.address)
        .fact("agent", agent)
        .fact("times", question.count)
        .fact("right_id", format!("`{}`", near.data_id))
        .fact("right_group", &near.group)
        .fact("right_namespace", &near.namespace)
        .saw(
            question.last,
            line!(
                "{} ({agent}) read {key}, {} times: it does not exist",
                "{}（{agent}）读取 {key} 共 {} 次：它不存在",
                question.address,
                question.count
            ),
        )
        .saw(question.last, line!("{near} exists", "{near} 存在"))
        .not(line!(
            "a config that was deleted under its reader: nothing of that name is there, and its near match is",
            "配置在读者使用时被删除：没有这个名字的配置，而有一个相近的"
        ))
}

/// A data id that so many groups have is a common name, such as `application.yml`: nobody's mistake.
const COMMON: usize = 3;

fn wrong_group(scene: &Scene<'_>, hits: &mut Hits) {
    for Miss { question, key, near, slip } in missed(scene) {
        if slip || key.namespace != near.namespace || key.data_id != near.data_id {
            continue;
        }
        let groups = scene.configs.alike(&key.data_id, 50).iter().filter(|k| k.data_id == key.data_id).count();
        let severity = if groups >= COMMON { Severity::Info } else { Severity::Warning };
        hits.add(told_miss(&question, &key, &near).severity(severity));
    }
}

fn name_differs(scene: &Scene<'_>, hits: &mut Hits) {
    for Miss { question, key, near, slip } in missed(scene) {
        if !slip && key.namespace == near.namespace && key.data_id != near.data_id {
            hits.add(told_miss(&question, &key, &near));
        }
    }
}

fn name_misspelt(scene: &Scene<'_>, hits: &mut Hits) {
    for Miss { question, key, near, .. } in missed(scene).into_iter().filter(|miss| miss.slip) {
        hits.add(told_miss(&question, &key, &near));
    }
}

fn wrong_namespace(scene: &Scene<'_>, hits: &mut Hits) {
    for Miss { question, key, near, slip } in missed(scene) {
        if !slip && key.namespace != near.namespace {
            // An optional config of another environment is an ordinary thing.
            let known = scene.configs.namespace_exists(&key.namespace);
            let severity = if known { Severity::Info } else { Severity::Warning };
            hits.add(told_miss(&question, &key, &near).severity(severity));
        }
    }
}

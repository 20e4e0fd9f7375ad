//! Consumers: who looks where nothing is, whose registrations and lists are too large, and what the parameter check refuses.

use std::collections::{BTreeMap, BTreeSet};

use nacre_model::{Cause, Event, ServiceKey, check};
use nacre_naming::Query;

use super::{
    identity::{LOOKED_AT, without_cluster},
    namespaces::is_misnamed,
};
use crate::{
    About, Confidence, Hit, Hits, Rule, Scene, Severity,
    asked::{Question, Sought},
    line,
    memory::{HORIZON_MS, address_of},
    rule,
};

pub static RULES: [Rule; 8] = [
    rule!("CONSUMER-NAME-DIFFERS", name_differs),
    rule!("CONSUMER-NAME-MISSPELT", name_misspelt),
    rule!("CONSUMER-WRONG-CLUSTER", wrong_cluster),
    rule!("CONSUMER-WRONG-GROUP", wrong_group),
    rule!("CONSUMER-WRONG-NAMESPACE", wrong_namespace),
    rule!("LIST-LARGE", large_list),
    rule!("METADATA-TOO-LONG", metadata_too_long),
    rule!("PARAMETER-REFUSED", parameter_refused),
];

/// A question is looked into when it is this old: a provider may be on its way.
const PATIENCE_MS: i64 = 2_000;
/// ... and by a name that is nearly one that is there, when it is this old: its service may be deployed just now.
const SLIP_PATIENCE_MS: i64 = 5_000;
/// Services that look like the one that was asked for.
const ALIKE: usize = 50;

/// Where the providers are that a consumer misses.
enum Elsewhere {
    Cluster(Vec<String>),
    Group(ServiceKey),
    Name(ServiceKey),
    /// A slip of the pen away.
    Slip(ServiceKey),
    Namespace(ServiceKey),
}

fn provides(scene: &Scene<'_>, key: &ServiceKey) -> bool {
    !scene.naming.list(key, &Query::default(), scene.now).hosts.is_empty()
}

/// Questions for services that find nothing now, with the nearest service that has providers.
fn missed(scene: &Scene<'_>) -> Vec<(Question, ServiceKey, Elsewhere)> {
    let mut found = Vec::new();
    let old = |question: &Question| scene.now.wall - question.first >= PATIENCE_MS;
    let questions = scene.sightings.asked.recent(scene.now.wall, scene.told_ms);
    for question in questions.into_iter().filter(old) {
        let Sought::Service(key, clusters) = &question.sought else { continue };
        let query = Query { clusters, ..Query::default() };
        let answered = !scene.naming.list(key, &query, scene.now).hosts.is_empty();
        let address = question.address.to_string();
        let over = || !scene.naming.subscribers(key).iter().any(|s| *s.subscription.ip == *address);
        if answered || (question.standing && over()) {
            scene.sightings.asked.drop(&question);
            continue;
        }
        if found.len() == LOOKED_AT || is_misnamed(scene, &key.namespace) {
            continue;
        }
        let elsewhere = elsewhere(scene, key, clusters).or_else(|| slipped(scene, &question, key));
        if let Some(elsewhere) = elsewhere {
            let key = key.clone();
            found.push((question, key, elsewhere));
        }
    }
    found
}

fn elsewhere(scene: &Scene<'_>, key: &ServiceKey, clusters: &str) -> Option<Elsewhere> {
    if !clusters.is_empty()
        && let Some(snapshot) = scene.naming.snapshot(key).filter(|snapshot| !snapshot.instances.is_empty())
    {
        return Some(Elsewhere::Cluster(snapshot.clusters().iter().map(|name| name.to_string()).collect()));
    }
    let alike = scene.naming.services_alike(&key.name, ALIKE);
    let others: Vec<&ServiceKey> = alike.iter().filter(|other| *other != key && provides(scene, other)).collect();
    let at_home = || others.iter().filter(|other| other.namespace == key.namespace);
    if let Some(other) = at_home().find(|other| other.name == key.name) {
        return Some(Elsewhere::Group((**other).clone()));
    }
    if let Some(other) = at_home().next() {
        return Some(Elsewhere::Name((**other).clone()));
    }
    // The same name in two namespaces is common; only an exact match says what was meant.
    let exact = others.iter().find(|other| other.name == key.name && other.group == key.group);
    // Nor does another group say more, unless there is one place only, and nobody created the namespace that was asked.
    let stray = || others.len() == 1 && others[0].name == key.name && !scene.configs.namespace_exists(&key.namespace);
    let meant = exact.or_else(|| others.first().filter(|_| stray()));
    meant.map(|other| Elsewhere::Namespace((**other).clone()))
}

/// A service with providers whose name is a slip of the pen away from the one that was asked for.
fn slipped(scene: &Scene<'_>, question: &Question, key: &ServiceKey) -> Option<Elsewhere> {
    if scene.now.wall - question.first < SLIP_PATIENCE_MS || was_there(scene, key) {
        return None;
    }
    match scene.meant(&question.sought)? {
        Sought::Service(right, _) => Some(Elsewhere::Slip(right)).filter(|_| !was_there(scene, key)),
        Sought::Config(_) => None,
    }
}

/// Whether the service has, or lately had, an instance: then its name is right, and its providers are away.
fn was_there(scene: &Scene<'_>, key: &ServiceKey) -> bool {
    scene.naming.snapshot(key).is_some_and(|snapshot| !snapshot.instances.is_empty())
        || ["instanceRemoved", "instanceRegistered"].iter().any(|kind| {
            let mut events = scene.memory.kind(kind, scene.now.wall, HORIZON_MS);
            events.any(|event| event.subject.service.as_ref() == Some(key))
        })
}

fn told(scene: &Scene<'_>, question: &Question, key: &ServiceKey, right: &ServiceKey) -> Hit {
    let address = question.address.to_string();
    let agent = if question.agent.is_empty() { "?" } else { &question.agent };
    let hosts = scene.naming.list(right, &Query::default(), scene.now).hosts.len();
    let how = if question.standing { ("subscribes", "订阅") } else { ("asks for", "查询") };
    Hit::new(About::service(key).with_address(&address))
        .grouped(key.to_string())
        .fact("address", &address)
        .fact("agent", agent)
        .fact("asked", format!("`{}`", key.grouped()))
        .fact("right", format!("`{}`", right.grouped()))
        .fact("hosts", hosts)
        .fact("namespace", &key.namespace)
        .saw(question.last, line!(en: "{address} ({agent}) {} {key}, {} times, and gets an empty list", how.0, question.count; zh: "{address}（{agent}）{} {key}，共 {} 次，得到空列表", how.1, question.count))
        .saw(scene.now.wall, line!("{right} has {hosts} instances", "{right} 有 {hosts} 个实例"))
        .not(line!("providers that are down: the near match has healthy or listed ones", "提供者宕机：相近的那个有健康或可见的提供者"))
}

fn wrong_cluster(scene: &Scene<'_>, hits: &mut Hits) {
    for (question, key, elsewhere) in missed(scene) {
        let (Elsewhere::Cluster(there), Sought::Service(_, clusters)) = (&elsewhere, &question.sought) else {
            continue;
        };
        hits.add(
            told(scene, &question, &key, &key)
                .fact("clusters", format!("`{clusters}`"))
                .fact("there", there.join(", "))
                .confidence(Confidence::High),
        );
    }
}

fn wrong_group(scene: &Scene<'_>, hits: &mut Hits) {
    for (question, key, elsewhere) in missed(scene) {
        let Elsewhere::Group(right) = &elsewhere else { continue };
        hits.add(
            told(scene, &question, &key, right)
                .fact("group", format!("`{}`", key.group))
                .fact("right_group", format!("`{}`", right.group)),
        );
    }
}

fn name_differs(scene: &Scene<'_>, hits: &mut Hits) {
    for (question, key, elsewhere) in missed(scene) {
        if let Elsewhere::Name(right) = &elsewhere {
            hits.add(told(scene, &question, &key, right));
        }
    }
}

fn name_misspelt(scene: &Scene<'_>, hits: &mut Hits) {
    for (question, key, elsewhere) in missed(scene) {
        if let Elsewhere::Slip(right) = &elsewhere {
            let nobody = line!(
                "a service whose providers are away: nobody registered it while this is remembered",
                "该服务的提供者暂时离开：在记录范围内没有人注册过它"
            );
            hits.add(told(scene, &question, &key, right).not(nobody));
        }
    }
}

fn wrong_namespace(scene: &Scene<'_>, hits: &mut Hits) {
    for (question, key, elsewhere) in missed(scene) {
        let Elsewhere::Namespace(right) = &elsewhere else { continue };
        let known = match scene.configs.namespace_exists(&key.namespace) {
            true => ("exists", "存在"),
            false => ("was never created", "从未创建"),
        };
        hits.add(
            told(scene, &question, &key, right)
                .words("known", known.0, known.1)
                .fact("right_namespace", &right.namespace),
        );
    }
}

/// A list of this many bytes is told; of so many it is trouble.
const LARGE: usize = 1024 * 1024;
const HUGE: usize = 8 * 1024 * 1024;
/// What an instance takes in a list besides its metadata and addresses.
const FRAME: usize = 260;

fn large_list(scene: &Scene<'_>, hits: &mut Hits) {
    let mut pushes: BTreeMap<&ServiceKey, Vec<&Event>> = BTreeMap::new();
    for event in scene.told("pushSent") {
        if let Some(service) = &event.subject.service {
            pushes.entry(service).or_default().push(event);
        }
    }
    for (service, events) in pushes.into_iter().take(LOOKED_AT) {
        let Some(snapshot) = scene.naming.snapshot(service) else { continue };
        let count = snapshot.instances.len();
        let sample = &snapshot.instances[..count.min(50)];
        let metadata = |i: &nacre_model::Instance| i.metadata.iter().map(|(k, v)| k.len() + v.len() + 6).sum::<usize>();
        let each = FRAME + sample.iter().map(|i| metadata(i) + 2 * i.ip.len()).sum::<usize>() / sample.len().max(1);
        let bytes = each * count;
        if bytes < LARGE {
            continue;
        }
        let megabytes = format!("{:.1}", bytes as f64 / 1_048_576.0);
        let mut hit = Hit::new(About::service(service))
            .fact("service", service.grouped())
            .fact("megabytes", &megabytes)
            .fact("instances", count)
            .fact("each", each)
            .fact("pushes", events.len())
            .severity(if bytes >= HUGE { Severity::Warning } else { Severity::Info })
            .not(line!(
                "many services: this is one list, and every change sends it whole to every subscriber",
                "服务太多：这是一个列表，每次变更都把它整个发给每个订阅者"
            ));
        for event in events.into_iter().take(3) {
            hit = hit.event(event);
        }
        hits.add(hit.saw(
            scene.now.wall,
            line!("{count} instances of some {each} bytes each", "{count} 个实例，每个约 {each} 字节"),
        ));
    }
}

/// Refusals of the parameter check, with their reason.
fn refusals<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = (&'a Event, &'a str, &'a str)> {
    scene.told("refused").filter_map(|event| {
        let Cause::Refused { call, reason, .. } = &*event.cause else { return None };
        let checked = reason.contains("Param '") && reason.contains("is illegal");
        let listens = reason.contains("Listening-Configs");
        (checked || listens).then_some((event, call.as_str(), reason.as_str()))
    })
}

/// The number behind these words.
fn number_behind(text: &str, words: &str) -> Option<u64> {
    let rest = text.split_once(words)?.1.trim_start();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn metadata_too_long(scene: &Scene<'_>, hits: &mut Hits) {
    let mut of: BTreeMap<(&ServiceKey, String), Vec<(&Event, &str)>> = BTreeMap::new();
    for (event, _, reason) in refusals(scene).filter(|(_, _, reason)| reason.contains(check::METADATA)) {
        let Some(service) = &event.subject.service else { continue };
        let who = event.subject.instance.as_deref().or(event.subject.client.as_deref()).unwrap_or("unknown");
        of.entry((service, who.to_owned())).or_default().push((event, reason));
    }
    for ((service, who), events) in of {
        let Some((event, reason)) = events.first() else { continue };
        let size = events.iter().filter_map(|(_, reason)| number_behind(reason, "It has ")).max();
        let limit = number_behind(reason, "should not exceed ").unwrap_or(0);
        let address = event.subject.client.as_deref().map(address_of).unwrap_or_default();
        let mut hit = Hit::new(About::service(service).with_instance(&who).with_address(address))
            .grouped(service.to_string())
            .fact("service", service.grouped())
            .fact("address", without_cluster(&who))
            .fact("sender", format!("{address} ({})", super::identity::agent_at(scene, address)))
            .fact("size", size.map_or_else(|| "more".to_owned(), |size| size.to_string()))
            .fact("limit", limit)
            .fact("wanted", size.unwrap_or(limit * 2).next_multiple_of(1024))
            .fact("times", events.len())
            .confidence(Confidence::High)
            .not(line!(
                "the network or a lost answer: the registration arrived, was read and refused",
                "网络或应答丢失：注册已到达、读取并被拒绝"
            ));
        for (event, _) in events.iter().take(4) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

fn parameter_refused(scene: &Scene<'_>, hits: &mut Hits) {
    let mut of: BTreeMap<(String, String, String), Vec<&Event>> = BTreeMap::new();
    for (event, call, reason) in refusals(scene).filter(|(_, _, reason)| !reason.contains(check::METADATA)) {
        let address = event.subject.client.as_deref().map(address_of).unwrap_or("unknown");
        of.entry((call.to_owned(), address.to_owned(), reason.to_owned())).or_default().push(event);
    }
    for ((call, address, reason), events) in of {
        let named: BTreeSet<String> = events
            .iter()
            .filter_map(|event| {
                let service = event.subject.service.as_ref().map(|key| key.to_string());
                service.or_else(|| event.subject.config.as_ref().map(|key| key.to_string()))
            })
            .collect();
        let named: Vec<String> = named.into_iter().take(3).collect();
        let mut hit = Hit::new(About::address(&address))
            .grouped(format!("{call} {address} {reason}"))
            .fact("call", &call)
            .fact("address", &address)
            .fact("agent", super::identity::agent_at(scene, &address))
            .fact("reason", reason.trim_start_matches("Param check invalid:"))
            .fact("times", events.len())
            .words(
                "about",
                if named.is_empty() { "nothing named".to_owned() } else { named.join(", ") },
                if named.is_empty() { "未写明的对象".to_owned() } else { named.join(", ") },
            )
            .confidence(Confidence::High)
            .not(line!(
                "the network or authentication: the call was read, and one parameter broke a rule",
                "网络或认证：调用已被读取，其中一个参数违反规则"
            ));
        for event in events.into_iter().take(4) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::{Instance, Subject};

    use super::*;
    use crate::testing::Stage;

    fn http(stage: &mut Stage, key: &ServiceKey) {
        let effects = stage.naming.register_http(key, Instance::new("10.0.0.1", 80), stage.now).expect("registers");
        effects.events.into_iter().for_each(|event| {
            stage.record(event);
        });
    }

    fn ask(stage: &mut Stage, key: ServiceKey, clusters: &str) {
        let sought = Sought::Service(key, clusters.into());
        stage.sightings.asked.note(sought, [192, 0, 2, 5].into(), "Nacos-Java-Client:v1.4.8", false, stage.now);
        stage.wait(2_500);
    }

    #[test]
    fn consumers_that_look_elsewhere_are_told_where_the_providers_are() {
        let there = || ServiceKey::new("", "G", "orders");
        for (asked, clusters, code, word) in [
            (ServiceKey::new("", "H", "orders"), "", "CONSUMER-WRONG-GROUP", "`G`"),
            (ServiceKey::new("", "G", "Orders"), "", "CONSUMER-NAME-DIFFERS", "`G@@orders`"),
            (ServiceKey::new("", "G", "orders"), "c2", "CONSUMER-WRONG-CLUSTER", "DEFAULT"),
            (ServiceKey::new("dev", "G", "orders"), "", "CONSUMER-WRONG-NAMESPACE", "public"),
            (ServiceKey::new("dev", "H", "orders"), "", "CONSUMER-WRONG-NAMESPACE", "`G@@orders`"),
        ] {
            let mut stage = Stage::default();
            http(&mut stage, &there());
            ask(&mut stage, asked, clusters);
            let finding = stage.only();
            assert_eq!(finding.code, code);
            assert!(finding.cause.contains("192.0.2.5") && finding.cause.contains(word), "{}", finding.cause);
            stage.wait(70_000);
            assert!(stage.codes().is_empty());
        }
    }

    #[test]
    fn a_misspelt_service_is_told_with_the_one_that_was_meant_unless_it_was_there() {
        let there = ServiceKey::new("", "G", "order-service");
        let mut stage = Stage::default();
        http(&mut stage, &there);
        ask(&mut stage, ServiceKey::new("", "G", "order-servcie"), "");
        assert!(stage.codes().is_empty(), "its service may be deployed just now");
        let finding = stage.wait(3_000).only();
        assert_eq!(finding.code, "CONSUMER-NAME-MISSPELT");
        for word in ["192.0.2.5", "`G@@order-servcie`", "`G@@order-service`"] {
            assert!(finding.cause.contains(word), "{}", finding.cause);
        }
        let mut stage = Stage::default();
        http(&mut stage, &there);
        let own = ServiceKey::new("", "G", "order-servicer");
        http(&mut stage, &own);
        let effects = stage.naming.deregister_http(&own, "10.0.0.1", 80, stage.now);
        effects.events.into_iter().for_each(|event| {
            stage.record(event);
        });
        ask(&mut stage, own, "");
        assert!(stage.wait(3_000).codes().is_empty(), "its providers are away");
    }

    #[test]
    fn who_finds_something_or_has_no_near_match_is_not_told() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "orders");
        ask(&mut stage, ServiceKey::new("", "G", "nowhere"), "");
        ask(&mut stage, key.clone(), "");
        http(&mut stage, &key);
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn refused_metadata_are_collected_with_size_limit_and_property() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "orders");
        let about = Subject::service(&key).with_instance("10.0.0.1:80:DEFAULT").with_client("1700_10.0.0.1_5");
        let reason =
            "Param check invalid:Param 'Metadata' is illegal, the param length should not exceed 1024. It has 6000.";
        let refused = || Cause::Refused { call: "InstanceRequest".into(), code: 400, reason: reason.into() };
        stage.event(about.clone(), refused()).event(about.clone(), refused());
        let finding = stage.only();
        assert_eq!(finding.code, "METADATA-TOO-LONG");
        for word in ["6000", "1024", "G@@orders", "10.0.0.1:80", "2 times"] {
            assert!(finding.cause.contains(word), "{word}: {}", finding.cause);
        }
        assert!(finding.remedy[0].contains("nacos.naming.service.metadata.length=6144"), "{:?}", finding.remedy);
        let reason =
            "Param check invalid:Param 'cluster' is illegal, illegal characters should not appear in the param.";
        stage.event(about, Cause::Refused { call: "InstanceRequest".into(), code: 400, reason: reason.into() });
        assert!(stage.codes().contains(&"PARAMETER-REFUSED".to_owned()));
    }

    #[test]
    fn large_lists_that_are_pushed_are_told_with_their_size() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "orders");
        for n in 0..5_000 {
            let instance = Instance::new(&format!("10.0.{}.{}", n / 250, n % 250), 80);
            let _ = stage.naming.register_http(&key, instance, stage.now).expect("registers");
        }
        stage.event(Subject::service(&key).with_client("1_10.0.0.1_5"), Cause::PushSent { request: "1".into() });
        let finding = stage.only();
        assert_eq!(finding.code, "LIST-LARGE");
        assert!(finding.cause.contains("5000 instances"), "{}", finding.cause);
    }
}

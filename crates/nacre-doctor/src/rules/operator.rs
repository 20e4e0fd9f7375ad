//! Operators, protection and display: what is alive and hidden, what is dead and shown, and what consumers do not hear.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use nacre_model::{Cause, Event, Instance, ServiceKey};
use nacre_naming::{ClientId, ClusterMetadata, HealthChecker, Query, Snapshot};

use super::identity::{LOOKED_AT, newest_by_instance, remembered, without_cluster};
use crate::{About, Confidence, Hit, Hits, Rule, Scene, line, memory::HORIZON_MS, rule};

pub static RULES: [Rule; 12] = [
    rule!("BEAT-REGISTERED-WEIGHT-ZERO", beat_weight_zero),
    rule!("CHECK-FAILS", check_fails),
    rule!("CHECK-WRONG-PORT", check_wrong_port),
    rule!("CHECKER-NONE-FROZEN", frozen),
    rule!("EMPTY-PUSH-IGNORED", empty_ignored),
    rule!("OPERATOR-DISABLED", disabled),
    rule!("OPERATOR-WEIGHT-ZERO", weight_zero),
    rule!("PROTECTION-MASKS", masks),
    rule!("PROTECTION-ZERO-MASKS", zero_masks),
    rule!("REGISTERED-HIDDEN", registered_hidden),
    rule!("REGISTERED-UNHEALTHY", registered_unhealthy),
    rule!("UDP-PUSH-UNACKED", udp_unacked),
];

/// Snapshots of a round, each service asked for once.
#[derive(Default)]
struct Views<'a>(HashMap<&'a ServiceKey, Option<Arc<Snapshot>>>);

impl<'a> Views<'a> {
    /// An instance as consumers would see it, hidden or not.
    fn instance(&mut self, scene: &Scene<'_>, service: &'a ServiceKey, identity: &str) -> Option<Arc<Instance>> {
        let snapshot = self.0.entry(service).or_insert_with(|| scene.naming.snapshot(service));
        let found = snapshot.as_ref()?.instances.iter().find(|instance| instance.identity() == identity);
        found.cloned()
    }
}

/// Operators' edits that hide an instance now, by what they said last.
fn edited<'a>(scene: &'a Scene<'_>, hides: impl Fn(bool, f64) -> bool) -> Vec<(&'a Event, Arc<Instance>)> {
    let mut views = Views::default();
    let mut found = Vec::new();
    for ((service, identity), event) in newest_by_instance(scene, "operatorMetadata", |_| true) {
        let Cause::OperatorMetadata { enabled, weight } = *event.cause else { continue };
        if hides(enabled, weight)
            && let Some(instance) = views.instance(scene, service, identity)
            && instance.healthy
        {
            found.push((event, instance));
        }
    }
    found
}

fn told_edit(scene: &Scene<'_>, event: &Event, instance: &Instance) -> Option<Hit> {
    let (service, identity) = (event.subject.service.as_ref()?, event.subject.instance.as_deref()?);
    let hand = scene.sightings.hands.editor(service, identity);
    let who = hand.as_ref().map_or_else(
        || "somebody who is not remembered (before this server's start, or in a batch)".to_owned(),
        |hand| format!("{} ({})", hand.address, if hand.agent.is_empty() { "?" } else { &hand.agent }),
    );
    let zh_who = match &hand {
        Some(_) => who.clone(),
        None => "已无记录的某人（在本服务器启动之前，或批量修改）".to_owned(),
    };
    let mut hit = Hit::new(About::service(service).with_instance(identity))
        .grouped(service.to_string())
        .fact("address", without_cluster(identity))
        .fact("service", service.grouped())
        .fact("name", &service.name)
        .fact("group", &service.group)
        .fact("namespace", &service.namespace)
        .fact("ip", &instance.ip)
        .fact("port", instance.port)
        .fact("cluster", &instance.cluster)
        .words("who", &who, &zh_who)
        .fact("when", nacre_journal_time(event.at))
        .confidence(Confidence::High)
        .event(event)
        .saw(
            event.at,
            line!("the operator's record of {identity} was edited by {who}", "{identity} 的运维记录由 {zh_who} 编辑"),
        )
        .not(line!(
            "the client: its instance is healthy, and its own registration does not hide it",
            "客户端：它的实例健康，其自身的注册也没有隐藏它"
        ));
    let registered = scene.memory.instance(service, identity, scene.now.wall, HORIZON_MS);
    let later = registered.filter(|e| e.cause.kind() == "instanceRegistered" && e.at > event.at).last();
    if let Some(later) = later {
        hit = hit.saw(
            later.at,
            line!(
                "{identity} registered again after that; the operator's record outlives registrations",
                "{identity} 之后又注册了；运维记录不随注册而消失"
            ),
        );
    }
    Some(hit)
}

/// Seconds of the day in UTC: evidence has the full time.
fn nacre_journal_time(at: i64) -> String {
    let seconds = at.div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn disabled(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, instance) in edited(scene, |enabled, _| !enabled) {
        if !instance.enabled
            && let Some(hit) = told_edit(scene, event, &instance)
        {
            hits.add(hit);
        }
    }
}

fn weight_zero(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, instance) in edited(scene, |enabled, weight| enabled && weight <= 0.0) {
        if instance.enabled
            && instance.weight <= 0.0
            && let Some(hit) = told_edit(scene, event, &instance)
        {
            hits.add(hit);
        }
    }
}

/// Registrations that hide their own instance, and still do.
fn hidden_by_client<'a>(scene: &'a Scene<'_>, by_beat: bool) -> Vec<(&'a Event, Arc<Instance>)> {
    let hides = |event: &Event| event.shown.as_ref().is_some_and(|shown| !shown.enabled || shown.weight <= 0.0);
    let mut views = Views::default();
    let mut found = Vec::new();
    for ((service, identity), event) in newest_by_instance(scene, "instanceRegistered", hides) {
        let Cause::InstanceRegistered { how, .. } = &*event.cause else { continue };
        // The client's own word, without the operator's layer.
        let own = event.subject.client.as_deref().map(|client| scene.naming.client_publications(client));
        let own = own.and_then(Result::ok).unwrap_or_default().into_iter();
        let mut own = own.filter(|entry| entry.service == *service && entry.instance.identity() == identity);
        let Some(own) = own.next().map(|entry| entry.instance) else { continue };
        if (own.enabled && own.weight > 0.0) || (how == "beat" && own.enabled) != by_beat {
            continue;
        }
        let hidden = views.instance(scene, service, identity).filter(|i| !i.enabled || i.weight <= 0.0);
        found.extend(hidden.map(|instance| (event, instance)));
    }
    found
}

fn told_hidden(event: &Event, instance: &Instance) -> Option<Hit> {
    let (service, identity) = (event.subject.service.as_ref()?, event.subject.instance.as_deref()?);
    let (what, zh_what) = match (instance.enabled, instance.weight <= 0.0) {
        (false, true) => ("enabled=false and weight 0", "enabled=false 与权重 0"),
        (false, false) => ("enabled=false", "enabled=false"),
        _ => ("weight 0", "权重 0"),
    };
    Some(
        Hit::new(About::service(service).with_instance(identity))
            .grouped(service.to_string())
            .fact("address", without_cluster(identity))
            .fact("service", service.grouped())
            .words("what", what, zh_what)
            .confidence(Confidence::High)
            .event(event)
            .saw(event.at, line!("{identity} was registered with {what}", "{identity} 注册时带有 {zh_what}"))
            .not(line!("an operator: no operator's record is in force for it", "运维人员：对它没有生效的运维记录")),
    )
}

fn beat_weight_zero(scene: &Scene<'_>, hits: &mut Hits) {
    hidden_by_client(scene, true).iter().filter_map(|(e, i)| told_hidden(e, i)).for_each(|hit| hits.add(hit));
}

fn registered_hidden(scene: &Scene<'_>, hits: &mut Hits) {
    hidden_by_client(scene, false).iter().filter_map(|(e, i)| told_hidden(e, i)).for_each(|hit| hits.add(hit));
}

fn registered_unhealthy(scene: &Scene<'_>, hits: &mut Hits) {
    let mut views = Views::default();
    let sick = |event: &Event| {
        let over_connection = matches!(&*event.cause, Cause::InstanceRegistered { how, .. } if how.starts_with("grpc"));
        over_connection && event.shown.as_ref().is_some_and(|shown| !shown.healthy)
    };
    for ((service, identity), event) in newest_by_instance(scene, "instanceRegistered", sick) {
        let Some(instance) = views.instance(scene, service, identity).filter(|instance| !instance.healthy) else {
            continue;
        };
        let client = event.subject.client.as_deref().unwrap_or_default();
        hits.add(
            Hit::new(About::service(service).with_instance(identity).with_client(client))
                .fact("address", format!("{}:{}", instance.ip, instance.port))
                .fact("service", service.grouped())
                .fact("client", client)
                .confidence(Confidence::High)
                .event(event)
                .saw(
                    event.at,
                    line!(
                        "{client} registered {identity} with healthy=false over its connection",
                        "{client} 通过其连接以 healthy=false 注册了 {identity}"
                    ),
                )
                .not(line!(
                    "beats or checks: nobody beats for an instance of a connection, and nobody checks it",
                    "心跳或检查：连接上的实例没有人发心跳，也没有人检查"
                )),
        );
    }
}

/// Services whose dead are shown as healthy: with the threshold, and how many are.
fn masked(scene: &Scene<'_>, zero: bool) -> Vec<Hit> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for event in remembered(scene, "protectionReached") {
        let Some(service) = &event.subject.service else { continue };
        if seen.len() == LOOKED_AT || !seen.insert(service) {
            continue;
        }
        let Some(snapshot) = scene.naming.snapshot(service) else { continue };
        let threshold = snapshot.protect_threshold();
        if (threshold <= 0.0) != zero
            || !scene.naming.list(service, &Query::default(), scene.now).reach_protection_threshold
        {
            continue;
        }
        let shown: Vec<&Arc<Instance>> = snapshot.instances.iter().filter(|instance| instance.enabled).collect();
        let dead: Vec<&&Arc<Instance>> = shown.iter().filter(|instance| !instance.healthy).collect();
        if dead.is_empty() {
            continue;
        }
        let named: Vec<String> = dead.iter().take(5).map(|i| format!("{}:{}", i.ip, i.port)).collect();
        found.push(
            Hit::new(About::service(service))
                .fact("masked", dead.len())
                .fact("total", shown.len())
                .fact("healthy", shown.len() - dead.len())
                .fact("threshold", threshold)
                .fact("service", service.grouped())
                .fact("name", &service.name)
                .fact("group", &service.group)
                .fact("namespace", &service.namespace)
                .fact("addresses", named.join(", "))
                .confidence(Confidence::High)
                .event(event)
                .saw(scene.now.wall, line!("consumers get {} hosts, all marked healthy, with reachProtectionThreshold=true; not healthy: {}", "消费者得到 {} 个主机，全部标为健康，reachProtectionThreshold=true；实际不健康的：{}", shown.len(), named.join(", ")))
                .not(line!("health checks: detail and catalog show the real state, healthy=false", "健康检查：详情与目录显示真实状态 healthy=false")),
        );
    }
    found
}

fn masks(scene: &Scene<'_>, hits: &mut Hits) {
    masked(scene, false).into_iter().for_each(|hit| hits.add(hit));
}

fn zero_masks(scene: &Scene<'_>, hits: &mut Hits) {
    masked(scene, true).into_iter().for_each(|hit| hits.add(hit));
}

fn udp_unacked(scene: &Scene<'_>, hits: &mut Hits) {
    let mut by_client: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in scene.told("pushGaveUp") {
        if let Some(client) = event.subject.client.as_deref().filter(|client| client.ends_with("#true")) {
            by_client.entry(client).or_default().push(event);
        }
    }
    let acked: BTreeSet<&str> = scene.told("pushAcked").filter_map(|e| e.subject.client.as_deref()).collect();
    for (client, events) in by_client.into_iter().filter(|(client, _)| !acked.contains(client)).take(LOOKED_AT) {
        let address = client.trim_end_matches("#true");
        let Some(id) = ClientId::parse(client) else { continue };
        // Nobody says good-bye to a subscription by UDP: who does not poll any more is gone, and does not acknowledge.
        let agent = events
            .iter()
            .filter_map(|event| scene.naming.subscription(&id, event.subject.service.as_ref()?))
            .map(|subscription| subscription.agent.to_string())
            .next();
        let Some(agent) = agent else { continue };
        let services: BTreeSet<String> =
            events.iter().filter_map(|event| Some(event.subject.service.as_ref()?.grouped())).collect();
        let services = services.into_iter().take(5).collect::<Vec<_>>().join(", ");
        let mut hit = Hit::new(About::address(crate::memory::address_of(client)).with_client(client))
            .fact("address", address)
            .fact("agent", if agent.is_empty() { "?" } else { &agent })
            .fact("times", events.len())
            .fact("services", &services)
            .confidence(Confidence::High)
            .not(line!(
                "the list itself: polls of the same client are answered, so it sees changes at its next poll",
                "列表本身：同一客户端的轮询能得到应答，下次轮询就能看到变更"
            ));
        for event in events.into_iter().take(5) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

/// Clients that keep the last list when they are pushed an empty one, unless told otherwise.
fn keeps_last_list(agent: &str) -> bool {
    agent.starts_with("Nacos-Go-Client") || agent.starts_with("Nacos-Python-Client")
}

fn empty_ignored(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = BTreeSet::new();
    for event in scene.memory.kind("instanceRemoved", scene.now.wall, HORIZON_MS) {
        let Some(service) = event.subject.service.as_ref().filter(|_| event.shown.is_none()) else { continue };
        if seen.len() == LOOKED_AT || !seen.insert(service) {
            continue;
        }
        if !scene.naming.list(service, &Query::default(), scene.now).hosts.is_empty() {
            continue;
        }
        let subscribers = scene.naming.subscribers(service);
        let ignoring: Vec<_> = subscribers.iter().filter(|s| keeps_last_list(&s.subscription.agent)).collect();
        let Some(first) = ignoring.first() else { continue };
        let named: Vec<String> =
            ignoring.iter().take(5).map(|s| format!("{} ({})", s.address(), s.subscription.agent)).collect();
        hits.add(
            Hit::new(About::service(service).with_client(&first.client.to_string()))
                .fact("service", service.grouped())
                .fact("subscribers", named.join(", "))
                .fact("count", ignoring.len())
                .event(event)
                .saw(
                    scene.now.wall,
                    line!(
                        "the list is empty (hosts=[]) and was pushed to {}",
                        "列表为空（hosts=[]），已推送给 {}",
                        named.join(", ")
                    ),
                )
                .not(line!("the push: an empty list is pushed like any other", "推送：空列表与其他列表一样推送")),
        );
    }
}

/// Persistent instances that an active check found dead, still so, with their cluster's checker.
fn failing<'a>(scene: &'a Scene<'_>) -> Vec<(&'a Event, Arc<Instance>, ClusterMetadata)> {
    let by_check = |event: &Event| {
        let Cause::InstanceUnhealthy { cause, .. } = &*event.cause else { return false };
        ["tcp:", "http:", "mysql:"].iter().any(|kind| cause.starts_with(kind))
    };
    let mut views = Views::default();
    let mut found = Vec::new();
    for ((service, identity), event) in newest_by_instance(scene, "instanceUnhealthy", by_check) {
        let Some(instance) = views.instance(scene, service, identity).filter(|i| !i.healthy && !i.ephemeral) else {
            continue;
        };
        found.push((event, Arc::clone(&instance), cluster_of(scene, service, &instance)));
    }
    found
}

fn cluster_of(scene: &Scene<'_>, service: &ServiceKey, instance: &Instance) -> ClusterMetadata {
    let detail = scene.naming.service(service).ok();
    detail.and_then(|detail| detail.clusters.get(&instance.cluster).cloned()).unwrap_or_default()
}

fn told_check(event: &Event, instance: &Instance, cluster: &ClusterMetadata) -> Option<Hit> {
    let Cause::InstanceUnhealthy { cause, .. } = &*event.cause else { return None };
    let service = event.subject.service.as_ref()?;
    let port = if cluster.use_instance_port { instance.port } else { cluster.check_port };
    Some(
        Hit::new(About::service(service).with_instance(&instance.identity()))
            .fact("address", format!("{}:{}", instance.ip, instance.port))
            .fact("ip", &instance.ip)
            .fact("own", instance.port)
            .fact("port", port)
            .fact("checker", cluster.health_checker.kind())
            .fact("message", cause)
            .fact("cluster", &instance.cluster)
            .fact("service", service.grouped())
            .fact("name", &service.name)
            .fact("group", &service.group)
            .fact("namespace", &service.namespace)
            .event(event)
            .saw(
                event.at,
                line!(
                    "the {} check of {}:{port} failed: {cause}",
                    "对 {1}:{port} 的 {0} 检查失败：“{cause}”",
                    cluster.health_checker.kind(),
                    instance.ip
                ),
            )
            .not(line!(
                "beats: a persistent instance has none, this server checks it",
                "心跳：持久实例没有心跳，由本服务器检查"
            )),
    )
}

fn check_fails(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, instance, cluster) in failing(scene) {
        if (cluster.use_instance_port || cluster.check_port == instance.port)
            && let Some(hit) = told_check(event, &instance, &cluster)
        {
            hits.add(hit);
        }
    }
}

fn check_wrong_port(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, instance, cluster) in failing(scene) {
        if !cluster.use_instance_port
            && cluster.check_port != instance.port
            && let Some(hit) = told_check(event, &instance, &cluster)
        {
            hits.add(hit.confidence(Confidence::High));
        }
    }
}

fn frozen(scene: &Scene<'_>, hits: &mut Hits) {
    let mut views = Views::default();
    let sick = |event: &Event| event.shown.as_ref().is_some_and(|shown| !shown.ephemeral && !shown.healthy);
    let events = newest_by_instance(scene, "instanceRegistered", sick);
    let turned = newest_by_instance(scene, "instanceUnhealthy", sick);
    for ((service, identity), event) in events.into_iter().chain(turned) {
        let Some(instance) = views.instance(scene, service, identity).filter(|i| !i.healthy && !i.ephemeral) else {
            continue;
        };
        if cluster_of(scene, service, &instance).health_checker != HealthChecker::None {
            continue;
        }
        hits.add(
            Hit::new(About::service(service).with_instance(identity))
                .fact("address", format!("{}:{}", instance.ip, instance.port))
                .fact("cluster", &instance.cluster)
                .fact("service", service.grouped())
                .fact("name", &service.name)
                .fact("ip", &instance.ip)
                .fact("port", instance.port)
                .confidence(Confidence::High)
                .event(event)
                .saw(
                    scene.now.wall,
                    line!(
                        "the checker of cluster {} is NONE: nothing will change it",
                        "集群 {} 的检查方式为 NONE：什么都不会改变它",
                        instance.cluster
                    ),
                )
                .not(line!("a failing check: there is none", "检查失败：根本没有检查")),
        );
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::Metadata;
    use nacre_naming::{ConnectionInfo, Effects, InstanceRef, NamingCommand, ServiceMetadata, Subscription};

    use super::*;
    use crate::testing::Stage;

    fn take(stage: &mut Stage, effects: Effects) {
        effects.events.into_iter().for_each(|event| {
            stage.record(event);
        });
    }

    fn apply(stage: &mut Stage, command: NamingCommand) {
        let applied = stage.naming.apply(&command, stage.now);
        take(stage, applied.effects);
    }

    fn key() -> ServiceKey {
        ServiceKey::new("", "G", "s")
    }

    fn http(stage: &mut Stage, instance: Instance) {
        let effects = stage.naming.register_http(&key(), instance, stage.now).expect("registers");
        take(stage, effects);
    }

    fn edit(stage: &mut Stage, ip: &str, enabled: bool, weight: f64) {
        let instance = InstanceRef::new(ip, 80, "DEFAULT");
        let metadata = Metadata::new();
        apply(
            stage,
            NamingCommand::UpdateInstance { service: key(), instance, ephemeral: true, weight, enabled, metadata },
        );
    }

    #[test]
    fn what_an_operator_hides_is_told_with_who_and_clears() {
        let mut stage = Stage::default();
        http(&mut stage, Instance::new("10.0.0.1", 80));
        http(&mut stage, Instance::new("10.0.0.2", 80));
        edit(&mut stage, "10.0.0.1", false, 1.0);
        edit(&mut stage, "10.0.0.2", true, 0.0);
        stage.sightings.hands.edited(&key(), "10.0.0.1:80:DEFAULT", [10, 9, 9, 9].into(), "curl/8", stage.now);
        let findings = stage.findings();
        let codes: Vec<_> = findings.iter().map(|f| f.code.as_str()).collect();
        assert_eq!(codes, ["OPERATOR-DISABLED", "OPERATOR-WEIGHT-ZERO"]);
        assert!(findings[0].cause.contains("10.9.9.9 (curl/8)"), "{}", findings[0].cause);
        edit(&mut stage, "10.0.0.1", true, 1.0);
        edit(&mut stage, "10.0.0.2", true, 2.0);
        stage.wait(5_000);
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn what_hides_itself_is_told_from_what_an_operator_hides() {
        let mut stage = Stage::default();
        let mut instance = Instance::new("10.0.0.1", 80);
        instance.weight = 0.0;
        http(&mut stage, instance);
        assert_eq!(stage.only().code, "REGISTERED-HIDDEN");
        let mut stage = Stage::default();
        let info =
            nacre_naming::BeatInfo::parse(r#"{"serviceName":"G@@s","ip":"10.0.0.3","port":80,"cluster":"DEFAULT"}"#);
        let info = info.expect("a beat");
        let key = key();
        let beat = nacre_naming::Beat {
            service: &key,
            ip: "10.0.0.3",
            port: 80,
            cluster: "DEFAULT",
            info: Some(&info),
            sender: "",
        };
        let (_, effects) = stage.naming.beat(&beat, stage.now).expect("beats");
        let weight = effects.events.iter().find_map(|e| e.shown.as_ref()).map(|i| i.weight);
        take(&mut stage, effects);
        if weight == Some(0.0) {
            assert!(stage.codes().contains(&"BEAT-REGISTERED-WEIGHT-ZERO".to_owned()));
        }
    }

    #[test]
    fn masked_instances_are_counted_in_words() {
        for (threshold, code) in [(0.0, "PROTECTION-ZERO-MASKS"), (0.8, "PROTECTION-MASKS")] {
            let mut stage = Stage::default();
            let metadata = ServiceMetadata { protect_threshold: threshold, ephemeral: true, ..Default::default() };
            apply(&mut stage, NamingCommand::CreateService { service: key(), metadata });
            let mut dead = Instance::new("10.0.0.1", 80);
            dead.healthy = false;
            http(&mut stage, dead);
            stage.wait(1_000);
            let effects = stage.naming.tick(stage.now);
            take(&mut stage, effects);
            let finding = stage.only();
            assert_eq!(finding.code, code);
            assert!(finding.cause.contains("protection masks 1 of 1"), "{}", finding.cause);
        }
    }

    #[test]
    fn an_unhealthy_registration_over_a_connection_never_heals_and_is_told() {
        let mut stage = Stage::default();
        let info = ConnectionInfo {
            id: "1700000000000_10.0.0.1_1".into(),
            client_ip: "10.0.0.1".into(),
            client_port: 1,
            version: "Nacos-Go-Client:v2.2.1".into(),
            app: "a".into(),
            connect_type: "GRPC".into(),
            labels: Default::default(),
        };
        let effects = stage.naming.connect(info, stage.now);
        take(&mut stage, effects);
        let client = ClientId::connection("1700000000000_10.0.0.1_1");
        let mut instance = Instance::new("10.0.0.1", 80);
        instance.healthy = false;
        let effects = stage.naming.register(&client, &key(), instance, stage.now).expect("ok");
        take(&mut stage, effects);
        assert_eq!(stage.only().code, "REGISTERED-UNHEALTHY");
        // The same client subscribes, and the last instance goes: it keeps the old list.
        let subscription = Subscription {
            clusters: "".into(),
            ip: "10.0.0.1".into(),
            port: 0,
            agent: "Nacos-Go-Client:v2.2.1".into(),
            app: "a".into(),
        };
        let (_, effects) = stage.naming.subscribe(&client, &key(), subscription, stage.now).expect("ok");
        take(&mut stage, effects);
        let effects = stage.naming.deregister(&client, &key(), stage.now).expect("ok");
        take(&mut stage, effects);
        stage.wait(5_000);
        let finding = stage.only();
        assert_eq!(finding.code, "EMPTY-PUSH-IGNORED");
        assert!(finding.cause.contains("Nacos-Go-Client:v2.2.1"), "{}", finding.cause);
    }

    #[test]
    fn failed_checks_name_checker_port_and_message() {
        for (own_port, code) in [(true, "CHECK-FAILS"), (false, "CHECK-WRONG-PORT")] {
            let mut stage = Stage::default();
            let mut metadata = ServiceMetadata { ephemeral: false, ..Default::default() };
            let cluster = ClusterMetadata { use_instance_port: own_port, ..Default::default() };
            metadata.clusters.insert("DEFAULT".into(), cluster);
            apply(&mut stage, NamingCommand::CreateService { service: key(), metadata });
            let mut instance = Instance::new("10.0.0.1", 8080);
            instance.ephemeral = false;
            apply(&mut stage, NamingCommand::RegisterPersistent { service: key(), instance });
            let reason = "tcp:unable2connect:refused".to_owned();
            apply(
                &mut stage,
                NamingCommand::ChangeHealth {
                    service: key(),
                    ip: "10.0.0.1".into(),
                    port: 8080,
                    healthy: false,
                    reason: reason.clone(),
                },
            );
            let codes = stage.findings();
            let finding = codes.iter().find(|f| f.code == code).expect(code);
            let port = if own_port { "8080" } else { "80" };
            assert!(finding.cause.contains(&reason) && finding.cause.contains(port), "{}", finding.cause);
        }
    }

    #[test]
    fn subscribers_that_never_acknowledge_are_named_once() {
        let mut stage = Stage::default();
        let about = nacre_model::Subject::service(&key()).with_client("10.0.0.5:4000#true");
        stage.event(about.clone(), Cause::PushGaveUp { attempts: 3 });
        assert!(stage.codes().is_empty(), "whoever does not poll any more is gone");
        let polls = Subscription {
            clusters: "".into(),
            ip: "10.0.0.5".into(),
            port: 4000,
            agent: "Nacos-Java-Client:v1.4.8".into(),
            app: "".into(),
        };
        let _ = stage.naming.subscribe_udp(&key(), polls, stage.now).expect("room");
        stage.event(about, Cause::PushGaveUp { attempts: 3 });
        let finding = stage.only();
        assert_eq!(finding.code, "UDP-PUSH-UNACKED");
        assert!(finding.cause.contains("10.0.0.5:4000"), "{}", finding.cause);
    }
}

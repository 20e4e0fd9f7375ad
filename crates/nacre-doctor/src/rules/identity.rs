//! Identity and addressing: who publishes which address, and under which name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nacre_model::{Cause, Event, Instance, ServiceKey, event::Removal, key::likeness};
use nacre_naming::{ClientId, Contested, Published, Sender};

use crate::{
    About, Confidence, Hit, Hits, Rule, Scene, Severity,
    asked::{ip_of, unreachable_from_elsewhere},
    line,
    memory::{HORIZON_MS, address_of},
    rule,
    sightings::Act,
};

pub static RULES: [Rule; 9] = [
    rule!("ADDRESS-HTTP-AND-GRPC", http_and_grpc),
    rule!("ADDRESS-PUBLISHED-TWICE", published_twice),
    rule!("BEATS-FROM-GHOST", ghost),
    rule!("BEATS-FROM-TWO-SENDERS", two_senders),
    rule!("DEREGISTER-MISSED-PERSISTENT", missed_persistent),
    rule!("HOST-IN-TWO-FORMS", two_forms),
    rule!("PORT-CHANGES-EACH-START", changing_port),
    rule!("REGISTERED-UNREACHABLE-IP", unreachable),
    rule!("SERVICE-NAMES-ALIKE", names_alike),
];

/// Subjects one rule looks at in a round.
pub(super) const LOOKED_AT: usize = 300;

/// Events of a kind that are remembered, however old, newest first.
pub(super) fn remembered<'a>(scene: &'a Scene<'_>, kind: &str) -> impl Iterator<Item = &'a Event> + use<'a> {
    scene.memory.kind(kind, scene.now.wall, scene.now.wall)
}

/// The newest remembered event of a kind for every instance, so many at most.
pub(super) fn newest_by_instance<'a>(
    scene: &'a Scene<'_>,
    kind: &str,
    wanted: impl Fn(&Event) -> bool,
) -> BTreeMap<(&'a ServiceKey, &'a str), &'a Event> {
    let mut found = BTreeMap::new();
    for event in remembered(scene, kind) {
        let (Some(service), Some(instance)) = (&event.subject.service, event.subject.instance.as_deref()) else {
            continue;
        };
        if found.len() < LOOKED_AT && !found.contains_key(&(service, instance)) && wanted(event) {
            found.insert((service, instance), event);
        }
    }
    found
}

/// `ip:port` of `ip:port:cluster`.
pub(super) fn without_cluster(identity: &str) -> &str {
    identity.rsplit_once(':').map_or(identity, |(address, _)| address)
}

/// The agents seen at an address, the newest, in words.
pub(super) fn agent_at(scene: &Scene<'_>, address: &str) -> String {
    let agents = scene.sightings.get(address).map(|source| source.agents()).unwrap_or_default();
    agents.last().map_or_else(|| "?".to_owned(), |agent| agent.to_string())
}

/// An address that several clients publish now.
struct Shared<'a> {
    service: &'a ServiceKey,
    identity: &'a str,
    event: &'a Event,
    entries: Vec<Published>,
}

impl Shared<'_> {
    fn over_both(&self) -> bool {
        let connection = |entry: &Published| entry.client.is_connection();
        self.entries.iter().any(connection) && !self.entries.iter().all(connection)
    }
}

fn shared<'a>(scene: &'a Scene<'_>) -> Vec<Shared<'a>> {
    let mut publishers: HashMap<&ServiceKey, Vec<Published>> = HashMap::new();
    let mut found = Vec::new();
    for ((service, identity), event) in newest_by_instance(scene, "instanceShadowed", |_| true) {
        let all = publishers.entry(service).or_insert_with(|| scene.naming.publishers(service));
        let entries: Vec<_> = all.iter().filter(|entry| entry.instance.identity() == identity).cloned().collect();
        let clients: BTreeSet<&ClientId> = entries.iter().map(|entry| &entry.client).collect();
        if clients.len() > 1 {
            found.push(Shared { service, identity, event, entries });
        }
    }
    found
}

fn told_shared(scene: &Scene<'_>, shared: &Shared<'_>) -> Hit {
    let latest = shared.entries.last().map(|entry| entry.client.to_string()).unwrap_or_default();
    let clients: Vec<String> = shared.entries.iter().map(|entry| entry.client.to_string()).collect();
    let about = About::service(shared.service).with_instance(shared.identity);
    let mut hit = Hit::new(about)
        .fact("address", without_cluster(shared.identity))
        .fact("service", shared.service.grouped())
        .fact("count", clients.len())
        .fact("clients", clients.join(" and "))
        .confidence(Confidence::High)
        .event(shared.event);
    for entry in &shared.entries {
        let Instance { weight, healthy, .. } = &*entry.instance;
        let client = entry.client.to_string();
        let agent = scene.server.connection(&client).map_or_else(
            || "over HTTP, kept by beats".to_owned(),
            |connection| format!("{}, silent {} ms", connection.version, connection.idle_ms),
        );
        hit = hit.saw(
            scene.now.wall,
            line!(
                "{client} ({agent}) publishes {} with weight {weight}, healthy={healthy}",
                "{client}（{agent}）发布 {}，权重 {weight}，healthy={healthy}",
                shared.identity
            ),
        );
    }
    hit.not(line!(
        "two entries in the list: consumers see the latest registration only, and {latest} registered",
        "列表中有两条：消费者只看到最新的注册，而 {latest} 注册了"
    ))
}

fn http_and_grpc(scene: &Scene<'_>, hits: &mut Hits) {
    shared(scene).iter().filter(|shared| shared.over_both()).for_each(|shared| hits.add(told_shared(scene, shared)));
}

fn published_twice(scene: &Scene<'_>, hits: &mut Hits) {
    shared(scene).iter().filter(|shared| !shared.over_both()).for_each(|shared| hits.add(told_shared(scene, shared)));
}

/// Two senders count as long as each had a turn within so many intervals.
const TURNS_WITHIN: i64 = 4;
const LEAST_WINDOW_MS: i64 = 4_000;

fn active<'a>(scene: &Scene<'_>, contested: &'a Contested) -> Vec<&'a Sender> {
    let interval = i64::try_from(contested.interval_ms).unwrap_or(i64::MAX / TURNS_WITHIN);
    let window = interval.saturating_mul(TURNS_WITHIN).max(LEAST_WINDOW_MS);
    contested.senders.iter().filter(|sender| scene.now.wall - sender.last <= window).collect()
}

fn told_senders(scene: &Scene<'_>, contested: &Contested, senders: &[&Sender]) -> Hit {
    let identity = format!("{}:{}:{}", contested.ip, contested.port, nacre_model::DEFAULT_CLUSTER);
    let named: Vec<String> = senders.iter().map(|sender| sender.address.to_string()).collect();
    let mut hit = Hit::new(About::service(&contested.service).with_instance(&identity))
        .fact("address", format!("{}:{}", contested.ip, contested.port))
        .fact("service", contested.service.grouped())
        .fact("senders", named.join(" and "))
        .not(line!(
            "one sender whose address changed: they take turns, each came back after the other",
            "一个地址变了的发送者：它们轮流发送，彼此交替出现"
        ));
    for sender in senders {
        let agent = agent_at(scene, &sender.address);
        hit = hit.saw(
            sender.last,
            line!(
                "{} ({agent}) sent a beat after another address did, {} times",
                "{}（{agent}）在另一个地址之后发送心跳，共 {} 次",
                sender.address,
                sender.turns
            ),
        );
    }
    hit
}

fn ghost(scene: &Scene<'_>, hits: &mut Hits) {
    for contested in scene.naming.contested() {
        let senders = active(scene, &contested);
        let own = senders.iter().any(|sender| *sender.address == *contested.ip);
        if senders.len() < 2 || !own {
            continue;
        }
        let ghosts: Vec<String> =
            senders.iter().filter(|s| *s.address != *contested.ip).map(|s| s.address.to_string()).collect();
        hits.add(
            told_senders(scene, &contested, &senders)
                .fact("ghost", ghosts.join(", "))
                .fact("ip", &contested.ip)
                .confidence(Confidence::High),
        );
    }
}

fn two_senders(scene: &Scene<'_>, hits: &mut Hits) {
    for contested in scene.naming.contested() {
        let senders = active(scene, &contested);
        if senders.len() < 2 || senders.iter().any(|sender| *sender.address == *contested.ip) {
            continue;
        }
        hits.add(told_senders(scene, &contested, &senders));
    }
}

fn missed_persistent(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = BTreeSet::new();
    for event in scene.memory.kind("nothingChanged", scene.now.wall, HORIZON_MS) {
        let Cause::NothingChanged { call, reason } = &*event.cause else { continue };
        let (Some(service), Some(client)) = (&event.subject.service, event.subject.client.as_deref()) else { continue };
        if call != "deregister" || !reason.contains("persistent instance with the same address") {
            continue;
        }
        let Some(address) = client.strip_suffix("#true") else { continue };
        if seen.len() == LOOKED_AT || !seen.insert((service, address)) {
            continue;
        }
        let twin = scene.naming.client_publications(&format!("{address}#false")).unwrap_or_default();
        let Some(entry) = twin.into_iter().find(|entry| entry.service == *service) else { continue };
        hits.add(
            Hit::new(About::service(service).with_instance(&entry.instance.identity()))
                .fact("address", address)
                .fact("service", service.grouped())
                .fact("name", &service.name)
                .fact("group", &service.group)
                .fact("namespace", &service.namespace)
                .fact("ip", &entry.instance.ip)
                .fact("port", entry.instance.port)
                .confidence(Confidence::High)
                .event(event)
                .saw(
                    scene.now.wall,
                    line!(
                        "{address} is still there, registered with ephemeral=false",
                        "{address} 还在，以 ephemeral=false 注册"
                    ),
                )
                .not(line!(
                    "a call that did not arrive: it was answered ok, and matched nothing",
                    "调用没有到达：它得到了 ok，但没有匹配到任何实例"
                )),
        );
    }
}

/// Who registered: the connection's address, or that of the call over HTTP, of which nothing is kept when it came from the
/// very address that was registered.
fn registrar(scene: &Scene<'_>, identity: &str, event: &Event) -> Option<String> {
    match event.subject.client.as_deref().and_then(ClientId::parse) {
        Some(ClientId::Connection(id)) => Some(address_of(&id).to_owned()),
        _ => {
            let port = identity.rsplit(':').nth(1)?.parse().ok()?;
            let call = scene.sightings.callers.last(ip_of(identity), port, Act::Register)?;
            Some(call.address.to_string())
        }
    }
}

fn two_forms(scene: &Scene<'_>, hits: &mut Hits) {
    let is_v4 = |ip: &str| ip.parse::<std::net::Ipv4Addr>().is_ok();
    let other_form = |event: &Event| event.subject.instance.as_deref().is_some_and(|i| !is_v4(ip_of(i)));
    for ((service, identity), event) in newest_by_instance(scene, "instanceRegistered", other_form) {
        let Some(host) = registrar(scene, identity, event).filter(|host| is_v4(host)) else { continue };
        let Some(snapshot) = scene.naming.snapshot(service) else { continue };
        let Some(own) = snapshot.instances.iter().find(|instance| instance.identity() == identity) else { continue };
        let same = |other: &&std::sync::Arc<Instance>| other.port == own.port && *other.ip == *host;
        let Some(twin) = snapshot.instances.iter().find(same) else { continue };
        hits.add(
            Hit::new(About::service(service).with_instance(identity))
                .fact("one", without_cluster(&twin.identity()))
                .fact("other", without_cluster(identity))
                .fact("service", service.grouped())
                .fact("host", &host)
                .event(event)
                .saw(
                    event.at,
                    line!(
                        "{host} registered {identity}, and {} is registered as well",
                        "{host} 注册了 {identity}，而 {} 也已注册",
                        twin.identity()
                    ),
                )
                .not(line!(
                    "two hosts: both were registered from one address, with one port",
                    "两台主机：两者由同一地址注册，端口相同"
                )),
        );
    }
}

/// So many different ports of one host and service are told.
const PORTS: usize = 3;

fn changing_port(scene: &Scene<'_>, hits: &mut Hits) {
    let mut hosts: BTreeMap<(&ServiceKey, &str), BTreeMap<&str, &Event>> = BTreeMap::new();
    for event in scene.memory.kind("instanceRegistered", scene.now.wall, HORIZON_MS) {
        let (Some(service), Some(identity)) = (&event.subject.service, event.subject.instance.as_deref()) else {
            continue;
        };
        hosts.entry((service, ip_of(identity))).or_default().entry(identity).or_insert(event);
    }
    for ((service, ip), instances) in hosts.into_iter().filter(|(_, i)| i.len() >= PORTS).take(LOOKED_AT) {
        let mut left = Vec::new();
        for identity in instances.keys() {
            let newest = scene.memory.instance(service, identity, scene.now.wall, HORIZON_MS).next();
            let lapsed = newest.filter(|event| {
                matches!(
                    *event.cause,
                    Cause::InstanceUnhealthy { .. } | Cause::InstanceRemoved { removal: Removal::BeatExpired { .. } }
                )
            });
            left.extend(lapsed);
        }
        // All but one lapsed, one after another: a host with several processes keeps them.
        if left.len() + 1 < PORTS || instances.len() - left.len() > 1 {
            continue;
        }
        let ports: Vec<&str> = instances.keys().map(|i| without_cluster(i)).collect();
        let mut hit = Hit::new(About::service(service).with_address(ip))
            .fact("ip", ip)
            .fact("service", service.grouped())
            .fact("count", instances.len())
            .fact("ports", ports.join(", "))
            .not(line!(
                "several processes on one host: at most one of these addresses is healthy",
                "一台主机上的多个进程：这些地址中最多一个健康"
            ));
        for event in left {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

fn unreachable(scene: &Scene<'_>, hits: &mut Hits) {
    let odd = |event: &Event| {
        event.subject.instance.as_deref().is_some_and(|i| unreachable_from_elsewhere(ip_of(i)).is_some())
    };
    for ((service, identity), event) in newest_by_instance(scene, "instanceRegistered", odd) {
        let ip = ip_of(identity);
        let (Some(why), Some(sender)) = (unreachable_from_elsewhere(ip), registrar(scene, identity, event)) else {
            continue;
        };
        // Whoever is in the same place may well reach it.
        let near = sender == ip || is_loopback(ip) && is_loopback(&sender) || same_bridge(ip, &sender);
        let listed =
            || scene.naming.snapshot(service).is_some_and(|s| s.instances.iter().any(|i| i.identity() == identity));
        if near || !listed() {
            continue;
        }
        hits.add(
            Hit::new(About::service(service).with_instance(identity).with_address(&sender))
                .fact("address", without_cluster(identity))
                .fact("ip", ip)
                .fact("service", service.grouped())
                .fact("sender", &sender)
                .words("why", why, zh_unreachable(why))
                .event(event)
                .saw(
                    event.at,
                    line!(
                        "{sender} ({}) registered {identity}",
                        "{sender}（{}）注册了 {identity}",
                        agent_at(scene, &sender)
                    ),
                )
                .not(line!(
                    "a proxy between: the registered address itself is one that no other host can call",
                    "中间的代理：注册的地址本身就是其他主机无法访问的"
                )),
        );
    }
}

/// [`unreachable_from_elsewhere`] in Chinese.
fn zh_unreachable(why: &str) -> &'static str {
    match why.split(':').next().unwrap_or(why) {
        "a loopback address" => "回环地址：每台主机都这样称呼自己",
        "a link-local address" => "链路本地地址：路由器不会转发",
        "the unspecified address, which is nobody's" => "未指定地址，不属于任何主机",
        _ => "docker 网桥的地址，其他主机无法到达",
    }
}

fn is_loopback(ip: &str) -> bool {
    ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Both in docker's range: containers of one host, or of one overlay.
fn same_bridge(one: &str, other: &str) -> bool {
    let docker = |ip: &str| unreachable_from_elsewhere(ip).is_some_and(|why| why.contains("docker"));
    docker(one) && docker(other)
}

fn names_alike(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen: BTreeSet<(ServiceKey, ServiceKey)> = BTreeSet::new();
    let mut looked = BTreeSet::new();
    for event in remembered(scene, "serviceCreated") {
        let Some(key) = &event.subject.service else { continue };
        if looked.len() == LOOKED_AT || !looked.insert(key) {
            continue;
        }
        let provides = |key: &ServiceKey| scene.naming.snapshot(key).is_some_and(|s| !s.instances.is_empty());
        for other in scene.naming.services_alike(&key.name, 20) {
            let same_place = other.namespace == key.namespace && likeness(&other.group) == likeness(&key.group);
            if !same_place || (other.name == key.name && other.group == key.group) {
                continue;
            }
            let pair = if other < *key { (other, key.clone()) } else { (key.clone(), other) };
            if seen.contains(&pair) || !provides(&pair.0) || !provides(&pair.1) {
                continue;
            }
            hits.add(
                Hit::new(About::service(&pair.0))
                    .grouped(format!("{}/{}", pair.0, pair.1))
                    .fact("one", format!("`{}`", pair.0.grouped()))
                    .fact("other", format!("`{}`", pair.1.grouped()))
                    .fact("namespace", &key.namespace)
                    .severity(Severity::Warning)
                    .event(event)
                    .saw(
                        scene.now.wall,
                        line!(
                            "both have instances: `{}` and `{}`",
                            "两者都有实例：`{}` 与 `{}`",
                            pair.0.grouped(),
                            pair.1.grouped()
                        ),
                    )
                    .not(line!(
                        "one service in two namespaces: both are in the same one",
                        "两个命名空间中的同一服务：两者在同一命名空间"
                    )),
            );
            seen.insert(pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::Subject;
    use nacre_naming::{Beat, ConnectionInfo, Effects};

    use super::*;
    use crate::testing::Stage;

    fn take(stage: &mut Stage, effects: Effects) {
        for event in effects.events {
            stage.record(event);
        }
    }

    fn connect(stage: &mut Stage, id: &str) -> ClientId {
        let info = ConnectionInfo {
            id: id.into(),
            client_ip: address_of(id).into(),
            client_port: 1,
            version: "Nacos-Java-Client:v2.3.2".into(),
            app: "a".into(),
            connect_type: "GRPC".into(),
            labels: Default::default(),
        };
        let effects = stage.naming.connect(info, stage.now);
        take(stage, effects);
        ClientId::connection(id)
    }

    fn http(stage: &mut Stage, service: &ServiceKey, instance: Instance) {
        let effects = stage.naming.register_http(service, instance, stage.now).expect("registers");
        take(stage, effects);
    }

    fn beat(stage: &mut Stage, service: &ServiceKey, ip: &str, sender: &str) {
        let beat = Beat { service, ip, port: 80, cluster: "DEFAULT", info: None, sender };
        let (_, effects) = stage.naming.beat(&beat, stage.now).expect("beats");
        take(stage, effects);
    }

    #[test]
    fn two_connections_with_one_address_are_named_until_one_leaves() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "c60-svc");
        let (a, b) = (connect(&mut stage, "1700000000000_10.0.0.1_1"), connect(&mut stage, "1700000000001_10.0.0.2_1"));
        for client in [&a, &b] {
            let effects = stage.naming.register(client, &key, Instance::new("192.0.2.60", 80), stage.now).expect("ok");
            take(&mut stage, effects);
        }
        let finding = stage.only();
        assert_eq!(finding.code, "ADDRESS-PUBLISHED-TWICE");
        assert!(finding.cause.contains("two clients publish the same address"), "{}", finding.cause);
        assert!(finding.cause.contains("10.0.0.1_1") && finding.cause.contains("10.0.0.2_1"), "{}", finding.cause);
        let effects = stage.naming.deregister(&b, &key, stage.now).expect("ok");
        take(&mut stage, effects);
        stage.wait(5_000);
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn http_and_grpc_publishers_of_one_address_are_told_apart() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "s");
        http(&mut stage, &key, Instance::new("192.0.2.61", 80));
        let a = connect(&mut stage, "1700000000000_192.0.2.61_1");
        let effects = stage.naming.register(&a, &key, Instance::new("192.0.2.61", 80), stage.now).expect("ok");
        take(&mut stage, effects);
        assert_eq!(stage.only().code, "ADDRESS-HTTP-AND-GRPC");
    }

    #[test]
    fn senders_that_take_turns_are_named_and_a_moved_one_is_not() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "s");
        for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            http(&mut stage, &key, Instance::new(ip, 80));
        }
        for turn in 0..4 {
            stage.wait(2_500);
            beat(&mut stage, &key, "10.0.0.1", ["10.0.0.1", "10.0.0.99"][turn % 2]);
            beat(&mut stage, &key, "10.0.0.2", ["10.9.0.1", "10.9.0.2"][turn % 2]);
            beat(&mut stage, &key, "10.0.0.3", if turn < 2 { "10.0.0.3" } else { "10.0.0.77" });
        }
        let findings = stage.findings();
        let codes: Vec<_> = findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, ["BEATS-FROM-GHOST", "BEATS-FROM-TWO-SENDERS"]);
        assert!(findings[0].cause.contains("10.0.0.99"), "{}", findings[0].cause);
        assert!(findings[1].cause.contains("10.9.0.1") && findings[1].cause.contains("10.9.0.2"));
        stage.wait(30_000);
        assert!(stage.codes().is_empty(), "over");
    }

    #[test]
    fn a_deregistration_that_missed_its_persistent_twin_is_told() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "s");
        let mut instance = Instance::new("192.0.2.9", 80);
        instance.ephemeral = false;
        let command = nacre_naming::NamingCommand::RegisterPersistent { service: key.clone(), instance };
        let applied = stage.naming.apply(&command, stage.now);
        take(&mut stage, applied.effects);
        let effects = stage.naming.deregister_http(&key, "192.0.2.9", 80, stage.now);
        take(&mut stage, effects);
        let finding = stage.only();
        assert_eq!(finding.code, "DEREGISTER-MISSED-PERSISTENT");
        assert!(finding.remedy[0].contains("ephemeral=false") && finding.cause.contains("192.0.2.9:80"));
        let command =
            nacre_naming::NamingCommand::DeregisterPersistent { service: key, ip: "192.0.2.9".into(), port: 80 };
        let applied = stage.naming.apply(&command, stage.now);
        take(&mut stage, applied.effects);
        stage.wait(5_000);
        assert!(stage.codes().is_empty());
    }

    /// Somebody registers port 80 of an address over HTTP.
    fn called(stage: &Stage, ip: &str, sender: &str) {
        let (address, agent) = (sender.parse().expect("ip"), "x");
        let call = crate::callers::Call { act: Act::Register, address, agent, at: stage.now.wall };
        stage.sightings.callers.note(ip, "80", call, || agent.into());
    }

    #[test]
    fn addresses_that_no_other_host_reaches_are_told_with_who_registered_them() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "s");
        for (ip, sender) in [("172.17.0.5", "10.1.1.1"), ("127.0.0.1", "127.0.0.1"), ("10.5.5.5", "10.1.1.2")] {
            called(&stage, ip, sender);
            http(&mut stage, &key, Instance::new(ip, 80));
        }
        let finding = stage.only();
        assert_eq!(finding.code, "REGISTERED-UNREACHABLE-IP");
        assert!(finding.cause.contains("172.17.0.5") && finding.cause.contains("10.1.1.1"), "{}", finding.cause);
    }

    #[test]
    fn one_host_in_two_forms_and_names_that_look_alike_are_told() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "s");
        called(&stage, "2001:db8::7", "10.0.0.7");
        http(&mut stage, &key, Instance::new("10.0.0.7", 80));
        http(&mut stage, &key, Instance::new("2001:db8::7", 80));
        assert_eq!(stage.only().code, "HOST-IN-TWO-FORMS");
        let mut stage = Stage::default();
        http(&mut stage, &ServiceKey::new("", "G", "Orders"), Instance::new("10.0.0.7", 80));
        http(&mut stage, &ServiceKey::new("x", "G", "orders"), Instance::new("10.0.0.7", 80));
        assert!(stage.codes().is_empty(), "another namespace");
        http(&mut stage, &ServiceKey::new("", "G", "orders"), Instance::new("10.0.0.8", 80));
        let finding = stage.only();
        assert_eq!(finding.code, "SERVICE-NAMES-ALIKE");
        assert!(finding.cause.contains("`G@@Orders`") && finding.cause.contains("`G@@orders`"), "{}", finding.cause);
    }

    #[test]
    fn a_port_that_changes_with_every_start_is_told_and_several_processes_are_not() {
        let mut stage = Stage::default();
        let key = ServiceKey::new("", "G", "s");
        let about = |port: u16| Subject::service(&key).with_instance(&format!("10.0.0.1:{port}:DEFAULT"));
        let registered = || Cause::InstanceRegistered { how: "http".into(), replaced: false };
        for port in [1000, 2000, 3000] {
            stage.event(about(port), registered());
        }
        assert!(stage.codes().is_empty(), "three processes");
        for port in [1000, 2000] {
            let removal = Removal::BeatExpired { silent_ms: 30_000, limit_ms: 30_000 };
            stage.event(about(port), Cause::InstanceRemoved { removal });
        }
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.severity), ("PORT-CHANGES-EACH-START", Severity::Info));
    }
}

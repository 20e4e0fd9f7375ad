//! One host or service in several forms, and addresses that only their host knows.

use std::collections::{BTreeMap, BTreeSet};

use nacre_model::{Cause, Event, Instance, ServiceKey, event::Removal, key::likeness};
use nacre_naming::ClientId;

use super::{LOOKED_AT, agent_at, newest_by_instance, remembered, without_cluster};
use crate::{
    About, Hit, Hits, Scene, Severity,
    asked::{ip_of, unreachable_from_elsewhere},
    line,
    memory::{HORIZON_MS, address_of},
    sightings::Act,
};

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

pub(super) fn two_forms(scene: &Scene<'_>, hits: &mut Hits) {
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

pub(super) fn changing_port(scene: &Scene<'_>, hits: &mut Hits) {
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

pub(super) fn unreachable(scene: &Scene<'_>, hits: &mut Hits) {
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

pub(super) fn names_alike(scene: &Scene<'_>, hits: &mut Hits) {
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

//! Identity and addressing: who publishes which address, and under which name.

mod forms;
mod senders;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

use nacre_model::{Cause, Event, ServiceKey};

use crate::{About, Confidence, Hit, Hits, Rule, Scene, line, memory::HORIZON_MS, rule};

pub static RULES: [Rule; 9] = [
    rule!("ADDRESS-HTTP-AND-GRPC", shared::http_and_grpc),
    rule!("ADDRESS-PUBLISHED-TWICE", shared::published_twice),
    rule!("BEATS-FROM-GHOST", senders::ghost),
    rule!("BEATS-FROM-TWO-SENDERS", senders::two_senders),
    rule!("DEREGISTER-MISSED-PERSISTENT", missed_persistent),
    rule!("HOST-IN-TWO-FORMS", forms::two_forms),
    rule!("PORT-CHANGES-EACH-START", forms::changing_port),
    rule!("REGISTERED-UNREACHABLE-IP", forms::unreachable),
    rule!("SERVICE-NAMES-ALIKE", forms::names_alike),
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

#[cfg(test)]
mod tests;

//! What consumers do not hear, or do not take over.

use std::collections::{BTreeMap, BTreeSet};

use nacre_model::Event;
use nacre_naming::{ClientId, Query};

use super::super::identity::LOOKED_AT;
use crate::{About, Confidence, Hit, Hits, Scene, line, memory::HORIZON_MS};

/// 1.x clients poll their lists every ten seconds.
const POLLS_MS: i64 = 15_000;

pub(super) fn udp_unacked(scene: &Scene<'_>, hits: &mut Hits) {
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
        let polled = |seen: &nacre_naming::ClientDetail| scene.now.wall - seen.last_updated_time < POLLS_MS;
        if !scene.naming.client(client, scene.now).as_ref().is_ok_and(polled) {
            continue;
        }
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

pub(super) fn empty_ignored(scene: &Scene<'_>, hits: &mut Hits) {
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

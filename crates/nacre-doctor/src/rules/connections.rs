//! Connections over time: how they end, who comes back, and what the one that came back no longer does.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use nacre_journal::duration;
use nacre_model::{
    Cause, Event,
    event::{Disconnect, Removal},
};
use nacre_naming::ClientId;

use super::{lifetimes, redo, zh};
use crate::{
    About, Confidence, Hit, Hits, Line, Rule, Scene, line,
    memory::{HORIZON_MS, address_of},
    rule,
    sightings::Act,
};

pub static RULES: [Rule; 12] = [
    rule!("BATCH-DEREGISTERED-WHOLE", batch_gone),
    rule!("CLIENT-FROZEN", frozen),
    rule!("CLIENT-GONE-WITHOUT-DEREGISTERING", gone),
    rule!("CLIENTS-CLAIM-ONE-ADDRESS", one_claim),
    rule!("CONNECTED-THROUGH-PROXY", through_proxy),
    rule!("CONNECTION-CHURN", lifetimes::churn),
    rule!("CONNECTION-CUT-SILENTLY", cut),
    rule!("CONNECTION-LIFETIME-CONSTANT", lifetimes::constant),
    rule!("CONNECTION-NEVER-SET-UP", never_set_up),
    rule!("PUSH-NOT-ACKNOWLEDGED", unacknowledged),
    rule!("REDO-LOST", redo::lost),
    rule!("REGISTRATION-REPLACED", replaced),
];

/// The first few of many names.
pub(super) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let text = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

// ---------------------------------------------------------------------------------------------------------- silent clients

/// Connections that this server gave up, by address: the end, and whether the question reached the other machine.
fn unanswered<'a>(scene: &'a Scene<'_>) -> Vec<(&'a Event, &'a str, u64, Option<bool>)> {
    let of = |event: &'a Event| match (&*event.cause, event.subject.client.as_deref()) {
        (
            Cause::ClientDisconnected { cause: Disconnect::DetectionUnanswered { idle_ms, delivered }, .. },
            Some(client),
        ) => Some((event, client, *idle_ms, *delivered)),
        _ => None,
    };
    scene.told("clientDisconnected").filter_map(of).collect()
}

/// Whether the process is what stood still: its machine took our question, or is seen doing other things.
fn is_frozen(scene: &Scene<'_>, client: &str, at: i64, idle_ms: u64, delivered: Option<bool>) -> Option<Line> {
    let address = address_of(client);
    if delivered == Some(true) {
        return Some(line!(
            "the network: the machine {address} took the detection request, its process did not answer",
            "网络：机器 {address} 收下了探测请求，而其进程没有应答"
        ));
    }
    if delivered == Some(false) {
        return None;
    }
    // Another connection or call of the address while this one was silent.
    let source = scene.sightings.get(address)?;
    let since = scene.now.mono.saturating_sub(u64::try_from(scene.now.wall - at).unwrap_or(0) + idle_ms / 2);
    let (act, ago) = source.last(scene.now)?;
    (scene.now.mono.saturating_sub(ago) > since && act != Act::Connect)
        .then(|| line!(en: "the network: {address} was seen {} meanwhile", act.words(); zh: "网络：期间看到 {address} {}", zh::act(act)))
}

/// What went away with a connection, for the texts.
fn instances_of(scene: &Scene<'_>, client: &str) -> Vec<String> {
    let mut gone: Vec<String> = Vec::new();
    for event in scene.memory.address(address_of(client), scene.now.wall, HORIZON_MS) {
        let removed = matches!(*event.cause, Cause::InstanceRemoved { removal: Removal::ConnectionLost { .. } });
        if removed
            && event.subject.client.as_deref() == Some(client)
            && let (Some(service), Some(instance)) = (&event.subject.service, event.subject.instance.as_deref())
        {
            gone.push(format!("{instance} of {}", service.name));
        }
    }
    gone
}

/// In both languages.
fn instances_text(gone: &[String]) -> (String, String) {
    if gone.is_empty() {
        return ("it had registered nothing".to_owned(), "没有注册过实例".to_owned());
    }
    let names = listed(gone.iter().map(String::as_str));
    (names.clone(), names)
}

/// When a client of this address connected again after `at`.
fn came_back(scene: &Scene<'_>, address: &str, at: i64) -> Option<i64> {
    let events = scene.memory.address(address, scene.now.wall, HORIZON_MS);
    events.filter(|event| matches!(*event.cause, Cause::ClientConnected { .. }) && event.at > at).map(|e| e.at).last()
}

fn frozen(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, client, idle_ms, delivered) in unanswered(scene) {
        let Some(why) = is_frozen(scene, client, event.at, idle_ms, delivered) else { continue };
        hits.add(silent_hit(scene, event, client, idle_ms).not(why));
    }
}

fn cut(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, client, idle_ms, delivered) in unanswered(scene) {
        if is_frozen(scene, client, event.at, idle_ms, delivered).is_some() {
            continue;
        }
        let mut hit = silent_hit(scene, event, client, idle_ms);
        if delivered == Some(false) {
            hit = hit.confidence(Confidence::High).not(line!(
                "a process that is stuck: its machine would have taken the detection request, and did not",
                "进程卡住：那样它的机器会收下探测请求，而并没有"
            ));
        }
        hits.add(hit);
    }
}

fn silent_hit(scene: &Scene<'_>, event: &Event, client: &str, idle_ms: u64) -> Hit {
    let address = address_of(client);
    let gone = instances_of(scene, client);
    let back = came_back(scene, address, event.at).map(|at| duration(u64::try_from(at - event.at).unwrap_or(0)));
    let (back, zh_back) = match back {
        Some(after) => (format!("was back after {after}"), format!("在 {after} 后回来了")),
        None => ("is not back".to_owned(), "还没有回来".to_owned()),
    };
    let (instances, zh_instances) = instances_text(&gone);
    Hit::new(About::address(address).with_client(client))
        .grouped(address)
        .fact("address", address)
        .fact("silent", duration(idle_ms))
        .words("back", back, zh_back)
        .words("instances", instances, zh_instances)
        .event(event)
        .not(line!(
            "this server: other connections answered, and its own pauses are not counted",
            "本服务器：其他连接都有应答，且自身的停顿不计入"
        ))
}

// ------------------------------------------------------------------------------------------------------- gone, not said so

/// Whoever reconnects is back by then.
const GONE_MS: i64 = 5_000;

fn gone(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.told("clientDisconnected") {
        let (Cause::ClientDisconnected { cause, lived_ms }, Some(client)) = (&*event.cause, &event.subject.client)
        else {
            continue;
        };
        let how = match cause {
            Disconnect::ResetByPeer => "RST",
            Disconnect::ClosedByClient => "FIN",
            _ => continue,
        };
        let instances = instances_of(scene, client);
        let address = address_of(client);
        if scene.now.wall - event.at < GONE_MS || instances.is_empty() || came_back(scene, address, event.at).is_some()
        {
            continue;
        }
        let host = scene.sightings.get(address).and_then(|source| {
            let (act, ago) = source.last(scene.now)?;
            (ago < u64::try_from(scene.now.wall - event.at).unwrap_or(0)).then_some(act)
        });
        let gone = instances_text(&instances);
        let mut hit = Hit::new(About::address(address).with_client(client))
            .grouped(address)
            .fact("address", address)
            .fact("how", how)
            .fact("lived", duration(*lived_ms))
            .words("instances", gone.0, gone.1)
            .event(event)
            .not(line!(
                "the network: {how} came in, so {address} could still be reached",
                "网络：{how} 到达了，说明 {address} 当时仍可达"
            ))
            .not(line!("an orderly stop: that deregisters first", "正常停止：那会先注销"));
        if let Some(act) = host {
            hit = hit.not(line!(en: "the machine: {address} has been seen {} since", act.words(); zh: "机器：此后还看到 {address} {}", zh::act(act)));
        }
        hits.add(hit);
    }
}

// ----------------------------------------------------------------------------------------------- what one connection does

fn replaced(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = HashSet::new();
    for event in scene.memory.kind("instanceRemoved", scene.now.wall, HORIZON_MS) {
        let Cause::InstanceRemoved { removal: Removal::ReplacedBy { instance: new } } = &*event.cause else { continue };
        let (Some(service), Some(old), Some(client)) =
            (&event.subject.service, event.subject.instance.as_deref(), event.subject.client.as_deref())
        else {
            continue;
        };
        if !seen.insert((service, old)) {
            continue;
        }
        // It holds as long as that connection publishes the other one, and nobody the first.
        let published = scene.naming.client_publications(client).unwrap_or_default();
        let stands = published.iter().any(|entry| entry.service == *service && entry.instance.identity() == *new);
        let newest = scene.memory.instance(service, old, scene.now.wall, HORIZON_MS).next();
        if !stands || newest.is_some_and(|newest| !matches!(*newest.cause, Cause::InstanceRemoved { .. })) {
            continue;
        }
        hits.add(
            Hit::new(About::service(service).with_instance(old).with_client(client))
                .grouped(format!("{client} {service:?}"))
                .fact("client", client)
                .fact("address", address_of(client))
                .fact("service", &service.name)
                .fact("old", old)
                .fact("new", new)
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "expiry and the network: the connection of {} stands",
                    "过期与网络：{} 的连接还在",
                    address_of(client)
                )),
        );
    }
}

/// Who deregisters on its way out has closed its connection after so long.
const LEAVING_MS: i64 = 3_000;

/// One instance of a batch was deregistered, and the batch went with it.
fn batch_gone(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = HashSet::new();
    for event in scene.memory.kind("suspicious", scene.now.wall, HORIZON_MS) {
        let Cause::Suspicious { call, reason } = &*event.cause else { continue };
        let (Some(service), Some(client)) = (&event.subject.service, event.subject.client.as_deref()) else { continue };
        let count = reason.strip_prefix("all ").and_then(|rest| rest.strip_suffix(" instances of the batch went"));
        let Some(count) = count.filter(|_| call == "deregisterInstance" && seen.insert((service, client))) else {
            continue;
        };
        // It holds as long as the connection stands and publishes nothing there: who is leaving closes it soon.
        if scene.now.wall < event.at + LEAVING_MS {
            continue;
        }
        let Ok(published) = scene.naming.client_publications(client) else { continue };
        if published.iter().any(|entry| entry.service == *service) {
            continue;
        }
        let address = address_of(client);
        let agent = super::identity::agent_at(scene, address);
        hits.add(
            Hit::new(About::service(service).with_client(client))
                .fact("client", client)
                .fact("address", address)
                .fact("agent", &agent)
                .fact("service", service.grouped())
                .fact("count", count)
                .confidence(Confidence::Medium)
                .event(event)
                .not(line!(
                    "expiry and the network: the connection of {address} stands",
                    "过期与网络：{address} 的连接还在"
                )),
        );
    }
}

/// Calls over connections without a set-up that are more than a start that went wrong once.
const UNREGISTERED: u64 = 3;

fn never_set_up(scene: &Scene<'_>, hits: &mut Hits) {
    for source in scene.sightings.all() {
        let Some(ago) = source.ago(Act::Unregistered, scene.now) else { continue };
        let told = i64::try_from(ago).is_ok_and(|ago| ago < scene.told_ms);
        let since_connect = source.ago(Act::Connect, scene.now);
        // Connected since: it was a reconnect.
        if source.count(Act::Unregistered) < UNREGISTERED || !told || since_connect.is_some_and(|connect| connect < ago)
        {
            continue;
        }
        let address = source.address.to_string();
        let refused =
            scene.memory.address(&address, scene.now.wall, HORIZON_MS).find_map(|event| match &*event.cause {
                Cause::HandshakeRefused { reason } => Some((event, reason.clone())),
                _ => None,
            });
        let (why, zh_why) = match &refused {
            Some((_, reason)) => {
                (format!("its set-up was refused: {reason}"), format!("其建立会话的请求被拒绝：{reason}"))
            }
            None => (
                "no ConnectionSetupRequest arrived on a stream of theirs".to_owned(),
                "没有在其流上收到 ConnectionSetupRequest".to_owned(),
            ),
        };
        let mut hit = Hit::new(About::address(&address))
            .fact("address", &address)
            .fact("times", source.count(Act::Unregistered))
            .words("why", why, zh_why)
            .saw(
                scene.now.wall - ago as i64,
                line!(
                    "{address} called over gRPC without a set-up and was answered 301 \"Connection is unregistered.\"",
                    "{address} 未建立会话就通过 gRPC 调用，得到 301 “Connection is unregistered.”"
                ),
            )
            .not(line!(
                "the port and the protocol: HTTP/2 and unary gRPC calls arrive",
                "端口与协议：HTTP/2 与一元 gRPC 调用能到达"
            ));
        if let Some((event, _)) = refused {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

fn unacknowledged(scene: &Scene<'_>, hits: &mut Hits) {
    let mut of: BTreeMap<&str, (usize, Vec<&Event>, bool)> = BTreeMap::new();
    let is_connection = |client: &str| matches!(ClientId::parse(client), Some(ClientId::Connection(_)));
    for event in scene.told("pushFailed").chain(scene.told("pushGaveUp")).chain(scene.told("clientDisconnected")) {
        let Some(client) = event.subject.client.as_deref().filter(|client| is_connection(client)) else { continue };
        let closed = match &*event.cause {
            Cause::ClientDisconnected { cause: Disconnect::PushUnacknowledged { .. }, .. } => true,
            Cause::PushFailed { .. } | Cause::PushGaveUp { .. } => false,
            _ => continue,
        };
        let entry = of.entry(client).or_default();
        entry.0 += 1;
        entry.1.push(event);
        entry.2 |= closed;
    }
    for (client, (tries, events, closed)) in of {
        // One lost acknowledgement is an accident.
        if tries < 2 && !closed {
            continue;
        }
        let address = address_of(client);
        let state = if closed {
            ("the connection was closed for it", "连接因此被关闭")
        } else {
            ("its list is as old as its last poll", "它的列表停留在上次轮询时")
        };
        let subjects: BTreeSet<String> = events.iter().filter_map(|event| named(event)).collect();
        let mut hit = Hit::new(About::address(address).with_client(client))
            .grouped(address)
            .fact("client", client)
            .fact("address", address)
            .fact("tries", tries)
            .fact("subjects", listed(subjects.iter().map(String::as_str)))
            .words("state", state.0, state.1)
            .not(line!(
                "the network: the connection stands, and its client is heard of",
                "网络：连接还在，且能听到其客户端"
            ));
        for event in events.iter().take(4) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

fn named(event: &Event) -> Option<String> {
    let subject = &event.subject;
    match (&subject.service, &subject.config) {
        (Some(service), _) => Some(service.name.to_string()),
        (None, Some(config)) => Some(config.data_id.to_string()),
        (None, None) => None,
    }
}

// ------------------------------------------------------------------------------------------------------ other people's names

fn through_proxy(scene: &Scene<'_>, hits: &mut Hits) {
    for source in scene.sightings.all() {
        if source.open() == 0 {
            continue;
        }
        let claimed = source.claimed();
        let Some(newest) = claimed.last() else { continue };
        let address = source.address.to_string();
        hits.add(
            Hit::new(About::address(&address))
                .fact("address", &address)
                .fact("claimed", listed(claimed.iter().map(|ip| &**ip)))
                .fact("open", source.open())
                .saw(
                    scene.now.wall - source.ago(Act::Connect, scene.now).unwrap_or(0) as i64,
                    line!(
                        "a connection from {address} said that its client is {newest}",
                        "来自 {address} 的连接说其客户端是 {newest}"
                    ),
                ),
        );
    }
}

fn one_claim(scene: &Scene<'_>, hits: &mut Hits) {
    let mut by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in scene.sightings.all() {
        if source.open() > 0 {
            for claim in source.claimed() {
                by.entry(claim.to_string()).or_default().insert(source.address.to_string());
            }
        }
    }
    for (claim, sources) in by {
        if sources.len() < 2 {
            continue;
        }
        hits.add(
            Hit::new(About::address(&claim))
                .fact("claim", &claim)
                .fact("count", sources.len())
                .fact("sources", listed(sources.iter().map(String::as_str)))
                .saw(
                    scene.now.wall,
                    line!(
                        "{} all say that they are {claim}",
                        "{} 都说自己是 {claim}",
                        listed(sources.iter().map(String::as_str))
                    ),
                ),
        );
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
pub(crate) mod tests;

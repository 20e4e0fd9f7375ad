//! Registrations and beats that were refused, or turned away by a switch.

use std::collections::BTreeMap;

use nacre_journal::duration;
use nacre_model::{Cause, Event, ServiceKey};

use super::{credit::recent, zh};
use crate::{
    About, Confidence, Hit, Hits, Rule, Scene, Severity, line,
    memory::{HORIZON_MS, address_of},
    rule,
    sightings::Act,
};

pub static RULES: [Rule; 8] = [
    rule!("BEAT-JSON-BROKEN", json_broken),
    rule!("BEAT-PARAMETERS-MISSING", parameters_missing),
    rule!("EPHEMERAL-MISMATCH", ephemeral_mismatch),
    rule!("OLD-API-CLOSED", old_api_closed),
    rule!("REGISTER-OVER-LIMIT", over_limit),
    rule!("REGISTER-REFUSED", refused),
    rule!("SERVER-STATUS-FORCED", status_forced),
    rule!("URL-LIMITED", url_limited),
];

/// The code that a refused registration or beat belongs to.
pub(super) fn refusal(event: &Event) -> Option<&'static str> {
    let Cause::Refused { call, code, reason } = &*event.cause else { return None };
    let is_beat = call.contains("/beat");
    let is_register = call.starts_with("POST") && call.ends_with("/instance")
        || matches!(&**call, "InstanceRequest" | "BatchInstanceRequest" | "PersistentInstanceRequest");
    if !is_beat && !is_register {
        return None;
    }
    let says = |text: &str| reason.contains(text);
    // What the parameter check refuses is told by the rules of consumers: METADATA-TOO-LONG and PARAMETER-REFUSED.
    if says("Param '") && says("is illegal") {
        return None;
    }
    Some(if *code == 410 {
        "OLD-API-CLOSED"
    } else if says("is persistent service, can't") || says("is ephemeral service, can't") {
        "EPHEMERAL-MISMATCH"
    } else if is_beat && says("beat of persistent instance") {
        "BEAT-OF-PERSISTENT"
    } else if says("the limit ") || says("should not exceed") {
        "REGISTER-OVER-LIMIT"
    } else if is_beat && says("Nacos deserialize for class") {
        "BEAT-JSON-BROKEN"
    } else if is_beat && (says("is required") || says("is not present")) {
        "BEAT-PARAMETERS-MISSING"
    } else {
        "REGISTER-REFUSED"
    })
}

/// Beats of `ip:port` arrive and are refused, or are turned away before they are looked at: no silence, and told elsewhere.
pub(super) fn is_refused(scene: &Scene<'_>, service: &ServiceKey, ip: &str, port: i32, within_ms: i64) -> bool {
    let own = format!("{ip}:{port}:");
    let caller = scene.sightings.callers.last(ip, port, Act::Register).map(|caller| caller.address.to_string());
    let home = caller.as_deref().unwrap_or(ip);
    let refused = scene.memory.kind("refused", scene.now.wall, within_ms).any(|event| {
        let Cause::Refused { call, .. } = &*event.cause else { return false };
        let subject = &event.subject;
        let mine = match subject.instance.as_deref() {
            Some(instance) => instance.starts_with(&own),
            None => subject.client.as_deref().map(address_of) == Some(home),
        };
        mine && call.contains("/beat")
            && subject.service.as_ref().is_none_or(|other| other.name.contains(&*service.name))
    });
    let astray = || {
        let called = scene.sightings.strays.recent(scene.now.wall, within_ms);
        called.iter().any(|called| called.address.to_string() == home && called.what.contains("/beat"))
    };
    refused
        || astray()
        || scene.sightings.get(home).is_some_and(|source| {
            let ago = source.ago(Act::Refused, scene.now).and_then(|ago| i64::try_from(ago).ok());
            ago.is_some_and(|ago| ago < within_ms)
        })
}

/// A refused call, by whom it was made.
pub(super) struct Refusal<'a> {
    pub(super) event: &'a Event,
    pub(super) address: String,
    pub(super) agent: String,
    pub(super) call: &'a str,
    pub(super) code: i32,
    pub(super) reason: &'a str,
    pub(super) times: usize,
}

pub(super) fn refusals<'a>(scene: &'a Scene<'_>, wanted: &str) -> Vec<Refusal<'a>> {
    let mut found: BTreeMap<(String, Option<&ServiceKey>), Refusal<'_>> = BTreeMap::new();
    for event in scene.memory.kind("refused", scene.now.wall, recent(scene)) {
        let Cause::Refused { call, code, reason } = &*event.cause else { continue };
        if refusal(event) != Some(wanted) {
            continue;
        }
        let address = address_of(event.subject.client.as_deref().unwrap_or("")).to_owned();
        let held = found.entry((address.clone(), event.subject.service.as_ref())).or_insert_with(|| {
            let source = scene.sightings.get(&address);
            let agent = source.and_then(|source| source.agents().pop());
            let agent = agent.map_or_else(String::new, |agent| agent.to_string());
            Refusal { event, address, agent, call, code: *code, reason, times: 0 }
        });
        held.times += 1;
    }
    found.into_values().collect()
}

/// A reason as a person reads it: the message of a JSON answer, without the place in a text that was not understood.
fn plain(reason: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(reason).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str()).unwrap_or(reason);
    message.split("\n at [Source").next().unwrap_or(message).replace('\n', " ").replace(['{', '}'], "")
}

/// What is there, or the words for that it is not.
fn named<'a>(text: &'a str, nothing: &'a str) -> &'a str {
    if text.is_empty() { nothing } else { text }
}

fn refusal_hit(refusal: &Refusal<'_>) -> Hit {
    let subject = &refusal.event.subject;
    let service = subject.service.as_ref();
    let name = service.map_or_else(String::new, ServiceKey::grouped);
    let instance = subject.instance.as_deref().unwrap_or("");
    Hit::new(About::of(subject).with_address(&refusal.address))
        .grouped(service.map_or_else(|| refusal.address.clone(), ToString::to_string))
        .fact("address", &refusal.address)
        .words("agent", named(&refusal.agent, "an unknown agent"), named(&refusal.agent, "未知客户端"))
        .fact("call", refusal.call)
        .fact("status", refusal.code)
        .fact("reason", plain(refusal.reason))
        .fact("times", refusal.times)
        .words("service", named(&name, "(no service)"), named(&name, "（没有服务名）"))
        .words("instance", named(instance, "(no instance)"), named(instance, "（没有实例）"))
        .event(refusal.event)
        .confidence(Confidence::High)
        .not(line!("the network: the call arrives and is answered", "网络：调用能到达并得到应答"))
}

fn ephemeral_mismatch(scene: &Scene<'_>, hits: &mut Hits) {
    for refusal in refusals(scene, "EPHEMERAL-MISMATCH") {
        // A beat for a persistent instance that is there harms nobody.
        if refusal.call.contains("/beat")
            && let (Some(service), Some((ip, port, _))) =
                (&refusal.event.subject.service, refusal.event.subject.instance.as_deref().and_then(parts))
            && scene.naming.is_persistent(service, ip, port)
        {
            continue;
        }
        let persistent = refusal.reason.contains("is persistent service");
        let (long, short) = (("persistent", "持久（persistent）"), ("ephemeral", "临时（ephemeral）"));
        let (is, wants) = if persistent { (long, short) } else { (short, long) };
        hits.add(refusal_hit(&refusal).words("is", is.0, is.1).words("wants", wants.0, wants.1));
    }
}

/// Of `ip:port:cluster`.
pub(super) fn parts(identity: &str) -> Option<(&str, i32, &str)> {
    let (address, cluster) = identity.rsplit_once(':')?;
    let (ip, port) = address.rsplit_once(':')?;
    Some((ip, port.parse().ok()?, cluster))
}

fn json_broken(scene: &Scene<'_>, hits: &mut Hits) {
    refusals(scene, "BEAT-JSON-BROKEN").iter().for_each(|refusal| hits.add(refusal_hit(refusal)));
}

fn parameters_missing(scene: &Scene<'_>, hits: &mut Hits) {
    for refusal in refusals(scene, "BEAT-PARAMETERS-MISSING") {
        hits.add(refusal_hit(&refusal).grouped(refusal.address.clone()));
    }
}

fn old_api_closed(scene: &Scene<'_>, hits: &mut Hits) {
    for refusal in refusals(scene, "OLD-API-CLOSED") {
        hits.add(refusal_hit(&refusal).grouped(refusal.address.clone()));
    }
}

fn over_limit(scene: &Scene<'_>, hits: &mut Hits) {
    for refusal in refusals(scene, "REGISTER-OVER-LIMIT") {
        let mut words = refusal.reason.split(|c: char| c.is_whitespace() || "(),:".contains(c));
        let property = words.find(|word| word.starts_with("nacre.limit.")).unwrap_or("(fixed)");
        hits.add(refusal_hit(&refusal).fact("property", property));
    }
}

/// Whatever else a registration was refused for, as long as it did not succeed later.
fn refused(scene: &Scene<'_>, hits: &mut Hits) {
    for refusal in refusals(scene, "REGISTER-REFUSED") {
        let subject = &refusal.event.subject;
        if let (Some(service), Some((ip, port, cluster))) =
            (&subject.service, subject.instance.as_deref().and_then(parts))
            && scene.naming.instance(service, ip, port, cluster).is_ok()
        {
            continue;
        }
        let source = scene.sightings.get(&refusal.address);
        let other = source.and_then(|source| {
            let acts = [Act::ServiceQuery, Act::ConfigListen, Act::ConfigRead, Act::Subscribe];
            acts.into_iter().filter_map(|act| Some((act, source.ago(act, scene.now)?))).min_by_key(|(_, ago)| *ago)
        });
        let (en, zh) = other.map_or_else(
            || ("nothing else is heard from there".to_owned(), "此外没有收到该地址的任何请求".to_owned()),
            |(act, ago)| {
                let ago = duration(ago);
                let zh = format!("此后只看到它{}（{ago} 前）", zh::act(act));
                (format!("since then it was only seen {} ({ago} ago)", act.words()), zh)
            },
        );
        hits.add(refusal_hit(&refusal).words("since", en, zh));
    }
}

// ------------------------------------------------------------------------------------------------ turned away by a switch

/// Addresses that were turned away lately.
fn turned_away(scene: &Scene<'_>) -> (Vec<String>, u64) {
    let mut found = Vec::new();
    let mut times = 0;
    for source in scene.sightings.all() {
        if source.ago(Act::Refused, scene.now).is_some_and(|ago| ago <= 60_000) {
            times += source.count(Act::Refused);
            let agent = source.agents().pop().map_or_else(String::new, |agent| format!(" ({agent})"));
            found.push(format!("{}{agent}", source.address));
        }
    }
    found.sort();
    (found, times)
}

/// In both languages.
fn shown(addresses: &[String]) -> (String, String) {
    let named = addresses[..addresses.len().min(5)].join(", ");
    match addresses.len() {
        0 => ("nobody yet".to_owned(), "还没有".to_owned()),
        1..=5 => (named.clone(), named),
        all => (format!("{named} and {} more", all - 5), format!("{named} 等 {all} 个")),
    }
}

fn status_forced(scene: &Scene<'_>, hits: &mut Hits) {
    let switches = scene.naming.switches();
    let Some(status) = switches.forced_status().filter(|status| *status != "UP" && !status.is_empty()) else { return };
    let (addresses, times) = turned_away(scene);
    let mut hit = Hit::new(About::setting("overriddenServerStatus"))
        .fact("status", status)
        .words("addresses", shown(&addresses).0, shown(&addresses).1)
        .fact("times", times)
        .severity(if addresses.is_empty() { Severity::Warning } else { Severity::Critical })
        .confidence(Confidence::High)
        .saw(scene.now.wall, line!("the switch overriddenServerStatus is {status}", "开关 overriddenServerStatus 为 {status}"))
        .saw(scene.now.wall, line!(en: "turned away within the last minute: {}", shown(&addresses).0; zh: "最近一分钟被拒绝的：{}", shown(&addresses).1))
        .not(line!("the clients and the network: their calls arrive and are answered 503", "客户端与网络：它们的调用能到达，得到 503"));
    for event in scene.memory.kind("switchChanged", scene.now.wall, HORIZON_MS).take(1) {
        hit = hit.event(event);
    }
    hits.add(hit);
}

fn url_limited(scene: &Scene<'_>, hits: &mut Hits) {
    let switches = scene.naming.switches();
    if switches.limited_url_map.is_empty() || switches.forced_status().is_some_and(|status| status != "UP") {
        return;
    }
    let limits: Vec<String> = switches.limited_url_map.iter().map(|(url, code)| format!("{url} -> {code}")).collect();
    let (addresses, times) = turned_away(scene);
    hits.add(
        Hit::new(About::setting("limitedUrlMap"))
            .fact("limits", limits.join(", "))
            .words("addresses", shown(&addresses).0, shown(&addresses).1)
            .fact("times", times)
            .confidence(Confidence::High)
            .saw(scene.now.wall, line!("the switch limitedUrlMap holds {}", "开关 limitedUrlMap 含有 {}", limits.join(", ")))
            .saw(scene.now.wall, line!(en: "turned away within the last minute: {}", shown(&addresses).0; zh: "最近一分钟被拒绝的：{}", shown(&addresses).1))
            .not(line!("the clients and the network: their calls arrive", "客户端与网络：它们的调用能到达")),
    );
}

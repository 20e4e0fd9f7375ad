//! Signals that are never, no longer or too often sent by the client; timers that cannot work. Silence itself is judged in
//! `gaps`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nacre_journal::duration;
use nacre_model::{Cause, Event, Instance, ServiceKey, event::Removal, instance::preserved};
use nacre_naming::{Beater, ClientId};

use super::{
    gaps::{self, seconds},
    refusals::parts,
    zh,
};
use crate::{
    About, Confidence, Hit, Hits, Rule, Scene, Severity, line,
    memory::HORIZON_MS,
    rule,
    sightings::{Act, Source},
};

pub static RULES: [Rule; 12] = [
    rule!("BEAT-FLOOD", flood),
    rule!("BEAT-INTERVAL-IGNORED", interval_ignored),
    rule!("BEAT-LATE-JITTER", jitter),
    rule!("BEAT-TOO-MANY-SERVICES", too_many_services),
    rule!("CLIENT-OBJECTS-PER-ADDRESS", connections_per_address),
    rule!("DEREGISTERED-BY-OTHER", deregistered_by_other),
    rule!("INTERVAL-OVER-TIMEOUT", interval_over_timeout),
    rule!("NOT-REGISTERED-SEEN-ALIVE", not_registered),
    rule!("REGISTER-STORM", register_storm),
    rule!("SWITCH-BEAT-INTERVAL", switch_interval),
    rule!("TIMEOUT-TOO-SHORT", timeout_too_short),
    rule!("TIMERS-LOOK-LIKE-SECONDS", like_seconds),
];

/// Values that no client means in earnest as milliseconds.
const LIKE_SECONDS_MS: u64 = 100;

// --------------------------------------------------------------------------------------------------------------- timers

const TIMERS: [&str; 3] = [preserved::HEART_BEAT_INTERVAL, preserved::HEART_BEAT_TIMEOUT, preserved::IP_DELETE_TIMEOUT];

/// An instance that came with timers of its own.
struct Timed<'a> {
    event: &'a Event,
    service: &'a ServiceKey,
    instance: &'a Arc<Instance>,
    /// As it stands now.
    beater: Option<Beater>,
}

impl Timed<'_> {
    fn values(&self) -> [u64; 3] {
        match &self.beater {
            Some(b) => [b.interval_ms, b.timeout_ms, b.delete_ms],
            None => {
                [self.instance.beat_interval_ms(), self.instance.beat_timeout_ms(), self.instance.delete_timeout_ms()]
            }
        }
    }

    /// What the client really does: the usual gap between its beats, once there are some.
    fn pace(&self) -> u64 {
        let mut gaps = self.beater.as_ref().map(|b| b.gaps.clone()).unwrap_or_default();
        if gaps.len() < 3 {
            return self.values()[0];
        }
        gaps.sort_unstable();
        u64::from(gaps[gaps.len() / 2])
    }

    fn looks_like_seconds(&self) -> bool {
        TIMERS.iter().any(|key| self.instance.metadata_ms(key).is_some_and(|ms| (1..LIKE_SECONDS_MS).contains(&ms)))
    }

    fn hit(&self) -> Hit {
        let [interval, timeout, delete] = self.values();
        let given = TIMERS.iter().filter_map(|key| Some(format!("{key}={}", self.instance.metadata.get(*key)?)));
        let given: Vec<String> = given.collect();
        Hit::new(About::of(&self.event.subject).with_address(&self.instance.ip))
            .grouped(self.service.to_string())
            .fact("instance", format!("{}:{}", self.instance.ip, self.instance.port))
            .fact("service", self.service.grouped())
            .fact("given", given.join(", "))
            .fact("interval", interval)
            .fact("timeout", timeout)
            .fact("delete", delete)
            .fact("pace", self.pace())
            .fact("wanted", interval.max(self.pace()) * 3)
            .event(self.event)
            .saw(self.event.at, line!("in force: interval {interval} ms, timeout {timeout} ms, removal after {delete} ms; from the instance's metadata: {}", "生效值：间隔 {interval} ms，超时 {timeout} ms，{delete} ms 后移除；来自实例元数据：{}", given.join(", ")))
            .confidence(Confidence::High)
            .not(line!("the network: the times in force cannot be kept by anyone", "网络：生效的时间谁也做不到"))
    }
}

/// Registered lately with timers of its own, each once.
fn timed<'a>(scene: &'a Scene<'_>) -> Vec<Timed<'a>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for event in scene.memory.kind("instanceRegistered", scene.now.wall, HORIZON_MS) {
        let (Some(service), Some(instance), Some(client)) =
            (&event.subject.service, &event.shown, &event.subject.client)
        else {
            continue;
        };
        // Connections and persistent instances do not beat.
        let own = client.ends_with("#true") && TIMERS.iter().any(|key| instance.metadata.contains_key(*key));
        if !own || !seen.insert((service, event.subject.instance.as_deref())) {
            continue;
        }
        let beater = scene.naming.beater(service, &instance.ip, instance.port, scene.now);
        if beater.as_ref().is_some_and(|beater| beater.unchecked) {
            continue;
        }
        // Too short a timer removes it at once: then it is told for as long as it would come back.
        if beater.is_some() || scene.now.wall - event.at <= scene.told_ms.max(15_000) {
            found.push(Timed { event, service, instance, beater });
        }
    }
    found
}

fn like_seconds(scene: &Scene<'_>, hits: &mut Hits) {
    timed(scene).iter().filter(|timed| timed.looks_like_seconds()).for_each(|timed| hits.add(timed.hit()));
}

fn interval_over_timeout(scene: &Scene<'_>, hits: &mut Hits) {
    for timed in timed(scene).iter().filter(|timed| !timed.looks_like_seconds()) {
        if timed.pace() >= timed.values()[1] {
            hits.add(timed.hit());
        }
    }
    for hit in gaps::judged_as(scene, "INTERVAL-OVER-TIMEOUT") {
        let known = |other: &Hit| (&other.about.instance, &other.group) == (&hit.about.instance, &hit.group);
        if !hits.list.iter().any(known) {
            hits.add(hit);
        }
    }
}

fn timeout_too_short(scene: &Scene<'_>, hits: &mut Hits) {
    for timed in timed(scene).iter().filter(|timed| !timed.looks_like_seconds()) {
        let (pace, timeout) = (timed.pace(), timed.values()[1]);
        // Gaps are never exact to the millisecond.
        if pace < timeout && timeout + pace / 10 < 3 * pace {
            let hit = timed.hit();
            hits.add(if timeout >= 2 * pace { hit.severity(Severity::Info) } else { hit });
        }
    }
}

fn switch_interval(scene: &Scene<'_>, hits: &mut Hits) {
    let interval = scene.naming.switches().client_beat_interval;
    let changed = scene.memory.kind("switchChanged", scene.now.wall, HORIZON_MS).next();
    let (third, least) = (preserved::DEFAULT_TIMEOUT_MS as i64 / 3, LIKE_SECONDS_MS as i64);
    if (least..=third).contains(&interval) {
        return;
    }
    let mut hit = Hit::new(About::setting("clientBeatInterval"))
        .fact("interval", interval)
        .fact("timeout", preserved::DEFAULT_TIMEOUT_MS)
        .saw(
            scene.now.wall,
            line!("the switch clientBeatInterval is {interval} ms", "开关 clientBeatInterval 为 {interval} ms"),
        )
        .confidence(Confidence::High)
        .not(line!(
            "the clients: they beat as often as this server tells them",
            "客户端：它们按服务器告知的频率发心跳"
        ));
    if interval > third && interval < preserved::DEFAULT_TIMEOUT_MS as i64 {
        hit = hit.severity(Severity::Info);
    }
    if let Some(event) = changed {
        hit = hit.event(event);
    }
    hits.add(hit);
}

fn flood(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = BTreeSet::new();
    for event in scene.told("suspicious") {
        let Cause::Suspicious { call, reason } = &*event.cause else { continue };
        let (true, Some(service), Some(instance)) = (call == "beat", &event.subject.service, &event.subject.instance)
        else {
            continue;
        };
        if !seen.insert((service, &**instance)) {
            continue;
        }
        let beater = parts(instance).and_then(|(ip, port, _)| scene.naming.beater(service, ip, port, scene.now));
        hits.add(
            Hit::new(About::of(&event.subject))
                .grouped(service.to_string())
                .fact("instance", instance)
                .fact("service", service.grouped())
                .words("reason", reason, flood_in_chinese(reason).unwrap_or_else(|| format!("“{reason}”")))
                .fact("interval", beater.as_ref().map_or(5_000, |beater| beater.interval_ms))
                .event(event)
                .confidence(Confidence::High)
                .not(line!(
                    "this server: it asks for a longer interval in every answer",
                    "本服务器：它在每个应答里都要求更长的间隔"
                )),
        );
    }
}

/// `800 beats in a row from 10.0.0.1, each less than 50 ms after ...`.
fn flood_in_chinese(reason: &str) -> Option<String> {
    let (count, rest) = reason.split_once(" beats in a row from ")?;
    let (from, rest) = rest.split_once(", each less than ")?;
    let (gap, _) = rest.split_once(" ms after")?;
    Some(format!(
        "来自 {from} 的连续 {count} 次心跳，间隔都小于 {gap} 毫秒；preserved.heart.beat.interval 的单位是毫秒"
    ))
}

// ------------------------------------------------------------------------------------------------------------ late beats

/// An instance whose beats were late several times without it having turned unhealthy.
struct Late<'a> {
    newest: &'a Event,
    service: &'a ServiceKey,
    beater: Beater,
    ip: Arc<str>,
    port: i32,
    times: usize,
    longest: u64,
}

/// So many late beats within five minutes are no accident.
const LATE: usize = 3;
const LATE_WITHIN_MS: i64 = 5 * 60 * 1_000;
/// So many services of one `ip:port` keep the two beat threads of a 1.x client busy.
const MANY_SERVICES: usize = 50;

fn late<'a>(scene: &'a Scene<'_>) -> Vec<Late<'a>> {
    let mut counted: BTreeMap<(&ServiceKey, &str), (usize, u64, &Event)> = BTreeMap::new();
    for event in scene.memory.kind("beatLate", scene.now.wall, LATE_WITHIN_MS) {
        let (Cause::BeatLate { gap_ms, .. }, Some(service), Some(client)) =
            (&*event.cause, &event.subject.service, &event.subject.client)
        else {
            continue;
        };
        let held = counted.entry((service, client)).or_insert((0, 0, event));
        held.0 += 1;
        held.1 = held.1.max(*gap_ms);
    }
    let mut found = Vec::new();
    for ((service, client), (times, longest, newest)) in counted {
        let fresh = scene.now.wall - newest.at <= scene.told_ms.max(15_000);
        let Some(ClientId::IpPort { ip, port, .. }) = ClientId::parse(client).filter(|_| times >= LATE && fresh) else {
            continue;
        };
        let Some(beater) = scene.naming.beater(service, &ip, port, scene.now) else { continue };
        if !gaps::is_told(scene, &ip, port) {
            found.push(Late { newest, service, beater, ip, port, times, longest });
        }
    }
    found
}

impl Late<'_> {
    /// Its gaps are all too long by about the same: a pace, not an accident.
    fn is_pace(&self) -> bool {
        let limit = self.beater.interval_ms + self.beater.interval_ms / 2;
        let long = || self.beater.gaps.iter().copied().filter(|gap| u64::from(*gap) > limit);
        match (long().min(), long().max()) {
            // The one after the registration does not count.
            (Some(shortest), Some(longest)) => {
                long().count() + 1 >= self.beater.gaps.len() && longest - shortest <= shortest / 3
            }
            _ => false,
        }
    }

    fn hit(&self) -> Hit {
        let gaps: Vec<String> = self.beater.gaps.iter().map(|gap| seconds(u64::from(*gap))).collect();
        let mut sorted = self.beater.gaps.clone();
        sorted.sort_unstable();
        Hit::new(About::of(&self.newest.subject).with_address(&self.ip))
            .grouped(&*self.ip)
            .fact("instance", format!("{}:{}", self.ip, self.port))
            .fact("address", &self.ip)
            .fact("service", self.service.grouped())
            .fact("times", self.times)
            .fact("longest", seconds(self.longest))
            .fact("median", seconds(u64::from(sorted.get(sorted.len() / 2).copied().unwrap_or(0))))
            .fact("interval", seconds(self.beater.interval_ms))
            .fact("timeout", seconds(self.beater.timeout_ms))
            .fact("gaps", gaps.join(", "))
            .fact("services", self.beater.services)
            .event(self.newest)
            .saw(
                self.newest.at,
                line!("the last gaps between its beats: {}", "最近几次心跳的间隔：{}", gaps.join(", ")),
            )
            .not(line!(
                "this server: it credits a beat when it arrives, and did not stall",
                "本服务器：心跳一到就记入，且没有停顿"
            ))
    }
}

fn interval_ignored(scene: &Scene<'_>, hits: &mut Hits) {
    for late in late(scene).iter().filter(|late| late.is_pace()) {
        let hit = late.hit().confidence(Confidence::High);
        hits.add(hit.not(line!(
            "a starved client or a bad network: the gaps are long, but even",
            "客户端资源不足或网络差：间隔虽长，但很均匀"
        )));
    }
}

fn too_many_services(scene: &Scene<'_>, hits: &mut Hits) {
    for late in late(scene).iter().filter(|late| !late.is_pace() && late.beater.services >= MANY_SERVICES) {
        hits.add(late.hit().grouped(format!("{}:{}", late.ip, late.port)));
    }
}

fn jitter(scene: &Scene<'_>, hits: &mut Hits) {
    for late in late(scene).iter().filter(|late| !late.is_pace() && late.beater.services < MANY_SERVICES) {
        hits.add(late.hit());
    }
}

// ------------------------------------------------------------------------------------------ registrations and their ends

/// Registrations of one instance within [`STORM_MS`] that make a storm.
const STORM: usize = 10;
const STORM_MS: i64 = 20_000;

fn register_storm(scene: &Scene<'_>, hits: &mut Hits) {
    let mut counted: BTreeMap<(&ServiceKey, &str), (usize, &Event)> = BTreeMap::new();
    for event in scene.memory.kind("instanceRegistered", scene.now.wall, STORM_MS) {
        let (Cause::InstanceRegistered { how, .. }, Some(service), Some(instance)) =
            (&*event.cause, &event.subject.service, &event.subject.instance)
        else {
            continue;
        };
        if how != "restore" {
            counted.entry((service, instance)).or_insert((0, event)).0 += 1;
        }
    }
    for ((service, instance), (times, event)) in counted {
        if times < STORM {
            continue;
        }
        let Some((ip, port, _)) = parts(instance) else { continue };
        let caller = scene.sightings.callers.last(ip, port, Act::Register);
        let address = caller.as_ref().map_or_else(|| ip.to_owned(), |caller| caller.address.to_string());
        let agent = caller.map(|caller| caller.agent).or_else(|| scene.sightings.get(ip)?.agents().pop());
        hits.add(
            Hit::new(About::of(&event.subject).with_address(&address))
                .grouped(&address)
                .fact("instance", format!("{ip}:{port}"))
                .fact("service", service.grouped())
                .fact("address", &address)
                .fact("agent", agent.as_deref().unwrap_or("?"))
                .fact("times", times)
                .fact("within", duration(STORM_MS as u64))
                .event(event)
                .saw(
                    event.at,
                    line!("registered {times} times within {}", "{} 内注册了 {times} 次", duration(STORM_MS as u64)),
                )
                .confidence(Confidence::High)
                .not(line!(
                    "a restart of this server: the instance was here all the time",
                    "本服务器重启：该实例一直都在"
                )),
        );
    }
}

/// gRPC connections of one address that look like a client made anew for every request.
const CONNECTIONS: u32 = 100;

fn connections_per_address(scene: &Scene<'_>, hits: &mut Hits) {
    for source in scene.sightings.all().iter().filter(|source| source.open() >= CONNECTIONS) {
        let address = source.address.to_string();
        let agent = source.agents().pop();
        hits.add(
            Hit::new(About::address(&address))
                .fact("address", &address)
                .fact("open", source.open())
                .words(
                    "agent",
                    agent.as_deref().unwrap_or("an unknown agent"),
                    agent.as_deref().unwrap_or("未知客户端"),
                )
                .saw(
                    scene.now.wall,
                    line!("{} open gRPC connections of {address}", "{address} 有 {} 个打开的 gRPC 连接", source.open()),
                )
                .saw(
                    source.first.wall,
                    line!("first seen; {} connections since", "首次看到；此后共 {} 个连接", source.count(Act::Connect)),
                )
                .not(line!(
                    "a leak of this server: the connections are open and in use",
                    "本服务器泄漏：这些连接都打开着并在使用"
                )),
        );
    }
}

fn deregistered_by_other(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.told("instanceRemoved") {
        let (Cause::InstanceRemoved { removal: Removal::Deregistered }, Some(service), Some(identity)) =
            (&*event.cause, &event.subject.service, &event.subject.instance)
        else {
            continue;
        };
        let Some((ip, port, _)) = parts(identity) else { continue };
        let Some(by) = scene.sightings.callers.last(ip, port, Act::Deregister) else { continue };
        let owner = scene.sightings.callers.last(ip, port, Act::Register).map(|caller| caller.address.to_string());
        let from = by.address.to_string();
        if (by.at - event.at).abs() > 5_000 || from == ip || owner.as_deref() == Some(&*from) {
            continue;
        }
        let since = scene.now.wall - event.at;
        let client = format!("{ip}:{port}#true");
        let mut later = scene.memory.instance(service, identity, scene.now.wall, since);
        let again = later
            .by_ref()
            .take_while(|later| !std::ptr::eq(*later, event))
            .find(|later| matches!(*later.cause, Cause::InstanceRegistered { .. }));
        let beat = scene.memory.kind("beatUnknownInstance", scene.now.wall, since).find(|later| {
            later.subject.client.as_deref() == Some(&*client) && later.subject.service.as_ref() == Some(service)
        });
        let Some(after) = again.or(beat) else { continue };
        let agent = if by.agent.is_empty() { "?" } else { &*by.agent };
        hits.add(
            Hit::new(About::service(service).with_instance(identity).with_address(&from))
                .grouped(&from)
                .fact("instance", format!("{ip}:{port}"))
                .fact("service", service.grouped())
                .fact("by", &from)
                .fact("agent", agent)
                .fact("after", nacre_journal::describe(after))
                .event(event)
                .saw(by.at, line!("the deregister call came from {from} ({agent})", "注销调用来自 {from}（{agent}）"))
                .event(after)
                .confidence(Confidence::High)
                .not(line!(
                    "the instance's own client: it goes on beating for the instance",
                    "实例自己的客户端：它还在为该实例发心跳"
                ))
                .not(line!("expiry: it was asked for", "过期：这是有人要求的")),
        );
    }
}

/// An address is given this long to register again.
const PATIENCE_MS: i64 = 8_000;

fn not_registered(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = BTreeSet::new();
    for event in scene.memory.kind("instanceRemoved", scene.now.wall, HORIZON_MS) {
        let (Cause::InstanceRemoved { removal }, Some(service), Some(identity)) =
            (&*event.cause, &event.subject.service, &event.subject.instance)
        else {
            continue;
        };
        let Some((ip, port, cluster)) = parts(identity) else { continue };
        if !seen.insert((service, &**identity)) {
            continue;
        }
        let since = scene.now.wall - event.at;
        // What was taken away for silence a moment ago is told as a silence.
        let wait = match removal {
            Removal::Deregistered => PATIENCE_MS,
            Removal::BeatExpired { .. } | Removal::ClientExpired { .. } => PATIENCE_MS.max(scene.told_ms),
            _ => continue,
        };
        if since < wait || scene.naming.instance(service, ip, port, cluster).is_ok() {
            continue;
        }
        let caller = scene.sightings.callers.last(ip, port, Act::Register).map(|caller| caller.address.to_string());
        let homes = [Some(ip.to_owned()), caller];
        let alive = homes.into_iter().flatten().find_map(|home| {
            let source = scene.sightings.get(&home)?;
            Some((alive(scene, &source, since)?, home, source))
        });
        let Some(((act, ago), home, source)) = alive else { continue };
        let agent = source.agents().pop();
        let told = duration(u64::try_from(since).unwrap_or(0));
        hits.add(
            Hit::new(About::service(service).with_instance(identity).with_address(&home))
                .grouped(format!("{ip}:{port}"))
                .fact("instance", format!("{ip}:{port}"))
                .fact("address", &home)
                .words("agent", agent.as_deref().unwrap_or("an unknown agent"), agent.as_deref().unwrap_or("未知客户端"))
                .fact("service", service.grouped())
                .words("act", act.words(), zh::act(act))
                .fact("ago", duration(ago))
                .fact("since", &told)
                .words("removal", nacre_journal::removal(removal), zh::removal(removal))
                .severity(if *removal == Removal::Deregistered { Severity::Info } else { Severity::Warning })
                .event(event)
                .saw(scene.now.wall - ago as i64, line!(en: "{home}: last seen {} {} ago", act.words(), duration(ago); zh: "{home}：{} 前最后一次看到它{}", duration(ago), zh::act(act)))
                .saw(scene.now.wall, line!("no registration attempt and no beat from {home} for {told}", "{told} 内 {home} 既没有尝试注册，也没有心跳"))
                .confidence(Confidence::High)
                .not(line!("the host and its network: its requests arrive", "主机及其网络：它的请求能到达"))
                .not(line!("a refused registration: none was tried since the instance left", "注册被拒：实例离开后没有尝试过注册")),
        );
    }
}

/// What an address was seen doing within the last minute and since then; `None` when it beats or registers as well.
fn alive(scene: &Scene<'_>, source: &Source, since: i64) -> Option<(Act, u64)> {
    let since = u64::try_from(since).unwrap_or(0);
    let tries = [Act::Register, Act::Beat].into_iter().filter_map(|act| source.ago(act, scene.now));
    if tries.into_iter().any(|ago| ago + 500 < since) {
        return None;
    }
    let acts = [Act::ConfigListen, Act::ConfigRead, Act::ServiceQuery, Act::Subscribe];
    let seen = acts.into_iter().filter_map(|act| Some((act, source.ago(act, scene.now)?)));
    seen.filter(|(_, ago)| *ago <= 60_000 && ago + 500 < since).min_by_key(|(_, ago)| *ago)
}

#[cfg(test)]
mod tests;

//! Sent, but not credited: beats and registrations that arrive and are not what keeps the instance alive.

use std::collections::{BTreeMap, BTreeSet};

use nacre_journal::duration;
use nacre_model::{Cause, Event, ServiceKey};
use nacre_naming::{Beater, ClientId};

use super::{
    misnamed,
    refusals::{parts, refusals},
    zh,
};
use crate::{About, Confidence, Hit, Hits, Rule, Scene, line, memory::HORIZON_MS, rule};

pub static RULES: [Rule; 7] = [
    rule!("BEAT-20404-IGNORED", not_found_ignored),
    rule!("BEAT-CLUSTER-WRONG", cluster),
    rule!("BEAT-GROUP-WRONG", group),
    rule!("BEAT-NAMESPACE-WRONG", namespace),
    rule!("BEAT-OF-PERSISTENT", of_persistent),
    rule!("BEAT-SERVICE-NAME-WRONG", service_name),
    rule!("BEAT-WITHOUT-ADDRESS", without_address),
];

/// Beats of a wrong field come this often at most; so long one is remembered.
const RECENT_MS: i64 = 60_000;

pub(super) fn recent(scene: &Scene<'_>) -> i64 {
    // Beats come every five seconds: what was told a moment ago still holds.
    scene.told_ms.clamp(6_000, RECENT_MS)
}

fn address(event: &Event) -> Option<(std::sync::Arc<str>, i32)> {
    match ClientId::parse(event.subject.client.as_deref()?)? {
        ClientId::IpPort { ip, port, ephemeral: true } => Some((ip, port)),
        _ => None,
    }
}

// ------------------------------------------------------------------------------------------------ another service's beats

/// An instance whose beats go to a service of the same name in another namespace or group.
pub(super) struct Elsewhere<'a> {
    event: &'a Event,
    field: &'a str,
    expected: &'a str,
    got: &'a str,
}

/// Where the beats of a registered and silent instance go instead.
pub(super) fn elsewhere<'a>(scene: &'a Scene<'_>, service: &ServiceKey, ip: &str, port: i32) -> Option<Elsewhere<'a>> {
    let client = format!("{ip}:{port}#true");
    for event in scene.memory.kind("beatMismatch", scene.now.wall, RECENT_MS.max(scene.told_ms)) {
        let Cause::BeatMismatch { field, expected, got } = &*event.cause else { continue };
        if event.subject.client.as_deref() != Some(&*client) {
            continue;
        }
        let Some(asked) = event.subject.service.as_ref().filter(|asked| asked.name == service.name) else { continue };
        let fits = match &**field {
            "namespaceId" => **expected == *service.namespace && asked.namespace != service.namespace,
            "groupName" => **expected == *service.group && asked.group != service.group,
            _ => false,
        };
        if fits {
            return Some(Elsewhere { event, field, expected, got });
        }
    }
    None
}

fn namespace(scene: &Scene<'_>, hits: &mut Hits) {
    misdirected(scene, hits, "namespaceId");
}

fn group(scene: &Scene<'_>, hits: &mut Hits) {
    misdirected(scene, hits, "groupName");
}

fn misdirected(scene: &Scene<'_>, hits: &mut Hits, wanted: &str) {
    let mut told = BTreeSet::new();
    for event in scene.memory.kind("beatMismatch", scene.now.wall, RECENT_MS.max(scene.told_ms)) {
        let Cause::BeatMismatch { field, expected, .. } = &*event.cause else { continue };
        let (true, Some(asked), Some((ip, port))) = (field == wanted, &event.subject.service, address(event)) else {
            continue;
        };
        let meant = match wanted {
            "namespaceId" => ServiceKey::new(expected, &asked.group, &asked.name),
            _ => ServiceKey::new(&asked.namespace, expected, &asked.name),
        };
        // It is a mistake when the instance that is registered gets no beats itself.
        let is_new = scene.now.wall - event.at <= recent(scene);
        let registered = scene.naming.beater(&meant, &ip, port, scene.now);
        let starved = |b: &Beater| b.silent_ms > b.interval_ms + 1_000;
        let twin = scene.naming.beater(asked, &ip, port, scene.now);
        let holds = match (&registered, &twin) {
            (Some(registered), Some(twin)) => starved(registered) && !starved(twin),
            (Some(registered), None) => starved(registered) && is_new,
            (None, _) => false,
        };
        if !holds || !told.insert((meant.clone(), ip.clone(), port)) {
            continue;
        }
        let Some(registered) = registered else { continue };
        let Some(Elsewhere { event, field, expected, got }) = elsewhere(scene, &meant, &ip, port) else { continue };
        let hint = if wanted == "namespaceId" { named(scene, expected, got) } else { Default::default() };
        let shown = |text: &str, empty: &str| if text.is_empty() { empty.to_owned() } else { text.to_owned() };
        hits.add(
            Hit::new(About::service(&meant).with_instance(&registered.instance.identity()).with_address(&ip))
                .grouped(format!("{meant} {ip}"))
                .fact("instance", format!("{ip}:{port}"))
                .fact("service", meant.grouped())
                .words("expected", shown(expected, "(empty)"), shown(expected, "（空）"))
                .words("got", shown(got, "(empty)"), shown(got, "（空）"))
                .fact("field", field)
                .words("hint", hint.0, hint.1)
                .fact("silence", duration(registered.silent_ms))
                .event(event)
                .saw(
                    scene.now.wall,
                    line!(
                        "{ip}:{port} is registered in {field} {expected} and silent there for {}",
                        "{ip}:{port} 注册在 {field} {expected} 中，在那里已静默 {}",
                        duration(registered.silent_ms)
                    ),
                )
                .confidence(Confidence::High)
                .not(line!("the network and the process: the beats arrive", "网络与进程：心跳能到达")),
        );
    }
}

/// `; "dev" is the name of namespace 5f0c`, when it is; in both languages.
fn named(scene: &Scene<'_>, expected: &str, got: &str) -> (String, String) {
    let named = scene.configs.namespaces().into_iter().find(|entry| &*entry.name == got && &*entry.id == expected);
    let Some(id) = named.map(|entry| entry.id) else { return Default::default() };
    (
        format!("; \"{got}\" is the NAME of the namespace with id {id}"),
        format!("；“{got}”是 id 为 {id} 的命名空间的名称"),
    )
}

// ------------------------------------------------------------------------------------------- contradictions of a full beat

fn service_name(scene: &Scene<'_>, hits: &mut Hits) {
    contradiction(scene, hits, "serviceName");
}

fn cluster(scene: &Scene<'_>, hits: &mut Hits) {
    contradiction(scene, hits, "cluster");
}

fn contradiction(scene: &Scene<'_>, hits: &mut Hits, wanted: &str) {
    let mut told = BTreeSet::new();
    for event in scene.memory.kind("beatMismatch", scene.now.wall, HORIZON_MS) {
        let Cause::BeatMismatch { field, expected, got } = &*event.cause else { continue };
        let (true, Some(service), Some((ip, port))) = (field == wanted, &event.subject.service, address(event)) else {
            continue;
        };
        let beater = scene.naming.beater(service, &ip, port, scene.now);
        let Some(beater) = beater.filter(|b| b.mismatch && !b.is_late()) else { continue };
        if !told.insert((service.clone(), ip.clone(), port)) {
            continue;
        }
        hits.add(
            Hit::new(About::of(&event.subject).with_address(&ip))
                .grouped(service.to_string())
                .fact("instance", format!("{ip}:{port}"))
                .fact("service", service.grouped())
                .fact("expected", expected)
                .fact("got", got)
                .event(event)
                .saw(
                    scene.now.wall,
                    line!(
                        "{} beats since it was registered, all of them credited",
                        "注册以来 {} 次心跳，全部记入",
                        beater.beats
                    ),
                )
                .confidence(Confidence::High)
                .not(line!(
                    "a lost beat: nacre goes by the parameter and credits it",
                    "心跳丢失：nacre 以参数为准并记入"
                )),
        );
    }
}

// ---------------------------------------------------------------------------------------------------- unknown instances

/// Beats of one client for one service that found nothing.
pub(super) struct Unknown<'a> {
    pub newest: &'a Event,
    oldest: &'a Event,
    times: usize,
    pub from: BTreeSet<&'a str>,
    light: bool,
}

pub(super) fn unknown<'a>(scene: &'a Scene<'_>) -> BTreeMap<(&'a ServiceKey, &'a str), Unknown<'a>> {
    let mut found: BTreeMap<(&ServiceKey, &str), Unknown<'_>> = BTreeMap::new();
    for event in scene.memory.kind("beatUnknownInstance", scene.now.wall, RECENT_MS) {
        let (Cause::BeatUnknownInstance { light, from }, Some(service), Some(client)) =
            (&*event.cause, &event.subject.service, &event.subject.client)
        else {
            continue;
        };
        let held = found.entry((service, client)).or_insert(Unknown {
            newest: event,
            oldest: event,
            times: 0,
            from: BTreeSet::new(),
            light: *light,
        });
        held.times += 1;
        held.oldest = event;
        held.from.insert(from);
    }
    found.retain(|_, held| held.times >= 3 && scene.now.wall - held.newest.at <= recent(scene));
    found
}

fn without_address(scene: &Scene<'_>, hits: &mut Hits) {
    for ((service, client), held) in unknown(scene) {
        let Some(ClientId::IpPort { ip, port, .. }) = ClientId::parse(client) else { continue };
        if !ip.is_empty() && port != 0 {
            continue;
        }
        let from = sender(&held);
        hits.add(
            Hit::new(About::service(service).with_address(&from))
                .grouped(format!("{service} {from}"))
                .fact("service", service.grouped())
                .fact("address", &from)
                .fact("missing", if ip.is_empty() { "ip" } else { "port" })
                .fact("times", held.times)
                .event(held.newest)
                .confidence(Confidence::High)
                .not(line!("the network: the beats arrive", "网络：心跳能到达")),
        );
    }
}

fn sender(held: &Unknown<'_>) -> String {
    let known: Vec<&str> = held.from.iter().copied().filter(|from| !from.is_empty()).collect();
    if known.is_empty() { "?".to_owned() } else { known.join(", ") }
}

fn not_found_ignored(scene: &Scene<'_>, hits: &mut Hits) {
    let misnamed = misnamed::all(scene);
    for ((service, client), held) in unknown(scene) {
        let Some(ClientId::IpPort { ip, port, .. }) = ClientId::parse(client) else { continue };
        if ip.is_empty()
            || port == 0
            || !held.light
            || scene.naming.beater(service, &ip, port, scene.now).is_some()
            || scene.naming.is_persistent(service, &ip, port)
            || is_misdirected(scene, client)
            || misnamed.iter().any(|other| other.asked == service && other.client == client)
        {
            continue;
        }
        let gone = scene.memory.address(&ip, scene.now.wall, HORIZON_MS).find(|event| {
            let removed = matches!(*event.cause, Cause::InstanceRemoved { .. });
            removed
                && event.subject.client.as_deref() == Some(client)
                && event.subject.service.as_ref() == Some(service)
        });
        let uptime = scene.server.uptime_ms();
        let (history, zh_history) = match gone {
            Some(event) => {
                let Cause::InstanceRemoved { removal } = &*event.cause else { continue };
                let ago = u64::try_from(scene.now.wall - event.at).unwrap_or(0);
                (
                    format!("it was removed {} ago: {}", duration(ago), nacre_journal::removal(removal)),
                    format!("{} 前被移除：{}", duration(ago), zh::removal(removal)),
                )
            }
            None if uptime < 600_000 => (
                format!("this server started {} ago and never knew it", duration(uptime)),
                format!("本服务器 {} 前启动，从未见过它", duration(uptime)),
            ),
            None => (
                "it was not registered here within the last 15 minutes".to_owned(),
                "最近 15 分钟内没有在这里注册过".to_owned(),
            ),
        };
        let from = sender(&held);
        let mut hit = Hit::new(About::service(service).with_client(client).with_address(&ip))
            .grouped(format!("{service} {client}"))
            .fact("instance", format!("{ip}:{port}"))
            .fact("service", service.grouped())
            .fact("namespace", &service.namespace)
            .fact("address", &from)
            .fact("times", held.times)
            .words("history", history, zh_history)
            .event(held.oldest)
            .event(held.newest)
            .confidence(Confidence::High)
            .not(line!("the network: the beats arrive and are answered", "网络：心跳能到达并得到应答"))
            .not(line!(
                "another namespace or group: the address is registered in none for this service name",
                "其他命名空间或分组：该地址在任何地方都没有以此服务名注册"
            ));
        if let Some(event) = gone {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

/// Its address is registered in another namespace or group.
fn is_misdirected(scene: &Scene<'_>, client: &str) -> bool {
    scene.memory.kind("beatMismatch", scene.now.wall, RECENT_MS).any(|event| {
        let field =
            matches!(&*event.cause, Cause::BeatMismatch { field, .. } if field == "namespaceId" || field == "groupName");
        field && event.subject.client.as_deref() == Some(client)
    })
}

fn of_persistent(scene: &Scene<'_>, hits: &mut Hits) {
    let mut told = BTreeSet::new();
    for event in scene.memory.kind("beatMismatch", scene.now.wall, recent(scene)) {
        let Cause::BeatMismatch { field, expected, .. } = &*event.cause else { continue };
        let (true, Some(service), Some((ip, port))) =
            (field == "ephemeral" && expected == "false", &event.subject.service, address(event))
        else {
            continue;
        };
        if !told.insert((service, ip.clone(), port)) {
            continue;
        }
        hits.add(beaten_persistent(service, &ip, port, event));
    }
    // A full beat is a registration, and refused as one.
    for refusal in refusals(scene, "EPHEMERAL-MISMATCH").iter().filter(|refusal| refusal.call.contains("/beat")) {
        let subject = &refusal.event.subject;
        if let (Some(service), Some((ip, port, _))) = (&subject.service, subject.instance.as_deref().and_then(parts))
            && scene.naming.is_persistent(service, ip, port)
            && told.insert((service, ip.into(), port))
        {
            hits.add(beaten_persistent(service, ip, port, refusal.event));
        }
    }
}

fn beaten_persistent(service: &ServiceKey, ip: &str, port: i32, event: &Event) -> Hit {
    Hit::new(About::service(service).with_address(ip).with_client(&format!("{ip}:{port}#false")))
        .grouped(format!("{service} {ip}"))
        .fact("instance", format!("{ip}:{port}"))
        .fact("service", service.grouped())
        .event(event)
        .confidence(Confidence::High)
        .not(line!(
            "a silent client: its beats arrive, and a persistent instance needs none",
            "客户端静默：它的心跳能到达，而持久实例不需要心跳"
        ))
}

#[cfg(test)]
mod tests;

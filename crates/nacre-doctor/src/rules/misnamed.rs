//! Beats that name another key than the registration: another port, another address of the same host, another service.

use std::{collections::BTreeSet, sync::Arc};

use nacre_journal::duration;
use nacre_model::{Cause, Event, ServiceKey, event::Removal};
use nacre_naming::ClientId;

use super::{credit, refusals::parts};
use crate::{About, Confidence, Hit, Hits, Rule, Scene, line, memory::HORIZON_MS, rule, sightings::Act};

pub static RULES: [Rule; 1] = [rule!("BEAT-KEY-WRONG", key_wrong)];

/// A full beat registers what it names this soon after the registration that it was meant for.
const TWIN_MS: i64 = 60_000;

/// An instance that never got a beat, and the beats that were meant for it.
pub(super) struct Misnamed<'a> {
    /// `instanceUnhealthy` of what was registered.
    event: &'a Event,
    pub service: &'a ServiceKey,
    pub ip: Arc<str>,
    pub port: i32,
    /// Where the beats go, and what shows it.
    pub asked: &'a ServiceKey,
    pub client: &'a str,
    seen: &'a Event,
    field: &'static str,
    light: bool,
}

/// Beats for what nobody registered: light ones that find nothing, and full ones that register it themselves.
struct Stray<'a> {
    service: &'a ServiceKey,
    client: &'a str,
    ip: Arc<str>,
    port: i32,
    event: &'a Event,
    from: Vec<&'a str>,
    light: bool,
}

fn strays<'a>(scene: &'a Scene<'_>) -> Vec<Stray<'a>> {
    let mut found = Vec::new();
    for ((service, client), held) in credit::unknown(scene) {
        if let Some(ClientId::IpPort { ip, port, ephemeral: true }) = ClientId::parse(client) {
            let from = held.from.iter().copied().collect();
            found.push(Stray { service, client, ip, port, event: held.newest, from, light: true });
        }
    }
    for event in scene.memory.kind("instanceRegistered", scene.now.wall, HORIZON_MS) {
        let (Cause::InstanceRegistered { how, .. }, Some(service), Some(client)) =
            (&*event.cause, &event.subject.service, event.subject.client.as_deref())
        else {
            continue;
        };
        if how == "beat"
            && let Some(ClientId::IpPort { ip, port, ephemeral: true }) = ClientId::parse(client)
            && scene.naming.beater(service, &ip, port, scene.now).is_some_and(|beater| !beater.is_late())
        {
            found.push(Stray { service, client, ip, port, event, from: Vec::new(), light: false });
        }
    }
    found
}

/// Every registered instance whose beats go astray so.
pub(super) fn all<'a>(scene: &'a Scene<'_>) -> Vec<Misnamed<'a>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut strays: Option<Vec<Stray<'a>>> = None;
    for event in scene.memory.kind("instanceUnhealthy", scene.now.wall, HORIZON_MS) {
        let (Cause::InstanceUnhealthy { beats: 0, silent_ms, cause, .. }, Some(service), Some(identity)) =
            (&*event.cause, &event.subject.service, event.subject.instance.as_deref())
        else {
            continue;
        };
        let Some((ip, port, _)) = parts(identity).filter(|_| cause == "client_beat") else { continue };
        if !seen.insert((service, identity)) || !is_starved(scene, service, identity, ip, port) {
            continue;
        }
        let began = event.at - i64::try_from(*silent_ms).unwrap_or(0);
        let strays = strays.get_or_insert_with(|| self::strays(scene));
        let fits = |stray: &&Stray<'a>| stray.light || (began - TWIN_MS..=began + TWIN_MS).contains(&stray.event.at);
        let meant = strays.iter().filter(fits).find_map(|stray| Some((stray, field(scene, stray, service, ip, port)?)));
        if let Some((stray, field)) = meant {
            let Stray { service: asked, client, event: shown, light, .. } = *stray;
            found.push(Misnamed { event, service, ip: ip.into(), port, asked, client, seen: shown, field, light });
        }
    }
    found
}

/// What the beats have wrong, if they may be this instance's.
fn field(scene: &Scene<'_>, stray: &Stray<'_>, service: &ServiceKey, ip: &str, port: i32) -> Option<&'static str> {
    let same_service = stray.service == service;
    if same_service && *stray.ip == *ip && stray.port != port {
        return Some("port");
    }
    if same_service && stray.port == port && *stray.ip != *ip {
        let by = scene.sightings.callers.last(ip, port, Act::Register).map(|caller| caller.address.to_string());
        let by = by.unwrap_or_else(|| ip.to_owned());
        return stray.from.contains(&&*by).then_some("ip");
    }
    let place = stray.service.namespace == service.namespace && stray.service.name != service.name;
    (place && *stray.ip == *ip && stray.port == port).then_some("serviceName")
}

/// Still there and never beaten for, or taken away for it.
fn is_starved(scene: &Scene<'_>, service: &ServiceKey, identity: &str, ip: &str, port: i32) -> bool {
    match scene.naming.beater(service, ip, port, scene.now) {
        Some(beater) => beater.beats == 0 && !beater.instance.healthy,
        None => {
            let newest = scene.memory.instance(service, identity, scene.now.wall, HORIZON_MS).next();
            newest.is_some_and(|newest| {
                matches!(&*newest.cause, Cause::InstanceRemoved { removal: Removal::BeatExpired { .. } })
            })
        }
    }
}

fn key_wrong(scene: &Scene<'_>, hits: &mut Hits) {
    for one in all(scene) {
        let instance = format!("{}:{}", one.ip, one.port);
        let got = one.client.trim_end_matches("#true");
        let (expected, got) = match one.field {
            "serviceName" => (one.service.grouped(), one.asked.grouped()),
            _ => (instance.clone(), got.to_owned()),
        };
        let state = if one.light {
            ("answered 20404 (not registered)", "得到 20404（未注册）")
        } else {
            ("taken for a registration of their own", "被当作另一个实例的注册")
        };
        let silent = duration(u64::try_from(scene.now.wall - one.event.at).unwrap_or(0));
        hits.add(
            Hit::new(About::of(&one.event.subject).with_address(&one.ip))
                .grouped(format!("{} {}", one.service, one.ip))
                .fact("instance", &instance)
                .fact("service", one.service.grouped())
                .fact("field", one.field)
                .fact("expected", expected)
                .fact("got", got)
                .fact("silent", silent)
                .words("state", state.0, state.1)
                .confidence(if one.light { Confidence::High } else { Confidence::Medium })
                .event(one.event)
                .event(one.seen)
                .not(line!("the network and the process: the beats arrive", "网络与进程：心跳能到达"))
                .not(line!(
                    "a client that does not beat: it does, under another key",
                    "不发心跳的客户端：它在发，只是键不同"
                )),
        );
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::Instance;
    use nacre_naming::{Beat, BeatInfo};

    use super::*;
    use crate::testing::Stage;

    fn key(name: &str) -> ServiceKey {
        ServiceKey::new("", "DEFAULT_GROUP", name)
    }

    fn pass(stage: &mut Stage, name: &str, ip: &str, port: i32, full: bool) {
        let told =
            format!(r#"{{"ip":"{ip}","port":{port},"cluster":"DEFAULT","serviceName":"DEFAULT_GROUP@@{name}"}}"#);
        let info = full.then(|| BeatInfo::parse(&told).expect("a beat"));
        for second in 0..24 {
            stage.wait(1_000);
            if second % 5 == 0 {
                let service = key(name);
                let beat = Beat { service: &service, ip, port, cluster: "", info: info.as_ref(), sender: "10.0.0.1" };
                let (_, effects) = stage.naming.beat(&beat, stage.now).expect("beats");
                stage.records(effects);
            }
            let effects = stage.naming.tick(stage.now);
            stage.records(effects);
        }
    }

    #[test]
    fn beats_that_name_another_port_address_or_service_are_told_and_nothing_else_is() {
        for (name, ip, port, full, field) in [
            ("orders", "10.0.0.1", 81, false, "port"),
            ("orders", "10.0.0.1", 81, true, "port"),
            ("orders", "10.9.9.9", 80, false, "ip"),
            ("Orders", "10.0.0.1", 80, false, "serviceName"),
            ("order", "10.0.0.1", 80, true, "serviceName"),
        ] {
            let mut stage = Stage::default();
            let effects = stage.naming.register_http(&key("orders"), Instance::new("10.0.0.1", 80), stage.now);
            stage.records(effects.expect("registered"));
            pass(&mut stage, name, ip, port, full);
            let findings = stage.findings();
            let finding = findings.iter().find(|finding| finding.code == "BEAT-KEY-WRONG").expect(field);
            assert!(finding.cause.contains(&format!("another {field}")), "{}", finding.cause);
            let other = ["REGISTER-NO-BEATS", "BEAT-20404-IGNORED"];
            assert!(findings.iter().all(|finding| !other.contains(&&*finding.code)), "{field}: {findings:?}");
        }
    }
}

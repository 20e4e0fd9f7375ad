//! Limits: what was refused because something is full, and what is nearly full.

use std::collections::BTreeMap;

use nacre_model::{Cause, Event};

use crate::{About, Confidence, Hit, Hits, Rule, Scene, line, memory::address_of, rule};

pub static RULES: [Rule; 7] = [
    rule!("GRPC-MESSAGE-TOO-BIG", message_too_big),
    rule!("HTTP-BODY-TOO-BIG", body_too_big),
    rule!("LIMIT-CONNECTIONS", connections),
    rule!("LIMIT-OPEN-FILES", open_files),
    rule!("LIMIT-REACHED", reached),
    rule!("MEMORY-NEAR-LIMIT", memory),
    rule!("WRITE-QUEUE-FULL", write_queue),
];

pub(super) const GRPC_MESSAGE: &str = "nacos.remote.server.grpc.sdk.max-inbound-message-size";
const HTTP_BODY: &str = "nacre.http.max-body";
const CONNECTIONS: &str = "nacre.limit.connections";
const FILES: &str = "open files of the process";

/// Limits that were hit and are still told, by name: newest event, how often, the limit's value.
fn hit_limits<'a>(scene: &'a Scene<'_>) -> BTreeMap<&'a str, (&'a Event, usize, u64)> {
    let mut by = BTreeMap::new();
    for event in scene.told("limitHit") {
        if let Cause::LimitHit { limit, value } = &*event.cause {
            by.entry(limit.as_str()).or_insert((event, 0, *value)).1 += 1;
        }
    }
    by
}

/// Payloads over a limit, by the address they came from.
fn too_big(scene: &Scene<'_>, hits: &mut Hits, wanted: &str) {
    let mut by: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in scene.told("limitHit") {
        if let (Cause::LimitHit { limit, .. }, Some(client)) = (&*event.cause, &event.subject.client)
            && limit == wanted
        {
            by.entry(address_of(client)).or_default().push(event);
        }
    }
    for (address, events) in by {
        let Cause::LimitHit { value, .. } = &*events[0].cause else { continue };
        let mut hit = Hit::new(About::setting(wanted).with_address(address))
            .fact("address", address)
            .fact("limit", wanted)
            .fact("value", value)
            .fact("times", events.len())
            .confidence(Confidence::High)
            .not(line!(
                "the network: the request arrived, and was refused for its size",
                "网络：请求已到达，因大小被拒绝"
            ));
        for event in events.iter().take(4) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

fn message_too_big(scene: &Scene<'_>, hits: &mut Hits) {
    too_big(scene, hits, GRPC_MESSAGE);
}

fn body_too_big(scene: &Scene<'_>, hits: &mut Hits) {
    too_big(scene, hits, HTTP_BODY);
}

/// From here a gauge is told before it is full.
const NEARLY: f64 = 0.9;

fn nearly(used: u64, most: u64) -> bool {
    most > 0 && most < u64::MAX / 2 && used as f64 >= most as f64 * NEARLY
}

fn open_files(scene: &Scene<'_>, hits: &mut Hits) {
    let gauges = scene.server.gauges();
    let event = hit_limits(scene).into_iter().find(|(limit, _)| limit.starts_with(FILES)).map(|(_, found)| found);
    let full = gauges.files.filter(|(used, most)| nearly(*used, *most));
    if event.is_none() && full.is_none() {
        return;
    }
    let value = event.map_or_else(|| full.map_or(0, |(_, most)| most), |(_, _, value)| value);
    let (state, zh_state) = match event {
        Some((_, times, _)) => (
            format!("new connections were refused ({times} times told, at most once a second)"),
            format!("新连接被拒绝（记录 {times} 次，每秒至多一次）"),
        ),
        None => ("new connections will be refused soon".to_owned(), "新连接很快会被拒绝".to_owned()),
    };
    let used = gauges.files.map_or_else(|| "many".to_owned(), |(used, _)| used.to_string());
    let mut hit = Hit::new(About::setting("ulimit -n"))
        .fact("value", value)
        .fact("used", &used)
        .words("state", state, zh_state)
        .fact("wanted", (value.max(1_024) * 4).max(65_536))
        .confidence(Confidence::High)
        .not(line!(
            "connected clients: a reserve of files is kept for them, the database and the log",
            "已连接的客户端：为它们、数据库和日志保留了文件句柄"
        ));
    hit = match event {
        Some((event, ..)) => hit.event(event),
        None => hit.saw(scene.now.wall, line!("{used} of {value} files are open", "已打开 {used} / {value} 个文件")),
    };
    hits.add(hit);
}

fn connections(scene: &Scene<'_>, hits: &mut Hits) {
    let refused = scene
        .told("handshakeRefused")
        .find(|event| matches!(&*event.cause, Cause::HandshakeRefused { reason } if reason.contains(CONNECTIONS)));
    let hit_event = hit_limits(scene).remove(CONNECTIONS);
    let gauge = scene.server.gauges().connections;
    let configured: u64 = scene.server.property(CONNECTIONS).parse().unwrap_or(0);
    // With fewer files than that the files are the limit.
    let full = gauge.filter(|(used, most)| nearly(*used, *most) && *most == configured);
    if refused.is_none() && hit_event.is_none() && full.is_none() {
        return;
    }
    let used = gauge.map_or(0, |(used, _)| used);
    let state = if refused.is_some() || hit_event.is_some() {
        ("new ones are refused", "新连接被拒绝")
    } else {
        ("new ones will be refused soon", "新连接很快会被拒绝")
    };
    let mut hit = Hit::new(About::setting(CONNECTIONS))
        .fact("value", if configured > 0 { configured } else { hit_event.map_or(0, |(_, _, value)| value) })
        .fact("used", used)
        .fact("port", scene.server.grpc_port())
        .words("state", state.0, state.1)
        .confidence(Confidence::High)
        .saw(scene.now.wall, line!("{used} connections are open", "已打开 {used} 个连接"))
        .not(line!("the limit of open files: this process may have more", "打开文件数上限：本进程还可以打开更多"));
    for event in refused.into_iter().chain(hit_event.map(|(event, ..)| event)) {
        hit = hit.event(event);
    }
    hits.add(hit);
}

/// Refusals of the cores name their limit as well.
const REFUSED_FOR: &str = "the limit ";

fn reached(scene: &Scene<'_>, hits: &mut Hits) {
    let own =
        |limit: &str| limit == CONNECTIONS || limit == GRPC_MESSAGE || limit == HTTP_BODY || limit.starts_with(FILES);
    let mut by: BTreeMap<String, (Vec<&Event>, u64)> = BTreeMap::new();
    for event in scene.told("limitHit").chain(scene.told("refused")) {
        let (limit, value) = match &*event.cause {
            Cause::LimitHit { limit, value } if !own(limit) => (property_of(limit), *value),
            Cause::Refused { reason, .. } => match limit_in(reason) {
                Some((limit, value)) => (limit.to_owned(), value),
                None => continue,
            },
            _ => continue,
        };
        let entry = by.entry(limit).or_default();
        entry.0.push(event);
        entry.1 = value;
    }
    for (limit, (events, value)) in by {
        let who = events[0].subject.client.as_deref().map(|client| address_of(client).to_owned());
        let (who, zh_who) =
            who.map_or(("several clients".to_owned(), "多个客户端".to_owned()), |ip| (ip.clone(), ip));
        let mut hit = Hit::new(About::setting(&limit))
            .fact("limit", &limit)
            .fact("value", value)
            .fact("times", events.len())
            .words("who", &who, zh_who)
            .confidence(Confidence::High);
        for event in events.iter().take(6) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

/// `the limit nacre.limit.instances of 100 is reached`.
fn limit_in(reason: &str) -> Option<(&str, u64)> {
    let (limit, rest) = reason.split_once(REFUSED_FOR)?.1.split_once(" of ")?;
    Some((limit, rest.split_once(' ')?.0.parse().ok()?))
}

/// The property that changes a limit, where there is one.
fn property_of(limit: &str) -> String {
    let known = nacre_model::limits::ALL.iter().find(|known| known.name == limit);
    known.map(|known| known.property).filter(|property| !property.is_empty()).unwrap_or(limit).to_owned()
}

fn memory(scene: &Scene<'_>, hits: &mut Hits) {
    let Some((used, most)) = scene.server.gauges().memory else { return };
    if !nearly(used, most) {
        return;
    }
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    hits.add(
        Hit::new(About::setting("memory"))
            .fact("used", mib(used))
            .fact("most", mib(most))
            .confidence(Confidence::High)
            .saw(
                scene.now.wall,
                line!(
                    "{} resident, memory.max of the control group {}",
                    "常驻 {}，控制组的 memory.max 为 {}",
                    mib(used),
                    mib(most)
                ),
            ),
    );
}

/// A write that was refused because too many waited.
fn unqueued<'a>(scene: &'a Scene<'_>) -> Option<&'a Event> {
    scene.told("writeFailed").find(
        |event| matches!(&*event.cause, Cause::WriteFailed { reason } if reason.contains("nacre.limit.write-queue") || reason.contains("wait already")),
    )
}

/// Whether WRITE-QUEUE-FULL holds.
pub(super) fn is_write_queue_full(scene: &Scene<'_>) -> bool {
    unqueued(scene).is_some() || scene.server.gauges().writes.is_some_and(|(used, most)| nearly(used, most))
}

fn write_queue(scene: &Scene<'_>, hits: &mut Hits) {
    if !is_write_queue_full(scene) {
        return;
    }
    let refused = unqueued(scene);
    let (used, most) = scene.server.gauges().writes.unwrap_or_default();
    let state = if refused.is_some() {
        ("more were refused with 503", "更多的写入被以 503 拒绝")
    } else {
        ("more will be refused with 503", "更多的写入将被以 503 拒绝")
    };
    let mut hit = Hit::new(About::setting("nacre.limit.write-queue"))
        .fact("used", used)
        .fact("most", most)
        .words("state", state.0, state.1)
        .saw(scene.now.wall, line!("{used} durable writes wait", "{used} 个持久写入在等待"));
    if let Some(event) = refused {
        hit = hit.event(event);
    }
    hits.add(hit);
}

#[cfg(test)]
mod tests {
    use nacre_model::Subject;

    use super::*;
    use crate::testing::Stage;

    fn limit(name: &str, value: u64) -> Cause {
        Cause::LimitHit { limit: name.to_owned(), value }
    }

    #[test]
    fn open_files_are_told_by_events_and_by_the_gauge() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), limit("open files of the process (ulimit -n)", 256));
        let finding = stage.only();
        assert_eq!(finding.code, "LIMIT-OPEN-FILES");
        assert!(finding.cause.contains("256") && finding.cause.contains("refused"), "{}", finding.cause);
        let mut stage = Stage::default();
        stage.server.gauges.files = Some((240, 256));
        assert!(stage.only().cause.contains("240"));
        stage.wait(5_000).server.gauges.files = Some((100, 256));
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn connections_are_their_own_finding() {
        let mut stage = Stage::default();
        stage.server.properties.insert(CONNECTIONS.into(), "64".into());
        stage.server.gauges.connections = Some((63, 64));
        assert_eq!(stage.only().code, "LIMIT-CONNECTIONS");
        let reason = "64 connections are registered (nacre.limit.connections)".to_owned();
        stage.event(Subject::client("1_10.0.0.1_2"), Cause::HandshakeRefused { reason });
        assert!(stage.only().cause.contains("are refused"));
    }

    #[test]
    fn other_limits_name_their_property_and_who_met_them() {
        let mut stage = Stage::default();
        stage.event(Subject::client("1_10.0.0.1_2"), limit("LISTENED_KEYS", 3));
        let finding = stage.only();
        assert_eq!(finding.subject.setting.as_deref(), Some("nacre.limit.listened-keys"));
        assert!(finding.cause.contains("10.0.0.1"), "{}", finding.cause);
        let reason = "the limit nacre.limit.instances of 5 is reached".to_owned();
        stage.event(Subject::client("10.0.0.2"), Cause::Refused { call: "r".into(), code: 503, reason });
        assert_eq!(stage.codes(), ["LIMIT-REACHED", "LIMIT-REACHED"]);
    }

    #[test]
    fn payloads_over_the_limit_name_their_sender() {
        let mut stage = Stage::default();
        stage.event(Subject::client("1_10.0.0.1_2"), limit(GRPC_MESSAGE, 10_485_760));
        let finding = stage.only();
        assert_eq!(finding.code, "GRPC-MESSAGE-TOO-BIG");
        assert!(finding.cause.contains("10.0.0.1") && finding.cause.contains("10485760"), "{}", finding.cause);
        stage.event(Subject::client("10.0.0.7"), limit(HTTP_BODY, 1024));
        assert_eq!(stage.codes().len(), 2);
    }

    #[test]
    fn memory_and_the_queue_of_writes_are_told_when_nearly_full() {
        let mut stage = Stage::default();
        stage.server.gauges.memory = Some((95 << 20, 100 << 20));
        assert_eq!(stage.codes(), ["MEMORY-NEAR-LIMIT"]);
        stage.server.gauges.memory = Some((50 << 20, 100 << 20));
        stage.server.gauges.writes = Some((16_000, 16_384));
        stage.wait(5_000);
        assert_eq!(stage.codes(), ["WRITE-QUEUE-FULL"]);
    }
}

//! Settings that do something else than whoever set them believes, and switches that are not as they should be.

use nacre_model::{Cause, Event};

use crate::{About, Confidence, Hit, Hits, Line, Rule, Scene, Severity, line, memory::HORIZON_MS, rule};

pub static RULES: [Rule; 9] = [
    rule!("CLUSTER-MEMBERS-IGNORED", members_ignored),
    rule!("EXPIRY-DISABLED", expiry_disabled),
    rule!("LISTENS-WITHOUT-AUTHENTICATION", listens_everywhere),
    rule!("PROPERTY-UNKNOWN", unknown_property),
    rule!("PROPERTY-WITHOUT-EFFECT", without_effect),
    rule!("PUSH-DISABLED", push_disabled),
    rule!("SETTING-REFUSED", setting_refused),
    rule!("SETTING-WAITS-FOR-RESTART", waits_for_restart),
    rule!("SWITCH-CHANGED", switch_changed),
];

// ------------------------------------------------------------------------------------------------------------- properties

fn without_effect(scene: &Scene<'_>, hits: &mut Hits) {
    for (place, key, text) in scene.server.setting_notes() {
        // Several at once: `known, but without effect in this version: a (file:1), b (file:2)`.
        if let Some(list) = text.strip_prefix("known, but without effect in this version: ") {
            for one in list.split(", ") {
                let (key, place) =
                    one.split_once(" (").map_or((one, ""), |(key, rest)| (key, rest.trim_end_matches(')')));
                hits.add(
                    property_hit(scene, key, place, "this version of nacre does not have it")
                        .words("instead", "this version of nacre does not have it", "本版本的 nacre 没有它")
                        .severity(Severity::Info),
                );
            }
            continue;
        }
        let Some(rest) = text.strip_prefix("has no effect") else { continue };
        let instead = rest.trim_start_matches([';', ':', ' ']).trim_start_matches("yet: ").trim();
        hits.add(property_hit(scene, &key, &place, instead));
    }
}

/// The notes of the settings are English; of those that name a replacement the name is what matters.
fn zh_instead(instead: &str) -> String {
    match instead.strip_prefix("use ") {
        _ if instead.is_empty() => "请删除它".to_owned(),
        Some(other) => format!("请改用 {other}"),
        None => instead.to_owned(),
    }
}

fn property_hit(scene: &Scene<'_>, key: &str, place: &str, instead: &str) -> Hit {
    let at = scene.now.wall - i64::try_from(scene.server.uptime_ms()).unwrap_or(0);
    Hit::new(About::setting(key))
        .fact("key", key)
        .fact("place", if place.is_empty() { "the settings" } else { place })
        .words("instead", if instead.is_empty() { "remove it" } else { instead }, zh_instead(instead))
        .confidence(Confidence::High)
        .saw(at, line!("{place}: {key} is set, and has no effect", "{place}：设置了 {key}，但没有效果"))
}

fn unknown_property(scene: &Scene<'_>, hits: &mut Hits) {
    let at = scene.now.wall - i64::try_from(scene.server.uptime_ms()).unwrap_or(0);
    for (place, key, text) in scene.server.setting_notes() {
        let Some(rest) = text.strip_prefix("not known, so without effect") else { continue };
        let near = rest.strip_prefix("; the nearest known key is ").or_else(|| rest.strip_prefix("; the nearest is "));
        // Files hold keys of other programs, too; one that is near a known key is a slip of the pen.
        let Some(near) = near else { continue };
        let name = if key.is_empty() { place.trim_start_matches("environment ").to_owned() } else { key };
        hits.add(
            Hit::new(About::setting(&name))
                .fact("key", &name)
                .fact("place", &place)
                .fact("near", near)
                .saw(at, line!("{place}: {name} is not known", "{place}：{name} 未知")),
        );
    }
}

fn setting_refused(scene: &Scene<'_>, hits: &mut Hits) {
    let refused: Vec<&Event> = scene.memory.kind("settingRefused", scene.now.wall, HORIZON_MS).collect();
    let changed = scene.memory.kind("settingChanged", scene.now.wall, HORIZON_MS).next();
    for event in refused {
        let Cause::SettingRefused { key, reason } = &*event.cause else { continue };
        // The file was mended since.
        if changed.is_some_and(|changed| changed.at > event.at) || scene.now.wall - event.at > scene.told_ms.max(60_000)
        {
            continue;
        }
        hits.add(
            Hit::new(About::setting(key))
                .fact("key", key)
                .fact("reason", reason)
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "a change that needs a restart: it was read, and refused",
                    "需要重启的变更：它已被读取，并被拒绝"
                )),
        );
    }
}

fn waits_for_restart(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.memory.kind("nothingChanged", scene.now.wall, HORIZON_MS) {
        let Cause::NothingChanged { call, reason } = &*event.cause else { continue };
        let Some(keys) =
            reason.strip_prefix("read at the next start only: ").filter(|_| call == "application.properties")
        else {
            continue;
        };
        hits.add(
            Hit::new(About::setting(keys.split(", ").next().unwrap_or(keys)))
                .grouped("restart")
                .fact("keys", keys)
                .confidence(Confidence::High)
                .event(event),
        );
        return;
    }
}

fn expiry_disabled(scene: &Scene<'_>, hits: &mut Hits) {
    let property = "nacos.naming.expireInstance";
    let switches = scene.naming.switches();
    let mut add =
        |setting: &str, what: &str, (effect, zh): (&str, &str), remedy: &str, evidence: Line, event: Option<&Event>| {
            let hit = Hit::new(About::setting(setting))
                .fact("setting", setting)
                .fact("what", what)
                .words("effect", effect, zh)
                .fact("remedy", remedy)
                .confidence(Confidence::High);
            hits.add(match event {
                Some(event) => hit.event(event),
                None => hit.saw(scene.now.wall, evidence),
            });
        };
    if scene.server.property(property) == "false" {
        let place = scene.server.setting_origin(property).unwrap_or_default();
        add(
            property,
            "false",
            (
                "ephemeral instances whose beats stop are shown as unhealthy and are removed only when their client expires (nacos.naming.client.expired.time)",
                "心跳停止的临时实例显示为不健康，只有等其客户端过期（nacos.naming.client.expired.time）才被移除",
            ),
            "nacos.naming.expireInstance=true",
            line!("{place}: {property}=false", "设置来自 {place}：{property}=false"),
            None,
        );
    }
    if !switches.health_check_enabled {
        add(
            "healthCheckEnabled",
            "false",
            (
                "nobody is found unhealthy or removed for missing beats, and active checks of persistent instances stand still: dead instances stay in every list",
                "没有实例会因缺少心跳而变为不健康或被移除，持久实例的主动检查也停止：死掉的实例留在每个列表中",
            ),
            "curl -X PUT 'SERVER/nacos/v1/ns/operator/switches?entry=check&value=true'   # the entry is called check",
            line!("the switch healthCheckEnabled is false", "开关 healthCheckEnabled 为 false"),
            switch_event(scene, "check"),
        );
    }
}

/// When a switch was changed last, if that is remembered.
fn switch_event<'a>(scene: &'a Scene<'_>, wanted: &str) -> Option<&'a Event> {
    scene
        .memory
        .kind("switchChanged", scene.now.wall, HORIZON_MS)
        .find(|event| matches!(&*event.cause, Cause::SwitchChanged { entry, .. } if entry.eq_ignore_ascii_case(wanted)))
}

fn push_disabled(scene: &Scene<'_>, hits: &mut Hits) {
    if scene.naming.switches().push_enabled {
        return;
    }
    let hit = Hit::new(About::setting("pushEnabled"))
        .fact("subscribers", scene.naming.metrics().subscribe_count)
        .confidence(Confidence::High)
        .not(line!("the network and the clients: nothing is sent to anybody", "网络与客户端：没有向任何人发送"));
    hits.add(match switch_event(scene, "pushEnabled") {
        Some(event) => hit.event(event),
        None => hit.saw(scene.now.wall, line!("the switch pushEnabled is false", "开关 pushEnabled 为 false")),
    });
}

/// Switches that change what clients are told, and what they do.
fn switch_changed(scene: &Scene<'_>, hits: &mut Hits) {
    let (now, usual) = (scene.naming.switches(), nacre_naming::Switches::default());
    let mut changed: Vec<(&str, String, (&str, &str))> = Vec::new();
    // Any other than UP is SERVER-STATUS-FORCED.
    if let Some(word) = now.forced_status().filter(|word| *word == "UP") {
        let effect = (
            "the server says this status whatever its state is; DOWN refuses every call of naming with 503",
            "无论实际状态如何，服务器都报告此状态；DOWN 会以 503 拒绝所有服务发现调用",
        );
        changed.push(("overriddenServerStatus", word.to_owned(), effect));
    }
    if now.light_beat_enabled != usual.light_beat_enabled {
        let effect = (
            "clients send the whole instance with every beat: more traffic, and beats register again by themselves",
            "客户端每次心跳都发送完整实例：流量更多，且心跳会自行重新注册",
        );
        changed.push(("lightBeatEnabled", now.light_beat_enabled.to_string(), effect));
    }
    if now.client_beat_interval != usual.client_beat_interval {
        let effect = (
            "1.x clients that take the interval of the answer beat at this pace; time-outs of 15 s and 30 s stay",
            "采用应答中间隔的 1.x 客户端按此节奏发送心跳；15 秒与 30 秒的超时不变",
        );
        changed.push(("clientBeatInterval", now.client_beat_interval.to_string(), effect));
    }
    if now.auto_change_health_check_enabled != usual.auto_change_health_check_enabled {
        changed.push((
            "autoChangeHealthCheckEnabled",
            now.auto_change_health_check_enabled.to_string(),
            ("services keep their kind of active check", "服务保持其主动检查的类型"),
        ));
    }
    if now.default_instance_ephemeral != usual.default_instance_ephemeral {
        changed.push((
            "defaultInstanceEphemeral",
            now.default_instance_ephemeral.to_string(),
            (
                "instances that do not say so are registered as persistent: they do not leave when their process ends",
                "未声明的实例按持久实例注册：进程结束时不会离开",
            ),
        ));
    }
    for (entry, value, (effect, zh)) in changed {
        // A whole server told to be down is more than worth knowing.
        let severity = if entry == "overriddenServerStatus" { Severity::Warning } else { Severity::Info };
        let hit = Hit::new(About::setting(entry))
            .fact("entry", entry)
            .fact("value", &value)
            .words("effect", effect, zh)
            .severity(severity)
            .confidence(Confidence::High);
        hits.add(match switch_event(scene, entry) {
            Some(event) => hit.event(event),
            None => hit.saw(scene.now.wall, line!("the switch {entry} is {value}", "开关 {entry} 为 {value}")),
        });
    }
}

// --------------------------------------------------------------------------------------------------- where and with whom

fn members_ignored(scene: &Scene<'_>, hits: &mut Hits) {
    let members = scene.server.members();
    if members.len() < 2 {
        return;
    }
    let named = members.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    let at = scene.now.wall - i64::try_from(scene.server.uptime_ms()).unwrap_or(0);
    let started = scene
        .memory
        .kind("suspicious", scene.now.wall, HORIZON_MS)
        .find(|event| matches!(&*event.cause, Cause::Suspicious { call, .. } if call == "start"));
    let hit = Hit::new(About::setting("cluster.conf"))
        .fact("count", members.len())
        .fact("members", &named)
        .confidence(Confidence::High);
    hits.add(match started {
        Some(event) => hit.event(event),
        None => hit.saw(
            at,
            line!(
                "members of a cluster are named ({named}), and this node runs alone",
                "列出了集群成员（{named}），而本节点单独运行"
            ),
        ),
    });
}

fn listens_everywhere(scene: &Scene<'_>, hits: &mut Hits) {
    let open: Vec<String> =
        scene.server.listens_on().iter().filter(|ip| !ip.is_loopback()).map(ToString::to_string).collect();
    if open.is_empty() {
        return;
    }
    let asked = scene.server.property("nacos.core.auth.enabled") == "true";
    let (wish, zh_wish) = if asked {
        (
            "nacos.core.auth.enabled=true is set, and has no effect yet",
            "已设置 nacos.core.auth.enabled=true，但尚无效果",
        )
    } else {
        ("authentication is off", "认证已关闭")
    };
    let at = scene.now.wall - i64::try_from(scene.server.uptime_ms()).unwrap_or(0);
    hits.add(
        Hit::new(About::setting("nacre.listen"))
            .fact("addresses", open.join(", "))
            .fact("port", scene.server.main_port())
            .fact("grpc", scene.server.grpc_port())
            .words("wish", wish, zh_wish)
            .severity(if asked { Severity::Warning } else { Severity::Info })
            .confidence(Confidence::High)
            .saw(at, line!("it serves on {}; {wish}", "它在 {} 上服务；{zh_wish}", open.join(", "))),
    );
}

#[cfg(test)]
mod tests {
    use nacre_model::Subject;

    use super::*;
    use crate::testing::Stage;

    fn note(place: &str, key: &str, text: &str) -> (String, String, String) {
        (place.to_owned(), key.to_owned(), text.to_owned())
    }

    /// C081: a 1.x property that 2.x ignores in silence.
    #[test]
    fn c081_a_property_without_effect_is_named_with_its_replacement() {
        let mut stage = Stage::default();
        let dead = "nacos.naming.empty-service.clean.period-time-ms";
        let text = "has no effect; use nacos.naming.clean.empty-service.interval";
        stage.server.notes = vec![note("application.properties:3", dead, text)];
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.severity), ("PROPERTY-WITHOUT-EFFECT", Severity::Warning));
        assert!(
            finding.cause.contains(dead) && finding.cause.contains("application.properties:3"),
            "{}",
            finding.cause
        );
        assert!(finding.cause.contains("nacos.naming.clean.empty-service.interval"), "{}", finding.cause);
    }

    #[test]
    fn properties_of_later_are_info_and_slips_of_the_pen_a_warning() {
        let mut stage = Stage::default();
        stage.server.notes =
            vec![note("", "", "known, but without effect in this version: tls.enable (a:1), tls.test (a:2)")];
        let findings = stage.findings();
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().all(|finding| finding.severity == Severity::Info));
        let mut stage = Stage::default();
        stage.server.notes = vec![
            note("a:1", "sever.port", "not known, so without effect; the nearest known key is server.port"),
            note("a:2", "my.flag", "not known, so without effect"),
        ];
        let finding = stage.only();
        assert_eq!(finding.code, "PROPERTY-UNKNOWN");
        assert!(finding.cause.contains("sever.port") && finding.cause.contains("server.port"));
    }

    #[test]
    fn switches_that_stop_something_are_told_as_long_as_they_are_off() {
        let mut stage = Stage::default();
        assert!(stage.codes().is_empty());
        for (entry, code) in [("pushEnabled", "PUSH-DISABLED"), ("check", "EXPIRY-DISABLED")] {
            let _ = stage.naming.set_switch_local(entry, "false", stage.now).expect("a switch");
            assert_eq!(stage.only().code, code);
            let _ = stage.naming.set_switch_local(entry, "true", stage.now).expect("a switch");
            stage.wait(5_000);
            assert!(stage.codes().is_empty());
        }
        let _ = stage.naming.set_switch_local("lightBeatEnabled", "false", stage.now).expect("a switch");
        assert_eq!(stage.only().severity, Severity::Info);
    }

    #[test]
    fn expiry_that_a_property_switches_off_names_the_place() {
        let mut stage = Stage::default();
        stage.server.properties.insert("nacos.naming.expireInstance".into(), "false".into());
        let finding = stage.only();
        assert_eq!(finding.code, "EXPIRY-DISABLED");
        assert!(finding.evidence[0].text.contains("application.properties:1"));
    }

    #[test]
    fn a_member_of_a_cluster_that_runs_alone_is_told() {
        let mut stage = Stage::default();
        stage.server.members = vec!["10.0.0.1:8848".into()];
        assert!(stage.codes().is_empty(), "itself");
        stage.server.members.push("10.0.0.2:8848".into());
        assert!(stage.only().cause.contains("10.0.0.2:8848"));
    }

    #[test]
    fn serving_everybody_is_told_and_worse_when_authentication_was_meant_to_be_on() {
        let mut stage = Stage::default();
        stage.server.listens_on = vec!["127.0.0.1".parse().unwrap()];
        assert!(stage.codes().is_empty());
        stage.server.listens_on.push("0.0.0.0".parse().unwrap());
        assert_eq!(stage.only().severity, Severity::Info);
        stage.server.properties.insert("nacos.core.auth.enabled".into(), "true".into());
        assert_eq!(stage.only().severity, Severity::Warning);
    }

    #[test]
    fn a_refused_change_is_told_until_the_file_is_mended() {
        let mut stage = Stage::default();
        let refused = Cause::SettingRefused { key: "nacre.logging".into(), reason: "no such level".into() };
        stage.event(Subject::default(), refused);
        assert_eq!(stage.codes(), ["SETTING-REFUSED"]);
        let changed = Cause::SettingChanged { key: "nacre.logging".into(), value: "info".into(), by: "f:1".into() };
        stage.wait(1_000).event(Subject::default(), changed);
        stage.wait(4_000);
        assert!(stage.codes().is_empty());
        let reason = "read at the next start only: server.port".to_owned();
        stage.event(Subject::default(), Cause::NothingChanged { call: "application.properties".into(), reason });
        assert_eq!(stage.codes(), ["SETTING-WAITS-FOR-RESTART"]);
    }
}

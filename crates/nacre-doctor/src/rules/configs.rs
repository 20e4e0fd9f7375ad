//! Configs: versions that reach nobody, listeners that stay behind, contents that are not what they seem.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use nacre_config::{Asker, GrayConfig};
use nacre_model::{Cause, ConfigKey, Event};

use super::{identity::LOOKED_AT, identity::remembered};
use crate::{
    About, Confidence, Hit, Hits, Rule, Scene, Severity, line, memory::HORIZON_MS, rule, scene::ListenerFacts,
};

pub static RULES: [Rule; 13] = [
    rule!("CONFIG-CAS-CONFLICTS", cas_conflicts),
    rule!("CONFIG-CHARACTERS-LOST", characters_lost),
    rule!("CONFIG-CIPHER-PLAIN", cipher_plain),
    rule!("CONFIG-DOUBLE-ROWS", double_rows),
    rule!("CONFIG-MD5-ROWS", wrong_md5_rows),
    rule!("CONFIG-NOT-URLENCODED", not_urlencoded),
    rule!("CONFIG-OVERWRITTEN-IN-TURNS", overwritten),
    rule!("CONFIG-REFUSED", refused),
    rule!("CONFIG-UNPARSEABLE", unparseable),
    rule!("GRAY-MATCHES-NOBODY", gray_matches_nobody),
    rule!("GRAY-TAG-MATCHES-NOBODY", gray_tag_matches_nobody),
    rule!("LISTENER-NOT-UPDATED", not_updated),
    rule!("LISTENER-STALE-MD5", stale_md5),
];

/// Listeners of one key that are looked at.
const LISTENERS: usize = 1_000;
/// Addresses that are named.
const NAMED: usize = 10;

/// Facts that every page about a config may name.
pub(super) fn about(key: &ConfigKey) -> Hit {
    Hit::new(About::config(key))
        .fact("data_id", &key.data_id)
        .fact("group", &key.group)
        .fact("namespace", &key.namespace)
}

/// Gray versions of a kind that none of those who listen is served, and who these are.
fn unmatched(scene: &Scene<'_>, beta: bool) -> Vec<(ConfigKey, Arc<GrayConfig>, Vec<ListenerFacts>)> {
    let mut found = Vec::new();
    for key in scene.configs.gray_keys(LOOKED_AT) {
        let Some(item) = scene.configs.get(&key) else { continue };
        if item.grays.iter().all(|gray| gray.rule.is_beta() != beta) {
            continue;
        }
        let listeners = scene.server.listeners(&key, LISTENERS);
        let asker = |listener| Asker { auto_tag: tag_of(listener), ..Asker::ip(&listener.ip) };
        for gray in item.grays.iter().filter(|gray| gray.rule.is_beta() == beta) {
            if !listeners.is_empty() && !listeners.iter().any(|listener| gray.rule.matches(&asker(listener))) {
                found.push((key.clone(), Arc::clone(gray), listeners.clone()));
            }
        }
    }
    found
}

fn tag_of(listener: &ListenerFacts) -> Option<&str> {
    listener.tag.as_deref().filter(|tag| !tag.trim().is_empty())
}

fn gray_matches_nobody(scene: &Scene<'_>, hits: &mut Hits) {
    for (key, gray, listeners) in unmatched(scene, true) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for listener in &listeners {
            let how = if listener.connection.is_some() { "gRPC" } else { "long poll" };
            *seen.entry(format!("{} ({how})", listener.ip)).or_default() += 1;
        }
        let named: Vec<String> = seen.keys().take(NAMED).cloned().collect();
        let ips: BTreeSet<&str> = listeners.iter().map(|listener| &*listener.ip).collect();
        let ips: Vec<&str> = ips.into_iter().take(NAMED).collect();
        let mut hit = about(&key)
            .grouped(format!("{key} {}", gray.name))
            .fact("rule", gray.rule.expr())
            .fact("gray", &gray.name)
            .fact("count", listeners.len())
            .fact("seen", named.join(", "))
            .fact("ips", ips.join(","))
            .confidence(Confidence::High)
            .saw(gray.modified, line!("{} was published for {}", "{} 已发布给 {}", gray.name, gray.rule.expr()))
            .not(line!(
                "a config that nobody listens to: it has listeners, and none has an address of the rule",
                "没有人监听的配置：它有监听者，但没有一个的地址在规则里"
            ));
        for (listener, times) in seen.iter().take(NAMED) {
            hit = hit.saw(
                scene.now.wall,
                line!(
                    "listener {listener}, {times} times, gets the formal version",
                    "监听者 {listener}（{times} 次）得到的是正式版本"
                ),
            );
        }
        hits.add(hit);
    }
}

fn gray_tag_matches_nobody(scene: &Scene<'_>, hits: &mut Hits) {
    for (key, gray, listeners) in unmatched(scene, false) {
        let wanted = gray.rule.expr();
        let mut tags: BTreeMap<Option<&str>, BTreeSet<&str>> = BTreeMap::new();
        for listener in &listeners {
            tags.entry(tag_of(listener)).or_default().insert(&listener.ip);
        }
        let meant = |tag: &&str| tag.trim().eq_ignore_ascii_case(wanted.trim());
        let near = tags.keys().filter_map(|tag| *tag).find(meant);
        let (en, zh): (Vec<_>, Vec<_>) = tags
            .iter()
            .take(NAMED)
            .map(|(tag, ips)| match tag {
                Some(tag) => (format!("{} with the tag `{tag}`", ips.len()), format!("{} 个带标签 `{tag}`", ips.len())),
                None => (format!("{} without a tag", ips.len()), format!("{} 个没有标签", ips.len())),
            })
            .unzip();
        let mut hit = about(&key)
            .grouped(format!("{key} {}", gray.name))
            .fact("tag", wanted)
            .fact("gray", &gray.name)
            .fact("count", listeners.len())
            .words("seen", en.join(", "), zh.join("、"))
            .confidence(Confidence::High)
            .saw(gray.modified, line!("{} was published for the tag {wanted}", "{} 已发布给标签 {wanted}", gray.name))
            .not(line!("a config that nobody listens to: it has listeners", "没有人监听的配置：它有监听者"));
        for (tag, ips) in tags.iter().take(NAMED) {
            let who: Vec<&str> = ips.iter().take(NAMED).copied().collect();
            let (who, (en, zh)) = (
                who.join(", "),
                tag.map_or(("no tag".to_owned(), "没有标签".to_owned()), |tag| {
                    (format!("the tag `{tag}`"), format!("标签 `{tag}`"))
                }),
            );
            hit = hit.saw(
                scene.now.wall,
                line!(en: "listeners at {} listen with {}", who, en; zh: "{} 的监听者：{}", who, zh),
            );
        }
        // A slip of the pen is nobody's plan; a tag that nobody has yet may be one.
        hits.add(if near.is_some() { hit.severity(Severity::Warning) } else { hit });
    }
}

fn stale_md5(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = BTreeSet::new();
    for event in scene.told("listenerStale") {
        let (Cause::ListenerStale { md5 }, Some(key)) = (&*event.cause, &event.subject.config) else { continue };
        let client = event.subject.client.as_deref().unwrap_or("unknown");
        if !seen.insert((key, client)) {
            continue;
        }
        let lookup = scene.configs.query(key, &Asker::ip(client));
        let (current, zh_current) = match lookup.md5() {
            "" => ("none: there is no such config".to_owned(), "没有（没有这个配置）".to_owned()),
            current => (current.to_owned(), current.to_owned()),
        };
        // What stands for "nothing": the md5 of the empty text, which no config can have.
        const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";
        let hint = if md5 == EMPTY {
            ("the md5 of the empty text; a config that is absent has no md5", "空文本的 md5；不存在的配置没有 md5")
        } else {
            ("an old version", "旧版本")
        };
        hits.add(
            about(key)
                .grouped(client)
                .fact("address", client)
                .fact("agent", super::identity::agent_at(scene, client))
                .fact("held", if md5.is_empty() { "no md5" } else { md5 })
                .words("current", &current, &zh_current)
                .words("hint", hint.0, hint.1)
                .confidence(Confidence::High)
                .event(event)
                .saw(event.at, line!(en: "{client} asked five times or more with {md5} ({}); the server has {current}", hint.0; zh: "{client} 至少五次带着 {md5}（{}）来问；服务器上是 {zh_current}", hint.1))
                .not(line!("a config that changes all the time: the server's md5 was the same each time", "配置一直在变：服务器上的 md5 每次都相同")),
        );
    }
}

/// A listener has this long to ask with the new md5.
const TO_FOLLOW_MS: i64 = 4_000;
/// ... and is behind this long before it is told.
const STAYS_MS: i64 = 3_000;
/// Changes older than this are not looked into: a client that hangs was told before.
const FOLLOWED_MS: i64 = 300_000;

fn not_updated(scene: &Scene<'_>, hits: &mut Hits) {
    let mut seen = BTreeSet::new();
    // A listener that came a moment ago begins with what it holds; who stays behind is behind in every round.
    let mut known = scene.desk.behind.lock();
    let mut still = HashMap::new();
    let published = scene.memory.kind("configPublished", scene.now.wall, FOLLOWED_MS).filter_map(|event| {
        match (&*event.cause, &event.subject.config) {
            (Cause::ConfigPublished { gray, .. }, Some(key)) => {
                Some((key.clone(), event.at, Some(event).filter(|_| gray.is_empty())))
            }
            _ => None,
        }
    });
    // Who was told when it began to listen, and who is behind for so long that the publication is forgotten.
    let late = scene.server.told_late().into_iter().map(|(key, at)| (key, at, None));
    let long: Vec<_> = known.iter().map(|((key, _), since)| (key.clone(), *since, None)).collect();
    for (key, at, event) in published.chain(late).chain(long) {
        if seen.len() == LOOKED_AT || scene.now.wall - at < TO_FOLLOW_MS || !seen.insert(key.clone()) {
            continue;
        }
        let key = &key;
        let Some(item) = scene.configs.get(key).filter(|item| item.grays.iter().all(|gray| gray.rule.is_beta())) else {
            continue;
        };
        let mut behind: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for listener in scene.server.listeners(key, LISTENERS) {
            let current = item.select(&Asker::ip(&listener.ip));
            // A long poll that is behind is answered at once, and told by another rule if it insists.
            if let Some(connection) = listener.connection
                && listener.md5 != current.md5()
                // Who says that it holds nothing and was told may well have read, and say so at the next change.
                && (event.is_some() || !matches!(&*listener.md5, "" | "null"))
            {
                let place = (key.clone(), connection.clone());
                let since = known.get(&place).copied().unwrap_or(scene.now.wall);
                still.insert(place, since);
                if scene.now.wall - since < STAYS_MS {
                    continue;
                }
                behind.entry(listener.ip).or_default().push((connection, listener.md5));
            }
        }
        if behind.is_empty() {
            continue;
        }
        let seconds = (scene.now.wall - at) / 1_000;
        let named: Vec<String> = behind.keys().take(NAMED).cloned().collect();
        let current =
            |none: &'static str| item.formal.as_ref().map_or(none.to_owned(), |formal| formal.md5.to_string());
        let mut hit = about(key)
            .fact("count", behind.len())
            .fact("addresses", named.join(", "))
            .fact("seconds", seconds)
            .words("current", current("none"), current("没有"))
            .not(line!("the publish: it is visible, and other readers get it", "发布本身：它已可见，其他读者能读到"));
        if let Some(event) = event {
            hit = hit.event(event);
        }
        for (connection, md5) in behind.values().flatten().take(NAMED) {
            hit =
                hit.saw(scene.now.wall, line!("{connection} still says md5 {md5}", "{connection} 仍然说 md5 是 {md5}"));
        }
        hits.add(hit);
    }
    *known = still;
}

/// Publishes of a key, newest first.
fn publishes<'a>(scene: &'a Scene<'_>) -> BTreeMap<&'a ConfigKey, Vec<(&'a Event, &'a str, &'a str)>> {
    let mut of: BTreeMap<&ConfigKey, Vec<_>> = BTreeMap::new();
    for event in scene.memory.kind("configPublished", scene.now.wall, HORIZON_MS) {
        let (Cause::ConfigPublished { md5, from, gray, .. }, Some(key)) = (&*event.cause, &event.subject.config) else {
            continue;
        };
        if gray.is_empty() && !from.is_empty() {
            of.entry(key).or_default().push((event, &**md5, &**from));
        }
    }
    of
}

fn overwritten(scene: &Scene<'_>, hits: &mut Hits) {
    for (key, list) in publishes(scene) {
        let [(newest, md5, from), (_, other_md5, other_from), (_, md5_before, from_before), ..] = list[..] else {
            continue;
        };
        // A, B, A: the first put back what the second had replaced.
        let turns = md5 == md5_before && from == from_before && md5 != other_md5 && from != other_from;
        if !turns || scene.now.wall - newest.at > scene.told_ms.max(60_000) {
            continue;
        }
        let times = list.iter().take_while(|(_, _, who)| *who == from || *who == other_from).count();
        let minutes = (newest.at - list[times - 1].0.at) / 60_000 + 1;
        let mut hit = about(key)
            .fact("one", from)
            .fact("other", other_from)
            .fact("times", times)
            .fact("minutes", minutes)
            .confidence(Confidence::High)
            .not(line!(
                "one publisher that corrects itself: the same content came back from the same address in between",
                "一个发布者自我更正：期间同一内容又从同一地址发布回来"
            ));
        for (event, md5, from) in list.iter().take(5) {
            hit = hit.saw(event.at, line!("{from} published md5 {md5}", "{from} 发布了 md5 {md5}"));
        }
        hits.add(hit);
    }
}

/// So many conflicts of one key are no accident.
const CONFLICTS: usize = 3;

fn cas_conflicts(scene: &Scene<'_>, hits: &mut Hits) {
    let mut of: BTreeMap<&ConfigKey, Vec<&Event>> = BTreeMap::new();
    for event in scene.told("casConflict") {
        if let Some(key) = &event.subject.config {
            of.entry(key).or_default().push(event);
        }
    }
    for (key, events) in of.into_iter().filter(|(_, events)| events.len() >= CONFLICTS) {
        let Cause::CasConflict { expected, actual } = &*events[0].cause else { continue };
        let who: BTreeSet<&str> = events.iter().filter_map(|event| event.subject.client.as_deref()).collect();
        let who = who.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        let mut hit = about(key)
            .fact("times", events.len())
            .words(
                "addresses",
                if who.is_empty() { "an unknown address" } else { &who },
                if who.is_empty() { "未知地址" } else { &who },
            )
            .fact("expected", expected)
            .fact("actual", actual)
            .confidence(Confidence::High)
            .not(line!("a lost publish: each was answered with the conflict", "发布丢失：每次都得到了冲突应答"));
        for event in events.into_iter().take(6) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

/// Publishes that were done and looked wrong, as long as nobody published the key again.
fn suspicious<'a>(scene: &'a Scene<'_>, words: &'a str) -> Vec<(&'a Event, &'a ConfigKey, &'a str)> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for event in remembered(scene, "suspicious") {
        let (Cause::Suspicious { call, reason }, Some(key)) = (&*event.cause, &event.subject.config) else { continue };
        if call != "publish" || !reason.contains(words) || found.len() == LOOKED_AT || !seen.insert(key) {
            continue;
        }
        let current = scene.configs.get(key).and_then(|item| item.formal.clone());
        // The remark is made when the publish is done.
        if current.is_some_and(|formal| formal.modified <= event.at) {
            found.push((event, key, reason.as_str()));
        }
    }
    found
}

fn unparseable(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, key, reason) in suspicious(scene, "not parseable as ") {
        let from = event.subject.client.as_deref().unwrap_or("unknown");
        hits.add(
            about(key)
                .words("what", reason, reason.replacen("not parseable as ", "无法解析为 ", 1))
                .fact("from", from)
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "the transport: the bytes are stored as they came, their md5 is the publisher's",
                    "传输：字节原样存储，md5 与发布者一致"
                )),
        );
    }
}

fn characters_lost(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, key, reason) in suspicious(scene, " characters lost (U+FFFD)") {
        let mut said = reason.split(" characters lost (U+FFFD), the first in line ");
        let from = event.subject.client.as_deref().unwrap_or("unknown");
        hits.add(
            about(key)
                .fact("count", said.next().unwrap_or_default())
                .fact("line", said.next().unwrap_or_default())
                .fact("from", from)
                .fact("agent", super::identity::agent_at(scene, from))
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "the clients that read it, and their charset: it is stored like this",
                    "读取它的客户端及其字符集：存储的内容就是如此"
                )),
        );
    }
}

fn not_urlencoded(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, key, reason) in suspicious(scene, "content probably not url-encoded") {
        let names = reason.strip_prefix("unknown parameters ").and_then(|rest| rest.split(": content").next());
        let from = event.subject.client.as_deref().unwrap_or("unknown");
        hits.add(
            about(key)
                .fact("names", names.unwrap_or(reason))
                .fact("from", from)
                .fact("agent", super::identity::agent_at(scene, from))
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "the server's reading: a form ends a value at each `&`, and `+` and `%` have their meaning there",
                    "服务器的解析：表单中每个 `&` 结束一个值，`+` 与 `%` 另有含义"
                )),
        );
    }
}

/// Remarks of the last reading of the database.
fn remarks<'a>(scene: &'a Scene<'_>, words: &'a str) -> Vec<(&'a Event, &'a str)> {
    // What a reading before the newest one remarked is mended or repeated by now, and what an earlier run did, too.
    let start = scene.now.wall - i64::try_from(scene.server.uptime_ms()).unwrap_or(i64::MAX) - 5_000;
    let reloaded = remembered(scene, "configsReloaded").next().map_or(start, |event| event.at);
    let of = |event: &'a Event| match &*event.cause {
        Cause::Suspicious { call, reason } if call == "read the database" && reason.contains(words) => {
            Some((event, reason.as_str()))
        }
        _ => None,
    };
    remembered(scene, "suspicious").take_while(|event| event.at >= start.max(reloaded)).filter_map(of).collect()
}

/// The key of a remark: what stands between `config ` and the colon or `has`.
fn key_in(remark: &str) -> &str {
    let rest = remark.strip_prefix("config ").unwrap_or(remark);
    rest.split(" has two rows").next().and_then(|rest| rest.split(": the md5 column").next()).unwrap_or(rest)
}

fn told_remarks(remarks: &[(&Event, &str)]) -> Hit {
    let keys: Vec<&str> = remarks.iter().take(NAMED).map(|(_, remark)| key_in(remark)).collect();
    let mut hit = Hit::new(About::setting("database"))
        .fact("count", remarks.len())
        .fact("keys", keys.join("; "))
        .confidence(Confidence::High);
    for (event, remark) in remarks.iter().take(NAMED) {
        hit = hit.saw(event.at, line!("{remark}", "数据库备注：“{remark}”"));
    }
    hit
}

fn double_rows(scene: &Scene<'_>, hits: &mut Hits) {
    let remarks = remarks(scene, " has two rows");
    if !remarks.is_empty() {
        hits.add(
            told_remarks(&remarks)
                .not(line!("lost content: both rows are kept, one is served", "内容丢失：两行都保留，提供其中一行")),
        );
    }
}

fn wrong_md5_rows(scene: &Scene<'_>, hits: &mut Hits) {
    let remarks = remarks(scene, "the md5 column holds");
    if !remarks.is_empty() {
        hits.add(
            told_remarks(&remarks)
                .not(line!("damage of the file: the pages' own sums are right", "文件损坏：各页自身的校验和正确")),
        );
    }
}

fn cipher_plain(scene: &Scene<'_>, hits: &mut Hits) {
    for (key, list) in publishes(scene) {
        let Some((event, _, from)) = list.first() else { continue };
        if !key.data_id.starts_with("cipher-") {
            continue;
        }
        let formal = scene.configs.get(key).and_then(|item| item.formal.clone());
        if formal.is_none_or(|formal| !formal.encrypted_data_key.is_empty()) {
            continue;
        }
        hits.add(
            about(key)
                .fact("from", from)
                .fact("agent", super::identity::agent_at(scene, from))
                .event(event)
                .saw(
                    event.at,
                    line!(
                        "{from} published {key} without an encryptedDataKey",
                        "{from} 发布了 {key}，没有 encryptedDataKey"
                    ),
                )
                .not(line!(
                    "a client with the plugin: it sends the key it encrypted with",
                    "带插件的客户端：它会带上加密所用的密钥"
                )),
        );
    }
}

/// What a refused publish ran into, by the reason it was given.
fn limit(reason: &str) -> Option<(&'static str, &'static str)> {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["invalid content, over"]) {
        Some(("the limit is maxContent", "对应的限制是 maxContent"))
    } else if says(&["limit exceeded", "reach quota", "over limit"]) {
        Some(("the limit is the capacity of its group or namespace", "对应的限制是其分组或命名空间的容量"))
    } else if says(&["too long ", "too much config_tags"]) {
        Some(("this limit is fixed: the text has to be shorter", "该限制是固定的：需要缩短该文本"))
    } else if says(&["content is blank"]) || (says(&["'content'", "&#39;content&#39;"]) && says(&["is not present"])) {
        Some(("a publish needs a form field `content` that is not blank", "发布需要非空的表单字段 `content`"))
    } else {
        None
    }
}

fn refused(scene: &Scene<'_>, hits: &mut Hits) {
    let mut of: BTreeMap<(&ConfigKey, &str), Vec<&Event>> = BTreeMap::new();
    for event in scene.told("refused") {
        let (Cause::Refused { reason, .. }, Some(key)) = (&*event.cause, &event.subject.config) else { continue };
        if limit(reason).is_some() {
            of.entry((key, reason)).or_default().push(event);
        }
    }
    for ((key, reason), events) in of {
        let Some((limit, zh_limit)) = limit(reason) else { continue };
        let who: BTreeSet<&str> = events.iter().filter_map(|event| event.subject.client.as_deref()).collect();
        let who = who.into_iter().map(crate::memory::address_of).take(NAMED).collect::<Vec<_>>().join(", ");
        let mut hit = about(key)
            .grouped(format!("{key} {reason}"))
            .fact("reason", reason.trim())
            .words("limit", limit, zh_limit)
            .fact("times", events.len())
            .words(
                "addresses",
                if who.is_empty() { "an unknown address" } else { &who },
                if who.is_empty() { "未知地址" } else { &who },
            )
            .confidence(Confidence::High)
            .not(line!(
                "the database: the publish was refused before it was written",
                "数据库：发布在写入之前就被拒绝"
            ));
        for event in events.into_iter().take(5) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

#[cfg(test)]
#[path = "configs_tests.rs"]
mod tests;

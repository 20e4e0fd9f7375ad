//! An instance that several senders beat for.

use nacre_naming::{Contested, Sender};

use super::agent_at;
use crate::{About, Confidence, Hit, Hits, Scene, line};

/// Two senders count as long as each had a turn within so many intervals.
const TURNS_WITHIN: i64 = 4;
const LEAST_WINDOW_MS: i64 = 4_000;

fn active<'a>(scene: &Scene<'_>, contested: &'a Contested) -> Vec<&'a Sender> {
    let interval = i64::try_from(contested.interval_ms).unwrap_or(i64::MAX / TURNS_WITHIN);
    let window = interval.saturating_mul(TURNS_WITHIN).max(LEAST_WINDOW_MS);
    contested.senders.iter().filter(|sender| scene.now.wall - sender.last <= window).collect()
}

fn told_senders(scene: &Scene<'_>, contested: &Contested, senders: &[&Sender]) -> Hit {
    let identity = format!("{}:{}:{}", contested.ip, contested.port, nacre_model::DEFAULT_CLUSTER);
    let named: Vec<String> = senders.iter().map(|sender| sender.address.to_string()).collect();
    let mut hit = Hit::new(About::service(&contested.service).with_instance(&identity))
        .fact("address", format!("{}:{}", contested.ip, contested.port))
        .fact("service", contested.service.grouped())
        .fact("senders", named.join(" and "))
        .not(line!(
            "one sender whose address changed: they take turns, each came back after the other",
            "一个地址变了的发送者：它们轮流发送，彼此交替出现"
        ));
    for sender in senders {
        let agent = agent_at(scene, &sender.address);
        hit = hit.saw(
            sender.last,
            line!(
                "{} ({agent}) sent a beat after another address did, {} times",
                "{}（{agent}）在另一个地址之后发送心跳，共 {} 次",
                sender.address,
                sender.turns
            ),
        );
    }
    hit
}

pub(super) fn ghost(scene: &Scene<'_>, hits: &mut Hits) {
    for contested in scene.naming.contested() {
        let senders = active(scene, &contested);
        let own = senders.iter().any(|sender| *sender.address == *contested.ip);
        if senders.len() < 2 || !own {
            continue;
        }
        let ghosts: Vec<String> =
            senders.iter().filter(|s| *s.address != *contested.ip).map(|s| s.address.to_string()).collect();
        hits.add(
            told_senders(scene, &contested, &senders)
                .fact("ghost", ghosts.join(", "))
                .fact("ip", &contested.ip)
                .confidence(Confidence::High),
        );
    }
}

pub(super) fn two_senders(scene: &Scene<'_>, hits: &mut Hits) {
    for contested in scene.naming.contested() {
        let senders = active(scene, &contested);
        if senders.len() < 2 || senders.iter().any(|sender| *sender.address == *contested.ip) {
            continue;
        }
        hits.add(told_senders(scene, &contested, &senders));
    }
}

//! What is dead and shown: protection thresholds.

use std::{collections::BTreeSet, sync::Arc};

use nacre_model::Instance;
use nacre_naming::Query;

use super::super::identity::{LOOKED_AT, remembered};
use crate::{About, Confidence, Hit, Hits, Scene, line};

/// Services whose dead are shown as healthy: with the threshold, and how many are.
fn masked(scene: &Scene<'_>, zero: bool) -> Vec<Hit> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for event in remembered(scene, "protectionReached") {
        let Some(service) = &event.subject.service else { continue };
        if seen.len() == LOOKED_AT || !seen.insert(service) {
            continue;
        }
        let Some(snapshot) = scene.naming.snapshot(service) else { continue };
        let threshold = snapshot.protect_threshold();
        if (threshold <= 0.0) != zero
            || !scene.naming.list(service, &Query::default(), scene.now).reach_protection_threshold
        {
            continue;
        }
        let shown: Vec<&Arc<Instance>> = snapshot.instances.iter().filter(|instance| instance.enabled).collect();
        let dead: Vec<&&Arc<Instance>> = shown.iter().filter(|instance| !instance.healthy).collect();
        if dead.is_empty() {
            continue;
        }
        let named: Vec<String> = dead.iter().take(5).map(|i| format!("{}:{}", i.ip, i.port)).collect();
        found.push(
            Hit::new(About::service(service))
                .fact("masked", dead.len())
                .fact("total", shown.len())
                .fact("healthy", shown.len() - dead.len())
                .fact("threshold", threshold)
                .fact("service", service.grouped())
                .fact("name", &service.name)
                .fact("group", &service.group)
                .fact("namespace", &service.namespace)
                .fact("addresses", named.join(", "))
                .confidence(Confidence::High)
                .event(event)
                .saw(scene.now.wall, line!("consumers get {} hosts, all marked healthy, with reachProtectionThreshold=true; not healthy: {}", "消费者得到 {} 个主机，全部标为健康，reachProtectionThreshold=true；实际不健康的：{}", shown.len(), named.join(", ")))
                .not(line!("health checks: detail and catalog show the real state, healthy=false", "健康检查：详情与目录显示真实状态 healthy=false")),
        );
    }
    found
}

pub(super) fn masks(scene: &Scene<'_>, hits: &mut Hits) {
    masked(scene, false).into_iter().for_each(|hit| hits.add(hit));
}

pub(super) fn zero_masks(scene: &Scene<'_>, hits: &mut Hits) {
    masked(scene, true).into_iter().for_each(|hit| hits.add(hit));
}

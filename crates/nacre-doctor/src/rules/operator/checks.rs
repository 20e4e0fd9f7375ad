//! Active checks of persistent instances.

use std::sync::Arc;

use nacre_model::{Cause, Event, Instance, ServiceKey};
use nacre_naming::{ClusterMetadata, HealthChecker};

use super::{super::identity::newest_by_instance, edits::Views};
use crate::{About, Confidence, Hit, Hits, Scene, line};

/// Persistent instances that an active check found dead, still so, with their cluster's checker.
fn failing<'a>(scene: &'a Scene<'_>) -> Vec<(&'a Event, Arc<Instance>, ClusterMetadata)> {
    let by_check = |event: &Event| {
        let Cause::InstanceUnhealthy { cause, .. } = &*event.cause else { return false };
        ["tcp:", "http:", "mysql:"].iter().any(|kind| cause.starts_with(kind))
    };
    let mut views = Views::default();
    let mut found = Vec::new();
    for ((service, identity), event) in newest_by_instance(scene, "instanceUnhealthy", by_check) {
        let Some(instance) = views.instance(scene, service, identity).filter(|i| !i.healthy && !i.ephemeral) else {
            continue;
        };
        found.push((event, Arc::clone(&instance), cluster_of(scene, service, &instance)));
    }
    found
}

fn cluster_of(scene: &Scene<'_>, service: &ServiceKey, instance: &Instance) -> ClusterMetadata {
    let detail = scene.naming.service(service).ok();
    detail.and_then(|detail| detail.clusters.get(&instance.cluster).cloned()).unwrap_or_default()
}

fn told_check(event: &Event, instance: &Instance, cluster: &ClusterMetadata) -> Option<Hit> {
    let Cause::InstanceUnhealthy { cause, .. } = &*event.cause else { return None };
    let service = event.subject.service.as_ref()?;
    let port = if cluster.use_instance_port { instance.port } else { cluster.check_port };
    Some(
        Hit::new(About::service(service).with_instance(&instance.identity()))
            .fact("address", format!("{}:{}", instance.ip, instance.port))
            .fact("ip", &instance.ip)
            .fact("own", instance.port)
            .fact("port", port)
            .fact("checker", cluster.health_checker.kind())
            .fact("message", cause)
            .fact("cluster", &instance.cluster)
            .fact("service", service.grouped())
            .fact("name", &service.name)
            .fact("group", &service.group)
            .fact("namespace", &service.namespace)
            .event(event)
            .saw(
                event.at,
                line!(
                    "the {} check of {}:{port} failed: {cause}",
                    "对 {1}:{port} 的 {0} 检查失败：“{cause}”",
                    cluster.health_checker.kind(),
                    instance.ip
                ),
            )
            .not(line!(
                "beats: a persistent instance has none, this server checks it",
                "心跳：持久实例没有心跳，由本服务器检查"
            )),
    )
}

pub(super) fn check_fails(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, instance, cluster) in failing(scene) {
        if (cluster.use_instance_port || cluster.check_port == instance.port)
            && let Some(hit) = told_check(event, &instance, &cluster)
        {
            hits.add(hit);
        }
    }
}

pub(super) fn check_wrong_port(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, instance, cluster) in failing(scene) {
        if !cluster.use_instance_port
            && cluster.check_port != instance.port
            && let Some(hit) = told_check(event, &instance, &cluster)
        {
            hits.add(hit.confidence(Confidence::High));
        }
    }
}

pub(super) fn frozen(scene: &Scene<'_>, hits: &mut Hits) {
    let mut views = Views::default();
    let sick = |event: &Event| event.shown.as_ref().is_some_and(|shown| !shown.ephemeral && !shown.healthy);
    let events = newest_by_instance(scene, "instanceRegistered", sick);
    let turned = newest_by_instance(scene, "instanceUnhealthy", sick);
    for ((service, identity), event) in events.into_iter().chain(turned) {
        let Some(instance) = views.instance(scene, service, identity).filter(|i| !i.healthy && !i.ephemeral) else {
            continue;
        };
        if cluster_of(scene, service, &instance).health_checker != HealthChecker::None {
            continue;
        }
        hits.add(
            Hit::new(About::service(service).with_instance(identity))
                .fact("address", format!("{}:{}", instance.ip, instance.port))
                .fact("cluster", &instance.cluster)
                .fact("service", service.grouped())
                .fact("name", &service.name)
                .fact("ip", &instance.ip)
                .fact("port", instance.port)
                .confidence(Confidence::High)
                .event(event)
                .saw(
                    scene.now.wall,
                    line!(
                        "the checker of cluster {} is NONE: nothing will change it",
                        "集群 {} 的检查方式为 NONE：什么都不会改变它",
                        instance.cluster
                    ),
                )
                .not(line!("a failing check: there is none", "检查失败：根本没有检查")),
        );
    }
}

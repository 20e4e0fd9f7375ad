//! What is alive and hidden: by an operator's record, or by the client's own registration.

use std::{collections::HashMap, sync::Arc};

use nacre_model::{Cause, Event, Instance, ServiceKey};
use nacre_naming::Snapshot;

use super::super::identity::{newest_by_instance, without_cluster};
use crate::{About, Confidence, Hit, Hits, Scene, line, memory::HORIZON_MS};

/// Snapshots of a round, each service asked for once.
#[derive(Default)]
pub(super) struct Views<'a>(HashMap<&'a ServiceKey, Option<Arc<Snapshot>>>);

impl<'a> Views<'a> {
    /// An instance as consumers would see it, hidden or not.
    pub(super) fn instance(
        &mut self,
        scene: &Scene<'_>,
        service: &'a ServiceKey,
        identity: &str,
    ) -> Option<Arc<Instance>> {
        let snapshot = self.0.entry(service).or_insert_with(|| scene.naming.snapshot(service));
        let found = snapshot.as_ref()?.instances.iter().find(|instance| instance.identity() == identity);
        found.cloned()
    }
}

/// Operators' edits that hide an instance now, by what they said last.
fn edited<'a>(scene: &'a Scene<'_>, hides: impl Fn(bool, f64) -> bool) -> Vec<(&'a Event, Arc<Instance>)> {
    let mut views = Views::default();
    let mut found = Vec::new();
    for ((service, identity), event) in newest_by_instance(scene, "operatorMetadata", |_| true) {
        let Cause::OperatorMetadata { enabled, weight } = *event.cause else { continue };
        if hides(enabled, weight)
            && let Some(instance) = views.instance(scene, service, identity)
            && instance.healthy
        {
            found.push((event, instance));
        }
    }
    found
}

fn told_edit(scene: &Scene<'_>, event: &Event, instance: &Instance) -> Option<Hit> {
    let (service, identity) = (event.subject.service.as_ref()?, event.subject.instance.as_deref()?);
    let hand = scene.sightings.hands.editor(service, identity);
    let who = hand.as_ref().map_or_else(
        || "somebody who is not remembered (before this server's start, or in a batch)".to_owned(),
        |hand| format!("{} ({})", hand.address, if hand.agent.is_empty() { "?" } else { &hand.agent }),
    );
    let zh_who = match &hand {
        Some(_) => who.clone(),
        None => "已无记录的某人（在本服务器启动之前，或批量修改）".to_owned(),
    };
    let mut hit = Hit::new(About::service(service).with_instance(identity))
        .grouped(service.to_string())
        .fact("address", without_cluster(identity))
        .fact("service", service.grouped())
        .fact("name", &service.name)
        .fact("group", &service.group)
        .fact("namespace", &service.namespace)
        .fact("ip", &instance.ip)
        .fact("port", instance.port)
        .fact("cluster", &instance.cluster)
        .words("who", &who, &zh_who)
        .fact("when", nacre_journal_time(event.at))
        .confidence(Confidence::High)
        .event(event)
        .saw(
            event.at,
            line!("the operator's record of {identity} was edited by {who}", "{identity} 的运维记录由 {zh_who} 编辑"),
        )
        .not(line!(
            "the client: its instance is healthy, and its own registration does not hide it",
            "客户端：它的实例健康，其自身的注册也没有隐藏它"
        ));
    let registered = scene.memory.instance(service, identity, scene.now.wall, HORIZON_MS);
    let later = registered.filter(|e| e.cause.kind() == "instanceRegistered" && e.at > event.at).last();
    if let Some(later) = later {
        hit = hit.saw(
            later.at,
            line!(
                "{identity} registered again after that; the operator's record outlives registrations",
                "{identity} 之后又注册了；运维记录不随注册而消失"
            ),
        );
    }
    Some(hit)
}

/// Seconds of the day in UTC: evidence has the full time.
fn nacre_journal_time(at: i64) -> String {
    let seconds = at.div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

pub(super) fn disabled(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, instance) in edited(scene, |enabled, _| !enabled) {
        if !instance.enabled
            && let Some(hit) = told_edit(scene, event, &instance)
        {
            hits.add(hit);
        }
    }
}

pub(super) fn weight_zero(scene: &Scene<'_>, hits: &mut Hits) {
    for (event, instance) in edited(scene, |enabled, weight| enabled && weight <= 0.0) {
        if instance.enabled
            && instance.weight <= 0.0
            && let Some(hit) = told_edit(scene, event, &instance)
        {
            hits.add(hit);
        }
    }
}

/// Names of metadata that one finding quotes.
const QUOTED: usize = 8;

/// Values that a client registers by now and consumers do not see, for an operator's record has the ones from before.
pub(super) fn metadata_hidden(scene: &Scene<'_>, hits: &mut Hits) {
    let mut views = Views::default();
    for ((service, identity), event) in newest_by_instance(scene, "operatorMetadata", |_| true) {
        let Some(instance) = views.instance(scene, service, identity).filter(|instance| instance.healthy) else {
            continue;
        };
        let registered = || {
            let story = scene.memory.instance(service, identity, scene.now.wall, HORIZON_MS);
            story.filter(|e| e.cause.kind() == "instanceRegistered")
        };
        let Some(later) = registered().find(|e| e.at > event.at) else { continue };
        let Some(own) = own_word(scene, later, service, identity) else { continue };
        let before = registered().find(|e| e.at <= event.at).and_then(|e| e.shown.as_ref());
        // What the client said before the edit, too, is what the operator meant to change.
        let said_before =
            |key: &str, value: &str| before.is_some_and(|old| old.metadata.get(key).is_some_and(|v| **v == *value));
        let hides = |key: &str, value: &str| instance.metadata.get(key).is_some_and(|shown| **shown != *value);
        let hidden: Vec<&str> = (own.metadata.iter())
            .filter(|(key, value)| hides(key, value) && !said_before(key, value))
            .map(|(key, _)| &**key)
            .collect();
        if hidden.is_empty() {
            continue;
        }
        let Some(hit) = told_edit(scene, event, &instance) else { continue };
        let quoted = hidden[..hidden.len().min(QUOTED)].join(", ");
        hits.add(hit.fact("keys", &quoted).fact("count", hidden.len()).saw(
            later.at,
            line!(
                "{identity} registered other values of {quoted} than the record has",
                "{identity} 注册时 {quoted} 的值与运维记录不同"
            ),
        ));
    }
}

/// What the client of a registration says of its instance by now, without the operator's layer.
fn own_word(scene: &Scene<'_>, event: &Event, service: &ServiceKey, identity: &str) -> Option<Arc<Instance>> {
    let entries = scene.naming.client_publications(event.subject.client.as_deref()?).ok()?;
    let mut own = entries.into_iter().filter(|one| one.service == *service && one.instance.identity() == identity);
    own.next().map(|entry| entry.instance)
}

/// Registrations that hide their own instance, and still do.
fn hidden_by_client<'a>(scene: &'a Scene<'_>, by_beat: bool) -> Vec<(&'a Event, Arc<Instance>)> {
    let hides = |event: &Event| event.shown.as_ref().is_some_and(|shown| !shown.enabled || shown.weight <= 0.0);
    let mut views = Views::default();
    let mut found = Vec::new();
    for ((service, identity), event) in newest_by_instance(scene, "instanceRegistered", hides) {
        let Cause::InstanceRegistered { how, .. } = &*event.cause else { continue };
        let Some(own) = own_word(scene, event, service, identity) else { continue };
        if (own.enabled && own.weight > 0.0) || (how == "beat" && own.enabled) != by_beat {
            continue;
        }
        let hidden = views.instance(scene, service, identity).filter(|i| !i.enabled || i.weight <= 0.0);
        found.extend(hidden.map(|instance| (event, instance)));
    }
    found
}

fn told_hidden(event: &Event, instance: &Instance) -> Option<Hit> {
    let (service, identity) = (event.subject.service.as_ref()?, event.subject.instance.as_deref()?);
    let (what, zh_what) = match (instance.enabled, instance.weight <= 0.0) {
        (false, true) => ("enabled=false and weight 0", "enabled=false 与权重 0"),
        (false, false) => ("enabled=false", "enabled=false"),
        _ => ("weight 0", "权重 0"),
    };
    Some(
        Hit::new(About::service(service).with_instance(identity))
            .grouped(service.to_string())
            .fact("address", without_cluster(identity))
            .fact("service", service.grouped())
            .words("what", what, zh_what)
            .confidence(Confidence::High)
            .event(event)
            .saw(event.at, line!("{identity} was registered with {what}", "{identity} 注册时带有 {zh_what}"))
            .not(line!("an operator: no operator's record is in force for it", "运维人员：对它没有生效的运维记录")),
    )
}

pub(super) fn beat_weight_zero(scene: &Scene<'_>, hits: &mut Hits) {
    hidden_by_client(scene, true).iter().filter_map(|(e, i)| told_hidden(e, i)).for_each(|hit| hits.add(hit));
}

pub(super) fn registered_hidden(scene: &Scene<'_>, hits: &mut Hits) {
    hidden_by_client(scene, false).iter().filter_map(|(e, i)| told_hidden(e, i)).for_each(|hit| hits.add(hit));
}

pub(super) fn registered_unhealthy(scene: &Scene<'_>, hits: &mut Hits) {
    let mut views = Views::default();
    let sick = |event: &Event| {
        let over_connection = matches!(&*event.cause, Cause::InstanceRegistered { how, .. } if how.starts_with("grpc"));
        over_connection && event.shown.as_ref().is_some_and(|shown| !shown.healthy)
    };
    for ((service, identity), event) in newest_by_instance(scene, "instanceRegistered", sick) {
        let Some(instance) = views.instance(scene, service, identity).filter(|instance| !instance.healthy) else {
            continue;
        };
        let client = event.subject.client.as_deref().unwrap_or_default();
        hits.add(
            Hit::new(About::service(service).with_instance(identity).with_client(client))
                .fact("address", format!("{}:{}", instance.ip, instance.port))
                .fact("service", service.grouped())
                .fact("client", client)
                .confidence(Confidence::High)
                .event(event)
                .saw(
                    event.at,
                    line!(
                        "{client} registered {identity} with healthy=false over its connection",
                        "{client} 通过其连接以 healthy=false 注册了 {identity}"
                    ),
                )
                .not(line!(
                    "beats or checks: nobody beats for an instance of a connection, and nobody checks it",
                    "心跳或检查：连接上的实例没有人发心跳，也没有人检查"
                )),
        );
    }
}

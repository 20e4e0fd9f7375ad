//! Calls that several generations share; they differ in how a request is read and an answer spelled.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use nacre_model::{Cause, Event, Instance, Metadata, NacosError, ServiceKey, Subject};
use nacre_naming::{
    Beat, BeatAnswer, BeatInfo, ClientId, Consistency, InstanceRef, NamingCommand, NamingReply, Query, ServiceView,
    Subscriber, Subscription,
};
use nacre_wire::naming::{AllIps, ServiceInfoJson};

use crate::{
    app::App,
    doctor::sighting,
    http::{Ctx, checks::BatchTarget, refuse::Refusal, reply::Reply, table::Step},
    udp,
};

/// The form number of v1 and v2 service JSON in [`ServiceView::serialised`].
const V1_FORM: u8 = 16;

/// Registers: at once when ephemeral, over the write road when persistent.
pub fn register(app: &App, ctx: &Ctx, service: ServiceKey, instance: Instance, answer: Reply) -> Result<Step, Refusal> {
    if instance.ephemeral {
        let effects = app.naming.register_http(&service, instance, ctx.now)?;
        app.effects.naming(effects);
        return Ok(Step::Done(answer));
    }
    Ok(Step::Write(Box::new(NamingCommand::RegisterPersistent { service, instance }), answer))
}

/// Deregisters: `ok` also when there is nothing.
pub fn deregister(app: &App, service: ServiceKey, instance: &Instance, answer: Reply) -> Result<Step, Refusal> {
    let (ip, port) = (&instance.ip, instance.port);
    if instance.ephemeral {
        let effects = app.naming.deregister_http(&service, ip, port, app.clock.now());
        app.effects.naming(effects);
        return Ok(Step::Done(answer));
    }
    let command = NamingCommand::DeregisterPersistent { service, ip: Arc::clone(ip), port };
    Ok(Step::Write(Box::new(command), answer))
}

/// PUT instance: replaces the operator's record.
pub async fn update(app: &App, service: ServiceKey, instance: Instance) -> Result<(), NacosError> {
    let metadata = Metadata::clone(&instance.metadata);
    let target = InstanceRef::new(&instance.ip, instance.port, &instance.cluster);
    let Instance { weight, enabled, ephemeral, .. } = instance;
    let command = NamingCommand::UpdateInstance { service, instance: target, ephemeral, weight, enabled, metadata };
    app.write_naming(command).await.map(drop)
}

/// What a heartbeat says by its parameters.
pub struct BeatParams<'a> {
    pub service: &'a ServiceKey,
    pub ip: &'a str,
    pub port: i32,
    pub cluster: &'a str,
}

/// A heartbeat of v1 or v2. What a full beat leaves out is taken from the parameters.
pub fn beat(app: &App, ctx: &Ctx, params: &BeatParams<'_>) -> Result<Reply, Refusal> {
    let info = match (&ctx.parsed.beat, ctx.params.first_non_blank("beat")) {
        (Some(info), _) => Some(Cow::Borrowed(info)),
        (None, Some(text)) => Some(Cow::Owned(BeatInfo::parse(text)?)),
        (None, None) => None,
    };
    let info = info.map(|info| completed(info, params));
    let BeatParams { service, ip, port, cluster } = *params;
    let beat = Beat { service, ip, port, cluster, info: info.as_deref(), sender: &ctx.client_ip() };
    let (answer, effects) = app.naming.beat(&beat, ctx.now)?;
    app.effects.naming(effects);
    Ok(beat_reply(&answer))
}

fn completed<'a>(info: Cow<'a, BeatInfo>, params: &BeatParams<'_>) -> Cow<'a, BeatInfo> {
    let whole = !info.ip.is_empty() && info.port != 0 && !info.cluster.trim().is_empty();
    if whole {
        return info;
    }
    let mut info = info.into_owned();
    if info.ip.is_empty() {
        info.ip = params.ip.to_owned();
    }
    if info.port == 0 {
        info.port = params.port;
    }
    if info.cluster.trim().is_empty() {
        info.cluster = params.cluster.to_owned();
    }
    Cow::Owned(info)
}

/// Bare in both generations, and of constant shape: 1.x clients read it every five seconds per instance.
fn beat_reply(answer: &BeatAnswer) -> Reply {
    const USUAL: BeatAnswer =
        BeatAnswer { code: BeatAnswer::OK, client_beat_interval: 5_000, light_beat_enabled: true };
    static BODY: LazyLock<Bytes> = LazyLock::new(|| beat_body(&USUAL).into());
    if *answer == USUAL { Reply::json_text(BODY.clone()) } else { Reply::json_text(beat_body(answer)) }
}

fn beat_body(answer: &BeatAnswer) -> String {
    let BeatAnswer { code, client_beat_interval, light_beat_enabled } = answer;
    format!(
        "{{\"clientBeatInterval\":{client_beat_interval},\"code\":{code},\"lightBeatEnabled\":{light_beat_enabled}}}"
    )
}

/// Who polls a list, for UDP pushes and selectors.
pub struct Poller<'a> {
    pub ip: &'a str,
    /// 0: no pushes wanted.
    pub udp_port: i32,
    pub app: &'a str,
}

/// A list of v1 or v2: subscribes or renews a UDP subscriber, answers the view.
pub fn list(
    app: &App,
    ctx: &Ctx,
    service: &ServiceKey,
    clusters: &str,
    healthy_only: bool,
    poller: &Poller<'_>,
) -> ServiceView {
    let now = ctx.now;
    if let Some(port) = u16::try_from(poller.udp_port).ok().filter(|port| *port > 0)
        && udp::accepts(ctx.agent(), &app.naming.switches())
    {
        let ip = if poller.ip.is_empty() { ctx.client_ip() } else { poller.ip.to_owned() };
        let subscription = Subscription {
            clusters: clusters.into(),
            ip: ip.into(),
            port,
            agent: ctx.agent().into(),
            app: poller.app.into(),
        };
        app.udp.polled(&ClientId::ephemeral(&subscription.ip, port.into()), service, clusters);
        match app.naming.subscribe_udp(service, subscription, now) {
            Ok(effects) => app.effects.naming(effects),
            Err(error) => {
                let cause =
                    Cause::Refused { call: "subscribe by UDP".into(), code: error.status, reason: error.message };
                app.effects.event(Event::new(now, Subject::service(service).with_client(&ctx.client_ip()), cause));
            }
        }
    }
    let view = app.naming.list(service, &Query { clusters, healthy_only, consumer_ip: poller.ip }, now);
    if view.hosts.is_empty() {
        sighting::no_instances(app, ctx, service, clusters);
    }
    view
}

/// The service JSON of v1 and v2, serialised once per snapshot.
pub fn service_info(view: &ServiceView) -> Bytes {
    view.serialised(V1_FORM, |view| {
        let grouped = view.service.grouped();
        let info = ServiceInfoJson {
            name: Some(&grouped),
            group_name: Some(&view.service.group),
            clusters: Some(&view.clusters),
            cache_millis: view.cache_millis,
            hosts: &view.hosts,
            grouped: &grouped,
            last_ref_time: view.last_ref_time,
            reach_protection_threshold: view.reach_protection_threshold,
            spelling: AllIps::V2,
        };
        serde_json::to_vec(&info).unwrap_or_default().into()
    })
}

/// Subscribers as lists of them show: those of one address, agent and application are one, as the connections of one host
/// are that do not say who they are. The lists of clients show them all.
pub fn listed(mut subscribers: Vec<Subscriber>) -> Vec<Subscriber> {
    let mut seen = HashSet::new();
    subscribers.retain(|subscriber| {
        let of = &subscriber.subscription;
        seen.insert((subscriber.service.clone(), subscriber.address(), Arc::clone(&of.agent), Arc::clone(&of.app)))
    });
    subscribers
}

/// An updated instance, of the kind that the caller said it was (ephemeral, when it said nothing).
fn as_named(updated: String, targets: &[BatchTarget]) -> String {
    let Some((name, _)) = updated.rsplit_once(':') else { return updated };
    let is_named = |target: &&BatchTarget| {
        let cluster = target.cluster_name.as_deref().filter(|cluster| !cluster.trim().is_empty());
        let (ip, cluster) = (target.ip.as_deref().unwrap_or_default(), cluster.unwrap_or(nacre_model::DEFAULT_CLUSTER));
        format!("{ip}:{}:unknown:{cluster}", target.port) == name
    };
    match targets.iter().find(is_named) {
        Some(target) if target.ephemeral => format!("{name}:ephemeral"),
        Some(_) => format!("{name}:persist"),
        None => updated,
    }
}

/// What a batch does to the metadata of its instances.
pub enum BatchChange {
    Set(Arc<Metadata>),
    Remove(Vec<Arc<str>>),
}

/// PUT and DELETE metadata/batch. Answers `updated`. The reference reads a `consistencyType` and heeds it nowhere: the
/// instances of a service are of one kind.
pub async fn metadata_batch(
    app: &App,
    service: ServiceKey,
    instances: Option<&str>,
    change: BatchChange,
) -> Result<Vec<String>, NacosError> {
    let targets = instances.map(BatchTarget::parse).transpose()?.unwrap_or_default();
    let instances = targets
        .iter()
        .map(|target| {
            let cluster = target.cluster_name.as_deref().filter(|name| !name.trim().is_empty());
            InstanceRef::new(
                target.ip.as_deref().unwrap_or_default(),
                target.port,
                cluster.unwrap_or(nacre_model::DEFAULT_CLUSTER),
            )
        })
        .collect();
    let consistency = Consistency::Any;
    let command = match change {
        BatchChange::Remove(keys) => NamingCommand::DeleteInstanceMetadata { service, consistency, instances, keys },
        BatchChange::Set(metadata) => {
            let metadata = Metadata::clone(&metadata);
            NamingCommand::UpdateInstanceMetadata { service, consistency, instances, metadata }
        }
    };
    match app.write_naming(command).await? {
        NamingReply::Updated(updated) => Ok(updated.into_iter().map(|name| as_named(name, &targets)).collect()),
        NamingReply::Done => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_instances_are_of_the_kind_that_the_caller_says() {
        let text = r#"[{"ip":"1.1.1.1","port":"80"},{"ip":"1.1.1.2","port":80,"clusterName":"c","ephemeral":false}] x"#;
        let targets = BatchTarget::parse(text).expect("a list, whatever follows");
        for (updated, expected) in [
            ("1.1.1.1:80:unknown:DEFAULT:persist", "1.1.1.1:80:unknown:DEFAULT:ephemeral"),
            ("1.1.1.2:80:unknown:c:ephemeral", "1.1.1.2:80:unknown:c:persist"),
            ("1.1.1.3:80:unknown:c:persist", "1.1.1.3:80:unknown:c:persist"),
        ] {
            assert_eq!(as_named(updated.to_owned(), &targets), expected);
        }
    }
}

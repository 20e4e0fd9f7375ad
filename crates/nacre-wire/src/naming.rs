//! The JSON of an instance and of a service with its hosts, the same in gRPC and in HTTP v1, v2 and v3.

use nacre_model::{
    Instance, InstanceId, Metadata,
    instance::preserved::{HEART_BEAT_INTERVAL, HEART_BEAT_TIMEOUT, INSTANCE_ID_GENERATOR, IP_DELETE_TIMEOUT},
    instance::{metadata_ms, preserved},
};
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// One instance of the service named `grouped` (`group@@service`).
#[derive(Clone, Copy, Debug)]
pub struct InstanceJson<'a> {
    pub instance: &'a Instance,
    pub grouped: &'a str,
}

impl Serialize for InstanceJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { instance, grouped } = self;
        let mut out = to.serialize_struct("Instance", 14)?;
        match instance.instance_id_text(grouped) {
            Some(id) => out.serialize_field("instanceId", &id)?,
            None => out.skip_field("instanceId")?,
        }
        match is_without_ip(instance) {
            false => out.serialize_field("ip", &*instance.ip)?,
            true => out.skip_field("ip")?,
        }
        out.serialize_field("port", &instance.port)?;
        out.serialize_field("weight", &Weight(instance.weight))?;
        out.serialize_field("healthy", &instance.healthy)?;
        out.serialize_field("enabled", &instance.enabled)?;
        out.serialize_field("ephemeral", &instance.ephemeral)?;
        out.serialize_field("clusterName", &*instance.cluster)?;
        out.serialize_field("serviceName", grouped)?;
        out.serialize_field("metadata", &Texts(&instance.metadata))?;
        derived(&mut out, &instance.metadata)?;
        out.end()
    }
}

/// Registered without an ip, not even a blank one: only the id that was made of it tells.
fn is_without_ip(instance: &Instance) -> bool {
    instance.ip.is_empty() && matches!(&instance.instance_id, InstanceId::Given(id) if id.starts_with("null#"))
}

/// Members that the reference computes from metadata.
fn derived<S: SerializeStruct>(out: &mut S, metadata: &Metadata) -> Result<(), S::Error> {
    let ms = |key, default| if metadata.is_empty() { default } else { metadata_ms(metadata, key).unwrap_or(default) };
    out.serialize_field("instanceHeartBeatInterval", &ms(HEART_BEAT_INTERVAL, preserved::DEFAULT_INTERVAL_MS))?;
    out.serialize_field("instanceHeartBeatTimeOut", &ms(HEART_BEAT_TIMEOUT, preserved::DEFAULT_TIMEOUT_MS))?;
    out.serialize_field("ipDeleteTimeout", &ms(IP_DELETE_TIMEOUT, preserved::DEFAULT_DELETE_MS))?;
    let generator =
        if metadata.is_empty() { Some("simple") } else { metadata.get(INSTANCE_ID_GENERATOR).map(|g| &**g) };
    match generator {
        Some(name) => out.serialize_field("instanceIdGenerator", name),
        None => out.skip_field("instanceIdGenerator"),
    }
}

/// Java writes doubles that JSON cannot hold as text.
struct Weight(f64);

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            weight if weight.is_finite() => to.serialize_f64(weight),
            weight if weight.is_nan() => to.serialize_str("NaN"),
            weight if weight > 0.0 => to.serialize_str("Infinity"),
            _ => to.serialize_str("-Infinity"),
        }
    }
}

struct Texts<'a>(&'a Metadata);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (&**key, &**value)))
    }
}

/// `ServiceInfo`: what lists, subscriptions and pushes carry.
#[derive(Clone, Debug)]
pub struct ServiceInfoJson<'a, H> {
    /// Bare over gRPC, grouped over HTTP. Left out where none was asked for.
    pub name: Option<&'a str>,
    /// UDP packets leave it out.
    pub group_name: Option<&'a str>,
    /// The filter as asked for. Left out where a gRPC subscriber named none, not even a blank one.
    pub clusters: Option<&'a str>,
    pub cache_millis: u64,
    /// Of [`Instance`]s; each is shown with `grouped` as its service name.
    pub hosts: &'a [H],
    pub grouped: &'a str,
    pub last_ref_time: i64,
    pub reach_protection_threshold: bool,
    pub spelling: AllIps,
}

/// 2.x spells the flag `allIPs`, 3.x `allIps`; gRPC clients of both get both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllIps {
    V2,
    V3,
    Both,
}

impl<H: AsRef<Instance>> Serialize for ServiceInfoJson<'_, H> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_struct("ServiceInfo", 11)?;
        match self.name {
            Some(name) => out.serialize_field("name", name)?,
            None => out.skip_field("name")?,
        }
        match self.group_name {
            Some(group) => out.serialize_field("groupName", group)?,
            None => out.skip_field("groupName")?,
        }
        match self.clusters {
            Some(clusters) => out.serialize_field("clusters", clusters)?,
            None => out.skip_field("clusters")?,
        }
        out.serialize_field("cacheMillis", &self.cache_millis)?;
        out.serialize_field("hosts", &Hosts { hosts: self.hosts, grouped: self.grouped })?;
        out.serialize_field("lastRefTime", &self.last_ref_time)?;
        out.serialize_field("checksum", "")?;
        if self.spelling != AllIps::V3 {
            out.serialize_field("allIPs", &false)?;
        }
        if self.spelling != AllIps::V2 {
            out.serialize_field("allIps", &false)?;
        }
        out.serialize_field("reachProtectionThreshold", &self.reach_protection_threshold)?;
        out.serialize_field("valid", &true)?;
        out.end()
    }
}

struct Hosts<'a, H> {
    hosts: &'a [H],
    grouped: &'a str,
}

impl<H: AsRef<Instance>> Serialize for Hosts<'_, H> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.hosts.iter().map(|host| InstanceJson { instance: host.as_ref(), grouped: self.grouped }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nacre_model::InstanceId;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_service_is_written_as_recorded_of_3_1() {
        let mut host = Instance::new("10.0.0.5", 8080);
        host.instance_id = InstanceId::Simple;
        let info = ServiceInfoJson {
            name: Some("s"),
            group_name: Some("G"),
            clusters: Some(""),
            cache_millis: 10_000,
            hosts: &[Arc::new(host)],
            grouped: "G@@s",
            last_ref_time: 7,
            reach_protection_threshold: false,
            spelling: AllIps::V3,
        };
        let want = json!({"name":"s","groupName":"G","clusters":"","cacheMillis":10000,"hosts":[{
            "instanceId":"10.0.0.5#8080#DEFAULT#G@@s","ip":"10.0.0.5","port":8080,"weight":1.0,"healthy":true,
            "enabled":true,"ephemeral":true,"clusterName":"DEFAULT","serviceName":"G@@s","metadata":{},
            "instanceHeartBeatInterval":5000,"instanceHeartBeatTimeOut":15000,"ipDeleteTimeout":30000,
            "instanceIdGenerator":"simple"}],"lastRefTime":7,"checksum":"","allIps":false,
            "reachProtectionThreshold":false,"valid":true});
        assert_eq!(serde_json::to_value(&info).unwrap(), want);
        let both = serde_json::to_value(ServiceInfoJson { spelling: AllIps::Both, ..info }).unwrap();
        assert_eq!((&both["allIPs"], &both["allIps"]), (&Value::Bool(false), &Value::Bool(false)));
    }

    #[test]
    fn metadata_rules_the_derived_members() {
        let mut host = Instance::new("h", 1);
        host.metadata = Arc::new([("preserved.heart.beat.interval".into(), "1000".into())].into_iter().collect());
        let shown = serde_json::to_value(InstanceJson { instance: &host, grouped: "G@@s" }).unwrap();
        assert_eq!((&shown["instanceHeartBeatInterval"], &shown["ipDeleteTimeout"]), (&json!(1000), &json!(30000)));
        assert_eq!((shown.get("instanceIdGenerator"), shown.get("instanceId")), (None, None));
    }

    #[test]
    fn an_ip_that_was_not_given_is_not_shown() {
        let shown = |instance_id| {
            let host = Instance { instance_id, ..Instance::new("", 0) };
            serde_json::to_value(InstanceJson { instance: &host, grouped: "G@@s" }).unwrap()
        };
        assert_eq!(shown(InstanceId::Simple)["ip"], "");
        assert_eq!(shown(InstanceId::Given("null#0#null#G@@s".into())).get("ip"), None);
    }
}

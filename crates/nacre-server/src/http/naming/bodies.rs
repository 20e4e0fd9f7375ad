//! The JSON of services, clusters, clients, subscribers and metrics, in the spellings of v1, v2 and v3.

use std::sync::Arc;

use nacre_model::{Instance, PUBLIC, ServiceKey};
use nacre_naming::{
    ClientDetail, ClientId, HealthChecker, Published, Selector, ServiceDetail, ServiceSummary, Subscriber,
};
use nacre_wire::naming::InstanceJson;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::read::grouped_key;
use crate::{
    app::App,
    http::{refuse::Refusal, table::Generation},
};

/// GET instance of v1 (`name` is `service`) and v2 (`serviceName`). `asked` is the service as it was asked for, whose third
/// part means nothing.
pub fn instance_detail(name: &str, asked: &str, service: &ServiceKey, instance: &Instance) -> Value {
    let id = instance.instance_id_text(&service.grouped());
    json!({
        name: asked, "ip": instance.ip, "port": instance.port, "clusterName": instance.cluster,
        "weight": instance.weight, "healthy": instance.healthy, "instanceId": id, "metadata": *instance.metadata,
    })
}

/// Instances as lists of hosts show them.
pub struct Instances<'a> {
    pub hosts: &'a [Arc<Instance>],
    pub grouped: &'a str,
}

impl Serialize for Instances<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.hosts.iter().map(|instance| InstanceJson { instance, grouped: self.grouped }))
    }
}

/// `{"ips":["1.1.1.1:80_true"]}` for the key `ns##group@@name` or `group@@name`.
pub fn statuses(app: &App, key: &str) -> Result<Value, Refusal> {
    let (namespace, grouped) = match key.split_once("##") {
        // Java's split drops the empty part behind the namespace.
        Some((_, rest)) if rest.trim_start_matches("##").is_empty() => {
            return Err(Refusal::exception("Index 1 out of bounds for length 1"));
        }
        Some((namespace, rest)) => (namespace, rest.split_once("##").map_or(rest, |(grouped, _)| grouped)),
        None => (PUBLIC, key),
    };
    let service = grouped_key(namespace, grouped)?;
    let snapshot = app.naming.snapshot(&service);
    let instances = snapshot.iter().flat_map(|snapshot| snapshot.instances.iter());
    let ips: Vec<String> = instances.map(|i| format!("{}:{}_{}", i.ip, i.port, i.healthy)).collect();
    Ok(json!({ "ips": ips }))
}

pub fn selector(selector: &Selector) -> Value {
    match selector {
        Selector::None => json!({ "type": "none", "contextType": selector.context_type() }),
        Selector::Label { expression, labels } => json!({
            "type": "label", "expression": expression, "labels": labels, "contextType": selector.context_type(),
        }),
    }
}

/// GET service of v1.
pub fn service_v1(detail: &ServiceDetail) -> Value {
    let clusters: Vec<Value> = detail
        .clusters
        .iter()
        .map(|(name, c)| json!({ "name": name, "healthChecker": c.health_checker, "metadata": c.metadata }))
        .collect();
    json!({
        "namespaceId": detail.service.namespace, "groupName": detail.service.group, "name": detail.service.name,
        "protectThreshold": detail.protect_threshold, "metadata": detail.metadata,
        "selector": selector(&detail.selector), "clusters": clusters,
    })
}

/// GET service of v2 and v3.
pub fn service_form(detail: &ServiceDetail, generation: Generation) -> Value {
    let v2 = generation == Generation::V2;
    let cluster_map: Map<String, Value> = detail
        .clusters
        .iter()
        .map(|(name, c)| {
            let mut shown = json!({ "clusterName": name, "healthChecker": c.health_checker });
            if !v2 {
                shown["healthyCheckPort"] = c.check_port.into();
                shown["useInstancePortForCheck"] = c.use_instance_port.into();
            }
            shown["metadata"] = json!(c.metadata);
            shown["hosts"] = Value::Null;
            (name.to_string(), shown)
        })
        .collect();
    let namespace = if v2 { "namespace" } else { "namespaceId" };
    json!({
        namespace: detail.service.namespace, "serviceName": detail.service.name, "groupName": detail.service.group,
        "clusterMap": cluster_map, "metadata": detail.metadata, "protectThreshold": detail.protect_threshold,
        "selector": selector(&detail.selector), "ephemeral": detail.ephemeral,
    })
}

/// A row of the catalog.
pub fn summary(row: &ServiceSummary) -> Value {
    json!({
        "name": row.service.name, "groupName": row.service.group, "clusterCount": row.cluster_count,
        "ipCount": row.ip_count, "healthyInstanceCount": row.healthy_instance_count,
        "triggerFlag": row.trigger_flag.to_string(),
    })
}

/// A row of the catalog with its instances, in the thin form of v1.
pub fn summary_with_instances_v1(row: &ServiceSummary) -> Value {
    let mut clusters = Map::new();
    for instance in row.snapshot.instances.iter() {
        let cluster = clusters
            .entry(instance.cluster.to_string())
            .or_insert_with(|| json!({ "clusterName": null, "healthChecker": null, "metadata": null, "hosts": [] }));
        if let Some(hosts) = cluster.get_mut("hosts").and_then(Value::as_array_mut) {
            hosts.push(json!({
                "valid": instance.healthy, "metadata": *instance.metadata, "port": instance.port, "ip": instance.ip,
                "weight": instance.weight, "enabled": instance.enabled,
            }));
        }
    }
    let metadata = row.snapshot.metadata.as_ref().map(|metadata| &metadata.metadata);
    json!({
        "namespace": null, "serviceName": row.service.name, "groupName": row.service.group, "clusterMap": clusters,
        "metadata": metadata.cloned().unwrap_or_default(), "protectThreshold": 0.0, "selector": null,
        "ephemeral": null,
    })
}

/// A row of the catalog with its instances, in the form of v3.
pub fn summary_with_instances_v3(row: &ServiceSummary) -> Value {
    let grouped = row.service.grouped();
    let stored = row.snapshot.metadata.as_ref();
    let mut clusters = Map::new();
    for instance in row.snapshot.instances.iter() {
        // Only who is in them; what operators set for them is in the service's own answer.
        let cluster = clusters.entry(instance.cluster.to_string()).or_insert_with(|| {
            json!({
                "clusterName": null, "healthChecker": null, "healthyCheckPort": 80, "useInstancePortForCheck": true,
                "metadata": null, "hosts": [],
            })
        });
        if let Some(hosts) = cluster.get_mut("hosts").and_then(Value::as_array_mut) {
            hosts.push(json!(InstanceJson { instance, grouped: &grouped }));
        }
    }
    json!({
        "namespaceId": null, "serviceName": row.service.name, "groupName": row.service.group, "clusterMap": clusters,
        "metadata": stored.map(|metadata| metadata.metadata.clone()).unwrap_or_default(), "protectThreshold": 0.0,
        "selector": null, "ephemeral": null,
    })
}

/// The page envelope of v3.
pub fn page(total: usize, page: nacre_naming::Page, items: Vec<Value>) -> Value {
    let size = usize::try_from(page.size).unwrap_or(1).max(1);
    // The reference counts one page more when the last one is full.
    let pages = if total == 0 { 0 } else { total / size + 1 };
    json!({ "totalCount": total, "pageNumber": page.number, "pagesAvailable": pages, "pageItems": items })
}

/// A subscriber of v1's list.
pub fn subscriber_v1(subscriber: &Subscriber) -> Value {
    let subscription = &subscriber.subscription;
    json!({
        "addrStr": subscriber.address(), "agent": subscription.agent, "app": subscription.app, "ip": subscription.ip,
        "port": subscription.port, "namespaceId": subscriber.service.namespace,
        "serviceName": subscriber.service.grouped(), "cluster": subscription.clusters,
    })
}

/// The default checker of every type, without their `type` (which the reference leaves out here).
pub fn health_checkers() -> Value {
    let http = HealthChecker::Http { path: String::new(), headers: String::new(), expected_response_code: 200 };
    let mysql = HealthChecker::Mysql { user: None, pwd: None, cmd: None };
    let mut all = Map::new();
    for checker in [HealthChecker::Tcp, http, mysql, HealthChecker::None] {
        let mut fields = json!(checker);
        if let Some(fields) = fields.as_object_mut() {
            fields.shift_remove("type");
        }
        all.insert(checker.kind().to_owned(), fields);
    }
    Value::Object(all)
}

/// Ids of all clients, sorted.
pub fn client_ids(app: &App) -> Vec<String> {
    app.naming.client_ids().iter().map(ToString::to_string).collect()
}

/// A client of v2 and v3. Of an `ip:port` client only the id tells.
pub fn client(detail: &ClientDetail, generation: Generation) -> Value {
    let mut shown = json!({
        "clientId": detail.id.to_string(), "ephemeral": detail.ephemeral,
        "lastUpdatedTime": detail.last_updated_time,
        "clientType": if detail.id.is_connection() { "connection" } else { "ipPort" },
    });
    let v2 = generation == Generation::V2;
    match &detail.connection {
        Some(connection) => {
            shown["connectType"] = json!(connection.connect_type);
            shown["appName"] = json!(connection.app);
            shown["version"] = json!(connection.version);
            shown["clientIp"] = json!(connection.client_ip);
            // v2 shows this number as text.
            shown["clientPort"] =
                if v2 { connection.client_port.to_string().into() } else { connection.client_port.into() };
        }
        None if v2 => {
            if let ClientId::IpPort { ip, port, .. } = &detail.id {
                shown["clientIp"] = json!(ip);
                shown["clientPort"] = port.to_string().into();
            }
        }
        None => {
            for name in ["connectType", "appName", "version", "clientIp"] {
                shown[name] = Value::Null;
            }
            shown["clientPort"] = 0.into();
        }
    }
    shown
}

/// A subscriber of v3's list.
pub fn subscriber_v3(subscriber: &Subscriber) -> Value {
    let (service, of) = (&subscriber.service, &subscriber.subscription);
    json!({
        "namespaceId": service.namespace, "groupName": service.group, "serviceName": service.name, "ip": of.ip,
        "port": of.port, "agent": of.agent, "appName": of.app, "address": format!("{}:{}", of.ip, of.port),
    })
}

/// A service that a client publishes or subscribes (v3).
pub fn client_service(service: &ServiceKey, publisher: Value, subscriber: Value) -> Value {
    json!({
        "namespaceId": service.namespace, "groupName": service.group, "serviceName": service.name,
        "publisherInfo": publisher, "subscriberInfo": subscriber,
    })
}

/// `named`: the list is that of a service, so the client is told.
pub fn publisher_v3(published: &Published, named: bool) -> Value {
    let id = named.then(|| published.client.to_string());
    let instance = &published.instance;
    json!({ "clientId": id, "ip": instance.ip, "port": instance.port, "clusterName": instance.cluster })
}

pub fn client_subscriber_v3(subscriber: &Subscriber, named: bool) -> Value {
    let id = named.then(|| subscriber.client.to_string());
    let of = &subscriber.subscription;
    json!({ "clientId": id, "appName": of.app, "agent": of.agent, "address": subscriber.address() })
}

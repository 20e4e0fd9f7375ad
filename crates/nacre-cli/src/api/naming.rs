//! Services and instances as consumers see them.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::{Client, Generation, data, is_gone, refused, text};
use crate::{
    error::{CliError, Outcome},
    http::{Params, Request, Response},
};

const PAGE: u64 = 500;
const ROWS: usize = 100_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub ip: String,
    pub port: u16,
    pub cluster: String,
    pub healthy: bool,
    pub enabled: bool,
    pub ephemeral: bool,
    pub weight: f64,
    pub metadata: BTreeMap<String, String>,
}

/// The list that consumers get.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub instances: Vec<Instance>,
    /// The server shows every instance as healthy because too few are.
    pub protected: bool,
}

/// A row of the list of services. Counters are absent where the server does not give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRow {
    pub name: String,
    pub group: String,
    pub instances: Option<u64>,
    pub healthy: Option<u64>,
}

/// What an operator set on a service.
#[derive(Clone, Debug, Default)]
pub struct Service {
    pub protect_threshold: f64,
    pub selector: String,
    pub ephemeral: Option<bool>,
    pub metadata: BTreeMap<String, String>,
    pub clusters: Vec<(String, String)>,
}

/// What to register.
#[derive(Clone, Debug)]
pub struct Registration {
    pub ip: String,
    pub port: u16,
    pub cluster: String,
    pub weight: f64,
    pub enabled: bool,
    pub ephemeral: bool,
    pub metadata: BTreeMap<String, String>,
}

impl Instance {
    /// `ip:port`, with brackets around IPv6.
    pub fn endpoint(&self) -> String {
        endpoint(&self.ip, self.port)
    }

    /// What tells one instance of a service from another.
    pub fn identity(&self) -> (String, u16, String) {
        (self.ip.clone(), self.port, self.cluster.clone())
    }

    pub fn json(&self) -> Value {
        json!({
            "ip": self.ip, "port": self.port, "clusterName": self.cluster, "healthy": self.healthy,
            "enabled": self.enabled, "ephemeral": self.ephemeral, "weight": self.weight, "metadata": self.metadata,
        })
    }
}

pub fn endpoint(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// An instance of any generation's lists.
pub fn read_instance(json: &Value) -> Instance {
    Instance {
        ip: text(json, "ip"),
        port: json["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
        cluster: text(json, "clusterName"),
        healthy: json["healthy"].as_bool().or_else(|| json["valid"].as_bool()).unwrap_or(false),
        enabled: json["enabled"].as_bool().unwrap_or(true),
        ephemeral: json["ephemeral"].as_bool().unwrap_or(true),
        weight: json["weight"].as_f64().unwrap_or(1.0),
        metadata: metadata(&json["metadata"]),
    }
}

fn metadata(json: &Value) -> BTreeMap<String, String> {
    let pairs = json.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect()
}

impl Client {
    fn v1_service(&self, service: &str, group: &str) -> Params {
        let params = Params::default().with("serviceName", service).with("groupName", group);
        params.maybe("namespaceId", self.tenant())
    }

    fn v3_service(&self, service: &str, group: &str) -> Params {
        let params = Params::default().with("serviceName", service).with("groupName", group);
        params.with("namespaceId", self.namespace_name())
    }

    /// Instances that consumers get; a service that nobody knows has none.
    pub async fn instances(&self, service: &str, group: &str, cluster: Option<&str>) -> Outcome<Listing> {
        let first = Request::get("/v1/ns/instance/list", self.v1_service(service, group).maybe("clusters", cluster));
        let second =
            Request::get("/v3/client/ns/instance/list", self.v3_service(service, group).maybe("clusterName", cluster));
        let (generation, response) = self.either(first, second).await?;
        let found = match generation {
            Generation::V1 if response.status == 200 => response.json().unwrap_or_default(),
            // 1.x answers so for a service that nobody has ever registered.
            Generation::V1 if response.status == 404 => return Ok(Listing::default()),
            Generation::V1 => return Err(refused(&response)),
            Generation::V3 => data(&response)?,
        };
        let hosts = found.get("hosts").unwrap_or(&found).as_array().map(Vec::as_slice).unwrap_or_default();
        let mut instances: Vec<Instance> = hosts.iter().map(read_instance).collect();
        instances.sort_by_key(Instance::identity);
        Ok(Listing { instances, protected: found["reachProtectionThreshold"].as_bool().unwrap_or(false) })
    }

    pub async fn register(&self, service: &str, group: &str, what: &Registration) -> Outcome {
        let rest = |params: Params| {
            params
                .with("ip", &what.ip)
                .with("port", &what.port.to_string())
                .with("clusterName", &what.cluster)
                .with("weight", &what.weight.to_string())
                .with("enabled", &what.enabled.to_string())
                .with("ephemeral", &what.ephemeral.to_string())
                .with("metadata", &json!(what.metadata).to_string())
        };
        // 1.x reads naming parameters from the query only, and the flag as `enable`.
        let v1 = rest(self.v1_service(service, group)).with("enable", &what.enabled.to_string());
        let first = Request::new(Method::POST, "/v1/ns/instance", v1);
        let second = Request::post("/v3/client/ns/instance", rest(self.v3_service(service, group)));
        done(&self.either(first, second).await?.1)
    }

    /// Keeps an ephemeral instance alive. `false` when the server does not know it and it has to be registered again.
    pub async fn beat(&self, service: &str, group: &str, what: &Registration) -> Outcome<bool> {
        let grouped = format!("{group}@@{service}");
        let beat = json!({
            "ip": what.ip, "port": what.port, "weight": what.weight, "serviceName": grouped, "cluster": what.cluster,
            "metadata": what.metadata, "scheduled": false, "period": 5000, "stopped": false,
        });
        let v1 = self
            .v1_service(&grouped, group)
            .with("ip", &what.ip)
            .with("port", &what.port.to_string())
            .with("clusterName", &what.cluster)
            .with("beat", &beat.to_string());
        let response = self.send(Request::new(Method::PUT, "/v1/ns/instance/beat", v1)).await?;
        if is_gone(&response) {
            // In v3 a beat is a registration with a flag.
            let v3 = self
                .v3_service(service, group)
                .with("ip", &what.ip)
                .with("port", &what.port.to_string())
                .with("clusterName", &what.cluster)
                .with("heartBeat", "true");
            return Ok(data(&self.send(Request::post("/v3/client/ns/instance", v3)).await?).is_ok());
        }
        match response.json() {
            Some(json) if response.status == 200 => Ok(json["code"] != 20404),
            _ => Err(refused(&response)),
        }
    }

    pub async fn deregister(&self, service: &str, group: &str, what: &Registration) -> Outcome {
        let rest = |params: Params| {
            params
                .with("ip", &what.ip)
                .with("port", &what.port.to_string())
                .with("clusterName", &what.cluster)
                .with("ephemeral", &what.ephemeral.to_string())
        };
        let first = Request::new(Method::DELETE, "/v1/ns/instance", rest(self.v1_service(service, group)));
        let second = Request::new(Method::DELETE, "/v3/client/ns/instance", rest(self.v3_service(service, group)));
        done(&self.either(first, second).await?.1)
    }

    /// Services of one group, or of all groups where the server can list them.
    pub async fn services(&self, group: Option<&str>) -> Outcome<Vec<ServiceRow>> {
        if let Some(rows) = self.catalog(group).await? {
            return Ok(rows);
        }
        // What is left knows one group only.
        let group = group.unwrap_or("DEFAULT_GROUP");
        let mut out = Vec::new();
        for page in 1.. {
            let params = Params::default()
                .with("pageNo", &page.to_string())
                .with("pageSize", &PAGE.to_string())
                .with("groupName", group)
                .maybe("namespaceId", self.tenant());
            let found = data(&self.send(Request::get("/v1/ns/service/list", params)).await?)?;
            let names = found["doms"].as_array().map(Vec::as_slice).unwrap_or_default();
            out.extend(names.iter().filter_map(Value::as_str).map(|name| ServiceRow {
                name: name.rsplit("@@").next().unwrap_or(name).to_owned(),
                group: group.to_owned(),
                instances: None,
                healthy: None,
            }));
            if names.is_empty() || out.len() as u64 >= found["count"].as_u64().unwrap_or(0) || out.len() >= ROWS {
                break;
            }
        }
        Ok(out)
    }

    /// The console's list with its counters; `None` on a server that has neither generation of it.
    async fn catalog(&self, group: Option<&str>) -> Outcome<Option<Vec<ServiceRow>>> {
        let mut out: Vec<ServiceRow> = Vec::new();
        for page in 1.. {
            let paging = |params: Params| params.with("pageNo", &page.to_string()).with("pageSize", &PAGE.to_string());
            let names = |params: Params| {
                params
                    .with("serviceNameParam", "")
                    .with("groupNameParam", group.unwrap_or_default())
                    .with("withInstances", "false")
            };
            let v1 = names(paging(Params::default())).with("hasIpCount", "false").maybe("namespaceId", self.tenant());
            let v3 = names(paging(Params::default()))
                .with("ignoreEmptyService", "false")
                .with("namespaceId", self.namespace_name());
            let first = Request::get("/v1/ns/catalog/services", v1);
            let second = Request::get("/v3/admin/ns/service/list", v3);
            let (_, response) = self.either(first, second).await?;
            if is_gone(&response) {
                return Ok(None);
            }
            let found = data(&response)?;
            let items = found.get("serviceList").or_else(|| found.get("pageItems"));
            let items = items.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let total = found["count"].as_u64().or_else(|| found["totalCount"].as_u64()).unwrap_or(0);
            // The filter of the server is a part of the name.
            out.extend(items.iter().map(row).filter(|row| group.is_none_or(|group| row.group == group)));
            if items.is_empty() || page * PAGE >= total || out.len() >= ROWS {
                return Ok(Some(out));
            }
        }
        Ok(Some(out))
    }

    /// `None` when there is no such service.
    pub async fn service(&self, service: &str, group: &str) -> Outcome<Option<Service>> {
        let first = Request::get("/v1/ns/service", self.v1_service(service, group));
        let second = Request::get("/v3/admin/ns/service", self.v3_service(service, group));
        let (_, response) = self.either(first, second).await?;
        if response.status != 200 && is_missing_service(&response) {
            return Ok(None);
        }
        let found = match data(&response) {
            Ok(found) => found,
            Err(_) if is_missing_service(&response) => return Ok(None),
            Err(error) => return Err(error),
        };
        let clusters = match (&found["clusters"], &found["clusterMap"]) {
            (Value::Array(list), _) => {
                list.iter().map(|c| (text(c, "name"), text(&c["healthChecker"], "type"))).collect()
            }
            (_, Value::Object(map)) => {
                map.iter().map(|(name, c)| (name.clone(), text(&c["healthChecker"], "type"))).collect()
            }
            _ => Vec::new(),
        };
        Ok(Some(Service {
            protect_threshold: found["protectThreshold"].as_f64().unwrap_or(0.0),
            selector: text(&found["selector"], "type"),
            ephemeral: found["ephemeral"].as_bool(),
            metadata: metadata(&found["metadata"]),
            clusters,
        }))
    }
}

fn row(item: &Value) -> ServiceRow {
    ServiceRow {
        name: text(item, "name"),
        group: text(item, "groupName"),
        instances: item["ipCount"].as_u64(),
        healthy: item["healthyInstanceCount"].as_u64(),
    }
}

fn is_missing_service(response: &Response) -> bool {
    let body = response.text();
    body.contains("service not found") || (body.contains("service ") && body.contains("not found"))
}

/// `ok` in v1, `data: "ok"` in v3.
fn done(response: &Response) -> Outcome {
    if response.status == 200 && (response.text().trim() == "ok" || data(response).is_ok()) {
        return Ok(());
    }
    Err(match refused(response) {
        CliError::Failed(text) if text.contains("persistent service, can't register ephemeral") => {
            CliError::Failed(format!("{text} (add --persistent)"))
        }
        CliError::Failed(text) if text.contains("ephemeral service, can't register persistent") => {
            CliError::Failed(format!("{text} (leave --persistent away)"))
        }
        other => other,
    })
}

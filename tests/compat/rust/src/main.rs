//! Driver of the compatibility suite for the official Rust SDK: obeys the runner's JSON commands on standard input and
//! reports replies and events on standard output. What the operations mean stands in tests/compat/README.md.

use std::{collections::HashMap, error::Error, io::Write, sync::Arc};

use nacos_sdk::api::{
    config::{ConfigChangeListener, ConfigResponse, ConfigService, ConfigServiceBuilder},
    error::Error as SdkError,
    naming::{NamingChangeEvent, NamingEventListener, NamingService, NamingServiceBuilder, ServiceInstance},
    props::ClientProps,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

type Outcome = Result<Value, Box<dyn Error>>;

const OPS: &[&str] = &[
    "register",
    "deregister",
    "batch_register",
    "list",
    "select_healthy",
    "select_one",
    "services",
    "subscribe",
    "unsubscribe",
    "publish",
    "cas",
    "get",
    "remove",
    "listen",
    "unlisten",
    "shutdown",
];

struct Driver {
    naming: NamingService,
    config: ConfigService,
    subscriptions: HashMap<String, Arc<dyn NamingEventListener>>,
    listeners: HashMap<String, Arc<dyn ConfigChangeListener>>,
}

struct Subscription {
    tag: String,
}

impl NamingEventListener for Subscription {
    fn event(&self, event: Arc<NamingChangeEvent>) {
        let hosts: Vec<Value> = event.instances.iter().flatten().map(host).collect();
        send(&json!({"event": "hosts", "tag": self.tag, "hosts": hosts}));
    }
}

struct Watch {
    tag: String,
}

impl ConfigChangeListener for Watch {
    fn notify(&self, changed: ConfigResponse) {
        send(&json!({"event": "config", "tag": self.tag, "content": changed.content()}));
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let to: Value = serde_json::from_str(&std::env::args().nth(1).ok_or("no server to talk to")?)?;
    let mut props = ClientProps::new()
        .server_addr(format!("{}:{}", text(&to, "host")?, number(&to, "port")?))
        .remote_grpc_port(u16::try_from(number(&to, "grpcPort")?)?)
        .namespace(text(&to, "namespace")?)
        .env_first(false)
        .naming_push_empty_protection(false)
        .load_cache_at_start(false);
    let (mut naming, mut config) = (NamingServiceBuilder::new(props.clone()), ConfigServiceBuilder::new(props.clone()));
    if !text(&to, "username")?.is_empty() {
        props = props.auth_username(text(&to, "username")?).auth_password(text(&to, "password")?);
        naming = NamingServiceBuilder::new(props.clone()).enable_auth_plugin_http();
        config = ConfigServiceBuilder::new(props).enable_auth_plugin_http();
    }
    let mut driver = Driver {
        naming: naming.build().await?,
        config: config.build().await?,
        subscriptions: HashMap::new(),
        listeners: HashMap::new(),
    };
    send(&json!({"event": "hello", "ops": OPS}));

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let command: Value = serde_json::from_str(&line)?;
        let reply = match driver.obey(&command).await {
            Ok(value) => json!({"id": command["id"], "ok": true, "value": value}),
            Err(failure) => json!({"id": command["id"], "ok": false, "error": failure.to_string()}),
        };
        send(&reply);
        if command["op"] == "shutdown" {
            break;
        }
    }
    // The SDK has no shutdown call: its connections end with the process.
    std::process::exit(0);
}

fn send(message: &Value) {
    let mut out = std::io::stdout().lock();
    if let Err(failure) = writeln!(out, "{message}").and_then(|()| out.flush()) {
        eprintln!("cannot report: {failure}");
    }
}

impl Driver {
    async fn obey(&mut self, c: &Value) -> Outcome {
        let op = text(c, "op")?;
        match op.as_str() {
            "register" | "deregister" | "batch_register" | "subscribe" | "unsubscribe" => self.change(&op, c).await,
            "list" | "select_healthy" | "select_one" | "services" => self.read(&op, c).await,
            "publish" | "cas" | "get" | "remove" | "listen" | "unlisten" => self.configs(&op, c).await,
            "shutdown" => Ok(Value::Null),
            _ => Err(format!("not offered: {op}").into()),
        }
    }

    async fn change(&mut self, op: &str, c: &Value) -> Outcome {
        let (service, group) = (text(c, "service")?, Some(text(c, "group")?));
        match op {
            "register" => self.naming.register_instance(service, group, instance(&c["instance"])?).await?,
            "deregister" => self.naming.deregister_instance(service, group, instance(&c["instance"])?).await?,
            "batch_register" => {
                let batch = c["instances"].as_array().ok_or("instances?")?;
                let batch = batch.iter().map(instance).collect::<Result<Vec<_>, _>>()?;
                self.naming.batch_register_instance(service, group, batch).await?;
            }
            "subscribe" => {
                let tag = text(c, "tag")?;
                let listener: Arc<dyn NamingEventListener> = Arc::new(Subscription { tag: tag.clone() });
                self.subscriptions.insert(tag, listener.clone());
                self.naming.subscribe(service, group, clusters(c), listener).await?;
            }
            _ => {
                let listener = self.subscriptions.remove(&text(c, "tag")?).ok_or("no such subscription")?;
                self.naming.unsubscribe(service, group, clusters(c), listener).await?;
            }
        }
        Ok(Value::Null)
    }

    async fn read(&self, op: &str, c: &Value) -> Outcome {
        let group = Some(text(c, "group")?);
        if op == "services" {
            let (page, size) = (number(c, "page")?, number(c, "size")?);
            let (names, count) = self.naming.get_service_list(page, size, group).await?;
            return Ok(json!({"count": count, "names": names}));
        }
        let service = text(c, "service")?;
        let found = match op {
            "list" => self.naming.get_all_instances(service, group, clusters(c), false).await?,
            "select_healthy" => self.naming.select_instances(service, group, clusters(c), false, true).await?,
            _ => {
                let one = self.naming.select_one_healthy_instance(service, group, clusters(c), false).await?;
                return Ok(host(&one));
            }
        };
        Ok(found.iter().map(host).collect())
    }

    async fn configs(&mut self, op: &str, c: &Value) -> Outcome {
        let (data_id, group) = (text(c, "dataId")?, text(c, "group")?);
        let kind = c["type"].as_str().map(str::to_owned);
        match op {
            "publish" => Ok(self.config.publish_config(data_id, group, text(c, "content")?, kind).await?.into()),
            "cas" => {
                let md5 = text(c, "md5")?;
                match self.config.publish_config_cas(data_id, group, text(c, "content")?, kind, md5).await {
                    Ok(done) => Ok(done.into()),
                    // The SDK has no error of its own for a lost comparison; every other error stays one.
                    Err(lost) if lost.to_string().contains("Cas publish fail") => Ok(false.into()),
                    Err(other) => Err(other.into()),
                }
            }
            "get" => match self.config.get_config(data_id, group).await {
                Ok(found) => Ok(found.content().as_str().into()),
                Err(SdkError::ConfigNotFound(_)) => Ok(Value::Null),
                Err(other) => Err(other.into()),
            },
            "remove" => Ok(self.config.remove_config(data_id, group).await?.into()),
            "listen" => {
                let tag = text(c, "tag")?;
                let listener: Arc<dyn ConfigChangeListener> = Arc::new(Watch { tag: tag.clone() });
                self.listeners.insert(tag, listener.clone());
                self.config.add_listener(data_id.clone(), group, listener).await?;
                // add_listener only spawns its request and throws the answer away: one round trip on the same connection
                // lets it reach the server before the runner goes on.
                match self.config.get_config(format!("{data_id}.never-there"), "compat".into()).await {
                    Err(SdkError::ConfigNotFound(_)) => {}
                    other => return Err(format!("a config that never was: {other:?}").into()),
                }
                Ok(Value::Null)
            }
            _ => {
                let listener = self.listeners.remove(&text(c, "tag")?).ok_or("no such listener")?;
                self.config.remove_listener(data_id, group, listener).await?;
                Ok(Value::Null)
            }
        }
    }
}

fn text(c: &Value, name: &str) -> Result<String, Box<dyn Error>> {
    Ok(c[name].as_str().ok_or_else(|| format!("{name}?"))?.to_owned())
}

fn number(c: &Value, name: &str) -> Result<i32, Box<dyn Error>> {
    Ok(i32::try_from(c[name].as_i64().ok_or_else(|| format!("{name}?"))?)?)
}

fn clusters(c: &Value) -> Vec<String> {
    c["clusters"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn instance(i: &Value) -> Result<ServiceInstance, Box<dyn Error>> {
    let metadata = i["metadata"].as_object().ok_or("metadata?")?;
    Ok(ServiceInstance {
        ip: text(i, "ip")?,
        port: number(i, "port")?,
        weight: i["weight"].as_f64().ok_or("weight?")?,
        enabled: i["enabled"].as_bool().ok_or("enabled?")?,
        ephemeral: i["ephemeral"].as_bool().ok_or("ephemeral?")?,
        cluster_name: Some(text(i, "cluster")?),
        metadata: metadata.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
        ..ServiceInstance::default()
    })
}

fn host(i: &ServiceInstance) -> Value {
    json!({
        "ip": i.ip, "port": i.port, "weight": i.weight, "healthy": i.healthy, "enabled": i.enabled,
        "ephemeral": i.ephemeral, "cluster": i.cluster_name, "metadata": i.metadata,
    })
}

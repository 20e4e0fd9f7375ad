//! Behaviour of the registry, driven by hand through simulated time.

mod beats;
mod concurrency;
mod durable;
mod fuzzy;
mod health;
mod housekeeping;
mod operators;
mod parsers;
mod queries;
mod registration;
mod subscriptions;

use std::sync::Arc;

use nacre_model::{Cause, Instance, InstanceId, Metadata, Now, ServiceKey};

use crate::*;

/// A registry and its clock.
pub(crate) struct World {
    pub naming: Naming,
    pub now: Now,
}

pub(crate) fn key(name: &str) -> ServiceKey {
    ServiceKey::new("public", "G", name)
}

pub(crate) fn metadata(pairs: &[(&str, &str)]) -> Arc<Metadata> {
    Arc::new(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
}

pub(crate) fn instance(ip: &str, port: i32) -> Instance {
    Instance { instance_id: InstanceId::Simple, ..Instance::new(ip, port) }
}

pub(crate) fn connection(id: &str) -> ClientId {
    ClientId::connection(id)
}

pub(crate) fn subscription(clusters: &str) -> Subscription {
    Subscription {
        clusters: clusters.into(),
        ip: "10.9.9.9".into(),
        port: 0,
        agent: "Nacos-Java-Client:v2.5.1".into(),
        app: "unknown".into(),
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        Self { naming: Naming::new(options), now: Now { mono: 1_000, wall: 1_700_000_000_000 } }
    }

    pub fn connect(&self, id: &str) -> ClientId {
        let info = ConnectionInfo { id: id.into(), client_ip: "10.1.1.1".into(), ..Default::default() };
        let _ = self.naming.connect(info, self.now);
        connection(id)
    }

    /// A subscriber: without one nobody is told of changes.
    pub fn watch(&self, service: &ServiceKey) {
        let watcher = self.connect("9_10.9.9.9_9");
        let _ = self.naming.subscribe(&watcher, service, subscription(""), self.now).expect("subscribed");
    }

    /// Lets time pass in steps of 100 ms, ticking; gathers the effects.
    pub fn pass(&mut self, ms: u64) -> Effects {
        let mut all = Effects::default();
        let mut left = ms;
        while left > 0 {
            let step = left.min(100);
            self.now = self.now.plus(step);
            left -= step;
            all.merge(self.naming.tick(self.now));
        }
        all
    }

    pub fn http(&self, service: &ServiceKey, instance: Instance) -> Effects {
        self.naming.register_http(service, instance, self.now).expect("registered")
    }

    pub fn grpc(&self, client: &ClientId, service: &ServiceKey, instance: Instance) -> Effects {
        self.naming.register(client, service, instance, self.now).expect("registered")
    }

    pub fn light(&self, service: &ServiceKey, ip: &str, port: i32) -> (BeatAnswer, Effects) {
        self.naming.beat(&Beat { service, ip, port, cluster: "", info: None, sender: "" }, self.now).expect("answered")
    }

    pub fn full(&self, service: &ServiceKey, json: &str) -> (BeatAnswer, Effects) {
        let info = BeatInfo::parse(json).expect("beat JSON");
        let beat = Beat { service, ip: "", port: 0, cluster: "", info: Some(&info), sender: "" };
        self.naming.beat(&beat, self.now).expect("answered")
    }

    pub fn list(&self, service: &ServiceKey) -> ServiceView {
        self.naming.list(service, &Query::default(), self.now)
    }

    /// `ip:port/healthy` of all shown hosts, sorted.
    pub fn hosts(&self, service: &ServiceKey) -> Vec<String> {
        let mut hosts: Vec<String> =
            self.list(service).hosts.iter().map(|h| format!("{}:{}/{}", h.ip, h.port, h.healthy)).collect();
        hosts.sort();
        hosts
    }

    pub fn apply(&self, command: NamingCommand) -> Applied {
        self.naming.apply(&command, self.now)
    }

    /// Applies a command that must succeed.
    pub fn done(&self, command: NamingCommand) -> (Effects, Vec<nacre_model::Row>) {
        let Applied { reply, effects, rows } = self.apply(command);
        reply.expect("accepted");
        (effects, rows)
    }

    /// Status, code and text of a refused command, which must not have changed anything.
    pub fn refused(&self, command: NamingCommand) -> (i32, i32, String) {
        let Applied { reply, effects, rows } = self.apply(command);
        assert!(effects.is_empty() && rows.is_empty(), "a refusal changes nothing");
        let error = reply.expect_err("refused");
        (error.status, error.code.code, error.client_text())
    }

    pub fn create(&self, service: &ServiceKey, ephemeral: bool, protect_threshold: f64) {
        let metadata = ServiceMetadata { ephemeral, protect_threshold, ..Default::default() };
        let _ = self.done(NamingCommand::CreateService { service: service.clone(), metadata });
    }
}

/// The kinds of causes, in order.
pub(crate) fn kinds(effects: &Effects) -> Vec<&'static str> {
    effects.events.iter().map(|event| event.cause.kind()).collect()
}

pub(crate) fn count(effects: &Effects, wanted: impl Fn(&Cause) -> bool) -> usize {
    effects.events.iter().filter(|event| wanted(&event.cause)).count()
}

#[test]
fn the_registry_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Naming>();
}

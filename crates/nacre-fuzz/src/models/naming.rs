//! Histories against a naive registry that keeps one list and looks at everything each time.

use std::collections::{BTreeMap, BTreeSet};

use nacre_model::{Instance, InstanceId, Metadata, Now, ServiceKey, event::Disconnect};
use nacre_naming::{
    Beat, BeatInfo, ClientId, ConnectionInfo, InstanceRef, Naming, NamingCommand, Options, Query, ServiceView,
    Subscription,
};

use crate::input::Input;

/// Calls of one history.
const LONGEST: usize = 200;

/// A registry and its clock.
struct World {
    naming: Naming,
    now: Now,
}

impl World {
    fn new() -> Self {
        Self { naming: Naming::new(Options::default()), now: Now { mono: 1_000, wall: 1_700_000_000_000 } }
    }

    fn connect(&self, id: &str) {
        let info = ConnectionInfo { id: id.into(), client_ip: "10.1.1.1".into(), ..Default::default() };
        let _ = self.naming.connect(info, self.now);
    }

    fn list(&self, service: &ServiceKey) -> ServiceView {
        self.naming.list(service, &Query::default(), self.now)
    }
}

fn subscription() -> Subscription {
    Subscription {
        clusters: "".into(),
        ip: "10.9.9.9".into(),
        port: 0,
        agent: "Nacos-Java-Client:v2.5.1".into(),
        app: "unknown".into(),
    }
}

/// Few names, so that histories meet.
#[derive(Clone, Debug)]
enum Op {
    Connect(u8),
    Disconnect(u8),
    Grpc {
        connection: u8,
        service: u8,
        port: i32,
        cluster: bool,
        weight: u8,
        healthy: bool,
    },
    Batch {
        connection: u8,
        service: u8,
        ports: Vec<i32>,
    },
    Deregister {
        connection: u8,
        service: u8,
    },
    Http {
        service: u8,
        port: i32,
        cluster: bool,
        weight: u8,
        healthy: bool,
    },
    DeregisterHttp {
        service: u8,
        port: i32,
    },
    Beat {
        service: u8,
        port: i32,
    },
    FullBeat {
        service: u8,
        port: i32,
    },
    Persistent {
        service: u8,
        port: i32,
    },
    DeregisterPersistent {
        service: u8,
        port: i32,
    },
    Health {
        service: u8,
        port: i32,
        healthy: bool,
    },
    Operate {
        service: u8,
        port: i32,
        weight: u8,
        enabled: bool,
    },
    Subscribe {
        connection: u8,
        service: u8,
    },
    Unsubscribe {
        connection: u8,
        service: u8,
    },
    Delete {
        service: u8,
    },
    /// Hundreds of milliseconds.
    Pass(u16),
}

fn op(input: &mut Input<'_>) -> Op {
    let kind = input.below(40);
    let (connection, service, port) = (input.below(3) as u8, input.below(3) as u8, 1 + input.below(3) as i32);
    let weight = |input: &mut Input<'_>| input.below(3) as u8;
    match kind {
        0..3 => Op::Connect(connection),
        3 => Op::Disconnect(connection),
        4..8 => {
            let (cluster, weight, healthy) = (input.flag(), weight(input), input.flag());
            Op::Grpc { connection, service, port, cluster, weight, healthy }
        }
        8..10 => {
            let ports = (0..input.below(3)).map(|_| 1 + input.below(3) as i32).collect();
            Op::Batch { connection, service, ports }
        }
        10..12 => Op::Deregister { connection, service },
        12..16 => {
            let (cluster, weight, healthy) = (input.flag(), weight(input), input.flag());
            Op::Http { service, port, cluster, weight, healthy }
        }
        16..18 => Op::DeregisterHttp { service, port },
        18..22 => Op::Beat { service, port },
        22..24 => Op::FullBeat { service, port },
        24..26 => Op::Persistent { service, port },
        26 => Op::DeregisterPersistent { service, port },
        27 => Op::Health { service, port, healthy: input.flag() },
        28..30 => Op::Operate { service, port, weight: weight(input), enabled: input.flag() },
        30 => Op::Subscribe { connection, service },
        31 => Op::Unsubscribe { connection, service },
        32 => Op::Delete { service },
        _ => Op::Pass(1 + u16::from(input.byte())),
    }
}

fn service(n: u8) -> ServiceKey {
    ServiceKey::new("public", "G", &format!("s{n}"))
}

fn conn(n: u8) -> ClientId {
    ClientId::connection(&format!("1_{n}_1"))
}

fn cluster(other: bool) -> &'static str {
    if other { "C2" } else { "DEFAULT" }
}

fn described(port: i32, other: bool, weight: u8, healthy: bool) -> Instance {
    Instance {
        weight: f64::from(weight),
        healthy,
        cluster: cluster(other).into(),
        instance_id: InstanceId::Simple,
        ..Instance::new("10.0.0.1", port)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    client: ClientId,
    service: ServiceKey,
    instances: Vec<Instance>,
    version: u64,
    last_beat: u64,
}

/// What the registry should be, as plainly as can be.
#[derive(Debug, Default)]
struct Model {
    now: u64,
    versions: u64,
    /// In order of first registration.
    entries: Vec<Entry>,
    /// Kind and since when empty.
    services: BTreeMap<ServiceKey, (bool, u64)>,
    connections: BTreeSet<ClientId>,
    /// Last sign of life of `ip:port#true` clients.
    http: BTreeMap<ClientId, u64>,
    records: BTreeMap<(ServiceKey, i32), (f64, bool)>,
    subscriptions: BTreeSet<(ClientId, ServiceKey)>,
}

impl Model {
    /// True when accepted.
    fn publish(&mut self, client: &ClientId, service: &ServiceKey, mut instances: Vec<Instance>) -> bool {
        let ephemeral = client.is_ephemeral();
        if self.services.get(service).is_some_and(|(kind, _)| *kind != ephemeral) {
            return false;
        }
        self.services.entry(service.clone()).or_insert((ephemeral, self.now));
        instances.iter_mut().for_each(|instance| instance.ephemeral = ephemeral);
        self.versions += 1;
        let new = Entry {
            client: client.clone(),
            service: service.clone(),
            instances,
            version: self.versions,
            last_beat: self.now,
        };
        match self.entries.iter_mut().find(|entry| entry.client == *client && entry.service == *service) {
            Some(entry) => *entry = new,
            None => self.entries.push(new),
        }
        self.alive(client);
        true
    }

    fn alive(&mut self, client: &ClientId) {
        if matches!(client, ClientId::IpPort { ephemeral: true, .. }) {
            self.http.insert(client.clone(), self.now);
        }
    }

    fn withdraw(&mut self, client: &ClientId, service: &ServiceKey) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| !(entry.client == *client && entry.service == *service));
        let gone = self.entries.len() < before;
        if gone && !self.entries.iter().any(|entry| entry.service == *service) {
            let now = self.now;
            self.services.entry(service.clone()).and_modify(|(_, since)| *since = now);
        }
        gone
    }

    fn find(&mut self, client: &ClientId, service: &ServiceKey) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.client == *client && entry.service == *service)
    }

    fn step(&mut self) {
        self.now += 100;
        let now = self.now;
        let mut dead = Vec::new();
        for entry in &mut self.entries {
            if !matches!(entry.client, ClientId::IpPort { ephemeral: true, .. }) {
                continue;
            }
            let silent = now - entry.last_beat;
            if silent > 15_000 {
                entry.instances[0].healthy = false;
            }
            if silent > 30_000 {
                dead.push((entry.client.clone(), entry.service.clone()));
            }
        }
        for (client, service) in dead {
            self.withdraw(&client, &service);
        }
        let entries = &self.entries;
        self.http.retain(|client, last| entries.iter().any(|e| e.client == *client) || now - *last <= 30_000);
        self.services.retain(|key, (_, since)| entries.iter().any(|e| e.service == *key) || now - *since < 60_000);
    }

    /// (port, cluster, weight, healthy, enabled) of every address once.
    fn shown(&self, service: &ServiceKey) -> Vec<(i32, String, f64, bool, bool)> {
        let mut latest: BTreeMap<(i32, String), u64> = BTreeMap::new();
        let of = |entry: &Entry| entry.service == *service;
        for entry in self.entries.iter().filter(|entry| of(entry)) {
            for instance in &entry.instances {
                let newest = latest.entry((instance.port, instance.cluster.to_string())).or_default();
                *newest = (*newest).max(entry.version);
            }
        }
        let mut shown = Vec::new();
        for entry in self.entries.iter().filter(|entry| of(entry)) {
            for instance in &entry.instances {
                let address = (instance.port, instance.cluster.to_string());
                if latest.get(&address) != Some(&entry.version) {
                    continue;
                }
                latest.remove(&address);
                let record = self.records.get(&(service.clone(), instance.port)).filter(|_| address.1 == "DEFAULT");
                let (weight, enabled) = record.copied().unwrap_or((instance.weight, instance.enabled));
                shown.push((address.0, address.1, weight, instance.healthy, enabled));
            }
        }
        shown
    }
}

/// Does the same to both.
fn run(op: &Op, world: &mut World, model: &mut Model) {
    let now = world.now;
    let naming = &world.naming;
    match op {
        Op::Connect(n) => {
            let id = conn(*n);
            if model.connections.insert(id.clone()) {
                world.connect(&id.to_string());
            }
        }
        Op::Disconnect(n) => {
            let id = conn(*n);
            let _ = naming.disconnect(&id, Disconnect::ClosedByClient, now);
            if model.connections.remove(&id) {
                for n in 0..3 {
                    model.withdraw(&id, &service(n));
                }
                model.subscriptions.retain(|(client, _)| *client != id);
            }
        }
        Op::Grpc { connection, service: s, port, cluster, weight, healthy } => {
            let (id, key, instance) = (conn(*connection), service(*s), described(*port, *cluster, *weight, *healthy));
            let result = naming.register(&id, &key, instance.clone(), now);
            let accepted = model.connections.contains(&id) && model.publish(&id, &key, vec![instance]);
            assert_eq!(result.is_ok(), accepted, "{result:?}");
        }
        Op::Batch { connection, service: s, ports } => {
            let (id, key) = (conn(*connection), service(*s));
            let instances: Vec<Instance> = ports.iter().map(|port| described(*port, false, 1, true)).collect();
            let result = naming.register_batch(&id, &key, instances.clone(), now);
            let accepted = model.connections.contains(&id) && model.publish(&id, &key, instances);
            assert_eq!(result.is_ok(), accepted, "{result:?}");
        }
        Op::Deregister { connection, service: s } => {
            let (id, key) = (conn(*connection), service(*s));
            let result = naming.deregister(&id, &key, now);
            let known = model.connections.contains(&id);
            assert_eq!(result.is_ok(), known || !model.services.contains_key(&key));
            if known {
                model.withdraw(&id, &key);
            }
        }
        Op::Http { service: s, port, cluster, weight, healthy } => {
            let (key, instance) = (service(*s), described(*port, *cluster, *weight, *healthy));
            let result = naming.register_http(&key, instance.clone(), now);
            assert_eq!(result.is_ok(), model.publish(&ClientId::ephemeral("10.0.0.1", *port), &key, vec![instance]));
        }
        Op::DeregisterHttp { service: s, port } => {
            let (key, id) = (service(*s), ClientId::ephemeral("10.0.0.1", *port));
            let _ = naming.deregister_http(&key, "10.0.0.1", *port, now);
            if model.withdraw(&id, &key) {
                model.alive(&id);
            }
        }
        Op::Beat { service: s, port } | Op::FullBeat { service: s, port } => {
            let (key, id) = (service(*s), ClientId::ephemeral("10.0.0.1", *port));
            let json = format!(r#"{{"ip":"10.0.0.1","port":{port},"weight":1.0}}"#);
            let info = BeatInfo::parse(&json).expect("JSON");
            let full = matches!(op, Op::FullBeat { .. });
            let beat = Beat {
                service: &key,
                ip: "10.0.0.1",
                port: *port,
                cluster: "",
                info: full.then_some(&info),
                sender: "",
            };
            let result = naming.beat(&beat, now).map(|(answer, _)| answer.code);
            let at = model.now;
            let expected = if let Some(entry) = model.find(&id, &key) {
                entry.last_beat = at;
                entry.instances[0].healthy = true;
                model.alive(&id);
                Some(10200)
            } else if !full {
                Some(20404)
            } else {
                model.publish(&id, &key, vec![described(*port, false, 1, true)]).then_some(10200)
            };
            assert_eq!(result.ok(), expected);
        }
        Op::Persistent { service: s, port } => {
            let (key, instance) = (service(*s), described(*port, false, 1, true));
            let command = NamingCommand::RegisterPersistent { service: key.clone(), instance: instance.clone() };
            let accepted = model.publish(&ClientId::persistent("10.0.0.1", *port), &key, vec![instance]);
            assert_eq!(naming.apply(&command, now).reply.is_ok(), accepted);
        }
        Op::DeregisterPersistent { service: s, port } => {
            let key = service(*s);
            let command =
                NamingCommand::DeregisterPersistent { service: key.clone(), ip: "10.0.0.1".into(), port: *port };
            let applied = naming.apply(&command, now);
            let gone = model.withdraw(&ClientId::persistent("10.0.0.1", *port), &key);
            assert_eq!(applied.rows.len(), usize::from(gone));
        }
        Op::Health { service: s, port, healthy } => {
            let key = service(*s);
            let command = NamingCommand::ChangeHealth {
                service: key.clone(),
                ip: "10.0.0.1".into(),
                port: *port,
                healthy: *healthy,
                reason: String::new(),
            };
            let _ = naming.apply(&command, now);
            if let Some(entry) = model.find(&ClientId::persistent("10.0.0.1", *port), &key) {
                entry.instances[0].healthy = *healthy;
            }
        }
        Op::Operate { service: s, port, weight, enabled } => {
            let key = service(*s);
            let command = NamingCommand::UpdateInstance {
                service: key.clone(),
                instance: InstanceRef::new("10.0.0.1", *port, "DEFAULT"),
                ephemeral: true,
                weight: f64::from(*weight),
                enabled: *enabled,
                metadata: Metadata::new(),
            };
            let accepted = model.services.contains_key(&key);
            assert_eq!(naming.apply(&command, now).reply.is_ok(), accepted);
            if accepted {
                model.records.insert((key, *port), (f64::from(*weight), *enabled));
            }
        }
        Op::Subscribe { connection, service: s } => {
            let (id, key) = (conn(*connection), service(*s));
            let result = naming.subscribe(&id, &key, subscription(), now);
            assert_eq!(result.is_ok(), model.connections.contains(&id));
            if let Ok((_, effects)) = result {
                let first = model.subscriptions.insert((id, key));
                assert_eq!(effects.pushes.len(), usize::from(first));
            }
        }
        Op::Unsubscribe { connection, service: s } => {
            let (id, key) = (conn(*connection), service(*s));
            let _ = naming.unsubscribe(&id, &key, now);
            model.subscriptions.remove(&(id, key));
        }
        Op::Delete { service: s } => {
            let key = service(*s);
            // An empty batch keeps no service.
            let held = model.entries.iter().any(|e| e.service == key && !e.instances.is_empty());
            let deletable = model.services.contains_key(&key) && !held;
            let applied = naming.apply(&NamingCommand::DeleteService { service: key.clone() }, now);
            assert_eq!(applied.reply.is_ok(), deletable);
            if deletable {
                model.services.remove(&key);
            }
        }
        Op::Pass(steps) => {
            for _ in 0..*steps {
                world.now = world.now.plus(100);
                let _ = world.naming.tick(world.now);
                model.step();
            }
        }
    }
}

fn compare(world: &World, model: &Model, last: &mut BTreeMap<ServiceKey, (i64, String)>) {
    for n in 0..3 {
        let key = service(n);
        let expected = model.shown(&key);
        let snapshot = world.naming.snapshot(&key);
        assert_eq!(snapshot.is_some(), model.services.contains_key(&key), "existence of {key}");
        let all = snapshot.iter().flat_map(|snapshot| snapshot.instances.iter());
        let seen: Vec<_> = all.map(|i| (i.port, i.cluster.to_string(), i.weight, i.healthy, i.enabled)).collect();
        assert_eq!(seen, expected, "instances of {key}");
        let view = world.list(&key);
        let ports: Vec<i32> = view.hosts.iter().map(|host| host.port).collect();
        let enabled: Vec<i32> = expected.iter().filter(|i| i.4).map(|i| i.0).collect();
        assert_eq!(ports, enabled);
        // A consumer that saw both must be able to tell which is newer.
        let content = format!("{:?}", view.hosts);
        if let Some((before, old)) = last.insert(key.clone(), (view.last_ref_time, content.clone())) {
            assert!(view.last_ref_time > before || (view.last_ref_time == before && content == old), "{key}");
        }
        let subscribers = world.naming.subscriber_ids(&key).len();
        assert_eq!(subscribers, model.subscriptions.iter().filter(|(_, service)| *service == key).count());
    }
    let metrics = world.naming.metrics();
    let persistent: BTreeSet<_> = model.entries.iter().map(|e| &e.client).filter(|c| !c.is_ephemeral()).collect();
    assert_eq!(metrics.service_count, model.services.len());
    assert_eq!(metrics.instance_count, model.entries.iter().map(|entry| entry.instances.len()).sum::<usize>());
    assert_eq!(metrics.connection_based_client_count, model.connections.len());
    assert_eq!(metrics.ephemeral_ip_port_client_count, model.http.len());
    assert_eq!(metrics.persistent_ip_port_client_count, persistent.len());
    assert_eq!(metrics.subscribe_count, model.subscriptions.len());
    let connections = model.entries.iter().filter(|entry| entry.client.is_connection()).count();
    assert_eq!(metrics.connection_publish_count, connections);
    assert_eq!(metrics.http_publish_count, model.entries.len() - connections);
}

/// A history: every call is made on both, and both are compared after each.
pub fn history(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    let mut model = Model { now: world.now.mono, ..Model::default() };
    let mut last = BTreeMap::new();
    for _ in 0..LONGEST {
        if input.is_empty() {
            return;
        }
        let op = op(&mut input);
        run(&op, &mut world, &mut model);
        compare(&world, &model, &mut last);
    }
}

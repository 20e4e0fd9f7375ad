//! An address that several clients publish.

use std::collections::{BTreeSet, HashMap};

use nacre_model::{Event, Instance, ServiceKey};
use nacre_naming::{ClientId, Published};

use super::{newest_by_instance, without_cluster};
use crate::{About, Confidence, Hit, Hits, Scene, line};

/// An address that several clients publish now.
struct Shared<'a> {
    service: &'a ServiceKey,
    identity: &'a str,
    event: &'a Event,
    entries: Vec<Published>,
}

impl Shared<'_> {
    fn over_both(&self) -> bool {
        let connection = |entry: &Published| entry.client.is_connection();
        self.entries.iter().any(connection) && !self.entries.iter().all(connection)
    }
}

fn shared<'a>(scene: &'a Scene<'_>) -> Vec<Shared<'a>> {
    let mut publishers: HashMap<&ServiceKey, Vec<Published>> = HashMap::new();
    let mut found = Vec::new();
    for ((service, identity), event) in newest_by_instance(scene, "instanceShadowed", |_| true) {
        let all = publishers.entry(service).or_insert_with(|| scene.naming.publishers(service));
        let entries: Vec<_> = all.iter().filter(|entry| entry.instance.identity() == identity).cloned().collect();
        let clients: BTreeSet<&ClientId> = entries.iter().map(|entry| &entry.client).collect();
        if clients.len() > 1 {
            found.push(Shared { service, identity, event, entries });
        }
    }
    found
}

fn told_shared(scene: &Scene<'_>, shared: &Shared<'_>) -> Hit {
    let latest = shared.entries.last().map(|entry| entry.client.to_string()).unwrap_or_default();
    let clients: Vec<String> = shared.entries.iter().map(|entry| entry.client.to_string()).collect();
    let about = About::service(shared.service).with_instance(shared.identity);
    let mut hit = Hit::new(about)
        .fact("address", without_cluster(shared.identity))
        .fact("service", shared.service.grouped())
        .fact("count", clients.len())
        .words("clients", clients.join(" and "), clients.join(" 与 "))
        .confidence(Confidence::High)
        .event(shared.event);
    for entry in &shared.entries {
        let Instance { weight, healthy, .. } = &*entry.instance;
        let client = entry.client.to_string();
        let (agent, zh) = scene.server.connection(&client).map_or_else(
            || ("over HTTP, kept by beats".to_owned(), "走 HTTP，靠心跳维持".to_owned()),
            |connection| {
                let (version, idle) = (&connection.version, connection.idle_ms);
                (format!("{version}, silent {idle} ms"), format!("{version}，已静默 {idle} 毫秒"))
            },
        );
        hit = hit.saw(
            scene.now.wall,
            line!(
                en: "{client} ({agent}) publishes {} with weight {weight}, healthy={healthy}", shared.identity;
                zh: "{client}（{zh}）发布 {}，权重 {weight}，healthy={healthy}", shared.identity
            ),
        );
    }
    hit.not(line!(
        "two entries in the list: consumers see the latest registration only, and {latest} registered",
        "列表中有两条：消费者只看到最新的注册，而 {latest} 注册了"
    ))
}

pub(super) fn http_and_grpc(scene: &Scene<'_>, hits: &mut Hits) {
    shared(scene).iter().filter(|shared| shared.over_both()).for_each(|shared| hits.add(told_shared(scene, shared)));
}

pub(super) fn published_twice(scene: &Scene<'_>, hits: &mut Hits) {
    shared(scene).iter().filter(|shared| !shared.over_both()).for_each(|shared| hits.add(told_shared(scene, shared)));
}

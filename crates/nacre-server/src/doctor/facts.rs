//! What rules may ask about the server around the cores.

use std::{collections::HashSet, net::IpAddr};

use nacre_doctor::scene::{ConnectionFacts, Gauges, ListenerFacts, Server};
use nacre_model::ConfigKey;

use crate::{app::App, grpc::connections::Connection};

impl Server for App {
    fn main_port(&self) -> u16 {
        self.settings.main_port
    }

    fn grpc_port(&self) -> u16 {
        self.settings.grpc_port
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.clock.uptime().as_millis()).unwrap_or(u64::MAX)
    }

    fn property(&self, name: &str) -> String {
        self.live().props.text(name).to_owned()
    }

    fn connection(&self, id: &str) -> Option<ConnectionFacts> {
        self.grpc.connections.get(id).map(|connection| facts(&connection, self.clock.now()))
    }

    fn connections_among(&self, ips: &HashSet<&str>) -> Vec<ConnectionFacts> {
        let now = self.clock.now();
        let addresses: HashSet<IpAddr> = ips.iter().filter_map(|ip| ip.parse().ok()).collect();
        let mut found = Vec::new();
        self.grpc.connections.for_each(|connection| {
            if ips.contains(&*connection.client_ip) || addresses.contains(&connection.peer.remote.ip()) {
                found.push(facts(connection, now));
            }
        });
        found
    }

    fn unwritable(&self) -> Option<String> {
        App::unwritable(self)
    }

    fn setting_notes(&self) -> Vec<(String, String, String)> {
        self.props.notes().iter().map(|note| (note.place.clone(), note.key.clone(), note.text.clone())).collect()
    }

    fn setting_origin(&self, name: &str) -> Option<String> {
        let live = self.live();
        live.props.is_set(name).then(|| live.props.origin(name).to_string())
    }

    fn listens_on(&self) -> Vec<IpAddr> {
        self.settings.listen.clone()
    }

    fn members(&self) -> Vec<String> {
        self.props.members().iter().map(ToString::to_string).collect()
    }

    fn gauges(&self) -> Gauges {
        self.doctor.gauges()
    }

    fn told_late(&self) -> Vec<(ConfigKey, i64)> {
        self.doctor.told_late(self.clock.now().wall)
    }

    fn listeners(&self, key: &ConfigKey, most: usize) -> Vec<ListenerFacts> {
        let views = self.listeners.listeners_of(key).into_iter().take(most);
        let facts = views.map(|view| {
            let connection = view.connection.as_ref().and_then(|id| self.grpc.connections.get(id));
            let tag = view.tag.as_deref().or_else(|| connection.as_ref()?.tag()).map(str::to_owned);
            ListenerFacts {
                ip: view.ip.to_string(),
                md5: view.md5.to_string(),
                connection: view.connection.map(|id| id.to_string()),
                tag,
            }
        });
        facts.collect()
    }
}

fn facts(connection: &Connection, now: nacre_model::Now) -> ConnectionFacts {
    ConnectionFacts {
        id: connection.id().to_string(),
        client_ip: connection.client_ip.to_string(),
        address: connection.peer.remote.ip().to_string(),
        version: connection.version.to_string(),
        module: connection.module().to_owned(),
        app: connection.app.to_string(),
        since: connection.created.wall,
        idle_ms: connection.idle(now),
    }
}

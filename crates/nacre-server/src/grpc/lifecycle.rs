//! From set-up to the end: registration, what the end of a TCP connection takes with it, and moving clients away.

use std::{sync::Arc, time::Duration};

use nacre_model::{Cause, event::Disconnect};
use nacre_wire::grpc::{
    Ack,
    config::{ClientConfigMetricRequest, Metrics, MetricsKey},
    connection::{ConnectResetRequest, ConnectionSetupRequest, SetupAckRequest},
    envelope::members,
};

use super::{
    Hub,
    connections::{Connection, Peer},
    outbox::{Load, Slot, Target},
};
use crate::app::App;

/// How long a client may take to acknowledge a reset, milliseconds.
const RESET_ACK: u64 = 3_000;
/// How long a client may take to tell about its listeners, milliseconds.
const METRICS_ANSWER: u64 = 1_000;

impl Hub {
    /// A set-up arrived on `stream`. Answers the connection, or why there is none.
    pub(super) fn register(
        &self,
        app: &App,
        peer: &Peer,
        setup: ConnectionSetupRequest,
        client_ip: &str,
        closer: &Arc<super::connections::Closer>,
    ) -> Result<Arc<Connection>, Disconnect> {
        let now = self.now();
        if app.is_starting() {
            self.note(&peer.id, Cause::HandshakeRefused { reason: "the server is starting".into() });
            return Err(Disconnect::ServerShutdown);
        }
        let connection =
            Arc::new(Connection::new(peer.clone(), setup, client_ip, Arc::clone(closer), &self.rules, now));
        if !self.connections.insert(Arc::clone(&connection), self.options().max_connections) {
            let reason = format!("{} connections are registered (nacre.limit.connections)", self.connections.len());
            self.note(&peer.id, Cause::HandshakeRefused { reason });
            return Err(Disconnect::OverLimit);
        }
        app.listeners.opened(connection.id(), &connection.client_ip);
        if connection.is_naming() {
            app.effects.naming(self.naming.connect(connection.info(), now));
        } else {
            let (version, module) = (connection.version.to_string(), connection.module().to_owned());
            self.note(connection.id(), Cause::ClientConnected { version, module, app: String::new() });
        }
        Ok(connection)
    }

    /// The stream carries the pushes from now on, beginning with the SetupAck if the client waits for one.
    pub(super) fn attach(&self, connection: &Arc<Connection>, stream: &Arc<Slot>, wants_ack: bool) {
        if wants_ack {
            let ack = SetupAckRequest { ability_table: self.options().abilities.clone() };
            let load = Load { type_name: "SetupAckRequest", module: "internal", members: members(&ack) };
            let outcome = connection.outbox.push(Target::SetupAck, load, self.now());
            self.act(connection, outcome);
        }
        connection.outbox.attach(stream);
    }

    /// The TCP connection is gone: everything that lived by it goes at once.
    pub(super) async fn unregister(&self, app: &App, connection: &Arc<Connection>, cause: Disconnect) {
        let Some(connection) = self.connections.remove(connection.id()) else { return };
        connection.outbox.close();
        app.listeners.closed(connection.id());
        app.config_fuzzy.closed(connection.id());
        if !connection.is_naming() || cause == Disconnect::ServerShutdown {
            // A server that stops takes nobody's instances away: those who still listen must not see the lists shrink.
            let lived_ms = self.now().mono.saturating_sub(connection.created.mono);
            self.note(connection.id(), Cause::ClientDisconnected { cause, lived_ms });
            return;
        }
        if matches!(cause, Disconnect::DetectionUnanswered { .. } | Disconnect::PushUnacknowledged { .. }) {
            // We closed it. If the client is alive after all it comes back at once and registers again; its instances
            // must not vanish in between.
            let grace = Duration::from_millis(self.options().push_delay);
            tokio::time::sleep(grace).await;
        }
        app.effects.naming(self.naming.disconnect(&connection.client_id(), cause, self.now()));
    }

    /// Asks one client to move; `false` when there is no such connection. The client moves by itself, and the connection
    /// stays usable until it does.
    pub fn reload_client(&self, id: &str, target: Option<(&str, &str)>) -> bool {
        let Some(connection) = self.connections.get(id) else { return false };
        let reset = match target {
            Some((ip, port)) => ConnectResetRequest {
                server_ip: Some(ip.to_owned()),
                server_port: Some(port.to_owned()),
                connection_id: Some(id.to_owned()),
            },
            None => ConnectResetRequest::default(),
        };
        let target = target.map_or_else(String::new, |(ip, port)| format!("{ip}:{port}"));
        self.note(id, Cause::ClientReset { target });
        let load = Load { type_name: "ConnectResetRequest", module: "internal", members: members(&reset) };
        // Nobody waits for the acknowledgement: Go, Python and Rust clients send none.
        let (_, outcome) = connection.outbox.ask(load, RESET_ACK, self.now());
        self.act(&connection, outcome);
        true
    }

    /// Asks the config clients with this address about their listeners; whoever does not answer within a second (only
    /// Java clients know the question) is left out.
    pub async fn config_metrics(&self, ip: &str, metrics_keys: Vec<MetricsKey>) -> Metrics {
        let request = ClientConfigMetricRequest { metrics_keys };
        let load = Load { type_name: "ClientConfigMetricRequest", module: "config", members: members(&request) };
        let mut asked = Vec::new();
        for connection in self.connections.all() {
            if connection.is_sdk() && connection.module() == "config" && &*connection.client_ip == ip {
                let (answer, outcome) = connection.outbox.ask(load.clone(), METRICS_ANSWER, self.now());
                self.act(&connection, outcome);
                asked.push(answer);
            }
        }
        let mut all = Metrics::new();
        for answer in asked {
            all.extend(answer.await.ok().filter(Ack::success).and_then(|ack| ack.metrics).unwrap_or_default());
        }
        all
    }

    /// Asks SDK clients to move until `keep` connections are left; answers how many were asked.
    pub fn shed(&self, keep: usize, target: Option<(&str, &str)>) -> usize {
        let connections = self.connections.all();
        let excess = connections.len().saturating_sub(keep);
        let chosen = connections.iter().filter(|connection| connection.is_sdk()).take(excess);
        chosen.filter(|connection| self.reload_client(connection.id(), target)).count()
    }
}

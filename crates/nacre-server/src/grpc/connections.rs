//! Registered connections: what a set-up said, how long ago the client was heard of, and the way to close it.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use nacre_config::{
    AskerBuf,
    gray::{Labels, VIPSERVER_TAG},
};
use nacre_model::{Now, ServiceKey, event::Disconnect};
use nacre_naming::{ClientId, ConnectionInfo};
use nacre_wire::grpc::connection::{Abilities, ConnectionSetupRequest};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::outbox::{Outbox, SharedRules};

/// Ends a TCP connection from anywhere; the first cause counts.
#[derive(Debug, Default)]
pub struct Closer {
    cause: Mutex<Option<Disconnect>>,
    told: Notify,
}

impl Closer {
    pub fn close(&self, cause: Disconnect) {
        self.cause.lock().get_or_insert(cause);
        self.told.notify_one();
    }

    pub fn cause(&self) -> Option<Disconnect> {
        self.cause.lock().clone()
    }

    /// Waits for somebody to close it.
    pub async fn closed(&self) -> Disconnect {
        loop {
            if let Some(cause) = self.cause() {
                return cause;
            }
            self.told.notified().await;
        }
    }
}

/// Where a TCP connection comes from and who it is.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `<epoch ms>_<remote ip>_<remote port>`.
    pub id: Arc<str>,
    /// IPv4 clients of a dual-stack socket as IPv4.
    pub remote: SocketAddr,
    pub local: SocketAddr,
}

/// A connection after its set-up.
#[derive(Debug)]
pub struct Connection {
    pub peer: Peer,
    /// What the client says its address is; gray rules and subscriber lists use it.
    pub client_ip: Arc<str>,
    /// `Nacos-Java-Client:v3.1.0`; empty when the client did not say.
    pub version: Arc<str>,
    /// Label `AppName`, else `-`.
    pub app: Arc<str>,
    pub tenant: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub abilities: Abilities,
    pub created: Now,
    /// Who asks for configs.
    pub asker: AskerBuf,
    /// The header `Vipserver-Tag` of its first listen that had one; the doctor looks at it.
    pub listens_as: OnceLock<Arc<str>>,
    /// Services it subscribed without a word of clusters; hardly any client does.
    no_clusters: Mutex<HashSet<ServiceKey>>,
    pub outbox: Outbox,
    pub closer: Arc<Closer>,
    last_active: AtomicU64,
}

impl Connection {
    /// `client_ip` is the address in the metadata of the set-up. `labels` of the set-up must be there.
    pub fn new(
        peer: Peer,
        setup: ConnectionSetupRequest,
        client_ip: &str,
        closer: Arc<Closer>,
        rules: &SharedRules,
        now: Now,
    ) -> Self {
        let labels = setup.labels.unwrap_or_default();
        let version: Arc<str> = setup.client_version.as_deref().unwrap_or_default().into();
        let client_ip: Arc<str> = match client_ip.trim() {
            "" => peer.remote.ip().to_string().into(),
            ip => ip.into(),
        };
        let app: Arc<str> = labels.get("AppName").map_or("-", String::as_str).into();
        let asker = AskerBuf {
            ip: Arc::clone(&client_ip),
            auto_tag: None,
            labels: Some(Arc::new(gray_labels(&labels, &app, &version, &client_ip))),
        };
        Self {
            outbox: Outbox::new(&peer.id, rules),
            last_active: AtomicU64::new(now.mono),
            tenant: setup.tenant,
            abilities: setup.ability_table,
            created: now,
            peer,
            client_ip,
            version,
            app,
            labels,
            asker,
            listens_as: OnceLock::new(),
            no_clusters: Mutex::default(),
            closer,
        }
    }

    pub fn id(&self) -> &Arc<str> {
        &self.peer.id
    }

    /// The tag that gray rules compare.
    pub fn tag(&self) -> Option<&str> {
        let label = || self.asker.labels.as_ref()?.get(VIPSERVER_TAG).map(|tag| &**tag);
        self.listens_as.get().map(|tag| &**tag).or_else(label)
    }

    pub fn client_id(&self) -> ClientId {
        ClientId::Connection(Arc::clone(&self.peer.id))
    }

    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    pub fn module(&self) -> &str {
        self.label("module")
    }

    /// Only connections of these modules publish and subscribe services (Nacos 3.0.3+ for `ai`).
    pub fn is_naming(&self) -> bool {
        matches!(self.module(), "naming" | "ai")
    }

    /// Counts among the clients that may be moved to another server.
    pub fn is_sdk(&self) -> bool {
        self.label("source") == "sdk"
    }

    /// The application, if the client names one.
    pub fn named_app(&self) -> Option<&Arc<str>> {
        Some(&self.app).filter(|app| &***app != "-" && !app.trim().is_empty())
    }

    /// Whether its subscription of the service said a word of clusters, be it a blank one.
    pub fn says_clusters(&self, service: &ServiceKey) -> bool {
        !self.no_clusters.lock().contains(service)
    }

    /// It subscribed the service, saying a word of clusters or none, or subscribes it no longer (`true`).
    pub fn note_clusters(&self, service: &ServiceKey, says: bool) {
        let mut silent = self.no_clusters.lock();
        if says {
            silent.remove(service);
        } else {
            silent.insert(service.clone());
        }
    }

    pub fn info(&self) -> ConnectionInfo {
        let labels = self.labels.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        ConnectionInfo {
            id: Arc::clone(&self.peer.id),
            client_ip: Arc::clone(&self.client_ip),
            client_port: self.peer.remote.port(),
            version: Arc::clone(&self.version),
            app: Arc::clone(&self.app),
            connect_type: "GRPC".into(),
            labels: labels.collect(),
        }
    }

    /// The client was heard of.
    pub fn touch(&self, now: Now) {
        self.last_active.fetch_max(now.mono, Ordering::Relaxed);
    }

    /// Reading of the monotonic clock when the client was last heard of.
    pub fn last_active(&self) -> u64 {
        self.last_active.load(Ordering::Relaxed)
    }

    pub fn idle(&self, now: Now) -> u64 {
        now.mono.saturating_sub(self.last_active())
    }
}

/// What gray rules may look at: labels that begin with `app_`, without it, and the three the server adds.
fn gray_labels(labels: &BTreeMap<String, String>, app: &Arc<str>, version: &Arc<str>, ip: &Arc<str>) -> Labels {
    let given = labels.iter().filter_map(|(name, value)| Some((name.strip_prefix("app_")?, value.as_str())));
    let mut all: Labels = given.map(|(name, value)| (name.into(), value.into())).collect();
    all.insert("AppName".into(), Arc::clone(app));
    all.insert("ClientVersion".into(), Arc::clone(version));
    all.insert("ClientIp".into(), Arc::clone(ip));
    all
}

/// All registered connections. Look-ups take no lock.
#[derive(Debug, Default)]
pub struct Connections {
    map: papaya::HashMap<Arc<str>, Arc<Connection>>,
    count: AtomicUsize,
}

impl Connections {
    /// `false`: there would be more than `limit`.
    pub fn insert(&self, connection: Arc<Connection>, limit: usize) -> bool {
        if self.count.fetch_add(1, Ordering::Relaxed) >= limit {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.map.pin().insert(Arc::clone(connection.id()), connection);
        true
    }

    pub fn remove(&self, id: &str) -> Option<Arc<Connection>> {
        let removed = self.map.pin().remove(id).cloned();
        if removed.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    pub fn get(&self, id: &str) -> Option<Arc<Connection>> {
        self.map.pin().get(id).cloned()
    }

    /// The connection behind a naming client; none for `ip:port` clients.
    pub fn of(&self, client: &ClientId) -> Option<Arc<Connection>> {
        match client {
            ClientId::Connection(id) => self.get(id),
            ClientId::IpPort { .. } => None,
        }
    }

    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.map.pin().values().cloned().collect()
    }

    pub fn for_each(&self, mut visit: impl FnMut(&Arc<Connection>)) {
        self.map.pin().values().for_each(&mut visit);
    }

    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are of each label `module`; others are `unknown`.
    pub fn by_module(&self) -> [(&'static str, usize); 5] {
        let mut counts = [("config", 0), ("naming", 0), ("lock", 0), ("ai", 0), ("unknown", 0)];
        self.for_each(|connection| {
            let at = counts.iter().position(|(module, _)| *module == connection.module());
            counts[at.unwrap_or(counts.len() - 1)].1 += 1;
        });
        counts
    }

    /// Connections of SDKs, for the loader APIs.
    pub fn sdk_count(&self) -> usize {
        self.map.pin().values().filter(|connection| connection.is_sdk()).count()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use nacre_wire::grpc::lenient::parse;

    use super::*;

    pub fn peer(port: u16) -> Peer {
        let remote = SocketAddr::from(([127, 0, 0, 1], port));
        Peer {
            id: format!("1700000000000_127.0.0.1_{port}").into(),
            remote,
            local: SocketAddr::from(([127, 0, 0, 1], 9848)),
        }
    }

    pub fn connection(port: u16, setup: &str) -> Arc<Connection> {
        let setup = parse(setup.as_bytes()).unwrap();
        let now = Now { mono: 1_000, wall: 1_700_000_000_000 };
        Arc::new(Connection::new(peer(port), setup, "", Arc::default(), &SharedRules::default(), now))
    }

    #[test]
    fn only_labels_with_the_prefix_count_for_gray_rules() {
        let setup = r#"{"clientVersion":"v","labels":{"Vipserver-Tag":"t","app_Vipserver-Tag":"u","AppName":"a"}}"#;
        let labels = connection(1, setup).asker.labels.clone().unwrap();
        assert_eq!(labels.get("Vipserver-Tag").map(|v| &**v), Some("u"));
        assert_eq!((&*labels["AppName"], &*labels["ClientVersion"]), ("a", "v"));
    }

    #[test]
    fn a_client_that_says_no_address_has_the_sockets() {
        assert_eq!(&*connection(1, "{}").client_ip, "127.0.0.1");
    }

    #[test]
    fn connections_over_the_limit_are_not_taken() {
        let all = Connections::default();
        assert!(all.insert(connection(1, "{}"), 1));
        assert!(!all.insert(connection(2, "{}"), 1));
        assert!(all.remove("1700000000000_127.0.0.1_1").is_some());
        assert!(all.remove("1700000000000_127.0.0.1_1").is_none());
        assert_eq!(all.len(), 0);
    }

    #[tokio::test]
    async fn the_first_cause_of_a_close_counts() {
        let closer = Closer::default();
        closer.close(Disconnect::OverLimit);
        closer.close(Disconnect::ServerShutdown);
        assert_eq!(closer.closed().await, Disconnect::OverLimit);
    }
}

//! Values that callers hand in and get back.

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::{Instance, Metadata, NacosError, ServiceKey};

use crate::{ClientId, ClusterMetadata, Selector, Snapshot};

/// A gRPC connection whose label `module` is `naming`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// `<epoch ms>_<remote ip>_<remote port>`.
    pub id: Arc<str>,
    /// As the server sees it (or as the client says when it is behind a proxy).
    pub client_ip: Arc<str>,
    pub client_port: u16,
    /// `Nacos-Java-Client:v2.5.1`.
    pub version: Arc<str>,
    /// Label `AppName`; `-` when absent.
    pub app: Arc<str>,
    /// `GRPC`.
    pub connect_type: Arc<str>,
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

/// A subscription of one client to one service; a later one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Comma list, `""` = all.
    pub clusters: Arc<str>,
    /// gRPC: the connection's ip. UDP: the address that is pushed to.
    pub ip: Arc<str>,
    /// UDP port; 0 for gRPC.
    pub port: u16,
    /// Client version, e.g. `Nacos-Java-Client:v2.5.1`.
    pub agent: Arc<str>,
    pub app: Arc<str>,
}

/// One heartbeat over HTTP (v1, v2, v3).
#[derive(Clone, Debug)]
pub struct Beat<'a> {
    /// Service of the parameters.
    pub service: &'a ServiceKey,
    /// Parameters `ip` and `port`; a full beat's JSON overrides them.
    pub ip: &'a str,
    pub port: i32,
    /// Parameter `clusterName`.
    pub cluster: &'a str,
    /// `None` for a light beat and for v3.
    pub info: Option<&'a crate::BeatInfo>,
    /// Address of the caller, to notice two senders of one instance; `""` when unknown.
    pub sender: &'a str,
}

/// The answer to a heartbeat: bare JSON in v1 and v2; v3 answers `ok` or code 21003.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatAnswer {
    /// 10200, or 20404 when the client must register again.
    pub code: i32,
    pub client_beat_interval: i64,
    pub light_beat_enabled: bool,
}

impl BeatAnswer {
    pub const OK: i32 = 10_200;
    pub const NOT_FOUND: i32 = 20_404;

    pub fn found(&self) -> bool {
        self.code == Self::OK
    }
}

/// `pageNo` and `pageSize` as asked for. A page number below 1 is the first page, a size below 1 gives no rows
/// (adapters refuse both where their generation does).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub number: i64,
    pub size: i64,
}

impl Page {
    pub const ALL: Page = Page { number: 1, size: i64::MAX };

    pub fn new(number: i64, size: i64) -> Self {
        Self { number, size }
    }

    /// Where the page starts and how many rows it has, of `total`.
    pub fn bounds(self, total: usize) -> (usize, usize) {
        let size = usize::try_from(self.size).unwrap_or(0);
        let skipped = usize::try_from(self.number.saturating_sub(1)).unwrap_or(0).saturating_mul(size);
        let start = skipped.min(total);
        (start, size.min(total - start))
    }

    /// The rows of this page.
    pub fn slice<T>(self, rows: &[T]) -> &[T] {
        let (start, len) = self.bounds(rows.len());
        &rows[start..start + len]
    }
}

/// Rows of one page, and how many there are in all.
#[derive(Clone, Debug, PartialEq)]
pub struct Paged<T> {
    pub total: usize,
    pub rows: Vec<T>,
}

/// A service as GET service shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceDetail {
    pub service: ServiceKey,
    pub ephemeral: bool,
    pub protect_threshold: f64,
    pub metadata: Metadata,
    pub selector: Selector,
    /// Clusters that have metadata or instances, by name.
    pub clusters: BTreeMap<Arc<str>, ClusterMetadata>,
}

/// One row of the catalog's service list.
#[derive(Clone, Debug)]
pub struct ServiceSummary {
    pub service: ServiceKey,
    pub cluster_count: usize,
    /// De-duplicated instances, disabled ones included.
    pub ip_count: usize,
    pub healthy_instance_count: usize,
    /// Shown as text. healthy/ip <= threshold.
    pub trigger_flag: bool,
    /// For `withInstances`.
    pub snapshot: Arc<Snapshot>,
}

/// A subscriber as the subscriber lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscriber {
    pub client: ClientId,
    pub service: ServiceKey,
    pub subscription: Arc<Subscription>,
}

impl Subscriber {
    /// `addrStr`: `ip:port` of a UDP subscriber, the bare ip of a gRPC one.
    pub fn address(&self) -> String {
        if self.client.is_connection() {
            self.subscription.ip.to_string()
        } else {
            format!("{}:{}", self.subscription.ip, self.subscription.port)
        }
    }
}

/// A client as the client APIs show it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientDetail {
    pub id: ClientId,
    pub ephemeral: bool,
    /// Wall clock milliseconds.
    pub last_updated_time: i64,
    /// `None` for `ip:port` clients.
    pub connection: Option<Arc<ConnectionInfo>>,
}

/// One entry of what a client publishes (a batch is shown entry by entry).
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub client: ClientId,
    pub service: ServiceKey,
    pub instance: Arc<Instance>,
}

/// Numbers of the metrics APIs and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamingMetrics {
    pub service_count: usize,
    /// Published instances (`ipCount`), not de-duplicated over clients.
    pub instance_count: usize,
    pub subscribe_count: usize,
    pub client_count: usize,
    pub connection_based_client_count: usize,
    pub ephemeral_ip_port_client_count: usize,
    pub persistent_ip_port_client_count: usize,
    /// UDP subscriptions, and those of connections: `nacos_naming_subscriber{version="v1|v2"}`.
    pub udp_subscribe_count: usize,
    pub connection_subscribe_count: usize,
    /// Publications of HTTP and of connections: `nacos_naming_publisher{version="v1|v2"}`.
    pub http_publish_count: usize,
    pub connection_publish_count: usize,
    /// Services whose removals the brake holds back now.
    pub braked_services: usize,
}

/// A watcher set that must hear of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct FuzzyChange {
    pub service: ServiceKey,
    /// `ADD_SERVICE` or `DELETE_SERVICE`.
    pub added: bool,
    pub watchers: Vec<ClientId>,
}

/// `syncType` of NamingFuzzyWatchSyncRequest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FuzzySyncType {
    Init,
    FinishInit,
    Diff,
}

impl FuzzySyncType {
    pub fn text(self) -> &'static str {
        match self {
            Self::Init => "FUZZY_WATCH_INIT_NOTIFY",
            Self::FinishInit => "FINISH_FUZZY_WATCH_INIT_NOTIFY",
            Self::Diff => "FUZZY_WATCH_DIFF_SYNC_NOTIFY",
        }
    }
}

/// One NamingFuzzyWatchSyncRequest.
#[derive(Clone, Debug, PartialEq)]
pub struct FuzzySync {
    pub sync_type: FuzzySyncType,
    pub pattern: Arc<str>,
    /// (`ns@@group@@service`, added).
    pub contexts: Vec<(Arc<str>, bool)>,
    pub total_batch: usize,
    /// From 1.
    pub current_batch: usize,
}

impl FuzzySync {
    /// The finish message: no contexts, batch 1 of 1.
    pub fn finish(pattern: &Arc<str>) -> Self {
        Self {
            sync_type: FuzzySyncType::FinishInit,
            pattern: Arc::clone(pattern),
            contexts: Vec::new(),
            total_batch: 1,
            current_batch: 1,
        }
    }
}

/// The answer to a WATCH.
#[derive(Clone, Debug, PartialEq)]
pub struct FuzzyWatched {
    /// Refusal that the response carries (50310, 50311); 50311 is told although the watch is on and its sync follows.
    pub error: Option<NacosError>,
    /// To be pushed in order, each acknowledged on its own.
    pub batches: Vec<FuzzySync>,
    /// When all batches are acknowledged, [`FuzzySync::finish`] must follow.
    pub finish_when_acked: bool,
}

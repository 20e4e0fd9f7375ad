//! Immutable snapshots of a service and the views that consumers get of them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use nacre_model::{Instance, ServiceKey};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{ServiceMetadata, slot::SlotState};

/// A consumer's question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// Comma list as sent, `""` = all. Exact, case-sensitive, untrimmed.
    pub clusters: &'a str,
    pub healthy_only: bool,
    /// Address of the consumer, for selectors; `""` when unknown.
    pub consumer_ip: &'a str,
}

/// A service as it is at one moment: every instance once per `ip:port:cluster`, the publishers' values merged with the
/// operator's, disabled ones included. Never changes; the next change makes a new one.
#[derive(Debug)]
pub struct Snapshot {
    pub service: ServiceKey,
    pub ephemeral: bool,
    /// Wall clock milliseconds, strictly increasing from snapshot to snapshot of one service.
    pub last_ref_time: i64,
    /// `None` when nobody ever created or edited the service: then neither protection nor selectors apply.
    pub metadata: Option<Arc<ServiceMetadata>>,
    /// False for a key that is only subscribed to.
    pub(crate) exists: bool,
    /// In order of first registration.
    pub instances: Arc<[Arc<Instance>]>,
    /// `instances` without the disabled ones (the same allocation when there are none).
    pub(crate) enabled: Arc<[Arc<Instance>]>,
    /// The usual selection: all clusters, unhealthy ones too.
    plain: OnceLock<Selected>,
    selections: Mutex<SmallVec<[Selection; 1]>>,
    serialised: Mutex<SmallVec<[Serialised; 1]>>,
}

/// Hosts that a consumer gets, and whether protection is on.
pub(crate) type Selected = (Arc<[Arc<Instance>]>, bool);

/// A selection kept with the snapshot it was made of.
#[derive(Debug)]
struct Selection {
    clusters: Arc<str>,
    healthy_only: bool,
    selected: Selected,
}

/// A ready-made answer kept with the snapshot it was made of.
#[derive(Debug)]
pub(crate) struct Serialised {
    form: u8,
    clusters: Arc<str>,
    healthy_only: bool,
    cache_millis: u64,
    bytes: Bytes,
}

/// At most this many selections and ready-made answers a snapshot; consumers of one service ask for one or two shapes.
const KEPT: usize = 8;

impl Snapshot {
    pub(crate) fn new(service: &ServiceKey, state: &SlotState) -> Self {
        let instances: Arc<[Arc<Instance>]> = state.merged().into();
        let enabled = if instances.iter().all(|instance| instance.enabled) {
            Arc::clone(&instances)
        } else {
            instances.iter().filter(|instance| instance.enabled).cloned().collect()
        };
        Self {
            service: service.clone(),
            ephemeral: state.registered.is_none_or(|registered| registered.ephemeral),
            last_ref_time: state.ref_time,
            // Metadata of a service that was cleaned away waits for its end; nobody sees it.
            metadata: state.metadata.clone().filter(|_| state.registered.is_some()),
            exists: state.registered.is_some(),
            instances,
            enabled,
            plain: OnceLock::new(),
            selections: Mutex::default(),
            serialised: Mutex::default(),
        }
    }

    /// What `make` selects for this question, made once.
    pub(crate) fn selected(&self, query: &Query<'_>, make: impl Fn() -> Selected) -> Selected {
        if query.clusters.is_empty() && !query.healthy_only {
            return self.plain.get_or_init(make).clone();
        }
        let same = |kept: &Selection| kept.healthy_only == query.healthy_only && *kept.clusters == *query.clusters;
        if let Some(kept) = self.selections.lock().iter().find(|kept| same(kept)) {
            return kept.selected.clone();
        }
        let selected = make();
        let mut kept = self.selections.lock();
        if kept.len() < KEPT && !kept.iter().any(same) {
            let (clusters, healthy_only) = (query.clusters.into(), query.healthy_only);
            kept.push(Selection { clusters, healthy_only, selected: selected.clone() });
        }
        selected
    }

    /// Healthy instances, disabled ones included.
    pub fn healthy_count(&self) -> usize {
        self.instances.iter().filter(|instance| instance.healthy).count()
    }

    /// The threshold in force: 0.0 without metadata.
    pub fn protect_threshold(&self) -> f64 {
        self.metadata.as_ref().map_or(0.0, |metadata| metadata.protect_threshold)
    }

    /// Names of the clusters that have instances, sorted.
    pub fn clusters(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.instances.iter().map(|instance| Arc::clone(&instance.cluster)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What one consumer gets: selection, protection and selectors applied (spec/naming.md 12.2).
#[derive(Clone, Debug)]
pub struct ServiceView {
    pub service: ServiceKey,
    /// The cluster filter as asked for.
    pub clusters: Arc<str>,
    /// Enabled instances only; healthy ones only if asked so; all shown as healthy when protection is on.
    pub hosts: Arc<[Arc<Instance>]>,
    /// Switch `defaultPushCacheMillis`.
    pub cache_millis: u64,
    pub last_ref_time: i64,
    pub reach_protection_threshold: bool,
    /// False when there is no such service (the answer is then an empty list, never an error).
    pub exists: bool,
    pub(crate) healthy_only: bool,
    pub(crate) source: Option<Arc<Snapshot>>,
}

impl ServiceView {
    /// The serialised form of this view, made once per snapshot and shared by everyone who asks the same. `form` tells
    /// the adapters' spellings apart (gRPC JSON, v1 JSON, ...): any number, equal numbers must mean equal spelling.
    /// Views that depend on the consumer's address (a selector took part) are made each time.
    pub fn serialised(&self, form: u8, make: impl FnOnce(&Self) -> Bytes) -> Bytes {
        let Some(source) = &self.source else { return make(self) };
        let same = |kept: &Serialised| {
            kept.form == form
                && kept.healthy_only == self.healthy_only
                && kept.cache_millis == self.cache_millis
                && kept.clusters == self.clusters
        };
        if let Some(kept) = source.serialised.lock().iter().find(|kept| same(kept)) {
            return kept.bytes.clone();
        }
        let bytes = make(self);
        let mut kept = source.serialised.lock();
        if kept.len() < KEPT && !kept.iter().any(same) {
            kept.push(Serialised {
                form,
                clusters: Arc::clone(&self.clusters),
                healthy_only: self.healthy_only,
                cache_millis: self.cache_millis,
                bytes: bytes.clone(),
            });
        }
        bytes
    }
}

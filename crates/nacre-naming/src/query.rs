//! What consumers see: snapshots, selection and protection (spec/naming.md 12).

use std::sync::Arc;

use nacre_model::{ErrorCode, Instance, NacosError, Now, ServiceKey};

use crate::{Naming, Query, Selector, ServiceView, Snapshot, slot::Slot, view::Selected};

impl Naming {
    /// What a consumer sees: list of v1 and v2, ServiceQueryRequest, pushes. A missing service is an empty view.
    pub fn list(&self, service: &ServiceKey, query: &Query<'_>, now: Now) -> ServiceView {
        loop {
            // The slot is looked at where it lies: to count a holder of it would be felt by everybody who asks for it.
            if let Some(slot) = self.slots.pin().get(service)
                && let Some(snapshot) = self.current(slot)
            {
                return self.view(&snapshot, query);
            }
            if let Some(last_ref_time) = self.missing_ref_time(service, now) {
                return ServiceView {
                    service: service.clone(),
                    clusters: query.clusters.into(),
                    hosts: Arc::default(),
                    cache_millis: self.switches.load().default_push_cache_millis,
                    last_ref_time,
                    reach_protection_threshold: false,
                    exists: false,
                    healthy_only: query.healthy_only,
                    source: None,
                };
            }
        }
    }

    /// Everything there is of a service, disabled instances included; `None` when there is no such service.
    pub fn snapshot(&self, service: &ServiceKey) -> Option<Arc<Snapshot>> {
        self.current(&*self.find(service)?).filter(|snapshot| snapshot.exists)
    }

    /// The newest snapshot; built here when a change made the last one old. `None` when the slot has been dropped.
    pub(crate) fn current(&self, slot: &Slot) -> Option<Arc<Snapshot>> {
        if let Some(snapshot) = &*slot.view.load() {
            return Some(Arc::clone(snapshot));
        }
        let state = slot.state.lock();
        if state.gone {
            return None;
        }
        if let Some(snapshot) = &*slot.view.load() {
            return Some(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(Snapshot::new(&slot.key, &state));
        slot.view.store(Some(Arc::clone(&snapshot)));
        Some(snapshot)
    }

    /// The newest snapshot, which is not kept if it is made here.
    pub(crate) fn peek(&self, slot: &Slot) -> Option<Arc<Snapshot>> {
        if let Some(snapshot) = &*slot.view.load() {
            return Some(Arc::clone(snapshot));
        }
        let state = slot.state.lock();
        (!state.gone).then(|| Arc::new(Snapshot::new(&slot.key, &state)))
    }

    fn view(&self, snapshot: &Arc<Snapshot>, query: &Query<'_>) -> ServiceView {
        // What depends on the consumer is not kept for others.
        let by_consumer = matches!(snapshot.metadata.as_deref(), Some(m) if m.selector != Selector::None);
        let select = || self.select(snapshot, query);
        let (hosts, reach_protection_threshold) = if by_consumer { select() } else { snapshot.selected(query, select) };
        ServiceView {
            service: snapshot.service.clone(),
            clusters: if query.clusters.is_empty() { empty() } else { query.clusters.into() },
            hosts,
            cache_millis: self.switches.load().default_push_cache_millis,
            last_ref_time: snapshot.last_ref_time,
            reach_protection_threshold,
            exists: snapshot.exists,
            healthy_only: query.healthy_only,
            source: (!by_consumer).then(|| Arc::clone(snapshot)),
        }
    }

    /// Clusters, enabled, healthy, selector, protection: in the reference's order.
    fn select(&self, snapshot: &Snapshot, query: &Query<'_>) -> Selected {
        let mut hosts = Arc::clone(&snapshot.enabled);
        if let Some(clusters) = wanted_clusters(query.clusters) {
            hosts = hosts.iter().filter(|host| clusters.contains(&&*host.cluster)).cloned().collect();
        }
        // A selector keeps the full list whenever the consumer has no labels, and without a CMDB nobody has any: it
        // filters nothing here.
        let healthy = hosts.iter().filter(|host| host.healthy).count();
        if query.healthy_only && healthy < hosts.len() {
            hosts = hosts.iter().filter(|host| host.healthy).cloned().collect();
        }
        let Some(metadata) = &snapshot.metadata else { return (hosts, false) };
        let threshold = metadata.protect_threshold;
        if !self.protects(threshold, healthy, hosts.len()) {
            return (hosts, false);
        }
        if healthy < hosts.len() {
            hosts = hosts.iter().map(as_healthy).collect();
        }
        (hosts, true)
    }

    /// healthy / shown <= threshold; of nothing there is no share. Single precision, as the reference computes it.
    pub(crate) fn protects(&self, threshold: f64, healthy: usize, shown: usize) -> bool {
        if shown == 0 || (threshold <= 0.0 && !self.options.protection_zero_masks) {
            return false;
        }
        healthy as f32 / shown as f32 <= (threshold as f32).max(0.0)
    }

    /// GET instance, in the merged view. 404 / 20004 in the reference's two texts.
    pub fn instance(
        &self,
        service: &ServiceKey,
        ip: &str,
        port: i32,
        cluster: &str,
    ) -> Result<Arc<Instance>, NacosError> {
        let snapshot = self.snapshot(service).filter(|snapshot| !snapshot.instances.is_empty());
        let Some(snapshot) = snapshot else {
            let text = format!("no ips found for cluster {cluster} in service {}", service.grouped());
            return Err(NacosError::not_found(ErrorCode::RESOURCE_NOT_FOUND, text));
        };
        let wanted = |host: &&Arc<Instance>| *host.cluster == *cluster && *host.ip == *ip && host.port == port;
        let found = snapshot.instances.iter().find(wanted).cloned();
        found.ok_or_else(|| NacosError::not_found(ErrorCode::RESOURCE_NOT_FOUND, "no matched ip found!"))
    }
}

/// The names of a comma list; `None` = all. Empty names at the end do not count (Java's `split`).
fn wanted_clusters(list: &str) -> Option<Vec<&str>> {
    if list.trim().is_empty() {
        return None;
    }
    let mut names: Vec<&str> = list.split(',').collect();
    while names.last().is_some_and(|name| name.is_empty()) {
        names.pop();
    }
    (!names.is_empty()).then_some(names)
}

fn as_healthy(host: &Arc<Instance>) -> Arc<Instance> {
    if host.healthy {
        return Arc::clone(host);
    }
    let mut masked = (**host).clone();
    masked.healthy = true;
    Arc::new(masked)
}

/// The usual cluster filter, shared.
fn empty() -> Arc<str> {
    static EMPTY: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "".into());
    Arc::clone(&EMPTY)
}

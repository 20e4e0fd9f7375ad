//! Lists of services, and services as operators see them (spec/naming.md 5, 18).

use std::sync::Arc;

use nacre_model::{ErrorCode, NacosError, ServiceKey};
use regex_lite::Regex;

use crate::{Naming, Page, Paged, ServiceDetail, ServiceSummary, Snapshot, slot::Slot};

impl Naming {
    pub fn service_exists(&self, service: &ServiceKey) -> bool {
        self.find(service).and_then(|slot| self.current(&slot)).is_some_and(|snapshot| snapshot.exists)
    }

    /// GET service. 400 / 21008 when there is none. Clusters are those that have instances, with their metadata or the
    /// defaults.
    pub fn service(&self, service: &ServiceKey) -> Result<ServiceDetail, NacosError> {
        let Some(snapshot) = self.snapshot(service) else {
            let namespace = &service.namespace;
            let text = format!("service not found, namespace: {namespace}, serviceName: {}", service.grouped());
            return Err(NacosError::new(400, ErrorCode::SERVICE_NOT_EXIST, text));
        };
        Ok(detail(&snapshot))
    }

    /// Names of a group, in order of creation: pages stay disjoint and complete while services are added.
    pub fn service_names(&self, namespace: &str, group: &str, page: Page) -> Paged<Arc<str>> {
        let index = self.index.read();
        let Some(group) = index.namespaces.get(namespace).and_then(|namespace| namespace.groups.get(group)) else {
            return Paged { total: 0, rows: Vec::new() };
        };
        let (start, len) = page.bounds(group.len());
        let rows = group.values().skip(start).take(len).map(|slot| Arc::clone(&slot.key.name)).collect();
        Paged { total: group.len(), rows }
    }

    /// Namespaces that have services, sorted.
    pub fn namespaces(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.index.read().namespaces.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// The lists of services of a namespace that have instances, in order of creation from behind `after` (0: from the
    /// first), and the place to go on from. One call looks at `services` of them and stops behind `instances`. What
    /// nobody asked for is made for this call alone.
    pub fn lists_after(
        &self,
        namespace: &str,
        after: u64,
        services: usize,
        instances: usize,
    ) -> (Vec<Arc<Snapshot>>, Option<u64>) {
        let slots: Vec<(u64, Arc<Slot>)> = {
            let index = self.index.read();
            let Some(known) = index.namespaces.get(namespace) else { return (Vec::new(), None) };
            let next = known.all.range(after.saturating_add(1)..).take(services);
            next.map(|(sequence, slot)| (*sequence, Arc::clone(slot))).collect()
        };
        let (mut lists, mut listed, mut last) = (Vec::new(), 0, None);
        for (sequence, slot) in slots {
            last = Some(sequence);
            let Some(snapshot) = self.peek(&slot).filter(|snapshot| !snapshot.instances.is_empty()) else { continue };
            listed += snapshot.instances.len();
            lists.push(snapshot);
            if listed >= instances {
                break;
            }
        }
        (lists, last)
    }

    /// Keys of all services whose grouped name matches `.*expr.*` (GET service/names), in order of creation;
    /// `namespace` `None` = all.
    pub fn service_keys(&self, namespace: Option<&str>, expr: &str) -> Vec<ServiceKey> {
        let pattern = Pattern::new(&[expr]);
        let index = self.index.read();
        let namespaces = index.namespaces.iter().filter(|(name, _)| namespace.is_none_or(|wanted| wanted == &***name));
        let slots = namespaces.flat_map(|(_, services)| services.all.values());
        slots.map(|slot| &slot.key).filter(|key| pattern.matches(&key.grouped())).cloned().collect()
    }

    /// The catalog's list: `.*group.*@@.*name.*`, blank = any; `ignore_empty` drops services without instances before
    /// counting and paging. In order of creation.
    pub fn catalog(
        &self,
        namespace: &str,
        name: &str,
        group: &str,
        ignore_empty: bool,
        page: Page,
    ) -> Paged<ServiceSummary> {
        let any = name.trim().is_empty() && group.trim().is_empty();
        let pattern = if any { Pattern::Any } else { Pattern::new(&[part(group), "@@", part(name)]) };
        let mut slots: Vec<Arc<Slot>> = {
            let index = self.index.read();
            let Some(services) = index.namespaces.get(namespace) else { return Paged { total: 0, rows: Vec::new() } };
            let all = services.all.values();
            all.filter(|slot| any || pattern.matches(&slot.key.grouped())).cloned().collect()
        };
        if ignore_empty {
            slots.retain(|slot| self.current(slot).is_some_and(|snapshot| !snapshot.instances.is_empty()));
        }
        let summary = |slot: &Arc<Slot>| self.current(slot).map(|snapshot| summary(&snapshot));
        Paged { total: slots.len(), rows: page.slice(&slots).iter().filter_map(summary).collect() }
    }
}

/// A part of what is looked for: blank is any, but blanks around a name are looked for, too.
fn part(text: &str) -> &str {
    if text.trim().is_empty() { "" } else { text }
}

/// A service as GET service shows it.
pub(crate) fn detail(snapshot: &Snapshot) -> ServiceDetail {
    let metadata = snapshot.metadata.as_deref().cloned().unwrap_or_default();
    let of = |name: Arc<str>| {
        let cluster = metadata.clusters.get(&name).cloned().unwrap_or_default();
        (name, cluster)
    };
    ServiceDetail {
        service: snapshot.service.clone(),
        ephemeral: snapshot.ephemeral,
        clusters: snapshot.clusters().into_iter().map(of).collect(),
        protect_threshold: metadata.protect_threshold,
        selector: metadata.selector,
        metadata: metadata.metadata,
    }
}

fn summary(snapshot: &Arc<Snapshot>) -> ServiceSummary {
    let ip_count = snapshot.instances.len();
    let healthy_instance_count = snapshot.healthy_count();
    let share = healthy_instance_count as f64 / ip_count as f64;
    ServiceSummary {
        service: snapshot.service.clone(),
        cluster_count: snapshot.clusters().len(),
        ip_count,
        healthy_instance_count,
        // Of nothing there is no share: NaN compares false.
        trigger_flag: share <= snapshot.protect_threshold(),
        snapshot: Arc::clone(snapshot),
    }
}

/// The reference matches names by a regular expression that callers' text goes into as it is. Text without special
/// characters is simply looked for; text that is no regular expression is too, with `*` as wildcard, as people mean it.
enum Pattern {
    Any,
    /// These, in order.
    Texts(Vec<String>),
    Regex(Regex),
}

/// Longer text is looked for as it is; nobody types such an expression.
const REGEX_LIMIT: usize = 256;

impl Pattern {
    fn new(parts: &[&str]) -> Self {
        let special = |text: &&&str| text.contains(|c: char| "\\.+*?()|[]{}^$".contains(c));
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if parts.iter().any(|part| special(&part)) && length <= REGEX_LIMIT {
            let expression = format!("^(?s:.*{}.*)$", parts.join(".*"));
            if let Ok(regex) = Regex::new(&expression) {
                return Self::Regex(regex);
            }
        }
        let texts = parts.iter().flat_map(|part| part.split('*')).filter(|part| !part.is_empty());
        Self::Texts(texts.map(str::to_owned).collect())
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Regex(regex) => regex.is_match(text),
            Self::Texts(texts) => {
                let mut rest = text;
                texts.iter().all(|wanted| match rest.find(wanted.as_str()) {
                    Some(at) => {
                        rest = &rest[at + wanted.len()..];
                        true
                    }
                    None => false,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_the_references_expression_does() {
        for (group, name, grouped, expected) in [
            ("", "ca", "DEFAULT_GROUP@@ca-1", true),
            ("G2", "", "DEFAULT_GROUP@@x", false),
            ("G2", "", "G2@@x", true),
            ("G", "ord.r", "G@@order", true),
            ("G", "^order", "G@@order", false),
            ("", "*ord*", "G@@order", true),
            ("", "a(b", "G@@a(b", true),
            ("", "G", "G@@order", false),
            ("", "or|xx", "G@@zz", false),
        ] {
            let pattern = Pattern::new(&[group, "@@", name]);
            assert_eq!(pattern.matches(grouped), expected, "{group} {name} in {grouped}");
        }
    }

    #[test]
    fn a_huge_expression_is_looked_for_as_text() {
        let text = "(a*)*".repeat(200);
        assert!(!Pattern::new(&[&text]).matches("aaaa"));
    }
}

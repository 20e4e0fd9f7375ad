//! Clients that poll one service by several cluster filters. The registry keeps the newest subscription of a client; here
//! are the filters of those few that have more than one, so that each list is pushed as it was asked for (Nacos 1.4.8
//! pushes one of them under the other's name).

use std::{collections::HashMap, sync::Arc};

use nacre_model::{ServiceKey, limits::UDP_FILTERS};
use nacre_naming::ClientId;
use smallvec::SmallVec;

/// A filter that was not polled for this long has lapsed, as the subscription itself.
const LAPSE_MS: u64 = 30_000;
/// Filters of one client and service that are remembered; more are forgotten, the oldest first.
const FILTERS: usize = 8;
/// Clients and services with several filters that are remembered.
const LISTS: usize = UDP_FILTERS as usize;

type Polled = SmallVec<[(Arc<str>, u64); 2]>;

#[derive(Debug, Default)]
pub struct Filters {
    several: HashMap<(ClientId, ServiceKey), Polled>,
}

impl Filters {
    /// A client polled by `clusters`; `newest` is the filter the registry knows of it.
    pub fn polled(&mut self, client: &ClientId, service: &ServiceKey, clusters: &str, newest: Option<&str>, now: u64) {
        // Cheap for nearly all: one look-up in a map that is nearly always empty.
        let key = (client.clone(), service.clone());
        if let Some(polled) = self.several.get_mut(&key) {
            polled.retain(|(filter, at)| **filter != *clusters && now.saturating_sub(*at) <= LAPSE_MS);
            if polled.len() >= FILTERS {
                polled.remove(0);
            }
            polled.push((clusters.into(), now));
            return;
        }
        let Some(other) = newest.filter(|other| *other != clusters) else { return };
        if self.several.len() >= LISTS {
            self.several.retain(|_, polled| polled.iter().any(|(_, at)| now.saturating_sub(*at) <= LAPSE_MS));
            if self.several.len() >= LISTS {
                return;
            }
        }
        self.several.insert(key, SmallVec::from_iter([(other.into(), now), (clusters.into(), now)]));
    }

    /// The filters to push by besides `newest`.
    pub fn others(
        &mut self,
        client: &ClientId,
        service: &ServiceKey,
        newest: &str,
        now: u64,
    ) -> SmallVec<[Arc<str>; 2]> {
        if self.several.is_empty() {
            return SmallVec::new();
        }
        let key = (client.clone(), service.clone());
        let Some(polled) = self.several.get_mut(&key) else { return SmallVec::new() };
        polled.retain(|(_, at)| now.saturating_sub(*at) <= LAPSE_MS);
        let others = polled.iter().map(|(filter, _)| Arc::clone(filter)).filter(|filter| **filter != *newest).collect();
        if polled.len() < 2 {
            self.several.remove(&key);
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_is_remembered_until_it_is_not_polled_any_more() {
        let mut filters = Filters::default();
        let (client, service) = (ClientId::ephemeral("10.0.0.1", 5_000), ServiceKey::new("", "G", "s"));
        filters.polled(&client, &service, "", None, 0);
        filters.polled(&client, &service, "", Some(""), 10_000);
        assert!(filters.several.is_empty(), "one filter needs no memory");
        filters.polled(&client, &service, "C2", Some(""), 11_000);
        assert_eq!(filters.others(&client, &service, "C2", 12_000).as_slice(), ["".into()]);
        filters.polled(&client, &service, "", Some("C2"), 20_000);
        assert_eq!(filters.others(&client, &service, "", 21_000).as_slice(), ["C2".into()]);
        filters.polled(&client, &service, "", Some(""), 45_000);
        assert!(filters.others(&client, &service, "", 46_000).is_empty());
        assert!(filters.several.is_empty());
    }

    #[test]
    fn a_client_that_invents_filters_is_bounded() {
        let mut filters = Filters::default();
        let (client, service) = (ClientId::ephemeral("10.0.0.1", 5_000), ServiceKey::new("", "G", "s"));
        for n in 0..1_000 {
            filters.polled(&client, &service, &format!("c{n}"), Some(""), 0);
        }
        assert_eq!(filters.others(&client, &service, "c999", 1).len(), FILTERS - 1);
    }
}

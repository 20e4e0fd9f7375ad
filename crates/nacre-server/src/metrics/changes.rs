//! What changed most lately: a view of the journal.

use std::{collections::HashMap, hash::Hash};

use nacre_journal::Journal;
use nacre_model::{Cause, ConfigKey, ServiceKey};

use crate::app::App;

/// As in the reference: the first ten of thirty seconds.
const WINDOW_MS: i64 = 30_000;
const SHOWN: usize = 10;

/// Labels and counts, the most changed first.
pub struct Changes {
    pub services: Vec<(String, u64)>,
    pub configs: Vec<(String, u64)>,
}

impl Changes {
    pub fn lately(app: &App) -> Self {
        Self::since(&app.journal, app.clock.now().wall - WINDOW_MS)
    }

    fn since(journal: &Journal, from: i64) -> Self {
        let mut services: HashMap<ServiceKey, u64> = HashMap::new();
        let mut configs: HashMap<ConfigKey, u64> = HashMap::new();
        journal.recent(from, |record| {
            let subject = &record.event.subject;
            match *record.event.cause {
                Cause::InstanceRegistered { .. }
                | Cause::InstanceUnhealthy { .. }
                | Cause::InstanceHealthy { .. }
                | Cause::InstanceRemoved { .. }
                | Cause::OperatorMetadata { .. }
                | Cause::ServiceUpdated => count(&mut services, subject.service.as_ref()),
                Cause::ConfigPublished { .. } | Cause::ConfigRemoved { .. } => {
                    count(&mut configs, subject.config.as_ref());
                }
                _ => {}
            }
        });
        Self {
            services: most(services, |key| format!("{}##{}", key.namespace, key.grouped())),
            configs: most(configs, |key| format!("{}@{}@{}", key.namespace, key.group, key.data_id)),
        }
    }
}

fn count<K: Clone + Eq + Hash>(counts: &mut HashMap<K, u64>, key: Option<&K>) {
    let Some(key) = key else { return };
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => drop(counts.insert(key.clone(), 1)),
    }
}

fn most<K>(counts: HashMap<K, u64>, label: impl Fn(&K) -> String) -> Vec<(String, u64)> {
    let mut most: Vec<_> = counts.into_iter().collect();
    if most.len() > SHOWN {
        most.select_nth_unstable_by(SHOWN, |a, b| b.1.cmp(&a.1));
        most.truncate(SHOWN);
    }
    let mut most: Vec<_> = most.into_iter().map(|(key, count)| (label(&key), count)).collect();
    most.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    most
}

#[cfg(test)]
mod tests {
    use nacre_model::{Event, Now, Subject};

    use super::*;

    #[test]
    fn the_ten_most_changed_are_shown() {
        let journal = Journal::default();
        let record = |wall, subject, cause| journal.record(Event::new(Now { mono: 0, wall }, subject, cause));
        let service = |n: u32| Subject::service(&ServiceKey::new("public", "G", &format!("s{n:02}")));
        record(9, service(99), Cause::ServiceUpdated);
        for n in 0..20 {
            for _ in 0..=n {
                record(10, service(n), Cause::ServiceUpdated);
            }
            record(10, service(0), Cause::Subscribed);
        }
        let config = Subject::config(&ConfigKey::new("", "G", "d"));
        record(11, config, Cause::ConfigRemoved { by: "".into(), from: "".into(), gray: "".into() });
        let changes = Changes::since(&journal, 10);
        let expected: Vec<_> = (10u32..20).rev().map(|n| (format!("public##G@@s{n:02}"), u64::from(n) + 1)).collect();
        assert_eq!(changes.services, expected);
        assert_eq!(changes.configs, [("public@G@d".to_owned(), 1)]);
    }
}

//! Whom the journal knows: for search boxes and completion.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use nacre_model::{ConfigKey, ServiceKey};

use crate::{
    Journal, Record, Work,
    disk::{Entry, Wanted},
};

/// Somebody, and when something last happened there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<T> {
    pub who: T,
    pub at: i64,
}

/// What matched, the latest first.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    pub services: Vec<Known<ServiceKey>>,
    /// With their service.
    pub instances: Vec<Known<(Arc<str>, Option<ServiceKey>)>>,
    pub clients: Vec<Known<Arc<str>>>,
    pub configs: Vec<Known<ConfigKey>>,
    /// Not everything was looked through.
    pub partial: bool,
}

struct Seen<T> {
    known: HashMap<T, i64>,
    limit: usize,
}

impl<T: Eq + Hash + Clone> Seen<T> {
    fn new(limit: usize) -> Self {
        Self { known: HashMap::new(), limit }
    }

    fn full(&self) -> bool {
        self.known.len() >= self.limit
    }

    /// Events come newest first, so the first time is the latest.
    fn add(&mut self, who: impl FnOnce() -> T, at: i64) {
        if !self.full() {
            self.known.entry(who()).or_insert(at);
        }
    }

    fn list(self) -> Vec<Known<T>> {
        let mut list: Vec<Known<T>> = self.known.into_iter().map(|(who, at)| Known { who, at }).collect();
        list.sort_by_key(|known| std::cmp::Reverse(known.at));
        list
    }
}

impl Journal {
    /// Services, instances, clients and configurations whose name contains `text` (letter case aside), up to `limit` of
    /// each. Blocks where there is a disk.
    pub fn subjects(&self, text: &str, limit: usize, work: &mut Work) -> Subjects {
        let text = text.to_lowercase();
        let (mut services, mut instances) = (Seen::new(limit), Seen::new(limit));
        let (mut clients, mut configs) = (Seen::new(limit), Seen::new(limit));
        let mut look = |record: &Record| {
            let (subject, at) = (&record.event.subject, record.event.at);
            let says = |name: &str| name.to_lowercase().contains(&text);
            if let Some(service) = &subject.service
                && (says(&service.name) || says(&service.text()))
            {
                services.add(|| service.clone(), at);
            }
            if let Some(instance) = subject.instance_text()
                && says(&instance)
            {
                instances.add(|| (Arc::from(&*instance), subject.service.clone()), at);
            }
            if let Some(client) = subject.client_text()
                && says(&client)
            {
                clients.add(|| Arc::from(&*client), at);
            }
            if let Some(config) = &subject.config
                && (says(&config.data_id) || says(&config.to_string()))
            {
                configs.add(|| config.clone(), at);
            }
            !(services.full() && instances.full() && clients.full() && configs.full())
        };
        let (mut lowest, mut on) = (u64::MAX, true);
        self.scan(false, None, None, |record| {
            lowest = record.seq;
            on = look(record);
            on
        });
        if on && let Some(disk) = &self.disk {
            let wanted = Wanted { before: Some(lowest), ..Wanted::default() };
            disk.walk(&wanted, work, |entry| match entry {
                Entry::Event(record) => {
                    on = look(&record);
                    on
                }
                Entry::Base { .. } => true,
            });
        }
        let partial = !on || work.exhausted;
        Subjects {
            services: services.list(),
            instances: instances.list(),
            clients: clients.list(),
            configs: configs.list(),
            partial,
        }
    }
}

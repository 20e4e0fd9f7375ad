//! Questions over memory and disk.

use std::sync::Arc;

use nacre_model::{KINDS, ServiceKey, key};

use crate::{
    Filter, Journal, Record, Work,
    disk::{
        Entry, Wanted,
        codec::{client_hash, hash, instance_hash},
    },
};

/// One page of an answer.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order asked for.
    pub records: Vec<Arc<Record>>,
    /// There may be more: `before` (or, oldest first, `after`) of the next page.
    pub next: Option<u64>,
    /// The work was used up before the page was full.
    pub exhausted: bool,
    /// Bytes read from disk.
    pub read: u64,
    /// Events that only a later version knows.
    pub unknown: u64,
}

impl Journal {
    /// As [`Journal::query`], and what memory has forgotten is looked up on disk. Blocks where there is a disk.
    pub fn search(&self, filter: &Filter, work: &mut Work) -> Found {
        let mut found = Found::default();
        if filter.oldest_first {
            self.search_up(filter, work, &mut found);
        } else {
            self.search_down(filter, work, &mut found);
        }
        found.read = work.read;
        found.unknown = work.unknown;
        found.exhausted = work.exhausted;
        found
    }

    fn search_down(&self, filter: &Filter, work: &mut Work, found: &mut Found) {
        let mut lowest = filter.before.unwrap_or(u64::MAX);
        self.scan(false, filter.after, filter.before, |record| {
            lowest = record.seq;
            if filter.matches(&record.event) {
                found.records.push(record.clone());
            }
            found.records.len() < filter.limit
        });
        if found.records.len() >= filter.limit {
            found.next = Some(lowest);
            return;
        }
        let wanted = Wanted { before: Some(lowest), ..wanted(filter) };
        self.walk(&wanted, filter, work, found);
    }

    fn search_up(&self, filter: &Filter, work: &mut Work, found: &mut Found) {
        found.next = self.visit_up(filter, work, |record| {
            found.records.push(record);
            found.records.len() < filter.limit
        });
    }

    /// Calls `visit` for what matches, oldest first, until it answers false. Answers the number to go on after, when there
    /// may be more.
    pub(crate) fn visit_up(
        &self,
        filter: &Filter,
        work: &mut Work,
        mut visit: impl FnMut(Arc<Record>) -> bool,
    ) -> Option<u64> {
        let mut saved = filter.after.unwrap_or(0);
        // While it is read, more is saved, and memory may forget what was not saved a moment ago.
        while let Some(disk) = &self.disk
            && self.first_after(saved).is_none_or(|first| first > saved + 1)
            && disk.saved() > saved
        {
            let after = std::mem::replace(&mut saved, disk.saved());
            let upto = filter.before.unwrap_or(u64::MAX).min(saved.saturating_add(1));
            let wanted = Wanted { after, before: Some(upto), oldest_first: true, ..wanted(filter) };
            let mut ended = None;
            let reached = disk.walk(&wanted, work, |entry| {
                if let Entry::Event(record) = entry
                    && filter.matches(&record.event)
                {
                    let seq = record.seq;
                    if !visit(Arc::new(record)) {
                        ended = Some(seq);
                    }
                }
                ended.is_none()
            });
            if ended.or(reached).is_some() {
                return ended.or(reached);
            }
        }
        let mut ended = None;
        self.scan(true, Some(saved), filter.before, |record| {
            if filter.matches(&record.event) && !visit(record.clone()) {
                ended = Some(record.seq);
            }
            ended.is_none()
        });
        ended
    }

    fn walk(&self, wanted: &Wanted, filter: &Filter, work: &mut Work, found: &mut Found) {
        let Some(disk) = &self.disk else { return };
        let mut full = None;
        let reached = disk.walk(wanted, work, |entry| {
            if let Entry::Event(record) = entry
                && filter.matches(&record.event)
            {
                let seq = record.seq;
                found.records.push(Arc::new(record));
                if found.records.len() >= filter.limit {
                    full = Some(seq);
                    return false;
                }
            }
            true
        });
        found.next = full.or(reached);
    }
}

/// By what the disk chooses; the filter itself looks closer.
pub(crate) fn wanted(filter: &Filter) -> Wanted {
    let known = |word: &String| {
        let kind = KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(word));
        hash(kind.copied().unwrap_or(word))
    };
    let service = filter.service.as_deref().map(|service| match service.split_once(key::GROUP_SEPARATOR) {
        Some((_, name)) => hash(name),
        None => hash(service),
    });
    Wanted {
        after: filter.after.unwrap_or(0),
        before: filter.before,
        from: filter.from,
        to: filter.to,
        kinds: filter.kinds.iter().map(known).collect(),
        service,
        config: filter.data_id.as_deref().map(hash),
        instance: filter.instance.as_deref().map(instance_hash),
        clients: filter.client.as_deref().map(client_hash).into_iter().collect(),
        bases: false,
        no_events: false,
        oldest_first: filter.oldest_first,
    }
}

/// By what the disk chooses events of one service.
pub(crate) fn wanted_service(service: &ServiceKey) -> Wanted {
    Wanted { service: Some(hash(&service.name)), ..Wanted::default() }
}

//! The story of one instance: its own events and those of the client that published it.

use std::sync::Arc;

use nacre_model::{Cause, Event, Now};

use crate::{
    Filter, Journal, Record, Work, describe,
    disk::{
        Entry, Wanted,
        codec::{client_hash, hash},
    },
    filter,
    search::wanted,
};

/// One event of the story.
#[derive(Clone, Debug)]
pub struct Line {
    pub record: Arc<Record>,
    /// "removed 12 s ago: connection closed by peer (RST) after 3 min 4 s".
    pub text: String,
}

/// Kinds of the coming and going of clients.
const LIFE: [&str; 4] = ["clientConnected", "clientDisconnected", "clientReset", "handshakeRefused"];
/// Clients whose life is told.
const CLIENTS: usize = 64;

impl Journal {
    /// The last `limit` events that explain the state of `instance` (`ip`, `ip:port` or `ip:port:cluster`), newest first.
    /// `scope` narrows to a namespace, group, service and time; its other fields are ignored.
    ///
    /// Besides the instance's own events these are the connects and disconnects of the clients that published it.
    /// Pushes, subscriptions and other life of those clients are left out. Blocks where there is a disk.
    pub fn why(&self, instance: &str, scope: &Filter, now: Now, limit: usize, work: &mut Work) -> Vec<Line> {
        let own = Filter { instance: Some(instance.to_owned()), limit, ..names_of(scope) };
        let mut clients: Vec<String> = Vec::new();
        let mut lowest = u64::MAX;
        let mut found: Vec<Arc<Record>> = Vec::new();
        self.scan(false, None, None, |record| {
            lowest = record.seq;
            if own.matches(&record.event) {
                note_client(&record.event, &mut clients);
            }
            true
        });
        self.scan(false, None, None, |record| {
            if own.matches(&record.event) || (own.time_matches(&record.event) && is_life_of(record, &clients)) {
                found.push(record.clone());
            }
            found.len() < limit
        });
        if found.len() < limit {
            self.why_on_disk(&own, &mut clients, lowest, limit, work, &mut found);
        }
        let line = |record: Arc<Record>| {
            let text = describe::sentence(&record.event.cause).text_ago(now.wall - record.event.at);
            Line { record, text }
        };
        found.into_iter().map(line).collect()
    }

    fn why_on_disk(
        &self,
        own: &Filter,
        clients: &mut Vec<String>,
        before: u64,
        limit: usize,
        work: &mut Work,
        found: &mut Vec<Arc<Record>>,
    ) {
        let Some(disk) = &self.disk else { return };
        let start = found.len();
        let choice = Wanted { before: Some(before), ..wanted(own) };
        disk.walk(&choice, work, |entry| {
            if let Entry::Event(record) = entry
                && own.matches(&record.event)
            {
                note_client(&record.event, clients);
                found.push(Arc::new(record));
            }
            found.len() < limit
        });
        if clients.is_empty() {
            return;
        }
        let life = Wanted {
            before: Some(before),
            from: own.from,
            to: own.to,
            kinds: LIFE.map(hash).to_vec(),
            clients: clients.iter().map(|client| client_hash(client)).collect(),
            ..Wanted::default()
        };
        let mut lives = 0;
        disk.walk(&life, work, |entry| {
            if let Entry::Event(record) = entry
                && is_life_of(&record, clients)
                && !own.matches(&record.event)
            {
                lives += 1;
                found.push(Arc::new(record));
            }
            lives < limit
        });
        found[start..].sort_unstable_by_key(|record| std::cmp::Reverse(record.seq));
        found.truncate(limit);
    }
}

fn names_of(scope: &Filter) -> Filter {
    Filter {
        from: scope.from,
        to: scope.to,
        namespace: scope.namespace.clone(),
        group: scope.group.clone(),
        service: scope.service.clone(),
        without_findings: scope.without_findings,
        ..Filter::default()
    }
}

/// Adds the event's client to those whose life is told.
fn note_client(event: &Event, clients: &mut Vec<String>) {
    if let Some(client) = event.subject.client_text()
        && clients.len() < CLIENTS
        && !clients.iter().any(|known| *known == client)
    {
        clients.push(client.into_owned());
    }
}

/// Whether the record is about the coming or going of one of `clients`.
fn is_life_of(record: &Record, clients: &[String]) -> bool {
    let is_life = matches!(
        *record.event.cause,
        Cause::ClientConnected { .. }
            | Cause::ClientDisconnected { .. }
            | Cause::ClientReset { .. }
            | Cause::HandshakeRefused { .. }
    );
    is_life && clients.iter().any(|client| filter::client_is(&record.event, client))
}

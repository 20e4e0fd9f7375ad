//! The story of one instance: its own events and those of the client that published it.

use std::sync::Arc;

use nacre_model::{Cause, Now};

use crate::{Filter, Journal, Record, describe, filter};

/// One event of the story.
#[derive(Clone, Debug)]
pub struct Line {
    pub record: Arc<Record>,
    /// "removed 12 s ago: connection closed by peer (RST) after 3 min 4 s".
    pub text: String,
}

impl Journal {
    /// The last `limit` events that explain the state of `instance` (`ip`, `ip:port` or `ip:port:cluster`), newest first.
    /// `scope` narrows to a namespace, group or service; its other fields are ignored.
    ///
    /// Besides the instance's own events these are the connects and disconnects of the clients that published it.
    /// Pushes, subscriptions and other life of those clients are left out.
    pub fn why(&self, instance: &str, scope: &Filter, now: Now, limit: usize) -> Vec<Line> {
        let own = Filter { instance: Some(instance.to_owned()), ..names_of(scope) };
        let mut clients: Vec<Arc<str>> = Vec::new();
        self.scan(false, None, None, |record| {
            if let Some(client) = &record.event.subject.client
                && !clients.contains(client)
                && own.matches(&record.event)
            {
                clients.push(client.clone());
            }
            clients.len() < limit
        });

        let mut lines = Vec::new();
        self.scan(false, None, None, |record| {
            if own.matches(&record.event) || is_life_of(record, &clients) {
                let text = describe::sentence(&record.event.cause).text_ago(now.wall - record.event.at);
                lines.push(Line { record: record.clone(), text });
            }
            lines.len() < limit
        });
        lines
    }
}

fn names_of(scope: &Filter) -> Filter {
    Filter {
        namespace: scope.namespace.clone(),
        group: scope.group.clone(),
        service: scope.service.clone(),
        ..Filter::default()
    }
}

/// Whether the record is about the coming or going of one of `clients`.
fn is_life_of(record: &Record, clients: &[Arc<str>]) -> bool {
    let is_life = matches!(
        record.event.cause,
        Cause::ClientConnected { .. }
            | Cause::ClientDisconnected { .. }
            | Cause::ClientReset { .. }
            | Cause::HandshakeRefused { .. }
    );
    is_life && clients.iter().any(|client| filter::client_is(&record.event, client))
}

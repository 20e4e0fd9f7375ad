//! The process before this one, as its journal tells: which naming connections stood when it ended, and what each had
//! registered. All of them ended with it, so whoever comes back must register again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use nacre_journal::Record;
use nacre_model::{Cause, ServiceKey, event::Disconnect, limits};
use nacre_naming::ClientId;

use crate::partings::{Interests, Parting};

/// Kinds that are read, newest first.
pub const KINDS_READ: [&str; 6] =
    ["clientConnected", "clientDisconnected", "instanceRegistered", "instanceRemoved", "subscribed", "unsubscribed"];

/// A connection that stood when the process before ended.
#[derive(Clone, Debug, Default)]
pub struct Stood {
    pub who: Parting,
    /// `ip:port:cluster` by service, newest first.
    pub published: Vec<(ServiceKey, Arc<str>)>,
}

/// What is known of the process before.
#[derive(Debug, Default)]
pub struct Before {
    /// Its last sign of life (wall clock); 0 when there was none before, or nothing is known of it.
    pub ended: i64,
    pub stood: Vec<Stood>,
}

/// The journal read backwards: what is newer was decided before.
#[derive(Debug, Default)]
pub struct Reading {
    ended: i64,
    clients: HashMap<Arc<str>, Seen>,
    /// Connections that ended, were of another module, or whose beginning was read: nothing older of them counts.
    over: HashSet<Arc<str>>,
    decided: HashSet<(Arc<str>, ServiceKey, Option<Arc<str>>)>,
    publications: usize,
}

#[derive(Debug, Default)]
struct Seen {
    stood: Stood,
    interests: Interests,
}

impl Reading {
    /// Takes a record of the process before, newest first; `false`: enough is known.
    pub fn take(&mut self, record: &Record) -> bool {
        let event = &record.event;
        self.ended = self.ended.max(event.at);
        let Some(client) = event.subject.client.as_deref().filter(|client| is_connection(client)) else { return true };
        if self.over.contains(client) {
            return true;
        }
        match &*event.cause {
            // A server that stops closes all, and takes nobody's instances away.
            Cause::ClientDisconnected { cause: Disconnect::ServerShutdown, .. } => {}
            Cause::ClientDisconnected { .. } => {
                self.over.insert(client.into());
            }
            Cause::ClientConnected { module, .. } if !is_naming(module) => {
                self.clients.remove(client);
                self.over.insert(client.into());
            }
            Cause::ClientConnected { version, app, .. } => {
                let seen = self.seen(client);
                seen.stood.who.agent = version.as_str().into();
                seen.stood.who.app = app.as_str().into();
                // Read to its beginning: then it is known what it subscribed to.
                seen.stood.who.interests = Some(seen.interests);
                self.over.insert(client.into());
            }
            Cause::InstanceRegistered { .. } | Cause::InstanceRemoved { .. } => {
                let (Some(service), Some(instance)) = (&event.subject.service, event.subject.instance_text()) else {
                    return true;
                };
                let instance: Arc<str> = (*instance).into();
                let stands = matches!(*event.cause, Cause::InstanceRegistered { .. });
                if self.decide(client, service, Some(&instance)) && stands {
                    self.seen(client).stood.published.push((service.clone(), instance));
                    self.publications += 1;
                }
            }
            Cause::Subscribed | Cause::Unsubscribed => {
                let Some(service) = &event.subject.service else { return true };
                if self.decide(client, service, None) && matches!(*event.cause, Cause::Subscribed) {
                    self.seen(client).interests.add(service);
                }
            }
            _ => {}
        }
        self.publications < limits::BEFORE as usize && self.clients.len() < limits::BEFORE as usize
    }

    fn seen(&mut self, client: &str) -> &mut Seen {
        self.clients.entry(client.into()).or_insert_with(|| {
            let who = Parting { id: client.into(), ..Parting::default() };
            Seen { stood: Stood { who, published: Vec::new() }, interests: Interests::default() }
        })
    }

    /// Whether this is the newest that is said of it.
    fn decide(&mut self, client: &str, service: &ServiceKey, instance: Option<&Arc<str>>) -> bool {
        self.decided.insert((client.into(), service.clone(), instance.cloned()))
    }

    pub fn done(self) -> Before {
        let mut stood: Vec<Stood> = self.clients.into_values().map(|seen| seen.stood).collect();
        stood.sort_by(|a, b| a.who.id.cmp(&b.who.id));
        Before { ended: self.ended, stood }
    }
}

fn is_connection(client: &str) -> bool {
    matches!(ClientId::parse(client), Some(ClientId::Connection(_)))
}

/// Connections that may publish.
pub(crate) fn is_naming(module: &str) -> bool {
    matches!(module, "naming" | "ai")
}

#[cfg(test)]
mod tests {
    use nacre_model::{Event, Subject, event::Removal};

    use super::*;

    const A: &str = "1700000000000_10.0.0.1_5000";
    const B: &str = "1700000000000_10.0.0.2_5000";

    fn read(events: &[(Subject, Cause)]) -> Before {
        let mut reading = Reading::default();
        for (at, (subject, cause)) in events.iter().enumerate().rev() {
            let now = nacre_model::Now { mono: 0, wall: at as i64 + 1 };
            reading.take(&Record { seq: at as u64, event: Event::new(now, subject.clone(), cause.clone()) });
        }
        reading.done()
    }

    fn of(client: &str, service: &str, instance: &str) -> Subject {
        Subject::service(&ServiceKey::new("", "G", service)).with_client(client).with_instance(instance)
    }

    fn connected(module: &str) -> Cause {
        Cause::ClientConnected { version: "Go".into(), module: module.into(), app: "shop".into() }
    }

    fn registered() -> Cause {
        Cause::InstanceRegistered { how: "request".into(), replaced: false }
    }

    #[test]
    fn what_stood_at_the_end_is_known_with_its_publisher() {
        let lost = Disconnect::ResetByPeer;
        let before = read(&[
            (Subject::client(A), connected("naming")),
            (of(A, "kept", "10.0.0.1:1:DEFAULT"), registered()),
            (of(A, "gone", "10.0.0.1:2:DEFAULT"), registered()),
            (Subject::service(&ServiceKey::new("", "G", "read")).with_client(A), Cause::Subscribed),
            (
                of(A, "gone", "10.0.0.1:2:DEFAULT"),
                Cause::InstanceRemoved { removal: Removal::ConnectionLost { cause: lost.clone(), lived_ms: 1 } },
            ),
            (Subject::client(B), connected("naming")),
            (of(B, "other", "10.0.0.2:1:DEFAULT"), registered()),
            (Subject::client(B), Cause::ClientDisconnected { cause: lost, lived_ms: 1 }),
            (Subject::client(A), Cause::ClientDisconnected { cause: Disconnect::ServerShutdown, lived_ms: 1 }),
        ]);
        assert_eq!(before.ended, 9);
        assert_eq!(before.stood.len(), 1, "{before:?}");
        let stood = &before.stood[0];
        assert_eq!((&*stood.who.id, &*stood.who.agent, &*stood.who.app), (A, "Go", "shop"));
        assert_eq!(stood.published.len(), 1);
        assert_eq!(&*stood.published[0].0.name, "kept");
        assert_eq!(stood.who.interests, Some(Interests::from_iter([&ServiceKey::new("", "G", "read")])));
    }

    #[test]
    fn connections_of_other_modules_are_left_out_and_unknown_beginnings_stay_unknown() {
        let before = read(&[
            (Subject::client(B), connected("config")),
            (of(A, "kept", "10.0.0.1:1:DEFAULT"), registered()),
            (of("10.0.0.9:1#true", "http", "10.0.0.9:1:DEFAULT"), registered()),
        ]);
        assert_eq!(before.stood.len(), 1);
        assert_eq!(before.stood[0].who.interests, None);
    }
}

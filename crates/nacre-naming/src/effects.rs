//! What a mutating call has done besides its answer.

use nacre_model::{Event, ServiceKey};

use crate::{ClientId, FuzzyChange, NamingCommand};

/// The consequences of one call. The server hands `events` to the journal first, then acts on the rest.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "effects must reach the journal, the subscribers and the write road"]
pub struct Effects {
    /// Transitions with their causes, in order.
    pub events: Vec<Event>,
    /// Services whose subscribers must hear of the newest snapshot. Each at most once.
    pub changed: Vec<ServiceKey>,
    /// First subscription of a client to a service: that one client gets a push.
    pub pushes: Vec<(ClientId, ServiceKey)>,
    /// Services that gained their first publisher.
    pub appeared: Vec<ServiceKey>,
    /// Services that lost their last publisher.
    pub vanished: Vec<ServiceKey>,
    /// Watchers of fuzzy patterns that must hear that a service appeared or vanished.
    pub fuzzy: Vec<FuzzyChange>,
    /// Durable commands that housekeeping asks to be put on the write road.
    pub propose: Vec<NamingCommand>,
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.changed.is_empty()
            && self.pushes.is_empty()
            && self.appeared.is_empty()
            && self.vanished.is_empty()
            && self.fuzzy.is_empty()
            && self.propose.is_empty()
    }

    /// Appends another call's effects; a service that both changed is named once.
    pub fn merge(&mut self, other: Effects) {
        self.events.extend(other.events);
        for key in other.changed {
            self.change(&key);
        }
        self.pushes.extend(other.pushes);
        self.appeared.extend(other.appeared);
        self.vanished.extend(other.vanished);
        self.fuzzy.extend(other.fuzzy);
        self.propose.extend(other.propose);
    }

    /// Names `key` in `changed` unless it is the newest entry already (calls walk service by service).
    pub(crate) fn change(&mut self, key: &ServiceKey) {
        if self.changed.last() != Some(key) {
            self.changed.push(key.clone());
        }
    }
}

//! The one place that consumes what the cores did: journal first, then everybody who must hear of it.

use std::{collections::VecDeque, sync::Arc};

use arc_swap::ArcSwap;
use nacre_config::{
    Affected, ConfigChange, ConfigEffects, Configs, Existence, FuzzyNotice, FuzzyWatch, ListenKey, Listeners, Notice,
};
use nacre_journal::Journal;
use nacre_model::{ConfigKey, Event, ServiceKey};
use nacre_naming::{ClientId, Effects, FuzzyChange, NamingCommand};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::notices::{Notices, Taken};

/// Wakes a held long poll with the keys that changed.
pub type PollHandle = oneshot::Sender<Vec<ListenKey>>;

/// A protocol face that holds subscribers or listeners. Calls come from whichever task changed something; they must not
/// block and only mark what is to be sent.
pub trait Face: Send + Sync {
    /// Subscribers of `service` must get its newest snapshot.
    fn service_changed(&self, service: &ServiceKey);
    /// One client subscribed for the first time.
    fn push_one(&self, client: &ClientId, service: &ServiceKey);
    /// Watchers of fuzzy patterns must hear that a service appeared or vanished.
    fn naming_fuzzy(&self, _change: &FuzzyChange) {}
    /// These connections must hear that a config changed.
    fn config_changed(&self, _key: &ConfigKey, _notices: &[Notice]) {}
    fn config_fuzzy(&self, _notice: &FuzzyNotice) {}
}

/// Housekeeping proposals of the naming core that may wait for the write road; more are dropped and come again with
/// the next round of the cleaner that made them.
const PROPOSALS: usize = 4_096;

/// Listeners told at a stretch; then others have their turn, the first of those who were just told among them.
const TOLD_AT_ONCE: usize = 32;

/// Keys whose listeners are being told at a time.
const KEYS_AT_ONCE: usize = 64;

/// Consumes effects.
pub struct Effector {
    journal: Arc<Journal>,
    configs: Arc<Configs>,
    listeners: Arc<Listeners<PollHandle>>,
    config_fuzzy: Arc<FuzzyWatch>,
    notices: Notices,
    /// Held while watchers of patterns are told: that a key came must not arrive after that it went.
    fuzzy_turn: Mutex<()>,
    faces: ArcSwap<Vec<Arc<dyn Face>>>,
    proposals: mpsc::Sender<NamingCommand>,
}

impl Effector {
    /// The second value is the queue of commands to put on the write road.
    pub fn new(
        journal: Arc<Journal>,
        configs: Arc<Configs>,
        listeners: Arc<Listeners<PollHandle>>,
        config_fuzzy: Arc<FuzzyWatch>,
    ) -> (Self, mpsc::Receiver<NamingCommand>) {
        let (proposals, queue) = mpsc::channel(PROPOSALS);
        let effector = Self {
            journal,
            configs,
            listeners,
            config_fuzzy,
            notices: Notices::default(),
            fuzzy_turn: Mutex::default(),
            faces: ArcSwap::default(),
            proposals,
        };
        (effector, queue)
    }

    /// Called once, before anything is served.
    pub fn set_faces(&self, faces: Vec<Arc<dyn Face>>) {
        self.faces.store(Arc::new(faces));
    }

    pub fn event(&self, event: Event) {
        self.journal.record(event);
    }

    pub fn naming(&self, effects: Effects) {
        for event in effects.events {
            self.journal.record(event);
        }
        for command in effects.propose {
            let _ = self.proposals.try_send(command);
        }
        for face in self.faces.load().iter() {
            for service in &effects.changed {
                face.service_changed(service);
            }
            for (client, service) in &effects.pushes {
                face.push_one(client, service);
            }
            for change in &effects.fuzzy {
                face.naming_fuzzy(change);
            }
        }
    }

    /// Journals at once; listeners are told by [`Effector::serve_notices`]. The changes are visible in [`Configs`] already:
    /// whoever registers as a listener and compares afterwards either sees them or is found when they are told.
    pub fn config(&self, effects: ConfigEffects) {
        for event in effects.events {
            self.journal.record(event);
        }
        if self.faces.load().is_empty() {
            // Nothing is served yet, so nobody listens: the database is being read, or the log replayed.
            return;
        }
        for change in effects.changed.into_iter().filter(|change| self.concerns_anybody(change)) {
            if let Some(oldest) = self.notices.owe(change) {
                let mut telling = self.telling(&oldest);
                self.tell(&mut telling, usize::MAX);
            }
        }
    }

    /// Most configs have no listener at the moment; then nobody needs to be woken. Whoever comes later sees the change.
    fn concerns_anybody(&self, change: &ConfigChange) -> bool {
        let came_or_went = change.existence != Existence::Unchanged;
        self.listeners.is_listened(&change.key) || (came_or_went && !self.config_fuzzy.is_empty())
    }

    /// Tells listeners of configs; the body of the worker `config notices`. Several keys have their turns one after the
    /// other, so that the one listener of one does not wait for the ten thousand of another. `beat` is called once a key.
    pub async fn serve_notices(&self, beat: impl Fn()) {
        let mut under_way: VecDeque<(Taken<'_>, Telling)> = VecDeque::new();
        loop {
            let mut some = TOLD_AT_ONCE;
            while some > 0 {
                if under_way.len() < KEYS_AT_ONCE
                    && let Some(taken) = self.notices.take()
                {
                    let telling = self.telling(taken.change());
                    under_way.push_back((taken, telling));
                }
                let Some((taken, mut telling)) = under_way.pop_front() else { break };
                // One more for the key itself, lest thousands without a listener are passed at a stretch.
                some = some.saturating_sub(1 + self.tell(&mut telling, some));
                if telling.is_over() {
                    taken.told();
                    beat();
                } else {
                    under_way.push_back((taken, telling));
                }
            }
            if under_way.is_empty() && self.notices.is_empty() {
                self.notices.wait().await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    fn telling(&self, change: &ConfigChange) -> Telling {
        let Affected { connections, polls } = self.listeners.affected(std::slice::from_ref(change), &self.configs);
        Telling { change: Some(change.clone()), polls: polls.into_iter(), connections, told: 0 }
    }

    /// Tells at most `some` of those who are left, and answers how many.
    fn tell(&self, telling: &mut Telling, some: usize) -> usize {
        let mut left = some;
        for (poll, keys) in telling.polls.by_ref().take(some) {
            // The poller may have gone meanwhile; then there is nobody to tell.
            let _ = poll.send(keys);
            left -= 1;
        }
        let Some(change) = &telling.change else { return some - left };
        let faces = self.faces.load();
        let rest = &telling.connections[telling.told..];
        let now = &rest[..rest.len().min(left)];
        if !now.is_empty() {
            faces.iter().for_each(|face| face.config_changed(&change.key, now));
            (telling.told, left) = (telling.told + now.len(), left - now.len());
        }
        if left > 0 {
            let _turn = self.fuzzy_turn.lock();
            for notice in self.config_fuzzy.changed(change, &self.configs) {
                faces.iter().for_each(|face| face.config_fuzzy(&notice));
            }
            telling.change = None;
        }
        some - left
    }
}

/// Those who must hear of one change, and how far we are.
struct Telling {
    /// `None` once everybody was told.
    change: Option<ConfigChange>,
    polls: std::vec::IntoIter<(PollHandle, Vec<ListenKey>)>,
    connections: Vec<Notice>,
    told: usize,
}

impl Telling {
    fn is_over(&self) -> bool {
        self.change.is_none()
    }
}

#[cfg(test)]
mod tests;

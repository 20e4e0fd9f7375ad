//! The one place that consumes what the cores did: journal first, then everybody who must hear of it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use nacre_config::{
    Affected, ConfigChange, ConfigEffects, Configs, Existence, FuzzyNotice, FuzzyWatch, ListenKey, Listeners, Notice,
};
use nacre_journal::Journal;
use nacre_model::{ConfigKey, Event, ServiceKey};
use nacre_naming::{ClientId, Effects, FuzzyChange, NamingCommand};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::notices::Notices;

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
                while self.tell_some(&mut telling) {}
            }
        }
    }

    /// Most configs have no listener at the moment; then nobody needs to be woken. Whoever comes later sees the change.
    fn concerns_anybody(&self, change: &ConfigChange) -> bool {
        let came_or_went = change.existence != Existence::Unchanged;
        self.listeners.is_listened(&change.key) || (came_or_went && !self.config_fuzzy.is_empty())
    }

    /// Tells listeners of configs; the body of the worker `config notices`. `beat` is called once a key.
    pub async fn serve_notices(&self, beat: impl Fn()) {
        loop {
            let Some(taken) = self.notices.take() else {
                self.notices.wait().await;
                continue;
            };
            if let Some(change) = taken.change() {
                let mut telling = self.telling(change);
                while self.tell_some(&mut telling) {
                    tokio::task::yield_now().await;
                }
            }
            taken.told();
            beat();
        }
    }

    fn telling<'c>(&self, change: &'c ConfigChange) -> Telling<'c> {
        let Affected { connections, polls } = self.listeners.affected(std::slice::from_ref(change), &self.configs);
        Telling { change, polls: polls.into_iter(), connections, told: 0 }
    }

    /// Tells the next few; `false` once everybody has been told.
    fn tell_some(&self, telling: &mut Telling<'_>) -> bool {
        let polls = telling.polls.len();
        for (poll, keys) in telling.polls.by_ref().take(TOLD_AT_ONCE) {
            // The poller may have gone meanwhile; then there is nobody to tell.
            let _ = poll.send(keys);
        }
        if polls > 0 {
            return true;
        }
        let faces = self.faces.load();
        let rest = &telling.connections[telling.told..];
        if let Some(some) = rest.chunks(TOLD_AT_ONCE).next() {
            faces.iter().for_each(|face| face.config_changed(&telling.change.key, some));
            telling.told += some.len();
            return true;
        }
        let _turn = self.fuzzy_turn.lock();
        for notice in self.config_fuzzy.changed(telling.change, &self.configs) {
            faces.iter().for_each(|face| face.config_fuzzy(&notice));
        }
        false
    }
}

/// Those who must hear of one change, and how far we are.
struct Telling<'c> {
    change: &'c ConfigChange,
    polls: std::vec::IntoIter<(PollHandle, Vec<ListenKey>)>,
    connections: Vec<Notice>,
    told: usize,
}

#[cfg(test)]
mod tests;

//! The one place that consumes what the cores did: journal first, then everybody who must hear of it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use nacre_config::{Affected, ConfigEffects, Configs, FuzzyNotice, FuzzyWatch, ListenKey, Listeners};
use nacre_journal::Journal;
use nacre_model::{Event, ServiceKey};
use nacre_naming::{ClientId, Effects, FuzzyChange, NamingCommand};
use tokio::sync::{mpsc, oneshot};

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
    /// A connection must hear that a config changed.
    fn config_changed(&self, _notice: &nacre_config::Notice) {}
    fn config_fuzzy(&self, _notice: &FuzzyNotice) {}
}

/// Housekeeping proposals of the naming core that may wait for the write road; more are dropped and come again with
/// the next round of the cleaner that made them.
const PROPOSALS: usize = 4_096;

/// Consumes effects.
pub struct Effector {
    journal: Arc<Journal>,
    configs: Arc<Configs>,
    listeners: Arc<Listeners<PollHandle>>,
    config_fuzzy: Arc<FuzzyWatch>,
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
        let faces = ArcSwap::default();
        (Self { journal, configs, listeners, config_fuzzy, faces, proposals }, queue)
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

    pub fn config(&self, effects: ConfigEffects) {
        for event in effects.events {
            self.journal.record(event);
        }
        if effects.changed.is_empty() {
            return;
        }
        let Affected { connections, polls } = self.listeners.affected(&effects.changed, &self.configs);
        for (poll, keys) in polls {
            // The poller may have gone meanwhile; then there is nobody to tell.
            let _ = poll.send(keys);
        }
        let faces = self.faces.load();
        for notice in &connections {
            faces.iter().for_each(|face| face.config_changed(notice));
        }
        for change in &effects.changed {
            for notice in self.config_fuzzy.changed(change, &self.configs) {
                faces.iter().for_each(|face| face.config_fuzzy(&notice));
            }
        }
    }
}

//! A store in a temporary directory together with the core that feeds it.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;

use nacre_config::{ConfigCommand, ConfigReply, Configs, Publish, Remove, RemoveTarget, Source};
use nacre_model::{ConfigKey, Now};
use nacre_store::{Applied, Store, StoreOptions, WriteBatch};
use tempfile::TempDir;

pub struct Rig {
    pub dir: TempDir,
    pub configs: Configs,
    pub store: Store,
    pub index: u64,
    pub now: Now,
}

impl Rig {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(StoreOptions::new(dir.path().join("nacre.db"))).unwrap();
        let now = Now { mono: 0, wall: 1_795_624_316_624 };
        let configs = Configs::new(store.load().unwrap().config);
        Self { dir, configs, store, index: 0, now }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("nacre.db")
    }

    /// Applies a command and writes what it yields, as the state machine does.
    pub fn apply(&mut self, command: ConfigCommand) -> ConfigReply {
        self.index += 1;
        self.now = self.now.plus(1);
        let outcome = self.configs.apply(command, self.now);
        let applied = Some(Applied { index: self.index, term: 1, leader: 1 });
        self.store.write(WriteBatch { applied, ops: outcome.ops, ..WriteBatch::default() }).unwrap();
        outcome.reply
    }

    pub fn publish(&mut self, key: &ConfigKey, content: &str) {
        let reply = self.apply(ConfigCommand::Publish(Box::new(Publish::new(key.clone(), content))));
        assert!(matches!(reply, ConfigReply::Published(_)), "{reply:?}");
    }

    pub fn remove(&mut self, key: &ConfigKey) {
        let remove = Remove { key: key.clone(), target: RemoveTarget::Formal, source: Source::default() };
        self.apply(ConfigCommand::Remove(remove));
    }

    /// Stops the store and starts it anew from the files.
    pub fn restart(self) -> Self {
        let Self { dir, store, index, now, .. } = self;
        store.close().unwrap();
        drop(store);
        let store = Store::open(StoreOptions::new(dir.path().join("nacre.db"))).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.applied.map(|applied| applied.index).unwrap_or(0), index);
        Self { dir, configs: Configs::new(loaded.config), store, index, now }
    }
}

pub fn key(data_id: &str) -> ConfigKey {
    ConfigKey::new("", "G", data_id)
}

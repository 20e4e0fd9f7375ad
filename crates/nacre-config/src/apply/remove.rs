//! Removing formal and gray versions.

use std::sync::Arc;

use nacre_model::{Cause, ConfigKey};

use super::Apply;
use crate::{
    ConfigChange, ConfigItem, ConfigReply, Existence, GrayConfig, HistoryOp, Remove, RemoveIds, RemoveTarget, Source,
    StoreOp,
    gray::{BETA, TAG_PREFIX},
};

impl Apply<'_> {
    pub(super) fn remove(&mut self, remove: &Remove) -> ConfigReply {
        let existed = match &remove.target {
            RemoveTarget::Formal => self.remove_formal(&remove.key, &remove.source),
            RemoveTarget::Beta => self.remove_gray(&remove.key, BETA, &remove.source),
            RemoveTarget::Gray { name } => self.remove_gray(&remove.key, name, &remove.source),
            // The reference takes the word for a gray name as it is (2.5, 3.x) or for a tag (up to 2.4): both work.
            RemoveTarget::Tag { tag } => {
                self.remove_gray(&remove.key, &format!("{TAG_PREFIX}{tag}"), &remove.source)
                    || self.remove_gray(&remove.key, tag, &remove.source)
            }
        };
        if !existed {
            let cause =
                Cause::NothingChanged { call: "removeConfig".to_owned(), reason: "there is no such config".to_owned() };
            self.config_event(&remove.key, &remove.source, cause);
        }
        ConfigReply::Removed { count: u32::from(existed) }
    }

    pub(super) fn remove_ids(&mut self, remove: &RemoveIds) -> ConfigReply {
        let mut count = 0;
        for id in &remove.ids {
            let key = self.configs.by_id.pin().get(id).cloned();
            if let Some(key) = key {
                count += u32::from(self.remove_formal(&key, &remove.source));
            }
        }
        ConfigReply::Removed { count }
    }

    /// Its gray versions fall asleep: as in the reference nobody is served them any more, they are shown as before, and the
    /// next publish of one goes on where it stopped. So do those of a config that has no formal version.
    fn remove_formal(&mut self, key: &ConfigKey, source: &Source) -> bool {
        let Some(item) = self.item(key).filter(|item| item.is_live()) else { return false };
        let grays = item.grays.iter().map(|gray| gray.modified);
        let time = self.time_after(item.formal.iter().map(|old| old.modified).chain(grays).max());
        if let Some(old) = &item.formal {
            self.out.ops.push(StoreOp::DeleteConfig { id: old.id });
            self.formal_history(key, old, HistoryOp::Delete, source, time);
            self.configs.by_id.pin().remove(&old.id);
            self.ledger.count_out(key);
            self.removed_event(key, &Arc::default(), source);
        }
        let mut left = ConfigItem { formal: None, ..(*item).clone() };
        for gray in &item.grays {
            let gray = Arc::new(GrayConfig { asleep: true, ..(**gray).clone() });
            self.removed_event(key, &gray.name, source);
            self.out.ops.push(StoreOp::PutGray { key: item.key.clone(), gray: Arc::clone(&gray) });
            left = left.with_gray(gray);
        }
        let existence = self.replace(left);
        self.removed(key, None, existence, time);
        true
    }

    fn remove_gray(&mut self, key: &ConfigKey, name: &str, source: &Source) -> bool {
        let Some(item) = self.item(key) else { return false };
        let Some(old) = item.gray(name).cloned() else { return false };
        let time = self.time_after(Some(old.modified));
        self.out.ops.push(StoreOp::DeleteGray { id: old.id });
        self.gray_history(key, &old, HistoryOp::Delete, source, time);
        let existence = self.replace(item.without_gray(name));
        self.removed_event(key, &old.name, source);
        // Who listens was told when it fell asleep.
        if !old.asleep {
            self.removed(key, Some(old.name.clone()), existence, time);
        }
        true
    }

    fn removed_event(&mut self, key: &ConfigKey, gray: &Arc<str>, source: &Source) {
        let cause = Cause::ConfigRemoved {
            by: source.user.clone().unwrap_or_default(),
            from: Arc::clone(&source.ip),
            gray: Arc::clone(gray),
        };
        self.config_event(key, source, cause);
    }

    fn removed(&mut self, key: &ConfigKey, gray: Option<Arc<str>>, existence: Existence, time: i64) {
        self.out.effects.changed.push(ConfigChange { key: key.clone(), gray, existence, modified: time });
    }
}

//! Removing formal and gray versions.

use std::sync::Arc;

use nacre_model::{Cause, ConfigKey};

use super::Apply;
use crate::{
    ConfigChange, ConfigItem, ConfigReply, Existence, HistoryOp, Remove, RemoveIds, RemoveTarget, Source, StoreOp,
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

    fn remove_formal(&mut self, key: &ConfigKey, source: &Source) -> bool {
        let Some(item) = self.item(key) else { return false };
        let Some(old) = item.formal.clone() else { return false };
        let time = self.time_after(Some(old.modified));
        self.out.ops.push(StoreOp::DeleteConfig { id: old.id });
        self.formal_history(key, &old, HistoryOp::Delete, source, time);
        self.configs.by_id.pin().remove(&old.id);
        self.ledger.count_out(key);
        let existence = self.replace(ConfigItem { formal: None, ..(*item).clone() });
        self.removed(key, None, existence, time, source);
        true
    }

    fn remove_gray(&mut self, key: &ConfigKey, name: &str, source: &Source) -> bool {
        let Some(item) = self.item(key) else { return false };
        let Some(old) = item.gray(name).cloned() else { return false };
        let time = self.time_after(Some(old.modified));
        self.out.ops.push(StoreOp::DeleteGray { id: old.id });
        self.gray_history(key, &old, HistoryOp::Delete, source, time);
        let existence = self.replace(item.without_gray(name));
        self.removed(key, Some(old.name.clone()), existence, time, source);
        true
    }

    fn removed(&mut self, key: &ConfigKey, gray: Option<Arc<str>>, existence: Existence, time: i64, source: &Source) {
        let cause = Cause::ConfigRemoved {
            by: source.user.clone().unwrap_or_default(),
            from: Arc::clone(&source.ip),
            gray: gray.clone().unwrap_or_default(),
        };
        self.config_event(key, source, cause);
        self.out.effects.changed.push(ConfigChange { key: key.clone(), gray, existence, modified: time });
    }
}

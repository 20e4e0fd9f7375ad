//! Publishing: the formal version and gray versions.

use std::sync::Arc;

use nacre_model::{Cause, ConfigKey};

use super::Apply;
use crate::{
    ConfigChange, ConfigItem, FormalConfig, GrayConfig, GrayRule, GrayTarget, HistoryOp, HistoryRow, Publish,
    Published, Refusal, Source, StoreOp, content, history,
};

impl Apply<'_> {
    /// What is kept of it, here, in events and in rows, shares its texts with what is there already.
    pub(super) fn publish(&mut self, mut publish: Publish) -> Result<Published, Refusal> {
        match self.item(&publish.key) {
            Some(item) => publish.key = item.key.clone(),
            None => self.ledger.texts.share_key(&mut publish.key),
        }
        self.ledger.texts.share_publish(&mut publish);
        let publish = &publish;
        self.check_namespace(&publish.key, publish.rules.namespace_must_exist)?;
        match &publish.gray {
            None => self.publish_formal(publish),
            Some(target) => self.publish_gray(publish, target),
        }
    }

    fn publish_formal(&mut self, publish: &Publish) -> Result<Published, Refusal> {
        let item = self.item_or_new(&publish.key);
        let old = item.formal.clone();
        if publish.only_if_absent && old.is_some() {
            return Err(Refusal::AlreadyExists { key: publish.key.clone() });
        }
        self.check_cas(publish, old.as_ref().map(|old| &old.md5), false)?;
        self.check_capacity(publish, old.is_some())?;

        let new = Arc::new(self.new_formal(publish, old.as_deref()));
        let replace_tags = publish.replace_tags || (old.is_none() && !new.meta.tags.is_empty());
        self.out.ops.push(StoreOp::PutConfig { key: publish.key.clone(), config: new.clone(), replace_tags });
        let op = if old.is_some() { HistoryOp::Update } else { HistoryOp::Insert };
        self.formal_history(&publish.key, old.as_deref().unwrap_or(&new), op, &publish.source, new.modified);
        if old.is_none() {
            self.configs.by_id.pin().insert(new.id, publish.key.clone());
            self.ledger.count_in(&publish.key);
        }
        let changed = old.as_ref().is_none_or(|old| old.md5 != new.md5);
        let published = Published { id: new.id, md5: new.md5.clone(), modified: new.modified, created: old.is_none() };
        let existence = self.replace(ConfigItem { formal: Some(new), ..(*item).clone() });
        if changed {
            let key = publish.key.clone();
            self.out.effects.changed.push(ConfigChange { key, gray: None, existence, modified: published.modified });
        }
        self.published_event(&publish.key, &publish.source, &published.md5, &Arc::default());
        Ok(published)
    }

    fn new_formal(&mut self, publish: &Publish, old: Option<&FormalConfig>) -> FormalConfig {
        let modified = self.time_after(old.map(|old| old.modified));
        let id = old.map(|old| old.id).unwrap_or_else(|| {
            self.ledger.last.config += 1;
            self.ledger.last.config
        });
        let mut meta = publish.meta.clone();
        if let Some(old) = old {
            if meta.app_name.is_empty() && !publish.replace_app {
                meta.app_name = old.meta.app_name.clone();
            }
            if !publish.replace_tags {
                meta.tags = old.meta.tags.clone();
            }
        }
        let meta = match old.filter(|old| *old.meta == meta) {
            Some(old) => Arc::clone(&old.meta),
            None => {
                let mut meta = Arc::new(meta);
                self.ledger.texts.share_whole_meta(&mut meta);
                meta
            }
        };
        FormalConfig {
            id,
            content: publish.content.clone(),
            md5: content::md5(&publish.content),
            meta,
            encrypted_data_key: publish.encrypted_data_key.clone(),
            created: old.map_or(modified, |old| old.created),
            modified,
            source: match old.filter(|old| *old.source == publish.source) {
                Some(old) => Arc::clone(&old.source),
                None => self.ledger.texts.shared_source(publish.source.clone()),
            },
        }
    }

    fn publish_gray(&mut self, publish: &Publish, target: &GrayTarget) -> Result<Published, Refusal> {
        let rule = target.rule()?;
        let name = target.name();
        let item = self.item_or_new(&publish.key);
        let old = item.gray(&name).cloned();
        self.check_cas(publish, old.as_ref().map(|old| &old.md5), true)?;
        if old.is_none() && item.grays.len() + item.asleep.len() >= publish.rules.gray_max as usize {
            return Err(Refusal::GrayOverLimit { max: publish.rules.gray_max });
        }

        let new = Arc::new(self.new_gray(publish, &name, rule, old.as_deref()));
        self.out.ops.push(StoreOp::PutGray { key: publish.key.clone(), gray: new.clone() });
        let op = if old.is_some() { HistoryOp::Update } else { HistoryOp::Insert };
        self.gray_history(&publish.key, old.as_deref().unwrap_or(&new), op, &publish.source, new.modified);
        let changed = old.as_ref().is_none_or(|old| old.asleep || old.md5 != new.md5 || old.rule != new.rule);
        let published = Published { id: new.id, md5: new.md5.clone(), modified: new.modified, created: old.is_none() };
        let name = new.name.clone();
        let existence = self.replace(item.with_gray(new));
        if changed {
            let (key, gray) = (publish.key.clone(), Some(name.clone()));
            self.out.effects.changed.push(ConfigChange { key, gray, existence, modified: published.modified });
        }
        self.published_event(&publish.key, &publish.source, &published.md5, &name);
        Ok(published)
    }

    fn new_gray(&mut self, publish: &Publish, name: &str, rule: GrayRule, old: Option<&GrayConfig>) -> GrayConfig {
        let modified = self.time_after(old.map(|old| old.modified));
        let id = old.map(|old| old.id).unwrap_or_else(|| {
            self.ledger.last.gray += 1;
            self.ledger.last.gray
        });
        GrayConfig {
            id,
            name: name.into(),
            rule,
            content: publish.content.clone(),
            md5: content::md5(&publish.content),
            encrypted_data_key: publish.encrypted_data_key.clone(),
            // Unlike a formal version's, it does not stay when a publish names none.
            app_name: publish.meta.app_name.clone(),
            created: old.map_or(modified, |old| old.created),
            modified,
            src_user: publish.source.user.clone(),
            src_ip: publish.source.ip.clone(),
            asleep: false,
        }
    }

    /// A non-blank md5 must be the stored one, letter for letter; a version that does not exist is created whatever the
    /// md5 (as recorded, and Dubbo relies on it).
    fn check_cas(&mut self, publish: &Publish, stored: Option<&Arc<str>>, gray: bool) -> Result<(), Refusal> {
        let Some(expected) = publish.cas_md5.as_deref().filter(|md5| !md5.trim().is_empty()) else { return Ok(()) };
        let Some(stored) = stored.filter(|stored| &***stored != expected) else { return Ok(()) };
        let cause = Cause::CasConflict { expected: expected.to_owned(), actual: stored.to_string() };
        self.config_event(&publish.key, &publish.source, cause);
        Err(Refusal::CasConflict { gray, actual: stored.clone() })
    }

    pub(super) fn published_event(&mut self, key: &ConfigKey, source: &Source, md5: &Arc<str>, gray: &Arc<str>) {
        let cause = Cause::ConfigPublished {
            md5: Arc::clone(md5),
            by: source.user.clone().unwrap_or_default(),
            from: Arc::clone(&source.ip),
            gray: Arc::clone(gray),
        };
        self.config_event(key, source, cause);
    }

    pub(super) fn item_or_new(&self, key: &ConfigKey) -> Arc<ConfigItem> {
        self.item(key).unwrap_or_else(|| Arc::new(ConfigItem::new(key.clone())))
    }

    pub(super) fn next_history(&mut self) -> u64 {
        self.ledger.last.history += 1;
        self.ledger.last.history
    }

    /// `row` is the new state of an insert and the replaced or removed one of the others.
    pub(super) fn formal_history(
        &mut self,
        key: &ConfigKey,
        row: &FormalConfig,
        op: HistoryOp,
        source: &Source,
        time: i64,
    ) {
        let nid = self.next_history();
        self.out.ops.push(StoreOp::AddHistory(HistoryRow {
            nid,
            id: row.id,
            key: key.clone(),
            app_name: row.meta.app_name.clone(),
            content: row.content.clone(),
            md5: row.md5.clone(),
            created: time,
            modified: time,
            src_user: source.user.clone(),
            src_ip: source.ip.clone(),
            op,
            encrypted_data_key: row.encrypted_data_key.clone(),
            gray_name: "".into(),
            ext_info: history::formal_ext(row, op),
        }));
    }

    pub(super) fn gray_history(
        &mut self,
        key: &ConfigKey,
        row: &GrayConfig,
        op: HistoryOp,
        source: &Source,
        time: i64,
    ) {
        let nid = self.next_history();
        self.out.ops.push(StoreOp::AddHistory(HistoryRow {
            nid,
            id: row.id,
            key: key.clone(),
            app_name: row.app_name.clone(),
            content: row.content.clone(),
            md5: row.md5.clone(),
            created: time,
            modified: time,
            src_user: source.user.clone(),
            src_ip: source.ip.clone(),
            op,
            encrypted_data_key: row.encrypted_data_key.clone(),
            gray_name: row.name.clone(),
            ext_info: history::gray_ext(row),
        }));
    }
}

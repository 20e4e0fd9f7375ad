//! Applying commands: decisions (compare-and-set, limits, conflicts) are made here and nowhere else.
//!
//! One command at a time: the ledger's lock is held throughout. A command first decides, then changes the index and
//! writes down what it did; a refusal leaves everything as it was.

mod import;
mod namespaces;
mod publish;
mod remove;

use std::sync::Arc;

use nacre_model::{Cause, ConfigKey, Event, Now, Subject};

use crate::{
    CapacityLimit, CapacityRow, CapacityRules, CapacityScope, ConfigCommand, ConfigItem, ConfigReply, Configs,
    Existence, FormalConfig, Outcome, Publish, Refusal, SetCapacity, Source, StoreOp, UpdateMetadata,
    capacity::{clamp, default_quota},
    configs::Ledger,
};

pub(crate) fn apply(configs: &Configs, command: ConfigCommand, now: Now) -> Outcome {
    let mut ledger = configs.ledger.lock();
    let mut apply = Apply { configs, ledger: &mut ledger, now, out: Outcome::default() };
    let reply = match command {
        ConfigCommand::Publish(publish) => apply.publish(*publish).map(ConfigReply::Published),
        ConfigCommand::Remove(remove) => Ok(apply.remove(&remove)),
        ConfigCommand::RemoveIds(remove) => Ok(apply.remove_ids(&remove)),
        ConfigCommand::Import(import) => Ok(ConfigReply::Imported(apply.import(import))),
        ConfigCommand::Clone(clone) => Ok(ConfigReply::Imported(apply.clone_configs(&clone))),
        ConfigCommand::UpdateMetadata(update) => apply.update_metadata(&update),
        ConfigCommand::CreateNamespace(form) => apply.create_namespace(&form),
        ConfigCommand::UpdateNamespace(form) => Ok(apply.update_namespace(&form)),
        ConfigCommand::DeleteNamespace { id } => Ok(apply.delete_namespace(&id)),
        ConfigCommand::SetCapacity(set) => Ok(apply.set_capacity(&set)),
        ConfigCommand::PurgeHistory(purge) => {
            apply.out.ops.push(StoreOp::PurgeHistory { before: purge.before });
            Ok(ConfigReply::Done)
        }
    };
    let mut out = apply.out;
    out.reply = reply.unwrap_or_else(ConfigReply::Refused);
    out
}

/// One command on its way.
struct Apply<'a> {
    configs: &'a Configs,
    ledger: &'a mut Ledger,
    now: Now,
    out: Outcome,
}

impl Apply<'_> {
    fn event(&mut self, subject: Subject, cause: Cause) {
        self.out.effects.events.push(Event::new(self.now, subject, cause));
    }

    /// About a config, with who did it.
    fn config_event(&mut self, key: &ConfigKey, source: &Source, cause: Cause) {
        let mut subject = Subject::config(key);
        if !source.ip.is_empty() {
            subject = subject.with_client(&source.ip);
        }
        self.event(subject, cause);
    }

    fn item(&self, key: &ConfigKey) -> Option<Arc<ConfigItem>> {
        self.configs.items.pin().get(key).cloned()
    }

    /// Puts the new state of a key into the index (an empty item takes it out) and tells whether it came or went for those
    /// who read and listen.
    fn replace(&mut self, item: ConfigItem) -> Existence {
        let items = self.configs.items.pin();
        let before = items.get(&item.key).map(|item| (item.is_live(), item.grays.is_empty()));
        // A new version of what is known moves in no index.
        if before != Some((item.is_live(), item.grays.is_empty())) {
            self.ledger.index(&item);
        }
        let (was_live, is_live) = (before.is_some_and(|(live, _)| live), item.is_live());
        if item.is_empty() {
            items.remove(&item.key);
        } else {
            items.insert(item.key.clone(), Arc::new(item));
        }
        match (was_live, is_live) {
            (false, true) => Existence::Appeared,
            (true, false) => Existence::Vanished,
            _ => Existence::Unchanged,
        }
    }

    /// Milliseconds for a row that replaces one of `previous`: time never goes back for a key.
    fn time_after(&self, previous: Option<i64>) -> i64 {
        self.now.wall.max(previous.unwrap_or(i64::MIN))
    }

    fn check_namespace(&self, key: &ConfigKey, must_exist: bool) -> Result<(), Refusal> {
        if must_exist && !self.configs.namespace_exists(&key.namespace) {
            return Err(Refusal::NamespaceUnknown { id: key.namespace.clone() });
        }
        Ok(())
    }

    /// The limits of a formal publish, when they are enforced. Rows of the scopes it counts in are made on the way.
    fn check_capacity(&mut self, publish: &Publish, exists: bool) -> Result<(), Refusal> {
        let Some(rules) = &publish.rules.capacity else { return Ok(()) };
        let key = &publish.key;
        let scope = self.scope_of(key);
        let refuse = |what| Err(Refusal::Capacity { what, key: key.clone() });
        let row = self.capacity_row(&scope, rules);
        let max_size = if row.max_size == 0 { clamp(rules.max_size) } else { row.max_size };
        let too_big = publish.content.len() as i64 > i64::from(max_size);
        if exists {
            return if too_big { refuse(CapacityLimit::SizeOnUpdate) } else { Ok(()) };
        }
        let cluster = self.capacity_row(&CapacityScope::Cluster, rules);
        for row in [cluster, row] {
            let quota = if row.quota == 0 { default_quota(&row.scope, rules) } else { row.quota };
            if self.ledger.usage(&row.scope) as i64 >= i64::from(quota) {
                return refuse(match row.scope {
                    CapacityScope::Cluster => CapacityLimit::Cluster,
                    CapacityScope::Group(_) => CapacityLimit::Group,
                    CapacityScope::Tenant(_) => CapacityLimit::Tenant,
                });
            }
        }
        if too_big { refuse(CapacityLimit::Size) } else { Ok(()) }
    }

    /// The scope a config counts in: its namespace; in the default namespace its group (as 2.x), unless somebody gave
    /// that namespace a row of its own (as 3.x).
    fn scope_of(&self, key: &ConfigKey) -> CapacityScope {
        let tenant = CapacityScope::Tenant(key.namespace.clone());
        if &*key.namespace == nacre_model::PUBLIC && !self.ledger.capacity.contains_key(&tenant) {
            return CapacityScope::Group(key.group.clone());
        }
        tenant
    }

    /// The row of a scope, made when it is not there.
    fn capacity_row(&mut self, scope: &CapacityScope, rules: &CapacityRules) -> CapacityRow {
        if let Some(row) = self.ledger.capacity.get(scope) {
            return row.clone();
        }
        let id = match scope {
            CapacityScope::Tenant(_) => &mut self.ledger.last.tenant_capacity,
            CapacityScope::Cluster | CapacityScope::Group(_) => &mut self.ledger.last.group_capacity,
        };
        *id += 1;
        let id = *id;
        let usage = clamp(u32::try_from(self.ledger.usage(scope)).unwrap_or(u32::MAX));
        let default = default_quota(scope, rules);
        let quota = if usage >= default {
            let more = i64::from(default) * i64::from(rules.initial_expansion_percent) / 100;
            i32::try_from(i64::from(usage) + more).unwrap_or(i32::MAX)
        } else {
            0
        };
        let row = CapacityRow {
            id,
            scope: scope.clone(),
            quota,
            max_size: 0,
            max_aggr_count: 0,
            max_aggr_size: 0,
            created: self.now.wall,
            modified: self.now.wall,
        };
        self.ledger.capacity.insert(scope.clone(), row.clone());
        self.out.ops.push(StoreOp::PutCapacity(row.clone()));
        row
    }

    fn set_capacity(&mut self, set: &SetCapacity) -> ConfigReply {
        let scope = set.scope.canonical();
        let mut row = self.capacity_row(&scope, &set.defaults);
        let before = row.clone();
        row.quota = set.quota.unwrap_or(row.quota);
        row.max_size = set.max_size.unwrap_or(row.max_size);
        row.max_aggr_count = set.max_aggr_count.unwrap_or(row.max_aggr_count);
        row.max_aggr_size = set.max_aggr_size.unwrap_or(row.max_aggr_size);
        if row != before {
            row.modified = self.now.wall;
            self.ledger.capacity.insert(scope, row.clone());
            self.out.ops.push(StoreOp::PutCapacity(row));
        }
        ConfigReply::Done
    }

    fn update_metadata(&mut self, update: &UpdateMetadata) -> Result<ConfigReply, Refusal> {
        let item = self.item(&update.key).ok_or(Refusal::NotFound)?;
        let old = item.formal.as_ref().ok_or(Refusal::NotFound)?;
        let mut new = FormalConfig { modified: self.time_after(Some(old.modified)), ..(**old).clone() };
        if let Some(desc) = &update.desc {
            Arc::make_mut(&mut new.meta).desc = Some(desc.clone());
        }
        if let Some(tags) = &update.tags {
            Arc::make_mut(&mut new.meta).tags.clone_from(tags);
        }
        self.ledger.texts.share_whole_meta(&mut new.meta);
        let new = Arc::new(new);
        self.out.ops.push(StoreOp::PutConfig {
            key: update.key.clone(),
            config: new.clone(),
            replace_tags: update.tags.is_some(),
        });
        let published = crate::Published { id: new.id, md5: new.md5.clone(), modified: new.modified, created: false };
        self.replace(ConfigItem { formal: Some(new), ..(*item).clone() });
        self.published_event(&item.key, &update.source, &published.md5, &Arc::default());
        Ok(ConfigReply::Published(published))
    }
}

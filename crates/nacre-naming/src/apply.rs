//! Durable commands: whether they are allowed, what they change, which rows they write.

use std::sync::Arc;

use nacre_model::{Cause, ErrorCode, Event, Instance, NacosError, Now, Row, ServiceKey, Subject};

use crate::{
    Applied, ClientId, ClusterMetadata, Effects, InstanceMetadata, Naming, NamingCommand, NamingReply, ServiceMetadata,
    Switches, check_instance,
    naming::subject,
    publish::{Asked, nothing},
    rows,
    slot::{SlotState, reference},
};

/// An [`Applied`] in the making.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub reply: Result<NamingReply, NacosError>,
    pub effects: Effects,
    pub rows: Vec<Row>,
}

impl Outcome {
    pub fn done() -> Self {
        Self { reply: Ok(NamingReply::Done), effects: Effects::default(), rows: Vec::new() }
    }

    pub fn refused(error: NacosError) -> Self {
        Self { reply: Err(error), ..Self::done() }
    }
}

impl From<Outcome> for Applied {
    fn from(outcome: Outcome) -> Self {
        let Outcome { reply, effects, rows } = outcome;
        Self { reply, effects, rows }
    }
}

impl Naming {
    /// Applies one durable command, in log order. Deterministic in durable state.
    pub fn apply(&self, command: &NamingCommand, now: Now) -> Applied {
        let outcome = match command {
            NamingCommand::RegisterPersistent { service, instance } => self.register_persistent(service, instance, now),
            NamingCommand::DeregisterPersistent { service, ip, port } => {
                self.deregister_persistent(service, ip, *port, now)
            }
            NamingCommand::ChangeHealth { service, ip, port, healthy, reason } => {
                self.change_health(service, ip, *port, *healthy, reason, now)
            }
            NamingCommand::CreateService { service, metadata } => self.create(service, metadata, now),
            NamingCommand::UpdateService { service, protect_threshold, selector, metadata } => {
                self.update(service, now, |held| {
                    held.protect_threshold = *protect_threshold;
                    held.selector = selector.clone();
                    held.metadata = metadata.clone();
                })
            }
            NamingCommand::DeleteService { service } => self.delete(service, now),
            NamingCommand::UpdateCluster { service, cluster, metadata } => {
                self.update_cluster(service, cluster, metadata, now)
            }
            NamingCommand::UpdateInstance { service, instance, ephemeral, weight, enabled, metadata } => {
                let mut probe = Instance::new(&instance.ip, instance.port);
                probe.cluster = Arc::clone(&instance.cluster);
                probe.metadata = Arc::new(metadata.clone());
                match check_instance(&probe) {
                    Err(error) => Outcome::refused(error),
                    Ok(()) => {
                        let (weight, enabled, metadata) = (Some(*weight), Some(*enabled), metadata.clone());
                        let data = InstanceMetadata { weight, enabled, metadata };
                        self.update_instance(service, instance, *ephemeral, data, now)
                    }
                }
            }
            NamingCommand::PatchInstance { service, instance, weight, enabled, metadata } => {
                self.patch_instance(service, instance, *weight, *enabled, metadata.as_ref(), now)
            }
            NamingCommand::UpdateInstanceMetadata { service, consistency, instances, metadata } => {
                let merge = |held: &mut nacre_model::Metadata| held.extend(metadata.clone());
                self.change_metadata(service, *consistency, instances, merge, now)
            }
            NamingCommand::DeleteInstanceMetadata { service, consistency, instances, keys } => {
                let remove = |held: &mut nacre_model::Metadata| held.retain(|key, _| !keys.contains(key));
                self.change_metadata(service, *consistency, instances, remove, now)
            }
            NamingCommand::ExpireInstanceMetadata { service, instance } => self.expire_record(service, instance, now),
            NamingCommand::ExpireServiceMetadata { service } => self.expire_service_metadata(service, now),
            NamingCommand::SetSwitch { entry, value } => self.set_switch(entry, value, now),
        };
        outcome.into()
    }

    fn register_persistent(&self, service: &ServiceKey, instance: &Instance, now: Now) -> Outcome {
        let mut instance = instance.clone();
        instance.ephemeral = false;
        // Whoever asks over HTTP has checked it; over gRPC the reference takes any.
        let asked = Asked { how: "persistent", batch: false };
        match self.publish_address(service, instance.clone(), asked, now) {
            Err(error) => Outcome::refused(error),
            Ok(effects) => {
                let row = rows::instance(service, &instance.ip, instance.port, Some(&instance));
                Outcome { effects, rows: vec![row], ..Outcome::done() }
            }
        }
    }

    fn deregister_persistent(&self, service: &ServiceKey, ip: &str, port: i32, now: Now) -> Outcome {
        let mut outcome = Outcome::done();
        let id = ClientId::persistent(ip, port);
        if self.deregister_address(service, &id, now, &mut outcome.effects) {
            outcome.rows.push(rows::instance(service, ip, port, None));
        } else {
            let ephemeral = self.publishers(service).iter().any(|published| published.client.is_ephemeral());
            let reason =
                if ephemeral { "the service's instances are ephemeral" } else { "no such persistent instance" };
            outcome.effects.events.push(nothing(service, &id, "deregister", reason, now));
            // Who knows the client takes it for a change of the service, whatever the client publishes.
            if self.clients.get(&id).is_some() {
                self.with_found(service, |slot, state| self.touch(slot, state, now, &mut outcome.effects));
            }
        }
        outcome
    }

    fn change_health(
        &self,
        service: &ServiceKey,
        ip: &str,
        port: i32,
        healthy: bool,
        reason: &str,
        now: Now,
    ) -> Outcome {
        let id = ClientId::persistent(ip, port);
        let changed = self.with_found(service, |slot, state| {
            let publication = Arc::clone(&state.publishers.get(&id)?.0);
            let instance = {
                let mut entry = publication.entry.lock();
                let held = entry.instances.first_mut()?;
                if held.healthy == healthy {
                    return None;
                }
                let mut changed = (**held).clone();
                changed.healthy = healthy;
                *held = Arc::new(changed);
                Arc::clone(held)
            };
            let mut outcome = Outcome::done();
            let cause = if healthy {
                Cause::InstanceHealthy { cause: reason.to_owned() }
            } else {
                Cause::InstanceUnhealthy { cause: reason.to_owned(), silent_ms: 0, beats: 0, gaps: Vec::new() }
            };
            let shown = state.shown(&reference(&instance));
            outcome.effects.events.push(Event::new(now, subject(service, &instance, &id), cause).showing(shown));
            outcome.rows.push(rows::instance(service, ip, port, Some(&instance)));
            self.touch(slot, state, now, &mut outcome.effects);
            self.watch_protection(slot, state, now);
            Some(outcome)
        });
        changed.flatten().unwrap_or_else(Outcome::done)
    }

    fn create(&self, service: &ServiceKey, metadata: &ServiceMetadata, now: Now) -> Outcome {
        self.with_slot(service, now, |slot, state| {
            if state.registered.is_some() {
                let text = format!("specified service {} already exists!", service.grouped());
                return Outcome::refused(NacosError::new(400, ErrorCode::SERVICE_ALREADY_EXIST, text));
            }
            let mut outcome = Outcome::done();
            state.metadata = Some(Arc::new(metadata.clone()));
            self.create_service(slot, state, metadata.ephemeral, "operator", now, &mut outcome.effects);
            outcome.rows.push(rows::service(service, Some(metadata)));
            outcome
        })
    }

    /// Changes the metadata of a service that exists; it gets some if it had none.
    fn update(&self, service: &ServiceKey, now: Now, change: impl FnOnce(&mut ServiceMetadata)) -> Outcome {
        let updated = self.with_found(service, |slot, state| {
            let registered = state.registered?;
            let mut metadata = state.metadata.as_deref().cloned().unwrap_or_default();
            metadata.ephemeral = registered.ephemeral;
            change(&mut metadata);
            let mut outcome = Outcome::done();
            outcome.rows.push(rows::service(service, Some(&metadata)));
            state.metadata = Some(Arc::new(metadata));
            // Not pushed: subscribers see it with the next change (recorded of 2.5.1 and 3.1.0).
            self.refresh(slot, state, now);
            self.service_changed(state, now);
            self.watch_protection(slot, state, now);
            outcome.effects.events.push(Event::new(now, Subject::service(service), Cause::ServiceUpdated));
            Some(outcome)
        });
        updated.flatten().unwrap_or_else(|| {
            let text = format!("service {} not found!", service.grouped());
            Outcome::refused(NacosError::new(400, ErrorCode::SERVICE_NOT_EXIST, text))
        })
    }

    /// An edit shows that somebody still wants the service; beats may be checked by other rules from now on.
    fn service_changed(&self, state: &mut SlotState, now: Now) {
        self.persistent_changed();
        state.empty_since = now.mono;
        for publication in &state.publishers {
            self.apply_rules(state, &publication.0, now);
        }
    }

    fn update_cluster(
        &self,
        service: &ServiceKey,
        cluster: &Arc<str>,
        metadata: &ClusterMetadata,
        now: Now,
    ) -> Outcome {
        let mut outcome = self.update(service, now, |held| {
            held.clusters.insert(Arc::clone(cluster), metadata.clone());
        });
        if outcome.reply.is_err() {
            let text = format!("service not found:{}", service.grouped());
            outcome.reply = Err(NacosError::new(400, ErrorCode::SERVER_ERROR, text));
        }
        outcome
    }

    fn delete(&self, service: &ServiceKey, now: Now) -> Outcome {
        let deleted = self.with_found(service, |slot, state| {
            state.registered?;
            // An SDK that takes the last instance out of a batch leaves an empty one.
            if state.publishers.iter().any(|held| !held.0.entry.lock().instances.is_empty()) {
                let name = service.grouped();
                let text = format!("Service {name} is not empty, can't be delete. Please unregister instance first");
                return Some(Outcome::refused(NacosError::new(400, ErrorCode::SERVICE_DELETE_FAILURE, text)));
            }
            let mut outcome = Outcome::done();
            if state.metadata.take().is_some() {
                outcome.rows.push(rows::service(service, None));
            }
            self.remove_service(slot, state, "operator", now, &mut outcome.effects);
            Some(outcome)
        });
        deleted.flatten().unwrap_or_else(|| {
            let text = format!("service {} not found!", service.grouped());
            Outcome::refused(NacosError::new(400, ErrorCode::SERVICE_NOT_EXIST, text))
        })
    }

    fn expire_service_metadata(&self, service: &ServiceKey, now: Now) -> Outcome {
        let expired = self.with_found(service, |slot, state| {
            let due = state.registered.is_none() && state.metadata_expires.is_some_and(|at| at <= now.mono);
            if !due || state.metadata.take().is_none() {
                return None;
            }
            state.metadata_expires = None;
            self.refresh(slot, state, now);
            let mut outcome = Outcome::done();
            outcome.rows.push(rows::service(service, None));
            Some(outcome)
        });
        expired.flatten().unwrap_or_else(Outcome::done)
    }

    fn set_switch(&self, entry: &str, value: &str, now: Now) -> Outcome {
        match self.changed_switches(entry, value) {
            Err(error) => Outcome::refused(error),
            Ok(switches) => {
                let mut outcome = Outcome::done();
                outcome.rows.push(rows::switches(&switches));
                self.install_switches(entry, value, switches, now, &mut outcome.effects);
                outcome
            }
        }
    }

    /// PUT switches with `debug=true`: this node only, not durable.
    pub fn set_switch_local(&self, entry: &str, value: &str, now: Now) -> Result<Effects, NacosError> {
        let mut effects = Effects::default();
        let switches = self.changed_switches(entry, value)?;
        self.install_switches(entry, value, switches, now, &mut effects);
        Ok(effects)
    }

    fn changed_switches(&self, entry: &str, value: &str) -> Result<Switches, NacosError> {
        let mut switches = (**self.switches.load()).clone();
        switches.set(entry, value)?;
        Ok(switches)
    }

    fn install_switches(&self, entry: &str, value: &str, switches: Switches, now: Now, effects: &mut Effects) {
        let cause = if **self.switches.load() == switches {
            let reason = format!("entry {entry} with this value changes nothing");
            Cause::NothingChanged { call: "switches".into(), reason }
        } else {
            Cause::SwitchChanged { entry: entry.to_owned(), value: value.to_owned() }
        };
        effects.events.push(Event::new(now, Subject::default(), cause));
        self.switches.store(Arc::new(switches));
    }
}

//! The operator's layer of instance metadata: commands and the life of records (spec/naming.md 4).

use std::sync::Arc;

use nacre_model::{Cause, ErrorCode, Event, Metadata, NacosError, Now, ServiceKey, Subject, key::ServiceNames};

use crate::{
    Consistency, Effects, InstanceMetadata, InstanceRef, Naming, NamingReply,
    apply::Outcome,
    rows,
    slot::{Record, Slot, SlotState, is_at, reference},
    wheel::Timer,
};

/// An operator's record of an address that nobody publishes is kept this long for the instance to come.
const UNCLAIMED_RECORD_MS: u64 = 3_600_000;

/// After a restart records wait this many times their usual time for their instances to register again.
const RESTORED_RECORD_FACTOR: u64 = 10;

impl Naming {
    /// The record's instance has left, or never came: from now on the record ages.
    pub(crate) fn age_record(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        instance: &InstanceRef,
        wait: u64,
        now: Now,
    ) {
        if let Some(record) = state.records.get_mut(instance) {
            let expires = now.mono.saturating_add(wait);
            record.expires = Some(expires);
            self.set_timer(expires, Timer::Record(Box::new((Arc::clone(slot), instance.clone()))));
        }
    }

    pub(crate) fn update_instance(
        &self,
        service: &ServiceKey,
        instance: &InstanceRef,
        ephemeral: bool,
        data: InstanceMetadata,
        now: Now,
    ) -> Outcome {
        let stored = self.with_found(service, |slot, state| {
            state.registered?;
            let mut outcome = Outcome::done();
            self.put_record(slot, state, instance, data, now, &mut outcome);
            Some(outcome)
        });
        stored.flatten().unwrap_or_else(|| {
            let shown = service_text(service, ephemeral);
            let text = format!("service not found, namespace: {}, service: {shown}", service.namespace);
            Outcome::refused(NacosError::new(400, ErrorCode::INSTANCE_ERROR, text))
        })
    }

    pub(crate) fn patch_instance(
        &self,
        service: &ServiceKey,
        instance: &InstanceRef,
        weight: Option<f64>,
        enabled: Option<bool>,
        metadata: Option<&Metadata>,
        now: Now,
    ) -> Outcome {
        if let Err(error) = self.instance(service, &instance.ip, instance.port, &instance.cluster) {
            return Outcome::refused(error);
        }
        let patched = self.with_found(service, |slot, state| {
            let mut data = state.records.get(instance).map(|record| (*record.data).clone()).unwrap_or_default();
            data.weight = weight.or(data.weight);
            data.enabled = enabled.or(data.enabled);
            if let Some(metadata) = metadata {
                data.metadata = metadata.clone();
            }
            let mut outcome = Outcome::done();
            self.put_record(slot, state, instance, data, now, &mut outcome);
            outcome
        });
        patched.unwrap_or_else(Outcome::done)
    }

    /// Changes the metadata keys of several records; instances that do not exist are skipped.
    pub(crate) fn change_metadata(
        &self,
        service: &ServiceKey,
        consistency: Consistency,
        instances: &[InstanceRef],
        change: impl Fn(&mut Metadata),
        now: Now,
    ) -> Outcome {
        let mut updated = Vec::new();
        let outcome = self.with_found(service, |slot, state| {
            let mut outcome = Outcome::done();
            let Some(registered) = state.registered else { return outcome };
            let wanted_kind = match consistency {
                Consistency::Any => true,
                Consistency::Ephemeral => registered.ephemeral,
                Consistency::Persist => !registered.ephemeral,
            };
            let known = if wanted_kind { state.merged() } else { Vec::new() };
            let known: Vec<InstanceRef> = known.iter().map(|instance| reference(instance)).collect();
            let targets: Vec<InstanceRef> = if instances.is_empty() {
                known
            } else {
                instances.iter().filter(|instance| known.contains(instance)).cloned().collect()
            };
            for target in targets {
                let mut data = state.records.get(&target).map(|record| (*record.data).clone()).unwrap_or_default();
                change(&mut data.metadata);
                self.put_record(slot, state, &target, data, now, &mut outcome);
                let kind = if registered.ephemeral { "ephemeral" } else { "persist" };
                updated.push(format!("{}:{}:unknown:{}:{kind}", target.ip, target.port, target.cluster));
            }
            outcome
        });
        let mut outcome = outcome.unwrap_or_else(Outcome::done);
        outcome.reply = Ok(NamingReply::Updated(updated));
        outcome
    }

    fn put_record(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        instance: &InstanceRef,
        data: InstanceMetadata,
        now: Now,
        outcome: &mut Outcome,
    ) {
        outcome.rows.push(rows::record(&slot.key, instance, Some(&data)));
        let cause =
            Cause::OperatorMetadata { enabled: data.enabled.unwrap_or(true), weight: data.weight.unwrap_or(1.0) };
        let about = Subject::service(&slot.key).with_instance(&identity(instance));
        state.records.insert(instance.clone(), Record { data: Arc::new(data), expires: None });
        outcome.effects.events.push(Event::new(now, about, cause).showing(state.shown(instance)));
        let publishers: Vec<_> = state
            .publishers
            .iter()
            .filter(|held| held.0.entry.lock().instances.iter().any(|one| is_at(one, instance)))
            .map(|held| Arc::clone(&held.0))
            .collect();
        if publishers.is_empty() {
            self.age_record(slot, state, instance, UNCLAIMED_RECORD_MS, now);
        }
        for publication in publishers {
            self.apply_rules(state, &publication, now);
        }
        self.touch(slot, state, now, &mut outcome.effects);
        self.watch_protection(slot, state, now);
    }

    /// The cleaner's command: drops the record if it is still old enough.
    pub(crate) fn expire_record(&self, service: &ServiceKey, instance: &InstanceRef, now: Now) -> Outcome {
        let expired = self.with_found(service, |slot, state| {
            let due = state.records.get(instance).and_then(|record| record.expires).is_some_and(|at| at <= now.mono);
            if !due {
                return None;
            }
            state.records.remove(instance);
            self.refresh(slot, state, now);
            let mut outcome = Outcome::done();
            outcome.rows.push(rows::record(service, instance, None));
            Some(outcome)
        });
        expired.flatten().unwrap_or_else(Outcome::done)
    }

    /// A record out of the durable table: its instance may take a while to come back.
    pub(crate) fn restore_record(
        &self,
        service: &ServiceKey,
        instance: InstanceRef,
        data: InstanceMetadata,
        now: Now,
        effects: &mut Effects,
    ) {
        self.with_slot(service, now, |slot, state| {
            if state.records.get(&instance).is_some_and(|held| *held.data == data) {
                return;
            }
            let publishers: Vec<_> = state
                .publishers
                .iter()
                .filter(|held| held.0.entry.lock().instances.iter().any(|one| is_at(one, &instance)))
                .map(|held| Arc::clone(&held.0))
                .collect();
            state.records.insert(instance.clone(), Record { data: Arc::new(data), expires: None });
            if publishers.is_empty() {
                let wait = self.options.expired_metadata_ms.saturating_mul(RESTORED_RECORD_FACTOR);
                self.age_record(slot, state, &instance, wait, now);
            }
            for publication in publishers {
                self.apply_rules(state, &publication, now);
            }
            self.touch(slot, state, now, effects);
        });
    }

    /// A record's timer fired: what to propose.
    pub(crate) fn record_due(&self, slot: &Arc<Slot>, instance: &InstanceRef, now: Now, effects: &mut Effects) {
        let state = slot.state.lock();
        let due = state.records.get(instance).and_then(|record| record.expires).is_some_and(|at| at <= now.mono);
        if due {
            effects.propose.push(crate::NamingCommand::ExpireInstanceMetadata {
                service: slot.key.clone(),
                instance: instance.clone(),
            });
            // If the write road is closed now, the record must not be forgotten.
            self.set_timer(
                now.mono + self.options.expired_metadata_ms.max(1_000),
                Timer::Record(Box::new((Arc::clone(slot), instance.clone()))),
            );
        }
    }
}

pub(crate) fn identity(instance: &InstanceRef) -> String {
    format!("{}:{}:{}", instance.ip, instance.port, instance.cluster)
}

/// A service as the reference prints its object.
pub(crate) fn service_text(service: &ServiceKey, ephemeral: bool) -> String {
    let ServiceNames { namespace, group, name } = &**service;
    format!("Service{{namespace='{namespace}', group='{group}', name='{name}', ephemeral={ephemeral}, revision=0}}")
}

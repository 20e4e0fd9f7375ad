//! Bringing the registry in line with the durable table: at start, and when a snapshot of another node was installed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use nacre_model::{Cause, Event, Instance, Now, Row, ServiceKey, Subject};

use crate::{
    ClientId, Effects, InstanceMetadata, InstanceRef, Naming, ServiceMetadata, Switches,
    publish::Asked,
    rows::{self, Restored},
    slot::Slot,
};

/// What the table says.
#[derive(Default)]
struct Wanted {
    services: BTreeMap<ServiceKey, ServiceMetadata>,
    instances: BTreeMap<(ServiceKey, Arc<str>, i32), Instance>,
    records: HashMap<(ServiceKey, InstanceRef), InstanceMetadata>,
    switches: Switches,
}

impl Wanted {
    fn read(rows: impl IntoIterator<Item = Row>) -> Result<Self, String> {
        let mut wanted = Self::default();
        for row in rows {
            match rows::read(&row)? {
                Restored::Service(key, metadata) => {
                    wanted.services.insert(key, metadata);
                }
                Restored::Instance(key, instance) => {
                    wanted.instances.insert((key, Arc::clone(&instance.ip), instance.port), instance);
                }
                Restored::Record(key, at, data) => {
                    wanted.records.insert((key, at), data);
                }
                Restored::Switches(switches) => wanted.switches = *switches,
            }
        }
        Ok(wanted)
    }
}

impl Naming {
    /// Makes the durable part of the registry what the table says (rows of all kinds this crate wrote, any order). At
    /// start the registry is empty and nobody is to hear of it; later the effects tell what became different. A row
    /// that cannot be read is an error that names it, and then nothing has changed.
    pub fn restore(&self, rows: impl IntoIterator<Item = Row>, now: Now) -> Result<Effects, String> {
        let wanted = Wanted::read(rows)?;
        let fresh = self.slots.is_empty();
        let mut effects = Effects::default();
        self.switches.store(Arc::new(wanted.switches.clone()));
        let slots: Vec<Arc<Slot>> = self.slots.pin().values().cloned().collect();
        for slot in slots {
            self.drop_unwanted(&slot, &wanted, now, &mut effects);
        }
        // Services first: they say what kind they are; then their instances; records last, to see who is there.
        for (key, metadata) in wanted.services {
            self.restore_service(&key, metadata, now, &mut effects);
        }
        for ((key, ip, port), instance) in wanted.instances {
            let held = self.publishers(&key).into_iter().find(|p| p.client == ClientId::persistent(&ip, port));
            if held.is_some_and(|held| *held.instance == instance) {
                continue;
            }
            match self.publish_address(&key, instance, Asked { how: "restore", batch: false }, now) {
                Ok(published) => effects.merge(published),
                Err(error) => {
                    let about = Subject::service(&key).with_client(&format!("{ip}:{port}#false"));
                    let (code, reason) = (error.status, error.message);
                    effects.events.push(Event::new(
                        now,
                        about,
                        Cause::Refused { call: "restore".into(), code, reason },
                    ));
                }
            }
        }
        for ((key, at), data) in wanted.records {
            self.restore_record(&key, at, data, now, &mut effects);
        }
        self.persistent_changed();
        if fresh {
            // Nobody subscribes yet, and what was there before the restart is no news; what was refused is.
            effects.events.retain(|event| matches!(*event.cause, Cause::Refused { .. }));
            return Ok(Effects { events: effects.events, ..Effects::default() });
        }
        Ok(effects)
    }

    fn drop_unwanted(&self, slot: &Arc<Slot>, wanted: &Wanted, now: Now, effects: &mut Effects) {
        let gone = self.with_held(slot, |slot, state| {
            let key = &slot.key;
            let before = state.records.len();
            state.records.retain(|at, _| wanted.records.contains_key(&(key.clone(), at.clone())));
            if state.records.len() < before {
                self.touch(slot, state, now, effects);
            }
            if state.metadata.is_some() && !wanted.services.contains_key(key) {
                state.metadata = None;
                state.metadata_expires = None;
                self.refresh(slot, state, now);
            }
            let persistent = state.publishers.iter().filter_map(|held| match &held.0.client.id {
                ClientId::IpPort { ip, port, ephemeral: false } => Some((Arc::clone(ip), *port)),
                _ => None,
            });
            let unwanted =
                |(ip, port): &(Arc<str>, i32)| !wanted.instances.contains_key(&(key.clone(), Arc::clone(ip), *port));
            persistent.filter(unwanted).collect::<Vec<_>>()
        });
        for (ip, port) in gone.unwrap_or_default() {
            self.deregister_address(&slot.key, &ClientId::IpPort { ip, port, ephemeral: false }, now, effects);
        }
    }

    fn restore_service(&self, key: &ServiceKey, metadata: ServiceMetadata, now: Now, effects: &mut Effects) {
        self.with_slot(key, now, |slot, state| {
            let ephemeral = metadata.ephemeral;
            if state.metadata.as_deref() != Some(&metadata) {
                state.metadata = Some(Arc::new(metadata));
                self.refresh(slot, state, now);
                self.watch_protection(slot, state, now);
            }
            state.metadata_expires = None;
            let other_kind = state.registered.is_some_and(|held| held.ephemeral != ephemeral);
            if other_kind && state.publishers.is_empty() {
                self.remove_service(slot, state, "restore", now, effects);
            }
            if state.registered.is_none() {
                self.create_service(slot, state, ephemeral, "restore", now, effects);
            }
        });
    }
}

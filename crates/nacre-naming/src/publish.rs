//! Registering and deregistering.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use nacre_model::{
    Cause, ErrorCode, Event, Instance, Metadata, NacosError, Now, ServiceKey, Subject,
    event::Removal,
    instance::{has_preserved, metadata_ms, preserved},
};
use smallvec::{SmallVec, smallvec};

use crate::{
    ClientId, Effects, HealthChecker, Naming, check_instance,
    client::{ALIVE, BATCH, BEATEN, ByClient, Client, HEALTHY, MISMATCH, Publication, SENDERS, SILENT},
    naming::{subject, subject_shown},
    slot::{Slot, SlotState, reference, same_address},
};

/// Why a publication did not come about.
pub(crate) enum Unpublished {
    Refused(NacosError),
    /// The client object died meanwhile.
    ClientGone,
}

impl From<NacosError> for Unpublished {
    fn from(error: NacosError) -> Self {
        Self::Refused(error)
    }
}

/// What one call publishes: nearly always one instance.
pub(crate) type Given = SmallVec<[Instance; 1]>;

/// How a publication is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// For the journal: `grpc`, `http`, `beat`, `grpc batch`, `persistent`.
    pub how: &'static str,
    pub batch: bool,
}

impl Naming {
    /// `registerInstance` of a connection: its one entry of this service is replaced, a batch too.
    pub fn register(
        &self,
        client: &ClientId,
        service: &ServiceKey,
        instance: Instance,
        now: Now,
    ) -> Result<Effects, NacosError> {
        check_instance(&instance)?;
        self.publish_connection(client, service, smallvec![instance], Asked { how: "grpc", batch: false }, now)
    }

    /// `batchRegisterInstance`: the whole entry of (connection, service) is replaced by these, possibly none. As in the reference
    /// nobody looks at their timers and clusters.
    pub fn register_batch(
        &self,
        client: &ClientId,
        service: &ServiceKey,
        instances: Vec<Instance>,
        now: Now,
    ) -> Result<Effects, NacosError> {
        let limit = nacre_model::limits::INSTANCES_PER_BATCH as usize;
        if instances.len() > limit {
            return Err(NacosError::invalid(format!(
                "batch of {} instances is over the limit of {limit}",
                instances.len()
            )));
        }
        self.publish_connection(client, service, instances.into(), Asked { how: "grpc batch", batch: true }, now)
    }

    fn publish_connection(
        &self,
        id: &ClientId,
        service: &ServiceKey,
        mut instances: Given,
        asked: Asked,
        now: Now,
    ) -> Result<Effects, NacosError> {
        let client = self.clients.get(id);
        let mut effects = Effects::default();
        self.with_slot(service, now, |slot, state| {
            check_kind(slot, state, true, asked.batch)?;
            let Some(client) = &client else { return Err(disconnected(id)) };
            match self.publish(slot, state, client, &mut instances, asked, now, &mut effects) {
                Ok(()) => Ok(()),
                Err(Unpublished::Refused(error)) => Err(error),
                Err(Unpublished::ClientGone) => Err(disconnected(id)),
            }
        })?;
        Ok(effects)
    }

    /// `deregisterInstance`: whatever the connection publishes of the service goes; ip and port do not matter.
    pub fn deregister(&self, id: &ClientId, service: &ServiceKey, now: Now) -> Result<Effects, NacosError> {
        let mut effects = Effects::default();
        if !self.service_exists(service) {
            effects.events.push(nothing(service, id, "deregisterInstance", "no such service", now));
            return Ok(effects);
        }
        let client = self.clients.get(id).ok_or_else(|| disconnected(id))?;
        client.last_updated.store(now.mono, Relaxed);
        let found = self.with_found(service, |slot, state| {
            let publication = client.links.lock().publications.remove(service)?;
            let gone = publication.entry.lock().instances.len();
            self.unpublish(slot, state, &publication, &Removal::Deregistered, now, &mut effects);
            Some(gone)
        });
        match found.flatten() {
            None => effects.events.push(nothing(
                service,
                id,
                "deregisterInstance",
                "this connection publishes nothing here",
                now,
            )),
            // The call names one instance, and the entry of a connection goes as a whole (alibaba/nacos #10831).
            Some(gone) if gone > 1 => {
                let about = Subject::service(service).with_client(id);
                let reason = format!("all {gone} instances of the batch went");
                effects.events.push(Event::new(
                    now,
                    about,
                    Cause::Suspicious { call: "deregisterInstance".into(), reason },
                ));
            }
            Some(_) => {}
        }
        Ok(effects)
    }

    /// HTTP register of an ephemeral instance, kept alive by beats. Persistent ones are
    /// [`crate::NamingCommand::RegisterPersistent`].
    pub fn register_http(&self, service: &ServiceKey, instance: Instance, now: Now) -> Result<Effects, NacosError> {
        check_instance(&instance)?;
        self.publish_address(service, instance, Asked { how: "http", batch: false }, now)
    }

    /// Publishes for the client that the instance's own address names.
    pub(crate) fn publish_address(
        &self,
        service: &ServiceKey,
        instance: Instance,
        asked: Asked,
        now: Now,
    ) -> Result<Effects, NacosError> {
        let ephemeral = instance.ephemeral;
        let id = ClientId::IpPort { ip: Arc::clone(&instance.ip), port: instance.port, ephemeral };
        let mut instances: Given = smallvec![instance];
        loop {
            let mut effects = Effects::default();
            let result = self.with_slot(service, now, |slot, state| {
                check_kind(slot, state, ephemeral, asked.batch)?;
                let client = self.client_or_new(&id, now);
                self.publish(slot, state, &client, &mut instances, asked, now, &mut effects)
            });
            match result {
                Ok(()) => return Ok(effects),
                Err(Unpublished::Refused(error)) => return Err(error),
                // It expired just now; the next round makes a new one.
                Err(Unpublished::ClientGone) => {}
            }
        }
    }

    /// HTTP deregister of an ephemeral instance: always `ok`; what matched nothing is an event. Persistent ones are
    /// [`crate::NamingCommand::DeregisterPersistent`].
    pub fn deregister_http(&self, service: &ServiceKey, ip: &str, port: i32, now: Now) -> Effects {
        let mut effects = Effects::default();
        let id = ClientId::ephemeral(ip, port);
        let done = self.deregister_address(service, &id, now, &mut effects);
        if !done {
            let twin = ClientId::persistent(ip, port);
            let reason = self.with_found(service, |_, state| {
                if state.publishers.contains(&twin) {
                    "a persistent instance with the same address exists; it goes with ephemeral=false"
                } else if state.registered.is_none() {
                    "no such service"
                } else {
                    "no such instance of an HTTP client"
                }
            });
            effects.events.push(nothing(service, &id, "deregister", reason.unwrap_or("no such service"), now));
        }
        effects
    }

    /// Takes the entry of an `ip:port` client out; false when there is none.
    pub(crate) fn deregister_address(
        &self,
        service: &ServiceKey,
        id: &ClientId,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let Some(client) = self.clients.get(id) else { return false };
        let found = self.with_found(service, |slot, state| {
            let publication = client.links.lock().publications.remove(service)?;
            self.unpublish(slot, state, &publication, &Removal::Deregistered, now, effects);
            Some(())
        });
        if found.flatten().is_none() {
            return false;
        }
        client.last_updated.store(now.mono, Relaxed);
        self.after_unpublish(&client, now);
        true
    }

    /// An `ip:port` client lost a publication: a persistent one without any dies at once, an ephemeral one after a while.
    pub(crate) fn after_unpublish(&self, client: &Arc<Client>, now: Now) {
        if client.id.is_connection() {
            return;
        }
        if client.id.is_ephemeral() {
            self.arm_client(client, now.mono + crate::tick::IDLE_CLIENT_MS);
            return;
        }
        let mut links = client.links.lock();
        if links.is_idle() {
            links.dead = true;
            drop(links);
            self.drop_client(client);
        }
    }

    /// Puts the client's entry of this service: the heart of every registration. The slot's kind has been checked. The
    /// instances are taken, unless the client is gone.
    #[expect(clippy::too_many_arguments, reason = "one private junction of all registrations")]
    pub(crate) fn publish(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        client: &Arc<Client>,
        instances: &mut Given,
        asked: Asked,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Unpublished> {
        let (publication, fresh) = self.entry_of(slot, client, instances.len(), now)?;
        if fresh && let Some(stale) = state.publishers.get(&client.id).map(|held| Arc::clone(&held.0)) {
            // The entry of a client object with the same address that is just being released.
            self.unpublish(slot, state, &stale, &Removal::ClientExpired { silent_ms: 0 }, now, effects);
        }
        if state.registered.is_none() {
            self.create_service(slot, state, client.id.is_ephemeral(), asked.how, now, effects);
        }
        let ephemeral = state.registered.is_some_and(|registered| registered.ephemeral);
        let before = std::mem::take(&mut publication.entry.lock().instances);
        if publication.clear(SILENT) {
            state.silent -= 1;
        }
        let instances: SmallVec<[Arc<Instance>; 1]> = instances
            .drain(..)
            .map(|mut instance| {
                instance.ephemeral = ephemeral;
                state.intern(&mut instance);
                if let ClientId::IpPort { ip, .. } = &client.id {
                    instance.ip = Arc::clone(ip);
                }
                Arc::new(instance)
            })
            .collect();
        let moved = before.len() != instances.len() || !before.iter().zip(&instances).all(|(a, b)| same_address(a, b));
        if moved {
            state.count_addresses(&client.id, &before, false);
            state.count_addresses(&client.id, &instances, true);
            self.counters.instances.fetch_add(instances.len(), Relaxed);
            self.counters.instances.fetch_sub(before.len(), Relaxed);
        }
        self.journal_registration(slot, state, &publication, &before, &instances, asked, now, effects);
        if before.is_empty() && instances.is_empty() {
            // A batch of none is an entry like any other: it makes the service, keeps it, and is pushed.
            effects.events.push(nothing(&slot.key, &client.id, "batchRegisterInstance", "an empty batch", now));
        }
        {
            let mut entry = publication.entry.lock();
            entry.version = self.next();
            if fresh {
                entry.order = entry.version;
            }
            entry.instances = instances.into();
        }
        if asked.batch {
            publication.set(BATCH);
        } else {
            publication.clear(BATCH);
        }
        if fresh {
            state.publishers.insert(ByClient(Arc::clone(&publication)));
            self.counters.publications(&client.id).fetch_add(1, Relaxed);
            if state.publishers.len() == 1 {
                effects.appeared.push(slot.key.clone());
                effects.fuzzy.extend(self.fuzzy.lock().appeared(&slot.key));
            }
        }
        if !ephemeral {
            self.persistent_changed();
        }
        client.last_updated.store(now.mono, Relaxed);
        publication.last_beat.store(now.mono, Relaxed);
        self.settle(state, &publication, now);
        self.touch(slot, state, now, effects);
        self.watch_protection(slot, state, now);
        Ok(())
    }

    /// The publication of (client, service), made if there is none; limits are checked here.
    fn entry_of(
        &self,
        slot: &Arc<Slot>,
        client: &Arc<Client>,
        added: usize,
        now: Now,
    ) -> Result<(Arc<Publication>, bool), Unpublished> {
        let mut links = client.links.lock();
        if links.dead {
            return Err(Unpublished::ClientGone);
        }
        let known = links.publications.get(&slot.key).cloned();
        let held = known.as_ref().map_or(0, |publication| publication.entry.lock().instances.len());
        let total = self.counters.instances.load(Relaxed) + added;
        if added > held && total - held > self.options.max_instances as usize {
            return Err(over_limit("nacre.limit.instances", self.options.max_instances).into());
        }
        if let Some(publication) = known {
            return Ok((publication, false));
        }
        if links.services() >= self.options.max_services_per_client {
            let limit = self.options.max_services_per_client as u64;
            return Err(over_limit("nacre.limit.services-per-client", limit).into());
        }
        let publication = Arc::new(Publication::new(client, slot, now.mono));
        links.publications.insert(Arc::clone(&publication));
        Ok((publication, true))
    }

    /// Events of a registration: what is new, what it replaced, whom it hides.
    #[expect(clippy::too_many_arguments, reason = "one private helper of `publish`")]
    fn journal_registration(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        publication: &Publication,
        before: &[Arc<Instance>],
        after: &[Arc<Instance>],
        asked: Asked,
        now: Now,
        effects: &mut Effects,
    ) {
        let client = &publication.client.id;
        let was_batch = publication.has(BATCH);
        // Usually that many; a list that grows by itself begins with four.
        effects.events.reserve_exact(after.len());
        // Connections do not beat: their timers mean nothing.
        let ephemeral = client.is_ephemeral() && !client.is_connection();
        for old in before.iter().filter(|old| !after.iter().any(|new| same_address(old, new))) {
            let removal = match after.first() {
                Some(new) if !(asked.batch && was_batch) => Removal::ReplacedBy { instance: new.identity() },
                _ => Removal::Deregistered,
            };
            self.journal_removal(slot, state, client, old, &removal, now, effects);
        }
        let mut told = HashSet::new();
        for new in after {
            let replaced = before.iter().any(|old| same_address(old, new));
            if let Some(other) = state.other_publisher(new, client, true) {
                let by = Cause::InstanceShadowed { by: client.to_string() };
                effects.events.push(Event::new(now, subject(&slot.key, new, &other.client.id), by));
            }
            let cause = Cause::InstanceRegistered { how: asked.how.into(), replaced };
            // A batch may name one address twice: then the first is what is shown.
            let first = after.len() == 1 || told.insert((&new.ip, new.port, &new.cluster));
            let shown = first.then(|| state.overlaid(Arc::clone(new)));
            let about = match &shown {
                Some(shown) => subject_shown(&slot.key, shown, client),
                None => subject(&slot.key, new, client),
            };
            let known = || before.iter().any(|old| old.metadata == new.metadata);
            let suspicious = ephemeral.then(|| look_like_seconds(&new.metadata)).flatten().filter(|_| !known());
            let suspicious = suspicious
                .map(|reason| Event::new(now, about.clone(), Cause::Suspicious { call: asked.how.to_owned(), reason }));
            effects.events.push(Event::new(now, about, cause).showing(shown));
            effects.events.extend(suspicious);
            // Its operator's record is in use again.
            if let Some(record) = state.records.get_mut(&reference(new)) {
                record.expires = None;
            }
        }
    }

    /// The event of a departed instance; its operator's record begins to age unless another client publishes the address.
    #[expect(clippy::too_many_arguments, reason = "one private helper")]
    fn journal_removal(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        client: &ClientId,
        instance: &Arc<Instance>,
        removal: &Removal,
        now: Now,
        effects: &mut Effects,
    ) {
        let cause = Cause::InstanceRemoved { removal: removal.clone() };
        // Another client may publish the address as well: then that one is seen from now on.
        let shown = state.shown(&reference(instance));
        let alone = shown.is_none();
        effects.events.push(Event::new(now, subject(&slot.key, instance, client), cause).showing(shown));
        if alone && !state.records.is_empty() {
            self.age_record(slot, state, &reference(instance), self.options.expired_metadata_ms, now);
        }
    }

    /// Takes an entry out of the service. The caller has taken it out of the client already.
    pub(crate) fn unpublish(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        publication: &Arc<Publication>,
        removal: &Removal,
        now: Now,
        effects: &mut Effects,
    ) {
        match state.publishers.get(&publication.client.id) {
            Some(held) if Arc::ptr_eq(&held.0, publication) => {}
            _ => return,
        }
        state.publishers.remove(&publication.client.id);
        publication.clear(ALIVE | HEALTHY);
        if publication.clear(SILENT) {
            state.silent -= 1;
        }
        let client = &publication.client.id;
        let instances = std::mem::take(&mut publication.entry.lock().instances);
        state.count_addresses(client, &instances, false);
        self.counters.instances.fetch_sub(instances.len(), Relaxed);
        self.counters.publications(client).fetch_sub(1, Relaxed);
        for instance in instances.iter() {
            self.journal_removal(slot, state, client, instance, removal, now, effects);
        }
        if !client.is_ephemeral() {
            self.persistent_changed();
        }
        if state.publishers.is_empty() {
            effects.vanished.push(slot.key.clone());
            effects.fuzzy.extend(self.fuzzy_vanished(&slot.key));
            if state.registered.is_some() {
                self.await_emptiness(slot, state, now);
            }
        }
        self.touch(slot, state, now, effects);
        self.watch_protection(slot, state, now);
    }

    /// Brings the publication's quick flags and its timer in line with a new entry.
    fn settle(&self, state: &SlotState, publication: &Arc<Publication>, now: Now) {
        publication.clear(MISMATCH | BEATEN | HEALTHY | SENDERS[0] | SENDERS[1]);
        publication.sender.store(0, Relaxed);
        publication.rhythm.restart();
        let healthy = publication.entry.lock().instances.first().is_some_and(|instance| instance.healthy);
        if healthy {
            publication.set(HEALTHY);
        }
        self.apply_rules(state, publication, now);
    }

    /// Brings the advertised interval and the timer in line with the entry and the operator's record.
    pub(crate) fn apply_rules(&self, state: &SlotState, publication: &Arc<Publication>, now: Now) {
        if !publication.beats() {
            return;
        }
        let instance = publication.entry.lock().instances.first().cloned();
        let Some(instance) = instance else { return };
        let rules = state.rules(&instance);
        let interval = rules.interval.unwrap_or(0).min(u64::from(u32::MAX)) as u32;
        publication.interval.store(interval, Relaxed);
        self.arm_beat(publication, self.next_look(&rules, instance.healthy, publication, now));
    }
}

impl Naming {
    /// PUT health: allowed only where the cluster's checker is NONE. Even there nothing changes: of an instance that
    /// does not exist the call makes nothing, and a persistent one it takes for an ephemeral one and is refused
    /// (recorded of 2.5.1 and 3.1.0).
    pub fn set_health(&self, service: &ServiceKey, ip: &str, port: i32, cluster: &str) -> Result<(), NacosError> {
        let slot = self.find(service);
        let state = slot.as_ref().map(|slot| slot.state.lock());
        let metadata = state.as_ref().filter(|state| state.registered.is_some()).and_then(|s| s.metadata.as_ref());
        let checker = metadata.and_then(|metadata| metadata.clusters.get(cluster)).map(|known| &known.health_checker);
        if checker != Some(&HealthChecker::None) {
            let name = service.grouped();
            let text = format!("health check is still working, service: {name}, cluster: {cluster}");
            return Err(NacosError::new(400, ErrorCode::SERVER_ERROR, text));
        }
        match (&slot, &state) {
            (Some(slot), Some(state)) if state.publishers.contains(&ClientId::persistent(ip, port)) => {
                check_kind(slot, state, true, false)
            }
            _ => Ok(()),
        }
    }
}

/// The service singleton's kind is fixed by whoever made it.
pub(crate) fn check_kind(slot: &Slot, state: &SlotState, ephemeral: bool, batch: bool) -> Result<(), NacosError> {
    if state.registered.is_none_or(|registered| registered.ephemeral == ephemeral) {
        return Ok(());
    }
    let name = slot.key.grouped();
    let text = match (ephemeral, batch) {
        (true, true) => {
            format!("Current service {name} is persistent service, can't batch register ephemeral instance.")
        }
        (true, false) => format!("Current service {name} is persistent service, can't register ephemeral instance."),
        (false, _) => format!("Current service {name} is ephemeral service, can't register persistent instance."),
    };
    Err(NacosError::runtime(400, text))
}

/// The connection ended while its request was on the way, or is none of module `naming`.
pub(crate) fn disconnected(id: &ClientId) -> NacosError {
    let text = format!("Client [{id}] connection already disconnect, can't register ephemeral instance.");
    NacosError::runtime(-401, text)
}

fn over_limit(limit: &str, value: u64) -> NacosError {
    NacosError::new(503, ErrorCode::SERVER_ERROR, format!("the limit {limit} of {value} is reached"))
}

pub(crate) fn nothing(service: &ServiceKey, client: &ClientId, call: &str, reason: &str, now: Now) -> Event {
    let about = Subject::service(service).with_client(client);
    Event::new(now, about, Cause::NothingChanged { call: call.to_owned(), reason: reason.to_owned() })
}

/// Timers of 2, 5 or 15 milliseconds are seconds that somebody wrote without the three zeros (case C005). They are taken as
/// they stand, and told.
fn look_like_seconds(metadata: &Metadata) -> Option<String> {
    /// No client beats in earnest every tenth of a second.
    const TOO_SHORT_MS: u64 = 100;
    if !has_preserved(metadata) {
        return None;
    }
    let keys = [preserved::HEART_BEAT_INTERVAL, preserved::HEART_BEAT_TIMEOUT, preserved::IP_DELETE_TIMEOUT];
    let given: Vec<(&str, u64)> = keys.iter().filter_map(|key| Some((*key, metadata_ms(metadata, key)?))).collect();
    if !given.iter().any(|(_, value)| (1..TOO_SHORT_MS).contains(value)) {
        return None;
    }
    let named: Vec<String> = given.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Some(format!("{} are milliseconds, but the values look like seconds", named.join(", ")))
}

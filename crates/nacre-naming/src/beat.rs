//! Heartbeats of HTTP clients (spec/naming.md 8).

use std::sync::{
    Arc,
    atomic::Ordering::{Relaxed, SeqCst},
};

use nacre_model::{Cause, DEFAULT_CLUSTER, Event, Instance, NacosError, Now, ServiceKey};

use crate::{
    Beat, BeatAnswer, BeatInfo, ClientId, Effects, Naming,
    client::{ALIVE, BEATEN, Client, HEALTHY, MISMATCH, Publication, SENDERS, SILENT},
    client_id::Address,
    naming::subject,
    publish::Asked,
    quick,
    slot::reference,
};

impl Naming {
    /// A heartbeat of v1, v2 or v3. For a known healthy instance: one look-up and an atomic store.
    ///
    /// The parameter `serviceName` decides which instance is refreshed (as in 1.4). A full beat whose JSON names
    /// another service refreshes that one too if the client publishes it: 2.x refreshes only that, so that a beat
    /// without group is answered 10200 and yet lets its instance expire every 30 s.
    pub fn beat(&self, beat: &Beat<'_>, now: Now) -> Result<(BeatAnswer, Effects), NacosError> {
        let (ip, port) = match beat.info {
            Some(info) if !info.ip.is_empty() => (info.ip.as_str(), info.port),
            _ => (beat.ip, beat.port),
        };
        let mut effects = Effects::default();
        let client = self.clients.get(&Address { ip, port, ephemeral: true });
        let publication = client.as_ref().and_then(|client| publication_of(client, beat.service));
        let interval = match (&publication, beat.info) {
            (Some(publication), info) => {
                if let Some(info) = info {
                    self.compare(publication, info, beat.service, now, &mut effects);
                }
                let gap = self.refresh_beat(publication, now, &mut effects);
                let before = publication.sender.load(Relaxed);
                note_sender(publication, beat.sender, now, &mut effects);
                if before != 0 && publication.sender.load(Relaxed) != before {
                    let interval = match publication.interval.load(Relaxed) {
                        0 => self.switches.load().client_beat_interval.max(0) as u64,
                        interval => u64::from(interval),
                    };
                    self.senders.turned(&publication.slot.key, ip, port, interval, beat.sender, now);
                }
                note_flood(publication, gap, beat.sender, now, &mut effects);
                publication.interval.load(Relaxed)
            }
            (None, None) => {
                effects.events.push(unknown(beat, ip, port, now));
                self.near_misses(client.as_deref(), beat.service, ip, port, now, &mut effects);
                return Ok((self.answer(BeatAnswer::NOT_FOUND, 0), effects));
            }
            (None, Some(info)) => {
                effects.events.push(unknown(beat, ip, port, now));
                self.near_misses(client.as_deref(), beat.service, ip, port, now, &mut effects);
                let instance = self.instance_of_beat(beat, info, ip, port, now)?;
                let interval = instance.metadata_ms(nacre_model::instance::preserved::HEART_BEAT_INTERVAL);
                let asked = Asked { how: "beat", batch: false };
                effects.merge(self.publish_address(beat.service, instance, asked, now)?);
                interval.unwrap_or(0).min(u64::from(u32::MAX)) as u32
            }
        };
        Ok((self.answer(BeatAnswer::OK, interval), effects))
    }

    fn answer(&self, code: i32, interval: u32) -> BeatAnswer {
        let switches = self.switches.load();
        let client_beat_interval = if interval == 0 { switches.client_beat_interval } else { i64::from(interval) };
        BeatAnswer { code, client_beat_interval, light_beat_enabled: switches.light_beat_enabled }
    }

    /// The beat counts: the clock of the entry starts anew. Answers the time since the one before.
    fn refresh_beat(&self, publication: &Arc<Publication>, now: Now, effects: &mut Effects) -> u64 {
        publication.client.last_updated.store(now.mono, Relaxed);
        let gap = now.mono.saturating_sub(publication.last_beat.swap(now.mono, SeqCst));
        self.beat_gaps.record(gap);
        let beaten = publication.set(BEATEN);
        publication.rhythm.note(gap);
        if !publication.has(HEALTHY | ALIVE) {
            self.recover(publication, gap, now, effects);
        } else if !beaten {
            let expected = match publication.interval.load(Relaxed) {
                0 => self.switches.load().client_beat_interval.max(0) as u64,
                interval => u64::from(interval),
            };
            if gap > expected + expected / 2 + 500 {
                let instance = publication.entry.lock().instances.first().cloned();
                let about = instance.map(|i| subject(&publication.slot.key, &i, &publication.client.id));
                let late = Cause::BeatLate { gap_ms: gap, expected_ms: expected };
                effects.events.extend(about.map(|about| Event::new(now, about, late)));
            }
        }
        gap
    }

    /// A beat of an instance that is unhealthy: it is healthy again.
    fn recover(&self, publication: &Arc<Publication>, gap: u64, now: Now, effects: &mut Effects) {
        self.with_held(&publication.slot, |slot, state| {
            if !publication.has(ALIVE) || publication.has(HEALTHY) {
                return;
            }
            publication.set(HEALTHY);
            let was_silent = publication.clear(SILENT);
            if was_silent {
                state.silent -= 1;
            }
            let instance = {
                let mut entry = publication.entry.lock();
                let Some(held) = entry.instances.first_mut() else { return };
                let mut healthy = (**held).clone();
                healthy.healthy = true;
                *held = Arc::new(healthy);
                Arc::clone(held)
            };
            let about = subject(&slot.key, &instance, &publication.client.id);
            if was_silent {
                effects.events.push(Event::new(now, about.clone(), Cause::BeatResumed { gap_ms: gap }));
            }
            let cause = Cause::InstanceHealthy { cause: "client_beat".into() };
            effects.events.push(Event::new(now, about, cause).showing(state.shown(&reference(&instance))));
            self.touch(slot, state, now, effects);
            self.apply_rules(state, publication, now);
            self.release_brake(slot, state, now, effects);
            self.watch_protection(slot, state, now);
        });
    }

    /// What a full beat's JSON says against its parameters or against the registration: told once per registration.
    fn compare(
        &self,
        publication: &Arc<Publication>,
        info: &BeatInfo,
        service: &ServiceKey,
        now: Now,
        effects: &mut Effects,
    ) {
        let named = ServiceKey::split_grouped(&info.service_name);
        let other = !info.service_name.is_empty() && named != (&*service.group, &*service.name);
        if other {
            let key = ServiceKey::new(&service.namespace, named.0, named.1);
            if let Some(meant) = publication_of(&publication.client, &key) {
                self.refresh_beat(&meant, now, effects);
            }
        }
        let instance = publication.entry.lock().instances.first().cloned();
        let Some(instance) = instance else { return };
        let cluster = !info.cluster.is_empty() && *info.cluster != *instance.cluster;
        if !other && !cluster && info.ephemeral {
            publication.clear(MISMATCH);
            return;
        }
        if publication.has(MISMATCH) {
            return;
        }
        let found = [
            (other, "serviceName", service.grouped(), info.service_name.clone()),
            (cluster, "cluster", instance.cluster.to_string(), info.cluster.clone()),
            (!info.ephemeral, "ephemeral", "true".to_owned(), "false".to_owned()),
        ];
        for (differs, field, expected, got) in found {
            if differs {
                publication.set(MISMATCH);
                let cause = Cause::BeatMismatch { field: field.to_owned(), expected, got };
                effects.events.push(Event::new(now, subject(service, &instance, &publication.client.id), cause));
            }
        }
    }

    /// Says where the address of an unknown beat is registered instead: in another namespace or group, or persistent.
    fn near_misses(
        &self,
        client: Option<&Client>,
        service: &ServiceKey,
        ip: &str,
        port: i32,
        now: Now,
        effects: &mut Effects,
    ) {
        let mut tell = |field: &str, expected: String, got: String| {
            let about = nacre_model::Subject::service(service).with_client(&format!("{ip}:{port}#true"));
            let cause = Cause::BeatMismatch { field: field.to_owned(), expected, got };
            effects.events.push(Event::new(now, about, cause));
        };
        let publications = client.map(|client| client.links.lock().publications.items()).unwrap_or_default();
        for known in publications.iter().map(|publication| &publication.slot.key).filter(|k| k.name == service.name) {
            if known.namespace != service.namespace {
                tell("namespaceId", known.namespace.to_string(), service.namespace.to_string());
            } else {
                tell("groupName", known.group.to_string(), service.group.to_string());
            }
        }
        let persistent = ClientId::persistent(ip, port);
        if self.find(service).is_some_and(|slot| slot.state.lock().publishers.contains(&persistent)) {
            tell("ephemeral", "false".to_owned(), "true".to_owned());
        }
    }

    /// The instance that a full beat registers.
    fn instance_of_beat(
        &self,
        beat: &Beat<'_>,
        info: &BeatInfo,
        ip: &str,
        port: i32,
        now: Now,
    ) -> Result<Instance, NacosError> {
        if !info.ephemeral {
            let text =
                format!("beat of persistent instance {ip}:{port}: the server checks persistent instances itself");
            return Err(NacosError::server(text));
        }
        let cluster = [&*info.cluster, beat.cluster, DEFAULT_CLUSTER].into_iter().find(|name| !name.trim().is_empty());
        let mut instance = Instance::new(ip, port);
        instance.cluster = cluster.unwrap_or(DEFAULT_CLUSTER).into();
        instance.weight = info.weight;
        instance.metadata = Arc::clone(&info.metadata);
        crate::check_instance(&instance)?;
        instance.instance_id = self.instance_id(&instance, Some(&instance.cluster), &beat.service.grouped(), now)?;
        Ok(instance)
    }
}

/// What is kept of the address that sends an instance's beats.
fn sender_mark(sender: &str) -> u32 {
    quick::mark(sender) as u32 | 1
}

/// Two processes that beat for one address are a fault of theirs; the beats count all the same.
fn note_sender(publication: &Publication, sender: &str, now: Now, effects: &mut Effects) {
    if sender.is_empty() {
        return;
    }
    let mark = sender_mark(sender);
    let before = publication.sender.swap(mark, Relaxed);
    if before == 0 || before == mark || !SENDERS.iter().any(|flag| publication.set(*flag)) {
        return;
    }
    let instance = publication.entry.lock().instances.first().cloned();
    if let Some(instance) = instance {
        let expected = "the address that sent the beats before".to_owned();
        let cause = Cause::BeatMismatch { field: "sender".to_owned(), expected, got: sender.to_owned() };
        effects.events.push(Event::new(now, subject(&publication.slot.key, &instance, &publication.client.id), cause));
    }
}

/// Beats that follow one another faster than this help nobody: somebody's timer is wrong (case C005).
const HURRY_MS: u64 = 50;
/// So many of them in a row are told, then twice as many, and so on.
const HURRIED: u16 = 200;

/// Names the source of a flood of beats. An ordinary beat costs one load here.
fn note_flood(publication: &Publication, gap: u64, sender: &str, now: Now, effects: &mut Effects) {
    if gap >= HURRY_MS {
        if publication.hurried.load(Relaxed) != 0 {
            publication.hurried.store(0, Relaxed);
        }
        return;
    }
    let in_a_row = publication.hurried.load(Relaxed).saturating_add(1);
    publication.hurried.store(in_a_row, Relaxed);
    if in_a_row == u16::MAX || !in_a_row.is_multiple_of(HURRIED) || !(in_a_row / HURRIED).is_power_of_two() {
        return;
    }
    let instance = publication.entry.lock().instances.first().cloned();
    if let Some(instance) = instance {
        let from = if sender.is_empty() { "an unknown address" } else { sender };
        let reason = format!(
            "{in_a_row} beats in a row from {from}, each less than {HURRY_MS} ms after the one before; \
             preserved.heart.beat.interval is in milliseconds"
        );
        let cause = Cause::Suspicious { call: "beat".to_owned(), reason };
        effects.events.push(Event::new(now, subject(&publication.slot.key, &instance, &publication.client.id), cause));
    }
}

fn publication_of(client: &Client, service: &ServiceKey) -> Option<Arc<Publication>> {
    client.links.lock().publications.get(service).cloned()
}

fn unknown(beat: &Beat<'_>, ip: &str, port: i32, now: Now) -> Event {
    let about = nacre_model::Subject::service(beat.service).with_client(&format!("{ip}:{port}#true"));
    let cause = Cause::BeatUnknownInstance { light: beat.info.is_none(), from: beat.sender.to_owned() };
    Event::new(now, about, cause)
}

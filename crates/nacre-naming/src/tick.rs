//! Housekeeping: everything that happens because time passes (spec/naming.md 9, 15).
//!
//! Deadlines are monotonic, so a stepping wall clock expires nobody, and the server's clock does not count its own
//! stalls. Comparisons are strict, as in the reference.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use nacre_model::{Cause, Event, Instance, Now, Subject, event::Removal};

use crate::{
    Effects, Naming, NamingCommand,
    client::{ALIVE, BEATEN, Client, HEALTHY, Publication, SILENT},
    naming::subject,
    slot::{BeatRules, Slot, SlotState, reference},
    wheel::{Timer, UNARMED},
};

/// An `ip:port` client without publications goes after this silence.
pub(crate) const IDLE_CLIENT_MS: u64 = 30_000;
/// How often an instance is looked at that is not checked at the moment (switch, `enableClientBeat`, brake).
pub(crate) const RECHECK_MS: u64 = 5_000;
/// No timer sleeps longer, so that a departed publication is let go of.
pub(crate) const LONGEST_WAIT_MS: u64 = 30_000;
/// One tick looks at no more, so that a mass expiry does not hold its thread for seconds; the rest is next.
const TIMERS_PER_TICK: usize = 20_000;
/// Protection is looked at this long after a change; many changes cost one look.
const PROTECTION_DELAY_MS: u64 = 200;

impl Naming {
    /// Does what is due: beat expiry, silent clients, empty services, expired operator records. To be called every
    /// 100 ms or so; costs what is due, not what is registered.
    pub fn tick(&self, now: Now) -> Effects {
        let mut effects = Effects::default();
        let due = self.wheel.lock().due(now.mono, TIMERS_PER_TICK);
        for (bucket, timers) in due {
            for timer in timers {
                self.fire(bucket, timer, now, &mut effects);
            }
        }
        effects
    }

    fn fire(&self, bucket: u32, timer: Timer, now: Now, effects: &mut Effects) {
        match timer {
            Timer::Beat(publication) => {
                // An entry that another, earlier one has made superfluous.
                if publication.armed.compare_exchange(bucket, UNARMED, Relaxed, Relaxed).is_ok() {
                    self.check_beat(&publication, now, effects);
                }
            }
            Timer::Client(client) => {
                if client.armed.compare_exchange(bucket, UNARMED, Relaxed, Relaxed).is_ok() {
                    self.check_client(&client, now, effects);
                }
            }
            Timer::Empty(slot) => {
                self.with_held(&slot, |slot, state| self.check_empty(slot, state, now, effects));
            }
            Timer::Record(about) => self.record_due(&about.0, &about.1, now, effects),
            Timer::ServiceMetadata(slot) => {
                self.with_held(&slot, |slot, state| self.service_metadata_due(slot, state, now, effects));
            }
            Timer::Protection(slot) => {
                self.with_held(&slot, |slot, state| self.check_protection(slot, state, now, effects));
            }
        }
    }

    /// When an entry must be looked at next if no beat comes.
    pub(crate) fn next_look(&self, rules: &BeatRules, healthy: bool, publication: &Publication, now: Now) -> u64 {
        let last = publication.last_beat.load(Relaxed);
        let client = publication.client.last_updated.load(Relaxed).saturating_add(self.client_expired_ms());
        let mut next = client;
        if rules.unchecked || !self.switches.load().health_check_enabled {
            next = next.min(now.mono + RECHECK_MS);
        } else {
            if healthy {
                next = next.min(last.saturating_add(rules.timeout));
            }
            if self.options.expire_instance {
                next = next.min(last.saturating_add(rules.delete));
            }
        }
        // Strictly later than the deadline, not before now, and not so late that the object outlives its use.
        next.saturating_add(1).clamp(now.mono + 1, now.mono + LONGEST_WAIT_MS)
    }

    fn check_beat(&self, publication: &Arc<Publication>, now: Now, effects: &mut Effects) {
        if !publication.has(ALIVE) {
            return;
        }
        let client = &publication.client;
        let idle = now.mono.saturating_sub(client.last_updated.load(Relaxed));
        if idle > self.client_expired_ms() {
            self.expire_client(client, idle, now, effects);
            return;
        }
        let removed =
            self.with_held(&publication.slot, |slot, state| self.judge(slot, state, publication, now, effects));
        if removed == Some(true) {
            self.check_client(client, now, effects);
        }
    }

    /// Unhealthy, removed, or looked at again later. True when removed.
    fn judge(
        &self,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        publication: &Arc<Publication>,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        if !publication.has(ALIVE) {
            return false;
        }
        let instance = publication.entry.lock().instances.first().cloned();
        let Some(instance) = instance else { return false };
        let rules = state.rules(&instance);
        if !rules.unchecked && self.switches.load().health_check_enabled {
            let silent = now.mono.saturating_sub(publication.last_beat.load(Relaxed));
            if instance.healthy && silent > rules.timeout {
                self.turn_unhealthy(slot, state, publication, &instance, silent, now, effects);
            }
            if self.options.expire_instance && silent > rules.delete {
                if self.brake(slot, state, publication, now, effects) {
                    self.arm_beat(publication, now.mono + RECHECK_MS.min(self.options.brake.hold_ms.max(1)));
                    return false;
                }
                publication.client.links.lock().publications.remove(&slot.key);
                let removal = Removal::BeatExpired { silent_ms: silent, limit_ms: rules.delete };
                self.unpublish(slot, state, publication, &removal, now, effects);
                self.release_brake(slot, state, now, effects);
                return true;
            }
        }
        self.arm_beat(publication, self.next_look(&rules, publication.has(HEALTHY), publication, now));
        false
    }

    #[expect(clippy::too_many_arguments, reason = "one private step of `judge`")]
    fn turn_unhealthy(
        &self,
        slot: &Slot,
        state: &mut SlotState,
        publication: &Publication,
        instance: &Instance,
        silent_ms: u64,
        now: Now,
        effects: &mut Effects,
    ) {
        publication.clear(HEALTHY);
        if publication.has(BEATEN) && publication.set(SILENT) {
            state.silent += 1;
        }
        let mut unhealthy = instance.clone();
        unhealthy.healthy = false;
        let (beats, gaps) = (publication.rhythm.beats(), publication.rhythm.gaps());
        let cause = Cause::InstanceUnhealthy { cause: "client_beat".into(), silent_ms, beats, gaps };
        let (about, at) = (subject(&slot.key, &unhealthy, &publication.client.id), reference(&unhealthy));
        if let Some(held) = publication.entry.lock().instances.first_mut() {
            *held = Arc::new(unhealthy);
        }
        effects.events.push(Event::new(now, about, cause).showing(state.shown(&at)));
        self.touch(slot, state, now, effects);
        if let Some(held) = state.publishers.get(&publication.client.id).map(|held| Arc::clone(&held.0.slot)) {
            self.watch_protection(&held, state, now);
        }
    }

    fn check_client(&self, client: &Arc<Client>, now: Now, effects: &mut Effects) {
        let idle = now.mono.saturating_sub(client.last_updated.load(Relaxed));
        let wait = {
            let links = client.links.lock();
            if links.dead {
                return;
            }
            let push_idle = self.switches.load().default_push_cache_millis;
            match (links.publications.is_empty(), links.subscriptions.is_some()) {
                (true, true) => IDLE_CLIENT_MS.max(push_idle),
                (true, false) => IDLE_CLIENT_MS,
                // Its publications' own timers look after it; a subscriber among them is looked at again.
                (false, true) => self.client_expired_ms(),
                (false, false) => return,
            }
        }
        .min(self.client_expired_ms());
        if idle > wait {
            self.expire_client(client, idle, now, effects);
        } else {
            let left = (wait - idle).saturating_add(1);
            self.arm_client(client, now.mono + left.min(LONGEST_WAIT_MS));
        }
    }

    fn expire_client(&self, client: &Arc<Client>, silent_ms: u64, now: Now, effects: &mut Effects) {
        self.release(client, &Removal::ClientExpired { silent_ms }, now, effects);
    }

    fn check_empty(&self, slot: &Arc<Slot>, state: &mut SlotState, now: Now, effects: &mut Effects) {
        state.empty_armed = false;
        if state.registered.is_none() || !state.publishers.is_empty() {
            return;
        }
        let wait = self.options.empty_service_expired_ms;
        let empty = now.mono.saturating_sub(state.empty_since);
        if empty < wait {
            state.empty_armed = true;
            self.set_timer(state.empty_since + wait, Timer::Empty(Arc::clone(slot)));
            return;
        }
        let since = now.wall - i64::try_from(empty).unwrap_or(0);
        let settings = state.metadata.as_ref().map(|metadata| metadata.differences()).unwrap_or_default();
        let settings = if settings.is_empty() { settings } else { format!("; with it {settings}") };
        self.remove_service(slot, state, &format!("cleaner: empty since {since}{settings}"), now, effects);
        if state.metadata.is_some() {
            let expires = now.mono + self.options.expired_metadata_ms;
            state.metadata_expires = Some(expires);
            self.set_timer(expires, Timer::ServiceMetadata(Arc::clone(slot)));
        }
    }

    fn service_metadata_due(&self, slot: &Arc<Slot>, state: &mut SlotState, now: Now, effects: &mut Effects) {
        let due = state.registered.is_none() && state.metadata.is_some();
        if due && state.metadata_expires.is_some_and(|at| at <= now.mono) {
            effects.propose.push(NamingCommand::ExpireServiceMetadata { service: slot.key.clone() });
            // If the write road is closed now, it must be asked again.
            let again = now.mono + self.options.expired_metadata_ms.max(1_000);
            self.set_timer(again, Timer::ServiceMetadata(Arc::clone(slot)));
        }
    }

    /// A change may have begun or ended protection: to be looked at soon.
    pub(crate) fn watch_protection(&self, slot: &Arc<Slot>, state: &mut SlotState, now: Now) {
        if state.metadata.is_some() && !state.protection_armed {
            state.protection_armed = true;
            self.set_timer(now.mono + PROTECTION_DELAY_MS, Timer::Protection(Arc::clone(slot)));
        }
    }

    fn check_protection(&self, slot: &Slot, state: &mut SlotState, now: Now, effects: &mut Effects) {
        state.protection_armed = false;
        let threshold = state.metadata.as_ref().map(|metadata| metadata.protect_threshold);
        let shown: Vec<_> = state.merged().into_iter().filter(|instance| instance.enabled).collect();
        let healthy = shown.iter().filter(|instance| instance.healthy).count();
        // With every instance healthy nothing is masked, whatever the threshold.
        let protects = threshold.is_some_and(|threshold| self.protects(threshold, healthy, shown.len()))
            && state.registered.is_some()
            && healthy < shown.len();
        if protects == state.protected {
            return;
        }
        state.protected = protects;
        let cause = if protects {
            Cause::ProtectionReached {
                healthy: healthy as u32,
                total: shown.len() as u32,
                threshold: threshold.unwrap_or_default(),
            }
        } else {
            Cause::ProtectionCleared
        };
        effects.events.push(Event::new(now, Subject::service(&slot.key), cause));
    }
}

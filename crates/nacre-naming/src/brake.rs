//! The brake on mass expiry: when most of a service falls silent at once, the fault is rather between the clients and us
//! than in all of them. The silent ones are shown as unhealthy, but not removed until they beat again or the pause is over.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use nacre_model::{Cause, Event, Now, Subject};

use crate::{
    Effects, Naming,
    client::{BEATEN, ByClient, Publication, SILENT},
    slot::{Slot, SlotState},
};

impl Naming {
    /// Must the removal of this silent instance wait? Instances that never beat are no sign of a fault, and small
    /// services are never held back.
    pub(crate) fn brake(
        &self,
        slot: &Slot,
        state: &mut SlotState,
        publication: &Arc<Publication>,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let options = &self.options.brake;
        if !options.enabled || !publication.has(BEATEN) {
            return false;
        }
        if let Some(since) = state.brake_since {
            return now.mono.saturating_sub(since) < options.hold_ms;
        }
        let total = state.publishers.len();
        let plausible = options.share * total as f64;
        if total < options.min_instances as usize || f64::from(state.silent) <= plausible {
            return false;
        }
        // Many are silent. Together, or one after the other over a long time?
        let last = publication.last_beat.load(Relaxed);
        let near = |other: &&ByClient| {
            other.0.has(SILENT) && other.0.last_beat.load(Relaxed).abs_diff(last) <= options.window_ms
        };
        let expiring = state.publishers.iter().filter(near).count() as u32;
        if f64::from(expiring) <= plausible {
            return false;
        }
        state.brake_since = Some(now.mono);
        self.counters.braked.fetch_add(1, Relaxed);
        let cause = Cause::BrakeOn { expiring, total: total as u32 };
        effects.events.push(Event::new(now, Subject::service(&slot.key), cause));
        true
    }

    /// Beats came back, or the silent ones are gone: the brake goes off.
    pub(crate) fn release_brake(&self, slot: &Slot, state: &mut SlotState, now: Now, effects: &mut Effects) {
        if state.brake_since.is_none() {
            return;
        }
        let few = f64::from(state.silent) <= self.options.brake.share * state.publishers.len() as f64;
        if few || state.silent == 0 {
            state.brake_since = None;
            self.counters.braked.fetch_sub(1, Relaxed);
            effects.events.push(Event::new(now, Subject::service(&slot.key), Cause::BrakeOff));
        }
    }
}

//! Which span changed what, so that what subscribers are told can be linked to it. The newest change of a thing counts; it
//! is remembered for as long as it may take until everybody was told.

use std::collections::HashMap;

use nacre_model::{ConfigKey, ServiceKey, limits};
use parking_lot::Mutex;

use super::context::Context;

/// Something subscribers are told about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Thing {
    Service(ServiceKey),
    Config(ConfigKey),
}

/// Changes kept; when there are more, those told long ago are forgotten, and then new ones are not remembered.
const KEPT: usize = 4_096;
/// Milliseconds between a change and the moment subscribers are owed it, merging with later changes included.
const BETWEEN: u64 = 2_000;
/// A change is forgotten after this long, milliseconds, when room is needed.
const OLD: u64 = 60_000;

#[derive(Debug, Default)]
pub struct Causes {
    newest: Mutex<HashMap<Thing, Cause>>,
}

#[derive(Clone, Copy, Debug)]
struct Cause {
    by: Context,
    /// Monotonic milliseconds.
    at: u64,
    /// How many of those who are told of it may still have a span.
    left: u64,
}

impl Causes {
    /// `by` changes `thing` at `at`. Said again by the same one, only the time is another.
    pub fn note(&self, thing: Thing, by: Context, at: u64) {
        let mut newest = self.newest.lock();
        if let Some(known) = newest.get_mut(&thing).filter(|known| known.by == by) {
            known.at = at;
            return;
        }
        if newest.len() >= KEPT && !newest.contains_key(&thing) {
            newest.retain(|_, cause| at < cause.at + OLD);
            if newest.len() >= KEPT {
                return;
            }
        }
        newest.insert(thing, Cause { by, at, left: limits::TRACED_PUSHES });
    }

    /// Who changed what somebody is owed since `owed`; `None` too when enough of those who were told have a span.
    pub fn of(&self, thing: &Thing, owed: u64) -> Option<Context> {
        let mut newest = self.newest.lock();
        let cause = newest.get_mut(thing)?;
        if cause.left == 0 || cause.at.abs_diff(owed) > BETWEEN {
            return None;
        }
        cause.left -= 1;
        Some(cause.by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(name: &str) -> Thing {
        Thing::Config(ConfigKey::new("", "g", name))
    }

    #[test]
    fn the_newest_change_that_can_be_meant_is_the_cause() {
        let causes = Causes::default();
        let (first, second) = (Context::root(), Context::root());
        causes.note(thing("a"), first, 10_000);
        assert_eq!(causes.of(&thing("a"), 10_400), Some(first));
        assert_eq!(causes.of(&thing("b"), 10_400), None);
        causes.note(thing("a"), second, 10_500);
        assert_eq!(causes.of(&thing("a"), 10_600), Some(second));
        assert_eq!(causes.of(&thing("a"), 10_500 + BETWEEN + 1), None, "something else changed it meanwhile");
    }

    #[test]
    fn a_write_that_took_long_is_the_cause_once_it_is_done() {
        let causes = Causes::default();
        let by = Context::root();
        causes.note(thing("a"), by, 0);
        causes.note(thing("a"), by, 9_000);
        assert_eq!(causes.of(&thing("a"), 8_999), Some(by));
    }

    #[test]
    fn some_of_those_who_are_told_have_a_span_and_not_all_ten_thousand() {
        let causes = Causes::default();
        causes.note(thing("a"), Context::root(), 0);
        let told = (0..10_000).filter(|_| causes.of(&thing("a"), 0).is_some()).count() as u64;
        assert_eq!(told, limits::TRACED_PUSHES);
    }

    #[test]
    fn memory_is_bounded() {
        let causes = Causes::default();
        let by = Context::root();
        for number in 0..2 * KEPT {
            causes.note(thing(&number.to_string()), by, 0);
        }
        assert_eq!(causes.newest.lock().len(), KEPT);
        causes.note(thing("later"), by, OLD);
        assert_eq!(causes.of(&thing("later"), OLD), Some(by));
        assert_eq!(causes.newest.lock().len(), 1);
    }
}

//! When a write went through the stages of the road: what a trace of it shows.
//!
//! Nobody asks for most writes; then the road measures nothing that it did not measure anyway.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use parking_lot::Mutex;

/// From a moment to another.
pub type Stretch = (Instant, Instant);

/// Handed along with a write; filled in before the write is answered. A stage that was not seen is `None`.
#[derive(Debug, Default)]
pub struct Stages {
    seen: Mutex<Seen>,
}

/// The stages of one write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Out of the queue and into an entry.
    pub taken: Option<Instant>,
    /// The flush that made its entry durable.
    pub flushed: Option<Stretch>,
    /// The state machine had its entry.
    pub applied: Option<Stretch>,
    /// Writes that share the entry, and with it the flush.
    pub together: usize,
    /// The entry's place in the log.
    pub index: Option<u64>,
}

impl Stages {
    pub fn seen(&self) -> Seen {
        *self.seen.lock()
    }

    pub(crate) fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock());
    }
}

/// Entries whose times are kept; more than can be on their way from the log to an answer.
const KEPT: usize = 64;

/// When the newest entries were at one stage. Nothing is noted before somebody asked once.
#[derive(Debug, Default)]
pub struct Trail {
    wanted: AtomicBool,
    newest: Mutex<VecDeque<(u64, Stretch)>>,
}

impl Trail {
    pub fn want(&self) {
        if !self.is_wanted() {
            self.wanted.store(true, Ordering::Relaxed);
        }
    }

    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Everything up to `last` that was not noted before was at the stage in this stretch.
    pub fn note(&self, last: u64, stretch: Stretch) {
        let mut newest = self.newest.lock();
        if newest.len() == KEPT {
            newest.pop_front();
        }
        newest.push_back((last, stretch));
    }

    pub fn of(&self, index: u64) -> Option<Stretch> {
        let newest = self.newest.lock();
        let at = newest.partition_point(|(last, _)| *last < index);
        // What is before the oldest that is kept may be its or long gone: the engine asks soon, so it is its.
        newest.get(at).map(|(_, stretch)| *stretch)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_entry_is_found_in_the_stretch_that_ended_with_it_or_a_later_one() {
        let trail = Trail::default();
        let start = Instant::now();
        let stretch = |n: u64| (start + Duration::from_millis(n), start + Duration::from_millis(n + 1));
        trail.note(3, stretch(3));
        trail.note(7, stretch(7));
        assert_eq!(trail.of(3), Some(stretch(3)));
        assert_eq!((trail.of(4), trail.of(7)), (Some(stretch(7)), Some(stretch(7))));
        assert_eq!(trail.of(8), None);
    }

    #[test]
    fn the_newest_are_kept() {
        let trail = Trail::default();
        let now = Instant::now();
        for last in 0..1_000 {
            trail.note(last, (now, now));
        }
        assert_eq!(trail.newest.lock().len(), KEPT);
        assert!(trail.of(999).is_some());
    }
}

//! When a changed service goes out to its subscribers: the first change at once, a storm in growing steps.
//!
//! Per service there is a *gap*: the shortest time between two fan-outs. It starts at [`MIN_GAP`]; every fan-out that
//! had to wait doubles it up to `nacos.naming.push.pushTaskDelay`, every one that did not halves it. So a lone change
//! leaves at once, a handful in quick succession leaves within tens of milliseconds, and a service that changes a
//! thousand times a second is sent twice a second, always ending with the newest state.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// Milliseconds between two fan-outs of a service that was quiet before.
pub const MIN_GAP: u64 = 25;

/// The push state of one key.
#[derive(Clone, Copy, Debug)]
struct Edge {
    /// When the last fan-out left.
    last: u64,
    gap: u64,
    /// When the next one is due, if one is owed.
    due: Option<u64>,
    /// When something last changed.
    changed: u64,
    /// Has it changed since the last turn?
    news: bool,
    /// Since when an emptied list is held back.
    held: Option<u64>,
}

/// Remembers the edges; times are milliseconds of the monotonic clock.
#[derive(Debug)]
pub struct Coalescer<K> {
    edges: Mutex<HashMap<K, Edge>>,
    max_gap: AtomicU64,
}

/// What a due key should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing is owed (an earlier turn did it).
    Nothing,
    /// Not yet.
    Wait(u64),
    /// Send. `may_empty`: lists that became empty may be sent too. Without `news` everybody else has been told already.
    Send { may_empty: bool, news: bool },
}

impl<K: Eq + Hash + Clone> Coalescer<K> {
    /// `max_gap` is `pushTaskDelay`.
    pub fn new(max_gap: u64) -> Self {
        Self { edges: Mutex::default(), max_gap: AtomicU64::new(max_gap) }
    }

    /// Another `pushTaskDelay`; gaps that have grown further shrink as they are used.
    pub fn retune(&self, max_gap: u64) {
        self.max_gap.store(max_gap, Relaxed);
    }

    fn max_gap(&self) -> u64 {
        self.max_gap.load(Relaxed)
    }

    /// How long an emptied list waits for its successor: a provider that restarts within this time never makes its
    /// consumers see an empty list (case C011), and a dead one is gone within half a second.
    fn hold(&self) -> u64 {
        (self.max_gap() * 3 / 5).min(300)
    }

    /// Something changed. `Some(when)`: a turn must be taken then; `None`: one is owed already.
    pub fn changed(&self, key: &K, now: u64) -> Option<u64> {
        let mut edges = self.edges.lock();
        let Some(edge) = edges.get_mut(key) else {
            let gap = MIN_GAP.min(self.max_gap());
            edges.insert(key.clone(), Edge { last: 0, gap, due: Some(now), changed: now, news: true, held: None });
            return Some(now);
        };
        edge.changed = now;
        edge.news = true;
        if edge.held.is_some() {
            // Only the hold is owed: what changed now may well be what it waits for.
            edge.due = None;
        }
        if edge.due.is_some() {
            return None;
        }
        let open = edge.last + edge.gap;
        let due = if now >= open {
            edge.gap = (edge.gap / 2).max(MIN_GAP).min(self.max_gap());
            now
        } else {
            edge.gap = (edge.gap * 2).min(self.max_gap());
            open
        };
        edge.due = Some(due);
        Some(due)
    }

    /// The turn of a key that was due.
    pub fn turn(&self, key: &K, now: u64) -> Turn {
        let mut edges = self.edges.lock();
        let Some(edge) = edges.get_mut(key) else { return Turn::Nothing };
        match edge.due {
            None => Turn::Nothing,
            Some(due) if due > now => Turn::Wait(due),
            Some(_) => {
                edge.due = None;
                edge.last = now;
                let hold = self.hold();
                let quiet = now >= edge.changed + hold;
                let may_empty = edge.held.is_some_and(|since| quiet || now >= since + self.max_gap());
                Turn::Send { may_empty, news: std::mem::take(&mut edge.news) }
            }
        }
    }

    /// After a turn: `held` lists became empty and were not sent, `sent` others were. Says when the next turn is.
    pub fn sent(&self, key: &K, held: bool, sent: bool, now: u64) -> Option<u64> {
        let mut edges = self.edges.lock();
        let edge = edges.get_mut(key)?;
        if !sent {
            // Nobody was told anything: the next change is a first one.
            edge.last = now.saturating_sub(edge.gap);
        }
        if !held {
            edge.held = None;
            return None;
        }
        let since = *edge.held.get_or_insert(now);
        let due = (edge.changed + self.hold()).min(since + self.max_gap()).max(now + 1);
        let due = edge.due.map_or(due, |owed| owed.min(due));
        edge.due = Some(due);
        Some(due)
    }

    /// Forgets keys that have been quiet.
    pub fn sweep(&self, now: u64) {
        let quiet = 4 * self.max_gap() + 1_000;
        self.edges.lock().retain(|_, edge| edge.due.is_some() || edge.last.max(edge.changed) + quiet > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 10_000;

    fn coalescer() -> Coalescer<&'static str> {
        Coalescer::new(500)
    }

    #[test]
    fn the_first_change_leaves_at_once() {
        let edges = coalescer();
        assert_eq!(edges.changed(&"s", START), Some(START));
        assert_eq!(edges.turn(&"s", START), Turn::Send { may_empty: false, news: true });
        assert_eq!(edges.sent(&"s", false, true, START), None);
        assert_eq!(edges.changed(&"s", START + 600), Some(START + 600), "after a pause too");
    }

    #[test]
    fn a_storm_is_sent_in_growing_steps_and_ends_with_the_newest() {
        let edges = coalescer();
        let (mut sends, mut due) = (Vec::new(), None);
        for now in START..START + 3_000 {
            due = due.or(edges.changed(&"s", now));
            if due.is_some_and(|at| at <= now) {
                if let Turn::Send { .. } = edges.turn(&"s", now) {
                    edges.sent(&"s", false, true, now);
                    sends.push(now - START);
                }
                due = None;
            }
        }
        assert_eq!(sends[0], 0);
        assert!(sends.len() <= 10, "{sends:?}");
        let last_gap = sends[sends.len() - 1] - sends[sends.len() - 2];
        assert!((500..=502).contains(&last_gap), "{sends:?}");
        assert!(due.is_some(), "the changes after the last send are still owed");
    }

    #[test]
    fn an_emptied_list_waits_and_is_then_sent() {
        let edges = coalescer();
        edges.changed(&"s", START);
        assert_eq!(edges.turn(&"s", START), Turn::Send { may_empty: false, news: true });
        assert_eq!(edges.sent(&"s", true, false, START), Some(START + 300));
        assert_eq!(edges.turn(&"s", START + 299), Turn::Wait(START + 300));
        assert_eq!(edges.turn(&"s", START + 300), Turn::Send { may_empty: true, news: false });
    }

    #[test]
    fn what_fills_an_emptied_list_leaves_at_once() {
        let edges = coalescer();
        edges.changed(&"s", START);
        edges.turn(&"s", START);
        edges.sent(&"s", true, false, START);
        assert_eq!(edges.changed(&"s", START + 100), Some(START + 100));
        assert_eq!(edges.turn(&"s", START + 100), Turn::Send { may_empty: false, news: true });
        assert_eq!(edges.sent(&"s", false, true, START + 100), None);
        assert_eq!(edges.turn(&"s", START + 300), Turn::Nothing, "the hold is over");
    }

    #[test]
    fn a_list_that_stays_empty_is_sent_though_its_service_goes_on_changing() {
        let edges = coalescer();
        let mut due = edges.changed(&"s", START);
        for now in START..START + 2_000 {
            if now % 20 == 0 {
                due = edges.changed(&"s", now).or(due);
            }
            if due.is_some_and(|at| at <= now) {
                match edges.turn(&"s", now) {
                    Turn::Send { may_empty: true, .. } => return,
                    Turn::Send { .. } => due = edges.sent(&"s", true, true, now),
                    Turn::Wait(at) => due = Some(at),
                    Turn::Nothing => due = None,
                }
            }
        }
        panic!("never sent");
    }

    #[test]
    fn quiet_keys_are_forgotten() {
        let edges = coalescer();
        edges.changed(&"s", START);
        edges.turn(&"s", START);
        edges.sweep(START + 60_000);
        assert!(edges.edges.lock().is_empty());
    }
}

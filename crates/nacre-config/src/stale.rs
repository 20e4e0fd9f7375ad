//! Clients that ask again and again with the same stale md5: they are answered right each time, but slowed down and
//! named, so that a client that never takes over a new version does not spin (cases C040, C041).

use std::{collections::HashMap, sync::Arc};

use nacre_model::{Cause, ConfigKey, Event, Now, Subject};
use parking_lot::Mutex;

/// Repetitions that are answered at once; clients do poll twice in a row when they start.
const FREE: u32 = 2;
/// What each further one waits: two answers a second.
const DELAY_MS: u64 = 500;
/// Silence after which a client starts anew.
const FORGET_MS: u64 = 10_000;
/// Repetition at which the client is named in the journal.
const NAMED_AT: u32 = 5;
/// Named again after so many more; at the pace that is left, every half minute.
const NAMED_AGAIN: u32 = 60;
/// Looking for silent clients costs; not more often than this.
const SWEEP_MS: u64 = 1_000;
/// Remembered clients; when full, those silent for long go first.
const CAPACITY: usize = 10_000;

#[derive(Debug)]
struct Seen {
    md5: Arc<str>,
    /// What the server would serve; a change starts anew.
    current: Arc<str>,
    times: u32,
    last: u64,
}

/// What to do about an answer "changed".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repeated {
    /// Wait this long before answering.
    pub delay_ms: u64,
    /// To the journal, once for each spell.
    pub event: Option<Event>,
}

/// Remembers the last stale answer to each client and key.
#[derive(Debug, Default)]
pub struct StaleAnswers {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    seen: HashMap<(Arc<str>, ConfigKey), Seen>,
    /// When long silent clients were last dropped.
    swept: u64,
}

impl StaleAnswers {
    /// A client that says it holds `md5` is about to be told that `key` differs from `current`.
    pub fn answered(&self, client: &str, key: &ConfigKey, md5: &str, current: &str, now: Now) -> Repeated {
        let mut memory = self.memory.lock();
        let Memory { seen, swept } = &mut *memory;
        let id = (Arc::from(client), key.clone());
        if seen.len() >= CAPACITY && !seen.contains_key(&id) {
            if now.mono.saturating_sub(*swept) >= SWEEP_MS {
                seen.retain(|_, entry| now.mono.saturating_sub(entry.last) < FORGET_MS);
                *swept = now.mono;
            }
            if seen.len() >= CAPACITY {
                return Repeated::default();
            }
        }
        let entry = seen.entry(id).or_insert_with(|| Seen {
            md5: md5.into(),
            current: current.into(),
            times: 0,
            last: now.mono,
        });
        let same = &*entry.md5 == md5 && &*entry.current == current;
        if !same || now.mono.saturating_sub(entry.last) >= FORGET_MS {
            *entry = Seen { md5: md5.into(), current: current.into(), times: 0, last: now.mono };
        }
        entry.times = entry.times.saturating_add(1);
        entry.last = now.mono;
        let event = (entry.times == NAMED_AT || entry.times.is_multiple_of(NAMED_AGAIN)).then(|| {
            let subject = Subject::config(key).with_client(client);
            Event::new(now, subject, Cause::ListenerStale { md5: md5.to_owned() })
        });
        Repeated { delay_ms: if entry.times > FREE { DELAY_MS } else { 0 }, event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Case C041.
    #[test]
    fn repeated_identical_answers_are_slowed_and_named_once() {
        let stale = StaleAnswers::default();
        let key = ConfigKey::new("", "g", "d");
        let mut now = Now::default();
        let mut events = 0;
        let mut delays = Vec::new();
        for _ in 0..8 {
            let repeated = stale.answered("10.0.0.1", &key, "old", "", now);
            events += usize::from(repeated.event.is_some());
            delays.push(repeated.delay_ms);
            now = now.plus(repeated.delay_ms + 1);
        }
        assert_eq!(delays, [0, 0, 500, 500, 500, 500, 500, 500]);
        assert_eq!(events, 1);
    }

    #[test]
    fn a_real_change_or_a_pause_starts_anew() {
        let stale = StaleAnswers::default();
        let key = ConfigKey::new("", "g", "d");
        let now = Now::default();
        for _ in 0..3 {
            stale.answered("c", &key, "old", "v1", now);
        }
        assert_eq!(stale.answered("c", &key, "old", "v2", now).delay_ms, 0, "another content");
        assert_eq!(stale.answered("d", &key, "old", "v1", now).delay_ms, 0, "another client");
        for _ in 0..3 {
            stale.answered("c", &key, "old", "v2", now);
        }
        assert_eq!(stale.answered("c", &key, "old", "v2", now.plus(10_000)).delay_ms, 0, "long ago");
    }

    #[test]
    fn memory_is_bounded() {
        let stale = StaleAnswers::default();
        let key = ConfigKey::new("", "g", "d");
        for i in 0..CAPACITY + 10 {
            stale.answered(&i.to_string(), &key, "old", "v1", Now::default());
        }
        assert_eq!(stale.memory.lock().seen.len(), CAPACITY);
        stale.answered("late", &key, "old", "v1", Now::default().plus(20_000));
        assert_eq!(stale.memory.lock().seen.len(), 1);
    }
}

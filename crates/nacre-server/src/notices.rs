//! Configs that changed and whose listeners have not been told yet.
//!
//! A publish is acknowledged once it is durable and applied; a thousand listeners are no reason to wait longer, and while
//! one publish waited for them every other one would. So the applier only leaves a note here, and one worker
//! ([`Effector::serve_notices`](crate::effects::Effector::serve_notices)) tells the listeners.
//!
//! What waits is a *set* of keys in the order of their first change, never a queue of changes: listeners compare with what
//! the config is when they ask, so of ten changes of a key only the fact counts that it changed. The set is bounded by
//! [`limits::NOTICES_OWED`]. A full set hands its oldest note back to the applier, which then tells those listeners itself:
//! publishing slows down to what telling takes, and no key is ever lost.

use std::collections::{HashMap, VecDeque};

use nacre_config::{ConfigChange, Existence};
use nacre_model::{ConfigKey, limits};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// See the module's head.
pub struct Notices {
    owed: Mutex<Owed>,
    more: Notify,
    limit: usize,
}

#[derive(Default)]
struct Owed {
    /// Every key of `changes` once, the longest owed first.
    order: VecDeque<ConfigKey>,
    changes: HashMap<ConfigKey, ConfigChange>,
}

impl Default for Notices {
    fn default() -> Self {
        Self::new(limits::NOTICES_OWED as usize)
    }
}

impl Notices {
    pub fn new(limit: usize) -> Self {
        Self { owed: Mutex::default(), more: Notify::new(), limit: limit.max(1) }
    }

    /// Notes a change that is visible to readers already. What is handed back must be told by the caller, now.
    #[must_use]
    pub fn owe(&self, change: ConfigChange) -> Option<ConfigChange> {
        let mut owed = self.owed.lock();
        let over = (owed.changes.len() >= self.limit && !owed.changes.contains_key(&change.key))
            .then(|| owed.take())
            .flatten();
        owed.put(change);
        drop(owed);
        self.more.notify_one();
        over
    }

    /// The key that has waited longest.
    pub fn take(&self) -> Option<Taken<'_>> {
        let change = self.owed.lock().take()?;
        Some(Taken { notices: self, change, told: false })
    }

    /// Returns once something may be there.
    pub async fn wait(&self) {
        self.more.notified().await;
    }

    /// Keys that wait.
    pub fn len(&self) -> usize {
        self.owed.lock().changes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Owed {
    fn put(&mut self, mut change: ConfigChange) {
        match self.changes.get_mut(&change.key) {
            Some(known) => {
                // Whether the key is there is looked up when it is told; that it came or went must not be forgotten.
                if change.existence == Existence::Unchanged {
                    change.existence = known.existence;
                }
                *known = change;
            }
            None => {
                self.order.push_back(change.key.clone());
                self.changes.insert(change.key.clone(), change);
            }
        }
    }

    /// Puts a note back that was not told; what came meanwhile is newer.
    fn put_back(&mut self, change: ConfigChange) {
        match self.changes.get_mut(&change.key) {
            Some(newer) if newer.existence == Existence::Unchanged => newer.existence = change.existence,
            Some(_) => {}
            None => {
                self.order.push_front(change.key.clone());
                self.changes.insert(change.key.clone(), change);
            }
        }
    }

    fn take(&mut self) -> Option<ConfigChange> {
        let key = self.order.pop_front()?;
        self.changes.remove(&key)
    }
}

/// A note that somebody works on. It is owed again unless it was [`Taken::told`]: a worker may die or be restarted at any
/// await.
pub struct Taken<'a> {
    notices: &'a Notices,
    change: ConfigChange,
    told: bool,
}

impl Taken<'_> {
    pub fn change(&self) -> &ConfigChange {
        &self.change
    }

    /// Everybody has been told.
    pub fn told(mut self) {
        self.told = true;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.notices.owed.lock().put_back(self.change.clone());
            self.notices.more.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(data_id: &str, existence: Existence, modified: i64) -> ConfigChange {
        ConfigChange { key: ConfigKey::new("", "g", data_id), gray: None, existence, modified }
    }

    fn plain(data_id: &str) -> ConfigChange {
        change(data_id, Existence::Unchanged, 0)
    }

    fn take(notices: &Notices) -> Option<ConfigChange> {
        let taken = notices.take()?;
        let change = taken.change().clone();
        taken.told();
        Some(change)
    }

    fn all(notices: &Notices) -> Vec<String> {
        std::iter::from_fn(|| take(notices)).map(|change| change.key.data_id.to_string()).collect()
    }

    #[test]
    fn keys_are_told_in_the_order_of_their_first_change_and_once_each() {
        let notices = Notices::default();
        for data_id in ["b", "a", "b", "c", "a"] {
            assert_eq!(notices.owe(plain(data_id)), None);
        }
        assert_eq!(notices.len(), 3);
        assert_eq!(all(&notices), ["b", "a", "c"]);
        assert!(notices.is_empty());
    }

    #[test]
    fn of_several_changes_the_newest_counts_and_that_the_key_came_or_went() {
        let notices = Notices::default();
        let _ = notices.owe(change("a", Existence::Appeared, 1));
        let _ = notices.owe(change("a", Existence::Unchanged, 2));
        assert_eq!(take(&notices), Some(change("a", Existence::Appeared, 2)));
        let _ = notices.owe(change("a", Existence::Appeared, 3));
        let _ = notices.owe(change("a", Existence::Vanished, 4));
        assert_eq!(take(&notices), Some(change("a", Existence::Vanished, 4)));
    }

    #[test]
    fn a_change_while_its_key_is_being_told_is_told_again() {
        let notices = Notices::default();
        let _ = notices.owe(plain("a"));
        let taken = notices.take().unwrap();
        let _ = notices.owe(plain("a"));
        taken.told();
        assert_eq!(all(&notices), ["a"]);
    }

    #[test]
    fn what_was_taken_and_not_told_is_owed_again() {
        let notices = Notices::default();
        let _ = notices.owe(change("a", Existence::Appeared, 1));
        let taken = notices.take().unwrap();
        let _ = notices.owe(change("a", Existence::Unchanged, 2));
        drop(taken);
        let _ = notices.owe(plain("b"));
        assert_eq!(take(&notices), Some(change("a", Existence::Appeared, 2)));
        drop(notices.take());
        assert_eq!(all(&notices), ["b"]);
    }

    #[test]
    fn a_full_set_hands_its_oldest_to_the_one_who_adds_and_loses_none() {
        let notices = Notices::new(2);
        assert_eq!(notices.owe(plain("a")), None);
        assert_eq!(notices.owe(plain("b")), None);
        assert_eq!(notices.owe(plain("a")), None, "a known key takes no room");
        assert_eq!(notices.owe(plain("c")), Some(plain("a")));
        assert_eq!(all(&notices), ["b", "c"]);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_a_change_before_or_after() {
        let notices = Notices::default();
        let _ = notices.owe(plain("a"));
        notices.wait().await;
        assert_eq!(all(&notices), ["a"]);
        let (_, ()) = tokio::join!(notices.wait(), async {
            let _ = notices.owe(plain("b"));
        });
        assert_eq!(all(&notices), ["b"]);
    }
}

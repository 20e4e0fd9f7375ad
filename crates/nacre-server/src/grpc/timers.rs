//! One queue of moments for all connections and services, served by one worker: ten thousand connections cost no task
//! and no timer of their own.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::Weak,
    time::Duration,
};

use nacre_model::ServiceKey;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connections::Connection;

/// What is to be done when a moment comes.
#[derive(Clone, Debug)]
pub enum Wake {
    /// Deadlines and retries of one connection's pushes.
    Connection(Weak<Connection>),
    /// A service whose subscribers are to be told.
    Service(ServiceKey),
}

#[derive(Debug)]
struct Entry {
    due: u64,
    number: u64,
    wake: Wake,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

#[derive(Debug, Default)]
struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    number: u64,
}

/// Milliseconds of the server's monotonic clock.
#[derive(Debug, Default)]
pub struct Timers {
    queue: Mutex<Queue>,
    sooner: Notify,
}

impl Timers {
    /// Asks for a wake at `due`; moments in the past come at once.
    pub fn arm(&self, due: u64, wake: Wake) {
        let mut queue = self.queue.lock();
        let first = queue.heap.peek().is_none_or(|Reverse(entry)| due < entry.due);
        let number = queue.number;
        queue.number += 1;
        queue.heap.push(Reverse(Entry { due, number, wake }));
        drop(queue);
        if first {
            self.sooner.notify_one();
        }
    }

    /// Everything due by `now`, oldest first.
    pub fn take_due(&self, now: u64) -> Vec<Wake> {
        let mut queue = self.queue.lock();
        let mut due = Vec::new();
        while queue.heap.peek().is_some_and(|Reverse(entry)| entry.due <= now) {
            due.extend(queue.heap.pop().map(|Reverse(entry)| entry.wake));
        }
        due
    }

    /// Waits until the next moment comes or an earlier one is asked for. `now` is the clock's reading.
    pub async fn wait(&self, now: u64) {
        let next = self.queue.lock().heap.peek().map(|Reverse(entry)| entry.due);
        match next {
            Some(due) if due <= now => {}
            Some(due) => {
                let _ = tokio::time::timeout(Duration::from_millis(due - now), self.sooner.notified()).await;
            }
            None => self.sooner.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Wake {
        Wake::Service(ServiceKey::new("", "g", name))
    }

    fn names(wakes: Vec<Wake>) -> Vec<String> {
        let name = |wake| match wake {
            Wake::Service(key) => key.name.to_string(),
            Wake::Connection(_) => String::new(),
        };
        wakes.into_iter().map(name).collect()
    }

    #[test]
    fn moments_come_in_order() {
        let timers = Timers::default();
        timers.arm(30, service("c"));
        timers.arm(10, service("a"));
        timers.arm(10, service("b"));
        assert_eq!(names(timers.take_due(9)), Vec::<String>::new());
        assert_eq!(names(timers.take_due(29)), ["a", "b"]);
        assert_eq!(names(timers.take_due(30)), ["c"]);
    }

    #[tokio::test]
    async fn an_earlier_moment_ends_the_wait() {
        let timers = std::sync::Arc::new(Timers::default());
        timers.arm(1_000_000, service("late"));
        timers.wait(0).await; // the arming above has left its permit
        let waiting = tokio::spawn({
            let timers = timers.clone();
            async move { timers.wait(0).await }
        });
        timers.arm(5, service("soon"));
        waiting.await.unwrap();
        assert_eq!(names(timers.take_due(5)), ["soon"]);
    }
}

//! The open loop: requests are due at fixed moments whether or not the server keeps up, and latency is counted from the
//! moment a request was due. A server that stalls for a second then shows a second, not one slow request.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Due requests of one thread, shared by its connections: whichever is free takes the oldest.
#[derive(Debug, Default)]
pub struct Pacer {
    due: Mutex<VecDeque<Instant>>,
    ready: Notify,
    over: AtomicBool,
}

impl Pacer {
    /// Makes requests due, `every` apart, from `begin` to `end`, from a thread of its own: tokio's timers tick in
    /// milliseconds, far too coarse here.
    pub fn start(begin: Instant, end: Instant, every: Duration) -> Arc<Self> {
        let pacer = Arc::new(Self::default());
        let ours = Arc::downgrade(&pacer);
        thread::spawn(move || {
            let mut next = begin;
            while next < end {
                thread::sleep(next.saturating_duration_since(Instant::now()));
                let Some(pacer) = ours.upgrade() else { return };
                let now = Instant::now();
                let mut due = pacer.due();
                while next <= now && next < end {
                    due.push_back(next);
                    pacer.ready.notify_one();
                    next += every;
                }
            }
            if let Some(pacer) = ours.upgrade() {
                pacer.over.store(true, Ordering::Release);
                pacer.ready.notify_waiters();
                // Whoever was about to wait finds this one, and hands it on.
                pacer.ready.notify_one();
            }
        });
        pacer
    }

    /// The next request's intended moment; `None` once all have been taken.
    pub async fn next(&self) -> Option<Instant> {
        loop {
            let over = self.over.load(Ordering::Acquire);
            if let Some(due) = self.due().pop_front() {
                return Some(due);
            }
            if over {
                self.ready.notify_one();
                return None;
            }
            self.ready.notified().await;
        }
    }

    /// Requests that nobody has taken yet.
    pub fn waiting(&self) -> usize {
        self.due().len()
    }

    fn due(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_due_request_is_taken_once_and_at_its_own_moment() {
        let begin = Instant::now();
        let (every, end) = (Duration::from_micros(100), begin + Duration::from_millis(20));
        let pacer = Pacer::start(begin, end, every);
        let mut takers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let pacer = Arc::clone(&pacer);
            takers.spawn(async move {
                let mut took = Vec::new();
                while let Some(due) = pacer.next().await {
                    took.push(due);
                    tokio::task::yield_now().await;
                }
                took
            });
        }
        let mut all = takers.join_all().await.concat();
        all.sort();
        let wanted: Vec<_> = (0..200).map(|n| begin + every * n).collect();
        assert_eq!(all, wanted);
    }
}

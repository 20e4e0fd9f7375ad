//! Spans that wait to be sent. Whoever made one never waits: a full queue drops it and counts.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nacre_model::limits;
use nacre_wire::otlp::Span;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Spans that leave together.
pub const BATCH: usize = 512;

/// See the module's head.
pub struct Queue {
    spans: Mutex<VecDeque<Span>>,
    more: Notify,
    limit: usize,
    pub counts: Counts,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Counts {
    /// The collector has them.
    pub sent: AtomicU64,
    /// There was no room, or no time at the stop.
    pub dropped: AtomicU64,
    /// The collector did not want them.
    pub rejected: AtomicU64,
}

impl Counts {
    /// Sent, dropped, rejected.
    pub fn read(&self) -> (u64, u64, u64) {
        let [sent, dropped, rejected] = [&self.sent, &self.dropped, &self.rejected].map(|n| n.load(Ordering::Relaxed));
        (sent, dropped, rejected)
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new(limits::TRACE_SPANS as usize)
    }
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self { spans: Mutex::default(), more: Notify::new(), limit, counts: Counts::default() }
    }

    pub fn offer(&self, span: Span) {
        let mut spans = self.spans.lock();
        if spans.len() >= self.limit {
            drop(spans);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        spans.push_back(span);
        let news = matches!(spans.len(), 1 | BATCH);
        drop(spans);
        if news {
            self.more.notify_one();
        }
    }

    pub fn len(&self) -> usize {
        self.spans.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest ones, at most a batch.
    pub fn take(&self) -> Vec<Span> {
        let mut spans = self.spans.lock();
        let some = spans.len().min(BATCH);
        spans.drain(..some).collect()
    }

    /// Returns when a batch is full, or `delay` after there was something.
    pub async fn wait(&self, delay: Duration) {
        while self.is_empty() {
            self.more.notified().await;
        }
        let full = async {
            while self.len() < BATCH {
                self.more.notified().await;
            }
        };
        let _ = tokio::time::timeout(delay, full).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: usize) -> Span {
        Span { name: name.to_string(), ..Span::default() }
    }

    #[test]
    fn a_full_queue_drops_what_is_new_and_counts_it() {
        let queue = Queue::new(3);
        (0..5).for_each(|name| queue.offer(span(name)));
        let names: Vec<_> = queue.take().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["0", "1", "2"]);
        assert_eq!(queue.counts.read(), (0, 2, 0));
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn spans_wait_for_others_and_not_for_ever() {
        let queue = Queue::default();
        queue.offer(span(0));
        queue.wait(Duration::from_millis(1)).await;
        assert_eq!(queue.take().len(), 1);
        (0..=BATCH).for_each(|name| queue.offer(span(name)));
        queue.wait(Duration::from_secs(3_600)).await;
        assert_eq!((queue.take().len(), queue.take().len()), (BATCH, 1));
    }
}

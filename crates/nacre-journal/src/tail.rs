//! Live tails: bounded queues between the journal and a reader, usable from a thread or from any async runtime.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{Filter, Journal, Record};

/// What a reader gets.
#[derive(Debug)]
pub enum Received {
    Record(Arc<Record>),
    /// The reader was too slow: this many records were not kept for it. They may still be in the journal.
    Missed(u64),
}

/// The journal's side of a tail.
pub(crate) struct Outlet {
    filter: Filter,
    capacity: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Record>>,
    /// Missed since the reader was last told.
    missed: u64,
    missed_total: u64,
    waker: Option<Waker>,
    closed: bool,
}

impl Outlet {
    pub fn new(filter: Filter, capacity: usize) -> Self {
        Self { filter, capacity: capacity.max(1), state: Mutex::default(), arrived: Condvar::new() }
    }

    /// Takes the record if it is wanted. Called under the journal's lock: short, never blocks on the reader.
    pub fn offer(&self, record: &Arc<Record>) {
        if !self.filter.matches(&record.event) {
            return;
        }
        let mut state = self.state.lock();
        // Once something was missed the rest is missed too until the reader was told, so that the gap has one place.
        if state.missed > 0 || state.queue.len() >= self.capacity {
            state.missed += 1;
            state.missed_total += 1;
            return;
        }
        state.queue.push_back(record.clone());
        self.wake(state);
    }

    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        self.wake(state);
    }

    pub fn missed_total(&self) -> u64 {
        self.state.lock().missed_total
    }

    fn wake(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        self.arrived.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    /// The next thing to deliver: records first, then the gap after them, then the end.
    fn next(&mut self) -> Option<Option<Received>> {
        if let Some(record) = self.queue.pop_front() {
            return Some(Some(Received::Record(record)));
        }
        if self.missed > 0 {
            return Some(Some(Received::Missed(std::mem::take(&mut self.missed))));
        }
        self.closed.then_some(None)
    }
}

/// The reader's side. `None` from the receiving methods is the end (the server stops).
pub struct Tail {
    outlet: Arc<Outlet>,
    journal: Arc<Journal>,
}

impl Tail {
    pub(crate) fn new(outlet: Arc<Outlet>, journal: Arc<Journal>) -> Self {
        Self { outlet, journal }
    }

    /// For streams and hand-written futures.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Received>> {
        let mut state = self.outlet.state.lock();
        match state.next() {
            Some(next) => Poll::Ready(next),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits in an async task. Cancel safe.
    pub async fn next(&mut self) -> Option<Received> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Waits in a thread; `Err` when nothing came within `timeout`.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Received>, Elapsed> {
        let deadline = Instant::now() + timeout;
        let mut state = self.outlet.state.lock();
        loop {
            if let Some(next) = state.next() {
                return Ok(next);
            }
            if self.outlet.arrived.wait_until(&mut state, deadline).timed_out() {
                return state.next().ok_or(Elapsed);
            }
        }
    }

    /// What is there, without waiting.
    pub fn try_next(&mut self) -> Option<Received> {
        self.outlet.state.lock().next().flatten()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.journal.untail(&self.outlet);
    }
}

/// Nothing came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

//! Times of one kind of call: how many, how long together, the longest lately.

use std::sync::atomic::{AtomicU64, Ordering};

/// The longest time is that of this window and the one before, milliseconds.
const WINDOW: u64 = 60_000;

/// Count, sum and recent maximum; all additions are atomic and independent.
#[derive(Debug, Default)]
pub struct Timer {
    count: AtomicU64,
    nanos: AtomicU64,
    /// Number of the window that `longest[0]` belongs to.
    window: AtomicU64,
    /// Of this window and of the one before.
    longest: [AtomicU64; 2],
}

impl Timer {
    /// `mono_ms` is the monotonic clock now.
    pub fn record(&self, nanos: u64, mono_ms: u64) {
        self.turn(mono_ms);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.longest[0].fetch_max(nanos, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub fn sum_seconds(&self) -> f64 {
        self.nanos.load(Ordering::Relaxed) as f64 / 1e9
    }

    /// The longest of the last one to two minutes.
    pub fn max_seconds(&self, mono_ms: u64) -> f64 {
        self.turn(mono_ms);
        let longest = self.longest.iter().map(|nanos| nanos.load(Ordering::Relaxed)).max();
        longest.unwrap_or(0) as f64 / 1e9
    }

    fn turn(&self, mono_ms: u64) {
        let now = mono_ms / WINDOW;
        let window = self.window.load(Ordering::Relaxed);
        if window < now && self.window.compare_exchange(window, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let last = self.longest[0].swap(0, Ordering::Relaxed);
            self.longest[1].store(if window + 1 == now { last } else { 0 }, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_is_forgotten_after_two_windows() {
        let timer = Timer::default();
        timer.record(2_000_000_000, 10);
        timer.record(1_000_000_000, WINDOW + 10);
        assert_eq!((timer.count(), timer.sum_seconds()), (2, 3.0));
        assert_eq!(timer.max_seconds(WINDOW + 20), 2.0);
        assert_eq!(timer.max_seconds(2 * WINDOW), 1.0);
        assert_eq!(timer.max_seconds(9 * WINDOW), 0.0);
    }
}

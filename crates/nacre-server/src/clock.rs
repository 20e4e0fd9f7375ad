//! The one clock of the server. Cores never see it; they are handed the [`Now`] it makes.
//!
//! The monotonic reading does not count the server's own stalls: a ticker moves the clock's base every
//! [`TICK`], and between two ticks the clock runs at most [`MAX_GAP`] ahead of the base. When the process was stopped
//! (SIGSTOP, a starved machine, a blocked runtime) the clock therefore stood still with it, so nobody's heartbeat
//! deadline passes because *we* were away (case C002). The difference is reported as a stall.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use nacre_model::Now;

/// How often the ticker moves the base.
pub const TICK: Duration = Duration::from_millis(100);
/// How far the clock runs without a tick, milliseconds. Longer silence of the ticker is a stall of ours; shorter ones
/// are ordinary scheduling noise.
pub const MAX_GAP: u64 = 1_000;
/// A wall clock that moved this much more or less than the monotonic one between two ticks has been stepped.
const STEP: i64 = 1_000;

#[derive(Clone, Copy)]
struct Base {
    /// Raw monotonic milliseconds at the last tick.
    raw: u64,
    /// What the clock showed then.
    mono: u64,
    wall: i64,
}

/// What a tick found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickReport {
    /// The server stood still this long (beyond [`MAX_GAP`]), else 0.
    pub stalled_ms: u64,
    /// The wall clock was stepped by this much, else 0.
    pub stepped_ms: i64,
}

/// Cheap to clone; all clones are one clock.
#[derive(Clone)]
pub struct Clock {
    start: Instant,
    base: Arc<ArcSwap<Base>>,
    late: Arc<AtomicU64>,
}

impl Clock {
    pub fn start() -> Self {
        let base = Base { raw: 0, mono: 0, wall: wall_ms() };
        Self { start: Instant::now(), base: Arc::new(ArcSwap::from_pointee(base)), late: Arc::default() }
    }

    /// Both clocks now.
    pub fn now(&self) -> Now {
        Now { mono: reading(&self.base.load(), self.raw()), wall: wall_ms() }
    }

    /// Both clocks at a moment that was read just now.
    pub fn now_at(&self, moment: Instant) -> Now {
        Now { mono: self.mono_at(moment), wall: wall_ms() }
    }

    /// The monotonic clock at a moment that was read already.
    pub fn mono_at(&self, moment: Instant) -> u64 {
        let raw = moment.saturating_duration_since(self.start).as_millis();
        reading(&self.base.load(), u64::try_from(raw).unwrap_or(u64::MAX))
    }

    /// Time since the process began, stalls included.
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// Moves the base; called by the ticker only.
    pub fn tick(&self) -> TickReport {
        let before = self.base.load();
        let (base, report) = advance(&before, self.raw(), wall_ms());
        self.late.fetch_max((base.raw - before.raw).saturating_sub(TICK.as_millis() as u64), Ordering::Relaxed);
        self.base.store(Arc::new(base));
        report
    }

    /// How late the latest tick came since this was called last, milliseconds: as late as everything else that was ready.
    pub fn take_lateness(&self) -> u64 {
        self.late.swap(0, Ordering::Relaxed)
    }

    fn raw(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

fn reading(base: &Base, raw: u64) -> u64 {
    base.mono + raw.saturating_sub(base.raw).min(MAX_GAP)
}

fn advance(base: &Base, raw: u64, wall: i64) -> (Base, TickReport) {
    let gap = raw.saturating_sub(base.raw);
    let drift = wall - base.wall - gap as i64;
    let report =
        TickReport { stalled_ms: gap.saturating_sub(MAX_GAP), stepped_ms: if drift.abs() >= STEP { drift } else { 0 } };
    (Base { raw, mono: reading(base, raw), wall }, report)
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Base = Base { raw: 5_000, mono: 3_000, wall: 1_000_000 };

    #[test]
    fn the_clock_stands_still_while_the_server_does() {
        assert_eq!(reading(&BASE, 45_000), 4_000, "before the ticker woke up");
        let (after, report) = advance(&BASE, 45_000, 1_040_000);
        assert_eq!(report, TickReport { stalled_ms: 39_000, stepped_ms: 0 });
        assert_eq!(reading(&after, 45_000), 4_000, "and not a millisecond is caught up later");
        assert_eq!(reading(&after, 45_200), 4_200);
    }

    #[test]
    fn ordinary_ticks_report_nothing() {
        let (after, report) = advance(&BASE, 5_100, 1_000_100);
        assert_eq!(report, TickReport::default());
        assert_eq!(after.mono, 3_100);
    }

    #[test]
    fn a_stepped_wall_clock_is_told_from_a_stall() {
        let (_, report) = advance(&BASE, 5_100, 1_000_100 - 3_600_000);
        assert_eq!(report, TickReport { stalled_ms: 0, stepped_ms: -3_600_000 });
    }
}

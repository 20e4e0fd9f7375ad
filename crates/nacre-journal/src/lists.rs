//! Rounds of lists: every now and then the instances of every service are written beside the events, so that a list of the
//! past has a beginning that is not far away. The caller walks over the services at its own pace; nothing stalls.

use std::io;

use nacre_model::Now;

use crate::{Journal, Listed, disk::codec::Round};

/// When the last round began, and what has been written since.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    begun: Option<u64>,
    written: u64,
    dropped: u64,
    /// Bytes of the last whole round's lists.
    bytes: u64,
}

/// Rounds begin at least this far apart.
const SHORTEST_MS: u64 = 10_000;
/// Where lists are small, they are written this often.
const USUAL_MS: u64 = 600_000;
/// A round follows on so many bytes of events, or four times the bytes of its own lists: they are a fifth of what is kept.
const EVENT_BYTES: u64 = 4 * 1024 * 1024;
const SHARE: u64 = 4;

/// A round that is under way.
#[derive(Debug)]
pub struct ListRound {
    begun: u64,
    begun_at: i64,
    bytes: u64,
}

impl Journal {
    /// Begins a round when it is time for one.
    pub fn begin_lists(&self, now: Now) -> Option<ListRound> {
        let disk = self.disk()?;
        let counts = disk.counts();
        let mut pace = disk.pace.lock();
        if counts.failing || !pace.due(&counts, disk.options().bytes, disk.options().age_ms, now.mono) {
            return None;
        }
        (pace.begun, pace.written, pace.dropped) = (Some(now.mono), counts.written_bytes, counts.dropped);
        Some(ListRound { begun: self.last_seq(), begun_at: now.wall, bytes: 0 })
    }

    /// Keeps some services' lists. `after` is [`Journal::last_seq`] from before the lists were looked at, `now` the time
    /// after that. Blocks. After an error the round is to be given up.
    pub fn keep_lists(&self, round: &mut ListRound, lists: &[Listed<'_>], after: u64, now: Now) -> io::Result<()> {
        let Some(disk) = self.disk() else { return Ok(()) };
        round.bytes += disk.keep_lists(lists, after, now)?;
        Ok(())
    }

    /// Every service has been listed. Blocks.
    pub fn end_lists(&self, round: ListRound, now: Now) -> io::Result<()> {
        let Some(disk) = self.disk() else { return Ok(()) };
        let ListRound { begun, begun_at, bytes } = round;
        disk.pace.lock().bytes = bytes;
        disk.keep_round(&Round { begun, begun_at, at: now.wall, bytes }, now)
    }
}

impl Pace {
    fn due(&self, counts: &crate::DiskCounts, budget: u64, age_ms: i64, mono: u64) -> bool {
        let Some(begun) = self.begun else { return true };
        let elapsed = mono.saturating_sub(begun);
        if elapsed < SHORTEST_MS {
            return false;
        }
        if counts.dropped > self.dropped {
            // What was lost is made good by new lists.
            return true;
        }
        let written = counts.written_bytes.saturating_sub(self.written + self.bytes);
        let age = u64::try_from(age_ms).unwrap_or(0);
        // So far apart that the lists of the whole age are a fifth of the budget, when events are few.
        let fair = u128::from(age) * u128::from(self.bytes) * 5 / u128::from(budget.max(1));
        let fair = u64::try_from(fair).unwrap_or(u64::MAX).clamp(USUAL_MS.min(age / 2), age / 2);
        written >= EVENT_BYTES.max(SHARE * self.bytes) || (written > 0 && elapsed >= fair) || elapsed >= age / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DiskCounts;

    const GIB: u64 = 1024 * 1024 * 1024;
    const WEEK: i64 = 7 * 24 * 3600 * 1000;

    fn due(pace: &Pace, written: u64, elapsed: u64) -> bool {
        let counts = DiskCounts { written_bytes: written, ..DiskCounts::default() };
        pace.due(&counts, GIB, WEEK, 1_000 + elapsed)
    }

    #[test]
    fn rounds_follow_events_time_and_loss() {
        assert!(due(&Pace::default(), 0, 0), "the first at once");
        let small = Pace { begun: Some(1_000), bytes: 10_000, ..Pace::default() };
        assert!(!due(&small, 10_000, USUAL_MS), "nothing happened");
        assert!(!due(&small, 20_000, USUAL_MS - 1) && due(&small, 20_000, USUAL_MS));
        assert!(!due(&small, 10 * EVENT_BYTES, SHORTEST_MS - 1) && due(&small, 10 * EVENT_BYTES, SHORTEST_MS));
        assert!(due(&small, 10_000, WEEK as u64 / 4), "lists must not be forgotten before their time");
        let lost = DiskCounts { dropped: 1, ..DiskCounts::default() };
        assert!(small.due(&lost, GIB, WEEK, 1_000 + SHORTEST_MS));
    }

    #[test]
    fn lists_of_a_million_instances_are_a_fraction_of_what_is_kept() {
        let large = Pace { begun: Some(1_000), bytes: GIB / 8, ..Pace::default() };
        assert!(!due(&large, GIB / 8 + GIB / 4, WEEK as u64 / 8));
        assert!(due(&large, GIB / 8 + GIB / 2, SHORTEST_MS));
    }
}

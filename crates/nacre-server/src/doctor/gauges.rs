//! What this process uses and may use, measured in the doctor's round. What costs more than a few microseconds is read
//! every few rounds only.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    time::{Duration, Instant},
};

use nacre_doctor::scene::{Gauges, SlowCall};

use crate::{
    app::App,
    logging,
    metrics::{cgroup, process},
};

/// Figures of the last seconds are of this many rounds.
const ROUNDS: usize = 5;
/// Open files are counted every so many rounds: a directory of as many entries is read for it.
const FILES_EVERY: u64 = 5;

/// Samples of the rounds before.
#[derive(Default)]
pub struct Sampler {
    rounds: u64,
    /// Oldest first.
    samples: VecDeque<Sample>,
    files: Option<(u64, u64)>,
}

struct Sample {
    at: Instant,
    cpu: Option<Duration>,
    throttled: Option<Duration>,
    /// How long each thread has waited for a processor since it began, by its number.
    waited: HashMap<u32, Duration>,
    lag: Duration,
    /// How late the clock's ticks came.
    late_ms: u64,
    log_ms: u64,
    slow: Vec<SlowCall>,
}

impl Sampler {
    /// One round; `lag` is how long a ready task waited for its turn.
    pub fn round(&mut self, app: &App, lag: Duration) -> Gauges {
        let process = process::Process::read_without_files();
        if self.rounds.is_multiple_of(FILES_EVERY) {
            self.files = process::files();
        }
        self.rounds += 1;
        let sample = Sample {
            at: Instant::now(),
            cpu: process.cpu,
            throttled: cgroup::throttled(),
            waited: waited(),
            lag,
            late_ms: app.clock.take_lateness(),
            log_ms: logging::take_longest_wait(),
            slow: app.metrics.slow.take(),
        };
        let oldest = self.samples.front();
        let passed = oldest.map_or(Duration::ZERO, |old| sample.at - old.at);
        let share = |now: Option<Duration>, then: Option<Duration>| {
            // A share of less than a few rounds is noise.
            let used = now?.checked_sub(then?)?;
            (passed >= Duration::from_secs(3)).then(|| used.as_secs_f64() / passed.as_secs_f64())
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cpu = share(sample.cpu, oldest.and_then(|old| old.cpu)).map(|used| (used / cores as f64, cores));
        let throttled = share(sample.throttled, oldest.and_then(|old| old.throttled));
        let waited = oldest.filter(|old| passed >= Duration::from_secs(3) && !old.waited.is_empty()).map(|old| {
            let longest =
                sample.waited.iter().filter_map(|(thread, now)| now.checked_sub(*old.waited.get(thread)?)).max();
            longest.unwrap_or_default().as_secs_f64() / passed.as_secs_f64()
        });
        if self.samples.len() == ROUNDS {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let waits = self.samples.iter().map(|sample| u64::try_from(sample.lag.as_millis()).unwrap_or(u64::MAX));
        let lag_ms = lag_of(waits).max(usual(self.samples.iter().map(|sample| sample.late_ms)));
        let log_ms = self.samples.iter().map(|sample| sample.log_ms).max().unwrap_or_default();
        let status = app.consensus.status();
        Gauges {
            connections: Some((app.room.used() as u64, app.room.places() as u64)),
            files: self.files,
            memory: process.resident_bytes.zip(cgroup::memory_limit()),
            disk: process::disk(&app.props.data_dir()),
            cpu,
            throttled,
            waited,
            lag_ms,
            log_ms,
            slow: together(self.samples.iter().flat_map(|sample| &sample.slow)),
            writes: Some((status.queue_writes as u64, app.props.u64("nacre.limit.write-queue"))),
        }
    }
}

/// A wait this long is told although it came only once: callers noticed it.
const LONG_MS: u64 = 1_000;

/// How long ready tasks wait, milliseconds: the second longest wait of the last rounds, or the longest if that was long.
fn lag_of(waits: impl Iterator<Item = u64>) -> u64 {
    let (mut longest, mut second) = (0, 0);
    for wait in waits {
        second = second.max(wait.min(longest));
        longest = longest.max(wait);
    }
    if longest >= LONG_MS { longest } else { second }
}

/// How late ticks usually are: a burst of one second is nobody's trouble.
fn usual(late: impl Iterator<Item = u64>) -> u64 {
    let mut late: Vec<u64> = late.collect();
    late.sort_unstable();
    if late.len() < ROUNDS { 0 } else { late[ROUNDS / 2] }
}

/// The slow calls of all samples, each kind once.
fn together<'a>(calls: impl Iterator<Item = &'a SlowCall>) -> Vec<SlowCall> {
    let mut all: Vec<SlowCall> = Vec::new();
    for call in calls {
        match all.iter_mut().find(|known| known.kind == call.kind) {
            Some(known) => {
                known.count += call.count;
                known.longest_ms = known.longest_ms.max(call.longest_ms);
            }
            None => all.push(call.clone()),
        }
    }
    all
}

/// What the kernel says of the threads of this process; empty where it says nothing.
fn waited() -> HashMap<u32, Duration> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return HashMap::new() };
    let of = |task: fs::DirEntry| {
        let thread = task.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((thread, Duration::from_nanos(stat.split_whitespace().nth(1)?.parse().ok()?)))
    };
    tasks.filter_map(|task| of(task.ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_short_wait_is_no_lag_but_two_are_and_so_is_a_long_one() {
        assert_eq!(lag_of([0, 291, 0, 1, 0].into_iter()), 1);
        assert_eq!(lag_of([300, 0, 0, 0, 291].into_iter()), 291);
        assert_eq!(lag_of([0, 0, 1_200, 0, 0].into_iter()), 1_200);
        assert_eq!(lag_of([].into_iter()), 0);
    }

    #[test]
    fn ticks_are_late_when_most_rounds_had_late_ones() {
        assert_eq!(usual([400, 0, 400, 0, 400].into_iter()), 400);
        assert_eq!(usual([400, 0, 400, 0, 0].into_iter()), 0);
        assert_eq!(usual([400, 400].into_iter()), 0, "too few to say");
    }
}

//! What this process uses and may use, measured in the doctor's round. What costs more than a few microseconds is read
//! every few rounds only.

use std::{
    fs,
    time::{Duration, Instant},
};

use nacre_doctor::scene::Gauges;

use crate::{
    app::App,
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
    samples: std::collections::VecDeque<Sample>,
    files: Option<(u64, u64)>,
}

struct Sample {
    at: Instant,
    cpu: Option<Duration>,
    throttled: Option<Duration>,
    machine: Option<(u64, u64)>,
    lag: Duration,
}

impl Sampler {
    /// One round; `lag` is how long a ready task waited for its turn.
    pub fn round(&mut self, app: &App, lag: Duration) -> Gauges {
        let process = process::Process::read_without_files();
        if self.rounds.is_multiple_of(FILES_EVERY) {
            self.files = process::files();
        }
        self.rounds += 1;
        let sample =
            Sample { at: Instant::now(), cpu: process.cpu, throttled: cgroup::throttled(), machine: machine(), lag };
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
        let machine =
            oldest.and_then(|old| old.machine).zip(sample.machine).and_then(|((busy, all), (now_busy, now_all))| {
                let passed = now_all.checked_sub(all).filter(|ticks| *ticks > 0)?;
                Some(now_busy.checked_sub(busy)? as f64 / passed as f64)
            });
        if self.samples.len() == ROUNDS {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let lag = self.samples.iter().map(|sample| sample.lag).max().unwrap_or_default();
        let status = app.consensus.status();
        Gauges {
            connections: Some((app.room.used() as u64, app.room.places() as u64)),
            files: self.files,
            memory: process.resident_bytes.zip(cgroup::memory_limit()),
            disk: process::disk(&app.props.data_dir()),
            cpu,
            throttled,
            machine,
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            writes: Some((status.queue_writes as u64, app.props.u64("nacre.limit.write-queue"))),
        }
    }
}

/// Ticks of all processors: those that somebody used, and all.
fn machine() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).map_while(|text| text.parse().ok()).collect();
    let all: u64 = ticks.iter().take(8).sum();
    let idle: u64 = ticks.get(3)? + ticks.get(4)?;
    Some((all - idle, all))
}

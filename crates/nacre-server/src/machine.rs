//! Figures of the machine we run on, from the kernel: what the metrics calls show as `cpu`, `load` and `mem`.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The kernel's counters are compared over at least this long; calls in between see the last figure.
const WINDOW: Duration = Duration::from_secs(1);

/// Shares are 0.0..=1.0; -1.0 where the kernel does not tell, as the JVM shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Share of all processors' time that was busy, over the last second or longer.
    pub cpu: f32,
    /// Load average of the last minute.
    pub load: f32,
    /// Share of the memory in use.
    pub mem: f32,
}

/// Processor time so far, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ticks {
    busy: u64,
    all: u64,
}

struct Last {
    at: Instant,
    ticks: Ticks,
    cpu: f32,
}

/// Reads `/proc`, at most once per [`WINDOW`] for the processors.
pub struct MachineReader {
    last: Mutex<Last>,
}

impl Default for MachineReader {
    fn default() -> Self {
        // The first figure is the average since the machine started.
        let ticks = ticks(&file("/proc/stat")).unwrap_or_default();
        let cpu = share(ticks.busy, ticks.all);
        Self { last: Mutex::new(Last { at: Instant::now(), ticks, cpu }) }
    }
}

impl MachineReader {
    pub fn read(&self) -> Machine {
        let mem = mem(&file("/proc/meminfo")).unwrap_or(-1.0);
        Machine { cpu: self.cpu(), load: load(&file("/proc/loadavg")).unwrap_or(-1.0), mem }
    }

    fn cpu(&self) -> f32 {
        let mut last = self.last.lock();
        if last.at.elapsed() >= WINDOW {
            let Some(now) = ticks(&file("/proc/stat")) else { return -1.0 };
            let (busy, all) = (now.busy.saturating_sub(last.ticks.busy), now.all.saturating_sub(last.ticks.all));
            *last = Last { at: Instant::now(), ticks: now, cpu: share(busy, all) };
        }
        last.cpu
    }
}

pub(crate) fn file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn share(part: u64, whole: u64) -> f32 {
    if whole == 0 { -1.0 } else { part as f32 / whole as f32 }
}

/// The `cpu` line: user, nice, system, idle, iowait, irq, softirq, steal, ...
fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let numbers: Vec<u64> = line.split_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
    let idle = numbers.get(3)? + numbers.get(4).unwrap_or(&0);
    let all = numbers.iter().sum();
    Some(Ticks { busy: all - idle, all })
}

fn load(loadavg: &str) -> Option<f32> {
    loadavg.split_whitespace().next()?.parse().ok()
}

fn mem(meminfo: &str) -> Option<f32> {
    let kilobytes = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let (total, available) = (kilobytes("MemTotal")?, kilobytes("MemAvailable")?);
    Some(share(total.saturating_sub(available), total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let stat = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4\n";
        assert_eq!(ticks(stat), Some(Ticks { busy: 150, all: 1000 }));
        assert_eq!(load("5.40 4.10 3.00 1/200 1234"), Some(5.4));
        assert_eq!(mem("MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:  250 kB\n"), Some(0.75));
    }

    #[test]
    fn a_kernel_that_does_not_tell_is_shown_as_such() {
        assert_eq!((ticks(""), load(""), mem("")), (None, None, None));
    }
}

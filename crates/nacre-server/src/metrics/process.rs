//! What the operating system says about this process and machine. Linux only; elsewhere the figures are absent.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Figures that could be read; the rest is absent.
#[derive(Debug, Default)]
pub struct Process {
    /// Processor time used so far.
    pub cpu: Option<Duration>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    pub open_files: Option<u64>,
    pub max_files: Option<u64>,
}

/// Ticks a second of `/proc/self/stat`; fixed on all platforms Linux runs on.
const TICKS: u64 = 100;

impl Process {
    pub fn read() -> Self {
        let files = files();
        Self {
            open_files: files.map(|files| files.0),
            max_files: files.map(|files| files.1),
            ..Self::read_without_files()
        }
    }

    /// What costs little, however many files are open.
    pub fn read_without_files() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name: &str| line(&status, name).and_then(first_number).map(|kib| kib * 1024);
        Self {
            cpu: fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_time(&stat)),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: line(&status, "Threads:").and_then(first_number),
            open_files: None,
            max_files: None,
        }
    }
}

/// Open files, and how many there may be.
pub fn files() -> Option<(u64, u64)> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let most = line(&limits, "Max open files").and_then(first_number).unwrap_or(u64::MAX);
    Some((open, most))
}

/// The share of all processors that this process used lately.
pub struct Usage {
    last: Mutex<(Instant, Duration)>,
}

impl Default for Usage {
    /// The first answer is about the time since this.
    fn default() -> Self {
        Self { last: Mutex::new((Instant::now(), Process::read().cpu.unwrap_or_default())) }
    }
}

impl Usage {
    /// 0.0 to 1.0, since the last call; `used` is the processor time so far.
    pub fn since_last(&self, used: Duration) -> f64 {
        let mut last = self.last.lock();
        let now = Instant::now();
        let (passed, busy) = (now - last.0, used.saturating_sub(last.1));
        *last = (now, used);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        (busy.as_secs_f64() / passed.as_secs_f64().max(1e-3) / processors).min(1.0)
    }
}

/// Room on the disk that holds `path`: usable and total bytes.
#[cfg(target_os = "linux")]
pub fn disk(path: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some((disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))
}

#[cfg(not(target_os = "linux"))]
pub fn disk(_: &Path) -> Option<(u64, u64)> {
    None
}

pub fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

pub fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// User and system time of a `stat` line. The command's name may hold blanks and brackets; the fields follow its last.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_of_the_time_since_the_last_question() {
        let usage = Usage { last: Mutex::new((Instant::now() - Duration::from_secs(10), Duration::from_secs(5))) };
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        let share = usage.since_last(Duration::from_secs(6)) * processors;
        assert!((0.09..=0.101).contains(&share), "{share}");
        assert_eq!(usage.since_last(Duration::from_secs(6)), 0.0);
    }

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let stat = "12 (na) cre) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_time("nonsense"), None);
    }
}

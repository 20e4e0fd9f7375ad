//! What the operating system says about this process and machine. Linux only; elsewhere the figures are absent.

use std::{fs, time::Duration};

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
    pub load_1m: Option<f64>,
}

/// Ticks a second of `/proc/self/stat`; fixed on all platforms Linux runs on.
const TICKS: u64 = 100;

impl Process {
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name: &str| line(&status, name).and_then(first_number).map(|kib| kib * 1024);
        Self {
            cpu: fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_time(&stat)),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: line(&status, "Threads:").and_then(first_number),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            max_files: fs::read_to_string("/proc/self/limits")
                .ok()
                .and_then(|limits| line(&limits, "Max open files").and_then(first_number)),
            load_1m: fs::read_to_string("/proc/loadavg").ok().and_then(|load| load.split(' ').next()?.parse().ok()),
        }
    }
}

fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

fn first_number(text: &str) -> Option<u64> {
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
    fn a_stat_line_is_read_behind_the_name() {
        let stat = "12 (na) cre) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_time("nonsense"), None);
    }
}

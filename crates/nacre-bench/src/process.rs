//! What a process costs, as /proc tells it; and whose process a port is.

use std::{fs, time::Duration};

/// CPU time and memory of a process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// User and system time since it began.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub resident: u64,
    /// The part of it that no file backs: what the process allocated.
    pub anonymous: u64,
    pub threads: u64,
    pub files: u64,
}

/// `None` when there is no such process, or none that we may look at.
pub fn sample(pid: u32) -> Option<Sample> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything; fields count from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let cpu = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Sample {
        cpu,
        resident: value("VmRSS").unwrap_or(0) * 1024,
        anonymous: value("RssAnon").unwrap_or(0) * 1024,
        threads: value("Threads").unwrap_or(0),
        files: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |list| list.count() as u64),
    })
}

/// The process that listens on a port of this machine, when we may know it.
pub fn listener(port: u16) -> Option<u32> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        inodes.extend(text.lines().skip(1).filter_map(|line| listening_inode(line, port)));
    }
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    if wanted.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        files.flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|link| wanted.iter().any(|name| link.as_os_str() == name.as_str()))
        })
    })
}

/// The inode of a line of /proc/net/tcp when its socket listens on the port.
fn listening_inode(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let here = fields.get(1)?.rsplit_once(':')?.1;
    let listens = *fields.get(3)? == "0A";
    (listens && u16::from_str_radix(here, 16).ok()? == port).then(|| fields.get(9)?.parse().ok())?
}

/// What the figures were measured on.
pub fn machine() -> serde_json::Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    serde_json::json!({
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "cpu": after(&read("/proc/cpuinfo"), "model name"),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "memory": after(&read("/proc/meminfo"), "MemTotal"),
        "load": read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_with_its_memory_and_its_port() {
        let listener_socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener_socket.local_addr().unwrap().port();
        assert_eq!(listener(port), Some(std::process::id()));
        let seen = sample(std::process::id()).unwrap();
        assert!(seen.resident >= seen.anonymous && seen.anonymous > 0 && seen.threads > 0 && seen.files > 0);
    }

    #[test]
    fn nobody_has_no_cost() {
        assert_eq!(sample(u32::MAX), None);
    }
}

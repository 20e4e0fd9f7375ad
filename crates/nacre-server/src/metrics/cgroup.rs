//! What the control groups of this process (version 2, and 1) allow it, and what they kept from it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

/// Directories of the group of one controller and of those above it, the nearest first; empty where there are none.
struct Groups {
    /// Version 2.
    unified: Vec<PathBuf>,
    memory: Vec<PathBuf>,
    cpu: Vec<PathBuf>,
}

static GROUPS: LazyLock<Groups> = LazyLock::new(|| {
    let of = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let home = |wanted: Option<&str>| {
        let path = of.lines().find_map(|line| group(line, wanted));
        path.map(|path| above(&home_of(wanted), path)).unwrap_or_default()
    };
    Groups { unified: home(None), memory: home(Some("memory")), cpu: home(Some("cpu")) }
});

/// The path in a line of `/proc/self/cgroup` that is of a controller, or of version 2 (`0::/system.slice/nacre.service`).
fn group<'a>(line: &'a str, wanted: Option<&str>) -> Option<&'a str> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let is_it = match wanted {
        Some(wanted) => controllers.split(',').any(|controller| controller == wanted),
        None => number == "0" && controllers.is_empty(),
    };
    is_it.then_some(path)
}

fn home_of(controller: Option<&str>) -> PathBuf {
    let root = Path::new("/sys/fs/cgroup");
    controller.map_or_else(|| root.to_path_buf(), |controller| root.join(controller))
}

/// The group itself and those above it. A container sees its own group as the root, and elsewhere nothing.
fn above(home: &Path, path: &str) -> Vec<PathBuf> {
    let own = home.join(path.trim_start_matches('/'));
    own.ancestors().take_while(|at| at.starts_with(home)).map(Path::to_path_buf).collect()
}

/// The least of the memory limits; `None` where nothing limits.
pub fn memory_limit() -> Option<u64> {
    /// Version 1 writes "no limit" as a number near this.
    const NONE: u64 = 1 << 60;
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let unified = GROUPS.unified.iter().filter_map(|at| number(at.join("memory.max")));
    let older = GROUPS.memory.iter().filter_map(|at| number(at.join("memory.limit_in_bytes")));
    unified.chain(older).filter(|limit| (1..NONE).contains(limit)).min()
}

/// For how long the quota of processors held the process back so far.
pub fn throttled() -> Option<Duration> {
    let figure = |at: &PathBuf, name: &str| {
        let stat = fs::read_to_string(at.join("cpu.stat")).ok()?;
        stat.lines().find_map(|line| line.strip_prefix(name))?.trim().parse::<u64>().ok()
    };
    let unified = GROUPS.unified.iter().find_map(|at| figure(at, "throttled_usec ")).map(Duration::from_micros);
    unified.or_else(|| GROUPS.cpu.iter().find_map(|at| figure(at, "throttled_time ")).map(Duration::from_nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_controller_is_found_in_both_versions() {
        assert_eq!(group("0::/system.slice/nacre.service", None), Some("/system.slice/nacre.service"));
        assert_eq!(group("0::/", None), Some("/"));
        assert_eq!(group("9:cpu,memory:/docker/x", Some("memory")), Some("/docker/x"));
        assert_eq!(group("9:cpu,memory:/docker/x", None), None);
        assert_eq!(group("4:cpuset:/", Some("cpu")), None);
        let above = above(Path::new("/sys/fs/cgroup"), "/a/b");
        let above: Vec<_> = above.iter().map(|at| at.display().to_string()).collect();
        assert_eq!(above, ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
    }
}

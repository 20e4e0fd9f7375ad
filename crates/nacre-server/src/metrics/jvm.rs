//! What boards and alerts made for Nacos ask a JVM, answered by what this process has of the same meaning. What has none
//! is absent (`docs/metrics.md`).

use std::{fs, sync::atomic::Ordering};

use super::{process::Process, text::Text};
use crate::app::App;

pub fn write(text: &mut Text, app: &App, process: &Process) {
    let pool = [("area", "heap"), ("id", "rss")];
    if let Some(resident) = process.resident_bytes {
        let name = "jvm_memory_used_bytes";
        text.family(name, "gauge", "There is no JVM: resident memory of the process.");
        text.sample(name, &pool, resident as f64);
    }
    if let Some(limit) = memory_limit() {
        let name = "jvm_memory_max_bytes";
        text.family(name, "gauge", "There is no JVM: what the control group, else the machine, has for the process.");
        text.sample(name, &pool, limit as f64);
    }
    if let Some(threads) = process.threads {
        for name in ["jvm_threads_daemon_threads", "jvm_threads_live_threads"] {
            text.single(name, "gauge", "There is no JVM: threads of the process.", threads as f64);
        }
    }
    let name = "jvm_gc_pause_seconds";
    text.family(name, "summary", "0: there is no garbage collector.");
    for action in ["end of major GC", "end of minor GC"] {
        let labels = [("action", action), ("cause", "none")];
        text.sample(&format!("{name}_count"), &labels, 0.0);
        text.sample(&format!("{name}_sum"), &labels, 0.0);
    }
    executor(text, app);
}

/// Calls run as tasks on the runtime's threads and wait for none of them in a queue of ours.
fn executor(text: &mut Text, app: &App) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let threads = runtime.metrics().num_workers() as f64;
    let calls = &app.metrics.calls;
    // What began is read last, so that what ended is never more.
    let ended = calls.ended.load(Ordering::Relaxed) as f64;
    let began = calls.began.load(Ordering::Relaxed) as f64;
    let name = "grpc_server_executor";
    text.family(name, "gauge", "Unary gRPC calls, and the threads of the runtime that answers them.");
    let figures = [
        ("activeCount", began - ended),
        ("completedTaskCount", ended),
        ("corePoolSize", threads),
        ("inQueueTaskCount", 0.0),
        ("maximumPoolSize", threads),
        ("poolSize", threads),
        ("taskCount", began),
    ];
    for (figure, value) in figures {
        text.sample(name, &[("module", "core"), ("name", figure), ("type", "grpcSdkServer")], value);
    }
}

/// Bytes that the process may use: the limit of its control group, but no more than the machine has.
fn memory_limit() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let machine =
        super::process::line(&meminfo, "MemTotal:").and_then(super::process::first_number).map(|kib| kib * 1024);
    super::cgroup::memory_limit().into_iter().chain(machine).filter(|limit| *limit > 0).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn there_is_always_a_limit_that_a_panel_can_divide_by() {
        assert!(memory_limit().is_some_and(|limit| limit > 1 << 20));
    }
}

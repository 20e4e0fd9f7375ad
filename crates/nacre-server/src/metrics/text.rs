//! The Prometheus text of `/actuator/prometheus`: Nacos's names and labels wherever Nacos has them, live figures behind
//! every one of them, and nacre's own beside (`nacre_...`). `docs/metrics.md` lists what is here and what a JVM has and
//! nacre has not.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use nacre_cluster::{FSYNC_BUCKETS_US, Status};

use super::{
    Daily, Metrics, Timer,
    changes::Changes,
    jvm, latency,
    process::{self, Process},
};
use crate::app::App;

/// As the reference says it.
pub const CONTENT_TYPE: &str = "text/plain;version=0.0.4;charset=utf-8";

/// Everything, as text.
pub fn exposition(app: &App) -> String {
    let mut text = Text::default();
    let status = app.consensus.status();
    monitors(&mut text, app, &status);
    naming(&mut text, app);
    changes(&mut text, app);
    exceptions(&mut text, &app.metrics, &status);
    config_timers(&mut text, app);
    requests(&mut text, app);
    write_road(&mut text, &status);
    own(&mut text, app);
    latency::write(&mut text, app);
    findings(&mut text, app);
    traces(&mut text, app);
    process(&mut text, app);
    text.out
}

#[derive(Default)]
pub struct Text {
    out: String,
}

impl Text {
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample. Label sets end in a comma and numbers have a fraction, as the reference writes them.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.out.push_str(name);
        if !labels.is_empty() {
            self.out.push('{');
            for (label, text) in labels {
                let _ = write!(self.out, "{label}=\"{}\",", Escaped(text));
            }
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value:?}");
    }

    fn monitor(&mut self, module: &str, name: &str, value: f64) {
        self.sample("nacos_monitor", &[("module", module), ("name", name)], value);
    }

    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn timer(&mut self, name: &str, labels: &[(&str, &str)], timer: &Timer) {
        self.sample(&format!("{name}_count"), labels, timer.count() as f64);
        self.sample(&format!("{name}_sum"), labels, timer.sum_seconds());
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

fn monitors(text: &mut Text, app: &App, status: &Status) {
    let wall = app.clock.now().wall;
    let today = |daily: &Daily| daily.today(wall) as f64;
    let naming = app.naming.metrics();
    let push = &app.metrics.push;
    let config = &app.metrics.config;
    text.family("nacos_monitor", "gauge", " ");
    text.monitor("naming", "leaderStatus", f64::from(status.role.leader_status()));
    // The dashboard that Nacos publishes still asks for the old name.
    for name in ["serviceCount", "domCount"] {
        text.monitor("naming", name, naming.service_count as f64);
    }
    text.monitor("naming", "ipCount", naming.instance_count as f64);
    text.monitor("naming", "subscriberCount", naming.subscribe_count as f64);
    let pushed = push.cost.count();
    let cost_ms = push.cost.sum_seconds() * 1e3;
    let none_or = |value: f64| if pushed == 0 { -1.0 } else { value };
    text.monitor("naming", "maxPushCost", none_or(push.cost.max_seconds(app.clock.now().mono) * 1e3));
    text.monitor("naming", "avgPushCost", none_or(cost_ms / pushed.max(1) as f64));
    text.monitor("naming", "totalPush", today(&push.total));
    text.monitor("naming", "failedPush", today(&push.failed));
    text.monitor("naming", "emptyPush", today(&push.empty));
    text.monitor("naming", "totalPushCountForAvg", pushed as f64);
    text.monitor("naming", "totalPushCostForAvg", cost_ms.round());
    let probes = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let health = &app.metrics.health;
    text.monitor("naming", "httpHealthCheck", probes(&health.http));
    text.monitor("naming", "tcpHealthCheck", probes(&health.tcp));
    // The second is the spelling of 1.x.
    for name in ["mysqlHealthCheck", "mysqlhealthCheck"] {
        text.monitor("naming", name, probes(&health.mysql));
    }
    // No queues between events and pushes: honest zeros.
    for name in ["serviceSubscribedEventQueueSize", "serviceChangedEventQueueSize", "pushPendingTaskCount"] {
        text.monitor("naming", name, 0.0);
    }
    text.monitor("config", "getConfig", today(&config.read));
    text.monitor("config", "publish", today(&config.published));
    text.monitor("config", "fuzzySearch", today(&config.fuzzy_search));
    text.monitor("config", "longPolling", app.listeners.held_polls() as f64);
    text.monitor("config", "configCount", app.configs.len() as f64);
    for name in ["notifyTask", "dumpTask", "notifyClientTask"] {
        text.monitor("config", name, 0.0);
    }
    text.monitor("core", "longConnection", app.grpc.connections.len() as f64);
    for (module, count) in app.grpc.connections.by_module() {
        text.monitor(module, "longConnection", count as f64);
    }
}

fn naming(text: &mut Text, app: &App) {
    let naming = app.naming.metrics();
    let by_version = |text: &mut Text, name: &str, v1: usize, v2: usize| {
        text.family(name, "gauge", " ");
        text.sample(name, &[("version", "v1")], v1 as f64);
        text.sample(name, &[("version", "v2")], v2 as f64);
    };
    by_version(text, "nacos_naming_subscriber", naming.udp_subscribe_count, naming.connection_subscribe_count);
    by_version(text, "nacos_naming_publisher", naming.http_publish_count, naming.connection_publish_count);
    let polls = app.listeners.held_polls();
    by_version(text, "nacos_config_subscriber", polls, app.listeners.listening_connections());
    text.single(
        "nacre_naming_braked_services",
        "gauge",
        "Services whose removals are held back because an implausible share would expire at once.",
        naming.braked_services as f64,
    );
}

fn changes(text: &mut Text, app: &App) {
    let changes = Changes::lately(app);
    text.family("service_change_count", "gauge", "Services that changed most in the last 30 seconds.");
    for (service, count) in changes.services {
        text.sample("service_change_count", &[("service", &service)], count as f64);
    }
    text.family("config_change_count", "gauge", "Configs that changed most in the last 30 seconds.");
    for (config, count) in changes.configs {
        text.sample("config_change_count", &[("config", &config)], count as f64);
    }
}

fn exceptions(text: &mut Text, metrics: &Metrics, status: &Status) {
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let seen = &metrics.exceptions;
    text.family("nacos_exception_total", "counter", " ");
    let mut exception = |module: &str, name: &str, value: f64| {
        text.sample("nacos_exception_total", &[("module", module), ("name", name)], value);
    };
    exception("config", "illegalArgument", load(&seen.illegal_argument));
    exception("config", "nacos", load(&seen.nacos));
    exception("config", "db", load(&seen.db));
    exception("config", "configNotify", 0.0);
    exception("config", "unhealth", 0.0);
    exception("naming", "leaderSendBeatFailed", status.leader_send_beat_failed() as f64);
    exception("naming", "disk", status.not_done as f64);
}

fn config_timers(text: &mut Text, app: &App) {
    let config = &app.metrics.config;
    let mono = app.clock.now().mono;
    let timers = [("readConfigRt", &config.read_time), ("writeConfigRt", &config.write_time)];
    text.family("nacos_timer_seconds", "summary", " ");
    for (name, timer) in timers {
        text.timer("nacos_timer_seconds", &[("module", "config"), ("name", name)], timer);
    }
    text.family("nacos_timer_seconds_max", "gauge", " ");
    for (name, timer) in timers {
        let labels = [("module", "config"), ("name", name)];
        text.sample("nacos_timer_seconds_max", &labels, timer.max_seconds(mono));
    }
}

/// What is done with the labels of one timer.
type Sample<'a> = &'a mut dyn FnMut(&[(&str, &str)], &Timer);

fn outcome(status: u16) -> &'static str {
    match status {
        100..=199 => "INFORMATIONAL",
        200..=299 => "SUCCESS",
        300..=399 => "REDIRECTION",
        400..=499 => "CLIENT_ERROR",
        _ => "SERVER_ERROR",
    }
}

fn requests(text: &mut Text, app: &App) {
    let mono = app.clock.now().mono;
    app.metrics.begin_families();
    let http = app.metrics.http.pin();
    let mut seen: Vec<_> = http.iter().collect();
    seen.sort_by_key(|(key, _)| (key.path, key.method, key.status));
    let name = "http_server_requests_seconds";
    text.family(name, "summary", " ");
    let each = |then: Sample<'_>| {
        for (key, timer) in &seen {
            let status = key.status.to_string();
            let labels = [
                ("exception", "None"),
                ("method", key.method),
                ("outcome", outcome(key.status)),
                ("status", &status),
                ("uri", key.path.unwrap_or("UNKNOWN")),
            ];
            then(&labels, timer);
        }
    };
    each(&mut |labels, timer| text.timer(name, labels, timer));
    let max = "http_server_requests_seconds_max";
    text.family(max, "gauge", " ");
    each(&mut |labels, timer| text.sample(max, labels, timer.max_seconds(mono)));

    let grpc = app.metrics.grpc.pin();
    let mut seen: Vec<_> = grpc.iter().collect();
    seen.sort_by_key(|(key, _)| (key.request, key.module, key.error_code));
    let name = "grpc_server_requests_seconds";
    text.family(name, "summary", " ");
    let each = |then: Sample<'_>| {
        for (key, timer) in &seen {
            let code = key.error_code.to_string();
            let labels = [
                ("errorCode", &*code),
                ("module", key.module),
                ("requestClass", key.request),
                ("success", if key.error_code == 0 { "true" } else { "false" }),
                ("throwableClass", "None"),
            ];
            then(&labels, timer);
        }
    };
    each(&mut |labels, timer| text.timer(name, labels, timer));
    let max = "grpc_server_requests_seconds_max";
    text.family(max, "gauge", " ");
    each(&mut |labels, timer| text.sample(max, labels, timer.max_seconds(mono)));
}

/// The consensus group explained: what stands behind `leaderStatus` and `leaderSendBeatFailed`.
fn write_road(text: &mut Text, status: &Status) {
    let group = ("group", "nacre");
    let mut of_group = |name: &str, kind: &str, help: &str, value: f64| {
        text.family(name, kind, help);
        text.sample(name, &[group], value);
    };
    let leads = f64::from(status.role.leader_status());
    of_group("nacos_raft_leader_status", "gauge", "1 leader, 0 follower of a known leader, 2 neither.", leads);
    of_group("nacos_raft_term", "gauge", "Term of the group.", status.term as f64);
    let index = |index: Option<u64>| index.map_or(0.0, |index| index as f64);
    of_group("nacos_raft_commit_index", "gauge", "Last committed log index.", index(status.committed));
    of_group("nacos_raft_applied_index", "gauge", "Last applied log index.", index(status.applied));
    text.family(
        "nacos_raft_leader_send_beat_failed_total",
        "counter",
        "Heartbeats and appends that did not reach a peer, by peer.",
    );
    for peer in &status.peers {
        let labels = [group, ("peer", &*peer.address)];
        text.sample("nacos_raft_leader_send_beat_failed_total", &labels, peer.send_failures as f64);
    }
    text.family("nacre_writes_total", "counter", "Durable writes by outcome.");
    for (outcome, count) in [("done", status.done), ("notDone", status.not_done), ("unknown", status.unknown)] {
        text.sample("nacre_writes_total", &[("outcome", outcome)], count as f64);
    }
    text.single("nacre_write_queue", "gauge", "Writes that wait for the log.", status.queue_writes as f64);
    text.single("nacre_write_queue_bytes", "gauge", "Bytes that wait for the log.", status.queue_bytes as f64);
    text.single("nacre_log_bytes", "gauge", "The log on disk.", status.log_bytes as f64);
    fsyncs(text, status);
}

fn fsyncs(text: &mut Text, status: &Status) {
    let name = "nacre_log_fsync_seconds";
    text.family(name, "histogram", "Time of the log's fsyncs.");
    let mut so_far = 0;
    for (bound, count) in FSYNC_BUCKETS_US.iter().zip(&status.fsync.counts) {
        so_far += count;
        let le = format!("{}", *bound as f64 / 1e6);
        text.sample(&format!("{name}_bucket"), &[("le", &le)], so_far as f64);
    }
    text.sample(&format!("{name}_bucket"), &[("le", "+Inf")], status.fsync.count() as f64);
    text.sample(&format!("{name}_sum"), &[], status.fsync.sum.as_secs_f64());
    text.sample(&format!("{name}_count"), &[], status.fsync.count() as f64);
}

fn own(text: &mut Text, app: &App) {
    let store = app.store.report();
    text.single("nacre_store_queue", "gauge", "Batches that wait for the database.", store.queued as f64);
    text.single("nacre_store_batches_total", "counter", "Batches written to the database.", store.written as f64);
    let poisoned = f64::from(u8::from(store.poison.is_some()));
    text.single("nacre_store_poisoned", "gauge", "1: the database refuses writes.", poisoned);
    text.single("nacre_store_file_bytes", "gauge", "The database file.", store.file_bytes as f64);
    text.single("nacre_store_wal_bytes", "gauge", "Its write-ahead log.", store.wal_bytes as f64);
    let counts = app.journal.counts();
    text.family("nacre_journal_events_total", "counter", "Events by kind.");
    for (kind, count) in &counts.recorded {
        text.sample("nacre_journal_events_total", &[("kind", kind)], *count as f64);
    }
    let dropped = [("bytes", counts.evicted_by_bytes), ("age", counts.evicted_by_age)];
    text.family("nacre_journal_dropped_total", "counter", "Old events dropped, by the bound that was reached.");
    for (bound, count) in dropped {
        text.sample("nacre_journal_dropped_total", &[("bound", bound)], count as f64);
    }
    let missed = counts.tail_missed as f64;
    text.single("nacre_journal_tail_missed_total", "counter", "Events that followers were too slow for.", missed);
    text.single("nacre_journal_records", "gauge", "Events kept.", counts.records as f64);
    text.single("nacre_journal_bytes", "gauge", "Memory of the journal.", counts.bytes as f64);
    if let Some(disk) = app.journal.disk() {
        journal_disk(text, &disk.counts());
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let tasks = runtime.metrics().num_alive_tasks() as f64;
        text.single("nacre_tasks", "gauge", "Tasks of the server: connections, requests that wait, workers.", tasks);
    }
    text.family("nacre_worker_restarts_total", "counter", "Restarts of the server's own periodic tasks.");
    for worker in app.workers.list() {
        text.sample("nacre_worker_restarts_total", &[("worker", worker.name)], worker.restarts as f64);
    }
    text.family("nacre_build_info", "gauge", "The version that runs.");
    text.sample("nacre_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

fn journal_disk(text: &mut Text, counts: &nacre_journal::DiskCounts) {
    let mut single = |name: &str, kind: &str, help: &str, value: u64| text.single(name, kind, help, value as f64);
    single("nacre_journal_disk_bytes", "gauge", "The journal's files.", counts.bytes);
    single("nacre_journal_disk_segments", "gauge", "Number of the journal's files.", counts.segments);
    single("nacre_journal_disk_events_total", "counter", "Events saved on disk.", counts.written_events);
    single("nacre_journal_disk_written_bytes_total", "counter", "Bytes written to the files.", counts.written_bytes);
    single(
        "nacre_journal_disk_dropped_total",
        "counter",
        "Events that memory gave up before they were saved: the disk was full or slow.",
        counts.dropped,
    );
    single("nacre_journal_disk_failures_total", "counter", "Writes to the files that failed.", counts.failures);
    single("nacre_journal_disk_damaged_bytes_total", "counter", "Bytes found damaged.", counts.damaged_bytes);
    single(
        "nacre_journal_disk_removed_total",
        "counter",
        "Files removed for their age or size.",
        counts.removed_segments,
    );
    single("nacre_journal_disk_failing", "gauge", "1: events are not saved now.", u64::from(counts.failing));
}

/// What the doctor finds now, by code, and what it remembers.
fn findings(text: &mut Text, app: &App) {
    let shown = app.doctor.shown();
    text.family("nacre_doctor_kept", "gauge", "What the doctor keeps to find causes by.");
    for (what, count) in &shown.kept {
        text.sample("nacre_doctor_kept", &[("what", what)], *count as f64);
    }
    text.family("nacre_findings", "gauge", "Findings of the doctor that are open.");
    let mut counts: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for found in &shown.open {
        let finding = &found.en;
        *counts.entry((finding.code.clone(), finding.severity.word())).or_default() += 1;
    }
    for ((code, severity), count) in counts {
        text.sample("nacre_findings", &[("code", &code), ("severity", severity)], count as f64);
    }
}

/// All 0 where nobody asked for traces.
fn traces(text: &mut Text, app: &App) {
    let (sent, dropped, rejected, waiting) = app.traces.as_ref().map(|traces| traces.counts()).unwrap_or_default();
    text.family("nacre_trace_spans_total", "counter", "Spans by what became of them.");
    for (outcome, count) in [("sent", sent), ("dropped", dropped), ("rejected", rejected)] {
        text.sample("nacre_trace_spans_total", &[("outcome", outcome)], count as f64);
    }
    text.single("nacre_trace_queue", "gauge", "Spans that wait for the collector.", waiting as f64);
}

fn process(text: &mut Text, app: &App) {
    let seen = Process::read();
    jvm::write(text, app, &seen);
    let uptime = app.clock.uptime().as_secs_f64();
    text.single("process_uptime_seconds", "gauge", "The uptime of the process.", uptime);
    // Said the same every time: `changes()` of it counts restarts.
    let reckoned = || app.clock.now().wall as f64 / 1e3 - uptime;
    let started = *app.metrics.started.get_or_init(reckoned);
    text.single("process_start_time_seconds", "gauge", "Start time of the process since unix epoch.", started);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    text.single("system_cpu_count", "gauge", "The number of processors available to the process.", cpus);
    let mut optional = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            text.single(name, kind, help, value);
        }
    };
    let usage = seen.cpu.map(|cpu| app.metrics.usage.since_last(cpu));
    let help = "The cpu usage of the process since this was last asked.";
    optional("process_cpu_usage", "gauge", help, usage);
    let help = "Total user and system CPU time spent.";
    optional("process_cpu_seconds_total", "counter", help, seen.cpu.map(|cpu| cpu.as_secs_f64()));
    let number = |figure: Option<u64>| figure.map(|figure| figure as f64);
    optional("process_resident_memory_bytes", "gauge", "Resident memory.", number(seen.resident_bytes));
    optional("process_virtual_memory_bytes", "gauge", "Virtual memory.", number(seen.virtual_bytes));
    optional("process_threads", "gauge", "Threads of the process.", number(seen.threads));
    optional("process_files_open_files", "gauge", "The open file descriptor count.", number(seen.open_files));
    optional("process_files_max_files", "gauge", "The maximum file descriptor count.", number(seen.max_files));
    // -1.0: the kernel does not tell.
    let machine = app.machine.read();
    let told = |figure: f32| (figure >= 0.0).then(|| (f64::from(figure) * 1e4).round() / 1e4);
    optional("system_cpu_usage", "gauge", "The recent cpu usage of the whole machine.", told(machine.cpu));
    let help = "The sum of the number of runnable entities over a minute.";
    optional("system_load_average_1m", "gauge", help, told(machine.load));
    let data = app.props.data_dir();
    if let Some((free, total)) = process::disk(&data) {
        let path = data.to_string_lossy();
        text.family("disk_free_bytes", "gauge", "Usable space of the disk with the data.");
        text.sample("disk_free_bytes", &[("path", &path)], free as f64);
        text.family("disk_total_bytes", "gauge", "Total space of the disk with the data.");
        text.sample("disk_total_bytes", &[("path", &path)], total as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_look_like_the_references() {
        let mut text = Text::default();
        text.monitor("naming", "ipCount", 3.0);
        text.sample("x", &[("a", "q\"\\\n")], 0.25);
        text.single("process_threads", "gauge", "h", 9.0);
        assert_eq!(
            text.out,
            "nacos_monitor{module=\"naming\",name=\"ipCount\",} 3.0\nx{a=\"q\\\"\\\\\\n\",} 0.25\n# HELP \
             process_threads h\n# TYPE process_threads gauge\nprocess_threads 9.0\n"
        );
    }
}

//! The server itself: its own pauses, its clock, its disk, its limits.

use std::collections::{BTreeMap, HashSet};

use nacre_model::{Cause, Event};

use crate::{About, Confidence, Hit, Hits, Rule, Scene, Severity, line, memory::HORIZON_MS, rule, scene::Gauges};

pub static RULES: [Rule; 9] = [
    rule!("CLOCK-STEPPED", clock_stepped),
    rule!("CPU-SATURATED", cpu_saturated),
    rule!("CPU-THROTTLED", cpu_throttled),
    rule!("EVENT-LOOP-LAG", lag),
    rule!("MASS-EXPIRY-HELD", mass_expiry),
    rule!("RESTART-BEATS-UNKNOWN", restart_burst),
    rule!("SERVER-STALLED", stalled),
    rule!("SERVICE-REMOVED-BY-CLEANER", cleaned),
    rule!("WORKER-RESTARTED", worker),
];

/// A pause of this length stands out to clients that wait three seconds for an answer.
const LONG_STALL_MS: u64 = 3_000;
/// Shorter ones are ordinary on a machine that is shared: nobody gives up on an answer so soon.
const STALL_MS: u64 = 1_000;

fn stalled(scene: &Scene<'_>, hits: &mut Hits) {
    let events: Vec<_> = scene.told("serverStalled").collect();
    let lengths = events.iter().filter_map(|event| match *event.cause {
        Cause::ServerStalled { ms } => Some(ms),
        _ => None,
    });
    let (longest, total) = lengths.fold((0, 0), |(longest, total), ms| (ms.max(longest), total + ms));
    if longest == 0 {
        return;
    }
    let mut hit = Hit::new(About::setting("process"))
        .fact("longest", nacre_journal::duration(longest))
        .fact("total", nacre_journal::duration(total))
        .fact("times", events.len())
        .confidence(Confidence::High)
        .severity(match longest {
            LONG_STALL_MS.. => Severity::Critical,
            STALL_MS.. => Severity::Warning,
            _ => Severity::Info,
        })
        .not(line!(
            "clients: their deadlines were moved by the length of the pause, nobody expired for it",
            "客户端：它们的期限已按停顿时长顺延，没有人因此过期"
        ));
    for event in events {
        hit = hit.event(event);
    }
    hits.add(hit);
}

fn clock_stepped(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.told("clockStepped").take(1) {
        let Cause::ClockStepped { by_ms } = *event.cause else { continue };
        let way = if by_ms < 0 { "back" } else { "forward" };
        hits.add(
            Hit::new(About::setting("clock"))
                .fact("by", nacre_journal::duration(by_ms.unsigned_abs()))
                .fact("way", way)
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "expiry of instances: it goes by the monotonic clock, which did not step",
                    "实例过期：它依据单调时钟，而单调时钟没有跳变"
                )),
        );
    }
}

// -------------------------------------------------------------------------------------------------------- processors, turns

/// From here answers wait for a processor.
const SATURATED: f64 = 0.9;
/// A share of the last seconds spent held back that clients feel.
const HELD_BACK: f64 = 0.1;
/// A thread that waits for a processor for this share of the time is starved: others have them.
const WAITS: f64 = 0.2;
/// A ready task that waits this long makes every answer late.
const LAG_MS: u64 = 250;

fn cpu_saturated(scene: &Scene<'_>, hits: &mut Hits) {
    let gauges = scene.server.gauges();
    let Some((share, cores)) = gauges.cpu.filter(|(share, _)| *share >= SATURATED) else { return };
    let percent = (share * 100.0).round();
    hits.add(
        Hit::new(About::setting("cpu"))
            .fact("percent", percent)
            .fact("cores", cores)
            .fact("lag", nacre_journal::duration(gauges.lag_ms))
            .confidence(Confidence::High)
            .saw(
                scene.now.wall,
                line!(
                    "this process used {percent} % of {cores} processors in the last seconds",
                    "最近几秒本进程使用了 {cores} 个处理器的 {percent} %"
                ),
            )
            .not(line!(
                "other processes of the machine: this is the time that this process used itself",
                "机器上的其他进程：这是本进程自己使用的时间"
            )),
    );
}

fn cpu_throttled(scene: &Scene<'_>, hits: &mut Hits) {
    let Some(share) = scene.server.gauges().throttled.filter(|share| *share >= HELD_BACK) else { return };
    let percent = (share * 100.0).round();
    hits.add(Hit::new(About::setting("cpu.max")).fact("percent", percent).confidence(Confidence::High).saw(
        scene.now.wall,
        line!(
            "cpu.stat: throttled_usec grew by {percent} % of the time that passed",
            "cpu.stat：throttled_usec 的增量占所过时间的 {percent} %"
        ),
    ));
}

/// What keeps this process from running, as a code where there is one.
pub(super) enum Starved {
    Stalled,
    Throttled,
    Saturated,
    /// By whatever else runs on the machine: a thread waited for a processor for so many percent of the time.
    Crowded(f64),
}

/// A pause explains what is slow for this long.
const LATELY_MS: i64 = 10_000;

pub(super) fn starved(scene: &Scene<'_>, gauges: &Gauges) -> Option<Starved> {
    if scene.memory.kind("serverStalled", scene.now.wall, LATELY_MS).next().is_some() {
        return Some(Starved::Stalled);
    }
    if gauges.throttled.is_some_and(|share| share >= HELD_BACK) {
        return Some(Starved::Throttled);
    }
    if gauges.cpu.is_some_and(|(share, _)| share >= SATURATED) {
        return Some(Starved::Saturated);
    }
    gauges.waited.filter(|share| *share >= WAITS).map(|share| Starved::Crowded((share * 100.0).round()))
}

/// Ready work waits although there are processors.
pub(super) fn is_lagging(scene: &Scene<'_>, gauges: &Gauges) -> bool {
    gauges.lag_ms >= LAG_MS && starved(scene, gauges).is_none()
}

fn lag(scene: &Scene<'_>, hits: &mut Hits) {
    let gauges = scene.server.gauges();
    if !is_lagging(scene, &gauges) {
        return;
    }
    let lag = nacre_journal::duration(gauges.lag_ms);
    let hit = Hit::new(About::setting("process"))
        .fact("lag", &lag)
        .saw(scene.now.wall, line!("a task that was ready waited {lag} for its turn", "就绪的任务等待了 {lag} 才轮到"))
        .not(line!(
            "a lack of processors: this process had some left, and its threads got them when they wanted",
            "处理器不足：本进程还有空闲，其线程需要时就能得到"
        ))
        .not(line!("a pause of the whole process: its clock went on", "整个进程的停顿：它的时钟一直在走"));
    let log = nacre_journal::duration(gauges.log_ms);
    hits.add(if gauges.log_ms >= LAG_MS {
        let en = format!("each line of the log waits for whoever reads the standard error ({log} for one line)");
        hit.words("why", en, format!("每行日志都在等读取标准错误的一方（一行等了 {log}）"))
            .confidence(Confidence::High)
            .saw(scene.now.wall, line!("one line of the log took {log} to be written", "一行日志写了 {log}"))
    } else {
        hit.words("why", "something inside blocks the threads that serve", "内部有东西阻塞了服务线程")
    });
}

fn worker(scene: &Scene<'_>, hits: &mut Hits) {
    let mut by: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in scene.memory.kind("workerRestarted", scene.now.wall, HORIZON_MS) {
        if let Cause::WorkerRestarted { worker, .. } = &*event.cause {
            by.entry(worker).or_default().push(event);
        }
    }
    for (worker, events) in by {
        let Cause::WorkerRestarted { reason, .. } = &*events[0].cause else { continue };
        let mut hit = Hit::new(About::setting(worker))
            .fact("worker", worker)
            .fact("times", events.len())
            .fact("reason", reason)
            .confidence(Confidence::High);
        for event in events.iter().take(5) {
            hit = hit.event(event);
        }
        hits.add(hit);
    }
}

// ----------------------------------------------------------------------------------------------------------- many at once

fn mass_expiry(scene: &Scene<'_>, hits: &mut Hits) {
    if scene.naming.metrics().braked_services == 0 {
        return;
    }
    let off: HashSet<_> = scene
        .memory
        .kind("brakeOff", scene.now.wall, HORIZON_MS)
        .filter_map(|event| Some((event.subject.service.as_ref()?, event.at)))
        .collect();
    let stalled = scene.told("serverStalled").next();
    for event in scene.memory.kind("brakeOn", scene.now.wall, HORIZON_MS) {
        let (Cause::BrakeOn { expiring, total }, Some(service)) = (&*event.cause, &event.subject.service) else {
            continue;
        };
        if off.iter().any(|(other, at)| *other == service && *at >= event.at) {
            continue;
        }
        let mut hit = Hit::new(About::service(service))
            .grouped("brake")
            .fact("service", &service.name)
            .fact("expiring", expiring)
            .fact("total", total)
            .fact("hold", scene.server.property("nacre.naming.brake.hold"))
            .event(event);
        hit = match stalled {
            Some(stall) => hit.event(stall),
            None => hit.not(line!(
                "a pause of this server: it ran, and its clock was steady",
                "本服务器停顿：它一直在运行，时钟平稳"
            )),
        };
        hits.add(hit);
    }
}

/// A restart is what made beats unknown for this long, and so many unknown ones are a burst.
const FRESH_MS: u64 = 5 * 60 * 1000;
const BURST: usize = 5;

fn restart_burst(scene: &Scene<'_>, hits: &mut Hits) {
    if scene.server.uptime_ms() > FRESH_MS {
        return;
    }
    let unknown: Vec<&Event> = scene.told("beatUnknownInstance").collect();
    let mut instances = HashSet::new();
    for event in &unknown {
        let who = event.subject.instance.as_deref().or(event.subject.client.as_deref());
        instances.insert((event.subject.service.as_ref(), who));
    }
    if instances.len() < BURST {
        return;
    }
    let registered = scene.told("instanceRegistered").count();
    let mut hit = Hit::new(About::setting("restart"))
        .fact("instances", instances.len())
        .fact("uptime", nacre_journal::duration(scene.server.uptime_ms()))
        .fact("registered", registered)
        .confidence(Confidence::High)
        .not(line!(
            "clients and the network: their beats arrive, and ephemeral instances live in memory only",
            "客户端与网络：心跳能到达，而临时实例只在内存中"
        ));
    for event in unknown.iter().take(5) {
        hit = hit.event(event);
    }
    hits.add(hit);
}

fn cleaned(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.told("serviceRemoved") {
        let (Cause::ServiceRemoved { by }, Some(service)) = (&*event.cause, &event.subject.service) else { continue };
        // Settings that an operator gave it go with it; a service without any comes back as it was.
        let Some((since, settings)) =
            by.strip_prefix("cleaner: empty since ").and_then(|rest| rest.split_once("; with it "))
        else {
            continue;
        };
        hits.add(
            Hit::new(About::service(service))
                .fact("service", &service.name)
                .fact("since", since)
                .fact("settings", settings)
                .confidence(Confidence::High)
                .event(event)
                .not(line!("an operator: nobody deleted it", "运维人员：没有人删除它")),
        );
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::Subject;

    use super::*;
    use crate::testing::Stage;

    #[test]
    fn stalls_are_one_finding_that_grows_and_clears() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), Cause::ServerStalled { ms: 150 });
        assert_eq!(stage.only().severity, Severity::Info);
        stage.event(Subject::default(), Cause::ServerStalled { ms: 1_200 });
        assert_eq!(stage.only().severity, Severity::Warning);
        stage.wait(1_000).event(Subject::default(), Cause::ServerStalled { ms: 39_000 });
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.severity), ("SERVER-STALLED", Severity::Critical));
        assert!(finding.cause.contains("39 s"), "{}", finding.cause);
        assert_eq!(finding.since + 1_000, finding.updated);
        stage.wait(70_000);
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn a_step_of_the_clock_is_named_with_its_direction() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), Cause::ClockStepped { by_ms: -3_600_000 });
        let finding = stage.only();
        assert_eq!(finding.code, "CLOCK-STEPPED");
        assert!(finding.cause.contains("back by 1 h"), "{}", finding.cause);
    }

    #[test]
    fn processors_that_are_used_up_are_told_and_lag_is_not_told_twice() {
        let mut stage = Stage::default();
        stage.server.gauges.lag_ms = 900;
        assert_eq!(stage.codes(), ["EVENT-LOOP-LAG"]);
        stage.server.gauges.log_ms = 800;
        let finding = stage.only();
        assert!(
            finding.cause.contains("each line of the log waits") && finding.cause.contains("800 ms"),
            "{finding:?}"
        );
        stage.wait(5_000).server.gauges.cpu = Some((0.97, 2));
        let finding = stage.only();
        assert_eq!(finding.code, "CPU-SATURATED");
        assert!(finding.cause.contains("97 %") && finding.cause.contains("900 ms"), "{}", finding.cause);
        stage.wait(5_000).server.gauges.cpu = Some((0.5, 2));
        stage.server.gauges.throttled = Some(0.4);
        assert_eq!(stage.only().code, "CPU-THROTTLED");
    }

    #[test]
    fn a_worker_that_died_is_named_with_its_reason() {
        let mut stage = Stage::default();
        let died = Cause::WorkerRestarted { worker: "grpc pushes".into(), reason: "index out of bounds".into() };
        stage.event(Subject::default(), died);
        let finding = stage.only();
        assert!(finding.cause.contains("grpc pushes") && finding.cause.contains("index out of bounds"));
    }

    #[test]
    fn unknown_beats_after_a_restart_are_one_finding_and_later_none_of_this() {
        let mut stage = Stage::default();
        stage.server.uptime_ms = 20_000;
        let key = nacre_model::ServiceKey::new("", "G", "s");
        for port in 0..6 {
            let subject = Subject::service(&key).with_client(&format!("10.0.0.1:{port}#true"));
            stage.event(subject, Cause::BeatUnknownInstance { light: true, from: String::new() });
        }
        assert!(stage.codes().contains(&"RESTART-BEATS-UNKNOWN".to_owned()));
        stage.server.uptime_ms = 3_600_000;
        stage.wait(5_000);
        assert!(!stage.codes().contains(&"RESTART-BEATS-UNKNOWN".to_owned()));
    }

    #[test]
    fn a_service_that_the_cleaner_took_with_its_settings_is_told() {
        let mut stage = Stage::default();
        let key = nacre_model::ServiceKey::new("", "G", "orders");
        let removed = |by: &str| Cause::ServiceRemoved { by: by.into() };
        stage.event(Subject::service(&key), removed("cleaner: empty since 60 s"));
        assert!(stage.codes().is_empty(), "it had no settings");
        stage.event(Subject::service(&key), removed("cleaner: empty since 60 s; with it protectThreshold 0.8"));
        let finding = stage.only();
        assert!(finding.cause.contains("protectThreshold 0.8") && finding.cause.contains("orders"));
    }
}

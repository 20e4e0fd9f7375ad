//! Answers that take long, whatever the reason: the reason is named where another finding has it.

use nacre_journal::duration;

use super::{
    disk, limits,
    server::{Starved, is_lagging, starved},
};
use crate::{About, Confidence, Hit, Hits, Line, Rule, Scene, Severity, line, rule, scene::SlowCall};

pub static RULES: [Rule; 1] = [rule!("ANSWERS-SLOW", slow)];

/// So many slow answers in the last seconds are no accident.
const MANY: u64 = 3;
/// Kinds of calls that are named.
const NAMED: usize = 5;

fn slow(scene: &Scene<'_>, hits: &mut Hits) {
    let mut calls = scene.server.gauges().slow;
    calls.sort_by_key(|call| std::cmp::Reverse(call.count));
    let count: u64 = calls.iter().map(|call| call.count).sum();
    if count < MANY {
        return;
    }
    let longest = calls.iter().map(|call| call.longest_ms).max().unwrap_or_default();
    let kinds: Vec<&str> = calls.iter().take(NAMED).map(|call| &*call.kind).collect();
    let (why, code) = why(scene, &calls);
    let mut hit = Hit::new(About::setting("answers"))
        .fact("count", count)
        .fact("longest", duration(longest))
        .fact("kinds", kinds.join(", "))
        .words("why", &why.en, &why.zh);
    for SlowCall { kind, count, longest_ms, .. } in calls.iter().take(NAMED) {
        let longest = duration(*longest_ms);
        hit = hit.saw(
            scene.now.wall,
            line!(
                "{kind}: {count} answers took longer than 1 s in the last seconds, the longest {longest}",
                "{kind}：最近几秒有 {count} 个应答超过 1 秒，最长 {longest}"
            ),
        );
    }
    hit = match code {
        // Its finding is the alarm.
        Reason::Told => hit.confidence(Confidence::High).severity(Severity::Info),
        Reason::Seen => hit.confidence(Confidence::High),
        Reason::Unknown => hit
            .not(line!(
                "a pause of this process, and a lack of processors: it ran and had some left",
                "本进程停顿或处理器不足：它一直在运行且有空闲"
            ))
            .not(line!("a slow flush of the log: none was lately", "日志刷盘慢：最近没有")),
    };
    hits.add(hit.not(line!(
        "the network and the client: the time counts from the whole request to the answer",
        "网络与客户端：从请求完整到达起计时，到应答为止"
    )));
}

enum Reason {
    /// Another finding tells it.
    Told,
    /// Nothing else tells it.
    Seen,
    Unknown,
}

fn why(scene: &Scene<'_>, calls: &[SlowCall]) -> (Line, Reason) {
    let gauges = scene.server.gauges();
    let told = |code: &str| {
        let line = line!("the reason is that of the finding {code}", "原因见发现 {code}");
        (line, Reason::Told)
    };
    match starved(scene, &gauges) {
        Some(Starved::Stalled) => return told("SERVER-STALLED"),
        Some(Starved::Throttled) => return told("CPU-THROTTLED"),
        Some(Starved::Saturated) => return told("CPU-SATURATED"),
        Some(Starved::Crowded(percent)) => {
            let line = line!(
                "other processes take the processors of this machine, a thread of the server waited for one for {percent} % of the time",
                "本机的处理器被其他进程占用，服务器的一个线程有 {percent} % 的时间在等处理器"
            );
            return (line, Reason::Seen);
        }
        None => {}
    }
    // What waits for the log is told by the disk; what does not is not excused by it.
    let all: u64 = calls.iter().map(|call| call.count).sum();
    let durable: u64 = calls.iter().filter(|call| call.durable).map(|call| call.count).sum();
    if 2 * durable > all {
        if let Some(code) = disk::refuses_writes(scene) {
            return told(code);
        }
        if disk::is_slow(scene) {
            return told("DISK-SLOW");
        }
        if limits::is_write_queue_full(scene) {
            return told("WRITE-QUEUE-FULL");
        }
    }
    if is_lagging(scene, &gauges) {
        return told("EVENT-LOOP-LAG");
    }
    (
        line!("nothing else that the server measures of itself explains it", "服务器对自身的其他测量都无法解释"),
        Reason::Unknown,
    )
}

#[cfg(test)]
mod tests {
    use nacre_model::{Cause, Subject};

    use super::*;
    use crate::testing::Stage;

    fn call(kind: &str, durable: bool, count: u64) -> SlowCall {
        SlowCall { kind: kind.into(), durable, count, longest_ms: 2_500 }
    }

    #[test]
    fn slow_answers_without_a_reason_are_a_warning_and_one_is_none() {
        let mut stage = Stage::default();
        stage.server.gauges.slow = vec![call("GET /v1/cs/history", false, 2)];
        assert!(stage.codes().is_empty());
        stage.server.gauges.slow.push(call("ServiceQueryRequest", false, 4));
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.severity), ("ANSWERS-SLOW", Severity::Warning));
        for word in ["6 answers", "2.5 s", "ServiceQueryRequest, GET /v1/cs/history", "nothing else"] {
            assert!(finding.cause.contains(word), "{word}: {}", finding.cause);
        }
        stage.wait(5_000).server.gauges.slow.clear();
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn the_finding_that_explains_them_is_named_and_is_the_alarm() {
        let mut stage = Stage::default();
        stage.server.gauges.slow = vec![call("POST /v1/cs/configs", true, 5), call("GET /v1/cs/history", false, 1)];
        for _ in 0..3 {
            stage.event(Subject::default(), Cause::FsyncSlow { ms: 1_200 });
        }
        let findings = stage.findings();
        let of = |code: &str| findings.iter().find(|finding| finding.code == code).expect("found").clone();
        assert_eq!(of("ANSWERS-SLOW").severity, Severity::Info);
        assert!(of("ANSWERS-SLOW").cause.contains("DISK-SLOW"), "{}", of("ANSWERS-SLOW").cause);
        assert_eq!(of("DISK-SLOW").severity, Severity::Warning);
        // Reads do not wait for the log.
        stage.server.gauges.slow = vec![call("GET /v1/cs/configs", false, 5)];
        assert!(stage.findings().iter().any(|f| f.code == "ANSWERS-SLOW" && f.severity == Severity::Warning));
    }

    #[test]
    fn neighbours_that_take_the_processors_are_the_cause_itself() {
        let mut stage = Stage::default();
        stage.server.gauges.slow = vec![call("PUT /v1/ns/instance/beat", false, 5)];
        stage.server.gauges.waited = Some(0.97);
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.severity), ("ANSWERS-SLOW", Severity::Warning));
        assert!(finding.cause.contains("97 %") && finding.cause.contains("other processes"), "{}", finding.cause);
        stage.server.gauges.cpu = Some((0.95, 2));
        assert!(stage.findings().iter().any(|f| f.code == "ANSWERS-SLOW" && f.cause.contains("CPU-SATURATED")));
    }
}

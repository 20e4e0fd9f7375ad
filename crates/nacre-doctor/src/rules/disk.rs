//! The disk under the server: what durable writes meet, what was found at the start, and how much room is left.

use nacre_journal::duration;
use nacre_model::{Cause, Event};

use crate::{About, Confidence, Hit, Hits, Rule, Scene, Severity, line, memory::HORIZON_MS, rule};

pub static RULES: [Rule; 11] = [
    rule!("DATABASE-REFUSES-WRITES", |scene, hits| refused(scene, hits, Trouble::Other)),
    rule!("DISK-FAILED", |scene, hits| refused(scene, hits, Trouble::Failed)),
    rule!("DISK-FULL", |scene, hits| refused(scene, hits, Trouble::Full)),
    rule!("DISK-READ-ONLY", |scene, hits| refused(scene, hits, Trouble::ReadOnly)),
    rule!("DISK-SLOW", slow),
    rule!("DISK-SPACE-LOW", space_low),
    rule!("JOURNAL-DAMAGED", journal_damaged),
    rule!("JOURNAL-NOT-ON-DISK", journal_not_on_disk),
    rule!("LOG-PART-GIVEN-UP", given_up),
    rule!("LOG-TAIL-CUT", tail_cut),
    rule!("WRITES-RECOVERED", recovered),
];

/// What keeps durable writes from being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Full,
    ReadOnly,
    Failed,
    /// Of the database alone: locked, refused rows.
    Other,
}

impl Trouble {
    /// `None` for refusals that are no trouble of the disk.
    fn of(reason: &str) -> Option<Self> {
        let reason = reason.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
        if has(&["no space left", "os error 28", "disk is full", "quota exceeded", "os error 122"]) {
            Some(Self::Full)
        } else if has(&["read-only", "readonly", "os error 30"]) {
            Some(Self::ReadOnly)
        } else if has(&[
            "given up at start",
            "starting",
            "stopping",
            "shutting down",
            "wait already",
            "queue",
            "no leader",
        ]) {
            None
        } else if has(&[
            "input/output",
            "os error 5)",
            "i/o error",
            "flush failed",
            "stale file",
            "os error 116",
            "os error 121",
        ]) {
            Some(Self::Failed)
        } else {
            Some(Self::Other)
        }
    }
}

/// Writes that failed, with the reason, newest first.
type Failures<'a> = Vec<(&'a Event, &'a str)>;

/// Failed writes that are still told.
fn failures<'a>(scene: &'a Scene<'_>) -> Failures<'a> {
    let of = |event: &'a Event| match &*event.cause {
        Cause::WriteFailed { reason } | Cause::StorePoisoned { reason } => Some((event, reason.as_str())),
        _ => None,
    };
    let kinds = ["writeFailed", "storePoisoned"];
    let mut all: Vec<_> = kinds
        .iter()
        .flat_map(|kind| scene.memory.kind(kind, scene.now.wall, HORIZON_MS))
        .filter_map(of)
        .filter(|(_, reason)| !reason.starts_with("given up at start"))
        .collect();
    all.sort_by_key(|(event, _)| std::cmp::Reverse(event.at));
    all
}

/// What keeps durable writes from being done now, why they are refused, and what failed.
fn trouble<'a>(scene: &'a Scene<'_>) -> Option<(Trouble, String, Failures<'a>)> {
    let reason = scene.server.unwritable()?;
    let failures = failures(scene);
    // What began it says more than what it led to: a failed flush is "poisoned" from then on.
    let kinds = failures.iter().filter_map(|(_, reason)| Trouble::of(reason)).chain(Trouble::of(&reason));
    let rank = |trouble: &Trouble| match trouble {
        Trouble::Full => 0,
        Trouble::ReadOnly => 1,
        Trouble::Failed => 2,
        Trouble::Other => 3,
    };
    Some((kinds.min_by_key(rank)?, reason, failures))
}

fn refused(scene: &Scene<'_>, hits: &mut Hits, kind: Trouble) {
    let Some((_, reason, failures)) = trouble(scene).filter(|(trouble, ..)| *trouble == kind) else { return };
    let since = failures.last().map_or(scene.now.wall, |(event, _)| event.at);
    let (space, zh_space) = match scene.server.gauges().disk.map(|(free, size)| (bytes(free), bytes(size))) {
        Some((free, size)) => (format!("{free} of {size} are free"), format!("磁盘剩余 {free} / {size}")),
        None => ("how much is free cannot be read".to_owned(), "磁盘剩余空间无法读取".to_owned()),
    };
    let mut hit = Hit::new(About::setting("disk"))
        .fact("reason", &reason)
        .fact("since", duration(u64::try_from(scene.now.wall - since).unwrap_or(0)))
        .words("space", space, zh_space)
        .confidence(Confidence::High)
        .saw(scene.now.wall, line!("durable writes are refused: {reason}", "持久写入被拒绝：“{reason}”"))
        .not(line!(
            "clients and the network: reads, beats, registrations and pushes go on",
            "客户端与网络：读取、心跳、注册与推送照常进行"
        ));
    for (event, _) in failures.iter().take(6) {
        hit = hit.event(event);
    }
    hits.add(hit);
}

fn recovered(scene: &Scene<'_>, hits: &mut Hits) {
    if scene.server.unwritable().is_some() {
        return;
    }
    let over: Vec<_> = scene.told("writeRecovered").chain(scene.told("storeRecovered")).collect();
    let Some(newest) = over.iter().max_by_key(|event| event.at) else { return };
    let failures: Vec<_> = failures(scene).into_iter().filter(|(event, _)| event.at <= newest.at).collect();
    let reason = failures.first().map_or("unknown", |(_, reason)| reason);
    let since = failures.last().map_or(newest.at, |(event, _)| event.at);
    let mut hit = Hit::new(About::setting("disk"))
        .fact("reason", reason)
        .fact("lasted", duration(u64::try_from(newest.at - since).unwrap_or(0)))
        .confidence(Confidence::High)
        .event(newest);
    for (event, _) in failures.iter().take(4) {
        hit = hit.event(event);
    }
    hits.add(hit);
}

/// Slow flushes that are no accident, and one that is.
const SLOW: usize = 3;
const VERY_SLOW_MS: u64 = 2_000;

/// Flushes that took long: when, how many, the longest; `None` when that is no finding.
fn slow_flushes<'a>(scene: &'a Scene<'_>) -> Option<(Vec<&'a Event>, usize, u64)> {
    let events: Vec<_> = scene.told("fsyncSlow").collect();
    let times = events.iter().filter_map(|event| match *event.cause {
        Cause::FsyncSlow { ms } => Some(ms),
        _ => None,
    });
    let (count, longest) = times.fold((0, 0), |(count, longest), ms| (count + 1, ms.max(longest)));
    (count >= SLOW || longest >= VERY_SLOW_MS).then_some((events, count, longest))
}

/// Whether DISK-SLOW holds.
pub(super) fn is_slow(scene: &Scene<'_>) -> bool {
    slow_flushes(scene).is_some()
}

/// Which finding tells that durable writes are refused.
pub(super) fn refuses_writes(scene: &Scene<'_>) -> Option<&'static str> {
    trouble(scene).map(|(trouble, ..)| match trouble {
        Trouble::Full => "DISK-FULL",
        Trouble::ReadOnly => "DISK-READ-ONLY",
        Trouble::Failed => "DISK-FAILED",
        Trouble::Other => "DATABASE-REFUSES-WRITES",
    })
}

fn slow(scene: &Scene<'_>, hits: &mut Hits) {
    let Some((events, times, longest)) = slow_flushes(scene) else { return };
    let limit = scene.server.property("nacre.log.slow-fsync");
    let stalled = scene.told("serverStalled").next();
    let mut hit = Hit::new(About::setting("disk"))
        .fact("times", times)
        .fact("longest", duration(longest))
        .fact("limit", limit)
        .confidence(if stalled.is_some() { Confidence::Low } else { Confidence::High });
    if stalled.is_none() {
        hit = hit.not(line!(
            "a pause of this server: it ran while the disk did not answer",
            "本服务器停顿：磁盘没有应答时它一直在运行"
        ));
    }
    for event in events.iter().take(8) {
        hit = hit.event(event);
    }
    hits.add(hit);
}

/// Less than this is soon nothing: a share, but no more than so much of a large disk, and never less than a log's file
/// with its checkpoint needs.
const LOW_PART: u64 = 20;
const LOW_MOST: u64 = 2 << 30;
const LOW_LEAST: u64 = 192 << 20;

fn space_low(scene: &Scene<'_>, hits: &mut Hits) {
    let Some((free, size)) = scene.server.gauges().disk else { return };
    let low = (size / LOW_PART).min(LOW_MOST).max(LOW_LEAST.min(size / 2));
    // A disk that is full already has its own finding.
    if free > low || size == 0 || scene.server.unwritable().is_some_and(|why| Trouble::of(&why) == Some(Trouble::Full))
    {
        return;
    }
    hits.add(
        Hit::new(About::setting("disk"))
            .fact("free", bytes(free))
            .fact("size", bytes(size))
            .fact("low", bytes(low))
            .confidence(Confidence::High)
            .saw(
                scene.now.wall,
                line!(
                    "{} of {} are free on the disk of the data directory",
                    "数据目录所在磁盘剩余 {} / {}",
                    bytes(free),
                    bytes(size)
                ),
            ),
    );
}

fn bytes(count: u64) -> String {
    match count {
        0..1_048_576 => format!("{} KiB", count >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", count >> 20),
        _ => format!("{} GiB", count >> 30),
    }
}

// ----------------------------------------------------------------------------------------------------- found at the start

fn tail_cut(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.told("logTailCut") {
        let Cause::LogTailCut { file, bytes } = &*event.cause else { continue };
        hits.add(
            Hit::new(About::setting("log"))
                .fact("file", file)
                .fact("bytes", bytes)
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "loss: what was cut was never acknowledged to anybody",
                    "数据丢失：被截掉的部分从未向任何人确认过"
                )),
        );
    }
}

fn given_up(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.memory.kind("writeFailed", scene.now.wall, HORIZON_MS) {
        let Cause::WriteFailed { reason } = &*event.cause else { continue };
        let Some(lost) = reason.strip_prefix("given up at start: ") else { continue };
        hits.add(
            Hit::new(About::setting("nacre.log.recovery"))
                .fact("lost", lost)
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "a write that was under way when the process ended: the log's end is cut without a word for that",
                    "进程结束时正在进行的写入：那种情况只会无声地截掉日志末尾"
                )),
        );
    }
}

fn journal_damaged(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.told("journalDamaged") {
        let Cause::JournalDamaged { file, bytes } = &*event.cause else { continue };
        hits.add(
            Hit::new(About::setting("journal"))
                .grouped("journal")
                .fact("file", file)
                .fact("bytes", bytes)
                .confidence(Confidence::High)
                .event(event)
                .not(line!(
                    "the configurations and registrations: the journal only tells what happened",
                    "配置与注册：事件日志只讲述发生过什么"
                )),
        );
    }
}

fn journal_not_on_disk(scene: &Scene<'_>, hits: &mut Hits) {
    let failed = scene.memory.kind("journalDiskFailed", scene.now.wall, HORIZON_MS).next();
    let mended = scene.memory.kind("journalDiskRecovered", scene.now.wall, HORIZON_MS).next();
    let Some(event) = failed else { return };
    if mended.is_some_and(|mended| mended.at >= event.at) {
        return;
    }
    let Cause::JournalDiskFailed { reason } = &*event.cause else { return };
    // When nothing at all can be written, that is the finding.
    let severity = if scene.server.unwritable().is_some() { Severity::Info } else { Severity::Warning };
    hits.add(
        Hit::new(About::setting("journal"))
            .fact("reason", reason)
            .confidence(Confidence::High)
            .severity(severity)
            .event(event)
            .not(line!(
                "the configurations and registrations: they are written on their own road",
                "配置与注册：它们走自己的写入路径"
            )),
    );
}

#[cfg(test)]
mod tests {
    use nacre_model::Subject;

    use super::*;
    use crate::testing::Stage;

    fn failed(reason: &str) -> Cause {
        Cause::WriteFailed { reason: reason.to_owned() }
    }

    #[test]
    fn what_stops_writes_is_told_by_its_kind_until_they_go_on() {
        for (reason, code) in [
            ("/d/log: No space left on device (os error 28)", "DISK-FULL"),
            ("the database refuses writes, trying again: the disk is full (database or disk is full)", "DISK-FULL"),
            ("/d/log: Read-only file system (os error 30)", "DISK-READ-ONLY"),
            ("flush failed: /d/log: Input/output error (os error 5)", "DISK-FAILED"),
            (
                "the database refuses writes, trying again: another process locks the database",
                "DATABASE-REFUSES-WRITES",
            ),
        ] {
            let mut stage = Stage::default();
            stage.event(Subject::default(), failed(reason));
            assert!(stage.codes().is_empty(), "it was refused once, and is over");
            stage.server.unwritable = Some(reason.to_owned());
            let finding = stage.only();
            assert_eq!(finding.code, code, "{reason}");
            assert!(finding.cause.contains(reason), "{}", finding.cause);
            stage.server.unwritable = None;
            stage.wait(2_000).event(Subject::default(), Cause::StoreRecovered { tries: 3 });
            stage.wait(3_000);
            let finding = stage.only();
            assert_eq!((finding.code.as_str(), finding.severity), ("WRITES-RECOVERED", Severity::Info));
            assert!(finding.cause.contains("2 s"), "{}", finding.cause);
        }
    }

    #[test]
    fn a_failed_flush_stays_a_failed_disk_when_only_the_poison_is_left() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), failed("/d/log: Input/output error (os error 5)"));
        stage.server.unwritable = Some("writes stopped until a restart".to_owned());
        assert_eq!(stage.codes(), ["DISK-FAILED"]);
    }

    #[test]
    fn a_server_that_starts_or_stops_is_no_disk() {
        let mut stage = Stage::default();
        stage.server.unwritable = Some("the server is starting".to_owned());
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn one_slow_flush_is_an_accident_and_three_are_not() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), Cause::FsyncSlow { ms: 300 });
        stage.event(Subject::default(), Cause::FsyncSlow { ms: 400 });
        assert!(stage.codes().is_empty());
        stage.event(Subject::default(), Cause::FsyncSlow { ms: 310 });
        let finding = stage.only();
        assert_eq!(finding.code, "DISK-SLOW");
        assert!(finding.cause.contains("400 ms"), "{}", finding.cause);
        let mut stage = Stage::default();
        stage.event(Subject::default(), Cause::FsyncSlow { ms: 9_000 });
        assert_eq!(stage.codes(), ["DISK-SLOW"]);
    }

    #[test]
    fn little_space_is_told_before_it_is_none() {
        let mut stage = Stage::default();
        for (free, size, told) in [
            (100 << 30, 200 << 30, false),
            (1 << 30, 200 << 30, true),
            (3 << 30, 200 << 30, false),
            (30 << 20, 64 << 20, true),
            (60 << 20, 64 << 20, false),
        ] {
            stage.wait(10_000).server.gauges.disk = Some((free, size));
            assert_eq!(!stage.codes().is_empty(), told, "{free} of {size}");
        }
    }

    #[test]
    fn what_a_start_found_is_told() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), Cause::LogTailCut { file: "log/1".into(), bytes: 17 });
        assert_eq!(stage.only().severity, Severity::Info);
        let mut stage = Stage::default();
        stage.event(Subject::default(), failed("given up at start: entries 5 to 9"));
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.severity), ("LOG-PART-GIVEN-UP", Severity::Critical));
        assert!(finding.cause.contains("entries 5 to 9"));
    }

    #[test]
    fn the_journals_disk_is_told_until_it_is_mended() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), Cause::JournalDiskFailed { reason: "disk full".into() });
        assert_eq!(stage.codes(), ["JOURNAL-NOT-ON-DISK"]);
        stage.wait(1_000).event(Subject::default(), Cause::JournalDiskRecovered { lost: 3 });
        stage.wait(5_000);
        assert!(stage.codes().is_empty());
        stage.event(Subject::default(), Cause::JournalDamaged { file: "1.j".into(), bytes: 3 });
        assert_eq!(stage.codes(), ["JOURNAL-DAMAGED"]);
    }
}

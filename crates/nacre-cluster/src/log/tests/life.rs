//! The ordinary life of a log.

use openraft::storage::RaftLogStorage;

use super::*;
use crate::types::Vote;

#[tokio::test]
async fn a_new_log_is_empty_and_survives_reopening() {
    let bench = Bench::new();
    for _ in 0..2 {
        let (mut log, found) = bench.open_found().unwrap();
        let state = log.get_log_state().await.unwrap();
        assert_eq!((state.last_log_id, state.last_purged_log_id, found.last), (None, None, None));
        assert_eq!(log.read_vote().await.unwrap(), None);
        log.stop().await.unwrap();
    }
    assert_eq!(bench.segments(), [] as [u64; 0]);
}

#[tokio::test]
async fn entries_and_vote_are_there_after_reopening() {
    let bench = Bench::with_entries(0..20, 1 << 20).await;
    let (mut log, found) = bench.open_found().unwrap();
    assert_eq!(readable(&log).await, (0..20).collect::<Vec<_>>());
    assert_eq!((found.last, found.last_wall), (Some(id(1, 19)), 19));
    for vote in [Vote::new(3, 1), Vote::new_committed(4, 2)] {
        log.save_vote(&vote).await.unwrap();
        log.stop().await.unwrap();
        log = bench.open().unwrap();
        assert_eq!(log.read_vote().await.unwrap(), Some(vote));
    }
    append(&mut log, [entry(20), entry(21)]).await.unwrap();
    drop(log);
    assert_eq!(reopened(&bench).await, (0..22).collect::<Vec<_>>());
}

/// Opens (waiting for a log that is just being dropped), reads all and closes.
async fn reopened(bench: &Bench) -> Vec<u64> {
    let log = loop {
        match bench.open() {
            Err(StartError::InUse { .. }) => tokio::task::yield_now().await,
            other => break other.unwrap(),
        }
    };
    let indexes = readable(&log).await;
    log.stop().await.unwrap();
    indexes
}

#[tokio::test]
async fn ranges_are_read_from_memory_and_from_disk_alike() {
    let bench = Bench::with_entries(0..30, 600).await;
    assert!(bench.segments().len() > 3);
    let mut log = bench.open().unwrap();
    append(&mut log, [entry(30)]).await.unwrap();
    for (from, to) in [(0, 31), (5, 6), (29, 31), (30, 31), (31, 40), (7, 7), (25, 99)] {
        let read = log.read(from, to, u64::MAX).await.unwrap();
        let expected: Vec<LogEntry> = (from..to.min(31)).map(entry).collect();
        assert_eq!(read, expected, "{from}..{to}");
    }
    assert_eq!(log.read(0, 31, 200).await.unwrap().len(), 2, "a limit in bytes is kept");
    assert_eq!(log.read(0, 31, 1).await.unwrap().len(), 1, "but one entry is always read");
}

#[tokio::test]
async fn an_entry_larger_than_a_segment_gets_one_of_its_own() {
    let bench = Bench { segment_bytes: 400, ..Bench::new() };
    let mut log = bench.open().unwrap();
    let big = |index| entry_of(1, index, &"x".repeat(5_000));
    append(&mut log, [entry(0)]).await.unwrap();
    append(&mut log, [big(1)]).await.unwrap();
    append(&mut log, [big(2), entry(3)]).await.unwrap();
    log.stop().await.unwrap();
    let log = bench.open().unwrap();
    let read = log.read(0, 9, u64::MAX).await.unwrap();
    assert_eq!(read, [entry(0), big(1), big(2), entry(3)]);
    assert_eq!(bench.segments(), [0, 1, 2]);
}

#[tokio::test]
async fn a_gap_in_the_indexes_is_refused() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    append(&mut log, [entry(0)]).await.unwrap();
    assert!(append(&mut log, [entry(2)]).await.is_err());
    append(&mut log, [entry(1)]).await.unwrap();
}

#[tokio::test]
async fn purge_deletes_whole_files_and_keeps_the_rest() {
    let bench = Bench::with_entries(0..30, 600).await;
    let before = bench.segments();
    let mut log = bench.open().unwrap();
    log.purge(id(1, 14)).await.unwrap();
    assert_eq!(readable(&log).await, (15..30).collect::<Vec<_>>());
    let after = bench.segments();
    assert!(after.len() < before.len() && after[0] <= 15);
    log.stop().await.unwrap();
    let mut log = Bench { applied: Some(id(1, 14).into()), ..bench.copy() }.open().unwrap();
    assert_eq!(log.get_log_state().await.unwrap().last_purged_log_id, Some(id(1, 14)));
    assert_eq!(readable(&log).await, (15..30).collect::<Vec<_>>());
    append(&mut log, [entry(30)]).await.unwrap();
    assert_eq!(bench.causes().last(), Some(&Cause::LogPurged { upto: 14 }));
}

#[tokio::test]
async fn purge_of_everything_and_beyond_goes_on_behind() {
    for upto in [29, 70] {
        let bench = Bench::with_entries(0..30, 600).await;
        let mut log = bench.open().unwrap();
        log.purge(id(1, upto)).await.unwrap();
        assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(id(1, upto)));
        assert_eq!(readable(&log).await, [] as [u64; 0]);
        append(&mut log, [entry(upto + 1)]).await.unwrap();
        log.stop().await.unwrap();
        let bench = Bench { applied: Some(id(1, upto).into()), ..bench.copy() };
        assert_eq!(reopened(&bench).await, [upto + 1]);
    }
}

#[tokio::test]
async fn a_purge_interrupted_before_its_files_are_gone_is_finished_at_start() {
    let bench = Bench::with_entries(0..30, 600).await;
    let copy = bench.copy();
    let mut log = bench.open().unwrap();
    log.purge(id(1, 70)).await.unwrap();
    log.stop().await.unwrap();
    for name in [files::META, files::WATERMARK] {
        fs::copy(bench.file(name), copy.file(name)).unwrap();
    }
    let copy = Bench { applied: Some(id(1, 70).into()), ..copy };
    let mut log = copy.open().unwrap();
    assert_eq!(copy.segments(), [] as [u64; 0]);
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(id(1, 70)));
    append(&mut log, [entry(71)]).await.unwrap();
}

#[tokio::test]
async fn truncation_removes_the_end_also_across_files() {
    for from in [29, 17, 10, 1, 0] {
        let bench = Bench::with_entries(0..30, 600).await;
        let mut log = bench.open().unwrap();
        log.truncate(id(1, from)).await.unwrap();
        assert_eq!(readable(&log).await, (0..from).collect::<Vec<_>>());
        let last = from.checked_sub(1).map(|index| id(1, index));
        assert_eq!(log.get_log_state().await.unwrap().last_log_id, last);
        append(&mut log, (from..from + 3).map(entry)).await.unwrap();
        log.stop().await.unwrap();
        assert_eq!(reopened(&bench).await, (0..from + 3).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn truncation_behind_a_purge_keeps_the_purged_id_as_last() {
    let bench = Bench::with_entries(0..30, 600).await;
    let mut log = bench.open().unwrap();
    log.purge(id(1, 14)).await.unwrap();
    log.truncate(id(1, 15)).await.unwrap();
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(id(1, 14)));
    append(&mut log, [entry(15)]).await.unwrap();
    assert_eq!(readable(&log).await, [15]);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    assert!(bench.refusal().contains("in use by another process"));
    log.stop().await.unwrap();
    bench.open().unwrap();
}

#[tokio::test]
async fn figures_count_files_bytes_and_fsyncs() {
    let bench = Bench { segment_bytes: 600, ..Bench::new() };
    let mut log = bench.open().unwrap();
    for index in 0..30 {
        append(&mut log, [entry(index)]).await.unwrap();
    }
    let figures = log.figures();
    assert_eq!(figures.fsync.count(), 30);
    assert_eq!(figures.files as usize, bench.segments().len());
    let on_disk: u64 = bench.segments().iter().map(|first| fs::metadata(bench.segment(*first)).unwrap().len()).sum();
    assert_eq!(figures.bytes, on_disk);
    assert_eq!(log.appended(), 30);
}

/// Format 1 as it was first written. Later versions must open it.
#[tokio::test]
async fn a_log_of_format_1_opens() {
    let bench = Bench { node: 7, ..Bench::new() };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/log-v1");
    if std::env::var_os("NACRE_WRITE_FIXTURES").is_some() {
        write_fixture(&fixture).await;
    }
    for file in fs::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), bench.file(file.file_name().to_str().unwrap())).unwrap();
    }
    let bench = Bench { applied: Some(id(1, 1).into()), ..bench };
    let mut log = bench.open().unwrap();
    assert_eq!(readable(&log).await, [2, 3, 4, 5]);
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new_committed(1, 7)));
    append(&mut log, [entry(6)]).await.unwrap();
}

async fn write_fixture(to: &Path) {
    let bench = Bench { segment_bytes: 200, node: 7, ..Bench::new() };
    let mut log = bench.open().unwrap();
    log.save_vote(&Vote::new_committed(1, 7)).await.unwrap();
    for index in 0..6 {
        append(&mut log, [entry(index)]).await.unwrap();
    }
    log.purge(id(1, 1)).await.unwrap();
    log.stop().await.unwrap();
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(bench.path()).unwrap() {
        let file = file.unwrap();
        if file.file_name() != files::LOCK {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn time_is_found_again_after_a_restart() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let wall = wall_clock();
    let batch = Batch { wall, commands: vec![] };
    append(&mut log, [LogEntry { log_id: id(1, 0), payload: EntryPayload::Normal(batch) }]).await.unwrap();
    append(&mut log, [LogEntry { log_id: id(1, 1), payload: EntryPayload::Blank }]).await.unwrap();
    log.stop().await.unwrap();
    assert_eq!(bench.open_found().unwrap().1.last_wall, wall);
}

//! A disk that is full, read-only or broken while the log is open.

use openraft::storage::RaftLogStorage;

use super::*;

fn names(bench: &Bench) -> Vec<&'static str> {
    bench.causes().iter().map(Cause::kind).collect()
}

fn full() -> Faults {
    Faults { allocate: Some(ErrorKind::StorageFull), ..Faults::default() }
}

#[tokio::test]
async fn a_write_too_large_for_the_disk_is_refused_alone() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    append(&mut log, [entry(0)]).await.unwrap();
    bench.medium.set(full());
    let error = log.reserve(100 << 20).await.unwrap_err();
    assert!(error.clean && error.detail.contains("no storage space"), "{error:?}");
    assert!(log.failure().is_none());
    log.reserve(1000).await.unwrap();
    append(&mut log, [entry(1)]).await.unwrap();
    assert_eq!(names(&bench), [] as [&str; 0]);
}

#[tokio::test]
async fn a_full_disk_refuses_reservations_and_nothing_else() {
    let bench = Bench { segment_bytes: 1 << 30, ..Bench::new() };
    let mut log = bench.open().unwrap();
    bench.medium.set(full());
    log.reserve(1000).await.unwrap_err();
    bench.medium.heal();
    append(&mut log, [entry_of(1, 0, &"x".repeat(3_500_000))]).await.unwrap();
    bench.medium.set(full());
    let error = log.reserve(1_000_000).await.unwrap_err();
    assert!(error.clean && error.detail.contains("no storage space"), "{error:?}");
    assert!(log.failure().unwrap().clean);
    assert_eq!(log.read(0, 9, u64::MAX).await.unwrap().len(), 1, "reads go on");
    assert!(log.reserve(1).await.is_err(), "until there is space for a usual write");
    assert!(log.probe().await.is_err());
    bench.medium.heal();
    log.reserve(1).await.unwrap();
    assert!(log.failure().is_none());
    assert_eq!(names(&bench), ["writeFailed", "writeRecovered"]);
}

#[tokio::test]
async fn a_failure_is_told_once() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    bench.medium.set(Faults { allocate: Some(ErrorKind::StorageFull), ..Faults::default() });
    for _ in 0..3 {
        log.reserve(1 << 30).await.unwrap_err();
    }
    assert_eq!(names(&bench), ["writeFailed"]);
}

#[tokio::test]
async fn a_reservation_is_used_up_by_appends() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    log.reserve(1000).await.unwrap();
    bench.medium.set(Faults { allocate: Some(ErrorKind::StorageFull), ..Faults::default() });
    let mut index = 0;
    while log.reserve(2000).await.is_ok() {
        append(&mut log, [entry_of(1, index, &"x".repeat(1_900))]).await.unwrap();
        index += 1;
    }
    assert!(index > 10, "the step of the reservation is larger than one write");
    // The spare space still takes the engine's own entries.
    append(&mut log, [LogEntry { log_id: id(2, index), payload: EntryPayload::Blank }]).await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_half_way_leaves_no_trace_and_writes_go_on() {
    for cut_fails_too in [false, true] {
        for half in [0, 1, 39, 40, 60] {
            let bench = Bench::new();
            let mut log = bench.open().unwrap();
            append(&mut log, [entry(0)]).await.unwrap();
            bench.medium.set(Faults {
                allocate: Some(ErrorKind::Unsupported),
                write_after: Some((half, ErrorKind::StorageFull)),
                set_len: cut_fails_too.then_some(ErrorKind::ReadOnlyFilesystem),
                ..Faults::default()
            });
            assert!(append(&mut log, [entry(1)]).await.is_err());
            assert!(log.failure().unwrap().clean);
            assert!(log.probe().await.is_err());
            assert_eq!(readable(&log).await, [0]);
            // A process that dies now leaves a torn tail, which the next start cuts.
            assert_eq!(readable(&bench.copy().open().unwrap()).await, [0]);
            bench.medium.heal();
            log.probe().await.unwrap();
            assert!(log.failure().is_none());
            append(&mut log, [entry(1)]).await.unwrap();
            log.stop().await.unwrap();
            assert_eq!(readable(&bench.open().unwrap()).await, [0, 1]);
        }
    }
}

#[tokio::test]
async fn a_failed_flush_stops_writes_until_the_log_is_opened_again() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    append(&mut log, [entry(0)]).await.unwrap();
    bench.medium.set(Faults { sync: Some(ErrorKind::Other), ..Faults::default() });
    assert!(append(&mut log, [entry(1)]).await.is_err());
    bench.medium.heal();
    assert!(!log.failure().unwrap().clean);
    assert!(append(&mut log, [entry(1)]).await.is_err(), "nobody knows what is on the disk");
    assert!(log.probe().await.is_err());
    assert!(log.save_vote(&crate::types::Vote::new(2, 1)).await.is_err());
    assert_eq!(readable(&log).await, [0], "reads go on");
    assert_eq!(names(&bench), ["storePoisoned"]);
    log.stop().await.unwrap_err();
    // Unknown means unknown: here the entry happens to be there, and from now on it counts.
    let mut log = bench.open().unwrap();
    assert_eq!(readable(&log).await, [0, 1]);
    append(&mut log, [entry(2)]).await.unwrap();
}

#[tokio::test]
async fn a_new_segment_that_cannot_be_created_is_a_clean_failure() {
    let bench = Bench { segment_bytes: 300, ..Bench::new() };
    let mut log = bench.open().unwrap();
    append(&mut log, (0..3).map(entry)).await.unwrap();
    bench.medium.set(Faults { write_after: Some((5, ErrorKind::StorageFull)), ..Faults::default() });
    assert!(append(&mut log, (3..6).map(entry)).await.is_err());
    assert_eq!(readable(&log).await, [0, 1, 2]);
    bench.medium.heal();
    append(&mut log, (3..6).map(entry)).await.unwrap();
    assert_eq!(readable(&log).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(bench.segments(), [0, 3]);
}

#[tokio::test]
async fn a_vote_that_cannot_be_written_is_an_error_and_the_old_one_stays() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let old = crate::types::Vote::new(1, 1);
    log.save_vote(&old).await.unwrap();
    bench.medium.set(Faults { write_after: Some((10, ErrorKind::ReadOnlyFilesystem)), ..Faults::default() });
    assert!(log.save_vote(&crate::types::Vote::new(2, 1)).await.is_err());
    assert_eq!(log.read_vote().await.unwrap(), Some(old));
    bench.medium.heal();
    drop(log.stop().await);
    assert_eq!(bench.open().unwrap().read_vote().await.unwrap(), Some(old));
}

#[tokio::test]
async fn slow_flushes_are_events() {
    let bench = Bench::new();
    let options = Options {
        dir: bench.path().to_path_buf(),
        node: 1,
        segment_bytes: 1 << 20,
        slow_fsync: Duration::ZERO,
        recovery: Recovery::Strict,
    };
    let events = bench.events.clone();
    let sink: EventSink = Arc::new(move |event| events.lock().push(event));
    let (mut log, _) = Log::open(options, None, Arc::new(Disk), sink).unwrap();
    append(&mut log, [entry(0)]).await.unwrap();
    assert_eq!(names(&bench), ["fsyncSlow"]);
}

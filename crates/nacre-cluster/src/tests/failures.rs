//! Disks that run full, break or recover; state machines that fail; logs that were damaged.

use super::*;

fn full() -> Faults {
    Faults { allocate: Some(ErrorKind::StorageFull), ..Faults::default() }
}

/// What a full disk looks like when the file system cannot reserve space.
fn full_without_reservation(half: usize) -> Faults {
    Faults {
        allocate: Some(ErrorKind::Unsupported),
        write_after: Some((half, ErrorKind::StorageFull)),
        ..Faults::default()
    }
}

/// Uses up what the log has reserved, on a disk that is full by now. Answers the first error.
async fn fill(road: &Consensus) -> WriteError {
    loop {
        if let Err(error) = write(road, &"x".repeat(700_000)).await {
            return error;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_they_work_again_when_there_is_space() {
    let bench = Bench::new();
    let road = bench.ready().await;
    write(&road, "one").await.unwrap();
    bench.medium.set(full());
    for error in [fill(&road).await, write(&road, "small").await.unwrap_err()] {
        match error {
            WriteError::NotDone(Reason::LogUnwritable { detail }) => assert!(detail.contains("no storage space")),
            other => panic!("{other}"),
        }
    }
    assert!(matches!(road.readiness(), Readiness::Unwritable { reason } if reason.contains("no storage space")));
    assert_eq!(bench.ledger.texts()[0], "one", "reads go on");
    bench.medium.heal();
    write(&road, "two").await.unwrap();
    assert_eq!(road.readiness(), Readiness::Ready);
    assert_eq!(bench.kinds(), ["leaderElected", "writeFailed", "writeRecovered"]);
    road.stop().await;
}

#[tokio::test]
async fn readiness_comes_back_without_a_write() {
    let bench = Bench::new();
    let road = bench.ready().await;
    bench.medium.set(full());
    fill(&road).await;
    assert!(matches!(road.readiness(), Readiness::Unwritable { .. }));
    bench.medium.heal();
    until(|| road.readiness() == Readiness::Ready).await;
    road.stop().await;
}

#[tokio::test]
async fn a_write_the_disk_cuts_short_is_not_done_and_the_road_repairs_itself() {
    for half in [0, 1, 50] {
        let bench = Bench::new();
        let road = bench.ready().await;
        write(&road, "one").await.unwrap();
        bench.medium.set(full_without_reservation(half));
        let error = write(&road, "two").await.unwrap_err();
        assert!(matches!(&error, WriteError::NotDone(Reason::LogUnwritable { .. })), "{error}");
        until(|| matches!(road.readiness(), Readiness::Unwritable { .. })).await;
        let error = write(&road, "three").await.unwrap_err();
        assert!(matches!(&error, WriteError::NotDone(Reason::LogUnwritable { .. })), "{error}");
        assert_eq!(bench.ledger.texts(), ["one"], "reads go on");
        bench.medium.heal();
        until(|| road.readiness() == Readiness::Ready).await;
        write(&road, "four").await.unwrap();
        assert_eq!(bench.ledger.texts(), ["one", "four"]);
        road.stop().await;
        let bench = bench.restarted();
        let road = bench.ready().await;
        assert_eq!(bench.ledger.texts(), ["one", "four"]);
        road.stop().await;
    }
}

#[tokio::test]
async fn a_failed_flush_leaves_the_write_unknown_and_asks_for_a_restart() {
    let bench = Bench::new();
    let road = bench.ready().await;
    write(&road, "one").await.unwrap();
    bench.medium.set(Faults { sync: Some(ErrorKind::Other), ..Faults::default() });
    let error = write(&road, "two").await.unwrap_err();
    assert!(matches!(&error, WriteError::Unknown(Reason::Poisoned { .. })), "{error}");
    bench.medium.heal();
    until(|| matches!(road.readiness(), Readiness::Unwritable { .. })).await;
    let error = write(&road, "three").await.unwrap_err();
    assert!(matches!(&error, WriteError::NotDone(Reason::Poisoned { .. })), "{error}");
    assert!(error.to_string().contains("until a restart"));
    assert_eq!(bench.ledger.texts(), ["one"]);
    assert!(bench.kinds().contains(&"storePoisoned"));
    road.stop().await;
    assert_eq!((road.status().unknown, road.status().not_done), (1, 1));

    let bench = bench.restarted();
    let road = bench.ready().await;
    assert_eq!(bench.ledger.texts(), ["one", "two"], "unknown: here it had reached the disk");
    write(&road, "four").await.unwrap();
    road.stop().await;
}

#[tokio::test]
async fn a_state_machine_that_fails_or_panics_stops_writes() {
    for (text, reason) in [("fail", "the database is on fire"), ("panic", "out of cheese")] {
        let bench = Bench::new();
        let road = bench.ready().await;
        write(&road, "one").await.unwrap();
        match write(&road, text).await.unwrap_err() {
            WriteError::Unknown(Reason::ApplyFailed { detail }) => assert!(detail.contains(reason), "{detail}"),
            other => panic!("{other}"),
        }
        until(|| matches!(road.readiness(), Readiness::Unwritable { .. })).await;
        let error = write(&road, "two").await.unwrap_err();
        assert!(
            matches!(&error, WriteError::NotDone(Reason::Poisoned { detail }) if detail.contains(reason)),
            "{error}"
        );
        assert!(road.checkpoint().await.is_err());
        assert_eq!(bench.ledger.texts(), ["one"]);
        assert_eq!(bench.kinds(), ["leaderElected", "storePoisoned"]);
        road.stop().await;
    }
}

#[tokio::test]
async fn a_checkpoint_that_fails_is_told_and_writes_go_on() {
    let bench = Bench::new();
    let road = bench.ready().await;
    *bench.ledger.checkpoint_fails.lock() = true;
    assert!(road.checkpoint().await.is_err());
    assert!(bench.causes().iter().any(|cause| {
        matches!(cause, Cause::WriteFailed { reason } if reason.contains("no space left in the database"))
    }));
    write(&road, "one").await.unwrap();
    assert_eq!(road.readiness(), Readiness::Ready);
    road.stop().await;
    let bench = bench.restarted();
    let road = bench.ready().await;
    assert_eq!(bench.ledger.texts(), ["one"], "the log still has it");
    road.stop().await;
}

#[tokio::test]
async fn a_first_start_on_a_full_disk_says_so() {
    let bench = Bench::new();
    bench.medium.set(Faults { write_after: Some((0, ErrorKind::StorageFull)), ..full() });
    let error = bench.start().await.map(drop).unwrap_err().to_string();
    assert!(error.contains("no storage space") && error.contains("log"), "{error}");
    let bench = bench.restarted();
    bench.ready().await.stop().await;
}

#[tokio::test]
async fn a_restart_on_a_full_disk_serves_what_is_there() {
    let bench = Bench::new();
    let road = bench.ready().await;
    write(&road, "one").await.unwrap();
    bench.crash(&road).await;
    let bench = bench.restarted();
    bench.medium.set(Faults { allocate: Some(ErrorKind::StorageFull), ..Faults::default() });
    let road = bench.ready().await;
    assert_eq!(bench.ledger.texts(), ["one"]);
    let error = write(&road, "two").await.unwrap_err();
    assert!(matches!(&error, WriteError::NotDone(Reason::LogUnwritable { .. })), "{error}");
    bench.medium.heal();
    write(&road, "two").await.unwrap();
    road.stop().await;
}

#[tokio::test]
async fn a_damaged_log_refuses_the_start_with_the_files_name() {
    let bench = Bench::new();
    let road = bench.ready().await;
    for number in 0..10 {
        write(&road, &format!("write {number}")).await.unwrap();
    }
    road.stop().await;
    let path = bench.dir.path().join("log").join(&bench.log_files()[0]);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let bench = bench.restarted();
    let error = bench.start().await.map(drop).unwrap_err();
    assert!(matches!(&error, StartError::Damaged { path: named, .. } if *named == path), "{error}");
    assert!(bench.ledger.texts().len() == 10, "the database is not touched");
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_told() {
    let bench = Bench::new();
    let road = bench.ready().await;
    write(&road, "one").await.unwrap();
    road.stop().await;
    let path = bench.dir.path().join("log").join(&bench.log_files()[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"NCR1 torn");
    fs::write(&path, bytes).unwrap();
    let bench = bench.restarted();
    let road = bench.ready().await;
    assert!(bench.kinds().contains(&"logTailCut"));
    assert_eq!(write(&road, "two").await.unwrap(), "did two");
    road.stop().await;
}

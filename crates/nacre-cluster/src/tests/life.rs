//! The ordinary life of a write road.

use super::*;

#[tokio::test]
async fn an_empty_store_takes_writes() {
    let bench = Bench::new();
    let road = bench.ready().await;
    assert_eq!(road.readiness(), Readiness::Ready);
    assert_eq!(write(&road, "one").await.unwrap(), "did one");
    assert_eq!(bench.ledger.texts(), ["one"]);
    assert!(matches!(bench.causes()[..], [Cause::LeaderElected { term: 1, node: 1 }]), "{:?}", bench.causes());
    road.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_caller_gets_its_own_reply() {
    let bench = Bench::new();
    let road = bench.ready().await;
    let tasks: Vec<_> = (0..2_000)
        .map(|number| {
            let road = road.clone();
            tokio::spawn(async move {
                let text = format!("write {number}");
                assert_eq!(write(&road, &text).await.unwrap(), format!("did {text}"));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut texts = bench.ledger.texts();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 2_000);
    assert_eq!(road.status().done, 2_000);
    road.stop().await;
}

#[tokio::test]
async fn writes_that_wait_share_one_entry_and_one_fsync() {
    let bench = Bench::new();
    let road = bench.ready().await;
    bench.ledger.gate.set(true);
    let mut tasks = vec![queued(&road, "first").await];
    until(|| road.status().fsync.count() == fsyncs_of_start() + 1).await;
    for number in 0..100 {
        tasks.push(queued(&road, &format!("later {number}")).await);
    }
    bench.ledger.gate.set(false);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(bench.ledger.state.lock().entries, 2);
    assert_eq!(road.status().fsync.count(), fsyncs_of_start() + 2);
    assert_eq!(bench.ledger.texts()[1..3], ["later 0", "later 1"], "in the order of arrival");
    road.stop().await;
}

#[tokio::test]
async fn a_watched_write_says_when_it_was_taken_flushed_and_applied() {
    let bench = Bench::new();
    let road = bench.ready().await;
    write(&road, "unwatched").await.unwrap();
    let (before, stages) = (std::time::Instant::now(), Arc::<Stages>::default());
    road.write_watched("watched".into(), &stages).await.unwrap();
    let after = std::time::Instant::now();
    let seen = stages.seen();
    let (taken, flushed, applied) = (seen.taken.unwrap(), seen.flushed.unwrap(), seen.applied.unwrap());
    let moments = [before, taken, flushed.0, flushed.1, applied.0, applied.1, after];
    assert!(moments.is_sorted(), "{moments:?}");
    assert_eq!((seen.together, seen.index), (1, road.status().applied));
    road.stop().await;
}

/// Entries of the engine at the start of an empty log: the membership and the new leader's own.
fn fsyncs_of_start() -> u64 {
    2
}

#[tokio::test]
async fn a_batch_is_bounded_in_writes_and_bytes() {
    for (batch_writes, batch_bytes, entries) in [(10, usize::MAX, 4), (1_000, 100, 4), (1_000, 1, 31)] {
        let mut bench = Bench::new();
        bench.config = Config { batch_writes, batch_bytes, ..bench.config };
        let road = bench.ready().await;
        bench.ledger.gate.set(true);
        let mut tasks = vec![queued(&road, "first").await];
        until(|| road.status().fsync.count() == fsyncs_of_start() + 1).await;
        for number in 0..30 {
            tasks.push(queued(&road, &format!("ten bytes{}", number % 10)).await);
        }
        bench.ledger.gate.set(false);
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(bench.ledger.state.lock().entries, entries, "{batch_writes} writes, {batch_bytes} bytes");
        road.stop().await;
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_recovers() {
    for (queue_writes, queue_bytes) in [(3, usize::MAX), (1_000, 15)] {
        let mut bench = Bench::new();
        bench.config = Config { queue_writes, queue_bytes, ..bench.config };
        let road = bench.ready().await;
        bench.ledger.gate.set(true);
        let mut tasks = Vec::new();
        for _ in 0..3 {
            tasks.push(queued(&road, "five!").await);
        }
        let refused = write(&road, "five!").await.unwrap_err();
        assert!(matches!(refused, WriteError::NotDone(Reason::QueueFull { .. })), "{refused}");
        bench.ledger.gate.set(false);
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        write(&road, "five!").await.unwrap();
        assert_eq!(road.status().queue_writes, 0);
        assert_eq!((road.status().done, road.status().not_done), (4, 1));
        road.stop().await;
    }
}

#[tokio::test]
async fn a_command_beyond_the_limit_is_refused_and_one_beyond_the_batch_is_taken() {
    let mut bench = Bench::new();
    bench.config = Config { max_command: 1_000, batch_bytes: 10, segment_bytes: 100, ..bench.config };
    let road = bench.ready().await;
    assert!(matches!(
        write(&road, &"x".repeat(1_001)).await,
        Err(WriteError::NotDone(Reason::TooLarge { bytes: 1_001, limit: 1_000 }))
    ));
    write(&road, &"x".repeat(1_000)).await.unwrap();
    road.stop().await;
}

#[tokio::test]
async fn a_dropped_caller_does_not_take_its_write_back() {
    let bench = Bench::new();
    let road = bench.ready().await;
    bench.ledger.gate.set(true);
    let task = queued(&road, "orphan").await;
    task.abort();
    let _ = task.await;
    bench.ledger.gate.set(false);
    write(&road, "next").await.unwrap();
    assert_eq!(bench.ledger.texts(), ["orphan", "next"]);
    road.stop().await;
}

#[tokio::test]
async fn a_restart_replays_what_the_database_does_not_have() {
    let bench = Bench::new();
    let road = bench.ready().await;
    for text in ["one", "two"] {
        write(&road, text).await.unwrap();
    }
    road.checkpoint().await.unwrap();
    write(&road, "three").await.unwrap();
    let before = bench.ledger.state.lock().clone();
    bench.crash(&road).await;

    let bench = bench.restarted();
    assert_eq!(bench.ledger.texts(), ["one", "two"]);
    let road = bench.ready().await;
    let after = bench.ledger.state.lock().clone();
    assert_eq!(after.commands, before.commands, "with the times of the first run");
    assert_eq!(after.applied.membership, before.applied.membership);
    assert_eq!(write(&road, "four").await.unwrap(), "did four");
    road.stop().await;
}

#[tokio::test]
async fn nothing_is_lost_over_many_restarts_without_checkpoints() {
    let mut bench = Bench::new();
    for round in 0..8 {
        let road = bench.ready().await;
        write(&road, &format!("round {round}")).await.unwrap();
        bench.crash(&road).await;
        bench = bench.restarted();
    }
    let road = bench.ready().await;
    assert_eq!(bench.ledger.texts(), (0..8).map(|round| format!("round {round}")).collect::<Vec<_>>());
    road.stop().await;
}

#[tokio::test]
async fn time_does_not_go_back_over_a_restart() {
    let bench = Bench::new();
    let road = bench.ready().await;
    write(&road, "one").await.unwrap();
    road.stop().await;
    let first = bench.ledger.state.lock().commands[0].0;
    assert!(first > 1_600_000_000_000);
    let bench = bench.restarted();
    let road = bench.ready().await;
    write(&road, "two").await.unwrap();
    assert!(bench.ledger.state.lock().commands[1].0 >= first);
    road.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_thousand_configs_are_there_after_checkpoints_purges_and_a_restart() {
    let mut bench = Bench::new();
    bench.config = Config {
        checkpoint_bytes: 10 << 20,
        segment_bytes: 2 << 20,
        keep_entries: 5,
        queue_writes: 200_000,
        ..bench.config
    };
    let road = bench.ready().await;
    let writers: Vec<_> = (0..100)
        .map(|writer| {
            let road = road.clone();
            tokio::spawn(async move {
                let all: Vec<_> = (0..1_000)
                    .map(|number| {
                        let road = road.clone();
                        let text = format!("{writer}/{number}/{}", "c".repeat(1_000));
                        tokio::spawn(async move { road.write(text.into()).await.map(drop) })
                    })
                    .collect();
                for one in all {
                    one.await.unwrap().unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    until(|| bench.kinds().contains(&"logPurged")).await;
    let before = bench.ledger.state.lock().clone();
    assert_eq!(before.commands.len(), 100_000);
    let purged = road.status().purged.unwrap();
    assert!(road.status().log_bytes < 100 << 20);
    bench.crash(&road).await;
    let in_database = bench.ledger.disk.lock().commands.len();
    assert!((10_000..=100_000).contains(&in_database), "{in_database}");
    assert!(bench.log_files()[0].as_str() > "00000000000000000000.log", "old files are gone");

    let bench = bench.restarted();
    let road = bench.ready().await;
    let after = bench.ledger.state.lock().clone();
    assert_eq!(after.commands.len(), 100_000);
    assert!(after.commands == before.commands);
    assert!(road.status().purged.unwrap() >= purged);
    road.stop().await;
}

#[tokio::test]
async fn a_stop_finishes_what_waits_and_refuses_what_comes() {
    let bench = Bench::new();
    let road = bench.ready().await;
    bench.ledger.gate.set(true);
    let waiting = [queued(&road, "one").await, queued(&road, "two").await];
    let stopping = road.clone();
    let stop = tokio::spawn(async move { stopping.stop().await });
    until(|| road.inner_is_stopping()).await;
    assert_eq!(write(&road, "late").await, Err(WriteError::NotDone(Reason::ShuttingDown)));
    bench.ledger.gate.set(false);
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    stop.await.unwrap();
    road.stop().await;
    assert_eq!(road.readiness(), Readiness::Stopped);
    assert_eq!(bench.ledger.disk.lock().commands.len(), 2, "a clean stop checkpoints");
    let again = bench.restarted().ready().await;
    assert_eq!(write(&again, "three").await.unwrap(), "did three");
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let bench = Bench::new();
    let road = bench.ready().await;
    assert!(matches!(bench.start().await.map(drop), Err(StartError::InUse { .. })));
    road.stop().await;
}

#[tokio::test]
async fn figures_tell_what_is_going_on() {
    let bench = Bench::new();
    let road = bench.ready().await;
    write(&road, "one").await.unwrap();
    let status = road.status();
    assert_eq!((status.role, status.role.leader_status(), status.leader), (Role::Leader, 1, Some(1)));
    assert_eq!(status.term, 1);
    assert_eq!((status.last_log, status.committed, status.applied), (Some(2), Some(2), Some(2)));
    assert_eq!((status.peers.len(), status.leader_send_beat_failed()), (0, 0));
    assert_eq!(status.fsync.count(), fsyncs_of_start() + 1);
    assert_eq!((status.log_files, status.readiness), (1, Readiness::Ready));
    assert_eq!(road.checkpoint().await.unwrap(), Some(2));
    assert_eq!(road.status().checkpoint, Some(2));
    assert!(bench.causes().iter().any(|cause| matches!(cause, Cause::SnapshotTaken { index: 2, .. })));
    road.stop().await;
    assert_eq!(road.status().readiness, Readiness::Stopped);
}

#[tokio::test]
async fn a_node_that_is_to_join_a_group_waits_and_says_so() {
    let mut bench = Bench::new();
    bench.config = Config { bootstrap: false, ..bench.config };
    let road = bench.start().await.unwrap();
    assert!(matches!(road.readiness(), Readiness::Starting { .. }));
    assert_eq!(write(&road, "one").await, Err(WriteError::NotDone(Reason::Starting)));
    assert_eq!(road.status().role.leader_status(), 2);
    road.stop().await;
}

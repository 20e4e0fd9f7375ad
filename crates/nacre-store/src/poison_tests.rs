//! What a full disk does: the store says so, keeps what it was given, goes on by itself, and never loses or reorders.

use std::{sync::Arc, time::Duration};

use tempfile::TempDir;

use crate::{Applied, KvOp, KvRow, Store, StoreError, StoreEvent, StoreOptions, WriteBatch};

fn open(dir: &TempDir, queue: usize) -> Store {
    open_with(dir, queue, Arc::new(|_| ()))
}

fn open_with(dir: &TempDir, queue: usize, on_event: crate::OnEvent) -> Store {
    let retry = Duration::from_millis(5);
    let options = StoreOptions { queue, retry, on_event, ..StoreOptions::new(dir.path().join("nacre.db")) };
    Store::open(options).unwrap()
}

fn limit_pages(store: &Store, more: i64) {
    store
        .on_writer(move |writing| {
            let count: i64 = writing.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            writing.connection.query_row(&format!("PRAGMA max_page_count = {}", count + more), [], |_| Ok(()))?;
            Ok(())
        })
        .unwrap();
}

fn batch(index: u64, size: usize) -> WriteBatch {
    let row = KvRow { kind: "k".into(), key: format!("{index:05}"), value: vec![7; size] };
    let applied = Some(Applied { index, term: 1, leader: 1 });
    WriteBatch { applied, kv: vec![KvOp::Put(row)], ..WriteBatch::default() }
}

/// Waits for the writer's own signal; no clock is involved in what is asserted.
fn until_poisoned(store: &Store) -> crate::Poison {
    loop {
        if let Err(StoreError::Poisoned(poison)) = store.barrier() {
            return poison;
        }
        std::thread::yield_now();
    }
}

/// The obstacle here is a lock that another connection holds: it can be taken away from outside, as a full disk is freed.
#[test]
fn a_transaction_that_fails_is_tried_again_in_order() {
    let dir = TempDir::new().unwrap();
    let (told, events) = std::sync::mpsc::channel();
    let store = open_with(&dir, 64, Arc::new(move |event| told.send(event).unwrap()));
    store.on_writer(|writing| Ok(writing.connection.busy_timeout(Duration::ZERO)?)).unwrap();
    store.write(batch(1, 10)).unwrap();
    store.barrier().unwrap();
    let other = rusqlite::Connection::open(dir.path().join("nacre.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for index in 2..=10 {
        store.write(batch(index, 10)).unwrap();
    }
    let poison = until_poisoned(&store);
    assert!(poison.retrying && poison.reason.contains("another process locks the database"), "{poison:?}");
    assert_eq!(store.load().unwrap().kv.len(), 1, "reads go on");
    assert!(matches!(store.checkpoint(), Err(StoreError::Poisoned(_))));
    store.write(batch(11, 10)).unwrap();
    other.execute_batch("COMMIT").unwrap();
    while store.poison().is_some() {
        std::thread::yield_now();
    }
    store.barrier().unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.kv.len(), 11);
    assert_eq!(loaded.applied.map(|applied| applied.index), Some(11));
    store.close().unwrap();
    let events: Vec<StoreEvent> = events.try_iter().collect();
    assert!(
        matches!(&events[..], [StoreEvent::Failed(poison), StoreEvent::Recovered { tries: 1.. }] if poison.retrying),
        "each is told once: {events:?}"
    );
}

#[test]
fn a_full_disk_is_named_and_loses_nothing_that_was_written() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 4);
    store.write(batch(1, 10)).unwrap();
    limit_pages(&store, 3);
    store.write(batch(2, 100_000)).unwrap();
    let poison = until_poisoned(&store);
    assert!(poison.retrying && poison.reason.contains("the disk is full"), "{poison:?}");
    // What is in the log already is still queued, until the queue is full; then the store is finished.
    let mut refused = None;
    for index in 3..10 {
        if let Err(error) = store.write(batch(index, 10)) {
            refused = Some((index, error));
            break;
        }
    }
    let (index, error) = refused.unwrap();
    assert_eq!(index, 7, "four waited");
    assert!(error.to_string().contains("restart to replay the log"), "{error}");
    assert!(matches!(store.write(batch(8, 10)), Err(StoreError::Poisoned(poison)) if !poison.retrying));
    let loaded = store.load().unwrap();
    assert_eq!(loaded.applied.map(|applied| applied.index), Some(1), "nothing of the failed transaction is visible");
    assert!(matches!(store.close(), Err(StoreError::Poisoned(_))));
    drop(store);
    // With room again, the replay of the log from the stored position brings everything.
    let store = open(&dir, 4);
    for index in 2..=9 {
        store.write(batch(index, 10)).unwrap();
    }
    let loaded = store.load().unwrap();
    assert_eq!((loaded.kv.len(), loaded.applied.map(|applied| applied.index)), (9, Some(9)));
}

#[test]
fn a_row_that_is_not_accepted_ends_the_writer_with_its_reason() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 64);
    store.on_writer(|writing| Ok(writing.connection.execute_batch("DROP TABLE nacre_kv")?)).unwrap();
    store.write(batch(1, 1)).unwrap();
    let poison = until_poisoned(&store);
    assert!(!poison.retrying && poison.reason.contains("nacre_kv"), "{poison:?}");
    assert!(matches!(store.write(batch(2, 1)), Err(StoreError::Poisoned(_))));
    assert!(matches!(store.checkpoint(), Err(StoreError::Poisoned(_))));
    assert_eq!(store.report().poison, Some(poison));
}

#[test]
fn a_full_queue_makes_callers_wait_and_keeps_their_order() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 2);
    // The writer stands still inside a task until it is let go.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (entered, is_in) = std::sync::mpsc::channel::<()>();
    let third = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let task = move |_: &mut _| {
                entered.send(()).unwrap();
                wait.recv().unwrap();
                Ok(())
            };
            store.on_writer(task).unwrap();
        });
        is_in.recv().unwrap();
        store.write(batch(1, 1)).unwrap();
        store.write(batch(2, 1)).unwrap();
        assert_eq!(store.report().queued, 2);
        scope.spawn(|| {
            store.write(batch(3, 1)).unwrap();
            third.store(true, std::sync::atomic::Ordering::Release);
        });
        assert!(!third.load(std::sync::atomic::Ordering::Acquire), "the writer still stands");
        go.send(()).unwrap();
    });
    let loaded = store.load().unwrap();
    assert_eq!((loaded.kv.len(), loaded.applied.map(|applied| applied.index)), (3, Some(3)));
}

//! The journal on disk: restarts, torn ends, damage, bounds, full disks, questions over both.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use nacre_journal::{DiskOptions, Filter, Journal, Limits, Work};
use nacre_model::{Cause, Event, Now, ServiceKey, Subject};
use tempfile::TempDir;

fn at(wall: i64) -> Now {
    Now { mono: wall as u64, wall }
}

fn options(dir: &Path) -> DiskOptions {
    DiskOptions::new(dir.join("journal"))
}

fn small_ring() -> Limits {
    Limits { bytes: 100_000, age_ms: i64::MAX }
}

fn open(options: &DiskOptions) -> Journal {
    Journal::new(Limits::default()).on_disk(options.clone())
}

fn orders(n: i64) -> Event {
    let service = ServiceKey::new("public", "G", if n % 2 == 0 { "orders" } else { "stock" });
    let subject = Subject::service(&service).with_instance(&format!("10.0.0.{}:80:DEFAULT", n % 7));
    Event::new(
        at(1_000 + n),
        subject.with_client(&format!("1_10.0.0.{}_5", n % 7)),
        Cause::InstanceHealthy { cause: format!("beat {n}") },
    )
}

/// Events `from..to`, saved.
fn fill(journal: &Journal, from: i64, to: i64) {
    for n in from..to {
        journal.record(orders(n));
        if n % 100 == 0 {
            journal.keep(at(1_000 + n));
        }
    }
    journal.keep(at(1_000 + to));
}

fn seqs(journal: &Journal, filter: &Filter) -> Vec<u64> {
    let found = journal.search(filter, &mut Work::default());
    assert!(!found.exhausted);
    found.records.iter().map(|record| record.seq).collect()
}

fn all() -> Filter {
    Filter { limit: usize::MAX, oldest_first: true, ..Filter::default() }
}

fn files(options: &DiskOptions, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(&options.dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .collect();
    found.sort();
    found
}

fn kinds(journal: &Journal) -> Vec<&'static str> {
    let told: Vec<&str> = journal.query(&Filter::default()).iter().map(|record| record.event.cause.kind()).collect();
    told.into_iter().filter(|kind| kind.starts_with("journal")).collect()
}

#[test]
fn numbers_and_events_go_on_over_an_orderly_restart() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    let journal = open(&options);
    fill(&journal, 0, 100);
    journal.record(orders(100));
    journal.close(at(2_000));
    let journal = open(&options);
    assert_eq!(journal.last_seq(), 101);
    assert_eq!(journal.record(orders(101)), 102);
    assert_eq!(seqs(&journal, &all()), (1..=102).collect::<Vec<_>>());
    let newest = seqs(&journal, &Filter { limit: 3, ..Filter::default() });
    assert_eq!(newest, [102, 101, 100], "memory first, then disk");
    assert_eq!(files(&options, ".seg").len(), 1, "the last segment is used on");
    assert!(kinds(&journal).is_empty());
}

#[test]
fn news_begin_with_what_is_in_memory_however_far_the_numbers_leapt() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    let journal = open(&options);
    fill(&journal, 0, 100);
    drop(journal);
    let journal = open(&options);
    let first = journal.record(orders(101));
    assert!(first > 200, "a crash: {first}");
    let (records, last) = journal.news(0, 100, 10);
    assert!(records.iter().any(|record| record.seq == first), "{records:?}");
    assert_eq!(last, journal.last_seq());
    let (records, upto) = journal.news(last, 100, 10);
    assert!(records.is_empty() && upto == last);
}

/// As if that version had begun the file.
fn stamp(path: &Path, version: u32) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut header = [0; 16];
    file.read_exact_at(&mut header, 0).unwrap();
    header[8..12].copy_from_slice(&version.to_le_bytes());
    let sum = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&sum.to_le_bytes());
    file.write_all_at(&header, 0).unwrap();
}

#[test]
fn files_of_the_first_version_are_read_and_not_written_on() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    let journal = open(&options);
    fill(&journal, 0, 10);
    journal.close(at(2_000));
    let first = files(&options, ".seg").remove(0);
    stamp(&first, 1);
    let before = fs::metadata(&first).unwrap().len();
    for _ in 0..2 {
        // With its index and without.
        let journal = open(&options);
        assert_eq!(seqs(&journal, &all()), (1..=10).collect::<Vec<_>>());
        fs::remove_file(first.with_extension("idx")).unwrap();
    }
    let journal = open(&options);
    fill(&journal, 10, 20);
    assert_eq!(seqs(&journal, &all()), (1..=20).collect::<Vec<_>>());
    assert_eq!((files(&options, ".seg").len(), fs::metadata(&first).unwrap().len()), (2, before));
    assert!(kinds(&journal).is_empty());
}

#[test]
fn a_file_of_a_later_version_is_told_of_and_left_alone() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    let journal = open(&options);
    fill(&journal, 0, 10);
    drop(journal);
    let later = files(&options, ".seg").remove(0);
    stamp(&later, 3);
    let bytes = fs::read(&later).unwrap();
    let journal = open(&options);
    fill(&journal, 10, 20);
    assert!(kinds(&journal).contains(&"journalDiskFailed"));
    assert_eq!(fs::read(&later).unwrap(), bytes);
    let seqs = seqs(&journal, &all());
    assert!(seqs.len() >= 10 && seqs[0] > 10, "{seqs:?}");
}

#[test]
fn after_a_crash_no_number_is_given_twice() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    let journal = open(&options);
    fill(&journal, 0, 100);
    let unsaved: Vec<u64> = (100..120).map(|n| journal.record(orders(n))).collect();
    drop(journal);
    let journal = open(&options);
    let next = journal.record(orders(200));
    assert!(next > *unsaved.last().unwrap(), "{next}");
    journal.keep(at(5_000));
    let mut wanted: Vec<u64> = (1..=100).collect();
    wanted.push(next);
    assert_eq!(seqs(&journal, &all()), wanted);
    drop(journal);
    // Without the file of numbers as well.
    fs::remove_file(options.dir.join("numbers")).unwrap();
    let journal = open(&options);
    assert!(journal.record(orders(201)) > next);
    // And with a damaged one.
    fs::write(options.dir.join("numbers"), b"never a number").unwrap();
    assert!(open(&options).record(orders(202)) > next);
}

#[test]
fn a_torn_tail_is_cut_and_told_and_the_rest_is_there() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    let journal = open(&options);
    fill(&journal, 0, 50);
    drop(journal);
    let segment = files(&options, ".seg").pop().unwrap();
    let bytes = fs::metadata(&segment).unwrap().len();
    fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(bytes - 7).unwrap();
    let journal = open(&options);
    journal.keep(at(3_000));
    assert_eq!(kinds(&journal), ["journalTailCut"]);
    let found = journal.search(&Filter { service: Some("orders".into()), ..all() }, &mut Work::default());
    assert_eq!(found.records.len(), 25);
    let found = journal.search(&Filter { service: Some("stock".into()), ..all() }, &mut Work::default());
    assert_eq!(found.records.len(), 24, "the torn one is gone");
    journal.close(at(3_000));
    let journal = open(&options);
    journal.keep(at(4_000));
    assert!(kinds(&journal).is_empty(), "a cut is told once");
    let left = journal.search(&Filter { service: Some("stock".into()), ..all() }, &mut Work::default());
    assert_eq!(left.records.len(), 24);
}

#[test]
fn a_flipped_byte_costs_one_event_and_is_told_wherever_it_is_met() {
    for finished in [false, true] {
        let home = TempDir::new().unwrap();
        let options = options(home.path());
        let journal = open(&options);
        fill(&journal, 0, 50);
        if finished {
            journal.close(at(2_000));
        } else {
            drop(journal);
        }
        let segment = files(&options, ".seg").pop().unwrap();
        let file = fs::OpenOptions::new().read(true).write(true).open(&segment).unwrap();
        let middle = fs::metadata(&segment).unwrap().len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], middle).unwrap();
        let journal = open(&options);
        let services = |name: &str| {
            let filter = Filter { service: Some(name.into()), ..all() };
            journal.search(&filter, &mut Work::default()).records.len()
        };
        assert_eq!(services("orders") + services("stock"), 49, "finished: {finished}");
        journal.keep(at(3_000));
        journal.keep(at(3_100));
        assert_eq!(kinds(&journal), ["journalDamaged"], "finished: {finished}");
        assert!(journal.disk().unwrap().counts().damaged_bytes > 0);
    }
}

#[test]
fn no_damage_whatever_stops_a_start() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    let journal = open(&options);
    fill(&journal, 0, 50);
    journal.close(at(2_000));
    let segment = files(&options, ".seg").pop().unwrap();
    let index = files(&options, ".idx").pop().unwrap();
    let (good, good_index) = (fs::read(&segment).unwrap(), fs::read(&index).unwrap());
    let mut noise = 12_345u64;
    for round in 0..200 {
        let mut broken = good.clone();
        let mut broken_index = good_index.clone();
        for _ in 0..1 + round % 5 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let place = (noise >> 33) as usize;
            match round % 4 {
                0 => broken.truncate(place % broken.len().max(1)),
                1 => broken_index.truncate(place % broken_index.len().max(1)),
                2 => {
                    let length = broken_index.len().max(1);
                    if let Some(byte) = broken_index.get_mut(place % length) {
                        *byte ^= 0x55;
                    }
                }
                _ => {
                    let length = broken.len().max(1);
                    if let Some(byte) = broken.get_mut(place % length) {
                        *byte ^= 0x55;
                    }
                }
            }
        }
        fs::write(&segment, &broken).unwrap();
        fs::write(&index, &broken_index).unwrap();
        let journal = open(&options);
        let seq = journal.record(orders(60));
        assert!(seq > 50);
        journal.keep(at(9_000));
        let found = journal.search(&all(), &mut Work::default());
        let own = found.records.iter().filter(|record| record.event.cause.kind() == "instanceHealthy");
        assert!(own.clone().count() <= 51);
        assert!(found.records.iter().any(|record| record.seq == seq), "what is written afterwards is there");
        // For the next round as it was.
        drop(journal);
        for path in files(&options, ".seg").into_iter().chain(files(&options, ".idx")) {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn segments_rotate_and_bytes_bound_them() {
    let home = TempDir::new().unwrap();
    let options = DiskOptions { bytes: 1_500_000, segment_bytes: 100_000, ..options(home.path()) };
    let journal = Journal::new(small_ring()).on_disk(options.clone());
    for round in 0..60i64 {
        for n in 0..200 {
            journal.record(orders(round * 200 + n));
        }
        journal.keep(at(1_000 + round * 200));
        let used: u64 = fs::read_dir(&options.dir).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(used <= 1_500_000, "{used}");
    }
    let counts = journal.disk().unwrap().counts();
    assert!(counts.removed_segments > 0 && counts.segments > 4, "{counts:?}");
    assert_eq!(counts.dropped, 0);
    assert_eq!(counts.written_events, 12_000);
    let kept = seqs(&journal, &all());
    assert_eq!(*kept.last().unwrap(), 12_000);
    assert_eq!(kept, (kept[0]..=12_000).collect::<Vec<_>>(), "no hole");
    assert!(kept[0] > 1);
    drop(journal);
    let journal = Journal::new(small_ring()).on_disk(options);
    let again = seqs(&journal, &all());
    assert_eq!(again, kept);
}

#[test]
fn age_bounds_the_segments() {
    let home = TempDir::new().unwrap();
    let options = DiskOptions { age_ms: 5_000, segment_bytes: 64 * 1024, ..options(home.path()) };
    let journal = Journal::new(small_ring()).on_disk(options);
    fill(&journal, 0, 4_000);
    let before = journal.disk().unwrap().counts().segments;
    assert!(before > 3);
    journal.record(Event::new(at(60_000), Subject::default(), Cause::BrakeOff));
    journal.keep(at(60_000));
    let counts = journal.disk().unwrap().counts();
    assert_eq!(counts.segments, 1, "{counts:?}");
    assert_eq!(*seqs(&journal, &all()).last().unwrap(), 4_001);
}

#[test]
fn a_disk_that_takes_nothing_costs_the_oldest_unsaved_events_and_they_are_counted() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    // A file where the directory should be.
    fs::write(&options.dir, b"in the way").unwrap();
    let journal = Journal::new(small_ring()).on_disk(options.clone());
    for n in 0..5_000 {
        journal.record(orders(n));
        if n % 500 == 0 {
            journal.keep(at(1_000 + 2_000 * n));
        }
    }
    assert_eq!(kinds(&journal), [] as [&str; 0], "memory has forgotten that it was told");
    let held = journal.counts().records as u64;
    assert!(held < 1_000);
    fs::remove_file(&options.dir).unwrap();
    journal.keep(at(20_000_000));
    let counts = journal.disk().unwrap().counts();
    assert!(counts.failures > 3 && !counts.failing, "{counts:?}");
    assert!(counts.dropped > 4_000, "{counts:?}");
    assert_eq!(kinds(&journal), ["journalDiskRecovered"]);
    journal.keep(at(20_000_100));
    let last = journal.last_seq();
    let kept = seqs(&journal, &all());
    assert_eq!(kept, (counts.dropped + 1..=last).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_is_nearly_full_is_left_to_others() {
    let home = TempDir::new().unwrap();
    let own = DiskOptions { segment_bytes: 64 * 1024, spare_bytes: 0, ..options(home.path()) };
    let journal = Journal::new(small_ring()).on_disk(own.clone());
    fill(&journal, 0, 3_000);
    assert!(journal.disk().unwrap().counts().segments > 2);
    journal.close(at(5_000));
    // As if nearly all of it were used.
    let journal = open(&DiskOptions { spare_bytes: u64::MAX, spare_part: 1, ..own.clone() });
    journal.record(orders(1));
    journal.keep(at(10_000));
    let counts = journal.disk().unwrap().counts();
    assert!(counts.failing && counts.segments == 1, "{counts:?}");
    assert_eq!(kinds(&journal), ["journalDiskFailed"]);
    drop(journal);
    let journal = open(&own);
    let last = journal.record(orders(2));
    journal.keep(at(20_000));
    assert_eq!(seqs(&journal, &all()).last(), Some(&last), "and when there is room it goes on");
}

#[test]
fn failure_is_told_once_until_it_is_over() {
    let home = TempDir::new().unwrap();
    let options = options(home.path());
    fs::write(&options.dir, b"in the way").unwrap();
    let journal = open(&options);
    for round in 0..5 {
        journal.keep(at(10_000 * (round + 1)));
    }
    assert_eq!(kinds(&journal), ["journalDiskFailed"]);
}

#[test]
fn questions_choose_by_every_field_on_disk_as_in_memory() {
    let home = TempDir::new().unwrap();
    let options = DiskOptions { segment_bytes: 64 * 1024, ..options(home.path()) };
    let memory = Journal::default();
    let journal = Journal::new(small_ring()).on_disk(options);
    for n in 0..3_000 {
        memory.record(orders(n));
        journal.record(orders(n));
        if n % 300 == 0 {
            memory.record(Event::new(at(n), Subject::client("10.0.0.9"), Cause::Subscribed));
            journal.record(Event::new(at(n), Subject::client("10.0.0.9"), Cause::Subscribed));
        }
        if n % 100 == 0 {
            journal.keep(at(n));
        }
    }
    journal.keep(at(4_000));
    let text = |text: &str| Some(text.to_owned());
    let base = || Filter { limit: 50, ..Filter::default() };
    let filters = [
        base(),
        Filter { from: Some(1_500), to: Some(1_600), ..base() },
        Filter { kinds: vec!["SUBSCRIBED".into()], ..base() },
        Filter { service: text("G@@stock"), instance: text("10.0.0.3"), ..base() },
        Filter { service: text("stock"), namespace: text("dev"), ..base() },
        Filter { instance: text("10.0.0.3:80"), before: Some(900), ..base() },
        Filter { client: text("10.0.0.9"), ..base() },
        Filter { client: text("1_10.0.0.4_5"), after: Some(100), ..base() },
        Filter { text: text("BEAT 77"), ..base() },
        Filter { service: text("nobody"), ..base() },
    ];
    for filter in filters {
        for oldest_first in [false, true] {
            let filter = Filter { oldest_first, ..filter.clone() };
            let wanted: Vec<u64> = memory.query(&filter).iter().map(|record| record.seq).collect();
            assert_eq!(seqs(&journal, &filter), wanted, "{filter:?}");
        }
    }
}

#[test]
fn pages_follow_one_another_and_work_is_bounded() {
    let home = TempDir::new().unwrap();
    let options = DiskOptions { segment_bytes: 64 * 1024, ..options(home.path()) };
    let journal = Journal::new(small_ring()).on_disk(options);
    fill(&journal, 0, 3_000);
    for oldest_first in [false, true] {
        let mut filter = Filter { service: Some("orders".into()), limit: 97, oldest_first, ..Filter::default() };
        let mut pages = Vec::new();
        loop {
            // Hardly anything may be read in one call: pages are short then, and go on.
            let found = journal.search(&filter, &mut Work::new(70_000, std::time::Duration::from_secs(60)));
            assert!(found.read <= 400_000, "{}", found.read);
            pages.extend(found.records.iter().map(|record| record.seq));
            let Some(next) = found.next else { break };
            if oldest_first {
                filter.after = Some(next);
            } else {
                filter.before = Some(next);
            }
        }
        let mut wanted: Vec<u64> = (1..=3_000).filter(|seq| seq % 2 == 1).collect();
        if !oldest_first {
            wanted.reverse();
        }
        assert!(pages == wanted, "{} of {}", pages.len(), wanted.len());
    }
}

//! Damage on disk: acknowledged bytes must never be missed silently, unacknowledged ones never hinder a start.

use openraft::storage::RaftLogStorage;

use super::*;
use crate::types::Vote;

/// Size of the record of a one-digit `entry`.
fn record_size() -> usize {
    let mut out = Vec::new();
    record::encode(&entry(1), 0, 0, &mut out).unwrap();
    out.len()
}

fn assert_names(refusal: &str, path: &Path) {
    assert!(refusal.contains(path.to_str().unwrap()), "{refusal} does not name {}", path.display());
    assert!(refusal.contains("is damaged") && refusal.contains("Restore the data directory"), "{refusal}");
}

#[tokio::test]
async fn any_flipped_byte_of_an_acknowledged_entry_refuses_the_start() {
    let bench = Bench::with_entries(0..4, 1 << 20).await;
    let length = fs::metadata(bench.segment(0)).unwrap().len() as usize;
    // The padding at the end of the header is the only place without meaning.
    for at in (0..length).filter(|at| !(28..32).contains(at)) {
        let copy = bench.copy();
        flip(&copy.segment(0), at);
        let refusal = copy.refusal();
        if (8..12).contains(&at) && refusal.contains("newer version") {
            continue;
        }
        assert_names(&refusal, &copy.segment(0));
    }
}

#[tokio::test]
async fn any_missing_acknowledged_byte_refuses_the_start() {
    let bench = Bench::with_entries(0..4, 1 << 20).await;
    let length = fs::metadata(bench.segment(0)).unwrap().len();
    for keep in 0..length {
        let copy = bench.copy();
        cut(&copy.segment(0), keep);
        assert_names(&copy.refusal(), &copy.segment(0));
    }
}

#[tokio::test]
async fn zeroed_blocks_refuse_the_start() {
    let bench = Bench::with_entries(0..40, 1 << 20).await;
    let copy = bench.copy();
    let mut bytes = fs::read(copy.segment(0)).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    fs::write(copy.segment(0), bytes).unwrap();
    assert_names(&copy.refusal(), &copy.segment(0));
}

#[tokio::test]
async fn a_torn_tail_is_cut_whatever_it_holds() {
    let bench = Bench::with_entries(0..4, 1 << 20).await;
    let sealed = fs::read(bench.segment(0)).unwrap();
    let seal = u32::from_le_bytes([sealed[12], sealed[13], sealed[14], sealed[15]]);
    let mut torn = Vec::new();
    record::encode(&entry(4), seal, 4, &mut torn).unwrap();
    let mut tails: Vec<Vec<u8>> = (1..torn.len()).map(|length| torn[..length].to_vec()).collect();
    tails.push(vec![0; 5_000]);
    tails.push(vec![0xff; 3]);
    let mut flipped = torn.clone();
    flipped[50] ^= 1;
    tails.push(flipped);
    for tail in tails {
        let copy = bench.copy();
        extend(&copy.segment(0), &tail);
        let mut log = copy.open().unwrap();
        assert_eq!(readable(&log).await, [0, 1, 2, 3]);
        let file = copy.segment(0).display().to_string();
        assert_eq!(copy.causes(), [Cause::LogTailCut { file, bytes: tail.len() as u64 }]);
        append(&mut log, [entry(4)]).await.unwrap();
        log.stop().await.unwrap();
        assert_eq!(readable(&copy.open().unwrap()).await, [0, 1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn a_whole_entry_behind_the_watermark_is_kept() {
    // The process died after the flush and before the note.
    let bench = Bench::with_entries(0..4, 1 << 20).await;
    let longer = bench.copy();
    let mut log = longer.open().unwrap();
    append(&mut log, [entry(4)]).await.unwrap();
    log.stop().await.unwrap();
    fs::copy(longer.segment(0), bench.segment(0)).unwrap();
    let log = bench.open().unwrap();
    assert_eq!(readable(&log).await, [0, 1, 2, 3, 4]);
    assert_eq!(bench.causes(), []);
}

#[tokio::test]
async fn after_a_power_loss_later_entries_prove_that_earlier_ones_were_acknowledged() {
    // The watermark is old, because nobody waited for it to reach the disk.
    let bench = Bench::with_entries(0..2, 1 << 20).await;
    let longer = bench.copy();
    let mut log = longer.open().unwrap();
    for index in 2..6 {
        append(&mut log, [entry(index)]).await.unwrap();
    }
    log.stop().await.unwrap();
    fs::copy(longer.segment(0), bench.segment(0)).unwrap();
    let third = segment::HEADER + 3 * record_size();
    for damaged in third..third + record_size() {
        let copy = bench.copy();
        flip(&copy.segment(0), damaged);
        assert_names(&copy.refusal(), &copy.segment(0));
    }
    // Nothing proves that the last one was.
    let last = segment::HEADER + 5 * record_size();
    let copy = bench.copy();
    flip(&copy.segment(0), last + 10);
    assert_eq!(readable(&copy.open().unwrap()).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn entries_of_one_torn_append_are_cut_together() {
    let bench = Bench::with_entries(0..2, 1 << 20).await;
    let longer = bench.copy();
    let mut log = longer.open().unwrap();
    append(&mut log, (2..6).map(entry)).await.unwrap();
    log.stop().await.unwrap();
    fs::copy(longer.segment(0), bench.segment(0)).unwrap();
    // Pages reach the disk in any order: the first of the four is broken, the others are whole.
    flip(&bench.segment(0), segment::HEADER + 2 * record_size() + 10);
    assert_eq!(readable(&bench.open().unwrap()).await, [0, 1]);
}

#[tokio::test]
async fn a_missing_segment_refuses_the_start() {
    let bench = Bench::with_entries(0..30, 600).await;
    let segments = bench.segments();
    assert!(segments.len() >= 4);
    for gone in &segments {
        let copy = bench.copy();
        fs::remove_file(copy.segment(*gone)).unwrap();
        let refusal = copy.refusal();
        assert!(refusal.contains("missing") && refusal.contains(&format!("entries {gone} to")), "{refusal}");
    }
    let copy = bench.copy();
    for first in &segments {
        fs::remove_file(copy.segment(*first)).unwrap();
    }
    assert!(copy.refusal().contains("entries 0 to 29 were acknowledged"));
}

#[tokio::test]
async fn a_segment_under_the_wrong_name_refuses_the_start() {
    let bench = Bench::with_entries(0..4, 1 << 20).await;
    fs::rename(bench.segment(0), bench.segment(1)).unwrap();
    assert!(bench.refusal().contains("entries 0 to 0 before this file are missing"));
    let bench = Bench::with_entries(0..30, 600).await;
    fs::copy(bench.segment(0), bench.segment(bench.segments()[2])).unwrap();
    assert!(bench.refusal().contains("does not match its name"));
}

#[tokio::test]
async fn lost_or_damaged_small_files_refuse_the_start() {
    let bench = Bench::with_entries(0..4, 1 << 20).await;
    for name in [files::META, files::WATERMARK] {
        let copy = bench.copy();
        fs::remove_file(copy.file(name)).unwrap();
        let refusal = copy.refusal();
        assert_names(&refusal, &copy.file(name));
        assert!(refusal.contains("missing"));
        let copy = bench.copy();
        let size = fs::metadata(copy.file(name)).unwrap().len();
        fs::write(copy.file(name), vec![0; size as usize]).unwrap();
        assert_names(&copy.refusal(), &copy.file(name));
        let copy = bench.copy();
        cut(&copy.file(name), 0);
        assert_names(&copy.refusal(), &copy.file(name));
    }
}

#[tokio::test]
async fn one_damaged_copy_of_the_vote_is_repaired() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let vote = Vote::new_committed(5, 1);
    log.save_vote(&vote).await.unwrap();
    log.stop().await.unwrap();
    for at in [10, 40, 4096 + 10, 4096 + 40] {
        let copy = bench.copy();
        flip(&copy.file(files::META), at);
        let mut log = copy.open().unwrap();
        assert_eq!(log.read_vote().await.unwrap(), Some(vote));
    }
}

#[tokio::test]
async fn leftovers_of_a_first_start_that_died_do_not_hinder_the_next() {
    let bench = Bench::new();
    bench.open().unwrap().stop().await.unwrap();
    fs::remove_file(bench.file(files::WATERMARK)).unwrap();
    fs::write(bench.file("watermark.tmp"), b"half").unwrap();
    fs::write(bench.file("00000000000000000000.tmp"), b"half").unwrap();
    let mut log = bench.open().unwrap();
    append(&mut log, [entry(0)]).await.unwrap();
    assert!(!bench.file("watermark.tmp").exists());
}

#[tokio::test]
async fn the_log_of_another_node_is_refused() {
    let bench = Bench::with_entries(0..2, 1 << 20).await;
    let refusal = Bench { node: 2, ..bench }.refusal();
    assert!(refusal.contains("belongs to node 1, this is node 2"), "{refusal}");
}

#[tokio::test]
async fn database_and_log_must_be_of_one_history() {
    let bench = Bench::with_entries(0..10, 1 << 20).await;
    let refusal = |applied: Option<LogId>| Bench { applied: applied.map(Into::into), ..bench.copy() }.refusal();
    assert!(refusal(Some(id(1, 10))).contains("the database holds entry 10, the log ends before entry 10"));
    assert!(refusal(Some(id(2, 5))).contains("entry 5 of the log is not the one the database applied"));
    Bench { applied: Some(id(1, 9).into()), ..bench.copy() }.open().unwrap();

    let mut log = bench.open().unwrap();
    log.purge(id(1, 6)).await.unwrap();
    log.stop().await.unwrap();
    let refusal = |applied: Option<LogId>| Bench { applied: applied.map(Into::into), ..bench.copy() }.refusal();
    assert!(refusal(None).contains("the database is empty, but the log begins behind entry 6"));
    assert!(refusal(Some(id(1, 5))).contains("the database ends at entry 5, the log begins behind entry 6"));
    assert!(refusal(Some(id(3, 6))).contains("not the one"));
    Bench { applied: Some(id(1, 6).into()), ..bench.copy() }.open().unwrap();

    let empty = Bench { applied: Some(id(1, 5).into()), ..Bench::new() };
    assert!(empty.refusal().contains("the log is missing although the database holds entries of it"));
}

#[tokio::test]
async fn accepting_loss_goes_on_before_the_damage_and_keeps_the_damaged_files() {
    let bench = Bench { recovery: Recovery::AcceptLoss, ..Bench::with_entries(0..30, 600).await };
    let second = bench.segments()[1];
    flip(&bench.segment(second), segment::HEADER + record_size() + 10);
    let mut log = bench.open().unwrap();
    assert_eq!(readable(&log).await, (0..=second).collect::<Vec<_>>());
    assert!(bench.file(&format!("{}.damaged", segment::file_name(second))).exists());
    append(&mut log, [entry(second + 1)]).await.unwrap();
    log.stop().await.unwrap();
    assert!(matches!(bench.causes().first(), Some(Cause::WriteFailed { reason }) if reason.contains("given up")));
    // The next start needs no permission.
    let strict = Bench { recovery: Recovery::Strict, ..bench };
    assert_eq!(readable(&strict.open().unwrap()).await, (0..second + 2).collect::<Vec<_>>());
}

#[tokio::test]
async fn accepting_loss_goes_on_behind_the_database() {
    let applied = Some(Position::from(id(4, 17)));
    let cases: [fn(&Bench); 3] = [
        |bench| bench.segments().iter().for_each(|first| fs::remove_file(bench.segment(*first)).unwrap()),
        |bench| fs::read_dir(bench.path()).unwrap().for_each(|file| fs::remove_file(file.unwrap().path()).unwrap()),
        |bench| flip(&bench.segment(0), 2),
    ];
    for case in cases {
        let bench = Bench { recovery: Recovery::AcceptLoss, applied, ..Bench::with_entries(0..10, 600).await };
        case(&bench);
        let mut log = bench.open().unwrap();
        assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(id(4, 17)));
        let vote = log.read_vote().await.unwrap().unwrap();
        assert_eq!(vote.leader_id().term, 4, "must not vote in a term that may have been used");
        append(&mut log, [entry(18)]).await.unwrap();
        log.stop().await.unwrap();
        let strict = Bench { recovery: Recovery::Strict, ..bench };
        assert_eq!(readable(&strict.open().unwrap()).await, [18]);
    }
}

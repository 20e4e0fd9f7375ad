use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use nacre_config::{ConfigCommand, Configs, Publish};
use nacre_model::{ConfigKey, Now};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::{Applied, KvOp, KvRow, Store, StoreOptions, WriteBatch};

/// A store that is fed with configs.
struct Fed {
    dir: TempDir,
    store: Store,
    configs: Configs,
    index: u64,
}

fn database(dir: &TempDir) -> PathBuf {
    dir.path().join("n.db")
}

impl Fed {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(StoreOptions::new(database(&dir))).unwrap();
        Self { dir, store, configs: Configs::default(), index: 0 }
    }

    /// Writes one config; waits until the database has it.
    fn publish(&mut self, name: &str, content: &str) {
        self.index += 1;
        let publish = Publish::new(ConfigKey::new("", "G", name), content);
        let now = Now { mono: 0, wall: 1_795_624_316_624 };
        let outcome = self.configs.apply(ConfigCommand::Publish(Box::new(publish)), now);
        let applied = Some(Applied { index: self.index, term: 1, leader: 1 });
        self.store.write(WriteBatch { applied, ops: outcome.ops, ..WriteBatch::default() }).unwrap();
        self.store.barrier().unwrap();
    }

    fn close(self) -> TempDir {
        self.store.close().unwrap();
        self.dir
    }
}

/// The files as they are, as a process that is killed leaves them.
fn copy(dir: &TempDir) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn contents(dir: &TempDir) -> Result<Vec<(String, Arc<str>)>, StoreError> {
    let store = Store::open(StoreOptions::new(database(dir)))?;
    let mut configs: Vec<_> = store
        .load()?
        .config
        .configs
        .into_iter()
        .map(|(key, config)| (key.to_string(), config.content.clone()))
        .collect();
    configs.sort();
    store.close()?;
    Ok(configs)
}

fn refusal(dir: &TempDir) -> String {
    match Store::open(StoreOptions::new(database(dir))) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

fn filled() -> TempDir {
    let mut fed = Fed::new();
    for number in 0..40 {
        fed.publish(&format!("c{number}"), &format!("{number} ").repeat(1_000));
    }
    fed.close()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit_anywhere_in_the_database_refuses_the_start_by_name() {
    let dir = filled();
    let (whole, length) = (contents(&dir).unwrap(), fs::metadata(database(&dir)).unwrap().len() as usize);
    for at in (0..length).step_by(4_096 / 3) {
        let damaged = copy(&dir);
        flip(&database(&damaged), at);
        let said = refusal(&damaged);
        let page = format!("1 of {} pages are not what was written: {} ", length / 4_096, at / 4_096 + 1);
        assert!(said.contains(database(&damaged).to_str().unwrap()) && said.contains(&page), "byte {at}: {said}");
        assert!(said.contains("backup") && said.contains("n.db-sums"), "{said}");
    }
    assert_eq!(contents(&dir).unwrap(), whole);
}

#[test]
fn a_shorter_or_longer_database_refuses_the_start() {
    let dir = filled();
    let length = fs::metadata(database(&dir)).unwrap().len();
    for new in [length - 1, length - 4_096, length - 5 * 4_096, 4_096, 0, length + 1, length + 4_096] {
        let damaged = copy(&dir);
        fs::File::options().write(true).open(database(&damaged)).unwrap().set_len(new).unwrap();
        assert!(refusal(&damaged).contains("damaged"), "{new} of {length}");
    }
}

#[test]
fn flipped_sums_refuse_the_start_and_without_them_the_database_is_taken_as_it_is() {
    let dir = filled();
    let (whole, sums) = (contents(&dir).unwrap(), dir.path().join("n.db-sums"));
    for at in 0..fs::metadata(&sums).unwrap().len() as usize {
        let damaged = copy(&dir);
        flip(&damaged.path().join("n.db-sums"), at);
        let said = refusal(&damaged);
        assert!(said.contains("n.db-sums") && said.contains("delete this file"), "byte {at}: {said}");
    }
    fs::remove_file(&sums).unwrap();
    assert_eq!(contents(&dir).unwrap(), whole);
    assert!(sums.exists(), "and summed from now on");
}

#[test]
fn a_database_that_was_changed_while_nobody_ran_is_taken_when_its_sums_are_deleted() {
    let dir = filled();
    Connection::open(database(&dir)).unwrap().execute("UPDATE config_info SET content = 'by hand'", []).unwrap();
    assert!(refusal(&dir).contains("If another program changed this database while nacre was down, delete"));
    fs::remove_file(dir.path().join("n.db-sums")).unwrap();
    assert!(contents(&dir).unwrap().iter().all(|(_, content)| &**content == "by hand"));
    assert!(contents(&dir).is_ok());
}

/// Every state of the files between two calls is one that a kill may leave.
#[test]
fn a_kill_at_any_time_leaves_files_that_are_opened() {
    let mut fed = Fed::new();
    for number in 0..60 {
        // Rows come, grow, shrink; the database grows meanwhile.
        fed.publish(&format!("c{}", number % 7), &"x".repeat(number * 977 % 30_000));
        if number % 9 == 0 {
            fed.store.checkpoint().unwrap();
        }
        if number % 4 == 0 {
            let killed = copy(&fed.dir);
            let expected = fed.store.load().unwrap().config.configs.len();
            assert_eq!(contents(&killed).unwrap().len(), expected, "after {number}");
            assert_eq!(contents(&killed).unwrap().len(), expected, "and once more");
        }
    }
}

/// Marks of an interrupted move: what was about to change does not count, everything else does.
#[test]
fn pages_that_were_about_to_change_do_not_count_others_do() {
    let mut fed = Fed::new();
    fed.publish("c", &"1".repeat(50_000));
    fed.store.checkpoint().unwrap();
    fed.publish("c", "2");
    // The kill comes after the note and in the middle of the move.
    let killed = copy(&fed.dir);
    let mut sums = Sums::verify(&database(&killed)).unwrap();
    sums.held.open = wal::frames(&sums.wal).unwrap().pages;
    assert!(!sums.held.open.is_empty());
    sums.write().unwrap();
    let page = *sums.held.open.first().unwrap() as usize;
    flip(&database(&killed), (page - 1) * 4_096 + 100);
    assert_eq!(contents(&copy(&killed)).unwrap()[0].1.as_ref(), "2", "the WAL has the page");
    let other = (1..).find(|page| !sums.held.open.contains(page)).unwrap() as usize;
    flip(&database(&killed), (other - 1) * 4_096 + 100);
    assert!(refusal(&killed).contains("1 of "));
}

#[test]
fn rows_changed_by_hand_while_it_runs_are_summed_whoever_moves_the_wal() {
    for moves in [false, true] {
        let mut fed = Fed::new();
        for round in 0..6 {
            fed.publish("ours", &format!("{round}").repeat(3_000));
            let other = Connection::open(database(&fed.dir)).unwrap();
            let sql = "INSERT INTO config_info (data_id, group_id, content) VALUES (?1, 'G', ?2)";
            other.execute(sql, (format!("theirs-{round}"), "z".repeat(9_000))).unwrap();
            if moves {
                other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
                other.execute("UPDATE config_info SET c_desc = 'again'", []).unwrap();
            }
            drop(other);
            if round % 2 == 1 {
                fed.store.checkpoint().unwrap();
            }
            let killed = copy(&fed.dir);
            // Between a move by somebody else and our next look the sums are behind: the start says so, and how to go on.
            if !moves {
                assert_eq!(contents(&killed).unwrap().len(), round + 2);
            }
        }
        let dir = fed.close();
        assert_eq!(contents(&dir).unwrap().len(), 7, "moved by others: {moves}");
        assert_eq!(contents(&dir).unwrap().len(), 7);
    }
}

/// Somebody looks into the database of a server that was killed: SQLite moves the WAL when the last one leaves.
#[test]
fn a_killed_database_that_another_program_opened_and_closed_is_opened() {
    let mut fed = Fed::new();
    fed.publish("c", "1");
    fed.store.checkpoint().unwrap();
    fed.publish("c", "2");
    let killed = copy(&fed.dir);
    let looked: i64 = Connection::open(database(&killed))
        .unwrap()
        .query_row("SELECT count(*) FROM config_info", [], |row| row.get(0))
        .unwrap();
    assert_eq!(looked, 1);
    assert!(!killed.path().join("n.db-wal").exists());
    assert_eq!(contents(&killed).unwrap()[0].1.as_ref(), "2");
    flip(&database(&killed), 5_000);
    assert!(refusal(&killed).contains("damaged"), "and is watched again");
}

#[test]
fn a_long_wal_is_moved_without_anybody_asking() {
    let mut fed = Fed::new();
    let big = "w".repeat(4 << 20);
    for number in 0..6 {
        fed.publish(&format!("c{number}"), &format!("{number}{big}"));
    }
    let report = fed.store.report();
    assert!(report.file_bytes > 16 << 20, "{report:?}");
    let dir = fed.close();
    assert_eq!(contents(&dir).unwrap().len(), 6);
}

#[test]
fn a_writer_that_gave_up_leaves_the_wal_and_sums_that_fit() {
    let mut fed = Fed::new();
    fed.publish("a", "1");
    fed.store.on_writer(|writing| Ok(writing.connection.execute_batch("DROP TABLE nacre_kv")?)).unwrap();
    let row = KvRow { kind: "k".into(), key: "k".into(), value: vec![7] };
    fed.store.write(WriteBatch { kv: vec![KvOp::Put(row)], ..WriteBatch::default() }).unwrap();
    let Fed { dir, store, .. } = fed;
    assert!(matches!(store.close(), Err(StoreError::Poisoned(_))));
    drop(store);
    assert!(beside(&database(&dir), "-wal").exists(), "SQLite moved the WAL behind our back");
    Sums::verify(&database(&dir)).unwrap();
}

/// The locks that this process holds on a file, as the kernel tells.
fn locks_on(file: &Path) -> usize {
    let inode = format!(":{} ", fs::metadata(file).unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().filter(|line| line.contains("POSIX") && line.contains(&inode)).count()
}

#[test]
fn looking_at_the_pages_takes_no_lock_of_sqlite_away() {
    let mut fed = Fed::new();
    let file = database(&fed.dir);
    assert_eq!(locks_on(&file), 1, "another program would take the database for abandoned after the first sums");
    fed.publish("a", "1");
    fed.store.checkpoint().unwrap();
    assert_eq!(locks_on(&file), 1, "another program would take the database for abandoned after a checkpoint");
    fed.close();
}

#[test]
fn the_form_of_the_file_is_frozen() {
    let held = Held { page_size: 4_096, running: true, pages: vec![1, 0xdead_beef], open: [2, 7].into() };
    let bytes = held.encode();
    assert_eq!(Held::decode(&bytes), Some(held));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "4e435253554d5301001000000102000000 01000000efbeadde 02000000 0200000007000000".replace(' ', "")
            + &format!("{:08x}", crc32fast::hash(&bytes[..bytes.len() - 4]).swap_bytes())
    );
    assert_eq!(Held::decode(b""), None);
}

//! The database as callers see it: what was written comes back, in order, whatever happened in between.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Rig, key};
use nacre_config::{
    CapacityScope, ConfigCommand, ConfigMeta, Configs, GrayTarget, NamespaceForm, Publish, SetCapacity, Source,
};
use nacre_model::ConfigKey;
use nacre_store::{Applied, DirLock, FIRST_ID, KvOp, KvRow, Store, StoreError, StoreOptions, WriteBatch};
use proptest::prelude::*;
use tempfile::TempDir;

fn full_publish(key: ConfigKey, content: &str) -> Publish {
    let mut publish = Publish::new(key, content);
    publish.meta = ConfigMeta {
        config_type: Some("yaml".into()),
        app_name: "app".into(),
        desc: Some("désc 描述".into()),
        r#use: Some("use".into()),
        effect: Some("effect".into()),
        schema: Some("{}".into()),
        tags: vec!["b".into(), "a".into()],
    };
    publish.replace_tags = true;
    publish.encrypted_data_key = "KEY".into();
    publish.source = Source { user: Some("nacos".into()), ip: "10.0.0.1".into() };
    publish
}

#[test]
fn every_field_comes_back_after_a_restart() {
    let mut rig = Rig::new();
    rig.apply(ConfigCommand::Publish(Box::new(full_publish(ConfigKey::new("dev", "G", "d"), "a: 1"))));
    let mut gray = full_publish(ConfigKey::new("dev", "G", "d"), "a: 2");
    gray.gray = Some(GrayTarget::Beta { ips: "1.1.1.1, 2.2.2.2".into() });
    rig.apply(ConfigCommand::Publish(Box::new(gray)));
    let form = NamespaceForm { id: "dev".into(), name: "Dev".into(), desc: None };
    rig.apply(ConfigCommand::CreateNamespace(form));
    rig.apply(ConfigCommand::SetCapacity(SetCapacity {
        scope: CapacityScope::Tenant("dev".into()),
        quota: Some(-5),
        max_size: Some(7),
        max_aggr_count: None,
        max_aggr_size: None,
        defaults: Default::default(),
    }));
    let before = rig.configs.get(&ConfigKey::new("dev", "G", "d")).unwrap();
    let capacity = rig.configs.capacity(&CapacityScope::Tenant("dev".into()), &Default::default());
    let namespaces = rig.configs.namespaces();
    let rig = rig.restart();
    assert_eq!(rig.configs.get(&ConfigKey::new("dev", "G", "d")).unwrap(), before);
    assert_eq!(rig.configs.capacity(&CapacityScope::Tenant("dev".into()), &Default::default()), capacity);
    assert_eq!(rig.configs.namespaces(), namespaces);
    assert!(capacity.is_some_and(|view| (view.quota, view.max_size) == (-5, 7)));
}

/// Cases C086 and C090.
#[test]
fn contents_keep_their_bytes() {
    let mut rig = Rig::new();
    let texts = [
        "\u{feff}a: 1\r\nb: \u{85}🦀 配置  \r\n".to_owned(),
        "nul \0 inside".to_owned(),
        "x".repeat(2_000_000),
        "配".repeat(32_767),
        "é".repeat(65_536),
        "'; DROP TABLE config_info; --".to_owned(),
    ];
    for (at, text) in texts.iter().enumerate() {
        rig.publish(&key(&format!("d{at}")), text);
        rig.publish(&key(&format!("d{at}")), "new");
    }
    let rig = rig.restart();
    for (at, text) in texts.iter().enumerate() {
        let key = key(&format!("d{at}"));
        let query =
            nacre_store::HistoryPageQuery { key, page: nacre_config::PageRequest { page_no: 1, page_size: 10 } };
        let page = rig.store.history_page(&query).unwrap();
        assert_eq!(page.total_count, 2);
        let replaced = rig.store.history(page.items[0].nid).unwrap().unwrap();
        assert_eq!(&*replaced.content, text.as_str());
        assert_eq!(replaced.md5, nacre_config::md5(text));
    }
}

/// Case C034: names never become paths.
#[test]
fn data_ids_that_are_no_file_names_survive_a_restart() {
    let mut rig = Rig::new();
    let long = "x".repeat(255);
    let ids = ["DemoService:1.0.0::provider:x", "con", "a.b.", "..", ".", "NUL", "配置", &long];
    for id in ids {
        rig.publish(&key(id), id);
    }
    let rig = rig.restart();
    for id in ids {
        let item = rig.configs.get(&key(id)).unwrap();
        assert_eq!(&*item.formal.as_ref().unwrap().content, id);
    }
    let mut files: Vec<String> = std::fs::read_dir(rig.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert!(files.iter().all(|file| file.starts_with("nacre.db")), "{files:?}");
}

#[test]
fn ids_of_removed_rows_are_not_given_again() {
    let mut rig = Rig::new();
    rig.publish(&key("a"), "1");
    rig.publish(&key("b"), "1");
    let id_of = |rig: &Rig, name: &str| rig.configs.get(&key(name)).unwrap().formal.as_ref().unwrap().id;
    let last = id_of(&rig, "b");
    rig.remove(&key("b"));
    let mut rig = rig.restart();
    rig.publish(&key("c"), "1");
    assert!(id_of(&rig, "c") > last);
}

#[test]
fn a_position_that_was_written_is_not_written_again() {
    let rig = Rig::new();
    let put = |value: &str| KvOp::Put(KvRow { kind: "k".into(), key: "x".into(), value: value.into() });
    let batch = |index, value| WriteBatch {
        applied: Some(Applied { index, term: 2, leader: 3 }),
        kv: vec![put(value)],
        meta: vec![("membership".to_owned(), value.into())],
        ..WriteBatch::default()
    };
    rig.store.write(batch(7, "seven")).unwrap();
    rig.store.write(batch(7, "again")).unwrap();
    rig.store.write(batch(6, "old")).unwrap();
    let loaded = rig.store.load().unwrap();
    assert_eq!(loaded.applied, Some(Applied { index: 7, term: 2, leader: 3 }));
    assert_eq!(loaded.kv, [KvRow { kind: "k".into(), key: "x".into(), value: b"seven".to_vec() }]);
    assert_eq!(loaded.meta, [("membership".to_owned(), b"seven".to_vec())]);
    let delete = KvOp::Delete { kind: "k".into(), key: "x".into() };
    rig.store.write(WriteBatch { kv: vec![delete], ..WriteBatch::default() }).unwrap();
    assert!(rig.store.load().unwrap().kv.is_empty());
}

/// Twenty publishes of one key in one transaction: more than a statement takes, and not a multiple of it.
fn publish_twenty_at_once(rig: &mut Rig) {
    let mut ops = Vec::new();
    for n in 0..20 {
        let publish = Publish::new(key("d"), n.to_string());
        ops.extend(rig.configs.apply(ConfigCommand::Publish(Box::new(publish)), rig.now.plus(n)).ops);
    }
    rig.index += 1;
    let applied = Some(Applied { index: rig.index, term: 1, leader: 1 });
    rig.store.write(WriteBatch { applied, ops, ..WriteBatch::default() }).unwrap();
}

/// An insert holds the new content, an update what it replaced.
fn assert_history_of_twenty(rig: &Rig) {
    for nid in 1..=20u64 {
        let row = rig.store.history(FIRST_ID + nid).unwrap().unwrap_or_else(|| panic!("no row {nid}"));
        let content = nid.saturating_sub(2).to_string();
        assert_eq!((&*row.content, &row.key), (&*content, &key("d")), "row {nid}");
        assert_eq!(row.modified, rig.now.plus(nid - 1).wall, "row {nid}");
    }
    assert_eq!(rig.store.history(FIRST_ID + 21).unwrap(), None);
}

#[test]
fn history_that_shares_a_statement_is_whole_and_in_order() {
    let mut rig = Rig::new();
    publish_twenty_at_once(&mut rig);
    assert_history_of_twenty(&rig);
    let rig = rig.restart();
    assert_history_of_twenty(&rig);
    assert_eq!(rig.configs.last_ids().history, FIRST_ID + 20);
}

#[test]
fn rows_of_the_history_that_somebody_inserted_make_way() {
    let mut rig = Rig::new();
    rig.store.barrier().unwrap();
    let strange = "INSERT INTO his_config_info (id, nid, data_id, group_id, content) VALUES (9, 5, 'x', 'y', 'z'),
                   (9, 18, 'x', 'y', 'z')";
    rusqlite::Connection::open(rig.path()).unwrap().execute_batch(strange).unwrap();
    publish_twenty_at_once(&mut rig);
    assert_history_of_twenty(&rig);
}

#[test]
fn a_purge_drops_what_was_added_before_it_and_nothing_later() {
    let mut rig = Rig::new();
    rig.publish(&key("a"), "1");
    let mut ops = Vec::new();
    let wall = rig.now.wall;
    for (at, data_id) in ["b", "c"].into_iter().enumerate() {
        let publish = Publish::new(key(data_id), "1");
        ops.extend(rig.configs.apply(ConfigCommand::Publish(Box::new(publish)), rig.now.plus(10)).ops);
        if at == 0 {
            ops.push(nacre_config::StoreOp::PurgeHistory { before: wall + 1_000 });
        }
    }
    rig.store.write(WriteBatch { ops, ..WriteBatch::default() }).unwrap();
    let left: Vec<bool> = (1..=3).map(|nid| rig.store.history(FIRST_ID + nid).unwrap().is_some()).collect();
    assert_eq!(left, [false, false, true]);
}

/// A power cut may take the end of the WAL; what is left is a prefix of the history with its position.
#[test]
fn a_torn_wal_opens_with_an_earlier_position() {
    let mut rig = Rig::new();
    rig.store.checkpoint().unwrap();
    for i in 1..=20 {
        rig.publish(&key("d"), &format!("v{i}"));
        rig.store.barrier().unwrap();
    }
    let wal = rig.dir.path().join("nacre.db-wal");
    let length = std::fs::metadata(&wal).unwrap().len();
    assert!(length > 0);
    let mut positions = std::collections::BTreeSet::new();
    for part in 0..=10 {
        let copy = TempDir::new().unwrap();
        std::fs::copy(rig.path(), copy.path().join("nacre.db")).unwrap();
        let mut bytes = std::fs::read(&wal).unwrap();
        bytes.truncate((length * part / 10) as usize);
        if part % 2 == 1 {
            // Garbage instead of a clean cut.
            bytes.extend([0xA5; 5_000]);
        }
        std::fs::write(copy.path().join("nacre.db-wal"), bytes).unwrap();
        let store = Store::open(StoreOptions::new(copy.path().join("nacre.db"))).unwrap();
        let loaded = store.load().unwrap();
        let index = loaded.applied.map_or(0, |applied| applied.index);
        positions.insert(index);
        let configs = Configs::new(loaded.config);
        let content = configs.get(&key("d")).and_then(|item| item.formal.clone()).map(|formal| formal.content.clone());
        let expected: Option<Arc<str>> = (index > 0).then(|| format!("v{index}").into());
        assert_eq!(content, expected, "the position and the rows belong together");
    }
    assert!(positions.len() > 3, "{positions:?}");
    assert_eq!(positions.last(), Some(&20));
}

#[test]
fn a_snapshot_holds_a_moment_and_restores_it() {
    let mut rig = Rig::new();
    rig.publish(&key("a"), "1");
    rig.publish(&key("b"), "1");
    rig.remove(&key("b"));
    let file = rig.dir.path().join("snapshot.db");
    let position = rig.store.snapshot_to(&file).unwrap().applied;
    assert_eq!(position.map(|applied| applied.index), Some(3));
    rig.publish(&key("a"), "2");
    rig.publish(&key("c"), "1");
    rig.store.restore_from(&file).unwrap();
    let loaded = rig.store.load().unwrap();
    assert_eq!(loaded.applied, position);
    assert_eq!(loaded.config.last_ids.config, FIRST_ID + 2, "counters are part of it");
    let changes = rig.configs.restore(loaded.config);
    assert_eq!(changes.iter().map(|change| &*change.key.data_id).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(rig.configs.len(), 1);
    // The log goes on after the snapshot's position, on this store and after a restart.
    rig.index = 3;
    rig.publish(&key("d"), "1");
    let rig = rig.restart();
    assert_eq!(rig.configs.len(), 2);
}

#[test]
fn a_damaged_or_foreign_snapshot_changes_nothing() {
    let mut rig = Rig::new();
    rig.publish(&key("a"), "1");
    let file = rig.dir.path().join("bad.db");
    std::fs::write(&file, "this is no database, and it is long enough to look at".repeat(50)).unwrap();
    assert!(matches!(rig.store.restore_from(&file), Err(StoreError::Damaged { .. })));
    std::fs::write(&file, "").unwrap();
    assert!(matches!(rig.store.restore_from(&file), Err(StoreError::Damaged { .. })));
    assert!(rig.store.restore_from(&rig.dir.path().join("missing.db")).is_err());
    assert_eq!(rig.store.load().unwrap().config.configs.len(), 1);
}

/// SQLite has other words than "corrupt" for some bytes of the header: the file is named all the same.
#[test]
fn a_snapshot_with_any_wrong_byte_in_its_header_is_refused_by_name_or_taken() {
    let mut rig = Rig::new();
    rig.publish(&key("a"), "1");
    let file = rig.dir.path().join("received.snapshot");
    rig.store.snapshot_to(&file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut refused = 0;
    for at in 0..100 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        std::fs::write(&file, bytes).unwrap();
        if let Err(error) = rig.store.restore_from(&file) {
            assert!(error.to_string().contains("received.snapshot"), "byte {at}: {error}");
            refused += 1;
        }
        assert_eq!(rig.store.load().unwrap().config.configs.len(), 1, "byte {at}");
    }
    assert!(refused > 20, "{refused}");
    // The encoding of all texts is one number there, 1 for UTF-8; 4 and more are taken for it until they are in place.
    for encoding in [[0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 4], [1, 0, 0, 1], [0xe4, 0x39, 0, 0]] {
        let mut bytes = whole.clone();
        bytes[56..60].copy_from_slice(&encoding);
        std::fs::write(&file, bytes).unwrap();
        let error = rig.store.restore_from(&file).unwrap_err().to_string();
        assert!(error.contains("received.snapshot"), "{encoding:?}: {error}");
        assert_eq!(rig.store.load().unwrap().config.configs.len(), 1, "{encoding:?}");
    }
    rig.publish(&key("b"), "2");
    assert_eq!(rig.store.load().unwrap().config.configs.len(), 2, "writes go on");
}

/// A whole database that no step to this format can be done with: known only by trying, which must not happen in place.
#[test]
fn a_snapshot_that_cannot_be_brought_to_this_format_or_loaded_changes_nothing() {
    let mut rig = Rig::new();
    rig.publish(&key("a"), "1");
    let file = rig.dir.path().join("received.snapshot");
    let spoil = [
        ("a table of this format is missing", "DROP TABLE config_info_gray"),
        ("its name is taken by another thing", "DROP TABLE nacre_kv; CREATE VIEW nacre_kv AS SELECT 1 AS kind"),
        ("a column is missing", "ALTER TABLE config_info RENAME COLUMN md5 TO sum"),
    ];
    for (what, sql) in spoil {
        let _ = std::fs::remove_file(&file);
        rig.store.snapshot_to(&file).unwrap();
        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch(sql).unwrap();
        drop(other);
        let error = rig.store.restore_from(&file).expect_err(what).to_string();
        assert!(error.contains("received.snapshot"), "{what}: {error}");
        let loaded = rig.store.load().unwrap();
        assert_eq!(loaded.config.configs.len(), 1, "{what}");
        assert_eq!(loaded.applied.map(|applied| applied.index), Some(rig.index), "{what}");
        assert!(!rig.dir.path().join("nacos.db.received").exists(), "{what}: the copy is removed");
    }
    rig.publish(&key("b"), "2");
    let rig = rig.restart();
    assert_eq!(rig.configs.len(), 2, "writes go on");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever file is offered as a snapshot: it is taken whole, or nothing changes.
    #[test]
    fn hostile_snapshot_files_are_taken_whole_or_not_at_all(cut in 0usize..100, flips in proptest::collection::vec((0usize..100_000, any::<u8>()), 0..6)) {
        let mut rig = Rig::new();
        rig.publish(&key("a"), "before");
        let file = rig.dir.path().join("snapshot.db");
        rig.store.snapshot_to(&file).unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.truncate(bytes.len() * (100 - cut) / 100);
        for (at, value) in flips {
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at % length) {
                *byte = value;
            }
        }
        std::fs::write(&file, bytes).unwrap();
        rig.publish(&key("b"), "later");
        match rig.store.restore_from(&file) {
            Ok(()) => {
                let _ = rig.store.load();
            }
            Err(_) => {
                prop_assert_eq!(rig.store.poison(), None);
                prop_assert_eq!(rig.store.load().unwrap().config.configs.len(), 2);
                rig.publish(&key("c"), "goes on");
                rig.store.barrier().unwrap();
            }
        }
    }
}

#[test]
fn a_damaged_database_is_refused_with_its_path() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("nacre.db");
    std::fs::write(&path, "garbage ".repeat(1_000)).unwrap();
    let error = Store::open(StoreOptions::new(&path)).err().unwrap().to_string();
    assert!(error.contains("nacre.db") && error.contains("damaged"), "{error}");
}

#[test]
fn a_database_that_cannot_be_opened_is_named_with_the_reason() {
    let dir = TempDir::new().unwrap();
    let error = Store::open(StoreOptions::new(dir.path())).err().unwrap().to_string();
    assert!(error.contains(&*dir.path().to_string_lossy()) && error.contains("cannot be opened"), "{error}");
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let dir = TempDir::new().unwrap();
    let first = DirLock::acquire(dir.path(), "2026-01-02 03:04:05").unwrap();
    let refused = DirLock::acquire(dir.path(), "later").unwrap_err().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    assert!(refused.contains("started 2026-01-02 03:04:05"), "{refused}");
    assert!(refused.contains(&*dir.path().to_string_lossy()), "{refused}");
    drop(first);
    DirLock::acquire(dir.path(), "later").unwrap();
}

#[test]
fn everything_queued_is_written_before_the_store_closes() {
    let mut rig = Rig::new();
    for i in 0..500 {
        rig.publish(&key(&format!("d{i}")), "x");
    }
    let rig = rig.restart();
    assert_eq!(rig.configs.len(), 500);
    assert!(!rig.dir.path().join("nacre.db-wal").metadata().is_ok_and(|meta| meta.len() > 0));
}

#[test]
fn a_closed_store_takes_no_batch_and_is_still_read() {
    let mut rig = Rig::new();
    rig.publish(&key("a"), "1");
    rig.store.close().unwrap();
    assert!(matches!(rig.store.write(WriteBatch::default()), Err(StoreError::Closed)));
    assert!(matches!(rig.store.checkpoint(), Err(StoreError::Closed)));
    assert_eq!(rig.store.load().unwrap().config.configs.len(), 1);
}

#[test]
fn a_hundred_thousand_configs_load() {
    let rig = Rig::new();
    let mut ops = Vec::new();
    for i in 0..100_000 {
        let publish = Publish::new(key(&format!("app-{i}.properties")), format!("key.{i}=value\n").repeat(20));
        ops.extend(rig.configs.apply(ConfigCommand::Publish(Box::new(publish)), rig.now).ops);
        if ops.len() > 10_000 {
            rig.store.write(WriteBatch { ops: std::mem::take(&mut ops), ..WriteBatch::default() }).unwrap();
        }
    }
    rig.store.write(WriteBatch { ops, ..WriteBatch::default() }).unwrap();
    rig.store.barrier().unwrap();
    let started = std::time::Instant::now();
    let loaded = rig.store.load().unwrap();
    let configs = Configs::new(loaded.config);
    println!("loaded {} configs in {:?}", configs.len(), started.elapsed());
    assert_eq!(configs.len(), 100_000);
    assert!(loaded.remarks.is_empty());
}

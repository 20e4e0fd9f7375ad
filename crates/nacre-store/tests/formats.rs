//! Databases of other versions and hands: each is a fixture that is opened here for ever.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use nacre_config::{Asker, Configs, KeyRef, Lookup};
use nacre_model::ConfigKey;
use nacre_store::{Store, StoreError, StoreOptions};
use rusqlite::Connection;
use tempfile::TempDir;

fn build(path: &Path, fixture: &str) {
    let sql =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture)).unwrap();
    Connection::open(path).unwrap().execute_batch(&sql).unwrap();
}

fn content(configs: &Configs, key: &ConfigKey, asker: &Asker<'_>) -> String {
    match configs.query(key, asker) {
        Lookup::Found(answer) => answer.content().to_string(),
        other => panic!("{other:?}"),
    }
}

/// Case C083.
#[test]
fn a_nacos_schema_from_before_2_1_opens_with_its_rows() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("nacre.db");
    build(&path, "nacos-pre-2.1.sql");
    let store = Store::open(StoreOptions::new(&path)).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.applied, None);
    assert_eq!(loaded.remarks.len(), 1, "{:?}", loaded.remarks);
    assert!(loaded.remarks[0].contains("deadbeef"), "{:?}", loaded.remarks);
    assert_eq!(loaded.config.last_ids.config, 41, "ids of removed rows are remembered");
    let configs = Configs::new(loaded.config);

    let old = ConfigKey::new("public", "DEFAULT_GROUP", "old.properties");
    let item = configs.get(&old).unwrap();
    let formal = item.formal.as_ref().unwrap();
    assert_eq!((formal.created, formal.modified), (1_557_126_489_000, 1_588_748_889_000));
    assert_eq!(&*formal.encrypted_data_key, "");
    assert_eq!(content(&configs, &old, &Asker::ip("1.1.1.1")), "a=1");
    assert_eq!(content(&configs, &old, &Asker::ip("10.0.0.2")), "a=beta");
    assert_eq!(content(&configs, &old, &Asker { tag: Some("t\"1"), ..Asker::ip("1.1.1.1") }), "a=tag");
    assert_eq!(content(&configs, &ConfigKey::new("dev", "G", "old"), &Asker::ip("")), "x");
    let edited = configs.query(KeyRef::new("", "G", "edited"), &Asker::ip(""));
    assert_eq!(edited.md5(), &*nacre_config::md5("by hand"), "the md5 is computed from the content");
    assert_eq!(configs.namespaces().len(), 2);

    let history = store.history(1).unwrap().unwrap();
    assert_eq!(history.key, old);
    assert_eq!((history.op, history.publish_type()), (nacre_config::HistoryOp::Insert, "formal"));
    // The second start finds everything mended.
    store.close().unwrap();
    drop(store);
    let store = Store::open(StoreOptions::new(&path)).unwrap();
    assert!(store.load().unwrap().remarks.is_empty());
    let users: i64 =
        Connection::open(&path).unwrap().query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(users, 1, "users are kept for later");
}

#[test]
fn a_database_of_format_1_opens() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("nacre.db");
    build(&path, "format-1.sql");
    let loaded = Store::open(StoreOptions::new(&path)).unwrap().load().unwrap();
    assert_eq!(loaded.applied.map(|applied| (applied.index, applied.term, applied.leader)), Some((7, 2, 1)));
    assert_eq!(loaded.remarks, Vec::<String>::new());
    assert_eq!(loaded.meta, [("membership".to_owned(), b"m".to_vec())]);
    assert_eq!(loaded.kv.len(), 1);
    assert_eq!((loaded.config.configs.len(), loaded.config.grays.len()), (1, 1));
    assert_eq!((loaded.config.namespaces.len(), loaded.config.capacity.len()), (1, 2));
    assert_eq!(loaded.config.last_ids.history, 9);
    let (key, config) = &loaded.config.configs[0];
    assert_eq!(key, &ConfigKey::new("public", "G", "d"));
    assert_eq!(config.meta.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(config.modified, 1_795_624_316_624);
}

#[test]
fn a_newer_format_is_refused_with_both_numbers_and_untouched() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("nacre.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE nacre_meta (name text PRIMARY KEY, value blob); INSERT INTO nacre_meta VALUES ('format', '99');")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(StoreOptions::new(&path)).err().unwrap();
    assert!(matches!(error, StoreError::TooNew { found: 99, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("99"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// Case C052: rows of one key under both spellings of the default namespace: one is served, both stay, the load says so.
#[test]
fn double_rows_of_the_default_namespace_are_reported() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("nacre.db");
    drop(Store::open(StoreOptions::new(&path)).unwrap());
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "INSERT INTO config_info (data_id, group_id, content, tenant_id) VALUES ('d', 'G', 'blank', '');
             INSERT INTO config_info (data_id, group_id, content, tenant_id) VALUES ('d', 'G', 'named', 'public');
             INSERT INTO config_info (data_id, group_id, content, tenant_id) VALUES ('only', 'G', 'blank', '');
             UPDATE config_info SET md5 = '' WHERE 1;",
        )
        .unwrap();
    // The word that the change was wanted.
    std::fs::remove_file(dir.path().join("nacre.db-sums")).unwrap();
    let store = Store::open(StoreOptions::new(&path)).unwrap();
    let loaded = store.load().unwrap();
    let doubles: Vec<&String> = loaded.remarks.iter().filter(|remark| remark.contains("two rows")).collect();
    assert_eq!(doubles.len(), 1);
    for needle in ["'public'", &nacre_config::md5("named"), &nacre_config::md5("blank")] {
        assert!(doubles[0].contains(needle), "{doubles:?}");
    }
    let configs = Configs::new(loaded.config);
    assert_eq!(content(&configs, &common::key("d"), &Asker::ip("")), "named");
    assert_eq!(content(&configs, &common::key("only"), &Asker::ip("")), "blank");
    let rows = store.query_sql("SELECT count(*) AS n FROM config_info", 10).unwrap();
    assert_eq!(rows, [[("n".to_owned(), Some("3".to_owned()))]], "nothing was dropped");
}

/// Case C031.
#[test]
fn rows_somebody_changed_by_hand_are_found_by_a_reload() {
    let mut rig = common::Rig::new();
    let key = common::key("d");
    rig.publish(&key, "old");
    rig.publish(&common::key("gone"), "x");
    rig.store.barrier().unwrap();
    Connection::open(rig.path())
        .unwrap()
        .execute_batch(
            "UPDATE config_info SET content = 'by hand' WHERE data_id = 'd';
             DELETE FROM config_info WHERE data_id = 'gone';
             INSERT INTO config_info (data_id, group_id, content) VALUES ('new', 'G', 'by hand too');",
        )
        .unwrap();
    let loaded = rig.store.reload().unwrap();
    assert_eq!(loaded.remarks.len(), 2, "{:?}", loaded.remarks);
    let changes = rig.configs.restore(loaded.config);
    assert_eq!(changes.iter().map(|change| &*change.key.data_id).collect::<Vec<_>>(), ["d", "gone", "new"]);
    assert_eq!(content(&rig.configs, &key, &Asker::ip("")), "by hand");
    // Writing goes on over such rows.
    rig.publish(&key, "again");
    rig.publish(&common::key("new"), "again");
    let rig = rig.restart();
    assert_eq!(content(&rig.configs, &common::key("new"), &Asker::ip("")), "again");
    assert_eq!(rig.configs.len(), 2);
}

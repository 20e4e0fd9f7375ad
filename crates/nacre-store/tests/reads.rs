//! Searches and history as the lists of every generation need them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Rig, key};
use nacre_config::{
    ConfigCommand, ConfigSearch, GrayTarget, HistoryOp, PageRequest, Pattern, Publish, PurgeHistory, Remove,
    RemoveTarget, Source,
};
use nacre_model::ConfigKey;
use nacre_store::{FIRST_ID, HistoryPageQuery, StoreError};
use proptest::prelude::*;

const PAGE: PageRequest = PageRequest { page_no: 1, page_size: 100 };

fn tagged(rig: &mut Rig, key: ConfigKey, tags: Option<&str>) {
    rig.apply(ConfigCommand::Publish(Box::new(Publish::new(key, "x").with_tags_param(tags))));
}

fn found(rig: &Rig, search: ConfigSearch) -> Vec<String> {
    let page = rig.store.search(&search, PAGE, false).unwrap();
    assert_eq!(page.total_count as usize, page.items.len());
    page.items.iter().map(|row| row.key.data_id.to_string()).collect()
}

fn by_id(text: &str) -> ConfigSearch {
    ConfigSearch { data_id: Pattern::blur(text), ..ConfigSearch::default() }
}

/// Case C037.
#[test]
fn underscore_and_percent_are_letters() {
    let mut rig = Rig::new();
    for id in ["test23", "test_1", "testX1", "t%"] {
        rig.publish(&key(id), "x");
    }
    assert_eq!(found(&rig, by_id("test_*")), ["test_1"]);
    assert_eq!(found(&rig, by_id("t%")), ["t%"]);
    assert_eq!(found(&rig, by_id("%*")), Vec::<String>::new());
    assert_eq!(found(&rig, by_id("*[*")), Vec::<String>::new());
}

/// Case C074.
#[test]
fn blur_without_a_star_is_exact_and_case_counts() {
    let mut rig = Rig::new();
    for id in ["app-a.yml", "my-app.yml", "App-a.yml"] {
        rig.publish(&key(id), "x");
    }
    assert_eq!(found(&rig, by_id("app")), Vec::<String>::new());
    assert_eq!(found(&rig, by_id("app*")), ["app-a.yml"]);
    assert_eq!(found(&rig, by_id("*app*")), ["app-a.yml", "my-app.yml"]);
}

#[test]
fn every_filter_narrows() {
    let mut rig = Rig::new();
    for (namespace, group, id, app, config_type, content) in [
        ("", "G1", "a", "app1", "yaml", "needle"),
        ("", "G2", "b", "app2", "json", "a needle in hay"),
        ("dev", "G1", "c", "app1", "text", "NEEDLE"),
        ("prod", "G1", "d", "", "yaml", "x"),
    ] {
        let mut publish = Publish::new(ConfigKey::new(namespace, group, id), content);
        publish.meta.app_name = app.into();
        publish.meta.config_type = Some(config_type.into());
        rig.apply(ConfigCommand::Publish(Box::new(publish)));
    }
    let all = ConfigSearch::default;
    assert_eq!(found(&rig, all()), ["a", "b", "c", "d"]);
    assert_eq!(found(&rig, ConfigSearch { namespace: Pattern::accurate("public"), ..all() }), ["a", "b"]);
    assert_eq!(found(&rig, ConfigSearch { namespace: Pattern::blur("*d*"), ..all() }), ["c", "d"]);
    assert_eq!(found(&rig, ConfigSearch { group: Pattern::accurate("G1"), ..all() }), ["a", "c", "d"]);
    assert_eq!(found(&rig, ConfigSearch { app_name: Pattern::accurate("app1"), ..all() }), ["a", "c"]);
    let types = vec!["yaml".to_owned(), "json".to_owned()];
    assert_eq!(found(&rig, ConfigSearch { types, ..all() }), ["a", "b", "d"]);
    assert_eq!(found(&rig, ConfigSearch { content: Pattern::blur("needle"), ..all() }), ["a"]);
    assert_eq!(found(&rig, ConfigSearch { content: Pattern::blur("*needle*"), ..all() }), ["a", "b"]);
    let both = ConfigSearch { group: Pattern::accurate("G1"), app_name: Pattern::accurate("app1"), ..by_id("*c*") };
    assert_eq!(found(&rig, both), ["c"]);
}

#[test]
fn a_config_with_several_matching_tags_appears_once_or_once_for_each() {
    let mut rig = Rig::new();
    tagged(&mut rig, key("a"), Some("t1,t2"));
    tagged(&mut rig, key("b"), Some("t2"));
    tagged(&mut rig, key("c"), None);
    let tags = || ["t1", "t2"].map(Pattern::accurate).to_vec();
    assert_eq!(found(&rig, ConfigSearch { tags: tags(), ..ConfigSearch::default() }), ["a", "b"]);
    let repeated = ConfigSearch { tags: tags(), repeat_per_tag: true, ..by_id("*") };
    assert_eq!(found(&rig, repeated), ["a", "a", "b"]);
    let glob = ConfigSearch { tags: vec![Pattern::blur("*2")], ..ConfigSearch::default() };
    assert_eq!(found(&rig, glob), ["a", "b"]);
}

/// Case C036: present replaces, also by nothing; absent keeps.
#[test]
fn tags_are_replaced_when_the_parameter_is_there() {
    let mut rig = Rig::new();
    let of = |rig: &Rig| rig.configs.get(&key("a")).unwrap().formal.as_ref().unwrap().meta.tags_text();
    let by_tag = || ConfigSearch { tags: vec![Pattern::accurate("a")], ..ConfigSearch::default() };
    tagged(&mut rig, key("a"), Some("a,b"));
    assert_eq!(of(&rig).as_deref(), Some("a,b"));
    tagged(&mut rig, key("a"), None);
    assert_eq!(found(&rig, by_tag()), ["a"]);
    tagged(&mut rig, key("a"), Some(""));
    assert_eq!(of(&rig), None);
    tagged(&mut rig, key("a"), None);
    assert_eq!(found(&rig, by_tag()), Vec::<String>::new());
    let rig = rig.restart();
    assert_eq!(of(&rig), None);
}

/// Case C038.
#[test]
fn pages_hold_every_config_once_while_more_are_published() {
    let mut rig = Rig::new();
    for i in 0..25 {
        rig.publish(&key(&format!("c{i}")), "x");
    }
    let mut seen = Vec::new();
    for page_no in 1..=3 {
        let request = PageRequest { page_no, page_size: 10 };
        let page = rig.store.search(&by_id("c*"), request, true).unwrap();
        assert_eq!(page.total_count, 25 + (page_no - 1));
        assert_eq!(page.pages_available, 3);
        seen.extend(page.items.into_iter().map(|row| row.key.data_id.to_string()));
        rig.publish(&key(&format!("c-late{page_no}")), "x");
    }
    let expected: Vec<String> =
        (0..25).map(|i| format!("c{i}")).chain(["c-late1", "c-late2"].map(String::from)).collect();
    assert_eq!(seen, expected);
    let beyond = rig.store.search(&by_id("c*"), PageRequest { page_no: u64::MAX, page_size: 10 }, true).unwrap();
    assert!(beyond.items.is_empty() && beyond.total_count == 28);
}

#[test]
fn ids_and_namespaces_are_looked_up() {
    let mut rig = Rig::new();
    rig.publish(&ConfigKey::new("dev", "G", "a"), "content a");
    rig.publish(&ConfigKey::new("dev", "G", "b"), "content b");
    rig.publish(&key("c"), "content c");
    let rows = rig.store.configs_by_ids(&[FIRST_ID + 3, 1, FIRST_ID + 1]).unwrap();
    assert_eq!(rows.iter().map(|row| &*row.content).collect::<Vec<_>>(), ["content c", "content a"]);
    assert_eq!(rig.store.configs_of("dev").unwrap().len(), 2);
    assert_eq!(rig.store.configs_of("").unwrap()[0].key, key("c"));
    let all = rig.store.search_all(&ConfigSearch::default()).unwrap();
    assert_eq!(all.iter().map(|row| &*row.content).collect::<Vec<_>>(), ["content a", "content b", "content c"]);
}

#[test]
fn history_tells_what_was_replaced() {
    let mut rig = Rig::new();
    let key = key("h");
    for content in ["v1", "v2", "v3"] {
        rig.publish(&key, content);
    }
    rig.remove(&key);
    rig.publish(&key, "v4");
    rig.publish(&common::key("other"), "x");
    let query = |page_no, page_size| HistoryPageQuery { key: key.clone(), page: PageRequest { page_no, page_size } };
    let page = rig.store.history_page(&query(1, 10)).unwrap();
    let ops: Vec<&str> = page.items.iter().map(|row| row.op.letter()).collect();
    assert_eq!(ops, ["I", "D", "U", "U", "I"]);
    assert!(page.items.iter().all(|row| row.content.is_empty()));
    assert_eq!(&*page.items[0].ext_info, r#"{"type":"text"}"#);
    let contents: Vec<String> =
        page.items.iter().map(|row| rig.store.history(row.nid).unwrap().unwrap().content.to_string()).collect();
    assert_eq!(contents, ["v4", "v3", "v2", "v1", "v1"]);
    let second = rig.store.history_page(&query(2, 2)).unwrap();
    assert_eq!((second.total_count, second.pages_available, second.items[0].nid), (5, 3, page.items[2].nid));

    let first_id = page.items[4].id;
    let previous = rig.store.history_previous(first_id).unwrap().unwrap();
    assert_eq!((previous.op, &*previous.content), (HistoryOp::Delete, "v3"));
    assert_eq!(rig.store.history_previous(999).unwrap(), None);
    assert_eq!(rig.store.history(999).unwrap(), None);
    let next = rig.store.history_next(&page.items[3]).unwrap().unwrap();
    assert_eq!(next.nid, page.items[2].nid);
    assert_eq!(rig.store.history_next(&page.items[0]).unwrap(), None);
}

#[test]
fn history_of_gray_versions_is_apart() {
    let mut rig = Rig::new();
    let key = key("g");
    rig.publish(&key, "formal");
    for content in ["b1", "b2"] {
        let mut publish = Publish::new(key.clone(), content);
        publish.gray = Some(GrayTarget::Beta { ips: "1.1.1.1".into() });
        publish.source.user = Some("nacos".into());
        rig.apply(ConfigCommand::Publish(Box::new(publish)));
    }
    rig.publish(&key, "formal2");
    rig.apply(ConfigCommand::Remove(Remove {
        key: key.clone(),
        target: RemoveTarget::Beta,
        source: Source { user: None, ip: "10.0.0.1".into() },
    }));
    let page = rig.store.history_page(&HistoryPageQuery { key: key.clone(), page: PAGE }).unwrap();
    let rows: Vec<(&str, &str, &str)> =
        page.items.iter().map(|row| (row.op.letter(), row.publish_type(), &*row.gray_name)).collect();
    assert_eq!(
        rows,
        [("D", "gray", "beta"), ("U", "formal", ""), ("U", "gray", "beta"), ("I", "gray", "beta"), ("I", "formal", "")]
    );
    assert_eq!(
        &*page.items[0].ext_info,
        r#"{"gray_name":"beta","src_user":"nacos","gray_rule":"{\"type\":\"beta\",\"expr\":\"1.1.1.1\",\"version\":\"1.0.0\",\"priority\":\"2147483647\"}"}"#
    );
    let next = rig.store.history_next(&page.items[3]).unwrap().unwrap();
    assert_eq!(next.nid, page.items[2].nid, "the next row of the same version");
    let previous = rig.store.history_previous(page.items[4].id).unwrap().unwrap();
    assert_eq!(previous.publish_type(), "formal", "gray ids are another count");
}

#[test]
fn old_history_is_purged_to_the_last_row() {
    let mut rig = Rig::new();
    for i in 0..3_000 {
        rig.publish(&key("h"), &format!("v{i}"));
    }
    assert!(rig.store.history_oldest().unwrap().is_some_and(|oldest| oldest < rig.now.wall - 2_000));
    let before = rig.now.wall - 9;
    rig.apply(ConfigCommand::PurgeHistory(PurgeHistory { before }));
    let page = rig.store.history_page(&HistoryPageQuery { key: key("h"), page: PAGE }).unwrap();
    assert_eq!(page.total_count, 10);
    assert_eq!(rig.store.history_oldest().unwrap(), Some(before));
    assert!(page.items.iter().all(|row| row.modified >= before));
}

#[test]
fn the_sql_page_only_reads() {
    let mut rig = Rig::new();
    rig.publish(&key("a"), "x");
    let rows = rig.store.query_sql(" select data_id, c_desc from config_info", 10).unwrap();
    assert_eq!(rows, [[("data_id".to_owned(), Some("a".to_owned())), ("c_desc".to_owned(), None)]]);
    for sql in ["DELETE FROM config_info", "ATTACH DATABASE '/tmp/x' AS x", "PRAGMA user_version = 5", ""] {
        assert!(matches!(rig.store.query_sql(sql, 10), Err(StoreError::NotAQuery)), "{sql}");
    }
    assert!(rig.store.query_sql("SELECT nonsense", 10).is_err());
    assert_eq!(rig.store.query_sql("SELECT value FROM nacre_meta", 1).unwrap().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The database and the predicate of the core agree on every glob.
    #[test]
    fn globs_mean_the_same_in_the_database(
        ids in proptest::collection::btree_set("[ab_%.:\\-\\[\\]?^é]{1,5}", 1..12),
        globs in proptest::collection::vec("[ab*_%.\\[\\]?^é]{1,5}", 1..12),
    ) {
        let mut rig = Rig::new();
        for id in &ids {
            rig.publish(&key(id), "x");
        }
        for glob in globs {
            let pattern = Pattern::blur(&glob);
            let expected: Vec<&String> = ids.iter().filter(|id| pattern.matches(id)).collect();
            let mut got = found(&rig, by_id(&glob));
            got.sort();
            prop_assert_eq!(got.iter().collect::<Vec<_>>(), expected, "{}", glob);
        }
    }
}

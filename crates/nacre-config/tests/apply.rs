//! What commands do: decisions, replies, effects and events.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use nacre_config::{
    Asker, CapacityLimit, CapacityRules, CapacityScope, CloneConfigs, CloneItem, ConfigCommand, ConfigMeta,
    ConfigReply, Configs, ConflictPolicy, Existence, GrayTarget, HistoryOp, Import, ImportItem, Lookup, NamespaceForm,
    Outcome, Publish, Refusal, Remove, RemoveTarget, Rules, SetCapacity, Source, StoreOp, UpdateMetadata, md5,
};
use nacre_model::{Cause, ConfigKey, NacosError, Now};

const NOW: Now = Now { mono: 0, wall: 1_000 };

fn key(data_id: &str) -> ConfigKey {
    ConfigKey::new("", "G", data_id)
}

fn publish(configs: &Configs, publish: Publish) -> Outcome {
    configs.apply(ConfigCommand::Publish(Box::new(publish)), NOW)
}

fn put(configs: &Configs, data_id: &str, content: &str) -> Outcome {
    publish(configs, Publish::new(key(data_id), content))
}

fn beta(data_id: &str, content: &str, ips: &str) -> Publish {
    Publish { gray: Some(GrayTarget::Beta { ips: ips.into() }), ..Publish::new(key(data_id), content) }
}

fn tag(data_id: &str, content: &str, tag: &str) -> Publish {
    Publish { gray: Some(GrayTarget::Tag { tag: tag.into() }), ..Publish::new(key(data_id), content) }
}

fn remove(configs: &Configs, data_id: &str, target: RemoveTarget) -> Outcome {
    let source = Source { user: Some("me".into()), ip: "10.0.0.9".into() };
    configs.apply(ConfigCommand::Remove(Remove { key: key(data_id), target, source }), NOW)
}

fn served(configs: &Configs, data_id: &str, asker: Asker<'_>) -> Option<String> {
    configs.query(&key(data_id), &asker).found().map(|answer| answer.content().to_string())
}

fn refused(outcome: Outcome) -> NacosError {
    assert!(outcome.effects.changed.is_empty(), "a refusal changes nothing");
    outcome.reply.into_result().unwrap_err()
}

fn kinds(outcome: &Outcome) -> Vec<String> {
    outcome.effects.events.iter().map(|event| event.cause.kind().to_string()).collect()
}

#[test]
fn cas_creates_what_is_absent_and_compares_letter_by_letter() {
    let configs = Configs::default();
    let cas = |content: &str, md5: &str| Publish { cas_md5: Some(md5.into()), ..Publish::new(key("d"), content) };
    assert!(matches!(publish(&configs, cas("v1", "0")).reply, ConfigReply::Published(p) if p.created));
    let one = md5("v1");
    assert!(matches!(publish(&configs, cas("v2", &one)).reply, ConfigReply::Published(p) if !p.created));
    let stale = publish(&configs, cas("v3", &one));
    assert_eq!(kinds(&stale), ["casConflict"]);
    assert!(stale.ops.is_empty());
    let error = refused(stale);
    assert_eq!((error.status, error.code.code), (500, 20005));
    assert_eq!(error.message, "Cas publish fail, server md5 may have changed.");
    refused(publish(&configs, cas("v3", &md5("v2").to_uppercase())));
    assert!(matches!(publish(&configs, cas("v3", "  ")).reply, ConfigReply::Published(_)), "a blank md5 is none");
    assert_eq!(served(&configs, "d", Asker::ip("")).as_deref(), Some("v3"));
}

#[test]
fn of_two_concurrent_cas_publishes_one_wins() {
    let configs = Configs::default();
    put(&configs, "d", "v1");
    let won = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (configs, won) = (&configs, &won);
            scope.spawn(move || {
                let content = format!("by {i}");
                let cas = Publish { cas_md5: Some(md5("v1").to_string()), ..Publish::new(key("d"), content) };
                if matches!(publish(configs, cas).reply, ConfigReply::Published(_)) {
                    won.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(won.into_inner(), 1);
}

#[test]
fn cas_of_a_gray_version_compares_its_own_md5() {
    let configs = Configs::default();
    put(&configs, "d", "formal");
    publish(&configs, beta("d", "b1", "10.0.0.1"));
    let cas = |md5: &str| Publish { cas_md5: Some(md5.to_owned()), ..beta("d", "b2", "10.0.0.1") };
    let error = refused(publish(&configs, cas(&md5("formal"))));
    assert_eq!(error.message, "Cas publish gray config fail, server md5 may have changed.");
    assert!(matches!(publish(&configs, cas(&md5("b1"))).reply, ConfigReply::Published(_)));
    assert_eq!(served(&configs, "d", Asker::ip("10.0.0.1")).as_deref(), Some("b2"));
}

#[test]
fn identical_content_is_written_but_nobody_is_told() {
    let configs = Configs::default();
    assert_eq!(put(&configs, "d", "x").effects.changed.len(), 1);
    let again = put(&configs, "d", "x");
    assert!(again.effects.changed.is_empty());
    assert_eq!(kinds(&again), ["configPublished"]);
    assert!(again.ops.iter().any(|op| matches!(op, StoreOp::AddHistory(row) if row.op == HistoryOp::Update)));
}

#[test]
fn an_update_replaces_the_form_and_keeps_app_name_and_unnamed_tags() {
    let configs = Configs::default();
    let mut first = Publish::new(key("d"), "v1").with_tags_param(Some("b, a,,b"));
    first.meta.app_name = "app".into();
    first.meta.desc = Some("desc".into());
    first.meta.config_type = Some("yaml".into());
    publish(&configs, first);
    put(&configs, "d", "v2");
    let formal = configs.get(&key("d")).unwrap().formal.clone().unwrap();
    assert_eq!(formal.meta.tags_text().as_deref(), Some("b, a"));
    assert_eq!((&*formal.meta.app_name, formal.meta.desc.as_deref()), ("app", None));
    assert_eq!(formal.meta.config_type.as_deref(), Some("text"), "a publish without type sets it back");
    publish(&configs, Publish::new(key("d"), "v3").with_tags_param(Some("")));
    let meta = |configs: &Configs| configs.get(&key("d")).unwrap().formal.as_ref().unwrap().meta.clone();
    assert_eq!((meta(&configs).tags_text(), &*meta(&configs).app_name), (None, "app"));
    for blank in ["", "  "] {
        publish(&configs, Publish::new(key("d"), "v3").with_app_param(Some("app")));
        publish(&configs, Publish::new(key("d"), "v3").with_app_param(Some(blank)));
        assert_eq!(&*meta(&configs).app_name, "", "a blank name clears it");
    }
}

#[test]
fn beta_wins_over_tags_and_the_type_is_the_formal_one() {
    let configs = Configs::default();
    let mut formal = Publish::new(key("d"), "formal");
    formal.meta.config_type = Some("yaml".into());
    publish(&configs, formal);
    publish(&configs, tag("d", "tagged", "t1"));
    publish(&configs, beta("d", "beta", "10.0.0.1"));
    let both = Asker { auto_tag: Some("t1"), ..Asker::ip("10.0.0.1") };
    let Lookup::Found(answer) = configs.query(&key("d"), &both) else { panic!() };
    assert_eq!((&**answer.content(), answer.is_beta(), answer.tag()), ("beta", true, None));
    assert_eq!((answer.config_type(), answer.encrypted_data_key()), (Some("yaml"), None));
    let Lookup::Found(answer) = configs.query(&key("d"), &Asker { tag: Some("t1"), ..Asker::ip("1") }) else {
        panic!()
    };
    assert_eq!((answer.tag(), answer.gray_name()), (Some("t1"), Some("tag_t1")));
    let Lookup::Found(answer) = configs.query(&key("d"), &Asker::ip("1")) else { panic!() };
    assert_eq!((&**answer.content(), answer.encrypted_data_key()), ("formal", Some("")));
    assert_eq!(configs.query(&key("d"), &Asker { tag: Some("t2"), ..Asker::ip("1") }), Lookup::TagNotFound);
    let falls_back = Asker { auto_tag: Some("t2"), ..Asker::ip("1") };
    assert_eq!(served(&configs, "d", falls_back).as_deref(), Some("formal"));
}

#[test]
fn a_missing_tag_of_a_missing_config_is_plainly_not_found() {
    let configs = Configs::default();
    let asker = Asker { tag: Some("t1"), ..Asker::ip("1") };
    assert_eq!(configs.query(&key("none"), &asker), Lookup::NotFound);
    publish(&configs, tag("only", "tagged", "t1"));
    assert_eq!(configs.query(&key("only"), &Asker::ip("1")), Lookup::NotFound);
    let Lookup::Found(answer) = configs.query(&key("only"), &asker) else { panic!() };
    assert_eq!(answer.config_type(), None, "there is no formal config to have one");
    assert_eq!(configs.query(&key("only"), &Asker { tag: Some("t2"), ..asker }), Lookup::TagNotFound);
}

/// Case C044.
#[test]
fn widening_a_beta_takes_effect_though_its_content_is_the_same() {
    let configs = Configs::default();
    put(&configs, "d", "v1");
    let all = |configs: &Configs| {
        [71, 72, 73].map(|host| served(configs, "d", Asker::ip(&format!("192.0.2.{host}"))).unwrap())
    };
    publish(&configs, beta("d", "v2", "192.0.2.71"));
    assert_eq!(all(&configs), ["v2", "v1", "v1"]);
    let wider = publish(&configs, beta("d", "v2", "192.0.2.71, 192.0.2.72"));
    assert_eq!(all(&configs), ["v2", "v2", "v1"]);
    assert_eq!(wider.effects.changed.len(), 1);
    assert_eq!(publish(&configs, beta("d", "v2", "192.0.2.72")).effects.changed.len(), 1);
    assert_eq!(all(&configs), ["v1", "v2", "v1"]);
}

/// Case C045.
#[test]
fn a_beta_leaves_the_formal_row_alone() {
    let configs = Configs::default();
    let mut formal = Publish::new(key("d"), "formal").with_tags_param(Some("a"));
    formal.meta.config_type = Some("yaml".into());
    formal.meta.desc = Some("d".into());
    publish(&configs, formal);
    let before = configs.get(&key("d")).unwrap().formal.clone();
    publish(&configs, beta("d", "beta", "10.0.0.1"));
    remove(&configs, "d", RemoveTarget::Beta);
    assert_eq!(configs.get(&key("d")).unwrap().formal, before);
}

#[test]
fn gray_versions_are_limited_but_updates_are_not_counted() {
    let configs = Configs::default();
    let limited = |mut publish: Publish| {
        publish.rules.gray_max = 2;
        publish
    };
    publish(&configs, limited(tag("d", "1", "a")));
    publish(&configs, limited(tag("d", "1", "b")));
    let error = refused(publish(&configs, limited(tag("d", "1", "c"))));
    assert_eq!((error.status, error.code.code), (400, 20010));
    assert_eq!(error.message, "gray config version is over max count :2");
    assert!(matches!(publish(&configs, limited(tag("d", "2", "a"))).reply, ConfigReply::Published(_)));
}

#[test]
fn custom_rules_are_ordered_by_priority_then_name() {
    let configs = Configs::default();
    let rule = |name: &str, priority| GrayTarget::Rule {
        name: name.into(),
        kind: "tag".into(),
        version: "1.0.0".into(),
        expr: "t".into(),
        priority,
    };
    for (name, priority) in [("z", 5), ("b", 9), ("a", 9), ("low", 1)] {
        let gray = Some(rule(name, priority));
        publish(&configs, Publish { gray, ..Publish::new(key("d"), name) });
    }
    let asker = Asker { tag: Some("t"), ..Asker::ip("") };
    for expected in ["a", "b", "z", "low"] {
        assert_eq!(served(&configs, "d", asker).as_deref(), Some(expected));
        remove(&configs, "d", RemoveTarget::Gray { name: expected.into() });
    }
    let bad =
        GrayTarget::Rule { name: "x".into(), kind: "tag".into(), version: "9".into(), expr: "t".into(), priority: 1 };
    let error = refused(publish(&configs, Publish { gray: Some(bad), ..Publish::new(key("d"), "x") }));
    assert_eq!(error.code.code, 20012);
}

#[test]
fn removing_tells_whether_something_was_there() {
    let configs = Configs::default();
    let absent = remove(&configs, "d", RemoveTarget::Formal);
    assert_eq!(absent.reply, ConfigReply::Removed { count: 0 });
    assert_eq!(kinds(&absent), ["nothingChanged"]);
    put(&configs, "d", "x");
    let removed = remove(&configs, "d", RemoveTarget::Formal);
    assert_eq!(removed.reply, ConfigReply::Removed { count: 1 });
    assert!(matches!(
        &*removed.effects.events[0].cause,
        Cause::ConfigRemoved { by, from, gray } if **by == *"me" && **from == *"10.0.0.9" && gray.is_empty()
    ));
    assert!(removed.ops.iter().any(
        |op| matches!(op, StoreOp::AddHistory(row) if row.op == HistoryOp::Delete && &*row.content == "x" && row.src_user.as_deref() == Some("me"))
    ));
}

#[test]
fn a_tag_is_removed_with_or_without_its_prefix() {
    let configs = Configs::default();
    for word in ["blue", "tag_blue"] {
        publish(&configs, tag("d", "tagged", "blue"));
        let removed = remove(&configs, "d", RemoveTarget::Tag { tag: word.into() });
        assert_eq!(removed.reply, ConfigReply::Removed { count: 1 }, "{word}");
    }
    publish(&configs, beta("d", "b", "10.0.0.1"));
    let removed = remove(&configs, "d", RemoveTarget::Tag { tag: "beta".into() });
    assert_eq!(removed.reply, ConfigReply::Removed { count: 1 });
    assert!(configs.get(&key("d")).is_none());
}

/// As recorded from 2.5.1 and 3.1: shown as before, served to nobody, and one row of history only.
#[test]
fn gray_versions_fall_asleep_with_the_formal_one() {
    let configs = Configs::default();
    put(&configs, "d", "formal");
    publish(&configs, beta("d", "beta", "10.0.0.1"));
    publish(&configs, tag("d", "tagged", "blue"));
    let id = configs.get(&key("d")).unwrap().gray("beta").unwrap().id;
    let removed = remove(&configs, "d", RemoveTarget::Formal);
    assert_eq!(kinds(&removed), ["configRemoved", "configRemoved", "configRemoved"]);
    let [change] = &removed.effects.changed[..] else { panic!("{:?}", removed.effects.changed) };
    assert_eq!((&change.gray, change.existence), (&None, Existence::Vanished));
    let slept = |op: &&StoreOp| matches!(op, StoreOp::PutGray { gray, .. } if gray.asleep);
    assert_eq!(removed.ops.iter().filter(slept).count(), 2);
    assert_eq!(removed.ops.iter().filter(|op| matches!(op, StoreOp::AddHistory(_))).count(), 1);
    let tagged = Asker { tag: Some("blue"), ..Asker::ip("10.0.0.2") };
    assert_eq!(configs.query(&key("d"), &tagged), Lookup::NotFound);
    assert_eq!(kinds(&remove(&configs, "d", RemoveTarget::Formal)), ["nothingChanged"]);

    put(&configs, "d", "again");
    assert_eq!(served(&configs, "d", Asker::ip("10.0.0.1")).as_deref(), Some("again"), "it stays asleep");
    let item = configs.get(&key("d")).unwrap();
    assert_eq!((&*item.gray("beta").unwrap().content, item.grays.len()), ("beta", 0));

    // Published again, with the same content: it wakes where it stopped.
    let woken = publish(&configs, beta("d", "beta", "10.0.0.1"));
    assert_eq!(woken.effects.changed.len(), 1);
    assert!(matches!(&woken.ops[1], StoreOp::AddHistory(row) if row.op == HistoryOp::Update && row.id == id));
    assert_eq!(served(&configs, "d", Asker::ip("10.0.0.1")).as_deref(), Some("beta"));
    assert_eq!(configs.query(&key("d"), &tagged), Lookup::TagNotFound, "the tag sleeps on");
}

#[test]
fn a_sleeping_version_can_be_removed_and_nobody_need_hear_of_it() {
    let configs = Configs::default();
    put(&configs, "d", "formal");
    publish(&configs, beta("d", "beta", "10.0.0.1"));
    remove(&configs, "d", RemoveTarget::Formal);
    let removed = remove(&configs, "d", RemoveTarget::Beta);
    assert_eq!((&removed.reply, removed.effects.changed.len()), (&ConfigReply::Removed { count: 1 }, 0));
    assert!(matches!(&removed.ops[1], StoreOp::AddHistory(row) if row.op == HistoryOp::Delete));
    assert!(configs.get(&key("d")).is_none());
}

#[test]
fn removing_a_config_that_has_gray_versions_only_puts_them_to_sleep() {
    let configs = Configs::default();
    publish(&configs, beta("d", "beta", "10.0.0.1"));
    let removed = remove(&configs, "d", RemoveTarget::Formal);
    assert_eq!(kinds(&removed), ["configRemoved"]);
    let [change] = &removed.effects.changed[..] else { panic!("{:?}", removed.effects.changed) };
    assert_eq!(change.existence, Existence::Vanished);
    assert_eq!(served(&configs, "d", Asker::ip("10.0.0.1")), None);
    assert_eq!(kinds(&remove(&configs, "d", RemoveTarget::Formal)), ["nothingChanged"]);
}

#[test]
fn time_never_goes_back_for_a_key() {
    let configs = Configs::default();
    put(&configs, "d", "v1");
    let earlier = Now { mono: 5, wall: 10 };
    configs.apply(ConfigCommand::Publish(Box::new(Publish::new(key("d"), "v2"))), earlier);
    let formal = configs.get(&key("d")).unwrap().formal.clone().unwrap();
    assert_eq!((formal.created, formal.modified), (1_000, 1_000));
}

fn item(data_id: &str, content: &str) -> ImportItem {
    ImportItem {
        key: key(data_id),
        content: content.into(),
        meta: ConfigMeta::default(),
        replace_tags: false,
        replace_app: false,
        encrypted_data_key: "".into(),
    }
}

fn import(configs: &Configs, items: Vec<ImportItem>, policy: ConflictPolicy) -> nacre_config::ImportReport {
    let command = ConfigCommand::Import(Import { items, policy, ..Import::default() });
    match configs.apply(command, NOW).reply {
        ConfigReply::Imported(report) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn imports_follow_their_policy() {
    let items = || vec![item("new1", "n"), item("old", "n"), item("new2", "n"), item("old2", "n")];
    let start = || {
        let configs = Configs::default();
        put(&configs, "old", "o");
        put(&configs, "old2", "o");
        configs
    };
    let configs = start();
    let report = import(&configs, items(), ConflictPolicy::Abort);
    assert_eq!((report.succeeded, report.aborted), (1, true));
    assert_eq!((report.failed, report.skipped), (vec![key("old")], vec![key("new2"), key("old2")]));
    assert_eq!(served(&configs, "new1", Asker::ip("")).as_deref(), Some("n"), "earlier ones stay");
    assert_eq!(served(&configs, "new2", Asker::ip("")), None);

    let configs = start();
    let report = import(&configs, items(), ConflictPolicy::Skip);
    assert_eq!((report.succeeded, report.aborted), (2, false));
    assert_eq!((report.failed, report.skipped), (vec![], vec![key("old"), key("old2")]));
    assert_eq!(served(&configs, "old", Asker::ip("")).as_deref(), Some("o"));

    let configs = start();
    let report = import(&configs, items(), ConflictPolicy::Overwrite);
    assert_eq!((report.succeeded, report.skipped.len()), (4, 0));
    assert_eq!(served(&configs, "old", Asker::ip("")).as_deref(), Some("n"));
    assert_eq!(ConflictPolicy::parse("SKIP"), Some(ConflictPolicy::Skip));
    assert_eq!(ConflictPolicy::parse("skip"), None);
}

#[test]
fn clones_copy_what_the_reference_copies() {
    let configs = Configs::default();
    let mut source = Publish::new(key("d"), "content").with_tags_param(Some("t"));
    source.meta.config_type = Some("yaml".into());
    source.meta.app_name = "app".into();
    source.meta.desc = Some("desc".into());
    source.meta.schema = Some("s".into());
    source.encrypted_data_key = "KEY".into();
    publish(&configs, source);
    let id = configs.get(&key("d")).unwrap().formal.as_ref().unwrap().id;
    let clone = CloneConfigs {
        items: vec![
            CloneItem { id, data_id: String::new(), group: " ".into() },
            CloneItem { id, data_id: "other".into(), group: "H".into() },
            CloneItem { id: 999, data_id: String::new(), group: String::new() },
        ],
        namespace: "dev".into(),
        policy: ConflictPolicy::Abort,
        source: Source::default(),
        rules: Rules::default(),
    };
    let ConfigReply::Imported(report) = configs.apply(ConfigCommand::Clone(clone), NOW).reply else { panic!() };
    assert_eq!((report.succeeded, report.unknown), (2, vec![999]));
    let copy = configs.get(&ConfigKey::new("dev", "H", "other")).unwrap().formal.clone().unwrap();
    assert_eq!((&*copy.content, &*copy.encrypted_data_key), ("content", "KEY"));
    let expected = ConfigMeta {
        config_type: Some("yaml".into()),
        app_name: "app".into(),
        desc: Some("desc".into()),
        ..ConfigMeta::default()
    };
    assert_eq!(*copy.meta, expected);
    assert!(configs.get(&ConfigKey::new("dev", "G", "d")).is_some());
}

#[test]
fn what_is_overwritten_loses_its_application_to_a_clone_and_to_metadata_that_name_one() {
    let configs = Configs::default();
    let app = |configs: &Configs, name: &str| {
        configs.get(&key(name)).unwrap().formal.as_ref().unwrap().meta.app_name.to_string()
    };
    put(&configs, "bare", "content");
    publish(&configs, Publish::new(key("d"), "content").with_app_param(Some("app")));
    import(&configs, vec![item("d", "n")], ConflictPolicy::Overwrite);
    assert_eq!(app(&configs, "d"), "app", "metadata that say nothing of it");
    import(&configs, vec![ImportItem { replace_app: true, ..item("d", "n") }], ConflictPolicy::Overwrite);
    assert_eq!(app(&configs, "d"), "");
    publish(&configs, Publish::new(key("d"), "content").with_app_param(Some("app")));
    let clone = CloneConfigs {
        items: vec![CloneItem {
            id: configs.get(&key("bare")).unwrap().formal.as_ref().unwrap().id,
            data_id: "d".into(),
            group: String::new(),
        }],
        namespace: key("d").namespace.clone(),
        policy: ConflictPolicy::Overwrite,
        source: Source::default(),
        rules: Rules::default(),
    };
    configs.apply(ConfigCommand::Clone(clone), NOW);
    assert_eq!(app(&configs, "d"), "");
}

#[test]
fn metadata_is_changed_without_a_publish() {
    let configs = Configs::default();
    put(&configs, "d", "x");
    let update = |desc: Option<&str>, tags: Option<&[&str]>| {
        let tags = tags.map(|tags| tags.iter().map(|tag| Arc::from(*tag)).collect());
        let update = UpdateMetadata { key: key("d"), desc: desc.map(Into::into), tags, source: Source::default() };
        configs.apply(ConfigCommand::UpdateMetadata(update), NOW)
    };
    let outcome = update(Some("new"), None);
    assert!(outcome.effects.changed.is_empty() && outcome.ops.len() == 1);
    update(None, Some(&["a"]));
    let formal = configs.get(&key("d")).unwrap().formal.clone().unwrap();
    assert_eq!((formal.meta.desc.as_deref(), formal.meta.tags_text().as_deref()), (Some("new"), Some("a")));
    let absent = UpdateMetadata { key: key("none"), desc: None, tags: None, source: Source::default() };
    assert_eq!(refused(configs.apply(ConfigCommand::UpdateMetadata(absent), NOW)).status, 404);
}

fn namespace(id: &str, name: &str) -> NamespaceForm {
    NamespaceForm { id: id.into(), name: name.into(), desc: None }
}

#[test]
fn namespaces_are_listed_with_their_configs() {
    let configs = Configs::default();
    let create = |id: &str| configs.apply(ConfigCommand::CreateNamespace(namespace(id, "N")), NOW);
    assert_eq!(create("dev").reply, ConfigReply::Done);
    assert_eq!(refused(create("dev")).message, "namespaceId [dev] already exist.");
    assert_eq!(refused(create("public")).code.code, 22002);
    put(&configs, "a", "x");
    publish(&configs, Publish::new(ConfigKey::new("dev", "G", "a"), "x"));
    publish(&configs, beta("b", "gray only", "10.0.0.1"));
    let list: Vec<(String, u64, bool)> = configs
        .namespaces()
        .into_iter()
        .map(|entry| (entry.id.to_string(), entry.config_count, entry.is_default))
        .collect();
    assert_eq!(list, [("public".into(), 1, true), ("dev".into(), 1, false)]);
    configs.apply(ConfigCommand::UpdateNamespace(namespace("dev", "Renamed")), NOW);
    assert_eq!(&*configs.namespace("dev").unwrap().name, "Renamed");
    let unknown = configs.apply(ConfigCommand::UpdateNamespace(namespace("nobody", "x")), NOW);
    assert_eq!((unknown.reply.clone(), unknown.ops.len()), (ConfigReply::Done, 0));
    assert_eq!(kinds(&unknown), ["nothingChanged"]);
    configs.apply(ConfigCommand::DeleteNamespace { id: "dev".into() }, NOW);
    assert!(!configs.namespace_exists("dev") && configs.namespace_exists("") && configs.namespace_exists("public"));
    assert!(configs.get(&ConfigKey::new("dev", "G", "a")).is_some(), "its configs stay");
}

#[test]
fn unknown_namespaces_are_refused_only_when_the_rule_is_on() {
    let configs = Configs::default();
    let into = |ns: &str, on: bool| {
        let mut publish = Publish::new(ConfigKey::new(ns, "G", "d"), "x");
        publish.rules.namespace_must_exist = on;
        publish
    };
    let error = refused(publish(&configs, into("nobody", true)));
    assert_eq!(error.code.code, 22001);
    assert_eq!(error.message, "Namespace 'nobody' does not exist. Please create the namespace first.");
    assert!(matches!(publish(&configs, into("nobody", false)).reply, ConfigReply::Published(_)));
    assert!(matches!(publish(&configs, into("", true)).reply, ConfigReply::Published(_)));
}

fn capped(data_id: &str, content: &str, rules: &CapacityRules) -> Publish {
    let mut publish = Publish::new(ConfigKey::new("dev", "G", data_id), content);
    publish.rules.capacity = Some(rules.clone());
    publish
}

#[test]
fn capacity_limits_count_and_size() {
    let configs = Configs::default();
    let rules = CapacityRules { tenant_quota: 2, cluster_quota: 3, max_size: 4, ..CapacityRules::default() };
    let limit = |outcome: Outcome| match outcome.reply {
        ConfigReply::Refused(Refusal::Capacity { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(publish(&configs, capped("a", "12345", &rules))), CapacityLimit::Size);
    assert!(matches!(publish(&configs, capped("a", "1234", &rules)).reply, ConfigReply::Published(_)));
    assert_eq!(limit(publish(&configs, capped("a", "配配", &rules))), CapacityLimit::SizeOnUpdate);
    assert!(matches!(publish(&configs, capped("b", "1", &rules)).reply, ConfigReply::Published(_)));
    assert_eq!(limit(publish(&configs, capped("c", "1", &rules))), CapacityLimit::Tenant);
    put(&configs, "unchecked", "1");
    let error = refused(publish(&configs, capped("c", "1", &rules)));
    assert_eq!((error.status, error.code.code), (5031, 5031), "the cluster is full now");
    assert_eq!(error.message, "Configuration limit exceeded [group=G, namespaceId=dev].");
    // Updates do not count, and a removal makes room.
    assert!(matches!(publish(&configs, capped("b", "2", &rules)).reply, ConfigReply::Published(_)));
}

#[test]
fn a_scope_that_is_full_when_its_row_is_made_gets_room() {
    let configs = Configs::default();
    for i in 0..5 {
        publish(&configs, Publish::new(ConfigKey::new("dev", "G", &i.to_string()), "x"));
    }
    let rules = CapacityRules { tenant_quota: 4, initial_expansion_percent: 50, ..CapacityRules::default() };
    assert!(matches!(publish(&configs, capped("a", "1", &rules)).reply, ConfigReply::Published(_)));
    let view = configs.capacity(&CapacityScope::Tenant("dev".into()), &rules).unwrap();
    assert_eq!((view.quota, view.usage), (7, 6));
}

#[test]
fn capacity_rows_are_made_on_demand_and_zero_means_default() {
    let configs = Configs::default();
    let scope = CapacityScope::Group("G".into());
    let set = |quota: Option<i32>| {
        let set = SetCapacity {
            scope: scope.clone(),
            quota,
            max_size: None,
            max_aggr_count: None,
            max_aggr_size: None,
            defaults: CapacityRules::default(),
        };
        configs.apply(ConfigCommand::SetCapacity(set), NOW)
    };
    let view = |configs: &Configs| configs.capacity(&scope, &CapacityRules::default());
    assert_eq!(view(&configs), None);
    assert_eq!(set(None).ops.len(), 1);
    assert_eq!(set(None).ops.len(), 0, "a second look writes nothing");
    put(&configs, "a", "x");
    assert_eq!(
        view(&configs).map(|v| (v.id, v.quota, v.usage, v.max_size, v.max_aggr_count)),
        Some((1, 200, 1, 102_400, 10_000))
    );
    set(Some(10));
    assert_eq!(view(&configs).map(|v| v.quota), Some(10));
    set(Some(0));
    assert_eq!(view(&configs).map(|v| v.quota), Some(200));
}

/// Case C051.
#[test]
fn every_way_a_namespace_is_spelled_finds_the_same_config() {
    let configs = Configs::default();
    for (at, written) in ["", "public", " "].into_iter().enumerate() {
        publish(&configs, Publish::new(ConfigKey::new(written, "G", "d"), format!("v{at}")));
        for asked in ["", "public", "  "] {
            let answer = configs.query(nacre_config::KeyRef::new(asked, "G", "d"), &Asker::ip("")).found().unwrap();
            assert_eq!(&**answer.content(), format!("v{at}"));
        }
    }
    assert_eq!(configs.len(), 1);
}

/// Case C033.
#[test]
fn keys_that_differ_in_case_are_two_configs() {
    let configs = Configs::default();
    put(&configs, "seataserver.properties", "a");
    put(&configs, "seataServer.properties", "b");
    remove(&configs, "seataserver.properties", RemoveTarget::Formal);
    assert_eq!(served(&configs, "seataServer.properties", Asker::ip("")).as_deref(), Some("b"));
}

//! Commands and replies as they are stored in logs. What was written once must be read for ever.
#![allow(clippy::unwrap_used)]

use nacre_config::{
    CapacityScope, CloneConfigs, CloneItem, ConfigCommand, ConfigReply, ConflictPolicy, GrayTarget, Import, ImportItem,
    ImportReport, NamespaceForm, Publish, Published, PurgeHistory, Refusal, Remove, RemoveIds, RemoveTarget, Rules,
    SetCapacity, Source, UpdateMetadata,
};
use nacre_model::ConfigKey;
use serde::{Serialize, de::DeserializeOwned};

fn key() -> ConfigKey {
    ConfigKey::new("dev", "G", "d")
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = rmp_serde::to_vec_named(value).unwrap();
    assert_eq!(&rmp_serde::from_slice::<T>(&bytes).unwrap(), value);
}

fn commands() -> Vec<ConfigCommand> {
    let source = Source { user: Some("nacos".into()), ip: "10.0.0.1".into() };
    let mut publish = Publish::new(key(), "🦀\r\n\0").with_tags_param(Some("a,b")).with_app_param(Some("app"));
    publish.gray = Some(GrayTarget::Rule {
        name: "n".into(),
        kind: "tag".into(),
        version: "1.0.0".into(),
        expr: "t".into(),
        priority: -1,
    });
    publish.cas_md5 = Some("x".into());
    publish.rules = Rules { gray_max: 3, capacity: Some(Default::default()), namespace_must_exist: true };
    let import = ImportItem {
        key: key(),
        content: "c".into(),
        meta: publish.meta.clone(),
        replace_tags: true,
        replace_app: true,
        encrypted_data_key: "k".into(),
    };
    let form = NamespaceForm { id: "dev".into(), name: "Dev".into(), desc: Some("d".into()) };
    vec![
        ConfigCommand::Publish(Box::new(publish)),
        ConfigCommand::Remove(Remove {
            key: key(),
            target: RemoveTarget::Tag { tag: "t".into() },
            source: source.clone(),
        }),
        ConfigCommand::RemoveIds(RemoveIds { ids: vec![1, u64::MAX], source: source.clone() }),
        ConfigCommand::Import(Import {
            items: vec![import],
            policy: ConflictPolicy::Skip,
            source: source.clone(),
            rules: Rules::default(),
        }),
        ConfigCommand::Clone(CloneConfigs {
            items: vec![CloneItem { id: 1, data_id: "x".into(), group: String::new() }],
            namespace: "dev".into(),
            policy: ConflictPolicy::Overwrite,
            source: source.clone(),
            rules: Rules::default(),
        }),
        ConfigCommand::UpdateMetadata(UpdateMetadata { key: key(), desc: None, tags: Some(vec!["a".into()]), source }),
        ConfigCommand::CreateNamespace(form.clone()),
        ConfigCommand::UpdateNamespace(form),
        ConfigCommand::DeleteNamespace { id: "dev".into() },
        ConfigCommand::SetCapacity(SetCapacity {
            scope: CapacityScope::Group("g".into()),
            quota: Some(-1),
            max_size: None,
            max_aggr_count: None,
            max_aggr_size: None,
            defaults: Default::default(),
        }),
        ConfigCommand::PurgeHistory(PurgeHistory { before: -5 }),
    ]
}

#[test]
fn every_command_and_reply_reads_back() {
    commands().iter().for_each(round_trip);
    let report = ImportReport {
        succeeded: 1,
        skipped: vec![key()],
        refused: Some((key(), Refusal::NotFound)),
        ..Default::default()
    };
    for reply in [
        ConfigReply::Done,
        ConfigReply::Published(Published { id: 1, md5: "m".into(), modified: 2, created: true }),
        ConfigReply::Removed { count: 3 },
        ConfigReply::Imported(report),
        ConfigReply::Refused(Refusal::CasConflict { gray: true, actual: "m".into() }),
    ] {
        round_trip(&reply);
    }
}

/// What an older version without the later fields wrote. Frozen.
#[test]
fn a_command_with_missing_fields_takes_their_defaults() {
    let json =
        serde_json::json!({"publish": {"key": {"namespace": "dev", "group": "G", "data_id": "d"}, "content": "x"}});
    let bytes = rmp_serde::to_vec_named(&json).unwrap();
    let ConfigCommand::Publish(publish) = rmp_serde::from_slice(&bytes).unwrap() else { panic!() };
    assert_eq!((publish.key, &*publish.content, publish.rules.gray_max), (key(), "x", 10));
    assert!(!publish.only_if_absent && publish.gray.is_none() && publish.cas_md5.is_none());
}

/// What a newer version with more fields writes.
#[test]
fn unknown_fields_are_ignored() {
    let json = serde_json::json!({"removeIds": {"ids": [7], "reason": "later"}});
    let bytes = rmp_serde::to_vec_named(&json).unwrap();
    let command: ConfigCommand = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(command, ConfigCommand::RemoveIds(RemoveIds { ids: vec![7], source: Source::default() }));
}

/// Names of variants and fields are part of stored logs.
#[test]
fn names_in_the_log_do_not_change() {
    let names: Vec<String> = commands()
        .iter()
        .map(|command| {
            let value = serde_json::to_value(command).unwrap();
            let (name, body) = value.as_object().unwrap().iter().next().unwrap();
            let mut fields: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            format!("{name}: {}", fields.join(" "))
        })
        .collect();
    assert_eq!(
        names,
        [
            "publish: casMd5 content encryptedDataKey gray key meta onlyIfAbsent replaceApp replaceTags rules source",
            "remove: key source target",
            "removeIds: ids source",
            "import: items policy rules source",
            "clone: items namespace policy rules source",
            "updateMetadata: desc key source tags",
            "createNamespace: desc id name",
            "updateNamespace: desc id name",
            "deleteNamespace: id",
            "setCapacity: defaults maxAggrCount maxAggrSize maxSize quota scope",
            "purgeHistory: before",
        ]
    );
}

//! Importing and cloning: many publishes under one conflict policy.

use nacre_model::ConfigKey;

use super::Apply;
use crate::{
    CloneConfigs, ConfigMeta, ConflictPolicy, Import, ImportItem, ImportReport, Publish, Refusal, Rules, Source,
};

impl Apply<'_> {
    pub(super) fn import(&mut self, import: Import) -> ImportReport {
        let mut report = ImportReport::default();
        for item in import.items {
            self.import_item(item, import.policy, &import.source, &import.rules, &mut report);
        }
        report
    }

    pub(super) fn clone_configs(&mut self, clone: &CloneConfigs) -> ImportReport {
        let mut report = ImportReport::default();
        for wanted in &clone.items {
            let source = self.configs.key_of(wanted.id).and_then(|key| self.item(&key));
            let Some((key, formal)) = source.and_then(|item| Some((item.key.clone(), item.formal.clone()?))) else {
                report.unknown.push(wanted.id);
                continue;
            };
            let or = |given: &str, of_source: &str| {
                if given.trim().is_empty() { of_source.to_owned() } else { given.to_owned() }
            };
            let item = ImportItem {
                key: ConfigKey::new(
                    &clone.namespace,
                    &or(&wanted.group, &key.group),
                    &or(&wanted.data_id, &key.data_id),
                ),
                content: formal.content.clone(),
                meta: ConfigMeta {
                    config_type: formal.meta.config_type.clone(),
                    app_name: formal.meta.app_name.clone(),
                    desc: formal.meta.desc.clone(),
                    ..ConfigMeta::default()
                },
                replace_tags: false,
                replace_app: true,
                encrypted_data_key: formal.encrypted_data_key.clone(),
            };
            self.import_item(item, clone.policy, &clone.source, &clone.rules, &mut report);
        }
        report
    }

    fn import_item(
        &mut self,
        item: ImportItem,
        policy: ConflictPolicy,
        source: &Source,
        rules: &Rules,
        report: &mut ImportReport,
    ) {
        if report.aborted {
            report.skipped.push(item.key);
            return;
        }
        let publish = Publish {
            key: item.key,
            content: item.content,
            cas_md5: None,
            gray: None,
            meta: item.meta,
            replace_tags: item.replace_tags,
            replace_app: item.replace_app,
            encrypted_data_key: item.encrypted_data_key,
            source: source.clone(),
            only_if_absent: policy != ConflictPolicy::Overwrite,
            rules: rules.clone(),
        };
        let key = publish.key.clone();
        match self.publish(publish) {
            Ok(_) => report.succeeded += 1,
            Err(Refusal::AlreadyExists { key }) if policy == ConflictPolicy::Skip => report.skipped.push(key),
            Err(Refusal::AlreadyExists { key }) => {
                report.failed.push(key);
                report.aborted = true;
            }
            Err(refusal) => {
                report.refused = Some((key, refusal));
                report.aborted = true;
            }
        }
    }
}

//! What thousands of configs have in common (groups, types, addresses, application names, all that is said of a config
//! besides its content) is kept once.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use nacre_model::ConfigKey;

use crate::{ConfigMeta, FormalConfig, Publish, Source};

/// Different texts remembered. Beyond, all are forgotten, and new configs begin to share anew: sharing is an economy.
const REMEMBERED: usize = 4_096;
/// Longer texts are hardly shared.
const LONGEST: usize = 128;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Texts {
    texts: HashSet<Arc<str>>,
    metas: HashSet<Arc<ConfigMeta>>,
    sources: HashSet<Arc<Source>>,
}

impl Texts {
    pub fn share(&mut self, text: &mut Arc<str>) {
        if text.len() > LONGEST {
            return;
        }
        one_of(&mut self.texts, text);
    }

    /// The namespace and the group; a dataId is rarely the same.
    pub fn share_key(&mut self, key: &mut ConfigKey) {
        let (mut namespace, mut group) = (Arc::clone(&key.namespace), Arc::clone(&key.group));
        self.share(&mut namespace);
        self.share(&mut group);
        if !Arc::ptr_eq(&namespace, &key.namespace) || !Arc::ptr_eq(&group, &key.group) {
            *key = ConfigKey::of(namespace, group, Arc::clone(&key.data_id));
        }
    }

    /// The key is not looked at: it should be that of the config, if there is one.
    pub fn share_publish(&mut self, publish: &mut Publish) {
        self.share_meta(&mut publish.meta);
        let source = &mut publish.source;
        for text in source.user.iter_mut().chain([&mut source.ip, &mut publish.encrypted_data_key]) {
            self.share(text);
        }
    }

    pub fn share_formal(&mut self, config: &mut FormalConfig) {
        self.share_whole_meta(&mut config.meta);
        self.share(&mut config.encrypted_data_key);
        config.source = self.shared_source((*config.source).clone());
    }

    pub fn shared_source(&mut self, mut source: Source) -> Arc<Source> {
        for text in source.user.iter_mut().chain([&mut source.ip]) {
            self.share(text);
        }
        let mut source = Arc::new(source);
        one_of(&mut self.sources, &mut source);
        source
    }

    /// Descriptions are anybody's own; without one most configs say the same.
    pub fn share_whole_meta(&mut self, meta: &mut Arc<ConfigMeta>) {
        if let Some(own) = Arc::get_mut(meta) {
            self.share_meta(own);
        }
        let ConfigMeta { desc, schema, .. } = &**meta;
        if [desc, schema].into_iter().flatten().all(|text| text.len() <= LONGEST) {
            one_of(&mut self.metas, meta);
        }
    }

    fn share_meta(&mut self, meta: &mut ConfigMeta) {
        let ConfigMeta { config_type, app_name, tags, .. } = meta;
        for text in config_type.iter_mut().chain([app_name]).chain(tags) {
            self.share(text);
        }
    }
}

/// Makes `one` that of `known` which is equal; remembered if there is none.
fn one_of<T: ?Sized + Eq + Hash>(known: &mut HashSet<Arc<T>>, one: &mut Arc<T>) {
    if let Some(known) = known.get(&*one) {
        *one = Arc::clone(known);
        return;
    }
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(Arc::clone(one));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_become_one() {
        let mut texts = Texts::default();
        let (mut one, mut two) = (Arc::<str>::from("group"), Arc::<str>::from("group"));
        texts.share(&mut one);
        texts.share(&mut two);
        assert!(Arc::ptr_eq(&one, &two));
    }

    #[test]
    fn equal_metadata_become_one() {
        let mut texts = Texts::default();
        let make = |app: &str| Arc::new(ConfigMeta { app_name: app.into(), ..ConfigMeta::default() });
        let (mut one, mut two, mut other) = (make("a"), make("a"), make("b"));
        for meta in [&mut one, &mut two, &mut other] {
            texts.share_whole_meta(meta);
        }
        assert!(Arc::ptr_eq(&one, &two) && !Arc::ptr_eq(&one, &other));
        let long = |n: u8| {
            Arc::new(ConfigMeta {
                desc: Some("x".repeat(LONGEST + 1).into()),
                app_name: n.to_string().into(),
                ..ConfigMeta::default()
            })
        };
        for n in 0..10 {
            texts.share_whole_meta(&mut long(n));
        }
        assert_eq!(texts.metas.len(), 2, "long descriptions are not kept for others");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut texts = Texts::default();
        for n in 0..3 * REMEMBERED {
            texts.share(&mut n.to_string().into());
        }
        texts.share(&mut "x".repeat(LONGEST + 1).into());
        assert!(texts.texts.len() <= REMEMBERED);
    }
}

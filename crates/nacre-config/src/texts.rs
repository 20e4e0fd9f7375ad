//! Texts that thousands of configs have in common (groups, types, addresses, application names) are kept once.

use std::{collections::HashSet, sync::Arc};

use nacre_model::ConfigKey;

use crate::{ConfigMeta, FormalConfig, Publish};

/// Different texts remembered. Beyond, all are forgotten, and new configs begin to share anew: sharing is an economy.
const REMEMBERED: usize = 4_096;
/// Longer texts are hardly shared.
const LONGEST: usize = 128;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Texts(HashSet<Arc<str>>);

impl Texts {
    pub fn share(&mut self, text: &mut Arc<str>) {
        if text.len() > LONGEST {
            return;
        }
        if let Some(known) = self.0.get(text) {
            *text = Arc::clone(known);
            return;
        }
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(Arc::clone(text));
    }

    /// The namespace and the group; a dataId is rarely the same.
    pub fn share_key(&mut self, key: &mut ConfigKey) {
        self.share(&mut key.namespace);
        self.share(&mut key.group);
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
        self.share_meta(&mut config.meta);
        for text in config.src_user.iter_mut().chain([&mut config.src_ip, &mut config.encrypted_data_key]) {
            self.share(text);
        }
    }

    fn share_meta(&mut self, meta: &mut ConfigMeta) {
        let ConfigMeta { config_type, app_name, tags, .. } = meta;
        for text in config_type.iter_mut().chain([app_name]).chain(tags) {
            self.share(text);
        }
    }
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
    fn what_is_remembered_is_bounded() {
        let mut texts = Texts::default();
        for n in 0..3 * REMEMBERED {
            texts.share(&mut n.to_string().into());
        }
        texts.share(&mut "x".repeat(LONGEST + 1).into());
        assert!(texts.0.len() <= REMEMBERED);
    }
}

//! Creating, renaming and deleting namespaces.

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::{Cause, PUBLIC, Subject};

use super::Apply;
use crate::{ConfigReply, Namespace, NamespaceForm, Refusal, StoreOp};

impl Apply<'_> {
    pub(super) fn create_namespace(&mut self, form: &NamespaceForm) -> Result<ConfigReply, Refusal> {
        let mut all = self.all_namespaces();
        if &*form.id == PUBLIC || all.contains_key(&form.id) {
            return Err(Refusal::NamespaceExists { id: form.id.clone() });
        }
        let namespace = Namespace {
            id: form.id.clone(),
            name: form.name.clone(),
            desc: form.desc.clone(),
            created: self.now.wall,
            modified: self.now.wall,
        };
        self.out.ops.push(StoreOp::PutNamespace(namespace.clone()));
        all.insert(form.id.clone(), namespace);
        self.configs.namespaces.store(Arc::new(all));
        self.namespace_event(&form.id, "created");
        Ok(ConfigReply::Done)
    }

    pub(super) fn update_namespace(&mut self, form: &NamespaceForm) -> ConfigReply {
        let mut all = self.all_namespaces();
        let Some(namespace) = all.get_mut(&form.id) else {
            self.nothing("updateNamespace", &form.id);
            return ConfigReply::Done;
        };
        namespace.name = form.name.clone();
        namespace.desc = form.desc.clone();
        namespace.modified = self.now.wall;
        self.out.ops.push(StoreOp::PutNamespace(namespace.clone()));
        self.configs.namespaces.store(Arc::new(all));
        self.namespace_event(&form.id, "updated");
        ConfigReply::Done
    }

    pub(super) fn delete_namespace(&mut self, id: &Arc<str>) -> ConfigReply {
        let mut all = self.all_namespaces();
        if all.remove(id).is_none() {
            self.nothing("deleteNamespace", id);
            return ConfigReply::Done;
        }
        self.out.ops.push(StoreOp::DeleteNamespace { id: id.clone() });
        self.configs.namespaces.store(Arc::new(all));
        self.namespace_event(id, "deleted");
        ConfigReply::Done
    }

    fn all_namespaces(&self) -> BTreeMap<Arc<str>, Namespace> {
        (**self.configs.namespaces.load()).clone()
    }

    fn namespace_event(&mut self, id: &str, what: &str) {
        let cause = Cause::NamespaceChanged { id: id.to_owned(), what: what.to_owned() };
        self.event(Subject::default(), cause);
    }

    fn nothing(&mut self, call: &str, id: &str) {
        let reason = format!("there is no namespace {id}");
        self.event(Subject::default(), Cause::NothingChanged { call: call.to_owned(), reason });
    }
}

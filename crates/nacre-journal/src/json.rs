//! The JSON of the events API. Field names are Nacos's words and do not change.

use nacre_model::Subject;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::{Map, Value, json};

use crate::{Record, describe};

impl Record {
    /// `{seq, at, kind, subject, cause, text}`; see [`Serialize`].
    pub fn json(&self) -> Value {
        json!(self)
    }
}

/// `seq` number, `at` ms since the epoch, `kind` word, `subject` with `namespaceId`/`groupName`/`serviceName`/`dataId`/
/// `instance`/`client` (absent when they do not apply), `cause` with the kind's own fields, `text` one English sentence.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = serializer.serialize_struct("Record", 6)?;
        form.serialize_field("seq", &self.seq)?;
        form.serialize_field("at", &self.event.at)?;
        form.serialize_field("kind", self.event.cause.kind())?;
        form.serialize_field("subject", &subject(&self.event.subject))?;
        form.serialize_field("cause", &self.event.cause)?;
        form.serialize_field("text", &describe::describe(&self.event))?;
        form.end()
    }
}

fn subject(subject: &Subject) -> Map<String, Value> {
    let mut form = Map::new();
    let mut put = |name: &str, value: &str| {
        form.insert(name.to_owned(), Value::from(value));
    };
    if let Some(service) = &subject.service {
        put("namespaceId", &service.namespace);
        put("groupName", &service.group);
        put("serviceName", &service.name);
    }
    if let Some(config) = &subject.config {
        put("namespaceId", &config.namespace);
        put("groupName", &config.group);
        put("dataId", &config.data_id);
    }
    if let Some(instance) = subject.instance_text() {
        put("instance", &instance);
    }
    if let Some(client) = subject.client_text() {
        put("client", &client);
    }
    form
}

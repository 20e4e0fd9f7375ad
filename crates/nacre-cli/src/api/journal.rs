//! nacre's journal of transitions. No other server has it.

use serde_json::Value;

use super::{Client, data, is_gone, text};
use crate::{
    error::{CliError, Outcome},
    explain::Lang,
    http::{Params, Request},
};

/// What to ask for.
#[derive(Clone, Debug, Default)]
pub struct Question {
    pub instance: String,
    pub service: Option<String>,
    pub group: Option<String>,
    /// Milliseconds since 1970.
    pub from: Option<i64>,
    pub limit: usize,
    pub lang: Lang,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub at: i64,
    pub kind: String,
    pub text: String,
    /// As the server sent it.
    pub raw: Value,
}

impl Event {
    /// The events of an answer of the events API.
    pub fn newest_first(answer: &Value) -> Vec<Self> {
        let list = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut events: Vec<Self> = list
            .iter()
            .map(|event| Self {
                at: event["at"].as_i64().unwrap_or(0),
                kind: text(event, "kind"),
                text: text(event, "text"),
                raw: event.clone(),
            })
            .collect();
        events.sort_by_key(|event| std::cmp::Reverse((event.at, event.raw["seq"].as_u64())));
        events
    }
}

impl Client {
    /// The events that explain an instance, newest first.
    pub async fn why(&self, question: &Question) -> Outcome<Vec<Event>> {
        let params = Params::default()
            .with("instance", &question.instance)
            .with("why", "true")
            .with("lang", question.lang.word())
            .maybe("namespaceId", self.tenant())
            .maybe("service", question.service.as_deref())
            .maybe("groupName", question.group.as_deref())
            .maybe("from", question.from.map(|from| from.to_string()).as_deref())
            .with("limit", &question.limit.to_string());
        let response = self.send(Request::get("/v3/admin/diagnosis/events", params)).await?;
        if is_gone(&response) || response.status == 404 {
            return Err(CliError::Failed(format!(
                "{} keeps no journal of transitions: only nacre has this API, and no Java Nacos does",
                self.address
            )));
        }
        Ok(Event::newest_first(&data(&response)?))
    }

    /// The time of the oldest event that the journal remembers.
    pub async fn journal_begins(&self) -> Outcome<Option<i64>> {
        let params = Params::default().with("order", "asc").with("limit", "1");
        let found = data(&self.send(Request::get("/v3/admin/diagnosis/events", params)).await?)?;
        Ok(found["events"][0]["at"].as_i64())
    }
}

//! nacre's journal of transitions. No other server has it.

use serde_json::Value;

use super::{Client, data, is_gone, text};
use crate::{
    error::{CliError, Outcome},
    explain::Lang,
    http::{Params, Request, Response},
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

/// What happened on the whole server.
#[derive(Clone, Debug, Default)]
pub struct Everything {
    pub kinds: Vec<String>,
    pub address: Option<String>,
    pub instance: Option<String>,
    pub group: Option<String>,
    /// Moments as they were typed.
    pub from: Option<String>,
    pub to: Option<String>,
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
    /// Asks for what only nacre keeps; other servers are told apart.
    pub(super) async fn ask_journal(&self, path: &'static str, params: Params) -> Outcome<Response> {
        let response = self.send(Request::get(path, params)).await?;
        if is_gone(&response) || response.status == 404 {
            return Err(CliError::Failed(format!(
                "{} keeps no journal of transitions: only nacre has this API, and no Java Nacos does",
                self.address
            )));
        }
        Ok(response)
    }

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
        let response = self.ask_journal("/v3/admin/diagnosis/events", params).await?;
        Ok(Event::newest_first(&data(&response)?))
    }

    /// What happened, newest first, and whether there was more.
    pub async fn happened(&self, question: &Everything) -> Outcome<(Vec<Event>, bool)> {
        let params = Params::default()
            .maybe("kind", Some(question.kinds.join(",")).filter(|kinds| !kinds.is_empty()).as_deref())
            .maybe("text", question.address.as_deref())
            .maybe("instance", question.instance.as_deref())
            .maybe("groupName", question.group.as_deref())
            .maybe("namespaceId", self.tenant())
            .maybe("from", question.from.as_deref())
            .maybe("to", question.to.as_deref())
            .with("lang", question.lang.word())
            .with("limit", &question.limit.to_string());
        let response = self.ask_journal("/v3/admin/diagnosis/events", params).await?;
        let answer = data(&response)?;
        let more = answer["next"].is_u64();
        let mut events = Event::newest_first(&answer);
        if let Some(address) = &question.address {
            events.retain(|event| has_address(&event.raw.to_string(), address));
        }
        Ok((events, more))
    }

    /// The time of the oldest event that the journal remembers.
    pub async fn journal_begins(&self) -> Outcome<Option<i64>> {
        let params = Params::default().with("order", "asc").with("limit", "1");
        let found = data(&self.send(Request::get("/v3/admin/diagnosis/events", params)).await?)?;
        Ok(found["events"][0]["at"].as_i64())
    }
}

/// Whether the address stands in the text as a whole: 10.0.0.1 is not in 10.0.0.12 nor in 110.0.0.1.
fn has_address(text: &str, address: &str) -> bool {
    text.match_indices(address).any(|(at, _)| {
        let before = text[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.');
        let mut after = text[at + address.len()..].chars();
        let more = match after.next() {
            Some('.') => after.next().is_some_and(|c| c.is_ascii_digit()),
            next => next.is_some_and(|c| c.is_ascii_digit()),
        };
        !before && !more
    })
}

#[cfg(test)]
mod tests {
    use super::has_address;

    #[test]
    fn an_address_is_found_as_a_whole() {
        for text in ["instance 10.0.0.1:80:DEFAULT", "client 1700_10.0.0.1_5", "from 10.0.0.1. Then"] {
            assert!(has_address(text, "10.0.0.1"), "{text}");
        }
        for text in ["10.0.0.12:80", "110.0.0.1", "1.10.0.0.1", "10.0.0.1.5", "10.0.0.2"] {
            assert!(!has_address(text, "10.0.0.1"), "{text}");
        }
    }
}

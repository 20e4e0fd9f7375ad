//! nacre's past: what a service's list was, and what happened between two moments. No other server has it.

use serde_json::Value;

use super::{Client, data};
use crate::{error::Outcome, explain::Lang, http::Params};

/// What to ask for. Moments are handed over as they were typed: they are the server's clock's.
#[derive(Clone, Debug, Default)]
pub struct Question {
    pub service: Option<String>,
    pub config: Option<String>,
    pub group: Option<String>,
    pub instance: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub at: Option<String>,
    pub limit: usize,
    pub lang: Lang,
}

impl Client {
    /// The answer as the server gives it.
    pub async fn timeline(&self, question: &Question) -> Outcome<Value> {
        let params = Params::default()
            .maybe("serviceName", question.service.as_deref())
            .maybe("config", question.config.as_deref())
            .maybe("groupName", question.group.as_deref())
            .maybe("namespaceId", self.tenant())
            .maybe("instance", question.instance.as_deref())
            .maybe("from", question.from.as_deref())
            .maybe("to", question.to.as_deref())
            .maybe("at", question.at.as_deref())
            .with("lang", question.lang.word())
            .with("limit", &question.limit.to_string());
        let response = self.ask_journal("/v3/admin/diagnosis/timeline", params).await?;
        Ok(data(&response)?.clone())
    }
}

//! What a server says about itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Client, Generation, data, is_gone, said, text};
use crate::{
    error::Outcome,
    http::{Params, Request},
};

/// Everything `nacre status` shows. What a server of an older generation does not tell is `None`.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub version: Option<String>,
    pub mode: Option<String>,
    pub ready: bool,
    /// Why it is not ready.
    pub reason: String,
    pub leader: Option<String>,
    pub naming: Option<String>,
    pub counts: BTreeMap<&'static str, u64>,
    pub auth: Option<bool>,
    /// The server's own tasks, where it lists them (nacre does): how many there are, and what is wrong with which.
    pub workers: Option<(usize, Vec<String>)>,
}

/// Counters of the naming metrics that people ask for.
const COUNTS: &[&str] =
    &["serviceCount", "instanceCount", "subscribeCount", "clientCount", "connectionBasedClientCount"];

impl Client {
    pub async fn state(&self) -> Outcome<State> {
        let mut state = State::default();
        self.readiness(&mut state).await?;
        let first = Request::get("/v1/console/server/state", Params::default());
        let second = Request::get("/v3/admin/core/state", Params::default());
        let (_, response) = self.either(first, second).await?;
        if let Ok(map) = data(&response) {
            let field = |name: &str| Some(text(&map, name)).filter(|value| !value.is_empty());
            state.version = field("version");
            state.mode = field("startup_mode").or_else(|| field("standalone_mode"));
            state.auth = field("auth_enabled").map(|value| value == "true");
        }
        self.metrics(&mut state).await?;
        state.leader = self.leader().await?;
        state.workers = self.workers().await?;
        Ok(state)
    }

    async fn workers(&self) -> Outcome<Option<(usize, Vec<String>)>> {
        let response = self.send(Request::get("/v3/admin/diagnosis/workers", Params::default())).await?;
        if response.status != 200 {
            return Ok(None);
        }
        let found = data(&response)?;
        let list = found["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wrong =
            list.iter().filter(|worker| worker["state"] != "running" || worker["restarts"] != 0).map(|worker| {
                let (name, state, restarts) = (text(worker, "name"), text(worker, "state"), text(worker, "restarts"));
                let error = text(worker, "lastError");
                format!("{name} {state}, restarted {restarts} times{}{error}", if error.is_empty() { "" } else { ": " })
            });
        Ok(Some((list.len(), wrong.collect())))
    }

    async fn readiness(&self, state: &mut State) -> Outcome {
        let first = Request::get("/v1/console/health/readiness", Params::default());
        let second = Request::get("/v3/admin/core/state/readiness", Params::default());
        let (generation, response) = self.either(first, second).await?;
        state.ready = response.status == 200
            && match generation {
                Generation::V1 => response.text().trim().eq_ignore_ascii_case("ok") || data(&response).is_ok(),
                // v3 says 200 also when it is not ready; the code inside tells.
                Generation::V3 => data(&response).is_ok(),
            };
        if !state.ready {
            state.reason = said(&response);
        }
        Ok(())
    }

    async fn metrics(&self, state: &mut State) -> Outcome {
        let params = || Params::default().with("onlyStatus", "false");
        let first = Request::get("/v1/ns/operator/metrics", params());
        let second = Request::get("/v3/admin/ns/ops/metrics", params());
        let (_, response) = self.either(first, second).await?;
        if let Ok(metrics) = data(&response) {
            state.naming = Some(text(&metrics, "status")).filter(|status| !status.is_empty());
            state.counts = COUNTS.iter().filter_map(|name| Some((*name, metrics[*name].as_u64()?))).collect();
        }
        Ok(())
    }

    /// The leader of the consensus, where the server says who it is.
    async fn leader(&self) -> Outcome<Option<String>> {
        let first = Request::get("/v1/core/cluster/self", Params::default());
        let second = Request::get("/v3/admin/core/cluster/node/self", Params::default());
        let (_, response) = self.either(first, second).await?;
        if is_gone(&response) {
            return self.leader_metric().await;
        }
        let groups = data(&response).ok().and_then(|mut member| {
            Some(member.get_mut("extendInfo")?.get_mut("raftMetaData")?.get_mut("metaDataMap")?.take())
        });
        let leader = groups.as_ref().and_then(Value::as_object).and_then(|groups| {
            groups.values().find_map(|group| group["leader"].as_str().filter(|leader| !leader.is_empty()))
        });
        match leader {
            Some(leader) => Ok(Some(leader.to_owned())),
            None => self.leader_metric().await,
        }
    }

    /// `nacos_monitor{name="leaderStatus"} 1.0` on the leader itself.
    async fn leader_metric(&self) -> Outcome<Option<String>> {
        let response = self.send(Request::get("/actuator/prometheus", Params::default())).await?;
        if response.status != 200 {
            return Ok(None);
        }
        let text = response.text();
        let line =
            text.lines().find(|line| line.starts_with("nacos_monitor{") && line.contains("name=\"leaderStatus\""));
        let leads =
            line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).is_some_and(|value| value >= 1.0);
        Ok(leads.then(|| "this node".to_owned()))
    }
}

//! Members of the cluster as a server sees them, and its metrics.

use serde_json::Value;

use super::{Client, data, text};
use crate::{
    error::Outcome,
    explain::scrape::{Sample, samples},
    http::{Params, Request},
};

/// A node of the cluster.
#[derive(Clone, Debug)]
pub struct Member {
    pub address: String,
    /// `UP`, `DOWN`, `SUSPICIOUS`, ...; of the old raft `LEADER`, `FOLLOWER`, `CANDIDATE`.
    pub state: String,
    pub version: String,
    /// Leaders of the raft groups as this member last said: group and address.
    pub leaders: Vec<(String, String)>,
    /// Where it speaks raft, as text; empty when it does not tell.
    pub raft_port: String,
}

/// What a scrape came to.
pub enum Scrape {
    Samples(Vec<Sample>),
    /// The server answers and does not export metrics.
    Hidden(u16),
}

impl Client {
    /// `/actuator/prometheus`.
    pub async fn scrape(&self) -> Outcome<Scrape> {
        let response = self.send(Request::get("/actuator/prometheus", Params::default())).await?;
        if response.status != 200 {
            return Ok(Scrape::Hidden(response.status));
        }
        Ok(Scrape::Samples(samples(&response.text())))
    }

    /// Version and start mode.
    pub async fn version(&self) -> Outcome<(Option<String>, Option<String>)> {
        let first = Request::get("/v1/console/server/state", Params::default());
        let second = Request::get("/v3/admin/core/state", Params::default());
        let (_, response) = self.either(first, second).await?;
        let Ok(map) = data(&response) else { return Ok((None, None)) };
        let field = |name: &str| Some(text(&map, name)).filter(|value| !value.is_empty());
        Ok((field("version"), field("standalone_mode").or_else(|| field("startup_mode"))))
    }

    /// Members by the APIs of 1.3 and later, of 3.x, and of the old raft. Empty when the server tells nothing.
    pub async fn members(&self) -> Outcome<Vec<Member>> {
        let first = Request::get("/v1/core/cluster/nodes", Params::default());
        let second = Request::get("/v3/admin/core/cluster/node/list", Params::default());
        let (_, response) = self.either(first, second).await?;
        if let Ok(Value::Array(list)) = data(&response) {
            return Ok(list.iter().map(member).collect());
        }
        let response = self.send(Request::get("/v1/ns/raft/state", Params::default())).await?;
        let peers = response.json().filter(|_| response.status == 200).map(|mut json| json["peers"].take());
        let Some(Value::Array(peers)) = peers else { return Ok(Vec::new()) };
        let peer = |peer: &Value| Member {
            address: text(peer, "ip"),
            state: text(peer, "state"),
            version: String::new(),
            raft_port: String::new(),
            leaders: Vec::new(),
        };
        Ok(peers.iter().map(peer).collect())
    }
}

fn member(node: &Value) -> Member {
    let groups = node["extendInfo"]["raftMetaData"]["metaDataMap"].as_object();
    let leaders = groups.into_iter().flatten().filter_map(|(group, data)| {
        data["leader"].as_str().filter(|leader| !leader.is_empty()).map(|leader| (group.clone(), leader.to_owned()))
    });
    Member {
        address: text(node, "address"),
        state: text(node, "state"),
        version: text(&node["extendInfo"], "version"),
        raft_port: text(&node["extendInfo"], "raftPort"),
        leaders: leaders.collect(),
    }
}

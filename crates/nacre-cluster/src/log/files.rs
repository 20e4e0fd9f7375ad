//! The two small files beside the segments: `meta` (vote, purged) and `watermark` (how much was acknowledged).

use serde::{Deserialize, Serialize};

use super::twin::Shape;
use crate::{
    Position,
    types::{LogId, Vote},
};

pub const META: &str = "meta";
pub const WATERMARK: &str = "watermark";
pub const LOCK: &str = "lock";

pub const META_SHAPE: Shape = Shape { magic: *b"NACRMETA", slot: 4096 };
pub const WATERMARK_SHAPE: Shape = Shape { magic: *b"NACRMARK", slot: 512 };

/// What raft must never forget. Written durably before it counts. Stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The node this log belongs to.
    pub node: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vote: Option<VoteForm>,
    /// Last entry removed from the front because a checkpoint covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteForm {
    pub term: u64,
    pub node: u64,
    pub committed: bool,
}

impl Meta {
    pub fn encode(&self) -> Vec<u8> {
        // A struct of numbers always serialises.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    pub fn vote(&self) -> Option<Vote> {
        self.vote.map(|form| {
            if form.committed { Vote::new_committed(form.term, form.node) } else { Vote::new(form.term, form.node) }
        })
    }

    pub fn set_vote(&mut self, vote: &Vote) {
        let id = vote.leader_id();
        self.vote = Some(VoteForm { term: id.term, node: id.node_id, committed: vote.is_committed() });
    }

    pub fn purged(&self) -> Option<LogId> {
        self.purged.map(LogId::from)
    }
}

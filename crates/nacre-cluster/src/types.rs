//! What the engine is told about our types, and the conversions between its words and ours.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use bytes::Bytes;
use openraft::{BasicNode, CommittedLeaderId, Membership, StoredMembership};
use serde::{Deserialize, Serialize};

use crate::Position;

/// Commands that share one log entry, and the wall time at which all of them are applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub wall: i64,
    pub commands: Vec<Bytes>,
}

/// One reply per command of a batch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Replies(pub Vec<Bytes>);

/// A state received from another node, in a file.
#[derive(Clone, Debug, Default)]
pub struct SnapshotFile {
    pub path: Option<PathBuf>,
}

openraft::declare_raft_types!(
    /// The engine's type parameters.
    pub Types:
        D = Batch,
        R = Replies,
        NodeId = u64,
        Node = BasicNode,
        SnapshotData = SnapshotFile,
);

pub type LogEntry = openraft::Entry<Types>;
pub type LogId = openraft::LogId<u64>;
pub type Vote = openraft::Vote<u64>;
pub type StorageError = openraft::StorageError<u64>;
pub type SnapshotMeta = openraft::SnapshotMeta<u64, BasicNode>;
pub type Members = StoredMembership<u64, BasicNode>;

impl From<LogId> for Position {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<Position> for LogId {
    fn from(position: Position) -> Self {
        Self::new(CommittedLeaderId::new(position.term, position.node), position.index)
    }
}

/// Stored form of a membership: in log entries and in the state machine's blob. JSON, version 1.
#[derive(Debug, Serialize, Deserialize)]
struct MembershipForm {
    version: u32,
    /// Entry that set it; absent inside that entry itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set_by: Option<Position>,
    /// Voters; two sets while a change is under way.
    voters: Vec<Vec<u64>>,
    /// Node id and address of voters and learners.
    nodes: BTreeMap<u64, String>,
}

const MEMBERSHIP_VERSION: u32 = 1;

pub fn encode_membership(set_by: Option<LogId>, membership: &Membership<u64, BasicNode>) -> Bytes {
    let form = MembershipForm {
        version: MEMBERSHIP_VERSION,
        set_by: set_by.map(Position::from),
        voters: membership.get_joint_config().iter().map(|set| set.iter().copied().collect()).collect(),
        nodes: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
    };
    // A struct of numbers and strings always serialises.
    Bytes::from(serde_json::to_vec(&form).unwrap_or_default())
}

pub fn decode_membership(bytes: &[u8]) -> Result<Members, String> {
    let form: MembershipForm = serde_json::from_slice(bytes).map_err(|error| format!("membership: {error}"))?;
    if form.version != MEMBERSHIP_VERSION {
        return Err(format!("membership of version {}, this version reads {MEMBERSHIP_VERSION}", form.version));
    }
    let voters = form.voters.into_iter().map(|set| set.into_iter().collect()).collect();
    let nodes: BTreeMap<u64, BasicNode> =
        form.nodes.into_iter().map(|(id, address)| (id, BasicNode::new(address))).collect();
    Ok(StoredMembership::new(form.set_by.map(LogId::from), Membership::new(voters, nodes)))
}

/// Receives events; see [`crate::EventSink`].
pub fn emit(sink: &Arc<dyn Fn(nacre_model::Event) + Send + Sync>, cause: nacre_model::Cause) {
    let now = nacre_model::Now { mono: 0, wall: wall_clock() };
    sink(nacre_model::Event::new(now, nacre_model::Subject::default(), cause));
}

/// Milliseconds since the Unix epoch.
pub fn wall_clock() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_reads_back_and_its_form_is_frozen() {
        let nodes: BTreeMap<u64, BasicNode> = [(1, BasicNode::new("a:1")), (2, BasicNode::new("b:2"))].into();
        let membership = Membership::new(vec![[1].into()], nodes);
        let set_by = LogId::new(CommittedLeaderId::new(3, 1), 7);
        let bytes = encode_membership(Some(set_by), &membership);
        let text =
            r#"{"version":1,"set_by":{"term":3,"node":1,"index":7},"voters":[[1]],"nodes":{"1":"a:1","2":"b:2"}}"#;
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), text);
        assert_eq!(decode_membership(&bytes).unwrap(), StoredMembership::new(Some(set_by), membership));
        assert!(decode_membership(text.replace("\"version\":1", "\"version\":2").as_bytes()).is_err());
    }
}

//! What is written: batches of rows with the position they were applied at.

use nacre_config::StoreOp;
use serde::{Deserialize, Serialize};

/// Position in the log of the last applied entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Applied {
    pub index: u64,
    pub term: u64,
    /// Node that led the term.
    pub leader: u64,
}

impl Applied {
    pub(crate) fn to_text(self) -> String {
        format!("{} {} {}", self.index, self.term, self.leader)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(|number| number.parse().ok());
        Some(Self { index: numbers.next()??, term: numbers.next()??, leader: numbers.next()?? })
    }
}

/// One row of `nacre_kv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvRow {
    pub kind: String,
    pub key: String,
    pub value: Vec<u8>,
}

/// A change of `nacre_kv`, the durable rows of naming and others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvOp {
    Put(KvRow),
    Delete { kind: String, key: String },
}

/// One transaction. Give each position at most one batch: a batch whose position is not after the stored one was written
/// already (a replay) and is left out.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// Where the log is after this batch; kept in the same transaction. `None` leaves the stored position.
    pub applied: Option<Applied>,
    pub ops: Vec<StoreOp>,
    pub kv: Vec<KvOp>,
    /// Rows of `nacre_meta` (e.g. the consensus membership), by name.
    pub meta: Vec<(String, Vec<u8>)>,
}

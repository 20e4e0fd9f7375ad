//! The state machine as this room sees it: something that applies opaque commands in order and can say how far it got.

use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Where an entry stands in the log. Ordered; equal positions hold equal entries on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Term of the leader that wrote the entry.
    pub term: u64,
    /// That leader's node id.
    pub node: u64,
    /// Place in the log; the first entry is 0.
    pub index: u64,
}

/// One entry of the log, handed to [`StateMachine::apply`] in order, each exactly once per run of the process.
#[derive(Clone, Debug)]
pub struct Entry {
    pub position: Position,
    /// Wall clock in ms since the epoch, chosen by the proposer and stored in the log: a replay sees the same time.
    /// Never goes back from one entry to the next. 0 for entries without commands.
    pub wall: i64,
    /// What callers of `Consensus::write` gave, in their order. Empty for entries of the engine itself (a new leader's
    /// blank entry, a change of membership).
    pub commands: Vec<Bytes>,
    /// Set when this entry changes the membership: keep the bytes with the position, [`StateMachine::applied`] returns
    /// them. Opaque.
    pub membership: Option<Bytes>,
}

/// How far a state machine got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last entry applied, commands or not.
    pub position: Option<Position>,
    /// The newest membership bytes received in an entry up to `position`.
    pub membership: Option<Bytes>,
}

/// Why the state machine could not do what it must. It ends writes until a restart: a state machine that skipped an
/// entry would silently differ from its log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MachineError(pub String);

/// What applies the commands. All calls come from threads that may block. `apply` and `install` never overlap;
/// `checkpoint` and `snapshot` may run while entries are applied.
///
/// The durable form of the state is the implementation's own database, written *behind* the log: after a crash the log
/// is replayed from [`applied`](Self::applied), so an implementation stores the position in the same transaction as the
/// rows that belong to it. The log is purged only behind a [`checkpoint`](Self::checkpoint).
pub trait StateMachine: Send + Sync + 'static {
    /// Applies one entry and answers one reply per command, in order. Must be deterministic: same entries, same state.
    /// A command that is refused by the rules of the domain is a *reply*, not an error.
    fn apply(&self, entry: Entry) -> Result<Vec<Bytes>, MachineError>;

    /// The last entry applied in memory. Right after opening this is what the database holds.
    fn applied(&self) -> Applied;

    /// Makes everything applied so far durable in the database without the log's help (flush, WAL checkpoint, fsync) and
    /// says up to where: at least what was applied when it was called. The log may be purged up to the answer.
    fn checkpoint(&self) -> Result<Applied, MachineError>;

    /// Writes a consistent copy of the database to the file `to` and says what it contains: for a node that joins or
    /// lags behind the purged log.
    fn snapshot(&self, to: &Path) -> Result<Applied, MachineError>;

    /// Replaces the whole state with the copy in `from` (made by [`snapshot`](Self::snapshot) on another node),
    /// durably. Afterwards [`applied`](Self::applied) equals `applied`.
    fn install(&self, from: &Path, applied: Applied) -> Result<(), MachineError>;
}

//! A log looked at without being started: for tools and for tests.

use std::path::Path;

use openraft::{EntryPayload, RaftLogId};

use super::{medium::Disk, open::Opener, read_entry};
use crate::{Entry, Position, Recovery, StartError, types::encode_membership};

/// What a log holds.
#[derive(Clone, Debug)]
pub struct CheckedLog {
    /// All entries behind the purged part, in order.
    pub entries: Vec<Entry>,
    /// Bytes of an unacknowledged write that were cut from the end.
    pub cut: u64,
    /// What was given up under [`Recovery::AcceptLoss`].
    pub lost: Vec<String>,
}

/// Opens the log in `dir` exactly as a start does (every byte is checked, a torn tail is cut), and reads it. `applied` is
/// what the database holds. Fails where a start would.
pub fn check_log(
    dir: &Path,
    node: u64,
    recovery: Recovery,
    applied: Option<Position>,
) -> Result<CheckedLog, StartError> {
    let opened = Opener { dir, node, recovery, applied, medium: &Disk }.open()?;
    let mut entries = Vec::new();
    for segment in &opened.segments {
        for index in segment.first..segment.next() {
            let Some((from, to)) = segment.range(index) else { continue };
            let entry = read_entry(&segment.file, segment.seal, from, to)
                .map_err(|source| StartError::Io { path: segment.path.clone(), source })?;
            let position = Position::from(*entry.get_log_id());
            entries.push(match entry.payload {
                EntryPayload::Blank => Entry { position, wall: 0, commands: Vec::new(), membership: None },
                EntryPayload::Normal(batch) => {
                    Entry { position, wall: batch.wall, commands: batch.commands, membership: None }
                }
                EntryPayload::Membership(members) => {
                    let membership = Some(encode_membership(Some(position.into()), &members));
                    Entry { position, wall: 0, commands: Vec::new(), membership }
                }
            });
        }
    }
    Ok(CheckedLog { entries, cut: opened.cut.map_or(0, |cut| cut.bytes), lost: opened.lost })
}

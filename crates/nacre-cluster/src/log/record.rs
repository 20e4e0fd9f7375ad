//! Bytes of one log entry. Format 1, frozen; `tests/fixtures/log-v1` is opened by a test.
//!
//! ```text
//! offset  size
//!      0     4  magic "NCR1"
//!      4     4  length of the body
//!      8     8  index
//!     16     8  term
//!     24     8  entries known durable when this one was written (all indexes below)
//!     32     4  crc32 of the body
//!     36     4  crc32 of the segment's seal and the 36 bytes before
//!     40     …  body: node of the leader u64, kind u8, then
//!               kind 0 (blank): nothing
//!               kind 1 (commands): wall i64, count u32, count times (length u32, bytes)
//!               kind 2 (membership): JSON
//! ```
//!
//! All numbers little endian. The number of durable entries is what tells a torn write from damage: a record that says
//! "everything below 8 is durable" proves that entry 7 was acknowledged. The seal is a random number of the segment:
//! without knowing it nobody can write a command whose bytes look like a record.

use bytes::Bytes;
use openraft::{CommittedLeaderId, EntryPayload, RaftLogId};

use crate::types::{Batch, LogEntry, LogId, decode_membership, encode_membership};

pub const HEADER: usize = 40;
const MAGIC: [u8; 4] = *b"NCR1";
/// Bytes of a body before its commands.
const BODY_HEAD: usize = 8 + 1 + 8 + 4;

const BLANK: u8 = 0;
const COMMANDS: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// A record's header whose own checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub length: u32,
    pub index: u64,
    pub term: u64,
    /// All indexes below were durable when the record was written.
    pub durable: u64,
    crc: u32,
}

impl Header {
    /// Bytes of the whole record.
    pub fn size(&self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }
}

/// Size on disk of an entry with these commands, for reserving space before it is proposed.
pub fn size_of_commands(count: usize, bytes: usize) -> u64 {
    (HEADER + BODY_HEAD + 4 * count + bytes) as u64
}

/// The random number of a segment.
pub type Seal = u32;

/// Appends the record of `entry` to `out`. Fails only on a body of 4 GiB or more.
pub fn encode(entry: &LogEntry, seal: Seal, durable: u64, out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    let id = entry.get_log_id();
    out.resize(start + HEADER, 0);
    out.extend_from_slice(&id.leader_id.node_id.to_le_bytes());
    match &entry.payload {
        EntryPayload::Blank => out.push(BLANK),
        EntryPayload::Normal(batch) => {
            out.push(COMMANDS);
            out.extend_from_slice(&batch.wall.to_le_bytes());
            out.extend_from_slice(&length_of(batch.commands.len())?.to_le_bytes());
            for command in &batch.commands {
                out.extend_from_slice(&length_of(command.len())?.to_le_bytes());
                out.extend_from_slice(command);
            }
        }
        EntryPayload::Membership(membership) => {
            out.push(MEMBERSHIP);
            out.extend_from_slice(&encode_membership(None, membership));
        }
    }
    let body = &out[start + HEADER..];
    let length = length_of(body.len())?;
    let crc = crc32fast::hash(body);
    let header = &mut out[start..start + HEADER];
    header[0..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&id.index.to_le_bytes());
    header[16..24].copy_from_slice(&id.leader_id.term.to_le_bytes());
    header[24..32].copy_from_slice(&durable.to_le_bytes());
    header[32..36].copy_from_slice(&crc.to_le_bytes());
    let own = header_crc(seal, &header[..36]);
    header[36..40].copy_from_slice(&own.to_le_bytes());
    Ok(())
}

fn length_of(bytes: usize) -> Result<u32, String> {
    u32::try_from(bytes).map_err(|_| format!("{bytes} bytes do not fit into one log entry"))
}

fn header_crc(seal: Seal, head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seal.to_le_bytes());
    hasher.update(head);
    hasher.finalize()
}

/// Reads and checks the header at the start of `bytes`.
pub fn header(bytes: &[u8], seal: Seal) -> Result<Header, String> {
    let Some(head) = bytes.first_chunk::<HEADER>() else {
        return Err(format!("only {} of {HEADER} bytes of a record's header", bytes.len()));
    };
    if head[0..4] != MAGIC {
        return Err("no record begins here".into());
    }
    if header_crc(seal, &head[..36]) != u32_at(head, 36) {
        return Err("the checksum of a record's header is wrong".into());
    }
    Ok(Header {
        length: u32_at(head, 4),
        index: u64_at(head, 8),
        term: u64_at(head, 16),
        durable: u64_at(head, 24),
        crc: u32_at(head, 32),
    })
}

/// Reads and checks header and body at the start of `bytes`; gives the header and the body's bytes.
pub fn record(bytes: &[u8], seal: Seal) -> Result<(Header, &[u8]), String> {
    let header = header(bytes, seal)?;
    let body = bytes
        .get(HEADER..HEADER + header.length as usize)
        .ok_or_else(|| format!("entry {} has {} of {} bytes", header.index, bytes.len() - HEADER, header.length))?;
    check(&header, body)?;
    Ok((header, body))
}

fn check(header: &Header, body: &[u8]) -> Result<(), String> {
    if crc32fast::hash(body) == header.crc {
        Ok(())
    } else {
        Err(format!("the checksum of entry {} is wrong", header.index))
    }
}

/// The entry of a whole record (header and body), sharing its memory.
pub fn decode(record: &Bytes, seal: Seal) -> Result<LogEntry, String> {
    let header = header(record, seal)?;
    let body = record.slice(HEADER..);
    if body.len() != header.length as usize {
        return Err(format!("entry {} has {} of {} bytes", header.index, body.len(), header.length));
    }
    check(&header, &body)?;
    let short = || format!("the body of entry {} is too short", header.index);
    let node = u64::from_le_bytes(*body.first_chunk().ok_or_else(short)?);
    let kind = *body.get(8).ok_or_else(short)?;
    let payload = match kind {
        BLANK => EntryPayload::Blank,
        COMMANDS => EntryPayload::Normal(commands(&body).ok_or_else(short)?),
        MEMBERSHIP => EntryPayload::Membership(decode_membership(&body[9..])?.membership().clone()),
        other => return Err(format!("entry {} is of the unknown kind {other}", header.index)),
    };
    let log_id = LogId::new(CommittedLeaderId::new(header.term, node), header.index);
    Ok(LogEntry { log_id, payload })
}

fn commands(body: &Bytes) -> Option<Batch> {
    let wall = i64::from_le_bytes(*body.get(9..17)?.first_chunk()?);
    let count = u32::from_le_bytes(*body.get(17..21)?.first_chunk()?);
    let mut at = BODY_HEAD;
    let mut commands = Vec::with_capacity((count as usize).min(body.len() / 4));
    for _ in 0..count {
        let length = u32::from_le_bytes(*body.get(at..at + 4)?.first_chunk()?) as usize;
        at += 4;
        body.get(at..at + length)?;
        commands.push(body.slice(at..at + length));
        at += length;
    }
    (at == body.len()).then_some(Batch { wall, commands })
}

/// Wall time of a batch of commands, `None` for other kinds. The record must have been checked.
pub fn wall_of(record: &[u8]) -> Option<i64> {
    let body = record.get(HEADER..)?;
    (*body.get(8)? == COMMANDS).then_some(i64::from_le_bytes(*body.get(9..17)?.first_chunk()?))
}

/// The largest "durable" number of whole records anywhere in `bytes`, at any offset: what proves that something before
/// them was acknowledged.
pub fn durable_claimed_in(bytes: &[u8], seal: Seal) -> Option<u64> {
    let mut at = 0;
    let mut claimed = None;
    while let Some(found) = bytes[at..].windows(MAGIC.len()).position(|window| window == MAGIC) {
        at += found;
        match record(&bytes[at..], seal) {
            Ok((header, _)) => {
                claimed = claimed.max(Some(header.durable));
                at += header.size() as usize;
            }
            Err(_) => at += 1,
        }
    }
    claimed
}

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openraft::{BasicNode, Membership};

    use super::*;

    const SEAL: Seal = 77;

    fn entry(index: u64, payload: EntryPayload<crate::types::Types>) -> LogEntry {
        LogEntry { log_id: LogId::new(CommittedLeaderId::new(3, 9), index), payload }
    }

    fn entries() -> Vec<LogEntry> {
        let commands = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![7; 3000])];
        let nodes: BTreeMap<u64, BasicNode> = [(1, BasicNode::new("a:1"))].into();
        vec![
            entry(0, EntryPayload::Blank),
            entry(1, EntryPayload::Normal(Batch { wall: -5, commands })),
            entry(2, EntryPayload::Membership(Membership::new(vec![[1].into()], nodes))),
            entry(3, EntryPayload::Normal(Batch { wall: 7, commands: Vec::new() })),
        ]
    }

    fn encoded(entry: &LogEntry, durable: u64) -> Bytes {
        let mut out = Vec::new();
        encode(entry, SEAL, durable, &mut out).unwrap();
        Bytes::from(out)
    }

    #[test]
    fn every_kind_of_entry_reads_back() {
        for entry in entries() {
            let bytes = encoded(&entry, 4);
            assert_eq!(decode(&bytes, SEAL).unwrap(), entry);
            let (header, _) = record(&bytes, SEAL).unwrap();
            assert_eq!((header.index, header.term, header.durable), (entry.log_id.index, 3, 4));
            assert_eq!(header.size(), bytes.len() as u64);
        }
    }

    #[test]
    fn the_size_of_commands_is_known_before_encoding() {
        let batch = Batch { wall: 1, commands: vec![Bytes::from_static(b"abc"), Bytes::from_static(b"defgh")] };
        assert_eq!(encoded(&entry(1, EntryPayload::Normal(batch)), 0).len() as u64, size_of_commands(2, 8));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        for entry in entries() {
            let good = encoded(&entry, 4);
            for at in 0..good.len() {
                let mut bad = good.to_vec();
                bad[at] ^= 1 << (at % 8);
                assert!(record(&bad, SEAL).is_err(), "flip at {at}");
                assert!(record(&good[..at], SEAL).is_err(), "cut at {at}");
            }
        }
    }

    #[test]
    fn claims_are_found_behind_damage() {
        let mut bytes = vec![0xff; 13];
        bytes.extend_from_slice(&encoded(&entries()[1], 5));
        let whole = bytes.len();
        bytes.extend_from_slice(&encoded(&entries()[2], 6));
        assert_eq!(durable_claimed_in(&bytes, SEAL), Some(6));
        assert_eq!(durable_claimed_in(&bytes[..whole + 20], SEAL), Some(5));
        assert_eq!(durable_claimed_in(&bytes[..40], SEAL), None);
        assert_eq!(durable_claimed_in(b"NCR1NCR1", SEAL), None);
        assert_eq!(durable_claimed_in(&bytes, SEAL + 1), None, "bytes of another segment, or made up by a caller");
    }
}

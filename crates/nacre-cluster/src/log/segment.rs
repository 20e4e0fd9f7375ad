//! Segment files: a header and records with consecutive indexes. Named by the first index: `00000000000000000042.log`.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use openraft::CommittedLeaderId;

use super::{
    medium::Medium,
    record::{self, Seal},
};
use crate::types::LogId;

pub const HEADER: usize = 32;
const MAGIC: [u8; 8] = *b"NACRELOG";
pub const FORMAT: u32 = 1;
const EXTENSION: &str = "log";

/// One open segment.
#[derive(Clone, Debug)]
pub struct Segment {
    pub first: u64,
    pub path: PathBuf,
    pub file: Arc<File>,
    pub seal: Seal,
    /// Where each record begins; `offsets[i]` is entry `first + i`.
    pub offsets: Vec<u64>,
    /// End of the last whole record.
    pub end: u64,
}

impl Segment {
    /// Index after the last entry.
    pub fn next(&self) -> u64 {
        self.first + self.offsets.len() as u64
    }

    /// Byte range of an entry's record, `None` when it is not in this segment.
    pub fn range(&self, index: u64) -> Option<(u64, u64)> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        let start = *self.offsets.get(at)?;
        Some((start, self.offsets.get(at + 1).copied().unwrap_or(self.end)))
    }

    /// Creates an empty segment whose first entry will be `first`; it is durable when this returns.
    pub fn create(medium: &dyn Medium, dir: &Path, first: u64) -> io::Result<Self> {
        let path = dir.join(file_name(first));
        let seal = new_seal();
        medium.create_whole(&path, &header(first, seal))?;
        let file = File::options().read(true).write(true).open(&path)?;
        Ok(Self { first, path, file: Arc::new(file), seal, offsets: Vec::new(), end: HEADER as u64 })
    }
}

pub fn file_name(first: u64) -> String {
    format!("{first:020}.{EXTENSION}")
}

/// First index by the file's name, `None` for files that are no segments.
pub fn first_of(path: &Path) -> Option<u64> {
    if path.extension()? != EXTENSION {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    if stem.len() == 20 { stem.parse().ok() } else { None }
}

/// A number nobody can guess.
fn new_seal() -> Seal {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as Seal
}

fn header(first: u64, seal: Seal) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&seal.to_le_bytes());
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..24]);
    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What a segment's bytes hold.
#[derive(Debug)]
pub struct Scan {
    pub seal: Seal,
    pub offsets: Vec<u64>,
    pub end: u64,
    /// Id of the last whole record.
    pub last: Option<LogId>,
    /// Why the scan ended before the end of the bytes.
    pub stop: Option<String>,
}

#[derive(Debug)]
pub enum BadHeader {
    Damaged(String),
    Newer(u32),
}

/// Checks every record of a segment from its start.
pub fn scan(bytes: &[u8], first: u64) -> Result<Scan, BadHeader> {
    let seal = check_header(bytes, first)?;
    let mut scan = Scan { seal, offsets: Vec::new(), end: HEADER as u64, last: None, stop: None };
    let mut rest = &bytes[HEADER..];
    while !rest.is_empty() {
        let expected = first + scan.offsets.len() as u64;
        match record::record(rest, seal)
            .and_then(|(header, body)| id_of(&header, body, expected).map(|id| (header, id)))
        {
            Ok((header, id)) => {
                scan.offsets.push(scan.end);
                scan.end += header.size();
                scan.last = Some(id);
                rest = &rest[header.size() as usize..];
            }
            Err(detail) => {
                scan.stop = Some(detail);
                break;
            }
        }
    }
    Ok(scan)
}

fn id_of(header: &record::Header, body: &[u8], expected: u64) -> Result<LogId, String> {
    if header.index != expected {
        return Err(format!("entry {} stands where entry {expected} belongs", header.index));
    }
    let node = body.first_chunk::<8>().ok_or_else(|| format!("the body of entry {expected} is too short"))?;
    Ok(LogId::new(CommittedLeaderId::new(header.term, u64::from_le_bytes(*node)), header.index))
}

fn check_header(bytes: &[u8], first: u64) -> Result<Seal, BadHeader> {
    let damaged = |detail: &str| Err(BadHeader::Damaged(detail.to_owned()));
    let Some(found) = bytes.first_chunk::<HEADER>() else { return damaged("the file's header is incomplete") };
    let number = |at: usize| u32::from_le_bytes([found[at], found[at + 1], found[at + 2], found[at + 3]]);
    let seal = number(12);
    if *found == header(first, seal) {
        return Ok(seal);
    }
    if found[0..8] != MAGIC || number(24) != crc32fast::hash(&found[..24]) {
        return damaged("the file's header is wrong");
    }
    match number(8) {
        format if format > FORMAT => Err(BadHeader::Newer(format)),
        _ => damaged("the file's header does not match its name"),
    }
}

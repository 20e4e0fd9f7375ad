//! A segment: `<first number>-<first time>.seg`, a header of 16 bytes and frames; and what is known of it without reading
//! it ([`Meta`]), kept beside a finished one in `….idx` together with its Bloom filter.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    bloom::{Bloom, Tag},
    codec::{self, BASE, EVENT, Head, OPENED, ROUND, Round},
    frame::{self, Frames, Item},
};

pub const HEADER: usize = 16;
const MAGIC: &[u8; 8] = b"NACREJNL";
/// Rises when an older version could not read what is written. 2: events leave out what most of them have.
pub const VERSION: u32 = 2;
/// The first version whose frames this one reads.
const OLDEST: u32 = 1;
const EXTENSION: &str = "seg";
const INDEX: &str = "idx";
/// A mark each so many bytes.
const MARK_BYTES: u64 = 256 * 1024;
/// Gaps of one segment that are told apart.
const NOTED: usize = 64;
/// Rounds of one segment that are known without reading it; with an older one more has to be read.
const ROUNDS: usize = 256;

pub fn header() -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Whether frames of a file with this beginning can be read. A damaged header says nothing against the frames.
fn readable(header: &[u8]) -> bool {
    let sound = header.len() == HEADER && crc32fast::hash(&header[..12]).to_le_bytes() == header[12..];
    !sound || (header[..8] == *MAGIC && (OLDEST..=VERSION).contains(&version(header)))
}

fn version(header: &[u8]) -> u32 {
    header.get(8..12).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Whether a segment is one that this version began: only such a one may be written on.
pub fn is_own(dir: &Path, name: &str) -> bool {
    let mut found = [0; HEADER];
    let read = File::open(dir.join(name)).and_then(|mut file| file.read_exact(&mut found));
    read.is_ok() && found == header()
}

pub fn name(first: u64, at: i64) -> String {
    format!("{first:020}-{at:013}.{EXTENSION}")
}

/// A place to begin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub offset: u64,
    /// Bounds of the events from here to the next mark; `first > last` when there are none.
    pub first: u64,
    pub last: u64,
    pub from: i64,
    pub to: i64,
}

impl Mark {
    fn new(offset: u64) -> Self {
        Self { offset, first: u64::MAX, last: 0, from: i64::MAX, to: i64::MIN }
    }

    fn take(&mut self, seq: u64, at: i64) {
        self.first = self.first.min(seq);
        self.last = self.last.max(seq);
        self.from = self.from.min(at);
        self.to = self.to.max(at);
    }
}

/// Numbers that are not on disk: dropped before they were written, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First and last number that is missing.
    pub first: u64,
    pub last: u64,
    /// When the next event that is there happened.
    pub at: i64,
}

/// What is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// File name.
    pub name: String,
    pub bytes: u64,
    pub events: u64,
    /// Bounds of everything in it.
    pub whole: Mark,
    /// Never empty, in order, the first at the header's end.
    pub marks: Vec<Mark>,
    /// Hashes of the kinds in it, sorted.
    pub kinds: Vec<u32>,
    /// First number and time of each process that began to write in it.
    pub opened: Vec<(u64, i64)>,
    pub rounds: Vec<Round>,
    pub gaps: Vec<Gap>,
}

impl Meta {
    pub fn new(name: String) -> Self {
        Self {
            name,
            bytes: HEADER as u64,
            events: 0,
            whole: Mark::new(HEADER as u64),
            marks: vec![Mark::new(HEADER as u64)],
            kinds: Vec::new(),
            opened: Vec::new(),
            rounds: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Notes a frame at `offset`. `previous` is the number of the event before it, wherever that was.
    pub fn note(&mut self, bloom: &mut Bloom, offset: u64, head: &Head, body: &[u8], previous: &mut u64) {
        let open = self.marks.last().map_or(HEADER as u64, |mark| mark.offset);
        if offset >= open + MARK_BYTES {
            self.marks.push(Mark::new(offset));
        }
        match head.sort {
            EVENT => {
                if *previous > 0 && head.seq > *previous + 1 {
                    self.gap(Gap { first: *previous + 1, last: head.seq - 1, at: head.at });
                }
                *previous = head.seq;
                self.events += 1;
                self.whole.take(head.seq, head.at);
                if let Some(mark) = self.marks.last_mut() {
                    mark.take(head.seq, head.at);
                }
                if let Err(place) = self.kinds.binary_search(&head.kind) {
                    self.kinds.insert(place, head.kind);
                }
                let tags = [Tag::Service, Tag::Config, Tag::Instance, Tag::Client];
                for (tag, hash) in tags.into_iter().zip([head.service, head.config, head.instance, head.client]) {
                    if hash != 0 {
                        bloom.add(tag, hash);
                    }
                }
            }
            BASE => {
                bloom.add(Tag::Base, head.service);
                // A list has a time as well, so that its block is found by it.
                if let Some(mark) = self.marks.last_mut() {
                    mark.from = mark.from.min(head.at);
                    mark.to = mark.to.max(head.at);
                }
                self.whole.from = self.whole.from.min(head.at);
                self.whole.to = self.whole.to.max(head.at);
            }
            OPENED => {
                // Numbers jump where a process ended without telling which it gave last.
                *previous = 0;
                self.opened.push((head.seq, head.at));
            }
            ROUND => {
                if let Some(round) = codec::read_round(body)
                    && self.rounds.len() < ROUNDS
                {
                    self.rounds.push(round);
                }
            }
            _ => {}
        }
    }

    pub fn gap(&mut self, gap: Gap) {
        let full = self.gaps.len() >= NOTED;
        match self.gaps.last_mut() {
            Some(last) if full => {
                last.last = gap.last;
                last.at = gap.at;
            }
            _ => self.gaps.push(gap),
        }
    }

    /// Bytes of the blocks from mark `index` to the next.
    pub fn block(&self, index: usize) -> Option<(u64, u64)> {
        let start = self.marks.get(index)?.offset;
        Some((start, self.marks.get(index + 1).map_or(self.bytes, |next| next.offset)))
    }
}

/// A segment as it was found.
pub struct Found {
    pub meta: Meta,
    pub bloom: Option<Bloom>,
    /// Damage inside, bytes.
    pub damaged: u64,
    /// Bytes behind the last intact frame.
    pub torn: u64,
    /// Written by a version whose frames this one cannot read.
    pub foreign: bool,
}

/// Segments of a directory in order of their numbers, and their sizes.
pub fn list(dir: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(".seg") && name.split_once('-').is_some_and(|(first, _)| first.parse::<u64>().is_ok()) {
            found.push((name, entry.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// What the index beside a finished segment says; `None` when it is not there or does not fit the file.
pub fn indexed(dir: &Path, name: &str, bytes: u64) -> Option<Meta> {
    let index = fs::read(index_path(dir, name)).ok()?;
    let mut frames = Frames::new(&index);
    let Some(Item::Frame { payload, .. }) = frames.next() else { return None };
    let meta: Meta = rmp_serde::from_slice(payload).ok()?;
    (meta.name == name && meta.bytes == bytes && !meta.marks.is_empty()).then_some(meta)
}

/// The Bloom filter of a finished segment.
pub fn bloom(dir: &Path, name: &str) -> Option<Bloom> {
    let index = fs::read(index_path(dir, name)).ok()?;
    match Frames::new(&index).nth(1)? {
        Item::Frame { payload, .. } => Bloom::from_bytes(payload),
        Item::Damage { .. } => None,
    }
}

/// Writes the index of a finished segment.
pub fn write_index(dir: &Path, meta: &Meta, bloom: &Bloom) -> io::Result<u64> {
    let mut out = Vec::new();
    let written = frame::put(&mut out, |out| rmp_serde::encode::write_named(out, meta).is_ok())
        && frame::put(&mut out, |out| {
            out.extend_from_slice(bloom.bytes());
            true
        });
    if !written {
        return Err(io::Error::other("the index does not fit"));
    }
    let path = index_path(dir, &meta.name);
    let beside = path.with_extension("new");
    fs::write(&beside, &out)?;
    fs::rename(&beside, &path)?;
    Ok(out.len() as u64)
}

pub fn index_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(name).with_extension(INDEX)
}

/// Reads a whole segment. `previous` is the number of the last event before it.
pub fn scan(dir: &Path, name: &str, previous: &mut u64) -> io::Result<Found> {
    let mut file = File::open(dir.join(name))?;
    let mut header = [0; HEADER];
    let whole = file.read_exact(&mut header).is_ok();
    let mut meta = Meta::new(name.to_owned());
    let mut bloom = Bloom::default();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    meta.bytes = HEADER as u64 + bytes.len() as u64;
    if !whole || !readable(&header) {
        let foreign = whole;
        let torn = if foreign { 0 } else { fs::metadata(dir.join(name))?.len() };
        return Ok(Found { meta, bloom: None, damaged: 0, torn, foreign });
    }
    let (mut damaged, mut torn) = (0, 0);
    for item in Frames::new(&bytes) {
        // Damage with something intact behind it is inside.
        damaged += std::mem::take(&mut torn);
        match item {
            Item::Frame { at, payload } => {
                if let Some((head, body)) = Head::read(payload) {
                    meta.note(&mut bloom, (HEADER + at) as u64, &head, body, previous);
                }
            }
            Item::Damage { bytes, .. } => torn = bytes as u64,
        }
    }
    Ok(Found { meta, bloom: Some(bloom), damaged, torn, foreign: false })
}

//! Walking over what is kept. A walk reads one block of about 256 KiB at a time, passes over segments and blocks that
//! cannot hold what is wanted, and stops when its work is used up.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Disk, Shelved,
    bloom::{Bloom, Tag},
    codec::{self, BASE, EVENT, Head, Part, Round},
    frame::{Frames, Item},
    segment::{self, Gap, HEADER, Mark},
};
use crate::Record;

/// How much one question may cost.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Bytes that may still be read.
    pub bytes: u64,
    pub until: Instant,
    /// Read so far.
    pub read: u64,
    /// Events of kinds that this version does not know.
    pub unknown: u64,
    /// Bytes that were met and are no events.
    pub damaged: u64,
    /// It was used up before the walk was at its end.
    pub exhausted: bool,
}

impl Work {
    pub fn new(bytes: u64, within: Duration) -> Self {
        Self { bytes, until: Instant::now() + within, read: 0, unknown: 0, damaged: 0, exhausted: false }
    }

    /// Whether another block may be read.
    fn allows(&mut self) -> bool {
        self.exhausted = self.exhausted || self.bytes == 0 || Instant::now() >= self.until;
        !self.exhausted
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::new(512 * 1024 * 1024, Duration::from_secs(3))
    }
}

/// By what frames are chosen before they are decoded. Empty lists and `None` choose everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Numbers in `(after, before)`.
    pub after: u64,
    pub before: Option<u64>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub kinds: Vec<u32>,
    pub service: Option<u32>,
    pub config: Option<u32>,
    pub instance: Option<u32>,
    /// Any of these.
    pub clients: Vec<u32>,
    /// Lists of `service` as well.
    pub bases: bool,
    pub no_events: bool,
    pub oldest_first: bool,
}

/// What a walk comes across.
pub(crate) enum Entry {
    Event(Record),
    Base { after: u64, at: i64, part: Part },
}

impl Wanted {
    fn numbers(&self, mark: &Mark) -> bool {
        mark.last > self.after && self.before.is_none_or(|before| mark.first < before)
    }

    fn times(&self, from: i64, to: i64) -> bool {
        self.from.is_none_or(|wanted| to >= wanted) && self.to.is_none_or(|wanted| from <= wanted)
    }

    /// Whether a block or segment may hold something.
    fn may_be_in(&self, mark: &Mark) -> bool {
        // A block of lists alone has times and no numbers.
        let numbers = self.numbers(mark) || (self.bases && (mark.first > mark.last || self.no_events));
        numbers && self.times(mark.from, mark.to)
    }

    fn may_be_known(&self, meta: &segment::Meta, bloom: impl FnOnce() -> Option<Bloom>) -> bool {
        if !self.bases
            && !self.kinds.is_empty()
            && !self.kinds.iter().any(|kind| meta.kinds.binary_search(kind).is_ok())
        {
            return false;
        }
        let named =
            self.service.is_some() || self.config.is_some() || self.instance.is_some() || !self.clients.is_empty();
        if !named {
            return true;
        }
        let Some(bloom) = bloom() else { return true };
        let maybe = |tag, hash: Option<u32>| hash.is_none_or(|hash| bloom.maybe(tag, hash));
        let clients = self.clients.is_empty() || self.clients.iter().any(|client| bloom.maybe(Tag::Client, *client));
        let event = !self.no_events
            && maybe(Tag::Service, self.service)
            && maybe(Tag::Config, self.config)
            && maybe(Tag::Instance, self.instance)
            && clients;
        event || (self.bases && maybe(Tag::Base, self.service))
    }

    fn meets(&self, head: &Head) -> bool {
        let equal = |wanted: Option<u32>, hash: u32| wanted.is_none_or(|wanted| wanted == hash);
        match head.sort {
            EVENT => {
                !self.no_events
                    && head.seq > self.after
                    && self.before.is_none_or(|before| head.seq < before)
                    && self.times(head.at, head.at)
                    && (self.kinds.is_empty() || self.kinds.contains(&head.kind))
                    && equal(self.service, head.service)
                    && equal(self.config, head.config)
                    && equal(self.instance, head.instance)
                    && (self.clients.is_empty() || self.clients.contains(&head.client))
            }
            BASE => self.bases && equal(self.service, head.service) && self.times(head.at, head.at),
            _ => false,
        }
    }
}

impl Disk {
    /// Calls `visit` for what is wanted, until it answers false or the work is used up. Answers the number up to which
    /// (or down to which) everything was looked at when the work ended early.
    pub(crate) fn walk(&self, wanted: &Wanted, work: &mut Work, mut visit: impl FnMut(Entry) -> bool) -> Option<u64> {
        let mut segments = self.shelf.read().segments.clone();
        if !wanted.oldest_first {
            segments.reverse();
        }
        // Where a later walk goes on: after this number, or before it.
        let mut reached = None;
        for held in segments {
            if !wanted.may_be_in(&held.meta.whole) {
                continue;
            }
            if !wanted.may_be_known(&held.meta, || self.bloom(&held)) {
                continue;
            }
            let mut blocks: Vec<usize> =
                (0..held.meta.marks.len()).filter(|block| wanted.may_be_in(&held.meta.marks[*block])).collect();
            if !wanted.oldest_first {
                blocks.reverse();
            }
            let mut file = None;
            for block in blocks {
                if !work.allows() {
                    let nothing = if wanted.oldest_first { wanted.after } else { wanted.before.unwrap_or(u64::MAX) };
                    return Some(reached.unwrap_or(nothing));
                }
                let Ok(bytes) = self.block(&held, block, &mut file) else { break };
                work.bytes = work.bytes.saturating_sub(bytes.len() as u64);
                work.read += bytes.len() as u64;
                let mut found = self.chosen(wanted, &held, &bytes, work);
                if !wanted.oldest_first {
                    found.reverse();
                }
                for payload in found {
                    let Some((head, body)) = Head::read(payload) else { continue };
                    let entry = match head.sort {
                        BASE => codec::read_base(body).map(|part| Entry::Base { after: head.seq, at: head.at, part }),
                        _ => codec::read_event(&head, body).map(Entry::Event),
                    };
                    let Some(entry) = entry else {
                        work.unknown += 1;
                        continue;
                    };
                    if !visit(entry) {
                        return None;
                    }
                }
                let mark = &held.meta.marks[block];
                if mark.first <= mark.last {
                    reached = Some(if wanted.oldest_first { mark.last } else { mark.first });
                }
            }
        }
        None
    }

    fn bloom(&self, held: &Shelved) -> Option<Bloom> {
        // The one that grows has its filter in the writer's hands; it is read.
        if held.index == 0 { None } else { segment::bloom(&self.options.dir, &held.meta.name) }
    }

    fn block(&self, held: &Shelved, block: usize, file: &mut Option<File>) -> io::Result<Vec<u8>> {
        let (start, end) = held.meta.block(block).unwrap_or((HEADER as u64, HEADER as u64));
        let file = match file {
            Some(file) => file,
            None => file.insert(File::open(self.options.dir.join(&held.meta.name))?),
        };
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    fn chosen<'a>(&self, wanted: &Wanted, held: &Shelved, bytes: &'a [u8], work: &mut Work) -> Vec<&'a [u8]> {
        let mut found = Vec::new();
        for item in Frames::new(bytes) {
            match item {
                Item::Frame { payload, .. } => {
                    if Head::read(payload).is_some_and(|(head, _)| wanted.meets(&head)) {
                        found.push(payload);
                    }
                }
                Item::Damage { bytes, .. } => {
                    work.damaged += bytes as u64;
                    self.note_damage(&held.meta.name, bytes as u64);
                }
            }
        }
        found
    }

    /// Rounds of lists that are kept, in order.
    pub(crate) fn rounds(&self) -> Vec<Round> {
        self.each(|held| held.meta.rounds.clone())
    }

    /// First number and time of every process that wrote, in order.
    pub(crate) fn starts(&self) -> Vec<(u64, i64)> {
        self.each(|held| held.meta.opened.clone())
    }

    /// Numbers that are missing, in order.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        self.each(|held| held.meta.gaps.clone())
    }

    fn each<T>(&self, of: impl Fn(&Arc<Shelved>) -> Vec<T>) -> Vec<T> {
        self.shelf.read().segments.iter().flat_map(of).collect()
    }
}

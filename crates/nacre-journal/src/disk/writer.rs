//! Appending, rotation, retention; and what a start finds.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use nacre_model::{Cause, Now};

use super::{
    Counters, Disk, DiskOptions, Shelf, Shelved,
    bloom::Bloom,
    codec::{self, Head, Listed, Round},
    frame,
    segment::{self, Meta},
};
use crate::Journal;

/// Frames are gathered up to about this size before they are written.
const BATCH_BYTES: usize = 1024 * 1024;
/// What was written is synced when this much time has passed since the last sync.
const SYNC_MS: u64 = 1_000;
/// After a failed write the next is tried this much later.
const RETRY_MS: u64 = 1_000;
/// Segments are looked at for their age this often.
const RETENTION_MS: u64 = 10_000;
/// So many numbers more than were given are promised to be left out by the next process, should this one end without a
/// word. The promise is renewed at half of it.
const RESERVE: u64 = 1_000_000;
/// The file with the promised number.
const NUMBERS: &str = "numbers";

#[derive(Default)]
pub(super) struct Writer {
    /// The directory was looked at.
    found: bool,
    active: Option<Active>,
    /// Frames of the batch and what they are; written and noted together.
    buffer: Vec<u8>,
    noted: Vec<(usize, usize, Head)>,
    /// Number of the last event that was written or given up.
    cursor: u64,
    /// Number of the last event in the files, for [`Meta::note`].
    previous: u64,
    /// This process has told the files that it writes.
    opened: bool,
    promised: u64,
    retry_at: u64,
    synced: u64,
    retained: u64,
    dirty: bool,
    /// Given up since it was told last.
    lost: u64,
}

struct Active {
    file: File,
    meta: Meta,
    bloom: Bloom,
}

impl Writer {
    /// Appends a frame to the batch; false when it cannot be one.
    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Option<Head>) -> bool {
        let start = self.buffer.len();
        let mut head = None;
        let done = frame::put(&mut self.buffer, |out| {
            head = write(out);
            head.is_some()
        });
        if let (true, Some(head)) = (done, head) {
            self.noted.push((start, self.buffer.len(), head));
        }
        done
    }
}

impl Disk {
    /// Looks at what is there. Never fails: what is wrong is told, and the writer tries again.
    pub fn open(options: DiskOptions) -> Self {
        let disk = Self {
            options,
            writer: Default::default(),
            shelf: Default::default(),
            counters: Counters::default(),
            notes: Default::default(),
            pace: Default::default(),
        };
        let mut writer = disk.writer.lock();
        if let Err(error) = disk.find(&mut writer, 0) {
            disk.fails(&mut writer, &error, 0);
        }
        disk.counters.saved.store(writer.cursor, Relaxed);
        drop(writer);
        disk
    }

    /// The number that this process's first event gets.
    pub(crate) fn first_number(&self) -> u64 {
        self.writer.lock().cursor + 1
    }

    /// `given`: numbers that were given before the directory could be looked at.
    fn find(&self, writer: &mut Writer, given: u64) -> io::Result<()> {
        let dir = &self.options.dir;
        fs::create_dir_all(dir)?;
        let mut shelf = Shelf::default();
        let (mut previous, mut highest) = (0, 0);
        let names = segment::list(dir)?;
        for (index, (name, bytes)) in names.iter().enumerate() {
            let last = index + 1 == names.len();
            let meta = match segment::indexed(dir, name, *bytes) {
                Some(meta) => Some(meta),
                None => self.scan(name, last, &mut previous).unwrap_or_else(|error| {
                    self.note(Cause::JournalDiskFailed { reason: format!("{name} cannot be read: {error}") });
                    None
                }),
            };
            let Some(meta) = meta else { continue };
            if meta.events > 0 {
                previous = meta.whole.last;
                highest = highest.max(meta.whole.last);
            }
            let index = fs::metadata(segment::index_path(dir, name)).map_or(0, |index| index.len());
            shelf.bytes += meta.bytes + index;
            shelf.segments.push(Arc::new(Shelved { meta, index }));
        }
        let promised = match read_numbers(&dir.join(NUMBERS)) {
            Some(promised) => promised.max(highest),
            None if names.is_empty() => 0,
            None => highest + RESERVE,
        };
        if given > 0 && promised > 0 {
            return Err(io::Error::other("an earlier process's events could not be read at start; restart the server"));
        }
        writer.found = true;
        writer.cursor = promised;
        *self.shelf.write() = shelf;
        Ok(())
    }

    /// A segment without index: the last one of a process that ended suddenly, as a rule. What is torn is cut.
    fn scan(&self, name: &str, last: bool, previous: &mut u64) -> io::Result<Option<Meta>> {
        let dir = &self.options.dir;
        let mut found = segment::scan(dir, name, previous)?;
        if found.foreign {
            return Err(io::Error::other("it was written by a later version"));
        }
        let path = dir.join(name);
        let Some(bloom) = found.bloom else {
            self.note(Cause::JournalTailCut { file: name.to_owned(), bytes: found.torn });
            fs::remove_file(&path)?;
            return Ok(None);
        };
        if found.torn > 0 && last {
            self.note(Cause::JournalTailCut { file: name.to_owned(), bytes: found.torn });
            found.meta.bytes -= found.torn;
            OpenOptions::new().write(true).open(&path)?.set_len(found.meta.bytes)?;
            found.torn = 0;
        }
        if found.damaged + found.torn > 0 {
            self.note_damage(name, found.damaged + found.torn);
        }
        segment::write_index(dir, &found.meta, &bloom)?;
        Ok(Some(found.meta))
    }

    /// One round of the writer: saves what the ring has and the files have not. Cheap when there is nothing.
    pub(crate) fn round(&self, journal: &Journal, now: Now) {
        let mut writer = self.writer.lock();
        if now.mono < writer.retry_at {
            return;
        }
        match self.save(&mut writer, journal, now) {
            Ok(()) => {
                let failing = self.counters.failing.swap(false, Relaxed);
                let lost = std::mem::take(&mut writer.lost);
                if failing || lost > 0 {
                    self.note(Cause::JournalDiskRecovered { lost });
                }
            }
            Err(error) => self.fails(&mut writer, &error, now.mono),
        }
    }

    fn fails(&self, writer: &mut Writer, error: &io::Error, mono: u64) {
        self.counters.failures.fetch_add(1, Relaxed);
        writer.retry_at = mono + RETRY_MS;
        writer.buffer.clear();
        writer.noted.clear();
        // Half a batch may be in the file. What cannot be cut off is left behind, and another file begun.
        if let Some(active) = &mut writer.active {
            let end = active.meta.bytes;
            if active.file.set_len(end).and_then(|()| active.file.seek(SeekFrom::Start(end))).is_err() {
                writer.active = None;
            }
        }
        if !self.counters.failing.swap(true, Relaxed) {
            self.note(Cause::JournalDiskFailed { reason: format!("{}: {error}", self.options.dir.display()) });
        }
    }

    fn save(&self, writer: &mut Writer, journal: &Journal, now: Now) -> io::Result<()> {
        let given = journal.last_seq();
        if !writer.found {
            self.find(writer, given)?;
        }
        self.promise(writer, given)?;
        let mut block = Vec::new();
        if writer.cursor < given {
            self.leave_room(writer, now)?;
        }
        loop {
            journal.copy_after(writer.cursor, &mut block);
            let Some(first) = block.first() else { break };
            // The ring gave them up before they were saved.
            let missed = first.seq - writer.cursor - 1;
            writer.lost += missed;
            writer.cursor += missed;
            self.counters.dropped.fetch_add(missed, Relaxed);
            let mut last = writer.cursor;
            for record in block.drain(..) {
                last = record.seq;
                if !writer.put(|out| codec::write_event(&record, out)) {
                    writer.lost += 1;
                    self.counters.dropped.fetch_add(1, Relaxed);
                }
                if writer.buffer.len() >= BATCH_BYTES {
                    self.append(writer, last, now)?;
                }
            }
            self.append(writer, last, now)?;
        }
        self.sync(writer, now)?;
        if now.mono >= writer.retained + RETENTION_MS {
            writer.retained = now.mono;
            self.retain(now);
        }
        Ok(())
    }

    /// Writes the batch; `upto` is the last event in it or before it.
    fn append(&self, writer: &mut Writer, upto: u64, now: Now) -> io::Result<()> {
        if !writer.noted.is_empty() {
            self.make_room(writer, now)?;
            let Some(active) = &mut writer.active else { return Err(io::Error::other("no segment is open")) };
            active.file.write_all(&writer.buffer)?;
            let (start, before) = (active.meta.bytes, active.meta.events);
            for (from, to, head) in writer.noted.drain(..) {
                // Only rounds are noted by their body.
                let payload =
                    (head.sort == codec::ROUND).then(|| writer.buffer.get(from + frame::OVERHEAD..to)).flatten();
                let body = payload.and_then(Head::read).map_or(&[][..], |(_, body)| body);
                active.meta.note(&mut active.bloom, start + from as u64, &head, body, &mut writer.previous);
            }
            self.counters.written_events.fetch_add(active.meta.events - before, Relaxed);
            active.meta.bytes += writer.buffer.len() as u64;
            self.counters.written_bytes.fetch_add(writer.buffer.len() as u64, Relaxed);
            writer.dirty = true;
            self.show(active);
        }
        writer.buffer.clear();
        writer.cursor = writer.cursor.max(upto);
        self.counters.saved.store(writer.cursor, Relaxed);
        Ok(())
    }

    /// Readers see what is written.
    fn show(&self, active: &Active) {
        let held = Arc::new(Shelved { meta: active.meta.clone(), index: 0 });
        let mut shelf = self.shelf.write();
        match shelf.segments.last_mut() {
            Some(last) if last.meta.name == held.meta.name => {
                let before = last.meta.bytes + last.index;
                *last = held;
                shelf.bytes = shelf.bytes - before + active.meta.bytes;
            }
            _ => {
                shelf.segments.push(held);
                shelf.bytes += active.meta.bytes;
            }
        }
    }

    /// A segment that takes the batch, with the word that this process writes.
    fn make_room(&self, writer: &mut Writer, now: Now) -> io::Result<()> {
        let limit = self.options.segment();
        if writer.active.is_none() && !writer.opened {
            writer.active = self.last_segment(limit)?;
        }
        if writer.active.as_ref().is_some_and(|active| active.meta.bytes >= limit) {
            self.finish(writer)?;
            self.retain(now);
        }
        if writer.active.is_none() {
            let first = writer.noted.iter().find(|noted| noted.2.sort == codec::EVENT).map(|noted| noted.2.seq);
            let name = segment::name(first.unwrap_or(writer.cursor + 1), now.wall.max(0));
            let path = self.options.dir.join(&name);
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
            if let Err(error) = file.write_all(&segment::header()) {
                let _ = fs::remove_file(&path);
                return Err(error);
            }
            writer.active = Some(Active { file, meta: Meta::new(name), bloom: Bloom::default() });
        }
        let Some(active) = &mut writer.active else { return Ok(()) };
        if !writer.opened {
            let mut bytes = Vec::new();
            let mut head = Head::default();
            frame::put(&mut bytes, |out| {
                head = codec::write_opened(writer.cursor + 1, now.wall, out);
                true
            });
            active.file.write_all(&bytes)?;
            active.meta.note(&mut active.bloom, active.meta.bytes, &head, &[], &mut writer.previous);
            active.meta.bytes += bytes.len() as u64;
            writer.opened = true;
        }
        Ok(())
    }

    /// The last process's last segment, if there is room in it.
    fn last_segment(&self, limit: u64) -> io::Result<Option<Active>> {
        let last = self.shelf.read().segments.last().cloned();
        let Some(last) = last.filter(|last| last.meta.bytes < limit) else { return Ok(None) };
        let dir = &self.options.dir;
        if !segment::is_own(dir, &last.meta.name) {
            return Ok(None);
        }
        let Some(bloom) = segment::bloom(dir, &last.meta.name) else { return Ok(None) };
        let mut file = OpenOptions::new().write(true).open(dir.join(&last.meta.name))?;
        let end = file.seek(SeekFrom::End(0))?;
        Ok((end == last.meta.bytes).then(|| Active { file, meta: last.meta.clone(), bloom }))
    }

    /// Closes the open segment and writes its index.
    fn finish(&self, writer: &mut Writer) -> io::Result<()> {
        let Some(active) = writer.active.take() else { return Ok(()) };
        active.file.sync_data()?;
        writer.dirty = false;
        let index = segment::write_index(&self.options.dir, &active.meta, &active.bloom).unwrap_or(0);
        self.show(&active);
        let mut shelf = self.shelf.write();
        if let Some(last) = shelf.segments.last_mut() {
            *last = Arc::new(Shelved { meta: active.meta, index });
            shelf.bytes += index;
        }
        Ok(())
    }

    fn sync(&self, writer: &mut Writer, now: Now) -> io::Result<()> {
        if writer.dirty && now.mono >= writer.synced + SYNC_MS {
            if let Some(active) = &writer.active {
                active.file.sync_data()?;
            }
            writer.dirty = false;
            writer.synced = now.mono;
        }
        Ok(())
    }

    /// Removes the oldest segments while there is too much, or while they are too old. The newest stays.
    fn retain(&self, now: Now) {
        let DiskOptions { bytes, age_ms, .. } = &self.options;
        let horizon = now.wall.saturating_sub(*age_ms);
        loop {
            // Room for the segment that is being written.
            let unwanted =
                |used: u64, oldest: &Meta| used + self.options.segment() > *bytes || oldest.whole.to < horizon;
            if !self.remove_oldest(unwanted) {
                return;
            }
        }
    }

    /// Others need the disk more: the oldest segments go while too little of it is free, and then writing pauses.
    fn leave_room(&self, writer: &mut Writer, now: Now) -> io::Result<()> {
        loop {
            let Ok(disk) = rustix::fs::statvfs(&self.options.dir) else { return Ok(()) };
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let spare = self
                .options
                .spare_bytes
                .min(disk.f_blocks.saturating_mul(disk.f_frsize) / self.options.spare_part.max(1));
            if free >= spare {
                return Ok(());
            }
            if !self.remove_oldest(|_, _| true) {
                writer.retry_at = now.mono + RETRY_MS;
                let free = free >> 20;
                return Err(io::Error::other(format!(
                    "only {free} MiB of the disk are free and left to durable writes"
                )));
            }
        }
    }

    /// Removes the oldest segment if it is unwanted and not the newest.
    fn remove_oldest(&self, unwanted: impl Fn(u64, &Meta) -> bool) -> bool {
        let dir = &self.options.dir;
        let oldest = {
            let mut shelf = self.shelf.write();
            let Some(oldest) = shelf.segments.first() else { return false };
            if shelf.segments.len() < 2 || !unwanted(shelf.bytes, &oldest.meta) {
                return false;
            }
            let oldest = shelf.segments.remove(0);
            shelf.bytes -= oldest.meta.bytes + oldest.index;
            oldest
        };
        self.counters.removed.fetch_add(1, Relaxed);
        for path in [dir.join(&oldest.meta.name), segment::index_path(dir, &oldest.meta.name)] {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                self.note(Cause::JournalDiskFailed { reason: format!("{} stays: {error}", path.display()) });
            }
        }
        true
    }

    /// Promises numbers to be left out by the next process if this one ends without a word.
    fn promise(&self, writer: &mut Writer, given: u64) -> io::Result<()> {
        if given + RESERVE / 2 > writer.promised {
            write_numbers(&self.options.dir.join(NUMBERS), given + RESERVE)?;
            writer.promised = given + RESERVE;
        }
        Ok(())
    }

    /// Saves the rest and takes the promise back: the next process goes on with the next number.
    pub(crate) fn close(&self, journal: &Journal, now: Now) {
        self.writer.lock().retry_at = 0;
        self.round(journal, now);
        let mut writer = self.writer.lock();
        if !writer.found {
            return;
        }
        let done = self.finish(&mut writer);
        let done =
            done.and_then(|()| write_numbers(&self.options.dir.join(NUMBERS), writer.cursor.max(journal.last_seq())));
        if let Err(error) = done {
            self.fails(&mut writer, &error, now.mono);
        }
    }

    /// Keeps lists of services' instances: where the making of lists of the past begins. `after`: numbers up to it were
    /// given before the lists were looked at. Answers the bytes written.
    pub(crate) fn keep_lists(&self, lists: &[Listed<'_>], after: u64, now: Now) -> io::Result<u64> {
        let mut writer = self.writer.lock();
        let mut bytes = 0;
        for list in lists {
            let parts = codec::parts(list);
            for (number, part) in parts.iter().enumerate() {
                writer.put(|out| codec::write_base(list, (number, parts.len()), part, after, now.wall, out));
                if writer.buffer.len() >= BATCH_BYTES {
                    bytes += self.flush(&mut writer, now)?;
                }
            }
        }
        Ok(bytes + self.flush(&mut writer, now)?)
    }

    pub(crate) fn keep_round(&self, round: &Round, now: Now) -> io::Result<()> {
        let mut writer = self.writer.lock();
        let seq = writer.cursor;
        writer.put(|out| codec::write_round(round, seq, out));
        self.flush(&mut writer, now).map(|_| ())
    }

    fn flush(&self, writer: &mut Writer, now: Now) -> io::Result<u64> {
        let bytes = writer.buffer.len() as u64;
        if !writer.found || now.mono < writer.retry_at {
            writer.buffer.clear();
            writer.noted.clear();
            return Err(io::Error::other("the journal's files take nothing at the moment"));
        }
        let done = self.append(writer, writer.cursor, now);
        if let Err(error) = &done {
            self.fails(writer, error, now.mono);
        }
        done.map(|()| bytes)
    }
}

/// The promised number with its sum, in place: no new space is needed for it.
fn write_numbers(path: &Path, number: u64) -> io::Result<()> {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&sum.to_le_bytes());
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(&bytes)
}

fn read_numbers(path: &Path) -> Option<u64> {
    let bytes = fs::read(path).ok()?;
    let number = bytes.get(..8)?;
    let sum = bytes.get(8..12)?;
    (crc32fast::hash(number).to_le_bytes() == sum).then(|| u64::from_le_bytes(number.try_into().unwrap_or_default()))
}

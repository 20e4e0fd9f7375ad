//! Opening a log: every byte is checked before anything is handed over.
//!
//! The rule: bytes that were acknowledged must be there and whole, otherwise the start is refused with a sentence that
//! names the file. Bytes behind them belong to a write nobody was answered for; they are cut (when torn) or kept (when
//! whole) and never guessed at.
//!
//! Three witnesses say what was acknowledged: the `watermark` file (exact after the end of the process, perhaps a little
//! old after a power loss), every record (it names the entries durable before it), and the database's own position.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    files::{LOCK, META, META_SHAPE, Meta, WATERMARK, WATERMARK_SHAPE},
    medium::Medium,
    record,
    segment::{self, BadHeader, Segment},
    twin::{Shape, Twin, Unreadable},
};
use crate::{Position, Recovery, StartError, types::LogId};

const RESTORE: &str = "Restore the data directory from a backup, or set nacre.log.recovery=accept-loss for one start to \
                       go on without the damaged part (what it held and the database does not is lost)";

/// Bytes cut from the end because they belong to an unacknowledged write.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    pub path: PathBuf,
    pub bytes: u64,
    pub detail: String,
}

/// An opened log, not yet running.
pub struct Opened {
    pub lock: File,
    pub meta: Meta,
    pub meta_file: Twin,
    pub watermark: Twin,
    /// In order, without gaps; empty only when nothing was ever appended behind the purged part.
    pub segments: Vec<Segment>,
    pub last: Option<LogId>,
    /// Wall time of the newest batch, so that time does not go back.
    pub last_wall: i64,
    pub cut: Option<Cut>,
    /// What was given up under [`Recovery::AcceptLoss`].
    pub lost: Vec<String>,
}

pub struct Opener<'a> {
    pub dir: &'a Path,
    pub node: u64,
    pub recovery: Recovery,
    /// What the database holds.
    pub applied: Option<Position>,
    pub medium: &'a dyn Medium,
}

struct Scanned {
    segments: Vec<Segment>,
    last: Option<LogId>,
    last_wall: i64,
    cut: Option<Cut>,
}

impl Opener<'_> {
    pub fn open(self) -> Result<Opened, StartError> {
        fs::create_dir_all(self.dir).map_err(|source| self.io(self.dir, source))?;
        let lock = self.lock()?;
        let firsts = self.segment_firsts()?;
        let mut lost = Vec::new();
        let (mut meta_file, mut meta) = self.meta(&firsts, &mut lost)?;
        let (mut watermark, durable) = self.watermark(&meta, &firsts, &mut lost)?;
        if meta.node != self.node {
            return Err(StartError::Mismatch {
                path: self.dir.join(META),
                detail: format!("the log belongs to node {}, this is node {}", meta.node, self.node),
                remedy: "Start with the node id of the log, or with an empty data directory".into(),
            });
        }
        let mut scanned = self.scan(&firsts, &meta, durable, &mut lost)?;
        self.fit_to_database(&mut meta, &mut scanned, &mut lost)?;
        if !lost.is_empty() {
            // The lost part may have held votes and entries of newer terms; never go back behind what is left.
            self.raise_vote(&mut meta, &scanned);
            meta_file.write(self.medium, &meta.encode()).map_err(|source| self.io(&self.dir.join(META), source))?;
        }
        self.settle(&scanned, durable)?;
        let next = scanned.segments.last().map_or_else(|| next_after(meta.purged()), Segment::next);
        if next != durable {
            watermark
                .write(self.medium, &next.to_le_bytes())
                .map_err(|source| self.io(&self.dir.join(WATERMARK), source))?;
        }
        let last = scanned.last.or(meta.purged());
        let Scanned { segments, last_wall, cut, .. } = scanned;
        Ok(Opened { lock, meta, meta_file, watermark, segments, last, last_wall, cut, lost })
    }

    fn io(&self, path: &Path, source: io::Error) -> StartError {
        StartError::Io { path: path.to_path_buf(), source }
    }

    fn damaged(&self, path: &Path, detail: impl Into<String>) -> StartError {
        StartError::Damaged { path: path.to_path_buf(), detail: detail.into(), remedy: RESTORE.into() }
    }

    fn accepts_loss(&self) -> bool {
        self.recovery == Recovery::AcceptLoss
    }

    fn lock(&self) -> Result<File, StartError> {
        let path = self.dir.join(LOCK);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| self.io(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(StartError::InUse { path: self.dir.to_path_buf() }),
            Err(fs::TryLockError::Error(source)) => Err(self.io(&path, source)),
        }
    }

    /// First indexes of the segments present, sorted; removes leftovers of files that never got their name.
    fn segment_firsts(&self) -> Result<Vec<u64>, StartError> {
        let mut firsts = Vec::new();
        for entry in fs::read_dir(self.dir).map_err(|source| self.io(self.dir, source))? {
            let path = entry.map_err(|source| self.io(self.dir, source))?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(|source| self.io(&path, source))?;
            } else if let Some(first) = segment::first_of(&path) {
                firsts.push(first);
            }
        }
        firsts.sort_unstable();
        Ok(firsts)
    }

    fn meta(&self, firsts: &[u64], lost: &mut Vec<String>) -> Result<(Twin, Meta), StartError> {
        let path = self.dir.join(META);
        let fresh = Meta { node: self.node, ..Meta::default() };
        match self.twin(&path, META_SHAPE)? {
            Some((file, value)) => {
                let meta = Meta::decode(&value).map_err(|detail| self.damaged(&path, detail))?;
                Ok((file, meta))
            }
            None => {
                let missing = !path.exists();
                let leftovers = !firsts.is_empty() || self.dir.join(WATERMARK).exists();
                if missing && !leftovers && self.applied.is_none() {
                    return Ok((self.create(&path, META_SHAPE, &fresh.encode())?, fresh));
                }
                let detail = match (missing, leftovers) {
                    (true, true) => "the file with the vote is missing although the log has entries",
                    (true, false) => "the log is missing although the database holds entries of it",
                    (false, _) => "both copies of the vote are unreadable",
                };
                if !self.accepts_loss() {
                    return Err(self.damaged(&path, detail));
                }
                lost.push(format!("{}: {detail}", path.display()));
                Ok((self.create(&path, META_SHAPE, &fresh.encode())?, fresh))
            }
        }
    }

    /// The watermark file and the number of entries it says are durable.
    fn watermark(&self, meta: &Meta, firsts: &[u64], lost: &mut Vec<String>) -> Result<(Twin, u64), StartError> {
        let path = self.dir.join(WATERMARK);
        let floor = next_after(meta.purged());
        if let Some((file, value)) = self.twin(&path, WATERMARK_SHAPE)? {
            let Some(bytes) = value.first_chunk::<8>() else {
                return Err(self.damaged(&path, "the value is too short"));
            };
            return Ok((file, u64::from_le_bytes(*bytes).max(floor)));
        }
        let missing = !path.exists();
        let virgin = firsts.is_empty() && meta.vote.is_none() && meta.purged.is_none();
        // A first start that ended between the creation of the two files.
        if !(missing && virgin && lost.is_empty() && self.applied.is_none()) {
            let detail = if missing {
                "the file that says how much was acknowledged is missing"
            } else {
                "both copies of the number of acknowledged entries are unreadable"
            };
            if !self.accepts_loss() {
                return Err(self.damaged(&path, detail));
            }
            lost.push(format!("{}: {detail}", path.display()));
        }
        Ok((self.create(&path, WATERMARK_SHAPE, &floor.to_le_bytes())?, floor))
    }

    /// `None` when the file is missing or neither copy is whole.
    fn twin(&self, path: &Path, shape: Shape) -> Result<Option<(Twin, Vec<u8>)>, StartError> {
        match Twin::open(path, shape) {
            Ok((file, loaded)) => {
                if loaded.repaired {
                    tracing::warn!(file = %path.display(), "one of two copies was unreadable or old; using the other");
                }
                Ok(Some((file, loaded.value)))
            }
            Err(Unreadable::Damaged) => Ok(None),
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(Unreadable::Io(source)) => Err(self.io(path, source)),
            Err(Unreadable::Newer(found)) => {
                Err(StartError::NewerFormat { path: path.to_path_buf(), found, known: segment::FORMAT })
            }
        }
    }

    fn create(&self, path: &Path, shape: Shape, value: &[u8]) -> Result<Twin, StartError> {
        Twin::create(self.medium, path, shape, value).map_err(|source| self.io(path, source))
    }

    fn scan(&self, firsts: &[u64], meta: &Meta, durable: u64, lost: &mut Vec<String>) -> Result<Scanned, StartError> {
        let mut scanned = Scanned { segments: Vec::new(), last: None, last_wall: 0, cut: None };
        let purged_next = next_after(meta.purged());
        let mut expected = None;
        for (at, &first) in firsts.iter().enumerate() {
            let path = self.dir.join(segment::file_name(first));
            let gap = match expected {
                Some(expected) => first != expected,
                // Older segments may survive a purge that was interrupted; the first must reach the purged entry.
                None => first > purged_next,
            };
            if gap {
                let from = expected.unwrap_or(purged_next);
                let detail = format!("entries {from} to {} before this file are missing", first - 1);
                self.give_up(&path, &detail, &firsts[at..], lost)?;
                break;
            }
            let is_last = at + 1 == firsts.len();
            match self.scan_one(&path, first, is_last, durable, &mut scanned)? {
                None => expected = scanned.segments.last().map(Segment::next),
                Some(detail) => {
                    self.give_up(&path, &detail, &firsts[at..], lost)?;
                    self.cut_damaged(&path, first, &mut scanned)?;
                    break;
                }
            }
        }
        if scanned.segments.last().is_some_and(|segment| segment.next() < purged_next) {
            // A purge beyond the log's end was interrupted between its note and the removal of the files.
            for segment in scanned.segments.drain(..) {
                self.medium.remove(&segment.path).map_err(|source| self.io(&segment.path, source))?;
            }
            scanned.last = None;
        }
        let next = scanned.segments.last().map_or(purged_next, Segment::next);
        if next < durable && lost.is_empty() {
            let path = scanned.segments.last().map_or_else(|| self.dir.to_path_buf(), |segment| segment.path.clone());
            let detail =
                format!("entries {next} to {} were acknowledged and are missing from the log's end", durable - 1);
            self.give_up(&path, &detail, &[], lost)?;
        }
        Ok(scanned)
    }

    /// Scans one segment into `scanned`. Answers the damage, if it reaches into what was acknowledged.
    fn scan_one(
        &self,
        path: &Path,
        first: u64,
        is_last: bool,
        durable: u64,
        scanned: &mut Scanned,
    ) -> Result<Option<String>, StartError> {
        let bytes = fs::read(path).map_err(|source| self.io(path, source))?;
        let scan = match segment::scan(&bytes, first) {
            Ok(scan) => scan,
            Err(BadHeader::Damaged(detail)) => return Ok(Some(detail)),
            Err(BadHeader::Newer(found)) => {
                return Err(StartError::NewerFormat { path: path.to_path_buf(), found, known: segment::FORMAT });
            }
        };
        let file = File::options().read(true).write(true).open(path).map_err(|source| self.io(path, source))?;
        let next = first + scan.offsets.len() as u64;
        if let Some(detail) = scan.stop {
            let rest = &bytes[scan.end as usize..];
            let claimed = record::durable_claimed_in(rest, scan.seal).unwrap_or(0).max(durable);
            if !is_last || next < claimed {
                return Ok(Some(format!("at byte {}: {detail}", scan.end)));
            }
            self.medium.set_len(&file, scan.end).map_err(|source| self.io(path, source))?;
            self.medium.sync(&file).map_err(|source| self.io(path, source))?;
            scanned.cut = Some(Cut { path: path.to_path_buf(), bytes: rest.len() as u64, detail });
        }
        if let Some(last) = scan.last {
            scanned.last = Some(last);
        }
        scanned.last_wall = scanned.last_wall.max(newest_wall(&bytes, &scan.offsets));
        scanned.segments.push(Segment {
            first,
            path: path.to_path_buf(),
            file: Arc::new(file),
            seal: scan.seal,
            offsets: scan.offsets,
            end: scan.end,
        });
        Ok(None)
    }

    /// Refuses, or (accepting loss) sets the damaged files aside.
    fn give_up(&self, path: &Path, detail: &str, firsts: &[u64], lost: &mut Vec<String>) -> Result<(), StartError> {
        if !self.accepts_loss() {
            return Err(self.damaged(path, detail));
        }
        lost.push(format!("{}: {detail}", path.display()));
        for first in firsts {
            let from = self.dir.join(segment::file_name(*first));
            let mut aside = from.clone().into_os_string();
            aside.push(".damaged");
            fs::rename(&from, &aside).map_err(|source| self.io(&from, source))?;
        }
        self.medium.sync_dir(self.dir).map_err(|source| self.io(self.dir, source))
    }

    /// Writes the whole records before the damage into a new file under the segment's name.
    fn cut_damaged(&self, path: &Path, first: u64, scanned: &mut Scanned) -> Result<(), StartError> {
        let mut aside = path.to_path_buf().into_os_string();
        aside.push(".damaged");
        let bytes = fs::read(&aside).map_err(|source| self.io(path, source))?;
        let Ok(scan) = segment::scan(&bytes, first) else { return Ok(()) };
        if scan.offsets.is_empty() {
            return Ok(());
        }
        let whole = &bytes[..scan.end as usize];
        self.medium.create_whole(path, whole).map_err(|source| self.io(path, source))?;
        self.scan_one(path, first, true, 0, scanned).map(|_| ())
    }

    /// The database and the log must be of one history, without a hole between them.
    fn fit_to_database(
        &self,
        meta: &mut Meta,
        scanned: &mut Scanned,
        lost: &mut Vec<String>,
    ) -> Result<(), StartError> {
        let purged_next = next_after(meta.purged());
        let mismatch = |detail: String, remedy: &str| StartError::Mismatch {
            path: self.dir.to_path_buf(),
            detail,
            remedy: remedy.to_owned(),
        };
        let both = "Restore the database and the log from the same backup";
        let Some(applied) = self.applied else {
            return if purged_next == 0 {
                Ok(())
            } else {
                Err(mismatch(
                    format!("the database is empty, but the log begins behind entry {}", purged_next - 1),
                    both,
                ))
            };
        };
        if applied.index + 1 < purged_next {
            let detail = format!(
                "the database ends at entry {}, the log begins behind entry {}",
                applied.index,
                purged_next - 1
            );
            return Err(mismatch(detail, both));
        }
        let next = scanned.segments.last().map_or(purged_next, Segment::next);
        if applied.index >= next {
            let detail = format!("the database holds entry {}, the log ends before entry {next}", applied.index);
            if !self.accepts_loss() {
                return Err(mismatch(detail, RESTORE));
            }
            lost.push(detail);
            let firsts: Vec<u64> = scanned.segments.iter().map(|segment| segment.first).collect();
            self.give_up(self.dir, "entries behind the database's state are not needed", &firsts, lost)?;
            scanned.segments.clear();
            scanned.last = None;
            meta.purged = Some(applied);
            return Ok(());
        }
        let own = self.id_at(scanned, meta, applied.index)?;
        if own.is_some_and(|own| own != applied) {
            let detail = format!("entry {} of the log is not the one the database applied", applied.index);
            return Err(mismatch(detail, both));
        }
        Ok(())
    }

    /// Position of an entry that is in the log or is the purged one.
    fn id_at(&self, scanned: &Scanned, meta: &Meta, index: u64) -> Result<Option<Position>, StartError> {
        if let Some(purged) = meta.purged
            && purged.index == index
        {
            return Ok(Some(purged));
        }
        let Some((segment, (from, to))) =
            scanned.segments.iter().find_map(|segment| segment.range(index).map(|range| (segment, range)))
        else {
            return Ok(None);
        };
        let entry = super::read_entry(&segment.file, segment.seal, from, to)
            .map_err(|source| self.io(&segment.path, source))?;
        Ok(Some(entry.log_id.into()))
    }

    /// A vote below the newest entry's term would let this node vote twice.
    fn raise_vote(&self, meta: &mut Meta, scanned: &Scanned) {
        let newest = scanned.last.or(meta.purged()).map_or(0, |id| id.leader_id.term);
        if meta.vote.is_none_or(|vote| vote.term < newest) {
            meta.set_vote(&crate::types::Vote::new(newest, self.node));
        }
    }

    /// Whole records behind the watermark were perhaps never flushed, and a failed flush may have left them in memory
    /// only: write them once more and flush before they count.
    fn settle(&self, scanned: &Scanned, durable: u64) -> Result<(), StartError> {
        let Some(segment) = scanned.segments.last() else { return Ok(()) };
        let from = durable.max(segment.first);
        let Some((start, _)) = segment.range(from) else { return Ok(()) };
        let settle = || -> io::Result<()> {
            let mut bytes = vec![0; (segment.end - start) as usize];
            std::os::unix::fs::FileExt::read_exact_at(&*segment.file, &mut bytes, start)?;
            self.medium.write_at(&segment.file, &bytes, start)?;
            self.medium.sync(&segment.file)
        };
        settle().map_err(|source| self.io(&segment.path, source))
    }
}

/// Index after an entry; 0 when there is none.
pub fn next_after(id: Option<LogId>) -> u64 {
    id.map_or(0, |id| id.index + 1)
}

fn newest_wall(bytes: &[u8], offsets: &[u64]) -> i64 {
    let wall = |start: u64| record::wall_of(bytes.get(start as usize..)?);
    offsets.iter().rev().find_map(|start| wall(*start)).unwrap_or(0)
}

//! Checksums of the database's pages. SQLite keeps none: a byte that flips in a page is served as if it had been written.
//!
//! `DATABASE-sums` holds a CRC-32 of every page as it stands in the database file. Pages of that file change only when
//! the WAL is moved into it, and only the writer does that ([`Sums::checkpoint`]; SQLite's own checkpoints are off). The
//! order makes every crash safe: pages about to change are noted as *open*, then moved, then summed. At start every page
//! that is not open must be what was summed ([`Sums::verify`]), otherwise the start is refused.
//!
//! Somebody may change the database with SQL while the server runs: such frames are in the same WAL and are summed like
//! ours. Should another program also move the WAL, its sequence number has jumped; then all sums are made anew. A database
//! that was changed while the server was down looks damaged; the refusal says what to do then.

use std::{
    cell::OnceCell,
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use crate::StoreError;

mod wal;

/// Begins the file; the last byte is its format.
const MAGIC: &[u8; 8] = b"NCRSUMS\x01";
/// Pages read at once.
const CHUNK: usize = 256;
/// Pages named in a refusal.
const NAMED: usize = 3;

/// The sums, and what is known of the WAL.
pub(crate) struct Sums {
    database: PathBuf,
    /// The database, opened once and closed behind SQLite's own connection: closing *any* handle of a file takes all POSIX
    /// locks of the process on it away, and another program would believe that nobody is there and delete the WAL.
    file: OnceCell<File>,
    wal: PathBuf,
    path: PathBuf,
    held: Held,
    generation: Generation,
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    /// 0 while nothing is known of any page.
    page_size: u32,
    /// Written by a process that has not closed the database.
    running: bool,
    /// Of page 1, 2, …
    pages: Vec<u32>,
    /// Numbers of pages whose sums do not count.
    open: BTreeSet<u32>,
}

/// Which life of the WAL was seen last.
#[derive(Default)]
struct Generation {
    sequence: Option<u32>,
    /// All of it is in the database file, by our own doing: the next one may begin.
    settled: bool,
}

/// The one handle of the database; see [`Sums`].
fn opened<'f>(file: &'f OnceCell<File>, database: &Path) -> Result<&'f File, StoreError> {
    match file.get() {
        Some(file) => Ok(file),
        None => {
            let new = File::open(database).map_err(|error| StoreError::io(database, error))?;
            Ok(file.get_or_init(|| new))
        }
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

impl Sums {
    /// Checks the database before SQLite touches it.
    pub fn verify(database: &Path) -> Result<Self, StoreError> {
        let (path, wal) = (beside(database, "-sums"), beside(database, "-wal"));
        let mut sums = Self {
            database: database.to_owned(),
            file: OnceCell::new(),
            wal,
            path,
            held: Held::default(),
            generation: Default::default(),
        };
        let Some(held) = sums.read()? else { return Ok(sums) };
        if !database.exists() {
            // The log decides whether anything is missing.
            return Ok(sums);
        }
        if held.running && !sums.wal.exists() {
            tracing::warn!(
                database = %database.display(),
                "another program opened the database while nacre was down; its pages are taken as they are"
            );
            return Ok(sums);
        }
        sums.compare(&held)?;
        sums.held = held;
        Ok(sums)
    }

    fn read(&self) -> Result<Option<Held>, StoreError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&self.path, error)),
        };
        Held::decode(&bytes).map(Some).ok_or_else(|| StoreError::SumsDamaged {
            path: self.path.display().to_string(),
            database: self.database.display().to_string(),
        })
    }

    fn compare(&self, held: &Held) -> Result<(), StoreError> {
        let size = held.page_size as usize;
        if size == 0 {
            return Ok(());
        }
        let file = opened(&self.file, &self.database)?;
        let mut wrong = Vec::new();
        let mut at = 0u32;
        let there = each_page(file, size, |sum| {
            let expected = held.pages.get(at as usize);
            at += 1;
            if !held.open.contains(&at) && expected != Some(&sum) {
                wrong.push(at);
            }
        });
        there.map_err(|error| self.io(error))?;
        let missing = (at + 1..=held.pages.len() as u32).filter(|page| !held.open.contains(page));
        wrong.extend(missing);
        // What SQLite would not read as pages at all.
        let rest = file.metadata().map_err(|error| self.io(error))?.len() % size as u64;
        if wrong.is_empty() && rest == 0 {
            return Ok(());
        }
        Err(StoreError::PagesDiffer {
            path: self.database.display().to_string(),
            detail: in_words(&wrong, held.pages.len(), size, rest),
            sums: self.path.display().to_string(),
        })
    }

    fn io(&self, error: io::Error) -> StoreError {
        StoreError::io(&self.database, error)
    }

    /// After the database was opened: sums all pages if none are known, and notes that somebody works on it.
    pub fn begin(&mut self) -> Result<(), StoreError> {
        self.note_generation();
        if self.held.page_size == 0 {
            self.sum_all()?;
        }
        self.held.running = true;
        self.write()
    }

    /// After the database was closed.
    pub fn end(&mut self) -> Result<(), StoreError> {
        // Readers that are still there keep the WAL, and whoever comes next finds it.
        if self.wal.exists() {
            return Ok(());
        }
        self.held.running = false;
        self.write()
    }

    /// After a commit.
    pub fn committed(&mut self) {
        self.note_generation();
        self.generation.settled = false;
    }

    /// Bytes of the WAL.
    pub fn wal_bytes(&self) -> u64 {
        fs::metadata(&self.wal).map_or(0, |meta| meta.len())
    }

    /// Forgets all sums when the WAL was moved by somebody else.
    fn note_generation(&mut self) {
        let now = wal::sequence(&self.wal);
        let follows = match (self.generation.sequence, now) {
            (None, _) => true,
            (Some(before), Some(now)) if before == now => true,
            (Some(before), Some(now)) => self.generation.settled && before.wrapping_add(1) == now,
            (Some(_), None) => self.generation.settled,
        };
        if !follows {
            tracing::info!("another program moved the database's WAL; the checksums of all pages are made anew");
            self.held.page_size = 0;
        }
        if now.is_some() && now != self.generation.sequence {
            self.generation = Generation { sequence: now, settled: false };
        }
    }

    /// Moves the WAL into the database, durably, and sums what changed. `false` when readers are in the way of some of it;
    /// with `wait` that is waited for as long as the connection's busy timeout.
    pub fn checkpoint(&mut self, connection: &Connection, wait: bool) -> Result<bool, StoreError> {
        self.note_generation();
        let log = wal::frames(&self.wal).map_err(|error| StoreError::io(&self.wal, error))?;
        if log.page_size != 0 && self.held.page_size != 0 && log.page_size != self.held.page_size {
            self.held.page_size = 0;
        }
        self.held.open.extend(&log.pages);
        self.write()?;
        let mode = if wait { "FULL" } else { "PASSIVE" };
        let (busy, frames, moved) = pragma(connection, mode)?;
        if frames >= 0 && frames != log.frames {
            // Somebody wrote between our look and the move.
            self.held.page_size = 0;
        }
        if self.held.page_size == 0 {
            self.sum_all()?;
        } else {
            self.sum_open()?;
        }
        self.write()?;
        let complete = busy == 0 && frames == moved;
        self.generation.settled = complete;
        if complete {
            // Nothing is left to move; readers in the way only keep the file long.
            pragma(connection, "TRUNCATE")?;
        }
        Ok(complete)
    }

    fn sum_open(&mut self) -> Result<(), StoreError> {
        let size = self.held.page_size as usize;
        let file = opened(&self.file, &self.database)?;
        let there = file.metadata().map_err(|error| self.io(error))?.len() / size as u64;
        let there = u32::try_from(there).unwrap_or(u32::MAX);
        // SQLite leaves out new pages that were free again before the commit: no frame, but a place in the file.
        let known = self.held.pages.len() as u32;
        self.held.open.extend(known + 1..=there);
        // Smaller than before after a restore of a smaller state. Pages behind the end are in the WAL only, as yet.
        self.held.pages.resize(there as usize, 0);
        let mut page = vec![0; size];
        for number in std::mem::take(&mut self.held.open) {
            match number.checked_sub(1).filter(|index| *index < there) {
                Some(index) => {
                    file.read_exact_at(&mut page, u64::from(index) * size as u64).map_err(|error| self.io(error))?;
                    self.held.pages[index as usize] = crc32fast::hash(&page);
                }
                None => {
                    self.held.open.insert(number);
                }
            }
        }
        Ok(())
    }

    fn sum_all(&mut self) -> Result<(), StoreError> {
        let file = opened(&self.file, &self.database)?;
        let Some(size) = page_size(file).map_err(|error| self.io(error))? else { return Ok(()) };
        let mut pages = Vec::new();
        each_page(file, size as usize, |sum| pages.push(sum)).map_err(|error| self.io(error))?;
        self.held.open.retain(|number| *number as usize > pages.len());
        (self.held.page_size, self.held.pages) = (size, pages);
        Ok(())
    }

    /// The old file or the new one is there, never half of either.
    fn write(&self) -> Result<(), StoreError> {
        let temporary = beside(&self.database, "-sums.tmp");
        let replace = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&self.held.encode())?;
            file.sync_data()?;
            fs::rename(&temporary, &self.path)
        };
        replace().map_err(|error| StoreError::io(&self.path, error))?;
        crate::store::sync_directory_of(&self.path)
    }
}

/// `PRAGMA wal_checkpoint`: whether it was kept from all of it, frames in the WAL, frames moved.
fn pragma(connection: &Connection, mode: &str) -> Result<(i64, i64, i64), StoreError> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    Ok(connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
}

/// The page size in a database's header; `None` for an empty file.
fn page_size(file: &File) -> io::Result<Option<u32>> {
    let mut two = [0; 2];
    match file.read_exact_at(&mut two, 16) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(match u16::from_be_bytes(two) {
        1 => Some(65_536),
        size if size >= 512 && size.is_power_of_two() => Some(size.into()),
        _ => None,
    })
}

/// Calls `each` with the sum of every whole page, in order.
fn each_page(file: &File, size: usize, mut each: impl FnMut(u32)) -> io::Result<()> {
    let mut chunk = vec![0; size * CHUNK];
    let mut at = 0;
    loop {
        let len = read_full(file, &mut chunk, at)?;
        for page in chunk[..len].chunks_exact(size) {
            each(crc32fast::hash(page));
        }
        if len < chunk.len() {
            return Ok(());
        }
        at += len as u64;
    }
}

fn read_full(file: &File, chunk: &mut [u8], at: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < chunk.len() {
        match file.read_at(&mut chunk[len..], at + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn in_words(wrong: &[u32], pages: usize, size: usize, rest: u64) -> String {
    if wrong.is_empty() {
        return format!("{rest} bytes of no page are at its end");
    }
    let places: Vec<String> = wrong
        .iter()
        .take(NAMED)
        .map(|page| format!("{page} (at byte {})", u64::from(page - 1) * size as u64))
        .collect();
    let more = if wrong.len() > NAMED { ", …" } else { "" };
    format!("{} of {pages} pages are not what was written: {}{more}", wrong.len(), places.join(", "))
}

impl Held {
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.page_size.to_le_bytes());
        out.push(u8::from(self.running));
        for numbers in [&self.pages, &self.open.iter().copied().collect()] {
            out.extend((numbers.len() as u32).to_le_bytes());
            out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let page_size = number(&mut rest)?;
        let mut running = [0];
        rest.read_exact(&mut running).ok()?;
        let pages = numbers(&mut rest)?;
        let open = numbers(&mut rest)?.into_iter().collect();
        rest.is_empty().then_some(Self { page_size, running: running[0] != 0, pages, open })
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (first, more) = rest.split_first_chunk::<4>()?;
    *rest = more;
    Some(u32::from_le_bytes(*first))
}

fn numbers(rest: &mut &[u8]) -> Option<Vec<u32>> {
    let count = number(rest)? as usize;
    let bytes = rest.get(..count.checked_mul(4)?)?;
    *rest = &rest[bytes.len()..];
    Some(bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
}

#[cfg(test)]
mod tests;

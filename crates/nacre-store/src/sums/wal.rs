//! What the head of a WAL and the heads of its frames say. The format is SQLite's and frozen (sqlite.org/fileformat2.html,
//! "The Write-Ahead Log").

use std::{collections::BTreeSet, fs::File, io, os::unix::fs::FileExt, path::Path};

const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
const MAGICS: [u32; 2] = [0x377f_0682, 0x377f_0683];

/// Frames of the WAL's present life.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub page_size: u32,
    pub frames: i64,
    /// Pages that have frames.
    pub pages: BTreeSet<u32>,
}

fn be(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn head(file: &File) -> Option<[u8; HEAD]> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0).ok()?;
    MAGICS.contains(&be(&head, 0)).then_some(head)
}

/// How often the WAL began anew; `None` when there is none or nothing in it.
pub(super) fn sequence(wal: &Path) -> Option<u32> {
    head(&File::open(wal).ok()?).map(|head| be(&head, 12))
}

/// The frames that belong to the WAL's head. Frames of a torn commit may be among them: whoever counts a page too many
/// only looks at it once more.
pub(super) fn frames(wal: &Path) -> io::Result<Frames> {
    let file = match File::open(wal) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Frames::default()),
        Err(error) => return Err(error),
    };
    let Some(head) = head(&file) else { return Ok(Frames::default()) };
    let mut found = Frames { page_size: be(&head, 8), ..Frames::default() };
    let step = FRAME_HEAD as u64 + u64::from(found.page_size);
    let mut frame = [0; FRAME_HEAD];
    let mut at = HEAD as u64;
    while file.read_exact_at(&mut frame, at).is_ok() && frame[8..16] == head[16..24] {
        found.pages.insert(be(&frame, 0));
        found.frames += 1;
        at += step;
    }
    Ok(found)
}

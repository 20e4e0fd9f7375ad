//! A small file that holds one value twice, each copy with its own checksum.
//!
//! A crash can tear at most the copy that is being written, a flipped bit can spoil at most one: the other copy is whole.
//! With both copies whole the newer one counts. Overwriting in place needs no free space on the disk.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use super::medium::Medium;

const HEAD: usize = 32;
const FORMAT: u32 = 1;

/// Geometry and identity of a twin file.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub magic: [u8; 8],
    /// Distance of the two copies: one disk sector at least.
    pub slot: usize,
}

pub struct Twin {
    shape: Shape,
    file: File,
    generation: u64,
    /// The second copy is perhaps not flushed, or not even written.
    second_pending: bool,
    value: Vec<u8>,
}

/// What a twin file holds.
#[derive(Debug)]
pub struct Loaded {
    pub value: Vec<u8>,
    /// One copy was unreadable or older: repaired by the next `write`.
    pub repaired: bool,
}

#[derive(Debug)]
pub enum Unreadable {
    Io(io::Error),
    Newer(u32),
    /// Neither copy is whole.
    Damaged,
}

impl Twin {
    /// Creates the file with `value` in both copies; it appears under its name whole or not at all.
    pub fn create(medium: &dyn Medium, path: &Path, shape: Shape, value: &[u8]) -> io::Result<Self> {
        let bytes = both(shape, 1, value)?;
        medium.create_whole(path, &bytes)?;
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self { shape, file, generation: 1, second_pending: false, value: value.to_vec() })
    }

    pub fn open(path: &Path, shape: Shape) -> Result<(Self, Loaded), Unreadable> {
        let file = File::options().read(true).write(true).open(path).map_err(Unreadable::Io)?;
        let bytes = std::fs::read(path).map_err(Unreadable::Io)?;
        let first = copy(&bytes, shape, 0)?;
        let second = copy(&bytes, shape, shape.slot)?;
        let repaired = first != second;
        // Ties go to the first, which is written first.
        let newest = match (first, second) {
            (Some(first), Some(second)) if second.0 > first.0 => second,
            (Some(first), _) => first,
            (None, Some(second)) => second,
            (None, None) => return Err(Unreadable::Damaged),
        };
        let (generation, value) = newest;
        let twin = Self { shape, file, generation, second_pending: true, value: value.clone() };
        Ok((twin, Loaded { value, repaired }))
    }

    /// Replaces the value durably. One copy is always whole on the disk: the first is not touched before the second is
    /// flushed, the second not before the first.
    pub fn write(&mut self, medium: &dyn Medium, value: &[u8]) -> io::Result<()> {
        let slot = self.shape.slot;
        if self.second_pending {
            let current = both(self.shape, self.generation, &self.value)?;
            medium.write_at(&self.file, &current[slot..], slot as u64)?;
            medium.sync(&self.file)?;
            self.second_pending = false;
        }
        let bytes = both(self.shape, self.generation + 1, value)?;
        medium.write_at(&self.file, &bytes[..slot], 0)?;
        medium.sync(&self.file)?;
        self.generation += 1;
        self.value = value.to_vec();
        self.second_pending = true;
        // The value is durable. This copy is made durable before the first one is touched again; if it cannot be
        // written now, it is written then.
        let _ = medium.write_at(&self.file, &bytes[slot..], slot as u64);
        Ok(())
    }

    /// Replaces both copies without waiting for the disk: survives the end of the process, not that of the machine.
    pub fn note(&mut self, value: &[u8]) -> io::Result<()> {
        self.generation += 1;
        self.second_pending = true;
        self.value = value.to_vec();
        self.file.write_all_at(&both(self.shape, self.generation, value)?, 0)
    }
}

fn both(shape: Shape, generation: u64, value: &[u8]) -> io::Result<Vec<u8>> {
    if HEAD + value.len() > shape.slot {
        return Err(io::Error::other("the value does not fit"));
    }
    let mut slot = vec![0; shape.slot];
    slot[0..8].copy_from_slice(&shape.magic);
    slot[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    slot[12..20].copy_from_slice(&generation.to_le_bytes());
    slot[20..24].copy_from_slice(&(value.len() as u32).to_le_bytes());
    slot[HEAD..HEAD + value.len()].copy_from_slice(value);
    // The checksum covers everything but its own four bytes; bytes 28..32 stay zero.
    let crc = checksum(&slot);
    slot[24..28].copy_from_slice(&crc.to_le_bytes());
    slot.extend_from_within(..);
    Ok(slot)
}

fn checksum(slot: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&slot[..24]);
    hasher.update(&slot[28..]);
    hasher.finalize()
}

/// Generation and value of the copy at `at`, `None` when it is not whole.
fn copy(bytes: &[u8], shape: Shape, at: usize) -> Result<Option<(u64, Vec<u8>)>, Unreadable> {
    let Some(slot) = bytes.get(at..at + shape.slot) else { return Ok(None) };
    let number =
        |from: usize, to: usize| slot[from..to].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    if slot[0..8] != shape.magic || u64::from(checksum(slot)) != number(24, 28) {
        return Ok(None);
    }
    let format = number(8, 12) as u32;
    if format > FORMAT {
        return Err(Unreadable::Newer(format));
    }
    let length = number(20, 24) as usize;
    Ok(slot.get(HEAD..HEAD + length).map(|value| (number(12, 20), value.to_vec())))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::log::medium::{
        Disk,
        faulty::{Faults, Faulty},
    };

    const SHAPE: Shape = Shape { magic: *b"NACRTEST", slot: 512 };

    fn open(path: &Path) -> Result<Loaded, Unreadable> {
        Twin::open(path, SHAPE).map(|(_, loaded)| loaded)
    }

    #[test]
    fn the_newest_value_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("twin");
        let mut twin = Twin::create(&Disk, &path, SHAPE, b"one").unwrap();
        assert_eq!(open(&path).unwrap().value, b"one");
        twin.write(&Disk, b"two").unwrap();
        twin.note(b"three").unwrap();
        let loaded = open(&path).unwrap();
        assert_eq!((loaded.value.as_slice(), loaded.repaired), (b"three".as_slice(), false));
        assert!(twin.write(&Disk, &[0; 512]).is_err());
    }

    #[test]
    fn one_damaged_byte_anywhere_is_survived_and_two_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("twin");
        Twin::create(&Disk, &path, SHAPE, b"value").unwrap().write(&Disk, b"newer").unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            let loaded = open(&path).unwrap();
            assert_eq!((loaded.value.as_slice(), loaded.repaired), (b"newer".as_slice(), true), "at {at}");
            bad[(at + 512) % 1024] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(open(&path), Err(Unreadable::Damaged)), "at {at}");
        }
    }

    #[test]
    fn a_crash_between_the_two_copies_leaves_the_new_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("twin");
        let mut twin = Twin::create(&Disk, &path, SHAPE, b"old").unwrap();
        let old = std::fs::read(&path).unwrap();
        twin.write(&Disk, b"new").unwrap();
        let mut half = std::fs::read(&path).unwrap();
        half[512..].copy_from_slice(&old[512..]);
        std::fs::write(&path, &half).unwrap();
        assert_eq!(open(&path).unwrap().value, b"new");
        // Torn inside the first copy: the old value, which is all that was acknowledged.
        half[..512].fill(0);
        std::fs::write(&path, &half).unwrap();
        assert_eq!(open(&path).unwrap().value, b"old");
        for length in 0..1024 {
            std::fs::write(&path, &old[..length]).unwrap();
            assert_eq!(open(&path).is_ok(), length >= 512, "{length}");
        }
    }

    #[test]
    fn a_second_copy_that_was_not_written_is_mended_before_the_first_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("twin");
        let medium = Faulty::default();
        let mut twin = Twin::create(&Disk, &path, SHAPE, b"old").unwrap();
        medium.set(Faults { write_after: Some((512, ErrorKind::StorageFull)), ..Faults::default() });
        twin.write(&medium, b"new").unwrap();
        assert_eq!(open(&path).unwrap().value, b"new");
        // The next write is torn in its first copy: 512 bytes mend the second one, 26 spoil the first.
        medium.set(Faults { write_after: Some((538, ErrorKind::StorageFull)), ..Faults::default() });
        twin.write(&medium, b"newest").unwrap_err();
        assert_eq!(open(&path).unwrap().value, b"new");
    }

    #[test]
    fn a_newer_format_is_said_to_be_newer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("twin");
        Twin::create(&Disk, &path, SHAPE, b"value").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8] = 2;
        let crc = checksum(&bytes[..512]);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(open(&path), Err(Unreadable::Newer(2))));
    }
}

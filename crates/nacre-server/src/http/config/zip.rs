//! The little of the zip format that exports and imports need: stored and deflated entries, no encryption, no zip64.

use std::io::{Read, Write};

use flate2::{Compression, Crc, read::DeflateDecoder, write::DeflateEncoder};
use nacre_model::limits;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// The end record without its comment.
const END_LENGTH: usize = 22;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Flag: the name is UTF-8. Flag: the entry is encrypted.
const UTF8: u16 = 1 << 11;
const ENCRYPTED: u16 = 1;
/// 1980-01-01, the first day of DOS.
const DATE: u16 = 0x0021;

/// One file of an archive that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As stored, with `/` between its parts; what is no UTF-8 is shown as well as it can be.
    pub name: String,
    /// The name could be decoded.
    pub legible: bool,
    /// The bytes, or why there are none.
    pub data: Result<Vec<u8>, String>,
}

/// Reads all files (not folders). `None`: this is no zip archive.
pub fn read(bytes: &[u8]) -> Option<Vec<Entry>> {
    let end = find_end(bytes)?;
    let count = u16_at(bytes, end + 10)? as usize;
    let mut at = u32_at(bytes, end + 16)? as usize;
    let mut left = limits::IMPORT_BYTES;
    let mut entries = Vec::new();
    for _ in 0..count.min(limits::IMPORT_ENTRIES as usize) {
        if u32_at(bytes, at)? != CENTRAL {
            return None;
        }
        let lengths = [28, 30, 32].map(|offset| u16_at(bytes, at + offset).map(usize::from));
        let [Some(name), Some(extra), Some(comment)] = lengths else { return None };
        let raw = bytes.get(at + 46..at + 46 + name)?;
        let header = Header {
            flags: u16_at(bytes, at + 8)?,
            method: u16_at(bytes, at + 10)?,
            crc: u32_at(bytes, at + 16)?,
            packed: u32_at(bytes, at + 20)? as usize,
            size: u64::from(u32_at(bytes, at + 24)?),
            local: u32_at(bytes, at + 42)? as usize,
        };
        at += 46 + name + extra + comment;
        // Some packers write backslashes between the parts.
        let text = String::from_utf8_lossy(raw).replace('\\', "/");
        if text.ends_with('/') {
            continue;
        }
        let data = header.unpack(bytes, &mut left);
        entries.push(Entry { name: text, legible: std::str::from_utf8(raw).is_ok(), data });
    }
    Some(entries)
}

struct Header {
    flags: u16,
    method: u16,
    crc: u32,
    packed: usize,
    size: u64,
    local: usize,
}

impl Header {
    /// `left` is what all entries together may still unpack to.
    fn unpack(&self, bytes: &[u8], left: &mut u64) -> Result<Vec<u8>, String> {
        if self.flags & ENCRYPTED != 0 {
            return Err("it is encrypted".into());
        }
        if self.size > *left {
            return Err(format!(
                "the archive unpacks to more than {} bytes (limit IMPORT_BYTES)",
                limits::IMPORT_BYTES
            ));
        }
        let packed = self.packed_bytes(bytes).ok_or("its place in the archive is wrong")?;
        let mut data = Vec::new();
        let read = match self.method {
            STORED => packed.take(self.size + 1).read_to_end(&mut data),
            DEFLATED => DeflateDecoder::new(packed).take(self.size + 1).read_to_end(&mut data),
            method => return Err(format!("it is packed by method {method}")),
        };
        // What was unpacked in vain counts too: thousands of entries may lead to the same bytes.
        *left = left.saturating_sub(data.len() as u64);
        read.map_err(|error| error.to_string())?;
        let mut crc = Crc::new();
        crc.update(&data);
        if data.len() as u64 != self.size || crc.sum() != self.crc {
            return Err("it is damaged".into());
        }
        Ok(data)
    }

    fn packed_bytes<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if u32_at(bytes, self.local)? != LOCAL {
            return None;
        }
        let name = u16_at(bytes, self.local + 26)? as usize;
        let extra = u16_at(bytes, self.local + 28)? as usize;
        let start = self.local + 30 + name + extra;
        bytes.get(start..start.checked_add(self.packed)?)
    }
}

/// The end record stands at the end, before a comment of at most 64 KiB.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_LENGTH)?;
    (last.saturating_sub(0xffff)..=last).rev().find(|at| u32_at(bytes, *at) == Some(END))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// An archive that is being written.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
    central: Vec<u8>,
    count: u16,
}

impl Writer {
    /// Adds a file. Entries beyond what the format counts are an error of the caller.
    pub fn add(&mut self, name: &str, data: &[u8]) -> Result<(), String> {
        let too_big = || "the export is too big for one zip archive: export it in parts".to_owned();
        let offset = u32::try_from(self.out.len()).map_err(|_| too_big())?;
        let size = u32::try_from(data.len()).map_err(|_| too_big())?;
        let name_length = u16::try_from(name.len()).map_err(|_| too_big())?;
        self.count = self.count.checked_add(1).ok_or_else(too_big)?;
        let mut crc = Crc::new();
        crc.update(data);
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
        let packed = packer.write_all(data).and_then(|()| packer.finish()).map_err(|error| error.to_string())?;
        let packed_size = u32::try_from(packed.len()).map_err(|_| too_big())?;
        // Version needed, flags, method, time, date, crc, sizes, lengths of name and extra field.
        let mut common = Vec::with_capacity(26);
        for number in [20, UTF8, DEFLATED, 0, DATE] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        for number in [crc.sum(), packed_size, size] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        common.extend_from_slice(&name_length.to_le_bytes());
        common.extend_from_slice(&[0; 2]);

        self.out.extend_from_slice(&LOCAL.to_le_bytes());
        self.out.extend_from_slice(&common);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(&packed);

        self.central.extend_from_slice(&CENTRAL.to_le_bytes());
        self.central.extend_from_slice(&20_u16.to_le_bytes());
        self.central.extend_from_slice(&common);
        // Comment, disk, attributes.
        self.central.extend_from_slice(&[0; 10]);
        self.central.extend_from_slice(&offset.to_le_bytes());
        self.central.extend_from_slice(name.as_bytes());
        Ok(())
    }

    pub fn finish(mut self) -> Vec<u8> {
        let start = self.out.len() as u32;
        let length = self.central.len() as u32;
        self.out.append(&mut self.central);
        self.out.extend_from_slice(&END.to_le_bytes());
        self.out.extend_from_slice(&[0; 4]);
        for number in [self.count, self.count] {
            self.out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [length, start] {
            self.out.extend_from_slice(&number.to_le_bytes());
        }
        self.out.extend_from_slice(&[0; 2]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::default();
        for (name, data) in files {
            writer.add(name, data).expect("add");
        }
        writer.finish()
    }

    #[test]
    fn what_is_written_is_read() {
        let big = "配置🦀\r\n".repeat(10_000);
        let bytes = archive(&[("G/a", b"k: 1\n"), ("组/b", big.as_bytes()), ("empty", b"")]);
        let entries = read(&bytes).expect("zip");
        let seen: Vec<_> = entries.iter().map(|e| (&*e.name, e.data.as_ref().expect("data").len())).collect();
        assert_eq!(seen, [("G/a", 5), ("组/b", big.len()), ("empty", 0)]);
    }

    #[test]
    fn damage_is_found() {
        let mut bytes = archive(&[("a", &[7; 1_000])]);
        bytes[35] ^= 1;
        assert!(read(&bytes).expect("zip")[0].data.is_err());
        assert_eq!(read(b"this is no zip"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn an_archive_that_says_it_is_huge_is_refused_unread() {
        let mut bytes = archive(&[("a", b"x")]);
        let central = bytes.len() - END_LENGTH - 47;
        bytes[central + 24..central + 28].copy_from_slice(&u32::MAX.to_le_bytes());
        let entries = read(&bytes).expect("zip");
        assert!(entries[0].data.as_ref().expect_err("too big").contains("IMPORT_BYTES"));
    }

    /// A small file may name the same packed bytes ten thousand times, each time with a wrong checksum.
    #[test]
    fn what_is_unpacked_in_vain_counts_against_the_limit() {
        const MIB: usize = 1 << 20;
        const TIMES: u16 = 100;
        let bytes = archive(&[("a", &vec![0; MIB])]);
        let (records, end) = bytes.split_at(bytes.len() - END_LENGTH);
        let (local, central) = records.split_at(records.len() - 47);
        let mut central = central.to_vec();
        central[16] ^= 1;
        let mut end = end.to_vec();
        end[8..10].copy_from_slice(&TIMES.to_le_bytes());
        end[10..12].copy_from_slice(&TIMES.to_le_bytes());
        let entries = read(&[local, &central.repeat(TIMES.into()), &end].concat()).expect("zip");
        let refused = |entry: &&Entry| entry.data.as_ref().expect_err("damaged").contains("IMPORT_BYTES");
        let unpacked = limits::IMPORT_BYTES as usize / MIB;
        assert_eq!(entries.iter().filter(refused).count(), usize::from(TIMES) - unpacked);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_broken_archive_is_read_without_a_panic(at in 0_usize..150, byte: u8) {
            let mut bytes = archive(&[("G/a", b"k: 1\n"), ("b", b"xyz")]);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = read(&bytes);
        }
    }
}

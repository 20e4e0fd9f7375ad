//! Frames, the grain of a segment: `mark (2) | length (4) | crc32 (4) | payload`, numbers little-endian.
//!
//! What does not add up is passed over to the next frame that does. The mark begins with a byte that no UTF-8 text has,
//! so text inside a payload is seldom taken for a frame, and its sum would not add up then.

const MARK: [u8; 2] = [0xFF, 0x4A];
/// Bytes of a frame besides its payload.
pub const OVERHEAD: usize = 10;
/// No payload is larger: what claims to be is damage.
pub const MAX_PAYLOAD: usize = 1024 * 1024;

/// Appends a frame whose payload `fill` writes. False, and nothing appended, when the payload would be too large or
/// cannot be written.
pub fn put(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    let start = out.len();
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[0; 8]);
    let body = out.len();
    let written = fill(out);
    let length = out.len() - body;
    if !written || length > MAX_PAYLOAD {
        out.truncate(start);
        return false;
    }
    let sum = crc32fast::hash(&out[body..]);
    out[start + 2..start + 6].copy_from_slice(&(length as u32).to_le_bytes());
    out[start + 6..start + 10].copy_from_slice(&sum.to_le_bytes());
    true
}

#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Frame {
        at: usize,
        payload: &'a [u8],
    },
    /// Bytes that are no frame.
    Damage {
        at: usize,
        bytes: usize,
    },
}

/// The frames in a piece of a segment, in order.
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The payload of a whole, intact frame at `at`.
    fn intact(&self, at: usize) -> Option<&'a [u8]> {
        let head = self.bytes.get(at..at + OVERHEAD)?;
        if head[..2] != MARK {
            return None;
        }
        let length = u32::from_le_bytes(head[2..6].try_into().ok()?) as usize;
        let sum = u32::from_le_bytes(head[6..10].try_into().ok()?);
        if length > MAX_PAYLOAD {
            return None;
        }
        let payload = self.bytes.get(at + OVERHEAD..at + OVERHEAD + length)?;
        (crc32fast::hash(payload) == sum).then_some(payload)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let at = self.at;
        if at >= self.bytes.len() {
            return None;
        }
        if let Some(payload) = self.intact(at) {
            self.at = at + OVERHEAD + payload.len();
            return Some(Item::Frame { at, payload });
        }
        let mut candidates = memchr::memmem::find_iter(&self.bytes[at + 1..], &MARK).map(|found| at + 1 + found);
        let next = candidates.find(|candidate| self.intact(*candidate).is_some());
        self.at = next.unwrap_or(self.bytes.len());
        Some(Item::Damage { at, bytes: self.at - at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for text in ["one", "two, which is longer", "three"] {
            starts.push(bytes.len());
            assert!(put(&mut bytes, |out| {
                out.extend_from_slice(text.as_bytes());
                true
            }));
        }
        (bytes, starts)
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        Frames::new(bytes)
            .map(|item| match item {
                Item::Frame { payload, .. } => String::from_utf8_lossy(payload).into_owned(),
                Item::Damage { bytes, .. } => format!("<{bytes}>"),
            })
            .collect()
    }

    #[test]
    fn frames_read_back_in_order() {
        assert_eq!(texts(&three().0), ["one", "two, which is longer", "three"]);
        assert!(texts(b"").is_empty());
    }

    #[test]
    fn any_flipped_byte_costs_one_frame_and_no_other() {
        let (bytes, starts) = three();
        for index in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[index] ^= 0x41;
            let hit = starts.iter().rposition(|start| *start <= index).unwrap();
            let mut wanted = vec!["one".to_owned(), "two, which is longer".to_owned(), "three".to_owned()];
            let end = starts.get(hit + 1).copied().unwrap_or(bytes.len());
            wanted[hit] = format!("<{}>", end - starts[hit]);
            assert_eq!(texts(&broken), wanted, "byte {index}");
        }
    }

    #[test]
    fn a_torn_end_is_damage_up_to_the_end() {
        let (bytes, starts) = three();
        for end in starts[2] + 1..bytes.len() {
            let found: Vec<Item<'_>> = Frames::new(&bytes[..end]).collect();
            assert_eq!(found[2], Item::Damage { at: starts[2], bytes: end - starts[2] });
            assert_eq!(found.len(), 3);
        }
    }

    #[test]
    fn noise_and_huge_lengths_are_damage() {
        let mut bytes = vec![0xFF, 0x4A, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0, 0, 0, 1, 2, 3];
        assert_eq!(texts(&bytes), ["<13>"]);
        bytes.extend(three().0);
        assert_eq!(texts(&bytes), ["<13>", "one", "two, which is longer", "three"]);
        let mut out = vec![7];
        assert!(!put(&mut out, |out| {
            out.resize(MAX_PAYLOAD + 100, 0);
            true
        }));
        assert_eq!(out, [7]);
    }
}

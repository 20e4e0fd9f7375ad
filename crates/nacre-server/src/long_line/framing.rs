//! Where the requests of an HTTP/1 connection begin: only as much of the framing as that takes. Whoever reads the requests
//! decides what they mean, and refuses what is not well formed.

/// A header's line is looked at up to this length; the values that matter are short.
const LOOKED_AT: usize = 128;

/// The place in the stream.
#[derive(Debug, Default)]
enum Place {
    /// At the line of a request.
    #[default]
    Line,
    /// In its headers.
    Head,
    /// So many bytes of a body are left.
    Body(u64),
    /// At the line with the size of a chunk.
    Size,
    /// So many bytes of a chunk are left, its line end included.
    Chunk(u64),
    /// In the trailers.
    Trailer,
    /// Unknown; nothing is looked at any more.
    Aside,
}

/// Follows one connection.
#[derive(Debug, Default)]
pub struct Framing {
    place: Place,
    /// The current line of the head, a size or a trailer, as far as it has come and is looked at.
    seen: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
    odd: bool,
}

impl Framing {
    /// Does the next byte begin, or go on with, the line of a request?
    pub fn at_line(&self) -> bool {
        matches!(self.place, Place::Line)
    }

    /// How many bytes from here on mean nothing.
    pub fn opaque(&self) -> Option<u64> {
        match self.place {
            Place::Body(left) | Place::Chunk(left) => Some(left),
            Place::Aside => Some(u64::MAX),
            _ => None,
        }
    }

    /// So many of them are gone.
    pub fn skip(&mut self, count: u64) {
        match &mut self.place {
            Place::Body(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.place = Place::Line;
                }
            }
            Place::Chunk(left) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.place = Place::Size;
                }
            }
            _ => {}
        }
    }

    pub fn step_aside(&mut self) {
        self.place = Place::Aside;
    }

    /// A whole line where a request begins. Blank ones are allowed in front of it.
    pub fn line(&mut self, line: &[u8]) {
        if line.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return;
        }
        *self = Self { place: Place::Head, ..Self::default() };
        // The tunnel of a CONNECT is nobody's request.
        self.odd = line.starts_with(b"CONNECT ");
    }

    /// Goes on, not further than the next request's line; how many bytes were taken.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        if let Some(left) = self.opaque() {
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.skip(count as u64);
            return count;
        }
        let end = memchr::memchr(b'\n', bytes);
        let count = end.map_or(bytes.len(), |end| end + 1);
        if end.is_some() && self.seen.is_empty() {
            self.ended(bytes[..count.min(LOOKED_AT)].trim_ascii());
            return count;
        }
        let room = LOOKED_AT.saturating_sub(self.seen.len());
        self.seen.extend_from_slice(&bytes[..count.min(room)]);
        if end.is_some() {
            let seen = std::mem::take(&mut self.seen);
            self.ended(seen.trim_ascii());
        }
        count
    }

    /// A line of the head, a size or a trailer is complete.
    fn ended(&mut self, line: &[u8]) {
        match self.place {
            Place::Head if line.is_empty() => self.place = self.body(),
            Place::Head => self.header(line),
            Place::Size => self.place = self.size(line),
            Place::Trailer if line.is_empty() => self.place = Place::Line,
            _ => {}
        }
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            self.odd = true;
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value);
            self.odd |= length.is_none() || self.length.is_some();
            self.length = length;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.odd |= self.chunked || !value.eq_ignore_ascii_case(b"chunked");
            self.chunked = true;
        }
        // An offer to upgrade (Java's own client makes one with each first request) is never taken here.
    }

    /// What comes behind the head.
    fn body(&self) -> Place {
        match (self.odd, self.chunked, self.length) {
            (true, ..) | (_, true, Some(_)) => Place::Aside,
            (false, true, None) => Place::Size,
            (false, false, Some(length)) if length > 0 => Place::Body(length),
            (false, false, _) => Place::Line,
        }
    }

    fn size(&self, line: &[u8]) -> Place {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or(line).trim_ascii();
        let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match text.and_then(|text| u64::from_str_radix(text, 16).ok()) {
            Some(0) => Place::Trailer,
            Some(size) => size.checked_add(2).map_or(Place::Aside, Place::Chunk),
            None => Place::Aside,
        }
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

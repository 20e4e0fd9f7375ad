//! Requests prepared once and completed a thousand times a millisecond: bytes with holes of fixed width.

/// What a request is about; all that differs between two requests of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Which config or service.
    pub key: u64,
    /// Which instance of the service.
    pub host: u64,
    /// Counts up over the whole run: makes every change a real one.
    pub seq: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    Key,
    Host,
    Seq,
}

/// Written as `{key}`, `{host}` and `{seq}`: eight digits, an address of 14 characters, twelve digits.
const HOLES: [(&str, Hole); 3] = [("{key}", Hole::Key), ("{host}", Hole::Host), ("{seq}", Hole::Seq)];

#[derive(Clone, Debug)]
enum Piece {
    Text(Vec<u8>),
    Hole(Hole),
}

/// Bytes with holes. Whatever fills them, the length is the same, so lengths in front of a body can be written ahead.
#[derive(Clone, Debug)]
pub struct Template(Vec<Piece>);

impl Template {
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        let mut rest = text.as_ref();
        let mut pieces = Vec::new();
        loop {
            let next = HOLES.iter().filter_map(|(mark, hole)| {
                memchr::memmem::find(rest, mark.as_bytes()).map(|at| (at, mark.len(), *hole))
            });
            let Some((at, length, hole)) = next.min_by_key(|(at, ..)| *at) else { break };
            pieces.push(Piece::Text(rest[..at].to_vec()));
            pieces.push(Piece::Hole(hole));
            rest = &rest[at + length..];
        }
        pieces.push(Piece::Text(rest.to_vec()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Self(pieces)
    }

    /// Appends the bytes for a subject.
    pub fn write(&self, subject: Subject, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Hole(Hole::Key) => digits::<8>(subject.key, out),
                Piece::Hole(Hole::Seq) => digits::<12>(subject.seq, out),
                Piece::Hole(Hole::Host) => address(subject.host, out),
            }
        }
    }

    pub fn bytes(&self, subject: Subject) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(subject, &mut out);
        out
    }

    /// Length of what it writes.
    pub fn size(&self) -> usize {
        self.bytes(Subject::default()).len()
    }
}

/// The last N digits of a number.
fn digits<const N: usize>(mut number: u64, out: &mut Vec<u8>) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text);
}

/// A million addresses of the same length: 10.100.100.100 to 10.199.199.199.
fn address(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"10");
    for part in [number / 10_000, number / 100, number] {
        let part = part % 100;
        out.extend_from_slice(&[b'.', b'1', b'0' + (part / 10) as u8, b'0' + (part % 10) as u8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_and_keep_their_width() {
        let template = Template::new("{\"a\":{key},\"b\":\"{host}\",{seq}{key}");
        let text = |key, host, seq| String::from_utf8(template.bytes(Subject { key, host, seq })).unwrap();
        assert_eq!(text(7, 123_456, 3), "{\"a\":00000007,\"b\":\"10.112.134.156\",00000000000300000007");
        assert_eq!(text(u64::MAX, u64::MAX, u64::MAX).len(), template.size());
    }

    #[test]
    fn a_text_without_holes_is_itself() {
        assert_eq!(Template::new("GET / {x}").bytes(Subject::default()), b"GET / {x}");
        assert_eq!(Template::new("").size(), 0);
    }
}

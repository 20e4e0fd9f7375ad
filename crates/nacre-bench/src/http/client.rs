//! A keep-alive connection without a client library: prepared bytes out, an answer's status and body in.

use std::{
    io::{self, Error, ErrorKind},
    net::SocketAddr,
    ops::Range,
    time::{Duration, Instant},
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    load::{Done, Link},
    template::{Subject, Template},
};

/// Larger answers are not for this tool.
const LARGEST: usize = 64 * 1024 * 1024;
/// As much of a wrong answer is shown.
const SHOWN: usize = 200;

/// Something that is asked, and how to know that it was answered well.
#[derive(Clone, Debug)]
pub struct Call {
    pub request: Template,
    /// What the answer's body holds when it went well; the status is 200 besides.
    pub expect: &'static [u8],
}

/// What connections of a round share.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: SocketAddr,
    /// Comes before each operation and is not measured.
    pub before: Option<Call>,
    pub call: Call,
}

/// One answer, within the connection's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: Range<usize>,
    pub body: Body,
}

/// Chunked bodies are put together; others stay where they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Here(Range<usize>),
    Joined(Vec<u8>),
}

/// A connection.
#[derive(Debug)]
pub struct Http {
    stream: TcpStream,
    out: Vec<u8>,
    /// What was read of the answer so far.
    buffer: Vec<u8>,
    over: bool,
}

impl Http {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// On a connection that is open.
    pub fn over(stream: TcpStream) -> Self {
        Self { stream, out: Vec::with_capacity(1024), buffer: Vec::with_capacity(4096), over: false }
    }

    /// Sends a call and reads its answer; what was wrong with it is told.
    pub async fn call(&mut self, call: &Call, subject: Subject) -> io::Result<Option<String>> {
        self.out.clear();
        call.request.write(subject, &mut self.out);
        let answer = self.exchange().await?;
        let body = self.body(&answer);
        if answer.status == 200 && memmem::find(body, call.expect).is_some() {
            return Ok(None);
        }
        let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
        Ok(Some(format!("status {}: {shown}", answer.status)))
    }

    /// Sends bytes and gives the answer's head and body.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>, Vec<u8>)> {
        self.out.clear();
        self.out.extend_from_slice(request);
        let answer = self.exchange().await?;
        Ok((answer.status, self.buffer[answer.head.clone()].to_vec(), self.body(&answer).to_vec()))
    }

    pub fn body<'a>(&'a self, answer: &'a Answer) -> &'a [u8] {
        match &answer.body {
            Body::Here(range) => &self.buffer[range.clone()],
            Body::Joined(bytes) => bytes,
        }
    }

    async fn exchange(&mut self) -> io::Result<Answer> {
        self.stream.write_all(&self.out).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
            if let Some((answer, over)) = parse(&self.buffer)? {
                self.over = over;
                return Ok(answer);
            }
            if self.buffer.len() > LARGEST {
                return Err(Error::new(ErrorKind::InvalidData, "the answer is too large"));
            }
        }
    }
}

impl Link for Http {
    type Plan = Plan;

    async fn open(plan: &Plan) -> io::Result<Self> {
        Self::connect(plan.address).await
    }

    fn is_over(&self) -> bool {
        self.over
    }

    async fn act(&mut self, plan: &Plan, subject: Subject) -> io::Result<Done> {
        let mut before = Duration::ZERO;
        if let Some(call) = &plan.before {
            let begun = Instant::now();
            let wrong = self.call(call, subject).await?;
            before = begun.elapsed();
            if wrong.is_some() {
                return Ok(Done { wrong, before });
            }
        }
        Ok(Done { wrong: self.call(&plan.call, subject).await?, before })
    }
}

/// A whole answer, and whether the server closes the connection after it; `None` while some of it is missing.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, bool)>> {
    let bad = |what: &str| Error::new(ErrorKind::InvalidData, format!("this is no HTTP/1.1 answer: {what}"));
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = &bytes[..end];
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let status: u16 = status.filter(|_| head.starts_with(b"HTTP/1.")).ok_or_else(|| bad("its first line"))?;
    let (mut length, mut chunked, mut over) = (None, false, head.starts_with(b"HTTP/1.0"));
    let mut rest = head;
    while let Some(line_end) = memchr::memchr(b'\n', rest) {
        rest = &rest[line_end + 1..];
        // Only three names matter, and two letters tell most others apart.
        match rest.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value_of(rest, b"content-length:") {
                    let text = std::str::from_utf8(value).unwrap_or_default();
                    length = Some(text.parse::<usize>().map_err(|_| bad("its length"))?);
                } else if let Some(value) = value_of(rest, b"connection:") {
                    over = value.eq_ignore_ascii_case(b"close");
                }
            }
            Some(b't') => {
                if let Some(value) = value_of(rest, b"transfer-encoding:") {
                    chunked = value.to_ascii_lowercase().ends_with(b"chunked");
                }
            }
            _ => {}
        }
    }
    let begin = end + 4;
    if chunked {
        let joined = dechunk(&bytes[begin..]).map_err(bad)?;
        return Ok(joined.map(|body| (Answer { status, head: 0..begin, body: Body::Joined(body) }, over)));
    }
    let bodiless = status == 204 || status == 304;
    let Some(length) = length.or(bodiless.then_some(0)) else { return Err(bad("it does not tell its length")) };
    let whole = begin.checked_add(length).is_some_and(|end| bytes.len() >= end);
    Ok(whole.then(|| (Answer { status, head: 0..begin, body: Body::Here(begin..begin + length) }, over)))
}

/// The value of a header line when it has this name (given in lower case, with its colon).
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if line.len() < name.len() || !line[..name.len()].eq_ignore_ascii_case(name) {
        return None;
    }
    let value = &line[name.len()..];
    Some(value[..memchr::memchr(b'\n', value).unwrap_or(value.len())].trim_ascii())
}

/// The chunks put together; `None` while the last one is missing.
fn dechunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let mut body = Vec::new();
    loop {
        let Some(line) = memmem::find(rest, b"\r\n") else { return Ok(None) };
        let digits = rest[..line].split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.filter(|size| *size <= LARGEST).ok_or("the size of a chunk")?;
        let data = &rest[line + 2..];
        if size == 0 {
            // No server of this protocol sends trailers.
            return Ok((data.len() >= 2).then_some(body));
        }
        if data.len() < size + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&data[..size]);
        rest = &data[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &[u8]) -> Option<(u16, Vec<u8>, bool)> {
        let (answer, over) = parse(bytes).unwrap()?;
        let body = match answer.body {
            Body::Here(range) => bytes[range].to_vec(),
            Body::Joined(body) => body,
        };
        Some((answer.status, body, over))
    }

    #[test]
    fn answers_are_whole_or_not_there_at_any_cut() {
        let plain = b"HTTP/1.1 200 \r\nCONTENT-length: 5\r\nX: y\r\nConnection: close\r\n\r\nhello";
        let chunked =
            b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        for cut in 0..plain.len() {
            assert_eq!(body(&plain[..cut]), None, "{cut}");
        }
        for cut in 0..chunked.len() {
            assert_eq!(body(&chunked[..cut]), None, "{cut}");
        }
        assert_eq!(body(plain), Some((200, b"hello".to_vec(), true)));
        assert_eq!(body(chunked), Some((500, b"abc0123456789".to_vec(), false)));
        assert_eq!(body(b"HTTP/1.1 204 No\r\n\r\n"), Some((204, Vec::new(), false)));
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        for text in [
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", usize::MAX);
        assert_eq!(parse(huge.as_bytes()).unwrap(), None);
    }
}

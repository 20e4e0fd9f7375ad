//! Request lines that are longer than the HTTP library's addresses may be.
//!
//! Python's 1.x client publishes with the content in the query, so a line of some megabytes is an ordinary publish.
//! [`LongLine`] looks at the first line of a connection; when it is too long, its query travels on as a header of its
//! own, and the request parameters are read from there. Such clients open a connection for each request, so later lines
//! of a connection are left alone.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The header that carries the query.
pub const LONG_QUERY: &str = "nacre-long-query";

/// Lines up to this long are handed on as they are; the library takes addresses of 65,534 bytes.
const SHORT: usize = 60_000;
/// Bytes of one read.
const CHUNK: usize = 16 * 1024;

enum State {
    /// The first line is not complete.
    Reading(Vec<u8>),
    /// What was read is handed on from here.
    Handing(Vec<u8>, usize),
    Through,
}

/// A stream whose first line may be long, up to `max`.
pub struct LongLine<S> {
    inner: S,
    state: State,
    max: usize,
}

impl<S> LongLine<S> {
    pub fn new(inner: S, max: usize) -> Self {
        Self { inner, state: State::Reading(Vec::new()), max }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LongLine<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Through => return Pin::new(&mut this.inner).poll_read(cx, out),
                State::Handing(bytes, at) => {
                    let part = &bytes[*at..];
                    let count = part.len().min(out.remaining());
                    out.put_slice(&part[..count]);
                    *at += count;
                    if *at == bytes.len() {
                        this.state = State::Through;
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Reading(seen) => {
                    let mut chunk = [0_u8; CHUNK];
                    let mut read = ReadBuf::new(&mut chunk);
                    ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
                    let fresh = read.filled();
                    let before = seen.len();
                    seen.extend_from_slice(fresh);
                    let end = fresh.iter().position(|b| *b == b'\n').map(|at| before + at);
                    if fresh.is_empty() && before == 0 {
                        this.state = State::Through;
                        return Poll::Ready(Ok(()));
                    }
                    if end.is_some() || fresh.is_empty() || seen.len() > this.max {
                        let seen = std::mem::take(seen);
                        let handed = match end {
                            Some(end) if end > SHORT => shortened(seen, end),
                            _ => seen,
                        };
                        this.state = State::Handing(handed, 0);
                    }
                }
            }
        }
    }
}

/// The request with the query of its line (which ends at `end`) as a header.
fn shortened(request: Vec<u8>, end: usize) -> Vec<u8> {
    let (line, rest) = request.split_at(end + 1);
    let Some(query_at) = line.iter().position(|b| *b == b'?') else { return request };
    let Some(space) = line.iter().rposition(|b| *b == b' ').filter(|space| *space > query_at) else { return request };
    let mut out = Vec::with_capacity(request.len() + LONG_QUERY.len() + 8);
    out.extend_from_slice(&line[..query_at]);
    out.extend_from_slice(&line[space..]);
    out.extend_from_slice(LONG_QUERY.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(&line[query_at + 1..space]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(rest);
    out
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LongLine<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn through(request: &[u8]) -> Vec<u8> {
        let mut read = Vec::new();
        LongLine::new(request, 1 << 20).read_to_end(&mut read).await.expect("read");
        read
    }

    #[tokio::test]
    async fn ordinary_requests_pass_as_they_are() {
        for request in ["", "GET", "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "\n\n"] {
            assert_eq!(through(request.as_bytes()).await, request.as_bytes());
        }
    }

    #[tokio::test]
    async fn the_query_of_a_long_line_becomes_a_header() {
        let query = format!("dataId=d&content={}", "x".repeat(200_000));
        let request = format!("POST /nacos/v1/cs/configs?{query} HTTP/1.1\r\nHost: h\r\n\r\nbody");
        let expected = format!("POST /nacos/v1/cs/configs HTTP/1.1\r\n{LONG_QUERY}: {query}\r\nHost: h\r\n\r\nbody");
        assert_eq!(through(request.as_bytes()).await, expected.as_bytes());
    }

    #[tokio::test]
    async fn long_lines_that_are_no_requests_pass_as_they_are() {
        for line in [format!("{}\n", "a".repeat(70_000)), format!("?{}\n", "a".repeat(70_000)), "b".repeat(2 << 20)] {
            assert_eq!(through(line.as_bytes()).await, line.as_bytes());
        }
    }
}

//! Request lines that are longer than the HTTP library's addresses may be.
//!
//! Python's 1.x client publishes with the content in the query, so a line of some megabytes is an ordinary publish.
//! [`LongLine`] looks at the line of each request of a connection; when it is too long, its query travels on as a header of
//! its own, and the request parameters are read from there. To know where the next request begins it follows the framing of
//! bodies ([`framing`]). Where that is not plain (a length that is none, two lengths), it steps aside, and a later
//! line that is too long is answered with 414.

mod framing;

use std::{
    hash::{BuildHasher, RandomState},
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
};

use http::HeaderName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::framing::Framing;

/// The header that carries the query inside the process. Its name is drawn at the start, so that nobody can send it:
/// parameters would otherwise come in where no proxy in front looks for them.
pub static LONG_QUERY: LazyLock<HeaderName> = LazyLock::new(|| {
    let drawn = format!("nacre-long-query-{:016x}", RandomState::new().hash_one(0));
    HeaderName::try_from(drawn).expect("hexadecimal digits are letters of a header's name")
});

/// Lines up to this long are handed on as they are; the library takes addresses of 65,534 bytes.
const SHORT: usize = 60_000;

/// A stream whose request lines may be long, up to `max`.
pub struct LongLine<S> {
    inner: S,
    max: usize,
    framing: Framing,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// What is handed on from here: bytes, and how many of them are gone.
    handing: (Vec<u8>, usize),
}

impl<S> LongLine<S> {
    pub fn new(inner: S, max: usize) -> Self {
        Self { inner, max, framing: Framing::default(), line: Vec::new(), handing: (Vec::new(), 0) }
    }

    /// Takes what was read; `None` when it is to be handed on as it is.
    fn take(&mut self, fresh: &[u8]) -> Option<Vec<u8>> {
        let mut made: Option<Vec<u8>> = (!self.line.is_empty()).then(Vec::new);
        let mut rest = fresh;
        while !rest.is_empty() {
            if !self.framing.at_line() {
                let count = self.framing.advance(rest);
                let (passed, after) = rest.split_at(count);
                if let Some(made) = &mut made {
                    made.extend_from_slice(passed);
                }
                rest = after;
                continue;
            }
            let done = fresh.len() - rest.len();
            let Some(end) = memchr::memchr(b'\n', rest) else {
                // What stood before the line goes on now, the line when it is complete.
                made.get_or_insert_with(|| fresh[..done].to_vec());
                self.line.extend_from_slice(rest);
                if self.line.len() > self.max {
                    self.framing.step_aside();
                    made.get_or_insert_default().append(&mut self.line);
                }
                break;
            };
            let (tail, after) = rest.split_at(end + 1);
            rest = after;
            if self.line.is_empty() && tail.len() <= SHORT {
                self.framing.line(tail);
                if let Some(made) = &mut made {
                    made.extend_from_slice(tail);
                }
                continue;
            }
            let made = made.get_or_insert_with(|| fresh[..done].to_vec());
            self.line.extend_from_slice(tail);
            let line = std::mem::take(&mut self.line);
            self.framing.line(&line);
            made.extend_from_slice(&if line.len() > SHORT { shortened(line) } else { line });
        }
        made
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LongLine<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let (bytes, at) = &mut this.handing;
            if *at < bytes.len() {
                let part = &bytes[*at..];
                let count = part.len().min(out.remaining());
                out.put_slice(&part[..count]);
                *at += count;
                if *at == bytes.len() {
                    this.handing = (Vec::new(), 0);
                }
                return Poll::Ready(Ok(()));
            }
            // Within a body nothing is looked at.
            if let Some(body) = this.framing.opaque() {
                let most = usize::try_from(body).unwrap_or(usize::MAX).min(out.remaining());
                let mut part = ReadBuf::new(out.initialize_unfilled_to(most));
                ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
                let count = part.filled().len();
                out.advance(count);
                this.framing.skip(count as u64);
                return Poll::Ready(Ok(()));
            }
            // What comes lies where the reader wants it; only what a long line is in is taken out again.
            let before = out.filled().len();
            if out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut this.inner).poll_read(cx, out))?;
            let fresh = &out.filled()[before..];
            if fresh.is_empty() {
                if this.line.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.framing.step_aside();
                this.handing = (std::mem::take(&mut this.line), 0);
                continue;
            }
            let Some(made) = this.take(fresh) else { return Poll::Ready(Ok(())) };
            out.set_filled(before);
            this.handing = (made, 0);
        }
    }
}

/// The line of a request with its query as a header behind it.
fn shortened(line: Vec<u8>) -> Vec<u8> {
    let Some(query_at) = line.iter().position(|b| *b == b'?') else { return line };
    let Some(space) = line.iter().rposition(|b| *b == b' ').filter(|space| *space > query_at) else { return line };
    let mut out = Vec::with_capacity(line.len() + LONG_QUERY.as_str().len() + 8);
    out.extend_from_slice(&line[..query_at]);
    out.extend_from_slice(&line[space..]);
    out.extend_from_slice(LONG_QUERY.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(&line[query_at + 1..space]);
    out.extend_from_slice(b"\r\n");
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
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A stream that gives at most so many bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl AsyncRead for Drip<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let count = self.1.min(self.0.len()).min(out.remaining());
            let (now, later) = self.0.split_at(count);
            out.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    async fn dripped(request: &[u8], step: usize) -> Vec<u8> {
        let mut read = Vec::new();
        LongLine::new(Drip(request, step), 1 << 20).read_to_end(&mut read).await.expect("read");
        read
    }

    async fn through(request: &[u8]) -> Vec<u8> {
        dripped(request, usize::MAX).await
    }

    fn long(body: &str) -> (String, String) {
        let query = format!("dataId=d&content={}", "x".repeat(200_000));
        let sent = format!("POST /nacos/v1/cs/configs?{query} HTTP/1.1\r\nHost: h\r\n{body}");
        let expected = format!("POST /nacos/v1/cs/configs HTTP/1.1\r\n{}: {query}\r\nHost: h\r\n{body}", *LONG_QUERY);
        (sent, expected)
    }

    #[tokio::test]
    async fn ordinary_requests_pass_as_they_are() {
        for request in ["", "GET", "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "\n\n"] {
            assert_eq!(through(request.as_bytes()).await, request.as_bytes());
        }
    }

    #[tokio::test]
    async fn the_query_of_a_long_line_becomes_a_header_also_of_later_requests() {
        let bodies = [
            "\r\n",
            "Content-Length: 5\r\n\r\nhello",
            "content-length:0\r\n\r\n",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhel\nl\r\n0\r\nTrailer: a\r\n\r\n",
        ];
        for first in bodies {
            for second in bodies {
                let short = format!("PUT /b?c=d HTTP/1.1\r\nHost: h\r\n{second}");
                let ((sent, expected), (again, once_more)) = (long(first), long(second));
                let sent = [sent, short.clone(), again, short.clone()].concat();
                let expected = [expected, short.clone(), once_more, short].concat();
                for step in [usize::MAX, 9_973, 1_000] {
                    assert!(dripped(sent.as_bytes(), step).await == expected.as_bytes(), "{first:?} {second:?} {step}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_looks_like_a_long_line_is_left_alone() {
        let (line, _) = long("\r\n");
        let length = line.len();
        let request = format!("POST /a HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{line}GET /b HTTP/1.1\r\n\r\n");
        assert!(through(request.as_bytes()).await == request.as_bytes());
    }

    #[tokio::test]
    async fn framing_that_is_not_plain_makes_it_step_aside() {
        for odd in [
            "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "Content-Length: five\r\n\r\nhello",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            "Transfer-Encoding: gzip, chunked\r\n\r\nhello",
            "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        ] {
            let (later, _) = long("\r\n");
            let request = format!("POST /a HTTP/1.1\r\n{odd}{later}");
            assert!(through(request.as_bytes()).await == request.as_bytes(), "{odd}");
        }
    }

    #[tokio::test]
    async fn long_lines_that_are_no_requests_pass_as_they_are() {
        for line in [format!("{}\n", "a".repeat(70_000)), format!("?{}\n", "a".repeat(70_000)), "b".repeat(2 << 20)] {
            assert_eq!(through(line.as_bytes()).await, line.as_bytes());
        }
    }

    proptest! {
        /// Whatever comes, and however it is cut, the same bytes go on when no line is long.
        #[test]
        fn what_has_no_long_line_is_never_changed(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just(b"GET /a?b=c HTTP/1.1\r\n".to_vec()),
                    Just(b"Content-Length: 7\r\n".to_vec()),
                    Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
                    Just(b"\r\n".to_vec()),
                    Just(b"5\r\nhello\r\n0\r\n\r\n".to_vec()),
                    proptest::collection::vec(any::<u8>(), 0..40),
                ],
                0..30,
            ),
            step in 1_usize..64,
        ) {
            let bytes = parts.concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            prop_assert_eq!(runtime.block_on(dripped(&bytes, step)), bytes);
        }
    }
}

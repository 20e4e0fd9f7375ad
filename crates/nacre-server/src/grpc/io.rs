//! The TCP connection as hyper reads it: gives back bytes that were read ahead to tell the protocol, and remembers how
//! the connection ended, which HTTP/2 alone does not tell.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the other end left, as far as the socket knows.
#[derive(Debug, Default)]
pub struct End(AtomicU8);

/// What [`End`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowEnded {
    /// Still open, or closed by us.
    Open,
    /// FIN: the other side said it was done.
    Fin,
    /// RST, or a write into a closed connection.
    Reset,
    /// The kernel gave up waiting for the other side (keep-alive or retransmission).
    TimedOut,
}

impl End {
    fn note(&self, how: HowEnded) {
        // The first observation counts: after a RST reads may well answer "end of file".
        let _ = self.0.compare_exchange(0, how as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn note_error(&self, error: &io::Error) {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                self.note(HowEnded::Reset);
            }
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                self.note(HowEnded::TimedOut);
            }
            _ => {}
        }
    }

    pub fn how(&self) -> HowEnded {
        match self.0.load(Ordering::Relaxed) {
            x if x == HowEnded::Fin as u8 => HowEnded::Fin,
            x if x == HowEnded::Reset as u8 => HowEnded::Reset,
            x if x == HowEnded::TimedOut as u8 => HowEnded::TimedOut,
            _ => HowEnded::Open,
        }
    }
}

/// A stream that first yields `prefix` and notes how it ends.
#[derive(Debug)]
pub struct Watched<IO> {
    io: IO,
    prefix: Bytes,
    end: Arc<End>,
}

impl<IO> Watched<IO> {
    pub fn new(io: IO, prefix: Bytes, end: Arc<End>) -> Self {
        Self { io, prefix, end }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let take = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix[..take]);
            self.prefix.advance(take);
            return Poll::Ready(Ok(()));
        }
        let (before, room) = (buf.filled().len(), buf.remaining());
        let result = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        match &result {
            Ok(()) if room > 0 && buf.filled().len() == before => self.end.note(HowEnded::Fin),
            Ok(()) => {}
            Err(error) => self.end.note_error(error),
        }
        Poll::Ready(result)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.io).poll_write(cx, buf));
        Poll::Ready(result.inspect_err(|error| self.end.note_error(error)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs));
        Poll::Ready(result.inspect_err(|error| self.end.note_error(error)))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.io).poll_flush(cx));
        Poll::Ready(result.inspect_err(|error| self.end.note_error(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_read_ahead_come_first_and_an_end_of_file_is_noted() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let end = Arc::new(End::default());
        let mut watched = Watched::new(ours, Bytes::from_static(b"PRI "), Arc::clone(&end));
        theirs.write_all(b"* HTTP").await.unwrap();
        drop(theirs);
        let mut text = String::new();
        watched.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "PRI * HTTP");
        assert_eq!(end.how(), HowEnded::Fin);
    }

    #[test]
    fn the_first_observation_counts() {
        let end = End::default();
        assert_eq!(end.how(), HowEnded::Open);
        end.note_error(&io::Error::from(ErrorKind::ConnectionReset));
        end.note(HowEnded::Fin);
        assert_eq!(end.how(), HowEnded::Reset);
    }
}

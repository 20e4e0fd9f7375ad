//! How long an HTTP/1 connection may take for the head of its next request, the time in between included: senders that let
//! a head trickle in, or say nothing at all, must not hold connections for ever.
//!
//! The HTTP library can do that, with a timer set up and taken down for each request. [`Patience`] keeps the time of the
//! last answer instead, and one timer of the connection looks at it about once a minute.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// Since when a connection waits for a head.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    begun: Instant,
    /// Milliseconds after `begun`.
    since: AtomicU64,
    /// Answers in the making or on their way: while there is one, the other side need not say anything.
    owed: AtomicU32,
}

impl Patience {
    pub fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self { limit, begun: Instant::now(), since: AtomicU64::new(0), owed: AtomicU32::new(0) })
    }

    /// A whole head is there, or an answer does not get away: it is not the other side that is waited for.
    pub fn owes(&self) {
        self.owed.fetch_add(1, Relaxed);
    }

    /// That is over, and the next head is waited for.
    pub fn waits(&self) {
        self.waits_from(Instant::now());
    }

    fn waits_from(&self, now: Instant) {
        let since = now.saturating_duration_since(self.begun).as_millis();
        self.since.store(u64::try_from(since).unwrap_or(0), Relaxed);
        self.owed.fetch_sub(1, Relaxed);
    }

    /// Returns when a head was waited for too long.
    pub async fn ends(&self) {
        loop {
            let now = Instant::now();
            let end = self.end(now);
            if end <= now {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    /// When it has been long enough, or is to be looked at again.
    fn end(&self, now: Instant) -> Instant {
        if self.owed.load(Relaxed) > 0 {
            return now + self.limit;
        }
        self.begun + Duration::from_millis(self.since.load(Relaxed)) + self.limit
    }
}

/// A stream that tells [`Patience`] when the other side does not take an answer.
#[derive(Debug)]
pub struct Patient<S> {
    inner: S,
    patience: Arc<Patience>,
    stuck: bool,
}

impl<S> Patient<S> {
    pub fn new(inner: S, patience: Arc<Patience>) -> Self {
        Self { inner, patience, stuck: false }
    }

    fn note<T>(&mut self, wrote: &Poll<T>) {
        let was_stuck = std::mem::replace(&mut self.stuck, wrote.is_pending());
        match (was_stuck, self.stuck) {
            (false, true) => self.patience.owes(),
            (true, false) => self.patience.waits(),
            _ => {}
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.note(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn it_counts_from_the_last_answer_and_not_while_one_is_owed() {
        let patience = Patience::new(LIMIT);
        let after = |seconds| patience.begun + Duration::from_secs(seconds);
        assert_eq!(patience.end(after(59)), after(60), "the first head");
        patience.owes();
        assert_eq!(patience.end(after(500)), after(560), "looked at again");
        // A second answer while the first does not get away.
        patience.owes();
        patience.waits_from(after(501));
        assert_eq!(patience.end(after(600)), after(660), "one is still owed");
        patience.waits_from(after(601));
        assert_eq!(patience.end(after(602)), after(661));
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_is_waited_for() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let patience = Patience::new(LIMIT);
        let (ours, mut theirs) = tokio::io::duplex(4);
        let mut ours = Patient::new(ours, Arc::clone(&patience));
        let mut write = Box::pin(ours.write_all(b"longer than four"));
        assert!(futures::poll!(&mut write).is_pending());
        assert_eq!(patience.owed.load(Relaxed), 1);
        let mut read = [0; 16];
        let (wrote, read) = tokio::join!(write, theirs.read_exact(&mut read));
        assert!(wrote.is_ok() && read.is_ok());
        assert_eq!(patience.owed.load(Relaxed), 0);
    }
}

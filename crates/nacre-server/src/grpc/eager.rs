//! Tasks that begin where they are asked for. Nearly every call is answered without waiting for anything: it needs no task
//! of its own, whose making, queueing and waking cost more than many answers do.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker},
};

use hyper::rt::Executor;

/// How the streams of a connection run: see [`begin`].
#[derive(Clone, Copy, Debug)]
pub struct Eager;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Eager {
    fn execute(&self, future: F) {
        begin(future);
    }
}

/// Goes on with `future` as far as it comes at once, and makes a task of what is left. As in a task, a panic ends this
/// future only.
pub fn begin(future: impl Future<Output = ()> + Send + 'static) {
    let mut future = Box::pin(future);
    // Nobody needs to be woken: a task looks for itself first.
    let mut context = Context::from_waker(Waker::noop());
    if let Ok(Poll::Pending) = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
        tokio::spawn(future);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_is_done_at_once() {
        let (done, mut told) = oneshot::channel();
        begin(async move {
            let _ = done.send(7);
        });
        assert_eq!(told.try_recv(), Ok(7));
    }

    #[tokio::test]
    async fn what_waits_is_finished_later() {
        let (go, gone) = oneshot::channel::<u8>();
        let (done, mut told) = oneshot::channel();
        begin(async move {
            let _ = done.send(gone.await);
        });
        assert!(told.try_recv().is_err());
        go.send(7).unwrap();
        assert_eq!(told.await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn a_panic_ends_nobody_else() {
        begin(async { panic!("as tests do") });
        let (go, gone) = oneshot::channel::<u8>();
        let (done, told) = oneshot::channel::<u8>();
        begin(async move {
            let _ = gone.await;
            drop(done);
            panic!("as tests do");
        });
        go.send(7).unwrap();
        assert!(told.await.is_err());
    }
}

//! What the backends of persistent instances answer to health checks: anything.

use std::time::Duration;

use futures::FutureExt;
use nacre_server::health;
use tokio::io::{join, sink};

thread_local! {
    /// Reads have deadlines, so there must be a clock; the answers are there already.
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

const WAIT: Duration = Duration::from_secs(60);

/// A backend's answer to a MySQL login and statement. The first byte chooses the statement.
pub fn mysql(data: &[u8]) {
    let Some((first, answer)) = data.split_first() else { return };
    let statement = ["", "select 1", "show global variables where variable_name='read_only'"][usize::from(first % 3)];
    let outcome = RUNTIME.with(|runtime| {
        let _clock = runtime.enter();
        health::mysql::check(join(answer, sink()), WAIT, "nacos", "secret", statement).now_or_never()
    });
    assert!(outcome.is_some(), "the check waits although everything was said");
}

/// A backend's answer to a GET.
pub fn http(data: &[u8]) {
    let asked = health::http::ask(join(data, sink()), "GET / HTTP/1.1\r\n\r\n").now_or_never();
    let status = asked.expect("the check waits although everything was said");
    assert!(!matches!(status, Ok(100..=199)), "an interim answer is none");
    // The checker's own path and headers are callers' text.
    let (path, headers) = crate::two(data);
    if let Ok(request) = health::http::request("10.0.0.1", 80, &crate::text(path), &crate::text(headers)) {
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        assert!(body.is_empty(), "a second request was smuggled in: {request:?}");
        assert!(head.lines().all(|line| !line.is_empty()), "{request:?}");
    }
}

//! Time as an argument. No core reads a clock; the server's clock makes a [`Now`] and hands it in.

use serde::{Deserialize, Serialize};

/// One reading of both clocks. Deadlines use `mono`, texts and stored rows use `wall`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Milliseconds of a monotonic clock since the process started (never steps, never goes back). The server's
    /// clock subtracts the server's own measured stalls, so that a pause of ours expires nobody (case C002).
    pub mono: u64,
    /// Milliseconds since the Unix epoch by the wall clock; may step.
    pub wall: i64,
}

impl Now {
    /// `ms` later on both clocks; for tests and simulated time.
    pub fn plus(self, ms: u64) -> Self {
        Self { mono: self.mono + ms, wall: self.wall + ms as i64 }
    }
}

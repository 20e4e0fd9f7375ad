//! What every watch shares: it survives a server that goes away, and says so.

use std::time::Duration;

use crate::{
    error::{CliError, Outcome},
    output::remark,
    time,
};

/// Pauses between attempts: 1, 2, 4, 8, then 10 seconds.
const LONGEST: Duration = Duration::from_secs(10);

/// Keeps a watch going over failures that may pass.
#[derive(Debug, Default)]
pub struct Patience {
    lost: Option<std::time::Instant>,
    pause: Duration,
}

impl Patience {
    /// An answer came: says so when there was none for a while.
    pub fn answered(&mut self) {
        if let Some(since) = self.lost.take() {
            let ms = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
            remark(&format!("nacre: the server is back after {}", time::span(ms)));
        }
        self.pause = Duration::ZERO;
    }

    /// Waits before the next attempt, or gives the error back when waiting cannot help.
    pub async fn failed(&mut self, error: CliError) -> Outcome {
        if !error.is_unreachable() {
            return Err(error);
        }
        if self.lost.is_none() {
            self.lost = Some(std::time::Instant::now());
            remark(&format!("nacre: {}; trying again", error.to_string().lines().next().unwrap_or_default()));
        }
        self.pause = (self.pause * 2).clamp(Duration::from_secs(1), LONGEST);
        tokio::time::sleep(self.pause).await;
        Ok(())
    }
}

//! The checkpointer: makes the database durable by itself from time to time, so that the log behind can go.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nacre_model::Cause;

use super::{Inner, engine::Engine};
use crate::types::emit;

/// A checkpoint that failed is tried again after this.
const CHECKPOINT_AGAIN: Duration = Duration::from_secs(5);

impl Inner {
    pub(super) async fn keep_log_short(self: Arc<Self>) {
        let shared = self.engine().applier.shared;
        loop {
            if !shared.is_due() {
                shared.due.notified().await;
                continue;
            }
            if self.checkpoint().await.is_err() {
                tokio::time::sleep(CHECKPOINT_AGAIN).await;
            }
        }
    }

    pub(super) async fn checkpoint(&self) -> Result<Option<u64>, String> {
        let Engine { raft, applier } = self.engine();
        if let Some(reason) = applier.shared.poison() {
            return Err(reason);
        }
        let started = Instant::now();
        let shared = applier.shared.clone();
        let taken = tokio::task::spawn_blocking(move || shared.take_checkpoint()).await;
        let applied = match taken.map_err(|error| error.to_string()).and_then(|taken| taken.map_err(|error| error.0)) {
            Ok(applied) => applied,
            Err(detail) => {
                emit(&self.events, Cause::WriteFailed { reason: format!("no checkpoint of the database: {detail}") });
                return Err(detail);
            }
        };
        let Some(position) = applied.position else { return Ok(None) };
        let ms = started.elapsed().as_millis() as u64;
        emit(&self.events, Cause::SnapshotTaken { index: position.index, ms });
        // The engine learns of it and purges the log behind it, as its settings say.
        if let Err(error) = raft.trigger().snapshot().await {
            tracing::debug!(%error, "the engine has ended; the log is purged after the next start");
        }
        Ok(Some(position.index))
    }
}

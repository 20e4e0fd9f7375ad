//! Config history is kept `nacos.config.retention.days`; what is older goes, all of it (the reference drops a thousand
//! rows a round, which heavy writers outgrow).

use std::{sync::Arc, time::Duration};

use nacre_config::{ConfigCommand, PurgeHistory};

use crate::app::App;

/// Between rounds, as in the reference.
pub const ROUND: Duration = Duration::from_secs(600);

const DAY_MS: i64 = 86_400_000;

/// One round. Nothing is written when nothing is old.
pub async fn round(app: Arc<App>) {
    let before = app.clock.now().wall - app.props.i64("nacos.config.retention.days") * DAY_MS;
    let store = app.store.clone();
    let oldest = match tokio::task::spawn_blocking(move || store.history_oldest()).await {
        Ok(Ok(oldest)) => oldest,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the age of the config history could not be read; the next round tries again");
            return;
        }
        Err(_) => return,
    };
    if oldest.is_none_or(|oldest| oldest >= before) {
        return;
    }
    if let Err(error) = app.write_config(ConfigCommand::PurgeHistory(PurgeHistory { before })).await {
        tracing::warn!(%error, "old config history was not removed; the next round tries again");
    }
}

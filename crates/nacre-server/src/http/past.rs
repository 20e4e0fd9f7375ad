//! What was: questions to the journal, answered off the event loop.

use std::sync::Arc;

use nacre_journal::Work;
use nacre_model::NacosError;
use tokio::sync::Semaphore;

use super::table::{Answer, Row};
use crate::app::App;

pub const ROWS: &[Row] = &[];

/// Questions to the journal's files at the same time; the others wait.
static READERS: Semaphore = Semaphore::const_new(nacre_model::limits::JOURNAL_DISK_READERS as usize);

/// Asks the journal off the event loop, within bounds of time and bytes.
pub async fn looked_up(app: Arc<App>, ask: impl FnOnce(&App, &mut Work) -> Answer + Send + 'static) -> Answer {
    let seat = READERS.acquire().await.map_err(|error| NacosError::server(error.to_string()))?;
    let answer = tokio::task::spawn_blocking(move || {
        // Kept to the end, also when the asker has gone.
        let _seat = seat;
        ask(&app, &mut Work::default())
    });
    answer.await.map_err(|error| NacosError::server(error.to_string()))?
}

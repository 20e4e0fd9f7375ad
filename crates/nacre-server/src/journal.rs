//! The journal's life in the server: saved to disk ten times a second, closed last.

use std::{sync::Arc, time::Duration};

use nacre_model::Now;

use crate::app::App;

/// How old an event may become before it is saved.
const ROUND: Duration = Duration::from_millis(100);

pub fn start(app: &Arc<App>) {
    if app.journal.disk().is_none() {
        return;
    }
    let it = app.clone();
    app.workers.every("journal on disk", ROUND, move || blocking(it.clone(), |app, now| app.journal.keep(now)));
}

/// Saves the rest. Blocks nothing but the caller.
pub async fn close(app: &Arc<App>) {
    blocking(app.clone(), |app, now| app.journal.close(now)).await;
}

/// Files block: never on the threads that serve. A panic is the worker's own, which is told and started again.
async fn blocking(app: Arc<App>, what: impl FnOnce(&App, Now) + Send + 'static) {
    let done = tokio::task::spawn_blocking(move || what(&app, app.clock.now())).await;
    if let Err(error) = done
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

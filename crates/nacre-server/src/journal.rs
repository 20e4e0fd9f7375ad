//! The journal's life in the server: saved to disk ten times a second, closed last; and the rounds of lists that the past
//! of services is made from.

use std::{io, sync::Arc, time::Duration};

use nacre_journal::{ListRound, Listed};
use nacre_model::Now;
use nacre_naming::Snapshot;

use crate::app::App;

/// How old an event may become before it is saved.
const ROUND: Duration = Duration::from_millis(100);

pub fn start(app: &Arc<App>) {
    if app.journal.disk().is_none() {
        return;
    }
    let it = app.clone();
    app.workers.every("journal on disk", ROUND, move || blocking(it.clone(), |app, now| app.journal.keep(now)));
    let it = app.clone();
    app.workers.every("journal lists", Duration::from_secs(1), move || lists(it.clone()));
}

/// One page of a round of lists, and the pause behind it: a million instances take some seconds and disturb nobody.
const SERVICES: usize = 256;
const INSTANCES: usize = 10_000;
const PAUSE: Duration = Duration::from_millis(5);

/// Lists every service when it is time for that.
async fn lists(app: Arc<App>) {
    let Some(mut round) = app.journal.begin_lists(app.clock.now()) else { return };
    for namespace in app.naming.namespaces() {
        let mut after = 0;
        loop {
            let (it, namespace) = (app.clone(), namespace.clone());
            let page =
                tokio::task::spawn_blocking(move || page(&it, &mut round, &namespace, after).map(|next| (round, next)));
            match page.await {
                Ok(Ok((held, next))) => {
                    round = held;
                    let Some(next) = next else { break };
                    after = next;
                }
                // The disk is full or ill: told by the journal itself. The next round tries again.
                Ok(Err(_)) | Err(_) => return,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    blocking(app, move |app, now| {
        let _ = app.journal.end_lists(round, now);
    })
    .await;
}

fn page(app: &App, round: &mut ListRound, namespace: &str, after: u64) -> io::Result<Option<u64>> {
    let seq = app.journal.last_seq();
    let (snapshots, next) = app.naming.lists_after(namespace, after, SERVICES, INSTANCES);
    let lists: Vec<Listed<'_>> = snapshots.iter().map(|snapshot| listed(snapshot)).collect();
    app.journal.keep_lists(round, &lists, seq, app.clock.now())?;
    Ok(next)
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

fn listed(snapshot: &Snapshot) -> Listed<'_> {
    Listed { service: &snapshot.service, revision: snapshot.last_ref_time, instances: &snapshot.instances }
}

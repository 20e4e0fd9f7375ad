//! Reads the journal of the process before this one, beside the start: nobody waits for it, and it costs what is said here
//! at most. What is beyond stays unknown to the doctor.

use std::{sync::Arc, time::Duration};

use nacre_doctor::before::{KINDS_READ, Reading};
use nacre_journal::{Filter, Work};

use crate::app::App;

/// Bytes, time and records.
const BYTES: u64 = 32 * 1024 * 1024;
const WITHIN: Duration = Duration::from_secs(2);
const RECORDS: usize = 200_000;
/// Records held at a time.
const BLOCK: usize = 5_000;

pub fn read(app: &Arc<App>) {
    if app.journal.disk().is_none() || app.journal.began() <= 1 {
        return;
    }
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || {
        let mut reading = Reading::default();
        let mut work = Work::new(BYTES, WITHIN);
        let mut before = Some(app.journal.began());
        let mut left = RECORDS;
        while let Some(number) = before {
            let kinds = KINDS_READ.map(str::to_owned).to_vec();
            let filter = Filter { before: Some(number), kinds, limit: BLOCK.min(left), ..Filter::default() };
            let found = app.journal.search(&filter, &mut work);
            left -= found.records.len();
            let enough = !found.records.iter().all(|record| reading.take(record));
            before = found.next.filter(|_| !enough && !found.exhausted && left > 0);
        }
        let read = reading.done();
        tracing::debug!(
            connections = read.stood.len(),
            bytes = work.read,
            "the journal of the process before was read"
        );
        app.doctor.mind.lock().memory.before = read;
    });
}

//! Periodic and long-lived tasks as named workers whose state anyone can list: nothing runs unseen, and nothing that
//! must run dies unseen. A worker that ends or panics while the server runs is journalled and started again; one that
//! cannot stay up ([`MAX_RESTARTS`] within [`WINDOW`]) ends the process with a named reason, because going on would be
//! lying.

use std::{
    future::Future,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use nacre_journal::Journal;
use nacre_model::{Cause, Event, Subject};
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// A worker that dies more often than this within [`WINDOW`] is given up, and the process with it.
const MAX_RESTARTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// How long workers may take to end after the server began to stop.
const EXIT_DEADLINE: Duration = Duration::from_secs(5);
/// Exit status of the process when a worker cannot be kept alive.
pub const EXIT_WORKER_LOST: i32 = 70;

/// A worker as `nacre status` and the admin API show it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerView {
    pub name: &'static str,
    /// `running` or `ended`.
    pub state: &'static str,
    /// Rounds worked since the start.
    pub rounds: u64,
    pub restarts: usize,
    pub last_error: Option<String>,
}

/// What a worker tells about itself while it runs.
#[derive(Default)]
pub struct Pulse {
    rounds: AtomicU64,
}

impl Pulse {
    /// Call once per round.
    pub fn beat(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }
}

struct Entry {
    name: &'static str,
    pulse: Arc<Pulse>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    ended: bool,
    deaths: Vec<Instant>,
    restarts: usize,
    last_error: Option<String>,
}

/// The registry of workers.
pub struct Workers {
    clock: Clock,
    journal: Arc<Journal>,
    draining: CancellationToken,
    entries: Mutex<Vec<Arc<Entry>>>,
    handles: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Workers {
    pub fn new(clock: Clock, journal: Arc<Journal>, draining: CancellationToken) -> Self {
        Self { clock, journal, draining, entries: Mutex::default(), handles: Mutex::default() }
    }

    /// Starts a worker. `make` is called for the first run and after each death; the future runs until the server
    /// drains (it is cancelled then, so it must be safe to drop at every await).
    pub fn spawn<F>(&self, name: &'static str, make: impl Fn(Arc<Pulse>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let entry = Arc::new(Entry { name, pulse: Arc::default(), told: Mutex::default() });
        self.entries.lock().push(entry.clone());
        let (clock, journal, draining) = (self.clock.clone(), self.journal.clone(), self.draining.clone());
        self.handles.lock().push(tokio::spawn(async move {
            while !draining.is_cancelled() {
                let mut run = tokio::spawn(make(entry.pulse.clone()));
                let ended = tokio::select! {
                    ended = &mut run => ended,
                    () = draining.cancelled() => {
                        run.abort();
                        break;
                    }
                };
                let reason = match ended {
                    Ok(()) => "it ended by itself".to_owned(),
                    Err(error) => error.to_string(),
                };
                died(&entry, &clock, &journal, reason);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            entry.told.lock().ended = true;
        }));
    }

    /// A worker that does `round` every `period` (skipping missed rounds after a stall).
    pub fn every<F>(&self, name: &'static str, period: Duration, round: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let round = Arc::new(round);
        self.spawn(name, move |pulse| {
            let round = round.clone();
            async move {
                let mut ticks = tokio::time::interval(period);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    round().await;
                    pulse.beat();
                }
            }
        });
    }

    pub fn list(&self) -> Vec<WorkerView> {
        let view = |entry: &Arc<Entry>| {
            let told = entry.told.lock();
            WorkerView {
                name: entry.name,
                state: if told.ended { "ended" } else { "running" },
                rounds: entry.pulse.rounds.load(Ordering::Relaxed),
                restarts: told.restarts,
                last_error: told.last_error.clone(),
            }
        };
        self.entries.lock().iter().map(view).collect()
    }

    /// Waits until all workers have ended, at most [`EXIT_DEADLINE`].
    pub async fn ended(&self) {
        let handles = std::mem::take(&mut *self.handles.lock());
        let all = async {
            for handle in handles {
                let _ = handle.await;
            }
        };
        if tokio::time::timeout(EXIT_DEADLINE, all).await.is_err() {
            tracing::warn!("some workers did not end in time");
        }
    }
}

fn died(entry: &Entry, clock: &Clock, journal: &Journal, reason: String) {
    tracing::error!(worker = entry.name, %reason, "worker died");
    let cause = Cause::WorkerRestarted { worker: entry.name.to_owned(), reason: reason.clone() };
    journal.record(Event::new(clock.now(), Subject::default(), cause));
    let mut told = entry.told.lock();
    told.restarts += 1;
    told.last_error = Some(reason);
    let now = Instant::now();
    told.deaths.retain(|at| now.duration_since(*at) < WINDOW);
    told.deaths.push(now);
    if told.deaths.len() > MAX_RESTARTS {
        tracing::error!(worker = entry.name, "the worker cannot be kept alive; the server ends instead of pretending");
        // A standard error that nobody reads any more must not keep the process from ending.
        let _ = writeln!(
            std::io::stderr(),
            "nacre: the worker '{}' cannot be kept alive; ending instead of pretending",
            entry.name
        );
        std::process::exit(EXIT_WORKER_LOST);
    }
}

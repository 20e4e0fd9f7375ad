//! One round of load: connections on a few threads, closed loop or open loop, recorded between two moments.
//!
//! Each thread has its own runtime and its own histogram; nothing is shared on the way of a request but a counter. The
//! generator must stay far cheaper than what it measures.

mod worker;

use std::{
    fmt::Display,
    future::Future,
    io,
    sync::{
        Arc, Barrier, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{error::Error, process, template::Subject};

/// How long a request may take before it counts as unanswered and its connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nothing runs longer.
const LONGEST_RUN: Duration = Duration::from_secs(3600);
/// Latencies are kept from a nanosecond to a minute with three digits.
const LONGEST: u64 = 60_000_000_000;

/// One connection that performs operations.
pub trait Link: Sized + 'static {
    /// What connections of one contender share.
    type Plan: Send + Sync + 'static;

    fn open(plan: &Self::Plan) -> impl Future<Output = io::Result<Self>>;

    /// Whether the server said that it closes this connection; the next operation needs another one.
    fn is_over(&self) -> bool;

    /// Performs the operation once.
    fn act(&mut self, plan: &Self::Plan, subject: Subject) -> impl Future<Output = io::Result<Done>>;
}

/// How an operation went.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// `None` when it was answered as it should be, else the beginning of the answer.
    pub wrong: Option<String>,
    /// Time of what had to come before the operation and is not part of it.
    pub before: Duration,
}

/// When a round is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Time(Duration),
    /// After so many operations; there is no warm-up then.
    Count(u64),
}

/// The form of a round.
#[derive(Clone, Debug)]
pub struct Shape {
    pub connections: usize,
    pub threads: usize,
    pub warm_up: Duration,
    pub length: Length,
    /// Operations a second of the open loop; `None` sends whenever an answer is there.
    pub rate: Option<f64>,
    /// Configs or services that take part.
    pub keys: u64,
    /// Instances of each service.
    pub instances: u64,
    /// Where `seq` begins; no two rounds use the same numbers.
    pub first: u64,
    /// Whether instances belong to connections, which then register one each.
    pub owned: bool,
}

/// What a round measured.
#[derive(Clone, Debug)]
pub struct Round {
    pub latency: Histogram<u64>,
    pub wrong: u64,
    /// Requests without an answer: connection lost, or out of patience.
    pub unanswered: u64,
    pub reconnects: u64,
    /// The first thing that went wrong.
    pub example: Option<String>,
    /// What was measured of the round.
    pub span: Duration,
    /// CPU time that the server's process used meanwhile.
    pub cpu: Option<Duration>,
    /// CPU time of this tool.
    pub own_cpu: Duration,
    /// The last sequence number in use.
    pub last: u64,
}

impl Round {
    fn new() -> Self {
        // The bounds are constants that the library accepts; the fallback has the same digits and grows as needed.
        let latency = Histogram::new_with_bounds(1, LONGEST, 3).or_else(|_| Histogram::new(3));
        Self {
            latency: latency.unwrap_or_else(|_| unreachable!("three digits are always allowed")),
            wrong: 0,
            unanswered: 0,
            reconnects: 0,
            example: None,
            span: Duration::ZERO,
            cpu: None,
            own_cpu: Duration::ZERO,
            last: 0,
        }
    }

    /// Adds what another one measured at the same time or later; spans and CPU are the caller's to add.
    pub fn merge(&mut self, other: &Self) {
        let _ = self.latency.add(&other.latency);
        self.wrong += other.wrong;
        self.unanswered += other.unanswered;
        self.reconnects += other.reconnects;
        if self.example.is_none() {
            self.example.clone_from(&other.example);
        }
    }

    pub fn done(&self) -> u64 {
        self.latency.len()
    }

    /// Operations a second.
    pub fn rate(&self) -> f64 {
        if self.span.is_zero() { 0.0 } else { self.done() as f64 / self.span.as_secs_f64() }
    }

    fn record(&mut self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(LONGEST);
        self.latency.saturating_record(nanos.clamp(1, LONGEST));
    }

    fn wrong(&mut self, example: impl Display) {
        self.wrong += 1;
        self.example.get_or_insert_with(|| example.to_string());
    }

    fn unanswered(&mut self, example: impl Display) {
        self.unanswered += 1;
        self.example.get_or_insert_with(|| example.to_string());
    }
}

/// What threads share.
struct Common<P> {
    plan: Arc<P>,
    shape: Shape,
    /// Passed twice: when all connections are open, and when `begin` is set.
    barrier: Barrier,
    begin: Mutex<Option<Instant>>,
    refused: Mutex<Option<Error>>,
    /// Operations begun.
    begun: AtomicU64,
    done: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one round; `watch` hears every 100 ms how many operations were done and which part of the round is over.
pub fn round<L: Link>(
    plan: &Arc<L::Plan>,
    shape: &Shape,
    pid: Option<u32>,
    watch: &mut dyn FnMut(u64, f64),
) -> Result<Round, Error> {
    let threads = shape.threads.clamp(1, shape.connections.max(1));
    let common = Arc::new(Common {
        plan: Arc::clone(plan),
        shape: shape.clone(),
        barrier: Barrier::new(threads + 1),
        begin: Mutex::default(),
        refused: Mutex::default(),
        begun: AtomicU64::new(0),
        done: AtomicU64::new(0),
    });
    let workers: Vec<_> = (0..threads)
        .map(|index| {
            let common = Arc::clone(&common);
            thread::spawn(move || worker::run::<L>(common, index, threads))
        })
        .collect();
    common.barrier.wait();
    let begin = Instant::now();
    *lock(&common.begin) = Some(begin);
    common.barrier.wait();
    let mut measured = Round::new();
    if lock(&common.refused).is_none() {
        observe(&common, begin, pid, &mut measured, watch, || workers.iter().all(thread::JoinHandle::is_finished));
    }
    for worker in workers {
        let part = worker.join().map_err(|_| Error::Failed("a thread of the load generator died".to_owned()))?;
        measured.merge(&part?);
    }
    if let Some(error) = lock(&common.refused).take() {
        return Err(error);
    }
    measured.last = shape.first + common.begun.load(Ordering::Relaxed);
    Ok(measured)
}

/// Takes the samples of CPU time at the right moments and reports progress, until all is over.
fn observe<P>(
    common: &Common<P>,
    begin: Instant,
    pid: Option<u32>,
    measured: &mut Round,
    watch: &mut dyn FnMut(u64, f64),
    over: impl Fn() -> bool,
) {
    let cpu = || (pid.and_then(process::sample).map(|s| s.cpu), process::sample(std::process::id()).map(|s| s.cpu));
    let (from, until) = match common.shape.length {
        Length::Time(span) => (begin + common.shape.warm_up, Some(begin + common.shape.warm_up + span)),
        Length::Count(_) => (begin, None),
    };
    thread::sleep(from.saturating_duration_since(Instant::now()));
    let (before, started) = (cpu(), Instant::now());
    loop {
        let now = Instant::now();
        let done = common.done.load(Ordering::Relaxed);
        let part = match (common.shape.length, until) {
            (Length::Count(count), _) => done as f64 / count.max(1) as f64,
            (Length::Time(span), _) => (now - started).as_secs_f64() / span.as_secs_f64(),
        };
        watch(done, part.min(1.0));
        if over() || until.is_some_and(|until| now >= until) {
            break;
        }
        let tick = Duration::from_millis(if until.is_some() { 100 } else { 5 });
        thread::sleep(until.map_or(tick, |until| tick.min(until.saturating_duration_since(now))));
    }
    measured.span = match common.shape.length {
        Length::Time(span) => span,
        Length::Count(_) => started.elapsed(),
    };
    let after = cpu();
    measured.cpu = before.0.zip(after.0).map(|(before, after)| after.saturating_sub(before));
    measured.own_cpu = before.1.zip(after.1).map_or(Duration::ZERO, |(before, after)| after.saturating_sub(before));
}

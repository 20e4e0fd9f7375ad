//! Servers measured in turns: the target, others, and the bare one, each a part of every round, so that whatever else the
//! machine does falls on all of them alike.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    args::Load,
    baseline::Baseline,
    error::Error,
    http::{
        client::{Http, Plan as HttpPlan},
        operations::Batch,
    },
    load::{self, Length, Link, Round, Shape},
    process::{self, Sample},
    progress::Progress,
};

/// Connections that prepare and clean up.
const HELPERS: usize = 16;
/// Between two tries of a batch that a server needs time for.
const AGAIN: Duration = Duration::from_millis(200);

/// One of the servers.
pub struct Contender<L: Link> {
    pub name: String,
    pub address: String,
    pub pid: Option<u32>,
    pub plan: Arc<L::Plan>,
    /// Over HTTP, before each round.
    pub refresh: Vec<Batch>,
    /// Over HTTP, at the end.
    pub teardown: Vec<Batch>,
    pub http: std::net::SocketAddr,
    /// Set for the bare server, which ends with it.
    pub _child: Option<Baseline>,
    pub rounds: Vec<Round>,
    pub before: Option<Sample>,
    pub after: Option<Sample>,
}

/// The form of each round that a command line asks for.
pub fn shape(load: &Load, rounds: u32, (keys, instances): (u64, u64), owned: bool) -> Shape {
    let length = match load.count {
        Some(count) => Length::Count(count.div_ceil(u64::from(rounds))),
        None => Length::Time(load.duration / rounds),
    };
    Shape {
        connections: load.connections as usize,
        threads: load.threads as usize,
        warm_up: if load.count.is_some() { Duration::ZERO } else { load.warm_up },
        length,
        rate: load.rate,
        keys: load.keys.unwrap_or(keys),
        instances: load.instances.unwrap_or(instances),
        first: 0,
        owned,
    }
}

/// Runs batches one after the other.
pub fn prepare(
    address: std::net::SocketAddr,
    batches: &[Batch],
    shape: &Shape,
    first: &mut u64,
    progress: &mut Progress,
) -> Result<(), Error> {
    for batch in batches {
        let begun = Instant::now();
        loop {
            let length = Length::Count(batch.count);
            let helpers = Shape {
                connections: HELPERS,
                threads: 1,
                length,
                rate: None,
                first: *first,
                owned: false,
                ..shape.clone()
            };
            let plan = Arc::new(HttpPlan { address, before: None, call: batch.call.clone() });
            let round = load::round::<Http>(&plan, &helpers, None, &mut |_, part| progress.show("prepare", part, ""))?;
            *first = round.last;
            if round.wrong + round.unanswered == 0 {
                break;
            }
            if begun.elapsed() >= batch.patience {
                let example = round.example.unwrap_or_default();
                return Err(Error::Failed(format!("the server does not take what the run needs: {example}")));
            }
            thread::sleep(AGAIN);
        }
    }
    Ok(())
}

/// All rounds, then the clean-up.
pub fn run<L: Link>(
    contenders: &mut [Contender<L>],
    shape: &Shape,
    rounds: u32,
    first: &mut u64,
    progress: &mut Progress,
) -> Result<(), Error> {
    for contender in contenders.iter_mut() {
        contender.before = contender.pid.and_then(process::sample);
    }
    let turns = rounds as usize * contenders.len();
    for round in 0..rounds as usize {
        for turn in 0..contenders.len() {
            // Nobody is always the first.
            let index = (round + turn) % contenders.len();
            let contender = &mut contenders[index];
            prepare(contender.http, &contender.refresh, shape, first, progress)?;
            let shape = Shape { first: *first, ..shape.clone() };
            let past = round * turns / rounds as usize + turn;
            let name = contender.name.clone();
            let mut watch = |done: u64, part: f64| {
                let note = format!("{name}, round {} of {rounds}, {done} done", round + 1);
                progress.show("measure", (past as f64 + part) / turns as f64, &note);
            };
            let measured = load::round::<L>(&contender.plan, &shape, contender.pid, &mut watch)?;
            *first = measured.last;
            contender.rounds.push(measured);
        }
    }
    for contender in contenders.iter_mut() {
        contender.after = contender.pid.and_then(process::sample);
    }
    for contender in contenders.iter() {
        // What is not there any more need not be removed: failures of the clean-up are no failure of the measurement.
        let _ = prepare(contender.http, &contender.teardown, shape, first, progress);
    }
    progress.clear();
    Ok(())
}

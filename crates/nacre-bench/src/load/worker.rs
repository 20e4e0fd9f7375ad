//! One thread of the load generator: its connections, its pacer, its histogram.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    task::{JoinSet, LocalSet},
    time::{sleep, timeout},
};

use super::{Common, Done, Length, Link, PATIENCE, Round, Shape, lock};
use crate::{error::Error, pace::Pacer, template::Subject};

/// A connection that cannot be opened again is tried again after this.
const AGAIN: Duration = Duration::from_millis(20);

pub(super) fn run<L: Link>(common: Arc<Common<L::Plan>>, index: usize, threads: usize) -> Result<Round, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = LocalSet::new();
    let share = (index..common.shape.connections).step_by(threads).count();
    let opened = match &runtime {
        Ok(runtime) => local.block_on(runtime, open_all::<L>(&common, share)),
        Err(error) => Err(Error::Failed(error.to_string())),
    };
    let links = opened.unwrap_or_else(|error| {
        lock(&common.refused).get_or_insert(error);
        Vec::new()
    });
    // Everybody passes both, whatever went wrong, or the others would wait for ever.
    common.barrier.wait();
    common.barrier.wait();
    let begin = lock(&common.begin).unwrap_or_else(Instant::now);
    if lock(&common.refused).is_some() {
        return Ok(Round::new());
    }
    let runtime = runtime?;
    Ok(local.block_on(&runtime, drive::<L>(common, links, index, threads, begin)))
}

async fn open_all<L: Link>(common: &Common<L::Plan>, share: usize) -> Result<Vec<L>, Error> {
    let mut links = Vec::with_capacity(share);
    for _ in 0..share {
        let number = links.len() + 1;
        match timeout(PATIENCE, L::open(&common.plan)).await {
            Ok(Ok(link)) => links.push(link),
            Ok(Err(error)) => return Err(Error::Failed(format!("connection {number} cannot be opened: {error}"))),
            Err(_) => return Err(Error::Failed(format!("connection {number} was not opened in time"))),
        }
    }
    Ok(links)
}

/// What the connections of one thread share.
struct Thread<P> {
    common: Arc<Common<P>>,
    pacer: Option<Arc<Pacer>>,
    round: RefCell<Round>,
    from: Instant,
    until: Option<Instant>,
    /// Operations on their way.
    busy: Cell<usize>,
}

async fn drive<L: Link>(
    common: Arc<Common<L::Plan>>,
    links: Vec<L>,
    index: usize,
    threads: usize,
    begin: Instant,
) -> Round {
    let (from, until) = match common.shape.length {
        Length::Time(span) => (begin + common.shape.warm_up, Some(begin + common.shape.warm_up + span)),
        Length::Count(_) => (begin, None),
    };
    let pacer = common.shape.rate.map(|rate| {
        // Threads take turns.
        let first = begin + Duration::from_secs_f64(index as f64 / rate);
        let end = until.unwrap_or(begin + super::LONGEST_RUN);
        Pacer::start(first, end, Duration::from_secs_f64(threads as f64 / rate))
    });
    let busy = Cell::new(0);
    let thread = Rc::new(Thread { common, pacer, round: RefCell::new(Round::new()), from, until, busy });
    let mut connections = JoinSet::new();
    for (n, link) in links.into_iter().enumerate() {
        connections.spawn_local(connection(Rc::clone(&thread), link, (index + n * threads) as u64));
    }
    all_done(&thread, &mut connections).await;
    let late = thread.busy.get() + thread.pacer.as_ref().map_or(0, |pacer| pacer.waiting());
    connections.shutdown().await;
    let mut round = thread.round.replace(Round::new());
    for _ in 0..late {
        // They were due and never answered: they count with all the time they had.
        round.record(PATIENCE);
        round.unanswered("still waiting when the round was over");
    }
    round
}

/// Waits until all connections have ended, but not for ones that make no progress.
async fn all_done<P>(thread: &Thread<P>, connections: &mut JoinSet<()>) {
    let done = || thread.common.done.load(Ordering::Relaxed);
    let (mut before, mut still) = (done(), Instant::now());
    loop {
        match timeout(Duration::from_millis(200), connections.join_next()).await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(_) if done() != before => (before, still) = (done(), Instant::now()),
            Err(_) => {}
        }
        let now = Instant::now();
        let hopeless = match thread.until {
            Some(until) => now > until + PATIENCE,
            None => now > still + PATIENCE,
        };
        if hopeless {
            return;
        }
    }
}

async fn connection<L: Link>(thread: Rc<Thread<L::Plan>>, link: L, number: u64) {
    let common = &thread.common;
    let mut link = Some(link);
    loop {
        let due = match &thread.pacer {
            Some(pacer) => match pacer.next().await {
                Some(due) => Some(due),
                None => return,
            },
            None if thread.until.is_some_and(|until| Instant::now() >= until) => return,
            None => None,
        };
        let turn = common.begun.fetch_add(1, Ordering::Relaxed);
        if matches!(common.shape.length, Length::Count(count) if turn >= count) {
            return;
        }
        thread.busy.set(thread.busy.get() + 1);
        let begun = due.unwrap_or_else(Instant::now);
        let outcome = attempt(&thread, &mut link, subject(&common.shape, turn, number)).await;
        let ended = Instant::now();
        thread.busy.set(thread.busy.get() - 1);
        common.done.fetch_add(1, Ordering::Relaxed);
        // The closed loop counts what was answered within the window, the open loop what was due within it.
        let counts = match (due, thread.until) {
            (Some(due), Some(until)) => due >= thread.from && due < until,
            (None, Some(until)) => ended >= thread.from && ended <= until,
            (_, None) => true,
        };
        match outcome {
            Ok(done) if counts => {
                let mut round = thread.round.borrow_mut();
                round.record((ended - begun).saturating_sub(done.before));
                if let Some(example) = done.wrong {
                    round.wrong(example);
                }
            }
            Ok(_) => {}
            Err(error) => {
                link = None;
                if counts {
                    thread.round.borrow_mut().unanswered(error);
                }
            }
        }
    }
}

/// One operation, on another connection when the last one is over.
async fn attempt<L: Link>(thread: &Thread<L::Plan>, link: &mut Option<L>, subject: Subject) -> io::Result<Done> {
    let plan = &thread.common.plan;
    if link.as_ref().is_some_and(L::is_over) {
        *link = None;
    }
    let link = match link {
        Some(link) => link,
        None => {
            thread.round.borrow_mut().reconnects += 1;
            match L::open(plan).await {
                Ok(opened) => link.insert(opened),
                Err(error) => {
                    sleep(AGAIN).await;
                    return Err(error);
                }
            }
        }
    };
    link.act(plan, subject).await
}

/// The subject of a turn. Connections that own what they register (gRPC) share services in groups of as many as a service
/// shall have instances.
fn subject(shape: &Shape, turn: u64, connection: u64) -> Subject {
    let (keys, instances) = (shape.keys.max(1), shape.instances.max(1));
    let seq = shape.first + turn;
    if !shape.owned {
        return Subject { key: turn % keys, host: turn / keys % instances, seq };
    }
    let groups = (shape.connections as u64).div_ceil(instances).max(1);
    let share = (keys / groups).max(1);
    Subject { key: connection / instances * share + turn % share, host: connection, seq }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, collections::BTreeSet};

    use super::*;

    fn shape(keys: u64, instances: u64, connections: usize, owned: bool) -> Shape {
        let length = Length::Count(1);
        let warm_up = Duration::ZERO;
        Shape { connections, threads: 1, warm_up, length, rate: None, keys, instances, first: 5, owned }
    }

    #[test]
    fn every_instance_of_every_service_has_its_turn() {
        let shape = shape(7, 3, 1, false);
        let all: BTreeSet<_> = (0..21).map(|turn| subject(&shape, turn, 0)).map(|s| (s.key, s.host)).collect();
        assert_eq!(all.len(), 21);
        assert_eq!(subject(&shape, 21, 0).key, 0);
        assert_eq!(subject(&shape, 21, 0).seq, 26);
    }

    #[test]
    fn services_of_owned_instances_have_as_many_as_wanted() {
        let shape = shape(70, 10, 64, true);
        let mut services: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for connection in 0..64 {
            for turn in 0..1_000 {
                let subject = subject(&shape, turn, connection);
                services.entry(subject.key).or_default().insert(subject.host);
            }
        }
        assert!(services.keys().all(|key| *key < 70));
        assert!(services.values().all(|hosts| hosts.len() <= 10), "{services:?}");
    }
}

//! The write road from end to end, on disks that work and disks that do not.

mod engine;
mod failures;
mod life;

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    sync::{Arc, Condvar, Mutex as StdMutex},
    time::Duration,
};

use bytes::Bytes;
use nacre_model::{Cause, Event};
use parking_lot::Mutex;

use crate::{
    log::medium::faulty::{Faults, Faulty},
    *,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A state machine that keeps all commands. `disk` is its database: written at checkpoints only, so that a restart
/// depends on the log.
#[derive(Default)]
struct Ledger {
    state: Mutex<State>,
    disk: Arc<Mutex<State>>,
    gate: Gate,
    checkpoint_fails: Mutex<bool>,
}

#[derive(Clone, Default, Debug, PartialEq)]
struct State {
    applied: Applied,
    commands: Vec<(i64, Bytes)>,
    entries: usize,
}

/// Holds back applying.
#[derive(Default)]
struct Gate {
    closed: StdMutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }
}

impl Ledger {
    /// The machine after a restart of the process: what its database holds.
    fn reopened(&self) -> Arc<Self> {
        let disk = self.disk.clone();
        let state = Mutex::new(disk.lock().clone());
        Arc::new(Self { state, disk, ..Self::default() })
    }

    fn texts(&self) -> Vec<String> {
        self.state.lock().commands.iter().map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect()
    }
}

impl StateMachine for Ledger {
    fn apply(&self, entry: Entry) -> Result<Vec<Bytes>, MachineError> {
        self.gate.pass();
        let mut state = self.state.lock();
        let expected = state.applied.position.map_or(0, |position| position.index + 1);
        assert_eq!(entry.position.index, expected, "each entry once, in order");
        let mut replies = Vec::new();
        for command in &entry.commands {
            match &command[..] {
                b"fail" => return Err(MachineError("the database is on fire".into())),
                b"panic" => panic!("out of cheese"),
                _ => {}
            }
            state.commands.push((entry.wall, command.clone()));
            replies.push([b"did ", &command[..]].concat().into());
        }
        state.entries += usize::from(!entry.commands.is_empty());
        state.applied.position = Some(entry.position);
        if entry.membership.is_some() {
            state.applied.membership = entry.membership;
        }
        Ok(replies)
    }

    fn applied(&self) -> Applied {
        self.state.lock().applied.clone()
    }

    fn checkpoint(&self) -> Result<Applied, MachineError> {
        if *self.checkpoint_fails.lock() {
            return Err(MachineError("no space left in the database".into()));
        }
        let state = self.state.lock().clone();
        let applied = state.applied.clone();
        *self.disk.lock() = state;
        Ok(applied)
    }

    fn snapshot(&self, _to: &Path) -> Result<Applied, MachineError> {
        Err(MachineError("not needed here".into()))
    }

    fn install(&self, _from: &Path, _applied: Applied) -> Result<(), MachineError> {
        Err(MachineError("not needed here".into()))
    }
}

/// A write road in a temporary directory.
struct Bench {
    dir: tempfile::TempDir,
    config: Config,
    medium: Arc<Faulty>,
    ledger: Arc<Ledger>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { slow_fsync: Duration::from_secs(3600), ..Config::new(dir.path().join("log")) };
        Self { dir, config, medium: Arc::default(), ledger: Arc::default(), events: Arc::default() }
    }

    async fn start(&self) -> Result<Consensus, StartError> {
        let events = self.events.clone();
        let sink: EventSink = Arc::new(move |event| events.lock().push(event));
        Consensus::start_on(self.config.clone(), self.ledger.clone(), sink, self.medium.clone()).await
    }

    async fn ready(&self) -> Consensus {
        let road = self.start().await.unwrap();
        road.ready(PATIENCE).await.unwrap();
        road
    }

    /// Stops without a checkpoint, as a crash would: the database stays as it is.
    async fn crash(&self, road: &Consensus) {
        *self.ledger.checkpoint_fails.lock() = true;
        road.stop().await;
    }

    /// As after the end of the process: memory is gone, database and log stay.
    fn restarted(mut self) -> Self {
        self.ledger = self.ledger.reopened();
        self.medium.heal();
        self
    }

    fn causes(&self) -> Vec<Cause> {
        self.events.lock().iter().map(|event| (*event.cause).clone()).collect()
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.events.lock().iter().map(|event| event.cause.kind()).collect()
    }

    fn log_files(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path().join("log")).unwrap();
        let mut names: Vec<String> = names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".log"));
        names.sort();
        names
    }
}

fn command(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

async fn write(road: &Consensus, text: &str) -> Result<String, WriteError> {
    road.write(command(text)).await.map(|reply| String::from_utf8(reply.to_vec()).unwrap())
}

/// Queues a write and returns once it waits; its outcome comes through the handle.
async fn queued(road: &Consensus, text: &str) -> tokio::task::JoinHandle<Result<Bytes, WriteError>> {
    let before = road.status().queue_writes;
    let (road_of_task, bytes) = (road.clone(), command(text));
    let task = tokio::spawn(async move { road_of_task.write(bytes).await });
    until(|| road.status().queue_writes > before || task.is_finished()).await;
    task
}

/// Waits for a condition that other tasks bring about.
async fn until(condition: impl Fn() -> bool) {
    let waited = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("the condition never came");
}

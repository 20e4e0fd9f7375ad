//! kill -9 in the middle of writing, again and again: no acknowledged write is lost, none is applied twice.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use nacre_cluster::{Applied, Config, Consensus, Entry, EventSink, MachineError, Position, StateMachine};
use serde::{Deserialize, Serialize};

const DIRECTORY: &str = "NACRE_KILL_TEST_DIRECTORY";
const FIRST: &str = "NACRE_KILL_TEST_FIRST";
const ROUNDS: u64 = 12;
const WRITERS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(120);

/// Keeps the numbers it was given; its database is one file, replaced at checkpoints.
struct Numbers {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct State {
    numbers: Vec<u64>,
    position: Option<Position>,
    membership: Option<Vec<u8>>,
}

impl Numbers {
    fn open(dir: &Path) -> Arc<Self> {
        let path = dir.join("database.json");
        let state = fs::read(&path).map_or_else(|_| State::default(), |bytes| serde_json::from_slice(&bytes).unwrap());
        Arc::new(Self { path, state: Mutex::new(state) })
    }

    fn applied_of(state: &State) -> Applied {
        Applied { position: state.position, membership: state.membership.clone().map(Bytes::from) }
    }
}

impl StateMachine for Numbers {
    fn apply(&self, entry: Entry) -> Result<Vec<Bytes>, MachineError> {
        let mut state = self.state.lock().unwrap();
        assert_eq!(entry.position.index, state.position.map_or(0, |position| position.index + 1));
        for command in &entry.commands {
            state.numbers.push(std::str::from_utf8(command).unwrap().parse().unwrap());
        }
        state.position = Some(entry.position);
        if let Some(membership) = entry.membership {
            state.membership = Some(membership.to_vec());
        }
        Ok(entry.commands)
    }

    fn applied(&self) -> Applied {
        Self::applied_of(&self.state.lock().unwrap())
    }

    fn checkpoint(&self) -> Result<Applied, MachineError> {
        let state = self.state.lock().unwrap().clone();
        let temporary = self.path.with_extension("tmp");
        let mut file = fs::File::create(&temporary).unwrap();
        file.write_all(&serde_json::to_vec(&state).unwrap()).unwrap();
        file.sync_all().unwrap();
        fs::rename(&temporary, &self.path).unwrap();
        Ok(Self::applied_of(&state))
    }

    fn snapshot(&self, _to: &Path) -> Result<Applied, MachineError> {
        Err(MachineError("not needed here".into()))
    }

    fn install(&self, _from: &Path, _applied: Applied) -> Result<(), MachineError> {
        Err(MachineError("not needed here".into()))
    }
}

/// Small files and frequent checkpoints, so that kills also hit rolls, checkpoints and purges.
async fn open(dir: &Path, machine: Arc<Numbers>) -> Consensus {
    let config = Config {
        segment_bytes: 2_000,
        checkpoint_entries: 25,
        keep_entries: 3,
        batch_writes: 4,
        ..Config::new(dir.join("log"))
    };
    let sink: EventSink = Arc::new(drop);
    let road = Consensus::start(config, machine, sink).await.unwrap();
    road.ready(PATIENCE).await.unwrap();
    road
}

/// The victim: writes numbers from many tasks and prints each once it is acknowledged.
#[test]
#[ignore = "runs as the child of the other test"]
fn child_writes_until_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let road = open(&dir, Numbers::open(&dir)).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let road = road.clone();
                tokio::spawn(async move {
                    for round in 0.. {
                        let number = first + round * WRITERS + writer;
                        road.write(number.to_string().into()).await.unwrap();
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "ack {number}").unwrap();
                        out.flush().unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

#[test]
fn no_acknowledged_write_is_lost_to_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut begun = 0;
    for round in 0..ROUNDS {
        let first = round * 1_000_000;
        // A different moment each round, from the very first acknowledgement on.
        let kill_after = 1 + (round * 7919) % 400;
        begun += acknowledge(dir.path(), first, kill_after, &mut acknowledged);
    }
    assert!(acknowledged.len() as u64 >= ROUNDS && begun >= acknowledged.len());

    let machine = Numbers::open(dir.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async { open(dir.path(), machine.clone()).await.stop().await });
    let numbers = machine.state.lock().unwrap().numbers.clone();
    let there: BTreeSet<u64> = numbers.iter().copied().collect();
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged writes are lost: {lost:?}", lost.len(), acknowledged.len());
    assert_eq!(there.len(), numbers.len(), "a write was applied twice");
    for writer in 0..WRITERS {
        let own: Vec<_> = numbers.iter().filter(|number| *number % WRITERS == writer).collect();
        assert!(own.is_sorted(), "the writes of one caller are in its order");
    }
}

/// Lets a child write, kills it after so many acknowledgements and notes all it gave.
fn acknowledge(dir: &Path, first: u64, kill_after: u64, acknowledged: &mut BTreeSet<u64>) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_writes_until_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, dir)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The harness prints its own line in front of the first one.
        let Some(number) = line.unwrap().rsplit_once("ack ").map(|(_, number)| number.parse::<u64>().unwrap()) else {
            continue;
        };
        acknowledged.insert(number);
        seen += 1;
        if seen == kill_after {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && seen >= kill_after, "the child ended by itself after {seen} writes: {status}");
    seen as usize
}

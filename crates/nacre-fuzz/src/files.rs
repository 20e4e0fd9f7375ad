//! Files of the data directory, damaged: the log and the database's snapshots.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use bytes::Bytes;
use nacre_cluster::{Applied, Config, Consensus, Entry, MachineError, Position, Recovery, StateMachine, check_log};
use nacre_config::{ConfigCommand, Configs, Publish};
use nacre_model::{ConfigKey, Now};
use nacre_store::{Store, StoreOptions, WriteBatch};

use crate::input::Input;

/// File names and their bytes.
type Files = BTreeMap<String, Vec<u8>>;

fn read_all(dir: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let entry = entry.expect("an entry");
        let bytes = fs::read(entry.path()).expect("a file");
        files.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
    }
    files
}

fn write_all(dir: &Path, files: &Files) {
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        fs::remove_file(entry.expect("an entry").path()).expect("it can be removed");
    }
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).expect("it can be written");
    }
}

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("nacre-fuzz-{name}-{}", std::process::id()))
}

/// Removes a directory of this process.
pub fn remove(name: &str) {
    let _ = fs::remove_dir_all(place(name));
}

/// A directory of this process that is used again and again.
fn scratch(name: &str) -> PathBuf {
    let dir = place(name);
    fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// Files do not grow beyond twice this by damage, bytes: they have some tens of kilobytes.
const LARGEST: usize = 1024 * 1024;

/// Changes bytes as disks and people do.
fn damage(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let at = input.wide(bytes.len() + 1);
    match input.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << input.below(8),
        1 => bytes.truncate(at),
        2 => bytes.extend_from_slice(input.bytes(64)),
        3 => {
            let end = (at + input.wide(8192)).min(bytes.len());
            bytes[at..end].fill(0);
        }
        4 => {
            let part = input.bytes(32);
            let end = (at + part.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&part[..end - at]);
        }
        // Again and again it would double the file each time.
        5 if bytes.len() < LARGEST => {
            let again = bytes[at..].to_vec();
            bytes.extend_from_slice(&again);
        }
        _ => {
            let end = (at + input.below(256)).min(bytes.len());
            bytes.drain(at..end);
        }
    }
}

/// Applies nothing and remembers how far it got.
#[derive(Default)]
struct Counter(Mutex<Applied>);

impl StateMachine for Counter {
    fn apply(&self, entry: Entry) -> Result<Vec<Bytes>, MachineError> {
        let mut applied = self.0.lock().map_err(|_| MachineError("poisoned".into()))?;
        applied.position = Some(entry.position);
        if entry.membership.is_some() {
            applied.membership = entry.membership;
        }
        Ok(entry.commands.iter().map(|_| Bytes::new()).collect())
    }

    fn applied(&self) -> Applied {
        self.0.lock().map(|applied| applied.clone()).unwrap_or_default()
    }

    fn checkpoint(&self) -> Result<Applied, MachineError> {
        Ok(self.applied())
    }

    fn snapshot(&self, _: &Path) -> Result<Applied, MachineError> {
        Err(MachineError("there are no other nodes".into()))
    }

    fn install(&self, _: &Path, _: Applied) -> Result<(), MachineError> {
        Err(MachineError("there are no other nodes".into()))
    }
}

/// A log of several segments, written by a server that was stopped.
struct Log {
    files: Files,
    commands: Vec<Bytes>,
    /// The database is behind the log: its position proves little.
    applied: Position,
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let dir = scratch("log-template");
        let commands: Vec<Bytes> = (0..14_usize).map(|n| Bytes::from(vec![b'a' + n as u8; n * 17])).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let config = Config { segment_bytes: 400, keep_entries: 1_000, ..Config::new(&dir) };
            let machine = Arc::<Counter>::default();
            let consensus = Consensus::start(config, machine, Arc::new(|_| ())).await.expect("a log");
            consensus.ready(std::time::Duration::from_secs(60)).await.expect("a leader");
            for command in &commands {
                consensus.write(command.clone()).await.expect("written");
            }
            consensus.stop().await;
        });
        let checked = check_log(&dir, 1, Recovery::Strict, None).expect("a whole log");
        let applied = checked.entries[2].position;
        let files = read_all(&dir);
        let _ = fs::remove_dir_all(dir);
        assert!(files.len() > 5, "several segments: {:?}", files.keys());
        Log { files, commands, applied }
    })
}

/// Damages the log. Damage of one file never costs an acknowledged write unseen, whatever it is; damage of several never
/// makes the start panic, and what opens once opens again.
pub fn log_files(data: &[u8]) {
    let log = log();
    let mut input = Input::new(data);
    let names: Vec<&String> = log.files.keys().filter(|name| *name != "lock").collect();
    let (one_file, first) = (input.flag(), input.pick(&names));
    let mut files = log.files.clone();
    while !input.is_empty() {
        let name = if one_file { first } else { input.pick(&names) };
        match input.below(12) {
            0 => drop(files.remove(name)),
            1 if !one_file => {
                let other = files.get(input.pick(&names)).cloned().unwrap_or_default();
                files.insert(name.clone(), other);
            }
            2 if !one_file => drop(files.insert(format!("{:020}.log", input.below(40)), log.files[name].clone())),
            _ => {
                if let Some(bytes) = files.get_mut(name) {
                    damage(bytes, &mut input);
                }
            }
        }
    }
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| scratch("log"));
    write_all(dir, &files);
    match check_log(dir, 1, Recovery::Strict, Some(log.applied)) {
        Ok(checked) => {
            let commands: Vec<&Bytes> = checked.entries.iter().flat_map(|entry| &entry.commands).collect();
            if one_file {
                assert!(commands.into_iter().eq(&log.commands), "acknowledged writes are lost unseen");
            }
            let again = check_log(dir, 1, Recovery::Strict, Some(log.applied)).expect("what opened once opens again");
            assert_eq!((again.entries.len(), again.cut), (checked.entries.len(), 0));
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            // Whoever accepts the loss goes on, and starts without a complaint the next time.
            if let Ok(accepted) = check_log(dir, 1, Recovery::AcceptLoss, Some(log.applied)) {
                let again = check_log(dir, 1, Recovery::Strict, Some(log.applied)).expect("the loss was accepted");
                assert_eq!(again.entries.len(), accepted.entries.len());
            }
        }
    }
}

fn configs_in(store: &Store) -> Vec<String> {
    let loaded = store.load().expect("a good database can be read");
    let mut all: Vec<String> = loaded.config.configs.iter().map(|(key, formal)| format!("{key} {formal:?}")).collect();
    all.sort();
    all
}

/// Damages a snapshot and installs it: refused, and nothing changed; or taken, and readable.
pub fn snapshot_file(data: &[u8]) {
    struct Rig {
        store: Store,
        dir: PathBuf,
        whole: Vec<u8>,
    }
    static RIG: OnceLock<Mutex<Rig>> = OnceLock::new();
    let rig = RIG.get_or_init(|| {
        let dir = scratch("snapshot");
        let store = Store::open(StoreOptions::new(dir.join("nacos.db"))).expect("a database");
        let configs = Configs::default();
        for (number, content) in ["one", "two 🦀", &"x".repeat(5_000)].into_iter().enumerate() {
            let publish = Publish::new(ConfigKey::new("", "G", &format!("d{number}")), content);
            let outcome = configs.apply(ConfigCommand::Publish(Box::new(publish)), Now { mono: 0, wall: 1 });
            let applied = Some(nacre_store::Applied { index: number as u64 + 1, term: 1, leader: 1 });
            store.write(WriteBatch { applied, ops: outcome.ops, ..WriteBatch::default() }).expect("written");
        }
        let file = dir.join("snapshot.db");
        store.snapshot_to(&file).expect("a snapshot");
        let whole = fs::read(&file).expect("the snapshot");
        Mutex::new(Rig { store, dir, whole })
    });
    let rig = rig.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut input = Input::new(data);
    let mut bytes = rig.whole.clone();
    while !input.is_empty() {
        damage(&mut bytes, &mut input);
    }
    let file = rig.dir.join("received.snapshot");
    fs::write(&file, &bytes).expect("it can be written");
    let before = configs_in(&rig.store);
    match rig.store.restore_from(&file) {
        Err(error) => {
            assert!(error.to_string().contains("received.snapshot"), "the file is named: {error}");
            assert_eq!(configs_in(&rig.store), before, "a refused snapshot changes nothing");
        }
        Ok(()) => {
            let _ = rig.store.load();
            // The next input begins with the same database.
            fs::write(&file, &rig.whole).expect("it can be written");
            rig.store.restore_from(&file).expect("a whole snapshot can be installed");
        }
    }
}

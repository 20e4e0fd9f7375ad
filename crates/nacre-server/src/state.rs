//! The application's state machine: what the commands of the log mean.
//!
//! One entry of the log is decoded, applied to the cores in memory (where readers see it at once), and its rows are
//! queued for the database as one transaction together with the entry's position. The reply goes back to the proposer.
//! After a crash the database says how far it got and the log is replayed from there.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use nacre_cluster::{Applied, Entry, MachineError, Position, StateMachine};
use nacre_config::{ConfigCommand, ConfigEffects, ConfigReply, Configs};
use nacre_model::{Cause, Event, NacosError, Now, Row, Subject};
use nacre_naming::{Naming, NamingCommand, NamingReply};
use nacre_store::{KvOp, KvRow, Store, StoreError, WriteBatch};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use self::handed::Given;
use self::handed::Handed;
use crate::{clock::Clock, effects::Effector};

mod handed;

/// Everything durable. Stored in logs: variants and fields may be added, never renamed, removed or given another meaning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    Config(ConfigCommand),
    Naming(NamingCommand),
}

/// The answer to a [`Command`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    Config(ConfigReply),
    Naming(Result<NamingReply, NacosError>),
}

/// First byte of every command in the log: the version of its encoding (MessagePack with named fields).
const FORMAT: u8 = 1;
/// Row of `nacre_meta` that holds the consensus membership.
const MEMBERSHIP: &str = "consensus.membership";

impl Command {
    /// The bytes for the log, and what they say. They are read once before they are given away: a command that could not be
    /// read back would stop every node at its entry, now and at each restart.
    fn encode(&self) -> Result<(Bytes, Self), String> {
        let mut out = Vec::with_capacity(self.size_hint());
        out.push(FORMAT);
        self.serialize(&mut rmp_serde::Serializer::new(&mut out).with_struct_map())
            .map_err(|error| format!("the command cannot be stored: {error}"))?;
        let read = Self::decode(&out).map_err(|error| format!("the command cannot be stored: {error}"))?;
        Ok((out.into(), read))
    }

    /// About as many bytes as it takes, so that they are not moved about while they are written.
    fn size_hint(&self) -> usize {
        const NAMES: usize = 768;
        match self {
            Self::Config(ConfigCommand::Publish(publish)) => publish.content.len() + NAMES,
            Self::Config(_) | Self::Naming(_) => NAMES,
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&FORMAT, body)) => rmp_serde::from_slice(body).map_err(|error| error.to_string()),
            Some((format, _)) => Err(format!("format {format} is not known to this version")),
            None => Err("empty".into()),
        }
    }
}

impl Reply {
    fn encode(&self) -> Result<Bytes, MachineError> {
        rmp_serde::to_vec_named(self).map(Bytes::from).map_err(|error| MachineError(error.to_string()))
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, NacosError> {
        rmp_serde::from_slice(bytes).map_err(|error| NacosError::server(format!("unreadable reply: {error}")))
    }
}

/// The cores and the database behind one [`StateMachine`].
pub struct Machine {
    clock: Clock,
    configs: Arc<Configs>,
    naming: Arc<Naming>,
    store: Arc<Store>,
    effects: Arc<Effector>,
    applied: Mutex<Applied>,
    handed: Handed,
    /// Held while the cores and the database change together: by an entry, a snapshot, or a reading anew.
    turn: Mutex<()>,
}

impl Machine {
    /// Loads what the database holds into the cores.
    pub fn open(
        clock: Clock,
        configs: Arc<Configs>,
        naming: Arc<Naming>,
        store: Arc<Store>,
        effects: Arc<Effector>,
    ) -> Result<Self, MachineError> {
        let (applied, handed, turn) = Default::default();
        let machine = Self { clock, configs, naming, store, effects, applied, handed, turn };
        machine.load()?;
        Ok(machine)
    }

    fn load(&self) -> Result<(), MachineError> {
        let loaded = self.store.load().map_err(failed)?;
        self.remark(&loaded.remarks);
        // After an installed snapshot listeners hear what became different; at start there are none.
        let changed = self.configs.restore(loaded.config);
        self.effects.config(ConfigEffects { changed, ..ConfigEffects::default() });
        let rows = loaded.kv.into_iter().map(|row| Row { kind: row.kind, key: row.key, value: Some(row.value) });
        let effects = self.naming.restore(rows, self.clock.now()).map_err(MachineError)?;
        self.effects.naming(effects);
        let membership = loaded.meta.into_iter().find(|(name, _)| name == MEMBERSHIP).map(|(_, value)| value.into());
        let position = loaded.applied.map(position);
        *self.applied.lock() = Applied { position, membership };
        Ok(())
    }

    /// Serves the configurations as the database holds them now: for a database that somebody changed by hand. Entries
    /// wait meanwhile, so that none is lost between the two. Tells how many versions differed from what was served; their
    /// listeners hear of it.
    pub fn reload_configs(&self) -> Result<u64, MachineError> {
        let _turn = self.turn.lock();
        // A database that is behind holds less than was acknowledged.
        self.store.barrier().map_err(failed)?;
        let loaded = self.store.reload().map_err(failed)?;
        if let Some(poison) = self.store.poison() {
            return Err(MachineError(poison.reason));
        }
        let changed = self.configs.restore(loaded.config);
        let count = changed.len() as u64;
        let event = Event::new(self.clock.now(), Subject::default(), Cause::ConfigsReloaded { changed: count });
        self.effects.config(ConfigEffects { changed, events: vec![event] });
        // After the event above: what was remarked before it holds no more.
        self.remark(&loaded.remarks);
        Ok(count)
    }

    /// What is odd about the rows of the database goes to the log, and to the journal.
    fn remark(&self, remarks: &[String]) {
        /// More say nothing new.
        const TOLD: usize = 200;
        for remark in remarks {
            tracing::warn!(%remark, "reading the database");
        }
        let now = self.clock.now();
        let told = remarks.iter().take(TOLD).map(|remark| {
            let cause = Cause::Suspicious { call: "read the database".to_owned(), reason: remark.clone() };
            Event::new(now, Subject::default(), cause)
        });
        let events: Vec<Event> = told.collect();
        self.effects.config(ConfigEffects { events, ..ConfigEffects::default() });
    }

    /// Makes the bytes of a command that is about to be proposed, and keeps what they say until the command is applied.
    pub fn hand(&self, command: &Command) -> Result<Given<'_>, String> {
        let (bytes, read) = command.encode()?;
        Ok(self.handed.give(bytes, read))
    }

    /// The commands of an entry, and which of them were handed over. All or nothing: skipping what only a newer version can
    /// read would make this node differ from its log.
    fn read(&self, at: Position, commands: &[Bytes]) -> Result<Vec<(Command, bool)>, MachineError> {
        let known = self.handed.take(commands).into_iter();
        let read = commands.iter().zip(known).map(|(bytes, known)| match known {
            Some(command) => Ok((command, true)),
            None => Ok((readable(at, bytes)?, false)),
        });
        read.collect()
    }

    /// Leaves replies to those who handed their command over, and makes bytes of the others.
    fn answer(&self, commands: &[Bytes], replies: Vec<(Reply, bool)>) -> Result<Vec<Bytes>, MachineError> {
        let mut left = Vec::with_capacity(replies.len());
        let mut out = Vec::with_capacity(replies.len());
        for (bytes, (reply, was_handed)) in commands.iter().zip(replies) {
            if was_handed {
                left.push((bytes, reply));
                out.push(Bytes::new());
            } else {
                out.push(reply.encode()?);
            }
        }
        self.handed.answer(left.into_iter());
        Ok(out)
    }

    fn apply_one(&self, command: Command, now: Now, batch: &mut WriteBatch) -> Reply {
        match command {
            Command::Config(command) => {
                let outcome = self.configs.apply(command, now);
                batch.ops.extend(outcome.ops);
                self.effects.config(outcome.effects);
                Reply::Config(outcome.reply)
            }
            Command::Naming(command) => {
                let applied = self.naming.apply(&command, now);
                batch.kv.extend(applied.rows.into_iter().map(kv_op));
                self.effects.naming(applied.effects);
                Reply::Naming(applied.reply)
            }
        }
    }
}

impl StateMachine for Machine {
    fn apply(&self, entry: Entry) -> Result<Vec<Bytes>, MachineError> {
        let _turn = self.turn.lock();
        // The logged wall time makes a replay see what the first run saw; the monotonic time is only for deadlines.
        let now = Now { mono: self.clock.now().mono, wall: entry.wall };
        let at = entry.position;
        let mut batch = WriteBatch {
            applied: Some(nacre_store::Applied { index: at.index, term: at.term, leader: at.node }),
            ..WriteBatch::default()
        };
        let commands = self.read(at, &entry.commands)?.into_iter();
        let replies: Vec<(Reply, bool)> =
            commands.map(|(command, handed)| (self.apply_one(command, now, &mut batch), handed)).collect();
        if let Some(membership) = &entry.membership {
            batch.meta.push((MEMBERSHIP.to_owned(), membership.to_vec()));
        }
        self.store.write(batch).map_err(failed)?;
        let mut applied = self.applied.lock();
        applied.position = Some(at);
        if entry.membership.is_some() {
            applied.membership = entry.membership;
        }
        drop(applied);
        self.answer(&entry.commands, replies)
    }

    fn applied(&self) -> Applied {
        self.applied.lock().clone()
    }

    fn checkpoint(&self) -> Result<Applied, MachineError> {
        let applied = self.applied();
        self.store.checkpoint().map_err(failed)?;
        Ok(applied)
    }

    fn snapshot(&self, to: &Path) -> Result<Applied, MachineError> {
        // Entries are applied meanwhile: only the file itself knows how far it got.
        let held = self.store.snapshot_to(to).map_err(failed)?;
        let membership = held.meta.into_iter().find(|(name, _)| name == MEMBERSHIP).map(|(_, value)| value.into());
        Ok(Applied { position: held.applied.map(position), membership })
    }

    fn install(&self, from: &Path, applied: Applied) -> Result<(), MachineError> {
        let _turn = self.turn.lock();
        self.store.restore_from(from).map_err(failed)?;
        self.load()?;
        *self.applied.lock() = applied;
        Ok(())
    }
}

fn readable(at: Position, bytes: &[u8]) -> Result<Command, MachineError> {
    Command::decode(bytes).map_err(|error| {
        let version = env!("CARGO_PKG_VERSION");
        MachineError(format!(
            "entry {} of the log holds a command that nacre {version} cannot read ({error}); start the version that wrote it",
            at.index
        ))
    })
}

fn position(at: nacre_store::Applied) -> Position {
    Position { term: at.term, node: at.leader, index: at.index }
}

fn kv_op(row: Row) -> KvOp {
    match row.value {
        Some(value) => KvOp::Put(KvRow { kind: row.kind, key: row.key, value }),
        None => KvOp::Delete { kind: row.kind, key: row.key },
    }
}

fn failed(error: StoreError) -> MachineError {
    MachineError(error.to_string())
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

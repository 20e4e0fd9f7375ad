//! The application: one value that every adapter is handed, and the few calls all adapters share.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use nacre_cluster::{Consensus, Readiness, WriteError};
use nacre_config::{ConfigCommand, ConfigReply, Configs, FuzzyWatch, Listeners, StaleAnswers};
use nacre_doctor::lint;
use nacre_journal::Journal;
use nacre_model::{Cause, ConfigKey, ErrorCode, Event, NacosError, Subject};
use nacre_naming::{Naming, NamingCommand, NamingReply};
use nacre_store::{DirLock, Store, StoreError};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    doctor::Doctor,
    effects::{Effector, PollHandle},
    grpc::Hub,
    health::Health,
    http::router::Router,
    live::Live,
    logging::Logging,
    machine::MachineReader,
    metrics::Metrics,
    properties::Properties,
    room::Room,
    state::{Command, Machine, Reply},
    traces::Traces,
    udp::Udp,
    workers::Workers,
};

/// Settings read once at start that hot paths look at.
#[derive(Clone, Debug)]
pub struct Settings {
    pub main_port: u16,
    pub grpc_port: u16,
    /// `/nacos`, or empty.
    pub context: String,
    pub listen: Vec<IpAddr>,
    /// `nacos.naming.service.metadata.length`.
    pub metadata_length: usize,
    /// `maxContent`: UTF-16 units of a config's content.
    pub max_content: u64,
    /// `nacre.http.max-body` and `nacre.http.max-head`, bytes.
    pub max_body: usize,
    pub max_head: usize,
    /// `nacre.limit.connections`.
    pub max_connections: usize,
}

/// Everything a handler may need. Shared behind one `Arc`.
pub struct App {
    /// As they were at the start; what may change meanwhile is in [`App::live`].
    pub props: Properties,
    pub live: ArcSwap<Live>,
    pub settings: Settings,
    pub clock: Clock,
    pub router: Router,
    pub journal: Arc<Journal>,
    pub doctor: Doctor,
    pub naming: Arc<Naming>,
    pub configs: Arc<Configs>,
    pub listeners: Arc<Listeners<PollHandle>>,
    pub config_fuzzy: Arc<FuzzyWatch>,
    /// Clients that ask again and again with a stale md5.
    pub stale: StaleAnswers,
    pub store: Arc<Store>,
    pub consensus: Consensus,
    /// What the write road applies to; writes go over the road, never here.
    pub state: Arc<Machine>,
    pub effects: Arc<Effector>,
    pub grpc: Arc<Hub>,
    pub workers: Workers,
    pub metrics: Arc<Metrics>,
    pub udp: Arc<Udp>,
    pub health: Health,
    pub machine: MachineReader,
    /// Levels of the log.
    pub logging: Logging,
    /// Cancelled when the server begins to stop.
    pub draining: CancellationToken,
    /// Set once the log is replayed and the doors are open.
    pub started: AtomicBool,
    /// Places for connections of all doors.
    pub room: Arc<Room>,
    /// Held for as long as this process owns the data directory.
    pub lock: DirLock,
    /// The last refusal of a durable write that was journalled: when, and why.
    pub refusal: Mutex<Option<(u64, String)>>,
    /// `None`: nobody asked for traces.
    pub traces: Option<Arc<Traces>>,
}

/// The same refusal is journalled this often.
const REFUSAL_TOLD_EVERY_MS: u64 = 1_000;

impl App {
    /// Settings that follow the file of properties. Not to be held across an await.
    pub fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }

    /// Is the server still replaying its log? Then gRPC answers 300 and readiness says no.
    pub fn is_starting(&self) -> bool {
        !self.started.load(Ordering::Acquire)
    }

    /// Why durable writes are not taken at the moment; `None` when they are.
    pub fn unwritable(&self) -> Option<String> {
        if let Some(poison) = self.store.poison() {
            return Some(poison.reason);
        }
        match self.consensus.readiness() {
            Readiness::Ready => None,
            Readiness::Starting { .. } => Some("the server is starting".into()),
            Readiness::Unwritable { reason } => Some(reason),
            Readiness::Stopped => Some("the server is stopping".into()),
        }
    }

    /// Puts a command on the write road: durable in the log and applied in memory when this returns.
    pub async fn write(&self, command: Command) -> Result<Reply, NacosError> {
        if let Some(poison) = self.store.poison() {
            return Err(self.refused(format!("not done: the database refuses writes: {}", poison.reason)));
        }
        let given = self.state.hand(&command).map_err(NacosError::server)?;
        let bytes = given.bytes();
        let road = self.traces.as_deref().and_then(|traces| traces.set_out(&command, bytes.len()));
        let outcome = match (&road, &self.traces) {
            (Some(road), Some(traces)) => {
                let outcome = Box::pin(self.consensus.write_watched(bytes, &road.stages)).await;
                traces.arrived(road, &outcome);
                outcome
            }
            _ => self.consensus.write(bytes).await,
        };
        match outcome {
            Ok(reply) => given.reply().map_or_else(|| Reply::decode(&reply), Ok),
            Err(error @ (WriteError::NotDone(_) | WriteError::Unknown(_))) => Err(self.refused(error.to_string())),
        }
    }

    fn refused(&self, reason: String) -> NacosError {
        let now = self.clock.now();
        if self.is_news(&reason, now.mono) {
            self.journal.record(Event::new(now, Subject::default(), Cause::WriteFailed { reason: reason.clone() }));
        }
        NacosError::new(503, ErrorCode::SERVER_ERROR, reason)
    }

    /// A full disk refuses every write of every caller for the same reason; that must not push everything else out of the
    /// journal.
    fn is_news(&self, reason: &str, now: u64) -> bool {
        let mut last = self.refusal.lock();
        let told = last.as_ref().is_some_and(|(at, told)| told == reason && now < at + REFUSAL_TOLD_EVERY_MS);
        if !told {
            *last = Some((now, reason.to_owned()));
        }
        !told
    }

    pub async fn write_config(&self, command: ConfigCommand) -> Result<ConfigReply, NacosError> {
        let published = match &command {
            ConfigCommand::Publish(publish) => Some((
                publish.key.clone(),
                publish.content.clone(),
                publish.meta.config_type.clone(),
                publish.source.ip.clone(),
            )),
            _ => None,
        };
        match self.write(Command::Config(command)).await? {
            Reply::Config(reply) => {
                let reply = reply.into_result()?;
                if let Some((key, content, kind, from)) = published {
                    self.look_into(&key, kind, content, &from).await;
                }
                Ok(reply)
            }
            Reply::Naming(_) => Err(NacosError::server("the reply belongs to another command")),
        }
    }

    /// A content is stored as it is; that it is not what its type says, or lost characters on its way, is worth a word
    /// (case C078).
    async fn look_into(&self, key: &ConfigKey, kind: Option<Arc<str>>, content: Arc<str>, from: &str) {
        /// Longer ones are not looked into.
        const LONGEST: usize = 1024 * 1024;
        /// What takes a millisecond and more to read holds up nobody else.
        const LONG: usize = 32 * 1024;
        let length = content.len();
        let look = move || remarks(kind.as_deref(), &content);
        let said = match length {
            ..LONG => look(),
            LONG..=LONGEST => tokio::task::spawn_blocking(look).await.unwrap_or_default(),
            _ => Vec::new(),
        };
        for reason in said {
            let subject = Subject::config(key).with_client(from);
            let cause = Cause::Suspicious { call: "publish".to_owned(), reason };
            self.journal.record(Event::new(self.clock.now(), subject, cause));
        }
    }

    pub async fn write_naming(&self, command: NamingCommand) -> Result<NamingReply, NacosError> {
        match self.write(Command::Naming(command)).await? {
            Reply::Naming(reply) => reply,
            Reply::Config(_) => Err(NacosError::server("the reply belongs to another command")),
        }
    }

    /// Runs a query of the database on a thread that may block, after everything acknowledged is in it.
    pub async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, NacosError> {
        let store = self.store.clone();
        let asked = tokio::task::spawn_blocking(move || {
            // A poisoned store answers with what it has; the reader is told nothing wrong, only something older.
            match store.barrier() {
                Ok(()) | Err(StoreError::Poisoned(_)) => ask(&store),
                Err(error) => Err(error),
            }
        });
        match asked.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(NacosError::new(500, ErrorCode::DATA_ACCESS_ERROR, error.to_string())),
            Err(error) => Err(NacosError::server(format!("the query did not finish: {error}"))),
        }
    }
}

/// What the journal has to say of a content.
fn remarks(kind: Option<&str>, content: &str) -> Vec<String> {
    let misread = kind.and_then(|kind| {
        let complaint = lint::complaint(kind, content)?.to_string();
        Some(format!("not parseable as {kind}: {}", complaint.chars().take(200).collect::<String>()))
    });
    misread.into_iter().chain(lint::lost_characters(content)).collect()
}

//! What rules may look at. Cores are shown as they are; of the server itself only what the traits here name.

use nacre_config::Configs;
use nacre_model::{ConfigKey, Now};
use nacre_naming::Naming;

use crate::{Memory, Sightings};

/// One look at the server.
pub struct Scene<'a> {
    pub now: Now,
    pub memory: &'a Memory,
    pub sightings: &'a Sightings,
    pub naming: &'a Naming,
    pub configs: &'a Configs,
    pub server: &'a dyn Server,
    /// How long something that happened once is told (`nacre.doctor.told`), milliseconds. Causes that hold look at what
    /// is now instead.
    pub told_ms: i64,
}

impl Scene<'_> {
    /// Events of a kind that are still told, newest first.
    pub fn told<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a nacre_model::Event> + use<'a> {
        self.memory.kind(kind, self.now.wall, self.told_ms)
    }
}

/// The server around the cores.
pub trait Server {
    fn main_port(&self) -> u16;
    fn grpc_port(&self) -> u16;
    /// Milliseconds since the start.
    fn uptime_ms(&self) -> u64;
    /// The value in force of a property; `""` when there is none.
    fn property(&self, name: &str) -> String;
    /// Registered gRPC connections of an address (as the socket shows it, or as the client says).
    fn connections_of(&self, ip: &str) -> Vec<ConnectionFacts>;
    /// Who listens to a config: `(address, how)`, at most `most` of them.
    fn listeners_of(&self, key: &ConfigKey, most: usize) -> Vec<(String, &'static str)>;
    /// The same, with what each says it holds.
    fn listeners(&self, key: &ConfigKey, most: usize) -> Vec<ListenerFacts>;
}

/// Somebody who listens to a config.
#[derive(Clone, Debug, Default)]
pub struct ListenerFacts {
    pub ip: String,
    /// The md5 it said last that it holds.
    pub md5: String,
    /// Its gRPC connection; `None`: a long poll.
    pub connection: Option<String>,
}

/// A registered gRPC connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFacts {
    pub id: String,
    pub client_ip: String,
    /// `Nacos-Java-Client:v3.1.0`.
    pub version: String,
    pub module: String,
    pub app: String,
    /// When it was set up (wall clock, milliseconds), and how long it has been silent.
    pub since: i64,
    pub idle_ms: u64,
}

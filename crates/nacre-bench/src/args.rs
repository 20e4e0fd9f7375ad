//! The command line of `nacre bench`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, builder::RangedU64ValueParser};

use crate::{
    grpc::operations::Operation as GrpcOperation,
    http::operations::{Api, Operation as HttpOperation},
    span,
    target::Endpoint,
};

const ABOUT: &str = "\
Measures any server that speaks Nacos: this one, Java Nacos, others. Everything it writes is called nacre-bench-… in the group \
NACRE_BENCH and is removed afterwards. Only servers on this machine are loaded unless you say --i-own-this-server.

A rate alone says little: it depends on the machine, on what else runs there, on the tool. So a bare server (hyper for HTTP, \
tonic for gRPC) that answers the very same bytes is measured in turns with yours when you say --baseline, and other servers \
with --against. The ratio is what you can carry elsewhere; the CPU time of an operation tells what it costs even when the \
tool and the server share the cores.";

const EXAMPLES: &str = "\
Examples:
  nacre bench http config-get --baseline
  nacre bench http config-publish -c 64 -d 10s --against r-nacos=127.0.0.1:8948
  nacre bench http list --rate 20000 -d 30s      what callers see at 20,000 a second, stalls included
  nacre bench grpc service-query --baseline --json > result.json
  nacre bench fan-out service --subscribers 1000
  nacre bench connections --steps 1k,5k,10k
  nacre bench registry --sizes 1k,10k,100k,1m";

/// Measure a server: throughput, latency, CPU, memory.
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct Bench {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// One operation over HTTP, from many connections.
    ///
    /// Connections keep alive and send one request at a time, as clients do. The requests are prepared before; the tool takes
    /// a fraction of what a server takes for the same request.
    #[command(
        after_help = "Examples:\n  nacre bench http config-get --baseline\n  nacre bench http beat --api v1 --keys 1000 -c 128\n  nacre bench http register --rate 5000 -d 30s"
    )]
    Http {
        #[arg(value_name = "OPERATION")]
        operation: HttpOperation,
        /// Generation of the API.
        #[arg(long, value_enum, default_value_t = Api::V1)]
        api: Api,
        #[command(flatten)]
        load: Load,
    },
    /// One operation over gRPC, from many registered connections.
    ///
    /// Each connection is set up as an SDK does it (check, stream, set-up) and then sends one request at a time. Instances that
    /// are registered belong to their connection and go with it.
    #[command(
        after_help = "Examples:\n  nacre bench grpc config-query --baseline\n  nacre bench grpc register -c 200 -d 30s"
    )]
    Grpc {
        #[arg(value_name = "OPERATION")]
        operation: GrpcOperation,
        /// Generation of the HTTP API that what is queried is prepared with.
        #[arg(long, value_enum, default_value_t = Api::V1)]
        api: Api,
        #[command(flatten)]
        load: Load,
    },
    /// One change, many subscribers: when the first, the middle and the last of them hold it.
    ///
    /// A subscriber of a service holds a change when it has acknowledged the pushed list; a listener of a config when it has
    /// acknowledged the notification and fetched the text; a long poll when it has fetched the text after its answer. Times
    /// count from the moment the change was sent to the server.
    #[command(
        name = "fan-out",
        after_help = "Examples:\n  nacre bench fan-out service --subscribers 1000\n  nacre bench fan-out config --subscribers 10k --changes 10\n  nacre bench fan-out long-poll --against java=127.0.0.1:8948"
    )]
    FanOut(FanOut),
    /// What idle gRPC connections cost, and each listened key.
    #[command(after_help = "Example:\n  nacre bench connections --steps 1k,5k,10k --listen 50")]
    Connections(Connections),
    /// Registries of growing size: memory of an instance, speed of a list.
    ///
    /// Instances are registered in batches over eight gRPC connections; the list is that of one service with 10 instances.
    #[command(after_help = "Example:\n  nacre bench registry --sizes 1k,10k,100k,1m")]
    Registry(Registry),
    #[command(hide = true)]
    BaselineHttp,
    #[command(hide = true)]
    BaselineGrpc,
}

/// Which bare server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    Http,
    Grpc,
}

impl Bare {
    pub const fn command(self) -> &'static str {
        match self {
            Self::Http => "baseline-http",
            Self::Grpc => "baseline-grpc",
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "bare hyper",
            Self::Grpc => "bare tonic",
        }
    }
}

/// How much load, for how long.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Connections that send at the same time.
    #[arg(long, short = 'c', value_name = "N", default_value_t = 64, value_parser = RangedU64ValueParser::<u32>::new().range(1..=20_000))]
    pub connections: u32,
    /// How long each server is measured, all rounds together.
    #[arg(long, short = 'd', value_name = "SPAN", default_value = "10s", value_parser = span::run_span)]
    pub duration: Duration,
    /// Do exactly so many operations instead, without a warm-up.
    #[arg(long, value_name = "N", conflicts_with_all = ["duration", "rate"], value_parser = count)]
    pub count: Option<u64>,
    /// Load before each round that is not counted.
    #[arg(long, short = 'w', value_name = "SPAN", default_value = "500ms", value_parser = span::span)]
    pub warm_up: Duration,
    /// Open loop: so many operations a second are due, and latency counts from the moment each was due.
    #[arg(long, short = 'r', value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// Threads of this tool.
    #[arg(long, short = 't', value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u32>::new().range(1..=64))]
    pub threads: u32,
    /// Rounds, in turns with what is compared [default: 5 with a comparison, else 1].
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=100))]
    pub rounds: Option<u32>,
    /// Configs or services that take part [default: 1000 configs, 100 services].
    #[arg(long, value_name = "N", value_parser = count, help_heading = "What")]
    pub keys: Option<u64>,
    /// Instances of each service [default: 10].
    #[arg(long, value_name = "N", value_parser = count, help_heading = "What")]
    pub instances: Option<u64>,
    /// Bytes of a config's content.
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = RangedU64ValueParser::<u32>::new().range(17..=30_000), help_heading = "What")]
    pub size: u32,
    /// Leave what was written where it is.
    #[arg(long, help_heading = "What")]
    pub keep: bool,
    /// Measure a bare server that answers the same bytes as well, in turns.
    #[arg(long, help_heading = "Compare")]
    pub baseline: bool,
    /// Measure another server as well, in turns; may be given many times.
    #[arg(long, value_name = "NAME=URL", value_parser = named, help_heading = "Compare")]
    pub against: Vec<(String, Endpoint)>,
    #[command(flatten)]
    pub common: Common,
}

/// What every run has.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Process of the server, for its CPU time and memory [default: whoever listens on the port of this machine].
    #[arg(long, value_name = "PID", help_heading = "Which server")]
    pub pid: Option<u32>,
    /// The server is not on this machine, but it is yours and serves nobody else.
    #[arg(long, help_heading = "Which server")]
    pub i_own_this_server: bool,
    /// Write the result as JSON (as `--output json`).
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// gRPC subscribers of a service; an instance changes.
    Service,
    /// gRPC listeners of a config.
    Config,
    /// HTTP long polls for a config, as clients of 1.x do.
    LongPoll,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Config => "config",
            Self::LongPoll => "long-poll",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct FanOut {
    #[arg(value_name = "KIND")]
    pub kind: Kind,
    /// Who must hear of it.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = some::<20_000>)]
    pub subscribers: u32,
    /// Changes, one after the other; one more warms up.
    #[arg(long, value_name = "N", default_value = "20", value_parser = some::<1_000>)]
    pub changes: u32,
    /// Rest between two changes; servers that merge changes need more than half a second.
    #[arg(long, value_name = "SPAN", default_value = "700ms", value_parser = span::run_span)]
    pub pause: Duration,
    /// Measure another server as well, after the first; may be given many times.
    #[arg(long, value_name = "NAME=URL", value_parser = named, help_heading = "Compare")]
    pub against: Vec<(String, Endpoint)>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Debug, Args)]
pub struct Connections {
    /// Numbers of connections to look at.
    #[arg(long, value_name = "LIST", default_value = "1k,5k,10k", value_delimiter = ',', value_parser = some_long::<50_000>)]
    pub steps: Vec<u64>,
    /// Keys that each connection of the last step listens to at the end; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = RangedU64ValueParser::<u64>::new().range(0..=3_000))]
    pub listen: u64,
    /// How long to watch the CPU while nobody does anything.
    #[arg(long, value_name = "SPAN", default_value = "3s", value_parser = span::run_span)]
    pub idle: Duration,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Debug, Args)]
pub struct Registry {
    /// Sizes to look at.
    #[arg(long, value_name = "LIST", default_value = "1k,10k,100k", value_delimiter = ',', value_parser = some_long::<2_000_000>)]
    pub sizes: Vec<u64>,
    /// Instances of each service.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000))]
    pub per_service: u64,
    /// How long lists are asked for at each size.
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = span::run_span)]
    pub listed: Duration,
    /// Generation of the API that lists are asked with.
    #[arg(long, value_enum, default_value_t = Api::V1)]
    pub api: Api,
    #[command(flatten)]
    pub common: Common,
}

fn some<const MOST: u32>(text: &str) -> Result<u32, String> {
    let number = span::number(text)?;
    let fits = u32::try_from(number).ok().filter(|number| (1..=MOST).contains(number));
    fits.ok_or_else(|| format!("{text}: from 1 to {MOST}"))
}

fn some_long<const MOST: u64>(text: &str) -> Result<u64, String> {
    let number = span::number(text)?;
    if (1..=MOST).contains(&number) { Ok(number) } else { Err(format!("{text}: from 1 to {MOST}")) }
}

fn count(text: &str) -> Result<u64, String> {
    let number = span::number(text)?;
    if (1..=10_000_000).contains(&number) { Ok(number) } else { Err(format!("{text}: from 1 to 10m")) }
}

fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text}: write a number"))?;
    if (0.1..=1_000_000.0).contains(&number) { Ok(number) } else { Err(format!("{text}: from 0.1 to 1000000")) }
}

fn named(text: &str) -> Result<(String, Endpoint), String> {
    let (name, url) = text.split_once('=').ok_or_else(|| "write NAME=URL".to_owned())?;
    Ok((name.to_owned(), Endpoint::parse(url)?))
}

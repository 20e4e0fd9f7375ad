//! The command line of `nacre doctor`.

use clap::{Args, Subcommand};

use super::finding::Severity;
use crate::explain::Lang;

const ABOUT: &str = "\
Finds out what is wrong, why, and what to do.

Against nacre it shows the findings of the server's own rules. Against a Java Nacos, or any other server, it asks the public \
APIs and metrics, and says what it could not see. `nacre doctor client` runs on a client's machine and walks the very path that a \
client takes.";

const HELP: &str = "\
Exit codes:
  0  nothing wrong      1  warnings      2  errors      3  the check could not be made

Examples:
  nacre doctor
  nacre doctor --watch
  nacre doctor instance 10.0.0.7:8080
  nacre doctor client --server nacos.example.org:8848
  nacre --server http://old-nacos:8848 doctor --probe";

#[derive(Debug, Args)]
#[command(about = "Find out what is wrong, why, and what to do", long_about = ABOUT, after_help = HELP)]
pub struct Doctor {
    #[command(subcommand)]
    pub of: Option<Of>,
    /// As `--output json`.
    #[arg(long, global = true)]
    pub json: bool,
    /// Language of the texts [default: as the environment says, by LC_ALL, LC_MESSAGES or LANG].
    #[arg(long, global = true, value_enum)]
    pub lang: Option<Lang>,
    /// Only findings of this severity and worse.
    #[arg(long, value_enum, value_name = "WORD")]
    pub severity: Option<Severity>,
    /// Also findings that have cleared.
    #[arg(long)]
    pub cleared: bool,
    /// Look from outside, by public APIs and metrics, even at a server that makes findings itself.
    #[arg(long, help_heading = "Against a Java Nacos, or any other server")]
    pub foreign: bool,
    /// Try to connect to every healthy instance from here (500 at most).
    #[arg(long, help_heading = "Against a Java Nacos, or any other server")]
    pub probe: bool,
    /// Time between the two looks at the metrics.
    #[arg(
        long,
        value_name = "SPAN",
        default_value = "5s",
        value_parser = crate::time::parse_span,
        help_heading = "Against a Java Nacos, or any other server"
    )]
    pub between: i64,
    /// Show findings as they appear, change and clear, until Ctrl-C; looks this often.
    #[arg(
        long,
        value_name = "SPAN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2s",
        value_parser = crate::time::parse_span
    )]
    pub watch: Option<i64>,
    /// With --watch: stop after this many changes.
    #[arg(long, value_name = "N", requires = "watch")]
    pub count: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub enum Of {
    Client(Box<Client>),
    /// Findings of an instance, what is known of it now, and its story.
    Instance {
        /// `ip:port` or `ip:port:cluster`.
        #[arg(value_name = "IP:PORT", value_parser = crate::args::instance_name)]
        instance: String,
    },
    /// Findings of a service, its instances, and what happened to them.
    Service {
        #[arg(value_name = "SERVICE")]
        service: String,
        /// Group [default: any].
        #[arg(long, short = 'g', value_name = "NAME")]
        group: Option<String>,
    },
    /// Findings of an address: of whatever is registered there, and of whoever calls from there.
    Address {
        #[arg(value_name = "IP")]
        address: String,
    },
}

const CLIENT_HELP: &str = "\
Run it where the client runs: in its container, its pod, its virtual machine.

While it runs, two instances are registered under marked names (service nacre-doctor..., group NACRE_DOCTOR, \
metadata nacre.doctor=true) and removed at the end; --seconds 0 leaves that out.

Exit codes:
  0  nothing wrong      1  warnings      2  errors      3  the check could not be made

Examples:
  nacre doctor client --server nacos.example.org:8848
  nacre doctor client --server nacos.example.org:8848 --seconds 60 --idle 120
  nacre doctor client --server https://nacos.example.org --grpc-port 9848 --username dev --password ...";

/// Check the path from this machine to the server, step by step, as a client takes it.
#[derive(Debug, Args)]
#[command(after_help = CLIENT_HELP)]
pub struct Client {
    /// How long the throw-away registration is kept alive; 0 registers nothing.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub seconds: u32,
    /// Time between two beats of the throw-away registration, in milliseconds. Official clients send one in 5000.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(50..=60_000))]
    pub interval: u32,
    /// How long a gRPC stream is left idle, and a long poll held, to see whether something closes it; 0 leaves that out.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub idle: u32,
    /// The gRPC port that clients dial [default: 1000 above the main port].
    #[arg(long, value_name = "PORT")]
    pub grpc_port: Option<u16>,
    /// Speak TLS on the gRPC port (clients with nacos.remote.client.rpc.tls.enable=true do).
    #[arg(long)]
    pub grpc_tls: bool,
    /// Read this configuration (of DEFAULT_GROUP, or GROUP@@DATA_ID) when looking for a proxy that compresses.
    #[arg(long, value_name = "DATA_ID")]
    pub config: Option<String>,
    /// Let the server knock at this host: registers a persistent instance for a port opened here and waits for the server's
    /// TCP check, as consumers would connect.
    #[arg(long)]
    pub from_host: bool,
}

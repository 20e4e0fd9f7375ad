//! The command line: every command, option and help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::styling};

use crate::address::{Address, host_and_port};

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

const ABOUT: &str = "nacre serves and speaks Nacos: service registry and configuration centre in one binary.";

const LONG_ABOUT: &str = "\
nacre serves and speaks Nacos: service registry and configuration centre in one binary.

`nacre server` runs a server that Nacos clients of every generation connect to. The other commands talk to a running \
server, nacre or Java Nacos 1.x to 3.x, over its public HTTP API.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done                          4  the server cannot be reached
  1  refused, failed, or differs   5  a login is needed or may not do this
  2  wrong command or setting      6  somebody else changed it first (--cas-md5)
  3  not found                   130  interrupted

Examples:
  nacre server
  nacre config publish app.yaml --file app.yaml
  nacre config watch app.yaml
  nacre instance ls my-service
  nacre instance why 10.0.0.7:8080
  nacre --server http://nacos.example.org:8848 status";

#[derive(Debug, Parser)]
#[command(
    name = "nacre",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = EXIT_CODES,
    styles = STYLES,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    infer_subcommands = false
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Global {
    /// Address of the server; the context path is /nacos unless the address has one.
    #[arg(
        long,
        short = 's',
        global = true,
        value_name = "URL",
        env = "NACRE_SERVER",
        default_value = "http://127.0.0.1:8848",
        value_parser = Address::parse,
        help_heading = "Which server"
    )]
    pub server: Address,
    /// Certificates of the authorities that an https server is trusted by, instead of the system's.
    #[arg(long, global = true, value_name = "FILE", env = "NACRE_CA_FILE", help_heading = "Which server")]
    pub ca_file: Option<std::path::PathBuf>,
    /// Namespace id; empty or `public` is the public one.
    #[arg(
        long,
        short = 'n',
        global = true,
        value_name = "ID",
        env = "NACRE_NAMESPACE",
        default_value = "public",
        help_heading = "Which server"
    )]
    pub namespace: String,
    /// Log in with this name.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "NACRE_USERNAME",
        requires = "password",
        help_heading = "Which server"
    )]
    pub username: Option<String>,
    /// Password of --username; better given in the environment, where others do not see it.
    #[arg(
        long,
        global = true,
        value_name = "TEXT",
        env = "NACRE_PASSWORD",
        hide_env_values = true,
        help_heading = "Which server"
    )]
    pub password: Option<String>,
    /// Form of the result.
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    pub output: Output,
    /// When to use colours; `auto` is on a terminal without NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN", help_heading = "Output")]
    pub color: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns for people.
    Table,
    /// JSON for programs; streams are one object a line.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server.
    Server(Server),
    /// Read, publish and watch configurations.
    #[command(subcommand, visible_alias = "configs")]
    Config(Config),
    /// Register, list, watch and explain instances.
    #[command(subcommand, visible_alias = "instances")]
    Instance(Instance),
    /// List and show services.
    #[command(subcommand, visible_alias = "services")]
    Service(Service),
    /// Show what a server says about itself; exits with 1 when it is not ready.
    Status,
    /// Show what a service's list was at a moment, or what happened to it between two.
    #[command(after_help = TIMELINE_HELP)]
    Timeline(Timeline),
    /// Explain a metric, an expression, an alert or a code: what it means, whether its value is a problem, what to do.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(Explain),
    Doctor(Box<crate::commands::doctor::args::Doctor>),
    /// Watch a server: services, instances, findings, gaps, limits.
    Top(crate::commands::top::Top),
    Bench(Box<nacre_bench::Bench>),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  nacre completions bash > ~/.local/share/bash-completion/completions/nacre")]
    Completions {
        shell: clap_complete::Shell,
    },
}

const SERVER_HELP: &str = "\
Settings, strongest first: -D, environment (NACOS_CORE_AUTH_ENABLED is nacos.core.auth.enabled; the variables of the \
official image are understood), --config, HOME/conf/application.properties, defaults.

Examples:
  nacre server
  nacre server --home /var/lib/nacre -D server.port=8850
  nacre server --config application.properties --print-config";

#[derive(Debug, Args)]
#[command(after_help = SERVER_HELP)]
pub struct Server {
    #[command(flatten)]
    pub settings: Settings,
    /// Show every effective setting and where it comes from, then stop; exits with 2 when one is wrong.
    #[arg(long)]
    pub print_config: bool,
}

const TIMELINE_HELP: &str = "\
Moments are `now`, a time ago (90s, 10m, 2h, 3d), milliseconds since 1970 or ISO 8601. Only nacre keeps this journal; a \
Java Nacos cannot answer.

Examples:
  nacre timeline orders
  nacre timeline orders --from 2h --instance 10.0.0.7:8080
  nacre timeline orders --at 2025-11-25T17:48:00Z
  nacre timeline --config app.yaml --from 7d
  nacre timeline --kind clientConnected,clientDisconnected --from 10m
  nacre timeline --address 10.0.0.7 --from 30m";

#[derive(Debug, Args)]
pub struct Timeline {
    /// Name of the service; `group@@name` is understood. Without one: whatever happened on the server.
    #[arg(value_name = "SERVICE", value_parser = service_name)]
    pub service: Option<String>,
    /// Group [default: DEFAULT_GROUP].
    #[arg(long, short = 'g', value_name = "NAME", env = "NACRE_GROUP")]
    pub group: Option<String>,
    /// Of this configuration instead: a dataId.
    #[arg(long, value_name = "DATAID", conflicts_with_all = ["service", "instance", "at"])]
    pub config: Option<String>,
    /// Without a service: only events of these kinds, such as clientConnected or limitHit,refused.
    #[arg(long, value_name = "KINDS", value_delimiter = ',', conflicts_with_all = ["service", "config", "at"])]
    pub kind: Vec<String>,
    /// Without a service: only what has this address in it, an instance's or a client's.
    #[arg(long, value_name = "IP", conflicts_with_all = ["service", "config", "at"])]
    pub address: Option<String>,
    /// Only this instance: `ip:port`, or `ip`.
    #[arg(long, short = 'i', value_name = "IP:PORT")]
    pub instance: Option<String>,
    /// Where it begins [default: 10m; with --kind or --address the journal's beginning].
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<String>,
    /// Where it ends [default: now].
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<String>,
    /// The list at this moment, in place of what happened.
    #[arg(long, value_name = "MOMENT", conflicts_with_all = ["from", "to"], requires = "service")]
    pub at: Option<String>,
    /// At most this many events.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub limit: u16,
    /// Language of the texts [default: by LC_ALL, LC_MESSAGES or LANG].
    #[arg(long, value_enum)]
    pub lang: Option<crate::explain::Lang>,
}

const EXPLAIN_HELP: &str = "\
The question is anything that names a metric: a selector, a panel's or an alert's expression, a line of a scrape, a \
sentence. With a server in reach its values are shown, looked at twice, and judged; Java Nacos or nacre. Or it is a line \
of a server's or client's log, an exception, a question; then nacre's open findings that fit are shown with it.

Examples:
  nacre explain \"nacos_exception_total{name='leaderSendBeatFailed'}\"
  nacre explain \"leaderSendBeatFailed is 2 while leaderStatus is 1\"
  nacre -s http://nacos.example.org:8848 explain 'sum(nacos_monitor{name=\"failedPush\"}) > 1' --lang zh
  nacre explain 'NacosException: Client not connected, current status:STARTING'
  nacre explain 20404";

#[derive(Debug, Args)]
pub struct Explain {
    /// A metric expression, a line of a log, an exception, a question, or a code such as 20404, 301 or BEAT-GAP-HOST.
    #[arg(value_name = "QUESTION", required = true)]
    pub question: Vec<String>,
    /// Language of the answer [default: by LC_ALL, LC_MESSAGES or LANG].
    #[arg(long, value_enum)]
    pub lang: Option<crate::explain::Lang>,
    /// Time between the two looks at counters of failures; 0 looks once.
    #[arg(long, value_name = "SPAN", default_value = "6s", value_parser = crate::time::parse_span)]
    pub wait: i64,
    /// Ask no server; explain only.
    #[arg(long)]
    pub offline: bool,
}

/// Where settings of a server come from.
#[derive(Debug, Args)]
pub struct Settings {
    /// Directory of the data (DIR/data) and of DIR/conf/application.properties [default: $NACOS_HOME, else ./nacre].
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Set one property; may be given many times.
    #[arg(short = 'D', long = "define", value_name = "KEY=VALUE", value_parser = key_value)]
    pub define: Vec<(String, String)>,
    /// Read this properties file as well; it beats DIR/conf/application.properties.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A configuration: its dataId and group.
#[derive(Clone, Debug, Args)]
pub struct ConfigKey {
    /// Data id.
    #[arg(value_name = "DATA_ID")]
    pub data_id: String,
    #[arg(long, short = 'g', value_name = "NAME", env = "NACRE_GROUP", default_value = "DEFAULT_GROUP")]
    /// Group.
    pub group: String,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Write a configuration's content to the standard output, byte for byte.
    Get {
        #[command(flatten)]
        key: ConfigKey,
    },
    /// Publish a file, a text, or what is read from the standard input.
    ///
    /// What is not the JSON, YAML, XML or properties that its type says is shown with line and column and not published, unless you
    /// agree: --force, or an answer at a terminal.
    #[command(
        after_help = "Examples:\n  nacre config publish app.yaml --file app.yaml\n  generate | nacre config publish app.json\n  nacre config publish app.yaml --file app.yaml --cas-md5 9e107d9d372bb6826bd81d3542a419d6"
    )]
    Publish(Publish),
    /// Look for what applications would fail on: JSON, YAML, XML, properties; exits with 1 when there is something.
    #[command(
        after_help = "Examples:\n  nacre config lint app.yaml db.properties\n  nacre config lint -n prod                 everything that the server stores in this namespace\n  helm template . | nacre config lint - --type yaml"
    )]
    Lint(Lint),
    /// Remove a configuration.
    #[command(visible_alias = "delete")]
    Rm {
        #[command(flatten)]
        key: ConfigKey,
    },
    /// List configurations.
    #[command(visible_alias = "list")]
    Ls {
        /// Part of the data id, or a pattern with `*`.
        #[arg(value_name = "PATTERN")]
        pattern: Option<String>,
        /// Only this group; a pattern with `*` is allowed.
        #[arg(long, short = 'g', value_name = "NAME")]
        group: Option<String>,
    },
    /// Show changes as they happen, until Ctrl-C.
    Watch {
        /// Data ids.
        #[arg(value_name = "DATA_ID", required = true)]
        data_ids: Vec<String>,
        /// Group of all of them.
        #[arg(long, short = 'g', value_name = "NAME", env = "NACRE_GROUP", default_value = "DEFAULT_GROUP")]
        group: String,
        /// Tell that something changed, not what.
        #[arg(long)]
        brief: bool,
        /// Stop after this many changes.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Compare a configuration with a file, or with another place; exits with 1 when they differ.
    #[command(
        after_help = "Examples:\n  nacre config diff app.yaml --file app.yaml\n  nacre config diff app.yaml --to-namespace prod\n  nacre config diff app.yaml --to-server http://other:8848"
    )]
    Diff(Diff),
    /// Show the settings that a server would start with (as `nacre server --print-config`).
    Show {
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Debug, Args)]
pub struct Publish {
    #[command(flatten)]
    pub key: ConfigKey,
    /// Publish this file; `-` is the standard input.
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "content")]
    pub file: Option<PathBuf>,
    /// Publish this text.
    #[arg(long, value_name = "TEXT")]
    pub content: Option<String>,
    /// text, json, xml, yaml, html, properties or toml [default: by the data id's ending, else text].
    #[arg(long, short = 't', value_name = "TYPE")]
    pub r#type: Option<String>,
    /// Publish only if the content stored now has this md5; exits with 6 otherwise.
    #[arg(long, value_name = "MD5")]
    pub cas_md5: Option<String>,
    /// Publish it although it is not what its type says.
    #[arg(long)]
    pub force: bool,
    /// Name of the application it belongs to.
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub desc: Option<String>,
    /// Tags, with commas between.
    #[arg(long, value_name = "LIST")]
    pub tags: Option<String>,
}

#[derive(Debug, Args)]
pub struct Lint {
    /// Files, `-` is the standard input; without any, what the server stores.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// json, xml, yaml or properties [default: by the file's ending, or as stored].
    #[arg(long, short = 't', value_name = "TYPE")]
    pub r#type: Option<String>,
    /// Of what the server stores, only this group; a pattern with `*` is allowed.
    #[arg(long, short = 'g', value_name = "NAME", conflicts_with = "files")]
    pub group: Option<String>,
}

#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    pub key: ConfigKey,
    /// Compare with this file; `-` is the standard input.
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Compare with the same configuration of this namespace.
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    pub to_namespace: Option<String>,
    /// Compare with the same configuration of this server.
    #[arg(long, value_name = "URL", conflicts_with = "file", value_parser = Address::parse)]
    pub to_server: Option<Address>,
    /// Compare with the configuration of this group.
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub to_group: Option<String>,
}

/// A service: its name and group.
#[derive(Clone, Debug, Args)]
pub struct ServiceKey {
    /// Name of the service; `group@@name` is understood.
    #[arg(value_name = "SERVICE", value_parser = service_name)]
    pub service: String,
    /// Group.
    #[arg(long, short = 'g', value_name = "NAME", env = "NACRE_GROUP", default_value = "DEFAULT_GROUP")]
    pub group: String,
}

impl ServiceKey {
    /// Name and group; a group inside the name wins.
    pub fn split(&self) -> (&str, &str) {
        match self.service.split_once("@@") {
            Some((group, name)) => (name, group),
            None => (&self.service, &self.group),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Instance {
    /// Register an instance.
    ///
    /// An ephemeral instance (the default) lives as long as something sends beats for it: with --keep this command does,
    /// until Ctrl-C, and then deregisters it. Without --keep it expires after 30 seconds unless its own client takes over.
    #[command(
        after_help = "Examples:\n  nacre instance register my-service 10.0.0.7:8080 --keep\n  nacre instance register my-service 10.0.0.7:8080 --persistent -m zone=a"
    )]
    Register(Register),
    /// Deregister an instance.
    #[command(visible_alias = "deregister")]
    Rm {
        #[command(flatten)]
        service: ServiceKey,
        #[arg(value_name = "IP:PORT", value_parser = endpoint)]
        endpoint: (String, u16),
        /// Cluster [default: the one it is found in].
        #[arg(long, short = 'c', value_name = "NAME")]
        cluster: Option<String>,
    },
    /// List instances of one service, or of all services, as consumers see them.
    #[command(visible_alias = "list")]
    Ls {
        /// Name of the service; `group@@name` is understood.
        #[arg(value_name = "SERVICE", value_parser = service_name)]
        service: Option<String>,
        /// Group [default: DEFAULT_GROUP for one service, else all].
        #[arg(long, short = 'g', value_name = "NAME")]
        group: Option<String>,
        /// Only this cluster.
        #[arg(long, short = 'c', value_name = "NAME")]
        cluster: Option<String>,
        /// Only healthy instances.
        #[arg(long)]
        healthy: bool,
    },
    /// Show instances that come, go or change, until Ctrl-C.
    Watch {
        #[command(flatten)]
        service: ServiceKey,
        /// How often to look.
        #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = crate::time::parse_span)]
        interval: i64,
        /// Stop after this many changes.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Tell what happened to an instance and why, from nacre's journal.
    #[command(
        after_help = "Only nacre keeps this journal; a Java Nacos cannot answer.\n\nExamples:\n  nacre instance why 10.0.0.7:8080\n  nacre instance why 10.0.0.7:8080 --since 15m"
    )]
    Why {
        /// `ip:port`, `ip`, or `ip:port:cluster`; an instance id of a log is understood.
        #[arg(value_name = "IP:PORT", value_parser = instance_name)]
        instance: String,
        /// Only in this service.
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// Only in this group.
        #[arg(long, short = 'g', value_name = "NAME")]
        group: Option<String>,
        /// Only this far back, such as 15m or 2h.
        #[arg(long, value_name = "SPAN", value_parser = crate::time::parse_span)]
        since: Option<i64>,
        /// At most this many events.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Language of the texts [default: by LC_ALL, LC_MESSAGES or LANG].
        #[arg(long, value_enum)]
        lang: Option<crate::explain::Lang>,
    },
}

#[derive(Debug, Args)]
pub struct Register {
    #[command(flatten)]
    pub service: ServiceKey,
    #[arg(value_name = "IP:PORT", value_parser = endpoint)]
    pub endpoint: (String, u16),
    /// Cluster.
    #[arg(long, short = 'c', value_name = "NAME", default_value = "DEFAULT")]
    pub cluster: String,
    /// Weight, 0 to 10000; consumers pass over 0.
    #[arg(long, short = 'w', value_name = "N", default_value_t = 1.0, value_parser = weight)]
    pub weight: f64,
    /// Metadata; may be given many times.
    #[arg(long, short = 'm', value_name = "KEY=VALUE", value_parser = key_value)]
    pub metadata: Vec<(String, String)>,
    /// Register a persistent instance: the server probes it, and it stays until it is removed.
    #[arg(long)]
    pub persistent: bool,
    /// Register it disabled: consumers do not see it.
    #[arg(long)]
    pub disabled: bool,
    /// Stay and send beats until Ctrl-C, then deregister.
    #[arg(long, conflicts_with = "persistent")]
    pub keep: bool,
}

#[derive(Debug, Subcommand)]
pub enum Service {
    /// List services.
    #[command(visible_alias = "list")]
    Ls {
        /// Part of the name, or a pattern with `*`.
        #[arg(value_name = "PATTERN")]
        pattern: Option<String>,
        /// Only this group.
        #[arg(long, short = 'g', value_name = "NAME")]
        group: Option<String>,
    },
    /// Show a service: its settings, clusters and instances.
    #[command(visible_alias = "show")]
    Get {
        #[command(flatten)]
        service: ServiceKey,
    },
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn endpoint(text: &str) -> Result<(String, u16), String> {
    match host_and_port(text) {
        Some((host, Some(port))) => Ok((host, port)),
        _ => Err("write IP:PORT, for IPv6 [IP]:PORT".to_owned()),
    }
}

/// An instance as people and logs write it: `10.0.0.7:8080`, `10.0.0.7#8080#DEFAULT#DEFAULT_GROUP@@orders`,
/// `http://10.0.0.7:8080/`, `10.0.0.7 8080`, `10.0.0.7:8080#true`.
pub fn instance_name(text: &str) -> Result<String, String> {
    let text = text.trim().trim_matches(['"', '\'', '`']);
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
    if let [ip, port, cluster, ..] = bare.split('#').collect::<Vec<_>>()[..]
        && port.parse::<u16>().is_ok()
    {
        return Ok(format!("{ip}:{port}:{cluster}"));
    }
    if bare.contains("@@") {
        return Err(format!("{bare} is a service; ask for it with: nacre doctor service {bare}"));
    }
    let bare = bare.strip_suffix("#true").or_else(|| bare.strip_suffix("#false")).unwrap_or(bare);
    let mut parts = bare.split_whitespace();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(ip), Some(port), None) if port.parse::<u16>().is_ok() => Ok(format!("{ip}:{port}")),
        (Some(one), None, None) => Ok(one.to_owned()),
        _ => Err("write IP:PORT".to_owned()),
    }
}

fn service_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("a name is needed".to_owned()) } else { Ok(text.to_owned()) }
}

fn weight(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|weight| (0.0..=10_000.0).contains(weight))
        .ok_or_else(|| "a number from 0 to 10000".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn an_instance_is_understood_as_logs_write_it() {
        for (written, meant) in [
            ("10.0.0.7:8080", "10.0.0.7:8080"),
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.7:8080:DEFAULT", "10.0.0.7:8080:DEFAULT"),
            ("10.0.0.7#8080#DEFAULT#DEFAULT_GROUP@@orders", "10.0.0.7:8080:DEFAULT"),
            ("10.0.0.7:8080#true", "10.0.0.7:8080"),
            ("http://10.0.0.7:8080/actuator", "10.0.0.7:8080"),
            ("'10.0.0.7 8080'", "10.0.0.7:8080"),
        ] {
            assert_eq!(super::instance_name(written).as_deref(), Ok(meant), "{written}");
        }
        assert!(super::instance_name("DEFAULT_GROUP@@orders").unwrap_err().contains("doctor service"));
        assert!(super::instance_name("").is_err());
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        for line in [
            "nacre --server http://h:1 -n dev config get a -g G",
            "nacre config get a --server http://h:1 --group G --namespace dev",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.global.server.to_string(), "http://h:1/nacos");
            assert_eq!(cli.global.namespace, "dev");
            let Command::Config(Config::Get { key }) = cli.command else { panic!("{line}") };
            assert_eq!(key.group, "G");
        }
    }

    #[test]
    fn definitions_keep_what_stands_behind_the_first_equals_sign() {
        let cli = Cli::try_parse_from(["nacre", "server", "-Da=b=c ", "-D", "d="]).unwrap();
        let Command::Server(server) = cli.command else { panic!() };
        assert_eq!(server.settings.define, [("a".into(), "b=c ".into()), ("d".into(), String::new())]);
    }

    #[test]
    fn services_may_carry_their_group() {
        let key = ServiceKey { service: "G@@s".into(), group: "DEFAULT_GROUP".into() };
        assert_eq!(key.split(), ("s", "G"));
    }
}

//! What fuzzing feeds with bytes: one function per parser, and histories of commands for the cores.
//!
//! A function panics when something is wrong: a parser that panics, a text that does not read back, a core that differs
//! from its naive model. `fuzz/` makes a libFuzzer binary of each; `tests/corpora.rs` replays the committed corpora
//! with stable Rust.
//!
//! | file | what it feeds |
//! |---|---|
//! | `properties` | properties files, all settings at once |
//! | `naming` | beats, metadata, selectors, health checkers, name patterns, fuzzy watches of services |
//! | `config` | `Listening-Configs`, gray rules, search patterns, fuzzy watches of configs, contents that say their type |
//! | `grpc` | payloads, the JSON of every type |
//! | `http` | forms, multipart bodies, imported archives |
//! | `probes` | what checked backends answer |
//! | `udp` | acknowledgements |
//! | `files` | damaged logs and snapshots |
//! | `server` | a whole server: requests, calls, raw bytes on its port |
//! | `models` | histories on the cores, against naive models |

pub mod config;
pub mod files;
pub mod grpc;
pub mod http;
pub mod input;
pub mod models;
pub mod naming;
pub mod probes;
pub mod properties;
pub mod server;
pub mod udp;

/// One thing that is fed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the binary and of the folder of its corpus.
    pub name: &'static str,
    /// The function, as the binary calls it.
    pub path: &'static str,
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident: $($part:ident)::+;)*) => {
        /// All of them, by name.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            path: concat!("nacre_fuzz" $(, "::", stringify!($part))+),
            run: $($part)::+,
        }),*];
    };
}

targets! {
    beat: naming::beat;
    cluster_conf: properties::cluster_conf;
    config_history: models::config::history;
    fuzzy_watch: naming::fuzzy_watch;
    grpc_body: grpc::body;
    grpc_call: server::grpc_call;
    grpc_payload: grpc::payload;
    health_checker: naming::health_checker;
    http_form: http::form;
    http_multipart: http::multipart;
    http_request: server::http_request;
    import_metadata: http::import_metadata;
    import_zip: http::import_zip;
    lint: config::lint;
    listening_configs: config::listening_configs;
    log_files: files::log_files;
    metadata: naming::metadata;
    name_patterns: naming::name_patterns;
    naming_history: models::naming::history;
    probe_http: probes::http;
    probe_mysql: probes::mysql;
    properties: properties::file;
    search_patterns: config::search_patterns;
    selector: naming::selector;
    settings: properties::settings;
    snapshot_file: files::snapshot_file;
    socket: server::socket;
    udp_ack: udp::ack;
}

/// Stops and removes what a target leaves behind; it is not fed any more in this process.
pub fn tidy(target: &str) {
    match target {
        "log_files" => files::remove("log"),
        "snapshot_file" => files::remove("snapshot"),
        "http_request" | "grpc_call" | "socket" => server::stop(),
        _ => {}
    }
}

/// Text of any bytes: what is no UTF-8 becomes replacement characters, as adapters do it.
fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// Splits at the first line feed: two texts of one input.
fn two(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

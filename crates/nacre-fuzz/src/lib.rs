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
//! | `config` | `Listening-Configs`, gray rules, search patterns, fuzzy watches of configs |
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
    pub run: fn(&[u8]),
}

/// All of them, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "beat", run: naming::beat },
    Target { name: "cluster_conf", run: properties::cluster_conf },
    Target { name: "config_history", run: models::config::history },
    Target { name: "fuzzy_watch", run: naming::fuzzy_watch },
    Target { name: "grpc_body", run: grpc::body },
    Target { name: "grpc_call", run: server::grpc_call },
    Target { name: "grpc_payload", run: grpc::payload },
    Target { name: "health_checker", run: naming::health_checker },
    Target { name: "http_form", run: http::form },
    Target { name: "http_multipart", run: http::multipart },
    Target { name: "http_request", run: server::http_request },
    Target { name: "import_metadata", run: http::import_metadata },
    Target { name: "import_zip", run: http::import_zip },
    Target { name: "listening_configs", run: config::listening_configs },
    Target { name: "log_files", run: files::log_files },
    Target { name: "metadata", run: naming::metadata },
    Target { name: "name_patterns", run: naming::name_patterns },
    Target { name: "naming_history", run: models::naming::history },
    Target { name: "probe_http", run: probes::http },
    Target { name: "probe_mysql", run: probes::mysql },
    Target { name: "properties", run: properties::file },
    Target { name: "search_patterns", run: config::search_patterns },
    Target { name: "selector", run: naming::selector },
    Target { name: "settings", run: properties::settings },
    Target { name: "snapshot_file", run: files::snapshot_file },
    Target { name: "socket", run: server::socket },
    Target { name: "udp_ack", run: udp::ack },
];

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

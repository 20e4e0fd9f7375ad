//! `nacre bench`: a load tool for any server that speaks Nacos.
//!
//! Read first: [`load`] (how a round is run and measured) and [`contest`] (servers measured in turns). What is asked is in
//! [`http::operations`] and [`grpc::operations`]: requests are [`template`]s, bytes with holes, so that the tool costs a
//! fraction of what a server does for the same request. [`fan_out`], [`connections`] and [`registry`]
//! measure what a rate does not tell. [`baseline`] is the bare server that answers the same bytes.
//!
//! What does not live here: figures (`docs/performance.md`) and the scripts that make them (`bench/`).

mod args;
mod baseline;
mod connections;
mod contest;
mod crowd;
mod error;
mod fan_out;
mod grpc;
mod http;
mod load;
mod pace;
mod process;
mod progress;
mod registry;
mod report;
mod single;
mod span;
mod target;
mod template;

pub use args::{Bench, Common, What};
pub use error::Error;
pub use report::Report;
pub use target::Endpoint;

use args::Bare;

/// Runs what the command line asks for. `None` when there is nothing to report (a bare server that ended).
pub fn run(bench: &Bench, server: &Endpoint, namespace: &str) -> Result<Option<Report>, Error> {
    let namespace = if namespace == "public" { "" } else { namespace };
    match &bench.what {
        What::Http { operation, api, load } => single::http(server, namespace, *operation, *api, load).map(Some),
        What::Grpc { operation, api, load } => single::grpc(server, namespace, *operation, *api, load).map(Some),
        What::FanOut(wanted) => fan_out::run(server, namespace, wanted).map(Some),
        What::Connections(wanted) => connections::run(server, namespace, wanted).map(Some),
        What::Registry(wanted) => registry::run(server, namespace, wanted).map(Some),
        What::BaselineHttp => baseline::run(Bare::Http).map(|()| None),
        What::BaselineGrpc => baseline::run(Bare::Grpc).map(|()| None),
    }
}

impl Bench {
    /// Whether the result is wanted as JSON.
    pub const fn json(&self) -> bool {
        match &self.what {
            What::Http { load, .. } | What::Grpc { load, .. } => load.common.json,
            What::FanOut(wanted) => wanted.common.json,
            What::Connections(wanted) => wanted.common.json,
            What::Registry(wanted) => wanted.common.json,
            What::BaselineHttp | What::BaselineGrpc => false,
        }
    }
}

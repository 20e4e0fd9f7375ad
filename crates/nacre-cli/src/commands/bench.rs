//! `nacre bench`: the load tool of `nacre-bench`, with this command line's address, namespace and output.

use nacre_bench::{Bench, Endpoint, Error};

use crate::{
    args::Global,
    error::{CliError, Outcome},
    output::Screen,
};

pub fn run(screen: Screen, global: &Global, bench: &Bench) -> Outcome {
    let server =
        Endpoint { host: global.server.host.clone(), port: global.server.port, context: global.server.context.clone() };
    let Some(report) = nacre_bench::run(bench, &server, &global.namespace)? else { return Ok(()) };
    if screen.json || bench.json() { screen.value(&report.json) } else { screen.raw(report.text.as_bytes()) }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        match error {
            Error::Usage(text) => Self::Usage(text),
            Error::Failed(text) => Self::Failed(text),
            Error::Unreachable { address, why } => Self::Unreachable {
                address,
                why,
                hint: "start one with `nacre server`, or say which with --server".to_owned(),
            },
        }
    }
}

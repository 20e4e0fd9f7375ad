//! https as the command line speaks it: what to do when a server is not trusted.

use std::path::PathBuf;

use nacre_server::trust::Hints;
pub use nacre_server::trust::{Trust, Untrusted};

const HINTS: Hints = Hints {
    no_list: "install the package ca-certificates, or name the authority's certificate with --ca-file FILE",
    authority: "name the authority's certificate with --ca-file FILE or NACRE_CA_FILE",
    name: "write the name that the certificate has in --server",
};

/// The authorities of `--ca-file`, else the system's.
pub fn trust(ca_file: Option<PathBuf>) -> Trust {
    Trust::new(ca_file, &HINTS)
}

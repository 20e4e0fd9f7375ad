//! The server: composition root and adapters.
//!
//! What lives here: [`app`] (what everything hangs on), `clock`, the listening sockets, the HTTP, gRPC and UDP faces,
//! workers, properties. What does not: rules of the domain; those are in the cores.

pub mod app;
pub mod clock;
pub mod http;
pub mod properties;

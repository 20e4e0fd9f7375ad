//! Cases from people who run Nacos, over the real sockets of a server in this process, where HTTP and gRPC meet. Every test
//! carries its case's number; tests/README.md lists which case is tested where.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod beats;
#[path = "../common/mod.rs"]
mod common;
mod configs;
mod identity;
mod listing;
mod polls;
mod protection;
mod pushes;
mod robust;
mod wire;

//! Cases that need a server as a process of its own: stopped, killed, restarted, short of files or disk. The names carry
//! the case's number; tests/README.md lists them all.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[path = "../../../nacre-server/tests/common/client.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod node;
mod restarts;
mod scarcity;
mod stalls;

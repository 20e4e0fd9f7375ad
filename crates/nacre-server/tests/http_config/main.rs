//! Configuration over HTTP, as its users meet it. Names and comments carry the ids of the cases they come from.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod cases;
mod client;
mod diagnosis;
mod gray;
mod polls;
mod transfer;

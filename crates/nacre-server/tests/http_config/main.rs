//! Configuration over HTTP, and what operators and monitoring ask, as its users meet it. Names and comments carry the ids of the cases they come from.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod cases;
mod client;
mod diagnosis;
mod discovery;
mod gray;
mod ops;
mod polls;
mod reference;
mod settings;
mod transfer;
mod v3;

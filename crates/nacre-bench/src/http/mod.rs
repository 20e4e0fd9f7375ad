//! HTTP: connections that write prepared bytes and read as little of an answer as they can.

pub mod baseline;
pub mod client;
pub mod operations;

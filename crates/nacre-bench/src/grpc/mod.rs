//! gRPC: HTTP/2 connections written by hand, for a client library would cost as much as the server.
//!
//! [`frames`] is the part of HTTP/2 that is needed, [`client`] a registered connection of the protocol, [`operations`] what is
//! asked, [`baseline`] the bare tonic server.

pub mod baseline;
pub mod client;
pub mod frames;
pub mod operations;

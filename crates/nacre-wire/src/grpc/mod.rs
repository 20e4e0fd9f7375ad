//! The gRPC protocol of Nacos 2.x and 3.x: the [`Payload`] message and the JSON inside it.
//!
//! Requests are read as leniently as the reference reads them ([`lenient`]); answers and pushes are written with exactly
//! the keys that the reference writes and never a JSON `null`. Nothing here decides anything.

pub mod config;
pub mod connection;
pub mod envelope;
pub mod fuzzy;
pub mod lenient;
pub mod naming;
pub mod payload;

pub use envelope::{Ack, Envelope, Refusal};
pub use payload::{Any, Metadata, Payload};

//! The server: composition root and adapters.
//!
//! What lives here: [`app`] (what everything hangs on), [`run`] (start and stop in order), `clock`, `listen` (the doors),
//! the faces (`http`, `grpc`, `udp`), `health` (active checks), `state` (what the commands of the log mean), `effects` and
//! `notices` (who must hear of a change), `workers`, `metrics`, `doctor` (findings, and what they are made of), `properties`.
//! What does not: rules of the domain; those are in the cores.
//!
//! Read first: [`run::run`], [`app::App`], `effects::Face`.

pub mod app;
pub mod clock;
pub mod doctor;
pub mod effects;
pub mod grpc;
pub mod health;
pub mod http;
mod journal;
pub mod listen;
pub mod live;
pub mod log_files;
pub mod logging;
pub mod long_line;
pub mod machine;
pub mod metrics;
mod neighbour;
pub mod notices;
mod patience;
pub mod properties;
mod quick;
pub mod retention;
pub mod room;
pub mod run;
pub mod state;
pub mod traces;
pub mod trust;
pub mod udp;
pub mod workers;

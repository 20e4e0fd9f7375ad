//! The database of nacre: SQLite on Nacos's own schema, written behind the log.
//!
//! What lives here: the data directory's lock ([`DirLock`]), opening and migrating the database ([`Store::open`]), one
//! writer thread that turns each [`WriteBatch`] into one transaction together with the applied position, read
//! repositories (searches, history, whole-state loads), snapshots and restore.
//!
//! What does not: decisions of the domain (rows come ready as [`nacre_config::StoreOp`]), async code: every call here
//! blocks, so callers use `spawn_blocking` for reads.
//!
//! Read first: [`Store`], [`WriteBatch`], [`Loaded`].
//!
//! How durable this is: the log is the durable record; SQLite runs in WAL mode with `synchronous = NORMAL` and may lose
//! its last transactions in a power cut, but never their order, and each carries the position it was applied at, so the
//! log is replayed from [`Loaded::applied`]. Before the log is purged, [`Store::checkpoint`] makes the database durable.
//! Every page has a checksum in a file beside the database (`sums.rs`); a database whose pages differ is not opened.

pub mod error;
mod load;
pub mod lock;
#[cfg(test)]
mod poison_tests;
mod pool;
pub mod read;
mod rows;
mod schema;
pub mod store;
mod sums;
mod time;
pub mod write;
mod writer;

pub use error::{Poison, StoreError};
pub use lock::DirLock;
pub use read::{ConfigRow, HistoryPageQuery, SqlRow};
pub use schema::FIRST_ID;
pub use store::{Loaded, OnEvent, SnapshotInfo, Store, StoreEvent, StoreOptions, StoreReport};
pub use write::{Applied, KvOp, KvRow, WriteBatch};

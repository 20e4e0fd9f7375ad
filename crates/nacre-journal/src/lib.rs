//! The flight recorder: what happened, to whom and why, bounded by bytes and age, always on.
//!
//! What lives here: [`Journal`] (record, query, live [`Tail`], counters per kind), its segments on disk ([`disk`]) and
//! questions over both ([`Journal::search`]), the English sentence of every cause ([`describe()`]), the JSON form of the
//! events API ([`Record::json`]), [`Journal::why`], the story of one instance, and [`Journal::timeline`], the past of a service.
//!
//! What does not: rules about what is wrong, sinks (logs and metrics read from here), runtimes and threads.
//!
//! Read first: [`Journal`], [`Filter`], [`disk`], [`Timeline`].

pub mod describe;
pub mod disk;
mod filter;
mod journal;
mod json;
mod lists;
mod search;
mod subjects;
mod tail;
mod timeline;
mod weight;
mod why;

pub use describe::{Sentence, describe, duration, removal};
pub use disk::{Disk, DiskCounts, DiskOptions, Listed, Work};
pub use filter::Filter;
pub use journal::{Counts, Journal, Limits, Record, Witness};
pub use lists::ListRound;
pub use search::Found;
pub use subjects::{Known, Subjects};
pub use tail::{Elapsed, Received, Tail};
pub use timeline::{Change, ConfigTimeline, Doubt, Span, Timeline};
pub use why::Line;

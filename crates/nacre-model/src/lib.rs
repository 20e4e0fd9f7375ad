//! The vocabulary of nacre: the words every room uses and the rules about them.
//!
//! What lives here: names and keys ([`ServiceKey`], [`ConfigKey`]), the [`Instance`], the clock value [`Now`],
//! typed causes and events ([`Event`], [`Cause`]), Nacos's error codes and texts ([`NacosError`]), the parameter
//! rules ([`check`]) and all limits ([`limits`]).
//!
//! What does not: sockets, clocks, disks, wire formats. A type here never decides behaviour.
//!
//! Read first: [`ServiceKey`], [`Instance`], [`Event`].

pub mod check;
pub mod digits;
pub mod error;
pub mod event;
pub mod float;
pub mod histogram;
pub mod instance;
pub mod key;
mod label;
pub mod limits;
pub mod row;
pub mod slip;
pub mod time;

pub use error::{ErrorCode, NacosError};
pub use event::{Cause, Event, KINDS, Subject};
pub use histogram::Histogram;
pub use instance::{Instance, InstanceId, Metadata};
pub use key::{ConfigKey, DEFAULT_CLUSTER, DEFAULT_GROUP, PUBLIC, ServiceKey};
pub use label::Label;
pub use row::Row;
pub use time::Now;

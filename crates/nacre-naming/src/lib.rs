//! The registry core: services, instances, clients, beats, health, selection, subscriptions, operator metadata,
//! switches, fuzzy watches.
//!
//! Pure: time ([`nacre_model::Now`]) and ids are arguments; nothing here opens a socket, reads a clock or touches a
//! disk. Ephemeral changes are calls on [`Naming`]; durable ones are [`NamingCommand`]s that reach [`Naming::apply`]
//! over the write road. Both yield [`Effects`], which the server acts on. Reads are [`Snapshot`]s and [`ServiceView`]s:
//! immutable, shared, as new as the last acknowledged change.
//!
//! | file | what |
//! |---|---|
//! | `naming` | the registry's parts; how slots (one per service key) and clients are found, made and dropped |
//! | `slot`, `client`, `table`, `wheel` | the state: services, clients and their publications, deadlines |
//! | `publish`, `beat`, `subscribe` | what clients do |
//! | `query`, `view`, `catalog`, `clients`, `beaters` | what consumers and operators see |
//! | `apply`, `operator`, `command`, `rows`, `restore` | durable commands, the operator's layer, the durable table |
//! | `tick`, `brake` | what happens because time passes |
//! | `fuzzy` | watched patterns |
//! | `senders` | instances for which several addresses send beats |
//! | `health` | active checks of persistent instances: whom to probe when, and what an outcome means |
//! | `types`, `effects`, `options`, `client_id`, `switches`, `metadata`, `selector`, `beat_info`, `ids`, `validate` | vocabulary and its parsers |
//!
//! Read first: [`Naming`], [`Effects`], [`ServiceView`].

mod apply;
mod beat;
mod beat_info;
mod beaters;
mod brake;
mod catalog;
mod client;
mod client_id;
mod clients;
mod command;
mod effects;
mod fuzzy;
mod health;
mod ids;
pub mod lenient;
mod metadata;
mod naming;
mod operator;
mod options;
mod publish;
mod query;
mod quick;
mod restore;
mod rows;
mod selector;
mod senders;
mod slot;
mod subscribe;
mod switches;
mod table;
mod tick;
mod types;
mod validate;
mod view;
mod wheel;

#[cfg(test)]
mod tests;

pub use beat_info::BeatInfo;
pub use beaters::{Beater, Census, Host};
pub use client_id::ClientId;
pub use command::{Applied, Consistency, InstanceRef, NamingCommand, NamingReply};
pub use effects::Effects;
pub use health::{CheckState, CheckTarget, HealthChecks, Probe, ProbeOutcome, TargetId};
pub use metadata::{
    ClusterMetadata, HealthChecker, InstanceMetadata, ServiceMetadata, parse_metadata, parse_metadata_keys,
};
pub use naming::Naming;
pub use options::{BrakeOptions, Options};
pub use selector::{SELECTOR_TYPES, Selector};
pub use senders::{Contested, Sender};
pub use switches::{HealthParams, SWITCH_NAME, Switches};
pub use types::{
    Beat, BeatAnswer, ClientDetail, ConnectionInfo, FuzzyChange, FuzzySync, FuzzySyncType, FuzzyWatched, NamingMetrics,
    Page, Paged, Published, ServiceDetail, ServiceSummary, Subscriber, Subscription,
};
pub use validate::{check_cluster, check_instance, check_weight};
pub use view::{Query, ServiceView, Snapshot};

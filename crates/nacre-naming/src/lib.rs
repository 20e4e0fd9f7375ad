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
//! | `naming` | the front door: every public call |
//! | `types`, `view`, `effects`, `command` | values in and out |
//! | `client_id`, `options`, `switches`, `metadata`, `selector`, `beat_info`, `validate` | vocabulary and its parsers |
//!
//! Read first: [`Naming`], [`Effects`], [`ServiceView`].

mod beat_info;
mod client_id;
mod command;
mod effects;
mod metadata;
mod naming;
mod options;
mod selector;
mod switches;
mod types;
mod validate;
mod view;

pub use beat_info::BeatInfo;
pub use client_id::ClientId;
pub use command::{Applied, Consistency, InstanceRef, NamingCommand, NamingReply};
pub use effects::Effects;
pub use metadata::{ClusterMetadata, HealthChecker, InstanceMetadata, ServiceMetadata, parse_metadata};
pub use naming::Naming;
pub use options::{BrakeOptions, Options};
pub use selector::{SELECTOR_TYPES, Selector};
pub use switches::{HealthParams, SWITCH_NAME, Switches};
pub use types::{
    Beat, BeatAnswer, ClientDetail, ConnectionInfo, FuzzyChange, FuzzySync, FuzzySyncType, FuzzyWatched, NamingMetrics,
    Page, Paged, Published, ServiceDetail, ServiceSummary, Subscriber, Subscription,
};
pub use validate::{check_cluster, check_instance, check_weight};
pub use view::{Query, ServiceView, Snapshot};

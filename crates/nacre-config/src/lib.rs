//! The config core of nacre: what is published, who is served which version, and who must hear of a change.
//!
//! What lives here: the index of all configs with their gray versions ([`Configs`]), commands and their outcome
//! ([`ConfigCommand`], [`Outcome`]), the matching of gray rules ([`Asker`], [`GrayRule`]), listeners of gRPC and of long
//! polls ([`Listeners`]), fuzzy watch ([`FuzzyWatch`]), namespaces, capacity, the shape of history rows, the rules of
//! parameters ([`check`]) and the texts of long polling ([`longpoll`]).
//!
//! What does not: SQL, sockets, clocks. Time is an argument; rows to be stored are values ([`StoreOp`]).
//!
//! Read first: [`Configs`], [`ConfigCommand`], [`Outcome`], [`Listeners`].
//!
//! How an adapter walks: check the parameters with [`check`], propose a [`ConfigCommand`], take the
//! [`ConfigReply`] with [`ConfigReply::into_result`]. Reads ask [`Configs::query`] directly. The consumer of effects asks
//! [`Listeners::affected`] and [`FuzzyWatch::changed`] with [`ConfigEffects::changed`].

mod apply;
pub mod capacity;
pub mod check;
pub mod command;
pub mod configs;
pub mod content;
pub mod entry;
pub mod fuzzy;
pub mod gray;
pub mod history;
pub mod listen;
pub mod longpoll;
pub mod names;
pub mod namespace;
pub mod outcome;
pub mod search;
pub mod stale;
mod texts;

pub use capacity::{CapacityRow, CapacityView};
pub use command::{
    CapacityRules, CapacityScope, CloneConfigs, CloneItem, ConfigCommand, ConflictPolicy, Import, ImportItem,
    NamespaceForm, Publish, PurgeHistory, Remove, RemoveIds, RemoveTarget, Rules, SetCapacity, Source, UpdateMetadata,
    split_tags,
};
pub use configs::{ConfigState, Configs, LastIds};
pub use content::md5;
pub use entry::{Answer, ConfigItem, ConfigMeta, FormalConfig, GrayConfig, Lookup, Version};
pub use fuzzy::{FuzzyNotice, FuzzyPattern, FuzzySettings, FuzzyWatch, SyncChange, Watched};
pub use gray::{Asker, AskerBuf, GrayRule, GrayTarget, Labels};
pub use history::{HistoryOp, HistoryRow};
pub use listen::{Affected, Listen, Listened, ListenerView, Listeners, Notice, PollId, Polled};
pub use longpoll::ListenKey;
pub use names::KeyRef;
pub use namespace::{Namespace, NamespaceEntry};
pub use outcome::{
    CapacityLimit, ConfigChange, ConfigEffects, ConfigReply, Existence, ImportReport, Outcome, Published, Refusal,
    StoreOp,
};
pub use search::{ConfigSearch, Page, PageRequest, Pattern, SearchMode};
pub use stale::{Repeated, StaleAnswers};

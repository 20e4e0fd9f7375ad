//! The gRPC face: Nacos 2.x and 3.x clients on main port + 1000, and on the main port as well.
//!
//! | file | what |
//! |---|---|
//! | `transport`, `unary`, `eager`, `io`, `codec`, `tcp` | one TCP connection: HTTP/2, the two methods, how it ended |
//! | `table`, `dispatch`, `handlers` | one row per payload type, the pipeline in front of them, what they do |
//! | `connections`, `lifecycle` | set-up, activity, detection, reset, end |
//! | `outbox`, `coalesce`, `timers`, `push` | what a connection is owed, when a change goes out, retries |
//!
//! Read first: [`Hub`], [`outbox::Outbox`], [`dispatch`].

pub mod coalesce;
mod codec;
pub mod connections;
mod dispatch;
mod eager;
mod handlers;
mod io;
mod lifecycle;
pub mod outbox;
mod push;
pub mod table;
mod tcp;
pub mod timers;
pub mod transport;
mod unary;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use nacre_journal::Journal;
use nacre_model::{Event, Now, ServiceKey, limits};
use nacre_naming::Naming;
pub use transport::serve_connection;

use self::{
    coalesce::Coalescer,
    connections::Connections,
    outbox::{Rules, SharedRules},
    timers::Timers,
};
use crate::{clock::Clock, metrics::Metrics, properties::Properties, traces::Traces};

/// Settings of this face.
#[derive(Clone, Debug)]
pub struct Options {
    pub rules: Rules,
    /// `nacos.naming.push.pushTaskDelay`: the longest a changed service waits to be merged with later changes.
    pub push_delay: u64,
    /// Largest payload, bytes.
    pub max_message: usize,
    /// Registered connections of the whole server.
    pub max_connections: usize,
    /// A client that was silent for this long is asked whether it is there, milliseconds.
    pub idle: u64,
    /// What a SetupAck declares.
    pub abilities: BTreeMap<&'static str, bool>,
}

/// What this server can do that clients ask for. Abilities of modules it does not have are not declared.
const ABILITIES: &[&str] = &["supportPersistentInstanceByGrpc", "fuzzyWatch"];

impl Default for Options {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            push_delay: 500,
            max_message: limits::GRPC_MESSAGE as usize,
            max_connections: limits::CONNECTIONS as usize,
            idle: 13_000,
            abilities: ABILITIES.iter().map(|name| (*name, true)).collect(),
        }
    }
}

impl Options {
    pub fn of(props: &Properties) -> Self {
        let off = |name: &str| {
            // Keys come in lower case, with or without the side (`server.`) in front.
            let name = name.to_ascii_lowercase();
            let is_it = |key: &str| key.strip_suffix(&*name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            let word = props.with_prefix("nacos.core.ability.").find(|(key, _)| is_it(key));
            word.is_some_and(|(_, value)| value.trim().eq_ignore_ascii_case("false"))
        };
        let tries = u32::try_from(props.u64("nacos.config.push.maxRetryTime")).unwrap_or(u32::MAX);
        Self {
            rules: Rules {
                naming_ack: props.millis("nacos.naming.push.pushTaskTimeout"),
                naming_retry: props.millis("nacos.naming.push.pushTaskRetryDelay"),
                config_ack: props.millis("nacos.config.push.timeout"),
                config_tries: tries.max(1),
                detection_ack: props.millis("nacre.grpc.detection.timeout"),
                ..Rules::default()
            },
            push_delay: props.millis("nacos.naming.push.pushTaskDelay"),
            max_message: props.usize("nacos.remote.server.grpc.sdk.max-inbound-message-size"),
            max_connections: props.usize("nacre.limit.connections"),
            idle: props.millis("nacre.grpc.detection.idle"),
            abilities: ABILITIES.iter().map(|name| (*name, !off(name))).collect(),
        }
    }
}

/// Everything the gRPC side remembers.
pub struct Hub {
    pub connections: Connections,
    options: ArcSwap<Options>,
    /// What the outboxes of all connections go by.
    rules: SharedRules,
    clock: Clock,
    journal: Arc<Journal>,
    metrics: Arc<Metrics>,
    naming: Arc<Naming>,
    timers: Timers,
    services: Coalescer<ServiceKey>,
    requests: AtomicU64,
    traces: OnceLock<Arc<Traces>>,
}

impl Hub {
    pub fn new(
        options: Options,
        clock: Clock,
        journal: Arc<Journal>,
        metrics: Arc<Metrics>,
        naming: Arc<Naming>,
    ) -> Self {
        Self {
            connections: Connections::default(),
            services: Coalescer::new(options.push_delay),
            timers: Timers::default(),
            requests: AtomicU64::new(1),
            rules: Arc::new(ArcSwap::from_pointee(options.rules)),
            options: ArcSwap::from_pointee(options),
            clock,
            journal,
            metrics,
            naming,
            traces: OnceLock::new(),
        }
    }

    /// Those who are told of a traced change get spans. Called once, before anything is served.
    pub fn trace(&self, traces: &Arc<Traces>) {
        let _ = self.traces.set(Arc::clone(traces));
    }

    pub fn options(&self) -> arc_swap::Guard<Arc<Options>> {
        self.options.load()
    }

    /// Other settings, for open connections too; what was bound or bounded at the start stays.
    pub fn retune(&self, options: Options) {
        self.rules.store(Arc::new(options.rules));
        self.services.retune(options.push_delay);
        self.options.store(Arc::new(options));
    }

    /// `requestId` of a push: a number of the whole server, from 1.
    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn record(&self, event: Event) {
        self.journal.record(event);
    }
}

//! Traces for OpenTelemetry, sent by OTLP over HTTP. Off by default; then a call costs one look at an `Option`.
//!
//! | file | what |
//! |---|---|
//! | `settings` | properties and the standard environment |
//! | `context` | ids, `traceparent`, which traces are taken |
//! | `entry` | the span of a request, and who is at work in this task |
//! | `road` | the spans of a durable write |
//! | `causes`, `told` | who changed what, and the spans of those who are told of it |
//! | `queue`, `export`, `post` | spans wait, leave in batches, are tried again |
//!
//! A caller is never delayed: a span goes into a bounded queue or is dropped and counted.

mod causes;
mod context;
mod entry;
mod export;
mod post;
mod queue;
mod road;
mod settings;
mod told;

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use nacre_model::{ConfigKey, ServiceKey};
use nacre_wire::otlp::{KeyValue, Link, Span, SpanKind, Status, StatusCode, Value};

use self::{
    causes::{Causes, Thing},
    context::{Context, Sampler},
    export::Exporter,
    queue::Queue,
};
pub use self::{entry::Entry, export::start, road::Road, settings::Settings};
use crate::{clock::Clock, properties::Properties, state::Command};

/// Longest text of a client's that a span keeps, bytes.
const LONGEST: usize = 256;

/// Everything about traces while they are on.
pub struct Traces {
    clock: Clock,
    sampler: Sampler,
    causes: Causes,
    queue: Queue,
    exporter: Exporter,
}

impl Traces {
    /// As properties and environment say; `None` when nobody asked for traces.
    pub fn of(props: &Properties, clock: &Clock) -> Result<Option<Arc<Self>>, String> {
        let Some(settings) = Settings::of(props, |name| std::env::var(name).ok())? else { return Ok(None) };
        let traces = Self::new(settings, clock.clone());
        traces.exporter.check()?;
        Ok(Some(Arc::new(traces)))
    }

    pub fn new(settings: Settings, clock: Clock) -> Self {
        Self {
            clock,
            sampler: settings.sampler,
            causes: Causes::default(),
            queue: Queue::default(),
            exporter: Exporter::new(settings),
        }
    }

    /// Sent, dropped, rejected so far, and how many wait.
    pub fn counts(&self) -> (u64, u64, u64, usize) {
        let (sent, dropped, rejected) = self.queue.counts.read();
        (sent, dropped, rejected, self.queue.len())
    }

    /// The request that is at work in this task changes the service.
    pub fn changes_service(&self, service: &ServiceKey) {
        self.changes(|| Thing::Service(service.clone()));
    }

    /// The request that is at work in this task wrote, or is about to write, this command.
    fn changes_by(&self, command: &Changed) {
        if let Some(thing) = command {
            self.changes(|| thing.clone());
        }
    }

    fn changes(&self, thing: impl FnOnce() -> Thing) {
        if let Some(by) = entry::current() {
            self.causes.note(thing(), by.context, self.clock.now().mono);
        }
    }

    /// The request that is at work in this task hears that configs changed: it is linked to those who changed them.
    pub fn hears_of<'a>(&self, keys: impl IntoIterator<Item = &'a ConfigKey>) {
        let Some(hearer) = entry::current() else { return };
        let now = self.clock.now().mono;
        for key in keys.into_iter().take(entry::LINKS) {
            if let Some(by) = self.causes.of(&Thing::Config(key.clone()), now) {
                hearer.link(by.link());
            }
        }
    }
}

/// What a command changes that others are told about.
type Changed = Option<Thing>;

fn changed(command: &Command) -> Changed {
    match command {
        Command::Config(command) => command.key().cloned().map(Thing::Config),
        Command::Naming(command) => command.service().cloned().map(Thing::Service),
    }
}

/// A moment by both clocks, so that others are known by the wall clock.
#[derive(Clone, Copy)]
struct Moment {
    instant: Instant,
    /// Nanoseconds since the epoch.
    wall: u64,
}

impl Moment {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), wall: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// Another moment by the wall clock, in nanoseconds.
    fn wall_at(&self, instant: Instant) -> u64 {
        let nanos = |span: std::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        match instant.checked_duration_since(self.instant) {
            Some(later) => self.wall.saturating_add(nanos(later)),
            None => self.wall.saturating_sub(nanos(self.instant.duration_since(instant))),
        }
    }
}

/// A span without its times.
fn span(name: impl Into<String>, kind: SpanKind, own: &Context, parent: Option<&Context>) -> Span {
    Span {
        trace_id: own.trace.to_vec(),
        span_id: own.span.to_vec(),
        parent_span_id: parent.map(|parent| parent.span.to_vec()).unwrap_or_default(),
        name: name.into(),
        kind: kind.into(),
        flags: own.flags(),
        ..Span::default()
    }
}

/// Filling in spans.
trait Fill {
    fn text(&mut self, key: &str, value: &str);
    fn int(&mut self, key: &str, value: i64);
    fn linked(&mut self, link: Link);
    fn failed(&mut self, kind: &str, message: &str);
}

impl Fill for Span {
    /// An empty text is left out; a long one is cut.
    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            let end = value.floor_char_boundary(LONGEST);
            self.attributes.push(KeyValue::new(key, Value::Text(value[..end].to_owned())));
        }
    }

    fn int(&mut self, key: &str, value: i64) {
        self.attributes.push(KeyValue::new(key, Value::Int(value)));
    }

    fn linked(&mut self, link: Link) {
        self.links.push(link);
    }

    fn failed(&mut self, kind: &str, message: &str) {
        self.text("error.type", kind);
        let end = message.floor_char_boundary(LONGEST);
        self.status = Some(Status { message: message[..end].to_owned(), code: StatusCode::Error.into() });
    }
}

//! The worker that sends spans: in batches, one at a time, tried again as OTLP asks. A collector that is down is told
//! once, and once more when it is back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use nacre_model::{Cause, Event, Subject};
use nacre_wire::otlp::{ExportTraceServiceRequest, Resource, ResourceSpans, Scope, ScopeSpans, Span};
use parking_lot::Mutex;
use prost::Message;

use super::{
    Traces,
    context::scattered,
    post::{HINTS, Outcome, post},
    settings::Settings,
};
use crate::{app::App, trust::Trust};

/// The longest pause between two tries; the first is as long as spans wait for others.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A stop waits this long for the last spans.
const LAST: Duration = Duration::from_secs(2);

/// What the worker knows. It outlives the worker: a batch under way is not lost when that is started again.
pub struct Exporter {
    settings: Settings,
    trust: Trust,
    /// Out of the queue and not with the collector yet.
    under_way: Mutex<Option<Batch>>,
    /// While nothing is delivered: how many spans were lost before.
    failing: Mutex<Option<u64>>,
}

#[derive(Clone)]
struct Batch {
    body: Bytes,
    spans: u64,
}

impl Exporter {
    pub fn new(settings: Settings) -> Self {
        let trust = Trust::new(settings.ca_file.clone(), &HINTS);
        Self { settings, trust, under_way: Mutex::default(), failing: Mutex::default() }
    }

    /// An https collector can be trusted at all: the authorities' file is one.
    pub fn check(&self) -> Result<(), String> {
        if !self.settings.endpoint.tls {
            return Ok(());
        }
        self.trust.check().map_err(|refused| match self.settings.ca_file {
            Some(_) => format!("nacre.tracing.otlp.ca-file (or OTEL_EXPORTER_OTLP_CERTIFICATE): {refused}"),
            None => refused.to_string(),
        })
    }

    fn encode(&self, spans: Vec<Span>) -> Batch {
        let count = spans.len() as u64;
        let scope = Scope { name: "nacre".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes: self.settings.resource.clone() }),
                scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
                schema_url: String::new(),
            }],
        };
        Batch { body: request.encode_to_vec().into(), spans: count }
    }
}

/// Starts the worker, if there are traces.
pub fn start(app: &Arc<App>) {
    let Some(traces) = &app.traces else { return };
    let (app, traces) = (Arc::clone(app), Arc::clone(traces));
    Arc::clone(&app).workers.spawn("trace exporter", move |pulse| {
        let (app, traces) = (Arc::clone(&app), Arc::clone(&traces));
        async move {
            let tell = |cause| {
                app.journal.record(Event::new(app.clock.now(), Subject::default(), cause));
            };
            loop {
                traces.send_next(&tell).await;
                pulse.beat();
            }
        }
    });
}

impl Traces {
    /// Waits for spans and delivers a batch of them, however often that must be tried.
    async fn send_next(&self, tell: &impl Fn(Cause)) {
        let waiting = self.exporter.under_way.lock().is_none();
        if waiting {
            self.queue.wait(self.exporter.settings.delay).await;
        }
        let Some(batch) = self.next() else { return };
        let mut pause = self.exporter.settings.delay;
        while let Some(after) = self.try_once(&batch, tell).await {
            tokio::time::sleep(after.unwrap_or_else(|| scattered(pause))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What is under way, else the oldest that wait.
    fn next(&self) -> Option<Batch> {
        let mut under_way = self.exporter.under_way.lock();
        if under_way.is_none() {
            let spans = self.queue.take();
            *under_way = (!spans.is_empty()).then(|| self.exporter.encode(spans));
        }
        under_way.clone()
    }

    /// `None`: nothing more is to be done about this batch. Else what the collector says about the next try.
    async fn try_once(&self, batch: &Batch, tell: &impl Fn(Cause)) -> Option<Option<Duration>> {
        let counts = &self.queue.counts;
        match post(&self.exporter.settings, &self.exporter.trust, batch.body.clone()).await {
            Outcome::Later { after, why } => {
                self.fails(&why, tell);
                return Some(after);
            }
            Outcome::Taken { rejected, why } => {
                let rejected = rejected.min(batch.spans);
                counts.sent.fetch_add(batch.spans - rejected, Ordering::Relaxed);
                counts.rejected.fetch_add(rejected, Ordering::Relaxed);
                if rejected == 0 { self.works(tell) } else { self.fails(&format!("{rejected} rejected: {why}"), tell) }
            }
            Outcome::Refused { why } => {
                counts.rejected.fetch_add(batch.spans, Ordering::Relaxed);
                self.fails(&why, tell);
            }
        }
        *self.exporter.under_way.lock() = None;
        None
    }

    fn lost(&self) -> u64 {
        let (_, dropped, rejected) = self.queue.counts.read();
        dropped + rejected
    }

    fn fails(&self, why: &str, tell: &impl Fn(Cause)) {
        let mut failing = self.exporter.failing.lock();
        if failing.is_none() {
            *failing = Some(self.lost());
            let endpoint = self.exporter.settings.endpoint.text.clone();
            tracing::warn!(%endpoint, %why, "traces are not delivered; requests go on, and this is tried again in silence");
            tell(Cause::TracesUndelivered { endpoint, reason: why.to_owned() });
        }
    }

    fn works(&self, tell: &impl Fn(Cause)) {
        if let Some(before) = self.exporter.failing.lock().take() {
            let lost = self.lost().saturating_sub(before);
            tracing::info!(lost, "traces are delivered again");
            tell(Cause::TracesDelivered { lost });
        }
    }

    /// The last spans leave, each batch tried once, all within [`LAST`]. After the worker has ended.
    pub async fn flush(&self) {
        let all = async {
            while let Some(batch) = self.next() {
                if self.try_once(&batch, &|_| {}).await.is_some() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LAST, all).await;
        let under_way = self.exporter.under_way.lock().take().map_or(0, |batch| batch.spans);
        let mut left = under_way;
        loop {
            let some = self.queue.take().len() as u64;
            left += some;
            if some == 0 {
                break;
            }
        }
        if left > 0 {
            self.queue.counts.dropped.fetch_add(left, Ordering::Relaxed);
            tracing::warn!(spans = left, "the last spans were not delivered before the stop");
        }
    }
}

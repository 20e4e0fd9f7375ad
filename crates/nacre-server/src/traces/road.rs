//! The spans of a durable write: its wait in the queue, the flush of the log, the state machine. Children of the request
//! that wrote.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use nacre_cluster::{Stages, WriteError};
use nacre_wire::otlp::{Span, SpanKind};

use super::{Changed, Context, Fill, Traces, changed, entry, entry::Active, span};
use crate::state::Command;

/// A durable write under way.
pub struct Road {
    by: Arc<Active>,
    own: Context,
    begun: Instant,
    bytes: usize,
    changed: Changed,
    pub stages: Arc<Stages>,
}

impl Traces {
    /// A write sets out; `None` when no request that is traced wrote it.
    pub fn set_out(&self, command: &Command, bytes: usize) -> Option<Road> {
        let by = entry::current()?;
        let changed = changed(command);
        self.changes_by(&changed);
        let own = by.context.child();
        Some(Road { by, own, begun: Instant::now(), bytes, changed, stages: Arc::default() })
    }

    /// It has arrived, or not.
    pub fn arrived(&self, road: &Road, outcome: &Result<Bytes, WriteError>) {
        self.changes_by(&road.changed);
        let seen = road.stages.seen();
        let ended = Instant::now();
        let mut whole = road.stretch("durable write", &road.own, &road.by.context, (road.begun, ended));
        whole.int("nacre.write.bytes", road.bytes as i64);
        if let Some(index) = seen.index {
            whole.int("nacre.log.index", i64::try_from(index).unwrap_or(i64::MAX));
            whole.int("nacre.write.batch", seen.together as i64);
        }
        match outcome {
            Ok(_) => {}
            Err(error @ WriteError::NotDone(_)) => whole.failed("not_done", &error.to_string()),
            Err(error @ WriteError::Unknown(_)) => whole.failed("unknown", &error.to_string()),
        }
        self.queue.offer(whole);
        let waited = seen.taken.map(|taken| (road.begun, taken));
        for (name, stretch) in [("write queue", waited), ("log fsync", seen.flushed), ("apply", seen.applied)] {
            if let Some(stretch) = stretch {
                self.queue.offer(road.stretch(name, &road.own.child(), &road.own, stretch));
            }
        }
    }
}

impl Road {
    fn stretch(&self, name: &str, own: &Context, parent: &Context, (from, to): (Instant, Instant)) -> Span {
        let mut span = span(name, SpanKind::Internal, own, Some(parent));
        span.start_time_unix_nano = self.by.begun.wall_at(from);
        span.end_time_unix_nano = self.by.begun.wall_at(to);
        span
    }
}

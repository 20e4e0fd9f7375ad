//! The spans of those who are told of a change: one a subscriber, each in a trace of its own and linked to the request
//! that changed it. A trace of the change itself would have ten thousand children.

use nacre_model::Now;
use nacre_wire::otlp::SpanKind;

use super::{Context, Fill, Thing, Traces, span};
use crate::grpc::{
    connections::Connection,
    outbox::{Target, Told},
};

impl Traces {
    /// A subscriber acknowledged a push, or did not.
    pub fn told(&self, connection: &Connection, told: &Told, now: Now) {
        let (thing, method) = match &told.target {
            Target::Service(key) => (Thing::Service(key.clone()), "NotifySubscriberRequest"),
            Target::Config(key) => (Thing::Config(key.clone()), "ConfigChangeNotifyRequest"),
            _ => return,
        };
        let Some(owed) = told.owed else { return };
        let Some(by) = self.causes.of(&thing, owed) else { return };
        let mut span = span(method, SpanKind::Client, &Context::root(), None);
        // The server's clock stands still while the server does; to the millisecond is exact enough for a push.
        let wall = |mono: u64| {
            let ago = i64::try_from(now.mono.saturating_sub(mono)).unwrap_or(0);
            u64::try_from(now.wall.saturating_sub(ago)).unwrap_or(0).saturating_mul(1_000_000)
        };
        span.start_time_unix_nano = wall(told.sent);
        span.end_time_unix_nano = wall(now.mono);
        span.text("rpc.system", "grpc");
        span.text("rpc.service", "BiRequestStream");
        span.text("rpc.method", method);
        match thing {
            Thing::Service(key) => {
                span.text("nacos.namespace", &key.namespace);
                span.text("nacos.group", &key.group);
                span.text("nacos.service", &key.name);
            }
            Thing::Config(key) => {
                span.text("nacos.namespace", &key.namespace);
                span.text("nacos.group", &key.group);
                span.text("nacos.data_id", &key.data_id);
            }
        }
        span.text("nacos.connection.id", &connection.peer.id);
        span.text("network.peer.address", &connection.peer.remote.ip().to_string());
        span.int("network.peer.port", connection.peer.remote.port().into());
        span.int("nacre.push.waited_ms", i64::try_from(told.sent.saturating_sub(owed)).unwrap_or(i64::MAX));
        if let Some(reason) = &told.failed {
            span.failed("unacknowledged", reason);
        }
        span.linked(by.link());
        self.queue.offer(span);
    }
}

//! The spans of those who are told of a change: one a subscriber, each in a trace of its own and linked to the request
//! that changed it. A trace of the change itself would have ten thousand children.

use std::net::SocketAddr;

use nacre_model::{Now, ServiceKey};
use nacre_wire::otlp::{Span, SpanKind};

use super::{Context, Fill, Thing, Traces, span};
use crate::grpc::{
    connections::Connection,
    outbox::{Target, Told},
};

impl Traces {
    /// A subscriber acknowledged a push over gRPC, or did not.
    pub fn told(&self, connection: &Connection, told: &Told, now: Now) {
        let (thing, method) = match &told.target {
            Target::Service(key) => (Thing::Service(key.clone()), "NotifySubscriberRequest"),
            Target::Config(key) => (Thing::Config(key.clone()), "ConfigChangeNotifyRequest"),
            _ => return,
        };
        let Some(owed) = told.owed else { return };
        let Some(mut span) = self.push(method, thing, connection.peer.remote, [owed, told.sent], now) else { return };
        span.text("rpc.system", "grpc");
        span.text("rpc.service", "BiRequestStream");
        span.text("rpc.method", method);
        span.text("nacos.connection.id", &connection.peer.id);
        if let Some(reason) = &told.failed {
            span.failed("unacknowledged", reason);
        }
        self.queue.offer(span);
    }

    /// A subscriber of 1.x acknowledged a datagram.
    pub fn told_by_udp(&self, to: SocketAddr, service: ServiceKey, sent: u64, now: Now) {
        if let Some(mut span) = self.push("udp push", Thing::Service(service), to, [sent, sent], now) {
            span.text("network.transport", "udp");
            self.queue.offer(span);
        }
    }

    /// The span of a push that was owed and sent at these moments; `None` when no traced request caused it.
    fn push(&self, name: &str, thing: Thing, to: SocketAddr, [owed, sent]: [u64; 2], now: Now) -> Option<Span> {
        let by = self.causes.of(&thing, owed)?;
        let mut span = span(name, SpanKind::Client, &Context::root(), None);
        // The server's clock stands still while the server does; to the millisecond is exact enough for a push.
        let wall = |mono: u64| {
            let ago = i64::try_from(now.mono.saturating_sub(mono)).unwrap_or(0);
            u64::try_from(now.wall.saturating_sub(ago)).unwrap_or(0).saturating_mul(1_000_000)
        };
        span.start_time_unix_nano = wall(sent);
        span.end_time_unix_nano = wall(now.mono);
        let (namespace, group, name) = match &thing {
            Thing::Service(key) => (&key.namespace, &key.group, ("nacos.service", &key.name)),
            Thing::Config(key) => (&key.namespace, &key.group, ("nacos.data_id", &key.data_id)),
        };
        span.text("nacos.namespace", namespace);
        span.text("nacos.group", group);
        span.text(name.0, name.1);
        span.text("network.peer.address", &to.ip().to_string());
        span.int("network.peer.port", to.port().into());
        span.int("nacre.push.waited_ms", i64::try_from(sent.saturating_sub(owed)).unwrap_or(i64::MAX));
        span.linked(by.link());
        Some(span)
    }
}

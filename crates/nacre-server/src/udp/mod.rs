//! UDP push to 1.x clients (spec/naming.md 13.3): one socket, one task that sends, one that reads acknowledgements.
//!
//! A list call with `udpPort` subscribes; the core keeps the subscription until 30 s after the last call. Pushes are an
//! acceleration: whatever is lost, the client's next poll brings.

mod filters;
mod outbox;
pub mod packet;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nacre_journal::Journal;
use nacre_model::{Cause, Event, ServiceKey, Subject};
use nacre_naming::{ClientId, Naming, Query, ServiceView, Subscription};
use parking_lot::Mutex;
use tokio::{net::UdpSocket, sync::Notify};

use self::{
    filters::Filters,
    outbox::{Listed, MAX_SENDS, Outbox, Round},
    packet::{MAX_DATAGRAM, Packet},
};
use crate::{clock::Clock, effects::Face, metrics::Metrics, traces::Traces, workers::Workers};

pub use packet::accepts;

/// The form number of datagrams in [`ServiceView::serialised`].
const UDP_FORM: u8 = 17;
/// Changes of services are not looked at when nobody subscribed by UDP for this long: every subscription has lapsed.
const IDLE_AFTER_MS: u64 = 60_000;
/// How often pushes that are switched off are looked at again.
const SWITCHED_OFF: Duration = Duration::from_secs(1);
/// Sends in a row before other tasks get their turn.
const SENDS_IN_A_ROW: usize = 64;

/// The UDP face.
pub struct Udp {
    socket: UdpSocket,
    /// The socket is an IPv6 one that speaks IPv4 too.
    dual: bool,
    clock: Clock,
    naming: Arc<Naming>,
    journal: Arc<Journal>,
    outbox: Mutex<Outbox>,
    filters: Mutex<Filters>,
    wake: Notify,
    /// Monotonic milliseconds of the last subscription or renewal, plus one; 0 = never.
    last_subscription: AtomicU64,
    last_stamp: AtomicU64,
    metrics: Arc<Metrics>,
    traces: OnceLock<Arc<Traces>>,
}

impl Udp {
    /// Those who are told of a traced change get spans. Called once, before anything is served.
    pub fn trace(&self, traces: &Arc<Traces>) {
        let _ = self.traces.set(Arc::clone(traces));
    }

    /// Binds the socket: every address, a port of the kernel's choice.
    pub fn bind(clock: Clock, naming: Arc<Naming>, journal: Arc<Journal>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (socket, dual) = match std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
            Ok(socket) => (socket, true),
            Err(_) => (std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?, false),
        };
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            dual,
            clock,
            naming,
            journal,
            outbox: Mutex::default(),
            filters: Mutex::default(),
            wake: Notify::new(),
            last_subscription: AtomicU64::new(0),
            last_stamp: AtomicU64::new(0),
            metrics,
            traces: OnceLock::new(),
        })
    }

    /// Starts the two tasks.
    pub fn start(self: &Arc<Self>, workers: &Workers) {
        let it = Arc::clone(self);
        workers.spawn("udp pushes", move |pulse| {
            let udp = Arc::clone(&it);
            async move {
                loop {
                    udp.send_what_is_due().await;
                    pulse.beat();
                    udp.sleep().await;
                }
            }
        });
        let it = Arc::clone(self);
        workers.spawn("udp acknowledgements", move |pulse| {
            let udp = Arc::clone(&it);
            async move {
                let mut buffer = vec![0; 2_048];
                loop {
                    udp.read_one(&mut buffer).await;
                    pulse.beat();
                }
            }
        });
    }

    /// A list call is about to subscribe by UDP, or to renew.
    pub fn polled(&self, client: &ClientId, service: &ServiceKey, clusters: &str) {
        let now = self.clock.now().mono;
        self.last_subscription.store(now + 1, Ordering::Relaxed);
        let newest = self.naming.subscription(client, service);
        self.filters.lock().polled(client, service, clusters, newest.as_deref().map(|s| &*s.clusters), now);
    }

    /// Pushes that wait for their acknowledgement.
    pub fn pending(&self) -> usize {
        self.outbox.lock().waiting()
    }

    fn is_idle(&self, now: u64) -> bool {
        let last = self.last_subscription.load(Ordering::Relaxed);
        last == 0 || now.saturating_sub(last) > IDLE_AFTER_MS
    }

    async fn sleep(&self) {
        let next = self.outbox.lock().next();
        match next {
            None => self.wake.notified().await,
            Some(at) => {
                let off = !self.naming.switches().push_enabled;
                let wait = Duration::from_millis(at.saturating_sub(self.clock.now().mono));
                let wait = if off { wait.max(SWITCHED_OFF) } else { wait.max(Duration::from_millis(1)) };
                let _ = tokio::time::timeout(wait, self.wake.notified()).await;
            }
        }
    }

    async fn send_what_is_due(&self) {
        // Switched off, changes stay marked (each service once) and go out when pushes are on again.
        if !self.naming.switches().push_enabled {
            return;
        }
        let now = self.clock.now();
        let (due, overdue) = {
            let mut outbox = self.outbox.lock();
            (outbox.take_due(now.mono), outbox.overdue(now.mono))
        };
        for (to, packet) in overdue.again {
            self.send(to, &packet).await;
        }
        for (to, service) in overdue.given_up {
            self.metrics.push.failed.add(self.clock.now().wall);
            let subject = Subject::service(&service).with_client(&format!("{to}#true"));
            self.journal.record(Event::new(now, subject, Cause::PushGaveUp { attempts: MAX_SENDS }));
        }
        self.first_pushes(now.mono).await;
        for (service, round) in due {
            self.push_service(&service, round).await;
        }
    }

    /// Subscribers get the list that they were answered with once more, and what became of it meanwhile.
    async fn first_pushes(&self, now: u64) {
        let mut sent = 0;
        while let Some((client, service)) = {
            let mut outbox = self.outbox.lock();
            outbox.take_first(now)
        } {
            let Some((subscription, view)) = self.naming.push_view(&client, &service, self.clock.now()) else {
                continue;
            };
            self.push_to(&client, &subscription, &view).await;
            sent += 1;
            if sent % SENDS_IN_A_ROW == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn push_service(&self, service: &ServiceKey, round: Round) {
        let mut held = false;
        let subscribers = self.naming.subscriber_ids(service);
        for (n, client) in subscribers.iter().filter(|client| !client.is_connection()).enumerate() {
            if n % SENDS_IN_A_ROW == SENDS_IN_A_ROW - 1 {
                tokio::task::yield_now().await;
            }
            let now = self.clock.now();
            if self.outbox.lock().awaits_first(client, service) {
                continue;
            }
            let Some((subscription, view)) = self.naming.push_view(client, service, now) else { continue };
            let others = self.filters.lock().others(client, service, &subscription.clusters, now.mono);
            let query = |clusters| Query { clusters, healthy_only: false, consumer_ip: &subscription.ip };
            let others: Vec<_> = others.iter().map(|other| self.naming.list(service, &query(other), now)).collect();
            for view in std::iter::once(&view).chain(&others) {
                match (view.hosts.is_empty(), round) {
                    (true, Round::First) => held = true,
                    (false, Round::Held) => {}
                    _ => self.push_to(client, &subscription, view).await,
                }
            }
        }
        if held {
            self.outbox.lock().hold(service, self.clock.now().mono);
        }
    }

    async fn push_to(&self, client: &ClientId, subscription: &Subscription, view: &ServiceView) {
        // No name look-ups here: a client that does not say where it is by address polls.
        let Ok(ip) = subscription.ip.trim_matches(['[', ']']).parse::<IpAddr>() else { return };
        let to = SocketAddr::new(ip.to_canonical(), subscription.port);
        let packet = self.packet(view);
        if packet.bytes.len() > MAX_DATAGRAM {
            return self.failed(client, &view.service, format!("{} bytes do not fit a datagram", packet.bytes.len()));
        }
        if view.hosts.is_empty() {
            self.metrics.push.empty.add(self.clock.now().wall);
        }
        // Marked before it is sent: the acknowledgement may be faster than we are.
        let list = Listed { service: view.service.clone(), clusters: Arc::clone(&view.clusters) };
        let silent = self.outbox.lock().sent(to, &list, packet.clone(), self.clock.now().mono);
        if silent {
            self.metrics.push.failed.add(self.clock.now().wall);
        }
        if let Some(error) = self.send(to, &packet).await {
            self.outbox.lock().acked(to, packet.stamp, self.clock.now().mono);
            self.failed(client, &view.service, error.to_string());
        }
    }

    fn failed(&self, client: &ClientId, service: &ServiceKey, reason: String) {
        self.metrics.push.failed.add(self.clock.now().wall);
        let subject = Subject::service(service).with_client(client);
        self.journal.record(Event::new(self.clock.now(), subject, Cause::PushFailed { reason, attempt: 1 }));
    }

    /// The datagram of a view, made once per snapshot and shared by all its subscribers. Kept with its stamp in front.
    fn packet(&self, view: &ServiceView) -> Packet {
        let kept = view.serialised(UDP_FORM, |view| {
            let packet = packet::push(view, self.next_stamp());
            [&packet.stamp.to_be_bytes()[..], &packet.bytes].concat().into()
        });
        let stamp = kept.first_chunk::<8>().map_or(0, |stamp| u64::from_be_bytes(*stamp));
        Packet { stamp, bytes: kept.slice(kept.len().min(8)..) }
    }

    /// Microseconds of the wall clock, made unique: below 2^53 until the year 2255.
    fn next_stamp(&self) -> u64 {
        let wall = u64::try_from(self.clock.now().wall).unwrap_or(0).saturating_mul(1_000);
        let advance = |last: u64| Some(wall.max(last + 1));
        let last = self.last_stamp.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        wall.max(last.unwrap_or_default() + 1)
    }

    async fn send(&self, to: SocketAddr, packet: &Packet) -> Option<io::Error> {
        let to = match to {
            SocketAddr::V4(v4) if self.dual => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
            other => other,
        };
        self.metrics.push.total.add(self.clock.now().wall);
        self.socket.send_to(&packet.bytes, to).await.err()
    }

    async fn read_one(&self, buffer: &mut [u8]) {
        // A port that nobody listens on comes back as an error of the next read: nothing to read, nothing wrong here.
        let Ok((len, from)) = self.socket.recv_from(buffer).await else { return };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let stamp = buffer.get(..len).and_then(packet::ack);
        let now = self.clock.now().mono;
        if let (Some(traces), Some(stamp)) = (self.traces.get(), stamp)
            && let Some((service, sent)) = self.outbox.lock().awaits(from, stamp)
        {
            traces.told_by_udp(from, service, sent, self.clock.now());
        }
        let took = stamp.and_then(|stamp| self.outbox.lock().acked(from, stamp, now));
        // What acknowledges nothing that waits, from whomever, is nothing.
        if let Some(took) = took {
            self.metrics.push.acknowledged(took, now);
        }
    }
}

impl Face for Udp {
    fn service_changed(&self, service: &ServiceKey) {
        let now = self.clock.now().mono;
        if self.is_idle(now) {
            return;
        }
        self.outbox.lock().mark(service, now);
        self.wake.notify_one();
    }

    /// Nothing is owed while pushes are switched off: the list is on its way as the answer.
    fn push_one(&self, client: &ClientId, service: &ServiceKey) {
        if client.is_connection() || !self.naming.switches().push_enabled {
            return;
        }
        self.outbox.lock().subscribed(client, service, self.clock.now().mono);
        self.wake.notify_one();
    }
}

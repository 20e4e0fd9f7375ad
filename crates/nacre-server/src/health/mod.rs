//! Active checks of persistent instances: the I/O. When to probe whom, and what an outcome means, the core decides
//! ([`HealthChecks`]); this worker connects, asks, and puts changed opinions on the write road.

pub mod http;
pub mod mysql;
mod tcp;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hasher, RandomState},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use nacre_model::limits::HEALTH_PROBES;
use nacre_naming::{HealthChecker, HealthChecks, NamingCommand, Probe, ProbeOutcome, TargetId};
use parking_lot::Mutex;
use tokio::{net::TcpStream, time::timeout};

use crate::{app::App, listen::is_out_of_files, workers::Pulse};

/// How often the core is asked for probes that are due.
const ROUND: Duration = Duration::from_millis(100);

/// The checks of this node and how they stand.
#[derive(Debug, Default)]
pub struct Health {
    pub checks: Mutex<HealthChecks>,
}

/// Something the worker waits for.
enum Done {
    Probed { target: TargetId, outcome: ProbeOutcome, took: Duration },
    Written,
}

/// Starts the worker.
pub fn start(app: &Arc<App>) {
    let it = Arc::clone(app);
    app.workers.spawn("health checks", move |pulse| run(Arc::clone(&it), pulse));
}

async fn run(app: Arc<App>, pulse: Arc<Pulse>) {
    // A worker that died left probes without an end; a fresh start probes everything anew.
    *app.health.checks.lock() = HealthChecks::default();
    let mut dice = Dice::new();
    let mut ticks = tokio::time::interval(ROUND);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut waiting: VecDeque<Probe> = VecDeque::new();
    let mut under_way: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let now = app.clock.now();
                let due = app.health.checks.lock().due(&app.naming, &mut |below| dice.roll(below), now);
                waiting.extend(due);
                pulse.beat();
            }
            Some(done) = under_way.next() => {
                if let Some(command) = finished(&app, done) {
                    under_way.push(write(Arc::clone(&app), command).boxed());
                }
            }
        }
        while under_way.len() < HEALTH_PROBES as usize {
            let Some(probe) = waiting.pop_front() else { break };
            app.metrics.health.count(&probe.checker);
            under_way.push(carry_out(probe).boxed());
        }
    }
}

fn finished(app: &App, done: Done) -> Option<NamingCommand> {
    let Done::Probed { target, outcome, took } = done else { return None };
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    app.health.checks.lock().finish(&app.naming, &target, &outcome, took, app.clock.now())
}

async fn write(app: Arc<App>, command: NamingCommand) -> Done {
    if let Err(error) = app.write_naming(command).await {
        tracing::warn!(%error, "a changed health could not be written; the next probes will ask again");
    }
    Done::Written
}

async fn carry_out(probe: Probe) -> Done {
    let begun = Instant::now();
    let outcome = match &probe.checker {
        HealthChecker::Http { path, headers, .. } => http::probe(&probe, path, headers).await,
        HealthChecker::Mysql { user, pwd, cmd } => {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            mysql::probe(&probe, &text(user), &text(pwd), &text(cmd)).await
        }
        HealthChecker::Tcp | HealthChecker::None => tcp::probe(&probe).await,
    };
    Done::Probed { target: probe.target, outcome, took: begun.elapsed() }
}

/// Connects to the probe's address within its time. Host names are looked up; brackets around IPv6 addresses are fine.
async fn connect(probe: &Probe) -> Result<TcpStream, ProbeOutcome> {
    let Ok(port) = u16::try_from(probe.port) else {
        return Err(ProbeOutcome::Unreachable(format!("no such port: {}", probe.port)));
    };
    let host = probe.ip.trim_matches(['[', ']']);
    let connecting = async {
        match host.parse::<IpAddr>() {
            Ok(ip) => TcpStream::connect(SocketAddr::new(ip, port)).await,
            Err(_) => TcpStream::connect((host, port)).await,
        }
    };
    match timeout(Duration::from_millis(probe.connect_timeout_ms), connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if is_out_of_files(&error) => Err(ProbeOutcome::NotMade),
        Ok(Err(error)) => Err(ProbeOutcome::Unreachable(error.to_string())),
        Err(_) => Err(ProbeOutcome::TimedOut),
    }
}

/// Numbers that need not be good, only different from node to node.
struct Dice {
    state: u64,
}

impl Dice {
    fn new() -> Self {
        Self { state: RandomState::new().build_hasher().finish() | 1 }
    }

    /// Below `below`, 0 for 0.
    fn roll(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.checked_rem(below).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::ServiceKey;

    use super::*;

    pub(super) fn probe_of(port: u16, checker: HealthChecker) -> Probe {
        Probe {
            target: TargetId { service: ServiceKey::new("", "G", "s"), ip: "127.0.0.1".into(), port: port.into() },
            ip: "127.0.0.1".into(),
            port: port.into(),
            checker,
            connect_timeout_ms: 2_000,
            read_timeout_ms: 2_000,
        }
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(matches!(tcp::probe(&probe_of(port, HealthChecker::Tcp)).await, ProbeOutcome::Unreachable(_)));
    }

    #[tokio::test]
    async fn listening_ports_connect_by_address_bracketed_address_and_name() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for ip in ["127.0.0.1", "[127.0.0.1]", "localhost"] {
            let probe = Probe { ip: ip.into(), ..probe_of(port, HealthChecker::Tcp) };
            assert_eq!(tcp::probe(&probe).await, ProbeOutcome::Connected, "{ip}");
        }
        if let Ok(six) = tokio::net::TcpListener::bind("[::1]:0").await {
            let port = six.local_addr().unwrap().port();
            for ip in ["::1", "[::1]"] {
                let probe = Probe { ip: ip.into(), ..probe_of(port, HealthChecker::Tcp) };
                assert_eq!(tcp::probe(&probe).await, ProbeOutcome::Connected, "{ip}");
            }
        }
    }

    #[tokio::test]
    async fn a_port_out_of_range_is_unreachable() {
        let probe = Probe { port: 70_000, ..probe_of(1, HealthChecker::Tcp) };
        assert!(matches!(tcp::probe(&probe).await, ProbeOutcome::Unreachable(text) if text.contains("70000")));
    }

    #[test]
    fn dice_stay_below() {
        let mut dice = Dice::new();
        assert!((0..1_000).all(|_| dice.roll(7) < 7));
        assert_eq!(dice.roll(0), 0);
    }
}

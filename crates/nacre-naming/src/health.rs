//! Active checks of persistent instances: when to probe whom, and what a probe's outcome means (spec/naming.md 10).
//!
//! Pure: the server's worker asks [`HealthChecks::due`] for probes, does the I/O, and hands the outcomes to
//! [`HealthChecks::finish`], whose command goes down the write road.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use nacre_model::{Now, ServiceKey};

use crate::{ClientId, ClusterMetadata, HealthChecker, HealthParams, Naming, NamingCommand, Switches};

/// First interval of a new target, milliseconds, and the time until its first probe: an application may register before it
/// listens, and its operator say a moment later how it is to be probed. A random part is added so that a restart does not
/// probe all at once.
const FIRST_INTERVAL_MS: u64 = 2_000;
/// No target is probed more often, milliseconds, whatever the switches say.
const SHORTEST_INTERVAL_MS: i64 = 500;

/// A probe to carry out now.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// To be handed back with the outcome.
    pub target: TargetId,
    pub ip: Arc<str>,
    /// The instance's port, or the cluster's check port.
    pub port: i32,
    /// Never [`HealthChecker::None`].
    pub checker: HealthChecker,
    pub connect_timeout_ms: u64,
    /// Of reading an HTTP answer or running a statement.
    pub read_timeout_ms: u64,
}

/// A persistent instance that is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId {
    pub service: ServiceKey,
    pub ip: Arc<str>,
    pub port: i32,
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeOutcome {
    /// TCP: connected.
    Connected,
    /// HTTP: an answer with this status.
    Status(u16),
    /// MySQL: the statement ran; `read_only` when it asked for that variable and the answer was `ON`.
    Queried { read_only: bool },
    /// No connection or no answer in time.
    TimedOut,
    /// The connection was refused or could not be made.
    Unreachable(String),
    /// MySQL: the server refused the login or the statement.
    SqlError(String),
    /// Anything else that went wrong.
    Failed(String),
    /// This server could not ask (out of file handles): says nothing about the instance.
    NotMade,
}

/// A persistent instance and how its cluster is checked, as the registry has it.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckTarget {
    pub id: TargetId,
    pub cluster: ClusterMetadata,
    pub healthy: bool,
}

/// Progress of one target, for diagnosis.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckState {
    pub interval_ms: u64,
    pub ok_count: i32,
    pub fail_count: i32,
    /// Reason of the last outcome, e.g. `tcp:ok+`.
    pub last: String,
    /// Round trip of the last probe.
    pub last_rt_ms: u64,
}

#[derive(Debug)]
struct Target {
    cluster: ClusterMetadata,
    due: u64,
    in_flight: bool,
    state: CheckState,
}

/// All targets of this node.
#[derive(Debug, Default)]
pub struct HealthChecks {
    /// Version of the registry's persistent part that the targets are in line with.
    version: Option<u64>,
    targets: HashMap<TargetId, Target>,
    queue: BTreeSet<(u64, TargetId)>,
}

/// What an outcome means.
enum Verdict {
    Ok,
    /// Counts; enough in a row turn the instance unhealthy.
    Fail,
    /// Turns it unhealthy at once.
    FailNow,
}

/// What an outcome says about the pace of checks.
#[derive(Clone, Copy)]
enum Pace {
    RoundTrip,
    /// The other side is slow or busy: as if the round trip had taken twice the interval.
    Slower,
    Slowest,
}

impl HealthChecks {
    /// Probes that are due; those whose last one has not come back yet only slow down. `random(n)` answers a number
    /// below `n`. To be called every 100 ms or so.
    pub fn due(&mut self, naming: &Naming, random: &mut dyn FnMut(u64) -> u64, now: Now) -> Vec<Probe> {
        self.follow(naming, random, now);
        let switches = naming.switches();
        let mut probes = Vec::new();
        while let Some((due, _)) = self.queue.first()
            && *due <= now.mono
        {
            let Some((_, id)) = self.queue.pop_first() else { break };
            let Some(target) = self.targets.get_mut(&id) else { continue };
            let checker = &target.cluster.health_checker;
            if target.in_flight {
                adapt(&mut target.state, checker, &switches, Pace::Slower, 0);
            } else if switches.health_check_enabled && *checker != HealthChecker::None {
                target.in_flight = true;
                let port = if target.cluster.use_instance_port { id.port } else { target.cluster.check_port };
                let (connect_timeout_ms, read_timeout_ms) = match checker {
                    HealthChecker::Http { .. } => (5_000, 10_000),
                    _ => (500, 500),
                };
                probes.push(Probe {
                    target: id.clone(),
                    ip: Arc::clone(&id.ip),
                    port,
                    checker: checker.clone(),
                    connect_timeout_ms,
                    read_timeout_ms,
                });
            }
            target.due = now.mono + target.state.interval_ms;
            self.queue.insert((target.due, id));
        }
        probes
    }

    /// Takes a probe's outcome; answers the command that tells the registry of a changed opinion.
    pub fn finish(
        &mut self,
        naming: &Naming,
        id: &TargetId,
        outcome: &ProbeOutcome,
        round_trip_ms: u64,
        now: Now,
    ) -> Option<NamingCommand> {
        let target = self.targets.get_mut(id)?;
        target.in_flight = false;
        let switches = naming.switches();
        let checker = target.cluster.health_checker.clone();
        let judged = (*outcome != ProbeOutcome::NotMade).then(|| judge(&checker, outcome));
        if let Some((_, pace, _)) = &judged {
            adapt(&mut target.state, &checker, &switches, *pace, round_trip_ms);
        }
        // The next probe follows one interval after this one ended.
        self.queue.remove(&(target.due, id.clone()));
        target.due = now.mono + target.state.interval_ms;
        self.queue.insert((target.due, id.clone()));
        let (verdict, _, reason) = judged?;

        let state = &mut target.state;
        state.last_rt_ms = round_trip_ms;
        state.last.clone_from(&reason);
        let healthy = naming.persistent_health(id)?;
        let enough = |count: i32| count >= switches.check_times;
        let changed = match verdict {
            Verdict::Ok => {
                state.fail_count = 0;
                state.ok_count = if healthy { 0 } else { state.ok_count + 1 };
                !healthy && enough(state.ok_count)
            }
            Verdict::Fail => {
                state.ok_count = 0;
                state.fail_count = if healthy { state.fail_count + 1 } else { 0 };
                healthy && enough(state.fail_count)
            }
            Verdict::FailNow => {
                state.ok_count = 0;
                state.fail_count = 0;
                healthy
            }
        };
        if !changed || !switches.health_check_enabled {
            return None;
        }
        (state.ok_count, state.fail_count) = (0, 0);
        let TargetId { service, ip, port } = id.clone();
        Some(NamingCommand::ChangeHealth { service, ip, port, healthy: !healthy, reason })
    }

    /// How checks of a target stand.
    pub fn state(&self, id: &TargetId) -> Option<&CheckState> {
        self.targets.get(id).map(|target| &target.state)
    }

    pub fn len(&self) -> usize {
        self.targets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Brings the targets in line with the registry when its persistent part has changed.
    fn follow(&mut self, naming: &Naming, random: &mut dyn FnMut(u64) -> u64, now: Now) {
        let version = naming.persistent_version();
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        let wanted: HashMap<TargetId, ClusterMetadata> =
            naming.check_targets().into_iter().map(|target| (target.id, target.cluster)).collect();
        let (targets, queue) = (&mut self.targets, &mut self.queue);
        targets.retain(|id, target| {
            let keep = wanted.contains_key(id);
            if !keep {
                queue.remove(&(target.due, id.clone()));
            }
            keep
        });
        let max = u64::try_from(naming.switches().tcp_health_params.max).unwrap_or(0).max(1);
        for (id, cluster) in wanted {
            if let Some(target) = targets.get_mut(&id) {
                target.cluster = cluster;
                continue;
            }
            let widest = random(max).max(1);
            let spread = random(widest);
            let state = CheckState {
                interval_ms: FIRST_INTERVAL_MS + spread,
                ok_count: 0,
                fail_count: 0,
                last: String::new(),
                last_rt_ms: 0,
            };
            let due = now.mono + state.interval_ms;
            queue.insert((due, id.clone()));
            targets.insert(id, Target { cluster, due, in_flight: false, state });
        }
    }
}

/// `n = factor * n + (1 - factor) * rt`, within the bounds of the checker's kind.
fn adapt(state: &mut CheckState, checker: &HealthChecker, switches: &Switches, pace: Pace, round_trip_ms: u64) {
    let HealthParams { max, min, factor } = match checker {
        HealthChecker::Http { .. } => switches.http_health_params,
        HealthChecker::Mysql { .. } => switches.mysql_health_params,
        HealthChecker::Tcp | HealthChecker::None => switches.tcp_health_params,
    };
    let normal = state.interval_ms as f64;
    let taken = match pace {
        Pace::RoundTrip => round_trip_ms as f64,
        Pace::Slower => normal * 2.0,
        Pace::Slowest => max as f64,
    };
    let next = factor * normal + (1.0 - factor) * taken;
    // Bounds come from an operator: the lower one wins if they contradict each other. Those of MySQL are not looked at when
    // they are set.
    state.interval_ms = (next as i64).min(max).max(min).max(SHORTEST_INTERVAL_MS) as u64;
}

fn judge(checker: &HealthChecker, outcome: &ProbeOutcome) -> (Verdict, Pace, String) {
    use ProbeOutcome::{Connected, Queried, SqlError, Status, TimedOut, Unreachable};
    match (checker, outcome) {
        (HealthChecker::Http { expected_response_code, .. }, Status(status)) => {
            let reason = format!("http:{status}");
            // 200 is healthy whatever is expected: the reference never looked at the expected code.
            if *status == 200 || i32::from(*status) == *expected_response_code {
                (Verdict::Ok, Pace::RoundTrip, reason)
            } else if matches!(status, 503 | 302) {
                (Verdict::Fail, Pace::Slower, reason)
            } else {
                (Verdict::FailNow, Pace::Slowest, reason)
            }
        }
        (HealthChecker::Http { .. }, Unreachable(text)) => {
            (Verdict::FailNow, Pace::Slowest, format!("http:unable2connect:{text}"))
        }
        (HealthChecker::Http { .. }, TimedOut) => (Verdict::Fail, Pace::Slower, "http:error:timeout".into()),
        (HealthChecker::Http { .. }, other) => (Verdict::Fail, Pace::Slower, format!("http:error:{}", text_of(other))),

        (HealthChecker::Mysql { .. }, Queried { read_only: false }) => {
            (Verdict::Ok, Pace::RoundTrip, "mysql:+ok".into())
        }
        (HealthChecker::Mysql { .. }, TimedOut) => (Verdict::Fail, Pace::Slower, "mysql:timeout:".into()),
        (HealthChecker::Mysql { .. }, SqlError(text)) => (Verdict::FailNow, Pace::Slowest, format!("mysql:{text}")),
        (HealthChecker::Mysql { .. }, other) => {
            (Verdict::Fail, Pace::Slowest, format!("mysql:error:{}", text_of(other)))
        }

        (_, Connected) => (Verdict::Ok, Pace::RoundTrip, "tcp:ok+".into()),
        (_, TimedOut) => (Verdict::Fail, Pace::Slower, "tcp:timeout".into()),
        (_, other) => (Verdict::FailNow, Pace::Slowest, format!("tcp:unable2connect:{}", text_of(other))),
    }
}

fn text_of(outcome: &ProbeOutcome) -> String {
    match outcome {
        ProbeOutcome::Unreachable(text) | ProbeOutcome::SqlError(text) | ProbeOutcome::Failed(text) => text.clone(),
        ProbeOutcome::Queried { read_only: true } => "current node is slave!".into(),
        other => format!("{other:?}"),
    }
}

impl Naming {
    /// Rises whenever a persistent instance or the metadata of a service changes.
    pub fn persistent_version(&self) -> u64 {
        self.persistent_version.load(std::sync::atomic::Ordering::Acquire)
    }

    pub(crate) fn persistent_changed(&self) {
        self.persistent_version.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
    }

    /// All persistent instances with the checker of their cluster (TCP on the instance's port when nothing is said).
    pub fn check_targets(&self) -> Vec<CheckTarget> {
        let clients: Vec<_> = self.clients.all().into_iter().filter(|client| !client.id.is_ephemeral()).collect();
        let mut targets = Vec::with_capacity(clients.len());
        for client in clients {
            let publications = client.links.lock().publications.items();
            for publication in publications {
                let slot = Arc::clone(&publication.slot);
                let state = slot.state.lock();
                let entry = publication.entry.lock();
                targets.extend(entry.instances.iter().map(|instance| {
                    CheckTarget {
                        id: TargetId { service: slot.key.clone(), ip: Arc::clone(&instance.ip), port: instance.port },
                        cluster: state
                            .metadata
                            .as_ref()
                            .and_then(|metadata| metadata.clusters.get(&instance.cluster).cloned())
                            .unwrap_or_default(),
                        healthy: instance.healthy,
                    }
                }));
            }
        }
        targets
    }

    /// Whether a persistent instance is held to be healthy; `None` when it is gone.
    pub fn persistent_health(&self, id: &TargetId) -> Option<bool> {
        let slot = self.find(&id.service)?;
        let client = ClientId::IpPort { ip: Arc::clone(&id.ip), port: id.port, ephemeral: false };
        let publication = Arc::clone(&slot.state.lock().publishers.get(&client)?.0);
        let entry = publication.entry.lock();
        entry.instances.first().map(|instance| instance.healthy)
    }
}

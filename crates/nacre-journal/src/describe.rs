//! The English of every cause, in one place. Views (events API, logs, doctor, `why`) print these and add nothing.
//!
//! A [`Sentence`] has two halves: `what` happened, in a form that reads well before "12 s ago", and `why`, the part after
//! the colon. "removed 12 s ago: connection closed by peer (RST) after 3 min 4 s".

use nacre_model::{
    Cause, Event, Subject,
    event::{Disconnect, Removal},
};

/// One cause in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    pub what: String,
    /// Empty when `what` says it all.
    pub why: String,
}

impl Sentence {
    fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }

    fn plain(what: impl Into<String>) -> Self {
        Self::new(what, "")
    }

    /// `what: why`.
    pub fn text(&self) -> String {
        if self.why.is_empty() { self.what.clone() } else { format!("{}: {}", self.what, self.why) }
    }

    /// `what AGE ago: why`.
    pub fn text_ago(&self, age_ms: i64) -> String {
        let ago = ago(age_ms);
        if self.why.is_empty() { format!("{} {ago}", self.what) } else { format!("{} {ago}: {}", self.what, self.why) }
    }
}

/// What an event says, with its subject in front: "instance 10.0.0.1:8080:DEFAULT of DEFAULT_GROUP@@orders removed: …".
pub fn describe(event: &Event) -> String {
    let subject = subject(&event.subject);
    let mut text = sentence(&event.cause).text();
    if let Cause::InstanceRemoved { removal: Removal::ReplacedBy { .. } } = &*event.cause
        && !event.subject.client_text().is_some_and(|client| client.contains('#'))
    {
        text.push_str("; a connection has one address of a service, several are registered as a batch");
    }
    if subject.is_empty() { text } else { format!("{subject}: {text}") }
}

/// Whom an event is about; empty for the server itself.
pub fn subject(subject: &Subject) -> String {
    let mut parts = Vec::new();
    if let Some(instance) = &subject.instance {
        parts.push(format!("instance {instance}"));
    }
    if let Some(service) = &subject.service {
        parts.push(format!("service {}@@{} in {}", service.group, service.name, service.namespace));
    }
    if let Some(config) = &subject.config {
        parts.push(format!("config {} of {} in {}", config.data_id, config.group, config.namespace));
    }
    if let Some(client) = &subject.client {
        parts.push(format!("client {client}"));
    }
    parts.join(", ")
}

/// The sentence of a cause.
pub fn sentence(cause: &Cause) -> Sentence {
    use Cause as C;
    match cause {
        C::ClientConnected { version, module, app } => {
            let client = join(&[version, &with("for ", module), &with("of ", app)], " ");
            Sentence::new("connected", client)
        }
        C::HandshakeRefused { reason } => Sentence::new("handshake refused", reason),
        C::ClientDisconnected { cause, lived_ms } => {
            Sentence::new("disconnected", format!("{} after {}", disconnect(cause), duration(*lived_ms)))
        }
        C::ClientReset { target } if target.is_empty() => Sentence::plain("told to reconnect to another server"),
        C::ClientReset { target } => Sentence::new("told to reconnect", format!("to {target}")),
        C::TransportShared { version } => Sentence::new(
            "several clients on one connection",
            format!("{version} set up a second stream, pushes go there now; is an HTTP/2 proxy in between?"),
        ),
        C::BeatLate { gap_ms, expected_ms } => Sentence::new(
            "beat late",
            format!("nothing for {}, a beat is expected every {}", duration(*gap_ms), duration(*expected_ms)),
        ),
        C::BeatResumed { gap_ms } => {
            Sentence::new("beats resumed", format!("after a silence of {}", duration(*gap_ms)))
        }
        C::BeatUnknownInstance { light, from } => {
            let done = if *light {
                "a light beat carries no instance, the client was told to register again"
            } else {
                "registered again from the full beat"
            };
            let sender = if from.is_empty() { String::new() } else { format!("sent by {from}; ") };
            Sentence::new("beat of an unknown instance", format!("{sender}{done}"))
        }
        C::BeatMismatch { field, expected, got } => {
            Sentence::new("beat does not match the instance", format!("{field} is {expected:?}, the beat says {got:?}"))
        }
        C::InstanceRegistered { how, replaced: true } => Sentence::new("registered again", &**how),
        C::InstanceRegistered { how, replaced: false } => Sentence::new("registered", &**how),
        C::InstanceUnhealthy { cause, silent_ms: 0, .. } => Sentence::new("became unhealthy", cause),
        C::InstanceUnhealthy { cause, silent_ms, .. } => {
            Sentence::new("became unhealthy", join(&[cause, &format!("silent for {}", duration(*silent_ms))], ", "))
        }
        C::InstanceHealthy { cause } => Sentence::new("became healthy", cause),
        C::InstanceRemoved { removal } => Sentence::new("removed", self::removal(removal)),
        C::InstanceShadowed { by } => {
            Sentence::new("published by a second client", format!("{by} publishes the same ip, port and cluster"))
        }
        C::OperatorMetadata { enabled, weight } => Sentence::new(
            "changed by an operator",
            format!("{}, weight {weight}", if *enabled { "enabled" } else { "disabled" }),
        ),
        C::NothingChanged { call, reason } => Sentence::new(format!("{call} accepted, nothing changed"), reason),
        C::Refused { call, code, reason } => Sentence::new(format!("{call} refused with {code}"), reason),
        C::Suspicious { call, reason } => Sentence::new(format!("{call} done, but it looks wrong"), reason),
        other => service_and_below(other),
    }
}

/// Services, pushes and configs.
fn service_and_below(cause: &Cause) -> Sentence {
    use Cause as C;
    match cause {
        C::ServiceCreated { by } => Sentence::new("service created", with("by ", by)),
        C::ServiceUpdated => Sentence::plain("service settings changed"),
        C::ServiceRemoved { by } => Sentence::new("service removed", with("by ", by)),
        C::ProtectionReached { healthy, total, threshold } => Sentence::new(
            "protection threshold reached",
            format!(
                "{healthy} of {total} instances are healthy, the threshold is {threshold}; all are answered as healthy"
            ),
        ),
        C::ProtectionCleared => Sentence::new("protection threshold cleared", "enough instances are healthy again"),
        C::BrakeOn { expiring, total } => Sentence::new(
            "removals held back",
            format!(
                "{expiring} of {total} instances would expire at once, which looks like a fault of the network or of this server"
            ),
        ),
        C::BrakeOff => Sentence::plain("removals go on"),
        C::Subscribed => Sentence::plain("subscribed to changes"),
        C::Unsubscribed => Sentence::plain("unsubscribed from changes"),
        C::PushSent { request } => Sentence::new("push sent", request),
        C::PushAcked { latency_ms } => Sentence::new("push acknowledged", format!("after {}", duration(*latency_ms))),
        C::PushFailed { reason, attempt } => Sentence::new(format!("push failed, attempt {attempt}"), reason),
        C::PushGaveUp { attempts } => {
            Sentence::new("push given up", format!("no acknowledgement in {attempts} attempts"))
        }
        C::ConfigPublished { md5, by, from, gray } => {
            Sentence::new(published(gray), join(&[&format!("md5 {md5}"), &with("by ", by), &with("from ", from)], ", "))
        }
        C::ConfigRemoved { by, from, gray } => {
            let what =
                if gray.is_empty() { "config removed".to_owned() } else { format!("gray version {gray} removed") };
            Sentence::new(what, join(&[&with("by ", by), &with("from ", from)], ", "))
        }
        C::CasConflict { expected, actual } => Sentence::new(
            "publish refused by its md5 condition",
            format!("the caller expects {}, the config has {}", or_none(expected), or_none(actual)),
        ),
        C::ListenerNotified { latency_ms } => {
            Sentence::new("listener notified", format!("{} after the change", duration(*latency_ms)))
        }
        C::ListenerStale { md5 } => {
            Sentence::new("listener is stale", format!("still has {} after it was notified", or_none(md5)))
        }
        C::NamespaceChanged { id, what } => Sentence::new(format!("namespace {id} changed"), what),
        other => server(other),
    }
}

/// Consensus, store and the process itself.
fn server(cause: &Cause) -> Sentence {
    use Cause as C;
    match cause {
        C::LeaderElected { term, node } => Sentence::new("leader elected", format!("node {node} in term {term}")),
        C::LeaderLost { reason } => Sentence::new("leader lost", reason),
        C::LeaderBeatFailed { peer, reason } => Sentence::new(format!("leader could not reach node {peer}"), reason),
        C::FsyncSlow { ms } => Sentence::new(
            "disk slow",
            format!("one fsync of the log took {}; every durable write waited", duration(*ms)),
        ),
        C::WriteFailed { reason } => Sentence::new("durable writes fail", reason),
        C::WriteRecovered { failing_ms } => {
            Sentence::new("durable writes work again", format!("after {}", duration(*failing_ms)))
        }
        C::LogTailCut { file, bytes } => Sentence::new(
            "log tail cut",
            format!("{bytes} bytes at the end of {file} belong to a write that was never acknowledged"),
        ),
        C::SnapshotTaken { index, ms } => {
            Sentence::new("database checkpointed", format!("up to log index {index} in {}", duration(*ms)))
        }
        C::LogPurged { upto } => Sentence::new("log purged", format!("up to index {upto}")),
        C::StorePoisoned { reason } => Sentence::new("writes stopped until a restart", reason),
        C::StoreRecovered { tries } => {
            Sentence::new("the database takes writes again", format!("after {tries} failed tries"))
        }
        C::LimitHit { limit, value } => Sentence::new(format!("limit {limit} hit"), format!("at {value}")),
        C::ServerStalled { ms } => Sentence::new(
            "server stalled",
            format!("this process did not run for {}; the time is not held against clients", duration(*ms)),
        ),
        C::ClockStepped { by_ms } => {
            let way = if *by_ms < 0 { "back" } else { "forward" };
            Sentence::new("clock stepped", format!("{way} by {}", duration(by_ms.unsigned_abs())))
        }
        C::ServerStarted { version } => Sentence::new("server started", with("version ", version)),
        C::ServerStopping { reason } => Sentence::new("server stopping", reason),
        C::WorkerRestarted { worker, reason } => Sentence::new(format!("worker {worker} restarted"), reason),
        C::SwitchChanged { entry, value } => Sentence::new(format!("switch {entry} changed"), format!("now {value}")),
        C::SettingChanged { key, value, by } => {
            Sentence::new(format!("{key} changed"), format!("now {value}, by {by}"))
        }
        C::SettingRefused { key, reason } => Sentence::new(format!("a change of {key} was refused"), reason),
        C::ConfigsReloaded { changed: 0 } => {
            Sentence::new("configurations read anew from the database", "nothing differed from what was served")
        }
        C::ConfigsReloaded { changed } => Sentence::new(
            "configurations read anew from the database",
            format!("{changed} differed from what was served"),
        ),
        C::UnknownProtocol { first_bytes } => {
            Sentence::new("unknown protocol", format!("the connection began with {first_bytes}"))
        }
        C::JournalTailCut { file, bytes } => Sentence::new(
            "journal's tail cut",
            format!("{bytes} bytes at the end of {file} were written half when the process ended"),
        ),
        C::JournalDamaged { file, bytes } => Sentence::new(
            "journal damaged",
            format!("{bytes} bytes inside {file} are not what was written; what is intact is still read"),
        ),
        C::JournalDiskFailed { reason } => {
            Sentence::new("the journal is not kept on disk", format!("{reason}; in memory it goes on"))
        }
        C::JournalDiskRecovered { lost } => {
            Sentence::new("the journal is kept on disk again", format!("{lost} events between are not on disk"))
        }
        C::TracesUndelivered { endpoint, reason } => {
            Sentence::new("traces are not delivered", format!("{endpoint}: {reason}"))
        }
        C::TracesDelivered { lost } => {
            Sentence::new("traces are delivered again", format!("{lost} spans between are lost"))
        }
        C::FindingAppeared { code, id, severity, cause } => {
            Sentence::new(format!("{severity} finding {code} ({id})"), &**cause)
        }
        C::FindingCleared { code, id, lasted_ms } => {
            Sentence::new(format!("finding {code} ({id}) cleared"), format!("after {}", duration(*lasted_ms)))
        }
        // Everything above: listed so that a new variant does not compile without its sentence.
        C::ClientConnected { .. }
        | C::HandshakeRefused { .. }
        | C::ClientDisconnected { .. }
        | C::ClientReset { .. }
        | C::TransportShared { .. }
        | C::BeatLate { .. }
        | C::BeatResumed { .. }
        | C::BeatUnknownInstance { .. }
        | C::BeatMismatch { .. }
        | C::InstanceRegistered { .. }
        | C::InstanceUnhealthy { .. }
        | C::InstanceHealthy { .. }
        | C::InstanceRemoved { .. }
        | C::InstanceShadowed { .. }
        | C::OperatorMetadata { .. }
        | C::NothingChanged { .. }
        | C::Refused { .. }
        | C::Suspicious { .. }
        | C::ServiceCreated { .. }
        | C::ServiceUpdated
        | C::ServiceRemoved { .. }
        | C::ProtectionReached { .. }
        | C::ProtectionCleared
        | C::BrakeOn { .. }
        | C::BrakeOff
        | C::Subscribed
        | C::Unsubscribed
        | C::PushSent { .. }
        | C::PushAcked { .. }
        | C::PushFailed { .. }
        | C::PushGaveUp { .. }
        | C::ConfigPublished { .. }
        | C::ConfigRemoved { .. }
        | C::CasConflict { .. }
        | C::ListenerNotified { .. }
        | C::ListenerStale { .. }
        | C::NamespaceChanged { .. } => Sentence::plain(cause.kind()),
    }
}

/// Why a connection ended, as the part of a sentence before "after 3 min".
pub fn disconnect(cause: &Disconnect) -> String {
    match cause {
        Disconnect::ClosedByClient => "connection closed by the client".into(),
        Disconnect::ResetByPeer => "connection closed by peer (RST)".into(),
        Disconnect::DetectionUnanswered { idle_ms, delivered } => {
            let reached = match delivered {
                Some(true) => " although it reached the client's machine",
                Some(false) => ", and it never reached the client's machine",
                None => "",
            };
            let silence = duration(*idle_ms);
            format!("no answer to the detection request after {silence} of silence{reached}, connection closed")
        }
        Disconnect::StreamEnded => "the client ended its stream".into(),
        Disconnect::OverLimit => "closed by this server: over the connection limit,".into(),
        Disconnect::Unreachable => "connection lost: nothing came back from the client's side".into(),
        Disconnect::ServerShutdown => "closed by this server: shutting down,".into(),
        Disconnect::Reloaded => "moved to another server by an operator".into(),
        Disconnect::ProtocolError { detail } => format!("protocol error ({detail}), connection closed"),
        Disconnect::PushUnacknowledged { tries } => {
            format!("closed by this server: {tries} pushes without acknowledgement,")
        }
    }
}

pub fn removal(removal: &Removal) -> String {
    match removal {
        Removal::Deregistered => "its publisher deregistered it".into(),
        Removal::BeatExpired { silent_ms, limit_ms } => {
            format!("no beat for {} (limit {})", duration(*silent_ms), duration(*limit_ms))
        }
        Removal::ConnectionLost { cause, lived_ms } => format!("{} after {}", disconnect(cause), duration(*lived_ms)),
        Removal::ReplacedBy { instance } => format!("its publisher registered {instance} instead"),
        Removal::ClientExpired { silent_ms } => format!("its client was silent for {}", duration(*silent_ms)),
    }
}

/// `3 min 4 s`: the two largest units that matter.
pub fn duration(ms: u64) -> String {
    let (seconds, minutes, hours, days) = (ms / 1000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 if !ms.is_multiple_of(1000) => format!("{seconds}.{} s", ms % 1000 / 100),
        1_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => two(minutes, "min", seconds % 60, "s"),
        3_600_000..86_400_000 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

fn two(big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{big} {big_unit}") } else { format!("{big} {big_unit} {small} {small_unit}") }
}

fn ago(age_ms: i64) -> String {
    if age_ms < 1_000 { "just now".into() } else { format!("{} ago", duration(age_ms.unsigned_abs() / 1000 * 1000)) }
}

fn published(gray: &str) -> String {
    if gray.is_empty() { "config published".into() } else { format!("gray version {gray} published") }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// `prefix` and `text`, or nothing when there is no text.
fn with(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}

fn join(parts: &[&str], separator: &str) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(separator)
}

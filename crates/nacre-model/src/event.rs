//! Events: what happened, to whom, and why. The journal stores them; logs, metrics, the live tail and the doctor are
//! views of them. Nothing may change an instance's, connection's or config's state without one.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use serde::{Deserialize, Serialize};

use crate::{ConfigKey, Instance, Label, ServiceKey};

/// Whom an event is about. Fields that do not apply are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigKey>,
    /// `ip:port:cluster`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Label>,
    /// A connection id, `ip:port#true`, `ip:port#false`, or the address of an HTTP caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Label>,
}

impl Subject {
    pub fn service(key: &ServiceKey) -> Self {
        Self { service: Some(key.clone()), ..Self::default() }
    }

    pub fn config(key: &ConfigKey) -> Self {
        Self { config: Some(key.clone()), ..Self::default() }
    }

    pub fn client(id: impl Into<Label>) -> Self {
        Self { client: Some(id.into()), ..Self::default() }
    }

    pub fn with_instance(mut self, identity: impl Into<Label>) -> Self {
        self.instance = Some(identity.into());
        self
    }

    pub fn with_client(mut self, id: impl Into<Label>) -> Self {
        self.client = Some(id.into());
        self
    }

    pub fn instance_text(&self) -> Option<Cow<'_, str>> {
        self.instance.as_ref().map(Label::text)
    }

    pub fn client_text(&self) -> Option<Cow<'_, str>> {
        self.client.as_ref().map(Label::text)
    }
}

/// One transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Wall clock, milliseconds.
    pub at: i64,
    pub subject: Subject,
    /// Shared where thousands of events have the same.
    pub cause: Arc<Cause>,
    /// What consumers see at the subject's address from now on, where the event changed that. An `instanceRemoved` without
    /// it took the address away. Lists of the past are made from these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Arc<Instance>>,
    /// `lastRefTime` of the service's content after this event: the true order of changes of one service, which the order
    /// of recording need not be. 0 where no content changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Event {
    pub fn new(now: crate::Now, subject: Subject, cause: Cause) -> Self {
        Self { at: now.wall, subject, cause: cause.shared(), shown: None, revision: 0 }
    }

    /// The same, with what consumers see at the address afterwards.
    pub fn showing(mut self, shown: Option<Arc<Instance>>) -> Self {
        self.shown = shown;
        self
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "how")]
pub enum Disconnect {
    /// FIN or GOAWAY: the client said good-bye.
    ClosedByClient,
    /// RST: the client's kernel or something between us cut the connection.
    ResetByPeer,
    /// No answer to a ClientDetectionRequest after this much silence.
    #[serde(rename_all = "camelCase")]
    DetectionUnanswered {
        idle_ms: u64,
        /// Whether the other machine's kernel took the question: then the process is stuck, not the network cut. `None`
        /// where the machine does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delivered: Option<bool>,
    },
    /// The bi-stream ended while TCP was still open.
    StreamEnded,
    OverLimit,
    /// The kernel gave up: nothing came back from the other side (keep-alive or retransmission ran out).
    Unreachable,
    ServerShutdown,
    /// An operator moved the client to another server.
    Reloaded,
    #[serde(rename_all = "camelCase")]
    ProtocolError {
        detail: String,
    },
    /// Pushes were not acknowledged.
    #[serde(rename_all = "camelCase")]
    PushUnacknowledged {
        tries: u32,
    },
}

/// Why an instance left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "why")]
pub enum Removal {
    /// The publisher asked for it.
    Deregistered,
    /// No beat for longer than its delete timeout.
    #[serde(rename_all = "camelCase")]
    BeatExpired { silent_ms: u64, limit_ms: u64 },
    /// Its connection ended.
    #[serde(rename_all = "camelCase")]
    ConnectionLost { cause: Disconnect, lived_ms: u64 },
    /// Its publisher registered another address for the same service.
    #[serde(rename_all = "camelCase")]
    ReplacedBy { instance: String },
    /// The publisher's client object was silent for `nacos.naming.client.expired.time`.
    #[serde(rename_all = "camelCase")]
    ClientExpired { silent_ms: u64 },
}

/// Typed causes. `kind()` is the filter word of the events API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Cause {
    // client
    ClientConnected {
        version: String,
        module: String,
        /// Label `AppName`; blank when the client gave none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        app: String,
    },
    HandshakeRefused {
        reason: String,
    },
    ClientDisconnected {
        cause: Disconnect,
        lived_ms: u64,
    },
    ClientReset {
        target: String,
    },
    /// A second set-up came over a connection whose first stream is still open: pushes go to the second from now on. An
    /// HTTP/2 proxy that puts several clients on one connection looks like this.
    TransportShared {
        version: String,
    },
    // beat
    BeatLate {
        gap_ms: u64,
        expected_ms: u64,
    },
    BeatResumed {
        gap_ms: u64,
    },
    BeatUnknownInstance {
        light: bool,
        /// The address that sent it; empty when unknown.
        #[serde(default)]
        from: String,
    },
    BeatMismatch {
        field: String,
        expected: String,
        got: String,
    },
    // instance
    InstanceRegistered {
        how: Cow<'static, str>,
        replaced: bool,
    },
    InstanceUnhealthy {
        cause: String,
        silent_ms: u64,
        /// Of an instance that beats: how many beats came since it was registered, and the last gaps between them
        /// (milliseconds, oldest first).
        #[serde(default)]
        beats: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gaps: Vec<u32>,
    },
    InstanceHealthy {
        cause: String,
    },
    InstanceRemoved {
        removal: Removal,
    },
    /// Another publisher publishes the same ip:port:cluster.
    InstanceShadowed {
        by: String,
    },
    OperatorMetadata {
        enabled: bool,
        weight: f64,
    },
    /// Accepted, and nothing changed: says why.
    NothingChanged {
        call: String,
        reason: String,
    },
    Refused {
        call: String,
        code: i32,
        reason: String,
    },
    /// Done as asked, but what was asked is probably not what was meant.
    Suspicious {
        call: String,
        reason: String,
    },
    // service
    ServiceCreated {
        by: String,
    },
    ServiceUpdated,
    ServiceRemoved {
        by: String,
    },
    ProtectionReached {
        healthy: u32,
        total: u32,
        threshold: f64,
    },
    ProtectionCleared,
    /// Removals of one service are held back: an implausible share would expire in one tick.
    BrakeOn {
        expiring: u32,
        total: u32,
    },
    BrakeOff,
    Subscribed,
    Unsubscribed,
    // push
    PushSent {
        request: String,
    },
    PushAcked {
        latency_ms: u64,
    },
    PushFailed {
        reason: String,
        attempt: u32,
    },
    PushGaveUp {
        attempts: u32,
    },
    // config
    ConfigPublished {
        md5: Arc<str>,
        by: Arc<str>,
        from: Arc<str>,
        gray: Arc<str>,
    },
    ConfigRemoved {
        by: Arc<str>,
        from: Arc<str>,
        gray: Arc<str>,
    },
    CasConflict {
        expected: String,
        actual: String,
    },
    ListenerNotified {
        latency_ms: u64,
    },
    ListenerStale {
        md5: String,
    },
    NamespaceChanged {
        id: String,
        what: String,
    },
    // consensus and store
    LeaderElected {
        term: u64,
        node: u64,
    },
    LeaderLost {
        reason: String,
    },
    FsyncSlow {
        ms: u64,
    },
    /// A heartbeat or append of this leader did not reach a peer.
    LeaderBeatFailed {
        peer: u64,
        reason: String,
    },
    WriteFailed {
        reason: String,
    },
    /// The log takes writes again after `failing_ms`.
    WriteRecovered {
        failing_ms: u64,
    },
    /// Bytes of a write that was never acknowledged were cut from the log's end at start.
    LogTailCut {
        file: String,
        bytes: u64,
    },
    SnapshotTaken {
        index: u64,
        ms: u64,
    },
    LogPurged {
        upto: u64,
    },
    StorePoisoned {
        reason: String,
    },
    /// The database takes writes again after this many failed tries.
    StoreRecovered {
        tries: u64,
    },
    // overload and self
    LimitHit {
        limit: String,
        value: u64,
    },
    ServerStalled {
        ms: u64,
    },
    ClockStepped {
        by_ms: i64,
    },
    ServerStarted {
        version: String,
    },
    ServerStopping {
        reason: String,
    },
    WorkerRestarted {
        worker: String,
        reason: String,
    },
    SwitchChanged {
        entry: String,
        value: String,
    },
    /// A property or the level of a log, changed while the server runs. `by` says where from.
    SettingChanged {
        key: String,
        value: String,
        by: String,
    },
    /// What the file of properties says now cannot be, so the values before it stay in force.
    SettingRefused {
        key: String,
        reason: String,
    },
    /// The configurations were read anew from the database; `changed` versions differed from what was served.
    ConfigsReloaded {
        changed: u64,
    },
    /// Bytes on a port that are no protocol of ours.
    UnknownProtocol {
        first_bytes: String,
    },
    // the journal's own files
    /// The last bytes of a file of the journal were written half when the process ended, and were cut at start.
    JournalTailCut {
        file: String,
        bytes: u64,
    },
    /// Bytes inside a file of the journal are not what was written; what is intact behind them is still read.
    JournalDamaged {
        file: String,
        bytes: u64,
    },
    /// Events are not kept on disk; the journal in memory goes on.
    JournalDiskFailed {
        reason: String,
    },
    /// Events are kept on disk again; so many between are not.
    JournalDiskRecovered {
        lost: u64,
    },
    // traces
    /// The OpenTelemetry collector does not take our spans. Said once; [`Cause::TracesDelivered`] ends it.
    TracesUndelivered {
        endpoint: String,
        reason: String,
    },
    /// The collector takes them again; so many between are lost.
    TracesDelivered {
        lost: u64,
    },
    // doctor
    FindingAppeared {
        code: Box<str>,
        id: Box<str>,
        severity: Box<str>,
        cause: Box<str>,
    },
    FindingCleared {
        code: Box<str>,
        id: Box<str>,
        lasted_ms: u64,
    },
}

/// What most registrations and departures say.
static COMMON: LazyLock<Vec<Arc<Cause>>> = LazyLock::new(|| {
    let registered = |how: &'static str, replaced| Cause::InstanceRegistered { how: how.into(), replaced };
    let ways = ["grpc", "grpc batch", "http", "beat"].into_iter();
    let registrations = ways.flat_map(|how| [registered(how, false), registered(how, true)]);
    let left = Cause::InstanceRemoved { removal: Removal::Deregistered };
    registrations.chain([left, Cause::Subscribed, Cause::Unsubscribed]).map(Arc::new).collect()
});

impl Cause {
    /// The cause behind a word, which common ones share.
    fn shared(self) -> Arc<Cause> {
        let common = match self {
            Self::InstanceRegistered { .. }
            | Self::InstanceRemoved { removal: Removal::Deregistered }
            | Self::Subscribed
            | Self::Unsubscribed => COMMON.iter().find(|known| ***known == self),
            _ => None,
        };
        common.map_or_else(|| Arc::new(self), Arc::clone)
    }
}

macro_rules! kinds {
    ($($variant:ident = $word:literal;)*) => {
        /// All kinds, in the order of [`Cause`]; `Cause::ordinal` indexes it.
        pub const KINDS: &[&str] = &[$($word),*];

        #[allow(dead_code)]
        enum Ordinal { $($variant),* }

        impl Cause {
            /// The `kind` word of the JSON form, e.g. `instanceRemoved`.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $word),* }
            }

            /// Place in [`KINDS`].
            pub fn ordinal(&self) -> usize {
                match self { $(Self::$variant { .. } => Ordinal::$variant as usize),* }
            }
        }
    };
}

// The word equals the serde tag (a test in nacre-journal compares both for every variant).
kinds! {
    ClientConnected = "clientConnected";
    HandshakeRefused = "handshakeRefused";
    ClientDisconnected = "clientDisconnected";
    ClientReset = "clientReset";
    TransportShared = "transportShared";
    BeatLate = "beatLate";
    BeatResumed = "beatResumed";
    BeatUnknownInstance = "beatUnknownInstance";
    BeatMismatch = "beatMismatch";
    InstanceRegistered = "instanceRegistered";
    InstanceUnhealthy = "instanceUnhealthy";
    InstanceHealthy = "instanceHealthy";
    InstanceRemoved = "instanceRemoved";
    InstanceShadowed = "instanceShadowed";
    OperatorMetadata = "operatorMetadata";
    NothingChanged = "nothingChanged";
    Refused = "refused";
    Suspicious = "suspicious";
    ServiceCreated = "serviceCreated";
    ServiceUpdated = "serviceUpdated";
    ServiceRemoved = "serviceRemoved";
    ProtectionReached = "protectionReached";
    ProtectionCleared = "protectionCleared";
    BrakeOn = "brakeOn";
    BrakeOff = "brakeOff";
    Subscribed = "subscribed";
    Unsubscribed = "unsubscribed";
    PushSent = "pushSent";
    PushAcked = "pushAcked";
    PushFailed = "pushFailed";
    PushGaveUp = "pushGaveUp";
    ConfigPublished = "configPublished";
    ConfigRemoved = "configRemoved";
    CasConflict = "casConflict";
    ListenerNotified = "listenerNotified";
    ListenerStale = "listenerStale";
    NamespaceChanged = "namespaceChanged";
    LeaderElected = "leaderElected";
    LeaderLost = "leaderLost";
    FsyncSlow = "fsyncSlow";
    LeaderBeatFailed = "leaderBeatFailed";
    WriteFailed = "writeFailed";
    WriteRecovered = "writeRecovered";
    LogTailCut = "logTailCut";
    SnapshotTaken = "snapshotTaken";
    LogPurged = "logPurged";
    StorePoisoned = "storePoisoned";
    StoreRecovered = "storeRecovered";
    LimitHit = "limitHit";
    ServerStalled = "serverStalled";
    ClockStepped = "clockStepped";
    ServerStarted = "serverStarted";
    ServerStopping = "serverStopping";
    WorkerRestarted = "workerRestarted";
    SwitchChanged = "switchChanged";
    SettingChanged = "settingChanged";
    SettingRefused = "settingRefused";
    ConfigsReloaded = "configsReloaded";
    UnknownProtocol = "unknownProtocol";
    JournalTailCut = "journalTailCut";
    JournalDamaged = "journalDamaged";
    JournalDiskFailed = "journalDiskFailed";
    JournalDiskRecovered = "journalDiskRecovered";
    TracesUndelivered = "tracesUndelivered";
    TracesDelivered = "tracesDelivered";
    FindingAppeared = "findingAppeared";
    FindingCleared = "findingCleared";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_small_and_common_causes_are_shared() {
        assert!(size_of::<Subject>() <= 64, "{}", size_of::<Subject>());
        assert!(size_of::<Event>() <= 96, "{}", size_of::<Event>());
        assert!(size_of::<Cause>() <= 80, "{}", size_of::<Cause>());
        let event = |cause| Event::new(crate::Now::default(), Subject::default(), cause);
        let registered = || event(Cause::InstanceRegistered { how: "http".into(), replaced: true });
        assert!(Arc::ptr_eq(&registered().cause, &registered().cause));
        assert_eq!(*registered().cause, Cause::InstanceRegistered { how: "http".into(), replaced: true });
        let rare = Cause::InstanceRegistered { how: "persistent".into(), replaced: true };
        assert_eq!(*event(rare.clone()).cause, rare);
    }
}

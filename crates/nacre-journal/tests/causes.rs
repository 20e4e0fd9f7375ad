//! Every cause has a kind word, a stable JSON form and a sentence.

use std::collections::BTreeSet;

use nacre_journal::{describe, describe::sentence, duration};
use nacre_model::{
    Cause, ConfigKey, Event, KINDS, Now, ServiceKey, Subject,
    event::{Disconnect, Removal},
};

/// At least one value of every variant.
fn samples() -> Vec<Cause> {
    let text = || "words".to_owned();
    vec![
        Cause::ClientConnected { version: "Nacos-Java-Client:v2.3.2".into(), module: "naming".into(), app: text() },
        Cause::HandshakeRefused { reason: text() },
        Cause::ClientDisconnected { cause: Disconnect::ResetByPeer, lived_ms: 184_000 },
        Cause::ClientReset { target: "10.0.0.2:8848".into() },
        Cause::TransportShared { version: "Nacos-Java-Client:v2.3.2".into() },
        Cause::BeatLate { gap_ms: 9_000, expected_ms: 5_000 },
        Cause::BeatResumed { gap_ms: 21_000 },
        Cause::BeatUnknownInstance { light: true, from: "10.0.0.9".into() },
        Cause::BeatUnknownInstance { light: false, from: String::new() },
        Cause::BeatMismatch { field: "ephemeral".into(), expected: "false".into(), got: "true".into() },
        Cause::InstanceRegistered { how: "register call".into(), replaced: false },
        Cause::InstanceUnhealthy { cause: "no beat".into(), silent_ms: 15_000, beats: 3, gaps: vec![5_000, 5_010] },
        Cause::InstanceHealthy { cause: "beat".into() },
        Cause::InstanceRemoved { removal: Removal::BeatExpired { silent_ms: 30_500, limit_ms: 30_000 } },
        Cause::InstanceShadowed { by: "10.0.0.1:80#true".into() },
        Cause::OperatorMetadata { enabled: false, weight: 2.5 },
        Cause::NothingChanged { call: "register".into(), reason: "same instance".into() },
        Cause::Refused { call: "register".into(), code: 20404, reason: text() },
        Cause::Suspicious { call: "publish".into(), reason: text() },
        Cause::ServiceCreated { by: "console".into() },
        Cause::ServiceUpdated,
        Cause::ServiceRemoved { by: "empty cleaner".into() },
        Cause::ProtectionReached { healthy: 1, total: 4, threshold: 0.5 },
        Cause::ProtectionCleared,
        Cause::BrakeOn { expiring: 90, total: 100 },
        Cause::BrakeOff,
        Cause::Subscribed,
        Cause::Unsubscribed,
        Cause::PushSent { request: "7".into() },
        Cause::PushAcked { latency_ms: 3 },
        Cause::PushFailed { reason: text(), attempt: 2 },
        Cause::PushGaveUp { attempts: 3 },
        Cause::ConfigPublished { md5: "abc".into(), by: "nacos".into(), from: "10.0.0.1".into(), gray: "".into() },
        Cause::ConfigRemoved { by: "".into(), from: "10.0.0.1".into(), gray: "beta".into() },
        Cause::CasConflict { expected: "a".into(), actual: String::new() },
        Cause::ListenerNotified { latency_ms: 2 },
        Cause::ListenerStale { md5: "a".into() },
        Cause::NamespaceChanged { id: "dev".into(), what: "created".into() },
        Cause::LeaderElected { term: 3, node: 1 },
        Cause::LeaderLost { reason: text() },
        Cause::LeaderBeatFailed { peer: 2, reason: "connection refused".into() },
        Cause::FsyncSlow { ms: 700 },
        Cause::WriteFailed { reason: text() },
        Cause::WriteRecovered { failing_ms: 61_000 },
        Cause::LogTailCut { file: "00.log".into(), bytes: 17 },
        Cause::SnapshotTaken { index: 7, ms: 12 },
        Cause::LogPurged { upto: 6 },
        Cause::StorePoisoned { reason: text() },
        Cause::StoreRecovered { tries: 3 },
        Cause::LimitHit { limit: "WRITE_QUEUE".into(), value: 16384 },
        Cause::ServerStalled { ms: 2_000 },
        Cause::ClockStepped { by_ms: -2_000 },
        Cause::ServerStarted { version: "0.1.0".into() },
        Cause::ServerStopping { reason: "SIGTERM".into() },
        Cause::WorkerRestarted { worker: "expiry".into(), reason: text() },
        Cause::SwitchChanged { entry: "pushEnabled".into(), value: "false".into() },
        Cause::SettingChanged { key: "nacre.logging".into(), value: "debug".into(), by: text() },
        Cause::SettingRefused { key: "nacre.logging".into(), reason: text() },
        Cause::ConfigsReloaded { changed: 2 },
        Cause::UnknownProtocol { first_bytes: "16 03 01".into() },
        Cause::JournalTailCut { file: "1.seg".into(), bytes: 18 },
        Cause::JournalDamaged { file: "2.seg".into(), bytes: 19 },
        Cause::JournalDiskFailed { reason: text() },
        Cause::JournalDiskRecovered { lost: 20 },
        Cause::TracesUndelivered { endpoint: "http://collector:4318".into(), reason: text() },
        Cause::TracesDelivered { lost: 21 },
        Cause::FindingAppeared {
            code: "A01".into(),
            id: "A01-1".into(),
            severity: "warning".into(),
            cause: "c".into(),
        },
        Cause::FindingCleared { code: "A01".into(), id: "A01-1".into(), lasted_ms: 4_000 },
    ]
}

#[test]
fn every_kind_has_a_sample_here() {
    let sampled: BTreeSet<&str> = samples().iter().map(Cause::kind).collect();
    let all: BTreeSet<&str> = KINDS.iter().copied().collect();
    assert_eq!(sampled, all);
}

#[test]
fn kind_words_equal_the_json_tag_and_the_ordinal() {
    for cause in samples() {
        assert_eq!(serde_json::to_value(&cause).unwrap()["kind"], cause.kind());
        assert_eq!(KINDS[cause.ordinal()], cause.kind());
    }
}

#[test]
fn the_json_of_every_cause_reads_back() {
    for cause in samples() {
        let text = serde_json::to_string(&cause).unwrap();
        assert_eq!(serde_json::from_str::<Cause>(&text).unwrap(), cause, "{text}");
    }
}

#[test]
fn every_cause_has_a_sentence_of_its_own_with_its_facts() {
    let mut seen = BTreeSet::new();
    for cause in samples() {
        let text = sentence(&cause).text();
        assert!(text.contains(' '), "no sentence: {text}");
        assert_ne!(text, cause.kind());
        assert!(seen.insert(text.clone()), "two causes say {text}");
        // Strings a cause carries are said.
        for value in serde_json::to_value(&cause).unwrap().as_object().unwrap().iter() {
            if let (name, serde_json::Value::String(fact)) = value
                && name != "kind"
            {
                assert!(text.contains(fact.as_str()), "{text} does not say {name} {fact}");
            }
        }
    }
}

#[test]
fn removals_say_who_ended_them() {
    let removed = |removal| sentence(&Cause::InstanceRemoved { removal }).text();
    let lost = |cause| removed(Removal::ConnectionLost { cause, lived_ms: 184_000 });
    assert_eq!(lost(Disconnect::ResetByPeer), "removed: connection closed by peer (RST) after 3 min 4 s");
    assert_eq!(lost(Disconnect::ClosedByClient), "removed: connection closed by the client after 3 min 4 s");
    assert_eq!(
        lost(Disconnect::DetectionUnanswered { idle_ms: 22_000, delivered: Some(true) }),
        "removed: no answer to the detection request after 22 s of silence although it reached the client's machine, connection closed after 3 min 4 s"
    );
    let others = [
        Disconnect::StreamEnded,
        Disconnect::OverLimit,
        Disconnect::ServerShutdown,
        Disconnect::Reloaded,
        Disconnect::ProtocolError { detail: "bad frame".into() },
        Disconnect::PushUnacknowledged { tries: 3 },
    ];
    let texts: BTreeSet<String> = others.into_iter().map(lost).collect();
    assert_eq!(texts.len(), 6);
    assert_eq!(
        removed(Removal::BeatExpired { silent_ms: 30_500, limit_ms: 30_000 }),
        "removed: no beat for 30 s (limit 30 s)"
    );
    assert_eq!(removed(Removal::Deregistered), "removed: its publisher deregistered it");
}

#[test]
fn durations_name_the_two_largest_units() {
    let cases = [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1 s"),
        (1_500, "1.5 s"),
        (30_500, "30 s"),
        (60_000, "1 min"),
        (184_000, "3 min 4 s"),
        (3_600_000, "1 h"),
        (7_500_000, "2 h 5 min"),
        (90_000_000, "1 d 1 h"),
    ];
    for (ms, text) in cases {
        assert_eq!(duration(ms), text);
    }
}

#[test]
fn a_described_event_begins_with_its_subject() {
    let subject = Subject::service(&ServiceKey::new("", "DEFAULT_GROUP", "orders"))
        .with_instance("10.0.0.1:8080:DEFAULT")
        .with_client("10.0.0.1:8080#true");
    let event = Event::new(Now::default(), subject, Cause::BeatResumed { gap_ms: 21_000 });
    assert_eq!(
        describe(&event),
        "instance 10.0.0.1:8080:DEFAULT, service DEFAULT_GROUP@@orders in public, client 10.0.0.1:8080#true: \
         beats resumed: after a silence of 21 s"
    );
    let config = Event::new(
        Now::default(),
        Subject::config(&ConfigKey::new("dev", "G", "app.yaml")),
        Cause::ListenerNotified { latency_ms: 2 },
    );
    assert_eq!(describe(&config), "config app.yaml of G in dev: listener notified: 2 ms after the change");
    let own = Event::new(Now::default(), Subject::default(), Cause::BrakeOff);
    assert_eq!(describe(&own), "removals go on");
}

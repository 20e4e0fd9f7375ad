//! Which lines of which of Nacos's logs an event is. Words that people grep for are Nacos's; what Nacos says and nacre does not
//! know is left out, and what only nacre knows stands behind.

use nacre_journal::describe;
use nacre_model::{Cause, Event, Subject, event::Removal, key::ConfigNames};

use super::ROOT;

/// One entry of a file, with its date and its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub file: &'static str,
    pub text: String,
}

/// `2025-11-25 17:48:02,123`, in universal time.
pub fn date(wall_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(wall_ms).unwrap_or_default().format("%Y-%m-%d %H:%M:%S,%3f").to_string()
}

/// Hands over the lines of an event. A blank line follows each, as in Nacos.
pub fn of(event: &Event, mut write: impl FnMut(Line)) {
    let at = date(event.at);
    let mut say = |file: &'static str, level: &str, text: String| {
        // What clients name must not begin a line of its own.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write(Line { file, text: format!("{at} {level} {text}\n\n") });
    };
    let about = &event.subject;
    let client = about.client.as_deref().unwrap_or_default();
    use Cause as C;
    match &*event.cause {
        C::ClientConnected { version, module, .. } => {
            let connection = format!(
                "new connection registered successfully, connectionId = {client},connection={{clientVersion='{version}', module='{module}'}} "
            );
            say("remote-digest.log", "INFO", connection);
            if module == "naming" {
                say("naming-server.log", "INFO", format!("Client connection {client} connect"));
            }
        }
        C::ClientDisconnected { .. } => {
            say("remote-digest.log", "INFO", format!("[{client}]Connection unregistered successfully. "));
            say("remote.log", "INFO", describe(event));
            let text = format!("Client connection {client} disconnect, remove instances and subscribers");
            say("naming-server.log", "INFO", text);
        }
        C::HandshakeRefused { reason } => {
            say("remote-digest.log", "WARN", format!("[{client}]Connection register fail,reason: {reason}"));
        }
        C::ClientReset { .. } | C::TransportShared { .. } | C::UnknownProtocol { .. } => {
            say("remote.log", "WARN", describe(event));
        }
        C::InstanceHealthy { cause } => {
            let text = format!(
                "serviceName: {} {{POS}} {{IP-ENABLED}} valid: {}, region: unknown, msg: {cause}",
                service(about),
                instance(about)
            );
            say("naming-event.log", "INFO", text);
        }
        C::InstanceUnhealthy { cause, silent_ms, .. } => {
            let text = format!(
                "serviceName: {} {{POS}} {{IP-DISABLED}} invalid: {}, region: unknown, msg: {cause}, silent for {silent_ms} ms",
                service(about),
                instance(about)
            );
            say("naming-event.log", "INFO", text);
        }
        C::InstanceRemoved { removal } => {
            if let Removal::BeatExpired { .. } | Removal::ClientExpired { .. } = removal {
                let text = format!("[AUTO-DELETE-IP] service: {}, ip: {}", service(about), instance(about));
                say("naming-server.log", "INFO", text);
            }
            say("naming-server.log", "INFO", describe(event));
        }
        C::InstanceRegistered { .. } => {
            say("naming-server.log", "INFO", format!("Client change for service {}, {client}", service(about)));
        }
        C::PushAcked { latency_ms } if about.config.is_none() => {
            let text = format!("[PUSH-SUCC] {latency_ms}ms, {}, target={client}", service(about));
            say("naming-push.log", "INFO", text);
        }
        C::PushFailed { reason, attempt } if about.config.is_none() => {
            let text = format!("[PUSH-FAIL] {}, reason={reason}, attempt={attempt}, target={client}", service(about));
            say("naming-push.log", "WARN", text);
        }
        C::PushGaveUp { attempts } if about.config.is_none() => {
            let text =
                format!("max re-push times reached, retry times {attempts}, key: {}, target={client}", service(about));
            say("naming-push.log", "WARN", text);
        }
        C::PushSent { .. } => {}
        C::PushAcked { .. } => say("remote-push.log", "INFO", describe(event)),
        C::PushFailed { .. } | C::PushGaveUp { .. } => say("remote-push.log", "WARN", describe(event)),
        C::ListenerNotified { .. } => say("remote-push.log", "INFO", describe(event)),
        C::ListenerStale { .. } => say("config-pull-check.log", "WARN", describe(event)),
        C::ConfigPublished { md5, from, gray, .. } => {
            let (tail, kind) = (&**md5, if gray.is_empty() { "persist" } else { "persist-beta" });
            trace(&mut say, event, kind, "pub", from, tail);
        }
        C::ConfigRemoved { from, gray, .. } => {
            trace(&mut say, event, if gray.is_empty() { "persist" } else { "persist-beta" }, "remove", from, "");
        }
        C::CasConflict { .. } | C::NamespaceChanged { .. } => say("config-server.log", "INFO", describe(event)),
        C::ConfigsReloaded { .. } => say("config-dump.log", "INFO", describe(event)),
        C::LeaderElected { .. } | C::LeaderLost { .. } => {
            say("protocol-raft.log", "INFO", format!("This Raft event changes : {}", describe(event)));
        }
        C::LeaderBeatFailed { peer, reason } => {
            say("naming-raft.log", "WARN", format!("NACOS-RAFT beat failed: {reason}, peer: {peer}"));
        }
        C::WriteFailed { reason } | C::StorePoisoned { reason } => {
            say("config-fatal.log", "ERROR", format!("[db-error] {reason}"));
            say("protocol-raft.log", "ERROR", describe(event));
        }
        C::FsyncSlow { .. }
        | C::WriteRecovered { .. }
        | C::LogTailCut { .. }
        | C::SnapshotTaken { .. }
        | C::LogPurged { .. }
        | C::StoreRecovered { .. } => say("protocol-raft.log", "INFO", describe(event)),
        _ if about.config.is_some() => say("config-server.log", "INFO", describe(event)),
        _ if about.service.is_some() || about.instance.is_some() => say("naming-server.log", "INFO", describe(event)),
        _ => say(ROOT, "INFO", describe(event)),
    }
}

fn service(about: &Subject) -> String {
    about.service.as_ref().map_or_else(String::new, |key| format!("{}##{}", key.namespace, key.grouped()))
}

/// `ip:port@cluster`, from `ip:port:cluster`.
fn instance(about: &Subject) -> String {
    let text = about.instance.as_deref().unwrap_or_default();
    text.rsplit_once(':').map_or_else(|| text.to_owned(), |(address, cluster)| format!("{address}@{cluster}"))
}

/// `localIp|dataId|group|tenant|requestIpAppName|ts|handleIp|event|type|delayed|ext`; an empty tenant is `null`.
fn trace(
    say: &mut impl FnMut(&'static str, &str, String),
    event: &Event,
    kind: &str,
    what: &str,
    from: &str,
    md5: &str,
) {
    let Some(key) = &event.subject.config else { return };
    let ConfigNames { namespace, group, data_id } = &**key;
    let tenant = if namespace.is_empty() || &**namespace == nacre_model::PUBLIC { "null" } else { namespace };
    let line = format!("127.0.0.1|{data_id}|{group}|{tenant}|{from}|{}|{from}|{kind}|{what}|-1|{md5}", event.at);
    // Nacos writes a bar between date and message here; the level takes the place of nothing.
    say("config-trace.log", "|", line);
    say("config-server.log", "INFO", describe(event));
}

#[cfg(test)]
mod tests {
    use nacre_model::{ConfigKey, Now, ServiceKey, event::Disconnect};

    use super::*;

    fn lines(subject: Subject, cause: Cause) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let event = Event::new(Now { mono: 0, wall: 1_700_000_000_123 }, subject, cause);
        of(&event, |line| all.push((line.file.to_owned(), line.text)));
        all
    }

    fn orders() -> Subject {
        Subject::service(&ServiceKey::new("public", "DEFAULT_GROUP", "orders")).with_instance("10.0.0.1:8080:DEFAULT")
    }

    #[test]
    fn the_words_that_people_grep_are_nacoss() {
        let version = "Nacos-Java-Client:v2.5.1".to_owned();
        let connected = Cause::ClientConnected { version, module: "naming".into(), app: String::new() };
        let seen = lines(Subject::client("1_10.0.0.7_5"), connected);
        assert!(seen[0].1.starts_with("2023-11-14 22:13:20,123 INFO new connection registered successfully, connectionId = 1_10.0.0.7_5,connection="));
        assert_eq!(seen[1].0, "naming-server.log");
        assert_eq!(seen[1].1, "2023-11-14 22:13:20,123 INFO Client connection 1_10.0.0.7_5 connect\n\n");
        let gone = Cause::ClientDisconnected { cause: Disconnect::ClosedByClient, lived_ms: 5 };
        let seen = lines(Subject::client("c"), gone);
        assert!(seen[0].1.contains("[c]Connection unregistered successfully. "));
        let expired = Cause::InstanceRemoved { removal: Removal::BeatExpired { silent_ms: 30_000, limit_ms: 30_000 } };
        let seen = lines(orders(), expired);
        assert!(
            seen[0].1.contains("[AUTO-DELETE-IP] service: public##DEFAULT_GROUP@@orders, ip: 10.0.0.1:8080@DEFAULT")
        );
        let unhealthy =
            Cause::InstanceUnhealthy { cause: "client_beat".into(), silent_ms: 15_001, beats: 3, gaps: vec![5_000] };
        let seen = lines(orders(), unhealthy);
        assert_eq!(seen[0].0, "naming-event.log");
        assert!(seen[0].1.contains("{POS} {IP-DISABLED} invalid: 10.0.0.1:8080@DEFAULT"), "{seen:?}");
        let failed = Cause::PushFailed { reason: "timeout".into(), attempt: 1 };
        assert!(
            lines(orders().with_client("c"), failed)[0]
                .1
                .contains("[PUSH-FAIL] public##DEFAULT_GROUP@@orders, reason=timeout")
        );
    }

    #[test]
    fn a_publication_is_traced_with_its_bars() {
        let subject = Subject::config(&ConfigKey::new("", "G", "d"));
        let cause =
            Cause::ConfigPublished { md5: "abc".into(), by: "u".into(), from: "10.0.0.7".into(), gray: "".into() };
        let seen = lines(subject, cause);
        assert_eq!(seen[0].0, "config-trace.log");
        assert_eq!(
            seen[0].1,
            "2023-11-14 22:13:20,123 | 127.0.0.1|d|G|null|10.0.0.7|1700000000123|10.0.0.7|persist|pub|-1|abc\n\n"
        );
    }

    #[test]
    fn what_a_client_names_begins_no_line_of_its_own() {
        let refused = Cause::HandshakeRefused { reason: "x\n2024-01-01 INFO forged".into() };
        assert_eq!(lines(Subject::client("c"), refused)[0].1.matches('\n').count(), 2);
    }
}

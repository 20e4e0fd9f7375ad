//! The datagrams of UDP push: what is sent to 1.x clients, what they answer, and which clients are sent to at all.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use nacre_naming::{ServiceView, Switches};
use nacre_wire::naming::{AllIps, ServiceInfoJson};
use serde::{Deserialize, Serialize};

/// Datagrams from this size on are gzipped as a whole; clients tell by the first two bytes.
const COMPRESS_FROM: usize = 1024;
/// The largest datagram UDP can carry over IPv4.
pub const MAX_DATAGRAM: usize = 65_507;

/// One push as it goes on the wire.
#[derive(Clone, Debug)]
pub struct Packet {
    /// `lastRefTime` of the packet; the acknowledgement repeats it. Below 2^53, or JavaScript clients round it.
    pub stamp: u64,
    pub bytes: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Push<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The service's JSON, as text.
    data: &'a str,
    last_ref_time: u64,
}

/// The push of a view. `stamp` numbers it.
pub fn push(view: &ServiceView, stamp: u64) -> Packet {
    let grouped = view.service.grouped();
    let info = ServiceInfoJson {
        name: Some(&grouped),
        group_name: None,
        clusters: Some(&view.clusters),
        cache_millis: view.cache_millis,
        hosts: &view.hosts,
        grouped: &grouped,
        last_ref_time: view.last_ref_time,
        // The reference never says so in a datagram, protected or not.
        reach_protection_threshold: false,
        spelling: AllIps::V2,
    };
    let data = serde_json::to_string(&info).unwrap_or_default();
    let json = serde_json::to_vec(&Push { kind: "dom", data: &data, last_ref_time: stamp }).unwrap_or_default();
    let bytes = if json.len() < COMPRESS_FROM { json } else { gzip(&json).unwrap_or(json) };
    Packet { stamp, bytes: bytes.into() }
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// Reads an acknowledgement: `{"type":"push-ack","lastRefTime":"1700000000000000","data":""}`, the number as text or
/// number. Everything else, from whomever, is `None`.
pub fn ack(datagram: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stamp {
        Number(u64),
        Text(String),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Ack {
        #[serde(rename = "type")]
        kind: String,
        last_ref_time: Stamp,
    }
    let ack: Ack = serde_json::from_slice(datagram).ok()?;
    if ack.kind != "push-ack" {
        return None;
    }
    match ack.last_ref_time {
        Stamp::Number(number) => Some(number),
        Stamp::Text(text) => text.trim().parse().ok(),
    }
}

/// Does a client of this agent understand pushes? Others poll (spec/naming.md 13.3).
pub fn accepts(agent: &str, switches: &Switches) -> bool {
    if !switches.push_enabled {
        return false;
    }
    let least = [
        ("Nacos-Java-Client", &switches.push_java_version),
        ("Nacos-DNS", &switches.push_python_version),
        ("Nacos-C-Client", &switches.push_c_version),
        ("vip-client4cpp", &switches.push_c_version),
        ("Nacos-Go-Client", &switches.push_go_version),
        ("Nacos-CSharp-Client", &switches.push_csharp_version),
    ];
    let Some((_, least)) = least.iter().find(|(prefix, _)| agent.starts_with(prefix)) else { return false };
    match (agent.split_once(":v").and_then(|(_, text)| version(text)), version(least)) {
        (Some(given), Some(least)) => given >= least,
        _ => false,
    }
}

/// `1.4.2`, `1.4.2-SNAPSHOT`; missing parts are 0.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let digits = |part: &str| part.bytes().take_while(u8::is_ascii_digit).count();
    for (number, part) in numbers.iter_mut().zip(text.trim().split('.')) {
        let len = digits(part);
        if len == 0 {
            return None;
        }
        *number = part.get(..len)?.parse().ok()?;
        if len < part.len() {
            break;
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn acknowledgements_come_with_numbers_or_texts() {
        assert_eq!(
            ack(br#"{"type":"push-ack","lastRefTime":"1700000000000123","data":""}"#),
            Some(1_700_000_000_000_123)
        );
        assert_eq!(ack(br#"{"type":"push-ack","lastRefTime":17}"#), Some(17));
        assert_eq!(ack(br#"{"data":"","lastRefTime":17,"type":"push-ack"}"#), Some(17));
    }

    #[test]
    fn anything_else_is_no_acknowledgement() {
        for other in [
            &b""[..],
            b"{}",
            b"[]",
            b"null",
            br#"{"type":"dump-ack","lastRefTime":17}"#,
            br#"{"type":"push-ack","lastRefTime":-1}"#,
            br#"{"type":"push-ack","lastRefTime":1.5}"#,
            br#"{"type":"push-ack","lastRefTime":"x"}"#,
            br#"{"type":"push-ack","lastRefTime":null}"#,
            br#"{"type":["push-ack"],"lastRefTime":17}"#,
            b"\x1f\x8b\x08\x00",
        ] {
            assert_eq!(ack(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    proptest! {
        #[test]
        fn no_datagram_upsets_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = ack(&bytes);
        }

        #[test]
        fn nested_or_broken_json_is_no_acknowledgement(text in r#"[\{\}\[\]",:a-z0-9\\ ]{0,400}"#) {
            prop_assert_eq!(ack(text.as_bytes()), None);
        }

        #[test]
        fn every_stamp_comes_back(stamp in 0u64..(1 << 53), quoted: bool) {
            let number = if quoted { format!("\"{stamp}\"") } else { stamp.to_string() };
            let text = format!("{{\"type\":\"push-ack\",\"lastRefTime\":{number},\"data\":\"\"}}");
            prop_assert_eq!(ack(text.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        assert_eq!(ack("[".repeat(60_000).as_bytes()), None);
        assert_eq!(ack(format!("{{\"type\":{}", "[".repeat(60_000)).as_bytes()), None);
    }

    #[test]
    fn only_clients_that_can_are_pushed_to() {
        let switches = Switches::default();
        for (agent, yes) in [
            ("Nacos-Java-Client:v1.4.2", true),
            ("Nacos-Java-Client:v1.0.0", true),
            ("Nacos-Java-Client:v0.0.9", false),
            ("Nacos-Java-Client:v1.4.2-SNAPSHOT", true),
            ("Nacos-Java-Client", false),
            ("Nacos-Go-Client:v1.1.0", true),
            ("Nacos-CSharp-Client:v0.8.0", false),
            ("Nacos-CSharp-Client:v1.3.10", true),
            ("Nacos-C-Client:v1.0.21", true),
            ("Nacos-DNS:v0.4.2", false),
            ("Nacos-Python-Client:v1.0", false),
            ("Nacos-SDK-Java:v2.0.0", false),
            ("curl/8.0", false),
            ("", false),
        ] {
            assert_eq!(accepts(agent, &switches), yes, "{agent}");
        }
        let off = Switches { push_enabled: false, ..Switches::default() };
        assert!(!accepts("Nacos-Java-Client:v1.4.2", &off));
    }
}

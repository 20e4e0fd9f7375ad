//! Datagrams that anybody may send, and the agents that say who is pushed to.

use nacre_naming::Switches;
use nacre_server::udp::packet;

/// An acknowledgement, or not. What is read is a number below 2^64, and only of an object that says so.
pub fn ack(data: &[u8]) {
    if let Some(stamp) = packet::ack(data) {
        // What the members that nobody reads are made of is not looked at.
        let text = String::from_utf8_lossy(data);
        assert!(text.contains("push-ack") || text.contains("\\u"), "{text} was taken for an acknowledgement");
        let again = format!(r#"{{"type":"push-ack","lastRefTime":"{stamp}","data":""}}"#);
        assert_eq!(packet::ack(again.as_bytes()), Some(stamp));
    }
    let _ = packet::accepts(&crate::text(data), &Switches::default());
}

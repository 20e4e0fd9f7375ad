//! How a found config is shown: headers of v1 and v2 reads.

use nacre_config::Answer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::{dates::http_date, reply::Reply};

/// Absent, or an explicit tag that does not exist.
pub(super) const NOT_FOUND: &str = "config data not exist";

/// What Java's `URLEncoder` leaves alone, beside letters and digits.
const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_');

/// Adds the headers that clients read next to the content.
pub(super) fn headed(mut reply: Reply, answer: &Answer) -> Reply {
    reply = reply
        .header("config-type", answer.config_type().unwrap_or("text"))
        .header("content-md5", answer.md5())
        .header("last-modified", &http_date(answer.last_modified()));
    if let Some(key) = answer.encrypted_data_key() {
        reply = reply.header("encrypted-data-key", key);
    }
    if answer.is_beta() {
        reply = reply.fixed("isbeta", "true");
    }
    if let Some(tag) = answer.tag() {
        reply = reply.header("tag", &utf8_percent_encode(tag, KEEP).to_string());
    }
    uncached(reply)
}

/// Nobody between us and the client may keep this answer.
pub(super) fn uncached(reply: Reply) -> Reply {
    reply
        .fixed("pragma", "no-cache")
        .fixed("expires", "Thu, 01 Jan 1970 00:00:00 GMT")
        .fixed("cache-control", "no-cache,no-store")
}

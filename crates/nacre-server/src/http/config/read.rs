//! How a found config is shown: headers of v1 and v2 reads.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, EXPIRES, LAST_MODIFIED, PRAGMA},
};
use nacre_config::Answer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::{dates::http_date, params::Params, reply::Reply};

/// Absent, or an explicit tag that does not exist.
pub(super) const NOT_FOUND: &str = "config data not exist";

/// The namespace that v1 and v2 read from: by v2's name where it is sent, blank or not, else by v1's, of several the first.
/// Writes know one name each.
pub(super) fn namespace(params: &Params) -> &str {
    params.first("namespaceId").or_else(|| params.first("tenant")).unwrap_or("")
}

/// What Java's `URLEncoder` leaves alone, beside letters and digits.
const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_');

// What every read sends is made when the program is built.
const CONFIG_TYPE: HeaderName = HeaderName::from_static("config-type");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const TEXT: HeaderValue = HeaderValue::from_static("text");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const NEVER: HeaderValue = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-cache,no-store");

/// A shorter text is copied, which costs less than to share it.
const SHARED_FROM: usize = 4096;

/// The content as a body. However many clients read a long one, and however slowly, it is there once.
pub(super) fn body_of(content: &Arc<str>) -> Bytes {
    struct Text(Arc<str>);
    impl AsRef<[u8]> for Text {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    if content.len() < SHARED_FROM {
        return Bytes::copy_from_slice(content.as_bytes());
    }
    Bytes::from_owner(Text(Arc::clone(content)))
}

/// Adds the headers that clients read next to the content.
pub(super) fn headed(mut reply: Reply, answer: &Answer) -> Reply {
    reply = match answer.config_type() {
        None | Some("text") => reply.with(CONFIG_TYPE, TEXT),
        Some(other) => valued(reply, CONFIG_TYPE, HeaderValue::from_str(other)),
    };
    reply = valued(reply, CONTENT_MD5, HeaderValue::from_str(answer.md5()));
    reply = valued(reply, LAST_MODIFIED, HeaderValue::try_from(http_date(answer.last_modified())));
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
    reply.with(PRAGMA, NO_CACHE).with(EXPIRES, NEVER).with(CACHE_CONTROL, NO_STORE)
}

/// A value that HTTP does not allow is left out.
fn valued(reply: Reply, name: HeaderName, value: Result<HeaderValue, impl std::error::Error>) -> Reply {
    match value {
        Ok(value) => reply.with(name, value),
        Err(_) => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_a_namespace_are_read() {
        for (query, want) in [
            ("tenant=a", "a"),
            ("namespaceId=b", "b"),
            ("tenant=a&namespaceId=b&namespaceId=c", "b"),
            ("tenant=a&namespaceId=", ""),
            ("", ""),
        ] {
            let mut params = Params::default();
            params.add_urlencoded(query.as_bytes());
            params.join_repeated();
            assert_eq!(namespace(&params), want, "{query}");
        }
    }

    #[test]
    fn a_long_content_is_not_copied_for_its_readers() {
        for length in [0, 1, SHARED_FROM - 1, SHARED_FROM, SHARED_FROM * 100] {
            let content: Arc<str> = "x".repeat(length).into();
            let body = body_of(&content);
            assert_eq!(body, content.as_bytes());
            assert_eq!(std::ptr::eq(body.as_ptr(), content.as_ptr()), length >= SHARED_FROM);
            drop(body);
            assert_eq!(Arc::strong_count(&content), 1);
        }
    }
}

//! The texts of 1.x long polling: `Listening-Configs` in, the change list out.

use nacre_model::ConfigKey;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Between the words of a record.
pub const WORD: char = '\u{2}';
/// At the end of a record.
pub const LINE: char = '\u{1}';
/// Records of one request.
pub const MAX_KEYS: usize = 10_000;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenKey {
    pub key: ConfigKey,
    /// The namespace exactly as the client wrote it; `None` when the record had no fourth word.
    pub tenant: Option<String>,
    /// Empty: the client holds nothing.
    pub md5: String,
}

/// Why a `Listening-Configs` was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error("invalid probeModify")]
    Blank,
    /// A record without at least three words or with more than four, a blank dataId or group, or a broken percent escape.
    #[error("invalid probeModify")]
    Malformed,
    #[error("invalid probeModify")]
    TooManyKeys,
}

/// Reads the form value (decoded once by the form parser). Decoded once more here when it is still encoded, as the
/// reference does; a record without its final separator is ignored.
pub fn parse(value: &str) -> Result<Vec<ListenKey>, ProbeError> {
    if value.trim_matches(|c: char| c.is_whitespace() && c != WORD && c != LINE).is_empty() {
        return Err(ProbeError::Blank);
    }
    let value = decode(value)?;
    let mut keys = Vec::new();
    let mut rest = &*value;
    while let Some((record, tail)) = rest.split_once(LINE) {
        rest = tail;
        if keys.len() == MAX_KEYS {
            return Err(ProbeError::TooManyKeys);
        }
        let mut words = record.split(WORD);
        let (Some(data_id), Some(group), Some(md5)) = (words.next(), words.next(), words.next()) else {
            return Err(ProbeError::Malformed);
        };
        let tenant = words.next();
        if words.next().is_some() || data_id.trim().is_empty() || group.trim().is_empty() {
            return Err(ProbeError::Malformed);
        }
        keys.push(ListenKey {
            key: ConfigKey::new(tenant.unwrap_or_default(), group, data_id),
            tenant: tenant.map(str::to_owned),
            md5: md5.to_owned(),
        });
    }
    Ok(keys)
}

/// Java's `URLDecoder`: `+` is a blank, broken escapes are an error; invalid UTF-8 becomes replacement characters.
fn decode(value: &str) -> Result<std::borrow::Cow<'_, str>, ProbeError> {
    if !value.contains(['%', '+']) {
        return Ok(value.into());
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let [high, low, tail @ ..] = rest else { return Err(ProbeError::Malformed) };
                let digit = |b: u8| (b as char).to_digit(16).ok_or(ProbeError::Malformed);
                bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
                rest = tail;
            }
            byte => bytes.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned().into())
}

/// What Java's `URLEncoder` leaves alone, beside letters and digits.
const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_').remove(b' ');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, KEEP).to_string().replace(' ', "+")
}

/// The body of an answer that names changed keys, each in the namespace spelling of its record, with the final line
/// feed. Empty for no keys.
pub fn changed_body<'a>(keys: impl IntoIterator<Item = &'a ListenKey>) -> String {
    let mut body = changed_header(keys);
    if !body.is_empty() {
        body.push('\n');
    }
    body
}

/// The same without the line feed: the header `Probe-Modify-Response-New` of a short poll.
pub fn changed_header<'a>(keys: impl IntoIterator<Item = &'a ListenKey>) -> String {
    let mut raw = String::new();
    for item in keys {
        raw.push_str(&item.key.data_id);
        raw.push(WORD);
        raw.push_str(&item.key.group);
        if let Some(tenant) = item.tenant.as_deref().filter(|tenant| !tenant.is_empty()) {
            raw.push(WORD);
            raw.push_str(tenant);
        }
        raw.push(LINE);
    }
    encode(&raw)
}

/// The header `Probe-Modify-Response` of a short poll: `dataId:group;` for each.
pub fn changed_header_old<'a>(keys: impl IntoIterator<Item = &'a ListenKey>) -> String {
    keys.into_iter().map(|item| format!("{}:{};", item.key.data_id, item.key.group)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(value: &str) -> ListenKey {
        let keys = parse(value).unwrap();
        assert_eq!(keys.len(), 1, "{value:?}");
        keys.into_iter().next().unwrap()
    }

    #[test]
    fn records_with_and_without_a_namespace_are_read() {
        let three = one("d\u{2}G\u{2}abc\u{1}");
        assert_eq!((three.key, three.tenant, three.md5.as_str()), (ConfigKey::new("", "G", "d"), None, "abc"));
        let four = one("d\u{2}G\u{2}abc\u{2}dev\u{1}");
        assert_eq!((four.key, four.tenant.as_deref()), (ConfigKey::new("dev", "G", "d"), Some("dev")));
        // Python: always four words, the last may be empty, as may the md5.
        let python = one("d\u{2}G\u{2}\u{2}\u{1}");
        assert_eq!(
            (python.key, python.tenant.as_deref(), python.md5.as_str()),
            (ConfigKey::new("", "G", "d"), Some(""), "")
        );
        assert_eq!(one("d\u{2}G\u{2}\u{2}public\u{1}").key, ConfigKey::new("", "G", "d"));
    }

    #[test]
    fn a_value_that_is_still_encoded_is_decoded_once_more() {
        assert_eq!(one("d%02G%02abc%02dev%01"), one("d\u{2}G\u{2}abc\u{2}dev\u{1}"));
        assert_eq!(&*one("%E9%85%8D%02G%02%01").key.data_id, "配");
        assert_eq!(&*one("a+b%02G%02%01").key.data_id, "a b");
        for broken in ["d%0", "%", "d%zzG%01", "%2", "d%é2"] {
            assert_eq!(parse(broken), Err(ProbeError::Malformed), "{broken}");
        }
    }

    /// Case C043.
    #[test]
    fn values_that_are_no_records_are_refused() {
        assert_eq!(parse(""), Err(ProbeError::Blank));
        assert_eq!(parse("  \n"), Err(ProbeError::Blank));
        for malformed in [
            "\u{1}",
            "d\u{1}",
            "d\u{2}G\u{1}",
            "a\u{2}b\u{2}c\u{2}d\u{2}e\u{1}",
            "\u{2}G\u{2}\u{1}",
            "d\u{2}\u{2}\u{1}",
        ] {
            assert_eq!(parse(malformed), Err(ProbeError::Malformed), "{malformed:?}");
        }
        assert_eq!(parse("d\u{2}G\u{2}abc").unwrap(), [], "a record without its end is ignored");
        let record = "d\u{2}G\u{2}\u{1}";
        assert_eq!(parse(&record.repeat(MAX_KEYS)).unwrap().len(), MAX_KEYS);
        assert_eq!(parse(&record.repeat(MAX_KEYS + 1)), Err(ProbeError::TooManyKeys));
    }

    #[test]
    fn answers_are_encoded_as_java_does_and_echo_the_spelling() {
        let keys =
            parse("a.yaml\u{2}G\u{2}\u{2}dev\u{1}b\u{2}G\u{2}\u{1}c\u{2}G\u{2}\u{2}public\u{1}d\u{2}G\u{2}\u{2}\u{1}")
                .unwrap();
        assert_eq!(changed_body(&keys[..1]), "a.yaml%02G%02dev%01\n");
        assert_eq!(changed_body(&keys), "a.yaml%02G%02dev%01b%02G%01c%02G%02public%01d%02G%01\n");
        assert_eq!(changed_header_old(&keys[..2]), "a.yaml:G;b:G;");
        assert_eq!(changed_body(&[]), "");
        assert_eq!(encode("a b*-._~配:"), "a+b*-._%7E%E9%85%8D%3A");
    }

    fn word() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9_.:配-]{1,12}"
    }

    proptest! {
        #[test]
        fn any_value_is_parsed_without_a_panic(value in "[\u{1}\u{2}a%0-9+é]{0,40}") {
            let _ = parse(&value);
        }

        /// Whatever is written in any of the forms clients use reads back, and the answer names the same keys.
        #[test]
        fn records_read_back(
            records in proptest::collection::vec((word(), word(), "[0-9a-f]{0,32}", proptest::option::of("[a-z-]{0,8}")), 1..20),
            encoded: bool,
        ) {
            let mut raw = String::new();
            for (data_id, group, md5, tenant) in &records {
                raw.push_str(&[data_id.as_str(), group, md5].join("\u{2}"));
                if let Some(tenant) = tenant {
                    raw.push(WORD);
                    raw.push_str(tenant);
                }
                raw.push(LINE);
            }
            let value = if encoded { encode(&raw) } else { raw };
            let keys = parse(&value).unwrap();
            prop_assert_eq!(keys.len(), records.len());
            for (item, (data_id, group, md5, tenant)) in keys.iter().zip(&records) {
                prop_assert_eq!(&item.key, &ConfigKey::new(tenant.as_deref().unwrap_or(""), group, data_id));
                prop_assert_eq!((&item.md5, &item.tenant), (md5, tenant));
            }
            let body = changed_body(&keys);
            let decoded = decode(body.trim_end()).unwrap();
            let named: Vec<&str> = decoded.split(LINE).filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(named.len(), records.len());
            for (line, (data_id, group, _, tenant)) in named.iter().zip(&records) {
                let mut expected = vec![data_id.as_str(), group.as_str()];
                expected.extend(tenant.as_deref().filter(|tenant| !tenant.is_empty()));
                prop_assert_eq!(line.split(WORD).collect::<Vec<_>>(), expected);
            }
        }
    }
}

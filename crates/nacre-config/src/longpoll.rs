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
    /// A record without at least three words or with more than four, or a broken percent escape.
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
        if words.next().is_some() {
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

//! Request parameters as Nacos reads them: the query and an urlencoded form body are one set of names, the query's
//! value first, for every method (spec/http-api.md 2). Multipart fields join the same set; files are kept apart.

use bytes::Bytes;
use nacre_model::{
    NacosError,
    limits::{HTTP_PARAMS, PAGE_SIZE},
};

/// One uploaded file of a multipart body.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Name of the form part.
    pub name: String,
    pub file_name: String,
    pub data: Bytes,
}

/// All parameters of a request, in order of appearance.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    pub uploads: Vec<Upload>,
}

impl Params {
    /// Adds the pairs of a query string or form body. More than [`HTTP_PARAMS`] are ignored, as in Tomcat.
    pub fn add_urlencoded(&mut self, text: &[u8]) {
        for pair in text.split(|b| *b == b'&') {
            if pair.is_empty() {
                continue;
            }
            if self.pairs.len() as u64 >= HTTP_PARAMS {
                return;
            }
            let (name, value) = match pair.iter().position(|b| *b == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[..0]),
            };
            self.pairs.push((decode(name), decode(value)));
        }
    }

    /// Adds one pair at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        if (self.pairs.len() as u64) < HTTP_PARAMS {
            self.pairs.push((name.into(), value.into()));
        }
    }

    /// The first value of `name`, exactly as sent (not trimmed), also when empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first value that is not blank.
    pub fn non_blank(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|v| !v.trim().is_empty())
    }

    /// The first value, or `default` when absent or blank.
    pub fn or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.non_blank(name).unwrap_or(default)
    }

    /// The upload of a form part.
    pub fn upload(&self, name: &str) -> Option<&Upload> {
        self.uploads.iter().find(|u| u.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Replaces every value of `name`.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.pairs.retain(|(n, _)| n != name);
        self.pairs.push((name.into(), value.into()));
    }

    /// A required text of a v2/v3 form: 400, code 10000 when absent or blank.
    pub fn required(&self, name: &str) -> Result<&str, NacosError> {
        self.non_blank(name).ok_or_else(|| NacosError::missing(name))
    }

    /// A number of a v2/v3 form; absent or empty is `default`, anything unreadable is 400, code 20002.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, NacosError> {
        match self.get(name).map(str::trim) {
            None | Some("") => Ok(default),
            Some(text) => text.parse().map_err(|_| bad_conversion(name, text, "int")),
        }
    }

    /// A truth value by Spring's conversion words; absent or empty is `default`.
    pub fn bool(&self, name: &str, default: bool) -> Result<bool, NacosError> {
        match self.get(name).map(|v| v.trim().to_ascii_lowercase()).as_deref() {
            None | Some("") => Ok(default),
            Some("true" | "on" | "yes" | "1") => Ok(true),
            Some("false" | "off" | "no" | "0") => Ok(false),
            Some(text) => Err(bad_conversion(name, text, "boolean")),
        }
    }

    /// `pageNo` (from 1) and `pageSize` with a default; sizes are capped at [`PAGE_SIZE`] by callers that say so.
    pub fn page(&self, default_size: i64) -> Result<(i64, i64), NacosError> {
        Ok((self.int("pageNo", 1)?, self.int("pageSize", default_size)?))
    }
}

/// Largest page of capped lists.
pub const MAX_PAGE: i64 = PAGE_SIZE as i64;

fn bad_conversion(name: &str, text: &str, kind: &str) -> NacosError {
    NacosError::invalid(format!("Parameter '{name}' has the value '{text}', which is no {kind}"))
}

/// Percent-decoding as servlet containers do it: `+` is a blank, a broken escape stays as it is, and bytes that are no
/// UTF-8 become the replacement character.
pub fn decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'+', _) => {
                out.push(b' ');
                rest = tail;
            }
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_wins_over_the_form() {
        let mut params = Params::default();
        params.add_urlencoded(b"a=1&b=x%20y");
        params.add_urlencoded(b"a=2&c=p+q");
        assert_eq!(params.get("a"), Some("1"));
        assert_eq!(params.all("a").count(), 2);
        assert_eq!((params.get("b"), params.get("c")), (Some("x y"), Some("p q")));
    }

    #[test]
    fn json_that_nobody_encoded_survives() {
        let mut params = Params::default();
        params.add_urlencoded(br#"beat={"ip":"10.0.0.1","metadata":{"p":"100%"}}"#);
        assert_eq!(params.get("beat"), Some(r#"{"ip":"10.0.0.1","metadata":{"p":"100%"}}"#));
    }

    #[test]
    fn broken_utf8_becomes_the_replacement_character() {
        assert_eq!(decode(b"%C4%E3"), "\u{FFFD}\u{FFFD}");
    }
}

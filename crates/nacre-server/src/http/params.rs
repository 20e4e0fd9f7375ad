//! Request parameters as Nacos reads them: the query and an urlencoded form body are one set of names, the query's
//! value first, for every method (spec/http-api.md 2). Multipart fields join the same set; files are kept apart.

use bytes::Bytes;
use nacre_model::{
    NacosError,
    limits::{HTTP_PARAMS, PAGE_SIZE},
};
use smallvec::SmallVec;

/// One uploaded file of a multipart body.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Name of the form part.
    pub name: String,
    pub file_name: String,
    pub data: Bytes,
}

/// All parameters of a request, in order of appearance. Names and values lie one after the other in one text, so that a
/// heartbeat costs two allocations however many parameters it has.
#[derive(Clone, Debug, Default)]
pub struct Params {
    text: String,
    pairs: SmallVec<[Pair; 16]>,
    pub uploads: Vec<Upload>,
}

/// Where a name and its value lie in the text.
#[derive(Clone, Copy, Debug)]
struct Pair {
    start: u32,
    /// End of the name, start of the value.
    middle: u32,
    end: u32,
}

impl Params {
    /// Adds the pairs of a query string or form body. More than [`HTTP_PARAMS`] are ignored, as in Tomcat.
    pub fn add_urlencoded(&mut self, text: &[u8]) {
        // Room for a name that is set afterwards, too.
        self.text.reserve(text.len() + 64);
        let mut rest = Some(text);
        while let Some(text) = rest {
            let (pair, after) = match memchr::memchr(b'&', text) {
                Some(at) => (&text[..at], Some(&text[at + 1..])),
                None => (text, None),
            };
            rest = after;
            if pair.is_empty() {
                continue;
            }
            let (name, value) = match memchr::memchr(b'=', pair) {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[..0]),
            };
            self.push_with(|text| decode_into(name, text), |text| decode_into(value, text));
        }
    }

    /// Adds one pair at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_with(|text| text.push_str(name), |text| text.push_str(value));
    }

    fn push_with(&mut self, name: impl FnOnce(&mut String), value: impl FnOnce(&mut String)) {
        if self.pairs.len() as u64 >= HTTP_PARAMS {
            return;
        }
        // Bodies are bounded far below 4 GiB.
        let start = self.text.len() as u32;
        name(&mut self.text);
        let middle = self.text.len() as u32;
        value(&mut self.text);
        self.pairs.push(Pair { start, middle, end: self.text.len() as u32 });
    }

    fn name(&self, pair: &Pair) -> &str {
        self.text.get(pair.start as usize..pair.middle as usize).unwrap_or("")
    }

    fn value(&self, pair: &Pair) -> &str {
        self.text.get(pair.middle as usize..pair.end as usize).unwrap_or("")
    }

    /// The first value of `name`, exactly as sent (not trimmed), also when empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named(name).next().map(|pair| self.value(pair))
    }

    /// Asked some twenty times for a registration: lengths first, then bytes.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Pair> {
        let text = self.text.as_bytes();
        self.pairs.iter().filter(move |pair| {
            (pair.middle - pair.start) as usize == name.len()
                && text.get(pair.start as usize..pair.middle as usize) == Some(name.as_bytes())
        })
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.named(name).map(|pair| self.value(pair))
    }

    /// The first value, unless it is blank.
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
        self.pairs.iter().map(|pair| (self.name(pair), self.value(pair)))
    }

    /// Replaces every value of `name`.
    pub fn set(&mut self, name: &str, value: &str) {
        let Self { text, pairs, .. } = self;
        pairs.retain(|pair| text.get(pair.start as usize..pair.middle as usize) != Some(name));
        self.push(name, value);
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
    let mut out = String::with_capacity(text.len());
    decode_into(text, &mut out);
    out
}

fn decode_into(text: &[u8], to: &mut String) {
    if memchr::memchr2(b'+', b'%', text).is_none()
        && let Ok(plain) = std::str::from_utf8(text)
    {
        return to.push_str(plain);
    }
    let (mut small, mut large) = ([0; 512], Vec::new());
    let out = match small.get_mut(..text.len()) {
        Some(room) => room,
        None => {
            large.resize(text.len(), 0);
            &mut large[..]
        }
    };
    // Byte by byte: clients encode a heartbeat's JSON so that every third byte or so is an escape.
    let (mut from, mut length) = (0, 0);
    while let Some(&byte) = text.get(from) {
        let (decoded, taken) = match byte {
            b'+' => (b' ', 1),
            b'%' => escaped(text, from).map_or((byte, 1), |decoded| (decoded, 3)),
            _ => (byte, 1),
        };
        out[length] = decoded;
        from += taken;
        length += 1;
    }
    let out = &out[..length];
    match std::str::from_utf8(out) {
        Ok(plain) => to.push_str(plain),
        Err(_) => to.push_str(&String::from_utf8_lossy(out)),
    }
}

/// What `%xy` at this place stands for.
fn escaped(text: &[u8], at: usize) -> Option<u8> {
    let &[high, low] = text.get(at + 1..at + 3)? else { return None };
    let (high, low) = (HEX[usize::from(high)], HEX[usize::from(low)]);
    (high | low < 16).then_some(high << 4 | low)
}

/// Values of hexadecimal digits; larger ones are of what is none.
static HEX: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

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
    fn a_name_can_be_replaced() {
        let mut params = Params::default();
        params.add_urlencoded(b"serviceName=s&ip=1&serviceName=t");
        params.set("serviceName", "G@@s");
        assert_eq!(params.iter().collect::<Vec<_>>(), [("ip", "1"), ("serviceName", "G@@s")]);
    }

    #[test]
    fn json_that_nobody_encoded_survives() {
        let mut params = Params::default();
        params.add_urlencoded(br#"beat={"ip":"10.0.0.1","metadata":{"p":"100%"}}"#);
        assert_eq!(params.get("beat"), Some(r#"{"ip":"10.0.0.1","metadata":{"p":"100%"}}"#));
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        for (text, want) in [
            ("%", "%"),
            ("%4", "%4"),
            ("a%4", "a%4"),
            ("%4g+%g4", "%4g %g4"),
            ("%%41", "%A"),
            ("%e5%8D%95", "单"),
            ("%2B%25", "+%"),
        ] {
            assert_eq!(decode(text.as_bytes()), want, "{text}");
        }
        for size in [510, 511, 512, 513, 2_000] {
            let text = format!("{}%41", "b".repeat(size - 3));
            assert_eq!(decode(text.as_bytes()), format!("{}A", "b".repeat(size - 3)));
        }
    }

    #[test]
    fn broken_utf8_becomes_the_replacement_character() {
        assert_eq!(decode(b"%C4%E3"), "\u{FFFD}\u{FFFD}");
    }
}

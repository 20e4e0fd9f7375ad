//! Request parameters as Nacos reads them: the query and an urlencoded form body are one set of names, the query's
//! value first, for every method (spec/http-api.md 2). Multipart fields join the same set; files are kept apart.
//!
//! A name that was sent several times has two readings: handlers that bind it get its values joined by commas
//! ([`Params::get`]), whoever asks the request itself gets the first one ([`Params::first`]).

use std::collections::HashMap;

use bytes::Bytes;
use nacre_model::{NacosError, limits::HTTP_PARAMS};
use smallvec::SmallVec;

/// As many broken pairs are told by name.
const BROKEN: usize = 10;

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
    /// Names sent several times, with all their values.
    joined: Vec<Pair>,
    /// Names of pairs that do not count.
    broken: Vec<String>,
    pub uploads: Vec<Upload>,
}

/// Where a name and its value lie in the text.
#[derive(Clone, Copy, Debug)]
struct Pair {
    start: u32,
    /// End of the name, start of the value.
    middle: u32,
    end: u32,
    /// [`mark`] of the name.
    mark: u32,
}

/// Tells most names apart without looking at them: how long a name is, and its bytes at both ends.
fn mark(name: &[u8]) -> u32 {
    let (first, last) = (name.first().copied().unwrap_or(0), name.last().copied().unwrap_or(0));
    (name.len() as u32) << 16 | u32::from(first) << 8 | u32::from(last)
}

impl Params {
    /// Adds the pairs of a query string or form body. More than [`HTTP_PARAMS`] are ignored, and those with a broken
    /// escape, as in Tomcat; only the JSON of a beat, which old Go clients send as it is, is taken all the same.
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
            let raw = name == b"beat";
            let whole = self.push_with(|text| decode_into(name, text), |text| decode_into(value, text) || raw);
            if !whole && self.broken.len() < BROKEN {
                self.broken.push(decode(name));
            }
        }
    }

    /// `name[]`, as scripts of browsers send lists, stands for `name` where nobody sent that one.
    pub fn take_lists(&mut self) {
        let listed = |pair: &&Pair| pair.mark & 0xff == u32::from(b']');
        if !self.pairs.iter().any(|pair| listed(&pair)) {
            return;
        }
        let list = |pair| Some((self.name(pair).strip_suffix("[]")?, self.value(pair)));
        let lists = self.pairs.iter().filter(listed).filter_map(list);
        let plain = lists.filter(|(name, _)| !name.is_empty() && self.first(name).is_none());
        let found: Vec<_> = plain.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in found {
            self.push(&name, &value);
        }
    }

    /// Adds one pair at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        let all = |of: &str, text: &mut String| {
            text.push_str(of);
            true
        };
        self.push_with(|text| all(name, text), |text| all(value, text));
    }

    /// Both say whether what they wrote can be taken; so does this of the pair.
    fn push_with(&mut self, name: impl FnOnce(&mut String) -> bool, value: impl FnOnce(&mut String) -> bool) -> bool {
        if self.pairs.len() as u64 >= HTTP_PARAMS {
            return true;
        }
        // Bodies are bounded far below 4 GiB.
        let start = self.text.len() as u32;
        let named = name(&mut self.text);
        let middle = self.text.len() as u32;
        if !(named && value(&mut self.text)) {
            self.text.truncate(start as usize);
            return false;
        }
        let pair = self.pair(start, middle);
        self.pairs.push(pair);
        true
    }

    /// Names, the first few, of what does not count because of a broken escape.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// The pair whose value ends the text.
    fn pair(&self, start: u32, middle: u32) -> Pair {
        let name = self.text.as_bytes().get(start as usize..middle as usize).unwrap_or(&[]);
        Pair { start, middle, end: self.text.len() as u32, mark: mark(name) }
    }

    fn name(&self, pair: &Pair) -> &str {
        self.text.get(pair.start as usize..pair.middle as usize).unwrap_or("")
    }

    fn value(&self, pair: &Pair) -> &str {
        self.text.get(pair.middle as usize..pair.end as usize).unwrap_or("")
    }

    /// The value of `name` as a text is bound: exactly as sent (not trimmed), also when empty, several joined by commas.
    pub fn get(&self, name: &str) -> Option<&str> {
        if !self.joined.is_empty()
            && let Some(pair) = self.joined.iter().find(|pair| self.name(pair) == name)
        {
            return Some(self.value(pair));
        }
        self.first(name)
    }

    /// The first value of `name`, exactly as sent.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.named(name).next().map(|pair| self.value(pair))
    }

    /// The first value of `name`, unless it is blank.
    pub fn first_non_blank(&self, name: &str) -> Option<&str> {
        self.first(name).filter(|value| !value.trim().is_empty())
    }

    /// Whether `name` was sent several times.
    pub fn is_repeated(&self, name: &str) -> bool {
        self.joined.iter().any(|pair| self.name(pair) == name)
    }

    /// Joins the values of names sent several times; asked once all pairs are there.
    pub fn join_repeated(&mut self) {
        self.joined.clear();
        for name in self.repeated() {
            self.join(&name);
        }
    }

    fn join(&mut self, name: &str) {
        let values = self.all(name).collect::<Vec<_>>().join(",");
        let start = self.text.len() as u32;
        self.text.push_str(name);
        let middle = self.text.len() as u32;
        self.text.push_str(&values);
        let pair = self.pair(start, middle);
        self.joined.push(pair);
    }

    /// Names sent several times, in order of appearance.
    fn repeated(&self) -> Vec<String> {
        /// Few names are compared one by one, without any allocation.
        const FEW: usize = 24;
        if self.pairs.len() <= FEW {
            let alike = |(at, pair): (usize, &Pair)| self.pairs[..at].iter().any(|before| before.mark == pair.mark);
            if !self.pairs.iter().enumerate().any(alike) {
                return Vec::new();
            }
            let is_second =
                |pair: &&Pair| self.named(self.name(pair)).take_while(|other| other.start < pair.start).count() == 1;
            return self.pairs.iter().filter(is_second).map(|pair| self.name(pair).to_owned()).collect();
        }
        let mut seen = HashMap::with_capacity(self.pairs.len());
        let mut names = Vec::new();
        for (name, _) in self.iter() {
            let count = seen.entry(name).or_insert(0_u32);
            *count += 1;
            if *count == 2 {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Leaves each value of a name once, in the order of Java's `HashSet`, as a filter of 1.x naming does: which of
    /// several values counts depends on it. Asked after [`Params::join_repeated`], which found out whether there are any.
    pub fn set_repeated_apart(&mut self) {
        if self.joined.is_empty() {
            return;
        }
        for name in self.repeated() {
            let mut values: Vec<String> = Vec::new();
            for value in self.all(&name) {
                if !values.iter().any(|known| known == value) {
                    values.push(value.to_owned());
                }
            }
            let table = java_table(values.len());
            values.sort_by_key(|value| java_bucket(value, table));
            let Self { text, pairs, .. } = self;
            pairs.retain(|pair| text.get(pair.start as usize..pair.middle as usize) != Some(&name));
            for value in values {
                self.push(&name, &value);
            }
        }
        self.join_repeated();
    }

    /// Asked some twenty times for a registration: marks first, then bytes.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Pair> {
        let (text, wanted) = (self.text.as_bytes(), mark(name.as_bytes()));
        self.pairs.iter().filter(move |pair| {
            pair.mark == wanted && text.get(pair.start as usize..pair.middle as usize) == Some(name.as_bytes())
        })
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.named(name).map(|pair| self.value(pair))
    }

    /// The value, unless it is blank.
    pub fn non_blank(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|v| !v.trim().is_empty())
    }

    /// The value, or `default` when absent or blank.
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
        let Self { text, pairs, joined, .. } = self;
        let other = |pair: &mut Pair| text.get(pair.start as usize..pair.middle as usize) != Some(name);
        pairs.retain(other);
        joined.retain_mut(other);
        self.push(name, value);
    }

    /// A required text of a v2/v3 form: 400, code 10000 when absent or blank.
    pub fn required(&self, name: &str) -> Result<&str, NacosError> {
        self.non_blank(name).ok_or_else(|| NacosError::missing(name))
    }
}

/// Size of the table of a Java `HashSet` that holds as many.
fn java_table(held: usize) -> u32 {
    let mut table = 16_u32;
    while held as u64 * 4 > u64::from(table) * 3 {
        table *= 2;
    }
    table
}

/// Where a text lies in such a table.
fn java_bucket(text: &str, table: u32) -> u32 {
    let hash = text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    (hash ^ hash >> 16) & (table - 1)
}

/// Percent-decoding as servlet containers do it: `+` is a blank, a broken escape stays as it is, and bytes that are no
/// UTF-8 become the replacement character.
pub fn decode(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    decode_into(text, &mut out);
    out
}

/// Whether no escape was broken.
fn decode_into(text: &[u8], to: &mut String) -> bool {
    if memchr::memchr2(b'+', b'%', text).is_none()
        && let Ok(plain) = std::str::from_utf8(text)
    {
        to.push_str(plain);
        return true;
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
    let (mut rest, mut length, mut whole) = (text, 0, true);
    for place in out.iter_mut() {
        let [byte, after @ ..] = rest else { break };
        (*place, rest) = match *byte {
            b'%' => escaped(after).unwrap_or_else(|| {
                whole = false;
                (b'%', after)
            }),
            b'+' => (b' ', after),
            plain => (plain, after),
        };
        length += 1;
    }
    let out = &out[..length];
    match std::str::from_utf8(out) {
        Ok(plain) => to.push_str(plain),
        Err(_) => to.push_str(&String::from_utf8_lossy(out)),
    }
    whole
}

/// What the two digits behind a `%` stand for, and what follows them.
#[inline]
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = text else { return None };
    let (high, low) = (HEX[usize::from(*high)], HEX[usize::from(*low)]);
    (high | low < 16).then_some((high << 4 | low, rest))
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
    fn values_of_a_name_are_joined_or_the_first_counts() {
        let mut params = Params::default();
        params.add_urlencoded(b"a=1&b=x&a=2&c=&a=");
        params.add_urlencoded(b"c=&d=1");
        params.join_repeated();
        assert_eq!((params.get("a"), params.first("a")), (Some("1,2,"), Some("1")));
        assert_eq!((params.get("b"), params.get("c"), params.first_non_blank("c")), (Some("x"), Some(","), None));
        assert_eq!((params.is_repeated("a"), params.is_repeated("d")), (true, false));
        params.set("a", "3");
        assert_eq!((params.get("a"), params.first("a")), (Some("3"), Some("3")));

        let mut many = Params::default();
        many.add_urlencoded((0..40).map(|i| format!("n{}={i}&", i % 39)).collect::<String>().as_bytes());
        many.join_repeated();
        assert_eq!((many.get("n0"), many.get("n1")), (Some("0,39"), Some("1")));
    }

    #[test]
    fn one_of_several_values_is_taken_as_a_hash_set_orders_them() {
        for (query, first, all) in [
            ("p=8080&p=", "", ",8080"),
            ("p=8080&p=8080", "8080", "8080"),
            ("p=b&p=a&p=c&p=a", "a", "a,b,c"),
            // Of one hash.
            ("p=Aa&p=BB", "Aa", "Aa,BB"),
        ] {
            let mut params = Params::default();
            params.add_urlencoded(query.as_bytes());
            params.join_repeated();
            params.set_repeated_apart();
            assert_eq!((params.first("p"), params.get("p")), (Some(first), Some(all)), "{query}");
        }
    }

    #[test]
    fn a_list_stands_for_its_name_unless_that_is_there() {
        for (query, want) in [
            ("tags[]=a&tags[]=b", Some("a,b")),
            ("tags%5B%5D=a", Some("a")),
            ("tags=x&tags[]=a", Some("x")),
            ("tags[0]=a&[]=b&tags]=c", None),
        ] {
            let mut params = Params::default();
            params.add_urlencoded(query.as_bytes());
            params.take_lists();
            params.join_repeated();
            assert_eq!(params.get("tags"), want, "{query}");
        }
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
    fn a_parameter_with_a_broken_escape_is_none() {
        for text in ["content=%zz", "content=a%", "content=%4", "con%tent=a", "content=100%&content=%"] {
            let mut params = Params::default();
            params.add_urlencoded(format!("dataId=d&{text}&group=G").as_bytes());
            assert_eq!(params.iter().collect::<Vec<_>>(), [("dataId", "d"), ("group", "G")], "{text}");
            assert!(params.broken()[0].starts_with("con"), "{text}");
        }
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

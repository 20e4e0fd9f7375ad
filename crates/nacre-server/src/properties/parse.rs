//! The text of a `.properties` file, read as `java.util.Properties` reads it.
//!
//! Natural lines end with LF, CR or CRLF. Leading white space is dropped, `#` and `!` open a comment, an odd number of
//! backslashes at the end continues the line (a continuation is never a comment, and its leading white space is dropped).
//! The key ends at the first unescaped `=`, `:` or white space. Trailing blanks of a value belong to the value.
//!
//! Java decodes the file as ISO-8859-1. A file that is valid UTF-8 is read as UTF-8 here, because nobody who typed such
//! text meant its ISO-8859-1 spelling; [`Text::utf8`] lets the caller say so. A byte order mark is dropped.

/// White space between tokens; nothing else counts, not even U+00A0.
const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{0C}')
}

/// One key with its value and the line (from 1) on which the key begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    pub line: u32,
}

/// A file as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pub entries: Vec<Entry>,
    /// A byte order mark stood at the beginning.
    pub bom: bool,
    /// First line with text outside ASCII that was read as UTF-8.
    pub utf8: Option<u32>,
}

/// What Java answers with `IllegalArgumentException: Malformed \uxxxx encoding.`
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \\u must be followed by four hexadecimal digits")]
pub struct MalformedEscape {
    pub line: u32,
}

/// Reads the bytes of a file.
pub fn parse_bytes(bytes: &[u8]) -> Result<Text, MalformedEscape> {
    let (bytes, bom) = match bytes.strip_prefix(b"\xEF\xBB\xBF") {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    let (text, utf8) = match std::str::from_utf8(bytes) {
        Ok(text) => (std::borrow::Cow::Borrowed(text), first_line_outside_ascii(bytes)),
        Err(_) => (bytes.iter().map(|&b| char::from(b)).collect::<String>().into(), None),
    };
    Ok(Text { entries: parse(&text)?, bom, utf8 })
}

fn first_line_outside_ascii(bytes: &[u8]) -> Option<u32> {
    // Comments do not count: what they say changes nothing.
    let outside = |part: &[u8]| {
        let comment = part.trim_ascii_start().first().is_some_and(|b| matches!(b, b'#' | b'!'));
        !comment && !part.is_ascii()
    };
    (1..).zip(bytes.split(|&b| b == b'\n')).find(|(_, part)| outside(part)).map(|(line, _)| line)
}

/// Reads text that is already decoded.
pub fn parse(text: &str) -> Result<Vec<Entry>, MalformedEscape> {
    let mut entries = Vec::new();
    let mut lines = Lines { rest: text, line: 1 };
    while let Some((line, logical)) = lines.next_logical() {
        let (key, value) = split(&logical);
        entries.push(Entry { key: unescape(key, line)?, value: unescape(value, line)?, line });
    }
    Ok(entries)
}

struct Lines<'a> {
    rest: &'a str,
    /// Number of the line that `rest` begins with.
    line: u32,
}

impl<'a> Lines<'a> {
    /// One line without its end.
    fn next_natural(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r'])).unwrap_or(rest);
        self.line = self.line.saturating_add(1);
        Some(line)
    }

    /// One logical line without leading white space, continuations joined; comments and blank lines are passed over.
    fn next_logical(&mut self) -> Option<(u32, String)> {
        loop {
            let number = self.line;
            let line = self.next_natural()?.trim_start_matches(is_blank);
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            if let Some(logical) = self.join(line) {
                return Some((number, logical));
            }
        }
    }

    /// `line` with its continuations. `None` when nothing stands in them: as long as the logical line is empty, a blank
    /// line or a comment ends it unseen (`java.util.Properties` since Java 9).
    fn join(&mut self, line: &str) -> Option<String> {
        let mut logical = String::new();
        let mut part = line;
        while ends_with_odd_backslashes(part) {
            // The backslash goes, also at the end of the file.
            logical.push_str(&part[..part.len() - 1]);
            let Some(next) = self.next_natural() else {
                return (!logical.is_empty()).then_some(logical);
            };
            part = next.trim_start_matches(is_blank);
            if logical.is_empty() && part.starts_with(['#', '!']) {
                return None;
            }
        }
        logical.push_str(part);
        (!logical.is_empty()).then_some(logical)
    }
}

fn ends_with_odd_backslashes(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

/// Key and value of a logical line, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (is_blank(c) || c == '=' || c == ':');
            escaped = c == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(text: &str, line: u32) -> Result<String, MalformedEscape> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // UTF-16 because two escapes may spell one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let mut buffer = [0u16; 2];
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut buffer));
            continue;
        }
        match chars.next() {
            None => {}
            Some('t') => units.push(0x09),
            Some('n') => units.push(0x0A),
            Some('r') => units.push(0x0D),
            Some('f') => units.push(0x0C),
            Some('u') => {
                let mut unit = 0u16;
                for _ in 0..4 {
                    let digit = chars.next().and_then(|c| c.to_digit(16)).ok_or(MalformedEscape { line })?;
                    unit = unit << 4 | u16::try_from(digit).unwrap_or_default();
                }
                units.push(unit);
            }
            Some(other) => units.extend_from_slice(other.encode_utf16(&mut buffer)),
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

/// Writes one entry so that [`parse`] reads it back, ASCII only, as `java.util.Properties.store` does.
pub fn write(key: &str, value: &str) -> String {
    let mut out = String::with_capacity(key.len() + value.len() + 1);
    escape(key, true, &mut out);
    out.push('=');
    escape(value, false, &mut out);
    out
}

fn escape(text: &str, key: bool, out: &mut String) {
    let mut leading = true;
    for c in text.chars() {
        match c {
            ' ' if key || leading => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{0C}' => out.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
        leading &= c == ' ';
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|e| (e.key, e.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?}: {all:?}");
        all.remove(0)
    }

    fn kv(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn first_unescaped_separator_ends_the_key() {
        assert_eq!(one("a=b=c:d"), kv("a", "b=c:d"));
        assert_eq!(one("a:b"), kv("a", "b"));
        assert_eq!(one("a b c"), kv("a", "b c"));
        assert_eq!(one("  a \t = \t b"), kv("a", "b"));
        assert_eq!(one("a : = b"), kv("a", "= b"));
        assert_eq!(one("a\\=b\\:c\\ d = e"), kv("a=b:c d", "e"));
        assert_eq!(one("=x"), kv("", "x"));
        assert_eq!(one("a"), kv("a", ""));
        assert_eq!(one("a="), kv("a", ""));
    }

    #[test]
    fn trailing_blanks_belong_to_the_value() {
        assert_eq!(one("a = b  \r\n"), kv("a", "b  "));
        assert_eq!(one("a = b\t"), kv("a", "b\t"));
        assert_eq!(one("a=\u{A0}b"), kv("a", "\u{A0}b"));
    }

    #[test]
    fn comments_and_blank_lines_are_passed_over() {
        assert_eq!(pairs("# c\n  ! d\r\n\r\n \t\n#x\\\na=1"), [kv("a", "1")]);
        assert_eq!(one("a=b # not a comment"), kv("a", "b # not a comment"));
        assert_eq!(one("a=#1"), kv("a", "#1"));
    }

    #[test]
    fn an_odd_number_of_backslashes_continues_the_line() {
        assert_eq!(one("a=b\\\n   c"), kv("a", "bc"));
        assert_eq!(one("a=b\\\r\n\tc\\\rd"), kv("a", "bcd"));
        assert_eq!(pairs("a=b\\\\\nc=d"), [kv("a", "b\\"), kv("c", "d")]);
        assert_eq!(one("a=b\\\n# still the value"), kv("a", "b# still the value"));
        assert_eq!(pairs("a=b\\\n   \nc=d"), [kv("a", "b"), kv("c", "d")]);
        assert_eq!(one("a=b\\"), kv("a", "b"));
        assert_eq!(one("a\\\n =b"), kv("a", "b"));
        assert_eq!(one("\\\n  a=b"), kv("a", "b"));
        assert_eq!(pairs("\\\n\n\\\n#c\nd=1\n\\"), [kv("d", "1")]);
    }

    #[test]
    fn escapes_are_javas() {
        assert_eq!(one(r"a=\t\n\r\f\\\x\U\!"), kv("a", "\t\n\r\u{0C}\\xU!"));
        assert_eq!(one(r"\u0061=\u4e2d\u6587\uD83D\uDE00"), kv("a", "中文😀"));
        assert_eq!(one(r"a=\ud83d!"), kv("a", "\u{FFFD}!"));
        assert_eq!(parse("ok=1\n\nb=\\u12G4"), Err(MalformedEscape { line: 3 }));
        assert_eq!(parse("b=\\u12"), Err(MalformedEscape { line: 1 }));
    }

    #[test]
    fn lines_are_counted_over_continuations_and_all_line_ends() {
        let lines: Vec<u32> = parse("a=1\r\n#\rb=\\\n 2\n\nc=3").unwrap().iter().map(|e| e.line).collect();
        assert_eq!(lines, [1, 3, 6]);
    }

    #[test]
    fn charset_is_utf8_where_valid_and_latin_1_otherwise() {
        let utf8 = parse_bytes("\u{FEFF}# 中\na=ü\n".as_bytes()).unwrap();
        assert_eq!((utf8.bom, utf8.utf8), (true, Some(2)));
        assert_eq!(utf8.entries[0].value, "ü");
        assert_eq!(utf8.entries[0].key, "a");
        let latin = parse_bytes(b"a=\xFC").unwrap();
        assert_eq!((latin.bom, latin.utf8, latin.entries[0].value.as_str()), (false, None, "ü"));
        assert_eq!(parse_bytes("# 中\na=b".as_bytes()).unwrap().utf8, None);
    }

    /// C092.
    #[test]
    fn c092_odd_values_are_read_exactly() {
        let file = "db.user.0=nacos  \r\ndb.password.0=p@ss#w%rd!=:1\\u0040 \r\n\
                    db.url.0=jdbc:mysql://192.0.2.9:3306/nacos?characterEncoding=utf8&\\\r\n    useSSL=false\r\n\
                    nacos.home : /opt/na cre\r\n! comment\r\nempty.value=\r\nwin.path=C:\\\\data\\\\x\r\n";
        assert_eq!(
            pairs(file),
            [
                kv("db.user.0", "nacos  "),
                kv("db.password.0", "p@ss#w%rd!=:1@ "),
                kv("db.url.0", "jdbc:mysql://192.0.2.9:3306/nacos?characterEncoding=utf8&useSSL=false"),
                kv("nacos.home", "/opt/na cre"),
                kv("empty.value", ""),
                kv("win.path", "C:\\data\\x"),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_bytes(&bytes);
        }

        #[test]
        fn any_syntax_is_read_without_a_panic(text in "([\\\\=: #!\r\n\tu0-9a-f]|\\PC){0,80}") {
            let _ = parse_bytes(text.as_bytes());
        }

        #[test]
        fn what_is_written_is_read_back(key in ".{0,30}", value in "(?s).{0,60}", after in "[a-z]{1,5}") {
            let text = format!("{}\n{after}=1\n", write(&key, &value));
            let read = pairs(&text);
            prop_assert_eq!(read, vec![(key, value), (after, "1".to_owned())]);
        }
    }
}

//! What callers are told about JSON that cannot be read, in the words of the reference's JSON reader: where it stumbled
//! and what it would have liked to see.

/// The reader quotes at most this much of the text.
const QUOTED: usize = 500;

/// Nobody reads what is wrong with a longer text, and only the hostile send one.
const LONGEST: usize = 64 * 1024;
/// Objects and arrays within each other; more is refused wherever JSON is read.
const DEPTH: usize = 128;

/// Why `text` is no object of the class `class`; `None` when its members make it unreadable, or it is too long to say.
pub fn complaint(text: &str, class: &str) -> Option<String> {
    stumble(text, '{', class)
}

/// The same of a list of such objects.
pub fn list_complaint(text: &str, class: &str) -> Option<String> {
    stumble(text, '[', &format!("java.util.ArrayList<{class}>"))
}

fn stumble(text: &str, wanted: char, class: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let mut reader = Reader { chars: text.chars().collect(), at: 0, opened: Vec::new() };
    reader.skip_blanks();
    let token = match reader.peek() {
        Some('[') if wanted != '[' => "Array value (token `JsonToken.START_ARRAY`)",
        Some('{') if wanted != '{' => "Object value (token `JsonToken.START_OBJECT`)",
        _ => return reader.value().err(),
    };
    let place = reader.place(reader.at);
    Some(format!("Cannot deserialize value of type `{class}` from {token}{place}"))
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    /// Where the open objects and arrays began.
    opened: Vec<(char, usize)>,
}

type Stumbled = Result<(), String>;

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = &self.chars[..at.min(self.chars.len())];
        let line = 1 + before.iter().filter(|c| **c == '\n').count();
        let column = 1 + before.iter().rev().take_while(|c| **c != '\n').count();
        (line, column)
    }

    fn source(&self) -> String {
        let quoted: String = self.chars.iter().take(QUOTED).collect();
        let more = self.chars.len().saturating_sub(QUOTED);
        if more == 0 {
            return format!("(String)\"{quoted}\"");
        }
        format!("(String)\"{quoted}\"[truncated {more} chars]")
    }

    fn place(&self, at: usize) -> String {
        let (line, column) = self.line_and_column(at);
        format!("\n at [Source: {}; line: {line}, column: {column}]", self.source())
    }

    fn unexpected<T>(&self, c: char, wanted: &str) -> Result<T, String> {
        let place = self.place(self.at);
        Err(format!("Unexpected character ('{c}' (code {})): {wanted}{place}", u32::from(c)))
    }

    fn ended<T>(&self, within: &str) -> Result<T, String> {
        Err(format!("Unexpected end-of-input{within}{}", self.place(self.at)))
    }

    fn not_closed<T>(&self) -> Result<T, String> {
        let Some((kind, start)) = self.opened.last() else { return self.ended("") };
        let (line, column) = self.line_and_column(*start);
        let kind = if *kind == '{' { "Object" } else { "Array" };
        self.ended(&format!(
            ": expected close marker for {kind} (start marker at [Source: {}; line: {line}, column: {column}])",
            self.source()
        ))
    }

    fn value(&mut self) -> Stumbled {
        self.skip_blanks();
        let Some(c) = self.peek() else { return self.not_closed() };
        if self.opened.len() >= DEPTH {
            return Err(format!("Document nesting depth exceeds the maximum allowed ({DEPTH}){}", self.place(self.at)));
        }
        match c {
            '{' => self.object(),
            '[' => self.array(),
            '"' => self.string(" in VALUE_STRING"),
            '-' | '0'..='9' => {
                while self.peek().is_some_and(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')) {
                    self.at += 1;
                }
                Ok(())
            }
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Stumbled {
        let start = self.at;
        let c = self.next().unwrap_or_default();
        if !(c.is_alphabetic() || c == '_' || c == '$') {
            const WANTED: &str =
                "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
            return self.unexpected(c, WANTED);
        }
        while self.peek().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$')) {
            self.at += 1;
        }
        let word: String = self.chars[start..self.at].iter().collect();
        if matches!(word.as_str(), "null" | "true" | "false") {
            return Ok(());
        }
        let place = self.place(self.at);
        Err(format!(
            "Unrecognized token '{word}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or \
             'false'){place}"
        ))
    }

    fn string(&mut self, within: &str) -> Stumbled {
        self.at += 1;
        loop {
            match self.next() {
                None => return self.ended(within),
                Some('"') => return Ok(()),
                Some('\\') => {
                    self.next();
                }
                Some(_) => {}
            }
        }
    }

    fn object(&mut self) -> Stumbled {
        self.opened.push(('{', self.at));
        self.at += 1;
        self.skip_blanks();
        if self.peek() != Some('}') {
            loop {
                self.skip_blanks();
                match self.peek() {
                    None => return self.not_closed(),
                    Some('"') => self.string(" in field name")?,
                    Some(c) => {
                        self.at += 1;
                        return self.unexpected(c, "was expecting double-quote to start field name");
                    }
                }
                self.skip_blanks();
                match self.next() {
                    None => return self.not_closed(),
                    Some(':') => {}
                    Some(c) => return self.unexpected(c, "was expecting a colon to separate field name and value"),
                }
                self.value()?;
                if self.closes('}', "was expecting comma to separate Object entries")? {
                    break;
                }
            }
        } else {
            self.at += 1;
        }
        self.opened.pop();
        Ok(())
    }

    fn array(&mut self) -> Stumbled {
        self.opened.push(('[', self.at));
        self.at += 1;
        self.skip_blanks();
        if self.peek() != Some(']') {
            loop {
                self.value()?;
                if self.closes(']', "was expecting comma to separate Array entries")? {
                    break;
                }
            }
        } else {
            self.at += 1;
        }
        self.opened.pop();
        Ok(())
    }

    fn closes(&mut self, end: char, wanted: &str) -> Result<bool, String> {
        self.skip_blanks();
        match self.next() {
            None => self.not_closed(),
            Some(',') => Ok(false),
            Some(c) if c == end => Ok(true),
            Some(c) => self.unexpected(c, wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{complaint, list_complaint};

    const CLASS: &str = "com.alibaba.nacos.naming.healthcheck.RsInfo";

    #[test]
    fn the_recorded_complaints_are_made() {
        for (text, said) in [
            (
                "{a",
                "Unexpected character ('a' (code 97)): was expecting double-quote to start field name\n at [Source: \
                 (String)\"{a\"; line: 1, column: 3]",
            ),
            (
                "{",
                "Unexpected end-of-input: expected close marker for Object (start marker at [Source: (String)\"{\"; \
                 line: 1, column: 1])\n at [Source: (String)\"{\"; line: 1, column: 2]",
            ),
            (
                "x",
                "Unrecognized token 'x': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or \
                 'false')\n at [Source: (String)\"x\"; line: 1, column: 2]",
            ),
            (
                "[]",
                "Cannot deserialize value of type `com.alibaba.nacos.naming.healthcheck.RsInfo` from Array value \
                 (token `JsonToken.START_ARRAY`)\n at [Source: (String)\"[]\"; line: 1, column: 1]",
            ),
        ] {
            assert_eq!(complaint(text, CLASS).as_deref(), Some(said), "{text}");
        }
        assert_eq!(
            list_complaint("{}", "x.Instance").as_deref(),
            Some(
                "Cannot deserialize value of type `java.util.ArrayList<x.Instance>` from Object value (token \
                 `JsonToken.START_OBJECT`)\n at [Source: (String)\"{}\"; line: 1, column: 1]"
            )
        );
        assert_eq!(list_complaint(r#"[{"ip":"1.1.1.1"}]"#, "x.Instance"), None);
        assert_eq!(complaint(r#"{"ip":"1.1.1.1","port":80,"metadata":{"a":[1,null]}}"#, CLASS), None);
    }

    #[test]
    fn deep_or_long_texts_cost_nothing() {
        assert!(complaint(&"{\"a\":".repeat(5_000), CLASS).is_some_and(|said| said.contains("nesting depth")));
        assert_eq!(complaint(&"[".repeat(1_000_000), CLASS), None);
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "\\PC{0,200}") {
            let _ = complaint(&text, CLASS);
        }

        #[test]
        fn any_json_like_text_has_an_answer(text in r#"[\{\}\[\]",:a1\\ \n]{0,200}"#) {
            let _ = complaint(&text, CLASS);
        }
    }
}

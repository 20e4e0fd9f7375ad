//! Java's types, and how the reference's framework reads their values.

use nacre_model::digits;

use crate::http::params::Params;

/// The type of a parameter in the reference, as its texts name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Java {
    /// `int`, of which an empty value is no value either.
    Int,
    Integer,
    Long,
    Float,
    PrimitiveFloat,
    Double,
    Boolean,
    /// `boolean`, of which an empty value is no value either.
    PrimitiveBoolean,
    Text,
}

impl Java {
    pub fn full(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Integer => "java.lang.Integer",
            Self::Long => "java.lang.Long",
            Self::Float => "java.lang.Float",
            Self::PrimitiveFloat => "float",
            Self::Double => "java.lang.Double",
            Self::Boolean => "java.lang.Boolean",
            Self::PrimitiveBoolean => "boolean",
            Self::Text => "java.lang.String",
        }
    }

    /// Without its package, as "is not present" texts have it.
    pub fn short(self) -> &'static str {
        self.full().rsplit('.').next().unwrap_or("")
    }

    /// The exception of a failed conversion.
    pub(super) fn exception(self) -> &'static str {
        match self {
            Self::Boolean | Self::PrimitiveBoolean => "java.lang.IllegalArgumentException",
            _ => "java.lang.NumberFormatException",
        }
    }

    /// Blank is a value of it: null.
    pub(super) fn nullable(self) -> bool {
        !matches!(self, Self::Int | Self::PrimitiveFloat | Self::PrimitiveBoolean)
    }
}

/// A value that is none of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// As sent; several values joined by commas.
    pub value: String,
    /// It was sent several times.
    pub several: bool,
    /// What the conversion says.
    pub complaint: String,
}

impl Unreadable {
    pub(super) fn given_type(&self) -> &'static str {
        if self.several { "java.lang.String[]" } else { "java.lang.String" }
    }
}

/// A number as Java reads it from a text without blanks; what is wrong with it otherwise.
pub trait Number: Sized {
    fn read(text: &str) -> Result<Self, String>;
}

impl Number for i64 {
    fn read(text: &str) -> Result<Self, String> {
        whole(text, Self::MIN..=Self::MAX)
    }
}

impl Number for i32 {
    fn read(text: &str) -> Result<Self, String> {
        let number = whole(text, i64::from(Self::MIN)..=i64::from(Self::MAX))?;
        Self::try_from(number).map_err(|_| no_number(text))
    }
}

impl Number for f64 {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty String".to_owned());
        }
        let bare = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
        let plain = bare.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
        // NaN and Infinity could be written in Java, and mean nothing here.
        let number = bare.parse().ok().filter(|number: &f64| plain && number.is_finite());
        number.ok_or_else(|| match bare.split(['e', 'E']).next() {
            Some(mantissa) if plain && mantissa.matches('.').count() > 1 => "multiple points".to_owned(),
            _ => no_number(text),
        })
    }
}

fn no_number(text: &str) -> String {
    format!("For input string: \"{text}\"")
}

/// Decimal, or hexadecimal behind `0x`, `0X` or `#`; digits of any script.
fn whole(text: &str, range: std::ops::RangeInclusive<i64>) -> Result<i64, String> {
    let (sign, bare) = match text.strip_prefix('-') {
        Some(bare) => ("-", bare),
        None => ("", text),
    };
    let hex = ["0x", "0X", "#"].iter().find_map(|prefix| bare.strip_prefix(prefix));
    let (digits, radix) = match hex {
        Some(digits) => (format!("{sign}{digits}"), 16),
        None => (text.to_owned(), 10),
    };
    let misplaced = hex.is_some_and(|digits| digits.starts_with(['-', '+']));
    let read = i64::from_str_radix(&digits::plain(&digits), radix).ok();
    read.filter(|number| !misplaced && range.contains(number)).ok_or_else(|| match radix {
        16 if misplaced => "Sign character in wrong position".to_owned(),
        16 => format!("{} under radix 16", no_number(&digits)),
        _ => no_number(text),
    })
}

/// What Java's `Character.isWhitespace` knows: no blank that forbids a line break.
fn is_blank(c: char) -> bool {
    match c {
        '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{85}' => false,
        '\u{1c}'..='\u{1f}' => true,
        c => c.is_whitespace(),
    }
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !is_blank(*c)).collect()
}

/// The number `name` of a request; `None` when absent, or blank for the nullable types. The first of several values
/// counts; if it cannot be read, all of them are told.
pub fn number<T: Number>(params: &Params, name: &str, java: Java) -> Result<Option<T>, Unreadable> {
    let Some(first) = params.first(name) else { return Ok(None) };
    if first.is_empty() && java.nullable() {
        return Ok(None);
    }
    if let Ok(number) = T::read(&bare(first)) {
        return Ok(Some(number));
    }
    let value = params.get(name).unwrap_or(first);
    let text = bare(value);
    if text.is_empty() && java.nullable() {
        return Ok(None);
    }
    T::read(&text).map(Some).map_err(|complaint| unreadable(params, name, value, complaint))
}

/// The truth value `name` of a request, likewise.
pub fn truth(params: &Params, name: &str, java: Java) -> Result<Option<bool>, Unreadable> {
    let Some(first) = params.first(name) else { return Ok(None) };
    if let Some(truth) = truth_word(first) {
        return Ok(Some(truth));
    }
    let value = params.get(name).unwrap_or(first);
    if java.nullable() && (first.trim().is_empty() || value.trim().is_empty()) {
        return Ok(None);
    }
    Err(unreadable(params, name, value, format!("Invalid boolean value [{value}]")))
}

fn unreadable(params: &Params, name: &str, value: &str, complaint: String) -> Unreadable {
    Unreadable { value: value.to_owned(), several: params.is_repeated(name), complaint }
}

/// The ids of a list: the parts of one value, or several values. Blank ones are left out.
pub fn ids(params: &Params, name: &str) -> Result<Vec<u64>, Unreadable> {
    let several = params.is_repeated(name);
    let value = params.get(name).unwrap_or("");
    let parts: Vec<String> = match several {
        true => params.all(name).map(bare).collect(),
        false => value.split(',').map(bare).collect(),
    };
    let ids = parts.iter().filter(|part| !part.is_empty());
    // The whole of one value is told, but only the one of several.
    let read =
        |part: &String| i64::read(part).map_err(|complaint| if several { complaint } else { no_number(&bare(value)) });
    let ids: Result<Vec<i64>, String> = ids.map(read).collect();
    let ids = ids.map_err(|complaint| unreadable(params, name, value, complaint))?;
    // No row has a number below zero.
    Ok(ids.into_iter().filter_map(|id| u64::try_from(id).ok()).collect())
}

/// Spring's words for truth.
fn truth_word(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let mut params = Params::default();
        params.add_urlencoded(query.as_bytes());
        params.join_repeated();
        params
    }

    #[test]
    fn numbers_are_read_as_the_framework_reads_them() {
        for (value, want) in [
            ("+1", 1),
            ("1%202", 12),
            ("%09-7%E3%80%80", -7),
            ("010", 10),
            ("0x1F", 31),
            ("-0X1f", -31),
            ("%23ff", 255),
            ("%EF%BC%91%EF%BC%92", 12),
        ] {
            let query = format!("n={}", value.replace('+', "%2B"));
            assert_eq!(number::<i32>(&params(&query), "n", Java::Int), Ok(Some(want)), "{value}");
        }
    }

    #[test]
    fn what_is_no_number_is_told_without_its_blanks() {
        for (value, complaint) in [
            ("%20x%20", "For input string: \"x\""),
            ("0xzz", "For input string: \"zz\" under radix 16"),
            ("-%23", "For input string: \"-\" under radix 16"),
            ("0x-1", "Sign character in wrong position"),
            ("2147483648", "For input string: \"2147483648\""),
            ("1.5", "For input string: \"1.5\""),
            ("%C2%A01", "For input string: \"\u{a0}1\""),
            ("", "For input string: \"\""),
            ("x&n=2", "For input string: \"x,2\""),
            ("&n=2", "For input string: \",2\""),
        ] {
            let refused = number::<i32>(&params(&format!("n={value}")), "n", Java::Int).expect_err(value);
            assert_eq!((refused.complaint.as_str(), refused.several), (complaint, value.contains('&')), "{value}");
        }
    }

    #[test]
    fn the_first_of_several_numbers_counts() {
        assert_eq!(number::<i32>(&params("n=2&n=x"), "n", Java::Int), Ok(Some(2)));
        assert_eq!(number::<i32>(&params("n=&n=3"), "n", Java::Integer), Ok(None));
        assert_eq!(number::<i64>(&params("n=%20"), "n", Java::Long), Ok(None));
        assert_eq!(truth(&params("n=off&n=x"), "n", Java::PrimitiveBoolean), Ok(Some(false)));
    }

    #[test]
    fn fractions_are_javas() {
        let read = |text| f64::read(text);
        assert_eq!((read("1.5f"), read("-2e3"), read(".5D")), (Ok(1.5), Ok(-2e3), Ok(0.5)));
        assert_eq!(read("1..2"), Err("multiple points".to_owned()));
        assert_eq!(read(""), Err("empty String".to_owned()));
        assert_eq!((read("inf").is_err(), read("0x1").is_err(), read("1f2").is_err()), (true, true, true));
    }

    #[test]
    fn lists_of_ids_tell_what_is_none() {
        assert_eq!(ids(&params("i=1,%202,,0x3"), "i"), Ok(vec![1, 2, 3]));
        assert_eq!(ids(&params("i=1&i=2"), "i"), Ok(vec![1, 2]));
        assert_eq!(ids(&params("i="), "i"), Ok(vec![]));
        let complaint = |query| ids(&params(query), "i").expect_err(query).complaint;
        assert_eq!(complaint("i=1,a%20c"), "For input string: \"1,ac\"");
        assert_eq!(complaint("i=1&i=2,3"), "For input string: \"2,3\"");
    }
}

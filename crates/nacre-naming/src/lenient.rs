//! JSON as the reference's reader takes it: numbers as text and texts as numbers, truth values as either, and no look at what
//! follows.

use std::sync::Arc;

use nacre_model::digits;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The JSON at the beginning of a text; as in the reference what follows it is not looked at.
pub fn first_json<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    T::deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// An `int` of the reference: also from a fraction, which is cut off, and from text; null and blank are 0.
pub fn whole(value: &serde_json::Value) -> Option<i32> {
    match value {
        serde_json::Value::Null => Some(0),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => i32::try_from(number).ok(),
            None => number.as_f64().filter(|number| number.abs() < f64::from(i32::MAX)).map(|number| number as i32),
        },
        serde_json::Value::String(text) => match text.trim() {
            "" | "null" => Some(0),
            text => digits::plain(text).parse().ok(),
        },
        _ => None,
    }
}

/// A `double` of the reference: also from text; null and blank are 0.
pub fn decimal(value: &serde_json::Value) -> Option<f64> {
    match value {
        serde_json::Value::Null => Some(0.0),
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => match text.trim() {
            "" | "null" => Some(0.0),
            text => text.parse::<f64>().ok().filter(|number| number.is_finite()),
        },
        _ => None,
    }
}

/// A primitive boolean of the reference: null is false.
pub fn truth(value: &serde_json::Value) -> Option<bool> {
    match value {
        serde_json::Value::Bool(flag) => Some(*flag),
        serde_json::Value::Null => Some(false),
        serde_json::Value::Number(number) => number.as_i64().map(|number| number != 0),
        serde_json::Value::String(text) => match text.trim() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a text says yes: `y`, `yes`, `on`, `true` or `t` in any case. Everything else is a no.
pub fn yes(text: &str) -> bool {
    ["y", "yes", "on", "true", "t"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// A value of a map of texts: numbers and truth values as they are written (`1.50`, `1e3`), null as nothing.
pub fn scalar(value: &RawValue) -> Option<Arc<str>> {
    match value.get().as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(value.get()).ok().map(Arc::from),
        b'{' | b'[' => None,
        b'n' => Some("".into()),
        _ => Some(value.get().into()),
    }
}

//! JSON as the reference's Jackson reads it: unknown keys ignored, the last of repeated keys wins, scalars converted
//! (`"8080"` to a number, `1` to text), `null` is the default of a primitive, text after a complete object is ignored.
//!
//! [`parse`] reads a body; the `body!` macro declares one. A field's type says how it is read ([`Lenient`]).

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The one text with which the reference answers every body it cannot read (two blanks at the end).
pub const DESERIALIZE_FAILED: &str = "errCode: 101, errMsg: Nacos deserialize failed.  ";
/// The text for a body that is JSON `null`.
pub const INVALID_REQUEST: &str = "Invalid request";

/// Reads a body; the error is the message of the 502 that answers it.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, &'static str> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_| DESERIALIZE_FAILED)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde::Deserialize::deserialize(&mut deserializer) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(INVALID_REQUEST),
        Err(_) => Err(DESERIALIZE_FAILED),
    }
}

/// A type that can be read leniently.
pub trait Lenient<'de>: Sized {
    fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// Carries a [`Lenient`] through serde.
pub struct Read<T>(pub T);

impl<'de, T: Lenient<'de>> serde::Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(Read)
    }
}

/// Turns any JSON scalar into `T`; objects and arrays are refused.
struct Scalar<T>(PhantomData<T>);

/// How each kind of scalar becomes a value; `None` refuses.
trait FromScalar: Sized {
    fn null() -> Self;
    fn text(text: &str) -> Option<Self>;
    fn owned(text: String) -> Option<Self> {
        Self::text(&text)
    }
    fn boolean(value: bool) -> Option<Self>;
    fn integer(value: i128) -> Option<Self>;
    fn float(value: f64) -> Option<Self>;
}

impl<T: FromScalar> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::null())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::text(text).ok_or_else(|| E::custom("text"))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<T, E> {
        T::owned(text).ok_or_else(|| E::custom("text"))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        T::boolean(value).ok_or_else(|| E::custom("boolean"))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::integer(value.into()).ok_or_else(|| E::custom("integer"))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::integer(value.into()).ok_or_else(|| E::custom("integer"))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        T::float(value).ok_or_else(|| E::custom("float"))
    }
}

/// Jackson takes blank text and the word `null` for a primitive's default.
fn is_default_text(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text == "null"
}

impl FromScalar for Option<String> {
    fn null() -> Self {
        None
    }
    fn text(text: &str) -> Option<Self> {
        Some(Some(text.to_owned()))
    }
    fn owned(text: String) -> Option<Self> {
        Some(Some(text))
    }
    fn boolean(value: bool) -> Option<Self> {
        Some(Some(value.to_string()))
    }
    fn integer(value: i128) -> Option<Self> {
        Some(Some(value.to_string()))
    }
    fn float(value: f64) -> Option<Self> {
        Some(Some(format!("{value:?}")))
    }
}

impl FromScalar for Option<Arc<str>> {
    fn null() -> Self {
        None
    }
    fn text(text: &str) -> Option<Self> {
        Some(Some(text.into()))
    }
    fn boolean(value: bool) -> Option<Self> {
        Some(Some(value.to_string().into()))
    }
    fn integer(value: i128) -> Option<Self> {
        Some(Some(value.to_string().into()))
    }
    fn float(value: f64) -> Option<Self> {
        Some(Some(format!("{value:?}").into()))
    }
}

impl FromScalar for bool {
    fn null() -> Self {
        false
    }
    fn text(text: &str) -> Option<Self> {
        match text.trim() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            other => is_default_text(other).then_some(false),
        }
    }
    fn boolean(value: bool) -> Option<Self> {
        Some(value)
    }
    fn integer(value: i128) -> Option<Self> {
        Some(value != 0)
    }
    fn float(_: f64) -> Option<Self> {
        None
    }
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl FromScalar for $int {
            fn null() -> Self {
                0
            }
            fn text(text: &str) -> Option<Self> {
                if is_default_text(text) { Some(0) } else { text.trim().parse().ok() }
            }
            fn boolean(_: bool) -> Option<Self> {
                None
            }
            fn integer(value: i128) -> Option<Self> {
                value.try_into().ok()
            }
            /// Cut towards zero, as Jackson does.
            fn float(value: f64) -> Option<Self> {
                let cut = value.trunc();
                (cut >= <$int>::MIN as f64 && cut <= <$int>::MAX as f64).then_some(cut as $int)
            }
        }
    )*};
}

integers!(i32, i64);

impl FromScalar for f64 {
    fn null() -> Self {
        0.0
    }
    fn text(text: &str) -> Option<Self> {
        match text.trim() {
            "NaN" => Some(f64::NAN),
            "Infinity" | "INF" => Some(f64::INFINITY),
            "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
            other if is_default_text(other) => Some(0.0),
            other => other.parse().ok().filter(|value: &f64| value.is_finite()),
        }
    }
    fn boolean(_: bool) -> Option<Self> {
        None
    }
    fn integer(value: i128) -> Option<Self> {
        Some(value as f64)
    }
    fn float(value: f64) -> Option<Self> {
        Some(value)
    }
}

macro_rules! scalars {
    ($($ty:ty),*) => {$(
        impl<'de> Lenient<'de> for $ty {
            fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Scalar(PhantomData))
            }
        }
    )*};
}

scalars!(Option<String>, Option<Arc<str>>, Word, bool, i32, i64, f64);

/// A map of texts; `None` for `null`. Null values are dropped: no map of ours may hold one.
pub type Texts = Option<BTreeMap<String, String>>;

/// A map of texts in the form in which the registry keeps it.
pub type SharedTexts = Option<Arc<BTreeMap<Arc<str>, Arc<str>>>>;

/// Reads a map of texts; `K` and `V` are the kinds of text.
struct Map<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for Map<K, V>
where
    K: for<'k> From<&'k str> + Ord,
    Option<V>: Lenient<'de>,
{
    type Value = Option<BTreeMap<K, V>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of texts")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some(Key(key)) = map.next_key()? {
            match map.next_value::<Read<Option<V>>>()?.0 {
                Some(text) => texts.insert(K::from(&key), text),
                None => texts.remove(&K::from(&key)),
            };
        }
        Ok(Some(texts))
    }
}

impl<'de> Lenient<'de> for Texts {
    fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Map(PhantomData))
    }
}

impl<'de> Lenient<'de> for SharedTexts {
    fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Map(PhantomData)).map(|texts| texts.map(Arc::new))
    }
}

/// A list; `None` for `null`.
pub type List<T> = Option<Vec<T>>;

impl<'de, T: Lenient<'de>> Lenient<'de> for List<T> {
    fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Seq<T>(PhantomData<T>);
        impl<'de, T: Lenient<'de>> Visitor<'de> for Seq<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_unit<E: Error>(self) -> Result<List<T>, E> {
                Ok(None)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(Read(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Some(items))
            }
        }
        from.deserialize_any(Seq(PhantomData))
    }
}

/// An object declared by `body!`; `None` for `null`.
impl<'de, T: Object<'de>> Lenient<'de> for Option<T> {
    fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Object<'de>> Visitor<'de> for Fields<T> {
            type Value = Option<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
                Ok(None)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
                let mut object = T::default();
                while let Some(Key(key)) = map.next_key()? {
                    object.field(&key, &mut map)?;
                }
                Ok(Some(object))
            }
        }
        from.deserialize_any(Fields(PhantomData))
    }
}

/// A member's name, borrowed from the text unless it holds escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E: Error>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        from.deserialize_str(Name)
    }
}

/// Anything, thrown away: fields whose presence alone matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anything;

impl<'de> Lenient<'de> for Anything {
    fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_ignored_any(IgnoredAny).map(|_| Self)
    }
}

/// A text, thrown away: fields that matter only in that what is no text is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word;

impl FromScalar for Word {
    fn null() -> Self {
        Self
    }
    fn text(_: &str) -> Option<Self> {
        Some(Self)
    }
    fn boolean(_: bool) -> Option<Self> {
        Some(Self)
    }
    fn integer(_: i128) -> Option<Self> {
        Some(Self)
    }
    fn float(_: f64) -> Option<Self> {
        Some(Self)
    }
}

/// What `body!` implements: takes one member of a JSON object.
pub trait Object<'de>: Default {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Declares a body: `field: type = "jsonKey" [, default]`. Missing keys keep the default.
macro_rules! body {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty = $key:literal $(, $default:expr)?;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: body!(@default $($default)?),)* }
            }
        }

        impl<'de> $crate::grpc::lenient::Object<'de> for $name {
            fn field<A: serde::de::MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                match key {
                    $($key => self.$field = map.next_value::<$crate::grpc::lenient::Read<$ty>>()?.0,)*
                    _ => {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    }
                }
                Ok(())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            /// Objects only; use [`parse`](crate::grpc::lenient::parse), which knows `null` too.
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <Option<Self> as $crate::grpc::lenient::Lenient>::read(from)?
                    .ok_or_else(|| serde::de::Error::custom("null"))
            }
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}

pub(crate) use body;

#[cfg(test)]
mod tests {
    use super::*;

    body! {
        Sample {
            text: Option<String> = "text";
            port: i32 = "port";
            long: i64 = "long";
            weight: f64 = "weight", 1.0;
            on: bool = "on", true;
            map: Texts = "map", Some(BTreeMap::new());
            shared: SharedTexts = "shared";
            list: List<Option<String>> = "list";
            inner: Option<Inner> = "inner";
            word: Word = "word";
        }
    }

    body! {
        Inner { n: i32 = "n", 7; }
    }

    fn sample(text: &str) -> Sample {
        parse(text.as_bytes()).unwrap()
    }

    fn refused(text: &str) -> bool {
        parse::<Sample>(text.as_bytes()) == Err(DESERIALIZE_FAILED)
    }

    #[test]
    fn scalars_are_converted() {
        let got = sample(r#"{"text":1,"port":"8080","long":"-9","weight":"2","on":"true"}"#);
        assert_eq!((got.text.as_deref(), got.port, got.long, got.weight, got.on), (Some("1"), 8080, -9, 2.0, true));
        assert_eq!(sample(r#"{"text":true}"#).text.as_deref(), Some("true"));
        assert_eq!(sample(r#"{"text":1.5}"#).text.as_deref(), Some("1.5"));
        assert_eq!(sample(r#"{"port":7.9}"#).port, 7);
        assert!(sample(r#"{"on":3}"#).on);
    }

    #[test]
    fn null_and_blank_are_defaults_of_primitives() {
        let got = sample(r#"{"text":null,"port":null,"weight":null,"on":null,"map":null,"list":null,"inner":null}"#);
        assert_eq!((got.text, got.port, got.weight, got.on), (None, 0, 0.0, false));
        assert_eq!((got.map, got.list, got.inner), (None, None, None));
        assert_eq!(sample(r#"{"port":" "}"#).port, 0);
    }

    #[test]
    fn missing_keys_keep_their_default_and_unknown_ones_are_ignored() {
        let got = sample(r#"{"unknown":{"deep":[1,{"x":null}]},"module":5}"#);
        assert_eq!(got, Sample::default());
        assert_eq!((got.weight, got.on), (1.0, true));
        assert_eq!(sample(r#"{"inner":{}}"#).inner, Some(Inner { n: 7 }));
    }

    #[test]
    fn the_last_of_repeated_keys_wins() {
        assert_eq!(sample(r#"{"port":1,"port":2}"#).port, 2);
    }

    #[test]
    fn maps_take_scalars_and_drop_nulls() {
        let map = sample(r#"{"map":{"n":5,"b":true,"s":"x","z":null}}"#).map.unwrap();
        let want = [("b", "true"), ("n", "5"), ("s", "x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(map, BTreeMap::from(want));
        let shared = sample(r#"{"shared":{"n":5,"b":true,"s":"x","z":"y","z":null}}"#).shared.unwrap();
        let shared = shared.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        assert_eq!(shared.collect::<BTreeMap<_, _>>(), map);
    }

    #[test]
    fn lists_keep_nulls() {
        assert_eq!(sample(r#"{"list":["a",null,1]}"#).list.unwrap(), [Some("a".into()), None, Some("1".into())]);
    }

    #[test]
    fn wrong_shapes_are_refused_with_the_constant_text() {
        for text in [
            "",
            "{",
            "[]",
            "7",
            "\"text\"",
            r#"{"text":{"a":1}}"#,
            r#"{"inner":[1]}"#,
            r#"{"list":{}}"#,
            r#"{"port":"x"}"#,
            r#"{"port":true}"#,
            r#"{"port":3000000000}"#,
            r#"{"on":"yes"}"#,
            r#"{"map":[1]}"#,
            r#"{"word":{}}"#,
            r#"{"word":[]}"#,
        ] {
            assert!(refused(text), "{text}");
        }
        assert_eq!(parse::<Sample>(b"\xff\xff"), Err(DESERIALIZE_FAILED));
    }

    #[test]
    fn null_is_an_invalid_request() {
        assert_eq!(parse::<Sample>(b"null"), Err(INVALID_REQUEST));
    }

    #[test]
    fn text_after_the_object_and_a_byte_order_mark_are_ignored() {
        assert_eq!(sample("{\"port\":1} trailing").port, 1);
        assert_eq!(sample("\u{feff}{\"port\":1}").port, 1);
    }

    #[test]
    fn escaped_surrogate_pairs_are_one_character() {
        assert_eq!(sample(r#"{"text":"\uD83D\uDE00"}"#).text.as_deref(), Some("😀"));
    }
}

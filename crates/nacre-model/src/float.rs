//! Serde of numbers that callers may send as NaN or infinity (`weight=NaN` is a number to Java). JSON has no word for
//! them and serde_json writes `null`, which reads back as an error; here they are text, as Jackson writes them.
//!
//! `#[serde(with = "nacre_model::float")]`, and `float::option` for an `Option<f64>`.

use serde::{Deserialize, Deserializer, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Number(f64),
    Text(String),
}

pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        value if value.is_finite() => serializer.serialize_f64(value),
        value if value.is_nan() => serializer.serialize_str("NaN"),
        value if value > 0.0 => serializer.serialize_str("Infinity"),
        _ => serializer.serialize_str("-Infinity"),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Stored::deserialize(deserializer)? {
        Stored::Number(value) => Ok(value),
        Stored::Text(text) => text.parse().map_err(|_| serde::de::Error::custom(format!("no number: {text:?}"))),
    }
}

pub mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    struct Float(f64);

    impl Serialize for Float {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            super::serialize(&self.0, serializer)
        }
    }

    impl<'de> Deserialize<'de> for Float {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            super::deserialize(deserializer).map(Self)
        }
    }

    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Float).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Float>::deserialize(deserializer)?.map(|float| float.0))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "super")]
        plain: f64,
        #[serde(with = "super::option", default)]
        maybe: Option<f64>,
    }

    #[test]
    fn every_float_reads_back() {
        for value in [0.0, -0.0, 1.5, 1e308, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for maybe in [Some(value), None] {
                let text = serde_json::to_string(&Both { plain: value, maybe }).unwrap();
                let read: Both = serde_json::from_str(&text).unwrap();
                assert_eq!(read.plain.to_bits(), value.to_bits(), "{text}");
                assert_eq!(read.maybe.map(f64::to_bits), maybe.map(f64::to_bits), "{text}");
            }
        }
        assert_eq!(
            serde_json::to_string(&Both { plain: f64::NAN, maybe: None }).unwrap(),
            r#"{"plain":"NaN","maybe":null}"#
        );
        assert_eq!(serde_json::from_str::<Both>(r#"{"plain":1}"#).unwrap().plain, 1.0);
        assert!(serde_json::from_str::<Both>(r#"{"plain":"many"}"#).is_err());
    }
}

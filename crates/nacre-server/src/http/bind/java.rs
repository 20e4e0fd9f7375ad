//! The Java types that parameters are converted to, and how the framework reads their values.

/// Java types as the texts name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Java {
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

    /// The exception of a failed conversion and its message.
    pub(super) fn complaint(self, value: &str) -> (&'static str, String) {
        match self {
            Self::Boolean | Self::PrimitiveBoolean => {
                ("java.lang.IllegalArgumentException", format!("Invalid boolean value [{value}]"))
            }
            _ => ("java.lang.NumberFormatException", format!("For input string: \"{value}\"")),
        }
    }

    fn range(self) -> std::ops::RangeInclusive<i64> {
        if self == Self::Long { i64::MIN..=i64::MAX } else { i64::from(i32::MIN)..=i64::from(i32::MAX) }
    }

    pub(super) fn number(self, text: &str) -> Option<i64> {
        text.trim().parse().ok().filter(|number| self.range().contains(number))
    }
}

/// Spring's words for truth.
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

//! What callers are told when a parameter is missing or cannot be converted: the texts of the web framework the
//! reference stands on. Clients never parse them, people and recordings compare them.

use nacre_model::{ErrorCode, NacosError};

use crate::http::{bind, params::Params, refuse::Refusal, table::Generation};

/// The Java type a parameter is converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    /// `boolean`, of which an empty value is no value either.
    PrimitiveBoolean,
    Integer,
    PrimitiveInt,
    Float,
    PrimitiveFloat,
    Double,
    Text,
}

impl Kind {
    /// The name without its package, as "is not present" texts have it.
    fn short(self) -> &'static str {
        match self {
            Self::Boolean => "Boolean",
            Self::PrimitiveBoolean => "boolean",
            Self::Integer => "Integer",
            Self::PrimitiveInt => "int",
            Self::Float => "Float",
            Self::PrimitiveFloat => "float",
            Self::Double => "Double",
            Self::Text => "String",
        }
    }

    fn full(self) -> String {
        match self {
            Self::PrimitiveBoolean | Self::PrimitiveInt | Self::PrimitiveFloat => self.short().to_owned(),
            _ => format!("java.lang.{}", self.short()),
        }
    }

    /// The exception of a failed conversion and its message.
    fn complaint(self, value: &str) -> (&'static str, String) {
        match self {
            Self::Boolean | Self::PrimitiveBoolean => {
                ("java.lang.IllegalArgumentException", format!("Invalid boolean value [{value}]"))
            }
            _ => ("java.lang.NumberFormatException", format!("For input string: \"{value}\"")),
        }
    }
}

/// A hand-read parameter of v1 is missing.
pub fn param_required(name: &str) -> NacosError {
    NacosError::invalid(format!("Param '{name}' is required."))
}

/// A declared parameter of v1 naming is missing.
pub fn parameter_missing(name: &str) -> NacosError {
    NacosError::invalid(format!("Parameter '{name}' is missing"))
}

/// A declared parameter of v2 or v3 is missing.
pub fn request_parameter_missing(name: &str, kind: Kind) -> NacosError {
    bind::api_missing(name, kind.short())
}

/// A field of a v2 or v3 form is missing.
pub fn field_missing(name: &str, kind: Kind) -> NacosError {
    let kind = kind.short();
    NacosError::new(
        400,
        ErrorCode::PARAMETER_MISSING,
        format!("Required parameter '{name}' type {kind} is not present"),
    )
}

/// A declared parameter cannot be converted.
pub fn not_convertible(generation: Generation, name: &str, kind: Kind, value: &str) -> Refusal {
    let (exception, complaint) = kind.complaint(value);
    let full = kind.full();
    let message = match generation {
        Generation::V1 | Generation::V2 => format!(
            "Failed to convert value of type 'java.lang.String' to required type '{full}'; nested exception is \
             {exception}: {complaint}"
        ),
        _ => format!(
            "Method parameter '{name}': Failed to convert value of type 'java.lang.String' to required type '{full}'; \
             {complaint}"
        ),
    };
    Refusal::Exception { message, cause: Some(complaint) }
}

/// A field of the form `form` cannot be converted.
pub fn field_not_convertible(generation: Generation, form: &str, name: &str, kind: Kind, value: &str) -> Refusal {
    let (exception, complaint) = kind.complaint(value);
    let full = kind.full();
    let nested = match generation {
        Generation::V1 | Generation::V2 => format!("nested exception is {exception}: {complaint}"),
        _ => complaint.clone(),
    };
    let field = format!(
        "Field error in object '{form}' on field '{name}': rejected value [{value}]; codes [typeMismatch.{form}.{name},\
         typeMismatch.{name},typeMismatch.{full},typeMismatch]; arguments [org.springframework.context.support.\
         DefaultMessageSourceResolvable: codes [{form}.{name},{name}]; arguments []; default message [{name}]]; default \
         message [Failed to convert property value of type 'java.lang.String' to required type '{full}' for property \
         '{name}'; {nested}]"
    );
    let message = match generation {
        Generation::V1 | Generation::V2 => {
            format!("org.springframework.validation.BeanPropertyBindingResult: 1 errors\n{field}")
        }
        _ => format!("Validation failed for argument [0] in public {form}: [{field}] "),
    };
    Refusal::Exception { message, cause: Some(complaint) }
}

/// The framework's reading of a number; blank is `None`, unreadable `Some(Err)`.
pub fn number<T: std::str::FromStr>(text: Option<&str>) -> Option<Result<T, String>> {
    let text = text?;
    let trimmed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if trimmed.is_empty() {
        return None;
    }
    Some(trimmed.parse().map_err(|_| text.to_owned()))
}

/// The framework's reading of a truth value; blank is `None`, unreadable `Some(Err)`.
pub fn truth(text: Option<&str>) -> Option<Result<bool, String>> {
    let text = text?;
    if text.trim().is_empty() {
        return None;
    }
    Some(bind::truth(text).ok_or_else(|| text.to_owned()))
}

/// Reads the fields of one form object (v2, v3): conversions fail with the form's name.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    pub params: &'a Params,
    pub generation: Generation,
    /// The form's name in the reference, e.g. `instanceForm`.
    pub name: &'static str,
}

impl<'a> Form<'a> {
    pub fn text(&self, field: &str, default: &'a str) -> &'a str {
        self.params.get(field).filter(|text| !text.trim().is_empty()).unwrap_or(default)
    }

    pub fn required(&self, field: &str) -> Result<&'a str, Refusal> {
        self.params.non_blank(field).ok_or_else(|| field_missing(field, Kind::Text).into())
    }

    pub fn number<T: std::str::FromStr>(&self, field: &str, kind: Kind) -> Result<Option<T>, Refusal> {
        number(self.params.get(field))
            .transpose()
            .map_err(|text| field_not_convertible(self.generation, self.name, field, kind, &text))
    }

    pub fn truth(&self, field: &str, kind: Kind) -> Result<Option<bool>, Refusal> {
        truth(self.params.get(field))
            .transpose()
            .map_err(|text| field_not_convertible(self.generation, self.name, field, kind, &text))
    }
}

/// Reads declared parameters (v1 naming's annotated ones, v2, v3): missing and unreadable ones have other texts than a
/// form's fields.
#[derive(Clone, Copy)]
pub struct Declared<'a> {
    pub params: &'a Params,
    pub generation: Generation,
}

impl<'a> Declared<'a> {
    /// A required text. An empty value counts as given.
    pub fn required(&self, name: &str) -> Result<&'a str, Refusal> {
        self.params.get(name).ok_or_else(|| self.missing(name, Kind::Text))
    }

    pub fn missing(&self, name: &str, kind: Kind) -> Refusal {
        match self.generation {
            Generation::V1 => parameter_missing(name).into(),
            _ => request_parameter_missing(name, kind).into(),
        }
    }

    pub fn number<T: std::str::FromStr>(&self, name: &str, kind: Kind) -> Result<Option<T>, Refusal> {
        number(self.params.get(name)).transpose().map_err(|text| not_convertible(self.generation, name, kind, &text))
    }

    pub fn required_number<T: std::str::FromStr>(&self, name: &str, kind: Kind) -> Result<T, Refusal> {
        self.number(name, kind)?.ok_or_else(|| self.missing(name, kind))
    }

    pub fn truth(&self, name: &str, kind: Kind) -> Result<Option<bool>, Refusal> {
        truth(self.params.get(name)).transpose().map_err(|text| not_convertible(self.generation, name, kind, &text))
    }

    pub fn required_truth(&self, name: &str, kind: Kind) -> Result<bool, Refusal> {
        self.truth(name, kind)?.ok_or_else(|| self.missing(name, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Params {
        let mut params = Params::default();
        params.add_urlencoded(text.as_bytes());
        params
    }

    #[test]
    fn conversions_fail_with_the_frameworks_words() {
        let params = params("pageSize=x&healthy=maybe&heartBeat=x");
        let read = |generation| Declared { params: &params, generation };
        let text = |refusal: Refusal| match refusal {
            Refusal::Exception { message, .. } => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            text(read(Generation::V2).number::<i32>("pageSize", Kind::Integer).expect_err("no number")),
            "Failed to convert value of type 'java.lang.String' to required type 'java.lang.Integer'; nested exception \
             is java.lang.NumberFormatException: For input string: \"x\""
        );
        assert_eq!(
            text(read(Generation::V3Client).truth("heartBeat", Kind::PrimitiveBoolean).expect_err("no truth")),
            "Method parameter 'heartBeat': Failed to convert value of type 'java.lang.String' to required type \
             'boolean'; Invalid boolean value [x]"
        );
        let form = Form { params: &params, generation: Generation::V2, name: "updateHealthForm" };
        assert!(text(form.truth("healthy", Kind::Boolean).expect_err("no truth")).ends_with(
            "for property 'healthy'; nested exception is java.lang.IllegalArgumentException: Invalid boolean value [maybe]]"
        ));
    }

    #[test]
    fn blank_numbers_and_truths_are_absent() {
        let params = params("a=&b=%20&c=%201%20&d=ON");
        let read = Declared { params: &params, generation: Generation::V2 };
        assert_eq!(read.number::<i32>("a", Kind::Integer), Ok(None));
        assert_eq!(read.number::<i32>("b", Kind::Integer), Ok(None));
        assert_eq!(read.number::<i32>("c", Kind::Integer), Ok(Some(1)));
        assert_eq!(read.truth("d", Kind::Boolean), Ok(Some(true)));
    }
}

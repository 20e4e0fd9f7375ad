//! Reading whole forms and declared parameters, as naming does in all generations: blank is absent, and what cannot be read
//! is told in the words of the generation.

use super::{
    Java,
    java::{self, Number},
    words::{api_missing, converted_to_null, field_missing, field_not_convertible, not_convertible, parameter_missing},
};
use crate::http::{params::Params, refuse::Refusal, table::Generation};

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
        self.params.non_blank(field).ok_or_else(|| field_missing(field, Java::Text).into())
    }

    pub fn number<T: Number>(&self, field: &str, java: Java) -> Result<Option<T>, Refusal> {
        java::number(self.params, field, java)
            .map_err(|value| field_not_convertible(self.generation, self.name, field, java, &value))
    }

    pub fn truth(&self, field: &str, java: Java) -> Result<Option<bool>, Refusal> {
        java::truth(self.params, field, java)
            .map_err(|value| field_not_convertible(self.generation, self.name, field, java, &value))
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
        self.params.get(name).ok_or_else(|| self.missing(name, Java::Text))
    }

    /// A text that has a default, which stands for an empty value, too; blanks are a value.
    pub fn text(&self, name: &str, default: &'a str) -> &'a str {
        self.params.get(name).filter(|text| !text.is_empty()).unwrap_or(default)
    }

    pub fn missing(&self, name: &str, java: Java) -> Refusal {
        match self.generation {
            Generation::V1 => parameter_missing(name).into(),
            _ => api_missing(name, java.short()).into(),
        }
    }

    /// A number with a default, which also stands for the empty value.
    pub fn number<T: Number>(&self, name: &str, java: Java) -> Result<Option<T>, Refusal> {
        if self.params.get(name) == Some("") { Ok(None) } else { self.read(name, java) }
    }

    fn read<T: Number>(&self, name: &str, java: Java) -> Result<Option<T>, Refusal> {
        java::number(self.params, name, java).map_err(|value| not_convertible(self.generation, name, java, &value))
    }

    /// A number that may be absent and has no default: an empty one cannot be read, of the primitive types.
    pub fn optional_number<T: Number>(&self, name: &str, java: Java) -> Result<Option<T>, Refusal> {
        self.read(name, java)
    }

    /// A primitive truth value, likewise.
    pub fn optional_truth(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.read_truth(name, Java::PrimitiveBoolean)
    }

    pub fn required_number<T: Number>(&self, name: &str, java: Java) -> Result<T, Refusal> {
        self.read(name, java)?.ok_or_else(|| self.nothing(name, java))
    }

    /// A truth value with a default, which also stands for the empty value.
    pub fn truth(&self, name: &str, java: Java) -> Result<Option<bool>, Refusal> {
        if self.params.get(name) == Some("") { Ok(None) } else { self.read_truth(name, java) }
    }

    fn read_truth(&self, name: &str, java: Java) -> Result<Option<bool>, Refusal> {
        java::truth(self.params, name, java).map_err(|value| not_convertible(self.generation, name, java, &value))
    }

    pub fn required_truth(&self, name: &str, java: Java) -> Result<bool, Refusal> {
        self.read_truth(name, java)?.ok_or_else(|| self.nothing(name, java))
    }

    fn nothing(&self, name: &str, java: Java) -> Refusal {
        if self.params.first(name).is_none() {
            return self.missing(name, java);
        }
        converted_to_null(self.generation, name, java)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Params {
        let mut params = Params::default();
        params.add_urlencoded(text.as_bytes());
        params.join_repeated();
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
            text(read(Generation::V2).number::<i32>("pageSize", Java::Integer).expect_err("no number")),
            "Failed to convert value of type 'java.lang.String' to required type 'java.lang.Integer'; nested exception \
             is java.lang.NumberFormatException: For input string: \"x\""
        );
        assert_eq!(
            text(read(Generation::V3Client).truth("heartBeat", Java::PrimitiveBoolean).expect_err("no truth")),
            "Method parameter 'heartBeat': Failed to convert value of type 'java.lang.String' to required type \
             'boolean'; Invalid boolean value [x]"
        );
        let form = Form { params: &params, generation: Generation::V2, name: "updateHealthForm" };
        assert!(text(form.truth("healthy", Java::Boolean).expect_err("no truth")).ends_with(
            "for property 'healthy'; nested exception is java.lang.IllegalArgumentException: Invalid boolean value [maybe]]"
        ));
    }

    #[test]
    fn blank_numbers_and_truths_are_absent() {
        let params = params("a=&b=%20&c=%201%20&d=ON");
        let read = Declared { params: &params, generation: Generation::V2 };
        assert_eq!(read.number::<i32>("a", Java::Integer), Ok(None));
        assert_eq!(read.number::<i32>("b", Java::Integer), Ok(None));
        assert_eq!(read.number::<i32>("c", Java::Integer), Ok(Some(1)));
        assert_eq!(read.truth("d", Java::Boolean), Ok(Some(true)));
    }
}

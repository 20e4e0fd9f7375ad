//! Single parameters, as config and core read them.

use nacre_model::NacosError;

use super::{
    Java, java,
    java::Unreadable,
    words::{api_missing, converted_to_null, not_convertible, not_present, v1_mismatch, v3_form_mismatch},
};
use crate::http::{params::Params, refuse::Refusal, table::Generation};

/// A number; `None` when absent, or blank for the nullable types.
fn number(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Unreadable> {
    match java {
        Java::Long => java::number::<i64>(params, name, java),
        _ => java::number::<i32>(params, name, java).map(|number| number.map(i64::from)),
    }
}

/// A truth value with a default, which also stands for the empty value.
fn truth_or(params: &Params, name: &str, default: bool) -> Result<bool, Unreadable> {
    match params.get(name) {
        Some("") => Ok(default),
        _ => java::truth(params, name, Java::PrimitiveBoolean).map(|truth| truth.unwrap_or(default)),
    }
}

// 2.x, handlers without the `@NacosApi` error rules (all of v1).

/// A text that must be there; it may be empty.
pub fn v1_text<'a>(params: &'a Params, name: &str) -> Result<&'a str, Refusal> {
    params.get(name).ok_or_else(|| Refusal::exception(not_present(name, "String")))
}

/// A number; `None` when absent, or blank for the nullable types.
pub fn v1_number_opt(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    number(params, name, java).map_err(|value| v1_mismatch(java, &value).into())
}

/// A number that must be there.
pub fn v1_number(params: &Params, name: &str, java: Java) -> Result<i64, Refusal> {
    match v1_number_opt(params, name, java)? {
        Some(number) => Ok(number),
        None if params.first(name).is_some() => Err(converted_to_null(Generation::V1, name, java)),
        None => Err(Refusal::exception(not_present(name, java.short()))),
    }
}

/// A truth value that may be left out, and is false then; an empty one is none.
pub fn v1_bool(params: &Params, name: &str) -> Result<bool, Refusal> {
    let java = Java::PrimitiveBoolean;
    let truth = java::truth(params, name, java).map_err(|value| Refusal::from(v1_mismatch(java, &value)))?;
    Ok(truth.unwrap_or_default())
}

// Handlers with the `@NacosApi` error rules (v2 and v3).

/// A text that must be there; it may be empty.
pub fn api_text<'a>(params: &'a Params, name: &str) -> Result<&'a str, NacosError> {
    params.get(name).ok_or_else(|| api_missing(name, "String"))
}

/// A number of v2; absent is `None`.
pub fn v2_number(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    number(params, name, java).map_err(|value| not_convertible(Generation::V2, name, java, &value))
}

/// A number of v2 that must be there.
pub fn v2_number_required(params: &Params, name: &str, java: Java) -> Result<i64, Refusal> {
    required(params, name, java, v2_number(params, name, java)?)
}

/// A number of v3 that stands alone; absent is `None`.
pub fn v3_number(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    number(params, name, java).map_err(|value| not_convertible(Generation::V3Admin, name, java, &value))
}

/// A number of v3 that must be there.
pub fn v3_number_required(params: &Params, name: &str, java: Java) -> Result<i64, Refusal> {
    required(params, name, java, v3_number(params, name, java)?)
}

fn required(params: &Params, name: &str, java: Java, number: Option<i64>) -> Result<i64, Refusal> {
    number.ok_or_else(|| match params.first(name) {
        Some(_) => converted_to_null(Generation::V2, name, java),
        None => api_missing(name, java.short()).into(),
    })
}

/// A truth value of v3 that stands alone.
pub fn v3_bool(params: &Params, name: &str, default: bool) -> Result<bool, Refusal> {
    let java = Java::PrimitiveBoolean;
    truth_or(params, name, default).map_err(|value| not_convertible(Generation::V3Admin, name, java, &value))
}

/// The same without a declared default: false when it is left out, and an empty one is none.
pub fn v3_bool_bare(params: &Params, name: &str) -> Result<bool, Refusal> {
    let java = Java::PrimitiveBoolean;
    let truth = java::truth(params, name, java);
    Ok(truth.map_err(|value| not_convertible(Generation::V3Admin, name, java, &value))?.unwrap_or_default())
}

/// A number of a v3 form with a default; a blank text is no number unless the type is nullable.
pub fn v3_form_number(params: &Params, name: &str, java: Java, position: usize) -> Result<Option<i64>, Refusal> {
    number(params, name, java).map_err(|value| v3_form_mismatch(position, name, &value, java))
}

/// A truth value of a v3 form, of which a blank text is none.
pub fn v3_form_bool(params: &Params, name: &str, default: bool, position: usize) -> Result<bool, Refusal> {
    let java = Java::PrimitiveBoolean;
    let truth = java::truth(params, name, java).map_err(|value| v3_form_mismatch(position, name, &value, java))?;
    Ok(truth.unwrap_or(default))
}

/// `pageNo` and `pageSize` of v3's `PageForm`: read with all other forms of a call, and looked at after them.
#[derive(Clone, Copy, Debug)]
pub struct PageForm {
    number: i64,
    size: i64,
}

impl PageForm {
    pub fn read(params: &Params, position: usize) -> Result<Self, Refusal> {
        let member = |name: &str, default: i64| -> Result<i64, Refusal> {
            Ok(v3_form_number(params, name, Java::Int, position)?.unwrap_or(default))
        };
        Ok(Self { number: member("pageNo", 1)?, size: member("pageSize", 100)? })
    }

    /// From 1.
    pub fn validate(self) -> Result<(u64, u64), Refusal> {
        let member = |name: &str, number: i64| -> Result<u64, Refusal> {
            u64::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| {
                let text = format!("Required parameter '{name}' should be positive integer, current is {number}");
                NacosError::invalid(text).into()
            })
        };
        Ok((member("pageNo", self.number)?, member("pageSize", self.size)?))
    }
}

/// Both at once.
pub fn page_form(params: &Params, position: usize) -> Result<(u64, u64), Refusal> {
    PageForm::read(params, position)?.validate()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let mut params = Params::default();
        params.add_urlencoded(query.as_bytes());
        params
    }

    fn text(refusal: Refusal) -> String {
        match refusal {
            Refusal::Nacos(error) => format!("{} {}", error.status, error.message),
            Refusal::Exception { message, .. } => format!("500 {message}"),
            Refusal::Container { status, message } => format!("{status} {message}"),
        }
    }

    #[test]
    fn v1_numbers_say_what_the_reference_says() {
        let p = params("word=abc&empty=&ok=12&big=3000000000");
        assert_eq!(v1_number(&p, "ok", Java::Int).ok(), Some(12));
        assert_eq!(
            text(v1_number(&p, "none", Java::Int).unwrap_err()),
            "500 Required request parameter 'none' for method parameter type int is not present"
        );
        assert_eq!(
            text(v1_number(&p, "word", Java::Long).unwrap_err()),
            "400 Failed to convert value of type 'java.lang.String' to required type 'java.lang.Long'; nested \
             exception is java.lang.NumberFormatException: For input string: \"abc\";caused: For input string: \"abc\""
        );
        assert!(v1_number(&p, "empty", Java::Int).is_err());
        assert_eq!(v1_number_opt(&p, "empty", Java::Integer).ok(), Some(None));
        assert!(v1_number(&p, "big", Java::Integer).is_err());
        assert_eq!(v1_number(&p, "big", Java::Long).ok(), Some(3_000_000_000));
    }

    #[test]
    fn pages_begin_at_one() {
        assert_eq!(page_form(&params(""), 1).ok(), Some((1, 100)));
        assert_eq!(
            text(page_form(&params("pageNo=0"), 1).unwrap_err()),
            "400 Required parameter 'pageNo' should be positive integer, current is 0"
        );
        assert!(text(page_form(&params("pageSize="), 1).unwrap_err()).starts_with("500 Validation failed"));
        assert!(text(page_form(&params("pageSize=99999999999"), 1).unwrap_err()).starts_with("500 Validation failed"));
    }
}

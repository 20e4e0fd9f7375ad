//! Single parameters, as config and core read them.

use nacre_model::NacosError;

use super::{
    Java,
    java::truth,
    words::{api_missing, not_convertible, not_present, v1_mismatch, v3_form_mismatch},
};
use crate::http::{params::Params, refuse::Refusal, table::Generation};

/// A number; `None` when absent, or empty for the nullable types; the text when it is none.
fn number<'p>(params: &'p Params, name: &str, java: Java) -> Result<Option<i64>, &'p str> {
    match params.get(name) {
        None => Ok(None),
        Some("") if java != Java::Int => Ok(None),
        Some(text) => java.number(text).map(Some).ok_or(text),
    }
}

/// A truth value; `None` when absent or empty; the text when it is none.
fn truth_of<'p>(params: &'p Params, name: &str) -> Result<Option<bool>, &'p str> {
    match params.get(name) {
        None | Some("") => Ok(None),
        Some(text) => truth(text).map(Some).ok_or(text),
    }
}

// 2.x, handlers without the `@NacosApi` error rules (all of v1).

/// A text that must be there; it may be empty.
pub fn v1_text<'a>(params: &'a Params, name: &str) -> Result<&'a str, Refusal> {
    params.get(name).ok_or_else(|| Refusal::exception(not_present(name, "String")))
}

/// A number; `None` when absent, or empty for the nullable types.
pub fn v1_number_opt(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    number(params, name, java).map_err(|text| v1_mismatch(java, text).into())
}

/// A number that must be there.
pub fn v1_number(params: &Params, name: &str, java: Java) -> Result<i64, Refusal> {
    match v1_number_opt(params, name, java)? {
        Some(number) => Ok(number),
        None if params.get(name).is_some() => Err(Refusal::exception(format!(
            "Required request parameter '{name}' for method parameter type {} is present but converted to null",
            java.short()
        ))),
        None => Err(Refusal::exception(not_present(name, java.short()))),
    }
}

/// A truth value with a default.
pub fn v1_bool(params: &Params, name: &str, default: bool) -> Result<bool, Refusal> {
    let value = truth_of(params, name).map_err(|text| v1_mismatch(Java::PrimitiveBoolean, text))?;
    Ok(value.unwrap_or(default))
}

// Handlers with the `@NacosApi` error rules (v2 and v3).

/// A text that must be there; it may be empty.
pub fn api_text<'a>(params: &'a Params, name: &str) -> Result<&'a str, NacosError> {
    params.get(name).ok_or_else(|| api_missing(name, "String"))
}

/// A number of v2; absent is `None`.
pub fn v2_number(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    number(params, name, java).map_err(|text| not_convertible(Generation::V2, name, java, text))
}

/// A number of v3 that stands alone; absent is `None`.
pub fn v3_number(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    number(params, name, java).map_err(|text| not_convertible(Generation::V3Admin, name, java, text))
}

/// A number of v3 that must be there.
pub fn v3_number_required(params: &Params, name: &str, java: Java) -> Result<i64, Refusal> {
    v3_number(params, name, java)?.ok_or_else(|| api_missing(name, java.short()).into())
}

/// A truth value of v3 that stands alone.
pub fn v3_bool(params: &Params, name: &str, default: bool) -> Result<bool, Refusal> {
    let java = Java::PrimitiveBoolean;
    let value = truth_of(params, name).map_err(|text| not_convertible(Generation::V3Admin, name, java, text))?;
    Ok(value.unwrap_or(default))
}

/// A number of a v3 form with a default; the empty text is no number unless the type is nullable.
pub fn v3_form_number(params: &Params, name: &str, java: Java, position: usize) -> Result<Option<i64>, Refusal> {
    number(params, name, java).map_err(|text| v3_form_mismatch(position, name, text, java))
}

/// A truth value of a v3 form.
pub fn v3_form_bool(params: &Params, name: &str, default: bool, position: usize) -> Result<bool, Refusal> {
    let value =
        truth_of(params, name).map_err(|text| v3_form_mismatch(position, name, text, Java::PrimitiveBoolean))?;
    Ok(value.unwrap_or(default))
}

/// `pageNo` and `pageSize` of v3's `PageForm`: from 1, with defaults.
pub fn page_form(params: &Params, position: usize) -> Result<(u64, u64), Refusal> {
    let member = |name: &str, default: i64| -> Result<u64, Refusal> {
        let number = v3_form_number(params, name, Java::Int, position)?.unwrap_or(default);
        u64::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| {
            NacosError::invalid(format!("Required parameter '{name}' should be positive integer, current is {number}"))
                .into()
        })
    };
    Ok((member("pageNo", 1)?, member("pageSize", 100)?))
}

/// A comma list of ids. Blank is the empty list.
pub fn ids(text: &str) -> Result<Vec<u64>, &str> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|_| part)).collect()
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

    #[test]
    fn lists_of_ids_name_the_part_that_is_none() {
        assert_eq!(ids("1, 2,,3"), Ok(vec![1, 2, 3]));
        assert_eq!(ids(""), Ok(vec![]));
        assert_eq!(ids("1,abc"), Err("abc"));
    }
}

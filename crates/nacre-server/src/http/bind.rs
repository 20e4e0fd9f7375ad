//! Binding of single parameters as the reference's web framework does it, with the words it says when one is missing or
//! cannot be read: those texts are what users search for.

use nacre_model::{ErrorCode, NacosError};

use super::{params::Params, refuse::Refusal};

/// Java types as the texts name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Java {
    Int,
    Integer,
    Long,
    Boolean,
    PrimitiveBoolean,
}

impl Java {
    fn full(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Integer => "java.lang.Integer",
            Self::Long => "java.lang.Long",
            Self::Boolean => "java.lang.Boolean",
            Self::PrimitiveBoolean => "boolean",
        }
    }

    fn short(self) -> &'static str {
        self.full().rsplit('.').next().unwrap_or("")
    }

    fn range(self) -> std::ops::RangeInclusive<i64> {
        if self == Self::Long { i64::MIN..=i64::MAX } else { i64::from(i32::MIN)..=i64::from(i32::MAX) }
    }

    fn number(self, text: &str) -> Option<i64> {
        text.trim().parse().ok().filter(|number| self.range().contains(number))
    }
}

/// `Required request parameter 'x' for method parameter type T is not present`.
pub fn not_present(name: &str, java: &str) -> String {
    format!("Required request parameter '{name}' for method parameter type {java} is not present")
}

// 2.x, handlers without the `@NacosApi` error rules (all of v1).

/// A text that must be there; it may be empty.
pub fn v1_text<'a>(params: &'a Params, name: &str) -> Result<&'a str, Refusal> {
    params.get(name).ok_or_else(|| Refusal::exception(not_present(name, "String")))
}

/// A number; `None` when absent, or empty for the nullable types.
pub fn v1_number_opt(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    if text.is_empty() && java != Java::Int {
        return Ok(None);
    }
    match java.number(text) {
        Some(number) => Ok(Some(number)),
        None => Err(v1_conversion(java.full(), &format!("For input string: \"{text}\"")).into()),
    }
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
    let Some(text) = params.get(name).filter(|text| !text.is_empty()) else { return Ok(default) };
    truth(text).ok_or_else(|| {
        let detail = format!("Invalid boolean value [{text}]");
        NacosError::invalid(format!(
            "Failed to convert value of type 'java.lang.String' to required type 'boolean'; nested exception is \
             java.lang.IllegalArgumentException: {detail};caused: {detail}"
        ))
        .into()
    })
}

/// The 400 of a value of the wrong type, with its cause.
pub fn v1_conversion(full_type: &str, detail: &str) -> NacosError {
    NacosError::invalid(format!(
        "Failed to convert value of type 'java.lang.String' to required type '{full_type}'; nested exception is \
         java.lang.NumberFormatException: {detail};caused: {detail}"
    ))
}

// Handlers with the `@NacosApi` error rules (v2 and v3).

/// A text that must be there; it may be empty.
pub fn api_text<'a>(params: &'a Params, name: &str) -> Result<&'a str, NacosError> {
    params.get(name).ok_or_else(|| api_missing(name, "String"))
}

/// 400, code 10000, for a parameter of any type.
pub fn api_missing(name: &str, java: &str) -> NacosError {
    NacosError::new(400, ErrorCode::PARAMETER_MISSING, not_present(name, java))
}

/// A number of v2; absent is `None`.
pub fn v2_number(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    if text.is_empty() && java != Java::Int {
        return Ok(None);
    }
    java.number(text).map(Some).ok_or_else(|| {
        Refusal::exception(format!(
            "Failed to convert value of type 'java.lang.String' to required type '{}'; nested exception is \
             java.lang.NumberFormatException: For input string: \"{text}\"",
            java.full()
        ))
    })
}

/// A number of v3 that stands alone; absent is `None`.
pub fn v3_number(params: &Params, name: &str, java: Java) -> Result<Option<i64>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    if text.is_empty() && java != Java::Int {
        return Ok(None);
    }
    java.number(text).map(Some).ok_or_else(|| v3_mismatch(name, java.full(), &format!("For input string: \"{text}\"")))
}

/// A number of v3 that must be there.
pub fn v3_number_required(params: &Params, name: &str, java: Java) -> Result<i64, Refusal> {
    v3_number(params, name, java)?.ok_or_else(|| api_missing(name, java.short()).into())
}

/// A truth value of v3 that stands alone.
pub fn v3_bool(params: &Params, name: &str, default: bool) -> Result<bool, Refusal> {
    let Some(text) = params.get(name).filter(|text| !text.is_empty()) else { return Ok(default) };
    truth(text).ok_or_else(|| v3_mismatch(name, "boolean", &format!("Invalid boolean value [{text}]")))
}

/// v3: a parameter of the wrong type outside of a form.
pub fn v3_mismatch(name: &str, full_type: &str, detail: &str) -> Refusal {
    Refusal::exception(format!(
        "Method parameter '{name}': Failed to convert value of type 'java.lang.String' to required type \
         '{full_type}'; {detail}"
    ))
}

/// v3: a form's member of the wrong type. `position` is that of the form among the handler's arguments.
pub fn v3_form_mismatch(position: usize, name: &str, text: &str, full_type: &str) -> Refusal {
    Refusal::exception(format!(
        "Validation failed for argument [{position}] in public form: [Field error on field '{name}': rejected value \
         [{text}]; Failed to convert property value of type 'java.lang.String' to required type '{full_type}' for \
         property '{name}'; For input string: \"{text}\"] "
    ))
}

/// A number of a v3 form with a default; the empty text is no number unless the type is nullable.
pub fn v3_form_number(params: &Params, name: &str, java: Java, position: usize) -> Result<Option<i64>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    if text.is_empty() && java != Java::Int {
        return Ok(None);
    }
    java.number(text).map(Some).ok_or_else(|| v3_form_mismatch(position, name, text, java.full()))
}

/// A truth value of a v3 form.
pub fn v3_form_bool(params: &Params, name: &str, default: bool, position: usize) -> Result<bool, Refusal> {
    let Some(text) = params.get(name).filter(|text| !text.is_empty()) else { return Ok(default) };
    truth(text).ok_or_else(|| v3_form_mismatch(position, name, text, "boolean"))
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

/// Spring's words for truth.
pub fn truth(text: &str) -> Option<bool> {
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

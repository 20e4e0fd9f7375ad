//! What callers are told when a parameter is missing or cannot be converted: the texts of the web framework the reference
//! stands on. Clients never parse them; people and recordings compare them.

use nacre_model::{ErrorCode, NacosError};

use super::{Java, java::Unreadable};
use crate::http::{Ctx, refuse::Refusal, table::Generation};

/// `Required request parameter 'x' for method parameter type T is not present`.
pub fn not_present(name: &str, java: &str) -> String {
    format!("Required request parameter '{name}' for method parameter type {java} is not present")
}

/// The type of a body that is no JSON by its header, as the reference's framework tells it.
pub fn other_type(ctx: &Ctx) -> Option<String> {
    let given = ctx.header("content-type").map(str::trim).unwrap_or("");
    let mut parts = given.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return None;
    }
    if essence.is_empty() {
        return Some("application/octet-stream".into());
    }
    let with_charset = parts.any(|part| part.starts_with("charset="));
    Some(if with_charset { given.to_owned() } else { format!("{given};charset=UTF-8") })
}

/// A hand-read parameter of v1 naming is missing.
pub fn param_required(name: &str) -> NacosError {
    NacosError::invalid(format!("Param '{name}' is required."))
}

/// A declared parameter of v1 naming is missing.
pub fn parameter_missing(name: &str) -> NacosError {
    NacosError::invalid(format!("Parameter '{name}' is missing"))
}

/// A declared parameter of v2 or v3 is missing: 400, code 10000.
pub fn api_missing(name: &str, java: &str) -> NacosError {
    NacosError::new(400, ErrorCode::PARAMETER_MISSING, not_present(name, java))
}

/// A field of a v2 or v3 form is missing.
pub fn field_missing(name: &str, java: Java) -> NacosError {
    let java = java.short();
    NacosError::new(
        400,
        ErrorCode::PARAMETER_MISSING,
        format!("Required parameter '{name}' type {java} is not present"),
    )
}

/// A declared parameter is there, and blank.
pub fn converted_to_null(generation: Generation, name: &str, java: Java) -> Refusal {
    let java = java.short();
    let text = format!(
        "Required request parameter '{name}' for method parameter type {java} is present but converted to null"
    );
    match generation {
        Generation::V1 => Refusal::exception(text),
        _ => NacosError::new(400, ErrorCode::PARAMETER_MISSING, text).into(),
    }
}

/// Of 2.x.
fn conversion(value: &Unreadable, full_type: &str, exception: &str) -> String {
    let Unreadable { complaint, .. } = value;
    format!(
        "Failed to convert value of type '{}' to required type '{full_type}'; nested exception is {exception}: \
         {complaint}",
        value.given_type()
    )
}

/// The 400 of v1 outside of naming for a value of the wrong type, with its cause.
pub fn v1_mismatch(java: Java, value: &Unreadable) -> NacosError {
    let text = conversion(value, java.full(), java.exception());
    NacosError::invalid(format!("{text};caused: {}", value.complaint))
}

/// The same of a list of ids.
pub fn v1_no_ids(value: &Unreadable) -> NacosError {
    let text = conversion(value, "java.util.List", Java::Long.exception());
    NacosError::invalid(format!("{text};caused: {}", value.complaint))
}

fn mismatch_3x(name: &str, given_type: &str, full_type: &str, complaint: &str) -> String {
    format!(
        "Method parameter '{name}': Failed to convert value of type '{given_type}' to required type '{full_type}'; \
         {complaint}"
    )
}

/// v3: a parameter of a type that is none of [`Java`] outside of a form.
pub fn v3_mismatch(name: &str, full_type: &str, complaint: &str) -> Refusal {
    Refusal::exception(mismatch_3x(name, Java::Text.full(), full_type, complaint))
}

/// v3: a list of ids.
pub fn v3_no_ids(name: &str, value: &Unreadable) -> Refusal {
    Refusal::exception(mismatch_3x(name, value.given_type(), "java.util.List", &value.complaint))
}

/// A declared parameter cannot be converted.
pub fn not_convertible(generation: Generation, name: &str, java: Java, value: &Unreadable) -> Refusal {
    let message = match generation {
        Generation::V1 | Generation::V2 => conversion(value, java.full(), java.exception()),
        _ => mismatch_3x(name, value.given_type(), java.full(), &value.complaint),
    };
    Refusal::Exception { message, cause: Some(value.complaint.clone()) }
}

/// v3: a form's member of the wrong type. `position` is that of the form among the handler's arguments.
pub fn v3_form_mismatch(position: usize, name: &str, value: &Unreadable, java: Java) -> Refusal {
    let (full_type, given_type) = (java.full(), value.given_type());
    let Unreadable { value, complaint, .. } = value;
    Refusal::exception(format!(
        "Validation failed for argument [{position}] in public form: [Field error on field '{name}': rejected value \
         [{value}]; Failed to convert property value of type '{given_type}' to required type '{full_type}' for \
         property '{name}'; {complaint}] "
    ))
}

/// A field of the form `form` cannot be converted.
pub fn field_not_convertible(
    generation: Generation,
    form: &str,
    name: &str,
    java: Java,
    unreadable: &Unreadable,
) -> Refusal {
    let Unreadable { value, complaint, .. } = unreadable;
    let (full, given, exception) = (java.full(), unreadable.given_type(), java.exception());
    let nested = match generation {
        Generation::V1 | Generation::V2 => format!("nested exception is {exception}: {complaint}"),
        _ => complaint.clone(),
    };
    let field = format!(
        "Field error in object '{form}' on field '{name}': rejected value [{value}]; codes [typeMismatch.{form}.{name},\
         typeMismatch.{name},typeMismatch.{full},typeMismatch]; arguments [org.springframework.context.support.\
         DefaultMessageSourceResolvable: codes [{form}.{name},{name}]; arguments []; default message [{name}]]; default \
         message [Failed to convert property value of type '{given}' to required type '{full}' for property '{name}'; \
         {nested}]"
    );
    let message = match generation {
        Generation::V1 | Generation::V2 => {
            format!("org.springframework.validation.BeanPropertyBindingResult: 1 errors\n{field}")
        }
        _ => format!("Validation failed for argument [0] in public {form}: [{field}] "),
    };
    Refusal::Exception { message, cause: Some(complaint.clone()) }
}

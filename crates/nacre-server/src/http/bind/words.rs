//! What callers are told when a parameter is missing or cannot be converted: the texts of the web framework the reference
//! stands on. Clients never parse them; people and recordings compare them.

use nacre_model::{ErrorCode, NacosError};

use super::Java;
use crate::http::{refuse::Refusal, table::Generation};

/// `Required request parameter 'x' for method parameter type T is not present`.
pub fn not_present(name: &str, java: &str) -> String {
    format!("Required request parameter '{name}' for method parameter type {java} is not present")
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

/// Of 2.x.
fn conversion(full_type: &str, exception: &str, complaint: &str) -> String {
    format!(
        "Failed to convert value of type 'java.lang.String' to required type '{full_type}'; nested exception is \
         {exception}: {complaint}"
    )
}

/// The 400 of v1 outside of naming for a value of the wrong type, with its cause.
pub fn v1_mismatch(java: Java, text: &str) -> NacosError {
    let (exception, complaint) = java.complaint(text);
    NacosError::invalid(format!("{};caused: {complaint}", conversion(java.full(), exception, &complaint)))
}

/// The same of a list of ids in which `word` is none.
pub fn v1_no_ids(word: &str) -> NacosError {
    let (exception, complaint) = Java::Long.complaint(word);
    NacosError::invalid(format!("{};caused: {complaint}", conversion("java.util.List", exception, &complaint)))
}

fn mismatch_3x(name: &str, full_type: &str, complaint: &str) -> String {
    format!(
        "Method parameter '{name}': Failed to convert value of type 'java.lang.String' to required type \
         '{full_type}'; {complaint}"
    )
}

/// v3: a parameter of a type that is none of [`Java`] outside of a form.
pub fn v3_mismatch(name: &str, full_type: &str, complaint: &str) -> Refusal {
    Refusal::exception(mismatch_3x(name, full_type, complaint))
}

/// A declared parameter cannot be converted.
pub fn not_convertible(generation: Generation, name: &str, java: Java, value: &str) -> Refusal {
    let (exception, complaint) = java.complaint(value);
    let message = match generation {
        Generation::V1 | Generation::V2 => conversion(java.full(), exception, &complaint),
        _ => mismatch_3x(name, java.full(), &complaint),
    };
    Refusal::Exception { message, cause: Some(complaint) }
}

/// v3: a form's member of the wrong type. `position` is that of the form among the handler's arguments.
pub fn v3_form_mismatch(position: usize, name: &str, text: &str, java: Java) -> Refusal {
    let full_type = java.full();
    Refusal::exception(format!(
        "Validation failed for argument [{position}] in public form: [Field error on field '{name}': rejected value \
         [{text}]; Failed to convert property value of type 'java.lang.String' to required type '{full_type}' for \
         property '{name}'; For input string: \"{text}\"] "
    ))
}

/// A field of the form `form` cannot be converted.
pub fn field_not_convertible(generation: Generation, form: &str, name: &str, java: Java, value: &str) -> Refusal {
    let (exception, complaint) = java.complaint(value);
    let full = java.full();
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

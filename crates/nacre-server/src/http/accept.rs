//! What an `Accept` header that is no list of types, or takes no JSON, does to an answer.

use super::{
    refuse::{Refusal, Site},
    reply::{JSON_UTF8, Reply, Style},
    table::Row,
};

/// Can the reference read it? Each element is `type/subtype` with parameters; a lone `*` is any type.
pub fn is_readable(accept: &str) -> bool {
    accept.split(',').map(str::trim).filter(|element| !element.is_empty()).all(is_type)
}

fn is_type(element: &str) -> bool {
    let mut parts = element.split(';').map(str::trim);
    let (kind, subtype) = match parts.next().unwrap_or_default() {
        "*" => ("*", "*"),
        name => match name.split_once('/') {
            Some(both) => both,
            None => return false,
        },
    };
    let legal = is_token(kind) && is_token(subtype) && (kind != "*" || subtype == "*");
    legal && parts.all(is_parameter)
}

/// What has no value is not looked at.
fn is_parameter(part: &str) -> bool {
    let Some((name, value)) = part.split_once('=') else { return true };
    let quality = name.eq_ignore_ascii_case("q");
    is_token(name) && (!quality || value.parse::<f32>().is_ok_and(|quality| (0.0..=1.0).contains(&quality)))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte))
}

/// Answers and refusals with a type of the reference's choice fail under a header that it cannot read; what was done
/// stays done.
pub fn unreadable(row: &Row, reply: &Reply, site: &Site<'_>) -> Reply {
    let status = match row.style {
        Style::Api => 400,
        _ if is_v3(row) => 406,
        _ if reply.status == 200 => 500,
        _ => reply.status,
    };
    let empty = Reply::empty(status);
    if site.charset_preset { empty.typed(JSON_UTF8) } else { empty }
}

/// What is done is done, but its answer is of no type that the request accepts. v1 says so in a text, which can be of any.
pub fn not_acceptable(row: &Row, site: &Site<'_>) -> Reply {
    const TEXT: &str = "Could not find acceptable representation";
    const TYPES: &str = "application/json, application/*+json";
    match row.style {
        _ if is_v3(row) => {
            let page = site.error(406, &format!("Acceptable representations: [{TYPES}]."));
            page.fixed("accept", TYPES)
        }
        Style::Api => site.error(406, TEXT),
        style => Refusal::exception(TEXT).into_reply(style, site),
    }
}

fn is_v3(row: &Row) -> bool {
    row.generation.is_third()
}

#[cfg(test)]
mod tests {
    use super::is_readable;

    #[test]
    fn a_list_of_types_is_readable_and_little_else() {
        let java = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
        for accept in ["", "*", "*/*", java, "application/json;charset=UTF-8", "a/b,,c/d;x", "application/vnd.x+json"] {
            assert!(is_readable(accept), "{accept}");
        }
        for accept in ["abc", "text", "application/", "/json", "a/b/c", "*/json", "text/html;q=2", "text/html, abc"] {
            assert!(!is_readable(accept), "{accept}");
        }
    }
}

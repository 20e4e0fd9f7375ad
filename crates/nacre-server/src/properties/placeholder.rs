//! `${name}` and `${name:default}` inside values, as Spring resolves them: nested, the default begins behind the first
//! colon, and a name that nobody knows stays in the text as it is written.

/// Deeper nesting than anybody writes; ends circles that the name check does not see.
const DEPTH: usize = 32;

/// A value refers to itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the placeholder ${{{0}}} refers to itself")]
pub struct Circular(pub String);

/// Replaces every placeholder of `text`. `look_up` gives the raw value of a name.
pub fn resolve(text: &str, look_up: &dyn Fn(&str) -> Option<String>) -> Result<String, Circular> {
    resolve_in(text, look_up, &mut Vec::new())
}

fn resolve_in(
    text: &str,
    look_up: &dyn Fn(&str) -> Option<String>,
    open: &mut Vec<String>,
) -> Result<String, Circular> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let inner_start = start + 2;
        let Some(end) = closing_brace(&rest[inner_start..]) else { break };
        out.push_str(&rest[..start]);
        let inner = &rest[inner_start..inner_start + end];
        out.push_str(&replace(inner, look_up, open)?);
        rest = &rest[inner_start + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn replace(inner: &str, look_up: &dyn Fn(&str) -> Option<String>, open: &mut Vec<String>) -> Result<String, Circular> {
    if open.len() >= DEPTH || open.iter().any(|name| name == inner) {
        return Err(Circular(inner.to_owned()));
    }
    open.push(inner.to_owned());
    let inner_resolved = resolve_in(inner, look_up, open)?;
    let value = look_up(&inner_resolved).or_else(|| {
        let (name, default) = inner_resolved.split_once(':')?;
        Some(look_up(name).unwrap_or_else(|| default.to_owned()))
    });
    let result = match value {
        Some(value) => resolve_in(&value, look_up, open)?,
        None => format!("${{{inner_resolved}}}"),
    };
    open.pop();
    Ok(result)
}

/// Where the placeholder that begins before `text` ends; inner braces count as Spring counts them.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look_up(name: &str) -> Option<String> {
        let value = match name {
            "a" => "1",
            "b" => "${a}2",
            "which" => "a",
            "loop" => "${loop}",
            "ping" => "${pong}",
            "pong" => "${ping:x}",
            "empty" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn resolved(text: &str) -> String {
        resolve(text, &look_up).unwrap()
    }

    #[test]
    fn names_defaults_and_nesting_are_resolved() {
        assert_eq!(resolved("x${a}y${b}"), "x1y12");
        assert_eq!(resolved("${none:d}"), "d");
        assert_eq!(resolved("${none:}"), "");
        assert_eq!(resolved("${empty:d}"), "");
        assert_eq!(resolved("${none:http://h:80/p}"), "http://h:80/p");
        assert_eq!(resolved("${none:${a}}"), "1");
        assert_eq!(resolved("${${which}}"), "1");
    }

    #[test]
    fn what_nobody_knows_stays_as_written() {
        assert_eq!(resolved("${none}"), "${none}");
        assert_eq!(resolved("p$ss${word"), "p$ss${word");
        assert_eq!(resolved("a}b{c"), "a}b{c");
    }

    #[test]
    fn a_circle_is_an_error() {
        assert!(resolve("${loop}", &look_up).is_err());
        assert!(resolve("${ping}", &look_up).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_resolved_without_a_panic(text in "([${}:ab]|\\PC){0,60}") {
            let _ = resolve(&text, &look_up);
        }
    }
}

//! Rules of config parameters with the reference's texts (Nacos 2.5.1/3.1 `ParamUtils`). Everything here answers
//! status 400 and code 20002; gRPC shows errors of [`tag`] and [`advance`] with `errorCode` 500, all others with 400
//! (as recorded).
//!
//! The general parameter check in front of every handler is [`nacre_model::check`].

use nacre_model::{NacosError, digits};

use crate::ConfigMeta;

/// Letters and digits of any script, `_`, `-`, `.`, `:`; not blank. No other numbers, such as `½` and `①`, and nothing
/// that Java writes as two characters.
fn is_legal(text: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic() && c <= '\u{ffff}';
    let is_digit = |c: char| digits::is_digit(c);
    !text.is_empty() && text.chars().all(|c| is_letter(c) || is_digit(c) || matches!(c, '_' | '-' | '.' | ':'))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The number of characters as Java counts them.
fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// A parameter as error texts show it; an absent one is the word `null`.
fn shown(text: Option<&str>) -> &str {
    text.unwrap_or("null")
}

/// dataId, then group: `invalid dataId : X`, `invalid group : X`.
pub fn key(data_id: Option<&str>, group: Option<&str>) -> Result<(), NacosError> {
    if !data_id.is_some_and(is_legal) {
        return Err(NacosError::invalid(format!("invalid dataId : {}", shown(data_id))));
    }
    if !group.is_some_and(is_legal) {
        return Err(NacosError::invalid(format!("invalid group : {}", shown(group))));
    }
    Ok(())
}

/// Content that is not blank and not longer than `max` UTF-16 units (`maxContent`).
pub fn content(content: Option<&str>, max: u64) -> Result<(), NacosError> {
    let Some(text) = content.filter(|text| !is_blank(text)) else {
        return Err(NacosError::invalid(format!("content is blank : {}", shown(content))));
    };
    if text.len() as u64 > max && utf16_len(text) as u64 > max {
        return Err(NacosError::invalid(format!("invalid content, over {max}")));
    }
    Ok(())
}

/// A `tag`, when given: legal characters, at most 16.
pub fn tag(tag: Option<&str>) -> Result<(), NacosError> {
    let Some(tag) = tag.filter(|tag| !is_blank(tag)) else { return Ok(()) };
    if !is_legal(tag.trim()) {
        return Err(NacosError::invalid(format!("invalid tag : {tag}")));
    }
    if utf16_len(tag) > 16 {
        return Err(NacosError::invalid("too long tag, over 16"));
    }
    Ok(())
}

/// A namespace in the words of v1.
pub fn tenant(tenant: Option<&str>) -> Result<(), NacosError> {
    namespace_in_words_of(tenant, "tenant")
}

/// A namespace in the words of v2 and v3.
pub fn namespace_id(namespace: Option<&str>) -> Result<(), NacosError> {
    namespace_in_words_of(namespace, "namespaceId")
}

fn namespace_in_words_of(value: Option<&str>, word: &str) -> Result<(), NacosError> {
    let Some(value) = value.filter(|value| !is_blank(value)) else { return Ok(()) };
    if !is_legal(value.trim()) {
        return Err(NacosError::invalid(format!("invalid {word}")));
    }
    if utf16_len(value) > 128 {
        return Err(NacosError::invalid(format!("too long {word}, over 128")));
    }
    Ok(())
}

/// What a publish says besides its content, as the parameters came; absent ones are not checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Advance<'a> {
    pub config_tags: Option<&'a str>,
    pub desc: Option<&'a str>,
    pub r#use: Option<&'a str>,
    pub effect: Option<&'a str>,
    pub config_type: Option<&'a str>,
    pub schema: Option<&'a str>,
}

/// Lengths of the advance parameters, in the order in which the reference's map of them is walked.
pub fn advance(given: &Advance<'_>) -> Result<(), NacosError> {
    let fits = |name: &str, value: Option<&str>, max: usize| match value {
        Some(value) if utf16_len(value) > max => Err(NacosError::invalid(format!("too long {name}, over {max}"))),
        _ => Ok(()),
    };
    fits("schema", given.schema, 32_768)?;
    fits("use", given.r#use, 32)?;
    fits("effect", given.effect, 32)?;
    fits("type", given.config_type, 32)?;
    if let Some(tags) = given.config_tags {
        // As Java splits: trailing empty parts do not count.
        let parts: Vec<&str> = tags.trim_end_matches(',').split(',').collect();
        if parts.len() > 5 {
            return Err(NacosError::invalid("too much config_tags, over 5"));
        }
        if parts.iter().any(|part| utf16_len(part) > 64) {
            return Err(NacosError::invalid("too long tag, over 64"));
        }
    }
    fits("desc", given.desc, 128)
}

impl Advance<'_> {
    /// The metadata a publish stores: the type by [`crate::content::config_type`], the rest as given; no application.
    pub fn to_meta(&self) -> ConfigMeta {
        ConfigMeta {
            config_type: Some(crate::content::config_type(self.config_type).into()),
            app_name: "".into(),
            desc: self.desc.map(Into::into),
            r#use: self.r#use.map(Into::into),
            effect: self.effect.map(Into::into),
            schema: self.schema.map(Into::into),
            tags: self.config_tags.map(crate::command::split_tags).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T: std::fmt::Debug>(result: Result<T, NacosError>) -> String {
        let error = result.unwrap_err();
        assert_eq!((error.status, error.code.code), (400, 20002));
        error.message
    }

    /// Case C035.
    #[test]
    fn keys_name_the_field_that_is_wrong() {
        assert!(key(Some("a.b-c_d:e"), Some("G")).is_ok());
        assert!(key(Some("配置"), Some("G")).is_ok());
        assert_eq!(text(key(None, Some("G"))), "invalid dataId : null");
        assert_eq!(text(key(Some("   "), Some("G"))), "invalid dataId :    ");
        assert_eq!(text(key(Some("a*b"), Some("G"))), "invalid dataId : a*b");
        assert_eq!(text(key(Some("a"), Some("*"))), "invalid group : *");
    }

    #[test]
    fn content_counts_utf16_units() {
        assert_eq!(text(content(Some(" "), 10)), "content is blank :  ");
        assert_eq!(text(content(None, 10)), "content is blank : null");
        assert!(content(Some("配置配置"), 4).is_ok());
        assert_eq!(text(content(Some("🦀🦀🦀"), 5)), "invalid content, over 5");
    }

    #[test]
    fn tags_and_namespaces_have_their_limits() {
        assert!(tag(None).is_ok());
        assert!(tag(Some(&"t".repeat(16))).is_ok());
        assert_eq!(text(tag(Some(&"t".repeat(17)))), "too long tag, over 16");
        assert!(tag(Some("配置٣")).is_ok());
        for odd in ["a b", "½", "①", "𠀀"] {
            assert_eq!(text(tag(Some(odd))), format!("invalid tag : {odd}"));
        }
        assert_eq!(text(tenant(Some("a b"))), "invalid tenant");
        assert_eq!(text(tenant(Some(&"t".repeat(129)))), "too long tenant, over 128");
        assert_eq!(text(namespace_id(Some("a/b"))), "invalid namespaceId");
    }

    #[test]
    fn advance_parameters_have_their_limits() {
        let tags = |tags| advance(&Advance { config_tags: Some(tags), ..Advance::default() });
        assert!(tags("a,b,c,d,e").is_ok());
        assert!(tags("a,b,c,d,e,,").is_ok());
        assert_eq!(text(tags("a,b,c,d,e,f")), "too much config_tags, over 5");
        assert_eq!(text(tags(&"t".repeat(65))), "too long tag, over 64");
        let long = "x".repeat(129);
        assert_eq!(text(advance(&Advance { desc: Some(&long), ..Advance::default() })), "too long desc, over 128");
        assert_eq!(text(advance(&Advance { r#use: Some(&long), ..Advance::default() })), "too long use, over 32");
        assert_eq!(text(advance(&Advance { effect: Some(&long), ..Advance::default() })), "too long effect, over 32");
        assert_eq!(
            text(advance(&Advance { config_type: Some(&long), ..Advance::default() })),
            "too long type, over 32"
        );
        let schema = "x".repeat(32_769);
        assert_eq!(
            text(advance(&Advance { schema: Some(&schema), ..Advance::default() })),
            "too long schema, over 32768"
        );
        let several = Advance { config_tags: Some("a,b,c,d,e,f"), desc: Some(&long), ..Advance::default() };
        assert_eq!(text(advance(&several)), "too much config_tags, over 5");
        assert_eq!(text(advance(&Advance { effect: Some(&long), ..several })), "too long effect, over 32");
    }
}

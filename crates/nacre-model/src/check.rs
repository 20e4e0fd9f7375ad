//! The parameter check in front of every handler of HTTP and gRPC (Nacos 2.3+ `AbstractParamChecker`, default rules).
//! Applied only to values that are not blank. Each function answers the reference's own text.

use crate::Metadata;

/// What a request says about itself, gathered by an adapter; absent fields are not checked.
#[derive(Clone, Debug, Default)]
pub struct ParamInfo<'a> {
    pub namespace: Option<&'a str>,
    pub data_id: Option<&'a str>,
    pub group: Option<&'a str>,
    pub service: Option<&'a str>,
    /// One cluster name.
    pub cluster: Option<&'a str>,
    /// A comma list of cluster names.
    pub clusters: Option<&'a str>,
    pub ip: Option<&'a str>,
    /// Text of the port as sent.
    pub port: Option<&'a str>,
    pub metadata: Option<&'a Metadata>,
    pub mcp_name: Option<&'a str>,
}

/// Largest sum of key and value lengths of metadata (`nacos.naming.service.metadata.length`).
pub const METADATA_LENGTH: usize = 1024;

/// How the refusal of metadata begins.
pub const METADATA: &str = "Param 'Metadata' is illegal";

/// What [`METADATA_LENGTH`] limits.
pub fn metadata_size(metadata: &Metadata) -> usize {
    metadata.iter().map(|(key, value)| utf16_length(key) + utf16_length(value)).sum()
}

fn too_long(name: &str, max: usize) -> String {
    format!("Param '{name}' is illegal, the param length should not exceed {max}.")
}

fn bad_chars(name: &str) -> String {
    format!("Param '{name}' is illegal, illegal characters should not appear in the param.")
}

fn rule(name: &str, value: Option<&str>, max: usize, ok: impl Fn(char) -> bool) -> Result<(), String> {
    let Some(value) = value.filter(|v| !v.trim().is_empty()) else { return Ok(()) };
    if value.is_ascii() {
        // Nearly all of them: a byte is a character.
        return if value.len() > max {
            Err(too_long(name, max))
        } else if value.bytes().all(|byte| ok(char::from(byte))) {
            Ok(())
        } else {
            Err(bad_chars(name))
        };
    }
    if value.encode_utf16().count() > max {
        return Err(too_long(name, max));
    }
    if value.chars().all(ok) { Ok(()) } else { Err(bad_chars(name)) }
}

/// Java's length of a text.
fn utf16_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_cjk(c: char) -> bool {
    ('\u{4E00}'..='\u{9FA5}').contains(&c)
}

/// Java's `\s`.
fn is_java_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{0B}' | '\u{0C}' | '\r')
}

/// `^(?!@).((?!@@)[^\u4E00-\u9FA5\s])*$`: no leading `@`, no `@@` from the second character on, and from there no CJK
/// and no white space. The first character may be anything but a line end.
fn service_ok(value: &str) -> bool {
    let mut chars = value.chars();
    match chars.next() {
        None | Some('@' | '\n' | '\r') => return false,
        Some(_) => {}
    }
    let rest = chars.as_str();
    crate::key::split_separator(rest).is_none() && rest.chars().all(|c| !is_cjk(c) && !is_java_space(c))
}

/// Checks everything given; the first broken rule answers, in the reference's order. `metadata_length` is the limit
/// of [`METADATA_LENGTH`].
pub fn check(info: &ParamInfo<'_>, metadata_length: usize) -> Result<(), String> {
    let name = |c: char| is_word(c) || c == '-';
    let id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.');
    rule("namespaceId/tenant", info.namespace, 64, name)?;
    rule("dataId", info.data_id, 256, id)?;
    if let Some(service) = info.service.filter(|s| !s.trim().is_empty()) {
        if utf16_length(service) > 512 {
            return Err(too_long("serviceName", 512));
        }
        if !service_ok(service) {
            return Err(bad_chars("serviceName"));
        }
    }
    rule("group", info.group, 128, id)?;
    rule("cluster", info.cluster, 64, name)?;
    if let Some(clusters) = info.clusters {
        for cluster in clusters.split(',') {
            rule("cluster", Some(cluster), 64, name)?;
        }
    }
    rule("ip", info.ip, 128, |c| !is_cjk(c) && !is_java_space(c))?;
    if let Some(port) = info.port.filter(|p| !p.trim().is_empty()) {
        match port.parse::<i64>() {
            Ok(number) if (0..=65_535).contains(&number) => {}
            Ok(_) => return Err("Param 'port' is illegal, the value should be between 0 and 65535.".into()),
            Err(_) => return Err("Param 'port' is illegal, the value should be between 0 and 65535.".into()),
        }
    }
    if info.metadata.is_some_and(|metadata| metadata_size(metadata) > metadata_length) {
        return Err(too_long("Metadata", metadata_length));
    }
    rule("mcpName", info.mcp_name, 64, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Result<(), String> {
        check(&ParamInfo { service: Some(name), ..Default::default() }, METADATA_LENGTH)
    }

    #[test]
    fn service_names_follow_the_references_pattern() {
        assert!(service("orders").is_ok());
        assert!(service("单").is_ok(), "one CJK character passes");
        assert!(service("ab单").is_err());
        assert!(service("@x").is_err());
        assert!(service("G@@s").is_err());
        assert!(service("a b").is_err());
    }

    #[test]
    fn blank_values_are_not_checked() {
        assert!(check(&ParamInfo { namespace: Some("  "), ..Default::default() }, METADATA_LENGTH).is_ok());
    }

    #[test]
    fn lengths_are_named() {
        let long = "a".repeat(65);
        let text = check(&ParamInfo { namespace: Some(&long), ..Default::default() }, METADATA_LENGTH);
        assert_eq!(text, Err("Param 'namespaceId/tenant' is illegal, the param length should not exceed 64.".into()));
    }
}

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

/// What a character may be part of: one bit each in [`CLASSES`].
const NAME: u8 = 1;
const ID: u8 = 2;
/// Anything but white space (and, beyond ASCII, CJK).
const DENSE: u8 = 4;

/// Of each byte that is a character: what it may be part of.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            classes[at] |= NAME;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.') {
            classes[at] |= ID;
        }
        if !is_java_space(byte as char) {
            classes[at] |= DENSE;
        }
        at += 1;
    }
    classes
};

/// Whether all of it is ASCII of the class: the whole truth of nearly every text.
fn is_plain(text: &str, class: u8) -> bool {
    text.bytes().all(|byte| CLASSES[usize::from(byte)] & class != 0)
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

fn rule(name: &str, value: Option<&str>, max: usize, class: u8) -> Result<(), String> {
    let Some(value) = value.filter(|v| !is_blank(v)) else { return Ok(()) };
    if utf16_length(value) > max {
        return Err(too_long(name, max));
    }
    // Beyond ASCII only the class that excludes CJK has characters; its white space is all ASCII.
    let beyond = |c: char| class == DENSE && !c.is_ascii() && !is_cjk(c);
    let ok = |c: char| if c.is_ascii() { CLASSES[c as usize] & class != 0 } else { beyond(c) };
    if is_plain(value, class) || value.chars().all(ok) { Ok(()) } else { Err(bad_chars(name)) }
}

/// Java's length of a text.
fn utf16_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn is_cjk(c: char) -> bool {
    ('\u{4E00}'..='\u{9FA5}').contains(&c)
}

/// Java's `\s`.
const fn is_java_space(c: char) -> bool {
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
    let dense = is_plain(rest, DENSE) || rest.chars().all(|c| !is_cjk(c) && !is_java_space(c));
    dense && crate::key::split_separator(rest).is_none()
}

/// Checks everything given; the first broken rule answers, in the reference's order. `metadata_length` is the limit
/// of [`METADATA_LENGTH`].
pub fn check(info: &ParamInfo<'_>, metadata_length: usize) -> Result<(), String> {
    rule("namespaceId/tenant", info.namespace, 64, NAME)?;
    rule("dataId", info.data_id, 256, ID)?;
    if let Some(service) = info.service.filter(|s| !is_blank(s)) {
        if utf16_length(service) > 512 {
            return Err(too_long("serviceName", 512));
        }
        if !service_ok(service) {
            return Err(bad_chars("serviceName"));
        }
    }
    rule("group", info.group, 128, ID)?;
    rule("cluster", info.cluster, 64, NAME)?;
    if let Some(clusters) = info.clusters {
        for cluster in clusters.split(',') {
            rule("cluster", Some(cluster), 64, NAME)?;
        }
    }
    rule("ip", info.ip, 128, DENSE)?;
    if let Some(port) = info.port.filter(|p| !is_blank(p)) {
        match crate::digits::plain(port).parse::<i64>() {
            Ok(number) if (0..=65_535).contains(&number) => {}
            Ok(_) => return Err("Param 'port' is illegal, the value should be between 0 and 65535.".into()),
            Err(_) => return Err("Param 'port' is illegal, the value should be between 0 and 65535.".into()),
        }
    }
    if info.metadata.is_some_and(|metadata| metadata_size(metadata) > metadata_length) {
        return Err(too_long("Metadata", metadata_length));
    }
    rule("mcpName", info.mcp_name, 64, NAME)
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
    fn names_ids_and_addresses_take_what_the_reference_takes() {
        let of = |namespace, group, ip| ParamInfo { namespace, group, ip, ..Default::default() };
        let ok = |info: ParamInfo<'_>| check(&info, METADATA_LENGTH).is_ok();
        for (text, name, id, ip) in [
            ("a-B_9", true, true, true),
            ("a.b:c", false, true, true),
            ("a@b/c", false, false, true),
            ("a b", false, false, false),
            ("a\tb", false, false, false),
            ("é", false, false, true),
            ("a\u{a0}b", false, false, true),
            ("单", false, false, false),
        ] {
            assert_eq!(ok(of(Some(text), None, None)), name, "{text} as a name");
            assert_eq!(ok(of(None, Some(text), None)), id, "{text} as an id");
            assert_eq!(ok(of(None, None, Some(text))), ip, "{text} as an address");
        }
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

//! Names of configs as each generation spells them: namespaces, group keys, and a borrowed key for look-ups.

use std::sync::Arc;

use nacre_model::{ConfigKey, PUBLIC};

/// A key that borrows its parts, so that a read allocates nothing. Hashes and compares like [`ConfigKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRef<'a> {
    pub namespace: &'a str,
    pub group: &'a str,
    pub data_id: &'a str,
}

impl<'a> KeyRef<'a> {
    /// `namespace` as the caller spelled it; blank is the default namespace.
    pub fn new(namespace: &'a str, group: &'a str, data_id: &'a str) -> Self {
        Self { namespace: nacre_model::key::namespace(namespace), group, data_id }
    }

    pub fn to_key(self) -> ConfigKey {
        ConfigKey::new(self.namespace, self.group, self.data_id)
    }
}

impl<'a> From<&'a ConfigKey> for KeyRef<'a> {
    fn from(key: &'a ConfigKey) -> Self {
        Self { namespace: &key.namespace, group: &key.group, data_id: &key.data_id }
    }
}

impl papaya::Equivalent<ConfigKey> for KeyRef<'_> {
    fn equivalent(&self, key: &ConfigKey) -> bool {
        *self == KeyRef::from(key)
    }
}

/// The namespace of what is *published, imported, cloned and exported* by v1, and of v2's writes and history: blank, `public`
/// and `null` in any case are the default (Nacos 2.5.1 `NamespaceUtil.processNamespaceParameter`).
pub fn namespace_2x(given: &str) -> &str {
    let trimmed = given.trim();
    if trimmed.is_empty() || trimmed.eq_ignore_ascii_case(PUBLIC) || trimmed.eq_ignore_ascii_case("null") {
        PUBLIC
    } else {
        trimmed
    }
}

/// The namespace of v3, of gRPC, of every read and of v1's removals: blank and `public` are the default, any other word is itself
/// (`null` and `PUBLIC` are namespaces of their own, as recorded from 2.5.1 reads and all of 3.1).
pub fn namespace_3x(given: &str) -> &str {
    nacre_model::key::namespace(given)
}

/// How 2.x answers show a namespace: the default one is empty.
pub fn shown_2x(namespace: &str) -> &str {
    if namespace == PUBLIC { "" } else { namespace }
}

/// `%` and `+` escaped as in Nacos's `GroupKey`.
fn escape_into(part: &str, out: &mut String) {
    for c in part.chars() {
        match c {
            '+' => out.push_str("%2B"),
            '%' => out.push_str("%25"),
            c => out.push(c),
        }
    }
}

/// `dataId+group[+tenant]`, the group key of listener queries and fuzzy watch; `tenant` as it is to be shown, left
/// out when empty (2.x) and always there in 3.x.
pub fn group_key(data_id: &str, group: &str, tenant: &str) -> String {
    let mut text = String::with_capacity(data_id.len() + group.len() + tenant.len() + 2);
    escape_into(data_id, &mut text);
    text.push('+');
    escape_into(group, &mut text);
    if !tenant.is_empty() {
        text.push('+');
        escape_into(tenant, &mut text);
    }
    text
}

/// The group key with all three parts, as 3.x writes it.
pub fn group_key_3x(key: &ConfigKey) -> String {
    group_key(&key.data_id, &key.group, &key.namespace)
}

/// Reads `dataId+group[+tenant]` back. `None`: not two or three parts, an empty dataId or group, or a broken escape.
pub fn parse_group_key(text: &str) -> Option<ConfigKey> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut rest = text;
    while let Some(at) = rest.find(['+', '%']) {
        let last = parts.last_mut()?;
        last.push_str(&rest[..at]);
        if rest.as_bytes()[at] == b'+' {
            parts.push(String::new());
            rest = &rest[at + 1..];
        } else {
            let escaped = rest.get(at..at + 3)?;
            last.push(match escaped {
                "%2B" => '+',
                "%25" => '%',
                _ => return None,
            });
            rest = &rest[at + 3..];
        }
    }
    parts.last_mut()?.push_str(rest);
    match parts.as_slice() {
        [data_id, group] if !data_id.is_empty() && !group.is_empty() => Some(ConfigKey::new("", group, data_id)),
        [data_id, group, tenant] if !data_id.is_empty() && !group.is_empty() => {
            Some(ConfigKey::new(tenant, group, data_id))
        }
        _ => None,
    }
}

/// A shared text, or none when blank.
pub fn filled(text: Option<&str>) -> Option<Arc<str>> {
    text.filter(|t| !t.trim().is_empty()).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn namespaces_of_2x_forgive_more_words_than_those_of_3x() {
        for word in ["", "  ", "public", "PUBLIC", "null", "NULL"] {
            assert_eq!(namespace_2x(word), "public");
        }
        assert_eq!(namespace_3x("null"), "null");
        assert_eq!(namespace_3x("PUBLIC"), "PUBLIC");
        assert_eq!(namespace_3x(" dev "), "dev");
        assert_eq!(shown_2x("public"), "");
        assert_eq!(shown_2x("dev"), "dev");
    }

    #[test]
    fn group_keys_show_their_parts_and_escape_the_separator() {
        assert_eq!(group_key("d", "g", ""), "d+g");
        assert_eq!(group_key("a+b%", "g", "public"), "a%2Bb%25+g+public");
        assert_eq!(parse_group_key("d"), None);
        assert_eq!(parse_group_key("d+g+t+x"), None);
        assert_eq!(parse_group_key("d%2+g"), None);
        assert_eq!(parse_group_key("d%é+g"), None);
        assert_eq!(parse_group_key("+g"), None);
    }

    proptest! {
        #[test]
        fn a_group_key_reads_back(data_id in "[^\u{0}]{1,12}", group in ".{1,12}", tenant in "[a-z+%]{1,8}") {
            let key = ConfigKey::new(&tenant, &group, &data_id);
            prop_assert_eq!(parse_group_key(&group_key_3x(&key)), Some(key.clone()));
            let state = RandomState::new();
            prop_assert_eq!(state.hash_one(KeyRef::from(&key)), state.hash_one(&key));
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".{0,40}") {
            let _ = parse_group_key(&text);
        }
    }
}

//! Names: namespaces, groups, services, configs.
//!
//! One identity, one place: an empty namespace and `public` are the same namespace everywhere in nacre; adapters
//! normalise at the edge with [`namespace`] and echo the caller's own spelling back.

use std::{fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize};

/// The default namespace's id.
pub const PUBLIC: &str = "public";
/// The group used when a request names none.
pub const DEFAULT_GROUP: &str = "DEFAULT_GROUP";
/// The cluster used when an instance names none.
pub const DEFAULT_CLUSTER: &str = "DEFAULT";
/// Between group and name in a grouped service name.
pub const GROUP_SEPARATOR: &str = "@@";

/// The namespace a caller means: blank is [`PUBLIC`], everything else is trimmed.
pub fn namespace(given: &str) -> &str {
    let trimmed = given.trim();
    if trimmed.is_empty() { PUBLIC } else { trimmed }
}

/// Names that people take for one another have the same likeness: letter case, blanks around, `-`, `_` or `.` between
/// words, and a `group@@` in front do not count. A hash, so that an index of it costs little; whoever finds something by it
/// compares the names.
pub fn likeness(name: &str) -> u64 {
    let bare = name.rsplit(GROUP_SEPARATOR).find(|part| !part.trim().is_empty()).unwrap_or(name).trim();
    let lower = bare.chars().flat_map(char::to_lowercase).map(|c| if matches!(c, '_' | '.') { '-' } else { c });
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for character in lower {
        hash = (hash ^ u64::from(u32::from(character))).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// Splits at the first [`GROUP_SEPARATOR`]. As `split_once` does, without the machinery that longer patterns want: every
/// call about a service comes by here several times.
pub fn split_separator(text: &str) -> Option<(&str, &str)> {
    let at = text.as_bytes().windows(GROUP_SEPARATOR.len()).position(|pair| pair == GROUP_SEPARATOR.as_bytes())?;
    Some((&text[..at], &text[at + GROUP_SEPARATOR.len()..]))
}

/// The namespace or group of a new key. The usual two are shared by all keys that a thread makes: one text of the whole
/// process would have every core count its copies.
fn common(text: &str) -> Arc<str> {
    thread_local! {
        static USUAL: [Arc<str>; 2] = [PUBLIC.into(), DEFAULT_GROUP.into()];
    }
    let known = |usual: &[Arc<str>; 2]| usual.iter().find(|known| ***known == *text).cloned();
    USUAL.try_with(known).ok().flatten().unwrap_or_else(|| text.into())
}

/// Identity of a service: namespace, group and bare name (never grouped). A word: copies share the names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceKey(Arc<ServiceNames>);

/// What a [`ServiceKey`] is made of.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceNames {
    pub namespace: Arc<str>,
    pub group: Arc<str>,
    pub name: Arc<str>,
}

impl Deref for ServiceKey {
    type Target = ServiceNames;

    fn deref(&self) -> &ServiceNames {
        &self.0
    }
}

impl ServiceKey {
    pub fn new(ns: &str, group: &str, name: &str) -> Self {
        Self::of(common(namespace(ns)), common(group), name.into())
    }

    /// Of names as they are; the namespace is not normalised.
    pub fn of(namespace: Arc<str>, group: Arc<str>, name: Arc<str>) -> Self {
        Self(Arc::new(ServiceNames { namespace, group, name }))
    }

    /// `group@@name`, the form of 1.x answers and instance ids.
    pub fn grouped(&self) -> String {
        [&*self.group, GROUP_SEPARATOR, &*self.name].concat()
    }

    /// `namespace@@group@@name`, the form of fuzzy watch.
    pub fn text(&self) -> String {
        [&*self.namespace, GROUP_SEPARATOR, &*self.group, GROUP_SEPARATOR, &*self.name].concat()
    }

    /// Splits `group@@name`; a name without `@@` belongs to [`DEFAULT_GROUP`]; a third part is dropped
    /// (Nacos 2.5.1 NamingUtils).
    pub fn split_grouped(text: &str) -> (&str, &str) {
        match split_separator(text) {
            Some((group, rest)) => (group, split_separator(rest).map_or(rest, |(name, _)| name)),
            None => (DEFAULT_GROUP, text),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@@{}@@{}", self.namespace, self.group, self.name)
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Identity of a configuration. A word: copies share the names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigKey(Arc<ConfigNames>);

/// What a [`ConfigKey`] is made of.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigNames {
    pub namespace: Arc<str>,
    pub group: Arc<str>,
    pub data_id: Arc<str>,
}

impl Deref for ConfigKey {
    type Target = ConfigNames;

    fn deref(&self) -> &ConfigNames {
        &self.0
    }
}

impl ConfigKey {
    pub fn new(ns: &str, group: &str, data_id: &str) -> Self {
        Self::of(common(namespace(ns)), common(group), data_id.into())
    }

    /// Of names as they are; the namespace is not normalised.
    pub fn of(namespace: Arc<str>, group: Arc<str>, data_id: Arc<str>) -> Self {
        Self(Arc::new(ConfigNames { namespace, group, data_id }))
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.data_id, self.group, self.namespace)
    }
}

impl fmt::Debug for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_public_are_one_namespace() {
        assert_eq!(ServiceKey::new("", "g", "s"), ServiceKey::new("public", "g", "s"));
        assert_eq!(ConfigKey::new("  ", "g", "d"), ConfigKey::new("public", "g", "d"));
    }

    #[test]
    fn a_key_is_a_word_and_reads_as_its_names() {
        assert_eq!((size_of::<Option<ServiceKey>>(), size_of::<Option<ConfigKey>>()), (8, 8));
        let (service, config) = (ServiceKey::new("", "g", "s"), ConfigKey::new("dev", DEFAULT_GROUP, "d"));
        assert_eq!(serde_json::to_string(&service).unwrap(), r#"{"namespace":"public","group":"g","name":"s"}"#);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(text, r#"{"namespace":"dev","group":"DEFAULT_GROUP","data_id":"d"}"#);
        assert_eq!(serde_json::from_str::<ConfigKey>(&text).unwrap(), config);
    }

    #[test]
    fn grouped_names_split_as_in_nacos() {
        assert_eq!(ServiceKey::split_grouped("a@@b@@c"), ("a", "b"));
        assert_eq!(ServiceKey::split_grouped("b"), (DEFAULT_GROUP, "b"));
        for text in ["", "@", "@@", "a@@", "@@b", "a@@@b", "单@@名", "a@b", "@a@@b@@"] {
            assert_eq!(split_separator(text), text.split_once(GROUP_SEPARATOR), "{text}");
        }
    }
}

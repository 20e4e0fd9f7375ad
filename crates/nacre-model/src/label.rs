//! Names of instances and clients as events carry them: parts that are shared with the registry, put together to a text
//! only when somebody reads it. Most events are never read.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of an instance or a client. Reads as its text; two are equal when their texts are.
#[derive(Clone)]
pub struct Label {
    parts: Parts,
    /// Of parts that were read as text.
    text: OnceLock<Arc<str>>,
}

#[derive(Clone)]
enum Parts {
    Text(Arc<str>),
    Instance { ip: Arc<str>, port: i32, cluster: Arc<str> },
    Client { ip: Arc<str>, port: i32, ephemeral: bool },
}

impl Label {
    fn new(parts: Parts) -> Self {
        Self { parts, text: OnceLock::new() }
    }

    /// `ip:port:cluster`.
    pub fn instance(ip: &Arc<str>, port: i32, cluster: &Arc<str>) -> Self {
        Self::new(Parts::Instance { ip: Arc::clone(ip), port, cluster: Arc::clone(cluster) })
    }

    /// `ip:port#ephemeral`.
    pub fn client(ip: &Arc<str>, port: i32, ephemeral: bool) -> Self {
        Self::new(Parts::Client { ip: Arc::clone(ip), port, ephemeral })
    }

    /// The text, which is not kept when it has to be made.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.parts {
            Parts::Text(text) => Cow::Borrowed(text),
            _ => Cow::Owned(self.to_string()),
        }
    }

    /// What the text begins with: enough to tell most texts apart without making them.
    pub fn head(&self) -> &str {
        match &self.parts {
            Parts::Text(text) => text,
            Parts::Instance { ip, .. } | Parts::Client { ip, .. } => ip,
        }
    }

    /// Whether it was made of these parts; a text is not taken apart.
    pub fn is_instance(&self, ip: &str, port: i32, cluster: &str) -> bool {
        matches!(&self.parts, Parts::Instance { ip: a, port: b, cluster: c } if **a == *ip && *b == port && **c == *cluster)
    }

    /// Whether the client that was made of these parts is ephemeral; `None` for everything else.
    pub fn is_client(&self, ip: &str, port: i32) -> Option<bool> {
        match &self.parts {
            Parts::Client { ip: a, port: b, ephemeral } if **a == *ip && *b == port => Some(*ephemeral),
            _ => None,
        }
    }

    /// Bytes of the parts, about those of the text.
    pub fn weight(&self) -> usize {
        match &self.parts {
            Parts::Text(text) => text.len(),
            Parts::Instance { ip, cluster, .. } => ip.len() + cluster.len(),
            Parts::Client { ip, .. } => ip.len(),
        }
    }
}

impl std::ops::Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.parts {
            Parts::Text(text) => text,
            _ => self.text.get_or_init(|| self.to_string().into()),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parts {
            Parts::Text(text) => f.write_str(text),
            Parts::Instance { ip, port, cluster } => write!(f, "{ip}:{port}:{cluster}"),
            Parts::Client { ip, port, ephemeral } => write!(f, "{ip}:{port}#{ephemeral}"),
        }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text(), f)
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::new(Parts::Text(text.into()))
    }
}

impl From<&String> for Label {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        Self::new(Parts::Text(text))
    }
}

impl From<&Arc<str>> for Label {
    fn from(text: &Arc<str>) -> Self {
        Self::from(Arc::clone(text))
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Arc::<str>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_their_text_are_one_name() {
        let (ip, cluster): (Arc<str>, Arc<str>) = ("::1".into(), "C".into());
        let (client, instance) = (Label::client(&ip, 80, true), Label::instance(&ip, 80, &cluster));
        assert_eq!((client.clone(), instance.clone()), ("::1:80#true".into(), "::1:80:C".into()));
        assert_ne!(client, instance);
        assert_eq!(format!("{client} {instance:?}"), "::1:80#true \"::1:80:C\"");
        let back: Label = serde_json::from_str(&serde_json::to_string(&client).unwrap()).unwrap();
        assert_eq!(back, client);
        assert_eq!((&*client, client.text()), ("::1:80#true", "::1:80#true".into()));
        assert!(client.text().starts_with(client.head()));
        assert!(instance.is_instance("::1", 80, "C") && !instance.is_instance("::1", 80, "D"));
        assert!(!client.is_instance("::1", 80, "C") && !Label::from("::1:80:C").is_instance("::1", 80, "C"));
        assert_eq!([&client, &instance, &back].map(|one| one.is_client("::1", 80)), [Some(true), None, None]);
        assert_eq!(client.is_client("::1", 81), None);
    }
}

//! Names of instances and clients as events carry them: what they are made of is shared with the registry, and put together
//! to a text only when somebody reads it. Most events are never read.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use once_cell::race::OnceBox;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Instance;

/// The name of an instance or a client. Reads as its text; two are equal when their texts are.
#[derive(Clone)]
pub struct Label(Parts);

#[derive(Clone)]
enum Parts {
    Text(Arc<str>),
    /// Made of the address of an instance, which the event keeps anyway.
    Of(Arc<Instance>, Form, Made),
    Address(Arc<Address>, Made),
}

/// What is made of the address.
#[derive(Clone, Copy)]
enum Form {
    Instance,
    Client { ephemeral: bool },
}

struct Address {
    ip: Arc<str>,
    port: i32,
    tail: Tail,
}

enum Tail {
    Cluster(Arc<str>),
    Ephemeral(bool),
}

/// The text of parts that were read as text: a word, for most are not. A copy begins without.
#[derive(Default)]
struct Made(OnceBox<String>);

impl Clone for Made {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// An address and what follows it in the name.
enum Name<'a> {
    Instance(&'a Arc<str>, i32, &'a Arc<str>),
    Client(&'a Arc<str>, i32, bool),
}

impl Label {
    /// `ip:port:cluster`.
    pub fn instance(ip: &Arc<str>, port: i32, cluster: &Arc<str>) -> Self {
        Self::address(ip, port, Tail::Cluster(Arc::clone(cluster)))
    }

    /// `ip:port#ephemeral`.
    pub fn client(ip: &Arc<str>, port: i32, ephemeral: bool) -> Self {
        Self::address(ip, port, Tail::Ephemeral(ephemeral))
    }

    fn address(ip: &Arc<str>, port: i32, tail: Tail) -> Self {
        Self(Parts::Address(Arc::new(Address { ip: Arc::clone(ip), port, tail }), Made::default()))
    }

    /// `ip:port:cluster` of an instance that is kept as long as the label: costs nothing.
    pub fn of_instance(instance: &Arc<Instance>) -> Self {
        Self(Parts::Of(Arc::clone(instance), Form::Instance, Made::default()))
    }

    /// `ip:port#ephemeral` with the address of an instance that is kept as long as the label.
    pub fn client_of(instance: &Arc<Instance>, ephemeral: bool) -> Self {
        Self(Parts::Of(Arc::clone(instance), Form::Client { ephemeral }, Made::default()))
    }

    /// The parts of the name, or its text.
    fn name(&self) -> Result<Name<'_>, &Arc<str>> {
        match &self.0 {
            Parts::Text(text) => Err(text),
            Parts::Of(one, Form::Instance, _) => Ok(Name::Instance(&one.ip, one.port, &one.cluster)),
            Parts::Of(one, Form::Client { ephemeral }, _) => Ok(Name::Client(&one.ip, one.port, *ephemeral)),
            Parts::Address(address, _) => Ok(match &address.tail {
                Tail::Cluster(cluster) => Name::Instance(&address.ip, address.port, cluster),
                Tail::Ephemeral(ephemeral) => Name::Client(&address.ip, address.port, *ephemeral),
            }),
        }
    }

    /// The text, which is not kept when it has to be made.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Parts::Text(text) => Cow::Borrowed(text),
            _ => Cow::Owned(self.to_string()),
        }
    }

    /// What the text begins with: enough to tell most texts apart without making them.
    pub fn head(&self) -> &str {
        match self.name() {
            Err(text) => text,
            Ok(Name::Instance(ip, ..) | Name::Client(ip, ..)) => ip,
        }
    }

    /// Whether it was made of these parts; a text is not taken apart.
    pub fn is_instance(&self, ip: &str, port: i32, cluster: &str) -> bool {
        matches!(self.name(), Ok(Name::Instance(a, b, c)) if **a == *ip && b == port && **c == *cluster)
    }

    /// Whether the client that was made of these parts is ephemeral; `None` for everything else.
    pub fn is_client(&self, ip: &str, port: i32) -> Option<bool> {
        match self.name() {
            Ok(Name::Client(a, b, ephemeral)) if **a == *ip && b == port => Some(ephemeral),
            _ => None,
        }
    }

    /// Bytes that it holds besides itself, about; those of an instance are counted by whoever keeps the instance.
    pub fn weight(&self) -> usize {
        match &self.0 {
            Parts::Text(text) => text.len(),
            Parts::Of(..) => 0,
            Parts::Address(address, _) => match &address.tail {
                Tail::Cluster(cluster) => size_of::<Address>() + address.ip.len() + cluster.len(),
                Tail::Ephemeral(_) => size_of::<Address>() + address.ip.len(),
            },
        }
    }
}

impl std::ops::Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Parts::Text(text) => text,
            Parts::Of(_, _, made) | Parts::Address(_, made) => made.0.get_or_init(|| Box::new(self.to_string())),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Err(text) => f.write_str(text),
            Ok(Name::Instance(ip, port, cluster)) => write!(f, "{ip}:{port}:{cluster}"),
            Ok(Name::Client(ip, port, ephemeral)) => write!(f, "{ip}:{port}#{ephemeral}"),
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
        Self(Parts::Text(text.into()))
    }
}

impl From<&String> for Label {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        Self(Parts::Text(text))
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
        let held = Arc::new(Instance { cluster: Arc::clone(&cluster), ..Instance::new("::1", 80) });
        let parted = (Label::client(&ip, 80, true), Label::instance(&ip, 80, &cluster));
        let pointing = (Label::client_of(&held, true), Label::of_instance(&held));
        assert_eq!(parted, pointing);
        for (client, instance) in [parted, pointing] {
            assert_eq!((client.clone(), instance.clone()), ("::1:80#true".into(), "::1:80:C".into()));
            assert_ne!(client, instance);
            assert_eq!(format!("{client} {instance:?}"), "::1:80#true \"::1:80:C\"");
            let back: Label = serde_json::from_str(&serde_json::to_string(&client).unwrap()).unwrap();
            assert_eq!(back, client);
            assert_eq!((&*client, client.text()), ("::1:80#true", "::1:80#true".into()));
            assert_eq!(&*client.clone(), "::1:80#true", "a copy of one that was read");
            assert!(client.text().starts_with(client.head()));
            assert!(instance.is_instance("::1", 80, "C") && !instance.is_instance("::1", 80, "D"));
            assert!(!client.is_instance("::1", 80, "C") && !Label::from("::1:80:C").is_instance("::1", 80, "C"));
            assert_eq!([&client, &instance, &back].map(|one| one.is_client("::1", 80)), [Some(true), None, None]);
            assert_eq!(client.is_client("::1", 81), None);
        }
    }

    #[test]
    fn a_label_takes_three_words() {
        assert_eq!(size_of::<Option<Label>>(), 24);
    }
}

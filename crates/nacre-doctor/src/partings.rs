//! Naming connections that are over: who they were, so that a later one can be told from a stranger of the same address.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use nacre_model::ServiceKey;
use parking_lot::Mutex;

/// Who a connection was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parting {
    pub id: Arc<str>,
    /// `Nacos-Go-Client:v2.2.1`; `""` when it did not say.
    pub agent: Arc<str>,
    /// Label `AppName`; `""` when nothing is known of it.
    pub app: Arc<str>,
    /// What it subscribed to; `None` when that is not known.
    pub interests: Option<Interests>,
}

impl Parting {
    /// Whether a connection with this agent and application may be the same process come back.
    pub fn may_be(&self, agent: &str, app: &str) -> bool {
        let fits = |was: &str, is: &str| was == is || says_nothing(was) || says_nothing(is);
        fits(&self.agent, agent) && fits(&self.app, app)
    }
}

/// What SDKs send when they know no name.
fn says_nothing(name: &str) -> bool {
    matches!(name, "" | "-" | "unknown")
}

/// Services that a client subscribed to, as a set in a few bytes: it may seem to hold more than was put in, never less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interests(u128);

impl Interests {
    pub fn add(&mut self, service: &ServiceKey) {
        let mut hasher = DefaultHasher::new();
        service.hash(&mut hasher);
        self.0 |= 1 << (hasher.finish() % 128);
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `other` surely holds something that this one does not.
    pub fn lacks(self, other: Self) -> bool {
        other.0 & !self.0 != 0
    }
}

impl<'a> FromIterator<&'a ServiceKey> for Interests {
    fn from_iter<T: IntoIterator<Item = &'a ServiceKey>>(services: T) -> Self {
        let mut interests = Self::default();
        services.into_iter().for_each(|service| interests.add(service));
        interests
    }
}

/// The newest of those that ended while this process ran.
#[derive(Debug)]
pub struct Partings {
    most: usize,
    all: Mutex<VecDeque<Parting>>,
}

impl Partings {
    pub fn new(most: usize) -> Self {
        Self { most, all: Mutex::default() }
    }

    pub fn note(&self, parting: Parting) {
        let mut all = self.all.lock();
        if all.len() >= self.most {
            all.pop_front();
        }
        all.push_back(parting);
    }

    pub fn len(&self) -> usize {
        self.all.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Parting> {
        self.all.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_told_by_its_version_its_application_and_what_it_asks_for() {
        let was = Parting { id: "1".into(), agent: "Go".into(), app: "shop".into(), interests: None };
        assert!(was.may_be("Go", "shop") && was.may_be("Go", "unknown") && was.may_be("", "-"));
        assert!(!was.may_be("Java", "shop") && !was.may_be("Go", "till"));
        let (a, b) = (ServiceKey::new("", "g", "a"), ServiceKey::new("", "g", "b"));
        let (one, both) = (Interests::from_iter([&a]), Interests::from_iter([&a, &b]));
        assert!(one.lacks(both) && !both.lacks(one) && !one.lacks(one));
        assert!(Interests::default().is_empty() && !both.is_empty());
    }

    #[test]
    fn only_the_newest_are_kept() {
        let partings = Partings::new(300);
        for number in 0..600 {
            partings.note(Parting { id: number.to_string().into(), ..Parting::default() });
        }
        let all = partings.all();
        assert_eq!((all.len(), partings.len()), (300, 300));
        assert_eq!(*all[0].id, *"300");
    }
}

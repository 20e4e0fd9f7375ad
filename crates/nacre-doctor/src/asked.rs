//! Questions that found nothing: who asked for which config or service, in which namespace, and how often. Only an empty
//! answer costs something here.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use nacre_model::{ConfigKey, Now, ServiceKey, limits};
use parking_lot::Mutex;

/// Questions that were not asked again for this long make room.
const FORGET_MS: i64 = 60_000;
/// Longest agent that is kept.
const AGENT: usize = 120;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sought {
    Config(ConfigKey),
    /// With the clusters that were named, `""` = all.
    Service(ServiceKey, Arc<str>),
}

impl Sought {
    pub fn namespace(&self) -> &str {
        match self {
            Self::Config(key) => &key.namespace,
            Self::Service(key, _) => &key.namespace,
        }
    }
}

/// A question that found nothing when it was asked last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub sought: Sought,
    pub address: IpAddr,
    pub agent: Arc<str>,
    pub count: u64,
    /// Wall clock, milliseconds.
    pub first: i64,
    pub last: i64,
    /// It was a subscription: it is asked as long as it stands.
    pub standing: bool,
}

#[derive(Debug, Default)]
pub struct Asked {
    map: Mutex<HashMap<(Sought, IpAddr), Question>>,
}

impl Asked {
    pub fn note(&self, sought: Sought, address: IpAddr, agent: &str, standing: bool, now: Now) {
        let mut map = self.map.lock();
        let key = (sought, address);
        if let Some(known) = map.get_mut(&key) {
            if now.wall - known.last > FORGET_MS && !known.standing {
                (known.first, known.count) = (now.wall, 0);
            }
            known.count += 1;
            known.last = now.wall;
            known.standing |= standing;
            if *known.agent != *agent {
                known.agent = agent.chars().take(AGENT).collect::<String>().into();
            }
            return;
        }
        if map.len() >= limits::UNANSWERED as usize {
            map.retain(|_, known| now.wall - known.last < FORGET_MS);
            if map.len() >= limits::UNANSWERED as usize {
                return;
            }
        }
        let question = Question {
            sought: key.0.clone(),
            address,
            agent: agent.chars().take(AGENT).collect::<String>().into(),
            count: 1,
            first: now.wall,
            last: now.wall,
            standing,
        };
        map.insert(key, question);
    }

    /// The questions that were asked within the last `within_ms` or stand, in order.
    pub fn recent(&self, now: i64, within_ms: i64) -> Vec<Question> {
        let map = self.map.lock();
        let recent = |question: &&Question| question.standing || now - question.last <= within_ms;
        let mut all: Vec<Question> = map.values().filter(recent).cloned().collect();
        drop(map);
        all.sort_by(|a, b| (&a.sought, a.address).cmp(&(&b.sought, b.address)));
        all
    }

    /// A standing question ended, or was answered.
    pub fn drop(&self, question: &Question) {
        self.map.lock().remove(&(question.sought.clone(), question.address));
    }
}

/// Who edited an instance's operator record. Who registered one is with the [`Callers`](crate::callers::Callers).
#[derive(Debug, Default)]
pub struct Hands {
    edits: Mutex<HashMap<(ServiceKey, Arc<str>), Hand>>,
}

/// Whoever did it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    pub address: IpAddr,
    pub agent: Arc<str>,
    /// Wall clock, milliseconds.
    pub at: i64,
}

impl Hands {
    pub fn edited(&self, service: &ServiceKey, identity: &str, address: IpAddr, agent: &str, now: Now) {
        let mut map = self.edits.lock();
        let hand = Hand { address, agent: agent.chars().take(AGENT).collect::<String>().into(), at: now.wall };
        map.insert((service.clone(), identity.into()), hand);
        if map.len() > limits::HANDS as usize {
            let mut times: Vec<i64> = map.values().map(|hand| hand.at).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            map.retain(|_, hand| hand.at > median);
        }
    }

    /// Who edited `ip:port:cluster` last.
    pub fn editor(&self, service: &ServiceKey, identity: &str) -> Option<Hand> {
        self.edits.lock().get(&(service.clone(), identity.into())).cloned()
    }
}

/// The address in `ip:port:cluster`, which may be IPv6 with or without brackets.
pub fn ip_of(identity: &str) -> &str {
    let ip = identity.rsplitn(3, ':').nth(2).unwrap_or(identity);
    ip.trim_start_matches('[').trim_end_matches(']')
}

/// Why nobody on another host can call this address; `None` when that is not plain from the address.
pub fn unreachable_from_elsewhere(ip: &str) -> Option<&'static str> {
    let ip = ip.parse::<IpAddr>().ok()?.to_canonical();
    match ip {
        _ if ip.is_loopback() => Some("a loopback address: every host calls itself there"),
        _ if ip.is_unspecified() => Some("the unspecified address, which is nobody's"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address: no router passes it on"),
        // Docker hands out 172.17.0.0/16 to its default bridge and 172.18 to 172.31 to those of compose.
        IpAddr::V4(v4) if v4.octets()[0] == 172 && (17..=31).contains(&v4.octets()[1]) => {
            Some("an address of a docker bridge, which other hosts cannot reach")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address: no router passes it on"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64) -> Now {
        Now { mono: 0, wall }
    }

    #[test]
    fn questions_are_counted_per_asker_and_forgotten() {
        let asked = Asked::default();
        let sought = || Sought::Config(ConfigKey::new("", "g", "d"));
        asked.note(sought(), [10, 0, 0, 1].into(), "a", false, at(1_000));
        asked.note(sought(), [10, 0, 0, 1].into(), "a", false, at(2_000));
        asked.note(sought(), [10, 0, 0, 2].into(), "a", true, at(2_000));
        let recent = asked.recent(3_000, 5_000);
        assert_eq!(recent.iter().map(|q| (q.count, q.standing)).collect::<Vec<_>>(), [(2, false), (1, true)]);
        assert_eq!(asked.recent(100_000, 5_000).len(), 1, "what stands is asked now");
        asked.drop(&recent[1]);
        assert!(asked.recent(100_000, 5_000).is_empty());
        for n in 0..2 * limits::UNANSWERED {
            let sought = Sought::Config(ConfigKey::new("", "g", &n.to_string()));
            asked.note(sought, [10, 0, 0, 1].into(), "a", false, at(2_000));
        }
        assert!(asked.map.lock().len() <= limits::UNANSWERED as usize);
    }

    #[test]
    fn addresses_that_nobody_else_reaches_are_told() {
        for ip in ["127.0.0.1", "172.17.0.5", "172.20.1.1", "169.254.3.4", "0.0.0.0", "::1", "fe80::1"] {
            assert!(unreachable_from_elsewhere(ip).is_some(), "{ip}");
        }
        for ip in ["10.0.0.1", "172.16.0.9", "192.168.1.1", "2001:db8::1", "host"] {
            assert!(unreachable_from_elsewhere(ip).is_none(), "{ip}");
        }
        assert_eq!(ip_of("2001:db8::7:80:DEFAULT"), "2001:db8::7");
        assert_eq!(ip_of("[2001:db8::7]:80:DEFAULT"), "2001:db8::7");
    }

    #[test]
    fn editors_are_kept_within_bounds() {
        let hands = Hands::default();
        let key = ServiceKey::new("", "g", "s");
        for n in 0..3 * limits::HANDS {
            hands.edited(&key, &format!("10.0.0.1:{n}:DEFAULT"), [10, 0, 0, 9].into(), "curl", at(n as i64));
        }
        assert!(hands.edits.lock().len() <= limits::HANDS as usize);
        let last = format!("10.0.0.1:{}:DEFAULT", 3 * limits::HANDS - 1);
        assert_eq!(hands.editor(&key, &last).map(|hand| hand.address.to_string()).as_deref(), Some("10.0.0.9"));
    }
}

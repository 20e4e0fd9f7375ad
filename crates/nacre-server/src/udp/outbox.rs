//! What is to be pushed and what waits for its acknowledgement. Pure: time is an argument, nothing is sent here.
//!
//! Bounded by construction: a service is dirty at most once, and per (subscriber, service, cluster filter) at most one push
//! waits; a newer push takes the place of the older one. A dead subscriber therefore costs one entry per list it polled
//! for, and only until it lapses. A first push is owed once per subscription.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    net::SocketAddr,
    sync::Arc,
};

use nacre_model::ServiceKey;
use nacre_naming::ClientId;
use smallvec::SmallVec;

use super::packet::Packet;

/// An acknowledgement is waited for this long.
pub const ACK_TIMEOUT_MS: u64 = 10_000;
/// Sends of one push in all.
pub const MAX_SENDS: u32 = 2;
/// A list that became empty is shown after this long only, and only if it still is: instances that leave and come back
/// within it (rolling restarts) never flash an empty list (case C011). Everything else goes out at once.
pub const EMPTY_HOLD_MS: u64 = 500;
/// The first push of a subscription leaves this much after the list that made it, as the reference's does. What changes until
/// then waits for it: a push that overtook that answer would be undone by it, for 1.x clients keep what arrives last.
pub const FIRST_PUSH_MS: u64 = 500;
/// Waiting pushes are looked through this often, however many changes there are.
const LOOK_EVERY_MS: u64 = 250;

/// Which views of a dirty service are to be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// All that have hosts.
    First,
    /// The empty ones, held back in the first round.
    Held,
}

#[derive(Clone, Copy, Debug)]
struct Dirty {
    round: Round,
    due: u64,
}

/// A list that is pushed: a service as one cluster filter shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub service: ServiceKey,
    pub clusters: Arc<str>,
}

#[derive(Debug)]
struct Waiting {
    list: Listed,
    packet: Packet,
    sends: u32,
    sent_at: u64,
    /// When the oldest push without an acknowledgement was sent; newer pushes do not make a silent subscriber younger.
    silent_since: u64,
}

/// What a look at the waiting pushes found.
#[derive(Debug, Default)]
pub struct Overdue {
    pub again: Vec<(SocketAddr, Packet)>,
    pub given_up: Vec<(SocketAddr, ServiceKey)>,
}

#[derive(Debug, Default)]
pub struct Outbox {
    dirty: HashMap<ServiceKey, Dirty>,
    /// First pushes that are still to come and when they are due: in order, for all wait equally long.
    first: VecDeque<(u64, ClientId, ServiceKey)>,
    /// Whom they are for.
    awaiting: HashMap<ServiceKey, HashSet<ClientId>>,
    waiting: HashMap<SocketAddr, SmallVec<[Waiting; 2]>>,
    /// When the waiting pushes are looked through next.
    look_at: u64,
}

impl Outbox {
    /// `service` changed.
    pub fn mark(&mut self, service: &ServiceKey, now: u64) {
        match self.dirty.entry(service.clone()) {
            Entry::Occupied(mut there) => {
                let there = there.get_mut();
                if there.round == Round::Held {
                    *there = Dirty { round: Round::First, due: now };
                }
            }
            Entry::Vacant(place) => {
                place.insert(Dirty { round: Round::First, due: now });
            }
        }
    }

    /// A client subscribed; its answer is on the way.
    pub fn subscribed(&mut self, client: &ClientId, service: &ServiceKey, now: u64) {
        if self.awaiting.entry(service.clone()).or_default().insert(client.clone()) {
            self.first.push_back((now + FIRST_PUSH_MS, client.clone(), service.clone()));
        }
    }

    /// The first push of this subscription is still to come: it will show every change.
    pub fn awaits_first(&self, client: &ClientId, service: &ServiceKey) -> bool {
        self.awaiting.get(service).is_some_and(|clients| clients.contains(client))
    }

    /// Takes a subscription whose first push is due.
    pub fn take_first(&mut self, now: u64) -> Option<(ClientId, ServiceKey)> {
        let (_, client, service) = self.first.pop_front_if(|(due, ..)| *due <= now)?;
        if let Entry::Occupied(mut clients) = self.awaiting.entry(service.clone()) {
            clients.get_mut().remove(&client);
            if clients.get().is_empty() {
                clients.remove();
            }
        }
        Some((client, service))
    }

    /// Some views of `service` were empty in the first round; unless it changes before, they are pushed in another one.
    pub fn hold(&mut self, service: &ServiceKey, now: u64) {
        let held = Dirty { round: Round::Held, due: now + EMPTY_HOLD_MS };
        self.dirty.entry(service.clone()).or_insert(held);
    }

    /// Takes the services whose pushes are due.
    pub fn take_due(&mut self, now: u64) -> Vec<(ServiceKey, Round)> {
        let due = self.dirty.extract_if(|_, dirty| dirty.due <= now);
        due.map(|(service, dirty)| (service, dirty.round)).collect()
    }

    /// A push went out. Answers true when the subscriber has now been silent for longer than an acknowledgement is
    /// waited for.
    pub fn sent(&mut self, to: SocketAddr, list: &Listed, packet: Packet, now: u64) -> bool {
        let waiting = self.waiting.entry(to).or_default();
        let Some(older) = waiting.iter_mut().find(|w| w.list == *list) else {
            waiting.push(Waiting { list: list.clone(), packet, sends: 1, sent_at: now, silent_since: now });
            return false;
        };
        let silent = now.saturating_sub(older.silent_since) >= ACK_TIMEOUT_MS;
        let silent_since = if silent { now } else { older.silent_since };
        *older = Waiting { list: list.clone(), packet, sends: 1, sent_at: now, silent_since };
        silent
    }

    /// An acknowledgement arrived. Answers how long it took, `None` when nothing waits for it.
    pub fn acked(&mut self, from: SocketAddr, stamp: u64, now: u64) -> Option<u64> {
        let waiting = self.waiting.get_mut(&from)?;
        let at = waiting.iter().position(|w| w.packet.stamp == stamp)?;
        let done = waiting.swap_remove(at);
        if waiting.is_empty() {
            self.waiting.remove(&from);
        }
        Some(now.saturating_sub(done.sent_at))
    }

    /// What waits for this acknowledgement, and since when.
    pub fn awaits(&self, from: SocketAddr, stamp: u64) -> Option<(ServiceKey, u64)> {
        let waiting = self.waiting.get(&from)?.iter().find(|w| w.packet.stamp == stamp)?;
        Some((waiting.list.service.clone(), waiting.sent_at))
    }

    /// Pushes whose acknowledgement is overdue: sent once more, or given up.
    pub fn overdue(&mut self, now: u64) -> Overdue {
        let mut found = Overdue::default();
        if now < self.look_at {
            return found;
        }
        self.look_at = now + LOOK_EVERY_MS;
        self.waiting.retain(|to, waiting| {
            waiting.retain(|w| {
                if now.saturating_sub(w.sent_at) < ACK_TIMEOUT_MS {
                    return true;
                }
                if w.sends < MAX_SENDS {
                    w.sends += 1;
                    w.sent_at = now;
                    found.again.push((*to, w.packet.clone()));
                    return true;
                }
                found.given_up.push((*to, w.list.service.clone()));
                false
            });
            !waiting.is_empty()
        });
        found
    }

    /// When there is something to do again; `None` when nothing is dirty or waits.
    pub fn next(&self) -> Option<u64> {
        let dirty = self.dirty.values().map(|dirty| dirty.due).min();
        let look = (!self.waiting.is_empty()).then_some(self.look_at);
        let first = self.first.front().map(|(due, ..)| *due);
        dirty.into_iter().chain(look).chain(first).min()
    }

    /// Pushes that wait for their acknowledgement.
    pub fn waiting(&self) -> usize {
        self.waiting.values().map(|waiting| waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn service(name: &str) -> ServiceKey {
        ServiceKey::new("", "G", name)
    }

    fn list(name: &str) -> Listed {
        Listed { service: service(name), clusters: "".into() }
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 5_000))
    }

    fn packet(stamp: u64) -> Packet {
        Packet { stamp, bytes: Bytes::from_static(b"{}") }
    }

    #[test]
    fn a_service_is_dirty_once_however_often_it_changes() {
        let mut outbox = Outbox::default();
        for at in 0..100 {
            outbox.mark(&service("s"), at);
        }
        assert_eq!(outbox.take_due(100), [(service("s"), Round::First)]);
        assert_eq!(outbox.take_due(100), []);
    }

    #[test]
    fn the_first_push_of_a_subscription_waits_for_its_answer() {
        let mut outbox = Outbox::default();
        let (a, b) = (ClientId::ephemeral("10.0.0.1", 5_000), ClientId::ephemeral("10.0.0.2", 5_000));
        outbox.subscribed(&a, &service("s"), 0);
        outbox.subscribed(&b, &service("s"), 100);
        outbox.subscribed(&a, &service("s"), 200);
        assert_eq!(outbox.next(), Some(FIRST_PUSH_MS));
        assert_eq!(outbox.take_first(FIRST_PUSH_MS - 1), None);
        assert!(outbox.awaits_first(&a, &service("s")) && !outbox.awaits_first(&a, &service("t")));
        let first = Some((a.clone(), service("s")));
        assert_eq!(outbox.take_first(FIRST_PUSH_MS), first, "asking again puts nothing off");
        assert_eq!(outbox.take_first(FIRST_PUSH_MS), None);
        assert!(!outbox.awaits_first(&a, &service("s")) && outbox.awaits_first(&b, &service("s")));
        assert_eq!(outbox.take_first(FIRST_PUSH_MS + 100), Some((b, service("s"))));
        assert_eq!((outbox.next(), outbox.awaiting.len()), (None, 0));
    }

    #[test]
    fn an_empty_list_is_shown_only_if_it_stays_empty() {
        let mut outbox = Outbox::default();
        outbox.mark(&service("s"), 0);
        assert_eq!(outbox.take_due(0), [(service("s"), Round::First)]);
        outbox.hold(&service("s"), 0);
        assert_eq!(outbox.take_due(100), []);
        // It comes back: the held round is forgotten.
        outbox.mark(&service("s"), 100);
        assert_eq!(outbox.take_due(100), [(service("s"), Round::First)]);
        assert_eq!(outbox.take_due(10_000), []);
        // It stays empty.
        outbox.mark(&service("s"), 20_000);
        assert_eq!(outbox.take_due(20_000).len(), 1);
        outbox.hold(&service("s"), 20_000);
        assert_eq!(outbox.take_due(20_000 + EMPTY_HOLD_MS), [(service("s"), Round::Held)]);
    }

    #[test]
    fn a_dead_subscriber_gets_two_sends_and_is_given_up() {
        let mut outbox = Outbox::default();
        assert!(!outbox.sent(address(1), &list("s"), packet(1), 0));
        assert!(outbox.overdue(ACK_TIMEOUT_MS - LOOK_EVERY_MS).again.is_empty());
        assert_eq!(outbox.overdue(ACK_TIMEOUT_MS).again.len(), 1);
        assert!(outbox.overdue(ACK_TIMEOUT_MS + LOOK_EVERY_MS).again.is_empty());
        let end = outbox.overdue(2 * ACK_TIMEOUT_MS);
        assert_eq!((end.again.len(), end.given_up), (0, vec![(address(1), service("s"))]));
        assert_eq!((outbox.waiting(), outbox.next()), (0, None));
    }

    #[test]
    fn newer_pushes_take_the_place_of_older_ones_and_silence_is_still_counted() {
        let mut outbox = Outbox::default();
        let silent = (0..20).filter(|n| outbox.sent(address(1), &list("s"), packet(*n), n * 1_000)).count();
        assert_eq!(silent, 1, "20 pushes in 20 s without a word: counted once per 10 s");
        assert_eq!(outbox.waiting(), 1);
    }

    /// Case C008.
    #[test]
    fn ten_thousand_dead_subscribers_cost_one_entry_each_and_then_none() {
        let mut outbox = Outbox::default();
        let dead = || (0..10_000_u32).map(|n| SocketAddr::from((std::net::Ipv4Addr::from(0x0A00_0000 + n), 5_000)));
        for change in 0..20 {
            for (n, to) in dead().enumerate() {
                outbox.sent(to, &list("s"), packet(change * 10_000 + n as u64), change * 400);
            }
            assert_eq!(outbox.waiting(), 10_000, "one push waits for each, however often the service changes");
        }
        let last = 19 * 400;
        assert_eq!(outbox.overdue(last + ACK_TIMEOUT_MS).again.len(), 10_000);
        let end = outbox.overdue(last + 2 * ACK_TIMEOUT_MS);
        assert_eq!((end.given_up.len(), outbox.waiting(), outbox.waiting.len()), (10_000, 0, 0));
    }

    #[test]
    fn lists_by_different_filters_wait_each_for_its_own() {
        let mut outbox = Outbox::default();
        let filtered = Listed { clusters: "C2".into(), ..list("s") };
        outbox.sent(address(1), &list("s"), packet(1), 0);
        outbox.sent(address(1), &filtered, packet(2), 0);
        assert_eq!(outbox.waiting(), 2);
        assert!(outbox.acked(address(1), 1, 1).is_some() && outbox.acked(address(1), 2, 1).is_some());
    }

    #[test]
    fn an_acknowledgement_needs_the_right_sender_and_stamp() {
        let mut outbox = Outbox::default();
        outbox.sent(address(1), &list("a"), packet(7), 100);
        outbox.sent(address(1), &list("b"), packet(8), 100);
        assert_eq!(outbox.acked(address(2), 7, 120), None);
        assert_eq!(outbox.acked(address(1), 9, 120), None);
        assert_eq!(outbox.acked(address(1), 7, 120), Some(20));
        assert_eq!(outbox.acked(address(1), 7, 120), None, "once");
        assert_eq!(outbox.waiting(), 1);
    }
}

//! The chains of one connection and the moments they wait for.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use nacre_wire::grpc::Ack;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::{
    Outcome,
    target::{Domain, Load, Slot, Target},
};

pub(super) type TimerKey = (u64, u64);

#[derive(Debug)]
pub(super) enum Timer {
    /// An acknowledgement did not come.
    Ack(u64),
    /// A delayed or repeated send.
    Send(Target),
    /// Forget when a config was sent, if nothing came after it.
    Forget(Target),
    /// The answer to a question did not come.
    Answer(Target),
}

#[derive(Debug, Default)]
pub(super) struct Chain {
    /// `None` for services: made when sent.
    pub(super) load: Option<Load>,
    pub(super) queued: bool,
    /// `requestId` of what was sent last, while unacknowledged.
    pub(super) flight: Option<u64>,
    pub(super) timer: Option<TimerKey>,
    /// Sends that failed since the last success.
    pub(super) failed: u32,
    pub(super) sent: Option<u64>,
    /// Services and configs: since when the newest state is owed.
    pub(super) owed: Option<u64>,
    /// Services: when the first push of a subscription leaves, while it is still to come.
    pub(super) first: Option<u64>,
    /// Services: the client holds an empty list. `false` may also mean that nobody knows.
    pub(super) empty: bool,
    /// Services: an empty list may replace one with hosts now.
    pub(super) may_empty: bool,
    /// Questions: who waits.
    pub(super) reply: Option<oneshot::Sender<Ack>>,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) target: Target,
    pub(super) sent: u64,
    /// When what it tells became owed.
    pub(super) owed: u64,
    /// It tells of a change: neither the first push of a subscription nor one that is tried again.
    pub(super) news: bool,
    pub(super) timer: Option<TimerKey>,
}

/// A fuzzy watch whose batches are being acknowledged.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) open: usize,
    pub(super) batches: usize,
    pub(super) finish: Option<Load>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) stream: Option<Arc<Slot>>,
    pub(super) closed: bool,
    pub(super) ready: VecDeque<Target>,
    pub(super) chains: HashMap<Target, Chain>,
    pub(super) flights: HashMap<u64, Flight>,
    pub(super) timers: BTreeMap<TimerKey, Timer>,
    pub(super) watches: HashMap<(Domain, Arc<str>), Watch>,
    /// Syncs whose contents are being made; changes of their domains wait, for they are newer.
    pub(super) preparing: SmallVec<[Domain; 1]>,
    /// The changes that wait.
    pub(super) held: Vec<Target>,
    pub(super) number: u64,
    /// The moment the connection has asked to be woken at.
    pub(super) armed: Option<u64>,
}

impl State {
    pub(super) fn timer(&mut self, due: u64, timer: Timer) -> TimerKey {
        let key = (due, self.number);
        self.number += 1;
        self.timers.insert(key, timer);
        key
    }

    pub(super) fn stop(&mut self, timer: Option<TimerKey>) {
        if let Some(key) = timer {
            self.timers.remove(&key);
        }
    }

    /// Puts a target among those to be sent.
    pub(super) fn queue(&mut self, target: &Target) {
        let Some(chain) = self.chains.get_mut(target) else { return };
        let timer = if matches!(target, Target::Detection | Target::Ask(_)) { None } else { chain.timer.take() };
        if !chain.queued {
            chain.queued = true;
            if *target == Target::SetupAck {
                self.ready.push_front(Target::SetupAck);
            } else {
                self.ready.push_back(target.clone());
            }
        }
        self.stop(timer);
        if let Some(stream) = &self.stream {
            stream.waker.wake();
        }
    }

    /// Puts a change of a fuzzy watch behind every sync that was made before it.
    pub(super) fn queue_change(&mut self, domain: Domain, target: &Target) {
        let preparing = self.preparing.contains(&domain);
        if (preparing || self.is_syncing(domain))
            && let Some(chain) = self.chains.get_mut(target)
            && std::mem::take(&mut chain.queued)
        {
            self.ready.retain(|queued| queued != target);
        }
        if !preparing {
            self.queue(target);
        } else if !self.held.contains(target) {
            self.held.push(target.clone());
        }
    }

    /// The contents of a sync were made and handed over.
    pub(super) fn prepared(&mut self, domain: Domain) {
        if let Some(at) = self.preparing.iter().position(|preparing| *preparing == domain) {
            self.preparing.swap_remove(at);
        }
        if !self.preparing.contains(&domain) {
            let (free, held) = std::mem::take(&mut self.held).into_iter().partition(|target| target.changes(domain));
            self.held = held;
            for target in Vec::from_iter(free) {
                self.queue(&target);
            }
        }
    }

    /// Is a batch of a sync not acknowledged yet?
    pub(super) fn is_syncing(&self, domain: Domain) -> bool {
        self.watches.keys().any(|(known, _)| *known == domain)
    }

    /// All changes of a domain that a sync under way is older than.
    pub(super) fn changes(&self, domain: Domain) -> Vec<Target> {
        self.chains.keys().filter(|target| target.changes(domain)).cloned().collect()
    }

    /// A watch has its sync, or is over: what was kept for its sake is forgotten.
    pub(super) fn forget_watch(&mut self, domain: Domain, pattern: &Arc<str>) -> Option<Watch> {
        let watch = self.watches.remove(&(domain, Arc::clone(pattern)));
        if watch.is_some() && !self.is_syncing(domain) {
            for target in self.changes(domain) {
                self.settle(&target);
            }
        }
        watch
    }

    /// Sends `target` at `due` unless something does so earlier.
    pub(super) fn later(&mut self, target: &Target, due: u64) {
        let Some(chain) = self.chains.get(target) else { return };
        if chain.queued || chain.timer.is_some_and(|(at, _)| at <= due) {
            return;
        }
        let old = chain.timer;
        self.stop(old);
        let key = self.timer(due, Timer::Send(target.clone()));
        if let Some(chain) = self.chains.get_mut(target) {
            chain.timer = Some(key);
        }
    }

    pub(super) fn drop_chain(&mut self, target: &Target) {
        if let Some(chain) = self.chains.remove(target) {
            self.stop(chain.timer);
            if let Some(flight) = chain.flight.and_then(|id| self.flights.remove(&id)) {
                self.stop(flight.timer);
            }
            if chain.queued {
                self.ready.retain(|queued| queued != target);
            }
        }
    }

    /// Forgets a chain that has nothing left to do: an idle subscription costs nothing. Only that a client holds an empty
    /// list is kept.
    pub(super) fn settle(&mut self, target: &Target) {
        if self.held.contains(target) {
            return;
        }
        let idle = |chain: &Chain| !chain.queued && chain.timer.is_none() && chain.flight.is_none() && !chain.empty;
        if self.chains.get(target).is_some_and(idle) {
            self.chains.remove(target);
        }
    }

    /// The earliest moment to be woken at, if it is earlier than the one asked for.
    pub(super) fn rearm(&mut self) -> Option<u64> {
        let (due, _) = self.timers.first_key_value()?.0;
        if self.armed.is_some_and(|armed| armed <= *due) {
            return None;
        }
        self.armed = Some(*due);
        self.armed
    }

    pub(super) fn outcome(&mut self) -> Outcome {
        Outcome { arm: self.rearm(), ..Outcome::default() }
    }
}

//! What one connection is still owed: a *set* of things to send, never a queue of messages.
//!
//! Each [`Target`] (a service, a config, a batch of a fuzzy watch, ...) has one chain: it is waiting to be sent, on its
//! way (sent and not acknowledged), waiting for a retry, or idle. Marking a target that waits already changes nothing,
//! and a service's text is made when it is sent, so a slow subscriber costs one entry per service and always gets the
//! newest state. The stream pulls with [`Outbox::next`] when HTTP/2 has room; acknowledgements come to
//! [`Outbox::acked`], deadlines and retries to [`Outbox::tick`].
//!
//! Nothing here reads a clock or sends: what follows from a call is an [`Outcome`].

mod state;
mod target;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use nacre_model::{Cause, Event, Now, ServiceKey, Subject, limits};
use nacre_wire::grpc::{Ack, envelope};
use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};
use tokio::sync::oneshot;

use self::state::{Chain, Flight, State, Timer, Watch};
pub use self::target::{Domain, Load, Rules, Slot, Target, View};

/// What follows from a call.
#[derive(Debug, Default)]
#[must_use]
pub struct Outcome {
    pub events: Vec<Event>,
    /// Ask the timers for this moment.
    pub arm: Option<u64>,
    pub failed: Option<Failure>,
    /// Milliseconds from a service's change to its acknowledgement.
    pub cost: Option<u64>,
    /// Milliseconds from a config's change to its listener's acknowledgement.
    pub heard: Option<u64>,
    /// Service pushes that failed.
    pub missed: u64,
    /// Who was told what, or was not; for traces.
    pub told: SmallVec<[Told; 1]>,
}

/// The connection cannot go on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A detection was not answered (or refused) that was asked for at `since`.
    Detection { since: u64, refused: bool },
    /// This many pushes of one config were not acknowledged.
    Unacknowledged { tries: u32 },
}

/// What became of a marked service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    Queued,
    /// The list became empty and may not be sent yet.
    Held,
    /// There is nothing to tell.
    Idle,
}

/// A push that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub target: Target,
    /// Since when it was owed; `None` when no change was the reason.
    pub owed: Option<u64>,
    pub sent: u64,
    /// Why it failed.
    pub failed: Option<String>,
}

/// A push as it leaves.
#[derive(Debug)]
pub struct Sent {
    pub type_name: &'static str,
    pub body: Bytes,
    pub event: Option<Event>,
    /// For a service: whether its list is empty.
    pub service: Option<bool>,
}

/// See the module's head.
#[derive(Debug)]
pub struct Outbox {
    /// The connection's id, for events.
    id: Arc<str>,
    rules: SharedRules,
    state: Mutex<State>,
}

/// The rules of all connections; they may change while those are open.
pub type SharedRules = Arc<ArcSwap<Rules>>;

impl Outbox {
    pub fn new(id: &Arc<str>, rules: &SharedRules) -> Self {
        Self { id: Arc::clone(id), rules: Arc::clone(rules), state: Mutex::default() }
    }

    fn rules(&self) -> Rules {
        **self.rules.load()
    }

    /// This stream carries the pushes from now on; an earlier one stays open and silent.
    pub fn attach(&self, stream: &Arc<Slot>) {
        let mut state = self.state.lock();
        state.stream = Some(Arc::clone(stream));
        stream.waker.wake();
    }

    /// The stream is gone. What is owed waits for another.
    pub fn detach(&self, stream: &Arc<Slot>) {
        let mut state = self.state.lock();
        if state.stream.as_ref().is_some_and(|current| Arc::ptr_eq(current, stream)) {
            state.stream = None;
        }
    }

    /// Does a stream other than this one carry the pushes?
    pub fn has_other_stream(&self, stream: &Arc<Slot>) -> bool {
        let current = &self.state.lock().stream;
        current.as_ref().is_some_and(|current| !current.ended() && !Arc::ptr_eq(current, stream))
    }

    /// The connection ends: nothing is sent any more, its stream breaks.
    pub fn close(&self) {
        let mut state = self.state.lock();
        let stream = state.stream.take();
        *state = State { closed: true, ..State::default() };
        if let Some(stream) = stream {
            stream.cut();
        }
    }

    /// Sends `load` as soon as there is room, replacing what waited for the same target.
    pub fn push(&self, target: Target, load: Load, now: Now) -> Outcome {
        let mut state = self.state.lock();
        if state.closed {
            return Outcome::default();
        }
        if state.chains.len() >= limits::PUSH_BACKLOG as usize && !state.chains.contains_key(&target) {
            let cause = Cause::LimitHit { limit: "PUSH_BACKLOG".into(), value: limits::PUSH_BACKLOG };
            let event = Event::new(now, Subject::client(&self.id), cause);
            return Outcome { events: vec![event], ..Outcome::default() };
        }
        let chain = state.chains.entry(target.clone()).or_default();
        chain.load = Some(load);
        chain.owed.get_or_insert(now.mono);
        let gap = if matches!(target, Target::Config(_)) { self.rules().config_gap } else { 0 };
        let open = chain.sent.map(|sent| sent + gap);
        match (&target, open) {
            (Target::Change(domain, _), _) => state.queue_change(*domain, &target),
            (_, Some(open)) if open > now.mono => state.later(&target, open),
            _ => state.queue(&target),
        }
        if target == Target::Detection {
            let due = now.mono + self.rules().detection_ack;
            let key = state.timer(due, Timer::Answer(Target::Detection));
            if let Some(chain) = state.chains.get_mut(&Target::Detection) {
                chain.timer = Some(key);
                chain.sent = Some(now.mono);
            }
        }
        state.outcome()
    }

    /// Is a detection under way?
    pub fn is_detecting(&self) -> bool {
        self.state.lock().chains.contains_key(&Target::Detection)
    }

    /// Sends a question and hands over its answer; the receiver fails when none comes within `limit` milliseconds.
    pub fn ask(&self, load: Load, limit: u64, now: Now) -> (oneshot::Receiver<Ack>, Outcome) {
        let (reply, answer) = oneshot::channel();
        let mut state = self.state.lock();
        if state.closed {
            return (answer, Outcome::default());
        }
        let target = Target::Ask(state.number);
        let key = state.timer(now.mono + limit, Timer::Answer(target.clone()));
        let chain = Chain { load: Some(load), timer: Some(key), reply: Some(reply), ..Chain::default() };
        state.chains.insert(target.clone(), chain);
        state.queue(&target);
        (answer, state.outcome())
    }

    /// A subscription was answered with this service's list; its first push follows.
    pub fn answered(&self, service: &ServiceKey, empty: bool) {
        let mut state = self.state.lock();
        if !state.closed {
            state.chains.entry(Target::Service(service.clone())).or_default().empty = empty;
        }
    }

    /// The first push after a subscription. It leaves after the subscription's own answer, which it must not overtake; so does
    /// whatever changes until then: clients take an older answer that comes behind a newer push for the newest list.
    pub fn first_push(&self, service: &ServiceKey, delay: u64, now: Now) -> Outcome {
        let target = Target::Service(service.clone());
        let mut state = self.state.lock();
        if state.closed {
            return Outcome::default();
        }
        let due = now.mono + delay;
        let chain = state.chains.entry(target.clone()).or_default();
        chain.first = Some(due);
        if std::mem::take(&mut chain.queued) {
            state.ready.retain(|queued| *queued != target);
        }
        state.later(&target, due);
        state.outcome()
    }

    /// No more pushes of this service.
    pub fn unsubscribed(&self, service: &ServiceKey) {
        self.state.lock().drop_chain(&Target::Service(service.clone()));
    }

    /// The service changed, and `empty` says what this client would get: sent, unless the list became empty and may not be
    /// sent yet.
    pub fn mark(&self, service: &ServiceKey, empty: bool, may_empty: bool, now: Now) -> Marked {
        self.mark_if(service, now, may_empty, |known_empty| {
            if empty && !known_empty && !may_empty { Marked::Held } else { Marked::Queued }
        })
    }

    /// Nothing new, but the list has been empty for this client long enough: sent unless the client knows.
    pub fn mark_empty(&self, service: &ServiceKey, now: Now) -> Marked {
        self.mark_if(service, now, true, |known_empty| if known_empty { Marked::Idle } else { Marked::Queued })
    }

    fn mark_if(&self, service: &ServiceKey, now: Now, may_empty: bool, decide: impl FnOnce(bool) -> Marked) -> Marked {
        let target = Target::Service(service.clone());
        let mut state = self.state.lock();
        if state.closed {
            return Marked::Idle;
        }
        let known_empty = state.chains.get(&target).is_some_and(|chain| chain.empty);
        let marked = decide(known_empty);
        if marked == Marked::Queued {
            let chain = state.chains.entry(target.clone()).or_default();
            chain.may_empty |= may_empty;
            chain.owed.get_or_insert(now.mono);
            // Else the first push comes by itself.
            if chain.first.is_none_or(|due| due <= now.mono) {
                state.queue(&target);
            }
        }
        marked
    }

    /// Said before what a sync tells is looked up: changes that come meanwhile are sent behind it, once what this answers is
    /// dropped. Else one could overtake the sync, which would then undo it at the client.
    pub fn watching(&self, domain: Domain) -> Watching<'_> {
        self.state.lock().preparing.push(domain);
        Watching { outbox: self, domain }
    }

    /// Starts a sync of a fuzzy watch, replacing one that is under way for the same pattern.
    pub fn sync(&self, domain: Domain, pattern: &Arc<str>, batches: Vec<Load>, finish: Option<Load>) -> Outcome {
        let mut state = self.state.lock();
        if state.closed {
            return Outcome::default();
        }
        Self::unsync(&mut state, domain, pattern);
        let count = batches.len();
        state.watches.insert((domain, Arc::clone(pattern)), Watch { open: count, batches: count, finish });
        for (at, load) in batches.into_iter().enumerate() {
            let target = Target::Sync(domain, Arc::clone(pattern), at + 1);
            state.chains.insert(target.clone(), Chain { load: Some(load), ..Chain::default() });
            state.queue(&target);
        }
        if count == 0 {
            self.finish(&mut state, domain, pattern);
        }
        state.outcome()
    }

    /// The pattern is no longer watched.
    pub fn unwatched(&self, domain: Domain, pattern: &Arc<str>) {
        Self::unsync(&mut self.state.lock(), domain, pattern);
    }

    fn unsync(state: &mut State, domain: Domain, pattern: &Arc<str>) {
        if let Some(old) = state.forget_watch(domain, pattern) {
            for batch in 0..=old.batches {
                state.drop_chain(&Target::Sync(domain, Arc::clone(pattern), batch));
            }
        }
    }

    /// All batches are acknowledged: the finish message follows if the client waits for it.
    fn finish(&self, state: &mut State, domain: Domain, pattern: &Arc<str>) {
        let key = (domain, Arc::clone(pattern));
        match state.watches.get_mut(&key).and_then(|watch| watch.finish.take()) {
            Some(load) => {
                let target = Target::Sync(domain, Arc::clone(pattern), 0);
                state.chains.insert(target.clone(), Chain { load: Some(load), ..Chain::default() });
                state.queue(&target);
            }
            None => {
                state.forget_watch(domain, pattern);
            }
        }
    }

    /// The next push for `stream`, if it is the current one and something is owed. `view` makes a service's text.
    pub fn next(
        &self,
        stream: &Arc<Slot>,
        now: Now,
        next_id: impl Fn() -> u64,
        view: impl Fn(&ServiceKey) -> Option<View>,
    ) -> (Option<Sent>, Outcome) {
        loop {
            let (target, load) = {
                let mut state = self.state.lock();
                if !state.stream.as_ref().is_some_and(|current| Arc::ptr_eq(current, stream)) {
                    return (None, Outcome::default());
                }
                let Some(target) = state.ready.pop_front() else { return (None, Outcome::default()) };
                let Some(chain) = state.chains.get_mut(&target) else { continue };
                chain.queued = false;
                (target, chain.load.clone())
            };
            // A service's text is made without the lock: others may mark and acknowledge meanwhile.
            let (load, empty) = match (&target, load) {
                (_, Some(load)) => (load, false),
                (Target::Service(key), None) => match view(key) {
                    Some(view) => {
                        let load =
                            Load { type_name: "NotifySubscriberRequest", module: "naming", members: view.members };
                        (load, view.empty)
                    }
                    None => {
                        self.state.lock().drop_chain(&target);
                        continue;
                    }
                },
                (_, None) => continue,
            };
            if let Some(sent) = self.send(&target, &load, empty, now, &next_id) {
                let arm = self.state.lock().rearm();
                return (Some(sent), Outcome { arm, ..Outcome::default() });
            }
        }
    }

    fn send(&self, target: &Target, load: &Load, empty: bool, now: Now, next_id: impl Fn() -> u64) -> Option<Sent> {
        let mut state = self.state.lock();
        let chain = state.chains.get_mut(target)?;
        if matches!(target, Target::Service(_)) {
            if empty && !chain.empty && !chain.may_empty {
                // It emptied just now; the change that emptied it will come back to this client.
                state.settle(target);
                return None;
            }
            chain.empty = empty;
            chain.may_empty = false;
            chain.first = None;
        }
        let old = chain.flight.take();
        let attempt = chain.failed + 1;
        if *target == Target::SetupAck {
            state.chains.remove(target);
            let body = envelope::assemble(load.module, None, &load.members);
            return Some(Sent { type_name: load.type_name, body, event: None, service: None });
        }
        let id = next_id();
        if *target != Target::Detection {
            chain.sent = Some(now.mono);
        }
        chain.flight = Some(id);
        let (owed, news) = (chain.owed.unwrap_or(now.mono), chain.owed.take().is_some());
        if let Some(flight) = old.and_then(|old| state.flights.remove(&old)) {
            state.stop(flight.timer);
        }
        let timer = self.rules().ack_limit(target).map(|limit| state.timer(now.mono + limit, Timer::Ack(id)));
        state.flights.insert(id, Flight { target: target.clone(), sent: now.mono, owed, news, timer });
        drop(state);
        let body = envelope::assemble(load.module, Some(id), &load.members);
        let request = if attempt > 1 { format!("{id}, attempt {attempt}") } else { id.to_string() };
        let event = match target {
            Target::Detection => None,
            _ => Some(Event::new(now, self.subject(target), Cause::PushSent { request })),
        };
        let service = matches!(target, Target::Service(_)).then_some(empty);
        Some(Sent { type_name: load.type_name, body, event, service })
    }

    /// An acknowledgement came. Unknown numbers (late ones too) are nobody's.
    pub fn acked(&self, id: u64, ack: Ack, now: Now) -> Outcome {
        let mut state = self.state.lock();
        let Some(flight) = state.flights.remove(&id) else { return Outcome::default() };
        state.stop(flight.timer);
        let owed = flight.news.then_some(flight.owed);
        let target = flight.target;
        let Some(chain) = state.chains.get_mut(&target).filter(|chain| chain.flight == Some(id)) else {
            return Outcome::default();
        };
        chain.flight = None;
        if let Target::Ask(_) = target {
            let reply = chain.reply.take();
            state.drop_chain(&target);
            if let Some(reply) = reply {
                // Whoever asked may have gone.
                let _ = reply.send(ack);
            }
            return state.outcome();
        }
        if !ack.success() {
            let reason = match &ack.message {
                Some(text) if !text.is_empty() => format!("refused with code {}: {text}", ack.error_code),
                _ => format!("refused with result code {}", ack.result_code),
            };
            let told = Told { target: target.clone(), owed, sent: flight.sent, failed: Some(reason.clone()) };
            return Outcome { told: smallvec![told], ..self.failed(&mut state, &target, reason, true, now) };
        }
        chain.failed = 0;
        let latency_ms = now.mono.saturating_sub(flight.sent);
        let cause = match &target {
            Target::Detection => None,
            Target::Config(_) => Some(Cause::ListenerNotified { latency_ms }),
            _ => Some(Cause::PushAcked { latency_ms }),
        };
        self.succeeded(&mut state, &target);
        let events = cause.map(|cause| Event::new(now, self.subject(&target), cause)).into_iter().collect();
        let took = Some(now.mono.saturating_sub(flight.owed));
        let cost = took.filter(|_| matches!(target, Target::Service(_)));
        let heard = took.filter(|_| matches!(target, Target::Config(_)));
        let told = smallvec![Told { target, owed, sent: flight.sent, failed: None }];
        Outcome { events, cost, heard, told, ..state.outcome() }
    }

    fn succeeded(&self, state: &mut State, target: &Target) {
        match target {
            // A sync that is sent again would undo it at the client: it is then told again, too.
            Target::Change(domain, _) if state.is_syncing(*domain) => {}
            Target::Service(_) | Target::Change(..) => state.settle(target),
            // Remembers when it was sent until the gap is over.
            Target::Config(_) => {
                let sent = state.chains.get(target).and_then(|chain| chain.sent).unwrap_or(0);
                state.timer(sent + self.rules().config_gap, Timer::Forget(target.clone()));
            }
            Target::Sync(domain, pattern, batch) => {
                state.drop_chain(target);
                if *batch == 0 {
                    state.forget_watch(*domain, pattern);
                } else if let Some(watch) = state.watches.get_mut(&(*domain, Arc::clone(pattern))) {
                    watch.open -= 1;
                    if watch.open == 0 {
                        self.finish(state, *domain, pattern);
                    }
                }
            }
            _ => state.drop_chain(target),
        }
    }

    fn failed(&self, state: &mut State, target: &Target, reason: String, refused: bool, now: Now) -> Outcome {
        let Some(chain) = state.chains.get_mut(target) else { return Outcome::default() };
        if *target == Target::Detection {
            let since = chain.sent.unwrap_or(now.mono);
            state.drop_chain(target);
            return Outcome { failed: Some(Failure::Detection { since, refused }), ..state.outcome() };
        }
        if let Target::Ask(_) = target {
            // Dropping the sender tells whoever asked.
            state.drop_chain(target);
            return state.outcome();
        }
        chain.flight = None;
        chain.failed += 1;
        let attempt = chain.failed;
        let mut events = vec![Event::new(now, self.subject(target), Cause::PushFailed { reason, attempt })];
        let mut failed = None;
        if attempt >= self.rules().tries(target) {
            events.push(Event::new(now, self.subject(target), Cause::PushGaveUp { attempts: attempt }));
            if Rules::is_config(target) {
                failed = Some(Failure::Unacknowledged { tries: attempt });
            } else {
                // The next change starts anew.
                chain.failed = 0;
                state.settle(target);
                if let Target::Sync(domain, pattern, _) = target {
                    state.forget_watch(*domain, pattern);
                }
            }
        } else if !chain.queued {
            let due = now.mono + self.rules().retry_after(target, attempt);
            state.later(target, due);
        }
        let missed = u64::from(matches!(target, Target::Service(_)));
        Outcome { events, failed, missed, ..state.outcome() }
    }

    /// Does what is due.
    pub fn tick(&self, now: Now) -> Outcome {
        let mut state = self.state.lock();
        state.armed = None;
        let mut all = Outcome::default();
        while let Some(entry) = state.timers.first_entry().filter(|entry| entry.key().0 <= now.mono) {
            let (key, timer) = entry.remove_entry();
            let outcome = match timer {
                Timer::Send(target) => {
                    if let Some(chain) = state.chains.get_mut(&target).filter(|chain| chain.timer == Some(key)) {
                        chain.timer = None;
                        state.queue(&target);
                        if let Target::Sync(domain, ..) = target {
                            for change in state.changes(domain) {
                                state.queue_change(domain, &change);
                            }
                        }
                    }
                    continue;
                }
                Timer::Forget(target) => {
                    state.settle(&target);
                    continue;
                }
                Timer::Ack(id) => {
                    let Some(flight) = state.flights.remove(&id) else { continue };
                    let limit = now.mono.saturating_sub(flight.sent);
                    let reason = format!("no acknowledgement within {limit} ms");
                    let told = Told {
                        target: flight.target.clone(),
                        owed: flight.news.then_some(flight.owed),
                        sent: flight.sent,
                        failed: Some(reason.clone()),
                    };
                    Outcome { told: smallvec![told], ..self.failed(&mut state, &flight.target, reason, false, now) }
                }
                Timer::Answer(target) => self.failed(&mut state, &target, "no answer".into(), false, now),
            };
            all.events.extend(outcome.events);
            all.failed = all.failed.or(outcome.failed);
            all.arm = outcome.arm.or(all.arm);
            all.missed += outcome.missed;
            all.told.extend(outcome.told);
        }
        all.arm = state.rearm().or(all.arm);
        all
    }

    fn subject(&self, target: &Target) -> Subject {
        match target {
            Target::Service(key) => Subject::service(key).with_client(&self.id),
            Target::Config(key) => Subject::config(key).with_client(&self.id),
            _ => Subject::client(&self.id),
        }
    }

    /// Things that wait to be sent.
    pub fn backlog(&self) -> usize {
        self.state.lock().ready.len()
    }
}

/// See [`Outbox::watching`].
#[derive(Debug)]
#[must_use]
pub struct Watching<'a> {
    outbox: &'a Outbox,
    domain: Domain,
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.outbox.state.lock().prepared(self.domain);
    }
}

#[cfg(test)]
mod tests;

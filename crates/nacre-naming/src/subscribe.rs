//! Subscriptions of connections and of UDP receivers.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use nacre_model::{Cause, ErrorCode, Event, NacosError, Now, ServiceKey, Subject};

use crate::{
    ClientId, Effects, Naming, Query, ServiceView, Subscriber, Subscription,
    client::Client,
    publish::disconnected,
    slot::{Slot, SlotState},
};

impl Naming {
    /// SubscribeServiceRequest of a connection. The answer's view is computed with the subscription's clusters. The
    /// first subscription of a (client, service) also yields a push.
    pub fn subscribe(
        &self,
        client: &ClientId,
        service: &ServiceKey,
        subscription: Subscription,
        now: Now,
    ) -> Result<(ServiceView, Effects), NacosError> {
        let held = self.clients.get(client).ok_or_else(|| disconnected(client))?;
        let subscription = Arc::new(subscription);
        let mut effects = Effects::default();
        self.add_subscriber(&held, service, &subscription, now, &mut effects)?;
        let query = Query { clusters: &subscription.clusters, healthy_only: false, consumer_ip: &subscription.ip };
        Ok((self.list(service, &query, now), effects))
    }

    /// Ends a subscription; there need be none.
    pub fn unsubscribe(&self, client: &ClientId, service: &ServiceKey, now: Now) -> Result<Effects, NacosError> {
        let held = self.clients.get(client).ok_or_else(|| disconnected(client))?;
        let mut effects = Effects::default();
        self.with_found(service, |slot, state| {
            held.links.lock().unsubscribe(service);
            self.forget_subscriber(slot, state, client, now, &mut effects);
        });
        Ok(effects)
    }

    /// A v1 or v2 list poll with a UDP port: subscribes or renews `ip:port#true`, which lapses without polls.
    pub fn subscribe_udp(
        &self,
        service: &ServiceKey,
        subscription: Subscription,
        now: Now,
    ) -> Result<Effects, NacosError> {
        let id = ClientId::ephemeral(&subscription.ip, i32::from(subscription.port));
        let subscription = Arc::new(subscription);
        loop {
            let limit = self.options.max_udp_subscribers;
            let known = self.find(service).is_some_and(|slot| slot.state.lock().subscribers.contains_key(&id));
            if !known && self.counters.udp_subscriptions.load(Relaxed) as u64 >= limit {
                let text = format!("the limit nacre.limit.udp-subscribers of {limit} is reached");
                return Err(NacosError::new(503, ErrorCode::SERVER_ERROR, text));
            }
            let client = self.client_or_new(&id, now);
            let mut effects = Effects::default();
            match self.add_subscriber(&client, service, &subscription, now, &mut effects) {
                Ok(()) => {
                    client.last_updated.store(now.mono, Relaxed);
                    self.arm_client(&client, now.mono + crate::tick::IDLE_CLIENT_MS);
                    return Ok(effects);
                }
                // It lapsed just now; the next round makes a new one.
                Err(error) if error.status == -401 => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn add_subscriber(
        &self,
        client: &Arc<Client>,
        service: &ServiceKey,
        subscription: &Arc<Subscription>,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), NacosError> {
        self.with_slot(service, now, |slot, state| {
            {
                let mut links = client.links.lock();
                if links.dead {
                    return Err(disconnected(&client.id));
                }
                let subscribed = links.subscriptions.as_ref().is_some_and(|set| set.get(service).is_some());
                if !subscribed {
                    if links.services() >= self.options.max_services_per_client {
                        let limit = self.options.max_services_per_client;
                        let text = format!("the limit nacre.limit.services-per-client of {limit} is reached");
                        return Err(NacosError::new(503, ErrorCode::SERVER_ERROR, text));
                    }
                    links.subscriptions.get_or_insert_default().insert(Arc::clone(slot));
                }
            }
            client.last_updated.store(now.mono, Relaxed);
            let before = state.subscribers.insert(client.id.clone(), Arc::clone(subscription));
            if before.is_none() {
                state.subscriber_ids = None;
                self.counters.subscriptions(&client.id).fetch_add(1, Relaxed);
                effects.pushes.push((client.id.clone(), service.clone()));
                let about = Subject::service(service).with_client(&client.id);
                effects.events.push(Event::new(now, about, Cause::Subscribed));
            }
            Ok(())
        })
    }

    /// Takes a subscriber out of the service. The caller has taken it out of the client already.
    pub(crate) fn forget_subscriber(
        &self,
        slot: &Slot,
        state: &mut SlotState,
        client: &ClientId,
        now: Now,
        effects: &mut Effects,
    ) {
        if state.subscribers.remove(client).is_none() {
            return;
        }
        state.subscriber_ids = None;
        self.counters.subscriptions(client).fetch_sub(1, Relaxed);
        let about = Subject::service(&slot.key).with_client(client);
        effects.events.push(Event::new(now, about, Cause::Unsubscribed));
    }

    /// What to push to a subscriber now; `None` when it no longer subscribes.
    pub fn push_view(
        &self,
        client: &ClientId,
        service: &ServiceKey,
        now: Now,
    ) -> Option<(Arc<Subscription>, ServiceView)> {
        let slot = self.find(service)?;
        let subscription = slot.state.lock().subscribers.get(client).cloned()?;
        let query = Query { clusters: &subscription.clusters, healthy_only: false, consumer_ip: &subscription.ip };
        let view = self.list(service, &query, now);
        Some((subscription, view))
    }

    /// The newest subscription of a client to a service.
    pub fn subscription(&self, client: &ClientId, service: &ServiceKey) -> Option<Arc<Subscription>> {
        self.find(service)?.state.lock().subscribers.get(client).cloned()
    }

    /// Whom a change of the service must reach.
    pub fn subscriber_ids(&self, service: &ServiceKey) -> Arc<[ClientId]> {
        self.find(service).map(|slot| slot.state.lock().subscriber_ids()).unwrap_or_default()
    }

    /// The subscribers of a service, in order of their ids.
    pub fn subscribers(&self, service: &ServiceKey) -> Vec<Subscriber> {
        self.find(service).map(|slot| subscribers_of(&slot)).unwrap_or_default()
    }

    /// Subscribers of all services of the namespace whose group and name contain the given texts (v1).
    pub fn subscribers_like(&self, namespace: &str, group: &str, name: &str) -> Vec<Subscriber> {
        let matches =
            |key: &ServiceKey| *key.namespace == *namespace && key.group.contains(group) && key.name.contains(name);
        let pinned = self.slots.pin();
        let mut slots: Vec<&Arc<Slot>> = pinned.iter().filter(|(key, _)| matches(key)).map(|(_, slot)| slot).collect();
        slots.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        slots.into_iter().flat_map(|slot| subscribers_of(slot)).collect()
    }
}

fn subscribers_of(slot: &Slot) -> Vec<Subscriber> {
    let state = slot.state.lock();
    let mut found: Vec<Subscriber> = state
        .subscribers
        .iter()
        .map(|(client, subscription)| Subscriber {
            client: client.clone(),
            service: slot.key.clone(),
            subscription: Arc::clone(subscription),
        })
        .collect();
    found.sort_unstable_by(|a, b| a.client.cmp(&b.client));
    found
}

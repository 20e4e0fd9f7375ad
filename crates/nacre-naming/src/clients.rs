//! Connections, and the client APIs.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use nacre_model::{
    Cause, ErrorCode, Event, NacosError, Now, ServiceKey, Subject,
    event::{Disconnect, Removal},
};

use crate::{
    ClientDetail, ClientId, ConnectionInfo, Effects, Naming, NamingMetrics, Published, Subscriber,
    client::{Client, Connected, Publication},
};

impl Naming {
    /// A connection of module `naming` completed its setup.
    pub fn connect(&self, info: ConnectionInfo, now: Now) -> Effects {
        let mut effects = Effects::default();
        let id = ClientId::Connection(Arc::clone(&info.id));
        let named = |app: &str| if matches!(app, "-" | "unknown") { String::new() } else { app.to_owned() };
        let (version, app) = (info.version.to_string(), named(&info.app));
        let cause = Cause::ClientConnected { version, module: "naming".into(), app };
        let connected = Connected { info: Arc::new(info), since: now.mono };
        if self.add_client(Client::new(id.clone(), Some(connected), now.mono)) {
            effects.events.push(Event::new(now, Subject::client(&id), cause));
        }
        effects
    }

    /// A connection ended: everything it published and subscribed goes at once, fuzzy watches too. Unknown ids (other
    /// modules) are no error.
    pub fn disconnect(&self, id: &ClientId, cause: Disconnect, now: Now) -> Effects {
        self.fuzzy.lock().forget(id);
        let mut effects = Effects::default();
        let Some(client) = self.clients.get(id) else { return effects };
        let lived_ms = client.connection.as_ref().map_or(0, |connected| now.mono.saturating_sub(connected.since));
        let removal = Removal::ConnectionLost { cause: cause.clone(), lived_ms };
        let gone = Cause::ClientDisconnected { cause, lived_ms };
        effects.events.push(Event::new(now, Subject::client(id), gone));
        self.release(&client, &removal, now, &mut effects);
        effects
    }

    /// The end of a client object.
    pub(crate) fn release(&self, client: &Arc<Client>, removal: &Removal, now: Now, effects: &mut Effects) {
        let (publications, subscriptions) = {
            let mut links = client.links.lock();
            links.dead = true;
            let subscriptions = links.subscriptions.take().map(|set| set.items()).unwrap_or_default();
            (std::mem::take(&mut links.publications).items(), subscriptions)
        };
        self.drop_client(client);
        for publication in publications {
            self.with_held(&publication.slot, |slot, state| {
                self.unpublish(slot, state, &publication, removal, now, effects);
            });
        }
        for slot in subscriptions {
            self.with_held(&slot, |slot, state| self.forget_subscriber(slot, state, &client.id, now, effects));
        }
    }

    /// The registered connection ids and `ip:port` ids, sorted.
    pub fn client_ids(&self) -> Vec<ClientId> {
        let mut ids: Vec<ClientId> = self.clients.all().iter().map(|client| client.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// 404 / 20004 `clientId [ X ] not exist`. Takes the text of the request.
    pub fn client(&self, id: &str, now: Now) -> Result<ClientDetail, NacosError> {
        let client = self.client_of(id)?;
        let ago = now.mono.saturating_sub(client.last_updated.load(Relaxed));
        Ok(ClientDetail {
            id: client.id.clone(),
            ephemeral: client.id.is_ephemeral(),
            last_updated_time: now.wall.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)),
            connection: client.connection.as_ref().map(|connected| Arc::clone(&connected.info)),
        })
    }

    /// What a client publishes, by service. Error as [`Naming::client`].
    pub fn client_publications(&self, id: &str) -> Result<Vec<Published>, NacosError> {
        let client = self.client_of(id)?;
        let publications = client.links.lock().publications.items();
        let mut found: Vec<Published> = publications.iter().flat_map(published).collect();
        found.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(found)
    }

    /// What a client subscribes, by service. Error as [`Naming::client`].
    pub fn client_subscriptions(&self, id: &str) -> Result<Vec<Subscriber>, NacosError> {
        let client = self.client_of(id)?;
        let slots = client.links.lock().subscriptions.as_ref().map(|set| set.items()).unwrap_or_default();
        let mut found: Vec<Subscriber> = slots
            .iter()
            .filter_map(|slot| {
                let subscription = slot.state.lock().subscribers.get(&client.id).cloned()?;
                Some(Subscriber { client: client.id.clone(), service: slot.key.clone(), subscription })
            })
            .collect();
        found.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(found)
    }

    /// All publishers of a service in order of registration, shadowed ones too: two clients with one address show twice.
    pub fn publishers(&self, service: &ServiceKey) -> Vec<Published> {
        let Some(slot) = self.find(service) else { return Vec::new() };
        let ordered = slot.state.lock().ordered();
        ordered.iter().flat_map(|(_, publication)| published(publication)).collect()
    }

    fn client_of(&self, id: &str) -> Result<Arc<Client>, NacosError> {
        let found = ClientId::parse(id).and_then(|id| self.clients.get(&id));
        found
            .ok_or_else(|| NacosError::not_found(ErrorCode::RESOURCE_NOT_FOUND, format!("clientId [ {id} ] not exist")))
    }

    pub fn metrics(&self) -> NamingMetrics {
        let of = |counter: &std::sync::atomic::AtomicUsize| counter.load(Relaxed);
        let counters = &self.counters;
        let connection_based_client_count = of(&counters.connection_clients);
        let ephemeral_ip_port_client_count = of(&counters.ephemeral_clients);
        let persistent_ip_port_client_count = of(&counters.persistent_clients);
        let udp_subscribe_count = of(&counters.udp_subscriptions);
        let connection_subscribe_count = of(&counters.connection_subscriptions);
        NamingMetrics {
            service_count: self.index.read().len,
            instance_count: of(&counters.instances),
            subscribe_count: udp_subscribe_count + connection_subscribe_count,
            client_count: connection_based_client_count
                + ephemeral_ip_port_client_count
                + persistent_ip_port_client_count,
            connection_based_client_count,
            ephemeral_ip_port_client_count,
            persistent_ip_port_client_count,
            udp_subscribe_count,
            connection_subscribe_count,
            http_publish_count: of(&counters.http_publications),
            connection_publish_count: of(&counters.connection_publications),
            braked_services: of(&counters.braked),
        }
    }
}

fn published(publication: &Arc<Publication>) -> Vec<Published> {
    let instances = publication.entry.lock().instances.clone();
    let of = |instance: &Arc<_>| Published {
        client: publication.client.id.clone(),
        service: publication.slot.key.clone(),
        instance: Arc::clone(instance),
    };
    instances.iter().map(of).collect()
}

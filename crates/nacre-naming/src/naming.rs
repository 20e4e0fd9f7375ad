//! The registry's front door: every public call, one line each, with the file that does it.

use std::sync::Arc;

use nacre_model::{Instance, InstanceId, NacosError, Now, Row, ServiceKey, event::Disconnect};

use crate::{
    Applied, Beat, BeatAnswer, ClientDetail, ClientId, ConnectionInfo, Effects, FuzzyWatched, NamingCommand,
    NamingMetrics, NamingReply, Options, Page, Paged, Published, Query, ServiceDetail, ServiceSummary, ServiceView,
    Snapshot, Subscriber, Subscription, Switches,
};

/// The registry. All calls take `&self`; clone the `Arc` you keep it in.
#[derive(Debug, Default)]
pub struct Naming {
    options: Options,
    switches: arc_swap::ArcSwap<Switches>,
}

/// Starting and housekeeping.
impl Naming {
    pub fn new(options: Options) -> Self {
        Self { options, switches: arc_swap::ArcSwap::default() }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Fills an empty registry from the durable table (rows of all kinds this crate wrote, any order). Answers how many
    /// rows were taken; a row that cannot be read is an error that names it.
    pub fn restore(&self, rows: impl IntoIterator<Item = Row>, now: Now) -> Result<usize, String> {
        let _ = now;
        Ok(rows.into_iter().count())
    }

    /// Does what is due: beat expiry, silent clients, empty services, expired operator records. To be called every
    /// 100 ms or so; costs what is due, not what is registered.
    pub fn tick(&self, now: Now) -> Effects {
        let _ = now;
        Effects::default()
    }

    /// Applies one durable command, in log order. Deterministic in durable state.
    pub fn apply(&self, command: &NamingCommand, now: Now) -> Applied {
        let _ = (command, now);
        Applied { reply: Ok(NamingReply::Done), effects: Effects::default(), rows: Vec::new() }
    }

    pub fn metrics(&self) -> NamingMetrics {
        NamingMetrics::default()
    }

    pub fn switches(&self) -> Arc<Switches> {
        self.switches.load_full()
    }

    /// PUT switches with `debug=true`: this node only, not durable.
    pub fn set_switch_local(&self, entry: &str, value: &str, now: Now) -> Result<Effects, NacosError> {
        let _ = (entry, value, now);
        Ok(Effects::default())
    }
}

/// Clients.
impl Naming {
    /// A connection of module `naming` completed its setup.
    pub fn connect(&self, info: ConnectionInfo, now: Now) -> Effects {
        let _ = (info, now);
        Effects::default()
    }

    /// A connection ended: everything it published and subscribed goes at once, fuzzy watches too. Unknown ids (other
    /// modules) are no error.
    pub fn disconnect(&self, client: &ClientId, cause: Disconnect, now: Now) -> Effects {
        let _ = (client, cause, now);
        Effects::default()
    }

    pub fn client_ids(&self) -> Vec<ClientId> {
        Vec::new()
    }

    /// 404 / 20004 `clientId [ X ] not exist`. Takes the text of the request.
    pub fn client(&self, id: &str) -> Result<ClientDetail, NacosError> {
        Err(not_exist(id))
    }

    /// What a client publishes. Error as [`Naming::client`].
    pub fn client_publications(&self, id: &str) -> Result<Vec<Published>, NacosError> {
        Err(not_exist(id))
    }

    /// What a client subscribes. Error as [`Naming::client`].
    pub fn client_subscriptions(&self, id: &str) -> Result<Vec<Subscriber>, NacosError> {
        Err(not_exist(id))
    }

    /// All publishers of a service, shadowed ones too (two clients with one address show twice here).
    pub fn publishers(&self, service: &ServiceKey) -> Vec<Published> {
        let _ = service;
        Vec::new()
    }

    pub fn subscribers(&self, service: &ServiceKey) -> Vec<Subscriber> {
        let _ = service;
        Vec::new()
    }

    /// Subscribers of all services of the namespace whose group and name contain the given texts (v1).
    pub fn subscribers_like(&self, namespace: &str, group: &str, name: &str) -> Vec<Subscriber> {
        let _ = (namespace, group, name);
        Vec::new()
    }
}

/// Publishing.
impl Naming {
    /// The id of a registration whose caller gave none: v1 always, gRPC when the request's is empty; v2 and v3 leave it
    /// [`InstanceId::Absent`]. `cluster` is what the caller wrote (`None` becomes the word `null`, as in the
    /// reference), `service` the service name the id ends with, normally [`ServiceKey::grouped`]. Fails for an unknown
    /// generator.
    pub fn instance_id(
        &self,
        instance: &Instance,
        cluster: Option<&str>,
        service: &str,
        now: Now,
    ) -> Result<InstanceId, NacosError> {
        let _ = (instance, cluster, service, now);
        Ok(InstanceId::Simple)
    }

    /// `registerInstance` of a connection: its one entry of this service is replaced, a batch too.
    pub fn register(
        &self,
        client: &ClientId,
        service: &ServiceKey,
        instance: Instance,
        now: Now,
    ) -> Result<Effects, NacosError> {
        let _ = (client, service, instance, now);
        Ok(Effects::default())
    }

    /// `batchRegisterInstance`: the whole entry of (connection, service) is replaced by these, possibly none.
    pub fn register_batch(
        &self,
        client: &ClientId,
        service: &ServiceKey,
        instances: Vec<Instance>,
        now: Now,
    ) -> Result<Effects, NacosError> {
        let _ = (client, service, instances, now);
        Ok(Effects::default())
    }

    /// `deregisterInstance`: whatever the connection publishes of the service goes; ip and port do not matter.
    pub fn deregister(&self, client: &ClientId, service: &ServiceKey, now: Now) -> Result<Effects, NacosError> {
        let _ = (client, service, now);
        Ok(Effects::default())
    }

    /// HTTP register of an ephemeral instance, kept alive by beats. Persistent ones are
    /// [`NamingCommand::RegisterPersistent`].
    pub fn register_http(&self, service: &ServiceKey, instance: Instance, now: Now) -> Result<Effects, NacosError> {
        let _ = (service, instance, now);
        Ok(Effects::default())
    }

    /// HTTP deregister of an ephemeral instance: always `ok`; what matched nothing is an event. Persistent ones are
    /// [`NamingCommand::DeregisterPersistent`].
    pub fn deregister_http(&self, service: &ServiceKey, ip: &str, port: i32, now: Now) -> Effects {
        let _ = (service, ip, port, now);
        Effects::default()
    }

    /// A heartbeat of v1, v2 or v3. For a known healthy instance: one look-up and an atomic store.
    pub fn beat(&self, beat: &Beat<'_>, now: Now) -> Result<(BeatAnswer, Effects), NacosError> {
        let _ = (beat, now);
        let answer = BeatAnswer { code: BeatAnswer::OK, client_beat_interval: 5_000, light_beat_enabled: true };
        Ok((answer, Effects::default()))
    }

    /// PUT health: allowed only where the cluster's checker is NONE; whatever it is then answered, nothing changes
    /// (recorded of 2.5.1 and 3.1.0: the call takes a persistent instance for an ephemeral one and is refused).
    pub fn set_health(
        &self,
        service: &ServiceKey,
        ip: &str,
        port: i32,
        cluster: &str,
        healthy: bool,
    ) -> Result<(), NacosError> {
        let _ = (service, ip, port, cluster, healthy);
        Ok(())
    }
}

/// Subscribing.
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
        let _ = client;
        let query = Query { clusters: &subscription.clusters, healthy_only: false, consumer_ip: &subscription.ip };
        Ok((self.list(service, &query, now), Effects::default()))
    }

    pub fn unsubscribe(&self, client: &ClientId, service: &ServiceKey, now: Now) -> Result<Effects, NacosError> {
        let _ = (client, service, now);
        Ok(Effects::default())
    }

    /// A v1 or v2 list poll with a UDP port: subscribes or renews `ip:port#true`, which lapses without polls.
    pub fn subscribe_udp(
        &self,
        service: &ServiceKey,
        subscription: Subscription,
        now: Now,
    ) -> Result<Effects, NacosError> {
        let _ = (service, subscription, now);
        Ok(Effects::default())
    }

    /// What to push to a subscriber now; `None` when it no longer subscribes.
    pub fn push_view(&self, client: &ClientId, service: &ServiceKey, now: Now) -> Option<(Subscription, ServiceView)> {
        let _ = (client, service, now);
        None
    }
}

/// Reading.
impl Naming {
    /// What a consumer sees: list of v1 and v2, ServiceQueryRequest. A missing service is an empty view.
    pub fn list(&self, service: &ServiceKey, query: &Query<'_>, now: Now) -> ServiceView {
        ServiceView {
            service: service.clone(),
            clusters: query.clusters.into(),
            hosts: Arc::default(),
            cache_millis: 10_000,
            last_ref_time: now.wall,
            reach_protection_threshold: false,
            exists: false,
            healthy_only: query.healthy_only,
            source: None,
        }
    }

    /// Everything there is of a service, disabled instances included; `None` when there is no such service.
    pub fn snapshot(&self, service: &ServiceKey, now: Now) -> Option<Arc<Snapshot>> {
        let _ = (service, now);
        None
    }

    /// GET instance, in the merged view. 404 / 20004 in the reference's two texts.
    pub fn instance(
        &self,
        service: &ServiceKey,
        ip: &str,
        port: i32,
        cluster: &str,
        now: Now,
    ) -> Result<Arc<Instance>, NacosError> {
        let _ = (ip, port, now);
        let text = format!("no ips found for cluster {cluster} in service {}", service.grouped());
        Err(NacosError::not_found(nacre_model::ErrorCode::RESOURCE_NOT_FOUND, text))
    }

    /// GET service. 400 / 21008 when there is none.
    pub fn service(&self, service: &ServiceKey, now: Now) -> Result<ServiceDetail, NacosError> {
        let _ = now;
        let text = format!("service not found, namespace: {}, serviceName: {}", service.namespace, service.grouped());
        Err(NacosError::new(400, nacre_model::ErrorCode::SERVICE_NOT_EXIST, text))
    }

    pub fn service_exists(&self, service: &ServiceKey) -> bool {
        let _ = service;
        false
    }

    /// Names of a group, in order of creation: pages stay disjoint and complete while services are added.
    pub fn service_names(&self, namespace: &str, group: &str, page: Page) -> Paged<Arc<str>> {
        let _ = (namespace, group, page);
        Paged { total: 0, rows: Vec::new() }
    }

    /// Keys of all services whose grouped name matches `.*expr.*` (GET service/names); `namespace` `None` = all.
    pub fn service_keys(&self, namespace: Option<&str>, expr: &str) -> Vec<ServiceKey> {
        let _ = (namespace, expr);
        Vec::new()
    }

    /// The catalog's list: `.*group.*@@.*name.*`, blank = any; `ignore_empty` drops services without instances before
    /// counting and paging.
    pub fn catalog(
        &self,
        namespace: &str,
        name: &str,
        group: &str,
        ignore_empty: bool,
        page: Page,
        now: Now,
    ) -> Paged<ServiceSummary> {
        let _ = (namespace, name, group, ignore_empty, page, now);
        Paged { total: 0, rows: Vec::new() }
    }
}

/// Fuzzy watches.
impl Naming {
    /// `WATCH`. `received` are the keys that the client holds already (`ns@@group@@service`).
    pub fn fuzzy_watch(
        &self,
        client: &ClientId,
        pattern: &str,
        received: &[String],
        initializing: bool,
        now: Now,
    ) -> FuzzyWatched {
        let _ = (client, pattern, received, initializing, now);
        FuzzyWatched { error: None, batches: Vec::new(), finish_when_acked: false }
    }

    /// `CANCEL_WATCH`.
    pub fn fuzzy_cancel(&self, client: &ClientId, pattern: &str, now: Now) {
        let _ = (client, pattern, now);
    }
}

fn not_exist(id: &str) -> NacosError {
    NacosError::not_found(nacre_model::ErrorCode::RESOURCE_NOT_FOUND, format!("clientId [ {id} ] not exist"))
}

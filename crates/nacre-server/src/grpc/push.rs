//! From "this changed" to the outboxes of those who must hear of it; deadlines and retries.

use std::sync::Arc;

use bytes::Bytes;
use nacre_config::{FuzzyNotice, Notice};
use nacre_model::{Cause, ConfigKey, Event, ServiceKey, Subject, event::Disconnect};
use nacre_naming::{ClientId, FuzzyChange, FuzzySync, Query, ServiceView};
use nacre_wire::{
    grpc::{
        config::ConfigChangeNotifyRequest,
        envelope::members,
        fuzzy::{
            ConfigFuzzyWatchChangeNotifyRequest, Context, FuzzyWatchSyncRequest, NamingFuzzyWatchChangeNotifyRequest,
            RESOURCE_CHANGED,
        },
    },
    naming::{AllIps, ServiceInfoJson},
};

use super::{
    Hub,
    coalesce::Turn,
    connections::Connection,
    outbox::{Domain, Failure, Load, Marked, Outcome, Sent, Target, View},
    tcp,
    timers::Wake,
};
use crate::effects::Face;

/// The first push of a subscription leaves this much after its answer, milliseconds: it must not overtake it on a client that is
/// busy. The reference waits 500.
const FIRST_PUSH_DELAY: u64 = 200;
/// With the switch `pushEnabled` off, changed services are looked at again after this much.
const PAUSED: u64 = 500;
/// Forms of [`ServiceView::serialised`] this adapter makes.
const FORM_GRPC: u8 = 1;
const FORM_GRPC_NO_CLUSTERS: u8 = 2;

/// `serviceInfo` as gRPC clients of both lines read it; made once per snapshot and shared.
pub(super) fn service_info(view: &ServiceView) -> Bytes {
    let (name, group) = (&view.service.name, &view.service.group);
    view.serialised(FORM_GRPC, |view| info_of(view, Some(name), Some(group), Some(&view.clusters)))
}

/// The same for a subscription: one that said nothing of clusters, or null, hears nothing of them either.
pub(super) fn subscribed_info(view: &ServiceView, says_clusters: bool) -> Bytes {
    if says_clusters {
        return service_info(view);
    }
    let (name, group) = (&view.service.name, &view.service.group);
    view.serialised(FORM_GRPC_NO_CLUSTERS, |view| info_of(view, Some(name), Some(group), None))
}

/// What is said of a service that was not named in full: nothing is in it, and what was left out is left out here, too.
pub(super) fn unnamed_info(
    view: &ServiceView,
    name: Option<&str>,
    group: Option<&str>,
    clusters: Option<&str>,
) -> Bytes {
    info_of(view, name, group, clusters)
}

fn info_of(view: &ServiceView, name: Option<&str>, group: Option<&str>, clusters: Option<&str>) -> Bytes {
    let info = ServiceInfoJson {
        name,
        group_name: group,
        clusters,
        cache_millis: view.cache_millis,
        hosts: &view.hosts,
        grouped: &view.service.grouped(),
        last_ref_time: view.last_ref_time,
        reach_protection_threshold: view.reach_protection_threshold,
        spelling: AllIps::Both,
    };
    let mut text = b"\"serviceInfo\":".to_vec();
    // Our own type always serialises; were it not so, the client would get an unreadable push and say so.
    let _ = serde_json::to_writer(&mut text, &info);
    text.into()
}

/// The pushes of a naming fuzzy watch's sync.
pub(super) fn naming_sync(sync: &FuzzySync) -> Load {
    let changed = |added: bool| if added { "ADD_SERVICE" } else { "DELETE_SERVICE" };
    let contexts: Vec<Context> = sync
        .contexts
        .iter()
        .map(|(key, added)| Context {
            group_key: None,
            service_key: Some(key.to_string()),
            changed_type: changed(*added),
        })
        .collect();
    let fields = FuzzyWatchSyncRequest {
        sync_type: sync.sync_type.text(),
        group_key_pattern: &sync.pattern,
        contexts: Some(&contexts),
        total_batch: sync.total_batch,
        current_batch: sync.current_batch,
    };
    Load { type_name: "NamingFuzzyWatchSyncRequest", module: "naming", members: members(&fields) }
}

impl Face for Hub {
    fn service_changed(&self, service: &ServiceKey) {
        if let Some(traces) = self.traces.get() {
            traces.changes_service(service);
        }
        if let Some(due) = self.services.changed(service, self.now().mono) {
            self.timers.arm(due, Wake::Service(service.clone()));
        }
    }

    fn push_one(&self, client: &ClientId, service: &ServiceKey) {
        if let Some(connection) = self.connections.of(client) {
            let outcome = connection.outbox.first_push(service, FIRST_PUSH_DELAY, self.now());
            self.act(&connection, outcome);
        }
    }

    fn naming_fuzzy(&self, change: &FuzzyChange) {
        let key: Arc<str> = change.service.text().into();
        let fields = NamingFuzzyWatchChangeNotifyRequest {
            sync_type: RESOURCE_CHANGED,
            service_key: &key,
            changed_type: if change.added { "ADD_SERVICE" } else { "DELETE_SERVICE" },
        };
        let load =
            Load { type_name: "NamingFuzzyWatchChangeNotifyRequest", module: "naming", members: members(&fields) };
        for connection in change.watchers.iter().filter_map(|client| self.connections.of(client)) {
            let target = Target::Change(Domain::Naming, Arc::clone(&key));
            let outcome = connection.outbox.push(target, load.clone(), self.now());
            self.act(&connection, outcome);
        }
    }

    fn config_changed(&self, key: &ConfigKey, notices: &[Notice]) {
        let now = self.now();
        // Nearly all clients spell a namespace alike: its text is made once.
        let mut last: Option<(Option<&str>, Load)> = None;
        for notice in notices {
            let Some(connection) = self.connections.get(&notice.connection) else { continue };
            let tenant = notice.tenant.as_deref().filter(|tenant| !tenant.trim().is_empty());
            let load = match &last {
                Some((spelled, load)) if *spelled == tenant => load.clone(),
                _ => {
                    let fields = ConfigChangeNotifyRequest { data_id: &key.data_id, group: &key.group, tenant };
                    let load =
                        Load { type_name: "ConfigChangeNotifyRequest", module: "config", members: members(&fields) };
                    last = Some((tenant, load.clone()));
                    load
                }
            };
            let outcome = connection.outbox.push(Target::Config(key.clone()), load, now);
            self.act(&connection, outcome);
        }
    }

    fn config_fuzzy(&self, notice: &FuzzyNotice) {
        let Some(connection) = self.connections.get(&notice.connection) else { return };
        let fields = ConfigFuzzyWatchChangeNotifyRequest {
            group_key: &notice.group_key,
            change_type: if notice.exists { "CONFIG_CHANGED" } else { "DELETE_CONFIG" },
        };
        let load =
            Load { type_name: "ConfigFuzzyWatchChangeNotifyRequest", module: "config", members: members(&fields) };
        let target = Target::Change(Domain::Config, Arc::clone(&notice.group_key));
        let outcome = connection.outbox.push(target, load, self.now());
        self.act(&connection, outcome);
    }
}

impl Hub {
    /// Does what follows from a call of a connection's outbox.
    pub(super) fn act(&self, connection: &Arc<Connection>, outcome: Outcome) {
        for event in outcome.events {
            self.record(event);
        }
        if let Some(traces) = self.traces.get() {
            outcome.told.iter().for_each(|told| traces.told(connection, told, self.now()));
        }
        if let Some(due) = outcome.arm {
            self.timers.arm(due, Wake::Connection(Arc::downgrade(connection)));
        }
        if let Some(cost) = outcome.cost {
            self.metrics.push.acknowledged(cost, self.now().mono);
        }
        if let Some(took) = outcome.heard {
            self.metrics.config.heard.0.record(took);
        }
        for _ in 0..outcome.missed {
            self.metrics.push.failed.add(self.now().wall);
        }
        match outcome.failed {
            None => {}
            Some(Failure::Unacknowledged { tries }) => {
                connection.closer.close(Disconnect::PushUnacknowledged { tries });
            }
            // Whoever was heard of meanwhile lives, whatever became of the question.
            Some(Failure::Detection { since, refused: false }) if connection.last_active() > since => {}
            Some(Failure::Detection { .. }) => {
                let idle_ms = connection.idle(self.now());
                connection
                    .closer
                    .close(Disconnect::DetectionUnanswered { idle_ms, delivered: tcp::delivered(&connection.peer) });
            }
        }
    }

    /// Counts a push.
    pub(super) fn leaves(&self, sent: &Sent) {
        let Some(empty) = sent.service else { return };
        let wall = self.now().wall;
        self.metrics.push.total.add(wall);
        if empty {
            self.metrics.push.empty.add(wall);
        }
    }

    /// Serves the timers; the body of the worker `grpc pushes`. `beat` is called once a round.
    pub async fn serve_timers(&self, beat: impl Fn()) {
        loop {
            let now = self.now();
            for wake in self.timers.take_due(now.mono) {
                match wake {
                    Wake::Service(service) => self.take_turn(&service),
                    Wake::Connection(connection) => {
                        if let Some(connection) = connection.upgrade() {
                            let outcome = connection.outbox.tick(now);
                            self.act(&connection, outcome);
                        }
                    }
                }
            }
            beat();
            self.timers.wait(self.now().mono).await;
            // Storms never starve the other tasks of this thread.
            tokio::task::yield_now().await;
        }
    }

    /// The turn of a changed service.
    fn take_turn(&self, service: &ServiceKey) {
        let now = self.now();
        if !self.naming.switches().push_enabled {
            self.timers.arm(now.mono + PAUSED, Wake::Service(service.clone()));
            return;
        }
        match self.services.turn(service, now.mono) {
            Turn::Nothing => {}
            Turn::Wait(due) => self.timers.arm(due, Wake::Service(service.clone())),
            Turn::Send { may_empty, news } => {
                let (held, sent) = self.fan_out(service, may_empty, news);
                if let Some(due) = self.services.sent(service, held, sent, now.mono) {
                    self.timers.arm(due, Wake::Service(service.clone()));
                }
            }
        }
    }

    /// Marks the service dirty on its subscribers; without `news` only on those whose emptied list was held back. Answers
    /// whether somebody's emptied list was held back, and whether anybody will be sent something.
    fn fan_out(&self, service: &ServiceKey, may_empty: bool, news: bool) -> (bool, bool) {
        let now = self.now();
        let (mut held, mut sent) = (false, false);
        // Subscribers ask for one or two different cluster lists.
        let mut views: Vec<(Arc<str>, bool)> = Vec::new();
        for subscriber in self.naming.subscribers(service) {
            let Some(connection) = self.connections.of(&subscriber.client) else { continue };
            let clusters = &subscriber.subscription.clusters;
            let empty = match views.iter().find(|(known, _)| known == clusters) {
                Some((_, empty)) => *empty,
                None => {
                    let query = Query { clusters, healthy_only: false, consumer_ip: &subscriber.subscription.ip };
                    let empty = self.naming.list(service, &query, now).hosts.is_empty();
                    views.push((Arc::clone(clusters), empty));
                    empty
                }
            };
            let marked = match (news, empty) {
                (true, _) => connection.outbox.mark(service, empty, may_empty, now),
                (false, true) if may_empty => connection.outbox.mark_empty(service, now),
                (false, true) => Marked::Held,
                (false, false) => Marked::Idle,
            };
            match marked {
                Marked::Held => held = true,
                Marked::Queued => sent = true,
                Marked::Idle => {}
            }
        }
        (held, sent)
    }

    /// A service's text for one subscriber; `None` when it no longer subscribes.
    pub(super) fn view(&self, connection: &Connection, service: &ServiceKey) -> Option<View> {
        let (_, view) = self.naming.push_view(&connection.client_id(), service, self.now())?;
        Some(View { members: subscribed_info(&view, connection.says_clusters(service)), empty: view.hosts.is_empty() })
    }

    /// Asks clients that were silent for long whether they are there, and forgets quiet services. Every second or so.
    pub fn scan(&self) {
        let now = self.now();
        let mut silent = Vec::new();
        self.connections.for_each(|connection| {
            if connection.idle(now) >= self.options().idle {
                silent.push(Arc::clone(connection));
            }
        });
        for connection in silent {
            if !connection.outbox.is_detecting() {
                let load = Load { type_name: "ClientDetectionRequest", module: "internal", members: Bytes::new() };
                let outcome = connection.outbox.push(Target::Detection, load, now);
                self.act(&connection, outcome);
            }
        }
        self.services.sweep(now.mono);
    }

    /// Something about a connection that is no transition of a push.
    pub(super) fn note(&self, id: &str, cause: Cause) {
        self.record(Event::new(self.now(), Subject::client(id), cause));
    }
}

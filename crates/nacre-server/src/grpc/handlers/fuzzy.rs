//! Fuzzy watch: the answer, and the sync that follows it.

use std::sync::Arc;

use nacre_config::SyncChange;
use nacre_model::NacosError;
use nacre_naming::FuzzySync;
use nacre_wire::grpc::{
    envelope::{Nothing, members},
    fuzzy::{CANCEL_WATCH, Context, DIFF, FINISH, FuzzyWatchRequest, FuzzyWatchSyncRequest, INIT, WATCH},
};
use serde::Deserialize;

use super::super::{
    dispatch::{Call, Operation, Reply},
    outbox::{Domain, Load},
    push::naming_sync,
};

/// What the client says it holds; nulls in it hold nothing.
fn received(request: &FuzzyWatchRequest) -> Vec<String> {
    request.received.iter().flatten().flatten().cloned().collect()
}

/// The connection ended while its request was being answered: nothing of it may stay behind.
fn is_gone(call: &Call<'_>) -> bool {
    call.app.grpc.connections.get(call.connection.id()).is_none()
}

/// 50310 and 50311 are told by the answer's own type.
fn reply(error: Option<NacosError>) -> Reply {
    match error {
        Some(error) => Reply::typed::<Nothing>(error.code.code, error.message),
        None => Reply::ok(&Nothing {}),
    }
}

/// `ConfigFuzzyWatchRequest`.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct ConfigWatch(FuzzyWatchRequest);

impl Operation for ConfigWatch {
    const RESPONSE: &'static str = "ConfigFuzzyWatchResponse";
    type Fields = Nothing;

    /// The reference has a check of the pattern's namespace, which is never asked.
    fn check(&self, _metadata_length: usize) -> Result<(), String> {
        Ok(())
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let request = &self.0;
        let cancel = match request.watch_type.as_deref() {
            Some(WATCH) => false,
            Some(CANCEL_WATCH) => true,
            // Any other word, or none, succeeds and does nothing, whatever else is said.
            _ => return Ok(Reply::ok(&Nothing {})),
        };
        let Some(pattern) = request.pattern.as_deref() else {
            return Err(NacosError::server("groupKeyPattern is null"));
        };
        let connection = call.connection;
        let key: Arc<str> = pattern.into();
        if cancel {
            call.app.config_fuzzy.cancel(connection.id(), pattern);
            connection.outbox.unwatched(Domain::Config, &key);
            return Ok(Reply::ok(&Nothing {}));
        }
        let configs = &call.app.configs;
        let received = received(request);
        let watching = connection.outbox.watching(Domain::Config);
        let watched = call.app.config_fuzzy.watch(connection.id(), pattern, &received, request.initializing, configs);
        if is_gone(call) {
            call.app.config_fuzzy.cancel(connection.id(), pattern);
        }
        if !watched.is_refused() {
            let total = watched.batches.len();
            let kind = if watched.initializing { INIT } else { DIFF };
            let batches = watched.batches.iter().enumerate().map(|(at, batch)| {
                let contexts: Vec<Context> = batch.iter().map(config_context).collect();
                config_sync(kind, pattern, Some(&contexts), total, at + 1)
            });
            let batches = batches.collect();
            let finish = watched.finishes().then(|| config_sync(FINISH, pattern, None, 0, 0));
            let outcome = connection.outbox.sync(Domain::Config, &key, batches, finish);
            call.app.grpc.act(connection, outcome);
        }
        drop(watching);
        Ok(reply(watched.error))
    }
}

fn config_context((key, change): &(String, SyncChange)) -> Context {
    Context {
        group_key: Some(key.clone()),
        service_key: None,
        changed_type: match change {
            SyncChange::Add => "ADD_CONFIG",
            SyncChange::Delete => "DELETE_CONFIG",
        },
    }
}

fn config_sync(kind: &str, pattern: &str, contexts: Option<&[Context]>, total: usize, current: usize) -> Load {
    let fields = FuzzyWatchSyncRequest {
        sync_type: kind,
        group_key_pattern: pattern,
        contexts,
        total_batch: total,
        current_batch: current,
    };
    Load { type_name: "ConfigFuzzyWatchSyncRequest", module: "config", members: members(&fields) }
}

/// `NamingFuzzyWatchRequest`.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct NamingWatch(FuzzyWatchRequest);

impl Operation for NamingWatch {
    const RESPONSE: &'static str = "NamingFuzzyWatchResponse";
    type Fields = Nothing;

    fn check(&self, _metadata_length: usize) -> Result<(), String> {
        Ok(())
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let request = &self.0;
        let Some(pattern) = request.pattern.as_deref() else {
            return Err(NacosError::server("groupKeyPattern is null"));
        };
        let connection = call.connection;
        let client = connection.client_id();
        let key: Arc<str> = pattern.into();
        match request.watch_type.as_deref() {
            Some(WATCH) => {}
            Some(CANCEL_WATCH) => {
                call.app.naming.fuzzy_cancel(&client, pattern);
                connection.outbox.unwatched(Domain::Naming, &key);
                return Ok(Reply::ok(&Nothing {}));
            }
            Some(other) => return Err(NacosError::invalid(format!("Unsupported request type {other}"))),
            None => return Err(NacosError::server("the watch type is null")),
        }
        let received = received(request);
        let watching = connection.outbox.watching(Domain::Naming);
        let watched = call.app.naming.fuzzy_watch(&client, pattern, &received, request.initializing);
        if is_gone(call) {
            call.app.naming.fuzzy_cancel(&client, pattern);
        }
        let batches = watched.batches.iter().map(naming_sync).collect();
        let finish = watched.finish_when_acked.then(|| naming_sync(&FuzzySync::finish(&key)));
        let outcome = connection.outbox.sync(Domain::Naming, &key, batches, finish);
        call.app.grpc.act(connection, outcome);
        drop(watching);
        Ok(reply(watched.error))
    }
}

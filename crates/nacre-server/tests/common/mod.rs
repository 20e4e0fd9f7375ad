//! A server in this process on free ports, and gRPC clients that speak as SDKs do.

#![allow(dead_code, reason = "each test file uses its part")]

mod client;

use std::{sync::Arc, time::Duration};

#[allow(unused_imports, reason = "each test file uses its part")]
pub use client::{Client, LONG, Seen, instance, ports};
use nacre_server::{
    app::App,
    properties::{LoadOptions, load},
    run,
};

pub struct Server {
    pub app: Arc<App>,
    _home: tempfile::TempDir,
}

impl Server {
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let overrides = [("server.port", "0")].iter().chain(settings);
        let overrides = overrides.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let options = LoadOptions { home: Some(home.path().to_owned()), overrides, ..LoadOptions::default() };
        let app = run::start(load(&options).unwrap()).await.unwrap();
        Self { app, _home: home }
    }

    pub async fn stop(self) {
        run::stop(&self.app, "the test is over").await;
    }

    /// Kinds of all events about `client`, oldest first.
    pub fn kinds(&self, client: &str) -> Vec<&'static str> {
        let filter = nacre_journal::Filter { limit: 10_000, ..Default::default() };
        let mut records = self.app.journal.query(&filter);
        records.sort_by_key(|record| record.seq);
        let about = |record: &Arc<nacre_journal::Record>| record.event.subject.client_text().as_deref() == Some(client);
        records.iter().filter(|record| about(record)).map(|record| record.event.cause.kind()).collect()
    }

    /// Waits until the journal has an event of this kind about `client`.
    pub async fn happened(&self, client: &str, kind: &str) {
        let waiting = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            while !self.kinds(client).contains(&kind) {
                ticks.tick().await;
            }
        };
        let in_time = tokio::time::timeout(LONG, waiting).await;
        assert!(in_time.is_ok(), "no {kind}, but {:?}", self.kinds(client));
    }

    /// A client with its own TCP connection that has not set up anything.
    pub async fn dial(&self) -> Client {
        self.dial_port(self.app.settings.grpc_port).await
    }

    pub async fn dial_port(&self, port: u16) -> Client {
        Client::dial(port).await.unwrap()
    }

    /// A registered client of a module.
    pub async fn client(&self, module: &str) -> Client {
        let mut client = self.dial().await;
        client.introduce(module).await;
        client
    }
}

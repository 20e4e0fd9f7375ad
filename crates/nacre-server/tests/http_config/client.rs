//! A server in this process, asked without sockets.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use nacre_server::{
    app::App,
    http::serve,
    properties::{LoadOptions, load},
    run,
};
use serde_json::Value;

/// Far longer than anything takes; what waits this long has failed.
pub const LONG: Duration = Duration::from_secs(30);

pub struct Server {
    pub app: Arc<App>,
    home: Arc<tempfile::TempDir>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Seen {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// A request on its way.
pub struct Ask {
    app: Arc<App>,
    request: http::request::Builder,
    query: Vec<String>,
    path: String,
    body: Bytes,
    peer: SocketAddr,
}

pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn joined(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&")
}

impl Ask {
    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.query.push(joined(pairs));
        self
    }

    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        self.body("application/x-www-form-urlencoded", joined(pairs))
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// As if the client had this address.
    pub fn from(self, ip: &str) -> Self {
        self.header("x-forwarded-for", ip)
    }

    pub async fn send(self) -> Seen {
        let uri = if self.query.is_empty() { self.path } else { format!("{}?{}", self.path, self.query.join("&")) };
        let request = self.request.uri(uri).body(Full::new(self.body)).unwrap();
        let response =
            tokio::time::timeout(LONG, serve(&self.app, &self.peer.into(), request)).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap_or("").to_owned())).collect();
        Seen { status: parts.status.as_u16(), headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

impl Server {
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), settings).await
    }

    async fn start_in(home: Arc<tempfile::TempDir>, settings: &[(&str, &str)]) -> Self {
        let overrides = [("server.port", "0")].iter().chain(settings);
        let overrides = overrides.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let options = LoadOptions { home: Some(home.path().to_owned()), overrides, ..LoadOptions::default() };
        let app = run::start(load(&options).unwrap()).await.unwrap();
        Self { app, home }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub async fn stop(self) {
        run::stop(&self.app, "the test is over").await;
    }

    pub async fn restart(self) -> Self {
        let home = self.home.clone();
        self.stop().await;
        Self::start_in(home, &[]).await
    }

    pub fn ask(&self, method: Method, path: &str) -> Ask {
        Ask {
            app: self.app.clone(),
            request: Request::builder().method(method),
            query: Vec::new(),
            path: format!("/nacos{path}"),
            body: Bytes::new(),
            peer: ([127, 0, 0, 1], 50_000).into(),
        }
    }

    pub fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, path)
    }

    pub fn delete(&self, path: &str) -> Ask {
        self.ask(Method::DELETE, path)
    }

    /// v1: publishes and expects `true`.
    pub async fn publish(&self, data_id: &str, content: &str) {
        self.publish_as(&[("dataId", data_id), ("group", "G"), ("content", content)]).await;
    }

    pub async fn publish_as(&self, form: &[(&str, &str)]) {
        let seen = self.post("/v1/cs/configs").form(form).send().await;
        assert_eq!((seen.status, seen.text()), (200, "true"), "{form:?}");
    }

    /// v1: the content, or the status.
    pub async fn content(&self, data_id: &str) -> Result<String, u16> {
        let seen = self.get("/v1/cs/configs").query(&[("dataId", data_id), ("group", "G")]).send().await;
        if seen.status == 200 { Ok(seen.text().to_owned()) } else { Err(seen.status) }
    }

    /// Kinds of the events about a config, newest first.
    pub fn kinds(&self, data_id: &str) -> Vec<&'static str> {
        let filter = nacre_journal::Filter { data_id: Some(data_id.into()), ..Default::default() };
        let kinds =
            self.app.journal.query(&filter).into_iter().map(|record| record.event.cause.kind()).collect::<Vec<_>>();
        // The doctor may have had its look already, or not.
        kinds.into_iter().filter(|kind| !kind.starts_with("finding")).collect()
    }
}

pub fn md5(content: &str) -> String {
    nacre_config::md5(content).to_string()
}

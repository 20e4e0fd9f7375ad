//! A server in this process on free ports, and gRPC clients that speak as SDKs do.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use nacre_server::{
    app::App,
    properties::{LoadOptions, load},
    run,
};
use nacre_wire::grpc::{Payload, payload};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::{
    Status, Streaming,
    client::Grpc,
    codec::CompressionEncoding,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// Far longer than anything takes; what waits this long has failed.
pub const LONG: Duration = Duration::from_secs(30);

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
        let about = |record: &Arc<nacre_journal::Record>| record.event.subject.client.as_deref() == Some(client);
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
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        Client { channel: endpoint.connect().await.unwrap(), stream: None, compress: false }
    }

    /// A registered client of a module.
    pub async fn client(&self, module: &str) -> Client {
        let mut client = self.dial().await;
        client
            .set_up(json!({"clientVersion":"test","labels":{"source":"sdk","module":module},"abilityTable":{}}))
            .await;
        let ack = client.push().await;
        assert_eq!(ack.name, "SetupAckRequest");
        client
    }
}

/// Type name and JSON of a payload.
#[derive(Debug)]
pub struct Seen {
    pub name: String,
    pub body: Value,
}

impl From<Payload> for Seen {
    fn from(payload: Payload) -> Self {
        let body = serde_json::from_slice(payload.json()).unwrap();
        Self { name: payload.type_name().to_owned(), body }
    }
}

struct Stream {
    out: mpsc::Sender<Payload>,
    back: Streaming<Payload>,
}

pub struct Client {
    channel: Channel,
    stream: Option<Stream>,
    compress: bool,
}

impl Client {
    fn grpc(&self) -> Grpc<Channel> {
        let grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(64 << 20);
        if self.compress { grpc.send_compressed(CompressionEncoding::Gzip) } else { grpc }
    }

    pub async fn send_payload(&self, payload: Payload) -> Result<Seen, Status> {
        let mut grpc = self.grpc();
        grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let path = http::uri::PathAndQuery::from_static(payload::REQUEST_PATH);
        let codec = ProstCodec::<Payload, Payload>::default();
        grpc.unary(tonic::Request::new(payload), path, codec).await.map(|answer| answer.into_inner().into())
    }

    pub async fn call(&self, name: &str, body: Value) -> Seen {
        let payload = Payload::answer(name, Bytes::from(body.to_string()));
        tokio::time::timeout(LONG, self.send_payload(payload)).await.unwrap().unwrap()
    }

    pub async fn id(&self) -> String {
        self.call("ServerCheckRequest", json!({})).await.body["connectionId"].as_str().unwrap().to_owned()
    }

    pub async fn open_stream(&mut self) {
        let (out, receiver) = mpsc::channel(64);
        let mut grpc = self.grpc();
        grpc.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(payload::STREAM_PATH);
        let codec = ProstCodec::<Payload, Payload>::default();
        let sent = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let back = grpc.streaming(tonic::Request::new(sent), path, codec).await.unwrap().into_inner();
        self.stream = Some(Stream { out, back });
    }

    pub async fn say(&mut self, name: &str, body: Value) {
        if self.stream.is_none() {
            self.open_stream().await;
        }
        let payload = Payload::answer(name, Bytes::from(body.to_string()));
        self.stream.as_ref().unwrap().out.send(payload).await.unwrap();
    }

    pub async fn set_up(&mut self, body: Value) {
        self.say("ConnectionSetupRequest", body).await;
    }

    /// The next push, unanswered.
    pub async fn push(&mut self) -> Seen {
        let next = self.stream.as_mut().unwrap().back.message();
        tokio::time::timeout(LONG, next).await.unwrap().unwrap().unwrap().into()
    }

    /// The next push, acknowledged.
    pub async fn take(&mut self) -> Seen {
        let push = self.push().await;
        self.ack(&push).await;
        push
    }

    pub async fn ack(&mut self, push: &Seen) {
        let body = json!({"resultCode":200,"errorCode":0,"requestId":push.body["requestId"]});
        self.say(&push.name.replace("Request", "Response"), body).await;
    }

    /// Ends the client's side of the stream and waits for the server's.
    pub async fn half_close(&mut self) {
        let mut stream = self.stream.take().unwrap();
        drop(stream.out);
        let end = tokio::time::timeout(LONG, stream.back.message()).await.unwrap();
        assert!(end.unwrap().is_none(), "the stream ends without an error");
    }

    /// Sends its calls compressed from now on.
    pub fn compressing(mut self) -> Self {
        self.compress = true;
        self
    }

    /// Another client on the same TCP connection.
    pub fn same_connection(&self) -> Self {
        Self { channel: self.channel.clone(), stream: None, compress: false }
    }

    /// Nothing has arrived on the stream that was not taken.
    pub fn ended_silently(&mut self) {
        let stream = &mut self.stream.as_mut().unwrap().back;
        let next = futures::FutureExt::now_or_never(stream.message());
        assert!(next.is_none_or(|end| !matches!(end, Ok(Some(_)))));
    }

    /// Waits for a push (true) or the end of the stream.
    pub async fn push_or_end(&mut self) -> bool {
        let next = self.stream.as_mut().unwrap().back.message();
        matches!(tokio::time::timeout(LONG, next).await.unwrap(), Ok(Some(_)))
    }

    /// The status of a call of another method.
    pub async fn method(&self, path: &'static str) -> tonic::Code {
        let mut grpc = self.grpc();
        grpc.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = ProstCodec::<Payload, Payload>::default();
        let answer = grpc.unary(tonic::Request::new(Payload::default()), path, codec).await;
        answer.map_or_else(|status| status.code(), |_| tonic::Code::Ok)
    }

    /// Waits for the end of the stream.
    pub async fn ended(&mut self) {
        let stream = &mut self.stream.as_mut().unwrap().back;
        let all = async { while let Ok(Some(_)) = stream.message().await {} };
        tokio::time::timeout(LONG, all).await.unwrap();
    }

    pub async fn register(&self, service: &str, port: u16) -> Seen {
        self.call("InstanceRequest", instance("registerInstance", service, port)).await
    }

    pub async fn deregister(&self, service: &str) -> Seen {
        self.call("InstanceRequest", instance("deregisterInstance", service, 1)).await
    }

    pub async fn subscribe(&self, service: &str) -> Seen {
        let body = json!({"namespace":"n","serviceName":service,"groupName":"G","subscribe":true,"clusters":""});
        self.call("SubscribeServiceRequest", body).await
    }
}

pub fn instance(kind: &str, service: &str, port: u16) -> Value {
    json!({"namespace":"n","serviceName":service,"groupName":"G","type":kind,
        "instance":{"ip":"10.0.0.1","port":port,"clusterName":"DEFAULT"}})
}

/// Ports of the hosts of a push or answer.
pub fn ports(seen: &Seen) -> Vec<u64> {
    let hosts = seen.body["serviceInfo"]["hosts"].as_array().unwrap();
    hosts.iter().map(|host| host["port"].as_u64().unwrap()).collect()
}

//! A gRPC client that speaks as SDKs do.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use bytes::Bytes;
use nacre_wire::grpc::{Payload, payload};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::{
    Status, Streaming,
    client::{Grpc, GrpcService},
    codec::CompressionEncoding,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// Far longer than anything takes; what waits this long has failed.
pub const LONG: Duration = Duration::from_secs(30);

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
    /// A client with its own TCP connection that has not set up anything.
    pub async fn dial(port: u16) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        Ok(Self { channel: endpoint.connect().await?, stream: None, compress: false })
    }

    /// Sets up a client of a module and waits until the server has taken it.
    pub async fn introduce(&mut self, module: &str) {
        self.try_introduce(module).await.unwrap();
    }

    pub async fn try_introduce(&mut self, module: &str) -> Result<(), Status> {
        let labels = json!({"source":"sdk","module":module});
        let body = json!({"clientVersion":"test","labels":labels,"abilityTable":{}});
        self.try_say("ConnectionSetupRequest", body).await?;
        let ack = self.try_push().await?;
        assert_eq!(ack.name, "SetupAckRequest");
        Ok(())
    }

    /// As [`Self::call`], for servers that may go away.
    pub async fn try_call(&self, name: &str, body: Value) -> Result<Seen, Status> {
        let payload = Payload::answer(name, Bytes::from(body.to_string()));
        tokio::time::timeout(LONG, self.send_payload(payload)).await.expect("neither an answer nor an end")
    }

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
        self.try_open_stream().await.unwrap();
    }

    async fn try_open_stream(&mut self) -> Result<(), Status> {
        let (out, receiver) = mpsc::channel(64);
        let mut grpc = self.grpc();
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = http::uri::PathAndQuery::from_static(payload::STREAM_PATH);
        let codec = ProstCodec::<Payload, Payload>::default();
        let sent = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let back = grpc.streaming(tonic::Request::new(sent), path, codec).await?.into_inner();
        self.stream = Some(Stream { out, back });
        Ok(())
    }

    pub async fn say(&mut self, name: &str, body: Value) {
        self.try_say(name, body).await.unwrap();
    }

    async fn try_say(&mut self, name: &str, body: Value) -> Result<(), Status> {
        if self.stream.is_none() {
            self.try_open_stream().await?;
        }
        let payload = Payload::answer(name, Bytes::from(body.to_string()));
        let out = &self.stream.as_ref().unwrap().out;
        out.send(payload).await.map_err(|_| Status::unavailable("the stream has ended"))
    }

    pub async fn set_up(&mut self, body: Value) {
        self.say("ConnectionSetupRequest", body).await;
    }

    /// The next push, unanswered.
    pub async fn push(&mut self) -> Seen {
        self.try_push().await.unwrap()
    }

    /// The next push, or how the stream ended.
    pub async fn try_push(&mut self) -> Result<Seen, Status> {
        let next = self.stream.as_mut().unwrap().back.message();
        let next = tokio::time::timeout(LONG, next).await.expect("neither a push nor an end");
        next?.map(Seen::from).ok_or_else(|| Status::unavailable("the stream has ended"))
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

    /// Headers of the answer to a GET over the same connection.
    pub async fn get(&self, path: &str) -> http::HeaderMap {
        let request = http::Request::get(path).body(tonic::body::Body::empty()).unwrap();
        let mut channel = self.channel.clone();
        std::future::poll_fn(|cx| GrpcService::<tonic::body::Body>::poll_ready(&mut channel, cx)).await.unwrap();
        GrpcService::call(&mut channel, request).await.unwrap().into_parts().0.headers
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

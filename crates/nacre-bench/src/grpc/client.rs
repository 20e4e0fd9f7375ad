//! A registered connection: check, stream, set-up as an SDK does them, unary calls, and the server's requests answered.

use std::{
    io::{self, Error, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use memchr::memmem;
use nacre_wire::grpc::{
    Metadata, Payload,
    payload::{Any, REQUEST_PATH, STREAM_PATH},
};
use prost::Message;
use tokio::net::TcpStream;

use super::frames::{Frames, Heard};
use crate::{
    load::{Done, Link},
    template::{Subject, Template},
};

/// The stream of pushes is the first that a connection opens after its check.
const PUSHES: u32 = 3;
/// What an answer that went well holds.
const WELL: &[u8] = b"\"resultCode\":200";
/// Some servers know a connection only a moment after its set-up.
const REGISTERED_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of the stream of pushes after which the server is let send more.
const GIVE_AGAIN: u32 = 1024 * 1024;
/// As much of a wrong answer is shown.
const SHOWN: usize = 300;

/// A request of some type, with holes in its JSON.
#[derive(Clone, Debug)]
pub struct Call {
    /// The whole payload, encoded.
    pub payload: Template,
}

impl Call {
    /// `json` may hold holes; they keep their width, so the lengths that protobuf writes in front are right.
    pub fn new(type_name: &str, json: &str) -> Self {
        // Lengths are of what is written, not of the holes: encode with zeros in them and cut the JSON out again.
        let filled = Template::new(json).bytes(Subject::default());
        let size = filled.len();
        let encoded = payload(type_name, filled).encode_to_vec();
        let mut text = encoded[..encoded.len() - size].to_vec();
        text.extend_from_slice(json.as_bytes());
        Self { payload: Template::new(text) }
    }
}

fn payload(type_name: &str, json: Vec<u8>) -> Payload {
    let metadata =
        Metadata { type_name: type_name.to_owned(), client_ip: "127.0.0.1".to_owned(), ..Metadata::default() };
    // The body stands last in the encoding.
    Payload { metadata: Some(metadata), body: Some(Any { type_url: String::new(), value: Bytes::from(json) }) }
}

/// What connections of a round share.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: SocketAddr,
    pub authority: String,
    /// Namespace in the set-up.
    pub namespace: String,
    pub before: Option<Call>,
    pub call: Call,
}

/// A connection.
#[derive(Debug)]
pub struct Grpc {
    frames: Frames,
    next: u32,
    scratch: Vec<u8>,
    /// The answer that is being read.
    answer: Vec<u8>,
    /// What was read of the stream of pushes and is no whole message yet.
    pushed: Vec<u8>,
    pushed_bytes: u32,
    over: bool,
}

/// A request of the server.
#[derive(Clone, Debug)]
pub struct Push {
    pub type_name: String,
    pub json: Bytes,
}

impl Grpc {
    /// Connects and registers.
    pub async fn connect(address: SocketAddr, authority: &str, namespace: &str) -> io::Result<Self> {
        Self::connect_from(TcpStream::connect(address).await?, authority, namespace).await
    }

    /// Registers on an open connection.
    pub async fn connect_from(stream: TcpStream, authority: &str, namespace: &str) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let frames = Frames::open(stream, authority.to_owned()).await?;
        let mut connection = Self {
            frames,
            next: 1,
            scratch: Vec::new(),
            answer: Vec::new(),
            pushed: Vec::new(),
            pushed_bytes: 0,
            over: false,
        };
        connection.ask("ServerCheckRequest", "{\"headers\":{},\"module\":\"internal\"}").await?;
        connection.set_up(namespace).await?;
        Ok(connection)
    }

    async fn set_up(&mut self, namespace: &str) -> io::Result<()> {
        let stream = self.stream();
        debug_assert_eq!(stream, PUSHES);
        self.frames.headers(stream, STREAM_PATH, false);
        let json = serde_json::json!({
            "headers": {},
            "clientVersion": "Nacos-Java-Client:v2.3.2",
            "tenant": namespace,
            "labels": {"source": "sdk", "AppName": "nacre-bench", "module": "naming"},
            "module": "internal",
        });
        let setup = payload("ConnectionSetupRequest", json.to_string().into_bytes()).encode_to_vec();
        self.frames.message(stream, &setup, false).await?;
        self.frames.flush().await?;
        let begun = Instant::now();
        loop {
            // A server may look at the check before it has looked at the set-up, and refuse it.
            let why = match self.ask("HealthCheckRequest", "{\"headers\":{},\"module\":\"internal\"}").await {
                Ok(answer) if memmem::find(&answer, WELL).is_some() => return Ok(()),
                Ok(answer) => shown(&answer),
                Err(error) if error.kind() == ErrorKind::InvalidData => error.to_string(),
                Err(error) => return Err(error),
            };
            if begun.elapsed() > REGISTERED_WITHIN {
                return Err(Error::other(format!("the server did not register the connection: {why}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Calls with a JSON and gives the answer's payload, encoded.
    pub async fn ask(&mut self, type_name: &str, json: &str) -> io::Result<Vec<u8>> {
        self.scratch = payload(type_name, json.as_bytes().to_vec()).encode_to_vec();
        self.exchange().await?;
        Ok(self.answer.clone())
    }

    /// Sends a call and reads its answer; what was wrong with it is told.
    pub async fn call(&mut self, call: &Call, subject: Subject) -> io::Result<Option<String>> {
        self.scratch.clear();
        call.payload.write(subject, &mut self.scratch);
        self.exchange().await?;
        Ok(if memmem::find(&self.answer, WELL).is_some() { None } else { Some(shown(&self.answer)) })
    }

    /// The payload answered last, encoded.
    pub fn answer(&self) -> &[u8] {
        &self.answer
    }

    fn stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        // Before the numbers run out, in a billion requests.
        self.over |= self.next > 0x7fff_0000;
        stream
    }

    /// Sends what is in `scratch` as a unary call; the answer's message is in `answer` then.
    async fn exchange(&mut self) -> io::Result<()> {
        let stream = self.stream();
        let scratch = std::mem::take(&mut self.scratch);
        self.frames.headers(stream, REQUEST_PATH, true);
        let sent = self.frames.message(stream, &scratch, true).await;
        self.scratch = scratch;
        sent?;
        self.frames.flush().await?;
        self.answer.clear();
        loop {
            match self.frames.next().await? {
                Heard::Data { stream: of, end } if of == stream => {
                    self.answer.extend_from_slice(self.frames.data());
                    if end {
                        break;
                    }
                }
                Heard::End { stream: of } if of == stream => break,
                Heard::Reset { stream: of, code } if of == stream => {
                    return Err(Error::other(format!("the server reset the call (code {code})")));
                }
                Heard::GoAway { .. } => self.over = true,
                heard => {
                    while let Some(push) = self.heard(&heard)? {
                        self.acknowledge(&push).await?;
                    }
                }
            }
        }
        if self.answer.len() < 5 {
            return Err(Error::new(ErrorKind::InvalidData, "the call failed without an answer"));
        }
        self.answer.drain(..5);
        Ok(())
    }

    /// What a frame brings of the server's requests; to be called until there is none.
    fn heard(&mut self, heard: &Heard) -> io::Result<Option<Push>> {
        match heard {
            Heard::Data { stream: PUSHES, end } => {
                if *end {
                    return Err(Error::new(ErrorKind::UnexpectedEof, "the server ended the stream of pushes"));
                }
                let data = self.frames.data();
                self.pushed.extend_from_slice(data);
                self.pushed_bytes += data.len() as u32;
                if self.pushed_bytes > GIVE_AGAIN {
                    self.frames.grant(PUSHES, self.pushed_bytes);
                    self.pushed_bytes = 0;
                }
            }
            Heard::End { stream: PUSHES } | Heard::Reset { stream: PUSHES, .. } => {
                return Err(Error::new(ErrorKind::UnexpectedEof, "the server ended the stream of pushes"));
            }
            _ => {}
        }
        self.whole_push()
    }

    fn whole_push(&mut self) -> io::Result<Option<Push>> {
        let Some(head) = self.pushed.first_chunk::<5>() else { return Ok(None) };
        let size = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if self.pushed.len() < size + 5 {
            return Ok(None);
        }
        let payload = Payload::decode(&self.pushed[5..size + 5])
            .map_err(|error| Error::new(ErrorKind::InvalidData, error.to_string()))?;
        self.pushed.drain(..size + 5);
        Ok(Some(Push { type_name: payload.type_name().to_owned(), json: Bytes::copy_from_slice(payload.json()) }))
    }

    /// The next request of the server, not acknowledged yet.
    pub async fn pushed(&mut self) -> io::Result<Push> {
        if let Some(push) = self.whole_push()? {
            return Ok(push);
        }
        loop {
            let heard = self.frames.next().await?;
            if let Heard::GoAway { code } = heard {
                return Err(Error::other(format!("the server closes the connection (code {code})")));
            }
            if let Some(push) = self.heard(&heard)? {
                return Ok(push);
            }
        }
    }

    /// Answers a request of the server as an SDK does.
    pub async fn acknowledge(&mut self, push: &Push) -> io::Result<()> {
        let Some(base) = push.type_name.strip_suffix("Request") else { return Ok(()) };
        let id = memmem::find(&push.json, b"\"requestId\":\"").map(|at| &push.json[at + 13..]);
        let id = id.and_then(|rest| rest.split(|byte| *byte == b'"').next()).unwrap_or_default();
        let mut json = b"{\"resultCode\":200,\"errorCode\":0,\"requestId\":\"".to_vec();
        json.extend_from_slice(id);
        json.extend_from_slice(b"\",\"success\":true}");
        let answer = payload(&format!("{base}Response"), json).encode_to_vec();
        self.frames.message(PUSHES, &answer, false).await?;
        self.frames.flush().await
    }

    /// Stays connected and answers the server until the connection ends.
    pub async fn idle(&mut self) -> io::Error {
        self.frames.shrink();
        (self.answer, self.scratch) = (Vec::new(), Vec::new());
        loop {
            let answered = match self.pushed().await {
                Ok(push) => self.acknowledge(&push).await,
                Err(error) => return error,
            };
            if let Err(error) = answered {
                return error;
            }
        }
    }
}

fn shown(answer: &[u8]) -> String {
    match Payload::decode(answer) {
        Ok(payload) => {
            let json = payload.json();
            format!("{}: {}", payload.type_name(), String::from_utf8_lossy(&json[..json.len().min(SHOWN)]))
        }
        Err(error) => format!("an answer that cannot be read: {error}"),
    }
}

impl Link for Grpc {
    type Plan = Plan;

    async fn open(plan: &Plan) -> io::Result<Self> {
        Self::connect(plan.address, &plan.authority, &plan.namespace).await
    }

    fn is_over(&self) -> bool {
        self.over
    }

    async fn act(&mut self, plan: &Plan, subject: Subject) -> io::Result<Done> {
        let mut before = Duration::ZERO;
        if let Some(call) = &plan.before {
            let begun = Instant::now();
            let wrong = self.call(call, subject).await?;
            before = begun.elapsed();
            if wrong.is_some() {
                return Ok(Done { wrong, before });
            }
        }
        Ok(Done { wrong: self.call(&plan.call, subject).await?, before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_holes_is_a_payload_whatever_fills_them() {
        let call = Call::new("InstanceRequest", "{\"ip\":\"{host}\",\"n\":\"{seq}\"}");
        let bytes = call.payload.bytes(Subject { key: 0, host: 1, seq: 42 });
        let payload = Payload::decode(&*bytes).unwrap();
        assert_eq!(payload.type_name(), "InstanceRequest");
        assert_eq!(payload.json(), b"{\"ip\":\"10.100.100.101\",\"n\":\"000000000042\"}");
    }
}

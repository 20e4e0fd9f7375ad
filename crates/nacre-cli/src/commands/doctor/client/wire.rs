//! The gRPC port: what answers the first bytes of HTTP/2, and the whole conversation of a client that starts.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring, pki_types::ServerName};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    grpc::{Broken, Link},
    tls::Trust,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
const FRAME_SETTINGS: u8 = 4;
const PATIENCE: Duration = Duration::from_secs(3);
/// Servers know a connection only a moment after its set-up.
const REGISTERED_WITHIN: Duration = Duration::from_secs(3);

/// What answers the first bytes of HTTP/2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    Http2,
    /// The status line and the field `Server`.
    Http1 {
        line: String,
        server: String,
    },
    /// An alert of TLS: the port wants TLS.
    Tls,
    /// The connection was closed or reset without a byte.
    Closed(&'static str),
    Silent,
    Other(String),
}

/// Says the first words of HTTP/2 and looks at the answer.
pub async fn first_words(to: SocketAddr) -> First {
    let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(to)).await else {
        return First::Closed("refused");
    };
    if stream.write_all(PREFACE).await.is_err() {
        return First::Closed("reset");
    }
    let mut got = Vec::new();
    let reading = async {
        let mut buffer = [0; 2048];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return "closed",
                Ok(n) => got.extend_from_slice(&buffer[..n]),
                Err(_) => return "reset",
            }
            // An answer of HTTP/1 is read to the end of its head, anything else by its first bytes.
            let http1 = got.starts_with(b"HTTP/1");
            if (!http1 && got.len() >= 9) || got.windows(4).any(|w| w == b"\r\n\r\n") || got.len() > 4096 {
                return "open";
            }
        }
    };
    let end = timeout(PATIENCE, reading).await.unwrap_or("silent");
    classify(&got, end)
}

fn classify(got: &[u8], end: &'static str) -> First {
    if got.is_empty() {
        return if end == "silent" { First::Silent } else { First::Closed(end) };
    }
    if got.starts_with(b"HTTP/") {
        let text = String::from_utf8_lossy(got).into_owned();
        let field = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("server").then(|| value.trim().to_owned())
        });
        let line = text.lines().next().unwrap_or_default().trim().to_owned();
        return First::Http1 { line, server: field.unwrap_or_default() };
    }
    // Alert (21) or handshake (22) of TLS 3.x.
    if matches!(got, [21 | 22, 3, ..]) {
        return First::Tls;
    }
    if got.len() >= 9 && got[3] == FRAME_SETTINGS && got[0] == 0 && got[5..9] == [0; 4] {
        return First::Http2;
    }
    let shown: String =
        got.iter().take(24).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect();
    First::Other(shown)
}

/// Whether the port answers a TLS client in TLS. Certificates do not matter here.
pub async fn speaks_tls(to: SocketAddr, host: &str) -> bool {
    let Some(hello) = hello(host) else { return false };
    let asking = async {
        let mut stream = TcpStream::connect(to).await.ok()?;
        stream.write_all(&hello).await.ok()?;
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.ok()?;
        Some(matches!(head, [21 | 22, 3]))
    };
    timeout(PATIENCE, asking).await.ok().flatten().unwrap_or(false)
}

fn hello(host: &str) -> Option<Vec<u8>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from(host.to_owned()).ok()?).ok()?;
    let mut out = Vec::new();
    connection.write_tls(&mut out).ok()?;
    Some(out)
}

/// How far a client gets that starts.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// TLS was wanted and not found, or the certificate is refused.
    Tls {
        why: String,
        hint: String,
    },
    Check(Broken),
    /// The check was answered with a refusal.
    Refused(String),
    Setup(Broken),
    /// The stream was opened, and the server still says that it does not know the connection.
    Unregistered(String),
}

/// A connection as an SDK has it.
pub struct Conversation {
    pub link: Link,
    pub local: SocketAddr,
    pub id: String,
    pub abilities: Option<Value>,
    pub check: Duration,
    pub registered: Duration,
}

/// Where and how to connect.
#[derive(Clone)]
pub struct Target {
    pub to: SocketAddr,
    pub host: String,
    pub tls: bool,
    pub trust: Trust,
    pub namespace: String,
    pub token: Option<String>,
}

impl Target {
    async fn open(&self) -> Result<(Link, SocketAddr), Failure> {
        let connecting = timeout(PATIENCE, TcpStream::connect(self.to)).await;
        let stream = match connecting {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Failure::Check(Broken::Connection(error.to_string()))),
            Err(_) => return Err(Failure::Check(Broken::Late(PATIENCE))),
        };
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().map_err(|error| Failure::Check(Broken::Connection(error.to_string())))?;
        let authority = crate::api::naming::endpoint(&self.host, self.to.port());
        let link = if self.tls {
            let secured = timeout(PATIENCE, self.trust.secure_as(stream, &self.host, b"h2")).await;
            let secured = match secured {
                Ok(Ok(stream)) => stream,
                Ok(Err(untrusted)) => return Err(Failure::Tls { why: untrusted.why, hint: untrusted.hint.to_owned() }),
                Err(_) => {
                    return Err(Failure::Tls {
                        why: "the TLS handshake is not answered".to_owned(),
                        hint: String::new(),
                    });
                }
            };
            Link::open(secured, authority, true).await
        } else {
            Link::open(stream, authority, false).await
        };
        let mut link = link.map_err(Failure::Check)?;
        link.headers.extend(self.token.iter().map(|token| ("accessToken".to_owned(), token.clone())));
        Ok((link, local))
    }

    /// Check, set-up with abilities, health check: as an SDK starts.
    pub async fn converse(&self, module: &str) -> Result<Conversation, Failure> {
        let (mut link, local) = self.open().await?;
        let begun = Instant::now();
        let check = link
            .call("ServerCheckRequest", &json!({"headers": {}, "module": "internal"}))
            .await
            .map_err(Failure::Check)?;
        let check_took = begun.elapsed();
        if check["resultCode"] != 200 {
            return Err(Failure::Refused(refusal(&check)));
        }
        let negotiates = check["supportAbilityNegotiation"] == true;
        let setup = json!({
            "headers": {}, "clientVersion": concat!("Nacre-CLI:v", env!("CARGO_PKG_VERSION")), "tenant": self.namespace,
            "labels": {"source": "sdk", "module": module, "AppName": "nacre-doctor"}, "abilityTable": {}, "module": "internal",
        });
        let mut pushes = link.set_up(&setup).await.map_err(Failure::Setup)?;
        let mut abilities = None;
        if negotiates {
            let waiting = async {
                while let Some(push) = pushes.recv().await {
                    if push.type_name() == "SetupAckRequest" {
                        let ack: Value = serde_json::from_slice(push.json()).unwrap_or_default();
                        return ack.get("abilityTable").cloned();
                    }
                }
                None
            };
            abilities = timeout(REGISTERED_WITHIN, waiting).await.ok().flatten();
        }
        let begun = Instant::now();
        loop {
            let health = link.call("HealthCheckRequest", &json!({"headers": {}, "module": "internal"})).await;
            let why = match health {
                Ok(answer) if answer["resultCode"] == 200 => break,
                Ok(answer) => refusal(&answer),
                Err(broken) => return Err(Failure::Setup(broken)),
            };
            if let Some(end) = link.end() {
                return Err(Failure::Setup(Broken::Connection(end.why)));
            }
            if begun.elapsed() > REGISTERED_WITHIN {
                return Err(Failure::Unregistered(why));
            }
            sleep(Duration::from_millis(20)).await;
        }
        let id = check["connectionId"].as_str().unwrap_or_default().to_owned();
        Ok(Conversation { link, local, id, abilities, check: check_took, registered: begun.elapsed() })
    }
}

impl Conversation {
    /// The address under which the server sees this connection, as its id tells.
    pub fn seen_as(&self) -> Option<SocketAddr> {
        seen_as(&self.id)
    }
}

fn seen_as(id: &str) -> Option<SocketAddr> {
    let (rest, port) = id.rsplit_once('_')?;
    let (_, ip) = rest.split_once('_')?;
    Some(SocketAddr::new(ip.trim_matches(['[', ']']).parse().ok()?, port.parse().ok()?))
}

pub fn refusal(answer: &Value) -> String {
    format!("{} (code {})", answer["message"].as_str().unwrap_or("no reason given"), answer["errorCode"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_are_told_apart() {
        assert_eq!(classify(b"\0\0\x12\x04\0\0\0\0\0more", "open"), First::Http2);
        let http1 = First::Http1 { line: "HTTP/1.1 400 Bad Request".into(), server: "nginx".into() };
        assert_eq!(classify(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n<html>", "open"), http1);
        assert_eq!(classify(&[21, 3, 1, 0, 2, 2, 70], "closed"), First::Tls);
        assert_eq!((classify(b"", "reset"), classify(b"", "silent")), (First::Closed("reset"), First::Silent));
        assert_eq!(classify(b"SSH-2.0-x\r\n", "open"), First::Other("SSH-2.0-x\\r\\n".into()));
    }

    #[test]
    fn a_connection_id_tells_how_the_server_sees_us() {
        assert_eq!(seen_as("1764092882123_10.0.0.7_54321"), Some("10.0.0.7:54321".parse().unwrap()));
        assert_eq!(seen_as("1764092882123_0:0:0:0:0:0:0:1_54321"), Some("[::1]:54321".parse().unwrap()));
        assert_eq!(seen_as("whatever"), None);
    }

    #[test]
    fn a_hello_is_a_record_of_tls() {
        assert_eq!(hello("localhost").unwrap()[..2], [22, 3]);
    }
}

//! `MYSQL`: log in and run a statement, with just enough of the client/server protocol for that.
//!
//! Logins by `mysql_native_password`, and by `caching_sha2_password` where the server remembers the account (or its
//! password is empty): the full exchange of the latter needs TLS or RSA, and says so.

use std::{io, time::Duration};

use nacre_naming::{Probe, ProbeOutcome};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// The statement by which the reference tells masters from read-only replicas.
const READ_ONLY: &str = "show global variables where variable_name='read_only'";
/// Longest packet that is read; answers of a check are tiny.
const PACKET: usize = 1 << 20;
/// Columns that are read past before the first row.
const COLUMNS: u64 = 4_096;

const NATIVE: &str = "mysql_native_password";
const CACHING: &str = "caching_sha2_password";

/// LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;
/// utf8mb4_general_ci
const CHARSET: u8 = 45;

/// Why a check did not succeed.
#[derive(Debug)]
enum Failure {
    Io(io::Error),
    TimedOut,
    Sql(String),
    Protocol(&'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) async fn probe(probe: &Probe, user: &str, password: &str, statement: &str) -> ProbeOutcome {
    let stream = match super::connect(probe).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    check(stream, Duration::from_millis(probe.read_timeout_ms), user, password, statement).await
}

/// Logs in over a stream that has just been connected and runs a statement; `wait` bounds each read and write.
pub async fn check(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    wait: Duration,
    user: &str,
    password: &str,
    statement: &str,
) -> ProbeOutcome {
    let mut session = Session { stream, sequence: 0, wait };
    match session.check(user, password, statement).await {
        Ok(read_only) => ProbeOutcome::Queried { read_only },
        Err(Failure::TimedOut) => ProbeOutcome::TimedOut,
        Err(Failure::Sql(text)) => ProbeOutcome::SqlError(text),
        Err(Failure::Io(error)) => ProbeOutcome::Failed(error.to_string()),
        Err(Failure::Protocol(text)) => ProbeOutcome::Failed(text.to_owned()),
    }
}

struct Session<S> {
    stream: S,
    sequence: u8,
    wait: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn check(&mut self, user: &str, password: &str, statement: &str) -> Result<bool, Failure> {
        let greeting = self.read().await?;
        let greeting = Greeting::parse(&greeting)?;
        self.log_in(&greeting, user, password).await?;
        let read_only = if statement.trim().is_empty() { false } else { self.query(statement).await? };
        self.sequence = 0;
        // Good-bye; whether it arrives does not matter.
        let _ = self.write(&[1]).await;
        Ok(read_only)
    }

    async fn log_in(&mut self, greeting: &Greeting, user: &str, password: &str) -> Result<(), Failure> {
        let plugin = if greeting.plugin == CACHING { CACHING } else { NATIVE };
        let proof = prove(plugin, password, &greeting.challenge);
        let mut login = Vec::with_capacity(128);
        login.extend(CAPABILITIES.to_le_bytes());
        login.extend((PACKET as u32).to_le_bytes());
        login.push(CHARSET);
        login.extend([0; 23]);
        login.extend(user.bytes().filter(|b| *b != 0));
        login.push(0);
        login.push(proof.len() as u8);
        login.extend(&proof);
        login.extend(plugin.bytes());
        login.push(0);
        self.write(&login).await?;
        // The server may ask for another plugin once, and tells of cached accounts in a packet of its own.
        for _ in 0..4 {
            let answer = self.read().await?;
            match answer.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xFF, rest)) => return Err(refused(rest)),
                Some((0xFE, rest)) => {
                    let (plugin, challenge) = split_text(rest).unwrap_or((NATIVE, &greeting.challenge));
                    if plugin != NATIVE && plugin != CACHING {
                        return Err(Failure::Protocol(
                            "the account needs a login method that this check does not speak",
                        ));
                    }
                    let challenge = challenge.strip_suffix(&[0]).unwrap_or(challenge);
                    self.write(&prove(plugin, password, challenge)).await?;
                }
                Some((0x01, [0x03, ..])) => {}
                Some((0x01, [0x04, ..])) => {
                    return Err(Failure::Protocol(
                        "the server does not remember the account: its first login by caching_sha2_password needs TLS; \
                         log in once by another client or use mysql_native_password",
                    ));
                }
                _ => return Err(Failure::Protocol("the answer to the login is not understood")),
            }
        }
        Err(Failure::Protocol("the login does not come to an end"))
    }

    /// Runs a statement; true when it is [`READ_ONLY`] and the answer is `ON`.
    async fn query(&mut self, statement: &str) -> Result<bool, Failure> {
        self.sequence = 0;
        self.write(&[&[3], statement.as_bytes()].concat()).await?;
        let answer = self.read().await?;
        let columns = match answer.split_first() {
            Some((0xFF, rest)) => return Err(refused(rest)),
            Some((0x00, _)) => return Ok(false),
            Some((0xFB, _)) | None => return Err(Failure::Protocol("the answer to the statement is not understood")),
            Some(_) => length(&answer).ok_or(Failure::Protocol("the number of columns is not understood"))?.0,
        };
        if statement != READ_ONLY {
            return Ok(false);
        }
        for _ in 0..columns.min(COLUMNS) {
            self.read().await?;
        }
        // End of the columns, then the row: name and value.
        self.read().await?;
        let row = self.read().await?;
        if let Some((0xFF, rest)) = row.split_first() {
            return Err(refused(rest));
        }
        Ok(second_column(&row).is_some_and(|value| value == b"ON"))
    }

    async fn read(&mut self) -> Result<Vec<u8>, Failure> {
        let reading = async {
            let mut head = [0; 4];
            self.stream.read_exact(&mut head).await?;
            let len = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
            if len > PACKET {
                return Err(Failure::Protocol("a packet is longer than any answer of a check"));
            }
            self.sequence = head[3].wrapping_add(1);
            let mut packet = vec![0; len];
            self.stream.read_exact(&mut packet).await?;
            Ok(packet)
        };
        timeout(self.wait, reading).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn write(&mut self, packet: &[u8]) -> Result<(), Failure> {
        let len = u32::try_from(packet.len()).ok().filter(|len| *len <= PACKET as u32);
        let len = len.ok_or(Failure::Protocol("the statement is too long"))?.to_le_bytes();
        let bytes = [&[len[0], len[1], len[2], self.sequence], packet].concat();
        let writing = self.stream.write_all(&bytes);
        match timeout(self.wait, writing).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}

/// The server's first packet (protocol 10).
#[derive(Debug, PartialEq)]
struct Greeting {
    challenge: Vec<u8>,
    plugin: String,
}

impl Greeting {
    fn parse(packet: &[u8]) -> Result<Self, Failure> {
        const STRANGE: Failure = Failure::Protocol("this is no MySQL server");
        match packet.split_first() {
            Some((10, _)) => {}
            Some((0xFF, rest)) => return Err(refused(rest)),
            _ => return Err(STRANGE),
        }
        let (_, rest) = split_text(&packet[1..]).ok_or(STRANGE)?;
        // Connection id, first part of the challenge, a zero, capabilities, charset, status, capabilities, length, ten
        // reserved bytes.
        let first = rest.get(4..12).ok_or(STRANGE)?;
        let Some(len) = rest.get(20) else {
            return Ok(Self { challenge: first.to_vec(), plugin: NATIVE.into() });
        };
        let second_len = usize::from(*len).saturating_sub(8).max(13);
        let second = rest.get(31..31 + second_len).ok_or(STRANGE)?;
        let second = second.strip_suffix(&[0]).unwrap_or(second);
        let plugin = rest.get(31 + second_len..).unwrap_or_default();
        let plugin = split_text(plugin).map_or_else(|| String::from_utf8_lossy(plugin).into_owned(), |(p, _)| p.into());
        Ok(Self { challenge: [first, second].concat(), plugin })
    }
}

/// Text up to a zero, and what follows it.
fn split_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// An ERR packet without its first byte: code, perhaps `#` and a state, text.
fn refused(rest: &[u8]) -> Failure {
    let (code, rest) = match rest {
        [low, high, rest @ ..] => (u16::from_le_bytes([*low, *high]), rest),
        _ => (0, &[][..]),
    };
    let text = match rest {
        [b'#', _, _, _, _, _, text @ ..] => text,
        text => text,
    };
    Failure::Sql(format!("{} (error {code})", String::from_utf8_lossy(text)))
}

/// A length-encoded number and how many bytes it took.
fn length(bytes: &[u8]) -> Option<(u64, usize)> {
    let (first, rest) = bytes.split_first()?;
    let number = |n: usize| -> Option<(u64, usize)> {
        let mut number = [0; 8];
        number[..n].copy_from_slice(rest.get(..n)?);
        Some((u64::from_le_bytes(number), n + 1))
    };
    match first {
        0xFC => number(2),
        0xFD => number(3),
        0xFE => number(8),
        0xFB | 0xFF => None,
        small => Some((u64::from(*small), 1)),
    }
}

fn second_column(row: &[u8]) -> Option<&[u8]> {
    let column = |bytes: &[u8]| -> Option<(usize, usize)> {
        let (len, head) = length(bytes)?;
        Some((head, usize::try_from(len).ok()?))
    };
    let (head, len) = column(row)?;
    let rest = row.get(head..)?.get(len..)?;
    let (head, len) = column(rest)?;
    rest.get(head..)?.get(..len)
}

/// The proof of knowing the password, for a challenge.
fn prove(plugin: &str, password: &str, challenge: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
    if plugin == CACHING {
        // SHA256(password) XOR SHA256(SHA256(SHA256(password)), challenge)
        let once = Sha256::digest(password);
        let twice = Sha256::digest(once);
        return xor(&once, &Sha256::new().chain_update(twice).chain_update(challenge).finalize());
    }
    // SHA1(password) XOR SHA1(challenge, SHA1(SHA1(password)))
    let once = Sha1::digest(password);
    let twice = Sha1::digest(once);
    xor(&once, &Sha1::new().chain_update(challenge).chain_update(twice).finalize())
}

#[cfg(test)]
mod tests {
    use nacre_naming::HealthChecker;
    use proptest::prelude::*;
    use tokio::net::{TcpListener, TcpStream};

    use super::{super::tests::probe_of, *};

    const CHALLENGE: &[u8; 20] = b"abcdefghijklmnopqrst";

    fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
        let len = (body.len() as u32).to_le_bytes();
        [&[len[0], len[1], len[2], sequence], body].concat()
    }

    fn greeting(plugin: &str) -> Vec<u8> {
        let mut body = vec![10];
        body.extend(b"8.0.36\0");
        body.extend(7u32.to_le_bytes());
        body.extend(&CHALLENGE[..8]);
        body.extend([0, 0xFF, 0xFF, 45, 2, 0, 0xFF, 0xDF, 21]);
        body.extend([0; 10]);
        body.extend(&CHALLENGE[8..]);
        body.push(0);
        body.extend(plugin.bytes());
        body.push(0);
        body
    }

    async fn read_packet(stream: &mut TcpStream) -> Vec<u8> {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await.unwrap();
        let mut body = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
        stream.read_exact(&mut body).await.unwrap();
        body
    }

    /// A server with the account `u`/`secret` that answers every statement with these packets.
    async fn server(plugin: &'static str, fast: bool, answer: Vec<Vec<u8>>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&packet(0, &greeting(plugin))).await.unwrap();
            let login = read_packet(&mut stream).await;
            let proof = prove(plugin, "secret", CHALLENGE);
            let right = login.windows(proof.len()).any(|w| w == proof) && login.windows(2).any(|w| w == b"u\0");
            if !right {
                let refusal = [&[0xFF, 0x15, 0x04][..], b"#28000Access denied for user 'u'"].concat();
                stream.write_all(&packet(2, &refusal)).await.unwrap();
                return;
            }
            if plugin == CACHING {
                stream.write_all(&packet(2, &[1, if fast { 3 } else { 4 }])).await.unwrap();
            }
            stream.write_all(&packet(3, &[0, 0, 0, 2, 0, 0, 0])).await.unwrap();
            assert_eq!(read_packet(&mut stream).await.first(), Some(&3));
            for (n, body) in answer.iter().enumerate() {
                stream.write_all(&packet(n as u8 + 1, body)).await.unwrap();
            }
            let _ = stream.read(&mut [0; 16]).await;
        });
        port
    }

    async fn ask(port: u16, password: &str, statement: &str) -> ProbeOutcome {
        probe(&probe_of(port, HealthChecker::None), "u", password, statement).await
    }

    fn rows(value: &[u8]) -> Vec<Vec<u8>> {
        let row = [&[9][..], b"read_only", &[value.len() as u8], value].concat();
        vec![vec![2], vec![0; 30], vec![0; 30], vec![0xFE, 0, 0, 2, 0], row, vec![0xFE, 0, 0, 2, 0]]
    }

    #[tokio::test]
    async fn a_statement_that_runs_is_healthy() {
        for plugin in [NATIVE, CACHING] {
            let port = server(plugin, true, rows(b"1")).await;
            assert_eq!(ask(port, "secret", "select 1").await, ProbeOutcome::Queried { read_only: false }, "{plugin}");
        }
    }

    #[tokio::test]
    async fn replicas_are_told_from_masters() {
        for (value, read_only) in [(&b"ON"[..], true), (b"OFF", false)] {
            let port = server(NATIVE, true, rows(value)).await;
            assert_eq!(ask(port, "secret", READ_ONLY).await, ProbeOutcome::Queried { read_only });
        }
    }

    #[tokio::test]
    async fn refusals_carry_the_servers_words() {
        let port = server(NATIVE, true, Vec::new()).await;
        let outcome = ask(port, "wrong", "select 1").await;
        assert_eq!(outcome, ProbeOutcome::SqlError("Access denied for user 'u' (error 1045)".into()));
        let syntax = [&[0xFF, 0x28, 0x04][..], b"#42000You have an error in your SQL syntax"].concat();
        let port = server(NATIVE, true, vec![syntax]).await;
        let outcome = ask(port, "secret", "selekt").await;
        assert!(matches!(outcome, ProbeOutcome::SqlError(text) if text.contains("syntax")));
    }

    #[tokio::test]
    async fn an_account_that_the_server_does_not_remember_is_told() {
        let port = server(CACHING, false, Vec::new()).await;
        assert!(matches!(ask(port, "secret", "select 1").await, ProbeOutcome::Failed(text) if text.contains("TLS")));
    }

    #[tokio::test]
    async fn what_is_no_mysql_server_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&packet(0, b"hello")).await.unwrap();
        });
        assert_eq!(ask(port, "secret", "select 1").await, ProbeOutcome::Failed("this is no MySQL server".into()));
    }

    #[test]
    fn the_native_proof_is_the_documented_one() {
        // By the formula, computed apart.
        let once = Sha1::digest("secret");
        let twice = Sha1::digest(once);
        let mask = Sha1::digest([&CHALLENGE[..], &twice].concat());
        let expected: Vec<u8> = once.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        assert_eq!(prove(NATIVE, "secret", CHALLENGE), expected);
        assert!(prove(NATIVE, "", CHALLENGE).is_empty());
    }

    proptest! {
        #[test]
        fn no_packet_upsets_the_readers(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Greeting::parse(&bytes);
            let _ = second_column(&bytes);
            let _ = length(&bytes);
            let _ = refused(&bytes);
        }
    }
}

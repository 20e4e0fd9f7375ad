//! `HTTP`: the status of one GET. Nothing but the status line is read.

use std::{io, time::Duration};

use nacre_naming::{Probe, ProbeOutcome};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// The head of an answer is looked at this far.
const HEAD: usize = 16 * 1024;

pub(super) async fn probe(probe: &Probe, path: &str, headers: &str) -> ProbeOutcome {
    let request = match request(&probe.ip, probe.port, path, headers) {
        Ok(request) => request,
        Err(reason) => return ProbeOutcome::Failed(reason),
    };
    let stream = match super::connect(probe).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    match timeout(Duration::from_millis(probe.read_timeout_ms), ask(stream, &request)).await {
        Ok(Ok(status)) => ProbeOutcome::Status(status),
        Ok(Err(error)) => ProbeOutcome::Failed(error.to_string()),
        Err(_) => ProbeOutcome::TimedOut,
    }
}

/// `headers` is `k:v|k2:v2`. Line ends would smuggle in what nobody configured.
pub fn request(host: &str, port: i32, path: &str, headers: &str) -> Result<String, String> {
    if path.chars().chain(headers.chars()).any(|c| c.is_control()) {
        return Err("the checker's path or headers hold control characters".into());
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path: String = path
        .bytes()
        .map(|b| if b.is_ascii_graphic() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    let bare = host.trim_matches(['[', ']']);
    let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
    let mut text = format!("GET {slash}{path} HTTP/1.1\r\n");
    let named = |name: &str| {
        headers.split('|').any(|h| h.split(':').next().is_some_and(|n| n.trim().eq_ignore_ascii_case(name)))
    };
    for (name, value) in [
        ("Host", format!("{host}:{port}")),
        ("User-Agent", "nacre-health-check".to_owned()),
        ("Accept", "*/*".to_owned()),
        ("Connection", "close".to_owned()),
    ] {
        if !named(name) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for header in headers.split('|') {
        if let Some((name, value)) = header.split_once(':') {
            text.push_str(&format!("{}: {}\r\n", name.trim(), value.trim()));
        }
    }
    text.push_str("\r\n");
    Ok(text)
}

/// Sends a request and reads the status of the answer.
pub async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> io::Result<u16> {
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(512);
    loop {
        if let Some(found) = status(&head) {
            return found;
        }
        if head.len() >= HEAD {
            return Err(io::Error::other("the head of the answer does not end"));
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::Error::other("the connection ended before an answer"));
        }
    }
}

/// The status of the first final answer; `None` while more must be read.
fn status(mut head: &[u8]) -> Option<io::Result<u16>> {
    loop {
        let end = head.windows(2).position(|w| w == b"\r\n" || w[0] == b'\n')?;
        let line = String::from_utf8_lossy(&head[..end]).into_owned();
        let mut words = line.split_ascii_whitespace();
        let http = words.next().is_some_and(|word| word.starts_with("HTTP/"));
        match words.next().and_then(|word| word.parse::<u16>().ok()) {
            // An interim answer: the next head counts.
            Some(100..=199) if http => {
                let over = head.windows(4).position(|w| w == b"\r\n\r\n")?;
                head = &head[over + 4..];
            }
            Some(status) if http => return Some(Ok(status)),
            _ => return Some(Err(io::Error::other(format!("no answer of HTTP: {}", line.escape_debug())))),
        }
    }
}

#[cfg(test)]
mod tests {
    use nacre_naming::HealthChecker;
    use proptest::prelude::*;
    use tokio::net::TcpListener;

    use super::{super::tests::probe_of, *};

    fn checker(path: &str, headers: &str) -> HealthChecker {
        HealthChecker::Http { path: path.into(), headers: headers.into(), expected_response_code: 200 }
    }

    /// Answers one connection with `answer`; gives back what was asked.
    async fn serve_once(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.windows(4).any(|w| w == b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        (port, asked)
    }

    #[tokio::test]
    async fn the_status_is_what_counts() {
        let (port, asked) = serve_once("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        let outcome = probe(&probe_of(port, checker("/h", "k:v|x-two: 2")), "/h", "k:v|x-two: 2").await;
        assert_eq!(outcome, ProbeOutcome::Status(503));
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /h HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("Host: 127.0.0.1:{port}\r\n")) && asked.contains("k: v\r\nx-two: 2\r\n"));
    }

    #[tokio::test]
    async fn interim_answers_are_skipped() {
        let (port, _) = serve_once("HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await;
        assert_eq!(probe(&probe_of(port, checker("", "")), "", "").await, ProbeOutcome::Status(200));
    }

    #[tokio::test]
    async fn other_protocols_fail() {
        let (port, _) = serve_once("SSH-2.0-OpenSSH\r\n").await;
        let outcome = probe(&probe_of(port, checker("", "")), "", "").await;
        assert!(matches!(outcome, ProbeOutcome::Failed(text) if text.contains("SSH-2.0")));
    }

    #[test]
    fn requests_cannot_be_split() {
        assert!(request("h", 80, "/a\r\nX: y", "").is_err());
        assert!(request("h", 80, "/a", "k:v\r\n").is_err());
        let asked = request("2001:db8::7", 80, "a b/ü", "Host: other").unwrap();
        assert!(asked.starts_with("GET /a%20b/%C3%BC HTTP/1.1\r\n"), "{asked}");
        assert_eq!(asked.matches("Host:").count(), 1);
    }

    proptest! {
        #[test]
        fn no_answer_upsets_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = status(&bytes);
        }
    }
}

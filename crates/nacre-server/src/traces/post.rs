//! One request to the collector, and what its answer means by OTLP's rules.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nacre_wire::otlp::ExportTraceServiceResponse;
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::settings::Settings;
use crate::trust::{Hints, Trust};

/// What a collector that is not trusted asks of whoever set it.
pub const HINTS: Hints = Hints {
    no_list: "install the package ca-certificates, or name the authority's certificate by nacre.tracing.otlp.ca-file",
    authority: "name the authority's certificate by nacre.tracing.otlp.ca-file",
    name: "write the name that the certificate has in nacre.tracing.otlp.endpoint",
};

/// More of an answer is not read.
const ANSWER: usize = 64 * 1024;
/// A collector may ask for a longer pause; this is the longest it gets.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken, but for so many spans.
    Taken { rejected: u64, why: String },
    /// Not now.
    Later { after: Option<Duration>, why: String },
    /// Never.
    Refused { why: String },
}

/// Sends a body once.
pub async fn post(settings: &Settings, trust: &Trust, body: Bytes) -> Outcome {
    match timeout(settings.timeout, talk(settings, trust, body)).await {
        Ok(Ok((status, headers, body))) => judge(status, &headers, &body),
        Ok(Err(why)) => Outcome::Later { after: None, why },
        Err(_) => Outcome::Later { after: None, why: format!("no answer within {} ms", settings.timeout.as_millis()) },
    }
}

type Answer = (StatusCode, HeaderMap, Bytes);

async fn talk(settings: &Settings, trust: &Trust, body: Bytes) -> Result<Answer, String> {
    let to = &settings.endpoint;
    let stream = TcpStream::connect((&*to.host, to.port)).await.map_err(|error| error.to_string())?;
    if !to.tls {
        return exchange(stream, settings, body).await;
    }
    let stream = trust.secure(stream, &to.host).await.map_err(|refused| refused.to_string())?;
    exchange(stream, settings, body).await
}

async fn exchange<S>(stream: S, settings: &Settings, body: Bytes) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let to = &settings.endpoint;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&to.path)
        .header(header::HOST, &to.authority)
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::USER_AGENT, concat!("nacre/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    for (name, value) in &settings.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).map_err(|error| format!("a header cannot be sent: {error}"))?;
    // It ends with the answer, or when this future is dropped and with it the sender.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok((parts.status, parts.headers, body))
}

fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    if status.is_success() {
        let partial = ExportTraceServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success);
        let partial = partial.unwrap_or_default();
        return Outcome::Taken { rejected: partial.rejected_spans.max(0) as u64, why: short(&partial.error_message) };
    }
    let said = short(&String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).collect::<String>());
    let why = if said.is_empty() { format!("answered {status}") } else { format!("answered {status}: {said}") };
    match status.as_u16() {
        429 | 502 | 503 | 504 => Outcome::Later { after: pause(headers), why },
        _ => Outcome::Refused { why },
    }
}

/// `Retry-After`: seconds, or a date.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(asked.min(LONGEST_PAUSE))
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use nacre_wire::otlp::PartialSuccess;

    use super::*;

    fn judged(status: u16, retry: Option<&str>, body: &[u8]) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(retry) = retry {
            headers.insert(header::RETRY_AFTER, retry.parse().unwrap());
        }
        judge(StatusCode::from_u16(status).unwrap(), &headers, body)
    }

    #[test]
    fn only_the_answers_that_the_protocol_names_are_tried_again() {
        for status in [429, 502, 503, 504] {
            assert!(matches!(judged(status, None, b""), Outcome::Later { after: None, .. }), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert!(matches!(judged(status, None, b"no"), Outcome::Refused { .. }), "{status}");
        }
    }

    #[test]
    fn a_collector_says_how_long_to_wait() {
        let after = |retry: &str| match judged(503, Some(retry), b"") {
            Outcome::Later { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("999999"), Some(LONGEST_PAUSE));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn a_part_may_be_rejected() {
        let answer = |rejected_spans| {
            let partial_success = Some(PartialSuccess { rejected_spans, error_message: "too old".into() });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        };
        assert_eq!(judged(200, None, &answer(3)), Outcome::Taken { rejected: 3, why: "too old".into() });
        assert_eq!(judged(200, None, &answer(-1)), Outcome::Taken { rejected: 0, why: "too old".into() });
        assert_eq!(judged(202, None, b""), Outcome::Taken { rejected: 0, why: String::new() });
        assert_eq!(judged(200, None, b"{}"), Outcome::Taken { rejected: 0, why: String::new() });
    }
}

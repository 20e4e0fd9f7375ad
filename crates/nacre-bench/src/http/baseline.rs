//! A bare hyper server that answers every request with the same recorded bytes: what this machine can do at best with
//! the library that a server is made of.
//!
//! It runs in a process of its own (`nacre bench baseline-http`, hidden) so that its CPU time is its own. The recorded
//! answer comes on the standard input; when that ends, whoever started it is gone, and so is it.

use std::{convert::Infallible, io};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What is answered.
#[derive(Clone, Debug)]
struct Recorded {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The answer of head and body as they were recorded, without what hyper writes itself.
fn recorded(head: &[u8], body: Bytes) -> Option<Recorded> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse::<u16>().ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let own = ["date", "content-length", "transfer-encoding", "connection", "keep-alive"];
        let name = name.trim().to_ascii_lowercase();
        if !own.contains(&name.as_str()) {
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::from_str(value.trim()).ok()?);
        }
    }
    Some(Recorded { status: StatusCode::from_u16(status).ok()?, headers, body })
}

/// Serves for as long as the runtime lives.
pub async fn serve(listener: TcpListener, head: &[u8], body: Vec<u8>) -> io::Result<()> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the recorded answer cannot be read");
    let answer = recorded(head, body.into()).ok_or_else(wrong)?;
    let answer: &'static Recorded = Box::leak(Box::new(answer));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request: Request<Incoming>| async move {
                // The body of a request must be read, for the next one follows it.
                let _ = request.into_body().collect().await;
                let mut response = Response::new(Full::new(answer.body.clone()));
                *response.status_mut() = answer.status;
                *response.headers_mut() = answer.headers.clone();
                Ok::<_, Infallible>(response)
            });
            let _ = http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_head_is_answered_again_without_what_belongs_to_the_connection() {
        let head =
            b"HTTP/1.1 404 \r\nContent-Type: a/b\r\nDate: now\r\nContent-Length: 1\r\nVary: x\r\nVary: y\r\n\r\n";
        let answer = recorded(head, Bytes::from_static(b"!")).unwrap();
        assert_eq!(answer.status, 404);
        assert_eq!(answer.headers.len(), 3);
        assert_eq!(answer.headers.get_all("vary").iter().count(), 2);
        assert!(recorded(b"nonsense", Bytes::new()).is_none());
    }
}

//! The doors: listening sockets, and which protocol a new connection speaks.
//!
//! The main port answers HTTP/1, h2c with prior knowledge and gRPC alike; the first bytes decide. The gRPC port
//! (main + 1000) speaks HTTP/2 only; what else knocks there is told so and journalled, because "HTTP on 9848" is a
//! classic misconfiguration.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use nacre_model::{Cause, Event, Subject};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    grpc, http,
    long_line::LongLine,
    patience::{Patience, Patient},
    room::Seat,
};

/// The start of every HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a connection may stay silent before its first byte. Java gRPC clients speak at once; idle pools of 1.x clients
/// keep connections that have spoken before.
const FIRST_BYTE: Duration = Duration::from_secs(60);
/// How long an HTTP/1 connection may take for a head, the time since its last answer included.
const HEAD: Duration = Duration::from_secs(60);
/// `listen(2)` backlog: a restart brings all clients back within one second.
const BACKLOG: u32 = 4096;

/// Which door a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Main,
    Grpc,
}

/// Binds a port; the error names it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // A restarted server must get its port back while old connections are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket
        .bind(address)
        .and_then(|()| socket.listen(BACKLOG))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Accepts until the server drains.
pub async fn accept(app: Arc<App>, listener: TcpListener, door: Door) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.draining.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                // Out of file handles, or a connection that died in the queue: the listener itself is fine.
                tracing::warn!(%error, "accept failed");
                if is_out_of_files(&error) {
                    app.room.out_of_files(&app.clock, &app.journal);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                continue;
            }
        };
        let Some(seat) = app.room.seat(&app.clock, &app.journal).await else { continue };
        let app = app.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            serve(app, stream, peer, door, seat).await;
        });
    }
}

/// The process or the machine has no file handle left.
pub fn is_out_of_files(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Serves a connection to its end; its seat is free then.
async fn serve(app: Arc<App>, stream: TcpStream, peer: SocketAddr, door: Door, seat: Seat) {
    let mut first = [0u8; PREFACE.len()];
    let speaks = timeout(FIRST_BYTE, peek_enough(&stream, &mut first));
    let Some(Ok(Ok(seen))) = seat.silent(speaks).await else { return };
    let first = &first[..seen];
    if first.is_empty() {
        return;
    }
    if PREFACE.starts_with(first) || first.starts_with(PREFACE) {
        return grpc::serve_connection(app, stream, peer, Bytes::new()).await;
    }
    let http1 = first[0].is_ascii_uppercase();
    if door == Door::Grpc || !http1 {
        let first_bytes = first.iter().take(16).map(|b| std::ascii::escape_default(*b).to_string()).collect();
        let cause = Cause::UnknownProtocol { first_bytes };
        app.journal.record(Event::new(app.clock.now(), Subject::client(&peer.to_string()), cause));
        if !http1 {
            return;
        }
    }
    serve_http1(app, stream, peer, door).await;
}

/// Waits for the first bytes: at least one, and all of the preface if they begin like it, unless nothing more will come.
async fn peek_enough(stream: &TcpStream, first: &mut [u8; PREFACE.len()]) -> io::Result<usize> {
    loop {
        // Asked before the bytes are looked at: what was sent before the end is there then.
        let ended = stream.ready(Interest::READABLE).await?.is_read_closed();
        let seen = stream.peek(first).await?;
        let may_be_preface = PREFACE.starts_with(&first[..seen]);
        if seen == 0 || !may_be_preface || seen == PREFACE.len() || ended {
            return Ok(seen);
        }
        // A preface in pieces: peek returns at once with what is there, so give the rest a moment.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn serve_http1(app: Arc<App>, stream: TcpStream, peer: SocketAddr, door: Door) {
    let (app, from) = (&app, &http::Peer::from(peer));
    let answer = |request| async move {
        match door {
            Door::Main => http::serve(app, from, request).await,
            Door::Grpc => wrong_door(app).into_response(),
        }
    };
    if let Err(error) = converse(stream, app.settings.max_head, HEAD, &app.draining, answer).await {
        tracing::debug!(%peer, %error, "http connection ended");
    }
}

/// Serves HTTP/1 until either side ends it, a head takes longer than `patience`, or the server drains.
async fn converse<F>(
    stream: TcpStream,
    max_head: usize,
    patience: Duration,
    draining: &CancellationToken,
    answer: impl Fn(Request<Incoming>) -> F,
) -> hyper::Result<()>
where
    F: Future<Output = Response<Full<Bytes>>>,
{
    let patience = Patience::new(patience);
    let stream = LongLine::new(Patient::new(stream, Arc::clone(&patience)), max_head);
    let service = service_fn(|request| {
        patience.owes();
        let (answer, patience) = (&answer, &patience);
        async move {
            // Made here, where it stays: to move it costs as much as its size.
            let response = answer(request).await;
            patience.waits();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(max_head)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // In a set of its own: looked at when something in it happens, and not with each request.
    let mut breaks = FuturesUnordered::new();
    breaks.push(async {
        tokio::select! {
            () = draining.cancelled() => Break::Draining,
            () = patience.ends() => Break::Silent,
        }
    });
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        broken = breaks.select_next_some() => match broken {
            Break::Draining => connection.as_mut().graceful_shutdown(),
            Break::Silent => return Ok(()),
        },
    }
    tokio::select! {
        ended = connection => ended,
        () = patience.ends() => Ok(()),
    }
}

/// What ends an HTTP/1 connection besides the other side.
enum Break {
    Draining,
    /// No head for too long.
    Silent,
}

fn wrong_door(app: &App) -> http::reply::Reply {
    let text = format!(
        "This port speaks gRPC (HTTP/2). HTTP clients of Nacos use the main port, {}.\n",
        app.settings.main_port
    );
    http::reply::Reply::text(text).status(400)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A connection whose client has said `said`, served with so much patience; the client, and the server's end.
    async fn conversation(
        said: &[u8],
        patience: Duration,
        handling: Duration,
    ) -> (TcpStream, tokio::task::JoinHandle<hyper::Result<()>>) {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(said).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let answer = move |_| async move {
            tokio::time::sleep(handling).await;
            Response::new(Full::from("done"))
        };
        let served =
            tokio::spawn(async move { converse(server, 8_192, patience, &CancellationToken::new(), answer).await });
        (client, served)
    }

    const LITTLE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn half_a_head_and_nothing_at_all_are_not_waited_for_for_ever() {
        for said in ["", "GET / HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\n\r\n"] {
            let (mut client, served) = conversation(said.as_bytes(), LITTLE, Duration::ZERO).await;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.ends_with("done"), said.ends_with("\r\n\r\n"), "{said:?}");
            served.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_head_that_trickles_in_is_not_waited_for_for_ever() {
        let (mut client, served) = conversation(b"GET / HTTP/1.1\r\n", LITTLE, Duration::ZERO).await;
        while !served.is_finished() {
            // Fails once the connection is gone.
            let _ = client.write_all(b"a").await;
            tokio::time::sleep(LITTLE / 10).await;
        }
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_than_a_head() {
        let (mut client, _) = conversation(b"GET / HTTP/1.1\r\n\r\n", LITTLE, LITTLE * 4).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
    }

    #[tokio::test]
    async fn a_preface_that_ends_half_way_is_not_waited_for() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let first_seen = async |said: &'static [u8]| {
            let mut client = TcpStream::connect(address).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.write_all(said).await.unwrap();
            client.shutdown().await.unwrap();
            let mut first = [0; PREFACE.len()];
            let seen = timeout(FIRST_BYTE / 2, peek_enough(&server, &mut first)).await;
            seen.expect("waits for what will not come").unwrap()
        };
        assert_eq!(first_seen(b"PRI * HTTP").await, 10);
        assert_eq!(first_seen(PREFACE).await, PREFACE.len());
        assert_eq!(first_seen(b"").await, 0);
        assert_eq!(first_seen(b"GET / HTTP/1.1\r\n\r\n").await, 18);
    }
}

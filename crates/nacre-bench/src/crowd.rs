//! Many registered gRPC connections that stay: opened side by side, kept by one thread.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpSocket, task::JoinSet};

use crate::{error::Error, grpc::client::Grpc};

/// Connections that are being opened at one time.
const AT_ONCE: usize = 32;
/// A source address of the loopback network has ports for somewhat more than so many.
const A_SOURCE: usize = 20_000;

/// Lets this process have so many sockets, or says that it may not.
pub fn room_for(sockets: u64) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = sockets + 100;
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    if limit.maximum.is_some_and(|most| most < wanted) || setrlimit(Resource::Nofile, raised).is_err() {
        let most = limit.maximum.unwrap_or_default();
        return Err(Error::Usage(format!("{sockets} connections need more open files than the {most} allowed here")));
    }
    Ok(())
}

/// A TCP connection; number `n` of a crowd that may be larger than one address has ports.
pub async fn socket(to: SocketAddr, n: usize) -> io::Result<tokio::net::TcpStream> {
    let socket = if to.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    if n >= A_SOURCE && to.ip().is_loopback() && to.is_ipv4() {
        let last = u8::try_from(n / A_SOURCE + 1).unwrap_or(u8::MAX);
        socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0))?;
    }
    socket.connect(to).await
}

/// Opens connections number `from` to `to`; must run in a `LocalSet`.
pub async fn open(
    address: SocketAddr,
    authority: &str,
    namespace: &str,
    numbers: std::ops::Range<usize>,
    mut opened: impl FnMut(usize),
) -> Result<Vec<Grpc>, Error> {
    let failed = |n: usize, error: io::Error| Error::Failed(format!("connection {n} cannot be opened: {error}"));
    let mut crowd = Vec::with_capacity(numbers.len());
    let mut opening = JoinSet::new();
    let mut waiting = numbers;
    loop {
        while opening.len() < AT_ONCE
            && let Some(n) = waiting.next()
        {
            let (authority, namespace) = (authority.to_owned(), namespace.to_owned());
            opening.spawn_local(async move {
                let stream = socket(address, n).await.map_err(|error| (n, error))?;
                Grpc::connect_from(stream, &authority, &namespace).await.map_err(|error| (n, error))
            });
        }
        match opening.join_next().await {
            None => return Ok(crowd),
            Some(Ok(Ok(connection))) => crowd.push(connection),
            Some(Ok(Err((n, error)))) => return Err(failed(n, error)),
            Some(Err(error)) => return Err(Error::Failed(error.to_string())),
        }
        opened(crowd.len());
    }
}

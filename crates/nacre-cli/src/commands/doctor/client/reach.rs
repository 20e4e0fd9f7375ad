//! TCP: whether a port answers, and how it does not.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::super::step::{State, Step};

/// As long as official clients wait for a connection.
const PATIENCE: Duration = Duration::from_secs(3);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// What came of dialling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Our own address of the connection, and how long it took.
    Open {
        local: SocketAddr,
        took: Duration,
    },
    Refused,
    TimedOut,
    /// A router or this machine says that there is no way.
    NoWay(String),
    Failed(String),
}

/// A port that answers.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

pub async fn dial(to: SocketAddr) -> Reached {
    let begun = Instant::now();
    match timeout(PATIENCE, TcpStream::connect(to)).await {
        Err(_) => Reached::TimedOut,
        Ok(Ok(stream)) => match stream.local_addr() {
            Ok(local) => Reached::Open { local, took: begun.elapsed() },
            Err(error) => Reached::Failed(error.to_string()),
        },
        Ok(Err(error)) => match error.kind() {
            ErrorKind::ConnectionRefused => Reached::Refused,
            ErrorKind::TimedOut => Reached::TimedOut,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => {
                Reached::NoWay(error.to_string())
            }
            _ => Reached::Failed(error.to_string()),
        },
    }
}

impl Reached {
    fn words(&self) -> String {
        match self {
            Self::Open { took, .. } => format!("connected in {:.1} ms", took.as_secs_f64() * 1000.0),
            Self::Refused => "refused".to_owned(),
            Self::TimedOut => format!("no answer within {} s", PATIENCE.as_secs()),
            Self::NoWay(why) => format!("unreachable ({why})"),
            Self::Failed(why) => why.clone(),
        }
    }

    /// What it means that a port does not answer.
    pub fn meaning(&self) -> &'static str {
        match self {
            Self::Open { .. } => "",
            Self::Refused => {
                "The machine answers, but nothing listens on that port there, or a firewall rejects the connection in its name."
            }
            Self::TimedOut => {
                "Packets are dropped without a word: a firewall or security group in between, or the address belongs to no \
                 machine that runs."
            }
            Self::NoWay(_) => "There is no route from here to that address, or a firewall says so.",
            Self::Failed(_) => "",
        }
    }

    pub const fn code(&self, grpc: bool) -> &'static str {
        match (self, grpc) {
            (Self::Open { .. }, _) => "",
            (Self::Refused, false) => "PATH-MAIN-REFUSED",
            (Self::TimedOut, false) => "PATH-MAIN-FILTERED",
            (Self::NoWay(_), false) => "PATH-MAIN-NO-ROUTE",
            (Self::Failed(_), false) => "PATH-MAIN-FAILED",
            (Self::Refused, true) => "PATH-GRPC-PORT-REFUSED",
            (Self::TimedOut, true) => "PATH-GRPC-PORT-FILTERED",
            (Self::NoWay(_), true) => "PATH-GRPC-PORT-NO-ROUTE",
            (Self::Failed(_), true) => "PATH-GRPC-PORT-FAILED",
        }
    }
}

/// Dials every address; the step, the first that answers, and the worst that did not.
pub async fn all(id: &'static str, ips: &[IpAddr], port: u16) -> (Step, Option<Open>, Option<Reached>) {
    let targets: Vec<SocketAddr> = ips.iter().take(ADDRESSES).map(|ip| SocketAddr::new(*ip, port)).collect();
    let mut dials = Vec::new();
    for to in &targets {
        dials.push(tokio::spawn(dial(*to)));
    }
    let mut results = Vec::new();
    for (to, dial) in targets.into_iter().zip(dials) {
        results.push((to, dial.await.unwrap_or_else(|error| Reached::Failed(error.to_string()))));
    }
    let open = results.iter().find_map(|(peer, reached)| match reached {
        Reached::Open { local, .. } => Some(Open { peer: *peer, local: *local }),
        _ => None,
    });
    let closed = results.iter().find(|(_, reached)| !matches!(reached, Reached::Open { .. }));
    let title: Vec<String> = results.iter().map(|(to, reached)| format!("{to} {}", reached.words())).collect();
    let figures: Vec<_> =
        results.iter().map(|(to, reached)| json!({"address": to.to_string(), "result": reached.words()})).collect();
    let grpc = id == "grpc-port";
    let step = match (open, closed) {
        (Some(_), None) => Step::ok(id, title.join("; ")),
        (Some(_), Some((to, reached))) => Step::warn(id, "PATH-ADDRESS-DEAD", title.join("; "))
            .means(format!(
                "Not every address of the name answers on port {port}. A client that tries {} first waits or fails before it \
                 tries another. {}",
                to.ip(),
                reached.meaning()
            ))
            .remedy(if to.is_ipv6() {
                "take the AAAA record away, or let the server listen on IPv6; Java clients: -Djava.net.preferIPv4Stack=true"
            } else {
                "take the dead address out of DNS, or start the server there"
            }),
        (None, Some((_, reached))) => Step { state: State::Fail, code: reached.code(grpc), ..Step::ok(id, title.join("; ")) }
            .means(reached.meaning()),
        (None, None) => Step::fail(id, "PATH-NAME-UNKNOWN", "there is no address to dial"),
    };
    (step.figure("dialled", figures), open, closed.map(|(_, reached)| reached.clone()))
}

/// The step for the main port, with what to do.
pub async fn main_port(ips: &[IpAddr], port: u16) -> (Step, Option<Open>) {
    let (step, open, closed) = all("tcp", ips, port).await;
    if open.is_some() {
        return (step, open);
    }
    let step = match closed {
        Some(Reached::Refused) => step
            .remedy(format!("on the server's machine: ss -ltn | grep :{port}; a server that listens on 127.0.0.1 only is not reached from elsewhere (nacre.listen, nacos.inetutils.ip-address)"))
            .remedy(format!("docker: -p {port}:{port} -p {0}:{0}; kubernetes: the Service needs both ports", port.wrapping_add(1000))),
        _ => step
            .remedy(format!("open TCP {port} and {} from this machine to the server in every firewall and security group on the way", port.wrapping_add(1000)))
            .remedy("check that the address is still the server's"),
    };
    (step, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_open_port_and_a_closed_one_are_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        assert!(matches!(dial(at).await, Reached::Open { local, .. } if local.ip().is_loopback()));
        drop(listener);
        assert_eq!(dial(at).await, Reached::Refused);
        let (step, open) = main_port(&[at.ip()], at.port()).await;
        assert!(open.is_none());
        assert_eq!((step.code, step.state), ("PATH-MAIN-REFUSED", State::Fail));
    }
}

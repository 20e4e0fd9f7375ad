//! Whom the load is sent to, and whether it may be.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::error::Error;

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without brackets.
    pub host: String,
    pub port: u16,
    /// `/nacos`, or `""` for none.
    pub context: String,
}

impl Endpoint {
    /// `[http://]host[:port][/context]`, with Nacos's defaults.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: write http://host:port");
        let rest = text.trim().strip_prefix("http://").unwrap_or_else(|| text.trim());
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (authority, 8848),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['@', '/', ' ']) {
            return Err(wrong());
        }
        let path = path.trim_end_matches('/');
        let context = if path.is_empty() { "/nacos".to_owned() } else { format!("/{path}") };
        Ok(Self { host: host.to_owned(), port, context })
    }

    /// Host and port as the `Host` header has them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The door for HTTP.
    pub fn http(&self) -> Result<SocketAddr, Error> {
        self.resolve(self.port)
    }

    /// The door for gRPC: 1000 above, as every Nacos has it.
    pub fn grpc(&self) -> Result<SocketAddr, Error> {
        let port = self.port.checked_add(1000);
        self.resolve(port.ok_or_else(|| Error::Usage(format!("there is no port 1000 above {}", self.port)))?)
    }

    fn resolve(&self, port: u16) -> Result<SocketAddr, Error> {
        let unreachable = |why: String| Error::Unreachable { address: self.authority(), why };
        let mut found = (self.host.as_str(), port).to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
        found.next().ok_or_else(|| unreachable("the name has no address".to_owned()))
    }

    /// Load goes to this machine unless whoever asks says that the server is theirs.
    pub fn allow(&self, owned: bool) -> Result<(), Error> {
        let address = self.http()?;
        if owned || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{} is not on this machine. This tool sends all the load it can and writes configs and instances; for a server \
             that is yours and serves nobody else, add --i-own-this-server",
            self.authority()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_nacos_defaults() {
        let shown = |text: &str| {
            let at = Endpoint::parse(text).unwrap();
            format!("{}{}", at.authority(), at.context)
        };
        assert_eq!(shown("127.0.0.1"), "127.0.0.1:8848/nacos");
        assert_eq!(shown("http://h:1/other/"), "h:1/other");
        assert_eq!(shown("[::1]:7"), "[::1]:7/nacos");
        for text in ["", "http://", "h:port", "u@h", ":1"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loaded_unless_the_server_is_ones_own() {
        let at = |text: &str| Endpoint::parse(text).unwrap();
        assert!(at("127.0.0.9:1").allow(false).is_ok() && at("[::1]:1").allow(false).is_ok());
        let Err(Error::Usage(why)) = at("192.0.2.1:1").allow(false) else { panic!() };
        assert!(why.contains("--i-own-this-server"));
        assert!(at("192.0.2.1:1").allow(true).is_ok());
    }
}

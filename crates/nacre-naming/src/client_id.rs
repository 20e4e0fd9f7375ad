//! Ids of clients, kept in parts so that an `ip:port` client costs no text of its own.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use nacre_model::Label;

/// Who publishes or subscribes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientId {
    /// A gRPC connection: `<epoch ms>_<remote ip>_<remote port>`; never contains `#`.
    Connection(Arc<str>),
    /// `ip:port#true` (HTTP publishers and UDP subscribers) or `ip:port#false` (persistent instances).
    IpPort { ip: Arc<str>, port: i32, ephemeral: bool },
}

impl ClientId {
    pub fn connection(id: &str) -> Self {
        Self::Connection(id.into())
    }

    pub fn ephemeral(ip: &str, port: i32) -> Self {
        Self::IpPort { ip: ip.into(), port, ephemeral: true }
    }

    pub fn persistent(ip: &str, port: i32) -> Self {
        Self::IpPort { ip: ip.into(), port, ephemeral: false }
    }

    /// Reads an id as tools write it. The ip is everything before the last colon (IPv6). Text with `#` that is no
    /// `ip:port#true|false` names nobody.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((address, flag)) = text.split_once('#') else { return Some(Self::connection(text)) };
        let ephemeral = match flag {
            "true" => true,
            "false" => false,
            _ => return None,
        };
        let (ip, port) = address.rsplit_once(':')?;
        let number = port.parse::<i32>().ok()?;
        // One spelling per id: "080" and "+80" are not port 80's id.
        (number.to_string() == port).then(|| Self::IpPort { ip: ip.into(), port: number, ephemeral })
    }

    /// False only for the clients of persistent instances.
    pub fn is_ephemeral(&self) -> bool {
        !matches!(self, Self::IpPort { ephemeral: false, .. })
    }

    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Connection(_))
    }
}

impl From<&ClientId> for Label {
    fn from(id: &ClientId) -> Self {
        match id {
            ClientId::Connection(id) => Self::from(id),
            ClientId::IpPort { ip, port, ephemeral } => Self::client(ip, *port, *ephemeral),
        }
    }
}

impl Hash for ClientId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self as &dyn AnyId).hash(state);
    }
}

/// A borrowed `ip:port#…` id: look-ups of the beat path allocate nothing.
#[derive(Clone, Copy)]
pub(crate) struct Address<'a> {
    pub ip: &'a str,
    pub port: i32,
    pub ephemeral: bool,
}

/// Owned and borrowed ids, as keys of one table.
pub(crate) trait AnyId {
    fn parts(&self) -> Parts<'_>;
}

#[derive(PartialEq, Eq)]
pub(crate) enum Parts<'a> {
    Connection(&'a str),
    Address(&'a str, i32, bool),
}

impl AnyId for ClientId {
    fn parts(&self) -> Parts<'_> {
        match self {
            Self::Connection(id) => Parts::Connection(id),
            Self::IpPort { ip, port, ephemeral } => Parts::Address(ip, *port, *ephemeral),
        }
    }
}

impl AnyId for Address<'_> {
    fn parts(&self) -> Parts<'_> {
        Parts::Address(self.ip, self.port, self.ephemeral)
    }
}

impl PartialEq for dyn AnyId + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn AnyId + '_ {}

impl Hash for dyn AnyId + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.parts() {
            Parts::Connection(id) => {
                state.write_u8(0);
                id.hash(state);
            }
            Parts::Address(ip, port, ephemeral) => {
                state.write_u8(if ephemeral { 1 } else { 2 });
                ip.hash(state);
                state.write_i32(port);
            }
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(id) => f.write_str(id),
            Self::IpPort { ip, port, ephemeral } => write!(f, "{ip}:{port}#{ephemeral}"),
        }
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_the_formats_that_tools_print() {
        for text in ["10.0.0.1:80#true", "10.0.0.1:80#false", "2001:db8::7:80#true", "[::1]:80#true", ":0#true"] {
            assert_eq!(ClientId::parse(text).map(|id| id.to_string()).as_deref(), Some(text));
        }
        let connection = ClientId::parse("1700000000000_10.0.0.1_50000");
        assert_eq!(connection, Some(ClientId::connection("1700000000000_10.0.0.1_50000")));
    }

    #[test]
    fn text_that_is_no_id_names_nobody() {
        for text in ["10.0.0.1#true", "10.0.0.1:x#true", "10.0.0.1:080#true", "10.0.0.1:80#yes", "#", "a:1#true#"] {
            assert_eq!(ClientId::parse(text), None, "{text}");
        }
    }
}

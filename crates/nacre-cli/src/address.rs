//! The address of a server as people write it.

use std::fmt;

const DEFAULT_PORT: u16 = 8848;
/// Behind https there is a proxy, as a rule.
const DEFAULT_TLS_PORT: u16 = 443;
const DEFAULT_CONTEXT: &str = "/nacos";

/// Where a server's HTTP API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without brackets.
    pub host: String,
    pub port: u16,
    /// `https`.
    pub tls: bool,
    /// `/nacos`, or `""` for none.
    pub context: String,
}

impl Address {
    /// `http://host:port/context` or `https://…`, any part but the host left out. Without a context in the address `/nacos`
    /// is meant; without a port 8848, or 443 of https.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, _)) => {
                return Err(format!("{text}: {scheme} is not an address of a server; write http://host:port"));
            }
            None => (false, text),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, String::new()),
        };
        if authority.contains('@') {
            return Err("the address holds a login; give it with --username and --password".to_owned());
        }
        let (host, port) = host_and_port(authority).ok_or_else(|| format!("{text}: write http://host:port"))?;
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let context = if path.is_empty() { DEFAULT_CONTEXT.to_owned() } else { path.to_owned() };
        let port = port.unwrap_or(if tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT });
        Ok(Self { host, port, tls, context })
    }

    /// Host and port as the `Host` header has them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.context)
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
pub fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host.to_owned(), Some(port.parse().ok()?))),
            None if after.is_empty() => Some((host.to_owned(), None)),
            None => None,
        };
    }
    let (host, port) = match text.split_once(':') {
        // More than one colon without brackets: an IPv6 address whose end may or may not be a port.
        Some((_, rest)) if rest.contains(':') => (text, None),
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    (!host.is_empty() && host.chars().all(plain)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text).unwrap().to_string()
    }

    #[test]
    fn parts_may_be_left_out() {
        for (text, full) in [
            ("http://127.0.0.1:8848/nacos", "http://127.0.0.1:8848/nacos"),
            ("127.0.0.1", "http://127.0.0.1:8848/nacos"),
            ("nacos.example.org:80", "http://nacos.example.org:80/nacos"),
            ("HTTP://h/", "http://h:8848/nacos"),
            ("http://h:1/other/ctx/", "http://h:1/other/ctx"),
            ("[::1]:8849", "http://[::1]:8849/nacos"),
            ("[::1]", "http://[::1]:8848/nacos"),
            ("::1", "http://[::1]:8848/nacos"),
            ("https://nacos.example.org", "https://nacos.example.org:443/nacos"),
            ("HTTPS://h:8443/ctx", "https://h:8443/ctx"),
        ] {
            assert_eq!(shown(text), full, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        for text in ["", "http://", "ftp://h", "https://", "http://u:p@h", "h:port", "h:70000", "[::1", "[x]:1", "a b"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,40}") {
            let _ = Address::parse(&text);
        }
    }
}

//! `conf/cluster.conf` and `nacos.member.list`: who belongs to a cluster. Only read here; nothing acts on it yet.
//!
//! One member a line, or several with commas between: `host`, `host:port`, `ipv4:port`, `[ipv6]:port`, also an IPv6
//! address without brackets and port. `#` begins a comment. What follows a `?` (`?raft_port=7848&weight=2`, from examples
//! of Nacos that no version since 1.3 reads) is passed over and told. Names are compared as they are written.
//!
//! A line that is wrong is told with its number and left out; Java Nacos drops the whole list for one of them.

use std::{
    collections::HashSet,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use nacre_model::limits;

/// One member, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Something to be said about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// From 1.
    pub line: u32,
    pub text: String,
}

/// A list that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// In order, each once.
    pub members: Vec<Member>,
    pub remarks: Vec<Remark>,
}

/// Reads a list. `port` is that of members that name none.
pub fn parse(text: &str, port: u16) -> Members {
    let mut read = Members::default();
    let mut known = HashSet::new();
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    for (line, content) in (1..).zip(text.split('\n')) {
        let content = content.split('#').next().unwrap_or_default();
        for entry in content.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let remark = match member(entry, port) {
                Ok((member, passed_over)) => {
                    if read.members.len() as u64 >= limits::CLUSTER_MEMBERS {
                        let max = limits::CLUSTER_MEMBERS;
                        read.remarks
                            .push(Remark { line, text: format!("more than {max} members; the rest is left out") });
                        return read;
                    }
                    if known.insert(member.clone()) {
                        read.members.push(member);
                        passed_over.map(|what| format!("\"?{}\" has no effect", shown(what)))
                    } else {
                        Some(format!("{member} is named before"))
                    }
                }
                Err(why) => Some(format!("\"{}\" is no member and left out: {why}", shown(entry))),
            };
            // As many remarks as members: a file of another kind must not fill the log.
            if let Some(text) = remark.filter(|_| (read.remarks.len() as u64) < limits::CLUSTER_MEMBERS) {
                read.remarks.push(Remark { line, text });
            }
        }
    }
    read
}

/// A member, and the parameters behind it.
fn member(entry: &str, default_port: u16) -> Result<(Member, Option<&str>), String> {
    let (address, parameters) = match entry.split_once('?') {
        Some((address, parameters)) => (address.trim_end(), Some(parameters)),
        None => (entry, None),
    };
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, behind) = rest.split_once(']').ok_or("the bracket is not closed")?;
        let port = match behind {
            "" => None,
            _ => Some(behind.strip_prefix(':').ok_or("only :port may follow the bracket")?),
        };
        (ipv6(host).ok_or("in brackets stands no IPv6 address")?, port)
    } else if let Some(host) = ipv6(address) {
        (host, None)
    } else {
        match address.split_once(':') {
            Some((host, port)) => (name(host)?, Some(port)),
            None => (name(address)?, None),
        }
    };
    let port = match port {
        None => default_port,
        // No sign: `+8848` is a number to Rust only.
        Some(port) => port
            .parse()
            .ok()
            .filter(|number| *number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or("the port must be a number from 1 to 65535")?,
    };
    Ok((Member { host: host.to_owned(), port }, parameters))
}

/// An IPv6 address, perhaps with a zone (`fe80::1%eth0`).
fn ipv6(text: &str) -> Option<&str> {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let good_zone = !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    (good_zone && address.parse::<Ipv6Addr>().is_ok()).then_some(text)
}

/// A host name or an IPv4 address.
fn name(text: &str) -> Result<&str, &'static str> {
    const LONGEST: usize = 253;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() {
        return Err("there is no host");
    }
    if text.len() > LONGEST || text.split('.').any(|label| label.len() > 63) {
        return Err("the name is too long");
    }
    if !text.bytes().all(letter) || text.trim_end_matches('.').split('.').any(str::is_empty) {
        return Err("a host name has letters, digits, `-` and `_`, with dots between");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.parse::<Ipv4Addr>().is_err() {
        return Err("this is no IPv4 address");
    }
    Ok(text)
}

/// As much of somebody's text as a log may hold.
fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let cut = text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end]);
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(text: &str) -> Vec<String> {
        let read = parse(text, 8848);
        assert_eq!(read.remarks, [], "{text:?}");
        read.members.iter().map(ToString::to_string).collect()
    }

    fn wrong(text: &str) -> String {
        let read = parse(text, 8848);
        assert_eq!((read.members.len(), read.remarks.len()), (0, 1), "{text:?}: {read:?}");
        read.remarks[0].text.clone()
    }

    #[test]
    fn every_form_of_a_member_is_read() {
        assert_eq!(members("192.0.2.1\n192.0.2.2:8849\n"), ["192.0.2.1:8848", "192.0.2.2:8849"]);
        assert_eq!(
            members("[2001:db8::1]:8849\n[2001:db8::2]\n2001:db8::3"),
            ["[2001:db8::1]:8849", "[2001:db8::2]:8848", "[2001:db8::3]:8848"]
        );
        assert_eq!(members("[fe80::1%eth0]:8848"), ["[fe80::1%eth0]:8848"]);
        let names = "nacos-0.nacos.ns.svc.cluster.local.:8848, Node_1 ,n2:1";
        assert_eq!(members(names), ["nacos-0.nacos.ns.svc.cluster.local.:8848", "Node_1:8848", "n2:1"]);
    }

    #[test]
    fn comments_blank_lines_and_line_ends_do_not_matter() {
        let text =
            "\u{FEFF}#2026-11-25T10:00\r\n\r\n  \t \r\n 192.0.2.1:8848 # first\r\n#192.0.2.9\r\n,,192.0.2.2,\r\n";
        assert_eq!(members(text), ["192.0.2.1:8848", "192.0.2.2:8848"]);
        assert_eq!(members(""), [""; 0]);
    }

    #[test]
    fn parameters_are_passed_over_and_told() {
        let read = parse("192.0.2.1:8848?raft_port=7848&weight=2\n192.0.2.2?site=x", 8848);
        let all: Vec<String> = read.members.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["192.0.2.1:8848", "192.0.2.2:8848"]);
        assert_eq!(read.remarks[0].text, "\"?raft_port=7848&weight=2\" has no effect");
        assert_eq!(read.remarks[1].line, 2);
    }

    #[test]
    fn wrong_lines_are_named_and_stop_nothing() {
        let read = parse("192.0.2.1\n192.0.2.256\n\n192.0.2.1:8848\nip=192.0.2.2\n192.0.2.3:port\n192.0.2.4", 8848);
        assert_eq!(read.members.len(), 2);
        assert_eq!(read.remarks.iter().map(|remark| remark.line).collect::<Vec<_>>(), [2, 4, 5, 6]);
        assert!(read.remarks[1].text.contains("named before"), "{read:?}");
        for (line, why) in [
            ("192.0.2.1:0", "port"),
            ("192.0.2.1:65536", "port"),
            ("192.0.2.1:+80", "port"),
            ("192.0.2.1:", "port"),
            (":8848", "no host"),
            ("[::1", "bracket"),
            ("[::1]8848", "bracket"),
            ("[192.0.2.1]:80", "IPv6"),
            ("http://192.0.2.1:8848", "port"),
            ("192.0.2.1 192.0.2.2", "host name"),
            ("192.0.2.1，192.0.2.2", "host name"),
            ("a..b", "host name"),
            ("1.2.3", "IPv4"),
            ("fe80::1%", "port"),
        ] {
            assert!(wrong(line).contains(why), "{line}: {}", wrong(line));
        }
        assert!(wrong(&"a".repeat(64)).contains("too long") && wrong(&"a.".repeat(200)).len() < 200);
    }

    #[test]
    fn a_list_without_end_is_cut() {
        let max = limits::CLUSTER_MEMBERS as usize;
        let many: String = (0..2 * max).map(|n| format!("h{n}\n")).collect();
        let read = parse(&many, 1);
        assert_eq!((read.members.len(), read.remarks.len()), (max, 1));
        assert_eq!(parse(&"!\n".repeat(2 * max), 1).remarks.len(), max);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "([\\[\\]:%.,#?=\n\r 0-9a-f]|\\PC){0,80}") {
            let _ = parse(&text, 8848);
        }

        #[test]
        fn members_read_back(text in "([\\[\\]:%.,#?=\n 0-9a-f]){0,60}") {
            let read = parse(&text, 8848);
            let written: Vec<String> = read.members.iter().map(ToString::to_string).collect();
            let again = parse(&written.join("\n"), 1);
            prop_assert_eq!(again, Members { members: read.members, remarks: Vec::new() });
        }

        #[test]
        fn addresses_are_told_from_ports(ip: std::net::IpAddr, port in 1..=u16::MAX, spelled: bool) {
            let text = match spelled {
                true => std::net::SocketAddr::new(ip, port).to_string(),
                false => ip.to_string(),
            };
            let read = parse(&text, 7);
            let port = if spelled { port } else { 7 };
            prop_assert_eq!(read, Members { members: vec![Member { host: ip.to_string(), port }], remarks: Vec::new() });
        }
    }
}

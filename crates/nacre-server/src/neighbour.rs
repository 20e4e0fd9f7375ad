//! Who holds a port that we want, and as what: several servers on one machine whose main ports are neighbours take each
//! other's ports at the classic distances. Looked at only when a port is taken.

use std::{collections::HashMap, fs};

use crate::machine::file;

/// Main ports this far apart never meet.
const APART: u16 = 10;
/// Ports that a server of the Nacos kind takes beside its main port.
const OFFSETS: [(i32, &str); 3] = [(1000, "gRPC port"), (1001, "cluster port"), (-1000, "Raft port")];

/// Why `port`, our main port plus `offset`, cannot be had, as far as this machine tells; `None` when it does not.
pub fn explain(port: u16, main: u16, offset: u16) -> Option<String> {
    let sockets = listening();
    let inodes: Vec<u64> = sockets.iter().filter(|(_, at)| **at == port).map(|(inode, _)| *inode).collect();
    let (pid, name, mut ports) = holder(&inodes, &sockets)?;
    ports.sort_unstable();
    ports.dedup();
    let ours = if port == main { String::new() } else { format!(" is our gRPC port (main {main} + {offset}) and") };
    let whose = match role(port, &ports) {
        Some((role, its_main, distance)) => format!(
            "{ours} is the {role} of {name} (pid {pid}, main {its_main} {distance}); choose main ports at least {APART} apart"
        ),
        None => format!("{ours} is held by {name} (pid {pid})"),
    };
    Some(format!("port {port}{whose}"))
}

/// What the port is to a server that listens on all of these: its role, the main port, and the distance.
fn role(port: u16, ports: &[u16]) -> Option<(&'static str, u16, String)> {
    let has = |at: i32| u16::try_from(at).is_ok_and(|at| ports.contains(&at));
    OFFSETS.into_iter().find_map(|(offset, role)| {
        let main = i32::from(port) - offset;
        // Below our port by a thousand there is a main port as well when ours is one: two distances decide.
        let fits = if offset > 0 { has(main) } else { has(main) && has(main + 1000) };
        let sign = if offset < 0 { '-' } else { '+' };
        fits.then(|| (role, u16::try_from(main).unwrap_or(0), format!("{sign} {}", offset.abs())))
    })
}

/// Ports that are listened on, by the inode of the socket.
fn listening() -> HashMap<u64, u16> {
    let tables = file("/proc/net/tcp") + &file("/proc/net/tcp6");
    tables.lines().filter_map(listener).collect()
}

/// `  0: 0100007F:2290 00000000:0000 0A ... inode`: the inode and port of a socket that listens.
fn listener(line: &str) -> Option<(u64, u16)> {
    let mut fields = line.split_whitespace();
    let (_, local, _, state) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    let inode = fields.nth(5)?.parse().ok()?;
    (state == "0A").then_some((inode, port))
}

/// The process that has one of the sockets: its number, name, and all ports it listens on.
fn holder(inodes: &[u64], sockets: &HashMap<u64, u16>) -> Option<(u32, String, Vec<u16>)> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in numbers {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let own: Vec<u64> =
            open.flatten().filter_map(|entry| inode(fs::read_link(entry.path()).ok()?.to_str()?)).collect();
        if own.iter().any(|inode| inodes.contains(inode)) {
            let ports = own.iter().filter_map(|inode| sockets.get(inode).copied()).collect();
            return Some((pid, file(&format!("/proc/{pid}/comm")).trim().to_owned(), ports));
        }
    }
    None
}

/// Of `socket:[12345]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_are_told_by_the_others_that_their_server_has() {
        let java = [7848, 8848, 9848, 9849];
        assert_eq!(role(9849, &java), Some(("cluster port", 8848, "+ 1001".to_owned())));
        assert_eq!(role(9848, &java), Some(("gRPC port", 8848, "+ 1000".to_owned())));
        assert_eq!(role(7848, &java), Some(("Raft port", 8848, "- 1000".to_owned())));
        assert_eq!(role(8848, &[8848, 9848]), None, "its main port");
        assert_eq!(role(80, &[80]), None);
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line =
            "  12: 0100007F:2290 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(listener(line), Some((4711, 0x2290)));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(inode("socket:[4711]"), Some(4711));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_holder_of_a_port_is_named() {
        let held = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = held.local_addr().expect("address").port();
        let text = explain(port, port.wrapping_sub(1000), 1000).expect("found");
        assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
        assert!(text.contains("is our gRPC port"), "{text}");
    }
}

//! This machine: its name, its addresses, and which of them an SDK would register.

use std::net::{IpAddr, Ipv4Addr};

use super::super::step::{State, Step};

const ID: &str = "here";

/// The step about this machine. `dials` is the address from which the server is dialled.
pub fn step(dials: Option<IpAddr>) -> Step {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let addresses = local(&std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default());
    let container = container();
    judge(&name, &addresses, container, dials)
}

fn judge(name: &str, addresses: &[Ipv4Addr], container: bool, dials: Option<IpAddr>) -> Step {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let from = dials.map(|ip| format!(", dials from {ip}")).unwrap_or_default();
    let title = format!("{name}{}{from}", if container { " (in a container)" } else { "" });
    let step = Step::ok(ID, title)
        .figure("host", name)
        .figure("addresses", shown.clone())
        .figure("container", container)
        .figure("dialsFrom", dials.map(|ip| ip.to_string()));
    let bridged = matches!(dials, Some(IpAddr::V4(ip)) if ip.octets()[0] == 172 && (16..32).contains(&ip.octets()[1]));
    if container && bridged {
        return Step { state: State::Note, ..step }.means(
            "The address belongs to a bridge of the container's host: other machines cannot reach it as a rule. An SDK that registers it \
             gives consumers an address that leads nowhere: set spring.cloud.nacos.discovery.ip (or the SDK's ip), or use the host's network. \
             --from-host lets the server try.",
        );
    }
    if addresses.len() > 1 {
        return Step { state: State::Note, ..step }.means(format!(
            "SDKs register one of {}: which one depends on the order of interfaces. Name it (spring.cloud.nacos.discovery.ip or \
             preferred-networks) where it matters; --from-host lets the server try the one above.",
            shown.join(", ")
        ));
    }
    step
}

fn container() -> bool {
    std::path::Path::new("/.dockerenv").exists()
        || std::path::Path::new("/run/.containerenv").exists()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// Addresses of this machine that others may reach, from the kernel's routing table.
fn local(fib: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in fib.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(ip) = last.filter(|ip| !ip.is_loopback())
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIB: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n     \
                       |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 172.17.0.1\n        /32 host LOCAL\nLocal:\n     |-- 10.0.0.7\n        /32 host LOCAL\n";

    #[test]
    fn addresses_are_those_of_the_machine() {
        assert_eq!(local(FIB), [Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(172, 17, 0, 1)]);
        assert_eq!(local(""), Vec::<Ipv4Addr>::new());
    }

    #[test]
    fn a_bridge_address_of_a_container_is_pointed_out() {
        let bridge = Ipv4Addr::new(172, 17, 0, 2);
        assert!(judge("h", &[bridge], true, Some(bridge.into())).meaning.contains("bridge"));
        assert_eq!(judge("h", &[bridge], false, Some(bridge.into())).state, State::Ok);
        assert!(judge("h", &local(FIB), false, None).meaning.contains("10.0.0.7, 172.17.0.1"));
    }
}

//! Name resolution, as this machine does it.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use tokio::time::{Instant, timeout};

use super::super::step::Step;

const ID: &str = "name";
const PATIENCE: Duration = Duration::from_secs(10);
/// A look-up that takes longer delays every reconnection of a client.
const SLOW: Duration = Duration::from_secs(1);

/// The addresses behind a name, in the order in which they would be tried.
pub async fn resolve(host: &str) -> (Step, Vec<IpAddr>) {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return (literal(ip), vec![ip]);
    }
    let begun = Instant::now();
    let found = timeout(PATIENCE, tokio::net::lookup_host((host, 0))).await;
    let took = begun.elapsed();
    let mut ips: Vec<IpAddr> = Vec::new();
    match found {
        Ok(Ok(list)) => {
            for ip in list.map(|address| address.ip()) {
                if !ips.contains(&ip) {
                    ips.push(ip);
                }
            }
        }
        Ok(Err(error)) => return (unknown(host, &error.to_string()), Vec::new()),
        Err(_) => return (unknown(host, &format!("no answer within {} s", PATIENCE.as_secs())), Vec::new()),
    }
    if ips.is_empty() {
        return (unknown(host, "it has no address"), Vec::new());
    }
    let hosts = in_hosts(&std::fs::read_to_string("/etc/hosts").unwrap_or_default(), host);
    (judge(host, &ips, &hosts, took), ips)
}

fn literal(ip: IpAddr) -> Step {
    let step = Step::ok(ID, format!("{ip} is an address: there is no name to look up"))
        .figure("addresses", vec![ip.to_string()]);
    if ip.is_unspecified() {
        let text =
            "it means \"every address of this machine\" and is for servers that listen, not for clients that dial";
        return Step { state: super::super::step::State::Warn, code: "PATH-NAME-UNSPECIFIED", ..step }
            .means(text)
            .remedy("write the server's name or address, or 127.0.0.1 if it runs on this machine");
    }
    step
}

fn unknown(host: &str, why: &str) -> Step {
    Step::fail(ID, "PATH-NAME-UNKNOWN", format!("{host} cannot be resolved on this machine: {why}"))
        .means("Every client that is configured with this name fails before it has sent a single byte.")
        .remedy(format!("check the spelling, then: getent hosts {host}; cat /etc/resolv.conf"))
        .remedy("in a container or pod: its DNS is not that of the host (docker --dns, dnsPolicy, the service's namespace: NAME.NAMESPACE.svc)")
}

fn judge(host: &str, ips: &[IpAddr], hosts: &[IpAddr], took: Duration) -> Step {
    let shown: Vec<String> = ips.iter().map(IpAddr::to_string).collect();
    let ms = took.as_secs_f64() * 1000.0;
    let title = format!("{host} is {} ({} in {ms:.1} ms)", shown.join(", "), count(ips));
    let figures = |step: Step| {
        step.figure("addresses", shown.clone())
            .figure("inHostsFile", hosts.iter().map(IpAddr::to_string).collect::<Vec<_>>())
            .figure("ms", ms)
    };
    let different: BTreeSet<&IpAddr> = hosts.iter().collect();
    let loopback = ips.iter().any(IpAddr::is_loopback) && !host.eq_ignore_ascii_case("localhost");
    let step = if loopback {
        Step::warn(ID, "PATH-NAME-LOOPBACK", title)
            .means(format!(
                "The name leads to this machine itself{}. A client here reaches the server only if it runs here, and an SDK that \
                 takes its own address from this name registers a loopback address that nobody else can reach.",
                if hosts.is_empty() { "" } else { ", by a line of /etc/hosts" }
            ))
            .remedy(format!("remove the line of {host} from /etc/hosts, or write the server's address"))
    } else if took > SLOW {
        Step::warn(ID, "PATH-NAME-SLOW", title)
            .means("Looking the name up is slow; so is every reconnection of a client. A first nameserver that does not answer costs 5 s.")
            .remedy("ask each nameserver of /etc/resolv.conf by itself, and remove the one that does not answer")
    } else if different.len() > 1 {
        Step::warn(ID, "PATH-NAME-HOSTS-TWICE", title)
            .means("/etc/hosts has several addresses for it; the first one is dialled, the others are forgotten lines as a rule")
            .remedy(format!("grep -n {host} /etc/hosts"))
    } else if !hosts.is_empty() {
        Step::new(ID, super::super::step::State::Note, title)
            .means("The address comes from /etc/hosts of this machine, not from DNS: it stays when the server moves.")
    } else {
        Step::ok(ID, title)
    };
    figures(step)
}

fn count(ips: &[IpAddr]) -> String {
    let v6 = ips.iter().filter(|ip| ip.is_ipv6()).count();
    match (ips.len(), v6) {
        (1, 0) => "IPv4".to_owned(),
        (1, 1) => "IPv6".to_owned(),
        (all, 0) => format!("{all} addresses"),
        (all, v6) => format!("{all} addresses, {v6} of IPv6"),
    }
}

/// Addresses that a hosts file gives to a name.
fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let ip = words.next()?.parse().ok()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then_some(ip)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::super::step::State, *};

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn the_hosts_file_is_read_as_resolvers_read_it() {
        let text =
            "# c\n127.0.0.1 localhost\n10.0.0.9\tNacos.example nacos # old\n::1 localhost\nx nacos\n10.0.0.8 nacos\n";
        assert_eq!(in_hosts(text, "nacos"), ips(&["10.0.0.9", "10.0.0.8"]));
        assert_eq!(in_hosts(text, "old"), ips(&[]));
    }

    #[test]
    fn what_is_odd_about_a_name_is_said() {
        let quick = Duration::from_millis(3);
        let of = |ips_: &[&str], hosts: &[&str], took| judge("nacos", &ips(ips_), &ips(hosts), took);
        assert_eq!(of(&["10.0.0.9"], &[], quick).state, State::Ok);
        assert_eq!(of(&["10.0.0.9"], &["10.0.0.9"], quick).state, State::Note);
        assert_eq!(of(&["127.0.1.1"], &["127.0.1.1"], quick).code, "PATH-NAME-LOOPBACK");
        assert_eq!(of(&["10.0.0.9"], &["10.0.0.9", "10.0.0.8"], quick).code, "PATH-NAME-HOSTS-TWICE");
        assert_eq!(of(&["10.0.0.9"], &[], Duration::from_secs(5)).code, "PATH-NAME-SLOW");
        assert_eq!(judge("localhost", &ips(&["127.0.0.1"]), &[], quick).state, State::Ok);
    }
}

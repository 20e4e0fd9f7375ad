//! Whether healthy instances can be reached from here: a TCP connection to each, bounded in number and time.

use std::{collections::BTreeMap, time::Duration};

use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{
    super::finding::{Finding, Severity},
    gather::Seen,
    instances::{Subject, of_instance},
};

/// Instances that are tried, and how many at once.
const INSTANCES: usize = 500;
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(2);

pub async fn check(seen: &Seen) -> Option<Finding> {
    let mut targets: BTreeMap<(String, u16), Vec<Subject>> = BTreeMap::new();
    for service in &seen.services {
        for instance in service.instances.iter().filter(|instance| instance.healthy && instance.enabled) {
            targets.entry((instance.ip.clone(), instance.port)).or_default().push(of_instance(service, instance));
        }
    }
    let all = targets.len();
    let mut waiting = targets.into_iter().take(INSTANCES);
    let mut dials = JoinSet::new();
    let (mut dead, mut tried) = (Vec::new(), 0);
    loop {
        while dials.len() < AT_ONCE {
            let Some(((ip, port), subjects)) = waiting.next() else { break };
            dials.spawn(async move {
                let why = match timeout(PATIENCE, TcpStream::connect((ip.as_str(), port))).await {
                    Ok(Ok(_)) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
                };
                why.map(|why| (format!("{ip}:{port}: {why}"), subjects))
            });
        }
        match dials.join_next().await {
            None => break,
            Some(result) => {
                tried += 1;
                dead.extend(result.ok().flatten());
            }
        }
    }
    if dead.is_empty() {
        return None;
    }
    dead.sort_by(|a, b| a.0.cmp(&b.0));
    let finding = Finding::new(
        "INSTANCE-UNREACHABLE",
        Severity::Warning,
        "Instances are healthy in the list and cannot be reached from here",
        format!(
            "{} of {tried} addresses that were tried ({all} there are) do not accept a connection from this machine.",
            dead.len()
        ),
    )
    .about(dead.iter().flat_map(|(_, subjects)| subjects.clone()).collect())
    .sure("medium");
    let finding = dead.iter().take(5).fold(finding, |finding, (why, _)| finding.saw(why.clone()));
    Some(
        finding
            .remedy("ss -ltn on its machine: does the process listen on that address and port?")
            .remedy("an address that is valid only over there (container, VPN, second interface): register one that consumers reach")
            .remedy("if consumers live in another network than this machine, run the check from there"),
    )
}

//! Findings about the server itself and its cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::finding::{Finding, Severity, subject},
    gather::Seen,
};

/// Subscribers of one server from which on a change costs it noticeably.
const MANY_SUBSCRIBERS: u64 = 5_000;

pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut out = Vec::new();
    out.extend(readiness(seen));
    out.extend(members(seen));
    out.extend(versions(seen));
    out.extend(leaders(seen));
    out.extend(leaderless(seen));
    out.extend(misnamed(seen));
    out.extend(subscribers(seen));
    out
}

fn readiness(seen: &Seen) -> Option<Finding> {
    let state = &seen.state;
    let naming = state.naming.as_deref().filter(|status| !status.eq_ignore_ascii_case("UP"));
    if state.ready && naming.is_none() {
        return None;
    }
    let finding = Finding::new(
        "SERVER-NOT-READY",
        Severity::Critical,
        "The server says that it is not ready",
        "Until it is, it refuses registrations and beats (503), and instances of clients that insist on it expire.",
    );
    let finding = if state.ready { finding } else { finding.saw(format!("readiness: {}", state.reason)) };
    let finding = naming.iter().fold(finding, |finding, status| finding.saw(format!("status of naming: {status}")));
    Some(
        finding
            .remedy("its logs: logs/start.out, nacos.log, protocol-raft.log, naming-server.log")
            .remedy("a cluster needs more than half of its nodes, each under the same address in every cluster.conf"),
    )
}

fn members(seen: &Seen) -> Option<Finding> {
    // The old raft tells roles; every role is alive.
    let alive = |state: &str| matches!(state, "UP" | "LEADER" | "FOLLOWER" | "");
    let down: Vec<_> = seen.members.iter().filter(|member| !alive(&member.state)).collect();
    if down.is_empty() {
        return None;
    }
    let most = down.len() * 2 >= seen.members.len();
    let finding = Finding::new(
        "MEMBER-NOT-UP",
        if most { Severity::Critical } else { Severity::Warning },
        "Nodes of the cluster do not answer this one",
        "Instances for which such a node is responsible are not kept up to date; clients that are connected to it may be fine.",
    )
    .about(down.iter().map(|member| subject(&[("node", &member.address)])).collect());
    let finding = down.iter().fold(finding, |f, member| f.saw(format!("node {} is {}", member.address, member.state)));
    Some(
        finding
            .remedy("is it running? then ports: main, +1000, +1001 (gRPC between nodes) and -1000 (raft) open between all nodes")
            .remedy("the same addresses in every conf/cluster.conf; a node must find its own among them (nacos.server.ip)"),
    )
}

fn versions(seen: &Seen) -> Option<Finding> {
    let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for member in seen.members.iter().filter(|member| !member.version.is_empty()) {
        by.entry(&member.version).or_default().push(&member.address);
    }
    (by.len() > 1).then(|| {
        let finding = Finding::new(
            "MEMBER-VERSIONS-DIFFER",
            Severity::Warning,
            "Nodes of the cluster run different versions",
            "That is right in the middle of an upgrade and wrong otherwise: what one version writes, another may not read.",
        )
        .about(seen.members.iter().map(|member| subject(&[("node", &member.address)])).collect());
        by.iter().fold(finding, |f, (version, nodes)| f.saw(format!("{version}: {}", nodes.join(", ")))).remedy("finish the upgrade")
    })
}

/// Members that name different leaders for one group, and groups without one. Different leaders of different groups are normal.
fn leaders(seen: &Seen) -> Option<Finding> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (group, leader) in seen.members.iter().flat_map(|member| &member.leaders) {
        groups.entry(group).or_default().insert(leader);
    }
    let torn: Vec<_> = groups.iter().filter(|(_, leaders)| leaders.len() > 1).collect();
    if torn.is_empty() {
        return None;
    }
    let finding = Finding::new(
        "RAFT-LEADERS-DISAGREE",
        Severity::Warning,
        "Nodes name different leaders for the same raft group",
        "Right after an election it is so for a moment. If it stays, nodes do not hear of each other, and persistent instances and metadata differ between them.",
    )
    .sure("medium");
    let finding = torn.iter().fold(finding, |f, (group, leaders)| {
        f.saw(format!("{group}: {}", leaders.iter().copied().collect::<Vec<_>>().join(" or ")))
    });
    Some(
        finding
            .not("leaders that differ from group to group: that is normal, each group elects its own")
            .remedy("run this again in a minute; then compare GET /nacos/v1/core/cluster/nodes of every node")
            .remedy("port main - 1000 (raft) open between all nodes; protocol-raft.log says what fails"),
    )
}

/// Nodes that speak raft, of which none knows a leader. Before 2.0 naming had a raft of its own, and a server for configurations alone has
/// no groups: neither is judged.
fn leaderless(seen: &Seen) -> Option<Finding> {
    let mute: Vec<_> = seen
        .members
        .iter()
        .filter(|member| !member.raft_port.is_empty() && !member.version.starts_with("1."))
        .filter(|member| member.state == "UP")
        .collect();
    if mute.is_empty() || seen.state.naming.is_none() || seen.members.iter().any(|member| !member.leaders.is_empty()) {
        return None;
    }
    let finding = Finding::new(
        "RAFT-NO-LEADER",
        Severity::Warning,
        "A node knows no leader of its raft groups",
        "Registrations of persistent instances and changes of service metadata are refused (\"did not find the Leader node\"), while beats, ephemeral instances and configurations work as ever.",
    )
    .about(mute.iter().map(|member| subject(&[("node", &member.address)])).collect());
    let finding = mute.iter().fold(finding, |f, member| {
        f.saw(format!("node {} lists its raft port {} and no group with a leader", member.address, member.raft_port))
    });
    Some(
        finding
            .remedy("the address or port of the node changed: logs/alipay-jraft.log says \"it is not in conf\" with the old one; give it back (nacos.inetutils.ip-address, server.port), or move data/protocol/raft away and start again (a node that runs alone loses its persistent instances)")
            .remedy("in a cluster: more than half of the nodes up, port main - 1000 open between all of them"),
    )
}

fn misnamed(seen: &Seen) -> Option<Finding> {
    /// Services that are named.
    const SERVICES: usize = 10;
    if seen.misnamed.is_empty() {
        return None;
    }
    let about = seen.misnamed.iter().flat_map(|found| {
        let services = found.services.iter().take(SERVICES).map(|(group, service)| {
            subject(&[("namespaceId", &found.name), ("groupName", group), ("serviceName", service)])
        });
        services.chain(found.services.is_empty().then(|| subject(&[("namespaceId", &found.name)])))
    });
    let finding = Finding::new(
        "NAMESPACE-IS-NAME",
        Severity::Warning,
        "Clients use the name of a namespace where its id belongs",
        "To the server the name is another namespace, which the console does not show: who uses the name and who uses the id do not see each other's services and configurations.",
    )
    .about(about.collect());
    let finding = seen.misnamed.iter().take(5).fold(finding, |f, found| {
        f.saw(format!(
            "the namespace {} has the id {}: {} services and {} configurations stand under the name",
            found.name,
            found.id,
            found.services.len(),
            found.configs
        ))
    });
    let of = |found: &super::gather::Misnamed| {
        format!(
            "in these clients: spring.cloud.nacos.discovery.namespace={0} (config.namespace={0}; other SDKs: namespaceId)",
            found.id
        )
    };
    Some(seen.misnamed.iter().take(3).fold(finding, |f, found| f.remedy(of(found))))
}

fn subscribers(seen: &Seen) -> Option<Finding> {
    let count = *seen.state.counts.get("subscribeCount")?;
    (count >= MANY_SUBSCRIBERS).then(|| {
        Finding::new(
            "SUBSCRIBERS-MANY",
            Severity::Info,
            "The server has thousands of subscribers",
            "Each change of a service is sent to each of its subscribers: flapping instances cost such a server most of its time.",
        )
        .saw(format!("subscribeCount {count}"))
        .remedy("look for flapping instances first (unhealthy and back); spread clients over the nodes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{cluster::Member, state::State};

    fn member(address: &str, state: &str, leader: &str) -> Member {
        let leaders = vec![("naming".to_owned(), leader.to_owned())];
        Member {
            address: address.into(),
            state: state.into(),
            version: "2.5.1".into(),
            raft_port: "7848".into(),
            leaders,
        }
    }

    fn codes(seen: &Seen) -> Vec<(String, Severity)> {
        judge(seen).into_iter().map(|finding| (finding.code, finding.severity)).collect()
    }

    fn healthy() -> Seen {
        let members =
            vec![member("a:8848", "UP", "a:7848"), member("b:8848", "UP", "a:7848"), member("c:8848", "UP", "a:7848")];
        Seen { state: State { ready: true, naming: Some("UP".into()), ..State::default() }, members, ..Seen::default() }
    }

    #[test]
    fn a_healthy_cluster_has_no_findings() {
        assert_eq!(codes(&healthy()), []);
    }

    #[test]
    fn nodes_that_are_down_weigh_as_much_as_there_are() {
        let mut seen = healthy();
        seen.members[2].state = "SUSPICIOUS".into();
        assert_eq!(codes(&seen), [("MEMBER-NOT-UP".to_owned(), Severity::Warning)]);
        seen.members[1].state = "DOWN".into();
        assert_eq!(codes(&seen), [("MEMBER-NOT-UP".to_owned(), Severity::Critical)]);
    }

    #[test]
    fn two_leaders_of_one_group_and_two_versions_are_found() {
        let mut seen = healthy();
        seen.members[1].leaders[0].1 = "b:7848".into();
        seen.members[2].version = "2.3.0".into();
        let found: Vec<String> = codes(&seen).into_iter().map(|(code, _)| code).collect();
        assert_eq!(found, ["MEMBER-VERSIONS-DIFFER", "RAFT-LEADERS-DISAGREE"]);
    }

    #[test]
    fn what_stands_under_the_name_of_a_namespace_is_found() {
        let mut seen = healthy();
        let found = super::super::gather::Misnamed {
            id: "dev".into(),
            name: "development".into(),
            services: vec![("DEFAULT_GROUP".into(), "orders".into())],
            configs: 2,
        };
        seen.misnamed.push(found);
        let finding = judge(&seen).remove(0);
        assert_eq!((finding.code.as_str(), finding.severity), ("NAMESPACE-IS-NAME", Severity::Warning));
        assert_eq!(
            (&finding.subject["namespaceId"], &finding.subject["serviceName"]),
            (&"development".into(), &"orders".into())
        );
        assert!(finding.evidence[0].1.contains("1 services and 2 configurations"), "{finding:?}");
        assert!(finding.remedy[0].contains("namespace=dev "), "{finding:?}");
    }

    /// As 2.5.1 lists itself when its raft data name another port: it is ready, and no group is told.
    #[test]
    fn a_node_that_knows_no_leader_is_found() {
        let mut seen = healthy();
        seen.members.truncate(1);
        seen.members[0].leaders.clear();
        assert_eq!(codes(&seen), [("RAFT-NO-LEADER".to_owned(), Severity::Warning)]);
        seen.members[0].version = "1.4.6".into();
        assert_eq!(codes(&seen), [], "whose raft is told elsewhere");
        seen.members[0].version = "2.5.1".into();
        seen.state.naming = None;
        assert_eq!(codes(&seen), [], "which has no services, and no groups");
    }

    #[test]
    fn a_server_that_is_not_up_is_critical() {
        let mut seen = healthy();
        seen.state.naming = Some("DOWN".into());
        seen.state.counts.insert("subscribeCount", 9_000);
        assert_eq!(codes(&seen)[0], ("SERVER-NOT-READY".to_owned(), Severity::Critical));
        assert_eq!(codes(&seen)[1].0, "SUBSCRIBERS-MANY");
    }
}

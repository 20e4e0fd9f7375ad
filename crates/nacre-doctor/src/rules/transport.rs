//! Connections: what arrives on the ports, how it ends, and what never arrives.

use std::collections::BTreeMap;

use nacre_model::Cause;

use super::zh;
use crate::{
    About, Confidence, Hit, Hits, Rule, Scene, line,
    memory::{HORIZON_MS, address_of},
    rule,
    sightings::Act,
};

pub static RULES: [Rule; 4] = [
    rule!("GRPC-PORT-HTTP1", http1_on_grpc_port),
    rule!("GRPC-PORT-FOREIGN-BYTES", foreign_bytes),
    rule!("GRPC-PORT-NEVER-REACHED", grpc_port_never),
    rule!("CONNECTION-SHARED", shared),
];

/// Bytes on a port that are no protocol of ours, by address: the newest event of each.
fn knocks<'a>(scene: &'a Scene<'_>, http1: bool) -> BTreeMap<&'a str, (&'a nacre_model::Event, &'a str, usize)> {
    let mut by_address = BTreeMap::new();
    for event in scene.told("unknownProtocol") {
        let (Cause::UnknownProtocol { first_bytes }, Some(client)) = (&*event.cause, &event.subject.client) else {
            continue;
        };
        if is_http1(first_bytes) == http1 {
            by_address.entry(address_of(client.head())).or_insert((event, first_bytes.as_str(), 0)).2 += 1;
        }
    }
    by_address
}

fn is_http1(first_bytes: &str) -> bool {
    const METHODS: [&str; 8] = ["GET ", "POST ", "PUT ", "DELETE ", "HEAD ", "OPTIONS ", "PATCH ", "CONNECT "];
    METHODS.iter().any(|method| first_bytes.starts_with(method))
}

fn http1_on_grpc_port(scene: &Scene<'_>, hits: &mut Hits) {
    for (address, (event, first_bytes, times)) in knocks(scene, true) {
        let port = scene.server.grpc_port();
        hits.add(
            Hit::new(About::address(address))
                .fact("address", address)
                .fact("port", port)
                .fact("main", scene.server.main_port())
                .fact("times", times)
                .confidence(Confidence::High)
                .saw(
                    event.at,
                    line!(
                        "{address} began a connection to port {port} with {first_bytes:?} (HTTP/1.1)",
                        "{address} 以 {first_bytes:?} 开始了到端口 {port} 的连接（HTTP/1.1）"
                    ),
                )
                .not(line!("the network: the connection arrived and its bytes did", "网络：连接及其字节都已到达")),
        );
    }
}

fn foreign_bytes(scene: &Scene<'_>, hits: &mut Hits) {
    for (address, (event, first_bytes, times)) in knocks(scene, false) {
        // A TLS handshake record: type 22, version 3.x.
        let what = if first_bytes.starts_with("\\x16\\x03") {
            ("a TLS handshake", "TLS 握手")
        } else if first_bytes.starts_with("PROXY ") || first_bytes.starts_with("\\r\\n\\r\\n\\x00\\r\\nQUIT") {
            ("a load balancer's PROXY protocol header", "负载均衡的 PROXY 协议头")
        } else {
            ("bytes of no known protocol", "不属于任何已知协议的字节")
        };
        hits.add(
            Hit::new(About::address(address))
                .fact("address", address)
                .words("what", what.0, what.1)
                .fact("bytes", first_bytes)
                .fact("times", times)
                .saw(event.at, line!(en: "{address} began a connection with {first_bytes:?}: {}", what.0; zh: "{address} 以 {first_bytes:?} 开始连接：{}", what.1))
                .not(line!("the network: the connection arrived and its bytes did", "网络：连接及其字节都已到达")),
        );
    }
}

/// A client of the 2.x or 3.x generation is looked at this long before its silence on the gRPC port is told.
const PATIENCE_MS: u64 = 8_000;
/// Nothing said of addresses that were not seen for this long.
const GONE_MS: u64 = 60_000;

fn grpc_port_never(scene: &Scene<'_>, hits: &mut Hits) {
    for source in scene.sightings.all() {
        let Some((act, ago)) = source.last(scene.now) else { continue };
        let waited = scene.now.mono.saturating_sub(source.first.mono);
        if source.count(Act::Connect) > 0 || source.open() > 0 || ago > GONE_MS || waited < PATIENCE_MS {
            continue;
        }
        // Something of it reaches the port; what is wrong with that is another finding.
        let knocked = |event: &nacre_model::Event| matches!(*event.cause, Cause::UnknownProtocol { .. });
        let reached = scene.memory.address(&source.address.to_string(), scene.now.wall, HORIZON_MS).any(knocked);
        if reached || source.count(Act::Unregistered) > 0 {
            continue;
        }
        let agents = source.agents();
        let Some(agent) = agents.iter().find(|agent| needs_grpc(agent)) else { continue };
        let address = source.address.to_string();
        let (main, grpc) = (scene.server.main_port(), scene.server.grpc_port());
        hits.add(
            Hit::new(About::address(&address))
                .fact("address", &address)
                .fact("agent", agent)
                .fact("main", main)
                .fact("grpc", grpc)
                .saw(scene.now.wall - ago as i64, line!(en: "{address} ({agent}) was last seen {} on port {main}", act.words(); zh: "最后一次看到 {address}（{agent}）在端口 {main} 上{}", zh::act(act)))
                .saw(source.first.wall, line!("first seen; no connection to port {grpc} from there since", "首次看到；此后没有从那里到端口 {grpc} 的连接"))
                .not(line!("a client of the 1.x generation, which needs no gRPC: it says {agent}", "不需要 gRPC 的 1.x 客户端：它自称 {agent}"))
                .not(line!("the route to this machine: port {main} is reached", "到本机的路由：端口 {main} 可达")),
        );
    }
}

/// `Nacos-Java-Client:v2.3.2`, `Nacos-Go-Client:v2.1`, `Nacos-Python-Client:v3`: of 2.0 or later.
fn needs_grpc(agent: &str) -> bool {
    let Some(version) = agent.strip_prefix("Nacos-").and_then(|rest| rest.split_once("Client:")).map(|(_, v)| v) else {
        return false;
    };
    let major: String = version.trim_start_matches(['v', 'V']).chars().take_while(char::is_ascii_digit).collect();
    major.parse::<u32>().is_ok_and(|major| major >= 2)
}

fn shared(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.told("transportShared") {
        let (Cause::TransportShared { version }, Some(client)) = (&*event.cause, &event.subject.client) else {
            continue;
        };
        let address = address_of(client.head());
        hits.add(
            Hit::new(About::address(address).with_client(&client.text()))
                .grouped(address)
                .fact("address", address)
                .fact("client", &*client.text())
                .fact("version", version)
                .confidence(Confidence::High)
                .event(event),
        );
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::Subject;

    use super::*;
    use crate::testing::Stage;

    #[test]
    fn http1_on_the_grpc_port_is_told_from_other_bytes() {
        let mut stage = Stage::default();
        let knock = |text: &str| Cause::UnknownProtocol { first_bytes: text.into() };
        stage.event(Subject::client("192.0.2.40:5000"), knock("POST / HTTP/1.1\\r"));
        stage.event(Subject::client("192.0.2.40:5001"), knock("POST / HTTP/1.1\\r"));
        let finding = stage.only();
        assert_eq!(finding.code, "GRPC-PORT-HTTP1");
        assert_eq!(finding.subject.address.as_deref(), Some("192.0.2.40"));
        assert!(finding.cause.contains("192.0.2.40") && finding.cause.contains("9848"), "{}", finding.cause);
        stage.event(Subject::client("192.0.2.41:5000"), knock("\\x16\\x03\\x01\\x02"));
        assert_eq!(stage.codes().len(), 2);
        stage.wait(70_000);
        assert_eq!(stage.codes(), Vec::<String>::new(), "it clears");
    }

    #[test]
    fn a_2x_client_that_never_reaches_the_grpc_port_is_told_and_a_1x_client_is_not() {
        let mut stage = Stage::default();
        for (ip, agent) in
            [([192, 0, 2, 41], "Nacos-Java-Client:v2.3.2"), ([192, 0, 2, 42], "Nacos-Java-Client:v1.4.8")]
        {
            let source = stage.sightings.of(ip.into(), stage.now);
            source.saw(Act::Login, stage.now);
            source.agent(agent);
        }
        let connected = stage.sightings.of([192, 0, 2, 43].into(), stage.now);
        connected.saw(Act::Connect, stage.now);
        connected.agent("Nacos-Java-Client:v2.3.2");
        assert!(stage.codes().is_empty(), "at once nobody can know");
        let finding = stage.wait(10_000).only();
        assert_eq!(finding.code, "GRPC-PORT-NEVER-REACHED");
        assert!(finding.cause.contains("192.0.2.41") && finding.cause.contains("9848"), "{}", finding.cause);
    }

    #[test]
    fn agents_that_need_grpc() {
        for agent in ["Nacos-Java-Client:v2.3.2", "Nacos-Go-Client:v2.1.0", "Nacos-Python-Client:v3.0"] {
            assert!(needs_grpc(agent), "{agent}");
        }
        for agent in ["Nacos-Java-Client:v1.4.8", "curl/8", "Nacos-Server:v2.0", "Nacos-Go-Client:v1.1.6", ""] {
            assert!(!needs_grpc(agent), "{agent}");
        }
    }

    #[test]
    fn two_clients_on_one_connection_are_one_finding_per_address() {
        let mut stage = Stage::default();
        let shared = || Cause::TransportShared { version: "Nacos-Java-Client:v2.1.0".into() };
        stage.event(Subject::client("1700000000000_10.0.0.9_5000"), shared());
        stage.event(Subject::client("1700000000001_10.0.0.9_5001"), shared());
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.count), ("CONNECTION-SHARED", 2));
        assert!(finding.cause.contains("10.0.0.9"));
    }
}

//! Calls that met nothing: another context path, APIs that this server does not have.

use crate::{About, Confidence, Hit, Hits, Rule, Scene, line, rule, strays::Stray};

pub static RULES: [Rule; 3] = [
    rule!("CALL-METHOD-WRONG", wrong_method),
    rule!("CLIENT-CALLS-UNKNOWN-API", unknown_api),
    rule!("CONTEXT-PATH-WRONG", wrong_context),
];

/// Fewer may be somebody who tries something by hand.
const TIMES: u64 = 3;
/// Paths as people see them.
const ROOT: &str = "/";

fn shown(path: &str) -> &str {
    if path.is_empty() { ROOT } else { path }
}

fn wrong_context(scene: &Scene<'_>, hits: &mut Hits) {
    let property = scene.server.property("server.servlet.context-path");
    let ours = property.trim_end_matches('/');
    for called in scene.sightings.strays.recent(scene.now.wall, scene.told_ms) {
        let Stray::Context(given) = &called.stray else { continue };
        if called.count < TIMES {
            continue;
        }
        let address = called.address.to_string();
        let agent = if called.agent.is_empty() { "?" } else { &*called.agent };
        hits.add(
            Hit::new(About::address(&address))
                .grouped(format!("{address} {given}"))
                .fact("address", &address)
                .fact("agent", agent)
                .fact("times", called.count)
                .fact("path", &called.what)
                .fact("given", shown(given))
                .fact("ours", shown(ours))
                .confidence(Confidence::High)
                .saw(called.first, line!(en: "{address} began to call below {}", shown(given); zh: "{address} 开始调用 {} 之下的路径", shown(given)))
                .saw(called.last, line!("{address} called {}, which is answered 404", "{address} 调用了 {}，得到 404", called.what))
                .not(line!(en: "the network and the port: the calls arrive, and below {} this API is there", shown(ours); zh: "网络与端口：调用能到达，而 {} 之下就有这个 API", shown(ours))),
        );
    }
}

fn wrong_method(scene: &Scene<'_>, hits: &mut Hits) {
    for called in scene.sightings.strays.recent(scene.now.wall, scene.told_ms) {
        let Stray::Method(call, allowed) = &called.stray else { continue };
        if called.count < TIMES {
            continue;
        }
        let address = called.address.to_string();
        let agent = if called.agent.is_empty() { "?" } else { &*called.agent };
        let lost = match call.rsplit_once('/').map_or("", |(_, last)| last) {
            "beat" => ("none of these beats counts", "这些心跳都不算数"),
            "instance" => ("nothing is registered or removed by it", "它没有注册或注销任何实例"),
            "configs" | "config" => ("nothing is read or published by it", "它没有读取或发布任何配置"),
            _ => ("the call has no effect", "该调用没有任何效果"),
        };
        hits.add(
            Hit::new(About::address(&address))
                .grouped(format!("{address} {call}"))
                .fact("address", &address)
                .fact("agent", agent)
                .fact("times", called.count)
                .fact("call", call)
                .fact("newest", called.what.replace(['{', '}'], ""))
                .fact("allowed", allowed)
                .words("lost", lost.0, lost.1)
                .confidence(Confidence::High)
                .saw(called.first, line!("{address} began to call {call}", "{address} 开始调用 {call}"))
                .saw(called.last, line!("{address} called {}", "{address} 调用了 {}", called.what))
                .not(line!(
                    "the network, the port and the path: the calls arrive, and this path takes {allowed}",
                    "网络、端口与路径：调用能到达，而该路径接受 {allowed}"
                )),
        );
    }
}

fn unknown_api(scene: &Scene<'_>, hits: &mut Hits) {
    for called in scene.sightings.strays.recent(scene.now.wall, scene.told_ms) {
        let answer = match &called.stray {
            Stray::Context(_) | Stray::Method(..) => continue,
            Stray::Http(_) => "404",
            Stray::Grpc(_) => "302 \"RequestHandler Not Found\"",
        };
        let address = called.address.to_string();
        let agent = if called.agent.is_empty() { "?" } else { &*called.agent };
        hits.add(
            Hit::new(About::address(&address))
                .grouped(format!("{agent} {}", called.what))
                .fact("address", &address)
                .fact("agent", agent)
                .fact("times", called.count)
                .fact("what", &called.what)
                .fact("answer", answer)
                .saw(
                    called.last,
                    line!(
                        "{address} ({agent}) called {}, answered {answer}",
                        "{address}（{agent}）调用了 {}，得到 {answer}",
                        called.what
                    ),
                )
                .not(line!("the context path: the call is below it", "上下文路径：调用就在它之下")),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::{Severity, testing::Stage};

    #[test]
    fn a_client_below_another_context_path_is_told_and_one_slip_is_not() {
        let mut stage = Stage::default();
        stage.server.properties.insert("server.servlet.context-path".into(), "/nacos".into());
        for times in 0..3 {
            assert!(stage.codes().is_empty(), "{times}");
            stage.sightings.strays.context("", "/v1/ns/instance/beat", [10, 0, 0, 7].into(), "Java", stage.now);
        }
        let finding = stage.only();
        assert_eq!(finding.code, "CONTEXT-PATH-WRONG");
        for word in ["10.0.0.7", "Java", "/v1/ns/instance/beat", "/nacos", "3 times"] {
            assert!(finding.cause.contains(word), "{word}: {}", finding.cause);
        }
        stage.wait(70_000);
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn a_client_that_beats_by_post_is_told_and_one_try_is_not() {
        let mut stage = Stage::default();
        let from = [10, 0, 0, 7].into();
        for times in 0..3 {
            assert!(stage.codes().is_empty(), "{times}");
            let (path, query) = ("/v1/ns/instance/beat", "serviceName=orders&ip=10.0.0.7&port=80");
            stage.sightings.strays.method("POST", path, query, "PUT", from, "curl/8", stage.now);
        }
        let finding = stage.only();
        assert_eq!(finding.code, "CALL-METHOD-WRONG");
        for word in
            ["10.0.0.7", "curl/8", "POST /v1/ns/instance/beat", "PUT", "3 times", "port=80", "none of these beats"]
        {
            assert!(finding.cause.contains(word), "{word}: {}", finding.cause);
        }
        stage.wait(70_000);
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn what_this_server_does_not_have_is_worth_knowing() {
        let mut stage = Stage::default();
        stage.sightings.strays.grpc(
            "LockOperationRequest",
            [10, 0, 0, 7].into(),
            "Nacos-Java-Client:v3.1.0",
            stage.now,
        );
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.severity), ("CLIENT-CALLS-UNKNOWN-API", Severity::Info));
        assert!(finding.cause.contains("LockOperationRequest") && finding.cause.contains("302"), "{}", finding.cause);
    }
}

//! Calls that met nothing: another context path, APIs that this server does not have.

use crate::{About, Confidence, Hit, Hits, Rule, Scene, line, rule, strays::Stray};

pub static RULES: [Rule; 2] =
    [rule!("CLIENT-CALLS-UNKNOWN-API", unknown_api), rule!("CONTEXT-PATH-WRONG", wrong_context)];

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

fn unknown_api(scene: &Scene<'_>, hits: &mut Hits) {
    for called in scene.sightings.strays.recent(scene.now.wall, scene.told_ms) {
        let answer = match &called.stray {
            Stray::Context(_) => continue,
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

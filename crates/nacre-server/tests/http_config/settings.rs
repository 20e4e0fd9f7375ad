//! Settings that change while the server runs, and old APIs that are switched off.

use std::collections::HashMap;

use http::Method;
use nacre_journal::Filter;
use nacre_server::live;
use serde_json::Value;

use crate::client::{LONG, Server};

fn write(server: &Server, text: &str) {
    let conf = server.home().join("conf");
    std::fs::create_dir_all(&conf).unwrap();
    std::fs::write(conf.join("application.properties"), text).unwrap();
}

/// What the journal says about settings, oldest first.
fn told(server: &Server) -> Vec<String> {
    let kinds = ["settingChanged", "settingRefused", "nothingChanged"].map(str::to_owned).to_vec();
    let filter = Filter { kinds, oldest_first: true, ..Filter::default() };
    server.app.journal.query(&filter).iter().map(|record| nacre_journal::describe(&record.event)).collect()
}

/// 400 while parameters are checked, 200 when they are not.
async fn badly_named(server: &Server) -> u16 {
    server.get("/v1/ns/instance/list").query(&[("serviceName", "a@b c")]).send().await.status
}

#[tokio::test]
async fn the_parameter_check_follows_the_file() {
    let server = Server::start(&[]).await;
    assert_eq!(badly_named(&server).await, 400);
    write(&server, "nacos.core.param.check.enabled=false\n");
    live::follow(&server.app);
    assert_eq!(badly_named(&server).await, 200);
    let changed = told(&server);
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].starts_with("nacos.core.param.check.enabled changed: now false, by "), "{changed:?}");
    assert!(changed[0].ends_with("application.properties:1"), "{changed:?}");
    // Out of the file again: as in Nacos, the last value stays.
    write(&server, "\n");
    live::follow(&server.app);
    assert_eq!(badly_named(&server).await, 200);
    assert_eq!(told(&server).len(), 1);
}

#[tokio::test]
async fn a_wrong_value_refuses_the_whole_file_and_says_where() {
    let server = Server::start(&[]).await;
    for (text, line) in [
        ("nacos.core.param.check.enabled=false\nnacos.naming.push.pushTaskDelay=soon\n", ":2"),
        ("nacos.core.param.check.enabled=false\nnacre.logging=a=b=c=d\n", ":2"),
        ("nacos.core.param.check.enabled=false\nnacos.config.retention.days=0\n", ":2"),
    ] {
        write(&server, text);
        live::follow(&server.app);
        assert_eq!(badly_named(&server).await, 400, "{text}: the old value stays");
        let last = told(&server).pop().unwrap();
        assert!(last.contains("refused") && last.contains(&format!("application.properties{line}")), "{last}");
    }
}

#[tokio::test]
async fn what_needs_a_start_says_so() {
    let server = Server::start(&[]).await;
    write(&server, "nacos.config.retention.days=7\n");
    live::follow(&server.app);
    let told = told(&server);
    assert!(told[0].ends_with("read at the next start only: nacos.config.retention.days"), "{told:?}");
    assert_eq!(server.app.live().props.i64("nacos.config.retention.days"), 30);
}

#[tokio::test]
async fn the_doctor_can_be_switched_off_and_on_while_the_server_runs() {
    let server = Server::start(&[]).await;
    let seen = || server.app.doctor.sightings.len();
    for (text, more) in [("nacre.doctor.enabled=false\n", 0), ("nacre.doctor.enabled=true\n", 1)] {
        write(&server, text);
        live::follow(&server.app);
        assert_eq!(server.app.doctor.is_on(), more == 1);
        let before = seen();
        badly_named(&server).await;
        assert_eq!(seen() - before, more, "{text}");
    }
}

#[tokio::test]
async fn naming_and_push_settings_reach_what_runs() {
    let server = Server::start(&[]).await;
    write(&server, "nacos.naming.push.pushTaskDelay=50\nnacos.core.ability.fuzzyWatch=false\n");
    live::follow(&server.app);
    assert_eq!(server.app.grpc.options().push_delay, 50);
    assert!(!server.app.grpc.options().abilities["fuzzyWatch"]);
    write(&server, "nacos.config.push.maxRetryTime=3\n");
    live::follow(&server.app);
    assert_eq!(server.app.grpc.options().rules.config_tries, 3);
    assert_eq!(server.app.grpc.options().push_delay, 50, "what is no longer in the file stays");
}

#[tokio::test]
async fn the_watch_notices_a_changed_file_by_itself() {
    let server = Server::start(&[]).await;
    write(&server, "nacos.core.param.check.enabled=false\n");
    let noticed = async {
        while badly_named(&server).await != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, noticed).await.expect("the file is read");
}

const OFF: [(&str, &str); 3] = [
    ("nacos.core.api.compatibility.client.enabled", "false"),
    ("nacos.core.api.compatibility.console.enabled", "false"),
    ("nacos.core.api.compatibility.admin.enabled", "false"),
];

/// Requests and answers of a 3.1 server with its own defaults, as recorded.
fn recorded() -> Vec<(Value, Value)> {
    let pairs = [
        (
            include_str!("../../../../tests/golden/scenarios/core/stock-3x-v1-config-gone.json"),
            include_str!("../../../../tests/golden/recorded/nacos-3.1.0/core/stock-3x-v1-config-gone.json"),
        ),
        (
            include_str!("../../../../tests/golden/scenarios/core/stock-3x-v2-gone.json"),
            include_str!("../../../../tests/golden/recorded/nacos-3.1.0/core/stock-3x-v2-gone.json"),
        ),
    ];
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut found = Vec::new();
    for (scenario, recording) in pairs {
        let mut answers: HashMap<String, Value> = serde_json::from_value(read(recording)["answers"].clone()).unwrap();
        for step in read(scenario)["steps"].as_array().unwrap() {
            if step.get("target").is_none() {
                found.extend(answers.remove(step["id"].as_str().unwrap()).map(|answer| (step.clone(), answer)));
            }
        }
    }
    found
}

#[tokio::test]
async fn old_apis_that_are_switched_off_answer_as_a_3x_server_does() {
    let server = Server::start(&OFF[1..]).await;
    let mut same = 0;
    for (step, answer) in recorded() {
        let path = step["path"].as_str().unwrap().strip_prefix("/nacos").unwrap();
        if answer["status"] != 410 {
            continue;
        }
        let method: Method = step["method"].as_str().unwrap().parse().unwrap();
        let query = step["query"].as_object().cloned().unwrap_or_default();
        let query: Vec<(&str, &str)> = query.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        let seen = server.ask(method, path).query(&query).send().await;
        if matches!(seen.status, 404 | 405 | 501) || seen.text().contains("not supported") {
            // A call that nacre does not have: of clusters and of modules to come.
            let cluster = ["/cluster/", "/ops/ids", "/ops/raft"].iter().any(|part| path.contains(part));
            assert!(cluster || path.contains("/v1/ns/service/names"), "{path}: {}", seen.text());
            continue;
        }
        assert_eq!(u64::from(seen.status), answer["status"].as_u64().unwrap(), "{path} {query:?}: {}", seen.text());
        let message = |body: &Value| body["message"].clone();
        assert_eq!(message(&seen.json()), message(&answer["json"]), "{path} {query:?}");
        assert_eq!(seen.header("content-type"), answer["headers"]["Content-Type"].as_str(), "{path}");
        same += 1;
    }
    assert!(same > 90, "{same}");
}

#[tokio::test]
async fn clients_are_served_while_only_the_others_are_switched_off_and_the_switches_are_live() {
    let server = Server::start(&OFF[1..]).await;
    server.publish("a", "1").await;
    assert_eq!(server.content("a").await, Ok("1".to_owned()));
    let beta = server.get("/v1/cs/configs").query(&[("beta", "true"), ("dataId", "a"), ("group", "G")]).send().await;
    assert_eq!(beta.status, 410);
    assert_eq!(server.get("/v3/admin/core/state").send().await.status, 200);

    let server = Server::start(&[]).await;
    server.publish("a", "1").await;
    write(&server, "nacos.core.api.compatibility.client.enabled=false\n");
    live::follow(&server.app);
    assert_eq!(server.content("a").await, Err(410));
    write(&server, "nacos.core.api.compatibility.client.enabled=true\n");
    live::follow(&server.app);
    assert_eq!(server.content("a").await, Ok("1".to_owned()));
}

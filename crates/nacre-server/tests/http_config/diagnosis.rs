//! Probes, metrics, login and the events API.

use std::collections::BTreeMap;

use crate::client::Server;

const READY: [&str; 6] = [
    "/v1/console/health/readiness",
    "/v2/console/health/readiness",
    "/v3/admin/core/state/readiness",
    "/v3/admin/core/ops/readiness",
    "/v3/console/health/readiness",
    "/actuator/health",
];
const ALIVE: [&str; 4] = [
    "/v1/console/health/liveness",
    "/v2/console/health/liveness",
    "/v3/admin/core/state/liveness",
    "/v3/console/health/liveness",
];

#[tokio::test]
async fn readiness_says_no_while_naming_would_refuse_and_says_why_c065() {
    let server = Server::start(&[]).await;
    for path in READY.iter().chain(&ALIVE) {
        assert_eq!(server.get(path).send().await.status, 200, "{path}");
    }
    let now = server.app.clock.now();
    let effects = server.app.naming.set_switch_local("overriddenServerStatus", "DOWN", now).unwrap();
    server.app.effects.naming(effects);
    for path in READY {
        let seen = server.get(path).send().await;
        assert_ne!(seen.status, 200, "{path}");
        assert!(seen.text().contains("overriddenServerStatus"), "{path}: {}", seen.text());
    }
    for path in ALIVE {
        assert_eq!(server.get(path).send().await.status, 200, "{path}");
    }
    let effects = server.app.naming.set_switch_local("overriddenServerStatus", "", now).unwrap();
    server.app.effects.naming(effects);
    for path in READY {
        assert_eq!(server.get(path).send().await.status, 200, "{path}");
    }
    server.stop().await;
}

/// Name and labels of a sample's line.
fn series(line: &str) -> &str {
    line.rsplit_once(' ').map_or(line, |(series, _)| series)
}

#[tokio::test]
async fn metrics_are_there_by_default_with_nacoss_names_c071() {
    let server = Server::start(&[]).await;
    server.publish("d", "x").await;
    server.get("/v1/cs/configs").query(&[("dataId", "d"), ("group", "G")]).send().await;
    let seen = server.get("/actuator/prometheus").send().await;
    assert_eq!(seen.header("content-type"), Some("text/plain;version=0.0.4;charset=utf-8"));
    let text = seen.text();
    let mut families = std::collections::HashSet::new();
    let mut all = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(family.split(' ').next().unwrap().to_owned()), "twice: {line}");
        } else if !line.starts_with('#') {
            let value = line.rsplit_once(' ').unwrap().1;
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(all.insert(series(line).to_owned()), "twice: {line}");
        }
    }
    for name in
        ["leaderStatus", "serviceCount", "ipCount", "subscriberCount", "maxPushCost", "avgPushCost", "totalPush"]
    {
        assert!(all.contains(&format!("nacos_monitor{{module=\"naming\",name=\"{name}\",}}")), "{name}");
    }
    for name in ["getConfig", "publish", "longPolling", "configCount", "notifyTask", "dumpTask"] {
        assert!(all.contains(&format!("nacos_monitor{{module=\"config\",name=\"{name}\",}}")), "{name}");
    }
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));
    assert!(line("nacos_monitor{module=\"naming\",name=\"leaderStatus\",}").ends_with(" 1.0"));
    assert!(line("nacos_monitor{module=\"config\",name=\"configCount\",}").ends_with(" 1.0"));
    assert!(line("nacos_monitor{module=\"config\",name=\"publish\",}").ends_with(" 1.0"));
    assert!(line("nacos_exception_total{module=\"naming\",name=\"leaderSendBeatFailed\",}").ends_with(" 0.0"));
    let uri = "http_server_requests_seconds_count{exception=\"None\",method=\"GET\",outcome=\"SUCCESS\",status=\"200\",uri=\"/v1/cs/configs\",}";
    assert!(line(uri).ends_with(" 1.0"));
    server.stop().await;
}

#[tokio::test]
async fn the_documentation_lists_all_metrics_and_no_others() {
    let server = Server::start(&[]).await;
    let seen = server.get("/actuator/prometheus").send().await;
    let text = seen.text();
    // The two big families are listed by module and name.
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let grouped = ["nacos_monitor", "nacos_exception_total"];
    let mut shown: BTreeMap<String, &str> =
        types.clone().filter(|(name, _)| !grouped.contains(name)).map(|(name, kind)| (name.to_owned(), kind)).collect();
    let types: BTreeMap<&str, &str> = types.collect();
    for line in text.lines().filter(|line| grouped.iter().any(|name| line.starts_with(name))) {
        let sample = series(line);
        shown.insert(sample.replace(",}", "}"), types[sample.split('{').next().unwrap()]);
    }
    let page = include_str!("../../../../docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let listed: BTreeMap<String, &str> =
        rows.map(|(name, rest)| (name.to_owned(), rest.split([' ', '|']).next().unwrap())).collect();
    assert_eq!(shown, listed);
    server.stop().await;
}

#[tokio::test]
async fn what_changed_lately_is_shown() {
    let server = Server::start(&[]).await;
    server.publish("d", "1").await;
    server.publish("d", "2").await;
    let seen = server.get("/actuator/prometheus").send().await;
    let text = seen.text();
    assert!(text.contains("\nconfig_change_count{config=\"public@G@d\",} 2.0\n"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn clients_with_a_password_log_in_while_authentication_is_off() {
    let server = Server::start(&[]).await;
    for path in ["/v1/auth/login", "/v1/auth/users/login", "/v3/auth/user/login"] {
        // Java: the name in the query, the password in the body.
        let seen = server.post(path).query(&[("username", "app")]).form(&[("password", "secret")]).send().await;
        assert_eq!(seen.status, 200, "{path}");
        let body = seen.json();
        assert!(body["accessToken"].is_string() && body["tokenTtl"].is_u64() && body["globalAdmin"].is_boolean());
        assert_eq!(body["username"], "app");
        let blank = server.post(path).form(&[("username", ""), ("password", "x")]).send().await;
        assert_eq!(blank.status, 403, "{path}");
        let token = body["accessToken"].as_str().unwrap().to_owned();
        server.publish("d", "x").await;
        let query = [("dataId", "d"), ("group", "G"), ("accessToken", &*token)];
        assert_eq!(server.get("/v1/cs/configs").query(&query).send().await.status, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn events_are_found_by_what_they_are_about() {
    let server = Server::start(&[]).await;
    server.publish("one", "x").await;
    server.publish("two", "x").await;
    server.delete("/v1/cs/configs").query(&[("dataId", "one"), ("group", "G")]).send().await;
    let events = async |pairs: &[(&str, &str)]| {
        let seen = server.get("/v3/admin/diagnosis/events").query(pairs).send().await.json();
        assert_eq!(seen["code"], 0);
        seen["data"]["events"].as_array().unwrap().clone()
    };
    let about = events(&[("config", "one")]).await;
    let kinds: Vec<&str> = about.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["configRemoved", "configPublished"], "newest first");
    assert_eq!(about[0]["subject"]["dataId"], "one");
    assert!(about.iter().all(|event| event["seq"].is_u64() && event["at"].is_i64() && event["text"].is_string()));
    assert_eq!(events(&[("config", "one"), ("kind", "configPublished,beatLate")]).await.len(), 1);
    assert_eq!(events(&[("kind", "configPublished"), ("limit", "1")]).await.len(), 1);
    assert_eq!(events(&[("config", "one"), ("from", "99999999999999")]).await.len(), 0);
    let bad = server.get("/v3/admin/diagnosis/events").query(&[("limit", "x")]).send().await;
    assert_eq!((bad.status, bad.json()["code"].as_i64()), (500, Some(30000)));
    server.stop().await;
}

#[tokio::test]
async fn the_story_of_an_instance_is_told() {
    let server = Server::start(&[]).await;
    let form = [("serviceName", "orders"), ("ip", "192.0.2.7"), ("port", "8080")];
    server.post("/v1/ns/instance").form(&form).send().await;
    server.delete("/v1/ns/instance").query(&form).send().await;
    let query = [("instance", "192.0.2.7:8080"), ("why", "true")];
    let seen = server.get("/v3/admin/diagnosis/events").query(&query).send().await.json();
    let story = seen["data"]["events"].as_array().unwrap();
    assert_eq!(story[0]["kind"], "instanceRemoved", "{seen}");
    assert!(story[0]["text"].as_str().unwrap().contains("removed just now"), "{seen}");
    server.stop().await;
}

#[tokio::test]
async fn workers_are_listed_and_running() {
    let server = Server::start(&[]).await;
    let seen = server.get("/v3/admin/diagnosis/workers").send().await.json();
    let workers = seen["data"]["workers"].as_array().unwrap();
    assert!(workers.iter().any(|worker| worker["name"] == "clock" && worker["state"] == "running"), "{seen}");
    server.stop().await;
}

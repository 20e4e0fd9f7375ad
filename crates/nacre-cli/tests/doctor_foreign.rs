//! `nacre doctor` against servers that make no findings themselves: answers in the shapes that a stock Java Nacos 2.5 and 3.1 gives
//! (tests/golden), and nacre itself looked at from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

use common::{Asked, Reply, Scripted, node::Node, run};
use serde_json::{Value, json};

fn ok(body: &Value) -> Reply {
    (200, "Content-Type: application/json\r\n", body.to_string())
}

fn gone(asked: &Asked) -> Reply {
    (404, "", json!({"timestamp": "x", "status": 404, "error": "Not Found", "path": asked.path}).to_string())
}

/// An instance as catalog and lists show it.
fn instance(ip: &str, port: u16, change: &[(&str, Value)]) -> Value {
    let mut out = json!({
        "ip": ip, "port": port, "weight": 1.0, "healthy": true, "enabled": true, "ephemeral": true, "clusterName": "DEFAULT",
        "metadata": {}, "instanceHeartBeatInterval": 5000, "instanceHeartBeatTimeOut": 15000, "ipDeleteTimeout": 30000,
    });
    for (name, value) in change {
        out[*name] = value.clone();
    }
    out
}

/// What is registered: by namespace and service.
fn world(namespace: &str, service: &str) -> Vec<Value> {
    let seconds = json!({"preserved.heart.beat.interval": "5", "preserved.heart.beat.timeout": "15"});
    let slow = json!({"preserved.heart.beat.interval": "20000"});
    match (namespace, service) {
        ("", "orders") => vec![
            instance("10.0.0.1", 80, &[]),
            instance("10.0.0.2", 80, &[("healthy", false.into())]),
            instance("10.0.0.3", 80, &[("weight", 0.0.into())]),
            instance("10.0.0.4", 80, &[("enabled", false.into())]),
            instance("127.0.0.1", 80, &[]),
            instance("172.17.0.2", 80, &[]),
            instance("10.0.0.5", 80, &[("metadata", seconds)]),
            instance("10.0.0.6", 80, &[("metadata", slow)]),
        ],
        ("", "Orders ") => vec![instance("10.0.0.7", 80, &[])],
        ("", "dead") => vec![instance("10.0.0.8", 80, &[("healthy", false.into())])],
        ("dev", "orders") => vec![instance("10.0.0.1", 80, &[])],
        _ => Vec::new(),
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn field(asked: &Asked, name: &str) -> String {
    let pair = asked.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    decoded(pair.unwrap_or_default())
}

/// 2.5.1 as a cluster of three in a bad state.
fn two(scrapes: &AtomicU32, asked: &Asked) -> Reply {
    let namespace = field(asked, "namespaceId");
    let service = field(asked, "serviceName");
    let service = service.rsplit("@@").next().unwrap();
    match asked.path.trim_start_matches("/nacos") {
        "/v1/console/health/readiness" => (200, "", "OK".to_owned()),
        "/v1/console/server/state" => {
            ok(&json!({"version": "2.5.1", "startup_mode": "cluster", "auth_enabled": "false"}))
        }
        "/v1/ns/operator/metrics" => ok(&json!({"status": "UP", "serviceCount": 4, "subscribeCount": 7000})),
        "/v1/core/cluster/self" => {
            ok(&json!({"code": 200, "message": null, "data": {"ip": "10.1.0.1", "extendInfo": {}}}))
        }
        "/v1/core/cluster/nodes" => {
            let node = |ip: &str, state: &str, version: &str, leader: &str| {
                json!({"ip": ip, "port": 8848, "state": state, "address": format!("{ip}:8848"), "failAccessCnt": 0, "extendInfo": {
                    "version": version, "raftMetaData": {"metaDataMap": {"naming_persistent_service_v2": {"leader": leader, "term": 1}}}}})
            };
            ok(&json!({"code": 200, "message": null, "data": [
                node("10.1.0.1", "UP", "2.5.1", "10.1.0.1:7848"), node("10.1.0.2", "UP", "2.5.1", "10.1.0.2:7848"),
                node("10.1.0.3", "SUSPICIOUS", "2.3.0", "10.1.0.1:7848")]}))
        }
        "/actuator/prometheus" => {
            let n = scrapes.fetch_add(1, Ordering::Relaxed);
            let body = format!(
                "# TYPE nacos_exception_total counter\nnacos_exception_total{{module=\"config\",name=\"db\",}} {n}.0\n\
                 jvm_gc_pause_seconds_max{{action=\"end of major GC\",cause=\"x\",}} 6.5\n"
            );
            (200, "Content-Type: text/plain\r\n", body)
        }
        "/v1/console/namespaces" => ok(&json!({"code": 200, "message": null, "data": [
            {"namespace": "", "namespaceShowName": "public", "type": 0}, {"namespace": "dev", "namespaceShowName": "dev", "type": 2}]})),
        "/v1/ns/catalog/services" => {
            let names: &[&str] = if namespace == "dev" { &["orders"] } else { &["orders", "Orders ", "dead", "empty"] };
            let rows: Vec<Value> = names
                .iter()
                .map(|name| {
                    let count = world(&namespace, name).len();
                    json!({"name": name, "groupName": "DEFAULT_GROUP", "clusterCount": 1, "ipCount": count, "healthyInstanceCount": 0})
                })
                .collect();
            ok(&json!({"count": rows.len(), "serviceList": rows}))
        }
        "/v1/ns/service" => {
            ok(&json!({"name": service, "groupName": "DEFAULT_GROUP", "protectThreshold": 0.0, "metadata": {},
            "selector": {"type": "none"}, "clusters": [{"name": "DEFAULT", "healthChecker": {"type": "TCP"}, "metadata": {}}]}))
        }
        "/v1/ns/catalog/instances" => {
            let list = world(&namespace, service);
            ok(&json!({"count": list.len(), "list": list}))
        }
        "/v1/ns/instance/list" => {
            let list: Vec<Value> = world(&namespace, service).into_iter().filter(|i| i["enabled"] == true).collect();
            ok(&json!({"name": service, "hosts": list, "reachProtectionThreshold": service == "dead"}))
        }
        _ => gone(asked),
    }
}

fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

fn look(url: &str, args: &[&str]) -> (i32, Value) {
    let args = [&["-s", url, "doctor", "--json", "--between", "100ms"], args].concat();
    let (code, out, err) = run(&args);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}\n{err}")))
}

fn java() -> Scripted {
    let scrapes = AtomicU32::new(1);
    Scripted::start(move |asked| two(&scrapes, asked))
}

#[test]
fn what_a_java_server_gives_away_is_judged() {
    let server = java();
    let (code, report) = look(&server.url, &[]);
    assert_eq!(code, 2, "{report:#}");
    assert_eq!(
        codes(&report),
        [
            "JVM-GC-LONG-PAUSE",
            "BEAT-INTERVAL-TOO-LONG",
            "BEAT-TIMERS-IN-SECONDS",
            "EXCEPTIONS-GROW",
            "INSTANCE-UNHEALTHY",
            "INSTANCE-WEIGHT-ZERO",
            "MEMBER-NOT-UP",
            "MEMBER-VERSIONS-DIFFER",
            "PROTECTION-REACHED",
            "RAFT-LEADERS-DISAGREE",
            "SERVICE-NAMES-ALIKE",
            "SERVICE-NO-HEALTHY-INSTANCE",
            "ADDRESS-IN-SEVERAL-PLACES",
            "INSTANCE-BRIDGE-ADDRESS",
            "INSTANCE-DISABLED",
            "INSTANCE-LOOPBACK-ADDRESS",
            "SUBSCRIBERS-MANY",
        ],
        "{report:#}"
    );
    let of = |code: &str| report["findings"].as_array().unwrap().iter().find(|f| f["code"] == code).unwrap();
    let seconds = of("BEAT-TIMERS-IN-SECONDS");
    assert_eq!((&seconds["subject"]["instance"], &seconds["count"]), (&"10.0.0.5:80:DEFAULT".into(), &1.into()));
    let text = seconds.to_string();
    assert!(text.contains("=5") && text.contains("=15") && text.contains(" ms"), "{text}");
    assert!(of("EXCEPTIONS-GROW")["remedy"][0].as_str().unwrap().contains("nacos_exception_total{name=\"db\"}"));
    assert_eq!(of("SERVICE-NO-HEALTHY-INSTANCE")["subject"]["serviceName"], "dead");
    assert!(report["notSeen"].as_array().unwrap().len() >= 3);
    assert_eq!(report["looked"]["services"], 5);
}

#[test]
fn one_subject_may_be_asked_about_and_the_text_fits() {
    let server = java();
    let (code, report) = look(&server.url, &["instance", "10.0.0.3:80"]);
    assert_eq!((code, codes(&report)), (1, vec!["INSTANCE-WEIGHT-ZERO"]));
    let (code, out, _) = run(&["-s", &server.url, "doctor", "--between", "100ms"]);
    assert_eq!(code, 2);
    assert!(out.starts_with("Nacos 2.5.1 (cluster), by its public APIs\n"), "{out}");
    assert!(out.contains("Not seen, and what it would take") && out.contains("nacre doctor client"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
}

#[test]
fn metrics_that_are_hidden_and_lists_that_are_denied_are_said() {
    let server = Scripted::start(|asked| match asked.path.trim_start_matches("/nacos") {
        "/v3/admin/core/state/readiness" => ok(&json!({"code": 0, "message": "success", "data": "ok"})),
        "/v3/admin/core/state" => {
            ok(&json!({"code": 0, "message": "success", "data": {"version": "3.1.0", "startup_mode": "standalone"}}))
        }
        "/v3/admin/ns/ops/metrics" => ok(&json!({"code": 0, "message": "success", "data": {"status": "UP"}})),
        "/v3/admin/core/namespace/list" => ok(
            &json!({"code": 0, "message": "success", "data": [{"namespace": "public", "namespaceShowName": "public"}]}),
        ),
        "/v3/admin/ns/service/list" => (
            403,
            "",
            r#"{"timestamp":"x","status":403,"error":"Forbidden","message":"user not found!","path":"/"}"#.to_owned(),
        ),
        path if path.starts_with("/v1/") => (410, "", r#"{"status":410,"error":"Gone","path":"x"}"#.to_owned()),
        _ => gone(asked),
    });
    let (code, report) = look(&server.url, &[]);
    assert_eq!((code, codes(&report)), (0, Vec::new()), "{report:#}");
    assert_eq!(report["version"], "3.1.0");
    let blind = report["notSeen"].to_string();
    assert!(blind.contains("management.endpoints.web.exposure.include=prometheus"), "{blind}");
    assert!(blind.contains("services of namespace public") && blind.contains("--username"), "{blind}");
}

#[test]
fn a_server_that_is_not_ready_is_critical() {
    let server = Scripted::start(|asked| match asked.path.trim_start_matches("/nacos") {
        "/v1/console/health/readiness" => (500, "", "naming not in readiness".to_owned()),
        "/v1/console/server/state" => ok(&json!({"version": "1.4.8", "standalone_mode": "cluster"})),
        "/v1/ns/operator/metrics" => ok(&json!({"status": "DOWN"})),
        "/v1/ns/catalog/services" => ok(&json!({"count": 0, "serviceList": []})),
        _ => gone(asked),
    });
    let (code, report) = look(&server.url, &[]);
    assert_eq!((code, codes(&report)), (2, vec!["SERVER-NOT-READY"]), "{report:#}");
    assert!(report["findings"][0]["evidence"].to_string().contains("not in readiness"));
}

#[test]
fn nacre_looked_at_from_outside_is_healthy_and_its_instances_are_probed() {
    let node = Node::start(&[]);
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let open_at = open.local_addr().unwrap().to_string();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let register =
        |service: &str, at: &str| assert_eq!(run(&["-s", &node.url, "instance", "register", service, at]).0, 0);
    register("here", &open_at);
    let (code, report) = look(&node.url, &["--foreign"]);
    // Server and instance are on this machine: an address of loopback is worth a word, no more. That the machine is busy is true
    // while other tests run.
    let busy = |report: &Value| codes(report).contains(&"SERVER-CPU-BUSY");
    let of_nacre = |report: &Value| {
        let all = codes(report).into_iter().filter(|code| *code != "SERVER-CPU-BUSY");
        all.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of_nacre(&report), ["INSTANCE-LOOPBACK-ADDRESS"], "{report:#}");
    assert_eq!(code, i32::from(busy(&report)), "{report:#}");
    assert_eq!(report["looked"]["instances"], 1);
    register("lost", &closed);
    let (code, report) = look(&node.url, &["--probe"]);
    assert_eq!((code, &*of_nacre(&report)[0]), (1, "INSTANCE-UNREACHABLE"), "{report:#}");
    let found = report["findings"].as_array().unwrap();
    let finding = found.iter().find(|finding| finding["code"] == "INSTANCE-UNREACHABLE").unwrap();
    assert_eq!((&finding["subject"]["serviceName"], &finding["count"]), (&"lost".into(), &1.into()));
}

#[test]
fn a_namespace_that_no_list_has_is_looked_at_when_it_is_named() {
    let node = Node::start(&[]);
    let register = ["-s", &node.url, "--namespace", "prdo", "instance", "register", "astray", "10.9.9.9:80"];
    assert_eq!(run(&register).0, 0);
    let (_, report) = look(&node.url, &["--foreign"]);
    assert_eq!(report["looked"]["services"], 0, "{report:#}");
    assert!(report["notSeen"].to_string().contains("--namespace ID"), "{report:#}");
    let (_, report) = look(&node.url, &["--foreign", "--namespace", "prdo"]);
    assert_eq!(report["looked"]["services"], 1, "{report:#}");
}

#[test]
fn everything_is_said_in_chinese_when_that_is_asked_for() {
    let server = java();
    let (code, out, _) = run(&["-s", &server.url, "doctor", "--between", "100ms", "--lang", "zh"]);
    assert_eq!(code, 2);
    assert!(out.contains("有实例权重为 0") && out.contains("看不到的内容"), "{out}");
    assert_eq!(common::english_sentences(&out), Vec::<String>::new());
    let (_, out, _) = run(&["-s", &server.url, "doctor", "--between", "100ms", "--lang", "en"]);
    assert!(common::english_sentences(&out).len() > 10, "the measure finds English: {out}");
}

//! `nacre explain` against servers of several kinds, and against none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
};

use common::{Running, Scripted, curl, nacre, run};
use serde_json::Value;

const BOTH: &str =
    "nacos_exception_total{name='leaderSendBeatFailed'} is 2 while nacos_monitor{name='leaderStatus'} is 1";

/// Answers of a Java Nacos; its counter of failed beats is what `failed` says at each scrape.
fn java(version: &'static str, metrics: impl Fn(u64) -> String + Send + Sync + 'static) -> Scripted {
    let scrapes = AtomicU64::new(0);
    Scripted::start(move |asked| {
        match &*asked.path {
        "/nacos/actuator/prometheus" => (200, "", metrics(scrapes.fetch_add(1, Ordering::Relaxed))),
        "/nacos/v1/console/server/state" => {
            (200, "", format!(r#"{{"version":"{version}","standalone_mode":"cluster"}}"#))
        }
        "/nacos/v1/core/cluster/nodes" => (
            200,
            "",
            r#"{"code":200,"data":[{"ip":"10.0.0.1","port":8848,"state":"UP","address":"10.0.0.1:8848","extendInfo":{"version":"1.3.2"}},
                {"ip":"10.0.0.2","port":8848,"state":"DOWN","address":"10.0.0.2:8848","extendInfo":{"version":"1.3.2"}}]}"#
                .into(),
        ),
        _ => (404, "", String::new()),
    }
    })
}

fn old_leader(failed: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Scripted {
    java("1.3.2", move |scrape| {
        format!(
            "# TYPE nacos_exception_total counter\nnacos_exception_total{{module=\"naming\",name=\"leaderSendBeatFailed\",}} \
             {}.0\nnacos_monitor{{module=\"naming\",name=\"leaderStatus\",}} 1.0\n",
            failed(scrape)
        )
    })
}

fn json(server: &str, question: &str, wait: &str) -> Value {
    let (code, out, err) =
        run(&["--server", server, "-o", "json", "explain", question, "--lang", "en", "--wait", wait]);
    assert_eq!(code, 0, "{question}: {err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn beats_that_failed_and_stopped_failing_are_past() {
    let server = old_leader(|_| 2);
    let seen = json(&server.url, BOTH, "100ms");
    assert_eq!(seen["metrics"][0]["verdict"]["level"], "watch");
    assert!(seen["metrics"][0]["verdict"]["text"].as_str().unwrap().contains("none more within"), "{seen}");
    assert_eq!(seen["metrics"][1]["verdict"]["level"], "fine");
    assert_eq!(seen["together"].as_array().unwrap().len(), 1);
    assert_eq!(seen["members"][1]["state"], "DOWN");
    let (code, text, _) = run(&["--server", &server.url, "explain", BOTH, "--lang", "en", "--wait", "100ms"]);
    assert_eq!(code, 0);
    for part in ["PASSED", "FINE", "10.0.0.2:8848  DOWN", "Both together", "increase(", "1. "] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn beats_that_go_on_failing_are_a_problem() {
    let server = old_leader(|scrape| 2 + scrape);
    let seen = json(&server.url, "sum(rate(nacos_exception_total{name='leaderSendBeatFailed'}[1m]))*60 > 1", "100ms");
    assert_eq!(seen["metrics"][0]["verdict"]["level"], "problem", "{seen}");
    assert_eq!(seen["metrics"][0]["live"][0]["later"], 3.0);
    let once = json(&server.url, "leaderSendBeatFailed", "0");
    assert_eq!(once["metrics"][0]["verdict"]["level"], "watch");
}

#[test]
fn a_gauge_that_nothing_writes_says_nothing() {
    let server = java("2.5.1", |_| "nacos_monitor{module=\"naming\",name=\"leaderStatus\",} 0.0\n".to_owned());
    let seen = json(&server.url, BOTH, "100ms");
    assert_eq!(seen["metrics"][1]["verdict"]["level"], "unknown", "{seen}");
    assert!(seen["metrics"][0]["absent"].as_str().unwrap().contains("nothing counts it"), "{seen}");
    assert_eq!(seen["server"]["version"], "2.5.1");
}

#[test]
fn a_server_without_metrics_and_no_server_are_told_apart() {
    let hidden = Scripted::start(|_| (404, "", String::new()));
    let seen = json(&hidden.url, "leaderStatus is 2", "100ms");
    assert!(seen["blind"].as_str().unwrap().contains("exposure.include"), "{seen}");
    assert_eq!(seen["metrics"][0]["verdict"]["level"], "problem");
    // Nothing listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, text, _) = run(&["-s", &format!("http://127.0.0.1:{port}"), "explain", BOTH, "--lang", "zh"]);
    assert_eq!(code, 0);
    assert!(text.contains("没有看到实时值") && text.contains("合起来看") && text.contains("计数器"), "{text}");
}

#[test]
fn codes_are_explained_and_nonsense_is_not() {
    for code in ["20404", "10200", "301", "30000", "-401"] {
        let (exit, text, err) = run(&["explain", "--lang", "en", "--", code]);
        assert_eq!(exit, 0, "{code}: {err}");
        assert!(text.starts_with(code), "{text}");
    }
    for (lang, part) in [("en", "(warning)"), ("zh", "服务器")] {
        let (exit, text, _) = run(&["explain", "SERVER-STALLED", "--lang", lang]);
        assert!(exit == 0 && text.starts_with("SERVER-STALLED") && text.contains(part) && text.len() > 200, "{text}");
    }
    let (exit, _, err) = run(&["explain", "nacos_monitr{name='leaderStatus'}", "--lang", "en"]);
    assert_eq!(exit, 3);
    assert!(err.contains("leaderStatus"), "{err}");
}

#[test]
fn the_language_is_the_environments() {
    for (name, value, chinese) in
        [("LANG", "zh_CN.UTF-8", true), ("LC_ALL", "en_US.UTF-8", false), ("LANG", "C", false)]
    {
        let mut command = nacre(&["explain", "--offline", "20404"]);
        let out = command.env("LANG", "zh_CN.UTF-8").env(name, value).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout).contains("心跳"), chinese, "{name}={value}");
    }
}

#[test]
fn every_metric_of_nacre_is_explained() {
    let home = tempfile::tempdir().unwrap();
    let mut command = nacre(&["server", "--home", home.path().to_str().unwrap(), "-D", "server.port=0"]);
    let mut process = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let greeting: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
    let url =
        greeting.iter().find_map(|line| line.split_whitespace().find(|word| word.starts_with("http://"))).unwrap();
    curl(&format!("{url}/v1/cs/configs -d dataId=d -d group=G -d content=c"));
    let (status, text) = curl(&format!("{url}/actuator/prometheus"));
    assert_eq!(status, 200);
    let mut all = 0;
    for line in text.lines().filter(|line| line.contains(' ') && !line.starts_with('#') && !line.contains("_bucket{")) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (code, out, err) = run(&["explain", "--offline", "-o", "json", series]);
        assert_eq!(code, 0, "{series}: {err}");
        let seen: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(seen["metrics"].as_array().unwrap().len(), 1, "{series}: {seen}");
        all += 1;
    }
    assert!(all > 80, "{all}");
    // And judged: a fresh server has nothing to answer for.
    let seen = json(url, BOTH, "100ms");
    assert_eq!(seen["server"]["kind"], "nacre");
    for metric in seen["metrics"].as_array().unwrap() {
        assert_eq!(metric["verdict"]["level"], "fine", "{metric}");
    }
}

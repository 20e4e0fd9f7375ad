//! `nacre bench` against the real server: every operation does what it says, leaves nothing behind, and its JSON holds figures
//! that can be true. How fast anything is does not matter here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use common::{Running, curl, nacre, run};
use serde_json::Value;

struct Server {
    _process: Running,
    _home: tempfile::TempDir,
    address: String,
}

impl Server {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = nacre(&["server", "--home", home.path().to_str().unwrap(), "-D", "server.port=0"]);
        let mut process = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("http://").map(str::to_owned)));
        let address = url.unwrap().split('/').next().unwrap().to_owned();
        Self { _process: process, _home: home, address }
    }

    /// The JSON that a command ends with.
    fn bench(&self, words: &str) -> Value {
        let mut args = vec!["-s", &self.address, "bench"];
        args.extend(words.split(' '));
        args.push("--json");
        let (code, out, err) = run(&args);
        assert_eq!(code, 0, "{words}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words}: {error}: {out}"))
    }

    /// Nothing of ours is there any more.
    fn assert_clean(&self, words: &str) {
        let base = format!("http://{}/nacos/v1", self.address);
        let (_, configs) =
            curl(&format!("{base}/cs/configs?search=blur&dataId=nacre-bench*&group=NACRE_BENCH&pageNo=1&pageSize=10"));
        let configs: Value = serde_json::from_str(&configs).unwrap();
        assert_eq!(configs["totalCount"], 0, "{words} leaves configs");
        let (_, list) = curl(&format!(
            "{base}/ns/instance/list?serviceName=NACRE_BENCH@@nacre-bench-00000000&groupName=NACRE_BENCH"
        ));
        let list: Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list["hosts"].as_array().map(Vec::len), Some(0), "{words} leaves instances");
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Percentiles rise, and none is zero.
fn assert_sane(latency: &Value) {
    let keys = ["min", "p50", "p90", "p99", "p999", "max"];
    let values: Vec<f64> = keys.iter().map(|key| number(&latency[*key])).collect();
    // Values are kept to three digits, so neighbours may seem to change places by that much.
    assert!(values.windows(2).all(|pair| pair[0] <= pair[1] * 1.002), "{latency}");
    assert!(values[0] > 0.0 && number(&latency["mean"]) > 0.0, "{latency}");
}

fn assert_contest(result: &Value, words: &str, count: u64, bare: &str) {
    let servers = result["servers"].as_array().unwrap();
    assert_eq!(servers.iter().map(|s| s["name"].as_str().unwrap()).collect::<Vec<_>>(), ["target", bare], "{words}");
    for server in servers {
        assert_eq!(server["operations"], count, "{words}: {server}");
        assert_eq!((&server["wrong"], &server["unanswered"]), (&0.into(), &0.into()), "{words}: {server}");
        assert_eq!(server["rounds"].as_array().unwrap().len(), 2, "{words}");
        assert!(number(&server["rate"]) > 0.0 && server["pid"].is_u64(), "{words}: {server}");
        assert!(number(&server["memory_after"]["resident"]) > 1e6, "{words}: {server}");
        assert_sane(&server["latency_us"]);
    }
    let ratio = &result["ratios"][0];
    assert_eq!((&ratio["of"], &ratio["to"]), (&"target".into(), &bare.into()), "{words}");
    assert!(number(&ratio["rate"]) > 0.0, "{words}");
    for key in ["tool", "operation", "settings", "machine"] {
        assert!(!result[key].is_null(), "{words}: {key}");
    }
}

const SMALL: &str = "-c 4 --count 60 --rounds 2 --keys 6 --instances 3 --baseline";

#[test]
fn every_operation_over_http_works_in_every_generation() {
    let server = Server::start();
    for api in ["v1", "v2", "v3"] {
        for operation in ["config-get", "config-publish", "register", "beat", "list", "deregister"] {
            let words = format!("http {operation} --api {api} {SMALL}");
            assert_contest(&server.bench(&words), &words, 60, "bare hyper");
            server.assert_clean(&words);
        }
    }
}

#[test]
fn every_operation_over_grpc_works() {
    let server = Server::start();
    let operations = ["config-query", "config-publish", "service-query", "register", "deregister", "health-check"];
    for operation in operations {
        let words = format!("grpc {operation} {SMALL}");
        assert_contest(&server.bench(&words), &words, 60, "bare tonic");
        server.assert_clean(&words);
    }
}

#[test]
fn the_open_loop_counts_what_was_due() {
    let server = Server::start();
    let result = server.bench("http config-get -c 4 --rate 200 -d 1s -w 100ms --keys 5");
    let target = &result["servers"][0];
    assert_eq!(target["operations"], 200, "{target}");
    assert_sane(&target["latency_us"]);
}

#[test]
fn a_change_reaches_every_subscriber_of_each_kind() {
    let server = Server::start();
    for kind in ["service", "config", "long-poll"] {
        let words = format!("fan-out {kind} --subscribers 20 --changes 2 --pause 600ms");
        let result = server.bench(&words);
        let target = &result["servers"][0];
        assert_eq!((&target["changes"], &target["missed"]), (&2.into(), &0.into()), "{words}: {target}");
        for key in ["first_us", "median_us", "last_us", "acknowledged_us"] {
            assert_sane(&target[key]);
        }
        assert!(number(&target["first_us"]["p50"]) <= number(&target["last_us"]["p50"]), "{target}");
        server.assert_clean(&words);
    }
}

#[test]
fn connections_and_registries_are_weighed() {
    let server = Server::start();
    let result = server.bench("connections --steps 20,60 --listen 110 --idle 100ms");
    let steps = result["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| &step["connections"]).collect::<Vec<_>>(), [20, 60]);
    assert!(result["listened"]["bytes_a_key"].is_number() && result["listened"]["keys_each"] == 110, "{result}");
    assert!(result["listened"]["buffers_a_connection"].is_number(), "{result}");
    let result = server.bench("registry --sizes 300,1k --per-service 50 --listed 100ms");
    let sizes = result["sizes"].as_array().unwrap();
    assert_eq!(sizes.iter().map(|size| &size["services"]).collect::<Vec<_>>(), [6, 20]);
    for size in sizes {
        assert_eq!(size["list_failed"], 0, "{size}");
        assert_sane(&size["list_us"]);
    }
}

#[test]
fn another_server_is_measured_in_turns() {
    let (server, other) = (Server::start(), Server::start());
    let words = format!("http list -c 2 --count 20 --keys 2 --against other={}", other.address);
    let result = server.bench(&words);
    assert_eq!(result["servers"][1]["name"], "other");
    assert_ne!(result["servers"][0]["pid"], result["servers"][1]["pid"]);
    assert_eq!(result["ratios"][0]["to"], "other");
    other.assert_clean(&words);
}

#[test]
fn failures_are_counted_and_shown_not_hidden() {
    let server = Server::start();
    // The namespace holds a character that no generation takes.
    let (code, _, err) = run(&["-s", &server.address, "-n", "a$b", "bench", "http", "config-get", "--count", "5"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("status 4") || err.contains("status 5"), "{err}");
}

#[test]
fn servers_of_others_are_not_loaded_and_runs_are_bounded() {
    for (args, says) in [
        (&["-s", "192.0.2.1:8848", "bench", "http", "list"][..], "--i-own-this-server"),
        (&["-s", "192.0.2.1:8848", "bench", "fan-out", "service"][..], "--i-own-this-server"),
        (&["bench", "http", "list", "-d", "120m"][..], "60m"),
        (&["bench", "http", "list", "-c", "0"][..], "1..=20000"),
        (&["bench", "http", "list", "--count", "11m"][..], "10m"),
        (&["bench", "http", "list", "--count", "5", "--rate", "5"][..], "cannot be used with"),
    ] {
        let (code, _, err) = run(args);
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
    }
    let (code, _, err) = run(&["-s", "127.0.0.1:1", "bench", "http", "list", "--count", "1"]);
    assert_eq!(code, 4, "{err}");
}

//! The journal over the life of a real process: killed, started again, asked what was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use common::{Running, curl, nacre, run, signal};
use serde_json::Value;

/// Starts a server; its process and address.
fn start(home: &Path) -> (Running, String) {
    let mut command = nacre(&["server", "--home", home.to_str().unwrap(), "-D", "server.port=0"]);
    let mut process = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    for line in BufReader::new(process.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(url) = line.split_whitespace().find_map(|word| word.strip_prefix("http://")) {
            return (process, url.split('/').next().unwrap().to_owned());
        }
    }
    panic!("the server ended before it greeted");
}

fn get(address: &str, path: &str) -> String {
    let (status, body) = curl(&format!("http://{address}/nacos{path}"));
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn post(address: &str, path: &str, form: &str) {
    let (status, body) = curl(&format!("-X POST -d {form} http://{address}/nacos{path}"));
    assert_eq!(status, 200, "{body}");
}

fn metric(address: &str, start: &str) -> f64 {
    let text = get(address, "/actuator/prometheus");
    text.lines()
        .filter(|line| line.starts_with(start))
        .map(|line| line.rsplit(' ').next().unwrap())
        .fold(0.0, |sum, value| sum + value.parse::<f64>().unwrap())
}

/// Waits until everything that happened before this call is saved.
fn saved(address: &str) {
    let happened = metric(address, "nacre_journal_events_total{");
    let patience = Instant::now() + Duration::from_secs(30);
    while metric(address, "nacre_journal_disk_events_total ") < happened {
        assert!(Instant::now() < patience, "the journal is not saved");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn timeline(address: &str, words: &[&str]) -> Value {
    let server = format!("http://{address}");
    let mut args = vec!["-s", &server, "-o", "json", "timeline"];
    args.extend(words);
    let (code, out, err) = run(&args);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn what_was_before_a_kill_is_told_after_it() {
    let home = tempfile::tempdir().unwrap();
    let (server, address) = start(home.path());
    post(&address, "/v1/ns/instance", "serviceName=orders&ip=192.0.2.7&port=8080&metadata=zone=a");
    post(&address, "/v1/ns/instance", "serviceName=orders&ip=192.0.2.8&port=8080");
    post(&address, "/v1/ns/instance", "serviceName=durable&ip=192.0.2.9&port=80&ephemeral=false");
    post(&address, "/v1/cs/configs", "dataId=app.yaml&group=DEFAULT_GROUP&content=a");
    saved(&address);
    let before = timeline(&address, &["orders", "--at", "now"]);
    assert_eq!((&before["total"], &before["healthy"]), (&2.into(), &2.into()));
    let moment = before["at"].to_string();
    signal(&server.0, "KILL");
    drop(server);

    let (server, address) = start(home.path());
    let server_arg = format!("http://{address}");
    let (code, out, err) = run(&["-s", &server_arg, "instance", "why", "192.0.2.7:8080"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("registered"), "{out}");

    let was = timeline(&address, &["orders", "--at", &moment]);
    assert_eq!((&was["exact"], &was["total"]), (&true.into(), &2.into()), "{was}");
    assert_eq!(was["instances"][0]["metadata"]["zone"], "a");
    let is = timeline(&address, &["orders", "--at", "now"]);
    assert_eq!(
        (&is["exact"], &is["total"]),
        (&true.into(), &0.into()),
        "its clients' beats would bring them back: {is}"
    );
    let durable = timeline(&address, &["durable", "--at", "now"]);
    assert_eq!((&durable["exact"], &durable["total"]), (&true.into(), &1.into()), "{durable}");

    let span = timeline(&address, &["orders", "--from", "10m"]);
    let kinds: Vec<&str> = span["changes"].as_array().unwrap().iter().map(|c| c["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"instanceRegistered"), "{kinds:?}");
    assert_eq!(*kinds.last().unwrap(), "serverStarted");
    let config = timeline(&address, &["--config", "app.yaml"]);
    assert_eq!(config["end"]["md5"], "0cc175b9c0f1b6a831c399e269772661", "{config}");
    let subjects: Value = serde_json::from_str(&get(&address, "/v3/admin/diagnosis/subjects?q=192.0.2.7")).unwrap();
    assert_eq!(subjects["data"]["instances"][0]["instance"], "192.0.2.7:8080:DEFAULT", "{subjects}");

    // For people: 80 columns, and the word that matters.
    let (code, out, err) = run(&["-s", &server_arg, "timeline", "orders"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert!(out.contains("2/2") && out.contains("0/0") && out.contains("the server was started"), "{out}");
    let (_, out, _) = run(&["-s", &server_arg, "timeline", "orders", "--at", &moment]);
    assert!(out.contains("192.0.2.7:8080") && out.contains("2 instances, 2 healthy (exact)"), "{out}");

    // Numbers go on: after an orderly stop without a leap.
    let events =
        |address: &str| -> Value { serde_json::from_str(&get(address, "/v3/admin/diagnosis/events?limit=1")).unwrap() };
    signal(&server.0, "TERM");
    let mut server = server;
    server.0.wait().unwrap();
    let (_server, address) = start(home.path());
    let all: Value =
        serde_json::from_str(&get(&address, "/v3/admin/diagnosis/events?kind=serverStarted,serverStopping")).unwrap();
    let all = all["data"]["events"].as_array().unwrap().clone();
    let kinds: Vec<&str> = all.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["serverStarted", "serverStopping", "serverStarted", "serverStarted"]);
    let seqs: Vec<u64> = all.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b), "{seqs:?}");
    assert!(seqs[0] - seqs[1] < 1_000, "{seqs:?}");
    assert!(events(&address)["data"]["events"][0]["seq"].as_u64() >= Some(seqs[0]));
}

#[test]
fn moments_that_are_none_are_refused_with_what_can_be_written() {
    let home = tempfile::tempdir().unwrap();
    let (_server, address) = start(home.path());
    let server = format!("http://{address}");
    let (code, _, err) = run(&["-s", &server, "timeline", "orders", "--at", "someday"]);
    assert_ne!(code, 0);
    assert!(err.contains("ISO 8601"), "{err}");
    let (code, _, _) = run(&["-s", &server, "timeline", "--at", "10m"]);
    assert_eq!(code, 2, "a list is one of a service");
    let (code, _, err) = run(&["-s", &server, "timeline", "--from", "someday"]);
    assert!(code != 0 && err.contains("ISO 8601"), "{err}");
    let (code, text, err) = run(&["-s", &server, "timeline", "--kind", "serverStarted,refused", "--lang", "zh"]);
    assert!(code == 0 && text.lines().count() == 2 && !text.is_ascii(), "{text} {err}");
    let (code, text, _) = run(&["-s", &server, "timeline", "--address", "192.0.2.77", "--lang", "en"]);
    assert!(code == 0 && text.contains("nothing happened"), "{text}");
}

//! `nacre doctor` against nacre: its findings as people and programs see them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Stdio,
};

use common::{Running, Scripted, nacre, node::Node, run, signal};
use serde_json::{Value, json};

fn json(args: &[&str]) -> (i32, Value) {
    let (code, out, err) = run(args);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{args:?} {code}: {out}\n{err}")))
}

/// HTTP/1.1 on the gRPC port: the server has a finding about it a second later.
fn knock(node: &Node) {
    let mut stream = TcpStream::connect(("127.0.0.1", node.grpc)).unwrap();
    stream.write_all(b"POST /Request/request HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 400"), "{line}");
}

/// Asks until the finding is there.
fn found(node: &Node, code: &str) -> (i32, Value) {
    loop {
        let (exit, report) = json(&["-s", &node.url, "doctor", "--json"]);
        if let Some(finding) = report["findings"].as_array().unwrap().iter().find(|f| f["code"] == code) {
            return (exit, finding.clone());
        }
    }
}

#[test]
fn a_healthy_server_has_no_findings_and_ends_with_0() {
    let node = Node::start(&[]);
    let (code, out, err) = run(&["-s", &node.url, "doctor"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with(&format!("no findings ({}", node.url)), "{out}");
    let (code, report) = json(&["-s", &node.url, "doctor", "--json"]);
    assert_eq!((code, &report["findings"]), (0, &json!([])));
}

#[test]
fn a_finding_is_shown_with_its_remedy_and_decides_the_exit_code() {
    let node = Node::start(&[]);
    knock(&node);
    let (exit, finding) = found(&node, "GRPC-PORT-HTTP1");
    assert_eq!((exit, &finding["severity"]), (1, &"warning".into()), "{finding:#}");
    assert_eq!(finding["subject"]["address"], "127.0.0.1");
    let (exit, out, _) = run(&["-s", &node.url, "doctor"]);
    assert_eq!(exit, 1, "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert!(out.starts_with("warning  GRPC-PORT-HTTP1 ") && out.contains("\ndo       "), "{out}");
    // Severity is a floor; another address has nothing.
    assert_eq!(run(&["-s", &node.url, "doctor", "--severity", "critical"]).0, 0);
    let (exit, report) = json(&["-s", &node.url, "doctor", "address", "127.0.0.1", "--json"]);
    assert_eq!((exit, &report["findings"][0]["code"]), (1, &"GRPC-PORT-HTTP1".into()));
    assert_eq!(run(&["-s", &node.url, "doctor", "address", "192.0.2.1"]).0, 0);
    let (_, zh, _) = run(&["-s", &node.url, "doctor", "--lang", "zh"]);
    assert!(zh.starts_with("警告") && zh.contains("网络：连接及其字节都已到达"), "{zh}");
    assert_eq!(common::english_sentences(&zh), Vec::<String>::new());
    let output = nacre(&["-s", &node.url, "doctor"]).env("LANG", "zh_CN.UTF-8").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("警告"));
}

#[test]
fn colours_are_for_those_who_want_them() {
    let node = Node::start(&[]);
    knock(&node);
    found(&node, "GRPC-PORT-HTTP1");
    let (_, plain, _) = run(&["-s", &node.url, "doctor"]);
    assert!(!plain.contains('\x1b'), "{plain}");
    let (_, coloured, _) = run(&["-s", &node.url, "doctor", "--color", "always"]);
    assert!(coloured.contains("\x1b[33mwarning"), "{coloured}");
}

#[test]
fn a_watch_tells_what_appears() {
    let node = Node::start(&[]);
    let args = ["-s", &node.url, "doctor", "--json", "--watch=200ms", "--count", "1"];
    let mut watch = Running(nacre(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let remark = BufReader::new(watch.0.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(remark.starts_with("nacre: watching the findings of"), "{remark}");
    knock(&node);
    let mut line = String::new();
    BufReader::new(watch.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["what"], &event["finding"]["code"]), (&"appeared".into(), &"GRPC-PORT-HTTP1".into()));
    assert_eq!(watch.0.wait().unwrap().code(), Some(1));
}

#[test]
fn a_watch_ends_well_with_ctrl_c() {
    let node = Node::start(&[]);
    let mut watch = Running(
        nacre(&["-s", &node.url, "doctor", "--watch"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap(),
    );
    BufReader::new(watch.0.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    signal(&watch.0, "INT");
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
}

#[test]
fn an_instance_a_service_and_an_address_are_told_with_their_story() {
    let node = Node::start(&[]);
    for args in [
        &["instance", "register", "orders", "192.0.2.7:8080"][..],
        &["-n", "dev", "instance", "register", "stock", "192.0.2.7:8081", "-g", "G"],
        &["instance", "register", "other", "192.0.2.70:8080"],
        &["instance", "rm", "other", "192.0.2.70:8080"],
    ] {
        assert_eq!(run(&[&["-s", &node.url], args].concat()).0, 0);
    }
    let (_, zh, _) = run(&["-s", &node.url, "doctor", "service", "other", "--lang", "zh"]);
    let unbroken: String = zh.split_whitespace().collect();
    assert!(unbroken.contains("已注册") && unbroken.contains("已移除：发布者注销了它"), "{zh}");
    let of = |args: &[&str]| json(&[&["-s", &node.url, "doctor", "--json"], args].concat()).1["known"].clone();
    let instance = of(&["instance", "192.0.2.7:8080"]);
    assert_eq!(instance["instances"].as_array().unwrap().len(), 1, "{instance:#}");
    assert_eq!(
        (&instance["instances"][0]["service"], &instance["events"][0]["kind"]),
        (&"orders".into(), &"instanceRegistered".into())
    );
    let address = of(&["address", "192.0.2.7"]);
    let services: Vec<&str> =
        address["instances"].as_array().unwrap().iter().map(|i| i["service"].as_str().unwrap()).collect();
    assert_eq!(services, ["G@@stock (dev)", "orders"]);
    let gone = of(&["service", "other"]);
    assert!(gone["instances"] == json!([]) && gone["events"].as_array().unwrap().len() >= 2, "{gone:#}");
    let (code, out, _) = run(&["-s", &node.url, "doctor", "service", "other"]);
    assert_eq!(code, 0);
    assert!(out.contains("not in any list that consumers get") && out.contains("deregistered"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
}

#[test]
fn a_server_that_cannot_be_asked_ends_with_3() {
    let (code, out, err) = run(&["-s", "127.0.0.1:1", "doctor"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("cannot reach http://127.0.0.1:1/nacos"), "{err}");
    let denied = Scripted::start(|_| (403, "", r#"{"status":403,"message":"user not found!","path":"/"}"#.to_owned()));
    let (code, _, err) = run(&["-s", &denied.url, "doctor"]);
    assert_eq!(code, 3);
    assert!(err.contains("--username"), "{err}");
}

/// A terminal is not needed for one picture.
#[test]
fn top_writes_one_screen_where_there_is_no_terminal() {
    let node = Node::start(&[]);
    assert_eq!(run(&["-s", &node.url, "instance", "register", "orders", "192.0.2.7:8080"]).0, 0);
    let (code, out, err) = run(&["-s", &node.url, "top"]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 24, "{out}");
    assert!(lines[0].starts_with("nacre top  http://127.0.0.1:") && lines[1] == "no findings", "{out}");
    assert!(lines[2].starts_with("services 1  instances 1, 0 unhealthy  connections 0"), "{out}");
    assert!(out.contains("> orders ") && !out.contains('\x1b'), "{out}");
    let (code, report) = json(&["-s", &node.url, "-o", "json", "top"]);
    assert_eq!((code, &report["services"][0]["serviceName"], &report["ready"]), (0, &"orders".into(), &true.into()));
    assert_eq!(run(&["-s", "127.0.0.1:1", "top", "--once"]).0, 1);
}

/// Codes in double quotes in the program's sources, below this directory.
fn codes_of_sources(below: &str, out: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_of_sources(path.to_str().unwrap(), out);
            continue;
        }
        let source = std::fs::read_to_string(path).unwrap();
        // What tests make up is no code.
        let source = source.split("#[cfg(test)]").next().unwrap();
        out.extend(source.split('"').filter(|text| is_code(text)).map(str::to_owned));
    }
}

fn is_code(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    words.len() > 1
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
}

#[test]
fn the_page_has_every_code_and_no_other() {
    let here = env!("CARGO_MANIFEST_DIR");
    let mut codes = std::collections::BTreeSet::new();
    codes_of_sources(&format!("{here}/src/commands/doctor/client"), &mut codes);
    codes_of_sources(&format!("{here}/src/commands/doctor/foreign"), &mut codes);
    assert!(codes.len() > 60, "{codes:?}");
    let page = std::fs::read_to_string(format!("{here}/../../docs/doctor.md")).unwrap();
    let told = page.split('`').filter(|text| is_code(text)).map(str::to_owned).collect();
    assert_eq!(codes, told);
}

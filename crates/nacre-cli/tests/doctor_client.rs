//! `nacre doctor client` against a real server, through paths that are broken in the ways that paths are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{io::Write, net::TcpListener, time::Duration};

use common::{Scripted, node, node::Node, run, signal};
use serde_json::Value;

/// Exit code and report.
fn check(server: &str, args: &[&str]) -> (i32, Value) {
    let args = [&["--server", server, "doctor", "client", "--json"], args].concat();
    let (code, out, err) = run(&args);
    let report = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}\n{err}"));
    (code, report)
}

fn step<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["id"] == id)
        .unwrap_or_else(|| panic!("{id}: {report:#}"))
}

fn state<'a>(report: &'a Value, id: &str) -> (&'a str, &'a str) {
    let step = step(report, id);
    (step["state"].as_str().unwrap(), step["code"].as_str().unwrap())
}

/// Steps that are neither well nor left out, as `id code`; what a busy machine does to the check itself left off.
fn wrong(report: &Value) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap().iter();
    steps
        .filter(|step| matches!(step["state"].as_str().unwrap(), "warn" | "fail"))
        // The machine of a test may be short of time.
        .filter(|step| !step["code"].as_str().unwrap().starts_with("HERE-") && step["code"] != "PATH-SLOW")
        .map(|step| format!("{} {}", step["id"].as_str().unwrap(), step["code"].as_str().unwrap()))
        .collect()
}

/// How many instances the server has.
fn registered(url: &str) -> usize {
    let (_, out, _) = run(&["-s", url, "-o", "json", "instance", "ls"]);
    serde_json::from_str::<Value>(&out).unwrap().as_array().unwrap().len()
}

const BRIEF: [&str; 4] = ["--seconds", "0", "--idle", "0"];

fn brief(grpc: u16) -> Vec<String> {
    BRIEF.iter().map(|word| (*word).to_owned()).chain(["--grpc-port".to_owned(), grpc.to_string()]).collect()
}

/// Against a real main port and this gRPC port.
fn with_grpc(node: &Node, grpc: u16) -> (i32, Value) {
    let args = brief(grpc);
    check(&node.url, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_good_path_is_walked_to_its_end_and_leaves_nothing_behind() {
    let node = Node::start(&[]);
    let grpc = node.grpc.to_string();
    let (code, report) =
        check(&node.url, &["--grpc-port", &grpc, "--seconds", "2", "--interval", "200", "--idle", "2", "--from-host"]);
    assert_eq!(wrong(&report), Vec::<String>::new(), "{report:#}");
    assert!(code <= 1, "{code}");
    for id in [
        "name",
        "tcp",
        "http",
        "login",
        "bodies",
        "grpc-port",
        "grpc",
        "clock",
        "stream",
        "journal",
        "clean-up",
        "idle",
        "from-host",
    ] {
        assert!(["ok", "note"].contains(&state(&report, id).0), "{id}: {report:#}");
    }
    let beats = step(&report, "beats");
    assert!(beats["figures"]["sent"]["beats"].as_u64() >= Some(5), "{beats:#}");
    assert_eq!(beats["figures"]["server"]["absent"], 0);
    assert_eq!(step(&report, "http")["figures"]["nacre"], true);
    assert_eq!(step(&report, "grpc-rtt")["figures"]["times"]["count"], 20);
    let (code, out, _) = run(&["-s", &node.url, "-o", "json", "instance", "ls"]);
    assert_eq!((code, out.trim()), (0, "[]"));
}

#[test]
fn the_text_fits_into_80_columns_and_has_no_colours_in_a_pipe() {
    let node = Node::start(&[]);
    let (code, out, _) =
        run(&["-s", &node.url, "doctor", "client", "--seconds", "0", "--idle", "0", "--grpc-port", "1"]);
    assert_eq!(code, 2, "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert!(!out.contains('\x1b') && out.contains("\n               PATH-GRPC-PORT-REFUSED\n"), "{out}");
}

#[test]
fn everything_is_said_in_chinese_when_that_is_asked_for() {
    let node = Node::start(&[]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let page = Scripted::start(|_| (200, "Content-Type: text/html\r\n", "<html>hello</html>".to_owned()));
    let client = ["doctor", "client", "--lang", "zh"];
    for (server, args, wanted) in [
        (node.url.as_str(), vec!["--seconds", "2", "--idle", "1"], "次HTTP 心跳"),
        (node.url.as_str(), vec!["--seconds", "0", "--idle", "0", "--grpc-port", &closed], "被拒绝"),
        (page.url.as_str(), vec!["--seconds", "0"], "应答的是给人看的网页"),
        ("http://127.0.0.1:1", vec![], "没有程序监听"),
        ("http://no-such-name.invalid:8848", vec![], "本机无法解析"),
    ] {
        let (_, out, err) = run(&[&["--server", server], &client[..], &args].concat());
        assert!(out.contains(wanted), "{wanted}: {out}{err}");
        // The system's own words stay as they are.
        let ours = out.replace("Name or service not known", "");
        assert_eq!(common::english_sentences(&ours), Vec::<String>::new(), "{out}");
    }
}

#[test]
fn nothing_that_listens_is_refused_and_ends_with_2() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, report) = check(&format!("127.0.0.1:{port}"), &BRIEF);
    assert_eq!((code, state(&report, "tcp")), (2, ("fail", "PATH-MAIN-REFUSED")));
    assert_eq!(state(&report, "http").0, "skip");
}

#[test]
fn a_name_that_nobody_knows_ends_the_walk() {
    let (code, report) = check("no-such-host.invalid", &BRIEF);
    assert_eq!((code, state(&report, "name")), (2, ("fail", "PATH-NAME-UNKNOWN")));
    assert_eq!(state(&report, "grpc").0, "skip");
}

/// C098: 8848 is open, main + 1000 is not; the server answers gRPC on its main port, which the report says.
#[test]
fn a_closed_grpc_port_is_told_from_a_broken_one() {
    let node = Node::start(&[]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, report) = with_grpc(&node, closed);
    assert_eq!((code, wrong(&report)), (2, vec!["grpc-port PATH-GRPC-PORT-REFUSED".to_owned()]), "{report:#}");
    let port = step(&report, "grpc-port");
    assert_eq!(port["figures"]["answersInstead"], serde_json::json!([node.port]));
    assert!(port["remedy"][0].as_str().unwrap().contains(&format!("map {closed} -> {}", node.port)), "{port:#}");
}

/// C097.
#[test]
fn what_answers_in_place_of_grpc_is_named() {
    let node = Node::start(&[]);
    let hung_up = node::door(drop);
    let babble = node::door(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        std::thread::sleep(Duration::from_secs(5));
    });
    for (port, code, said) in [
        (node::http1(), "PATH-GRPC-HTTP1", "nginx/1.24.0"),
        (node::black_hole(), "PATH-GRPC-SILENT", "answers nothing"),
        (hung_up, "PATH-GRPC-CLOSED", "without an answer"),
        (babble, "PATH-GRPC-OTHER", "SSH-2.0"),
    ] {
        let (exit, report) = with_grpc(&node, port);
        assert_eq!((exit, state(&report, "grpc")), (2, ("fail", code)), "{report:#}");
        assert!(step(&report, "grpc")["title"].as_str().unwrap().contains(said), "{report:#}");
        assert!(!step(&report, "grpc")["remedy"].as_array().unwrap().is_empty());
    }
}

#[test]
fn tls_and_plain_text_are_told_apart_both_ways() {
    let node = Node::start(&[]);
    let (_, report) = with_grpc(&node, common::tls::tls_port("x"));
    assert_eq!(state(&report, "grpc"), ("fail", "PATH-GRPC-TLS"), "{report:#}");
    let grpc = node.grpc.to_string();
    let (_, report) = check(&node.url, &[&BRIEF[..], &["--grpc-tls", "--grpc-port", &grpc]].concat());
    assert_eq!(state(&report, "grpc"), ("fail", "PATH-GRPC-NO-TLS"), "{report:#}");
}

/// The proxy of the catalogue that closes what is idle, shortened: a beat in 200 ms passes, silence does not.
#[test]
fn a_proxy_that_closes_idle_connections_is_found() {
    let node = Node::start(&[]);
    let grpc = node::impatient(node.grpc, Duration::from_secs(2)).to_string();
    let (code, report) =
        check(&node.url, &["--grpc-port", &grpc, "--seconds", "2", "--interval", "200", "--idle", "4"]);
    assert_eq!((code, wrong(&report)), (2, vec!["idle PATH-IDLE-CUT".to_owned()]), "{report:#}");
    // The server sees another port than ours: something stands in between.
    assert_eq!(state(&report, "grpc").0, "note");
    assert!(
        step(&report, "grpc")["meaning"].as_str().unwrap().contains("The server sees this connection from 127.0.0.1:")
    );
}

/// The proxy that waits less for an answer than a long poll is held: beats pass, changes of configs do not arrive.
#[test]
fn a_proxy_that_ends_long_polls_is_found() {
    let node = Node::start(&[]);
    let url = format!("http://127.0.0.1:{}", node::impatient(node.port, Duration::from_secs(2)));
    let grpc = node.grpc.to_string();
    let (code, report) = check(&url, &["--grpc-port", &grpc, "--seconds", "1", "--interval", "200", "--idle", "4"]);
    assert_eq!((code, wrong(&report)), (2, vec!["long-poll PATH-POLL-CUT".to_owned()]), "{report:#}");
    let (_, report) = check(&node.url, &["--grpc-port", &grpc, "--seconds", "1", "--idle", "2"]);
    assert_eq!(state(&report, "long-poll").0, "ok", "{report:#}");
}

/// C091.
#[test]
fn a_proxy_that_compresses_is_named() {
    let node = Node::start(&[]);
    let content: String = (0..500).map(|at| format!("greeting-{at}: hi\n")).collect();
    assert_eq!(run(&["-s", &node.url, "config", "publish", "app.yaml", "--content", &content]).0, 0);
    let packing = node::proxy(node.port, |head, body| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&body).unwrap();
        (format!("{head}Server: nginx\r\nContent-Encoding: gzip\r\n"), packed.finish().unwrap())
    });
    let plain = node::proxy(node.port, |head, body| (head.to_owned(), body));
    let grpc = node.grpc.to_string();
    let args = [&BRIEF[..], &["--grpc-port", &grpc, "--config", "app.yaml"]].concat();
    // A proxy that packs everything, even the state, is met before the configuration is.
    let only_configs = node::proxy(node.port, move |head, body| {
        if head.to_ascii_lowercase().contains("content-md5") {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packed.write_all(&body).unwrap();
            return (format!("{head}Server: nginx\r\nContent-Encoding: gzip\r\n"), packed.finish().unwrap());
        }
        (format!("{head}Server: nginx\r\n"), body)
    });
    let (code, report) = check(&format!("127.0.0.1:{only_configs}"), &args);
    assert_eq!((code, wrong(&report)), (1, vec!["bodies PATH-PROXY-COMPRESSES".to_owned()]), "{report:#}");
    assert_eq!(step(&report, "bodies")["figures"]["contentEncoding"], "gzip");
    assert_eq!(state(&report, "http").0, "note");
    let (code, report) = check(&format!("127.0.0.1:{plain}"), &args);
    assert_eq!((code, wrong(&report)), (0, Vec::new()), "{report:#}");
    let (code, _) = check(&format!("127.0.0.1:{packing}"), &args);
    assert_eq!(code, 2, "an answer nobody asked to be packed cannot be read");
}

#[test]
fn pages_redirects_and_wrong_contexts_are_not_a_server() {
    let node = Node::start(&[]);
    let (_, report) = check(&format!("127.0.0.1:{}/wrong", node.port), &BRIEF);
    assert_eq!(state(&report, "http"), ("fail", "PATH-HTTP-CONTEXT"));
    assert!(step(&report, "http")["remedy"][0].as_str().unwrap().contains(&node.url));
    let html = || "<html><head><title>Welcome</title></head></html>".to_owned();
    for (reply, code) in [
        ((302, "Location: https://x/login\r\n", String::new()), "PATH-HTTP-REDIRECT"),
        ((502, "Server: nginx\r\n", html()), "PATH-HTTP-NO-BACKEND"),
        ((200, "Content-Type: text/html\r\n", html()), "PATH-HTTP-NOT-NACOS"),
    ] {
        let server = Scripted::start(move |_| reply.clone());
        let (exit, report) = check(&server.url, &BRIEF);
        assert_eq!((exit, state(&report, "http")), (2, ("fail", code)), "{report:#}");
    }
    let hole = node::http1();
    let (_, report) = check(&format!("https://localhost:{hole}"), &BRIEF);
    assert_eq!(state(&report, "http"), ("fail", "PATH-HTTP-NO-TLS"), "{report:#}");
}

/// Two servers that do not know each other behind one address.
#[test]
fn beats_that_reach_another_server_than_the_registration_are_found() {
    let (one, other) = (Node::start(&[]), Node::start(&[]));
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let ports = [one.port, other.port];
    let balancer = node::door(move |client| {
        let to = ports[turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2];
        let server = std::net::TcpStream::connect(("127.0.0.1", to)).unwrap();
        for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    let (code, report) = check(
        &format!("127.0.0.1:{balancer}"),
        &["--grpc-port", &one.grpc.to_string(), "--seconds", "5", "--interval", "200", "--idle", "0"],
    );
    assert_eq!(code, 2);
    assert!(wrong(&report).iter().any(|wrong| wrong.ends_with("PATH-SERVERS-DIFFER")), "{report:#}");
}

#[test]
fn a_server_that_stops_meanwhile_costs_beats() {
    let node = Node::start(&[]);
    let (id, url, grpc) = (node.process.0.id(), node.url.clone(), node.grpc.to_string());
    let stopper = std::thread::spawn(move || {
        while registered(&url) < 2 {}
        let _ = std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status();
    });
    let (code, report) =
        check(&node.url, &["--grpc-port", &grpc, "--seconds", "4", "--interval", "100", "--idle", "0"]);
    stopper.join().unwrap();
    assert_eq!(code, 2, "{report:#}");
    assert_eq!(state(&report, "beats"), ("fail", "PATH-BEATS-LOST"));
    assert_eq!(state(&report, "stream"), ("fail", "PATH-STREAM-CUT"));
}

/// SIGSTOP of the client's machine: the check tells it from the network.
#[test]
fn a_pause_of_this_machine_is_told() {
    let node = Node::start(&[]);
    let args = ["-s", &node.url, "doctor", "client", "--json", "--seconds", "5", "--idle", "0", "--grpc-port"];
    let grpc = node.grpc.to_string();
    let child = common::nacre(&[&args[..], &[&grpc]].concat())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(2_000));
    signal(&child, "STOP");
    std::thread::sleep(Duration::from_millis(2_000));
    signal(&child, "CONT");
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(state(&report, "pauses"), ("warn", "HERE-PAUSED"), "{report:#}");
    assert!(step(&report, "pauses")["figures"]["longestMs"].as_f64() > Some(1_500.0));
}

#[test]
fn an_interrupted_check_removes_what_it_registered() {
    let node = Node::start(&[]);
    let args = ["-s", &node.url, "doctor", "client", "--json", "--seconds", "60", "--idle", "0", "--grpc-port"];
    let grpc = node.grpc.to_string();
    let mut child = common::Running(
        common::nacre(&[&args[..], &[&grpc]].concat()).stdout(std::process::Stdio::null()).spawn().unwrap(),
    );
    while registered(&node.url) < 2 {}
    signal(&child.0, "INT");
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
    assert_eq!(registered(&node.url), 0);
}

/// What a stock server with authentication says to somebody without a login, and with a wrong one.
#[test]
fn a_login_that_is_missing_or_wrong_is_told() {
    let server = Scripted::start(|asked| {
        let json = "Content-Type: application/json\r\n";
        match asked.path.as_str() {
            "/nacos/v1/console/server/state" => {
                (200, json, r#"{"version":"2.5.1","startup_mode":"standalone","auth_enabled":"true"}"#.to_owned())
            }
            "/nacos/v1/auth/login" if asked.body.contains("password=right") => (
                200,
                json,
                r#"{"accessToken":"t","tokenTtl":18000,"globalAdmin":false,"username":"dev"}"#.to_owned(),
            ),
            "/nacos/v1/auth/login" => (403, "", "unknown user!".to_owned()),
            "/nacos/v1/ns/instance" => (403, json, r#"{"timestamp":"x","status":403,"error":"Forbidden","message":"authorization failed!","path":"/nacos/v1/ns/instance"}"#.to_owned()),
            _ if asked.query.contains("accessToken=t") => (404, "", "config data not exist\n".to_owned()),
            path => (403, json, format!(r#"{{"timestamp":"x","status":403,"error":"Forbidden","message":"user not found!","path":"{path}"}}"#)),
        }
    });
    let (code, report) = check(&server.url, &BRIEF);
    assert_eq!((code, state(&report, "login")), (2, ("warn", "PATH-LOGIN-NEEDED")), "{report:#}");
    let (_, report) = check(&server.url, &[&BRIEF[..], &["--username", "dev", "--password", "wrong"]].concat());
    assert_eq!(state(&report, "login"), ("fail", "PATH-LOGIN-REFUSED"));
    let login = ["--username", "dev", "--password", "right", "--seconds", "1", "--idle", "0"];
    let (_, report) = check(&server.url, &login);
    assert_eq!(state(&report, "login").0, "ok");
    assert_eq!(step(&report, "login")["figures"]["tokenTtl"], 18_000);
    assert_eq!(state(&report, "beats"), ("fail", "PATH-REGISTER-REFUSED"), "{report:#}");
    assert!(step(&report, "beats")["meaning"].as_str().unwrap().contains("needs w on the namespace"));
}

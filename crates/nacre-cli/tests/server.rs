//! `nacre server` as a process, and the commands against it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use common::{Running, curl, nacre, run, run_with, signal};
use serde_json::Value;

/// A server on free ports, its home in a directory that goes with the test.
struct Server {
    process: Running,
    url: String,
    home: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &[])
    }

    fn start_in(home: tempfile::TempDir, args: &[&str]) -> Self {
        let (process, greeting) = spawn(home.path(), args);
        let url =
            greeting.iter().find_map(|line| line.split_whitespace().find(|word| word.starts_with("http://"))).unwrap();
        Self { process, url: url.to_owned(), home }
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        run(&[&["--server", &self.url], args].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = self.run(&[&["--output", "json"], args].concat());
        assert_eq!(code, 0, "{args:?}: {err}");
        serde_json::from_str(&out).unwrap()
    }

    /// Asks for a stop and waits for it; the exit code.
    fn stop(mut self) -> (i32, tempfile::TempDir) {
        signal(&self.process.0, "TERM");
        (self.process.0.wait().unwrap().code().unwrap_or(-1), self.home)
    }
}

/// Starts a server and reads its greeting to the end.
fn spawn(home: &Path, args: &[&str]) -> (Running, Vec<String>) {
    let mut command = nacre(&["server", "--home", home.to_str().unwrap(), "-D", "server.port=0"]);
    let mut process = Running(command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut greeting = Vec::new();
    for line in BufReader::new(process.0.stdout.take().unwrap()).lines() {
        greeting.push(line.unwrap());
        if greeting.last().unwrap().starts_with("Ctrl-C") {
            return (process, greeting);
        }
    }
    panic!("the server ended before it greeted: {greeting:?}");
}

#[test]
fn members_in_cluster_conf_are_told_and_the_node_starts_alone() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("conf")).unwrap();
    std::fs::write(home.path().join("conf/cluster.conf"), "192.0.2.1:8848\n192.0.2.2:8848\n192.0.2.3:x\n").unwrap();
    let printed = run(&["server", "--home", home.path().to_str().unwrap(), "--print-config"]).2;
    assert!(printed.contains("cluster.conf:3: \"192.0.2.3:x\" is no member"), "{printed}");
    assert_eq!(printed.matches("this node starts alone").count(), 1, "{printed}");
    let server = Server::start_in(home, &[]);
    let (status, events) = curl(&format!("{}/v3/admin/diagnosis/events?kind=suspicious", server.url));
    assert!(status == 200 && events.contains("192.0.2.2:8848") && events.contains("runs alone"), "{events}");
    assert_eq!(server.stop().0, 0);
}

#[test]
fn the_greeting_names_addresses_data_and_first_steps_that_work() {
    let home = tempfile::tempdir().unwrap();
    let (mut process, greeting) = spawn(home.path(), &[]);
    let text = greeting.join("\n");
    assert!(text.contains("Nacos started successfully in stand alone mode. use embedded storage"), "{text}");
    assert!(text.contains(&format!("data     {}", home.path().join("data").display())), "{text}");
    assert!(greeting.len() <= 24, "more than a screen: {text}");
    let steps: Vec<&str> = greeting.iter().filter_map(|line| line.strip_prefix("  nacre ")).collect();
    assert!(!steps.is_empty());
    for line in greeting.iter().filter_map(|line| line.strip_prefix("  curl ")) {
        let (status, body) = common::curl(line);
        assert_eq!(status, 200, "{line}: {body}");
    }
    for step in steps {
        let (code, out, err) = run(&step.split(' ').collect::<Vec<_>>());
        assert!(code == 0 && !out.is_empty(), "{step}: {err}");
    }
    signal(&process.0, "TERM");
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_config_lives_through_publish_list_diff_and_removal() {
    let server = Server::start();
    let content = "greeting: 你好 😀\r\nraw: a&b=c%20+ \n".as_bytes();
    let (code, _, err) = run_with(&["-s", &server.url, "config", "publish", "app.yaml"], content);
    assert_eq!(code, 0, "{err}");
    let (code, out, _) = server.run(&["config", "get", "app.yaml"]);
    assert_eq!((code, out.as_bytes()), (0, content));
    let got = server.json(&["config", "get", "app.yaml"]);
    assert_eq!(got["type"], "yaml");
    let listed = server.json(&["config", "ls", "app"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!((&listed[0]["dataId"], &listed[0]["md5"]), (&"app.yaml".into(), &got["md5"]));

    let file = server.home.path().join("app.yaml");
    std::fs::write(&file, content).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(server.run(&["config", "diff", "app.yaml", "--file", file]).0, 0);
    let md5 = got["md5"].as_str().unwrap();
    assert_eq!(server.run(&["config", "publish", "app.yaml", "--content", "v2", "--cas-md5", md5]).0, 0);
    assert_eq!(server.run(&["config", "publish", "app.yaml", "--content", "v3", "--cas-md5", md5]).0, 6);
    assert_eq!(server.run(&["config", "diff", "app.yaml", "--file", file]).0, 1);

    assert_eq!(server.run(&["config", "rm", "app.yaml"]).0, 0);
    assert_eq!(server.run(&["config", "get", "app.yaml"]).0, 3);
    assert_eq!(server.run(&["config", "rm", "app.yaml"]).0, 3);
}

#[test]
fn what_applications_would_fail_on_needs_a_yes_c078_c079() {
    let server = Server::start();
    let file = |name: &str, content: &str| {
        let path = server.home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let twice = file("twice.yaml", "server:\n  port: 1\n  host: a\n  port: 2\n");
    let marked = file("marked.yaml", "\u{feff}a: 1\n");
    let fine = file("fine.yaml", "base: &base\n  a: 1\nmore:\n  <<: *base\n");

    let (code, out, _) = run(&["config", "lint", &twice, &marked, &fine]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (1, 2), "{out}");
    assert_eq!(lines[0], format!("{twice}:4:3: error: the key `port` is there twice, first in line 2"));
    assert!(lines[1].starts_with(&format!("{marked}:1:1: warning: begins with a byte order mark")), "{out}");
    assert_eq!(run(&["config", "lint", &fine]), (0, String::new(), "nacre: nothing to complain of\n".into()));
    let (code, out, _) = run_with(&["--output", "json", "config", "lint", "-", "--type", "json"], b"{\n,}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &found[0]["line"], &found[0]["weight"]), (1, &2.into(), &"error".into()), "{out}");
    assert_eq!(run(&["config", "lint", &file("a.bin", "x")]).0, 2);

    // What has its faults is published by those who say so, what only looks odd by everybody.
    let (code, _, err) = server.run(&["config", "publish", "twice.yaml", "--file", &twice]);
    assert!(code == 1 && err.contains("twice.yaml:4:3: error: ") && err.contains("--force"), "{err}");
    assert_eq!(server.run(&["config", "get", "twice.yaml"]).0, 3, "nothing was published");
    assert_eq!(server.run(&["config", "publish", "twice.yaml", "--file", &twice, "--force"]).0, 0);
    assert_eq!(server.run(&["config", "publish", "twice.txt", "--file", &twice]).0, 0, "a text is a text");
    assert_eq!(server.run(&["config", "publish", "marked.yaml", "--file", &marked]).0, 0);

    // Everything that is stored.
    let (code, out, _) = server.run(&["config", "lint"]);
    assert_eq!((code, out.lines().count()), (1, 2), "{out}");
    assert!(out.contains("DEFAULT_GROUP/twice.yaml:4:3: error: "), "{out}");
    assert_eq!(server.run(&["config", "lint", "--group", "NOBODYS*"]).0, 0);
}

/// Starts a watch and waits until it has had its first look; then the lines that it writes.
fn watch(server: &Server, args: &[&str]) -> (Running, impl FnMut() -> Value) {
    let args = [&["-s", &server.url, "-o", "json"], args].concat();
    let mut watch = Running(nacre(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let remark = BufReader::new(watch.0.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(remark.starts_with("nacre: watching "), "{remark}");
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    (watch, move || serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap())
}

#[test]
fn a_watch_hears_of_publish_change_and_removal() {
    let server = Server::start();
    let (mut process, mut next) = watch(&server, &["config", "watch", "w", "--count", "3"]);
    for (args, what, content) in [
        (&["config", "publish", "w", "--content", "one"][..], "published", "one".into()),
        (&["config", "publish", "w", "--content", "two"], "changed", "two".into()),
        (&["config", "rm", "w"], "removed", Value::Null),
    ] {
        assert_eq!(server.run(args).0, 0);
        let event = next();
        assert_eq!((&event["what"], &event["content"]), (&what.into(), &content));
    }
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[test]
fn instances_come_are_listed_and_go_with_a_reason() {
    let server = Server::start();
    assert_eq!(server.run(&["instance", "register", "orders", "192.0.2.7:8080", "-m", "zone=a"]).0, 0);
    assert_eq!(server.run(&["instance", "register", "stock", "192.0.2.8:81", "--persistent", "-g", "G2"]).0, 0);
    let seen = server.json(&["instance", "ls", "orders"]);
    assert_eq!((&seen[0]["ip"], &seen[0]["metadata"]["zone"]), (&"192.0.2.7".into(), &"a".into()));
    let services = server.json(&["service", "ls"]);
    assert!(services.as_array().unwrap().iter().any(|s| s["serviceName"] == "orders"), "{services}");
    assert_eq!(server.run(&["service", "get", "orders"]).0, 0);
    assert_eq!(server.run(&["service", "get", "nobody"]).0, 3);

    assert_eq!(server.run(&["instance", "rm", "orders", "192.0.2.7:8080"]).0, 0);
    assert_eq!(server.json(&["instance", "ls", "orders"]), Value::Array(Vec::new()));
    let (code, out, err) = server.run(&["instance", "why", "192.0.2.7:8080"]);
    assert_eq!(code, 0, "{err}");
    let headline = out.lines().next().unwrap();
    assert!(headline.starts_with("192.0.2.7:8080 removed ") && headline.contains("deregistered"), "{out}");
    assert!(out.contains("registered"), "{out}");
    let (code, _, err) = server.run(&["instance", "why", "192.0.2.99:1"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("knows nothing about 192.0.2.99:1 (it begins at 20"), "{err}");
}

#[test]
fn a_kept_instance_goes_with_its_keeper() {
    let server = Server::start();
    let args = ["-s", &server.url, "instance", "register", "kept", "192.0.2.7:8080", "--keep"];
    let mut keeper = Running(nacre(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut remarks = BufReader::new(keeper.0.stderr.take().unwrap()).lines();
    assert!(remarks.next().unwrap().unwrap().contains("sending beats"));
    assert_eq!(server.json(&["instance", "ls", "kept"]).as_array().unwrap().len(), 1);
    signal(&keeper.0, "INT");
    assert_eq!(keeper.0.wait().unwrap().code(), Some(0));
    assert_eq!(server.json(&["instance", "ls", "kept"]), Value::Array(Vec::new()));
}

#[test]
fn an_instance_watch_tells_what_changed() {
    let server = Server::start();
    let (mut process, mut next) = watch(&server, &["instance", "watch", "s", "--interval", "50ms", "--count", "3"]);
    let register = ["instance", "register", "s", "192.0.2.7:80", "--persistent"];
    for (args, what) in [
        (register.to_vec(), "came"),
        ([&register[..], &["-m", "zone=b"]].concat(), "changed"),
        (vec!["instance", "rm", "s", "192.0.2.7:80"], "went"),
    ] {
        assert_eq!(server.run(&args).0, 0);
        let event = next();
        assert_eq!((&event["what"], &event["ip"]), (&what.into(), &"192.0.2.7".into()));
    }
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[test]
fn everything_acknowledged_is_there_after_kill_and_restart() {
    let server = Server::start();
    assert_eq!(server.run(&["config", "publish", "durable", "--content", "kept"]).0, 0);
    assert_eq!(server.run(&["instance", "register", "p", "192.0.2.7:8080", "--persistent"]).0, 0);
    let Server { process, home, .. } = server;
    signal(&process.0, "KILL");
    drop(process);
    let server = Server::start_in(home, &[]);
    assert_eq!(server.run(&["config", "get", "durable"]).1, "kept");
    assert_eq!(server.json(&["instance", "ls", "p"]).as_array().unwrap().len(), 1);
    let (code, home) = server.stop();
    assert_eq!(code, 0);
    let server = Server::start_in(home, &[]);
    assert_eq!(server.run(&["config", "get", "durable"]).1, "kept");
}

#[test]
fn status_says_ready_version_and_leader() {
    let server = Server::start();
    let state = server.json(&["status"]);
    assert_eq!((&state["ready"], &state["version"]), (&true.into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!(state["mode"], "standalone");
    assert!(!state["leader"].is_null(), "{state}");
    assert!(state["counts"]["serviceCount"].is_number(), "{state}");
    assert!(
        state["workers"]["count"].as_u64() > Some(0) && state["workers"]["wrong"] == Value::Array(Vec::new()),
        "{state}"
    );
}

#[test]
fn a_second_process_on_the_same_directory_is_refused_by_name() {
    let server = Server::start();
    let home = server.home.path().to_str().unwrap();
    let (code, out, err) = run(&["server", "--home", home, "-D", "server.port=0"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains(&server.process.0.id().to_string()) && err.contains(home), "{err}");
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::start();
    let port = server.url.trim_start_matches("http://127.0.0.1:").split('/').next().unwrap();
    let home = tempfile::tempdir().unwrap();
    let (code, _, err) =
        run(&["server", "--home", home.path().to_str().unwrap(), "-D", &format!("server.port={port}")]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("cannot listen on 127.0.0.1:{port}")) && err.contains("-D server.port"), "{err}");
    assert!(err.contains(&format!("pid {}", server.process.0.id())), "{err}");
}

/// Main ports that are neighbours at the classic distances: one's gRPC port is the other's main port.
#[test]
fn c103_a_neighbour_whose_port_is_wanted_is_named_with_its_role() {
    let server = Server::start();
    let port: u16 = server.url.trim_start_matches("http://127.0.0.1:").split('/').next().unwrap().parse().unwrap();
    let home = tempfile::tempdir().unwrap();
    let wanted = format!("server.port={}", port + 1000);
    let (code, _, err) = run(&["server", "--home", home.path().to_str().unwrap(), "-D", &wanted]);
    assert_eq!(code, 1);
    let role =
        format!("port {} is the gRPC port of nacre (pid {}, main {port} + 1000)", port + 1000, server.process.0.id());
    assert!(err.contains(&role) && err.contains("at least 10 apart"), "{err}");
}

#[test]
fn wrong_settings_stop_the_start_all_at_once() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("conf")).unwrap();
    let file = home.path().join("conf/application.properties");
    std::fs::write(&file, "server.port=eighty\nnacos.core.auth.enable=true\nmaxContent=-1\n").unwrap();
    let (code, out, err) = run(&["server", "--home", home.path().to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains(&format!("{}:1: server.port: ", file.display())), "{err}");
    assert!(err.contains(&format!("{}:3: maxContent: ", file.display())), "{err}");
    assert!(!home.path().join("data").exists(), "nothing is created by a start that is refused");
}

#[test]
fn print_config_shows_values_with_their_origin_and_hides_secrets() {
    let home = tempfile::tempdir().unwrap();
    let home_text = home.path().to_str().unwrap();
    let file = home.path().join("odd.properties");
    std::fs::write(&file, "db.password.0=p@ss \nserver.port=8850\n").unwrap();
    let args = ["server", "--home", home_text, "--config", file.to_str().unwrap(), "--print-config"];
    let output = nacre(&args).env("NACOS_NAMING_EXPIREINSTANCE", "false").output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{err}");
    let line = |start: &str| out.lines().find(|l| l.starts_with(start)).unwrap_or_else(|| panic!("{start}: {out}"));
    assert!(line("server.port = 8850").ends_with(&format!("{}:2", file.display())));
    assert!(line("nacos.naming.expireInstance = false").ends_with("environment NACOS_NAMING_EXPIREINSTANCE"));
    assert!(line("db.password.0 = ****** (5 characters)").ends_with(":1"));
    assert!(!out.contains("p@ss") && !err.contains("p@ss"));
    // `nacre config show` is the same.
    let shown = run(&["config", "show", "--home", home_text, "--config", file.to_str().unwrap(), "-o", "json"]);
    let json: Value = serde_json::from_str(&shown.1).unwrap();
    assert_eq!(json["home"], home_text);
}

#[test]
fn a_wide_listener_is_warned_about() {
    let home = tempfile::tempdir().unwrap();
    let args = ["server", "--home", home.path().to_str().unwrap(), "-D", "server.port=0", "-D", "nacre.listen=0.0.0.0"];
    let mut process = Running(nacre(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let warning =
        BufReader::new(process.0.stderr.take().unwrap()).lines().map(Result::unwrap).find(|l| l.contains("warning:"));
    assert!(warning.unwrap().contains("everybody who can reach 0.0.0.0 may read and write"));
}

/// Changes the level of one of Nacos's logs while the server runs.
fn log_level(server: &Server, name: &str, level: &str) {
    let url = format!("{}/v1/ns/operator/log?logName={name}&logLevel={level}", server.url);
    assert_eq!(common::curl(&format!("-X PUT {url}")), (200, "ok".to_owned()));
}

#[test]
fn a_raised_log_level_shows_what_happens_and_a_lowered_one_hides_it_again() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("stderr");
    let mut command = nacre(&["server", "--home", home.path().to_str().unwrap(), "-D", "server.port=0"]);
    let stderr = std::fs::File::create(&log).unwrap();
    let mut process = Running(command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap());
    let greeting = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = greeting.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let url = url.into_iter().find(|word| word.starts_with("http://")).unwrap();
    let server = Server { process, url, home };
    let register = |service: &str| {
        assert_eq!(server.run(&["instance", "register", service, "192.0.2.7:8080"]).0, 0);
    };
    register("quiet");
    log_level(&server, "naming-main", "DEBUG");
    register("loud");
    log_level(&server, "no-such-log", "ERROR");
    register("still-loud");
    log_level(&server, "naming-main", "INFO");
    register("quiet-again");
    // A stop writes out what there is to write.
    let (code, _home) = server.stop();
    assert_eq!(code, 0);
    let log = std::fs::read_to_string(log).unwrap();
    for (service, shown) in
        [("@@quiet in", false), ("@@loud in", true), ("@@still-loud in", true), ("quiet-again", false)]
    {
        assert_eq!(log.contains(service), shown, "{service}: {log}");
    }
    assert!(log.contains("DEBUG nacre::naming: instance 192.0.2.7:8080:DEFAULT"), "{log}");
}

#[test]
fn logs_are_written_under_nacoss_names() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), &["-D", "nacre.logging.files=true"]);
    assert_eq!(curl(&format!("{}/v1/cs/configs -d dataId=d -d group=G -d content=c", server.url)).1, "true");
    let instance = "-d serviceName=orders -d ip=10.0.0.1 -d port=8080";
    assert_eq!(curl(&format!("{}/v1/ns/instance {instance}", server.url)).1, "ok");
    for (file, part) in [
        ("config-trace.log", "|d|G|null|"),
        ("config-trace.log", "|persist|pub|-1|"),
        ("naming-server.log", "Client change for service public##DEFAULT_GROUP@@orders"),
        ("nacos.log", " INFO "),
    ] {
        // A thread of its own writes them.
        let path = server.home.path().join("logs").join(file);
        let has = || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(part));
        let waited = std::time::Instant::now();
        while !has() {
            assert!(waited.elapsed().as_secs() < 30, "{file}: {part}: {:?}", std::fs::read_to_string(&path));
            std::thread::yield_now();
        }
    }
    assert_eq!(server.stop().0, 0);
}

//! The commands against servers of other generations: what a stock Java Nacos 1.4, 2.5 and 3.1 answers, taken from the
//! recordings in `tests/golden`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use common::{Asked, Reply, Running, Scripted, nacre, run, run_with, signal};

fn json(body: &str) -> Reply {
    (200, "Content-Type: application/json\r\n", body.to_owned())
}

fn text(status: u16, body: &str) -> Reply {
    (status, "Content-Type: text/plain\r\n", body.to_owned())
}

/// What a stock 3.x answers on paths it has retired.
fn retired(path: &str) -> Reply {
    let body = format!(
        r#"{{"timestamp":"2026-11-25T16:41:09.824+00:00","status":410,"error":"Gone","message":"{{\"code\":40000,\"message\":\"Current API will be deprecated\"}}","path":"{path}"}}"#
    );
    (410, "Content-Type: application/json;charset=UTF-8\r\n", body)
}

fn unknown(asked: &Asked) -> Reply {
    (404, "", format!(r#"{{"timestamp":"x","status":404,"error":"Not Found","path":"{}"}}"#, asked.path))
}

const INSTANCES: &str = r#"{"name":"DEFAULT_GROUP@@s","groupName":"DEFAULT_GROUP","clusters":"","cacheMillis":10000,
    "hosts":[{"instanceId":"i","ip":"192.0.2.1","port":80,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,
    "clusterName":"DEFAULT","serviceName":"DEFAULT_GROUP@@s","metadata":{"zone":"a"}},
    {"ip":"192.0.2.2","port":81,"weight":2.5,"healthy":false,"enabled":true,"ephemeral":false,"clusterName":"C","metadata":{}}],
    "lastRefTime":1,"checksum":"","allIPs":false,"reachProtectionThreshold":false,"valid":true}"#;

/// 2.5.1 with a few things in it.
fn two(asked: &Asked) -> Reply {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/nacos/v1/cs/configs") if asked.query.contains("search=blur") => json(
            r#"{"totalCount":2,"pageNumber":1,"pagesAvailable":1,"pageItems":[
            {"id":"1","dataId":"b.yaml","group":"G","content":"x","md5":null,"tenant":"","appName":"app","type":"yaml"},
            {"id":"2","dataId":"a","group":"G","content":"y","md5":"415290769594460e2e485922904f345d","tenant":"","appName":"","type":"text"}]}"#,
        ),
        ("GET", "/nacos/v1/cs/configs") if asked.query.contains("dataId=here") => (
            200,
            "Config-Type: yaml\r\nContent-MD5: 9dd4e461268c8034f5c8564e155c67a6\r\nLast-Modified: Tue, 25 Nov 2025 17:48:02 GMT\r\n",
            "x".to_owned(),
        ),
        ("GET", "/nacos/v1/cs/configs") => text(404, "config data not exist\n"),
        ("POST", "/nacos/v1/cs/configs") if asked.header("casMd5").is_some() => {
            text(500, "caused: Cas publish fail, server md5 may have changed.;")
        }
        ("POST" | "DELETE", "/nacos/v1/cs/configs") => text(200, "true"),
        ("GET", "/nacos/v1/ns/instance/list") => json(INSTANCES),
        ("POST" | "DELETE", "/nacos/v1/ns/instance") => text(200, "ok"),
        ("GET", "/nacos/v1/ns/catalog/services") => json(
            r#"{"count":2,"serviceList":[
            {"name":"s","groupName":"DEFAULT_GROUP","clusterCount":1,"ipCount":2,"healthyInstanceCount":1,"triggerFlag":"false"},
            {"name":"t","groupName":"G2","clusterCount":0,"ipCount":0,"healthyInstanceCount":0,"triggerFlag":"false"}]}"#,
        ),
        ("GET", "/nacos/v1/ns/service") if asked.query.contains("serviceName=s&") => json(
            r#"{"namespaceId":"public","groupName":"DEFAULT_GROUP","name":"s","protectThreshold":0.5,"metadata":{"k":"v"},
            "selector":{"type":"none","contextType":"NONE"},"clusters":[{"name":"C","healthChecker":{"type":"TCP"},"metadata":{}}]}"#,
        ),
        ("GET", "/nacos/v1/ns/service") => {
            text(400, "caused: service not found, namespace: public, serviceName: DEFAULT_GROUP@@x;")
        }
        ("GET", "/nacos/v1/console/health/readiness") => text(200, "OK"),
        ("GET", "/nacos/v1/console/server/state") => {
            json(r#"{"version":"2.5.1","startup_mode":"standalone","auth_enabled":"false","function_mode":null}"#)
        }
        ("GET", "/nacos/v1/ns/operator/metrics") => {
            json(r#"{"status":"UP","serviceCount":2,"instanceCount":7,"subscribeCount":1,"clientCount":3,"cpu":0.1}"#)
        }
        ("GET", "/nacos/v1/core/cluster/self") => json(
            r#"{"code":200,"message":null,"data":{"ip":"192.0.2.9","extendInfo":{"raftMetaData":{"metaDataMap":
            {"naming_persistent_service":{"leader":"192.0.2.9:7848","term":1}}}}}}"#,
        ),
        _ => unknown(asked),
    }
}

/// A stock 3.1: client APIs of v1 work, the others are retired.
fn three(asked: &Asked) -> Reply {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/nacos/v1/ns/instance/list") => json(INSTANCES),
        ("GET", "/nacos/v3/admin/cs/config/list") => json(
            r#"{"code":0,"message":"success","data":{"totalCount":1,"pageNumber":1,"pagesAvailable":1,"pageItems":[
            {"id":"1","namespaceId":"public","groupName":"G","dataId":"three.yaml","md5":"m","type":"yaml","appName":""}]}}"#,
        ),
        ("GET", "/nacos/v3/admin/ns/service/list") => json(
            r#"{"code":0,"message":"success","data":{"totalCount":1,"pageNumber":1,"pagesAvailable":1,"pageItems":[
            {"name":"s","groupName":"DEFAULT_GROUP","clusterCount":1,"ipCount":2,"healthyInstanceCount":2,"triggerFlag":"false"}]}}"#,
        ),
        ("GET", "/nacos/v3/admin/ns/service") if asked.query.contains("serviceName=s&") => json(
            r#"{"code":0,"message":"success","data":{"namespaceId":"public","serviceName":"s","groupName":"DEFAULT_GROUP",
            "clusterMap":{"C":{"clusterName":"C","healthChecker":{"type":"NONE"}}},"metadata":{},"protectThreshold":0.0,
            "selector":{"type":"none"},"ephemeral":true}}"#,
        ),
        ("GET", "/nacos/v3/admin/ns/service") => (
            400,
            "",
            r#"{"code":21008,"message":"service not exist","data":"service not found, namespace: public, serviceName: x"}"#.to_owned(),
        ),
        ("GET", "/nacos/v3/admin/core/state/readiness") => json(r#"{"code":0,"message":"success","data":"ok"}"#),
        ("GET", "/nacos/v3/admin/core/state") => {
            json(r#"{"code":0,"message":"success","data":{"version":"3.1.0","startup_mode":"standalone","auth_enabled":"true"}}"#)
        }
        ("GET", "/nacos/v3/admin/ns/ops/metrics") => {
            json(r#"{"code":0,"message":"success","data":{"status":"UP","serviceCount":1}}"#)
        }
        ("GET", "/nacos/v3/admin/core/cluster/node/self") => {
            (403, "", r#"{"timestamp":"x","status":403,"error":"Forbidden","message":"User not found!","path":"/"}"#.to_owned())
        }
        (_, path) if path.starts_with("/nacos/v1/") => retired(path),
        _ => unknown(asked),
    }
}

/// A 3.x whose client compatibility is switched off, too.
fn only_three(asked: &Asked) -> Reply {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/nacos/v3/client/cs/config") if asked.query.contains("dataId=here") => json(
            r#"{"code":0,"message":"success","data":{"resultCode":200,"content":"three","contentType":"yaml","md5":"m","lastModified":5}}"#,
        ),
        ("GET", "/nacos/v3/client/cs/config") => json(r#"{"code":20004,"message":"resource not found","data":null}"#),
        ("POST", "/nacos/v3/admin/cs/config") => json(r#"{"code":0,"message":"success","data":true}"#),
        ("GET", "/nacos/v3/client/ns/instance/list") => json(
            r#"{"code":0,"message":"success","data":[{"ip":"192.0.2.3","port":83,"weight":1.0,"healthy":true,"enabled":true,
            "ephemeral":true,"clusterName":"DEFAULT","serviceName":"DEFAULT_GROUP@@s","metadata":{}}]}"#,
        ),
        ("POST", "/nacos/v3/client/ns/instance") => json(r#"{"code":0,"message":"success","data":"ok"}"#),
        (_, path) if path.starts_with("/nacos/v1/") => retired(path),
        _ => unknown(asked),
    }
}

fn at(server: &Scripted, args: &[&str]) -> (i32, String, String) {
    run(&[&["--server", &server.url], args].concat())
}

#[test]
fn a_config_of_2x_is_written_byte_for_byte() {
    let server = Scripted::start(two);
    assert_eq!(at(&server, &["config", "get", "here"]), (0, "x".into(), String::new()));
    let (code, out, _) = at(&server, &["config", "get", "here", "-o", "json"]);
    let got: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &got["type"], &got["modified"]), (0, &"yaml".into(), &"2025-11-25T17:48:02.000Z".into()));
}

#[test]
fn what_is_not_there_ends_with_3() {
    let server = Scripted::start(two);
    for args in [
        &["config", "get", "gone"][..],
        &["config", "rm", "gone"],
        &["service", "get", "x"],
        &["instance", "rm", "s", "192.0.2.77:1"],
    ] {
        let (code, out, err) = at(&server, args);
        assert_eq!((code, out.as_str()), (3, ""), "{args:?}: {err}");
        assert!(err.starts_with("nacre: "), "{err}");
    }
}

#[test]
fn publishing_sends_the_exact_text_with_its_type() {
    let server = Scripted::start(two);
    let content = "a=1&b=2 +%\r\n中\u{FEFF}😀 \n";
    let (code, out, err) =
        run_with(&["-s", &server.url, "-n", "dev", "config", "publish", "app.yml"], content.as_bytes());
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("published app.yml (group DEFAULT_GROUP, namespace dev), 24 bytes, md5 "), "{out}");
    let asked = server.last("POST", "/nacos/v1/cs/configs");
    let field = |name: &str| {
        asked
            .body
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(|value| percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned())
    };
    assert_eq!(field("content").as_deref(), Some(content));
    assert_eq!(field("type").as_deref(), Some("yaml"));
    assert_eq!(field("tenant").as_deref(), Some("dev"));
}

#[test]
fn content_that_is_not_utf8_is_refused_before_it_is_damaged() {
    let server = Scripted::start(two);
    let (code, _, err) = run_with(&["-s", &server.url, "config", "publish", "a"], b"ok\xFF");
    assert_eq!(code, 2);
    assert!(err.contains("not UTF-8 (byte 2)"), "{err}");
    assert!(server.asked.lock().unwrap().is_empty());
}

#[test]
fn a_lost_race_ends_with_6() {
    let server = Scripted::start(two);
    let (code, _, err) = at(&server, &["config", "publish", "a", "--content", "x", "--cas-md5", "abc"]);
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("changed by somebody else"), "{err}");
}

#[test]
fn lists_of_2x_and_3x_look_alike() {
    let server = Scripted::start(two);
    let (code, out, _) = at(&server, &["config", "ls"]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "DATA ID  GROUP  TYPE  APP  MD5\n\
         a        G      text       415290769594460e2e485922904f345d\n\
         b.yaml   G      yaml  app  9dd4e461268c8034f5c8564e155c67a6\n"
    );
    let server = Scripted::start(three);
    let (code, out, _) = at(&server, &["config", "ls", "three"]);
    assert_eq!((code, out.as_str()), (0, "DATA ID     GROUP  TYPE  APP  MD5\nthree.yaml  G      yaml       m\n"));
    // 3.x refuses stars in names, so the rows are looked through here.
    assert!(server.last("GET", "/nacos/v3/admin/cs/config/list").query.contains("dataId=&groupName=&"));
    assert_eq!(at(&server, &["config", "ls", "x*", "-o", "json"]).1, "[]\n");
    assert_eq!(at(&server, &["config", "ls", "-g", "H", "-o", "json"]).1, "[]\n");
}

#[test]
fn services_and_instances_are_listed_on_every_generation() {
    let server = Scripted::start(two);
    let (_, out, _) = at(&server, &["service", "ls"]);
    assert_eq!(
        out,
        "SERVICE  GROUP          INSTANCES  HEALTHY\ns        DEFAULT_GROUP  2          1\nt        G2             0          0\n"
    );
    let (_, out, _) = at(&server, &["service", "ls", "-g", "G2", "-o", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()[0]["serviceName"], "t");
    for script in [two, three] {
        let server = Scripted::start(script);
        let (code, out, _) = at(&server, &["instance", "ls", "s"]);
        assert_eq!(code, 0);
        assert_eq!(
            out,
            "ADDRESS       CLUSTER  HEALTHY  WEIGHT  KIND        METADATA\n\
             192.0.2.1:80  DEFAULT  yes      1       ephemeral   zone=a\n\
             192.0.2.2:81  C        no       2.5     persistent\n"
        );
        let (code, out, _) = at(&server, &["service", "get", "s"]);
        assert_eq!(code, 0);
        assert!(out.contains("instances         2, 1 healthy"), "{out}");
        assert_eq!(at(&server, &["service", "get", "x"]).0, 3);
    }
    let server = Scripted::start(only_three);
    assert!(at(&server, &["instance", "ls", "s"]).1.contains("192.0.2.3:83"));
}

#[test]
fn a_server_without_v1_is_spoken_to_in_v3() {
    let server = Scripted::start(only_three);
    assert_eq!(at(&server, &["config", "get", "here"]).1, "three");
    assert_eq!(at(&server, &["config", "get", "gone"]).0, 3);
    assert_eq!(at(&server, &["config", "publish", "a", "--content", "x"]).0, 0);
    assert_eq!(at(&server, &["instance", "register", "s", "192.0.2.1:80"]).0, 0);
    assert!(server.last("POST", "/nacos/v3/client/ns/instance").body.contains("ip=192.0.2.1&port=80"));
}

#[test]
fn registering_tells_1x_everything_in_the_query() {
    let server = Scripted::start(two);
    let (code, out, err) = at(
        &server,
        &["instance", "register", "g@@s", "192.0.2.1:80", "-m", "a=b", "-w", "2", "--persistent", "--disabled"],
    );
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("registered 192.0.2.1:80 for s (group g"), "{out}");
    let query = server.last("POST", "/nacos/v1/ns/instance").query;
    for part in ["serviceName=s", "groupName=g", "weight=2", "ephemeral=false", "enabled=false", "enable=false"] {
        assert!(query.split('&').any(|pair| pair == part), "{part}: {query}");
    }
    assert!(query.contains("metadata=%7B%22a%22%3A%22b%22%7D"), "{query}");
}

#[test]
fn removing_an_instance_repeats_its_own_kind_and_cluster() {
    let server = Scripted::start(two);
    let (code, out, err) = at(&server, &["instance", "rm", "s", "192.0.2.2:81"]);
    assert_eq!((code, out.as_str()), (0, "removed 192.0.2.2:81 (cluster C) from s\n"), "{err}");
    let query = server.last("DELETE", "/nacos/v1/ns/instance").query;
    assert!(query.contains("clusterName=C") && query.contains("ephemeral=false"), "{query}");
}

#[test]
fn status_is_told_on_every_generation() {
    let server = Scripted::start(two);
    let (code, out, _) = at(&server, &["status"]);
    assert_eq!(code, 0);
    for line in
        ["state       ready", "version     2.5.1", "leader      192.0.2.9:7848", "instances   7", "auth        off"]
    {
        assert!(out.lines().any(|l| l == line), "{line}:\n{out}");
    }
    assert!(!out.contains("workers"), "a Java server does not tell: {out}");
    let server = Scripted::start(three);
    let (code, out, _) = at(&server, &["status", "-o", "json"]);
    let state: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &state["version"], &state["ready"]), (0, &"3.1.0".into(), &true.into()));
}

#[test]
fn a_server_that_is_not_ready_ends_status_with_1() {
    let server = Scripted::start(|asked| match asked.path.as_str() {
        "/nacos/v1/console/health/readiness" => text(500, "naming not in readiness"),
        _ => unknown(asked),
    });
    let (code, out, _) = at(&server, &["status"]);
    assert_eq!(code, 1);
    assert!(out.contains("not ready: naming not in readiness"), "{out}");
}

#[test]
fn nobody_there_ends_with_4_and_names_the_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (code, out, err) = run(&["--server", &address, "status"]);
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.contains(&format!("cannot reach http://{address}/nacos: nothing listens there")), "{err}");
    assert!(err.contains("nacre server") && err.contains("NACRE_SERVER"), "{err}");
    let (code, _, err) = run(&["--server", "no-such-host.invalid", "status"]);
    assert_eq!(code, 4);
    assert!(err.contains("the name no-such-host.invalid is not known"), "{err}");
}

#[test]
fn a_port_that_does_not_speak_http_is_told_apart() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 512]);
            // The settings frame that opens HTTP/2.
            let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0");
        }
    });
    let (code, _, err) = run(&["--server", &address, "status"]);
    assert_eq!(code, 4);
    assert!(err.contains("the answer is not HTTP") && err.contains("gRPC"), "{err}");
}

#[test]
fn a_denial_ends_with_5_and_a_login_is_sent_along() {
    let server = Scripted::start(|asked| match asked.path.as_str() {
        "/nacos/v1/auth/login" if asked.body.contains("password=right") => {
            json(r#"{"accessToken":"token-1","tokenTtl":18000,"globalAdmin":true,"username":"nacos"}"#)
        }
        "/nacos/v1/auth/login" => text(403, "unknown user!"),
        _ if asked.query.contains("accessToken=token-1") => (200, "", "secret".to_owned()),
        _ => (
            403,
            "",
            r#"{"timestamp":"x","status":403,"error":"Forbidden","message":"unknown user!","path":"/"}"#.to_owned(),
        ),
    });
    let (code, _, err) = at(&server, &["config", "get", "a"]);
    assert_eq!(code, 5);
    assert!(err.contains("unknown user!") && err.contains("--username"), "{err}");
    assert_eq!(at(&server, &["--username", "nacos", "--password", "wrong", "config", "get", "a"]).0, 5);
    let (code, out, _) = at(&server, &["--username", "nacos", "--password", "right", "config", "get", "a"]);
    assert_eq!((code, out.as_str()), (0, "secret"));
}

#[test]
fn why_says_that_only_nacre_can_answer() {
    for script in [two, three] {
        let (code, _, err) = at(&Scripted::start(script), &["instance", "why", "192.0.2.1:80"]);
        assert_eq!(code, 1);
        assert!(err.contains("only nacre has this API"), "{err}");
    }
}

#[test]
fn wrong_commands_end_with_2() {
    for args in
        [&["config"][..], &["nonsense"], &["instance", "register", "s", "no-port"], &["--server", "ftp://x", "status"]]
    {
        let (code, _, err) = run(args);
        assert_eq!(code, 2, "{args:?}: {err}");
    }
    let server = Scripted::start(two);
    assert_eq!(at(&server, &["config", "diff", "here"]).0, 2);
}

#[test]
fn a_diff_ends_with_0_when_equal_and_1_when_not() {
    let server = Scripted::start(two);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    let file = file.to_str().unwrap();
    std::fs::write(file, "x").unwrap();
    assert_eq!(at(&server, &["config", "diff", "here", "--file", file]), (0, String::new(), String::new()));
    std::fs::write(file, "y\n").unwrap();
    let (code, out, _) = at(&server, &["config", "diff", "here", "--file", file]);
    assert_eq!(code, 1);
    assert!(out.ends_with("@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n"), "{out}");
}

#[test]
fn colours_appear_only_when_they_are_asked_for() {
    let server = Scripted::start(two);
    assert!(!at(&server, &["instance", "ls", "s"]).1.contains('\x1b'));
    let (_, out, _) = at(&server, &["instance", "ls", "s", "--color", "always"]);
    assert!(out.contains("\x1b[32myes\x1b[0m"), "{out:?}");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let server = Scripted::start(two);
    let mut child = nacre(&["--server", &server.url, "completions", "bash"]);
    let mut child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn a_watch_shows_the_change_and_ends_when_it_was_asked_to() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let changed = AtomicBool::new(false);
    let server = Scripted::start(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/nacos/v1/cs/configs") => {
            let body = if changed.load(Ordering::SeqCst) { "a\nnew\n" } else { "a\nold\n" };
            (200, "", body.to_owned())
        }
        ("POST", "/nacos/v1/cs/configs/listener") => {
            changed.store(true, Ordering::SeqCst);
            text(200, "app%02DEFAULT_GROUP%01\n")
        }
        _ => unknown(asked),
    });
    let (code, out, err) = at(&server, &["config", "watch", "app", "--count", "1"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(" changed app, md5 "), "{out}");
    assert!(out.ends_with("@@ -1,2 +1,2 @@\n a\n-old\n+new\n"), "{out}");
    let asked = server.last("POST", "/nacos/v1/cs/configs/listener");
    assert_eq!(asked.header("Long-Pulling-Timeout"), Some("30000"));
    assert!(asked.body.starts_with("Listening-Configs=app%02DEFAULT_GROUP%02"), "{}", asked.body);
}

#[test]
fn ctrl_c_ends_a_watch_in_peace_and_interrupts_everything_else() {
    let (seen, looks) = std::sync::mpsc::channel();
    let server = Scripted::start(move |asked| {
        if asked.path == "/nacos/v1/cs/configs" {
            seen.send(()).unwrap();
            // Never answers: the test stops whoever waits.
            loop {
                std::thread::park();
            }
        }
        seen.send(()).unwrap();
        json(INSTANCES)
    });
    for (args, expected) in [(&["instance", "watch", "s"][..], 0), (&["config", "get", "a"], 130)] {
        let mut command = nacre(&[&["--server", &server.url], args].concat());
        let child = command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
        let mut child = Running(child);
        looks.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
        signal(&child.0, "INT");
        assert_eq!(child.0.wait().unwrap().code(), Some(expected), "{args:?}");
        while looks.try_recv().is_ok() {}
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&["completions", shell]);
        assert_eq!(code, 0);
        assert!(out.contains("instance") && out.contains("publish"), "{shell}");
    }
}

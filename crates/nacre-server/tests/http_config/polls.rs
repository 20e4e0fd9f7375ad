//! Long polling. A poll that waits is seen in the number of held polls; nothing here waits for a time to pass.

use std::time::Duration;

use crate::client::{LONG, Seen, Server, md5};

/// Separators of words and of records.
const W: char = '\u{2}';
const L: char = '\u{1}';

async fn poll(server: &Server, value: &str) -> Seen {
    server
        .post("/v1/cs/configs/listener")
        .form(&[("Listening-Configs", value)])
        .header("long-pulling-timeout", "30000")
        .send()
        .await
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !done() {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(LONG, waiting).await.is_ok(), "{what}");
}

/// Polls until held, then does `change`, and gives the poll's answer.
async fn held_then(server: &Server, value: &str, change: impl Future<Output = ()>) -> Seen {
    let listeners = &server.app.listeners;
    let poll = poll(server, value);
    let change = async {
        until("the poll is held", || listeners.held_polls() == 1).await;
        change.await;
    };
    let (seen, ()) = tokio::join!(poll, change);
    assert_eq!(listeners.held_polls(), 0);
    seen
}

#[tokio::test]
async fn every_spelling_of_the_default_namespace_is_held_and_echoed_c040() {
    let server = Server::start(&[]).await;
    server.publish("k", "0").await;
    for (round, (tenant, echo)) in [("", ""), ("\u{2}", ""), ("\u{2}public", "%02public")].into_iter().enumerate() {
        let value = format!("k{W}G{W}{}{tenant}{L}", md5(&round.to_string()));
        let next = (round + 1).to_string();
        let seen = held_then(&server, &value, server.publish("k", &next)).await;
        assert_eq!((seen.status, seen.text()), (200, &*format!("k%02G{echo}%01\n")));
        assert_eq!(seen.header("content-type"), Some("application/json;charset=UTF-8"));
    }
    server.stop().await;
}

#[tokio::test]
async fn the_empty_md5_is_that_of_no_config_c041() {
    let server = Server::start(&[]).await;
    let seen = held_then(&server, &format!("none{W}G{W}{L}"), server.publish("none", "x")).await;
    assert_eq!(seen.text(), "none%02G%01\n");
    let of_nothing = format!("absent{W}G{W}{}{L}", md5(""));
    assert_eq!(poll(&server, &of_nothing).await.text(), "absent%02G%01\n");
    // A client that keeps asking is named once.
    for _ in 0..6 {
        poll(&server, &of_nothing).await;
    }
    assert_eq!(server.kinds("absent"), ["listenerStale"]);
    server.stop().await;
}

#[tokio::test]
async fn a_config_deleted_while_listened_to_is_told_c042() {
    let server = Server::start(&[]).await;
    server.publish("k", "x").await;
    let delete = async {
        server.delete("/v1/cs/configs").query(&[("dataId", "k"), ("group", "G")]).send().await;
    };
    let seen = held_then(&server, &format!("k{W}G{W}{}{L}", md5("x")), delete).await;
    assert_eq!(seen.text(), "k%02G%01\n");
    let seen = held_then(&server, &format!("k{W}G{W}{L}"), server.publish("k", "y")).await;
    assert_eq!(seen.text(), "k%02G%01\n", "the empty md5 was held");
    server.stop().await;
}

#[tokio::test]
async fn hostile_bodies_are_400_and_never_a_failure_of_the_server_c043() {
    let server = Server::start(&[]).await;
    let five = format!("a{W}b{W}c{W}d{W}e{L}");
    let many = format!("d{W}G{W}m{L}").repeat(10_001);
    let words = ["", " ", "abc", "a\u{1}", "\u{1}", "\u{1}\u{1}", "a\u{2}b\u{1}", "%zz\u{1}", "%", &five, &many];
    for value in words {
        let seen = poll(&server, value).await;
        assert_eq!((seen.status, seen.text()), (400, "caused: invalid probeModify;"), "{:.40}", value);
    }
    let empty_parts = poll(&server, &format!("{W}{W}x{L}")).await;
    assert!(matches!(empty_parts.status, 200 | 400), "{empty_parts:?}");
    let missing = server.post("/v1/cs/configs/listener").header("long-pulling-timeout", "10000").send().await;
    assert_eq!(missing.status, 400);
    let bytes = (0..1_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes());
    for part in bytes {
        let text: String = part.iter().map(|b| char::from(b % 8)).collect();
        let seen = server
            .post("/v1/cs/configs/listener")
            .form(&[("Listening-Configs", &text)])
            .header("long-pulling-timeout", "10000")
            .header("long-pulling-timeout-no-hangup", "true")
            .send()
            .await;
        assert!(matches!(seen.status, 200 | 400), "{text:?}: {seen:?}");
    }
    assert_eq!(server.app.listeners.held_polls(), 0);
    server.stop().await;
}

#[tokio::test]
async fn encoded_once_twice_or_in_the_query_is_one_value() {
    let server = Server::start(&[]).await;
    server.publish("k", "x").await;
    let value = format!("k{W}G{W}old{L}");
    for seen in [
        poll(&server, &value).await,
        poll(&server, "k%02G%02old%01").await,
        server
            .post("/v1/cs/configs/listener")
            .query(&[("Listening-Configs", &value)])
            .header("long-pulling-timeout", "10000")
            .send()
            .await,
    ] {
        assert_eq!((seen.status, seen.text()), (200, "k%02G%01\n"));
    }
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_want_to_be_held_may_say_so_in_capitals() {
    let server = Server::start(&[]).await;
    for flag in ["true", "True", "TRUE"] {
        let ask = server.post("/v1/cs/configs/listener").form(&[("Listening-Configs", &format!("k{W}G{W}{L}"))]);
        let ask = ask.header("long-pulling-timeout", "30000").header("long-pulling-timeout-no-hangup", flag);
        let seen = tokio::time::timeout(Duration::from_secs(5), ask.send()).await.expect("it is not held");
        assert_eq!((seen.status, seen.text()), (200, ""), "{flag}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_beta_wakes_only_those_it_is_for_c044() {
    let server = Server::start(&[]).await;
    server.publish("k", "v1").await;
    let value = format!("k{W}G{W}{}{L}", md5("v1"));
    let of = |ip: &'static str| {
        let form = [("Listening-Configs", &*value)];
        server.post("/v1/cs/configs/listener").form(&form).header("long-pulling-timeout", "30000").from(ip).send()
    };
    let listeners = &server.app.listeners;
    let changes = async {
        until("both polls are held", || listeners.held_polls() == 2).await;
        let form = [("dataId", "k"), ("group", "G"), ("content", "v2")];
        server.post("/v1/cs/configs").form(&form).header("betaIps", "192.0.2.71").send().await;
        until("one poll was woken", || listeners.held_polls() == 1).await;
        server.publish("k", "v3").await;
    };
    let (mine, other, ()) = tokio::join!(of("192.0.2.71"), of("192.0.2.72"), changes);
    assert_eq!((mine.text(), other.text()), ("k%02G%01\n", "k%02G%01\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_poll() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start(&[]).await;
    let body = "Listening-Configs=k%02G%02%01";
    let request = format!(
        "POST /nacos/v1/cs/configs/listener HTTP/1.1\r\nHost: h\r\nLong-Pulling-Timeout: 30000\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.app.settings.main_port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let listeners = &server.app.listeners;
    until("the poll is held", || listeners.held_polls() == 1).await;
    drop(stream);
    until("the poll is forgotten", || listeners.held_polls() == 0).await;
    assert_eq!(listeners.counts(), (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn polls_beyond_the_limit_are_refused_with_503() {
    let server = Server::start(&[("nacre.limit.long-polls", "1")]).await;
    let listeners = &server.app.listeners;
    let second = async {
        until("the first poll is held", || listeners.held_polls() == 1).await;
        let seen = poll(&server, &format!("b{W}G{W}{L}")).await;
        server.publish("a", "x").await;
        seen
    };
    let value = format!("a{W}G{W}{L}");
    let (first, second) = tokio::join!(poll(&server, &value), second);
    assert_eq!((first.status, second.status), (200, 503));
    server.stop().await;
}

#[tokio::test]
async fn a_stopping_server_lets_its_polls_go() {
    let server = Server::start(&[]).await;
    let app = server.app.clone();
    let stop = async {
        until("the poll is held", || app.listeners.held_polls() == 1).await;
        server.app.draining.cancel();
    };
    let value = format!("k{W}G{W}{L}");
    let (seen, ()) = tokio::join!(poll(&server, &value), stop);
    assert_eq!((seen.status, seen.text()), (200, ""));
    server.stop().await;
}

#[tokio::test]
async fn operators_see_who_polls_c039() {
    let server = Server::start(&[]).await;
    let value = format!("k{W}G{W}{W}dev{L}x{W}DEFAULT_GROUP{W}{W}dev{L}");
    let look = async {
        until("the poll is held", || server.app.listeners.held_polls() == 1).await;
        let query = [("dataId", "k"), ("group", "G"), ("tenant", "dev")];
        let v1 = server.get("/v1/cs/configs/listener").query(&query).send().await.json();
        let query = [("dataId", "k"), ("groupName", "G"), ("namespaceId", "dev")];
        let v3 = server.get("/v3/admin/cs/config/listener").query(&query).send().await.json();
        for path in ["/v1/cs/configs/listener", "/v1/cs/communication/configWatchers"] {
            let query = [("dataId", "x"), ("group", " "), ("tenant", "dev")];
            let seen = server.get(path).query(&query).send().await.json();
            assert_eq!(seen["lisentersGroupkeyStatus"]["192.0.2.9"], "", "a blank group is the default one: {path}");
        }
        let query = [("ip", "192.0.2.9"), ("all", "true")];
        let by_ip = server.get("/v3/admin/cs/listener").query(&query).send().await.json();
        server.publish_as(&[("dataId", "k"), ("group", "G"), ("tenant", "dev"), ("content", "x")]).await;
        (v1, v3, by_ip)
    };
    let form = [("Listening-Configs", &*value)];
    let poll = server
        .post("/v1/cs/configs/listener")
        .form(&form)
        .header("long-pulling-timeout", "30000")
        .from("192.0.2.9")
        .send();
    let (_, (v1, v3, by_ip)) = tokio::join!(poll, look);
    assert_eq!(v1["lisentersGroupkeyStatus"]["192.0.2.9"], "");
    assert_eq!(v3["data"]["listenersStatus"]["192.0.2.9"], "");
    assert_eq!(by_ip["data"]["listenersStatus"]["k+G+dev"], "");
    server.stop().await;
}

//! What operators ask of the server itself: levels of its log, a reading anew of the database, SQL.

use http::Method;
use nacre_journal::Filter;
use serde_json::{Value, json};

use crate::client::{LONG, Seen, Server};

async fn put(server: &Server, path: &str, pairs: &[(&str, &str)]) -> Seen {
    server.ask(Method::PUT, path).form(pairs).send().await
}

/// Events of a kind, newest first, in words.
fn told(server: &Server, kind: &str) -> Vec<String> {
    let filter = Filter { kinds: vec![kind.to_owned()], ..Filter::default() };
    server.app.journal.query(&filter).iter().map(|record| nacre_journal::describe(&record.event)).collect()
}

#[tokio::test]
async fn every_spelling_of_the_log_level_is_answered_in_its_generations_words() {
    let server = Server::start(&[]).await;
    let pair = [("logName", "naming-main"), ("logLevel", "DEBUG")];
    for path in ["/v1/ns/operator/log", "/v1/ns/ops/log"] {
        assert_eq!(put(&server, path, &pair).await.text(), "ok");
    }
    for path in ["/v1/cs/ops/log", "/v1/core/ops/log"] {
        assert_eq!(put(&server, path, &pair).await.text(), "200");
        let seen = put(&server, path, &pair[..1]).await;
        assert_eq!(seen.status, 500);
        assert!(seen.text().contains("Required request parameter &#39;logLevel&#39;"), "{}", seen.text());
    }
    assert_eq!(put(&server, "/v3/admin/ns/ops/log", &pair).await.json()["data"], "ok");
    let seen = put(&server, "/v3/admin/ns/ops/log", &pair[1..]).await;
    assert_eq!((seen.status, &seen.json()["code"]), (400, &json!(10000)));
    let seen = put(&server, "/v3/admin/cs/ops/log", &[("logName", "zzz"), ("logLevel", "x")]).await;
    assert_eq!(seen.json()["data"], "Log level updated successfully! Module: zzz, Log Level: x");

    // The form of the maintainer client, and JSON as the reference wants it.
    let seen = put(&server, "/v3/admin/core/ops/log", &pair).await;
    assert_eq!((seen.status, seen.json()), (200, json!({"code": 0, "message": "success", "data": null})));
    let body = r#"{"logName":"core","logLevel":"WARN"}"#;
    for (path, answer) in [
        ("/v2/core/ops/log", json!({"code": 200, "message": null, "data": null})),
        ("/v3/admin/core/ops/log", json!({"code": 0, "message": "success", "data": null})),
    ] {
        let seen = server.ask(Method::PUT, path).body("application/json", body).send().await;
        assert_eq!((seen.status, seen.json()), (200, answer));
        let json = "application/json";
        for (content_type, wrong, of_3x) in [
            (json, "{", (400, 10000)),
            (json, "{}", (500, 30000)),
            (json, "", (400, 10000)),
            (json, "null", (400, 10000)),
            (json, "[]", (400, 10000)),
            (json, r#"{"logName":["core"],"logLevel":"INFO"}"#, (400, 10000)),
            ("text/plain", body, (400, 20003)),
        ] {
            let seen = server.ask(Method::PUT, path).body(content_type, wrong).send().await;
            let (status, code) = if path.starts_with("/v3") { of_3x } else { (500, 500) };
            assert_eq!((seen.status, &seen.json()["code"]), (status, &json!(code)), "{path} {wrong}: {}", seen.text());
        }
    }
    for without in
        [r#"{"logName":"core"}"#, r#"{"logName":"core","logLevel":null}"#, r#"{"logName":5,"logLevel":"INFO"}"#]
    {
        let ask = server.ask(Method::PUT, "/v3/admin/core/ops/log").body("application/json", without);
        assert_eq!(ask.send().await.json()["code"], 0, "{without}");
    }
}

#[tokio::test]
async fn the_journal_says_which_level_changed_and_which_name_is_nobodys() {
    let server = Server::start(&[]).await;
    let call = server.ask(Method::PUT, "/v1/ns/operator/log").from("192.0.2.9");
    call.form(&[("logName", "naming-push"), ("logLevel", "debug")]).send().await;
    put(&server, "/v1/ns/operator/log", &[("logName", "naming-push"), ("logLevel", "LOUD")]).await;
    put(&server, "/v1/ns/operator/log", &[("logName", &"n".repeat(9_000)), ("logLevel", "INFO")]).await;
    assert_eq!(told(&server, "settingChanged"), ["the level of the log naming-push changed: now DEBUG, by 192.0.2.9"]);
    let nothing = told(&server, "nothingChanged");
    assert_eq!(nothing.len(), 2);
    assert!(nothing[1].contains("there is no level LOUD"), "{nothing:?}");
    assert!(nothing[0].contains("there is no log nnn") && nothing[0].len() < 200, "{nothing:?}");
}

/// As an operator with the `sqlite3` command would.
fn by_hand(server: &Server, sql: &str) {
    let database = rusqlite::Connection::open(server.home().join("data").join("nacos.db")).unwrap();
    database.busy_timeout(LONG).unwrap();
    assert!(database.execute(sql, []).unwrap() > 0, "{sql}");
}

#[tokio::test]
async fn the_local_cache_is_read_anew_and_listeners_hear_what_differs() {
    let server = Server::start(&[]).await;
    server.publish("kept", "same").await;
    server.publish("edited", "before").await;
    server.publish("deleted", "x").await;
    // Everything acknowledged is in the database before somebody edits it.
    server.app.query(|_| Ok(())).await.unwrap();
    by_hand(&server, "UPDATE config_info SET content = 'after', md5 = 'stale' WHERE data_id = 'edited'");
    by_hand(&server, "DELETE FROM config_info WHERE data_id = 'deleted'");
    assert_eq!(server.content("edited").await, Ok("before".to_owned()), "not yet");

    let listening = format!("edited\u{2}G\u{2}{}\u{1}", crate::client::md5("before"));
    let poll = server.post("/v1/cs/configs/listener").header("Long-Pulling-Timeout", "29000");
    let poll = tokio::spawn(poll.form(&[("Listening-Configs", &listening)]).send());
    let waiting = async {
        while server.app.listeners.held_polls() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("a held poll");

    assert_eq!(server.post("/v1/cs/ops/localCache").send().await.text(), "200");
    assert_eq!(server.content("edited").await, Ok("after".to_owned()));
    assert_eq!(server.content("deleted").await, Err(404));
    assert_eq!(server.content("kept").await, Ok("same".to_owned()));
    assert!(poll.await.unwrap().text().starts_with("edited"));
    assert!(told(&server, "configsReloaded")[0].contains("2 differed"), "{:?}", told(&server, "configsReloaded"));

    let again = server.post("/v3/admin/cs/ops/localCache").send().await;
    assert_eq!(again.json()["data"], "Local cache updated from store successfully!");
    assert!(told(&server, "configsReloaded")[0].contains("nothing differed"));
    // Ids go on where they were: the next publish does not collide with a row that is there.
    server.publish("next", "1").await;
    let server = server.restart().await;
    assert_eq!(server.content("next").await, Ok("1".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_arrive_while_the_cache_is_read_anew_are_not_lost() {
    let server = Server::start(&[]).await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let reloads = async {
        let mut count = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(server.post("/v1/cs/ops/localCache").send().await.status, 200);
            count += 1;
        }
        count
    };
    let writes = async {
        for n in 0..60 {
            let data_id = format!("c{}", n % 20);
            server.publish(&data_id, &format!("v{n}")).await;
            assert_eq!(server.content(&data_id).await, Ok(format!("v{n}")), "read your own write");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (reloads, ()) = tokio::join!(reloads, writes);
    assert!(reloads > 0);
    for n in 40..60 {
        assert_eq!(server.content(&format!("c{}", n % 20)).await, Ok(format!("v{n}")));
    }
    assert!(told(&server, "configsReloaded").iter().all(|text| text.contains("nothing differed")));
}

#[tokio::test]
async fn sql_of_others_is_never_run() {
    let disabled = "Derby ops is disabled, please set `nacos.config.derby.ops.enabled=true` to enabled this feature.";
    for (setting, message) in [("false", disabled), ("true", "The current storage mode is not Derby")] {
        let server = Server::start(&[("nacos.config.derby.ops.enabled", setting)]).await;
        server.publish("a", "1").await;
        for sql in ["select * from users", "delete from config_info", ""] {
            let seen = server.get("/v1/cs/ops/derby").query(&[("sql", sql)]).send().await;
            assert_eq!((seen.status, seen.json()), (200, json!({"code": 500, "message": message, "data": null})));
            let seen = server.get("/v3/admin/cs/ops/derby").query(&[("sql", sql)]).send().await;
            assert_eq!((seen.status, seen.json()), (200, json!({"code": 30000, "message": message, "data": null})));
        }
        assert_eq!(server.get("/v1/cs/ops/derby").send().await.status, 500);
        let file = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.sql\"\r\n\r\nDELETE FROM \
                    config_info\r\n--B--\r\n";
        for (path, code) in [("/v1/cs/ops/data/removal", 500), ("/v3/admin/cs/ops/derby/import", 30000)] {
            let seen = server.post(path).body("multipart/form-data; boundary=B", file).send().await;
            let refused = json!({"code": code, "message": "Limited to embedded storage mode", "data": Value::Null});
            assert_eq!(seen.json(), refused);
            assert!(server.post(path).send().await.text().contains("Current request is not a multipart request"));
        }
        server.app.query(|_| Ok(())).await.unwrap();
        server.post("/v1/cs/ops/localCache").send().await;
        assert_eq!(server.content("a").await, Ok("1".to_owned()));
    }
}

#[tokio::test]
async fn description_and_tags_change_without_a_publish_and_keep_what_is_not_named() {
    let server = Server::start(&[]).await;
    server
        .publish_as(&[("dataId", "d"), ("group", "G"), ("content", "v"), ("desc", "old"), ("config_tags", "a,b")])
        .await;
    let path = "/v3/admin/cs/config/metadata";
    let detail = async || {
        let key = [("dataId", "d"), ("groupName", "G")];
        server.get("/v3/admin/cs/config").query(&key).send().await.json()["data"].clone()
    };
    let before = detail().await;
    let seen = put(&server, path, &[("dataId", "d"), ("groupName", "G"), ("desc", "new 🦪")]).await;
    assert_eq!((seen.status, seen.json()), (200, json!({"code": 0, "message": "success", "data": true})));
    let after = detail().await;
    assert_eq!((&after["desc"], &after["configTags"]), (&json!("new 🦪"), &json!("a,b")));
    put(&server, path, &[("dataId", "d"), ("groupName", "G"), ("configTags", " c , c,d")]).await;
    let after = detail().await;
    assert_eq!((&after["desc"], &after["configTags"]), (&json!("new 🦪"), &json!(" c , c,d")));
    assert_eq!((&after["content"], &after["md5"], &after["id"]), (&before["content"], &before["md5"], &before["id"]));

    let seen = put(&server, path, &[("dataId", "none"), ("groupName", "G"), ("desc", "x")]).await;
    assert_eq!((seen.status, &seen.json()["code"]), (404, &json!(20004)));
    let seen = put(&server, path, &[("dataId", "d"), ("groupName", "G"), ("desc", &"x".repeat(129))]).await;
    assert_eq!(seen.status, 400);
    let seen = put(&server, path, &[("dataId", "d")]).await;
    assert_eq!((seen.status, &seen.json()["code"]), (400, &json!(10000)));
    server.stop().await;
}

//! Details of what 2.5.1 says, as it was asked.

use http::Method;
use serde_json::{Value, json};

use crate::client::Server;

#[tokio::test]
async fn details_of_the_old_calls_are_as_recorded() {
    let server = Server::start(&[]).await;
    server.publish_as(&[("dataId", "d"), ("group", "G"), ("content", "1"), ("config_tags", "blue,red")]).await;
    // Tags have no wildcards, whichever way is searched.
    let search = [("search", "blur"), ("dataId", ""), ("group", ""), ("pageNo", "1"), ("pageSize", "9")];
    for (tags, count) in [("blue", 1), ("b*", 0), ("blue,red", 2)] {
        let seen = server.get("/v1/cs/configs").query(&search).query(&[("config_tags", tags)]).send().await;
        assert_eq!(seen.json()["totalCount"], count, "{tags}");
    }
    // What a search by content shows of a config depends on how it searches.
    let detail = [("dataId", ""), ("group", ""), ("config_detail", "1"), ("pageSize", "9")];
    let null = Value::Null;
    for (mode, tags, kind, key) in [
        ("blur", "", json!("text"), json!("")),
        ("blur", "blue", json!("text"), null.clone()),
        ("accurate", "", json!("text"), null.clone()),
        ("accurate", "blue", null.clone(), null.clone()),
    ] {
        let query = [("search", mode), ("config_tags", tags), ("pageNo", "1")];
        let seen = server.get("/v2/cs/config/searchDetail").query(&detail).query(&query).send().await.json();
        let item = &seen["pageItems"][0];
        assert_eq!((&item["type"], &item["encryptedDataKey"]), (&kind, &key), "{mode} {tags}");
    }
    let seen = server.get("/v2/cs/config/searchDetail").query(&detail).query(&[("pageNo", "0")]).send().await;
    assert_eq!((seen.status, &seen.json()["data"]), (503, &json!("errCode: 503, errMsg: server limit match. ")));
    // Nobody is asked for listeners less than once.
    for (times, status) in [("1", json!({})), ("0", Value::Null), ("-1", Value::Null)] {
        for (path, query) in [
            ("/v1/cs/listener", [("ip", "192.0.2.1")].as_slice()),
            ("/v1/cs/configs/listener", &[("dataId", "d"), ("group", "G")]),
        ] {
            let seen = server.get(path).query(query).query(&[("sampleTime", times)]).send().await;
            assert_eq!(seen.json(), json!({"collectStatus": 200, "lisentersGroupkeyStatus": status}), "{path} {times}");
        }
    }
    let seen = server.get("/v1/cs/listener").query(&[("ip", "192.0.2.1"), ("sampleTime", "x")]).send().await;
    assert!(seen.text().contains("to required type 'int';"), "{}", seen.text());
    let metrics = [("ip", "192.0.2.1"), ("dataId", "d"), ("group", "G")];
    let seen = server.get("/v1/cs/metrics/cluster").query(&metrics).send().await;
    assert_eq!((seen.header("content-type"), seen.text()), (Some("application/json;charset=UTF-8"), "{}"));
    // The row of history is a number where it is shown beside what it became.
    let page = [("search", "accurate"), ("dataId", "d"), ("group", "G")];
    let nid = server.get("/v1/cs/history").query(&page).send().await.json()["pageItems"][0]["id"].clone();
    let query = [("nid", nid.as_str().unwrap()), ("dataId", "d"), ("group", "G")];
    let detail = server.get("/v2/cs/history/detail").query(&query).send().await.json();
    assert_eq!(detail["data"]["id"].to_string(), nid.as_str().unwrap());
    server.stop().await;
}

/// Who sends v2's word to v1 published elsewhere, and reads what is there.
#[tokio::test]
async fn reads_know_both_words_for_the_namespace_and_other_calls_take_theirs_as_it_is() {
    let server = Server::start(&[]).await;
    for (tenant, content) in [("", "default"), ("dev", "dev"), ("null", "published as null")] {
        server.publish_as(&[("dataId", "d"), ("group", "G"), ("tenant", tenant), ("content", content)]).await;
    }
    let key = [("dataId", "d"), ("group", "G")];
    for (more, status) in [
        (vec![("namespaceId", "dev")], 200),
        (vec![("tenant", "dev")], 200),
        (vec![("tenant", "prod"), ("namespaceId", "dev")], 200),
        (vec![("namespaceId", "null")], 404),
        (vec![("namespaceId", "prod"), ("tenant", "dev")], 404),
    ] {
        for path in ["/v1/cs/configs", "/v2/cs/config"] {
            let seen = server.get(path).query(&key).query(&more).send().await;
            assert_eq!((seen.status, seen.text().contains("dev")), (status, status == 200), "{path} {more:?}");
        }
    }
    let blank = server.get("/v1/cs/configs").query(&key).query(&[("tenant", "dev"), ("namespaceId", "")]).send().await;
    assert_eq!(blank.text(), "published as null", "only a publish takes the word for none");
    for word in ["null", "PUBLIC"] {
        server.delete("/v1/cs/configs").query(&key).query(&[("tenant", word)]).send().await;
        let show = [("show", "all"), ("tenant", word)];
        assert_eq!(server.get("/v1/cs/configs").query(&key).query(&show).send().await.text(), "", "{word}");
    }
    assert_eq!(server.get("/v1/cs/configs").query(&key).send().await.status, 200, "it is not what was removed");
    server.stop().await;
}

#[tokio::test]
async fn rare_words_of_the_old_calls_are_read_as_by_the_reference() {
    let server = Server::start(&[]).await;
    server.publish("d", "v1").await;
    // What no config can be called has no page in the catalog.
    for name in ["", "d"] {
        let seen = server.get("/v1/cs/configs/catalog").query(&[("dataId", name), ("group", "G")]).send().await;
        assert_eq!((seen.status, seen.json()["data"].is_null()), (200, name.is_empty()), "{name}");
    }
    // Any word but `blur` searches accurately.
    let search = [("dataId", ""), ("group", ""), ("config_detail", "v*"), ("pageNo", "1"), ("pageSize", "9")];
    for (mode, count) in [("", 1), ("blur", 1), ("accurate", 0), ("Blur", 0), (" ", 0)] {
        let seen = server.get("/v2/cs/config/searchDetail").query(&search).query(&[("search", mode)]).send().await;
        assert_eq!(seen.json()["totalCount"], count, "{mode}");
        let v3 = [("groupName", "G*"), ("search", mode)];
        for path in ["/v3/admin/cs/config/list", "/v3/console/cs/config/searchDetail"] {
            let seen = server.get(path).query(&v3).send().await;
            assert_eq!(seen.json()["data"]["totalCount"], count, "{path} {mode}");
        }
    }
    let metrics = [("ip", "192.0.2.1"), ("dataId", "d"), ("group", "G"), ("tenant", "a"), ("tenant", "b")];
    let seen = server.get("/v1/cs/metrics/current").query(&metrics).send().await;
    assert_eq!((seen.status, seen.text()), (400, "caused: invalid tenant;"));
    server.stop().await;
}

#[tokio::test]
async fn a_beta_is_of_the_app_its_last_publish_names_and_nobody_ends_it() {
    let server = Server::start(&[]).await;
    server.publish("d", "v1").await;
    let key = [("dataId", "d"), ("group", "G")];
    let shown = || server.get("/v1/cs/configs").query(&key).query(&[("beta", "true")]).send();
    for (app, content) in [("shop", "b1"), ("", "b2")] {
        let form = [("dataId", "d"), ("group", "G"), ("content", content), ("appName", app)];
        server.post("/v1/cs/configs").form(&form).header("betaIps", "192.0.2.1").send().await;
        assert_eq!(shown().await.json()["data"]["appName"], app);
    }
    let end = [("beta", "true"), ("username", "me")];
    server.delete("/v1/cs/configs").query(&key).query(&end).send().await;
    let beta = [("dataId", "d"), ("group", "G"), ("content", "b3")];
    server.post("/v1/cs/configs").form(&beta).header("betaIps", "192.0.2.1").send().await;
    server.delete("/v1/cs/configs").query(&key).query(&end).query(&[("srcUser", "you")]).send().await;
    server.delete("/v1/cs/configs").query(&key).send().await;
    let page = server.get("/v1/cs/history").query(&key).query(&[("search", "accurate")]).send().await.json();
    let users: Vec<_> = page["pageItems"].as_array().unwrap().iter().map(|row| row["srcUser"].clone()).collect();
    let told = [Value::Null, json!("you"), Value::Null, json!(""), Value::Null];
    assert_eq!(users[..5], told, "the end of the config, of the beta, its begin, the end of the first one, its change");
    server.stop().await;
}

/// `curl -d content=100%`
#[tokio::test]
async fn a_percent_sign_that_is_no_escape_is_refused_as_by_the_reference() {
    let server = Server::start(&[]).await;
    let form = "application/x-www-form-urlencoded";
    let seen = server.post("/v1/cs/configs").body(form, "dataId=d&group=G&content=100%").send().await;
    assert_eq!(seen.status, 500);
    assert!(seen.text().contains("Required request parameter &#39;content&#39;"), "{}", seen.text());
    let told = nacre_journal::Filter { kinds: vec!["suspicious".to_owned()], ..Default::default() };
    let told = server.app.journal.query(&told);
    assert!(format!("{told:?}").contains("a broken escape in content"), "{told:?}");
    let seen = server.post("/v3/admin/cs/config").body(form, "dataId=d&groupName=G&content=100%").send().await;
    assert_eq!((seen.status, &seen.json()["code"]), (400, &json!(10000)));
    server.stop().await;
}

#[tokio::test]
async fn multipart_bodies_are_read_as_far_as_they_are_parts() {
    let server = Server::start(&[]).await;
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let parts = [part("dataId", "d"), part("group", "G"), part("content", "x")].concat();
    for (content_type, end, status) in [
        ("multipart/form-data; boundary=b", "--b--\r\n", 200),
        ("multipart/mixed; boundary=b", "--b--\r\n", 200),
        ("multipart/form-data; boundary=b", "--b", 200),
        ("multipart/form-data; boundary=other", "--b--\r\n", 500),
    ] {
        let body = format!("{parts}{end}");
        let seen = server.post("/v1/cs/configs").body(content_type, body).send().await;
        assert_eq!(seen.status, status, "{content_type} {end}: {}", seen.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn paths_and_preflights_are_spelled_as_the_reference_does() {
    let server = Server::start(&[]).await;
    let seen = server.get("/v1/ns/%69nstance/list").query(&[("serviceName", "s")]).send().await;
    assert_eq!(seen.status, 200);
    for (path, kind) in [("/v1/cs/none", Some("application/json;charset=UTF-8")), ("/v1/none", None)] {
        let seen = server.get(path).header("accept", "image/png").send().await;
        assert_eq!((seen.status, seen.text(), seen.header("content-type")), (404, "", kind), "{path}");
    }
    for (path, said) in [("/foo.html", Some("inline;filename=f.txt")), ("/foo.json", None), ("/a.b/foo", None)] {
        let seen = server.get(path).send().await;
        assert_eq!((seen.status, seen.header("content-disposition")), (404, said), "{path}");
    }
    for (asked, allowed) in [("x-a,x-b", Some("x-a, x-b")), (" x-a ,, x-b", Some("x-a, x-b")), ("", None)] {
        let ask = server.ask(Method::OPTIONS, "/v1/cs/configs").header("origin", "http://a.example");
        let ask = ask.header("access-control-request-method", "GET").header("access-control-request-headers", asked);
        assert_eq!(ask.send().await.header("access-control-allow-headers"), allowed, "{asked:?}");
    }
    server.stop().await;
}

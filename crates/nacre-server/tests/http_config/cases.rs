//! Names, contents, searches and namespaces.

use serde_json::json;

use crate::client::{Server, encoded, md5};

#[tokio::test]
async fn data_ids_that_differ_in_case_only_are_two_configs_c033() {
    let server = Server::start(&[]).await;
    server.publish("seataserver.properties", "a").await;
    server.publish("seataServer.properties", "b").await;
    server.delete("/v1/cs/configs").query(&[("dataId", "seataServer.properties"), ("group", "G")]).send().await;
    assert_eq!(server.content("seataserver.properties").await.as_deref(), Ok("a"));
    assert_eq!(server.content("seataServer.properties").await, Err(404));
    server.stop().await;
}

#[tokio::test]
async fn data_ids_that_are_no_file_names_survive_a_restart_c034() {
    let server = Server::start(&[]).await;
    let long = "x".repeat(255);
    let ids = ["DemoService:1.0.0::provider:x", "con", "a.b.", "..", ".", &long];
    for id in ids {
        server.publish(id, &format!("content of {id}")).await;
    }
    let mut entries: Vec<String> = std::fs::read_dir(server.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    entries.sort();
    let server = server.restart().await;
    for id in ids {
        assert_eq!(server.content(id).await, Ok(format!("content of {id}")));
    }
    assert!(entries.iter().all(|name| matches!(name.as_str(), "data" | "conf" | "logs")), "{entries:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_illegal_name_is_named_c035() {
    let server = Server::start(&[]).await;
    let seen = server.get("/v1/cs/configs").query(&[("dataId", "d"), ("group", "*")]).send().await;
    assert_eq!(seen.status, 400);
    assert_eq!(seen.text(), "Param 'group' is illegal, illegal characters should not appear in the param.\r\n");
    for id in ["a/b", "a b", "a*b", "配置"] {
        let form = [("dataId", id), ("group", "G"), ("content", "x")];
        let seen = server.post("/v1/cs/configs").form(&form).send().await;
        assert_eq!(seen.status, 400);
        assert!(seen.text().contains("'dataId'"), "{id}: {}", seen.text());
    }
    server.stop().await;

    let unchecked = Server::start(&[("nacos.core.param.check.enabled", "false")]).await;
    unchecked.publish("配置", "x").await;
    assert_eq!(unchecked.content("配置").await.as_deref(), Ok("x"));
    let seen = unchecked.get("/v1/cs/configs").query(&[("dataId", "a b"), ("group", "G")]).send().await;
    assert_eq!((seen.status, seen.text()), (400, "caused: invalid dataId : a b;"));
    unchecked.stop().await;
}

async fn tags(server: &Server) -> serde_json::Value {
    let query = [("dataId", "t"), ("group", "G"), ("show", "all")];
    server.get("/v1/cs/configs").query(&query).send().await.json()["configTags"].clone()
}

async fn search(server: &Server, pairs: &[(&str, &str)]) -> (u64, Vec<String>) {
    let base = [("search", "blur"), ("group", ""), ("pageNo", "1"), ("pageSize", "10")];
    let mut query: Vec<(&str, &str)> =
        base.iter().filter(|(name, _)| !pairs.iter().any(|(given, _)| given == name)).copied().collect();
    query.extend(pairs);
    let seen = server.get("/v1/cs/configs").query(&query).send().await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let body = seen.json();
    let items = body["pageItems"].as_array().unwrap().iter();
    (body["totalCount"].as_u64().unwrap(), items.map(|item| item["dataId"].as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn tags_are_replaced_only_when_named_c036() {
    let server = Server::start(&[]).await;
    let form = |tags: Option<&'static str>| {
        let mut form = vec![("dataId", "t"), ("group", "G"), ("content", "x")];
        form.extend(tags.map(|tags| ("config_tags", tags)));
        form
    };
    server.publish_as(&form(Some("a,b"))).await;
    assert_eq!(tags(&server).await, "a,b");
    server.publish_as(&form(None)).await;
    assert_eq!(tags(&server).await, "a,b", "not named: they stay");
    server.publish_as(&form(Some(""))).await;
    assert!(tags(&server).await.is_null());
    server.publish_as(&form(None)).await;
    assert!(tags(&server).await.is_null());
    assert_eq!(search(&server, &[("dataId", ""), ("config_tags", "a")]).await.0, 0);
    server.stop().await;
}

#[tokio::test]
async fn underscore_and_percent_stand_for_themselves_c037() {
    let server = Server::start(&[]).await;
    for id in ["test23", "test_1", "testX1"] {
        server.publish(id, "x").await;
    }
    assert_eq!(search(&server, &[("dataId", "test_*")]).await, (1, vec!["test_1".to_owned()]));
    assert_eq!(search(&server, &[("dataId", "test%")]).await.0, 0);
    assert_eq!(search(&server, &[("dataId", "test*")]).await.0, 3);
    server.stop().await;
}

#[tokio::test]
async fn pages_are_complete_while_configs_come_c038() {
    let server = Server::start(&[]).await;
    for number in 0..25 {
        server.publish(&format!("config-{number}"), "x").await;
    }
    let mut seen = Vec::new();
    for page in ["1", "2", "3"] {
        let (total, ids) = search(&server, &[("dataId", ""), ("pageNo", page)]).await;
        assert_eq!(total, 25 + u64::from(page != "1"));
        seen.extend(ids);
        if page == "1" {
            server.publish("newcomer", "x").await;
        }
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((seen.len(), unique.len()), (26, 26), "{seen:?}");
    server.stop().await;
}

#[tokio::test]
async fn public_empty_and_absent_are_one_namespace_c051_c052() {
    let server = Server::start(&[]).await;
    for (published, content) in [(None, "1"), (Some(""), "2"), (Some("public"), "3")] {
        let mut form = vec![("dataId", "d"), ("group", "G"), ("content", content)];
        form.extend(published.map(|tenant| ("tenant", tenant)));
        server.publish_as(&form).await;
        for read in [None, Some(""), Some("public")] {
            let with = |name: &'static str, group: &'static str| {
                let mut query = vec![("dataId", "d"), (group, "G")];
                query.extend(read.map(|namespace| (name, namespace)));
                query
            };
            let v1 = server.get("/v1/cs/configs").query(&with("tenant", "group")).send().await;
            assert_eq!((v1.status, v1.text()), (200, content));
            let v2 = server.get("/v2/cs/config").query(&with("namespaceId", "group")).send().await;
            assert_eq!(v2.json()["data"], content);
            let v3 = server.get("/v3/client/cs/config").query(&with("namespaceId", "groupName")).send().await;
            assert_eq!(v3.json()["data"]["content"], content);
            let admin = server.get("/v3/admin/cs/config").query(&with("namespaceId", "groupName")).send().await;
            assert_eq!(admin.json()["data"]["namespaceId"], "public");
            let mut history = with("tenant", "group");
            history.push(("search", "accurate"));
            let history = server.get("/v1/cs/history").query(&history).send().await.json();
            assert_eq!(history["totalCount"], content.parse::<u64>().unwrap());
        }
    }
    assert_eq!(search(&server, &[("dataId", "d")]).await.0, 1, "one row");
    server.stop().await;
}

#[tokio::test]
async fn writes_into_a_namespace_nobody_made_are_refused_when_that_is_wanted() {
    let server = Server::start(&[("nacos.core.namespace.validation.enabled", "true")]).await;
    let form = [("dataId", "d"), ("groupName", "G"), ("namespaceId", "dev"), ("content", "x")];
    let seen = server.post("/v3/admin/cs/config").form(&form).send().await;
    assert_eq!((seen.status, seen.json()["code"].as_i64()), (404, Some(22001)));
    let create = [("namespaceId", "dev"), ("namespaceName", "Development")];
    server.post("/v3/admin/core/namespace").form(&create).send().await;
    let seen = server.post("/v3/admin/cs/config").form(&form).send().await;
    assert_eq!(seen.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn the_limit_of_a_content_is_said_with_its_number() {
    let server = Server::start(&[("maxContent", "10")]).await;
    server.publish("d", "0123456789").await;
    let form = [("dataId", "d"), ("group", "G"), ("content", "01234567890")];
    let seen = server.post("/v1/cs/configs").form(&form).send().await;
    assert_eq!((seen.status, seen.text()), (400, "caused: invalid content, over 10;"));
    server.stop().await;
}

/// Byte order mark, four-byte characters, CRLF, NEL, trailing blanks.
const ODD: &str = "\u{feff}k: 配置 🦀\r\nnel:\u{85}\r\n  end  ";

#[tokio::test]
async fn text_comes_back_unchanged_everywhere_c086_c090() {
    let server = Server::start(&[]).await;
    let big: String = "配置🦀".chars().cycle().take(300_000).collect();
    for content in [ODD, &big] {
        server.publish("d", content).await;
        let v1 = server.get("/v1/cs/configs").query(&[("dataId", "d"), ("group", "G")]).send().await;
        assert_eq!(v1.text(), content);
        assert_eq!(v1.header("content-type"), Some("text/plain;charset=UTF-8"));
        assert_eq!(v1.header("content-md5"), Some(&*md5(content)));
        assert_eq!(v1.header("content-encoding"), None);
        let v2 = server.get("/v2/cs/config").query(&[("dataId", "d"), ("group", "G")]).send().await;
        assert_eq!(v2.json()["data"], content);
        let v3 = server.get("/v3/client/cs/config").query(&[("dataId", "d"), ("groupName", "G")]).send().await;
        assert_eq!(v3.json()["data"]["content"], content);
        assert_eq!(v3.json()["data"]["md5"], md5(content));
    }
    let query = [("dataId", "d"), ("group", "G"), ("search", "accurate")];
    let list = server.get("/v1/cs/history").query(&query).send().await.json();
    let nid = list["pageItems"][0]["id"].as_str().unwrap().to_owned();
    let query = [("dataId", "d"), ("group", "G"), ("nid", &*nid)];
    let row = server.get("/v1/cs/history").query(&query).send().await.json();
    assert_eq!(row["content"], ODD, "the update keeps what was there before");
    server.stop().await;
}

#[tokio::test]
async fn a_content_that_nobody_encoded_is_suspicious_c088() {
    let server = Server::start(&[]).await;
    let raw = "dataId=raw&group=G&content=url=jdbc:mysql://h/db?a=1&useSSL=false&x=%41+b";
    let seen = server.post("/v1/cs/configs").body("application/x-www-form-urlencoded", raw).send().await;
    assert_eq!(seen.text(), "true");
    assert_eq!(server.content("raw").await.as_deref(), Ok("url=jdbc:mysql://h/db?a=1"), "by the rules of forms");
    let events = server.get("/v3/admin/diagnosis/events").query(&[("config", "raw"), ("kind", "suspicious")]);
    let text = events.send().await.json()["data"]["events"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("useSSL, x") && text.contains("url-encoded"), "{text}");

    server.publish("encoded", "a=1&b=2+%25 ?#\n").await;
    assert_eq!(server.content("encoded").await.as_deref(), Ok("a=1&b=2+%25 ?#\n"));
    assert!(!server.kinds("encoded").contains(&"suspicious"));
    server.stop().await;
}

#[tokio::test]
async fn multipart_forms_publish_too_c089() {
    let server = Server::start(&[]).await;
    let xml = "<a><![CDATA[x & y\r\n]]></a>\r\n";
    let part =
        |name: &str, value: &str| format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let fields = [("dataId", "flow"), ("group", "G"), ("content", xml), ("type", "xml")];
    let body: String = fields.iter().map(|(name, value)| part(name, value)).collect::<String>() + "--B--\r\n";
    let seen = server.post("/v1/cs/configs").body("multipart/form-data; boundary=B", body).send().await;
    assert_eq!(seen.text(), "true");
    let seen = server.get("/v1/cs/configs").query(&[("dataId", "flow"), ("group", "G")]).send().await;
    assert_eq!((seen.text(), seen.header("config-type")), (xml, Some("xml")));
    server.stop().await;
}

#[tokio::test]
async fn old_clients_that_ask_for_gzip_get_plain_bytes_c091() {
    let server = Server::start(&[]).await;
    server.publish("d", &"y: 1\n".repeat(10_000)).await;
    let seen = server
        .get("/v1/cs/configs")
        .query(&[("dataId", "d"), ("group", "G")])
        .header("accept-encoding", "gzip,deflate,sdch")
        .header("user-agent", "Nacos-Java-Client:v1.3.2")
        .send()
        .await;
    assert_eq!((seen.header("content-encoding"), seen.body.len()), (None, 50_000));
    server.stop().await;
}

/// Python's 1.x client publishes with everything in the query.
#[tokio::test]
async fn a_publish_by_a_query_of_megabytes_is_taken() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start(&[]).await;
    let content = "配置=1&x\n".repeat(100_000);
    let request = format!(
        "POST /nacos/v1/cs/configs?dataId=big&group=G&content={} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: \
         0\r\n\r\n",
        encoded(&content)
    );
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.app.settings.main_port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("true"), "{answer}");
    assert_eq!(server.content("big").await, Ok(content));
    server.stop().await;
}

#[tokio::test]
async fn compare_and_set_lets_one_of_two_writers_win() {
    let server = Server::start(&[]).await;
    server.publish("d", "0").await;
    let write = |content: &'static str| {
        server
            .post("/v1/cs/configs")
            .form(&[("dataId", "d"), ("group", "G"), ("content", content)])
            .header("casMd5", &md5("0"))
            .send()
    };
    let (one, two) = tokio::join!(write("1"), write("2"));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 500]);
    let loser = if one.status == 500 { &one } else { &two };
    assert_eq!(loser.text(), "caused: Cas publish fail, server md5 may have changed.;");
    assert!(server.kinds("d").contains(&"casConflict"));
    server.stop().await;
}

#[tokio::test]
async fn capacity_that_is_enforced_refuses_with_its_own_code() {
    let server = Server::start(&[("isCapacityLimitCheck", "true"), ("defaultMaxSize", "4")]).await;
    let form = [("dataId", "d"), ("groupName", "G"), ("content", "12345")];
    let seen = server.post("/v3/admin/cs/config").form(&form).send().await;
    assert_eq!((seen.status, seen.json()["code"].as_i64()), (429, Some(5034)), "{}", seen.text());
    server.stop().await;
}

#[tokio::test]
async fn calls_of_v2_say_what_is_not_there_and_what_is_empty() {
    let server = Server::start(&[]).await;
    let seen = |path: &'static str, query: &'static [(&'static str, &'static str)]| {
        let call = server.get(path).query(query);
        async move {
            let seen = call.send().await;
            (seen.status, seen.json()["code"].as_i64().unwrap(), seen.json()["data"].clone())
        }
    };
    let absent = |name: &str, kind: &str| {
        (
            400,
            10000,
            json!(format!("Required request parameter '{name}' for method parameter type {kind} is not present")),
        )
    };
    for path in ["/v2/cs/config", "/v2/cs/history/list", "/v2/cs/history", "/v2/cs/history/previous"] {
        assert_eq!(seen(path, &[("group", "G")]).await, absent("dataId", "String"), "{path}");
        assert_eq!(seen(path, &[("dataId", "d")]).await, absent("group", "String"), "{path}");
    }
    assert_eq!(seen("/v2/cs/config", &[("dataId", "d"), ("group", "")]).await, (400, 20002, json!("invalid group : ")));
    let list = seen("/v2/cs/history/list", &[("dataId", ""), ("group", "")]).await;
    assert_eq!((list.0, &list.2["totalCount"]), (200, &json!(0)), "history looks for what it is asked for");
    for path in ["/v2/cs/history", "/v2/cs/history/detail"] {
        let none = seen(path, &[("dataId", "d"), ("group", "G"), ("nid", "1")]).await;
        assert_eq!(none, (200, 0, json!(null)), "{path}: a row that is not there");
    }
    let detail = "/v2/cs/config/searchDetail";
    assert_eq!(seen(detail, &[("dataId", ""), ("group", "")]).await, absent("config_detail", "String"));
    let query = &[("dataId", ""), ("group", ""), ("config_detail", "")];
    assert_eq!(seen(detail, query).await, absent("pageNo", "int"));
    server.stop().await;
}

#[tokio::test]
async fn a_new_config_became_what_it_is_from_nothing() {
    let server = Server::start(&[]).await;
    server.publish("d", "one").await;
    let query = [("dataId", "d"), ("group", "G"), ("search", "accurate")];
    let list = server.get("/v1/cs/history").query(&query).send().await.json();
    let nid = list["pageItems"][0]["id"].as_str().unwrap().to_owned();
    let query = [("dataId", "d"), ("group", "G"), ("nid", &*nid)];
    let detail = server.get("/v2/cs/history/detail").query(&query).send().await.json();
    let detail = &detail["data"];
    let texts =
        ["opType", "originalMd5", "originalContent", "originalExtInfo", "updatedContent"].map(|name| &detail[name]);
    assert_eq!(texts, [&json!("I"), &json!(""), &json!(""), &json!(""), &json!("one")]);
    server.stop().await;
}

#[tokio::test]
async fn a_namespace_of_v2_needs_its_id_be_it_empty() {
    let server = Server::start(&[]).await;
    let missing = |name: &str| (400, json!(format!("required parameter '{name}' is missing")));
    for (form, expected) in [
        (vec![], missing("namespaceId")),
        (vec![("namespaceName", "n")], missing("namespaceId")),
        (vec![("namespaceId", "")], missing("namespaceName")),
        (vec![("namespaceId", ""), ("namespaceName", "n")], (200, json!(true))),
    ] {
        let seen = server.post("/v2/console/namespace").form(&form).send().await;
        assert_eq!((seen.status, seen.json()["data"].clone()), expected, "{form:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn members_are_found_by_how_their_address_begins() {
    let server = Server::start(&[]).await;
    let all = server.get("/v1/core/cluster/nodes").send().await.json();
    let address = all["data"][0]["address"].as_str().unwrap().to_owned();
    let padded = format!(" {address}");
    for (keyword, found) in [("", 1), (" ", 1), (&*address, 1), (&*padded, 0), ("zz", 0)] {
        let seen = server.get("/v1/core/cluster/nodes").query(&[("keyword", keyword)]).send().await.json();
        assert_eq!(seen["data"].as_array().unwrap().len(), found, "{keyword:?}");
    }
    server.stop().await;
}

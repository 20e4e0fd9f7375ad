//! What the APIs of 3.x say to requests that are not as they should be.

use http::Method;
use serde_json::json;

use crate::client::Server;

const REFUSED: &str = "illegal characters should not appear in the param.\r\n";

#[tokio::test]
async fn searches_are_checked_by_the_names_of_v1_and_read_those_of_v3() {
    let server = Server::start(&[]).await;
    server.publish("a", "x").await;
    for path in ["/v3/admin/cs/config/list", "/v3/console/cs/config/list", "/v3/console/cs/config/searchDetail"] {
        let search = async |more: &[(&str, &str)]| {
            let query = [&[("namespaceId", ""), ("dataId", "a"), ("groupName", "G*")][..], more].concat();
            server.get(path).query(&query).send().await
        };
        let found = search(&[]).await;
        assert_eq!(found.json()["data"]["totalCount"], 1, "{path}: a wildcard in groupName is no fault");
        assert_eq!(search(&[("type", "yaml, text")]).await.json()["data"]["totalCount"], 0, "{path}");
        for name in ["tenant", "group"] {
            let refused = search(&[(name, "a b")]).await;
            assert_eq!(refused.status, 400, "{path} {name}");
            assert!(refused.text().ends_with(REFUSED), "{path} {name}");
            assert_eq!(search(&[(name, "a b"), ("search", "blur")]).await.status, 200, "{path} {name}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn every_call_of_the_console_has_its_namespace_checked_and_no_call_by_head_has() {
    let server = Server::start(&[]).await;
    for (method, path, name) in [
        (Method::GET, "/v3/console/core/namespace", "namespaceId"),
        (Method::DELETE, "/v3/console/core/namespace", "namespaceId"),
        (Method::GET, "/v3/console/core/namespace/exist", "customNamespaceId"),
        (Method::GET, "/v3/console/server/state", "namespaceId"),
        (Method::GET, "/v1/console/namespaces", "namespaceId"),
        (Method::GET, "/v2/console/namespace", "namespaceId"),
    ] {
        let refused = server.ask(method, path).query(&[(name, "a b")]).send().await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.text().ends_with(REFUSED), "{path}");
    }
    let query = [("namespaceId", "a b")];
    assert_eq!(server.ask(Method::HEAD, "/v3/console/core/namespace").query(&query).send().await.status, 404);
    assert_eq!(server.get("/v3/admin/core/namespace").query(&query).send().await.status, 404);
    let blanks = server.get("/v3/admin/core/namespace").query(&[("namespaceId", " public ")]).send().await;
    assert_eq!(blanks.status, 404, "no name has blanks around it");
    server.stop().await;
}

#[tokio::test]
async fn a_number_that_cannot_be_read_is_told_before_a_text_that_is_missing() {
    let server = Server::start(&[]).await;
    let ask = async |path: &str, query: &[(&str, &str)]| {
        let seen = server.get(path).query(query).send().await;
        (seen.status, seen.json()["code"].clone(), seen.json()["data"].clone())
    };
    let path = "/v3/admin/cs/history";
    assert_eq!(ask(path, &[("nid", "abc")]).await.0, 500);
    let missing = "Required request parameter 'nid' for method parameter type Long is not present";
    assert_eq!(ask(path, &[]).await, (400, json!(10_000), json!(missing)));
    let path = "/v3/admin/cs/history/list";
    assert_eq!(ask(path, &[("pageNo", "abc")]).await.0, 500);
    let missing = "Required parameter 'groupName' type String is not present";
    assert_eq!(ask(path, &[("pageNo", "0")]).await, (400, json!(10_000), json!(missing)), "read, and looked at later");
    assert_eq!(ask("/v3/admin/cs/config/listener", &[("aggregation", "")]).await.0, 500);
    server.stop().await;
}

#[tokio::test]
async fn a_clone_takes_json_only() {
    let server = Server::start(&[]).await;
    let clone = async |content_type: &str, body: &str, policy: &str| {
        let ask = server.post("/v3/admin/cs/config/clone").query(&[("namespaceId", ""), ("policy", policy)]);
        let seen = ask.body(content_type, body.to_owned()).send().await;
        (seen.status, seen.json()["code"].clone(), seen.json()["data"].clone())
    };
    let other = "Content-Type 'application/x-www-form-urlencoded;charset=UTF-8' is not supported";
    let answer = clone("application/x-www-form-urlencoded", "a=b", "").await;
    assert_eq!(answer, (400, json!(20_003), json!(other)));
    assert_eq!(clone("text/plain", "[]", "").await.1, 20_003);
    for policy in ["", "SKIP", " SKIP "] {
        assert_eq!(clone("application/json;charset=UTF-8", "[null]", policy).await.1, 100_006, "nothing selected");
    }
    assert_eq!(clone("application/json", "[]", "skip").await.0, 500);
    server.stop().await;
}

#[tokio::test]
async fn what_is_only_looked_for_may_have_any_name() {
    let server = Server::start(&[]).await;
    // The check looks at the first of several values, a form has all of them.
    let twice = [("dataId", "a"), ("dataId", "b"), ("groupName", "G")];
    let asked = async |method, path: &str| {
        let seen = server.ask(method, path).query(&twice).send().await;
        (seen.status, seen.json()["code"].clone(), seen.json()["data"].clone())
    };
    let absent = "Config not exist, please publish Config first.";
    assert_eq!(asked(Method::GET, "/v3/admin/cs/config").await, (404, json!(20_004), json!(absent)));
    assert_eq!(asked(Method::DELETE, "/v3/admin/cs/config").await, (200, json!(0), json!(true)));
    assert_eq!(asked(Method::DELETE, "/v3/admin/cs/config/beta").await, (200, json!(30_000), json!(false)));
    assert_eq!(asked(Method::DELETE, "/v3/console/cs/config/beta").await, (200, json!(500), json!(false)));
    server.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_call_the_old_apis_and_the_console_and_nothing_else() {
    let server = Server::start(&[]).await;
    let other = "http://other.example.com";
    for (path, open) in [
        ("/v3/admin/cs/config", false),
        ("/v3/client/ns/instance", false),
        ("/v3/none", false),
        ("/v3/console/cs/config", true),
        ("/v2/cs/config", true),
    ] {
        let ask = server.ask(Method::OPTIONS, path).header("origin", other);
        let seen = ask.header("access-control-request-method", "POST").send().await;
        let (status, body) = if open { (200, "") } else { (403, "Invalid CORS request") };
        assert_eq!((seen.status, seen.text()), (status, body), "{path}");
        assert_eq!(seen.header("access-control-allow-origin").is_some(), open, "{path}");
        let seen = server.get(path).header("origin", other).send().await;
        assert_eq!(seen.header("access-control-allow-origin"), open.then_some(other), "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_content_with_a_broken_escape_is_missing() {
    let server = Server::start(&[]).await;
    for content in ["%zz", "100%", "a%2"] {
        let body = format!("dataId=d&groupName=G&content={content}");
        let ask = server.post("/v3/admin/cs/config").body("application/x-www-form-urlencoded", body);
        let seen = ask.send().await;
        assert_eq!((seen.status, &seen.json()["code"]), (400, &json!(10000)), "{content}: {}", seen.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_namespace_is_not_changed_to_what_the_table_cannot_hold() {
    let server = Server::start(&[]).await;
    let path = "/v3/admin/core/namespace";
    server.post(path).form(&[("namespaceId", "n1"), ("namespaceName", "n")]).send().await;
    for (id, name, desc, status) in [
        ("n1", 128, 256, 200),
        ("n1", 129, 0, 500),
        ("n1", 1, 257, 500),
        ("nobody", 129, 0, 200),
        ("public", 129, 0, 200),
    ] {
        let (name, desc) = ("x".repeat(name), "y".repeat(desc));
        let form = [("namespaceId", id), ("namespaceName", &*name), ("namespaceDesc", &*desc)];
        let seen = server.ask(Method::PUT, path).form(&form).send().await;
        assert_eq!(seen.status, status, "{id}: {}", seen.text());
        if status == 500 {
            assert_eq!(seen.json()["data"], "errCode: 500, errMsg: Namespace update failed ");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_beta_names_who_published_it() {
    let server = Server::start(&[]).await;
    let key = [("dataId", "d"), ("groupName", "G")];
    for (user, shown) in [(Some("bob"), json!("bob")), (None, json!(null))] {
        let mut form = key.to_vec();
        form.extend([("content", "beta")]);
        form.extend(user.map(|user| ("srcUser", user)));
        let ask = server.post("/v3/admin/cs/config").header("betaIps", "192.0.2.1").form(&form);
        assert_eq!(ask.send().await.json()["data"], true);
        let seen = server.get("/v3/admin/cs/config/beta").query(&key).send().await;
        assert_eq!(seen.json()["data"]["createUser"], shown, "{}", seen.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_factor_of_load_is_a_number_or_nothing() {
    let server = Server::start(&[]).await;
    for (factor, status) in [("0.2f", 200), (" 1 ", 200), ("", 200), ("x", 400)] {
        let ask = server.post("/v3/admin/core/loader/smartReloadCluster").form(&[("loaderFactor", factor)]);
        let seen = ask.send().await;
        assert_eq!(seen.status, status, "{factor}: {}", seen.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn history_names_who_published_by_the_form_and_who_removed_by_the_login() {
    let server = Server::start(&[]).await;
    let key = [("dataId", "d"), ("groupName", "G")];
    let last = async || {
        let seen = server.get("/v3/admin/cs/history/list").query(&key).send().await;
        seen.json()["data"]["pageItems"][0]["srcUser"].clone()
    };
    for (user, published, removed) in [
        (&[("srcUser", "x")][..], json!("x"), json!(null)),
        (&[("username", "y")], json!("y"), json!("y")),
        (&[("srcUser", "x"), ("username", "y")], json!("x"), json!("y")),
        (&[], json!(null), json!(null)),
    ] {
        let form = [&key[..], &[("content", "c")], user].concat();
        assert_eq!(server.post("/v3/admin/cs/config").form(&form).send().await.json()["data"], true);
        assert_eq!(last().await, published, "{user:?}");
        let query = [&key[..], user].concat();
        assert_eq!(server.ask(Method::DELETE, "/v3/admin/cs/config").query(&query).send().await.json()["data"], true);
        assert_eq!(last().await, removed, "{user:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn only_a_blurred_search_looks_at_types() {
    let server = Server::start(&[]).await;
    server.publish("a", "x").await;
    for (path, search, found) in [
        ("/v3/admin/cs/config/list", "accurate", 1),
        ("/v3/admin/cs/config/list", "blur", 0),
        ("/v3/console/cs/config/searchDetail", "accurate", 1),
        ("/v3/console/cs/config/searchDetail", "blur", 0),
        ("/v3/console/cs/config/list", "accurate", 0),
    ] {
        let query = [("dataId", "a"), ("groupName", ""), ("type", "json"), ("search", search)];
        let seen = server.get(path).query(&query).send().await;
        assert_eq!(seen.json()["data"]["totalCount"], found, "{path} {search}: {}", seen.text());
    }
    let query =
        [("dataId", "a"), ("group", ""), ("type", "json"), ("config_detail", ""), ("pageNo", "1"), ("pageSize", "9")];
    let seen = server.get("/v2/cs/config/searchDetail").query(&query).send().await;
    assert_eq!(seen.json()["totalCount"], 1, "2.x knows no type here: {}", seen.text());
    server.stop().await;
}

#[tokio::test]
async fn a_blurred_search_spans_namespaces_and_an_accurate_one_by_tags_shows_no_type() {
    let server = Server::start(&[]).await;
    let form = [("dataId", "d"), ("groupName", "G"), ("namespaceId", "dev1"), ("content", "x"), ("configTags", "t")];
    server.post("/v3/admin/cs/config").form(&form).send().await;
    for path in ["/v3/admin/cs/config/list", "/v3/console/cs/config/searchDetail"] {
        for (namespace, search, found) in [("dev*", "blur", 1), ("*", "blur", 1), ("dev*", "accurate", 0)] {
            let query = [("dataId", "d"), ("groupName", ""), ("namespaceId", namespace), ("search", search)];
            let seen = server.get(path).query(&query).send().await;
            assert_eq!(seen.json()["data"]["totalCount"], found, "{path} {namespace} {search}: {}", seen.text());
        }
        for (search, tags, kind) in
            [("blur", "t", json!("text")), ("accurate", "", json!("text")), ("accurate", "t", json!(null))]
        {
            let query = [("dataId", "d"), ("namespaceId", "dev1"), ("search", search), ("configTags", tags)];
            let seen = server.get(path).query(&query).query(&[("groupName", "")]).send().await;
            assert_eq!(seen.json()["data"]["pageItems"][0]["type"], kind, "{path} {search} {tags}");
        }
    }
    server.stop().await;
}

/// Its first publish names an application, the second none, the third the empty one.
#[tokio::test]
async fn an_empty_application_clears_it_and_no_application_keeps_it() {
    let server = Server::start(&[]).await;
    let key = [("dataId", "d"), ("content", "x")];
    for (path, group, namespace) in [
        ("/v1/cs/configs", "group", "tenant"),
        ("/v2/cs/config", "group", "namespaceId"),
        ("/v3/admin/cs/config", "groupName", "namespaceId"),
    ] {
        for (app, kept) in [(Some("shop"), "shop"), (None, "shop"), (Some(""), "")] {
            let mut form = [&key[..], &[(group, "G"), (namespace, "dev")]].concat();
            form.extend(app.map(|app| ("appName", app)));
            assert_eq!(server.post(path).form(&form).send().await.status, 200, "{path}");
            let query = [("dataId", "d"), ("groupName", "G"), ("namespaceId", "dev")];
            let seen = server.get("/v3/admin/cs/config").query(&query).send().await;
            assert_eq!(seen.json()["data"]["appName"], kept, "{path} {app:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_metrics_of_the_cluster_are_the_whole_answer_of_its_node() {
    let server = Server::start(&[]).await;
    let query = [("ip", "192.0.2.1"), ("dataId", "d"), ("groupName", "G")];
    let node = server.get("/v3/admin/cs/metrics/ip").query(&query).send().await.json();
    let cluster = server.get("/v3/admin/cs/metrics/cluster").query(&query).send().await.json();
    assert_eq!((&node["data"], &cluster["data"]), (&json!({}), &node));
    server.stop().await;
}

/// Two of one name are one that no namespace can have.
#[tokio::test]
async fn the_configs_of_a_namespace_are_listed_for_a_namespace_that_can_be() {
    let server = Server::start(&[]).await;
    for (path, name, text) in [
        ("/v1/cs/history/configs", "tenant", "caused: invalid tenant;"),
        ("/v2/cs/history/configs", "namespaceId", "invalid namespaceId"),
        ("/v3/admin/cs/history/configs", "namespaceId", "invalid namespaceId"),
    ] {
        let seen = server.get(path).query(&[(name, "a"), (name, "b")]).send().await;
        assert_eq!(seen.status, 400, "{path}");
        assert!(seen.text().contains(text), "{path}: {}", seen.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_of_unreadable_requests_are_the_callers_fault_and_short() {
    let server = Server::start(&[]).await;
    let get = async |path: &str, query: &[(&str, &str)]| {
        server.get(path).query(query).header("accept", "text/html").send().await
    };
    let key = [("dataId", "a"), ("groupName", "G")];
    let with = |more: (&'static str, &'static str)| [&key[..], &[more]].concat();
    for (seen, status, text) in [
        (
            get("/v3/admin/cs/history/list", &with(("pageSize", "x"))).await,
            400,
            "object=&#39;pageForm&#39;. Error count: 1",
        ),
        (
            get("/v3/admin/cs/config/listener", &with(("aggregation", "x"))).await,
            400,
            "object=&#39;aggregationForm&#39;.",
        ),
        (get("/v3/admin/ns/service/list", &[("withInstances", "x")]).await, 400, "object=&#39;serviceListForm&#39;."),
        (
            get("/v3/admin/ns/client", &[]).await,
            400,
            "<div>Required parameter &#39;clientId&#39; is not present.</div>",
        ),
        (get("/v3/admin/cs/config", &key[..1]).await, 500, "Required parameter &#39;groupName&#39; type String"),
        (get("/v3/admin/cs/config", &key).await, 500, "Config not exist, please publish Config first."),
    ] {
        assert_eq!(seen.status, status, "{}", seen.text());
        assert!(seen.text().contains(text), "{text}: {}", seen.text());
    }
    let ask = server.ask(Method::PUT, "/v3/admin/core/ops/log").header("accept", "text/html");
    assert_eq!(ask.body("text/plain", "x").send().await.status, 415);
    let ask = server.ask(Method::PUT, "/v3/admin/core/ops/log").header("accept", "text/html");
    assert_eq!(ask.body("application/json", "{").send().await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn lists_of_browsers_are_read_by_their_bare_name() {
    let server = Server::start(&[]).await;
    let form = [("dataId[]", "d"), ("groupName", "G"), ("content", "x"), ("configTags[]", "a"), ("configTags[]", "b")];
    assert_eq!(server.post("/v3/admin/cs/config").form(&form).send().await.json()["data"], true);
    let query = [("dataId[]", "d"), ("groupName", "G"), ("groupName[]", "H")];
    let seen = server.get("/v3/admin/cs/config").query(&query).send().await;
    assert_eq!(seen.json()["data"]["configTags"], "a,b", "{}", seen.text());
    let form = [("dataId", "e"), ("group", "G"), ("content[]", "x")];
    assert_eq!(server.post("/v2/cs/config").form(&form).send().await.json()["data"], true);
    let seen = server.get("/v2/cs/config").query(&[("dataId[]", "e"), ("group", "G")]).send().await;
    assert_eq!(seen.status, 400, "2.x reads single parameters by their own name");
    server.stop().await;
}

#[tokio::test]
async fn an_empty_all_is_no_truth_value() {
    let server = Server::start(&[]).await;
    for (all, status) in [("", 500), ("x", 500), ("true", 200), ("0", 200)] {
        for path in ["/v1/cs/listener", "/v3/admin/cs/listener", "/v3/console/cs/config/listener/ip"] {
            let seen = server.get(path).query(&[("ip", "192.0.2.1"), ("all", all)]).send().await;
            assert_eq!(
                seen.status,
                if status == 500 && path.starts_with("/v1") { 400 } else { status },
                "{path} {all}"
            );
        }
    }
    for path in ["/v1/cs/listener", "/v3/admin/cs/listener"] {
        assert_eq!(server.get(path).query(&[("ip", "192.0.2.1")]).send().await.status, 200, "{path}");
    }
    server.stop().await;
}

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

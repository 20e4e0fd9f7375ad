//! What 2.5.1 says to callers whose parameters are odd, as it was asked.

use super::*;

/// A call: method, path, parameters; the status and the whole text or, of JSON, a part of it.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16, &'a str);

async fn all_answer(server: &Server, cases: &[Case<'_>]) {
    for (method, path, params, status, text) in cases {
        let answer = ask(server, method, path, params).await;
        assert_eq!(answer.status, *status, "{method} {path} {params:?}: {}", answer.text);
        assert!(answer.text.contains(text), "{method} {path} {params:?}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_without_a_name_is_one_of_its_own() {
    let server = Server::start(&[]).await;
    let (none, blank) = (("serviceName", ""), ("serviceName", " "));
    let threshold = ("protectThreshold", "0");
    let service = "/v1/ns/service";
    all_answer(
        &server,
        &[
            ("GET", service, &[none], 400, "service not found, namespace: public, serviceName: "),
            ("POST", service, &[none], 200, "ok"),
            ("POST", service, &[blank], 400, "Param 'serviceName' is illegal, serviceName is blank"),
            ("GET", service, &[blank], 200, r#""groupName":"","name":"""#),
            ("PUT", service, &[blank, threshold], 200, "ok"),
            ("PUT", service, &[none, threshold], 400, "Param 'serviceName' is required."),
            ("GET", "/v1/ns/service/subscribers", &[blank], 200, r#""count":0"#),
            ("DELETE", service, &[none], 200, "ok"),
            ("DELETE", service, &[none], 400, "Param 'serviceName' is illegal, serviceName is blank"),
            ("PUT", service, &[blank, threshold], 400, "Param 'serviceName' is illegal, serviceName is blank"),
        ],
    )
    .await;
    let gone = ask(&server, "GET", service, &[none]).await;
    assert_eq!(gone.text, "service not found, namespace: public, serviceName: ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v2_keeps_a_grouped_name_of_a_service_and_cuts_one_of_an_instance() {
    let server = Server::start(&[]).await;
    let (grouped, at, ip, port) = (("serviceName", "G@@s"), ("ip", "1.1.1.1"), ("serviceName", "@@"), ("port", "80"));
    let (service, instance, list) = ("/v2/ns/service", "/v2/ns/instance", "/v2/ns/instance/list");
    all_answer(
        &server,
        &[
            ("POST", service, &[grouped], 200, "ok"),
            ("GET", service, &[grouped], 200, r#""serviceName":"G@@s","groupName":"DEFAULT_GROUP""#),
            ("DELETE", service, &[grouped], 200, "ok"),
            ("POST", instance, &[grouped, at, port], 200, "ok"),
            ("GET", "/v2/ns/service/list", &[], 200, r#"{"count":1,"services":["G"]}"#),
            ("GET", instance, &[grouped, at, port], 200, r#""serviceName":"DEFAULT_GROUP@@G@@s""#),
            ("GET", list, &[ip], 500, r#"{"code":30000,"message":"Index 1 out of bounds for length 1","data":null}"#),
            ("POST", instance, &[ip, at, port], 500, "Index 1 out of bounds for length 1"),
            ("GET", list, &[grouped, ("groupName", " ")], 400, "Param 'groupName' is illegal, groupName is blank"),
            ("GET", service, &[grouped, ("groupName", " ")], 400, "Param 'groupName' is illegal, groupName is blank"),
            ("GET", list, &[("serviceName", "@@s")], 400, "Param 'serviceName' is illegal, serviceName is blank"),
        ],
    )
    .await;
    let elsewhere = [("serviceName", "x"), at, port, ("clusterName", " ")];
    let missing = "no ips found for cluster   in service DEFAULT_GROUP@@x";
    all_answer(&server, &[("GET", instance, &elsewhere, 404, missing)]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_cut_as_java_cuts_lists() {
    let server = Server::start(&[]).await;
    register(&server, &[("serviceName", "s"), ("ip", "1.1.1.1"), ("port", "80")]).await;
    let (s, c) = (("serviceName", "s"), ("clusterName", "DEFAULT"));
    let page = |number, size| [("pageNo", number), ("pageSize", size)];
    for (path, number, size, status, text) in [
        ("/v1/ns/service/list", "1", "-1", 400, "fromIndex(0) > toIndex(-1)"),
        ("/v1/ns/service/list", "0", "-1", 200, r#"{"count":1,"doms":[]}"#),
        ("/v2/ns/service/list", "1", "-1", 400, r#""data":"fromIndex(0) > toIndex(-1)""#),
        ("/v2/ns/service/list", "0", "-1", 200, r#"{"count":1,"services":[]}"#),
        ("/v1/ns/catalog/instances", "0", "1", 200, r#""list":[],"count":1"#),
        ("/v1/ns/catalog/instances", "-1", "1", 400, "fromIndex(0) > toIndex(-1)"),
        ("/v1/ns/catalog/instances", "0", "-1", 400, "fromIndex(1) > toIndex(0)"),
        ("/v2/ns/catalog/instances", "1", "0", 200, r#"{"instances":[],"count":1}"#),
        ("/v2/ns/catalog/instances", "1", "-1", 400, "fromIndex(0) > toIndex(-1)"),
        ("/v2/ns/catalog/instances", "2", "1", 200, r#""data":{"count":1}"#),
        ("/v1/ns/catalog/services", "1", "0", 200, r#""name":"s""#),
    ] {
        let [number, size] = page(number, size);
        all_answer(&server, &[("GET", path, &[s, c, number, size], status, text)]).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_is_no_metadata_and_no_checker() {
    let server = Server::start(&[]).await;
    let null = ("metadata", "null");
    let (s, ip, port) = (("serviceName", "s"), ("ip", "1.1.1.1"), ("port", "80"));
    all_answer(
        &server,
        &[
            ("POST", "/v1/ns/instance", &[s, ip, port, null], 200, "ok"),
            ("POST", "/v2/ns/instance", &[s, ip, port, null], 200, "ok"),
            ("POST", "/v1/ns/service", &[("serviceName", "t"), null], 200, "ok"),
            (
                "PUT",
                "/v1/ns/cluster",
                &[
                    s,
                    ("clusterName", "C"),
                    ("checkPort", "80"),
                    ("useInstancePort4Check", "true"),
                    ("healthChecker", "null"),
                ],
                500,
                r#"because "healthChecker" is null;"#,
            ),
        ],
    )
    .await;
    assert_eq!(hosts(&server, "s").await[0]["metadata"], json!({}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_want_a_grouped_name_and_a_patch_finds_its_cluster_by_either_name() {
    let server = Server::start(&[]).await;
    let (s, ip, port) = (("serviceName", "s"), ("ip", "1.1.1.1"), ("port", "80"));
    register(&server, &[s, ip, port, ("clusterName", "C")]).await;
    let illegal = "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'";
    let (instance, batch) = ("/v1/ns/instance", "/v1/ns/instance/metadata/batch");
    let list = "Nacos deserialize for class [com.alibaba.nacos.naming.paramcheck.\
                NamingInstanceMetadataBatchHttpParamExtractor$1] failed, cause error[Unrecognized token 'abc'";
    let target = r#"[{"ip":"1.1.1.1","port":"80","clusterName":"C"}]"#;
    all_answer(
        &server,
        &[
            ("GET", "/v1/ns/instance/statuses", &[("key", "s")], 400, illegal),
            ("GET", "/v1/ns/instance/statuses", &[("key", "public##s")], 400, illegal),
            ("GET", "/v1/ns/instance/statuses", &[("key", "public##")], 500, "Index 1 out of bounds for length 1"),
            ("GET", "/v1/ns/instance/statuses", &[("key", "public##DEFAULT_GROUP@@s")], 200, "1.1.1.1:80_true"),
            ("GET", "/v2/ns/instance/statuses/s", &[("port", "odd")], 400, illegal),
            ("PATCH", instance, &[s, ip, port, ("cluster", "C"), ("weight", "7")], 200, "ok"),
            ("PATCH", instance, &[s, ip, port, ("cluster", "D"), ("weight", "7")], 404, "no matched ip found!"),
            ("GET", instance, &[s, ip, port, ("clusterName", "C")], 200, r#""weight":7.0"#),
            ("PUT", batch, &[s, ("metadata", "a=1"), ("instances", target)], 200, "1.1.1.1:80:unknown:C:ephemeral"),
            ("PUT", batch, &[s, ("metadata", "a=1"), ("instances", "abc")], 500, list),
            ("PUT", batch, &[s, ("metadata", "a=1"), ("consistencyType", "persist")], 200, "1.1.1.1:80:unknown:C:"),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_told_in_the_references_order() {
    let server = Server::start(&[]).await;
    let missing = |name: &str, kind: &str| format!("Required parameter '{name}' type {kind} is not present");
    let all = [("healthy", "true"), ("serviceName", "s"), ("ip", "1.1.1.1"), ("port", "80")];
    for (given, text) in [
        (0, missing("healthy", "Boolean")),
        (1, missing("serviceName", "String")),
        (2, missing("ip", "String")),
        (3, missing("port", "Integer")),
    ] {
        all_answer(&server, &[("PUT", "/v2/ns/health", &all[..given], 400, &text)]).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_checker_that_is_null_is_an_exception_and_one_in_loose_json_is_kept() {
    let server = Server::start(&[]).await;
    register(&server, &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "1"), ("clusterName", "c")]).await;
    let of = |checker| {
        [
            ("serviceName", "s"),
            ("clusterName", "c"),
            ("checkPort", "81"),
            ("useInstancePort4Check", "false"),
            ("healthChecker", checker),
        ]
    };
    let null = r#"AbstractHealthChecker.getType()" because "healthChecker" is null"#;
    let text = r#"{"type":"HTTP","path":"/h","expectedResponseCode":"204"} and more"#;
    all_answer(
        &server,
        &[
            ("PUT", "/v1/ns/cluster", &of("null"), 500, null),
            ("PUT", "/v3/admin/ns/cluster", &of("null"), 500, &null.replace('"', "\\\"")),
            ("PUT", "/v1/ns/cluster", &of(text), 200, "ok"),
            ("GET", "/v1/ns/catalog/service", &[("serviceName", "s")], 200, r#""expectedResponseCode":204"#),
        ],
    )
    .await;
    server.stop().await;
}

/// As the documentation of 2.x and 3.x writes it, the kind as text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_metadata_take_numbers_and_truth_values_as_text() {
    let server = Server::start(&[]).await;
    register(&server, &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80")]).await;
    let batch = |ephemeral: &str| {
        format!(r#"[{{"ip":"10.0.0.1","port":"80","ephemeral":{ephemeral},"clusterName":"DEFAULT"}}]"#)
    };
    for path in
        ["/v1/ns/instance/metadata/batch", "/v2/ns/instance/metadata/batch", "/v3/admin/ns/instance/metadata/batch"]
    {
        for ephemeral in [r#""true""#, "true", "1"] {
            let (batch, metadata) = (batch(ephemeral), r#"{"k":"v"}"#);
            let name = if path.starts_with("/v1") { "DEFAULT_GROUP@@s" } else { "s" };
            let params = [("serviceName", name), ("instances", &*batch), ("metadata", metadata)];
            let answer = ask(&server, "PUT", path, &params).await;
            assert!(
                answer.text.contains("10.0.0.1:80:unknown:DEFAULT:ephemeral"),
                "{path} {ephemeral}: {}",
                answer.text
            );
        }
        let params = [("serviceName", "s"), ("instances", &*batch(r#""x""#)), ("metadata", "{}")];
        assert_eq!(ask(&server, "PUT", path, &params).await.status, 500);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_of_a_list_of_services_show_who_is_in_them_only() {
    let server = Server::start(&[]).await;
    register(&server, &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80"), ("clusterName", "c")]).await;
    let params = [("withInstances", "true"), ("pageNo", "1"), ("pageSize", "10")];
    let list = ask(&server, "GET", "/v3/admin/ns/service/list", &params).await.json();
    let mut cluster = list["data"]["pageItems"][0]["clusterMap"]["c"].clone();
    assert_eq!(cluster["hosts"].take()[0]["ip"], "10.0.0.1");
    let expected = json!({
        "clusterName": null, "healthChecker": null, "healthyCheckPort": 80, "useInstancePortForCheck": true,
        "metadata": null, "hosts": null,
    });
    assert_eq!(cluster, expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_accepts_decides_what_its_refusal_is() {
    let server = Server::start(&[]).await;
    register(&server, &[("serviceName", "s"), ("ip", "10.0.0.1"), ("port", "80")]).await;
    let asked = async |path: &str, accept: &str| {
        let request = Request::builder().uri(format!("/nacos{path}")).header("accept", accept);
        let answer = send(&server, request.body(Full::default()).unwrap()).await;
        (answer.status, answer.text)
    };
    let (there, missing) = ("/v3/client/ns/instance/list?serviceName=s", "/v3/admin/ns/service?serviceName=none");
    let java = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
    assert_eq!((asked(there, java).await.0, asked(missing, java).await.0), (200, 400));
    assert_eq!(
        (asked(there, "text/plain").await, asked(missing, "text/plain").await),
        ((406, String::new()), (500, String::new()))
    );
    let (status, page) = asked(missing, "text/html").await;
    assert!(
        status == 500 && page.contains("status=500") && page.contains("service not found, namespace: public"),
        "{page}"
    );
    assert!(asked(there, "text/html").await.1.contains("Acceptable representations: [application/json, "));
    // A header that cannot be read.
    for path in [there, missing, "/v2/ns/instance/list?serviceName=s"] {
        assert_eq!(asked(path, "json").await, (400, String::new()), "{path}");
    }
    assert_eq!(asked("/v1/ns/instance/list?serviceName=s", "json").await, (500, String::new()));
    assert_eq!(asked("/v3/client/cs/config?dataId=d&groupName=g", "json").await, (406, String::new()));
    server.stop().await;
}

/// A key of null is as if it was not named, except where keys are removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_of_null_are_none() {
    let server = Server::start(&[]).await;
    let at = [("serviceName", "s"), ("ip", "1.1.1.1"), ("port", "80")];
    let with = |metadata: &'static str| [&at[..], &[("metadata", metadata)]].concat();
    let batch = "/v1/ns/instance/metadata/batch";
    let shown = || async { ask(&server, "GET", "/v1/ns/instance", &at).await.json()["metadata"].clone() };
    for (method, path, metadata, expected) in [
        ("POST", "/v1/ns/instance", r#"{"a":"1","b":null}"#, json!({"a": "1"})),
        ("PATCH", "/v1/ns/instance", r#"{"a":null,"c":"3"}"#, json!({"a": "1", "c": "3"})),
        ("PUT", batch, r#"{"c":"4"}"#, json!({"a": "1", "c": "4"})),
        ("DELETE", batch, r#"{"c":null}"#, json!({"a": "1"})),
    ] {
        assert_eq!(ask(&server, method, path, &with(metadata)).await.status, 200, "{method} {metadata}");
        assert_eq!(shown().await, expected, "{method} {metadata}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_with_instances_lists_empty_services_too() {
    let server = Server::start(&[]).await;
    ask(&server, "POST", "/v1/ns/service", &[("serviceName", "empty")]).await;
    ask(&server, "POST", "/v1/ns/instance", &[("serviceName", "s"), ("ip", "1.1.1.1"), ("port", "80")]).await;
    let page = [("pageNo", "1"), ("pageSize", "9"), ("hasIpCount", "true")];
    for (with_instances, count) in [("true", 2), ("false", 1)] {
        let query = [&page[..], &[("withInstances", with_instances)]].concat();
        let seen = ask(&server, "GET", "/v1/ns/catalog/services", &query).await.json();
        let rows = seen.as_array().or_else(|| seen["serviceList"].as_array()).unwrap();
        assert_eq!(rows.len(), count, "withInstances={with_instances}");
    }
    server.stop().await;
}

/// Who subscribes is told once however many connections of one host there are; the lists of clients tell all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_look_alike_are_one() {
    let server = Server::start(&[]).await;
    let (one, two) = (server.client("naming").await, server.client("naming").await);
    one.subscribe("s").await;
    two.subscribe("s").await;
    let service = [("namespaceId", "n"), ("groupName", "G"), ("serviceName", "s")];
    let seen = async |path: &str| ask(&server, "GET", path, &service).await.json();
    let v1 = seen("/v1/ns/service/subscribers").await;
    assert_eq!((&v1["count"], v1["subscribers"].as_array().unwrap().len()), (&json!(1), 1));
    for path in ["/v3/admin/ns/service/subscribers", "/v3/console/ns/service/subscribers"] {
        let v3 = seen(path).await["data"].take();
        assert_eq!((&v3["totalCount"], v3["pageItems"].as_array().unwrap().len()), (&json!(1), 1), "{path}");
    }
    for path in ["/v2/ns/client/service/subscriber/list", "/v3/admin/ns/client/service/subscriber/list"] {
        assert_eq!(seen(path).await["data"].as_array().unwrap().len(), 2, "{path}");
    }
    let id = one.id().await;
    for path in ["/v2/ns/client", "/v3/admin/ns/client"] {
        let client = ask(&server, "GET", path, &[("clientId", &id)]).await.json();
        assert_eq!(client["data"]["appName"], "-", "no application was named");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_are_of_their_services_kind_whatever_is_asked() {
    let server = Server::start(&[]).await;
    let at = [("serviceName", "p"), ("ip", "1.1.1.1"), ("port", "80")];
    register(&server, &[&at[..], &[("ephemeral", "false")]].concat()).await;
    for ephemeral in ["true", "false", ""] {
        let query = [&at[..], &[("ephemeral", ephemeral)]].concat();
        let listed = ask(&server, "GET", "/v2/ns/client/service/publisher/list", &query).await.json();
        assert_eq!(listed["data"][0]["clientId"], "1.1.1.1:80#false", "{ephemeral}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_calls_of_v1_read_their_parameters_in_the_references_order() {
    let server = Server::start(&[]).await;
    let (health, push, switches) = ("/v1/ns/health/instance", "/v1/ns/operator/push/state", "/v1/ns/operator/switches");
    all_answer(
        &server,
        &[
            ("PUT", health, &[], 400, "Param 'healthy' is required."),
            ("PUT", health, &[("valid", "true")], 400, "Param 'serviceName' is required."),
            ("GET", push, &[("detail", "yes"), ("reset", "1")], 200, r#""ratio":0,"detail":{"#),
            ("GET", push, &[("detail", "x")], 500, "Invalid boolean value [x]"),
            ("GET", push, &[("reset", "")], 500, "Invalid boolean value []"),
            ("PUT", switches, &[("debug", "")], 500, "Invalid boolean value []"),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_of_v3_is_no_registration() {
    let server = Server::start(&[]).await;
    let at = [("serviceName", "s"), ("ip", "1.1.1.1"), ("port", "80"), ("weight", "20000")];
    let (path, beat) = ("/v3/client/ns/instance", [&at[..], &[("heartBeat", "true")]].concat());
    all_answer(
        &server,
        &[
            ("POST", path, &at, 400, "The weights range from 0.0 to 10000.0"),
            ("POST", path, &beat, 200, r#""code":21003"#),
            ("POST", path, &at[..3], 200, "ok"),
            ("POST", path, &beat, 200, r#"{"code":0,"message":"success","data":"ok"}"#),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_v3_with_instances_lists_empty_services_too() {
    let server = Server::start(&[]).await;
    ask(&server, "POST", "/v3/admin/ns/service", &[("serviceName", "empty")]).await;
    register(&server, &[("serviceName", "s"), ("ip", "1.1.1.1"), ("port", "80")]).await;
    for path in ["/v3/admin/ns/service/list", "/v3/console/ns/service/list"] {
        for (with_instances, count) in [("true", 2), ("false", 1)] {
            let query = [("ignoreEmptyService", "true"), ("withInstances", with_instances)];
            let seen = ask(&server, "GET", path, &query).await.json();
            assert_eq!(seen["data"]["totalCount"], count, "{path} withInstances={with_instances}");
        }
    }
    server.stop().await;
}

/// The switch takes any word; one that is no status leaves the server as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_is_no_status_takes_nobody_out_of_service() {
    let server = Server::start(&[]).await;
    let ready = "/v3/admin/core/state/readiness";
    for (word, status) in [("NULL", 200), ("nonsense", 200), ("DOWN", 500), ("null", 200)] {
        set_switch(&server, "overriddenServerStatus", word).await;
        assert_eq!(ask(&server, "GET", ready, &[]).await.status, status, "{word}");
    }
    server.stop().await;
}

/// What an SDK leaves when it takes the last instance out of a batch does not keep the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_an_empty_batch_can_be_deleted_and_comes_back() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let batch = async |ports: &[u16]| {
        let instances: Vec<_> = ports.iter().map(|port| json!({"ip": "10.0.0.1", "port": port})).collect();
        let body = json!({"namespace": "n", "groupName": "G", "serviceName": "s", "type": "batchRegisterInstance",
            "instances": instances});
        assert_eq!(client.call("BatchInstanceRequest", body).await.body["success"], true);
    };
    let service = [("namespaceId", "n"), ("groupName", "G"), ("serviceName", "s")];
    let path = "/v3/admin/ns/service";
    batch(&[1, 2]).await;
    all_answer(&server, &[("DELETE", path, &service, 400, "Service G@@s is not empty")]).await;
    batch(&[]).await;
    all_answer(
        &server,
        &[
            ("GET", path, &service, 200, "G"),
            ("DELETE", path, &service, 200, "ok"),
            ("GET", path, &service, 400, "not found"),
        ],
    )
    .await;
    batch(&[3]).await;
    let list = ask(&server, "GET", "/v3/client/ns/instance/list", &service).await.json();
    assert_eq!(list["data"][0]["port"], 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_shown_as_their_clients_introduced_themselves() {
    let server = Server::start(&[]).await;
    let mut client = server.dial().await;
    let labels = json!({"source": "sdk", "module": "naming", "app_zone": "z", "AppName": " ", "Vipserver-Tag": "t"});
    client.set_up(json!({"clientVersion": "v", "tenant": "n", "labels": labels, "abilityTable": {}})).await;
    assert_eq!(client.push().await.name, "SetupAckRequest");
    let id = client.id().await;
    for (path, namespace, at) in
        [("/v2/core/loader/current", "tenant", ""), ("/v3/admin/core/loader/current", "namespaceId", "/data")]
    {
        let all = ask(&server, "GET", path, &[]).await.json();
        let shown = &all.pointer(at).unwrap()[&id];
        let of_app = json!({"zone": "z", "ClientVersion": "v", "AppName": " "});
        assert_eq!((&shown["labels"], &shown["appLabels"]), (&labels, &of_app), "{path}");
        let meta = &shown["metaInfo"];
        assert_eq!((&meta[namespace], &meta["tag"], &meta["appLabels"]), (&json!("n"), &json!("t"), &of_app), "{path}");
        assert!(meta["createTime"].as_str().unwrap().ends_with("+00:00"), "{path}");
    }
    // A blank name is none to those who list subscribers.
    client.subscribe("s").await;
    let service = [("namespaceId", "n"), ("groupName", "G"), ("serviceName", "s")];
    let listed = ask(&server, "GET", "/v3/admin/ns/service/subscribers", &service).await.json();
    assert_eq!(listed["data"]["pageItems"][0]["appName"], "unknown");
    let words = "present but converted to null";
    all_answer(
        &server,
        &[
            ("GET", "/v2/core/loader/reloadCurrent", &[("count", "")], 500, words),
            (
                "GET",
                "/v2/core/loader/smartReloadCluster",
                &[("loaderFactor", "x")],
                400,
                "caused: For input string: \"x\";",
            ),
            ("POST", "/v3/admin/core/loader/smartReloadCluster", &[("loaderFactor", " ")], 400, "empty String"),
        ],
    )
    .await;
    server.stop().await;
}

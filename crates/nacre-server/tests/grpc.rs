//! The gRPC face from the outside: a server in this process and clients over TCP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Client, LONG, Seen, Server, instance, ports};
use nacre_wire::grpc::Payload;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_lives_and_dies_with_its_connection() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client("naming").await;
    assert_eq!(ports(&consumer.subscribe("s").await), Vec::<u64>::new());
    assert_eq!(ports(&consumer.take().await), Vec::<u64>::new(), "the first push follows the subscription");

    let provider = server.client("naming").await;
    let answer = provider.register("s", 80).await;
    assert_eq!((answer.name.as_str(), &answer.body["success"]), ("InstanceResponse", &json!(true)));
    let push = consumer.take().await;
    assert_eq!((push.name.as_str(), ports(&push)), ("NotifySubscriberRequest", vec![80]));
    assert_eq!(push.body["serviceInfo"]["allIPs"], push.body["serviceInfo"]["allIps"]);
    let before = push.body["serviceInfo"]["lastRefTime"].as_i64().unwrap();

    let id = provider.id().await;
    drop(provider);
    let push = consumer.take().await;
    assert_eq!(ports(&push), Vec::<u64>::new());
    assert!(push.body["serviceInfo"]["lastRefTime"].as_i64().unwrap() > before);
    let kinds = server.kinds(&id);
    assert_eq!(kinds, ["clientConnected", "instanceRegistered", "clientDisconnected", "instanceRemoved"]);
    let consumer = consumer.id().await;
    for kind in ["subscribed", "pushSent", "pushAcked"] {
        server.happened(&consumer, kind).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_says_nothing_of_clusters_hears_nothing_of_them() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client("naming").await;
    let mut body = json!({"namespace":"n","serviceName":"s","groupName":"G","subscribe":true});
    let named = |seen: &Seen| seen.body["serviceInfo"].get("clusters").cloned();
    assert_eq!(named(&consumer.call("SubscribeServiceRequest", body.clone()).await), None);
    assert_eq!(named(&consumer.take().await), None, "its pushes say nothing of them either");
    assert_eq!(named(&consumer.call("ServiceQueryRequest", body.clone()).await), Some(json!("")));
    body["clusters"] = json!("");
    assert_eq!(named(&consumer.call("SubscribeServiceRequest", body.clone()).await), Some(json!("")));
    let provider = server.client("naming").await;
    provider.register("s", 80).await;
    loop {
        let push = consumer.take().await;
        assert_eq!(named(&push), Some(json!("")));
        if ports(&push) == [80] {
            break;
        }
    }
    body["clusters"] = json!(null);
    body["subscribe"] = json!(false);
    let seen = consumer.call("SubscribeServiceRequest", body).await;
    assert_eq!((named(&seen), ports(&seen)), (None, vec![80]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_restarts_never_makes_its_consumer_see_an_empty_list() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client("naming").await;
    let provider = server.client("naming").await;
    provider.register("s", 1).await;
    consumer.subscribe("s").await;
    let restarts = tokio::spawn(async move {
        for port in 2..30 {
            provider.deregister("s").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            provider.register("s", port).await;
        }
        provider
    });
    loop {
        let push = consumer.take().await;
        assert_ne!(ports(&push), Vec::<u64>::new());
        if ports(&push) == [29] {
            break;
        }
    }
    drop(restarts.await.unwrap());
    assert_eq!(ports(&consumer.take().await), Vec::<u64>::new(), "a provider that stays away is gone");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_changes_ends_with_the_last_state_in_few_pushes() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client("naming").await;
    consumer.subscribe("s").await;
    let provider = server.client("naming").await;
    let changes: u16 = 400;
    for port in 1..=changes {
        provider.register("s", port).await;
    }
    let mut pushes = 0;
    loop {
        pushes += 1;
        if ports(&consumer.take().await) == [u64::from(changes)] {
            break;
        }
    }
    assert!(pushes < changes / 4, "{pushes} pushes for {changes} changes");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_hears_of_a_change_in_its_own_spelling_of_the_namespace() {
    let server = Server::start(&[]).await;
    let (mut blank, mut public) = (server.client("config").await, server.client("config").await);
    for (client, tenant) in [(&blank, ""), (&public, "public")] {
        let context = json!({"dataId":"d","group":"G","tenant":tenant,"md5":""});
        let answer = client.call("ConfigBatchListenRequest", json!({"configListenContexts":[context]})).await;
        assert_eq!(answer.body["changedConfigs"], json!([]));
    }
    let publish = json!({"dataId":"d","group":"G","content":"one"});
    assert_eq!(blank.call("ConfigPublishRequest", publish).await.body["success"], true);
    let (first, second) = (blank.take().await, public.take().await);
    assert_eq!((first.body.get("tenant"), &second.body["tenant"]), (None, &json!("public")));
    let query = json!({"dataId":"d","group":"G","tenant":"public"});
    let answer = public.call("ConfigQueryRequest", query).await;
    assert_eq!((&answer.body["content"], &answer.body["contentType"]), (&json!("one"), &json!("text")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_before_the_set_up_is_told_so_and_the_order_of_checks_is_kept() {
    let server = Server::start(&[]).await;
    let mut client = server.dial().await;
    for (name, code) in [
        ("HealthCheckRequest", 301),
        ("NoSuchRequest", 302),
        ("LockOperationRequest", 302),
        ("QueryMcpServerRequest", 302),
        ("", 302),
        ("ServerLoaderInfoRequest", 502),
    ] {
        let answer = client.call(name, json!({})).await;
        assert_eq!((answer.name.as_str(), &answer.body["errorCode"]), ("ErrorResponse", &json!(code)), "{name}");
    }
    client.set_up(json!({"labels":{"source":"sdk","module":"config"},"abilityTable":{"x":true}})).await;
    let ack = client.push().await;
    assert_eq!(ack.body["abilityTable"], json!({"fuzzyWatch":true,"supportPersistentInstanceByGrpc":true}));
    assert_eq!(client.call("HealthCheckRequest", json!({})).await.name, "HealthCheckResponse");
    let answer = client.call("InstanceRequest", common::instance("registerInstance", "s", 1)).await;
    assert_eq!((answer.name.as_str(), &answer.body["errorCode"]), ("ErrorResponse", &json!(-401)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_fuzzy_watch_of_an_unknown_type_succeeds_whatever_its_pattern() {
    let server = Server::start(&[]).await;
    let client = server.client("config").await;
    for kind in [json!("NO_SUCH_WATCH"), json!(""), json!(null)] {
        for pattern in [json!(null), json!("nonsense"), json!("public>>G>>*"), json!("a b>>*>>*")] {
            let watch =
                json!({"groupKeyPattern": pattern, "watchType": kind, "receivedGroupKeys": [], "isInitializing": true});
            let answer = client.call("ConfigFuzzyWatchRequest", watch).await;
            assert_eq!(
                (answer.name.as_str(), &answer.body["resultCode"]),
                ("ConfigFuzzyWatchResponse", &json!(200)),
                "{kind} {pattern}"
            );
        }
    }
    assert!(server.app.config_fuzzy.is_empty(), "nobody watches");
    let answer = client.call("ConfigFuzzyWatchRequest", json!({"watchType": "WATCH"})).await;
    assert_eq!((answer.name.as_str(), &answer.body["message"]), ("ErrorResponse", &json!("groupKeyPattern is null")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_health_check_without_a_stream_fails_so_that_the_client_connects_anew() {
    let server = Server::start(&[]).await;
    let mut client = server.dial().await;
    let check = || Payload::answer("HealthCheckRequest", Bytes::from_static(b"{}"));
    assert_eq!(client.send_payload(check()).await.unwrap().body["errorCode"], 301);
    assert_eq!(client.send_payload(check()).await.unwrap_err().code(), Code::Unavailable);
    client.set_up(json!({"labels":{"source":"sdk","module":"naming"},"abilityTable":{}})).await;
    assert_eq!(client.push().await.name, "SetupAckRequest");
    assert_eq!(client.send_payload(check()).await.unwrap().name, "HealthCheckResponse");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_is_asked_and_closed_unless_it_answers() {
    let settings = [("nacre.grpc.detection.idle", "1000"), ("nacre.grpc.detection.timeout", "1000")];
    let server = Server::start(&settings).await;
    let (mut answers, mut silent) = (server.client("naming").await, server.client("naming").await);
    let id = silent.id().await;
    silent.register("s", 7).await;
    assert_eq!(answers.take().await.name, "ClientDetectionRequest");
    assert_eq!(silent.push().await.name, "ClientDetectionRequest");
    let serving = tokio::spawn(async move {
        // Stays, because it answers whenever it is asked.
        for _ in 0..3 {
            assert_eq!(answers.take().await.name, "ClientDetectionRequest");
        }
        answers
    });
    silent.ended().await;
    server.happened(&id, "clientDisconnected").await;
    server.happened(&id, "instanceRemoved").await;
    let answers = serving.await.unwrap();
    assert_eq!(answers.call("HealthCheckRequest", json!({})).await.name, "HealthCheckResponse");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_stream_is_not_the_end_of_the_client() {
    let server = Server::start(&[]).await;
    let mut client = server.client("naming").await;
    client.register("s", 7).await;
    client.half_close().await;
    assert_eq!(client.call("HealthCheckRequest", json!({})).await.name, "HealthCheckResponse");
    // What is owed meanwhile waits for another stream.
    client.subscribe("s").await;
    client.set_up(json!({"labels":{"source":"sdk","module":"naming"}})).await;
    assert_eq!(ports(&client.take().await), [7]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_port_speaks_grpc_too() {
    let server = Server::start(&[]).await;
    let mut client = server.dial_port(server.app.settings.main_port).await;
    client.set_up(json!({"labels":{"source":"sdk","module":"naming"},"abilityTable":{}})).await;
    assert_eq!(client.push().await.name, "SetupAckRequest");
    client.subscribe("s").await;
    client.register("s", 7).await;
    loop {
        if ports(&client.take().await) == [7] {
            break;
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_over_the_limit_is_refused_and_the_connection_stays() {
    let server = Server::start(&[]).await;
    let client = server.client("config").await;
    let huge = Payload::answer("HealthCheckRequest", Bytes::from(vec![b' '; 10 * 1024 * 1024 + 1]));
    assert_eq!(client.send_payload(huge).await.unwrap_err().code(), Code::ResourceExhausted);
    let large = json!({"dataId":"d","group":"G","content":"x".repeat(9_000_000)});
    assert_eq!(client.call("ConfigPublishRequest", large).await.body["success"], true);
    let answer = client.call("ConfigQueryRequest", json!({"dataId":"d","group":"G"})).await;
    assert_eq!(answer.body["content"].as_str().unwrap().len(), 9_000_000);
    assert_eq!(server.app.journal.query(&limits_hit()).len(), 1);
    server.stop().await;
}

fn limits_hit() -> nacre_journal::Filter {
    nacre_journal::Filter { kinds: vec!["limitHit".to_owned()], limit: 10, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_over_http_2_is_dated() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let headers = client.get("/nacos/v1/console/health/readiness").await;
    assert!(headers["date"].to_str().unwrap().ends_with(" GMT"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_methods_are_unimplemented() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    for path in ["/RequestStream/requestStream", "/Request/other", "/grpc.health.v1.Health/Check"] {
        assert_eq!(client.method(path).await, Code::Unimplemented, "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_on_the_grpc_port_gets_an_answer_a_person_can_read() {
    let server = Server::start(&[]).await;
    let mut socket = TcpStream::connect(("127.0.0.1", server.app.settings.grpc_port)).await.unwrap();
    socket.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let mut text = vec![0; 4096];
    let read = tokio::time::timeout(LONG, socket.read(&mut text)).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&text[..read]).into_owned();
    assert!(text.starts_with("HTTP/1.1 400") && text.contains("gRPC"), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_client_on_one_connection_is_noticed() {
    let server = Server::start(&[]).await;
    let mut client = server.client("naming").await;
    let id = client.id().await;
    let mut second = client.same_connection();
    second.set_up(json!({"labels":{"source":"sdk","module":"naming"},"abilityTable":{}})).await;
    assert_eq!(second.push().await.name, "SetupAckRequest");
    assert!(server.kinds(&id).contains(&"transportShared"));
    client.register("a", 1).await;
    second.register("b", 2).await;
    second.subscribe("a").await;
    assert_eq!(ports(&second.take().await), [1], "pushes go to the newest stream");
    client.ended_silently();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_moves_a_client() {
    let server = Server::start(&[]).await;
    let mut client = server.client("naming").await;
    let id = client.id().await;
    assert!(server.app.grpc.reload_client(&id, Some(("10.1.2.3", "8848"))));
    let push = client.take().await;
    assert_eq!((push.name.as_str(), &push.body["serverIp"]), ("ConnectResetRequest", &json!("10.1.2.3")));
    assert_eq!(push.body["connectionId"], json!(id));
    assert_eq!(server.app.grpc.shed(0, None), 1);
    let push = client.take().await;
    assert_eq!(push.body.get("serverIp"), None);
    assert!(!server.app.grpc.reload_client("nobody", None));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_asked_about_its_listeners() {
    let server = Server::start(&[]).await;
    let mut client = server.client("config").await;
    let _other = server.client("naming").await;
    let app = server.app.clone();
    let asking = tokio::spawn(async move { app.grpc.config_metrics("127.0.0.1", Vec::new()).await });
    let push = client.push().await;
    assert_eq!((push.name.as_str(), &push.body["metricsKeys"]), ("ClientConfigMetricRequest", &json!([])));
    let answer =
        json!({"resultCode":200,"requestId":push.body["requestId"],"metrics":{"me":"{\"listenConfigSize\":1}"}});
    client.say("ClientConfigMetricResponse", answer).await;
    assert_eq!(asking.await.unwrap()["me"], "{\"listenConfigSize\":1}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_is_not_named_in_full_nothing_is_listed() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    client.call("InstanceRequest", instance("registerInstance", "s", 1)).await;
    let asked = json!({"namespace":"n","serviceName":"s","cluster":"","udpPort":0});
    let answer = client.call("ServiceQueryRequest", asked).await;
    let info = &answer.body["serviceInfo"];
    assert_eq!((&info["name"], &info["hosts"], info.get("groupName")), (&json!("s"), &json!([]), None));
    let asked = |name: &str| json!({"serviceName":name,"groupName":"G","clusters":"","subscribe":true});
    for name in ["ServiceQueryRequest", "SubscribeServiceRequest"] {
        assert_eq!(client.call(name, asked("other")).await.body["serviceInfo"]["hosts"], json!([]), "{name}");
    }
    let answer = client.call("ServiceQueryRequest", json!({"udpPort":"x"})).await;
    assert_eq!((answer.name.as_str(), &answer.body["errorCode"]), ("ErrorResponse", &json!(502)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_without_an_ip_has_none() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let mut body = instance("registerInstance", "s", 80);
    let mut at = async |ip: Option<&str>| {
        match ip {
            Some(ip) => body["instance"]["ip"] = json!(ip),
            None => drop(body["instance"].as_object_mut().unwrap().remove("ip")),
        }
        client.call("InstanceRequest", body.clone()).await;
        let asked = json!({"namespace":"n","serviceName":"s","groupName":"G"});
        let mut seen = client.call("ServiceQueryRequest", asked).await.body["serviceInfo"]["hosts"][0].take();
        (seen["instanceId"].take(), seen.get("ip").cloned())
    };
    assert_eq!(at(None).await, (json!("null#80#DEFAULT#G@@s"), None));
    assert_eq!(at(Some("")).await, (json!("#80#DEFAULT#G@@s"), Some(json!(""))));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_instance_is_said_before_that_its_namespace_is_null() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let body = json!({"serviceName":"s","groupName":"G","type":"registerInstance"});
    let answer = client.call("InstanceRequest", body.clone()).await;
    assert_eq!(answer.body["message"], "Instance can not be null.");
    let mut full = body;
    full["instance"] = json!({"ip":"10.0.0.1","port":1});
    let answer = client.call("InstanceRequest", full).await;
    assert_eq!((&answer.body["errorCode"], answer.name.as_str()), (&json!(500), "ErrorResponse"));
    // A persistent instance is nowhere without a namespace: nothing is missed.
    let mut nowhere = json!({"serviceName":"s","groupName":"G","type":"deregisterInstance"});
    assert_eq!(client.call("PersistentInstanceRequest", nowhere.clone()).await.body["errorCode"], 500);
    nowhere["instance"] = json!({"ip":"10.0.0.1","port":1});
    let answer = client.call("PersistentInstanceRequest", nowhere.clone()).await;
    assert_eq!((&answer.body["success"], &answer.body["type"]), (&json!(true), &json!("deregisterInstance")));
    nowhere["type"] = json!("registerInstance");
    assert_eq!(client.call("PersistentInstanceRequest", nowhere).await.body["errorCode"], 500);
    // Deregistering looks at no instance, and misses it afterwards.
    client.call("InstanceRequest", instance("registerInstance", "s", 1)).await;
    let mut gone = instance("deregisterInstance", "s", 1);
    gone["instance"] = json!(null);
    assert_eq!(client.call("InstanceRequest", gone).await.body["errorCode"], 500);
    let asked = json!({"namespace":"","serviceName":"s","groupName":"G","cluster":""});
    assert_eq!(client.call("ServiceQueryRequest", asked).await.body["serviceInfo"]["hosts"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_on_record() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let mut body = instance("registerInstance", "s", 1);
    body["instance"]["metadata"] = json!({"k": "v".repeat(1024)});
    let answer = client.call("InstanceRequest", body).await;
    let text = "Param check invalid:Param 'Metadata' is illegal, the param length should not exceed 1024.";
    assert_eq!((&answer.body["errorCode"], &answer.body["message"]), (&json!(400), &json!(text)));
    client.call("ConfigPublishRequest", json!({"dataId":"d","group":"G","content":" "})).await;
    assert_eq!(server.kinds(&client.id().await), ["clientConnected", "refused", "refused"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_nobody_created_is_refused_where_that_is_wanted() {
    let server = Server::start(&[("nacos.core.namespace.validation.enabled", "true")]).await;
    let client = server.client("naming").await;
    let answer = client.register("s", 1).await;
    assert_eq!((answer.name.as_str(), &answer.body["errorCode"]), ("InstanceResponse", &json!(22001)));
    assert_eq!(answer.body["message"], "Namespace 'n' does not exist. Please create the namespace first.");
    let query = json!({"namespace":"","serviceName":"s","groupName":"G"});
    assert_eq!(client.call("ServiceQueryRequest", query).await.body["success"], true);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_requests_are_read() {
    let server = Server::start(&[]).await;
    let client = server.client("config").await.compressing();
    assert_eq!(client.call("HealthCheckRequest", json!({"pad":"x".repeat(10_000)})).await.name, "HealthCheckResponse");
    let huge = Payload::answer("HealthCheckRequest", Bytes::from(vec![b' '; 10 * 1024 * 1024 + 1]));
    assert_eq!(client.send_payload(huge).await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(server.app.journal.query(&limits_hit()).len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_nobodys_instances_from_those_who_listen() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client("naming").await;
    let provider = server.client("naming").await;
    provider.register("s", 7).await;
    consumer.subscribe("s").await;
    consumer.take().await;
    let app = server.app.clone();
    let stopping = tokio::spawn(async move { nacre_server::run::stop(&app, "test").await });
    assert_eq!(rest(&mut consumer).await, 0, "no push but the end");
    stopping.await.unwrap();
}

/// Pushes that still come before the stream ends.
async fn rest(client: &mut Client) -> usize {
    let mut count = 0;
    while client.push_or_end().await {
        count += 1;
    }
    count
}

/// Only a registration of one ephemeral instance is looked at: so in the reference, and clients of other languages than Java
/// check nothing themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_persistent_instances_have_any_cluster_and_timers() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let odd =
        json!({"ip":"10.0.0.1","port":1,"clusterName":"a_b","metadata":{"preserved.heart.beat.interval":"99000"}});
    let about = |kind: &str, service: &str| json!({"namespace":"n","serviceName":service,"groupName":"G","type":kind});
    let mut single = about("registerInstance", "s");
    single["instance"] = odd.clone();
    assert_eq!(client.call("InstanceRequest", single).await.body["errorCode"], 400);
    let mut batch = about("batchRegisterInstance", "s");
    batch["instances"] = json!([odd]);
    assert_eq!(client.call("BatchInstanceRequest", batch).await.body["success"], true);
    let mut persistent = about("registerInstance", "p");
    persistent["instance"] = odd;
    assert_eq!(client.call("PersistentInstanceRequest", persistent).await.body["success"], true);
    for service in ["s", "p"] {
        let query = json!({"namespace":"n","serviceName":service,"groupName":"G","cluster":"a_b"});
        assert_eq!(ports(&client.call("ServiceQueryRequest", query).await), [1], "{service}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_negative_size_is_wrong_only_where_there_is_something_to_cut() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let list = json!({"namespace":"n","groupName":"G","pageNo":1,"pageSize":-1});
    let seen = client.call("ServiceListRequest", list.clone()).await;
    assert_eq!((&seen.body["count"], &seen.body["serviceNames"]), (&json!(0), &json!([])));
    client.register("s", 1).await;
    let refused = client.call("ServiceListRequest", list).await;
    assert_eq!((refused.name.as_str(), &refused.body["errorCode"]), ("ErrorResponse", &json!(500)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_where_it_is_applied_is_500_over_grpc() {
    let server = Server::start(&[]).await;
    let client = server.client("config").await;
    let publish = async |tag: u32| {
        let body = json!({"dataId":"d","group":"G","tenant":"n","content":"c","additionMap":{"tag":format!("t{tag}")}});
        client.call("ConfigPublishRequest", body).await
    };
    for tag in 0..10 {
        assert_eq!(publish(tag).await.body["success"], true, "{tag}");
    }
    let refused = publish(10).await;
    assert_eq!(refused.body["errorCode"], 500);
    assert_eq!(refused.body["message"], "gray config version is over max count :10");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_that_is_no_number_is_the_usual_one() {
    let server = Server::start(&[]).await;
    let client = server.client("naming").await;
    let mut body = instance("registerInstance", "s", 1);
    body["instance"]["weight"] = json!("NaN");
    body["instance"]["metadata"] = json!({"preserved.instance.id.generator": ""});
    assert_eq!(client.call("InstanceRequest", body).await.body["success"], true);
    let seen = client.call("ServiceQueryRequest", json!({"namespace":"n","groupName":"G","serviceName":"s"})).await;
    let host = &seen.body["serviceInfo"]["hosts"][0];
    assert_eq!((&host["weight"], &host["instanceId"]), (&json!(1.0), &json!("10.0.0.1#1#DEFAULT#G@@s")));
    server.stop().await;
}

//! Export, import and clone. The archives under `files` are what packers and desktops make of exports.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::{Ask, Seen, Server};

const MACOS: &[u8] = include_bytes!("files/import-macos.zip");
const NO_METADATA: &[u8] = include_bytes!("files/import-no-metadata.zip");
const BACKSLASH: &[u8] = include_bytes!("files/import-backslash.zip");
const WRAPPED: &[u8] = include_bytes!("files/import-wrapped-folder.zip");
const GBK: &[u8] = include_bytes!("files/import-gbk-names.zip");
const ODD: &[u8] = include_bytes!("files/import-odd-names.zip");

fn uploading(ask: Ask, field: &str, zip: &[u8]) -> Ask {
    let head = format!(
        "--B\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"c.zip\"\r\nContent-Type: \
         application/zip\r\n\r\n"
    );
    let body = [head.as_bytes(), zip, b"\r\n--B--\r\n"].concat();
    ask.body("multipart/form-data; boundary=B", body)
}

async fn import(server: &Server, zip: &[u8], namespace: &str, policy: &str) -> Value {
    let query = [("import", "true"), ("namespace", namespace), ("policy", policy)];
    let seen = uploading(server.post("/v1/cs/configs").query(&query), "file", zip).send().await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    seen.json()
}

async fn namespace(server: &Server, id: &str) {
    let form = [("customNamespaceId", id), ("namespaceName", id)];
    assert_eq!(server.post("/v1/console/namespaces").form(&form).send().await.text(), "true");
}

fn odd(answer: &Value) -> Vec<String> {
    let items = answer["data"]["unrecognizedData"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["itemName"].as_str().unwrap().to_owned()).collect()
}

async fn all(server: &Server, data_id: &str, group: &str, tenant: &str) -> Value {
    let query = [("show", "all"), ("dataId", data_id), ("group", group), ("tenant", tenant)];
    server.get("/v1/cs/configs").query(&query).send().await.json()
}

#[tokio::test]
async fn archives_of_macs_and_windows_are_imported_c046_c049() {
    let server = Server::start(&[]).await;
    namespace(&server, "dev").await;
    let answer = import(&server, MACOS, "dev", "OVERWRITE").await;
    assert_eq!((&answer["code"], &answer["data"]["succCount"]), (&json!(200), &json!(2)));
    assert_eq!(odd(&answer), Vec::<String>::new(), "litter is no matter");
    assert_eq!(all(&server, "db.properties", "G2", "dev").await["type"], "properties");

    let answer = import(&server, BACKSLASH, "dev", "ABORT").await;
    assert_eq!(answer["data"]["succCount"], 2, "{answer}");
    let answer = import(&server, WRAPPED, "dev", "ABORT").await;
    assert_eq!(answer["data"]["succCount"], 1, "{answer}");

    let answer = import(&server, GBK, "dev", "ABORT").await;
    assert_eq!(answer["data"]["succCount"], 1, "{answer}");
    assert!(odd(&answer)[0].contains("neither UTF-8"), "the other is told, not stored: {answer}");
    server.stop().await;
}

#[tokio::test]
async fn of_odd_names_only_the_legal_are_imported_and_each_other_is_named_c049() {
    let server = Server::start(&[]).await;
    let answer = import(&server, ODD, "public", "ABORT").await;
    assert_eq!(answer["data"]["succCount"], 2, "{answer}");
    let odd = odd(&answer);
    for name in
        ["with space", "emoji", "/..", "../evil.yml", "/abs/evil.yml", "xxxxx", "empty.yml", "%2F", "sub/deep.yml"]
    {
        assert!(odd.iter().any(|told| told.contains(name)), "{name} in {odd:?}");
    }
    assert!(odd.iter().any(|told| told.contains("missing.yml")), "{odd:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_archive_without_metadata_is_said_to_be_one_c047() {
    let server = Server::start(&[]).await;
    let answer = import(&server, NO_METADATA, "", "ABORT").await;
    assert_eq!(answer["data"]["succCount"], 1);
    assert_eq!(odd(&answer), ["meta_data"]);
    let v3: Seen = uploading(server.post("/v3/console/cs/config/import"), "file", NO_METADATA).send().await;
    assert_eq!((v3.status, v3.json()["code"].as_i64()), (200, Some(100_002)));
    assert!(v3.json()["message"].as_str().unwrap().contains(".metadata.yml"));
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_multipart_gets_a_hint_c048() {
    let server = Server::start(&[]).await;
    let raw = Bytes::from_static(MACOS);
    let as_form = server.post("/v1/cs/configs").query(&[("import", "true")]);
    let as_form = as_form.body("application/x-www-form-urlencoded", raw).send().await;
    let other_field = uploading(server.post("/v1/cs/configs").query(&[("import", "true")]), "zip", MACOS).send().await;
    for seen in [as_form, other_field] {
        assert_eq!(seen.json()["code"], 100_005);
        assert!(seen.text().contains("multipart/form-data, field `file`"), "{}", seen.text());
    }
    assert_eq!(import(&server, MACOS, "public", "ABORT").await["data"]["succCount"], 2);
    server.stop().await;
}

async fn seeded() -> Server {
    let server = Server::start(&[]).await;
    let form = [
        ("dataId", "test"),
        ("group", "G"),
        ("content", "\u{feff}k: 配置\r\n"),
        ("type", "yaml"),
        ("desc", "it's: \"a\" #1"),
        ("config_tags", "a,b"),
        ("appName", "app"),
    ];
    server.publish_as(&form).await;
    server.publish_as(&[("dataId", "a.b.properties"), ("group", "G2"), ("content", "x=1")]).await;
    server
}

async fn export(server: &Server, kind: &str) -> Bytes {
    let seen = server.get("/v1/cs/configs").query(&[(kind, "true"), ("tenant", ""), ("ids", "")]).send().await;
    assert_eq!(seen.status, 200);
    assert!(seen.header("content-disposition").unwrap().starts_with("attachment;filename=nacos_config_export_20"));
    seen.body
}

#[tokio::test]
async fn what_is_exported_can_be_imported_c047_c050() {
    let server = seeded().await;
    for id in ["ns2", "ns4"] {
        namespace(&server, id).await;
    }
    let answer = import(&server, &export(&server, "exportV2").await, "ns2", "ABORT").await;
    assert_eq!(answer["data"], json!({ "succCount": 2, "skipCount": 0 }));
    let (before, after) = (all(&server, "test", "G", "").await, all(&server, "test", "G", "ns2").await);
    for member in ["content", "md5", "type", "desc", "configTags", "appName"] {
        assert_eq!(before[member], after[member], "{member}");
    }

    let answer = import(&server, &export(&server, "export").await, "ns4", "ABORT").await;
    assert_eq!(answer["data"]["succCount"], 2);
    let old = all(&server, "test", "G", "ns4").await;
    assert_eq!((&old["content"], &old["appName"], &old["type"]), (&before["content"], &json!("app"), &json!("text")));
    server.stop().await;
}

#[tokio::test]
async fn an_import_of_v3_names_its_user_and_what_is_missing_in_the_words_of_its_api() {
    let server = Server::start(&[]).await;
    let mut zip = nacre_server::http::config::zip::Writer::default();
    zip.add(".metadata.yml", b"metadata:\n- dataId: d\n  group: G\n  type: text\n").unwrap();
    zip.add("G/d", b"x").unwrap();
    zip.add("G/e", b"x").unwrap();
    let zip = zip.finish();
    let users = [("src_user", "admin"), ("srcUser", "console"), ("policy", "OVERWRITE")];
    for (path, user, missing) in [
        ("/v3/admin/cs/config/import", "admin", "Item not found in metadata: G/e"),
        ("/v3/console/cs/config/import", "console", "未在元数据中找到: G/e"),
    ] {
        let seen = uploading(server.post(path).query(&users), "file", &zip).send().await.json();
        assert_eq!((&seen["data"]["succCount"], odd(&seen)), (&json!(1), vec![missing.to_owned()]), "{path}");
        assert_eq!(all(&server, "d", "G", "").await["createUser"], user, "{path}");
    }
    server.stop().await;
}

/// However their ids are listed.
#[tokio::test]
async fn configs_are_exported_and_cloned_once_each_and_by_their_ids() {
    let server = seeded().await;
    namespace(&server, "ns3").await;
    let id = async |data_id, group| all(&server, data_id, group, "").await["id"].as_str().unwrap().to_owned();
    let (first, second) = (id("test", "G").await, id("a.b.properties", "G2").await);
    let ids = [&*second, &*first, &*second].join(",");
    let seen = server.get("/v3/admin/cs/config/export").query(&[("ids", &ids)]).send().await;
    let names: Vec<String> =
        nacre_server::http::config::zip::read(&seen.body).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["G/test", "G2/a.b.properties", ".metadata.yml"]);
    server.publish_as(&[("dataId", "test"), ("group", "G"), ("tenant", "ns3"), ("content", "x")]).await;
    let body = json!([{ "cfgId": second }, { "cfgId": first }]).to_string();
    let query = [("clone", "true"), ("tenant", "ns3"), ("policy", "ABORT")];
    let seen = server.post("/v1/cs/configs").query(&query).body("application/json", body).send().await.json();
    assert_eq!((&seen["data"]["succCount"], &seen["data"]["skipCount"]), (&json!(0), &json!(1)), "{seen}");
    server.stop().await;
}

#[tokio::test]
async fn conflicts_are_treated_as_the_policy_says() {
    let server = seeded().await;
    let zip = export(&server, "exportV2").await;
    server.publish_as(&[("dataId", "test"), ("group", "G"), ("content", "newer")]).await;
    let abort = import(&server, &zip, "", "ABORT").await["data"].clone();
    assert_eq!(import(&server, &zip, "", " ").await["data"], abort, "it is what a blank policy means");
    assert_eq!((&abort["succCount"], &abort["failData"]), (&json!(0), &json!([{ "dataId": "test", "group": "G" }])));
    assert_eq!(abort["skipCount"], 1);
    let skip = import(&server, &zip, "", "SKIP").await["data"].clone();
    assert_eq!((&skip["succCount"], &skip["skipCount"]), (&json!(0), &json!(2)));
    assert_eq!(all(&server, "test", "G", "").await["content"], "newer");
    assert_eq!(import(&server, &zip, "", "OVERWRITE").await["data"]["succCount"], 2);
    assert_ne!(all(&server, "test", "G", "").await["content"], "newer");
    let nowhere = import(&server, &zip, "nowhere", "ABORT").await;
    assert_eq!(nowhere["code"], 100_001);
    server.stop().await;
}

#[tokio::test]
async fn a_clone_keeps_type_description_and_application_c050() {
    let server = seeded().await;
    namespace(&server, "ns3").await;
    let source = all(&server, "test", "G", "").await;
    let body = json!([{ "cfgId": source["id"], "dataId": "copy" }]).to_string();
    let query = [("clone", "true"), ("tenant", "ns3"), ("policy", "ABORT")];
    let seen = server.post("/v1/cs/configs").query(&query).body("application/json", body).send().await;
    assert_eq!(seen.json()["message"], "Clone Completed Successfully", "{}", seen.text());
    let copy = all(&server, "copy", "G", "ns3").await;
    for member in ["content", "type", "desc", "appName"] {
        assert_eq!(source[member], copy[member], "{member}");
    }
    let id: u64 = source["id"].as_str().unwrap().parse().unwrap();
    let body = json!([{ "configId": id, "targetGroupName": "G9" }]).to_string();
    let ask = server.post("/v3/admin/cs/config/clone").query(&[("namespaceId", "ns3")]);
    assert_eq!(ask.body("application/json", body).send().await.json()["data"]["succCount"], 1);
    assert_eq!(all(&server, "test", "G9", "ns3").await["md5"], source["md5"]);
    server.stop().await;
}

#[tokio::test]
async fn a_clone_is_read_in_the_words_of_its_api_and_once_per_config() {
    let server = seeded().await;
    namespace(&server, "ns3").await;
    let id = all(&server, "test", "G", "").await["id"].clone();
    let admin = async |body: Value| {
        let ask = server.post("/v3/admin/cs/config/clone").query(&[("namespaceId", "ns3"), ("policy", "OVERWRITE")]);
        ask.body("application/json", body.to_string()).send().await.json()
    };
    assert_eq!(admin(json!([{ "cfgId": id }])).await["code"], 100_005, "words of the console");
    let done = admin(json!([{ "configId": id, "dataId": "other" }])).await;
    assert_eq!(done["data"], json!({ "succCount": 1, "skipCount": 0 }));
    assert_eq!(all(&server, "test", "G", "ns3").await["content"], all(&server, "test", "G", "").await["content"]);
    let blank = json!([{ "configId": id, "targetDataId": " ", "targetGroupName": "G9" }]);
    assert_eq!(admin(blank).await["data"]["succCount"], 1, "a blank name is that of the source");
    assert_eq!(all(&server, "test", "G9", "ns3").await["dataId"], "test");
    let twice = json!([{ "cfgId": id, "dataId": "first" }, { "cfgId": id, "dataId": "second" }]);
    let ask = server.post("/v3/console/cs/config/clone").query(&[("targetNamespaceId", "ns3")]);
    let done = ask.body("application/json", twice.to_string()).send().await.json();
    assert_eq!(done["data"], json!({ "succCount": 1, "skipCount": 0 }));
    assert_eq!(all(&server, "first", "G", "ns3").await["dataId"], "first");
    server.stop().await;
}

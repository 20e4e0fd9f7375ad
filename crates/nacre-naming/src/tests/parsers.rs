use nacre_model::NacosError;
use proptest::prelude::*;

use super::*;

fn text<T>(result: Result<T, NacosError>) -> Result<T, (i32, i32, String)> {
    result.map_err(|error| (error.status, error.code.code, error.message))
}

fn parsed(form: &str) -> Option<Vec<(String, String)>> {
    let metadata = parse_metadata(form).ok()?;
    Some(metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
}

fn some(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn metadata_come_as_json_or_as_pairs() {
    // C029
    assert_eq!(parsed(""), some(&[]));
    assert_eq!(parsed("  "), some(&[]));
    assert_eq!(parsed("{}"), some(&[]));
    assert_eq!(parsed("null"), some(&[]));
    assert_eq!(parsed("a=1,b=2"), some(&[("a", "1"), ("b", "2")]));
    assert_eq!(parsed("a=1,"), some(&[("a", "1")]));
    assert_eq!(parsed(","), some(&[]));
    assert_eq!(
        parsed(r#"{"a":1,"b":true,"c":1.5,"d":null}"#),
        some(&[("a", "1"), ("b", "true"), ("c", "1.5")]),
        "a key of null is none"
    );
    let keys = parse_metadata_keys(r#"{"a":null,"b":""}"#).expect("an object");
    assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["a", "b"]);
    let written = some(&[("a", "1.50"), ("b", "1e3"), ("c", "true"), ("d", "99999999999999999999")]);
    assert_eq!(parsed(r#"{"a":1.50,"b":1e3,"c":true,"d":99999999999999999999}"#), written, "numbers as written");
    let odd = r#"{"methods":"a,b","url":"x=1&y=<z>","q":"it's \"q\"","u":"中文😀"}"#;
    assert_eq!(parsed(odd), some(&[("methods", "a,b"), ("q", "it's \"q\""), ("u", "中文😀"), ("url", "x=1&y=<z>")]));
    for bad in ["{a", "[1]", "abc", r#"{"a":{"b":1}}"#, "a=1,b", "a==b", "=", "nullx", "a=1,,b=2", "a="] {
        let expected = Err((400, 21002, format!("metadata format incorrect:{bad}")));
        assert_eq!(text(parse_metadata(bad)).map(|_| ()), expected, "{bad}");
    }
}

#[test]
fn beats_are_read_leniently() {
    let beat =
        BeatInfo::parse(r#"{"port":"8080","ip":"1.1.1.1","weight":"2.5","ephemeral":"true","metadata":{"n":1}}"#);
    let beat = beat.expect("read");
    assert_eq!((beat.port, beat.weight, beat.ephemeral), (8080, 2.5, true));
    assert_eq!(beat.metadata, metadata(&[("n", "1")]));
    let beat = BeatInfo::parse(r#"{"ip":"1.1.1.1","port":"","metadata":{"version":1.50,"none":null}}"#).expect("read");
    assert_eq!((beat.port, beat.metadata), (0, metadata(&[("version", "1.50")])));
    assert_eq!(BeatInfo::parse(r#"{"port":"８０"}"#).expect("read").port, 80);
    let beat =
        BeatInfo::parse(r#"{"ip":null,"port":null,"weight":null,"metadata":null,"cluster":null}"#).expect("read");
    assert_eq!((beat.ip.as_str(), beat.port, beat.weight, beat.ephemeral), ("", 0, 0.0, true));
    // Jackson's liberties: fractions are cut, texts may be numbers, what follows is not looked at.
    let beat = BeatInfo::parse(r#"{"ip":1,"port":80.7,"weight":"","cluster":5,"ephemeral":1}garbage"#).expect("read");
    assert_eq!((beat.ip.as_str(), beat.port, beat.weight, beat.cluster.as_str()), ("1", 80, 0.0, "5"));
    assert!(beat.ephemeral);
    assert_eq!(BeatInfo::parse(r#"{"port":8e1}"#).expect("read").port, 80);
    for bad in [
        "",
        "{",
        "[]",
        "x",
        "1",
        r#"{"port":"x"}"#,
        r#"{"port":"80.7"}"#,
        r#"{"cluster":["a"]}"#,
        r#"{"port":1e30}"#,
        r#"{"port":99999999999}"#,
        r#"{"metadata":{"a":[1]}}"#,
    ] {
        assert_eq!(BeatInfo::parse(bad).expect_err("refused").status, 101, "{bad}");
    }
}

#[test]
fn selectors_and_their_errors() {
    assert_eq!(text(Selector::parse(" ")), Ok(Selector::None));
    assert_eq!(text(Selector::parse(r#"{"type":"none"}"#)), Ok(Selector::None));
    let label = Selector::parse(
        r#"{"type":"label","expression":"CONSUMER.label.A = PROVIDER.label.A & CONSUMER.label.B=PROVIDER.label.B"}"#,
    );
    let Ok(Selector::Label { expression, labels }) = label else { panic!("{label:?}") };
    assert_eq!(labels, ["A", "B"]);
    assert!(expression.contains(" & "), "kept as given");
    let unknown = Err((400, 21006, "not match any type of selector!".to_owned()));
    assert_eq!(text(Selector::parse(r#"{"type":"strange"}"#)), unknown);
    assert_eq!(text(Selector::parse("{}")), unknown);
    let wrong = Err((500, 30000, "Selector parses failed: parse expression failed!".to_owned()));
    for expression in [
        "A=B",
        "CONSUMER.label.A=PROVIDER.label.B",
        "CONSUMER.label.A=PROVIDER.label.A&",
        "CONSUMER.label.=PROVIDER.label.",
    ] {
        let form = serde_json::json!({"type": "label", "expression": expression}).to_string();
        assert_eq!(text(Selector::parse(&form)), wrong, "{expression}");
    }
    assert_eq!(Selector::parse("{").expect_err("broken").status, 101);
    assert_eq!(Selector::None.context_type(), "NONE");
}

#[test]
fn checkers_and_their_errors() {
    assert_eq!(text(HealthChecker::parse(r#"{"type":"TCP"}"#)), Ok(HealthChecker::Tcp));
    assert_eq!(text(HealthChecker::parse(r#"{"type":"ODD"}"#)), Ok(HealthChecker::None));
    assert_eq!(text(HealthChecker::parse("{}")), Ok(HealthChecker::None));
    let http = HealthChecker::Http { path: "/h".into(), headers: String::new(), expected_response_code: 200 };
    assert_eq!(text(HealthChecker::parse(r#"{"type":"HTTP","path":"/h"}"#)), Ok(http));
    let mysql = HealthChecker::Mysql { user: Some("u".into()), pwd: None, cmd: Some("select 1".into()) };
    assert_eq!(text(HealthChecker::parse(r#"{"type":"MYSQL","user":"u","cmd":"select 1"}"#)), Ok(mysql));
    for (code, read) in [(r#""204""#, 204), ("200.5", 200), ("null", 0), (r#""""#, 0), ("404", 404)] {
        let form = format!(r#"{{"type":"HTTP","path":5,"headers":null,"expectedResponseCode":{code}}} and more"#);
        let expected = HealthChecker::Http { path: "5".into(), headers: String::new(), expected_response_code: read };
        assert_eq!(text(HealthChecker::parse(&form)), Ok(expected), "{form}");
    }
    for bad in ["{", "[]", "x", r#"{"type":["TCP"]}"#, r#"{"type":"HTTP","expectedResponseCode":"x"}"#] {
        assert_eq!(HealthChecker::parse(bad).expect_err("refused").status, 101);
    }
}

#[test]
fn weights_have_bounds_over_http() {
    for good in [0.0, 1.5, 10_000.0] {
        assert!(check_weight(good).is_ok());
    }
    for bad in [-1.0, 10_000.1, f64::NAN, f64::INFINITY] {
        let expected = (400, 21001, "instance format invalid: The weights range from 0.0 to 10000.0".to_owned());
        assert_eq!(text(check_weight(bad)), Err(expected));
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(input in "\\PC{0,80}") {
        let _ = parse_metadata(&input);
        let _ = BeatInfo::parse(&input);
        let _ = Selector::parse(&input);
        let _ = HealthChecker::parse(&input);
        let _ = ClientId::parse(&input);
        let _ = Switches::default().set("limitedUrlMap", &input);
        let _ = Switches::default().set("pushVersion", &input);
    }

    #[test]
    fn metadata_survive_the_json_form(pairs in proptest::collection::btree_map("\\PC{0,12}", "\\PC{0,12}", 0..6)) {
        let json = serde_json::to_string(&pairs).expect("JSON");
        let back = parsed(&json).expect("read");
        prop_assert_eq!(back, pairs.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn metadata_survive_the_pair_form(pairs in proptest::collection::btree_map("[a-z.-]{1,8}", "[a-z:/.-]{1,8}", 1..6)) {
        let form: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let back = parsed(&form.join(",")).expect("read");
        prop_assert_eq!(back, pairs.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn beats_survive_their_json(ip in "[0-9a-f.:]{1,20}", port in 0..65_536, weight in 0.0..10_000.0_f64,
                                cluster in "[A-Za-z0-9-]{0,8}", ephemeral: bool) {
        let json = serde_json::json!({"ip": ip, "port": port, "weight": weight, "cluster": cluster,
            "ephemeral": ephemeral, "serviceName": "G@@s", "metadata": {"k": "v"}, "period": 5000}).to_string();
        let beat = BeatInfo::parse(&json).expect("read");
        prop_assert_eq!((beat.ip, beat.port, beat.weight), (ip, port, weight));
        prop_assert_eq!((beat.cluster, beat.ephemeral), (cluster, ephemeral));
    }

    #[test]
    fn label_expressions_survive_any_blanks(labels in proptest::collection::btree_set("[a-z]{1,5}", 1..5), blank in " {0,3}") {
        let terms: Vec<String> =
            labels.iter().map(|l| format!("CONSUMER.label.{l}{blank}={blank}PROVIDER.label.{l}")).collect();
        let form = serde_json::json!({"type": "label", "expression": terms.join(&format!("{blank}&{blank}"))});
        let Ok(Selector::Label { labels: read, .. }) = Selector::parse(&form.to_string()) else { panic!("refused") };
        prop_assert_eq!(read, labels.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn client_ids_survive_their_text(ip in "[0-9a-zA-Z.:\\[\\]%-]{0,30}", port in -1..70_000, ephemeral: bool) {
        let id = ClientId::IpPort { ip: ip.as_str().into(), port, ephemeral };
        prop_assert_eq!(ClientId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn fuzzy_patterns_match_exactly_what_their_stars_say(name in "[ab]{0,4}", core in "[ab]{1,2}", front: bool, back: bool) {
        let world = World::new();
        let service = ServiceKey::new("public", "G", &name);
        let _ = world.naming.register_http(&service, instance("10.0.0.1", 1), world.now).expect("ok");
        let star = |on: bool| if on { "*" } else { "" };
        let pattern = format!("public>>G>>{}{core}{}", star(front), star(back));
        let expected = match (front, back) {
            (true, true) => name.contains(&core),
            (true, false) => name.ends_with(&core),
            (false, true) => name.starts_with(&core),
            (false, false) => name == core,
        };
        let watched = world.naming.fuzzy_watch(&connection("1_a_1"), &pattern, &[], false);
        prop_assert_eq!(!watched.batches.is_empty(), expected);
    }
}

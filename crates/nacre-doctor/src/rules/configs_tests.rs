use nacre_config::{ConfigCommand, GrayTarget, Publish, Source};
use nacre_model::Subject;

use super::*;
use crate::{asked::Sought, scene::ListenerFacts, testing::Stage};

fn publish(stage: &mut Stage, key: &ConfigKey, content: &str, from: &str, gray: Option<&str>) {
    let publish = Publish {
        gray: gray.map(|ips| GrayTarget::Beta { ips: ips.to_owned() }),
        source: Source { user: None, ip: from.into() },
        ..Publish::new(key.clone(), content)
    };
    let outcome = stage.configs.apply(ConfigCommand::Publish(Box::new(publish)), stage.now);
    outcome.effects.events.into_iter().for_each(|event| {
        stage.record(event);
    });
}

fn key() -> ConfigKey {
    ConfigKey::new("", "g", "app.yml")
}

fn listener(stage: &mut Stage, ip: &str, md5: &str, connection: Option<&str>) {
    let facts = ListenerFacts { ip: ip.into(), md5: md5.into(), connection: connection.map(str::to_owned), tag: None };
    stage.server.holding.push((key(), facts));
}

#[test]
fn a_beta_for_nobody_lists_who_listens_and_clears_when_it_is_corrected() {
    let mut stage = Stage::default();
    publish(&mut stage, &key(), "v1", "10.0.0.1", None);
    let md5 = stage.configs.get(&key()).and_then(|i| i.formal.clone()).expect("there").md5.to_string();
    publish(&mut stage, &key(), "v2", "10.0.0.1", Some("10.9.9.9"));
    assert!(stage.codes().is_empty(), "nobody listens");
    listener(&mut stage, "127.0.0.1", &md5, Some("1_127.0.0.1_5"));
    listener(&mut stage, "192.0.2.77", &md5, None);
    let finding = stage.only();
    assert_eq!(finding.code, "GRAY-MATCHES-NOBODY");
    for word in ["none of 2 listeners", "127.0.0.1 (gRPC)", "192.0.2.77 (long poll)", "10.9.9.9"] {
        assert!(finding.cause.contains(word), "{word}: {}", finding.cause);
    }
    publish(&mut stage, &key(), "v2", "10.0.0.1", Some("10.9.9.9, 127.0.0.1"));
    stage.wait(5_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn a_tag_that_no_listener_has_is_told_and_a_slip_of_the_pen_louder() {
    let mut stage = Stage::default();
    publish(&mut stage, &key(), "v1", "10.0.0.1", None);
    let md5 = stage.configs.get(&key()).and_then(|i| i.formal.clone()).expect("there").md5.to_string();
    let tagged = Publish {
        gray: Some(GrayTarget::Tag { tag: "canary".into() }),
        source: Source { user: None, ip: "10.0.0.1".into() },
        ..Publish::new(key(), "v2")
    };
    stage.configs.apply(ConfigCommand::Publish(Box::new(tagged)), stage.now);
    assert!(stage.codes().is_empty(), "nobody listens");
    listener(&mut stage, "10.0.0.5", &md5, Some("1_10.0.0.5_5"));
    listener(&mut stage, "10.0.0.6", &md5, None);
    let finding = stage.only();
    assert_eq!((finding.code.as_str(), finding.severity), ("GRAY-TAG-MATCHES-NOBODY", Severity::Info));
    assert!(finding.cause.contains("none of 2 listeners") && finding.cause.contains("2 without a tag"), "{finding:?}");
    stage.server.holding[0].1.tag = Some("Canary".into());
    let finding = stage.only();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.cause.contains("1 with the tag `Canary`"), "{}", finding.cause);
    stage.server.holding[1].1.tag = Some("canary".into());
    stage.wait(5_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn a_listener_that_does_not_follow_is_told_after_a_while() {
    let mut stage = Stage::default();
    publish(&mut stage, &key(), "v1", "10.0.0.1", None);
    listener(&mut stage, "10.0.0.5", "old", Some("1_10.0.0.5_5"));
    listener(&mut stage, "10.0.0.6", "old", None);
    assert!(stage.codes().is_empty(), "it was told just now");
    assert!(stage.wait(5_000).codes().is_empty(), "it may have come with that a moment ago");
    let finding = stage.wait(4_000).only();
    assert_eq!(finding.code, "LISTENER-NOT-UPDATED");
    assert!(finding.cause.contains("10.0.0.5") && !finding.cause.contains("10.0.0.6"), "{}", finding.cause);
}

#[test]
fn a_listener_that_begins_behind_and_stays_so_is_told_for_as_long_as_it_is() {
    let mut stage = Stage::default();
    publish(&mut stage, &key(), "v2", "10.0.0.1", None);
    stage.wait(360_000);
    let at = stage.now.wall;
    stage.server.told_late.push((key(), at));
    listener(&mut stage, "10.0.0.5", "old", Some("1_10.0.0.5_5"));
    listener(&mut stage, "10.0.0.6", "", Some("1_10.0.0.6_5"));
    assert!(stage.wait(5_000).codes().is_empty(), "it may have come with that a moment ago");
    let finding = stage.wait(4_000).only();
    assert_eq!(finding.code, "LISTENER-NOT-UPDATED");
    assert!(finding.cause.contains("10.0.0.5") && !finding.cause.contains("10.0.0.6"), "{}", finding.cause);
    stage.server.told_late.clear();
    for _ in 0..5 {
        assert_eq!(stage.wait(200_000).only().code, "LISTENER-NOT-UPDATED", "it is behind still");
    }
    stage.server.holding.clear();
    stage.wait(1_000).codes();
    stage.wait(120_000);
    assert!(stage.codes().is_empty());
}

#[test]
fn a_misspelt_data_id_is_told_with_the_one_that_was_meant() {
    let mut stage = Stage::default();
    let there = ConfigKey::new("", "g", "payment-service.yaml");
    publish(&mut stage, &there, "a: 1", "10.0.0.1", None);
    let asked = |data_id: &str| Sought::Config(ConfigKey::new("", "g", data_id));
    for other in ["payment-service1.yaml", "payment-gateway.yaml", "payment-service-dev.yaml"] {
        stage.sightings.asked.note(asked(other), [10, 0, 0, 7].into(), "Java", false, stage.now);
    }
    stage.wait(6_000);
    assert!(stage.codes().is_empty(), "{:?}", stage.codes());
    stage.sightings.asked.note(asked("paymnet-service.yaml"), [10, 0, 0, 7].into(), "Java", false, stage.now);
    assert!(stage.wait(3_000).codes().is_empty());
    let finding = stage.wait(3_000).only();
    assert_eq!(finding.code, "CONFIG-NAME-MISSPELT");
    for word in ["10.0.0.7", "paymnet-service.yaml", "`payment-service.yaml`"] {
        assert!(finding.cause.contains(word), "{}", finding.cause);
    }
}

#[test]
fn two_publishers_that_undo_each_other_are_named() {
    let mut stage = Stage::default();
    for (content, from) in [("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.1")] {
        publish(&mut stage, &key(), content, from, None);
    }
    assert!(stage.codes().is_empty(), "new contents each time");
    publish(&mut stage, &key(), "b", "10.0.0.2", None);
    publish(&mut stage, &key(), "c", "10.0.0.1", None);
    let finding = stage.only();
    assert_eq!(finding.code, "CONFIG-OVERWRITTEN-IN-TURNS");
    assert!(finding.cause.contains("10.0.0.1") && finding.cause.contains("10.0.0.2"), "{}", finding.cause);
}

#[test]
fn what_was_published_and_looks_wrong_is_told_until_it_is_published_again() {
    for (reason, code) in [
        ("not parseable as json: EOF at line 1", "CONFIG-UNPARSEABLE"),
        ("unknown parameters b, c=3: content probably not url-encoded", "CONFIG-NOT-URLENCODED"),
        ("4 characters lost (U+FFFD), the first in line 1", "CONFIG-CHARACTERS-LOST"),
    ] {
        let mut stage = Stage::default();
        publish(&mut stage, &key(), "{", "10.0.0.1", None);
        let about = Subject::config(&key()).with_client("10.0.0.1");
        stage.event(about, Cause::Suspicious { call: "publish".into(), reason: reason.into() });
        let finding = stage.only();
        assert_eq!(finding.code, code);
        assert!(finding.cause.contains("10.0.0.1"), "{}", finding.cause);
        stage.wait(10_000);
        publish(&mut stage, &key(), "{}", "10.0.0.1", None);
        assert!(stage.codes().is_empty() || stage.wait(5_000).codes().is_empty());
    }
}

#[test]
fn remarks_of_the_database_are_one_finding_a_kind_until_it_is_read_again() {
    let mut stage = Stage::default();
    let remark = |text: &str| Cause::Suspicious { call: "read the database".into(), reason: text.into() };
    let double = "config K of group g has two rows: tenant_id 'public' (md5 1, modified x) is served, the one \
                  with blank tenant_id (md5 2, modified y) is kept and not served";
    stage.event(Subject::default(), remark(double));
    let finding = stage.only();
    assert_eq!(finding.code, "CONFIG-DOUBLE-ROWS");
    assert!(finding.cause.contains("K of group g"), "{}", finding.cause);
    stage.wait(60_000);
    assert_eq!(stage.codes(), ["CONFIG-DOUBLE-ROWS"], "it holds");
    stage.event(Subject::default(), Cause::ConfigsReloaded { changed: 0 });
    let text = "config public/g/K2: the md5 column holds 'a', its content has b, which is served";
    stage.event(Subject::default(), remark(text));
    stage.wait(5_000);
    let finding = stage.only();
    assert_eq!(finding.code, "CONFIG-MD5-ROWS");
    assert!(finding.cause.contains("public/g/K2"), "{}", finding.cause);
}

#[test]
fn readers_of_the_wrong_place_are_told_the_right_one() {
    for (asked, code) in [
        (ConfigKey::new("", "h", "app.yml"), "CONFIG-WRONG-GROUP"),
        (ConfigKey::new("", "g", "App.yml"), "CONFIG-NAME-DIFFERS"),
        (ConfigKey::new("", "g", "app.properties"), "CONFIG-NAME-DIFFERS"),
        (ConfigKey::new("nobodys", "h", "app.yml"), "CONFIG-WRONG-NAMESPACE"),
        (ConfigKey::new("dev", "g", "app.yml"), "CONFIG-WRONG-NAMESPACE"),
    ] {
        let mut stage = Stage::default();
        publish(&mut stage, &key(), "v", "", None);
        stage.sightings.asked.note(Sought::Config(asked), [192, 0, 2, 7].into(), "x", false, stage.now);
        stage.sightings.asked.note(
            Sought::Config(ConfigKey::new("", "g", "other")),
            [192, 0, 2, 7].into(),
            "x",
            false,
            stage.now,
        );
        let finding = stage.wait(3_000).only();
        assert_eq!(finding.code, code);
        assert!(finding.cause.contains("192.0.2.7"), "{}", finding.cause);
    }
}

#[test]
fn conflicts_refusals_and_plain_ciphers_are_collected() {
    let mut stage = Stage::default();
    let about = Subject::config(&key()).with_client("10.0.0.1");
    for _ in 0..3 {
        stage.event(about.clone(), Cause::CasConflict { expected: "a".into(), actual: "b".into() });
    }
    assert_eq!(stage.only().code, "CONFIG-CAS-CONFLICTS");
    let mut stage = Stage::default();
    let reason = "invalid content, over 10485760".to_owned();
    stage.event(about.clone(), Cause::Refused { call: "POST /v1/cs/configs".into(), code: 400, reason });
    let finding = stage.only();
    assert!(finding.code == "CONFIG-REFUSED" && finding.cause.contains("maxContent"), "{}", finding.cause);
    // alibaba/nacos #4647: `curl -d @config.yml` sends no `content`; and limits that nothing can raise.
    for (reason, word) in [
        (
            "Required request parameter 'content' for method parameter type String is not present",
            "form field `content`",
        ),
        ("content is blank :    ", "form field `content`"),
        ("too much config_tags, over 5", "fixed"),
    ] {
        let mut stage = Stage::default();
        let cause = Cause::Refused { call: "POST /v1/cs/configs".into(), code: 400, reason: reason.into() };
        stage.event(about.clone(), cause);
        let finding = stage.only();
        assert!(finding.code == "CONFIG-REFUSED" && finding.cause.contains(word), "{}", finding.cause);
    }
    let mut stage = Stage::default();
    publish(&mut stage, &ConfigKey::new("", "g", "cipher-aes-app.yml"), "plain", "10.0.0.1", None);
    assert_eq!(stage.only().code, "CONFIG-CIPHER-PLAIN");
    let mut stage = Stage::default();
    stage.event(about, Cause::ListenerStale { md5: "d41d8cd98f00b204e9800998ecf8427e".into() });
    let finding = stage.only();
    assert!(finding.code == "LISTENER-STALE-MD5" && finding.cause.contains("empty text"), "{}", finding.cause);
}

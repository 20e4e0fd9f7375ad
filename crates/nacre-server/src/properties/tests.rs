//! Sources, precedence, checks and what is said about them.

use std::fs;

use super::*;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// A home directory whose `conf/application.properties` holds `text`.
fn home_with(text: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("conf")).unwrap();
    fs::write(home.path().join("conf/application.properties"), text).unwrap();
    home
}

fn load_file(text: &str) -> Result<Properties, LoadError> {
    let home = home_with(text);
    load(&LoadOptions { home: Some(home.path().to_owned()), ..LoadOptions::default() })
}

fn notes(properties: &Properties) -> Vec<String> {
    properties.notes().iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_set_is_a_valid_configuration() {
    let properties = Properties::of(&[]).unwrap();
    assert_eq!(properties.u16("server.port"), 8848);
    assert_eq!(properties.str("server.servlet.contextPath"), "/nacos");
    assert_eq!(properties.addresses("nacre.listen"), [IpAddr::from([127, 0, 0, 1])]);
    assert_eq!(properties.millis("nacos.naming.push.pushTaskDelay"), 500);
    assert!(properties.home().is_absolute() && properties.home().ends_with("nacre"));
    assert!(properties.notes().is_empty(), "{:?}", properties.notes());
}

/// Each unknown key is compared with all known ones: that must not take a start's time, whatever the file is.
#[test]
fn a_file_of_another_kind_is_told_in_a_few_lines() {
    let many: String = (0..5_000).map(|n| format!("nacos.core.auth.enable{n}=x\n")).collect();
    let told = notes(&load_file(&many).unwrap());
    assert_eq!(told.len(), 101);
    assert!(told[0].contains("nacos.core.auth.enabled") && told[100].contains("4900 more keys"), "{}", told[100]);
    // One line without any end: comparing it letter by letter would take minutes.
    let told = notes(&load_file(&"x".repeat(2_000_000)).unwrap());
    assert!(told.len() == 1 && told[0].len() < 1_000, "{}", told[0].len());
}

#[test]
fn a_cluster_that_is_described_is_told_and_the_start_goes_on() {
    let home = home_with("server.port=8850\nnacos.member.list=192.0.2.8,192.0.2.9\n");
    let options = LoadOptions { home: Some(home.path().to_owned()), ..LoadOptions::default() };
    let told = |properties: &Properties| -> Vec<String> {
        notes(properties)
            .into_iter()
            .filter(|note| note.contains("no clustering") || note.contains("left out"))
            .collect()
    };
    let members =
        |properties: &Properties| -> Vec<String> { properties.members().iter().map(ToString::to_string).collect() };
    let by_property = load(&options).unwrap();
    assert_eq!(members(&by_property), ["192.0.2.8:8850", "192.0.2.9:8850"]);
    assert_eq!(told(&by_property).len(), 1);
    let file = home.path().join("conf/cluster.conf");
    fs::write(&file, "# three\n192.0.2.1\n   \n192.0.2.2:port\n192.0.2.3:8848\n").unwrap();
    let by_file = load(&options).unwrap();
    assert_eq!(members(&by_file), ["192.0.2.1:8850", "192.0.2.3:8848"], "the file wins, its wrong line is left out");
    let told = told(&by_file);
    assert!(told[0].starts_with(&format!("{}:4: ", file.display())) && told[0].contains("192.0.2.2:port"), "{told:?}");
    assert!(told[1].contains("2 members") && told[1].contains("alone"), "{told:?}");
    // Who names one node only means this one.
    fs::write(&file, "192.0.2.1:8848\n").unwrap();
    assert_eq!(notes(&load(&options).unwrap()).iter().filter(|note| note.contains("clustering")).count(), 0);
}

#[test]
fn stronger_sources_win() {
    let home =
        home_with("server.port=1\nmaxContent=1000\nnacos.config.push.timeout=1\nnacos.config.retention.days=7\n");
    let config = home.path().join("other.properties");
    fs::write(&config, "server.port=2\nmaxContent=2000\nnacos.config.push.timeout=2\n").unwrap();
    let properties = load(&LoadOptions {
        home: Some(home.path().to_owned()),
        config: Some(config.clone()),
        overrides: pairs(&[("server.port", "9"), ("server.port", "4")]),
        environment: pairs(&[("SERVER_PORT", "3"), ("MAX_CONTENT", "3000"), ("NACOS_APPLICATION_PORT", "5")]),
    })
    .unwrap();
    assert_eq!(properties.u16("server.port"), 4);
    assert_eq!(properties.u64("maxContent"), 3000);
    assert_eq!(properties.millis("nacos.config.push.timeout"), 2);
    assert_eq!(properties.u64("nacos.config.retention.days"), 7);
    assert_eq!(*properties.origin("maxContent"), Origin::Environment("MAX_CONTENT".into()));
    assert_eq!(properties.origin("nacos.config.push.timeout").to_string(), format!("{}:3", config.display()));
}

#[test]
fn spellings_and_aliases_meet_in_one_value() {
    let properties = load_file("server.servlet.context-path=/x\nNACOS.naming.expire-instance=off\n").unwrap();
    assert_eq!(properties.str("server.servlet.contextPath"), "/x");
    assert!(!properties.bool("nacos.naming.expireInstance"));
    // In one file the 3.x name wins, whatever the order; a stronger source wins over both.
    let file = "server.port=1000\nnacos.server.main.port=2000\nserver.port=3000\n";
    assert_eq!(load_file(file).unwrap().u16("server.port"), 2000);
    let home = home_with(file);
    let options = LoadOptions {
        home: Some(home.path().to_owned()),
        overrides: pairs(&[("server.port", "4000")]),
        ..LoadOptions::default()
    };
    assert_eq!(load(&options).unwrap().u16("server.port"), 4000);
}

#[test]
fn home_is_found_in_the_order_that_is_promised() {
    let home = |options: LoadOptions| load(&options).unwrap().home().to_owned();
    let environment = pairs(&[("NACOS_HOME", "/env")]);
    assert_eq!(home(LoadOptions { environment: environment.clone(), ..LoadOptions::default() }), Path::new("/env"));
    let overrides = pairs(&[("nacos.home", "/override")]);
    let options = LoadOptions { environment, overrides, ..LoadOptions::default() };
    assert_eq!(home(options.clone()), Path::new("/override"));
    assert_eq!(home(LoadOptions { home: Some("/option".into()), ..options }), Path::new("/option"));
}

#[test]
fn a_wrong_value_names_file_line_key_and_what_is_allowed() {
    let home = home_with("# port\nserver.port = 88480\n\nnacos.naming.expireInstance=maybe\n");
    let error = load(&LoadOptions { home: Some(home.path().to_owned()), ..LoadOptions::default() }).unwrap_err();
    let file = home.path().join("conf/application.properties");
    let lines: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            format!("{}:4: nacos.naming.expireInstance: wrong value \"maybe\"; allowed: true or false", file.display()),
            format!(
                "{}:2: server.port: wrong value \"88480\"; allowed: a whole number from 0 to 64535",
                file.display()
            ),
        ]
    );
    let error = Properties::of(&[("server.port", "x")]).unwrap_err();
    assert!(error.to_string().starts_with("command line: server.port: "), "{error}");
}

#[test]
fn a_malformed_escape_names_file_and_line() {
    let error = load_file("a=1\nb=\\u12\n").unwrap_err();
    assert!(error.to_string().contains("application.properties:2: "), "{error}");
}

#[test]
fn unknown_keys_are_reported_once_with_the_nearest_one() {
    let properties = load_file("nacos.core.auth.enable=true\nwin.path=C\nnacos.core.auth.enable=true\n").unwrap();
    let notes = notes(&properties);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[0].contains(":3: nacos.core.auth.enable: not known") && notes[0].ends_with("nacos.core.auth.enabled")
    );
    assert!(notes[1].contains(":2: win.path: not known"), "{notes:?}");
}

#[test]
fn blank_means_unset_for_numbers_and_empty_for_text() {
    let properties = load_file("server.port=\nserver.servlet.contextPath=\nnacos.functionMode=\n").unwrap();
    assert_eq!(properties.u16("server.port"), 8848);
    assert_eq!(properties.str("server.servlet.contextPath"), "");
}

#[test]
fn placeholders_see_every_source() {
    let home = home_with(
        "server.port=${NACOS_APPLICATION_PORT:8848}\nbase=/a\nserver.servlet.contextPath=${base}/b\n\
         nacos.console.port=${server.port}\n",
    );
    let properties = load(&LoadOptions {
        home: Some(home.path().to_owned()),
        environment: pairs(&[("OTHER", "1")]),
        ..LoadOptions::default()
    })
    .unwrap();
    assert_eq!(properties.u16("server.port"), 8848);
    assert_eq!(properties.str("server.servlet.contextPath"), "/a/b");
    assert_eq!(properties.u16("nacos.console.port"), 8848);
    assert!(load_file("server.servlet.contextPath=${server.servlet.contextPath}\n").is_err());
}

/// C081, for every key that is dead in Nacos.
#[test]
fn c081_a_dead_property_is_named_with_its_replacement() {
    let mut seen = 0;
    for row in known::all() {
        let Effect::Dead { instead } = row.effect else { continue };
        let properties = Properties::of(&[(row.key, row.default)]).unwrap();
        let notes = notes(&properties);
        assert_eq!(notes.len(), 1, "{}: {notes:?}", row.key);
        assert!(notes[0].contains(row.key) && notes[0].contains("no effect"), "{notes:?}");
        assert!(notes[0].contains(instead.trim_start_matches("nothing; ")), "{notes:?}");
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn what_has_no_effect_yet_is_said_only_when_it_would_change_something() {
    assert!(Properties::of(&[("nacos.core.auth.enabled", "false")]).unwrap().notes().is_empty());
    let loud = Properties::of(&[("nacos.core.auth.enabled", "true")]).unwrap();
    assert!(notes(&loud)[0].contains("everybody who reaches the server may read and write"));
    let quiet =
        Properties::of(&[("nacos.k8s.sync.enabled", "true"), ("nacos.istio.mcp.server.enabled", "true")]).unwrap();
    assert_eq!(
        notes(&quiet),
        ["known, but without effect in this version: nacos.istio.mcp.server.enabled (command line), \
          nacos.k8s.sync.enabled (command line)"]
    );
    assert!(Properties::of(&[("server.tomcat.accesslog.max-days", "thirty")]).unwrap().notes().is_empty());
}

#[test]
fn an_external_database_stops_the_start_instead_of_an_empty_store_answering() {
    let error = Properties::of(&[("spring.datasource.platform", "mysql")]).unwrap_err();
    assert!(error.to_string().contains("external database"), "{error}");
    for fine in ["", "derby"] {
        Properties::of(&[("spring.sql.init.platform", fine)]).unwrap();
    }
}

/// C092.
#[test]
fn c092_values_with_trailing_blanks_are_kept_and_pointed_out() {
    let home = home_with("db.user.0=nacos  \r\ndb.password.0=p@ss#w%rd!=:1\\u0040 \r\nwin.path=C:\\\\data\\\\x\r\n");
    let options = LoadOptions { home: Some(home.path().to_owned()), ..LoadOptions::default() };
    let properties = load(&options).unwrap();
    assert_eq!(properties.with_prefix("db.user").collect::<Vec<_>>(), [(".0", "nacos  ")]);
    assert_eq!(properties.with_prefix("db.password.").collect::<Vec<_>>(), [("0", "p@ss#w%rd!=:1@ ")]);
    let notes = notes(&properties);
    assert!(notes.iter().any(|n| n.contains("db.user.0: the value ends with 2 blanks")), "{notes:?}");
    assert!(notes.iter().any(|n| n.contains("db.password.0: the value ends with 1 blank")), "{notes:?}");
    let shown = explain(&options).text();
    assert!(shown.contains("db.user.0 = \"nacos  \""), "{shown}");
    assert!(shown.contains("db.password.0 = ****** (15 characters)"), "{shown}");
    assert!(shown.contains("win.path = C:\\data\\x"), "{shown}");
    assert!(!shown.contains("p@ss") && !notes.join("").contains("p@ss"));
}

#[test]
fn printed_values_show_their_origin_and_what_they_beat() {
    let home = home_with("server.port=9000\n");
    let options = LoadOptions {
        home: Some(home.path().to_owned()),
        environment: pairs(&[("NACOS_SERVER_MAIN_PORT", "9001")]),
        ..LoadOptions::default()
    };
    let shown = explain(&options).text();
    let line = shown.lines().find(|line| line.starts_with("server.port = ")).unwrap();
    assert!(line.contains("9001") && line.contains("environment NACOS_SERVER_MAIN_PORT; beats 9000 from "), "{line}");
    assert!(shown.contains("nacos.naming.expireInstance = true"), "{shown}");
    let json = explain(&options).json();
    let port = json["properties"].as_array().unwrap().iter().find(|p| p["key"] == "server.port").unwrap();
    assert_eq!(port["value"], "9001");
    assert_eq!(port["overridden"][0]["value"], "9000");
}

#[test]
fn variables_of_the_image_are_weaker_than_the_key_itself() {
    let properties = load(&LoadOptions {
        environment: pairs(&[
            ("SERVER_SERVLET_CONTEXTPATH", "/image"),
            ("NACOS_SERVER_CONTEXTPATH", "/key"),
            ("MODE", "standalone"),
        ]),
        ..LoadOptions::default()
    })
    .unwrap();
    assert_eq!(properties.str("server.servlet.contextPath"), "/key");
    assert!(properties.bool("nacos.standalone"));
}

#[test]
fn a_variable_named_like_a_key_without_effect_cannot_stop_the_start() {
    load(&LoadOptions { environment: pairs(&[("DB_NUM", "many"), ("TLS_ENABLE", "maybe")]), ..LoadOptions::default() })
        .unwrap();
}

/// A row that says "now" is a promise.
#[test]
fn every_key_in_effect_is_read_somewhere() {
    fn collect(folder: &Path, out: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "known" && name != "tests" {
                collect(&path, out);
            } else if name.ends_with(".rs") && !matches!(name.as_str(), "tests.rs" | "image.rs") {
                // What stands behind this line is a test.
                let text = fs::read_to_string(&path).unwrap();
                out.push_str(text.split("#[cfg(test)]").next().unwrap());
            }
        }
    }
    let mut source = String::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    collect(&crates.join("nacre-server/src"), &mut source);
    collect(&crates.join("nacre-cli/src"), &mut source);
    for row in known::all().filter(|row| row.effect == Effect::Now) {
        let beginning = row.prefix().unwrap_or(row.key);
        assert!(source.contains(&format!("\"{beginning}")), "{} has no effect", row.key);
    }
}

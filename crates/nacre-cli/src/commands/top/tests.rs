//! The screen on a terminal of 80 by 24, and what keys do.

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::Color,
};

use super::{
    app::{App, Detail, View, Wish},
    draw::{self, Palette},
    look::{Gap, InstanceRow, Place, ServiceRow, Shot, Target},
    text,
};
use crate::{
    api::naming::Instance,
    commands::doctor::finding::{Finding, Severity, subject},
    explain::scrape::samples,
};

const METRICS: &str = "\
nacos_monitor{module=\"core\",name=\"longConnection\"} 7
nacos_monitor{module=\"config\",name=\"longPolling\"} 3
nacos_monitor{module=\"naming\",name=\"subscriberCount\"} 12
nacre_beat_gap_seconds_bucket{le=\"5\"} 10
nacre_beat_gap_seconds_bucket{le=\"10\"} 20
nacre_beat_gap_seconds_bucket{le=\"+Inf\"} 20
nacre_limit_hits_total{limit=\"connections\"} 4
nacre_worker_restarts_total{worker=\"tick\"} 0
http_server_requests_seconds_count{uri=\"/a\"} 100
";

fn place(service: &str) -> Place {
    Place { namespace: "public".into(), group: "DEFAULT_GROUP".into(), service: service.into() }
}

fn shot() -> Shot {
    let service = |name: &str, all, healthy| ServiceRow { place: place(name), all, healthy };
    let instance = |ip: &str, healthy| InstanceRow {
        place: place("orders"),
        instance: Instance {
            ip: ip.into(),
            port: 8080,
            cluster: "DEFAULT".into(),
            healthy,
            enabled: true,
            ephemeral: true,
            weight: 1.0,
            metadata: Default::default(),
        },
    };
    let finding = |code: &str, severity| {
        Finding::new(code, severity, "A title", "a cause").about(vec![subject(&[("address", "10.0.0.9")])])
    };
    let gap = |gap, instance: &str| Gap {
        until: Some(1_000),
        gap,
        expected: 5_000,
        instance: instance.into(),
        service: "orders".into(),
    };
    Shot {
        at: 1_764_092_882_000,
        version: "0.1.0".into(),
        mode: "standalone".into(),
        samples: samples(METRICS),
        services: vec![service("well", 3, 3), service("orders", 5, 3), service("dead", 1, 0), service("empty", 0, 0)],
        instances: vec![instance("10.0.0.1", true), instance("10.0.0.2", false)],
        findings: Some(vec![
            finding("INFO-CODE", Severity::Info),
            finding("BEAT-GAP-CLIENT-PAUSED", Severity::Critical),
        ]),
        gaps: vec![gap(9_000, "10.0.0.1:8080:DEFAULT"), gap(60_000, "10.0.0.2:8080:DEFAULT")],
        ..Shot::default()
    }
}

fn app() -> App {
    let mut app = App::new("http://127.0.0.1:8848/nacos".into());
    app.take(shot());
    app
}

fn press(app: &mut App, code: KeyCode) -> Wish {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn shown(app: &mut App) -> Vec<String> {
    text(app, (80, 24)).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_screen_of_80_by_24_has_everything_of_a_glance() {
    let lines = shown(&mut app());
    assert_eq!(lines.len(), 24);
    assert!(lines.iter().all(|line| line.chars().count() <= 80 && line.is_ascii()), "{lines:#?}");
    assert!(lines[0].starts_with("nacre top  http://127.0.0.1:8848/nacos  0.1.0 standalone"), "{lines:#?}");
    assert!(lines[0].ends_with("17:48:02"), "{lines:#?}");
    assert_eq!(lines[1], "findings: 1 critical  1 info");
    assert_eq!(lines[2], "services 4  instances 9, 3 unhealthy  connections 7  long polls 3  subs 12");
    assert_eq!(lines[3], "median/p99: beat gap 5.0 s / 9.9 s  push -  listener -  fsync -");
    assert_eq!(lines[4], "a second: http -  grpc -  writes -   limits hit 4  exceptions -");
    assert_eq!(lines[5], "worst gap: 60.0 s before 00:00:01, 10.0.0.2:8080:DEFAULT of orders");
    assert_eq!(lines[6].trim_start(), "1 services   2 instances   3 findings   4 gaps   5 limits");
    assert!(lines[7].starts_with("  SERVICE") && lines[7].contains("HEALTHYv"), "{lines:#?}");
    // The sickest first; what colours say is in front.
    let names: Vec<&str> = lines[8..12].iter().filter_map(|line| line[2..].split_whitespace().next()).collect();
    assert_eq!(names, ["orders", "dead", "empty", "well"], "{lines:#?}");
    assert!(lines[8].starts_with(">!orders") && lines[9].starts_with(" Xdead"), "{lines:#?}");
    assert!(lines[23].starts_with("q quit"), "{lines:#?}");
}

#[test]
fn lists_are_changed_sorted_reversed_and_filtered_by_keys() {
    let mut app = app();
    let first = |app: &App| app.rows().first().map(|row| row.cells[0].clone()).unwrap_or_default();
    for _ in 0..2 {
        press(&mut app, KeyCode::Char('s'));
    }
    assert_eq!((app.sort, first(&app).as_str()), ((0, false), "dead"));
    press(&mut app, KeyCode::Char('r'));
    assert_eq!(first(&app), "well");
    press(&mut app, KeyCode::Char('/'));
    for c in "ORD".chars() {
        press(&mut app, KeyCode::Char(c));
    }
    assert_eq!(app.rows().len(), 1);
    assert!(shown(&mut app)[6].ends_with("filter: ORD_"));
    // While a filter is typed, q is a letter.
    assert_eq!(press(&mut app, KeyCode::Char('q')), Wish::Nothing);
    press(&mut app, KeyCode::Backspace);
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.rows().len(), 1);
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.rows().len(), 4);
    assert_eq!(press(&mut app, KeyCode::Char('2')), Wish::Look);
    assert_eq!((app.view, first(&app).as_str()), (View::Instances, "10.0.0.2:8080"));
    press(&mut app, KeyCode::Tab);
    assert_eq!((app.view, first(&app).as_str()), (View::Findings, "critical"));
    press(&mut app, KeyCode::Char('4'));
    assert_eq!(app.rows()[0].cells[1], "60.0 s", "the worst gap first");
    press(&mut app, KeyCode::Char('5'));
    assert_eq!(first(&app), "nacre_limit_hits_total{limit=\"connections\"}");
    assert_eq!(press(&mut app, KeyCode::Char('q')), Wish::Quit);
    assert_eq!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::Quit);
}

#[test]
fn enter_opens_what_is_selected_and_escape_goes_back() {
    let mut app = app();
    press(&mut app, KeyCode::Down);
    assert_eq!(press(&mut app, KeyCode::Enter), Wish::Open(Target::Service(place("dead"))));
    press(&mut app, KeyCode::Char('4'));
    let Wish::Open(Target::Instance { instance, .. }) = press(&mut app, KeyCode::Enter) else { panic!() };
    assert_eq!(instance, "10.0.0.2:8080:DEFAULT");
    let lines = (0..40).map(|n| format!("event {n}")).collect();
    app.detail = Some(Detail { title: "service dead".into(), lines, offset: 0 });
    press(&mut app, KeyCode::PageDown);
    let seen = shown(&mut app);
    assert_eq!(seen[7], "service dead (esc: back)");
    assert!(seen.iter().any(|line| line == "event 20") && !seen.iter().any(|line| line == "event 1"), "{seen:#?}");
    press(&mut app, KeyCode::Esc);
    assert!(app.detail.is_none());
}

#[test]
fn the_selection_stays_in_sight_of_a_long_list() {
    let mut app = app();
    let mut long = shot();
    long.services = (0..500).map(|n| ServiceRow { place: place(&format!("s{n:03}")), all: 1, healthy: 1 }).collect();
    app.take(long);
    shown(&mut app);
    press(&mut app, KeyCode::End);
    let seen = shown(&mut app);
    assert!(seen.iter().any(|line| line.starts_with("> s499")), "{seen:#?}");
    press(&mut app, KeyCode::Home);
    assert!(shown(&mut app)[8].starts_with("> s000"));
}

#[test]
fn a_server_that_stops_answering_is_told_and_the_last_picture_stays() {
    let mut app = app();
    app.take(Shot { error: Some("nothing listens there".into()), ..Shot::default() });
    let seen = shown(&mut app);
    assert!(seen[1].starts_with("NO ANSWER: nothing listens there") && seen[8].contains("orders"), "{seen:#?}");
    app.take(shot());
    assert!(shown(&mut app)[1].starts_with("findings: "));
    let mut later = shot();
    later.at += 2_000;
    later.samples = samples(&METRICS.replace("} 100", "} 300"));
    app.take(later);
    assert!(shown(&mut app)[4].starts_with("a second: http 100"));
    press(&mut app, KeyCode::Char('p'));
    app.take(Shot::default());
    assert!(shown(&mut app)[0].contains("PAUSED"), "a paused screen stands still");
    assert_eq!(app.shot.services.len(), 4);
    assert_eq!(press(&mut app, KeyCode::Char('2')), Wish::Look);
    let mut asked = shot();
    asked.instances.truncate(1);
    app.take(asked);
    assert_eq!(app.rows().len(), 1, "what was asked for is shown, paused or not");
    app.take(Shot::default());
    assert_eq!(app.rows().len(), 1, "and stands still again");
}

#[test]
fn help_tells_every_key_and_fits() {
    let mut app = app();
    press(&mut app, KeyCode::Char('?'));
    let seen = shown(&mut app);
    assert_eq!(seen[7], "help (esc: back)");
    for key in ["1 to 5", "enter", "s  ", "r  ", "/  ", "p  ", "esc", "q, ctrl-c"] {
        assert!(seen.iter().any(|line| line.starts_with(key)), "{key}: {seen:#?}");
    }
    press(&mut app, KeyCode::Esc);
    assert!(shown(&mut app)[7].starts_with("  SERVICE"));
}

#[test]
fn a_server_without_a_journal_says_nothing_of_gaps() {
    let mut app = app();
    app.shot.gaps.clear();
    assert_eq!(shown(&mut app)[5], "worst gap: none, no beat was late");
    app.shot.findings = None;
    assert_eq!(shown(&mut app)[5], "worst gap: not told by this server");
}

#[test]
fn without_colours_there_are_none_and_with_them_the_dead_are_red() {
    let colours = |colour| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut app = app();
        terminal.draw(|frame| draw::screen(frame, &mut app, Palette { colour })).unwrap();
        terminal.backend().buffer().content().iter().map(|cell| cell.fg).collect::<Vec<_>>()
    };
    assert!(colours(false).iter().all(|colour| *colour == Color::Reset));
    assert!(colours(true).contains(&Color::Red) && colours(true).contains(&Color::Green));
}

#[test]
fn wide_characters_and_tiny_terminals_are_borne() {
    let mut app = app();
    app.shot.services[0].place.service = "订单服务".repeat(20);
    assert!(shown(&mut app).iter().all(|line| crate::output::width(line) <= 80));
    for size in [(1, 1), (10, 3), (200, 60)] {
        text(&mut app, size).unwrap();
    }
}

#[test]
fn it_speaks_chinese_at_eighty_columns_too() {
    let mut app = app();
    app.lang = crate::explain::Lang::Zh;
    let lines = shown(&mut app);
    let text = lines.join("\n");
    assert!(lines.iter().all(|line| crate::output::width(line) <= 80), "{text}");
    for word in ["服务 4", "不健康", "最长间隔", "退出", "命名空间"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("unhealthy") && !text.contains("worst gap"), "{text}");
}

//! The table is whole, in both languages, and questions find their entries.

use super::{answer::Question, *};

/// Every name that Nacos, its Java client and their documentation have: one a line, labels as they are looked for.
const NAMES: &str = include_str!("names.txt");

#[test]
fn every_line_of_the_table_is_read() {
    assert_eq!(TABLE.wrong, Vec::<String>::new());
    assert!(TABLE.metrics.len() > 60 && TABLE.codes.len() > 40 && !TABLE.pairs.is_empty());
}

#[test]
fn every_entry_says_everything_in_both_languages() {
    let has_chinese = |text: &str| text.chars().any(|c| c == '。' || ('\u{4e00}'..='\u{9fff}').contains(&c));
    for lang in [Lang::En, Lang::Zh] {
        let whole = |entry: &Entry, texts: &[&str]| {
            for name in texts {
                let text = entry.text(lang, name);
                assert!(!text.is_empty(), "{} {name} {lang:?}", entry.title);
                assert_eq!(has_chinese(text), lang == Lang::Zh, "{} {name} {lang:?}: {text}", entry.title);
                assert_eq!(entry.texts.iter().filter(|(key, _)| *key == format!("{}.{name}", lang.word())).count(), 1);
            }
            assert!(!entry.steps(lang).is_empty(), "{} do {lang:?}", entry.title);
            assert_eq!(entry.steps(Lang::En).len(), entry.steps(Lang::Zh).len(), "{}", entry.title);
        };
        TABLE.metrics.iter().for_each(|entry| whole(entry, &["nacos", "nacre", "normal", "problem"]));
        TABLE.pairs.iter().chain(&TABLE.codes).chain(&TABLE.messages).for_each(|entry| whole(entry, &["what"]));
    }
}

#[test]
fn every_name_of_nacos_has_an_entry() {
    let mut seen = 0;
    for name in NAMES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let question = Question::read(name);
        assert_eq!(question.selectors.len(), 1, "{name}: {question:?}");
        let found = question.parts(None, Lang::En);
        assert_eq!(found.len(), 1, "{name}: {:?}", found.iter().map(|part| &part.title).collect::<Vec<_>>());
        seen += 1;
    }
    assert!(seen > 150, "{seen}");
}

#[test]
fn every_code_of_an_answer_has_an_entry() {
    for code in nacre_model::ErrorCode::ALL {
        let question = Question::read(&code.code.to_string());
        assert_eq!(question.codes.len(), 1, "{code:?}");
    }
    for code in [
        "300", "301", "302", "400", "403", "404", "409", "410", "500", "502", "503", "-401", "10200", "20404",
        "100001", "100002", "100003", "100004", "100005", "100006",
    ] {
        assert_eq!(Question::read(&format!("what is {code}?")).codes.len(), 1, "{code}");
    }
}

#[test]
fn what_an_entry_points_to_exists() {
    for entry in &TABLE.metrics {
        for see in &entry.see {
            let question = Question::read(see);
            assert!(!question.parts(None, Lang::En).is_empty(), "{}: {see}", entry.title);
        }
        let other = match entry.judge {
            Judge::Of(other, _) | Judge::Least(other, _) => other,
            _ => continue,
        };
        assert!(TABLE.known(other, false).is_some(), "{}: {other}", entry.title);
    }
}

#[test]
fn no_two_entries_are_about_one_series() {
    let heads: Vec<&Head> = TABLE.metrics.iter().flat_map(|entry| &entry.heads).collect();
    for (n, head) in heads.iter().enumerate() {
        assert!(!heads[..n].contains(head), "{head:?}");
    }
}

#[test]
fn the_two_questions_are_understood_in_every_spelling() {
    for question in [
        "nacos_exception_total{name='leaderSendBeatFailed'} is 2 while nacos_monitor{name='leaderStatus'} is 1",
        "leaderSendBeatFailed is 2 while leaderStatus is 1",
        "nacos_exception_total{name=\"leaderSendBeatFailed\"} = 2 and nacos_monitor{module=\"naming\",name=\"leaderStatus\"} = 1",
        "nacos_exception_total{name='leaderSendBeatFailed'} 为 2，nacos_monitor{name='leaderStatus'} 为 1，什么意思？",
        "nacos_exception_total{name=~'leaderSend.*'} 2 nacos_monitor{name='leaderStatus'} 1",
    ] {
        let question = Question::read(question);
        let parts = question.parts(None, Lang::En);
        let claims: Vec<f64> = parts.iter().filter_map(|part| part.claim).map(|claim| claim.value).collect();
        assert_eq!(claims, [2.0, 1.0], "{question:?}");
        assert_eq!(question.together().len(), 1, "{question:?}");
        assert_eq!(parts[0].verdict.as_ref().unwrap().0, judge::Level::Watch);
        assert_eq!(parts[1].verdict.as_ref().unwrap().0, judge::Level::Fine);
        assert!(question.codes.is_empty());
    }
}

#[test]
fn what_is_not_known_is_said_with_what_is_near() {
    let question = Question::read("nacos_monitr{name='leaderStatus'}");
    assert!(question.selectors.is_empty());
    assert_eq!(question.strangers, ["nacos_monitr"]);

    assert!(TABLE.near("nacos_monitor_leaderStatus").iter().any(|series| series.contains("leaderStatus")));
    let question = Question::read("nacos_monitor{name='noSuchName'}");
    assert_eq!(question.unknown_labels().len(), 1);
    assert!(Question::read("hello world").is_empty());
}

#[test]
fn a_family_is_listed_and_a_pattern_finds_its_series() {
    assert!(Question::read("nacos_monitor").parts(None, Lang::En).len() > 10);
    let parts =
        Question::read("sum(rate(nacos_monitor{name=~'.*HealthCheck',instance=~'$instance'}[1m])) by (name) *60");
    assert_eq!(parts.parts(None, Lang::En).len(), 1);
    let quotient =
        "sum(rate(http_server_requests_seconds_sum[1m]))/sum(rate(http_server_requests_seconds_count[1m]))*1000 > 5000";
    assert_eq!(Question::read(quotient).parts(None, Lang::Zh).len(), 1);
    assert_eq!(Question::read("grpc_server_requests_seconds_count{errorCode='301'}").codes.len(), 1);
}

#[test]
fn kinds_of_events_in_commands_exist() {
    let mut seen = 0;
    for (_, text) in SOURCES {
        for kind in text.split("events?kind=").skip(1) {
            let end = kind.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(kind.len());
            let kind = &kind[..end];
            assert!(kind == "KIND" || nacre_model::KINDS.contains(&kind), "{kind}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn names_are_known_in_the_spellings_of_java_micrometer_and_rules() {
    for (question, series) in [
        ("nacos.exception{name='leaderSendBeatFailed'}", "leaderSendBeatFailed"),
        ("nacos.exception leaderSendBeatFailed 2", "leaderSendBeatFailed"),
        ("nacos_exception_total{name='LeaderSendBeatFailed'}", "leaderSendBeatFailed"),
        ("nacos_exception_total{name=\"leader_send_beat_failed\"}", "leaderSendBeatFailed"),
        ("MetricsMonitor.getLeaderSendBeatFailedException().increment()", "leaderSendBeatFailed"),
        ("MetricsMonitor.getIpCountMonitor()", "ipCount"),
        ("leader_send_beat_failed", "leaderSendBeatFailed"),
        ("job:nacos_raft_term:max", "nacos_raft_term"),
        ("http.server.requests", "http_server_requests_seconds"),
        ("jvm.memory.used is at its maximum", "jvm_memory_used_bytes"),
        ("process.cpu.usage", "process_cpu_usage"),
        ("avg({__name__=~'nacre_beat_gap.*'})", "nacre_beat_gap_seconds"),
    ] {
        let read = Question::read(question);
        let parts = read.parts(None, Lang::En);
        assert_eq!(parts.len(), 1, "{question}: {read:?}");
        assert!(parts[0].title.contains(series), "{question}: {}", parts[0].title);
    }
    for sentence in ["Disk is full", "the Nacos server is slow", "our Max is 5"] {
        assert!(Question::read(sentence).selectors.is_empty(), "{sentence}");
    }
}

#[test]
fn whatever_is_asked_of_an_address_leads_to_its_story() {
    for question in ["why is 10.0.0.5:8080 unhealthy?", "what about 10.0.0.5:8080", "10.0.0.5:8080 怎么了"] {
        let read = Question::read(question);
        assert_eq!(read.said.len(), 1, "{question}: {read:?}");
        assert_eq!(read.names.fill("doctor instance IP:PORT"), "doctor instance 10.0.0.5:8080");
    }
    assert!(Question::read("what is this").is_empty());
}

#[test]
fn findings_that_messages_point_to_have_pages() {
    for entry in &TABLE.messages {
        for code in &entry.see {
            assert!(nacre_doctor::page(code).is_some(), "{}: {code}", entry.title);
        }
    }
}

/// What stands for a value in a command of a page or the table.
fn filled(command: &str) -> String {
    let mut text = String::new();
    let mut rest = command;
    while let Some((before, tail)) = rest.split_once('{') {
        let Some((name, after)) = tail.split_once('}') else { break };
        text.push_str(before);
        text.push_str(match name {
            "address" | "sender" | "peer" | "host" => "10.0.0.1",
            "instance" => "10.0.0.1:80",
            _ => "7",
        });
        rest = after;
    }
    text.push_str(rest);
    text.replace("CLIENT-IP", "10.0.0.1")
        .replace("HOST:PORT", "h:80")
        .replace("IP:PORT", "10.0.0.1:80")
        .replace(":PORT", ":80")
}

#[test]
fn every_command_of_nacre_in_a_remedy_is_one() {
    use clap::Parser;

    let pages = nacre_doctor::pages().flat_map(|page| {
        let texts = [page.text(nacre_doctor::Lang::En), page.text(nacre_doctor::Lang::Zh)];
        texts.into_iter().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
    });
    let entries = [&TABLE.metrics, &TABLE.pairs, &TABLE.codes, &TABLE.messages].into_iter().flatten();
    let steps =
        entries.flat_map(|entry| entry.steps(Lang::En).into_iter().chain(entry.steps(Lang::Zh))).map(str::to_owned);
    let (mut seen, mut wrong) = (0, Vec::new());
    for line in pages.chain(steps.collect::<Vec<_>>()) {
        for (at, _) in line.match_indices("nacre ") {
            let rest = &line[at..];
            let word = rest["nacre ".len()..].split([' ', '`']).next().unwrap_or_default();
            let commands = [
                "doctor",
                "timeline",
                "explain",
                "instance",
                "service",
                "config",
                "status",
                "top",
                "bench",
                "--server",
                "--namespace",
                "-s",
                "-n",
            ];
            // A command stands at the beginning, behind `$ `, `: ` or in backquotes; the name of the program stands anywhere.
            let opens = line[..at].ends_with(['`', '$'])
                || line[..at].trim_end().ends_with(['$', ':', '：', ';', '|', '.', '>'])
                || line[..at].trim().is_empty();
            if !opens || !commands.contains(&word) {
                continue;
            }
            let end = rest.find([';', '`', '#', '；', '（', '|', '\n', '。']).unwrap_or(rest.len());
            let end = rest[..end].find("  ").unwrap_or(end).min(rest.find(" (").unwrap_or(end));
            let command = filled(rest[..end].trim().trim_end_matches(['.', ',']));
            let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
            // Quoted arguments may have blanks; only the first word of one matters.
            if command.contains(['"', '\'']) {
                continue;
            }
            seen += 1;
            if let Err(error) = crate::args::Cli::try_parse_from(words)
                && error.use_stderr()
            {
                wrong.push(format!("{command}   <- {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 60, "{seen}");
}

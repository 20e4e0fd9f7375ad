//! Findings on the screen, within 80 columns, in English or Chinese.

use serde_json::{Map, Value};

use super::{
    finding::{Finding, Severity},
    paper::{WIDTH, wrapped},
};
use crate::{
    explain::Lang,
    output::{Screen, Tone, printable, width},
    time,
};

/// Evidence and subjects that are shown of one finding.
const LINES: usize = 6;

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Accent,
    }
}

pub fn word(severity: Severity, lang: Lang) -> &'static str {
    match severity {
        Severity::Critical => lang.pick("critical", "严重"),
        Severity::Warning => lang.pick("warning", "警告"),
        Severity::Info => lang.pick("info", "提示"),
    }
}

/// Whom it is about, in one line.
pub fn subject(subject: &Map<String, Value>, lang: Lang) -> String {
    let field = |name: &str| subject.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut parts = Vec::new();
    if let Some(instance) = field("instance") {
        parts.push(instance.to_owned());
    }
    if let Some(service) = field("serviceName") {
        parts.push(format!("{} {service}", lang.pick("service", "服务")));
    }
    if let Some(config) = field("dataId").or_else(|| field("config")) {
        parts.push(format!("{} {config}", lang.pick("config", "配置")));
    }
    if let Some(group) = field("groupName").filter(|group| *group != "DEFAULT_GROUP") {
        parts.push(format!("{} {group}", lang.pick("group", "分组")));
    }
    if let Some(namespace) = field("namespaceId").filter(|namespace| *namespace != "public") {
        parts.push(format!("{} {namespace}", lang.pick("namespace", "命名空间")));
    }
    if let Some(client) = field("client").filter(|client| {
        field("instance").is_none_or(|instance| !instance.starts_with(client.split('#').next().unwrap_or(client)))
    }) {
        parts.push(format!("{} {client}", lang.pick("client", "客户端")));
    }
    if let Some(node) = field("node") {
        parts.push(format!("{} {node}", lang.pick("node", "节点")));
    }
    if let Some(address) = field("address") {
        parts.push(format!("{} {address}", lang.pick("from", "来自")));
    }
    if let Some(setting) = field("setting") {
        parts.push(setting.to_owned());
    }
    if let Some(node) = field("node") {
        parts.push(format!("{} {node}", lang.pick("node", "节点")));
    }
    printable(&parts.join(", "))
}

/// A whole finding.
pub fn finding(screen: &Screen, finding: &Finding, now: i64, lang: Lang) -> String {
    let mut out = String::new();
    let state = match finding.cleared {
        Some(at) => format!("{} {}", lang.pick("cleared", "已消除"), ago(now, at, lang)),
        None => ago(now, finding.since, lang),
    };
    let left = format!("{:<8} {}", word(finding.severity, lang), printable(&finding.code));
    let gap = WIDTH.saturating_sub(width(&left) + width(&state)).max(2);
    out.push_str(&screen.paint(tone(finding.severity), &left));
    out.push_str(&" ".repeat(gap));
    out.push_str(&screen.paint(Tone::Dim, &state));
    out.push('\n');
    let mut block = |label: &str, tone: Tone, text: &str| {
        const INDENT: usize = 9;
        for (n, line) in wrapped(&printable(text), WIDTH - INDENT).into_iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            let pad = " ".repeat(INDENT.saturating_sub(width(label)));
            out.push_str(&format!("{}{pad}{}\n", screen.paint(Tone::Dim, label), screen.paint(tone, &line)));
        }
    };
    block("", Tone::Head, &finding.title);
    let about = subject(&finding.subject, lang);
    if !about.is_empty() {
        let more = match finding.count {
            0 | 1 => String::new(),
            count => lang.pick(" and N more", "，另有 N 个").replace('N', &(count - 1).to_string()),
        };
        block(lang.pick("about", "对象"), Tone::Accent, &format!("{about}{more}"));
    }
    if finding.cause != finding.title {
        block(lang.pick("cause", "原因"), Tone::Plain, &finding.cause);
    }
    for (n, (at, text)) in finding.evidence.iter().take(LINES).enumerate() {
        let stamp = if *at > 0 { format!("{} ", &time::stamp(*at)[11..19]) } else { String::new() };
        block(if n == 0 { lang.pick("seen", "证据") } else { "" }, Tone::Plain, &format!("{stamp}{text}"));
    }
    if finding.count > 1 {
        let others: Vec<String> =
            finding.subjects.iter().filter(|s| **s != finding.subject).take(LINES).map(|s| subject(s, lang)).collect();
        for (n, other) in others.iter().enumerate() {
            block(if n == 0 { lang.pick("also", "还有") } else { "" }, Tone::Plain, other);
        }
    }
    for (n, text) in finding.ruled_out.iter().enumerate() {
        block(if n == 0 { lang.pick("not", "已排除") } else { "" }, Tone::Dim, text);
    }
    for (n, text) in finding.remedy.iter().enumerate() {
        block(if n == 0 { lang.pick("do", "处理") } else { "" }, Tone::Good, text);
    }
    if !matches!(finding.confidence.as_str(), "" | "high" | "1" | "1.0") {
        block("", Tone::Dim, &format!("{} {}", lang.pick("confidence", "可信度"), sure(&finding.confidence, lang)));
    }
    out
}

/// One line, for a list that changes.
pub fn brief(screen: &Screen, finding: &Finding, lang: Lang) -> String {
    let about = subject(&finding.subject, lang);
    let more = if finding.count > 1 { format!(" (+{})", finding.count - 1) } else { String::new() };
    let code = screen.paint(tone(finding.severity), &printable(&finding.code));
    format!("{code} {}{}{about}{more}", printable(&finding.title), if about.is_empty() { "" } else { ": " })
}

/// The counts of a list.
pub fn summary(screen: &Screen, findings: &[Finding], lang: Lang) -> String {
    let count = |severity: Severity| findings.iter().filter(|f| f.severity == severity && f.cleared.is_none()).count();
    let parts: Vec<String> = [Severity::Critical, Severity::Warning, Severity::Info]
        .into_iter()
        .filter(|severity| count(*severity) > 0)
        .map(|severity| screen.paint(tone(severity), &format!("{} {}", count(severity), word(severity, lang))))
        .collect();
    if parts.is_empty() {
        return screen.paint(Tone::Good, lang.pick("no findings", "没有发现问题"));
    }
    parts.join(", ")
}

fn sure(confidence: &str, lang: Lang) -> &str {
    match confidence {
        "medium" => lang.pick("medium", "中"),
        "low" => lang.pick("low", "低"),
        other => other,
    }
}

fn ago(now: i64, at: i64, lang: Lang) -> String {
    if at <= 0 {
        return String::new();
    }
    if now.saturating_sub(at) < 1_000 {
        return lang.pick("now", "刚刚").to_owned();
    }
    let span = time::span(now.saturating_sub(at));
    match lang {
        Lang::En => format!("{span} ago"),
        Lang::Zh => format!("{span} 前"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::subject as of, *};

    fn long() -> Finding {
        Finding::new("BEAT-GAP-CLIENT-PAUSED", Severity::Critical, "The client paused", "word ".repeat(40))
            .about(vec![
                of(&[("instance", "10.0.0.7:8080:DEFAULT"), ("serviceName", "orders"), ("namespaceId", "dev")]),
                of(&[("instance", "10.0.0.8:8080:DEFAULT"), ("serviceName", "orders")]),
            ])
            .saw("gap 60 s ".repeat(12))
            .not("the network: B on the same address kept beating")
            .remedy("look at GC ".repeat(10))
            .sure("medium")
    }

    #[test]
    fn a_finding_fits_into_80_columns_in_both_languages() {
        let screen = Screen { json: false, colour: false };
        for lang in [Lang::En, Lang::Zh] {
            let text = finding(&screen, &long(), time::now_ms(), lang);
            assert!(text.lines().all(|line| width(line) <= 80), "{text}");
            assert!(!text.contains('\x1b'));
        }
        let text = finding(&screen, &long(), long().since + 5_000, Lang::En);
        assert!(
            text.starts_with("critical BEAT-GAP-CLIENT-PAUSED") && text.lines().next().unwrap().ends_with(" ago"),
            "{text}"
        );
        assert!(text.contains("about    10.0.0.7:8080:DEFAULT, service orders, namespace dev and 1 more\n"), "{text}");
        assert!(
            text.contains("also     10.0.0.8:8080:DEFAULT, service orders\n") && text.contains("confidence medium"),
            "{text}"
        );
    }

    #[test]
    fn counts_are_summed_up() {
        let screen = Screen { json: false, colour: false };
        assert_eq!(summary(&screen, &[long(), long()], Lang::En), "2 critical");
        assert_eq!(summary(&screen, &[], Lang::En), "no findings");
        let coloured = Screen { json: false, colour: true };
        assert!(summary(&coloured, &[long()], Lang::En).contains("\x1b[31m"));
    }
}

//! A Java Nacos, or any other server: what its public APIs and metrics give away.

mod gather;
mod instances;
mod metrics;
mod probe;
mod server;

use serde_json::json;

use super::{
    args::{Doctor, Of},
    finding::{Finding, Severity, exit},
    paper::{WIDTH, wrapped},
    show,
    tongue::say,
};
use crate::{
    commands::Session,
    error::Outcome,
    explain::Lang,
    output::{Tone, printable},
    time,
};
use gather::Seen;

/// What cannot be seen from outside, and what it would take.
const NEVER: [(&str, &str); 4] = [
    (
        "when beats arrived, and the gaps between them (a server tells only healthy or not)",
        "nacre doctor client on the client's machine; a nacre server measures every gap",
    ),
    (
        "calls that were refused before they did anything (403, limits, wrong parameters), and connections that come and go",
        "the server's access log and remote.log; a nacre server counts them by address",
    ),
    (
        "who removed or disabled an instance, and why it expired",
        "naming-server.log and naming-event.log of the server; a nacre server keeps a journal",
    ),
    (
        "services and configurations in namespaces that nobody created (a client that has an id wrong): no list has these",
        "nacre doctor --namespace ID looks there as well; a nacre server names whoever uses them",
    ),
];

/// Looks, judges, shows; the exit code.
pub async fn run(session: &Session, doctor: &Doctor, lang: Lang) -> Outcome<u8> {
    let Session { client, screen } = session;
    let seen = gather::look(client, doctor).await?;
    let mut findings = judge(&seen);
    if doctor.probe {
        findings.extend(probe::check(&seen).await);
    }
    let floor = doctor.severity.unwrap_or(Severity::Info);
    findings.retain(|finding| finding.severity >= floor && wanted(finding, doctor.of.as_ref()));
    findings.sort_by(|a, b| (std::cmp::Reverse(a.severity), &a.code).cmp(&(std::cmp::Reverse(b.severity), &b.code)));
    let code = exit(&findings);
    let findings: Vec<_> = findings.into_iter().map(|finding| told(finding, lang)).collect();
    let blind = seen.blind.iter().map(|(what, takes)| (what.as_str(), takes.as_str())).chain(NEVER);
    let blind: Vec<_> = blind.map(|(what, takes)| (say(lang, what), say(lang, takes))).collect();
    if screen.json {
        let blind: Vec<_> = blind.iter().map(|(what, takes)| json!({"what": what, "takes": takes})).collect();
        screen.value(&json!({
            "server": client.address.to_string(), "version": seen.state.version, "mode": seen.state.mode,
            "looked": seen.counts(), "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(), "notSeen": blind,
        }))?;
        return Ok(code);
    }
    let version = seen.state.version.clone().unwrap_or_else(|| "of a version it does not tell".to_owned());
    let head =
        format!("Nacos {version} ({}), by its public APIs", seen.state.mode.as_deref().unwrap_or("mode not told"));
    screen.line(&screen.paint(Tone::Head, &printable(&say(lang, &head))))?;
    screen.line(&screen.paint(Tone::Dim, &say(lang, &seen.sentence())))?;
    screen.line("")?;
    let now = time::now_ms();
    for finding in &findings {
        screen.line(&show::finding(screen, finding, now, lang))?;
    }
    screen.line(&show::summary(screen, &findings, lang))?;
    screen.line(&format!("\n{}", screen.paint(Tone::Head, &say(lang, "Not seen, and what it would take"))))?;
    for (what, takes) in blind {
        for (n, line) in wrapped(&printable(&what), WIDTH - 2).into_iter().enumerate() {
            screen.line(&format!("{} {line}", if n == 0 { "-" } else { " " }))?;
        }
        for line in wrapped(&format!("-> {takes}"), WIDTH - 4) {
            screen.line(&format!("    {}", screen.paint(Tone::Dim, &printable(&line))))?;
        }
    }
    Ok(code)
}

/// The finding with its texts in that language.
fn told(finding: Finding, lang: Lang) -> Finding {
    let all = |texts: Vec<String>| texts.iter().map(|text| say(lang, text)).collect();
    Finding {
        title: say(lang, &finding.title),
        cause: say(lang, &finding.cause),
        evidence: finding.evidence.into_iter().map(|(at, text)| (at, say(lang, &text))).collect(),
        ruled_out: all(finding.ruled_out),
        remedy: all(finding.remedy),
        ..finding
    }
}

fn judge(seen: &Seen) -> Vec<Finding> {
    let mut findings = server::judge(seen);
    findings.extend(metrics::judge(seen));
    findings.extend(instances::judge(&seen.services, seen.local));
    findings
}

fn wanted(finding: &Finding, of: Option<&Of>) -> bool {
    match of {
        Some(Of::Instance { instance }) => finding.mentions(instance),
        Some(Of::Service { service, .. }) => finding.mentions(service.rsplit("@@").next().unwrap_or(service)),
        Some(Of::Address { address }) => finding.mentions(address),
        Some(Of::Client(_)) | None => true,
    }
}

//! nacre's own findings, and what it knows of an instance, a service or an address.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    args::{Doctor, Of},
    finding::{Finding, exit},
    show,
};
use crate::{
    api::{Client, data, is_gone, journal::Event, refused, text},
    commands::{Session, watch::Patience},
    error::Outcome,
    explain::Lang,
    http::{Params, Request},
    output::{Table, Tone, printable, remark},
    time,
};

/// Events of a story.
const STORY: usize = 20;
/// Places in which an instance is looked for.
const PLACES: usize = 10;

/// What the server says: findings that hold, and such as have cleared.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub open: Vec<Finding>,
    pub cleared: Vec<Finding>,
}

/// The findings that fit the conditions; `None` from a server that makes none.
pub async fn ask(client: &Client, params: Params, lang: Lang) -> Outcome<Option<Told>> {
    let params = params.with("lang", lang.word());
    let response = client.send(Request::get("/v3/admin/diagnosis/findings", params)).await?;
    if is_gone(&response) || response.status == 404 {
        return Ok(None);
    }
    // A Java Nacos that wants a login refuses paths it does not have, too.
    if matches!(response.status, 401 | 403) {
        return Err(refused(&response));
    }
    let Ok(found) = data(&response) else { return Ok(None) };
    let list = |name: &str| found[name].as_array().into_iter().flatten().map(Finding::read).collect::<Vec<_>>();
    Ok(found.get("findings").is_some().then(|| Told { open: list("findings"), cleared: list("cleared") }))
}

/// The conditions of the command line.
pub fn conditions(doctor: &Doctor) -> Params {
    let params = Params::default()
        .maybe("severity", doctor.severity.map(super::finding::Severity::word))
        .maybe("cleared", doctor.cleared.then_some("true"));
    match &doctor.of {
        Some(Of::Instance { instance }) => params.with("instance", instance),
        Some(Of::Service { service, .. }) => params.with("service", service),
        Some(Of::Address { address }) => params.with("address", address),
        Some(Of::Client(_)) | None => params,
    }
}

/// Shows the findings, and what is known besides when somebody asked about one thing.
pub async fn show(session: &Session, doctor: &Doctor, told: Told, lang: Lang) -> Outcome<u8> {
    let Session { client, screen } = session;
    let code = exit(&told.open);
    let known = match &doctor.of {
        Some(of) => Some(known(client, of, lang).await?),
        None => None,
    };
    if screen.json {
        let list = |findings: &[Finding]| findings.iter().map(Finding::json).collect::<Vec<_>>();
        let mut out =
            json!({"server": client.address.to_string(), "findings": list(&told.open), "cleared": list(&told.cleared)});
        if let Some(known) = &known {
            out["known"] = known.json();
        }
        screen.value(&out)?;
        return Ok(code);
    }
    let now = time::now_ms();
    for finding in told.open.iter().chain(&told.cleared) {
        screen.line(&show::finding(screen, finding, now, lang))?;
    }
    screen.line(&format!(
        "{} {}",
        show::summary(screen, &told.open, lang),
        screen.paint(Tone::Dim, &format!("({})", client.address))
    ))?;
    if let Some(known) = known {
        known.show(session, lang)?;
    }
    Ok(code)
}

/// What is known besides findings.
#[derive(Default)]
struct Known {
    /// Where it is registered now, and how it looks there.
    now: Vec<(String, crate::api::naming::Instance)>,
    /// Oldest first.
    story: Vec<Event>,
}

impl Known {
    fn json(&self) -> Value {
        let now = self.now.iter().map(|(place, instance)| {
            let mut item = instance.json();
            item["service"] = json!(place);
            item
        });
        json!({"instances": now.collect::<Vec<_>>(), "events": self.story.iter().map(|event| event.raw.clone()).collect::<Vec<_>>()})
    }

    fn show(&self, Session { screen, .. }: &Session, lang: Lang) -> Outcome {
        let head = |text: &str| screen.line(&format!("\n{}", screen.paint(Tone::Head, text)));
        head(lang.pick("Now", "现在"))?;
        if self.now.is_empty() {
            screen.line(lang.pick("not in any list that consumers get", "不在消费者得到的任何列表中"))?;
        }
        let mut table = Table::new(&["ADDRESS", "SERVICE", "HEALTHY", "WEIGHT"]);
        for (place, instance) in &self.now {
            let healthy = if instance.healthy { (Tone::Good, "yes") } else { (Tone::Bad, "no") };
            table.row(vec![
                (Tone::Plain, instance.endpoint()),
                (Tone::Plain, place.clone()),
                (healthy.0, healthy.1.to_owned()),
                (if instance.weight == 0.0 { Tone::Warn } else { Tone::Plain }, instance.weight.to_string()),
            ]);
        }
        screen.table(&table)?;
        head(lang.pick("What happened (newest last)", "经过（最新的在最后）"))?;
        if self.story.is_empty() {
            return screen.line(lang.pick("the journal knows nothing of it", "日志中没有相关记录"));
        }
        for event in &self.story {
            let stamp = screen.paint(Tone::Dim, &time::stamp(event.at)[..19].replace('T', " "));
            let lines = super::paper::wrapped(&printable(&event.text), super::paper::WIDTH - 21);
            for (n, line) in lines.iter().enumerate() {
                screen.line(&if n == 0 { format!("{stamp}  {line}") } else { format!("{:21}{line}", "") })?;
            }
        }
        Ok(())
    }
}

async fn known(client: &Client, of: &Of, lang: Lang) -> Outcome<Known> {
    let params = Params::default().with("limit", &STORY.to_string()).with("lang", lang.pick("en", "zh"));
    let params = match of {
        Of::Instance { instance } => params.with("instance", instance).with("why", "true"),
        Of::Service { service, group } => params.with("service", service).maybe("groupName", group.as_deref()),
        Of::Address { address } => params.with("instance", address),
        Of::Client(_) => return Ok(Known::default()),
    };
    let events = data(&client.send(Request::get("/v3/admin/diagnosis/events", params)).await?)?;
    let mut story = Event::newest_first(&events);
    story.reverse();
    let mut places: BTreeSet<(String, String, String)> = story
        .iter()
        .map(|event| &event.raw["subject"])
        .map(|subject| (text(subject, "namespaceId"), text(subject, "groupName"), text(subject, "serviceName")))
        .filter(|(_, _, service)| !service.is_empty())
        .collect();
    if let (Of::Service { service, group }, true) = (of, places.is_empty()) {
        let group = group.clone().unwrap_or_else(|| "DEFAULT_GROUP".to_owned());
        places.insert((client.namespace_name().to_owned(), group, service.clone()));
    }
    let mut now = Vec::new();
    for (namespace, group, service) in places.into_iter().take(PLACES) {
        let there = client.beside(None, Some(namespace.clone()));
        for instance in there.instances(&service, &group, None).await?.instances {
            let wanted = match of {
                Of::Instance { instance: wanted } => {
                    is_part(&format!("{}:{}", instance.endpoint(), instance.cluster), wanted)
                }
                Of::Address { address } => instance.ip == *address,
                _ => true,
            };
            if wanted {
                let group = if group == "DEFAULT_GROUP" { String::new() } else { format!("{group}@@") };
                let namespace = if namespace == "public" || namespace.is_empty() {
                    String::new()
                } else {
                    format!(" ({namespace})")
                };
                now.push((format!("{group}{service}{namespace}"), instance));
            }
        }
    }
    Ok(Known { now, story })
}

/// Whether `wanted` is the whole identity or the beginning of it up to a colon.
fn is_part(identity: &str, wanted: &str) -> bool {
    identity.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// Findings as they come, change and go, until Ctrl-C.
pub async fn watch(session: &Session, doctor: &Doctor, every: Duration, lang: Lang) -> Outcome<u8> {
    let Session { client, screen } = session;
    let mut before: Option<Vec<Finding>> = None;
    let mut patience = Patience::default();
    let mut shown = 0;
    loop {
        let told = match ask(client, conditions(doctor), lang).await {
            Ok(Some(told)) => told,
            Ok(None) => return Err(super::no_findings(client)),
            Err(error) => {
                patience.failed(error).await?;
                continue;
            }
        };
        patience.answered();
        if before.is_none() {
            remark(&format!("nacre: watching the findings of {}; Ctrl-C ends", client.address));
        }
        for (what, finding) in changes(before.as_deref().unwrap_or_default(), &told.open) {
            shown += 1;
            if screen.json {
                screen.event(&json!({"at": time::stamp(time::now_ms()), "what": what, "finding": finding.json()}))?;
            } else {
                let tone = if what == "cleared" { Tone::Good } else { Tone::Plain };
                let stamp = screen.paint(Tone::Dim, &time::stamp(time::now_ms())[11..19]);
                screen.line(&format!(
                    "{stamp} {} {}",
                    screen.paint(tone, &format!("{what:<8}")),
                    show::brief(screen, finding, lang)
                ))?;
                if what == "appeared" {
                    screen.line(&show::finding(screen, finding, time::now_ms(), lang))?;
                }
            }
            if doctor.count.is_some_and(|count| shown >= count) {
                return Ok(exit(&told.open));
            }
        }
        before = Some(told.open);
        sleep(every).await;
    }
}

/// What is new, has another count, or is gone.
fn changes<'a>(before: &'a [Finding], after: &'a [Finding]) -> Vec<(&'static str, &'a Finding)> {
    let old = |id: &str| before.iter().find(|finding| finding.id == id);
    let mut out = Vec::new();
    for finding in after {
        match old(&finding.id) {
            None => out.push(("appeared", finding)),
            Some(old) if old.count != finding.count || old.severity != finding.severity => {
                out.push(("changed", finding))
            }
            Some(_) => {}
        }
    }
    out.extend(before.iter().filter(|old| !after.iter().any(|new| new.id == old.id)).map(|old| ("cleared", old)));
    out
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Severity, *};

    #[test]
    fn what_changes_between_two_looks_is_told_once() {
        let finding =
            |id: &str, count| Finding { id: id.into(), count, ..Finding::new("X", Severity::Warning, "", "") };
        let (before, after) =
            ([finding("a", 1), finding("b", 1), finding("c", 1)], [finding("b", 2), finding("c", 1), finding("d", 1)]);
        let told: Vec<_> = changes(&before, &after).into_iter().map(|(what, f)| (what, f.id.as_str())).collect();
        assert_eq!(told, [("changed", "b"), ("appeared", "d"), ("cleared", "a")]);
    }

    #[test]
    fn an_instance_is_named_with_or_without_its_cluster() {
        assert!(is_part("10.0.0.7:80:DEFAULT", "10.0.0.7:80") && is_part("10.0.0.7:80:DEFAULT", "10.0.0.7:80:DEFAULT"));
        assert!(!is_part("10.0.0.7:80:DEFAULT", "10.0.0.7:8"));
    }
}

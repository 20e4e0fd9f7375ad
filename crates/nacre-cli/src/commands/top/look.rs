//! One look at a server: what `nacre top` draws, and what it opens.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    api::{Client, cluster::Scrape, data, naming::Instance, text},
    commands::doctor::{finding::Finding, own, show},
    error::{CliError, Outcome},
    explain::{Lang, scrape::Sample},
    http::{Params, Request},
    output::Screen,
    time,
};

/// Services whose instances are listed, and namespaces that are looked into.
const SERVICES: usize = 200;
const NAMESPACES: usize = 50;
/// Events of a timeline, and such as gaps are made of.
const EVENTS: usize = 200;
const GAPS: usize = 1_000;
/// Events that begin a gap, end one, or end whatever could have one.
const KINDS: &str = "beatLate,beatResumed,instanceUnhealthy,instanceHealthy,instanceRegistered,instanceRemoved";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub namespace: String,
    pub group: String,
    pub service: String,
}

#[derive(Clone, Debug, Default)]
pub struct ServiceRow {
    pub place: Place,
    pub all: u64,
    pub healthy: u64,
}

#[derive(Clone, Debug)]
pub struct InstanceRow {
    pub place: Place,
    pub instance: Instance,
}

/// A beat that came late, or did not come yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gap {
    /// When it came; `None` while it is waited for.
    pub until: Option<i64>,
    pub gap: i64,
    pub expected: i64,
    /// `ip:port:cluster`.
    pub instance: String,
    pub service: String,
}

/// Everything of one moment.
#[derive(Clone, Debug, Default)]
pub struct Shot {
    pub at: i64,
    pub version: String,
    pub mode: String,
    /// Why it is not ready, if so.
    pub unready: Option<String>,
    pub samples: Vec<Sample>,
    pub services: Vec<ServiceRow>,
    pub instances: Vec<InstanceRow>,
    /// `None` from a server that makes no findings.
    pub findings: Option<Vec<Finding>>,
    pub gaps: Vec<Gap>,
    /// Why there is nothing newer.
    pub error: Option<String>,
}

impl Shot {
    /// The sum of the series of a name with these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(label, value)| sample.label(label) == Some(value))
        };
        let mut found = self.samples.iter().filter(fits).peekable();
        found.peek()?;
        Some(found.map(|sample| sample.value).sum())
    }
}

/// Looks. A server that does not answer is told in the shot.
pub async fn look(client: &Client, with_instances: bool, lang: Lang) -> Shot {
    let mut shot = Shot { at: time::now_ms(), ..Shot::default() };
    if let Err(error) = fill(client, with_instances, lang, &mut shot).await {
        shot.error = Some(match error {
            CliError::Unreachable { why, .. } => why,
            other => other.to_string(),
        });
    }
    shot
}

async fn fill(client: &Client, with_instances: bool, lang: Lang, shot: &mut Shot) -> Outcome {
    let state = client.state().await?;
    shot.version = state.version.unwrap_or_default();
    shot.mode = state.mode.unwrap_or_default();
    shot.unready = Some(state.reason).filter(|_| !state.ready);
    if let Ok(Scrape::Samples(samples)) = client.scrape().await {
        shot.samples = samples;
    }
    shot.findings = match own::ask(client, Params::default(), lang).await {
        Ok(told) => told.map(|told| told.open),
        Err(error @ CliError::Unreachable { .. }) => return Err(error),
        Err(_) => None,
    };
    if shot.findings.is_some() {
        shot.gaps = gaps(client, shot.at).await.unwrap_or_default();
    }
    for namespace in namespaces(client).await? {
        let there = client.beside(None, Some(namespace));
        let rows = match there.services(None).await {
            Ok(rows) => rows,
            Err(error @ CliError::Unreachable { .. }) => return Err(error),
            Err(_) => continue,
        };
        shot.services.extend(rows.into_iter().map(|row| ServiceRow {
            place: Place { namespace: there.namespace_name().to_owned(), group: row.group, service: row.name },
            all: row.instances.unwrap_or(0),
            healthy: row.healthy.unwrap_or(0),
        }));
    }
    if with_instances {
        for row in shot.services.iter().filter(|row| row.all > 0).take(SERVICES) {
            let there = client.beside(None, Some(row.place.namespace.clone()));
            let Ok(listing) = there.instances(&row.place.service, &row.place.group, None).await else { continue };
            let found = listing.instances.into_iter();
            shot.instances.extend(found.map(|instance| InstanceRow { place: row.place.clone(), instance }));
        }
    }
    Ok(())
}

async fn namespaces(client: &Client) -> Outcome<Vec<String>> {
    let first = Request::get("/v1/console/namespaces", Params::default());
    let second = Request::get("/v3/admin/core/namespace/list", Params::default());
    let (_, response) = client.either(first, second).await?;
    let Ok(Value::Array(list)) = data(&response) else { return Ok(vec![client.namespace.clone()]) };
    Ok(list.iter().take(NAMESPACES).map(|item| text(item, "namespace")).collect())
}

/// The latest late beats, from nacre's journal, and those that are still waited for.
async fn gaps(client: &Client, now: i64) -> Outcome<Vec<Gap>> {
    let params = Params::default().with("kind", KINDS).with("limit", &GAPS.to_string());
    let found = data(&client.send(Request::get("/v3/admin/diagnosis/events", params)).await?)?;
    let mut events: Vec<&Value> = found["events"].as_array().into_iter().flatten().collect();
    events.sort_by_key(|event| std::cmp::Reverse((event["at"].as_i64(), event["seq"].as_u64())));
    Ok(late(&events, now))
}

/// Gaps out of events, newest first. An instance that became unhealthy by its silence, and of which nothing was heard since, is silent
/// still.
fn late(events: &[&Value], now: i64) -> Vec<Gap> {
    let mut heard = BTreeSet::new();
    let mut out = Vec::new();
    for event in events {
        let number = |name: &str| event["cause"][name].as_i64().unwrap_or(0);
        let at = event["at"].as_i64().unwrap_or(0);
        let whose = ["namespaceId", "groupName", "serviceName", "instance"].map(|name| text(&event["subject"], name));
        let is_last = heard.insert(whose);
        let (gap, until) = match event["kind"].as_str() {
            Some("beatLate" | "beatResumed") => (number("gapMs"), Some(at)),
            Some("instanceUnhealthy") if is_last && event["cause"]["cause"] == "client_beat" => {
                (number("silentMs") + (now - at).max(0), None)
            }
            _ => continue,
        };
        if gap > 0 {
            let (instance, service) = (text(&event["subject"], "instance"), text(&event["subject"], "serviceName"));
            out.push(Gap { until, gap, expected: number("expectedMs"), instance, service });
        }
    }
    out
}

/// What can be opened.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Service(Place),
    Instance { place: Place, instance: String },
    Finding(Box<Finding>),
}

impl Target {
    pub fn title(&self, lang: Lang) -> String {
        match self {
            Self::Service(place) => format!("{} {}", lang.pick("service", "服务"), place.service),
            Self::Instance { instance, .. } => format!("{} {instance}", lang.pick("instance", "实例")),
            Self::Finding(finding) => finding.code.clone(),
        }
    }
}

/// The timeline of a subject, or the whole finding, as lines.
pub async fn open(client: &Client, target: &Target, lang: Lang) -> Vec<String> {
    let (place, params) = match target {
        Target::Finding(finding) => {
            let plain = Screen { json: false, colour: false };
            let text = show::finding(&plain, finding, time::now_ms(), lang);
            return text.lines().map(str::to_owned).collect();
        }
        Target::Service(place) => (place, Params::default().with("service", &place.service)),
        Target::Instance { place, instance } => {
            (place, Params::default().with("instance", instance).with("why", "true"))
        }
    };
    let mut params = params.with("limit", &EVENTS.to_string()).with("lang", lang.word());
    if !place.group.is_empty() {
        params = params.with("groupName", &place.group).with("namespaceId", &place.namespace);
    }
    let answer = client.send(Request::get("/v3/admin/diagnosis/events", params)).await;
    let found = match answer.and_then(|response| data(&response)) {
        Ok(found) => found,
        Err(error) => {
            let why = lang.pick("only nacre keeps a journal", "只有 nacre 保存日志");
            return vec![format!("{}{error}", lang.pick("no timeline: ", "没有时间线：")), why.to_owned()];
        }
    };
    let mut events: Vec<&Value> = found["events"].as_array().into_iter().flatten().collect();
    events.sort_by_key(|event| std::cmp::Reverse((event["at"].as_i64(), event["seq"].as_u64())));
    if events.is_empty() {
        return vec![lang.pick("the journal knows nothing of it", "日志中没有相关记录").to_owned()];
    }
    let line = |event: &&Value| {
        format!("{} {}", time::stamp(event["at"].as_i64().unwrap_or(0))[5..19].replace('T', " "), text(event, "text"))
    };
    events.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_silence_that_goes_on_is_a_gap_and_one_that_ended_is_counted_once() {
        let event = |kind: &str, at: i64, instance: &str, mut cause: Value| {
            cause["kind"] = kind.into();
            json!({"kind": kind, "at": at, "subject": {"instance": instance, "serviceName": "orders"}, "cause": cause})
        };
        let silent = |at, instance: &str| {
            event("instanceUnhealthy", at, instance, json!({"cause": "client_beat", "silentMs": 15_000}))
        };
        let events = [
            event("instanceHealthy", 90_000, "b", json!({"cause": "client_beat"})),
            event("beatResumed", 90_000, "b", json!({"gapMs": 35_000})),
            event("instanceUnhealthy", 80_000, "c", json!({"cause": "tcp_check", "silentMs": 0})),
            silent(70_000, "b"),
            silent(60_000, "a"),
            event("instanceRemoved", 50_000, "d", json!({})),
            silent(40_000, "d"),
        ];
        let found = late(&events.iter().collect::<Vec<_>>(), 100_000);
        let seen: Vec<_> = found.iter().map(|gap| (gap.instance.as_str(), gap.gap, gap.until)).collect();
        assert_eq!(seen, [("b", 35_000, Some(90_000)), ("a", 55_000, None)]);
    }
}

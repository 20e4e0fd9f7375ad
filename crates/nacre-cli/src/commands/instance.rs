//! `nacre instance`.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{Session, watch::Patience};
use crate::{
    api::{
        journal::Question,
        naming::{Instance as Seen, Registration, endpoint},
    },
    args::{Instance, Register},
    error::{CliError, Outcome},
    explain::Lang,
    output::{Screen, Table, Tone, printable, remark, shortened},
    time,
};

/// How often a kept instance sends its beat, as the official clients do.
const BEAT: Duration = Duration::from_secs(5);
/// Characters of metadata in a table.
const METADATA: usize = 80;

pub async fn run(session: &Session, command: Instance) -> Outcome {
    match command {
        Instance::Register(register) => self::register(session, register).await,
        Instance::Rm { service, endpoint, cluster } => {
            let (name, group) = service.split();
            remove(session, name, group, endpoint, cluster.as_deref()).await
        }
        Instance::Ls { service, group, cluster, healthy } => {
            list(session, service.as_deref(), group.as_deref(), cluster.as_deref(), healthy).await
        }
        Instance::Watch { service, interval, count } => {
            let (name, group) = service.split();
            let interval = Duration::from_millis(u64::try_from(interval).unwrap_or(0).max(50));
            watch(session, name, group, interval, count.unwrap_or(u64::MAX)).await
        }
        Instance::Why { instance, service, group, since, limit, lang } => {
            let from = since.map(|since| time::now_ms().saturating_sub(since));
            let question = Question {
                instance,
                service,
                group,
                from,
                limit: usize::from(limit),
                lang: lang.unwrap_or_else(Lang::of_environment),
            };
            why(session, &question).await
        }
    }
}

async fn register(session: &Session, register: Register) -> Outcome {
    let Session { client, screen } = session;
    let (name, group) = register.service.split();
    let (ip, port) = register.endpoint.clone();
    let what = Registration {
        ip,
        port,
        cluster: register.cluster.clone(),
        weight: register.weight,
        enabled: !register.disabled,
        ephemeral: !register.persistent,
        metadata: register.metadata.iter().cloned().collect(),
    };
    client.register(name, group, &what).await?;
    if screen.json {
        screen.value(&json!({
            "serviceName": name, "groupName": group, "namespace": client.namespace_name(), "ip": what.ip,
            "port": what.port, "clusterName": what.cluster, "ephemeral": what.ephemeral,
        }))?;
    } else {
        let at = endpoint(&what.ip, what.port);
        screen.line(&format!("registered {at} for {name} (group {group}, namespace {})", client.namespace_name()))?;
    }
    if register.keep {
        remark("nacre: sending beats; Ctrl-C deregisters");
        return keep(session, name, group, &what).await;
    }
    if what.ephemeral && !screen.json {
        remark("nacre: it is ephemeral: without beats it expires in 30 s (--keep sends them, --persistent needs none)");
    }
    Ok(())
}

/// Beats until Ctrl-C or SIGTERM, then deregisters.
async fn keep(Session { client, screen }: &Session, name: &str, group: &str, what: &Registration) -> Outcome {
    let beating = async {
        let mut patience = Patience::default();
        loop {
            tokio::time::sleep(BEAT).await;
            let known = match client.beat(name, group, what).await {
                Ok(known) => known,
                Err(error) => {
                    patience.failed(error).await?;
                    continue;
                }
            };
            patience.answered();
            if !known {
                remark("nacre: the server no longer knew the instance; registering it again");
                if let Err(error) = client.register(name, group, what).await {
                    patience.failed(error).await?;
                }
            }
        }
    };
    tokio::select! {
        failed = beating => return failed,
        () = crate::asked_to_stop() => {}
    }
    client.deregister(name, group, what).await?;
    if screen.json {
        return screen.event(&json!({"deregistered": endpoint(&what.ip, what.port)}));
    }
    screen.line(&format!("deregistered {}", endpoint(&what.ip, what.port)))
}

async fn remove(
    Session { client, screen }: &Session,
    name: &str,
    group: &str,
    (ip, port): (String, u16),
    cluster: Option<&str>,
) -> Outcome {
    // Servers answer alike whether there was something to remove, and have to be told the kind.
    let listing = client.instances(name, group, cluster).await?;
    let at = endpoint(&ip, port);
    let here: Vec<&Seen> = listing.instances.iter().filter(|i| i.ip == ip && i.port == port).collect();
    if here.is_empty() {
        return Err(CliError::NotFound(format!(
            "{at} is not among the {} instances of {name} (group {group}, namespace {}) that consumers see",
            listing.instances.len(),
            client.namespace_name()
        )));
    }
    for seen in &here {
        let what = Registration {
            ip: ip.clone(),
            port,
            cluster: seen.cluster.clone(),
            weight: seen.weight,
            enabled: seen.enabled,
            ephemeral: seen.ephemeral,
            metadata: BTreeMap::new(),
        };
        client.deregister(name, group, &what).await?;
        if screen.json {
            screen
                .value(&json!({"removed": at, "clusterName": seen.cluster, "serviceName": name, "groupName": group}))?;
        } else {
            screen.line(&format!("removed {at} (cluster {}) from {name}", seen.cluster))?;
        }
    }
    Ok(())
}

async fn list(
    Session { client, screen }: &Session,
    service: Option<&str>,
    group: Option<&str>,
    cluster: Option<&str>,
    healthy_only: bool,
) -> Outcome {
    let services: Vec<(String, String)> = match service {
        Some(service) => match service.split_once("@@") {
            Some((group, name)) => vec![(name.to_owned(), group.to_owned())],
            None => vec![(service.to_owned(), group.unwrap_or("DEFAULT_GROUP").to_owned())],
        },
        None => client.services(group).await?.into_iter().map(|row| (row.name, row.group)).collect(),
    };
    let mut rows: Vec<(String, String, Seen)> = Vec::new();
    for (name, group) in services {
        let listing = client.instances(&name, &group, cluster).await?;
        if listing.protected {
            remark(&format!("nacre: {name}: protection is on, unhealthy instances are shown as healthy"));
        }
        rows.extend(listing.instances.into_iter().map(|instance| (name.clone(), group.clone(), instance)));
    }
    rows.retain(|(_, _, instance)| instance.healthy || !healthy_only);
    rows.sort_by(|a, b| (&a.1, &a.0, a.2.identity()).cmp(&(&b.1, &b.0, b.2.identity())));
    if screen.json {
        let list = rows.iter().map(|(name, group, instance)| {
            let mut item = instance.json();
            item["serviceName"] = json!(name);
            item["groupName"] = json!(group);
            item
        });
        return screen.value(&list.collect());
    }
    if rows.is_empty() {
        remark("nacre: no instances");
        return Ok(());
    }
    if service.is_some() {
        let instances: Vec<Seen> = rows.into_iter().map(|(_, _, instance)| instance).collect();
        return screen.table(&table(&instances));
    }
    let mut out = Table::new(&["SERVICE", "GROUP", "ADDRESS", "CLUSTER", "HEALTHY", "WEIGHT", "KIND", "METADATA"]);
    for (name, group, instance) in rows {
        let mut cells = vec![(Tone::Plain, name), (Tone::Plain, group)];
        cells.extend(self::cells(&instance));
        out.row(cells);
    }
    screen.table(&out)
}

/// Instances of one service.
pub fn table(instances: &[Seen]) -> Table {
    let mut table = Table::new(&["ADDRESS", "CLUSTER", "HEALTHY", "WEIGHT", "KIND", "METADATA"]);
    for instance in instances {
        table.row(cells(instance));
    }
    table
}

fn cells(instance: &Seen) -> Vec<(Tone, String)> {
    let healthy = if instance.healthy { (Tone::Good, "yes") } else { (Tone::Bad, "no") };
    let metadata: Vec<String> = instance.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    vec![
        (Tone::Plain, instance.endpoint()),
        (Tone::Plain, instance.cluster.clone()),
        (healthy.0, healthy.1.to_owned()),
        (if instance.weight == 0.0 { Tone::Warn } else { Tone::Plain }, instance.weight.to_string()),
        (Tone::Plain, if instance.ephemeral { "ephemeral" } else { "persistent" }.to_owned()),
        (Tone::Dim, shortened(&metadata.join(","), METADATA)),
    ]
}

type Identity = (String, u16, String);

/// One difference between two looks at a service.
#[derive(Clone, Debug, PartialEq)]
enum Change {
    Came(Seen),
    Went(Seen),
    Changed(Seen, Vec<String>),
}

fn changes(before: &BTreeMap<Identity, Seen>, after: &BTreeMap<Identity, Seen>) -> Vec<Change> {
    let mut out = Vec::new();
    for (identity, old) in before {
        match after.get(identity) {
            None => out.push(Change::Went(old.clone())),
            Some(new) if new != old => out.push(Change::Changed(new.clone(), differences(old, new))),
            Some(_) => {}
        }
    }
    out.extend(
        after.iter().filter(|(identity, _)| !before.contains_key(*identity)).map(|(_, i)| Change::Came(i.clone())),
    );
    out
}

fn differences(old: &Seen, new: &Seen) -> Vec<String> {
    let mut out = Vec::new();
    let mut compare = |name: &str, old: String, new: String| {
        if old != new {
            out.push(format!("{name} {old} -> {new}"));
        }
    };
    let health = |healthy: bool| if healthy { "healthy" } else { "unhealthy" }.to_owned();
    compare("health", health(old.healthy), health(new.healthy));
    compare("weight", old.weight.to_string(), new.weight.to_string());
    compare("enabled", old.enabled.to_string(), new.enabled.to_string());
    compare("ephemeral", old.ephemeral.to_string(), new.ephemeral.to_string());
    let keys: std::collections::BTreeSet<&String> = old.metadata.keys().chain(new.metadata.keys()).collect();
    for key in keys {
        let of = |seen: &Seen| seen.metadata.get(key).map_or_else(|| "(none)".to_owned(), |v| format!("{v:?}"));
        compare(&format!("metadata {key}"), of(old), of(new));
    }
    out
}

async fn watch(
    Session { client, screen }: &Session,
    name: &str,
    group: &str,
    interval: Duration,
    count: u64,
) -> Outcome {
    let look = async || {
        let listing = client.instances(name, group, None).await?;
        Ok::<_, CliError>(listing.instances.into_iter().map(|i| (i.identity(), i)).collect::<BTreeMap<_, _>>())
    };
    let mut before = look().await?;
    let healthy = before.values().filter(|instance| instance.healthy).count();
    remark(&format!("nacre: watching {name} (group {group}): {} instances, {healthy} healthy", before.len()));
    let mut patience = Patience::default();
    let mut seen = 0;
    while seen < count {
        tokio::time::sleep(interval).await;
        let after = match look().await {
            Ok(after) => after,
            Err(error) => {
                patience.failed(error).await?;
                continue;
            }
        };
        patience.answered();
        for change in changes(&before, &after) {
            seen += 1;
            show(screen, &change)?;
        }
        before = after;
    }
    Ok(())
}

fn show(screen: &Screen, change: &Change) -> Outcome {
    let at = time::stamp(time::now_ms());
    let (tone, what, instance, details) = match change {
        Change::Came(instance) => (Tone::Good, "came", instance, Vec::new()),
        Change::Went(instance) => (Tone::Bad, "went", instance, Vec::new()),
        Change::Changed(instance, details) => (Tone::Warn, "changed", instance, details.clone()),
    };
    if screen.json {
        let mut event = instance.json();
        event["at"] = json!(at);
        event["what"] = json!(what);
        event["changes"] = json!(details);
        return screen.event(&event);
    }
    let details = match change {
        Change::Came(instance) if !instance.healthy => "  unhealthy".to_owned(),
        _ if details.is_empty() => String::new(),
        _ => format!("  {}", printable(&details.join(", "))),
    };
    let what = screen.paint(tone, &format!("{what:<7}"));
    screen.line(&format!(
        "{} {what} {} (cluster {}){details}",
        screen.paint(Tone::Dim, &at),
        instance.endpoint(),
        printable(&instance.cluster)
    ))
}

async fn why(Session { client, screen }: &Session, question: &Question) -> Outcome {
    let events = client.why(question).await?;
    if screen.json {
        let raw: Vec<Value> = events.into_iter().map(|event| event.raw).collect();
        return screen.value(&Value::from(raw));
    }
    let Some(newest) = events.first() else {
        let zh = question.lang == Lang::Zh;
        let memory = match client.journal_begins().await {
            Ok(Some(at)) if zh => format!("日志始于 {}", time::stamp(at)),
            Ok(Some(at)) => format!("it begins at {}", time::stamp(at)),
            _ if zh => "日志只保留有限时间，见 nacre.journal.disk.age".to_owned(),
            _ => "it remembers a bounded time; see nacre.journal.disk.age".to_owned(),
        };
        let (address, instance) = (&client.address, &question.instance);
        return Err(CliError::NotFound(if zh {
            format!("{address} 的日志中没有 {instance} 的记录（{memory}）")
        } else {
            format!("the journal of {address} knows nothing about {instance} ({memory})")
        }));
    };
    let headline = format!("{} {}", question.instance, newest.text);
    screen.line(&screen.paint(Tone::Head, &printable(&headline)))?;
    screen.line("")?;
    let lang = question.lang;
    let mut table = Table::new(&[lang.pick("WHEN", "时间"), lang.pick("WHAT", "事件")]);
    for event in events {
        let tone = match event.kind.as_str() {
            "instanceRemoved" | "instanceUnhealthy" | "clientDisconnected" => Tone::Bad,
            "instanceRegistered" | "instanceHealthy" | "clientConnected" => Tone::Good,
            _ => Tone::Plain,
        };
        table.row(vec![(Tone::Dim, time::stamp(event.at)), (tone, event.text)]);
    }
    screen.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(port: u16) -> Seen {
        Seen {
            ip: "192.0.2.1".into(),
            port,
            cluster: "DEFAULT".into(),
            healthy: true,
            enabled: true,
            ephemeral: true,
            weight: 1.0,
            metadata: BTreeMap::new(),
        }
    }

    fn look(list: &[Seen]) -> BTreeMap<Identity, Seen> {
        list.iter().map(|i| (i.identity(), i.clone())).collect()
    }

    #[test]
    fn what_came_went_and_changed_is_told_apart() {
        let mut sick = seen(2);
        sick.healthy = false;
        sick.metadata.insert("v".into(), "2".into());
        let changes = changes(&look(&[seen(1), seen(2)]), &look(&[sick.clone(), seen(3)]));
        let details = vec!["health healthy -> unhealthy".to_owned(), "metadata v (none) -> \"2\"".to_owned()];
        assert_eq!(changes, [Change::Went(seen(1)), Change::Changed(sick, details), Change::Came(seen(3))]);
    }

    #[test]
    fn equal_looks_have_no_changes() {
        assert!(changes(&look(&[seen(1)]), &look(&[seen(1)])).is_empty());
    }
}

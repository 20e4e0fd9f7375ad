//! `nacre service`.

use serde_json::json;

use super::{Session, fits};
use crate::{
    args::Service,
    error::{CliError, Outcome},
    output::{Table, Tone, remark},
};

pub async fn run(session: &Session, command: Service) -> Outcome {
    match command {
        Service::Ls { pattern, group } => list(session, pattern.as_deref(), group.as_deref()).await,
        Service::Get { service } => {
            let (name, group) = service.split();
            get(session, name, group).await
        }
    }
}

async fn list(Session { client, screen }: &Session, pattern: Option<&str>, group: Option<&str>) -> Outcome {
    let mut rows = client.services(group).await?;
    rows.retain(|row| pattern.is_none_or(|pattern| fits(&row.name, pattern)));
    rows.sort_by(|a, b| (&a.group, &a.name).cmp(&(&b.group, &b.name)));
    if screen.json {
        let list = rows.iter().map(|row| {
            json!({
                "serviceName": row.name, "groupName": row.group, "namespace": client.namespace_name(),
                "instances": row.instances, "healthy": row.healthy,
            })
        });
        return screen.value(&list.collect());
    }
    if rows.is_empty() {
        remark("nacre: no services");
    }
    let mut table = Table::new(&["SERVICE", "GROUP", "INSTANCES", "HEALTHY"]);
    for row in rows {
        let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let tone = match (row.healthy, row.instances) {
            (Some(healthy), Some(all)) if healthy < all => Tone::Bad,
            (Some(_), Some(all)) if all > 0 => Tone::Good,
            _ => Tone::Dim,
        };
        table.row(vec![
            (Tone::Plain, row.name),
            (Tone::Plain, row.group),
            (Tone::Plain, number(row.instances)),
            (tone, number(row.healthy)),
        ]);
    }
    screen.table(&table)
}

async fn get(Session { client, screen }: &Session, name: &str, group: &str) -> Outcome {
    let service = client.service(name, group).await?.ok_or_else(|| {
        CliError::NotFound(format!("there is no service {name} (group {group}, namespace {})", client.namespace_name()))
    })?;
    let listing = client.instances(name, group, None).await?;
    let healthy = listing.instances.iter().filter(|instance| instance.healthy).count();
    if screen.json {
        let clusters: Vec<_> = service.clusters.iter().map(|(n, c)| json!({"name": n, "healthChecker": c})).collect();
        let instances: Vec<_> = listing.instances.iter().map(super::super::api::naming::Instance::json).collect();
        return screen.value(&json!({
            "serviceName": name, "groupName": group, "namespace": client.namespace_name(),
            "protectThreshold": service.protect_threshold, "protected": listing.protected,
            "selector": service.selector, "ephemeral": service.ephemeral, "metadata": service.metadata,
            "clusters": clusters, "instances": instances,
        }));
    }
    let show =
        |name: &str, value: &str| screen.line(&format!("{} {value}", screen.paint(Tone::Dim, &format!("{name:<17}"))));
    show("service", name)?;
    show("group", group)?;
    show("namespace", client.namespace_name())?;
    show("protect threshold", &service.protect_threshold.to_string())?;
    if !service.selector.is_empty() {
        show("selector", &service.selector)?;
    }
    if let Some(ephemeral) = service.ephemeral {
        show("kind", if ephemeral { "ephemeral" } else { "persistent" })?;
    }
    for (key, value) in &service.metadata {
        show("metadata", &crate::output::printable(&format!("{key}={value}")))?;
    }
    for (cluster, checker) in &service.clusters {
        show("cluster", &format!("{cluster} (check {})", if checker.is_empty() { "none" } else { checker }))?;
    }
    show("instances", &format!("{}, {healthy} healthy", listing.instances.len()))?;
    if listing.protected {
        show("", &screen.paint(Tone::Warn, "protection is on: unhealthy instances are shown as healthy"))?;
    }
    if !listing.instances.is_empty() {
        screen.line("")?;
        screen.table(&super::instance::table(&listing.instances))?;
    }
    Ok(())
}

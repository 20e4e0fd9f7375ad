//! What a server gives away, by whichever generation of its APIs answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::args::Doctor;
use crate::{
    api::{
        Client,
        cluster::{Member, Scrape},
        data, is_gone,
        naming::{Instance, read_instance},
        state::State,
        text,
    },
    error::{CliError, Outcome},
    explain::scrape::Sample,
    http::{Params, Request},
    output::remark,
};

/// Services that are looked into; more are counted.
const SERVICES: usize = 1_000;
/// Names of namespaces under which something may stand.
const NAMES: usize = 100;
/// Instances of a cluster that are looked at.
const PAGE: &str = "1000";

/// A service with everything in it, disabled instances too.
#[derive(Clone, Debug, Default)]
pub struct Service {
    pub namespace: String,
    pub group: String,
    pub name: String,
    pub threshold: f64,
    /// Whether consumers get unhealthy instances as healthy ones.
    pub protected: bool,
    pub instances: Vec<Instance>,
}

/// What stands under the name of a namespace, where its id belongs: to a server another namespace, which no list has.
#[derive(Clone, Debug)]
pub struct Misnamed {
    pub id: String,
    pub name: String,
    pub services: Vec<(String, String)>,
    pub configs: usize,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub state: State,
    pub members: Vec<Member>,
    /// Two scrapes, and the seconds between them.
    pub metrics: Option<(Vec<Sample>, Vec<Sample>, f64)>,
    pub namespaces: usize,
    pub services: Vec<Service>,
    pub misnamed: Vec<Misnamed>,
    /// Services there are, looked into or not.
    pub total: usize,
    /// The server is on this machine: loopback addresses may be meant.
    pub local: bool,
    /// What could not be seen, and what it would take.
    pub blind: Vec<(String, String)>,
}

impl Seen {
    pub fn counts(&self) -> Value {
        let instances: usize = self.services.iter().map(|service| service.instances.len()).sum();
        json!({
            "namespaces": self.namespaces, "services": self.services.len(), "servicesInAll": self.total,
            "instances": instances, "members": self.members.len(), "metrics": self.metrics.as_ref().map(|(_, now, _)| now.len()),
        })
    }

    pub fn sentence(&self) -> String {
        let counts = self.counts();
        format!(
            "looked at {} namespaces, {} services, {} instances, {} nodes, {} metrics",
            counts["namespaces"],
            counts["services"],
            counts["instances"],
            counts["members"],
            counts["metrics"].as_u64().map_or_else(|| "no".to_owned(), |count| count.to_string())
        )
    }

    fn blind(&mut self, what: impl Into<String>, takes: impl Into<String>) {
        self.blind.push((what.into(), takes.into()));
    }
}

const LOGIN: &str = "a login that may read everything: --username and --password (an administrator's)";

pub async fn look(client: &Client, doctor: &Doctor) -> Outcome<Seen> {
    let mut seen = Seen { state: client.state().await?, ..Seen::default() };
    seen.local = client.address.host == "localhost"
        || client.address.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if seen.state.version.is_none() {
        seen.blind("which version it is, and whether it runs alone or in a cluster", LOGIN);
    }
    seen.members = client.members().await.unwrap_or_default();
    if seen.members.is_empty() {
        seen.blind("the nodes of the cluster and their raft groups", LOGIN);
    }
    let first = scrape(client, &mut seen).await?;
    let begun = tokio::time::Instant::now();
    services(client, &mut seen).await?;
    if let Some(first) = first {
        let between = Duration::from_millis(u64::try_from(doctor.between).unwrap_or(0));
        tokio::time::sleep_until(begun + between).await;
        if let Ok(Scrape::Samples(second)) = client.scrape().await {
            seen.metrics = Some((first, second, begun.elapsed().as_secs_f64().max(0.001)));
        }
    }
    Ok(seen)
}

async fn scrape(client: &Client, seen: &mut Seen) -> Outcome<Option<Vec<Sample>>> {
    match client.scrape().await? {
        Scrape::Samples(samples) if !samples.is_empty() => Ok(Some(samples)),
        Scrape::Samples(_) => Ok(None),
        Scrape::Hidden(status) => {
            let takes = if matches!(status, 401 | 403) {
                LOGIN.to_owned()
            } else {
                "management.endpoints.web.exposure.include=prometheus (or *) in conf/application.properties of the server, and a \
                 restart; then GET /nacos/actuator/prometheus answers"
                    .to_owned()
            };
            seen.blind(
                format!("metrics: exceptions, heap, GC pauses, pushes (/nacos/actuator/prometheus: HTTP {status})"),
                takes,
            );
            Ok(None)
        }
    }
}

/// Ids and names of all namespaces; `None` when the server does not list them.
async fn namespaces(client: &Client) -> Outcome<Option<Vec<(String, String)>>> {
    let first = Request::get("/v1/console/namespaces", Params::default());
    let second = Request::get("/v3/admin/core/namespace/list", Params::default());
    let (_, response) = client.either(first, second).await?;
    let Ok(Value::Array(list)) = data(&response) else { return Ok(None) };
    Ok(Some(list.iter().map(|item| (text(item, "namespace"), text(item, "namespaceShowName"))).collect()))
}

/// A namespace that nobody created is in no list, and services stand there all the same: the one that was asked for is
/// looked at as well.
fn with_the_wanted(mut list: Vec<(String, String)>, wanted: &str) -> Vec<(String, String)> {
    let is_public = |id: &str| matches!(id, "" | "public");
    if !is_public(wanted) && !list.iter().any(|(id, _)| id == wanted) {
        list.push((wanted.to_owned(), String::new()));
    }
    list
}

/// Looks under the names of namespaces that are no ids.
async fn misnamed(client: &Client, namespaces: &[(String, String)]) -> Vec<Misnamed> {
    let is_id = |name: &str| namespaces.iter().any(|(id, _)| id == name);
    let names = namespaces.iter().filter(|(_, name)| !matches!(name.as_str(), "" | "public") && !is_id(name));
    let mut out = Vec::new();
    for (id, name) in names.take(NAMES) {
        let there = client.beside(None, Some(name.clone()));
        let rows = there.services(None).await.unwrap_or_default();
        let services: Vec<_> = rows.into_iter().map(|row| (row.group, row.name)).collect();
        let configs = there.search("", "").await.map_or(0, |found| found.len());
        if configs > 0 || !services.is_empty() {
            out.push(Misnamed { id: id.clone(), name: name.clone(), services, configs });
        }
    }
    out
}

async fn services(client: &Client, seen: &mut Seen) -> Outcome {
    let namespaces = match namespaces(client).await? {
        Some(list) => with_the_wanted(list, &client.namespace),
        None => {
            seen.blind(
                format!("other namespaces than {}: the server does not list them", client.namespace_name()),
                LOGIN,
            );
            vec![(client.namespace.clone(), String::new())]
        }
    };
    seen.misnamed = misnamed(client, &namespaces).await;
    seen.namespaces = namespaces.len();
    for (namespace, _) in namespaces {
        let there = client.beside(None, Some(namespace));
        let rows = match there.services(None).await {
            Ok(rows) => rows,
            Err(error @ CliError::Unreachable { .. }) => return Err(error),
            Err(error) => {
                seen.blind(format!("services of namespace {}: {error}", there.namespace_name()), LOGIN);
                continue;
            }
        };
        seen.total += rows.len();
        for row in rows {
            if seen.services.len() >= SERVICES {
                break;
            }
            match service(&there, &row.name, &row.group, row.instances == Some(0)).await {
                Ok(service) => seen.services.push(service),
                Err(error @ CliError::Unreachable { .. }) => return Err(error),
                // It may have gone meanwhile.
                Err(error) => remark(&format!("nacre: {}: {error}", row.name)),
            }
        }
    }
    if seen.total > seen.services.len() {
        let (looked, all) = (seen.services.len(), seen.total);
        seen.blind(
            format!("{} of {all} services: only {looked} were looked into", all - looked),
            "nacre doctor service NAME",
        );
    }
    Ok(())
}

async fn service(client: &Client, name: &str, group: &str, empty: bool) -> Outcome<Service> {
    let mut service = Service {
        namespace: client.namespace_name().to_owned(),
        group: group.to_owned(),
        name: name.to_owned(),
        ..Service::default()
    };
    if empty {
        return Ok(service);
    }
    let mut clusters = Vec::new();
    if let Some(found) = client.service(name, group).await? {
        service.threshold = found.protect_threshold;
        clusters = found.clusters.into_iter().map(|(cluster, _)| cluster).collect();
    }
    let listing = client.instances(name, group, None).await?;
    service.protected = listing.protected;
    for instance in &listing.instances {
        if !clusters.contains(&instance.cluster) {
            clusters.push(instance.cluster.clone());
        }
    }
    for cluster in &clusters {
        match raw(client, name, group, cluster).await? {
            Some(list) => service.instances.extend(list),
            // Consumers' list, then: without the disabled ones, and masked where protection is on.
            None => service.instances.extend(listing.instances.iter().filter(|i| i.cluster == *cluster).cloned()),
        }
    }
    Ok(service)
}

/// Instances of a cluster as operators see them; `None` when the server does not show them.
async fn raw(client: &Client, name: &str, group: &str, cluster: &str) -> Outcome<Option<Vec<Instance>>> {
    let v1 = Params::default()
        .with("serviceName", &format!("{group}@@{name}"))
        .with("clusterName", cluster)
        .with("pageNo", "1")
        .with("pageSize", PAGE)
        .maybe("namespaceId", client.tenant());
    let v3 = Params::default()
        .with("serviceName", name)
        .with("groupName", group)
        .with("clusterName", cluster)
        .with("namespaceId", client.namespace_name());
    let first = Request::get("/v1/ns/catalog/instances", v1);
    let second = Request::get("/v3/admin/ns/instance/list", v3);
    let (_, response) = client.either(first, second).await?;
    if is_gone(&response) || response.status != 200 {
        return Ok(None);
    }
    let Ok(found) = data(&response) else { return Ok(None) };
    let list = found.get("list").unwrap_or(&found).as_array();
    Ok(list.map(|list| list.iter().map(read_instance).collect()))
}

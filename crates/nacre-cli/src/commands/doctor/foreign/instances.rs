//! Findings about services and their instances.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    super::finding::{Finding, Severity, subject},
    gather::Service,
};
use crate::api::naming::Instance;

const INTERVAL: &str = "preserved.heart.beat.interval";
const TIMEOUT: &str = "preserved.heart.beat.timeout";
const DELETE: &str = "preserved.ip.delete.timeout";

pub type Subject = Map<String, Value>;

pub fn of_service(service: &Service) -> Subject {
    subject(&[("namespaceId", &service.namespace), ("groupName", &service.group), ("serviceName", &service.name)])
}

pub fn of_instance(service: &Service, instance: &Instance) -> Subject {
    let mut about = of_service(service);
    about.insert("instance".to_owned(), format!("{}:{}", instance.endpoint(), instance.cluster).into());
    about
}

/// A condition on an instance, and the finding when some meet it.
struct Rule {
    code: &'static str,
    severity: Severity,
    confidence: &'static str,
    title: &'static str,
    cause: &'static str,
    remedy: &'static [&'static str],
    holds: fn(&Service, &Instance) -> bool,
}

const RULES: &[Rule] = &[
    Rule {
        code: "INSTANCE-UNHEALTHY",
        severity: Severity::Warning,
        confidence: "medium",
        title: "Instances are unhealthy beside healthy ones",
        cause: "They are registered and not healthy: an ephemeral one sends no beats (it is removed 30 s after the last), a persistent one fails its check.",
        remedy: &[
            "ephemeral: nacre doctor client on its machine tells network, process and configuration apart",
            "persistent: deregister it, or mend what the check asks (nacre service get NAME shows the checker)",
        ],
        holds: |service, instance| {
            instance.enabled
                && !instance.healthy
                && service.instances.iter().any(|other| other.healthy && other.enabled)
        },
    },
    Rule {
        code: "INSTANCE-DISABLED",
        severity: Severity::Info,
        confidence: "high",
        title: "Instances are disabled",
        cause: "An operator (or the registration itself) set enabled=false: consumers do not get them, however healthy they are.",
        remedy: &["console, service detail, Online; or PUT /nacos/v1/ns/instance with enabled=true"],
        holds: |_, instance| !instance.enabled,
    },
    Rule {
        code: "INSTANCE-WEIGHT-ZERO",
        severity: Severity::Warning,
        confidence: "high",
        title: "Instances have weight 0",
        cause: "They are in the list, and every SDK passes them over when it chooses: they get no traffic.",
        remedy: &[
            "set a weight above 0 on the console, or send weight with the registration and with every beat (a beat without it registers 0 in some SDKs)",
        ],
        holds: |_, instance| instance.enabled && instance.weight == 0.0,
    },
    Rule {
        code: "BEAT-TIMERS-IN-SECONDS",
        severity: Severity::Warning,
        confidence: "high",
        title: "Beat timers that look like seconds are milliseconds",
        cause: "preserved.heart.beat.interval, .timeout or preserved.ip.delete.timeout is below 1000: 5, 15, 30 mean 5, 15, 30 ms. Clients flood the server, or the instance is never healthy.",
        remedy: &[
            "write milliseconds: preserved.heart.beat.interval=5000, preserved.heart.beat.timeout=15000, preserved.ip.delete.timeout=30000",
        ],
        holds: |_, instance| {
            instance.ephemeral
                && [INTERVAL, TIMEOUT, DELETE]
                    .iter()
                    .any(|key| timer(instance, key).is_some_and(|ms| (1..1000).contains(&ms)))
        },
    },
    Rule {
        code: "BEAT-INTERVAL-TOO-LONG",
        severity: Severity::Warning,
        confidence: "high",
        title: "The beat interval is not shorter than the timeout",
        cause: "The next beat comes after the instance was declared unhealthy: it flaps with every beat.",
        remedy: &[
            "preserved.heart.beat.timeout at least three times preserved.heart.beat.interval, preserved.ip.delete.timeout longer still",
        ],
        holds: |_, instance| {
            let of = |key, default| timer(instance, key).unwrap_or(default);
            let (interval, timeout) = (of(INTERVAL, 5_000), of(TIMEOUT, 15_000));
            instance.ephemeral && interval >= 1_000 && (interval >= timeout || timeout > of(DELETE, 30_000))
        },
    },
    Rule {
        code: "INSTANCE-BRIDGE-ADDRESS",
        severity: Severity::Info,
        confidence: "low",
        title: "Instances are registered with an address of docker's default bridge",
        cause: "172.17.0.0/16 is what docker gives containers on their own host: other machines reach other containers there, or nothing.",
        remedy: &[
            "spring.cloud.nacos.discovery.ip=HOST_ADDRESS (or preferred-networks), or the host's network for the container; --probe tries them from here",
        ],
        holds: |_, instance| instance.ip.starts_with("172.17."),
    },
];

fn timer(instance: &Instance, key: &str) -> Option<i64> {
    instance.metadata.get(key)?.trim().parse().ok()
}

/// All findings about services. `local`: the server runs on this machine, where loopback addresses may be meant.
pub fn judge(services: &[Service], local: bool) -> Vec<Finding> {
    let mut out = Vec::new();
    for rule in RULES {
        let hits: Vec<(&Service, &Instance)> = pairs(services).filter(|(s, i)| (rule.holds)(s, i)).collect();
        if hits.is_empty() {
            continue;
        }
        let mut finding = Finding::new(rule.code, rule.severity, rule.title, rule.cause)
            .about(hits.iter().map(|(service, instance)| of_instance(service, instance)).collect())
            .sure(rule.confidence);
        for (_, instance) in hits.iter().take(3) {
            finding = finding.saw(described(instance));
        }
        out.push(rule.remedy.iter().fold(finding, |finding, remedy| finding.remedy(*remedy)));
    }
    out.extend(loopback(services, local));
    out.extend(nobody(services));
    out.extend(protection(services));
    out.extend(twins(services));
    out.extend(shared(services));
    out
}

fn pairs(services: &[Service]) -> impl Iterator<Item = (&Service, &Instance)> {
    services.iter().flat_map(|service| service.instances.iter().map(move |instance| (service, instance)))
}

fn described(instance: &Instance) -> String {
    let timers: Vec<String> = [INTERVAL, TIMEOUT, DELETE]
        .iter()
        .filter_map(|key| instance.metadata.get(*key).map(|value| format!("{key}={value}")))
        .collect();
    let base = format!(
        "{}: {}, {}, weight {}, {}",
        instance.endpoint(),
        if instance.healthy { "healthy" } else { "unhealthy" },
        if instance.enabled { "enabled" } else { "disabled" },
        instance.weight,
        if instance.ephemeral { "ephemeral" } else { "persistent" },
    );
    let more = if timers.is_empty() { String::new() } else { format!(", with {}", timers.join(", ")) };
    format!("{base}{more}")
}

fn loopback(services: &[Service], local: bool) -> Option<Finding> {
    let wrong = |instance: &Instance| match instance.ip.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(ip)) => ip.is_loopback() || ip.is_unspecified() || ip.is_link_local(),
        Ok(std::net::IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local(),
        Err(_) => instance.ip.eq_ignore_ascii_case("localhost"),
    };
    let hits: Vec<Subject> = pairs(services).filter(|(_, i)| wrong(i)).map(|(s, i)| of_instance(s, i)).collect();
    let severity = if local { Severity::Info } else { Severity::Warning };
    (!hits.is_empty()).then(|| {
        Finding::new(
            "INSTANCE-LOOPBACK-ADDRESS",
            severity,
            "Instances are registered with an address that only their own machine knows",
            "Loopback, unspecified and link-local addresses lead every consumer to itself or nowhere: the SDK took the wrong interface, or a host name resolves to 127.0.x.x there.",
        )
        .about(hits)
        .remedy("spring.cloud.nacos.discovery.ip=ADDRESS, or spring.cloud.inetutils.preferred-networks=10.0 (other SDKs: the ip of the registration)")
        .remedy("on its machine: getent hosts $(hostname) should not say 127.0.1.1")
    })
}

fn nobody(services: &[Service]) -> Option<Finding> {
    let hits: Vec<&Service> = services
        .iter()
        .filter(|s| !s.instances.is_empty() && !s.instances.iter().any(|i| i.healthy && i.enabled))
        .collect();
    (!hits.is_empty()).then(|| {
        let finding = Finding::new(
            "SERVICE-NO-HEALTHY-INSTANCE",
            Severity::Warning,
            "Services have instances, and none that is healthy and enabled",
            "Consumers get an empty list, or (where protection masks them) addresses that do not answer.",
        )
        .about(hits.iter().map(|service| of_service(service)).collect())
        .remedy("nacre doctor service NAME; then nacre doctor client on a provider's machine");
        hits.iter().take(3).fold(finding, |finding, service| {
            let count = |holds: fn(&Instance) -> bool| service.instances.iter().filter(|i| holds(i)).count();
            finding.saw(format!(
                "{}: {} instances, {} healthy, {} enabled, none both",
                service.name,
                service.instances.len(),
                count(|i| i.healthy),
                count(|i| i.enabled)
            ))
        })
    })
}

fn protection(services: &[Service]) -> Option<Finding> {
    let share = |service: &Service| {
        let enabled = service.instances.iter().filter(|i| i.enabled).count();
        let healthy = service.instances.iter().filter(|i| i.enabled && i.healthy).count();
        (healthy, enabled)
    };
    let hits: Vec<&Service> = services
        .iter()
        .filter(|service| {
            let (healthy, enabled) = share(service);
            service.protected
                || (enabled > healthy
                    && healthy as f64 / (enabled as f64) <= service.threshold
                    && service.threshold > 0.0)
        })
        .collect();
    (!hits.is_empty()).then(|| {
        let finding = Finding::new(
            "PROTECTION-REACHED",
            Severity::Warning,
            "Protection masks unhealthy instances as healthy",
            "So few instances are healthy that the server shows all of them as healthy: consumers call dead ones, and the console differs from what consumers get.",
        )
        .about(hits.iter().map(|service| of_service(service)).collect())
        .remedy("mend the unhealthy instances; or lower protectThreshold of the service (0 masks only when none is healthy)");
        hits.iter().take(3).fold(finding, |finding, service| {
            let (healthy, enabled) = share(service);
            finding.saw(format!("{}: {healthy} of {enabled} healthy, threshold {}", service.name, service.threshold))
        })
    })
}

/// Names that differ in case, blanks or a group inside the name only.
fn twins(services: &[Service]) -> Option<Finding> {
    let mut alike: BTreeMap<(String, String), Vec<&Service>> = BTreeMap::new();
    for service in services {
        let plain: String = service.name.rsplit("@@").next().unwrap_or_default().split_whitespace().collect::<String>();
        alike.entry((service.namespace.clone(), plain.to_lowercase())).or_default().push(service);
    }
    let hits: Vec<&Vec<&Service>> =
        alike.values().filter(|list| list.iter().any(|service| service.name != list[0].name)).collect();
    (!hits.is_empty()).then(|| {
        let finding = Finding::new(
            "SERVICE-NAMES-ALIKE",
            Severity::Warning,
            "Names of services differ only in letter case or blanks",
            "To the server they are different services: providers of one and consumers of the other do not find each other.",
        )
        .about(hits.iter().flat_map(|list| list.iter().map(|service| of_service(service))).collect())
        .sure("medium")
        .remedy("give providers and consumers the same name; nacre service ls shows who has which");
        hits.iter().take(3).flat_map(|list| list.iter()).fold(finding, |finding, service| {
            finding.saw(format!("{:?} ({} instances)", service.name, service.instances.len()))
        })
    })
}

/// One address under the same service name in several namespaces or groups: a client that moved, or one that is set up wrongly.
fn shared(services: &[Service]) -> Option<Finding> {
    let mut places: BTreeMap<(String, String), Vec<(&Service, &Instance)>> = BTreeMap::new();
    for (service, instance) in pairs(services) {
        places.entry((instance.endpoint(), service.name.clone())).or_default().push((service, instance));
    }
    let several = |list: &&Vec<(&Service, &Instance)>| {
        list.iter().any(|(s, _)| (&s.namespace, &s.group) != (&list[0].0.namespace, &list[0].0.group))
    };
    let hits: Vec<&Vec<(&Service, &Instance)>> = places.values().filter(several).collect();
    (!hits.is_empty()).then(|| {
        let finding = Finding::new(
            "ADDRESS-IN-SEVERAL-PLACES",
            Severity::Info,
            "One address is registered for the same service in several namespaces or groups",
            "One of the places is what the client's configuration says now; the others are left over, or a second process registers the same address.",
        )
        .about(hits.iter().map(|list| of_instance(list[0].0, list[0].1)).collect())
        .sure("low")
        .remedy("compare namespace and group in the client's configuration; deregister what is left over");
        hits.iter().take(3).fold(finding, |finding, list| {
            let places: Vec<String> = list.iter().map(|(s, i)| format!("{}/{} ({})", s.namespace, s.group, if i.healthy { "healthy" } else { "unhealthy" })).collect();
            finding.saw(format!("{} of {}: {} places: {}", list[0].1.endpoint(), list[0].0.name, places.len(), places.join(", ")))
        })
    })
}

//! `/prometheus`: instances as targets of Prometheus (`http_sd_configs`). Metrics are elsewhere, in `actuator`.

use std::{collections::BTreeMap, sync::Arc};

use nacre_model::{DEFAULT_GROUP, Instance, NacosError, PUBLIC, ServiceKey};
use serde::Serialize;

use super::{
    Ctx,
    refuse::Refusal,
    reply::{JSON_UTF8, Reply, Style},
    table::{Answer, Auth, Check, GET, Generation, Row},
};
use crate::{app::App, later};

const AREA: (Generation, &str, Style) = (Generation::Other, "prometheus", Style::V1Console);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/prometheus", AREA, Auth::None, later!(everything)).checked(Check::Off),
    Row::new(GET, "/prometheus/namespaceId/{namespaceId}", AREA, Auth::None, later!(namespace)).checked(Check::Off),
    Row::new(GET, "/prometheus/namespaceId/{namespaceId}/service/{service}", AREA, Auth::None, later!(service))
        .checked(Check::Off),
];

/// One target group; Prometheus takes one for each instance.
#[derive(Serialize)]
struct Target {
    targets: [String; 1],
    labels: BTreeMap<String, Arc<str>>,
}

/// Healthy or not, enabled or not: Prometheus decides for itself whether a target answers.
fn target(instance: &Instance) -> Target {
    let mut labels: BTreeMap<String, Arc<str>> =
        instance.metadata.iter().map(|(name, value)| (label(name), value.as_ref().into())).collect();
    labels.insert("__meta_clusterName".to_owned(), Arc::clone(&instance.cluster));
    let ip = &instance.ip;
    // An IPv6 address without brackets is no target, and one bad target makes Prometheus refuse them all.
    let host = if ip.contains(':') && !ip.starts_with('[') { format!("[{ip}]") } else { ip.to_string() };
    Target { targets: [format!("{host}:{}", instance.port)], labels }
}

/// A label's name may hold letters, digits and `_`: the reference replaces `.` and `-`; whatever else stands in a key is
/// replaced as well, or Prometheus would refuse the whole answer.
fn label(name: &str) -> String {
    let mut label: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert(0, '_');
    }
    label
}

/// The instances of these services, off the event loop: there may be very many.
async fn targets(app: Arc<App>, services: impl FnOnce(&App) -> Vec<ServiceKey> + Send + 'static) -> Answer {
    if !app.props.bool("nacos.prometheus.metrics.enabled") {
        return Err(Refusal::container(404, "No message available"));
    }
    let made = tokio::task::spawn_blocking(move || {
        let snapshots = services(&app).into_iter().filter_map(|service| app.naming.snapshot(&service));
        let targets: Vec<Target> =
            snapshots.flat_map(|snapshot| snapshot.instances.iter().map(|i| target(i)).collect::<Vec<_>>()).collect();
        Reply::json(&targets).typed(JSON_UTF8)
    });
    made.await.map_err(|error| NacosError::server(error.to_string()).into())
}

async fn everything(app: Arc<App>, _: Ctx) -> Answer {
    targets(app, |app| app.naming.service_keys(None, "")).await
}

async fn namespace(app: Arc<App>, ctx: Ctx) -> Answer {
    let namespace = asked(&ctx);
    targets(app, move |app| app.naming.service_keys(Some(&namespace), "")).await
}

/// A bare name: the reference looks in the default group only.
async fn service(app: Arc<App>, ctx: Ctx) -> Answer {
    let service = ServiceKey::new(&asked(&ctx), DEFAULT_GROUP, ctx.path_value("service"));
    targets(app, move |_| vec![service]).await
}

fn asked(ctx: &Ctx) -> String {
    match ctx.path_value("namespaceId").trim() {
        "" => PUBLIC.to_owned(),
        namespace => namespace.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_names_that_prometheus_takes() {
        for (key, expected) in [
            ("a.b-c", "a_b_c"),
            ("plain", "plain"),
            ("k8s/pod", "k8s_pod"),
            ("版本", "__"),
            ("9lives", "_9lives"),
            ("", "_"),
        ] {
            assert_eq!(label(key), expected, "{key}");
        }
    }

    #[test]
    fn ipv6_targets_have_brackets() {
        for (ip, expected) in [("10.0.0.1", "10.0.0.1:80"), ("::1", "[::1]:80"), ("[::1]", "[::1]:80")] {
            assert_eq!(target(&Instance::new(ip, 80)).targets[0], expected);
        }
    }
}

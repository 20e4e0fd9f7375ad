//! Registries of growing size: what an instance costs, and whether a list still takes as long.

use std::{sync::Arc, time::Duration, time::Instant};

use serde_json::json;
use tokio::task::LocalSet;

use crate::{
    args::Registry,
    error::Error,
    grpc::{
        client::Grpc,
        operations::{or_public, quoted},
    },
    http::{
        client::{Http, Plan},
        operations::{Caller, GROUP},
    },
    load::{self, Length, Shape},
    process,
    progress::Progress,
    report::{self, Report},
    span::{bytes, micros},
    target::Endpoint,
};

const SETTLE: Duration = Duration::from_millis(500);
/// The service whose list is asked for has so many instances, whatever the size of the registry.
const PROBED: u64 = 10;
/// Connections that register, each its part of the services.
const PUBLISHERS: u64 = 8;

pub fn run(target: &Endpoint, namespace: &str, wanted: &Registry) -> Result<Report, Error> {
    target.allow(wanted.common.i_own_this_server)?;
    let pid = wanted.common.pid.or_else(|| process::listener(target.port)).ok_or_else(|| {
        Error::Usage("nobody is seen to listen there: say with --pid which process the server is".to_owned())
    })?;
    let look = || process::sample(pid).ok_or_else(|| Error::Failed("the server's process is gone".to_owned()));
    let mut progress = Progress::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let mut publishers = Vec::new();
    let authority = target.authority();
    for _ in 0..PUBLISHERS {
        let connecting = Grpc::connect(target.grpc()?, &authority, namespace);
        publishers.push(local.block_on(&runtime, connecting)?);
    }
    // The probed service is number 0 of the names that lists ask for.
    local.block_on(&runtime, batch(&mut publishers[0], namespace, "nacre-bench-00000000", 0, PROBED))?;
    std::thread::sleep(SETTLE);
    let empty = look()?;
    let mut sizes = wanted.sizes.clone();
    sizes.sort_unstable();
    let most = sizes.last().copied().unwrap_or(0);
    let mut rows = vec![
        ["instances", "services", "registered", "memory", "an instance", "list p50", "list p99"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut list = Vec::new();
    let (mut services, mut instances) = (0u64, 0u64);
    for size in sizes {
        let begun = Instant::now();
        let before = instances;
        while instances < size {
            let count = wanted.per_service.min(size - instances);
            let name = format!("nacre-bench-registry-{services:08}");
            let publisher = &mut publishers[(services % PUBLISHERS) as usize];
            local.block_on(&runtime, batch(publisher, namespace, &name, instances, count))?;
            services += 1;
            instances += count;
            progress.show("register", instances as f64 / most as f64, &format!("{instances} of {most}"));
        }
        let rate = (instances - before) as f64 / begun.elapsed().as_secs_f64();
        std::thread::sleep(SETTLE);
        let now = look()?;
        let lists = lists(target, namespace, wanted)?;
        let one = (now.resident as f64 - empty.resident as f64) / instances.max(1) as f64;
        let at = |quantile: f64| micros(lists.latency.value_at_quantile(quantile) as f64 / 1e3);
        rows.push(vec![
            instances.to_string(),
            services.to_string(),
            format!("{rate:.0}/s"),
            bytes(now.resident as f64),
            format!("{one:.0} B"),
            at(0.5),
            at(0.99),
        ]);
        list.push(json!({
            "instances": instances,
            "services": services,
            "registered_a_second": rate.round(),
            "memory": report::memory(Some(now)),
            "bytes_an_instance": one.round(),
            "list_us": report::percentiles(&lists.latency),
            "list_failed": lists.wrong + lists.unanswered,
        }));
        // Nobody reads between two sizes, but servers ask whether we are there.
        for publisher in &mut publishers {
            local
                .block_on(&runtime, publisher.ask("HealthCheckRequest", "{\"headers\":{},\"module\":\"internal\"}"))?;
        }
    }
    progress.clear();
    let settings = json!({ "sizes": wanted.sizes, "per_service": wanted.per_service, "list_instances": PROBED });
    let empty = report::memory(Some(empty));
    let fields = json!({ "address": target.authority(), "pid": pid, "empty": empty, "sizes": list });
    Ok(Report::new("registry", settings, fields, report::table(&rows)))
}

/// Registers the instances of a service in one request, as an SDK's batch does.
async fn batch(publisher: &mut Grpc, namespace: &str, name: &str, first: u64, count: u64) -> Result<(), Error> {
    let instances: Vec<String> = (first..first + count)
        .map(|n| {
            let ip = format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
            format!(
                "{{\"ip\":\"{ip}\",\"port\":8080,\"weight\":1.0,\"healthy\":true,\"enabled\":true,\"ephemeral\":true,\
                 \"clusterName\":\"DEFAULT\",\"metadata\":{{}}}}"
            )
        })
        .collect();
    let json = format!(
        "{{\"headers\":{{}},\"namespace\":{},\"serviceName\":\"{name}\",\"groupName\":\"{GROUP}\",\
         \"type\":\"batchRegisterInstance\",\"instances\":[{}],\"module\":\"naming\"}}",
        quoted(or_public(namespace)),
        instances.join(",")
    );
    let answer = publisher.ask("BatchInstanceRequest", &json).await?;
    if memchr::memmem::find(&answer, b"\"resultCode\":200").is_some() {
        return Ok(());
    }
    Err(Error::Failed(format!("the server does not take batches: {}", String::from_utf8_lossy(&answer))))
}

/// Lists of the probed service, asked for by two connections for a while.
fn lists(target: &Endpoint, namespace: &str, wanted: &Registry) -> Result<load::Round, Error> {
    let caller = Caller { at: target, api: wanted.api, namespace, size: 0 };
    let plan = Plan { address: target.http()?, before: None, call: caller.list() };
    let shape = Shape {
        connections: 2,
        threads: 1,
        warm_up: Duration::from_millis(200),
        length: Length::Time(wanted.listed),
        rate: None,
        keys: 1,
        instances: 1,
        first: 0,
        owned: false,
    };
    load::round::<Http>(&Arc::new(plan), &shape, None, &mut |_, _| {})
}

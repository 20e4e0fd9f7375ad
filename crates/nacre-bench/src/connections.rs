//! What idle gRPC connections cost, and what each listened key adds.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::{JoinSet, LocalSet};

use crate::{
    args::Connections,
    crowd,
    error::Error,
    grpc::{client::Grpc, operations::quoted},
    http::operations::GROUP,
    process::{self, Sample},
    progress::Progress,
    report::{self, Report},
    span::bytes,
    target::Endpoint,
};

/// Keys that one request listens to.
const BATCH: u64 = 100;
/// Calls after which a connection's buffers grow no more.
const LONG_CALLS: usize = 4;
/// Memory is looked at once nothing has happened for so long.
const SETTLE: Duration = Duration::from_millis(500);

pub fn run(target: &Endpoint, namespace: &str, wanted: &Connections) -> Result<Report, Error> {
    target.allow(wanted.common.i_own_this_server)?;
    let pid = wanted.common.pid.or_else(|| process::listener(target.port)).ok_or_else(|| {
        Error::Usage("nobody is seen to listen there: say with --pid which process the server is".to_owned())
    })?;
    let most = wanted.steps.iter().copied().max().unwrap_or(0);
    crowd::room_for(most)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, sweep(target, namespace, wanted, pid))
}

fn look(pid: u32) -> Result<Sample, Error> {
    process::sample(pid).ok_or_else(|| Error::Failed("the server's process is gone".to_owned()))
}

/// Growth for each of `count` things.
fn each(before: u64, after: u64, count: u64) -> f64 {
    (after as f64 - before as f64) / count.max(1) as f64
}

async fn sweep(target: &Endpoint, namespace: &str, wanted: &Connections, pid: u32) -> Result<Report, Error> {
    let mut progress = Progress::new();
    let authority = target.authority();
    let most = wanted.steps.iter().copied().max().unwrap_or(1);
    // The first connections make pools and tables grow that stay; they are no part of what one costs.
    let mut kept = JoinSet::new();
    let some = crowd::open(target.grpc()?, &authority, namespace, 0..32, |_| {}).await?;
    drop(some);
    tokio::time::sleep(SETTLE).await;
    let empty = look(pid)?;
    let mut rows = vec![["connections", "opened in", "memory", "a connection", "idle CPU"].map(str::to_owned).to_vec()];
    let mut list = Vec::new();
    let mut open: u64 = 0;
    let mut steps = wanted.steps.clone();
    steps.sort_unstable();
    let mut idle_crowd = Vec::new();
    for step in steps {
        let begun = Instant::now();
        let range = open as usize..step as usize;
        let crowd = crowd::open(target.grpc()?, &authority, namespace, range, |n| {
            progress.show("connect", (open + n as u64) as f64 / most as f64, &format!("{} of {most}", open + n as u64));
        });
        let crowd = crowd.await?;
        let took = begun.elapsed();
        open = step;
        let (keep, last) = if step == most { (Vec::new(), crowd) } else { (crowd, Vec::new()) };
        for mut connection in keep {
            kept.spawn_local(async move { connection.idle().await });
        }
        idle_crowd = last;
        tokio::time::sleep(SETTLE).await;
        let now = look(pid)?;
        let begun = Instant::now();
        tokio::time::sleep(wanted.idle).await;
        let later = look(pid)?;
        let idle = (later.cpu - now.cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
        let one = each(empty.resident, now.resident, step);
        rows.push(vec![
            step.to_string(),
            format!("{:.2} s", took.as_secs_f64()),
            bytes(now.resident as f64),
            bytes(one),
            format!("{:.2} %", idle * 100.0),
        ]);
        list.push(json!({
            "connections": step,
            "opened_seconds": took.as_secs_f64(),
            "memory": report::memory(Some(now)),
            "bytes_a_connection": one.round(),
            "idle_cpu_of_a_core": idle,
        }));
    }
    let mut text = report::table(&rows);
    let mut listened = json!(null);
    let listeners = idle_crowd.len() as u64;
    if wanted.listen > 0 {
        let before = look(pid)?;
        // Calls as long as the one that listens, about keys to which nobody does: the buffers that grow by a connection's first
        // long calls are the connection's, not the keys'.
        for (n, connection) in idle_crowd.iter_mut().enumerate() {
            for _ in 0..LONG_CALLS {
                call(connection, namespace, wanted.listen, false).await?;
            }
            progress.show("call", n as f64 / listeners.max(1) as f64, "");
        }
        tokio::time::sleep(SETTLE).await;
        let called = look(pid)?;
        for (n, connection) in idle_crowd.iter_mut().enumerate() {
            call(connection, namespace, wanted.listen, true).await?;
            progress.show("listen", n as f64 / listeners.max(1) as f64, "");
        }
        tokio::time::sleep(SETTLE).await;
        let after = look(pid)?;
        let keys = listeners * wanted.listen;
        let buffers = each(before.resident, called.resident, listeners);
        let one = each(called.resident, after.resident, keys);
        text.push_str(&format!(
            "\n{keys} listened keys ({listeners} connections, {} each): {} a key; buffers of a call so long: {} a connection\n",
            wanted.listen,
            bytes(one),
            bytes(buffers)
        ));
        listened = json!({
            "connections": listeners,
            "keys_each": wanted.listen,
            "memory": report::memory(Some(after)),
            "bytes_a_key": one,
            "buffers_a_connection": buffers.round(),
        });
    }
    progress.clear();
    let empty = report::memory(Some(empty));
    let settings = json!({ "steps": wanted.steps, "listen": wanted.listen, "idle_seconds": wanted.idle.as_secs_f64() });
    let fields =
        json!({ "address": target.authority(), "pid": pid, "empty": empty, "steps": list, "listened": listened });
    Ok(Report::new("connections", settings, fields, text))
}

/// Listens to so many configs that do not exist (their names are what costs), or ceases to.
async fn call(connection: &mut Grpc, namespace: &str, keys: u64, listens: bool) -> Result<(), Error> {
    for begin in (0..keys).step_by(BATCH as usize) {
        let end = (begin + BATCH).min(keys);
        let answer = connection.ask("ConfigBatchListenRequest", &listen(namespace, begin..end, listens)).await?;
        if memchr::memmem::find(&answer, b"\"resultCode\":200").is_none() {
            return Err(Error::Failed("the server does not take listeners".to_owned()));
        }
    }
    Ok(())
}

fn listen(namespace: &str, keys: std::ops::Range<u64>, listens: bool) -> String {
    let tenant = quoted(namespace);
    let contexts: Vec<String> = keys
        .map(|key| {
            format!("{{\"dataId\":\"nacre-bench-{key:08}\",\"group\":\"{GROUP}\",\"tenant\":{tenant},\"md5\":\"\"}}")
        })
        .collect();
    format!(
        "{{\"headers\":{{}},\"listen\":{listens},\"configListenContexts\":[{}],\"module\":\"config\"}}",
        contexts.join(",")
    )
}

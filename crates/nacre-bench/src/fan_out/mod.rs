//! One change, many who must hear of it: how long until the first, the middle and the last of them hold it.

mod listeners;

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinSet, LocalSet},
    time::timeout_at,
};

use self::listeners::{Heard, News};
use crate::{
    args::{FanOut, Kind},
    crowd,
    error::Error,
    grpc::{client::Grpc, operations},
    http::{client::Http, operations::Caller},
    process,
    progress::Progress,
    report::{self, Report},
    span::micros,
    target::Endpoint,
    template::Subject,
};

/// Whoever has not heard by then has missed the change.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one change took, in the order in which subscribers held it; nanoseconds since the change was sent.
struct Change {
    /// Until the server acknowledged the change.
    acknowledged: Duration,
    /// Sorted.
    held: Vec<Duration>,
    missed: usize,
}

pub fn run(target: &Endpoint, namespace: &str, fan_out: &FanOut) -> Result<Report, Error> {
    crowd::room_for(fan_out.subscribers.into())?;
    let mut servers = vec![("target".to_owned(), target.clone())];
    servers.extend(fan_out.against.iter().cloned());
    let mut progress = Progress::new();
    let mut rows = vec![
        [
            "",
            "first p50",
            "median p50",
            "last p50",
            "last p99",
            "last max",
            "last after ack p99",
            "CPU a change",
            "missed",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut list = Vec::new();
    for (name, at) in &servers {
        at.allow(fan_out.common.i_own_this_server)?;
        let here = at.http()?.ip().to_canonical().is_loopback();
        let given = if name == "target" { fan_out.common.pid } else { None };
        let pid = given.or_else(|| here.then(|| process::listener(at.port)).flatten());
        let cpu = || pid.and_then(process::sample).map(|sample| sample.cpu);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = LocalSet::new();
        let mut before = None;
        let mut begun = || before = cpu();
        let changes = local.block_on(
            &runtime,
            measure(at, namespace, fan_out, &mut begun, &mut |n| {
                let note = format!("{name}, {n} of {} changes", fan_out.changes);
                progress.show("fan out", n as f64 / f64::from(fan_out.changes), &note);
            }),
        )?;
        let used = before.zip(cpu()).map(|(before, after)| after.saturating_sub(before));
        drop(local);
        let (row, value) = summary(name, at, &changes, used);
        rows.push(row);
        list.push(value);
    }
    progress.clear();
    let settings = json!({
        "kind": fan_out.kind.name(),
        "subscribers": fan_out.subscribers,
        "changes": fan_out.changes,
        "pause_seconds": fan_out.pause.as_secs_f64(),
    });
    let fields = json!({ "servers": list });
    Ok(Report::new(&format!("fan-out {}", fan_out.kind.name()), settings, fields, report::table(&rows)))
}

/// Opens everybody, makes the changes one by one, and waits each time until all hold it.
async fn measure(
    at: &Endpoint,
    namespace: &str,
    fan_out: &FanOut,
    begun: &mut dyn FnMut(),
    shown: &mut dyn FnMut(u32),
) -> Result<Vec<Change>, Error> {
    let (news, mut heard) = unbounded_channel();
    let mut publisher = Publisher::new(at, namespace, fan_out.kind).await?;
    // Something must be there before anybody asks for it.
    let first = publisher.change(0).await?;
    let mut subscribers = subscribe(at, namespace, fan_out, &news, &first).await?;
    settle(&mut heard, fan_out, &mut subscribers, 0).await?;
    begun();
    let mut changes = Vec::new();
    for n in 0..=u64::from(fan_out.changes) {
        tokio::time::sleep(fan_out.pause).await;
        let sent = Instant::now();
        publisher.change(n + 1).await?;
        let acknowledged = sent.elapsed();
        let held = settle(&mut heard, fan_out, &mut subscribers, n + 1).await?;
        // The first warms up.
        if n > 0 {
            let mut held: Vec<Duration> = held.into_iter().map(|at| at.saturating_duration_since(sent)).collect();
            held.sort();
            let missed = fan_out.subscribers as usize - held.len();
            changes.push(Change { acknowledged, held, missed });
            shown(n as u32);
        }
    }
    publisher.clean_up().await;
    Ok(changes)
}

/// Waits until all hold change `n` and are ready for the next; the moments at which they held it.
async fn settle(
    heard: &mut UnboundedReceiver<News>,
    fan_out: &FanOut,
    subscribers: &mut JoinSet<Error>,
    n: u64,
) -> Result<Vec<Instant>, Error> {
    let all = fan_out.subscribers as usize;
    let until = tokio::time::Instant::now() + PATIENCE;
    let (mut held, mut ready) = (Vec::with_capacity(all), 0);
    while held.len() < all || ready < all {
        let next = async {
            tokio::select! {
                news = heard.recv() => Ok(news),
                Some(ended) = subscribers.join_next() => Err(ended),
            }
        };
        match timeout_at(until, next).await {
            Ok(Ok(Some(News { change, heard, at }))) if change == n => match heard {
                Heard::Held => held.push(at),
                Heard::Ready => ready += 1,
            },
            Ok(Ok(_)) => {}
            Ok(Err(ended)) => {
                let why = ended.map_or_else(|error| error.to_string(), |error| error.to_string());
                return Err(Error::Failed(format!("a subscriber lost its connection: {why}")));
            }
            Err(_) => break,
        }
    }
    Ok(held)
}

async fn subscribe(
    at: &Endpoint,
    namespace: &str,
    fan_out: &FanOut,
    news: &UnboundedSender<News>,
    first: &str,
) -> Result<JoinSet<Error>, Error> {
    let mut tasks = JoinSet::new();
    let all = fan_out.subscribers as usize;
    if fan_out.kind == Kind::LongPoll {
        let caller = Rc::new(listeners::Poll::new(at, namespace)?);
        for n in 0..all {
            let (caller, news) = (Rc::clone(&caller), news.clone());
            tasks.spawn_local(async move { listeners::poll(&caller, n, news).await });
        }
        return Ok(tasks);
    }
    let crowd = crowd::open(at.grpc()?, &at.authority(), namespace, 0..all, |_| {}).await?;
    let words = Arc::new(listeners::Words::new(namespace));
    for connection in crowd {
        let (words, news, first) = (Arc::clone(&words), news.clone(), first.to_owned());
        let kind = fan_out.kind;
        tasks.spawn_local(async move {
            match kind {
                Kind::Service => listeners::service(connection, &words, &news).await,
                _ => listeners::config(connection, &words, &first, &news).await,
            }
        });
    }
    Ok(tasks)
}

/// Whoever makes the changes.
enum Publisher {
    Service { connection: Box<Grpc>, namespace: String },
    Config { connection: Box<Http>, publish: crate::http::client::Call, remove: crate::http::client::Call },
}

impl Publisher {
    async fn new(at: &Endpoint, namespace: &str, kind: Kind) -> Result<Self, Error> {
        if kind == Kind::Service {
            let connection = Box::new(Grpc::connect(at.grpc()?, &at.authority(), namespace).await?);
            return Ok(Self::Service { connection, namespace: namespace.to_owned() });
        }
        let caller = Caller { at, api: crate::http::operations::Api::V1, namespace, size: 200 };
        let connection = Box::new(Http::connect(at.http()?).await?);
        Ok(Self::Config { connection, publish: caller.publish(), remove: caller.remove() })
    }

    /// Makes change `n`; its text for a config.
    async fn change(&mut self, n: u64) -> Result<String, Error> {
        let subject = Subject { key: 0, host: 0, seq: n };
        let wrong = match self {
            Self::Service { connection, namespace } => {
                // Its weight says which change it is: r-nacos keeps the metadata that an instance had first.
                let register = operations::instance_of_weight(namespace, "registerInstance", listeners::weight_of(n));
                connection.call(&register, subject).await?
            }
            Self::Config { connection, publish, .. } => connection.call(publish, subject).await?,
        };
        match wrong {
            None => Ok(listeners::content(n)),
            Some(wrong) => Err(Error::Failed(format!("the change was refused: {wrong}"))),
        }
    }

    async fn clean_up(&mut self) {
        if let Self::Config { connection, remove, .. } = self {
            let _ = connection.call(remove, Subject::default()).await;
        }
    }
}

/// A row of the table and the JSON of a server.
fn summary(name: &str, at: &Endpoint, changes: &[Change], cpu: Option<Duration>) -> (Vec<String>, Value) {
    let of = |pick: &dyn Fn(&Change) -> Option<Duration>| {
        let mut histogram =
            Histogram::<u64>::new(3).unwrap_or_else(|_| unreachable!("three digits are always allowed"));
        for span in changes.iter().filter_map(pick) {
            let _ = histogram.record(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1));
        }
        histogram
    };
    let first = of(&|change| change.held.first().copied());
    let middle = of(&|change| change.held.get(change.held.len() / 2).copied());
    let last = of(&|change| change.held.last().copied());
    let after = of(&|change| Some(change.held.last()?.saturating_sub(change.acknowledged)));
    let acknowledged = of(&|change| Some(change.acknowledged));
    let missed: usize = changes.iter().map(|change| change.missed).sum();
    let cpu = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / changes.len().max(1) as f64);
    let us = |histogram: &Histogram<u64>, quantile| micros(histogram.value_at_quantile(quantile) as f64 / 1e3);
    let row = vec![
        name.to_owned(),
        us(&first, 0.5),
        us(&middle, 0.5),
        us(&last, 0.5),
        us(&last, 0.99),
        us(&last, 1.0),
        us(&after, 0.99),
        cpu.map_or("-".to_owned(), micros),
        missed.to_string(),
    ];
    let value = json!({
        "name": name,
        "address": at.authority(),
        "changes": changes.len(),
        "acknowledged_us": report::percentiles(&acknowledged),
        "first_us": report::percentiles(&first),
        "median_us": report::percentiles(&middle),
        "last_us": report::percentiles(&last),
        "last_after_acknowledged_us": report::percentiles(&after),
        "missed": missed,
        "cpu_us_a_change": cpu,
    });
    (row, value)
}

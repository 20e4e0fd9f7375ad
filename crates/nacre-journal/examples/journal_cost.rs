//! What the journal costs: `cargo run --release -p nacre-journal --example journal_cost`.
//!
//! Events as registrations make them, recorded in bursts of a tenth of a second at 20,000 a second, with the disk off and
//! on; then a question and a list of the past over all of them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nacre_journal::{DiskOptions, Filter, Journal, Limits, Listed, Span, Work};
use nacre_model::{Cause, Event, Instance, Label, Now, ServiceKey, Subject};

const EVENTS: u64 = 1_000_000;
const BURST: u64 = 2_000;
const SERVICES: u64 = 1_000;

fn now(n: u64) -> Now {
    Now { mono: n / 20, wall: 1_700_000_000_000 + (n / 20) as i64 }
}

fn event(n: u64, services: &[ServiceKey], metadata: &Arc<nacre_model::Metadata>) -> Event {
    let ip = format!("10.{}.{}.{}", (n >> 16) & 255, (n >> 8) & 255, n & 255);
    let mut instance = Instance::new(&ip, 8080);
    instance.metadata = Arc::clone(metadata);
    let subject = Subject::service(&services[(n % SERVICES) as usize])
        .with_instance(instance.label())
        .with_client(Label::client(&instance.ip, instance.port, true));
    let cause = Cause::InstanceRegistered { how: "http".into(), replaced: false };
    let mut event = Event::new(now(n), subject, cause).showing(Some(Arc::new(instance)));
    event.revision = event.at;
    event
}

/// Time that this thread was on a processor: what others do on the machine does not count.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

fn run(name: &str, journal: &Journal) {
    let services: Vec<ServiceKey> =
        (0..SERVICES).map(|n| ServiceKey::new("public", "DEFAULT_GROUP", &format!("service-{n}"))).collect();
    let pairs = [("preserved.register.source", "SPRING_CLOUD"), ("version", "1.2.3"), ("zone", "eu-1")];
    let metadata = Arc::new(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect());
    let (mut recording, mut saving) = (0, 0);
    let mut burst = Vec::new();
    for start in (0..EVENTS).step_by(BURST as usize) {
        burst.extend((start..start + BURST).map(|n| event(n, &services, &metadata)));
        let begun = cpu_ns();
        for event in burst.drain(..) {
            journal.record(event);
        }
        let recorded = cpu_ns();
        journal.keep(now(start + BURST));
        recording += recorded - begun;
        saving += cpu_ns() - recorded;
    }
    let each = |ns: u64| ns / EVENTS;
    let bytes = journal.disk().map_or(0, |disk| disk.counts().written_bytes / EVENTS);
    println!("{name:<9} record {:>5} ns, save {:>5} ns and {bytes} bytes an event", each(recording), each(saving));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run("in memory", &Journal::default());
    let home = tempfile::tempdir()?;
    let journal = Journal::new(Limits::default()).on_disk(DiskOptions::new(home.path()));
    run("on disk", &journal);

    let begun = Instant::now();
    let filter = Filter { instance: Some("10.0.1.1:8080".into()), ..Filter::default() };
    let found = journal.search(&filter, &mut Work::default());
    let read = found.read >> 20;
    println!("a question for one instance: {} of it in {:?}, {read} MiB read", found.records.len(), begun.elapsed());

    let (service, end) = (ServiceKey::new("public", "DEFAULT_GROUP", "service-7"), now(EVENTS));
    let span = Span { service, from: end.wall, to: end.wall, instance: None, limit: 0 };
    let begun = Instant::now();
    let mut work = Work::new(u64::MAX, Duration::from_secs(60));
    let past = journal.timeline(&span, &[], end, &mut work);
    println!("a list of {} made from all events: {:?}, {} MiB read", past.end.len(), begun.elapsed(), work.read >> 20);

    let instances: Vec<Arc<Instance>> =
        (0..10_000).map(|n| Arc::new(Instance::new(&format!("10.0.{}.{}", n / 250, n % 250), 8080))).collect();
    let begun = Instant::now();
    let mut round = journal.begin_lists(end).ok_or("not due")?;
    let service = &span.service;
    for _ in 0..100 {
        let list = Listed { service, revision: 1, instances: &instances };
        journal.keep_lists(&mut round, &[list], journal.last_seq(), end)?;
    }
    let before = journal.disk().map_or(0, |disk| disk.counts().bytes);
    journal.end_lists(round, end)?;
    println!(
        "a million instances listed: {:?} in pages of 10,000, {} MiB on disk in all",
        begun.elapsed(),
        before >> 20
    );
    Ok(())
}

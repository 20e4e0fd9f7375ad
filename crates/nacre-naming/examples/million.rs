//! A million ephemeral instances whose heartbeats come as they would from clients, in real time:
//! `cargo run --release -p nacre-naming --example million [instances] [seconds]`.
//!
//! Every instance beats every five seconds while the core's clock ticks as in the server and lists are asked for; the result
//! is one JSON object: CPU of it all, instances that expired (there must be none), and the time of a list beside that of a
//! registry of a thousand, asked again and again and each time of another service (`apart`).

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use nacre_model::{Instance, InstanceId, Now, ServiceKey};
use nacre_naming::{Beat, Naming, Query};

/// Instances of a service.
const PER_SERVICE: usize = 10;
/// How often a client beats.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often the server ticks.
const TICK: Duration = Duration::from_millis(100);
/// Between two looks at what is due.
const STEP: Duration = Duration::from_millis(1);

struct Registry {
    naming: Naming,
    keys: Vec<ServiceKey>,
    ips: Vec<String>,
}

impl Registry {
    fn of(instances: usize, now: Now) -> Self {
        let services = instances.div_ceil(PER_SERVICE);
        let key = |n| ServiceKey::new("public", "DEFAULT_GROUP", &format!("service-{n}"));
        let keys: Vec<ServiceKey> = (0..services).map(key).collect();
        let ips = (0..instances).map(|n| format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255));
        let ips: Vec<String> = ips.collect();
        let naming = Naming::default();
        for (n, ip) in ips.iter().enumerate() {
            let instance = Instance { instance_id: InstanceId::Simple, ..Instance::new(ip, 8080) };
            let registered = naming.register_http(&keys[n / PER_SERVICE], instance, now);
            assert!(registered.is_ok(), "a registration is refused");
        }
        Self { naming, keys, ips }
    }

    fn beat(&self, n: usize, now: Now) -> bool {
        let service = &self.keys[n / PER_SERVICE];
        let beat = Beat { service, ip: &self.ips[n], port: 8080, cluster: "", info: None, sender: "" };
        self.naming.beat(&beat, now).is_ok()
    }

    /// Nanoseconds of one list, of a service that is another one each time.
    fn list(&self, turn: usize, now: Now) -> u64 {
        let key = &self.keys[turn.wrapping_mul(7_919) % self.keys.len()];
        let begun = Instant::now();
        black_box(self.naming.list(key, &Query::default(), now));
        begun.elapsed().as_nanos() as u64
    }
}

/// CPU time of this process so far, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn median(mut spans: Vec<u64>) -> u64 {
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied().unwrap_or(0)
}

/// `rounds` times `each` lists of one service back to back, another service every round, both registries in turns, so that
/// whatever else the machine does falls on both. Median nanoseconds of one.
fn lists(small: &Registry, large: &Registry, rounds: usize, each: usize, now: Now) -> (f64, f64) {
    let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (registry, spans) in [(small, &mut of_small), (large, &mut of_large)] {
            let key = &registry.keys[round.wrapping_mul(7_919) % registry.keys.len()];
            let begun = Instant::now();
            for _ in 0..each {
                black_box(registry.naming.list(key, &Query::default(), now));
            }
            spans.push(begun.elapsed().as_nanos() as u64);
        }
    }
    (median(of_small) as f64 / each as f64, median(of_large) as f64 / each as f64)
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap_or(0));
    let instances = arguments.next().unwrap_or(1_000_000).max(PER_SERVICE);
    let seconds = arguments.next().unwrap_or(20).max(1);
    let wall = 1_700_000_000_000;
    let begun = Instant::now();
    let now = || {
        let mono = begun.elapsed().as_millis() as u64;
        Now { mono: 1_000 + mono, wall: wall + mono as i64 }
    };
    let small = Registry::of(1_000, now());
    let large = Registry::of(instances, now());
    // What was never listed is made for the first who asks, whatever the size of the registry.
    for registry in [&small, &large] {
        registry.keys.iter().for_each(|key| drop(black_box(registry.naming.list(key, &Query::default(), now()))));
    }
    let (list_small, list_large) = lists(&small, &large, 200, 500, now());
    // Every time another service: in a large registry none of it is in the processor's caches.
    let (apart_small, apart_large) = lists(&small, &large, 20_000, 1, now());
    // Registration took its time; everybody beats once so that nobody is late when the clock begins.
    for n in 0..instances {
        assert!(large.beat(n, now()), "a beat is refused");
    }

    let (started, cpu_before) = (Instant::now(), cpu());
    let span = Duration::from_secs(seconds as u64);
    let (mut sent, mut ticked, mut events, mut worst) = (0usize, Duration::ZERO, 0usize, Duration::ZERO);
    let mut spans = Vec::new();
    while started.elapsed() < span {
        let elapsed = started.elapsed();
        let due = (elapsed.as_secs_f64() / INTERVAL.as_secs_f64() * instances as f64) as usize;
        while sent < due {
            assert!(large.beat(sent % instances, now()), "a beat is refused");
            sent += 1;
        }
        if elapsed - ticked >= TICK {
            ticked = elapsed;
            let begun = Instant::now();
            events += large.naming.tick(now()).events.len();
            worst = worst.max(begun.elapsed());
        }
        spans.push(large.list(spans.len(), now()));
        std::thread::sleep(STEP);
    }
    let took = started.elapsed().as_secs_f64();
    let cores = (cpu() - cpu_before) / took;
    println!(
        "{{\"instances\":{instances},\"seconds\":{took:.1},\"beats_a_second\":{:.0},\"cores\":{cores:.3},\"expiry_events\":{events},\
         \"longest_tick_ms\":{:.2},\"list_ns_of_1000\":{list_small:.0},\"list_ns\":{list_large:.0},\
         \"list_ns_apart_of_1000\":{apart_small:.0},\"list_ns_apart\":{apart_large:.0},\"list_ns_under_load\":{}}}",
        sent as f64 / took,
        worst.as_secs_f64() * 1e3,
        median(spans)
    );
}

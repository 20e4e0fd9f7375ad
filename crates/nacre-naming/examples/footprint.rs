//! What instances and beats cost: `cargo run --release -p nacre-naming --example footprint [instances] [services]`.
//!
//! Prints the resident bytes an HTTP instance takes (Linux), and the time of a registration, a beat, a list and a tick.

use std::{hint::black_box, time::Instant};

use nacre_model::{Instance, InstanceId, Now, ServiceKey};
use nacre_naming::{Beat, Naming, Query};

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

fn report(what: &str, count: usize, since: Instant) {
    println!("{what:<12} {:>8.0} ns", since.elapsed().as_nanos() as f64 / count.max(1) as f64);
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap_or(0));
    let instances = arguments.next().unwrap_or(1_000_000).max(1);
    let services = arguments.next().unwrap_or(10_000).max(1);
    let now = Now { mono: 1_000, wall: 1_700_000_000_000 };
    let keys: Vec<ServiceKey> =
        (0..services).map(|n| ServiceKey::new("public", "DEFAULT_GROUP", &format!("service-{n}"))).collect();
    let address = |n: usize| format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
    let naming = Naming::default();

    let before = resident();
    let since = Instant::now();
    for n in 0..instances {
        let instance = Instance { instance_id: InstanceId::Simple, ..Instance::new(&address(n), 8080) };
        let _ = naming.register_http(&keys[n % services], instance, now);
    }
    report("register", instances, since);
    for key in &keys {
        black_box(naming.list(key, &Query::default(), now));
    }
    println!("resident     {:>8} bytes an instance", (resident() - before) / instances as u64);

    let ips: Vec<String> = (0..instances).map(address).collect();
    let since = Instant::now();
    for (n, ip) in ips.iter().enumerate() {
        let beat = Beat { service: &keys[n % services], ip, port: 8080, cluster: "", info: None, sender: "" };
        let _ = black_box(naming.beat(&beat, now.plus(5_000)));
    }
    report("beat", instances, since);
    let since = Instant::now();
    for _ in 0..100 {
        for key in keys.iter().take(1_000) {
            black_box(naming.list(key, &Query::default(), now));
        }
    }
    report("list", 100 * services.min(1_000), since);
    let since = Instant::now();
    let effects = naming.tick(now.plus(16_000));
    report("tick", instances, since);
    println!("               {} events although every instance's first look was due", effects.events.len());
}

//! What configs cost: `cargo run --release -p nacre-config --example config_footprint [configs] [bytes of content] [events]`.
//!
//! Prints the resident bytes that a config takes beyond its content (Linux); with `events` also the events are kept, as the
//! journal keeps them.

use std::sync::Arc;

use nacre_config::{ConfigCommand, Configs, Publish, Source};
use nacre_model::{ConfigKey, Now};

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

fn fill(configs: usize, bytes: usize, keep_events: bool) -> u64 {
    let core = Configs::default();
    let mut kept = Vec::new();
    let before = resident();
    for n in 0..configs {
        let key = ConfigKey::new("", "FOOTPRINT", &format!("config-{n:08}.yaml"));
        let mut publish = Publish::new(key, format!("{n:0bytes$}"));
        publish.meta.config_type = Some("yaml".into());
        publish.source = Source { ip: "10.0.0.1".into(), ..Source::default() };
        let now = Now { mono: n as u64, wall: 1_700_000_000_000 + n as i64 };
        let outcome = core.apply(ConfigCommand::Publish(Box::new(publish)), now);
        if keep_events {
            kept.extend(outcome.effects.events.into_iter().map(Arc::new));
        }
    }
    let taken = resident() - before;
    assert_eq!(core.len(), configs, "a publish was refused");
    taken / configs as u64 - bytes as u64
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (configs, bytes) = (number(0, 100_000).max(1), number(1, 200).max(20));
    let keep_events = arguments.get(2).is_some_and(|word| word == "events");
    println!("resident {:>8} bytes a config beyond its content", fill(configs, bytes, keep_events));
}

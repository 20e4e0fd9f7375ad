//! Histograms: how long it took until somebody knew.

use std::sync::atomic::Ordering;

use nacre_model::Histogram;

use super::text::Text;
use crate::app::App;

/// Times from a change to whoever must know, in milliseconds.
pub struct Latency(pub Histogram);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new(&[1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000]))
    }
}

impl Text {
    /// A histogram of milliseconds, in seconds.
    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let mut all = 0;
        for (bound, count) in histogram.cumulated() {
            let le = bound.map_or("+Inf".to_owned(), |bound| format!("{}", bound as f64 / 1e3));
            self.sample(&format!("{name}_bucket"), &[("le", &le)], count as f64);
            all = count;
        }
        self.sample(&format!("{name}_sum"), &[], histogram.sum() as f64 / 1e3);
        self.sample(&format!("{name}_count"), &[], all as f64);
    }
}

pub fn write(text: &mut Text, app: &App) {
    let help = "Time between two beats of one instance.";
    text.histogram("nacre_beat_gap_seconds", help, app.naming.beat_gaps());
    let help = "From a change of a service to the acknowledgement of its push.";
    text.histogram("nacre_push_seconds", help, &app.metrics.push.latency.0);
    let help = "From a change of a config to the acknowledgement of its gRPC listener.";
    text.histogram("nacre_config_listener_seconds", help, &app.metrics.config.heard.0);
    text.family("nacre_limit_hits_total", "counter", "What was refused because a limit was reached.");
    let limits = app.metrics.limits.pin();
    let mut hits: Vec<_> = limits.iter().collect();
    hits.sort_by_key(|(limit, _)| *limit);
    for (limit, count) in hits {
        text.sample("nacre_limit_hits_total", &[("limit", limit)], count.load(Ordering::Relaxed) as f64);
    }
}

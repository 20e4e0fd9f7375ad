//! Gaps between beats, as a histogram.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::paper::bar;

/// Upper bounds of the buckets, in intervals; what is above the last one has a bucket of its own.
const BOUNDS: [f64; 5] = [0.9, 1.1, 1.5, 2.0, 3.0];
const COLUMNS: usize = 24;

/// Moments of beats, as gaps in seconds.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    last: Option<Instant>,
    list: Vec<f64>,
    marks: u32,
}

impl Gaps {
    pub fn mark(&mut self, at: Instant) {
        if let Some(last) = self.last.replace(at) {
            self.list.push(at.duration_since(last).as_secs_f64());
        }
        self.marks += 1;
    }

    /// How many beats there were.
    pub const fn marks(&self) -> u32 {
        self.marks
    }

    pub fn longest(&self) -> f64 {
        self.list.iter().copied().fold(0.0, f64::max)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.list.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }

    pub fn words(&self) -> String {
        format!("gaps median {:.2} s, longest {:.2} s", self.median(), self.longest())
    }

    fn buckets(&self, interval: f64) -> Vec<(Option<f64>, u64)> {
        let mut counts = vec![0; BOUNDS.len() + 1];
        for gap in &self.list {
            let bucket = BOUNDS.iter().position(|bound| *gap <= bound * interval).unwrap_or(BOUNDS.len());
            counts[bucket] += 1;
        }
        let bounds = BOUNDS.iter().map(|bound| Some(bound * interval)).chain([None]);
        bounds.zip(counts).collect()
    }

    pub fn drawing(&self, interval: Duration) -> Vec<String> {
        let buckets = self.buckets(interval.as_secs_f64());
        let most = buckets.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let filled = buckets.iter().rposition(|(_, count)| *count > 0).unwrap_or(0);
        let line = |(bound, count): &(Option<f64>, u64)| {
            let label = bound.map_or_else(|| "longer".to_owned(), |bound| format!("<={bound:.2} s"));
            format!("{label:>9} {count:>5} {}", bar(*count, most, COLUMNS)).trim_end().to_owned()
        };
        buckets.iter().take(filled + 1).map(line).collect()
    }

    pub fn json(&self, interval: Duration) -> Value {
        let buckets = self.buckets(interval.as_secs_f64());
        let buckets: Vec<_> =
            buckets.iter().map(|(bound, count)| json!({"leSeconds": bound, "count": count})).collect();
        json!({"beats": self.marks, "medianSeconds": self.median(), "longestSeconds": self.longest(), "histogram": buckets})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_gap_falls_into_the_last_bucket() {
        let mut gaps = Gaps::default();
        let mut at = Instant::now();
        for ms in [0, 1000, 1010, 1000, 9000] {
            at += Duration::from_millis(ms);
            gaps.mark(at);
        }
        assert_eq!(gaps.marks(), 5);
        assert_eq!(gaps.longest(), 9.0);
        let drawing = gaps.drawing(Duration::from_secs(1));
        assert_eq!(drawing.len(), 6);
        assert!(drawing[1].contains("    3 ####") && drawing[5].starts_with("   longer     1 #"), "{drawing:#?}");
        assert_eq!(gaps.json(Duration::from_secs(1))["histogram"][1]["count"], 3);
    }

    #[test]
    fn no_beat_has_no_gap() {
        let gaps = Gaps::default();
        assert_eq!((gaps.longest(), gaps.words().as_str()), (0.0, "gaps median 0.00 s, longest 0.00 s"));
    }
}

//! Figures out of two scrapes: rates, and quantiles of histograms.

use super::look::Shot;
use crate::explain::scrape::Sample;

/// How much a sum of counters grew a second between two looks.
pub fn rate(before: Option<&Shot>, now: &Shot, name: &str) -> Option<f64> {
    let before = before?;
    let seconds = (now.at - before.at) as f64 / 1000.0;
    let (new, old) = (now.sum(name, &[])?, before.sum(name, &[])?);
    (seconds > 0.0).then(|| (if new < old { new } else { new - old }) / seconds)
}

/// Quantiles of a histogram: of what came between two looks, or of all when nothing did. `None` when it never counted.
pub fn quantiles<const N: usize>(before: Option<&Shot>, now: &Shot, name: &str, parts: [f64; N]) -> Option<[f64; N]> {
    let bucket = format!("{name}_bucket");
    let all = buckets(&now.samples, &bucket);
    let old = before.map(|before| buckets(&before.samples, &bucket)).unwrap_or_default();
    let grown: Vec<(f64, f64)> = all
        .iter()
        .map(|(bound, count)| {
            let before = old.iter().find(|(b, _)| b == bound).map_or(0.0, |(_, count)| *count);
            (*bound, (count - before).max(0.0))
        })
        .collect();
    let total = |list: &[(f64, f64)]| list.last().map_or(0.0, |(_, count)| *count);
    let list = if total(&grown) > 0.0 { grown } else { all };
    (total(&list) > 0.0).then(|| parts.map(|part| quantile(&list, part)))
}

/// Upper bounds and how many are at or below them, all series of the name summed.
fn buckets(samples: &[Sample], name: &str) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.name == name) {
        let Some(bound) =
            sample.label("le").and_then(|le| if le == "+Inf" { Some(f64::INFINITY) } else { le.parse().ok() })
        else {
            continue;
        };
        match out.iter_mut().find(|(b, _)| *b == bound) {
            Some((_, count)) => *count += sample.value,
            None => out.push((bound, sample.value)),
        }
    }
    out.sort_by(|a, b| a.0.total_cmp(&b.0));
    out
}

/// Linear within its bucket, as Prometheus does it.
fn quantile(list: &[(f64, f64)], part: f64) -> f64 {
    let total = list.last().map_or(0.0, |(_, count)| *count);
    let rank = part * total;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in list {
        if *count >= rank {
            if bound.is_infinite() || *count <= below {
                return low;
            }
            return low + (bound - low) * (rank - below) / (count - below);
        }
        (low, below) = (*bound, *count);
    }
    low
}

/// Seconds as people read them: `3 ms`, `5.1 s`.
pub fn seconds(value: f64) -> String {
    match value {
        v if v < 0.0005 => format!("{:.0} us", v * 1e6),
        v if v < 0.9995 => format!("{:.0} ms", v * 1e3),
        v => format!("{v:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::scrape::samples;

    fn shot(at: i64, text: &str) -> Shot {
        Shot { at, samples: samples(text), ..Shot::default() }
    }

    #[test]
    fn rates_are_of_what_came_between_two_looks() {
        let (a, b) = (shot(0, "x{l=\"1\"} 10\nx{l=\"2\"} 0\n"), shot(2_000, "x{l=\"1\"} 14\nx{l=\"2\"} 6\n"));
        assert_eq!(rate(Some(&a), &b, "x"), Some(5.0));
        assert_eq!((rate(None, &b, "x"), rate(Some(&a), &b, "y")), (None, None));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let text = |n: u32| {
            format!("h_bucket{{le=\"1\"}} {n}\nh_bucket{{le=\"2\"}} {}\nh_bucket{{le=\"+Inf\"}} {}\n", n * 2, n * 2)
        };
        assert_eq!(quantiles(None, &shot(0, &text(10)), "h", [0.5, 0.75]), Some([1.0, 1.5]));
        assert_eq!(
            quantiles(Some(&shot(0, &text(10))), &shot(1, &text(10)), "h", [0.5]),
            Some([1.0]),
            "nothing new: of all"
        );
        assert_eq!(quantiles(None, &shot(0, ""), "h", [0.5]), None);
        assert_eq!(
            (seconds(0.0123), seconds(5.04), seconds(0.00002)),
            ("12 ms".into(), "5.0 s".into(), "20 us".into())
        );
    }
}

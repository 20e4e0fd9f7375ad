//! What a run found, as JSON and as a table.

use std::{fmt::Write, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    contest::Contender,
    load::{Link, Round},
    process::{self, Sample},
    span::{bytes, micros},
};

/// A result, ready to be written in either form.
#[derive(Clone, Debug)]
pub struct Report {
    pub json: Value,
    pub text: String,
}

impl Report {
    /// Puts what every result has in front of the fields of this one.
    pub fn new(operation: &str, settings: Value, fields: Value, text: String) -> Self {
        let mut all = Map::new();
        all.insert("tool".to_owned(), format!("nacre bench {}", env!("CARGO_PKG_VERSION")).into());
        all.insert("operation".to_owned(), operation.into());
        all.insert("settings".to_owned(), settings);
        all.insert("machine".to_owned(), process::machine());
        if let Value::Object(fields) = fields {
            all.extend(fields);
        }
        Self { json: Value::Object(all), text }
    }
}

/// Microseconds of a count of nanoseconds, to three digits behind the point.
fn us(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

/// The percentiles of a histogram of nanoseconds, in microseconds.
pub fn percentiles(latency: &hdrhistogram::Histogram<u64>) -> Value {
    let at = |quantile: f64| us(latency.value_at_quantile(quantile));
    json!({
        "min": us(latency.min()),
        "mean": (latency.mean() / 10.0).round() / 100.0,
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "p999": at(0.999),
        "max": us(latency.max()),
    })
}

pub fn memory(sample: Option<Sample>) -> Value {
    sample.map_or(Value::Null, |sample| {
        json!({
            "resident": sample.resident,
            "anonymous": sample.anonymous,
            "threads": sample.threads,
            "files": sample.files,
        })
    })
}

fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => 0.0,
        n if n % 2 == 1 => numbers[n / 2],
        n => f64::midpoint(numbers[n / 2 - 1], numbers[n / 2]),
    }
}

/// All rounds of a contender as one.
fn together(rounds: &[Round]) -> Option<Round> {
    let mut rounds = rounds.iter();
    let mut all = rounds.next()?.clone();
    for round in rounds {
        all.merge(round);
        all.span += round.span;
        all.own_cpu += round.own_cpu;
        all.cpu = all.cpu.zip(round.cpu).map(|(a, b)| a + b);
    }
    Some(all)
}

fn each(cpu: Duration, done: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / done.max(1) as f64
}

/// The result of servers that were measured in turns; the first is the target.
pub fn contest<L: Link>(operation: &str, settings: Value, contenders: &[Contender<L>]) -> Report {
    let mut text = String::new();
    let mut rows =
        vec![["", "a second", "p50", "p90", "p99", "p99.9", "max", "CPU each", "failed"].map(str::to_owned).to_vec()];
    let mut list = Vec::new();
    for contender in contenders {
        let Some(all) = together(&contender.rounds) else { continue };
        let cpu = all.cpu.map(|cpu| each(cpu, all.done()));
        let at = |quantile: f64| micros(us(all.latency.value_at_quantile(quantile)));
        rows.push(vec![
            contender.name.clone(),
            format!("{:.0}", all.rate()),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            micros(us(all.latency.max())),
            cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.1} us")),
            (all.wrong + all.unanswered).to_string(),
        ]);
        list.push(json!({
            "name": contender.name,
            "address": contender.address,
            "pid": contender.pid,
            "operations": all.done(),
            "seconds": rounded(all.span.as_secs_f64()),
            "rate": rounded(all.rate()),
            "rounds": contender.rounds.iter().map(|round| rounded(round.rate())).collect::<Vec<_>>(),
            "latency_us": percentiles(&all.latency),
            "wrong": all.wrong,
            "unanswered": all.unanswered,
            "reconnects": all.reconnects,
            "example": all.example,
            "cpu_us_each": cpu.map(rounded),
            "tool_cpu_us_each": rounded(each(all.own_cpu, all.done())),
            "memory_before": memory(contender.before),
            "memory_after": memory(contender.after),
        }));
    }
    text.push_str(&table(&rows));
    let mut ratios = Vec::new();
    if let Some((target, others)) = contenders.split_first() {
        for other in others {
            let ratio = ratio(target, other);
            let _ = write!(text, "\n{:.2} x {}", ratio.rate, other.name);
            if let Some(cpu) = ratio.cpu {
                let _ = write!(text, ", with {cpu:.2} x its CPU time an operation");
            }
            ratios.push(json!({
                "of": target.name,
                "to": other.name,
                "rate": rounded(ratio.rate),
                "rounds": ratio.rounds.iter().map(|r| rounded(*r)).collect::<Vec<_>>(),
                "cpu": ratio.cpu.map(rounded),
            }));
        }
        if let Some(sample) = target.after {
            let _ = write!(text, "\n{} holds {} of memory", target.name, bytes(sample.resident as f64));
        }
        let example = contenders.iter().flat_map(|c| c.rounds.iter().map(move |r| (c, r)));
        if let Some((name, what)) = example.filter_map(|(c, r)| Some((&c.name, r.example.as_ref()?))).next() {
            let _ = write!(text, "\nfirst failure, {name}: {what}");
        }
    }
    text.push('\n');
    Report::new(operation, settings, json!({ "servers": list, "ratios": ratios }), text)
}

struct Ratio {
    /// Median over rounds.
    rate: f64,
    rounds: Vec<f64>,
    /// CPU time of an operation: below 1 is cheaper.
    cpu: Option<f64>,
}

/// Each round against the other's round beside it.
fn ratio<L: Link>(target: &Contender<L>, other: &Contender<L>) -> Ratio {
    let pairs = target.rounds.iter().zip(&other.rounds);
    let rounds: Vec<f64> = pairs.map(|(a, b)| if b.rate() > 0.0 { a.rate() / b.rate() } else { 0.0 }).collect();
    let cost = |contender: &Contender<L>| {
        let all = together(&contender.rounds)?;
        all.cpu.filter(|cpu| !cpu.is_zero()).map(|cpu| each(cpu, all.done()))
    };
    Ratio { rate: median(rounds.clone()), rounds, cpu: cost(target).zip(cost(other)).map(|(a, b)| a / b) }
}

/// Columns aligned to the right but for the first.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (n, cell) in row.iter().enumerate() {
            let _ = if n == 0 {
                write!(out, "{cell:<w$}", w = widths[n])
            } else {
                write!(out, "  {cell:>w$}", w = widths[n])
            };
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_tables() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&rows), "a    bb\nccc   d\n");
    }
}

//! Findings from two scrapes of the metrics.

use super::{
    super::finding::{Finding, Severity},
    gather::Seen,
};
use crate::explain::scrape::Sample;

const HEAP: f64 = 0.9;
const FILES: f64 = 0.9;
const CPU: f64 = 0.9;
/// Seconds of one GC pause that clients can feel, and that cost instances their health.
const PAUSE: f64 = 1.0;
const DEADLY: f64 = 5.0;
/// Share of the time that goes into GC.
const GC_SHARE: f64 = 0.1;
/// Milliseconds of an average push.
const PUSH: f64 = 1_000.0;

/// Two scrapes, and the seconds between them.
struct Pair<'a> {
    before: &'a [Sample],
    after: &'a [Sample],
    seconds: f64,
}

impl Pair<'_> {
    /// Sum of the series with these labels.
    fn sum(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = samples
            .iter()
            .filter(|sample| {
                sample.name == name && labels.iter().all(|(label, value)| sample.label(label) == Some(value))
            })
            .peekable();
        found.peek()?;
        Some(found.map(|sample| sample.value).filter(|value| *value >= 0.0).sum())
    }

    fn now(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Self::sum(self.after, name, labels)
    }

    /// How much a counter grew; a counter that began anew grew by what it has.
    fn growth(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let after = self.now(name, labels).unwrap_or(0.0);
        let before = Self::sum(self.before, name, labels).unwrap_or(0.0);
        if after < before { after } else { after - before }
    }
}

pub fn judge(seen: &Seen) -> Vec<Finding> {
    let Some((before, after, seconds)) = &seen.metrics else { return Vec::new() };
    let pair = Pair { before, after, seconds: *seconds };
    [exceptions(&pair), heap(&pair), pauses(&pair), share(&pair), files(&pair), cpu(&pair), pushes(&pair)]
        .into_iter()
        .flatten()
        .collect()
}

fn exceptions(pair: &Pair<'_>) -> Option<Finding> {
    const NAME: &str = "nacos_exception_total";
    let counted: Vec<(&str, f64, f64)> = pair
        .after
        .iter()
        .filter(|sample| sample.name == NAME && sample.value > 0.0)
        .filter_map(|sample| {
            let name = sample.label("name")?;
            Some((name, sample.value, pair.growth(NAME, &[("name", name)])))
        })
        .collect();
    if counted.is_empty() {
        return None;
    }
    let grows = counted.iter().any(|(_, _, growth)| *growth > 0.0);
    let finding = if grows {
        Finding::new(
            "EXCEPTIONS-GROW",
            Severity::Warning,
            "Counters of exceptions grow at this moment",
            format!("Within {:.0} s between two looks they went up: whatever fails, fails now.", pair.seconds),
        )
    } else {
        Finding::new(
            "EXCEPTIONS-COUNTED",
            Severity::Info,
            "Exceptions were counted since the start; none now",
            format!("The counters stood still for {:.0} s: what failed is over.", pair.seconds),
        )
    };
    let finding = counted.iter().fold(finding, |f, (name, value, growth)| {
        f.saw(format!(
            "{NAME}{{name=\"{name}\"}} is {value}{}",
            if *growth > 0.0 { format!(", {growth} more than before") } else { String::new() }
        ))
    });
    let (worst, ..) = counted.iter().max_by(|a, b| a.2.total_cmp(&b.2).then(a.1.total_cmp(&b.1)))?;
    Some(finding.remedy(format!("nacre explain '{NAME}{{name=\"{worst}\"}}' says what it means and what to do")))
}

fn heap(pair: &Pair<'_>) -> Option<Finding> {
    let labels = [("area", "heap")];
    let (used, max) = (pair.now("jvm_memory_used_bytes", &labels)?, pair.now("jvm_memory_max_bytes", &labels)?);
    (max > 0.0 && used / max > HEAP).then(|| {
        Finding::new(
            "JVM-HEAP-NEARLY-FULL",
            Severity::Warning,
            "The server's heap is nearly full",
            "A full heap means long collections, and those mean beats that are read too late: instances flap although clients send.",
        )
        .saw(format!("{:.0} of {:.0} MiB used ({:.0} %)", used / 1_048_576.0, max / 1_048_576.0, used / max * 100.0))
        .sure("medium")
        .remedy("JVM_XMX (docker) or -Xmx in bin/startup.sh; a heap dump says what fills it")
    })
}

fn pauses(pair: &Pair<'_>) -> Option<Finding> {
    let longest = pair
        .after
        .iter()
        .filter(|sample| sample.name == "jvm_gc_pause_seconds_max")
        .map(|sample| sample.value)
        .fold(0.0, f64::max);
    (longest > PAUSE).then(|| {
        Finding::new(
            "JVM-GC-LONG-PAUSE",
            if longest > DEADLY { Severity::Critical } else { Severity::Warning },
            "The server stood still for a garbage collection",
            "While it collects it reads no beats, and afterwards its timers fire first: many instances become unhealthy at once, and come back.",
        )
        .saw(format!("longest pause of the last minutes {longest:.1} s (jvm_gc_pause_seconds_max)"))
        .remedy("more heap, G1 or ZGC (-XX:+UseG1GC); logs/nacos_gc.log has every pause")
    })
}

fn share(pair: &Pair<'_>) -> Option<Finding> {
    let share = pair.growth("jvm_gc_pause_seconds_sum", &[]) / pair.seconds;
    (share > GC_SHARE).then(|| {
        Finding::new(
            "JVM-GC-BUSY",
            Severity::Warning,
            "The server spends much of its time collecting garbage",
            "What remains for clients is less and comes in pieces: slow answers, late beats.",
        )
        .saw(format!("{:.0} % of the last {:.0} s", share * 100.0, pair.seconds))
        .remedy("more heap; fewer changes (flapping instances) and subscribers on this node")
    })
}

fn files(pair: &Pair<'_>) -> Option<Finding> {
    let (open, max) = (pair.now("process_files_open_files", &[])?, pair.now("process_files_max_files", &[])?);
    (max > 0.0 && open / max > FILES).then(|| {
        Finding::new(
            "SERVER-FILES-NEARLY-OUT",
            Severity::Warning,
            "The server has nearly no file descriptors left",
            "Each connection takes one: soon no client gets in, and those that are cut do not come back.",
        )
        .saw(format!("{open} of {max} open"))
        .remedy("ulimit -n 65536 (LimitNOFILE of the unit) and a restart")
    })
}

fn cpu(pair: &Pair<'_>) -> Option<Finding> {
    let both = [pair.before, pair.after].map(|samples| Pair::sum(samples, "system_cpu_usage", &[]).unwrap_or(0.0));
    both.iter().all(|usage| *usage > CPU).then(|| {
        Finding::new(
            "SERVER-CPU-BUSY",
            Severity::Warning,
            "The server's machine has no processor time left",
            "Answers come late, and beats are read late: clients change servers, instances flap.",
        )
        .saw(format!("{:.0} %, and {:.0} % {:.0} s later", both[0] * 100.0, both[1] * 100.0, pair.seconds))
        .sure("medium")
        .remedy("top on the machine: is it the server? then jstack; else whatever else runs there")
    })
}

fn pushes(pair: &Pair<'_>) -> Option<Finding> {
    let of = |name| pair.now("nacos_monitor", &[("name", name)]);
    let failing = pair.growth("nacos_monitor", &[("name", "failedPush")]);
    let slow = of("avgPushCost").filter(|cost| *cost > PUSH);
    if failing <= 0.0 && slow.is_none() {
        return None;
    }
    let finding = Finding::new(
        "PUSH-FAILS",
        Severity::Warning,
        "Changes reach subscribers late or not at all",
        "Consumers keep an old list until they ask themselves (10 s and more): they call instances that are gone.",
    );
    let finding = if failing > 0.0 {
        finding.saw(format!("failedPush grew by {failing} in {:.0} s", pair.seconds))
    } else {
        finding
    };
    let finding = match slow {
        Some(cost) => finding.saw(format!("avgPushCost {cost:.0} ms")),
        None => finding,
    };
    Some(finding.remedy("naming-push.log names the subscribers; UDP of 1.x clients must reach them (firewall), stopped ones are forgotten after 10 s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::scrape::samples;

    fn codes(before: &str, after: &str) -> Vec<String> {
        let seen = Seen { metrics: Some((samples(before), samples(after), 5.0)), ..Seen::default() };
        judge(&seen).into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_counter_that_stands_still_is_told_from_one_that_grows() {
        let at = |n: u32| format!("nacos_exception_total{{module=\"naming\",name=\"leaderSendBeatFailed\",}} {n}.0\n");
        assert_eq!(codes(&at(0), &at(0)), Vec::<String>::new());
        assert_eq!(codes(&at(2), &at(2)), ["EXCEPTIONS-COUNTED"]);
        assert_eq!(codes(&at(2), &at(3)), ["EXCEPTIONS-GROW"]);
        assert_eq!(codes("", &at(1)), ["EXCEPTIONS-GROW"]);
    }

    #[test]
    fn heap_pauses_files_and_pushes_are_judged() {
        let heap = |used: u32| {
            format!(
                "jvm_memory_used_bytes{{area=\"heap\",id=\"a\",}} {used}\njvm_memory_max_bytes{{area=\"heap\",id=\"a\",}} 1000\njvm_memory_max_bytes{{area=\"heap\",id=\"b\",}} -1\n"
            )
        };
        assert_eq!(codes("", &heap(950)), ["JVM-HEAP-NEARLY-FULL"]);
        assert_eq!(codes("", &heap(500)), Vec::<String>::new());
        assert_eq!(codes("", "jvm_gc_pause_seconds_max{action=\"x\",} 2.5\n"), ["JVM-GC-LONG-PAUSE"]);
        let sum = |s: u32| format!("jvm_gc_pause_seconds_sum{{action=\"x\",}} {s}\n");
        assert_eq!(codes(&sum(10), &sum(12)), ["JVM-GC-BUSY"]);
        assert_eq!(
            codes("", "process_files_open_files 95\nprocess_files_max_files 100\n"),
            ["SERVER-FILES-NEARLY-OUT"]
        );
        let push = |n: u32| format!("nacos_monitor{{module=\"naming\",name=\"failedPush\",}} {n}\n");
        assert_eq!(codes(&push(1), &push(4)), ["PUSH-FAILS"]);
        assert_eq!(codes("system_cpu_usage 0.99\n", "system_cpu_usage 0.95\n"), ["SERVER-CPU-BUSY"]);
    }
}

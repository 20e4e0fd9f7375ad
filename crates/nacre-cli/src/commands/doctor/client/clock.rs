//! The server's clock against ours, from the `Date` of its answers. A date has whole seconds, so each answer gives a range; what
//! all ranges have in common is narrow after a few answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::step::Step;
use crate::http::Response;

const ID: &str = "clock";
/// An offset that does no harm: tokens are renewed long before they end.
const HARMLESS: f64 = 5.0;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds by which the server is ahead, at least and at most.
    low: f64,
    high: f64,
    samples: u32,
    /// Ranges had nothing in common: a clock was set meanwhile, or several machines answer.
    torn: bool,
}

impl Default for Clock {
    fn default() -> Self {
        Self { low: f64::NEG_INFINITY, high: f64::INFINITY, samples: 0, torn: false }
    }
}

impl Clock {
    pub fn answered(&mut self, sent: SystemTime, received: SystemTime, response: &Response) {
        let Some(date) = response.header("date").and_then(|text| {
            let parsed = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            Some(parsed.timestamp() as f64)
        }) else {
            return;
        };
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        self.sample(seconds(sent), seconds(received), date);
    }

    /// The server's clock showed `date` up to `date + 1` at some time between the two.
    fn sample(&mut self, sent: f64, received: f64, date: f64) {
        let (low, high) = (date - received, date + 1.0 - sent);
        self.samples += 1;
        if low > self.high || high < self.low {
            self.torn = true;
            (self.low, self.high) = (low, high);
            return;
        }
        self.low = self.low.max(low);
        self.high = self.high.min(high);
    }

    pub fn step(&self) -> Step {
        if self.samples == 0 {
            return Step::skipped(ID, "the server's answers carry no Date: its clock cannot be compared");
        }
        let middle = f64::midpoint(self.low, self.high);
        let error = (self.high - self.low) / 2.0;
        let title = match middle {
            m if m.abs() <= error.max(0.05) => {
                format!("the server's clock agrees with this machine's (within {error:.2} s)")
            }
            m if m > 0.0 => format!("the server's clock is {m:.1} s ahead of this machine's (+/- {error:.2} s)"),
            m => format!("the server's clock is {:.1} s behind this machine's (+/- {error:.2} s)", -m),
        };
        let sure = middle.abs() - error;
        let step = if self.torn {
            Step::warn(ID, "PATH-CLOCK-TORN", "the server's answers have dates that contradict each other")
                .means(
                    "Several machines with different clocks answer behind this address, or a clock was set meanwhile.",
                )
                .remedy("compare the clocks of all nodes: timedatectl; chronyc tracking")
        } else if sure > HARMLESS {
            Step::warn(ID, "PATH-CLOCK-OFFSET", title)
                .means(
                    "Tokens are issued and judged by clocks: one that is off by more than their life makes every login useless \
                     (\"token expired!\"). Logs of the two sides cannot be compared. Beats do not depend on it.",
                )
                .remedy("timedatectl set-ntp true, on whichever machine is wrong (compare both with a third)")
        } else {
            Step::ok(ID, title)
        };
        step.figure("offsetSeconds", middle).figure("errorSeconds", error).figure("samples", self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::step::State, *};

    #[test]
    fn ranges_narrow_down_to_the_offset() {
        let mut clock = Clock::default();
        // The server is 0.25 s ahead; round trips take 10 ms.
        for n in 0..50 {
            let sent = 1_000.0 + f64::from(n) * 0.19;
            clock.sample(sent, sent + 0.01, (sent + 0.005 + 0.25).floor());
        }
        assert!((clock.low..=clock.high).contains(&0.25) && clock.high - clock.low < 0.2, "{clock:?}");
        assert_eq!(clock.step().state, State::Ok);
    }

    #[test]
    fn ten_minutes_are_a_warning_and_a_contradiction_is_said() {
        let mut clock = Clock::default();
        clock.sample(1_000.2, 1_000.3, 1_600.0);
        let step = clock.step();
        assert_eq!(step.code, "PATH-CLOCK-OFFSET");
        assert!(step.title.contains("ahead"), "{}", step.title);
        clock.sample(1_001.2, 1_001.3, 1_001.0);
        assert_eq!(clock.step().code, "PATH-CLOCK-TORN");
        assert_eq!(Clock::default().step().state, State::Skipped);
    }
}

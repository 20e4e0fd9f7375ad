//! Pauses of this machine: a thread that wants to wake every 20 ms and notes when it was not let. A process that is stopped
//! (SIGSTOP, a suspended machine, a cgroup without CPU time) sends no beats either.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use serde_json::json;

use super::super::step::Step;
use crate::time;

const ID: &str = "pauses";
const TICK: Duration = Duration::from_millis(20);
/// Longer waits than this are counted.
const NOTED: Duration = Duration::from_millis(100);
/// A pause that a client's beats can feel.
const LONG: Duration = Duration::from_secs(1);
/// A pause that costs an instance its health, with the beat before and the one after.
const DEADLY: Duration = Duration::from_secs(10);
/// A wall clock that moves so much against the steady one was set.
const STEP: f64 = 0.5;
/// Pauses that are remembered one by one.
const KEPT: usize = 20;

#[derive(Clone, Debug, Default)]
struct Noted {
    ticks: u64,
    longest: Duration,
    /// Begin and length.
    pauses: Vec<(SystemTime, Duration)>,
    count: u64,
    /// Seconds by which the wall clock was set.
    steps: Vec<f64>,
}

pub struct Pauses {
    noted: Arc<Mutex<Noted>>,
    stop: Arc<AtomicBool>,
    begun: Instant,
}

impl Pauses {
    pub fn watch() -> Self {
        let noted = Arc::new(Mutex::new(Noted::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, ends) = (noted.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut before = (Instant::now(), SystemTime::now());
            while !ends.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                let now = (Instant::now(), SystemTime::now());
                if let Ok(mut noted) = shared.lock() {
                    note(&mut noted, before, now);
                }
                before = now;
            }
        });
        Self { noted, stop, begun: Instant::now() }
    }

    /// The longest wait for the processor so far.
    pub fn longest(&self) -> Duration {
        self.noted.lock().map(|noted| noted.longest).unwrap_or_default()
    }

    pub fn step(&self) -> Step {
        let noted = self.noted.lock().map(|noted| noted.clone()).unwrap_or_default();
        judge(&noted, self.begun.elapsed())
    }
}

impl Drop for Pauses {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn note(noted: &mut Noted, before: (Instant, SystemTime), now: (Instant, SystemTime)) {
    noted.ticks += 1;
    let steady = now.0.duration_since(before.0);
    let late = steady.saturating_sub(TICK);
    noted.longest = noted.longest.max(late);
    if late > NOTED {
        noted.count += 1;
        noted.pauses.push((before.1, late));
        noted.pauses.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        noted.pauses.truncate(KEPT);
    }
    let wall = match now.1.duration_since(before.1) {
        Ok(forward) => forward.as_secs_f64(),
        Err(back) => -back.duration().as_secs_f64(),
    };
    let moved = wall - steady.as_secs_f64();
    if moved.abs() > STEP && noted.steps.len() < KEPT {
        noted.steps.push(moved);
    }
}

fn judge(noted: &Noted, watched: Duration) -> Step {
    let ms = |length: Duration| length.as_secs_f64() * 1000.0;
    let title = format!(
        "longest wait for the processor {:.0} ms, {} over 100 ms, in {:.0} s",
        ms(noted.longest),
        noted.count,
        watched.as_secs_f64()
    );
    let at = |when: SystemTime| {
        let since = when.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        time::stamp(i64::try_from(since.as_millis()).unwrap_or(0))
    };
    let worst =
        noted.pauses.first().map(|(when, _)| format!("The longest began at {}.\n", at(*when))).unwrap_or_default();
    let because = "Whatever holds this process holds a client beside it: a stopped container, CPU limits, a machine that \
                   was suspended or is short of processors. Server and network have no part in it.";
    let remedy = "look at CPU limits (cat /sys/fs/cgroup/cpu.stat: nr_throttled), at load (uptime), at pauses of the virtual machine";
    let step = if let Some(moved) = noted.steps.first() {
        Step::warn(ID, "HERE-CLOCK-STEPPED", format!("this machine's clock was set by {moved:+.1} s meanwhile"))
            .means("Tokens and time stamps depend on it; a suspended machine shows itself in this way, too.")
            .remedy("let one time service keep the clock, slewing instead of stepping (chronyd, systemd-timesyncd)")
    } else if noted.longest >= DEADLY {
        Step::fail(ID, "HERE-PAUSED", title).means(format!("{worst}{because}")).remedy(remedy)
    } else if noted.longest >= LONG {
        Step::warn(ID, "HERE-PAUSED", title).means(format!("{worst}{because}")).remedy(remedy)
    } else {
        Step::ok(ID, title)
    };
    let list: Vec<_> = noted.pauses.iter().map(|(when, length)| json!({"at": at(*when), "ms": ms(*length)})).collect();
    step.figure("longestMs", ms(noted.longest)).figure("ticks", noted.ticks).figure("pauses", list)
}

#[cfg(test)]
mod tests {
    use super::{super::super::step::State, *};

    #[test]
    fn a_stop_of_the_process_is_a_pause_and_a_set_clock_is_not() {
        let (steady, wall) = (Instant::now(), SystemTime::now());
        let after = |s: u64, w: u64| (steady + Duration::from_millis(s), wall + Duration::from_millis(w));
        let mut noted = Noted::default();
        note(&mut noted, (steady, wall), after(25, 25));
        assert_eq!(judge(&noted, LONG).state, State::Ok);
        note(&mut noted, after(25, 25), after(3_045, 3_045));
        let step = judge(&noted, LONG);
        assert_eq!((step.state, step.code), (State::Warn, "HERE-PAUSED"));
        assert_eq!(noted.longest, Duration::from_millis(3_000));
        note(&mut noted, after(3_045, 3_045), after(20_045, 20_045));
        assert_eq!(judge(&noted, LONG).state, State::Fail);
        let mut noted = Noted::default();
        note(&mut noted, (steady, wall), after(20, 600_020));
        let step = judge(&noted, LONG);
        assert_eq!(step.code, "HERE-CLOCK-STEPPED");
        assert!(step.title.contains("+600.0 s"), "{}", step.title);
    }
}

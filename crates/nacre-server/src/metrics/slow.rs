//! Calls of clients whose answers took long. Few by nature: what is quick pays for one comparison.

use nacre_doctor::scene::SlowCall;
use parking_lot::Mutex;

/// An answer that took longer is noted: clients wait three seconds, and ask for a sign of life with less.
pub const LONG_NANOS: u64 = 1_000_000_000;

/// Slow calls since they were asked for last, by kind. There are as many kinds as the tables have rows.
#[derive(Default)]
pub struct Slow(Mutex<Vec<Kind>>);

struct Kind {
    /// `""` over gRPC.
    method: &'static str,
    name: &'static str,
    durable: bool,
    count: u64,
    longest: u64,
}

impl Slow {
    /// `name`: the path of a row, or a request's type. `durable`: the call may wait for the log.
    pub fn note(&self, method: &'static str, name: &'static str, durable: bool, nanos: u64) {
        if nanos < LONG_NANOS {
            return;
        }
        let mut kinds = self.0.lock();
        match kinds.iter_mut().find(|kind| kind.name == name && kind.method == method) {
            Some(kind) => {
                kind.count += 1;
                kind.longest = kind.longest.max(nanos);
            }
            None => kinds.push(Kind { method, name, durable, count: 1, longest: nanos }),
        }
    }

    /// What was noted since this was called last.
    pub fn take(&self) -> Vec<SlowCall> {
        let kinds = std::mem::take(&mut *self.0.lock());
        let shown = |kind: Kind| SlowCall {
            kind: if kind.method.is_empty() { kind.name.to_owned() } else { format!("{} {}", kind.method, kind.name) },
            durable: kind.durable,
            count: kind.count,
            longest_ms: kind.longest / 1_000_000,
        };
        kinds.into_iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quick_is_not_noted_and_what_was_taken_is_gone() {
        let slow = Slow::default();
        slow.note("GET", "/v1/cs/configs", false, LONG_NANOS - 1);
        assert!(slow.take().is_empty());
        slow.note("POST", "/v1/cs/configs", true, 2 * LONG_NANOS);
        slow.note("POST", "/v1/cs/configs", true, 3 * LONG_NANOS);
        slow.note("", "ServiceQueryRequest", false, LONG_NANOS);
        let taken = slow.take();
        let said: Vec<_> = taken.iter().map(|call| (&*call.kind, call.count, call.longest_ms)).collect();
        assert_eq!(said, [("POST /v1/cs/configs", 2, 3_000), ("ServiceQueryRequest", 1, 1_000)]);
        assert!(slow.take().is_empty());
    }
}

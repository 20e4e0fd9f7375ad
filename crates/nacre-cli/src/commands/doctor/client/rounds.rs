//! Round trips: what the path costs each call.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{super::step::Step, clock::Clock, wire::Conversation};
use crate::{
    api::Client,
    http::{Kept, Params, Request},
};

const CALLS: usize = 20;
/// Pauses between calls, so that dates fall on different parts of a second.
const PAUSE: Duration = Duration::from_millis(17);
const SLOW_MEDIAN: f64 = 200.0;
const SLOW_P95: f64 = 1_000.0;
/// Official clients give up here.
const TOO_SLOW: f64 = 3_000.0;

/// Measured times in milliseconds, in order.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1000.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which this part of them lies; nearest rank.
    pub fn part(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    pub fn words(&self) -> String {
        format!("min {:.1}, median {:.1}, p95 {:.1} ms", self.part(0.0), self.part(0.5), self.part(0.95))
    }

    pub fn json(&self) -> Value {
        json!({"count": self.len(), "minMs": self.part(0.0), "medianMs": self.part(0.5), "p95Ms": self.part(0.95), "maxMs": self.part(1.0)})
    }
}

/// Calls over one kept connection.
pub async fn http(client: &Client, path: &'static str, clock: &mut Clock) -> Step {
    const ID: &str = "http-rtt";
    let mut times = Times::default();
    let (mut connections, mut failed) = (0, Vec::new());
    let mut kept: Option<Kept> = None;
    for _ in 0..CALLS {
        let mut connection = match kept.take() {
            Some(kept) => kept,
            None => match Kept::open(&client.address, &client.trust).await {
                Ok(kept) => {
                    connections += 1;
                    kept
                }
                Err(error) => {
                    failed.push(error.to_string());
                    continue;
                }
            },
        };
        let (begun, sent) = (Instant::now(), SystemTime::now());
        match connection.ask(&Request::get(path, Params::default())).await {
            Ok(response) => {
                times.add(begun.elapsed());
                clock.answered(sent, SystemTime::now(), &response);
                let closes = response.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
                kept = Some(connection).filter(|_| !closes);
            }
            Err(error) => failed.push(error.to_string()),
        }
        tokio::time::sleep(PAUSE).await;
    }
    let step = judge(ID, "HTTP", &times, failed.len(), failed.first());
    step.figure("connections", connections)
}

/// Health checks over one connection.
pub async fn grpc(conversation: &mut Conversation) -> Step {
    let mut times = Times::default();
    let mut failed = Vec::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        match conversation.link.call("HealthCheckRequest", &json!({"headers": {}, "module": "internal"})).await {
            Ok(_) => times.add(begun.elapsed()),
            Err(broken) => failed.push(broken.to_string()),
        }
        if conversation.link.end().is_some() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    judge("grpc-rtt", "gRPC", &times, failed.len(), failed.first())
}

fn judge(id: &'static str, what: &str, times: &Times, failed: usize, why: Option<&String>) -> Step {
    let title = format!("{} {what} calls: {}", times.len(), times.words());
    let slow = "Each call of a client costs as much. A beat that takes longer than its interval delays the next one; official \
                clients give up on a gRPC call after 3 s.";
    let remedy = "compare with the server's own machine: slow there, too, is the server; only slow here is the way (ping, traceroute)";
    let step = if failed > 0 {
        let why = why.map(String::as_str).unwrap_or_default();
        Step::fail(id, "PATH-CALLS-LOST", format!("{title}; {failed} failed: {why}"))
            .means("A path that works for the first call and not for all of them: one of several servers behind the address is ill, or packets are lost.")
            .remedy("repeat it against each server by its own address")
    } else if times.part(0.95) > TOO_SLOW {
        Step::fail(id, "PATH-SLOW", title).means(slow).remedy(remedy)
    } else if times.part(0.5) > SLOW_MEDIAN || times.part(0.95) > SLOW_P95 {
        Step::warn(id, "PATH-SLOW", title).means(slow).remedy(remedy)
    } else {
        Step::ok(id, title)
    };
    step.figure("times", times.json()).figure("failed", failed)
}

#[cfg(test)]
mod tests {
    use super::{super::super::step::State, *};

    fn times(list: &[u64]) -> Times {
        let mut times = Times::default();
        list.iter().for_each(|ms| times.add(Duration::from_millis(*ms)));
        times
    }

    #[test]
    fn parts_are_nearest_ranks() {
        let all = times(&[5, 1, 2, 3, 4, 6, 7, 8, 9, 10]);
        assert_eq!((all.part(0.0), all.part(0.5), all.part(0.95), all.part(1.0)), (1.0, 5.0, 10.0, 10.0));
        assert_eq!(Times::default().part(0.5), 0.0);
    }

    #[test]
    fn slow_paths_and_lost_calls_are_told_apart() {
        assert_eq!(judge("x", "HTTP", &times(&[1, 2]), 0, None).state, State::Ok);
        assert_eq!(judge("x", "HTTP", &times(&[800; 20]), 0, None).state, State::Warn);
        assert_eq!(judge("x", "HTTP", &times(&[4000; 20]), 0, None).state, State::Fail);
        assert_eq!(judge("x", "HTTP", &times(&[1]), 1, Some(&"gone".to_owned())).code, "PATH-CALLS-LOST");
    }
}

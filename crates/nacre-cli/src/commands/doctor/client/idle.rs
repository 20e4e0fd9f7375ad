//! Whether something between here and the server closes what is idle.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{
    super::step::Step,
    wire::{Conversation, Target},
};

const ID: &str = "idle";
/// Official clients ask for the connection's health when it was idle for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long a connection lived, and its end if it had one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    Alive,
    Cut(Duration, String),
    NotOpened(String),
}

/// Leaves one connection wholly idle and another one as official clients do: its stream idle, a health check in 5 s.
pub async fn check(target: &Target, seconds: u64) -> Step {
    let until = Instant::now() + Duration::from_secs(seconds);
    let (quiet, kept) = tokio::join!(live(target, until, None), live(target, until, Some(KEEP_ALIVE)));
    judge(&quiet, &kept, seconds)
}

async fn live(target: &Target, until: Instant, keep_alive: Option<Duration>) -> Life {
    let mut conversation = match target.converse("config").await {
        Ok(conversation) => conversation,
        Err(failure) => return Life::NotOpened(format!("{failure:?}")),
    };
    let begun = Instant::now();
    loop {
        let next = keep_alive.map_or(until, |every| (Instant::now() + every).min(until));
        if let Ok(end) = timeout_at(next, conversation.link.ended()).await {
            return Life::Cut(end.at.duration_since(begun), end.why);
        }
        // The end of a connection that was dropped without a word shows only when something is sent.
        if let Err(life) = alive(&mut conversation, begun).await {
            return life;
        }
        if Instant::now() >= until {
            return Life::Alive;
        }
    }
}

async fn alive(conversation: &mut Conversation, begun: Instant) -> Result<(), Life> {
    let answer = conversation.link.call("HealthCheckRequest", &json!({"headers": {}, "module": "internal"})).await;
    match answer {
        Ok(answer) if answer["resultCode"] == 200 => Ok(()),
        Ok(answer) => Err(Life::Cut(begun.elapsed(), super::wire::refusal(&answer))),
        Err(broken) => Err(Life::Cut(begun.elapsed(), broken.to_string())),
    }
}

fn judge(quiet: &Life, kept: &Life, seconds: u64) -> Step {
    let remedy = "raise the idle time of the proxy, balancer or address translation in between to 10 minutes (nginx: proxy_timeout, grpc_read_timeout; \
                  HAProxy: timeout tunnel; cloud balancers: idle timeout)";
    match (quiet, kept) {
        (_, Life::Cut(after, why)) => Step::fail(ID, "PATH-IDLE-CUT", format!("the stream of the server's requests was closed after {:.1} s: {why}", after.as_secs_f64()))
            .means(if *after < KEEP_ALIVE {
                "It happens before the first health check of an official client is due (5 s idle): every client here loses its \
                 registrations at that period and registers again."
            } else {
                "It happened although a health check passed in 5 s, as official clients send it: every client here loses its \
                 registrations at that period and registers again. The stream itself carries nothing for long times; a proxy must bear that."
            })
            .remedy(remedy)
            .remedy("let the gRPC port pass as plain TCP (layer 4)")
            .figure("closedAfterSeconds", after.as_secs_f64()),
        (Life::Cut(after, why), _) => Step::warn(ID, "PATH-IDLE-CUT", format!("an idle connection was closed after {:.1} s: {why}", after.as_secs_f64()))
            .means(
                "Official clients send a health check when 5 s were idle and escape; clients that send less, and connections of a \
                 paused client, are cut. The server itself does not close so early: it asks first, after 20 s.",
            )
            .remedy(remedy)
            .figure("closedAfterSeconds", after.as_secs_f64()),
        (Life::NotOpened(why), _) | (_, Life::NotOpened(why)) => Step::skipped(ID, format!("a second connection could not be opened: {why}")),
        (Life::Alive, Life::Alive) => {
            Step::ok(ID, format!("a connection that was idle for {seconds} s is still open, and so is an idle stream beside health checks"))
        }
    }
    .figure("seconds", seconds)
}

#[cfg(test)]
mod tests {
    use super::{super::super::step::State, *};

    #[test]
    fn a_cut_that_health_checks_do_not_prevent_is_worse() {
        let cut = |s| Life::Cut(Duration::from_secs(s), "closed".into());
        assert_eq!(judge(&Life::Alive, &Life::Alive, 15).state, State::Ok);
        assert_eq!(judge(&cut(10), &Life::Alive, 15).state, State::Warn);
        let both = judge(&cut(10), &cut(10), 15);
        assert_eq!((both.state, both.code), (State::Fail, "PATH-IDLE-CUT"));
        assert_eq!(judge(&Life::NotOpened(String::new()), &Life::Alive, 15).state, State::Skipped);
    }
}

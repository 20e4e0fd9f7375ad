//! Whether the long poll of 1.x config clients lives as long as it is held: up to 30 s without a byte.

use std::time::{Duration, Instant};

use super::super::step::Step;
use crate::{
    api::Client,
    error::{CliError, Outcome},
    http::{Params, Request, Response},
};

const ID: &str = "long-poll";
/// What official clients ask for.
const HOLD: &str = "30000";
/// The server answers a little before that.
const HELD: Duration = Duration::from_secs(28);

/// Asks for changes of what nobody has, and waits.
pub async fn check(client: &Client, seconds: u64) -> Step {
    let seconds = seconds.min(HELD.as_secs());
    let words = "nacre-doctor-poll\u{2}NACRE_DOCTOR\u{2}\u{1}";
    let request = Request::post("/v1/cs/configs/listener", Params::default().with("Listening-Configs", words))
        .header("Long-Pulling-Timeout", HOLD)
        .patience(Duration::from_secs(seconds + 10));
    let begun = Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(seconds), client.send(request)).await;
    judge(answer.ok(), begun.elapsed(), seconds)
}

/// `None`: it was held for as long as was waited.
fn judge(answer: Option<Outcome<Response>>, after: Duration, seconds: u64) -> Step {
    let why = match answer {
        None => return Step::ok(ID, format!("a long poll of configurations is held for {seconds} s")),
        Some(Ok(response)) if matches!(response.status, 502..=504) => format!("HTTP {}", response.status),
        Some(Ok(response)) if response.status == 200 => {
            return Step::skipped(ID, format!("the server answered at once ({:.1} s)", after.as_secs_f64()));
        }
        Some(Ok(response)) => {
            return Step::skipped(ID, format!("this server has no long polls of 1.x (HTTP {})", response.status));
        }
        Some(Err(error)) => first_line(&error),
    };
    Step::fail(ID, "PATH-POLL-CUT", format!("a long poll was cut after {:.1} s: {why}", after.as_secs_f64()))
        .means(
            "Config clients of 1.x ask for changes with a request that is held for up to 30 s. Cut earlier, it fails each time: \
             the client logs an error, waits, and is told of changes late or not at all.",
        )
        .remedy(
            "let the proxy wait for an answer for 60 s or longer (nginx: proxy_read_timeout 60s; HAProxy: timeout server 60s; \
             Apache: ProxyTimeout 60; cloud balancers: idle timeout)",
        )
        .figure("closedAfterSeconds", after.as_secs_f64())
}

fn first_line(error: &CliError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{super::super::step::State, *};

    #[test]
    fn an_error_of_a_proxy_and_a_hang_up_are_cuts_and_a_server_without_polls_is_none() {
        let after = Duration::from_secs(5);
        assert_eq!(judge(None, after, 15).state, State::Ok);
        let lost = judge(Some(Err(CliError::Failed("hung up".into()))), after, 15);
        assert_eq!((lost.state, lost.code), (State::Fail, "PATH-POLL-CUT"));
    }
}

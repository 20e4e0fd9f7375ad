//! What the trial says: beats that were lost, a server that does not know what it was told, a list that shows something else.

use std::time::Duration;

use serde_json::json;

use super::{
    super::step::Step,
    trial::{Kept, Lane, Shown},
};

/// A gap of so many intervals is more than jitter.
const LATE: f64 = 2.5;

/// How the lane speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Http,
    Grpc,
}

impl Kind {
    const fn id(self) -> &'static str {
        match self {
            Self::Http => "beats",
            Self::Grpc => "stream",
        }
    }

    const fn beats(self) -> &'static str {
        match self {
            Self::Http => "beats over HTTP",
            Self::Grpc => "health checks over gRPC",
        }
    }
}

/// The step of one lane. `paused` is the longest pause of this machine meanwhile.
pub fn judge(kind: Kind, lane: &Lane, kept: &Kept, shown: &Shown, every: Duration, paused: Duration) -> Step {
    let id = kind.id();
    if let Some(why) = &kept.refused {
        return refused(id, why);
    }
    let title = format!(
        "{} {} for {}: {}, answers {}",
        kept.sent.marks(),
        kind.beats(),
        lane.endpoint(),
        kept.sent.words(),
        kept.answered.words()
    );
    let failed = kept.failed.len() as f64;
    let lost = failed / f64::from(kept.sent.marks().max(1));
    let list = "Several servers answer behind this address that do not know each other: what one was told, another denies. Standalone \
                servers behind one address, or cluster.conf files that differ.";
    let list_remedy = "compare: nacre -s http://EACH:8848 status, and its members (GET /nacos/v1/core/cluster/nodes); all must list the same";
    let step = if let Some((after, why)) = &kept.cut {
        Step::fail(id, "PATH-STREAM-CUT", format!("the connection was cut after {:.1} s although it was in use: {why}", after.as_secs_f64()))
            .means("A client loses everything it registered at that moment, and registers anew on the next connection: instances flap at that period.")
            .remedy("a proxy with a maximum life of connections, or of streams (grpc_read_timeout, stream_idle_timeout, max_connection_duration): raise it or let the port pass as TCP")
            .remedy("if nothing is in between: the server's log at this time (restart, connection limit)")
    } else if kept.unknown > 0 {
        Step::fail(
            id,
            "PATH-SERVERS-DIFFER",
            format!("{} of {} {} were answered with \"not known here\"", kept.unknown, kept.sent.marks(), kind.beats()),
        )
        .means(list)
        .remedy(list_remedy)
    } else if lost > 0.1 {
        lost_step(Step::fail(id, "PATH-BEATS-LOST", format!("{title}; {failed} failed")), kept)
    } else if failed > 0.0 {
        lost_step(Step::warn(id, "PATH-BEATS-LOST", format!("{title}; {failed} failed")), kept)
    } else if shown.absent > 0 {
        Step::fail(
            id,
            "PATH-SERVERS-DIFFER",
            format!("{} of {} lists do not have the instance that was registered", shown.absent, shown.looks),
        )
        .means(list)
        .remedy(list_remedy)
    } else if shown.unhealthy > 0 {
        Step::fail(id, "PATH-SHOWN-UNHEALTHY", format!("the server showed the instance as unhealthy in {} of {} looks, while {} were answered", shown.unhealthy, shown.looks, kind.beats()))
            .means("What the server credits is not what was sent: its clock or its threads stall, or beats reach one node and the list comes from another.")
            .remedy("nacre doctor on the server; its load and pauses (GC) at this time")
    } else if kept.sent.longest() > LATE * every.as_secs_f64() {
        let why = if paused.as_secs_f64() > kept.sent.longest() / 2.0 {
            "This machine paused at that time (see pauses): the beats were not sent."
        } else {
            "The answer before took so long that the next beat was late: a client with one thread for beats does the same."
        };
        Step::warn(id, "HERE-BEATS-LATE", title).means(why).remedy("see the steps pauses and http-rtt")
    } else {
        let after = shown
            .after
            .map_or_else(String::new, |after| format!(", shown after {:.0} ms", after.as_secs_f64() * 1000.0));
        Step::ok(id, format!("{title}; healthy in all {} looks at the list{after}", shown.looks))
    };
    step.draws(kept.sent.drawing(every))
        .figure("sent", kept.sent.json(every))
        .figure("answered", kept.answered.json())
        .figure("failed", kept.failed.iter().take(5).cloned().collect::<Vec<_>>())
        .figure("unknown", kept.unknown)
        .figure(
            "server",
            json!({
                "looks": shown.looks, "absent": shown.absent, "unhealthy": shown.unhealthy, "failedLooks": shown.failed,
                "firstSeenMs": shown.after.map(|after| after.as_secs_f64() * 1000.0),
            }),
        )
}

fn lost_step(step: Step, kept: &Kept) -> Step {
    let first = kept.failed.first().map(String::as_str).unwrap_or_default();
    step.means(format!("The first failure: {first}. An instance without a beat for 15 s becomes unhealthy, and after 30 s it is removed."))
        .remedy("repeat it with --seconds 120 and against each server by its own address, to see whether it is the way or one server")
}

fn refused(id: &'static str, why: &str) -> Step {
    let step = Step::fail(id, "PATH-REGISTER-REFUSED", format!("the server refuses the registration: {why}"));
    let lower = why.to_ascii_lowercase();
    if lower.contains("403")
        || lower.contains("authorization failed")
        || lower.contains("user not found")
        || lower.contains("log in")
        || lower.contains("token")
    {
        return step
            .means("Registering is a write: the login needs w on the namespace (naming). A user who may only read sees lists and registers nothing.")
            .remedy("console, Authority Control, Permissions: grant rw on the namespace to the role of the client's user");
    }
    if lower.contains("410") || lower.contains("does not have this api") || lower.contains("deprecated") {
        return step
            .means("A server of 3.x has switched off the API that clients of 1.x use.")
            .remedy("nacos.core.api.compatibility.client.enabled=true on the server, or clients of 2.x and later");
    }
    if lower.contains("503") || lower.contains("not ready") || lower.contains("starting") {
        return step
            .means("The server takes no registrations at present: it starts, or its cluster has no leader.")
            .remedy("nacre status");
    }
    step.means("Clients that register the same way are refused as well.").remedy("the text above is the server's own")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::time::Instant;

    use super::{super::super::step::State, *};

    async fn of(change: impl FnOnce(&mut Kept, &mut Shown), paused: u64) -> Step {
        let (lane, _door) = Lane::new("t", IpAddr::from([127, 0, 0, 1])).await.unwrap();
        let (mut kept, mut shown) = (Kept::default(), Shown { looks: 10, ..Shown::default() });
        let begun = Instant::now();
        for n in 0..10 {
            kept.sent.mark(begun + Duration::from_secs(n));
            kept.answered.add(Duration::from_millis(1));
        }
        change(&mut kept, &mut shown);
        judge(Kind::Http, &lane, &kept, &shown, Duration::from_secs(1), Duration::from_secs(paused))
    }

    #[tokio::test]
    async fn each_way_to_fail_has_its_own_code() {
        assert_eq!(of(|_, _| {}, 0).await.state, State::Ok);
        assert_eq!(of(|k, _| k.unknown = 3, 0).await.code, "PATH-SERVERS-DIFFER");
        assert_eq!(of(|_, s| s.absent = 3, 0).await.code, "PATH-SERVERS-DIFFER");
        assert_eq!(of(|_, s| s.unhealthy = 1, 0).await.code, "PATH-SHOWN-UNHEALTHY");
        let one = of(|k, _| k.failed = vec!["x".into()], 0).await;
        assert_eq!((one.code, one.state), ("PATH-BEATS-LOST", State::Warn));
        assert_eq!(of(|k, _| k.failed = vec!["x".into(); 5], 0).await.state, State::Fail);
        assert_eq!(of(|k, _| k.cut = Some((Duration::from_secs(9), "eof".into())), 0).await.code, "PATH-STREAM-CUT");
        let refused = of(|k, _| k.refused = Some("authorization failed!".into()), 0).await;
        assert!(refused.code == "PATH-REGISTER-REFUSED" && refused.remedy[0].contains("rw"), "{refused:?}");
    }

    #[tokio::test]
    async fn a_late_beat_is_blamed_on_the_pause_when_there_was_one() {
        let late = |k: &mut Kept, _: &mut Shown| k.sent.mark(Instant::now() + Duration::from_secs(15));
        assert!(of(late, 5).await.meaning.contains("paused"));
        assert!(of(late, 0).await.meaning.contains("answer before"));
    }
}

//! Long polling of 1.x clients: `POST /v1/cs/configs/listener`.
//!
//! A poll is registered first and compared afterwards, so no change falls between. A held poll is a future without a
//! thread; it ends by a change, by its time, by the client's going away (the future is dropped, its guard forgets the
//! poll), or when the server stops.

use std::{sync::Arc, time::Duration};

use nacre_config::{AskerBuf, ListenKey, PollId, Polled, longpoll};
use nacre_model::{Cause, Event, NacosError, Subject, check, limits};
use tokio::sync::oneshot;

use super::{TAG_HEADER, read::uncached};
use crate::{
    app::App,
    http::{
        Ctx,
        refuse::{self, Refusal},
        reply::{JSON_UTF8, Reply},
        table::Answer,
    },
};

/// A poll is answered this much before the client gives up, milliseconds.
const MARGIN: i64 = 500;
/// The shortest hold, milliseconds.
const MIN_HOLD: i64 = 10_000;
/// The longest; no client asks for more than a minute.
const MAX_HOLD: i64 = 3_600_000;
/// What an unreadable time-out means.
const USUAL: i64 = 30_000;
/// Versions below this one read the answer of a short poll from headers.
const HEADERS_BELOW: i64 = 204;
/// What a refused poll waits, so that the refused do not spin.
const REFUSED_AFTER: Duration = Duration::from_secs(1);

/// Forgets the poll when the future ends in whichever way.
struct Held<'a> {
    app: &'a App,
    id: PollId,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.app.listeners.end_poll(self.id);
    }
}

pub(super) async fn poll(app: Arc<App>, ctx: Ctx) -> Answer {
    let keys = match probe(&app, &ctx)? {
        Probe::Keys(keys) => keys,
        Probe::Refused(reply) => return Ok(reply),
    };
    app.metrics.config.read.add(app.clock.now().wall);
    let ip = ctx.client_ip();
    let tag = ctx.header(&TAG_HEADER).filter(|tag| !tag.trim().is_empty());
    let asker = AskerBuf { ip: ip.as_str().into(), auto_tag: tag.map(Arc::from), labels: None };
    let Some(timeout) = ctx.header("long-pulling-timeout") else {
        return Ok(short_poll(&app, &ctx, &asker, &keys));
    };
    if ctx.header("long-pulling-timeout-no-hangup").is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
        return Ok(changed(&app.listeners.compare(&asker, &keys, &app.configs)));
    }
    let (handle, woken) = oneshot::channel();
    match app.listeners.poll(asker.clone(), keys, handle, &app.configs) {
        Polled::Changed(keys) => {
            slow_down_the_stubborn(&app, &asker, &keys).await;
            Ok(changed(&keys))
        }
        Polled::Held(id) => {
            let keys = hold(&app, id, woken, hold_time(timeout)).await;
            if let Some(traces) = &app.traces {
                traces.hears_of(keys.iter().map(|item| &item.key));
            }
            Ok(changed(&keys))
        }
        Polled::OverLimit => Err(over_limit(&app, &ip).await.into()),
    }
}

enum Probe {
    Keys(Vec<ListenKey>),
    /// The parameter check says no.
    Refused(Reply),
}

/// Keys that cannot be read. What their form is stands in no answer, and documents write its bytes as `^2` and `^1`, which
/// people send (alibaba/nacos #8683).
fn unreadable(app: &App, ctx: &Ctx, error: longpoll::ProbeError) -> Refusal {
    let reason =
        format!("{error}: a key of Listening-Configs is DATAID%02GROUP%02MD5%01, with bytes 2 and 1, not ^2 and ^1");
    let cause = Cause::Refused { call: "POST /v1/cs/configs/listener".to_owned(), code: 400, reason };
    app.effects.event(Event::new(app.clock.now(), Subject::client(&ctx.client_ip()), cause));
    NacosError::invalid(error.to_string()).into()
}

/// Reads `Listening-Configs`. Whatever cannot be read is 400, never a failure of the server (case C043).
fn probe(app: &App, ctx: &Ctx) -> Result<Probe, Refusal> {
    let value = ctx.params.get("Listening-Configs").unwrap_or("");
    if value.len() as u64 > limits::LISTENING_CONFIGS {
        return Err(unreadable(app, ctx, longpoll::ProbeError::Malformed));
    }
    let keys = longpoll::parse(value).map_err(|error| unreadable(app, ctx, error))?;
    // A value of one word has no end of record either, so the reader above ignores it; it is no record at all.
    if keys.is_empty() && !value.contains([longpoll::WORD, longpoll::LINE]) && !value.contains('%') {
        return Err(unreadable(app, ctx, longpoll::ProbeError::Malformed));
    }
    if app.live().param_check {
        for item in &keys {
            let info = check::ParamInfo {
                namespace: item.tenant.as_deref(),
                data_id: Some(&item.key.data_id),
                group: Some(&item.key.group),
                ..Default::default()
            };
            if let Err(text) = check::check(&info, app.settings.metadata_length) {
                return Ok(Probe::Refused(refuse::param_check(&text).typed(JSON_UTF8)));
            }
        }
    }
    Ok(Probe::Keys(keys))
}

fn hold_time(timeout: &str) -> Duration {
    let asked = timeout.trim().parse().unwrap_or(USUAL);
    Duration::from_millis(asked.saturating_sub(MARGIN).clamp(MIN_HOLD, MAX_HOLD).unsigned_abs())
}

async fn hold(app: &App, id: PollId, mut woken: oneshot::Receiver<Vec<ListenKey>>, time: Duration) -> Vec<ListenKey> {
    let guard = Held { app, id };
    let keys = tokio::select! {
        keys = &mut woken => keys.unwrap_or_default(),
        () = tokio::time::sleep(time) => Vec::new(),
        () = app.draining.cancelled() => Vec::new(),
    };
    drop(guard);
    if keys.is_empty() {
        // Woken between the end of the time and the forgetting.
        return woken.try_recv().unwrap_or_default();
    }
    keys
}

/// A client that is told "changed" again and again, and still asks with the same md5, would spin: it gets its right
/// answer a little later, and the journal names it (cases C040, C041).
async fn slow_down_the_stubborn(app: &App, asker: &AskerBuf, keys: &[ListenKey]) {
    let now = app.clock.now();
    let mut delay = 0;
    for item in keys {
        let current = app.configs.query(&item.key, &asker.as_asker());
        let repeated = app.stale.answered(&asker.ip, &item.key, &item.md5, current.md5(), now);
        delay = delay.max(repeated.delay_ms);
        if let Some(event) = repeated.event {
            app.journal.record(event);
        }
    }
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
}

async fn over_limit(app: &App, ip: &str) -> NacosError {
    let held = app.listeners.held_polls() as u64;
    let cause = Cause::LimitHit { limit: "LONG_POLLS".into(), value: held };
    app.journal.record(Event::new(app.clock.now(), Subject::client(ip), cause));
    tokio::time::sleep(REFUSED_AFTER).await;
    NacosError::new(503, nacre_model::ErrorCode::SERVER_ERROR, format!("{held} long polls are held (limit LONG_POLLS)"))
}

/// A poll without a time-out compares at once. Old clients read the answer from headers; newer ones get an empty body.
fn short_poll(app: &App, ctx: &Ctx, asker: &AskerBuf, keys: &[ListenKey]) -> Reply {
    let reply = uncached(changed(&[]));
    if version_number(ctx.header("client-version").unwrap_or("2.0.0")) >= HEADERS_BELOW {
        return reply;
    }
    let keys = app.listeners.compare(asker, keys, &app.configs);
    reply
        .header("probe-modify-response", &longpoll::changed_header_old(&keys))
        .header("probe-modify-response-new", &longpoll::changed_header(&keys))
}

/// `1.4.8` is 148: the digits of the parts in a row.
fn version_number(version: &str) -> i64 {
    if version.trim().is_empty() {
        return -1;
    }
    let parts = version.split('.').filter_map(|part| part.parse::<i64>().ok());
    parts.fold(0_i64, |sum, part| sum.saturating_mul(10).saturating_add(part))
}

fn changed(keys: &[ListenKey]) -> Reply {
    let reply = Reply::new(JSON_UTF8, longpoll::changed_body(keys));
    // That nothing changed may be kept by whoever wants to, as the reference says nothing against it.
    if keys.is_empty() { reply } else { uncached(reply) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_held_half_a_second_less_than_asked_and_never_less_than_ten() {
        assert_eq!(hold_time("30000"), Duration::from_millis(29_500));
        assert_eq!(hold_time("10000"), Duration::from_millis(10_000));
        assert_eq!(hold_time("1"), Duration::from_millis(10_000));
        assert_eq!(hold_time("abc"), Duration::from_millis(29_500));
        assert_eq!(hold_time("-5"), Duration::from_millis(10_000));
        assert_eq!(hold_time("99999999999999"), Duration::from_millis(3_600_000));
    }

    #[test]
    fn versions_are_numbers_of_their_digits() {
        assert_eq!(version_number("1.4.8"), 148);
        assert_eq!(version_number("2.0.0"), 200);
        assert_eq!(version_number("2.1.0"), 210);
        assert_eq!(version_number(" "), -1);
        assert_eq!(version_number("Nacos-Java-Client:v1.4.8"), 48);
    }
}

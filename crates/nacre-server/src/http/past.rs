//! What was: a service's list at any moment that the journal remembers, what happened between two moments, and whom the
//! journal knows. Answered off the event loop.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use nacre_config::names;
use nacre_doctor::{chinese, page::Lang};
use nacre_journal::{Change, ConfigTimeline, Known, Record, Span, Timeline, Work};
use nacre_model::{Cause, ConfigKey, DEFAULT_GROUP, Instance, NacosError, ServiceKey, key};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    Ctx,
    bind::{Java, v3_number},
    diagnosis::{lang, told},
    params::Params,
    refuse::Refusal,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, GET, Generation, Row},
};
use crate::{app::App, later};

const AREA: (Generation, &str, Style) = (Generation::V3Admin, "diagnosis", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/v3/admin/diagnosis/timeline", AREA, Auth::Admin, later!(timeline)).checked(Check::Off),
    Row::new(GET, "/v3/admin/diagnosis/subjects", AREA, Auth::Admin, later!(subjects)).checked(Check::Off),
];

/// Changes of one answer when nothing else is asked for, and at most.
const USUAL: i64 = 1_000;
const MOST: i64 = 10_000;
/// Instances of one list that are shown; the counts are of all.
const SHOWN: usize = 10_000;
/// The span without `from`.
const USUAL_SPAN_MS: i64 = 600_000;
/// Subjects of each sort.
const SUBJECTS: i64 = 20;
const MOST_SUBJECTS: i64 = 100;

/// Questions to the journal's files at the same time; the others wait.
static READERS: Semaphore = Semaphore::const_new(nacre_model::limits::JOURNAL_DISK_READERS as usize);

/// Asks the journal off the event loop, within bounds of time and bytes.
pub async fn looked_up(app: Arc<App>, ask: impl FnOnce(&App, &mut Work) -> Answer + Send + 'static) -> Answer {
    let seat = READERS.acquire().await.map_err(|error| NacosError::server(error.to_string()))?;
    let answer = tokio::task::spawn_blocking(move || {
        // Kept to the end, also when the asker has gone.
        let _seat = seat;
        ask(&app, &mut Work::default())
    });
    answer.await.map_err(|error| NacosError::server(error.to_string()))?
}

/// Of a service (`serviceName`, bare or grouped) or a configuration (`config`, a dataId or a whole group key): the state
/// at `from`, what happened until `to`, the state at `to`; or with `at` the state at that moment. `instance` narrows,
/// `lang=zh` tells it in Chinese.
async fn timeline(app: Arc<App>, ctx: Ctx) -> Answer {
    let now = app.clock.now().wall;
    let params = &ctx.params;
    let at = moment(params, "at", now)?;
    let to = at.or(moment(params, "to", now)?).unwrap_or(now).min(now);
    let from = at.or(moment(params, "from", now)?).unwrap_or(to - USUAL_SPAN_MS).min(now);
    if from > to {
        return Err(NacosError::invalid("'from' must not be later than 'to'").into());
    }
    let limit = limit(params, USUAL, MOST)?;
    let lang = lang(&ctx);
    if let Some(key) = config(params) {
        return looked_up(app, move |app, work| {
            let past = app.journal.config_timeline(&key, from, to, limit, work);
            Ok(Reply::result(config_form(&key, (from, to), &past, work, lang)))
        })
        .await;
    }
    let service = service(params)?;
    let instance = params.non_blank("instance").map(|text| text.trim().to_owned());
    let span = Span { service, from, to, instance, limit: if at.is_some() { 0 } else { limit } };
    looked_up(app, move |app, work| {
        let present = app.naming.snapshot(&span.service);
        let present = present.as_ref().map(|snapshot| &*snapshot.instances).unwrap_or_default();
        let past = app.journal.timeline(&span, present, app.clock.now(), work);
        Ok(Reply::result(form(&span, &past, at.is_some(), lang)))
    })
    .await
}

fn service(params: &Params) -> Result<ServiceKey, Refusal> {
    let Some(name) = params.non_blank("serviceName").or_else(|| params.non_blank("service")) else {
        return Err(super::bind::api_missing("serviceName", "String").into());
    };
    let (group, name) = match name.trim().split_once(key::GROUP_SEPARATOR) {
        Some(parts) => parts,
        None => (params.non_blank("groupName").unwrap_or(DEFAULT_GROUP).trim(), name.trim()),
    };
    Ok(ServiceKey::new(params.or("namespaceId", ""), group, name))
}

fn config(params: &Params) -> Option<ConfigKey> {
    let data_id = params.non_blank("config").or_else(|| params.non_blank("dataId"))?.trim();
    if let Some(key) = Some(data_id).filter(|id| id.contains('+')).and_then(names::parse_group_key) {
        let namespace = if key.namespace.is_empty() { params.or("namespaceId", "") } else { &*key.namespace };
        return Some(ConfigKey::new(namespace, &key.group, &key.data_id));
    }
    let group = params.non_blank("groupName").unwrap_or(DEFAULT_GROUP).trim();
    Some(ConfigKey::new(params.or("namespaceId", ""), group, data_id))
}

fn limit(params: &Params, usual: i64, most: i64) -> Result<usize, Refusal> {
    let limit = v3_number(params, "limit", Java::Int)?.unwrap_or(usual).clamp(1, most);
    Ok(usize::try_from(limit).unwrap_or(1))
}

/// A parameter that is a moment, as people write them.
pub fn moment(params: &Params, name: &str, now: i64) -> Result<Option<i64>, Refusal> {
    let Some(text) = params.non_blank(name) else { return Ok(None) };
    let wrong = || {
        let text = format!(
            "Parameter '{name}' is no moment: '{text}'. Write `now`, a time ago (90s, 10m, 2h, 3d), milliseconds since \
             1970 or ISO 8601 (2025-11-25T17:48:02Z)."
        );
        Refusal::from(NacosError::invalid(text))
    };
    read_moment(text.trim(), now).map(Some).ok_or_else(wrong)
}

/// `now`, `10m` (ago), epoch milliseconds (or seconds), ISO 8601; without a zone it is UTC.
fn read_moment(text: &str, now: i64) -> Option<i64> {
    /// Fewer digits are seconds: the year 5138 in seconds, March 1973 in milliseconds.
    const MS_DIGITS: usize = 12;
    if text.eq_ignore_ascii_case("now") {
        return Some(now);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && digits == text.len() {
        let number: i64 = text.parse().ok()?;
        return if digits < MS_DIGITS { number.checked_mul(1_000) } else { Some(number) };
    }
    let unit = match &text[digits..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    if let (Some(unit), true) = (unit, digits > 0) {
        let number: i64 = text[..digits].parse().ok()?;
        return now.checked_sub(number.checked_mul(unit)?);
    }
    // A plus sign that nobody escaped arrives as a blank.
    let zoned = match text.rsplit_once(' ') {
        Some((moment, zone)) if zone.len() == 5 && zone.as_bytes()[2] == b':' && text.contains('T') => {
            format!("{moment}+{zone}")
        }
        _ => text.to_owned(),
    };
    if let Ok(moment) = DateTime::parse_from_rfc3339(&zoned) {
        return Some(moment.timestamp_millis());
    }
    let plain = text.replacen(' ', "T", 1);
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let moment = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(&plain, format).ok());
    let moment = moment.or_else(|| NaiveDate::parse_from_str(&plain, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    Some(moment?.and_utc().timestamp_millis())
}

fn form(span: &Span, past: &Timeline, only_at: bool, lang: Lang) -> Value {
    let mut form = json!({
        "namespaceId": span.service.namespace, "groupName": span.service.group, "serviceName": span.service.name,
    });
    if let Some(instance) = &span.instance {
        form["instance"] = instance.as_str().into();
    }
    form["exact"] = past.exact().into();
    if !past.exact() {
        let doubts = past.doubts.iter().map(|doubt| match lang {
            Lang::En => doubt.to_string(),
            Lang::Zh => chinese::doubt(doubt),
        });
        form["doubts"] = doubts.collect::<Vec<_>>().into();
    }
    if let Some(since) = past.known_since {
        form["knownSince"] = since.into();
    }
    if only_at {
        merge(&mut form, list(span.to, &past.end));
        return form;
    }
    form["from"] = span.from.into();
    form["to"] = span.to.into();
    form["start"] = list(span.from, &past.start);
    form["changes"] = past.changes.iter().map(|one| change(one, lang)).collect();
    form["end"] = list(span.to, &past.end);
    if let Some(next) = past.next {
        form["next"] = next.into();
    }
    form
}

fn merge(form: &mut Value, other: Value) {
    if let (Value::Object(form), Value::Object(other)) = (form, other) {
        form.extend(other);
    }
}

fn list(at: i64, instances: &[Arc<Instance>]) -> Value {
    let healthy = instances.iter().filter(|instance| instance.healthy).count();
    let shown: Vec<Value> = instances.iter().take(SHOWN).map(|instance| shown(instance)).collect();
    json!({ "at": at, "healthy": healthy, "total": instances.len(), "instances": shown })
}

fn shown(instance: &Instance) -> Value {
    json!({
        "ip": instance.ip, "port": instance.port, "clusterName": instance.cluster, "healthy": instance.healthy,
        "enabled": instance.enabled, "ephemeral": instance.ephemeral, "weight": instance.weight,
        "metadata": instance.metadata,
    })
}

/// An event as the events API shows it, and how many instances there were afterwards.
fn change(change: &Change, lang: Lang) -> Value {
    let mut form = match &change.record {
        Some(record) => told(record, None, lang),
        None => json!({
            "at": change.at, "kind": "serverStarted",
            "text": match lang {
                Lang::En => "the server was started; what clients had registered with the process before was gone",
                Lang::Zh => "服务端已启动；客户端在之前的进程中注册的内容已不存在",
            },
        }),
    };
    if let Some(instance) = change.record.as_ref().and_then(|record| record.event.shown.as_ref()) {
        form["shown"] = shown(instance);
    }
    form["healthy"] = change.healthy.into();
    form["total"] = change.total.into();
    form
}

fn config_form(key: &ConfigKey, (from, to): (i64, i64), past: &ConfigTimeline, work: &Work, lang: Lang) -> Value {
    let changes: Vec<Value> = past.changes.iter().map(|record| told(record, None, lang)).collect();
    let mut form = json!({
        "namespaceId": key.namespace, "groupName": key.group, "dataId": key.data_id, "from": from, "to": to,
        "start": in_force(past.start.as_deref()), "changes": changes, "end": in_force(past.end.as_deref()),
        "exact": !work.exhausted && work.damaged == 0,
    });
    if let Some(next) = past.next {
        form["next"] = next.into();
    }
    form
}

/// The version in force: null where the journal does not remember.
fn in_force(record: Option<&Record>) -> Value {
    let Some(record) = record else { return Value::Null };
    match &*record.event.cause {
        Cause::ConfigPublished { md5, by, from, .. } => {
            json!({ "md5": md5, "publishedAt": record.event.at, "by": by, "from": from })
        }
        _ => json!({ "removedAt": record.event.at }),
    }
}

/// Services, instances, clients and configurations whose name contains `q`, the latest first.
async fn subjects(app: Arc<App>, ctx: Ctx) -> Answer {
    let text = ctx.params.or("q", "").trim().to_owned();
    let limit = limit(&ctx.params, SUBJECTS, MOST_SUBJECTS)?;
    looked_up(app, move |app, work| {
        let found = app.journal.subjects(&text, limit, work);
        let service =
            |key: &ServiceKey| json!({ "namespaceId": key.namespace, "groupName": key.group, "serviceName": key.name });
        let services: Vec<Value> = found.services.iter().map(|known| dated(service(&known.who), known)).collect();
        let instances = found.instances.iter().map(|known| {
            let mut form = known.who.1.as_ref().map_or_else(|| json!({}), service);
            form["instance"] = (*known.who.0).into();
            dated(form, known)
        });
        let instances: Vec<Value> = instances.collect();
        let clients = found.clients.iter().map(|known| dated(json!({ "client": known.who }), known));
        let clients: Vec<Value> = clients.collect();
        let configs = found.configs.iter().map(|known| {
            let key = &known.who;
            let form = json!({ "namespaceId": key.namespace, "groupName": key.group, "dataId": key.data_id });
            dated(form, known)
        });
        let configs: Vec<Value> = configs.collect();
        Ok(Reply::result(json!({
            "services": services, "instances": instances, "clients": clients, "configs": configs,
            "partial": found.partial,
        })))
    })
    .await
}

fn dated<T>(mut form: Value, known: &Known<T>) -> Value {
    form["at"] = known.at.into();
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_092_882_123;

    #[test]
    fn moments_are_relative_absolute_or_calendar_dates() {
        let read = |text: &str| read_moment(text, NOW);
        assert_eq!(read("now"), Some(NOW));
        assert_eq!(read("10m"), Some(NOW - 600_000));
        assert_eq!(read("90s"), Some(NOW - 90_000));
        assert_eq!(read("3d"), Some(NOW - 3 * 86_400_000));
        assert_eq!(read("250ms"), Some(NOW - 250));
        assert_eq!(read("1764092882123"), Some(NOW));
        assert_eq!(read("1764092882"), Some(NOW - 123));
        for text in [
            "2025-11-25T17:48:02.123Z",
            "2025-11-25T18:48:02.123+01:00",
            "2025-11-25T18:48:02.123 01:00",
            "2025-11-25T17:48:02.123",
            "2025-11-25 17:48:02.123",
        ] {
            assert_eq!(read(text), Some(NOW), "{text}");
        }
        assert_eq!(read("2025-11-25T17:48"), Some(NOW - 2_123));
        assert_eq!(read("2025-11-25"), Some(1_764_028_800_000));
        for text in
            ["", "soon", "m", "10 parsecs", "2025-13-01", "99999999999999999999", "99999999999999999d", "-5m", "é"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn services_and_configs_are_named_in_their_usual_forms() {
        let of = |query: &str| {
            let mut params = Params::default();
            params.add_urlencoded(query.as_bytes());
            params
        };
        let named = |query: &str| service(&of(query)).ok().map(|key| key.to_string());
        assert_eq!(named("serviceName=a").as_deref(), Some("public@@DEFAULT_GROUP@@a"));
        assert_eq!(named("service=G@@a&namespaceId=dev").as_deref(), Some("dev@@G@@a"));
        assert_eq!(named("groupName=G&serviceName=a").as_deref(), Some("public@@G@@a"));
        assert_eq!(named("groupName=G"), None);
        let named = |query: &str| config(&of(query)).map(|key| key.to_string());
        assert_eq!(named("config=a&groupName=G").as_deref(), Some("a+G+public"));
        assert_eq!(named("config=a%2BG%2Bdev").as_deref(), Some("a+G+dev"));
    }
}

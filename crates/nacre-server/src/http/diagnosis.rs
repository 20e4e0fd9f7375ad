//! nacre's own API of explanations: what happened to an instance, client or config and why, and how the server's own
//! tasks are.

use std::sync::Arc;

use nacre_config::names;
use nacre_doctor::{Finding, Found, Lang, Page, Severity};
use nacre_journal::{Filter, Record};
use nacre_model::{ErrorCode, NacosError};
use serde_json::{Value, json};

use super::{
    Ctx,
    bind::{Java, v3_bool, v3_number},
    params::Params,
    past,
    refuse::Refusal,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, GET, Generation, Row},
};
use crate::{app::App, later, now};

const AREA: (Generation, &str, Style) = (Generation::V3Admin, "diagnosis", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/v3/admin/diagnosis", AREA, Auth::Admin, now!(overview)).checked(Check::Off),
    Row::new(GET, "/v3/admin/diagnosis/findings", AREA, Auth::Admin, now!(findings)).checked(Check::Off),
    Row::new(GET, "/v3/admin/diagnosis/explain", AREA, Auth::Admin, now!(explain)).checked(Check::Off),
    Row::new(GET, "/v3/admin/diagnosis/events", AREA, Auth::Admin, later!(events)).checked(Check::Off),
    Row::new(GET, "/v3/admin/diagnosis/workers", AREA, Auth::Admin, now!(workers)).checked(Check::Off),
];

/// Events of one answer when nothing else is asked for, and at most.
const USUAL: i64 = 100;
const MOST: i64 = 1_000;

/// How the server is, in figures, and the findings.
fn overview(app: &App, ctx: &Ctx) -> Answer {
    let shown = app.doctor.shown();
    let counts = app.journal.counts();
    Ok(Reply::result(json!({
        "at": shown.at,
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeMs": u64::try_from(app.clock.uptime().as_millis()).unwrap_or(u64::MAX),
        "unwritable": app.unwritable(),
        "rules": nacre_doctor::rules::all().count(),
        "addresses": app.doctor.sightings.len(),
        "journal": { "records": counts.records, "bytes": counts.bytes, "oldestAt": counts.oldest_at },
        "counts": by_severity(&shown.open),
        "findings": wanted(&shown.open, ctx),
    })))
}

/// What holds now, the worst first; with `cleared=true` also what held, newest first. Conditions: `code`, `severity`
/// (this and worse), `namespaceId`, `service` (bare or grouped), `instance`, `address`, `client`, `config`; `lang=zh`.
fn findings(app: &App, ctx: &Ctx) -> Answer {
    let shown = app.doctor.shown();
    let mut answer = json!({
        "at": shown.at,
        "counts": by_severity(&shown.open),
        "findings": wanted(&shown.open, ctx),
    });
    if v3_bool(&ctx.params, "cleared", false)? {
        answer["cleared"] = wanted(&shown.cleared, ctx).into();
    }
    Ok(Reply::result(answer))
}

fn by_severity(open: &[Arc<Found>]) -> Value {
    let of = |severity: Severity| open.iter().filter(|found| found.en.severity == severity).count();
    json!({
        "critical": of(Severity::Critical), "warning": of(Severity::Warning), "info": of(Severity::Info),
    })
}

/// The language that is asked for.
pub fn lang(ctx: &Ctx) -> Lang {
    Lang::of(ctx.params.non_blank("lang").or_else(|| ctx.header("accept-language")).unwrap_or(""))
}

fn wanted(all: &[Arc<Found>], ctx: &Ctx) -> Vec<Value> {
    let params = &ctx.params;
    let lang = lang(ctx);
    let floor = params.non_blank("severity").and_then(|word| Severity::of(word.trim())).unwrap_or(Severity::Info);
    let named: Vec<&str> = ["service", "serviceName", "instance", "address", "client", "config", "dataId"]
        .into_iter()
        .filter_map(|name| params.non_blank(name))
        .map(|name| name.trim().rsplit("@@").next().unwrap_or(name))
        .collect();
    let namespace = params.non_blank("namespaceId").map(nacre_model::key::namespace);
    let code = params.non_blank("code").map(str::trim);
    let matches = |finding: &Finding| {
        let mut subjects = std::iter::once(&finding.subject).chain(&finding.subjects);
        finding.severity >= floor
            && code.is_none_or(|code| finding.code.eq_ignore_ascii_case(code))
            && namespace.is_none_or(|wanted| finding.subject.namespace_id.as_deref().is_none_or(|ns| ns == wanted))
            && (named.is_empty() || subjects.any(|about| named.iter().all(|name| about.mentions(name))))
    };
    let found = all.iter().filter(|found| matches(&found.en));
    found.map(|found| serde_json::to_value(&**found.of(lang)).unwrap_or_default()).collect()
}

/// The page of a code; without one, the list of codes.
fn explain(_: &App, ctx: &Ctx) -> Answer {
    let lang = lang(ctx);
    let Some(code) = ctx.params.non_blank("code") else {
        let all = nacre_doctor::rules::all().map(|rule| page(rule.page(), lang, false));
        return Ok(Reply::result(json!({ "codes": all.collect::<Vec<_>>() })));
    };
    match nacre_doctor::page(code) {
        Some(found) => Ok(Reply::result(page(found, lang, true))),
        None => {
            Err(NacosError::new(404, ErrorCode::RESOURCE_NOT_FOUND, format!("no finding has the code {code}")).into())
        }
    }
}

fn page(page: &Page, lang: Lang, whole: bool) -> Value {
    let words = page.words(lang);
    let mut value = json!({
        "code": page.code, "severity": page.severity, "family": page.family, "causes": page.causes, "title": words.title,
    });
    if whole {
        value["signals"] = json!(page.signals);
        value["cause"] = words.cause.as_str().into();
        value["remedy"] = json!(words.remedy);
        value["text"] = words.prose.as_str().into();
    }
    value
}

/// Newest first; what the doctor said of them only with `findings=true` or by its kinds.
/// `why=true` with an `instance` tells its story: its own events and the coming and going of the clients
/// that published it. `lang=zh` tells it in Chinese.
async fn events(app: Arc<App>, ctx: Ctx) -> Answer {
    let filter = filter(&ctx.params, app.clock.now().wall)?;
    let why = v3_bool(&ctx.params, "why", false)?;
    let lang = lang(&ctx);
    past::looked_up(app, move |app, work| match (filter.instance.as_deref(), why) {
        (Some(instance), true) => {
            let story = app.journal.why(instance, &filter, app.clock.now(), filter.limit, work);
            let events: Vec<Value> = story.iter().map(|line| told(&line.record, Some(&line.text), lang)).collect();
            Ok(Reply::result(json!({ "events": events })))
        }
        _ => {
            let found = app.journal.search(&filter, work);
            let events: Vec<Value> = found.records.iter().map(|record| told(record, None, lang)).collect();
            let mut answer = json!({ "events": events });
            // `before` of the next page; a page may be short when its work was used up.
            if let Some(next) = found.next {
                answer["next"] = next.into();
            }
            Ok(Reply::result(answer))
        }
    })
    .await
}

/// The event, with the story's own sentence in place of the general one, if there is one.
pub fn told(record: &Record, text: Option<&str>, lang: Lang) -> Value {
    let mut event = record.json();
    match (lang, text) {
        (Lang::Zh, _) => event["text"] = nacre_doctor::chinese::event(&record.event).zh.into(),
        (Lang::En, Some(text)) => event["text"] = text.into(),
        (Lang::En, None) => {}
    }
    event
}

fn workers(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(json!({ "workers": app.workers.list() })))
}

fn filter(params: &Params, now: i64) -> Result<Filter, Refusal> {
    let text = |name: &str| params.non_blank(name).map(|value| value.trim().to_owned());
    let number = |name: &str| v3_number(params, name, Java::Long);
    let seq = |name: &str| -> Result<Option<u64>, Refusal> { Ok(number(name)?.and_then(|n| u64::try_from(n).ok())) };
    let limit = number("limit")?.unwrap_or(USUAL).clamp(1, MOST);
    let mut filter = Filter {
        from: past::moment(params, "from", now)?,
        to: past::moment(params, "to", now)?,
        without_findings: !v3_bool(params, "findings", false)?,
        kinds: params.or("kind", "").split(',').map(str::trim).filter(|k| !k.is_empty()).map(str::to_owned).collect(),
        namespace: text("namespaceId"),
        group: text("groupName"),
        service: text("service"),
        data_id: text("config"),
        instance: text("instance"),
        client: text("client"),
        text: text("text"),
        before: seq("before")?,
        after: seq("after")?,
        oldest_first: params.get("order").is_some_and(|order| order.eq_ignore_ascii_case("asc")),
        limit: usize::try_from(limit).unwrap_or(1),
    };
    // A config may be given whole, as listener queries show it: dataId+group+namespace.
    if let Some(key) = filter.data_id.as_deref().filter(|id| id.contains('+')).and_then(names::parse_group_key) {
        filter.data_id = Some(key.data_id.to_string());
        filter.group = Some(key.group.to_string());
        filter.namespace.get_or_insert_with(|| key.namespace.to_string());
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Filter {
        let mut params = Params::default();
        params.add_urlencoded(query.as_bytes());
        filter(&params, 1_764_092_882_123).expect("filter")
    }

    #[test]
    fn kinds_are_a_list_and_limits_have_bounds() {
        let filter = of("kind=instanceRemoved,%20beatLate,&limit=100000&service=G@@s");
        assert_eq!(filter.kinds, ["instanceRemoved", "beatLate"]);
        assert_eq!(filter.limit, 1_000);
        assert_eq!(filter.service.as_deref(), Some("G@@s"));
        assert_eq!(of("limit=0").limit, 1);
        assert_eq!(of("").limit, 100);
    }

    #[test]
    fn moments_are_written_as_people_do() {
        assert_eq!(of("from=10m").from, Some(1_764_092_282_123));
        assert_eq!(of("from=1764092882000&to=now").to, Some(1_764_092_882_123));
        assert_eq!(of("").from, None);
    }

    #[test]
    fn a_config_may_be_named_by_its_group_key() {
        let filter = of("config=app.yaml%2BG%2Bdev");
        let parts = (filter.data_id.as_deref(), filter.group.as_deref(), filter.namespace.as_deref());
        assert_eq!(parts, (Some("app.yaml"), Some("G"), Some("dev")));
        assert_eq!(of("config=app.yaml").data_id.as_deref(), Some("app.yaml"));
    }
}

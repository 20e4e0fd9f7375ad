//! nacre's own API of explanations: what happened to an instance, client or config and why, and how the server's own
//! tasks are.

use nacre_config::names;
use nacre_journal::Filter;
use serde_json::{Value, json};

use super::{
    Ctx,
    bind::{Java, v3_bool, v3_number},
    params::Params,
    refuse::Refusal,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, GET, Generation, Row},
};
use crate::{app::App, now};

const AREA: (Generation, &str, Style) = (Generation::V3Admin, "diagnosis", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(GET, "/v3/admin/diagnosis/events", AREA, Auth::Admin, now!(events)).checked(Check::Off),
    Row::new(GET, "/v3/admin/diagnosis/workers", AREA, Auth::Admin, now!(workers)).checked(Check::Off),
];

/// Events of one answer when nothing else is asked for, and at most.
const USUAL: i64 = 100;
const MOST: i64 = 1_000;

/// Newest first. `why=true` with an `instance` tells its story: its own events and the coming and going of the clients
/// that published it.
fn events(app: &App, ctx: &Ctx) -> Answer {
    let filter = filter(&ctx.params)?;
    let events: Vec<Value> = match (filter.instance.as_deref(), v3_bool(&ctx.params, "why", false)?) {
        (Some(instance), true) => {
            let story = app.journal.why(instance, &filter, app.clock.now(), filter.limit);
            story.iter().map(|line| told(line.record.json(), &line.text)).collect()
        }
        _ => app.journal.query(&filter).iter().map(|record| record.json()).collect(),
    };
    Ok(Reply::result(json!({ "events": events })))
}

/// The event with the story's own sentence in place of the general one.
fn told(mut event: Value, text: &str) -> Value {
    event["text"] = text.into();
    event
}

fn workers(app: &App, _: &Ctx) -> Answer {
    Ok(Reply::result(json!({ "workers": app.workers.list() })))
}

fn filter(params: &Params) -> Result<Filter, Refusal> {
    let text = |name: &str| params.non_blank(name).map(|value| value.trim().to_owned());
    let number = |name: &str| v3_number(params, name, Java::Long);
    let seq = |name: &str| -> Result<Option<u64>, Refusal> { Ok(number(name)?.and_then(|n| u64::try_from(n).ok())) };
    let limit = number("limit")?.unwrap_or(USUAL).clamp(1, MOST);
    let mut filter = Filter {
        from: number("from")?,
        to: number("to")?,
        kinds: params.or("kind", "").split(',').map(str::trim).filter(|k| !k.is_empty()).map(str::to_owned).collect(),
        namespace: text("namespaceId"),
        group: text("groupName"),
        service: text("service"),
        data_id: text("config"),
        instance: text("instance"),
        client: text("client"),
        before: seq("before")?,
        after: seq("after")?,
        oldest_first: false,
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
        filter(&params).expect("filter")
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
    fn a_config_may_be_named_by_its_group_key() {
        let filter = of("config=app.yaml%2BG%2Bdev");
        let parts = (filter.data_id.as_deref(), filter.group.as_deref(), filter.namespace.as_deref());
        assert_eq!(parts, (Some("app.yaml"), Some("G"), Some("dev")));
        assert_eq!(of("config=app.yaml").data_id.as_deref(), Some("app.yaml"));
    }
}

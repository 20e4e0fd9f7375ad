//! Capacity of groups and namespaces.

use std::sync::Arc;

use nacre_config::{CapacityRules, CapacityScope, CapacityView, ConfigCommand, SetCapacity, names};
use nacre_model::{ErrorCode, NacosError};
use nacre_wire::http::config::Capacity;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Java, v1_number_opt, v3_form_number},
        params::Params,
        refuse::Refusal,
        reply::{JSON_UTF8, Reply},
        table::Answer,
    },
};

const NO_SCOPE: &str = "The parameter group and tenant cannot be empty at the same time";
const NO_VALUES: &str = "The parameters quota, maxSize, maxAggrCount, maxAggrSize cannot be empty at the same time";
const NO_SCOPE_V3: &str = "At least one of the parameters (groupName or namespaceId) must be provided";

/// The values of a change; all absent changes nothing.
type Values = [Option<i32>; 4];
const NAMES: [&str; 4] = ["quota", "maxSize", "maxAggrCount", "maxAggrSize"];

fn defaults(app: &App) -> CapacityRules {
    app.live().rules.capacity.clone().unwrap_or_else(|| app.props.capacity_rules())
}

async fn set(app: &App, scope: CapacityScope, values: Values) -> Result<(), NacosError> {
    let [quota, max_size, max_aggr_count, max_aggr_size] = values;
    let defaults = defaults(app);
    let set = SetCapacity { scope, quota, max_size, max_aggr_count, max_aggr_size, defaults };
    app.write_config(ConfigCommand::SetCapacity(set)).await.map(drop)
}

/// The row of a scope; the first question makes it.
async fn view(app: &App, scope: &CapacityScope) -> Result<CapacityView, NacosError> {
    let defaults = defaults(app);
    if let Some(view) = app.configs.capacity(scope, &defaults) {
        return Ok(view);
    }
    set(app, scope.clone(), [None; 4]).await?;
    let view = app.configs.capacity(scope, &defaults);
    view.ok_or_else(|| NacosError::server("the capacity row was made and is not there"))
}

/// The row with the member that names its scope at the end.
fn body(view: &CapacityView, name: &str, value: &str) -> Value {
    let mut body = json!(Capacity {
        id: view.id,
        quota: view.quota,
        usage: view.usage,
        max_size: view.max_size,
        max_aggr_count: view.max_aggr_count,
        max_aggr_size: view.max_aggr_size,
        gmt_create: None,
        gmt_modified: None,
    });
    body[name] = value.into();
    body
}

fn narrowed(number: Option<i64>) -> Option<i32> {
    number.and_then(|number| i32::try_from(number).ok())
}

// v1

/// A namespace wins over a group; the blank group is the whole cluster.
fn v1_scope(params: &Params) -> Result<(CapacityScope, &'static str, &str), &'static str> {
    match (params.get("tenant"), params.get("group")) {
        (Some(tenant), _) if !tenant.trim().is_empty() => {
            Ok((CapacityScope::Tenant(names::namespace_3x(tenant).into()), "tenant", tenant))
        }
        (_, Some(group)) if group.trim().is_empty() => Ok((CapacityScope::Cluster, "group", "")),
        (_, Some(group)) => Ok((CapacityScope::Group(group.into()), "group", group)),
        (Some(_), None) => Err("tenant cannot be an empty string"),
        (None, None) => Err(NO_SCOPE),
    }
}

pub(super) async fn v1_get(app: Arc<App>, ctx: Ctx) -> Answer {
    match v1_scope(&ctx.params) {
        Ok((scope, name, value)) => {
            let view = view(&app, &scope).await?;
            Ok(Reply::rest(None, body(&view, name, value)).typed(JSON_UTF8))
        }
        Err(text) => Ok(Reply::rest_code(400, Some(text), Value::Null).typed(JSON_UTF8).status(400)),
    }
}

/// What a change is about: not the whole cluster, and of the two the namespace counts, even when it is blank.
fn v1_changed<'a>(params: &'a Params, values: &Values) -> Result<(CapacityScope, &'static str, &'a str), &'static str> {
    let found = v1_scope(params).ok().filter(|(scope, ..)| *scope != CapacityScope::Cluster).ok_or(NO_SCOPE)?;
    match (&found.0, params.get("tenant")) {
        _ if values.iter().all(Option::is_none) => Err(NO_VALUES),
        (CapacityScope::Group(_), Some(_)) => Err("parameter tenant is empty."),
        _ => Ok(found),
    }
}

pub(super) async fn v1_set(app: Arc<App>, ctx: Ctx) -> Answer {
    let mut values: Values = [None; 4];
    for (value, name) in values.iter_mut().zip(NAMES) {
        *value = narrowed(v1_number_opt(&ctx.params, name, Java::Integer)?);
    }
    let refused = |text: &str| Ok(Reply::rest_code(400, Some(text), false).typed(JSON_UTF8).status(400));
    let (scope, name, value) = match v1_changed(&ctx.params, &values) {
        Ok(changed) => changed,
        Err(text) => return refused(text),
    };
    set(&app, scope, values).await?;
    let text = format!("successfully updated the capacity information configuration of {name} to {value}");
    Ok(Reply::rest(Some(&text), true).typed(JSON_UTF8))
}

// v3

fn v3_scope(params: &Params) -> Result<(CapacityScope, &'static str, &str), NacosError> {
    match (params.non_blank("namespaceId"), params.non_blank("groupName")) {
        (Some(namespace), _) => {
            Ok((CapacityScope::Tenant(names::namespace_3x(namespace).into()), "namespaceId", namespace))
        }
        (None, Some(group)) => Ok((CapacityScope::Group(group.into()), "groupName", group)),
        (None, None) => Err(NacosError::new(400, ErrorCode::PARAMETER_MISSING, NO_SCOPE_V3)),
    }
}

pub(super) async fn v3_get(app: Arc<App>, ctx: Ctx) -> Answer {
    let (scope, name, value) = v3_scope(&ctx.params)?;
    Ok(Reply::result(body(&view(&app, &scope).await?, name, value)))
}

pub(super) async fn v3_set(app: Arc<App>, ctx: Ctx) -> Answer {
    let mut values: Values = [None; 4];
    for (value, name) in values.iter_mut().zip(NAMES) {
        *value = narrowed(v3_form_number(&ctx.params, name, Java::Integer, 0)?);
    }
    let (scope, ..) = v3_scope(&ctx.params)?;
    if values.iter().all(Option::is_none) {
        return Err(Refusal::from(NacosError::new(400, ErrorCode::PARAMETER_MISSING, NO_VALUES)));
    }
    set(&app, scope, values).await?;
    Ok(Reply::result(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(query: &str) -> Result<CapacityScope, &'static str> {
        let mut params = Params::default();
        params.add_urlencoded(query.as_bytes());
        v1_scope(&params).map(|(scope, ..)| scope)
    }

    #[test]
    fn v1_scopes_are_found_as_the_reference_finds_them() {
        assert_eq!(scope(""), Err(NO_SCOPE));
        assert_eq!(scope("tenant="), Err("tenant cannot be an empty string"));
        assert_eq!(scope("group="), Ok(CapacityScope::Cluster));
        assert_eq!(scope("group=%20%20&tenant="), Ok(CapacityScope::Cluster));
        assert_eq!(scope("group=G"), Ok(CapacityScope::Group("G".into())));
        assert_eq!(scope("group=G&tenant=dev"), Ok(CapacityScope::Tenant("dev".into())));
    }
    #[test]
    fn v1_changes_name_a_group_or_a_namespace_that_is_there() {
        let changed = |query: &str, quota| {
            let mut params = Params::default();
            params.add_urlencoded(query.as_bytes());
            v1_changed(&params, &[quota, None, None, None]).map(|(scope, ..)| scope)
        };
        for blank in ["", "group=", "group=+", "tenant=&group=", "tenant="] {
            assert_eq!(changed(blank, Some(1)), Err(NO_SCOPE), "{blank}");
        }
        assert_eq!(changed("tenant=&group=G", None), Err(NO_VALUES));
        assert_eq!(changed("tenant=&group=G", Some(1)), Err("parameter tenant is empty."));
        assert_eq!(changed("group=G", Some(1)), Ok(CapacityScope::Group("G".into())));
        assert_eq!(changed("group=+&tenant=dev", Some(1)), Ok(CapacityScope::Tenant("dev".into())));
    }
}

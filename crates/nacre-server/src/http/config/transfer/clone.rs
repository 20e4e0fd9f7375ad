//! Clone: configs into another namespace, by their ids.

use std::sync::Arc;

use nacre_config::{CloneConfigs, CloneItem, ConfigCommand, ConfigReply, check, names};
use nacre_model::{ErrorCode, NacosError};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    super::write,
    words::{Failure, Words, nothing, result},
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{api_missing, other_type, v1_text},
        refuse::Refusal,
        table::Answer,
    },
};

/// Configs of one clone. More are a mistake.
const CLONES: usize = 10_000;

/// One config of a clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cloned {
    id: Option<u64>,
    data_id: Option<String>,
    group: Option<String>,
}

/// In the words of 1.x, 2.x and the console of 3.x.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OfConsole {
    #[serde(deserialize_with = "number_or_text")]
    cfg_id: Option<u64>,
    data_id: Option<String>,
    group: Option<String>,
}

impl From<OfConsole> for Cloned {
    fn from(of: OfConsole) -> Self {
        Self { id: of.cfg_id, data_id: of.data_id, group: of.group }
    }
}

/// In the words of 3.x's admin API.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OfAdmin {
    #[serde(deserialize_with = "number_or_text")]
    config_id: Option<u64>,
    target_data_id: Option<String>,
    target_group_name: Option<String>,
}

impl From<OfAdmin> for Cloned {
    fn from(of: OfAdmin) -> Self {
        Self { id: of.config_id, data_id: of.target_data_id, group: of.target_group_name }
    }
}

fn number_or_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_u64()),
        Value::String(text) => text.trim().parse().map(Some).map_err(serde::de::Error::custom),
        other => Err(serde::de::Error::custom(format!("{other} is no id"))),
    }
}

async fn clone_into(app: &App, ctx: &Ctx, namespace: &str, user: &str, words: Words, wanted: Vec<Cloned>) -> Answer {
    let policy = words.policy(ctx)?;
    if wanted.is_empty() {
        return Ok(words.failed(Failure::NothingSelected));
    }
    if wanted.len() > CLONES {
        return Err(NacosError::invalid(format!("more than {CLONES} configs in one call")).into());
    }
    if !app.configs.namespace_exists(namespace) {
        return Ok(words.failed(Failure::NoNamespace));
    }
    let known = |item: &Cloned| item.id.is_some_and(|id| app.configs.key_of(id).is_some());
    if !wanted.iter().any(known) {
        return Ok(words.failed(Failure::Empty(nothing())));
    }
    for item in &wanted {
        check::key(name_or_source(&item.data_id), name_or_source(&item.group))?;
    }
    let items = wanted
        .into_iter()
        .map(|item| CloneItem {
            id: item.id.unwrap_or(0),
            data_id: item.data_id.unwrap_or_default(),
            group: item.group.unwrap_or_default(),
        })
        .collect();
    let command = CloneConfigs {
        items,
        namespace: namespace.into(),
        policy,
        source: write::source(ctx, user),
        rules: app.live().rules.clone(),
    };
    match app.write_config(ConfigCommand::Clone(command)).await? {
        ConfigReply::Imported(report) => Ok(words.done("Clone Completed Successfully", &result(report, Vec::new()))),
        other => Err(write::unexpected(&other).into()),
    }
}

/// A blank name is that of the source, which is a legal one.
fn name_or_source(given: &Option<String>) -> Option<&str> {
    given.as_deref().filter(|name| !name.trim().is_empty()).or(Some("source"))
}

/// The JSON list of a clone's body, by id. Of several wishes for one config the first counts.
fn wanted<T: DeserializeOwned + Into<Cloned>>(ctx: &Ctx) -> Result<Vec<Cloned>, String> {
    if ctx.body.is_empty() {
        return Err("Required request body is missing: public list of configs".into());
    }
    let wanted: Result<Vec<Option<T>>, _> = serde_json::from_slice(&ctx.body);
    let wanted = wanted.map_err(|error| format!("JSON parse error: {error}"))?;
    let mut wanted: Vec<Cloned> = wanted.into_iter().flatten().map(T::into).collect();
    wanted.sort_by_key(|cloned| cloned.id);
    wanted.dedup_by_key(|cloned| cloned.id);
    Ok(wanted)
}

/// The type of a body that is not JSON, as the reference's container tells it.
fn foreign_type(ctx: &Ctx) -> Option<String> {
    if ctx.body.is_empty() {
        return None;
    }
    let given = ctx.header("content-type").map(str::trim).filter(|given| !given.is_empty());
    let given = given.unwrap_or("application/octet-stream");
    let mut essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return None;
    }
    let told = given.to_ascii_lowercase().contains("charset=") || essence == "application/octet-stream";
    if told {
        return Some(given.to_owned());
    }
    essence.push_str(";charset=UTF-8");
    Some(essence)
}

/// `POST /v1/cs/configs?clone=true`.
pub(in crate::http::config) async fn v1_clone(app: &App, ctx: &Ctx) -> Answer {
    let namespace = names::namespace_2x(v1_text(&ctx.params, "tenant")?);
    if let Some(foreign) = foreign_type(ctx) {
        return Err(Refusal::exception(format!("Content type '{foreign}' not supported")));
    }
    let wanted = wanted::<OfConsole>(ctx).map_err(Refusal::exception)?;
    clone_into(app, ctx, namespace, "src_user", Words::V1, wanted).await
}

async fn v3_clone<T: DeserializeOwned + Into<Cloned>>(app: &App, ctx: &Ctx, target: &str, user: &str) -> Answer {
    let given = ctx.params.get(target).ok_or_else(|| api_missing(target, "String"))?;
    if let Some(other) = other_type(ctx).filter(|_| !ctx.body.is_empty()) {
        let text = format!("Content-Type '{other}' is not supported");
        return Err(NacosError::new(400, ErrorCode::MEDIA_TYPE_ERROR, text).into());
    }
    let missing = |text: String| NacosError::new(400, ErrorCode::PARAMETER_MISSING, text);
    let wanted = wanted::<T>(ctx).map_err(missing)?;
    clone_into(app, ctx, names::namespace_3x(given), user, Words::V3, wanted).await
}

/// `POST /v3/admin/cs/config/clone`.
pub(in crate::http::config) async fn admin_clone(app: Arc<App>, ctx: Ctx) -> Answer {
    v3_clone::<OfAdmin>(&app, &ctx, "namespaceId", "src_user").await
}

/// `POST /v3/console/cs/config/clone`.
pub(in crate::http::config) async fn console_clone(app: Arc<App>, ctx: Ctx) -> Answer {
    v3_clone::<OfConsole>(&app, &ctx, "targetNamespaceId", "srcUser").await
}

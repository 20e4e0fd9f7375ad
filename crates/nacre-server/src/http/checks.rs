//! The parameter check in front of every handler (spec/http-api.md 7): gathers what a request says about itself, by the
//! names that the reference's extractors accept, and lets [`nacre_model::check`] judge it.

use std::sync::Arc;

use nacre_config::namespace;
use nacre_model::{Metadata, NacosError, check, key::split_separator};
use nacre_naming::{BeatInfo, lenient, parse_metadata};
use serde::Deserialize;

use super::{
    Ctx,
    naming::unreadable,
    refuse::{self, Refusal},
    reply::{JSON_UTF8, Reply},
    table::{Check, Generation, Row},
};

/// What the check had to parse; handlers use it instead of parsing again.
#[derive(Debug, Default)]
pub struct Parsed {
    pub metadata: Option<Arc<Metadata>>,
    pub beat: Option<BeatInfo>,
    /// The namespace was judged and is one that there can be.
    pub namespace: bool,
}

/// Checks the request of `row`; `Ok(Some)` is the refusal of the check itself. Parameters that are no JSON where the
/// check reads JSON fail outside of any handler, with the container's error page.
pub fn check_params(ctx: &mut Ctx, row: &Row, metadata_length: usize) -> Result<Option<Reply>, Refusal> {
    let outcome = match (row.module, row.check) {
        (_, Check::Off) => return Ok(None),
        ("naming", how) => naming(ctx, row.generation, how, metadata_length)?,
        (_, Check::Console) => console(ctx, metadata_length),
        (_, how) => {
            let search = ctx.params.first("search");
            let outcome = check::check(&config(ctx, row.generation, how, search), metadata_length);
            ctx.parsed.namespace = search.is_none() && outcome.is_ok();
            outcome
        }
    };
    let reply = outcome.err().map(|text| refuse::param_check(&text));
    // Below `/v1/cs` a filter of the reference presets the type.
    Ok(if row.path.starts_with("/v1/cs/") { reply.map(|reply| reply.typed(JSON_UTF8)) } else { reply })
}

fn naming(ctx: &mut Ctx, generation: Generation, how: Check, limit: usize) -> Result<Result<(), String>, Refusal> {
    let metadata = match how {
        Check::Params | Check::Batch => ctx.params.first("metadata").filter(|text| !text.trim().is_empty()),
        _ => None,
    };
    let metadata = metadata.map(parse_metadata).transpose().map_err(|error| not_readable(generation, &error))?;
    let instances = match (how, ctx.params.first_non_blank("instances")) {
        (Check::Batch, Some(text)) => Some(BatchTarget::parse(text).map_err(|_| unreadable_targets(generation, text))?),
        _ => None,
    };
    let beat = match (how, ctx.params.first_non_blank("beat")) {
        (Check::Beat, Some(text)) => Some(BeatInfo::parse(text).map_err(|_| unreadable_beat(generation, text))?),
        _ => None,
    };
    let mut outcome = check::check(&naming_info(ctx, how, metadata.as_ref()), limit);
    if let (Ok(()), Some(beat)) = (&outcome, &beat) {
        outcome = check_target(Some(&beat.ip), beat.port, Some(&beat.cluster), limit);
    }
    for target in instances.iter().flatten() {
        if outcome.is_ok() {
            outcome = check_target(target.ip.as_deref(), target.port, target.cluster_name.as_deref(), limit);
        }
    }
    ctx.parsed = Parsed { metadata: metadata.map(Arc::new), beat, namespace: outcome.is_ok() };
    Ok(outcome)
}

fn naming_info<'a>(ctx: &'a Ctx, how: Check, metadata: Option<&'a Metadata>) -> check::ParamInfo<'a> {
    let params = &ctx.params;
    let first = |names: &[&str]| names.iter().find_map(|name| params.first_non_blank(name));
    let whole = how == Check::Params;
    let service = if whole { first(&["serviceName", "serviceNameParam"]) } else { first(&["serviceName"]) };
    let group = if whole { first(&["groupName", "groupNameParam"]) } else { first(&["groupName"]) };
    let (group, service) = match service.and_then(split_separator) {
        Some((group, name)) => (Some(group), Some(name)),
        None => (group, service),
    };
    let mut info =
        check::ParamInfo { namespace: first(&["namespaceId"]), group, service, metadata, ..Default::default() };
    match how {
        Check::Params => {
            info.cluster = first(&["clusterName", "cluster"]);
            info.ip = first(&["ip"]);
            info.port = first(&["port", "checkPort"]);
        }
        Check::List => info.clusters = first(&["clusters"]),
        Check::Beat => {
            info.ip = first(&["ip"]);
            info.port = first(&["port"]);
        }
        Check::Batch | Check::Config | Check::Search | Check::Console | Check::Off => {}
    }
    info
}

fn check_target(ip: Option<&str>, port: i32, cluster: Option<&str>, limit: usize) -> Result<(), String> {
    // A number that is a port needs no text to be looked at.
    let port = (!(0..=65_535).contains(&port)).then(|| port.to_string());
    check::check(&check::ParamInfo { ip, port: port.as_deref(), cluster, ..Default::default() }, limit)
}

/// Config: every name that its extractors accept.
fn config<'a>(ctx: &'a Ctx, generation: Generation, how: Check, search: Option<&str>) -> check::ParamInfo<'a> {
    let params = &ctx.params;
    let first = |names: &[&str]| names.iter().find_map(|name| params.first_non_blank(name));
    let (data_id, group) = (first(&["dataId"]), first(&["group"]));
    match how {
        Check::Config | Check::Search if search == Some("blur") => check::ParamInfo::default(),
        // Searches of v3 say `namespaceId` and `groupName`: what those hold is not looked at.
        Check::Search => check::ParamInfo { namespace: first(&["tenant"]), data_id, group, ..Default::default() },
        Check::Config if search == Some("accurate") => {
            check::ParamInfo { namespace: first(&["tenant"]), data_id, group, ..Default::default() }
        }
        _ => check::ParamInfo {
            namespace: first(&["namespaceId", "tenant", "namespace"]),
            data_id,
            group: match generation {
                Generation::V1 | Generation::V2 => group,
                _ => first(&["groupName"]).or(group),
            },
            ip: first(&["ip"]),
            ..Default::default()
        },
    }
}

/// The console: what a namespace is called and known by.
fn console(ctx: &Ctx, metadata_length: usize) -> Result<(), String> {
    let params = &ctx.params;
    show_name(params.first("namespaceName"))?;
    let namespace = params.first_non_blank("namespaceId").or_else(|| params.first_non_blank("customNamespaceId"));
    check::check(&check::ParamInfo { namespace, ..Default::default() }, metadata_length)
}

/// The name of a namespace has a rule of its own.
fn show_name(name: Option<&str>) -> Result<(), String> {
    let Some(name) = name.filter(|name| !name.trim().is_empty()) else { return Ok(()) };
    if name.encode_utf16().count() > 256 {
        return Err("Param 'namespaceShowName' is illegal, the param length should not exceed 256.".into());
    }
    if namespace::check_name(name).is_err() {
        return Err("Param 'namespaceShowName' is illegal, illegal characters should not appear in the param.".into());
    }
    Ok(())
}

/// One member of the `instances` parameter of the metadata batch APIs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BatchTarget {
    pub ip: Option<String>,
    #[serde(deserialize_with = "port")]
    pub port: i32,
    pub cluster_name: Option<String>,
    /// What the caller takes it for; only its answer says it again.
    #[serde(deserialize_with = "truth")]
    pub ephemeral: bool,
}

impl Default for BatchTarget {
    fn default() -> Self {
        Self { ip: None, port: 0, cluster_name: None, ephemeral: true }
    }
}

/// A number, or the text of one, as the reference reads JSON.
fn port<'de, D: serde::Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    let given = serde_json::Value::deserialize(from)?;
    lenient::whole(&given).ok_or_else(|| serde::de::Error::custom("a port that is no number"))
}

/// A truth value, or the text of one, as the reference reads JSON (and as its documentation writes it).
fn truth<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let given = serde_json::Value::deserialize(from)?;
    lenient::truth(&given).ok_or_else(|| serde::de::Error::custom("a truth value that is none"))
}

impl BatchTarget {
    /// What follows the list is not looked at.
    pub fn parse(text: &str) -> Result<Vec<Self>, NacosError> {
        Deserialize::deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(|_| NacosError::runtime(101, "Nacos deserialize for class [List<Instance>] failed. "))
    }
}

/// The filter chain's own failure. 1.x paths below `/v1/ns` pass one more filter, which adds its words and the cause.
fn not_readable(generation: Generation, error: &NacosError) -> Refusal {
    let text =
        if error.runtime { error.client_text() } else { format!("ErrCode:{}, ErrMsg:{}", error.status, error.message) };
    failed(generation, text, &error.message)
}

fn unreadable_beat(generation: Generation, text: &str) -> Refusal {
    const CLASS: &str = "com.alibaba.nacos.naming.healthcheck.RsInfo";
    no_json(generation, CLASS, unreadable::complaint(text, CLASS))
}

fn unreadable_targets(generation: Generation, text: &str) -> Refusal {
    if text.trim() == "null" {
        let nothing = "Cannot invoke \"java.util.List.iterator()\" because \"targetInstances\" is null";
        return match generation {
            Generation::V1 => Refusal::container(500, format!("Server failed, caused: {nothing};")),
            _ => Refusal::container(500, nothing.to_owned()),
        };
    }
    const CLASS: &str = "com.alibaba.nacos.naming.paramcheck.NamingInstanceMetadataBatchHttpParamExtractor$1";
    no_json(generation, CLASS, unreadable::list_complaint(text, "com.alibaba.nacos.api.naming.pojo.Instance"))
}

fn no_json(generation: Generation, class: &str, complaint: Option<String>) -> Refusal {
    let complaint = complaint.unwrap_or_else(|| "a member has a value of another type".into());
    let message =
        format!("errCode: 101, errMsg: Nacos deserialize for class [{class}] failed, cause error[{complaint}].  ");
    failed(generation, message, &complaint)
}

fn failed(generation: Generation, text: String, cause: &str) -> Refusal {
    match generation {
        Generation::V1 => Refusal::container(500, format!("Server failed, caused: {text};caused: {cause};")),
        _ => Refusal::container(500, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn show_names_have_a_rule_of_their_own() {
        assert!(show_name(Some("开发")).is_ok());
        assert!(show_name(Some("")).is_ok());
        assert!(show_name(Some("a@b")).unwrap_err().contains("illegal characters"));
        assert!(show_name(Some(&"a".repeat(257))).unwrap_err().contains("exceed 256"));
    }
}

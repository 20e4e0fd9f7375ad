//! The filters in front of `/v1/ns`: URL limits and the server's status, and the grouping of `serviceName`.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use nacre_model::{
    DEFAULT_GROUP,
    key::{GROUP_SEPARATOR, split_separator},
};

use super::read::{check_grouped, trimmed};
use crate::{
    app::App,
    http::{params::Params, refuse::Refusal, reply::Reply},
};

/// Statuses an operator can force by the switch `overriddenServerStatus`; other words are ignored.
const STATUSES: [&str; 6] = ["UP", "DOWN", "STARTING", "PAUSED", "WRITE_ONLY", "READ_ONLY"];

/// The status the naming module shows of itself.
pub fn server_status(app: &App) -> &'static str {
    let switches = app.naming.switches();
    let forced = switches.forced_status().and_then(|word| STATUSES.iter().find(|status| **status == word));
    forced.copied().unwrap_or(if app.is_starting() { "STARTING" } else { "UP" })
}

/// Refuses by `limitedUrlMap` and by the server's status. The switches themselves stay reachable, or nobody could take a
/// forced status back.
pub fn traffic(app: &App, method: &Method, inner: &str, uri: &Uri, headers: &HeaderMap) -> Option<Reply> {
    let switches = app.naming.switches();
    if !switches.limited_url_map.is_empty() {
        // Without a query the reference compares with the word `null` behind the question mark.
        let url = format!("{}?{}", uri.path(), uri.query().unwrap_or("null"));
        let limited = switches.limited_url_map.iter().find(|(prefix, _)| url.starts_with(prefix.as_str()));
        if let Some((_, status)) = limited {
            return Some(Reply::empty(u16::try_from(*status).unwrap_or(500)));
        }
    }
    if switches.forced_status().is_none() && !app.is_starting() {
        return None;
    }
    let status = server_status(app);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    let agent = header("user-agent").or_else(|| header("client-version")).unwrap_or("");
    let passes = status == "UP"
        || agent.starts_with("Nacos-Server")
        || matches!(inner, "/v1/ns/operator/switches" | "/v1/ns/ops/switches")
        || (status == "WRITE_ONLY" && method != Method::GET)
        || (status == "READ_ONLY" && method == Method::GET);
    if passes {
        return None;
    }
    let mut reply = Reply::empty(503);
    // No blank before `now`: so the reference says it.
    reply.body = Bytes::from(format!("server is {status}now, please try again later!"));
    Some(reply)
}

/// Puts the group in front of a bare `serviceName`. A name that cannot be grouped is refused before any handler.
pub fn group_service_name(params: &mut Params) -> Result<(), Refusal> {
    let Some(given) = params.first_non_blank("serviceName") else { return Ok(()) };
    let name = trimmed(given);
    let grouped = if split_separator(name).is_some() {
        name.to_owned()
    } else {
        [params.first_non_blank("groupName").unwrap_or(DEFAULT_GROUP), GROUP_SEPARATOR, name].concat()
    };
    if let Err(error) = check_grouped(&grouped) {
        return Err(Refusal::container(400, format!("Service name filter error,caused: {};", error.message)));
    }
    if grouped != given || params.is_repeated("serviceName") {
        params.set("serviceName", &grouped);
    }
    Ok(())
}

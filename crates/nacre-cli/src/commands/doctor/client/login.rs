//! Authentication: whether the server wants it, and whether what was given is enough.

use serde_json::Value;

use super::{
    super::step::{State, Step},
    web::Server,
};
use crate::{
    api::{Client, Login, is_gone, said},
    http::{self, Params, Request, Response},
};

const ID: &str = "login";
/// A token that lives shorter than this is renewed all the time.
const SHORT: i64 = 300;

/// The step, and the token when there is one.
pub async fn check(client: &Client, server: &Server) -> (Step, Option<String>) {
    let wanted = wanted(client).await.or(server.auth);
    let Some(login) = &client.login else {
        return (without(wanted), None);
    };
    match log_in(client, login).await {
        Ok(response) => with(login, wanted, &response),
        Err(error) => (Step::fail(ID, "PATH-LOGIN-FAILED", error.to_string()), None),
    }
}

/// Whether reading without a token is refused.
async fn wanted(client: &Client) -> Option<bool> {
    let v1 = Params::default().with("dataId", "nacre-doctor").with("group", "NACRE_DOCTOR");
    let v3 = Params::default()
        .with("dataId", "nacre-doctor")
        .with("groupName", "NACRE_DOCTOR")
        .with("namespaceId", client.namespace_name());
    for request in [Request::get("/v1/cs/configs", v1), Request::get("/v3/client/cs/config", v3)] {
        let response = http::send(&client.address, &client.trust, &request).await.ok()?;
        if matches!(response.status, 401 | 403) {
            return Some(true);
        }
        if !is_gone(&response) {
            return Some(false);
        }
    }
    None
}

fn without(wanted: Option<bool>) -> Step {
    match wanted {
        Some(true) => Step::warn(ID, "PATH-LOGIN-NEEDED", "the server wants a login, and none was given")
            .means("Reads without a token are refused (403). What needs a login is left out of this check.")
            .remedy(
                "--username NAME and --password TEXT, or NACRE_USERNAME and NACRE_PASSWORD, with what the client has",
            ),
        Some(false) => {
            Step::ok(ID, "authentication is off: the server answers without a login").figure("wanted", false)
        }
        None => Step::skipped(ID, "the server does not tell whether it wants a login"),
    }
}

async fn log_in(client: &Client, login: &Login) -> crate::error::Outcome<Response> {
    let form = || Params::default().with("username", &login.username).with("password", &login.password);
    let mut response = http::send(&client.address, &client.trust, &Request::post("/v1/auth/login", form())).await?;
    if is_gone(&response) {
        response = http::send(&client.address, &client.trust, &Request::post("/v3/auth/user/login", form())).await?;
    }
    Ok(response)
}

fn with(login: &Login, wanted: Option<bool>, response: &Response) -> (Step, Option<String>) {
    let json = response.json().unwrap_or_default();
    let answer = if json["data"].is_object() { &json["data"] } else { &json };
    let token = answer["accessToken"].as_str().map(str::to_owned);
    if response.status != 200 || token.is_none() {
        if wanted == Some(false) {
            return (
                Step::new(ID, State::Note, "authentication is off: the login given is not needed and was not taken"),
                None,
            );
        }
        let step = Step::fail(ID, "PATH-LOGIN-REFUSED", format!("login as {} is refused: {}", login.username, said(response)))
            .means("Clients with this login register nothing and read nothing: every call of theirs ends with 403.")
            .remedy("check name and password on the console; a server with another nacos.core.auth.plugin.nacos.token.secret.key refuses tokens of its fellows");
        return (step, None);
    }
    let ttl = answer["tokenTtl"].as_i64();
    let title = format!(
        "login as {} works; the token lives {}",
        login.username,
        ttl.map_or_else(|| "for a time that is not told".to_owned(), |ttl| crate::time::span(ttl.saturating_mul(1000)))
    );
    let step = match ttl {
        Some(ttl) if ttl < SHORT => Step::warn(ID, "PATH-TOKEN-SHORT", title)
            .means("Clients renew a token shortly before it ends; with so short a life a single slow answer leaves them with an expired one (403).")
            .remedy("nacos.core.auth.plugin.nacos.token.expire.seconds=18000 on the server"),
        _ => Step::ok(ID, title),
    };
    let step = step
        .figure("tokenTtl", ttl)
        .figure("wanted", wanted)
        .figure("globalAdmin", answer.get("globalAdmin").cloned().unwrap_or(Value::Null));
    (step, token)
}

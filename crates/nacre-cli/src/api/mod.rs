//! The public HTTP APIs of a Nacos server, as far as the commands need them.
//!
//! One server may be of any generation. Calls that 1.x, 2.x and 3.x share (v1) go first; where a 3.x server has retired the
//! path (404 or 410) its v3 counterpart is asked. An API of nacre's own says so when it is missing.

pub mod cluster;
pub mod config;
pub mod journal;
pub mod naming;
pub mod state;
pub mod timeline;

use serde_json::Value;

use crate::{
    address::Address,
    error::{CliError, Outcome},
    http::{self, Params, Request, Response},
    tls::Trust,
};

/// A name and password.
#[derive(Clone)]
pub struct Login {
    pub username: String,
    pub password: String,
}

/// A server, and who we are to it.
pub struct Client {
    pub address: Address,
    /// As the user wrote it; `""` is the public one.
    pub namespace: String,
    pub login: Option<Login>,
    pub trust: Trust,
    token: tokio::sync::OnceCell<String>,
}

impl Client {
    pub fn new(address: Address, namespace: String, login: Option<Login>, trust: Trust) -> Self {
        let namespace = if namespace == "public" { String::new() } else { namespace };
        Self { address, namespace, login, trust, token: tokio::sync::OnceCell::new() }
    }

    /// The same user at another server or namespace.
    pub fn beside(&self, address: Option<Address>, namespace: Option<String>) -> Self {
        let address = address.unwrap_or_else(|| self.address.clone());
        Self::new(address, namespace.unwrap_or_else(|| self.namespace.clone()), self.login.clone(), self.trust.clone())
    }

    /// The namespace as people call it.
    pub fn namespace_name(&self) -> &str {
        if self.namespace.is_empty() { "public" } else { &self.namespace }
    }

    /// v1 naming and config leave the parameter out for the public namespace.
    pub fn tenant(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|ns| !ns.is_empty())
    }

    /// Sends a request as the user who is logged in.
    pub async fn send(&self, mut request: Request) -> Outcome<Response> {
        if let Some(login) = &self.login {
            let token = self.token.get_or_try_init(|| self.log_in(login)).await?;
            request.query = request.query.with("accessToken", token);
        }
        http::send(&self.address, &self.trust, &request).await
    }

    /// Every generation's login; the token is `""` on a server without authentication.
    async fn log_in(&self, login: &Login) -> Outcome<String> {
        let form = || Params::default().with("username", &login.username).with("password", &login.password);
        let mut response = http::send(&self.address, &self.trust, &Request::post("/v1/auth/login", form())).await?;
        if is_gone(&response) {
            response = http::send(&self.address, &self.trust, &Request::post("/v3/auth/user/login", form())).await?;
        }
        if response.status != 200 {
            return Err(CliError::Denied(format!("login as {} was refused: {}", login.username, said(&response))));
        }
        let token = response.json().and_then(|json| {
            let inner = json.get("accessToken").or_else(|| json.get("data")?.get("accessToken"));
            inner.and_then(Value::as_str).map(str::to_owned)
        });
        Ok(token.unwrap_or_default())
    }

    /// Sends `first`; when the server no longer has it, `second`. The flag says which one answered.
    pub async fn either(&self, first: Request, second: Request) -> Outcome<(Generation, Response)> {
        let response = self.send(first).await?;
        if is_gone(&response) {
            return Ok((Generation::V3, self.send(second).await?));
        }
        Ok((Generation::V1, response))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    V1,
    V3,
}

/// Whether the server does not have the path at all, as against not having the thing asked for.
///
/// 3.x answers 410 on retired paths. A path nobody knows is Spring's or a container's 404: JSON with a `path`, or HTML.
pub fn is_gone(response: &Response) -> bool {
    match response.status {
        410 | 501 => true,
        404 => match response.json() {
            Some(json) => {
                json.get("path").is_some() || json["message"].as_str().is_some_and(|m| m.contains("No static resource"))
            }
            None => {
                let text = response.text();
                text.trim().is_empty()
                    || text.contains("<html")
                    || text.contains("No mapping")
                    || text.contains("not found: /")
            }
        },
        _ => false,
    }
}

/// What the server said was wrong, in one line: from `Result` JSON, Spring's error JSON, an HTML page, or text.
pub fn said(response: &Response) -> String {
    let text = response.text();
    let told = match response.json() {
        Some(json) => {
            let field =
                |name: &str| json.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
            let data = field("data");
            match (field("message").or_else(|| field("msg")).or_else(|| field("error")), data) {
                (Some(message), Some(data)) if data != message => format!("{message}: {data}"),
                (Some(message), _) => message,
                (None, Some(data)) => data,
                (None, None) => text.clone(),
            }
        }
        None if text.contains("<html") || text.contains("<HTML") => strip_tags(&text),
        None => text.clone(),
    };
    let told = told.trim().trim_start_matches("caused: ").trim_end_matches(';');
    let told: String = told.split_whitespace().collect::<Vec<_>>().join(" ");
    if told.is_empty() {
        format!("HTTP {}", response.status)
    } else {
        crate::output::printable(&crate::output::shortened(&told, 400))
    }
}

fn strip_tags(html: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                out.push(' ');
            }
            _ if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

/// Turns an answer that is not the hoped-for one into an error.
pub fn refused(response: &Response) -> CliError {
    let said = said(response);
    match response.status {
        401 | 403 => CliError::Denied(format!(
            "{said} (log in with --username and --password, or NACRE_USERNAME and NACRE_PASSWORD)"
        )),
        _ if is_gone(response) => CliError::Failed(format!("the server does not have this API: {said}")),
        _ => CliError::Failed(format!("the server refused: {said}")),
    }
}

/// The `data` of a `Result`, or the refusal.
pub fn data(response: &Response) -> Outcome<Value> {
    let Some(mut json) = response.json().filter(|_| response.status == 200) else { return Err(refused(response)) };
    match json.get("code").and_then(Value::as_i64) {
        Some(0 | 200) => Ok(json.get_mut("data").map(Value::take).unwrap_or_default()),
        Some(_) => Err(refused(response)),
        None => Ok(json),
    }
}

/// A text field; numbers are written out, everything else is `""`.
pub fn text(json: &Value, name: &str) -> String {
    match &json[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        Response { status, headers: ::http::HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn a_missing_path_is_told_from_a_missing_thing() {
        assert!(is_gone(&answer(410, "")));
        assert!(is_gone(&answer(404, r#"{"timestamp":"x","status":404,"error":"Not Found","path":"/nacos/v1/x"}"#)));
        assert!(is_gone(&answer(404, "<!doctype html><html><body>404</body></html>")));
        assert!(!is_gone(&answer(404, "config data not exist\n")));
        assert!(!is_gone(&answer(404, "no matched ip found!")));
        assert!(!is_gone(&answer(200, "")));
    }

    #[test]
    fn what_a_server_says_is_one_line() {
        assert_eq!(said(&answer(400, "caused: invalid dataId : a b;")), "invalid dataId : a b");
        assert_eq!(
            said(&answer(400, r#"{"code":20002,"message":"parameter validate error","data":"bad"}"#)),
            "parameter validate error: bad"
        );
        assert_eq!(said(&answer(500, "<html><h1>Oh</h1><p>no</p></html>")), "Oh no");
        assert_eq!(said(&answer(503, "")), "HTTP 503");
    }

    #[test]
    fn denials_have_their_own_code() {
        assert_eq!(refused(&answer(403, "unknown user!")).code(), 5);
        assert_eq!(refused(&answer(500, "x")).code(), 1);
    }
}

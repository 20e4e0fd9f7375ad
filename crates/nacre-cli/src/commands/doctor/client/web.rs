//! HTTP on the main port: who answers there, as whom, and what stands in between.

use std::time::SystemTime;

use serde_json::Value;

use super::{
    super::step::{State, Step},
    clock::Clock,
};
use crate::{
    address::Address,
    api::{Client, data, said, text},
    error::CliError,
    http::{self, Params, Request, Response},
};

const ID: &str = "http";
/// Where servers of the three generations say who they are.
const STATE: [&str; 2] = ["/v1/console/server/state", "/v3/admin/core/state"];
/// Contexts that are tried when the one given is not it.
const CONTEXTS: [&str; 3] = ["/nacos", "", "/nacos/nacos"];
/// Header fields that proxies leave behind.
const MARKS: [&str; 8] = [
    "server",
    "via",
    "x-envoy-upstream-service-time",
    "x-cache",
    "x-kong-proxy-latency",
    "cf-ray",
    "x-served-by",
    "x-powered-by",
];

/// What is known of the server after a look.
#[derive(Clone, Debug, Default)]
pub struct Server {
    pub version: String,
    pub mode: String,
    /// A server with nacre's own APIs.
    pub nacre: bool,
    pub auth: Option<bool>,
    /// The path that answered, for measuring.
    pub path: &'static str,
    /// What a proxy left in the answers.
    pub proxy: Option<String>,
}

/// Asks the server who it is.
pub async fn look(client: &Client, clock: &mut Clock) -> (Step, Option<Server>) {
    let mut last: Option<Response> = None;
    for path in STATE {
        let sent = SystemTime::now();
        let response = match http::send(&client.address, &client.trust, &Request::get(path, Params::default())).await {
            Ok(response) => response,
            Err(error) => return (unreachable(&client.address, &error), None),
        };
        clock.answered(sent, SystemTime::now(), &response);
        if let Some(found) = state(&response) {
            return introduce(client, path, &response, &found).await;
        }
        // The first answer is the telling one, unless it only says that this generation is not spoken.
        if last.as_ref().is_none_or(|last| last.status == 410 || (last.status == 404 && response.status != 404)) {
            last = Some(response);
        }
    }
    let Some(response) = last else { return (Step::fail(ID, "PATH-HTTP-SILENT", "no answer"), None) };
    if matches!(response.status, 401 | 403) {
        let title =
            format!("something like Nacos answers, and wants a login before it says who it is: {}", said(&response));
        let server = Server { path: STATE[0], auth: Some(true), proxy: proxy(&response), ..Server::default() };
        return (Step::new(ID, State::Note, title), Some(server));
    }
    let elsewhere = elsewhere(client).await;
    (stranger(&client.address, &response, elsewhere.as_deref()), None)
}

/// The state of a Nacos server, if that is what the answer is.
fn state(response: &Response) -> Option<Value> {
    let found = data(response).ok()?;
    found.get("version").and_then(Value::as_str)?;
    Some(found)
}

async fn introduce(client: &Client, path: &'static str, response: &Response, found: &Value) -> (Step, Option<Server>) {
    let workers = Request::get("/v3/admin/diagnosis/workers", Params::default());
    let workers = http::send(&client.address, &client.trust, &workers).await;
    let nacre = workers
        .as_ref()
        .is_ok_and(|answer| answer.status == 200 && data(answer).is_ok_and(|d| d.get("workers").is_some()));
    let mode =
        Some(text(found, "startup_mode")).filter(|m| !m.is_empty()).unwrap_or_else(|| text(found, "standalone_mode"));
    let server = Server {
        version: text(found, "version"),
        mode,
        nacre,
        auth: Some(text(found, "auth_enabled")).filter(|auth| !auth.is_empty()).map(|auth| auth == "true"),
        path,
        proxy: proxy(response),
    };
    let kind = if nacre { "nacre" } else { "Nacos" };
    let mut step = Step::ok(ID, format!("{kind} {} ({}) answers at {}", server.version, server.mode, client.address));
    if let Some(proxy) = &server.proxy {
        step.state = State::Note;
        step.title.push_str(&format!(", through a proxy: {proxy}"));
        step = step.means(
            "A proxy in the path has timeouts, limits and a list of ports of its own. It must pass the gRPC port on as plain TCP, or as gRPC.",
        );
    }
    let step = step
        .figure("version", server.version.clone())
        .figure("mode", server.mode.clone())
        .figure("nacre", nacre)
        .figure("generation", generation(&server.version, path))
        .figure("proxy", server.proxy.clone());
    (step, Some(server))
}

/// `1.x`, `2.x`, `3.x`.
fn generation(version: &str, path: &str) -> String {
    match version.split('.').next().filter(|major| matches!(*major, "1" | "2" | "3")) {
        Some(major) => format!("{major}.x"),
        None if path == STATE[1] => "3.x".to_owned(),
        None => "any".to_owned(),
    }
}

fn unreachable(address: &Address, error: &CliError) -> Step {
    let text = error.to_string();
    let why = match error {
        CliError::Unreachable { why, .. } => why.clone(),
        _ => text.clone(),
    };
    let step = |code| Step::fail(ID, code, format!("{}: {why}", address.authority()));
    if text.contains("is not HTTP") {
        return step("PATH-HTTP-NOT-HTTP")
            .means("The port is open, but what speaks there is not HTTP: TLS, or the gRPC port (main + 1000), or another program.")
            .remedy("give the main port (8848 unless it was changed) in --server; https://... if it speaks TLS");
    }
    if text.contains("speak TLS") || text.contains("TLS handshake") {
        return step("PATH-HTTP-NO-TLS")
            .means("https was asked for, and plain text is spoken there.")
            .remedy("write http:// in --server");
    }
    if text.contains("certificate") {
        return step("PATH-HTTP-CERTIFICATE")
            .means("A client that verifies certificates refuses this server as well.")
            .remedy("name the authority's certificate with --ca-file, and give it to the clients' trust store");
    }
    if text.contains("closed before an answer") || text.contains("broke off") {
        return step("PATH-HTTP-CLOSED")
            .means("Something accepts connections and hangs up: a balancer without a server behind it, a port of TLS, a filter that looks into requests.")
            .remedy("curl -v the address from here and from the server's own machine, and compare");
    }
    step("PATH-HTTP-SILENT")
        .means("The connection stands and no answer comes: the server hangs, or what accepts connections (a balancer) has nothing behind it.")
        .remedy("look at the server's log and its threads; ask the server itself, past every proxy")
}

/// The context path under which a Nacos answers instead.
async fn elsewhere(client: &Client) -> Option<String> {
    for context in CONTEXTS.iter().filter(|context| **context != client.address.context) {
        let address = Address { context: (*context).to_owned(), ..client.address.clone() };
        for path in STATE {
            let answer = http::send(&address, &client.trust, &Request::get(path, Params::default())).await;
            if answer.is_ok_and(|answer| state(&answer).is_some()) {
                return Some(address.to_string());
            }
        }
    }
    None
}

/// An answer that no Nacos gives.
fn stranger(address: &Address, response: &Response, elsewhere: Option<&str>) -> Step {
    let status = response.status;
    let by = proxy(response).map(|proxy| format!(" by {proxy}")).unwrap_or_default();
    let said = crate::output::shortened(&said(response), 160);
    if let Some(elsewhere) = elsewhere {
        return Step::fail(ID, "PATH-HTTP-CONTEXT", format!("under {:?} there is no Nacos (HTTP {status}{by}); it answers at {elsewhere}", address.context))
            .means("The context path of the address is not the server's. Clients get 404 for everything.")
            .remedy(format!("use {elsewhere}; in clients contextPath (Java: -Dnacos.client.contextPath, property contextPath) must say the same"));
    }
    if (300..400).contains(&status) {
        let to = response.header("location").unwrap_or("nowhere");
        return Step::fail(ID, "PATH-HTTP-REDIRECT", format!("HTTP {status}{by} sends clients to {to}"))
            .means("Nacos does not redirect API calls: a proxy does (http to https, a login page). SDKs follow it not at all, or lose the body of a POST on the way.")
            .remedy("give clients the address it leads to, or exempt /nacos/v1, /v2, /v3 from the redirect");
    }
    if matches!(status, 502..=504) && !said.starts_with('{') {
        return Step::fail(ID, "PATH-HTTP-NO-BACKEND", format!("HTTP {status}{by}: {said}"))
            .means("A proxy answers in the server's place: it does not reach a Nacos behind it.")
            .remedy("look at the proxy's upstream: address, port, health check (GET /nacos/v1/console/health/readiness, v3: /nacos/v3/admin/core/state/readiness)");
    }
    let body = response.text();
    let html = body.trim_start().starts_with('<');
    let step = Step::fail(ID, "PATH-HTTP-NOT-NACOS", format!("HTTP {status}{by}: {said}"));
    let step = if html {
        step.means("A page for people is what answers, not the API: a proxy's or another program's, or the context path is wrong.")
    } else {
        step.means("What answers there does not say that it is Nacos.")
    };
    step.remedy(format!("curl -i {address}/v1/console/server/state shows all of it")).remedy(
        "check host, port and context path; in 3.x the console has a port of its own (8080) that is not the API's",
    )
}

/// What a proxy left in an answer's head. Nacos itself names no server.
fn proxy(response: &Response) -> Option<String> {
    let marks: Vec<String> = MARKS
        .iter()
        .filter_map(|name| {
            let value = response.header(name)?;
            let shown = crate::output::shortened(value, 60);
            Some(if *name == "server" { shown } else { format!("{name}: {shown}") })
        })
        .filter(|mark| !mark.to_ascii_lowercase().starts_with("nacre"))
        .collect();
    (!marks.is_empty()).then(|| marks.join(", "))
}

/// Reads a configuration as an old client does that says it can take compressed answers, and cannot.
pub async fn compression(client: &Client, wanted: Option<&str>) -> Step {
    const ID: &str = "bodies";
    let (group, data_id, known) = match wanted.map(|key| key.split_once("@@").unwrap_or(("DEFAULT_GROUP", key))) {
        Some((group, data_id)) => (group.to_owned(), data_id.to_owned(), true),
        None => match client.search("", "").await.ok().and_then(|rows| rows.into_iter().next()) {
            Some(row) => (row.group, row.data_id, true),
            None => ("NACRE_DOCTOR".to_owned(), "nacre-doctor".to_owned(), false),
        },
    };
    let v1 = Params::default().with("dataId", &data_id).with("group", &group).maybe("tenant", client.tenant());
    let v3 = Params::default()
        .with("dataId", &data_id)
        .with("groupName", &group)
        .with("namespaceId", client.namespace_name());
    let old = |request: Request| {
        request.header("User-Agent", "Nacos-Java-Client:v1.3.2").header("Accept-Encoding", "gzip,deflate,sdch")
    };
    let answer =
        client.either(old(Request::get("/v1/cs/configs", v1)), old(Request::get("/v3/client/cs/config", v3))).await;
    let response = match answer {
        Ok((_, response)) => response,
        Err(error) => return Step::skipped(ID, format!("no configuration could be read: {error}")),
    };
    let coding = response.header("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    let what = if known {
        format!("configuration {data_id} (group {group})")
    } else {
        "a configuration that does not exist".to_owned()
    };
    let Some(coding) = coding else {
        return Step::ok(
            ID,
            format!("{what} comes uncompressed: HTTP {}, {} bytes", response.status, response.body.len()),
        )
        .figure("contentEncoding", Value::Null)
        .figure("status", response.status);
    };
    let by = proxy(&response).unwrap_or_else(|| "something in the path".to_owned());
    Step::warn(ID, "PATH-PROXY-COMPRESSES", format!("{what} comes with Content-Encoding: {coding}, by {by}"))
        .means(
            "Clients before 1.4 ask for compressed answers and cannot read them: they take the packed bytes for the \
             configuration (\"special characters are not allowed\"). Nacos does not compress for them, a proxy does.",
        )
        .remedy(
            "nginx: gzip off; in the location of /nacos, or gzip_disable \"Nacos-Java-Client:v1\"; other proxies alike",
        )
        .remedy("or upgrade clients older than 1.4")
        .figure("contentEncoding", coding)
        .figure("status", response.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, head: &[(&'static str, &'static str)], body: &'static str) -> Response {
        let headers = head.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Response { status, headers, body: body.into() }
    }

    fn code(response: &Response) -> &'static str {
        stranger(&Address::parse("h:80/ctx").unwrap(), response, None).code
    }

    #[test]
    fn answers_that_no_nacos_gives_are_told_apart() {
        assert_eq!(code(&answer(302, &[("location", "https://h/")], "")), "PATH-HTTP-REDIRECT");
        assert_eq!(code(&answer(502, &[("server", "nginx")], "<html>Bad Gateway</html>")), "PATH-HTTP-NO-BACKEND");
        assert_eq!(code(&answer(200, &[], "<!doctype html><title>x</title>")), "PATH-HTTP-NOT-NACOS");
        let step = stranger(&Address::parse("h:80/ctx").unwrap(), &answer(404, &[], ""), Some("http://h:80/nacos"));
        assert_eq!(step.code, "PATH-HTTP-CONTEXT");
        assert!(step.remedy[0].contains("http://h:80/nacos"));
    }

    #[test]
    fn a_proxy_is_known_by_what_it_leaves_in_the_head() {
        assert_eq!(
            proxy(&answer(200, &[("server", "nginx/1.25"), ("via", "1.1 lb")], "")).unwrap(),
            "nginx/1.25, via: 1.1 lb"
        );
        assert_eq!(proxy(&answer(200, &[("content-type", "x")], "")), None);
    }

    #[test]
    fn states_of_all_generations_are_recognised() {
        assert!(state(&answer(200, &[], r#"{"version":"2.5.1","startup_mode":"standalone"}"#)).is_some());
        assert!(state(&answer(200, &[], r#"{"code":0,"message":"success","data":{"version":"3.1.0"}}"#)).is_some());
        assert!(state(&answer(200, &[], "<html>")).is_none());
        assert_eq!(
            (generation("1.4.8", STATE[0]), generation("0.1.0", STATE[0])),
            ("1.x".to_owned(), "any".to_owned())
        );
    }
}

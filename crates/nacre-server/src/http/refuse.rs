//! Refusals: what a handler says no with, and everything that answers before or instead of a handler: the request
//! firewall, unknown paths, wrong methods, the servlet container's error pages.

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use nacre_model::{ErrorCode, NacosError};
use serde_json::json;

use super::{
    accept::is_readable,
    dates::iso8601,
    reply::{JSON, JSON_UTF8, Reply, Style, takes_json},
    table::{Generation, Row},
};
use crate::clock::Clock;

/// Why a handler does not answer with success.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// In Nacos's words; spelled by the row's [`Style`].
    Nacos(NacosError),
    /// An exception that the reference's handlers do not expect: 500 with its message (and that of its cause).
    Exception { message: String, cause: Option<String> },
    /// The servlet container's error JSON (`sendError`).
    Container { status: u16, message: String },
}

impl From<NacosError> for Refusal {
    fn from(error: NacosError) -> Self {
        Self::Nacos(error)
    }
}

impl Refusal {
    /// An unexpected exception without a cause of its own.
    pub fn exception(message: impl Into<String>) -> Self {
        Self::Exception { message: message.into(), cause: None }
    }

    pub fn container(status: u16, message: impl Into<String>) -> Self {
        Self::Container { status, message: message.into() }
    }

    /// The refusal of a `Result` that the request does not accept: the page of what was thrown. What the framework itself
    /// could not read is the caller's fault there, everything else the server's. `third`: in the words of 3.x.
    pub fn into_page(self, site: &Site<'_>, third: bool) -> Reply {
        if third && let Some((status, text)) = self.framework_3x() {
            return site.error(status, &text);
        }
        let status = |framework: bool| if framework { 400 } else { 500 };
        match self {
            Self::Nacos(error) => {
                let text = error.client_text();
                site.error(status(text.starts_with("Required request parameter ")), &text)
            }
            Self::Exception { message, .. } => {
                let unread = message.contains("Failed to convert value") || message.contains("BindingResult");
                site.error(status(unread), &message)
            }
            Self::Container { status, message } => site.error(status, &message),
        }
    }

    /// What the page of 3.x says of what the framework could not read: shorter than its `Result`.
    fn framework_3x(&self) -> Option<(u16, String)> {
        match self {
            Self::Nacos(error) if error.code == ErrorCode::MEDIA_TYPE_ERROR => {
                Some((415, format!("{}.", error.client_text())))
            }
            Self::Nacos(error) => {
                let text = error.client_text();
                if text.starts_with("JSON parse error") || text.starts_with("Required request body is missing") {
                    return Some((400, text));
                }
                let (name, _) = text.strip_prefix("Required request parameter '")?.split_once('\'')?;
                Some((400, format!("Required parameter '{name}' is not present.")))
            }
            Self::Exception { message, .. } => {
                let (_, told) = message.strip_prefix("Validation failed for argument [")?.split_once(" in public ")?;
                let form = match told.split_once(':')?.0 {
                    // The forms of config and core, which do not tell their names.
                    "form" if message.contains("'aggregation'") => "aggregationForm",
                    "form" if message.contains("'pageNo'") || message.contains("'pageSize'") => "pageForm",
                    "form" => "updateCapacityForm",
                    name => name,
                };
                let errors = message.matches("Field error ").count();
                Some((400, format!("Validation failed for object='{form}'. Error count: {errors}")))
            }
            Self::Container { .. } => None,
        }
    }

    pub fn into_reply(self, style: Style, site: &Site<'_>) -> Reply {
        match self {
            Self::Nacos(error) => nacos(style, &error),
            Self::Exception { message, cause } => exception(style, &message, cause.as_deref()),
            Self::Container { status, message } => site.error(status, &message),
        }
    }
}

fn nacos(style: Style, error: &NacosError) -> Reply {
    let status = match error.status {
        // Quotas: their own codes are no status of HTTP.
        5031..=5034 => 429,
        status => u16::try_from(status).ok().filter(|s| (100..=999).contains(s)).unwrap_or(500),
    };
    match style {
        Style::V1Naming => Reply::text(error.client_text()).status(status),
        Style::V1Config | Style::V1Console => Reply::text(format!("caused: {};", error.client_text())).status(status),
        Style::Api => {
            let code = if error.runtime { ErrorCode::SERVER_ERROR } else { error.code };
            Reply::json(&json!({ "code": code.code, "message": code.text, "data": error.client_text() })).status(status)
        }
    }
}

fn exception(style: Style, message: &str, cause: Option<&str>) -> Reply {
    let caused = || match cause {
        Some(cause) => format!("caused: {message};caused: {cause};"),
        None => format!("caused: {message};"),
    };
    match style {
        Style::V1Naming => Reply::text(caused()).status(500),
        Style::V1Config | Style::V1Console => Reply::text(html_escape(&caused())).status(500),
        Style::Api => {
            let code = ErrorCode::SERVER_ERROR.code;
            Reply::json(&json!({ "code": code, "message": message, "data": null })).status(500)
        }
    }
}

/// Where a request went; what error pages say of it.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    pub uri: &'a Uri,
    /// The `Accept` header.
    pub accept: Option<&'a str>,
    pub clock: &'a Clock,
    /// The path lies below `/v1/cs`, where a filter of the reference presets the response's charset.
    pub charset_preset: bool,
}

impl Site<'_> {
    /// The error page of Spring Boot: JSON, HTML for browsers, nothing for clients that take neither.
    pub fn error(&self, status: u16, message: &str) -> Reply {
        let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
        match preferred(self.accept) {
            Preferred::Json => {
                let mut reply = Reply::json(&json!({
                    "timestamp": iso8601(self.clock.now().wall), "status": status, "error": reason, "message": message,
                    "path": self.uri.path(),
                }));
                if self.charset_preset {
                    reply = Reply::new(JSON_UTF8, reply.body);
                }
                if !is_harmless(self.uri.path()) {
                    reply = reply.fixed("content-disposition", "inline;filename=f.txt");
                }
                reply.status(status)
            }
            Preferred::Html => Reply::new(
                "text/html;charset=UTF-8",
                format!(
                    "<html><body><h1>Whitelabel Error Page</h1><p>This application has no explicit mapping for /error, \
                     so you are seeing this as a fallback.</p><div id='created'>{}</div><div>There was an unexpected \
                     error (type={reason}, status={status}).</div><div>{}</div></body></html>",
                    iso8601(self.clock.now().wall),
                    html_escape(message)
                ),
            )
            .status(status),
            Preferred::Nothing if self.charset_preset => Reply::empty(status).typed(JSON_UTF8),
            Preferred::Nothing => Reply::empty(status),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Preferred {
    Json,
    Html,
    Nothing,
}

/// Which error page an `Accept` header asks for, by quality and then by order.
fn preferred(accept: Option<&str>) -> Preferred {
    let Some(accept) = accept.filter(|a| !a.trim().is_empty()) else { return Preferred::Json };
    if !is_readable(accept) {
        return Preferred::Nothing;
    }
    let mut best: Option<(f32, Preferred)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let page = match parts.next().unwrap_or("").to_ascii_lowercase().as_str() {
            "text/html" | "text/*" => Preferred::Html,
            "*/*" | "*" | "application/*" | "application/*+json" => Preferred::Json,
            "application/json" if takes_json(range) => Preferred::Json,
            _ => continue,
        };
        let quality = parts.find_map(|p| p.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
        if best.as_ref().is_none_or(|(most, _)| quality > *most) {
            best = Some((quality, page));
        }
    }
    best.map_or(Preferred::Nothing, |(_, page)| page)
}

/// The page of the web server below Spring (Tomcat), for what never reaches the application.
pub fn web_server_page(status: u16) -> Reply {
    let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    let title = format!("HTTP Status {status} – {reason}");
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    );
    Reply::new("text/html;charset=utf-8", page).status(status)
}

/// What an error page says when nobody gave a reason.
const NO_MESSAGE: &str = "No message available";

/// Requests that the reference's web server and its firewall (Spring Security) refuse before looking at the path.
/// Spelling variants of a path must not slip past checks that look at the path, so they are refused, not normalised.
///
/// What 2.x says with 500 and the reason, 3.x says with a bare 400 (`third`: the path is one of 3.x).
pub fn firewall(method: &Method, site: &Site<'_>, third: bool) -> Option<Reply> {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD, Method::OPTIONS];
    let path = site.uri.path();
    if is_plain(path) && KNOWN.contains(method) {
        return None;
    }
    if method == Method::TRACE {
        let reply = if third { Reply::empty(400) } else { web_server_page(405) };
        return Some(reply.fixed("allow", "HEAD, DELETE, POST, GET, OPTIONS, PUT"));
    }
    let lower_escapes = |escape: &str| path.as_bytes().windows(3).any(|w| w.eq_ignore_ascii_case(escape.as_bytes()));
    if lower_escapes("%2f") || lower_escapes("%5c") || path.contains('\\') {
        return Some(web_server_page(400));
    }
    if !KNOWN.contains(method) {
        return Some(if third { Reply::empty(400) } else { web_server_page(500) });
    }
    let rejected = |text: &str| {
        let text = format!("The request was rejected because the URL {text}");
        if third { site.error(400, NO_MESSAGE) } else { site.error(500, &text) }
    };
    for poison in ["//", ";", "%3b", "%2e", "%25", "%00", "%0a", "%0d"] {
        if path.contains(poison) || (poison.len() == 3 && lower_escapes(poison)) {
            return Some(rejected(&format!("contained a potentially malicious String \"{poison}\"")));
        }
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Some(rejected("was not normalized."));
    }
    None
}

/// A path that is spelled as nearly all are: nothing in it is escaped, doubled or leads anywhere else.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let fits = match byte {
            b'/' | b'.' => before != b'/',
            b'-' | b'_' | b'@' => true,
            _ => byte.is_ascii_alphanumeric(),
        };
        before = byte;
        fits
    })
}

/// No row has this path.
pub fn nothing_there(method: &Method, inner: &str, site: &Site<'_>) -> Reply {
    if under(inner, "/v1/ns") {
        return no_such_api(method, site);
    }
    if under(inner, "/v3/console") {
        // The console's web server looks for a file, and has none.
        return exception(Style::V1Console, &format!("No static resource {}.", inner.trim_matches('/')), None);
    }
    if under(inner, "/v3") {
        let path = site.uri.path();
        return site.error(404, &format!("No endpoint {method} {path}."));
    }
    site.error(404, NO_MESSAGE)
}

/// What the naming module of 1.x and 2.x answers for methods and paths it does not know.
pub fn no_such_api(method: &Method, site: &Site<'_>) -> Reply {
    site.error(501, &format!("no such api:{method}:{}", site.uri.path()))
}

/// A row has this path, none of them this method. `rows` are those of the path, in the table's order.
pub fn wrong_method(method: &Method, inner: &str, rows: &[&'static Row], site: &Site<'_>) -> Reply {
    if under(inner, "/v1/ns") {
        return no_such_api(method, site);
    }
    let methods = rows.iter().flat_map(|row| row.methods.iter());
    if method == Method::OPTIONS {
        let mut allowed: Vec<&str> = Vec::new();
        for method in methods {
            allowed.push(method.as_str());
            if method == Method::GET {
                allowed.push("HEAD");
            }
        }
        allowed.push("OPTIONS");
        let mut reply = Reply::empty(200).header("allow", &allowed.join(","));
        if site.charset_preset {
            reply = reply.typed(JSON_UTF8);
        }
        return reply;
    }
    let generation = rows.first().map(|row| row.generation);
    match generation {
        Some(Generation::V3Client | Generation::V3Admin) => {
            let allowed: Vec<&str> = methods.map(Method::as_str).collect();
            site.error(405, &format!("Method '{method}' is not supported.")).header("allow", &allowed.join(", "))
        }
        Some(Generation::V3Console) => {
            exception(Style::V1Console, &format!("Request method '{method}' is not supported"), None)
        }
        Some(Generation::V2) => {
            let text = html_escape(&format!("caused: Request method '{method}' not supported;"));
            Reply::new(JSON, json!({ "code": 500, "message": text, "data": null }).to_string()).status(500)
        }
        _ => exception(Style::V1Console, &format!("Request method '{method}' not supported"), None),
    }
}

/// What the core calls of 2.x say of any failure.
pub fn v2_failure(message: &str) -> Reply {
    let message = html_escape(&format!("caused: {message};"));
    Reply::json(&json!({ "code": 500, "message": message, "data": null })).status(500)
}

/// A multipart body that does not say what its parts are divided by: no handler of the reference is reached.
pub fn no_boundary(generation: Generation) -> Result<Reply, Refusal> {
    const FAILED: &str = "Failed to parse multipart servlet request";
    const CAUSE: &str = "the request was rejected because no multipart boundary was found";
    let nested =
        || format!("{FAILED}; nested exception is org.apache.tomcat.util.http.fileupload.FileUploadException: {CAUSE}");
    match generation {
        Generation::V2 => Ok(v2_failure(&format!("{};caused: {CAUSE}", nested()))),
        Generation::V3Client | Generation::V3Admin => Err(Refusal::container(500, FAILED)),
        Generation::V3Console => Ok(exception(Style::V1Console, FAILED, Some(CAUSE))),
        _ => Ok(exception(Style::V1Console, &nested(), Some(CAUSE))),
    }
}

/// Whether a browser could do no harm with an answer it saves under the last word of this path: by its ending the text is
/// data or an image (Spring's guard against reflected file downloads).
fn is_harmless(path: &str) -> bool {
    const ENDINGS: [&str; 30] = [
        "txt",
        "text",
        "yml",
        "properties",
        "csv",
        "json",
        "xml",
        "atom",
        "rss",
        "png",
        "jpe",
        "jpeg",
        "jpg",
        "gif",
        "wbmp",
        "bmp",
        "ico",
        "svg",
        "webp",
        "tif",
        "tiff",
        "xhtml",
        "mp3",
        "wav",
        "ogg",
        "mp4",
        "mpeg",
        "mov",
        "avi",
        "webm",
    ];
    let name = path.rsplit('/').next().unwrap_or("");
    match name.rsplit_once('.') {
        Some((_, ending)) if !ending.is_empty() => ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)),
        _ => true,
    }
}

/// `inner` is `base` or lies below it.
pub fn under(inner: &str, base: &str) -> bool {
    inner.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Spring's HtmlUtils, the five characters that matter.
pub fn html_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The answer of the parameter check: one line, no `Content-Type`.
pub fn param_check(text: &str) -> Reply {
    let mut reply = Reply::empty(400)
        .fixed("pragma", "no-cache")
        .fixed("expires", "Thu, 01 Jan 1970 00:00:00 GMT")
        .fixed("cache-control", "no-cache,no-store");
    reply.body = Bytes::from(format!("{text}\r\n"));
    reply
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use serde_json::Value;

    use super::*;

    static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);

    fn site(uri: &Uri) -> Site<'_> {
        Site { uri, accept: None, clock: &CLOCK, charset_preset: false }
    }

    fn json_of(reply: &Reply) -> Value {
        serde_json::from_slice(&reply.body).expect("json")
    }

    #[test]
    fn one_error_three_spellings() {
        let uri = Uri::from_static("/x");
        let spell = |refusal: Refusal, style| refusal.into_reply(style, &site(&uri));
        let refused = NacosError::runtime(400, "no");
        assert_eq!(spell(refused.clone().into(), Style::V1Naming).body, "errCode: 400, errMsg: no ");
        assert_eq!(spell(NacosError::invalid("bad").into(), Style::V1Config).body, "caused: bad;");
        let body = json_of(&spell(refused.into(), Style::Api));
        assert_eq!(body, json!({"code": 30000, "message": "server error", "data": "errCode: 400, errMsg: no "}));
    }

    #[test]
    fn unexpected_exceptions_are_500_in_every_generation() {
        let uri = Uri::from_static("/x");
        let odd = Refusal::Exception { message: "it's odd".into(), cause: Some("why".into()) };
        let spell = |style| odd.clone().into_reply(style, &site(&uri));
        assert_eq!(spell(Style::V1Naming).body, "caused: it's odd;caused: why;");
        assert_eq!(spell(Style::V1Console).body, "caused: it&#39;s odd;caused: why;");
        assert_eq!(json_of(&spell(Style::Api)), json!({"code": 30000, "message": "it's odd", "data": null}));
        assert!([Style::V1Naming, Style::V1Console, Style::Api].map(spell).iter().all(|r| r.status == 500));
    }

    #[test]
    fn a_multipart_body_without_a_boundary_is_500_in_every_generation() {
        let uri = Uri::from_static("/x");
        let spell = |generation| no_boundary(generation).unwrap_or_else(|r| r.into_reply(Style::Api, &site(&uri)));
        let v1 = spell(Generation::V1);
        let text = String::from_utf8_lossy(&v1.body).into_owned();
        assert!(
            text.starts_with("caused: Failed to parse multipart servlet request; nested exception is org."),
            "{text}"
        );
        assert!(text.ends_with(";caused: the request was rejected because no multipart boundary was found;"), "{text}");
        assert_eq!(json_of(&spell(Generation::V2)), json!({ "code": 500, "message": text, "data": null }));
        let page = json_of(&spell(Generation::V3Admin));
        assert_eq!(page["message"], "Failed to parse multipart servlet request");
        for generation in [Generation::V1, Generation::V2, Generation::V3Client, Generation::V3Console] {
            assert_eq!(spell(generation).status, 500, "{generation:?}");
        }
    }

    #[test]
    fn unknown_paths_of_the_console_are_files_that_are_not_there() {
        let uri = Uri::from_static("/nacos/v3/console/none/");
        let reply = nothing_there(&Method::GET, "/v3/console/none/", &site(&uri));
        assert_eq!((reply.status, &reply.body[..]), (500, &b"caused: No static resource v3/console/none.;"[..]));
        let uri = Uri::from_static("/nacos/v3/admin/none");
        assert_eq!(nothing_there(&Method::GET, "/v3/admin/none", &site(&uri)).status, 404);
    }

    #[test]
    fn error_pages_follow_the_accept_header() {
        for (accept, page) in [
            (None, Preferred::Json),
            (Some("*/*"), Preferred::Json),
            (Some("text/html"), Preferred::Html),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Preferred::Html),
            (Some("text/html;q=0.5, application/json"), Preferred::Json),
            (Some("application/xml"), Preferred::Nothing),
            (Some("application/json;charset=GBK"), Preferred::Nothing),
            (Some("text/html, *; q=.2"), Preferred::Html),
            (Some("text/html, nonsense"), Preferred::Nothing),
        ] {
            assert_eq!(preferred(accept), page, "{accept:?}");
        }
    }

    #[test]
    fn a_refusal_that_is_not_accepted_is_a_page_of_what_was_thrown() {
        let uri = Uri::from_static("/nacos/v3/admin/ns/service");
        let page = |refusal: Refusal| {
            let accept = Some("text/html");
            let reply = refusal.into_page(&Site { accept, ..site(&uri) }, false);
            (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
        };
        let (status, text) = page(NacosError::new(404, ErrorCode::RESOURCE_NOT_FOUND, "no <such> service").into());
        assert!(status == 500 && text.contains("status=500") && text.contains("no &lt;such&gt; service"), "{text}");
        let missing = "Required request parameter 'ip' for method parameter type String is not present";
        assert_eq!(page(NacosError::new(400, ErrorCode::PARAMETER_MISSING, missing).into()).0, 400);
        assert_eq!(page(Refusal::exception("Failed to convert value of type 'x'")).0, 400);
        assert_eq!(page(Refusal::exception("null")).0, 500);
    }

    #[test]
    fn spelling_variants_of_a_path_are_refused() {
        for (path, status) in [
            ("/nacos/v1//cs/configs", 500),
            ("/nacos/v1/cs/../cs/configs", 500),
            ("/nacos/v1/cs/configs;x=y", 500),
            ("/nacos/v1/cs%2fconfigs", 400),
            ("/nacos/v1/%2E%2e/x", 500),
        ] {
            let uri: Uri = path.parse().expect("uri");
            assert_eq!(firewall(&Method::GET, &site(&uri), false).map(|r| r.status), Some(status), "{path}");
            let third = firewall(&Method::GET, &site(&uri), true).expect("refused");
            assert_eq!(third.status, 400, "{path}");
            assert!(!third.body.windows(8).any(|word| word == b"rejected"), "{path}");
        }
        for path in ["/nacos/v1/cs/configs/", "/nacos/v2/ns/instance/statuses/public%23%23G@@s"] {
            let uri: Uri = path.parse().expect("uri");
            assert!(firewall(&Method::GET, &site(&uri), false).is_none(), "{path}");
        }
    }

    #[test]
    fn methods_that_nobody_serves_are_refused_in_the_words_of_their_version() {
        let uri = Uri::from_static("/nacos/v3/admin/core/state");
        let brew = Method::from_bytes(b"BREW").expect("a method");
        for (method, third, status, bare) in [
            (&Method::TRACE, false, 405, false),
            (&Method::TRACE, true, 400, true),
            (&brew, false, 500, false),
            (&brew, true, 400, true),
        ] {
            let reply = firewall(method, &site(&uri), third).expect("refused");
            assert_eq!((reply.status, reply.body.is_empty()), (status, bare), "{method} {third}");
        }
    }
}

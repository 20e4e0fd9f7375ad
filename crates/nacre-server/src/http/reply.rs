//! Answers: what a handler returns, and the envelopes of each generation (spec/http-api.md 4 and 5).

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};
use http_body_util::Full;
use nacre_model::ErrorCode;
use serde::Serialize;
use serde_json::{Value, json};

pub const TEXT: &str = "text/plain;charset=UTF-8";
pub const JSON: &str = "application/json";
pub const JSON_UTF8: &str = "application/json;charset=UTF-8";

// Made when the program is built: each of them would be read byte by byte for every answer.
const TEXT_TYPE: HeaderValue = HeaderValue::from_static(TEXT);
const JSON_TYPE: HeaderValue = HeaderValue::from_static(JSON);
const PROTECTION: HeaderValue = HeaderValue::from_static("script-src 'self'");

/// How an answer follows the request's `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negotiable {
    /// Written by hand: not at all.
    Fixed,
    /// A text of the reference's handlers can be of any type.
    Text,
    /// An object can only be JSON.
    Json,
    /// Bytes of any type; their charset is the preset one or none.
    Bytes,
}

/// One HTTP answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// `None` sends no `Content-Type`.
    pub content_type: Option<HeaderValue>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    /// What the request's `Accept` has to say.
    pub negotiable: Negotiable,
    /// Sends `Content-Security-Policy`, as everything but preflights does.
    pub protected: bool,
}

impl Reply {
    /// 200 with a body of any type.
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::of_type(HeaderValue::from_static(content_type), body)
    }

    fn of_type(content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            content_type: Some(content_type),
            headers: Vec::new(),
            body: body.into(),
            negotiable: Negotiable::Fixed,
            protected: true,
        }
    }

    /// No body and no type.
    pub fn empty(status: u16) -> Self {
        let negotiable = Negotiable::Fixed;
        Self { status, content_type: None, headers: Vec::new(), body: Bytes::new(), negotiable, protected: true }
    }

    /// Another `Content-Type`. An illegal one is left out.
    pub fn typed(mut self, content_type: &str) -> Self {
        if content_type != JSON_UTF8 || self.negotiable != Negotiable::Json {
            self.negotiable = Negotiable::Fixed;
        }
        self.content_type = HeaderValue::from_str(content_type).ok();
        self
    }

    /// Of this type, whatever the request accepts: for what the reference writes without its framework.
    pub fn fixed_type(self) -> Self {
        Self { negotiable: Negotiable::Fixed, ..self }
    }

    /// Bytes, such as an archive, which take whatever type the request names.
    pub fn any_type(self) -> Self {
        Self { negotiable: Negotiable::Bytes, ..self }
    }

    /// 200 text: plain, unless the request accepts only another type.
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self { negotiable: Negotiable::Text, ..Self::of_type(TEXT_TYPE, body) }
    }

    /// Gives a text the type that `accept` likes best, and JSON the spelling of JSON. `preset`: a filter of the reference
    /// presets the charset.
    pub fn negotiated(self, accept: Option<&HeaderValue>, preset: bool) -> Self {
        let Some(accept) = accept.and_then(|accept| accept.to_str().ok()).filter(|accept| *accept != "*/*") else {
            return self;
        };
        let wanted = match self.negotiable {
            Negotiable::Fixed => None,
            Negotiable::Text | Negotiable::Bytes => preferred_text(accept),
            Negotiable::Json => preferred_json(accept).flatten(),
        };
        let Some(wanted) = wanted else { return self };
        // JSON says its charset by being JSON.
        let bare = wanted == JSON || wanted.ends_with("+json") || self.negotiable == Negotiable::Bytes;
        if wanted.contains("charset=") || (bare && !preset) {
            self.typed(&wanted)
        } else {
            self.typed(&format!("{wanted};charset=UTF-8"))
        }
    }

    /// Whether `accept` takes this answer.
    pub fn is_acceptable(&self, accept: Option<&str>) -> bool {
        self.negotiable != Negotiable::Json || accept.is_none_or(takes_json)
    }

    /// Whether its type is a matter between the request and the reference's framework.
    pub fn is_negotiable(&self) -> bool {
        self.negotiable != Negotiable::Fixed
    }

    /// 200 with a bare JSON object (v1 reads).
    pub fn json(value: &impl Serialize) -> Self {
        Self::json_text(serde_json::to_vec(value).unwrap_or_default())
    }

    /// 200 with JSON that is written already.
    pub fn json_text(body: impl Into<Bytes>) -> Self {
        Self { negotiable: Negotiable::Json, ..Self::of_type(JSON_TYPE, body) }
    }

    /// 200 with the v2/v3 envelope around `data`.
    pub fn result(data: impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Envelope<T> {
            code: i32,
            message: &'static str,
            data: T,
        }
        Self::json(&Envelope { code: 0, message: "success", data })
    }

    /// The v2/v3 envelope with a code of its own and status 200.
    pub fn result_code(code: ErrorCode, data: Value) -> Self {
        Self::json(&json!({ "code": code.code, "message": code.text, "data": data }))
    }

    /// 200 with the v1 console envelope (`RestResult`, success code 200).
    pub fn rest(message: Option<&str>, data: impl Serialize) -> Self {
        Self::json(&json!({ "code": 200, "message": message, "data": data }))
    }

    /// A v1 console envelope that says no, HTTP status 200.
    pub fn rest_code(code: i32, message: Option<&str>, data: impl Serialize) -> Self {
        Self::json(&json!({ "code": code, "message": message, "data": data }))
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header; a value that HTTP does not allow is left out.
    pub fn header(self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.with(HeaderName::from_static(name), value),
            Err(_) => self,
        }
    }

    /// Adds a header whose value is always the same: nothing is copied.
    pub fn fixed(self, name: &'static str, value: &'static str) -> Self {
        self.with(HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    /// Adds a header that is made already.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if self.headers.capacity() == 0 {
            // A config has six to nine.
            self.headers.reserve(9);
        }
        self.headers.push((name, value));
        self
    }

    pub fn into_response(mut self) -> Response<Full<Bytes>> {
        if self.status < 200 {
            // The reference answers some unreadable parameters with status 101; such an answer can have no body.
            self.body = Bytes::new();
            self.content_type = None;
        }
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        // These, the two here, `Vary`, and what the library adds.
        headers.reserve(self.headers.len() + 5);
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if self.protected {
            headers.insert(CONTENT_SECURITY_POLICY, PROTECTION);
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

/// One range of an `Accept`.
struct Range<'a> {
    name: String,
    /// Its parameters but for the quality.
    parameters: Vec<&'a str>,
    quality: f32,
}

impl Range<'_> {
    fn spelled(&self) -> String {
        let mut text = self.name.clone();
        for parameter in &self.parameters {
            text.push(';');
            text.push_str(parameter);
        }
        text
    }

    fn charset(&self) -> Option<String> {
        self.parameters.iter().find_map(|p| p.strip_prefix("charset=")).map(str::to_ascii_lowercase)
    }
}

/// The ranges of an `Accept` that are types.
fn ranges(accept: &str) -> impl Iterator<Item = Range<'_>> {
    let range = |text| {
        let mut parts = str::split(text, ';').map(str::trim);
        let name = parts.next().unwrap_or("").to_ascii_lowercase();
        let (qualities, parameters): (Vec<_>, Vec<_>) =
            parts.filter(|part| !part.is_empty()).partition(|part| part.starts_with("q="));
        let quality = qualities.first().and_then(|q| q.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0);
        Range { name, parameters, quality }
    };
    accept.split(',').map(range).filter(|range| range.name.contains('/'))
}

/// Whether an `Accept` takes JSON in some spelling.
pub fn takes_json(accept: &str) -> bool {
    preferred_json(accept).is_some()
}

/// The most wanted type of an `Accept` that is not a wildcard; `None` when any will do.
fn preferred_text(accept: &str) -> Option<String> {
    let mut best: Option<Range<'_>> = None;
    for range in ranges(accept).filter(|range| !range.name.contains('*')) {
        if best.as_ref().is_none_or(|best| range.quality > best.quality) {
            best = Some(range);
        }
    }
    best.map(|range| range.spelled())
}

/// The spelling of JSON that an `Accept` wants most: `None` when it takes no JSON, `Some(None)` when any will do.
fn preferred_json(accept: &str) -> Option<Option<String>> {
    let mut best: Option<(f32, usize, Option<String>)> = None;
    let mut any = false;
    for range in ranges(accept) {
        any = true;
        let wildcard = matches!(range.name.as_str(), "*/*" | "application/*" | "application/*+json");
        let json = range.name == JSON || (range.name.starts_with("application/") && range.name.ends_with("+json"));
        // Other charsets are none that JSON is written in.
        let foreign = range.charset().is_some_and(|charset| !matches!(charset.as_str(), "utf-8" | "us-ascii"));
        if !(wildcard || json && !foreign) {
            continue;
        }
        let rank = (range.quality, range.parameters.len());
        if best.as_ref().is_none_or(|(quality, parameters, _)| rank > (*quality, *parameters)) {
            best = Some((rank.0, rank.1, (!wildcard).then(|| range.spelled())));
        }
    }
    match best {
        Some((_, _, wanted)) => Some(wanted),
        // What is no list of types forbids nothing.
        None if !any => Some(None),
        None => None,
    }
}

/// How the handlers of one area of the reference spell errors (spec/http-api.md 5). A row of the table names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// v1 naming: status and the bare message.
    V1Naming,
    /// v1 config: status and `caused: <message>;`.
    V1Config,
    /// v1 console, auth, core (2.x): status and `caused: <message>;`, unknown errors 500.
    V1Console,
    /// v2 and v3 `@NacosApi` controllers: the `Result` envelope, details in `data`.
    Api,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(reply: Reply, accept: &str, preset: bool) -> String {
        let accept = HeaderValue::from_str(accept).expect("a header");
        let reply = reply.negotiated(Some(&accept), preset);
        reply.content_type.and_then(|t| t.to_str().ok().map(str::to_owned)).unwrap_or_default()
    }

    #[test]
    fn texts_take_the_type_that_is_accepted() {
        for (accept, preset, want) in [
            ("text/html", false, "text/html;charset=UTF-8"),
            ("*/*", false, TEXT),
            ("text/html;q=0.2, application/json, */*;q=0.9", false, JSON),
            ("application/json", true, JSON_UTF8),
            ("application/xml;charset=GBK", false, "application/xml;charset=GBK"),
            ("nonsense", false, TEXT),
        ] {
            assert_eq!(typed(Reply::text("ok"), accept, preset), want, "{accept}");
        }
        assert_eq!(typed(Reply::new(TEXT, "ok"), "text/html", false), TEXT);
    }

    #[test]
    fn an_archive_takes_the_type_that_is_named() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let archive = || Reply::new("application/octet-stream", "PK").any_type();
        for (accept, preset, want) in [
            ("*/*", false, "application/octet-stream"),
            ("application/*", false, "application/octet-stream"),
            (browser, false, "text/html"),
            (browser, true, "text/html;charset=UTF-8"),
            ("application/json, text/plain, */*", false, "application/json"),
            ("application/zip", true, "application/zip;charset=UTF-8"),
        ] {
            assert_eq!(typed(archive(), accept, preset), want, "{accept}");
        }
    }

    #[test]
    fn json_is_spelled_as_it_is_accepted() {
        for (accept, preset, want) in [
            ("application/json;charset=utf-8, text/plain", false, "application/json;charset=utf-8"),
            ("text/html, */*;q=0.1", false, JSON),
            ("application/vnd.x+json", true, "application/vnd.x+json;charset=UTF-8"),
            ("application/*", true, JSON_UTF8),
            ("application/json", true, JSON_UTF8),
        ] {
            let reply = Reply::json(&true);
            let reply = if preset { reply.typed(JSON_UTF8) } else { reply };
            assert_eq!(typed(reply, accept, preset), want, "{accept}");
        }
    }

    #[test]
    fn json_is_not_for_those_who_accept_none() {
        let json = Reply::json(&true).typed(JSON_UTF8);
        for accept in ["application/xml", "text/plain, image/png", "application/json;charset=GBK"] {
            assert!(!json.is_acceptable(Some(accept)), "{accept}");
            assert!(
                json.clone().fixed_type().is_acceptable(Some(accept)) && Reply::text("").is_acceptable(Some(accept))
            );
        }
        for accept in ["", "garbage", "*/*", "text/html,application/*;q=0.1", "application/json"] {
            assert!(json.is_acceptable(Some(accept)), "{accept}");
        }
        assert!(json.is_acceptable(None));
    }
}

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

/// One HTTP answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// `None` sends no `Content-Type`.
    pub content_type: Option<HeaderValue>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    /// A plain text whose type follows the request's `Accept`, as texts of the reference's handlers do.
    pub negotiable: bool,
    /// Sends `Content-Security-Policy`, as everything but preflights does.
    pub protected: bool,
}

impl Reply {
    /// 200 with a body of any type.
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            content_type: Some(HeaderValue::from_static(content_type)),
            headers: Vec::new(),
            body: body.into(),
            negotiable: false,
            protected: true,
        }
    }

    /// No body and no type.
    pub fn empty(status: u16) -> Self {
        Self { status, content_type: None, headers: Vec::new(), body: Bytes::new(), negotiable: false, protected: true }
    }

    /// Another `Content-Type`. An illegal one is left out.
    pub fn typed(mut self, content_type: &str) -> Self {
        self.negotiable = false;
        self.content_type = HeaderValue::from_str(content_type).ok();
        self
    }

    /// 200 text: plain, unless the request accepts only another type.
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self { negotiable: true, ..Self::new(TEXT, body) }
    }

    /// Gives a text the type that `accept` likes best. A text can be of any type.
    pub fn negotiated(self, accept: Option<&HeaderValue>) -> Self {
        if !self.negotiable {
            return self;
        }
        match accept.and_then(|accept| accept.to_str().ok()).and_then(preferred_text) {
            Some(content_type) => self.typed(&content_type),
            None => self,
        }
    }

    /// 200 with a bare JSON object (v1 reads).
    pub fn json(value: &impl Serialize) -> Self {
        Self::new(JSON, serde_json::to_vec(value).unwrap_or_default())
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
            Ok(value) => self.with(name, value),
            Err(_) => self,
        }
    }

    /// Adds a header whose value is always the same: nothing is copied.
    pub fn fixed(self, name: &'static str, value: &'static str) -> Self {
        self.with(name, HeaderValue::from_static(value))
    }

    fn with(mut self, name: &'static str, value: HeaderValue) -> Self {
        if self.headers.capacity() == 0 {
            // A config has six to nine.
            self.headers.reserve(9);
        }
        self.headers.push((HeaderName::from_static(name), value));
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
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("script-src 'self'"));
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

/// The most wanted type of an `Accept` that is not a wildcard, with the charset that texts get; `None` when any will do.
fn preferred_text(accept: &str) -> Option<String> {
    let mut best: Option<(f32, &str)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0);
        if name.contains('*') || !name.contains('/') {
            continue;
        }
        if best.is_none_or(|(most, _)| quality > most) {
            best = Some((quality, name));
        }
    }
    let (_, name) = best?;
    let name = name.to_ascii_lowercase();
    // JSON says its charset by being JSON.
    Some(if name == JSON || name.ends_with("+json") { name } else { format!("{name};charset=UTF-8") })
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

    #[test]
    fn texts_take_the_type_that_is_accepted() {
        assert_eq!(preferred_text("text/html").as_deref(), Some("text/html;charset=UTF-8"));
        assert_eq!(preferred_text("*/*"), None);
        assert_eq!(preferred_text("text/html;q=0.2, application/json, */*;q=0.9").as_deref(), Some("application/json"));
        assert_eq!(preferred_text("nonsense"), None);
        let text = Reply::text("ok").negotiated(Some(&HeaderValue::from_static("text/html")));
        assert_eq!(text.content_type.as_ref().map(|t| t.as_bytes()), Some(&b"text/html;charset=UTF-8"[..]));
        let fixed = Reply::new(TEXT, "ok").negotiated(Some(&HeaderValue::from_static("text/html")));
        assert_eq!(fixed.content_type.as_ref().map(|t| t.as_bytes()), Some(TEXT.as_bytes()));
    }
}

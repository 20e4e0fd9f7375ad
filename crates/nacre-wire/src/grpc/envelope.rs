//! What every answer and every push has in common.

use bytes::Bytes;
use serde::Serialize;

use super::lenient::{Texts, body};

/// `resultCode`, `errorCode`, `message`, `success`: the head of every answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    pub result_code: i32,
    pub error_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub success: bool,
}

impl Envelope {
    pub fn ok() -> Self {
        Self { result_code: 200, error_code: 0, message: None, success: true }
    }

    /// Success with a message (a subscription says `success`).
    pub fn ok_with(message: &str) -> Self {
        Self { message: Some(message.to_owned()), ..Self::ok() }
    }

    /// `resultCode` 500 and the code and text that say why.
    pub fn fail(error_code: i32, message: impl Into<String>) -> Self {
        Self { result_code: 500, error_code, message: Some(message.into()), success: false }
    }

    /// Both codes are the exception's: how the reference answers an exception that a handler throws.
    pub fn thrown(code: i32, message: impl Into<String>) -> Self {
        Self { result_code: code, ..Self::fail(code, message) }
    }
}

/// A typed answer that failed before its handler ran, or an `ErrorResponse`: type name and envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error_response: bool,
    pub envelope: Envelope,
}

impl Refusal {
    /// Clients take an `ErrorResponse` for a failure of the transport and retry.
    pub fn error_response(envelope: Envelope) -> Self {
        Self { error_response: true, envelope }
    }

    /// Of the type that the request's success would have had: surfaces to the caller.
    pub fn typed(error_code: i32, message: impl Into<String>) -> Self {
        Self { error_response: false, envelope: Envelope::fail(error_code, message) }
    }
}

/// The type of answers that carry no fields of their own.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Nothing {}

/// The JSON of an answer: the envelope and the fields of its type.
pub fn answer<T: Serialize>(envelope: &Envelope, fields: &T) -> Bytes {
    #[derive(Serialize)]
    struct Answer<'a, T> {
        #[serde(flatten)]
        envelope: &'a Envelope,
        #[serde(flatten)]
        fields: &'a T,
    }
    json(&Answer { envelope, fields })
}

/// An answer of an envelope and these [`members`].
pub fn answer_members(envelope: &Envelope, members: &[u8]) -> Bytes {
    let head = json(envelope);
    let mut text = Vec::with_capacity(head.len() + members.len() + 1);
    text.extend_from_slice(&head[..head.len().saturating_sub(1)]);
    if !members.is_empty() {
        text.push(b',');
        text.extend_from_slice(members);
    }
    text.push(b'}');
    text.into()
}

/// The JSON of a push: `headers` and `module` as every request has them, `requestId` unless nobody acknowledges it.
pub fn push<T: Serialize>(module: &str, request_id: Option<u64>, fields: &T) -> Bytes {
    assemble(module, request_id, &members(fields))
}

/// The members of an object as JSON text without the braces: a push that is sent to many, or again, is serialised once
/// and completed by [`assemble`].
pub fn members<T: Serialize>(fields: &T) -> Bytes {
    let object = json(fields);
    if object.len() < 2 { Bytes::new() } else { object.slice(1..object.len() - 1) }
}

/// A push of these [`members`].
pub fn assemble(module: &str, request_id: Option<u64>, members: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(members.len() + 80);
    text.extend_from_slice(b"{\"headers\":{},");
    if let Some(id) = request_id {
        text.extend_from_slice(format!("\"requestId\":\"{id}\",").as_bytes());
    }
    if !members.is_empty() {
        text.extend_from_slice(members);
        text.push(b',');
    }
    text.extend_from_slice(b"\"module\":\"");
    text.extend_from_slice(module.as_bytes());
    text.extend_from_slice(b"\"}");
    text.into()
}

/// Our own types always serialise; a failure would be a bug, and an empty body says so to the client.
fn json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}

body! {
    /// An acknowledgement of a push. Only `requestId` and `resultCode` count, whatever the type is called.
    Ack {
        result_code: i32 = "resultCode", 200;
        error_code: i32 = "errorCode";
        message: Option<String> = "message";
        request_id: Option<String> = "requestId";
        /// `ClientConfigMetricResponse`: figures by key, each a JSON text.
        metrics: Texts = "metrics";
    }
}

impl Ack {
    /// The number of the push it answers.
    pub fn id(&self) -> Option<u64> {
        self.request_id.as_deref()?.parse().ok()
    }

    pub fn success(&self) -> bool {
        self.result_code == 200
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn answers_have_the_four_keys_and_no_null() {
        let ok = value(&answer(&Envelope::ok(), &Nothing {}));
        assert_eq!(ok, json!({"resultCode":200,"errorCode":0,"success":true}));
        let failed = value(&answer(&Envelope::fail(301, "Connection is unregistered."), &Nothing {}));
        let want = json!({"resultCode":500,"errorCode":301,"message":"Connection is unregistered.","success":false});
        assert_eq!(failed, want);
        assert_eq!(Envelope::thrown(400, "x").result_code, 400);
    }

    #[test]
    fn pushes_have_headers_module_and_a_text_as_request_id() {
        let got = value(&push("internal", Some(17), &Nothing {}));
        assert_eq!(got, json!({"headers":{},"requestId":"17","module":"internal"}));
        assert_eq!(value(&push("internal", None, &Nothing {})), json!({"headers":{},"module":"internal"}));
    }

    #[test]
    fn ready_made_members_complete_an_answer() {
        let got = value(&answer_members(&Envelope::ok(), br#""serviceInfo":{"name":"s"}"#));
        let want = json!({"resultCode":200,"errorCode":0,"serviceInfo":{"name":"s"},"success":true});
        assert_eq!(got, want);
        assert_eq!(value(&answer_members(&Envelope::ok(), b"")), value(&answer(&Envelope::ok(), &Nothing {})));
        assert_eq!(&members(&json!({"a":1}))[..], b"\"a\":1");
    }

    #[test]
    fn an_ack_counts_by_its_result_code_only() {
        let ack = |text: &str| crate::grpc::lenient::parse::<Ack>(text.as_bytes()).unwrap();
        let go = ack(r#"{"resultCode":200,"errorCode":0,"success":false,"message":"","requestId":"17"}"#);
        assert!(go.success() && go.id() == Some(17));
        assert!(!ack(r#"{"resultCode":500,"success":true,"requestId":17}"#).success());
        assert_eq!(ack(r#"{"requestId":null}"#).id(), None);
    }
}

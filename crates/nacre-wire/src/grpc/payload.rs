//! The three protobuf messages of the protocol. The schema has no `package`; field numbers are Nacos's
//! (`nacos_grpc_service.proto`), the body is JSON text inside `Any.value`.

use std::collections::BTreeMap;

use bytes::Bytes;

/// gRPC path of unary calls.
pub const REQUEST_PATH: &str = "/Request/request";
/// gRPC path of the stream that carries the set-up, the server's pushes and their acknowledgements.
pub const STREAM_PATH: &str = "/BiRequestStream/requestBiStream";

/// Type name, headers and the sender's own idea of its address.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metadata {
    /// Java simple class name of the body, the dispatch key in both directions.
    #[prost(string, tag = "3")]
    pub type_name: String,
    #[prost(btree_map = "string, string", tag = "7")]
    pub headers: BTreeMap<String, String>,
    #[prost(string, tag = "8")]
    pub client_ip: String,
}

/// `google.protobuf.Any`, used as a plain container of bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    /// Ignored on input (the Rust SDK fills it), empty on output.
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// What travels in both directions.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Payload {
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "3")]
    pub body: Option<Any>,
}

impl Payload {
    /// An answer: a type name and JSON, nothing else.
    pub fn answer(type_name: &str, body: Bytes) -> Self {
        Self::push(type_name, "", body)
    }

    /// A push carries the server's address besides.
    pub fn push(type_name: &str, server_ip: &str, body: Bytes) -> Self {
        let metadata =
            Metadata { type_name: type_name.to_owned(), headers: BTreeMap::new(), client_ip: server_ip.to_owned() };
        Self { metadata: Some(metadata), body: Some(Any { type_url: String::new(), value: body }) }
    }

    /// The type name; empty when there is no metadata.
    pub fn type_name(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.type_name)
    }

    /// The JSON text; empty when there is no body.
    pub fn json(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], |body| &body.value)
    }

    /// The address the sender says it has.
    pub fn client_ip(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.client_ip)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn field_numbers_are_those_of_the_protocol() {
        let payload = Payload::push("T", "1.2.3.4", Bytes::from_static(b"{}"));
        // field 2 (metadata), 8 + ...: type = 3, clientIp = 8; field 3 (body): value = 2
        let want = b"\x12\x0c\x1a\x01T\x42\x071.2.3.4\x1a\x04\x12\x02{}";
        assert_eq!(payload.encode_to_vec(), want);
    }

    #[test]
    fn unknown_fields_and_missing_parts_are_tolerated() {
        let payload = Payload::decode(&b"\x7a\x03abc"[..]).unwrap();
        assert_eq!((payload.type_name(), payload.json(), payload.client_ip()), ("", &b""[..], ""));
    }
}

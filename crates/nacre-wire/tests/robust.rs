//! Whatever bytes arrive, decoding answers; and what we write can be read back.

use bytes::Bytes;
use nacre_wire::grpc::{
    Ack, Payload,
    config::{ConfigBatchListenRequest, ConfigPublishRequest, ConfigQueryRequest},
    connection::ConnectionSetupRequest,
    fuzzy::FuzzyWatchRequest,
    lenient::parse,
    naming::{BatchInstanceRequest, InstanceRequest, ServiceListRequest},
};
use proptest::prelude::*;
use prost::Message;
use serde_json::Value;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let key = prop_oneof![
            Just("instance".to_owned()),
            Just("instances".to_owned()),
            Just("configListenContexts".to_owned()),
            Just("labels".to_owned()),
            Just("port".to_owned()),
            Just("metadata".to_owned()),
            "[a-zA-Z]{1,8}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail_as_a_payload(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Payload::decode(&bytes[..]);
    }

    #[test]
    fn a_payload_survives_the_wire(name in "\\PC{0,40}", ip in "[0-9.]{0,15}", body in prop::collection::vec(any::<u8>(), 0..500)) {
        let payload = Payload::push(&name, &ip, Bytes::from(body));
        let back = Payload::decode(&payload.encode_to_vec()[..]).unwrap();
        prop_assert_eq!(back, payload);
    }

    #[test]
    fn any_text_is_read_or_refused_with_one_of_two_texts(text in "\\PC{0,200}") {
        if let Err(message) = parse::<InstanceRequest>(text.as_bytes()) {
            prop_assert!(message.starts_with("errCode: 101") || message == "Invalid request");
        }
    }

    #[test]
    fn any_json_is_read_or_refused_by_every_request(value in any_json()) {
        let text = value.to_string();
        let body = text.as_bytes();
        let _ = parse::<InstanceRequest>(body).map(|request| request.instance.map(|instance| instance.to_instance(true)));
        let _ = parse::<BatchInstanceRequest>(body);
        let _ = parse::<ServiceListRequest>(body);
        let _ = parse::<ConfigQueryRequest>(body);
        let _ = parse::<ConfigPublishRequest>(body);
        let _ = parse::<ConfigBatchListenRequest>(body);
        let _ = parse::<ConnectionSetupRequest>(body);
        let _ = parse::<FuzzyWatchRequest>(body);
        let _ = parse::<Ack>(body).map(|ack| ack.id());
    }
}

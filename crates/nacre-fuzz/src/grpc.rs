//! What arrives over gRPC: the protobuf message, and the JSON in it.

use nacre_wire::grpc::{
    Ack, Payload,
    config::{ConfigBatchListenRequest, ConfigPublishRequest, ConfigQueryRequest, ConfigRemoveRequest},
    connection::{ConnectionSetupRequest, EmptyRequest, ServerReloadRequest},
    envelope,
    fuzzy::FuzzyWatchRequest,
    lenient::parse,
    naming::{BatchInstanceRequest, InstanceRequest, ServiceListRequest, ServiceQueryRequest, SubscribeServiceRequest},
};
use prost::Message;

/// A message: what was decoded is encoded and decoded again.
pub fn payload(data: &[u8]) {
    let Ok(payload) = Payload::decode(data) else { return };
    let again = Payload::decode(&payload.encode_to_vec()[..]).expect("what we encode can be decoded");
    assert_eq!(again, payload);
    let _ = (payload.type_name(), payload.client_ip(), parse::<Ack>(payload.json()));
}

/// A body. The first byte chooses the type.
pub fn body(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let instance = |request: InstanceRequest| {
        if let Some(instance) = &request.instance {
            let instance = instance.to_instance(true);
            let _ = serde_json::to_string(&instance).map(|text| assert!(!text.is_empty()));
        }
    };
    let refused = match first % 13 {
        0 => parse::<InstanceRequest>(body).map(instance).err(),
        1 => parse::<BatchInstanceRequest>(body).err(),
        2 => parse::<ServiceQueryRequest>(body).err(),
        3 => parse::<ServiceListRequest>(body).err(),
        4 => parse::<SubscribeServiceRequest>(body).err(),
        5 => parse::<ConfigQueryRequest>(body).err(),
        6 => parse::<ConfigPublishRequest>(body).map(|request| request.addition("betaIps").map(str::len)).err(),
        7 => parse::<ConfigRemoveRequest>(body).err(),
        8 => parse::<ConfigBatchListenRequest>(body).err(),
        9 => parse::<ConnectionSetupRequest>(body).err(),
        10 => parse::<FuzzyWatchRequest>(body).err(),
        11 => parse::<Ack>(body).map(|ack| (ack.id(), ack.success())).err(),
        _ => parse::<EmptyRequest>(body).err().or(parse::<ServerReloadRequest>(body).err()),
    };
    if let Some(message) = refused {
        assert!(
            [nacre_wire::grpc::lenient::DESERIALIZE_FAILED, nacre_wire::grpc::lenient::INVALID_REQUEST]
                .contains(&message)
        );
    }
    // An answer that repeats callers' text is JSON whatever the text.
    let answer = envelope::answer(&envelope::Envelope::fail(500, crate::text(body)), &envelope::Nothing {});
    assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok());
}

//! What each request type does: check, one call of a core or of the write road, answer.

mod config;
mod fuzzy;
mod naming;

use nacre_model::NacosError;
use nacre_wire::grpc::{connection::EmptyRequest, envelope::Nothing};
use serde::Deserialize;

use super::{
    dispatch::{Call, Operation, Reply, run},
    table::Answering,
};

/// `HealthCheckRequest`: the client hears that it is registered.
#[derive(Deserialize)]
#[serde(transparent)]
struct HealthCheck(#[allow(dead_code, reason = "only its being readable counts")] EmptyRequest);

impl Operation for HealthCheck {
    const RESPONSE: &'static str = "HealthCheckResponse";
    type Fields = Nothing;

    fn check(&self, _metadata_length: usize) -> Result<(), String> {
        Ok(())
    }

    async fn run(&self, _call: &Call<'_>) -> Result<Reply, NacosError> {
        Ok(Reply::ok(&Nothing {}))
    }
}

macro_rules! handlers {
    ($($name:ident: $operation:ty;)*) => {$(
        pub(super) fn $name(call: Call<'_>) -> Answering<'_> {
            run::<$operation>(call)
        }
    )*};
}

handlers! {
    health_check: HealthCheck;
    config_query: nacre_wire::grpc::config::ConfigQueryRequest;
    config_publish: nacre_wire::grpc::config::ConfigPublishRequest;
    config_remove: nacre_wire::grpc::config::ConfigRemoveRequest;
    config_batch_listen: nacre_wire::grpc::config::ConfigBatchListenRequest;
    config_fuzzy_watch: fuzzy::ConfigWatch;
    naming_fuzzy_watch: fuzzy::NamingWatch;
    instance: nacre_wire::grpc::naming::InstanceRequest;
    persistent_instance: naming::Persistent;
    batch_instance: nacre_wire::grpc::naming::BatchInstanceRequest;
    service_query: nacre_wire::grpc::naming::ServiceQueryRequest;
    service_list: nacre_wire::grpc::naming::ServiceListRequest;
    subscribe_service: nacre_wire::grpc::naming::SubscribeServiceRequest;
}

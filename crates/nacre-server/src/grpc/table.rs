//! The payload table: one [`Row`] per unary request type. Dispatch, authorisation, metric labels and the docs' list are
//! made from these rows.

use std::{future::Future, pin::Pin};

use super::{
    dispatch::{Answered, Call},
    handlers,
};

/// What a caller needs; enforced once authentication lands, shown in the docs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    None,
    Read,
    Write,
    /// A cluster member's identity.
    Identity,
}

pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Answered> + Send + 'a>>;

/// One unary request type.
pub struct Row {
    /// Java simple class name: the dispatch key.
    pub name: &'static str,
    /// `internal`, `config`, `naming`, `cluster`.
    pub module: &'static str,
    /// The kind of resource an action is on; `""` when there is none.
    pub resource: &'static str,
    pub auth: Auth,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// Answered without a connection, before everything else.
    ServerCheck,
    /// Refused on this port: servers say it among themselves.
    ClusterOnly,
    Handler(for<'a> fn(Call<'a>) -> Answering<'a>),
}

const fn handled(
    name: &'static str,
    module: &'static str,
    auth: Auth,
    handler: for<'a> fn(Call<'a>) -> Answering<'a>,
) -> Row {
    let resource = if matches!(auth, Auth::None) { "" } else { module };
    Row { name, module, resource, auth, kind: Kind::Handler(handler) }
}

const fn cluster_only(name: &'static str, module: &'static str) -> Row {
    Row { name, module, resource: "", auth: Auth::Identity, kind: Kind::ClusterOnly }
}

/// Every unary request type this server knows, by name.
pub static ROWS: &[Row] = &[
    handled("BatchInstanceRequest", "naming", Auth::Write, handlers::batch_instance),
    handled("ConfigBatchListenRequest", "config", Auth::Read, handlers::config_batch_listen),
    cluster_only("ConfigChangeClusterSyncRequest", "config"),
    handled("ConfigFuzzyWatchRequest", "config", Auth::Read, handlers::config_fuzzy_watch),
    handled("ConfigPublishRequest", "config", Auth::Write, handlers::config_publish),
    handled("ConfigQueryRequest", "config", Auth::Read, handlers::config_query),
    handled("ConfigRemoveRequest", "config", Auth::Write, handlers::config_remove),
    cluster_only("DistroDataRequest", "cluster"),
    handled("HealthCheckRequest", "internal", Auth::None, handlers::health_check),
    handled("InstanceRequest", "naming", Auth::Write, handlers::instance),
    cluster_only("MemberReportRequest", "cluster"),
    handled("NamingFuzzyWatchRequest", "naming", Auth::Read, handlers::naming_fuzzy_watch),
    handled("PersistentInstanceRequest", "naming", Auth::Write, handlers::persistent_instance),
    Row { name: "ServerCheckRequest", module: "internal", resource: "", auth: Auth::None, kind: Kind::ServerCheck },
    cluster_only("ServerLoaderInfoRequest", "internal"),
    cluster_only("ServerReloadRequest", "internal"),
    handled("ServiceListRequest", "naming", Auth::Read, handlers::service_list),
    handled("ServiceQueryRequest", "naming", Auth::Read, handlers::service_query),
    handled("SubscribeServiceRequest", "naming", Auth::Read, handlers::subscribe_service),
];

/// The row of a type name.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.binary_search_by(|row| row.name.cmp(name)).ok().map(|at| &ROWS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_found() {
        assert!(ROWS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(ROWS.iter().all(|row| find(row.name).is_some_and(|found| found.name == row.name)));
        for unknown in ["", "healthcheckrequest", "LockOperationRequest", "PushAckRequest", "ConnectionSetupRequest"] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }
}

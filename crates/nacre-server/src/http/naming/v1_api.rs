//! `/v1/ns/api`: the paths of the first generation, which only 1.x servers have. Most are the calls of `/v1/ns/instance` by
//! another name; three take the service as `dom`.

use std::collections::BTreeMap;

use nacre_model::{DEFAULT_CLUSTER, DEFAULT_GROUP, NacosError, ServiceKey, key::GROUP_SEPARATOR};
use serde_json::json;

use super::{
    call::{self, BeatParams},
    read::{V1, grouped_key},
    v1_instance::{
        AREA, beat, delete_metadata, deregister, detail, list, list_of, patch, register, statuses, update,
        update_metadata,
    },
};
use crate::{
    app::App,
    http::{
        Ctx,
        reply::Reply,
        table::{Answer, Auth, Check, DELETE, GET, PATCH, POST, PUT, Row},
    },
    later, now, step,
};

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v1/ns/api", AREA, Auth::Write, step!(register)),
    Row::new(DELETE, "/v1/ns/api", AREA, Auth::Write, step!(deregister)),
    Row::new(PUT, "/v1/ns/api", AREA, Auth::Write, later!(update)),
    Row::new(PATCH, "/v1/ns/api", AREA, Auth::Write, later!(patch)),
    Row::new(GET, "/v1/ns/api", AREA, Auth::Read, now!(detail)),
    Row::new(GET, "/v1/ns/api/list", AREA, Auth::Read, now!(list)).checked(Check::List),
    Row::new(PUT, "/v1/ns/api/beat", AREA, Auth::Write, now!(beat)).checked(Check::Beat),
    Row::new(PUT, "/v1/ns/api/metadata/batch", AREA, Auth::Write, later!(update_metadata)).checked(Check::Batch),
    Row::new(DELETE, "/v1/ns/api/metadata/batch", AREA, Auth::Write, later!(delete_metadata)).checked(Check::Batch),
    Row::new(GET, "/v1/ns/api/statuses", AREA, Auth::None, now!(statuses)),
    Row::new(GET, "/v1/ns/api/srvIPXT", AREA, Auth::Read, now!(srv_ipxt)),
    Row::new(GET, "/v1/ns/api/clientBeat", AREA, Auth::Write, now!(client_beat)).checked(Check::Beat),
    Row::new(GET, "/v1/ns/api/allDomNames", AREA, Auth::None, now!(all_dom_names)),
];

/// `dom` is a service, of the default group unless it names one.
fn dom(read: &V1<'_>) -> Result<ServiceKey, NacosError> {
    let (namespace, dom) = (read.namespace(), read.required("dom")?);
    if dom.contains(GROUP_SEPARATOR) {
        return grouped_key(&namespace, &dom);
    }
    Ok(ServiceKey::new(&namespace, DEFAULT_GROUP, &dom))
}

fn srv_ipxt(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    list_of(app, ctx, &read, &dom(&read)?)
}

/// A beat whose address stands in its JSON.
fn client_beat(app: &App, ctx: &Ctx) -> Answer {
    let read = V1::new(ctx);
    let service = dom(&read)?;
    read.required("beat")?;
    call::beat(app, ctx, &BeatParams { service: &service, ip: "", port: 0, cluster: DEFAULT_CLUSTER })
}

/// Every service by namespace.
fn all_dom_names(app: &App, _: &Ctx) -> Answer {
    let keys = app.naming.service_keys(None, "");
    let mut doms: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for key in &keys {
        doms.entry(&key.namespace).or_default().push(&key.name);
    }
    Ok(Reply::json(&json!({ "count": keys.len(), "doms": doms })))
}

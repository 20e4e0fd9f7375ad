//! What Java clients say of their own listeners: asked over their gRPC connections.

use std::sync::Arc;

use nacre_config::{check, names::group_key};
use nacre_wire::grpc::config::{Metrics, MetricsKey};
use serde_json::json;

use super::preset_json;
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{api_text, v1_text},
        refuse::Refusal,
        reply::Reply,
        table::Answer,
    },
};

/// Figures of the clients with this address, by the client's own id; each is a JSON text.
async fn metrics(app: &Arc<App>, ip: &str, data_id: &str, group: &str, tenant: &str) -> Metrics {
    let mut keys = Vec::new();
    if !data_id.trim().is_empty() && !group.trim().is_empty() {
        let key = group_key(data_id, group, tenant);
        keys.push(MetricsKey { kind: "cacheData", key: key.clone() });
        keys.push(MetricsKey { kind: "snapshotData", key });
    }
    app.grpc.config_metrics(ip, keys).await
}

/// Of this node, which is the cluster.
pub async fn v1(app: Arc<App>, ctx: Ctx) -> Answer {
    let ip = v1_text(&ctx.params, "ip")?;
    let (data_id, group) = (ctx.params.or("dataId", ""), ctx.params.or("group", ""));
    check::tenant(ctx.params.get("tenant"))?;
    check::key(ctx.params.get("dataId"), ctx.params.get("group"))?;
    Ok(preset_json(&metrics(&app, ip, data_id, group, ctx.params.or("tenant", "")).await))
}

pub async fn v3(app: Arc<App>, ctx: Ctx) -> Answer {
    Ok(Reply::result(v3_metrics(&app, &ctx).await?))
}

/// 3.1 gathers whole answers of its members, and this node is the only one.
pub async fn v3_cluster(app: Arc<App>, ctx: Ctx) -> Answer {
    let of_this_node = v3_metrics(&app, &ctx).await?;
    Ok(Reply::result(json!({ "code": 0, "message": "success", "data": of_this_node })))
}

async fn v3_metrics(app: &Arc<App>, ctx: &Ctx) -> Result<Metrics, Refusal> {
    let ip = api_text(&ctx.params, "ip")?;
    let (data_id, group) = (ctx.params.or("dataId", ""), ctx.params.or("groupName", ""));
    check::tenant(ctx.params.get("namespaceId"))?;
    check::key(ctx.params.get("dataId"), ctx.params.get("groupName"))?;
    let namespace = nacre_model::key::namespace(ctx.params.or("namespaceId", ""));
    Ok(metrics(app, ip, data_id, group, namespace).await)
}

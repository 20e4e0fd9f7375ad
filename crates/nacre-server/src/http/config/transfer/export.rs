//! Export: configs by id or by search, packed with their metadata.

use std::{collections::BTreeSet, sync::Arc};

use nacre_config::{ConfigSearch, FormalConfig, KeyRef, Pattern, names};
use nacre_model::{ConfigKey, NacosError};

use super::super::{metadata, ops, zip};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{ids, v1_no_ids},
        dates::compact,
        reply::Reply,
        table::Answer,
    },
};

/// One config to export.
type Exported = (ConfigKey, Arc<FormalConfig>);

/// Each once, by id.
fn by_ids(app: &App, ids: Vec<u64>) -> Vec<Exported> {
    let of = |id| {
        let key = app.configs.key_of(id)?;
        let formal = app.configs.get(KeyRef::from(&key))?.formal.clone()?;
        Some((key, formal))
    };
    ids.into_iter().collect::<BTreeSet<u64>>().into_iter().filter_map(of).collect()
}

/// All that match, by id.
fn matching(app: &App, search: &ConfigSearch) -> Vec<Exported> {
    let mut found = Vec::new();
    app.configs.for_each(|item| {
        let Some(formal) = &item.formal else { return };
        let key = &item.key;
        if search.namespace.matches(&key.namespace)
            && search.data_id.matches(&key.data_id)
            && search.group.matches(&key.group)
            && search.app_name.matches(&formal.meta.app_name)
        {
            found.push((key.clone(), formal.clone()));
        }
    });
    found.sort_by_key(|(_, formal)| formal.id);
    found
}

fn described(exported: &[Exported]) -> Vec<metadata::Item> {
    let item = |(key, formal): &Exported| metadata::Item {
        data_id: key.data_id.to_string(),
        group: key.group.to_string(),
        config_type: formal.meta.config_type.as_deref().map(str::to_owned),
        app_name: Some(formal.meta.app_name.to_string()),
        desc: formal.meta.desc.as_deref().map(str::to_owned),
        config_tags: formal.meta.tags_text(),
    };
    exported.iter().map(item).collect()
}

/// A zip of the configs with their metadata, new form or old, packed on a thread that may take its time.
async fn archive(app: &App, exported: Vec<Exported>, new_form: bool) -> Result<Reply, NacosError> {
    let pack = move || -> Result<Vec<u8>, String> {
        let mut zip = zip::Writer::default();
        for (key, formal) in &exported {
            zip.add(&format!("{}/{}", key.group, key.data_id), formal.content.as_bytes())?;
        }
        let items = described(&exported);
        if new_form {
            zip.add(metadata::NEW, metadata::write(&items).as_bytes())?;
        } else if let Some(text) = metadata::write_old(&items) {
            zip.add(metadata::OLD, text.as_bytes())?;
        }
        Ok(zip.finish())
    };
    let packed = tokio::task::spawn_blocking(pack).await.map_err(|error| NacosError::server(error.to_string()))?;
    let packed = packed.map_err(NacosError::server)?;
    let name = format!("attachment;filename=nacos_config_export_{}.zip", compact(app.clock.now().wall));
    Ok(Reply::new("application/octet-stream", packed).any_type().header("content-disposition", &name))
}

/// `GET /v1/cs/configs?export=true` and `exportV2=true`. Ids win over filters; none are all that match.
pub(in crate::http::config) async fn v1_export(app: &App, ctx: &Ctx, new_form: bool) -> Answer {
    let params = &ctx.params;
    let ids = ids(params, "ids").map_err(|value| v1_no_ids(&value))?;
    let exported = if ids.is_empty() {
        let search = ConfigSearch {
            namespace: Pattern::Exact(names::namespace_2x(params.or("tenant", "")).to_owned()),
            data_id: Pattern::blur(params.or("dataId", "")),
            group: Pattern::accurate(params.or("group", "")),
            app_name: Pattern::accurate(params.or("appName", "")),
            ..ConfigSearch::default()
        };
        matching(app, &search)
    } else {
        by_ids(app, ids)
    };
    Ok(archive(app, exported, new_form).await?.typed("application/octet-stream;charset=UTF-8").any_type())
}

/// `GET /v3/admin/cs/config/export`, `/v3/console/cs/config/export2`.
pub(in crate::http::config) async fn v3_export(app: Arc<App>, ctx: Ctx) -> Answer {
    let params = &ctx.params;
    let ids = if params.get("ids").is_some() { ops::v3_ids(&ctx)? } else { Vec::new() };
    let exported = if ids.is_empty() {
        let search = ConfigSearch {
            namespace: Pattern::Exact(names::namespace_3x(params.or("namespaceId", "")).to_owned()),
            data_id: Pattern::blur(params.or("dataId", "")),
            group: Pattern::accurate(params.or("groupName", "")),
            app_name: Pattern::accurate(params.or("appName", "")),
            ..ConfigSearch::default()
        };
        matching(&app, &search)
    } else {
        by_ids(&app, ids)
    };
    Ok(archive(&app, exported, true).await?)
}

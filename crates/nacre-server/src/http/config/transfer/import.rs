//! Import: what the archive holds goes down the write road under the policy the caller chose.

use std::sync::Arc;

use nacre_config::{ConfigCommand, ConfigReply, ConflictPolicy, Import, ImportItem, ImportReport, Source, names};
use nacre_model::NacosError;
use serde_json::json;

use super::{
    super::write,
    judge::{Rules, judge},
    words::{Failure, Words, nothing, result},
};
use crate::{
    app::App,
    http::{Ctx, table::Answer},
};

/// Content of one command; bigger imports are several commands.
const COMMAND_BYTES: usize = 8 * 1024 * 1024;

/// Puts the items on the write road, a few megabytes at a time.
async fn put(
    app: &App,
    items: Vec<ImportItem>,
    policy: ConflictPolicy,
    source: &Source,
) -> Result<ImportReport, NacosError> {
    let mut report = ImportReport::default();
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let mut bytes = 0;
        let mut part = Vec::new();
        while let Some(item) = items.next_if(|item| part.is_empty() || bytes + item.content.len() <= COMMAND_BYTES) {
            bytes += item.content.len();
            part.push(item);
        }
        if report.aborted {
            report.skipped.extend(part.into_iter().map(|item| item.key));
            continue;
        }
        let rules = app.live().rules.clone();
        let import = Import { items: part, policy, source: source.clone(), rules };
        match app.write_config(ConfigCommand::Import(import)).await? {
            ConfigReply::Imported(of) => merge(&mut report, of),
            other => return Err(write::unexpected(&other)),
        }
    }
    Ok(report)
}

fn merge(whole: &mut ImportReport, part: ImportReport) {
    whole.succeeded += part.succeeded;
    whole.skipped.extend(part.skipped);
    whole.failed.extend(part.failed);
    whole.unknown.extend(part.unknown);
    whole.aborted |= part.aborted;
    whole.refused = whole.refused.take().or(part.refused);
}

const HINT: &str = "send multipart/form-data, field `file`";

async fn import(app: &App, ctx: &Ctx, namespace: &str, user: &str, words: Words) -> Answer {
    let policy = words.policy(ctx)?;
    let Some(upload) = ctx.params.upload("file") else {
        return Ok(words.failed(Failure::Empty(json!({ "hint": HINT }))));
    };
    if !app.configs.namespace_exists(namespace) {
        return Ok(words.failed(Failure::NoNamespace));
    }
    let rules = Rules { max_content: app.settings.max_content, param_check: app.live().param_check };
    let (bytes, target) = (upload.data.clone(), namespace.to_owned());
    let judged = tokio::task::spawn_blocking(move || judge(&bytes, &target, words, &rules)).await;
    let found = match judged.map_err(|error| NacosError::server(error.to_string()))? {
        Ok(found) => found,
        Err(failure) => return Ok(words.failed(failure)),
    };
    if found.items.is_empty() {
        let data = if found.explained == 0 { nothing() } else { json!(result(ImportReport::default(), found.odd)) };
        return Ok(words.failed(Failure::Empty(data)));
    }
    let report = put(app, found.items, policy, &write::source(ctx, user)).await?;
    Ok(words.done("import success", &result(report, found.odd)))
}

/// `POST /v1/cs/configs?import=true`.
pub(in crate::http::config) async fn v1_import(app: &App, ctx: &Ctx) -> Answer {
    let namespace = names::namespace_2x(ctx.params.get("namespace").unwrap_or(""));
    import(app, ctx, namespace, "src_user", Words::V1).await
}

/// `POST /v3/admin/cs/config/import`.
pub(in crate::http::config) async fn admin_import(app: Arc<App>, ctx: Ctx) -> Answer {
    v3_import(&app, &ctx, ["src_user", "srcUser"], Words::V3).await
}

/// `POST /v3/console/cs/config/import`.
pub(in crate::http::config) async fn console_import(app: Arc<App>, ctx: Ctx) -> Answer {
    v3_import(&app, &ctx, ["srcUser", "src_user"], Words::Console).await
}

/// The user may stand under the other one's name, too.
async fn v3_import(app: &App, ctx: &Ctx, users: [&str; 2], words: Words) -> Answer {
    let namespace = names::namespace_3x(ctx.params.get("namespaceId").unwrap_or(""));
    let [own, other] = users;
    let user = if ctx.params.non_blank(own).is_some() { own } else { other };
    import(app, ctx, namespace, user, words).await
}

//! Export, import and clone of configs.
//!
//! An import judges every file before anything is written: what is no config is told by name and reason, the rest goes
//! down the write road under the policy the caller chose.

use std::sync::Arc;

use nacre_config::{
    CloneConfigs, CloneItem, ConfigCommand, ConfigMeta, ConfigReply, ConfigSearch, ConflictPolicy, FormalConfig,
    Import, ImportItem, ImportReport, KeyRef, Pattern, Source, check, content, names,
};
use nacre_model::{ConfigKey, ErrorCode, NacosError, check as params_check};
use nacre_wire::http::config::{ImportResult, ItemName, Unrecognized};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{metadata, ops, write, zip};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{api_missing, ids, v1_conversion, v1_text, v3_mismatch},
        dates::compact,
        refuse::Refusal,
        reply::{JSON_UTF8, Reply},
        table::Answer,
    },
};

/// Content of one command; bigger imports are several commands.
const COMMAND_BYTES: usize = 8 * 1024 * 1024;
/// Configs of one clone. More are a mistake.
const CLONES: usize = 10_000;

// ---------------------------------------------------------------------------------------------------------- export

/// One config to export.
type Exported = (ConfigKey, Arc<FormalConfig>);

fn by_ids(app: &App, ids: &[u64]) -> Vec<Exported> {
    let of = |id: &u64| {
        let key = app.configs.key_of(*id)?;
        let formal = app.configs.get(KeyRef::from(&key))?.formal.clone()?;
        Some((key, formal))
    };
    ids.iter().filter_map(of).collect()
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
    Ok(Reply::new("application/octet-stream", packed).header("content-disposition", &name))
}

/// `GET /v1/cs/configs?export=true` and `exportV2=true`. Ids win over filters; none are all that match.
pub(super) async fn v1_export(app: &App, ctx: &Ctx, new_form: bool) -> Answer {
    let params = &ctx.params;
    let ids = ids(params.or("ids", ""))
        .map_err(|word| v1_conversion("java.util.List", &format!("For input string: \"{word}\"")))?;
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
        by_ids(app, &ids)
    };
    Ok(archive(app, exported, new_form).await?.typed("application/octet-stream;charset=UTF-8"))
}

/// `GET /v3/admin/cs/config/export`, `/v3/console/cs/config/export2`.
pub(super) async fn v3_export(app: Arc<App>, ctx: Ctx) -> Answer {
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
        by_ids(&app, &ids)
    };
    Ok(archive(&app, exported, true).await?)
}

// ---------------------------------------------------------------------------------------------------------- import

/// How a generation says what became of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    V1,
    V3,
}

/// The result of having found nothing.
fn nothing() -> Value {
    json!({ "succCount": 0 })
}

/// Why nothing was done at all.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    NoNamespace,
    /// With what is wrong.
    BadMetadata(String),
    /// Nothing to import was found; with what is said of it.
    Empty(Value),
    NothingSelected,
}

impl Words {
    fn done(self, what: &str, result: &ImportResult) -> Reply {
        match self {
            Self::V1 => Reply::rest(Some(what), result).typed(JSON_UTF8),
            Self::V3 => Reply::result(result),
        }
    }

    /// HTTP status 200 in both generations.
    fn failed(self, failure: Failure) -> Reply {
        let count = nothing();
        let (code, v1, v3, data) = match failure {
            Failure::NoNamespace => {
                let code = if self == Self::V1 { 100_001 } else { ErrorCode::NAMESPACE_NOT_EXIST.code };
                (code, "目标 namespace 不存在".to_owned(), "namespace not exist".to_owned(), count)
            }
            Failure::BadMetadata(detail) => {
                let of = |text: &str| format!("{text}: {} {detail}", metadata::NEW);
                (100_002, of("导入的元数据非法"), of("Imported metadata is invalid"), count)
            }
            Failure::Empty(data) => {
                (100_005, "导入的文件数据为空".to_owned(), "Imported file data is empty".to_owned(), data)
            }
            Failure::NothingSelected => {
                (100_006, "没有选择任何配置".to_owned(), "No configuration selected".to_owned(), count)
            }
        };
        match self {
            Self::V1 => Reply::rest_code(code, Some(&v1), data).typed(JSON_UTF8),
            Self::V3 => Reply::json(&json!({ "code": code, "message": v3, "data": data })),
        }
    }

    fn not_in_metadata(self, name: &str) -> String {
        match self {
            Self::V1 => format!("未在元数据中找到: {name}"),
            Self::V3 => format!("Item not found in metadata: {name}"),
        }
    }

    fn not_in_file(self, name: &str) -> String {
        match self {
            Self::V1 => format!("未在文件中找到: {name}"),
            Self::V3 => format!("Item not found in file: {name}"),
        }
    }

    fn policy(self, ctx: &Ctx) -> Result<ConflictPolicy, Refusal> {
        let word = ctx.params.or("policy", "ABORT");
        ConflictPolicy::parse(word).ok_or_else(|| {
            let detail = format!("No policy {word}: ABORT, SKIP or OVERWRITE");
            match self {
                Self::V1 => NacosError::invalid(format!(
                    "Failed to convert value of type 'java.lang.String' to required type \
                     'com.alibaba.nacos.config.server.model.SameConfigPolicy'; {detail}"
                ))
                .into(),
                Self::V3 => v3_mismatch("policy", "com.alibaba.nacos.api.config.model.SameConfigPolicy", &detail),
            }
        })
    }
}

/// What was found in an archive.
#[derive(Debug, Default, PartialEq)]
struct Found {
    items: Vec<ImportItem>,
    /// Names of what is no config, with the reason unless the name is the reason.
    odd: Vec<String>,
    /// How many of them have a reason.
    explained: usize,
}

/// Files that packers and desktops leave in archives.
fn is_litter(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("__MACOSX/") || last == ".DS_Store" || last == "Thumbs.db" || last.starts_with("._")
}

/// Takes off a folder that was packed around everything, known by the metadata inside it.
fn unwrapped(mut entries: Vec<zip::Entry>) -> Vec<zip::Entry> {
    let Some((top, _)) = entries.first().and_then(|entry| entry.name.split_once('/')) else { return entries };
    let top = format!("{top}/");
    let inner = |entry: &zip::Entry| entry.name.strip_prefix(&top).map(str::to_owned);
    let has_metadata = |name: Option<String>| matches!(name.as_deref(), Some(metadata::NEW | metadata::OLD));
    if entries.iter().all(|entry| entry.name.starts_with(&top))
        && entries.iter().any(|entry| has_metadata(inner(entry)))
    {
        for entry in &mut entries {
            entry.name = entry.name[top.len()..].to_owned();
        }
    }
    entries
}

/// Judges the files of an archive.
fn judge(bytes: &[u8], namespace: &str, words: Words, settings: &Rules) -> Result<Found, Failure> {
    let entries = zip::read(bytes).ok_or(Failure::Empty(nothing()))?;
    let entries = unwrapped(entries.into_iter().filter(|entry| !is_litter(&entry.name)).collect());
    if entries.is_empty() {
        return Err(Failure::Empty(nothing()));
    }
    let text_of = |name: &str| -> Result<Option<String>, Failure> {
        let Some(entry) = entries.iter().find(|entry| entry.name == name) else { return Ok(None) };
        let data = entry.data.clone().map_err(Failure::BadMetadata)?;
        String::from_utf8(data).map(Some).map_err(|_| Failure::BadMetadata("is no UTF-8".into()))
    };
    let described = match text_of(metadata::NEW)? {
        Some(text) => Some(metadata::read(&text).map_err(Failure::BadMetadata)?),
        None if words == Words::V3 => return Err(Failure::BadMetadata("is not in the archive".into())),
        None => None,
    };
    let applications = match text_of(metadata::OLD)? {
        Some(text) if described.is_none() => metadata::read_old(&text).map_err(Failure::BadMetadata)?,
        _ => Vec::new(),
    };
    let mut found = Found::default();
    let mut seen: Vec<(String, String)> = Vec::new();
    for entry in &entries {
        if entry.name == metadata::NEW || entry.name == metadata::OLD {
            continue;
        }
        match file(entry, described.as_deref(), &applications, namespace, words, settings) {
            Ok(item) => {
                seen.push((item.key.group.to_string(), item.key.data_id.to_string()));
                found.items.push(item);
            }
            Err(odd) => {
                if let Some((group, data_id)) = entry.name.split_once('/') {
                    seen.push((group.to_owned(), data_id.to_owned()));
                }
                found.explained += usize::from(odd != entry.name);
                found.odd.push(odd);
            }
        }
    }
    for item in described.iter().flatten() {
        let of = |(group, data_id): &(String, String)| *group == item.group && *data_id == item.data_id;
        if !seen.iter().any(of) {
            found.explained += 1;
            found.odd.push(words.not_in_file(&format!("{}/{}", item.group, item.data_id)));
        }
    }
    Ok(found)
}

/// What the judgement of names and contents needs to know.
#[derive(Clone, Copy, Debug)]
struct Rules {
    max_content: u64,
    param_check: bool,
}

/// One file as a config, or its name with the reason why it is none.
fn file(
    entry: &zip::Entry,
    described: Option<&[metadata::Item]>,
    applications: &[(String, String)],
    namespace: &str,
    words: Words,
    rules: &Rules,
) -> Result<ImportItem, String> {
    let name = &entry.name;
    let odd = |reason: &str| format!("{name}: {reason}");
    if !entry.legible {
        return Err(odd("the name is neither UTF-8 nor marked as such"));
    }
    let (group, data_id) = match name.split_once('/') {
        Some((group, data_id)) if !group.is_empty() && !data_id.contains('/') => (group, data_id),
        // As the reference shows it: the bare name.
        _ => return Err(name.clone()),
    };
    let meta = match described {
        Some(items) => {
            let of = |item: &&metadata::Item| item.group == group && item.data_id == data_id;
            let item = items.iter().find(of).ok_or_else(|| words.not_in_metadata(name))?;
            ConfigMeta {
                config_type: Some(content::config_type(item.config_type.as_deref()).into()),
                app_name: item.app_name.as_deref().unwrap_or("").into(),
                desc: item.desc.as_deref().map(Arc::from),
                tags: item.config_tags.as_deref().map(nacre_config::command::split_tags).unwrap_or_default(),
                ..ConfigMeta::default()
            }
        }
        None => {
            let key = metadata::old_key(group, data_id);
            let app = applications.iter().find(|(of, _)| *of == key).map_or("", |(_, app)| app);
            ConfigMeta {
                config_type: Some(content::type_of_data_id(data_id).into()),
                app_name: app.into(),
                ..ConfigMeta::default()
            }
        }
    };
    legal_names(group, data_id, rules).map_err(|reason| odd(&reason))?;
    let data = entry.data.as_ref().map_err(|reason| odd(reason))?;
    let text = std::str::from_utf8(data).map_err(|_| odd("the content is no UTF-8"))?;
    check::content(Some(text), rules.max_content).map_err(|error| odd(&error.message))?;
    Ok(ImportItem {
        key: ConfigKey::new(namespace, group, data_id),
        content: text.into(),
        replace_tags: !meta.tags.is_empty(),
        meta,
        encrypted_data_key: "".into(),
    })
}

/// The rules of names, and one more: an archive's name for another place is no dataId.
fn legal_names(group: &str, data_id: &str, rules: &Rules) -> Result<(), String> {
    for part in [group, data_id] {
        if part == "." || part == ".." {
            return Err(format!("'{part}' is no name"));
        }
    }
    check::key(Some(data_id), Some(group)).map_err(|error| error.message)?;
    if rules.param_check {
        let info = params_check::ParamInfo { data_id: Some(data_id), group: Some(group), ..Default::default() };
        params_check::check(&info, params_check::METADATA_LENGTH)?;
    }
    Ok(())
}

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

fn result(report: ImportReport, mut odd: Vec<String>) -> ImportResult {
    let names = |keys: Vec<ConfigKey>| -> Vec<ItemName> {
        let name = |key: ConfigKey| ItemName { data_id: key.data_id.to_string(), group: key.group.to_string() };
        keys.into_iter().map(name).collect()
    };
    let mut failed = report.failed;
    if let Some((key, refusal)) = report.refused {
        odd.push(format!("{}/{}: {}", key.group, key.data_id, NacosError::from(refusal).message));
        failed.push(key);
    }
    odd.extend(report.unknown.iter().map(|id| format!("id {id}: not found")));
    ImportResult {
        succ_count: report.succeeded,
        skip_count: u32::try_from(report.skipped.len()).unwrap_or(u32::MAX),
        fail_data: names(failed),
        skip_data: names(report.skipped),
        unrecognized_count: u32::try_from(odd.len()).ok().filter(|count| *count > 0),
        unrecognized_data: odd.into_iter().map(|item_name| Unrecognized { item_name }).collect(),
    }
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
pub(super) async fn v1_import(app: &App, ctx: &Ctx) -> Answer {
    let namespace = names::namespace_2x(ctx.params.get("namespace").unwrap_or(""));
    import(app, ctx, namespace, "src_user", Words::V1).await
}

/// `POST /v3/admin/cs/config/import`, `/v3/console/cs/config/import`.
pub(super) async fn v3_import(app: Arc<App>, ctx: Ctx) -> Answer {
    let namespace = names::namespace_3x(ctx.params.get("namespaceId").unwrap_or(""));
    let user = if ctx.params.non_blank("srcUser").is_some() { "srcUser" } else { "src_user" };
    import(&app, &ctx, namespace, user, Words::V3).await
}

// ----------------------------------------------------------------------------------------------------------- clone

/// One config of a clone, in any generation's words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Cloned {
    #[serde(alias = "cfgId", alias = "configId", deserialize_with = "number_or_text")]
    id: Option<u64>,
    #[serde(alias = "targetDataId", rename = "dataId")]
    data_id: Option<String>,
    #[serde(alias = "targetGroupName")]
    group: Option<String>,
}

fn number_or_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_u64()),
        Value::String(text) => text.trim().parse().map(Some).map_err(serde::de::Error::custom),
        other => Err(serde::de::Error::custom(format!("{other} is no id"))),
    }
}

async fn clone_into(app: &App, ctx: &Ctx, namespace: &str, user: &str, words: Words, wanted: Vec<Cloned>) -> Answer {
    let policy = words.policy(ctx)?;
    if wanted.is_empty() {
        return Ok(words.failed(Failure::NothingSelected));
    }
    if wanted.len() > CLONES {
        return Err(NacosError::invalid(format!("more than {CLONES} configs in one call")).into());
    }
    if !app.configs.namespace_exists(namespace) {
        return Ok(words.failed(Failure::NoNamespace));
    }
    let known = |item: &Cloned| item.id.is_some_and(|id| app.configs.key_of(id).is_some());
    if !wanted.iter().any(known) {
        return Ok(words.failed(Failure::Empty(nothing())));
    }
    for item in &wanted {
        let (data_id, group) = (item.data_id.as_deref().unwrap_or(""), item.group.as_deref().unwrap_or(""));
        check::key(
            Some(data_id).filter(|id| !id.is_empty()).or(Some("d")),
            Some(group).filter(|g| !g.is_empty()).or(Some("g")),
        )?;
    }
    let items = wanted
        .into_iter()
        .map(|item| CloneItem {
            id: item.id.unwrap_or(0),
            data_id: item.data_id.unwrap_or_default(),
            group: item.group.unwrap_or_default(),
        })
        .collect();
    let command = CloneConfigs {
        items,
        namespace: namespace.into(),
        policy,
        source: write::source(ctx, user),
        rules: app.live().rules.clone(),
    };
    match app.write_config(ConfigCommand::Clone(command)).await? {
        ConfigReply::Imported(report) => Ok(words.done("Clone Completed Successfully", &result(report, Vec::new()))),
        other => Err(write::unexpected(&other).into()),
    }
}

/// The JSON list of a clone's body.
fn wanted(ctx: &Ctx) -> Result<Vec<Cloned>, String> {
    if ctx.body.is_empty() {
        return Err("Required request body is missing: public list of configs".into());
    }
    serde_json::from_slice(&ctx.body).map_err(|error| format!("JSON parse error: {error}"))
}

/// `POST /v1/cs/configs?clone=true`.
pub(super) async fn v1_clone(app: &App, ctx: &Ctx) -> Answer {
    let namespace = names::namespace_2x(v1_text(&ctx.params, "tenant")?);
    let wanted = wanted(ctx).map_err(Refusal::exception)?;
    clone_into(app, ctx, namespace, "src_user", Words::V1, wanted).await
}

async fn v3_clone(app: &App, ctx: &Ctx, target: &str, user: &str) -> Answer {
    let given = ctx.params.get(target).ok_or_else(|| api_missing(target, "String"))?;
    let missing = |text: String| NacosError::new(400, ErrorCode::PARAMETER_MISSING, text);
    let wanted = wanted(ctx).map_err(missing)?;
    clone_into(app, ctx, names::namespace_3x(given), user, Words::V3, wanted).await
}

/// `POST /v3/admin/cs/config/clone`.
pub(super) async fn admin_clone(app: Arc<App>, ctx: Ctx) -> Answer {
    v3_clone(&app, &ctx, "namespaceId", "src_user").await
}

/// `POST /v3/console/cs/config/clone`.
pub(super) async fn console_clone(app: Arc<App>, ctx: Ctx) -> Answer {
    v3_clone(&app, &ctx, "targetNamespaceId", "srcUser").await
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { max_content: 1_000, param_check: true };

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = zip::Writer::default();
        for (name, text) in files {
            zip.add(name, text.as_bytes()).expect("add");
        }
        zip.finish()
    }

    fn of(files: &[(&str, &str)], words: Words) -> Result<Found, Failure> {
        judge(&archive(files), "public", words, &RULES)
    }

    fn names(found: &Found) -> Vec<String> {
        found.items.iter().map(|item| format!("{}/{}", item.key.group, item.key.data_id)).collect()
    }

    const META: &str = "metadata:\n- dataId: a.yml\n  group: G\n  type: yaml\n  desc: d\n";

    #[test]
    fn files_and_metadata_must_agree() {
        let found = of(&[(metadata::NEW, META), ("G/a.yml", "x"), ("G/b", "y")], Words::V3).expect("found");
        assert_eq!(names(&found), ["G/a.yml"]);
        assert_eq!(found.odd, ["Item not found in metadata: G/b"]);
        assert_eq!(found.items[0].meta.desc.as_deref(), Some("d"));
        let found = of(&[(metadata::NEW, META), ("G/b", "y")], Words::V1).expect("found");
        assert_eq!(found.odd, ["未在元数据中找到: G/b", "未在文件中找到: G/a.yml"]);
    }

    #[test]
    fn v3_wants_metadata_and_v1_infers_types_c047_c050() {
        let files = [("G/one.yml", "x"), ("G/two", "y"), ("meta_data", "z")];
        assert!(matches!(of(&files, Words::V3), Err(Failure::BadMetadata(_))));
        let found = of(&files, Words::V1).expect("found");
        let types: Vec<_> = found.items.iter().map(|item| item.meta.config_type.as_deref()).collect();
        assert_eq!(types, [Some("yaml"), Some("text")]);
        assert_eq!(found.odd, ["meta_data"]);
    }

    #[test]
    fn a_folder_around_everything_is_taken_off_only_with_metadata_in_it_c049() {
        let wrapped = [("top/.metadata.yml", META), ("top/G/a.yml", "x")];
        assert_eq!(names(&of(&wrapped, Words::V3).expect("found")), ["G/a.yml"]);
        let deep = [("G6/a/b", "5")];
        let found = of(&deep, Words::V1).expect("found");
        assert_eq!((found.items.len(), found.odd), (0, vec!["G6/a/b".to_owned()]));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_c034_c049() {
        let files = [("G/..", "x"), ("../evil.yml", "x"), ("/abs/evil.yml", "x"), ("G/a%2Fb", "x"), ("G/ok", "x")];
        let found = of(&files, Words::V1).expect("found");
        assert_eq!(names(&found), ["G/ok"]);
        assert_eq!(found.odd.len(), 4);
    }

    #[test]
    fn what_is_no_archive_is_empty() {
        assert_eq!(judge(b"this is no zip", "public", Words::V1, &RULES), Err(Failure::Empty(nothing())));
        assert_eq!(of(&[], Words::V1), Err(Failure::Empty(nothing())));
    }
}

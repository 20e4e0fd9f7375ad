//! Reading the whole state at start and after an installed snapshot.

use std::{collections::HashMap, sync::Arc};

use nacre_config::{
    CapacityRow, CapacityScope, ConfigMeta, ConfigState, FormalConfig, GrayConfig, GrayRule, LastIds, Namespace,
    Source, md5,
};
use nacre_model::{ConfigKey, PUBLIC};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::{
    Applied, KvRow, Loaded, StoreError,
    rows::{APPLIED, META_PREFIX},
    time,
};

type Result<T = ()> = std::result::Result<T, StoreError>;

/// A loaded state with the md5 columns that must be mended (id, right md5).
pub(crate) struct Load {
    pub loaded: Loaded,
    pub wrong_md5: Vec<(u64, Arc<str>)>,
}

/// Reads everything within one read transaction of `connection`.
pub(crate) fn load(connection: &Connection) -> Result<Load> {
    let mut load = Load { loaded: Loaded::default(), wrong_md5: Vec::new() };
    load.loaded.applied = applied(connection)?;
    load.loaded.config.last_ids = last_ids(connection)?;
    load_configs(connection, &mut load)?;
    load_grays(connection, &mut load.loaded)?;
    load_namespaces(connection, &mut load.loaded.config)?;
    load_capacity(connection, &mut load.loaded.config)?;
    load_own(connection, &mut load.loaded)?;
    Ok(load)
}

pub(crate) fn applied(connection: &Connection) -> Result<Option<Applied>> {
    let value = connection
        .prepare_cached("SELECT value FROM nacre_meta WHERE name = ?1")?
        .query_row([APPLIED], |row| text(row, 0))
        .optional()?;
    Ok(value.as_deref().and_then(Applied::parse))
}

/// The highest ids ever given: SQLite keeps them for AUTOINCREMENT tables, also of rows that are gone.
fn last_ids(connection: &Connection) -> Result<LastIds> {
    let mut statement = connection.prepare("SELECT seq FROM sqlite_sequence WHERE name = ?1")?;
    let mut last = |table: &str| -> Result<u64> {
        Ok(statement.query_row([table], |row| unsigned(row, 0)).optional()?.unwrap_or(0))
    };
    Ok(LastIds {
        config: last("config_info")?,
        gray: last("config_info_gray")?,
        history: last("his_config_info")?,
        group_capacity: last("group_capacity")?,
        tenant_capacity: last("tenant_capacity")?,
    })
}

/// Ids in the database are positive.
pub(crate) fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
}

/// A text column; NULL is empty. Rows made by hand may hold numbers or bytes.
pub(crate) fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<Arc<str>> {
    Ok(optional_text(row, at)?.unwrap_or_else(|| "".into()))
}

pub(crate) fn optional_text(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Arc<str>>> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(at)? {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into()),
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) => Some(number.to_string().into()),
    })
}

pub(crate) fn millis(row: &Row<'_>, at: usize) -> rusqlite::Result<i64> {
    Ok(time::from_value(row.get_ref(at)?))
}

/// dataId, group and namespace from three columns; the blank namespace is the default one.
pub(crate) fn key(row: &Row<'_>, at: usize) -> rusqlite::Result<ConfigKey> {
    let namespace = text(row, at + 2)?;
    let namespace = if namespace.trim().is_empty() { PUBLIC.into() } else { namespace };
    Ok(ConfigKey::of(namespace, text(row, at + 1)?, text(row, at)?))
}

fn tags(connection: &Connection) -> Result<HashMap<u64, Vec<Arc<str>>>> {
    let mut tags: HashMap<u64, Vec<Arc<str>>> = HashMap::new();
    let mut statement = connection.prepare("SELECT id, tag_name FROM config_tags_relation ORDER BY nid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        tags.entry(unsigned(row, 0)?).or_default().push(text(row, 1)?);
    }
    Ok(tags)
}

fn load_configs(connection: &Connection, load: &mut Load) -> Result {
    let mut tags = tags(connection)?;
    // Rows of the named default namespace come before blank ones, so that they are the ones served.
    let mut statement = connection.prepare(
        "SELECT id, data_id, group_id, tenant_id, content, md5, gmt_create, gmt_modified, src_user, src_ip, app_name, \
         c_desc, c_use, effect, type, c_schema, encrypted_data_key FROM config_info ORDER BY tenant_id DESC, id DESC",
    )?;
    let mut rows = statement.query([])?;
    // Only rows of the blank namespace can be second ones of a key.
    let mut public: HashMap<ConfigKey, (Arc<str>, i64)> = HashMap::new();
    while let Some(row) = rows.next()? {
        let id = unsigned(row, 0)?;
        let key = key(row, 1)?;
        let blank = text(row, 3)?.trim().is_empty();
        let content = text(row, 4)?;
        let stored = text(row, 5)?;
        let computed = md5(&content);
        let modified = millis(row, 7)?;
        if blank && let Some((served, when)) = public.get(&key) {
            load.loaded.remarks.push(format!(
                "config {} of group {} has two rows: tenant_id 'public' (md5 {served}, modified {}) is served, the one \
                 with blank tenant_id (md5 {computed}, modified {}) is kept and not served",
                key.data_id,
                key.group,
                time::to_text(*when),
                time::to_text(modified),
            ));
            continue;
        }
        if &*key.namespace == PUBLIC {
            public.insert(key.clone(), (computed.clone(), modified));
        }
        if stored != computed {
            load.loaded.remarks.push(format!(
                "config {key}: the md5 column holds '{stored}', its content has {computed}, which is served"
            ));
            load.wrong_md5.push((id, computed.clone()));
        }
        let config = FormalConfig {
            id,
            content,
            md5: computed,
            meta: Arc::new(ConfigMeta {
                config_type: optional_text(row, 14)?,
                app_name: text(row, 10)?,
                desc: optional_text(row, 11)?,
                r#use: optional_text(row, 12)?,
                effect: optional_text(row, 13)?,
                schema: optional_text(row, 15)?,
                tags: tags.remove(&id).unwrap_or_default(),
            }),
            encrypted_data_key: text(row, 16)?,
            created: millis(row, 6)?,
            modified,
            source: Arc::new(Source { user: optional_text(row, 8)?, ip: text(row, 9)? }),
        };
        load.loaded.config.configs.push((key, Arc::new(config)));
    }
    Ok(())
}

fn load_grays(connection: &Connection, loaded: &mut Loaded) -> Result {
    let mut statement = connection.prepare(
        "SELECT id, data_id, group_id, tenant_id, gray_name, gray_rule, content, encrypted_data_key, app_name, \
         gmt_create, gmt_modified, src_user, src_ip FROM config_info_gray ORDER BY tenant_id DESC, id",
    )?;
    let mut rows = statement.query([])?;
    let mut seen = std::collections::HashSet::new();
    while let Some(row) = rows.next()? {
        let key = key(row, 1)?;
        let name = text(row, 4)?;
        let (rule, asleep) = match GrayRule::parse_row(&text(row, 5)?) {
            Ok(rule) => rule,
            Err(refusal) => {
                let why = nacre_model::NacosError::from(refusal).message;
                loaded.remarks.push(format!("gray version {name} of config {key} is not served: {why}"));
                continue;
            }
        };
        if !seen.insert((key.clone(), name.clone())) {
            loaded.remarks.push(format!("gray version {name} of config {key} has a second row that is not served"));
            continue;
        }
        let content = text(row, 6)?;
        let gray = GrayConfig {
            id: unsigned(row, 0)?,
            name,
            rule,
            md5: md5(&content),
            content,
            encrypted_data_key: text(row, 7)?,
            app_name: text(row, 8)?,
            created: millis(row, 9)?,
            modified: millis(row, 10)?,
            src_user: optional_text(row, 11)?,
            src_ip: text(row, 12)?,
            asleep,
        };
        loaded.config.grays.push((key, Arc::new(gray)));
    }
    Ok(())
}

fn load_namespaces(connection: &Connection, config: &mut ConfigState) -> Result {
    let mut statement = connection.prepare(
        "SELECT tenant_id, tenant_name, tenant_desc, gmt_create, gmt_modified FROM tenant_info WHERE kp = '1' \
         AND tenant_id <> '' ORDER BY tenant_id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Namespace {
            id: text(row, 0)?,
            name: text(row, 1)?,
            desc: optional_text(row, 2)?,
            created: millis(row, 3)?,
            modified: millis(row, 4)?,
        })
    })?;
    config.namespaces = rows.collect::<rusqlite::Result<_>>()?;
    Ok(())
}

fn load_capacity(connection: &Connection, config: &mut ConfigState) -> Result {
    for (table, column) in [("group_capacity", "group_id"), ("tenant_capacity", "tenant_id")] {
        let mut statement = connection.prepare(&format!(
            "SELECT id, {column}, quota, max_size, max_aggr_count, max_aggr_size, gmt_create, gmt_modified FROM {table}"
        ))?;
        let rows = statement.query_map([], |row| {
            let name = text(row, 1)?;
            Ok(CapacityRow {
                id: unsigned(row, 0)?,
                scope: match table {
                    "group_capacity" if name.is_empty() => CapacityScope::Cluster,
                    "group_capacity" => CapacityScope::Group(name),
                    _ => CapacityScope::Tenant(nacre_model::key::namespace(&name).into()),
                },
                quota: row.get(2)?,
                max_size: row.get(3)?,
                max_aggr_count: row.get(4)?,
                max_aggr_size: row.get(5)?,
                created: millis(row, 6)?,
                modified: millis(row, 7)?,
            })
        })?;
        for row in rows {
            config.capacity.push(row?);
        }
    }
    Ok(())
}

fn load_own(connection: &Connection, loaded: &mut Loaded) -> Result {
    let mut statement = connection.prepare("SELECT kind, key, value FROM nacre_kv")?;
    let rows = statement.query_map([], |row| Ok(KvRow { kind: row.get(0)?, key: row.get(1)?, value: row.get(2)? }))?;
    loaded.kv = rows.collect::<rusqlite::Result<_>>()?;
    loaded.meta = meta(connection)?;
    Ok(())
}

/// Rows of callers.
pub(crate) fn meta(connection: &Connection) -> Result<Vec<(String, Vec<u8>)>> {
    let mut statement = connection.prepare("SELECT name, value FROM nacre_meta")?;
    let mut rows = statement.query([])?;
    let mut meta = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if let Some(name) = name.strip_prefix(META_PREFIX) {
            meta.push((name.to_owned(), row.get(1)?));
        }
    }
    Ok(meta)
}

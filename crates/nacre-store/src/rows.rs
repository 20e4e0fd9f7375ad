//! Writing rows: one function per kind of [`StoreOp`]. Rows are whole, so that writing one twice changes nothing.

use std::sync::LazyLock;

use nacre_config::{CapacityRow, CapacityScope, FormalConfig, GrayConfig, HistoryOp, HistoryRow, Namespace, StoreOp};
use nacre_model::ConfigKey;
use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql, params};

use crate::{Applied, KvOp, StoreError, WriteBatch, schema::put_meta, time};

type Result<T = ()> = std::result::Result<T, StoreError>;

/// Name of the row of `nacre_meta` that holds the applied position.
pub(crate) const APPLIED: &str = "applied";
/// Rows of callers are kept apart from ours.
pub(crate) const META_PREFIX: &str = "user.";

/// Writes all rows of a batch, but not its position, inside the transaction of `connection`. Some of the history may be
/// left in `history`.
pub(crate) fn write<'b>(connection: &Connection, batch: &'b WriteBatch, history: &mut History<'b>) -> Result {
    for op in &batch.ops {
        match op {
            StoreOp::AddHistory(row) => history.add(connection, row)?,
            // What was added before may be among what is dropped.
            StoreOp::PurgeHistory { .. } => {
                history.flush(connection)?;
                write_op(connection, op)?;
            }
            _ => write_op(connection, op)?,
        }
    }
    for op in &batch.kv {
        write_kv(connection, op)?;
    }
    for (name, value) in &batch.meta {
        put_meta(connection, &format!("{META_PREFIX}{name}"), value)?;
    }
    Ok(())
}

/// Notes how far the log is in the database; once a transaction.
pub(crate) fn write_applied(connection: &Connection, applied: Applied) -> Result {
    put_meta(connection, APPLIED, applied.to_text().as_bytes())
}

fn write_op(connection: &Connection, op: &StoreOp) -> Result {
    match op {
        StoreOp::PutConfig { key, config, replace_tags } => {
            put_config(connection, key, config)?;
            if *replace_tags { put_tags(connection, key, config) } else { Ok(()) }
        }
        StoreOp::DeleteConfig { id } => {
            connection.prepare_cached("DELETE FROM config_info WHERE id = ?1")?.execute([to_sql(*id)])?;
            connection.prepare_cached("DELETE FROM config_tags_relation WHERE id = ?1")?.execute([to_sql(*id)])?;
            Ok(())
        }
        StoreOp::PutGray { key, gray } => put_gray(connection, key, gray),
        StoreOp::DeleteGray { id } => {
            connection.prepare_cached("DELETE FROM config_info_gray WHERE id = ?1")?.execute([to_sql(*id)])?;
            Ok(())
        }
        StoreOp::AddHistory(row) => one_by_one(connection, &[row]),
        StoreOp::PurgeHistory { before } => {
            connection
                .prepare_cached("DELETE FROM his_config_info WHERE gmt_modified < ?1")?
                .execute([time::to_text(*before)])?;
            Ok(())
        }
        StoreOp::PutNamespace(namespace) => put_namespace(connection, namespace),
        StoreOp::DeleteNamespace { id } => {
            connection.prepare_cached("DELETE FROM tenant_info WHERE tenant_id = ?1")?.execute([&**id])?;
            Ok(())
        }
        StoreOp::PutCapacity(row) => put_capacity(connection, row),
    }
}

/// SQLite's integers are signed; our counters never come near.
fn to_sql(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// Columns of a config that are no part of its identity, as a publish changes them.
macro_rules! config_columns {
    () => {
        "content = ?5, md5 = ?6, gmt_create = ?7, gmt_modified = ?8, src_user = ?9, src_ip = ?10, app_name = ?11, \
         c_desc = ?12, c_use = ?13, effect = ?14, type = ?15, c_schema = ?16, encrypted_data_key = ?17"
    };
}

/// The row is there but for the first publish: then no index is touched.
const UPDATE_CONFIG: &str = concat!(
    "UPDATE config_info SET ",
    config_columns!(),
    " WHERE id = ?1 AND data_id = ?2 AND group_id = ?3 AND tenant_id = ?4"
);

/// The second conflict clause is for rows that somebody inserted by hand: our row wins, the database stays usable.
const INSERT_CONFIG: &str = concat!(
    "INSERT INTO config_info (id, data_id, group_id, tenant_id, content, md5, gmt_create, gmt_modified, src_user, \
     src_ip, app_name, c_desc, c_use, effect, type, c_schema, encrypted_data_key)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
     ON CONFLICT (id) DO UPDATE SET data_id = ?2, group_id = ?3, tenant_id = ?4, ",
    config_columns!(),
    " ON CONFLICT (data_id, group_id, tenant_id) DO UPDATE SET id = ?1, ",
    config_columns!()
);

fn put_config(connection: &Connection, key: &ConfigKey, config: &FormalConfig) -> Result {
    let meta = &config.meta;
    let (created, modified) = (time::to_text(config.created), time::to_text(config.modified));
    let values = params![
        to_sql(config.id),
        key.data_id,
        key.group,
        key.namespace,
        config.content,
        config.md5,
        created,
        modified,
        config.source.user,
        config.source.ip,
        meta.app_name,
        meta.desc,
        meta.r#use,
        meta.effect,
        meta.config_type,
        meta.schema,
        config.encrypted_data_key,
    ];
    if connection.prepare_cached(UPDATE_CONFIG)?.execute(values)? == 0 {
        connection.prepare_cached(INSERT_CONFIG)?.execute(values)?;
    }
    Ok(())
}

fn put_tags(connection: &Connection, key: &ConfigKey, config: &FormalConfig) -> Result {
    let id = to_sql(config.id);
    connection.prepare_cached("DELETE FROM config_tags_relation WHERE id = ?1")?.execute([id])?;
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO config_tags_relation (id, tag_name, tag_type, data_id, group_id, tenant_id)
         VALUES (?1, ?2, '', ?3, ?4, ?5)",
    )?;
    for tag in &config.meta.tags {
        insert.execute(params![id, tag, key.data_id, key.group, key.namespace])?;
    }
    Ok(())
}

fn put_gray(connection: &Connection, key: &ConfigKey, gray: &GrayConfig) -> Result {
    const SET: &str = "data_id = excluded.data_id, group_id = excluded.group_id, tenant_id = excluded.tenant_id, \
         content = excluded.content, md5 = excluded.md5, src_user = excluded.src_user, src_ip = excluded.src_ip, \
         gmt_create = excluded.gmt_create, gmt_modified = excluded.gmt_modified, app_name = excluded.app_name, \
         gray_name = excluded.gray_name, gray_rule = excluded.gray_rule, \
         encrypted_data_key = excluded.encrypted_data_key";
    let sql = format!(
        "INSERT INTO config_info_gray (id, data_id, group_id, tenant_id, content, md5, src_user, src_ip, gmt_create, \
         gmt_modified, app_name, gray_name, gray_rule, encrypted_data_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (id) DO UPDATE SET {SET}
         ON CONFLICT (data_id, group_id, tenant_id, gray_name) DO UPDATE SET id = excluded.id, {SET}"
    );
    connection.prepare_cached(&sql)?.execute(params![
        to_sql(gray.id),
        key.data_id,
        key.group,
        key.namespace,
        gray.content,
        gray.md5,
        gray.src_user,
        gray.src_ip,
        time::to_text(gray.created),
        time::to_text(gray.modified),
        gray.app_name,
        gray.name,
        gray.rule.to_row(gray.asleep),
        gray.encrypted_data_key,
    ])?;
    Ok(())
}

const INTO_HISTORY: &str = "INTO his_config_info (id, nid, data_id, group_id, app_name, content, md5, gmt_create, \
     gmt_modified, src_user, src_ip, op_type, tenant_id, encrypted_data_key, publish_type, gray_name, ext_info) VALUES ";
const HISTORY_VALUES: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const HISTORY_COLUMNS: usize = 17;
/// Rows of the history that share a statement.
const HISTORY_TOGETHER: usize = 8;

static ADD_HISTORY: LazyLock<String> = LazyLock::new(|| format!("INSERT {INTO_HISTORY}{HISTORY_VALUES}"));
static REPLACE_HISTORY: LazyLock<String> =
    LazyLock::new(|| format!("INSERT OR REPLACE {INTO_HISTORY}{HISTORY_VALUES}"));
static ADD_MORE_HISTORY: LazyLock<String> =
    LazyLock::new(|| format!("INSERT {INTO_HISTORY}{}", [HISTORY_VALUES; HISTORY_TOGETHER].join(", ")));

/// Rows that a transaction adds to the history, gathered so that several share a statement: nearly a third of what writing
/// a publish takes is paid once a statement (the counter of AUTOINCREMENT is a table of its own).
#[derive(Default)]
pub(crate) struct History<'b>(Vec<&'b HistoryRow>);

impl<'b> History<'b> {
    fn add(&mut self, connection: &Connection, row: &'b HistoryRow) -> Result {
        self.0.push(row);
        if self.0.len() < HISTORY_TOGETHER {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.0);
        if insert_history(connection, &ADD_MORE_HISTORY, &rows)? { Ok(()) } else { one_by_one(connection, &rows) }
    }

    /// Writes what waits.
    pub fn flush(&mut self, connection: &Connection) -> Result {
        one_by_one(connection, &std::mem::take(&mut self.0))
    }
}

/// A row is new but for those that somebody inserted by hand: our row wins, the database stays usable. Looking for one to
/// replace costs more than being told of it.
fn one_by_one(connection: &Connection, rows: &[&HistoryRow]) -> Result {
    for row in rows {
        if !insert_history(connection, &ADD_HISTORY, &[row])? {
            bind_history(connection, &REPLACE_HISTORY, &[row])?.raw_execute()?;
        }
    }
    Ok(())
}

/// `false`: a rule of the table is in the way, and nothing was written.
fn insert_history(connection: &Connection, sql: &str, rows: &[&HistoryRow]) -> Result<bool> {
    match bind_history(connection, sql, rows)?.raw_execute() {
        Ok(_) => Ok(true),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn bind_history<'c>(connection: &'c Connection, sql: &str, rows: &[&HistoryRow]) -> Result<CachedStatement<'c>> {
    let mut statement = connection.prepare_cached(sql)?;
    for (at, row) in rows.iter().enumerate() {
        let (created, modified) = (time::to_text(row.created), time::to_text(row.modified));
        let values: [&dyn ToSql; HISTORY_COLUMNS] = [
            &to_sql(row.id),
            &to_sql(row.nid),
            &row.key.data_id,
            &row.key.group,
            &row.app_name,
            &row.content,
            &row.md5,
            &created,
            &modified,
            &row.src_user,
            &row.src_ip,
            &HistoryOp::letter(row.op),
            &row.key.namespace,
            &row.encrypted_data_key,
            &row.publish_type(),
            &row.gray_name,
            &row.ext_info,
        ];
        for (column, value) in values.into_iter().enumerate() {
            statement.raw_bind_parameter(at * HISTORY_COLUMNS + column + 1, value)?;
        }
    }
    Ok(statement)
}

fn put_namespace(connection: &Connection, namespace: &Namespace) -> Result {
    connection
        .prepare_cached(
            "INSERT INTO tenant_info (kp, tenant_id, tenant_name, tenant_desc, create_source, gmt_create, gmt_modified)
             VALUES ('1', ?1, ?2, ?3, 'nacos', ?4, ?5)
             ON CONFLICT (kp, tenant_id) DO UPDATE SET tenant_name = excluded.tenant_name, \
             tenant_desc = excluded.tenant_desc, gmt_modified = excluded.gmt_modified",
        )?
        .execute(params![namespace.id, namespace.name, namespace.desc, namespace.created, namespace.modified])?;
    Ok(())
}

fn put_capacity(connection: &Connection, row: &CapacityRow) -> Result {
    let (table, column, name) = match &row.scope {
        CapacityScope::Cluster => ("group_capacity", "group_id", ""),
        CapacityScope::Group(group) => ("group_capacity", "group_id", &**group),
        CapacityScope::Tenant(tenant) => ("tenant_capacity", "tenant_id", &**tenant),
    };
    const SET: &str = "quota = excluded.quota, max_size = excluded.max_size, \
         max_aggr_count = excluded.max_aggr_count, max_aggr_size = excluded.max_aggr_size, \
         gmt_modified = excluded.gmt_modified";
    let sql = format!(
        "INSERT INTO {table} (id, {column}, quota, max_size, max_aggr_count, max_aggr_size, gmt_create, gmt_modified)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET {column} = excluded.{column}, {SET}
         ON CONFLICT ({column}) DO UPDATE SET id = excluded.id, {SET}"
    );
    connection.prepare_cached(&sql)?.execute(params![
        to_sql(row.id),
        name,
        row.quota,
        row.max_size,
        row.max_aggr_count,
        row.max_aggr_size,
        time::to_text(row.created),
        time::to_text(row.modified),
    ])?;
    Ok(())
}

fn write_kv(connection: &Connection, op: &KvOp) -> Result {
    match op {
        KvOp::Put(row) => connection
            .prepare_cached(
                "INSERT INTO nacre_kv (kind, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = ?3",
            )?
            .execute(params![row.kind, row.key, row.value])?,
        KvOp::Delete { kind, key } => connection
            .prepare_cached("DELETE FROM nacre_kv WHERE kind = ?1 AND key = ?2")?
            .execute(params![kind, key])?,
    };
    Ok(())
}

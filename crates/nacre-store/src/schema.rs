//! The tables, their format version, and the way from older ones.
//!
//! Tables and columns are Nacos's (3.1 `mysql-schema.sql`) so that operators' SQL works; `nacre_*` tables are ours. The
//! default namespace is stored as `public`. Frozen: a change of a table is a new format with a step in [`migrate`] and
//! a fixture in the tests.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::{StoreError, load::text};

/// The format this version writes.
pub(crate) const FORMAT: i64 = 1;

const TABLES: &str = "
CREATE TABLE config_info (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  data_id varchar(255) NOT NULL,
  group_id varchar(128) DEFAULT NULL,
  content longtext NOT NULL,
  md5 varchar(32) DEFAULT NULL,
  gmt_create datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  gmt_modified datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  src_user text,
  src_ip varchar(50) DEFAULT NULL,
  app_name varchar(128) DEFAULT NULL,
  tenant_id varchar(128) DEFAULT '',
  c_desc varchar(256) DEFAULT NULL,
  c_use varchar(64) DEFAULT NULL,
  effect varchar(64) DEFAULT NULL,
  type varchar(64) DEFAULT NULL,
  c_schema text,
  encrypted_data_key varchar(1024) NOT NULL DEFAULT '',
  CONSTRAINT uk_configinfo_datagrouptenant UNIQUE (data_id, group_id, tenant_id)
);
CREATE INDEX idx_configinfo_tenant ON config_info (tenant_id);
CREATE TABLE config_info_gray (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  data_id varchar(255) NOT NULL,
  group_id varchar(128) NOT NULL,
  content longtext NOT NULL,
  md5 varchar(32) DEFAULT NULL,
  src_user text,
  src_ip varchar(100) DEFAULT NULL,
  gmt_create datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  gmt_modified datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  app_name varchar(128) DEFAULT NULL,
  tenant_id varchar(128) DEFAULT '',
  gray_name varchar(128) NOT NULL,
  gray_rule text NOT NULL,
  encrypted_data_key varchar(256) NOT NULL DEFAULT '',
  CONSTRAINT uk_configinfogray_datagrouptenantgray UNIQUE (data_id, group_id, tenant_id, gray_name)
);
CREATE TABLE config_tags_relation (
  id bigint NOT NULL,
  tag_name varchar(128) NOT NULL,
  tag_type varchar(64) DEFAULT NULL,
  data_id varchar(255) NOT NULL,
  group_id varchar(128) NOT NULL,
  tenant_id varchar(128) DEFAULT '',
  nid INTEGER PRIMARY KEY AUTOINCREMENT,
  CONSTRAINT uk_configtagrelation_configidtag UNIQUE (id, tag_name, tag_type)
);
CREATE TABLE his_config_info (
  id bigint NOT NULL,
  nid INTEGER PRIMARY KEY AUTOINCREMENT,
  data_id varchar(255) NOT NULL,
  group_id varchar(128) NOT NULL,
  app_name varchar(128) DEFAULT NULL,
  content longtext NOT NULL,
  md5 varchar(32) DEFAULT NULL,
  gmt_create datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  gmt_modified datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  src_user text,
  src_ip varchar(50) DEFAULT NULL,
  op_type char(10) DEFAULT NULL,
  tenant_id varchar(128) DEFAULT '',
  encrypted_data_key varchar(1024) NOT NULL DEFAULT '',
  publish_type varchar(50) DEFAULT 'formal',
  gray_name varchar(128) DEFAULT NULL,
  ext_info longtext DEFAULT NULL
);
CREATE INDEX idx_his_gmt_modified ON his_config_info (gmt_modified);
CREATE INDEX idx_his_key ON his_config_info (data_id, group_id, tenant_id);
CREATE INDEX idx_his_id ON his_config_info (id);
CREATE TABLE group_capacity (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  group_id varchar(128) NOT NULL DEFAULT '',
  quota int NOT NULL DEFAULT 0,
  `usage` int NOT NULL DEFAULT 0,
  max_size int NOT NULL DEFAULT 0,
  max_aggr_count int NOT NULL DEFAULT 0,
  max_aggr_size int NOT NULL DEFAULT 0,
  max_history_count int NOT NULL DEFAULT 0,
  gmt_create datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  gmt_modified datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT uk_group_id UNIQUE (group_id)
);
CREATE TABLE tenant_capacity (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id varchar(128) NOT NULL DEFAULT '',
  quota int NOT NULL DEFAULT 0,
  `usage` int NOT NULL DEFAULT 0,
  max_size int NOT NULL DEFAULT 0,
  max_aggr_count int NOT NULL DEFAULT 0,
  max_aggr_size int NOT NULL DEFAULT 0,
  max_history_count int NOT NULL DEFAULT 0,
  gmt_create datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  gmt_modified datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT uk_tenant_id UNIQUE (tenant_id)
);
CREATE TABLE tenant_info (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kp varchar(128) NOT NULL,
  tenant_id varchar(128) DEFAULT '',
  tenant_name varchar(128) DEFAULT '',
  tenant_desc varchar(256) DEFAULT NULL,
  create_source varchar(32) DEFAULT NULL,
  gmt_create bigint NOT NULL,
  gmt_modified bigint NOT NULL,
  CONSTRAINT uk_tenant_info_kptenantid UNIQUE (kp, tenant_id)
);
CREATE TABLE users (
  username varchar(50) NOT NULL PRIMARY KEY,
  password varchar(500) NOT NULL,
  enabled boolean NOT NULL
);
CREATE TABLE roles (
  username varchar(50) NOT NULL,
  role varchar(50) NOT NULL,
  CONSTRAINT idx_user_role UNIQUE (username, role)
);
CREATE TABLE permissions (
  role varchar(50) NOT NULL,
  resource varchar(512) NOT NULL,
  action varchar(8) NOT NULL,
  CONSTRAINT uk_role_permission UNIQUE (role, resource, action)
);
";

const OWN_TABLES: &str = "
CREATE TABLE nacre_kv (
  kind text NOT NULL,
  key text NOT NULL,
  value blob NOT NULL,
  PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE nacre_meta (
  name text NOT NULL PRIMARY KEY,
  value blob NOT NULL
) WITHOUT ROWID;
";

/// Tables of Nacos that a database of format 0 (no `nacre_meta`: made by hand or converted from a Nacos dump) may have.
const NACOS_TABLES: [&str; 11] = [
    "config_info",
    "config_info_gray",
    "config_tags_relation",
    "his_config_info",
    "group_capacity",
    "tenant_capacity",
    "tenant_info",
    "users",
    "roles",
    "permissions",
    "config_info_beta",
];

/// Ids of a new database are larger than this, as those that the reference's embedded database gives: a small number that
/// somebody tries is no config of somebody else. Scripts can still hold them in a double.
pub const FIRST_ID: u64 = 1_000_000_000_000_000;

/// Tables whose ids callers see.
const NUMBERED: [&str; 3] = ["config_info", "config_info_gray", "his_config_info"];

/// Brings the database to [`FORMAT`]; refuses a newer one. All or nothing.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    match format(&transaction)? {
        Some(FORMAT) => return Ok(()),
        Some(found) if found > FORMAT => {
            return Err(StoreError::TooNew { path: path.display().to_string(), found, known: FORMAT });
        }
        // There is no format between 0 and 1.
        Some(_) => {}
        None => from_nothing_or_nacos(&transaction)?,
    }
    put_meta(&transaction, "format", FORMAT.to_string().as_bytes())?;
    transaction.commit()?;
    Ok(())
}

/// The format of a database; `None` without our tables.
pub(crate) fn format(connection: &Connection) -> Result<Option<i64>, StoreError> {
    if !has_table(connection, "nacre_meta")? {
        return Ok(None);
    }
    let value = connection
        .query_row("SELECT value FROM nacre_meta WHERE name = 'format'", [], |row| text(row, 0))
        .optional()?;
    Ok(Some(value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)))
}

pub(crate) fn put_meta(connection: &Connection, name: &str, value: &[u8]) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO nacre_meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")?
        .execute((name, value))?;
    Ok(())
}

fn has_table(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1")?;
    Ok(statement.query_row([name], |row| row.get::<_, i64>(0))? > 0)
}

/// Format 0 to 1: old tables are set aside, new ones made, rows copied column by column as far as the old ones have
/// them, and the old ones dropped. Legacy beta and tag tables become gray rows.
fn from_nothing_or_nacos(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let mut old = Vec::new();
    for table in NACOS_TABLES.into_iter().chain(["config_info_tag"]) {
        if has_table(transaction, table)? {
            // Indexes keep their names when a table is renamed; ours must be free.
            for index in indexes(transaction, table)? {
                transaction.execute_batch(&format!("DROP INDEX \"{index}\""))?;
            }
            transaction.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
            old.push(table);
        }
    }
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(OWN_TABLES)?;
    for table in NUMBERED.iter().filter(|table| !old.contains(table)) {
        transaction.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", (table, FIRST_ID as i64))?;
    }
    for table in &old {
        match *table {
            "config_info_beta" => copy_legacy_beta(transaction)?,
            "config_info_tag" => copy_legacy_tag(transaction)?,
            table => copy(transaction, table)?,
        }
        transaction.execute_batch(&format!("DROP TABLE old_{table}"))?;
    }
    // History is long: its rows are named once, here, the others at each start.
    name_default_namespace(transaction, &["his_config_info"])
}

/// Indexes somebody made (those of constraints belong to the table).
fn indexes(connection: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL")?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}

/// Copies the columns both tables have. NULL is left to the new column's default, so that columns which must not be
/// NULL any more take it; rows that break a rule of the new table (two of one key) are an error, never dropped.
fn copy(transaction: &Transaction<'_>, table: &str) -> Result<(), StoreError> {
    let old = columns(transaction, &format!("old_{table}"))?;
    let both: Vec<String> = columns(transaction, table)?.into_iter().filter(|name| old.contains(name)).collect();
    let values: Vec<String> = both
        .iter()
        .map(|name| match name.as_str() {
            "tenant_id" | "encrypted_data_key" => format!("coalesce({name}, '')"),
            "id" | "nid" => name.clone(),
            name => format!("`{name}`"),
        })
        .collect();
    let names: Vec<String> = both.iter().map(|name| format!("`{name}`")).collect();
    transaction.execute_batch(&format!(
        "INSERT INTO {table} ({}) SELECT {} FROM old_{table}",
        names.join(", "),
        values.join(", ")
    ))?;
    Ok(())
}

fn key_column(old: &[String], name: &str) -> String {
    if old.iter().any(|column| column == name) { format!("coalesce({name}, '')") } else { "''".to_owned() }
}

fn copy_legacy_beta(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let old = columns(transaction, "old_config_info_beta")?;
    transaction.execute_batch(&format!(
        "INSERT OR IGNORE INTO config_info_gray (data_id, group_id, content, md5, src_user, src_ip, gmt_create, \
         gmt_modified, app_name, tenant_id, gray_name, gray_rule, encrypted_data_key)
         SELECT data_id, group_id, content, md5, src_user, src_ip, gmt_create, gmt_modified, app_name, \
         coalesce(tenant_id, ''), 'beta', json_object('type', 'beta', 'version', '1.0.0', 'expr', \
         coalesce(beta_ips, ''), 'priority', 2147483647), {} FROM old_config_info_beta",
        key_column(&old, "encrypted_data_key")
    ))?;
    Ok(())
}

fn copy_legacy_tag(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    transaction.execute_batch(
        "INSERT OR IGNORE INTO config_info_gray (data_id, group_id, content, md5, src_user, src_ip, gmt_create, \
         gmt_modified, app_name, tenant_id, gray_name, gray_rule)
         SELECT data_id, group_id, content, md5, src_user, src_ip, gmt_create, gmt_modified, app_name, \
         coalesce(tenant_id, ''), 'tag_' || tag_id, json_object('type', 'tag', 'version', '1.0.0', 'expr', tag_id, \
         'priority', 2147483646) FROM old_config_info_tag",
    )?;
    Ok(())
}

/// Tables whose rows are named at each start.
pub(crate) const NAMED_AT_START: [&str; 3] = ["config_info", "config_info_gray", "config_tags_relation"];

/// Rows of the default namespace are stored as `public`: those of older generations (and of hands) are brought there.
/// Where both spellings hold a row of one key, the blank one stays as it is, unserved, and the load reports it.
pub(crate) fn name_default_namespace(connection: &Connection, tables: &[&str]) -> Result<(), StoreError> {
    for table in tables {
        connection.execute_batch(&format!(
            "UPDATE OR IGNORE {table} SET tenant_id = 'public' WHERE tenant_id = '' OR tenant_id IS NULL"
        ))?;
    }
    Ok(())
}

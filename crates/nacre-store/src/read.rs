//! Reads that go to the database: searches and history. Each begins with a barrier, so that an acknowledged write is
//! visible.

use std::sync::Arc;

use nacre_config::{ConfigSearch, HistoryOp, HistoryRow, Page, PageRequest, Pattern};
use nacre_model::ConfigKey;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params_from_iter, types::ValueRef};

use crate::{
    Store, StoreError,
    load::{key, millis, optional_text, text, unsigned},
};

/// One config as searches and lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRow {
    pub id: u64,
    pub key: ConfigKey,
    /// Empty when the caller did not ask for contents.
    pub content: Arc<str>,
    pub md5: Arc<str>,
    pub encrypted_data_key: Arc<str>,
    pub app_name: Arc<str>,
    pub config_type: Option<Arc<str>>,
    pub desc: Option<Arc<str>>,
    /// Milliseconds.
    pub created: i64,
    pub modified: i64,
}

/// One row of [`Store::query_sql`]: column names and values as text (`None` is NULL).
pub type SqlRow = Vec<(String, Option<String>)>;

/// History of one config, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPageQuery {
    pub key: ConfigKey,
    pub page: PageRequest,
}

impl Store {
    /// One page of configs, by id upwards. `with_content` fills [`ConfigRow::content`].
    pub fn search(
        &self,
        search: &ConfigSearch,
        page: PageRequest,
        with_content: bool,
    ) -> Result<Page<ConfigRow>, StoreError> {
        self.visible()?;
        let filter = Filter::of(search);
        self.readers().read(|connection| {
            let sql = format!("SELECT count(*) FROM {} WHERE {}", filter.tables, filter.sql);
            let total: i64 =
                connection.prepare_cached(&sql)?.query_row(params_from_iter(&filter.values), |row| row.get(0))?;
            let offset = page.page_no.saturating_sub(1).saturating_mul(page.page_size);
            let items =
                filter.rows(connection, with_content, "ORDER BY id LIMIT ? OFFSET ?", [page.page_size, offset])?;
            Ok(Page::new(u64::try_from(total).unwrap_or(0), page, items))
        })
    }

    /// Every config that matches, by id upwards, with contents (exports are not capped).
    pub fn search_all(&self, search: &ConfigSearch) -> Result<Vec<ConfigRow>, StoreError> {
        self.visible()?;
        let filter = Filter::of(search);
        self.readers().read(|connection| filter.rows(connection, true, "ORDER BY id", []))
    }

    /// Configs by id, in the order given; unknown ids are left out.
    pub fn configs_by_ids(&self, ids: &[u64]) -> Result<Vec<ConfigRow>, StoreError> {
        self.visible()?;
        self.readers().read(|connection| {
            let sql = format!("SELECT {} FROM config_info WHERE id = ?1", columns(true));
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = Vec::new();
            for id in ids {
                let id = i64::try_from(*id).unwrap_or(i64::MAX);
                rows.extend(statement.query_row([id], config_row).optional()?);
            }
            Ok(rows)
        })
    }

    /// Keys of a namespace (the history page's helper), by id upwards, without contents.
    pub fn configs_of(&self, namespace: &str) -> Result<Vec<ConfigRow>, StoreError> {
        self.visible()?;
        let namespace = nacre_model::key::namespace(namespace).to_owned();
        let filter = Filter::of(&ConfigSearch { namespace: Pattern::Exact(namespace), ..ConfigSearch::default() });
        self.readers().read(|connection| filter.rows(connection, false, "ORDER BY id", []))
    }

    /// One page of history rows; contents are empty.
    pub fn history_page(&self, query: &HistoryPageQuery) -> Result<Page<HistoryRow>, StoreError> {
        self.visible()?;
        const WHERE: &str = "data_id = ?1 AND group_id = ?2 AND tenant_id = ?3";
        let HistoryPageQuery { key, page } = query;
        let of = (&*key.data_id, &*key.group, &*key.namespace);
        self.readers().read(|connection| {
            let total: i64 = connection
                .prepare_cached(&format!("SELECT count(*) FROM his_config_info WHERE {WHERE}"))?
                .query_row(of, |row| row.get(0))?;
            let sql = format!(
                "SELECT {} FROM his_config_info WHERE {WHERE} ORDER BY nid DESC LIMIT ?4 OFFSET ?5",
                history_columns(false)
            );
            let offset = page.page_no.saturating_sub(1).saturating_mul(page.page_size);
            let items = connection
                .prepare_cached(&sql)?
                .query_map((of.0, of.1, of.2, limit(page.page_size), limit(offset)), history_row)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Page::new(u64::try_from(total).unwrap_or(0), *page, items))
        })
    }

    /// One history row with its content. Whether it belongs to the key asked for is the caller's check.
    pub fn history(&self, nid: u64) -> Result<Option<HistoryRow>, StoreError> {
        self.one_history("nid = ?1", [limit(nid)])
    }

    /// The newest history row of a config id.
    pub fn history_previous(&self, config_id: u64) -> Result<Option<HistoryRow>, StoreError> {
        self.one_history("id = ?1 AND publish_type = 'formal' ORDER BY nid DESC LIMIT 1", [limit(config_id)])
    }

    /// The row after this one of the same key and version (formal, or the same gray name): what it was changed into.
    pub fn history_next(&self, row: &HistoryRow) -> Result<Option<HistoryRow>, StoreError> {
        self.one_history(
            "data_id = ?1 AND group_id = ?2 AND tenant_id = ?3 AND coalesce(gray_name, '') = ?4 AND nid > ?5 \
             ORDER BY nid LIMIT 1",
            (&*row.key.data_id, &*row.key.group, &*row.key.namespace, &*row.gray_name, limit(row.nid)),
        )
    }

    /// When the oldest history row was made, milliseconds.
    pub fn history_oldest(&self) -> Result<Option<i64>, StoreError> {
        self.visible()?;
        self.readers().read(|connection| {
            let sql = "SELECT gmt_modified FROM his_config_info ORDER BY gmt_modified LIMIT 1";
            Ok(connection.prepare_cached(sql)?.query_row([], |row| millis(row, 0)).optional()?)
        })
    }

    fn one_history(&self, condition: &str, values: impl rusqlite::Params) -> Result<Option<HistoryRow>, StoreError> {
        self.visible()?;
        let sql = format!("SELECT {} FROM his_config_info WHERE {condition}", history_columns(true));
        self.readers()
            .read(|connection| Ok(connection.prepare_cached(&sql)?.query_row(values, history_row).optional()?))
    }

    /// Rows of a read-only SQL query, for the operator's SQL page.
    pub fn query_sql(&self, sql: &str, max_rows: usize) -> Result<Vec<SqlRow>, StoreError> {
        self.visible()?;
        let is_query = sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"));
        if !is_query {
            return Err(StoreError::NotAQuery);
        }
        self.readers().read(|connection| {
            let mut statement = connection.prepare(sql)?;
            if !statement.readonly() {
                return Err(StoreError::NotAQuery);
            }
            let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let mut rows = statement.query([])?;
            let mut table = Vec::new();
            while let Some(row) = rows.next()?
                && table.len() < max_rows
            {
                let cell = |(at, name): (usize, &String)| Ok((name.clone(), shown(row.get_ref(at)?)));
                table.push(names.iter().enumerate().map(cell).collect::<rusqlite::Result<_>>()?);
            }
            Ok(table)
        })
    }
}

fn shown(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

fn limit(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn columns(with_content: bool) -> String {
    format!(
        "id, data_id, group_id, tenant_id, {}, md5, encrypted_data_key, app_name, type, c_desc, gmt_create, gmt_modified",
        if with_content { "content" } else { "''" }
    )
}

fn config_row(row: &Row<'_>) -> rusqlite::Result<ConfigRow> {
    Ok(ConfigRow {
        id: unsigned(row, 0)?,
        key: key(row, 1)?,
        content: text(row, 4)?,
        md5: text(row, 5)?,
        encrypted_data_key: text(row, 6)?,
        app_name: text(row, 7)?,
        config_type: optional_text(row, 8)?,
        desc: optional_text(row, 9)?,
        created: millis(row, 10)?,
        modified: millis(row, 11)?,
    })
}

fn history_columns(with_content: bool) -> String {
    format!(
        "nid, id, data_id, group_id, tenant_id, app_name, {}, md5, gmt_create, gmt_modified, src_user, src_ip, op_type, \
         encrypted_data_key, gray_name, ext_info",
        if with_content { "content" } else { "''" }
    )
}

fn history_row(row: &Row<'_>) -> rusqlite::Result<HistoryRow> {
    Ok(HistoryRow {
        nid: unsigned(row, 0)?,
        id: unsigned(row, 1)?,
        key: key(row, 2)?,
        app_name: text(row, 5)?,
        content: text(row, 6)?,
        md5: text(row, 7)?,
        created: millis(row, 8)?,
        modified: millis(row, 9)?,
        src_user: optional_text(row, 10)?,
        src_ip: text(row, 11)?,
        // Rows of other hands may hold anything; an update is what claims least.
        op: HistoryOp::parse(&text(row, 12)?).unwrap_or(HistoryOp::Update),
        encrypted_data_key: text(row, 13)?,
        gray_name: text(row, 14)?,
        ext_info: text(row, 15)?,
    })
}

/// A condition with its values.
struct Filter {
    tables: String,
    sql: String,
    values: Vec<Box<dyn ToSql>>,
}

impl Filter {
    fn of(search: &ConfigSearch) -> Self {
        let mut filter = Self { tables: "config_info".to_owned(), sql: "1".to_owned(), values: Vec::new() };
        // The tables come first in the statement, and so do their values.
        let tags: Vec<String> = search.tags.iter().filter_map(|tag| filter.condition("tag_name", tag)).collect();
        if !tags.is_empty() {
            let ids = if search.repeat_per_tag { "SELECT" } else { "SELECT DISTINCT" };
            let any = tags.join(" OR ");
            filter.tables = format!(
                "({ids} id AS tagged FROM config_tags_relation WHERE {any}) JOIN config_info ON config_info.id = tagged"
            );
        }
        for (column, pattern) in [
            ("tenant_id", &search.namespace),
            ("data_id", &search.data_id),
            ("group_id", &search.group),
            ("app_name", &search.app_name),
            ("content", &search.content),
        ] {
            if let Some(condition) = filter.condition(column, pattern) {
                filter.and(&condition);
            }
        }
        if !search.types.is_empty() {
            let marks = vec!["?"; search.types.len()].join(", ");
            filter.values.extend(search.types.iter().map(|value| Box::new(value.clone()) as Box<dyn ToSql>));
            filter.and(&format!("type IN ({marks})"));
        }
        filter
    }

    fn and(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    /// GLOB compares exactly (LIKE ignores the case of ASCII letters).
    fn condition(&mut self, column: &str, pattern: &Pattern) -> Option<String> {
        let (operator, value) = match pattern {
            Pattern::Any => return None,
            Pattern::Exact(text) => ("=", text.clone()),
            Pattern::Glob(glob) => ("GLOB", glob.replace('[', "[[]").replace('?', "[?]")),
        };
        self.values.push(Box::new(value));
        Some(format!("{column} {operator} ?"))
    }

    fn rows<const N: usize>(
        &self,
        connection: &Connection,
        with_content: bool,
        tail: &str,
        numbers: [u64; N],
    ) -> Result<Vec<ConfigRow>, StoreError> {
        let sql = format!("SELECT {} FROM {} WHERE {} {tail}", columns(with_content), self.tables, self.sql);
        let numbers: Vec<i64> = numbers.into_iter().map(limit).collect();
        let values = self.values.iter().map(|value| &**value).chain(numbers.iter().map(|number| number as &dyn ToSql));
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), config_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

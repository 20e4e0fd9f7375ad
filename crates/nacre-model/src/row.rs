//! A row of the generic durable table: how cores hand durable state to the store without knowing it.

use serde::{Deserialize, Serialize};

/// Insert-or-replace of (`kind`, `key`), or its deletion. A core returns rows from `apply` and takes them back, all of
/// one kind or of several, in `restore` at start; the store interprets nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which of the core's tables, e.g. `naming.service`.
    pub kind: String,
    pub key: String,
    /// JSON text; `None` deletes.
    pub value: Option<Vec<u8>>,
}

impl Row {
    pub fn upsert(kind: &str, key: impl Into<String>, value: Vec<u8>) -> Self {
        Self { kind: kind.to_owned(), key: key.into(), value: Some(value) }
    }

    pub fn delete(kind: &str, key: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), key: key.into(), value: None }
    }
}

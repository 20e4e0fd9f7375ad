//! JSON bodies of the HTTP APIs that several adapters share.

pub mod config;

use serde::{Serialize, Serializer};

/// 64-bit ids travel as text: JavaScript would round them.
pub fn id_text<S: Serializer>(id: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

/// One page of any list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageBody<T> {
    pub total_count: u64,
    pub page_number: u64,
    pub pages_available: u64,
    pub page_items: Vec<T>,
}

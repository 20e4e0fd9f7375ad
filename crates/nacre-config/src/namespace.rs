//! Namespaces as `tenant_info` keeps them, the rules of their ids and names, and the list every generation shows.

use std::sync::Arc;

use nacre_model::{ErrorCode, NacosError, PUBLIC};

/// A namespace somebody created. The default one has no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    pub id: Arc<str>,
    pub name: Arc<str>,
    /// `None` where nobody gave one.
    pub desc: Option<Arc<str>>,
    /// Milliseconds.
    pub created: i64,
    pub modified: i64,
}

/// Name of the default namespace in lists.
pub const DEFAULT_NAME: &str = "public";
/// Its description.
pub const DEFAULT_DESC: &str = "Default Namespace";
/// Quota shown for every namespace that has no capacity row of its own.
pub const DEFAULT_QUOTA: u32 = 200;

/// One entry of the list. `id` is [`PUBLIC`] for the default namespace; v1 and v2 show it empty, v3 as it is, and the
/// type numbers differ by generation, so the adapter writes both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceEntry {
    pub id: Arc<str>,
    pub name: Arc<str>,
    pub desc: Option<Arc<str>>,
    pub quota: u32,
    /// Formal configs in it.
    pub config_count: u64,
    pub is_default: bool,
}

/// `^[\w-]+`, at most 128.
pub fn check_id(id: &str) -> Result<(), NacosError> {
    let legal = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !legal {
        return Err(illegal(format!("namespaceId [{id}] mismatch the pattern")));
    }
    if id.len() > 128 {
        return Err(illegal("too long namespaceId, over 128".to_owned()));
    }
    Ok(())
}

/// `^[^@#$%^&*]+$`.
pub fn check_name(name: &str) -> Result<(), NacosError> {
    if name.is_empty() || name.chars().any(|c| matches!(c, '@' | '#' | '$' | '%' | '^' | '&' | '*')) {
        return Err(illegal(format!("namespaceName [{name}] contains illegal char")));
    }
    Ok(())
}

fn illegal(text: String) -> NacosError {
    NacosError::new(400, ErrorCode::ILLEGAL_NAMESPACE, text)
}

/// The error of an id nobody created, as v2/v3 details show it.
pub fn unknown(id: &str) -> NacosError {
    NacosError::not_found(ErrorCode::NAMESPACE_NOT_EXIST, format!("namespaceId [ {id} ] not exist"))
}

/// Is this the default namespace, however it is spelled in 3.x?
pub fn is_default(id: &str) -> bool {
    nacre_model::key::namespace(id) == PUBLIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_follow_the_references_patterns() {
        assert!(check_id("dev-1_x").is_ok());
        assert_eq!(check_id("a b").unwrap_err().message, "namespaceId [a b] mismatch the pattern");
        assert_eq!(check_id(&"a".repeat(129)).unwrap_err().message, "too long namespaceId, over 128");
        assert!(check_name("开发 env").is_ok());
        assert_eq!(check_name("a#b").unwrap_err().message, "namespaceName [a#b] contains illegal char");
        assert_eq!(check_name("a#b").unwrap_err().code, ErrorCode::ILLEGAL_NAMESPACE);
        assert!(check_name("").is_err());
    }
}

//! Relaxed binding: which spellings mean the same key.
//!
//! As Spring's `ConfigurationPropertyName`: case, `-` and `_` do not count inside an element of the key. So
//! `server.servlet.contextPath`, `server.servlet.context-path` and `server.servlet.context_path` are one key, and so are
//! `db.url[0]` and `db.url.0`. Environment variables cannot hold dots, so there only letters and digits count.

use nacre_model::slip::distance;

/// The form in which keys are compared.
pub fn canonical(key: &str) -> String {
    key.trim()
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | ']'))
        .map(|c| if c == '[' { '.' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

/// The form in which names of environment variables are compared with keys.
pub fn squashed(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What an environment variable's name leaves behind `prefix` (a key that ends before its free part), or `None`.
/// `DB_URL_0` leaves `0` behind `db.url.`.
pub fn behind_prefix(variable: &str, prefix: &str) -> Option<String> {
    let wanted = squashed(prefix);
    let mut seen = String::new();
    let mut parts = variable.split(['_', '.', '-']);
    while seen.len() < wanted.len() {
        seen.push_str(&squashed(parts.next()?));
    }
    let rest: Vec<&str> = parts.collect();
    (seen == wanted && !rest.is_empty()).then(|| squashed(&rest.join("")))
}

/// The candidate nearest to `name`, if it is near enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = canonical(name);
    let length = wanted.chars().count();
    let limit = (length / 6).clamp(1, 6);
    candidates
        .into_iter()
        .map(|candidate| (canonical(candidate), candidate))
        // Who differs more in length than may be is not compared: somebody's key may have a million letters.
        .filter(|(canonical, _)| canonical.chars().count().abs_diff(length) <= limit)
        .map(|(canonical, candidate)| (distance(&wanted, &canonical), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_key_are_equal() {
        for spelling in ["server.servlet.context-path", "server.servlet.contextPath", "SERVER.SERVLET.CONTEXT_PATH"] {
            assert_eq!(canonical(spelling), "server.servlet.contextpath");
        }
        assert_ne!(canonical("a.bc"), canonical("ab.c"));
        assert_eq!(squashed("NACOS_CORE_AUTH_ENABLED"), squashed("nacos.core.auth.enabled"));
    }

    #[test]
    fn a_variable_may_name_a_key_with_a_free_part() {
        assert_eq!(behind_prefix("DB_URL_0", "db.url."), Some("0".into()));
        assert_eq!(
            behind_prefix("NACOS_INETUTILS_PREFERRED_NETWORKS_1", "nacos.inetutils.preferred-networks["),
            Some("1".into())
        );
        assert_eq!(
            behind_prefix("NACOS_INETUTILS_PREFERREDNETWORKS_1", "nacos.inetutils.preferred-networks["),
            Some("1".into())
        );
        assert_eq!(behind_prefix("DB_URL", "db.url."), None);
        assert_eq!(behind_prefix("DB_URLS_0", "db.url."), None);
    }

    #[test]
    fn the_nearest_key_is_found_and_nonsense_finds_none() {
        let known = ["nacos.core.auth.enabled", "server.port", "nacos.naming.expireInstance"];
        assert_eq!(nearest("nacos.core.auth.enable", known), Some("nacos.core.auth.enabled"));
        assert_eq!(nearest("sevrer.port", known), Some("server.port"));
        assert_eq!(nearest("nacos.naming.expireinstances", known), Some("nacos.naming.expireInstance"));
        assert_eq!(nearest("my.own.thing", known), None);
        assert_eq!(nearest("", known), None);
    }
}

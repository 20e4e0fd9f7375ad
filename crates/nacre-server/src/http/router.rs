//! Finds the row of a request. Spelling variants of a path never come here (`refuse::firewall`), but for one: a slash at
//! the end, which leads to the same row, the same check and the same rights in 1.x and 2.x, and nowhere in 3.x.

use std::collections::HashMap;

use http::Method;

use super::{
    refuse::under,
    table::{Row, rows},
};
use crate::quick::Quick;

/// What a path and method lead to.
pub enum Found {
    /// The row, and the values of its path variables.
    Row(&'static Row, Vec<(String, String)>),
    /// Rows of the path, none of the method.
    WrongMethod(&'static [&'static Row]),
    Nothing,
}

/// Every endpoint by path: a map for the plain ones (nearly all), a tree for those with variables.
pub struct Router {
    context: String,
    plain: HashMap<&'static str, &'static [&'static Row], Quick>,
    variable: matchit::Router<&'static [&'static Row]>,
}

impl Router {
    /// `context` is the context path, `/nacos` or empty.
    ///
    /// # Panics
    /// When two rows of the table claim the same method and path: a mistake of the build, not of a request.
    pub fn new(context: &str) -> Self {
        let mut plain: HashMap<&'static str, Vec<&'static Row>> = HashMap::new();
        let mut with_variables: HashMap<&'static str, Vec<&'static Row>> = HashMap::new();
        for row in rows() {
            let home = if row.path.contains('{') { &mut with_variables } else { &mut plain };
            let at_path = home.entry(row.path).or_default();
            let twice = at_path.iter().any(|other| other.methods.iter().any(|m| row.methods.contains(m)));
            assert!(!twice, "two rows claim {:?} {}", row.methods, row.path);
            at_path.push(row);
        }
        // The table lives as long as the process, and so does its index.
        let kept = |rows: Vec<&'static Row>| -> &'static [&'static Row] { rows.leak() };
        let plain = plain.into_iter().map(|(path, rows)| (path, kept(rows))).collect();
        let mut variable = matchit::Router::new();
        for (path, rows) in with_variables {
            if let Err(error) = variable.insert(path, kept(rows)) {
                panic!("the table holds a path that cannot be routed: {path}: {error}");
            }
        }
        Self { context: context.trim_end_matches('/').to_owned(), plain, variable }
    }

    /// The path below the context path; empty for the context path itself.
    pub fn below_context<'p>(&self, path: &'p str) -> Option<&'p str> {
        let inner = path.strip_prefix(&self.context)?;
        (inner.is_empty() || inner.starts_with('/')).then_some(inner)
    }

    /// What stands before the path of an API, where that is not the context path.
    pub fn other_context<'p>(&self, path: &'p str) -> Option<&'p str> {
        let at = ["/v1/", "/v2/", "/v3/"].iter().filter_map(|generation| path.find(generation)).min()?;
        let (given, api) = path.split_at(at);
        (given != self.context && self.plain.contains_key(api.trim_end_matches('/'))).then_some(given)
    }

    /// The row for a path below the context path.
    pub fn find(&self, method: &Method, inner: &str) -> Found {
        let inner = match inner.strip_suffix('/') {
            Some(bare) if !bare.is_empty() && !under(inner, "/v3") => bare,
            _ => inner,
        };
        if let Some(rows) = self.plain.get(inner) {
            return choose(rows, method, Vec::new);
        }
        // Letters that somebody encoded without need.
        if inner.contains('%')
            && let Ok(decoded) = percent_encoding::percent_decode_str(inner).decode_utf8()
            && let Some(rows) = self.plain.get(&*decoded)
        {
            return choose(rows, method, Vec::new);
        }
        match self.variable.at(inner) {
            Ok(found) => choose(found.value, method, || {
                let values = found.params.iter();
                values.map(|(name, value)| (name.to_owned(), super::params::decode(value.as_bytes()))).collect()
            }),
            Err(_) => Found::Nothing,
        }
    }
}

fn choose(rows: &'static [&'static Row], method: &Method, values: impl FnOnce() -> Vec<(String, String)>) -> Found {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    match rows.iter().find(|row| row.methods.contains(wanted)) {
        Some(row) => Found::Row(row, values()),
        None => Found::WrongMethod(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_claim_one_endpoint() {
        Router::new("/nacos");
    }

    #[test]
    fn a_slash_at_the_end_means_nothing_before_v3() {
        let router = Router::new("/nacos");
        let found = |path| matches!(router.find(&Method::GET, path), Found::Row(..));
        assert!(found("/v1/cs/configs/") && found("/v2/cs/config/") && found("/v3/client/cs/config"));
        assert!(!found("/v3/client/cs/config/") && !found("/v3/console/cs/config/list/"));
    }

    #[test]
    fn an_api_below_another_path_is_known_for_one() {
        let router = Router::new("/nacos");
        assert_eq!(router.other_context("/v1/ns/instance/beat"), Some(""));
        assert_eq!(router.other_context("/registry/v1/cs/configs"), Some("/registry"));
        assert_eq!(router.other_context("/nacos/nacos/v1/cs/configs"), Some("/nacos/nacos"));
        assert_eq!(router.other_context("/nacos/v1/cs/configs"), None);
        assert_eq!(router.other_context("/v1/cs/other"), None);
        assert_eq!(router.other_context("/favicon.ico"), None);
    }
}

//! Finds the row of a request. Paths are canonicalised first (duplicate and trailing slashes, `;` parameters), so that
//! a spelling variant meets the same row, the same check and the same rights as the plain one.

use std::{borrow::Cow, collections::HashMap};

use http::Method;

use super::table::{Row, rows};

/// What a path and method lead to.
pub enum Found {
    /// The row, and the values of its path variables.
    Row(&'static Row, Vec<(String, String)>),
    WrongMethod {
        allowed: Vec<Method>,
    },
    Nothing,
}

/// Every endpoint by path: a map for the plain ones (nearly all), a tree for those with variables.
pub struct Router {
    context: String,
    plain: HashMap<&'static str, Vec<&'static Row>>,
    variable: matchit::Router<Vec<&'static Row>>,
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
        let mut variable = matchit::Router::new();
        for (path, rows) in with_variables {
            if let Err(error) = variable.insert(path, rows) {
                panic!("the table holds a path that cannot be routed: {path}: {error}");
            }
        }
        Self { context: context.trim_end_matches('/').to_owned(), plain, variable }
    }

    /// The canonical path below the context path.
    pub fn below_context<'p>(&self, path: &'p str) -> Option<Cow<'p, str>> {
        let inner = match canonical(path) {
            Cow::Borrowed(path) => Cow::Borrowed(path.strip_prefix(&self.context)?),
            Cow::Owned(path) => Cow::Owned(path.strip_prefix(&self.context)?.to_owned()),
        };
        (inner.is_empty() || inner.starts_with('/')).then_some(inner)
    }

    pub fn find(&self, method: &Method, path: &str) -> Found {
        let Some(inner) = self.below_context(path) else { return Found::Nothing };
        if let Some(rows) = self.plain.get(&*inner) {
            return choose(rows, method, Vec::new);
        }
        match self.variable.at(&inner) {
            Ok(found) => choose(found.value, method, || {
                let values = found.params.iter();
                values.map(|(name, value)| (name.to_owned(), super::params::decode(value.as_bytes()))).collect()
            }),
            Err(_) => Found::Nothing,
        }
    }
}

fn choose(rows: &[&'static Row], method: &Method, values: impl FnOnce() -> Vec<(String, String)>) -> Found {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    match rows.iter().find(|row| row.methods.contains(wanted)) {
        Some(row) => Found::Row(row, values()),
        None => Found::WrongMethod { allowed: rows.iter().flat_map(|row| row.methods.iter().cloned()).collect() },
    }
}

fn canonical(path: &str) -> Cow<'_, str> {
    let plain = !path.contains("//") && !path.contains(';') && !path.contains("/.") && !path.ends_with('/');
    if plain && path.starts_with('/') {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/') {
        let segment = segment.split(';').next().unwrap_or("");
        if !segment.is_empty() && segment != "." {
            out.push('/');
            out.push_str(segment);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_variants_are_one_path() {
        assert_eq!(canonical("//nacos/v1//cs/configs/"), "/nacos/v1/cs/configs");
        assert_eq!(canonical("/nacos/v1/cs/configs;a=b"), "/nacos/v1/cs/configs");
    }

    #[test]
    fn no_two_rows_claim_one_endpoint() {
        Router::new("/nacos");
    }
}

//! What a search asks for; the store turns it into SQL.

/// A text to compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pattern {
    /// Anything.
    #[default]
    Any,
    Exact(String),
    /// `*` stands for any text; every other character for itself (`_` and `%` too).
    Glob(String),
}

impl Pattern {
    /// An accurate filter: blank is any.
    pub fn accurate(text: &str) -> Self {
        if text.trim().is_empty() { Self::Any } else { Self::Exact(text.to_owned()) }
    }

    /// A blur filter: blank is any, `*` is a wildcard, without one the text is exact.
    pub fn blur(text: &str) -> Self {
        if text.trim().is_empty() {
            Self::Any
        } else if text.contains('*') {
            Self::Glob(text.to_owned())
        } else {
            Self::Exact(text.to_owned())
        }
    }

    /// Accurate or blur, by the `search` parameter.
    pub fn of(mode: SearchMode, text: &str) -> Self {
        match mode {
            SearchMode::Accurate => Self::accurate(text),
            SearchMode::Blur => Self::blur(text),
        }
    }

    pub fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == text,
            Self::Glob(glob) => glob_matches(glob, text),
        }
    }
}

fn glob_matches(glob: &str, text: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else { return glob == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchMode {
    Accurate,
    #[default]
    Blur,
}

/// All filters of every generation; each one narrows. Results come in the order of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigSearch {
    /// Normalised by the adapter (v1's blur search takes a glob over namespaces).
    pub namespace: Pattern,
    pub data_id: Pattern,
    pub group: Pattern,
    pub app_name: Pattern,
    /// Any of them.
    pub tags: Vec<Pattern>,
    /// Any of them; exact.
    pub types: Vec<String>,
    pub content: Pattern,
}

/// Which rows of a result; both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    pub page_no: u64,
    pub page_size: u64,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub total_count: u64,
    pub page_number: u64,
    pub pages_available: u64,
    pub items: Vec<T>,
}

impl<T> Page<T> {
    pub fn new(total_count: u64, request: PageRequest, items: Vec<T>) -> Self {
        let size = request.page_size.max(1);
        Self { total_count, page_number: request.page_no, pages_available: total_count.div_ceil(size), items }
    }

    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            total_count: self.total_count,
            page_number: self.page_number,
            pages_available: self.pages_available,
            items: self.items.into_iter().map(change).collect(),
        }
    }
}

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
    /// A config appears (and counts) once for each tag it matches, as recorded from every version of the reference.
    pub repeat_per_tag: bool,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_star_is_a_wildcard() {
        let blur = |pattern: &str, text: &str| Pattern::blur(pattern).matches(text);
        assert!(blur("test_*", "test_1") && !blur("test_*", "test23") && !blur("test_*", "testX1"));
        assert!(!blur("%", "anything") && blur("%", "%"));
        assert!(blur("*app", "my-app") && !blur("*app", "app-a"));
        assert!(!blur("app", "app-a"), "without a star the text is exact");
        assert!(blur("a*b*c", "abc") && blur("a*b*c", "a-b-b-c") && !blur("a*b*c", "acb"));
        assert!(!blur("ab*b", "ab"), "the ends do not overlap");
        assert!(blur("", "anything") && blur("  ", "anything"));
        assert!(!Pattern::accurate("a*").matches("ab"));
    }

    #[test]
    fn pages_count_as_in_the_reference() {
        let request = PageRequest { page_no: 9, page_size: 10 };
        let page = Page::<u8>::new(25, request, Vec::new());
        assert_eq!((page.pages_available, page.page_number), (3, 9));
        assert_eq!(Page::<u8>::new(0, request, Vec::new()).pages_available, 0);
    }

    /// The plainest matcher there is.
    fn naive(glob: &[char], text: &[char]) -> bool {
        match (glob.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) if naive(rest, text) => true,
            (Some(('*', _)), Some((_, text))) => naive(glob, text),
            (Some((g, glob)), Some((t, text))) => g == t && naive(glob, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_match_as_a_naive_matcher_says(glob in "[ab*?é]{0,8}", text in "[ab?é]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::Glob(glob.clone()).matches(&text), naive(&chars(&glob), &chars(&text)));
        }
    }
}

//! The doctor: from symptom to cause. Pure: it is shown a [`Scene`] and answers with findings.
//!
//! What lives here: what a [`Finding`] is, the pages that explain them ([`mod@page`], one Markdown file a code under
//! `docs/findings`, compiled in), what rules may look at ([`scene`]), what is remembered of the journal ([`memory`]), the
//! rules themselves ([`rules`], one file a family) and the [`Engine`] that makes findings appear, change and clear. What
//! does not: sockets, clocks and the server's tables; `nacre-server` shows them through [`scene::Server`].

pub mod asked;
pub mod before;
pub mod callers;
pub mod chinese;
mod engine;
mod finding;
pub mod lint;
pub mod memory;
pub mod page;
pub mod partings;
mod rule;
pub mod rules;
pub mod scene;
pub mod sightings;
pub mod strays;
#[cfg(test)]
mod testing;

pub use engine::{Change, Engine, Found};
pub use finding::{About, Confidence, Evidence, Finding, Line, Severity};
pub use memory::Memory;
pub use page::{Lang, Page};
pub use rule::{Hit, Hits, Rule};
pub use scene::Scene;
pub use sightings::Sightings;

/// The page of a finding's code; letter case does not matter.
pub fn page(code: &str) -> Option<&'static Page> {
    rules::all().find(|rule| rule.code.eq_ignore_ascii_case(code.trim())).map(|rule| rule.page())
}

/// The pages of all findings.
pub fn pages() -> impl Iterator<Item = &'static Page> {
    rules::all().map(Rule::page)
}

//! One file for each noun of the command line.

pub mod bench;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod instance;
mod lint;
pub mod server;
pub mod service;
pub mod status;
pub mod timeline;
pub mod top;
mod watch;

use crate::{api::Client, output::Screen};

/// What every command that talks to a server gets.
pub struct Session {
    pub client: Client,
    pub screen: Screen,
}

/// Whether `name` fits what a person typed: a pattern where it has `*`, otherwise a part of the name.
fn fits(name: &str, pattern: &str) -> bool {
    if !pattern.contains('*') {
        return name.contains(pattern);
    }
    let parts: Vec<&str> = pattern.split('*').collect();
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    let Some(rest) = name.strip_prefix(first) else { return false };
    let Some(mut rest) = rest.strip_suffix(last) else { return false };
    for part in &parts[1..parts.len() - 1] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_are_parts_or_have_stars() {
        for (name, pattern) in
            [("app.yaml", "app"), ("app.yaml", "*.yaml"), ("app.yaml", "a*.y*l"), ("a", "*"), ("a", "")]
        {
            assert!(fits(name, pattern), "{name} {pattern}");
        }
        for (name, pattern) in [("app.yaml", "yml"), ("app.yaml", "*.yml"), ("ab", "ab*b"), ("app", "b*")] {
            assert!(!fits(name, pattern), "{name} {pattern}");
        }
    }
}

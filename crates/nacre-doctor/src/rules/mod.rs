//! The rules, one file a family. To add one: a page `docs/findings/CODE.md`, a row in its family, a function, a test.

mod answers;
mod beats;
mod configs;
mod connections;
mod consumers;
mod credit;
mod disk;
mod gaps;
mod identity;
mod lifetimes;
mod limits;
mod misnamed;
mod namespaces;
mod operator;
mod redo;
mod refusals;
mod server;
mod settings;
mod sought;
mod strays;
mod transport;
mod zh;

use crate::Rule;

/// Every rule.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    let families: [&'static [Rule]; 19] = [
        &answers::RULES,
        &beats::RULES,
        &configs::RULES,
        &connections::RULES,
        &consumers::RULES,
        &credit::RULES,
        &disk::RULES,
        &gaps::RULES,
        &identity::RULES,
        &limits::RULES,
        &misnamed::RULES,
        &namespaces::RULES,
        &operator::RULES,
        &refusals::RULES,
        &server::RULES,
        &settings::RULES,
        &sought::RULES,
        &strays::RULES,
        &transport::RULES,
    ];
    families.into_iter().flatten()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn every_rule_has_its_page_and_every_page_its_rule() {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/findings");
        let pages: BTreeSet<String> = std::fs::read_dir(home)
            .expect("docs/findings")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".md").map(str::to_owned))
            .filter(|name| name != "README")
            .collect();
        let rules: BTreeSet<String> = all().map(|rule| rule.code.to_owned()).collect();
        assert_eq!(rules.len(), all().count(), "a code is used twice");
        assert_eq!(pages, rules);
        for rule in all() {
            let page = rule.page();
            assert_eq!(page.code, rule.code);
            assert_eq!(page.en.names(), page.zh.names(), "{}: the languages name different figures", rule.code);
            assert!(!page.zh.title.is_ascii() && !page.zh.cause.is_ascii(), "{}: Chinese that is none", rule.code);
            let words = |code: &str| {
                code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte.is_ascii_digit())
            };
            assert!(words(rule.code), "{}", rule.code);
        }
    }
}

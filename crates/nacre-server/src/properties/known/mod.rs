//! The table of every key nacre knows: its type, its default, and whether it has an effect. One row per key; the check at
//! start, `nacre server --print-config` and the docs come from it.

mod auth;
mod cluster;
mod config;
mod grpc;
mod nacre;
mod naming;
mod operations;
mod process;
mod store;
mod web;

use std::{collections::HashMap, sync::LazyLock};

use super::{
    relaxed::canonical,
    value::{Kind, Unit},
};

/// Whether setting a key changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// nacre acts on it.
    Now,
    /// Nacos acts on it, nacre does not yet. Said at start when it is set to something else than the default.
    Later,
    /// Belongs to the JVM, to Spring, or to a plug-in interface of Java: accepted in silence.
    Never,
    /// Nacos itself no longer acts on it. Said at start together with what does.
    Dead { instead: &'static str },
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Nacos's spelling. A `*` stands for a part that is free: `db.url.*`, `nacos.inetutils.preferred-networks[*]`.
    pub key: &'static str,
    pub kind: Kind,
    /// As it would stand in a file; `""` is "not set".
    pub default: &'static str,
    /// Versions of Nacos, or of nacre for `nacre.*`, that know the key.
    pub since: &'static str,
    pub doc: &'static str,
    pub effect: Effect,
    /// Other keys of the same meaning. In one source the alias of the newer generation wins.
    pub aliases: &'static [&'static str],
    /// Never shown.
    pub secret: bool,
    /// A change in the file counts while the server runs.
    pub hot: bool,
}

const fn row(key: &'static str, kind: Kind, default: &'static str, since: &'static str, doc: &'static str) -> Known {
    Known { key, kind, default, since, doc, effect: Effect::Never, aliases: &[], secret: false, hot: false }
}

impl Known {
    const fn now(mut self) -> Self {
        self.effect = Effect::Now;
        self
    }

    const fn later(mut self) -> Self {
        self.effect = Effect::Later;
        self
    }

    const fn never(mut self) -> Self {
        self.effect = Effect::Never;
        self
    }

    const fn dead(mut self, instead: &'static str) -> Self {
        self.effect = Effect::Dead { instead };
        self
    }

    const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// In effect, and re-read.
    const fn hot(mut self) -> Self {
        self.hot = true;
        self.now()
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// What stands before the free part, when there is one.
    pub fn prefix(&self) -> Option<&'static str> {
        self.key.split_once('*').map(|(prefix, _)| prefix)
    }
}

const MIB: u64 = 1 << 20;
/// Milliseconds of the longest span that a timer of Nacos takes: ten years, for those who mean never.
const LONGEST: u64 = 315_360_000_000;
/// Milliseconds of the longest span that makes sense for our own.
const DAY: u64 = 86_400_000;
/// A port from which gRPC's, 1000 above, exists too. 0 is any free one.
const PORT: Kind = Kind::Int { min: 0, max: 64_535 };
const COUNT: Kind = Kind::Int { min: 0, max: 1_000_000_000 };

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

const fn millis(min: u64, max: u64) -> Kind {
    Kind::Time { unit: Unit::Millis, min, max }
}

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Time { unit: Unit::Seconds, min, max }
}

const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Bytes { min, max }
}

/// Every row, area by area.
pub fn all() -> impl Iterator<Item = &'static Known> {
    [
        process::ROWS,
        web::ROWS,
        naming::ROWS,
        config::ROWS,
        grpc::ROWS,
        cluster::ROWS,
        store::ROWS,
        auth::ROWS,
        operations::ROWS,
        nacre::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// Rows by every spelling's canonical form, without those that have a free part.
static BY_KEY: LazyLock<HashMap<String, &'static Known>> = LazyLock::new(|| {
    all()
        .filter(|row| row.prefix().is_none())
        .flat_map(|row| {
            std::iter::once(row.key).chain(row.aliases.iter().copied()).map(move |key| (canonical(key), row))
        })
        .collect()
});

/// Rows with a free part, the longest prefix first.
static BY_PREFIX: LazyLock<Vec<(String, &'static Known)>> = LazyLock::new(|| {
    let mut rows: Vec<_> = all().filter_map(|row| Some((canonical(row.prefix()?), row))).collect();
    rows.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    rows
});

/// The row that a key belongs to, in whatever spelling.
pub fn find(key: &str) -> Option<&'static Known> {
    let key = canonical(key);
    BY_KEY.get(&key).copied().or_else(|| {
        BY_PREFIX.iter().find(|(prefix, row)| key.starts_with(prefix) && fits(&key[prefix.len()..], row)).map(|p| p.1)
    })
}

/// Whether `rest` can be the free part of the row.
fn fits(rest: &str, row: &Known) -> bool {
    if row.key.ends_with("[*]") {
        return !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    }
    // `db.user*` is `db.user`, `db.user.0` and `db.user[0]`, not `db.userspace`.
    let whole_element = row.prefix().is_some_and(|prefix| prefix.ends_with('.'));
    if whole_element { !rest.is_empty() } else { rest.is_empty() || rest.starts_with('.') }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_key_has_one_row_and_a_default_of_its_kind() {
        let mut seen = HashSet::new();
        for row in all() {
            for key in std::iter::once(row.key).chain(row.aliases.iter().copied()) {
                assert!(seen.insert(canonical(key)), "{key} has two rows");
                assert!(key.matches('*').count() <= 1, "{key}");
            }
            assert!(!row.doc.is_empty() && !row.since.is_empty(), "{}", row.key);
            if !row.default.is_empty() {
                row.kind.check(row.default).unwrap_or_else(|allowed| panic!("{}={}: {allowed}", row.key, row.default));
            }
        }
    }

    #[test]
    fn keys_with_a_free_part_are_found() {
        for (key, row) in [
            ("db.url.0", "db.url.*"),
            ("db.user", "db.user*"),
            ("db.user.1", "db.user*"),
            ("db.password[0]", "db.password*"),
            ("nacos.inetutils.preferredNetworks[3]", "nacos.inetutils.preferred-networks[*]"),
            ("nacos.core.ability.fuzzyWatch", "nacos.core.ability.*"),
            ("nacos.core.auth.plugin.nacos.token.secret.key", "nacos.core.auth.plugin.nacos.token.secret.key"),
            ("NACOS.CORE.AUTH.PLUGIN.oidc.issuer", "nacos.core.auth.plugin.*"),
            ("logging.level.root", "logging.*"),
        ] {
            assert_eq!(find(key).map(|r| r.key), Some(row), "{key}");
        }
        for key in ["db.userspace", "db.url", "nacos.inetutils.preferred-networks", "nacos", ""] {
            assert!(find(key).is_none(), "{key}");
        }
    }

    #[test]
    fn every_limit_that_a_property_changes_has_a_row_with_its_default() {
        for limit in nacre_model::limits::ALL.iter().filter(|limit| !limit.property.is_empty()) {
            let row = find(limit.property).unwrap_or_else(|| panic!("{} has no row", limit.property));
            assert_eq!(row.default, limit.value.to_string(), "{}", limit.property);
        }
    }
}

//! How the registry finds things: by a hash that costs a fraction of the usual one and is seeded anew in each process, for
//! a registration looks things up a dozen times. Where order shows, no order comes from here.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, Hash},
    sync::LazyLock,
};

pub(crate) use foldhash::quality::RandomState as Quick;

pub(crate) type Map<K, V> = HashMap<K, V, Quick>;
pub(crate) type Set<T> = HashSet<T, Quick>;

/// A number that equal values have in common for as long as the process lives.
pub(crate) fn mark(of: impl Hash) -> u64 {
    static SEED: LazyLock<Quick> = LazyLock::new(Quick::default);
    SEED.hash_one(of)
}

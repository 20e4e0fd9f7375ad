//! Random histories on the cores; fuzzing looks for those that reach more.

use nacre_fuzz::models;
use proptest::prelude::*;

fn history() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_naming_ends_as_the_naive_registry_says(history in history()) {
        models::naming::history(&history);
    }

    #[test]
    fn any_history_of_configs_ends_as_the_naive_store_says(history in history()) {
        models::config::history(&history);
    }
}

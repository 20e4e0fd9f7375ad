//! `docs/limits.md` is made from the table in `limits.rs`; this test keeps both equal. `NACRE_UPDATE_DOCS=1 cargo test -p
//! nacre-model` writes the page anew.

use std::{fmt::Write, path::Path};

use nacre_model::limits::ALL;

fn page() -> String {
    let mut page = String::from(
        "# Limits\n\nNothing in nacre grows without a bound. Every limit stands here, with the property that changes it. A \
         limit that is hit refuses clearly, is an event in the journal (`limitHit`) and never grows silently. Made from \
         `crates/nacre-model/src/limits.rs`.\n\n| limit | value | unit | property | why |\n|---|---|---|---|---|\n",
    );
    for limit in ALL {
        let property = if limit.property.is_empty() { "–".to_owned() } else { format!("`{}`", limit.property) };
        writeln!(page, "| {} | {} | {} | {property} | {} |", limit.name, limit.value, limit.unit, limit.reason)
            .expect("a string takes everything");
    }
    page
}

#[test]
fn the_page_of_limits_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/limits.md");
    if std::env::var_os("NACRE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("docs can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/limits.md is stale; run NACRE_UPDATE_DOCS=1 cargo test -p nacre-model");
}

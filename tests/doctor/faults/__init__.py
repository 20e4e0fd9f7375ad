"""One module a family of findings; the names are those of crates/nacre-doctor/src/rules."""

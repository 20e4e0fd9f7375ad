"""The compatibility suite: one scenario, many SDK drivers. See tests/compat/README.md."""

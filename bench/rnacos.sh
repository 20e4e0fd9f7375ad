#!/usr/bin/env bash
# Builds r-nacos, the server that nacre is measured beside, into target/rnacos. Its newest version that builds.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
[ -x "$target/rnacos/bin/rnacos" ] && exit 0
for version in 0.8.8 0.8.7 0.8.6; do
    echo "== r-nacos $version"
    if cargo install rnacos --version "$version" --locked --root "$target/rnacos" --target-dir "$target/rnacos/build"; then
        echo "$version" >"$target/rnacos/version"
        exit 0
    fi
done
echo "no version of r-nacos builds here" >&2
exit 1

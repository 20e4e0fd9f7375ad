#!/usr/bin/env bash
# Runs the suites named (unit, golden, compat, torture, doctor, metrics), each to its end whatever the others say, and sums up.
# Last line: "N passed, N failed". Exit code 1 when something failed or nothing ran. Logs: target/tests/SUITE.log.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
logs=${CARGO_TARGET_DIR:-target}/tests
mkdir -p "$logs"
passed=0 failed=0

# The counts of every line "N passed; M failed" or "N passed, M failed" that matches the pattern.
sum() { # FILE PATTERN
    awk -v pattern="$2" '
        $0 ~ pattern { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i - 1); if ($i ~ /^failed/) f += $(i - 1) } }
        END { print p + 0, f + 0 }' "$1"
}

# Runs a command, shows and keeps what it says, and adds its counts. A failure that counted nothing counts as one.
suite() { # NAME PATTERN COMMAND...
    local name=$1 pattern=$2 log code p f
    shift 2
    log=$logs/$name.log
    echo "== $name: $*"
    "$@" 2>&1 | tee "$log"
    code=${PIPESTATUS[0]}
    read -r p f < <(sum "$log" "$pattern")
    if [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then
        echo "== $name ended with exit code $code"
        f=1
    fi
    passed=$((passed + p)) failed=$((failed + f))
}

unit() {
    suite unit '^test result: ' cargo test --workspace --locked --no-fail-fast
    suite tools '^[0-9]+ passed, ' "$python" tools/pytests.py
    # The commands' own tests needed the binary; another build would only choose other features and start over.
    built=1
}

# Suites drive target/debug/nacre; without it there is nothing to ask.
built=''
binary() {
    [ -n "$built" ] && return
    cargo build --locked -p nacre-cli && return
    failed=$((failed + 1))
    return 1
}

golden() { binary && suite golden '^[0-9]+ passed, [0-9]+ failed' "$python" tests/golden/run.py --quiet; }
metrics() {
    binary || return
    suite metrics '^[0-9]+ passed, [0-9]+ failed' "$python" tests/metrics/run.py
    suite traces '^[0-9]+ passed, [0-9]+ failed' "$python" tests/metrics/traces.py
}
doctor() {
    binary || return
    suite doctor '^[0-9]+ passed, [0-9]+ failed' "$python" tests/doctor/run.py
    suite top '^[0-9]+ passed, [0-9]+ failed' "$python" tests/top/run.py
}
compat() { binary && suite compat '^[0-9]+ passed, [0-9]+ failed' "$python" tests/compat/run.py; }

torture() {
    binary || return
    suite torture '^[0-9]+ passed, [0-9]+ failed' \
        "$python" tests/torture/run.py torture --cycles 12 --cuts 6 --damage-every 6 --damages 5
    suite watch '^[0-9]+ passed, [0-9]+ failed' "$python" tests/torture/run.py watch --rounds 20 --storm 4
    suite soak '^[0-9]+ passed, [0-9]+ failed' \
        "$python" tests/torture/run.py soak --seconds 15 --clients 150 --sdks ''
    suite healthy '^[0-9]+ passed, [0-9]+ failed' \
        "$python" tests/torture/run.py soak --seconds 15 --clients 150 --sdks '' --healthy
    suite faults '^[0-9]+ passed, [0-9]+ failed' "$python" tests/torture/run.py faults
}

for name in "$@"; do
    case $name in
        unit | golden | compat | torture | doctor | metrics) "$name" ;;
        *) echo "no suite named $name: unit, golden, compat, torture, doctor, metrics" >&2; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

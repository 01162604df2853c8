#!/usr/bin/env bash
# What the rules of core/ cost, one operation each, beside what they replace: the
# benchmarks in bench/core/, on one core. Absolute figures are of this machine;
# the ratios are of one run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh

step "The rules of core/, one operation each, about three minutes"
export CRITERION_HOME=$work/criterion
cargo bench --locked --quiet -p seckill-bench-core --bench core --no-run ||
    fail "the benchmarks did not build; the compiler's message above says where"
taskset -c "$server_cpu" cargo bench --locked --quiet -p seckill-bench-core --bench core >"$work/core.out" 2>&1 ||
    { tail -n 20 "$work/core.out" >&2; fail "the benchmarks broke off; their last words are above"; }

# ns NAME: the median of a benchmark, in nanoseconds.
ns() {
    local file="$CRITERION_HOME/$1/new/estimates.json"
    [ -f "$file" ] || fail "$file is missing; is there still a benchmark named \"$1\"?"
    perl -MJSON::PP -e 'local $/; printf "%.2f\n", decode_json(<STDIN>)->{median}{point_estimate}' <"$file"
}

# against GOAL NAME PEER: how long NAME takes for each moment that PEER takes.
against() {
    row "$2 / $3" "$(awk -v a="$(ns "$2")" -v b="$(ns "$3")" 'BEGIN { printf "%.3f", a / b }')" \
        "ratio of times" "$1" lower "$3"
}

# each COUNT UNIT NAME: a benchmark of COUNT equal steps, by the step.
each() {
    row "$3, each" "$(awk -v a="$(ns "$3")" -v n="$1" 'BEGIN { printf "%.2f", a / n }')" "ns/$2" null lower ""
}

against 0.7 "session digest" "session digest by the hmac crate"
against 1 "hidden URL taken apart field by field" "hidden URL taken apart by split"
against 1 "cookie found byte by byte" "cookie found by split"
for refusal in "for its method" "for its shape" "as expired" "without a login" "for a forged URL" \
    "for an old session" "for a forged session" "as too early" "without a captcha pass"; do
    against 1 "refused $refusal" "admitted"
done
against 3 "token taken" "one compare-and-swap"
against 3 "permit spent from the hand" "one compare-and-swap"
against 2 "SipHash of a buyer's key" "SipHash of a buyer's key by the standard library"
against 1 "product found among 10,000" "product found in a locked map of 10,000"
for entries in 10,000 1,000,000; do
    against 1 "new buyer among $entries seen" "key missed in a locked map of $entries"
    against 1 "free address among $entries bans" "key missed in a locked map of $entries"
    against 1 "second click among $entries seen" "key found in a locked map of $entries"
    against 1 "banned address among $entries bans" "key found in a locked map of $entries"
done
against 1 "log line read" "log line read as any JSON"

each 2000 account "2,000 accounts judged"
each 10000 event "10,000 events replayed"
each 1000000 ban "sweep of 1,000,000 bans"
each 80 file "80 assets named"
while IFS= read -r file; do
    name=${file#"$CRITERION_HOME/"}
    name=${name%/new/estimates.json}
    row "$name" "$(ns "$name")" ns null lower ""
done < <(find "$CRITERION_HOME" -path '*/new/estimates.json' | sort)
write_results core

#!/usr/bin/env bash
# The stock script beside the ways that were rejected: a lock with owner check, a
# FIFO in memory, a WATCH loop, a list of tokens, one INCR. Each first proves that
# it sells exactly what there is, then all are measured in turn, round after round,
# with the same number of buyers at once. Redis has a core, the buyers another.
#
# ROUNDS, SECONDS_EACH and CLIENTS change the length and the crowd.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh

scripts/install.sh test
build_release
start_redis

clients=${CLIENTS:-64}
step "Six ways to sell, $clients buyers at once: $rounds rounds of 6 x $seconds s"
mkdir -p bench/results
taskset -c "$server_cpu" "${CARGO_TARGET_DIR:-target}/release/seckill-load" stock --redis "unix://$work/redis.sock" \
    --clients "$clients" --seconds "$seconds" --rounds "$rounds" --svg bench/results/stock.svg >"$work/stock.tsv" ||
    fail "the bench broke off; its words are above"
while IFS=$'\t' read -r name value unit goal better peer; do
    row "$name" "$value" "$unit" "$goal" "$better" "$peer"
done <"$work/stock.tsv"
step "Drawn in bench/results/stock.svg"
write_results stock

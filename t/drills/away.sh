#!/usr/bin/env bash
# Three edges with `seckill_fallback pass` before a back end that only writes down
# what arrives, as a journal does. In the middle of a flood of clicks Redis is
# killed with -9, stays away, and comes back on its append-only file.
#
# However wrong the edges are about one another by then: together they let pass no
# more than there are permits, each on a permit of its own, and they go on letting
# pass while Redis is away. RUNS repeats it (1), PERMITS (20,000) changes the size.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/edges.sh
. t/drills/lib/edges.sh

runs=${RUNS:-1}
permits=${PERMITS:-20000}
edges=3
work=$PWD/target/drills/away
rm -rf "$work"
mkdir -p "$work"

trap edges_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(umask 077 && perl bench/lib/clicks.pl keys >"$work/keys")
redis_start

edge_http() {
    cat <<CONF
log_format journal '\$seckill_permit';
    server {
        listen unix:$work/edge$1/journal.sock;
        location / { return 202; }
    }
CONF
}
edge_server() {
    cat <<CONF
location /buy/ {
            seckill_gate on;
            seckill_fallback pass;
            proxy_pass http://unix:$work/edge$1/journal.sock;
            access_log $work/edge$1/journal journal if=\$seckill_permit;
        }
CONF
}

passed() { cat "$work"/edge*/journal | wc -l; }
distinct() { cat "$work"/edge*/journal | sort -u | wc -l; }
some_passed() { [ "$(passed)" -ge $((permits / 10)) ]; }
keeps_some() { [ "$(metric "$1" seckill_permits_kept)" -gt 0 ]; }
is_back() { [ "$(metric "$1" seckill_redis_connects_total)" -gt 2 ]; }

run() {
    local round=$1 number before while_away
    for ((number = 1; number <= edges; number++)); do
        mkdir -p "$work/edge$number"
        edge_start "$number"
        sign_clicks "$number" "$round" "$permits"
        : >"$work/edge$number/journal"
    done
    put_on_sale "$round" 1 "$permits"
    for ((number = 1; number <= edges; number++)); do
        poll_until 60 edge_sells "$number" "$round" 1 || fail "edge $number does not sell; see $work/edge$number/error.log"
        poll_until 10 keeps_some "$number" || fail "edge $number keeps nothing; see $work/edge$number/error.log"
    done
    flood_all 4 16 &
    local flooding=$!
    poll_until 20 some_passed || true
    kill -KILL "$redis_pid"
    wait "$redis_pid" 2>/dev/null || true
    before=$(passed)
    wait "$flooding" || true
    while_away=$(($(passed) - before))
    redis_start
    for ((number = 1; number <= edges; number++)); do poll_until 10 is_back "$number" || true; done
    flood_all 4 16

    within "let pass by all edges together" $((permits * 9 / 10)) "$permits" "$(passed)"
    fact "each on a permit of its own" "$(passed)" "$(distinct)"
    within "of these while Redis was away" 1 "$permits" "$while_away"
    within "permits counted in Redis" "$(passed)" "$permits" "$(cli GET "seckill::{$round::1}::permits")"
    edges_stop
}

for ((n = 1; n <= runs; n++)); do
    step "Redis is killed under three edges that may pass without it"
    run "away$n"
done
exit "$failed"

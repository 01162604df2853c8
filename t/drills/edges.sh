#!/usr/bin/env bash
# Four edges on one Redis and one back end: a flood of clicks for a limited number
# of permits, while something goes wrong, and then the count.
#
#   calm       nothing goes wrong
#   reload     one edge is reloaded every second
#   worker     one worker is killed with -9 every second
#   edge       one edge is killed for good; what it held comes back
#   redis      Redis is stopped and started again in the middle
#   refund     50 permits come back after the last was sold: 50 more are sold
#
# Each time exactly as many are sold as there are permits. Prints a PASS or FAIL
# line for each fact, with the numbers. The scenarios may be named as arguments;
# RUNS repeats each (1), PERMITS (10,000) and SECONDS_EACH (6) change the size.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh
# shellcheck source=t/drills/lib/edges.sh
. t/drills/lib/edges.sh

scenarios=("$@")
[ $# -gt 0 ] || scenarios=(calm reload worker edge redis refund)
runs=${RUNS:-1}
permits=${PERMITS:-10000}
seconds=${SECONDS_EACH:-6}
edges=4
work=$PWD/target/drills/edges
seckill=${SECKILL:-$(trial_program seckill)}
rm -rf "$work"
mkdir -p "$work"

trap edges_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The site --------------------------------------------------------------

edges_begin

edge_http() { purchase_upstream; }
edge_server() { buy_location ""; }

# --- What came of it -------------------------------------------------------

sold() { cli HGET "seckill::{$1::1::01}::stock" locked_stock_amount; }
granted() { cli GET "seckill::{$1::1}::permits"; }
buyers() { cli HLEN "seckill::{$1::1::01}::buyers"; }
requests() { cat "$work"/edge*/wrk.out | awk '/requests in/ { n += $1 } END { print n + 0 }'; }
is_sold_out() { [ "$(sold "$1")" = "$permits" ] && [ "$(granted "$1")" = "$permits" ]; }
# Demand goes on until everything is sold: what was lost with a process comes
# back only after it may not arrive any more.
demand_until_sold_out() {
    local deadline=$((SECONDS + 180))
    until is_sold_out "$1" || ((SECONDS > deadline)); do flood_all 1 4; done
}

# --- What goes wrong -------------------------------------------------------

each_second() {
    local end=$((SECONDS + seconds)) number=0
    while ((SECONDS < end)); do
        sleep 1
        number=$((number % edges + 1))
        "$@" "$number"
    done
}
reload() { kill -HUP "${edge_pid[$1]}"; }
kill_worker() { kill -KILL "$(edge_workers "$1" | head -n 1)" 2>/dev/null || true; }

# What goes wrong once comes while permits are left, some of them with the edges.
some_sold() { [ "$(sold "$1")" -ge $((permits / 10)) ]; }
# trouble SCENARIO ROUND
trouble() {
    case $1 in
        reload) each_second reload ;;
        worker) each_second kill_worker ;;
        edge | redis)
            poll_until 20 some_sold "$2" || true
            sold_before=$(sold "$2")
            case $1 in
                edge) edge_kill 4 ;;
                redis) redis_stop; redis_start ;;
            esac
            within "$1: sold before it" $((permits / 10)) $((permits - 1)) "$sold_before"
            ;;
        *) ;;
    esac
}

# --- A run -----------------------------------------------------------------

run() {
    local scenario=$1 round=$1$2 number before
    for ((number = 1; number <= edges; number++)); do
        [ -n "${edge_pid[$number]:-}" ] || edge_start "$number"
        rm -f "$work/edge$number/wrk.out"
        # More buyers than permits at each edge: demand is left at the end.
        sign_clicks "$number" "$round" "$permits"
    done
    approve "$work/back-end.log" "$round" +0s +10m "$permits"
    for ((number = 1; number <= edges; number++)); do
        poll_until 60 edge_sells "$number" "$round" 1 || fail "edge $number does not sell; see $work/edge$number/error.log"
    done
    before=$(metric_of_all seckill_admitted_total)

    flood_all "$seconds" 32 &
    local flooding=$!
    trouble "$scenario" "$round"
    wait "$flooding" || true
    demand_until_sold_out "$round"

    fact "$scenario: sold" "$permits" "$(sold "$round")"
    fact "$scenario: permits granted" "$permits" "$(granted "$round")"
    fact "$scenario: buyers" "$permits" "$(buyers "$round")"
    case $scenario in
        # No process died, so that nothing admitted was lost on its way.
        calm | reload) fact "$scenario: let pass by the edges" "$permits" $(($(metric_of_all seckill_admitted_total) - before)) ;;
        refund) refund "$round" ;;
    esac
    printf '     of %s requests\n' "$(requests)"
}

# Permits that a refund gives back are sold within a second, at whatever edge
# asks first.
refund() {
    local more=50 began before
    refused_more() { [ "$(metric_of_all seckill_refused_total)" -gt "$before" ]; }
    all_granted() { [ "$(granted "$1")" = "$permits" ]; }
    before=$(metric_of_all seckill_refused_total)
    flood_all 4 4 &
    local flooding=$!
    poll_until 5 refused_more || true
    began=$(date +%s%3N)
    cli DECRBY "seckill::{$1::1}::permits" $more >>"$work/redis.out"
    poll_until 5 all_granted "$1" || true
    within "refund: ms until they were taken" 0 1000 $(($(date +%s%3N) - began))
    wait "$flooding" || true
    fact "refund: permits granted again" "$permits" "$(granted "$1")"
}

for scenario in "${scenarios[@]}"; do
    step "$scenario: $edges edges, $permits permits, $runs times"
    for ((n = 1; n <= runs; n++)); do run "$scenario" "$n"; done
done
exit "$failed"

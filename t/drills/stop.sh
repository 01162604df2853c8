#!/usr/bin/env bash
# The stop switch while four edges are flooded: a round is paused and resumed again and
# again, and then ended, by command. How long after each order the last item is sold, and
# after each resumption the first.
#
# "seckill round" promises that every edge knows within a second of its end. Each purchase
# bears Redis's time, by which it is known when the last one was made.
#
# Prints a PASS or FAIL line for each fact, with the numbers. PAUSES (5) and RATE (200
# purchases a second at each edge) change the size.
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

pauses=${PAUSES:-5}
rate=${RATE:-200}
edges=4
round=stop
# Demand after an order, in which nothing may be sold.
after=2
# More than can be sold: at most five seconds of sale go before an order.
buyers=$((rate * (pauses + 1) * 10))
work=$PWD/target/drills/stop
seckill=${SECKILL:-$(trial_program seckill)}
floods=()
rm -rf "$work"
mkdir -p "$work"

finish() {
    local pid
    for pid in "${floods[@]}"; do kill "$pid" 2>/dev/null || true; done
    edges_end
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The site --------------------------------------------------------------

edges_begin

edge_http() { purchase_upstream; }
edge_server() { buy_location "seckill_fallback pass; seckill_rate rate=${rate}r/s burst=$((rate / 10));"; }

# Without a gap, until the drill ends.
flood_on() {
    local number
    for number in "${!edge_pid[@]}"; do
        wrk -t 1 -c 16 -d 1h -s bench/lib/clicks.lua "http://127.0.0.1:${edge_port[$number]}" \
            -- "$work/edge$number/clicks" >"$work/edge$number/wrk.out" 2>&1 &
        floods+=($!)
    done
}

# --- What came of it -------------------------------------------------------

now_ms() { date +%s%3N; }
buyers_of() { echo "seckill::{$round::1::01}::buyers"; }
sold() { cli HLEN "$(buyers_of)"; }
# When the last item was sold, by Redis's clock: the record of its buyer says it.
last_sale_ms() { cli HVALS "$(buyers_of)" | cut -d'|' -f6 | sort -n | tail -n 1; }
sells_on() { [ "$(sold)" -gt "$1" ]; }
all_say() {
    local number
    for number in "${!edge_port[@]}"; do
        curl -fsS "http://127.0.0.1:${edge_port[$number]}/api/rounds/$round/products/1/state" 2>/dev/null | grep -q "\"state\":\"$1\"" || return 1
    done
}

# order STEP: in $began and $given, when its command began and ended.
order() {
    began=$(now_ms)
    "$seckill" round "$1" "$round" >>"$work/orders.log" 2>&1 || fail "seckill round $1 failed; see $work/orders.log"
    given=$(now_ms)
}

# stop_sale STEP STATE: once the sale is under way.
stop_sale() {
    local before last
    poll_until 20 sells_on $(($(sold) + rate)) || fail "not $rate more items are sold within 20 s; see $work/edge1/error.log"
    order "$1"
    sleep "$after" # that is how long demand goes on in vain
    last=$(last_sale_ms)
    before=$(sold)
    fact "$1: what the $edges edges say then" "$2" "$(all_say "$2" && echo "$2" || echo "something else")"
    within "$1: ms from the end of the order to the last purchase (from its beginning: $((last - began)))" -1000 1000 $((last - given))
    sleep 1
    fact "$1: sold in another second of demand" 0 $(($(sold) - before))
    [ $((last - began)) -le "$longest" ] || longest=$((last - began))
}

resume() {
    local before
    before=$(sold)
    order resume
    poll_until 20 sells_on "$before" || true
    within "resume: ms from the end of the order to the next purchase" -1000 1000 $(($(now_ms) - given))
}

longest=0
for ((number = 1; number <= edges; number++)); do
    edge_start "$number"
    sign_clicks "$number" "$round" "$buyers"
done
approve "$work/back-end.log" "$round" +0s +30m $((buyers * edges))
for ((number = 1; number <= edges; number++)); do
    poll_until 10 edge_sells "$number" "$round" 1 || fail "edge $number does not sell; see $work/edge$number/error.log"
done
step "$edges edges, $rate purchases a second at each, $pauses pauses and the end"
flood_on
for ((n = 1; n <= pauses; n++)); do
    stop_sale pause paused
    resume
done
stop_sale end ended
printf '     %s items were sold; longest from the beginning of an order to the last purchase: %s ms\n' "$(sold)" "$longest"
exit "$failed"

#!/usr/bin/env bash
# Four edges, as shipped, sell everything while Redis stands still at random: every second
# for 50 to 2,000 ms, by CLIENT PAUSE or by SIGSTOP. Everything is sold, exactly, and
# "sold out" is told at no edge while an item is left.
#
# Each edge is watched all the time: its state, and what the crowd is told. The last
# purchase bears Redis's time, by which it is known until when items were left.
#
# Prints a PASS or FAIL line for each fact, with the numbers. SECONDS_EACH (20), PERMITS
# (100 a second) and RUNS (1) change the size, SEED the pauses.
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

seconds=${SECONDS_EACH:-20}
permits=${PERMITS:-$((100 * seconds))}
runs=${RUNS:-1}
seed=${SEED:-$RANDOM}
edges=4
work=$PWD/target/drills/pauses
seckill=${SECKILL:-$(trial_program seckill)}
watcher=''
rm -rf "$work"
mkdir -p "$work"
RANDOM=$seed

finish() {
    # A server that stands still would not see that it is to end.
    [ -z "$redis_pid" ] || kill -CONT "$redis_pid" 2>/dev/null || true
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
    edges_end
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The site --------------------------------------------------------------

edges_begin

# So that the sale lasts as long as the pauses: what all edges admit in that time is a
# quarter more than there is.
rate=$((permits * 5 / 4 / seconds / edges + 1))
edge_http() { purchase_upstream; }
edge_server() { buy_location "seckill_fallback pass; seckill_rate rate=${rate}r/s burst=$rate;"; }

# --- What goes wrong -------------------------------------------------------

pauses=0 paused_ms=0
pause_once() {
    local ms=$((50 + RANDOM % 1951))
    pauses=$((pauses + 1)) paused_ms=$((paused_ms + ms))
    case $((RANDOM % 2)) in
        0)
            cli CLIENT PAUSE "$ms" >>"$work/redis.out"
            sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
            ;;
        1)
            kill -STOP "$redis_pid"
            sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
            kill -CONT "$redis_pid"
            ;;
    esac
}
# One pause a second, or one after the other.
pause_often() {
    local end=$((SECONDS + seconds)) next_ms
    while ((SECONDS < end)); do
        next_ms=$(($(date +%s%3N) + 1000))
        pause_once
        next_ms=$((next_ms - $(date +%s%3N)))
        ((next_ms <= 0)) || sleep "0.$(printf '%03d' $((next_ms % 1000)))"
    done
}

# --- What came of it -------------------------------------------------------

segment() { echo "seckill::{$1::1::01}"; }
sold() { cli HGET "$(segment "$1")::stock" locked_stock_amount; }
buyers() { cli HLEN "$(segment "$1")::buyers"; }
# When the last item was sold, by Redis's clock: the record of its buyer says it.
last_sale_ms() { cli HVALS "$(segment "$1")::buyers" | cut -d'|' -f6 | sort -n | tail -n 1; }
is_sold_out() { [ "$(sold "$1")" = "$permits" ]; }
tell_sold_out() {
    local number
    for number in "${!edge_pid[@]}"; do
        curl -fsS "http://127.0.0.1:${edge_port[$number]}/api/rounds/$1/products/1/state" 2>/dev/null | grep -q '"state":"sold_out"' || return 1
    done
}
# Demand goes on until everything is sold and every edge says so: a share returns after a
# minute at most, and a permit whose item was sold without one (to a request that waited in
# the journal until its lease was closed) is spent by the next click.
demand_until_sold_out() {
    local deadline=$((SECONDS + 240))
    until { is_sold_out "$1" && tell_sold_out "$1"; } || ((SECONDS > deadline)); do flood_all 1 4; done
}

run() {
    local round=$1 number last longest=0 asked=0 odd=0 told=0 n strange first
    for ((number = 1; number <= edges; number++)); do
        [ -n "${edge_pid[$number]:-}" ] || edge_start "$number"
        rm -f "$work/edge$number/wrk.out"
        # More buyers than permits at each edge: demand is left at the end.
        sign_clicks "$number" "$round" "$permits"
    done
    approve "$work/back-end.log" "$round" +0s +30m "$permits"
    for ((number = 1; number <= edges; number++)); do
        poll_until 60 edge_sells "$number" "$round" 1 || fail "edge $number does not sell; see $work/edge$number/error.log"
    done
    perl t/drills/lib/watch.pl "$round" 1 "${edge_port[@]}" >"$work/watch.$round" &
    watcher=$!
    pauses=0 paused_ms=0
    flood_all "$seconds" 8 &
    local flooding=$!
    pause_often
    wait "$flooding" || true
    demand_until_sold_out "$round"
    kill "$watcher"
    wait "$watcher" || true
    watcher=''
    last=$(last_sale_ms "$round")
    while read -r _ n strange first; do
        asked=$((asked + n)) odd=$((odd + strange))
        ((first == 0)) || told=$((told + 1))
        ((first == 0 || last - first <= longest)) || longest=$((last - first))
    done <"$work/watch.$round"
    fact "sold" "$permits" "$(sold "$round")"
    fact "buyers" "$permits" "$(buyers "$round")"
    fact "edges that told \"sold out\" in the end" "$edges" "$told"
    fact "longest time that \"sold out\" was told while items were left, ms" 0 "$longest"
    fact "responses to $asked questions that were none" 0 "$odd"
    printf '     Redis stood still %s times, %s ms in all (SEED=%s)\n' "$pauses" "$paused_ms" "$seed"
}

step "$edges edges, $permits permits, $seconds s of pauses, $runs times"
for ((n = 1; n <= runs; n++)); do run "pauses$n"; done
exit "$failed"

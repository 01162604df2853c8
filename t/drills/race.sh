#!/usr/bin/env bash
# Races buyers for few items through the whole system and counts what came of it:
#
#   1. 5,000 buyers for 100 items: exactly 100 orders, everybody else gets an answer.
#   2. One buyer clicks 50 times at once, another repeats one request: one order
#      each.
#   3. The same race with `kill -9` in its middle and a restart: still exactly
#      100 orders.
#
# Prints a PASS or FAIL line for each fact, with the numbers. BUYERS changes 5,000.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh

buyers=${BUYERS:-5000}
items=100
work=$PWD/target/drills/race
load=$(trial_program seckill-load)

trap 'shop_stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- What the system holds -------------------------------------------------

ask_redis() { redis-cli -s "$SECKILL_DATA/run/redis.sock" "$@"; }
permits() { permits_used "$1"; }
stock() { ask_redis --raw HMGET "seckill::{$1::01}::stock" sale_stock_amount locked_stock_amount saled_stock_amount | paste -sd ' '; }
orders() {
    sqlite3 -readonly "$SECKILL_DATA/seckill.db" \
        "SELECT count(*) FROM orders WHERE round = '${1%%::*}' AND product = '${1##*::}' AND state <> 'cancelled'"
}
different_buyers() {
    sqlite3 -readonly "$SECKILL_DATA/seckill.db" \
        "SELECT count(DISTINCT user) FROM orders WHERE round = '${1%%::*}' AND product = '${1##*::}'"
}
has_orders() { [ "$(orders "$1")" -ge "$2" ]; }
has_permits() { [ "$(permits "$1")" = "$2" ]; }

# offer ROUND STARTS: $items go on sale.
offer() { sell_in_shop "$1" "$2" +10m "$items"; }

# race ROUND [OPTION...]: writes the summary to $work/ROUND.json.
race() {
    local round=$1
    shift
    "$load" race --base "$shop_url" --round "$round" --product 1 "$@" \
        >"$work/$round.json" 2>"$work/$round.err"
}

# The facts of a race that sold everything.
sold_out_exactly() {
    local item=$1::1 summary=$work/$1.json
    poll_until 30 has_orders "$item" "$items" || true
    fact "$2: orders in the database" "$items" "$(orders "$item")"
    fact "$2: buyers with an order" "$items" "$(different_buyers "$item")"
    fact "$2: stock for sale, locked, sold" "0 $items 0" "$(stock "$item")"
    poll_until 15 has_permits "$item" "$items" || true
    fact "$2: permits used" "$items" "$(permits "$item")"
    fact "$2: buyers who see their order" "$items" "$(json "$summary" '$j->{ordered}')"
    fact "$2: breaches that buyers saw" "" "$(json "$summary" 'join ", ", @{$j->{breaches}}')"
}

# --- The drill -------------------------------------------------------------

mkdir -p "$work"
scripts/build.sh --quiet
shop_place "$work/data"
shop_start

step "$buyers buyers race for $items items"
offer race +10s
race race --buyers "$buyers" || fact "race: the load generator" "ended well" "$(tail -n 1 "$work/race.err")"
sold_out_exactly race "race"
fact "race: last words to the buyers" "202 sold_out" "$(json "$work/race.json" \
    'join " ", sort grep { $_ ne "busy" } keys %{$j->{last_words}}')"
printf '     the edge said: %s; latency p50 %s ms, p99 %s ms; %s ms in all\n' \
    "$(json "$work/race.json" 'join ", ", map {"$_ $j->{codes}{$_}"} sort keys %{$j->{codes}}')" \
    "$(json "$work/race.json" '$j->{latency_ms}{p50}')" "$(json "$work/race.json" '$j->{latency_ms}{p99}')" \
    "$(json "$work/race.json" '$j->{elapsed_ms}')"

step "One buyer clicks 50 times at once"
offer eager +1s
race eager --buyers 1 --prefix eager --clicks-per-buyer 50 --concurrency 50 ||
    fact "clicks: the load generator" "ended well" "$(tail -n 1 "$work/eager.err")"
fact "clicks: orders" 1 "$(orders eager::1)"
fact "clicks: accepted" 1 "$(json "$work/eager.json" '$j->{last_words}{202}')"
fact "clicks: stock for sale, locked, sold" "$((items - 1)) 1 0" "$(stock eager::1)"
poll_until 20 has_permits eager::1 1 || true
fact "clicks: permits that stay used" 1 "$(permits eager::1)"

step "One request is repeated"
session=$(curl -fsS -D - -o "$work/answer" -H 'Content-Type: application/json' -d '{"user":"repeater"}' "$shop_url/api/session" |
    sed -n 's/^[Ss]et-[Cc]ookie: *\([^;]*\).*/\1/p')
path=$(curl -fsS -b "$session" "$shop_url/api/rounds/eager/products/1/path" | sed 's/.*"path":"\([^"]*\)".*/\1/')
buy() { curl -sS -X POST -b "$session" -H 'Idempotency-Key: same-1' -w ' %{http_code}' "$shop_url$path"; }
first=$(buy)
fact "repeat: the second answer" "$first" "$(buy)"
fact "repeat: the first answer's status" 202 "${first##* }"
poll_until 15 has_orders eager::1 2 || true
fact "repeat: orders of both buyers" 2 "$(orders eager::1)"

# Two connections only, so that the race lasts long enough to be hit.
for attempt in 1 2 3 4 5; do
    step "kill -9 in the middle of a race, and a restart (attempt $attempt)"
    round=kill$attempt
    offer "$round" +6s
    race "$round" --buyers "$buyers" --prefix "k$attempt" --concurrency 2 --retry-busy --until-sold-out 12 --limit 180 &
    racers=$!
    # Follows the stock until a tenth is locked; then the process is frozen for
    # the moment that it takes to look how far the race is, and never wakes.
    while read -r locked; do
        [ "${locked:-0}" -lt $((items / 10)) ] || break
    done < <(ask_redis --raw -r 200000 -i 0.001 HGET "seckill::{$round::1::01}::stock" locked_stock_amount)
    kill -STOP "$shop_pid"
    at_kill=$(stock "$round::1" | cut -d' ' -f2)
    shop_kill
    shop_start
    wait "$racers" || fact "kill: the load generator" "ended well" "$(tail -n 1 "$work/$round.err")"
    sold_out_exactly "$round" "kill"
    printf '     sold when it was killed: %s of %s\n' "$at_kill" "$items"
    [ "$at_kill" -ge "$items" ] || break
done
fact "kill: it fell into the race" yes "$([ "$at_kill" -lt "$items" ] && echo yes || echo "no, in $attempt attempts")"

step "Stopping"
shop_stop && stopped=cleanly || stopped="with status $?"
fact "the system stopped" cleanly "$stopped"
exit "$failed"

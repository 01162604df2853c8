#!/usr/bin/env bash
# Kills redis-server, nginx's master and its worker with -9, one after another, in the
# middle of one race of 3,000 buyers, and counts how long it takes until selling goes
# on by itself and what was sold in the end. Then lets the access log grow to its bound,
# and interrupts a drill of the program.
#
# Prints a PASS or FAIL line for each fact, with the numbers. BUYERS changes 3,000.
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

buyers=${BUYERS:-3000}
items=$((buyers / 2))
connections=32
work=$PWD/target/drills/supervisor
round=kept

trap 'shop_stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- What is killed, and what the system holds -------------------------------

ask_redis() { redis-cli -s "$SECKILL_DATA/run/redis.sock" --raw "$@" 2>/dev/null; }
pid_of() {
    case $1 in
        redis-server) ask_redis INFO server | sed -n 's/^process_id:\([0-9]*\).*/\1/p' ;;
        "nginx's master") cat "$SECKILL_DATA/run/nginx.pid" ;;
        "nginx's worker") pgrep -P "$(pid_of "nginx's master")" ;;
    esac
}
stock() { ask_redis HMGET "seckill::{$round::1::01}::stock" sale_stock_amount locked_stock_amount saled_stock_amount | paste -sd ' '; }
sold() { ask_redis HGET "seckill::{$round::1::01}::stock" locked_stock_amount || true; }
has_sold() { [ "$(sold | grep -E '^[0-9]+$' || echo 0)" -ge "$1" ]; }
permits() { permits_used "$round::1"; }
has_permits() { [ "$(permits)" = "$items" ]; }
ask_database() { sqlite3 -readonly "$SECKILL_DATA/seckill.db" "$1"; }
orders() { ask_database "SELECT count(*) FROM orders WHERE round = '$round' AND state <> 'cancelled'"; }
has_orders() { [ "$(orders)" -ge "$items" ]; }

# kill_at ITEMS NAME: once that many are sold. A fact is how soon more are sold than
# what was under way at that moment.
kill_at() {
    local at=$1 name=$2 killed before
    poll_until 30 has_sold "$at" || fail "the race did not sell $at items; see $work/race.err and $shop_log"
    before=$(sold)
    killed=$(date +%s%3N)
    # shellcheck disable=SC2046 # several workers
    kill -KILL $(pid_of "$name")
    poll_until 30 has_sold $((before + connections + 1)) || true
    within "ms from the death of $name until selling goes on" 0 3000 $(($(date +%s%3N) - killed))
}

# --- The drill ---------------------------------------------------------------

mkdir -p "$work"
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet
shop_place "$work/data"
# So that nobody sells in place of the worker that is killed.
export SECKILL_EDGE_WORKERS=1
# More than the race writes.
export SECKILL_LOG_MB=20
shop_start

step "$buyers buyers race for $items items, while redis-server, nginx's master and its worker are killed"
sell_in_shop "$round" +8s +10m "$items"
"$seckill" load race --base "$shop_url" --round "$round" --product 1 --buyers "$buyers" --rate $((buyers / 10)) \
    --concurrency $connections --retry-busy --until-sold-out 9 --limit 90 >"$work/race.json" 2>"$work/race.err" &
racers=$!
kill_at $((items / 10)) redis-server
kill_at $((items * 3 / 10)) "nginx's master"
kill_at $((items * 5 / 10)) "nginx's worker"
wait "$racers" || fact "the load generator" "ended well" "$(tail -n 1 "$work/race.err")"

poll_until 20 has_orders || true
fact "orders in the database" "$items" "$(orders)"
fact "buyers with an order" "$items" "$(ask_database "SELECT count(DISTINCT user) FROM orders WHERE round = '$round'")"
fact "stock for sale, locked, sold" "0 $items 0" "$(stock)"
poll_until 15 has_permits || true
fact "permits used" "$items" "$(permits)"
fact "buyers who see their order" "$items" "$(json "$work/race.json" '$j->{ordered}')"
fact "breaches that buyers saw" "" "$(json "$work/race.json" 'join ", ", @{$j->{breaches}}')"
"$seckill" verify >"$work/verify.out" 2>&1 && verified=PASS || verified=$(tail -n 3 "$work/verify.out")
fact "seckill verify" PASS "$verified"
for name in redis-server nginx; do
    fact "starts of $name after a death, by the log" 1 "$(grep -c "$name is up again after" "$shop_log" || true)"
done

step "The access log grows to its bound"
log=$SECKILL_DATA/logs/access.log
head -c "${SECKILL_LOG_MB}000000" < <(yes '"a line that is none"') >>"$log"
is_renamed() { [ -s "$log.1" ]; }
poll_until 20 is_renamed || true
fact "the log was renamed" yes "$(is_renamed && echo yes || echo no)"
curl -fsS -o "$work/answer" -A after-renaming "$shop_url/api/time" || true
is_logged() { grep -qs after-renaming "$log"; }
poll_until 10 is_logged || true
fact "nginx writes into a new one" yes "$(is_logged && echo yes || echo no)"
logged() { cat "$log.1" "$log" | wc -l; }
analysed() { ask_redis HGET seckill::analysis lines; }
has_analysed() { [ "$(analysed)" = "$(logged)" ]; }
poll_until 20 has_analysed || true
fact "lines of both that the analysis has not read" 0 "$(($(logged) - $(analysed)))"

step "Stopping"
shop_stop && stopped=cleanly || stopped="with status $?"
fact "the system stopped" cleanly "$stopped"

step "A drill of the program is interrupted while its system sells"
"$seckill" drill redis-stall >"$work/drill.out" 2>"$work/drill.err" &
drill=$!
theirs=${TMPDIR:-/tmp}/seckill-redis-stall-$drill
has_ended() { ! kill -0 "$drill" 2>/dev/null; }
serves() { [ -s "$theirs/data/run/nginx.pid" ]; }
serves_or_has_ended() { serves || has_ended; }
poll_until 60 serves_or_has_ended || true
fact "the system of the drill runs" yes "$(serves && echo yes || tail -n 1 "$work/drill.err")"
kill -TERM "$drill" || true
poll_until 30 has_ended || true
fact "the drill has ended" yes "$(has_ended && echo yes || echo no)"
fact "what it says of it" 1 "$(grep -c 'the drill was interrupted' "$work/drill.err" || true)"
fact "processes that it left" "" "$(pgrep -fl -- "$theirs" || true)"
fact "files that it left" "" "$(ls -d "$theirs" 2>/dev/null || true)"
exit "$failed"

#!/usr/bin/env bash
# Orders that are paid, cancelled and left unpaid, on MariaDB:
#
#   1. Every buyer pays and cancels at the same instant: each order ends in one
#      state, and stock and permits agree.
#   2. A third pays, a third cancels, a third lets the time pass, while MariaDB
#      and then the whole back end are killed in the middle: all amounts are
#      right, and what came back is sold again to others.
#
# After each, `seckill verify` passes. Prints a PASS or FAIL line for each fact,
# with the numbers. 90 items; --full: 1,000. ITEMS for others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=scripts/lib/mariadb.sh
. scripts/lib/mariadb.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh

case ${1:-} in
    --full) items=${ITEMS:-1000} ;;
    '') items=${ITEMS:-90} ;;
    *) fail "unknown argument \"$1\"; there is --full" ;;
esac
items=$((items / 3 * 3))
# Long enough to place, pay and cancel with two kills in between.
pay_within=${PAY_WITHIN:-$((20 + items / 50))}
work=$PWD/target/drills/pay
load=$(trial_program seckill-load)

finish() {
    shop_stop || true
    mariadb_stop
    rm -rf "${mariadb_home:-$work/none}"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- What the system holds -------------------------------------------------

ask_redis() { redis-cli -s "$SECKILL_DATA/run/redis.sock" "$@"; }
permits() { permits_used "$1::1"; }
stock() { ask_redis --raw HMGET "seckill::{$1::1::01}::stock" sale_stock_amount locked_stock_amount saled_stock_amount | paste -sd ' '; }
orders() { mariadb_ask shop "SELECT COUNT(*) FROM orders WHERE round = '$1' AND state = '$2'"; }
has_orders() { [ "$(orders "$1" "$2")" -ge "$3" ]; }
has_stock() { [ "$(stock "$1")" = "$2" ]; }
has_permits() { [ "$(permits "$1")" = "$2" ]; }

# offer ROUND: $items go on sale.
offer() { sell_in_shop "$1" +5s +10m "$items"; }

# sell ROUND PREFIX BUYERS ORDERS: buyers race until so many orders are placed.
sell() {
    "$load" race --base "$shop_url" --round "$1" --product 1 --prefix "$2" --buyers "$3" \
        --retry-busy --until-sold-out 2 --limit 60 >"$work/$2.json" 2>"$work/$2.err" ||
        fact "$1: the load generator" "ended well" "$(tail -n 1 "$work/$2.err")"
    poll_until 30 has_orders "$1" created "$4" || true
    fact "$1: orders of $2" "$4" "$(orders "$1" created)"
}

# decide ROUND PLAN [CONNECTIONS]: whoever has an order there.
decide() {
    mariadb_ask shop "SELECT user FROM orders WHERE round = '$1' AND state = 'created'" >"$work/$1-users"
    "$load" decide --base "$shop_url" --round "$1" --users "$work/$1-users" --plan "$2" \
        --concurrency "${3:-64}" >"$work/$1-decided.json" 2>"$work/$1-decided.err"
}

verified() {
    "$seckill" verify >"$work/verify" 2>&1 && outcome=PASS || outcome=FAIL
    fact "$1: seckill verify" PASS "$outcome"
    sed 's/^/     /' "$work/verify"
}

# --- The drill -------------------------------------------------------------

scripts/build.sh --quiet
rm -rf "$work"
mkdir -p "$work"
step "Starting MariaDB and the shop"
# A socket's path must be short.
mariadb_place "$(mktemp -d)" shop
shop_place "$work/data"
export SECKILL_DATABASE_URL=$mariadb_url SECKILL_PAY_WITHIN=$pay_within SECKILL_ORDERS_PER_SECOND=2000
shop_start

step "$items buyers pay and cancel at the same instant"
offer both
sell both both "$items" "$items"
decide both both
paid=$(orders both paid) cancelled=$(orders both cancelled)
fact "both: orders that ended in one state" "$items" "$((paid + cancelled))"
fact "both: orders that buyers see as paid" "$paid" "$(json "$work/both-decided.json" '$j->{states}{paid} // 0')"
poll_until 10 has_stock both "$cancelled 0 $paid" || true
fact "both: stock for sale, locked, sold" "$cancelled 0 $paid" "$(stock both)"
poll_until 20 has_permits both "$paid" || true
fact "both: permits that stay used" "$paid" "$(permits both)"
fact "both: payments to be given back" 0 "$(mariadb_ask shop "SELECT COUNT(*) FROM payments WHERE state = 'refund_due'")"
verified both

step "A third pays, a third cancels, a third lets the time pass; MariaDB and the back end are killed"
third=$((items / 3))
offer thirds
"$load" race --base "$shop_url" --round thirds --product 1 --prefix thirds --buyers "$items" \
    --concurrency 8 --retry-busy --until-sold-out 2 --limit 60 >"$work/thirds.json" 2>"$work/thirds.err" &
racers=$!
poll_until 30 has_orders thirds created $((items / 10)) || true
mariadb_restart
wait "$racers" || fact "thirds: the load generator" "ended well" "$(tail -n 1 "$work/thirds.err")"
poll_until 30 has_orders thirds created "$items" || true
fact "thirds: orders though MariaDB was killed" "$items" "$(orders thirds created)"
# Two connections only, so that it lasts long enough to be hit.
decide thirds thirds 2 &
deciders=$!
poll_until 20 has_orders thirds paid $((third / 10 + 1)) || true
shop_kill
at_kill=$(orders thirds paid)
shop_start
wait "$deciders" || fact "thirds: the load generator" "ended well" "$(tail -n 1 "$work/thirds-decided.err")"
poll_until $((pay_within + 30)) has_orders thirds cancelled $((2 * third)) || true
fact "thirds: orders paid, cancelled, open" "$third $((2 * third)) 0" \
    "$(orders thirds paid) $(orders thirds cancelled) $(orders thirds created)"
fact "thirds: cancelled since nobody paid" "$third" \
    "$(mariadb_ask shop "SELECT COUNT(*) FROM orders WHERE round = 'thirds' AND reason = 'unpaid'")"
poll_until 20 has_stock thirds "$((2 * third)) 0 $third" || true
fact "thirds: stock for sale, locked, sold" "$((2 * third)) 0 $third" "$(stock thirds)"
poll_until 20 has_permits thirds "$third" || true
fact "thirds: permits that stay used" "$third" "$(permits thirds)"
printf '     paid when the back end was killed: %s of %s\n' "$at_kill" "$third"
verified thirds

step "What came back is sold again to others"
sell thirds others $((2 * items)) $((2 * third))
fact "others: stock for sale, locked, sold" "0 $((2 * third)) $third" "$(stock thirds)"
poll_until 20 has_permits thirds "$items" || true
fact "others: permits used" "$items" "$(permits thirds)"
verified others

step "Stopping"
shop_stop && stopped=cleanly || stopped="with status $?"
fact "the system stopped" cleanly "$stopped"
verified "stopped"
exit "$failed"

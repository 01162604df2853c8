#!/usr/bin/env bash
# Backs up a shop in the middle of a sale as docs/backup.md says, takes the machine away,
# and restores it elsewhere: everything that the backup knows is there, and the rest is sold.
#
#  1. Half of the items are sold.
#  2. The backup is taken while the shop runs; then Redis, database and pages are gone.
#  3. In another folder the shop is started with nothing but the backup.
#  4. The catalogue, the stock and every buyer's record are as they were; `seckill verify`
#     passes; other buyers get exactly what is left.
#
# Prints a PASS or FAIL line for each fact, with the numbers. ITEMS changes 200.
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

items=${ITEMS:-200}
work=$PWD/target/drills/restore
round=kept

trap 'shop_stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ask_redis() { redis-cli -s "$SECKILL_DATA/run/redis.sock" --raw "$@" 2>/dev/null; }
ask_database() { sqlite3 -readonly "$SECKILL_DATA/seckill.db" "$1"; }
stock() { ask_redis HMGET "seckill::{$round::1::01}::stock" sale_stock_amount locked_stock_amount saled_stock_amount | paste -sd ' '; }
records() { ask_redis HGETALL "seckill::{$round::1::01}::buyers" | paste - - | sort; }
orders() { ask_database "SELECT state, count(*) FROM orders GROUP BY state ORDER BY state" | paste -sd ' '; }
live() { ask_database "SELECT count(*) FROM orders WHERE state IN ('created', 'paid')"; }
has_live() { [ "$(live)" -ge "$1" ]; }
verified() { "$seckill" verify >"$work/verify.out" 2>&1 && echo PASS || tail -n 3 "$work/verify.out"; }
is_verified() { [ "$(verified)" = PASS ]; }
is_open() { curl -fsS "$shop_url/api/rounds/$round/products/1/state" 2>/dev/null | grep -q '"open"'; }
# race NAME BUYERS: that many buyers, each wanting one.
race() {
    "$seckill" load race --base "$shop_url" --round "$round" --product 1 --buyers "$2" --rate 100 \
        --concurrency 16 --retry-busy --limit 60 "${@:3}" >"$work/$1.json" 2>"$work/$1.err" ||
        fail "the load generator failed: $(tail -n 1 "$work/$1.err")"
}

mkdir -p "$work"
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet
shop_place "$work/before"
shop_start

step "Half of $items items are sold"
sell_in_shop "$round" +5s +1h "$items"
poll_until 20 is_open
race first $((items / 2))
poll_until 30 has_live $((items / 2)) || fail "the orders were not placed; see $shop_log"
poll_until 30 is_verified || fail "the shop is not sound before the backup: $(verified)"

step "The backup is taken while the shop runs"
backup=$work/backup
rm -rf "$backup" && mkdir -m 700 "$backup"
sqlite3 "$SECKILL_DATA/seckill.db" ".backup '$backup/seckill.db'"
cp -p "$SECKILL_DATA/keys" "$SECKILL_DATA/payment-keys" "$backup/"
mkdir -p "$SECKILL_DATA/pages/pictures" # there once an operator has uploaded one
cp -pr "$SECKILL_DATA/pages/pictures" "$backup/"
stock_before=$(stock) records_before=$(records) orders_before=$(orders)
shop_stop || true
mv "$work/before" "$work/gone"

step "Another folder, with nothing but the backup"
shop_place "$work/after"
mkdir -p "$SECKILL_DATA/pages"
cp -p "$backup/seckill.db" "$backup/keys" "$backup/payment-keys" "$SECKILL_DATA/"
cp -pr "$backup/pictures" "$SECKILL_DATA/pages/"
shop_start
is_back() { [ "$(stock)" = "$stock_before" ]; }
poll_until 30 is_back || true
fact "stock for sale, locked, sold" "$stock_before" "$(stock)"
fact "buyers' records" "$(cksum <<<"$records_before")" "$(cksum <<<"$(records)")"
fact "orders" "$orders_before" "$(orders)"
poll_until 30 is_verified || true
fact "seckill verify" PASS "$(verified)"

step "Others buy the rest"
poll_until 20 is_open || true
race second "$items" --prefix late --until-sold-out 5
poll_until 30 has_live "$items" || true
fact "orders that live" "$items" "$(live)"
fact "buyers with an order" "$items" "$(ask_database "SELECT count(DISTINCT user) FROM orders WHERE state IN ('created', 'paid')")"
fact "stock for sale" 0 "$(stock | cut -d' ' -f1)"
poll_until 30 is_verified || true
fact "seckill verify" PASS "$(verified)"

step "Stopping"
shop_stop && stopped=cleanly || stopped="with status $?"
fact "the system stopped" cleanly "$stopped"
rm -rf "$work/gone"
exit "$failed"

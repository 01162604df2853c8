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
# shellcheck source=t/drills/lib/restored.sh
. t/drills/lib/restored.sh

items=${ITEMS:-200}
work=$PWD/target/drills/restore
round=kept

trap 'shop_stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ask_database() { sqlite3 -readonly "$SECKILL_DATA/seckill.db" "$1"; }

rm -rf "$work"
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
mkdir -p "$SECKILL_DATA/pages/pictures" # there once an operator has uploaded one
# What an operator writes there, and what only some shops have.
printf 'n1 %064d\n' 7 >"$SECKILL_DATA/notify-keys"
echo pem >"$SECKILL_DATA/alipay.pem"
mkdir -p "$SECKILL_DATA/removed"
echo '{}' >"$SECKILL_DATA/removed/orders.jsonl"
kept_files() { (cd "$1" && find keys payment-keys notify-keys alipay.pem removed pages/pictures -type f -exec sha256sum {} +) | sort | cksum; }
written=$(kept_files "$SECKILL_DATA")
mkdir -p "$backup/data/pages"
chmod 700 "$backup"
sqlite3 "$SECKILL_DATA/seckill.db" ".backup '$backup/data/seckill.db'"
find "$SECKILL_DATA" -maxdepth 1 -type f ! -name 'seckill.db*' ! -name analysis.json -exec cp -p {} "$backup/data/" \;
for it in pages/pictures removed; do
    [ ! -d "$SECKILL_DATA/$it" ] || cp -pr "$SECKILL_DATA/$it" "$backup/data/$it"
done
take_away

step "Another folder, with nothing but the backup"
shop_place "$work/after"
[ ! -d "$SECKILL_DATA" ] || rmdir "$SECKILL_DATA"
cp -pr "$backup/data" "$SECKILL_DATA"
fact "every file of the backup is there again" "$written" "$(kept_files "$SECKILL_DATA")"
shop_start
is_as_before

others_buy_the_rest
end_cleanly
exit "$failed"

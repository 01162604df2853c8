#!/usr/bin/env bash
# What the live board costs: the back end's share of a core with twenty boards
# open, against none, on a shop of two hundred products; and how long a change in
# Redis takes to arrive at all twenty.
#
# BOARDS, PRODUCTS and SECONDS_EACH change the numbers. Writes
# bench/results/board.json; the exit status does not depend on the figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh
SECKILL=${SECKILL:-${CARGO_TARGET_DIR:-$PWD/target}/release/seckill}
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh

boards=${BOARDS:-20}
products=${PRODUCTS:-200}
seconds=${SECONDS_EACH:-20}

prepare
build_release
trap 'shop_stop || true; cleanup' EXIT
shop_place "$work/data"
shop_start --demo

{
    printf '[[round]]\nid = "board"\nname = "Board"\nstarts = "+1s"\nends = "+30m"\n'
    for n in $(seq "$products"); do
        printf '[[round.product]]\nid = "p%s"\ntitle = "Product %s"\namount = 1000\nprice_cents = 100\nlist_price_cents = 200\nper_buyer = 1\n' "$n" "$n"
    done
} >"$work/sale.toml"
"$seckill" sale import "$work/sale.toml" --approve >"$work/import.out" || fail "the sale was not imported; see the words above"

step "$boards boards on $products products, $seconds s without and with them"
password=$(sed -n 's,^  Login  *operator / ,,p' "$shop_log")
figures=$(node bench/lib/board.mjs "http://127.0.0.1:$SECKILL_CONSOLE_PORT" operator "$password" "$shop_pid" \
    "$SECKILL_DATA/run/redis.sock" board::p1 "$boards" "$seconds") || fail "the boards could not be watched; the words above say why"
number() { printf '%s' "$figures" | sed "s/.*\"$1\":\([0-9.]*\).*/\1/"; }
row "back end, nobody watches" "$(number idle)" "% of a core" null lower ""
row "back end, $boards boards of $products products" "$(number watched)" "% of a core" null lower ""
row "what $boards boards cost" "$(awk -v a="$(number watched)" -v b="$(number idle)" 'BEGIN { printf "%.2f", a - b }')" "% of a core" 5 lower "nobody watches"
row "a change in Redis until all $boards boards have it, median" "$(number median)" ms 1000 lower ""
row "a change in Redis until all $boards boards have it, longest of 15" "$(number longest)" ms 1000 lower ""
row "what a board takes of the network" "$(number bytes)" "bytes/s" null lower ""
write_results board
cat bench/results/board.json

# shellcheck shell=bash
# shellcheck disable=SC2154 # what a drill gives is the drill's
# A shop that sells half, is taken away, and is restored elsewhere to sell the rest.
# Sourced after scripts/lib/shop.sh, facts.sh and sale.sh.
#
# What a drill gives: $work, a folder, $round and $items, what is sold, and
# ask_database SQL, which prints a row a line, its columns parted by |.

ask_redis() { redis-cli -s "$SECKILL_DATA/run/redis.sock" --raw "$@" 2>/dev/null; }
stock() { ask_redis HMGET "seckill::{$round::1::01}::stock" sale_stock_amount locked_stock_amount saled_stock_amount | paste -sd ' '; }
records() { ask_redis HGETALL "seckill::{$round::1::01}::buyers" | paste - - | sort; }
orders() { ask_database "SELECT state, count(*) FROM orders GROUP BY state ORDER BY state" | paste -sd ' '; }
live() { ask_database "SELECT count(*) FROM orders WHERE state IN ('created', 'paid')" 2>/dev/null || echo 0; }
buyers() { ask_database "SELECT count(DISTINCT \"user\") FROM orders WHERE state IN ('created', 'paid')"; }
has_live() { [ "$(live)" -ge "$1" ]; }
verified() { "$seckill" verify >"$work/verify.out" 2>&1 && echo PASS || tail -n 3 "$work/verify.out"; }
is_verified() { [ "$(verified)" = PASS ]; }
is_open() { curl -fsS "$shop_url/api/rounds/$round/products/1/state" 2>/dev/null | grep -q '"open"'; }

# race NAME BUYERS [OPTION...]: that many buyers, each wanting one.
race() {
    "$seckill" load race --base "$shop_url" --round "$round" --product 1 --buyers "$2" --rate 100 \
        --concurrency 16 --retry-busy --limit 60 "${@:3}" >"$work/$1.json" 2>"$work/$1.err" ||
        fail "the load generator failed: $(tail -n 1 "$work/$1.err")"
}

is_sound() {
    poll_until 30 is_verified || true
    fact "seckill verify" PASS "$(verified)"
}

# take_away: the backup in $backup is whole; the shop and its folder go.
take_away() {
    stock_before=$(stock) records_before=$(records) orders_before=$(orders)
    shop_stop || true
    mv "$work/before" "$work/gone"
}

is_back() { [ "$(stock)" = "$stock_before" ]; }
# is_as_before: the shop that was restored has what the one before had.
is_as_before() {
    poll_until 30 is_back || true
    fact "stock for sale, locked, sold" "$stock_before" "$(stock)"
    fact "buyers' records" "$(cksum <<<"$records_before")" "$(cksum <<<"$(records)")"
    fact "orders" "$orders_before" "$(orders)"
    is_sound
}

others_buy_the_rest() {
    step "Others buy the rest"
    poll_until 20 is_open || true
    race second "$items" --prefix late --until-sold-out 5
    poll_until 30 has_live "$items" || true
    fact "orders that live" "$items" "$(live)"
    fact "buyers with an order" "$items" "$(buyers)"
    fact "stock for sale" 0 "$(stock | cut -d' ' -f1)"
    is_sound
}

end_cleanly() {
    local stopped
    step "Stopping"
    shop_stop && stopped=cleanly || stopped="with status $?"
    fact "the system stopped" cleanly "$stopped"
    rm -rf "$work/gone"
}
